#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Events: each has its schema, none is missed or told twice, and who does not read harms nobody else."""
import re
import socket
import time

from server import FLEET, Case, Server, certificate, eventually, main
from sse import MAP_STATES, Listener, Parser, apply_delta, request, unpack_map

try:
    from jsonschema import Draft202012Validator
except ImportError:
    Draft202012Validator = None

LISTENERS = 384  # EVENTS_LISTENERS_MAX
QUICK = FLEET + "timers: { no_response: 1s }\nredundancy: { switch_delay: 500ms }\n"
MANY = QUICK.replace("phones: 50", "phones: 20000").replace("period: 1s", "period: 5s")


def crashes(first_s, count):
    """The primary proxy is away for 3 s again and again, so that phones go over and back."""
    return [word for i in range(count)
            for word in ("--fault", f"primary:crash@{first_s + 6 * i}s-{first_s + 6 * i + 3}s")]


class EventCase(Case):
    def listen(self, last_id=None, **more):
        one = Listener(self.server.port, last_id, **more)
        self.addCleanup(one.close)
        return one

    def schemas(self):
        return self.server.ask("/api/v1/openapi.json").json()["components"]["schemas"]

    def map(self):
        answer = self.good(self.server.ask("/api/v1/map"), "application/octet-stream")
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        return unpack_map(answer.body)


class Contract(EventCase):
    """20,000 phones that come all at once and lose their primary proxy: every kind of event there is."""
    arguments = ("--fault", "primary:crash@4s-12s")
    more = {"fleet": MANY}

    def test_each_event_is_as_the_document_says(self):
        if Draft202012Validator is None:
            self.skipTest("not installed: python3-jsonschema")
        schemas = self.schemas()
        first = self.listen()
        run = first.hello.data["run"]
        listener = self.listen(run + ".0")
        self.assertIs(listener.hello.data["replayed"], True)
        seen = {"hello": listener.hello}

        def all_seen(event):
            Draft202012Validator(schemas["Event" + event.name.capitalize()]).validate(event.data)
            self.assertEqual(event.run, run)
            seen.setdefault(event.name, event)
            return len(seen) == 7
        events = listener.until(all_seen)
        self.assertEqual(events[0].number, 1)
        self.assertEqual(set(seen), {"hello", "tick", "delta", "resync", "transition", "proxy", "alert"})
        Draft202012Validator(schemas["EventHello"]).validate(listener.hello.data)
        self.assertEqual(listener.hello.data["phones"], 20000)
        self.assertEqual((seen["proxy"].data["proxy"], seen["proxy"].data["answering"]),
                         ("primary", False))
        self.assertEqual(sorted(seen["tick"].data["states"]), sorted(MAP_STATES))
        for event in events:
            if event.name == "tick":
                self.assertEqual(sum(event.data["states"].values()), 20000)


