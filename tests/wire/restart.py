# SPDX-License-Identifier: BSD-3-Clause
"""A herd that is restarted in the middle of an outage: each phone goes on with the proxy it tried last.
Cases of run.py."""

import os
import signal
import time

import judge
from lab import ADDRESS, PRIMARY, REDUNDANT, Failure, say, wait_until
from store import Redis, image_path, image_records

PHONES = 2000
MODES = ("asym", "sym")
PERIOD_S = 8
TTL_S = 3
# In the middle of an outage some phones have moved and others have not: so many at least of each.
SHARE = 0.05


class Killed:
    """kill -9 with the store that comes by itself: the image file has everything."""

    word = "kill -9"
    late_s = 0  # nothing that was sent is unknown to the image file
    number = signal.SIGKILL

    def __init__(self, stage):
        self.store = {mode: None for mode in MODES}

    @staticmethod
    def ended(herd):
        herd.process.wait(10)

    @staticmethod
    def records(herd):
        return image_records(herd.state, f"wire-{herd.mode}", PHONES)


class Stopped(Killed):
    """A planned stop, with a Redis that goes on."""

    word = "planned stop"
    number = signal.SIGTERM

    def __init__(self, stage):
        self.redis = Redis(stage.lab)
        self.store = {mode: self.redis.url for mode in MODES}

    @staticmethod
    def ended(herd):
        herd.finish()


class Moved(Stopped):
    """The host is gone, and with it the image file: another one goes on from Redis."""

    word = "host change"
    late_s = 1  # the last flush, on a busy machine
    number = signal.SIGKILL

    def ended(self, herd):
        Killed.ended(herd)
        os.unlink(image_path(herd.state, f"wire-{herd.mode}"))
        herd.host = "other"

    def records(self, herd):
        return self.redis.records(f"wire-{herd.mode}", PHONES)


def outage(stage, herds):
    """Until the phones are in the middle of it. Some may have been at the redundant before, on a busy
    machine: they do not count."""
    before = stage.proxy[REDUNDANT].users()
    stage.proxy[PRIMARY].kill()

    def probe():
        stage.check_running()
        users = stage.proxy[REDUNDANT].users() - before
        have = [len(users & herd.expected.keys()) for herd in herds]
        return (all(n > 0.25 * PHONES for n in have),
                " and ".join(f"{n} of {PHONES} {herd.mode}" for n, herd in zip(have, herds)))
    wait_until("primary killed: amid the move to the redundant", probe, 30, 0.1)


def expected_proxies(herd, records):
    """{phone's address: the proxy it tried last}, by its record."""
    proxy = {1: ADDRESS[PRIMARY][4], 2: ADDRESS[REDUNDANT][4]}
    addresses = [address for address, _ in herd.expected.values()]
    never = sum(1 for record in records if not record or not record.tried)
    if never:
        raise Failure(f"{herd.mode}: {never} phones without a record of what they tried")
    tried = {address: proxy[record.tried] for address, record in zip(addresses, records)}
    for side in (PRIMARY, REDUNDANT):
        count = sum(1 for address in tried.values() if address == ADDRESS[side][4])
        if count < SHARE * PHONES:
            raise Failure(f"{herd.mode}: {count} phones tried the {side} last: not amid an outage")
    return tried


def began(sent):
    """When the phone began to try the proxy that it tried last."""
    time_of, proxy = None, sent[-1][1]
    for at, to in reversed(sent):
        if to != proxy:
            break
        time_of = at
    return time_of


def judge_one(herd, path, ended, expected, way):
    """Each phone's first REGISTER after the restart went to where its record says, and that is where
    tshark saw its last one go before, but for what is newer than the record can be."""
    firsts = {phone: sent[0][1] for phone, sent in judge.tries(path, ended).items()}
    before = judge.tries(path, 0, ended)
    wrong = sum(1 for phone, proxy in expected.items() if firsts.get(phone) != proxy)
    moved = sum(1 for proxy in expected.values() if proxy == ADDRESS[REDUNDANT][4])
    missed = [ended - began(sent) for phone, sent in before.items()
              if firsts.get(phone) != sent[-1][1]]
    say(f"    {herd.mode}: of {len(firsts)} first REGISTERs {wrong} went elsewhere; {moved} phones "
        f"had tried the redundant last; of {len(before)} seen trying before, {len(missed)} had done "
        f"so too late to be known, in the last {max(missed, default=0) * 1000:.0f} ms")
    if wrong:
        raise Failure(f"{herd.mode}: {wrong} of {PHONES} phones did not begin where they had tried "
                      f"last")
    if len(before) < 0.2 * PHONES or max(missed, default=0) > way.late_s:
        raise Failure(f"{herd.mode}: phones did not go on where tshark had seen them")


def restarted(kind):
    def case(stage):
        stage.proxies_up()
        way = kind(stage)
        herds = [stage.herd(mode, PHONES, store=way.store[mode], ttl=f"{TTL_S}s", ramp="1000/s",
                            period=f"{PERIOD_S}s", first="spread", no_response="2s", host="first")
                 for mode in MODES]
        for herd in herds:
            herd.start()
        wait_until("registered at the primary", lambda: (
            len(stage.proxy[PRIMARY].users()) >= 0.99 * len(herds) * PHONES,
            f"{len(stage.proxy[PRIMARY].users())} phones"), 60)
        captures = [stage.capture(f"restart-{herd.mode}", herd.tapped()) for herd in herds]
        outage(stage, herds)
        for herd in herds:
            herd.process.signal(way.number, group=False)
        for herd in herds:
            way.ended(herd)
        ended = time.time()
        expected = [expected_proxies(herd, way.records(herd)) for herd in herds]
        for herd in herds:
            herd.start()
        wait_until("restarted: registered at the redundant", lambda: (
            len(stage.proxy[REDUNDANT].users()) == len(herds) * PHONES,
            f"{len(stage.proxy[REDUNDANT].users())} phones"), 60)
        paths = [stage.captured(capture) for capture in captures]
        for herd in herds:
            herd.interrupt()
        for herd, path, proxies in zip(herds, paths, expected):
            herd.finish()
            judge_one(herd, path, ended, proxies, way)
    case.__doc__ = f"{kind.word.capitalize()} amid an outage: each phone begins where it tried last."
    return case


CASES = {"restart-killed": restarted(Killed), "restart-stopped": restarted(Stopped),
         "restart-moved": restarted(Moved)}
