#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Grafana dashboard: its shape, its expressions by promtool, and each of them asked of a Prometheus
that scrapes a herd in the middle of a failover."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
import urllib.parse
import urllib.request

from server import FLEET, Case, eventually, main

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    "docs")
SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
# What Grafana puts in their places.
MACROS = {"$__rate_interval": "20s", "$__range": "10m", "$fleet": ".*", "$instance": ".*"}

with open(os.path.join(DOCS, "grafana", "sipherd.json"), encoding="utf-8") as file:
    BOARD = json.load(file)
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def filled(expression):
    for macro, value in MACROS.items():
        expression = expression.replace(macro, value)
    return expression


def expressions():
    """(panel's title, expression) of all panels."""
    return [(panel["title"], filled(target["expr"])) for panel in PANELS
            for target in panel["targets"]]


def families(text):
    """{family: type} of an exposition."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def family_of(name, there):
    """A histogram's series have endings of their own."""
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if there.get(short) == "histogram" else name


class Shape(unittest.TestCase):
    def test_the_datasource_is_an_input(self):
        self.assertEqual([(i["name"], i["type"], i["pluginId"]) for i in BOARD["__inputs"]],
                         [("DS_PROMETHEUS", "datasource", "prometheus")])
        self.assertIsNone(BOARD["id"])
        for panel in PANELS:
            self.assertEqual(panel["datasource"], SOURCE, panel["title"])
            for target in panel["targets"]:
                self.assertEqual(target["datasource"], SOURCE, panel["title"])
        wanted = {one["id"] for one in BOARD["__requires"] if one["type"] == "panel"}
        self.assertEqual(wanted, {panel["type"] for panel in PANELS})

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in BOARD["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
        ids = [panel["id"] for panel in BOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    def test_each_panel_says_what_it_shows(self):
        for panel in PANELS:
            self.assertGreater(len(panel["description"]), 10, panel["title"])
            self.assertEqual(len(panel["targets"]), len({t["refId"] for t in panel["targets"]}))
            for target in panel["targets"]:
                self.assertNotEqual(target["range"], target["instant"])

    def test_every_expression_goes_by_the_variables(self):
        self.assertEqual([v["name"] for v in BOARD["templating"]["list"]], ["fleet", "instance"])
        for panel in PANELS:
            for target in panel["targets"]:
                for inside in re.findall(r"sipherd_\w+(\{[^}]*\})?", target["expr"]):
                    self.assertIn('instance=~"$instance"', inside, target["expr"])


@unittest.skipIf(shutil.which("promtool") is None, "not installed: prometheus")
class Promtool(unittest.TestCase):
    def test_every_expression(self):
        """As a recording rule each, since promtool knows no bare expressions."""
        rules = [{"record": f"panel:{n}", "expr": expression}
                 for n, (_, expression) in enumerate(expressions())]
        rules += [{"record": f"annotation:{n}", "expr": filled(note["expr"])}
                  for n, note in enumerate(BOARD["annotations"]["list"]) if "expr" in note]
        self.assertGreater(len(rules), 40)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rules.json")  # every JSON is YAML
            with open(path, "w", encoding="utf-8") as out:
                json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, out)
            done = subprocess.run(["promtool", "check", "rules", path], text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"{len(rules)} rules found", done.stdout)


class Prometheus:
    """A real one, on loopback, that scrapes one target."""

    def __init__(self, target):
        self.folder = tempfile.TemporaryDirectory()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = os.path.join(self.folder.name, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as out:
            json.dump({"global": {"scrape_interval": "2s"},
                       "rule_files": [os.path.join(DOCS, "prometheus", "sipherd.rules.yml")],
                       "scrape_configs": [{"job_name": "sipherd",
                                           "static_configs": [{"targets": [target]}]}]}, out)
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["prometheus", "--config.file=" + config, f"--web.listen-address=127.0.0.1:{self.port}",
             "--storage.tsdb.path=" + os.path.join(self.folder.name, "data")],
            stdout=self.log, stderr=self.log)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?" + urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def query(self, expression):
        return self.ask("query", query=expression)["data"]["result"]

    def has(self, expression):
        """False as long as nobody answers yet."""
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError("prometheus ended by itself\n" + self.log.read())
        try:
            return bool(self.query(expression))
        except (OSError, KeyError, ValueError):
            return False

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Live(Case):
    """The primary dies and comes back, so that every panel has something to show; once more for a
    Prometheus that was slow to begin."""
    arguments = [word for at in (12, 42, 72)
                 for word in ("--fault", f"primary:crash@{at}s-{at + 4}s")]
    more = {"fleet": FLEET + "timers: { no_response: 500ms }\nredundancy: { switch_delay: 0s }\n",
            "store": "embedded" if shutil.which("redis-server") else "none"}

    def test_only_families_that_are_there(self):
        there = families(self.server.ask("/metrics").body.decode())
        names = {name for _, expression in expressions()
                 for name in re.findall(r"\bsipherd_\w+", expression)}
        names |= {name for note in BOARD["annotations"]["list"]
                  for name in re.findall(r"\bsipherd_\w+", note.get("expr", ""))}
        names |= {name for variable in BOARD["templating"]["list"]
                  for name in re.findall(r"\bsipherd_\w+", variable["query"]["query"])}
        if self.more["store"] == "none":
            names = {name for name in names if not name.startswith("sipherd_store_")}
        self.assertGreater(len(names), 25)
        self.assertEqual({name for name in names if family_of(name, there) not in there}, set())

    @unittest.skipIf(shutil.which("prometheus") is None, "not installed: prometheus")
    def test_every_expression_has_an_answer(self):
        prometheus = Prometheus(f"127.0.0.1:{self.server.port}")
        self.addCleanup(prometheus.close)
        moved = "sipherd_failover_duration_seconds_count"
        eventually(lambda: prometheus.has(
            f'min(increase({moved}{{phase="since_answer"}}[10m])) > 0 '
            'and sum(sipherd_phones{state="registered",proxy="primary"}) == 50 '
            "and sum(count_over_time(sipherd_ready[20s])) >= 4"),
                   "phones were seen to go and to come back", 120)
        for title, expression in expressions():
            with self.subTest(panel=title, expression=expression):
                told = prometheus.ask("query", query=expression)
                self.assertEqual(told["status"], "success", told)
                self.assertNotIn("warnings", told)
                if self.more["store"] != "none" or "sipherd_store_" not in expression:
                    self.assertTrue(told["data"]["result"], "no series")
                # Over the whole time: what quantiles are made of is there.
                if MACROS["$__range"] in expression:
                    for one in told["data"]["result"]:
                        self.assertNotEqual(one["value"][1], "NaN", one)
        for variable, expected in (("fleet", "herd"), ("instance", f"127.0.0.1:{self.server.port}")):
            found = prometheus.ask(f"label/{variable}/values", **{"match[]": "sipherd_phones_driven"})
            self.assertEqual(found["data"], [expected])
        for group in prometheus.ask("rules")["data"]["groups"]:
            for rule in group["rules"]:
                self.assertEqual(rule.get("lastError", ""), "", rule["name"])


if __name__ == "__main__":
    main()
