# SPDX-License-Identifier: BSD-3-Clause
"""Several generators, one herd: who drives which phone, by the word of the wire, of Redis and of the
proxies. Cases of run.py.

A shard has 10,000 phones, so that a herd that three are to share needs more than twice that: three
shards, the last of them small. A shard's phones have ten addresses with a thousand ports each.
"""

import collections
import os
import re
import shutil
import signal
import time

import judge
from herd import SHARED_PORTS
from lab import ADDRESS, GENERATORS, PRIMARY, SIDES, Failure, say, wait_until
from store import SHARD, Redis

FLEET = "wire-shared"
PHONES = 21000
RAMP_PER_S = 2000
PERIOD_S = 30
FIRST, SECOND, THIRD = GENERATORS
SLACK_S = 3.0  # of a busy machine, on top of the bound
CONDITION = "arp or icmp6 or (udp and dst port 5060)"
HEADERS = 128  # bytes of a frame that tell who sent it


def bound_s(ttl_s):
    """Until the last lease of a dead generator has been taken over."""
    return ttl_s + ttl_s / 3 + 0.5


class Shared:
    """The generators of one case with their Redis and a capture of all that reaches the proxies."""

    def __init__(self, stage, version=4, ttl_s=10):
        self.stage = stage
        self.lab = stage.lab
        self.version = version
        self.ttl_s = ttl_s
        self.redis = Redis(self.lab)
        self.generators = {}
        self.first_phone = {}  # of an address
        self.mac = {}
        stage.proxies_up()

    def add(self, name):
        herd = self.stage.herd(
            "shared", PHONES, version=self.version, host=name, store=self.redis.url, state=name,
            ttl=f"{self.ttl_s}s", ramp=f"{RAMP_PER_S}/s", period=f"{PERIOD_S}s", first="spread",
            no_response="16s")
        self.generators[name] = herd
        self.mac[name] = self.lab.hardware(name, "link0")
        self.first_phone = {address: n for n, (address, port) in enumerate(herd.expected.values())
                            if n % SHARED_PORTS == 0}
        herd.start()

    def herd(self):
        """Any of them: they have the same fleet."""
        return next(iter(self.generators.values()))

    def check_running(self):
        for herd in self.generators.values():
            herd.check_running()

    # -- who has what -------------------------------------------------------------------------

    def owners(self):
        """{shard: generator}, by the leases in Redis."""
        return {shard: node.split("-")[0]
                for shard, node in self.redis.owners(FLEET, PHONES).items()}

    def shard_of(self, address, port):
        return (self.first_phone[address] + port - 5060) // SHARD

    def addresses_of(self, shards):
        return {address for address, port in self.herd().expected.values()
                if self.shard_of(address, port) in shards}

    def users_of(self, shards):
        return {user for user, place in self.herd().expected.items()
                if self.shard_of(*place) in shards}

    def wait_leases(self, what, wanted, seconds):
        """Until the leases are as this says, {shard: generator}."""
        def probe():
            self.check_running()
            owners = self.owners()
            return owners == wanted, ", ".join(map(str, sorted(owners.items())))
        wait_until(what, probe, seconds, 0.1)

    def join(self, name):
        """One more generator, which is to have a share; not all, where others are. Who has which shard
        depends on the nodes' names, and these on a number drawn with the image file: another one
        until it comes out so. Returns who has which shard once nothing moves any more."""
        for attempt in range(16):
            # An unlucky name of the one before (one in 500 or so) is drawn again, too.
            if attempt % 4 == 3 and len(self.generators) == 1:
                first = next(iter(self.generators))
                self.drop(first)
                self.add(first)
            self.add(name)
            owners = self.settled(name)
            shares = collections.Counter(owners.values())
            say(f"    {name} joins: " + ", ".join(f"{n} has {shares[n]}" for n in self.generators))
            if shares[name] and (len(self.generators) != 2 or len(shares) == 2):
                return owners
            self.drop(name)
        raise Failure(f"{name} has got no share under any name")

    def settled(self, name):
        """The leases, when all are given and have not changed for a while."""
        seen, since = None, time.monotonic()

        def probe():
            nonlocal seen, since
            self.check_running()
            owners = self.owners()
            running = re.search(r"^link ", self.generators[name].process.text(), re.M)
            if owners != seen or len(owners) < len(self.shards()) or not running:
                seen, since = owners, time.monotonic()
            return time.monotonic() - since > 2.5, f"{len(owners)} leases"
        wait_until("leases settle", probe, 30, 0.1)
        return seen

    def drop(self, name):
        """It leaves, and forgets who it was."""
        herd = self.generators.pop(name)
        herd.interrupt()
        herd.finish()
        shutil.rmtree(herd.state)

    @staticmethod
    def shards():
        return range((PHONES + SHARD - 1) // SHARD)

    # -- phones at the proxy ------------------------------------------------------------------

    def accepted(self):
        """REGISTERs that the primary has accepted; a table of so many phones takes long to ask for."""
        return self.stage.proxy[PRIMARY].statistic("accepted_regs")

    def wait_registered(self, what, users, before, since, seconds):
        """Until these users have registered since, and have another binding than before. Returns the
        bindings of now, {user: Call-ID}."""
        calls = {}

        def probe():
            self.check_running()
            fresh = self.accepted() - since
            if fresh < len(users):
                return False, f"{fresh} REGISTERs accepted for {len(users)} phones"
            table = self.stage.proxy[PRIMARY].table()
            self.herd().check_contacts(table)
            calls.update((user, contact.call_id) for user, contact in table.items())
            fresh = sum(1 for user in users if user in calls and calls[user] != before.get(user))
            return fresh == len(users), f"{fresh} of {len(users)}"
        wait_until(what, probe, seconds)
        if calls.keys() != self.herd().expected.keys():
            raise Failure(f"{what}: {len(calls)} bindings for {PHONES} phones")
        return calls

    def begin(self, *names):
        """All phones registered, driven by these generators. Returns who has which shard, and the
        bindings."""
        for name in names:
            owners = self.join(name)
        calls = self.wait_registered("registered at the primary", self.herd().expected.keys(), {}, 0,
                                     90)
        return owners, calls

    # -- the judge ----------------------------------------------------------------------------

    def capture(self):
        """Begun, and with so much in it that each shard's phones have been seen."""
        interfaces = [self.lab.interface(side) + "b" for side in SIDES]
        capture = self.stage.capture("shared", *interfaces, condition=CONDITION, length=HEADERS)
        self.see_more(capture)
        return capture

    @staticmethod
    def see_more(capture):
        """Until about a thousand more datagrams are in the file: keep-alives, of all shards."""
        before = os.path.getsize(capture[1])
        wait_until("phones are watched", lambda: (
            os.path.getsize(capture[1]) - before > 1000 * HEADERS,
            f"{os.path.getsize(capture[1]) - before} bytes"), 30, 0.1)

    def judge_turns(self, path, expected):
        """Each shard's phones were driven by these generators, one after the other."""
        names = {mac: name for name, mac in self.mac.items()}
        rows = judge.senders(path, [ADDRESS[side][self.version] for side in SIDES])
        turns = {shard: [names.get(mac, mac) for mac in macs]
                 for shard, macs in judge.turns(rows, self.shard_of).items()}
        for shard in self.shards():
            if turns.get(shard) != expected[shard]:
                said = turns.get(shard, [])
                raise Failure(f"shard {shard} was driven by {' '.join(said[:9])} ({len(said)} "
                              f"turns), not by {' '.join(expected[shard])}")
        say(f"    tshark: {len(rows)} datagrams of phones, no phone driven twice: "
            + "; ".join(f"{shard} {' then '.join(turn)}" for shard, turn in sorted(turns.items())))
        return rows

    def judge_announcements(self, path, shards, name):
        """Each address of these shards was announced twice by its new owner, about a second apart,
        and the primary's kernel believes it."""
        found = judge.announcements(path)
        addresses = self.addresses_of(shards)
        for address in addresses:
            times = found.get((self.mac[name], address), [])
            if len(times) < 2 or not 0.5 < times[1] - times[0] < 5:
                raise Failure(f"{address} was not announced twice by {name}: {times}")
        self.check_neighbours(addresses, name)
        kind = "gratuitous ARP" if self.version == 4 else "unsolicited advertisement"
        say(f"    tshark: {len(addresses)} addresses announced twice by {name}, {kind}")

    def check_neighbours(self, addresses, name):
        known = self.lab.ip(PRIMARY, f"-{self.version}", "neigh", "show", "dev",
                            self.lab.interface(PRIMARY)).stdout
        for address in addresses:
            line = re.search(rf"^{re.escape(address)} .*", known, re.M)
            if not line or self.mac[name] not in line.group():
                raise Failure(f"the primary does not send to {name} for {address}: "
                              f"{line.group() if line else 'no entry'}")

    def end(self):
        """Ctrl-C for all that still run; their own account has nothing strange."""
        running = [herd for herd in self.generators.values() if herd.process.running()]
        for herd in running:
            herd.interrupt()
        for herd in running:
            herd.finish()
            for name in ("message_malformed", "response_mismatch", "register_auth_failed",
                         "register_rejected", "challenge_unusable"):
                if herd.counter(name):
                    raise Failure(f"{herd.name}: counter {name} is {herd.counter(name)}")
        for proxy in self.stage.proxy.values():
            complaints = proxy.complaints()
            if complaints:
                raise Failure(f"kamailio {proxy.side} complains: {complaints[0]}")


def case_takeover(stage):
    """SIGKILL one of two generators: the other has its phones within the bound, addresses too."""
    shared = Shared(stage)
    owners, calls = shared.begin(FIRST, SECOND)
    lost = {shard for shard, owner in owners.items() if owner == FIRST}
    users = shared.users_of(lost)
    capture = shared.capture()
    since = shared.accepted()
    killed = time.time()
    shared.generators.pop(FIRST).process.kill()
    shared.wait_leases("SIGKILL: leases", dict.fromkeys(owners, SECOND),
                       bound_s(shared.ttl_s) + SLACK_S)
    shared.wait_registered("its phones registered by the other", users, calls, since, 60)
    path = stage.captured(capture)
    rows = shared.judge_turns(path, {
        shard: [FIRST, SECOND] if shard in lost else [SECOND] for shard in shared.shards()})
    firsts = {}
    for at, mac, address, port in rows:
        if mac == shared.mac[SECOND] and shared.shard_of(address, port) in lost:
            firsts.setdefault((address, port), at - killed)
    limit = bound_s(shared.ttl_s) + len(users) / RAMP_PER_S
    last = max(firsts.values())
    say(f"    {len(firsts)} phones taken over {min(firsts.values()):.1f} to {last:.1f} s after the "
        f"SIGKILL, the bound is {bound_s(shared.ttl_s):.1f} s and the ramp "
        f"{len(users) / RAMP_PER_S:.1f} s")
    if len(firsts) != len(users) or last > limit + SLACK_S:
        raise Failure(f"not all of {len(users)} phones were taken over within {limit:.1f} s")
    shared.judge_announcements(path, lost, SECOND)
    shared.end()


def said(process, heard, words):
    """Probe: a line of its output after so many characters has one of these words."""
    def probe():
        lines = [line.strip() for line in process.text()[heard:].splitlines()
                 if re.search(words, line)]
        return bool(lines), " / ".join(lines)
    return probe


def case_stale(stage):
    """SIGSTOP one of two generators until the other has its phones, then SIGCONT."""
    shared = Shared(stage, ttl_s=4)
    owners, calls = shared.begin(FIRST, SECOND)
    lost = {shard for shard, owner in owners.items() if owner == FIRST}
    users = shared.users_of(lost)
    stale = shared.generators[FIRST].process
    capture = shared.capture()
    since = shared.accepted()
    stale.signal(signal.SIGSTOP)
    shared.wait_leases("SIGSTOP: leases", dict.fromkeys(owners, SECOND),
                       bound_s(shared.ttl_s) + SLACK_S)
    calls = shared.wait_registered("its phones registered by the other", users, calls, since, 60)
    shared.see_more(capture)
    since = shared.accepted()
    records = shared.redis.records(FLEET, PHONES)
    heard = len(stale.text())
    stale.signal(signal.SIGCONT)
    wait_until("SIGCONT: it says so", said(stale, heard, "stood still"), 15, 0.05)
    wait_until("and what it lost", said(stale, heard, "[*] 0 of the fleet's"), 15, 0.05)
    shared.wait_leases("it gets its share again", owners, 30)
    shared.wait_registered("its phones registered by itself", users, calls, since, 60)
    path = stage.captured(capture)
    shared.judge_turns(path, {shard: [FIRST, SECOND, FIRST] if shard in lost else [SECOND]
                              for shard in shared.shards()})
    shared.judge_announcements(path, lost, FIRST)
    back = [n for n, (old, new) in enumerate(zip(records, shared.redis.records(FLEET, PHONES)))
            if not new or not old or new.since < old.since]
    if back:
        raise Failure(f"records of {len(back)} phones in Redis went back in time, first {back[0]}")
    say("    Redis: no phone's record went back to what the stale generator knew")
    shared.end()
    counters = shared.generators[FIRST].summary["store"]["redis"]["counters"]
    if counters["pauses"] != 1 or counters["leases_lost"] < len(lost):
        raise Failure(f"the stale generator's own account: {counters}")


def case_joins(stage):
    """A third generator joins over IPv6 and gets its share; then it leaves, and gives it back."""
    shared = Shared(stage, version=6, ttl_s=4)
    before, calls = shared.begin(FIRST, SECOND)
    capture = shared.capture()
    since = shared.accepted()
    owners = shared.join(THIRD)
    gained = {shard for shard, owner in owners.items() if owner == THIRD}
    other = {shard for shard in shared.shards() if owners[shard] != before[shard]}
    if gained != other:
        raise Failure(f"shards {sorted(other)} moved, but the third has {sorted(gained)}")
    users = shared.users_of(gained)
    calls = shared.wait_registered("its phones registered", users, calls, since, 60)
    shared.see_more(capture)
    since = shared.accepted()
    third = shared.generators[THIRD]
    third.interrupt()
    third.finish()
    del shared.generators[THIRD]
    shared.wait_leases("it left: leases", before, 10)
    shared.wait_registered("its phones registered by the others", users, calls, since, 60)
    path = stage.captured(capture)
    shared.judge_turns(path, {shard: [before[shard]] if shard not in gained else
                              [before[shard], THIRD, before[shard]]
                              for shard in shared.shards()})
    for name in set(before[shard] for shard in gained):
        shared.judge_announcements(path, {s for s in gained if before[s] == name}, name)
    shared.end()


CASES = {"takeover": case_takeover, "stale": case_stale, "joins": case_joins}
