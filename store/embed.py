#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turn a text file into a C header: embed.py FILE NAME > HEADER defines `static const char NAME[]`."""
import sys


def literal(line):
    text = ''
    for byte in line.encode():
        if byte in b'"\\':
            text += '\\' + chr(byte)
        elif byte == 10:
            text += '\\n'
        elif 32 <= byte < 127 and byte != ord('?'):
            text += chr(byte)
        else:
            text += '\\%03o' % byte
    return '\t"' + text + '"'


def main():
    with open(sys.argv[1], encoding='utf-8', newline='') as file:
        lines = file.read().splitlines(keepends=True)
    print('/* Made from %s by embed.py. */' % sys.argv[1].rsplit('/', 1)[-1])
    print('static const char %s[] =\n%s;' % (sys.argv[2], '\n'.join(map(literal, lines))))


if __name__ == '__main__':
    main()
