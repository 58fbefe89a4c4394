#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Many requests, many connections, slow ones and rude ones: memory stays flat, others are served."""
import http.client
import socket
import struct
import time

from server import Case, Server, ask, eventually, main

PATHS = ("/healthz", "/readyz", "/metrics", "/api/v1/fleet", "/api/v1/proxies", "/api/v1/proxies/primary",
         "/api/v1/generator", "/api/v1/store", "/api/v1/timeline?seconds=5", "/api/v1/timeline",
         "/api/v1/histograms/options_rtt", "/api/v1/openapi.json", "/nowhere", "/healthz?x=1")
CONNECTIONS = 512  # HTTP_CONNECTIONS_MAX


class Load(Case):
    def connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def many(self, count):
        connection = self.connection()
        for i in range(count):
            answer = ask(self.server.port, PATHS[i % len(PATHS)], connection=connection)
            self.assertIn(answer.code, (200, 400, 404))

    def test_memory_is_flat(self):
        self.many(1000)
        before = self.server.memory_kb()
        self.many(10000)
        self.assertLess(self.server.memory_kb() - before, 2048, "kB more after 10,000 requests")

    def test_a_connection_is_kept(self):
        connection = self.connection()
        ask(self.server.port, "/healthz", connection=connection)
        first = connection.sock
        for path in ("/nowhere", "/api/v1/fleet", "/readyz"):
            ask(self.server.port, path, connection=connection)
            self.assertIs(connection.sock, first)

    def test_those_who_hang_up(self):
        """Half a request, then a reset, again and again."""
        for i in range(300):
            own = socket.create_connection(("127.0.0.1", self.server.port), timeout=20)
            own.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"[:10 + i % 60])
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            own.close()
        self.good(self.server.ask("/healthz"))

    def test_those_who_do_not_read(self):
        """Answers pile up in nobody's memory: the socket is full and that is that."""
        before = self.server.memory_kb()
        slow = []
        for _ in range(20):
            own = socket.create_connection(("127.0.0.1", self.server.port), timeout=20)
            self.addCleanup(own.close)
            own.setblocking(False)
            try:
                for _ in range(2000):
                    own.send(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            except BlockingIOError:
                pass
            slow.append(own)
        for _ in range(20):
            self.good(self.server.ask("/healthz"))
        self.assertLess(self.server.memory_kb() - before, 8192)

    def test_those_who_dawdle(self):
        """A byte now and then is no idle connection, but no request either: 15 s are enough."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as own:
            own.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
            begin = time.monotonic()
            with self.assertRaises(ConnectionError):
                while time.monotonic() < begin + 40:
                    own.sendall(b"y")
                    time.sleep(0.5)
            self.assertGreater(time.monotonic() - begin, 11)

    def test_idle_connections_make_room(self):
        """All places are taken by clients that say nothing; 10 s later they are free again."""
        idle = [socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
                for _ in range(CONNECTIONS + 6)]
        begin = time.monotonic()
        self.good(self.server.ask("/healthz"))
        self.assertGreater(time.monotonic() - begin, 1, "no place was free at once")
        for own in idle:
            own.close()


class Phones(Case):
    def test_the_phones_do_not_notice(self):
        """Three seconds of GETs as fast as they come: no datagram is lost, none is not sent."""
        end = time.monotonic() + 3
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        while time.monotonic() < end:
            ask(self.server.port, "/api/v1/fleet", connection=connection)
        told = ask(self.server.port, "/api/v1/generator", connection=connection).json()
        self.assertEqual(told["datagrams"]["not_sent"], 0)
        self.assertEqual(told["counters"]["options_silent"], 0)


class TwoAtOnce(Case):
    def test_each_has_its_port_and_its_tokens(self):
        other = Server()
        self.addCleanup(other.close)
        self.assertNotEqual(other.port, self.server.port)
        self.assertNotEqual(other.token("viewer"), self.server.token("viewer"))
        mine = {"Authorization": "Bearer " + self.server.token("viewer")}
        self.problem(other.ask("/healthz", headers=mine), 401, "unauthorized")

    def test_it_answers_while_it_ends(self):
        server = Server()
        self.addCleanup(server.close)
        self.good(server.ask("/readyz"))
        server.process.terminate()

        def gone():
            try:
                answer = server.ask("/readyz")
            except (OSError, http.client.HTTPException):
                return True
            self.assertIn(answer.code, (200, 503))
            return False
        eventually(gone, "the port is closed")
        self.assertIn(server.process.wait(timeout=60), (0, 5))


if __name__ == "__main__":
    main()
