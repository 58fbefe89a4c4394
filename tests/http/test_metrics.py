#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Metrics: what promtool thinks of them, of the alert rules and of the scrape example; and their sense."""
import os
import re
import shutil
import socket
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
        # A worker has two series: sixteen of them have thirty more than one.
        self.assertLess(len(series(text)) + 30, 1000)
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
        name = 'sipherd_sip_request_duration_seconds_count{method="OPTIONS",proxy="primary"}'
        eventually(lambda: series(self.text())[name] > 0, "keep-alives are answered")
        metrics, seen = series(self.text()), 0
        for key, count in metrics.items():
            name, _, labels = key.rstrip("}").partition("{")
            if not name.endswith("_count"):
                continue
            start = name[:-len("count")] + "bucket{" + (labels + "," if labels else "") + 'le="'
            cells = {key[len(start):-2]: value for key, value in metrics.items()
                     if key.startswith(start)}
            bounds = [float(bound) for bound in cells]
            self.assertEqual(bounds, sorted(set(bounds)), key)
            self.assertEqual(list(cells.values()), sorted(cells.values()), key)
            self.assertEqual(cells["+Inf"], count, key)
            self.assertEqual(metrics[key.replace("_count", "_sum")] > 0, count > 0, key)
            seen += 1
        self.assertEqual(seen, 4 + 8 + 2, "methods by proxies, directions by phases, two of their own")
        for method in ("REGISTER", "OPTIONS"):
            name = f'sipherd_sip_request_duration_seconds_count{{method="{method}",proxy="%s"}}'
            self.assertGreater(metrics[name % "primary"], 0)
            self.assertEqual(metrics[name % "redundant"], 0)

    def test_proxies(self):
        ratio = 'sipherd_proxy_answered_ratio{proxy="primary"}'
        eventually(lambda: series(self.text()).get(ratio) == 1, "the primary answers")
        metrics = series(self.text())
        self.assertNotIn('sipherd_proxy_answered_ratio{proxy="redundant"}', metrics)
        ended = 'sipherd_proxy_transactions_total{proxy="%s",result="%s"}'
        self.assertGreaterEqual(metrics[ended % ("primary", "answered")], 50)
        for proxy, result in (("primary", "silent"), ("redundant", "silent"),
                              ("redundant", "answered")):
            self.assertEqual(metrics[ended % (proxy, result)], 0)
        for proxy in ("primary", "redundant"):
            self.assertEqual(metrics[f'sipherd_proxy_answering{{proxy="{proxy}"}}'], 1)

    def test_the_verdict_has_its_reasons(self):
        metrics = series(self.text())
        reasons = {name: on for name, on in metrics.items()
                   if name.startswith("sipherd_generator_limited{")}
        self.assertEqual(sorted(reasons), [f'sipherd_generator_limited{{reason="{reason}"}}'
                                           for reason in ("late", "not_sent", "redirect_lost")])
        self.assertEqual(metrics["sipherd_generator_healthy"], 0 if any(reasons.values()) else 1)

    def test_who_listens_is_counted(self):
        def listeners():
            return series(self.text())["sipherd_event_streams"]
        before = series(self.text())
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as own:
            own.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            eventually(lambda: listeners() == before["sipherd_event_streams"] + 1, "one more listens")
            told = series(self.text())
            self.assertEqual(told["sipherd_event_streams_begun_total"],
                             before["sipherd_event_streams_begun_total"] + 1)
            eventually(lambda: series(self.text())["sipherd_events_total"]
                       > before["sipherd_events_total"], "events are told")
        eventually(lambda: listeners() == before["sipherd_event_streams"], "it has left")
        self.assertEqual(series(self.text())["sipherd_event_streams_dropped_total"],
                         before["sipherd_event_streams_dropped_total"])

    def test_load(self):
        metrics = series(self.text())
        self.assertEqual(metrics['sipherd_load_phones{fleet="herd"}'], 50)
        self.assertEqual(metrics["sipherd_load_paused"], 0)
        self.assertAlmostEqual(metrics["sipherd_load_requests_per_second"], 50, delta=1)

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

    def test_what_it_took_is_told_by_phase(self):
        name = 'sipherd_failover_duration_seconds_%s{direction="to_%s",phase="%s"}'

        def told():
            return series(self.server.ask("/metrics").body.decode())
        phases = ("detect", "switch", "register", "since_answer")
        eventually(lambda: all(told()[name % ("count", "redundant", phase)] == 50 for phase in phases),
                   "50 phones have moved")
        metrics = told()
        for phase in phases:
            self.assertEqual(metrics[name % ("count", "primary", phase)], 0)
        detect, switch, register, whole = (metrics[name % ("sum", "redundant", phase)] / 50
                                           for phase in phases)
        # Each part is counted in whole milliseconds.
        self.assertAlmostEqual(detect + switch + register, whole, delta=0.003)
        self.assertGreater(detect, 0.4, "a keep-alive has to be met by silence for half a second")
        self.assertLess(switch, 0.1, "there is no pause")

    def test_a_proxy_that_is_silent(self):
        def told(name, proxy):
            metrics = series(self.server.ask("/metrics").body.decode())
            return metrics.get(name % proxy)
        eventually(lambda: told('sipherd_proxy_answering{proxy="%s"}', "primary") == 0,
                   "the primary is silent")
        self.assertGreaterEqual(
            told('sipherd_proxy_transactions_total{proxy="%s",result="silent"}', "primary"), 3)
        self.assertEqual(told('sipherd_proxy_answering{proxy="%s"}', "redundant"), 1)


@needs_promtool
class Documents(unittest.TestCase):
    def test_the_alert_rules(self):
        done = promtool("check", "rules", "sipherd.rules.yml")
        self.assertEqual(done.returncode, 0, done.stdout)
        done = promtool("test", "rules", "sipherd.rules.test.yml")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_alert_fires_in_a_test(self):
        with open(os.path.join(DOCS, "sipherd.rules.yml"), encoding="utf-8") as file:
            alerts = set(re.findall(r"- alert: (\w+)", file.read()))
        with open(os.path.join(DOCS, "sipherd.rules.test.yml"), encoding="utf-8") as file:
            fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:", file.read()))
        self.assertEqual(alerts, fired)

    def test_the_scrape_example(self):
        done = promtool("check", "config", "scrape.yml")
        self.assertEqual(done.returncode, 0, done.stdout)


class RulesAndMetrics(Case):
    more = {"store": "embedded" if shutil.which("redis-server") else "none"}

    def test_every_metric_in_a_rule_or_its_description_exists(self):
        wanted = set()
        for name in ("sipherd.rules.yml", "README.md"):
            with open(os.path.join(DOCS, name), encoding="utf-8") as file:
                wanted |= set(re.findall(r"\bsipherd_\w+", file.read()))
        text = self.server.ask("/metrics").body.decode()
        there = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        if self.more["store"] == "none":
            wanted = {name for name in wanted if not name.startswith("sipherd_store_")}
        self.assertGreater(len(wanted), 4)
        # Series of a histogram have endings that its family has not.
        wanted = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in there else name
                  for name in wanted}
        self.assertEqual(wanted - there, set())


if __name__ == "__main__":
    main()
