# SPDX-License-Identifier: BSD-3-Clause
"""End-to-end tests: sipherd against two real Kamailio proxies, in namespaces of their own.

    python3 tests/wire/run.py --sipherd build/api/sipherd [--only CASE,...] [--phones N] [--keep]

Each case prints one line, 'ok' or 'FAILED'. Exit 0: all passed, 1: some failed, 77: none could run
(not root, or a tool is missing). --list names the cases.
"""

import argparse
import collections
import os
import signal
import sys
import time

import drills
import generators
import judge
import lab as lab_room
import restart
from herd import MODE_WORD, Herd
from kamailio import Kamailio
from lab import ADDRESS, PRIMARY, REDUNDANT, SIDES, Failure, Skip, hold, say, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
KEEPALIVES_TO_STAY = 3  # a symmetric phone that stays does so for so many keep-alive periods
PERIOD_S = 2


class Stage:
    """The lab with its two proxies, shared by the cases; each case starts them anew."""

    def __init__(self, lab, sipherd, phones):
        self.lab = lab
        self.sipherd = sipherd
        self.phones = phones
        self.proxy = {side: Kamailio(lab, side) for side in SIDES}
        self.herds = []

    def proxies_up(self, **configuration):
        for proxy in self.proxy.values():
            proxy.configure(**configuration)
            proxy.restart()

    def herd(self, mode, phones, **options):
        if not self.sipherd:
            raise Skip("no --sipherd given")
        self.herds.append(Herd(self.lab, self.sipherd, mode, phones, **options))
        return self.herds[-1]

    def check_running(self):
        for herd in self.herds:
            herd.check_running()

    def capture(self, name, *interfaces, condition=None, namespace="herd", length=None):
        """dumpcap writes until it is interrupted; the caller ends it with captured()."""
        lab_room.need("dumpcap", "tshark")
        path = os.path.join(self.lab.folder, name + ".pcapng")
        # -N, -C: with several interfaces it has a queue of its own, of 1,000 packets by itself.
        argv = ["dumpcap", "-q", "-B", "64", "-N", "1000000", "-C", "500000000", "-w", path]
        if condition:  # before the first -i it is meant for all
            argv += ["-f", condition]
        if length:
            argv += ["-s", str(length)]
        for interface in interfaces:
            argv += ["-i", interface]
        process = self.lab.start("dumpcap-" + name, argv, namespace=namespace)
        wait_until(f"capture {name}", lambda: (os.path.exists(path) and "File:" in process.text(),
                                               "open"), 15, 0.05)
        return process, path

    def captured(self, capture):
        process, path = capture
        process.signal(signal.SIGINT, group=False)
        process.wait(15)
        return path

    def clear_herds(self):
        """Between the parts of one case: proxies and herds end, the network stays."""
        for process in reversed(self.lab.processes):
            process.kill()
        self.lab.processes.clear()
        self.herds.clear()
        for proxy in self.proxy.values():
            proxy.process = None

    def clear(self, case):
        """After a case, whatever became of it: no process, links as they were, logs put away."""
        self.clear_herds()
        self.lab.vlan(False)
        for side in SIDES:
            self.lab.link_up(side)
        self.lab.put_away(case)


# -- faults: how a proxy goes away and comes back -------------------------------------------------


class Killed:
    """SIGKILL: the table is lost and the kernel answers with ICMP port unreachable."""

    word = "killed"

    @staticmethod
    def hit(stage, side):
        stage.proxy[side].kill()

    @staticmethod
    def heal(stage, side):
        stage.proxy[side].start()


class Stopped:
    """SIGSTOP: packets are accepted and nobody answers, until SIGCONT."""

    word = "stopped"

    @staticmethod
    def hit(stage, side):
        stage.proxy[side].pause()

    @staticmethod
    def heal(stage, side):
        stage.proxy[side].resume()


