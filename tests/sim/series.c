/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The series of the herd against a log of the datagrams that passed: every step of 100 ms, every column.
 * Why a REGISTER was sent is told here from where the phone sent its last one and where it was registered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"

#define PHONES 200
#define STEPS 4000
#define REGISTERS 4 /* reasons of a REGISTER, in the order of their columns */

enum why { INITIAL, REFRESH, FAILOVER, FAILBACK };

/* One phone as an observer of its datagrams knows it. */
struct observed {
	uint64_t branch[DATAGRAM_TRANSACTIONS]; /* of what is in flight; 0: nothing is */
	uint64_t since_us;                      /* this registration */
	uint8_t proxy;                          /* of the last REGISTER */
	uint8_t why;
	bool ever;      /* registered since power-on */
	bool switched;  /* since it was registered */
	bool continues; /* the next REGISTER answers a challenge or a 423, */
	bool ends;      /* the next with Expires 0 a challenge */
};

struct log {
	struct observed phone[PHONES];
	struct proxy_counters step[STEPS][PROXIES];
};

static struct proxy_counters *step_of(struct log *log, const struct datagram *d)
{
	const uint64_t step = d->now_us / SERIES_STEP_US;
	assert_in_range(step, 0, STEPS - 1);
	return &log->step[step][d->proxy];
}

static enum why why_of(const struct observed *o, uint8_t proxy)
{
	if (!o->ever)
		return INITIAL;
	if (!o->switched)
		return REFRESH;
	return proxy == PROXY_REDUNDANT ? FAILOVER : FAILBACK;
}

static void registers(struct log *log, struct observed *o, const struct datagram *d)
{
	struct proxy_counters *c = step_of(log, d);
	c->register_datagrams++;
	if (d->retransmission) {
		c->register_retransmitted++;
		return;
	}
	if (o->ever && o->proxy != d->proxy)
		o->switched = true;
	o->proxy = d->proxy;
	if (o->continues) {
		o->continues = false;
		return;
	}
	uint64_t *const offered[REGISTERS] = {&c->offered_initial, &c->offered_refresh,
		&c->offered_failover, &c->offered_failback};
	o->why = (uint8_t)why_of(o, d->proxy);
	o->since_us = d->now_us;
	++*offered[o->why];
}

static void sent(void *context, const struct datagram *d)
{
	struct log *log = context;
	struct observed *o = &log->phone[d->phone];
	struct proxy_counters *c = step_of(log, d);
	if (d->status != 0 || d->kind >= DATAGRAM_TRANSACTIONS)
		return;
	o->branch[d->kind] = d->branch;
	if (d->kind == DATAGRAM_REGISTER) {
		registers(log, o, d);
	} else if (d->kind == DATAGRAM_UNREGISTER && !d->retransmission) {
		c->unregister += !o->ends;
		o->ends = false;
	} else if (d->kind == DATAGRAM_OPTIONS) {
		c->options_datagrams++;
		++*(d->retransmission ? &c->options_retransmitted : &c->options);
	}
}

static void accepted(struct log *log, struct observed *o, const struct datagram *d)
{
	struct proxy_counters *c = step_of(log, d);
	uint64_t *const columns[REGISTERS] = {&c->accepted_initial, &c->accepted_refresh,
		&c->accepted_failover, &c->accepted_failback};
	++*columns[o->why];
	c->rrd_us += d->now_us - o->since_us;
	o->ever = true;
	o->switched = false;
}

static void register_answered(struct log *log, struct observed *o, const struct datagram *d)
{
	struct proxy_counters *c = step_of(log, d);
	switch (d->status) {
	case 200:
		accepted(log, o, d);
		break;
	case 401:
		c->challenged++;
		o->continues = true;
		break;
	case 423:
		o->continues = true;
		break;
	case 408:
		c->register_408++;
		break;
	case 500:
		c->register_500++;
		break;
	case 503:
		c->register_503++;
		break;
	case 504:
		c->register_504++;
		break;
	default:
		if (d->status < 400)
			c->register_3xx++;
		else if (d->status < 500)
			c->register_4xx++;
		else if (d->status < 600)
			c->register_5xx++;
		else
			c->register_6xx++;
	}
}

static void heard(void *context, const struct datagram *d)
{
	struct log *log = context;
	struct observed *o = &log->phone[d->phone];
	if (!d->matched)
		step_of(log, d)->late++;
	else if (d->branch == o->branch[DATAGRAM_REGISTER])
		register_answered(log, o, d);
	else if (d->branch == o->branch[DATAGRAM_OPTIONS])
		step_of(log, d)->options_answered++;
	else
		o->ends = d->status == 401;
}

/* What the herd's steps say less what the log says, column by column; time-outs leave no datagram. */
static void compare(const struct log *log, const struct series *series, uint64_t from)
{
	static struct proxy_counters before[PROXIES];
	if (from == 0)
		memset(before, 0, sizeof(before));
	for (uint64_t step = from; step < series->steps; step++) {
		for (int p = 0; p < PROXIES; p++) {
			const struct proxy_counters *at = &series->at[step % SERIES_STEPS][p];
			const uint64_t *now = (const uint64_t *)at,
				       *then = (const uint64_t *)&before[p],
				       *right = (const uint64_t *)&log->step[step][p];
			for (int i = 0; i < proxy_counters_count; i++) {
				const size_t column = (size_t)i * sizeof(uint64_t);
				if (column != offsetof(struct proxy_counters, register_timeout) &&
					column !=
						offsetof(struct proxy_counters, options_timeout) &&
					now[i] - then[i] != right[i])
					fail_msg("step %llu, %s: %s %llu, right is %llu",
						(unsigned long long)step, proxy_name((enum proxy)p),
						proxy_counters_descriptions[i].name,
						(unsigned long long)(now[i] - then[i]),
						(unsigned long long)right[i]);
			}
			before[p] = *at;
		}
	}
}

