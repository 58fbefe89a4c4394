/* SPDX-License-Identifier: BSD-3-Clause */
#include "sampler.h"

#include <stdlib.h>
#include <time.h>

#define SAMPLES_MAX 1000
#define CALIBRATION_STEPS 200000
#define QUIET_TOLERANCE 1.05
#define QUIET_ENOUGH 5

uint64_t sampler_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* A chain of dependent multiplications: nothing but the clock of this core changes its time. */
static uint64_t calibrate(void)
{
	volatile uint64_t sink;
	uint64_t x = 88172645463325252ull, start = sampler_now_ns();
	for (int i = 0; i < CALIBRATION_STEPS; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	sink = x;
	(void)sink;
	return sampler_now_ns() - start;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

double sampler_median(double *values, size_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct sample_result sampler_run(
	void (*sample)(void *context), void *context, uint64_t operations, unsigned count)
{
	static double ns[SAMPLES_MAX], quiet[SAMPLES_MAX];
	static uint64_t noise[SAMPLES_MAX];
	uint64_t best = UINT64_MAX;
	if (count > SAMPLES_MAX)
		count = SAMPLES_MAX;
	sample(context);
	for (unsigned i = 0; i < count; i++) {
		uint64_t before = calibrate(), start = sampler_now_ns();
		sample(context);
		ns[i] = (double)(sampler_now_ns() - start) / (double)operations;
		uint64_t after = calibrate();
		noise[i] = before > after ? before : after;
		best = before < best ? before : best;
		best = after < best ? after : best;
	}
	struct sample_result result = {.taken = count};
	for (unsigned i = 0; i < count; i++)
		if ((double)noise[i] <= (double)best * QUIET_TOLERANCE)
			quiet[result.quiet++] = ns[i];
	result.noisy = result.quiet < QUIET_ENOUGH;
	double *used = result.noisy ? ns : quiet;
	unsigned n = result.noisy ? count : result.quiet;
	result.median_ns = sampler_median(used, n);
	result.low_ns = used[n / 10];
	result.high_ns = used[n - 1 - n / 10];
	return result;
}