class Cut:
    """The proxy's link goes down, and ARP with it."""

    word = "cut off"

    @staticmethod
    def hit(stage, side):
        stage.lab.link_down(side)

    @staticmethod
    def heal(stage, side):
        stage.lab.link_up(side)


# -- questions to the proxies' own tables ---------------------------------------------------------


# A symmetric phone that loses two datagrams in a row moves, and rightly so. Overloaded machines lose
# some; phones that do not keep to the rules would move all together.
STRAYS = 0.1


def fresh_users(stage, side, before=None):
    """Users with a binding at this proxy that is newer than `before`.

    A proxy that was killed forgets; one that was stopped or cut off still has the old bindings,
    so there it is the Call-ID that tells, which a phone changes at each boot and switch.
    """
    proxy = stage.proxy[side]
    if before:
        table = proxy.table()
        users = {user for user in table if table[user].call_id != before.get(user)}
    else:
        users = proxy.users()
    strangers = users.difference(*(herd.expected for herd in stage.herds))
    if strangers:
        raise Failure(f"{len(strangers)} users nobody made: {sorted(strangers)[:3]}")
    return users


def bindings(stage, side):
    """{user: Call-ID} of now, to compare with later."""
    return {user: contact.call_id for user, contact in stage.proxy[side].table().items()}


def registered(stage, side, herds, before=None):
    """Probe: all phones of these herds have a binding at this proxy, newer than `before`."""
    def probe():
        stage.check_running()
        users = fresh_users(stage, side, before)
        have = [len(users & herd.expected.keys()) for herd in herds]
        return (have == [herd.phones for herd in herds],
                " and ".join(f"{n} of {herd.phones} {herd.mode}" for n, herd in zip(have, herds)))
    return probe


def registered_anywhere(stage, herds):
    """Probe for the start: asymmetric phones at the primary; a symmetric one stays where it was
    answered first, and that may be the redundant if its REGISTER was lost."""
    def probe():
        stage.check_running()
        users = {side: fresh_users(stage, side) for side in SIDES}
        done, seen = True, []
        for herd in herds:
            at = {side: len(users[side] & herd.expected.keys()) for side in SIDES}
            home = at[PRIMARY]
            if herd.mode == "sym" and at[PRIMARY] > herd.phones / 2:
                home = len((users[PRIMARY] | users[REDUNDANT]) & herd.expected.keys())
            done = done and home == herd.phones
            seen.append(f"{at[PRIMARY]} of {herd.phones} {herd.mode}")
        return done, " and ".join(seen)
    return probe


def stay_away(stage, side, herd, before=None):
    """Probe: the phones of this herd have not come (back) to this proxy."""
    def probe():
        stage.check_running()
        strays = len(fresh_users(stage, side, before) & herd.expected.keys())
        return (strays <= STRAYS * herd.phones,
                f"{strays} of {herd.phones} {herd.mode} at the {side}")
    return probe


def alternate(stage, herds, seconds):
    """Both proxies are silent: each phone tries them in turn."""
    captures = []
    for herd in herds:
        # A few hundred phones tell the story; tshark need not read all of it.
        sample = herd.prefix.replace(".0.0/16", ".0.0/24").replace("::/64", "::/120")
        condition = f"udp dst port 5060 and src net {sample}"
        if herd.vlan:
            condition = "vlan and " + condition
        captures.append(stage.capture(f"alternate-{herd.mode}", herd.tapped(),
                                      condition=condition))
    time.sleep(seconds)  # an observation of fixed length, not a wait for something
    for herd, capture in zip(herds, captures):
        addresses = [ADDRESS[side][herd.version] for side in SIDES]
        path = stage.captured(capture)
        complaints, _ = judge.judge(path)
        if complaints:
            raise Failure(f"{herd.mode}: tshark says: " + "; ".join(complaints))
        seen, turned = judge.alternation(path, addresses)
        say(f"    both proxies silent: {turned} of {seen} {herd.mode} phones watched alternate")
        if not seen or turned < 0.98 * seen:
            raise Failure(f"{herd.mode}: only {turned} of {seen} phones alternate")


