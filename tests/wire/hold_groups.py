# SPDX-License-Identifier: BSD-3-Clause
"""Hold the packet fan-out groups that DPDK's af_packet driver would take in the next processes.

    python3 hold_groups.py INTERFACE OTHER COUNT

The driver's group is its pid xor the index of INTERFACE; here they are held on the interface OTHER.
"""

import os
import signal
import socket
import struct
import sys

SOL_PACKET, PACKET_FANOUT = 263, 18
ETH_P_ALL = 3


def main():
    index = socket.if_nametoindex(sys.argv[1])
    first = os.getpid() + 1
    held = []
    for pid in range(first, first + int(sys.argv[3])):
        holder = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        holder.bind((sys.argv[2], ETH_P_ALL))
        holder.setsockopt(SOL_PACKET, PACKET_FANOUT, struct.pack("=I", (pid ^ index) & 0xffff))
        held.append(holder)
    print("held", first, first + len(held) - 1, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
