/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every drill of the catalogue, carried out on the simulator: what is told of each phone, each wave and each
 * step against what follows from the datagrams alone, and the five waves of PHONE.md section 5.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drill.h"
#include "drill_log.h"
#include "wave.h"

#define LINES 4096
#define TICK_US 100000

struct stage {
	struct sim_config config;
	struct drill_fleet fleet;
	struct drill_plan plan;
	struct sim *sim;
	struct drill_log *log;
	struct waves *waves;
	struct drill drill;
	struct series series;
	struct herd_counters counters;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES];
	uint64_t begin_us;
	bool counts_bindings; /* the registrars' tables may be looked at */
	json_t *json;
};

/* --- Carrying out --- */

static struct wave_totals totals_of(struct stage *stage)
{
	stage->counters = sim_counters(stage->sim);
	sim_histograms(stage->sim, &stage->histograms);
	struct wave_totals totals = {.herd = &stage->counters,
		.histograms = &stage->histograms,
		.proxy = stage->proxy,
		.has_bound = stage->counts_bindings};
	for (int p = 0; p < PROXIES; p++) {
		stage->proxy[p] = sim_proxy_counters(stage->sim, (enum proxy)p);
		totals.bound[p] = registrar_registered(sim_registrar(stage->sim, (enum proxy)p));
	}
	return totals;
}

static void collect(struct stage *stage)
{
	static struct mirror_line line[LINES];
	struct mirror *mirror = sim_mirror(stage->sim);
	for (unsigned worker = 0; worker < mirror->workers; worker++) {
		size_t count;
		do {
			count = mirror_take_lines(mirror, MIRROR_WATCH, worker, line, LINES);
			for (size_t i = 0; i < count && stage->waves != NULL; i++)
				waves_line(stage->waves, &line[i]);
		} while (count > 0);
		assert_int_equal(mirror_lines_dropped(mirror, MIRROR_WATCH, worker), 0);
	}
	sim_series(stage->sim, &stage->series);
	if (stage->waves != NULL)
		waves_series(stage->waves, &stage->series);
}

static void on_impair(void *context, enum proxy proxy, const struct impairment *impairment)
{
	sim_impair(((struct stage *)context)->sim, proxy, impairment);
}

static void on_faults(void *context, enum proxy proxy, const struct registrar_faults *faults)
{
	sim_faults(((struct stage *)context)->sim, proxy, faults);
}

static void on_command(void *context, const struct herd_command *command)
{
	struct stage *stage = context;
	log_power_cut(stage->log, command, sim_now_us(stage->sim));
	sim_order(stage->sim, command);
}

static void on_wave_begin(void *context, uint32_t wave, uint64_t now_us)
{
	struct stage *stage = context;
	const struct wave_totals totals = totals_of(stage);
	assert_int_equal(waves_begin(stage->waves, wave, &totals, now_us), 0);
	log_wave_begin(stage->log, wave, &stage->plan.wave[wave], now_us);
}

static bool is_near(uint32_t told, uint32_t right)
{
	if (told == WAVE_NEVER || right == LOG_NEVER)
		return told == right;
	return llabs((long long)told - right) <= 1;
}

static void compare_phone(const struct stage *stage, uint32_t wave, uint32_t i)
{
	const struct wave_phone *told = &waves_phones(stage->waves, wave)[i];
	const struct log_moments *right = &stage->log->wave[wave].phone[i];
	const bool same = told->concerned == right->concerned && told->end == right->end &&
			  told->flaps == (right->switches > 0 ? right->switches - 1 : 0) &&
			  is_near(told->detect_ms, right->detect_ms) &&
			  is_near(told->register_ms, right->register_ms) &&
			  is_near(told->back_ms, right->back_ms);
	if (!same)
		fail_msg("%s, %s, phone %u: told concerned %u detected %d registering %d back %d "
			 "end "
			 "%u flaps %u, right is %u %d %d %d %u, %u switches",
			stage->plan.title, stage->plan.wave[wave].name, i, told->concerned,
			(int)told->detect_ms, (int)told->register_ms, (int)told->back_ms, told->end,
			told->flaps, right->concerned, (int)right->detect_ms,
			(int)right->register_ms, (int)right->back_ms, right->end, right->switches);
}

