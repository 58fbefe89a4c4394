#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Breaks Redis in every way while phones are under churn, and afterwards wants Redis to hold the truth:
not one phone different, no thread stuck, memory flat, workers never blocked.

    faults.py --node build/tests/store/store_node [--scenario NAME]... [--seeds N] [--phones N]
              [--seed S] [--jobs N] [--minutes M] [--keep]

Every run prints its seed first; --seed S --seeds 1 --scenario NAME repeats it. What is asserted is
that Redis and the records become equal within a generous time; how long it took is printed.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import layout
import nodes
from lab import OPTIONS, Cluster, Sentinels, Server, until
from proxy import Proxy
from resp import RedisError

LIMIT_S = 30  # of what a test asserts; a loaded machine may be slow
GROWTH = 24 << 20  # bytes that a node may grow by: two feeds of 4 MiB, windows, allocator


class Run:
    """One scenario with one seed: servers, nodes, and what was seen."""

    def __init__(self, options, seed):
        self.options, self.seed = options, seed
        self.random = random.Random(seed)
        self.phones = options.phones
        self.folder = tempfile.mkdtemp(prefix="sipherd-faults-")
        self.shared = tempfile.mkdtemp(prefix="sipherd-faults-", dir=options.records)
        self.nodes, self.closing, self.server = [], [], None
        self.recovery_s = self.quiet = None
        self.notes = {}

    # ---- servers and nodes

    def one(self, *options):
        self.server = Server(self.folder, "one", 0, [*OPTIONS, *options])
        self.closing.append(self.server.kill)
        return self.server

    def node(self, name="a", target=None, **how):
        node = nodes.Node(self.options.node, self.folder, name,
                          target or f"unix:{self.server.socket}", self.phones,
                          self.random.getrandbits(63), wrapper=self.options.wrapper,
                          shared=self.shared, **how)
        self.nodes.append(node)
        self.closing.append(node.discard)
        return node

    @property
    def shards(self):
        return (self.phones + nodes.SHARD - 1) // nodes.SHARD

    def slabs(self, shards):
        """The slabs as they are in Redis; None or an error for those that are not there."""
        out = []
        with self.server.client(timeout=5) as client:
            for i in range(0, len(shards), 16):
                out += client.pipeline(
                    [("GET", layout.key("s", shard)) for shard in shards[i:i + 16]])
        return out

    # ---- churn

    def begin_churn(self):
        """Everything is driven, registered and in Redis; then churn as chance wants it."""
        for node in self.nodes:
            node.wait("to be connected", connected=1)
        until("every shard is driven", lambda: set().union(
            *(node.driven() for node in self.nodes)) == set(range(self.shards)), LIMIT_S)
        for node in self.nodes:
            node.ask("storm", 3, 300 + self.phones // 1000)
        for node in self.nodes:
            node.wait("to be registered", storming=0)
        self.memory = {node: node.memory() for node in self.nodes}
        self.quiet = self.random.random() < 0.1
        rate = 0 if self.quiet else self.random.choice([0.01, 0.1, 0.5]) * self.phones
        keepalives = self.random.choice([0, 0.1]) * self.phones
        for node in self.nodes:
            node.ask("rate", int(rate), int(keepalives))
            if not self.quiet and self.random.random() < 0.5:
                node.ask("storm", 3, self.random.randint(500, 3000))
        self.pause(0, 0.5)

    def pause(self, low, high):
        time.sleep(self.random.uniform(low, high))

    # ---- the end

    def recover(self, since, exact=False):
        """Seconds from `since` to the moment at which not one phone differs."""
        left = list(range(self.shards))
        while left:
            try:
                left = sorted(nodes.differing(self.slabs, self.nodes, left, exact))
            except (OSError, RedisError):
                pass
            if left and time.monotonic() > since + LIMIT_S:
                self.explain(left)
            if left:
                time.sleep(0.005)
        return time.monotonic() - since

    def explain(self, left):
        shard = left[0]
        slab = self.slabs([shard])[0]
        driver = [node for node in self.nodes if shard in node.driven()]
        what = [f"{len(left)} shards differ after {LIMIT_S} s: {left[:10]}",
                f"shard {shard} is driven by {[node.name for node in driver]}"]
        if driver and isinstance(slab, bytes):
            truth = driver[0].records(shard)
            phones = nodes.phones_differing(slab, truth)
            what.append(f"{len(phones)} phones of it differ: {phones[:10]}")
            for i in phones[:2]:
                part = slice(i * nodes.RECORD, (i + 1) * nodes.RECORD)
                what += [f"  Redis {slab[part].hex()}", f"  here  {truth[part].hex()}"]
        else:
            what.append(f"its slab: {slab!r}"[:200])
        for node in self.nodes:
            what += [f"{node.name}: {node.status()}", f"{node.name} said {node.said[-5:]}"]
        raise AssertionError("\n".join(what))

    def finish(self, since):
        """Churn stops, and what is in Redis must be what the nodes have."""
        self.answered = since
        for node in self.nodes:
            node.ask("pause")
        self.recovery_s = self.recover(since)
        for node in self.nodes:
            node.ask("mark")
        self.notes["exact_s"] = self.recover(time.monotonic(), exact=True)
        for node in self.nodes:
            self.judge(node, node.wait("to be idle", connected=1, dirty_shards=0, calls_waiting=0,
                                       lag_us=0))

    def judge(self, node, status):
        assert not status["refused"]
        end = time.monotonic() + LIMIT_S / 3
        while status["feed_lines"] + status["feed_dropped"] != status["transitions"]:
            assert time.monotonic() < end, f"of {status['transitions']} transitions " \
                f"{status['feed_lines']} were told and {status['feed_dropped']} counted"
            status = node.status()
        if self.options.wrapper:  # valgrind's threads wait for each other, and its memory is its own
            return
        # Page faults that meet the kernel's lock of the address space make some; a worker that waits
        # for the store would do so in every other round.
        assert status["switches"] <= 100 + status["rounds"] // 100, \
            f"a worker gave up the processor {status['switches']} times beside its naps"
        self.notes["switches"] = max(status["switches"], self.notes.get("switches", 0))
        self.notes["late_ms"] = max(status["late_us"] / 1000, self.notes.get("late_ms", 0))
        grown = node.memory() - self.memory.get(node, node.memory())
        assert grown < GROWTH, f"{node.name} has grown by {grown >> 10} KiB"

    def end(self):
        for node in self.nodes:
            node.quit()

    def close(self, keep):
        for function in reversed(self.closing):
            function()
        shutil.rmtree(self.shared, ignore_errors=True)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


# ---- what can happen to one server; each returns when a write is answered again

def sigkill_empty(run):
    run.server.kill()
    run.pause(0, 1.5)
    run.server.forget()
    run.server.start()
    return run.server.wait()


def sigkill_aof(run):
    run.server.kill()
    run.pause(0, 1.5)
    run.server.start()
    return run.server.wait()


def rollback(run):
    run.server("SAVE")
    run.pause(0.1, 1)
    run.server.kill()
    run.pause(0, 1)
    run.server.start()
    return run.server.wait()


def sigstop(run):
    run.server.freeze()
    time.sleep(5)
    run.server.thaw()
    return run.server.wait()


def debug_sleep(run):
    sleeper = run.server.send_only("DEBUG", "SLEEP", f"{run.random.uniform(0.3, 4):.2f}")
    assert sleeper.read() == "OK"
    sleeper.close()
    return run.server.wait()


def out_of_memory(run):
    run.server("CONFIG", "SET", "maxmemory", "1mb")
    if run.random.random() < 0.5:
        run.server("FLUSHALL")
    run.pause(0.2, 1.5)
    run.server("CONFIG", "SET", "maxmemory", "0")
    return run.server.wait()


def readonly(run):
    run.server("CONFIG", "SET", "replica-serve-stale-data", run.random.choice(["yes", "no"]))
    run.server("REPLICAOF", "127.0.0.1", "1")
    run.pause(0.2, 3)
    run.server("REPLICAOF", "NO", "ONE")
    return run.server.wait()


def loading(run):
    run.server("DEBUG", "POPULATE", 20000, "ballast", 100)
    run.server("SAVE")
    run.pause(0, 0.5)
    run.server.kill()
    run.server.start(["--key-load-delay", str(run.random.randint(20, 100)),
                      "--loading-process-events-interval-bytes", "1024"])
    return run.server.wait()


def flushall(run):
    run.server("FLUSHALL", run.random.choice(["SYNC", "ASYNC"]))
    return run.server.wait()


def function_flush(run):
    run.server("FUNCTION", "FLUSH")
    return run.server.wait()


def flushall_unnoticed(run):
    """No phone changes that could tell: a lease that cannot be renewed does."""
    for node in run.nodes:
        node.ask("pause")
    run.recover(time.monotonic())
    return flushall(run)


def slabs_deleted(run):
    """Only slabs, so that the leases stay good: the flush that makes them anew has to tell."""
    keys = [layout.key("s", shard) for shard in range(run.shards)]
    run.server("DEL", *run.random.sample(keys, run.random.randint(1, len(keys))))
    since = run.server.wait()
    # Nobody notices before the next transition of the shard, or the sweep.
    for node in run.nodes:
        node.ask("rate", run.phones // 10, 0)
    run.pause(0.1, 0.3)
    return since


def flush_everything(run):
    with run.server.client() as client:
        client.pipeline([("MULTI",), ("FLUSHALL",), ("FUNCTION", "FLUSH"), ("EXEC",)])
    return run.server.wait()


def busy(run):
    run.server("CONFIG", "SET", "busy-reply-threshold", "100")
    script = run.server.send_only("EVAL", "while true do end", 0)
    run.pause(0.3, 3)
    until("the script is ended", lambda: run.server("SCRIPT", "KILL") == "OK")
    script.close()
    return run.server.wait()


def wrong_password(run):
    run.server("ACL", "SETUSER", "writer", "resetpass", ">other")
    run.server("CLIENT", "KILL", "USER", "writer")
    run.pause(0.2, 2)
    run.server("ACL", "SETUSER", "writer", "resetpass", ">secret")
    return run.server.wait()


def client_kill(run):
    for _ in range(run.random.randint(1, 20)):
        with run.server.client() as client:
            client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        run.pause(0, 0.1)
    return run.server.wait()


def cut(run):
    run.proxy.cutting = True
    wanted = run.random.randint(1, 6)
    until("the connection is cut", lambda: run.proxy.cuts >= wanted, LIMIT_S)
    run.proxy.cutting = False
    run.notes["cuts"] = run.proxy.cuts
    return run.server.wait()


def last_tried_is_kept(run, before, node):
    """Phones that were adopted and did nothing since: each begins where it was."""
    for shard in range(run.shards):
        now = node.records(shard)
        for i in range(0, len(now), nodes.RECORD):
            assert before[shard][i] >> 2 & 3 == now[i] >> 2 & 3, \
                f"phone {shard * nodes.SHARD + i // nodes.RECORD} forgot the proxy it last tried"


def on_one_server(fault, *options):
    """A scenario: one server, one node, one fault."""
    def scenario(run):
        run.one(*options).start()
        run.server.wait()
        run.node()
        run.begin_churn()
        since = fault(run)
        run.pause(0, 0.3)
        run.finish(since)
    return scenario


def with_password(run):
    run.one().start()
    run.server.wait()
    run.server("ACL", "SETUSER", "writer", "on", ">secret", "~*", "&*", "+@all")
    run.node(target=f"unix://writer:secret@{run.server.socket}")
    run.begin_churn()
    since = wrong_password(run)
    run.finish(since)


def begin_proxy(run, largest):
    run.one().start()
    run.server.wait()
    path = os.path.join(run.folder, "proxy.sock")
    run.proxy = Proxy(path, run.server.socket, run.random, largest)
    run.closing.append(run.proxy.close)
    return run.node(target=f"unix:{path}")


def with_proxy(run):
    node = begin_proxy(run, 3000)
    run.begin_churn()
    node.ask("rate", run.phones // 10, 0)  # replies must come for one to be cut
    run.quiet = False
    since = cut(run)
    run.finish(since)


def cut_loading(run):
    """A node that has forgotten everything reads the slabs over a connection that breaks in them."""
    first = begin_proxy(run, 1500000)
    run.begin_churn()
    first.ask("pause")
    run.recover(time.monotonic())
    first.ask("mark")
    run.recover(time.monotonic(), exact=True)
    before = [first.records(shard) for shard in range(run.shards)]
    first.ask("leave")
    first.wait("to be quiet", quiet=1)
    first.quit()
    run.nodes.clear()
    run.memory = {}
    again = run.node("b", target=f"unix:{run.proxy.path}")
    run.proxy.cutting = True
    wanted = run.random.randint(1, 6)
    until("the connection is cut, or everything is read all the same", lambda:
          run.proxy.cuts >= wanted or len(again.driven()) == run.shards, LIMIT_S)
    run.proxy.cutting = False
    run.notes["cuts"] = run.proxy.cuts
    since = run.server.wait()
    until("every shard is driven again", lambda: len(again.driven()) == run.shards, LIMIT_S)
    # Leases that may be others' are asked for after a third of the ttl.
    run.notes["adopted_s"] = time.monotonic() - since
    run.finish(time.monotonic())
    last_tried_is_kept(run, before, again)


def absent(run):
    """The node is there first; phones that it drives alone are in Redis as soon as that comes."""
    run.one()
    node = run.node()
    run.pause(0, 5)
    run.server.start()
    run.server.wait()
    run.begin_churn()
    since = time.monotonic()
    run.finish(since)
    run.notes["unleased"] = node.status()["unleased"]


def absent_long(run):
    """Nobody answers for so long that the node drives its phones alone; then Redis comes."""
    run.one()
    node = run.node()
    until("phones are driven without Redis", lambda: len(node.driven()) == run.shards)
    node.ask("storm", 3, 300)
    node.ask("rate", run.phones // 10, 0)
    run.pause(0, 1)
    run.memory = {}
    run.server.start()
    since = run.server.wait()
    run.pause(0, 0.3)
    run.finish(since)
    node.wait("to hold every lease", unleased=0)


def sentinel(run):
    lab = Sentinels([], down_after_ms=500)
    with lab:
        run.server = lab.server[0]
        run.node(target=lab.url)
        run.begin_churn()
        lab.server[0].kill()
        run.server = until("a new master that a Sentinel names", lab.named)
        since = time.monotonic()
        if run.random.random() < 0.5:  # the old one comes back as a master, and is told to follow
            lab.server[0].start()
        run.finish(since)


def slabs_of(cluster, shards):
    """What Run.slabs does for one server."""
    out = {}
    keys = {shard: layout.key("s", shard, cluster=True) for shard in shards}
    for first, last, server in cluster.ranges():
        here = [shard for shard in shards if first <= layout.slot(keys[shard]) <= last]
        if here:
            with server.client() as client:
                out.update(zip(here, client.pipeline([("GET", keys[s]) for s in here])))
    return [out.get(shard) for shard in shards]


def begin_cluster(run, cluster):
    run.slabs = lambda shards: slabs_of(cluster, shards)
    run.node(target=cluster.url)
    run.begin_churn()


def cluster_kill(run):
    with Cluster(["--cluster-replica-validity-factor", "0"], 1000) as cluster:
        begin_cluster(run, cluster)
        cluster.server[run.random.randrange(3)].kill()
        run.finish(cluster.wait())


def cluster_migration(run):
    with Cluster([], 1000) as cluster:
        begin_cluster(run, cluster)
        slots = {layout.slot(layout.key("s", shard, cluster=True)) for shard in range(run.shards)}
        slots.add(layout.slot("sipherd:{f1}:meta"))
        masters = [server for _, _, server in cluster.ranges()]
        for slot in run.random.sample(sorted(slots), min(len(slots), 10)):
            source = cluster.owner(slot)
            cluster.move_slot(slot, source, run.random.choice(
                [server for server in masters if server is not source]))
        run.finish(cluster.wait())


# ---- two nodes

def begin_two(run, **how):
    """Two nodes share the shards by half, roughly, with leases of one second."""
    run.one().start()
    run.server.wait()
    for name in ("a", "b"):
        run.node(name, ttl_ms=1000, sessions=True, **how)
    for node in run.nodes:
        node.wait("to know the other", nodes=2)
    until("each has its share and all are driven", lambda: sum(
        bool(node.driven()) * len(node.driven()) for node in run.nodes) == run.shards and
        all(node.driven() for node in run.nodes), LIMIT_S)
    run.begin_churn()
    for node in run.nodes:
        # Churn that a judge can look at: each phone's step is noted.
        node.ask("rate", run.phones // 20, 0)


def driven_once(run):
    """No two nodes acted for phones of one shard at the same time, ever."""
    spans = []
    for node in run.nodes + run.gone:
        spans += [(shard, first, last, node.name) for shard, first, last in node.sessions()]
    spans.sort()
    latest = {}
    for shard, first, last, name in spans:
        for other, (begin, end) in latest.get(shard, {}).items():
            assert other == name or first >= end, (
                f"shard {shard}: {other} acted from {begin} to {end} us, {name} from {first} to "
                f"{last} us: {(end - first) / 1e3:.1f} ms at the same time")
        mine = latest.setdefault(shard, {})
        begin, end = mine.get(name, (first, 0))
        mine[name] = (begin, max(end, last))
    run.notes["sessions"] = len(spans)


def finish_two(run, since):
    until("every shard is driven by one node", lambda: sorted(
        shard for node in run.nodes for shard in node.driven()) == list(range(run.shards)), LIMIT_S)
    run.notes["taken_over_s"] = time.monotonic() - since
    run.finish(time.monotonic())
    driven_once(run)


def two_kill(run):
    begin_two(run)
    gone = run.nodes.pop(run.random.randrange(2))
    run.gone.append(gone)
    gone.kill()
    finish_two(run, time.monotonic())


def two_pause(run):
    begin_two(run)
    sleeper = run.nodes[run.random.randrange(2)]
    sleeper.signal(signal.SIGSTOP)
    time.sleep(run.random.uniform(0.2, 5))
    sleeper.signal(signal.SIGCONT)
    since = time.monotonic()
    until("they know each other again", lambda: all(
        node.status()["nodes"] == 2 for node in run.nodes), LIMIT_S)
    finish_two(run, since)


def two_rollback(run):
    begin_two(run)
    since = rollback(run)
    finish_two(run, since)


def two_empty(run):
    begin_two(run)
    since = sigkill_empty(run)
    finish_two(run, since)


def two_rollback_to_one(run):
    """The dump is of a time when the first had everything."""
    run.one().start()
    run.server.wait()
    first = run.node("a", ttl_ms=1000, sessions=True)
    first.wait("to drive all", driven=run.shards)
    run.server("SAVE")
    run.node("b", ttl_ms=1000, sessions=True)
    until("each has its share and all are driven", lambda: all(
        node.driven() for node in run.nodes) and sum(
        len(node.driven()) for node in run.nodes) == run.shards, LIMIT_S)
    run.begin_churn()
    run.server.kill()
    run.pause(0, 2)
    run.server.start()
    finish_two(run, run.server.wait())


def two_join_and_leave(run):
    begin_two(run)
    run.node("c", ttl_ms=1000, sessions=True)
    until("the third has its share", lambda: run.nodes[2].driven(), LIMIT_S)
    run.memory[run.nodes[2]] = run.nodes[2].memory()
    run.pause(0, 1)
    leaver = run.nodes.pop(run.random.randrange(3))
    run.gone.append(leaver)
    leaver.ask("leave")
    leaver.wait("to be quiet", quiet=1)
    leaver.quit()
    finish_two(run, time.monotonic())


def restart(run):
    """kill -9 and start again with the image file: what it had not sent is in Redis afterwards."""
    run.one().start()
    run.server.wait()
    first = run.node(image=True, ttl_ms=1000)
    run.begin_churn()
    first.kill()
    before = [bytes(first.records(shard)) for shard in range(run.shards)]
    run.nodes.clear()
    if run.random.random() < 0.3:
        run.server("FLUSHALL")
    again = run.node(image=True, ttl_ms=1000)
    since = time.monotonic()
    run.memory = {}
    until("every shard is driven again", lambda: len(again.driven()) == run.shards, LIMIT_S)
    run.finish(since)
    last_tried_is_kept(run, before, again)


SCENARIOS = {
    "sigkill-empty": on_one_server(sigkill_empty),
    "sigkill-aof": on_one_server(sigkill_aof, "--appendonly", "yes"),
    "rollback": on_one_server(rollback),
    "sigstop": on_one_server(sigstop),
    "debug-sleep": on_one_server(debug_sleep),
    "oom": on_one_server(out_of_memory),
    "readonly": on_one_server(readonly),
    "loading": on_one_server(loading),
    "flushall": on_one_server(flushall),
    "flushall-unnoticed": on_one_server(flushall_unnoticed),
    "function-flush": on_one_server(function_flush),
    "slabs-deleted": on_one_server(slabs_deleted),
    "flush-everything": on_one_server(flush_everything),
    "busy": on_one_server(busy),
    "client-kill": on_one_server(client_kill),
    "wrong-password": with_password,
    "cut": with_proxy,
    "cut-loading": cut_loading,
    "absent": absent,
    "absent-long": absent_long,
    "sentinel": sentinel,
    "cluster-kill": cluster_kill,
    "cluster-migration": cluster_migration,
    "restart": restart,
    "two-kill": two_kill,
    "two-pause": two_pause,
    "two-rollback": two_rollback,
    "two-rollback-to-one": two_rollback_to_one,
    "two-empty": two_empty,
    "two-join-and-leave": two_join_and_leave,
}

STEADY = [sigkill_empty, rollback, debug_sleep, out_of_memory, readonly, flushall, function_flush,
          flush_everything, busy, client_kill]


def steady(run):
    """Fault after fault for minutes: memory after the first fifth is memory at the end."""
    run.one().start()
    run.server.wait()
    node = run.node()
    run.begin_churn()
    begun, warm, faults = time.monotonic(), None, 0
    end = begun + run.options.minutes * 60
    while time.monotonic() < end:
        since = run.random.choice(STEADY)(run)
        node.ask("pause")
        run.recovery_s = max(run.recovery_s or 0, run.recover(since))
        node.ask("resume")
        faults += 1
        if warm is None and time.monotonic() > begun + run.options.minutes * 12:
            warm = node.memory()
    grown = node.memory() - warm
    run.notes.update(faults=faults, grown_kib=grown >> 10, warm_kib=warm >> 10)
    worst = run.recovery_s
    run.finish(time.monotonic())
    run.recovery_s = worst
    assert grown < 4 << 20, f"memory has grown by {grown >> 10} KiB in {faults} faults"


def once(name, scenario, options, seed):
    run = Run(options, seed)
    run.gone = []
    if name.startswith("two-"):
        run.phones = max(run.phones, 10 * nodes.SHARD)  # so that everybody gets a share
    print(f"{name} seed {seed} ...", end=" ", flush=True)
    good = False
    begun = time.monotonic()
    try:
        scenario(run)
        run.end()
        good = True
        notes = " ".join(f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}"
                         for key, value in run.notes.items())
        print(f"ok, equal {run.recovery_s:.3f} s after Redis answered"
              f"{' (no churn)' if run.quiet else ''}; {notes}; took {time.monotonic() - begun:.1f} s",
              flush=True)
        if run.recovery_s > 2:
            for node in run.nodes:
                print(*(f"    {node.name} said {when - run.answered:+.2f} s: {what}"
                        for when, what in node.said[-12:]), sep="\n")
    except (AssertionError, nodes.Died, OSError, RedisError, ValueError) as error:
        print(f"FAILED: {type(error).__name__}: {error}", flush=True)
        traceback.print_exc(file=sys.stdout)
        for node in run.nodes + run.gone:
            with open(node.log.name, encoding="utf-8", errors="replace") as file:
                print(f"--- {node.name}:", *file.readlines()[-30:], sep="\n", end="")
        if options.keep:
            print(f"\nkept {run.folder}")
    finally:
        run.close(options.keep and not good)
    return good, run


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", required=True)
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--phones", type=int, default=100000)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--wrapper", default="", help="words before the node's, as valgrind -q")
    parser.add_argument("--records", default="/dev/shm", help="where the phones' records lie")
    parser.add_argument("--keep", action="store_true", help="folders of failed runs")
    options = parser.parse_args(arguments)
    options.wrapper = options.wrapper.split()
    if options.minutes:
        options.seeds = 1
    return options


def run_here(options, names, first):
    """(scenario, seconds until it was equal) of runs under churn that went well, and what failed."""
    recovered, failed = [], []
    for name in names:
        for i in range(options.seeds):
            good, run = once(name, SCENARIOS.get(name, steady), options, first + i)
            if not good:
                failed.append(f"{name} --seed {first + i}")
            elif not run.quiet:
                recovered.append((name, run.recovery_s))
    return recovered, failed


def run_beside(options, names, first):
    """The same, several scenarios at a time, each in a process of its own."""
    def one(name):
        words = [sys.executable, os.path.abspath(__file__), "--scenario", name, "--seed", str(first)]
        for key in ("node", "seeds", "phones", "records"):
            words += [f"--{key}", str(getattr(options, key))]
        words += ["--wrapper=" + " ".join(options.wrapper)] + ["--keep"] * options.keep
        text = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout
        print(text.split("\nworst recovery", 1)[0], flush=True)
        return text
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        text = "\n".join(pool.map(one, names))
    recovered = [(name, float(seconds)) for name, seconds in re.findall(
        r"^(\S+) seed \d+ \.\.\. ok, equal (\S+) s after Redis answered;", text, re.MULTILINE)]
    failed = re.findall(r"^FAILED: --scenario (.*) --seeds 1$", text, re.MULTILINE)
    runs = len(re.findall(r"^\S+ seed \d+ \.\.\. ok", text, re.MULTILINE)) + len(failed)
    if runs != len(names) * options.seeds:
        failed.append(f"{len(names) * options.seeds - runs} runs ended without a result")
    return recovered, failed


def main():
    options = parse(sys.argv[1:])
    if shutil.which("redis-server") is None:
        print("skipped: no redis-server; apt-get install redis-server")
        return 77
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(31)
    names = ["steady"] if options.minutes else options.scenario or list(SCENARIOS)
    run = run_beside if options.jobs > 1 else run_here
    recovered, failed = run(options, names, first)
    print("\nworst recovery under churn, s after Redis answered:")
    worst = {name: max(seconds for other, seconds in recovered if other == name)
             for name, _ in recovered}
    for name, seconds in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"  {name:20} {seconds:.3f}")
    for text in failed:
        print(f"FAILED: --scenario {text} --seeds 1")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
