#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Summaries of drills that nobody ran: phones as in PHONE.md, simulated one by one against a proxy pair of a
given character, written as sipherd.run/1. For the tests of reports, and to look at reports.

    tests/report/sample.py plain|refusing|retry-after|dropping|saturated [PHONES [SEED]] > run.json
"""
import heapq
import json
import math
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINE = os.path.join(HERE, "..", "..", "engine")
PERIOD, NO_RESPONSE, SWITCH_DELAY, RETRY = 60.0, 32.0, 10.0, 60.0
SENDS = (0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)  # timer E with T1 0.5 s, T2 4 s
BEFORE, HOLD, SETTLE, STEP = 10.0, 150.0, 120.0, 0.1
PROXIES = ("primary", "redundant")
CHARACTERS = ("plain", "refusing", "retry-after", "dropping", "saturated")
BEGIN_UNIX_MS = 1795000000000


def columns():
    """The names of PROXY_COUNTERS."""
    with open(os.path.join(ENGINE, "series.h"), encoding="utf-8") as file:
        return re.findall(r"^\tX\((\w+),", file.read(), re.M)


def cell_low(value):
    """Smallest value of the log-linear cell that `value` falls into."""
    shift = max(0, value.bit_length() - 7)
    return value >> shift << shift


def cells(values):
    found = {}
    for value in values:
        low = cell_low(int(value))
        found[low] = found.get(low, 0) + 1
    while len(found) > 200:  # two neighbours in one, until there is room
        lows = sorted(found)
        found = {a: sum(found[x] for x in lows[i:i + 2]) for i, a in list(enumerate(lows))[::2]}
    return sorted(found.items())


def quantile(values, q):
    return values[min(len(values) - 1, max(0, int(q * len(values) + 0.999999) - 1))]


def distribution(values):
    values = sorted(round(v, 1) for v in values)
    if not values:
        return {"count": 0, "min": 0, "mean": 0, "p50": 0, "p90": 0, "p99": 0, "p99_9": 0, "max": 0,
                "cells": []}
    return {"count": len(values), "min": values[0], "mean": sum(values) / len(values),
            "p50": quantile(values, .5), "p90": quantile(values, .9), "p99": quantile(values, .99),
            "p99_9": quantile(values, .999), "max": values[-1], "cells": cells(values)}


def histogram(values):
    """As those of a run's summary: microseconds."""
    values = sorted(int(v) for v in values) or [0]
    return {"count": len(values), "min_us": values[0], "mean_us": sum(values) / len(values),
            "max_us": values[-1],
            "quantiles_us": {"p50": quantile(values, .5), "p90": quantile(values, .9),
                             "p99": quantile(values, .99), "p99_9": quantile(values, .999),
                             "max": values[-1]},
            "cells_us": cells(values)}


class Proxy:
    """Says when and how a datagram is answered: (time, code), or None."""

    def __init__(self, character, limit, chance):
        self.character, self.limit, self.chance = character, limit, chance
        self.tokens, self.at, self.free = limit / 10, 0.0, 0.0

    def over(self, now):
        self.tokens = min(self.limit / 10, self.tokens + (now - self.at) * self.limit)
        self.at = now
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return False

    def answer(self, now, again, credentials):
        quick = now + 0.0004 + self.chance.expovariate(4000)
        good = 200 if credentials else 401
        if self.character == "saturated":
            if self.free - now > 6:  # the socket's buffer is full
                return None
            self.free = max(self.free, now) + 0.5 / self.limit
            return self.free + 0.0004, good
        if self.character == "plain" or credentials or not self.over(now):
            return quick, good
        return None if self.character == "dropping" else (quick, 503)


