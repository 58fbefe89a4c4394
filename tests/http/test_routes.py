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


def concrete(path, operation):
    """All paths that a template stands for."""
    names = [p for p in operation["parameters"] if p["in"] == "path"]
    if not names:
        return [path]
    return [path.replace("{" + names[0]["name"] + "}", name) for name in names[0]["schema"]["enum"]]


PAGES = ("/", "/page/{file}")
STREAM = "/api/v1/events"  # never ends: test_events.py


class Contract:
    """The same for a herd with and without a store."""

    def document(self):
        return self.good(self.server.ask("/api/v1/openapi.json")).json()

    def routes(self):
        for path, operations in self.document()["paths"].items():
            if "get" in operations and path not in (*PAGES, STREAM):
                for one in concrete(path, operations["get"]):
                    yield one, operations["get"]

    def test_every_field_is_in_the_document_and_back(self):
        if Draft202012Validator is None:
            self.skipTest("not installed: python3-jsonschema")
        document = self.document()
        checked = 0
        for path, operation in self.routes():
            answer = self.server.ask(path)
            content = operation["responses"]["200"]["content"]
            self.assertEqual(answer.type.split(";")[0], list(content)[0])
            reference = list(content.values())[0]["schema"].get("$ref")
            self.good(answer, answer.type)
            if reference is None:
                continue
            # Fields that are not in the schema, and fields of the schema that are not there, fail.
            schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
            self.closed(schema)
            Draft202012Validator(schema).validate(answer.json())
            checked += 1
        self.assertEqual(checked, 13)

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
        for path, _ in self.routes():
            answer = self.safe(self.server.ask(path, "HEAD"))
            self.assertEqual((answer.code, answer.body), (200, b""), path)
            self.assertGreater(int(answer.headers["Content-Length"]), 10)


class WithoutStore(Contract, Case):
    def test_the_document_itself(self):
        document = self.document()
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(document["security"], [{}, {"bearer": []}])
        ids = [o["get"]["operationId"] for o in document["paths"].values()]
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
        for name in ("options_rtt", "register_rtt", "registration", "lateness"):
            path = "/api/v1/histograms/" + name
            eventually(lambda: self.server.ask(path).json()["count"] > 0, name + " has values")
            told = self.server.ask(path).json()
            self.assertEqual(told["name"], name)
            self.assertEqual(sum(n for _, n in told["cells_us"]), told["count"])
            self.assertLessEqual(told["quantiles_us"]["p99_9"], told["max_us"])

    def test_what_is_not_there(self):
        for path in ("/index.html", "/page/", "/page/nothing", "/api/v1", "/api/v1/fleet/", "/api/v1/proxies/", "/api/v1/proxies/third",
                     "/api/v1/proxies/{id}", "/api/v1/proxies/primary/x", "/API/v1/fleet",
                     "/api/v1/histograms/%00", "/healthz%20", "/healthz%00", "/healthz%00x", "/../etc/passwd", "/%ff"):
            told = self.problem(self.server.ask(path), 404, "not-found")
            self.assertIn("openapi.json", told["detail"])

    def test_queries(self):
        for query in ("seconds=0", "seconds=901", "seconds=", "seconds", "seconds=1.5", "seconds=-1",
                      "seconds=1&seconds=x", "second=1", "seconds=99999999999999999999", "x",
                      "seconds=%31%00"):
            self.problem(self.server.ask("/api/v1/timeline?" + query), 400, "bad-request")
        self.problem(self.server.ask("/api/v1/fleet?verbose=1"), 400, "bad-request")
        self.good(self.server.ask("/api/v1/timeline?seconds=%31"))

    def test_other_methods(self):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            for path in ("/api/v1/fleet", "/", "/page/index.html"):
                answer = self.server.ask(path, method)
                self.problem(answer, 405, "method-not-allowed")
                self.assertEqual(answer.headers["Allow"], "GET, HEAD")
            self.problem(self.server.ask("/nowhere", method), 404, "not-found")
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
        self.assertEqual(self.server.tokens, self.server.folder + "/state/herd.0.tokens")


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
