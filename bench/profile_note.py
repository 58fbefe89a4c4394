# SPDX-License-Identifier: BSD-3-Clause
"""What stands between a figure and its target: the costliest functions, where there is perf."""
import os
import re
import shutil
import subprocess
import tempfile

from measure import FIRST, LAST, pinned, program

SHOWN = 8
THREAD_SHOWN = 10  # percent of all samples
# The sampler's own loop, and what a figure is compared with.
NOT_OURS = ("sampler_run", "calibrate", "calibrate.constprop.0", "sample_copy", "sample_chain", "sample_ahead")


def _command(name, o):
    """What is worth a profile, when it has set itself up, in ms, and on which processors."""
    link, apart = [program("link"), "100000", "4"], [program("link"), "4000", "4", "1", "apart"]
    return {"build": ([program("build"), str(o.phones), "100"], 4000, FIRST),
            "scan": ([program("parsers"), "100", "ours"], 100, FIRST),
            "timer": ([program("timer"), str(o.phones), "100"], 4000, FIRST), "link": (link, 2000, FIRST),
            "cores": (apart, 2000, FIRST, LAST)}.get(name, (None, 0))


_seen = {}  # of processes that were looked at while they ran, by benchmark


def look_at(pid, name, seconds=3):
    """Profile a process for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        _seen[name] = _record(data, "-p", str(pid), "--", "sleep", str(seconds))


def of(name, o):
    """One line, or None where nothing can be told."""
    command, ready_ms, *cpus = _command(name, o)
    if not command:
        return _seen.get(name)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        return _record(data, "-D", str(ready_ms), "--", *pinned(command, *cpus))


def _record(data, *what):
    if not shutil.which("perf"):
        return None
    options = {"capture_output": True, "text": True, "check": False, "timeout": 120, "stdin": subprocess.DEVNULL}
    done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "-o", data, *what], **options)
    if done.returncode:
        return None
    told = subprocess.run(["perf", "report", "-q", "-i", data, "--stdio", "--no-children", "-s", "comm,symbol"],
                          **options).stdout
    found = re.findall(r"^\s*([\d.]+)%\s+(\S+)\s+\[[.k]\] (\S+)", told, re.M)
    threads = {}
    for share, thread, symbol in found:
        if symbol not in NOT_OURS:
            threads.setdefault(thread, []).append((float(share), symbol))
    told = {thread: _costliest(of_) for thread, of_ in sorted(threads.items())
            if sum(share for share, _ in of_) >= THREAD_SHOWN}
    return "; ".join(f"{thread}: {text}" if len(told) > 1 else text for thread, text in told.items()) or None


def _costliest(shares):
    whole = sum(share for share, _ in shares)
    return ", ".join(f"{symbol} {100 * share / whole:.0f} %" for share, symbol in shares[:SHOWN])
