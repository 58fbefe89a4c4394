/* SPDX-License-Identifier: BSD-3-Clause */
#include "figure.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 100
#define SAMPLES 9 /* of a contender in a round */

void figure_print(const struct figure *f)
{
	printf("@ %s %s %.6g %.6g %.6g %u %u\n", f->name, f->unit, f->median, f->low, f->high,
		f->quiet, f->taken);
	fflush(stdout);
}

void contest(const struct contender *contenders, unsigned count, void *context, unsigned rounds,
	struct figure *out)
{
	static double ns[CONTENDERS_MAX][ROUNDS_MAX];
	if (count > CONTENDERS_MAX || rounds == 0 || rounds > ROUNDS_MAX)
		abort();
	for (unsigned i = 0; i < count; i++)
		out[i] = (struct figure){.name = contenders[i].name, .unit = "ns"};
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < count; i++) {
			const struct sample_result r = sampler_run(
				contenders[i].sample, context, contenders[i].operations, SAMPLES);
			ns[i][round] = r.median_ns;
			out[i].quiet += r.quiet;
			out[i].taken += r.taken;
		}
	for (unsigned i = 0; i < count; i++) {
		out[i].median = sampler_median(ns[i], rounds);
		out[i].low = ns[i][rounds / 10];
		out[i].high = ns[i][rounds - 1 - rounds / 10];
		figure_print(&out[i]);
	}
}
