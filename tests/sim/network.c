/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator itself: its calendar keeps order, its network does what it was told, and a run
 * follows from its seed alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "queue.h"
#include "sim.h"

#define EVENTS 20000u

/* ---- the calendar ---- */

static uint64_t add_random(struct queue *queue, struct random *random, uint64_t now_us, uint32_t id)
{
	/* From the same microsecond to three times what the calendar reaches. */
	static const uint32_t reach_us[] = {1, 1000, 3000000, 200000000};
	uint64_t at_us = now_us + random_below(random, reach_us[random_below(random, 4)]);
	queue_add(queue, &(struct event){.at_us = at_us, .phone = id, .block = QUEUE_NO_BLOCK});
	return at_us;
}

static void events_leave_in_their_order(void **state)
{
	(void)state;
	struct queue *queue = queue_create();
	struct random random;
	uint64_t *at_us = calloc(EVENTS, sizeof(*at_us)), now_us = 0, slot_ms = 0;
	uint32_t added = 0, taken = 0, last = 0;
	random_seed(&random, sim_seed(0x0dde4));
	assert_non_null(at_us);
	for (; added < EVENTS / 2; added++)
		at_us[added] = add_random(queue, &random, now_us, added);
	queue_open(queue, 0);
	while (taken < EVENTS) {
		struct event event;
		if (!queue_take(queue, &event)) {
			slot_ms = queue_next_ms(queue, UINT64_MAX);
			assert_true(slot_ms != UINT64_MAX);
			queue_open(queue, slot_ms);
			continue;
		}
		assert_true(event.at_us == at_us[event.phone]);
		assert_true(event.at_us / 1000 == slot_ms);
		assert_true(event.at_us >= now_us);
		if (event.at_us == now_us && taken > 0)
			assert_true(event.phone > last);
		now_us = event.at_us;
		last = event.phone;
		taken++;
		if (added < EVENTS) {
			at_us[added] = add_random(queue, &random, now_us, added);
			added++;
		}
	}
	assert_int_equal(queue_events(queue), 0);
	free(at_us);
	queue_free(queue);
}

static void blocks_are_used_again(void **state)
{
	(void)state;
	struct queue *queue = queue_create();
	uint32_t block[5000];
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			block[i] = queue_block_take(queue);
			memset(queue_block(queue, block[i]), (int)i & 0xff, QUEUE_BLOCK);
		}
		assert_int_equal(queue_blocks(queue), 5000);
		for (uint32_t i = 0; i < 5000; i++) {
			assert_int_equal(queue_block(queue, block[i])[QUEUE_BLOCK - 1], i & 0xff);
			queue_block_give(queue, block[i]);
		}
		assert_int_equal(queue_blocks(queue), 0);
	}
	queue_free(queue);
}

/* ---- the network ---- */

struct arrivals {
	uint64_t count, delay_us[2]; /* shortest, longest */
	uint64_t hash;               /* of everything sent, whatever the order within a moment */
};

static bool arrived(void *context, struct sim *sim, const struct datagram *d)
{
	struct arrivals *arrivals = context;
	/* Phones start at 0: the delay of their first datagram is the time. */
	uint64_t now_us = sim_now_us(sim);
	(void)d;
	arrivals->count++;
	if (now_us < arrivals->delay_us[0])
		arrivals->delay_us[0] = now_us;
	if (now_us > arrivals->delay_us[1])
		arrivals->delay_us[1] = now_us;
	return true;
}

static struct arrivals one_way(const struct sim_path *path)
{
	struct arrivals arrivals = {.delay_us = {UINT64_MAX, 0}};
	struct sim_config config;
	sim_defaults(&config, 20000, sim_seed(0x9a7));
	config.hooks = (struct sim_hooks){.context = &arrivals, .arrived = arrived};
	struct sim *sim = sim_create(&config);
	sim_paths(sim, path);
	sim_start(sim);
	sim_run(sim, SIM_SECOND / 2 - 10000);
	sim_free(sim);
	return arrivals;
}

