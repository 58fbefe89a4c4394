# SPDX-License-Identifier: BSD-3-Clause
"""One `sipherd run` as a test sees it: a fleet file, a process, a summary, and what must be true."""

import ipaddress
import itertools
import json
import os
import re
import signal

import lab as lab_room
from kamailio import DOMAIN
from lab import PRIMARY, REDUNDANT, Failure

# Exit code 5 says that the machine, not the proxies, was the limit: allowed on shared cores, and said.
DONE, LIMITED = 0, 5
FIRST_DIGIT = {"asym": "2", "sym": "3", "off": "4", "shared": "5"}
MODE_WORD = {"asym": "asymmetric", "sym": "symmetric", "off": "asymmetric", "shared": "asymmetric"}
PASSWORD = r"pw-[2345]\d{6}"
SHARED_PORTS = 1000  # of each address: ten addresses for the 10,000 phones of a shard


class Herd:
    """`mode` is asym, sym or off, and also names the interface it uses: asym0 and so on.

    Or it is shared: one of several generators of the same fleet. The store is none where it is not the
    matter. With `host` it runs as on a machine of that name, with the folder `state` of its own.
    """

    def __init__(self, lab, sipherd, mode, phones, link="af_packet", version=4, vlan=None, host=None,
                 store="none", state=None, **keys):
        self.lab = lab
        self.sipherd = sipherd
        self.mode = mode
        self.phones = phones
        self.link = link
        self.version = version
        self.vlan = vlan
        self.tap = f"tap-{mode}"
        self.interface = self.tap if link == "tap" else mode + "0"
        self.host = host
        self.store = store
        self.state = os.path.join(lab.state, state or self.mode)
        self.namespace = "herd"
        self.ports = 1
        if mode == "shared":
            lab.generator(host)
            self.namespace, self.interface, self.ports = host, "link0", SHARED_PORTS
            self.prefix = lab_room.SHARED_PREFIX[version]
        else:
            prefixes = lab_room.TAP_PREFIX if link == "tap" else lab_room.HERD_PREFIX
            self.prefix = prefixes[mode][version]
        self.keys = {"period": "2s", "no_response": "1s", "expires": "3600s", "ramp": "5000/s",
                     "t1": None, "retry": None, "unregister": None, "proxies": None, "ttl": None,
                     "first": None, "switch_delay": "0s"}
        self.keys.update(keys)
        self.process = None
        self.summary = None
        self.name = f"sipherd-{host if mode == 'shared' else mode}"
        self.summary_path = os.path.join(lab.folder, f"{self.name}.json")
        self.expected = self._expected()

    # -- what must come true ------------------------------------------------------------------

    def _expected(self):
        """{user: (address, port)}, by the same arithmetic as the fleet file's source."""
        network = ipaddress.ip_network(self.prefix)
        gateway = lab_room.TAP_GATEWAY.get(self.mode) if self.link == "tap" else None
        hosts = (str(network[i]) for i in itertools.count(1))
        hosts = (host for host in hosts if host != gateway)
        places = ((host, 5060 + port) for host in hosts for port in range(self.ports))
        return {f"{FIRST_DIGIT[self.mode]}{n:06}": place
                for n, place in zip(range(self.phones), places)}

    def users(self, first=0, count=None):
        last = self.phones if count is None else first + count
        return {f"{FIRST_DIGIT[self.mode]}{n:06}" for n in range(first, last)}

    def address_of(self, user):
        return self.expected[user][0]

    def check_contacts(self, table):
        """Every contact in the proxy's table is this phone's own address and port."""
        wrong = []
        for user, endpoint in self.expected.items():
            contact = table.get(user)
            if contact and contact_endpoint(contact.address) != endpoint:
                wrong.append(f"{user} has {contact.address}, not {endpoint}")
        if wrong:
            raise Failure(f"{self.mode}: {len(wrong)} wrong contacts: {wrong[0]}")

    # -- the process --------------------------------------------------------------------------

    def fleet(self):
        keys = self.keys
        proxies = keys["proxies"] or {side: lab_room.ADDRESS[side][self.version]
                                      for side in lab_room.SIDES}
        shown = {side: f"[{address}]:5060" if ":" in address else f"{address}:5060"
                 for side, address in proxies.items()}
        first = f", first: {keys['first']}" if keys["first"] else ""
        enabled = "" if self.mode != "off" else ", enabled: 0"
        registration = f"expires: {keys['expires']}"
        if keys["retry"]:
            registration += f", retry: {keys['retry']}"
        if keys["unregister"] is not None:
            registration += f", unregister: {keys['unregister']}"
        timers = f"no_response: {keys['no_response']}"
        if keys["t1"]:
            timers += f", t1: {keys['t1']}"
        lines = [
            f"fleet: wire-{self.mode}",
            f"phones: {self.phones}",
            f'user: "{FIRST_DIGIT[self.mode]}{{n:06}}"',
            'password: "pw-{user}"',
            f"domain: {DOMAIN}",
            f"link: {self.link}:{self.interface}",
            f'source: "{self.prefix}{self._ports()}"',
            *self._store(),
            f'proxies: {{ primary: "{shown[PRIMARY]}", redundant: "{shown[REDUNDANT]}" }}',
            f"redundancy: {{ mode: {MODE_WORD[self.mode]}, switch_delay: {keys['switch_delay']}{enabled} }}",
            f"keepalive: {{ period: {keys['period']}{first} }}",
            f"registration: {{ {registration} }}",
            f"timers: {{ {timers} }}",
            f"ramp: {keys['ramp']}",
        ]
        if self.vlan:
            lines.append(f"vlan: {self.vlan}")
        if self.link == "tap":
            lines.append(f"gateway: {lab_room.TAP_GATEWAY[self.mode]}")
        return "\n".join(lines) + "\n"

    def _ports(self):
        return f" ports 5060-{5060 + self.ports - 1}" if self.ports > 1 else ""

    def _store(self):
        """Without `store` the default holds, a Redis of its own."""
        lines = [f"store: {self.store}"] if self.store else []
        if self.keys["ttl"]:
            lines.append(f"lease: {{ ttl: {self.keys['ttl']} }}")
        return lines

    def start(self, *arguments, seconds=600):
        path = os.path.join(self.lab.folder, f"{self.name}.yaml")
        with open(path, "w") as file:
            file.write(self.fleet())
        if os.path.exists(self.summary_path):
            os.unlink(self.summary_path)
        argv = [self.sipherd, "run", path, "--for", f"{seconds}s", "--summary", self.summary_path,
                "--seed", "1", "--state", self.state, *arguments]
        # af_xdp wants bpffs, and `ip netns exec` mounts a fresh /sys without it.
        prepare = ("mount -t bpf bpf /sys/fs/bpf"
                   if self.link == "af_xdp" else None)
        self._launch(argv, prepare)

    def drill(self, words, hooks, *arguments):
        """A drill instead of a run; it ends by itself. `hooks` is text for the fleet file."""
        path = os.path.join(self.lab.folder, f"{self.name}.yaml")
        with open(path, "w") as file:
            file.write(self.fleet() + hooks)
        self._launch([self.sipherd, "drill", path, *words, "--summary", self.summary_path, "--seed", "1",
                      "--state", self.state, *arguments], None)

    def search(self, words, *arguments):
        """A capacity search, of which found() is the answer."""
        path = os.path.join(self.lab.folder, f"{self.name}.yaml")
        with open(path, "w") as file:
            file.write(self.fleet())
        kind, *words = words
        self._launch([self.sipherd, "bench", kind, path, *words, "--summary", self.summary_path,
                      *arguments], None)

    def found(self, seconds):
        code = self.process.wait(seconds)
        if code:
            raise Failure(f"{self.name}: exit {code}\n" + self.process.tail())
        lab_room.say(self.process.text())
        with open(self.summary_path) as file:
            return json.load(file)["searches"][0]["answer"]

    def _launch(self, argv, prepare):
        if self.host:
            argv = lab_room.as_host(self.host, argv)
        self.process = self.lab.start(self.name, argv, namespace=self.namespace, prepare=prepare)
        if self.link == "tap":
            lab_room.wait_until(f"{self.tap} exists", self._has_tap, 30, 0.1)
            self.lab.route_tap(self.mode, self.tap)

    def tapped(self):
        """An interface where all frames of this herd can be seen."""
        return self.tap if self.link == "tap" else self.interface + "b"

    def _has_tap(self):
        self.check_running()
        return self.lab.has_interface("herd", self.tap), f"pid {self.process.pid}"

    def check_running(self):
        if not self.process.running():
            raise Failure(f"{self.name} ended by itself, exit {self.process.child.returncode}\n"
                          + self.process.tail())

    def interrupt(self):
        """Ctrl-C, as a person would."""
        self.process.signal(signal.SIGINT, group=False)

    def finish(self, seconds=30, tolerated=()):
        """Wait for the end after Ctrl-C (or --for), and read the summary."""
        code = self.process.wait(seconds)
        text = self.process.text()
        if code not in (DONE, LIMITED, *tolerated):
            raise Failure(f"{self.name}: exit {code}\n" + self.process.tail())
        if code == LIMITED:
            lab_room.say(f"    {self.name}: GENERATOR-LIMITED on this machine")
        if re.search(PASSWORD + "|AddressSanitizer|runtime error", text):
            raise Failure(f"{self.name}: a password or a sanitizer's report in its output\n"
                          + self.process.tail())
        with open(self.summary_path) as file:
            raw = file.read()
        if re.search(PASSWORD, raw):
            raise Failure(f"{self.name}: a password in the summary")
        self.summary = json.loads(raw)
        if self.summary.get("schema") != "sipherd.run/1":
            raise Failure(f"{self.name}: schema {self.summary.get('schema')}")
        return self.summary

    def counter(self, name):
        return self.summary["counters"][name]

    def registered(self, side):
        """Phones registered at this proxy when the run ended, by the summary."""
        return self.summary["phones"]["registered"][side]


def contact_endpoint(uri):
    """("10.20.0.1", 5060) of "sip:2000000@10.20.0.1:5060;transport=udp"."""
    found = re.match(r"<?sips?:(?:[^@]*@)?(\[[0-9a-fA-F:.]+\]|[^:;>]+)(?::(\d+))?", uri)
    if not found:
        return None
    host = found.group(1)
    if host.startswith("["):
        host = str(ipaddress.ip_address(host[1:-1]))
    return host, int(found.group(2) or 5060)
