#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/redis.md is true: every example in it is run as it stands against the fleet it speaks of, and
docs/examples/monitor.py follows a fleet with nothing but Python."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import fixture
from fixture import Fleet, record

DOCUMENT = os.path.join(fixture.ROOT, "docs", "redis.md")
MONITOR = os.path.join(fixture.ROOT, "docs", "examples", "monitor.py")
SERVER = None


def setUpModule():
    global SERVER
    SERVER = fixture.Server()


def tearDownModule():
    SERVER.stop()


def examples():
    """(line number, command, output) of each `$ ` line inside the document's ```console blocks."""
    found, inside = [], False
    with open(DOCUMENT, encoding="utf-8") as document:
        for number, line in enumerate(document.read().split("\n"), 1):
            if line.startswith("```"):
                inside = line == "```console"
            elif inside and line.startswith("$ "):
                found.append([number, line[2:], []])
            elif inside and found[-1][1].endswith("\\") and not found[-1][2]:
                found[-1][1] += "\n" + line
            elif inside:
                found[-1][2].append(line)
    return found


def known(text):
    """Moments and tokens are numbers of 13 digits and more: only that they are there is compared,
    unless they are the fleet's own (fixture.SINCE). Blanks at line ends do not count."""
    text = re.sub(r"\b(?!17952700)\d{13,}", "#", text)
    return [line.rstrip() for line in text.strip("\n").split("\n")]


class Document(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        with SERVER.connect() as redis:
            redis("FLUSHALL")
            fixture.example_fleet(redis)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # redis-cli as in a terminal, and where this test's Redis is.
        with open(os.path.join(self.folder, "redis-cli"), "w", encoding="utf-8") as wrapper:
            wrapper.write(f'#!/bin/sh\nexec {subprocess.getoutput("command -v redis-cli")} '
                          f'-s {SERVER.socket} $FORMAT "$@"\n')
        os.chmod(wrapper.name, 0o755)

    def run_example(self, command):
        shown = "" if "|" in command or "--raw" in command else "--no-raw"
        done = subprocess.run(
            ["sh", "-c", command.replace("unix:/run/redis/redis.sock", f"unix:{SERVER.socket}")],
            capture_output=True, text=True, timeout=60, check=False, cwd=fixture.ROOT,
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "FORMAT": shown})
        return done.stdout + done.stderr

    def test_every_example(self):
        found = examples()
        self.assertGreater(len(found), 12)
        for number, command, output in found:
            with self.subTest(line=number, command=command):
                self.assertEqual(known(self.run_example(command)), known("\n".join(output)))

    def test_every_function_and_word_is_there(self):
        with open(DOCUMENT, encoding="utf-8") as document:
            text = document.read()
        with open(fixture.LIBRARY, encoding="utf-8") as library:
            for name in re.findall(r"register\('(\w+)'", library.read()):
                self.assertIn(f"`{name}`", text)
        for words in (fixture.PHASES, fixture.CAUSES):
            for word in words:
                self.assertIn(f"`{word}`", text)

    def test_the_acl_is_the_file_s(self):
        """The document names no command that the users lack."""
        with open(os.path.join(fixture.ROOT, "store", "redis", "sipherd.acl"),
                  encoding="utf-8") as acl:
            monitor = [line for line in acl if line.startswith("user sipherd-monitor")][0].split()
        for _, command, _ in examples():
            for name in re.findall(r"redis-cli (?:--raw |--no-raw )?([A-Z_]+)", command):
                self.assertIn(f"+{name.lower()}", monitor, command)


