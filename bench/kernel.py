# SPDX-License-Identifier: BSD-3-Clause
"""Rows over a kernel link: SIPp, a sender of plain sockets and sipherd ask the same responder or Kamailio."""
import os
import re
import resource
import statistics
import subprocess
import tempfile
import threading
import time

from engine import memory_link, two_processors
from measure import (CPUS, FIRST, HERE, LAST, Failure, Row, Watch, figures, median_of, pinned, processor_s, program,
                     run, spread_of)
from netns import FAR, NEAR, WITH_BPF, Network, need

WINDOW = 1000     # OPTIONS in flight, of each sender
# Kamailio's socket buffer holds few messages where net.core.rmem_max is small.
PROXY_WINDOWS = (128, 256, 512, 1000)
PROBE_S = 1
SATURATED = 0.9   # of a processor counts as all of it: softirqs take the rest
LINKS = ("af_packet", "af_xdp")
CLOSED = ("-nr", "-nostdin", "-r", "1000000", "-buff_size", "4194304", "-timeout", "30s")
# Who reads more before it looks at its timers is better off, or worse: both are tried, the better counts.
SETTINGS = (("-l", "1000"), ("-l", "1000", "-max_recv_loops", "5000", "-max_sched_loops", "5000"),
            ("-l", "3000", "-max_recv_loops", "5000", "-max_sched_loops", "5000"))


def sipp(network, settings, calls):
    """Answered a second, and microseconds of processor for each."""
    with tempfile.TemporaryDirectory() as folder:
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        out = run(network.inside(NEAR, *pinned(
            ["sipp", "-sf", os.path.join(HERE, "options.xml"), "10.10.0.1:5060", "-i", "10.10.0.10", "-p", "5060",
             *CLOSED, *settings, "-m", str(calls)], FIRST)), 60, check=False, cwd=folder)
        took, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    done = re.findall(r"Successful call\s+\|\s+\d+\s+\|\s+(\d+)", out)
    if not done or not int(done[-1]):
        raise Failure("SIPp had no answer: " + out[-300:])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(done[-1]) / took, used * 1e6 / int(done[-1])


def sockets(network, seconds):
    out = figures(run(network.inside(NEAR, *pinned(
        [program("datagram"), "send", "10.10.0.10", "10.10.0.1", "5060", str(WINDOW), str(seconds)], FIRST))))
    return out["sockets_rate"].median, out["sockets_cpu"].median


def herd(network, kind, seconds, window=WINDOW, cpu=(FIRST,)):
    """Answered a second, and how busy the worker was."""
    out = figures(run(network.inside(NEAR, *WITH_BPF, *pinned(
        [program("link"), str(window), str(seconds), "1", f"{kind}:near0"], *cpu))))
    return out["link_rate"].median, out["link_busy"].median


class Responder:
    def __init__(self, network):
        self.argv = network.inside(FAR, *pinned([program("datagram"), "respond", "10.10.0.1", "5060"], LAST))

    def __enter__(self):
        self.child = subprocess.Popen(self.argv)
        time.sleep(0.3)
        return self.child.pid

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def senders_round(network, pid, o, rates, cpu, busy):
    """Each sender once, in turns; the responder's share of its processor goes to `busy`."""
    def told(name, act):
        begin, used = time.monotonic(), processor_s(pid)
        got = act()
        rates.setdefault(name, []).append(got[0])
        cpu.setdefault(name, []).append(got[1])
        busy.setdefault(name, []).append((processor_s(pid) - used) / (time.monotonic() - begin))
    with Watch(pid) as w:
        told("sockets", lambda: sockets(network, o.seconds))
        for i, settings in enumerate(SETTINGS):
            told(f"sipp {i}", lambda: sipp(network, settings, o.calls))
        for kind in LINKS:
            told(kind, lambda: herd(network, kind, o.seconds))
    return w.quiet


def veth(o):
    """Both rows beside SIPp: over one veth to one responder, and the worker's cost of a keep-alive."""
    need("sipp")
    two_processors()
    rates, cpu, busy, quiet, herds, both = {}, {}, {}, [], [], []
    with Network() as network, Responder(network) as pid:
        for _ in range(o.repeats):
            quiet.append(senders_round(network, pid, o, rates, cpu, busy))
            got = memory_link(o, [FIRST])
            herds.append(got["link_herd_cost"].median)
            both.append(1e6 / got["link_rate"].median)
    best = max((n for n in rates if n.startswith("sipp")), key=lambda n: statistics.median(rates[n]))
    cheap = min((n for n in rates if n.startswith("sipp")), key=lambda n: statistics.median(cpu[n]))
    ours = max(LINKS, key=lambda n: statistics.median(rates[n]))
    for name in rates:
        print(f"    {name}: {statistics.median(rates[name]):,.0f}/s answered, responder busy "
              f"{statistics.median(busy[name]):.0%}", flush=True)
    settings = "-nr " + " ".join(SETTINGS[int(best[5:])])
    return [*cpu_rows(herds, both, cpu[cheap], quiet),
            rate_row("veth_sipp", rates, ours, best, f"SIPp ({settings})", 4, busy, quiet),
            rate_row("veth_sockets", rates, ours, "sockets", "sendmmsg and recvmmsg, 64 each", 1, busy, quiet)]