static void follow(struct sim *sim, const struct log *log, struct series *series, uint64_t until_us)
{
	while (sim_now_us(sim) < until_us) {
		const uint64_t from = series->steps;
		const uint64_t left_us = until_us - sim_now_us(sim);
		sim_run_for(sim, left_us < 5 * SIM_SECOND ? left_us : 5 * SIM_SECOND);
		sim_series(sim, series);
		assert_true(series->steps - from <= SERIES_STEPS);
		compare(log, series, from);
	}
}

static struct sim *begin(struct log *log)
{
	struct sim_config config;
	sim_defaults(&config, PHONES, sim_seed(0x5e71e5));
	config.slices = 2;
	config.passwords = true;
	config.herd.keepalive_period_ms = 10000;
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	config.herd.switch_delay_ms = 3000;
	config.herd.expires_s = 60;
	config.herd.retry_ms = 5000;
	config.herd.ramp_per_s = 100;
	config.herd.unregister = true;
	config.registrar.realm = "lab";
	config.registrar.expires_min_s = 90;
	config.hooks = (struct sim_hooks){.context = log, .sent = sent, .read = heard};
	return sim_create(&config);
}

static void reboot(struct sim *sim, struct log *log, enum herd_command_kind kind, uint32_t phones)
{
	/* Their new REGISTERs are initial ones, wherever they go. */
	for (uint32_t i = 0; i < phones; i++)
		log->phone[i] = (struct observed){0};
	sim_command(sim, kind, 0, phones, 2000);
}

/* Of all columns; that nothing happened would prove nothing. */
static void check_totals(const struct sim *sim)
{
	const struct herd_counters herd = sim_counters(sim);
	struct proxy_counters sum = sim_proxy_counters(sim, PROXY_PRIMARY);
	const struct proxy_counters redundant = sim_proxy_counters(sim, PROXY_REDUNDANT);
	counters_add(&sum, &redundant, proxy_counters_count);
	assert_int_equal(sum.register_timeout, herd.register_silent);
	assert_int_equal(sum.options_timeout, herd.options_silent + herd.options_fail_code);
	assert_int_equal(sum.late, herd.response_late + herd.response_old_epoch);
	const uint64_t *column = (const uint64_t *)&sum;
	for (int i = 0; i < proxy_counters_count; i++)
		if (column[i] == 0 && strncmp(proxy_counters_descriptions[i].name, "register_", 9))
			fail_msg("%s never happened", proxy_counters_descriptions[i].name);
	assert_true(sum.register_datagrams > 0 && sum.register_retransmitted > 0);
	assert_true(sum.register_timeout > 0 && sum.register_503 > 0 && sum.register_4xx > 0);
}

static void steps_are_what_passed(void **state)
{
	(void)state;
	static struct log log;
	static struct series series;
	const struct impairment none = {0},
				silence = {.share_ppm = IMPAIRMENT_ALL_PPM,
					.loss_ppm = IMPAIRMENT_ALL_PPM},
				brown = {.share_ppm = 600000,
					.loss_ppm = 300000,
					.delay_us = 400000,
					.jitter_us = 900000};
	struct sim *sim = begin(&log);
	sim_start(sim);
	follow(sim, &log, &series, 20 * SIM_SECOND);
	sim_impair(sim, PROXY_PRIMARY, &silence);
	follow(sim, &log, &series, 75 * SIM_SECOND);
	sim_impair(sim, PROXY_REDUNDANT, &silence);
	follow(sim, &log, &series, 145 * SIM_SECOND);
	sim_impair(sim, PROXY_PRIMARY, &none);
	sim_impair(sim, PROXY_REDUNDANT, &brown);
	follow(sim, &log, &series, 165 * SIM_SECOND);
	sim_impair(sim, PROXY_PRIMARY, &brown);
	follow(sim, &log, &series, 195 * SIM_SECOND);
	sim_impair(sim, PROXY_REDUNDANT, &none);
	reboot(sim, &log, HERD_POWER_CUT, PHONES / 2);
	follow(sim, &log, &series, 205 * SIM_SECOND);
	sim_impair(sim, PROXY_PRIMARY, &none);
	sim_faults(sim, PROXY_PRIMARY,
		&(struct registrar_faults){.draining = true, .retry_after_s = 3});
	follow(sim, &log, &series, 225 * SIM_SECOND);
	sim_faults(sim, PROXY_PRIMARY, &(struct registrar_faults){.reject_code = 403});
	follow(sim, &log, &series, 245 * SIM_SECOND);
	sim_faults(sim, PROXY_PRIMARY, &(struct registrar_faults){0});
	follow(sim, &log, &series, 275 * SIM_SECOND);
	reboot(sim, &log, HERD_REBOOT, PHONES / 3);
	follow(sim, &log, &series, 285 * SIM_SECOND);
	check_totals(sim);
	sim_finish(sim);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_what_passed),
	};
	return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
