# SPDX-License-Identifier: BSD-3-Clause
"""The judge itself on trial: a clean capture passes, and each single fault in it is found."""

import os
import re
import shutil
import struct
import sys
import tempfile

import judge

PRIMARY, REDUNDANT, PHONE = "10.10.0.1", "10.10.0.2", "10.20.0.1"
RULES = judge.Rules("asymmetric", PRIMARY, REDUNDANT, 0.5, 4.0, 12.0)
SYMMETRIC = RULES._replace(mode="symmetric")
OFF = RULES._replace(mode="off")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def frame(source, destination, payload, bad_checksum=False):
    pack = bytes(int(part) for part in source.split(".")), bytes(
        int(part) for part in destination.split("."))
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", 5060, 5060, length, 0) + payload
    pseudo = pack[0] + pack[1] + struct.pack("!BBH", 0, 17, length)
    total = checksum(pseudo + udp) ^ (1 if bad_checksum else 0)
    udp = udp[:6] + struct.pack("!H", total) + udp[8:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0) + pack[0] + pack[1]
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0" + header + udp


def write(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for at, data in sorted(frames, key=lambda item: item[0]):
            at += 1700000000
            file.write(struct.pack("<IIII", int(at), round(at % 1 * 1e6) % 1000000, len(data),
                                   len(data)) + data)


def request(method, branch, cseq, call_id, extra=b""):
    return (f"{method} sip:lab.example.net SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {PHONE}:5060;branch={branch};rport\r\n"
            "Max-Forwards: 70\r\n"
            "From: <sip:2000000@lab.example.net>;tag=a1\r\n"
            "To: <sip:2000000@lab.example.net>\r\n"
            f"Call-ID: {call_id}\r\n"
            f"CSeq: {cseq} {method}\r\n").encode() + extra + b"Content-Length: 0\r\n\r\n"


def answer(method, branch, cseq, call_id):
    return (f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch={branch};rport=5060\r\n"
            "From: <sip:2000000@lab.example.net>;tag=a1\r\n"
            "To: <sip:2000000@lab.example.net>;tag=b2\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n").encode()


def sent(at, proxy, method, branch, cseq, call_id, answered=True):
    """A transaction: answered after 1 ms, or sent again until 12 s have passed."""
    extra = (f"Contact: <sip:2000000@{PHONE}:5060>\r\nExpires: 3600\r\n".encode()
             if method == "REGISTER" else b"")
    data = request(method, branch, cseq, call_id, extra)
    frames = [(at, frame(PHONE, proxy, data))]
    if answered:
        return frames + [(at + 0.001, frame(proxy, PHONE, answer(method, branch, cseq, call_id)))]
    return frames + [(at + late, frame(PHONE, proxy, data)) for late in (0.5, 1.5, 3.5, 7.5, 11.5)]


def story(second=REDUNDANT, again=PRIMARY):
    """Register, keep alive, silence, fail over to `second`, keep alive at `again`."""
    return (sent(0, PRIMARY, "REGISTER", "z9hG4bK-1", 1, "one")
            + sent(2, PRIMARY, "OPTIONS", "z9hG4bK-2", 1, "ka")
            + sent(4, PRIMARY, "OPTIONS", "z9hG4bK-3", 2, "ka", False)
            + sent(16, second, "REGISTER", "z9hG4bK-4", 1, "two")
            + sent(18, again, "OPTIONS", "z9hG4bK-5", 3, "ka", again == second)
            + sent(40, again, "OPTIONS", "z9hG4bK-6", 4, "ka"))


def altered(old, new, index=0):
    """The story with one datagram changed; Content and lengths are made anew."""
    frames = sorted(story(), key=lambda item: item[0])
    at, data = frames[index]
    assert old in data
    payload = data[42:].replace(old, new, 1)
    source = ".".join(str(byte) for byte in data[26:30])
    destination = ".".join(str(byte) for byte in data[30:34])
    frames[index] = (at, frame(source, destination, payload))
    return frames


def moved(by):
    """All retransmissions later by so much."""
    return [(at + by if (at * 2) % 1 == 0 and at % 2 in (0.5, 1.5) else at, data)
            for at, data in story()]


def slowed(factor):
    """Everything at a phone whose clock is slow; the answers come as fast as ever."""
    return [(at * factor, data) for at, data in story()]


def missing_retransmissions():
    return [item for item in story() if item[0] not in (11.5, 15.5, 25.5, 29.5)]


def cases():
    plain = frame(PHONE, PRIMARY, request("OPTIONS", "z9hG4bK-9", 9, "x"), bad_checksum=True)
    yield "clean, asymmetric", story(), RULES, None
    yield "clean, symmetric", story(again=REDUNDANT), SYMMETRIC, None
    yield "Max-Forwards missing", altered(b"Max-Forwards: 70\r\n", b""), RULES, "max_forwards"
    yield "Contact missing", altered(b"Contact:", b"X-Contact:"), RULES, "sip_contact"
    yield "Call-ID missing", altered(b"Call-ID:", b"X-Call-ID:"), RULES, "call_id"
    yield "From tag missing", altered(b";tag=a1", b""), RULES, "from_tag"
    yield "Content-Length missing", altered(b"Content-Length", b"X-Length"), RULES, "content_length"
    yield "other method in CSeq", altered(b"1 REGISTER", b"1 OPTIONS"), RULES, "CSeq's method"
    yield "no magic cookie", altered(b"z9hG4bK-1", b"1234567-1"), RULES, "magic cookie"
    yield "header tshark cannot read", altered(b"Contact: <sip:", b"Contact: <si\0p:"), RULES, "frames"
    yield "not SIP", altered(b"REGISTER sip:lab.example.net SIP/2.0", b"hello"), RULES, "not SIP"
    yield "branch used twice", altered(b"z9hG4bK-2", b"z9hG4bK-1", 2), RULES, "branches shared"
    yield "retransmission with a new branch", altered(b"z9hG4bK-3", b"z9hG4bK-7", 5), RULES, "several"
    yield "retransmissions 200 ms late", moved(0.2), RULES, "timer E"
    yield "a clock that is slow by 1 %", slowed(1.01), RULES, "timer E"
    yield "retransmissions left out", missing_retransmissions(), RULES, "unanswered requests"
    yield "bad checksum", story() + [(1, plain)], RULES, "expert"
    yield "keep-alive to the redundant", story(again=REDUNDANT), RULES, "OPTIONS of asymmetric"
    yield "keep-alive elsewhere", story(again=PRIMARY), SYMMETRIC, "OPTIONS of symmetric"
    yield "redundant though off", story(), OFF, "redundancy is off"


# -- several generators -------------------------------------------------------------------------

ONE, TWO = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"


def driven(at, mac, phone=PHONE):
    data = frame(phone, PRIMARY, request("OPTIONS", f"z9hG4bK-{at}", 1, "x"))
    return at, data[:6] + mac + data[12:]


def gratuitous(at, mac, sender=PHONE, target=PHONE, operation=1):
    pack = [bytes(int(part) for part in text.split(".")) for text in (sender, target)]
    return at, (b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, operation)
                + mac + pack[0] + bytes(6) + pack[1])


