#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run what failed in a build folder's last `meson test` once more, one at a time, and say so.

For machines that others use too: a test that waits for a second process may be starved there. What
fails twice is broken; what passes now is named as UNSTEADY, for somebody to look at. More than a
few failures are no bad luck and are not tried again. Ends with the runner's own summary line.
"""
import json
import pathlib
import subprocess
import sys

from count import PASSED

AT_MOST = 3


def outcomes(build):
    with open(build / "meson-logs/testlog.json", encoding="utf-8") as log:
        return [json.loads(line) for line in log]


def main(build, *arguments):
    build = pathlib.Path(build)
    if not (build / "meson-logs/testlog.json").exists():
        print("no test was run: nothing is tried again")
        return 1
    before = outcomes(build)
    failed = [test["name"].split(" / ")[-1] for test in before
              if test["result"] not in PASSED + ("SKIP",)]
    if not failed or len(failed) > AT_MOST:
        print(f"{len(failed)} tests failed: not tried again")
        return 1
    print(f"\n=== once more, alone: {', '.join(failed)}")
    done = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs",
                           "--num-processes", "1", *arguments, *failed], check=False)
    left = [test["name"] for test in outcomes(build) if test["result"] not in PASSED + ("SKIP",)]
    for name in failed:
        if not any(name == test.split(" / ")[-1] for test in left):
            print(f"UNSTEADY {name}: failed once, passed when it was run again")
    skipped = sum(test["result"] == "SKIP" for test in before)
    passed = len(before) - skipped - len(left)
    summary = f"{passed} passed, {len(left)} failed" + (f", {skipped} skipped" if skipped else "")
    (build / "test-summary").write_text(summary + "\n", encoding="utf-8")
    print(summary)
    return 1 if done.returncode != 0 or left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