class Herd:
    def __init__(self, character, phones, seed):
        self.chance = random.Random(seed)
        self.phones, self.character = phones, character
        self.names = columns()
        self.steps = int((BEFORE + HOLD + SETTLE) / STEP)
        self.series = {p: [dict.fromkeys(self.names, 0) for _ in range(self.steps)] for p in PROXIES}
        self.proxy = {p: Proxy(character, phones * 0.012, self.chance) for p in PROXIES}
        self.queue, self.order = [], 0
        self.at = ["primary"] * phones
        self.epoch = [0] * phones
        self.moved = [0.0] * phones
        self.last_answer = [0.0] * phones
        self.wave = {name: [{} for _ in range(phones)] for name in ("fail-over", "fail-back")}
        self.rrd, self.register_rtt, self.options_rtt = [], [], []
        self.timeline = [[0, 0, 0] for _ in range(int(BEFORE + HOLD + SETTLE))]
        self.changes = []  # time, from, to

    def later(self, when, what, *arguments):
        self.order += 1
        heapq.heappush(self.queue, (when, self.order, what, arguments))

    def count(self, now, proxy, name, by=1):
        step = int((now + BEFORE) / STEP)
        if 0 <= step < self.steps:
            self.series[proxy][step][name] += by

    def silent(self, now, proxy):
        return proxy == "primary" and 0 <= now < HOLD

    def keepalive(self, now, phone, epoch):
        """One transaction of OPTIONS to the primary, and the next."""
        if epoch != self.epoch[phone]:
            return
        self.count(now, "primary", "options")
        self.later(now + PERIOD, self.keepalive, phone, epoch)
        for i, wait in enumerate(SENDS):
            self.count(now + wait, "primary", "options_datagrams")
            if i:
                self.count(now + wait, "primary", "options_retransmitted")
            if not self.silent(now + wait, "primary"):
                took = 0.0004 + self.chance.expovariate(4000)
                self.options_rtt.append((wait + took) * 1e6)
                self.later(now + wait + took, self.answered, phone, epoch)
                return
        self.later(now + NO_RESPONSE, self.unanswered, phone, epoch)

    def answered(self, now, phone, epoch):
        self.count(now, "primary", "options_answered")
        if epoch != self.epoch[phone]:
            return
        self.last_answer[phone] = now
        if self.at[phone] == "redundant":
            self.switch(now, phone, "primary")

    def unanswered(self, now, phone, epoch):
        self.count(now, "primary", "options_timeout")
        if epoch == self.epoch[phone] and self.at[phone] == "primary":
            self.switch(now, phone, "redundant")

    def switch(self, now, phone, to):
        self.changes.append((now, self.at[phone], None))
        self.epoch[phone] += 1
        self.at[phone] = to
        wave = self.wave["fail-over" if to == "redundant" else "fail-back"][phone]
        wave["detect"] = now
        delay = self.chance.uniform(0, SWITCH_DELAY)
        self.later(now + delay, self.register, phone, self.epoch[phone], False)

    def register(self, now, phone, epoch, _):
        to = self.at[phone]
        kind = "failover" if to == "redundant" else "failback"
        self.wave["fail-over" if to == "redundant" else "fail-back"][phone].setdefault("register", now)
        self.count(now, to, "offered_" + kind)
        self.attempt(now, phone, epoch, now, False)

    def attempt(self, now, phone, epoch, begun, credentials):
        """Datagrams of one transaction, one after the other, until the first answer is there."""
        self.later(now, self.send, phone, epoch, begun, now, 0, credentials, [False])

    def send(self, now, phone, epoch, begun, first, again, credentials, done):
        to = self.at[phone]
        if done[0]:
            return
        self.count(now, to, "register_datagrams")
        if again:
            self.count(now, to, "register_retransmitted")
        answer = self.proxy[to].answer(now, again, credentials)
        if answer is not None:
            self.later(answer[0], self.reply, phone, epoch, begun, first, answer[1], done)
        if again + 1 < len(SENDS):
            self.later(first + SENDS[again + 1], self.send, phone, epoch, begun, first, again + 1,
                       credentials, done)
        else:
            self.later(first + NO_RESPONSE, self.reply, phone, epoch, begun, first, None, done)

    def reply(self, now, phone, epoch, begun, first, code, done):
        to = self.at[phone]
        kind = "failover" if to == "redundant" else "failback"
        if done[0]:
            if code is not None:
                self.count(now, to, "late")
            return
        done[0] = True
        if code is not None:
            self.register_rtt.append((now - first) * 1e6)
        if code is None:
            self.count(now, to, "register_timeout")
            # A phone would try the other proxy; here it asks this one again.
            self.later(now + 0.001, self.register, phone, epoch, False)
        elif code == 401:
            self.count(now, to, "challenged")
            self.attempt(now + 0.00005, phone, epoch, begun, True)
        elif code == 503:
            self.count(now, to, "register_503")
            wait = 90.0 if self.character == "retry-after" else RETRY
            self.later(now + wait, self.register, phone, epoch, False)
        else:
            self.count(now, to, "accepted_" + kind)
            self.count(now, to, "rrd_us", int((now - begun) * 1e6))
            self.rrd.append((now - begun) * 1e6)
            wave = self.wave["fail-over" if to == "redundant" else "fail-back"][phone]
            wave["back"], wave["rrd"] = now, now - begun
            self.changes.append((now, None, to))
            self.later(now + PERIOD, self.keepalive, phone, epoch)

    def run(self):
        for phone in range(self.phones):
            self.later(self.chance.uniform(0, PERIOD) - PERIOD, self.keepalive, phone, 0)
        end = HOLD + SETTLE
        while self.queue and self.queue[0][0] < end:
            now, _, what, arguments = heapq.heappop(self.queue)
            what(now, *arguments)
        for begin in range(-int(BEFORE) * 10, int(end * 10)):  # a few refreshes, as there always are
            if self.chance.random() < self.phones / 18000:
                proxy = "redundant" if 60 < begin / 10 < HOLD else "primary"
                if not self.silent(begin / 10, proxy):
                    self.count(begin / 10, proxy, "offered_refresh")
                    self.count(begin / 10, proxy, "register_datagrams")
                    self.count(begin / 10, proxy, "accepted_refresh")
                    self.count(begin / 10, proxy, "rrd_us", 500)
        return self


