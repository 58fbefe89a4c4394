#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks' table in small, and what guards the instruction counts; no figure is judged here.

    tests/bench.py BUILD
"""
import argparse
import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import fleet  # noqa: E402
import instructions  # noqa: E402
from measure import Figure  # noqa: E402

BUILD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(ROOT, "build")
SMALL = ("--phones", "50000", "--rounds", "1", "--repeats", "1", "--seconds", "1", "--rest", "2", "--no-profile")


def bench(*arguments):
    return subprocess.run([sys.executable, os.path.join(ROOT, "bench", "bench.py"), *arguments],
                          capture_output=True, text=True, timeout=560, check=False,
                          env={**os.environ, "BENCH_BUILD": BUILD})


class Table(unittest.TestCase):
    def test_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            done = bench(*SMALL, "--out", folder, "build", "timer", "link", "idle")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(os.path.join(folder, "results-build-timer-link-idle.json"), encoding="utf-8") as file:
                told = json.load(file)
            with open(os.path.join(folder, "results-build-timer-link-idle.md"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        self.assertEqual([row["name"] for row in told["rows"]], ["build", "timer", "link", "idle"])
        for row in told["rows"]:
            figure = row["figure"]
            self.assertGreater(figure["median"], 0, row)
            self.assertTrue(figure["low"] <= figure["median"] <= figure["high"], row)
            self.assertLessEqual(figure["quiet"], figure["taken"], row)
            self.assertIn(f"| {row['bench']} |", "\n".join(lines))
        self.assertIn(told["machine"]["commit"], lines[0])

    def test_unknown_name(self):
        self.assertEqual(bench("no-such-thing").returncode, 2)


class FailBacks(unittest.TestCase):
    """Of the summary of a run that failed over and back twice, as it was published."""

    def setUp(self):
        with open(os.path.join(ROOT, "docs", "examples", "long-10m.json"), encoding="utf-8") as file:
            self.summary = json.load(file)
        self.waves = [w for w in self.summary["drills"][0]["waves"] if w["name"].startswith("fail-back")]

    def met(self, rate=400000, repeats=2, stored=10000000):
        figure = Figure(rate, rate, rate, "REGISTER/s", repeats, repeats)
        o = argparse.Namespace(repeats=repeats, million=10000000)
        return fleet.failback_rows(o, figure, Figure(1, 1, 1, "s", 1, 1), stored, self.summary)[0].met

    def test_all_were_back_each_time(self):
        self.assertEqual(len(self.waves), 2)
        self.assertTrue(self.met())

    def test_too_slow_too_few_or_not_stored(self):
        self.assertFalse(self.met(rate=349999))
        self.assertFalse(self.met(repeats=3))
        self.assertFalse(self.met(stored=9999999))

    def test_one_that_stayed_away_the_second_time(self):
        self.waves[1]["back"] -= 1
        self.assertFalse(self.met())


class Instructions(unittest.TestCase):
    BEFORE = {section: {"instructions": 1000.0, "functions": {"steady": 700.0, "grower": 300.0}}
              for section in instructions.SECTIONS}

    def compare(self, section, steady, grower):
        now = copy.deepcopy(self.BEFORE)
        now[section] = {"instructions": steady + grower, "functions": {"steady": steady, "grower": grower}}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            failed = instructions.compare(self.BEFORE, now)
        return failed, said.getvalue()

    def test_more_names_the_function(self):
        failed, said = self.compare("scan", 700.0, 331.0)
        self.assertEqual(failed, ["scan"])
        self.assertIn("grower 300 -> 331", said)
        self.assertNotIn("steady", said)

    def test_a_little_more_passes(self):
        self.assertEqual(self.compare("tick", 700.0, 329.0)[0], [])

    def test_less_passes_and_says_so(self):
        failed, said = self.compare("step", 650.0, 250.0)
        self.assertEqual(failed, [])
        self.assertIn("the baseline can be lowered", said)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
