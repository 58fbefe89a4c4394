# SPDX-License-Identifier: BSD-3-Clause
"""Who listens to server-sent events: the bytes of a connection, taken apart, and the map."""
import base64
import gzip
import json
import socket
import ssl
import struct

MAP_STATES = ("elsewhere", "off", "trying-primary", "trying-redundant", "registered-primary",
              "registered-redundant", "failing-over", "failing-back")


class Event:
    def __init__(self, text):
        fields = dict(line.split(": ", 1) for line in text.split("\n"))
        self.name, self.data = fields["event"], json.loads(fields["data"])
        self.id = fields.get("id")
        self.run, self.number = None, None
        if self.id is not None:
            self.run, number = self.id.split(".")
            self.number = int(number)


class Parser:
    """HTTP/1.1 with chunks, whatever way the bytes are cut; then events."""

    def __init__(self):
        self.raw, self.text = b"", b""
        self.status, self.headers, self.over = None, {}, False

    def feed(self, raw):
        self.raw += raw
        if self.status is None:
            head, found, rest = self.raw.partition(b"\r\n\r\n")
            if not found:
                return []
            lines = head.decode("ascii").split("\r\n")
            self.status = int(lines[0].split()[1])
            self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            self.raw = rest
        if self.status != 200:
            return []
        self.unchunk()
        *whole, self.text = self.text.split(b"\n\n")
        return [Event(text.decode("utf-8")) for text in whole]

    def unchunk(self):
        while not self.over:
            line, found, rest = self.raw.partition(b"\r\n")
            size = int(line, 16) if found else 0
            if not found or len(rest) < size + 2:
                return
            self.text += rest[:size]
            self.raw = rest[size + 2:]
            self.over = size == 0


def request(port, last_id=None, path="/api/v1/events", headers=None):
    lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if last_id is not None:
        lines.append(f"Last-Event-ID: {last_id}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class Listener:
    """One who reads all that comes; gaps in the numbers are errors."""

    def __init__(self, port, last_id=None, cafile=None, **more):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        if cafile is not None:
            context = ssl.create_default_context(cafile=cafile)
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.sock.sendall(request(port, last_id, **more))
        self.parser, self.waiting = Parser(), []
        self.last = None
        try:
            self.hello = self.next()
        except Exception:
            self.close()
            raise
        if self.hello.name != "hello" or self.hello.id is not None:
            raise AssertionError(f"{self.hello.name} {self.hello.id} comes first")

    def next(self):
        """The next event; None: the stream has ended in good order."""
        while not self.waiting:
            if self.parser.over:
                return None
            raw = self.sock.recv(65536)
            if not raw:
                raise ConnectionError("cut off")
            self.waiting = self.parser.feed(raw)
            if self.parser.status not in (None, 200):
                raise AssertionError(f"status {self.parser.status}")
        event = self.waiting.pop(0)
        if event.id is not None:
            if self.last is not None and event.number != self.last.number + 1:
                raise AssertionError(f"{self.last.id}, then {event.id}")
            self.last = event
        return event

    def until(self, found):
        """All events up to the one that is looked for, which is the last."""
        events = []
        while not events or not found(events[-1]):
            events.append(self.next())
            if events[-1] is None:
                raise AssertionError("the stream has ended")
        return events

    def named(self, name):
        return self.until(lambda event: event.name == name)[-1]

    def close(self):
        self.sock.close()


def unpack_map(body):
    """Sequence number and a state per phone."""
    text = gzip.decompress(body)
    magic, phones, sequence = struct.unpack(">4sIQ", text[:16])
    if magic != b"SHM1" or len(text) != 16 + (phones + 1) // 2:
        raise AssertionError(f"{magic} {phones} {len(text)}")
    states = [nibble for byte in text[16:] for nibble in (byte & 15, byte >> 4)]
    return sequence, states[:phones]


def apply_delta(states, data):
    records = base64.b64decode(data["records"], validate=True)
    if len(records) != 5 * data["count"]:
        raise AssertionError(f"{data['count']} records in {len(records)} bytes")
    changed = set()
    for phone, state in struct.iter_unpack(">IB", records):
        if phone in changed:
            raise AssertionError(f"phone {phone} twice in a batch")
        changed.add(phone)
        states[phone] = state