static void paths_do_what_they_are_told(void **state)
{
	(void)state;
	struct arrivals a = one_way(&(struct sim_path){.delay_us = 700});
	assert_int_equal(a.count, 20000);
	assert_int_equal(a.delay_us[0], 700);
	assert_int_equal(a.delay_us[1], 700);
	a = one_way(&(struct sim_path){.delay_us = 700, .jitter_us = 1000});
	assert_in_range(a.delay_us[0], 700, 702);
	assert_in_range(a.delay_us[1], 1698, 1700);
	a = one_way(&(struct sim_path){.loss_ppm = 200000});
	assert_in_range(a.count, 15700, 16300);
	a = one_way(&(struct sim_path){.duplicate_ppm = 200000});
	assert_in_range(a.count, 23700, 24300);
	a = one_way(
		&(struct sim_path){.delay_us = 100, .reorder_ppm = 100000, .reorder_us = 50000});
	assert_int_equal(a.delay_us[0], 100);
	assert_in_range(a.delay_us[1], 49000, 50100);
	a = one_way(&(struct sim_path){.cut = true});
	assert_int_equal(a.count, 0);
}

/* ---- the seed ---- */

static void hash_sent(void *context, const struct datagram *d)
{
	struct arrivals *arrivals = context;
	uint64_t x = d->hash ^ (d->now_us / 1000) << 20 ^ d->phone ^ (uint64_t)d->proxy << 60;
	arrivals->count++;
	/* A sum: phones may come in any order within a millisecond. */
	arrivals->hash += random_mix(&x);
}

static struct arrivals outage(
	uint64_t seed, uint32_t slices, uint32_t budget, bool jump, bool lossy)
{
	struct arrivals sent = {0};
	struct sim_config config;
	sim_defaults(&config, 500, seed);
	config.slices = slices;
	config.budget = budget;
	config.jump = jump;
	config.herd.switch_delay_ms = 10000;
	config.herd.keepalive_jitter_percent = 10;
	config.herd.ramp_per_s = 100;
	config.hooks = (struct sim_hooks){.context = &sent, .sent = hash_sent};
	struct sim *sim = sim_create(&config);
	sim_paths(sim, &(struct sim_path){.delay_us = 1500, .loss_ppm = lossy ? 50000 : 0});
	sim_start(sim);
	sim_run(sim, 70 * SIM_SECOND);
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run(sim, 190 * SIM_SECOND);
	sim_crash(sim, PROXY_PRIMARY, false);
	sim_run(sim, 300 * SIM_SECOND);
	sim_finish(sim);
	sim_free(sim);
	return sent;
}

static void a_run_follows_from_its_seed(void **state)
{
	(void)state;
	struct arrivals first = outage(1, 1, 64, false, true),
			second = outage(1, 1, 64, false, true);
	struct arrivals other = outage(2, 1, 64, false, true);
	assert_true(first.count > 5000);
	assert_int_equal(first.count, second.count);
	assert_true(first.hash == second.hash);
	assert_true(first.hash != other.hash);
}

/* Phones do the same however they are sliced, with whatever budget and however time is told. */
static void slices_and_steps_change_nothing(void **state)
{
	(void)state;
	struct arrivals whole = outage(3, 1, 4096, false, false);
	struct arrivals sliced = outage(3, 3, 1, false, false);
	struct arrivals jumped = outage(3, 16, 64, true, false);
	assert_int_equal(whole.count, sliced.count);
	assert_true(whole.hash == sliced.hash);
	assert_int_equal(whole.count, jumped.count);
	assert_true(whole.hash == jumped.hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_leave_in_their_order),
		cmocka_unit_test(blocks_are_used_again),
		cmocka_unit_test(paths_do_what_they_are_told),
		cmocka_unit_test(a_run_follows_from_its_seed),
		cmocka_unit_test(slices_and_steps_change_nothing),
	};
	return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
