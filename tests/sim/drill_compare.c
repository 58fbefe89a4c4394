/* SPDX-License-Identifier: BSD-3-Clause */
/* What the JSON of a drill tells, against what was logged. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drill_trial.h"

double trial_number(const json_t *json, const char *path)
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

void trial_near(const char *what, double told, double right, double by)
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

static struct values values_of(const struct trial *trial, const struct log_wave *wave, int measure)
{
	struct values out = {.value = malloc(trial->log->phones * sizeof(uint32_t))};
	for (uint32_t i = 0; i < trial->log->phones; i++) {
		const uint32_t value = value_of(wave, &wave->phone[i], measure);
		if (wave->phone[i].concerned && value != LOG_NEVER)
			out.value[out.count++] = value;
	}
	qsort(out.value, out.count, sizeof(uint32_t), ascending);
	return out;
}

static void compare_spread(
	const struct trial *trial, const struct log_wave *wave, const json_t *told, int measure)
{
	static const char *const names[] = {
		"detection_ms", "switch_ms", "registration_ms", "outage_ms"};
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};
	const json_t *spread = json_object_get(told, names[measure]);
	const struct values right = values_of(trial, wave, measure);
	double sum = 0;
	assert_int_equal(trial_number(spread, "count"), right.count);
	for (size_t i = 0; i < 5 && right.count > 0; i++) {
		const uint32_t rank = (uint32_t)ceil(quantiles[i].share * right.count);
		trial_near(names[measure], trial_number(spread, quantiles[i].name),
			right.value[rank - 1], 2);
	}
	for (uint32_t i = 0; i < right.count; i++)
		sum += right.value[i];
	if (right.count > 0)
		trial_near(names[measure], trial_number(spread, "mean"), sum / right.count, 2);
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
	const double rate = trial_number(
		json_object_get(json_object_get(told, "peak"), name), "per_s");
	trial_near(name, rate * width_ms / 1000, most, 2 + most / 50);
}

static void compare_counts(
	const struct trial *trial, const struct log_wave *wave, const json_t *told)
{
	uint32_t phones = 0, out = 0, left = 0, flaps = 0, nowhere = 0, longer = 0;
	const uint32_t lasted_ms = (uint32_t)((wave->end_us - wave->begin_us) / 1000);
	for (uint32_t i = 0; i < trial->log->phones; i++) {
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
	assert_int_equal(trial_number(told, "phones"), phones);
	assert_int_equal(trial_number(told, "out"), out);
	assert_int_equal(trial_number(told, "back"), phones - out);
	assert_int_equal(trial_number(told, "left"), left);
	assert_int_equal(trial_number(told, "flaps"), flaps);
	assert_true(trial_number(told, "stranded") >= nowhere);
	trial_near("out for long", trial_number(told, "out_longer_than.60"), longer, 3);
}

static const json_t *wave_json(const struct trial *trial, uint32_t wave)
{
	const json_t *told = json_array_get(json_object_get(trial->json, "waves"), wave);
	assert_string_equal(
		json_string_value(json_object_get(told, "name")), trial->plan.wave[wave].name);
	return told;
}

static void compare_wave(const struct trial *trial, uint32_t index)
{
	const struct log_wave *wave = &trial->log->wave[index];
	const json_t *told = wave_json(trial, index);
	compare_counts(trial, wave, told);
	for (int measure = DETECTION; measure <= OUTAGE; measure++)
		compare_spread(trial, wave, told, measure);
	const struct values left = values_of(trial, wave, REGISTERS);
	assert_int_equal(json_is_null(json_object_get(told, "peak")), left.count == 0);
	if (left.count > 0) {
		compare_peak(&left, told, 1000, "second");
		compare_peak(&left, told, 100, "tenth");
	}
	free(left.value);
	const struct values back = values_of(trial, wave, BACK);
	const uint32_t phones = (uint32_t)trial_number(told, "phones");
	const json_t *half = json_object_get(json_object_get(told, "back_at_ms"), "p50");
	const uint32_t rank = (phones + 1) / 2;
	assert_int_equal(json_is_number(half), rank > 0 && rank <= back.count);
	if (json_is_number(half))
		trial_near("half back", json_number_value(half), back.value[rank - 1], 2);
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
		trial_near(columns[i].name,
			json_number_value(json_array_get(row, column(series, columns[i].name))),
			columns[i].right, 0);
}

/* Row by row from before the drill to its end. */
static void compare_series(const struct trial *trial)
{
	const json_t *series = json_object_get(trial->json, "series");
	const int64_t first = llround(
		(trial_number(series, "begin_ms") + trial->begin_us / 1e3) / 100);
	const size_t rows = json_array_size(json_object_get(series, "primary"));
	assert_int_equal(trial_number(series, "step_ms"), 100);
	assert_true(rows * 100 > trial->plan.end_ms);
	for (size_t i = 0; i < rows; i++) {
		const struct log_step *right = trial->log->step[first + (int64_t)i];
		for (int p = 0; p < PROXIES; p++) {
			const json_t *all = json_object_get(series, proxy_name((enum proxy)p));
			compare_step(series, json_array_get(all, i), &right[p]);
		}
	}
}

