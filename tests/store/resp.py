# SPDX-License-Identifier: BSD-3-Clause
"""A small Redis client (RESP2, one blocking connection) of our own, so that these tests need
nothing but the standard library, and see replies as they are on the wire."""

import socket


class RedisError(Exception):
    """An error reply; its first word tells the kind."""

    @property
    def kind(self):
        return str(self).split(" ", 1)[0]


class Redis:
    """Commands as redis("SET", "key", 1): arguments are str, bytes or int, replies are int, bytes,
    None or lists of these. +OK and the like come as str. Error replies are raised; inside lists,
    and from pipeline(), they are returned."""

    def __init__(self, where, port=None, timeout=10):
        """where: path of a unix socket; or a host, with a port."""
        if port is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                self.socket.connect(where)
            except OSError:
                self.socket.close()
                raise
        else:
            self.socket = socket.create_connection((where, port), timeout)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    @staticmethod
    def encode(*words):
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, (bytes, bytearray)) else str(word).encode()
            out.append(b"$%d\r\n%b\r\n" % (len(data), data))
        return b"".join(out)

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text.decode()
        if kind == b"-":
            return RedisError(text.decode())
        if kind == b":":
            return int(text)
        size = int(text)
        if kind == b"$" and size >= 0:
            data = self.stream.read(size + 2)
            if len(data) < size + 2:
                raise ConnectionError("the server closed the connection")
            return data[:-2]
        if kind == b"$":
            return None
        if kind == b"*":
            return None if size < 0 else [self.read() for _ in range(size)]
        raise ValueError(f"not RESP2: {line!r}")

    def __call__(self, *words):
        self.socket.sendall(self.encode(*words))
        reply = self.read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def pipeline(self, commands):
        """All commands in one go; all replies."""
        self.socket.sendall(b"".join(self.encode(*words) for words in commands))
        return [self.read() for _ in commands]

    def fcall(self, name, keys, *args):
        return self("FCALL", f"sipherd_{name}", len(keys), *keys, *args)

    def fcall_ro(self, name, keys, *args):
        return self("FCALL_RO", f"sipherd_{name}", len(keys), *keys, *args)
