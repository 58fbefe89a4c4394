#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What operators change: who may, how it is to be asked for, that it comes about, and that it is logged."""
import http.client
import json
import os
import shutil
import socket
import stat
import time
from types import SimpleNamespace

from server import FLEET, Answer, Case, Server, ask, eventually, main

PHONES = "/api/v1/phones"
LOAD = "/api/v1/load"
NOTHING = "0" * 64


class Who(Case):
    """Changes need the operator's token, from loopback too."""
    CHANGES = (("POST", f"{PHONES}/1/actions", {"action": "reregister"}), ("PATCH", LOAD, {"paused": False}))

    def test_roles(self):
        for method, path, body in self.CHANGES:
            told = self.problem(self.server.change(method, path, body, role=None), 401, "unauthorized")
            self.assertIn("operator", told["detail"])
            self.problem(self.server.change(method, path, body, role="viewer"), 403, "forbidden")
            wrong = self.server.change(method, path, body, role=None, Authorization=f"Bearer {NOTHING}")
            self.problem(wrong, 401, "unauthorized")
            self.assertEqual(wrong.headers["WWW-Authenticate"], 'Bearer realm="sipherd"')
            self.assertIn(self.safe(self.server.change(method, path, body)).code, (200, 202))

    def test_host_and_origin(self):
        here = f"localhost:{self.server.port}"
        for method, path, body in self.CHANGES:
            told = self.server.change(method, path, body, Origin="http://evil.example.net")
            self.problem(told, 403, "foreign-origin")
            self.assertIsNone(told.headers.get("Access-Control-Allow-Origin"))
            self.assertIn(self.server.change(method, path, body, Origin=f"http://{here}").code, (200, 202))
            token = {"Authorization": "Bearer " + self.server.token("operator"),
                     "Content-Type": "application/json"}
            told = ask(self.server.port, path, method, headers=token, host="evil",
                       body=json.dumps(body).encode())
            self.problem(told, 421, "foreign-host")

    def test_content_types(self):
        for method, path, body in self.CHANGES:
            for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                         "application/jsonx", "text/json", "application/merge-patch+json"):
                told = self.server.change(method, path, body, Content_Type=kind)
                self.problem(told, 415, "unsupported-media-type")
            for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json ;x"):
                self.assertIn(self.server.change(method, path, body, Content_Type=kind).code, (200, 202))
            token = {"Authorization": "Bearer " + self.server.token("operator")}
            told = ask(self.server.port, path, method, headers=token, body=json.dumps(body).encode())
            self.problem(told, 415, "unsupported-media-type")

    def test_lengths(self):
        for method, path, body in self.CHANGES:
            token = {"Authorization": "Bearer " + self.server.token("operator"),
                     "Content-Type": "application/json"}
            self.problem(ask(self.server.port, path, method, headers=token), 411, "length-required")
            chunked = {**token, "Transfer-Encoding": "chunked"}
            self.problem(ask(self.server.port, path, method, headers=chunked), 411, "length-required")
            long = {**token, "Content-Length": "65537"}
            self.problem(ask(self.server.port, path, method, headers=long), 413, "too-large")
            padded = json.dumps(body).encode().ljust(65536)
            self.assertIn(self.server.change(method, path, padded).code, (200, 202))
            nothing = self.server.change(method, path, b"")
            self.problem(nothing, 400, "bad-request")

    def test_a_body_in_pieces(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.putrequest("PATCH", LOAD)
        body = b'{"paused": false}'
        for name, value in (("Authorization", "Bearer " + self.server.token("operator")),
                            ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders()
        for i in range(len(body)):
            connection.send(body[i:i + 1])
            time.sleep(0.01)
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["paused"]), (200, False))


