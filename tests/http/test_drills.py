#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Drills over HTTP: plans, confirmation, one at a time, what is told while one runs, its result and report."""
import html.parser
import json
import unittest

from server import FLEET, Case, Server, eventually, main
from sse import Listener

try:
    from jsonschema import Draft202012Validator
except ImportError:
    Draft202012Validator = None

DRILLS = "/api/v1/drills"
QUICK = FLEET + """timers: { no_response: 1500ms }
redundancy: { switch_delay: 0s }
hooks: { stop-primary: { run: [/bin/true, very-secret-word], undo: [/bin/true] } }
drills: { friday: [ { do: crash, proxy: primary, hold: 2s, settle: 3s }, { wait: 1s }, { do: power-cut, settle: 3s } ] }
"""
SECURITY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; " \
           "form-action 'none'; frame-ancestors 'none'"


class DrillCase(Case):
    more = {"fleet": QUICK}

    def ask_drill(self, role="operator", **body):
        return self.server.change("POST", DRILLS, body, role=role)

    def begin(self, **body):
        """The number of a drill that has begun."""
        answers = []

        def begun():
            answers.append(self.safe(self.ask_drill(confirm="herd", **body)))
            return answers[-1].code == 202
        eventually(begun, "all phones are registered, so that a drill can begin")
        return answers[-1].json()["id"]

    def drills(self):
        return self.good(self.server.ask(DRILLS)).json()

    def listen(self):
        listener = Listener(self.server.port)
        self.addCleanup(listener.close)
        return listener

    def schema(self, name):
        return self.server.ask("/api/v1/openapi.json").json()["components"]["schemas"][name]

    def fits(self, name, value):
        if Draft202012Validator is not None:
            Draft202012Validator(self.schema(name)).validate(value)

    def nothing_has_begun(self):
        told = self.drills()
        self.assertEqual((told["running"], told["finished"], told["marks"]), (None, [], []))


