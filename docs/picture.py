#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draw the time line of a run's summary as SVG: where the phones were, second by second.

    sipherd demo --summary demo.json && python3 docs/picture.py demo.json >docs/demo.svg
"""
import json
import sys

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 40
# Okabe and Ito's palette: told apart by colour-blind readers, and readable on light and dark.
LINES = (("registered_primary", "registered at the primary", "#0072B2"),
         ("registered_redundant", "registered at the redundant", "#E69F00"),
         ("elsewhere", "between the two", "#CC79A7"))


def step_up(value):
    """A round number at or above value, for the axis."""
    power = 10 ** max(len(str(int(value))) - 1, 0)
    return next(power * n for n in (1, 2, 5, 10) if power * n >= value)


def draw(summary):
    seconds = summary["timeline"]
    phones = sum(sum(row.values()) for row in summary["phones"].values())
    last = seconds[-1]["at_s"]
    top = step_up(phones)

    def x(at_s):
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / last

    def y(count):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / top

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for i in range(5):
        count = top * i // 4
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(count):.1f}" y2="{y(count):.1f}" '
                   'stroke="#dddddd"/>'
                   f'<text x="{LEFT - 8}" y="{y(count) + 4:.1f}" text-anchor="end">{count:,}</text>')
    tick = max(int(step_up(last / 10)), 1)
    for at_s in range(0, int(last) + 1, tick):
        out.append(f'<text x="{x(at_s):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                   f'{at_s} s</text>')
    for n, (key, name, colour) in enumerate(LINES):
        points = " ".join(f'{x(s["at_s"]):.1f},{y(s[key]):.1f}' for s in seconds)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
                   f'<rect x="{LEFT + 260 * n}" y="14" width="14" height="4" fill="{colour}"/>'
                   f'<text x="{LEFT + 20 + 260 * n}" y="20">{name}</text>')
    out.append("</svg>")
    return "\n".join(out)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(draw(json.load(file)))
