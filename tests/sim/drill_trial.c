/* SPDX-License-Identifier: BSD-3-Clause */
/* Carrying a drill out on the simulator, and every phone's moments against the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drill_trial.h"

#define LINES 4096
#define TICK_US 100000

static struct wave_totals totals_of(struct trial *trial)
{
	trial->counters = sim_counters(trial->sim);
	sim_histograms(trial->sim, &trial->histograms);
	struct wave_totals totals = {.herd = &trial->counters,
		.histograms = &trial->histograms,
		.proxy = trial->proxy,
		.has_bound = trial->counts_bindings};
	for (int p = 0; p < PROXIES; p++) {
		trial->proxy[p] = sim_proxy_counters(trial->sim, (enum proxy)p);
		totals.bound[p] = registrar_registered(sim_registrar(trial->sim, (enum proxy)p));
	}
	return totals;
}

static void collect(struct trial *trial)
{
	static struct mirror_line line[LINES];
	struct mirror *mirror = sim_mirror(trial->sim);
	for (unsigned worker = 0; worker < mirror->workers; worker++) {
		size_t count;
		do {
			count = mirror_take_lines(mirror, MIRROR_WATCH, worker, line, LINES);
			for (size_t i = 0; i < count && trial->waves != NULL; i++)
				waves_line(trial->waves, &line[i]);
		} while (count > 0);
		assert_int_equal(mirror_lines_dropped(mirror, MIRROR_WATCH, worker), 0);
	}
	sim_series(trial->sim, &trial->series);
	if (trial->waves != NULL)
		waves_series(trial->waves, &trial->series);
}

static void on_impair(void *context, enum proxy proxy, const struct impairment *impairment)
{
	sim_impair(((struct trial *)context)->sim, proxy, impairment);
}

static void on_faults(void *context, enum proxy proxy, const struct registrar_faults *faults)
{
	sim_faults(((struct trial *)context)->sim, proxy, faults);
}

void trial_command(void *context, const struct herd_command *command)
{
	struct trial *trial = context;
	/* What is due at this very moment is sent before the power goes. */
	sim_check(trial->sim);
	log_power_cut(trial->log, command, sim_now_us(trial->sim));
	sim_order(trial->sim, command);
}

static void on_wave_begin(void *context, uint32_t wave, uint64_t now_us)
{
	struct trial *trial = context;
	const struct wave_totals totals = totals_of(trial);
	assert_int_equal(waves_begin(trial->waves, wave, &totals, now_us), 0);
	log_wave_begin(trial->log, wave, &trial->plan.wave[wave], now_us);
}

static bool is_near(uint32_t told, uint32_t right)
{
	if (told == WAVE_NEVER || right == LOG_NEVER)
		return told == right;
	return llabs((long long)told - right) <= 1;
}

static void compare_phone(const struct trial *trial, uint32_t wave, uint32_t i)
{
	const struct wave_phone *told = &waves_phones(trial->waves, wave)[i];
	const struct log_moments *right = &trial->log->wave[wave].phone[i];
	const bool same = told->concerned == right->concerned && told->end == right->end &&
			  told->flaps == (right->switches > 0 ? right->switches - 1 : 0) &&
			  is_near(told->detect_ms, right->detect_ms) &&
			  is_near(told->register_ms, right->register_ms) &&
			  is_near(told->back_ms, right->back_ms);
	if (!same)
		fail_msg("%s, %s, phone %u: told concerned %u detected %d registering %d back %d "
			 "end "
			 "%u flaps %u, right is %u %d %d %d %u, %u switches",
			trial->plan.title, trial->plan.wave[wave].name, i, told->concerned,
			(int)told->detect_ms, (int)told->register_ms, (int)told->back_ms, told->end,
			told->flaps, right->concerned, (int)right->detect_ms,
			(int)right->register_ms, (int)right->back_ms, right->end, right->switches);
}

