# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the engine and of the memory link: one process each, no network."""
import os
import re
import statistics
import subprocess
import time

from measure import (CPUS, FIRST, LAST, Failure, Figure, Row, Watch, figures, join, median_of, pinned, program, run,
                     spread, spread_of)
from netns import need

PACKETS = 2  # of a keep-alive: the OPTIONS and its answer
IN_FLIGHT = 4000


def at_most(name, work, figure, beside, limit, against):
    ratio = figure.median / beside.median
    return Row(name, work, figure, ratio, f"{against}, {spread(beside, 1)} ns", f"at most {limit}x",
               ratio <= limit, "sipherd")


def build(o):
    f = figures(run(pinned([program("build"), str(o.phones), str(o.rounds)], LAST), 300))
    return [at_most("build", f"build one OPTIONS with checksums, {o.phones / 1e6:g} M phones in random order",
                    f["build_options"], f["build_copy"], 3, "rte_memcpy of the bytes")]


def scan(o):
    if not os.path.exists(program("parsers")):
        raise Failure("built without libosip2 and libre: meson setup --reconfigure build")
    f = figures(run(pinned([program("parsers"), str(o.rounds)], LAST), 300))
    rows = [at_most("learned", "read one 200 OK of Kamailio, learned skeleton", f["scan_learned"],
                    f["scan_copy"], 2.5, "rte_memcpy of the bytes")]
    for name, peer, factor in (("scan_osip", "libosip2", 40), ("scan_re", "libre", 60)):
        ratio = f[name].median / f["scan_full"].median
        rows.append(Row(name, f"scan one 200 OK of Kamailio, complete; {peer} takes", f["scan_full"], ratio,
                        f"{peer}, {spread(f[name])} ns", f"at least {factor}x faster", ratio >= factor,
                        "sipherd"))
    return rows


def timer(o):
    f = figures(run(pinned([program("timer"), str(o.phones), str(o.rounds)], LAST), 300))
    return [Row("timer", f"fire and re-arm one of {o.phones / 1e6:g} M timers, random phase", f["timer_rearm"],
                f["timer_rearm"].median / f["timer_read"].median,
                f"64-byte random read, {spread(f['timer_read'])} ns alone, "
                f"{spread(f['timer_read_ahead'], 1)} ns prefetched",
                "at most 80 ns", f["timer_rearm"].median <= 80, "sipherd")]


def memory_link(o, cpus, phones=100000, workers=1, kind="memory"):
    """What bench_link says of so many seconds: its figures by name; those of `link_rate` may be quiet."""
    with Watch() as w:
        out = figures(run(pinned([program("link"), str(phones), str(o.seconds), str(workers), kind], *cpus)))
    out["link_rate"].quiet = out["link_rate"].taken if w.quiet else 0
    return out


def apart(o):
    """Herd and registrars on a core each. No more phones than the rings hold frames: none gets lost."""
    return memory_link(o, [FIRST, LAST], IN_FLIGHT, kind="apart")


def link(o):
    floors, rates, ns = [], [], []
    for _ in range(o.repeats):
        got = memory_link(o, [FIRST])
        floors.append(figures(run(pinned([program("floor"), str(max(o.seconds // 2, 1)),
                                          f"{got['link_frame'].median:.0f}"], FIRST)))["link_floor"])
        rates.append(got["link_rate"])
        ns.append(1e9 / rates[-1].median)
    floor, rate = join(floors), join(rates)
    ratio = statistics.median(a / f.median for a, f in zip(ns, floors))
    cost = Figure(1e9 / rate.median, 1e9 / rate.high, 1e9 / rate.low, "ns", rate.quiet, rate.taken)
    return [Row("link", f"one keep-alive over `memory`, one core at both ends ({rate.median / 1e6:.2f} M/s)",
                cost, ratio, f"floor: copied in and echoed, {spread(floor)} ns", "at most 2.5x", ratio <= 2.5,
                "sipherd (worker always busy)")]


class Testpmd:
    """testpmd between two ports of rings, on two cores. `io` passes 64 pointers on at a time and touches no
    frame; `macswap` writes into each, which whoever sends something must."""
    ARGUMENTS = ("--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry", "--vdev", "net_ring0",
                 "--vdev", "net_ring1", "--", "-i", "--no-mlockall", "--total-num-mbufs=16384", "--nb-cores=2",
                 "--burst=64")
    # Of 64 frames; more under way hide what one core waits for the other, and the rings hold 1,024.
    BURSTS = 8

    def __init__(self, mode):
        need("dpdk-testpmd")
        self.child = subprocess.Popen(
            ["dpdk-testpmd", "--lcores", f"0@{FIRST},1@{FIRST},2@{LAST}", f"--file-prefix=bench{os.getpid()}",
             *self.ARGUMENTS, f"--forward-mode={mode}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def say(self, words, then_s):
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()
        time.sleep(then_s)

    def rate(self, seconds):
        """Packets a second that both cores forward; the ports tell it since they were last asked."""
        time.sleep(1)
        try:
            self.say(f"start tx_first {self.BURSTS}", 0.5)
            self.say("show port stats all", seconds)
            self.say("show port stats all", 0.1)
            out = self.child.communicate("stop\nquit\n", timeout=60)[0]
        except (BrokenPipeError, subprocess.TimeoutExpired):
            raise Failure("testpmd did not answer") from None
        rates = [int(n) for n in re.findall(r"Rx-pps:\s+(\d+)", out)]
        if len(rates) != 4 or not sum(rates[2:]):
            raise Failure("testpmd forwarded nothing: " + out[-300:])
        return sum(rates[2:])


def testpmd(mode, seconds):
    with Testpmd(mode) as t:
        return t.rate(seconds)


def two_processors():
    if len(CPUS) < 2:
        raise Failure("one processor only")


def cores(o):
    two_processors()
    peers, writers, rates, busy, quiet = [], [], [], [], []
    for _ in range(o.repeats):
        with Watch() as w:
            peers.append(testpmd("io", o.seconds / 2))
            writers.append(testpmd("macswap", o.seconds / 2))
            got = apart(o)
            rates.append(PACKETS * got["link_rate"].median)
            busy.append((got["link_busy_0"].median, got["link_busy_1"].median))
        quiet.append(w.quiet)
    rate = median_of(rates, "packets/s", quiet)
    ratio = statistics.median(r / p for r, p in zip(rates, peers))
    herd, registrar = map(statistics.median, zip(*busy))
    return [Row("cores", f"keep-alives over `memory`, herd and registrar on a core each ({rate.median / PACKETS / 1e6:.2f} M/s)",
                rate, ratio, f"testpmd io over rings, {spread_of(peers, 1, 1e6)} M packets/s; macswap "
                f"{spread_of(writers, 1, 1e6)} M", "at least 40 %", ratio >= 0.4,
                f"sipherd: herd {herd:.0%} busy, registrar {registrar:.0%}")]


def scaling(o):
    """Each worker plays both ends of its own queue; nothing is shared but memory and its bandwidth."""
    two_processors()
    ones, twos, quiet = [], [], []
    for _ in range(o.repeats):
        with Watch() as w:
            ones.append(memory_link(o, [FIRST])["link_rate"].median)
            twos.append(memory_link(o, [FIRST, LAST], workers=2)["link_rate"].median)
        quiet.append(w.quiet)
    rate = median_of(twos, "/s", quiet)
    return [Row("scaling", "keep-alives a second over `memory`, two workers of both ends each", rate,
                statistics.median(b / a for a, b in zip(ones, twos)), f"one worker, {spread_of(ones)}/s",
                "measured", None, "sipherd (workers always busy)")]
