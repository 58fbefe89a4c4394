# SPDX-License-Identifier: BSD-3-Clause
"""The servers of servers.py, talked to over one's own connections and asked whether a write is taken."""

import os
import time

import servers
from resp import Redis, RedisError

# What faults need, or what docs/redis.md recommends.
OPTIONS = ["--save", "", "--enable-debug-command", "yes", "--maxmemory-policy", "noeviction",
           "--client-output-buffer-limit", "normal 64mb 16mb 30"]


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


class Server(servers.Server):
    """server("GET", "key") is the reply."""

    def client(self, timeout=10):
        if self.port == 0:
            return Redis(self.socket, timeout=timeout)
        return Redis("127.0.0.1", self.port, timeout=timeout)

    def __call__(self, *words):
        with self.client() as client:
            return client(*words)

    def send_only(self, *words):
        """A command whose answer nobody waits for, and the connection it was sent on."""
        client = self.client()
        client.socket.sendall(client.encode(*words))
        return client

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def takes_writes(self):
        with self.client(timeout=1) as client:
            return client("PING") == "PONG" and client("SET", "probe", 1, "PX", 1000) == "OK"

    def wait(self, timeout=30):
        """The moment at which it takes writes."""
        until("redis-server takes writes", self.takes_writes, timeout)
        return time.monotonic()

    def forget(self):
        """Everything it had saved."""
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if name.endswith(".rdb"):
                os.unlink(path)


class Sentinels(servers.Sentinel):
    kind = Server

    def named(self):
        """The server that is the master, takes writes and is known to one of the Sentinels."""
        for server in self.server:
            if not server.alive or b"role:master" not in server("INFO", "replication"):
                continue
            names = [sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
                     for sentinel in self.sentinels]
            if any(int(name[1]) == server.port for name in names) and server.takes_writes():
                return server
        return None


class Cluster(servers.Cluster):
    kind = Server

    def ranges(self):
        """(first slot, last slot, server) as the first living server sees it."""
        by_port = {server.port: server for server in self.server}
        asked = next(server for server in self.server if server.alive)
        return [(entry[0], entry[1], by_port[entry[2][1]]) for entry in asked("CLUSTER", "SLOTS")]

    def owner(self, slot):
        return next(server for first, last, server in self.ranges() if first <= slot <= last)

    def answers(self):
        """Every living node finds the cluster whole, and whoever has slots lives."""
        return all(b"cluster_state:ok" in server("CLUSTER", "INFO")
                   for server in self.server if server.alive) and \
            all(server.alive for _, _, server in self.ranges())

    def wait(self, timeout=30):
        until("the cluster is whole", self.answers, timeout)
        return time.monotonic()