static void on_wave_end(void *context, uint32_t wave, uint64_t now_us)
{
	struct trial *trial = context;
	const struct wave_totals totals = totals_of(trial);
	collect(trial);
	waves_end(trial->waves, wave, &totals, now_us);
	log_wave_end(trial->log, wave, now_us);
	for (uint32_t i = 0; i < trial->config.herd.fleet_phones; i++)
		if (trial->log->wave[wave].phone[i].concerned ||
			waves_phones(trial->waves, wave)[i].concerned)
			compare_phone(trial, wave, i);
}

static void on_step(void *context, uint32_t step, uint64_t now_us)
{
	struct trial *trial = context;
	assert_true(now_us - trial->begin_us >= trial->plan.step[step].at_ms * 1000);
}

/* So many phones, spread over their period, all at the primary proxy. */
void trial_settle(struct trial *trial, uint64_t settle_us)
{
	struct sim_config *config = &trial->config;
	trial->log = log_create(&config->herd);
	config->watched = true;
	config->jump = true;
	config->hooks = (struct sim_hooks){
		.context = trial->log, .sent = log_sent, .read = log_received};
	trial->sim = sim_create(config);
	sim_paths(trial->sim, &(struct sim_path){.delay_us = 300, .jitter_us = 400});
	trial->fleet = (struct drill_fleet){.herd = &config->herd,
		.phones = config->herd.fleet_phones,
		.redundancy = true,
		.registrars = true};
	sim_start(trial->sim);
	while (sim_now_us(trial->sim) < settle_us) {
		sim_run_for(trial->sim, TICK_US);
		collect(trial);
	}
	sim_check_registered(trial->sim, PROXY_PRIMARY);
	/* Checking does what is due at this very moment. */
	sim_run_for(trial->sim, TICK_US);
	collect(trial);
}

void trial_plan(struct trial *trial, const struct drill_request *request)
{
	char reason[DRILL_REASON_MAX] = "";
	if (drill_plan_make(&trial->plan, NULL, request, 1, &trial->fleet, reason) != 0)
		fail_msg("%s", reason);
}

void trial_begin(struct trial *trial)
{
	static const struct drill_actuator blank = {.impair = on_impair,
		.faults = on_faults,
		.command = trial_command,
		.wave_begin = on_wave_begin,
		.wave_end = on_wave_end,
		.step = on_step};
	struct drill_actuator actuator = blank;
	const struct wave_totals totals = totals_of(trial);
	actuator.context = trial;
	trial->begin_us = sim_now_us(trial->sim);
	assert_int_equal(waves_open(&trial->waves, &trial->plan, &trial->fleet,
				 sim_mirror(trial->sim), &totals, trial->begin_us),
		0);
	collect(trial);
	drill_begin(&trial->drill, &trial->plan, &actuator, trial->begin_us);
	drill_advance(&trial->drill, trial->begin_us);
}

void trial_advance(struct trial *trial)
{
	const uint64_t tick_us = sim_now_us(trial->sim) + TICK_US;
	const uint64_t next_us = drill_next_us(&trial->drill);
	sim_run(trial->sim, next_us < tick_us ? next_us : tick_us);
	collect(trial);
	drill_advance(&trial->drill, sim_now_us(trial->sim));
}

void trial_finish(struct trial *trial)
{
	while (trial->drill.state == DRILL_RUNNING)
		trial_advance(trial);
	const struct wave_totals totals = totals_of(trial);
	assert_int_equal(trial->drill.state, DRILL_DONE);
	waves_finish(trial->waves, &totals, trial->drill.end_us);
	trial->json = waves_json(trial->waves);
	assert_non_null(trial->json);
}

void trial_clear(struct trial *trial)
{
	json_decref(trial->json);
	waves_close(trial->waves);
	trial->waves = NULL;
	sim_finish(trial->sim);
	sim_free(trial->sim);
	log_free(trial->log);
	free(trial);
}
