#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sipherd probe against responders of every kind on loopback: good, slow, lossy, late, foreign, broken,
refusing, gone. What is said, how, and the exit code that Nagios takes."""
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

from command import TESTS, Case, main, sipherd
from test_names import A, NameServer

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
SCHEMA = os.path.join(os.path.dirname(TESTS), "docs", "sipherd.probe-1.schema.json")

# The plugin guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]
FIGURE = re.compile(r"^('[^']+'|[^\s=']+)=(U|-?[0-9.]+(?:s|%)?)((?:;[0-9.]*){0,4})$")


def headers(request):
    return dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if ": " in line)


def answer(request, code=200, reason="OK", **changed):
    """What a proxy sends back: the request's own headers, some of them changed."""
    own = {**headers(request), **{name.replace("_", "-"): value for name, value in changed.items()}}
    kept = [f"{name}: {own[name]}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join([f"SIP/2.0 {code} {reason}", *kept, "Content-Length: 0", "", ""]).encode()


class Proxy(threading.Thread):
    """Calls behave(n, request) for its n-th datagram, from 0, which gives what is sent back."""

    def __init__(self, behave, family=socket.AF_INET, host="127.0.0.1", port=0):
        super().__init__(daemon=True)
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.behave, self.requests, self.going = behave, [], True
        self.start()

    def run(self):
        while self.going:
            try:
                request, who = self.socket.recvfrom(65535)
            except socket.timeout:
                continue
            self.requests.append(request)
            for datagram in self.behave(len(self.requests) - 1, request) or ():
                self.socket.sendto(datagram, who)

    def close(self):
        self.going = False
        self.join()
        self.socket.close()


class Probing(Case):
    def proxy(self, behave, **more):
        proxy = Proxy(behave, **more)
        self.addCleanup(proxy.close)
        return proxy

    def probe(self, *targets, code=OK, **more):
        done = sipherd("probe", *[f"127.0.0.1:{t.port}" if isinstance(t, Proxy) else t
                                  for t in targets], **more)
        self.exits(done, code)
        return done

    def json(self, *targets, **more):
        return json.loads(self.probe(*targets, "--json", **more).stdout)["proxies"][0]


class Answers(Probing):
    def test_a_proxy_that_is_well(self):
        proxy = self.proxy(lambda n, request: [answer(request)])
        done = self.probe(proxy)
        self.assertRegex(done.stdout, rf"^SIP OK - 127\.0\.0\.1:{proxy.port} answered 200 OK in "
                         r"[0-9.]+ ms(, \d datagrams were sent again)? "
                         r"\| rtt=\d\.\d{6}s;;;0 loss=0%;;;0;100\n$")
        self.assertEqual(done.stderr, "")

    def test_the_request_is_sound(self):
        proxy = self.proxy(lambda n, request: [answer(request)])
        self.probe(proxy)
        request = proxy.requests[0].decode()
        told = headers(proxy.requests[0])
        self.assertTrue(request.startswith(f"OPTIONS sip:127.0.0.1:{proxy.port} SIP/2.0\r\n"))
        self.assertRegex(told["Via"], r"^SIP/2\.0/UDP 127\.0\.0\.1:\d+;branch=z9hG4bK\S+;rport$")
        self.assertEqual(told["Max-Forwards"], "70")
        self.assertEqual(told["CSeq"], "1 OPTIONS")
        self.assertTrue(request.endswith("Content-Length: 0\r\n\r\n"))

    def test_codes(self):
        for code, expect, judged in ((404, (), OK), (603, (), OK), (503, (), CRITICAL),
                                     (500, (), CRITICAL), (404, ("--expect", "200"), CRITICAL),
                                     (503, ("--expect", "2xx,503"), OK),
                                     (487, ("--expect", "480-489"), OK)):
            with self.subTest(code=code, expect=expect):
                proxy = self.proxy(lambda n, request, code=code: [answer(request, code)])
                said = self.probe(proxy, *expect, code=judged).stdout
                self.assertIn(f"answered {code} ", said)
                self.assertEqual("which is not expected" in said, judged == CRITICAL)

    def test_limits_of_the_round_trip(self):
        def slow(n, request):
            time.sleep(0.15)
            return [answer(request)]
        for options, judged in ((("--warning", "100ms"), WARNING),
                                (("--warning", "20ms", "--critical", "100ms"), CRITICAL),
                                (("--warning", "30s", "--critical", "60s"), OK)):
            with self.subTest(options=options):
                said = self.probe(self.proxy(slow), *options, code=judged).stdout
                self.assertEqual("more than" in said, judged != OK)
        self.assertIn("s;30;60;0 ", said)

    def test_provisional_answers_are_not_the_answer(self):
        def trying(n, request):
            return [answer(request, 100, "Trying"), answer(request, 183), answer(request)]
        self.assertEqual(self.json(self.proxy(trying))["code"], 200)

    def test_only_provisional_answers(self):
        # Behind a 1xx timer E is T2; without it there were four datagrams in 4 s.
        proxy = self.proxy(lambda n, request: [answer(request, 100, "Trying")])
        said = self.probe(proxy, "--timeout", "4s", code=CRITICAL).stdout
        self.assertIn("no final answer within 4 s, only 100", said)
        self.assertLess(len(proxy.requests), 4)

    def test_ipv6(self):
        try:
            proxy = self.proxy(lambda n, request: [answer(request)], family=socket.AF_INET6,
                               host="::1")
        except OSError:
            self.skipTest("this host has no IPv6")
        said = self.probe(f"[::1]:{proxy.port}").stdout
        self.assertIn(f"[::1]:{proxy.port} answered 200 OK", said)
        request = proxy.requests[0].decode()
        self.assertTrue(request.startswith(f"OPTIONS sip:[::1]:{proxy.port} SIP/2.0\r\n"))
        self.assertRegex(request, r"Via: SIP/2\.0/UDP \[::1\]:\d+;")

    def test_reason_and_headers_of_a_proxy_reach_no_terminal(self):
        proxy = self.proxy(lambda n, request: [answer(request, 200, "\x1b[2J|rtt=0s;;;")])
        said = self.probe(proxy).stdout
        self.assertNotIn("\x1b", said)
        self.assertEqual(said.count("|"), 1)


class Losses(Probing):
    def test_it_is_sent_again_and_answered(self):
        proxy = self.proxy(lambda n, request: [answer(request)] if n == 2 else None)
        told = self.json(proxy, "--timeout", "30s")
        # Timer E: 500 ms, then 1 s.
        self.assertGreaterEqual(told["rtt_ms"]["mean"], 1500)
        # One more where this machine keeps the answer for two seconds.
        self.assertGreaterEqual(told["datagrams"], 3)
        self.assertEqual(told["answered"], 1)
        self.assertEqual(len(set(proxy.requests)), 1, "a repetition is the same datagram")

    def test_some_requests_are_lost(self):
        proxy = self.proxy(lambda n, request:
                           [answer(request)] if headers(request)["CSeq"][0] in "24" else None)
        done = self.probe(proxy, "--count", "4", "--timeout", "2s", "--interval", "10ms",
                          code=WARNING)
        self.assertIn("to 2 of 4 requests", done.stdout)
        self.assertIn("loss=50%;;;0;100", done.stdout)

    def test_silence(self):
        proxy = self.proxy(lambda n, request: None)
        # The third would be sent after 1.5 s.
        done = self.probe(proxy, "--timeout", "1400ms", code=CRITICAL)
        self.assertIn("did not answer within 1.4 s, 2 datagrams were sent", done.stdout)
        self.assertIn("| rtt=U;;;0 loss=100%;;;0;100", done.stdout)

    def test_who_is_not_there_is_told_at_once(self):
        proxy = Proxy(lambda n, request: None)
        proxy.close()
        began = time.monotonic()
        done = self.probe(f"127.0.0.1:{proxy.port}", "--timeout", "10m", code=CRITICAL)
        self.assertIn("cannot be reached: ICMP port unreachable", done.stdout)
        self.assertLess(time.monotonic() - began, 60)

    def test_a_proxy_that_comes_back(self):
        """What ICMP refused once is asked again."""
        gone, back = Proxy(lambda n, request: None), []
        gone.close()
        timer = threading.Timer(1, lambda: back.append(
            Proxy(lambda n, request: [answer(request)], port=gone.port)))
        timer.start()
        done = sipherd("probe", f"127.0.0.1:{gone.port}", "--count", "40", "--interval", "100ms")
        timer.join()
        back[0].close()
        self.exits(done, WARNING)
        self.assertRegex(done.stdout, r"answered 200 OK to \d+ of 40 requests")


class Noise(Probing):
    def test_answers_that_are_none(self):
        noise = (b"", b"\r\n\r\n", b"\xff" * 2000, b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 200 OK",
                 b"HTTP/1.1 200 OK\r\n\r\n", b"A" * 60000)

        def noisy(n, request):
            via = headers(request)["Via"]
            return [*noise, request, answer(request, CSeq="1 REGISTER"),
                    answer(request, CSeq="2 OPTIONS"),
                    answer(request, Via=via.replace("z9hG4bK", "z9hG4bL")),
                    answer(request, Via=via[:-12] + "deadbeef;rport"),
                    answer(request, Via="SIP/2.0/UDP other.example.net"),
                    answer(request, 202, "Accepted")]
        told = self.json(self.proxy(noisy))
        self.assertEqual((told["code"], told["answered"]), (202, 1))
        self.assertEqual(told["strange"], len(noise) + 6)

    def test_noise_alone_is_silence(self):
        proxy = self.proxy(lambda n, request: [b"\x00" * 1000] * 100)
        told = self.json(proxy, "--timeout", "2s", code=CRITICAL)
        self.assertEqual((told["answered"], told["code"]), (0, None))
        self.assertGreaterEqual(told["strange"], 1)

    def test_late_answers_are_not_taken_for_the_next(self):
        held = []

        def late(n, request):
            held.append(request)
            return [answer(held[n - 1], 500, "Late")] if n > 0 else None
        told = self.json(self.proxy(late), "--count", "4", "--timeout", "200ms", "--interval",
                         "200ms", code=CRITICAL)
        self.assertEqual((told["answered"], told["unexpected"], told["code"]), (0, 0, None))
        self.assertGreaterEqual(told["late"], 1)

    def test_an_answer_twice(self):
        told = self.json(self.proxy(lambda n, request: [answer(request)] * 3), "--count", "3",
                         "--interval", "100ms")
        self.assertEqual(told["answered"], 3)
        self.assertGreaterEqual(told["late"], 1)

    def test_somebody_else_answers(self):
        """The kernel keeps away what comes from elsewhere."""
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)

        def foreign(n, request):
            port = int(re.search(r"UDP 127\.0\.0\.1:(\d+)", request.decode()).group(1))
            other.sendto(answer(request), ("127.0.0.1", port))
        told = self.json(self.proxy(foreign), "--timeout", "400ms", code=CRITICAL)
        self.assertEqual((told["answered"], told["strange"]), (0, 0))


