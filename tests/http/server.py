# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the HTTP API share: a sipherd that runs, and ways to ask it."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SIPHERD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "build/api/sipherd"
PROBLEM = "application/problem+json"
SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}

FLEET = """fleet: herd
phones: 50
user: "2{n:06}"
password: "very-secret-{user}"
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
keepalive: { period: 1s }
registrar: { realm: herd.example.net }
"""


def certificate(case, name="DNS:localhost"):
    """A new certificate for this name and its key, for as long as the tests of a class take."""
    if shutil.which("openssl") is None:
        raise unittest.SkipTest("not installed: openssl")
    folder = tempfile.TemporaryDirectory()
    case.addClassCleanup(folder.cleanup)
    cert, key = (os.path.join(folder.name, file) for file in ("cert.pem", "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=herd", "-addext", "subjectAltName=" + name,
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SIPHERD_")}
    # With a sanitizer, memory that was freed is kept back for a while: a little is enough.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    return {**clean, "TERM": "dumb", "ASAN_OPTIONS": sanitizer, **more}


class Answer:
    def __init__(self, response):
        self.code, self.headers, self.body = response.status, response.headers, response.read()
        self.type = self.headers.get("Content-Type", "")

    def json(self):
        return json.loads(self.body)


def ask(port, path, method="GET", headers=None, body=None, host=None, connection=None):
    """One request as it is written here: http.client adds nothing but the Host."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    own.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host is not False:
        own.putheader("Host", host or f"localhost:{port}")
    for name, value in (headers or {}).items():
        own.putheader(name, value)
    if body is not None and "Content-Length" not in (headers or {}):
        own.putheader("Content-Length", str(len(body)))
    own.endheaders(body)
    answer = Answer(own.getresponse())
    if connection is None:
        own.close()
    return answer


class Server:
    """A sipherd run on a port of its own, in a folder of its own."""

    def __init__(self, *arguments, store="none", fleet=FLEET, listen="127.0.0.1:0", env=None,
                 eal=(), ready="all [0-9,]+ phones registered"):
        self.folder = tempfile.mkdtemp(prefix="sipherd-http-")
        path = os.path.join(self.folder, "fleet.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(fleet + f"store: {store}\n")
        self.errors = open(os.path.join(self.folder, "errors"), "w+", encoding="utf-8")
        listen = ["--http", listen] if listen else []
        self.process = subprocess.Popen(
            [SIPHERD, *eal, *(["--"] if eal else []), "run", path, "--for", "900s", *listen, *arguments], text=True,
            stdout=subprocess.PIPE, stderr=self.errors,
            env=environment(**{"SIPHERD_STATE": os.path.join(self.folder, "state"), **(env or {})}))
        self.said = ""
        self.port, self.tokens = 0, None
        found = self.wait_for(r"http: (https?)://(\S+):(\d+)/api/v1/fleet, tokens in (\S+)$")
        self.scheme, self.address = found.group(1), found.group(2)
        self.port, self.tokens = int(found.group(3)), found.group(4)
        self.wait_for(ready)

    def wait_for(self, pattern):
        for line in self.process.stdout:
            self.said += line
            if re.search(pattern, line.rstrip("\n")):
                return re.search(pattern, line.rstrip("\n"))
        self.end()
        raise AssertionError(f"'{pattern}' never came in\n{self.said}{self.complaints()}")

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read()

    def token(self, role):
        with open(self.tokens, encoding="ascii") as file:
            return dict(line.split() for line in file)[role]

    def ask(self, path, *arguments, **more):
        return ask(self.port, path, *arguments, **more)

    def change(self, method, path, body, role="operator", **headers):
        """A change as it is to be asked for; body: an object, or bytes as they are."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if role is not None:
            given["Authorization"] = "Bearer " + self.token(role)
        return ask(self.port, path, method, headers=given, body=sent)

    def memory_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def stop(self):
        self.process.terminate()
        self.said += self.process.communicate(timeout=60)[0]
        return self.process.returncode

    def finish(self):
        """An orderly end: who stops a run by hand gets 0, and a sanitizer would have made it another."""
        try:
            code = self.stop() if self.process.poll() is None else self.process.returncode
            if code != 0:
                raise AssertionError(f"exit {code}\n{self.said}{self.complaints()}")
        finally:
            self.close()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def close(self):
        self.end()
        self.errors.close()
        if self.tokens is not None and os.path.exists(self.tokens):
            os.unlink(self.tokens)  # it was killed, so that the file stayed
        shutil.rmtree(self.folder, ignore_errors=True)


class Case(unittest.TestCase):
    """One sipherd for all tests of a class, with no store at all."""
    server = None
    arguments, more = (), {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments, **cls.more)
        cls.addClassCleanup(cls.server.finish)

    def safe(self, answer):
        """Every answer, good or bad, carries the usual headers."""
        for name, value in SAFE.items():
            self.assertEqual(answer.headers.get(name), value, name)
        self.assertNotIn(b"very-secret", answer.body)
        return answer

    def problem(self, answer, code, name):
        """Every error is a problem object of RFC 9457."""
        self.safe(answer)
        self.assertEqual((answer.code, answer.type), (code, PROBLEM), answer.body)
        told = answer.json()
        self.assertEqual(told["type"], "urn:sipherd:problem:" + name)
        self.assertEqual(told["status"], code)
        self.assertTrue(told["title"] and told["detail"], told)
        return told

    def good(self, answer, kind="application/json"):
        self.safe(answer)
        self.assertEqual((answer.code, answer.type), (200, kind), answer.body)
        return answer


def eventually(check, what, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
