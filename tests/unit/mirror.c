/* SPDX-License-Identifier: BSD-3-Clause */
/* The mirror: what changed is always seen, lines come in order or are counted, nobody waits. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mirror.h"

static struct mirror *create(uint32_t phones, unsigned workers)
{
	struct mirror *mirror;
	assert_int_equal(mirror_create(&mirror, phones, workers, NULL, false), 0);
	return mirror;
}

static void publish(struct mirror *mirror, unsigned worker, uint32_t phone, uint16_t transition)
{
	const struct record_view view = {.version = RECORD_VERSION,
		.registered = 1,
		.last_tried = 1,
		.phase = PHONE_REGISTERED,
		.cause = RECORD_REGISTERED,
		.transition = transition,
		.since_unix_ms = 1000 + transition};
	mirror_publish(mirror, worker, phone, &view, 4);
}

static void begins_empty(void **state)
{
	(void)state;
	struct mirror *mirror = create(25001, 3);
	uint64_t bits[MIRROR_DIRTY_WORDS];
	struct mirror_line line;
	assert_int_equal(mirror->shards, 3);
	assert_int_equal(mirror_shard_phones(mirror, 0), 10000);
	assert_int_equal(mirror_shard_phones(mirror, 2), 5001);
	assert_int_equal(atomic_load(&mirror->lease_over_us), UINT64_MAX);
	assert_int_equal((uintptr_t)mirror->record % 64, 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_false(mirror_take_dirty(mirror, i, bits));
		assert_true(mirror_shard_stopped(mirror, i));
		assert_int_equal(mirror->here[i], 0);
		assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, i, &line, 1), 0);
	}
	assert_int_equal(record_last_tried(&mirror->record[25000]), 0);
	assert_true(mirror_memory(mirror) >= 25001 * RECORD_SIZE);
	atomic_store(&mirror->driven[2 * 3 + 1], 1);
	assert_false(mirror_shard_stopped(mirror, 2));
	assert_true(mirror_shard_stopped(mirror, 1));
	mirror_free(mirror);
	assert_int_equal(mirror_create(&mirror, 1, MIRROR_WORKERS_MAX + 1, NULL, false), -22);
}

static void records_of_others_are_used(void **state)
{
	(void)state;
	struct phone_record *records = calloc(10, sizeof(*records));
	struct mirror *mirror;
	assert_int_equal(mirror_create(&mirror, 10, 1, records, false), 0);
	publish(mirror, 0, 7, 1);
	mirror_free(mirror);
	assert_int_equal(record_last_tried(&records[7]), 1);
	assert_int_equal(record_last_tried(&records[6]), 0);
	free(records);
}

static void publishing_marks_and_tells(void **state)
{
	(void)state;
	struct mirror *mirror = create(20000, 2);
	uint64_t bits[MIRROR_DIRTY_WORDS];
	struct mirror_line line[4];
	struct record_view view = {.keepalives_sent = 77, .keepalives_missed = 5};
	record_store(&mirror->record[19999], &view, 3, 1);
	publish(mirror, 1, 19999, 9);
	record_load(&mirror->record[19999], &view);
	assert_int_equal(view.transition, 9);
	assert_int_equal(view.keepalives_sent, 77); /* the fourth word is left alone */
	assert_false(mirror_take_dirty(mirror, 0, bits));
	assert_true(mirror_take_dirty(mirror, 1, bits));
	for (uint32_t i = 0; i < MIRROR_DIRTY_WORDS; i++)
		assert_int_equal(bits[i], i == 9999 / 64 ? 1ull << 9999 % 64 : 0);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 0, line, 4), 0);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 1, line, 4), 1);
	assert_int_equal(line[0].phone, 19999);
	assert_int_equal(line[0].from, 4);
	assert_int_equal(line[0].to, 5);
	assert_int_equal(line[0].phase, PHONE_REGISTERED);
	assert_int_equal(line[0].cause, RECORD_REGISTERED);
	assert_int_equal(line[0].at, 1009ull << 16 | 9);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 1, line, 4), 0);
	assert_false(mirror_take_dirty(mirror, 1, bits));
	mirror_put_back(mirror, 1, (uint64_t[MIRROR_DIRTY_WORDS]){[3] = 5});
	assert_true(mirror_take_dirty(mirror, 1, bits));
	assert_int_equal(bits[3], 5);
	mirror_mark(mirror, 64);
	assert_true(mirror_take_dirty(mirror, 0, bits));
	assert_int_equal(bits[1], 1);
	mirror_free(mirror);
}

