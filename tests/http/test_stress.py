#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""300 streams that come and go, and GETs next to them: no error, no gap, no more memory.

    test_stress.py SIPHERD [SECONDS]
"""
import http.client
import random
import selectors
import socket
import sys
import threading
import time

from server import FLEET, Case, main
from sse import Parser, request

SECONDS = float(sys.argv.pop(2)) if len(sys.argv) > 2 else 10
STREAMS = 300
GETS_PER_S = 200
PATHS = ("/api/v1/map", "/api/v1/fleet", "/healthz", "/api/v1/timeline?seconds=10", "/metrics")
MEMORY_KB = 6144  # more than at the first third: a minute of events, and what a sanitizer keeps back


class Stream:
    """A connection that is read without waiting; it ends when its time is over."""

    def __init__(self, port, last, now):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.sendall(request(port, last.id if last is not None else None))
        self.sock.setblocking(False)
        self.parser, self.last, self.events = Parser(), last, 0
        self.end = now + random.uniform(0.1, 4)

    def read(self):
        raw = self.sock.recv(1 << 18)
        if not raw:
            raise AssertionError(f"cut off with status {self.parser.status}: {self.parser.raw[:300]}")
        for event in self.parser.feed(raw):
            self.take(event)
        if self.parser.status not in (None, 200):
            raise AssertionError(f"status {self.parser.status}: {self.parser.raw[:300]}")

    def take(self, event):
        if event.name == "hello":
            if event.data["replayed"] != (self.last is not None):
                raise AssertionError(f"replayed is {event.data['replayed']} after {self.last}")
            return
        if self.last is not None and event.number != self.last.number + 1:
            raise AssertionError(f"{self.last.id}, then {event.id}")
        self.last = event
        self.events += 1


class Asker(threading.Thread):
    """GETs at an even pace over one connection."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.asked, self.stop, self.error = port, 0, False, None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        begin = time.monotonic()
        try:
            while not self.stop:
                connection.request("GET", PATHS[self.asked % len(PATHS)])
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    raise AssertionError(f"status {response.status}")
                self.asked += 1
                time.sleep(max(0, begin + self.asked / GETS_PER_S - time.monotonic()))
        except Exception as error:  # told by the test
            self.error = error
        connection.close()


class Stress(Case):
    """Phones fail over and back all the while."""
    arguments = [word for i in range(30)
                 for word in ("--fault", f"primary:crash@{4 + 6 * i}s-{7 + 6 * i}s")]
    more = {"fleet": FLEET.replace("phones: 50", "phones: 500") +
            "timers: { no_response: 1s }\nredundancy: { switch_delay: 500ms }\n"}

    def churn(self, seconds):
        """Streams live for a while and are replaced, half of them by one who was there before."""
        end, opened, events = time.monotonic() + seconds, 0, 0
        while (now := time.monotonic()) < end:
            while len(self.streams) < STREAMS:
                last = random.choice(self.leavers) if self.leavers and random.random() < 0.5 else None
                stream = Stream(self.server.port, last, now)
                self.selector.register(stream.sock, selectors.EVENT_READ, stream)
                self.streams.add(stream)
                opened += 1
            for key, _ in self.selector.select(0.05):
                key.data.read()
            for stream in [s for s in self.streams if s.end < now]:
                self.selector.unregister(stream.sock)
                stream.sock.close()
                self.streams.remove(stream)
                events += stream.events
                if stream.last is not None:
                    self.leavers = [*self.leavers[-20:], stream.last]
        return opened, events

    def test_streams_come_and_go(self):
        self.selector, self.streams, self.leavers = selectors.DefaultSelector(), set(), []
        self.addCleanup(self.selector.close)
        asker = Asker(self.server.port)
        asker.start()
        self.churn(SECONDS / 3)
        before = self.server.memory_kb()
        opened, events = self.churn(SECONDS * 2 / 3)
        after = self.server.memory_kb()
        asker.stop = True
        asker.join(60)
        for stream in self.streams:
            stream.sock.close()
        print(f"{opened} streams, {events} events, {asker.asked} GETs, "
              f"{before} kB, then {after} kB", file=sys.stderr)
        self.assertIsNone(asker.error)
        self.assertGreater(opened, STREAMS / 3)
        self.assertGreater(events, STREAMS)
        self.assertGreater(asker.asked, SECONDS)
        self.assertLess(after - before, MEMORY_KB)


if __name__ == "__main__":
    main()
