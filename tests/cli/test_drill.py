#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Drills from the command line, on the memory link: they begin, are measured, end and are aborted."""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from command import DONE, GENERATOR, HOST, MISSED, NO_ANSWER, SIPHERD, USAGE, Case, environment, main, sipherd

PHONES = 500
FLEET = f"""fleet: drilled
phones: {PHONES}
user: "2{{n:06}}"
password: "very-secret-{{user}}"
domain: drill.example.net
link: memory
store: none
proxies: {{ primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }}
redundancy: {{ switch_delay: 500ms }}
keepalive: {{ period: 1s }}
timers: {{ no_response: 1s }}
registration: {{ retry: 1s }}
registrar: {{ realm: drill.example.net }}
ramp: 500/s
"""
QUICK = ("--settle", "0s")
STEPS = ("hold=4s", "settle=4s")


class Drill(Case):
    def drill(self, *arguments, fleet=FLEET, codes=(DONE, GENERATOR), timeout=120, **more):
        """A drill to its end; what was said and its summary, None where there is none."""
        path = os.path.join(self.folder, "drill.json")
        done = self.exits(sipherd("drill", self.write("fleet.yaml", fleet), *arguments, "--summary",
                                  path, timeout=timeout, **more), *codes)
        if not os.path.exists(path):
            return done, None
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("very-secret", text)
        return done, json.loads(text)

    def begin(self, *arguments, fleet=FLEET, env=None):
        """A drill in the background, read line by line."""
        process = subprocess.Popen(
            [SIPHERD, "drill", self.write("fleet.yaml", fleet), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(SIPHERD_STATE=self.folder, **(env or {})))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read_until(self, process, text):
        said = ""
        for line in process.stdout:
            said += line
            if re.search(text, line):
                return said
        self.fail(f"'{text}' never came in\n{said}")

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", newline="") as file:
            return file.read()

    def file(self, name):
        return os.path.join(self.folder, name)


class Carried(Drill):
    def test_a_crash_is_measured_and_written(self):
        done, run = self.drill("crash", "primary", *STEPS, *QUICK, "--phones-csv",
                               self.file("phones.csv"), "--timeline-csv", self.file("time.csv"),
                               "--report", self.file("report.html"), "--gate", "outage_p99<=60s",
                               "--gate", "stranded<=0")
        for line in ("drill begins: crash primary", "the primary proxy falls silent",
                     "the primary proxy serves again", "drill is over: crash primary",
                     r"drill   crash primary: completed", "goal    outage_p99<=60s"):
            self.assertRegex(done.stdout, line)
        drill, = run["drills"]
        self.assertEqual((drill["outcome"], drill["name"], drill["reason"], drill["phones"]),
                         ("completed", "crash", None, PHONES))
        self.assertFalse(drill["incomplete"])
        away, back = drill["waves"]
        for wave in (away, back):
            self.assertEqual((wave["phones"], wave["back"], wave["out"]), (PHONES, PHONES, 0))
        self.assertEqual((away["to"], back["to"]), ("redundant", "primary"))
        self.assertEqual(run["switches"]["to_redundant"]["keepalive_silence"], PHONES)
        self.assertEqual(run["phones"]["registered"]["primary"], PHONES)
        self.assertIsNone(run["baseline"])
        self.assertEqual([gate["met"] for gate in run["gates"]], [True, True])
        self.phones_agree(drill)
        self.assertIn("offered_failover", self.read("time.csv").splitlines()[0])
        self.assertTrue(self.read("report.html").startswith("<!"))
        for name in ("phones.csv", "time.csv", "report.html"):
            self.assertNotIn("very-secret", self.read(name))

    def phones_agree(self, drill):
        """Every phone's line against what the summary says of all of them."""
        rows = list(csv.DictReader(self.read("phones.csv").splitlines()))
        self.assertEqual(len(rows), 2 * PHONES)
        for wave in drill["waves"]:
            mine = [row for row in rows if row["wave"] == wave["name"]]
            self.assertEqual({row["phone"] for row in mine}, {str(i) for i in range(PHONES)})
            self.assertEqual([row["user"] for row in mine[:2]], ["2000000", "2000001"])
            self.assertEqual({row["end"] for row in mine}, {wave["to"]})
            back = sorted(int(row["back_ms"]) for row in mine)
            self.assertEqual(back[-1], wave["back_at_ms"]["p100"])
            self.assertEqual(wave["outage_ms"]["count"], PHONES)
            for row in mine:
                moments = [int(row[key]) for key in ("detect_ms", "register_ms", "back_ms")]
                self.assertEqual(moments, sorted(moments))
            detected = [int(row["detect_ms"]) for row in mine]
            self.assertAlmostEqual(sum(detected) / PHONES, wave["detection_ms"]["mean"], delta=1)

    def test_plans_of_the_fleet_file_and_a_goal_that_is_missed(self):
        fleet = FLEET + """drills:
  friday: [ { do: crash, proxy: primary, hold: 3s, settle: 3s },
            { wait: 1s }, { do: brown-out, proxy: redundant, loss: 20%, hold: 2s, settle: 1s } ]
gates: [ "outage_p99 <= 1ms" ]
"""
        checked = self.exits(sipherd("check", self.write("fleet.yaml", fleet)), DONE)
        self.assertRegex(checked.stdout, r"drill       friday: 2 drills, .* REGISTER/s")
        done, run = self.drill("friday", *QUICK, fleet=fleet, codes=(MISSED, GENERATOR))
        self.assertRegex(done.stdout, r"goal    outage_p99<=1ms +MISSED")
        drill, = run["drills"]
        self.assertEqual([one["do"] for one in drill["request"]], ["crash", "brown-out"])
        gate, = run["gates"]
        self.assertFalse(gate["met"])

    def test_answers_that_find_no_room_to_wait_in_are_told(self):
        done, run = self.drill("brown-out", "delay=60s", "hold=5s", "settle=500ms", *QUICK)
        last = run["drills"][0]["steps"][-1]
        self.assertRegex(last["text"], "^[1-9][0-9]* datagrams that were to come late found no room")
        self.assertGreater(run["counters"]["impaired_overflow"], 0)

    def test_goals_of_drills_are_for_runs_with_drills(self):
        fleet = self.write("fleet.yaml", FLEET + 'gates: [ "outage_p99 <= 1ms" ]\n')
        self.exits(sipherd("run", fleet, "--for", "1s"), DONE, GENERATOR)
        done = self.exits(sipherd("run", fleet, "--for", "1s", "--gate", "outage_p99<=2ms"), MISSED,
                          GENERATOR)
        self.assertRegex(done.stdout, "outage_p99<=2ms +MISSED  not measured")
        self.assertNotIn("outage_p99<=1ms", done.stdout)

    def test_what_could_not_end_well_does_not_begin(self):
        """A file that cannot be written, a goal of a wave that is not there, a field that is there twice."""
        fleet = self.write("fleet.yaml", FLEET)
        for option in ("--summary", "--report", "--phones-csv", "--timeline-csv"):
            done = self.exits(sipherd("drill", fleet, "crash", option, self.file("none/x")), HOST)
            self.assertIn("none/x: No such file or directory", done.stderr)
            self.assertNotIn("link memory", done.stdout)
        done = self.exits(sipherd("drill", fleet, "crash", "--gate", "outage_p99@flood<=1s"), USAGE)
        self.assertIn("no wave 'flood'; it has fail-over, fail-back.", done.stderr)
        done = self.exits(sipherd("drill", fleet, "crash", "primary", "redundant"), USAGE)
        self.assertIn("drill crash: proxy is there twice.", done.stderr)

    def test_a_plan_warns_of_keepalives_in_bunches(self):
        for more, warns in (("--set", "ramp=600/s"), True), (("--set", "ramp=400/s"), False), \
                (("--set", "ramp=600/s", "--set", "keepalive.first=spread"), False):
            said = self.exits(sipherd("drill", self.write("fleet.yaml", FLEET), "crash", "--plan",
                                      *more), DONE).stdout
            self.assertEqual("come in bunches" in said, warns, said)

    def test_a_plan_sends_nothing(self):
        said = self.exits(sipherd("drill", self.write("fleet.yaml", FLEET), "crash", "primary",
                                  "--plan", *STEPS), DONE).stdout
        self.assertRegex(said, r"sends .* REGISTER/s, \d+ in 100 ms")
        self.assertRegex(said, "the primary proxy falls silent for all phones")
        self.assertNotIn("link memory", said)


class Refused(Drill):
    def refuse(self, reason, *arguments, fleet=FLEET):
        done = self.exits(sipherd("drill", self.write("fleet.yaml", fleet), *arguments), USAGE)
        self.assertRegex(done.stderr, reason)
        self.assertNotIn("link memory", done.stdout)

    def test_what_cannot_be_done_says_why(self):
        alone = re.sub(', redundant: "[^"]*"', "", FLEET).replace("redundancy: { switch_delay: 500ms }\n", "")
        self.refuse("redundan", "crash", "primary", fleet=alone)
        self.refuse("crash, return, both", "crush")
        self.refuse("FIELD=VALUE", "crash", "hold")
        self.refuse("hold", "crash", "hold=soon")
        self.refuse("hook", "crash", "hook=absent")
        self.refuse("gate", "crash", "--gate", "beauty>=1")
        self.refuse("plan of the fleet file", "weekly", "hold=3s",
                    fleet=FLEET + "drills: { weekly: [ { do: crash } ] }\n")

    def test_check_refuses_a_plan_that_the_fleet_cannot_have(self):
        alone = re.sub(', redundant: "[^"]*"', "", FLEET).replace("redundancy: { switch_delay: 500ms }\n", "")
        done = self.exits(sipherd("check", self.write(
            "fleet.yaml", alone + "drills: { weekly: [ { do: crash } ] }\n")), USAGE)
        self.assertRegex(done.stderr, "weekly.*redundan")

    def test_phones_that_never_register(self):
        fleet = FLEET.replace("registrar: {", "registrar: { min_expires: 0s,").replace("ramp: 500/s", "ramp: none")
        process = self.begin("crash", *QUICK, "--fault", "both:reject=403@0s", fleet=fleet)
        self.read_until(process, "waits for phones, 0 of 500 registered")
        process.send_signal(signal.SIGINT)
        said = self.read_until(process, "the drill did not begin")
        self.assertIn("interrupted", said)
        self.assertIn(process.wait(timeout=30), (MISSED, GENERATOR))


class Aborted(Drill):
    def test_ctrl_c_restores_at_once(self):
        process = self.begin("crash", "primary", "hold=60s", *QUICK, "--summary", self.file("a.json"),
                             "--report", self.file("a.html"))
        self.read_until(process, "first phone registered at the redundant")
        process.send_signal(signal.SIGINT)
        told = time.time()
        said = self.read_until(process, "sipherd: the drill was aborted")
        self.assertIn("drill is aborted, all is restored", said)
        self.assertIn(process.wait(timeout=30), (MISSED, GENERATOR))
        run = json.loads(self.read("a.json"))
        drill, = run["drills"]
        self.assertEqual(drill["outcome"], "aborted")
        last = drill["steps"][-1]
        self.assertTrue(last["restores"] and last["proxy"] == "primary", last)
        restored = (drill["begin_unix_ms"] + last["at_ms"]) / 1000
        # Not before it was asked for; within a second, and some more where a machine is busy elsewhere.
        self.assertGreater(restored, told - 0.5)
        self.assertLess(restored, told + 5)
        self.assertTrue(self.read("a.html").startswith("<!"))


class Hooks(Drill):
    HOOKS = """hooks:
  stop: {{ run: [{touch}, {folder}/stopped], undo: [{touch}, {folder}/undone], timeout: 20s }}
  broken: {{ run: [{false}], undo: [{touch}, {folder}/mended], timeout: 20s }}
  stays: {{ run: [{touch}, {folder}/stays], undo: [{false}], timeout: 20s }}
"""

    def fleet(self):
        return FLEET + self.HOOKS.format(touch=shutil.which("touch"), false=shutil.which("false"),
                                         folder=self.folder)

    def appears(self, name):
        until = time.monotonic() + 30
        while not os.path.exists(self.file(name)):
            self.assertLess(time.monotonic(), until, f"{name} never came")
            time.sleep(0.05)

    def test_a_hook_is_run_and_undone(self):
        done, run = self.drill("crash", "primary", "hook=stop", "hold=2s", "settle=1s", *QUICK,
                               fleet=self.fleet())
        self.assertEqual(run["drills"][0]["hooks"], [{"name": "stop", "exit_code": 0, "undo_code": 0}])
        self.appears("stopped")
        self.appears("undone")

    def test_an_undo_that_fails_is_told(self):
        done, run = self.drill("crash", "primary", "hook=stays", "hold=1s", "settle=1s", *QUICK,
                               fleet=self.fleet())
        self.assertEqual(run["drills"][0]["hooks"], [{"name": "stays", "exit_code": 0, "undo_code": 1}])
        self.assertRegex(done.stdout, "the undo of hook stays failed with exit code 1: mend it by hand")

    def test_a_hook_that_fails_ends_the_drill(self):
        done, run = self.drill("crash", "primary", "hook=broken", "hold=30s", "settle=1s", *QUICK,
                               fleet=self.fleet(), codes=(MISSED, GENERATOR))
        self.assertEqual(run["drills"][0]["outcome"], "aborted")
        self.assertIn("broken", run["drills"][0]["reason"])
        self.appears("mended")

    def test_an_end_at_once_waits_for_undos_and_tells_them(self):
        """Of two hooks the second is never run: nothing is told of it."""
        fleet = FLEET + f"""hooks:
  slow: {{ run: [{shutil.which("touch")}, {self.folder}/stopped], undo: [{shutil.which("sh")}, -c, "sleep 1; exit 7"], timeout: 20s }}
  later: {{ run: [{shutil.which("true")}], undo: [{shutil.which("true")}], timeout: 20s }}
drills:
  two: [ {{ do: crash, hook: slow, hold: 300s, settle: 1s }}, {{ do: crash, hook: later, hold: 1s, settle: 1s }} ]
"""
        process = self.begin("two", *QUICK, "--summary", self.file("two.json"), fleet=fleet)
        self.appears("stopped")
        process.send_signal(signal.SIGINT)
        self.read_until(process, "draining")
        process.send_signal(signal.SIGINT)
        said = self.read_until(process, "sipherd: the drill was aborted")
        self.assertIn(process.wait(timeout=30), (MISSED, GENERATOR))
        drill, = json.loads(self.read("two.json"))["drills"]
        self.assertEqual(drill["hooks"], [{"name": "slow", "exit_code": 0, "undo_code": 7}], said)
        self.assertEqual([step["act"] for step in drill["steps"]], ["hook", "undo", "undo"])
        self.assertIn("hook slow is undone", drill["steps"][1]["text"])
        self.assertIn("failed with exit code 7", drill["steps"][2]["text"])

    def test_whoever_kills_sipherd_gets_the_undo(self):
        process = self.begin("crash", "primary", "hook=stop", "hold=300s", *QUICK, fleet=self.fleet())
        self.appears("stopped")
        self.assertFalse(os.path.exists(self.file("undone")))
        process.send_signal(signal.SIGKILL)
        self.appears("undone")


class Baseline(Drill):
    def test_it_comes_first_and_is_told_with_the_rest(self):
        """Nobody answers on the link of the drill itself, which is ended by hand."""
        alone = ["unshare", "--net"]
        if shutil.which("ip") is None or subprocess.run(
                [*alone, "ip", "link", "add", "h0", "type", "veth"], capture_output=True,
                check=False).returncode != 0:
            self.skipTest("needs root and network namespaces")
        fleet = (FLEET.replace("link: memory", "link: af_packet:h0\nsource: 10.9.2.0/23")
                 .replace("192.0.2.", "10.9.0."))
        command = [SIPHERD, "drill", self.write("fleet.yaml", fleet), "crash", "hold=2s", "settle=1s",
                   *QUICK, "--baseline", "--summary", self.file("b.json"), "--set",
                   "password=very-secret-too"]
        process = subprocess.Popen(
            [*alone, "sh", "-c", 'ip link add h0 type veth peer name r0 && ip link set r0 up && ip link set h0 up && exec "$@"', "sh",
             *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(SIPHERD_STATE=self.folder))
        for end in (process.stdout.close, process.wait, process.kill):
            self.addCleanup(end)
        self.read_until(process, "link memory")
        self.assertNotIn("very-secret", self.words_of_children(process.pid))
        said = self.read_until(process, "^link af_packet:h0")
        self.assertRegex(said, "drill   crash primary: completed")
        self.read_until(process, "waits for phones, 0 of 500")
        process.send_signal(signal.SIGINT)
        said = self.read_until(process, "the drill did not begin")
        self.assertIn(process.wait(timeout=30), (MISSED, NO_ANSWER, GENERATOR), said)
        run = json.loads(self.read("b.json"))
        self.assertEqual(run["drills"], [])
        self.assertRegex(run["baseline"]["link"], "memory")
        drill, = run["baseline"]["drills"]
        self.assertEqual(drill["waves"][0]["phones"], PHONES)
        self.assertIn("generator_limited", run["baseline"]["verdict"])
        if run["baseline"]["verdict"]["generator_limited"]:
            self.assertTrue(run["verdict"]["generator_limited"])
        self.assertRegex(said, "the same against the built-in registrars")

    def words_of_children(self, pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        self.assertEqual(len(children), 1)
        with open(f"/proc/{children[0]}/cmdline", encoding="utf-8") as file:
            return file.read()


class Starved(Drill):
    def test_a_generator_without_cpu_says_so(self):
        process = self.begin("crash", "primary", "hold=3s", "settle=1s", *QUICK, "--summary",
                             self.file("s.json"), "--report", self.file("s.html"))
        self.read_until(process, "the primary proxy falls silent")
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.2)
        said = self.read_until(process, "verdict GENERATOR-LIMITED")
        said += process.stdout.read()
        self.assertEqual(process.wait(timeout=60), GENERATOR, said)
        self.assertTrue(json.loads(self.read("s.json"))["verdict"]["generator_limited"])
        self.assertIn("GENERATOR-LIMITED", self.read("s.html"))


if __name__ == "__main__":
    main()
