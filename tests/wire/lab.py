# SPDX-License-Identifier: BSD-3-Clause
"""A small network of our own, made of namespaces, that leaves nothing behind.

    namespace sipherd-PID-herd            namespace sipherd-PID-primary
    asym0 -- asym0b \                     +-------------------------------+
    sym0  -- sym0b   >-- bridge "switch" -+ primary0: 10.10.0.1, 2001:db8:10::1
    tapX (made by sipherd, routed) /|     +-------------------------------+
    namespaces green, blue, teal    |\      namespace sipherd-PID-redundant
    link0 (a generator each) -------+ ----+ redundant0: 10.10.0.2, 2001:db8:10::2

The phones' prefixes are routed through one address inside each, as the design recommends: the
kernel's neighbour table is shared by all namespaces of a host and holds only 1,024 entries. Only the
prefix that several generators share is on-link, since its addresses move from one to the other.

A frame that leaves a veth carries a real checksum (no offload), as a card would send it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

PRIMARY, REDUNDANT = "primary", "redundant"
SIDES = (PRIMARY, REDUNDANT)
VLAN = 120
ADDRESS = {
    PRIMARY: {4: "10.10.0.1", 6: "2001:db8:10::1"},
    REDUNDANT: {4: "10.10.0.2", 6: "2001:db8:10::2"},
}
ROUTER = {4: "10.10.0.254", 6: "2001:db8:10::fe"}
# What one herd of each mode gets: an interface, and its phones' prefixes by IP version.
HERD_PREFIX = {
    "asym": {4: "10.20.0.0/16", 6: "2001:db8:20::/64"},
    "sym": {4: "10.21.0.0/16", 6: "2001:db8:21::/64"},
    "off": {4: "10.24.0.0/16", 6: "2001:db8:24::/64"},
}
# Behind a tap the kernel of the herd's namespace is the router, so these are other prefixes.
TAP_PREFIX = {"asym": {4: "10.22.0.0/16"}, "sym": {4: "10.23.0.0/16"}}
# The phones of several generators, many to an address.
SHARED_PREFIX = {4: "10.25.0.0/24", 6: "2001:db8:25::/64"}
GENERATORS = ("green", "blue", "teal")
TAP_GATEWAY = {"asym": "10.22.255.254", "sym": "10.23.255.254"}


class Failure(Exception):
    """What was expected did not come true."""


class Skip(Exception):
    """This machine lacks something the case needs."""


def say(text):
    print(text, flush=True)


def need(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Skip("not installed: " + ", ".join(missing))


def as_host(name, argv):
    """The command as it would run on a machine of this name."""
    need("unshare", "hostname")
    return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *argv]


def wait_until(what, probe, seconds, interval=0.25):
    """Ask `probe` until its first value is true; its second says what was seen, for people."""
    start = time.monotonic()
    while True:
        done, seen = probe()
        took = time.monotonic() - start
        if done:
            say(f"    {what}: {seen}, {took:.1f} s")
            return seen
        if took > seconds:
            raise Failure(f"{what}: not within {seconds} s, seen: {seen}")
        time.sleep(interval)


def hold(what, probe, seconds, interval=0.5):
    """The opposite: it must stay true for so long."""
    end = time.monotonic() + seconds
    while True:
        fine, seen = probe()
        if not fine:
            raise Failure(f"{what}: did not hold, seen: {seen}")
        if time.monotonic() >= end:
            say(f"    {what}: {seen}, for {seconds} s")
            return
        time.sleep(interval)


PR_SET_CHILD_SUBREAPER = 36


def reap_group(group):
    """Collect what a killed process left behind: its children are ours then (subreaper)."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return


def guard(namespaces, folders, pipe):
    """In a process of its own: when the test dies without its own cleaning up (SIGKILL), do it."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(pipe, 1):  # a byte: all is clean already; nothing but the end: it died
        os._exit(0)
    for name in namespaces:
        pids = subprocess.run(["ip", "netns", "pids", name], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout.split()
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


class Process:
    """A process group of our own, with its output in a file."""

    def __init__(self, lab, name, argv, namespace=None, prepare=None, stdin=None):
        self.name = name
        self.log = os.path.join(lab.folder, f"{name}.log")
        if namespace:
            if prepare:
                argv = ["sh", "-c", prepare + ' && exec "$@"', "sh"] + argv
            argv = ["ip", "netns", "exec", lab.namespace(namespace)] + argv
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL, stdout=out,
                                          stderr=subprocess.STDOUT, start_new_session=True,
                                          cwd=lab.folder, env=lab.environment)
        self.pid = self.child.pid

    def running(self):
        return self.child.poll() is None

    def signal(self, number, group=True):
        if not self.running():
            return
        if group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def wait(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} (pid {self.pid}) did not end within {seconds} s\n"
                          + self.tail()) from None

    def kill(self):
        """SIGKILL to the whole group, and wait until it is gone: the kernel takes its time where hundreds of
        packet sockets are to be closed."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait(120)
        reap_group(self.pid)

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def tail(self, lines=15):
        return "\n".join(f"      {self.name}| {line}" for line in self.text().splitlines()[-lines:])


