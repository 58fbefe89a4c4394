#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may ask: Host, Origin, tokens, TLS, bodies, addresses that are not loopback, ports that are taken."""
import http.client
import os
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
import unittest

from server import FLEET, SIPHERD, Answer, Case, Server, ask, certificate, environment, main

NOTHING = "0" * 64


def raw(port, request):
    """What comes back for bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response)


class Place(Case):
    arguments = ("--http-host", "herd.example.net", "--http-host", "[2001:db8::7]")

    def test_hosts_of_ours(self):
        for host in ("localhost", f"localhost:{self.server.port}", "127.0.0.1", "127.0.0.1:1",
                     "[::1]:80", "LOCALHOST", "herd.example.net", "Herd.Example.NET:8470",
                     "[2001:DB8:0::7]"):
            self.good(self.server.ask("/healthz", host=host))

    def test_hosts_of_others(self):
        for host in ("evil.example.net", "localhost.evil.example.net", "127.0.0.1.nip.io", "10.0.0.1",
                     "localhost:port", "localhost:99999", "[::2]", "localhost."):
            told = self.problem(self.server.ask("/healthz", host=host), 421, "foreign-host")
            self.assertIn("--http-host", told["detail"])
        for path in ("/metrics", "/api/v1/fleet", "/nowhere"):
            self.problem(self.server.ask(path, host="evil"), 421, "foreign-host")

    def test_one_host_there_must_be(self):
        port = self.server.port
        for request in (b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.0\r\n\r\n",
                        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"):
            self.problem(raw(port, request), 400, "bad-request")
        lengths = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + 2 * b"Content-Length: 0\r\n"
        self.assertEqual(raw(port, lengths + b"\r\n").code, 400)
        self.problem(raw(port, b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n"), 421, "foreign-host")
        # Blanks in names, which somebody before us may have read as the end of the name.
        for odd in (b"Transfer-Encoding : chunked", b"Origin\t: http://evil.example.net", b"Host : evil"):
            self.problem(raw(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + odd + b"\r\n\r\n"),
                         400, "bad-request")

    def test_origins(self):
        here = f"localhost:{self.server.port}"
        self.good(self.server.ask("/healthz", headers={"Origin": f"http://{here}"}, host=here))
        for origin in ("null", "http://evil.example.net", f"https://{here}", "http://localhost",
                       f"http://{here}/", f"http://{here}.evil.example.net", ""):
            told = self.server.ask("/healthz", headers={"Origin": origin}, host=here)
            self.problem(told, 403, "foreign-origin")
            self.assertIsNone(told.headers.get("Access-Control-Allow-Origin"))
        both = b"".join(b"Origin: http://" + name + b"\r\n" for name in (b"evil", b"localhost"))
        self.problem(raw(self.server.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + both + b"\r\n"),
                     400, "bad-request")

    def test_bodies(self):
        self.good(self.server.ask("/healthz", body=b"x" * 65536))
        told = self.server.ask("/healthz", headers={"Content-Length": "65537"})
        self.problem(told, 413, "too-large")
        for length in ("99999999999", "18446744073709551000"):
            told = self.server.ask("/healthz", headers={"Content-Length": length})
            self.problem(told, 413, "too-large")
        told = self.server.ask("/healthz", "POST", headers={"Transfer-Encoding": "chunked"})
        self.problem(told, 411, "length-required")

    def test_long_paths(self):
        self.problem(self.server.ask("/" + "x" * 2047), 404, "not-found")
        self.problem(self.server.ask("/" + "x" * 2048), 414, "uri-too-long")

    def test_what_is_no_http_ends_there(self):
        for bad in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n",
                    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100000 + b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
                try:
                    connection.sendall(bad)
                    said = connection.recv(100)
                except ConnectionError:
                    said = b""
                self.assertNotIn(b" 200 ", said)
        self.good(self.server.ask("/healthz"))


class Tokens(Case):
    """On loopback no token is needed, but a wrong one is wrong."""

    def test_without_and_with(self):
        self.good(self.server.ask("/api/v1/fleet"))
        for role in ("viewer", "operator"):
            token = self.server.token(role)
            self.assertRegex(token, "^[0-9a-f]{64}$")
            for word in ("Bearer", "bearer", "BEARER"):
                self.good(self.server.ask("/api/v1/fleet", headers={"Authorization": f"{word} {token}"}))
        for wrong in (NOTHING, self.server.token("viewer")[:-1], self.server.token("viewer") + "0", ""):
            self.wrong(self.server.ask("/healthz", headers={"Authorization": f"Bearer {wrong}"}))
        self.wrong(self.server.ask("/healthz", headers={"Authorization": "Basic dTpw"}))

    def wrong(self, answer):
        self.problem(answer, 401, "unauthorized")
        self.assertEqual(answer.headers["WWW-Authenticate"], 'Bearer realm="sipherd"')

    def test_the_file_is_for_its_owner_only(self):
        mode = os.stat(self.server.tokens).st_mode
        self.assertTrue(stat.S_ISREG(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertTrue(self.server.tokens.startswith("/tmp/sipherd-tokens-"))


class TokensNeeded(Case):
    arguments = ("--http-auth",)
    more = {"store": "embedded" if shutil.which("redis-server") else "none"}

    def test_every_route_asks_for_one(self):
        token = {"Authorization": "Bearer " + self.server.token("viewer")}
        document = self.good(self.server.ask("/api/v1/openapi.json", headers=token)).json()
        self.assertEqual(document["security"], [{"bearer": []}])
        for path in list(document["paths"]) + ["/nowhere"]:
            if path != "/":  # the page itself holds no data
                self.problem(self.server.ask(path), 401, "unauthorized")
        self.good(self.server.ask("/healthz", headers=token))
        both = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + 2 * (
            b"Authorization: " + token["Authorization"].encode() + b"\r\n") + b"\r\n"
        self.problem(raw(self.server.port, both), 401, "unauthorized")

    def test_tokens_are_nowhere_else_and_gone_at_the_end(self):
        server = Server("--http-auth", **self.more)
        self.addCleanup(server.close)
        tokens = [server.token("viewer"), server.token("operator")]
        self.assertEqual(len(set(tokens + [self.server.token("viewer"), self.server.token("operator")])), 4)
        with open(f"/proc/{server.process.pid}/cmdline", encoding="ascii") as file:
            told = file.read()
        for path in ("/metrics", "/api/v1/fleet", "/api/v1/openapi.json", "/api/v1/generator"):
            headers = {"Authorization": "Bearer " + tokens[0]}
            told += self.good(server.ask(path, headers=headers),
                              "text/plain; version=0.0.4; charset=utf-8" if path == "/metrics"
                              else "application/json").body.decode()
        self.assertTrue(os.path.exists(server.tokens))
        self.assertIn(server.stop(), (0, 5))
        told += server.said + server.complaints()
        for token in tokens:
            self.assertNotIn(token, told)
        self.assertFalse(os.path.exists(server.tokens))


class Refused(unittest.TestCase):
    """What does not even start."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.fleet = os.path.join(self.folder, "fleet.yaml")
        with open(self.fleet, "w", encoding="utf-8") as file:
            file.write(FLEET + "store: none\n")

    def run_with(self, *arguments, env=None):
        return subprocess.run([SIPHERD, "run", self.fleet, "--for", "1s", *arguments], text=True,
                              capture_output=True, timeout=60, env=environment(**(env or {})),
                              check=False)

    def refused(self, code, words, *arguments, env=None):
        done = self.run_with(*arguments, env=env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertIn(words, done.stderr)
        self.assertNotIn("\n--- run:", done.stdout)

    def test_other_addresses_need_tls(self):
        for address in ("0.0.0.0:0", "[::]:0", "10.0.0.1:8470", "[2001:db8::1]:8470"):
            self.refused(2, "needs TLS", "--http", address)
        self.refused(2, "needs TLS", env={"SIPHERD_HTTP": "0.0.0.0:0"})

    def test_certificate_and_key(self):
        self.refused(2, "give both", "--http", "127.0.0.1:0", "--http-tls-cert", self.fleet)
        self.refused(2, "give both", "--http", "127.0.0.1:0", "--http-tls-key", self.fleet)
        self.refused(3, "No such file", "--http", "127.0.0.1:0", "--http-tls-cert", "/nowhere",
                     "--http-tls-key", "/nowhere")
        self.refused(3, "look at the certificate", "--http", "127.0.0.1:0", "--http-tls-cert",
                     self.fleet, "--http-tls-key", self.fleet)
        empty = os.path.join(self.folder, "empty")
        open(empty, "w", encoding="ascii").close()
        self.refused(3, "is empty", "--http", "127.0.0.1:0", "--http-tls-cert", empty,
                     "--http-tls-key", empty)

    def test_addresses(self):
        for bad in ("8470", "127.0.0.1", "127.0.0.1:99999", "example.net:80", "[127.0.0.1]:1", "off"):
            self.refused(2, "is no ADDRESS:PORT", "--http", bad)
        self.refused(2, "is no host name", "--http-host", "a b", "--http", "127.0.0.1:0")

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused(3, f"cannot listen on {place}: Address already in use. Another place is "
                         "chosen by --http ADDRESS:PORT", "--http", place)

    def test_the_default_port_is_only_a_wish(self):
        try:
            taken = socket.create_server(("127.0.0.1", 8470))
        except OSError:
            taken = None  # somebody else has it already, which is as good
        done = self.run_with()
        if taken is not None:
            taken.close()
        self.assertIn(done.returncode, (0, 5), done.stderr)
        self.assertIn("warning: the HTTP API cannot listen on 127.0.0.1:8470", done.stderr)
        self.assertIn("This run goes on without it.", done.stderr)
        self.assertIn("\n--- run:", done.stdout)

    def test_none(self):
        done = self.run_with("--http", "none")
        self.assertIn(done.returncode, (0, 5), done.stderr)
        self.assertNotIn("http:", done.stdout)
        self.assertEqual(done.stderr, "")


class Tls(Case):
    """Any address of this host: with TLS, and with a token."""

    @classmethod
    def setUpClass(cls):
        cls.cert, key = certificate(cls)
        cls.arguments = ("--http-tls-cert", cls.cert, "--http-tls-key", key, "--http-host", "herd")
        cls.more = {"listen": "0.0.0.0:0"}
        super().setUpClass()

    def over_tls(self, path, headers=None, version=None, host=None, method="GET", body=None):
        context = ssl.create_default_context(cafile=self.cert)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection("localhost", self.server.port, context=context,
                                                 timeout=30)
        self.addCleanup(connection.close)
        return ask(self.server.port, path, method, headers=headers, connection=connection, host=host,
                   body=body)

    def test_changes(self):
        change = {"path": "/api/v1/load", "method": "PATCH", "body": b'{"paused": false}'}
        kind = {"Content-Type": "application/json"}
        self.problem(self.over_tls(headers=kind, **change), 401, "unauthorized")
        viewer = {**kind, "Authorization": "Bearer " + self.server.token("viewer")}
        self.problem(self.over_tls(headers=viewer, **change), 403, "forbidden")
        self.good(self.over_tls("/api/v1/phones/1", headers=viewer))
        operator = {**kind, "Authorization": "Bearer " + self.server.token("operator")}
        self.good(self.over_tls(headers=operator, **change))
        told = self.over_tls(headers={**operator, "Origin": "https://evil.example.net"}, **change)
        self.problem(told, 403, "foreign-origin")
        self.problem(self.over_tls(headers=operator, host="evil", **change), 421, "foreign-host")

    def test_a_token_is_needed_too(self):
        self.assertEqual(self.server.scheme, "https")
        self.problem(self.over_tls("/healthz"), 401, "unauthorized")
        token = {"Authorization": "Bearer " + self.server.token("viewer")}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.good(self.over_tls("/api/v1/fleet", headers=token, version=version))
        self.good(self.over_tls("/healthz", headers=token, host="herd"))
        self.problem(self.over_tls("/healthz", headers=token, host="0.0.0.0"), 421, "foreign-host")
        here = f"localhost:{self.server.port}"
        self.good(self.over_tls("/healthz", headers={**token, "Origin": f"https://{here}"}))
        told = self.over_tls("/healthz", headers={**token, "Origin": f"http://{here}"})
        self.problem(told, 403, "foreign-origin")

    def test_those_who_never_shake_hands_make_room(self):
        silent = [socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
                  for _ in range(520)]
        self.problem(self.over_tls("/healthz"), 401, "unauthorized")
        for own in silent:
            own.close()
        self.problem(self.over_tls("/healthz"), 401, "unauthorized")

    def test_plain_http_gets_nothing(self):
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.server.ask("/healthz")

    def test_a_key_cannot_be_read_back(self):
        token = {"Authorization": "Bearer " + self.server.token("operator")}
        self.assertNotIn(b"PRIVATE", self.over_tls("/api/v1/fleet", headers=token).body)


if __name__ == "__main__":
    main()
