#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""store/redis/sipherd.acl and sipherd.conf in a real Redis: the writer can do all that a generator
needs, the monitor all that a reader needs, and neither anything else."""

import os
import tempfile
import unittest

import fixture
from fixture import RECORD, SLAB, Keys, record
from resp import Redis, RedisError

FOLDER = os.path.join(fixture.ROOT, "store", "redis")
WRITER = ("sipherd-writer", "writer-secret")
MONITOR = ("sipherd-monitor", "monitor-secret")
KEYS = Keys()
SERVER = None
ACL = None


def setUpModule():
    """The files as an operator would use them: passwords filled in, `include` and `aclfile`."""
    global SERVER, ACL
    with open(os.path.join(FOLDER, "sipherd.acl"), encoding="utf-8") as template:
        text = template.read()
    text = text.replace("WRITER-PASSWORD", WRITER[1]).replace("MONITOR-PASSWORD", MONITOR[1])
    ACL = tempfile.NamedTemporaryFile("w", suffix=".acl", encoding="utf-8")
    ACL.write(text)
    ACL.flush()
    SERVER = fixture.Server("--include", os.path.join(FOLDER, "sipherd.conf"), "--aclfile",
                            ACL.name, user=WRITER[0], password=WRITER[1])


def tearDownModule():
    SERVER.stop()
    ACL.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.writer, self.monitor = SERVER.connect(*WRITER), SERVER.connect(*MONITOR)
        self.addCleanup(self.writer.close)
        self.addCleanup(self.monitor.close)
        self.writer("DEL", KEYS.meta, KEYS.nodes, *(KEYS.lease(shard) for shard in (1, 2)),
                    *(KEYS.slab(shard) for shard in (1, 2)))

    def denied(self, user, *command):
        with self.assertRaises(RedisError, msg=command) as caught:
            user(*command)
        self.assertIn(caught.exception.kind, ("NOPERM", "NOAUTH"), str(caught.exception))


class Writer(Case):
    def test_everything_a_generator_does(self):
        writer, lease, shard = self.writer, KEYS.lease(1), 1
        with open(fixture.LIBRARY, encoding="utf-8") as library:
            self.assertEqual(writer("FUNCTION", "LOAD", "REPLACE", library.read()), b"sipherd")
        self.assertTrue(writer("FUNCTION", "LIST", "LIBRARYNAME", "sipherd"))
        self.assertEqual(writer("PING"), "PONG")
        self.assertEqual(writer("SELECT", 0), "OK")
        self.assertEqual(writer("ROLE")[0], b"master")
        self.assertEqual(writer("CLIENT", "SETNAME", "sipherd"), "OK")
        self.assertEqual(writer.fcall_ro("version", []), 1)
        self.assertEqual(writer.fcall("meta", [KEYS.meta], "schema", 1, "phones", 20000), 1)
        self.assertEqual(writer.fcall("meta", [KEYS.meta], "schema", 1, "phones", 20000), 1)
        token = writer.fcall("acquire", [lease], "a", 0, 10000, 0)[1]
        self.assertEqual(writer.fcall("renew", [lease], "a", 10000, token), [1])
        for reply in (2, 1):
            self.assertEqual(writer.fcall("flush", KEYS.flush(shard), "a", token, shard, SLAB, 1,
                                          "RESYNC", 0, record()), reply)
        self.assertEqual(writer("GET", KEYS.slab(shard))[:RECORD], record())
        self.assertEqual(writer("GETRANGE", KEYS.slab(shard), 0, RECORD - 1), record())
        writer("HSET", KEYS.nodes, "old", '{"heartbeat":1}') # to be forgotten
        self.assertEqual(
            writer.fcall("heartbeat", KEYS.heartbeat("a"), "a", 10000, "{}", "x", 1)[2:], [b"a"])
        self.assertTrue(writer("HGETALL", KEYS.nodes))
        self.assertEqual(writer.fcall("release", [lease], "a", token), 1)
        self.assertEqual(writer.fcall("goodbye", [KEYS.nodes, KEYS.node("a")], "a"), 1)
        self.assertTrue(writer.fcall_ro("show", [KEYS.slab(shard)], 10000))
        self.assertTrue(writer.fcall_ro("count", [KEYS.slab(shard)]))
        self.assertEqual(writer.fcall_ro("list", [KEYS.slab(shard)], 10000, "phase=registered", 5),
                         [10000])

    def test_nothing_else(self):
        for command in (["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "*"],
                        ["CONFIG", "SET", "save", ""], ["KEYS", "*"], ["SCAN", 0],
                        ["SHUTDOWN"], ["FUNCTION", "FLUSH"], ["FUNCTION", "DELETE", "sipherd"],
                        ["SCRIPT", "FLUSH"], ["EVAL", "return 1", 0], ["ACL", "LIST"],
                        ["ACL", "SETUSER", "x"], ["MONITOR"], ["SUBSCRIBE", "x"],
                        ["CLIENT", "KILL", "TYPE", "normal"], ["CLIENT", "LIST"], ["SAVE"],
                        ["BGSAVE"], ["REPLICAOF", "NO", "ONE"], ["SWAPDB", 0, 1],
                        ["MODULE", "LIST"], ["SET", "sipherd:{x}:y", 1],
                        ["RENAME", "sipherd:a", "sipherd:b"]):
            self.denied(self.writer, *command)

    def test_no_other_keys(self):
        for command in (["GET", "other"], ["SETRANGE", "other", 0, "x"], ["HGETALL", "other"],
                        ["DEL", "other"]):
            self.denied(self.writer, *command)
        with self.assertRaisesRegex(RedisError, "^NOPERM"):
            self.writer.fcall("acquire", ["other"], "a", 0, 10000, 0)
        with self.assertRaisesRegex(RedisError, "^NOPERM"):
            self.writer.fcall_ro("show", ["other"], 1)


class Monitor(Case):
    def setUp(self):
        super().setUp()
        fleet = fixture.Fleet(self.writer, {1: {10000: record()}, 2: {20000: record()}},
                              fields=("phones", 2))
        fleet.flush(1, {}, ["RESYNC"])

    def test_everything_a_reader_does(self):
        monitor, slab, feed = self.monitor, KEYS.slab(1), KEYS.feed(1)
        self.assertEqual(monitor("PING"), "PONG")
        self.assertEqual(monitor("SELECT", 0), "OK")
        self.assertEqual(monitor("ROLE")[0], b"master")
        self.assertIn(b"used_memory:", monitor("INFO", "memory"))
        self.assertEqual(len(monitor("TIME")), 2)
        self.assertTrue(monitor("FUNCTION", "LIST", "LIBRARYNAME", "sipherd"))
        self.assertEqual(monitor("GET", slab)[:RECORD], record())
        self.assertEqual(monitor("GETRANGE", slab, 0, 31), record())
        self.assertEqual(monitor("STRLEN", slab), SLAB)
        self.assertEqual(monitor("BITFIELD_RO", slab, "GET", "u8", 8), [5])
        for key in (KEYS.meta, KEYS.nodes, KEYS.node("lab1-0"), KEYS.lease(1)):
            self.assertTrue(monitor("HGETALL", key))
        self.assertEqual(monitor("HGET", KEYS.lease(1), "owner"), b"lab1-0")
        self.assertEqual(monitor("HMGET", KEYS.lease(1), "owner"), [b"lab1-0"])
        self.assertTrue(monitor("XRANGE", feed, "-", "+"))
        self.assertTrue(monitor("XREVRANGE", KEYS.series("lab1-0"), "+", "-", "COUNT", 1))
        self.assertTrue(monitor("XREAD", "COUNT", 1, "STREAMS", feed, 0))
        self.assertIsNone(monitor("XREAD", "BLOCK", 1, "STREAMS", feed, "$"))
        self.assertEqual(monitor.fcall_ro("version", []), 1)
        self.assertTrue(monitor.fcall_ro("show", [slab], 10000))
        self.assertTrue(monitor.fcall_ro("count", [slab, KEYS.slab(2)]))
        self.assertEqual(monitor.fcall_ro("list", [slab], 10000, "phase=registered", 1), [10000])

    def test_nothing_is_written(self):
        for command in (["SET", KEYS.slab(1), "x"], ["SETRANGE", KEYS.slab(1), 0, "x"],
                        ["DEL", KEYS.slab(1)], ["HSET", KEYS.nodes, "x", "y"],
                        ["XADD", KEYS.feed(1), "*", "a", "b"], ["EXPIRE", KEYS.meta, 1],
                        ["BITFIELD", KEYS.slab(1), "SET", "u8", 0, 1], ["FLUSHALL"],
                        ["CONFIG", "GET", "*"], ["KEYS", "*"], ["SCAN", 0],
                        ["FUNCTION", "LOAD", "x"], ["EVAL", "return 1", 0],
                        ["EVAL_RO", "return 1", 0], ["ACL", "LIST"], ["MONITOR"], ["SUBSCRIBE", "x"],
                        ["GET", "other"], ["XREAD", "STREAMS", "other", 0],
                        ["FCALL", "sipherd_goodbye", 2, KEYS.nodes, KEYS.node("a"), "a"]):
            self.denied(self.monitor, *command)
        with self.assertRaises(RedisError):
            self.monitor.fcall_ro("goodbye", [KEYS.nodes, KEYS.node("lab1-0")], "lab1-0")
        self.assertTrue(self.monitor("HGET", KEYS.nodes, "lab1-0"))


class Others(Case):
    def test_nobody_without_a_password(self):
        with Redis(SERVER.socket) as nobody:
            self.denied(nobody, "GET", KEYS.slab(1))
            for user, password in ((WRITER[0], "x"), (MONITOR[0], WRITER[1]), ("default", "")):
                with self.assertRaisesRegex(RedisError, "^WRONGPASS"):
                    nobody("AUTH", user, password)

    def test_settings_are_in_force(self):
        """sipherd.conf is read and means what docs/redis.md says; seen by a server of its own,
        since neither user may ask."""
        server = fixture.Server("--include", os.path.join(FOLDER, "sipherd.conf"))
        self.addCleanup(server.stop)
        with server.connect() as redis:
            def setting(name):
                return redis("CONFIG", "GET", name)[1]
            self.assertEqual(setting("maxmemory-policy"), b"noeviction")
            self.assertEqual(setting("stop-writes-on-bgsave-error"), b"no")
            self.assertEqual(setting("maxmemory-clients"), b"10%")
            self.assertEqual(setting("stream-node-max-bytes"), b"65536")
            self.assertIn(b"normal 67108864 16777216 30",
                          setting("client-output-buffer-limit"))


if __name__ == "__main__":
    fixture.need("redis-server", "redis-cli")
    unittest.main(verbosity=2)
