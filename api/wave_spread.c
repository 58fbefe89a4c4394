/* SPDX-License-Identifier: BSD-3-Clause */
/* Distributions and curves of many moments, exact but for what is drawn, as JSON. */
#include "wave_internal.h"

#include <math.h>
#include <string.h>

#define DIGIT_BITS 11 /* of the radix sort: three passes */
#define DIGITS (1u << DIGIT_BITS)

static const double shares[] = {0.5, 0.9, 0.99, 0.999};
static const char *const share_names[] = {"p50", "p90", "p99", "p99_9"};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

/* Ten million moments in a fraction of a second, where comparing takes several. */
void wave_sort(uint32_t *value, uint32_t *scratch, uint32_t count)
{
	uint32_t *from = value, *to = scratch;
	for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS) {
		uint32_t place[DIGITS] = {0}, sum = 0;
		for (uint32_t i = 0; i < count; i++)
			place[from[i] >> shift & (DIGITS - 1)]++;
		for (uint32_t digit = 0; digit < DIGITS; digit++) {
			const uint32_t here = place[digit];
			place[digit] = sum;
			sum += here;
		}
		for (uint32_t i = 0; i < count; i++)
			to[place[from[i] >> shift & (DIGITS - 1)]++] = from[i];
		uint32_t *swap = from;
		from = to;
		to = swap;
	}
	/* Three passes end in the other array. */
	memcpy(value, scratch, count * sizeof(value[0]));
}

/* Neighbouring cells are put together until there are few enough. */
static json_t *cells_json(const struct histogram *h)
{
	unsigned together = 0, used = CELLS_MAX + 1;
	for (; used > CELLS_MAX; together++) {
		uint32_t last = UINT32_MAX;
		used = 0;
		for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++) {
			if (h->cell[i] == 0 || i >> together == last)
				continue;
			last = i >> together;
			used++;
		}
	}
	together--;
	json_t *cells = json_array();
	for (uint32_t i = 0; i < HISTOGRAM_CELLS;) {
		const uint32_t first = i >> together << together;
		uint64_t count = 0;
		for (; i < HISTOGRAM_CELLS && i >> together == first >> together; i++)
			count += h->cell[i];
		if (count > 0)
			json_array_append_new(
				cells, json_pack("[I, I]", (json_int_t)histogram_cell_low(first),
					       (json_int_t)count));
	}
	return cells;
}

json_t *wave_histogram_json(const struct histogram *h)
{
	const bool any = h->count > 0;
	json_t *out = json_pack("{s:I, s:I, s:f}", "count", (json_int_t)h->count, "min",
		(json_int_t)(any ? h->min : 0), "mean",
		any ? (double)h->sum / (double)h->count : 0.0);
	for (size_t i = 0; i < SHARES; i++)
		json_object_set_new(
			out, share_names[i], json_integer(histogram_quantile(h, shares[i])));
	json_object_set_new(out, "max", json_integer(any ? h->max : 0));
	json_object_set_new(out, "cells", cells_json(h));
	return out;
}

json_t *wave_spread_json(const uint32_t *sorted, uint32_t count)
{
	struct histogram h;
	histogram_reset(&h);
	for (uint32_t i = 0; i < count; i++)
		histogram_record(&h, sorted[i]);
	json_t *out = wave_histogram_json(&h);
	/* The cells are coarse, the quantiles need not be. */
	for (size_t i = 0; count > 0 && i < SHARES; i++) {
		const uint32_t rank = (uint32_t)ceil(shares[i] * count);
		json_object_set_new(out, share_names[i], json_integer(sorted[rank - 1]));
	}
	return out;
}

static void add_point(json_t *curve, double ms, double share)
{
	json_array_append_new(curve, json_pack("[f, f]", ms, round(share * 1e6) / 1e6));
}

json_t *wave_curve_json(const uint32_t *sorted, uint32_t count, uint32_t of)
{
	json_t *curve = json_array();
	const uint32_t points = count < POINTS_MAX - 2 ? count : POINTS_MAX - 2;
	uint32_t before = 0;
	add_point(curve, 0, 0);
	/* The first of all, however few they are, and the last of each share. */
	for (uint32_t i = 0; i <= points && count > 0; i++) {
		const uint32_t through = i == 0 ? 1 : (uint32_t)((uint64_t)count * i / points);
		/* All that moved in the same millisecond are one step. */
		if (through == before ||
			(through < count && sorted[through] == sorted[through - 1]))
			continue;
		add_point(curve, sorted[through - 1], (double)through / of);
		before = through;
	}
	return curve;
}

json_t *wave_peak_json(const uint32_t *sorted, uint32_t count, uint32_t of, uint32_t width_ms)
{
	uint32_t most = 0, at = 0;
	for (uint32_t first = 0, i = 0; i < count; i++) {
		if (sorted[i] / width_ms != sorted[first] / width_ms)
			first = i;
		if (i - first + 1 <= most)
			continue;
		most = i - first + 1;
		at = sorted[i] / width_ms * width_ms;
	}
	return json_pack("{s:f, s:f, s:I}", "per_s", most * 1000.0 / width_ms, "share",
		of > 0 ? (double)most / of : 0.0, "at_ms", (json_int_t)at);
}

struct distance {
	double share, at_ms;
};

static void compare(struct distance *far, const struct prediction *p, double ms, double measured)
{
	const double share = fabs(prediction_at(p, ms) - measured);
	if (share > far->share)
		*far = (struct distance){share, ms};
}

/* Kolmogorov and Smirnov's: moments are whole milliseconds, so that the curve of what was measured
 * is right at the end of each. */
static struct distance distance_of(const struct prediction *p, const uint32_t *sorted,
	uint32_t count, uint32_t of, uint32_t lasted_ms)
{
	struct distance far = {0, 0};
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || sorted[i] != sorted[i - 1])
			compare(&far, p, sorted[i], (double)i / of);
		if (i + 1 == count || sorted[i] != sorted[i + 1])
			compare(&far, p, sorted[i] + 1.0, (i + 1.0) / of);
	}
	compare(&far, p, lasted_ms, (double)count / of);
	return far;
}

json_t *wave_predicted_json(const struct prediction *p, const uint32_t *sorted, uint32_t count,
	uint32_t of, uint32_t lasted_ms)
{
	const struct distance far = distance_of(p, sorted, count, of, lasted_ms);
	json_t *curve = json_array();
	const uint32_t points = p->steps < POINTS_MAX ? p->steps : POINTS_MAX;
	for (uint32_t i = 0; i < points; i++) {
		const uint32_t step = points > 1 ? (uint32_t)((uint64_t)(p->steps - 1) * i /
							      (points - 1))
						 : 0;
		const double ms = (double)step * p->step_ms;
		add_point(curve, ms < p->last_ms ? ms : p->last_ms, p->share[step]);
	}
	return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "curve", curve, "first_ms",
		p->first_ms, "last_ms", p->last_ms, "mean_ms", p->mean_ms, "peak_second_share",
		p->peak_second, "peak_tenth_share", p->peak_100ms, "distance", far.share,
		"distance_at_ms", far.at_ms);
}
