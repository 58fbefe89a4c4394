# SPDX-License-Identifier: BSD-3-Clause
"""The store as the tests see it: a redis-server of their own, and records wherever they are kept."""

import collections
import os
import struct
import sys

import lab as lab_room
from lab import Failure

# Behind our own folder, which has a lab, too.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "store"))
import layout  # noqa: E402
import resp  # noqa: E402

RECORD = 32
SHARD = 10000

# tried: the proxy last tried, 0 never, 1 primary, 2 redundant. since: of the last transition, unix ms.
Record = collections.namedtuple("Record", "tried since")


class Redis:
    """redis-server on a unix socket, with a connection to it: ask("GET", "key")."""

    def __init__(self, lab):
        lab_room.need("redis-server")
        self.path = os.path.join(lab.folder, "redis.sock")
        self.url = "unix:" + self.path
        argv = ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "",
                "--appendonly", "no", "--dir", lab.folder, "--enable-debug-command", "no"]
        self.process = lab.start("redis", argv)
        self.ask = None
        lab_room.wait_until("redis is up", self._up, 15, 0.05)

    def _up(self):
        if not self.process.running():
            raise Failure("redis-server ended by itself\n" + self.process.tail())
        try:
            self.ask = resp.Redis(self.path)
            return self.ask("PING") == "PONG", f"pid {self.process.pid}"
        except OSError as error:
            return False, str(error)

    def owners(self, fleet, phones):
        """{shard: the node that holds its lease}, those that have run out left out."""
        seconds, micros = self.ask("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        found = {}
        for shard in range((phones + SHARD - 1) // SHARD):
            owner, end = self.ask("HMGET", layout.key("l", shard, fleet), "owner", "exp")
            if owner and int(end) > now_ms:
                found[shard] = owner.decode()
        return found

    def records(self, fleet, phones):
        slabs = [self.ask("GET", layout.key("s", shard, fleet)) or b""
                 for shard in range((phones + SHARD - 1) // SHARD)]
        return parse_records(b"".join(slab.ljust(SHARD * RECORD, b"\0") for slab in slabs), phones)


def parse_records(data, phones):
    """Records as STORE.md lays them out; None for one that was never written."""
    found = []
    for n in range(phones):
        first, = data[n * RECORD:n * RECORD + 1]
        since, = struct.unpack_from("!Q", b"\0\0" + data[n * RECORD + 8:n * RECORD + 14])
        found.append(Record(first >> 2 & 3, since) if first >> 5 else None)
    return found


def image_path(state, fleet):
    paths = [entry.path for entry in os.scandir(state) if entry.name.startswith(fleet + ".")
             and entry.name.endswith(".image")]
    if len(paths) != 1:
        raise Failure(f"{state}: {len(paths)} image files of {fleet}, not one")
    return paths[0]


def image_records(state, fleet, phones):
    """The records are the end of the file."""
    with open(image_path(state, fleet), "rb") as file:
        data = file.read()
    stated, = struct.unpack_from("=I", data, 24)
    if stated != phones:
        raise Failure(f"image file of {stated} phones, not {phones}")
    return parse_records(data[-phones * RECORD:], phones)
