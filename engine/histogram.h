/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log-linear histogram: 64 cells per octave, relative error under 1 %, mergeable by addition.
 *
 * Values are unsigned 32-bit in the unit the owner names (microseconds here). Values below 64 are
 * exact. One writer; readers get copies.
 */
#ifndef SIPHERD_HISTOGRAM_H
#define SIPHERD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_CELLS ((32 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

struct histogram {
	uint64_t count, sum;
	uint32_t min, max; /* min is UINT32_MAX while count is 0 */
	uint64_t cell[HISTOGRAM_CELLS];
};

void histogram_reset(struct histogram *h);

/* Cell of a value: the value itself below 64, then six bits of mantissa under each leading bit. */
static inline uint32_t histogram_cell_of(uint32_t value)
{
	if (value < HISTOGRAM_SUB)
		return value;
	uint32_t shift = 31 - HISTOGRAM_SUB_BITS - (uint32_t)__builtin_clz(value);
	return ((shift + 1) << HISTOGRAM_SUB_BITS) + ((value >> shift) & (HISTOGRAM_SUB - 1));
}

/* Smallest value that falls into a cell. */
uint32_t histogram_cell_low(uint32_t cell);
/* Largest value that falls into a cell. */
uint32_t histogram_cell_high(uint32_t cell);

static inline void histogram_record(struct histogram *h, uint32_t value)
{
	h->cell[histogram_cell_of(value)]++;
	h->count++;
	h->sum += value;
	if (value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from);

/* n histograms of the same unit in one. */
void histogram_sum(struct histogram *out, const struct histogram *from, uint32_t n);

/* The value below or at which a share q (0..1) of the samples lies; 0 when there are none. */
uint32_t histogram_quantile(const struct histogram *h, double q);

#endif
