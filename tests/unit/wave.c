/* SPDX-License-Identifier: BSD-3-Clause */
/* What waves make of transitions and steps; tests/sim/drills.c has the drills themselves. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drill_plan.h"
#include "wave_internal.h"

#define PHONES (SHARD_PHONES + 100u) /* the second shard is another generator's */
#define BEGIN_US 50000000ull

struct stage {
	struct herd_config herd;
	struct drill_fleet fleet;
	struct drill_plan plan;
	struct mirror *mirror;
	struct waves *waves;
	struct herd_counters counters;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES];
	struct wave_totals totals;
};

static void publish(struct stage *stage, uint32_t phone, uint64_t now_us, enum phone_state phase,
	unsigned registered, unsigned tried, enum record_cause cause)
{
	struct record_view view;
	record_load(&stage->mirror->record[phone], &view);
	const uint8_t before = (uint8_t)(view.last_tried << 2 | view.registered);
	view.version = RECORD_VERSION;
	view.phase = (uint8_t)phase;
	view.registered = (uint8_t)registered;
	view.last_tried = (uint8_t)tried;
	view.cause = (uint8_t)cause;
	view.transition++;
	view.since_unix_ms = now_us / 1000;
	mirror_publish(stage->mirror, 0, phone, &view, before);
}

/* Crash and return of the primary, 100 s each; all phones are registered there but the last ten of the first
 * shard, which are at the redundant proxy. */
static struct stage *open_stage(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	stage->herd = (struct herd_config){.fleet_phones = PHONES,
		.redundancy = {.enabled = true, .fail_threshold = 1, .success_threshold = 1},
		.timers = {.t1_ms = 500, .t2_ms = 4000, .no_response_ms = 32000},
		.keepalive_period_ms = 2000,
		.expires_s = 3600,
		.refresh_permille = 500};
	stage->fleet = (struct drill_fleet){
		.herd = &stage->herd, .phones = SHARD_PHONES, .redundancy = true};
	const struct impairment silence = {IMPAIRMENT_ALL_PPM, IMPAIRMENT_ALL_PPM, 0, 0, 0};
	stage->plan = (struct drill_plan){.name = "crash",
		.title = "crash primary",
		.question = "?",
		.requests = 1,
		.request = {{.kind = DRILL_CRASH}},
		.steps = 2,
		.waves = 2,
		.step = {{.at_ms = 0, .act = DRILL_ACT_IMPAIR, .impairment = silence},
			{.at_ms = 100000, .act = DRILL_ACT_IMPAIR, .restores = true}},
		.wave = {{.kind = WAVE_FAIL_OVER,
				 .from = PROXY_PRIMARY,
				 .to = PROXY_REDUNDANT,
				 .until_ms = 100000,
				 .share_ppm = IMPAIRMENT_ALL_PPM,
				 .name = "fail-over"},
			{.kind = WAVE_FAIL_BACK,
				.from = PROXY_REDUNDANT,
				.to = PROXY_PRIMARY,
				.step = 1,
				.until_ms = 200000,
				.share_ppm = IMPAIRMENT_ALL_PPM,
				.name = "fail-back"}},
		.end_ms = 200000};
	assert_int_equal(mirror_create(&stage->mirror, PHONES, 1, NULL, true), 0);
	atomic_store(&stage->mirror->driven[0], 1);
	for (uint32_t i = 0; i < PHONES; i++) {
		const unsigned at = i >= SHARD_PHONES - 10 && i < SHARD_PHONES ? 2 : 1;
		publish(stage, i, 1000000, PHONE_REGISTERED, at, at, RECORD_REGISTERED);
	}
	stage->totals = (struct wave_totals){
		.herd = &stage->counters, .histograms = &stage->histograms, .proxy = stage->proxy};
	herd_histograms_reset(&stage->histograms);
	assert_int_equal(waves_open(&stage->waves, &stage->plan, &stage->fleet, stage->mirror,
				 &stage->totals, BEGIN_US),
		0);
	return stage;
}

static void close_stage(struct stage *stage)
{
	waves_close(stage->waves);
	mirror_free(stage->mirror);
	free(stage);
}