static void on_wave_end(void *context, uint32_t wave, uint64_t now_us)
{
	struct stage *stage = context;
	const struct wave_totals totals = totals_of(stage);
	collect(stage);
	waves_end(stage->waves, wave, &totals, now_us);
	log_wave_end(stage->log, wave, now_us);
	for (uint32_t i = 0; i < stage->config.herd.fleet_phones; i++)
		if (stage->log->wave[wave].phone[i].concerned ||
			waves_phones(stage->waves, wave)[i].concerned)
			compare_phone(stage, wave, i);
}

static void on_step(void *context, uint32_t step, uint64_t now_us)
{
	struct stage *stage = context;
	assert_true(now_us - stage->begin_us >= stage->plan.step[step].at_ms * 1000);
}

/* So many phones, spread over their period, all at the primary proxy. */
static void settle(struct stage *stage, uint64_t settle_us)
{
	struct sim_config *config = &stage->config;
	stage->log = log_create(&config->herd);
	config->watched = true;
	config->jump = true;
	config->hooks = (struct sim_hooks){
		.context = stage->log, .sent = log_sent, .read = log_received};
	stage->sim = sim_create(config);
	sim_paths(stage->sim, &(struct sim_path){.delay_us = 300, .jitter_us = 400});
	stage->fleet = (struct drill_fleet){.herd = &config->herd,
		.phones = config->herd.fleet_phones,
		.redundancy = true,
		.registrars = true};
	sim_start(stage->sim);
	while (sim_now_us(stage->sim) < settle_us) {
		sim_run_for(stage->sim, TICK_US);
		collect(stage);
	}
	sim_check_registered(stage->sim, PROXY_PRIMARY);
	/* Checking does what is due at this very moment. */
	sim_run_for(stage->sim, TICK_US);
	collect(stage);
}

static void make_plan(struct stage *stage, const struct drill_request *request)
{
	char reason[DRILL_REASON_MAX] = "";
	if (drill_plan_make(&stage->plan, NULL, request, 1, &stage->fleet, reason) != 0)
		fail_msg("%s", reason);
}

static void begin(struct stage *stage)
{
	static const struct drill_actuator blank = {.impair = on_impair,
		.faults = on_faults,
		.command = on_command,
		.wave_begin = on_wave_begin,
		.wave_end = on_wave_end,
		.step = on_step};
	struct drill_actuator actuator = blank;
	const struct wave_totals totals = totals_of(stage);
	actuator.context = stage;
	stage->begin_us = sim_now_us(stage->sim);
	assert_int_equal(waves_open(&stage->waves, &stage->plan, &stage->fleet,
				 sim_mirror(stage->sim), &totals, stage->begin_us),
		0);
	collect(stage);
	drill_begin(&stage->drill, &stage->plan, &actuator, stage->begin_us);
	drill_advance(&stage->drill, stage->begin_us);
}

static void advance(struct stage *stage)
{
	const uint64_t tick_us = sim_now_us(stage->sim) + TICK_US;
	const uint64_t next_us = drill_next_us(&stage->drill);
	sim_run(stage->sim, next_us < tick_us ? next_us : tick_us);
	collect(stage);
	drill_advance(&stage->drill, sim_now_us(stage->sim));
}

static void finish(struct stage *stage)
{
	while (stage->drill.state == DRILL_RUNNING)
		advance(stage);
	const struct wave_totals totals = totals_of(stage);
	assert_int_equal(stage->drill.state, DRILL_DONE);
	waves_finish(stage->waves, &totals, stage->drill.end_us);
	stage->json = waves_json(stage->waves);
	assert_non_null(stage->json);
}

static void clear(struct stage *stage)
{
	json_decref(stage->json);
	waves_close(stage->waves);
	stage->waves = NULL;
	sim_finish(stage->sim);
	sim_free(stage->sim);
	log_free(stage->log);
	free(stage);
}

/* --- What is told, against what was logged --- */

static double number(const json_t *json, const char *path)
{
	char key[64];
	while (*path != '\0') {
		const size_t length = strcspn(path, ".");
		assert_true(length < sizeof(key));
		memcpy(key, path, length);
		key[length] = '\0';
		json = json_object_get(json, key);
		path += length + (path[length] == '.');
	}
	assert_true(json_is_number(json));
	return json_number_value(json);
}

static void near(const char *what, double told, double right, double by)
{
	if (!(fabs(told - right) <= by))
		fail_msg("%s is %.4f, right is %.4f within %g", what, told, right, by);
}