class OneRun(EventCase):
    arguments, more = crashes(3, 12), {"fleet": QUICK}

    def test_the_answer_itself(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as own:
            own.sendall(request(self.server.port))
            parser = Parser()
            while parser.status is None:
                parser.feed(own.recv(1000))
        self.assertEqual((parser.status, parser.headers["content-type"], parser.headers["cache-control"]),
                         (200, "text/event-stream", "no-store"))
        answer = self.good(self.server.ask("/api/v1/events", "HEAD"), "text/event-stream")
        self.assertEqual(answer.body, b"")
        self.problem(self.server.ask("/api/v1/events?x=1"), 400, "bad-request")
        token = {"Authorization": "Bearer " + self.server.token("operator"),
                 "Content-Type": "application/json"}
        self.problem(self.server.ask("/api/v1/events", "POST", headers=token, body=b"{}"), 405,
                     "method-not-allowed")

    def test_who_comes_back_has_missed_nothing(self):
        first = self.listen()
        seen = first.until(lambda event: event.name == "tick")
        first.close()
        time.sleep(2.5)
        for again in (self.listen(seen[-1].id),
                      self.listen(path="/api/v1/events?last_event_id=" + seen[-1].id),
                      # The header is what the browser knows last.
                      self.listen(seen[-1].id, path="/api/v1/events?last_event_id=x.1")):
            self.assertIs(again.hello.data["replayed"], True)
            self.assertEqual(again.next().number, seen[-1].number + 1)
            again.named("tick")

    def test_a_foreign_run_begins_anew(self):
        newest = self.listen().named("tick")
        for foreign in ("0000.5", "garbage", newest.run, newest.run + ".999999", "", newest.run + ".x"):
            listener = self.listen(foreign)
            self.assertIs(listener.hello.data["replayed"], False, foreign)
            self.assertGreater(listener.next().number, newest.number)

    def test_ticks_come_once_a_second(self):
        listener = self.listen()
        first = listener.named("tick").data
        for _ in range(3):
            listener.named("tick")
        last = listener.named("tick").data
        # A machine that stands still makes it longer.
        self.assertGreater(last["second"]["at_s"] - first["second"]["at_s"], 3.1)
        self.assertEqual(sum(last["states"].values()), 50)
        self.assertEqual(last["store"], {"connected": False, "lag_ms": None})
        self.assertIs(last["stopping"], False)

    def test_a_map_and_the_batches_after_it(self):
        """Somebody who follows has at any time what a new map says."""
        listener = self.listen()
        sequence, states = self.map()
        self.assertGreaterEqual(sequence, listener.hello.data["sequence"])
        deltas, end = 0, time.monotonic() + 60
        while deltas < 8 and time.monotonic() < end:
            event = listener.next()
            if event.name != "delta":
                continue
            if event.data["sequence"] > sequence:
                self.assertEqual(event.data["sequence"], sequence + 1)
                sequence = event.data["sequence"]
                apply_delta(states, event.data)
                deltas += 1
            # Only when it is of the same sequence does the map say the same, but for changes
            # that come with the next batch.
            newer, now = self.map()
            differs = {i for i in range(50) if now[i] != states[i]} if newer == sequence else set()
            if differs:
                after = listener.named("delta")
                self.assertEqual(after.data["sequence"], sequence + 1)
                sequence = after.data["sequence"]
                apply_delta(states, after.data)
                deltas += 1
        self.assertGreaterEqual(deltas, 8, "not enough batches within a minute")

    def test_transitions_and_alerts_tell_the_story(self):
        listener = self.listen()
        found = {"over": False, "back": False, "alert": False, "dead": False}

        def told(event):
            if event.name == "transition":
                data = event.data
                found["over"] |= data["phase"] == "switching" and data["to"]["proxy"] == "redundant"
                found["back"] |= (data["phase"], data["to"]) == (
                    "registered", {"proxy": "primary", "registered": True})
            found["alert"] |= event.name == "alert" and "primary proxy" in event.data["text"]
            found["dead"] |= event.name == "proxy" and event.data["answering"] is False
            return all(found.values())
        listener.until(told)


class Map(EventCase):
    """When all is quiet, the map, the ticks, the phones and the totals say the same."""

    def unregister(self, phone):
        answer = self.server.ask(f"/api/v1/phones/{phone}/actions", "POST", body=b'{"action":"unregister"}',
                                 headers={"Authorization": "Bearer " + self.server.token("operator"),
                                          "Content-Type": "application/json"})
        self.assertEqual(answer.code, 202, answer.body)

    def test_the_map_is_what_the_others_say(self):
        home, off = (MAP_STATES.index(name) for name in ("registered-primary", "off"))
        listener = self.listen()
        self.unregister(3)
        self.unregister(49)
        wanted = [off if i in (3, 49) else home for i in range(50)]
        eventually(lambda: self.map()[1] == wanted, "all are at home on the map but two")
        listed = self.server.ask("/api/v1/phones?limit=50").json()["phones"]
        names = {"registered": "registered-primary", "off": "off"}
        self.assertEqual([MAP_STATES.index(names[p["state"]]) for p in listed], wanted)
        self.assertEqual(self.server.ask("/api/v1/phones/49").json()["map_state"], "off")
        listener.until(lambda e: e.name == "tick" and e.data["states"]["off"] == 2
                       and e.data["states"]["registered-primary"] == 48)
        fleet = self.server.ask("/api/v1/fleet").json()
        self.assertEqual(fleet["phones"]["registered"], {"primary": 48, "redundant": 0})


class Restart(EventCase):
    def test_the_next_run_has_other_numbers_and_the_last_word_is_bye(self):
        listener = self.listen()
        last = listener.named("tick")
        other = Server()
        self.addCleanup(other.close)
        second = Listener(other.port, last.id)
        self.addCleanup(second.close)
        self.assertIs(second.hello.data["replayed"], False)
        self.assertNotEqual(second.hello.data["run"], last.run)
        other.process.terminate()
        events = second.until(lambda event: event.name == "bye")
        self.assertTrue(events[-1].data["reason"])
        self.assertTrue(any(e.name == "tick" for e in events) or second.hello is not None)
        self.assertIsNone(second.next(), "nothing after bye, and a clean end")
        self.assertEqual(other.process.wait(timeout=60), 0)


class Limits(EventCase):
    def test_so_many_may_listen_and_no_more(self):
        many = [self.listen() for _ in range(LISTENERS)]
        answer = self.problem(self.server.ask("/api/v1/events"), 503, "streams-full")
        self.assertTrue(answer["detail"])
        numbers = {one.named("tick").number for one in many}
        self.assertLess(max(numbers) - min(numbers), 100)
        for one in many:
            one.close()

        def free():
            try:
                self.listen()
            except AssertionError:
                return False
            return True
        eventually(free, "places are free again")


class Slow(EventCase):
    """Failing over and back again and again, so that there is much to be told."""
    arguments, more = crashes(2, 12), {"fleet": QUICK.replace("phones: 50", "phones: 3000")}

    def connections(self):
        text = self.server.ask("/metrics").body.decode()
        return int(re.search(r"^sipherd_http_connections(?:\{.*\})? (\d+)", text, re.M).group(1))

    def test_who_does_not_read_is_dropped_and_others_are_not(self):
        good = self.listen()
        good.named("delta")
        began = time.monotonic()
        before = self.connections()
        slow = []
        for _ in range(5):
            own = socket.socket()
            self.addCleanup(own.close)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            own.connect(("127.0.0.1", self.server.port))
            own.sendall(request(self.server.port, good.hello.data["run"] + ".0"))
            slow.append(own)
        eventually(lambda: self.connections() >= before + 5, "they listen")
        begin = time.monotonic()
        while self.connections() >= before + 5 and time.monotonic() < begin + 90:
            good.named("tick")
        self.assertGreater(time.monotonic() - begin, 9)
        eventually(lambda: self.connections() <= before + 1, "all of them were dropped", 60)
        text = self.server.ask("/metrics").body.decode()
        self.assertIn("\nsipherd_event_streams_dropped_total 5\n", text)
        for own in slow:
            own.settimeout(30)
            with self.assertRaises((ConnectionError, EOFError)):
                while True:
                    if not own.recv(65536):
                        raise EOFError
        # The 15 s that a request may take are not for those who listen.
        while time.monotonic() < began + 18:
            good.named("tick")


class Encrypted(EventCase):
    """The same over TLS, with a token."""

    @classmethod
    def setUpClass(cls):
        cls.cert, key = certificate(cls)
        cls.arguments = ("--http-tls-cert", cls.cert, "--http-tls-key", key, "--http-auth")
        super().setUpClass()

    def test_it_needs_a_token_and_goes_on(self):
        with self.assertRaisesRegex(AssertionError, "status 401"):
            self.listen(cafile=self.cert)
        token = {"Authorization": "Bearer " + self.server.token("viewer")}
        listener = self.listen(cafile=self.cert, headers=token)
        numbers = [listener.named("tick").number for _ in range(3)]
        again = self.listen(f"{listener.last.run}.{numbers[0]}", cafile=self.cert, headers=token)
        self.assertEqual(again.next().number, numbers[0] + 1)
        listener.named("tick")


if __name__ == "__main__":
    main()