class Plans(DrillCase):
    def test_what_there_is(self):
        told = self.drills()
        self.fits("Drills", told)
        fields = {drill["name"]: drill["fields"] for drill in told["catalogue"]}
        self.assertEqual(sorted(fields), ["blind-spot", "both", "brown-out", "crash", "drain", "flap",
                                          "half-dead", "power-cut", "return", "rolling"])
        self.assertIn("loss", fields["brown-out"])
        defaults = {drill["name"]: dict(zip(drill["fields"], drill["defaults"], strict=True))
                    for drill in told["catalogue"]}
        self.assertEqual((defaults["crash"]["proxy"], defaults["crash"]["share"], defaults["crash"]["hook"]),
                         ("primary", "100%", ""))
        self.assertEqual((defaults["flap"]["times"], defaults["half-dead"]["method"]), ("3", "register"))
        self.assertRegex(defaults["crash"]["hold"], r"^\d+(ms|s|m|h)$")
        self.assertNotIn("loss", fields["crash"])
        self.assertEqual((told["plans"], told["hooks"]), (["friday"], ["stop-primary"]))

    def test_a_dry_run_begins_nothing(self):
        answer = self.good(self.ask_drill(drill="crash", proxy="primary", hold="90s", share="50%", dry_run=True))
        plan = answer.json()
        self.fits("Drill", plan)
        self.assertEqual((plan["id"], plan["name"]), (None, "crash"))
        self.assertIn("primary", plan["title"])
        down, up = [s for s in plan["steps"] if s["act"] == "impair"]
        self.assertEqual((down["at_ms"], down["proxy"], down["restores"]), (0, "primary", False))
        self.assertEqual((up["at_ms"], up["proxy"], up["restores"]), (90000, "primary", True))
        self.assertGreaterEqual(plan["end_ms"], 90000)
        self.assertEqual(plan["waves"][0]["kind"], "fail-over")
        self.assertGreater(plan["forecast"]["steady_per_s"], 0)
        # With the name of the fleet it still is one.
        self.good(self.ask_drill(drill="crash", dry_run=True, confirm="herd"))
        self.nothing_has_begun()

    def test_a_plan_of_the_fleet_file(self):
        plan = self.good(self.ask_drill(drill="friday", dry_run=True)).json()
        self.assertEqual(plan["name"], "friday")
        self.assertGreaterEqual(len(plan["steps"]), 3)
        self.problem(self.ask_drill(drill="friday", hold="1s", dry_run=True), 422, "refused")

    def test_refusals_have_their_reasons(self):
        for body, words in (({"drill": "nothing"}, "no such drill"), ({"drill": ""}, "crash"),
                            ({"drill": "crash", "hold": "long"}, "hold"),
                            ({"drill": "crash", "hold": "8d"}, "hold"),
                            ({"drill": "crash", "proxy": "third"}, "proxy"),
                            ({"drill": "crash", "loss": "10%"}, "loss"),
                            ({"drill": "crash", "hook": "nobodys"}, "nobodys"),
                            ({"drill": "crash", "hook": "/bin/sh"}, "hook")):
            with self.subTest(body=body):
                for more in ({"dry_run": True}, {"confirm": "herd"}):
                    told = self.problem(self.ask_drill(**body, **more), 422, "refused")
                    self.assertIn(words, told["detail"])
        self.nothing_has_begun()

    def test_bodies(self):
        for body, words in (({}, "drill is missing"), ({"drill": 1}, "drill is a text"),
                            ({"drill": "crash", "hold": 90}, "hold is a text"),
                            ({"drill": "crash\x1b[2J"}, "control characters"),
                            ({"drill": "x" * 64}, "at most 63 bytes"),
                            ({"drill": "crash", "dry_run": "yes"}, "dry_run is true or false"),
                            ({"drill": "crash", "run": ["/bin/sh"]}, "'run' is unknown"),
                            ({"drill": "crash", "wait": "1s"}, "'wait' is unknown")):
            told = self.problem(self.server.change("POST", DRILLS, body), 400, "bad-request")
            self.assertIn(words, told["detail"])
        told = self.problem(self.server.change("POST", f"{DRILLS}/1/abort", {"id": 1}), 400, "bad-request")
        self.assertIn("takes nothing", told["detail"])
        self.nothing_has_begun()

    def test_without_the_name_of_the_fleet_nothing_begins(self):
        for wrong in ({}, {"confirm": ""}, {"confirm": "Herd"}, {"confirm": "herd "}, {"dry_run": False}):
            told = self.problem(self.ask_drill(drill="crash", **wrong), 422, "unconfirmed")
            self.assertNotIn("herd", told["detail"])
        self.nothing_has_begun()

    def test_roles(self):
        body = {"drill": "crash", "confirm": "herd"}
        for path in (DRILLS, f"{DRILLS}/1/abort"):
            self.problem(self.server.change("POST", path, body, role=None), 401, "unauthorized")
            self.problem(self.server.change("POST", path, body, role="viewer"), 403, "forbidden")
        told = self.server.change("POST", DRILLS, {**body, "dry_run": True}, role="viewer")
        self.problem(told, 403, "forbidden")
        self.nothing_has_begun()

    def test_drills_that_never_were(self):
        for number in ("0", "1", "4294967295"):
            for path in (f"{DRILLS}/{number}", f"{DRILLS}/{number}/report"):
                self.problem(self.server.ask(path), 404, "not-found")
            told = self.server.change("POST", f"{DRILLS}/{number}/abort", {})
            self.problem(told, 404, "not-found")
        for path in (f"{DRILLS}/x", f"{DRILLS}/01", f"{DRILLS}/1/reports", f"{DRILLS}/"):
            self.problem(self.server.ask(path), 404, "not-found")
        self.problem(self.server.ask(f"{DRILLS}/1/abort"), 405, "method-not-allowed")


class WithoutRedundancy(DrillCase):
    more = {"fleet": FLEET.replace(', redundant: "192.0.2.2:5060"', "")}

    def test_a_crash_is_refused_with_the_reason(self):
        for more in ({"dry_run": True}, {"confirm": "herd"}):
            told = self.problem(self.ask_drill(drill="crash", **more), 422, "refused")
            self.assertIn("redundan", told["detail"])
        self.nothing_has_begun()


class Page(html.parser.HTMLParser):
    """What a report must not have: scripts, and anything from elsewhere."""

    def __init__(self):
        super().__init__()
        self.tags, self.outside = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.outside += [(name, value) for name, value in attributes
                         if name in ("src", "srcset", "action", "data") or name.startswith("on")]


