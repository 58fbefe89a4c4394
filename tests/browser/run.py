#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Bring playwright-core into a folder of the build, then run a script with it:
run.py --sipherd SIPHERD --folder FOLDER SCRIPT.mjs [ARGUMENT...]. What is missing here is told, and
the exit code is 77: nobody needs node, npm or Chromium to run sipherd."""
import argparse
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("package.json", "package-lock.json")
NODE_LEAST = 18
# How npm tells that it cannot reach its registry.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT",
               "EHOSTUNREACH", "ERR_SOCKET_TIMEOUT")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def read(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def install(folder):
    """Exactly what package-lock.json names, and no script of any package is run."""
    done = os.path.join(folder, "installed")
    wanted = "".join(read(HERE, name) for name in FILES)
    if read(done) == wanted:
        return
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(os.path.join(HERE, name), folder)
    npm = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                          "--fetch-retries=2", "--fetch-retry-mintimeout=2000",
                          "--fetch-retry-maxtimeout=5000", "--fetch-timeout=60000"], cwd=folder, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if npm.returncode != 0 and any(word in npm.stdout for word in UNREACHABLE):
        skip("npm cannot reach its registry for playwright-core")
    if npm.returncode != 0:
        sys.exit(f"npm ci failed in {folder}:\n{npm.stdout}")
    with open(done, "w", encoding="utf-8") as file:
        file.write(wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sipherd", default="build/api/sipherd")
    parser.add_argument("--folder", default="build/browser")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    for tool, path in (("node", shutil.which("node")), ("npm", shutil.which("npm")),
                       ("chromium", chromium)):
        if path is None:
            skip(f"{tool} is not installed")
    version = subprocess.run(["node", "--version"], text=True, capture_output=True,
                             check=True).stdout.strip()
    if int(version[1:].split(".")[0]) < NODE_LEAST:
        skip(f"node {NODE_LEAST} is needed, and this is {version}")
    install(given.folder)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SIPHERD_")}
    os.execvpe("node", ["node", given.script, *given.arguments],
               {**clean, "SIPHERD": os.path.abspath(given.sipherd), "CHROMIUM": chromium,
                "PLAYWRIGHT_AT": os.path.abspath(given.folder)})


if __name__ == "__main__":
    main()
