#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Hooks of a drill: whatever becomes of sipherd, what the operator's command did is undone, once."""
import os
import signal
import subprocess
import tempfile
import time

from command import DONE, GENERATOR, SIPHERD, USAGE, Case, environment, main, sipherd

FLEET = """phones: 20
user: "2{{n:06}}"
password: "very-secret-{{user}}"
link: memory
state: {state}
proxies: {{ primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }}
redundancy: {{ switch_delay: 100ms }}
keepalive: {{ period: 1s }}
timers: {{ t1: 100ms, no_response: 500ms }}
hooks:
  stop-it:
    run: [/bin/sh, -c, "echo $PPID >> {folder}/guardian; echo run >> {folder}/log; {run}"]
    undo: [/bin/sh, -c, "echo and off; echo undo >> {folder}/log"]
"""


class Hooks(Case):
    def setUp(self):
        super().setUp()
        # Of a herd that was killed, its store may take a moment to go.
        state = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(state.cleanup)
        self.state = state.name

    def fleet(self, run="true"):
        return self.write("fleet.yaml", FLEET.format(folder=self.folder, state=self.state, run=run))

    def log(self, name="log"):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, text):
        end = time.monotonic() + 60
        while self.log() != text:
            self.assertLess(time.monotonic(), end, f"{self.log()!r} instead of {text!r}")
            time.sleep(0.02)

    def begin(self, *more, run="true"):
        """A drill whose outage would last for long, once its hook has begun."""
        process = subprocess.Popen(
            [SIPHERD, "drill", self.fleet(run), "crash", "hook=stop-it", "hold=10m", "--settle", "1s",
             *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env=environment(SIPHERD_TOKEN="very-secret-token"))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for_log("run\n")
        return process

    def test_a_drill_runs_it_and_undoes_it(self):
        done = self.exits(sipherd("drill", self.fleet(), "crash", "hook=stop-it", "hold=2s",
                                  "settle=1s", "--settle", "1s", timeout=120), DONE, GENERATOR)
        self.assertEqual(self.log(), "run\nundo\n")
        self.assertIn("hook stop-it: and off\n", done.stderr)

    def test_killed_in_its_outage_it_is_undone(self):
        process = self.begin()
        process.kill()
        self.wait_for_log("run\nundo\n")
        # The guardian goes too, once.
        guardian = int(self.log("guardian"))
        end = time.monotonic() + 60
        while os.path.exists(f"/proc/{guardian}"):
            self.assertLess(time.monotonic(), end, "the guardian is still there")
            time.sleep(0.02)
        self.assertEqual(self.log(), "run\nundo\n")

    def test_killed_while_it_runs_it_is_undone(self):
        process = self.begin(run="exec sleep 600")
        process.kill()
        self.wait_for_log("run\nundo\n")

    def test_ctrl_c_undoes_it_before_the_end(self):
        process = self.begin()
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        self.assertEqual(self.log(), "run\nundo\n", said)
        self.assertIn("hook stop-it: and off\n", said)

    def test_the_guardian_has_nothing_of_ours(self):
        process = self.begin()
        guardian = int(self.log("guardian"))
        with open(f"/proc/{guardian}/cmdline", "rb") as file:
            self.assertEqual(file.read(), b"sipherd\0guard-hook\0003\0")
        with open(f"/proc/{guardian}/environ", "rb") as file:
            self.assertNotIn(b"SIPHERD_", file.read())
        files = [os.readlink(f"/proc/{guardian}/fd/{n}") for n in os.listdir(f"/proc/{guardian}/fd")]
        self.assertEqual(sum(name.startswith("socket:") for name in files), 1, files)
        self.assertLess(len(files), 10, files)
        with open(f"/proc/{guardian}/maps", encoding="utf-8") as file:
            maps = file.read()
        self.assertNotIn("rtemap", maps)
        self.assertNotIn(self.state, maps)
        process.kill()
        self.wait_for_log("run\nundo\n")

    def test_nobody_is_told_of_guardians(self):
        self.assertNotIn("guard-hook", self.exits(sipherd("help"), DONE).stdout)
        self.assertNotIn("guard-hook", self.exits(sipherd("help", "--man"), DONE).stdout)
        done = self.exits(sipherd("guard-hook", "9"), USAGE)
        self.assertIn("guard-hook is for sipherd itself", done.stderr)


if __name__ == "__main__":
    main()
