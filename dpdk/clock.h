/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Microseconds since a start, from the CPU's time stamp counter, by multiplication and shift.
 *
 * The counter's rate is measured against the kernel's clock: rte_get_tsc_hz() rounds to 10 MHz on
 * CPUs that do not state their rate, which made all timers of a virtual machine 0.15 % slow.
 */
#ifndef SIPHERD_CLOCK_H
#define SIPHERD_CLOCK_H

#include <stdint.h>
#include <time.h>

#include <rte_cycles.h>

#define CLOCK_SHIFT 44 /* the most for which 1000000 << shift fits 64 bits: error below 1e-9 */
#define CLOCK_MEASURE_NS 50000000 /* two readings, each to well under 1 us: a few ppm */
#define CLOCK_READINGS 32

struct clock {
	uint64_t start_tsc, factor;
};

struct clock_reading {
	uint64_t tsc, ns;
};

/* Both clocks at one moment: the try that was interrupted least. */
static inline struct clock_reading clock_read(void)
{
	struct clock_reading best = {0};
	uint64_t shortest = UINT64_MAX;
	for (int i = 0; i < CLOCK_READINGS; i++) {
		struct timespec now;
		const uint64_t before = rte_rdtsc_precise();
		clock_gettime(CLOCK_MONOTONIC, &now);
		const uint64_t took = rte_rdtsc_precise() - before;
		if (took >= shortest)
			continue;
		shortest = took;
		best = (struct clock_reading){before + took / 2,
			(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec};
	}
	return best;
}

/* Takes CLOCK_MEASURE_NS: for the control thread, once. */
static inline void clock_begin(struct clock *clock)
{
	const struct timespec pause = {.tv_nsec = CLOCK_MEASURE_NS};
	const struct clock_reading first = clock_read();
	nanosleep(&pause, NULL);
	const struct clock_reading last = clock_read();
	clock->factor = (uint64_t)(((unsigned __int128)(last.ns - first.ns) << CLOCK_SHIFT) /
				   ((last.tsc - first.tsc) * 1000));
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
