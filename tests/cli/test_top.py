#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sipherd top: one screen for scripts, and the whole of it in a pseudo terminal."""
import fcntl
import http.server
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

from command import DONE, HOST, SIPHERD, TESTS, USAGE, Case, environment, main, sipherd

sys.path.insert(0, os.path.join(TESTS, "http"))
from server import FLEET, Server, eventually  # noqa: E402

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
# What top may send, and nothing else: home, erase, looks, alternate screen, cursor.
KNOWN = re.compile(r"\x1b\[(?:H|K|2J|0(?:;[0-9;]+)?m|\?1049[hl]|\?25[hl])")
STATES = ("elsewhere", "off", "trying-primary", "trying-redundant", "registered-primary",
          "registered-redundant", "failing-over", "failing-back")


class Terminal:
    """top in a pseudo terminal of its own, and what is on its screen."""

    def __init__(self, url, *arguments, rows=24, columns=80, **env):
        self.master, self.slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.sent, self.lock = "", threading.Lock()
        # In a session of its own, so that the terminal's signals reach it.
        self.process = subprocess.Popen(
            [SIPHERD, "top", *arguments], stdin=self.slave, stdout=self.slave,
            stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=environment(**{"SIPHERD_URL": url, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env}))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        try:
            while True:
                piece = os.read(self.master, 65536).decode("utf-8", "replace")
                with self.lock:
                    self.sent += piece
        except OSError:
            pass

    def said(self):
        with self.lock:
            return self.sent

    def lines(self):
        """The newest whole screen, without its looks."""
        screens = self.said().split("\x1b[H")
        newest = screens[-2] if len(screens) > 2 else ""
        return [KNOWN.sub("", line).rstrip("\r") for line in newest.split("\n")]

    def shows(self, pattern, seconds=30):
        eventually(lambda: re.search(pattern, "\n".join(self.lines())),
                   f"{pattern} on the screen\n" + "\n".join(self.lines()), seconds)

    def shows_not(self, pattern, seconds=30):
        eventually(lambda: self.lines() and not re.search(pattern, "\n".join(self.lines())),
                   f"no {pattern} on the screen\n" + "\n".join(self.lines()), seconds)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def ended(self):
        code = self.process.wait(timeout=30)
        eventually(lambda: LEAVE in self.said(), "the alternate screen left")
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self.slave)
        os.close(self.master)
        self.reader.join()


class Running(Case):
    arguments, more = (), {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments, **cls.more)
        cls.addClassCleanup(cls.server.finish)
        cls.url = f"http://127.0.0.1:{cls.server.port}"

    def top(self, *arguments, **more):
        terminal = Terminal(self.url, *arguments, **more)
        self.addCleanup(terminal.close)
        return terminal


class Once(Running):
    def once(self, *arguments, **env):
        done = sipherd("top", "--once", *arguments, env={"SIPHERD_URL": self.url, **env})
        self.exits(done, DONE)
        self.assertEqual(done.stderr, "")
        self.assertNotIn("\x1b", done.stdout)
        return done.stdout.splitlines()

    def test_overview(self):
        lines = self.once()
        self.assertRegex(lines[0], r"^sipherd  herd  50 phones  0:\d\d:\d\d  asymmetric \(homing\)")
        states = {line.split()[0]: int(line.split()[1]) for line in lines[3:11]}
        self.assertEqual(tuple(states), STATES)
        self.assertEqual(sum(states.values()), 50)
        self.assertEqual(states["registered-primary"], 50)

    def test_every_screen_fits(self):
        for screen, words in enumerate(("OPTIONS/s", "192.0.2.2 port 5060", "worker 0", "2000003",
                                        "options_rtt"), 1):
            for columns, rows in ((80, 24), (120, 40), (20, 5)):
                with self.subTest(screen=screen, columns=columns):
                    lines = self.once("--screen", str(screen), COLUMNS=str(columns),
                                      LINES=str(rows), LC_ALL="C.UTF-8")
                    self.assertLessEqual(len(lines), rows)
                    self.assertLessEqual(max(map(len, lines)), columns)
                    if rows >= 24:
                        self.assertIn(words, "\n".join(lines))

    def test_without_utf8(self):
        self.assertTrue("\n".join(self.once(LC_ALL="C")).isascii())
        self.assertFalse("\n".join(self.once(LC_ALL="C.UTF-8")).isascii())

    def test_no_terminal(self):
        done = self.exits(sipherd("top", env={"SIPHERD_URL": self.url},
                                  stdin=subprocess.DEVNULL), USAGE)
        self.assertIn("--once", done.stderr)

    def test_nobody_listens(self):
        done = self.exits(sipherd("top", "--once", "--url", "http://127.0.0.1:9"), HOST)
        self.assertIn("Does sipherd run", done.stderr)


