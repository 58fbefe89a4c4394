#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`sipherd check --sizing`: docs/sizing.md shows what it prints, every kind of fleet can be reckoned, and a run
sends and takes what was reckoned. With SIPHERD_WRITE_DOCS=1 the document gets what came out."""
import json
import os
import re
import shlex

from command import DONE, GENERATOR, TESTS, USAGE, Case, main, sipherd

# Not an argument: the test runner reads those.
WRITE = "SIPHERD_WRITE_DOCS" in os.environ
DOCS = os.path.join(os.path.dirname(TESTS), "docs")
DOCUMENT = os.path.join(DOCS, "sizing.md")
SCHEMA = os.path.join(DOCS, "sipherd.sizing-1.schema.json")
FEW_PERCENT = 0.05  # a message that is a few bytes longer does not make the page wrong
MOMENTS = ("steady", "steady_peak", "start", "fail_over", "outage", "fail_back",
           "keepalives_after", "refreshes_after")

FLEET = """fleet: few
phones: 400
user: "2{n:06}"
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
keepalive: { period: 1s }
ramp: 800/s
store: none
"""


def blocks(text):
    """Of each console block its command and what it shows, with where that stands in the text."""
    for found in re.finditer(r"```console\n\$ (.*)\n((?:.*\n)*?)```", text):
        yield found.group(1), found.group(2), found.span(2)


class Document(Case):
    maxDiff = None

    def setUp(self):
        super().setUp()
        with open(DOCUMENT, encoding="utf-8") as file:
            self.text = file.read()
        fleet = re.search(r"```yaml\n((?:.*\n)*?)```", self.text).group(1)
        self.path = self.write("fleet.yaml", fleet)

    def said(self, command):
        words = [self.path if word == "fleet.yaml" else word for word in shlex.split(command)]
        self.assertEqual(words[0], "sipherd")
        return self.exits(sipherd(*words[1:]), DONE).stdout

    def alike(self, said, shown):
        number = r"\d[\d,.]*"
        plain = [re.sub(" +", " ", re.sub(number, "#", text)) for text in (said, shown)]
        self.assertEqual(*plain)
        for a, b in zip(re.findall(number, said), re.findall(number, shown)):
            now, then = (float(text.rstrip(".,").replace(",", "")) for text in (a, b))
            self.assertAlmostEqual(now, then, delta=FEW_PERCENT * max(now, then) + 0.01)

    def test_examples(self):
        found = list(blocks(self.text))
        self.assertGreaterEqual(len(found), 3)
        for command, shown, (begin, end) in reversed(found):
            said = self.said(command)
            if WRITE:
                self.text = self.text[:begin] + said + self.text[end:]
                continue
            with self.subTest(command=command):
                self.alike(said, shown)
        if WRITE:
            with open(DOCUMENT, "w", encoding="utf-8") as file:
                file.write(self.text)


class Sizing(Case):
    def reckon(self, *options, fleet=FLEET):
        path = self.write("fleet.yaml", fleet)
        done = self.exits(sipherd("check", "--sizing", "--json", path, *options), DONE)
        return json.loads(done.stdout)

    def known(self, said):
        return [name for name in MOMENTS if said["load"][name]]

    def test_json_has_its_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("not installed: python3-jsonschema")
        with open(SCHEMA, encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.validate(self.reckon(), schema)
        jsonschema.validate(self.reckon("--store", "embedded", "--nic", "1"), schema)
        jsonschema.validate(self.reckon("--set", "redundancy.enabled=no"), schema)

    def test_what_happens_to_whom(self):
        asymmetric = self.reckon("--set", "redundancy.mode=asymmetric")
        self.assertEqual(self.known(asymmetric), list(MOMENTS))
        self.assertIsNone(asymmetric["redis"])
        symmetric = self.reckon("--set", "redundancy.mode=symmetric")
        self.assertEqual(self.known(symmetric), list(MOMENTS[:5]))
        alone = self.reckon("--set", "redundancy.enabled=no")
        self.assertEqual(self.known(alone), ["steady", "steady_peak", "start", "outage"])
        deaf = self.reckon("--set", "keepalive.period=0")
        self.assertEqual(self.known(deaf), list(MOMENTS[:5]))
        self.assertEqual(deaf["load"]["steady"]["keepalives_per_s"], 0)
        jittery = self.reckon("--set", "keepalive.jitter=10%")
        self.assertNotIn("steady_peak", self.known(jittery))
        none = self.reckon("--set", "registration.expires=0")
        self.assertGreater(none["load"]["start"]["registers_per_s"], 0)

    def test_lengths_on_the_cable(self):
        def apart(load):
            gap = load["line_bits_out_per_s"] / 8 - load["frame_bytes_out_per_s"]
            return gap / load["packets_out_per_s"]

        plain = self.reckon()["load"]["steady"]
        tagged = self.reckon("--set", "link=af_packet:veth0", "--set", "source=10.0.0.0/16", "--set",
                             "vlan=7")["load"]["steady"]
        # Checksum, preamble and gap.
        self.assertAlmostEqual(apart(plain), 24, places=3)
        self.assertAlmostEqual(apart(tagged), 24, places=3)
        more = (tagged["frame_bytes_out_per_s"] - plain["frame_bytes_out_per_s"]) / plain[
            "packets_out_per_s"]
        self.assertAlmostEqual(more, 4, places=2)

    def test_sizes_of_addresses_and_names(self):
        short = self.reckon()["messages"]["primary"]["keepalive"]["request_bytes"]
        long = self.reckon("--set", "user=a-much-longer-name-{n:06}")["messages"]["primary"]
        # Its user stands in From, To and Contact.
        self.assertEqual(long["keepalive"]["request_bytes"] - short, 3 * 18)
        proxies = 'proxies: { primary: "[2001:db8::1]:5060", redundant: "[2001:db8::2]:5060" }'
        ipv6 = self.reckon("--set", "source=2001:db8:20::/64",
                           fleet=re.sub("proxies:.*", proxies, FLEET))
        load = ipv6["load"]["steady"]
        text = ipv6["messages"]["primary"]["keepalive"]["request_bytes"]
        refresh = ipv6["messages"]["primary"]["refresh"]["request_bytes"]
        self.assertAlmostEqual(load["frame_bytes_out_per_s"],
                               load["keepalives_per_s"] * (text + 62) +
                               load["registers_per_s"] * (refresh + 62), delta=1)

    def test_names_are_not_resolved(self):
        named = re.sub("proxies:.*", "proxies: { primary: a.example.net, redundant: b.example.net }",
                       FLEET).replace("link: memory", "link: af_packet:veth0\nsource: 10.1.0.0/16")
        said = self.reckon(fleet=named)
        self.assertGreater(said["messages"]["redundant"]["register"]["requests"], 0)

    def test_herds_are_added(self):
        herds = FLEET.replace("phones: 400\n", "").replace("keepalive: { period: 1s }\n", "") + """herds:
  - { name: a, phones: 300, source: 10.1.0.0/16 }
  - { name: b, phones: 500, user: "3{n:06}", source: 10.2.0.0/16, keepalive: { period: 2s } }
