# SPDX-License-Identifier: BSD-3-Clause
"""What a long run showed: its checks, and one table of figures from the summary and what was looked at meanwhile."""
import collections
import json
import os
import shutil

from measure import ROOT

GROWTH = 0.01  # of the resident set in all the time in which nothing happens


def quantile(cells, share):
    left = share * sum(cells.values())
    for low in sorted(cells):
        left -= cells[low]
        if left <= 0:
            return low
    return 0


def between(samples, begin_s, end_s):
    """The first and the last sample of this time."""
    inside = [s for s in samples if begin_s <= s["at_s"] <= end_s]
    return (inside[0], inside[-1]) if len(inside) > 1 else None


def lateness(first, last):
    cells = collections.Counter(dict(last["lateness_cells_us"]))
    cells.subtract(dict(first["lateness_cells_us"]))
    return cells


def stretches(values, seen):
    """When nothing happens, when the primary is silent, and when the phones return, of both drills."""
    waits, hold, settle, t = values["waits"], values["hold"], values["settle"], seen["drill_at_s"]
    for number, wait in enumerate(waits, 1):
        yield f"steady {number}", t, t + wait
        t += wait
        if number <= 2:
            yield f"outage {number}", t, t + hold
            yield f"return {number}", t + hold, t + hold + settle
            t += hold + settle


def stretch_rows(values, seen):
    rows = []
    for name, begin, end in stretches(values, seen):
        pair = between(seen["samples"], begin, end)
        if not pair:
            continue
        first, last = pair
        took, cells = last["at_s"] - first["at_s"], lateness(first, last)
        busy = [s["busy_ratio"] for s in seen["samples"] if begin <= s["at_s"] <= end]
        rows.append((name, f"{end - begin:.0f} s", rate(first, last, "planned", took),
                     rate(first, last, "options_sent", took), rate(first, last, "register_sent", took),
                     f"{sum(busy) / len(busy):.0%}, {max(busy):.0%}",
                     f"{(last['stolen_s'] - first['stolen_s']) / took / seen['cpus']:.1%}",
                     *(f"{quantile(cells, share) / 1000:.3f}" for share in (0.5, 0.99, 0.999)),
                     f"{last['resident_bytes'] / 1e6:,.1f}"))
    return rows


def rate(first, last, name, seconds):
    return f"{(last[name] - first[name]) / seconds:,.0f}"


def wave_rows(summary):
    for number, drill in enumerate(summary["drills"], 1):
        for wave in drill["waves"]:
            outage, predicted = wave["outage_ms"], wave["predicted"] or {}
            peak = wave["peak"]["second"]
            yield (f"{wave['name']} at {wave['at_ms'] / 1000:.0f} s", f"{wave['back']:,} of {wave['phones']:,}",
                   " / ".join(f"{outage[key] / 1000:.1f}" for key in ("p50", "p99", "p99_9", "max")),
                   f"{outage['mean'] / 1000:.1f}",
                   f"{predicted['first_ms'] / 1000:.1f}-{predicted['last_ms'] / 1000:.1f}, mean "
                   f"{predicted['mean_ms'] / 1000:.1f}" if predicted else "-",
                   f"{100 * predicted['distance']:.2f} %" if predicted else "-",
                   f"{peak['per_s']:,.0f} ({100 * peak['share']:.2f} %; "
                   f"{100 * predicted['peak_second_share']:.2f} %)" if predicted else f"{peak['per_s']:,.0f}",
                   f"{wave['rrd_us']['p99'] / 1000:.1f}" if wave["rrd_us"] else "-")


def memory(values, seen):
    """Resident bytes of sipherd: when all had registered, at the end, and by how much they grew while nothing
    happened. A drill keeps moments of every phone for each of its waves, so that they do grow in one."""
    there, calm = [s["resident_bytes"] for s in seen["samples"]], 0
    for name, begin, end in stretches(values, seen):
        pair = between(seen["samples"], begin, end)
        if name.startswith("steady") and pair:
            calm += pair[1]["resident_bytes"] - pair[0]["resident_bytes"]
    return there[0], there[-1], calm


def same(compared, phones):
    """All phones are where they should be, by the engine, by Redis and by the proxies' own tables."""
    for seen in compared:
        numbers = [seen["engine"], seen.get("redis " + seen["side"], 0)]
        if "kamailio " + seen["side"] in seen:
            numbers.append(seen["kamailio " + seen["side"]])
        if set(numbers) != {phones} or seen["redis differs"]:
            return False
    return len(compared) == 5


def checks(values, summary, seen):
    phones = values["phones"]
    ira = [p["ira"]["ratio"] or 0 for drill in summary["drills"] for p in drill["proxies"].values()]
    begin, _, calm = memory(values, seen)
    redis = summary["store"]["redis"]
    yield "both drills were completed", [d["outcome"] for d in summary["drills"]] == ["completed"] and \
        len(summary["drills"][0]["waves"]) == 4
    yield "all phones are at the primary in the end", summary["phones"]["registered"]["primary"] == phones
    yield "all phones were back after each crash and each return", all(
        w["back"] == phones and w["out"] == 0 for d in summary["drills"] for w in d["waves"])
    yield "nothing was not sent", summary["losses"]["not_sent"] == 0
    yield "no bad answer", summary["losses"]["bad_answer"] == 0
    yield "no ineffective registration attempt", not any(ira)
    yield "every goal of the fleet file was met", all(g["met"] for g in summary["gates"])
    yield "engine, Redis and the proxies agree at all five moments", same(seen["compared"], phones)
    yield "Redis was never lost", redis["counters"]["reconnects"] == 0 and not redis["trouble"]
    yield f"the resident set grew by less than {GROWTH:.0%} while nothing happened", calm <= begin * GROWTH
    yield "the generator kept its schedule", not summary["verdict"]["generator_limited"]


