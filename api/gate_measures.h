/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of measures that goals are about, and how each is found in a summary. Only for gate.c. */
#ifndef SIPHERD_GATE_MEASURES_H
#define SIPHERD_GATE_MEASURES_H

#include "gate.h"

#define GATE_MEASURE_NAME_MAX 48

/* A measure's name is the row's, with an ending where the row stands for several. */
enum gate_endings { GATE_ONE, GATE_SPREAD, GATE_SHARES };

struct gate_measure {
	const char *name;
	uint8_t unit;    /* enum gate_unit */
	uint8_t endings; /* enum gate_endings */
	uint8_t kinds;   /* bit per kind of wave it is about unless the goal names a wave */
	bool moved;      /* of the phones that were to move: who is not back never will be */
	bool finer;      /* in a wave it is in microseconds */
	/* Where it is, each NULL where it is not. Sums of numbers, "a.b+c.d", one sum over another. */
	const char *drill, *wave, *proxy, *run;
	const char *help;
};

extern const struct gate_measure gate_measures[];
extern const size_t gate_measures_count;

/* Of one row: how many names it stands for, and each name. */
unsigned gate_measure_names(const struct gate_measure *measure);
void gate_measure_name(
	const struct gate_measure *measure, unsigned ending, char out[GATE_MEASURE_NAME_MAX]);

/* Called with every value there is; where: a wave, a proxy, or empty. */
typedef void gate_value_seen(void *context, double value, const char *where);
/* wave: as in struct gate. */
void gate_measure_look(const struct gate_measure *measure, unsigned ending, const char *wave,
	const json_t *run, gate_value_seen *seen, void *context);

#endif
