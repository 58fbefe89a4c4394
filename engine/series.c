/* SPDX-License-Identifier: BSD-3-Clause */
#include "series.h"

#include <string.h>

void series_copy(struct series *copy, const struct series *now)
{
	uint64_t step = series_oldest(now);
	if (step < copy->steps)
		step = copy->steps;
	for (; step < now->steps; step++)
		memcpy(copy->at[step % SERIES_STEPS], now->at[step % SERIES_STEPS],
			sizeof(copy->at[0]));
	copy->steps = now->steps;
}

static void add_step(struct proxy_counters into[PROXIES], const struct series *from, uint64_t step)
{
	const uint64_t oldest = series_oldest(from);
	const struct proxy_counters *at = from->at[(step < oldest ? oldest : step) % SERIES_STEPS];
	for (int p = 0; p < PROXIES; p++)
		counters_add(&into[p], &at[p], proxy_counters_count);
}

void series_merge(struct series *into, const struct series *const from[], unsigned n)
{
	uint64_t steps = n > 0 ? from[0]->steps : 0;
	for (unsigned i = 1; i < n; i++)
		steps = from[i]->steps < steps ? from[i]->steps : steps;
	if (steps <= into->steps)
		return;
	uint64_t step = into->steps;
	if (steps - step > SERIES_STEPS)
		step = steps - SERIES_STEPS;
	for (; step < steps; step++) {
		struct proxy_counters *at = into->at[step % SERIES_STEPS];
		memset(at, 0, sizeof(into->at[0]));
		for (unsigned i = 0; i < n; i++)
			add_step(at, from[i], step);
	}
	into->steps = steps;
}
