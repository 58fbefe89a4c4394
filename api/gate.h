/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goals, as in `--goal 'outage_p99<=95s'` and the fleet file's `gates:`: a measure, how it compares, a
 * limit. Evaluated on a run's summary as JSON (sipherd.run/1), so that a report read back from a file and
 * a run just over give the same. Pure.
 *
 * MEASURE[@WAVE] OP LIMIT with OP one of <= < >= > == . Without @WAVE it is the worst of all waves that
 * have it. Limits: durations (95s, 250ms), shares (0.01%, 0.5), rates (5000/s), counts. docs/measures.md
 * lists the measures; one table here.
 */
#ifndef SIPHERD_GATE_H
#define SIPHERD_GATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define GATE_TEXT_MAX 160
#define GATES_MAX 64
#define GATE_REASON_MAX 256

enum gate_unit { GATE_MS, GATE_RATIO, GATE_PER_S, GATE_COUNT };
enum gate_compare { GATE_AT_MOST, GATE_LESS, GATE_AT_LEAST, GATE_MORE, GATE_EQUAL };

struct gate {
	char text[GATE_TEXT_MAX]; /* as written, blanks taken out */
	uint16_t measure;         /* row of the table */
	uint8_t compare;          /* enum gate_compare */
	uint8_t unit;             /* enum gate_unit */
	char wave[64];            /* empty: all */
	double limit;             /* in the unit */
};

enum gate_verdict { GATE_MET, GATE_MISSED, GATE_UNKNOWN };

struct gate_result {
	enum gate_verdict
		verdict; /* UNKNOWN: the run has no such measure, which counts as missed */
	double value;
	char wave[64]; /* the one that was the worst */
};

/* 0, or -EINVAL with what is wrong and what may stand there. */
int gate_parse(struct gate *gate, const char *text, char reason[GATE_REASON_MAX]);
void gate_check(const struct gate *gate, const json_t *run, struct gate_result *out);
/* "12.4 s", "0.02 %", "5,120/s". */
void gate_value_text(enum gate_unit unit, double value, char out[48]);
/* [{goal, value, unit, wave, met}] */
json_t *gates_json(const struct gate *gates, uint32_t count, const json_t *run);
/* One line per measure: name, unit, what it is; for the manual and docs/measures.md. */
void gate_describe(FILE *out, bool roff);

#endif
