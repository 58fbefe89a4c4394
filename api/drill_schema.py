#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turn the part on drills of a summary's schema into a C header: drill_schema.py SCHEMA.json > HEADER
defines `drill_schema`, the JSON schema of one drill's result, with its references filled in."""
import json
import sys

ROW = 100  # characters a line


def filled(part, definitions):
    if isinstance(part, list):
        return [filled(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    whole = {name: filled(one, definitions) for name, one in part.items() if name != '$ref'}
    if '$ref' not in part:
        return whole
    name = part['$ref'].removeprefix('#/$defs/')
    return {**filled(definitions[name], definitions), **whole}


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        schema = json.load(file)
    drill = filled(schema['properties']['drills']['items'], schema['$defs'])
    text = json.dumps(drill, separators=(',', ':'))
    rows = [text[at:at + ROW] for at in range(0, len(text), ROW)]
    print('/* Made from docs/sipherd.run-1.schema.json by drill_schema.py. */\n'
          'static const char drill_schema[] =')
    print('\n'.join('\t' + '"' + row.replace('\\', '\\\\').replace('"', '\\"') + '"' for row in rows) + ';')


if __name__ == '__main__':
    main()
