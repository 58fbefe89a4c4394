#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several workers on as many queues of one interface: do frames find the worker that owns their phone?

    namespace sipherd-PID-herd                namespace sipherd-PID-primary
    `sipherd run`, two or three workers       `sipherd registrar`
    asym0 (as many queues each way)   <veth>  far0

Each case says which tier is to be in use and how many frames may have come to the wrong worker. Whatever
the tier: phones register and are kept alive, and no frame is lost on its way between workers.
"""

import argparse
import json
import os
import sys

import lab as lab_room
from lab import PRIMARY, Failure, Lab, Skip, say, wait_until

PHONES = 200
PROXY = {4: "10.20.0.1", 6: "fd00:20::1"}
# The proxies' own addresses are holes in the phones' range, and so is the gateway in the middle.
SOURCE = {4: "10.20.0.0/24", 6: "fd00:20::/120"}
PORTS = "10.20.0.16-10.20.0.40 ports 5062-5069"
DONE, LIMITED, HOST = 0, 5, 3
WITH_BPF = ["sh", "-c", 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', "sh"]

# link, workers, IP version, source, asked for, in use, share of frames redirected from and to
CASES = {
    "redirect": ("af_packet", 2, 4, SOURCE[4], "redirect", "redirect", 0.15, 0.85),
    "auto": ("af_packet", 2, 4, SOURCE[4], "auto", "flow", 0, 0.02),
    "ports": ("af_packet", 3, 4, PORTS, "flow", "flow", 0, 0.02),
    "ipv6": ("af_packet", 2, 6, SOURCE[6], "flow", "flow", 0, 0.02),
    "af_xdp": ("af_xdp", 2, 6, SOURCE[6], "auto", "redirect", 0.15, 0.85),
}


def build(lab):
    lab_room.need("ip", "ethtool", "sysctl")
    if os.geteuid():
        raise Skip("not root: network namespaces cannot be made")
    for name in ("herd", PRIMARY):
        lab._make_namespace(name)
    lab.ip("herd", "link", "add", "name", "asym0", "numtxqueues", "2", "numrxqueues", "2", "type", "veth",
           "peer", "name", "far0", "numtxqueues", "2", "numrxqueues", "2", "netns", lab.namespace(PRIMARY))
    for namespace, interface in (("herd", "asym0"), (PRIMARY, "far0")):
        lab._plain(namespace, interface)
        lab.sysctl(namespace, f"net.ipv6.conf.{interface}.disable_ipv6=1")
        lab.ip(namespace, "link", "set", interface, "up")


def herd_file(lab, case):
    link, workers, version, source, asked, *_ = CASES[case]
    host = PROXY[version] if version == 4 else f'"[{PROXY[version]}]"'
    path = os.path.join(lab.folder, case + ".yaml")
    with open(path, "w") as file:
        file.write(f"""phones: {PHONES}
user: "2{{n:06}}"
link: {link}:asym0
workers: {workers}
steering: {asked}
source: "{source}"
gateway: "{'10.20.0.99' if version == 4 else 'fd00:20::63'}"
proxies: {{primary: {{host: {host}}}}}
domain: lab.example.net
keepalive: {{period: 300ms, first: spread}}
timers: {{no_response: 10s}}
ramp: 2000/s
store: none
""")
    return path


def registrar(lab, sipherd, version):
    """The gateway is the proxy's own: the registrars answer for their addresses only."""
    host = PROXY[version] if version == 4 else f"[{PROXY[version]}]"
    gateway = "10.20.0.99" if version == 4 else "[fd00:20::63]"
    return lab.start(f"registrar-{version}", [
        sipherd, "registrar", "--link", "af_packet:far0", "--primary", host + ":5060", "--redundant",
        gateway + ":5060", "--user", "2{n:06}"], namespace=PRIMARY)


