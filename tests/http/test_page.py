#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The page's files over HTTP: no token, no data; encodings, validators, headers."""
import gzip
import re

from server import SAFE, Case, main

SECURITY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
HEADERS = {**SAFE, "Cache-Control": "no-cache", "Content-Security-Policy": SECURITY}
CHART = "/page/chart.min.js"


class Page(Case):
    arguments = ("--http-auth",)  # even then the page itself is open to all

    def file(self, path, kind, method="GET", **headers):
        answer = self.server.ask(path, method, headers={k.replace("_", "-"): v
                                                        for k, v in headers.items()})
        self.assertEqual((answer.code, answer.type), (200, kind), answer.body)
        for name, value in {**HEADERS, "Vary": "Accept-Encoding"}.items():
            self.assertEqual(answer.headers.get(name), value, name)
        self.assertRegex(answer.headers["ETag"], r'^W/"[0-9a-f]{16}"$')
        self.assertNotIn("Set-Cookie", answer.headers)
        return answer

    def test_the_page_and_all_it_names(self):
        page = self.file("/", "text/html; charset=utf-8")
        self.assertEqual(self.file("/page/index.html", page.type).body, page.body)
        text = page.body.decode()
        named = re.findall(r'(?:src|href)="(/page/[^"]+)"', text)
        self.assertTrue(named, text)
        kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
                 "svg": "image/svg+xml"}
        for path in named:
            self.file(path, kinds[path.rsplit(".", 1)[1]])
        # Nothing that the policy forbids, and nothing from elsewhere.
        self.assertNotRegex(text, r"(?i)<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)")
        self.assertNotRegex(text, r'(?:src|href)="(?:https?:)?//')

    def test_without_gzip_and_with(self):
        plain = self.file(CHART, "text/javascript; charset=utf-8")
        self.assertIsNone(plain.headers["Content-Encoding"])
        packed = self.file(CHART, plain.type, Accept_Encoding="gzip, deflate, br")
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertLess(len(packed.body), len(plain.body) / 2)
        self.assertEqual(packed.headers["ETag"], plain.headers["ETag"])
        self.assertIn(b"Chart.js Contributors", plain.body[:400])
        refused = self.file(CHART, plain.type, Accept_Encoding="gzip;q=0")
        self.assertIsNone(refused.headers["Content-Encoding"])

    def test_head(self):
        whole = self.file(CHART, "text/javascript; charset=utf-8")
        head = self.file(CHART, whole.type, method="HEAD")
        self.assertEqual(head.body, b"")
        for name in ("ETag", "Content-Length"):
            self.assertEqual(head.headers[name], whole.headers[name], name)

    def test_what_is_known_is_not_sent_again(self):
        tag = self.file("/", "text/html; charset=utf-8").headers["ETag"]
        for known in (tag, f'"x", {tag}', "*"):
            for method in ("GET", "HEAD"):
                answer = self.server.ask("/", method, headers={"If-None-Match": known})
                self.assertEqual((answer.code, answer.body), (304, b""), known)
                for name, value in {"ETag": tag, "Cache-Control": "no-cache",
                                    "Vary": "Accept-Encoding"}.items():
                    self.assertEqual(answer.headers.get(name), value, name)
        self.file("/", "text/html; charset=utf-8", If_None_Match='W/"0123456789abcdef"')

    def test_what_there_is_not(self):
        """Without a token it is not told which other paths there are."""
        token = {"Authorization": "Bearer " + self.server.token("viewer")}
        for path in ("/page/", "/page/nothing.js", "/page/../api/page.c", "/page/%2e%2e/page.c",
                     "/page/index.html%00", "/index.html", "/favicon.ico"):
            self.problem(self.server.ask(path, headers=token), 404, "not-found")
        self.problem(self.server.ask("/", "POST", headers=token), 405, "method-not-allowed")

    def test_the_page_holds_no_data(self):
        """What it shows has to be asked for, and that takes a token here."""
        self.problem(self.server.ask("/api/v1/fleet"), 401, "unauthorized")
        self.assertNotIn(self.server.token("viewer").encode(),
                         self.file("/", "text/html; charset=utf-8").body)

    def test_only_under_our_own_name(self):
        """A page of somebody else's name would be this one's equal."""
        self.problem(self.server.ask("/", host="evil.example.net"), 421, "foreign-host")
        self.problem(self.server.ask("/", headers={"Origin": "http://evil.example.net"}), 403,
                     "foreign-origin")


if __name__ == "__main__":
    main()
