#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""store/redis/sentinel.sh and cluster.sh do what they say: what they print is there, survives the end
of a master, and is gone after `stop`."""

import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import fixture
from fixture import SLAB, Keys, record
from resp import Redis, RedisError
from servers import wait

FOLDER = os.path.join(fixture.ROOT, "store", "redis")


def is_free(port):
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def first_of(count):
    """The first of so many free ports in a row, with those of a cluster's bus 10000 above; all below
    32768, where outgoing connections begin."""
    for _ in range(200):
        first = random.randrange(20000, 22700)
        if all(is_free(first + n) and is_free(first + n + 10000) for n in range(count)):
            return first
    raise RuntimeError("no free ports")


class Recipe(unittest.TestCase):
    """What the two have in common."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sipherd recipe ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.addCleanup(self.run_script, "stop")
        self.first = first_of(self.ports)
        started = self.run_script(str(self.first))
        self.assertEqual(started.returncode, 0, started.stdout + started.stderr)
        self.lines = started.stdout.splitlines()
        self.pids = {}
        for line in self.lines[:-1]:
            name, port, pid = re.fullmatch(r"(\S+) 127\.0\.0\.1:(\d+) pid (\d+)", line).groups()
            self.pids[int(port)] = int(pid)
            self.assertTrue(self.alive(int(pid)), name)

    def run_script(self, argument):
        return subprocess.run([os.path.join(FOLDER, self.script), self.folder, argument],
                              capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "DOWN_AFTER_MS": "1000", "NODE_TIMEOUT_MS": "1000"})

    @staticmethod
    def alive(pid):
        return os.path.isdir(f"/proc/{pid}")

    def ask(self, port, *command):
        """One command; None when the server is not there or does not know."""
        try:
            with Redis("127.0.0.1", port) as redis:
                return redis(*command)
        except (OSError, RedisError):
            return None

    def check_stop(self):
        again = self.run_script(str(self.first))
        self.assertEqual(again.returncode, 1)
        self.assertIn("already", again.stderr)
        stopped = self.run_script("stop")
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        for pid in self.pids.values():
            self.assertFalse(self.alive(pid))

    def flush(self, redis, shard, groups=Keys()):
        """A generator's first steps with one shard."""
        fixture.load_library(redis)
        token = redis.fcall("acquire", [groups.lease(shard)], "a", 0, 10000, 0)[1]
        self.assertEqual(redis.fcall("flush", groups.flush(shard), "a", token, shard, SLAB, 0, "", 0,
                                     record()), 2)


class Sentinel(Recipe):
    script = "sentinel.sh"
    ports = 5

    def master(self):
        said = [self.ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sipherd")
                for port in range(self.first + 2, self.first + 5)]
        return int(said[0][1]) if said[0] and said.count(said[0]) == 3 else None

    def test_fail_over(self):
        sentinels = ",".join(f"127.0.0.1:{self.first + n}" for n in (2, 3, 4))
        self.assertEqual(self.lines[-1], f"store: redis+sentinel://{sentinels}/sipherd")
        self.assertEqual(self.master(), self.first)
        with Redis("127.0.0.1", self.first) as master:
            self.flush(master, 1)
            self.assertEqual(master("WAIT", 1, 5000), 1)
        os.kill(self.pids[self.first], signal.SIGKILL)
        wait(lambda: self.master() == self.first + 1, "the fail-over", 60)
        wait(lambda: self.ask(self.first + 1, "ROLE")[0] == b"master", "the replica is master", 60)
        with Redis("127.0.0.1", self.first + 1) as master:
            # Functions, slab and lease have come along.
            self.assertTrue(master.fcall_ro("show", [Keys().slab(1)], 10000))
            self.assertEqual(master.fcall("acquire", [Keys().lease(1)], "b", 0, 10000, 0)[:2],
                             [0, b"a"])
        self.check_stop()


class Cluster(Recipe):
    script = "cluster.sh"
    ports = 6

    def owner(self, key):
        """Port of the master that has the key's slot, as all who answer say."""
        owners = set()
        for port in self.pids:
            slot = self.ask(port, "CLUSTER", "KEYSLOT", key)
            for low, high, master, *_ in self.ask(port, "CLUSTER", "SLOTS") or []:
                if slot is not None and low <= slot <= high:
                    owners.add(master[1])
        return owners.pop() if len(owners) == 1 else None

    def test_one_master_ends(self):
        servers = ",".join(f"127.0.0.1:{self.first + n}" for n in (0, 1, 2))
        self.assertEqual(self.lines[-1], f"store: redis+cluster://{servers}")
        key = Keys().slab(1)
        before = self.owner(key)
        with Redis("127.0.0.1", before) as master:
            self.flush(master, 1)
            self.assertEqual(master("WAIT", 1, 5000), 1)
        other = next(port for port in (self.first, self.first + 1) if port != before)
        with self.assertRaisesRegex(RedisError, "^MOVED"), Redis("127.0.0.1", other) as wrong:
            wrong("GET", key)
        os.kill(self.pids[before], signal.SIGKILL)
        wait(lambda: self.owner(key) not in (None, before), "the fail-over", 60)
        with Redis("127.0.0.1", self.owner(key)) as master:
            self.assertTrue(master.fcall_ro("show", [key], 10000))
        self.check_stop()


class Refusals(unittest.TestCase):
    def test_taken_port_starts_nothing(self):
        server = fixture.servers.Server(tempfile.mkdtemp(), "taken", first_of(6))
        server.start(["--save", ""])
        self.addCleanup(server.kill)
        for script in ("sentinel.sh", "cluster.sh"):
            with tempfile.TemporaryDirectory() as folder:
                # The second or third server finds its port taken; those before it are ended.
                done = subprocess.run([os.path.join(FOLDER, script), folder, str(server.port - 1)],
                                      capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"port {server.port} is taken", done.stderr)
                for line in done.stdout.splitlines():
                    pid = re.search(r"pid (\d+)", line)[1]
                    self.assertFalse(os.path.isdir(f"/proc/{pid}"), line)

    def test_usage(self):
        for script in ("sentinel.sh", "cluster.sh"):
            done = subprocess.run([os.path.join(FOLDER, script)], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("usage:", done.stderr)


if __name__ == "__main__":
    fixture.need("redis-server", "redis-cli")
    unittest.main(verbosity=2)