"""
        said = self.reckon(fleet=herds)
        self.assertEqual(said["phones"], 800)
        self.assertAlmostEqual(said["load"]["steady"]["keepalives_per_s"], 300 / 60 + 500 / 2, places=3)
        self.assertAlmostEqual(said["load"]["start"]["registers_per_s"], 800, places=3)

    def test_digest_takes_more(self):
        plain = self.reckon()
        digest = self.reckon("--set", "registrar.realm=lab", "--set", "password=pw-{user}")
        self.assertTrue(digest["challenged"] and not plain["challenged"])
        self.assertEqual(plain["messages"]["primary"]["register"]["requests"], 1)
        self.assertEqual(digest["messages"]["primary"]["register"]["requests"], 2)
        # With bindings of two minutes the nonce lives longer than it takes to the refresh.
        often = self.reckon("--set", "registrar.realm=lab", "--set", "password=pw-{user}", "--set",
                            "registration.expires=120s")
        self.assertEqual(digest["messages"]["primary"]["refresh"]["requests"], 2)
        self.assertEqual(often["messages"]["primary"]["refresh"]["requests"], 1)

    def test_options(self):
        plain = self.reckon("--set", "phones=1M")
        slow = self.reckon("--set", "phones=1M", "--ns-per-transaction", "6200")
        moment = plain["load"]["fail_back"]["workers_busy"] * 6200 / plain["ns_per_transaction"]
        self.assertAlmostEqual(slow["load"]["fail_back"]["workers_busy"], moment, places=3)
        self.assertGreater(slow["workers"], plain["workers"])
        small = self.reckon("--set", "phones=1M", "--nic", "1")
        self.assertEqual(small["machines_because"], "line rate")
        few = self.reckon("--set", "phones=1M", "--ns-per-transaction", "62k", "--cores", "1", "--nic",
                          "1000")
        self.assertEqual(few["machines"], few["workers"])
        self.assertEqual(few["machines_because"], "cores")

    def test_wrong_use(self):
        path = self.write("fleet.yaml", FLEET)
        for arguments, expected in (
                (("check", path, "--json"), "'--json'"),
                (("check", path, "--nic", "10"), "'--nic'"),
                (("check", path, "--cores", "4"), "'--cores'"),
                (("check", path, "--ns-per-transaction", "9"), "'--ns-per-transaction'"),
                (("check", path, "--sizing", "--cores", "0"), "--cores '0'"),
                (("check", path, "--sizing", "--cores", "17"), "between 1 and 16"),
                (("check", path, "--sizing", "--nic", "0"), "between 1 and 1000"),
                (("check", path, "--sizing", "--nic", "10G"), "--nic '10G'"),
                (("check", path, "--sizing", "--ns-per-transaction", "fast"), "'fast'"),
                (("check", path, "--sizing", "--set", "phones=0"), "phones"),
                (("run", path, "--sizing"), "--sizing")):
            with self.subTest(arguments=arguments[2:]):
                done = self.exits(sipherd(*arguments), USAGE)
                self.assertIn(expected, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_a_run_sends_what_was_reckoned(self):
        said = self.reckon()
        summary = os.path.join(self.folder, "run.json")
        path = os.path.join(self.folder, "fleet.yaml")
        self.exits(sipherd("run", path, "--for", "4s", "--summary", summary), DONE, GENERATOR)
        with open(summary, encoding="utf-8") as file:
            run = json.load(file)
        self.assertEqual(run["memory_bytes"], said["memory_bytes"]["herd"])
        counters, messages = run["counters"], said["messages"]["primary"]
        if counters["register_retransmitted"] + counters["options_retransmitted"] > 0:
            self.skipTest("this machine is too busy: something was sent again")
        bytes_wanted = packets = 0
        for sent, occasion in (("register_sent", "register"), ("options_sent", "keepalive")):
            talk = messages[occasion]
            packets += counters[sent] * (1 + talk["answers"] / talk["requests"])
            bytes_wanted += counters[sent] * (talk["request_bytes"] + talk["answer_bytes"])
        # Each packet is sent once, by either end; what little else there is are ARP requests.
        wire = run["wire"]
        self.assertAlmostEqual(wire["frames_sent"], packets, delta=packets / 100 + 50)
        self.assertAlmostEqual(wire["bytes_sent"], bytes_wanted + 42 * packets,
                               delta=bytes_wanted / 100 + 50 * 60)


if __name__ == "__main__":
    main()
