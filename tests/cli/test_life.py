#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Whole runs on the memory link: the demo, the end by time and by signal, the exit codes."""
import json
import os
import pty
import re
import signal
import subprocess
import time
import urllib.request

from command import (ALL_THERE, DONE, FLEET, GENERATOR, HOST, NO_ANSWER, SIPHERD, Case, Run, environment, main,
                     sipherd)


class Lasting(Case):
    def lasted(self, what, said):
        """How many seconds the summary speaks of."""
        found = re.search(rf"^--- {what}: ([0-9.]+) s", said, re.M)
        self.assertIsNotNone(found, said)
        return float(found.group(1))


class Demo(Lasting):
    # In this order, each once the one before it has been seen.
    STORY = (r"Short timers", r"all 1,000 phones registered at the primary",
             r"primary proxy crashed", r"first phone registered at the redundant",
             r"half of the phones registered at the redundant",
             r"all 1,000 phones registered at the redundant", r"primary proxy serves again",
             r"first phone registered at the primary",
             r"all 1,000 phones registered at the primary", r"--- demo",
             r"redis-cli -s \S+ FCALL_RO sipherd_show 1 'sipherd:\{demo\.00\}:s:0000' 417",
             r"\nphone\t417\nregistered\tprimary\n", r"\nfailovers\t1\n",
             r"went to the redundant proxy and came back")

    def test_it_tells_the_story_and_ends_well(self):
        summary = os.path.join(self.folder, "demo.json")
        started = time.monotonic()
        done = self.exits(sipherd("demo", "--summary", summary), DONE)
        self.assertLess(time.monotonic() - started, 60)
        at = 0
        for line in self.STORY:
            found = re.compile(line).search(done.stdout, at)
            self.assertIsNotNone(found, f"'{line}' is missing in\n{done.stdout}")
            at = found.end()
        folder = re.search(r"unix:(/\S+)/sipherd-redis", done.stdout).group(1)
        self.assertFalse(os.path.exists(folder), "the demo left its folder behind")
        self.assertNotIn("\033", done.stdout, "control sequences where there is no terminal")
        with open(summary, encoding="utf-8") as file:
            phones = json.load(file)["phones"]
        self.assertEqual(phones["registered"]["primary"], 1000)

    def test_a_terminal_sees_it_again_and_again(self):
        ours, theirs = pty.openpty()
        with subprocess.Popen([SIPHERD, "demo", "--http", "127.0.0.1:0"], stdout=theirs,
                              stderr=subprocess.STDOUT, env=environment()) as process:
            os.close(theirs)
            self.addCleanup(process.kill)
            with open(ours, encoding="utf-8") as terminal:
                said = self.read_until(terminal, "the story begins anew")
                page = re.search(r"page: (http://127\.0\.0\.1:\d+/)", said).group(1)
                self.assertIn("everybody came back", said)
                self.assertIn("to be seen at " + page, said)
                self.assertEqual(said.count("primary proxy crashed"), 1, said)
                said = self.read_until(terminal, "the primary proxy serves again")
                self.assertIn("primary proxy crashed", said)
                with urllib.request.urlopen(page + "healthz", timeout=30) as answer:
                    self.assertEqual(answer.status, 200)
                process.send_signal(signal.SIGINT)
                said = self.read_until(terminal, "came back. Next")
            self.assertEqual(process.wait(timeout=30), DONE, said)

    def read_until(self, terminal, text):
        said = ""
        for line in terminal:
            said += line
            if text in line:
                return said
        self.fail(f"'{text}' never came in\n{said}")

    def test_keep_is_bounded_by_for(self):
        done = self.exits(sipherd("demo", "--keep", "--for", "2s", "--http", "127.0.0.1:0"), DONE)
        self.assertIn("again every 24 s", done.stdout)
        self.assertGreaterEqual(self.lasted("demo", done.stdout), 2)
        self.assertNotIn("came back", done.stdout)

    def test_as_an_ordinary_user(self):
        nobody = 65534
        if os.getuid() != 0:
            self.skipTest("the other tests run as an ordinary user already")
        if subprocess.run([SIPHERD, "--version"], user=nobody, capture_output=True,
                          check=False).returncode != 0:
            self.skipTest(f"{SIPHERD} is in a folder that others may not read")
        done = sipherd("demo", user=nobody, group=nobody, extra_groups=[], cwd="/",
                       env={"HOME": "/nonexistent", "XDG_RUNTIME_DIR": ""})
        self.exits(done, DONE)


