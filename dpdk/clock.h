/* SPDX-License-Identifier: BSD-3-Clause */
/* Microseconds since a start, from the CPU's time stamp counter, by multiplication and shift. */
#ifndef SIPHERD_CLOCK_H
#define SIPHERD_CLOCK_H

#include <stdint.h>

#include <rte_cycles.h>

#define CLOCK_SHIFT 44 /* the most for which 1000000 << shift fits 64 bits: error below 1e-9 */

struct clock {
	uint64_t start_tsc, factor;
};

static inline void clock_begin(struct clock *clock)
{
	clock->factor = (1000000ull << CLOCK_SHIFT) / rte_get_tsc_hz();
	clock->start_tsc = rte_rdtsc();
}

static inline uint64_t clock_us_at(const struct clock *clock, uint64_t tsc)
{
	return (uint64_t)(((unsigned __int128)(tsc - clock->start_tsc) * clock->factor) >>
			  CLOCK_SHIFT);
}

static inline uint64_t clock_us(const struct clock *clock)
{
	return clock_us_at(clock, rte_rdtsc());
}

#endif
