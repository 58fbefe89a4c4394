/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of the store rest on: the churner drives, mutes, releases and tells as herds do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "churner.h"

#define PHONES 30007u
#define WORKERS 3

struct fixture {
	struct mirror *mirror;
	struct churner *churner;
	uint16_t transition[PHONES]; /* of the last line seen */
	uint8_t where[PHONES];       /* its `to` */
	uint64_t lines;
};

static uint64_t now_us(const void *clock)
{
	struct timespec now;
	(void)clock;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

static int setup(void **state)
{
	static struct fixture f;
	memset(&f, 0, sizeof(f));
	assert_int_equal(mirror_create(&f.mirror, PHONES, WORKERS, NULL, false), 0);
	const struct churner_config config = {
		.mirror = f.mirror, .seed = 7, .now_us = now_us, .cpu = -1};
	assert_int_equal(churner_create(&f.churner, &config), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	churner_free(f->churner);
	mirror_free(f->mirror);
	return 0;
}

static bool all_driven(const struct mirror *mirror)
{
	for (size_t i = 0; i < (size_t)mirror->shards * WORKERS; i++)
		if (atomic_load(&mirror->driven[i]) == 0)
			return false;
	return true;
}

static struct record_view view_of(const struct fixture *f, uint32_t phone)
{
	struct record_view view;
	uint8_t bytes[RECORD_SIZE];
	record_copy(&f->mirror->record[phone], bytes);
	record_parse(bytes, &view);
	return view;
}

/* Each line follows the one before it: next number, from where that led to. */
static void drain(struct fixture *f)
{
	struct mirror_line line[256];
	for (unsigned worker = 0; worker < WORKERS; worker++)
		for (size_t n;
			(n = mirror_take_lines(f->mirror, MIRROR_STORE, worker, line, 256)) > 0;)
			for (size_t i = 0; i < n; i++, f->lines++) {
				const uint32_t phone = line[i].phone;
				assert_int_equal(phone % WORKERS, worker);
				assert_int_equal(
					(uint16_t)line[i].at, (uint16_t)(f->transition[phone] + 1));
				assert_int_equal(line[i].from, f->where[phone]);
				f->transition[phone]++;
				f->where[phone] = line[i].to;
			}
}

static void adopt_all(struct fixture *f)
{
	churner_adopt(f->churner, 0, PHONES);
	while (!all_driven(f->mirror))
		usleep(1000);
}

static void test_adopted_phones_go_on_in_a_storm(void **state)
{
	static const uint8_t after[4] = {
		PHONE_BOOT, PHONE_REGISTERING, PHONE_REGISTERED, PHONE_SWITCHING};
	struct fixture *f = *state;
	adopt_all(f);
	for (int pass = 0; pass < 4; pass++) {
		churner_pause(f->churner);
		for (uint32_t i = 0; i < PHONES; i++) {
			const struct record_view view = view_of(f, i);
			assert_int_equal(view.phase, after[pass]);
			assert_int_equal(view.transition, pass + 1);
			assert_int_equal(view.registered, pass == 2);
			assert_int_equal(view.last_tried, pass == 0   ? 0
							  : pass == 3 ? 1 + PROXY_REDUNDANT
								      : 1 + PROXY_PRIMARY);
		}
		churner_resume(f->churner);
		churner_storm(f->churner, 1, 20);
		while (!churner_storm_is_over(f->churner))
			usleep(1000);
	}
	drain(f);
	assert_int_equal(f->lines, 5 * PHONES);
}

static void test_every_transition_has_its_line(void **state)
{
	struct fixture *f = *state;
	struct churner_totals totals;
	adopt_all(f);
	churner_rate(f->churner, 400000, 50000);
	for (int i = 0; i < 50; i++) {
		usleep(10000);
		drain(f);
	}
	churner_pause(f->churner);
	drain(f);
	churner_totals(f->churner, &totals);
	assert_int_equal(f->lines, totals.transitions);
	assert_true(totals.transitions > PHONES);
	assert_true(totals.keepalives > 0);
	unsigned moved = 0;
	for (uint32_t i = 0; i < PHONES; i++) {
		const struct record_view view = view_of(f, i);
		assert_int_equal(view.transition, f->transition[i]);
		assert_int_equal(view.registered | view.last_tried << 2, f->where[i]);
		assert_int_equal(
			view.registered, view.phase == PHONE_REGISTERED ? view.last_tried : 0);
		moved += view.last_tried == 1 + PROXY_REDUNDANT;
	}
	assert_true(moved > 0);
	usleep(20000);
	struct churner_totals later;
	churner_totals(f->churner, &later);
	assert_int_equal(later.transitions, totals.transitions);
	assert_int_equal(later.keepalives, totals.keepalives);
}

static void test_silent_without_a_lease_and_gone_when_released(void **state)
{
	struct fixture *f = *state;
	struct churner_totals before, after;
	adopt_all(f);
	atomic_store(&f->mirror->lease_over_us, 0);
	churner_rate(f->churner, 100000, 0);
	usleep(20000);
	churner_totals(f->churner, &before);
	usleep(50000);
	churner_totals(f->churner, &after);
	assert_int_equal(after.transitions, before.transitions);
	assert_true(after.muted > 0);
	atomic_store(&f->mirror->lease_over_us, UINT64_MAX);
	churner_release(f->churner, SHARD_PHONES, SHARD_PHONES);
	while (!mirror_shard_stopped(f->mirror, 1))
		usleep(1000);
	const struct record_view view = view_of(f, SHARD_PHONES + 1);
	usleep(50000);
	assert_int_equal(view.phase, PHONE_OFF);
	assert_int_equal(view_of(f, SHARD_PHONES + 1).transition, view.transition);
	churner_totals(f->churner, &before);
	assert_true(before.transitions > after.transitions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_adopted_phones_go_on_in_a_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_every_transition_has_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_silent_without_a_lease_and_gone_when_released, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
