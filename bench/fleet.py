# SPDX-License-Identifier: BSD-3-Clause
"""Rows of whole runs, as a user starts them: a fleet file, `sipherd`, its HTTP API, its store, its summary."""
import collections
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

import profile_note
from measure import SIPHERD, Failure, Figure, Row, Watch, median_of

FLEET = """fleet: bench
phones: {phones}
user: "2{{n:07}}"
password: "pw-{{user}}"
domain: lab.example.net
link: memory
workers: 1
proxies: {{ primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }}
store: embedded
{rest}"""
STEADY = """keepalive: { period: 60s, first: spread }
registration: { expires: 86400s }
ramp: 400k/s
"""
IDLE_PHONES = 1000
IDLE = """keepalive: { period: 60s, first: spread }
registration: { expires: 3600s }
"""
# A phone sends three OPTIONS in ten seconds while the primary is silent, so that a million notice its return
# within five, most in two, and the switch delay adds up to two.
FAILBACK = """redundancy: {{ mode: asymmetric, switch_delay: 2s }}
keepalive: {{ period: 10s, first: spread }}
timers: {{ t1: 1s, no_response: 5s }}
registration: {{ expires: 86400s }}
registrar: {{ realm: lab.example.net }}
ramp: 250k/s
drills: {{ again: [ {steps} ] }}
"""
# The longest until a phone has failed over is 10 + 5 + 2 s, and 5 + 2 s until it is back.
CRASH, THEN = "{ do: crash, proxy: primary, hold: 19s }", ", { wait: 9s }, "
SETTLED = 0.9  # a worker less busy than this has nothing left to catch up with
WINDOW_S = 5  # lateness is told for each such piece of the sustained run
LIMIT_BYTES = 192
RECORD = 32  # bytes of a phone in a slab, docs/redis.md
LAG_US = 250000  # what the store promises; below it nothing waits longer than it should