class Monitor(unittest.TestCase):
    def setUp(self):
        self.redis = SERVER.connect()
        self.addCleanup(self.redis.close)
        self.redis("FLUSHALL")
        self.fleet = Fleet(self.redis, {0: {n: record() for n in range(100)},
                                        1: {10000 + n: record() for n in range(100)}}, phones=20000)
        # -I -S: no site packages, no environment.
        self.monitor = subprocess.Popen(
            [sys.executable, "-I", "-S", MONITOR, "f1", f"unix:{SERVER.socket}", "120"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.monitor.stdout.close)
        self.addCleanup(self.monitor.wait)
        self.addCleanup(self.monitor.kill)
        self.says("primary 200, redundant 0, nowhere 0")

    def says(self, line):
        self.assertEqual(self.monitor.stdout.readline().rstrip("\n"), line)

    def test_at_most_sixty_lines(self):
        with open(MONITOR, encoding="utf-8") as source:
            self.assertLessEqual(len(source.readlines()), 60)

    def test_follows(self):
        switching = record("none", "redundant", phase="switching", transition=2)
        self.fleet.flush(1, {10007: switching},
                         ["10007 P>r switching keepalive-silence 2 1795270012307"])
        self.says("primary 199, redundant 0, nowhere 1")
        there = record("redundant", "redundant", transition=4)
        self.fleet.flush(1, {10007: there}, ["10007 r>r registering due 3 1795270012307",
                                             "10007 r>R registered registered 4 1795270012308"])
        self.says("primary 199, redundant 1, nowhere 0")

    def test_a_gap_means_reload(self):
        there = record("redundant", "redundant", transition=9)
        self.fleet.flush(0, {3: there, 4: there}, ["3 r>R registered registered 9 1795270012308"])
        self.says("reload shard 0: 3 r>R registered registered 9 1795270012308")
        # Phone 4, of which the feed said nothing, is right as well.
        self.says("primary 198, redundant 2, nowhere 0")
        # What the slab knew already changes nothing.
        self.fleet.flush(0, {}, ["3 P>r switching keepalive-silence 8 1795270012307",
                                 "5 P>- off stopped 2 1795270012309"])
        self.says("primary 197, redundant 2, nowhere 1")

    def test_resync_means_reload(self):
        self.fleet.flush(1, {10000 + n: record("none", "never", phase="off", transition=7)
                             for n in range(50)}, ["RESYNC"])
        self.says("reload shard 1: RESYNC")
        self.says("primary 150, redundant 0, nowhere 50")

    def test_a_new_slab(self):
        self.redis("DEL", self.fleet.keys.slab(1))
        self.assertEqual(self.fleet.flush(1, {10000: record()}, ["RESYNC"]), 2)
        self.says("reload shard 1: RESYNC")
        self.says("primary 101, redundant 0, nowhere 0")
        self.fleet.flush(1, {10001: record(transition=1)},
                         ["10001 p>P registered registered 1 1795270012308"])
        self.says("reload shard 1: 10001 p>P registered registered 1 1795270012308")
        self.says("primary 102, redundant 0, nowhere 0")


class MonitorRefusals(unittest.TestCase):
    def run_monitor(self, *arguments, **environment):
        return subprocess.run([sys.executable, "-S", MONITOR, *arguments], capture_output=True,
                              text=True, timeout=60, check=False,
                              env={**os.environ, **environment})

    def test_no_such_fleet(self):
        done = self.run_monitor("nothing", f"unix:{SERVER.socket}")
        self.assertEqual((done.returncode, done.stderr), (1, "no fleet is called nothing\n"))

    def test_password(self):
        done = self.run_monitor("f1", f"unix:{SERVER.socket}", "0", REDIS_PASSWORD="wrong")
        self.assertEqual(done.returncode, 1)
        self.assertIn("WRONGPASS", done.stderr)

    def test_tcp_and_a_password(self):
        port = fixture.servers.free_ports(1)[0]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = fixture.servers.Server(folder.name, "tcp", port, ["--save", ""])
        server.start()
        self.addCleanup(server.kill)
        with fixture.Redis("127.0.0.1", port) as redis:
            fixture.load_library(redis)
            Fleet(redis, {0: {1: record()}}, phones=10000)
            redis("ACL", "SETUSER", "sipherd-monitor", "on", ">right", "~*", "+@all")
            redis("ACL", "SETUSER", "default", "off")
        done = self.run_monitor("f1", f"127.0.0.1:{port}", "0.1", REDIS_PASSWORD="right")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "primary 1, redundant 0, nowhere 0\n", ""))


if __name__ == "__main__":
    fixture.need("redis-server", "redis-cli", "paste", "od")
    unittest.main(verbosity=2)
