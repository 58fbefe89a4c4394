/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "bench_internal.h"
#include "output.h"
#include "units.h"

static int refuse(const char *what, const char *text, const char *why)
{
	fprintf(stderr, "sipherd: %s '%s' %s. See sipherd help bench.\n", what, text, why);
	return EXIT_USAGE;
}

static int take_options(struct bench *bench)
{
	const struct options *o = bench->options;
	char reason[UNITS_REASON_MAX];
	const char *kind = o->arguments.item[0];
	while (bench->kind < BENCH_KINDS && strcmp(kind, bench_kind_names[bench->kind]) != 0)
		bench->kind++;
	if (bench->kind == BENCH_KINDS)
		return refuse("bench", kind, "is none of failover, register and keepalive");
	if (bench->kind != BENCH_FAILOVER && o->arguments.count > 2)
		return refuse("bench", o->arguments.item[2],
			"is too much: only bench failover takes a drill");
	if (bench->kind != BENCH_FAILOVER && o->report != NULL)
		return refuse("--report", o->report, "is of drills: only bench failover makes one");
	if (o->repeats % 2 == 0)
		return refuse("--repeats", "N", "must be odd, since the majority decides");
	bench->precision_permille = 50;
	if (o->precision != NULL &&
		units_permille(o->precision, false, &bench->precision_permille, reason) != 0)
		return refuse("--precision", o->precision, reason);
	if (bench->precision_permille < 1 || bench->precision_permille > 1000)
		return refuse(
			"--precision", o->precision, "is out of range, 0.1% to 100% is possible");
	return EXIT_DONE;
}

static int read_fleet(struct bench *bench)
{
	struct options *options = malloc(sizeof(*options));
	if (options == NULL) {
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	/* As the children have it: --state is ours here, and nothing is stored. */
	*options = *bench->options;
	options->arguments.item[0] = bench->path;
	options->store = "none";
	options->state = NULL;
	int status = arguments_read(options, &bench->fleet);
	free(options);
	bench->memory = strcmp(bench->fleet.link, "memory") == 0;
	if (status == EXIT_DONE && bench->fleet.herds > 0) {
		fprintf(stderr, "sipherd: bench: this fleet has several herds, and what is varied "
				"would be another thing in each. Bench them one by one.\n");
		return EXIT_USAGE;
	}
	if (status == EXIT_DONE && bench->kind == BENCH_FAILOVER &&
		!bench->fleet.redundancy_enabled) {
		fprintf(stderr, "sipherd: bench failover: this fleet has no redundancy, its phones "
				"have nowhere to go. Name proxies.redundant.\n");
		return EXIT_USAGE;
	}
	return status;
}

/* True: one more run is behind us, or the value is known to be beyond us. False: that is all. */
static bool prove_innocence(struct bench *bench, double value, struct bench_point *point)
{
	struct bench_search *search = &bench->search[bench->now];
	bench_try(bench, value, true, point);
	if (bench_interrupted() || point->stop == EXIT_USAGE || point->stop == EXIT_HOST)
		return false;
	point->stop = EXIT_DONE;
	bench_add(search, value, true, point);
	bench_print_point(bench, value, true, point);
	if (bench_guilty(search, value) > search->search.rules.repeats / 2)
		bench_add_limit(search, value);
	return true;
}

static bool try_point(struct bench *bench, double value, struct bench_point *point)
{
	struct bench_search *search = &bench->search[bench->now];
	struct search_answer answer;
	bench_try(bench, value, false, point);
	if (bench_interrupted() || point->stop == EXIT_USAGE || point->stop == EXIT_HOST)
		return false;
	bench_add(search, value, false, point);
	bench_print_point(bench, value, false, point);
	search_look(&search->search, &answer);
	/* Nothing has ever been answered: there is no proxy. */
	if (point->stop == EXIT_NO_ANSWER && isnan(answer.best)) {
		fprintf(stderr, "sipherd: no proxy answers, there is nothing to search\n");
		return false;
	}
	point->stop = EXIT_DONE;
	return true;
}

/* One search to its end. EXIT_DONE, or why it stopped before. */
static int go_on(struct bench *bench)
{
	struct bench_search *search = &bench->search[bench->now];
	struct search_answer answer;
	int status = EXIT_DONE;
	for (search_look(&search->search, &answer);
		answer.state == SEARCH_GOES_ON && status == EXIT_DONE;
		search_look(&search->search, &answer)) {
		struct bench_point point;
		bool innocent = bench->memory || bench_is_innocent(search, answer.next);
		bool more = innocent ? try_point(bench, answer.next, &point)
				     : prove_innocence(bench, answer.next, &point);
		json_decref(point.goals);
		bench_answer(bench);
		if (!more)
			status = bench_interrupted() ? EXIT_MISSED : point.stop;
		int saved = bench->options->state != NULL
				    ? bench_write(bench, bench->options->state)
				    : EXIT_DONE;
		status = status == EXIT_DONE ? saved : status;
	}
	return status;
}

/* The worst of all searches: a limit of ours wins over what was missed. */
static int verdict(const struct bench *bench)
{
	int status = EXIT_DONE;
	for (unsigned i = 0; i < bench->searches; i++) {
		struct search_answer answer;
		search_look(&bench->search[i].search, &answer);
		if (answer.state == SEARCH_BROKEN)
			return EXIT_HOST;
		if (answer.state == SEARCH_LIMITED)
			status = EXIT_GENERATOR;
		else if (answer.state == SEARCH_NONE && status == EXIT_DONE)
			status = EXIT_MISSED;
	}
	return status;
}

static int search_all(struct bench *bench)
{
	int status = EXIT_DONE;
	bench_answer(bench);
	bench_print_begin(bench);
	bench_catch_signals();
	for (; bench->now < bench->searches && status == EXIT_DONE; bench->now++)
		status = go_on(bench);
	bench_print_end(bench);
	if (bench_interrupted())
		fprintf(stderr, "sipherd: interrupted%s\n",
			bench->options->state != NULL ? "; the same command goes on from here"
						      : "");
	if (status == EXIT_DONE)
		status = verdict(bench);
	if (bench->options->summary != NULL &&
		bench_write(bench, bench->options->summary) != EXIT_DONE)
		return EXIT_HOST;
	return status;
}

int run_bench(const struct options *options)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	if (bench == NULL) {
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	bench->options = options;
	bench->path = options->arguments.item[1];
	bench->terminal = isatty(STDOUT_FILENO) != 0;
	int status = take_options(bench);
	if (status == EXIT_DONE)
		status = output_check(options->summary);
	if (status == EXIT_DONE)
		status = output_check(options->state);
	if (status == EXIT_DONE)
		status = read_fleet(bench);
	if (status == EXIT_DONE)
		status = bench_take_goals(bench);
	if (status == EXIT_DONE)
		status = bench_prepare(bench);
	if (status == EXIT_DONE)
		status = bench_describe(bench);
	if (status == EXIT_DONE)
		status = bench_load(bench);
	if (status == EXIT_DONE)
		status = bench_open_folder(bench);
	if (status == EXIT_DONE)
		status = search_all(bench);
	bench_close_folder(bench);
	for (unsigned i = 0; i < bench->searches; i++) {
		json_decref(bench->search[i].trials);
		json_decref(bench->search[i].innocence);
	}
	json_decref(bench->known);
	fleet_free(&bench->fleet);
	free(bench);
	return status;
}
