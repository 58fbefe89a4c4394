#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own telemetry says what the HTTP API says; without --telemetry there is none."""
import json
import os
import re
import socket
import tempfile
import unittest

from server import Server, eventually, main

# Where DPDK puts its sockets: eal_create_runtime_dir of DPDK 22.11.
OWN = tempfile.TemporaryDirectory(prefix="sipherd-run-")
BASE = "/var/run" if os.getuid() == 0 else OWN.name
PREFIX = f"sipherd-test-{os.getpid()}"
FOLDER = os.path.join(BASE, "dpdk", PREFIX)
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/telemetry.md")
COMMANDS = {"/sipherd/phones", "/sipherd/counters", "/sipherd/workers", "/sipherd/latency"}


class Telemetry:
    """What dpdk-telemetry.py does: one command, one answer."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(30)
        self.socket.connect(os.path.join(FOLDER, "dpdk_telemetry.v2"))
        self.most = json.loads(self.socket.recv(1024))["max_output_len"]

    def ask(self, command):
        self.socket.send(command.encode())
        answer = json.loads(self.socket.recv(self.most))
        return answer[command.split(",")[0]]

    def close(self):
        self.socket.close()


def counters_of(generator):
    """The two lists of /api/v1/generator, under telemetry's names."""
    return {**{"herd_" + name: n for name, n in generator["counters"].items()},
            **{"wire_" + name: n for name, n in generator["wire"].items()}}


@unittest.skipUnless(os.access(BASE, os.W_OK), f"DPDK cannot make its sockets in {BASE}")
class TelemetryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(eal=("--telemetry", "--file-prefix", PREFIX),
                            env={"XDG_RUNTIME_DIR": BASE})
        cls.addClassCleanup(cls.server.finish)
        cls.telemetry = Telemetry()
        cls.addClassCleanup(cls.telemetry.close)

    def api(self, path):
        return self.server.ask("/api/v1/" + path).json()

    def test_commands_are_listed_and_explained(self):
        self.assertLessEqual(COMMANDS, set(self.telemetry.ask("/")))
        for command in COMMANDS:
            self.assertTrue(self.telemetry.ask("/help," + command)[command])

    def test_phones(self):
        told, phones = self.telemetry.ask("/sipherd/phones"), self.api("fleet")["phones"]
        self.assertEqual(told, {"total": 50, **{f"{state}_{proxy}": n
                                                for state, by_proxy in phones.items()
                                                for proxy, n in by_proxy.items()}})
        self.assertEqual(told["registered_primary"], 50)

    def test_counters_lie_between_two_looks_at_the_api(self):
        for _ in range(5):
            before = counters_of(self.api("generator"))
            told = self.telemetry.ask("/sipherd/counters")
            eventually(lambda: counters_of(self.api("generator"))["herd_options_sent"]
                       > told["herd_options_sent"], "keep-alives go on", 60)
            after = counters_of(self.api("generator"))
            self.assertEqual(told.keys(), after.keys())
            for name, n in told.items():
                self.assertTrue(before[name] <= n <= after[name],
                                (name, before[name], n, after[name]))

    def test_workers(self):
        told = self.telemetry.ask("/sipherd/workers")
        self.assertEqual(set(told), {"workers", "0_cpu", "0_busy_permille", "0_rounds"})
        self.assertEqual(told["workers"], 1)
        self.assertLessEqual(told["0_busy_permille"], 1000)
        self.assertIn(told["0_cpu"], os.sched_getaffinity(0))
        self.assertGreater(told["0_rounds"], 0)
        self.assertLessEqual(told["0_rounds"], self.later("generator")["workers"][0]["rounds"])

    def later(self, path):
        """A picture of the API that was made after what was asked before."""
        seen = self.api(path)["at_s"]
        eventually(lambda: self.api(path)["at_s"] > seen, "the picture is drawn anew", 60)
        return self.api(path)

    def test_latency(self):
        self.later("generator")
        told, api = self.telemetry.ask("/sipherd/latency"), self.later("generator")["lateness"]
        self.assertEqual(told["registration_count"], 50)
        self.assertEqual(told["options_rtt_redundant_count"], 0)
        self.assertLessEqual(told["lateness_count"], api["count"])
        self.assertLessEqual(told["lateness_max_us"], api["max_us"])
        for name in ("options_rtt_primary", "register_rtt_primary", "registration", "lateness"):
            steps = [told[f"{name}_{q}_us"] for q in ("p50", "p99", "p99_9")]
            self.assertEqual(steps, sorted(steps))
            self.assertGreater(told[f"{name}_count"], 0)

    def test_the_document_shows_what_is_told(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            shown = [json.loads(block) for block in
                     re.findall(r"^```json\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)]
        self.assertEqual(len(shown), 3)
        for block in shown:
            for command, fields in block.items():
                self.assertEqual(list(fields), list(self.telemetry.ask(command)))

    def test_what_is_not_known_is_null(self):
        for command in ("/sipherd", "/sipherd/", "/sipherd/phone", "/sipherd/phones/x"):
            self.assertIsNone(self.telemetry.ask(command))

    def test_parameters_change_nothing(self):
        self.assertEqual(self.telemetry.ask("/sipherd/phones," + "9" * 900)["total"], 50)

    def test_secrets_are_not_told(self):
        for command in sorted(COMMANDS) + ["/eal/params", "/eal/app_params"]:
            self.assertNotIn("very-secret", json.dumps(self.telemetry.ask(command)))

    def test_many_may_ask_at_once(self):
        others = [Telemetry() for _ in range(5)]
        for other in others * 20:
            self.assertEqual(other.ask("/sipherd/phones")["total"], 50)
        for other in others:
            other.close()


@unittest.skipUnless(os.access(BASE, os.W_OK), f"DPDK cannot make its sockets in {BASE}")
class SilentTest(unittest.TestCase):
    def run_with(self, *eal):
        server = Server(eal=(*eal, "--file-prefix", PREFIX), env={"XDG_RUNTIME_DIR": BASE})
        self.addCleanup(server.close)
        return server

    def test_without_being_asked_it_says_nothing(self):
        server = self.run_with()
        self.assertFalse(os.path.exists(os.path.join(FOLDER, "dpdk_telemetry.v2")))
        server.finish()

    def test_nothing_is_left_behind(self):
        server = self.run_with("--telemetry")
        self.assertTrue(os.path.exists(os.path.join(FOLDER, "dpdk_telemetry.v2")))
        server.finish()
        self.assertFalse(os.path.exists(FOLDER))


if __name__ == "__main__":
    main()