static int ascending(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

struct values {
	uint32_t count, *value;
};

enum { DETECTION, SWITCH, REGISTRATION, OUTAGE, REGISTERS, BACK };

static uint32_t value_of(const struct log_wave *wave, const struct log_moments *m, int measure)
{
	const uint32_t none = LOG_NEVER;
	const bool back = m->back_ms != none;
	switch (measure) {
	case DETECTION:
		return m->detect_ms;
	case SWITCH:
		return m->detect_ms != none && m->register_ms != none
			       ? m->register_ms - m->detect_ms
			       : none;
	case REGISTRATION:
		return back && m->register_ms != none ? m->back_ms - m->register_ms : none;
	case OUTAGE:
		return !back || wave->what.kind != WAVE_WATCH ? m->back_ms
							      : m->back_ms - m->detect_ms;
	case REGISTERS:
		return wave->what.kind == WAVE_RESCUE ? m->back_ms : m->register_ms;
	default:
		return m->back_ms;
	}
}

static struct values values_of(const struct stage *stage, const struct log_wave *wave, int measure)
{
	struct values out = {.value = malloc(stage->log->phones * sizeof(uint32_t))};
	for (uint32_t i = 0; i < stage->log->phones; i++) {
		const uint32_t value = value_of(wave, &wave->phone[i], measure);
		if (wave->phone[i].concerned && value != LOG_NEVER)
			out.value[out.count++] = value;
	}
	qsort(out.value, out.count, sizeof(uint32_t), ascending);
	return out;
}

static void compare_spread(
	const struct stage *stage, const struct log_wave *wave, const json_t *told, int measure)
{
	static const char *const names[] = {
		"detection_ms", "switch_ms", "registration_ms", "outage_ms"};
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};
	const json_t *spread = json_object_get(told, names[measure]);
	const struct values right = values_of(stage, wave, measure);
	double sum = 0;
	assert_int_equal(number(spread, "count"), right.count);
	for (size_t i = 0; i < 5 && right.count > 0; i++) {
		const uint32_t rank = (uint32_t)ceil(quantiles[i].share * right.count);
		near(names[measure], number(spread, quantiles[i].name), right.value[rank - 1], 2);
	}
	for (uint32_t i = 0; i < right.count; i++)
		sum += right.value[i];
	if (right.count > 0)
		near(names[measure], number(spread, "mean"), sum / right.count, 2);
	free(right.value);
}

/* Moments that differ by a millisecond may fall into the next window. */
static void compare_peak(
	const struct values *right, const json_t *told, double width_ms, const char *name)
{
	double most = 0, in = 0;
	for (uint32_t i = 0; i < right->count; i++) {
		const bool same = i > 0 && floor(right->value[i] / width_ms) ==
						   floor(right->value[i - 1] / width_ms);
		in = same ? in + 1 : 1;
		most = fmax(most, in);
	}
	const double rate = number(json_object_get(json_object_get(told, "peak"), name), "per_s");
	near(name, rate * width_ms / 1000, most, 2 + most / 50);
}

static void compare_counts(
	const struct stage *stage, const struct log_wave *wave, const json_t *told)
{
	uint32_t phones = 0, out = 0, left = 0, flaps = 0, nowhere = 0, longer = 0;
	const uint32_t lasted_ms = (uint32_t)((wave->end_us - wave->begin_us) / 1000);
	for (uint32_t i = 0; i < stage->log->phones; i++) {
		const struct log_moments *m = &wave->phone[i];
		const bool back = m->back_ms != LOG_NEVER || wave->what.kind == WAVE_WATCH;
		const bool there = wave->what.kind != WAVE_FAIL_BACK || m->end == 1 + wave->what.to;
		const bool served = wave->what.kind == WAVE_FAIL_BACK ||
				    wave->what.kind == WAVE_WATCH;
		const uint32_t from = served ? m->detect_ms : 0;
		const uint32_t to = m->back_ms != LOG_NEVER ? m->back_ms : lasted_ms;
		if (!m->concerned)
			continue;
		phones++;
		out += !(back && m->end != 0 && there);
		left += m->detect_ms != LOG_NEVER;
		flaps += m->switches > 1 ? m->switches - 1 : 0;
		nowhere += m->end == 0;
		longer += from != LOG_NEVER && to > from && to - from > 60000;
	}
	assert_int_equal(number(told, "phones"), phones);
	assert_int_equal(number(told, "out"), out);
	assert_int_equal(number(told, "back"), phones - out);
	assert_int_equal(number(told, "left"), left);
	assert_int_equal(number(told, "flaps"), flaps);
	assert_true(number(told, "stranded") >= nowhere);
	near("out for long", number(told, "out_longer_than.60"), longer, 3);
}

