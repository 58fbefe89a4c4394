#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Searches for a capacity, over the memory link: answers that follow from the goals, interruptions, refusals.
A machine that is too slow makes sipherd the limit: then the search says so, and there is no answer to check."""
import json
import os
import re
import signal
import subprocess

from command import (DONE, GENERATOR, MISSED, NO_ANSWER, SIPHERD, TESTS, USAGE, Case, environment, main,
                     sipherd)

FLEET = """fleet: bench
phones: 40
user: "2{n:06}"
password: "very-secret-{user}"
link: memory
redundancy: { switch_delay: 0s }
keepalive: { period: 1s }
timers: { t1: 100ms, no_response: 300ms }
registrar: { realm: lab.example.net }
ramp: none
"""
# The easiest value there is and one more, three times each: whatever happens, the search is short.
SMALL = ("--precision", "100%", "--repeats", "3")


def checked(text):
    told = json.loads(text)
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return told
    path = os.path.join(os.path.dirname(TESTS), "docs", "sipherd.bench-1.schema.json")
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(told)
    return told


class Bench(Case):
    def bench(self, kind, *arguments, codes=(DONE,), **more):
        """What was said and the document; its exit code, when sipherd was not the limit, is one of codes."""
        summary = os.path.join(self.folder, "bench.json")
        done = sipherd("bench", kind, self.write("fleet.yaml", FLEET), *arguments, "--summary", summary,
                       timeout=500, **more)
        self.exits(done, *codes, GENERATOR)
        with open(summary, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("very-secret", text)
        return done, checked(text)

    def answers(self, done, bench, expected):
        """Each search's state, best and worst value."""
        for search, (state, best, worst) in zip(bench["searches"], expected, strict=True):
            answer = search["answer"]
            if answer["state"] == "generator":
                self.assertEqual(done.returncode, GENERATOR)
                continue
            self.assertEqual((answer["state"], answer["best"], answer["worst"]), (state, best, worst))
            if best is not None:
                self.assertEqual(answer["of"], 3)
                self.assertGreaterEqual(answer["confidence"], 0.5)


class Searches(Bench):
    def test_failover_finds_the_most_phones(self):
        report = os.path.join(self.folder, "report.html")
        # Both phones' keep-alives are due together, and both are silent together.
        done, bench = self.bench("failover", "crash", "primary", "hold=1500ms", "settle=300ms", "--settle",
                                 "100ms", "--goal", "detection_p99 <= 60s", "--goal",
                                 "peak_register_1s@fail-over < 2/s", "--from", "1", "--to", "2",
                                 "--report", report, *SMALL)
        self.answers(done, bench, [("found", 1, 2)])
        self.assertEqual(bench["settings"]["goals"],
                         ["detection_p99<=60s", "peak_register_1s@fail-over<2/s"])
        if bench["searches"][0]["answer"]["state"] == "found":
            self.assertIn("1 phones met, and not beyond: 2 phones missed", done.stdout)
            self.assertIn("87.5 % confidence", done.stdout)
        self.assertNotIn("\033", done.stdout, "control sequences where there is no terminal")
        self.assertEqual(bench["searches"][0]["innocence"], [])
        met = [trial["value"] for trial in bench["searches"][0]["trials"] if trial["outcome"] == "met"]
        self.assertEqual(os.path.exists(report), bool(met))
        if met:
            with open(report, encoding="utf-8") as file:
                page = file.read()
            self.assertIn("fail-over", page)
            self.assertNotIn("very-secret", page)

    def test_register_searches_both_rates(self):
        done, bench = self.bench("register", "--from", "2/s", "--to", "2/s", "--hold", "500ms", *SMALL)
        self.answers(done, bench, [("all", 2, None), ("all", 2, None)])
        self.assertIn("registered_ratio>=100%   (by default, --goal names others)", done.stdout)
        for search in bench["searches"]:
            if search["answer"]["state"] == "all":
                self.assertGreater(search["answer"]["rate"], 0)

    def test_keepalive_of_a_proxy_that_refuses_everybody(self):
        done, bench = self.bench("keepalive", "--from", "1", "--to", "1", "--hold", "100ms", "--fault",
                                 "both:reject=403@0s", *SMALL, codes=(MISSED,))
        self.answers(done, bench, [("none", None, 1)])
        self.assertIn("no value meets the goals", done.stdout)

    def test_no_proxy_is_no_answer(self):
        done = self.exits(sipherd("bench", "keepalive", self.write("fleet.yaml", FLEET), "--hold", "100ms",
                                  "--fault", "both:crash@0s"), NO_ANSWER, GENERATOR)
        if done.returncode == NO_ANSWER:
            self.assertIn("no proxy answers", done.stderr)