class Several(Probing):
    def setUp(self):
        super().setUp()
        self.well = self.proxy(lambda n, request: [answer(request)])
        self.silent = self.proxy(lambda n, request: None)

    def test_one_line_and_one_for_each(self):
        done = self.probe(self.well, self.silent, "--timeout", "2s", code=CRITICAL)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("SIP CRITICAL - 1 of 2 proxies are well |"), lines)
        self.assertTrue(lines[1].startswith(f"OK: 127.0.0.1:{self.well.port} answered"), lines)
        self.assertTrue(lines[2].startswith(f"CRITICAL: 127.0.0.1:{self.silent.port} did not"),
                        lines)

    def test_figures_are_as_nagios_wants_them(self):
        done = self.probe(self.well, self.silent, "--timeout", "2s", "--warning", "10s",
                          "--critical", "1m", code=CRITICAL)
        figures = re.findall(r"(?:'[^']*'|\S)+", done.stdout.splitlines()[0].split("|")[1])
        self.assertEqual(len(figures), 4)
        for figure in figures:
            self.assertRegex(figure, FIGURE)

    @unittest.skipIf(shutil.which("promtool") is None, "not installed: prometheus")
    def test_promtool_likes_it(self):
        done = self.probe(self.well, self.silent, "--timeout", "2s", "--prometheus",
                          code=CRITICAL)
        checked = subprocess.run(["promtool", "check", "metrics"], input=done.stdout, text=True,
                                 capture_output=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        self.assertIn(f'sipherd_probe_up{{proxy="127.0.0.1:{self.well.port}"}} 1\n', done.stdout)
        self.assertIn(f'sipherd_probe_up{{proxy="127.0.0.1:{self.silent.port}"}} 0\n', done.stdout)
        self.assertEqual(done.stdout.count("sipherd_probe_rtt_seconds{"), 1)

    def test_json_has_its_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("not installed: python3-jsonschema")
        done = self.probe(self.well, self.silent, "--timeout", "2s", "--json", code=CRITICAL)
        with open(SCHEMA, encoding="utf-8") as file:
            jsonschema.validate(json.loads(done.stdout), json.load(file))


class Names(Probing):
    def test_a_name(self):
        server = NameServer({("one.example.net", A): [(60, "127.0.0.1")]})
        self.addCleanup(server.close)
        proxy = self.proxy(lambda n, request: [answer(request)])
        dns = ("--dns", f"127.0.0.1:{server.port}")
        said = self.probe(f"One.example.net:{proxy.port}", *dns).stdout
        self.assertIn(f"SIP OK - one.example.net:{proxy.port} answered", said)
        self.assertIn(b"OPTIONS sip:one.example.net:", proxy.requests[0])
        done = self.probe("other.example.net", *dns, code=UNKNOWN)
        self.assertIn("SIP UNKNOWN - other.example.net:5060 was not asked: its name", done.stdout)


class WrongUse(Case):
    TABLE = (
        ((), "a host is missing"),
        (("10.0.0.999",), "'10.0.0.999'"),
        (("10.0.0.1:0",), "'10.0.0.1:0'"),
        (("10.0.0.1:65536",), "65536"),
        (("[::1",), "'[::1'"),
        (("sip:10.0.0.1",), "'sip:10.0.0.1'"),
        (("a b",), "'a b'"),
        (("127.0.0.1", "127.0.0.1:5060"), "named twice"),
        (("127.0.0.1", "--expect", "100"), "--expect '100'"),
        (("127.0.0.1", "--expect", "7xx"), "--expect '7xx'"),
        (("127.0.0.1", "--expect", "300-200"), "--expect"),
        (("127.0.0.1", "--count", "0"), "--count '0'"),
        (("127.0.0.1", "--json", "--prometheus"), "--prometheus"),
        (("127.0.0.1", "--warning", "2s", "--critical", "1s"), "--warning"),
        (("127.0.0.1", "--summary", "x"), "--summary"),
        (("127.0.0.1", "--dns", "nowhere"), "name servers"),
    )

    def test_nothing_is_known_then(self):
        for arguments, expected in self.TABLE:
            with self.subTest(arguments=arguments):
                done = self.exits(sipherd("probe", *arguments), UNKNOWN)
                self.assertIn(expected, done.stderr)
                self.assertTrue(done.stdout.startswith("SIP UNKNOWN - "), done.stdout)


if __name__ == "__main__":
    main()