def number(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(heads, rows):
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
                      *("| " + " | ".join(row) + " |" for row in rows)])


def figures(values, summary, seen):
    late = summary["histograms"]["lateness"]
    redis, losses = summary["store"]["redis"], summary["losses"]
    quantiles = late["quantiles_us"]
    rows = [("length", f"{summary['duration_s']:.0f} s, of which {seen['drill_at_s']:.0f} s until all had registered"),
            ("datagrams planned, sent", f"{summary['datagrams']['planned']:,}, {summary['datagrams']['sent']:,}"),
            ("not sent, no answer, bad answer",
             f"{losses['not_sent']:,}, {losses['no_answer']:,}, {losses['bad_answer']:,}"),
            ("lateness p50, p99, p99.9, max, ms",
             ", ".join(f"{us / 1000:.3f}" for us in (quantiles["p50"], quantiles["p99"], quantiles["p99_9"],
                                                     late["max_us"]))),
            ("resident set when all had registered, at the end, growth while nothing happened, MB",
             ", ".join(f"{b / 1e6:,.1f}" for b in memory(values, seen))),
            ("memory in the engine per phone, bytes", f"{summary['memory_bytes'] / summary['fleet']['phones']:.1f}"),
            ("Redis: lag at most, resident at the end",
             f"{redis['lag_max_us'] / 1000:,.0f} ms, {seen['samples'][-1]['redis_resident_bytes'] / 1e6:,.0f} MB"),
            ("Redis: records written, feed lines left out",
             f"{redis['counters']['records_written']:,}, {redis['counters']['feed_dropped']:,}"),
            ("verdict", "GENERATOR-LIMITED: " + "; ".join(summary["verdict"]["reasons"])
             if summary["verdict"]["generator_limited"] else "the generator kept its schedule")]
    return rows + [(f"Kamailio {side}: bindings in the end, datagrams its socket had no room for, complaints",
                    f"{number(told['tables'])}, {told['datagrams_dropped']:,}, {len(told['complaints'])}")
                   for side, told in seen["proxies"].items()]


def compared_rows(seen):
    for one in seen["compared"]:
        others = [f"{name} {number(value)}" for name, value in one.items() if name.startswith(("redis", "kamailio"))]
        yield one["when"], f"{one['side']} {one['engine']:,}", ", ".join(others)


DOCS = os.path.join(ROOT, "docs")
BULKY = ("cells", "cells_us", "series", "timeline")
POINTS = 60  # of a curve


def trimmed(value, name=""):
    """A summary without what fills pages: raw cells, steps of 100 ms, seconds; curves with fewer points."""
    if isinstance(value, dict):
        return {key: trimmed(part, key) for key, part in value.items() if key not in BULKY}
    if name in ("curve", "back_curve") and len(value) > POINTS:
        return value[::len(value) // POINTS + 1] + value[-1:]
    return [trimmed(part) for part in value] if isinstance(value, list) else value


def essence(said):
    """What sipherd printed without the line that it prints every second."""
    whole = [line for line in said.splitlines() if line and " | REGISTER " not in line]
    return "\n".join(whole) + "\n"


def keep(o, name, text):
    with open(os.path.join(o.out, name), "w", encoding="utf-8") as file:
        file.write(text)


def publish(o, text):
    """The page in docs says what this run showed; beside it, what it said itself."""
    name = "long-" + o.name
    os.makedirs(os.path.join(DOCS, "examples"), exist_ok=True)
    for source, ending in (("fleet.yaml", "yaml"), ("essence.txt", "txt"), ("essence.json", "json")):
        shutil.copy(os.path.join(o.out, source), os.path.join(DOCS, "examples", f"{name}.{ending}"))
    path = os.path.join(DOCS, "long-runs.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, rest = page.split(begin)
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + begin + text + end + rest.split(end)[1])


def tell(o, values, seen):
    with open(os.path.join(o.out, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    with open(os.path.join(o.out, "said.txt"), encoding="utf-8", errors="replace") as file:
        keep(o, "essence.txt", essence(file.read()))
    keep(o, "essence.json", json.dumps(trimmed(summary), indent=1) + "\n")
    results = list(checks(values, summary, seen))
    parts = [f"{summary['started']}, {seen['machine']}; seed {summary['seed']}.",
             table(("", ""), figures(values, summary, seen)),
             table(("wave", "phones back", "outage p50 / p99 / p99.9 / max, s", "mean, s", "predicted, s",
                    "curves apart", "busiest second: REGISTER/s (share; predicted)", "RRD p99, ms"),
                   wave_rows(summary)),
             table(("stretch", "length", "datagrams/s", "OPTIONS/s", "REGISTER/s", "worker busy: mean, most",
                    "taken by the host", "lateness p50, ms", "p99", "p99.9", "resident at its end, MB"),
                   stretch_rows(values, seen)),
             table(("compared", "engine", "others"), compared_rows(seen)),
             "\n".join(f"- {'yes' if met else 'NO'}: {what}" for what, met in results)]
    text = "\n\n".join(parts) + "\n"
    keep(o, "result.md", text)
    if o.publish:
        publish(o, text)
    print(f"\n{text}\nin {os.path.relpath(o.out, ROOT)}")
    return 0 if all(met for _, met in results) else 1