def predicted(kind):
    """The curve of PHONE.md's model, by trying every phase."""
    times = []
    for i in range(3000):
        phase = (i + 0.5) / 3000 * PERIOD
        if kind == "fail-over":
            seen = phase + NO_RESPONSE
        else:
            left = [s - phase for s in SENDS if s >= phase]
            seen = left[0] if phase < NO_RESPONSE and left else PERIOD - phase
        times += [seen + (j + 0.5) / 20 * SWITCH_DELAY for j in range(20)]
    times.sort()
    return times


def curve_of(times, of, end):
    times, points, i = sorted(times), [], 0
    step = math.ceil(end / 50) / 10
    for n in range(int(end / step) + 1):
        while i < len(times) and times[i] <= n * step:
            i += 1
        points.append([round(n * step * 1000), round(i / of, 6)])
    return points


def peak(times, of, width):
    windows = {}
    for t in times:
        windows[int(t / width)] = windows.get(int(t / width), 0) + 1
    if not windows:
        return None
    at = max(windows, key=windows.get)
    return {"per_s": windows[at] / width, "share": windows[at] / of, "at_ms": round(at * width * 1000)}


def share_at(points, ms):
    below = [s for t, s in points if t <= ms]
    return below[-1] if below else 0


def wave_of(herd, name, begin, lasted):
    end = begin + lasted
    phones = [{k: t for k, t in w.items() if k == "rrd" or t <= end} for w in herd.wave[name]]
    moved = [w["register"] - begin for w in phones if "register" in w]
    back = [w["back"] - begin for w in phones if "back" in w]
    model = predicted(name)
    curve, model_curve = curve_of(moved, herd.phones, lasted), curve_of(model, len(model), lasted)
    apart = [(abs(s - share_at(model_curve, t)), t) for t, s in curve]
    distance, distance_at = max(apart)
    out_for = [w.get("back", begin + lasted) - begin for w in phones]
    back_sorted = sorted(back)

    def when(q):
        need = int(q * herd.phones + 0.999999)
        return round(back_sorted[need - 1] * 1000) if 0 < need <= len(back) else None

    model_second, model_tenth = peak(model, len(model), 1), peak(model, len(model), 0.1)
    over = name == "fail-over"
    return {
        "name": name, "kind": name, "at_ms": int(begin * 1000), "lasted_ms": int(lasted * 1000),
        "text": "phones move to the redundant proxy" if over else "phones return to the primary proxy",
        "from": "primary" if over else "redundant", "to": "redundant" if over else "primary",
        "phones": herd.phones, "back": len(back), "out": herd.phones - len(back),
        "detection_ms": distribution([(w["detect"] - begin) * 1000 for w in phones if "detect" in w]),
        "switch_ms": distribution([(w["register"] - w["detect"]) * 1000 for w in phones if "register" in w]),
        "registration_ms": distribution([(w["back"] - w["register"]) * 1000 for w in phones if "back" in w]),
        "outage_ms": distribution([t * 1000 for t in back]),
        "since_answer_ms": distribution([t * 1000 + herd.chance.uniform(0, 60000) for t in back]) if over
        else None,
        "rrd_us": distribution([w["rrd"] * 1e6 for w in phones if "back" in w]),
        "back_at_ms": {"p50": when(.5), "p90": when(.9), "p99": when(.99), "p99_9": when(.999),
                       "p100": when(1)},
        "peak": {"second": peak(moved, herd.phones, 1), "tenth": peak(moved, herd.phones, .1)}
        if moved else None,
        "out_longer_than": {str(s): sum(t > s for t in out_for) for s in (60, 120, 300)},
        "left": 0, "flaps": 0, "flapping_phones": 0, "stranded": herd.phones - len(back),
        "curve": curve, "back_curve": curve_of(back, herd.phones, lasted),
        "predicted": {"curve": model_curve, "first_ms": model[0] * 1000, "last_ms": model[-1] * 1000,
                      "mean_ms": sum(model) / len(model) * 1000,
                      "peak_second_share": model_second["share"], "peak_tenth_share": model_tenth["share"],
                      "distance": distance, "distance_at_ms": distance_at},
    }


