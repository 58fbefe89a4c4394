#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sipherd ctl against a running sipherd, and against servers that are up to no good."""
import http.server
import json
import os
import pty
import re
import socket
import stat
import subprocess
import sys
import threading

from command import DONE, HOST, SIPHERD, TESTS, USAGE, Case, environment, main, sipherd

sys.path.insert(0, os.path.join(TESTS, "http"))
from server import Server, certificate, eventually  # noqa: E402


class Running(Case):
    """One sipherd for all tests of a class."""
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)
        cls.addClassCleanup(cls.server.finish)
        cls.url = f"{cls.server.scheme}://127.0.0.1:{cls.server.port}"

    def ctl(self, *arguments, code=DONE, env=None, **more):
        # The server's tokens lie in /tmp: no state folder is named.
        done = sipherd("ctl", *arguments, env={"SIPHERD_URL": self.url, **(env or {})}, **more)
        self.exits(done, code)
        self.assertNotIn(self.server.token("operator"), done.stdout + done.stderr)
        if code == DONE:
            self.assertEqual(done.stderr, "")
        return done

    def json(self, *arguments, **more):
        return json.loads(self.ctl(*arguments, "--json", **more).stdout)


class Reading(Running):
    def test_every_page(self):
        for word, path in (("fleet", "/api/v1/fleet"), ("proxies", "/api/v1/proxies"),
                           ("generator", "/api/v1/generator"), ("store", "/api/v1/store"),
                           ("load", "/api/v1/load"), ("ready", "/readyz")):
            with self.subTest(word=word):
                told = self.json(word)
                self.assertEqual(set(told), set(self.server.ask(path).json()))
                text = self.ctl(word).stdout
                for name in told:
                    self.assertRegex(text, rf"(?m)^{name}\b")

    def test_text_has_the_values(self):
        said = self.ctl("fleet").stdout
        self.assertRegex(said, r"(?m)^name +herd$")
        self.assertRegex(said, r"(?m)^phones_driven +50$")
        self.assertRegex(said, r"(?m)^  registered\n    primary +50$")

    def test_phones(self):
        told = self.json("phones", "state=registered", "limit=7")
        self.assertEqual([p["phone"] for p in told["phones"]], list(range(7)))
        self.assertEqual(told["next"], 7)
        lines = self.ctl("phones", "proxy=primary", "cursor=40").stdout.splitlines()
        self.assertEqual(lines[0].split()[:3], ["phone", "user", "state"])
        self.assertEqual([line.split()[0] for line in lines[1:]], [str(n) for n in range(40, 50)])
        self.assertEqual(self.json("phones", "state=off")["phones"], [])

    def test_one_phone(self):
        told = self.json("phone", "17")
        self.assertEqual((told["phone"], told["user"], told["registered"]), (17, "2000017", True))
        said = self.ctl("phone", "17").stdout
        self.assertRegex(said, r"(?m)^user +2000017$")
        self.assertRegex(said, r"(?m)^  \d\d:\d\d:\d\d\.\d{3}  .*-> primary registered, registered")

    def test_a_phone_that_is_not_there(self):
        self.assertIn("404", self.ctl("phone", "50", code=USAGE).stderr)

    def test_trace_and_capture(self):
        self.ctl("trace", "3")
        eventually(lambda: self.json("trace", "3")["messages"], "a message of phone 3", 30)
        said = self.ctl("trace", "3").stdout
        self.assertRegex(said, r"(?m)^\d\d:\d\d:\d\d\.\d{6}  phone --- OPTIONS .* --> primary$")
        path = os.path.join(self.folder, "three.pcapng")
        self.ctl("pcap", "3", "-o", path)
        with open(path, "rb") as file:
            self.assertEqual(file.read(4), b"\x0a\x0d\x0d\x0a")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_get(self):
        self.assertIn("sipherd_phones{", self.ctl("get", "/metrics").stdout)
        self.assertEqual(self.json("get", "/api/v1/fleet")["name"], "herd")
        self.assertIn("404", self.ctl("get", "/api/v1/nothing", code=USAGE).stderr)
        path = os.path.join(self.folder, "map")
        self.ctl("get", "/api/v1/map", "-o", path)
        with open(path, "rb") as file:
            self.assertEqual(file.read(4), b"SHM1")

    def test_events(self):
        lines = [json.loads(line) for line in
                 self.ctl("events", "--json", "--for", "5s").stdout.splitlines()]
        self.assertEqual(lines[0]["event"], "hello")
        self.assertEqual(lines[0]["data"]["fleet"], "herd")
        ticks = [line["data"] for line in lines if line["event"] == "tick"]
        self.assertTrue(ticks)
        self.assertEqual(sum(ticks[0]["states"].values()), 50)
        said = self.ctl("events", "--for", "5s").stdout
        self.assertRegex(said, r"(?m)^\d\d:\d\d:\d\d\.\d{3}  tick +registered-primary \d+")


