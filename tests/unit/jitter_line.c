/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams that wait: each comes whole, at its moment, those of one moment in their order; checked
 * against a list that is sorted the slow way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "jitter_line.h"

#define BYTES (256u << 10)
#define LENGTH_MAX 3000
#define SEED 0x717713ull

/* One that waits, as the test knows it: its bytes follow from its number. */
struct known {
	uint64_t due_ms;
	uint32_t number;
	uint16_t length;
	bool waits;
};

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
	return (*seed >> 11) % below;
}

static void fill(uint8_t *bytes, uint32_t number, uint16_t length)
{
	for (uint32_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(number * 31 + i * 7);
}

static bool put(struct jitter_line *line, uint32_t number, uint16_t length, uint64_t now_ms,
	uint64_t due_ms)
{
	uint8_t bytes[LENGTH_MAX];
	fill(bytes, number, length);
	const struct waiting waiting = {
		number, number % 2 ? PROXY_REDUNDANT : PROXY_PRIMARY, bytes, length};
	return jitter_line_put(line, &waiting, now_ms, due_ms);
}

static void take(struct jitter_line *line, const struct known *right)
{
	uint8_t bytes[LENGTH_MAX];
	struct waiting waiting;
	assert_int_equal(line->next_ms, right->due_ms);
	jitter_line_take(line, &waiting);
	assert_int_equal(waiting.phone, right->number);
	assert_int_equal(waiting.proxy, right->number % 2 ? PROXY_REDUNDANT : PROXY_PRIMARY);
	assert_int_equal(waiting.length, right->length);
	fill(bytes, right->number, right->length);
	assert_memory_equal(waiting.datagram, bytes, right->length);
}

/* The one that goes next: the earliest, and of those the first to come. */
static struct known *next(struct known *known, uint32_t count)
{
	struct known *best = NULL;
	for (uint32_t i = 0; i < count; i++)
		if (known[i].waits && (best == NULL || known[i].due_ms < best->due_ms))
			best = &known[i];
	return best;
}

static void each_comes_at_its_moment(void **state)
{
	(void)state;
	static struct known known[5000];
	const uint32_t count = sizeof(known) / sizeof(known[0]);
	struct jitter_line line;
	uint64_t seed = SEED, now_ms = 1000000000000;
	uint32_t refused = 0;
	printf("seed 0x%llx\n", (unsigned long long)SEED);
	assert_int_equal(jitter_line_open(&line, BYTES / 4), 0);
	for (uint32_t i = 0; i < count; i++) {
		const uint16_t length = (uint16_t)draw(&seed, draw(&seed, 4) ? 700 : LENGTH_MAX);
		const uint64_t reach[] = {1, 20, 3000, 60000};
		known[i] = (struct known){.due_ms = now_ms + draw(&seed, reach[draw(&seed, 4)]),
			.number = i,
			.length = length};
		known[i].waits = put(&line, i, length, now_ms, known[i].due_ms);
		refused += !known[i].waits;
		now_ms += draw(&seed, draw(&seed, 50) ? 60 : 5000);
		struct known *due;
		while ((due = next(known, i + 1)) != NULL && due->due_ms <= now_ms) {
			take(&line, due);
			due->waits = false;
		}
		assert_int_equal(line.next_ms, due == NULL ? UINT64_MAX : due->due_ms);
	}
	assert_in_range(refused, 1, count / 2);
	for (struct known *due; (due = next(known, count)) != NULL; due->waits = false)
		take(&line, due);
	assert_int_equal(line.next_ms, UINT64_MAX);
	jitter_line_close(&line);
}

/* Room is used to the last byte, and all of it again; what is refused leaves nothing behind. */
static void a_full_line_refuses(void **state)
{
	(void)state;
	struct jitter_line line;
	uint32_t fitted[2] = {0, 0};
	assert_int_equal(jitter_line_open(&line, BYTES), 0);
	for (int round = 0; round < 2; round++) {
		while (put(&line, fitted[round], 1200, 50, 100))
			fitted[round]++;
		assert_false(put(&line, 0, 1200, 50, 60));
		assert_int_equal(line.next_ms, 100);
		for (uint32_t i = 0; i < fitted[round]; i++)
			take(&line, &(struct known){.due_ms = 100, .number = i, .length = 1200});
		assert_int_equal(line.next_ms, UINT64_MAX);
	}
	assert_in_range(fitted[0], BYTES / 1700, BYTES / 1200);
	assert_int_equal(fitted[0], fitted[1]);
	jitter_line_close(&line);
}

static void who_would_wait_too_long_waits_as_long_as_can_be(void **state)
{
	(void)state;
	struct jitter_line line;
	assert_int_equal(jitter_line_open(&line, BYTES), 0);
	assert_true(put(&line, 1, 10, 70000, 1000000));
	take(&line, &(struct known){70000 + JITTER_LINE_REACH_MS, 1, 10, true});
	/* Nobody has looked for a while: the first is overdue, and the reach counts from it. */
	assert_true(put(&line, 2, 10, 70000, 70001));
	assert_true(put(&line, 3, 10, 80000, 80000 + 60000));
	take(&line, &(struct known){70001, 2, 10, true});
	take(&line, &(struct known){70001 + JITTER_LINE_REACH_MS, 3, 10, true});
	jitter_line_close(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comes_at_its_moment),
		cmocka_unit_test(a_full_line_refuses),
		cmocka_unit_test(who_would_wait_too_long_waits_as_long_as_can_be),
	};
	return cmocka_run_group_tests_name("jitter_line", tests, NULL, NULL);
}
