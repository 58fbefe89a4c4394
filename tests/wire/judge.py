# SPDX-License-Identifier: BSD-3-Clause
"""tshark as the judge of captured traffic.

    python3 judge.py FILE.pcapng

prints what is wrong with the packets themselves. The wire tests also tell it who is who (Rules),
and then it checks retransmission instants and who was addressed.
"""

import collections
import statistics
import subprocess
import sys

FIELDS = ("frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst",
          "udp.srcport", "udp.dstport", "sip.Method", "sip.Status-Code", "sip.Via.branch",
          "sip.CSeq.seq", "sip.CSeq.method", "sip.Call-ID", "sip.Via", "sip.From", "sip.To",
          "sip.Max-Forwards", "sip.Contact", "sip.Content-Length", "sip.from.tag", "sip.r-uri",
          "sip.Expires")
ROW = collections.namedtuple("Row", [name.replace(".", "_").replace("-", "_").lower()
                                     for name in FIELDS])
MANDATORY = ("sip_via", "sip_from", "sip_to", "sip_call_id", "sip_cseq_seq", "sip_max_forwards",
             "sip_content_length", "sip_from_tag")
TOLERANCE_S = 0.1  # of one retransmission; the machine may be late for a few of them
SHARE_IN_TIME = 0.9
MEDIAN_S = 0.02  # but half of them are close, which also finds a clock that runs fast or slow
SHARE_COMPLETE = 0.95

# What a run was meant to do. phones: of this capture; mode: asymmetric, symmetric, off.
Rules = collections.namedtuple("Rules", "mode primary redundant t1_s t2_s no_response_s")


class Packet:
    __slots__ = ("row", "time", "source", "destination", "method", "status")

    def __init__(self, row):
        self.row = row
        self.time = float(row.frame_time_epoch)
        self.source = (row.ip_src or row.ipv6_src) + " " + row.udp_srcport
        self.destination = row.ip_dst or row.ipv6_dst
        self.method = row.sip_method
        self.status = int(row.sip_status_code or 0)


