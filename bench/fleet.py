# SPDX-License-Identifier: BSD-3-Clause
"""Rows of whole runs, as a user starts them: a fleet file, `sipherd`, its HTTP API, its store, its summary."""
import collections
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from measure import SIPHERD, Failure, Figure, Row, Watch

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
ramp: 500k/s
"""
# All that fall silent at once come back at once; the switch delay spreads a million over five seconds.
FAILBACK = """redundancy: { mode: asymmetric, switch_delay: 5s }
keepalive: { period: 6s, first: spread }
timers: { no_response: 4s }
registration: { expires: 86400s }
registrar: { realm: lab.example.net }
ramp: 250k/s
"""
HOLD = "20s"  # the longest until a phone has failed over is 6 + 4 + 5 s
LIMIT_BYTES = 192
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
            self.process.wait(60)
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

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def stored(self):
        """What another process reads in Redis."""
        where = self.wait_for(r"redis-server on (unix):([^,]+),")[1]
        done = subprocess.run([SIPHERD, "fleet", "--json", "--store", f"{where.group(1)}://{where.group(2)}",
                               "--fleet", "bench", "--state", self.folder], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode:
            raise Failure("sipherd fleet: " + done.stderr[-300:])
        return json.loads(done.stdout)

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


def single(value, unit, quiet):
    return Figure(value, value, value, unit, int(quiet), 1)


def memory_row(run, phones):
    told = run.get("generator")["memory_bytes"] / phones
    return Row(f"memory_{phones // 1000}k", f"memory in the engine per phone, {phones / 1e6:g} M phones",
               Figure(told, told, told, "bytes", 1, 1), None,
               f"resident {run.resident_bytes() / 1e6:,.0f} MB, registrars, store, API and buffers in it",
               f"at most {LIMIT_BYTES} bytes", told <= LIMIT_BYTES, "-")


def start_row(run, phones, quiet):
    took = run.wait_for("first phone registered")[0] - run.begin
    return Row("start", f"start of {phones / 1e6:g} M phones, fleet file to the first phone registered",
               single(took, "s", quiet), None, "-", "under 3 s", took < 3, "sipherd")


def sustained(run, phones, seconds):
    before, cells = run.get("generator")["counters"], run.lateness()
    begin, busy = time.monotonic(), []
    with Watch(run.process.pid) as w:
        while time.monotonic() < begin + seconds:
            time.sleep(1)
            busy.append(run.get("generator")["workers"][0]["busy_ratio"])
        late, told = run.lateness(), run.get("generator")
    took, after = time.monotonic() - begin, told["counters"]
    late.subtract(cells)
    lost = told["datagrams"]["not_sent"]
    p999, rate = quantile(late, 0.999) / 1000, (after["options_sent"] - before["options_sent"]) / took
    share = sorted(busy)[len(busy) // 2]
    planned = phones / 60
    met = p999 < 1 and lost == 0 and rate > 0.99 * planned
    return Row("sustained", f"{phones / 1e6:g} M phones at 60 s, store and API on, {rate:,.0f} OPTIONS/s: lateness p99.9",
               Figure(p999, quantile(late, 0.5) / 1000, max((k for k in late if late[k] > 0), default=0) / 1000,
                      "ms", int(w.quiet), 1), rate / planned,
               f"{planned:,.0f}/s planned; not sent {lost}", "under 1 ms, not sent 0", met,
               f"worker busy {share:.0%}")


def ten(o):
    """10 M phones: start, memory, and their keep-alives for a while."""
    with Run(o.phones, STEADY, "run") as run:
        with Watch(run.process.pid) as w:
            run.wait_for("first phone registered", 60)
        rows = [start_row(run, o.phones, w.quiet)]
        # The first keep-alive of each comes up to one period after its registration.
        run.wait_for(r"all \S+ phones registered", 180)
        rows.append(memory_row(run, o.phones))
        time.sleep(o.warm)
        rows.append(sustained(run, o.phones, o.hold))
    return rows


# -- a million come back -----------------------------------------------------------------------

def registers(run):
    counters = run.get("generator")["counters"]
    return counters["register_sent"] + counters["unregister_sent"]


def converge(run, back):
    """Seconds from the last phone's return until the store is not behind any more."""
    while (told := run.get("store")["redis"])["lag_us"] > LAG_US or told["shards_dirty"]:
        if time.monotonic() > back + 30:
            break
        time.sleep(0.02)
    return time.monotonic() - back


def million(o):
    phones = o.million
    with Run(phones, FAILBACK, "drill", "crash", "proxy=primary", f"hold={HOLD}", "--settle", "1s") as run:
        run.wait_for(r"all \S+ phones registered at the primary", 120)
        rows = [memory_row(run, phones)]
        moved = run.wait_for(r"all \S+ phones registered at the redundant", 120)[0]
        seen, done = [], threading.Event()

        def look():
            while not done.wait(0.1):
                seen.append((time.monotonic(), registers(run)))
        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            with Watch(run.process.pid) as w:
                back = run.wait_for(r"all \S+ phones registered at the primary", 120, moved)[0]
                behind = converge(run, back)
        finally:
            done.set()
            watcher.join()
        stored = run.stored()
        summary = run.end()
    return rows + failback_rows(phones, seen, behind, stored, summary, w.quiet)


def busiest(seen):
    """The most REGISTERs in a second."""
    best = 0.0
    for i, (at, count) in enumerate(seen):
        later = next(((t, c) for t, c in seen[i:] if t >= at + 1), None)
        if later:
            best = max(best, (later[1] - count) / (later[0] - at))
    return best


def failback_rows(phones, seen, behind, stored, summary, quiet):
    wave = next(w for w in summary["drills"][0]["waves"] if w["name"] == "fail-back")
    rate, lost = busiest(seen), summary["losses"]["not_sent"]
    there = stored["totals"].get("phones_registered_primary", 0)
    whole = wave["back"] == phones and wave["out"] == 0 and lost == 0 and there == phones
    return [Row("failback", f"{phones / 1e6:g} M phones with digest fail back: busiest second, Expires 0 included",
                single(rate, "REGISTER/s", quiet), None,
                f"back {wave['back']:,}, in the store {there:,}, "
                f"out {wave['out']}, not sent {lost}", "350,000/s, nothing lost", whole and rate >= 350000,
                "what the phones asked for" if not summary["verdict"]["generator_limited"] else "sipherd"),
            Row("converge", "until the store has all of it, after the last phone's return",
                single(behind, "s", quiet), None, f"lag at most {summary['store']['redis']['lag_max_us'] / 1e6:.2f} s "
                "in the whole run", "within 5 s", behind <= 5, "store")]