def run_herd(lab, sipherd, case):
    path = os.path.join(lab.folder, case + ".json")
    argv = [sipherd, "run", herd_file(lab, case), "--for", "1500ms", "--summary", path]
    if CASES[case][0] == "af_xdp":
        argv = WITH_BPF + argv
    process = lab.start(case, argv, namespace="herd")
    code = process.wait(60)
    if code not in (DONE, LIMITED):
        raise Failure(f"{case}: exit {code}\n" + process.tail())
    with open(path) as file:
        return json.load(file), process.text()


def check(case, summary, text):
    *_, tier, least, most = CASES[case]
    wire, herd, steering = summary["wire"], summary["counters"], summary["steering"]
    share = wire["redirected"] / max(wire["frames_received"], 1)
    say(f"    {case}: {text.split('link ', 1)[1].splitlines()[0]}")
    say(f"    {case}: {share:.1%} of {wire['frames_received']} frames redirected")
    if steering["tier"] != tier or steering["broken"]:
        raise Failure(f"{case}: steering is {steering}")
    if f"steering {tier}" not in text:
        raise Failure(f"{case}: the first lines do not tell of steering {tier}\n{text}")
    if tier == "redirect" and not steering["why"]:
        raise Failure(f"{case}: it is not said why")
    if not least <= share <= most:
        raise Failure(f"{case}: {share:.1%} of the frames were redirected")
    if wire["redirect_dropped"]:
        raise Failure(f"{case}: {wire['redirect_dropped']} frames lost between workers")
    if summary["phones"]["registered"]["primary"] != PHONES:
        raise Failure(f"{case}: registered: {summary['phones']}")
    if herd["options_answered"] < 2 * PHONES or herd["options_silent"]:
        raise Failure(f"{case}: keep-alives: {herd}")


def refused(lab, sipherd):
    """A tier that cannot be had is not replaced silently."""
    done = lab.command(sipherd, "run", herd_file(lab, "redirect"), "--set", "steering=toeplitz", "--for",
                       "1s", namespace="herd", check=False, env=lab.environment)
    say("    toeplitz: " + done.stdout.strip().splitlines()[-1])
    if done.returncode != HOST or "steering toeplitz: packet sockets take no key" not in done.stdout:
        raise Failure(f"toeplitz on af_packet: exit {done.returncode}: {done.stdout}")


def one_queue(lab, sipherd):
    """DPDK reads only one queue of a veth: what comes by the others would be lost, and that is said."""
    done = lab.command(*WITH_BPF, sipherd, "run", herd_file(lab, "af_xdp"), "--for", "1s",
                       namespace="herd", check=False, env=lab.environment)
    if done.returncode != HOST or "it receives on 2 queues" not in done.stdout:
        raise Failure(f"af_xdp on two queues: exit {done.returncode}: {done.stdout}")
    # A veth carries XDP while it has a queue for each one that its peer sends by.
    return not any(lab.command("ethtool", "-L", interface, "rx", "1", "tx", "1", namespace=namespace,
                               check=False).returncode
                   for namespace, interface in ((PRIMARY, "far0"), ("herd", "asym0")))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sipherd")
    chosen = parser.parse_args()
    chosen.sipherd = os.path.abspath(chosen.sipherd)
    lab = Lab()
    try:
        build(lab)
        refused(lab, chosen.sipherd)
        for version in (4, 6):
            target = registrar(lab, chosen.sipherd, version)
            wait_until("the registrar is up", lambda: ("link " in target.text(), target.text().strip()), 30)
            for case in CASES:
                if CASES[case][2] != version:
                    continue
                if CASES[case][0] == "af_xdp" and not one_queue(lab, chosen.sipherd):
                    say("    af_xdp: this kernel does not take queues away from a veth")
                    continue
                check(case, *run_herd(lab, chosen.sipherd, case))
            target.kill()
    except Skip as reason:
        say(f"SKIP: {reason}")
        return 77
    except Failure as failure:
        say(f"FAILED: {failure}")
        return 1
    finally:
        lab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
