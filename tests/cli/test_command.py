#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command line and the environment: help, version, manual, and every wrong use."""
import re
import shutil
import subprocess

from command import DONE, FLEET, USAGE, Case, main, sipherd

COMMANDS = ("run", "check", "demo", "registrar", "import", "fleet", "export", "probe", "ctl", "top", "help")


class Help(Case):
    def test_every_command_explains_itself(self):
        for command in COMMANDS:
            done = self.exits(sipherd(command, "--help"), DONE)
            self.assertIn(command, done.stdout)
            self.assertEqual(done.stderr, "")
            again = self.exits(sipherd("help", command), DONE)
            self.assertEqual(again.stdout, done.stdout)

    def test_every_command_knows_its_version(self):
        for command in COMMANDS:
            done = self.exits(sipherd(command, "--version"), DONE)
            self.assertRegex(done.stdout, r"^sipherd \d+\.\d+\.\d+\n$")
        self.assertEqual(sipherd("--version").stdout, done.stdout)

    def test_overview_names_commands_and_exit_codes(self):
        done = self.exits(sipherd("--help"), DONE)
        for word in (*COMMANDS, "exit codes"):
            self.assertIn(word, done.stdout)

    def test_options_of_run_are_all_there(self):
        said = sipherd("run", "--help").stdout
        for option in ("for", "summary", "seed", "set", "workers", "pcap", "pcap-phone",
                       "pcap-credentials", "fault", "reboot", "dns", "verbose"):
            self.assertIn("--" + option, said)

    def test_manual_has_options_keys_and_environment(self):
        roff = self.exits(sipherd("help", "--man"), DONE).stdout
        plain = roff.replace("\\-", "-")
        for word in ("--reboot", "keepalive.period", "SIPHERD_MIN_EXPIRES", ".SH EXIT STATUS"):
            self.assertIn(word, plain)

    def test_manual_renders_without_a_warning(self):
        if shutil.which("groff") is None:
            self.skipTest("groff is not installed")
        roff = sipherd("help", "--man").stdout
        done = subprocess.run(["groff", "-ww", "-man", "-Tutf8"], input=roff, text=True,
                              capture_output=True, check=True)
        self.assertEqual(done.stderr, "")
        self.assertIn("keepalive.period", re.sub("\x1b\\[[0-9;]*m", "", done.stdout))


