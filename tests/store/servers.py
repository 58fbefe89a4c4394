# SPDX-License-Identifier: BSD-3-Clause
"""Redis servers for tests: single(), sentinel(), cluster(). On loopback, in a folder of their own, ended
by pid.

Each is a context manager:

    with servers.single() as redis:          # unix socket
        redis.url, redis.server[0].cli('PING')
    with servers.sentinel() as redis:        # 1 master, 1 replica, 3 sentinels
        redis.url, redis.master(), redis.server (master, replica), redis.sentinels
    with servers.cluster() as redis:         # 3 masters with a replica each
        redis.url, redis.masters(), redis.server

A server can stop() (SIGTERM), kill() (SIGKILL), freeze(), thaw() and start() again, with other options
if wanted: start(['--appendonly', 'yes']).

As a program: servers.py single|sentinel|cluster prints the URL, then a line per server, and runs until
its standard input ends.
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77
WAIT_S = 40
TRIES = 3
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def missing():
    """Names of the tools that are not installed."""
    return [tool for tool in ('redis-server', 'redis-cli') if shutil.which(tool) is None]


def die_with_parent():
    """In the child: whatever ends the test, even SIGKILL, ends its servers."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens at now, with the port 10000 above, which a cluster's bus
    takes. Both are below the ephemeral ports, where any client's may appear at any moment."""
    ports = []
    while len(ports) < count:
        port = random.randrange(10001, 22000)
        if port not in ports and is_free(port) and is_free(port + 10000):
            ports.append(port)
    return ports


