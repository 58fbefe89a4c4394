#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Metrics: what promtool thinks of them, of the alert rules and of the scrape example; and their sense."""
import os
import re
import shutil
import subprocess
import unittest

from server import FLEET, Case, eventually, main

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    "docs", "prometheus")
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def promtool(*arguments, text=None):
    return subprocess.run(["promtool", *arguments], input=text, text=True, cwd=DOCS, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)


def needs_promtool(test):
    return unittest.skipIf(shutil.which("promtool") is None, "not installed: prometheus")(test)


def series(text):
    """{'name{labels}': value} of an exposition."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if not line.startswith("#")}


class Metrics(Case):
    more = {"store": "embedded" if shutil.which("redis-server") else "none"}

    def text(self):
        return self.good(self.server.ask("/metrics"), TEXT).body.decode()

    @needs_promtool
    def test_promtool_likes_them(self):
        done = promtool("check", "metrics", text=self.text())
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_families(self):
        text = self.text()
        families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
        self.assertEqual(len(families), len(set(name for name, _ in families)))
        self.assertGreaterEqual(len(families), 30)
        self.assertLess(len(series(text)), 1000)
        self.assertEqual(re.findall(r"^# HELP (\S+) \S", text, re.M), [name for name, _ in families])
        for name, kind in families:
            self.assertTrue(name.startswith("sipherd_"), name)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)

    def test_no_phone_is_a_label(self):
        for name in series(self.text()):
            self.assertNotRegex(name, r"2000\d\d\d|phone=")

    def test_they_say_what_the_api_says(self):
        def told():
            metrics, fleet = series(self.text()), self.server.ask("/api/v1/fleet").json()
            generator = self.server.ask("/api/v1/generator").json()
            return (metrics["sipherd_phones_driven{fleet=\"herd\"}"] == fleet["phones_driven"] and
                    metrics["sipherd_phones{fleet=\"herd\",state=\"registered\",proxy=\"primary\"}"]
                    == fleet["phones"]["registered"]["primary"] == 50 and
                    metrics["sipherd_sip_requests_total{method=\"OPTIONS\",purpose=\"keepalive\"}"]
                    == generator["counters"]["options_sent"] and
                    metrics["sipherd_ready"] == 1)
        eventually(told, "metrics and JSON of one moment")

    def test_histograms_are_cumulative(self):
        name = 'sipherd_sip_request_duration_seconds_count{method="OPTIONS"}'
        eventually(lambda: series(self.text())[name] > 0, "keep-alives are answered")
        metrics = series(self.text())
        for method in ("REGISTER", "OPTIONS"):
            name = "sipherd_sip_request_duration_seconds"
            cells = [value for key, value in metrics.items()
                     if key.startswith(f'{name}_bucket{{method="{method}"')]
            self.assertEqual(cells, sorted(cells))
            self.assertEqual(cells[-1], metrics[f'{name}_count{{method="{method}"}}'])
            self.assertGreater(cells[-1], 0)
            self.assertGreater(metrics[f'{name}_sum{{method="{method}"}}'], 0)

    def test_answers_are_counted(self):
        before = series(self.text())['sipherd_http_answers_total{class="4xx"}']
        self.server.ask("/nowhere")
        eventually(lambda: series(self.text())['sipherd_http_answers_total{class="4xx"}']
                   == before + 1, "one more answer is counted")


class Switches(Case):
    arguments = ("--fault", "primary:crash@2s")
    more = {"fleet": FLEET.replace("fleet: herd", r'fleet: h-q') + "timers: { no_response: 500ms }\n"
            "redundancy: { switch_delay: 0s }\n"}

    def test_every_phone_that_left_is_counted_by_cause(self):
        name = 'sipherd_switches_total{fleet="h-q",direction="to_redundant",cause="keepalive_silence"}'
        eventually(lambda: series(self.server.ask("/metrics").body.decode())[name] == 50,
                   "50 phones have left the primary")
        proxy = self.server.ask("/api/v1/proxies/redundant").json()
        self.assertEqual(proxy["switches_to"]["keepalive_silence"], 50)
        eventually(lambda: self.server.ask("/api/v1/proxies/redundant").json()["last_switch_at_s"],
                   "the second of the last switch is told")


@needs_promtool
class Documents(unittest.TestCase):
    def test_the_alert_rules(self):
        done = promtool("check", "rules", "sipherd.rules.yml")
        self.assertEqual(done.returncode, 0, done.stdout)
        done = promtool("test", "rules", "sipherd.rules.test.yml")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_scrape_example(self):
        done = promtool("check", "config", "scrape.yml")
        self.assertEqual(done.returncode, 0, done.stdout)


class RulesAndMetrics(Case):
    more = {"store": "embedded" if shutil.which("redis-server") else "none"}

    def test_every_metric_in_a_rule_exists(self):
        with open(os.path.join(DOCS, "sipherd.rules.yml"), encoding="utf-8") as file:
            wanted = set(re.findall(r"\bsipherd_\w+", file.read()))
        text = self.server.ask("/metrics").body.decode()
        there = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        if self.more["store"] == "none":
            wanted = {name for name in wanted if not name.startswith("sipherd_store_")}
        self.assertGreater(len(wanted), 4)
        self.assertEqual(wanted - there, set())


if __name__ == "__main__":
    main()