def no_complaints(stage):
    for proxy in stage.proxy.values():
        complaints = proxy.complaints()
        if complaints:
            raise Failure(f"kamailio {proxy.side} complains {len(complaints)} times: "
                          + complaints[0])


def contacts_right(stage, side, herds):
    table = stage.proxy[side].table()
    for herd in herds:
        herd.check_contacts(table)
    say(f"    contacts at the {side}: each phone's own address and port")


# -- the story every link must tell ---------------------------------------------------------------


def story(stage, herds, fault, survivor):
    """One proxy goes and comes back, then both go and one comes back.

    All herds live through it together, asymmetric and symmetric ones side by side.
    """
    for herd in herds:
        herd.start()
    asym = [herd for herd in herds if herd.mode == "asym"]
    sym = [herd for herd in herds if herd.mode == "sym"]
    wait_until("registered at the primary", registered_anywhere(stage, herds), 60)
    contacts_right(stage, PRIMARY, herds)
    keeps_table = fault is not Killed
    before = bindings(stage, PRIMARY) if keeps_table else None
    fault.hit(stage, PRIMARY)
    wait_until(f"primary {fault.word}: registered at the redundant",
               registered(stage, REDUNDANT, herds), 60)
    fault.heal(stage, PRIMARY)
    if asym:
        wait_until("primary back: asymmetric return", registered(stage, PRIMARY, asym, before), 60)
    for herd in sym:
        hold("primary back: symmetric stay", stay_away(stage, PRIMARY, herd, before),
             KEEPALIVES_TO_STAY * PERIOD_S)
        contacts_right(stage, REDUNDANT, [herd])
    before = bindings(stage, survivor) if keeps_table else None
    for side in SIDES:
        fault.hit(stage, side)
    # One period to notice, one time-out to be sure, and some for the machine.
    time.sleep(PERIOD_S + 2)
    alternate(stage, herds, 5)
    fault.heal(stage, survivor)
    wait_until(f"{survivor} back alone: registered there",
               registered(stage, survivor, herds, before), 60)
    contacts_right(stage, survivor, herds)
    for herd in herds:
        herd.interrupt()
    for herd in herds:
        check_summary(herd, survivor)
    no_complaints(stage)


def check_summary(herd, survivor):
    """The herd's own account agrees with what the proxies saw."""
    herd.finish()
    count = herd.counter
    returned = count("failback_keepalive_answer")
    say(f"    {herd.mode} summary: {count('register_ok')} registrations, "
        f"{count('options_answered')} of {count('options_sent')} keep-alives answered, {returned} "
        f"returned by an answer, {count('register_silent')} silent REGISTERs")
    if herd.mode == "asym" and returned < herd.phones:
        raise Failure(f"asym: only {returned} switches back by a keep-alive's answer")
    if herd.mode == "sym" and returned:
        raise Failure(f"sym: {returned} switches back by a keep-alive's answer")
    for name in ("message_malformed", "response_foreign", "response_mismatch",
                 "register_auth_failed", "register_rejected", "challenge_unusable"):
        if count(name):
            raise Failure(f"{herd.mode}: counter {name} is {count(name)}")


def side_by_side(stage, phones, **options):
    return [stage.herd(mode, phones, **options) for mode in ("asym", "sym")]


# -- the cases ------------------------------------------------------------------------------------


