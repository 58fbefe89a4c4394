/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "bench_internal.h"
#include "view.h"

#define BAR 24

static const char *const outcome_words[] = {
	"met", "missed", "GENERATOR-LIMITED", "did not come to its end"};

static void duration_text(double seconds, char out[32])
{
	if (!(seconds >= 0))
		snprintf(out, 32, "?");
	else if (seconds < 90)
		snprintf(out, 32, "%.0f s", seconds);
	else if (seconds < 5400)
		snprintf(out, 32, "%.0f min", seconds / 60);
	else
		snprintf(out, 32, "%.1f h", seconds / 3600);
}

static void print_range(const struct bench_search *search)
{
	const struct search_rules *rules = &search->search.rules;
	char first[BENCH_TEXT_MAX], end[BENCH_TEXT_MAX];
	bench_value_text(search->vary, rules->first, first);
	bench_value_text(search->vary, rules->falling ? rules->least : rules->most, end);
	printf("%-12s from %s to at most %s, each %u times, until %.3g %% apart\n",
		bench_vary_names[search->vary], first, end, rules->repeats, rules->precision * 100);
	if (search->search.trials > 0)
		printf("%-12s goes on behind %u runs\n", "", search->search.trials);
}

void bench_print_begin(const struct bench *bench)
{
	printf("bench %s of %s on %s\n", bench_kind_names[bench->kind], bench->path,
		bench->fleet.link);
	for (uint32_t i = 0; i < bench->goals; i++)
		printf("%-12s %s%s%s%s\n", i == 0 ? "goals" : "", bench->goal[i].text,
			i == 0 ? "   (" : "", i == 0 ? bench->goals_from : "", i == 0 ? ")" : "");
	for (unsigned i = 0; i < bench->searches; i++)
		print_range(&bench->search[i]);
	printf("%-12s %s\n", "log", bench->log);
	fflush(stdout);
}

static void bar(double done, char out[BAR + 1])
{
	int full = (int)(done * BAR);
	for (int i = 0; i < BAR; i++)
		out[i] = i < full ? '#' : '.';
	out[BAR] = '\0';
}

void bench_print_progress(const struct bench *bench, double value, bool baseline)
{
	struct search_answer answer;
	char drawn[BAR + 1], text[BENCH_TEXT_MAX], left[32];
	if (!bench->terminal)
		return;
	search_look(&bench->search[bench->now].search, &answer);
	double remaining = answer.remaining_s - (bench_now_s() - bench->begun_s);
	bench_value_text(bench->search[bench->now].vary, value, text);
	duration_text(fmax(remaining, 0), left);
	bar(answer.done, drawn);
	printf("\r\033[K[%s] %3.0f %%  %s%s, %u of %u, %.0f s; about %s left", drawn,
		answer.done * 100, baseline ? "built-in registrars: " : "", text, answer.repeat,
		bench->search[bench->now].search.rules.repeats, bench_now_s() - bench->begun_s,
		isnan(answer.remaining_s) ? "?" : left);
	fflush(stdout);
}

