# SPDX-License-Identifier: BSD-3-Clause
"""A unix socket in front of another that cuts connections in the middle of whatever passes."""

import os
import select
import socket
import threading


class Proxy:
    def __init__(self, path, behind, random, largest=3000):
        self.path, self.behind, self.random, self.largest = path, behind, random, largest
        self.cutting = False
        self.cuts = 0
        self.ended = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.listener.settimeout(0.1)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.behind)
            except OSError:
                client.close()
                continue
            client.setblocking(False)
            server.setblocking(False)
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _limit(self):
        """Bytes of replies that pass before a cut: few or many, so that logging in, acquiring, flushing
        and loading get their share."""
        most = self.random.choice([30, 300, 3000, self.largest])
        return self.random.randint(1, most)

    @staticmethod
    def _end(client, data):
        """The last bytes before a cut, behind those that still wait: a connection may end anywhere, but
        nothing in it changes places or is left out."""
        client.settimeout(5)
        client.sendall(data)

    def _pass(self, client, server):
        left = None
        pending = {client: b"", server: b""}  # to whom, what
        try:
            while not self.ended:
                if self.cutting and left is None:
                    left = self._limit()
                if not self.cutting:
                    left = None
                readers = [s for s, other in ((client, server), (server, client))
                           if len(pending[other]) < 1 << 20]
                writers = [s for s in (client, server) if pending[s]]
                readable, writable, _ = select.select(readers, writers, [], 0.02)
                for source in readable:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is server and left is not None:
                        if len(data) >= left:
                            self._end(client, pending[client] + data[:left])
                            self.cuts += 1
                            return
                        left -= len(data)
                    pending[client if source is server else server] += data
                for target in writable:
                    sent = target.send(pending[target])
                    pending[target] = pending[target][sent:]
        except OSError:
            return
        finally:
            client.close()
            server.close()

    def close(self):
        self.ended = True
        self.thread.join()
        self.listener.close()
        os.unlink(self.path)
