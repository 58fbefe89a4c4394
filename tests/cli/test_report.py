#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sipherd report: pages and time lines made of summaries, which tests/report/sample.py makes up."""
import copy
import csv
import functools
import io
import json
import os
import re
import sys
import xml.etree.ElementTree

from command import DONE, HOST, TESTS, USAGE, Case, main, sipherd

sys.path.insert(0, os.path.join(TESTS, "report"))
import sample  # noqa: E402

PHONES = 1000
EVIL = "</title><script>alert(1)</script><img src=x onerror=\"alert('2')\"> & ]]> \u202e\x1b[31m\x07"
# Words of a summary that mean something: others there are people's.
MEANT = {"schema", "columns", "outcome", "kind", "act", "proxy", "from", "to", "unit"}


@functools.lru_cache
def made(character="plain", seed=1):
    return json.dumps(sample.make(character, PHONES, seed))


def run(character="plain", seed=1):
    return json.loads(made(character, seed))


def with_evil(value, key=None):
    """Every text that is somebody's, and every key of the configuration, turned hostile."""
    if isinstance(value, dict):
        return {k: with_evil(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [with_evil(v, key) for v in value]
    return EVIL if isinstance(value, str) and key not in MEANT else value


def parse(page):
    """As XML: whatever is not closed or not escaped fails here."""
    return xml.etree.ElementTree.fromstring(page)


def text_of(element):
    return re.sub(r"\s+", " ", " ".join(element.itertext()))


class Reports(Case):
    def json(self, name, summary):
        return self.write(name, summary if isinstance(summary, str) else json.dumps(summary))

    def report(self, *summaries):
        paths = [self.json(f"run{i}.json", s) for i, s in enumerate(summaries)]
        out = os.path.join(self.folder, "report.html")
        self.exits(sipherd("report", *paths, "-o", out), DONE)
        with open(out, encoding="utf-8") as file:
            return file.read()

    def text(self, *summaries):
        return text_of(parse(self.report(*summaries)).find("body"))

    def alone(self, page):
        """Nothing in it runs, and nothing is fetched."""
        root = parse(page)
        tags = {element.tag for element in root.iter()}
        self.assertFalse(tags & {"script", "img", "iframe", "object", "embed", "base", "form", "a", "image",
                                 "use", "foreignObject"}, tags)
        for element in root.iter():
            for name, value in element.attrib.items():
                self.assertFalse(name.startswith("on") or name in ("src", "style", "srcset"), name)
                self.assertTrue(name != "href" or value == "data:,", value)
        style = root.find("head/style").text
        self.assertNotRegex(style, r"url\(|@import|expression")
        policy = root.find("head/meta[@http-equiv='Content-Security-Policy']").get("content")
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("script-src", policy)
        return root


class Samples(Reports):
    def test_are_such_summaries(self):
        """What these tests read is what a run writes."""
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        with open(os.path.join(os.path.dirname(TESTS), "docs", "sipherd.run-1.schema.json"),
                  encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
        for character in sample.CHARACTERS:
            summary = run(character)
            for proxy in sample.PROXIES:
                del summary["drills"][0]["series"][proxy][100:]
            wrong = [f"{list(e.absolute_path)[:6]} {e.message[:200]}" for e in
                     validator.iter_errors(summary)]
            self.assertEqual(wrong, [])


class Page(Reports):
    def test_stands_alone(self):
        for character in sample.CHARACTERS:
            root = self.alone(self.report(made(character)))
            self.assertEqual(root.tag, "html")

    def test_has_all_there_is(self):
        page = self.text(made())
        for words in ("lab-sbc-pair: crash primary", "1,000 phones", "the primary proxy falls silent",
                      "Wave 1: fail-over", "Wave 2: fail-back", "Outage", "Registration delay (RRD)",
                      "99.9 %", "out longer than", "300 s", "Peaks of REGISTER", "Bunching", "double-bound",
                      "Primary proxy, 192.0.2.1 port 5060", "REGISTER offered, by kind", "retransmissions",
                      "ineffective attempts (IRA", "OPTIONS round trip", "datagrams planned", "lateness",
                      "keepalive.period_ms", "redundancy.switch_delay_ms",
                      "sipherd drill FLEET.yaml crash proxy=primary hold=150s settle=120s --seed 1"):
            self.assertIn(words, page.replace("\u00a0", " "))

    def test_charts_are_described(self):
        root = parse(self.report(made("refusing")))
        charts = [e for e in root.iter("svg") if e.get("class", "").startswith("chart")]
        self.assertGreater(len(charts), 12)
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        self.assertEqual(len(ids), len(set(ids)))
        for chart in charts:
            self.assertEqual(chart.get("role"), "img")
            named = chart.get("aria-labelledby").split()
            self.assertEqual(named, [chart.find("title").get("id"), chart.find("desc").get("id")])
            self.assertGreater(len(chart.find("desc").text), 20, chart.find("title").text)
            self.assertTrue(list(chart.iter("path")))
        for table in root.iter("table"):
            self.assertTrue(table.find("caption").text)
            wide = len(table.findall("thead/tr/th"))
            for row in table.findall("tbody/tr"):
                self.assertEqual(len(row), wide, table.find("caption").text)

    def test_light_dark_and_paper(self):
        style = parse(self.report(made())).find("head/style").text
        self.assertIn("@media screen and (prefers-color-scheme:dark)", style)
        self.assertIn("@media print", style)
        self.assertIn("size:A4", style)

    def test_nothing_becomes_markup(self):
        evil = with_evil(run("refusing"))
        evil["fleet"][EVIL] = {EVIL: [EVIL, [EVIL]]}
        evil["verdict"] = {"generator_limited": True, "no_answer": False, "lateness_limit_us": 1,
                           "reasons": [EVIL]}
        evil["drills"][0].update(outcome="aborted", reason=EVIL)
        for page in (self.report(evil), self.report(evil, evil), self.report(evil, made())):
            self.alone(page)
            self.assertIn("&lt;script&gt;alert(1)", page)
            self.assertNotIn("\x1b", page)
            self.assertNotIn("\u202e", page)

    def test_an_outage_that_was_not_over(self):
        """Phones that did not come back have no outage among those that did: it is not hidden."""
        facts = parse(self.report(made("saturated"))).find("body/main/dl")
        self.assertRegex(text_of(facts), "longest outage\\s+not over")
        self.assertNotIn("not over", text_of(parse(self.report(made())).find("body/main/dl")))

    def test_few_phones_make_no_curve(self):
        few = run()
        for wave in few["drills"][0]["waves"]:
            wave["phones"] = 29
        self.assertIn("curve that these timers predict", self.text(run()))
        self.assertNotRegex(self.text(few), "these timers predict|Off the prediction")

    def test_an_outage_of_nobody(self):
        """A wave in which none came back is not over, and one that nobody left has none; neither is 0 ms."""
        watched = run()
        for wave in watched["drills"][0]["waves"]:
            wave.update(kind="watch", back=0, out=wave["phones"], left=wave["phones"])
            wave["outage_ms"] = {key: [] if key == "cells" else 0 for key in wave["outage_ms"]}
        facts = parse(self.report(json.dumps(watched))).find("body/main/dl")
        self.assertRegex(text_of(facts), "longest outage\\s+not over")
        for wave in watched["drills"][0]["waves"]:
            wave.update(back=wave["phones"], out=0, left=0)
        page = parse(self.report(json.dumps(watched)))
        self.assertRegex(text_of(page.find("body/main/dl")), "longest outage\\s+\u2013")
        self.assertNotIn("not in this wave", text_of(page))

    def test_baseline_and_hooks(self):
        beside = run("saturated")
        plain = run()
        beside["baseline"] = {key: plain[key] for key in ("drills", "verdict", "link")}
        beside["drills"][0]["hooks"] = [{"name": "stop-primary", "exit_code": 0, "undo_code": 3}]
        page = self.text(beside)
        self.assertIn("The same against the built-in registrars", page)
        self.assertIn("In the baseline the generator kept its schedule", page)
        self.assertIn("stop-primary 0 3", page)
        beside["baseline"]["verdict"]["generator_limited"] = True
        self.assertIn("The baseline itself was GENERATOR-LIMITED", self.text(beside))

    def test_many_drills(self):
        many = run()
        many["drills"] = [many["drills"][0], run("refusing")["drills"][0]]
        root = self.alone(self.report(many))
        self.assertEqual([e.text for e in root.iter("h2")].count("What was done: crash primary"), 2)
        self.assertIn("Refusing: the redundant proxy", text_of(root))

    def test_without_drills(self):
        """A run without any has a report as well, without what it has not measured."""
        plain = run()
        for key in ("drills", "gates", "baseline"):
            del plain[key]
        page = self.text(plain)
        self.assertIn("no goals were set", page)
        self.assertIn("Round trips of the whole run", page)
        self.assertNotIn("Wave", page)


class Verdict(Reports):
    def first(self, summary):
        verdict = parse(self.report(summary)).find("body/main/section")
        self.assertTrue(verdict.get("class").startswith("verdict"))
        return verdict.find("b").text, text_of(verdict)

    def test_goals(self):
        met = run()
        met["gates"] = [{"goal": "ira<=1%", "value": 0, "unit": "ratio", "wave": None, "met": True}] * 2
        self.assertEqual(self.first(met)[0], "All 2 goals met")
        met["gates"].append({"goal": "x", "value": None, "unit": "ms", "wave": None, "met": False})
        self.assertEqual(self.first(met)[0], "1 of 3 goals missed")
        met["gates"].append({"goal": "y", "value": None, "unit": "ms", "wave": "fail-over", "met": False})
        self.assertRegex(self.text(met), "not measured .* never")

    def test_generator_limited_comes_first(self):
        bad = run()
        bad["verdict"].update(generator_limited=True, reasons=["one in 1,000 left 80.0 ms late"])
        bad["drills"][0].update(outcome="aborted", reason="by hand", incomplete=True)
        headline, text = self.first(bad)
        self.assertEqual(headline, "GENERATOR-LIMITED")
        findings = {e.get("class") for e in parse(self.report(bad)).iter("li")}
        self.assertFalse(findings & {"good", "bad", "warn"}, "nothing is said of the proxies")
        for words in ("one in 1,000 left 80.0 ms late", "by hand", "were lost on their way"):
            self.assertIn(words, text)

    def test_aborted_and_incomplete(self):
        odd = run()
        odd["drills"][0]["incomplete"] = True
        odd["gates"] = []
        self.assertEqual(self.first(odd)[0], "Completed, but not all was seen")
        odd["drills"][0].update(outcome="aborted", reason="a hook failed")
        self.assertEqual(self.first(odd)[0], "Aborted")


class Explanation(Reports):
    def told(self, character):
        root = parse(self.report(made(character)))
        lists = [e for e in root.iter("ul") if e.get("class") == "findings"]
        return text_of(lists[0]).replace("\u00a0", " ")

    def test_proxies_of_four_kinds_read_differently(self):
        words = {"plain": ["All waves went well"],
                 "refusing": ["Refusing: the redundant proxy", "mostly with 503", "no longer Retry-After"],
                 "retry-after": ["Refusing: the redundant proxy", "mostly with 503",
                                 "the proxy asked for it with Retry-After"],
                 "dropping": ["Dropping: the redundant proxy", "such as pike, ratelimit"],
                 "saturated": ["Saturated: the redundant proxy", "accepted registrations were flat",
                               "answers came too late"]}
        for character, wanted in words.items():
            told = self.told(character)
            for text in wanted:
                self.assertIn(text, told, character)
            for text in {w for other in words.values() for w in other} - set(wanted):
                # A rate is flat whatever limits it.
                if text not in ("accepted registrations were flat",):
                    self.assertNotIn(text, told, character)

    def test_what_the_drill_did_is_no_finding(self):
        """Refusals and losses that the drill itself made are not held against the proxy."""
        ours = run("dropping")
        steps = ours["drills"][0]["steps"]
        steps.insert(1, {"at_ms": 10, "act": "impair", "proxy": "redundant", "restores": False,
                         "text": "the redundant proxy loses 60 %"})
        told = self.text(ours)
        self.assertIn("is sipherd's doing", told)
        self.assertNotIn("Dropping: the redundant proxy", told)


    def test_nobody_is_blamed_where_no_proxy_was_well(self):
        ours = run("refusing")
        ours["drills"][0]["steps"] = [
            {"at_ms": 0, "act": "faults", "proxy": proxy, "restores": False, "text": "it refuses"}
            for proxy in sample.PROXIES]
        told = self.text(ours)
        self.assertIn("The drill had impaired both proxies", told)
        self.assertIn("The drill itself had this proxy refuse", told)
        waves = [e for e in parse(self.report(ours)).iter("section") if e.get("id")]
        for wave in waves:
            self.assertNotIn("bad", [e.get("class") for e in wave.iter("li")])

    def test_what_was_under_way_is_no_loss(self):
        """A proxy that serves again is sent once more what was begun while it did not."""
        summary = run()
        series = summary["drills"][0]["series"]
        column = {name: i for i, name in enumerate(series["columns"])}
        before, after = series["primary"][0], series["primary"][int((sample.BEFORE + sample.HOLD) / sample.STEP)]
        after[column["register_retransmitted"]] += 200
        after[column["register_datagrams"]] += 200
        self.assertIn("Dropping: the primary proxy", self.text(summary))
        before[column["offered_refresh"]] += 200
        self.assertNotIn("Dropping: the primary proxy", self.text(summary))


class Compare(Reports):
    def marks(self, a, b):
        root = self.alone(self.report(a, b))
        cells = [e for e in root.iter("td") if (e.text or "")[:1] in ("\u25bc", "\u25b2")]
        return [c.text[2:] for c in cells], text_of(root.find("body")).replace("\u00a0", " ")

    def test_the_same_and_its_like(self):
        marks, text = self.marks(made(), made())
        self.assertEqual(marks, [])
        self.assertIn("both fleets were configured alike", text)
        marks, text = self.marks(made(), made(seed=2))
        self.assertEqual(marks, [], "two runs of the same kind")

    def test_what_differs_is_marked(self):
        slow = run("saturated")
        slow["fleet"]["keepalive"]["jitter_percent"] = 5
        marks, text = self.marks(made(), slow)
        self.assertGreater(marks.count("worse"), 10)
        self.assertEqual(marks.count("better"), 0)
        self.assertIn("keepalive.jitter_percent 0 5", text)
        marks, text = self.marks(slow, made())
        self.assertGreater(marks.count("better"), 10)
        self.assertEqual(marks.count("worse"), 0)

    def test_other_drills(self):
        other = run()
        other["drills"][0]["waves"][0]["name"] = "flap-1"
        self.assertIn("B has no such wave", self.marks(made(), other)[1])
        other["drills"][0]["name"] = "flap"
        self.assertIn("B has no drill 'crash'", self.marks(made(), other)[1])

    def test_generator_limited(self):
        bad = run()
        bad["verdict"]["generator_limited"] = True
        root = parse(self.report(made(), bad))
        verdict = root.find("body/main/section")
        self.assertEqual(verdict.find("b").text, "GENERATOR-LIMITED")
        self.assertIn("Run B", text_of(verdict))


class TimeLine(Reports):
    def test_sums_are_the_totals(self):
        summary = run("refusing")
        drill = summary["drills"][0]
        out = os.path.join(self.folder, "timeline.csv")
        self.exits(sipherd("report", self.json("run.json", summary), "--csv", "-o", out), DONE)
        with open(out, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 2 * len(drill["series"]["primary"]))
        for proxy, totals in drill["proxies"].items():
            mine = [row for row in rows if row["proxy"] == proxy]
            for kind, count in totals["offered"].items():
                self.assertEqual(sum(int(row["offered_" + kind]) for row in mine), count)
            for kind, count in totals["accepted"].items():
                self.assertEqual(sum(int(row["accepted_" + kind]) for row in mine), count)
            self.assertEqual(sum(int(row["register_503"]) for row in mine), totals["ira"]["503"])
            at = [int(row["at_ms"]) for row in mine]
            self.assertEqual(at, list(range(at[0], at[0] + 100 * len(mine), 100)))
            self.assertEqual(at[0], drill["series"]["begin_ms"])
            for row in mine:
                self.assertEqual(int(row["unix_ms"]) - int(row["at_ms"]), drill["begin_unix_ms"])

    def test_to_standard_output(self):
        done = self.exits(sipherd("report", "--csv", self.json("run.json", made())), DONE)
        self.assertEqual(next(csv.reader(io.StringIO(done.stdout)))[:4],
                         ["unix_ms", "at_ms", "proxy", "offered_initial"])

    def test_refused(self):
        bare, odd = run(), run()
        del bare["drills"]
        odd["drills"][0]["series"]["columns"][0] = "=cmd()"
        for summary, words in ((bare, "no drill with a time line"), (odd, "no proper name")):
            done = self.exits(sipherd("report", "--csv", self.json("run.json", summary)), USAGE)
            self.assertIn(words, done.stderr)
        two = self.json("run.json", made())
        self.assertIn("one run", self.exits(sipherd("report", "--csv", two, two), USAGE).stderr)


class Refused(Reports):
    def refuses(self, summary, *words):
        out = self.write("kept.html", "the old one")
        done = self.exits(sipherd("report", self.json("run.json", summary), "-o", out), USAGE)
        for word in ("run.json", *words):
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "the old one")

    def test_what_is_no_summary(self):
        self.refuses("", "no JSON")
        self.refuses("{\"schema\":", "no JSON", "line 1")
        self.refuses("[" * 100000, "no JSON")
        self.refuses("[]", "sipherd.run/1")
        self.refuses({"schema": "sipherd.probe/1"}, "sipherd.probe/1")
        self.refuses({"schema": 7}, "sipherd.run/1")
        registrar = run()
        for key in ("verdict", "fleet"):
            del registrar[key]
        self.refuses(registrar, "no 'verdict'")
        missing = sipherd("report", os.path.join(self.folder, "none.json"))
        self.assertIn("No such file", self.exits(missing, USAGE).stderr)
        unwritable = sipherd("report", self.json("run.json", made()), "-o", "/proc/none/report.html")
        self.assertIn("cannot write", self.exits(unwritable, HOST).stderr)

    def test_other_things_than_expected(self):
        for change in (lambda d: d.update(waves=7), lambda d: d.update(steps=[1]),
                       lambda d: d["series"].update(primary="x"), lambda d: d.pop("series")):
            odd = run()
            change(odd["drills"][0])
            self.refuses(odd, "docs/measures.md")
        odd = run()
        odd["drills"] = {"0": {}}
        self.refuses(odd, "no array")

    def test_values_of_any_kind(self):
        """A page comes out, whatever stands where a value should."""
        for junk in (None, -1, 1e300, "", [], {}, [[]], True):
            def spoil(value, key=None):
                if isinstance(value, dict):
                    return {k: spoil(v, k) for k, v in value.items()}
                if key in ("waves", "steps", "drills", "columns"):
                    return [spoil(v) for v in value]
                if key in ("primary", "redundant") and isinstance(value, list):
                    return [[junk] * 3] * 20
                return value if key in ("schema",) else junk
            odd = spoil(copy.deepcopy(run()))
            for group in ("verdict", "fleet", "datagrams", "losses", "histograms"):
                self.assertIsInstance(odd[group], dict)
            odd["drills"][0]["series"]["columns"] = ["offered_initial", "late", "rrd_us"]
            self.alone(self.report(odd))
            self.alone(self.report(odd, made()))


if __name__ == "__main__":
    main()
