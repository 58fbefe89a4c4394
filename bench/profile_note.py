# SPDX-License-Identifier: BSD-3-Clause
"""What stands between a figure and its target: the costliest functions, where there is perf."""
import os
import re
import shutil
import subprocess
import tempfile

from measure import FIRST, pinned, program

SHOWN = 8


def _command(name, o):
    """What is worth a profile, and when it has set itself up, in ms."""
    link = [program("link"), "100000", "4"]
    return {"build": ([program("build"), str(o.phones), "100"], 4000), "scan": ([program("parsers"), "100", "ours"], 100),
            "timer": ([program("timer"), str(o.phones), "100"], 4000), "link": (link, 2000),
            "cores": (link, 2000), "veth": (link, 2000)}.get(name, (None, 0))


def of(name, o):
    """One line, or None where nothing can be told."""
    command, ready_ms = _command(name, o)
    if not command or not shutil.which("perf"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        options = {"capture_output": True, "text": True, "check": False, "timeout": 120,
                   "stdin": subprocess.DEVNULL}
        done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-D", str(ready_ms),
                               "-o", data, "--", *pinned(command, FIRST)], **options)
        if done.returncode:
            return None
        told = subprocess.run(["perf", "report", "-q", "-i", data, "--stdio", "--no-children", "-s", "symbol"],
                              **options).stdout
    found = re.findall(r"^\s*([\d.]+)%\s+\[[.k]\] (\S+)", told, re.M)
    ours = [(share, symbol) for share, symbol in found if not symbol.startswith(("sampler_run", "calibrate"))]
    return ", ".join(f"{symbol} {float(share):.0f} %" for share, symbol in ours[:SHOWN]) or None
