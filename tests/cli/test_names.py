#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Proxies that are host names, resolved by a name server of our own on loopback."""
import json
import os
import socket
import struct
import sys
import threading

from command import ALL_THERE, FLEET, HOST, TESTS, Case, Run, main, sipherd

sys.path.insert(0, os.path.join(TESTS, "store"))
import servers  # noqa: E402

A, AAAA = 1, 28


class NameServer(threading.Thread):
    """Answers from a table {(name, type): [(ttl, address), ...]}; the second and later questions for
    a name are answered from `later` where it stands there too."""

    def __init__(self, table, later=None):
        super().__init__(daemon=True)
        self.table, self.later, self.asked = table, later or {}, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def close(self):
        self.socket.close()

    def run(self):
        while True:
            try:
                query, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            self.socket.sendto(self.answer(query), sender)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, = struct.unpack_from(">H", query, at + 1)
        question, key = query[12:at + 5], (".".join(labels), kind)
        known = any(name == key[0] for name, _ in self.table)
        seen = self.asked[key] = self.asked.get(key, 0) + 1
        records = self.later.get(key, self.table.get(key, [])) if seen > 1 \
            else self.table.get(key, [])
        head = struct.pack(">HHHHHH", struct.unpack_from(">H", query)[0],
                           0x8580 if known else 0x8583, 1, len(records), 0, 0)
        body = b""
        for ttl, address in records:
            raw = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, address)
            body += struct.pack(">HHHIH", 0xC00C, kind, 1, ttl, len(raw)) + raw
        return head + question + body


class Names(Case):
    def start(self, table, later=None, fleet=FLEET):
        """A run whose primary is one.example.net, which these are the addresses of."""
        self.server = NameServer(table, later)
        self.addCleanup(self.server.close)
        path = self.write("fleet.yaml", fleet.replace("192.0.2.1:5060", "one.example.net:5060"))
        self.summary = os.path.join(self.folder, "summary.json")
        return Run(self, path, "--dns", f"127.0.0.1:{self.server.port}", "--summary", self.summary)

    def stop(self, run):
        said = run.stop()
        with open(self.summary, encoding="utf-8") as file:
            return said, json.load(file)

    def test_a_name_becomes_its_address(self):
        run = self.start({("one.example.net", A): [(60, "192.0.2.33")]})
        run.wait_for(ALL_THERE)
        said, told = self.stop(run)
        self.assertIn("192.0.2.33", said)
        self.assertEqual(told["proxies"]["primary"], {"address": "192.0.2.33", "port": 5060})
        self.assertEqual(told["phones"]["registered"]["primary"], 50)

    def test_a_family_the_phones_lack_is_passed_over(self):
        table = {("one.example.net", A): [(60, "192.0.2.33")],
                 ("one.example.net", AAAA): [(60, "2001:db8::33")]}
        six = FLEET.replace("192.0.2.2:5060", "[2001:db8::2]:5060") + "source: fd00:9::/64\n"
        run = self.start(table, fleet=six)
        run.wait_for(ALL_THERE)
        self.assertEqual(self.stop(run)[1]["proxies"]["primary"]["address"], "2001:db8::33")

    def test_a_name_is_asked_again_and_followed(self):
        # The TTL of 1 s is raised to the 5 s that are the least.
        run = self.start({("one.example.net", A): [(1, "192.0.2.33")]},
                         later={("one.example.net", A): [(60, "192.0.2.44")]})
        moved = run.wait_for(r"([0-9.]+) s .*one\.example\.net is now 192\.0\.2\.44")
        self.assertGreater(float(moved.group(1)), 3)
        self.assertEqual(self.stop(run)[1]["proxies"]["primary"]["address"], "192.0.2.44")

    def test_an_address_in_use_stays_while_it_is_listed(self):
        one, two = (5, "192.0.2.33"), (5, "192.0.2.44")
        run = self.start({("one.example.net", A): [one, two]},
                         later={("one.example.net", A): [two, one]})
        # Who asks for the third time has taken the second answer.
        servers.wait(lambda: self.server.asked.get(("one.example.net", A), 0) >= 3, "asked again")
        said, told = self.stop(run)
        self.assertNotIn("is now", said)
        self.assertEqual(told["proxies"]["primary"]["address"], "192.0.2.33")

    def test_a_name_that_does_not_exist(self):
        run = self.start({("other.example.net", A): [(60, "192.0.2.33")]})
        said = run.process.communicate(timeout=60)[0]
        self.assertEqual(run.process.returncode, HOST, said)
        self.assertIn("one.example.net", said)

    def test_servers_that_are_none(self):
        path = self.write("fleet.yaml", FLEET.replace("192.0.2.1:5060", "one.example.net:5060"))
        done = self.exits(sipherd("run", path, "--dns", "nonsense", "--for", "1s"), HOST)
        self.assertIn("--dns", done.stderr)


if __name__ == "__main__":
    main()