class Moving(Running):
    """The primary dies, and nobody is through with the pause before a switch."""
    arguments = ("--fault", "primary:crash@2s")
    more = {"fleet": FLEET + "timers: { no_response: 500ms }\n"
                             "redundancy: { switch_delay: 60s }\n"}

    def test_over_is_not_back(self):
        def moving():
            lines = sipherd("top", "--once", env={"SIPHERD_URL": self.url}).stdout.splitlines()
            states = {line.split()[0]: int(line.split()[1]) for line in lines[3:11]}
            self.assertEqual(states["failing-back"], 0)
            return states["failing-over"] > 0
        eventually(moving, "phones that fail over")


class Drill(Running):
    """One that lasts until it is aborted."""

    def change(self, path, **body):
        return self.server.change("POST", "/api/v1/drills" + path, body)

    def test_a_line_and_marks(self):
        top = self.top(columns=120, rows=40)
        eventually(lambda: self.change("", drill="crash", hold="600s", confirm="herd").code == 202,
                   "a drill begins")
        top.shows(r"\ndrill 1: crash primary  50 phones out  1\d:\d\d left ")
        top.shows(r"the last \d+:\d\d +v outage \^ restored +v")
        lines = sipherd("top", "--once", env={"SIPHERD_URL": self.url}).stdout.splitlines()
        self.assertRegex(lines[2], r"^drill 1: crash primary  50 phones out  1\d:\d\d left")
        self.assertRegex(lines[12], r"^the last \d+:\d\d +v outage \^ restored .*v$")
        time.sleep(2)  # marks of other columns
        self.assertEqual(self.change("/1/abort").code, 202)
        top.shows_not(r"\ndrill 1: crash")
        top.shows(r"the last \d+:\d\d +v outage \^ restored +v *\^")

        def told():
            """Who listens hears of it."""
            if self.change("", drill="crash", share="1%", hold="600s", confirm="herd").code == 202:
                self.change(f"/{self.server.ask('/api/v1/drills').json()['running']['id']}/abort")
            return re.search(r"\d\d:\d\d:\d\d  drill \d+: the primary proxy falls silent", "\n".join(top.lines()))
        eventually(told, "steps are among what happened")


class Interactive(Running):
    def test_screens_and_keys(self):
        top = self.top()
        top.shows(r"registered-primary +50 100\.0% █+")
        for key, pattern in (("2", r"answered +\d"), ("3", r"lateness ms"), ("5", r"1 of 8"),
                             ("\x1b[C", r"register_rtt +2 of 8"), ("?", r"quit"),
                             ("4", r"phone +user +state"), ("\x1b[B", r"(?m)^ +1  2000001"),
                             ("\x1b[6~", r"phone.*\n +\d\d  20000\d\d"), ("1", r"OPTIONS/s")):
            top.press(key)
            top.shows(pattern)
        top.press("q")
        self.assertEqual(top.ended(), DONE)
        self.assertEqual(KNOWN.sub("", top.said()).count("\x1b"), 0, "sequences that are not known")
        self.assertEqual(termios.tcgetattr(top.slave), top.before)

    def test_it_follows(self):
        top = self.top()
        top.shows(r"0:00:\d\d|0:0[1-9]:")
        first = top.lines()[0]
        eventually(lambda: top.lines()[0] != first, "another second", 30)

    def test_resize(self):
        top = self.top(rows=24, columns=80)
        top.shows("registered-primary")
        top.size(40, 120)
        eventually(lambda: len(top.lines()) == 40, "40 lines", 30)
        top.size(5, 10)
        eventually(lambda: len(top.lines()) == 5, "5 lines", 30)
        self.assertLessEqual(max(map(len, top.lines())), 10)

    def test_no_color(self):
        top = self.top(NO_COLOR="1")
        top.shows("registered-primary +50")
        self.assertIsNone(re.search(r"\x1b\[0;9\dm", top.said()))
        top = self.top()
        top.shows("registered-primary +50")
        self.assertIsNotNone(re.search(r"\x1b\[0;9\dm", top.said()))

    def test_every_end_gives_the_terminal_back(self):
        for number, code in ((signal.SIGINT, DONE), (signal.SIGTERM, DONE), (signal.SIGHUP, DONE),
                             (signal.SIGQUIT, -signal.SIGQUIT), (signal.SIGABRT, -signal.SIGABRT),
                             (signal.SIGSEGV, None)):
            with self.subTest(signal=number):
                top = self.top()
                top.shows("registered-primary")
                self.assertNotEqual(termios.tcgetattr(top.slave), top.before)
                self.assertIn(ENTER, top.said())
                top.process.send_signal(number)
                ended = top.ended()
                # A sanitizer makes a fault an exit of its own.
                self.assertTrue(ended == code if code is not None else ended != 0, ended)
                self.assertEqual(termios.tcgetattr(top.slave), top.before)

    def test_interrupt_from_the_keyboard(self):
        top = self.top()
        top.shows("registered-primary")
        top.press("\x03")
        self.assertEqual(top.ended(), DONE)
        self.assertEqual(termios.tcgetattr(top.slave), top.before)

    def test_for_a_while(self):
        top = self.top("--for", "1s")
        self.assertEqual(top.ended(), DONE)


