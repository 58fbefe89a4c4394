#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The targets for speed and scale, measured: each figure beside a limit or a peer of the same run.

    bench/bench.py [OPTIONS] [NAME...]

Names: build scan timer link cores scaling idle start veth kamailio failback ten; all of them without one. As a row
is done it is shown; at the end all are printed as one table and written to build/bench/results.json and
results.md, or results-NAME... where only some were asked for.
Figures are medians of repeated samples; in brackets is their spread, and how many of how many samples were
not disturbed by others. A target that is missed says so; the exit code tells whether all could be measured.
"""
import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import time

import engine
import fleet
import kernel
import profile_note
from measure import BUILD, CPUS, ROOT, Failure, Watch
from netns import Unavailable

BENCHES = {"build": engine.build, "scan": engine.scan, "timer": engine.timer, "link": engine.link,
           "cores": engine.cores, "scaling": engine.scaling, "idle": fleet.idle, "start": fleet.start, "veth": kernel.veth,
           "kamailio": kernel.kamailio, "failback": fleet.failback, "ten": fleet.ten}


def number(value):
    if value >= 10000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def cells(row):
    f = row.figure
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.0f}"
    return (row.work, f"{number(f.median)} {f.unit}", f"{number(f.low)}-{number(f.high)}", f"{f.quiet}/{f.taken}",
            ratio, row.against, row.target, verdict(row), row.limit, row.bench)


def verdict(row):
    """A target that is missed while others took the machine is not settled."""
    if row.met is None:
        return ""
    return "met" if row.met else "MISSED" if row.figure.quiet else "MISSED, disturbed"


HEADS = ("work", "measured", "spread", "quiet", "ratio", "against", "target", "", "the limit was", "NAME")


def markdown(rows, machine, notes=()):
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return f"Measured {machine['at']} on {machine['text']}, by `./dev bench`, each row by `./dev bench NAME`. Medians; " \
        "in `quiet` how many of how many samples nobody else disturbed.\n\n" + "\n".join(lines) + "\n" + \
        "".join(f"\n{note}\n" for note in notes)


def show(row):
    work, measured, spread, quiet, ratio, against, target, met, limit, _ = cells(row)
    print(f"  {met or 'told':6} {work}: {measured} ({spread}; {quiet} samples quiet)"
          f"\n         {'ratio ' + ratio + ', ' if ratio else ''}against {against}; target {target}; limit: {limit}",
          flush=True)


def processor():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def describe():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True,
                            check=False).stdout.strip()
    with open("/etc/os-release", encoding="utf-8") as file:
        system = dict(line.rstrip().split("=", 1) for line in file if "=" in line)["PRETTY_NAME"].strip('"')
    return {"at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "commit": commit,
            "processor": processor(), "cpus": len(CPUS), "system": system, "kernel": platform.release(),
            "text": f"{len(CPUS)} CPUs ({processor()}), {system}, Linux {platform.release()}, sipherd {commit}"}


def write(o, rows, failures, notes, machine, took):
    os.makedirs(o.out, exist_ok=True)
    told = {"schema": "sipherd.targets/1", "machine": machine, "command": sys.argv[1:], "took_s": round(took, 1),
            "rows": [dataclasses.asdict(row) for row in rows], "failures": failures,
            "notes": notes}
    # Some rows do not take the place of the whole table.
    name = "-".join(["results", *o.name])
    with open(os.path.join(o.out, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
    with open(os.path.join(o.out, name + ".md"), "w", encoding="utf-8") as file:
        file.write(markdown(rows, machine, notes.values()) + f"\nIt took {took:.0f} s.\n")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", metavar="NAME")
    parser.add_argument("--phones", type=int, default=10000000, help="where the target says ten million")
    parser.add_argument("--million", type=int, default=1000000, help="where the target says a million")
    parser.add_argument("--rounds", type=int, default=21, help="of a micro-benchmark, of nine samples each")
    parser.add_argument("--repeats", type=int, default=3, help="of what takes seconds")
    parser.add_argument("--seconds", type=int, default=3, help="of each such repeat")
    parser.add_argument("--calls", type=int, default=60000, help="of SIPp in a repeat")
    parser.add_argument("--warm", type=int, default=5, help="seconds between registration and the sustained run")
    parser.add_argument("--rest", type=int, default=15, help="seconds of an idle herd")
    parser.add_argument("--hold", type=int, default=20, help="seconds of the sustained run")
    parser.add_argument("--out", default=os.path.join(BUILD, "bench"), help="folder of the results")
    parser.add_argument("--no-profile", dest="profile", action="store_false",
                        help="say nothing of where the time of a missed target goes")
    o = parser.parse_args()
    unknown = [name for name in o.name if name not in BENCHES]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    return o


def others():
    """Processors that others take before anything is measured."""
    with Watch() as w:
        time.sleep(1)
    return w.others


def main():
    o, rows, failures, notes = options(), [], {}, {}
    machine, begin = describe(), time.monotonic()
    machine["others_before"] = round(others(), 2)
    print(f"sipherd's targets on {machine['text']}; others take {machine['others_before']} of {len(CPUS)} processors",
          flush=True)
    for name in o.name or BENCHES:
        print(f"{name}:", flush=True)
        try:
            measured = BENCHES[name](o)
            rows += measured
            for row in measured:
                row.bench = name
                show(row)
            missed = [row.name for row in measured if row.met is False]
            note = profile_note.of(name, o) if missed and o.profile else None
            if note:
                notes[name] = f"Where the time goes, {', '.join(missed)}: {note}"
                print("  " + notes[name], flush=True)
        except (Failure, Unavailable) as problem:
            failures[name] = str(problem)
            print(f"  not measured: {problem}", flush=True)
    took = time.monotonic() - begin
    write(o, rows, failures, notes, machine, took)
    print(f"\n{markdown(rows, machine, notes.values())}\n{sum(r.met is True for r in rows)} of {sum(r.met is not None for r in rows)} targets met, "
          f"{len(failures)} benchmarks not measured, {took:.0f} s; {o.out}/results.json and results.md")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