class Interrupted(Bench):
    ARGUMENTS = ("--from", "1", "--to", "2", "--hold", "100ms", *SMALL)

    def start(self, state):
        # A folder in SIPHERD_STATE is that of runs.
        process = subprocess.Popen(
            [SIPHERD, "bench", "keepalive", self.write("fleet.yaml", FLEET), *self.ARGUMENTS, "--state",
             state], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(SIPHERD_STATE=self.folder))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def trials(self, state):
        with open(state, encoding="utf-8") as file:
            return checked(file.read())["searches"][0]["trials"]

    def test_it_goes_on_where_it_was(self):
        state = os.path.join(self.folder, "search.json")
        process = self.start(state)
        for line in process.stdout:
            # Behind one run, in the middle of the next one.
            if re.search(r" (met|missed|GENERATOR)", line):
                break
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        self.assertEqual(process.wait(timeout=60), MISSED, said)
        self.assertIn("the same command goes on from here", said)
        before = self.trials(state)
        self.assertIn(len(before), (1, 2))
        done, bench = self.bench("keepalive", *self.ARGUMENTS, "--state", state)
        self.assertIn(f"goes on behind {len(before)} runs", done.stdout)
        self.assertEqual(bench["searches"][0]["trials"][:len(before)], before)
        self.answers(done, bench, [("all", 2, None)])
        self.assertEqual(self.trials(state), bench["searches"][0]["trials"])
        # It is over: nothing is run again, and another search is none of its.
        done, again = self.bench("keepalive", *self.ARGUMENTS, "--state", state)
        self.assertEqual(again["searches"], bench["searches"])
        for other in (("--goal", "no_answer == 0"), ("--repeats", "5"), ("--set", "phones=39"),
                      ("--to", "3")):
            done = self.exits(sipherd("bench", "keepalive", os.path.join(self.folder, "fleet.yaml"),
                                      *self.ARGUMENTS, "--state", state, *other), USAGE)
            self.assertIn("is of another search", done.stderr)
        self.write("search.json", "{")
        done = self.exits(sipherd("bench", "keepalive", os.path.join(self.folder, "fleet.yaml"),
                                  *self.ARGUMENTS, "--state", state), USAGE)
        self.assertIn("cannot be read", done.stderr)


class Refused(Case):
    def test_what_cannot_be_searched(self):
        fleet = self.write("fleet.yaml", FLEET)
        alone = self.write("alone.yaml", FLEET + 'proxies: { primary: "192.0.2.1" }\n')
        small = self.write("small.yaml", FLEET.replace("40", "3") + "source: 10.20.0.0/28\n")
        rows = (
            (("speed", fleet), "'speed' is none of failover, register and keepalive"),
            (("failover", alone), "this fleet has no redundancy"),
            (("failover", fleet, "--repeats", "4"), "must be odd"),
            (("failover", fleet, "--precision", "5"), "is out of range"),
            (("failover", fleet, "--precision", "x"), "is not a number"),
            (("failover", fleet, "--goal", "speed<=5"), "there is no measure 'speed'"),
            (("failover", fleet, "--vary", "rate"), "is none of phones, period and switch-delay"),
            (("keepalive", fleet, "--vary", "switch-delay"), "is neither phones nor period"),
            (("register", fleet, "--vary", "phones"), "it is the rate that is searched"),
            (("register", fleet, "--from", "50"), "is not a rate"),
            (("keepalive", fleet, "crash"), "only bench failover takes a drill"),
            (("failover", fleet, "--to", "20M"), "is not possible with this fleet"),
            (("failover", small, "--to", "100"), "1 phones to 14 phones are"),
            (("failover", fleet, "explode"), "explode"),
            (("failover", fleet, "--set", "password=a;b"), "with a semicolon"),
        )
        for arguments, message in rows:
            with self.subTest(arguments=arguments):
                done = self.exits(sipherd("bench", *arguments), USAGE)
                self.assertIn(message, done.stderr)
                self.assertFalse(done.stdout.count("met all goals"))


if __name__ == "__main__":
    main()