class Steering(Running):
    def act(self, action):
        self.assertEqual(self.json(action, "9"),
                         {"phone": 9, "action": action, "accepted": True})

    def is_registered(self):
        return self.json("phone", "9")["registered"]

    def test_actions(self):
        self.act("unregister")
        eventually(lambda: not self.is_registered(), "phone 9 unregistered", 30)
        self.act("reboot")
        eventually(self.is_registered, "phone 9 registered after a reboot", 30)
        before = self.json("phone", "9")["registrations_ok"]
        self.act("reregister")
        eventually(lambda: self.json("phone", "9")["registrations_ok"] > before, "a refresh", 30)
        self.act("power-cut")
        eventually(lambda: self.json("phone", "9")["registrations_ok"] > before + 1, "again", 30)

    def test_pause_and_resume(self):
        self.assertIs(self.json("pause")["paused"], True)
        self.assertIs(self.json("load")["paused"], True)
        self.assertIs(self.json("resume")["paused"], False)

    def test_set(self):
        self.assertEqual(self.json("set", "ramp=1.5k/s")["ramp_per_s"], 1500)
        told = self.json("set", "phones=40", "ramp=500/s")
        self.assertEqual((told["phones"], told["ramp_per_s"]), (40, 500))
        self.json("set", "phones=50")
        self.assertIn("400", self.ctl("set", "phones=51", code=USAGE).stderr)


