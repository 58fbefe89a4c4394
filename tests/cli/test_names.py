#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Proxies that are host names, resolved by a name server of our own on loopback."""
import json
import os
import re
import socket
import struct
import threading

from command import DONE, FLEET, GENERATOR, HOST, Case, main, sipherd

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
    def run_with(self, table, *arguments, later=None, fleet=FLEET):
        server = NameServer(table, later)
        self.addCleanup(server.close)
        path = self.write("fleet.yaml", fleet.replace("192.0.2.1:5060", "one.example.net:5060"))
        summary = os.path.join(self.folder, "summary.json")
        done = sipherd("run", path, "--dns", f"127.0.0.1:{server.port}", "--summary", summary,
                       *arguments)
        if not os.path.exists(summary):
            return done, None
        with open(summary, encoding="utf-8") as file:
            return done, json.load(file)

    def test_a_name_becomes_its_address(self):
        done, told = self.run_with({("one.example.net", A): [(60, "192.0.2.33")]}, "--for", "2s")
        self.exits(done, DONE, GENERATOR)
        self.assertIn("192.0.2.33", done.stdout)
        self.assertEqual(told["proxies"]["primary"], {"address": "192.0.2.33", "port": 5060})
        self.assertEqual(told["phones"]["registered"]["primary"], 50)

    def test_a_family_the_phones_lack_is_passed_over(self):
        table = {("one.example.net", A): [(60, "192.0.2.33")],
                 ("one.example.net", AAAA): [(60, "2001:db8::33")]}
        six = FLEET.replace("192.0.2.2:5060", "[2001:db8::2]:5060") + "source: fd00:9::/64\n"
        done, told = self.run_with(table, "--for", "2s", fleet=six)
        self.exits(done, DONE, GENERATOR)
        self.assertEqual(told["proxies"]["primary"]["address"], "2001:db8::33")

    def test_a_name_is_asked_again_and_followed(self):
        # The TTL of 1 s is raised to the 5 s that are the least.
        done, told = self.run_with({("one.example.net", A): [(1, "192.0.2.33")]}, "--for", "8s",
                                   later={("one.example.net", A): [(60, "192.0.2.44")]})
        self.exits(done, DONE, GENERATOR)
        moved = re.search(r"([0-9.]+) s .*one\.example\.net is now 192\.0\.2\.44", done.stdout)
        self.assertIsNotNone(moved, done.stdout)
        self.assertGreater(float(moved.group(1)), 3)
        self.assertEqual(told["proxies"]["primary"]["address"], "192.0.2.44")

    def test_an_address_in_use_stays_while_it_is_listed(self):
        one, two = (5, "192.0.2.33"), (5, "192.0.2.44")
        done, told = self.run_with({("one.example.net", A): [one, two]}, "--for", "7s",
                                   later={("one.example.net", A): [two, one]})
        self.exits(done, DONE, GENERATOR)
        self.assertNotIn("is now", done.stdout)
        self.assertEqual(told["proxies"]["primary"]["address"], "192.0.2.33")

    def test_a_name_that_does_not_exist(self):
        done, _ = self.run_with({("other.example.net", A): [(60, "192.0.2.33")]}, "--for", "2s")
        self.exits(done, HOST)
        self.assertIn("one.example.net", done.stderr)

    def test_servers_that_are_none(self):
        path = self.write("fleet.yaml", FLEET.replace("192.0.2.1:5060", "one.example.net:5060"))
        done = self.exits(sipherd("run", path, "--dns", "nonsense", "--for", "1s"), HOST)
        self.assertIn("--dns", done.stderr)


if __name__ == "__main__":
    main()
