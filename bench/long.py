#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Half an hour of a herd whose primary proxy crashes and returns twice, and what became of all phones.

    bench/long.py NAME [OPTIONS] [SIPHERD'S OPTIONS]

NAME is 10m, ten million phones and the built-in registrars, or kamailio, 100,000 phones and two Kamailios in
namespaces of their own (as root). A redis-server of its own keeps the phones, the HTTP API is on and asked
every ten seconds. What it does not know goes to sipherd, such as --set redundancy.switch_delay=60s.

Into --out (build/bench/long-NAME) go fleet.yaml, said.txt (all that sipherd printed), summary.json, report.html,
watch.json (what was looked at meanwhile), essence.txt and essence.json (said and summary, trimmed) and result.md,
which is also printed. --again reads these files instead of running anything. Exit code 1: a check failed.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import long_result
from bench import describe
from long_proxies import BuiltIn, Kamailios
from long_store import Redis
from measure import ROOT, TICKS, Failure, processor_s

EVERY_S = 10
CPUS = sorted(os.sched_getaffinity(0))
FLEET = """fleet: {name}
phones: {phones}
user: "{user}"
password: "pw-{{user}}"
domain: lab.example.net
{network}
workers: 1
store: unix:{redis}
redundancy: {{ mode: asymmetric, switch_delay: {delay} }}
keepalive: {{ period: {period}, first: spread }}
timers: {{ {timers} }}
registration: {{ expires: {expires} }}
ramp: {ramp}/s
drills:
  half-hour:
    - {{ wait: {waits[0]}s }}
    - {{ do: crash, proxy: primary, hold: {hold}s, settle: {settle}s{hooks[0]} }}
    - {{ wait: {waits[1]}s }}
    - {{ do: crash, proxy: primary, hold: {hold}s, settle: {calm}s{hooks[1]} }}
gates:
  - "registered_ratio == 100%"
  - "out == 0"
  - "stranded == 0"
  - "not_sent == 0"
  - "ira == 0"
  - "distance <= {distance}"
"""
# Half an hour each. By the usual timers ten million phones would send 1.83 million OPTIONS a second to a dead primary,
# eleven each a minute, have them all answered in the second it returns, and fail back 690,000 a second. An early silence
# and nothing sent again make it one a minute, so that at the return no more are answered than are sent, and a longer
# pause before a switch 29,000 a second. All of them take their leave of the redundant proxy within the first minute,
# whatever the pause: a nonce that lasts for an hour makes that one REGISTER each.
LONG = {
    "10m": {"phones": 10000000, "user": "2{n:07}", "ramp": "50k", "period": "60s", "expires": "3600s",
            "timers": "t1: 5s, t2: 5s, no_response: 5s", "delay": "340s",
            "waits": (120, 20, 20), "hold": 440, "settle": 415, "distance": "1%"},
    "kamailio": {"phones": 100000, "user": "2{n:06}", "ramp": "1500", "period": "60s", "expires": "1200s",
                 "timers": "t1: 500ms, t2: 4s, no_response: 32s", "delay": "10s",
                 "waits": (300, 240, 420), "hold": 300, "settle": 120, "distance": "5%"},
}
# The same in two and a half minutes, to see whether the command is right.
SHORT = {"period": "10s", "timers": "t1: 1s, t2: 4s, no_response: 5s", "delay": "3s", "expires": "120s",
         "waits": (15, 10, 20), "hold": 35, "settle": 20, "distance": "10%"}
SHORT_PHONES = {"10m": 200000, "kamailio": 5000}


class Run:
    """One `sipherd drill`, its API and its lines."""

    def __init__(self, o, values, proxies, redis):
        self.o, self.proxies = o, proxies
        self.path = lambda name: os.path.join(o.out, name)
        with open(self.path("fleet.yaml"), "w", encoding="utf-8") as file:
            file.write(FLEET.format(**values, **proxies.fleet(), name="long-" + o.name, redis=redis.socket,
                                    calm=values["settle"] + values["waits"][2]))
        self.argv = [o.sipherd, "drill", self.path("fleet.yaml"), "half-hour", "--settle", "15s", "--http",
                     "127.0.0.1:0", "--state", redis.folder, "--summary", self.path("summary.json"), "--report",
                     self.path("report.html"), *o.more]
        self.image = os.path.join(redis.folder, f"long-{o.name}.0.image")
        self.begin = time.monotonic()
        cpus = ["taskset", "-c", o.cpus or ",".join(map(str, CPUS))]
        with open(self.path("said.txt"), "wb") as out:
            self.process = subprocess.Popen(
                [*proxies.inside, *cpus, *self.argv], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env=dict(os.environ, SIPHERD_STATE=redis.folder), start_new_session=True)

    def said(self, pattern):
        with open(self.path("said.txt"), encoding="utf-8", errors="replace") as file:
            return re.search(pattern, file.read())

    def wait_for(self, pattern, seconds):
        end = time.monotonic() + seconds
        while not (found := self.said(pattern)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failure(f"sipherd did not say {pattern!r}; what it said is in {self.path('said.txt')}")
            time.sleep(0.2)
        return found

    def get(self, what):
        """An answer of the API, asked from where it listens."""
        url = self.wait_for(r"http: (http://[^/\s]+/)", 60).group(1)
        done = subprocess.run([*self.proxies.inside, self.o.sipherd, "ctl", "--json", "--url", url, "get",
                               "/api/v1/" + what], capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def resident_bytes(self):
        return resident_bytes(self.process.pid)


def favour(pid):
    """The worker before all others on its processor; sipherd's other threads keep away from there by themselves. Where
    the kernel shares out by sessions first, a thread's own priority counts within its session only."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
        file.write("-20")
    os.setpriority(os.PRIO_PROCESS, worker(pid), -20)


def worker(pid):
    """The thread of sipherd's one worker."""
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            if file.read().startswith("rte-worker"):
                return thread
    raise Failure("sipherd has no worker")


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024


def stolen_s():
    """Seconds of all processors that the machine's host has had for others."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[8]) / TICKS


def sample(run, redis, proxies):
    generator, store = run.get("generator"), run.get("store")["redis"]
    return {"at_s": round(time.monotonic() - run.begin, 1),
            "resident_bytes": run.resident_bytes(), "redis_resident_bytes": resident_bytes(redis.process.pid),
            "processor_s": round(processor_s(run.process.pid), 2), "stolen_s": stolen_s(),
            "busy_ratio": generator["workers"][0]["busy_ratio"], "lateness": generator["lateness"],
            "lateness_cells_us": run.get("histograms/lateness")["cells_us"],
            "planned": generator["datagrams"]["planned"], "not_sent": generator["datagrams"]["not_sent"],
            "options_sent": generator["counters"]["options_sent"],
            "register_sent": generator["counters"]["register_sent"], "lag_us": store["lag_us"],
            "lag_max_us": store["lag_max_us"], "feed_dropped": store["counters"]["feed_dropped"],
            **proxies.sample()}


def checkpoints(values):
    """When to compare what sipherd, Redis and the proxies think, in seconds since the drill began: shortly before
    something happens, when nothing should move any more."""
    waits, hold, settle = values["waits"], values["hold"], values["settle"]
    last, early = sum(waits) + 2 * (hold + settle), 5 if hold < 60 else 30
    second = waits[0] + hold + settle + waits[1]
    return [("before the first crash", "primary", waits[0] - early),
            ("before the first return", "redundant", waits[0] + hold - early),
            ("before the second crash", "primary", second - early),
            ("before the second return", "redundant", second + hold - early),
            ("before the end", "primary", last - early)]


def compare(run, redis, proxies, values, what, side):
    told = run.get("fleet")["phones"]["registered"]
    seen = {"when": what, "side": side, "engine": told[side], "at_s": round(time.monotonic() - run.begin, 1),
            **redis.compare(run.image, values["phones"]), **proxies.tables(side)}
    print(f"  {seen['at_s']:.0f} s, {what}: " +
          ", ".join(f"{k} {v:,}" for k, v in seen.items() if isinstance(v, int)), flush=True)
    return seen


def watch(run, redis, proxies, values):
    """Until the run is over: a sample every ten seconds, a comparison at each checkpoint."""
    seen = {"machine": describe()["text"], "cpus": len(CPUS), "samples": [], "compared": []}
    phones = values["phones"]
    run.wait_for(r"first phone registered", 60)
    if run.o.favour:
        favour(run.process.pid)
    if both := os.sched_getaffinity(worker(run.process.pid)) & os.sched_getaffinity(0):
        print(f"  the worker shares processor {min(both)} with Redis and the proxies", flush=True)
    run.wait_for(r"drill begins", 300 + phones / 20000)
    began, due = time.monotonic(), checkpoints(values)
    seen["drill_at_s"] = round(began - run.begin, 1)
    print(f"  {seen['drill_at_s']:.0f} s: all {phones:,} phones are registered, the drill begins", flush=True)
    while run.process.poll() is None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it is just ending
            if due and time.monotonic() > began + due[0][2]:
                what, side, _ = due.pop(0)
                seen["compared"].append(compare(run, redis, proxies, values, what, side))
            seen["samples"].append(sample(run, redis, proxies))
        next_due = began + due[0][2] - time.monotonic() if due else EVERY_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(max(0.1, min(EVERY_S, next_due)))
    seen["exit_code"] = run.process.returncode
    seen["proxies"] = proxies.end()
    return seen


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("name", choices=list(LONG))
    parser.add_argument("--phones", type=int)
    parser.add_argument("--short", action="store_true", help="two minutes, few phones: is the command right?")
    parser.add_argument("--again", action="store_true", help="tell once more what is in --out")
    parser.add_argument("--publish", action="store_true", help="put the result into docs/long-runs.md, and what the "
                        "run said into docs/examples")
    parser.add_argument("--favour", action="store_true",
                        help="sipherd before others who share the processors, as root")
    parser.add_argument("--cpus", help="processors for sipherd, as taskset takes them")
    parser.add_argument("--out", help="folder of the results")
    parser.add_argument("--sipherd", default=os.path.join(ROOT, "build", "api", "sipherd"))
    o, o.more = parser.parse_known_args()
    o.sipherd = os.path.abspath(o.sipherd)
    o.out = os.path.abspath(o.out or os.path.join(ROOT, "build", "bench", "long-" + o.name))
    return o


def carry_out(o, values):
    """The run, and what was looked at meanwhile."""
    os.makedirs(o.out, exist_ok=True)
    if len(CPUS) > 1:  # a worker runs on the last; what is started from here inherits the others, sipherd is given all
        os.sched_setaffinity(0, CPUS[:-1])
    folder = tempfile.mkdtemp(prefix="sipherd-long-", dir="/dev/shm")
    try:
        with (Kamailios if o.name == "kamailio" else BuiltIn)(o) as proxies, Redis(folder) as redis:
            run = Run(o, values, proxies, redis)
            try:
                print(f"{' '.join(run.argv)}\n  what it says: {run.path('said.txt')}", flush=True)
                seen = watch(run, redis, proxies, values)
            finally:
                if run.process.poll() is None:
                    run.process.terminate()
                    run.process.wait(120)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with open(run.path("watch.json"), "w", encoding="utf-8") as file:
        json.dump(seen, file)
    return seen


def main():
    o = options()
    values = LONG[o.name] | SHORT | {"phones": SHORT_PHONES[o.name]} if o.short else LONG[o.name]
    values = values | {"phones": o.phones or values["phones"]}
    if not o.again:
        return long_result.tell(o, values, carry_out(o, values))
    with open(os.path.join(o.out, "watch.json"), encoding="utf-8") as file:
        return long_result.tell(o, values, json.load(file))


def interrupted(_number, _frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main())
    except Failure as problem:
        sys.exit(f"long: {problem}")
