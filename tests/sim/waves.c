/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The five waves of PHONE.md section 5 at 100,000 phones: shares within 2 % of the fleet, spans
 * within 1 s. A phone's moment is when its REGISTER leaves for the other proxy, counted from the
 * crash or the return; seconds and tenths are counted from there too. With both dead it is the
 * first REGISTER that leaves for the proxy that is back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"

#define PHONES 100000u
#define NEVER UINT32_MAX
#define SHARE_TOLERANCE 2.0 /* percent points of the fleet */
#define SPAN_TOLERANCE 1.0  /* seconds */

struct wave {
	uint32_t *moment_ms; /* of each phone, since the event */
	uint64_t since_us;
	uint8_t target;
	bool running, retransmissions;
};

struct measures {
	double first_s, last_s, mean_s;
	double second, tenth; /* busiest, percent of the fleet */
	double within_4s, within_14s;
};

static void sent(void *context, const struct datagram *d)
{
	struct wave *wave = context;
	if (!wave->running || d->kind != DATAGRAM_REGISTER || d->proxy != wave->target)
		return;
	if (d->retransmission && !wave->retransmissions)
		return;
	if (wave->moment_ms[d->phone] == NEVER)
		wave->moment_ms[d->phone] = (uint32_t)((d->now_us - wave->since_us) / 1000);
}

static void begin(struct wave *wave, const struct sim *sim, enum proxy target)
{
	memset(wave->moment_ms, 0xff, PHONES * sizeof(wave->moment_ms[0]));
	wave->since_us = sim_now_us(sim);
	wave->target = (uint8_t)target;
	wave->running = true;
}

static double busiest(const struct wave *wave, uint32_t width_ms)
{
	static uint32_t count[200000];
	uint32_t best = 0;
	memset(count, 0, sizeof(count));
	for (uint32_t i = 0; i < PHONES; i++) {
		uint32_t cell = wave->moment_ms[i] / width_ms;
		assert_in_range(cell, 0, sizeof(count) / sizeof(count[0]) - 1);
		if (++count[cell] > best)
			best = count[cell];
	}
	return 100.0 * best / PHONES;
}

static double within(const struct wave *wave, uint32_t limit_ms)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < PHONES; i++)
		count += wave->moment_ms[i] < limit_ms;
	return 100.0 * count / PHONES;
}

static struct measures end(struct wave *wave, const char *name)
{
	struct measures m = {.first_s = 1e9};
	for (uint32_t i = 0; i < PHONES; i++) {
		double at_s = wave->moment_ms[i] / 1000.0;
		assert_int_not_equal(wave->moment_ms[i], NEVER);
		m.first_s = at_s < m.first_s ? at_s : m.first_s;
		m.last_s = at_s > m.last_s ? at_s : m.last_s;
		m.mean_s += at_s / PHONES;
	}
	m.second = busiest(wave, 1000);
	m.tenth = busiest(wave, 100);
	m.within_4s = within(wave, 4000);
	m.within_14s = within(wave, 14000);
	wave->running = false;
	printf("%-46s %6.2f %6.2f %6.1f %6.1f %7.2f %7.2f %7.2f\n", name, m.second, m.tenth,
		m.within_4s, m.within_14s, m.first_s, m.last_s, m.mean_s);
	return m;
}

static void near(double value, double right, double tolerance)
{
	if (value < right - tolerance || value > right + tolerance)
		fail_msg("%.3f, right is %.3f within %.3f", value, right, tolerance);
}

static void share(double value, double right)
{
	near(value, right, SHARE_TOLERANCE);
}

static void span(double value, double right)
{
	near(value, right, SPAN_TOLERANCE);
}