static void marking_a_shard_marks_its_phones_only(void **state)
{
	(void)state;
	struct mirror *mirror = create(10130, 1);
	uint64_t bits[MIRROR_DIRTY_WORDS];
	mirror_mark_shard(mirror, 1);
	assert_false(mirror_take_dirty(mirror, 0, bits));
	assert_true(mirror_take_dirty(mirror, 1, bits));
	assert_true(bits[0] == UINT64_MAX && bits[1] == UINT64_MAX && bits[2] == 3);
	assert_int_equal(bits[3], 0);
	mirror_mark_shard(mirror, 0);
	assert_true(mirror_take_dirty(mirror, 0, bits));
	assert_int_equal(bits[MIRROR_DIRTY_WORDS - 1], (1 << 10000 % 64) - 1);
	mirror_free(mirror);
}

static void a_full_ring_counts_what_it_drops(void **state)
{
	(void)state;
	struct mirror *mirror = create(100, 1);
	static struct mirror_line line[1000];
	for (uint32_t i = 0; i < MIRROR_FEED_LINES + 5; i++)
		publish(mirror, 0, i % 100, (uint16_t)i);
	assert_int_equal(mirror_lines_dropped(mirror, MIRROR_STORE, 0), 5);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 0, line, 1000), 1000);
	assert_int_equal(line[999].at & 0xffff, 999);
	for (uint32_t i = 0; i < 1001; i++)
		publish(mirror, 0, 1, (uint16_t)(1000 + i));
	assert_int_equal(mirror_lines_dropped(mirror, MIRROR_STORE, 0), 6);
	size_t n, sum = 0;
	while ((n = mirror_take_lines(mirror, MIRROR_STORE, 0, line, 1000)) != 0)
		sum += n;
	assert_int_equal(sum, MIRROR_FEED_LINES);
	mirror_free(mirror);
}

/* Each reader has a place of its own in what was told, and room of its own. */
static void a_watcher_is_told_apart(void **state)
{
	(void)state;
	struct mirror *mirror, *plain = create(100, 2);
	struct mirror_line line[4];
	assert_int_equal(mirror_create(&mirror, 100, 2, NULL, true), 0);
	assert_true(mirror_memory(mirror) >
		    mirror_memory(plain) + 2 * MIRROR_FEED_LINES * sizeof(line[0]));
	publish(plain, 1, 3, 1);
	assert_int_equal(mirror_take_lines(plain, MIRROR_WATCH, 1, line, 4), 0);
	assert_int_equal(mirror_lines_dropped(plain, MIRROR_WATCH, 1), 0);
	for (uint32_t i = 0; i < MIRROR_FEED_LINES; i++)
		publish(mirror, 1, i % 100, (uint16_t)i);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_WATCH, 0, line, 4), 0);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_WATCH, 1, line, 4), 4);
	assert_int_equal(line[3].at & 0xffff, 3);
	publish(mirror, 1, 7, 1);
	assert_int_equal(mirror_lines_dropped(mirror, MIRROR_STORE, 1), 1);
	assert_int_equal(mirror_lines_dropped(mirror, MIRROR_WATCH, 1), 0);
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 1, line, 4), 4);
	assert_int_equal(line[0].at & 0xffff, 0);
	mirror_free(mirror);
	mirror_free(plain);
}

#define RUN_PHONES 4000u
#define RUN_LINES 1000000u

struct run {
	struct mirror *mirror;
	unsigned worker;
	_Atomic unsigned *ended;
};

/* Each worker publishes its own half of the phones, whose bits share words. */
static void *write_run(void *context)
{
	const struct run *run = context;
	for (uint32_t i = 0; i < RUN_LINES; i++) {
		uint32_t phone = i * 7919 % (RUN_PHONES / 2) * 2 + run->worker;
		publish(run->mirror, run->worker, phone, (uint16_t)(i + 1));
	}
	atomic_fetch_add(run->ended, 1);
	return NULL;
}

/* What the store's thread has copied after it cleared a bit. */
static void copy_marked(struct mirror *mirror, uint8_t (*copy)[RECORD_SIZE])
{
	uint64_t bits[MIRROR_DIRTY_WORDS];
	if (!mirror_take_dirty(mirror, 0, bits))
		return;
	for (uint32_t i = 0; i < RUN_PHONES; i++) {
		if (bits[i / 64] >> i % 64 & 1)
			record_copy(&mirror->record[i], copy[i]);
	}
}

