#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sum up meson's test log: which tests were skipped and why, then one line 'N passed, N failed'."""
import json
import sys

PASSED = ("OK", "EXPECTEDFAIL")


def main(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            if test["result"] in PASSED:
                passed += 1
            elif test["result"] == "SKIP":
                skipped += 1
                said = (test.get("stdout") or test.get("stderr") or "").strip().splitlines()
                print(f"skipped {test['name']}: {said[-1] if said else 'no reason given'}")
            else:
                failed += 1
                print(f"failed  {test['name']}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))


if __name__ == "__main__":
    main(sys.argv[1])