static void tell(struct stage *stage)
{
	struct mirror_line line[64];
	size_t count;
	while ((count = mirror_take_lines(stage->mirror, MIRROR_WATCH, 0, line, 64)) > 0)
		for (size_t i = 0; i < count; i++)
			waves_line(stage->waves, &line[i]);
}

static void moves(struct stage *stage, uint32_t phone, uint64_t since_ms, unsigned to,
	enum record_cause cause)
{
	const uint64_t us = BEGIN_US + since_ms * 1000;
	publish(stage, phone, us, PHONE_SWITCHING, 0, to, cause);
	publish(stage, phone, us + 3000000, PHONE_REGISTERING, 0, to, RECORD_DUE);
	publish(stage, phone, us + 3040000, PHONE_REGISTERED, to, to, RECORD_REGISTERED);
}

static double number(const json_t *json, const char *key)
{
	assert_true(json_is_number(json_object_get(json, key)));
	return json_number_value(json_object_get(json, key));
}

/* A thousand phones fail over, of which one flaps and one fails back. */
static json_t *tell_the_story(struct stage *stage)
{
	struct wave_progress progress;
	assert_int_equal(waves_begin(stage->waves, 0, &stage->totals, BEGIN_US), 0);
	waves_progress(stage->waves, 0, &progress);
	/* Neither who was at the redundant proxy already nor who is another generator's. */
	assert_int_equal(progress.concerned, SHARD_PHONES - 10);
	tell(stage);
	for (uint32_t i = 0; i < 1000; i++)
		moves(stage, i, 32000 + i, 2, RECORD_KEEPALIVE_SILENCE);
	/* One is back where it was, and away again: it flaps and is out. */
	moves(stage, 7, 60000, 1, RECORD_REGISTER_SILENCE);
	publish(stage, 7, BEGIN_US + 90000000, PHONE_SWITCHING, 0, 2, RECORD_KEEPALIVE_SILENCE);
	tell(stage);
	waves_progress(stage->waves, 0, &progress);
	assert_int_equal(progress.detected, 1000);
	assert_int_equal(progress.back, 999);
	for (uint32_t i = 0; i < 1000; i++)
		histogram_record(&stage->histograms.registration_us, 40000);
	/* A tick late. */
	waves_end(stage->waves, 0, &stage->totals, BEGIN_US + 100090000);
	assert_int_equal(waves_begin(stage->waves, 1, &stage->totals, BEGIN_US + 100090000), 0);
	assert_int_equal(waves_begin(stage->waves, 1, &stage->totals, BEGIN_US), -EINVAL);
	moves(stage, 3, 110000, 1, RECORD_KEEPALIVE_ANSWER);
	tell(stage);
	stage->totals.lines_dropped = 5;
	waves_finish(stage->waves, &stage->totals, BEGIN_US + 200000000);
	json_t *json = waves_json(stage->waves);
	assert_non_null(json);
	return json;
}

static void check_fail_over(const json_t *over)
{
	const json_t *peak = json_object_get(json_object_get(over, "peak"), "second");
	const json_t *half = json_object_get(json_object_get(over, "back_at_ms"), "p50");
	assert_int_equal(number(over, "phones"), SHARD_PHONES - 10);
	assert_int_equal(number(over, "back"), 999);
	assert_int_equal(number(over, "out"), SHARD_PHONES - 10 - 999);
	assert_int_equal(number(over, "flaps"), 2);
	assert_int_equal(number(over, "flapping_phones"), 1);
	/* The primary was silent when it ended: only who is registered nowhere is stranded. */
	assert_int_equal(number(over, "stranded"), 1);
	assert_int_equal(number(json_object_get(over, "detection_ms"), "p50"), 32499);
	assert_int_equal(number(json_object_get(over, "switch_ms"), "max"), 3000);
	assert_int_equal(number(json_object_get(over, "registration_ms"), "min"), 40);
	assert_int_equal(number(json_object_get(over, "outage_ms"), "max"), 36039);
	assert_int_equal(number(json_object_get(over, "rrd_us"), "count"), 1000);
	assert_true(json_is_null(json_object_get(over, "since_answer_ms")));
	assert_true(json_is_null(half));
	assert_int_equal(
		number(json_object_get(over, "out_longer_than"), "60"), SHARD_PHONES - 10 - 1000);
	assert_int_equal(number(peak, "per_s"), 1000);
	assert_int_equal(number(peak, "at_ms"), 35000);
	assert_true(json_is_object(json_object_get(over, "predicted")));
}