def proxy_of(rows):
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    kinds = ("initial", "refresh", "failover", "failback")
    offered = {k: total["offered_" + k] for k in kinds}
    accepted = {k: total["accepted_" + k] for k in kinds}
    begun = [sum(row["offered_" + k] for k in kinds) for row in rows]
    failed = {c: total["register_" + c] for c in ("timeout", "408", "500", "503", "504")}
    attempts = sum(offered.values())
    return {
        "offered": offered, "accepted": accepted, "challenged": total["challenged"],
        "peak_register_per_s": max(sum(begun[i:i + 10]) for i in range(0, len(begun), 10)),
        "peak_register_per_100ms": max(begun),
        "peak_options_per_s": max(sum(r["options_datagrams"] for r in rows[i:i + 10])
                                  for i in range(0, len(rows), 10)),
        "retransmission_ratio": total["register_retransmitted"] / total["register_datagrams"]
        if total["register_datagrams"] else None,
        "ira": {"ratio": sum(failed.values()) / attempts if attempts else None, "attempts": attempts,
                **failed},
        "answers": {"3xx": 0, "4xx": total["register_4xx"], "5xx": total["register_503"], "6xx": 0},
        "rrd_mean_us": total["rrd_us"] / sum(accepted.values()) if sum(accepted.values()) else None,
    }


