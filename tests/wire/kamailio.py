# SPDX-License-Identifier: BSD-3-Clause
"""One Kamailio as a registrar: its configuration, its life and its location table."""

import collections
import json
import os
import re
import select
import signal
import subprocess
import time

import lab as lab_room

DOMAIN = "lab.example.net"

# The passwords follow the herd's pattern, so that no database is needed: "pw-" and the user.
# Every check of `sanity` is on. nonce_count makes Kamailio insist on growing nc values.
CONFIG = """
debug=0
log_stderror=yes
children={children}
auto_aliases=no
alias="{domain}"
{listen}
disable_tcp=yes
dns=no
rev_dns=no
server_signature=no
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "sanity.so"
loadmodule "xlog.so"
loadmodule "kex.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
{modules}
modparam("ctl", "binrpc", "unix:{ctl}")
modparam("jsonrpcs", "transport", 2)
modparam("jsonrpcs", "fifo_name", "{fifo}")
modparam("jsonrpcs", "fifo_reply_dir", "{folder}/")
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 12)
modparam("usrloc", "timer_interval", 5)
modparam("registrar", "max_expires", 3600)
modparam("registrar", "min_expires", {min_expires})
modparam("registrar", "default_expires", 3600)
modparam("pv", "shvset", "drain=i:0")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nc_array_size", 262144)
modparam("auth", "nonce_expire", 300)

request_route {{
    if (!mf_process_maxfwd_header("70")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (!sanity_check("32487", "7")) {{
        xlog("L_ALERT", "refused by sanity: $rm from $si:$sp\\n");
        exit;
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    if (!is_method("REGISTER")) {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
{before_register}
    if (!pv_www_authenticate("$td", "pw-$au", "0")) {{
        www_challenge("$td", "1");
        exit;
    }}
    if ($au != $tU) {{
        sl_send_reply("403", "Forbidden");
        exit;
    }}
    if (!save("location"))
        sl_reply_error();
    exit;
}}
"""


# What a proxy does with more REGISTERs than it wants, a second.
MODULES = {
    "ratelimit": """loadmodule "ratelimit.so"
modparam("ratelimit", "timer_interval", 1)
modparam("ratelimit", "queue", "0:REGISTER")
modparam("ratelimit", "pipe", "0:TAILDROP:{limit}")
""",
    "sleep": 'loadmodule "cfgutils.so"\n',
}
# Says nothing to what is beyond the limit; says 503 to it; says 503 to all while `pv.shvSet drain int 1` is
# in force; takes its time for each, as a slow database does.
LIMITS = {
    "none": ((), ""),
    "drop": (("ratelimit",), "    if (!rl_check()) exit;"),
    "refuse": (("ratelimit",), """    if (!rl_check()) {{
        append_to_reply("Retry-After: {retry_after}\\r\\n");
        sl_send_reply("503", "Service Unavailable");
        exit;
    }}"""),
    "drain": ((), """    if ($shv(drain) == 1) {{
        append_to_reply("Retry-After: {retry_after}\\r\\n");
        sl_send_reply("503", "Service Unavailable");
        exit;
    }}"""),
    "slow": (("sleep",), '    usleep("{work_us}");'),
}

Contact = collections.namedtuple("Contact", "address call_id cseq expires")


