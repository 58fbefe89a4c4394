/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every drill of the catalogue, carried out on the simulator: what is told of each phone, each wave and each
 * step against what follows from the datagrams alone, and the five waves of PHONE.md section 5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drill_trial.h"

/* --- The catalogue --- */

static struct trial *small_stage(uint32_t phones)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	assert_non_null(trial);
	sim_defaults(&trial->config, phones, sim_seed(0xd1211));
	struct herd_config *herd = &trial->config.herd;
	herd->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	herd->ramp_per_s = phones / 5;
	herd->keepalive_period_ms = 5000;
	herd->timers = (struct transaction_timers){
		.t1_ms = 100, .t2_ms = 800, .t4_ms = 1000, .no_response_ms = 2000};
	herd->switch_delay_ms = 700;
	herd->expires_s = 40;
	herd->retry_ms = 3000;
	trial->counts_bindings = true;
	return trial;
}

static void carry_out(struct trial *trial, const struct drill_request *request)
{
	trial_settle(trial, 12 * SIM_SECOND);
	trial_plan(trial, request);
	trial_begin(trial);
	trial_finish(trial);
	trial_compare(trial);
	sim_check(trial->sim);
}

static void every_drill(void **state)
{
	(void)state;
	for (int kind = 0; kind < DRILL_KINDS; kind++) {
		struct trial *trial = small_stage(400);
		trial->config.slices = 1 + (uint32_t)kind % 3;
		trial->config.passwords = kind % 2 == 1;
		trial->counts_bindings = kind % 3 != 0;
		carry_out(trial, &(struct drill_request){.kind = (uint8_t)kind});
		printf("%-12s %2u waves, %3.0f s\n", trial->plan.name, trial->plan.waves,
			trial_number(trial->json, "duration_ms") / 1000);
		trial_clear(trial);
	}
}

static void a_share_and_the_other_method(void **state)
{
	(void)state;
	const uint32_t share = 1u << DRILL_SHARE, method = 1u << DRILL_METHOD,
		       proxy = 1u << DRILL_PROXY;
	const struct drill_request requests[] = {
		{.kind = DRILL_CRASH, .given = share, .share_ppm = 300000},
		{.kind = DRILL_POWER_CUT, .given = share, .share_ppm = 500000},
		{.kind = DRILL_POWER_CUT,
			.given = proxy | share,
			.proxy = PROXY_REDUNDANT,
			.share_ppm = 500000},
		{.kind = DRILL_HALF_DEAD, .given = method, .method = IMPAIRMENT_OPTIONS},
		{.kind = DRILL_BOTH, .given = proxy, .proxy = PROXY_REDUNDANT}};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct trial *trial = small_stage(400);
		carry_out(trial, &requests[i]);
		trial_clear(trial);
	}
}

static void symmetric_phones(void **state)
{
	(void)state;
	static const uint8_t kinds[] = {DRILL_CRASH, DRILL_BOTH, DRILL_FLAP, DRILL_ROLLING};
	for (size_t i = 0; i < sizeof(kinds); i++) {
		struct trial *trial = small_stage(400);
		trial->config.herd.redundancy.mode = MODE_SYMMETRIC;
		carry_out(trial, &(struct drill_request){.kind = kinds[i]});
		trial_clear(trial);
	}
}

/* --- PHONE.md section 5 --- */

#define PHONES 20000u
#define SHARE_TOLERANCE 2.0 /* percent points of the fleet */
#define SPAN_TOLERANCE 1000 /* ms */
#define DISTANCE 0.02

static struct trial *book_stage(uint32_t switch_delay_ms)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	assert_non_null(trial);
	sim_defaults(&trial->config, PHONES, sim_seed(0x5a1e5a1e));
	trial->config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	trial->config.herd.ramp_per_s = 2000;
	trial->config.herd.switch_delay_ms = switch_delay_ms;
	trial->counts_bindings = true;
	trial_settle(trial, 80 * SIM_SECOND);
	return trial;
}

static const json_t *named(const struct trial *trial, const char *name)
{
	size_t i;
	json_t *wave;
	json_array_foreach (json_object_get(trial->json, "waves"), i, wave) {
		if (strcmp(json_string_value(json_object_get(wave, "name")), name) == 0)
			return wave;
	}
	fail_msg("no wave %s", name);
	return NULL;
}

/* The share by linear interpolation between the points of a curve. */
static double within(const json_t *wave, double ms)
{
	double before_ms = 0, before = 0;
	size_t i;
	json_t *point;
	json_array_foreach (json_object_get(wave, "curve"), i, point) {
		const double at = json_number_value(json_array_get(point, 0));
		const double share = json_number_value(json_array_get(point, 1));
		if (at >= ms)
			return 100 *
			       (at > before_ms ? before + (share - before) * (ms - before_ms) /
								  (at - before_ms)
					       : share);
		before_ms = at;
		before = share;
	}
	return 100 * before;
}

static double first_ms(const json_t *wave)
{
	return json_number_value(
		json_array_get(json_array_get(json_object_get(wave, "curve"), 1), 0));
}