class Drills(Running):
    def begin(self, *words, **more):
        """The number of a drill that has begun."""
        said = self.ctl("drill", *words, **more).stdout
        return re.search(r"(?m)^drill (\d+) has begun and ends by itself after", said).group(1)

    def running(self):
        return self.json("drills")["running"]

    def test_what_there_is(self):
        said = self.ctl("drills").stdout
        self.assertRegex(said, r"(?m)^no drill runs$")
        self.assertRegex(said, r"(?m)^brown-out +.*\n +proxy, .*loss, delay, jitter")
        self.assertEqual(len(self.json("drills")["catalogue"]), 10)

    def test_a_plan_sends_nothing(self):
        said = self.ctl("plan", "crash", "redundant", "hold=60s").stdout
        self.assertRegex(said, r"(?m)^crash redundant$")
        self.assertRegex(said, r"(?m)^ +60\.0 s  the redundant proxy")
        told = self.json("plan", "crash", "hold=60s", "share=50%")
        self.assertIsNone(told["id"])
        self.assertIn(60000, [step["at_ms"] for step in told["steps"]])
        self.assertIsNone(self.running())

    def test_refusals(self):
        for words, expected in ((("nothing",), "no such drill"), (("crash", "hold=soon"), "hold"),
                                (("flap", "hold=1s"), "hold"), (("crash", "speed=1"), "'speed' is unknown")):
            with self.subTest(words=words):
                for verb in ("plan", "drill"):
                    done = self.ctl(verb, *words, code=USAGE)
                    self.assertIn(expected, done.stderr)
                    self.assertEqual(done.stdout, "")
        self.assertIsNone(self.running())

    def test_without_a_terminal_the_name_is_given(self):
        done = self.ctl("drill", "crash", code=USAGE, stdin=subprocess.DEVNULL)
        self.assertIn("confirm=NAME", done.stderr)
        done = self.ctl("drill", "crash", "confirm=other", code=USAGE)
        self.assertIn("422", done.stderr)
        self.assertIsNone(self.running())

    def test_begin_and_abort(self):
        number = self.begin("crash", "primary", "hold=600s", "share=10%", "confirm=herd")
        self.assertRegex(self.ctl("drills").stdout,
                         rf"(?m)^drill {number}: crash primary, .* phones out\n  fail-over +\d+ of \d+ phones back")
        self.assertIn("409", self.ctl("drill", "crash", "--yes", code=USAGE).stderr)
        self.assertIn("409", self.ctl("result", number, code=USAGE).stderr)
        self.assertEqual(self.ctl("abort").stdout,
                         f"drill {number} is aborted, all that it had begun is being restored\n")
        self.assertIn("no drill runs", self.ctl("abort", code=USAGE).stderr)
        self.assertIn("409", self.ctl("abort", number, code=USAGE).stderr)
        self.assertIn("404", self.ctl("abort", "99", code=USAGE).stderr)
        self.result(number)

    def result(self, number):
        said = self.ctl("result", number).stdout
        self.assertRegex(said, r"^crash primary: aborted after [\d.]+ s, 50 phones, ")
        self.assertRegex(said, r"(?m)^fail-over +\d+ +\d+ ")
        self.assertEqual(self.json("result", number)["outcome"], "aborted")
        self.assertRegex(self.ctl("drills").stdout, rf"(?m)^drill {number}: crash primary, aborted after")
        path = os.path.join(self.folder, "report.html")
        self.ctl("report", number, "-o", path)
        with open(path, encoding="utf-8") as file:
            self.assertTrue(file.read().lower().startswith("<!doctype html>"))
        self.assertIn("404", self.ctl("report", "99", "-o", path, code=USAGE).stderr)

    def in_a_terminal(self, typed):
        """ctl drill where somebody sits: what was said until the question, and how it ended."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        ask = subprocess.Popen([SIPHERD, "ctl", "drill", "crash", "share=10%", "hold=600s"], text=True,
                               stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(SIPHERD_URL=self.url))
        os.write(ours, typed)
        said = ask.communicate(timeout=60)
        os.close(theirs)
        return ask.returncode, *said

    def test_the_name_is_typed(self):
        for typed in (b"hurd\n", b"\n", b"\x04"):
            code, said, asked = self.in_a_terminal(typed)
            self.assertEqual(code, USAGE)
            self.assertIn("the primary proxy falls silent", said)
            self.assertIn("Type its name to begin", asked)
            self.assertIn("nothing was begun", asked)
        self.assertIsNone(self.running())
        code, said, _ = self.in_a_terminal(b"herd\n")
        self.assertEqual(code, DONE)
        self.assertRegex(said, r"(?m)^drill \d+ has begun")
        self.ctl("abort")

    def test_a_viewer_may_look_only(self):
        viewer = {"SIPHERD_TOKEN": self.server.token("viewer")}
        self.ctl("drills", env=viewer)
        self.assertIn("403", self.ctl("drill", "crash", "--yes", env=viewer, code=USAGE).stderr)


class Tokens(Running):
    arguments = ("--http-auth",)

    def write_token(self, text):
        return self.write("token", text)

    def test_found_by_itself(self):
        self.assertEqual(self.json("fleet")["name"], "herd")

    def test_not_where_it_is_looked_for(self):
        # The state folder is another one, but /tmp is still looked into; hence a port of nobody's file.
        done = self.ctl("fleet", code=USAGE, env={"SIPHERD_TOKEN": "a" * 64})
        self.assertIn("401", done.stderr)
        self.assertIn("SIPHERD_TOKEN", done.stderr)

    def test_file_and_environment(self):
        viewer, operator = self.server.token("viewer"), self.server.token("operator")
        for text in (operator, operator + "\n", f"viewer {viewer}\noperator {operator}\n"):
            self.json("pause", "--token-file", self.write_token(text))
        self.json("resume", env={"SIPHERD_TOKEN": operator})
        self.json("fleet", env={"SIPHERD_TOKEN_FILE": self.write_token(viewer)})

    def test_a_viewer_changes_nothing(self):
        path = self.write_token("viewer " + self.server.token("viewer"))
        done = self.ctl("pause", "--token-file", path, code=USAGE)
        self.assertIn("403", done.stderr)
        self.assertIn(path, done.stderr)

    def test_files_that_hold_none(self):
        for text in ("", "a b\n", "operator \n", "x" * 5000, "one\ntwo\n", "operator a\tb\n"):
            with self.subTest(text=text[:20]):
                done = self.ctl("fleet", "--token-file", self.write_token(text), code=USAGE)
                self.assertIn("holds no token", done.stderr)
        done = self.ctl("fleet", "--token-file", "/nowhere/token", code=USAGE)
        self.assertIn("No such file", done.stderr)


class Tls(Running):
    """Over TLS the server must be the one that --cacert knows; its name must be right."""

    @classmethod
    def setUpClass(cls):
        cls.cert, key = certificate(cls, "IP:127.0.0.1")
        cls.arguments = ("--http-tls-cert", cls.cert, "--http-tls-key", key, "--http-auth")
        super().setUpClass()

    def test_a_server_that_is_known(self):
        self.assertEqual(self.json("fleet", "--cacert", self.cert)["name"], "herd")
        self.assertIs(self.json("pause", "--cacert", self.cert)["paused"], True)

    def test_a_server_that_is_not(self):
        self.assertIn("certificate", self.ctl("fleet", code=HOST).stderr.lower())
        url = self.url.replace("127.0.0.1", "localhost")
        self.ctl("fleet", "--cacert", self.cert, code=HOST, env={"SIPHERD_URL": url})
        self.ctl("fleet", "--cacert", "/nowhere", code=HOST)


class Bad(http.server.BaseHTTPRequestHandler):
    """Answers by path; what came in is kept."""
    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *arguments):
        pass

    def reply(self, code, kind, body, **headers):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.seen.append((self.path, dict(self.headers)))
        if self.path == "/away":
            self.reply(302, "text/plain", b"", Location="/api/v1/fleet")
        elif self.path == "/evil":
            self.reply(200, "application/json",
                       json.dumps({"na\x1b[2Jme": "a\x1b]0;owned\x07\u009b\x7fb\nc"}).encode())
        elif self.path == "/problem":
            self.reply(500, "application/problem+json",
                       json.dumps({"title": "\x1b[31mbad", "detail": "\x07"}).encode())
        elif self.path == "/bytes":
            self.reply(200, "application/octet-stream", b"a\0\x1b[2Jb\x9b2J \xc3\x9f\n")
        elif self.path == "/flood":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(b" " * (1 << 20))
            except OSError:
                pass
            self.close_connection = True
        elif self.path.startswith("/api/v1/phones?"):
            self.reply(200, "application/json", b"{}")
        elif self.path == "/api/v1/events":
            self.reply(200, "text/event-stream", b"event: alert\ndata: {\"text\": \"\\u001b[2J\"}\n\n"
                       b"data: no JSON \x1b[2J\n\n" + b"data: " + b"x" * 300000 + b"\n\n"
                       b"event: bye\ndata: {}\n\n")
        else:
            self.reply(200, "application/json", b"{ this is no JSON")


class NoGood(Case):
    @classmethod
    def setUpClass(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bad)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.url = f"http://127.0.0.1:{server.server_port}"

    def ctl(self, *arguments, code=DONE, **env):
        Bad.seen.clear()
        done = sipherd("ctl", *arguments, env={"SIPHERD_URL": self.url, **env})
        self.exits(done, code)
        for bad in "\x1b\x07\x9b":
            self.assertNotIn(bad, done.stdout + done.stderr)
        return done

    def test_control_characters(self):
        said = self.ctl("get", "/evil").stdout
        self.assertIn("owned", said)
        self.assertNotIn("\x7f", said)
        self.assertIn("\\u001b", self.ctl("get", "/evil", "--json").stdout.lower())
        self.assertIn("bad", self.ctl("get", "/problem", code=HOST).stderr)
        self.assertIn("alert", self.ctl("events").stdout)
        self.ctl("events", "--json")

    def test_a_terminal_gets_no_control_codes(self):
        """Whatever the bytes are, a capture with a proxy's words for instance; a pipe gets them as they are."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        with open(theirs, "wb") as terminal:
            done = subprocess.run([SIPHERD, "ctl", "get", "/bytes"], stdout=terminal, timeout=60,
                                  env=environment(SIPHERD_URL=self.url), check=False)
        self.assertEqual(done.returncode, DONE)
        self.assertEqual(os.read(ours, 100), "a??[2Jb?2J ß\r\n".encode())
        piped = subprocess.run([SIPHERD, "ctl", "get", "/bytes"], stdout=subprocess.PIPE, timeout=60,
                               env=environment(SIPHERD_URL=self.url), check=False)
        self.assertEqual(piped.stdout, b"a\0\x1b[2Jb\x9b2J \xc3\x9f\n")

    def test_a_path_that_is_too_long(self):
        self.ctl("get", "/" + "x" * 2000, code=USAGE)
        self.assertEqual(Bad.seen, [])

    def test_redirects_are_not_followed(self):
        self.assertIn("302", self.ctl("get", "/away", code=HOST).stderr)
        self.assertEqual([path for path, _ in Bad.seen], ["/away"])

    def test_no_proxy_is_asked(self):
        with socket.socket() as trap:
            trap.bind(("127.0.0.1", 0))
            trap.listen()
            trap.settimeout(0.2)
            proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
            self.ctl("get", "/evil", http_proxy=proxy, HTTP_PROXY=proxy, all_proxy=proxy)
            self.assertEqual(len(Bad.seen), 1)
            with self.assertRaises(TimeoutError):
                trap.accept()

    def test_no_json(self):
        self.assertIn("no JSON", self.ctl("fleet", code=HOST).stderr)
        self.assertIn("no phones", self.ctl("phones", code=HOST).stderr)

    def test_answers_are_bounded(self):
        self.assertIn("too long", self.ctl("get", "/flood", code=HOST).stderr)

    def test_a_token_goes_where_it_was_told_to(self):
        self.ctl("get", "/evil", SIPHERD_TOKEN="sesame")
        self.assertEqual(Bad.seen[0][1]["Authorization"], "Bearer sesame")
        # Without one, none is made up: no run of ours has this port.
        self.ctl("get", "/evil")
        self.assertNotIn("Authorization", Bad.seen[0][1])

    def test_localhost_is_one_address(self):
        """Who else listens on the other one is not shown a token."""
        try:
            trap = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            self.skipTest("this host has no IPv6")
        with trap:
            trap.settimeout(0.2)
            port = trap.getsockname()[1]
            self.ctl("fleet", code=HOST, SIPHERD_URL=f"http://localhost:{port}")
            with self.assertRaises(TimeoutError):
                trap.accept()

    def test_nobody_listens(self):
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{place.getsockname()[1]}"
            self.assertIn("Does sipherd run",
                          self.ctl("fleet", code=HOST, SIPHERD_URL=url).stderr)


