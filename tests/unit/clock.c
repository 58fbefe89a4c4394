/* SPDX-License-Identifier: BSD-3-Clause */
/* The packet path's clock keeps the kernel's pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"

#define SPAN_NS 200000000
#define ALLOWED_PPM 100

static void clock_keeps_the_kernels_pace(void **state)
{
	(void)state;
	struct clock clock;
	clock_begin(&clock);
	const struct timespec pause = {.tv_nsec = SPAN_NS};
	const struct clock_reading first = clock_read();
	nanosleep(&pause, NULL);
	const struct clock_reading last = clock_read();
	const int64_t ours_us = (int64_t)(clock_us_at(&clock, last.tsc) -
					  clock_us_at(&clock, first.tsc));
	const int64_t kernels_us = (int64_t)(last.ns - first.ns) / 1000;
	const int64_t off_us = llabs(ours_us - kernels_us);
	printf("in %lld us: %lld us off\n", (long long)kernels_us, (long long)off_us);
	/* One microsecond of rounding at each end. */
	assert_true(off_us <= kernels_us * ALLOWED_PPM / 1000000 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(clock_keeps_the_kernels_pace)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