static void check_fail_back(const json_t *back)
{
	/* 100 s of silence were too short for the model of the return, which says nothing then. */
	assert_true(json_is_null(json_object_get(back, "predicted")));
	assert_int_equal(number(back, "phones"), 1000 - 1 + 10);
	assert_int_equal(number(back, "back"), 1);
	assert_int_equal(number(json_object_get(back, "outage_ms"), "max"), 110000 + 3040 - 100090);
	assert_int_equal(number(back, "stranded"), 1000 - 1 + 10 - 1);
}

static void the_story_of_a_crash(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	json_t *json = tell_the_story(stage);
	const json_t *waves = json_object_get(json, "waves");
	const json_t *totals = json_object_get(json, "totals");
	assert_string_equal(json_string_value(json_object_get(json, "outcome")), "completed");
	assert_true(json_is_true(json_object_get(json, "incomplete")));
	check_fail_over(json_array_get(waves, 0));
	check_fail_back(json_array_get(waves, 1));
	/* 998 that left the primary for the redundant proxy and never said a word; not 3, which said Expires
	 * 0; not 7, which is registered nowhere. */
	assert_int_equal(number(totals, "double_bound"), 998);
	assert_int_equal(number(totals, "stranded"), 998 + 1 + 10);
	json_decref(json);
	close_stage(stage);
}

static void an_abort_ends_what_is_open(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	assert_int_equal(waves_begin(stage->waves, 0, &stage->totals, BEGIN_US), 0);
	assert_null(waves_json(stage->waves));
	waves_finish(stage->waves, &stage->totals, BEGIN_US + 10000000);
	/* Whatever comes later is no part of it. */
	moves(stage, 1, 32000, 2, RECORD_KEEPALIVE_SILENCE);
	waves_line(stage->waves, &(struct mirror_line){.phone = UINT32_MAX});
	tell(stage);
	assert_int_equal(waves_phones(stage->waves, 0)[1].detect_ms, WAVE_NEVER);
	assert_null(waves_phones(stage->waves, 1));
	json_t *json = waves_json(stage->waves);
	assert_string_equal(json_string_value(json_object_get(json, "outcome")), "aborted");
	assert_int_equal(json_array_size(json_object_get(json, "waves")), 1);
	assert_int_equal(json_array_size(json_object_get(json, "steps")), 1);
	const json_t *wave = json_array_get(json_object_get(json, "waves"), 0);
	assert_int_equal(number(wave, "lasted_ms"), 10000);
	assert_true(json_is_null(json_object_get(wave, "peak")));
	json_decref(json);
	close_stage(stage);
}

static json_t *finished(struct stage *stage)
{
	waves_finish(stage->waves, &stage->totals, BEGIN_US + 200000000);
	json_t *json = waves_json(stage->waves);
	assert_non_null(json);
	return json;
}

/* Ten million records are not looked at in no time: moments count from when the wave's step is carried out. */
static void it_begins_when_its_phones_have_been_looked_at(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	assert_int_equal(waves_begin(stage->waves, 0, &stage->totals, BEGIN_US), 0);
	waves_began(stage->waves, 0, BEGIN_US + 300000);
	moves(stage, 1, 100, 2, RECORD_KEEPALIVE_SILENCE);
	moves(stage, 2, 32300, 2, RECORD_KEEPALIVE_SILENCE);
	tell(stage);
	assert_int_equal(waves_phones(stage->waves, 0)[1].detect_ms, 0);
	assert_int_equal(waves_phones(stage->waves, 0)[1].back_ms, 3140 - 300);
	assert_int_equal(waves_phones(stage->waves, 0)[2].detect_ms, 32000);
	json_t *json = finished(stage);
	const json_t *wave = json_array_get(json_object_get(json, "waves"), 0);
	assert_int_equal(number(wave, "at_ms"), 300);
	assert_int_equal(number(wave, "lasted_ms"), 199700);
	json_decref(json);
	close_stage(stage);
}

