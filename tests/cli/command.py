# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the command share: where it is, how to call it."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

SIPHERD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "build/api/sipherd"
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Exit codes of the manual. A slow machine may turn 0 into 5, and says so.
DONE, MISSED, USAGE, HOST, NO_ANSWER, GENERATOR = 0, 1, 2, 3, 4, 5

ALL_THERE = "all 50 phones registered at the primary"
FLEET = """phones: 50
user: "2{n:06}"
password: "very-secret-{user}"
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
keepalive: { period: 1s }
"""


def environment(**more):
    """The caller's own SIPHERD_ settings must not reach a test, and no test takes the HTTP port."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SIPHERD_")}
    return {**clean, "TERM": "dumb", "SIPHERD_HTTP": "none", **more}


def sipherd(*arguments, env=None, timeout=60, **more):
    """With a state folder of its own, so that no run goes on where another one ended."""
    with tempfile.TemporaryDirectory() as state:
        own = {} if arguments[:1] == ("demo",) else {"SIPHERD_STATE": state}
        return subprocess.run([SIPHERD, *arguments], capture_output=True, text=True,
                              timeout=timeout, env=environment(**{**own, **(env or {})}),
                              check=False, **more)


class Case(unittest.TestCase):
    """A folder of its own, and a comparison that shows what was said."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def exits(self, done, *codes):
        self.assertIn(done.returncode, codes, f"{done.args}\n{done.stdout}\n{done.stderr}")
        self.assertNotIn("very-secret", done.stdout + done.stderr)
        return done


class Run:
    """A sipherd run in the background, with what it said so far: ended by hand once it has come to what
    the test waits for, on however slow a machine."""

    def __init__(self, case, fleet, *arguments, state=None, env=None):
        self.case = case
        self.state = state or os.path.join(case.folder, "state")
        self.said = ""
        self.process = subprocess.Popen(
            [SIPHERD, "run", fleet, "--for", "120s", *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=environment(SIPHERD_STATE=self.state, **(env or {})))
        case.addCleanup(self.end)

    def wait_for(self, text):
        for line in self.process.stdout:
            self.said += line
            if re.search(text, line):
                return re.search(text, line)
        self.case.fail(f"'{text}' never came in\n{self.said}")

    def stop(self, *codes):
        self.process.terminate()
        self.said += self.process.communicate(timeout=30)[0]
        self.case.assertIn(self.process.returncode, codes or (DONE,), self.said)
        return self.said

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
