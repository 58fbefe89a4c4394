# SPDX-License-Identifier: BSD-3-Clause
"""What the store's tests share: a redis-server of their own, the names of STORE.md section 2,
records, and a small fleet whose every value is known."""

import os
import shutil
import struct
import sys

import servers
from resp import Redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(ROOT, "store", "functions.lua")

RECORD = 32
SHARD_PHONES = 10000
SLAB = RECORD * SHARD_PHONES

PROXIES = ["none", "primary", "redundant"]
TRIED = ["never", "primary", "redundant"]
MODES = ["asymmetric", "symmetric"]
PHASES = ["off", "boot", "registering", "waiting", "switching", "registered"]
CAUSES = ["none", "keepalive-silence", "keepalive-answer", "register-silence", "refresh-silence",
          "code", "start", "due", "registered", "refused", "reboot", "disabled", "stopped"]


def need(*tools):
    """Ends the test as skipped when a tool is missing."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        print("SKIP: not installed: " + ", ".join(missing))
        sys.exit(servers.SKIP)


class Server:
    """A redis-server on a unix socket, with the function library loaded; user and password of one
    who may load it, where that takes one."""

    def __init__(self, *settings, user=None, password=None):
        self.single = servers.single(*settings)
        self.single.__enter__()
        self.socket = self.single.server[0].socket
        self.stop = self.single.end
        with self.connect(user, password) as redis:
            load_library(redis)

    def connect(self, user=None, password=None):
        redis = Redis(self.socket)
        if user:
            redis("AUTH", user, password)
        return redis


def load_library(redis):
    with open(LIBRARY, encoding="utf-8") as library:
        redis("FUNCTION", "LOAD", "REPLACE", library.read())


class Keys:
    """Names of the keys of one fleet, without a cluster: sixteen groups."""

    def __init__(self, fleet="f1"):
        self.fleet = fleet
        self.meta, self.nodes = f"sipherd:{{{fleet}}}:meta", f"sipherd:{{{fleet}}}:nodes"

    def group(self, shard):
        return f"sipherd:{{{self.fleet}.{shard % 16:02}}}"

    def slab(self, shard):
        return f"{self.group(shard)}:s:{shard:04}"

    def lease(self, shard):
        return f"{self.group(shard)}:l:{shard:04}"

    def feed(self, shard):
        return f"{self.group(shard)}:feed"

    def flush(self, shard):
        return [self.slab(shard), self.lease(shard), self.feed(shard)]

    def node(self, node):
        return f"sipherd:{{{self.fleet}}}:node:{node}"

    def series(self, node):
        return f"sipherd:{{{self.fleet}}}:ts:{node}"

    def heartbeat(self, node):
        return [self.nodes, self.node(node), self.series(node)]


def record(registered="primary", last_tried="primary", mode="asymmetric", phase="registered",
           misses=0, cause="registered", transition=1, rtt_100us=65535, since=0,
           registrations_failed=0, failovers=0, failbacks=0, registrations_ok=0,
           keepalives_sent=0, keepalives_missed=0, version=1):
    """32 bytes as engine/record.h says."""
    first = (PROXIES.index(registered) | TRIED.index(last_tried) << 2 | MODES.index(mode) << 4 |
             version << 5)
    return (struct.pack(">BBBBHH", first, PHASES.index(phase), misses, CAUSES.index(cause),
                        transition, rtt_100us) + since.to_bytes(6, "big") +
            struct.pack(">HHHIII", registrations_failed, failovers, failbacks, registrations_ok,
                        keepalives_sent, keepalives_missed))


def pairs(flat):
    """A flat reply name, value, name, value as a dict of str."""
    words = [word.decode() if isinstance(word, bytes) else word for word in flat]
    return dict(zip(words[::2], words[1::2]))


class Fleet:
    """A fleet as one generator would have written it, through the functions. slabs is
    {shard: {phone: record}}."""

    LAYOUT = "0 registered:2 last_tried:2 mode:1 version:3; 1 phase; 2 misses; 3 cause"

    def __init__(self, redis, slabs, name="f1", phones=25000, node="lab1-0", fields=()):
        self.redis, self.keys, self.node, self.phones = redis, Keys(name), node, phones
        redis.fcall("meta", [self.keys.meta], "schema", 1, "phones", phones, "shards",
                    -(-phones // SHARD_PHONES), "shard_phones", SHARD_PHONES, "record_bytes", RECORD,
                    "groups", 16, "tags", ",".join(f"{group:02}" for group in range(16)),
                    "mode", 0, "layout", self.LAYOUT)
        self.tokens = {shard: redis.fcall("acquire", [self.keys.lease(shard)], node, 0, 3600000,
                                          1)[1] for shard in slabs}
        for shard, records in slabs.items():
            self.flush(shard, records)
        redis.fcall("heartbeat", self.keys.heartbeat(node), node, 10000,
                    '{"host":"lab1","pid":4711,"version":"1.0.0","start":1795270000000,'
                    '"shards":%d,"state":"running"}' % len(slabs), *fields)

    def flush(self, shard, records, lines=()):
        runs = [word for phone, data in sorted(records.items())
                for word in (phone % SHARD_PHONES * RECORD, data)]
        size = min(self.phones - shard * SHARD_PHONES, SHARD_PHONES) * RECORD
        return self.redis.fcall("flush", self.keys.flush(shard), self.node, self.tokens[shard],
                                shard, size, len(lines), "\n".join(lines), *runs)


SINCE = 1795270000000  # 2026-11-21T14:06:40Z


def example_record(n):
    """Phone n of the fleet that docs/redis.md shows."""
    counts = {"registrations_ok": 3, "keepalives_sent": 40}
    if n % 10 == 3:
        return record("redundant", "redundant", cause="registered", transition=5, rtt_100us=31,
                      since=SINCE + n, failovers=1, keepalives_missed=1, **counts)
    if n % 100 == 7:
        return record("none", "redundant", phase="switching", cause="keepalive-silence",
                      transition=4, since=SINCE + n, failovers=1, keepalives_missed=1, misses=1,
                      **counts)
    if n % 1000 == 999:
        return record("none", "primary", phase="waiting", cause="refused", transition=4,
                      since=SINCE + n, registrations_failed=1, **counts)
    return record(transition=3, rtt_100us=28, since=SINCE + n, **counts)


EXAMPLE_LINES = [
    "12307 P>r switching keepalive-silence 4 1795270012307",
    "12343 P>r switching keepalive-silence 4 1795270006101",
    "12343 r>r registering due 5 1795270009870",
    "12343 r>R registered registered 6 1795270012343",
]


def example_fleet(redis):
    """The fleet that docs/redis.md shows: 25,000 phones, in the middle of a fail-over."""
    shards = [range(0, 10000), range(10000, 20000), range(20000, 25000)]
    slabs = {i: {n: example_record(n) for n in phones} for i, phones in enumerate(shards)}
    slabs[1][12343] = record("redundant", "redundant", cause="registered", transition=6,
                             rtt_100us=31, since=SINCE + 12343, failovers=1, registrations_ok=3,
                             keepalives_sent=40, keepalives_missed=1)
    fleet = Fleet(redis, slabs, fields=(
        "phones_registered_primary", 22225, "phones_registered_redundant", 2500,
        "phones_switching_redundant", 250, "phones_waiting_primary", 25, "store_lag_us", 41000))
    fleet.flush(1, {}, EXAMPLE_LINES)
    return fleet

