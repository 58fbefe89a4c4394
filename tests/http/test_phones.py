#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Single phones: pages of a list, one phone, its messages as text and as a capture."""
import os
import struct
import sys
import tempfile
import time
import unittest

from server import FLEET, Case, Server, eventually, main

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "store"))
import servers  # noqa: E402

PHONES = "/api/v1/phones"


def once(server, phone, fits, what):
    """One phone, as soon as what is told of it fits."""
    told = {}

    def found():
        told.update(server.ask(f"{PHONES}/{phone}").json())
        return fits(told)
    eventually(found, what)
    return told


class Phones(Case):
    def pages(self, query=""):
        """All phones, page by page, and how many pages it took."""
        found, cursor, pages = [], 0, 0
        while cursor is not None:
            told = self.good(self.server.ask(f"{PHONES}?cursor={cursor}{query}")).json()
            found += told["phones"]
            self.assertTrue(told["next"] is None or told["next"] > cursor)
            cursor, pages = told["next"], pages + 1
        return found, pages

    def timers(self, phone):
        """A worker that is busy is not waited for: then a phone is told without its timers."""
        return once(self.server, phone, lambda told: told["timers"] is not None, "timers")

    def test_pages(self):
        everybody = list(range(50))
        for limit, most in ((1, 51), (7, 8), (49, 2), (50, 2), (1000, 1)):
            found, pages = self.pages(f"&limit={limit}")
            self.assertEqual([p["phone"] for p in found], everybody)
            self.assertLessEqual(pages, most)
        self.assertEqual([p["user"] for p in found], [f"2{n:06}" for n in everybody])
        self.assertEqual({p["state"] for p in found}, {"registered"})
        self.assertEqual({p["proxy"] for p in found}, {"primary"})
        self.assertEqual({p["cause"] for p in found}, {"registered"})
        now_ms = time.time() * 1000
        self.assertTrue(all(p["registered"] and 0 <= now_ms - p["since_unix_ms"] < 300e3 for p in found))

    def test_filters(self):
        for query, count in (("state=registered", 50), ("proxy=primary", 50), ("state=off", 0),
                             ("proxy=redundant", 0), ("state=elsewhere", 0),
                             ("state=registered&proxy=primary", 50),
                             ("state=registered&proxy=redundant", 0)):
            self.assertEqual(len(self.pages("&" + query)[0]), count, query)

    def test_cursors_beyond_the_end(self):
        for cursor in (50, 10000, 4294967295):
            told = self.server.ask(f"{PHONES}?cursor={cursor}").json()
            self.assertEqual((told["phones"], told["next"]), ([], None))

    def test_one(self):
        def answered():
            return self.server.ask(f"{PHONES}/49").json()["rtt_ms"] is not None
        eventually(answered, "a keep-alive was answered")
        told = self.timers(49)
        self.assertEqual((told["phone"], told["user"], told["domain"]), (49, "2000049", "192.0.2.1"))
        self.assertEqual((told["address"], told["port"], told["owner"]), ("10.0.0.50", 5060, "here"))
        self.assertEqual((told["state"], told["map_state"]), ("registered", "registered-primary"))
        self.assertEqual((told["registrations_ok"], told["failovers"]), (1, 0))
        self.assertGreater(told["keepalives_sent"], 0)
        self.assertEqual(told["timers"]["register_what"], "refresh")
        self.assertLessEqual(told["timers"]["keepalive_in_ms"], 1100)
        self.assertEqual([t["phase"] for t in told["transitions"]], ["registered", "registering", "boot"])
        self.assertTrue(told["history_complete"])
        numbers = [t["number"] for t in told["transitions"]]
        self.assertEqual(numbers, [told["transition"] - i for i in range(3)])
        self.assertEqual(told["transitions"][0]["to"], {"proxy": "primary", "registered": True})

    def test_a_binding_runs_out(self):
        binding = self.timers(3)["binding"]
        self.assertEqual((binding["proxy"], binding["granted_s"]), ("primary", 3600))
        self.assertTrue(3000 < binding["expires_in_s"] <= 3600)

    def test_looks_are_limited_but_answers_are_not(self):
        """Of a burst some come without timers; asked again, everybody has some."""
        for phone in range(50):
            told = self.good(self.server.ask(f"{PHONES}/{phone}")).json()
            self.assertEqual(told["phone"], phone)
        for phone in range(50):
            self.timers(phone)

    def test_who_does_not_exist(self):
        for path in ("/50", "/4294967295", "/50/trace", "/50/capture.pcapng"):
            told = self.problem(self.server.ask(PHONES + path), 404, "not-found")
            self.assertIn("0 to 49", told["detail"])

    def trace(self, phone):
        return self.good(self.server.ask(f"{PHONES}/{phone}/trace")).json()

    def test_messages(self):
        self.assertEqual(self.trace(21)["phone"], 21)

        def both_ways():
            return {"sent", "received"} <= {m["direction"] for m in self.trace(21)["messages"]}
        eventually(both_ways, "a keep-alive went out and was answered")
        messages = self.trace(21)["messages"]
        times = [m["unix_us"] for m in messages]
        self.assertEqual(times, sorted(times))
        first = [m["first_line"] for m in messages]
        self.assertIn("OPTIONS sip:192.0.2.1 SIP/2.0", first)
        self.assertIn("SIP/2.0 200 OK", first)
        for message in messages:
            self.assertTrue(message["text"].startswith(message["first_line"] + "\r\n"))
            self.assertIn("2000021", message["text"])
            self.assertEqual(message["proxy"], "primary")

    def test_credentials_are_masked(self):
        self.trace(22)
        self.server.change("POST", f"{PHONES}/22/actions", {"action": "power-cut"})

        def registered():
            return any("REGISTER" in m["first_line"] and "Authorization:" in m["text"]
                       for m in self.trace(22)["messages"])
        eventually(registered, "a REGISTER with credentials")
        for message in self.trace(22)["messages"]:
            for line in message["text"].split("\r\n"):
                if "response=" in line:
                    self.assertNotRegex(line, 'response="[0-9a-f]{32}"')
        capture = self.server.ask(f"{PHONES}/22/capture.pcapng").body
        once(self.server, 22, lambda told: told["state"] == "registered", "as other tests want it")
        self.assertIn(b"REGISTER sip:", capture)
        self.assertNotRegex(capture, rb'response="[0-9a-f]{32}"')

    def test_a_capture_is_pcapng(self):
        self.trace(23)
        eventually(lambda: self.trace(23)["messages"], "a message")
        answer = self.good(self.server.ask(f"{PHONES}/23/capture.pcapng"), "application/vnd.tcpdump.pcap")
        self.assertIn("attachment", answer.headers["Content-Disposition"])
        at, packets = 0, 0
        self.assertEqual(answer.body[:4], b"\x0a\x0d\x0d\x0a")
        while at < len(answer.body):
            kind, length = struct.unpack_from("<II", answer.body, at)
            self.assertEqual(struct.unpack_from("<I", answer.body, at + length - 4)[0], length)
            packets += kind == 6
            at += length
        self.assertEqual(at, len(answer.body))
        self.assertGreater(packets, 0)


