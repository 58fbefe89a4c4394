#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""store/functions.lua against a real Redis: every function, every refusal, and the token arithmetic
of STORE.md section 4 with the rollbacks it is there for."""

import json
import os
import random
import re
import time
import unittest

import fixture
from fixture import CAUSES, MODES, PHASES, PROXIES, RECORD, SLAB, TRIED, Keys, pairs, record
from resp import RedisError

SERVER = None
KEYS = Keys()
TTL = 10000
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))


def setUpModule():
    global SERVER
    SERVER = fixture.Server()


def tearDownModule():
    SERVER.stop()


class Case(unittest.TestCase):
    def setUp(self):
        self.redis = SERVER.connect()
        self.addCleanup(self.redis.close)
        self.redis("FLUSHALL")
        self.lease = KEYS.lease(7)

    def refused(self, message, name, keys, *args):
        """The call is answered with an error that begins so, in one line."""
        with self.assertRaises(RedisError) as caught:
            self.redis.fcall(name, keys, *args)
        text = str(caught.exception)
        self.assertTrue(text.startswith(message), text)
        self.assertNotIn("user_function", text)

    def wrong(self, name, keys, *args):
        self.refused(f"ERR sipherd_{name}: ", name, keys, *args)

    def acquire(self, node, mine=0, newest=0, ttl=TTL):
        return self.redis.fcall("acquire", [self.lease], node, mine, ttl, newest)

    def held(self):
        return pairs(self.redis("HGETALL", self.lease))


class Library(Case):
    def test_version(self):
        self.assertEqual(self.redis.fcall_ro("version", []), 1)

    def test_flags(self):
        library, = self.redis("FUNCTION", "LIST", "LIBRARYNAME", "sipherd")
        listed = dict(zip(library[::2], library[1::2]))[b"functions"]
        flags = {}
        for entry in listed:
            entry = dict(zip(entry[::2], entry[1::2]))
            flags[entry[b"name"].decode()[len("sipherd_"):]] = entry[b"flags"]
        readers, writers = ["no-writes"], ["allow-oom"]
        self.assertEqual(flags, {
            "version": readers, "show": readers, "count": readers, "list": readers,
            "acquire": writers, "renew": writers, "release": writers, "flush": writers,
            "heartbeat": writers, "goodbye": writers, "meta": writers})

    def test_names_are_the_engine_s(self):
        """The words of phases and causes are those that the engine has."""
        def words(file, start):
            with open(os.path.join(fixture.ROOT, "engine", file), encoding="utf-8") as source:
                table = source.read().split(start)[1].split("};")[0]
            return re.findall(r'"([^"]+)"', table)
        self.assertEqual(words("redundancy.c", "state_names["), PHASES)
        self.assertEqual(words("record.c", "cause_names["), CAUSES)
        for phase in PHASES:
            self.redis.fcall_ro("list", ["none"], 0, f"phase={phase}", 1)
        for cause in CAUSES:
            self.redis.fcall_ro("list", ["none"], 0, f"cause={cause}", 1)

    def test_caller_without_rights(self):
        """NOPERM, whether it is the first inner command that is refused or a later one."""
        token = self.acquire("a")[1]
        for rights in ([], ["+hmget"], ["+hmget", "+strlen"]):
            self.redis("ACL", "SETUSER", "lame", "reset", "on", "nopass", "~*", "+fcall", *rights)
            with SERVER.connect("lame", "x") as lame:
                with self.assertRaisesRegex(RedisError, "^NOPERM sipherd_flush: "):
                    lame.fcall("flush", KEYS.flush(7), "a", token, 7, SLAB, 0, "")
        self.assertEqual(self.redis("EXISTS", KEYS.slab(7)), 0)

    def test_anything_at_all(self):
        """Whatever is called with whatever, the answer is one of ours."""
        print(f"seed {SEED}")
        dice = random.Random(SEED)
        words = ["", "0", "1", "-1", "1e3", "0x10", " 7", "10000", "32", "9" * 17, "\0", "{}",
                 "nan", "{\"a\":1}", "phase=off", "registered=none", "inf", "\r\n", b"\xff" * 32,
                 "a" * 320]
        names = ["version", "acquire", "renew", "release", "flush", "heartbeat", "goodbye", "meta",
                 "show", "count", "list"]
        answers = ("ERR sipherd_", "FENCED", "MISMATCH", "WRONGTYPE")
        for _ in range(4000):
            name = dice.choice(names)
            keys = [f"k{dice.randrange(6)}" for _ in range(dice.randrange(5))]
            args = [dice.choice(words) for _ in range(dice.randrange(10))]
            try:
                self.redis.fcall(name, keys, *args)
            except RedisError as error:
                self.assertTrue(str(error).startswith(answers), f"{name} {keys} {args}: {error}")


class Acquire(Case):
    def test_free(self):
        before = self.redis("TIME")
        granted, token, newest, moved, previous = self.acquire("a")
        after = self.redis("TIME")
        self.assertEqual((granted, newest, moved, previous), (1, 0, 0, b""))
        low, high = (int(t[0]) * 1000000 + int(t[1]) for t in (before, after))
        self.assertTrue(low <= token <= high)
        held = self.held()
        self.assertEqual((held["owner"], held["token"], held["base"]), ("a", str(token), "0"))
        self.assertTrue(low // 1000 + TTL <= int(held["exp"]) <= high // 1000 + TTL)
        self.assertTrue(low // 1000 <= int(held["since"]) <= high // 1000)

    def test_refused_with_owner_and_time_left(self):
        self.acquire("a")
        before = self.held()
        granted, owner, left_ms = self.acquire("b")
        self.assertEqual((granted, owner), (0, b"a"))
        self.assertTrue(0 < left_ms <= TTL)
        self.assertEqual(self.held(), before)

    def test_already_mine_reads_the_slab(self):
        first = self.acquire("a")[1]
        granted, token, newest, moved, previous = self.acquire("a")
        self.assertEqual((granted, newest, moved, previous), (1, 0, 0, b""))
        self.assertGreater(token, first)

    def test_same_tenure_has_the_newest(self):
        token = self.acquire("a")[1]
        since = self.held()["since"]
        time.sleep(0.003)
        granted, again, newest, moved, previous = self.acquire("a", mine=token)
        self.assertEqual((granted, newest, moved, previous), (1, 1, 0, b"a"))
        self.assertGreater(again, token)
        self.assertEqual(self.held()["base"], str(token))
        self.assertEqual(self.held()["since"], since)

    def test_same_tenure_though_replies_were_lost(self):
        token = self.acquire("a")[1]
        for _ in range(3):
            self.assertEqual(self.acquire("a", mine=token)[2], 1)
            self.assertEqual(self.held()["base"], str(token))

    def test_replies_lost_after_another_had_it(self):
        """a asks with what it had before b; its own lost grant does not make that newer."""
        mine = self.acquire("a", ttl=1)[1]
        time.sleep(0.005)
        self.acquire("b", ttl=1)
        time.sleep(0.005)
        for _ in range(3):
            self.assertEqual(self.acquire("a", mine=mine)[2], 0)

    def test_expired(self):
        mine = self.acquire("a", ttl=1)[1]
        since = self.held()["since"]
        time.sleep(0.005)
        granted, token, newest, moved, previous = self.acquire("b")
        self.assertEqual((granted, newest, moved, previous), (1, 0, 1, b"a"))
        self.assertEqual(self.held()["base"], str(mine))
        self.assertGreater(int(self.held()["since"]), int(since))
        # The former owner comes back while the lease is another's.
        self.assertEqual(self.acquire("a", mine=mine)[:2], [0, b"b"])
        self.assertEqual(self.held()["token"], str(token))

    def test_former_owner_after_another_reads_the_slab(self):
        mine = self.acquire("a", ttl=1)[1]
        time.sleep(0.005)
        self.acquire("b", ttl=1)
        time.sleep(0.005)
        granted, _, newest, moved, previous = self.acquire("a", mine=mine)
        self.assertEqual((granted, newest, moved, previous), (1, 0, 1, b"b"))

    def test_driver_without_a_lease_has_the_newest(self):
        self.assertEqual(self.acquire("a", newest=1, ttl=1)[2], 1)
        time.sleep(0.005)
        self.assertEqual(self.acquire("b", newest=1)[2:4], [1, 1])
        self.assertEqual(self.acquire("c", newest=1)[:2], [0, b"b"])

    def test_released(self):
        token = self.acquire("a")[1]
        self.assertEqual(self.redis.fcall("release", [self.lease], "a", token), 1)
        granted, newer, newest, moved, previous = self.acquire("b")
        self.assertEqual((granted, newest, moved, previous), (1, 0, 1, b"a"))
        self.assertGreater(newer, token)

    def test_released_and_taken_again_by_the_same(self):
        token = self.acquire("a")[1]
        self.redis.fcall("release", [self.lease], "a", token)
        self.assertEqual(self.acquire("a", mine=token)[2:], [1, 0, b"a"])

    def test_moved_until_the_slab_is_loaded(self):
        """b lost its connection while it was reading what a had left."""
        self.redis.fcall("release", [self.lease], "a", self.acquire("a")[1])
        self.acquire("b")
        granted, token, newest, moved, previous = self.acquire("b")
        self.assertEqual((granted, newest, moved, previous), (1, 0, 1, b"a"))
        self.assertEqual(self.acquire("b", mine=token)[2:], [1, 0, b"b"])

    def test_redis_lost_everything(self):
        mine = self.acquire("a")[1]
        self.redis("FLUSHALL")
        granted, token, newest, moved, previous = self.acquire("a", mine=mine)
        self.assertEqual((granted, newest, moved, previous), (1, 1, 0, b""))
        self.assertGreater(token, mine)
        self.assertEqual(self.held()["base"], str(mine))

    def test_redis_lost_everything_and_another_was_first(self):
        mine = self.acquire("a")[1]
        self.redis("FLUSHALL")
        self.acquire("b")
        granted, _, newest, moved, previous = self.acquire("a", mine=mine)
        self.assertEqual((granted, newest, moved, previous), (1, 1, 1, b"b"))

    def rolled_back(self):
        """a held it, a snapshot was taken, b took over; then Redis is back at the snapshot. Tokens
        of a and b."""
        first = self.acquire("a")[1]
        snapshot = self.redis("DUMP", self.lease)
        self.redis("HSET", self.lease, "exp", 1)
        second = self.acquire("b")[1]
        self.redis("RESTORE", self.lease, 0, snapshot, "REPLACE")
        return first, second

    def test_rollback_newest_first(self):
        first, second = self.rolled_back()
        self.assertEqual(self.acquire("b", mine=second)[2:], [1, 1, b"a"])
        self.assertEqual(self.acquire("a", mine=first)[:2], [0, b"b"])

    def test_rollback_older_first(self):
        first, second = self.rolled_back()
        granted, third, newest = self.acquire("a", mine=first)[:3]
        self.assertEqual((granted, newest), (1, 1))
        # a was granted in ignorance of b: b's memory is newer still, and a is fenced.
        self.assertEqual(self.acquire("b", mine=second)[:3:2], [1, 1])
        self.refused("FENCED the lease is held by b", "flush", KEYS.flush(7), "a", third, 7, SLAB,
                     0, "")
        self.assertEqual(self.acquire("a", mine=third)[:2], [0, b"b"])

    def test_rollback_and_a_stranger_was_first(self):
        first, second = self.rolled_back()
        self.redis("HSET", self.lease, "exp", 1)
        self.assertEqual(self.acquire("c")[2], 0)
        self.assertEqual(self.acquire("a", mine=first)[:2], [0, b"c"])
        self.assertEqual(self.acquire("b", mine=second)[:3:2], [1, 1])
        self.assertEqual(self.acquire("c")[:2], [0, b"b"])

    def test_tokens_are_exact(self):
        for token in (2 ** 53 - 4, 2 ** 53 - 12345):
            self.redis("HSET", self.lease, "owner", "", "token", token, "base", 0, "exp", 0)
            self.assertEqual(self.acquire("a", ttl=1)[1], token + 1)
            self.assertEqual(self.held()["token"], str(token + 1))
            self.assertEqual(self.held()["base"], str(token))
        mine = 2 ** 53 - 100
        self.redis("DEL", self.lease)
        self.assertEqual(self.acquire("a", mine=mine)[1], mine + 1)

    def test_wrong_calls(self):
        for args in ([], ["a", 0, TTL], ["", 0, TTL, 0], ["a", -1, TTL, 0], ["a", "", TTL, 0],
                     ["a", "1e3", TTL, 0], ["a", "9" * 16, TTL, 0], ["a", 0, 0, 0],
                     ["a", 0, "x", 0], ["a", 0, 3600001, 0], ["a", 0, TTL, 2], ["a", 0, TTL, 0, 0]):
            self.wrong("acquire", [self.lease], *args)
        self.wrong("acquire", [], "a", 0, TTL, 0)
        self.wrong("acquire", [self.lease, self.lease], "a", 0, TTL, 0)
        self.assertEqual(self.redis("EXISTS", self.lease), 0)
        self.redis("SET", self.lease, "x")
        self.refused("WRONGTYPE", "acquire", [self.lease], "a", 0, TTL, 0)


class RenewAndRelease(Case):
    def test_renew(self):
        leases = [KEYS.lease(shard) for shard in (1, 17, 33, 49)]
        tokens = [self.redis.fcall("acquire", [key], "a", 0, TTL, 0)[1] for key in leases]
        self.redis("HSET", leases[0], "exp", 1)
        self.redis("HSET", leases[1], "owner", "b")
        self.redis("HINCRBY", leases[2], "token", 1)
        self.redis("DEL", leases[3])
        now_ms = int(self.redis("TIME")[0]) * 1000
        # The first is over, but nobody took it: it is still ours.
        self.assertEqual(self.redis.fcall("renew", leases, "a", TTL, *tokens), [1, 0, 0, 0])
        self.assertGreaterEqual(int(self.redis("HGET", leases[0], "exp")), now_ms + TTL)
        self.assertEqual(self.redis("EXISTS", leases[3]), 0)

    def test_renew_wrong_calls(self):
        for args in ([], ["a"], ["a", TTL], ["a", 0, 1], ["a", "x", 1], ["", TTL, 1],
                     ["a", TTL, 1, 2]):
            self.wrong("renew", [self.lease], *args)
        self.wrong("renew", [], "a", TTL)
        self.redis("SET", self.lease, "x")
        self.refused("WRONGTYPE", "renew", [self.lease], "a", TTL, 1)

    def test_release(self):
        token = self.acquire("a")[1]
        for node, number in (("b", token), ("a", token + 1), ("a", 0)):
            self.assertEqual(self.redis.fcall("release", [self.lease], node, number), 0)
        self.assertEqual(self.held()["owner"], "a")
        self.assertEqual(self.redis.fcall("release", [self.lease], "a", token), 1)
        held = self.held()
        self.assertEqual((held["owner"], held["token"], held["exp"]), ("", str(token), "0"))
        self.assertEqual(self.redis.fcall("release", [self.lease], "a", token), 0)
        self.assertEqual(self.redis.fcall("renew", [self.lease], "a", TTL, token), [0])

    def test_release_wrong_calls(self):
        for args in ([], ["a"], ["", 1], ["a", 1, 2]):
            self.wrong("release", [self.lease], *args)
        self.wrong("release", [], "a", 1)
        self.redis("SET", self.lease, "x")
        self.refused("WRONGTYPE", "release", [self.lease], "a", 1)


class Flush(Case):
    def setUp(self):
        super().setUp()
        self.keys = KEYS.flush(7)
        self.slab, _, self.feed = self.keys
        self.token = self.acquire("a")[1]

    def flush(self, *runs, node="a", token=None, size=SLAB, nlines=0, lines=""):
        return self.redis.fcall("flush", self.keys, node, token or self.token, 7, size, nlines,
                                lines, *runs)

    def test_creates_the_slab_at_full_size(self):
        self.assertEqual(self.flush(64, b"x" * 32), 2)
        self.assertEqual(self.redis("GET", self.slab), bytes(64) + b"x" * 32 + bytes(SLAB - 96))
        self.assertEqual(self.flush(0, b"y" * 64, SLAB - 32, b"z" * 32), 1)
        self.assertEqual(self.redis("GET", self.slab),
                         b"y" * 64 + b"x" * 32 + bytes(SLAB - 128) + b"z" * 32)
        self.assertEqual(self.redis("EXISTS", self.feed), 0)

    def test_short_slab(self):
        self.redis("SET", self.slab, b"x" * 100)
        self.assertEqual(self.flush(), 2)
        self.assertEqual(self.redis("GET", self.slab), b"x" * 100 + bytes(SLAB - 100))
        self.assertEqual(self.flush(), 1)

    def test_smaller_shard(self):
        self.assertEqual(self.flush(size=3200), 2)
        self.assertEqual(self.redis("STRLEN", self.slab), 3200)

    def test_feed(self):
        lines = "70003 P>r switching keepalive-silence 4 1795270402508\nRESYNC"
        self.flush(nlines=2, lines=lines)
        self.flush(96, b"x" * 32, nlines=1, lines="RESYNC")
        (_, first), (_, second) = self.redis("XRANGE", self.feed, "-", "+")
        self.assertEqual(first, [b"s", b"7", b"n", b"2", b"d", lines.encode()])
        self.assertEqual(second, [b"s", b"7", b"n", b"1", b"d", b"RESYNC"])

    def test_feed_is_cut(self):
        call = ["FCALL", "sipherd_flush", 3, *self.keys, "a", self.token, 7, SLAB, 1, "RESYNC"]
        for _ in range(13):
            self.redis.pipeline([call] * 1000)
        self.assertTrue(10000 <= self.redis("XLEN", self.feed) <= 10200)

    def test_feed_of_long_entries_is_shorter(self):
        """A storm must not fill the memory: about 8 MiB per group, whatever an entry holds."""
        lines = "\n".join(["1234567 P>r switching keepalive-silence 17 1795270402508"] * 400)
        call = ["FCALL", "sipherd_flush", 3, *self.keys, "a", self.token, 7, SLAB, 400, lines]
        self.redis.pipeline([call] * 600)
        self.assertTrue(300 <= self.redis("XLEN", self.feed) <= 400)
        self.assertLess(self.redis("MEMORY", "USAGE", self.feed, "SAMPLES", 0), 12 * 1024 * 1024)

    def test_fenced(self):
        self.flush(0, b"x" * 32)
        before = self.redis("GET", self.slab)
        run = (0, b"y" * 32)
        for node, token in (("a", self.token + 1), ("b", self.token)):
            self.refused("FENCED the lease is held by a", "flush", self.keys, node, token, 7, SLAB,
                         1, "RESYNC", *run)
        self.redis.fcall("release", [self.lease], "a", self.token)
        for _ in range(2):
            self.refused("FENCED the lease is nobody's", "flush", self.keys, "a", self.token, 7,
                         SLAB, 1, "RESYNC", *run)
            self.redis("DEL", self.lease)
        self.assertEqual(self.redis("GET", self.slab), before)
        self.assertEqual(self.redis("EXISTS", self.feed), 0)

    def test_over_but_not_taken(self):
        self.redis("HSET", self.lease, "exp", 1)
        self.assertEqual(self.flush(0, b"x" * 32), 2)

    def test_stale_after_a_take_over(self):
        self.redis("HSET", self.lease, "exp", 1)
        self.acquire("b")
        self.refused("FENCED the lease is held by b", "flush", self.keys, "a", self.token, 7, SLAB,
                     0, "", 0, b"x" * 32)

    def test_wrong_calls_write_nothing(self):
        good = ["a", self.token, 7, SLAB, 0, ""]
        for tail in ([1], [0, b"x" * 31], [0, b""], [16, b"x" * 32], [-32, b"x" * 32],
                     ["x", b"x" * 32], ["", b"x" * 32], [SLAB, b"x" * 32], [SLAB - 32, b"x" * 64],
                     [0, b"x" * 32, 32, b"x" * 33], ["inf", b"x" * 32], ["nan", b"x" * 32],
                     ["1e99", b"x" * 32], ["0x20", b"x" * 32], [" 32", b"x" * 32],
                     ["32.0", b"x" * 32], ["032", b"x" * 32], ["-0", b"x" * 32]):
            self.wrong("flush", self.keys, *good, *tail)
        for args in ([], good[:5], ["a", self.token, 7, 0, 0, ""], ["a", self.token, 7, 33, 0, ""],
                     ["a", self.token, 7, SLAB + 32, 0, ""], ["a", self.token, "x", SLAB, 0, ""],
                     ["a", self.token, 7, SLAB, "x", ""], ["a", self.token, 7, SLAB, -1, ""]):
            self.wrong("flush", self.keys, *args)
        self.wrong("flush", self.keys[:2], *good)
        self.assertEqual(self.redis("EXISTS", self.slab), 0)

    def test_wrong_types(self):
        self.redis("LPUSH", self.slab, "x")
        self.refused("WRONGTYPE", "flush", self.keys, "a", self.token, 7, SLAB, 0, "")
        self.redis("SET", self.lease, "x")
        self.refused("WRONGTYPE", "flush", self.keys, "a", self.token, 7, SLAB, 0, "")

    def test_many_runs_in_one_call(self):
        dice = random.Random(1)
        expected, runs = bytearray(SLAB), []
        for phone in range(0, 10000, 2):
            data = dice.randbytes(32)
            runs += [phone * RECORD, data]
            expected[phone * RECORD:phone * RECORD + 32] = data
        self.assertEqual(self.flush(*runs), 2)
        self.assertEqual(self.redis("GET", self.slab), expected)

    def test_memory_is_full(self):
        """allow-oom: what is written in place must go on, and so must leases."""
        self.flush()
        self.redis("CONFIG", "SET", "maxmemory", 1)
        self.addCleanup(self.redis, "CONFIG", "SET", "maxmemory", 0)
        with self.assertRaisesRegex(RedisError, "^OOM"):
            self.redis("SET", "x", "y")
        self.assertEqual(self.flush(0, b"x" * 32, nlines=1, lines="RESYNC"), 1)
        self.assertEqual(self.redis.fcall("renew", [self.lease], "a", TTL, self.token), [1])
        token = self.acquire("a", mine=self.token)[1]
        self.assertEqual(
            self.redis.fcall("heartbeat", KEYS.heartbeat("a"), "a", TTL, "{}", "x", 1)[2], b"a")
        self.assertEqual(self.redis.fcall("release", [self.lease], "a", token), 1)
        self.assertEqual(self.redis.fcall("goodbye", KEYS.heartbeat("a")[:2], "a"), 1)


class Nodes(Case):
    def heartbeat(self, node, *fields, text="{}", ttl=TTL):
        return self.redis.fcall("heartbeat", KEYS.heartbeat(node), node, ttl, text, *fields)

    def put(self, node, age_ms):
        now_ms = int(self.redis("TIME")[0]) * 1000
        self.redis("HSET", KEYS.nodes, node, json.dumps({"heartbeat": now_ms - age_ms}))

    def test_live_nodes(self):
        self.heartbeat("a")
        before = int(self.redis("TIME")[0]) * 1000
        now_ms, known, *live = self.heartbeat("b", text='{"host": "h", "pid": 7, "sub": {"x": [1]}}')
        self.assertTrue(before <= now_ms < before + 60000)
        self.assertEqual((known, sorted(live)), (0, [b"a", b"b"]))
        node = json.loads(self.redis("HGET", KEYS.nodes, "b"))
        self.assertEqual(node, {"host": "h", "pid": 7, "sub": {"x": [1]}, "heartbeat": now_ms})
        self.assertEqual(json.loads(self.redis("HGET", KEYS.nodes, "a")).keys(), {"heartbeat"})

    def test_who_was_live_before(self):
        self.assertEqual(self.heartbeat("a")[1], 0)
        self.assertEqual(self.heartbeat("a")[1], 1)
        self.put("a", TTL + 100)      # an old snapshot
        self.assertEqual([self.heartbeat("a")[1] for _ in range(2)], [0, 1])
        self.redis("HSET", KEYS.nodes, "a", "garbage")
        self.assertEqual([self.heartbeat("a")[1] for _ in range(2)], [0, 1])
        for text, known in (('{"start":7}', 2), ('{"start":7}', 1), ('{"start":8}', 2)):
            self.assertEqual(self.heartbeat("a", text=text)[1], known)
        self.redis("FLUSHALL")
        self.assertEqual([self.heartbeat("a")[1] for _ in range(2)], [0, 1])

    def test_the_silent_and_the_forgotten(self):
        self.put("late", 20000)
        self.put("hour", 3700000)
        self.put("ahead", -5000)      # another server's clock before a fail-over
        self.put("far-ahead", -3700000)
        self.redis("HSET", KEYS.nodes, "garbage", "{", "number", "7", "text", '{"heartbeat":"x"}')
        self.assertEqual(sorted(self.heartbeat("a")[2:]), [b"a", b"ahead"])
        self.assertEqual(sorted(self.redis("HKEYS", KEYS.nodes)), [b"a", b"ahead", b"late"])

    def test_aggregates(self):
        now_ms = self.heartbeat("a", "phones", 10, "registered", 7)[0]
        self.heartbeat("a", "phones", 11, "registered", 8)
        self.assertEqual(pairs(self.redis("HGETALL", KEYS.node("a"))),
                         {"phones": "11", "registered": "8"})
        entries = self.redis("XRANGE", KEYS.series("a"), "-", "+")
        self.assertEqual([entry[1] for entry in entries],
                         [[b"phones", b"10", b"registered", b"7"],
                          [b"phones", b"11", b"registered", b"8"]])
        self.assertLess(abs(int(entries[0][0].split(b"-")[0]) - now_ms), 1000)
        for key in (KEYS.node("a"), KEYS.series("a")):
            self.assertTrue(86000000 < self.redis("PTTL", key) <= 86400000)

    def test_series_keeps_a_day(self):
        old_ms = int(self.redis("TIME")[0]) * 1000 - 2 * 86400000
        self.redis.pipeline([["XADD", KEYS.series("a"), old_ms + i, "x", i] for i in range(250)])
        self.heartbeat("a", "x", 1)
        self.assertLess(self.redis("XLEN", KEYS.series("a")), 101)

    def test_wrong_calls(self):
        keys = KEYS.heartbeat("a")
        for args in ([], ["a", TTL], ["a", TTL, "{}", "x"], ["", TTL, "{}"], ["a", 0, "{}"],
                     ["a", "x", "{}"], ["a", TTL, ""], ["a", TTL, "x"], ["a", TTL, "[1]"],
                     ["a", TTL, "{"], ["a", TTL, "{}}"], ["a", TTL, '{"a":1},{"b":2}'],
                     ["a", TTL, "{x}"], ["a", TTL, "{}"] + ["x"] * 2002):
            self.wrong("heartbeat", keys, *args)
        self.wrong("heartbeat", keys[:2], "a", TTL, "{}")
        self.assertEqual(self.redis("DBSIZE"), 0)
        self.heartbeat("a", *["x"] * 2000)

    def test_goodbye(self):
        self.heartbeat("a", "x", 1)
        self.heartbeat("b", "x", 1)
        self.assertEqual(self.redis.fcall("goodbye", [KEYS.nodes, KEYS.node("a")], "a"), 1)
        self.assertEqual(self.redis("HKEYS", KEYS.nodes), [b"b"])
        self.assertEqual(self.redis("EXISTS", KEYS.node("a")), 0)
        self.assertEqual(self.redis("XLEN", KEYS.series("a")), 1)
        for keys, args in (([KEYS.nodes], ["a"]), (KEYS.heartbeat("a"), ["a"]),
                           ([KEYS.nodes, KEYS.node("a")], []),
                           ([KEYS.nodes, KEYS.node("a")], [""])):
            self.wrong("goodbye", keys, *args)


class Meta(Case):
    AGREED = {"schema": "1", "phones": "25000", "shard_phones": "10000", "record_bytes": "32",
              "groups": "16", "tags": "00 01"}

    def meta(self, fields):
        return self.redis.fcall("meta", [KEYS.meta],
                                *[word for pair in fields.items() for word in pair])

    def test_made_and_compared(self):
        self.assertEqual(self.meta({**self.AGREED, "mode": "symmetric"}), 1)
        self.assertEqual(self.meta({**self.AGREED, "mode": "asymmetric"}), 1)
        self.assertEqual(pairs(self.redis("HGETALL", KEYS.meta)),
                         {**self.AGREED, "mode": "asymmetric"})

    def test_mismatch(self):
        self.meta({**self.AGREED, "mode": "symmetric"})
        for field, value in self.AGREED.items():
            with self.assertRaisesRegex(RedisError, f"^MISMATCH {field} {value} other$"):
                self.meta({"mode": "x", **self.AGREED, field: "other"})
        self.assertEqual(self.redis("HGET", KEYS.meta, "mode"), b"symmetric")

    def test_wrong_calls(self):
        for keys, args in (([], ["schema", 1]), ([KEYS.meta], []), ([KEYS.meta], ["schema"]),
                           ([KEYS.meta], ["x"] * 2002)):
            self.wrong("meta", keys, *args)
        self.redis("SET", KEYS.meta, "x")
        self.refused("WRONGTYPE", "meta", [KEYS.meta], "schema", 1)


class Reading(Case):
    def test_show(self):
        slab = KEYS.slab(3)
        self.redis("SETRANGE", slab, SLAB - 1, b"\0")
        self.redis("SETRANGE", slab, 17 * RECORD, record(
            "redundant", "redundant", "symmetric", "registered", 2, "registered", 65535, 123,
            1795270402508, 1, 20, 300, 4000000000, 5, 6))
        self.assertEqual(pairs(self.redis.fcall_ro("show", [slab], 30017)), {
            "phone": "30017", "registered": "redundant", "last_tried": "redundant",
            "mode": "symmetric", "phase": "registered", "misses": "2", "cause": "registered",
            "transition": "65535", "rtt_ms": "12.3", "since": "1795270402508",
            "since_utc": "2026-11-21T14:13:22.508Z", "registrations_failed": "1",
            "failovers": "20", "failbacks": "300", "registrations_ok": "4000000000",
            "keepalives_sent": "5", "keepalives_missed": "6"})
        self.assertIsNone(self.redis.fcall_ro("show", [slab], 30018))
        self.assertIsNone(self.redis.fcall_ro("show", [KEYS.slab(4)], 40000))

    def test_show_words(self):
        slab = KEYS.slab(0)
        def shown(**fields):
            self.redis("SET", slab, record(**fields))
            return pairs(self.redis.fcall_ro("show", [slab], 0))
        for names, word in ((PROXIES, "registered"), (TRIED, "last_tried"), (MODES, "mode"),
                            (PHASES, "phase"), (CAUSES, "cause")):
            for name in names:
                self.assertEqual(shown(**{word: name})[word], name)
        for rtt, text in ((0, "0.0"), (65533, "6553.3"), (65534, ">6553.3"), (65535, "-")):
            self.assertEqual(shown(rtt_100us=rtt)["rtt_ms"], text)
        for since, text in ((0, "-"), (951782400000, "2000-02-29T00:00:00.000Z"),
                            (1, "1970-01-01T00:00:00.001Z"),
                            (4102444799999, "2099-12-31T23:59:59.999Z")):
            self.assertEqual(shown(since=since)["since_utc"], text)
        # Words of a later engine are numbers here.
        data = bytearray(record())
        data[1], data[3] = 200, 201
        self.redis("SET", slab, data)
        later = pairs(self.redis.fcall_ro("show", [slab], 0))
        self.assertEqual((later["phase"], later["cause"]), ("200", "201"))

    def test_show_wrong_calls(self):
        slab = KEYS.slab(0)
        for keys, args in (([], [1]), ([slab], []), ([slab], ["x"]), ([slab], [-1]),
                           ([slab], [1, 2]), ([slab], [2 ** 32]), ([slab], [1.5])):
            self.wrong("show", keys, *args)
        self.redis("SET", slab, record(version=2))
        self.refused("ERR sipherd_show: the record is of version 2", "show", [slab], 0)
        self.redis("SET", slab, record()[:31])
        self.assertIsNone(self.redis.fcall_ro("show", [slab], 0))
        self.redis("DEL", slab)
        self.redis("HSET", slab, "x", 1)
        self.refused("WRONGTYPE", "show", [slab], 0)

    def fill(self, dice, shard):
        """A slab of random records, some never written; the records' fields."""
        fields, data = [], bytearray()
        for _ in range(10000):
            if dice.random() < 0.3:
                fields.append(None)
                data += bytes(RECORD)
                continue
            one = {"registered": dice.choice(PROXIES), "last_tried": dice.choice(TRIED),
                   "mode": dice.choice(MODES), "phase": dice.choice(PHASES),
                   "cause": dice.choice(CAUSES)}
            fields.append(one)
            data += record(**one, since=dice.randrange(2 ** 48), transition=dice.randrange(65536))
        self.redis("SET", KEYS.slab(shard), data)
        return fields

    def test_count_and_list(self):
        print(f"seed {SEED}")
        dice = random.Random(SEED)
        fields = [one for shard in (2, 3) for one in self.fill(dice, shard)]
        written = [one for one in fields if one]
        expected = {"phones": len(written)}
        for word, names in (("registered", PROXIES), ("last_tried", TRIED), ("phase", PHASES)):
            for name in names:
                expected[f"{word}={name}"] = sum(one[word] == name for one in written)
        slabs = [KEYS.slab(2), KEYS.slab(3), KEYS.slab(4)]
        self.assertEqual(pairs(self.redis.fcall_ro("count", slabs)), expected)
        for word, names in (("registered", PROXIES), ("last_tried", TRIED), ("mode", MODES),
                            ("phase", PHASES), ("cause", CAUSES)):
            for name in names:
                wanted = [30000 + i for i, one in enumerate(fields[10000:]) if one and
                          one[word] == name]
                for limit in (1, 3, 10000):
                    self.assertEqual(
                        self.redis.fcall_ro("list", [slabs[1]], 30000, f"{word}={name}", limit),
                        wanted[:limit])

    def test_nothing_there(self):
        empty = pairs(self.redis.fcall_ro("count", [KEYS.slab(0)]))
        self.assertEqual(set(empty.values()), {0})
        self.assertEqual(self.redis.fcall_ro("list", [KEYS.slab(0)], 0, "phase=off", 5), [])

    def test_count_and_list_wrong_calls(self):
        slab = KEYS.slab(0)
        self.wrong("count", [])
        self.wrong("count", [slab], "x")
        self.wrong("count", [slab] * 17)
        self.redis.fcall_ro("count", [slab] * 16)
        for keys, args in (([], [0, "phase=off", 1]), ([slab], [0, "phase=off"]),
                           ([slab], [1, "phase=off", 1]), ([slab], ["x", "phase=off", 1]),
                           ([slab], [0, "phase=on", 1]), ([slab], [0, "colour=red", 1]),
                           ([slab], [0, "phase", 1]), ([slab], [0, "registered=?", 1]),
                           ([slab], [0, "", 1]), ([slab], [0, "phase=off", 0]),
                           ([slab], [0, "phase=off", 10001]), ([slab], [0, "phase=off", "x"])):
            self.wrong("list", keys, *args)
        self.redis("HSET", slab, "x", 1)
        self.refused("WRONGTYPE", "count", [slab])
        self.refused("WRONGTYPE", "list", [slab], 0, "phase=off", 1)

    def test_readers_cannot_write(self):
        for name in ("acquire", "renew", "release", "flush", "heartbeat", "goodbye", "meta"):
            with self.assertRaisesRegex(RedisError, "write flag using"):
                self.redis.fcall_ro(name, ["k"], "x")


if __name__ == "__main__":
    fixture.need("redis-server", "redis-cli")
    unittest.main(verbosity=2)
