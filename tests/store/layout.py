# SPDX-License-Identifier: BSD-3-Clause
"""Names of the keys (STORE.md section 2), written down a second time on purpose."""

import binascii
import functools

SLOTS = 16384


def slot(key):
    tag = key.split("{", 1)[1].split("}", 1)[0] if "{" in key else key
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def tag(fleet, group, cluster):
    if not cluster:
        return f"{group:02d}"
    text, k = f"{group:03d}", 0
    while slot(f"{fleet}.{text}") // (SLOTS // 256) != group:
        k += 1
        text = f"{group:03d}.{k}"
    return text


@functools.lru_cache(None)
def key(kind, shard, fleet="f1", cluster=False):
    group = shard % (256 if cluster else 16)
    return f"sipherd:{{{fleet}.{tag(fleet, group, cluster)}}}:{kind}:{shard:04d}"