class Failover(Case):
    """The primary proxy crashes: phones tell why they went, the proxies who is dead."""
    arguments = ("--fault", "primary:crash@3s")
    more = {"fleet": FLEET + "timers: { no_response: 500ms }\nredundancy: { switch_delay: 0s }\n"}

    def test_phones_and_proxies_tell(self):
        def all_went():
            told = self.server.ask(f"{PHONES}?proxy=redundant&state=registered&limit=1000").json()
            return len(told["phones"]) == 50
        eventually(all_went, "all are registered at the redundant proxy", 30)
        # Transitions are gathered ten times a second, and may be behind the record.
        told = once(self.server, 7, lambda told: told["transitions"] and
                    told["transitions"][0]["number"] == told["transition"], "its last transition")
        self.assertEqual(told["map_state"], "registered-redundant")
        self.assertGreater(told["failovers"], 0)
        causes = [t["cause"] for t in told["transitions"]]
        self.assertTrue({"keepalive-silence", "register-silence", "refresh-silence"} & set(causes), causes)
        self.assertEqual(told["transitions"][0]["to"], {"proxy": "redundant", "registered": True})

        def dead():
            return self.server.ask("/api/v1/proxies/primary").json()["dead_since_unix_ms"] is not None
        eventually(dead, "the primary proxy is dead")
        self.assertIsNone(self.server.ask("/api/v1/proxies/redundant").json()["dead_since_unix_ms"])
        detect = self.server.ask("/api/v1/histograms/failover_detect").json()
        self.assertGreater(detect["count"], 0)
        self.assertGreater(detect["max_us"], 400000)