class Run:
    """One sipherd, its lines as they come, and its API."""

    def __init__(self, phones, rest, *command):
        self.folder = tempfile.mkdtemp(prefix="sipherd-bench-", dir="/dev/shm")
        path = os.path.join(self.folder, "fleet.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(FLEET.format(phones=phones, rest=rest))
        self.summary_path = os.path.join(self.folder, "summary.json")
        argv = [SIPHERD, command[0], path, *command[1:], "--http", "127.0.0.1:0", "--state", self.folder,
                "--summary", self.summary_path]
        self.begin = time.monotonic()
        self.lines, self.wake = [], threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("sipherd did not end within 120 s of being told to") from None
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self):
        for line in self.process.stdout:
            with self.wake:
                self.lines.append((time.monotonic(), line))
                self.wake.notify_all()
        with self.wake:
            self.lines.append((time.monotonic(), None))
            self.wake.notify_all()

    def wait_for(self, pattern, seconds=120, after=0.0):
        """When the first such line was printed (after that time), and what it matched."""
        end, at = time.monotonic() + seconds, 0
        with self.wake:
            while True:
                for when, line in self.lines[at:]:
                    if line is None:
                        raise Failure("sipherd ended:\n" + "".join(l or "" for _, l in self.lines[-8:]))
                    found = re.search(pattern, line) if when > after else None
                    if found:
                        return when, found
                at = len(self.lines)
                if not self.wake.wait(max(end - time.monotonic(), 0)):
                    raise Failure(f"no such line within {seconds} s: {pattern}")

    def get(self, path):
        port = int(self.wait_for(r"http: http://\S+:(\d+)/")[1].group(1))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/api/v1/" + path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def lateness(self):
        return collections.Counter({low: count for low, count in
                                    self.get("histograms/lateness")["cells_us"]})

    def processes(self):
        """Its own, and what it has started: its redis-server, whose work is part of what is measured."""
        return [self.process.pid, *children(self.process.pid)]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def stored(self):
        """Phones that are registered at the primary, by the records that Redis has: bits 0 and 1 of each."""
        where = self.wait_for(r"redis-server on unix:([^,]+),")[1].group(1)
        done = subprocess.run(["redis-cli", "-s", where, "--scan", "--pattern", "*:s:*"], capture_output=True,
                              text=True, check=True, timeout=60)
        there = 0
        for key in done.stdout.split():
            slab = subprocess.run(["redis-cli", "-s", where, "GET", key], capture_output=True, check=True,
                                  timeout=60).stdout
            there += sum(first & 3 == 1 for first in slab[:len(slab) // RECORD * RECORD:RECORD])
        return there

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(120)
        with open(self.summary_path, encoding="utf-8") as file:
            return json.load(file)


def quantile(counter, share):
    left = share * sum(counter.values())
    for low in sorted(counter):
        left -= counter[low]
        if left <= 0:
            return low
    return 0


def memory_row(run, phones):
    told = run.get("generator")["memory_bytes"] / phones
    return Row(f"memory_{phones // 1000}k", f"memory in the engine per phone, {phones / 1e6:g} M phones",
               Figure(told, told, told, "bytes", 1, 1), None,
               f"resident {run.resident_bytes() / 1e6:,.0f} MB, registrars, store, API and buffers in it",
               f"at most {LIMIT_BYTES} bytes", told <= LIMIT_BYTES, "-")


def start(o):
    """From the command to the first phone that is registered, a little after its first packet."""
    took, quiet = [], []
    for _ in range(o.repeats):
        with Watch() as w, Run(o.phones, STEADY, "run") as run:
            took.append(run.wait_for("first phone registered")[0] - run.begin)
        quiet.append(w.quiet)
    figure = median_of(took, "s", quiet)
    return [Row("start", f"start of {o.phones / 1e6:g} M phones, fleet file to the first phone registered", figure,
                None, "-", "under 3 s", figure.median < 3, "sipherd")]


def window(run, before):
    """The lateness of some seconds: p99.9 in ms, and whether nobody disturbed; and all cells since the start."""
    with Watch(*run.processes()) as w:
        time.sleep(WINDOW_S)
        now = run.lateness()
    late = now.copy()
    late.subtract(before)
    return quantile(late, 0.999) / 1000, w.quiet, now


def sustained(run, o):
    before, begin = run.get("generator")["counters"], time.monotonic()
    cells, late, quiet, busy = run.lateness(), [], [], []
    for _ in range(max(o.hold // WINDOW_S, 1)):
        p999, undisturbed, cells = window(run, cells)
        late.append(p999)
        quiet.append(undisturbed)
        busy.append(run.get("generator")["workers"][0]["busy_ratio"])
    told, took = run.get("generator"), time.monotonic() - begin
    lost = told["datagrams"]["not_sent"]
    rate, planned = (told["counters"]["options_sent"] - before["options_sent"]) / took, o.phones / 60
    figure = median_of(late, "ms", quiet)
    return Row("sustained", f"{o.phones / 1e6:g} M phones at 60 s, store and API on, {rate:,.0f} OPTIONS/s: lateness "
               f"p99.9 of {WINDOW_S} s", figure, rate / planned, f"{planned:,.0f}/s planned; not sent {lost}",
               "under 1 ms, not sent 0", figure.median < 1 and lost == 0 and rate > 0.99 * planned,
               f"worker busy {statistics.median(busy):.0%}")


def settle(run, seconds):
    """What a ramp faster than the machine has left behind is not part of the sustained run."""
    end = time.monotonic() + 60
    while time.monotonic() < end and run.get("generator")["workers"][0]["busy_ratio"] > SETTLED:
        time.sleep(1)
    time.sleep(seconds)


def ten(o):
    """10 M phones: memory, and their keep-alives for a while."""
    with Run(o.phones, STEADY, "run") as run:
        run.wait_for(r"all \S+ phones registered", 180)
        rows = [memory_row(run, o.phones)]
        settle(run, o.warm)
        rows.append(sustained(run, o))
    return rows


# -- a thousand that have little to do ------------------------------------------------------------

def thread_seconds(pid):
    """Processor seconds of a process, exactly; clock ticks are too coarse for one that rests."""
    used = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                used += int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return used / 1e9


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


def idle(o):
    """What a small herd costs while nothing but its keep-alives happens: nobody looks at it meanwhile."""
    shares, stores, busy, quiet = [], [], [], []
    with Run(IDLE_PHONES, IDLE, "run") as run:
        run.wait_for(r"all \S+ phones registered")
        run.get("generator")
        time.sleep(2)
        pid = run.process.pid
        redis = children(pid)
        for _ in range(o.repeats):
            with Watch(pid, *redis) as w:
                before, begin = (thread_seconds(pid), sum(map(thread_seconds, redis))), time.monotonic()
                time.sleep(o.rest / o.repeats)
                took = time.monotonic() - begin
                shares.append(100 * (thread_seconds(pid) - before[0]) / took)
                stores.append(100 * (sum(map(thread_seconds, redis)) - before[1]) / took)
            quiet.append(w.quiet)
            busy.append(100 * run.get("generator")["workers"][0]["busy_ratio"])
    share = median_of(shares, "%", quiet)
    return [Row("idle", f"{IDLE_PHONES:,} phones at 60 s, all threads of sipherd: share of a core", share, None,
                f"worker busy {statistics.median(busy):.2f} % by its own account; its redis-server "
                f"{statistics.median(stores):.2f} %", "under 2 %", share.median < 2, "-")]


# -- a million come back -----------------------------------------------------------------------

def registers(run):
    counters = run.get("generator")["counters"]
    return counters["register_sent"] + counters["unregister_sent"]


def converge(run, phones, back):
    """Seconds from the last phone's return until all of them were read at the primary in Redis, reading included."""
    while (told := run.get("store")["redis"])["lag_us"] > LAG_US or told["shards_dirty"] or run.stored() < phones:
        if time.monotonic() > back + 30:
            break
        time.sleep(0.02)
    return time.monotonic() - back


class Registers(threading.Thread):
    """How many REGISTERs there were at any time, looked at ten times a second until it is ended."""

    def __init__(self, run):
        super().__init__(daemon=True)
        self.run_, self.seen, self.done = run, [], threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            try:
                self.seen.append((time.monotonic(), registers(self.run_)))
            except (OSError, http.client.HTTPException):
                return  # sipherd has ended, which others will tell

    def busiest(self, begin, end):
        """The most in a second of this time."""
        seen, best = [(t, n) for t, n in self.seen if begin <= t <= end + 1], 0.0
        for i, (at, count) in enumerate(seen):
            later = next(((t, n) for t, n in seen[i:] if t >= at + 1), None)
            if later:
                best = max(best, (later[1] - count) / (later[0] - at))
        return best

    def end(self):
        self.done.set()
        self.join()


def failbacks(run, watcher, o):
    """Of each fail-back the most REGISTERs in a second, the seconds until the store had it, whether quiet. Ends
    early when the phones do not get there in time."""
    got, back = [], run.wait_for(r"all \S+ phones registered at the primary")[0]
    for _ in range(o.repeats):
        try:
            moved = run.wait_for(r"all \S+ phones registered at the redundant", 60, back)[0]
            with Watch(*run.processes()) as w:
                back = run.wait_for(r"all \S+ phones registered at the primary", 60, moved)[0]
                behind = converge(run, o.million, back)
        except Failure:
            break
        got.append((watcher.busiest(moved, back), behind, w.quiet))
    return got


def failback(o):
    """Memory, and as many fail-backs as there are repeats."""
    rest = FAILBACK.format(steps=THEN.join([CRASH] * o.repeats))
    with Run(o.million, rest, "drill", "again", "--settle", "1s") as run:
        run.wait_for("first phone registered", 60)
        # All of them register first, by the same digest: a look at that disturbs nothing that is measured.
        profile_note.look_at(run.process.pid, "failback")
        begin = run.wait_for(r"all \S+ phones registered at the primary", 120)[0]
        rows, watcher = [memory_row(run, o.million)], Registers(run)
        watcher.start()
        try:
            got = failbacks(run, watcher, o)
        finally:
            watcher.end()
        if not got:
            return rows + [too_slow(o, watcher.busiest(begin, time.monotonic()), run.end())]
        stored = run.stored()
        summary = run.end()
    rates, behind, quiet = zip(*got)
    return rows + failback_rows(o, median_of(rates, "REGISTER/s", quiet), median_of(behind, "s", quiet), stored,
                                summary)


def too_slow(o, rate, summary):
    """The row when the phones did not even fail over, or back, before the drill went on."""
    there = summary["phones"]["registered"]["primary"]
    return Row("failback", f"{o.million / 1e6:g} M phones with digest fail over and back: busiest second of all, "
               "Expires 0 included", median_of([rate], "REGISTER/s", [False]), None,
               f"not all had moved in time; {there:,} registered at the primary in the end", "350,000/s, nothing lost",
               False, "sipherd, or others that had the machine")


def failback_rows(o, rate, behind, stored, summary):
    waves = [w for w in summary["drills"][0]["waves"] if w["kind"] == "fail-back"]
    back, out, lost = min(w["back"] for w in waves), max(w["out"] for w in waves), summary["losses"]["not_sent"]
    whole = len(waves) >= o.repeats and back == stored == o.million and out == 0 and lost == 0
    return [Row("failback", f"{o.million / 1e6:g} M phones with digest fail back: busiest second, Expires 0 included",
                rate, None, f"back {back:,}, in the store {stored:,}, out {out}, not sent {lost}",
                "350,000/s, nothing lost", whole and rate.median >= 350000,
                "sipherd" if summary["verdict"]["generator_limited"] else "what the phones asked for"),
            Row("converge", "from the last phone's return until all were read in Redis", behind, None,
                f"lag at most {summary['store']['redis']['lag_max_us'] / 1e6:.2f} s in the whole run", "within 5 s",
                behind.median <= 5, "store")]