/* What a worker does is told a little later, with the time of then. */
static void late_news_count_and_old_news_do_not(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	publish(stage, 1, BEGIN_US, PHONE_SWITCHING, 0, 2, RECORD_KEEPALIVE_SILENCE);
	publish(stage, 1, BEGIN_US, PHONE_REGISTERED, 1, 1, RECORD_REGISTERED);
	assert_int_equal(waves_begin(stage->waves, 0, &stage->totals, BEGIN_US), 0);
	publish(stage, 2, BEGIN_US - 5000, PHONE_SWITCHING, 0, 2, RECORD_KEEPALIVE_SILENCE);
	tell(stage);
	const struct wave_phone *phone = waves_phones(stage->waves, 0);
	assert_int_equal(phone[1].detect_ms, WAVE_NEVER);
	assert_int_equal(phone[1].flaps, 0);
	assert_int_equal(phone[1].end, 1);
	assert_int_equal(phone[2].detect_ms, 0);
	assert_int_equal(phone[2].end, 0);
	close_stage(stage);
}

/* Another generator has taken the whole shard over: nobody here knows what becomes of its phones. */
static void phones_that_went_elsewhere_are_not_out(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	assert_int_equal(waves_begin(stage->waves, 0, &stage->totals, BEGIN_US), 0);
	moves(stage, 1, 32000, 2, RECORD_KEEPALIVE_SILENCE);
	for (uint32_t i = 0; i < SHARD_PHONES; i++)
		publish(stage, i, BEGIN_US + 50000000, PHONE_OFF, 0, 2, RECORD_STOPPED);
	tell(stage);
	atomic_store(&stage->mirror->driven[0], 0);
	json_t *json = finished(stage);
	const json_t *wave = json_array_get(json_object_get(json, "waves"), 0);
	assert_int_equal(number(wave, "phones"), 0);
	assert_int_equal(number(wave, "out"), 0);
	assert_int_equal(number(wave, "stranded"), 0);
	assert_int_equal(number(json_object_get(json, "totals"), "stranded"), 0);
	json_decref(json);
	close_stage(stage);
}

/* --- Steps --- */

static void add_step(struct series *series, uint32_t options, uint32_t registers)
{
	const uint64_t step = series->steps;
	struct proxy_counters *now = series->at[step % SERIES_STEPS];
	if (step > 0)
		memcpy(now, series->at[(step - 1) % SERIES_STEPS], sizeof(series->at[0]));
	now[PROXY_PRIMARY].options += options;
	now[PROXY_REDUNDANT].offered_failover += registers;
	series->steps++;
}

static uint64_t column_sum(const json_t *json, const char *proxy, size_t column)
{
	const json_t *rows = json_object_get(json_object_get(json, "series"), proxy);
	uint64_t sum = 0;
	for (size_t i = 0; i < json_array_size(rows); i++)
		sum += (uint64_t)json_integer_value(
			json_array_get(json_array_get(rows, i), column));
	return sum;
}

#define COLUMN(name) (offsetof(struct proxy_counters, name) / sizeof(uint64_t))

/* Steps that nobody has fetched in time count in the next one; more than there is room for are joined. */
static void long_drills_have_coarse_steps(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	struct series *series = calloc(1, sizeof(*series));
	uint64_t options = 0, registers = 0;
	const uint32_t steps = 2 * ROWS_MAX + 500;
	for (uint32_t i = 0; i < steps; i++) {
		add_step(series, i % 7, i % 3);
		options += i % 7;
		registers += i % 3;
		/* Once it is 100 steps late. */
		if ((i < 1000 || i > 1100) && i % 10 == 0)
			waves_series(stage->waves, series);
	}
	waves_series(stage->waves, series);
	json_t *json = finished(stage);
	const json_t *told = json_object_get(json, "series");
	const size_t rows = json_array_size(json_object_get(told, "primary"));
	assert_int_equal(number(told, "step_ms"), 400);
	assert_true(number(told, "begin_ms") == -50000);
	assert_int_equal(rows, (steps + 3) / 4);
	assert_int_equal(column_sum(json, "primary", COLUMN(options)), options);
	assert_int_equal(column_sum(json, "redundant", COLUMN(options)), 0);
	assert_int_equal(column_sum(json, "redundant", COLUMN(offered_failover)), registers);
	json_decref(json);
	free(series);
	close_stage(stage);
}

