/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of `sipherd bench` share:
 *
 *   bench.c         the command: what is searched, point after point, how it ended
 *   bench_kinds.c   the quantities that are searched: their range, the settings of a point, default goals
 *   bench_run.c     one point: a child process, its summary, its output in a log
 *   bench_state.c   what is known as JSON (sipherd.bench/1), to go on from and to keep
 *   bench_print.c   progress, a line per point, the table
 */
#ifndef SIPHERD_BENCH_INTERNAL_H
#define SIPHERD_BENCH_INTERNAL_H

#include "bench.h"
#include "fleet.h"
#include "search.h"

#define BENCH_SEARCHES_MAX 2
#define BENCH_SET_MAX 16384 /* bytes of all settings of a child */
#define BENCH_TEXT_MAX 48

enum bench_kind { BENCH_FAILOVER, BENCH_REGISTER, BENCH_KEEPALIVE, BENCH_KINDS };

enum bench_vary {
	VARY_PHONES,
	VARY_PERIOD,       /* of keep-alives, ms */
	VARY_SWITCH_DELAY, /* ms */
	VARY_REGISTER,     /* first registrations a second */
	VARY_REFRESH,      /* refreshes a second */
	VARY_KINDS
};

struct bench_search {
	uint8_t vary; /* enum bench_vary */
	struct search search;
	json_t *trials;    /* as search_json's, with goals and rate */
	json_t *innocence; /* runs against the built-in registrars, likewise */
};

struct bench {
	const struct options *options;
	const char *path; /* of the fleet file */
	struct fleet fleet;
	uint8_t kind; /* enum bench_kind */
	struct gate goal[GATES_MAX];
	uint32_t goals;
	const char *goals_from; /* who has named them */
	uint64_t hold_ms;
	uint64_t precision_permille;
	struct bench_search search[BENCH_SEARCHES_MAX];
	unsigned searches, now; /* the one that is on */
	bool memory; /* the fleet's link is the memory link: each point is its own baseline */
	bool terminal;
	char folder[64]; /* of the children's summaries, in /tmp */
	char log[4096];
	json_t *known;  /* the document: what is saved and written at the end */
	double begun_s; /* of the trial that is on, monotonic */
};

extern const char *const bench_kind_names[BENCH_KINDS];
extern const char *const bench_vary_names[VARY_KINDS];

/* bench_kinds.c */

/* Which searches, over which values. EXIT_DONE or EXIT_USAGE, after a message. */
int bench_prepare(struct bench *bench);
/* Goals by --goal, else the fleet file's gates, else what suits the kind. */
int bench_take_goals(struct bench *bench);
/* A point's settings, as `key=value;key=value`. */
void bench_settings(const struct bench *bench, double value, char *out, size_t size);
/* How long a child runs that is no drill. */
uint64_t bench_run_ms(const struct bench *bench, double value);
/* What was achieved a second, by its summary; NAN: nothing to tell. */
double bench_rate(const struct bench *bench, double value, const json_t *run);
/* "8,000 phones", "1.5 s". */
void bench_value_text(enum bench_vary vary, double value, char out[BENCH_TEXT_MAX]);

/* bench_run.c */

struct bench_point {
	enum search_outcome outcome;
	double seconds;
	int stop;      /* EXIT_DONE, or why there is no use in going on */
	json_t *goals; /* [{goal, value, unit, wave, met}]; the caller's */
	double rate;
};

int bench_open_folder(struct bench *bench);
void bench_close_folder(struct bench *bench);
/* Ctrl-C and SIGTERM end the child in an orderly way, and the search behind it. */
void bench_catch_signals(void);
bool bench_interrupted(void);
/* One trial; baseline: over the memory link, against the built-in registrars. */
void bench_try(struct bench *bench, double value, bool baseline, struct bench_point *out);

/* bench_state.c */

/* The document of a search that has not begun. EXIT_DONE or EXIT_HOST. */
int bench_describe(struct bench *bench);
/* Goes on from --state where there is such a file. EXIT_DONE, EXIT_USAGE, EXIT_HOST. */
int bench_load(struct bench *bench);
/* The document as it is now. EXIT_DONE or EXIT_HOST, after a message. */
int bench_write(const struct bench *bench, const char *path);
void bench_add(
	struct bench_search *search, double value, bool baseline, const struct bench_point *point);
/* A value that even the built-in registrars could not do. */
void bench_add_limit(struct bench_search *search, double value);
/* The answers are put into the document. */
void bench_answer(struct bench *bench);
/* True: the built-in registrars have met this, or more. */
bool bench_is_innocent(const struct bench_search *search, double value);
/* What was achieved a second, mean of all runs of a value; NAN: nothing to tell. */
double bench_mean_rate(const struct bench_search *search, double value);
/* How often they have not met exactly this. */
unsigned bench_guilty(const struct bench_search *search, double value);

/* bench_print.c */

void bench_print_begin(const struct bench *bench);
/* Called about twice a second while a child runs. */
void bench_print_progress(const struct bench *bench, double value, bool baseline);
void bench_print_point(
	const struct bench *bench, double value, bool baseline, const struct bench_point *point);
void bench_print_end(const struct bench *bench);

double bench_now_s(void);

#endif