class Running(DrillCase):
    def test_from_beginning_to_end(self):
        listener = self.listen()
        number = self.begin(drill="crash", proxy="primary", hold="8s", settle="7s")
        self.assertEqual(number, 1)
        self.one_at_a_time()
        self.while_it_runs()
        events = [e for e in listener.until(lambda e: e.name == "drill" and e.data["phase"] == "ended")]
        self.events(events)
        eventually(lambda: self.drills()["running"] is None, "it is over")
        self.afterwards(self.drills())
        self.result()
        self.report()
        self.once_more_in_the_log()

    def one_at_a_time(self):
        for body in ({"drill": "crash"}, {"drill": "friday"}):
            self.problem(self.ask_drill(confirm="herd", **body), 409, "drill-running")
        self.good(self.ask_drill(drill="flap", dry_run=True))
        self.problem(self.server.ask(f"{DRILLS}/1"), 409, "drill-running")
        self.problem(self.server.ask(f"{DRILLS}/1/report"), 409, "drill-running")
        self.problem(self.server.change("POST", f"{DRILLS}/2/abort", {}), 404, "not-found")

    def while_it_runs(self):
        told = self.drills()
        self.fits("Drills", told)
        self.assertEqual((told["running"]["id"], told["running"]["name"]), (1, "crash"))
        self.assertIn('sipherd_drill_running{name="crash"} 1\n',
                      self.server.ask("/metrics").body.decode())

        def concerned():
            wave = self.drills()["running"]["waves"][0]
            return wave["begun"] and wave["concerned"] == 50
        eventually(concerned, "the wave is about all phones")

    def events(self, events):
        told = [e.data for e in events if e.name == "drill"]
        for one in told:
            self.fits("EventDrill", one)
        self.assertEqual((told[0]["phase"], told[-1]["phase"]), ("began", "ended"))
        self.assertEqual({e["phase"] for e in told[1:-1]}, {"step"})
        self.assertEqual({(e["id"], e["name"]) for e in told}, {(1, "crash")})
        *steps, over = told[1:-1]
        self.assertEqual([(e["act"], e["proxy"], e["restores"]) for e in steps],
                         [("impair", "primary", False), ("impair", "primary", True)])
        self.assertEqual((over["act"], over["proxy"]), ("end", None))
        self.assertEqual((told[0]["act"], told[-1]["act"]), (None, None))
        moments = [e["at_ms"] for e in told]
        self.assertEqual(moments, sorted(moments))
        ticks = [e.data["drill"] for e in events if e.name == "tick" and e.data["drill"] is not None]
        self.assertTrue(ticks)
        self.assertEqual({tick["id"] for tick in ticks}, {1})
        self.fits("EventTick", [e.data for e in events if e.name == "tick"][-1])

    def afterwards(self, told):
        self.fits("Drills", told)
        self.assertEqual([(d["id"], d["name"], d["outcome"]) for d in told["finished"]],
                         [(1, "crash", "completed")])
        self.assertEqual([m["phase"] for m in told["marks"]][0], "began")
        self.assertEqual([m["phase"] for m in told["marks"]][-1], "ended")
        lasted = told["marks"][-1]["at_s"] - told["marks"][0]["at_s"]
        self.assertAlmostEqual(lasted, told["finished"][0]["duration_ms"] / 1e3, delta=3)
        text = self.server.ask("/metrics").body.decode()
        for line in ("sipherd_drill_running 0", 'sipherd_drills_total{outcome="completed"} 1',
                     'sipherd_drills_total{outcome="aborted"} 0', "sipherd_drill_phones_out 0"):
            self.assertIn("\n" + line + "\n", text)

    def result(self):
        told = self.good(self.server.ask(f"{DRILLS}/1")).json()
        self.assertEqual((told["name"], told["outcome"], told["phones"]), ("crash", "completed", 50))
        self.assertEqual([w["kind"] for w in told["waves"]], ["fail-over", "fail-back"])
        for wave in told["waves"]:
            self.assertGreaterEqual(wave["phones"] - wave["out"], 45, wave["name"])
        self.fits("DrillResult", told)

    def report(self):
        answer = self.server.ask(f"{DRILLS}/1/report")
        self.assertEqual((answer.code, answer.type), (200, "text/html; charset=utf-8"))
        self.assertEqual(answer.headers["Content-Security-Policy"], SECURITY)
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertIsNone(answer.headers["Content-Disposition"])
        self.assertNotIn(b"very-secret", answer.body)
        page = Page()
        page.feed(answer.body.decode())
        self.assertIn("svg", page.tags)
        self.assertNotIn("script", page.tags)
        self.assertEqual(page.outside, [])
        # Made once: it is the same for whoever asks.
        self.assertEqual(self.server.ask(f"{DRILLS}/1/report").body, answer.body)
        head = self.server.ask(f"{DRILLS}/1/report", "HEAD")
        self.assertEqual((head.code, head.body), (200, b""))

    def once_more_in_the_log(self):
        lines = [json.loads(line) for line in self.server.complaints().splitlines() if line.startswith("{")]
        told = [(x["path"], json.loads(x["body"]).get("drill"), x["status"]) for x in lines
                if x["status"] != 503]
        self.assertEqual(told, [(DRILLS, "crash", 202), (DRILLS, "crash", 409), (DRILLS, "friday", 409),
                                (DRILLS, "flap", 200), (f"{DRILLS}/2/abort", None, 404)])


