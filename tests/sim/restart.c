/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Restarts in the middle of an outage: a generator dies without a word, the next one goes on with its
 * records. Each phone's first REGISTER must go to the proxy it tried last, in both modes, whatever
 * moment of the wave it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"

#define PHONES 600u
#define NOT_YET PROXIES

struct lives {
	struct phone_record *records;
	uint8_t registered_to[PHONES]; /* the last REGISTER before the end */
	uint8_t expected[PHONES];      /* active proxy at the end */
	uint8_t first_to[PHONES];      /* the first REGISTER afterwards */
	bool second;
};

static void sent(void *context, const struct datagram *d)
{
	struct lives *lives = context;
	if (d->kind != DATAGRAM_REGISTER)
		return;
	if (!lives->second)
		lives->registered_to[d->phone] = d->proxy;
	else if (lives->first_to[d->phone] == NOT_YET)
		lives->first_to[d->phone] = d->proxy;
}

static struct sim *create(struct lives *lives, enum redundancy_mode mode, uint64_t seed)
{
	struct sim_config config;
	sim_defaults(&config, PHONES, sim_seed(seed));
	config.slices = 3;
	config.herd.redundancy.mode = (uint8_t)mode;
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	config.herd.ramp_per_s = PHONES / 5;
	config.herd.switch_delay_ms = 10000;
	config.records = lives->records;
	config.hooks = (struct sim_hooks){.context = lives, .sent = sent};
	return sim_create(&config);
}

/* The first life: everybody registered, the primary dies, and so do we, so much later. */
static void live_and_die(struct lives *lives, enum redundancy_mode mode, uint64_t after_s)
{
	struct sim *sim = create(lives, mode, 0x11fe);
	uint32_t at[PROXIES] = {0};
	sim_start(sim);
	sim_run(sim, 70 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, after_s * SIM_SECOND);
	sim_check(sim);
	for (uint32_t i = 0; i < PHONES; i++) {
		const struct phone *phone = sim_phone(sim, i);
		lives->expected[i] = (uint8_t)phone_active(phone);
		at[lives->expected[i]]++;
		/* A phone that is about to switch has stored where it is going. */
		if (phone->state == PHONE_SWITCHING)
			assert_int_not_equal(lives->expected[i], lives->registered_to[i]);
		else
			assert_int_equal(lives->expected[i], lives->registered_to[i]);
	}
	/* In the middle of it. */
	assert_true(at[PROXY_PRIMARY] > PHONES / 20);
	assert_true(at[PROXY_REDUNDANT] > PHONES / 20);
	sim_free(sim);
}

static uint64_t transitions(const struct lives *lives)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < PHONES; i++) {
		struct record_view view;
		record_load(&lives->records[i], &view);
		sum += view.transition;
	}
	return sum;
}

static void die_and_go_on(enum redundancy_mode mode, uint64_t after_s)
{
	struct lives *lives = calloc(1, sizeof(*lives));
	assert_non_null(lives);
	lives->records = calloc(PHONES, sizeof(*lives->records));
	assert_non_null(lives->records);
	live_and_die(lives, mode, after_s);
	const uint64_t before = transitions(lives);
	memset(lives->first_to, NOT_YET, sizeof(lives->first_to));
	lives->second = true;
	struct sim *sim = create(lives, mode, 0x2d11fe);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_start(sim);
	sim_run(sim, 20 * SIM_SECOND);
	for (uint32_t i = 0; i < PHONES; i++)
		assert_int_equal(lives->first_to[i], lives->expected[i]);
	sim_run(sim, 200 * SIM_SECOND);
	sim_check_registered(sim, PROXY_REDUNDANT);
	sim_finish(sim);
	/* The numbers went on from where they stood: start, REGISTER, 2xx, stop at least. */
	assert_true(transitions(lives) >= before + 4 * PHONES);
	sim_free(sim);
	free(lives->records);
	free(lives);
}

static void asymmetric_phones_remember(void **state)
{
	(void)state;
	for (uint64_t after_s = 45; after_s <= 75; after_s += 15)
		die_and_go_on(MODE_ASYMMETRIC, after_s);
}

static void symmetric_phones_remember(void **state)
{
	(void)state;
	for (uint64_t after_s = 45; after_s <= 75; after_s += 15)
		die_and_go_on(MODE_SYMMETRIC, after_s);
}

/* Turning the feature off means the primary, whatever the record says. */
static void without_redundancy_nothing_is_recalled(void **state)
{
	(void)state;
	struct lives *lives = calloc(1, sizeof(*lives));
	assert_non_null(lives);
	lives->records = calloc(PHONES, sizeof(*lives->records));
	assert_non_null(lives->records);
	live_and_die(lives, MODE_ASYMMETRIC, 60);
	memset(lives->first_to, NOT_YET, sizeof(lives->first_to));
	lives->second = true;
	struct sim_config config;
	sim_defaults(&config, PHONES, sim_seed(0x0ff));
	config.herd.redundancy.enabled = false;
	config.records = lives->records;
	config.hooks = (struct sim_hooks){.context = lives, .sent = sent};
	struct sim *sim = sim_create(&config);
	sim_start(sim);
	sim_run(sim, 5 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	for (uint32_t i = 0; i < PHONES; i++)
		assert_int_equal(lives->first_to[i], PROXY_PRIMARY);
	sim_finish(sim);
	sim_free(sim);
	free(lives->records);
	free(lives);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asymmetric_phones_remember),
		cmocka_unit_test(symmetric_phones_remember),
		cmocka_unit_test(without_redundancy_nothing_is_recalled),
	};
	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
