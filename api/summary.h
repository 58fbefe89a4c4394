/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a run, told honestly: as text for people and as JSON (schema sipherd.run/1, see
 * docs/sipherd.run-1.schema.json) for programs. Three loss bins: not sent (we were late), no answer,
 * bad answer. If the first is not empty or the schedule was missed, the verdict says
 * GENERATOR-LIMITED.
 */
#ifndef SIPHERD_SUMMARY_H
#define SIPHERD_SUMMARY_H

#include <stdio.h>
#include <time.h>

#include "fleet.h"
#include "share.h"
#include "tally.h"

/* Lateness beyond which round-trip times and rates say more about us than about the proxies. */
#define SUMMARY_LATENESS_LIMIT_US 10000u
#define SUMMARY_LATENESS_QUANTILE 0.999

struct summary {
	const char *command;       /* run, demo, registrar */
	const struct fleet *fleet; /* configuration in force; NULL for registrar */
	uint64_t seed;
	const char *link; /* in use, in words */
	const struct wire_steering_state *steering;
	const struct wire_proxy *proxy; /* addresses in use, of both; unknown ones are left out */
	time_t started, ended;
	double duration_s;
	bool drained;                        /* all phones were quiet at the end */
	unsigned roles;                      /* enum wire_role bits */
	const struct wire_snapshot *at_stop; /* phones as they were before they were stopped */
	const struct wire_snapshot *end;     /* counters when all was over */
	const struct tally *tally;
	const struct share *share; /* NULL for registrar */
	const struct wire *wire;
	const struct herd_population *herds_at_stop; /* of each herd */
	bool baseline_limited; /* this host was the limit of a drill against the built-in registrars */
};

/* What makes the generator the limit. */
enum summary_limit { SUMMARY_NOT_SENT, SUMMARY_LATE, SUMMARY_REDIRECT_LOST, SUMMARY_LIMITS };

/* "not_sent", "late", "redirect_lost". */
const char *summary_limit_name(enum summary_limit limit);

struct summary_verdict {
	bool generator_limited;
	bool limited_by[SUMMARY_LIMITS];
	bool no_answer; /* something was asked and nothing was ever answered */
	unsigned reasons;
	char reason[4][160];
};

void summary_judge(const struct summary *summary, struct summary_verdict *verdict);

/* What is known without drills; NULL: out of memory. */
json_t *summary_json(const struct summary *summary);
/* For people; root: the same with `drills` and `gates`. */
void summary_print(const struct summary *summary, const json_t *root, FILE *out);

/* 0 or -errno of writing; a file appears whole or not at all. path "-" is standard output. */
int summary_write(const json_t *root, const char *path);

/* summary_drills.c: a section for each drill, a line for each goal. Nothing where there are none. */
void summary_print_drills(const json_t *root, FILE *out);
void summary_print_gates(const json_t *root, FILE *out);

#endif