def cpu_rows(herds, both, sipps, quiet):
    """SIPp's microseconds are those of the sender alone, its system calls and the kernel's share in them; the
    memory link has neither. So the herd's end of the worker is what compares, and both ends the harder figure."""
    def ratio(of):
        return statistics.median(s / w for s, w in zip(sipps, of))
    best = f"SIPp at its best over veth, {spread_of(sipps, 1)} us"
    return [Row("cpu", "processor per answered keep-alive, `memory`, the herd's end of the worker", median_of(herds, "us", quiet),
                ratio(herds), best, "at least 50x less", ratio(herds) >= 50, "sipherd"),
            Row("cpu_both", "the same, the registrar's end included", median_of(both, "us", quiet),
                ratio(both), best, "measured", None, "sipherd")]


def rate_row(name, rates, ours, theirs, against, factor, busy, quiet):
    ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[theirs]))
    share = statistics.median(busy[ours])
    return Row(name, f"answered OPTIONS a second from one core over veth ({ours})",
               median_of(rates[ours], "/s", quiet), ratio,
               f"{against}, {spread_of(rates[theirs])}/s", f"at least {factor}x", ratio >= factor,
               f"responder busy {share:.0%}" if share > 0.9 else f"sender or veth (responder busy {share:.0%})")


# -- Kamailio ----------------------------------------------------------------------------------

CONFIG = """
debug=0
log_stderror=yes
children=2
auto_aliases=no
alias="lab.example.net"
listen=udp:10.10.0.1:5060
listen=udp:10.10.0.2:5060
disable_tcp=yes
dns=no
rev_dns=no
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 86400)
request_route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    sl_send_reply("405", "Method Not Allowed");
}
"""


class Kamailio:
    """Both proxies in one process tree; `share()` is what its processes use of a processor."""

    def __init__(self, network):
        need("kamailio")
        self.network = network

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "kamailio.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        with open(os.path.join(self.folder.name, "log"), "w", encoding="utf-8") as log:
            self.child = subprocess.Popen(self.network.inside(
                FAR, "kamailio", "-f", path, "-DD", "-E", "-P", os.path.join(self.folder.name, "pid"),
                "-m", "256", "-b", "4194304", "-Y", self.folder.name), stdout=log, stderr=log, start_new_session=True)
        time.sleep(2)
        if self.child.poll() is not None:
            with open(os.path.join(self.folder.name, "log"), encoding="utf-8", errors="replace") as log:
                raise Failure("kamailio ended: " + log.read()[-400:])
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait(30)
        self.folder.cleanup()

    def processes(self):
        with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children", encoding="ascii") as file:
            return [self.child.pid, *map(int, file.read().split())]

    def processor_s(self):
        return sum(map(processor_s, self.processes()))


def kamailio_once(network, proxy, kind, window, seconds):
    """Answered a second, worker busy, processors that Kamailio used in the measured seconds, quiet."""
    seen, done = [], threading.Event()

    def look():
        while not done.wait(0.1):
            seen.append((time.monotonic(), proxy.processor_s()))
    watcher = threading.Thread(target=look)
    with Watch(*proxy.processes()) as w:
        watcher.start()
        try:
            rate, busy = herd(network, kind, seconds, window, (FIRST, LAST))
        finally:
            done.set()
            watcher.join()
    steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(seen, seen[5:])]
    # Registering, starting and ending are in there too: what matters is the busiest stretch.
    return rate, busy, statistics.quantiles(steps, n=4)[2], w.quiet


def kamailio(o):
    rows = []
    with Network() as network, Kamailio(network) as proxy:
        for kind in LINKS:
            best = max(PROXY_WINDOWS, key=lambda n: kamailio_once(network, proxy, kind, n, PROBE_S)[0])
            got = [kamailio_once(network, proxy, kind, best, o.seconds) for _ in range(o.repeats)]
            rate, busy, share, quiet = zip(*got)
            worker, proxies = statistics.median(busy), statistics.median(share)
            # What one core has left beside a worker that polls is the least that it must have used.
            saturated = proxies >= SATURATED * (len(CPUS) - 1)
            rows.append(Row(
                f"kamailio_{kind}", f"answered keep-alives a second, Kamailio over {kind}, {best} in flight",
                median_of(rate, "/s", quiet), worker,
                f"sipherd's worker busy {worker:.0%}, Kamailio {proxies:.2f} processors",
                "worker under 40 % busy, Kamailio the limit", worker < 0.4 and saturated,
                "Kamailio" if saturated else "neither alone: the way between them"))
    return rows
