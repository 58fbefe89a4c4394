/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The search for a capacity, against proxies whose capacity is known: sharp, noisy, beyond what sipherd
 * can do; with an interruption at any point. Random cases print their seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "search.h"

static uint64_t seed;

static double uniform(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double)(seed >> 11) / 9007199254740992.0;
}

/* What stands at the other end of the search. */
struct proxy_model {
	double capacity;  /* the hardest value that is met */
	double noise;     /* relative width within which chance decides */
	double generator; /* harder than this sipherd cannot; NAN: it always can */
	double mishaps;   /* share of runs that say nothing, by chance */
};

static enum search_outcome try(
	const struct proxy_model *model, const struct search_rules *rules, double value)
{
	double hardness = rules->falling ? 1 / value : value;
	double capacity = rules->falling ? 1 / model->capacity : model->capacity;
	double limit = rules->falling ? 1 / model->generator : model->generator;
	if (hardness > limit)
		return SEARCH_GENERATOR;
	double over = hardness / capacity * (1 + model->noise * (uniform() - 0.5));
	if (uniform() < model->mishaps)
		return uniform() < 0.5 ? SEARCH_GENERATOR : SEARCH_FAILED;
	return over <= 1 + 1e-12 ? SEARCH_MET : SEARCH_MISSED;
}

/* The most trials there can be: growth from one end to the other, then halving down. */
static unsigned bound(const struct search_rules *rules)
{
	double growing = ceil(log(rules->most / rules->least) / log(rules->growth)) + 2;
	double halving = ceil(fmax(log2(log(rules->growth) / log1p(rules->precision)), 0)) + 2;
	if (rules->whole)
		growing += rules->least < 16 ? 16 : 0;
	/* Of each point all repeats, and as many for nothing, or that failed. */
	return (unsigned)(growing + halving) * 3 * rules->repeats;
}

static struct search_answer run(struct search *search, const struct proxy_model *model)
{
	struct search_answer answer;
	double done = 0;
	search_look(search, &answer);
	while (answer.state == SEARCH_GOES_ON) {
		assert_true(answer.next >= search->rules.least);
		assert_true(answer.next <= search->rules.most);
		assert_true(!search->rules.whole || answer.next == floor(answer.next));
		assert_true(answer.done >= 0 && answer.done < 1);
		assert_true(
			search->trials == 0 ? isnan(answer.remaining_s) : answer.remaining_s > 0);
		assert_true(search_add(
			search, answer.next, try(model, &search->rules, answer.next), 2));
		assert_true(search->trials <= bound(&search->rules));
		done = answer.done;
		search_look(search, &answer);
	}
	assert_true(done < 1 && answer.done == 1);
	return answer;
}

static struct search_rules random_rules(void)
{
	struct search_rules rules = {.growth = 1.2 + 3 * uniform(),
		.least = 1 + floor(100 * uniform()),
		.precision = 0.01 + 0.2 * uniform(),
		.repeats = 3 + 2 * (unsigned)(3 * uniform()),
		.falling = uniform() < 0.5,
		.whole = uniform() < 0.5};
	rules.most = floor(rules.least * (2 + pow(10, 5 * uniform())));
	rules.first = rules.least + (rules.most - rules.least) * uniform();
	return rules;
}

static double random_value(const struct search_rules *rules)
{
	return rules->least * pow(rules->most / rules->least, uniform());
}

static double spacing(const struct search_rules *rules, double value)
{
	return rules->precision * value * (1 + 1e-6) + (rules->whole ? 1 : 0);
}

static void a_sharp_capacity_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 600; i++) {
		struct search search = {.rules = random_rules()};
		const struct search_rules *rules = &search.rules;
		struct proxy_model model = {random_value(rules), 0, NAN, 0};
		uint64_t began = seed;
		struct search_answer answer = run(&search, &model);
		bool found = answer.state == SEARCH_FOUND || answer.state == SEARCH_ALL ||
			     answer.state == SEARCH_NONE;
		if (!found)
			fail_msg("seed %" PRIu64 ": state %d", began, answer.state);
		if (answer.state == SEARCH_ALL || answer.state == SEARCH_NONE) {
			/* Only the very ends may be all or nothing. */
			double end = (answer.state == SEARCH_ALL) != rules->falling ? rules->most
										    : rules->least;
			assert_true(fabs(model.capacity - end) <= 1.5 + 1e-9 * end);
			continue;
		}
		if (fabs(answer.best - model.capacity) > spacing(rules, model.capacity))
			fail_msg("seed %" PRIu64 ": found %g, it is %g", began, answer.best,
				model.capacity);
		assert_true(rules->falling ? answer.best >= model.capacity * (1 - 1e-9)
					   : answer.best <= model.capacity * (1 + 1e-9));
		assert_int_equal(answer.met, rules->repeats);
		assert_int_equal(answer.of, rules->repeats);
		assert_true(fabs(answer.confidence - (1 - pow(0.5, rules->repeats))) < 1e-9);
	}
}

