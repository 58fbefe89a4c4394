#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guards the hot path by instructions, which are the same on a busy machine as on a quiet one.

    bench/instructions.py [--update] [--build DIR]

Runs bench_instructions under callgrind, once for each of build, scan, learned, tick and step, and compares the
instructions of one operation with bench/instructions.json. More than 3 % more fails (exit 1), and names the
functions that have grown. --update writes what was measured as the new baseline: to be committed together
with the change that needs it. Without valgrind, or with another compiler than the baseline's, nothing can be
compared (exit 77); nor on a processor without AVX2. Valgrind shows every processor that has AVX2 as the same
one, without AVX-512: the code that is chosen at run time does not hang on the machine.
"""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "instructions.json")
SECTIONS = ("build", "scan", "learned", "tick", "step")
ALLOWED = 1.03
KEPT = 100  # functions of a section in the baseline, the costliest
NAMED = 3  # of those that have grown
# A longer environment moves the stack, and what memcpy does hangs on where it lies.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def skip(why):
    print(f"instructions: {why}")
    sys.exit(77)


def compiler(build, program):
    """The compiler that made the program, and what it was told."""
    with open(program, "rb") as file:
        text = file.read()
    # What is linked in from the C library names its own compiler too.
    found = re.search(rb"clang version ([\d.]+)", text) or re.search(rb"GCC: \([^)]*\) ([\d.]+)", text)
    name = "gcc" if found and found[0].startswith(b"GCC") else "clang"
    with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
        told = {option["name"]: option["value"] for option in json.load(file)}
    options = [f"-O{told['optimization']}", *told["c_args"]]
    options += [f"{key[2:]} {told[key]}" for key in ("b_lto", "b_ndebug", "b_sanitize", "b_coverage", "b_pgo")
                if told[key] not in (False, "false", "none", "off")]
    return f"{name} {found[1].decode() if found else 'unknown'} {' '.join(options)}"


def self_costs(path):
    """Instructions of each function itself, of one file of callgrind's."""
    names, costs, current, after_call = {}, collections.Counter(), None, False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = re.match(r"(c?fn)=\((\d+)\)(?: (.*))?$", line)
            if found:
                if found[3]:
                    names[found[2]] = found[3]
                if found[1] == "fn":
                    current = names[found[2]]
            elif line.startswith("calls="):
                after_call = True
            elif re.match(r"[+\-*\d]\S* \d+$", line):
                # The line after a call has what the callee took, which is counted there.
                if not after_call:
                    costs[current] += int(line.split()[1])
                after_call = False
    return costs


def measure(program, section):
    """Instructions of one operation, in all and by function."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out")
        done = subprocess.run([shutil.which("valgrind"), "--tool=callgrind", f"--callgrind-out-file={path}",
                               f"--toggle-collect=section_{section}", "./" + os.path.basename(program)],
                              capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT,
                              cwd=os.path.dirname(program))
        if done.returncode:
            raise SystemExit(f"instructions: {section}: exit {done.returncode}: {done.stderr[-400:]}")
        operations = int(re.search(rf"^{section} (\d+)$", done.stdout, re.M)[1])
        costs = self_costs(path)
    if not costs:
        raise SystemExit(f"instructions: {section}: nothing was collected; is section_{section} still a function?")
    costs = {name.split("@")[0]: cost / operations for name, cost in costs.most_common()}
    return {"instructions": round(sum(costs.values()), 1),
            "functions": {name: round(cost, 1) for name, cost in list(costs.items())[:KEPT]}}


def growth(before, now):
    """The functions that have grown the most, in words."""
    names = set(before) | set(now)
    grown = sorted(names, key=lambda n: before.get(n, 0) - now.get(n, 0))[:NAMED]
    return "; ".join(f"{n} {before.get(n, 0):.0f} -> {now.get(n, 0):.0f}" for n in grown
                     if now.get(n, 0) > before.get(n, 0))


def compare(baseline, measured):
    failed = []
    for section in SECTIONS:
        before, now = baseline[section], measured[section]
        ratio = now["instructions"] / before["instructions"]
        print(f"  {section:8} {now['instructions']:8.1f} instructions, baseline {before['instructions']:8.1f}: "
              f"{100 * (ratio - 1):+.2f} %")
        if ratio > ALLOWED:
            failed.append(section)
            print(f"           FAILED, more than {100 * (ALLOWED - 1):.0f} % more: "
                  + growth(before["functions"], now["functions"]))
        elif ratio < 2 - ALLOWED:
            print("           the baseline can be lowered: bench/instructions.py --update")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    o = parser.parse_args()
    if not shutil.which("valgrind"):
        skip("valgrind is not installed")
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        if " avx2 " not in file.read():
            skip("the baseline is of a processor with AVX2")
    program = os.path.join(o.build, "bench", "bench_instructions")
    made_by = compiler(o.build, program)
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    if made_by != baseline["compiler"] and not o.update:
        skip(f"the baseline was made by {baseline['compiler']}, this is {made_by}")
    measured = {section: measure(program, section) for section in SECTIONS}
    if o.update:
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump({"compiler": made_by, **measured}, file, indent=1)
            file.write("\n")
        print("\n".join(f"  {s:8} {measured[s]['instructions']:8.1f} instructions" for s in SECTIONS))
        return 0
    failed = compare(baseline, measured)
    print(f"instructions: {'FAILED: ' + ', '.join(failed) if failed else 'ok'} (per operation, {made_by})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
