/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The search for a capacity: the largest value of one quantity that still meets all goals. Geometric
 * growth from a first value, then bisection down to a precision; each point is repeated until it is sure.
 * Pure: which point comes next follows from the points so far, so that a search that was interrupted goes
 * on from what it has written down.
 */
#ifndef SIPHERD_SEARCH_H
#define SIPHERD_SEARCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SEARCH_TRIALS_MAX 1024

enum search_outcome {
	SEARCH_MET,       /* all goals */
	SEARCH_MISSED,    /* the proxies did not meet one */
	SEARCH_GENERATOR, /* sipherd was the limit: says nothing about the proxies */
	SEARCH_FAILED     /* the run did not come to an end */
};

struct search_rules {
	double first, growth, least, most; /* values tried lie within least..most; growth > 1 */
	double precision; /* the end: highest met and lowest missed differ by at most this share */
	unsigned repeats; /* good runs of a point, odd, at least 3; the majority decides */
	bool falling;     /* smaller is harder: the shortest period */
	bool whole;       /* values are whole numbers */
};

struct search_trial {
	double value;
	uint8_t outcome; /* enum search_outcome */
	double seconds;  /* it took */
};

struct search {
	struct search_rules rules;
	uint32_t trials;
	struct search_trial trial[SEARCH_TRIALS_MAX];
};

enum search_state {
	SEARCH_GOES_ON,
	SEARCH_FOUND,
	SEARCH_NONE,
	SEARCH_ALL,
	SEARCH_LIMITED,
	SEARCH_BROKEN
};

struct search_answer {
	enum search_state state;
	double next;        /* GOES_ON: try this */
	unsigned repeat;    /* ... for the so-manieth time, from 1 */
	double best, worst; /* highest value that was met; lowest that was not; NAN: none */
	unsigned met, of;   /* of the repeats of `best` */
	double confidence; /* that `best` is met at least half of the time, Clopper-Pearson, 0..1 */
	double remaining_s; /* about, from what trials took; NAN: unknown */
	double done;        /* 0..1, for a progress bar */
};

void search_look(const struct search *search, struct search_answer *out);
/* False: too many trials. */
bool search_add(struct search *search, double value, enum search_outcome outcome, double seconds);

json_t *search_json(const struct search *search);
/* 0 or -EINVAL: this is not such a search, or of other rules. */
int search_read(struct search *search, const json_t *json);

#endif
