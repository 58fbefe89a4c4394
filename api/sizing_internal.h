/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of sizing share among themselves, and nobody else includes.
 *
 *   sizing_listen.c  how long messages are, and how many an occasion takes
 *   sizing_load.c    packets, bits and work of them; steady state and start
 *   sizing_wave.c    the second of an outage that is the busiest
 *   sizing.c         memory, Redis, workers and machines
 */
#ifndef SIPHERD_SIZING_INTERNAL_H
#define SIPHERD_SIZING_INTERNAL_H

#include "sizing.h"

static inline uint32_t sizing_phones(const struct sizing_case *what)
{
	return herd_config_end(what->herd) - what->herd->begin;
}

/* Add `per_s` phones' talk with a proxy. */
void sizing_add(struct sizing_load *load, const struct sizing_case *what,
	const struct sizing_talks *talks, enum proxy proxy, enum sizing_occasion occasion,
	double per_s);
/* Add requests that nobody answers: one datagram each. */
void sizing_add_alone(struct sizing_load *load, const struct sizing_case *what,
	const struct sizing_talks *talks, enum proxy proxy, enum sizing_occasion occasion,
	double per_s);
/* All is added: what it takes of workers. */
void sizing_work(struct sizing_load *load, const struct sizing_case *what);

void sizing_loads(struct sizing *sizing, const struct sizing_case *what);
int sizing_waves(struct sizing *sizing, const struct sizing_case *what);

#endif
