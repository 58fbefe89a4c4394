#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Three herds in one run, with profiles, domains and proxies of their own: each has its own totals, which
add up to the fleet's, in the summary and over HTTP."""
import json
import os
import time
import urllib.request

from command import DONE, GENERATOR, Case, Run, main, sipherd

HERDS = """fleet: three
phones: 40
user: "2{n:04}"
keepalive: { period: 1s }
timers: { no_response: 500ms }
redundancy: { switch_delay: 100ms }
ramp: none
store: none
herds:
    - name: north
      domain: north.example.net
    - name: south
      phones: 30
      profile: rfc3263
      domain: south.example.net
      password: "very-secret-{user}"
      registrar: { realm: south.example.net }
      proxies: { primary: 192.0.2.11, redundant: 192.0.2.12 }
    - name: west
      phones: 20
      domain: west.example.net
      source: 172.16.0.0/24
      keepalive: { period: 2s }
      redundancy: { mode: symmetric }
      proxies: { primary: 192.0.2.21, redundant: 192.0.2.22 }
"""
SIZES = {"north": 40, "south": 30, "west": 20}


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Herds(Case):
    def test_check_tells_each(self):
        told = self.exits(sipherd("check", self.write("fleet.yaml", HERDS)), DONE).stdout
        self.assertRegex(told, "phones +90\n")
        self.assertRegex(told, "herd +south: 30 phones from number 40, domain south.example.net\n"
                               "addresses +10.0.0.41 port 5060 to 10.0.0.70 port 5060\n"
                               "primary +192.0.2.11 port 5060\n")
        self.assertRegex(told, "herd +west: 20 phones from number 70, .*\n"
                               "addresses +172.16.0.1 port 5060 to 172.16.0.20 port 5060\n")

    def test_a_run_with_two_workers(self):
        """An outage of the primary proxies, which all herds leave by rules of their own."""
        summary = os.path.join(self.folder, "summary.json")
        run = Run(self, self.write("fleet.yaml", HERDS), "--workers", "2", "--http", "127.0.0.1:0",
                  "--fault", "primary:crash@3s-120s", "--summary", summary)
        base = run.wait_for("http: (http://[0-9.:]+/api/v1)/fleet").group(1)
        deadline = time.monotonic() + 60

        def herds():
            return {herd["name"]: herd for herd in get(base + "/herds")["herds"]}
        while any(h["proxies"]["redundant"]["registered"] < SIZES[n] for n, h in herds().items()):
            self.assertLess(time.monotonic(), deadline, herds())
            time.sleep(0.2)
        told = herds()
        self.assertEqual({n: (h["first_phone"], h["phones_configured"]) for n, h in told.items()},
                         {"north": (0, 40), "south": (40, 30), "west": (70, 20)})
        self.assertEqual(told["west"]["mode"]["audiocodes"], "symmetric")
        self.assertEqual(told["south"]["profile"], "rfc3263")
        self.assertEqual(told["south"]["proxies"]["redundant"]["host"], "192.0.2.12")
        one = get(base + "/phones/71")
        self.assertEqual((one["herd"], one["domain"], one["address"]),
                         ("west", "west.example.net", "172.16.0.2"))
        with urllib.request.urlopen(base.replace("/api/v1", "/metrics"), timeout=10) as answer:
            metrics = answer.read().decode()
        self.assertIn('sipherd_herd_phones{herd="south",state="registered",proxy="redundant"} 30\n', metrics)
        run.stop(DONE, GENERATOR)
        self.summary_adds_up(summary, run)

    def summary_adds_up(self, path, run):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
        parts = whole["herds"]
        self.assertEqual([part["name"] for part in parts], list(SIZES))
        for name, value in whole["counters"].items():
            self.assertEqual(sum(part["counters"][name] for part in parts), value, name)
        for part in parts:
            self.assertEqual(part["phones"]["registered"],
                             {"primary": 0, "redundant": SIZES[part["name"]]})
            self.assertGreaterEqual(sum(part["switches"]["to_redundant"].values()),
                                    SIZES[part["name"]])
        south = parts[1]["counters"]
        self.assertGreaterEqual(south["register_challenged"], 30)
        self.assertEqual(parts[0]["counters"]["register_challenged"], 0)
        self.assertEqual(whole["registrars"]["redundant"]["bound"], 90)
        self.assertRegex(run.said, "\n  west +20 +0 +20 ")


if __name__ == "__main__":
    main()
