#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the page's module tests with node's own test runner; 77 where there is none."""

import pathlib
import shutil
import subprocess
import sys


def main():
    node = shutil.which("node")
    if node is None:
        print("skipped: node is missing (apt-get install nodejs)")
        return 77
    # Debian 12 has node 18, the first one whose runner is complete.
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 18:
        print(f"skipped: node {version.strip()} has no test runner, 18 is needed")
        return 77
    tests = sorted(str(path) for path in pathlib.Path(__file__).parent.glob("*.test.mjs"))
    return subprocess.run([node, "--test", *tests], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
