/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open-loop schedule of a ramp: its phone n is planned at start + n / rate, whatever happened to the
 * phones before it. Multiplication by a fixed-point interval, no division.
 */
#ifndef SIPHERD_PACER_H
#define SIPHERD_PACER_H

#include <stdint.h>

#define PACER_FRACTION_BITS 20

struct pacer {
	uint64_t interval; /* us between two starts, PACER_FRACTION_BITS of fraction; 0: all at once
			    */
};

static inline void pacer_set(struct pacer *pacer, uint32_t per_second)
{
	pacer->interval = per_second == 0 ? 0 : (1000000ull << PACER_FRACTION_BITS) / per_second;
}

/* Of `whole` phones only this many are started by this pacer, the others by others meanwhile. */
static inline void pacer_share(struct pacer *pacer, uint32_t part, uint32_t whole)
{
	if (part > 0 && part < whole)
		pacer->interval = (uint64_t)((__uint128_t)pacer->interval * whole / part);
}

static inline uint64_t pacer_after_us(const struct pacer *pacer, uint32_t n)
{
	return (uint64_t)((__uint128_t)pacer->interval * n >> PACER_FRACTION_BITS);
}

#endif
