/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Honest micro-measurements on a shared machine.
 *
 * A sample is one call of a function that does `operations` operations. Around each sample a fixed
 * calibration loop runs; a sample counts as quiet when the loop was no more than 5 % slower than
 * the fastest seen. Reported are the median and the spread of the quiet samples, and how many there
 * were; when neighbours leave fewer than five quiet ones, all samples count and the report says so.
 */
#ifndef SIPHERD_SAMPLER_H
#define SIPHERD_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample_result {
	double median_ns, low_ns,
		high_ns; /* per operation; low and high: 10th and 90th percentile */
	unsigned quiet, taken;
	bool noisy; /* too few quiet samples: all of them were used */
};

uint64_t sampler_now_ns(void);

/* Call `sample` `count` times after one call that does not count. */
struct sample_result sampler_run(
	void (*sample)(void *context), void *context, uint64_t operations, unsigned count);

/* Median of values; sorts them. */
double sampler_median(double *values, size_t count);

#endif