class WrongUse(Case):
    TABLE = (
        ((), "a command is missing"),
        (("frobnicate",), "'frobnicate'"),
        (("phone",), "ctl phone"),
        (("phone", "x"), "number of a phone"),
        (("phone", "1", "2"), "'2'"),
        (("fleet", "now"), "'now'"),
        (("phones", "colour=red"), "'colour=red'"),
        (("phones", "state=a&b"), "'state=a&b'"),
        (("phones", "limit=0"), "'limit=0'"),
        (("set",), "help ctl"),
        (("set", "speed=1"), "'speed=1'"),
        (("set", "phones=1x"), "'phones=1x'"),
        (("get", "api"), "slash"),
        (("get", "/a b"), "'/a b'"),
        (("fleet", "-o", "x"), "-o"),
        (("plan",), "help ctl"),
        (("plan", "crash", "hold"), "'hold'"),
        (("plan", "crash", "dry_run=1"), "'dry_run=1'"),
        (("drill", "crash", "hold=1s", "hold=2s"), "'hold=2s'"),
        (("drill", "crash", "Hold=1s"), "'Hold=1s'"),
        (("abort", "first"), "'first'"),
        (("abort", "1", "2"), "'2'"),
        (("result", "0"), "'0'"),
        (("report", "x"), "'x'"),
        (("plan", "crash", "--yes"), "--yes"),
        (("fleet", "--url", "ftp://127.0.0.1"), "http://"),
        (("fleet", "--url", "http://127.0.0.1:1/x"), "nothing else"),
        (("fleet", "--url", "http://u:p@127.0.0.1"), "nothing else"),
        (("fleet", "--url", "http://127.0.0.1.example.net"), "another host"),
        (("fleet", "--url", "http://example.net"), "another host"),
        (("fleet", "--token", "x"), "--token"),
    )

    def test_exit_2_and_a_message_that_names_it(self):
        for arguments, expected in self.TABLE:
            with self.subTest(arguments=arguments):
                done = self.exits(sipherd("ctl", *arguments), USAGE)
                self.assertIn(expected, done.stderr)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    main()