class AfterAKill(unittest.TestCase):
    """Records of a run that was killed say what phones were then, not what they are."""

    def test_who_is_not_on_yet_is_off(self):
        first = Server(store="embedded")
        self.addCleanup(first.close)
        first.process.kill()
        first.process.wait()
        server = Server(store="embedded", fleet=FLEET + "ramp: 1/s\n", ready="^link ",
                        env={"SIPHERD_STATE": first.folder + "/state"})
        self.addCleanup(server.close)
        told = once(server, 49, lambda told: told["owner"] == "here", "it is driven")
        self.assertEqual((told["state"], told["map_state"], told["registered"]), ("off", "off", False))
        self.assertEqual((told["registrations_ok"], told["transitions"]), (1, []), "of the first run")
        for state, there in (("off", True), ("registered", False)):
            listed = server.ask(f"{PHONES}?state={state}&limit=50").json()["phones"]
            self.assertEqual(49 in [phone["phone"] for phone in listed], there, state)


@unittest.skipIf(servers.missing(), "not installed: redis-server")
class TwoNodes(unittest.TestCase):
    """Sixteen shards and two generators: who does not drive a phone says who does."""

    def test_owners(self):
        fleet = FLEET.replace("phones: 50", "phones: 155000\nramp: 200/s").replace("1s", "60s")
        redis = servers.single()
        redis.__enter__()
        self.addCleanup(redis.end)
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        nodes = []
        for _ in range(2):
            nodes.append(Server(store=redis.url, fleet=fleet, env={"SIPHERD_STATE": state.name},
                                ready="^link "))
            self.addCleanup(nodes[-1].close)

        def owners(node):
            return [s["owner"] for s in node.ask("/api/v1/store").json()["shards"]]

        def both_agree():
            one, other = (owners(node) for node in nodes)
            return one == other and len(one) == 16 and len(set(one) - {None}) == 2
        eventually(both_agree, "each node drives some of the shards, and both know", 60)
        names = [node.ask("/api/v1/store").json()["node"] for node in nodes]
        for shard, owner in enumerate(owners(nodes[0])):
            here, there = nodes if owner == names[0] else reversed(nodes)
            phone = shard * 10000 + 4999
            path = f"{PHONES}/{phone}"
            told = here.ask(path).json()
            self.assertEqual((told["owner"], told["state"] == "elsewhere"), ("here", False))
            told = there.ask(path).json()
            self.assertEqual((told["owner"], told["state"], told["map_state"]),
                             (owner, "elsewhere", "elsewhere"))
            self.assertEqual((told["timers"], told["binding"]), (None, None))
            refused = there.change("POST", path + "/actions", {"action": "reboot"})
            self.assertEqual((refused.code, refused.json()["type"]),
                             (409, "urn:sipherd:problem:not-here"))
            self.assertEqual(here.change("POST", path + "/actions", {"action": "reboot"}).code, 202)
            first = there.ask(f"{PHONES}?cursor={shard * 10000}&limit=1&state=elsewhere").json()
            self.assertEqual(first["phones"][0]["phone"], shard * 10000)


@unittest.skipIf(servers.missing(), "not installed: redis-server")
class WithoutALease(unittest.TestCase):
    """Phones that must be silent do not take orders, and nobody waits for them."""

    def test_orders_are_refused(self):
        redis = servers.single()
        redis.__enter__()
        self.addCleanup(redis.end)
        node = Server(store=redis.url, fleet=FLEET + "fence: strict\nlease: { ttl: 1s }\n")
        self.addCleanup(node.close)

        def act(phone=7, action="reregister"):
            return node.change("POST", f"{PHONES}/{phone}/actions", {"action": action})
        eventually(lambda: act().code == 202, "orders are taken", 60)
        redis.server[0].freeze()
        eventually(lambda: act().code == 503, "orders are refused", 60)
        refused = act()
        self.assertEqual(refused.json()["type"], "urn:sipherd:problem:not-ready")
        for count in range(200):  # more than can wait, and no more a second than are taken
            time.sleep(0.011)
            self.assertIn(act(count % 50, "reboot").code, (429, 503))
        for phones in range(50):
            time.sleep(0.011)
            self.assertIn(node.change("PATCH", "/api/v1/load", {"phones": phones}).code, (200, 429))
        redis.server[0].thaw()
        eventually(lambda: act(7).code == 202, "orders are taken again", 60)


if __name__ == "__main__":
    main()
