/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a benchmark tells bench.py what it has measured: a line of standard output for each figure, that
 * begins with '@'. All else that it prints is for people.
 */
#ifndef SIPHERD_FIGURE_H
#define SIPHERD_FIGURE_H

#include "sampler.h"

/* A figure with the spread of its samples; `quiet` of `taken` samples were not disturbed. */
struct figure {
	const char *name, *unit;
	double median, low, high;
	unsigned quiet, taken;
};

void figure_print(const struct figure *figure);

/* Those who do the same work in turns, so that a noisy neighbour hits all of them alike. */
struct contender {
	const char *name; /* of its figure, in ns */
	void (*sample)(void *context);
	uint64_t operations; /* of one sample */
};

#define CONTENDERS_MAX 8

/* So many rounds, in each a few samples of every contender; out[i] is the median of its rounds. */
void contest(const struct contender *contenders, unsigned count, void *context, unsigned rounds,
	struct figure *out);

#endif