class Ends(Lasting):
    def start(self, *arguments):
        fleet = self.write("fleet.yaml", FLEET)
        return subprocess.Popen([SIPHERD, "run", fleet, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True,
                                env=environment(SIPHERD_STATE=os.path.join(self.folder, "state")))

    def signal_after(self, process, text, number):
        """Read until the text comes, then send the signal, if any; returns what was read."""
        read = ""
        for line in process.stdout:
            read += line
            if text in line:
                if number is not None:
                    process.send_signal(number)
                return read
        self.fail(f"'{text}' never came in\n{read}")

    def test_ctrl_c_drains_and_prints_the_summary(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            summary = os.path.join(self.folder, "summary.json")
            process = self.start("--summary", summary, "--set", "registration.unregister=1")
            read = self.signal_after(process, "all 50 phones", number)
            rest = process.communicate(timeout=30)[0]
            self.assertEqual(process.returncode, DONE, read + rest)
            self.assertIn("draining", rest)
            self.assertIn("--- run:", rest)
            with open(summary, encoding="utf-8") as file:
                told = json.load(file)
            self.assertTrue(told["drained"])
            self.assertEqual(told["phones"]["registered"]["primary"], 50)
            self.assertEqual(told["counters"]["unregister_done"], 50)
            self.assertEqual(told["registrars"]["primary"]["bound"], 0)

    def used_s(self, pid):
        """CPU time of all threads so far."""
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def test_an_idle_herd_leaves_the_cpu_alone(self):
        # A worker that polled without a rest would use the whole of a CPU, if it got it.
        process = self.start("--set", "phones=1000", "--set", "keepalive.period=60s", "--set",
                             "keepalive.first=spread")
        self.addCleanup(process.kill)
        read = self.signal_after(process, "all 1,000 phones", None)
        began, used = time.monotonic(), self.used_s(process.pid)
        time.sleep(3)
        took, used = time.monotonic() - began, self.used_s(process.pid) - used
        process.send_signal(signal.SIGINT)
        read += process.communicate(timeout=30)[0]
        self.assertLess(used, took / 5, f"{used} s of CPU time in {took} s\n{read}")

    def test_a_second_ctrl_c_stops_at_once(self):
        # Nobody answers the Expires 0, so that draining takes its time.
        process = self.start("--set", "registration.unregister=1", "--fault",
                             "both:crash@6s")
        read = self.signal_after(process, "all 50 phones", None)
        read += self.signal_after(process, "crashed", signal.SIGINT)
        read += self.signal_after(process, "draining", signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
        self.assertEqual(process.returncode, DONE, read + rest)
        self.assertIn("stopping at once", rest)
        self.assertIn("stopped before all phones were quiet", rest)

    def test_end_by_time(self):
        process = self.start("--for", "2s")
        said = process.communicate(timeout=30)[0]
        self.assertIn(process.returncode, (DONE, GENERATOR), said)
        self.assertGreaterEqual(self.lasted("run", said), 2)

    def test_no_proxy_answers(self):
        fleet = self.write("fleet.yaml", FLEET)
        done = sipherd("run", fleet, "--for", "2s", "--fault", "both:crash@0s")
        self.exits(done, NO_ANSWER)
        self.assertIn("no proxy answered", done.stdout)

    def test_the_host_lacks_something(self):
        fleet = self.write("fleet.yaml", FLEET + "source: 10.9.0.0/16\n")
        done = self.exits(sipherd("run", fleet, "--for", "1s", "--set", "link=af_packet:none9"),
                          HOST)
        self.assertIn("none9", done.stderr)

    def test_a_summary_that_cannot_be_written(self):
        fleet = self.write("fleet.yaml", FLEET)
        nowhere = os.path.join(self.folder, "none", "summary.json")
        done = self.exits(sipherd("run", fleet, "--for", "1s", "--summary", nowhere), HOST)
        self.assertIn(nowhere, done.stderr)


class Processors(Case):
    def allowed(self, pid):
        """By the name of each thread, the processors it may use."""
        threads = {}
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                threads[file.read().strip()] = os.sched_getaffinity(int(task))
        return threads

    def run_with(self, workers):
        run = Run(self, self.write("fleet.yaml", FLEET), "--workers", str(workers))
        redis = int(run.wait_for(r"redis-server on \S+ pid (\d+)").group(1))
        run.wait_for(ALL_THERE)
        threads, server = self.allowed(run.process.pid), set(map(frozenset, self.allowed(redis).values()))
        run.stop(DONE, GENERATOR)
        self.assertEqual(len(server), 1, "all threads of redis-server have the same")
        mine = {name: cpus for name, cpus in threads.items() if name.startswith("rte-worker")}
        self.assertEqual(len(mine), workers, threads)
        return set().union(*mine.values()), {**{n: c for n, c in threads.items() if n not in mine}, "redis": set(server.pop())}

    def test_workers_have_theirs(self):
        everyone = os.sched_getaffinity(0)
        if len(everyone) < 2:
            self.skipTest("one processor")
        workers, others = self.run_with(1)
        self.assertEqual(len(workers), 1)
        for name in ("sipherd", "sipherd-store", "redis"):
            self.assertEqual(others[name], everyone - workers, name)

    def test_all_share_where_there_are_not_enough(self):
        everyone = os.sched_getaffinity(0)
        if len(everyone) > 8:
            self.skipTest("more processors than workers")
        workers, others = self.run_with(len(everyone))
        self.assertEqual(workers, everyone)
        self.assertEqual(others["sipherd"], everyone)


class Capture(Case):
    def test_credentials_are_masked(self):
        fleet, path = self.write("fleet.yaml", FLEET + "registrar: { realm: r.example }\n"), \
            os.path.join(self.folder, "x.pcapng")
        done = self.exits(sipherd("run", fleet, "--for", "2s", "--pcap", path), DONE, GENERATOR)
        with open(path, "rb") as file:
            frames = file.read()
        self.assertEqual(frames[:4], b"\x0a\x0d\x0d\x0a")
        self.assertIn(b"REGISTER sip:", frames)
        self.assertIn(b"Authorization", frames)
        self.assertIsNone(re.search(rb'response="[0-9a-f]{32}"', frames))
        done = self.exits(sipherd("run", fleet, "--for", "2s", "--pcap", path,
                                  "--pcap-credentials", "--pcap-phone", "7"), DONE, GENERATOR)
        with open(path, "rb") as file:
            frames = file.read()
        self.assertIsNotNone(re.search(rb'response="[0-9a-f]{32}"', frames))
        self.assertIn(b"2000007", frames)
        self.assertNotIn(b"2000008", frames)


class Reboots(Case):
    def test_phones_start_again(self):
        fleet, path = self.write("fleet.yaml", FLEET), os.path.join(self.folder, "s.json")
        done = sipherd("run", fleet, "--for", "12s", "--summary", path, "--reboot",
                       "planned:0-9@5s", "--reboot", "power-cut:20-24@6s+500ms")
        self.exits(done, DONE, GENERATOR)
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["counters"]["boots"], 65)
        self.assertEqual(told["phones"]["registered"]["primary"], 50)


if __name__ == "__main__":
    main()
