# SPDX-License-Identifier: BSD-3-Clause
"""Drills against real Kamailios: what sipherd reports is what their location tables say, and proxies that
are limited in different ways give reports that say so. Cases of run.py."""

import csv
import json
import os
import re

from lab import PRIMARY, REDUNDANT, SIDES, Failure, say, wait_until

PERIOD_S = 2
# Exit 1: a gate was missed, which limited proxies are there for.
MISSED = 1


class Drill:
    """One `sipherd drill` of a herd, and what it leaves."""

    def __init__(self, herd, words, hooks="", arguments=(), tolerated=()):
        self.herd = herd
        self.tolerated = tolerated
        folder = herd.lab.folder
        self.report = os.path.join(folder, f"{herd.name}.html")
        self.csv = os.path.join(folder, f"{herd.name}.csv")
        herd.drill(words, hooks, "--report", self.report, "--phones-csv", self.csv, *arguments)

    def said(self, what):
        """Probe: it has printed this."""
        def probe():
            text = self.herd.process.text()
            if what not in text:
                self.herd.check_running()
            return what in text, repr(what)
        return probe

    def finish(self, seconds=180):
        self.summary = self.herd.finish(seconds, self.tolerated)
        self.result = self.summary["drills"][0]
        self.wave = {wave["name"]: wave for wave in self.result["waves"]}
        with open(self.report) as file:
            self.html = file.read()
        return self

    def users_at(self, wave, side):
        """Who was registered at this proxy when the wave ended, by sipherd's own account."""
        with open(self.csv) as file:
            return {row["user"] for row in csv.DictReader(file)
                    if row["wave"] == wave and row["end"] == side}


def same(what, reported, table):
    if reported != table:
        raise Failure(f"{what}: sipherd says {len(reported)}, Kamailio {len(table)} phones, "
                      f"{len(reported ^ table)} differ")
    say(f"    {what}: the same {len(table)} phones in sipherd's report and Kamailio's table")


def fresh(stage, side, before):
    """Users whose binding there is not the one of `before`: the outage keeps the table as it was."""
    return {user for user, contact in stage.proxy[side].table().items()
            if contact.call_id != before.get(user)}


def calls(stage, side):
    return {user: contact.call_id for user, contact in stage.proxy[side].table().items()}


def well(drill, phones):
    for name in ("fail-over", "fail-back"):
        wave = drill.wave[name]
        if (wave["phones"], wave["back"], wave["out"]) != (phones, phones, 0):
            raise Failure(f"{name}: {wave['back']} of {wave['phones']} phones are back")
        say(f"    {name}: outage p50 {wave['outage_ms']['p50']} ms, p99 {wave['outage_ms']['p99']} ms, "
            f"{100 * wave['predicted']['distance']:.1f} % from the prediction")
    for proxy in SIDES:
        if drill.result["proxies"][proxy]["ira"]["ratio"]:
            raise Failure(f"{proxy}: ineffective registration attempts at an unlimited Kamailio")


def checkpoints(stage, drill, phones):
    """The tables before, with all phones away, and after the return."""
    wait_until("all phones at the primary", drill.said(
        f"all {phones:,} phones registered at the primary proxy"), 60)
    before = {side: calls(stage, side) for side in SIDES}
    everybody = set(before[PRIMARY])
    wait_until("all phones at the redundant", drill.said(
        f"all {phones:,} phones registered at the redundant proxy"), 90)
    away = stage.proxy[REDUNDANT].users()
    stale = calls(stage, PRIMARY)
    if stale != before[PRIMARY]:
        raise Failure("the silent primary's table changed: something came through")
    wait_until("the primary serves again", drill.said("the primary proxy serves again"), 120)
    drill.finish()
    home = fresh(stage, PRIMARY, before[PRIMARY])
    same("before, at the primary", drill.herd.users(), everybody)
    same("before, at the redundant", set(), set(before[REDUNDANT]))
    same("after the crash, at the redundant", drill.users_at("fail-over", REDUNDANT), away)
    same("after the return, at the primary", drill.users_at("fail-back", PRIMARY), home)
    same("after the return, at the redundant", drill.users_at("fail-back", REDUNDANT),
         stage.proxy[REDUNDANT].users())


def case_crash(stage):
    """Crash and return in the packet path: bindings as in Kamailio's tables at every checkpoint."""
    stage.proxies_up()
    herd = stage.herd("asym", stage.phones, first="spread")
    drill = Drill(herd, ["crash", "primary", f"hold={8 * PERIOD_S}s", "settle=10s"])
    checkpoints(stage, drill, herd.phones)
    well(drill, herd.phones)


