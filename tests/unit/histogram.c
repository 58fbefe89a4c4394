/* SPDX-License-Identifier: BSD-3-Clause */
/* Histogram: cells tile the 32-bit range, errors stay under 1 %, merging is addition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "histogram.h"

static void cells_tile_the_range(void **state)
{
	(void)state;
	assert_int_equal(histogram_cell_of(0), 0);
	assert_int_equal(histogram_cell_of(UINT32_MAX), HISTOGRAM_CELLS - 1);
	for (uint32_t cell = 0; cell < HISTOGRAM_CELLS; cell++) {
		uint32_t low = histogram_cell_low(cell), high = histogram_cell_high(cell);
		assert_true(low <= high);
		assert_int_equal(histogram_cell_of(low), cell);
		assert_int_equal(histogram_cell_of(high), cell);
		if (cell + 1 < HISTOGRAM_CELLS)
			assert_int_equal(histogram_cell_low(cell + 1), high + 1);
		/* The middle of a cell is within 1 % of anything in it. */
		if (low >= HISTOGRAM_SUB)
			assert_true((double)(high - low) / 2 / low < 0.01);
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void quantiles_agree_with_sorting(void **state)
{
	(void)state;
	enum { N = 20000 };
	static uint32_t value[N];
	static struct histogram h, half[2];
	histogram_reset(&h);
	histogram_reset(&half[0]);
	histogram_reset(&half[1]);
	uint64_t x = 88172645463325252ull;
	for (int i = 0; i < N; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		value[i] = (uint32_t)(x >> (32 + i % 28));
		histogram_record(&h, value[i]);
		histogram_record(&half[i & 1], value[i]);
	}
	histogram_merge(&half[0], &half[1]);
	assert_memory_equal(&h, &half[0], sizeof(h));
	qsort(value, N, sizeof(value[0]), by_value);
	assert_int_equal(h.min, value[0]);
	assert_int_equal(h.max, value[N - 1]);
	static const double q[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		uint32_t exact = value[(size_t)(q[i] * N + 0.999999) - 1];
		uint32_t got = histogram_quantile(&h, q[i]);
		assert_true(got >= exact);
		assert_true(got - exact <= exact / 50 + 1);
	}
}

static void empty_has_no_quantile(void **state)
{
	(void)state;
	static struct histogram h;
	histogram_reset(&h);
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	assert_int_equal(h.min, UINT32_MAX);
	static const struct histogram nothing; /* zeroed, not reset */
	histogram_record(&h, 5);
	histogram_merge(&h, &nothing);
	assert_int_equal(h.min, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_tile_the_range),
		cmocka_unit_test(quantiles_agree_with_sorting),
		cmocka_unit_test(empty_has_no_quantile),
	};
	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
