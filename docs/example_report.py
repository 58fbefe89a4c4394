#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make the example report: a primary proxy falls silent and returns, and what 10,000 phones with their real
timers and two real Kamailios make of it. As root; six minutes.

    python3 docs/example_report.py [--sipherd build/api/sipherd] [--phones N]

The network is made of namespaces (tests/wire/lab.py), as in the wire tests. It leaves docs/examples/report.html,
of which `python3 tests/browser/run.py docs/report.mjs` takes the pictures.
"""
import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "wire"))

import lab as lab_room  # noqa: E402
from drills import Drill  # noqa: E402
from herd import Herd  # noqa: E402
from kamailio import Kamailio  # noqa: E402

REAL = {"period": "60s", "no_response": "32s", "first": "spread", "ramp": "500/s", "switch_delay": "10s"}
SECONDS = 600


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sipherd", default=os.path.join(HERE, "..", "build", "api", "sipherd"))
    parser.add_argument("--phones", type=int, default=10000)
    given = parser.parse_args()
    lab = lab_room.Lab()
    try:
        lab_room.need("kamailio", "kamcmd")
        lab.build()
        for side in lab_room.SIDES:
            Kamailio(lab, side).start()
        herd = Herd(lab, os.path.abspath(given.sipherd), "asym", given.phones, **REAL)
        # The keep-alives of a period must have been spread before it begins.
        drill = Drill(herd, ["return", "primary"], arguments=[
            "--settle", "70s", "--gate", "outage_p99@fail-over <= 105s", "--gate", "back_100@fail-back <= 45s",
            "--gate", "ira <= 0.01%", "--gate", "stranded <= 0"], tolerated=(1,)).finish(SECONDS)
        shutil.copyfile(drill.report, os.path.join(HERE, "examples", "report.html"))
        print(herd.process.text())
    finally:
        lab.close()


if __name__ == "__main__":
    main()