static double value_of(const json_t *goal)
{
	const json_t *value = json_object_get(goal, "value");
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static void print_goals(const struct bench *bench, const json_t *goals)
{
	size_t i;
	json_t *goal;
	json_array_foreach (goals, i, goal) {
		char text[48];
		gate_value_text(bench->goal[i].unit, value_of(goal), text);
		printf("%s%.*s %s%s", i > 0 ? ", " : "   ",
			(int)strcspn(bench->goal[i].text, "<>="), bench->goal[i].text,
			isnan(value_of(goal)) ? "never or unknown" : text,
			json_is_true(json_object_get(goal, "met")) ? "" : " (missed)");
	}
}

void bench_print_point(
	const struct bench *bench, double value, bool baseline, const struct bench_point *point)
{
	struct search_answer answer;
	char text[BENCH_TEXT_MAX], left[32];
	search_look(&bench->search[bench->now].search, &answer);
	bench_value_text(bench->search[bench->now].vary, value, text);
	duration_text(answer.remaining_s, left);
	printf("%s%14s%s  %-7s", bench->terminal ? "\r\033[K" : "", text,
		baseline ? ", built-in registrars" : "", outcome_words[point->outcome]);
	print_goals(bench, point->goals);
	if (answer.state == SEARCH_GOES_ON && !bench->terminal)
		printf("   %3.0f %%, about %s left", answer.done * 100, left);
	putchar('\n');
	fflush(stdout);
}

/* --- The end --- */

/* The worst of one goal at one value; NAN where no trial has it. */
static double worst(
	const struct bench *bench, const struct bench_search *search, double value, uint32_t index)
{
	const struct gate *gate = &bench->goal[index];
	bool low = gate->compare == GATE_AT_LEAST || gate->compare == GATE_MORE;
	double out = NAN;
	size_t i;
	json_t *trial;
	json_array_foreach (search->trials, i, trial) {
		const json_t *goals = json_object_get(trial, "goals");
		if (json_number_value(json_object_get(trial, "value")) != value ||
			json_array_size(goals) <= index)
			continue;
		double one = value_of(json_array_get(goals, index));
		if (isnan(one))
			return NAN;
		if (isnan(out) || (low ? one < out : one > out))
			out = one;
	}
	return out;
}

static void print_row(const struct bench *bench, const struct bench_search *search, double value)
{
	unsigned count[4] = {0};
	char text[BENCH_TEXT_MAX];
	for (uint32_t i = 0; i < search->search.trials; i++) {
		if (search->search.trial[i].value == value)
			count[search->search.trial[i].outcome]++;
	}
	bench_value_text(search->vary, value, text);
	printf("  %16s  %u of %u met", text, count[SEARCH_MET],
		count[SEARCH_MET] + count[SEARCH_MISSED]);
	if (count[SEARCH_GENERATOR] + count[SEARCH_FAILED] > 0)
		printf(", %u not valid", count[SEARCH_GENERATOR] + count[SEARCH_FAILED]);
	for (uint32_t i = 0; i < bench->goals; i++) {
		double one = worst(bench, search, value, i);
		gate_value_text(bench->goal[i].unit, one, text);
		printf("   %.*s %s", (int)strcspn(bench->goal[i].text, "<>="), bench->goal[i].text,
			isnan(one) ? "-" : text);
	}
	putchar('\n');
}

/* From the easiest value to the hardest, each once. */
static void print_table(const struct bench *bench, const struct bench_search *search)
{
	double last = NAN;
	bool falling = search->search.rules.falling;
	for (;;) {
		double next = NAN;
		for (uint32_t i = 0; i < search->search.trials; i++) {
			double value = search->search.trial[i].value;
			bool after = isnan(last) || (falling ? value < last : value > last);
			if (after && (isnan(next) || (falling ? value > next : value < next)))
				next = value;
		}
		if (isnan(next))
			return;
		print_row(bench, search, next);
		last = next;
	}
}

static void print_answer(const struct bench_search *search)
{
	static const char *const words[] = {[SEARCH_GOES_ON] = "met so far",
		[SEARCH_FOUND] = "met, and not beyond",
		[SEARCH_NONE] = "no value meets the goals",
		[SEARCH_ALL] = "met, the end of the range",
		[SEARCH_LIMITED] = "met; beyond it GENERATOR-LIMITED, no proxy is the limit",
		[SEARCH_BROKEN] = "not known: runs did not come to their end"};
	struct search_answer answer;
	char best[BENCH_TEXT_MAX], beyond[BENCH_TEXT_MAX];
	search_look(&search->search, &answer);
	bench_value_text(search->vary, answer.best, best);
	bench_value_text(search->vary, answer.worst, beyond);
	if (isnan(answer.best)) {
		const char *why = answer.state == SEARCH_LIMITED
					  ? "not known: GENERATOR-LIMITED from the easiest value on"
				  : answer.state == SEARCH_GOES_ON ? "not known yet"
								   : words[answer.state];
		printf("%-12s %s\n", bench_vary_names[search->vary], why);
		return;
	}
	printf("%-12s %s %s", bench_vary_names[search->vary], best, words[answer.state]);
	if (answer.state == SEARCH_FOUND)
		printf(": %s missed", beyond);
	double rate = bench_mean_rate(search, answer.best);
	gate_value_text(GATE_PER_S, rate, beyond);
	if (!isnan(rate))
		printf("; measured: %s %s", beyond,
			search->vary == VARY_REGISTER || search->vary == VARY_REFRESH ? "REGISTER"
										      : "OPTIONS");
	printf("\n%-12s %u of %u runs met all goals: %.1f %% confidence that at least half would\n",
		"", answer.met, answer.of, answer.confidence * 100);
}

void bench_print_end(const struct bench *bench)
{
	printf("%s\n", bench->terminal ? "\r\033[K" : "");
	for (unsigned i = 0; i < bench->searches; i++) {
		const struct bench_search *search = &bench->search[i];
		if (search->search.trials == 0)
			continue;
		print_table(bench, search);
		print_answer(search);
	}
}