/* Within the noise any answer is right; beyond it and the precision none is. */
static void a_noisy_capacity_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 600; i++) {
		struct search search = {.rules = random_rules()};
		struct proxy_model model = {random_value(&search.rules), 0.3 * uniform(), NAN, 0};
		uint64_t began = seed;
		struct search_answer answer = run(&search, &model);
		if (answer.state != SEARCH_FOUND)
			continue;
		double slack = spacing(&search.rules, model.capacity) +
			       0.6 * model.noise * model.capacity;
		if (fabs(answer.best - model.capacity) > slack)
			fail_msg("seed %" PRIu64 ": found %g, it is %g", began, answer.best,
				model.capacity);
		assert_true(2 * answer.met > answer.of);
		assert_true(answer.confidence >= 0.5 - 1e-9);
	}
}

static void our_own_limit_is_no_answer(void **state)
{
	(void)state;
	unsigned limited = 0, found = 0;
	for (int i = 0; i < 600; i++) {
		struct search search = {.rules = random_rules()};
		const struct search_rules *rules = &search.rules;
		struct proxy_model model = {random_value(rules), 0, random_value(rules), 0};
		struct search_answer answer = run(&search, &model);
		bool beyond = rules->falling ? model.capacity < model.generator
					     : model.capacity > model.generator;
		double apart = fabs(model.capacity - model.generator);
		limited += answer.state == SEARCH_LIMITED;
		found += answer.state == SEARCH_FOUND;
		if (apart < 2 * spacing(rules, fmax(model.capacity, model.generator)))
			continue;
		if (beyond && answer.state != SEARCH_LIMITED)
			fail_msg("limit %g, capacity %g: state %d", model.generator, model.capacity,
				answer.state);
		if (!beyond && answer.state == SEARCH_LIMITED)
			fail_msg("limit %g, capacity %g: limited", model.generator, model.capacity);
	}
	assert_true(limited > 20 && found > 20);
}

/* On a busy host a run now and then says nothing; that costs time, and rarely the answer. */
static void mishaps_are_repeated(void **state)
{
	(void)state;
	unsigned found = 0;
	for (int i = 0; i < 600; i++) {
		struct search search = {.rules = random_rules()};
		struct proxy_model model = {random_value(&search.rules), 0, NAN, 0.1};
		struct search_answer answer = run(&search, &model);
		if (answer.state != SEARCH_FOUND)
			continue;
		found++;
		assert_true(fabs(answer.best - model.capacity) <=
			    spacing(&search.rules, model.capacity));
	}
	assert_true(found > 400);
}

/* Written down and read back after every single trial, it takes the same way. */
static void an_interruption_changes_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct search whole = {.rules = random_rules()};
		struct search pieces = {.rules = whole.rules};
		struct proxy_model model = {random_value(&whole.rules), 0.1, NAN, 0};
		uint64_t began = seed;
		struct search_answer answer = run(&whole, &model), other;
		seed = began;
		search_look(&pieces, &other);
		while (other.state == SEARCH_GOES_ON) {
			struct search resumed = {.rules = whole.rules};
			search_add(&pieces, other.next, try(&model, &whole.rules, other.next), 2);
			json_t *json = search_json(&pieces);
			char *text = json_dumps(json, 0);
			json_decref(json);
			json = json_loads(text, 0, NULL);
			assert_int_equal(search_read(&resumed, json), 0);
			json_decref(json);
			free(text);
			pieces = resumed;
			search_look(&pieces, &other);
		}
		assert_int_equal(answer.state, other.state);
		assert_int_equal(whole.trials, pieces.trials);
		for (uint32_t t = 0; t < whole.trials; t++)
			assert_true(whole.trial[t].value == pieces.trial[t].value);
	}
}

static const struct search_rules plain = {.first = 100,
	.growth = 2,
	.least = 1,
	.most = 1000,
	.precision = 0.1,
	.repeats = 3,
	.whole = true};

