# SPDX-License-Identifier: BSD-3-Clause
"""Redis servers of a test's own: one, a master with Sentinels, a cluster. Nothing listens beyond
loopback, everything lives in the test's folder and is ended by pid."""

import ctypes
import os
import signal
import socket
import subprocess
import time

from resp import Redis, RedisError

LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1
OPTIONS = ["--save", "", "--enable-debug-command", "yes", "--maxmemory-policy", "noeviction",
           "--client-output-buffer-limit", "normal 64mb 16mb 30", "--daemonize", "no"]


def until(what, condition, timeout=30):
    """Wait for a condition that may as well raise while servers come and go; its value."""
    end = time.monotonic() + timeout
    while True:
        try:
            value = condition()
            if value:
                return value
            why = value
        except (OSError, RedisError) as error:
            why = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what} ({why})")
        time.sleep(0.005)


def free_ports(count):
    """Ports that nobody has now. A cluster's bus takes port + 10000: both below the ephemeral ones."""
    ports = []
    for port in range(10000 + os.getpid() % 800 * 14, 22700):
        free = True
        for candidate in (port, port + 10000):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", candidate))
                except OSError:
                    free = False
        if free:
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports on loopback")


class Server:
    """One redis-server: on a unix socket, or on a port of loopback."""

    def __init__(self, folder, port=None, options=(), sentinel=None):
        self.folder, self.port, self.options, self.sentinel = folder, port, list(options), sentinel
        self.socket = os.path.join(folder, "redis.sock")
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def start(self, extra=()):
        where = ["--port", "0", "--unixsocket", self.socket] if self.port is None else \
            ["--port", str(self.port), "--bind", "127.0.0.1"]
        words = ["redis-server", *where, "--dir", self.folder, *OPTIONS, *self.options, *extra]
        if self.sentinel:
            words = ["redis-server", self.sentinel, "--sentinel"]
        with open(os.path.join(self.folder, "redis.log"), "ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))

    def client(self, timeout=10):
        if self.port is None:
            return Redis(self.socket, timeout=timeout)
        return Redis("127.0.0.1", self.port, timeout=timeout)

    def __call__(self, *words):
        with self.client() as client:
            return client(*words)

    def send_only(self, *words):
        """A command whose answer nobody waits for. The connection stays open until it is collected."""
        client = self.client()
        client.socket.sendall(client.encode(*words))
        return client

    def answers(self):
        """PING is answered, and a write is taken."""
        with self.client(timeout=1) as client:
            return client("PING") == "PONG" and client("SET", "probe", 1, "PX", 1000) == "OK"

    def wait(self, timeout=30):
        until("redis-server answers", self.answers, timeout)
        return time.monotonic()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def forget(self):
        """Everything it had saved."""
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if name.endswith(".rdb"):
                os.unlink(path)
            elif name == "appendonlydir":
                for part in os.listdir(path):
                    os.unlink(os.path.join(path, part))
                os.rmdir(path)


class Sentinels:
    """A master, a replica and three Sentinels that agree by two."""

    def __init__(self, folder):
        ports = free_ports(5)
        self.server = [Server(os.path.join(folder, f"redis{i}"), ports[i], ["--repl-diskless-sync-delay", "0"])
                       for i in range(2)]
        self.server[0].start()
        self.server[1].start(["--replicaof", "127.0.0.1", str(ports[0])])
        self.watcher = []
        for i in range(3):
            place = os.path.join(folder, f"sentinel{i}")
            os.makedirs(place)
            conf = os.path.join(place, "sentinel.conf")
            with open(conf, "w", encoding="ascii") as file:
                file.write(f"port {ports[2 + i]}\nbind 127.0.0.1\ndir {place}\n"
                           f"sentinel monitor m1 127.0.0.1 {ports[0]} 2\n"
                           "sentinel down-after-milliseconds m1 500\n"
                           "sentinel failover-timeout m1 3000\n")
            self.watcher.append(Server(place, ports[2 + i], sentinel=conf))
        self.server[0].wait()
        until("the replica follows", lambda: b"master_link_status:up" in
              self.server[1]("INFO", "replication"))
        for watcher in self.watcher:
            watcher.start()
        until("the Sentinels know each other and the replica", self._complete)
        self.target = "redis+sentinel://" + ",".join(
            f"127.0.0.1:{watcher.port}" for watcher in self.watcher) + "/m1"

    def _complete(self):
        for watcher in self.watcher:
            reply = watcher("SENTINEL", "MASTER", "m1")
            fields = dict(zip(reply[::2], reply[1::2]))
            if fields[b"num-other-sentinels"] != b"2" or fields[b"num-slaves"] != b"1":
                return False
        return True

    def master(self):
        """The server that is the master and takes writes."""
        for server in self.server:
            try:
                if server.process is not None and b"role:master" in server("INFO", "replication") \
                        and server.answers():
                    return server
            except (OSError, RedisError):
                continue
        return None

    def named(self):
        """The master, when one of the Sentinels knows of it."""
        master = self.master()
        if master is None:
            return None
        names = [watcher("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m1") for watcher in self.watcher]
        return master if any(int(name[1]) == master.port for name in names) else None

    def close(self):
        for server in self.watcher + self.server:
            server.kill()


class Cluster:
    """Three masters, and three replicas unless told otherwise."""

    def __init__(self, folder, replicas=True):
        ports = free_ports(6 if replicas else 3)
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                   "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"]
        self.server = [Server(os.path.join(folder, f"cluster{port}"), port, options) for port in ports]
        for server in self.server:
            server.start()
        for server in self.server:
            until("redis-server answers", lambda s=server: s("PING") == "PONG")
        self._join(replicas)
        self.target = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports[:3])

    def _join(self, replicas):
        first = self.server[0]
        for i, server in enumerate(self.server):
            server("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i > 0:
                server("CLUSTER", "MEET", "127.0.0.1", first.port)
        for i in range(3):
            self.server[i]("CLUSTER", "ADDSLOTSRANGE", i * 16384 // 3, (i + 1) * 16384 // 3 - 1)
        self.id = [server("CLUSTER", "MYID") for server in self.server]
        for server in self.server:
            until("everybody is known", lambda s=server: s("CLUSTER", "NODES").count(b"\n") ==
                  len(self.server) and b"handshake" not in s("CLUSTER", "NODES"))
        for i in range(3 if replicas else 0):
            until("a replica is taken", lambda j=i: self.server[3 + j](
                "CLUSTER", "REPLICATE", self.id[j]) == "OK")
        for i in range(3 if replicas else 0):
            until("a replica follows", lambda j=i: b"master_link_status:up" in
                  self.server[3 + j]("INFO", "replication"))
        until("the cluster is whole", self.answers)

    def answers(self):
        """Every living node finds the cluster whole, and each of the masters in charge takes a write."""
        alive = [server for server in self.server if server.process is not None]
        for server in alive:
            if b"cluster_state:ok" not in server("CLUSTER", "INFO"):
                return False
        return all(server.process is not None for server in self.masters())

    def wait(self, timeout=30):
        until("the cluster is whole", self.answers, timeout)
        return time.monotonic()

    def ranges(self):
        """(first slot, last slot, server) as the first living server sees it."""
        by_port = {server.port: server for server in self.server}
        alive = [server for server in self.server if server.process is not None]
        return [(entry[0], entry[1], by_port[entry[2][1]]) for entry in alive[0]("CLUSTER", "SLOTS")]

    def masters(self):
        """Those that have slots."""
        return list({server.port: server for _, _, server in self.ranges()}.values())

    def owner(self, slot):
        return next(server for first, last, server in self.ranges() if first <= slot <= last)

    def close(self):
        for server in self.server:
            server.kill()
