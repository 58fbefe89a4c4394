#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/terminal.md is true: its examples are run as they stand, against a herd and two proxies. Numbers,
bars and how wide a column is may differ, nothing else. With SIPHERD_WRITE_DOCS=1 the
document gets what came out."""
import os
import re
import subprocess
import sys

from command import SIPHERD, TESTS, Case, environment, main

sys.path.insert(0, os.path.join(TESTS, "http"))
from server import Server  # noqa: E402
from test_probe import Proxy, answer  # noqa: E402

# Not an argument: the test runner reads those.
WRITE = "SIPHERD_WRITE_DOCS" in os.environ
DOCUMENT = os.path.join(os.path.dirname(TESTS), "docs", "terminal.md")


def document():
    """Lines of text, and of each example [command, output lines], in their order."""
    parts, inside = [], False
    with open(DOCUMENT, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith("```"):
                inside = line == "```console"
                parts.append(line)
            elif inside and line.startswith("$ "):
                parts.append([line[2:], []])
            elif inside:
                parts[-1][1].append(line)
            else:
                parts.append(line)
    return parts


def known(text):
    """A machine that is too busy says so. The width of a column depends on what is in it."""
    text = text.replace("GENERATOR-LIMITED", "")
    text = re.sub(r", \d+ datagrams were sent again", "", text)
    text = re.sub("[\u2581-\u2588]+", "", text)
    text = re.sub(r"[0-9][0-9.,:-]*", "#", text)
    return [" ".join(line.split()) for line in text.strip("\n").split("\n")]


class Document(Case):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.well = Proxy(lambda n, request: [answer(request)])
        self.silent = Proxy(lambda n, request: None)
        self.addCleanup(self.well.close)
        self.addCleanup(self.silent.close)
        self.server = Server()
        self.addCleanup(self.server.finish)
        os.symlink(SIPHERD, os.path.join(self.folder, "sipherd"))

    def run_example(self, command):
        places = (("10.10.0.1", f"127.0.0.1:{self.well.port}"),
                  ("10.10.0.2", f"127.0.0.1:{self.silent.port}"))
        for name, place in places:
            command = command.replace(name, place)
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False,
            env=environment(PATH=f"{self.folder}:{os.environ['PATH']}", LC_ALL="C.UTF-8",
                            SIPHERD_URL=f"http://127.0.0.1:{self.server.port}"))
        said = done.stdout + done.stderr
        for name, place in places:
            said = said.replace(place, f"{name}:5060")
        return said

    def test_every_example(self):
        parts = document()
        found = [part for part in parts if isinstance(part, list)]
        self.assertGreaterEqual(len(found), 10)
        for part in found:
            said = self.run_example(part[0])
            if WRITE:
                part[1] = said.rstrip("\n").split("\n")
                continue
            with self.subTest(command=part[0]):
                self.assertEqual(known(said), known("\n".join(part[1])))
        if WRITE:
            with open(DOCUMENT, "w", encoding="utf-8") as file:
                file.write("\n".join("\n".join(["$ " + part[0], *part[1]])
                                     if isinstance(part, list) else part for part in parts))


if __name__ == "__main__":
    main()
