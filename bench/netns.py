# SPDX-License-Identifier: BSD-3-Clause
"""Two namespaces with a veth pair between them: all that the benchmarks send leaves no trace on the host.

    sipherd-bench-PID-near                        sipherd-bench-PID-far
    near0: 10.10.0.10/24                  <veth>  far0: 10.10.0.1/24, 10.10.0.2/24
    (phones: ports of 10.10.0.11 to .14)          (the proxies, or who answers for them)
"""
import os
import shutil
import subprocess

NEAR, FAR = "near", "far"
# `ip netns exec` shows a /sys of its own: the BPF file system has to be mounted in it anew.
WITH_BPF = ("sh", "-c", 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', "sh")


class Unavailable(Exception):
    """This machine lacks something that the benchmark needs."""


def need(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Unavailable("not installed: " + ", ".join(missing))


class Network:
    def __init__(self):
        need("ip", "ethtool")
        if os.geteuid():
            raise Unavailable("not root: network namespaces cannot be made")
        self.made = []

    def __enter__(self):
        try:
            for end in (NEAR, FAR):
                self._command("ip", "netns", "add", self.name(end))
                self.made.append(end)
                self._command(*self.inside(end, "sysctl", "-q", "-w",
                                           "net.ipv6.conf.default.disable_ipv6=1"))
            self._command("ip", "-n", self.name(NEAR), "link", "add", "near0", "type", "veth", "peer", "name",
                          "far0", "netns", self.name(FAR))
            for end, addresses in ((NEAR, ("10.10.0.10",)), (FAR, ("10.10.0.1", "10.10.0.2"))):
                for address in addresses:
                    self._command("ip", "-n", self.name(end), "addr", "add", address + "/24", "dev", end + "0")
                # Frames that leave a veth carry a real checksum, as a card would send them.
                self._command(*self.inside(end, "ethtool", "-K", end + "0", "tx", "off", "rx", "off"))
                self._command("ip", "-n", self.name(end), "link", "set", end + "0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for end in self.made:
            subprocess.run(["ip", "netns", "del", self.name(end)], check=False)
        self.made = []

    @staticmethod
    def name(end):
        return f"sipherd-bench-{os.getpid()}-{end}"

    def inside(self, end, *argv):
        return ["ip", "netns", "exec", self.name(end), *argv]

    @staticmethod
    def _command(*argv):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{' '.join(argv)}: {done.stdout.strip()}")
