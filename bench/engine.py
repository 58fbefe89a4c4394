# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the engine and of the memory link: one process each, no network."""
import os
import re
import signal
import statistics
import subprocess
import time

from measure import CPUS, FIRST, LAST, Failure, Figure, Row, Watch, figures, join, median_of, pinned, program, run
from netns import need

PACKETS = 2  # of a keep-alive: the OPTIONS and its answer


def at_most(name, work, figure, beside, limit, against):
    ratio = figure.median / beside.median
    return Row(name, work, figure, ratio, f"{against}, {beside.median:.1f} ns", f"at most {limit}x",
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
                        f"{peer}, {f[name].median:.0f} ns", f"at least {factor}x faster", ratio >= factor,
                        "sipherd"))
    return rows


def timer(o):
    f = figures(run(pinned([program("timer"), str(o.phones), str(o.rounds)], LAST), 300))
    return [Row("timer", f"fire and re-arm one of {o.phones / 1e6:g} M timers, random phase", f["timer_rearm"],
                f["timer_rearm"].median / f["timer_read"].median,
                f"64-byte random read, {f['timer_read'].median:.0f} ns alone, "
                f"{f['timer_read_ahead'].median:.1f} ns prefetched",
                "at most 80 ns", f["timer_rearm"].median <= 80, "sipherd")]


def _link(o, workers, cpus, phones=100000):
    with Watch() as w:
        out = figures(run(pinned([program("link"), str(phones), str(o.seconds), str(workers)], *cpus)))
    rate = out["link_rate"]
    rate.quiet = rate.taken if w.quiet else 0
    return rate, out["link_busy"].median


def link(o):
    floors, rates, ns = [], [], []
    for _ in range(o.repeats):
        floors.append(figures(run(pinned([program("floor"), str(max(o.seconds // 2, 1))], FIRST)))["link_floor"])
        rates.append(_link(o, 1, [FIRST])[0])
        ns.append(1e9 / rates[-1].median)
    floor, rate = join(floors), join(rates)
    ratio = statistics.median(a / f.median for a, f in zip(ns, floors))
    cost = Figure(1e9 / rate.median, 1e9 / rate.high, 1e9 / rate.low, "ns", rate.quiet, rate.taken)
    return [Row("link", f"one keep-alive over `memory`, one core at both ends ({rate.median / 1e6:.2f} M/s)",
                cost, ratio, f"floor: copied in and echoed, {floor.median:.0f} ns", "at most 2.5x", ratio <= 2.5,
                "sipherd (worker always busy)")]


TESTPMD = ("--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry", "--vdev", "net_ring0",
           "--vdev", "net_ring1", "--", "--no-mlockall", "--total-num-mbufs=16384", "--nb-cores=2",
           "--tx-first", "--stats-period=1", "--burst=64")


def testpmd(mode, seconds):
    """Packets a second that two cores of testpmd forward between two ports of rings. `io` passes 64 pointers
    on at a time and touches no frame; `macswap` writes into each, which whoever sends something must."""
    need("dpdk-testpmd")
    argv = ["dpdk-testpmd", "--lcores", f"0@{FIRST},1@{FIRST},2@{LAST}", f"--file-prefix=bench{os.getpid()}",
            *TESTPMD, f"--forward-mode={mode}"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as child:
        try:
            time.sleep(seconds + 1.5)
            child.send_signal(signal.SIGINT)
            out = child.communicate(timeout=60)[0]
        finally:
            child.kill()
    rates = [int(n) for n in re.findall(r"Rx-pps:\s+(\d+)", out)]
    both = [a + b for a, b in zip(rates[0::2], rates[1::2])][1:]
    if not both:
        raise Failure("testpmd forwarded nothing: " + out[-300:])
    return statistics.median(both)


def cores(o):
    if len(CPUS) < 2:
        raise Failure("one processor only")
    peers, writers, rates, quiet = [], [], [], []
    for _ in range(o.repeats):
        with Watch() as w:
            peers.append(testpmd("io", o.seconds))
            writers.append(testpmd("macswap", o.seconds))
            rates.append(PACKETS * _link(o, 2, [FIRST, LAST])[0].median)
        quiet.append(w.quiet)
    rate = median_of(rates, "packets/s", quiet)
    ratio = statistics.median(r / p for r, p in zip(rates, peers))
    return [Row("cores", f"keep-alives over `memory`, two workers, a core each ({rate.median / PACKETS / 1e6:.2f} M/s)",
                rate, ratio, f"testpmd io over rings, {statistics.median(peers) / 1e6:.1f} M packets/s (macswap "
                f"{statistics.median(writers) / 1e6:.1f} M)",
                "at least 40 %", ratio >= 0.4, "sipherd (workers always busy)")]
