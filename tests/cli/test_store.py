#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The store as its users see it: embedded, given, shared or none; sipherd fleet and sipherd export."""
import csv
import glob
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading

from command import (ALL_THERE, DONE, FLEET, HOST, SIPHERD, TESTS, USAGE, Case, Run, environment, main,
                     sipherd)

sys.path.insert(0, os.path.join(TESTS, "store"))
import layout  # noqa: E402
import servers  # noqa: E402

FAST = FLEET.replace("period: 1s", "period: 1s, first: spread") + "timers: { no_response: 500ms }\n"
QUICK = "redundancy: { switch_delay: 0s }\nramp: none\n"


def needs_redis(test):
    """A test that cannot be without a redis-server."""
    def wrapped(self):
        if servers.missing():
            self.skipTest("not installed: " + " ".join(servers.missing()))
        test(self)
    return wrapped


def holds(text):
    """JSON of `sipherd fleet`, read back and compared with its schema."""
    told = json.loads(text)
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return told
    path = os.path.join(os.path.dirname(TESTS), "docs", "sipherd.fleet-1.schema.json")
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(told)
    return told


def gone(pid):
    """The process has ended, or is only waiting to be reaped by whoever runs this machine."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Embedded(Case):
    @needs_redis
    def test_it_can_be_looked_into_while_it_runs(self):
        fleet = self.write("fleet.yaml", FAST + QUICK)
        run = Run(self, fleet)
        pid = int(run.wait_for(r"store: redis-server on unix:\S+, pid (\d+)").group(1))
        run.wait_for(ALL_THERE)
        env = {"SIPHERD_STATE": run.state}
        self.look(fleet, env)
        self.look_at_one(fleet, env)
        self.export(fleet, env)
        said = run.stop()
        self.assertRegex(said, r"store   Redis at unix:\S+\n        node \S+ had 1 of 1 shards; ")
        servers.wait(lambda: gone(pid), "the redis-server ends")
        self.assertEqual([os.path.basename(name) for name in glob.glob(run.state + "/*")],
                         ["fleet.0.image"], "only the image file stays")
        done = self.exits(sipherd("fleet", fleet, env=env), HOST)
        self.assertIn("no embedded store of fleet 'fleet' runs", done.stderr)

    def look(self, fleet, env):
        def totals():
            told = holds(self.exits(sipherd("fleet", fleet, "--json", env=env), DONE).stdout)
            self.assertEqual(told["schema"], "sipherd.fleet/1")
            return told if told["totals"].get("phones_registered_primary") == 50 else None
        told = servers.wait(totals, "the node has said how many phones it has")
        self.assertEqual(told["fleet"], {"name": "fleet", "phones": 50, "shards": 1, "groups": 16,
                                         "mode": "asymmetric"})
        self.assertEqual([node["live"] for node in told["nodes"]], [True])
        self.assertEqual(told["shards"][0]["owner"], told["nodes"][0]["node"])
        self.assertGreater(told["shards"][0]["left_ms"], 0)
        self.assertEqual(told["totals"]["phones_off_primary"], 0)
        said = self.exits(sipherd("fleet", fleet, env=env), DONE).stdout
        self.assertIn("fleet fleet: 50 phones, 1 shard of 10000, asymmetric", said)
        self.assertRegex(said, r"\n0 +\S+ +\d+  \d+\.\d s left\n")
        self.assertRegex(said, r"\n  registered +50 +0\n")

    def look_at_one(self, fleet, env):
        said = self.exits(sipherd("fleet", fleet, "--phone", "49", env=env), DONE).stdout
        self.assertIn("phone 49 is registered at the primary proxy (asymmetric)", said)
        self.assertRegex(said, r"driven by +\S+ \(shard 0, its lease has")
        told = holds(sipherd("fleet", fleet, "--phone", "49", "--json", env=env).stdout)
        self.assertEqual(told["phone"]["last_tried"], "primary")
        self.assertEqual(told["phone"]["cause"], "registered")
        done = self.exits(sipherd("fleet", fleet, "--phone", "50", env=env), USAGE)
        self.assertIn("the last phone is 49", done.stderr)

    def export(self, fleet, env):
        done = self.exits(sipherd("export", fleet, "--csv", "-o", "/dev/full", env=env), HOST)
        self.assertIn("could not be written whole: No space left", done.stderr)
        said = self.exits(sipherd("export", fleet, "--csv", env=env), DONE).stdout
        rows = list(csv.DictReader(said.splitlines()))
        self.assertEqual(len(rows), 50)
        self.assertRegex(rows[7].pop("since"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(rows[7], {
            "index": "7", "user": "2000007", "address": "10.0.0.8", "port": "5060",
            "registered": "primary", "last_tried": "primary", "phase": "registered",
            "proxy": "192.0.2.1:5060"})
        said = self.exits(sipherd("export", fleet, "--sipp", env=env), DONE).stdout.splitlines()
        self.assertEqual(said[0], "SEQUENTIAL")
        self.assertEqual(said[9], "2000007;2000007;;192.0.2.1;192.0.2.1;5060;10.0.0.8;5060")
        path = os.path.join(self.folder, "secret.csv")
        self.exits(sipherd("export", fleet, "--sipp", "--secrets", "-o", path, env=env), DONE)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines()[9].split(";")[2], "very-secret-2000007")

    @needs_redis
    def test_the_feed(self):
        fleet = self.write("fleet.yaml", FAST + QUICK)
        run = Run(self, fleet, "--fault", "primary:crash@10s")
        run.wait_for(ALL_THERE)
        follower = subprocess.Popen([SIPHERD, "fleet", fleet, "--feed", "--json", "--for", "60s"],
                                    stdout=subprocess.PIPE, text=True,
                                    env=environment(SIPHERD_STATE=run.state))
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        away, landed, every = set(), set(), set(range(50))
        for line in map(holds, follower.stdout):
            if line.get("cause") == "keepalive-silence":
                away.add(line["phone"])
            if line.get("to_registered") and (line["to"], line["phase"]) == ("redundant",
                                                                             "registered"):
                landed.add(line["phone"])
            if away == landed == every:
                break
        self.assertEqual((away, landed), (every, every),
                         "each phone left the primary, and the feed said so")
        words = self.exits(sipherd("fleet", fleet, "--feed", "--for", "100ms",
                                   env={"SIPHERD_STATE": run.state}), DONE)
        self.assertEqual(words.stderr, "")

    @needs_redis
    def test_kill_9_ends_the_redis_server_too(self):
        run = Run(self, self.write("fleet.yaml", FLEET))
        found = run.wait_for(r"store: redis-server on unix:(\S+), pid (\d+)")
        run.wait_for(ALL_THERE)
        self.assertFalse(gone(int(found.group(2))))
        run.process.kill()
        run.process.wait()
        servers.wait(lambda: gone(int(found.group(2))), "the redis-server ends")

    @needs_redis
    def test_a_restarted_herd_goes_on_where_it_was_killed(self):
        fleet = self.write("fleet.yaml", FAST + QUICK)
        run = Run(self, fleet, "--fault", "primary:crash@2s")
        run.wait_for("all 50 phones registered at the redundant")
        run.process.kill()
        run.process.wait()
        path = os.path.join(self.folder, "s.json")
        run = Run(self, fleet, "--summary", path, "--fault", "primary:crash@0s", state=run.state)
        run.wait_for("all 50 phones registered at the redundant")
        run.stop()
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["phones"]["registered"]["redundant"], 50)
        self.assertEqual(told["registrars"]["primary"]["registrar_register"], 0)
        self.assertEqual(sum(told["switches"]["to_redundant"].values()), 0)

    def test_without_a_redis_server_on_the_image_file_alone(self):
        path = os.path.join(self.folder, "s.json")
        run = Run(self, self.write("fleet.yaml", FLEET + QUICK), "--summary", path,
                  env={"PATH": self.folder})
        run.wait_for(ALL_THERE)
        said = run.stop()
        warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
        self.assertEqual(len(warnings), 1, said)
        self.assertIn("redis-server", warnings[0])
        self.assertIn("image file", warnings[0])
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["store"]["kind"], "image")
        self.assertEqual(told["phones"]["registered"]["primary"], 50)
        self.assertRegex(said, r"\nstore   image file \S+/fleet\.0\.image alone\n")

    def test_none(self):
        state, path = os.path.join(self.folder, "state"), os.path.join(self.folder, "s.json")
        run = Run(self, self.write("fleet.yaml", FLEET + QUICK + "store: none\n"), "--summary", path,
                  state=state)
        run.wait_for(ALL_THERE)
        self.assertNotIn("store", run.stop())
        self.assertFalse(os.path.exists(state))
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["store"], {"kind": "none"})
        self.assertEqual(told["phones"]["registered"]["primary"], 50)

    def test_a_folder_that_cannot_be(self):
        file = self.write("file", "")
        done = sipherd("run", self.write("fleet.yaml", FLEET), "--for", "1s", "--state",
                       file + "/state")
        self.exits(done, HOST)
        self.assertIn("--state", done.stderr)


class Given(Case):
    """A redis-server that was there before."""

    def start(self, *options):
        if servers.missing():
            self.skipTest("not installed: " + " ".join(servers.missing()))
        redis = servers.single(*options)
        redis.__enter__()
        self.addCleanup(redis.end)
        return redis

    def test_two_generators_share_a_fleet(self):
        redis, paths = self.start(), [os.path.join(self.folder, f"{n}.json") for n in range(2)]
        fleet = self.write("fleet.yaml", FLEET.replace("phones: 50", "phones: 60000") +
                           f"store: {redis.url}\nramp: 60000/s\nlease: {{ ttl: 3s }}\n"
                           "keepalive: { period: 60s }\n".replace("keepalive", "# keepalive"))
        runs = [Run(self, fleet, "--summary", path, "--set", "keepalive.period=60s",
                    state=os.path.join(self.folder, str(n))) for n, path in enumerate(paths)]

        def split():
            told = json.loads(sipherd("fleet", fleet, "--json").stdout or "{}")
            shards = [node["shards"] for node in told.get("nodes", ()) if node["live"]]
            there = told.get("totals", {}).get("phones_registered_primary")
            return len(shards) == 2 and 0 not in shards and sum(shards) == 6 and there == 60000
        servers.wait(split, "both have shards, all phones are there, no phone is twice")
        for run in runs:
            self.assertRegex(run.stop(), r"\d0,000 of the fleet's 60,000 phones are driven here")
            if run is runs[0]:
                servers.wait(lambda: self.driven(fleet) == 6, "the other one takes them over")
        told = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                told.append(json.load(file))
        self.assertEqual([t["store"]["kind"] for t in told], ["unix", "unix"])
        self.assertEqual([t["store"]["redis"]["nodes"] for t in told], [2, 1])
        self.assertEqual(told[1]["store"]["redis"]["driven"], 6)
        self.assertNotEqual(told[0]["store"]["node"], told[1]["store"]["node"])
        for t in told:
            self.assertEqual(sum(sum(row.values()) for row in t["phones"].values()),
                             min(60000, t["store"]["redis"]["driven"] * 10000))

    @staticmethod
    def driven(fleet):
        told = json.loads(sipherd("fleet", fleet, "--json").stdout)
        return sum(node["shards"] for node in told["nodes"] if node["live"])

    def test_the_password_is_seen_nowhere(self):
        redis = self.start("--requirepass", "very-secret-redis")
        url = redis.url.replace("unix:", "unix://:very-secret-redis@")
        fleet, path = self.write("fleet.yaml", FLEET + QUICK), os.path.join(self.folder, "s.json")
        inside = self.write("inside.yaml", FLEET + QUICK + f"store: {url}\n")
        for arguments, env in (((fleet,), {"SIPHERD_STORE": url}), ((inside,), {}),
                               ((fleet, "--store", redis.url),
                                {"SIPHERD_STORE_PASSWORD": "very-secret-redis"}),
                               ((fleet, "--store", redis.url),
                                {"SIPHERD_STORE_PASSWORD_FILE":
                                 self.write("password", "very-secret-redis\n")})):
            with self.subTest(arguments=arguments, env=list(env)):
                run = Run(self, *arguments, "--summary", path, env=env)
                run.wait_for(ALL_THERE)
                ps = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True)
                self.assertIn(f"{run.process.pid}", ps.stdout)
                self.assertNotIn("very-secret", ps.stdout)
                said = run.stop(DONE)
                for command in (("check",), ("fleet",), ("fleet", "--json"), ("export", "--csv")):
                    said += self.exits(sipherd(command[0], *arguments, *command[1:], env=env),
                                       DONE).stdout
                with open(path, encoding="utf-8") as file:
                    summary = file.read()
                self.assertEqual(json.loads(summary)["store"]["kind"], "unix")
                self.assertNotIn("very-secret", said + summary)

    def test_a_password_on_the_command_line_is_refused(self):
        fleet = self.write("fleet.yaml", FLEET)
        for arguments in (("--store", "redis://:very-secret@192.0.2.9"),
                          ("--set", "store=unix://herd:very-secret@/run/redis.sock")):
            done = self.exits(sipherd("run", fleet, *arguments), USAGE)
            self.assertIn("SIPHERD_STORE_PASSWORD_FILE", done.stderr)
        # A user's name is no secret.
        self.exits(sipherd("check", fleet, "--store", "redis://herd@192.0.2.9"), DONE)

    def test_a_wrong_password(self):
        redis = self.start("--requirepass", "very-secret-redis")
        fleet, path = self.write("fleet.yaml", FLEET + QUICK), os.path.join(self.folder, "s.json")
        env = {"SIPHERD_STORE_PASSWORD": "very-secret-but-wrong"}
        done = sipherd("fleet", fleet, "--store", redis.url, env=env)
        self.exits(done, HOST)
        self.assertIn("refuses the log-in", done.stderr)
        # The herd runs on, and says what is wrong.
        run = Run(self, fleet, "--store", redis.url, "--summary", path, env=env)
        run.wait_for("warning: ")
        run.wait_for(ALL_THERE)
        run.stop()
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["phones"]["registered"]["primary"], 50)
        self.assertFalse(told["store"]["redis"]["connected"])

    def test_strict_phones_are_silent_without_a_store(self):
        fleet, path = self.write("fleet.yaml", FLEET + QUICK + "fence: strict\n"), \
            os.path.join(self.folder, "s.json")
        nobody = "unix:" + os.path.join(self.folder, "nobody.sock")
        sipherd("run", fleet, "--store", nobody, "--for", "5s", "--summary", path)
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["datagrams"]["planned"], 0)

    def test_the_least_rights_suffice(self):
        with open(os.path.join(os.path.dirname(TESTS), "store", "redis", "sipherd.acl"),
                  encoding="utf-8") as file:
            users = [line for line in file if line.startswith("user ")]
        acl = self.write("users.acl", "".join(users).replace(
            "WRITER-PASSWORD", "very-secret-w").replace("MONITOR-PASSWORD", "very-secret-m"))
        redis = self.start("--aclfile", acl)
        fleet = self.write("fleet.yaml", FAST + QUICK)
        run = Run(self, fleet, "--store", redis.url.replace("unix:", "unix://sipherd-writer@"),
                  env={"SIPHERD_STORE_PASSWORD": "very-secret-w"})
        run.wait_for(ALL_THERE)
        look = (fleet, "--store", redis.url.replace("unix:", "unix://sipherd-monitor@"))
        env = {"SIPHERD_STORE_PASSWORD": "very-secret-m"}

        def registered():
            done = sipherd("fleet", *look, "--json", env=env)
            return json.loads(done.stdout or "{}").get("totals", {}).get(
                "phones_registered_primary") == 50
        servers.wait(registered, "the monitor sees them")
        self.exits(sipherd("fleet", *look, "--phone", "7", env=env), DONE)
        self.exits(sipherd("export", *look, "--csv", env=env), DONE)
        done = self.exits(sipherd("fleet", *look, "--feed", "--for", "300ms", env=env), DONE)
        self.assertEqual(done.stderr, "")
        self.assertNotIn("very-secret", run.stop())

    def test_monitors_say_what_is_missing(self):
        redis = self.start()
        done = sipherd("fleet", "--store", redis.url, "--fleet", "other")
        self.exits(done, USAGE)
        self.assertIn("there is no fleet 'other' in this store", done.stderr)
        fleet = self.write("fleet.yaml", FLEET)
        done = sipherd("fleet", fleet, "--store", "unix:" + self.folder + "/none.sock")
        self.exits(done, HOST)
        self.assertIn("no Redis answers at unix:", done.stderr)
        done = sipherd("fleet", fleet, "--store", "redis://127.0.0.1:1")
        self.exits(done, HOST)
        self.assertIn("127.0.0.1 port 1", done.stderr)

    def test_a_monitor_does_not_trust_what_it_reads(self):
        redis = self.start()
        cli = redis.server[0].cli
        cli("HSET", "sipherd:{f}:meta", "schema", "1", "phones", "30000", "groups", "16")
        cli("HSET", "sipherd:{f}:nodes", "a\x1b[31m", "{}", "b", "no json", "c",
            '{"heartbeat":1e300,"shards":-1,"host":5}')
        cli("SET", "sipherd:{f.00}:l:0000", "not a hash")
        done = sipherd("fleet", "--store", redis.url, "--fleet", "f")
        self.exits(done, HOST)
        self.assertIn("WRONGTYPE", done.stderr)
        cli("DEL", "sipherd:{f.00}:l:0000")
        done = self.exits(sipherd("fleet", "--store", redis.url, "--fleet", "f"), DONE)
        self.assertNotIn("\x1b", done.stdout)
        self.not_even_eight_bits(redis.url, cli)
        cli("SET", "sipherd:{f.01}:s:0001", "short")
        for phone in ("0", "10000"):
            done = self.exits(sipherd("fleet", "--store", redis.url, "--fleet", "f", "--phone",
                                      phone), USAGE)
            self.assertIn("have never been driven", done.stderr)
        cli("HSET", "sipherd:{f}:meta", "schema", "2")
        done = self.exits(sipherd("fleet", "--store", redis.url, "--fleet", "f"), HOST)
        self.assertIn("schema 2", done.stderr)

    def not_even_eight_bits(self, url, cli):
        """Some terminals obey U+009B as they obey ESC [, and JSON takes UTF-8 only."""
        look = ("--store", url, "--fleet", "f")
        cli("HSET", "sipherd:{f}:nodes", "d\x9b31m\udcff", '{"host":"' + 79 * "h" + '\u00fc"}')
        cli("HSET", "sipherd:{f.00}:l:0000", "owner", "e\udc9b\udcff", "exp", "1")
        done = self.exits(sipherd("fleet", *look), DONE)
        self.assertTrue(done.stdout.isascii(), done.stdout)
        told = holds(self.exits(sipherd("fleet", *look, "--json"), DONE).stdout)
        self.assertIn("d??31m?", [node["node"] for node in told["nodes"]])
        self.assertEqual(told["shards"][0]["owner"], "e??")
        cli("DEL", "sipherd:{f.00}:l:0000")
        follower = subprocess.Popen([SIPHERD, "fleet", *look, "--feed", "--json", "--for", "60s"],
                                    stdout=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)

        def follows():
            cli("XADD", "sipherd:{f.00}:feed", "*", "s", "0", "n", "1", "d",
                "7 P>- k\udc9b cau\udcff 1 2\n")
            return select.select([follower.stdout], [], [], 0.2)[0]
        servers.wait(follows, "the follower has begun")
        line = json.loads(follower.stdout.readline())
        self.assertEqual((line["phase"], line["cause"]), ("k?", "cau?"))


class Many(Case):
    """Sentinel and cluster: run, then look, with the same words."""

    def check(self, kind):
        if servers.missing():
            self.skipTest("not installed: " + " ".join(servers.missing()))
        with kind() as redis:
            fleet = self.write("fleet.yaml", FLEET + QUICK + f"store: {redis.url}\n")
            run = Run(self, fleet)
            run.wait_for(ALL_THERE)

            def registered():
                done = sipherd("fleet", fleet, "--phone", "3", "--json")
                return done.returncode == DONE and \
                    json.loads(done.stdout)["phone"]["registered"] == "primary"
            servers.wait(registered, "phone 3 is seen")
            feed = self.exits(sipherd("fleet", fleet, "--feed", "--json", "--for", "1s"), DONE)
            self.assertEqual(feed.stderr, "")
            run.stop()
            done = self.exits(sipherd("export", fleet, "--csv"), DONE)
            rows = list(csv.DictReader(done.stdout.splitlines()))
            self.assertEqual({row["last_tried"] for row in rows}, {"primary"})
            self.assertEqual({row["phase"] for row in rows}, {"off"})

    def test_sentinel(self):
        self.check(servers.sentinel)

    def test_cluster(self):
        self.check(servers.cluster)


    def test_a_cluster_whose_slots_move_under_the_reader(self):
        if servers.missing():
            self.skipTest("not installed: " + " ".join(servers.missing()))
        with servers.cluster() as redis:
            group = next(g for g in range(256) if layout.slot(
                "{f." + layout.tag("f", g, True) + "}") < 5000)
            tag = "sipherd:{f." + layout.tag("f", group, True) + "}"
            source = next(server for server in redis.masters() if "MOVED" not in server.cli(
                "GET", tag, check=False))
            target = next(server for server in redis.masters() if server is not source)
            redis.masters()[0].cli("-c", "HSET", "sipherd:{f}:meta", "schema", "1", "phones",
                                   str((group + 1) * 10000), "groups", "256")
            source.cli("HSET", f"{tag}:l:{group:04}", "owner", "somebody", "token", "7", "exp", "1")
            look = ("fleet", "--store", redis.url, "--fleet", "f")
            follower = subprocess.Popen([SIPHERD, *look, "--feed", "--for", "60s"],
                                        stdout=subprocess.PIPE, text=True, env=environment())
            self.addCleanup(follower.communicate)
            self.addCleanup(follower.kill)

            def follows():
                source.cli("XADD", f"{tag}:feed", "*", "s", str(group), "n", "1", "d", "RESYNC")
                return select.select([follower.stdout], [], [], 0.2)[0]
            servers.wait(follows, "the follower has begun")
            # ASK: the key is there no more, the slot still is.
            redis.move_slot(layout.slot(tag), source, target, keep_open=True)
            source.cli("MIGRATE", "127.0.0.1", str(target.port), f"{tag}:l:{group:04}", "0", "5000")
            told = holds(self.exits(sipherd(*look, "--json"), DONE).stdout)
            self.assertEqual(told["shards"][group]["owner"], "somebody")
            # MOVED: whoever follows the feed is sent to the other server.
            redis.move_slot(layout.slot(tag), source, target)
            text = "3 P>r switching keepalive-silence 7 1795271275209"
            target.cli("XADD", f"{tag}:feed", "*", "s", str(group), "n", "1", "d", text)
            self.assertTrue(any("phone 3 " in line for line in follower.stdout))
            follower.terminate()
            follower.communicate(timeout=30)
            self.assertEqual(follower.returncode, DONE)


class Liar(Case):
    """No Redis at all: whoever listens there says what it likes."""

    def test_a_reply_without_measure(self):
        path = os.path.join(self.folder, "liar.sock")
        with socket.create_server(path, family=socket.AF_UNIX) as server:
            # Two billion elements, and no more of them than are asked for at a time.
            threading.Thread(target=self.answer, args=(server, b"*2147483647\r\n"), daemon=True).start()
            done = sipherd("fleet", "--store", "unix:" + path, "--fleet", "f")
        self.exits(done, HOST)
        self.assertIn("what it answers is without measure", done.stderr)

    def answer(self, server, words):
        client, _ = server.accept()
        with client:
            while client.recv(65536):
                client.sendall(words)


class Peek(Case):
    @needs_redis
    def test_the_demo_without_redis_cli(self):
        tools = os.path.join(self.folder, "tools")
        os.mkdir(tools)
        os.symlink(shutil.which("redis-server"), os.path.join(tools, "redis-server"))
        done = sipherd("demo", "--for", "1s", env={"PATH": tools})
        self.exits(done, DONE)
        self.assertIn("redis-cli is not installed", done.stdout)


if __name__ == "__main__":
    main()