class Bodies(Case):
    def refused(self, method, path, body, words):
        told = self.problem(self.server.change(method, path, body), 400, "bad-request")
        self.assertIn(words, told["detail"])

    def test_actions(self):
        path = f"{PHONES}/2/actions"
        for body, words in ((b"", "no JSON"), (b"{", "no JSON"), (b"[]", "no JSON object"),
                            (b'"reboot"', "no JSON object"), ({}, "action is missing"),
                            ({"action": None}, "action is one of"), ({"action": 1}, "action is one of"),
                            ({"action": "Reboot"}, "action is one of"), ({"action": ""}, "action is one of"),
                            ({"action": ["reboot"]}, "action is one of: reregister, unregister, reboot, power-cut"),
                            ({"action": "reboot", "delay": 1}, "'delay' is unknown"),
                            (b'{"action": "reboot", "action": "reboot"}', "twice"),
                            (b'{"action": "reboot"} x', "no JSON"), (b'{"action": "rebo\\u0000ot"}', ""),
                            (b'{"action": "\xff"}', "no JSON"), (b"[" * 60000, "no JSON"),
                            ({"\x1b[31m": 1}, "a name is unknown"), ({"a" * 41: 1}, "a name is unknown")):
            self.refused("POST", path, body, words)
        for phone in ("50", "4294967295"):
            told = self.server.change("POST", f"{PHONES}/{phone}/actions", {"action": "reboot"})
            self.problem(told, 404, "not-found")

    def test_loads(self):
        before = self.server.ask(LOAD).json()
        for body, words in (({}, "at least one of"), ({"phones": 51}, "phones is a whole number from 0 to 50"),
                            ({"phones": -1}, "phones is a whole number"), ({"phones": 1.0}, "phones is"),
                            ({"phones": "1"}, "phones is"), ({"phones": True}, "phones is"),
                            ({"phones": None}, "phones is"), ({"ramp_per_s": 10000001}, "ramp_per_s is"),
                            ({"ramp_per_s": 4294967296}, "ramp_per_s is"), ({"paused": 1}, "paused is true or false"),
                            (b'{"phones": 99999999999999999999}', "no JSON"),
                            ({"paused": "true"}, "paused is true or false"),
                            ({"phones": 20, "rate": 1}, "'rate' is unknown"),
                            (b'{"phones": 1, "phones": 2}', "twice")):
            self.refused("PATCH", LOAD, body, words)
        after = self.server.ask(LOAD).json()
        for name in ("phones", "ramp_per_s", "paused"):
            self.assertEqual(after[name], before[name], name)

    def at_once(self, count):
        """So many changes in one piece, which even a busy machine takes within a second."""
        body = '{"paused": false}'
        one = (f"PATCH {LOAD} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
               f"{self.server.token('operator')}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode("ascii")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as own:
            own.sendall(count * one)
            with own.makefile("rb") as file:
                return list(self.read_answers(file, count))

    @staticmethod
    def read_answers(file, count):
        """One behind the other; behind an error the connection may end."""
        for _ in range(count):
            first = file.readline()
            if not first:
                return
            headers = http.client.parse_headers(file)
            body = file.read(int(headers["Content-Length"]))
            yield Answer(SimpleNamespace(status=int(first.split()[1]), headers=headers,
                                         read=lambda body=body: body))

    def test_too_many_changes(self):
        """A hundred a second; then a second's rest."""
        answers, end = [], time.monotonic() + 60
        while all(answer.code == 200 for answer in answers) and time.monotonic() < end:
            time.sleep(1.1)  # what was changed before is in another second
            answers = self.at_once(150)
        codes = [answer.code for answer in answers]
        first = codes.index(429)
        self.assertEqual(set(codes[:first]), {200})
        self.assertGreaterEqual(first, 100)
        refused = answers[first]
        self.problem(refused, 429, "too-many-requests")
        self.assertEqual(refused.headers["Retry-After"], "1")
        self.good(self.server.ask(LOAD))
        eventually(lambda: self.server.change("PATCH", LOAD, {"paused": False}).code == 200,
                   "changes are taken again")


class Actions(Case):
    def phone(self, number):
        return self.good(self.server.ask(f"{PHONES}/{number}")).json()

    def act(self, number, action):
        answer = self.safe(self.server.change("POST", f"{PHONES}/{number}/actions", {"action": action}))
        self.assertEqual((answer.code, answer.json()),
                         (202, {"phone": number, "action": action, "accepted": True}))

    def becomes(self, number, what, **wanted):
        eventually(lambda: all(self.phone(number)[k] == v for k, v in wanted.items()), what, 30)

    def test_reregister(self):
        before = self.phone(30)["registrations_ok"]
        self.act(30, "reregister")
        self.becomes(30, "one more registration", registrations_ok=before + 1, state="registered")
        self.assertEqual(self.phone(31)["registrations_ok"], 1, "its neighbour is left alone")

    def test_unregister_and_power_cut(self):
        self.act(32, "unregister")
        self.becomes(32, "off", state="off", registered=False, map_state="off")

        def unbound():
            told = self.server.ask("/api/v1/proxies/primary").json()["registrar"]
            return told["bound"] <= 49
        eventually(unbound, "the proxy has forgotten it")
        self.act(32, "power-cut")
        self.becomes(32, "back", state="registered", registered=True)

    def test_reboot(self):
        before = self.phone(33)["transition"]
        self.act(33, "reboot")
        eventually(lambda: self.phone(33)["transition"] > before, "it went", 30)
        self.becomes(33, "and came back", state="registered")

        def told():
            return "reboot" in [t["cause"] for t in self.phone(33)["transitions"]]
        eventually(told, "and that is told")


class Load(Case):
    def load(self, **wanted):
        return self.good(self.server.change("PATCH", LOAD, wanted)).json()

    def planned(self):
        told = self.server.ask("/api/v1/fleet").json()["rates"]["planned"]
        return told["ramp_phones"], round(told["steady_requests"])

    def on(self):
        told = self.server.ask("/api/v1/fleet").json()["phones"]
        return sum(n for state, both in told.items() if state != "off" for n in both.values())

    def test_fewer_and_more_and_a_pause(self):
        told = self.load(phones=20)
        self.assertEqual((told["phones"], told["paused"]), (20, False))
        eventually(lambda: self.on() == 20, "20 phones are on", 30)
        self.assertEqual(self.planned(), (1000, 20))
        off = self.server.ask(f"{PHONES}?state=off&limit=1000").json()["phones"]
        self.assertEqual([p["phone"] for p in off], list(range(20, 50)))
        self.good(self.server.ask("/readyz"))
        self.assertTrue(self.load(paused=True)["paused"])
        told = self.load(phones=50)
        self.assertEqual((told["phones"], told["paused"]), (50, True))
        time.sleep(1.5)
        self.assertEqual(self.on(), 20, "nobody starts in a pause")
        told = self.load(paused=False, ramp_per_s=500)
        self.assertEqual((told["phones"], told["ramp_per_s"], told["paused"]), (50, 500, False))
        eventually(lambda: self.on() == 50, "all are on again", 30)
        self.assertEqual(self.planned(), (500, 50))
        self.assertEqual(self.server.ask(LOAD).json()["phones"], 50)
        self.load(phones=0)
        eventually(lambda: self.on() == 0, "nobody is on", 30)
        self.assertEqual(self.server.ask("/readyz").code, 503)


class AuditOnStderr(Case):
    """Without a store there is no folder for a log."""

    def test_lines(self):
        self.server.change("PATCH", LOAD, {"phones": 49})
        self.server.change("PATCH", LOAD, {"phones": 51})
        self.server.change("PATCH", LOAD, {"phones": 1}, role="viewer")
        self.server.change("PATCH", LOAD, {"phones": 2}, role=None)
        self.server.ask(LOAD)
        lines = [json.loads(line) for line in self.server.complaints().splitlines()
                 if line.startswith("{")]
        self.assertEqual([(x["role"], x["method"], x["path"], x["body"], x["status"]) for x in lines],
                         [("operator", "PATCH", LOAD, '{"phones": 49}', 200),
                          ("operator", "PATCH", LOAD, '{"phones": 51}', 400)])


class AuditInAFile(Case):
    @classmethod
    def setUpClass(cls):
        if shutil.which("redis-server") is None:
            raise __import__("unittest").SkipTest("not installed: redis-server")
        cls.more = {"store": "embedded", "fleet": FLEET}
        super().setUpClass()

    def entries(self):
        self.path = self.server.folder + "/state/herd.0.audit"
        with open(self.path, encoding="ascii") as file:
            return [json.loads(line) for line in file]

    def test_changes_are_in_a_file_of_its_owner(self):
        path = f"{PHONES}/4/actions"
        begin = int(time.time() * 1000)
        self.server.change("POST", path, {"action": "reregister"})
        self.server.change("POST", path, b"x" * 2000)
        last = self.entries()[-2:]
        self.assertEqual([(x["path"], x["status"], x["body"]) for x in last],
                         [(path, 202, '{"action": "reregister"}'), (path, 400, None)])
        for entry in last:
            self.assertEqual(sorted(entry), ["body", "method", "path", "peer", "role", "status", "unix_ms"])
            self.assertRegex(entry["peer"], r"^127\.0\.0\.1:\d+$")
            self.assertTrue(begin - 1000 <= entry["unix_ms"] <= time.time() * 1000 + 1000)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        with open(self.path, encoding="ascii") as file:
            text = file.read()
        for role in ("viewer", "operator"):
            self.assertNotIn(self.server.token(role), text)
        self.assertNotIn("very-secret", text)

    def test_a_second_run_adds_to_it(self):
        server = Server(**self.more)
        self.addCleanup(server.close)
        server.change("PATCH", LOAD, {"paused": False})
        server.stop()
        state = server.folder + "/state"
        again = Server(store="embedded", env={"SIPHERD_STATE": state})
        self.addCleanup(again.close)
        again.change("PATCH", LOAD, {"paused": False})
        with open(state + "/herd.0.audit", encoding="ascii") as file:
            self.assertEqual(len(file.readlines()), 2)


if __name__ == "__main__":
    main()