def case_proxies(stage):
    """The proxies themselves, with sipsak and SIPp as phones: no sipherd involved."""
    lab_room.need("sipsak", "sipp")
    for algorithm in ("", "SHA-256"):
        stage.proxies_up(algorithm=algorithm)
        refused = sipsak(stage, PRIMARY, "-U", "-u", "2000001", "-a", "wrong", user="2000001")
        if not refused.returncode or stage.proxy[PRIMARY].users():
            raise Failure("a wrong password was accepted")
    say("    sipsak with a wrong password: refused, MD5 and SHA-256")
    stage.proxies_up()
    for side in SIDES:
        if sipsak(stage, side).returncode:
            raise Failure(f"OPTIONS to the {side} was not answered 200")
        accepted = sipsak(stage, side, "-U", "-u", "2000001", "-a", "pw-2000001", "-C",
                          "sip:2000001@10.20.0.1:5060", "-x", "600", user="2000001")
        if accepted.returncode:
            raise Failure(f"REGISTER at the {side}:\n{accepted.stdout}")
        found = stage.proxy[side].table()
        if list(found) != ["2000001"] or found["2000001"].address != "sip:2000001@10.20.0.1:5060":
            raise Failure(f"location table of the {side}: {found}")
    say("    sipsak registered at both, and the tables tell it")
    sipp_registers(stage, ADDRESS[PRIMARY][4], 2000)
    wait_until("SIPp's users are in the table", lambda: (
        len(stage.proxy[PRIMARY].users()) == 2000, len(stage.proxy[PRIMARY].users())), 10)
    no_complaints(stage)


def sipsak(stage, side, *arguments, user=None):
    uri = f"sip:{user}@{ADDRESS[side][4]}" if user else f"sip:{ADDRESS[side][4]}"
    return stage.lab.command("sipsak", "-i", *arguments, "-s", uri, namespace="herd", check=False)


def sipp_registers(stage, address, users, namespace="herd", local=lab_room.ROUTER[4]):
    """SIPp as a crowd of phones with passwords; all must end up registered."""
    path = os.path.join(stage.lab.folder, "users.csv")
    with open(path, "w") as file:
        file.write("SEQUENTIAL\n")
        for n in range(users):
            user = f"2{n:06}"
            file.write(f"{user};[authentication username={user} password=pw-{user}]\n")
    done = stage.lab.command("sipp", "-sf", os.path.join(HERE, "sipp-register.xml"), "-inf", path,
                             "-m", str(users), "-r", "1000", "-i", local, "-nostdin", "-timeout",
                             "60", f"{address}:5060", namespace=namespace, check=False, seconds=90)
    if done.returncode:
        raise Failure(f"SIPp: exit {done.returncode}\n{done.stdout[-3000:]}")
    say(f"    SIPp registered {users} users with digest at {address}")


def many(mode):
    def case(stage):
        stage.proxies_up()
        story(stage, [stage.herd(mode, stage.phones, ramp="2000/s")], Killed, REDUNDANT)
    case.__doc__ = f"SIGKILL and restart, 10,000 {MODE_WORD[mode]} phones on af_packet over veth."
    return case


def linked(word, algorithm="", **options):
    def case(stage):
        stage.lab.vlan(bool(options.get("vlan")))
        stage.proxies_up(algorithm=algorithm)
        story(stage, side_by_side(stage, 1000, **options), Killed, PRIMARY)
    case.__doc__ = f"The same {word}, 1,000 phones of each mode."
    return case


def faulty(fault, word):
    def case(stage):
        stage.proxies_up()
        story(stage, side_by_side(stage, 1000), fault, PRIMARY)
    case.__doc__ = f"The same with {word}, 1,000 phones of each mode."
    return case


