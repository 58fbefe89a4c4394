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


def install(redis, slabs, fleet="f1", phones=25000, node="lab1-0", fields=(), lines=()):
    """A fleet as one generator would have written it: slabs is {shard: {phone: record}}, lines is
    [(shard, text)]. Everything goes through the functions. The leases' tokens."""
    keys, tokens = Keys(fleet), {}
    redis.fcall("meta", [keys.meta], "schema", 1, "phones", phones, "shard_phones", SHARD_PHONES,
                "record_bytes", RECORD, "groups", 16, "mode", "asymmetric")
    for shard, records in slabs.items():
        tokens[shard] = redis.fcall("acquire", [keys.lease(shard)], node, 0, 10000, 1)[1]
        runs = [word for phone, data in sorted(records.items())
                for word in (phone % SHARD_PHONES * RECORD, data)]
        redis.fcall("flush", keys.flush(shard), node, tokens[shard], shard, SLAB, 0, "", *runs)
    for shard, text in lines:
        redis.fcall("flush", keys.flush(shard), node, tokens[shard], shard, SLAB,
                    text.count("\n") + 1, text)
    redis.fcall("heartbeat", keys.heartbeat(node), node, 10000,
                '{"host":"lab1","pid":4711,"version":"1.0.0","state":"running","shards":%d}'
                % len(slabs), *fields)
    return tokens