class Kamailio:
    def __init__(self, lab, side):
        self.lab = lab
        self.side = side
        self.process = None
        self.starts = 0
        self.stopped = False
        self.memory_mb = 256  # of all its children together
        self.ctl = os.path.join(lab.folder, side + ".ctl")
        self.fifo = os.path.join(lab.folder, side + ".fifo")
        self.config = os.path.join(lab.folder, side + ".cfg")
        self.pid_file = os.path.join(lab.folder, side + ".pid")
        self.configure()

    def configure(self, algorithm="", min_expires=0, children=2, behaviour="none", limit=0,
                  retry_after=2, work_us=0):
        """behaviour: of LIMITS, with its REGISTERs a second, seconds or microseconds each."""
        names, before = LIMITS[behaviour]
        values = {"limit": limit, "retry_after": retry_after, "work_us": work_us}
        addresses = lab_room.ADDRESS[self.side]
        listen = f"listen=udp:{addresses[4]}:5060\nlisten=udp:[{addresses[6]}]:5060"
        with open(self.config, "w") as file:
            file.write(CONFIG.format(listen=listen, domain=DOMAIN, ctl=self.ctl, fifo=self.fifo, folder=self.lab.folder, children=children,
                                     algorithm=algorithm, min_expires=min_expires,
                                     modules="".join(MODULES[name] for name in names).format(**values),
                                     before_register=before.format(**values)))

    # -- life ---------------------------------------------------------------------------------

    def start(self):
        self.starts += 1
        for path in (self.ctl, self.pid_file):
            if os.path.exists(path):
                os.unlink(path)
        # -b: let the socket hold a burst, as far as the kernel allows (net.core.rmem_max).
        argv = ["kamailio", "-f", self.config, "-DD", "-E", "-P", self.pid_file, "-m",
                str(self.memory_mb), "-M", "512", "-b", "4194304"]
        self.process = self.lab.start(f"kamailio-{self.side}", argv, namespace=self.side)
        self.stopped = False
        lab_room.wait_until(f"kamailio {self.side} is up", self._up, 30, 0.1)

    def _up(self):
        if not self.process.running():
            raise lab_room.Failure("kamailio ended:\n" + self.process.tail())
        return (os.path.exists(self.ctl) and self.rpc("core.uptime") is not None,
                f"pid {self.process.pid}")

    def kill(self):
        self.process.kill()

    def pause(self):
        """SIGSTOP: the kernel goes on accepting packets, nobody answers."""
        self.process.signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        self.process.signal(signal.SIGCONT)
        self.stopped = False

    def restart(self):
        if self.process and self.process.running():
            self.process.kill()
        self.start()

    def complaints(self):
        """What Kamailio itself logged against the traffic."""
        return [line for line in self.process.text().splitlines()
                if re.search(r"ERROR|CRITICAL|ALERT|BUG|refused by sanity", line)]

    # -- the location table -------------------------------------------------------------------

    def rpc(self, *words):
        done = subprocess.run(["kamcmd", "-s", f"unix:{self.ctl}", *words], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
        return None if done.returncode else done.stdout

    def statistic(self, name):
        """One of Kamailio's counters, or None when nobody answers."""
        text = self.rpc("stats.get_statistics", name) or ""
        found = re.search(r"=\s*(\d+)", text)
        return int(found.group(1)) if found else None

    def users(self):
        """The set of users that are registered here."""
        return {entry["AoR"] for entry in self._dump("brief")}

    def table(self):
        """{user: Contact}; a user with several contacts is a failure in itself."""
        table = {}
        for entry in self._dump():
            info = entry["Info"]
            contacts = [item["Contact"] for item in info["Contacts"]]
            if len(contacts) != 1:
                raise lab_room.Failure(f"{info['AoR']} has {len(contacts)} contacts at {self.side}: "
                                       + ", ".join(contact["Address"] for contact in contacts))
            table[info["AoR"]] = Contact(contacts[0]["Address"], contacts[0]["Call-ID"],
                                         contacts[0]["CSeq"], contacts[0]["Expires"])
        return table

    def _dump(self, *parameters):
        # kamcmd's protocol ends at 64 kB; a FIFO carries a table of any size.
        reply = os.path.join(self.lab.folder, f"{self.side}_reply")
        os.mkfifo(reply)
        try:
            end = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
            try:
                request = {"jsonrpc": "2.0", "method": "ul.dump", "params": list(parameters),
                           "reply_name": os.path.basename(reply), "id": 1}
                writer = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
                os.write(writer, (json.dumps(request) + "\n").encode())
                os.close(writer)
                answer = json.loads(read_all(end, 30))
            finally:
                os.close(end)
        finally:
            os.unlink(reply)
        if "result" not in answer:
            raise lab_room.Failure(f"kamailio {self.side}: ul.dump: {answer}")
        domains = answer["result"]["Domains"]
        return domains[0]["Domain"].get("AoRs", []) if domains else []


def read_all(end, seconds):
    """Everything from a FIFO, from its first writer until that one closes it."""
    parts = []
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not select.select([end], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(end, 1 << 20)
        except BlockingIOError:
            continue
        if part:
            parts.append(part)
        elif parts:
            return b"".join(parts)
        else:
            time.sleep(0.005)  # nobody has opened the other end yet
    raise lab_room.Failure("no answer through the FIFO")