static const json_t *wave_json(const struct stage *stage, uint32_t wave)
{
	const json_t *told = json_array_get(json_object_get(stage->json, "waves"), wave);
	assert_string_equal(
		json_string_value(json_object_get(told, "name")), stage->plan.wave[wave].name);
	return told;
}

static void compare_wave(const struct stage *stage, uint32_t index)
{
	const struct log_wave *wave = &stage->log->wave[index];
	const json_t *told = wave_json(stage, index);
	compare_counts(stage, wave, told);
	for (int measure = DETECTION; measure <= OUTAGE; measure++)
		compare_spread(stage, wave, told, measure);
	const struct values left = values_of(stage, wave, REGISTERS);
	assert_int_equal(json_is_null(json_object_get(told, "peak")), left.count == 0);
	if (left.count > 0) {
		compare_peak(&left, told, 1000, "second");
		compare_peak(&left, told, 100, "tenth");
	}
	free(left.value);
	const struct values back = values_of(stage, wave, BACK);
	const uint32_t phones = (uint32_t)number(told, "phones");
	const json_t *half = json_object_get(json_object_get(told, "back_at_ms"), "p50");
	const uint32_t rank = (phones + 1) / 2;
	assert_int_equal(json_is_number(half), rank > 0 && rank <= back.count);
	if (json_is_number(half))
		near("half back", json_number_value(half), back.value[rank - 1], 2);
	free(back.value);
}

static uint32_t column(const json_t *series, const char *name)
{
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(series, "columns"), i, one) {
		if (strcmp(json_string_value(one), name) == 0)
			return (uint32_t)i;
	}
	fail_msg("no column %s", name);
	return 0;
}

static void compare_step(const json_t *series, const json_t *row, const struct log_step *right)
{
	const struct {
		const char *name;
		uint32_t right;
	} columns[] = {{"offered_initial", right->offered[LOG_INITIAL]},
		{"offered_refresh", right->offered[LOG_REFRESH]},
		{"offered_failover", right->offered[LOG_FAILOVER]},
		{"offered_failback", right->offered[LOG_FAILBACK]},
		{"accepted_initial", right->accepted[LOG_INITIAL]},
		{"accepted_refresh", right->accepted[LOG_REFRESH]},
		{"accepted_failover", right->accepted[LOG_FAILOVER]},
		{"accepted_failback", right->accepted[LOG_FAILBACK]},
		{"challenged", right->challenged},
		{"register_datagrams", right->register_datagrams},
		{"register_retransmitted", right->register_retransmitted},
		{"options", right->options}, {"options_datagrams", right->options_datagrams},
		{"options_retransmitted", right->options_retransmitted},
		{"options_answered", right->options_answered}};
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		near(columns[i].name,
			json_number_value(json_array_get(row, column(series, columns[i].name))),
			columns[i].right, 0);
}

/* Row by row from before the drill to its end. */
static void compare_series(const struct stage *stage)
{
	const json_t *series = json_object_get(stage->json, "series");
	const int64_t first = llround((number(series, "begin_ms") + stage->begin_us / 1e3) / 100);
	const size_t rows = json_array_size(json_object_get(series, "primary"));
	assert_int_equal(number(series, "step_ms"), 100);
	assert_true(rows * 100 > stage->plan.end_ms);
	for (size_t i = 0; i < rows; i++) {
		const struct log_step *right = stage->log->step[first + (int64_t)i];
		for (int p = 0; p < PROXIES; p++) {
			const json_t *all = json_object_get(series, proxy_name((enum proxy)p));
			compare_step(series, json_array_get(all, i), &right[p]);
		}
	}
}

static void compare_proxy(const struct stage *stage, enum proxy proxy)
{
	const json_t *told = json_object_get(
		json_object_get(stage->json, "proxies"), proxy_name(proxy));
	uint64_t offered[LOG_REASONS] = {0}, datagrams = 0, again = 0, all = 0;
	for (uint64_t i = stage->begin_us / 100000; i < LOG_STEPS; i++) {
		const struct log_step *step = &stage->log->step[i][proxy];
		for (int reason = 0; reason < LOG_REASONS; reason++)
			offered[reason] += step->offered[reason];
		datagrams += step->register_datagrams + step->options_datagrams;
		again += step->register_retransmitted + step->options_retransmitted;
	}
	for (int reason = 0; reason < LOG_REASONS; reason++)
		all += offered[reason];
	assert_int_equal(number(told, "offered.initial"), offered[LOG_INITIAL]);
	assert_int_equal(number(told, "offered.refresh"), offered[LOG_REFRESH]);
	assert_int_equal(number(told, "offered.failover"), offered[LOG_FAILOVER]);
	assert_int_equal(number(told, "offered.failback"), offered[LOG_FAILBACK]);
	assert_int_equal(number(told, "ira.attempts"), all);
	if (datagrams > 0)
		near("retransmission ratio", number(told, "retransmission_ratio"),
			(double)again / (double)datagrams, 1e-9);
}

