/* SPDX-License-Identifier: BSD-3-Clause */
/* Predicted waves: the table of PHONE.md section 5, the same numbers as the page's model, and what every
 * curve has to be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "predict.h"

static struct herd_config book(void)
{
	return (struct herd_config){
		.redundancy = {.enabled = true, .fail_threshold = 1, .success_threshold = 1},
		.timers = {.t1_ms = 500, .t2_ms = 4000, .t4_ms = 5000, .no_response_ms = 32000},
		.keepalive_period_ms = 60000,
		.expires_s = 3600,
		.refresh_permille = 500,
	};
}

static struct prediction predict(
	const struct herd_config *herd, enum drill_wave_kind kind, enum proxy from)
{
	const struct drill_fleet fleet = {.herd = herd, .redundancy = herd->redundancy.enabled};
	const struct drill_wave wave = {
		.kind = (uint8_t)kind, .from = (uint8_t)from, .to = (uint8_t)!from};
	struct prediction out;
	assert_int_equal(predict_wave(&out, &wave, &fleet), 0);
	return out;
}

static void near(double value, double right, double by)
{
	if (!(fabs(value - right) <= by))
		fail_msg("%.9f, right is %.9f within %.9f", value, right, by);
}

static void the_book(void **state)
{
	(void)state;
	struct herd_config herd = book();
	struct prediction p = predict(&herd, WAVE_FAIL_OVER, PROXY_PRIMARY);
	near(p.peak_second, 1 / 60.0, 1e-9);
	near(p.first_ms, 32000, 1e-6);
	near(p.last_ms, 92000, 1e-6);
	near(p.mean_ms, 62000, 1e-6);
	prediction_free(&p);
	p = predict(&herd, WAVE_FAIL_BACK, PROXY_REDUNDANT);
	near(p.peak_second, 0.174, 0.002);
	near(p.peak_100ms, 11 / 600.0, 1e-9); /* eleven ways to be answered */
	near(prediction_at(&p, 4000), 0.59, 0.005);
	near(p.last_ms, 28500, 1e-6);
	prediction_free(&p);
	p = predict(&herd, WAVE_RESCUE, PROXIES);
	near(prediction_at(&p, 4000), 0.55, 0.006);
	near(p.last_ms, 32500, 1e-6);
	prediction_free(&p);
}

static void the_book_with_a_pause(void **state)
{
	(void)state;
	struct herd_config herd = book();
	herd.switch_delay_ms = 10000;
	struct prediction p = predict(&herd, WAVE_FAIL_OVER, PROXY_PRIMARY);
	near(p.peak_second, 1 / 60.0, 1e-9);
	near(p.first_ms, 32000, 1e-6);
	near(p.last_ms, 102000, 1e-6);
	near(p.mean_ms, 67000, 1e-6);
	prediction_free(&p);
	p = predict(&herd, WAVE_FAIL_BACK, PROXY_REDUNDANT);
	near(p.peak_second, 0.069, 0.001);
	near(prediction_at(&p, 4000), 0.125, 0.002);
	near(prediction_at(&p, 14000), 0.675, 0.005);
	near(p.last_ms, 38500, 1e-6);
	prediction_free(&p);
}

static struct herd_config herd_of(const json_t *timers)
{
	const double second = 1000;
	struct herd_config herd = book();
	int symmetric, fail, success;
	double period, no_response, t1, t2, delay, refresh;
	assert_int_equal(json_unpack((json_t *)timers, "{sb sF sF sF sF sF sF si si}", "symmetric",
				 &symmetric, "period", &period, "noResponse", &no_response, "t1",
				 &t1, "t2", &t2, "switchDelay", &delay, "refresh", &refresh,
				 "failThreshold", &fail, "successThreshold", &success),
		0);
	herd.redundancy.mode = symmetric ? MODE_SYMMETRIC : MODE_ASYMMETRIC;
	herd.redundancy.fail_threshold = (uint8_t)fail;
	herd.redundancy.success_threshold = (uint8_t)success;
	herd.keepalive_period_ms = (uint32_t)lround(period * second);
	herd.timers.no_response_ms = (uint32_t)lround(no_response * second);
	herd.timers.t1_ms = (uint32_t)lround(t1 * second);
	herd.timers.t2_ms = (uint32_t)lround(t2 * second);
	herd.switch_delay_ms = (uint32_t)lround(delay * second);
	herd.expires_s = (uint32_t)lround(refresh * 2);
	return herd;
}

static void compare(const struct prediction *p, const json_t *wave)
{
	const double second = 1000;
	double first, last, mean;
	size_t i;
	json_t *point;
	assert_int_equal(json_unpack((json_t *)wave, "{sF sF sF}", "first", &first, "last", &last,
				 "mean", &mean),
		0);
	near(p->first_ms, first * second, 0.01);
	near(p->last_ms, last * second, 0.01);
	near(p->mean_ms, mean * second, 0.01);
	json_array_foreach (json_object_get(wave, "shares"), i, point) {
		const double t = json_number_value(json_array_get(point, 0));
		near(prediction_at(p, t * second), json_number_value(json_array_get(point, 1)),
			1e-6);
	}
}

static void as_the_page(void **state)
{
	(void)state;
	json_t *list = json_load_file(TESTS_DIR "/samples/predict.json", 0, NULL), *one;
	size_t i;
	assert_true(json_array_size(list) > 30);
	json_array_foreach (list, i, one) {
		const char *kind = json_string_value(json_object_get(one, "kind"));
		const json_t *wave = json_object_get(one, "wave");
		const struct herd_config herd = herd_of(json_object_get(one, "timers"));
		const bool over = !strcmp(kind, "fail-over") || !strcmp(kind, "blind");
		struct prediction p = predict(&herd,
			over                         ? WAVE_FAIL_OVER
			: !strcmp(kind, "fail-back") ? WAVE_FAIL_BACK
						     : WAVE_RESCUE,
			strcmp(kind, "fail-over") ? PROXY_REDUNDANT : PROXY_PRIMARY);
		assert_int_equal(p.known, !json_is_null(wave));
		if (p.known)
			compare(&p, wave);
		prediction_free(&p);
	}
	json_decref(list);
}

