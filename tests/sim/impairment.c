/* SPDX-License-Identifier: BSD-3-Clause */
/* Outages that the herd makes itself, against the network's and the proxy's own: phones cannot tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"

#define PHONES 500

struct traffic {
	uint64_t count;
	uint64_t hash; /* of everything sent, whatever the order within a millisecond */
};

static void sent(void *context, const struct datagram *d)
{
	struct traffic *traffic = context;
	uint64_t x = d->hash ^ (d->now_us / 1000) << 20 ^ d->phone ^ (uint64_t)d->proxy << 60;
	traffic->count++;
	traffic->hash += random_mix(&x);
}

struct run {
	uint32_t slices, budget;
	bool jump;
};

static struct sim *begin(const struct run *run, struct traffic *traffic)
{
	struct sim_config config;
	*traffic = (struct traffic){0};
	sim_defaults(&config, PHONES, sim_seed(0x1a9a1));
	config.slices = run->slices;
	config.budget = run->budget;
	config.jump = run->jump;
	config.herd.switch_delay_ms = 10000;
	config.herd.keepalive_jitter_percent = 10;
	config.herd.ramp_per_s = 100;
	config.hooks = (struct sim_hooks){.context = traffic, .sent = sent};
	struct sim *sim = sim_create(&config);
	/* There and back within a millisecond: nothing is on its way when the outage begins. */
	sim_paths(sim, &(struct sim_path){.delay_us = 250});
	sim_start(sim);
	sim_run(sim, 70 * SIM_SECOND);
	return sim;
}

static void end(struct sim *sim)
{
	sim_finish(sim);
	sim_free(sim);
}

enum how { CRASHED, CUT, IMPAIRED };

static void set_outage(struct sim *sim, enum how how, bool on)
{
	const struct impairment silence = {
		.share_ppm = IMPAIRMENT_ALL_PPM, .loss_ppm = IMPAIRMENT_ALL_PPM};
	if (how == CRASHED)
		sim_crash(sim, PROXY_PRIMARY, on);
	else if (how == CUT)
		sim_cut(sim, PROXY_PRIMARY, on);
	else
		sim_impair(sim, PROXY_PRIMARY, on ? &silence : &(struct impairment){0});
}

static struct herd_counters outage(enum how how, struct traffic *traffic)
{
	struct sim *sim = begin(&(struct run){1, 4096, false}, traffic);
	set_outage(sim, how, true);
	sim_run(sim, 190 * SIM_SECOND);
	sim_check_registered(sim, PROXY_REDUNDANT);
	set_outage(sim, how, false);
	sim_run(sim, 300 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	const struct herd_counters counters = sim_counters(sim);
	end(sim);
	return counters;
}

static void silence_is_a_crash(void **state)
{
	(void)state;
	struct traffic traffic[3];
	for (enum how how = CRASHED; how <= IMPAIRED; how++) {
		const struct herd_counters c = outage(how, &traffic[how]);
		assert_int_equal(c.failover_keepalive_silence, PHONES);
		assert_int_equal(c.failback_keepalive_answer, PHONES);
		assert_int_equal(c.not_sent, 0);
		assert_int_equal(c.impaired_sent > 0, how == IMPAIRED);
		assert_int_equal(traffic[how].count, traffic[CRASHED].count);
		assert_true(traffic[how].hash == traffic[CRASHED].hash);
	}
	assert_true(traffic[CRASHED].count > 5000);
}

/* Loss, delay and jitter follow from the seed: however phones are sliced and time is told. */
static struct traffic brown_out(const struct run *run)
{
	struct traffic traffic;
	struct sim *sim = begin(run, &traffic);
	sim_impair(sim, PROXY_PRIMARY,
		&(struct impairment){.share_ppm = 700000,
			.loss_ppm = 400000,
			.delay_us = 150000,
			.jitter_us = 700000});
	sim_run(sim, 190 * SIM_SECOND);
	const struct herd_counters c = sim_counters(sim);
	assert_true(c.impaired_sent > PHONES / 4 && c.impaired_received > PHONES / 4);
	assert_true(c.impaired_delayed > PHONES / 4);
	assert_int_equal(c.impaired_overflow, 0);
	sim_impair(sim, PROXY_PRIMARY, &(struct impairment){0});
	sim_run(sim, 300 * SIM_SECOND);
	end(sim);
	return traffic;
}

static void a_brown_out_follows_from_the_seed(void **state)
{
	(void)state;
	const struct run runs[] = {
		{1, 4096, false}, {1, 4096, false}, {3, 1, false}, {16, 64, true}};
	const struct traffic first = brown_out(&runs[0]);
	for (int i = 1; i < 4; i++) {
		const struct traffic other = brown_out(&runs[i]);
		assert_int_equal(other.count, first.count);
		assert_true(other.hash == first.hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_is_a_crash),
		cmocka_unit_test(a_brown_out_follows_from_the_seed),
	};
	return cmocka_run_group_tests_name("impairment", tests, NULL, NULL);
}
