#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What watching costs the phones: lateness and the workers' busy share, with nobody and with a crowd.

    bench/live.py [--phones N] [--streams N] [--gets N] [--seconds N] [--rounds N] [--realtime]
                  [SIPHERD]

A million phones on the memory link. In turns nobody asks for anything, then 300 event streams come and
go and 1,000 GETs a second are answered. Prints the median of each figure over all rounds, and the ratio
of the two. The crowd is kept off the workers' processors: elsewhere it would be on other hosts.
"""
import argparse
import collections
import http.client
import json
import multiprocessing
import os
import random
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

FLEET = """fleet: crowd
phones: {phones}
user: "2{{n:07}}"
password: "pw-{{user}}"
link: memory
workers: 1
proxies: {{ primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }}
keepalive: {{ period: 60s, first: spread }}
ramp: {ramp}/s
store: none
"""
PATHS = ("/api/v1/fleet", "/api/v1/map", "/api/v1/proxies", "/healthz", "/api/v1/phones?limit=10",
         "/api/v1/timeline?seconds=10", "/api/v1/generator", "/metrics", "/api/v1/store", "/readyz")
HEAD = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Sipherd:
    def __init__(self, program, phones, realtime):
        self.folder = tempfile.mkdtemp(prefix="sipherd-live-")
        path = os.path.join(self.folder, "fleet.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(FLEET.format(phones=phones, ramp=max(phones // 40, 1)))
        self.process = subprocess.Popen([program, "run", path, "--http", "127.0.0.1:0"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if realtime:
            for thread in os.listdir(f"/proc/{self.process.pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))
        self.port = int(self.wait_for(r"http: http://\S+:(\d+)/").group(1))
        print(f"{phones:,} phones register ...", flush=True)
        self.wait_for(r"all \S+ phones registered")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def wait_for(self, pattern):
        said = ""
        for line in self.process.stdout:
            said += line
            found = re.search(pattern, line)
            if found:
                return found
        raise SystemExit(f"sipherd ended:\n{said}")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def processor_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)


def read_answer(sock, left):
    """One answer with a Content-Length; what came behind it."""
    while b"\r\n\r\n" not in left:
        left += sock.recv(1 << 18)
    head, _, body = left.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(head.decode())
    while len(body) < length:
        body += sock.recv(1 << 18)
    return body[length:]


def ask(port, per_s, end, asked):
    """GETs at an even pace over one connection."""
    sock, left = socket.create_connection(("127.0.0.1", port), timeout=60), b""
    begin = time.monotonic()
    while (now := time.monotonic()) < end:
        sock.sendall(HEAD.format(PATHS[asked.value % len(PATHS)]).encode())
        left = read_answer(sock, left)
        asked.value += 1
        late = begin + asked.value / per_s - now
        if late > 0:
            time.sleep(late)


def listen(port, streams, end, events):
    """So many streams at any time; each lives for 1 to 9 s."""
    selector, ends = selectors.DefaultSelector(), {}
    while (now := time.monotonic()) < end:
        while len(ends) < streams:
            sock = socket.create_connection(("127.0.0.1", port), timeout=60)
            sock.sendall(HEAD.format("/api/v1/events").encode())
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
            ends[sock] = now + random.uniform(1, 9)
        for key, _ in selector.select(0.05):
            raw = key.fileobj.recv(1 << 18)
            if not raw:
                raise SystemExit("a stream was cut off")
            events.value += raw.count(b"\nid: ")
        for sock in [s for s, at in ends.items() if at < now]:
            selector.unregister(sock)
            sock.close()
            del ends[sock]


class Crowd:
    def __init__(self, port, streams, gets, seconds, processors):
        end = time.monotonic() + seconds
        self.asked, self.events = (multiprocessing.Value("Q", 0, lock=False) for _ in range(2))
        self.members = [multiprocessing.Process(target=ask, args=(port, gets, end, self.asked)),
                        multiprocessing.Process(target=listen, args=(port, streams, end, self.events))]
        for member in self.members:
            member.start()
            os.sched_setaffinity(member.pid, processors)

    def end(self):
        for member in self.members:
            member.join()
            if member.exitcode != 0:
                raise SystemExit("the crowd was not served")


def cells(sipherd):
    told = sipherd.get("/api/v1/histograms/lateness")
    return collections.Counter({low: count for low, count in told["cells_us"]})


def quantile(counter, share):
    left = share * sum(counter.values())
    for low in sorted(counter):
        left -= counter[low]
        if left <= 0:
            return low
    return 0


def measure(sipherd, seconds):
    """Figures of so many seconds; one GET a second is asked for, crowd or not."""
    before, busy, used, begin = cells(sipherd), [], sipherd.processor_s(), time.monotonic()
    end = begin + seconds
    while time.monotonic() < end:
        time.sleep(1)
        busy.append(max(w["busy_ratio"] for w in sipherd.get("/api/v1/generator")["workers"]))
    late = cells(sipherd)
    late.subtract(before)
    if sum(late.values()) < 1000:
        raise SystemExit("too few requests to say anything: take more --phones or --seconds")
    return {"lateness p50, us": quantile(late, 0.5), "lateness p99.9, us": quantile(late, 0.999),
            "worker busy, percent": 100 * statistics.median(busy),
            "all of sipherd, percent of a processor":
            100 * (sipherd.processor_s() - used) / (time.monotonic() - begin)}


def compare(sipherd, o):
    workers = {w["cpu"] for w in sipherd.get("/api/v1/generator")["workers"]}
    others = os.sched_getaffinity(0) - workers or os.sched_getaffinity(0)
    os.sched_setaffinity(0, others)
    time.sleep(5)
    alone, watched, asked, events = [], [], 0, 0
    for i in range(o.rounds):
        alone.append(measure(sipherd, o.seconds))
        crowd = Crowd(sipherd.port, o.streams, o.gets, o.seconds + 4, others)
        time.sleep(2)
        watched.append(measure(sipherd, o.seconds))
        crowd.end()
        asked, events = asked + crowd.asked.value, events + crowd.events.value
        print(f"round {i + 1}: alone {alone[-1]}, watched {watched[-1]}", flush=True)
    whole = o.rounds * (o.seconds + 4)
    print(f"{asked / whole:.0f} GET/s answered, {events / whole:.0f} events/s read by {o.streams} streams")
    for name in alone[0]:
        a, b = (statistics.median(round_[name] for round_ in side) for side in (alone, watched))
        print(f"{name:40} alone {a:8.1f}  watched {b:8.1f}  ratio {b / a if a else 1:.2f}")


def main():
    parser = argparse.ArgumentParser(description="see the top of this file")
    parser.add_argument("--phones", type=int, default=1000000)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--gets", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--realtime", action="store_true",
                        help="SCHED_RR for sipherd, where others share the processors; as root")
    parser.add_argument("sipherd", nargs="?", default="build/api/sipherd")
    o = parser.parse_args()
    sipherd = Sipherd(o.sipherd, o.phones, o.realtime)
    try:
        compare(sipherd, o)
    finally:
        sipherd.end()


if __name__ == "__main__":
    sys.exit(main())
