# SPDX-License-Identifier: BSD-3-Clause
"""The Redis of a long run, and whether what it has is what the engine has."""
import collections
import mmap
import os
import subprocess
import time

from measure import Failure

RECORD, SHARD_PHONES = 32, 10000  # docs/redis.md
RECORDS_AT = 4096 + 131072 * 8    # store/image.c: where the records of an image file begin
# What a transition writes: not the misses, the last round trip and the counts of keep-alives, which sweeps bring later.
SETTLED = bytes([255, 255, 0, 255, 255, 255, 0, 0] + 16 * [255] + 8 * [0])
REGISTERED = ("nowhere", "primary", "redundant")


class Redis:
    def __init__(self, folder):
        self.folder, self.socket = folder, os.path.join(folder, "redis.sock")
        self.log = os.path.join(folder, "redis.log")
        self.argv = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                     "--appendonly", "no", "--maxmemory-policy", "noeviction", "--logfile", self.log, "--dir",
                     folder]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise Failure("redis-server did not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, check=True,
                              timeout=60).stdout

    def slabs(self):
        """The key of each shard's slab, by its number."""
        keys = self.ask("--scan", "--pattern", "*:s:*").decode().split()
        return [key for _, key in sorted((int(key.rsplit(":", 1)[1]), key) for key in keys)]

    def compare(self, image, phones):
        """Phones of Redis by the proxy they are at, and how many have another record than the image file,
        which the engine writes."""
        there, differ = collections.Counter(), 0
        with open(image, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for number, key in enumerate(self.slabs()):
                count = min(SHARD_PHONES, phones - number * SHARD_PHONES)
                begin = RECORDS_AT + number * SHARD_PHONES * RECORD
                stored = self.ask("GET", key)[:count * RECORD]
                there.update(first & 3 for first in stored[::RECORD])
                differ += differing(stored, mapped[begin:begin + count * RECORD])
        return {**{"redis " + REGISTERED[at]: n for at, n in there.items()}, "redis differs": differ}


def differing(a, b):
    mask = int.from_bytes(SETTLED * (len(a) // RECORD), "big")
    if not (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")) & mask:
        return 0
    keep = int.from_bytes(SETTLED, "big")
    return sum(1 for at in range(0, len(a), RECORD)
               if (int.from_bytes(a[at:at + RECORD], "big") ^ int.from_bytes(b[at:at + RECORD], "big")) & keep)