static json_t *bunching(const uint32_t *in_step, uint32_t steps, json_t **json)
{
	struct stage *stage = open_stage();
	struct series *series = calloc(1, sizeof(*series));
	for (uint32_t i = 0; i < steps; i++) {
		add_step(series, in_step[i % 20], 0);
		waves_series(stage->waves, series);
	}
	*json = finished(stage);
	free(series);
	close_stage(stage);
	return json_object_get(*json, "bunching");
}

/* The period is 2 s, 20 steps. */
/* The ramp before it is in the series and in no peak. */
static void peaks_are_the_drills_own(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	struct series *series = calloc(1, sizeof(*series));
	for (uint32_t i = 0; i < BEGIN_US / SERIES_STEP_US + 40; i++) {
		const bool before = i < BEGIN_US / SERIES_STEP_US;
		add_step(series, before ? 90 : 20, before ? 700 : 3);
		waves_series(stage->waves, series);
	}
	json_t *json = finished(stage);
	const json_t *proxies = json_object_get(json, "proxies");
	const json_t *primary = json_object_get(proxies, "primary");
	const json_t *redundant = json_object_get(proxies, "redundant");
	assert_int_equal(number(primary, "peak_options_per_s"), 200);
	assert_int_equal(number(redundant, "peak_register_per_s"), 30);
	assert_int_equal(number(redundant, "peak_register_per_100ms"), 3);
	json_decref(json);
	free(series);
	close_stage(stage);
}

static void keepalives_are_bunched(void **state)
{
	(void)state;
	uint32_t in_step[20];
	json_t *json;
	for (int i = 0; i < 20; i++)
		in_step[i] = 10;
	const json_t *even = bunching(in_step, 700, &json);
	assert_true(fabs(number(even, "herd_index") - 1) < 1e-9);
	assert_int_equal(number(even, "width_50_ms"), 1000);
	assert_int_equal(number(even, "width_90_ms"), 1800);
	assert_true(json_is_object(json_object_get(even, "before")));
	json_decref(json);
	/* All of them in three steps that go round the end of the period. */
	memset(in_step, 0, sizeof(in_step));
	in_step[19] = 100;
	in_step[0] = 300;
	in_step[1] = 100;
	const json_t *together = bunching(in_step, 713, &json);
	assert_true(fabs(number(together, "herd_index") - 2) < 1e-9);
	assert_int_equal(number(together, "width_50_ms"), 100);
	assert_int_equal(number(together, "width_90_ms"), 300);
	json_decref(json);
	/* Less than a period is known. */
	const json_t *unknown = bunching(in_step, 19, &json);
	assert_true(json_is_null(unknown));
	json_decref(json);
}

/* What the ramp did before the drill is in the series, not in the drill's peaks. Seconds begin with it. */
static void peaks_are_the_drills(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	struct series *series = calloc(1, sizeof(*series));
	const uint32_t begin = BEGIN_US / SERIES_STEP_US;
	for (uint32_t i = 0; i < begin + 40; i++) {
		const uint32_t registers = i == begin - 1                      ? 1000
					   : i >= begin + 15 && i < begin + 25 ? 7
									       : 0;
		add_step(series, 3, registers);
		waves_series(stage->waves, series);
	}
	json_t *json = finished(stage);
	const json_t *proxies = json_object_get(json, "proxies");
	const json_t *redundant = json_object_get(proxies, "redundant");
	assert_int_equal(number(redundant, "peak_register_per_100ms"), 7);
	assert_int_equal(number(redundant, "peak_register_per_s"), 35);
	assert_int_equal(number(json_object_get(proxies, "primary"), "peak_options_per_s"), 30);
	json_decref(json);
	free(series);
	close_stage(stage);
}