def tshark(path, *arguments, seconds=300):
    argv = ["tshark", "-n", "-r", path, "-d", "udp.port==5060,sip", "-o",
            "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"tshark: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def packets(path, select="sip && !icmp && !icmpv6"):
    fields = []
    for name in FIELDS:
        fields += ["-e", name]
    lines = tshark(path, "-Y", select, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f",
                   *fields)
    return [Packet(ROW(*line.split("\t"))) for line in lines]


def first_few(items, limit=3):
    text = ", ".join(str(item) for item in items[:limit])
    return f"{len(items)}: {text}" + (", ..." if len(items) > limit else "")


# -- each check returns a list of complaints ------------------------------------------------------


def dissection(path):
    """What tshark itself finds wrong. ICMP quotes cut datagrams short, by design."""
    # Severities: 0x400000 note, 0x600000 warning, 0x800000 error.
    lines = tshark(path, "-Y", "!icmp && !icmpv6 && (_ws.malformed || (udp.port == 5060 && (!sip || "
                   "_ws.expert.severity >= 0x600000)))", "-T", "fields", "-E", "occurrence=a", "-e",
                   "frame.number", "-e", "frame.protocols", "-e", "_ws.malformed", "-e",
                   "_ws.expert.message")
    found = collections.defaultdict(list)
    for line in lines:
        number, protocols, malformed, message = line.split("\t")
        if malformed:
            found["malformed packets"].append(number)
        elif "sip" not in protocols:
            found["port 5060 but not SIP"].append(number)
        else:
            found["expert warnings"].append(f"{number} ({message})")
    return [f"{what}, frames {first_few(frames)}" for what, frames in found.items()]


def well_formed(requests):
    complaints = []
    lacking = collections.defaultdict(list)
    for packet in requests:
        names = MANDATORY + (("sip_contact",) if packet.method == "REGISTER" else ())
        for name in names:
            if not getattr(packet.row, name):
                lacking[name].append(packet.row.frame_number)
        if packet.row.sip_cseq_method != packet.method:
            lacking["the CSeq's method"].append(packet.row.frame_number)
        if not packet.row.sip_via_branch.startswith("z9hG4bK"):
            lacking["the branch's magic cookie"].append(packet.row.frame_number)
    for name, frames in sorted(lacking.items()):
        complaints.append(f"requests without {name}, frames {first_few(frames)}")
    return complaints


def transactions(requests):
    """Requests by source and branch, in order of time."""
    groups = collections.OrderedDict()
    for packet in requests:
        groups.setdefault((packet.source, packet.row.sip_via_branch), []).append(packet)
    return groups


def identity(packet):
    row = packet.row
    return (packet.source, packet.destination, packet.method, row.sip_call_id, row.sip_cseq_seq)


def unique_branches(groups):
    complaints = []
    mixed = [group[0].row.frame_number for group in groups.values()
             if len({identity(packet) for packet in group}) != 1]
    if mixed:
        complaints.append("branches shared by different requests, frames " + first_few(mixed))
    seen = {}
    for group in groups.values():
        seen.setdefault(identity(group[0]), []).append(group[0].row.frame_number)
    twice = [frames for frames in seen.values() if len(frames) > 1]
    if twice:
        complaints.append("the same request under several branches, frames " + first_few(twice))
    return complaints


def timer_e(t1_s, t2_s, until_s):
    """Instants of the retransmissions, seconds after the first (RFC 3261, 17.1.2.2)."""
    instants, step, at = [], t1_s, t1_s
    while at < until_s - 0.001:
        instants.append(at)
        step = min(2 * step, t2_s)
        at += step
    return instants


def retransmissions(groups, answered, rules, end):
    """Counts what came at its instant, and whether silent transactions were seen through."""
    complaints = []
    instants = timer_e(rules.t1_s, rules.t2_s, rules.no_response_s)
    total = in_time = silent = complete = 0
    errors, too_many = [], []
    for key, group in groups.items():
        offsets = [packet.time - group[0].time for packet in group[1:]]
        if len(offsets) > len(instants):
            too_many.append(group[0].row.frame_number)
        for offset, instant in zip(offsets, instants):
            total += 1
            errors.append(abs(offset - instant))
            in_time += abs(offset - instant) <= TOLERANCE_S
        if key not in answered and group[0].time + rules.no_response_s + 1 < end:
            silent += 1
            complete += len(offsets) == len(instants)
    if too_many:
        complaints.append("more retransmissions than timer E allows, frames " + first_few(too_many))
    median, worst = (statistics.median(errors), max(errors)) if errors else (0.0, 0.0)
    if in_time < SHARE_IN_TIME * total or median > MEDIAN_S:
        complaints.append(f"only {in_time} of {total} retransmissions at timer E's instants "
                          f"{instants}, half of them {median * 1000:.0f} ms away or more")
    if silent and complete < SHARE_COMPLETE * silent:
        complaints.append(f"only {complete} of {silent} unanswered requests were sent again "
                          f"{len(instants)} times")
    measured = {"retransmissions": total, "in_time": in_time,
                "median_off_ms": round(median * 1000, 1), "worst_off_ms": round(worst * 1000, 1),
                "silent": silent, "complete": complete, "instants": len(instants)}
    return complaints, measured


def targets(traffic, rules):
    """Who was addressed: PHONE.md's invariants 2, 3 and 5."""
    wrong = collections.defaultdict(list)
    home = {}  # phone -> proxy of its last REGISTER that was answered 2xx
    asked = {}  # (phone, branch) -> was it a REGISTER that binds
    for packet in traffic:
        row = packet.row
        if packet.status:
            phone = packet.destination + " " + row.udp_dstport
            proxy = row.ip_src or row.ipv6_src
            if 200 <= packet.status < 300 and asked.get((phone, row.sip_via_branch)):
                home[phone] = proxy
            continue
        phone = packet.source
        if packet.method == "REGISTER":
            asked[(phone, row.sip_via_branch)] = row.sip_expires != "0"
        if rules.mode == "off" and packet.destination == rules.redundant:
            wrong["to the redundant proxy though redundancy is off"].append(row.frame_number)
        if packet.method != "OPTIONS":
            continue
        if rules.mode == "asymmetric" and packet.destination != rules.primary:
            wrong["OPTIONS of asymmetric phones not to the primary"].append(row.frame_number)
        if rules.mode == "symmetric" and packet.destination != home.get(phone, rules.primary):
            wrong["OPTIONS of symmetric phones not to where they are registered"].append(
                row.frame_number)
    return [f"{what}, frames {first_few(frames)}" for what, frames in sorted(wrong.items())]


def judge(path, rules=None, from_proxy=()):
    """(complaints, what was measured). from_proxy: addresses whose requests are not ours to judge."""
    complaints = dissection(path)
    traffic = packets(path)
    requests = [packet for packet in traffic
                if packet.method and packet.row.ip_src not in from_proxy
                and packet.row.ipv6_src not in from_proxy]
    complaints += well_formed(requests)
    groups = transactions(requests)
    complaints += unique_branches(groups)
    measured = {"packets": len(traffic), "requests": len(requests), "transactions": len(groups)}
    if not requests:
        complaints.append("no request was captured")
    if rules and requests:
        answered = {(packet.destination + " " + packet.row.udp_dstport, packet.row.sip_via_branch)
                    for packet in traffic if packet.status}
        found, numbers = retransmissions(groups, answered, rules, traffic[-1].time)
        complaints += found + targets(traffic, rules)
        measured.update(numbers)
    return complaints, measured


def alternation(path, proxies):
    """For phones that nobody answers: (phones seen, phones that tried both proxies in turn).

    A phone counts when each of its REGISTER transactions went to the other proxy than the last.
    """
    tries = collections.defaultdict(list)
    for (source, _), group in transactions(packets(path, "sip.Method == REGISTER && !icmp && !icmpv6")).items():
        tries[source].append(group[0].destination)
    turned = sum(1 for sequence in tries.values()
                 if set(sequence) == set(proxies)
                 and all(a != b for a, b in zip(sequence, sequence[1:])))
    return len(tries), turned


def reboots(path, primary, redundant, until):
    """Phones (by address) that tried the primary again after the redundant, and phones that sent
    Expires 0, both before the moment `until`."""
    moved, returned, unregistered = set(), set(), set()
    for packet in packets(path, "sip.Method == REGISTER && !icmp && !icmpv6"):
        if packet.time > until:
            break
        phone = packet.source.split()[0]
        if packet.destination == redundant:
            moved.add(phone)
        elif packet.destination == primary and phone in moved:
            returned.add(phone)
        if packet.row.sip_expires == "0":
            unregistered.add(phone)
    return returned, unregistered


def senders(path, proxies):
    """(time, MAC, address, port) of everything that phones sent to these addresses, in order of time.
    SIP is not read: it takes long, and who sent it is all that matters here."""
    version = "ipv6" if ":" in proxies[0] else "ip"
    to_proxies = " || ".join(f"{version}.dst == {proxy}" for proxy in proxies)
    lines = tshark(path, "--disable-protocol", "sip", "-Y",
                   f"udp.dstport == 5060 && ({to_proxies}) && !icmp && !icmpv6", "-T", "fields", "-e",
                   "frame.time_epoch", "-e", "eth.src", "-e", "ip.src", "-e", "ipv6.src", "-e",
                   "udp.srcport")
    rows = []
    for line in lines:
        time, mac, address4, address6, port = line.split("\t")
        rows.append((float(time), mac, address4 or address6, int(port)))
    return sorted(rows)


def turns(rows, shard_of):
    """{shard: MACs that drove its phones, one after the other}. A datagram of a generator between two
    of another's makes three turns of one."""
    found = collections.defaultdict(list)
    for _, mac, address, port in rows:
        turn = found[shard_of(address, port)]
        if not turn or turn[-1] != mac:
            turn.append(mac)
    return dict(found)


def announcements(path):
    """{(MAC, address): times} of gratuitous ARP requests and unsolicited advertisements to all, as the
    first interface of the capture saw them."""
    lines = tshark(path, "-Y", "!(frame.interface_id == 1) && "
                   "(arp.isgratuitous && arp.opcode == 1 && eth.dst == ff:ff:ff:ff:ff:ff || "
                   "icmpv6.type == 136 && ipv6.dst == ff02::1 && icmpv6.nd.na.flag.o == 1 && "
                   "icmpv6.nd.na.flag.s == 0)", "-T", "fields", "-e", "frame.time_epoch", "-e",
                   "eth.src", "-e", "arp.src.proto_ipv4", "-e", "icmpv6.nd.na.target_address")
    found = collections.defaultdict(list)
    for line in lines:
        time, mac, address4, address6 = line.split("\t")
        found[(mac, address4 or address6)].append(float(time))
    return dict(found)


def tries(path, begin, end=float("inf")):
    """{phone's address: (time, proxy) of its REGISTERs} within this time, retransmissions included, those
    with Expires 0 not."""
    found = collections.defaultdict(list)
    for packet in packets(path, "sip.Method == REGISTER && !icmp && !icmpv6"):
        if begin <= packet.time < end and packet.row.sip_expires != "0":
            found[packet.source.split()[0]].append((packet.time, packet.destination))
    return found


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    complaints, measured = judge(sys.argv[1])
    for complaint in complaints:
        print(complaint)
    print(", ".join(f"{name} {value}" for name, value in measured.items()))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
