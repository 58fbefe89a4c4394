#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `sipherd check --sizing` reckons beside what a run does: a fleet with shortened timers goes through the
crash and the return of its primary on the memory link, and its own counters are read ten times a second. Of
fleets over 200,000 only the start and the steady state are looked at, with keep-alives every minute.
Prints the rows of docs/sizing.md. usage: bench/sizing.py PHONES..."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from measure import SIPHERD

FLEET = """fleet: sizing
phones: {phones}
user: "2{{n:07}}"
link: memory
proxies: {{ primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }}
redundancy: {{ switch_delay: 1s }}
registration: {{ expires: 600s }}
"""
# Spread anew at each registration, so that a host that stands still for a moment does not bunch them for good.
DRILL = """keepalive: {{ period: 5s, first: spread }}
timers: {{ no_response: 2s }}
ramp: {ramp}/s
"""
CALM = """keepalive: {{ period: 60s, first: spread }}
ramp: {ramp}/s
"""
PORT = 18477
CRASH, RETURN, END = 12, 31, 42
DRILL_MOST = 200000
CALM_RAMP_S, CALM_END = 20, 34


def ask(page):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/v1/{page}", timeout=10) as answer:
        return json.load(answer)


def sample():
    generator, store = ask("generator"), ask("store")
    c, redis = generator["counters"], store["redis"]["counters"]
    return {"at": generator["at_s"],
            "out": sum(v for k, v in c.items() if k.endswith(("_sent", "_retransmitted"))
                       and k.split("_")[0] in ("register", "unregister", "options")),
            "in": sum(v for k, v in c.items() if k.startswith("response")),
            "frames": generator["wire"]["frames_sent"], "bytes": generator["wire"]["bytes_sent"],
            "busy": sum(worker["busy_ratio"] for worker in generator["workers"]),
            "store_at": store["at_s"], "flushes": redis["flushes"], "calls": redis["bytes_written"],
            "limited": generator["verdict"]["generator_limited"]}


def run(path, folder, *options):
    env = {**os.environ, "SIPHERD_HTTP": f"127.0.0.1:{PORT}", "SIPHERD_STATE": folder}
    samples = []
    with open(os.path.join(folder, "said"), "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [SIPHERD, "run", path, "--summary", os.path.join(folder, "run.json"), *options],
            env=env, stdout=said, stderr=said)
        while process.poll() is None:
            try:
                samples.append(sample())
            except (OSError, KeyError):
                pass
            time.sleep(0.1)
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
        return samples, json.load(file)


def rate(samples, begin, end, key, clock="at"):
    return (at(samples, end, key, clock) - at(samples, begin, key, clock)) / (end - begin)


def at(samples, moment, key, clock):
    """A counter at any moment: between two samples, in proportion."""
    for before, after in zip(samples, samples[1:]):
        if before[clock] <= moment <= after[clock] and before[clock] < after[clock]:
            part = (moment - before[clock]) / (after[clock] - before[clock])
            return before[key] + part * (after[key] - before[key])
    raise ValueError(f"nothing was read around {moment} s")


def peak(samples, begin, end, keys, clock="at"):
    """The busiest second of those that begin a tenth apart."""
    tenths = [begin + i / 10 for i in range(int((end - begin) * 10) - 9)]
    seconds = [[at(samples, t + 1, k, clock) - at(samples, t, k, clock) for k in keys] for t in tenths]
    return max(seconds, key=sum)


def workers(said, samples, begin, end):
    """What they were busy with on average, in thousandths of a processor."""
    seen = [sample["busy"] for sample in samples if begin <= sample["at"] <= end]
    row("steady: worker, 1/1000", 1000 * said["load"]["steady"]["workers_busy"], 1000 * sum(seen) / len(seen))


def row(name, reckoned, measured):
    print(f"| {name} | {reckoned:,.0f} | {measured:,.0f} | {measured / reckoned - 1:+.1%} |", flush=True)


def drill(said, samples):
    load, redis = said["load"], said["redis"]
    message = said["messages"]["primary"]["keepalive"]
    # No refresh is due within the run.
    row("steady: packets out", load["steady"]["keepalives_per_s"], rate(samples, 6, CRASH - 0.5, "out"))
    row("steady: bytes of a frame", (message["request_bytes"] + message["answer_bytes"]) / 2 + 42,
        rate(samples, 6, CRASH - 0.5, "bytes") / rate(samples, 6, CRASH - 0.5, "frames"))
    workers(said, samples, 7, CRASH - 0.5)
    row("outage: packets out", load["outage"]["unanswered_per_s"],
        rate(samples, RETURN - 5.2, RETURN - 0.2, "out"))
    for name, key, begin, end in (("fail over", "fail_over", CRASH, CRASH + 10),
                                  ("fail back", "fail_back", RETURN, RETURN + 6)):
        for direction, value in zip(("out", "in"), peak(samples, begin, end, ("out", "in"))):
            row(f"{name}: packets {direction}", load[key][f"packets_{direction}_per_s"], value)
        flushes, size = peak(samples, begin, end, ("flushes", "calls"), "store_at")
        row(f"{name}: flushes to Redis", redis[f"{key}_calls_per_s"], flushes)
        row(f"{name}: bytes to Redis", redis[f"{key}_bytes_per_s"], size)


def calm(said, samples):
    load, end = said["load"], CALM_RAMP_S
    row("start: packets out", load["start"]["packets_out_per_s"], rate(samples, end - 1.2, end - 0.2, "out"))
    row("steady: packets out", load["steady"]["keepalives_per_s"],
        rate(samples, end + 2, CALM_END - 1, "out"))
    workers(said, samples, end + 2, CALM_END - 1)


def measure(phones):
    folder = tempfile.mkdtemp(prefix="sipherd-sizing-", dir="/dev/shm")
    is_drill = phones <= DRILL_MOST
    options = ["--for", f"{END if is_drill else CALM_END}s"]
    if is_drill:
        options += ["--fault", f"primary:crash@{CRASH}s-{RETURN}s"]
    try:
        path = os.path.join(folder, "fleet.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write((FLEET + (DRILL if is_drill else CALM)).format(
                phones=phones, ramp=phones // (5 if is_drill else CALM_RAMP_S)))
        said = json.loads(subprocess.run([SIPHERD, "check", "--sizing", "--json", path],
                                         capture_output=True, text=True, check=True).stdout)
        samples, summary = run(path, folder, *options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{phones:,} phones" + (", GENERATOR-LIMITED" if samples[-1]["limited"] else ""))
    (drill if is_drill else calm)(said, samples)
    row("engine: bytes", said["memory_bytes"]["herd"], summary["memory_bytes"])


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(int(argument))