static void ineffective_attempts(void **state)
{
	(void)state;
	struct stage *stage = open_stage();
	struct proxy_counters *c = &stage->proxy[PROXY_REDUNDANT];
	c->offered_failover = 900;
	c->offered_refresh = 100;
	c->register_timeout = 5;
	c->register_408 = 1;
	c->register_500 = 2;
	c->register_503 = 3;
	c->register_504 = 4;
	c->register_4xx = 50;
	c->accepted_failover = 800;
	c->rrd_us = 800 * 1500;
	c->register_datagrams = 900;
	c->register_retransmitted = 90;
	json_t *json = finished(stage);
	const json_t *proxy = json_object_get(json_object_get(json, "proxies"), "redundant");
	const json_t *none = json_object_get(json_object_get(json, "proxies"), "primary");
	assert_true(fabs(number(json_object_get(proxy, "ira"), "ratio") - 0.015) < 1e-12);
	assert_true(fabs(number(proxy, "retransmission_ratio") - 0.1) < 1e-12);
	assert_int_equal(number(proxy, "rrd_mean_us"), 1500);
	assert_int_equal(number(json_object_get(proxy, "answers"), "5xx"), 9);
	assert_int_equal(number(json_object_get(proxy, "answers"), "4xx"), 51);
	assert_true(json_is_null(json_object_get(json_object_get(none, "ira"), "ratio")));
	json_decref(json);
	close_stage(stage);
}

/* --- Many moments --- */

static int ascending(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void check_curve(const json_t *curve, const uint32_t *sorted, uint32_t count, uint32_t of)
{
	double before_ms = -1, before = -1;
	assert_true(json_array_size(curve) <= POINTS_MAX);
	for (size_t i = 0; i < json_array_size(curve); i++) {
		const json_t *point = json_array_get(curve, i);
		const double ms = json_number_value(json_array_get(point, 0));
		const double share = json_number_value(json_array_get(point, 1));
		uint32_t through = 0;
		while (through < count && sorted[through] <= ms)
			through++;
		assert_true(ms > before_ms || (i == 1 && ms == 0));
		assert_true(share > before);
		/* In its first point, which is at 0, nobody has moved. */
		assert_true(i == 0 || fabs(share - (double)through / of) < 1e-6);
		before_ms = ms;
		before = share;
	}
	assert_true(count == 0 || fabs(before - (double)count / of) < 1e-6);
}

static void any_moments(void **state)
{
	(void)state;
	uint64_t seed = 0x2545f4914f6cdd1dull;
	print_message("seed %llx\n", (unsigned long long)seed);
	static uint32_t value[5000], scratch[5000], right[5000];
	for (int round = 0; round < 300; round++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		const uint32_t count = (uint32_t)(seed >> 40) % 5000;
		const uint32_t range = 1u << (seed >> 33) % 31;
		for (uint32_t i = 0; i < count; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			right[i] = value[i] = (uint32_t)(seed >> 32) % range;
		}
		qsort(right, count, sizeof(right[0]), ascending);
		wave_sort(value, scratch, count);
		assert_memory_equal(value, right, count * sizeof(value[0]));
		json_t *curve = wave_curve_json(value, count, count + 7);
		check_curve(curve, value, count, count + 7);
		json_decref(curve);
		json_t *spread = wave_spread_json(value, count);
		const json_t *cells = json_object_get(spread, "cells");
		uint64_t sum = 0;
		assert_true(json_array_size(cells) <= CELLS_MAX);
		for (size_t i = 0; i < json_array_size(cells); i++)
			sum += (uint64_t)json_integer_value(
				json_array_get(json_array_get(cells, i), 1));
		assert_int_equal(sum, count);
		if (count > 0)
			assert_int_equal(number(spread, "p90"), right[(count * 9 + 9) / 10 - 1]);
		json_decref(spread);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_story_of_a_crash),
		cmocka_unit_test(an_abort_ends_what_is_open),
		cmocka_unit_test(it_begins_when_its_phones_have_been_looked_at),
		cmocka_unit_test(late_news_count_and_old_news_do_not),
		cmocka_unit_test(phones_that_went_elsewhere_are_not_out),
		cmocka_unit_test(long_drills_have_coarse_steps),
		cmocka_unit_test(peaks_are_the_drills_own),
		cmocka_unit_test(keepalives_are_bunched),
		cmocka_unit_test(peaks_are_the_drills),
		cmocka_unit_test(ineffective_attempts),
		cmocka_unit_test(any_moments),
	};
	return cmocka_run_group_tests_name("wave", tests, NULL, NULL);
}
