# SPDX-License-Identifier: BSD-3-Clause
"""What all benchmarks share: running a program, its figures, medians, and how quiet the machine was."""
import dataclasses
import os
import resource
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.environ.get("BENCH_BUILD", os.path.join(ROOT, "build"))
CPUS = sorted(os.sched_getaffinity(0))
FIRST, LAST = CPUS[0], CPUS[-1]
TICKS = os.sysconf("SC_CLK_TCK")
# A sample counts as disturbed when others took more of the machine than this share of one processor.
OTHERS_ALLOWED = 0.1


@dataclasses.dataclass
class Figure:
    """Median and spread of several samples, of which `quiet` were not disturbed by others."""
    median: float
    low: float
    high: float
    unit: str
    quiet: int
    taken: int


@dataclasses.dataclass
class Row:
    """A line of the table: what was measured, against what, and what was wanted."""
    name: str
    work: str
    figure: Figure
    ratio: float | None     # None: the figure itself is what the target is about
    against: str
    target: str
    met: bool | None        # None: no target, told beside the others
    limit: str              # which side was the limit
    bench: str = ""         # the name that measures it, filled in by bench.py


class Failure(Exception):
    """A benchmark did not do what it should."""


def program(name):
    return os.path.join(BUILD, "bench", "bench_" + name)


SIPHERD = os.path.join(BUILD, "api", "sipherd")


def pinned(argv, *cpus):
    return ["taskset", "-c", ",".join(map(str, cpus)), *argv]


def run(argv, seconds=120, check=True, **options):
    """The program's output; standard error goes with it when it fails."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(argv)}: not done within {seconds} s") from None
    if check and done.returncode:
        raise Failure(f"{' '.join(argv)}: exit {done.returncode}: {(done.stdout + done.stderr)[-600:].strip()}")
    return done.stdout


def figures(text):
    """The figures that a program of ours has printed, by name; the rest is shown."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("@ "):
            print("    " + line, flush=True)
            continue
        name, *rest = line[2:].split(" ")
        unit, median, low, high, quiet, taken = rest
        found[name] = Figure(float(median), float(low), float(high), unit, int(quiet), int(taken))
    return found


def _busy_s():
    """Processor seconds that anybody has used, the hypervisor's other guests included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, _, _, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + steal) / TICKS


def _ours_s():
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


class Watch:
    """with Watch(pids) as w: ...; then w.seconds, w.others, w.quiet. Children that have ended count as ours, and
    those of `pids`, which go on."""

    def __init__(self, *pids):
        self.pids = pids

    def _ours(self):
        return _ours_s() + sum(map(processor_s, self.pids))

    def __enter__(self):
        self.seconds, self.busy, self.ours = time.monotonic(), _busy_s(), self._ours()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.seconds
        self.ours = self._ours() - self.ours
        self.others = (_busy_s() - self.busy - self.ours) / self.seconds  # in processors
        self.quiet = self.others <= OTHERS_ALLOWED


def processor_s(pid):
    """Processor seconds of a process and of its children that have ended; none when it is not there."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def median_of(samples, unit, quiet):
    """Of the quiet samples when there are any; `quiet` says of each whether it was."""
    used = [s for s, q in zip(samples, quiet) if q] or list(samples)
    return Figure(statistics.median(used), min(used), max(used), unit, sum(quiet), len(samples))


def spread(figure, digits=0):
    """Of a peer or a limit, as it is told beside the ratio: its median, and the least and the most."""
    return f"{figure.median:,.{digits}f} ({figure.low:,.{digits}f}-{figure.high:,.{digits}f})"


def spread_of(samples, digits=0, unit=1):
    return spread(Figure(statistics.median(samples) / unit, min(samples) / unit, max(samples) / unit, "", 0, 0), digits)


def join(parts):
    """Figures of the same thing from several rounds: the median of their medians."""
    return Figure(statistics.median(p.median for p in parts), min(p.median for p in parts),
                  max(p.median for p in parts), parts[0].unit, sum(p.quiet for p in parts),
                  sum(p.taken for p in parts))
