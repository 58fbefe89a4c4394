/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that goes before the workers through the memory they have taken, so that none of them waits for
 * the first touch of a huge page (engine/memory.h), and that ends when it is through. It does not hold
 * up the start, and keeps to the CPUs the workers leave.
 */
#ifndef SIPHERD_POPULATE_H
#define SIPHERD_POPULATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct populate {
	pthread_t thread;
	bool started;
	_Atomic bool stop; /* the control thread sets it */
};

/* Nothing is done where that would take more than half of the memory that is free: what the herd never uses
 * is not worth being without. */
void populate_start(struct populate *populate);
/* Ends it where it is; also when it was never started. Before any of the memory is given back, which would wait. */
void populate_stop(struct populate *populate);

#endif