class Lab:
    def __init__(self, keep=False):
        self.tag = f"sipherd-{os.getpid()}"
        self.keep = keep
        self.processes = []
        self.namespaces = []
        self.folder = tempfile.mkdtemp(prefix=self.tag + "-")
        # What a run leaves for the next one stays here, in memory as it would by itself, and nothing
        # from outside gets in.
        self.state = tempfile.mkdtemp(prefix=self.tag + "-", dir="/dev/shm")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("SIPHERD_")}
        self.environment["SIPHERD_HTTP"] = "none"
        self.environment["SIPHERD_STATE"] = self.state
        self.vlan_on = False
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._start_guard()

    def _start_guard(self):
        end, self.guard_pipe = os.pipe()
        self.guard_pid = os.fork()
        if self.guard_pid:
            os.close(end)
            return
        os.close(self.guard_pipe)
        guard([self.namespace(name) for name in ("herd",) + SIDES + GENERATORS],
              [self.folder, self.state], end)

    # -- commands -----------------------------------------------------------------------------

    def namespace(self, name):
        return f"{self.tag}-{name}"

    def command(self, *argv, namespace=None, check=True, seconds=60, **options):
        if namespace:
            argv = ("ip", "netns", "exec", self.namespace(namespace)) + argv
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=seconds, cwd=self.folder, **options)
        if check and done.returncode:
            raise Failure(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
        return done

    def ip(self, namespace, *argv):
        return self.command("ip", "-n", self.namespace(namespace), *argv)

    def start(self, name, argv, **options):
        process = Process(self, name, argv, **options)
        self.processes.append(process)
        return process

    def sysctl(self, namespace, setting):
        self.command("sysctl", "-q", "-w", setting, namespace=namespace)

    # -- the network --------------------------------------------------------------------------

    def build(self):
        need("ip", "ethtool", "sysctl", "tc")
        if os.geteuid():
            raise Skip("not root: network namespaces cannot be made")
        for name in ("herd",) + SIDES:
            self._make_namespace(name)
        self.ip("herd", "link", "add", "name", "switch", "type", "bridge", "forward_delay", "0",
                "stp_state", "0", "mcast_snooping", "0")
        self.sysctl("herd", "net.ipv6.conf.switch.accept_dad=0")
        self.ip("herd", "addr", "add", ROUTER[4] + "/24", "dev", "switch")
        self.ip("herd", "addr", "add", ROUTER[6] + "/64", "dev", "switch", "nodad")
        self.ip("herd", "link", "set", "switch", "up")
        for mode in HERD_PREFIX:
            self._herd_link(mode)
        for side in SIDES:
            self._proxy_link(side)

    def _make_namespace(self, name):
        made = self.command("ip", "netns", "add", self.namespace(name), check=False)
        if made.returncode:
            raise Skip("network namespaces cannot be made: " + made.stdout.strip())
        self.namespaces.append(name)
        self.ip(name, "link", "set", "lo", "up")

    def generator(self, name):
        """A namespace with one interface, link0, at the switch; made when it is first wanted."""
        if name in self.namespaces:
            return
        self._make_namespace(name)
        far = name + "b"
        self.ip("herd", "link", "add", "name", far, "type", "veth", "peer", "name", "link0", "netns",
                self.namespace(name))
        for namespace, interface in ((name, "link0"), ("herd", far)):
            self._plain(namespace, interface)
            self.ip(namespace, "link", "set", interface, "addrgenmode", "none")
            self.ip(namespace, "link", "set", interface, "up")
        self.ip("herd", "link", "set", far, "master", "switch")

    def hardware(self, namespace, interface):
        """The MAC of an interface."""
        return self.command("cat", f"/sys/class/net/{interface}/address",
                            namespace=namespace).stdout.strip()

    def _plain(self, namespace, interface):
        # Kernel to kernel, a veth would carry half-made checksums and merged segments.
        self.command("ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso",
                     "off", "gro", "off", namespace=namespace)

    def _herd_link(self, mode):
        near, far = mode + "0", mode + "0b"
        self.ip("herd", "link", "add", "name", near, "type", "veth", "peer", "name", far)
        for interface in (near, far):
            self._plain("herd", interface)
            self.ip("herd", "link", "set", interface, "addrgenmode", "none")
            self.ip("herd", "link", "set", interface, "up")
        self.ip("herd", "link", "set", far, "master", "switch")

    def _proxy_link(self, side):
        near, far = side[:9] + "0", side[:9] + "0b"
        self.ip("herd", "link", "add", "name", far, "type", "veth", "peer", "name", near, "netns",
                self.namespace(side))
        self._plain("herd", far)
        self._plain(side, near)
        self.ip("herd", "link", "set", far, "addrgenmode", "none")
        self.ip("herd", "link", "set", far, "master", "switch", "up")
        self.link_up(side)

    def interface(self, side):
        return side[:9] + "0"

    def link_down(self, side):
        self.ip(side, "link", "set", self.interface(side), "down")

    def link_up(self, side):
        """Addresses and routes too: setting a link down takes them away.

        The far end joins last, so that no request arrives before its answer has a way back.
        """
        interface = self.interface(side)
        self.ip("herd", "link", "set", interface + "b", "down")
        self.ip(side, "link", "set", interface, "up")
        self.ip(side, "addr", "replace", ADDRESS[side][4] + "/24", "dev", interface)
        self.ip(side, "-6", "addr", "replace", ADDRESS[side][6] + "/64", "dev", interface, "nodad")
        for prefixes in HERD_PREFIX.values():
            first4 = prefixes[4].replace(".0.0/16", ".0.1")
            first6 = prefixes[6].replace("::/64", "::1")
            self.ip(side, "route", "replace", prefixes[4], "via", first4, "dev", interface, "onlink")
            self.ip(side, "-6", "route", "replace", prefixes[6], "via", first6, "dev", interface,
                    "onlink")
        for prefixes in TAP_PREFIX.values():
            self.ip(side, "route", "replace", prefixes[4], "via", ROUTER[4], "dev", interface)
        self.ip(side, "route", "replace", SHARED_PREFIX[4], "dev", interface)
        self.ip(side, "-6", "route", "replace", SHARED_PREFIX[6], "dev", interface)
        self.ip("herd", "link", "set", interface + "b", "up")

    def vlan(self, on):
        """Make both proxies' ports trunk ports that carry VLAN 120 and nothing else.

        Two lines of BPF at the port do what a VLAN subinterface does, also on kernels that are
        built without 802.1Q devices.
        """
        if on == self.vlan_on:
            return
        self.vlan_on = on
        for side in SIDES:
            interface = self.interface(side)
            if not on:
                self.command("tc", "qdisc", "del", "dev", interface, "clsact", namespace=side)
                continue
            program = self._vlan_program()
            self.command("tc", "qdisc", "add", "dev", interface, "clsact", namespace=side)
            for direction, section in (("egress", "tc/push"), ("ingress", "tc/pop")):
                self.command("tc", "filter", "add", "dev", interface, direction, "bpf", "da", "obj",
                             program, "sec", section, namespace=side)

    def _vlan_program(self):
        need("clang")
        program = os.path.join(self.folder, "vlan.o")
        if not os.path.exists(program):
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vlan.bpf.c")
            machine = os.uname().machine
            self.command("clang", "-O2", "-g", "-target", "bpf", f"-DVLAN={VLAN}",
                         f"-I/usr/include/{machine}-linux-gnu", "-c", source, "-o", program)
        return program

    def route_tap(self, mode, interface):
        """The tap of a herd is there: be its router."""
        prefix, gateway = TAP_PREFIX[mode][4], TAP_GATEWAY[mode]
        first = prefix.replace(".0.0/16", ".0.1")
        self.ip("herd", "addr", "replace", gateway + "/32", "dev", interface)
        self.ip("herd", "link", "set", interface, "up")
        self.ip("herd", "route", "replace", prefix, "via", first, "dev", interface, "onlink")
        for name in (interface, "switch"):
            self.sysctl("herd", f"net.ipv4.conf.{name}.forwarding=1")

    def has_interface(self, namespace, interface):
        return not self.command("ip", "-n", self.namespace(namespace), "link", "show", interface,
                                check=False).returncode

    def put_away(self, case):
        """Logs, captures and summaries of one case must not be taken for the next one's."""
        folder = os.path.join(self.folder, case)
        for entry in list(os.scandir(self.state)):
            shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
        if self.keep:
            os.makedirs(folder, exist_ok=True)
        for entry in list(os.scandir(self.folder)):
            if entry.is_dir():
                continue
            if self.keep:
                os.replace(entry.path, os.path.join(folder, entry.name))
            else:
                os.unlink(entry.path)

    # -- the end ------------------------------------------------------------------------------

    def close(self):
        for process in reversed(self.processes):
            try:
                process.kill()
            except Exception as error:  # the rest must still be removed
                say(f"    {process.name}: {error}")
        for name in reversed(self.namespaces):
            self.command("ip", "netns", "del", self.namespace(name), check=False)
        if self.keep:
            say(f"    logs are kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        os.write(self.guard_pipe, b".")
        os.close(self.guard_pipe)
        os.waitpid(self.guard_pid, 0)
