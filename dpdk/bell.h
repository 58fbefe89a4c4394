/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What wakes a worker that sleeps because it has nothing to do: a file descriptor that it waits at,
 * together with that of its device, until its next timer is due.
 *
 * Whoever leaves something for a worker rings afterwards. That is one atomic exchange while the worker is
 * awake, and a system call only if it sleeps. The worker first says that it lies down and then looks
 * whether anything has been left: one of the two sees what the other one did.
 */
#ifndef SIPHERD_BELL_H
#define SIPHERD_BELL_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bell {
	alignas(64) _Atomic uint32_t asleep; /* worker sets, whoever rings clears */
	int fd;
};

int bell_open(struct bell *bell); /* 0 or -errno */
void bell_close(struct bell *bell);

/* After something has been left for the worker; any thread. */
void bell_ring(struct bell *bell);

/* The worker is about to sleep: from now on who leaves something rings. */
void bell_lie_down(struct bell *bell);
/* It has found something. */
void bell_get_up(struct bell *bell);
/* Sleep until the bell rings, the device has something (-1: no device), or the time is over; then get
 * up. False: the device's descriptor is of no use. */
bool bell_sleep(struct bell *bell, int device_fd, uint64_t duration_us);

#endif
