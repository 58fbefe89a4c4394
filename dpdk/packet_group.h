/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number for the socket group of an af_packet port that no other process has.
 *
 * DPDK's driver puts the sockets of a port into a kernel group numbered (pid ^ interface index) &
 * 0xffff, and fails when that number is taken by a port on another interface. Two processes started
 * one after the other on neighbouring interfaces collide easily, and neither number can be chosen.
 * So getpid is ours, and says something else to this one thread while the driver is asked again.
 *
 * The driver also has the kernel choose a socket by a hash with a secret of its own. A program can
 * choose instead, but the driver knows of none: so setsockopt is ours, too.
 */
#ifndef SIPHERD_PACKET_GROUP_H
#define SIPHERD_PACKET_GROUP_H

#include <stdbool.h>

#include <linux/filter.h>

/* While not zero, getpid in the calling thread is the process's own number changed by this. */
void packet_group_shift(int shift);

/* While not NULL, socket groups that the calling thread makes choose by this program: what it returns is
 * the number of the socket. Where the kernel refuses, by the hash as ever. */
void packet_group_program(const struct sock_fprog *program);
/* Whether the last group made with a program has it. */
bool packet_group_programmed(void);

#endif
