/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number for the socket group of an af_packet port that no other process has.
 *
 * DPDK's driver puts the sockets of a port into a kernel group numbered (pid ^ interface index) &
 * 0xffff, and fails when that number is taken by a port on another interface. Two processes started
 * one after the other on neighbouring interfaces collide easily, and neither number can be chosen.
 * So getpid is ours, and says something else to this one thread while the driver is asked again.
 */
#ifndef SIPHERD_PACKET_GROUP_H
#define SIPHERD_PACKET_GROUP_H

/* While not zero, getpid in the calling thread is the process's own number changed by this. */
void packet_group_shift(int shift);

#endif