def case_reboot(stage):
    """Phones rebooted inside a run, planned and by power cut, start at the proxy last tried."""
    stage.proxies_up()
    half, phones = 500, 1000
    herds = side_by_side(stage, phones, unregister=1)
    captures = [stage.capture(f"reboot-{herd.mode}", herd.tapped()) for herd in herds]
    for herd in herds:
        herd.start("--reboot", f"planned:0-{half - 1}@34s", "--reboot",
                   f"power-cut:{half}-{phones - 1}@42s")
    wait_until("registered at the primary", registered_anywhere(stage, herds), 15)
    stage.proxy[PRIMARY].kill()
    wait_until("primary killed: registered at the redundant", registered(stage, REDUNDANT, herds),
               15)
    before = bindings(stage, REDUNDANT)
    for kind, first in (("planned", 0), ("power cut", half)):
        wait_until(f"{kind}: rebooted and registered at the redundant again",
                   anew(stage, REDUNDANT, herds, before, first, half), 60)
    until = time.time()
    for herd, capture in zip(herds, captures):
        herd.interrupt()
        herd.finish()
        path = stage.captured(capture)
        addresses = [ADDRESS[side][4] for side in SIDES]
        returned, unregistered = judge.reboots(path, *addresses, until)
        planned = {herd.address_of(user) for user in herd.users(0, half)}
        say(f"    {herd.mode}: {len(returned)} phones tried the primary again, "
            f"{len(unregistered & planned)} of {half} unregistered before a planned reboot, "
            f"{len(unregistered - planned)} before a power cut")
        if returned or unregistered != planned:
            raise Failure(f"{herd.mode}: a reboot did not go by the rules")
        if herd.counter("boots") != phones * 2:
            raise Failure(f"{herd.mode}: {herd.counter('boots')} boots, not {phones * 2}")
    no_complaints(stage)


def anew(stage, side, herds, before, first, count):
    """Probe: these phones of each herd, and no others, have a new Call-ID."""
    def probe():
        stage.check_running()
        fresh = fresh_users(stage, side, before)
        wanted = [herd.users(first, count) for herd in herds]
        have = [len(fresh & users) for users in wanted]
        late = [len(fresh & herd.users(first + count, max(herd.phones - first - count, 0)))
                for herd in herds]
        if have == [count] * len(herds) and any(late):
            raise Failure(f"{late} phones changed that were not meant to")
        return (have == [count] * len(herds),
                " and ".join(f"{n} of {count} {herd.mode}" for n, herd in zip(have, herds)))
    return probe


def case_judge(stage):
    """tshark reads everything that a crash makes phones send, at the default timers."""
    stage.proxies_up()
    common = {"period": "5s", "no_response": "32s", "ramp": "100/s"}
    asym = stage.herd("asym", 200, **common)
    sym = stage.herd("sym", 200, **common)
    off = stage.herd("off", 50, **{**common, "expires": "20s", "retry": "5s"})
    captures = [(herd, stage.capture(f"judge-{herd.mode}", herd.tapped()))
                for herd in (asym, sym, off)]
    for herd, _ in captures:
        herd.start()
    wait_until("registered at the primary", registered(stage, PRIMARY, (asym, sym, off)), 30)
    time.sleep(5)  # one period of keep-alives that are answered, to have them in the capture
    stage.proxy[PRIMARY].kill()
    wait_until("primary killed: registered at the redundant",
               registered(stage, REDUNDANT, (asym, sym)), 60)
    stage.proxy[PRIMARY].start()
    wait_until("primary back: asymmetric and the redundancy-less return",
               registered(stage, PRIMARY, (asym, off)), 90)
    for herd, _ in captures:
        herd.interrupt()
    for herd, _ in captures:
        herd.finish()
    complaints = []
    for herd, capture in captures:
        rules = judge.Rules({"asym": "asymmetric", "sym": "symmetric", "off": "off"}[herd.mode],
                            ADDRESS[PRIMARY][4], ADDRESS[REDUNDANT][4], 0.5, 4.0, 32.0)
        found, measured = judge.judge(stage.captured(capture), rules)
        complaints += [f"{herd.mode}: {complaint}" for complaint in found]
        say(f"    {herd.mode}: " + ", ".join(f"{key} {value}" for key, value in measured.items()))
        if not measured.get("silent"):
            complaints.append(f"{herd.mode}: no silent transaction was seen")
    if complaints:
        raise Failure("\n    ".join(complaints))
    no_complaints(stage)