static uint64_t take_all(struct mirror *mirror, unsigned worker, uint64_t *last)
{
	struct mirror_line line[256];
	size_t n;
	uint64_t sum = 0;
	while ((n = mirror_take_lines(mirror, MIRROR_STORE, worker, line, 256)) != 0) {
		for (size_t i = 0; i < n; i++) {
			/* Whole lines, in order. */
			assert_int_equal(line[i].phone % 2, worker);
			assert_int_equal(line[i].at >> 16, 1000 + (line[i].at & 0xffff));
			assert_int_equal(line[i].to, 5);
			*last = line[i].at & 0xffff;
		}
		sum += n;
	}
	return sum;
}

static void no_change_is_lost(void **state)
{
	(void)state;
	struct mirror *mirror = create(RUN_PHONES, 2);
	static uint8_t copy[RUN_PHONES][RECORD_SIZE];
	_Atomic unsigned ended = 0;
	struct run run[2] = {{mirror, 0, &ended}, {mirror, 1, &ended}};
	pthread_t thread[2];
	uint64_t lines[2] = {0}, last[2] = {0};
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_run, &run[i]), 0);
	for (bool over = false; !over;) {
		over = atomic_load(&ended) == 2;
		copy_marked(mirror, copy);
		for (unsigned i = 0; i < 2; i++)
			lines[i] += take_all(mirror, i, &last[i]);
		sched_yield();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (uint32_t i = 0; i < RUN_PHONES; i++) {
		uint8_t now[RECORD_SIZE];
		record_copy(&mirror->record[i], now);
		assert_memory_equal(now, copy[i], RECORD_SIZE);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			lines[i] + mirror_lines_dropped(mirror, MIRROR_STORE, i), RUN_LINES);
	mirror_free(mirror);
}

#define PAIRS 50000u

struct pairs {
	struct mirror *mirror;
	_Atomic uint32_t told[2]; /* transitions that the reader has copied, of phones 0 and 1 */
	_Atomic uint32_t passes;  /* times the reader has looked */
	uint32_t lost;
};

/* Two changes shortly after another, so that the reader has often just taken the first one's bit when
 * the second is set, and is about to go through the rest of the shard: both must be seen. */
static void *write_pairs(void *context)
{
	struct pairs *pairs = context;
	for (uint32_t i = 1; i <= PAIRS; i++) {
		publish(pairs->mirror, 0, 0, (uint16_t)i);
		for (volatile uint32_t pause = i * 7919 % 1000; pause > 0; pause--)
			;
		publish(pairs->mirror, 0, 1, (uint16_t)i);
		const uint32_t pass = atomic_load(&pairs->passes);
		bool seen, late;
		do {
			sched_yield();
			late = atomic_load(&pairs->passes) - pass >= 4;
			seen = atomic_load(&pairs->told[0]) == i &&
			       atomic_load(&pairs->told[1]) == i;
		} while (!seen && !late);
		pairs->lost += !seen;
	}
	atomic_store(&pairs->passes, UINT32_MAX / 2);
	return NULL;
}

static void the_second_of_two_is_seen(void **state)
{
	(void)state;
	static struct mirror_line line[64];
	struct pairs pairs = {.mirror = create(10000, 1)};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, write_pairs, &pairs), 0);
	while (atomic_load(&pairs.passes) < UINT32_MAX / 2) {
		uint64_t bits[MIRROR_DIRTY_WORDS] = {0};
		mirror_take_dirty(pairs.mirror, 0, bits);
		for (uint32_t i = 0; i < 2; i++) {
			struct record_view view;
			if (!(bits[0] >> i & 1))
				continue;
			record_load(&pairs.mirror->record[i], &view);
			atomic_store(&pairs.told[i], view.transition);
		}
		while (mirror_take_lines(pairs.mirror, MIRROR_STORE, 0, line, 64) > 0)
			;
		atomic_fetch_add(&pairs.passes, 1);
		sched_yield();
	}
	pthread_join(thread, NULL);
	assert_int_equal(pairs.lost, 0);
	mirror_free(pairs.mirror);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_empty),
		cmocka_unit_test(records_of_others_are_used),
		cmocka_unit_test(publishing_marks_and_tells),
		cmocka_unit_test(marking_a_shard_marks_its_phones_only),
		cmocka_unit_test(a_full_ring_counts_what_it_drops),
		cmocka_unit_test(a_watcher_is_told_apart),
		cmocka_unit_test(no_change_is_lost),
		cmocka_unit_test(the_second_of_two_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