class Aborted(DrillCase):
    def registered(self):
        return self.server.ask("/api/v1/fleet").json()["phones"]["registered"]

    def test_everything_is_restored_at_once(self):
        listener = self.listen()
        number = self.begin(drill="crash", proxy="primary", hold="600s")
        listener.until(lambda e: e.name == "drill" and e.data["phase"] == "step")
        eventually(lambda: self.registered()["redundant"] == 50, "all have moved")
        answer = self.safe(self.server.change("POST", f"{DRILLS}/{number}/abort", {}))
        self.assertEqual((answer.code, answer.json()), (202, {"id": number, "accepted": True}))
        events = listener.until(lambda e: e.name == "drill" and e.data["phase"] == "aborted")
        back = [e.data for e in events if e.name == "drill" and e.data["restores"]]
        self.assertEqual([e["proxy"] for e in back], ["primary"])
        asked = [json.loads(line) for line in self.server.complaints().splitlines()
                 if line.startswith("{")][-1]
        self.assertEqual(asked["path"], f"{DRILLS}/{number}/abort")
        self.assertLess(abs(back[0]["unix_ms"] - asked["unix_ms"]), 1000, "both by sipherd's clock")
        eventually(lambda: self.registered()["primary"] == 50, "all are home again")
        self.assertIn("operator", events[-1].data["text"])
        self.problem(self.server.change("POST", f"{DRILLS}/{number}/abort", {}), 409, "drill-over")
        told = self.good(self.server.ask(f"{DRILLS}/{number}")).json()
        self.assertEqual(told["outcome"], "aborted")
        finished = self.drills()["finished"][0]
        self.assertEqual((finished["outcome"], finished["reason"]), ("aborted", told["reason"]))
        self.assertIn("operator", told["reason"])
        self.assertEqual(self.server.ask(f"{DRILLS}/{number}/report").code, 200)
        self.only_the_newest_are_kept(number)

    def only_the_newest_are_kept(self, first):
        """Results of eight; reports of those that are gone are gone too."""
        for _ in range(8):
            number = self.begin(drill="crash", hold="600s", share="1%")
            self.server.change("POST", f"{DRILLS}/{number}/abort", {})
        self.assertEqual([d["id"] for d in self.drills()["finished"]],
                         list(range(first + 8, first, -1)))
        for path in (f"{DRILLS}/{first}", f"{DRILLS}/{first}/report"):
            told = self.problem(self.server.ask(path), 404, "not-found")
            self.assertIn("newest 8", told["detail"])
        self.good(self.server.ask(f"{DRILLS}/{first + 1}"))
        self.assertEqual(self.server.ask(f"{DRILLS}/{first + 8}").json()["name"], "crash")
        self.assertLessEqual(len(self.drills()["marks"]), 64)


class Hooks(DrillCase):
    """Their names are told, what they run is not."""

    def test_only_names(self):
        body = self.good(self.ask_drill(drill="crash", hook="stop-primary", dry_run=True)).body
        for path in (DRILLS, "/api/v1/fleet", "/metrics"):
            body += self.safe(self.server.ask(path)).body
        self.assertIn(b"stop-primary", body)
        self.assertNotIn(b"/bin/true", body)
        number = self.begin(drill="crash", hook="stop-primary", hold="1s", settle="1s")
        eventually(lambda: self.drills()["running"] is None, "it is over")
        for path in (f"{DRILLS}/{number}", f"{DRILLS}/{number}/report", DRILLS):
            body = self.server.ask(path).body
            self.assertIn(b"stop-primary", body, path)
            self.assertNotIn(b"/bin/true", body)
            self.assertNotIn(b"very-secret", body)


class End(unittest.TestCase):
    """A run that ends in the middle of a drill."""

    def test_it_is_aborted_and_told(self):
        server = Server(fleet=QUICK)
        self.addCleanup(server.close)
        listener = Listener(server.port)
        self.addCleanup(listener.close)
        body = {"drill": "crash", "hold": "600s", "confirm": "herd"}
        eventually(lambda: server.change("POST", DRILLS, body).code == 202, "it begins")
        server.process.terminate()
        names = []
        while (event := listener.next()) is not None:
            names.append(event.data.get("phase") if event.name == "drill" else event.name)
        self.assertIn("aborted", names)
        self.assertEqual(names[-1], "bye")
        server.process.communicate(timeout=60)
        self.assertEqual(server.process.returncode, 0)


if __name__ == "__main__":
    main()