static void compare_proxy(const struct trial *trial, enum proxy proxy)
{
	const json_t *told = json_object_get(
		json_object_get(trial->json, "proxies"), proxy_name(proxy));
	uint64_t offered[LOG_REASONS] = {0}, datagrams = 0, again = 0, all = 0;
	for (uint64_t i = trial->begin_us / 100000; i < LOG_STEPS; i++) {
		const struct log_step *step = &trial->log->step[i][proxy];
		for (int reason = 0; reason < LOG_REASONS; reason++)
			offered[reason] += step->offered[reason];
		datagrams += step->register_datagrams + step->options_datagrams;
		again += step->register_retransmitted + step->options_retransmitted;
	}
	for (int reason = 0; reason < LOG_REASONS; reason++)
		all += offered[reason];
	assert_int_equal(trial_number(told, "offered.initial"), offered[LOG_INITIAL]);
	assert_int_equal(trial_number(told, "offered.refresh"), offered[LOG_REFRESH]);
	assert_int_equal(trial_number(told, "offered.failover"), offered[LOG_FAILOVER]);
	assert_int_equal(trial_number(told, "offered.failback"), offered[LOG_FAILBACK]);
	assert_int_equal(trial_number(told, "ira.attempts"), all);
	if (datagrams > 0)
		trial_near("retransmission ratio", trial_number(told, "retransmission_ratio"),
			(double)again / (double)datagrams, 1e-9);
}

/* Where phones are, and who holds two bindings, as the registrars know it. */
static void compare_totals(const struct trial *trial)
{
	uint32_t stranded = 0, twice = 0;
	for (uint32_t i = 0; i < trial->log->phones; i++) {
		char user[16];
		const int length = snprintf(user, sizeof(user), "2%07u", i);
		const uint64_t now_us = sim_now_us(trial->sim);
		stranded += trial->log->phone[i].registered != 1 + PROXY_PRIMARY &&
			    (!trial->log->symmetric || trial->log->phone[i].registered == 0);
		twice += registrar_is_bound(sim_registrar(trial->sim, PROXY_PRIMARY), user,
				 (size_t)length, now_us) &&
			 registrar_is_bound(sim_registrar(trial->sim, PROXY_REDUNDANT), user,
				 (size_t)length, now_us);
	}
	assert_int_equal(trial_number(trial->json, "totals.stranded"), stranded);
	if (trial->counts_bindings && stranded == 0)
		assert_int_equal(trial_number(trial->json, "totals.double_bound"), twice);
	else
		assert_true(trial_number(trial->json, "totals.double_bound") <= twice);
}

void trial_compare(const struct trial *trial)
{
	for (uint32_t i = 0; i < trial->plan.waves; i++)
		compare_wave(trial, i);
	compare_series(trial);
	for (int p = 0; p < PROXIES; p++)
		compare_proxy(trial, (enum proxy)p);
	compare_totals(trial);
	assert_false(json_boolean_value(json_object_get(trial->json, "incomplete")));
}
