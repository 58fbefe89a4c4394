#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turn the page's files into a C header: page.py FILE... > HEADER defines `page_files[]` of page.h.

Each file is there twice, as it is and as gzip, so that nothing is left to do for a request. The same
files make the same bytes: no time and no path of the build gets in.
"""
import gzip
import hashlib
import os
import re
import sys

TYPES = {
    '.css': 'text/css; charset=utf-8',
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.svg': 'image/svg+xml',
}
ROW = 256  # bytes a line


def literal(content):
    rows = [content[at:at + ROW] for at in range(0, len(content), ROW)] or [b'']
    return '\n'.join('\t"' + ''.join('\\%03o' % byte for byte in row) + '"' for row in rows)


def check(paths):
    """A file that lies beside the others and is not listed would be missing in the binary only."""
    names = [os.path.basename(path) for path in paths]
    folder = os.path.dirname(paths[0])
    for name in sorted(os.listdir(folder)):
        if os.path.splitext(name)[1] in TYPES and name not in names:
            sys.exit('page.py: %s is not listed in api/page/meson.build' % os.path.join(folder, name))
    for name in names:
        if not re.fullmatch(r'[a-z0-9][a-z0-9.-]*', name) or os.path.splitext(name)[1] not in TYPES:
            sys.exit('page.py: %s: no name or no type for the page' % name)


def main():
    check(sys.argv[1:])
    print('/* Made from the files of api/page by page.py. */\nstatic const struct page_file '
          'page_files[] = {')
    for path in sys.argv[1:]:
        with open(path, 'rb') as file:
            content = file.read()
        name = os.path.basename(path)
        packed = gzip.compress(content, 9, mtime=0)
        print('{"%s", "%s", "W/\\"%s\\"", {(const uint8_t *)\n%s, %d}, {(const uint8_t *)\n%s, %d}},' % (
            name, TYPES[os.path.splitext(name)[1]], hashlib.sha256(content).hexdigest()[:16],
            literal(content), len(content), literal(packed), len(packed)))
    print('};')


if __name__ == '__main__':
    main()