def case_sipp(stage):
    """SIPp as a third-party registrar: phones register and keep alive."""
    lab_room.need("sipp")
    errors = os.path.join(stage.lab.folder, "sipp.err")
    argv = ["sipp", "-sf", os.path.join(HERE, "sipp-registrar.xml"), "-i", ADDRESS[PRIMARY][4], "-p",
            "5060", "-nostdin", "-trace_err", "-error_file", errors]
    registrar = stage.lab.start("sipp", argv, namespace=PRIMARY)
    herd = stage.herd("asym", 100, no_response="32s")
    herd.start(seconds=10)
    herd.process.wait(60)
    summary = herd.finish()
    if not registrar.running():
        raise Failure("SIPp ended by itself\n" + registrar.tail())
    count = herd.counter
    say(f"    {count('register_ok')} registrations, {count('options_answered')} of "
        f"{count('options_sent')} keep-alives answered")
    if herd.registered(PRIMARY) != 100 or count("register_ok") != 100:
        raise Failure(f"registered at SIPp: {summary['phones']}")
    if count("options_answered") < 300 or count("options_silent") or count("message_malformed"):
        raise Failure(f"keep-alives with SIPp: {summary['counters']}")
    if os.path.exists(errors):
        with open(errors) as file:
            # Its watchdog tells of a busy machine, not of what it received.
            lines = [line for line in file if line.strip() and "Overload warning" not in line]
        if lines[1:]:
            raise Failure("SIPp complains: " + "".join(lines)[:500])


REGISTRAR_ADDRESS = {PRIMARY: "10.20.0.1", REDUNDANT: "10.20.0.2"}


def case_registrar(stage):
    """`sipherd registrar` as a target for sipsak and SIPp, with digest."""
    lab_room.need("sipp", "sipsak")
    if not stage.sipherd:
        raise Skip("no --sipherd given")
    argv = [stage.sipherd, "registrar", "--link", "af_packet:asym0", "--primary",
            REGISTRAR_ADDRESS[PRIMARY] + ":5060", "--redundant",
            REGISTRAR_ADDRESS[REDUNDANT] + ":5060", "--realm",
            "lab.example.net", "--user", "2{n:06}", "--password", "pw-{user}"]
    process = stage.lab.start("sipherd-registrar", argv, namespace="herd")

    def answers():
        if not process.running():
            raise Failure("it ended by itself\n" + process.tail())
        return not registrar_sipsak(stage, PRIMARY).returncode, "OPTIONS answered 200"
    wait_until("the registrar is up", answers, 30)
    for side in SIDES:
        if registrar_sipsak(stage, side).returncode:
            raise Failure(f"OPTIONS to the {side} was not answered 200")
        refused = registrar_sipsak(stage, side, "-U", "-u", "2000001", "-a", "wrong", user="2000001")
        accepted = registrar_sipsak(stage, side, "-U", "-u", "2000001", "-a", "pw-2000001", "-C",
                                    "sip:2000001@10.10.0.1:5062", "-x", "600", user="2000001")
        if not refused.returncode:
            raise Failure(f"the {side} accepted a wrong password")
        if accepted.returncode:
            raise Failure(f"REGISTER at the {side}:\n{accepted.stdout}")
        say(f"    sipsak at the {side}: OPTIONS, REGISTER with digest, wrong password refused")
        sipp_registers(stage, REGISTRAR_ADDRESS[side], 500, PRIMARY, ADDRESS[PRIMARY][4])
    process.signal(signal.SIGINT, group=False)
    code = process.wait(30)
    if code:
        raise Failure(f"exit {code} after Ctrl-C\n" + process.tail())


def registrar_sipsak(stage, side, *arguments, user=None):
    """From the primary proxy's namespace, which has a route there."""
    host = REGISTRAR_ADDRESS[side]
    uri = f"sip:{user}@{host}" if user else f"sip:{host}"
    return stage.lab.command("sipsak", "-i", *arguments, "-s", uri, namespace=PRIMARY, check=False)


