/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <string.h>

void histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT32_MAX;
}

uint32_t histogram_cell_low(uint32_t cell)
{
	if (cell < HISTOGRAM_SUB)
		return cell;
	uint32_t shift = (cell >> HISTOGRAM_SUB_BITS) - 1;
	return (HISTOGRAM_SUB + (cell & (HISTOGRAM_SUB - 1))) << shift;
}

uint32_t histogram_cell_high(uint32_t cell)
{
	if (cell + 1 >= HISTOGRAM_CELLS)
		return UINT32_MAX;
	return histogram_cell_low(cell + 1) - 1;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	/* Also where it was only zeroed: the report of a worker that has not answered yet. */
	if (from->count == 0)
		return;
	into->count += from->count;
	into->sum += from->sum;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++)
		into->cell[i] += from->cell[i];
}

void histogram_sum(struct histogram *out, const struct histogram *from, uint32_t n)
{
	histogram_reset(out);
	for (uint32_t i = 0; i < n; i++)
		histogram_merge(out, &from[i]);
}

uint32_t histogram_quantile(const struct histogram *h, double q)
{
	if (h->count == 0)
		return 0;
	uint64_t rank = (uint64_t)(q * (double)h->count);
	if ((double)rank < q * (double)h->count)
		rank++;
	if (rank == 0)
		rank = 1;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += h->cell[i];
		if (seen < rank)
			continue;
		uint32_t high = histogram_cell_high(i);
		return high < h->max ? high : h->max;
	}
	return h->max;
}