/* Shares begin at 0, never fall and end at 1; the mean is the area above them, and no window of the grid
 * has more than the busiest. */
static void is_a_distribution(const struct prediction *p)
{
	double before = 0, mean = 0;
	for (uint32_t i = 0; i < p->steps; i++) {
		assert_true(p->share[i] >= before - 1e-9 && p->share[i] <= 1 + 1e-9);
		mean += (1 - (p->share[i] + before) / 2) * (i > 0 ? p->step_ms : 0);
		before = p->share[i];
	}
	near(p->share[p->steps - 1], 1, 0);
	near(prediction_at(p, p->first_ms - p->step_ms), 0, 1e-9);
	near(mean, p->mean_ms, p->step_ms);
	for (double t = 0; t < p->last_ms && p->step_ms <= 100; t += 1000)
		assert_true(
			prediction_at(p, t + 1000) - prediction_at(p, t) <= p->peak_second + 1e-9);
	assert_true(p->peak_100ms <= p->peak_second + 1e-9 && p->peak_100ms > 0);
}

static void any_timers(void **state)
{
	(void)state;
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	print_message("seed %llx\n", (unsigned long long)seed);
	for (int i = 0; i < 400; i++) {
		struct herd_config herd = book();
		uint32_t draw[8];
		for (int k = 0; k < 8; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			draw[k] = (uint32_t)(seed >> 33);
		}
		herd.keepalive_period_ms = draw[0] % 301 * 1000;
		herd.timers.no_response_ms = 100 + draw[1] % 63901;
		herd.timers.t1_ms = 100 + draw[2] % 5000;
		herd.switch_delay_ms = draw[3] % 3 * 7000;
		herd.redundancy.fail_threshold = (uint8_t)(1 + draw[4] % 10);
		herd.redundancy.success_threshold = (uint8_t)(1 + draw[5] % 5);
		herd.redundancy.mode = draw[6] % 3 == 0;
		herd.expires_s = draw[7] % 4000;
		for (int kind = WAVE_FAIL_OVER; kind <= WAVE_RESCUE; kind++) {
			struct prediction p = predict(
				&herd, (enum drill_wave_kind)kind, PROXY_PRIMARY);
			if (p.known)
				is_a_distribution(&p);
			prediction_free(&p);
		}
	}
}

static void nothing_is_known(void **state)
{
	(void)state;
	struct herd_config herd = book();
	assert_false(predict(&herd, WAVE_WATCH, PROXY_PRIMARY).known);
	assert_false(predict(&herd, WAVE_POWER, PROXY_PRIMARY).known);
	herd.backoff_rfc5626 = true;
	assert_false(predict(&herd, WAVE_RESCUE, PROXY_PRIMARY).known);
	herd.keepalive_period_ms = 0;
	assert_false(predict(&herd, WAVE_FAIL_BACK, PROXY_REDUNDANT).known);
	herd = book();
	herd.redundancy.mode = MODE_SYMMETRIC;
	assert_false(predict(&herd, WAVE_FAIL_BACK, PROXY_REDUNDANT).known);
	herd.redundancy.enabled = false;
	assert_false(predict(&herd, WAVE_FAIL_OVER, PROXY_PRIMARY).known);
}

/* By the book, all have left after 92 s and probe for 60 s more before the first of them does twice. */
static void an_outage_has_to_be_long(void **state)
{
	(void)state;
	const struct herd_config herd = book();
	const struct drill_fleet fleet = {.herd = &herd, .redundancy = true};
	struct drill_wave wave = {.kind = WAVE_FAIL_BACK, .from = PROXY_REDUNDANT};
	const struct {
		uint8_t kind;
		uint64_t silent_ms;
		bool even;
	} cases[] = {{WAVE_FAIL_OVER, 0, true}, {WAVE_FAIL_BACK, 211999, false},
		{WAVE_FAIL_BACK, 212000, true}, {WAVE_RESCUE, 123999, false},
		{WAVE_RESCUE, 124000, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prediction p;
		wave.kind = cases[i].kind;
		wave.silent_ms = cases[i].silent_ms;
		assert_int_equal(predict_wave(&p, &wave, &fleet), 0);
		assert_true(p.known);
		assert_int_equal(p.even, cases[i].even);
		prediction_free(&p);
	}
}

/* Hours, as with no keep-alives and a refresh a day later: the curve stays small, its end and peaks right. */
static void a_day(void **state)
{
	(void)state;
	struct herd_config herd = book();
	herd.keepalive_period_ms = 0;
	herd.expires_s = 86400;
	herd.refresh_permille = 1000;
	struct prediction p = predict(&herd, WAVE_FAIL_OVER, PROXY_PRIMARY);
	assert_true(p.steps < 5000);
	near(p.last_ms, 86432000, 1e-3);
	near(p.peak_second, 1 / 86400.0, 1e-12);
	near(p.peak_100ms, 1 / 864000.0, 1e-12);
	prediction_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_book),
		cmocka_unit_test(the_book_with_a_pause),
		cmocka_unit_test(as_the_page),
		cmocka_unit_test(any_timers),
		cmocka_unit_test(nothing_is_known),
		cmocka_unit_test(an_outage_has_to_be_long),
		cmocka_unit_test(a_day),
	};
	return cmocka_run_group_tests_name("predict", tests, NULL, NULL);
}
