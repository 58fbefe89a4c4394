#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The contract: what the OpenAPI document says is what is answered, route by route, field by field."""
import shutil
import time
import unittest

from server import FLEET, Case, eventually, main

try:
    from jsonschema import Draft202012Validator
except ImportError:
    Draft202012Validator = None


PAGES = ("/", "/page/{file}")
STREAM = "/api/v1/events"  # never ends: test_events.py
# What the bodies of changes may be: of each route one that is good.
BODIES = {"/api/v1/phones/{phone}/actions": {"action": "reregister"},
          "/api/v1/load": {"ramp_per_s": 1000},
          "/api/v1/drills": {"drill": "crash", "dry_run": True},
          "/api/v1/drills/{id}/abort": {}}
REPORT = "/api/v1/drills/{id}/report"  # a page with a style of its own: test_drills.py


def concrete(path, operation):
    """All paths that a template stands for; of phones a few."""
    names = [p for p in operation["parameters"] if p["in"] == "path"]
    if not names:
        return [path]
    schema = names[0]["schema"]
    if path.startswith("/api/v1/drills/"):
        return [path.replace("{id}", "1")]  # which Contract begins
    return [path.replace("{" + names[0]["name"] + "}", str(name))
            for name in schema.get("enum", (0, 17, 49))]


class Document:
    def document(self):
        return self.good(self.server.ask("/api/v1/openapi.json")).json()

    def routes(self):
        for path, operations in self.document()["paths"].items():
            if "get" in operations and path not in PAGES + (STREAM, REPORT):
                for one in concrete(path, operations["get"]):
                    yield one, operations["get"]


class Contract(Document):
    """The same for a herd with and without a store."""

    def content_of(self, operation, status):
        kind, told = list(operation["responses"][status]["content"].items())[0]
        return kind, told["schema"].get("$ref", "").rsplit("/", 1)[-1]

    def begin_drill(self):
        """Its number; it would last for hours."""
        body, answers = {"drill": "crash", "share": "1%", "hold": "2h", "confirm": "herd"}, []

        def begun():
            answers.append(self.server.change("POST", "/api/v1/drills", body))
            return answers[-1].code == 202
        eventually(begun, "a drill begins")
        return answers[-1].json()["id"]

    def drill_one(self):
        """There has been a drill, so that there is a result."""
        if not self.server.ask("/api/v1/drills").json()["finished"]:
            path = f"/api/v1/drills/{self.begin_drill()}/abort"
            self.assertEqual(self.server.change("POST", path, {}).code, 202)

    def fits(self, document, name, value):
        """Fields that are not in the schema, and fields of the schema that are not there, fail."""
        schema = document["components"]["schemas"][name]
        if name not in ("Problem", "DrillResult"):  # which leaves out what is no text; is described elsewhere
            self.closed(schema)
        Draft202012Validator(schema).validate(value)

    @unittest.skipIf(Draft202012Validator is None, "not installed: python3-jsonschema")
    def test_every_field_is_in_the_document_and_back(self):
        document = self.document()
        self.drill_one()
        checked = set()
        eventually(lambda: self.server.ask("/api/v1/phones/17/trace").json()["messages"],
                   "a message is traced")
        for path, operation in self.routes():
            self.assertEqual(sorted(operation["responses"]), ["200", "default"])
            kind, name = self.content_of(operation, "200")
            answer = self.good(self.server.ask(path), self.server.ask(path).type)
            self.assertEqual(answer.type.split(";")[0], kind)
            if name:
                self.fits(document, name, answer.json())
                checked.add(name)
        self.assertEqual(checked, {"Health", "Ready", "Fleet", "Proxies", "Proxy", "Herds", "Generator",
                                   "Store", "Timeline", "Histogram", "Phones", "Phone", "Trace", "Load",
                                   "Drills", "DrillResult"})

    @unittest.skipIf(Draft202012Validator is None, "not installed: python3-jsonschema")
    def test_changes_and_problems_are_in_the_document(self):
        document = self.document()
        changes = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if method == "get":
                    self.assertNotIn("requestBody", operation)
                    continue
                changes += 1
                self.assertEqual(operation["security"], [{"bearer": []}])
                good = [s for s in operation["responses"] if s != "default"]
                names = {self.content_of(operation, status)[1] for status in good}
                self.assertEqual(len(names), 1)
                body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                schema = document["components"]["schemas"][body.rsplit("/", 1)[1]]
                self.assertIs(schema["additionalProperties"], False)
                Draft202012Validator(schema).validate(BODIES[path])
                for one in concrete(path, operation):
                    if one.endswith("/abort"):
                        one = f"/api/v1/drills/{self.begin_drill()}/abort"
                    answer = self.safe(self.server.change(method.upper(), one, BODIES[path]))
                    self.assertIn(str(answer.code), good, answer.body)
                    self.fits(document, *names, answer.json())
                    problem = self.server.change(method.upper(), one, {"no such field": 1})
                    self.fits(document, "Problem", self.problem(problem, 400, "bad-request"))
        self.assertEqual(changes, len(BODIES))

    def closed(self, schema):
        """No part of a schema lets unknown fields pass, none is without a description."""
        if "properties" in schema:
            self.assertIs(schema["additionalProperties"], False)
            self.assertEqual(sorted(schema["required"]), sorted(schema["properties"]))
        for part in schema.get("properties", {}).values():
            self.closed(part)
        if "items" in schema:
            self.closed(schema["items"])

    def test_head_is_get_without_the_body(self):
        self.drill_one()
        for path, _ in self.routes():
            answer = self.safe(self.server.ask(path, "HEAD"))
            self.assertEqual((answer.code, answer.body), (200, b""), path)
            self.assertGreater(int(answer.headers["Content-Length"]), 10)
        head = self.safe(self.server.ask(STREAM, "HEAD"))
        self.assertEqual((head.code, head.body, head.type), (200, b"", "text/event-stream"))