class WrongUse(Case):
    """Arguments, and what the message has to contain."""
    TABLE = (
        ((), "sipherd demo"),
        (("frobnicate",), "'frobnicate'"),
        (("--frobnicate",), "'--frobnicate'"),
        (("run",), "a file is missing"),
        (("run", "a.yaml", "b.yaml"), "'b.yaml'"),
        (("run", "--frobnicate", "a.yaml"), "'--frobnicate'"),
        (("run", "a.yaml", "--for"), "'--for'"),
        (("run", "a.yaml", "--for", "0"), "--for '0'"),
        (("run", "a.yaml", "--for", "5 s"), "--for '5 s'"),
        (("run", "a.yaml", "--for", "1kk"), "--for '1kk'"),
        (("run", "a.yaml", "--seed", "-1"), "--seed '-1'"),
        (("run", "a.yaml", "--workers", "17"), "between 1 and 16"),
        (("run", "a.yaml", "--workers", "0"), "between 1 and 16"),
        (("run", "a.yaml", "--summary", ""), "--summary"),
        (("run", "a.yaml", "-o", "x"), "-o"),
        (("run", "a.yaml", "--realm", "x"), "--realm"),
        (("check",), "a file is missing"),
        (("demo", "extra"), "'extra'"),
        (("demo", "--link", "memory"), "--link"),
        (("import",), "a file is missing"),
        (("help", "frobnicate"), "'frobnicate'"),
        (("registrar",), "--link"),
        (("registrar", "--link", "memory", "--primary", "10.0.0.1:5060"), "--link"),
        (("registrar", "--link", "tap:x"), "--primary"),
        (("registrar", "--link", "tap:x", "--primary", "proxy.example:5060"), "--primary"),
        (("registrar", "--link", "tap:x", "--primary", "10.0.0.1:80"), "1024"),
        (("registrar", "--link", "tap:x", "--primary", "10.0.0.1:5060", "--realm", "r"),
         "--password"),
        (("registrar", "--vlan", "4095"), "between 1 and 4094"),
        (("registrar", "--capacity", "11M"), "--capacity"),
        (("fleet",), "--fleet"),
        (("fleet", "--store", "redis://h"), "--fleet"),
        (("fleet", "--fleet", "f"), "--store"),
        (("fleet", "a.yaml", "--fleet", "f"), "--fleet"),
        (("fleet", "--store", "redis://h", "--fleet", "a b"), "--fleet"),
        (("fleet", "--store", "mysql://h", "--fleet", "f"), "redis://HOST"),
        (("fleet", "--store", "none", "--fleet", "f"), "store: none"),
        (("fleet", "--store", "redis://h", "--fleet", "f", "--for", "1s"), "--feed"),
        (("fleet", "--store", "redis://h", "--fleet", "f", "--phone", "10M"), "--phone"),
        (("fleet", "--store", "redis://:very-secret@h", "--fleet", "f"), "SIPHERD_STORE"),
        (("check", "a.yaml", "--state", ""), "--state"),
        (("demo", "--store", "none"), "--store"),
        (("export", "a.yaml"), "--sipp"),
        (("export", "a.yaml", "--csv", "--sipp"), "--sipp"),
        (("export", "a.yaml", "--csv", "--secrets"), "--secrets"),
    )

    def test_exit_2_and_a_message_that_names_it(self):
        for arguments, expected in self.TABLE:
            with self.subTest(arguments=arguments):
                done = self.exits(sipherd(*arguments), USAGE)
                self.assertIn(expected, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_schedule(self):
        fleet = self.write("fleet.yaml", FLEET)
        for option, entry, expected in (
                ("--fault", "crash@1s", "PROXY:FAULT"),
                ("--fault", "third:crash@1s", "'third'"),
                ("--fault", "primary:explode@1s", "'explode'"),
                ("--fault", "primary:crash=1@1s", "no value"),
                ("--fault", "primary:loss@1s", "needs a value"),
                ("--fault", "primary:loss=101%@1s", "100%"),
                ("--fault", "primary:reject=200@1s", "between 300 and 699"),
                ("--fault", "primary:delay=61s@1s", "60 s"),
                ("--fault", "primary:crash@2s-1s", "not after its start"),
                ("--fault", "primary:crash@soon", "'soon'"),
                ("--fault", "primary:forget@1s-2s", "no end"),
                ("--reboot", "planned:0-50@1s", "between 0 and 49"),
                ("--reboot", "planned:9-3@1s", "before"),
                ("--reboot", "sudden:all@1s", "'sudden'"),
                ("--reboot", "planned:all", "KIND:")):
            with self.subTest(entry=entry):
                done = self.exits(sipherd("run", fleet, option, entry), USAGE)
                self.assertIn(f"{option} '{entry}'", done.stderr)
                self.assertIn(expected, done.stderr)

    def test_fault_needs_a_registrar_of_ours(self):
        fleet = self.write("fleet.yaml", FLEET)
        done = self.exits(sipherd("run", fleet, "--set", "link=af_packet:lo", "--set",
                                  "source=10.9.0.0/16", "--fault", "primary:crash@1s"), USAGE)
        self.assertIn("--fault", done.stderr)

    def test_capture_of_a_phone_that_is_not_there(self):
        fleet = self.write("fleet.yaml", FLEET)
        done = self.exits(sipherd("run", fleet, "--pcap", "x", "--pcap-phone", "50"), USAGE)
        self.assertIn("--pcap-phone", done.stderr)


class Environment(Case):
    def check(self, *arguments, **env):
        fleet = self.write("fleet.yaml", FLEET)
        return sipherd("check", fleet, *arguments, env=env)

    def test_keys_from_the_environment(self):
        done = self.exits(self.check(SIPHERD_SET="phones=30;keepalive.period=3s"), DONE)
        self.assertRegex(done.stdout, r"phones +30\n")
        self.assertIn("keep-alive 3 s", done.stdout)

    def test_command_line_wins(self):
        done = self.exits(self.check("--set", "phones=20", SIPHERD_SET="phones=30"), DONE)
        self.assertRegex(done.stdout, r"phones +20\n")

    def test_values_with_blanks(self):
        done = self.exits(self.check(SIPHERD_SET="source=10.5.0.1-10.5.0.2 ports 10000-10999"), DONE)
        self.assertIn("10.5.0.1 port 10000", done.stdout)

    def test_wrong_value_names_the_variable(self):
        fleet = self.write("fleet.yaml", FLEET)
        done = self.exits(sipherd("run", fleet, env={"SIPHERD_MIN_EXPIRES": "x",
                                                     "SIPHERD_FOR": "never"}), USAGE)
        self.assertIn("SIPHERD_FOR 'never'", done.stderr)


class DpdkArguments(Case):
    def test_they_stand_before_two_dashes(self):
        fleet = self.write("fleet.yaml", FLEET)
        done = self.exits(sipherd("-m", "256", "--no-huge", "--", "check", fleet), DONE)
        self.assertRegex(done.stdout, r"phones +50\n")


if __name__ == "__main__":
    main()