def timeline_of(herd):
    """Where the phones were at the end of each second."""
    at = {"primary": herd.phones, "redundant": 0, None: 0}
    changes, i, lines = sorted(herd.changes, key=lambda c: c[0]), 0, []
    for second in range(1, int(BEFORE + HOLD + SETTLE) + 1):
        over = back = 0
        while i < len(changes) and changes[i][0] + BEFORE <= second:
            _, before, after = changes[i]
            at[before] -= 1
            at[after] += 1
            over += before == "primary"
            back += before == "redundant"
            i += 1
        rows = [herd.series[p][s] for p in PROXIES for s in range((second - 1) * 10, second * 10)]
        lines.append({
            "at_s": second + 30.0, "registered_primary": at["primary"],
            "registered_redundant": at["redundant"], "elsewhere": at[None],
            "register_sent": sum(r["register_datagrams"] - r["register_retransmitted"] for r in rows),
            "options_sent": sum(r["options"] for r in rows),
            "retransmitted": sum(r["register_retransmitted"] + r["options_retransmitted"] for r in rows),
            "answered": sum(r["options_answered"] for r in rows), "silent": 0, "failovers": over,
            "failbacks": back, "not_sent": 0, "options_rtt_p50_us": 600, "options_rtt_p99_us": 1500})
    return lines


def drill_of(herd):
    series = {p: [[row[n] for n in herd.names] for row in herd.series[p]] for p in PROXIES}
    waves = [wave_of(herd, "fail-over", 0.0, HOLD), wave_of(herd, "fail-back", HOLD, SETTLE)]
    late = sum(row["late"] for p in PROXIES for row in herd.series[p])
    return {
        "name": "crash", "title": "crash primary",
        "question": "How fast and how evenly does the herd move, and does the survivor hold?",
        "outcome": "completed", "reason": None, "begin_unix_ms": BEGIN_UNIX_MS, "begin_s": 30.0 + BEFORE,
        "duration_ms": int((HOLD + SETTLE) * 1000), "phones": herd.phones, "incomplete": False,
        "request": [{"do": "crash", "wait_ms": 0, "proxy": "primary", "share": 1, "hold_ms": int(HOLD * 1000),
                     "settle_ms": int(SETTLE * 1000)}],
        "steps": [
            {"at_ms": 0, "act": "impair", "proxy": "primary", "restores": False,
             "text": "the primary proxy falls silent for all phones"},
            {"at_ms": int(HOLD * 1000), "act": "impair", "proxy": "primary", "restores": True,
             "text": "the primary proxy serves again"},
            {"at_ms": int((HOLD + SETTLE) * 1000), "act": "end", "proxy": None, "restores": False,
             "text": "the drill is over"}],
        "forecast": {"register_per_s": herd.phones * .069, "register_per_100ms": herd.phones * .0075,
                     "options_datagrams_per_s": herd.phones * 11 / 60,
                     "steady_per_s": herd.phones / 60, "known": True},
        "waves": waves,
        "series": {"step_ms": 100, "begin_ms": -int(BEFORE * 1000), "columns": herd.names, **series},
        "proxies": {p: proxy_of(herd.series[p]) for p in PROXIES},
        "totals": {"stranded": waves[1]["out"], "double_bound": 0, "flaps": 0, "late_answers": late,
                   "not_sent": 0, "lines_dropped": 0},
        "bunching": {"herd_index": 4.2, "width_50_ms": 5200, "width_90_ms": 21800,
                     "before": {"herd_index": 1.0, "width_50_ms": 30000, "width_90_ms": 54000}},
        "hooks": [],
    }


