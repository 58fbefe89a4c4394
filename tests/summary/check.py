#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real summaries against docs/sipherd.run-1.schema.json, and against themselves.

    tests/summary/check.py SIPHERD SCHEMA
"""
import copy
import json
import os
import subprocess
import sys
import tempfile

FLEET = """fleet: summary
phones: 200
user: "2{n:06}"
password: "very-secret-{user}"
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
redundancy: { switch_delay: 0s }
keepalive: { period: 1s }
timers: { t1: 100ms, no_response: 10s }
registrar: { realm: lab.example.net, digest: both }
ramp: none
"""


def run(sipherd, folder, word, *arguments):
    """One short run on the memory link; its summary, read back."""
    fleet, out = os.path.join(folder, "fleet.yaml"), os.path.join(folder, "summary.json")
    with open(fleet, "w", encoding="utf-8") as file:
        file.write(FLEET)
    command = [sipherd, word, fleet, *arguments, "--seed", "7", "--summary", out]
    with tempfile.TemporaryDirectory() as state:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "SIPHERD_STATE": state, "SIPHERD_HTTP": "none"})
    # 5: this machine was too slow to keep the schedule, which the summary then has to say.
    assert done.returncode in (0, 5), f"exit {done.returncode}: {done.stderr}"
    with open(out, encoding="utf-8") as file:
        text = file.read()
    assert "very-secret" not in text + done.stdout + done.stderr, "a password came out"
    assert not os.path.exists(out + ".part"), "a draft was left behind"
    summary = json.loads(text)
    assert summary["verdict"]["generator_limited"] == (done.returncode == 5)
    return summary


def add_up(summary, phones, most_seconds):
    """What the schema cannot say: figures of one summary agree with each other."""
    total = sum(sum(row.values()) for row in summary["phones"].values())
    assert total == phones, f"{total} phones instead of {phones}"
    datagrams, counters = summary["datagrams"], summary["counters"]
    assert datagrams["planned"] == datagrams["sent"] + summary["losses"]["not_sent"]
    for name, histogram in summary["histograms"].items():
        cells = histogram["cells_us"]
        assert sum(count for _, count in cells) == histogram["count"], name
        assert [low for low, _ in cells] == sorted({low for low, _ in cells}), name
        quantiles = list(histogram["quantiles_us"].values())
        assert quantiles == sorted(quantiles), name
    assert summary["histograms"]["options_rtt"]["count"] == counters["options_answered"]
    for cause, count in summary["switches"]["to_redundant"].items():
        assert counters["failover_" + cause] == count
    for cause, count in summary["switches"]["to_primary"].items():
        assert counters["failback_" + cause] == count
    store = summary["store"]
    assert (store["kind"] == "embedded") == ("redis" in store), store
    if "redis" in store:
        redis = store["redis"]
        assert redis["shards"] == redis["driven"] == redis["nodes"] == 1, redis
        assert redis["counters"]["records_written"] >= phones, redis
    seconds = [record["at_s"] for record in summary["timeline"]]
    assert seconds == sorted(seconds) and 1 <= len(seconds) <= most_seconds, seconds
    assert sum(record["failovers"] for record in summary["timeline"]) <= sum(
        summary["switches"]["to_redundant"].values())


def refuse_wrong(validator, summary):
    """A schema that accepts everything would pass as well: it has to notice each of these."""
    def wrong(change):
        broken = copy.deepcopy(summary)
        change(broken)
        assert not validator.is_valid(broken), "the schema accepts a wrong summary"
    wrong(lambda s: s.update(schema="sipherd.run/2"))
    wrong(lambda s: s.pop("verdict"))
    wrong(lambda s: s["losses"].pop("not_sent"))
    wrong(lambda s: s["phones"]["registered"].update(primary=-1))
    wrong(lambda s: s["fleet"].update(password="x"))
    wrong(lambda s: s["histograms"]["lateness"]["cells_us"].append([1]))
    wrong(lambda s: s.update(surprise=1))
    wrong(lambda s: s.pop("store"))
    wrong(lambda s: s["store"].update(kind="mysql"))


def add_up_drill(drill, phones):
    """The same for a drill: a crash of the primary proxy and its return."""
    assert drill["outcome"] == "completed" and drill["reason"] is None, drill["reason"]
    assert [wave["kind"] for wave in drill["waves"]] == ["fail-over", "fail-back"]
    assert drill["incomplete"] is False and drill["phones"] == phones
    for wave in drill["waves"]:
        assert wave["phones"] == phones == wave["back"] + wave["out"], wave["name"]
        for name in ("detection_ms", "switch_ms", "registration_ms", "outage_ms", "rrd_us"):
            spread = wave[name]
            quantiles = [spread[key] for key in ("min", "p50", "p90", "p99", "p99_9", "max")]
            assert quantiles == sorted(quantiles), name
            assert sum(count for _, count in spread["cells"]) == spread["count"], name
        assert wave["curve"] == sorted(wave["curve"])
    series, columns = drill["series"], drill["series"]["columns"]
    for proxy in ("primary", "redundant"):
        told = drill["proxies"][proxy]
        assert told["ira"]["attempts"] == sum(told["offered"].values())
        for row in series[proxy]:
            assert len(row) == len(columns)
        failovers = sum(row[columns.index("offered_failover")] for row in series[proxy])
        assert failovers == told["offered"]["failover"]
    assert drill["proxies"]["redundant"]["accepted"]["failover"] == phones
    assert drill["proxies"]["primary"]["accepted"]["failback"] == phones


def refuse_wrong_drill(validator, summary):
    def wrong(change):
        broken = copy.deepcopy(summary)
        change(broken["drills"][0])
        assert not validator.is_valid(broken), "the schema accepts a wrong drill"
    wrong(lambda d: d.pop("waves"))
    wrong(lambda d: d.update(outcome="perhaps"))
    wrong(lambda d: d["waves"][0].update(surprise=1))
    wrong(lambda d: d["waves"][0]["outage_ms"].pop("p99"))
    wrong(lambda d: d["waves"][0]["curve"].append([1, 2]))
    wrong(lambda d: d["totals"].update(stranded=-1))
    wrong(lambda d: d["request"][0].update(password="x"))


def main(sipherd, schema_path):
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        print("python3-jsonschema is not installed: ./dev test installs it")
        return 77
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    with tempfile.TemporaryDirectory() as folder:
        healthy = run(sipherd, folder, "run", "--for", "6s")
        # Phones are away two seconds after the crash: the rest is for a slow machine.
        faulty = run(sipherd, folder, "run", "--for", "12s", "--set", "timers.no_response=500ms",
                     "--fault", "primary:crash@2s", "--reboot", "planned:0-9@8s")
    for summary, most in ((healthy, 8), (faulty, 14)):
        validator.validate(summary)
        add_up(summary, 200, most)
        refuse_wrong(validator, summary)
    with tempfile.TemporaryDirectory() as folder:
        drill = run(sipherd, folder, "drill", "crash", "hold=4s", "settle=4s", "--settle", "1s",
                    "--set", "timers.no_response=500ms", "--gate", "outage_max < 1h")
    validator.validate(drill)
    add_up_drill(drill["drills"][0], 200)
    refuse_wrong_drill(validator, drill)
    assert drill["gates"][0]["met"] is True, drill["gates"]
    assert healthy["phones"]["registered"]["primary"] == 200, healthy["phones"]
    assert sum(faulty["switches"]["to_redundant"].values()) >= 200, faulty["switches"]
    assert faulty["losses"]["no_answer"] >= 200, faulty["losses"]
    assert healthy["seed"] == "7" and healthy["fleet"]["has_password"] is True
    print("three real summaries hold")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