def case_hook(stage):
    """The same by hooks that stop a real Kamailio and let it go on."""
    stage.proxies_up()
    group = stage.proxy[PRIMARY].process.pid  # negative for kill: all of Kamailio's processes
    hooks = (f"hooks: {{ outage: {{ run: [/bin/kill, -STOP, --, '-{group}'], "
             f"undo: [/bin/kill, -CONT, --, '-{group}'] }} }}\n")
    herd = stage.herd("asym", stage.phones // 5, first="spread")
    drill = Drill(herd, ["crash", "primary", "hook=outage", f"hold={8 * PERIOD_S}s", "settle=10s"], hooks)
    drill.finish()
    for name in ("fail-over", "fail-back"):
        wave = drill.wave[name]
        if wave["back"] != herd.phones:
            raise Failure(f"{name}: {wave['back']} of {herd.phones} phones are back")
    same("after the return, at the primary", drill.users_at("fail-back", PRIMARY),
         stage.proxy[PRIMARY].users())
    if [hook["undo_code"] for hook in drill.result["hooks"]] != [0]:
        raise Failure(f"hooks: {drill.result['hooks']}")


def ira(drill, side):
    return drill.result["proxies"][side]["ira"]


# Each of these must be seen for what it is.
def dropped(drill):
    return (ira(drill, REDUNDANT)["timeout"] > 0 and not ira(drill, REDUNDANT)["503"],
            f"{ira(drill, REDUNDANT)['timeout']} time-outs")


def refused(drill):
    return ira(drill, REDUNDANT)["503"] > 0, f"{ira(drill, REDUNDANT)['503']} times 503"


def slowed(drill):
    usual = drill.wave["fail-back"]["rrd_us"]["p50"]
    slow = drill.wave["fail-over"]["rrd_us"]["p50"]
    return (slow > 20 * usual and not ira(drill, REDUNDANT)["503"],
            f"RRD {slow / 1000:.0f} ms at the redundant, {usual / 1000:.1f} ms at the primary")


def case_limits(stage):
    """A redundant Kamailio that drops, that says 503, that has one slow child: three different reports."""
    phones = stage.phones // 8
    explained = {}
    for word, configuration, sign in (
            ("drop", {"behaviour": "drop", "limit": phones // 10}, dropped),
            ("refuse", {"behaviour": "refuse", "limit": phones // 10, "retry_after": 3}, refused),
            ("slow", {"behaviour": "slow", "work_us": 2_000_000 // phones, "children": 1}, slowed)):
        stage.proxies_up()
        stage.proxy[REDUNDANT].configure(**configuration)
        stage.proxy[REDUNDANT].restart()
        herd = stage.herd("asym", phones, first="spread", retry="1s", no_response="4s", period="4s")
        drill = Drill(herd, ["crash", "primary", "hold=18s", "settle=8s"],
                      arguments=("--gate", "outage_p99@fail-over <= 9s"), tolerated=(MISSED,)).finish()
        seen, what = sign(drill)
        explained[word] = explanation(drill.html)
        say(f"    {word}: outage p99 {drill.wave['fail-over']['outage_ms']['p99'] / 1000:.1f} s, {what}")
        say(f"        {explained[word][0]}")
        if not seen:
            raise Failure(f"{word}: {json.dumps(ira(drill, REDUNDANT))}")
        stage.clear_herds()
    if len({tuple(words) for words in explained.values()}) != len(explained):
        raise Failure("the same explanation for proxies that are limited in different ways")


LIMIT_PER_S = 400  # REGISTERs that the redundant Kamailio takes; each phone needs two, for the challenge
GOALS = ("outage_p99@fail-over <= 12s", "ira <= 5%")


def case_capacity(stage):
    """How many phones a limited redundant Kamailio takes: the search, and three drills that confirm it."""
    stage.proxies_up()
    stage.proxy[REDUNDANT].configure(behaviour="drop", limit=LIMIT_PER_S)
    stage.proxy[REDUNDANT].restart()
    herd = stage.herd("asym", 100, first="spread", ramp="150/s", period="6s", no_response="4s")
    herd.search(["failover", "crash", "primary", "hold=16s", "settle=2s"], "--from", "300", "--to", "8000",
                "--precision", "10%", "--settle", "6s", *(word for goal in GOALS for word in ("--goal", goal)))
    found = herd.found(3600)
    say(f"    the search: {found['best']:.0f} phones are taken, {found['worst']:.0f} are not; "
        f"{found['met']} of {found['of']} runs, confidence {found['confidence']:.2f}")
    for phones, met in ((int(0.95 * found["best"]), True), (int(1.1 * found["worst"]), False)):
        kept = 0
        for _ in range(3):
            herd.phones, herd.expected = phones, {}
            drill = Drill(herd, ["crash", "primary", "hold=16s", "settle=2s"], tolerated=(MISSED,),
                          arguments=["--settle", "6s", *(word for goal in GOALS for word in ("--gate", goal))])
            drill.finish()
            kept += all(gate["met"] for gate in drill.summary["gates"])
        say(f"    {phones} phones: the goals are met in {kept} of 3 drills")
        if kept != (3 if met else 0):
            raise Failure("the answer of the search does not hold within 10 %")


def explanation(html):
    """The sentences of the report that say what happened."""
    items = [item for part in re.findall(r'<ul class="findings">.*?</ul>', html, re.DOTALL)
             for item in re.findall(r"<li[^>]*>(.*?)</li>", part, re.DOTALL)]
    if not items:
        raise Failure("the report explains nothing")
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", item)).strip() for item in items]


CASES = {"drill-crash": case_crash, "drill-hook": case_hook, "drill-limits": case_limits}
# Half an hour: only when asked for by --only.
LONG = {"capacity": case_capacity}
