/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which fan-out group the af_packet driver joins.
 *
 * The driver takes getpid() ^ ifindex, 16 bits, as the group's number and cannot be told another
 * one. Groups belong to one interface each, so of several processes side by side, each on an
 * interface of its own, now and then one could not open its port: 1 start in 40 with three of them.
 */
#ifndef SIPHERD_FANOUT_H
#define SIPHERD_FANOUT_H

#include <stdbool.h>

#define FANOUT_TRIES 16

/* From here to fanout_end, in this thread, getpid() yields a number whose group at this interface
 * is free or already ours to join. Chosen by asking the kernel; no choice is made without need. */
void fanout_begin(const char *interface);
void fanout_end(void);

#endif