class WithoutStore(Contract, Case):
    def test_the_document_itself(self):
        document = self.document()
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(document["security"], [{}, {"bearer": []}])
        ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertIn("/api/v1/proxies/{id}", document["paths"])

    def test_counts_add_up(self):
        told = self.server.ask("/api/v1/fleet").json()
        self.assertEqual((told["name"], told["phones_configured"]), ("herd", 50))
        self.assertEqual(sum(n for state in told["phones"].values() for n in state.values()), 50)
        self.assertEqual(told["phones"]["registered"], {"primary": 50, "redundant": 0})
        self.assertEqual(told["mode"], {"enabled": True, "audiocodes": "asymmetric",
                                        "spider": "homing"})
        self.assertEqual(told["configuration"]["keepalive"]["period_ms"], 1000)
        self.assertAlmostEqual(told["rates"]["planned"]["steady_requests"], 50, delta=1)
        both = self.server.ask("/api/v1/proxies").json()["proxies"]
        self.assertEqual([(p["id"], p["registered"], p["share"]) for p in both],
                         [("primary", 50, 1.0), ("redundant", 0, 0.0)])

        def answered():
            both = self.server.ask("/api/v1/proxies").json()["proxies"]
            return [(p["answered_ratio"], p["dead_since_unix_ms"], p["rtt_us"]["count"] > 0)
                    for p in both] == [(1.0, None, True), (None, None, False)]
        eventually(answered, "the primary proxy answers all, and nobody asks the other one")
        self.assertEqual(told["user_pattern"], "2{n:06}")
        (herd,) = self.server.ask("/api/v1/herds").json()["herds"]
        self.assertEqual((herd["name"], herd["first_phone"], herd["phones_configured"]), ("herd", 0, 50))
        self.assertEqual(herd["phones"]["registered"], {"primary": 50, "redundant": 0})
        one = self.server.ask("/api/v1/proxies/primary").json()
        self.assertEqual((one["address"], one["port"]), ("192.0.2.1", 5060))
        self.assertEqual(one["registrar"]["bound"], 50)

    def test_figures_move(self):
        first = self.server.ask("/api/v1/generator").json()
        self.assertEqual(len(first["workers"]), 1)

        def moved():
            then = self.server.ask("/api/v1/generator").json()
            return then["at_s"] > first["at_s"] and \
                then["counters"]["options_sent"] > first["counters"]["options_sent"]
        eventually(moved, "time has passed and keep-alives were sent")

    def test_the_time_line_and_its_tails(self):
        def seconds():
            return self.server.ask("/api/v1/timeline").json()["seconds"]
        eventually(lambda: len(seconds()) >= 2, "two seconds are over")
        whole = seconds()
        tail = self.server.ask("/api/v1/timeline?seconds=2").json()["seconds"]
        self.assertEqual(len(tail), 2)
        self.assertGreaterEqual(tail[-1]["at_s"], whole[-1]["at_s"])
        moments = [second["at_s"] for second in whole]
        self.assertEqual(moments, sorted(set(moments)))
        self.assertEqual(len(self.server.ask("/api/v1/timeline?seconds=1").json()["seconds"]), 1)
        self.assertGreaterEqual(len(self.server.ask("/api/v1/timeline?seconds=900").json()["seconds"]),
                                len(whole))

    def test_histogram_cells_add_up(self):
        document = self.document()["paths"]["/api/v1/histograms/{name}"]["get"]
        for name in document["parameters"][0]["schema"]["enum"]:
            path = "/api/v1/histograms/" + name
            if not name.startswith("fail") and not name.endswith("redundant"):
                eventually(lambda: self.server.ask(path).json()["count"] > 0, name + " has values")
            told = self.server.ask(path).json()
            self.assertEqual(told["name"], name)
            self.assertEqual(told["unit_us"], 1000 if name.startswith("fail") else 1)
            self.assertEqual(sum(n for _, n in told["cells_us"]), told["count"])
            self.assertLessEqual(told["quantiles_us"]["p99_9"], told["max_us"])

    def test_what_is_not_there(self):
        for path in ("/index.html", "/page/", "/page/nothing", "/api/v1", "/api/v1/fleet/", "/api/v1/proxies/", "/api/v1/proxies/third",
                     "/api/v1/proxies/{id}", "/api/v1/proxies/primary/x", "/API/v1/fleet",
                     "/api/v1/histograms/%00", "/api/v1/phones/", "/api/v1/phones/x", "/api/v1/phones/-1",
                     "/api/v1/phones/1.0", "/api/v1/phones/01", "/api/v1/phones/4294967296",
                     "/api/v1/phones/1/", "/api/v1/phones/1/nothing", "/api/v1/phones//trace", "/healthz%20", "/healthz%00", "/healthz%00x", "/../etc/passwd", "/%ff"):
            told = self.problem(self.server.ask(path), 404, "not-found")
            self.assertIn("openapi.json", told["detail"])

    def test_queries(self):
        for query in ("seconds=0", "seconds=901", "seconds=", "seconds", "seconds=1.5", "seconds=-1",
                      "seconds=1&seconds=x", "second=1", "seconds=99999999999999999999", "x",
                      "seconds=%31%00"):
            self.problem(self.server.ask("/api/v1/timeline?" + query), 400, "bad-request")
        for path in ("/api/v1/fleet?verbose=1", "/api/v1/timeline?seconds=1&seconds=1",
                     "/api/v1/phones?state=asleep", "/api/v1/phones?state=", "/api/v1/phones?proxy=third",
                     "/api/v1/phones?limit=0", "/api/v1/phones?limit=1001", "/api/v1/phones?cursor=-1",
                     "/api/v1/phones?limit=1&limit=2", "/api/v1/phones?State=off", "/api/v1/phones/1?x=1",
                     "/api/v1/map?x", "/api/v1/events?last_event_id=" + 65 * "x",
                     "/api/v1/phones?state=%00", "/api/v1/phones?%00=1"):
            told = self.problem(self.server.ask(path), 400, "bad-request")
            self.assertNotIn("\\u0000", told["detail"])
        told = self.server.ask("/api/v1/phones?limit=1001").json()["detail"]
        self.assertEqual(told, "limit is a whole number from 1 to 1000")
        self.good(self.server.ask("/api/v1/timeline?seconds=%31"))

    def test_other_methods(self):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            for path in ("/api/v1/fleet", "/", "/page/index.html"):
                answer = self.server.ask(path, method)
                self.problem(answer, 405, "method-not-allowed")
                self.assertEqual(answer.headers["Allow"], "GET, HEAD")
            self.problem(self.server.ask("/nowhere", method), 404, "not-found")
            allowed = {"/api/v1/load": "GET, HEAD, PATCH", "/api/v1/phones/1/actions": "POST",
                       "/api/v1/drills": "GET, HEAD, POST", "/api/v1/drills/1/abort": "POST"}
            for path, methods in allowed.items():
                if method not in methods:
                    answer = self.server.ask(path, method)
                    self.problem(answer, 405, "method-not-allowed")
                    self.assertEqual(answer.headers["Allow"], methods)
        self.problem(self.server.ask("/api/v1/phones/1/actions"), 405, "method-not-allowed")
        self.assertEqual(self.server.ask("/api/v1/phones/1/actions", "HEAD").code, 405)
        self.problem(self.server.ask("/healthz", "POST", body=b"{}"), 405, "method-not-allowed")