static void the_majority_decides(void **state)
{
	(void)state;
	struct search search = {.rules = plain};
	struct search_answer answer;
	search_look(&search, &answer);
	assert_true(answer.next == 100 && answer.repeat == 1 && isnan(answer.best));
	search_add(&search, 100, SEARCH_MET, 1);
	search_add(&search, 100, SEARCH_MISSED, 1);
	search_look(&search, &answer);
	assert_true(answer.next == 100 && answer.repeat == 3);
	search_add(&search, 100, SEARCH_MET, 1);
	search_look(&search, &answer);
	assert_true(answer.next == 200 && answer.repeat == 1 && answer.best == 100);
	assert_true(answer.met == 2 && answer.of == 3 && fabs(answer.confidence - 0.5) < 1e-9);
	/* One run in which we were the limit is repeated, two are no chance. */
	search_add(&search, 200, SEARCH_GENERATOR, 1);
	search_look(&search, &answer);
	assert_true(answer.next == 200 && answer.repeat == 2);
	search_add(&search, 200, SEARCH_GENERATOR, 1);
	search_look(&search, &answer);
	assert_true(answer.state == SEARCH_GOES_ON && answer.next == 141 && answer.worst == 200);
	search_add(&search, 141, SEARCH_FAILED, 1);
	search_look(&search, &answer);
	assert_true(answer.next == 141 && answer.repeat == 2);
	search_add(&search, 141, SEARCH_FAILED, 1);
	search_look(&search, &answer);
	assert_int_equal(answer.state, SEARCH_BROKEN);
}

static void there_is_an_end_to_it(void **state)
{
	(void)state;
	struct search search = {.rules = plain};
	struct search_answer answer;
	search.rules.repeats = 2047;
	for (int i = 0; i < SEARCH_TRIALS_MAX; i++)
		assert_true(search_add(&search, 100, SEARCH_MET, 1));
	assert_false(search_add(&search, 100, SEARCH_MET, 1));
	search_look(&search, &answer);
	assert_int_equal(answer.state, SEARCH_BROKEN);
}

static void other_searches_are_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"[]", "{}", "{'trials': []}",
		"{'rules': {}, 'trials': []}", "{'rules': RULES}",
		"{'rules': RULES, 'trials': [5]}",
		"{'rules': RULES, 'trials': [{'value': 0, 'outcome': 'met', 'seconds': 1}]}",
		"{'rules': RULES, 'trials': [{'value': 5, 'outcome': 'won', 'seconds': 1}]}",
		"{'rules': RULES, 'trials': [{'value': 5, 'outcome': 'met', 'seconds': -1}]}",
		"{'rules': RULES, 'trials': [{'value': '5', 'outcome': 'met', 'seconds': 1}]}"};
	struct search search = {.rules = plain};
	search_add(&search, 100, SEARCH_MET, 1);
	json_t *good = search_json(&search);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[1024] = "";
		char *rules = json_dumps(json_object_get(good, "rules"), JSON_COMPACT);
		for (const char *c = texts[i]; *c != '\0'; c++) {
			size_t used = strlen(text);
			bool here = strncmp(c, "RULES", 5) == 0;
			snprintf(text + used, sizeof(text) - used, here ? "%s" : "%.1s",
				here         ? rules
				: *c == '\'' ? "\""
					     : c);
			c += here ? 4 : 0;
		}
		free(rules);
		json_t *json = json_loads(text, 0, NULL);
		assert_non_null(json);
		assert_int_equal(search_read(&search, json), -EINVAL);
		assert_int_equal(search.trials, 0);
		json_decref(json);
	}
	assert_int_equal(search_read(&search, good), 0);
	assert_int_equal(search.trials, 1);
	search.rules.precision = 0.05;
	assert_int_equal(search_read(&search, good), -EINVAL);
	json_decref(good);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sharp_capacity_is_found),
		cmocka_unit_test(a_noisy_capacity_is_found),
		cmocka_unit_test(our_own_limit_is_no_answer),
		cmocka_unit_test(mishaps_are_repeated),
		cmocka_unit_test(an_interruption_changes_nothing),
		cmocka_unit_test(the_majority_decides),
		cmocka_unit_test(there_is_an_end_to_it),
		cmocka_unit_test(other_searches_are_refused),
	};
	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	printf("seed %" PRIu64 "\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