def fleet_of(phones):
    return {
        "fleet": "lab-sbc-pair", "phones": phones, "profile": "audiocodes-400hd", "user": "2{n:06}",
        "auth": "", "has_password": True, "users": "", "domain": "voip.example.net",
        "user_agent": "sipherd", "link": "af_packet:veth0", "workers": 1, "source": ["10.0.0.0/8"],
        "gateway": ["10.255.0.1"], "vlan": 0, "mtu": 1500, "transport": "udp",
        "proxies": {"primary": {"host": "192.0.2.1", "port": 5060},
                    "redundant": {"host": "192.0.2.2", "port": 5060}},
        "redundancy": {"enabled": True, "mode": "asymmetric", "switch_delay_ms": int(SWITCH_DELAY * 1000),
                       "icmp": "ignore"},
        "keepalive": {"period_ms": int(PERIOD * 1000), "jitter_percent": 0, "first": "spread",
                      "fail_threshold": 1, "success_threshold": 1, "fail_codes": []},
        "registration": {"expires_s": 3600, "retry_ms": int(RETRY * 1000), "refresh_permille": 500,
                         "unregister": False, "fail_codes": [], "backoff": "none"},
        "timers": {"t1_ms": 500, "t2_ms": 4000, "t4_ms": 5000, "no_response_ms": int(NO_RESPONSE * 1000)},
        "ramp_per_s": 500, "store": "none", "state": "", "fence": "run-on", "lease": {"ttl_ms": 10000},
        "registrar": {"realm": "", "digest": "md5", "min_expires_s": 0, "max_expires_s": 86400}}


def make(character="plain", phones=10000, seed=1):
    """The summary of `crash primary`, fail-over and fail-back, as one object."""
    herd = Herd(character, phones, seed).run()
    drill = drill_of(herd)
    wire = dict.fromkeys(("not_sent_full", "not_sent_no_buffer", "redirect_dropped", "frames_received",
                          "frames_sent"), 0)
    sent = sum(row["options_datagrams"] + row["register_datagrams"] for p in PROXIES
               for row in herd.series[p])
    chance = herd.chance
    over = drill["waves"][0]["outage_ms"]["p99"]
    gates = [{"goal": "outage_p99@fail-over<=95s", "value": over, "unit": "ms", "wave": "fail-over",
              "met": over <= 95000},
             {"goal": "ira<=0.01%", "value": drill["proxies"]["redundant"]["ira"]["ratio"] or 0,
              "unit": "ratio", "wave": None,
              "met": (drill["proxies"]["redundant"]["ira"]["ratio"] or 0) <= 0.0001}]
    return {
        "schema": "sipherd.run/1", "version": "0.5.0", "command": "drill",
        "started": "2026-11-18T19:59:20Z", "ended": "2026-11-18T20:04:40Z",
        "duration_s": 30 + BEFORE + HOLD + SETTLE, "seed": str(seed),
        "link": "af_packet:veth0, 1 worker on 1 queue", "drained": True,
        "proxies": {"primary": {"address": "192.0.2.1", "port": 5060},
                    "redundant": {"address": "192.0.2.2", "port": 5060}},
        "fleet": fleet_of(phones),
        "verdict": {"generator_limited": False, "no_answer": False, "lateness_limit_us": 10000,
                    "reasons": []},
        "phones": {state: {"primary": 0, "redundant": 0} for state in
                   ("off", "boot", "registering", "waiting", "switching")}
        | {"registered": {"primary": drill["waves"][1]["back"], "redundant": 0}},
        "datagrams": {"planned": sent, "sent": sent},
        "losses": {"not_sent": 0, "no_answer": phones, "bad_answer": 0},
        "switches": {"to_redundant": {"keepalive_silence": phones, "register_silence": 0,
                                      "refresh_silence": 0, "code": 0},
                     "to_primary": {"keepalive_answer": phones, "keepalive_silence": 0,
                                    "register_silence": 0, "refresh_silence": 0, "code": 0}},
        "counters": {"boots": phones}, "wire": wire,
        "histograms": {"options_rtt": histogram(herd.options_rtt),
                       "register_rtt": histogram(herd.register_rtt), "registration": histogram(herd.rrd),
                       "lateness": histogram([chance.expovariate(1 / 40) for _ in range(20000)])},
        "timeline": timeline_of(herd), "memory_bytes": phones * 190, "store": {"kind": "none"},
        "workers": [{"cpu": 1, "busy_ratio": 0.061, "rounds": 25245108}],
        "drills": [drill], "gates": gates, "baseline": None,
    }


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in CHARACTERS:
        sys.exit(__doc__)
    json.dump(make(sys.argv[1], *map(int, sys.argv[2:4])), sys.stdout)