/* Where phones are, and who holds two bindings, as the registrars know it. */
static void compare_totals(const struct stage *stage)
{
	uint32_t stranded = 0, twice = 0;
	for (uint32_t i = 0; i < stage->log->phones; i++) {
		char user[16];
		const int length = snprintf(user, sizeof(user), "2%07u", i);
		const uint64_t now_us = sim_now_us(stage->sim);
		stranded += stage->log->phone[i].registered != 1 + PROXY_PRIMARY &&
			    (!stage->log->symmetric || stage->log->phone[i].registered == 0);
		twice += registrar_is_bound(sim_registrar(stage->sim, PROXY_PRIMARY), user,
				 (size_t)length, now_us) &&
			 registrar_is_bound(sim_registrar(stage->sim, PROXY_REDUNDANT), user,
				 (size_t)length, now_us);
	}
	assert_int_equal(number(stage->json, "totals.stranded"), stranded);
	if (stage->counts_bindings && stranded == 0)
		assert_int_equal(number(stage->json, "totals.double_bound"), twice);
	else
		assert_true(number(stage->json, "totals.double_bound") <= twice);
}

static void compare(const struct stage *stage)
{
	for (uint32_t i = 0; i < stage->plan.waves; i++)
		compare_wave(stage, i);
	compare_series(stage);
	for (int p = 0; p < PROXIES; p++)
		compare_proxy(stage, (enum proxy)p);
	compare_totals(stage);
	assert_false(json_boolean_value(json_object_get(stage->json, "incomplete")));
}

/* --- The catalogue --- */

static struct stage *small_stage(uint32_t phones)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	sim_defaults(&stage->config, phones, sim_seed(0xd1211));
	struct herd_config *herd = &stage->config.herd;
	herd->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	herd->ramp_per_s = phones / 5;
	herd->keepalive_period_ms = 5000;
	herd->timers = (struct transaction_timers){
		.t1_ms = 100, .t2_ms = 800, .t4_ms = 1000, .no_response_ms = 2000};
	herd->switch_delay_ms = 700;
	herd->expires_s = 40;
	herd->retry_ms = 3000;
	stage->counts_bindings = true;
	return stage;
}

static void carry_out(struct stage *stage, const struct drill_request *request)
{
	settle(stage, 12 * SIM_SECOND);
	make_plan(stage, request);
	begin(stage);
	finish(stage);
	compare(stage);
	sim_check(stage->sim);
}

static void every_drill(void **state)
{
	(void)state;
	for (int kind = 0; kind < DRILL_KINDS; kind++) {
		struct stage *stage = small_stage(400);
		stage->config.slices = 1 + (uint32_t)kind % 3;
		stage->config.passwords = kind % 2 == 1;
		stage->counts_bindings = kind % 3 != 0;
		carry_out(stage, &(struct drill_request){.kind = (uint8_t)kind});
		printf("%-12s %2u waves, %3.0f s\n", stage->plan.name, stage->plan.waves,
			number(stage->json, "duration_ms") / 1000);
		clear(stage);
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
		struct stage *stage = small_stage(400);
		carry_out(stage, &requests[i]);
		clear(stage);
	}
}

static void symmetric_phones(void **state)
{
	(void)state;
	static const uint8_t kinds[] = {DRILL_CRASH, DRILL_BOTH, DRILL_FLAP, DRILL_ROLLING};
	for (size_t i = 0; i < sizeof(kinds); i++) {
		struct stage *stage = small_stage(400);
		stage->config.herd.redundancy.mode = MODE_SYMMETRIC;
		carry_out(stage, &(struct drill_request){.kind = kinds[i]});
		clear(stage);
	}
}

/* --- PHONE.md section 5 --- */

#define PHONES 20000u
#define SHARE_TOLERANCE 2.0 /* percent points of the fleet */
#define SPAN_TOLERANCE 1000 /* ms */
#define DISTANCE 0.02