class Steering(Running):
    def load(self):
        return self.server.ask("/api/v1/load").json()

    def test_pause_and_ramp(self):
        before = self.load()["ramp_per_s"]
        top = self.top()
        top.shows("registered-primary")
        top.press("p")
        top.shows("PAUSED")
        self.assertIs(self.load()["paused"], True)
        top.press("p")
        top.shows_not("PAUSED")
        self.assertIs(self.load()["paused"], False)
        top.press("+")
        top.shows(f"ramp {before * 11 // 10} phones a second")
        self.assertEqual(self.load()["ramp_per_s"], before * 11 // 10)
        top.press("-")
        eventually(lambda: self.load()["ramp_per_s"] < before, "a slower ramp", 30)

    def test_a_viewer_is_told_so(self):
        path = self.write("token", "viewer " + self.server.token("viewer"))
        top = self.top("--token-file", path)
        top.shows("registered-primary")
        top.press("p")
        top.shows("403")
        self.assertIs(self.load()["paused"], False)


class Outage(Running):
    def test_old_data_is_grey(self):
        top = self.top()
        top.shows("registered-primary +50")
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            top.shows(r"no data for \d+ s")
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        top.shows_not(r"no data for", seconds=60)


class Restart(Case):
    def test_it_connects_again(self):
        first = Server()
        self.addCleanup(first.close)
        top = Terminal(f"http://127.0.0.1:{first.port}")
        self.addCleanup(top.close)
        top.shows("registered-primary +50")
        first.finish()
        top.shows(r"no data for \d+ s")
        second = Server(listen=f"127.0.0.1:{first.port}")
        self.addCleanup(second.finish)
        top.shows_not("no data for")
        top.shows("registered-primary +50")


class Evil(http.server.BaseHTTPRequestHandler):
    """Control characters in every text, and no events."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        bad = "\x1b]0;owned\x07\x1b[2J\u009b5n"
        body = json.dumps({"name": bad, "phones_configured": 5, "mode": {
            "enabled": True, "audiocodes": bad, "spider": bad}, "link": bad, "kind": bad,
            "phones": [{"phone": 1, "user": bad, "state": bad}], "verdict": {"reasons": [bad, 7]},
            "proxies": [{"id": bad, "address": bad}, 7], "workers": [7], "cells_us": [[1], 7],
            "seconds": [{"at_s": at, "options_sent": 1.7e308} for at in range(20)],
            "share": -1.7e308, "at_s": 1.7e308, "phones_driven": -1.7e308,
            "running": {"id": 1.7e308, "title": bad, "at_ms": 1.7e308, "end_ms": -1.7e308, "phones_out": -5},
            "marks": [7, {"at_s": 1.7e308}, *({"at_s": at, "phase": bad} for at in range(-9, 99))]})
        code = 404 if self.path == "/api/v1/events" else 200
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


class Patient(http.server.ThreadingHTTPServer):
    """Who goes away in the middle of an answer is not worth a word."""
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class NoGood(Case):
    def setUp(self):
        super().setUp()
        server = Patient(("127.0.0.1", 0), Evil)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def test_numbers_that_nobody_has(self):
        for screen in "12345":
            done = sipherd("top", "--once", "--screen", screen, env={"SIPHERD_URL": self.url})
            self.exits(done, DONE)
            self.assertIn("overview", done.stdout)

    def test_control_characters_stay_outside(self):
        top = Terminal(self.url)
        self.addCleanup(top.close)
        top.shows("owned")
        for key in "2345?1":
            top.press(key)
            time.sleep(0.5)
        top.press("q")
        self.assertEqual(top.ended(), DONE)
        rest = KNOWN.sub("", top.said())
        self.assertNotIn("\x1b", rest)
        self.assertNotIn("\x07", rest)
        self.assertNotIn("\x9b", rest)


if __name__ == "__main__":
    main()
