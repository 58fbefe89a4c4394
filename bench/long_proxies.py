# SPDX-License-Identifier: BSD-3-Clause
"""The proxies of a long run: sipherd's own, or two Kamailios in namespaces of their own, which crash in earnest."""
import os
import sys
import threading

from measure import ROOT, TICKS, Failure

sys.path.insert(0, os.path.join(ROOT, "tests", "wire"))
import lab as lab_room  # noqa: E402
from kamailio import Kamailio  # noqa: E402

MEMORY = """link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
registrar: { realm: lab.example.net, nonce_lifetime: 1h }"""
# The phones' addresses are those of two of the lab's herds.
VETH = """link: af_packet:asym0
source: 10.20.0.0/15
proxies: {{ primary: "{primary}:5060", redundant: "{redundant}:5060" }}
hooks:
  stopped: {{ run: {stop}, undo: {resume} }}
  killed: {{ run: {kill}, undo: {start} }}"""


class BuiltIn:
    """The built-in registrars: sipherd tells all there is to know of them."""

    inside = ()

    def __init__(self, _o):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @staticmethod
    def fleet():
        return {"network": MEMORY, "hooks": ("", "")}

    @staticmethod
    def sample():
        return {}

    @staticmethod
    def tables(_side):
        return {}

    @staticmethod
    def end():
        return {}


class Hooks(threading.Thread):
    """Does to the primary what sipherd's hooks ask for through one FIFO, and says through another that it is done."""

    def __init__(self, folder, deeds):
        super().__init__(daemon=True)
        self.deeds = deeds
        self.ask, self.done = (os.path.join(folder, name) for name in ("hook.ask", "hook.done"))
        for path in (self.ask, self.done):
            os.mkfifo(path)

    def words(self, deed):
        return f"[/bin/sh, -c, 'echo $0 >{self.ask}; read -r done <{self.done}', {deed}]"

    def run(self):
        while True:
            with open(self.ask, encoding="ascii") as file:
                deed = file.read().strip()
            self.deeds[deed]()
            with open(self.done, "w", encoding="ascii") as file:
                file.write("done\n")


class Kamailios:
    """tests/wire has the network and the proxies."""

    def __init__(self, _o):
        try:
            lab_room.need("kamailio", "kamcmd")
            self.lab = lab_room.Lab()
        except lab_room.Skip as reason:
            raise Failure(reason) from None
        self.proxy = {side: Kamailio(self.lab, side) for side in lab_room.SIDES}
        self.inside = ("ip", "netns", "exec", self.lab.namespace("herd"))

    def __enter__(self):
        try:
            self.lab.build()
            for side in lab_room.SIDES:
                self.proxy[side].memory_mb = 1024
                self.proxy[side].start()
        except lab_room.Skip as reason:
            self.lab.close()
            raise Failure(reason) from None
        except BaseException:
            self.lab.close()
            raise
        primary = self.proxy[lab_room.PRIMARY]
        self.hooks = Hooks(self.lab.folder, {"stop": primary.pause, "resume": primary.resume,
                                             "kill": primary.kill,
                                             "start": primary.start})
        self.hooks.start()
        return self

    def __exit__(self, *_):
        self.lab.close()

    def fleet(self):
        addresses = {side: lab_room.ADDRESS[side][4] for side in lab_room.SIDES}
        deeds = {deed: self.hooks.words(deed) for deed in self.hooks.deeds}
        return {"network": VETH.format(**addresses, **deeds), "hooks": (", hook: stopped", ", hook: killed")}

    def running(self, side):
        return self.proxy[side].process.running() and not self.proxy[side].stopped

    def sample(self):
        return {"kamailio": {side: {"processor_s": group_s(self.proxy[side].process.pid),
                                    "registered": self.proxy[side].statistic("registered_users")
                                    if self.running(side) else None} for side in lab_room.SIDES}}

    def tables(self, side):
        """Users in the location tables of those that are running."""
        return {"kamailio " + name: self.bindings(name) for name in lab_room.SIDES if self.running(name)}

    def bindings(self, side):
        try:
            return len(self.proxy[side].users())
        except lab_room.Failure as failure:  # too busy to say
            return str(failure)

    def end(self):
        return {side: {"tables": self.bindings(side), "complaints": self.proxy[side].complaints()[:20],
                       "datagrams_dropped": self.dropped(side)} for side in lab_room.SIDES}

    def dropped(self, side):
        """Datagrams that the kernel had no room for in a proxy's socket, since the namespace was made."""
        text = self.lab.command("cat", "/proc/net/snmp", namespace=side).stdout
        names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
        return int(values[names.index("RcvbufErrors")])


def group_s(group):
    """Processor seconds of the living processes of a group."""
    used = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            used += sum(map(int, fields[11:13])) if int(fields[2]) == group else 0
    return used / TICKS
