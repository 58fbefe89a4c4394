/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports: one self-contained HTML file made from a run's summary (sipherd.run/1) and nothing else, so
 * that anyone can make it again from the file: inline SVG, no script, nothing from elsewhere. One run, or
 * two side by side with differences beyond the spread marked. Pure but for the output stream.
 */
#ifndef SIPHERD_REPORT_H
#define SIPHERD_REPORT_H

#include <jansson.h>
#include <stdio.h>

#define REPORT_REASON_MAX 256

/* 0; -EINVAL: this is no summary that a report can be made of, and why; -errno of writing. Nothing that
 * stands in the summary can become markup. */
int report_write(FILE *out, const json_t *run, char reason[REPORT_REASON_MAX]);
int report_compare(FILE *out, const json_t *a, const char *a_name, const json_t *b,
	const char *b_name, char reason[REPORT_REASON_MAX]);
/* The time line of all drills' series as CSV: unix_ms, at_ms, proxy, one column per counter and step. */
int report_timeline_csv(FILE *out, const json_t *run, char reason[REPORT_REASON_MAX]);

#endif