def wait(condition, what, seconds=WAIT_S):
    """Until condition() is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError('not within %d s: %s' % (seconds, what))
        time.sleep(0.05)


class Server:
    """One redis-server with a folder of its own."""

    def __init__(self, folder, name, port=0, options=(), config=None):
        self.folder = os.path.join(folder, name)
        self.name, self.port, self.options, self.config = name, port, list(options), config
        self.socket = os.path.join(self.folder, 'socket')
        self.process = None
        os.makedirs(self.folder, exist_ok=True)

    def start(self, options=()):
        command = ['redis-server']
        if self.config:
            command.append(self.config)
        command += ['--port', str(self.port), '--dir', self.folder]
        if self.port:
            command += ['--bind', '127.0.0.1']
        else:
            command += ['--unixsocket', self.socket]
        command += self.options + list(options)
        if self.config:
            command.append('--sentinel')
        log = open(os.path.join(self.folder, 'log'), 'ab')
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        preexec_fn=die_with_parent)
        log.close()
        wait(self.answers, self.name + ' answers')
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError('%s ended: %s' % (self.name, self.log()[-400:]))
        return any(word in self.cli('PING', check=False)
                   for word in ('PONG', 'LOADING', 'NOAUTH', 'MASTERDOWN'))

    def log(self):
        with open(os.path.join(self.folder, 'log'), encoding='utf-8', errors='replace') as file:
            return file.read()

    def cli(self, *arguments, check=True, timeout=10):
        where = ['-h', '127.0.0.1', '-p', str(self.port)] if self.port else ['-s', self.socket]
        done = subprocess.run(['redis-cli'] + where + list(arguments), text=True,
                              capture_output=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError('%s: %s%s' % (arguments, done.stdout, done.stderr))
        return (done.stdout + done.stderr).strip()

    def send(self, number):
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def freeze(self):
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)

    def kill(self):
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self):
        self.thaw()
        self.send(signal.SIGTERM)
        if self.process is None:
            return
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


class Servers:
    """What all three have: a folder, servers, an end."""

    kind = Server  # of the servers, for those who want more of them

    def __init__(self):
        self.folder = None
        self.server = []
        self.url = None

    def __enter__(self):
        for tries in range(TRIES):
            self.folder = tempfile.mkdtemp(prefix='sipherd-redis-')
            try:
                self.begin()
                return self
            except BaseException as error:
                self.end()
                # Somebody took a port between our look and the start.
                if tries + 1 == TRIES or not isinstance(error, RuntimeError):
                    raise
        return self

    def __exit__(self, *_):
        self.end()

    def everyone(self):
        return list(self.server)

    def end(self):
        for server in self.everyone():
            server.kill()
        self.server = []
        shutil.rmtree(self.folder, ignore_errors=True)


class Single(Servers):
    def __init__(self, options):
        super().__init__()
        self.options = options

    def begin(self):
        server = self.kind(self.folder, 'redis', 0, ['--save', ''] + self.options)
        self.server.append(server)
        server.start()
        self.url = 'unix:' + server.socket


class Sentinel(Servers):
    def __init__(self, options, down_after_ms):
        super().__init__()
        self.options, self.down_after_ms = options, down_after_ms
        self.sentinels = []

    def everyone(self):
        return self.sentinels + self.server

    def begin(self):
        ports = free_ports(5)
        self.sentinels = []
        common = ['--save', '', '--repl-diskless-sync-delay', '0'] + self.options
        self.server = [
            self.kind(self.folder, 'master', ports[0], common),
            self.kind(self.folder, 'replica', ports[1],
                   common + ['--replicaof', '127.0.0.1 %d' % ports[0]])]
        for server in self.server:
            server.start()
        wait(lambda: 'master_link_status:up' in self.server[1].cli('INFO', 'replication'),
             'the replica has its master')
        for i, port in enumerate(ports[2:]):
            self.sentinels.append(self.make_sentinel('sentinel%d' % i, port, ports[0]))
            self.sentinels[-1].start()
        self.url = 'redis+sentinel://%s/mymaster' % ','.join(
            '127.0.0.1:%d' % port for port in ports[2:])
        for sentinel in self.sentinels:
            wait(lambda s=sentinel: self.knows(s), 'the sentinels know each other and the replica')

    def make_sentinel(self, name, port, master):
        path = os.path.join(self.folder, name + '.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('sentinel monitor mymaster 127.0.0.1 %d 2\n'
                       'sentinel down-after-milliseconds mymaster %d\n'
                       'sentinel failover-timeout mymaster 4000\n' % (master, self.down_after_ms))
        return self.kind(self.folder, name, port, config=path)

    @staticmethod
    def knows(sentinel):
        words = sentinel.cli('SENTINEL', 'MASTER', 'mymaster').split('\n')
        fields = dict(zip(words[::2], words[1::2]))
        return fields.get('num-slaves') == '1' and fields.get('num-other-sentinels') == '2'

    def master(self):
        """The server that the sentinels name now."""
        said = self.sentinels[0].cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster').split()
        return next(server for server in self.server if str(server.port) == said[1])

    def failover(self):
        before = self.master()
        self.sentinels[0].cli('SENTINEL', 'FAILOVER', 'mymaster')
        wait(lambda: self.master() is not before, 'the fail-over')


class Cluster(Servers):
    def __init__(self, options, timeout_ms):
        super().__init__()
        self.options, self.timeout_ms = options, timeout_ms

    def begin(self):
        ports = free_ports(6)
        for i, port in enumerate(ports):
            self.server.append(self.kind(self.folder, 'node%d' % i, port, [
                '--save', '', '--cluster-enabled', 'yes', '--cluster-node-timeout',
                str(self.timeout_ms), '--repl-diskless-sync-delay', '0'] + self.options))
            self.server[-1].start()
        where = ['127.0.0.1:%d' % port for port in ports]
        subprocess.run(['redis-cli', '--cluster', 'create'] + where +
                       ['--cluster-replicas', '1', '--cluster-yes'],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.url = 'redis+cluster://' + ','.join(where[:3])
        for server in self.server:
            wait(lambda s=server: self.is_whole(s), 'the cluster is whole')

    @staticmethod
    def is_whole(server):
        return ('cluster_state:ok' in server.cli('CLUSTER', 'INFO') and
                server.cli('CLUSTER', 'NODES').count('slave') == 3 and
                'master_link_status:down' not in server.cli('INFO', 'replication'))

    def masters(self):
        return [server for server in self.server
                if server.process.poll() is None and
                server.cli('ROLE', check=False).startswith('master')]

    def replicas(self):
        return [server for server in self.server
                if server.process.poll() is None and
                server.cli('ROLE', check=False).startswith('slave')]

    def move_slot(self, slot, source, target, keep_open=False):
        """Move one slot with its keys; keep_open: begin only, for ASK and TRYAGAIN."""
        source_id, target_id = source.cli('CLUSTER', 'MYID'), target.cli('CLUSTER', 'MYID')
        target.cli('CLUSTER', 'SETSLOT', str(slot), 'IMPORTING', source_id)
        source.cli('CLUSTER', 'SETSLOT', str(slot), 'MIGRATING', target_id)
        while not keep_open:
            keys = source.cli('CLUSTER', 'GETKEYSINSLOT', str(slot), '100').split()
            if not keys:
                break
            source.cli('MIGRATE', '127.0.0.1', str(target.port), '', '0', '5000', 'KEYS', *keys)
        if not keep_open:
            for server in [target, source] + [m for m in self.masters()
                                              if m not in (source, target)]:
                server.cli('CLUSTER', 'SETSLOT', str(slot), 'NODE', target_id)


def single(*options):
    return Single(list(options))


def sentinel(*options, down_after_ms=1000):
    return Sentinel(list(options), down_after_ms)


def cluster(*options, timeout_ms=1000):
    return Cluster(list(options), timeout_ms)


def main():
    kinds = {'single': single, 'sentinel': sentinel, 'cluster': cluster}
    if len(sys.argv) < 2 or sys.argv[1] not in kinds:
        sys.exit('usage: servers.py single|sentinel|cluster [OPTION OF redis-server]...')
    if missing():
        print('SKIP: not installed:', *missing())
        sys.exit(SKIP)
    with kinds[sys.argv[1]](*sys.argv[2:]) as servers:
        print(servers.url)
        for server in servers.everyone():
            print(server.name, server.process.pid, server.port or server.socket)
        print(flush=True)
        sys.stdin.read()


if __name__ == '__main__':
    main()
