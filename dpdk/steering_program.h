/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner's number as a program for the kernel: from a frame's destination to phone % workers, holes
 * in the plan and ports included, for any number of workers. Frames that are not for a phone go to
 * worker 0. Classic BPF, which every kernel since 4.3 runs for groups of packet sockets.
 */
#ifndef SIPHERD_STEERING_PROGRAM_H
#define SIPHERD_STEERING_PROGRAM_H

#include <linux/filter.h>

#include "steering.h"

#define STEERING_PROGRAM_MAX 80

/* Returns the number of instructions. */
unsigned steering_program(
	const struct steering_phones *phones, struct sock_filter out[STEERING_PROGRAM_MAX]);

#endif