static struct stage *book_stage(uint32_t switch_delay_ms)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	sim_defaults(&stage->config, PHONES, sim_seed(0x5a1e5a1e));
	stage->config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	stage->config.herd.ramp_per_s = 2000;
	stage->config.herd.switch_delay_ms = switch_delay_ms;
	stage->counts_bindings = true;
	settle(stage, 80 * SIM_SECOND);
	return stage;
}

static const json_t *named(const struct stage *stage, const char *name)
{
	size_t i;
	json_t *wave;
	json_array_foreach (json_object_get(stage->json, "waves"), i, wave) {
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
	near(what, ms, right_ms, SPAN_TOLERANCE);
}

static void is_foreseen(const json_t *wave, const char *name)
{
	const double distance = number(wave, "predicted.distance");
	printf("%-34s busiest second %5.2f %%, tenth %5.2f %%, %5.2f to %6.2f s, distance %.4f\n",
		name, 100 * number(wave, "peak.second.share"),
		100 * number(wave, "peak.tenth.share"), first_ms(wave) / 1000, last_ms(wave) / 1000,
		distance);
	assert_int_equal(number(wave, "phones"), PHONES);
	assert_int_equal(number(wave, "out"), 0);
	if (distance >= DISTANCE)
		fail_msg("%s is %.4f away from the prediction", name, distance);
	near("predicted peak", 100 * number(wave, "predicted.peak_second_share"),
		100 * number(wave, "peak.second.share"), SHARE_TOLERANCE);
}

static void fails_over(const json_t *wave, const char *name, double last_ms_right, double mean_ms)
{
	is_foreseen(wave, name);
	near("second", 100 * number(wave, "peak.second.share"), 1.7, 0.4);
	span("first", first_ms(wave), 32000);
	span("last", last_ms(wave), last_ms_right);
	span("mean", number(wave, "detection_ms.mean") + number(wave, "switch_ms.mean"), mean_ms);
}

static void the_book_without_a_pause(void **state)
{
	(void)state;
	struct stage *stage = book_stage(0);
	make_plan(stage, &(struct drill_request){.kind = DRILL_RETURN});
	begin(stage);
	finish(stage);
	compare(stage);
	fails_over(named(stage, "fail-over"), "fail over, no switch delay", 92000, 62000);
	const json_t *back = named(stage, "fail-back");
	is_foreseen(back, "fail back, no switch delay");
	near("second", 100 * number(back, "peak.second.share"), 17.4, SHARE_TOLERANCE);
	near("tenth", 100 * number(back, "peak.tenth.share"), 1.9, 0.4);
	near("within 4 s", within(back, 4000), 59, SHARE_TOLERANCE);
	span("last", last_ms(back), 28500);
	clear(stage);
}

static void the_book_with_a_pause(void **state)
{
	(void)state;
	struct stage *stage = book_stage(10000);
	make_plan(stage, &(struct drill_request){.kind = DRILL_RETURN});
	begin(stage);
	finish(stage);
	compare(stage);
	fails_over(named(stage, "fail-over"), "fail over, switch delay 0-10 s", 102000, 67000);
	const json_t *back = named(stage, "fail-back");
	is_foreseen(back, "fail back, switch delay 0-10 s");
	near("second", 100 * number(back, "peak.second.share"), 6.9, SHARE_TOLERANCE);
	near("within 4 s", within(back, 4000), 12.5, SHARE_TOLERANCE);
	near("within 14 s", within(back, 14000), 67.5, SHARE_TOLERANCE);
	span("last", last_ms(back), 38500);
	clear(stage);
}

/*
 * Phases that are uniform in the 60 s of a period are not quite uniform in the 64 s that trying both proxies
 * takes. A power cut in the midst of the outage, of 64 s, makes them so.
 */
static void the_book_of_a_rescue(void **state)
{
	(void)state;
	struct stage *stage = book_stage(0);
	const struct herd_command cut = {.kind = HERD_POWER_CUT,
		.count = PHONES,
		.delay_ms = 64000,
		.impairment = {.share_ppm = IMPAIRMENT_ALL_PPM}};
	make_plan(stage, &(struct drill_request){.kind = DRILL_BOTH});
	begin(stage);
	while (sim_now_us(stage->sim) < stage->begin_us + 20 * SIM_SECOND)
		advance(stage);
	on_command(stage, &cut);
	finish(stage);
	compare(stage);
	const json_t *wave = named(stage, "rescue");
	is_foreseen(wave, "both dead, one returns");
	near("within 4 s", within(wave, 4000), 55, SHARE_TOLERANCE);
	span("last", last_ms(wave), 32500);
	clear(stage);
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
