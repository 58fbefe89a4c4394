# SPDX-License-Identifier: BSD-3-Clause
"""What the store's tests share: a redis-server of their own, the names of STORE.md section 2,
records, and a small fleet whose every value is known."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from resp import Redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(ROOT, "store", "functions.lua")
SKIP = 77

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
        sys.exit(SKIP)


class Server:
    """A redis-server on a unix socket in a folder of its own, with the function library loaded."""

    def __init__(self, *settings, load=True):
        self.folder = tempfile.TemporaryDirectory(prefix="sipherd-redis-")
        self.socket = os.path.join(self.folder.name, "redis.sock")
        self.log = os.path.join(self.folder.name, "redis.log")
        self.process = subprocess.Popen(
            ["redis-server", *settings, "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--dir", self.folder.name, "--logfile", self.log])
        self.wait()
        if load:
            with self.connect() as redis:
                load_library(redis)

    def wait(self):
        """Until it listens, at most 10 s."""
        for _ in range(500):
            if self.process.poll() is not None:
                break
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.02)
        with open(self.log, encoding="utf-8") as log:
            raise RuntimeError("redis-server does not come up:\n" + log.read())

    def connect(self, user=None, password=None):
        redis = Redis(self.socket)
        if user:
            redis("AUTH", user, password)
        return redis

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.folder.cleanup()


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
