#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Totals of a fleet, live:  monitor.py FLEET unix:SOCKET|HOST:PORT [SECONDS]   (docs/redis.md)"""
import os, socket, sys, time
from collections import Counter
PROXY = {"-": 0, "p": 4, "P": 5, "r": 8, "R": 10}  # last tried; capital: registered there
fleet, where, seconds = sys.argv[1], sys.argv[2], float((sys.argv + ["inf"])[3])
unix = where.startswith("unix:")
link = socket.socket(socket.AF_UNIX) if unix else socket.create_connection(where.rsplit(":", 1))
if unix:
    link.connect(where[5:])
replies = link.makefile("rb")

def read():
    line = replies.readline()
    if line[:1] == b"$":
        return None if line[1:2] == b"-" else replies.read(int(line[1:]) + 2)[:-2]
    if line[:1] == b"*":
        return [read() for _ in range(int(line[1:]))]
    return line[1:-2] if line[:1] in (b"+", b":") else sys.exit(line.decode() or "Redis is gone")

def redis(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
    return read()

def load(shard):
    return bytearray(redis("GET", f"{group[shard % len(group)]}:s:{shard:04}") or b"")

def follow(shard, line):
    if line != "RESYNC":
        phone, ends, _, _, number, _ = line.split()
        slab, at = slabs[shard], int(phone) % 10000 * 32
        ahead = (int(number) - int.from_bytes(slab[at + 4:at + 6], "big")) % 65536
        if ahead == 0 or ahead > 32767:
            return  # the slab knew it already
        if ahead == 1 and slab[at:] and slab[at] >> 5:
            slab[at] = slab[at] & 0xf0 | PROXY[ends[-1]]
            slab[at + 4:at + 6] = int(number).to_bytes(2, "big")
            return
    print(f"reload shard {shard}: {line}", flush=True)
    slabs[shard] = load(shard)

if "REDIS_PASSWORD" in os.environ:
    redis("AUTH", os.environ.get("REDIS_USER", "sipherd-monitor"), os.environ["REDIS_PASSWORD"])
meta = redis("HGETALL", f"sipherd:{{{fleet}}}:meta") or sys.exit(f"no fleet is called {fleet}")
meta = dict(zip(meta[::2], meta[1::2]))
group = [f"sipherd:{{{fleet}.{tag}}}" for tag in meta[b"tags"].decode().split(",")]
said, end, seen = None, time.time() + seconds, {}
for feed in (f"{g}:feed".encode() for g in group):  # the last entries, noted before slabs are read
    seen[feed] = (redis("XREVRANGE", feed, "+", "-", "COUNT", 1) or [[b"0"]])[0][0]
slabs = {shard: load(shard) for shard in range(int(meta[b"shards"]))}
while time.time() < end:
    said, last = Counter(b & 3 for slab in slabs.values() for b in slab[::32] if b >> 5), said
    if said != last:
        print(f"primary {said[1]}, redundant {said[2]}, nowhere {said[0]}", flush=True)
    for feed, entries in redis("XREAD", "BLOCK", 500, "STREAMS", *seen, *seen.values()):
        for seen[feed], (_, shard, _, _, _, lines) in entries:
            for line in lines.decode().splitlines():
                follow(int(shard), line)