/* Phases of the keep-alives uniform over the period, all phones registered at the primary. */
static struct sim *settled(struct wave *wave, uint32_t switch_delay_ms)
{
	struct sim_config config;
	sim_defaults(&config, PHONES, sim_seed(0x5a1e5a1e));
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	config.herd.ramp_per_s = 10000;
	config.herd.switch_delay_ms = switch_delay_ms;
	config.hooks = (struct sim_hooks){.context = wave, .sent = sent};
	struct sim *sim = sim_create(&config);
	sim_start(sim);
	sim_run(sim, 130 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	return sim;
}

static struct wave new_wave(void)
{
	struct wave wave = {.moment_ms = malloc(PHONES * sizeof(uint32_t))};
	assert_non_null(wave.moment_ms);
	return wave;
}

static void done(struct sim *sim, struct wave *wave)
{
	assert_true(model_judged(sim_model(sim)) > 10ull * PHONES);
	sim_finish(sim);
	sim_free(sim);
	free(wave->moment_ms);
}

static void without_switch_delay(void **state)
{
	(void)state;
	struct wave wave = new_wave();
	struct sim *sim = settled(&wave, 0);
	begin(&wave, sim, PROXY_REDUNDANT);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, 100 * SIM_SECOND);
	struct measures m = end(&wave, "fail over, no switch delay");
	share(m.second, 1.7);
	near(m.second, 100.0 / 60, 0.25); /* flat: every second has its sixtieth */
	span(m.first_s, 32);
	span(m.last_s, 92);
	span(m.mean_s, 62);
	/* Long enough for every phone to have been probing the dead primary for a period. */
	sim_run_for(sim, 100 * SIM_SECOND);
	sim_check_registered(sim, PROXY_REDUNDANT);
	begin(&wave, sim, PROXY_PRIMARY);
	sim_crash(sim, PROXY_PRIMARY, false);
	sim_run_for(sim, 40 * SIM_SECOND);
	m = end(&wave, "fail back, no switch delay");
	share(m.second, 17.4);
	near(m.tenth, 1.9, 0.2);
	share(m.within_4s, 59);
	span(m.last_s, 28.5);
	sim_check_registered(sim, PROXY_PRIMARY);
	done(sim, &wave);
}

static void with_switch_delay(void **state)
{
	(void)state;
	struct wave wave = new_wave();
	struct sim *sim = settled(&wave, 10000);
	begin(&wave, sim, PROXY_REDUNDANT);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, 110 * SIM_SECOND);
	struct measures m = end(&wave, "fail over, switch delay 0-10 s");
	share(m.second, 1.7);
	near(m.second, 100.0 / 60, 0.25);
	span(m.first_s, 32);
	span(m.last_s, 102);
	span(m.mean_s, 67);
	sim_run_for(sim, 100 * SIM_SECOND);
	sim_check_registered(sim, PROXY_REDUNDANT);
	begin(&wave, sim, PROXY_PRIMARY);
	sim_crash(sim, PROXY_PRIMARY, false);
	sim_run_for(sim, 50 * SIM_SECOND);
	m = end(&wave, "fail back, switch delay 0-10 s");
	share(m.second, 6.9);
	near(m.second, 6.9, 0.4);
	share(m.within_4s, 12.5);
	share(m.within_14s, 67.5);
	span(m.last_s, 38.5);
	sim_check_registered(sim, PROXY_PRIMARY);
	done(sim, &wave);
}

/*
 * Alternating takes 64 s, so phases that are uniform in the 60 s of a period are not quite uniform
 * in it. Starting the fleet evenly over one such cycle makes them so, whenever the proxy returns.
 */
static void both_dead(void **state)
{
	(void)state;
	struct wave wave = new_wave();
	struct sim_config config;
	sim_defaults(&config, PHONES, sim_seed(0x5a1e5a1e));
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	config.herd.ramp_per_s = PHONES / 64;
	config.hooks = (struct sim_hooks){.context = &wave, .sent = sent};
	wave.retransmissions = true;
	struct sim *sim = sim_create(&config);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_crash(sim, PROXY_REDUNDANT, true);
	sim_start(sim);
	sim_run(sim, 150 * SIM_SECOND);
	begin(&wave, sim, PROXY_REDUNDANT);
	sim_crash(sim, PROXY_REDUNDANT, false);
	sim_run_for(sim, 40 * SIM_SECOND);
	struct measures m = end(&wave, "both dead, one returns, no switch delay");
	share(m.within_4s, 55);
	span(m.last_s, 32.5);
	sim_check_registered(sim, PROXY_REDUNDANT);
	done(sim, &wave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_switch_delay),
		cmocka_unit_test(with_switch_delay),
		cmocka_unit_test(both_dead),
	};
	printf("share of the fleet in %%, moments in s  %21s %6s %6s %6s %7s %7s %7s\n", "1 s",
		"100 ms", "< 4 s", "< 14 s", "first", "last", "mean");
	return cmocka_run_group_tests_name("waves", tests, NULL, NULL);
}