class WithStore(Contract, Case):
    @classmethod
    def setUpClass(cls):
        if shutil.which("redis-server") is None:
            raise unittest.SkipTest("not installed: redis-server")
        cls.more = {"store": "embedded"}
        super().setUpClass()

    def test_the_store(self):
        eventually(lambda: self.server.ask("/api/v1/store").json()["redis"]["shards_driven"] == 1,
                   "the shard is driven")
        told = self.server.ask("/api/v1/store").json()
        self.assertEqual((told["kind"], told["redis"]["connected"]), ("embedded", True))
        self.assertEqual((told["redis"]["shards"], told["redis"]["shards_driven"]), (1, 1))
        self.assertEqual(told["redis"]["trouble"], "")
        self.assertEqual(told["shards"], [{"shard": 0, "owner": told["node"]}])
        self.assertEqual(self.server.tokens, self.server.folder + "/state/herd.0.tokens")


class OutOfReach(Document, Case):
    """A store that cannot be reached, and what it is called with."""
    more = {"store": "redis://somebody:very-secret@127.0.0.1:1", "ready": "^link "}

    def test_user_and_password_are_nowhere(self):
        eventually(lambda: self.server.ask("/api/v1/store").json()["redis"]["trouble"], "it is in trouble")
        for path, _ in self.routes():
            self.assertNotIn(b"somebody", self.safe(self.server.ask(path)).body, path)
        self.problem(self.server.ask("/readyz"), 503, "not-ready")


class Ready(Case):
    """Phones are driven, but no proxy answers them any more."""
    arguments = ("--fault", "both:crash@3s")
    more = {"fleet": FLEET + "timers: { no_response: 500ms }\nredundancy: { switch_delay: 0s }\n"}

    def test_until_phones_are_registered_it_is_a_problem(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            answer = self.server.ask("/readyz")
            if answer.code != 200:
                break
            # Ready from 95 percent on: the last two may still be on their way.
            self.assertIn(answer.json()["phones_registered"], range(48, 51))
            time.sleep(0.2)
        told = self.problem(answer, 503, "not-ready")
        self.assertRegex(told["detail"], r"^\d+ of the 50 phones driven here are registered")
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.good(self.server.ask("/healthz"))


if __name__ == "__main__":
    main()
