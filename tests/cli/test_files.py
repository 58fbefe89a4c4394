#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fleet files and phone files: samples are taken, bad ones refused with their own message each.

tests/bad holds NAME.yaml, NAME.cfg or NAME.csv and beside each NAME.expected, whose every line has to
be part of what sipherd says.
"""
import glob
import os
import stat
import threading

from command import DONE, FLEET, TESTS, USAGE, Case, main, sipherd

SAMPLES = os.path.join(TESTS, "samples")
BAD = os.path.join(TESTS, "bad")


def files(folder, *endings):
    found = sorted(path for ending in endings for path in glob.glob(os.path.join(folder, ending)))
    return found


class Samples(Case):
    def test_phone_files_become_fleets(self):
        phones = files(SAMPLES, "*.cfg")
        self.assertGreaterEqual(len(phones), 2, "a sample of each vendor")
        for phone in phones:
            with self.subTest(phone=os.path.basename(phone)):
                fleet = os.path.join(self.folder, "fleet.yaml")
                done = self.exits(sipherd("import", phone, "-o", fleet), DONE)
                self.assertIn("unknown keys ignored", done.stderr)
                # It may hold a password.
                self.assertEqual(stat.S_IMODE(os.stat(fleet).st_mode), 0o600)
                checked = self.exits(sipherd("check", fleet), DONE)
                self.assertRegex(checked.stdout, r"phones +1\n")
                printed = self.exits(sipherd("import", phone), DONE)
                with open(fleet, encoding="utf-8") as file:
                    self.assertEqual(printed.stdout, file.read())

    def test_what_is_no_file_keeps_its_mode(self):
        """-o /dev/stdout must not take the terminal, or /dev/null, from everybody else."""
        pipe, got = os.path.join(self.folder, "pipe"), []
        os.mkfifo(pipe)
        os.chmod(pipe, 0o666)

        def read():
            with open(pipe, encoding="utf-8") as file:
                got.append(file.read())
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        phone = files(SAMPLES, "*.cfg")[0]
        self.exits(sipherd("import", phone, "-o", pipe), DONE)
        reader.join(timeout=20)
        self.assertEqual(got, [sipherd("import", phone).stdout])
        self.assertEqual(stat.S_IMODE(os.stat(pipe).st_mode), 0o666)

    def test_a_file_that_was_there_becomes_private(self):
        fleet = self.write("fleet.yaml", "all may read this\n")
        os.chmod(fleet, 0o644)
        self.exits(sipherd("import", files(SAMPLES, "*.cfg")[0], "-o", fleet), DONE)
        self.assertEqual(stat.S_IMODE(os.stat(fleet).st_mode), 0o600)
        with open(fleet, encoding="utf-8") as file:
            self.assertNotIn("all may", file.read())

    def test_many_phones_become_one_fleet(self):
        phones = []
        for n in range(3):
            phones.append(self.write(f"{n}.cfg", f"voip/line/0/id=20{n}\n"
                                     f"voip/line/0/auth_password=very-secret-{n}\n"
                                     "voip/signalling/sip/proxy_address=192.0.2.1\n"))
        fleet = os.path.join(self.folder, "fleet.yaml")
        self.exits(sipherd("import", *phones, "-o", fleet), DONE)
        self.assertRegex(self.exits(sipherd("check", fleet), DONE).stdout, r"phones +3\n")
        users = fleet + ".users.csv"
        self.assertEqual(stat.S_IMODE(os.stat(users).st_mode), 0o600)
        done = self.exits(sipherd("import", *phones), USAGE)
        self.assertIn("-o", done.stderr)

    def test_import_takes_keys_too(self):
        phone = self.write("a.cfg", "voip/line/0/id=200\n"
                           "voip/signalling/sip/proxy_address=192.0.2.1\n")
        done = self.exits(sipherd("import", phone, "--set", "keepalive.period=7s"), DONE)
        self.assertIn("7s", done.stdout)

    def test_sample_fleets_are_good(self):
        for fleet in files(SAMPLES, "*.yaml"):
            with self.subTest(fleet=os.path.basename(fleet)):
                self.exits(sipherd("check", fleet), DONE)


class BadFiles(Case):
    def command_of(self, name):
        if name.endswith(".yaml"):
            return ("check", name)
        if name.endswith(".cfg"):
            return ("import", name)
        fleet = self.write("fleet.yaml", FLEET.replace('user: "2{n:06}"\n', "").replace(
            'password: "very-secret-{user}"\n', "").replace(
                "phones: 50\n", f"users: {os.path.join(BAD, name)}\n"))
        return ("check", fleet)

    def test_each_has_its_own_message(self):
        bad = files(BAD, "*.yaml", "*.cfg", "*.csv")
        said = set()
        for path in bad:
            name = os.path.basename(path)
            with self.subTest(file=name):
                with open(os.path.splitext(path)[0] + ".expected", encoding="utf-8") as file:
                    expected = [line.rstrip("\n") for line in file if line.strip()]
                self.assertTrue(expected)
                done = self.exits(sipherd(*self.command_of(name), cwd=BAD), USAGE)
                for line in expected:
                    self.assertIn(line, done.stderr)
                self.assertEqual(done.stdout, "")
                said.add(done.stderr.replace(name, ""))
        self.assertGreaterEqual(len(said), 40, "the issue asks for at least 40 messages")


class Check(Case):
    def test_it_tells_what_the_run_would_do(self):
        fleet = self.write("fleet.yaml", "phones: 100k\nuser: \"2{n:06}\"\nlink: af_packet:veth0\n"
                           "source: 10.20.0.0/15\nproxies: { primary: 10.10.0.1:5060, "
                           "redundant: proxy.example.net:5070 }\n")
        said = self.exits(sipherd("check", fleet), DONE).stdout
        for expected in ("100,000", "10.20.0.1 port 5060 to 10.21.134.160 port 5060",
                         "10.10.0.1", "proxy.example.net", "resolved when the run starts",
                         "asymmetric", "af_packet:veth0",
                         "18,333 OPTIONS datagrams/s",  # 11 per phone and minute
                         "1,722 requests/s", "MB"):
            self.assertIn(expected, said)

    def test_a_file_that_is_not_there(self):
        done = self.exits(sipherd("check", os.path.join(self.folder, "none.yaml")), USAGE)
        self.assertIn("none.yaml", done.stderr)


if __name__ == "__main__":
    main()