def case_neighbours(stage):
    """A port opens although others hold the packet group that the driver would take."""
    stage.proxies_up()
    for attempt in range(8):
        herd = stage.herd("asym", 10)
        # The driver names its group after its pid and interface: hold those of the next pids. Other
        # people's processes take pids as well: once more if there were too many of them.
        holder = stage.lab.start("holder", [sys.executable, os.path.join(HERE, "hold_groups.py"),
                                            herd.interface, "switch", "500"], namespace="herd")
        wait_until("packet groups are held", lambda: ("held" in holder.text(),
                                                      holder.text().strip()), 15)
        herd.start(seconds=60)
        held = [int(word) for word in holder.text().split()[1:]]
        if held[0] <= herd.process.pid <= held[1]:
            break
        holder.kill()
        herd.process.kill()
        stage.herds.remove(herd)
    else:
        raise Failure(f"pid {herd.process.pid} is not among those whose groups are held: {held}")
    group = int(stage.lab.command("cat", f"/sys/class/net/{herd.interface}/ifindex",
                                  namespace="herd").stdout) ^ herd.process.pid
    wait_until("registered at the primary", registered(stage, PRIMARY, [herd]), 30)
    herd.interrupt()
    herd.finish()
    say(f"    group {group & 0xffff} was taken, the port opened nevertheless")


CASES = {
    "proxies": case_proxies,
    "asymmetric": many("asym"),
    "symmetric": many("sym"),
    "af_xdp": linked("over af_xdp", link="af_xdp"),
    "tap": linked("over tap, through a gateway", link="tap"),
    "ipv6": linked("over IPv6", version=6),
    "vlan": linked("through a VLAN", vlan=lab_room.VLAN),
    "sha256": linked("with SHA-256", algorithm="SHA-256"),
    "stopped": faulty(Stopped, "SIGSTOP and SIGCONT"),
    "cut": faulty(Cut, "the link cut and mended"),
    "reboot": case_reboot,
    "judge": case_judge,
    "sipp": case_sipp,
    "registrar": case_registrar,
    "neighbours": case_neighbours,
    **generators.CASES,
    **restart.CASES,
    **drills.CASES,
}


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sipherd", help="the program to test")
    parser.add_argument("--only", help="cases, separated by commas")
    parser.add_argument("--phones", type=int, default=10000, help="of the cases with many phones")
    parser.add_argument("--keep", action="store_true", help="keep logs, captures and summaries")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    return parser.parse_args()


def run_case(stage, name):
    start = time.monotonic()
    say(f"{name}: {CASES[name].__doc__.splitlines()[0]}")
    try:
        CASES[name](stage)
        verdict = "ok"
    except Skip as reason:
        verdict = f"SKIP ({reason})"
    except Failure as failure:
        verdict = "FAILED"
        say(f"    {failure}")
        for process in stage.lab.processes:
            say(process.tail())
    finally:
        stage.clear(name)
    say(f"{verdict} {name}, {time.monotonic() - start:.0f} s")
    return verdict.split()[0]


def interrupted(number, frame):
    raise KeyboardInterrupt


def main():
    chosen = options()
    if chosen.list:
        for name, case in {**CASES, **drills.LONG}.items():
            print(f"{name:10} {case.__doc__.splitlines()[0]}")
        return 0
    names = chosen.only.split(",") if chosen.only else list(CASES)
    CASES.update(drills.LONG)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"no such case: {', '.join(unknown)}; --list names them", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    lab = lab_room.Lab(chosen.keep)
    verdicts = collections.Counter()
    try:
        lab_room.need("kamailio", "kamcmd")
        lab.build()
        sipherd = os.path.abspath(chosen.sipherd) if chosen.sipherd else None
        stage = Stage(lab, sipherd, chosen.phones)
        for name in names:
            verdicts[run_case(stage, name)] += 1
    except Skip as reason:
        say(f"SKIP: {reason}")
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        lab.close()
    say(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    if verdicts["FAILED"]:
        return 1
    return 0 if verdicts["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