static double last_ms(const json_t *wave)
{
	const json_t *curve = json_object_get(wave, "curve");
	return json_number_value(
		json_array_get(json_array_get(curve, json_array_size(curve) - 1), 0));
}

static void span(const char *what, double ms, double right_ms)
{
	trial_near(what, ms, right_ms, SPAN_TOLERANCE);
}

static void is_foreseen(const json_t *wave, const char *name)
{
	const double distance = trial_number(wave, "predicted.distance");
	printf("%-34s busiest second %5.2f %%, tenth %5.2f %%, %5.2f to %6.2f s, distance %.4f\n",
		name, 100 * trial_number(wave, "peak.second.share"),
		100 * trial_number(wave, "peak.tenth.share"), first_ms(wave) / 1000,
		last_ms(wave) / 1000, distance);
	assert_int_equal(trial_number(wave, "phones"), PHONES);
	assert_int_equal(trial_number(wave, "out"), 0);
	if (distance >= DISTANCE)
		fail_msg("%s is %.4f away from the prediction", name, distance);
	trial_near("predicted peak", 100 * trial_number(wave, "predicted.peak_second_share"),
		100 * trial_number(wave, "peak.second.share"), SHARE_TOLERANCE);
}

static void fails_over(const json_t *wave, const char *name, double last_ms_right, double mean_ms)
{
	is_foreseen(wave, name);
	trial_near("second", 100 * trial_number(wave, "peak.second.share"), 1.7, 0.4);
	span("first", first_ms(wave), 32000);
	span("last", last_ms(wave), last_ms_right);
	span("mean", trial_number(wave, "detection_ms.mean") + trial_number(wave, "switch_ms.mean"),
		mean_ms);
}

static void the_book_without_a_pause(void **state)
{
	(void)state;
	struct trial *trial = book_stage(0);
	trial_plan(trial, &(struct drill_request){.kind = DRILL_RETURN});
	trial_begin(trial);
	trial_finish(trial);
	trial_compare(trial);
	fails_over(named(trial, "fail-over"), "fail over, no switch delay", 92000, 62000);
	const json_t *back = named(trial, "fail-back");
	is_foreseen(back, "fail back, no switch delay");
	trial_near("second", 100 * trial_number(back, "peak.second.share"), 17.4, SHARE_TOLERANCE);
	trial_near("tenth", 100 * trial_number(back, "peak.tenth.share"), 1.9, 0.4);
	trial_near("within 4 s", within(back, 4000), 59, SHARE_TOLERANCE);
	span("last", last_ms(back), 28500);
	trial_clear(trial);
}

static void the_book_with_a_pause(void **state)
{
	(void)state;
	struct trial *trial = book_stage(10000);
	trial_plan(trial, &(struct drill_request){.kind = DRILL_RETURN});
	trial_begin(trial);
	trial_finish(trial);
	trial_compare(trial);
	fails_over(named(trial, "fail-over"), "fail over, switch delay 0-10 s", 102000, 67000);
	const json_t *back = named(trial, "fail-back");
	is_foreseen(back, "fail back, switch delay 0-10 s");
	trial_near("second", 100 * trial_number(back, "peak.second.share"), 6.9, SHARE_TOLERANCE);
	trial_near("within 4 s", within(back, 4000), 12.5, SHARE_TOLERANCE);
	trial_near("within 14 s", within(back, 14000), 67.5, SHARE_TOLERANCE);
	span("last", last_ms(back), 38500);
	trial_clear(trial);
}

/*
 * Phases that are uniform in the 60 s of a period are not quite uniform in the 64 s that trying both proxies
 * takes. A power cut in the midst of the outage, of 64 s, makes them so.
 */
static void the_book_of_a_rescue(void **state)
{
	(void)state;
	struct trial *trial = book_stage(0);
	const struct herd_command cut = {.kind = HERD_POWER_CUT,
		.count = PHONES,
		.delay_ms = 64000,
		.impairment = {.share_ppm = IMPAIRMENT_ALL_PPM}};
	trial_plan(trial, &(struct drill_request){.kind = DRILL_BOTH});
	trial_begin(trial);
	while (sim_now_us(trial->sim) < trial->begin_us + 20 * SIM_SECOND)
		trial_advance(trial);
	trial_command(trial, &cut);
	trial_finish(trial);
	trial_compare(trial);
	const json_t *wave = named(trial, "rescue");
	is_foreseen(wave, "both dead, one returns");
	trial_near("within 4 s", within(wave, 4000), 55, SHARE_TOLERANCE);
	span("last", last_ms(wave), 32500);
	trial_clear(trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_drill),
		cmocka_unit_test(a_share_and_the_other_method),
		cmocka_unit_test(symmetric_phones),
		cmocka_unit_test(the_book_without_a_pause),
		cmocka_unit_test(the_book_with_a_pause),
		cmocka_unit_test(the_book_of_a_rescue),
	};
	return cmocka_run_group_tests_name("drills", tests, NULL, NULL);
}
