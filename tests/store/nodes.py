# SPDX-License-Identifier: BSD-3-Clause
"""Generators without SIP (tests/store/node.c) as seen by a test: started, commanded, looked into, and
compared with Redis."""

import mmap
import os
import queue
import signal
import struct
import subprocess
import threading
import time

SHARD = 10000
RECORD = 32
SESSIONS = 8192
# What must be equal as soon as every transition has arrived: words 0 to 2, without the round trip.
# Counts and round trips may wait for the sweep.
EXACT_AT_ONCE = bytes([255] * 6 + [0] * 2 + [255] * 16 + [0] * 8)


# AddressSanitizer keeps freed memory back, up to 256 MB: that is no growth of ours.
SANITIZER = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"),
                                                    "quarantine_size_mb=2"]))}


class Died(Exception):
    """A node ended when nobody had asked it to."""


def masked(data, mask):
    count = len(data) // RECORD
    return int.from_bytes(data, "big") & int.from_bytes(mask * count, "big")


class Node:
    """One node process."""

    def __init__(self, binary, folder, name, target, phones, seed, *, ttl_ms=10000, image=False,
                 fleet="f1", workers=2, mode="asymmetric", sessions=False, environment=None,
                 wrapper=(), shared=None):
        self.name, self.phones, self.said = name, phones, []
        self.shards = (phones + SHARD - 1) // SHARD
        self.log = open(os.path.join(folder, f"{name}.log"), "ab")
        self.sessions_path = os.path.join(folder, f"{name}.sessions") if sessions else None
        self.workers = workers
        words = [*wrapper, binary, "--target", target, "--fleet", fleet, "--phones", phones,
                 "--seed", seed, "--ttl", ttl_ms, "--workers", workers, "--mode", mode]
        # Pages of a file on a disk are at times locked while they are written back, and a worker that
        # writes to one then waits: records live in memory.
        shared = shared or folder
        if image:
            words += ["--image", os.path.join(shared, name)]
        else:
            words += ["--node", name, "--records", os.path.join(shared, f"{name}.records")]
        if sessions:
            words += ["--sessions", self.sessions_path]
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, env={**os.environ, **SANITIZER, **(environment or {})})
        self.answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        offset, path = self._answer("records", 20).split(" ", 1)
        self.offset = int(offset)
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def _listen(self):
        for line in self.process.stdout:
            word, _, rest = line.decode(errors="replace").rstrip("\n").partition(" ")
            if word == "say":
                self.said.append((time.monotonic(), rest))
                self.log.write(b"%.3f " % time.monotonic() + line)
                self.log.flush()
            else:
                self.answers.put((word, rest))
        self.answers.put(("end", ""))

    def _answer(self, expected, timeout):
        try:
            word, rest = self.answers.get(timeout=timeout)
        except queue.Empty:
            raise Died(f"{self.name} did not answer for {timeout} s") from None
        if word != expected:
            self.process.wait(5)
            raise Died(f"{self.name} ended with status {self.process.returncode}; see its log")
        return rest

    def ask(self, *words, timeout=20):
        self.process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())
        self.process.stdin.flush()
        rest = self._answer("ok", timeout)
        return dict(pair.split("=", 1) for pair in rest.split()) if rest else {}

    def status(self):
        return {name: int(value) for name, value in self.ask("status").items()}

    def driven(self):
        return {i for i, flag in enumerate(self.ask("driven")["driven"]) if flag == "1"}

    def wait(self, what, timeout=30, **wanted):
        """Until these values of the status are as wanted."""
        end = time.monotonic() + timeout
        while True:
            status = self.status()
            if all(status[name] == value for name, value in wanted.items()):
                return status
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: {what}: {status}; said {self.said[-5:]}")
            time.sleep(0.01)

    def records(self, shard):
        first = shard * SHARD
        begin = self.offset + first * RECORD
        return self.map[begin:begin + min(SHARD, self.phones - first) * RECORD]

    def memory(self):
        """Bytes of its own: without files, and thus without the records."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        return 0

    def sessions(self):
        """(shard, first, last) in us of CLOCK_MONOTONIC, of each time that a worker drove a shard."""
        out = []
        with open(self.sessions_path, "rb") as file:
            for shard, used, first, last in struct.iter_unpack("=IIQQ", file.read()):
                if used:
                    out.append((shard, first, last))
        return out

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def quit(self, timeout=20):
        """The ordinary end; the exit status must be 0 and must come."""
        self.process.stdin.close()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {timeout} s") from None
        if status != 0:
            raise Died(f"{self.name} ended with status {status}; see its log")

    def discard(self):
        """After a failure, or after the test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.map.close()


def differing(slabs, nodes, shards, exact):
    """Shards of these whose slab in Redis is not what the node that drives them has. slabs: function
    from shards to their bytes."""
    owner = {}
    for node in nodes:
        for shard in node.driven():
            owner[shard] = node if shard not in owner else None
    out = set()
    for shard, slab in zip(shards, slabs(shards)):
        node = owner.get(shard)
        if node is None or not isinstance(slab, bytes):
            out.add(shard)
            continue
        truth = node.records(shard)
        if slab == truth:
            continue
        if exact or len(slab) != len(truth) or \
                masked(slab, EXACT_AT_ONCE) != masked(truth, EXACT_AT_ONCE):
            out.add(shard)
    return out


def phones_differing(slab, truth):
    return [i for i in range(len(truth) // RECORD)
            if slab[i * RECORD:(i + 1) * RECORD] != truth[i * RECORD:(i + 1) * RECORD]]