def several(path):
    """(what, whether the judge says so) of a phone that is handed over, and of one driven twice."""
    def turns(*frames):
        write(path, frames)
        rows = judge.senders(path, (PRIMARY, REDUNDANT))
        found = judge.turns(rows, lambda address, port: 0 if address == PHONE else 1)
        return {shard: [mac[-1] for mac in macs] for shard, macs in found.items()}
    yield "handed over", turns(driven(1, ONE), driven(2, ONE), driven(3, TWO)) == {0: ["a", "b"]}
    write(path, sent(1, PRIMARY, "OPTIONS", "z9hG4bK-1", 1, "a"))
    yield "answers are not a phone's", [row[2] for row in judge.senders(path, (PRIMARY, REDUNDANT))
                                        ] == [PHONE]
    yield "one stale datagram", turns(driven(1, ONE), driven(3, TWO), driven(4, ONE),
                                      driven(5, TWO)) == {0: ["a", "b", "a", "b"]}
    yield "two shards", turns(driven(1, ONE), driven(2, TWO, "10.20.0.2"),
                              driven(3, ONE)) == {0: ["a"], 1: ["b"]}
    write(path, [gratuitous(1, ONE), gratuitous(2, ONE), gratuitous(3, TWO, target=PRIMARY),
                 gratuitous(4, TWO, operation=2)])
    found = {mac[-1]: [round(time % 100) for time in times]
             for (mac, address), times in judge.announcements(path).items() if address == PHONE}
    yield "announced twice, a request and a reply are none", found == {"a": [1, 2]}
    ended = 1700000010
    write(path, sent(1, PRIMARY, "REGISTER", "z9hG4bK-1", 1, "a", False)
          + sent(18, REDUNDANT, "REGISTER", "z9hG4bK-2", 1, "b"))
    yield "tried before and after", (
        {proxy for _, proxy in judge.tries(path, 0, ended)[PHONE]} == {PRIMARY}
        and judge.tries(path, ended)[PHONE][0][1] == PRIMARY  # its retransmission at 12.5 s
        and [proxy for _, proxy in judge.tries(path, ended + 5)[PHONE]] == [REDUNDANT])


def main():
    if not shutil.which("tshark"):
        print("SKIP: not installed: tshark")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory(prefix=f"sipherd-judge-{os.getpid()}-") as folder:
        path = os.path.join(folder, "trial.pcap")
        for name, frames, rules, expected in cases():
            write(path, frames)
            complaints, measured = judge.judge(path, rules)
            text = "; ".join(complaints)
            fine = not complaints if expected is None else bool(re.search(expected, text))
            failed += not fine
            print(f"{'ok' if fine else 'FAILED'} {name}: {text or measured}")
        write(path, sent(0, PRIMARY, "REGISTER", "z9hG4bK-1", 1, "a", False)
              + sent(20, REDUNDANT, "REGISTER", "z9hG4bK-2", 1, "b", False))
        turned = judge.alternation(path, (PRIMARY, REDUNDANT))
        write(path, sent(0, PRIMARY, "REGISTER", "z9hG4bK-1", 1, "a", False)
              + sent(20, PRIMARY, "REGISTER", "z9hG4bK-2", 1, "b", False))
        stuck = judge.alternation(path, (PRIMARY, REDUNDANT))
        fine = turned == (1, 1) and stuck == (1, 0)
        failed += not fine
        print(f"{'ok' if fine else 'FAILED'} alternation: {turned} {stuck}")
        for name, fine in several(path):
            failed += not fine
            print(f"{'ok' if fine else 'FAILED'} {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
