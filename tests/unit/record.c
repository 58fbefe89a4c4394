/* SPDX-License-Identifier: BSD-3-Clause */
/* Records: the bytes are as documented, nothing is lost on the way there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "record.h"

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed * 2685821657736338717ull;
}

static void fill(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(draw() >> 56);
}

static const struct record_view sample = {
	.version = 1,
	.registered = 2,
	.last_tried = 2,
	.mode = MODE_SYMMETRIC,
	.phase = PHONE_REGISTERED,
	.misses = 3,
	.cause = RECORD_REGISTERED,
	.transition = 0x1234,
	.rtt_100us = 0x00fa,
	.since_unix_ms = 0x0198abcdef01,
	.registrations_failed = 0x0102,
	.failovers = 0x0304,
	.failbacks = 0x0506,
	.registrations_ok = 0x0708090a,
	.keepalives_sent = 0x0b0c0d0e,
	.keepalives_missed = 0x0f101112,
};

static const uint8_t golden[RECORD_SIZE] = {0x3a, 0x05, 0x03, 0x08, 0x12, 0x34, 0x00, 0xfa, 0x01,
	0x98, 0xab, 0xcd, 0xef, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
	0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12};

static void bytes_are_as_documented(void **state)
{
	(void)state;
	uint8_t bytes[RECORD_SIZE];
	struct record_view view;
	record_format(&sample, bytes);
	assert_memory_equal(bytes, golden, RECORD_SIZE);
	record_parse(golden, &view);
#define SAME(field) assert_int_equal(view.field, sample.field)
	SAME(version), SAME(registered), SAME(last_tried), SAME(mode), SAME(phase), SAME(misses);
	SAME(cause), SAME(transition), SAME(rtt_100us), SAME(since_unix_ms);
	SAME(registrations_failed), SAME(failovers), SAME(failbacks), SAME(registrations_ok);
	SAME(keepalives_sent), SAME(keepalives_missed);
}

static void nothing_is_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint8_t bytes[RECORD_SIZE], again[RECORD_SIZE];
		struct record_view view;
		struct phone_record record;
		fill(bytes, sizeof(bytes));
		record_parse(bytes, &view);
		record_format(&view, again);
		assert_memory_equal(bytes, again, RECORD_SIZE);
		record_restore(&record, bytes);
		record_copy(&record, again);
		assert_memory_equal(bytes, again, RECORD_SIZE);
		assert_memory_equal(&record, bytes, RECORD_SIZE);
		unsigned expected = view.version == RECORD_VERSION && view.last_tried < 3
					    ? view.last_tried
					    : 0;
		assert_int_equal(record_last_tried(&record), expected);
	}
}

static void storing_words_leaves_the_others(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 4; first++) {
		for (unsigned count = 0; first + count <= 4; count++) {
			struct phone_record record;
			struct record_view view;
			uint8_t before[RECORD_SIZE], after[RECORD_SIZE];
			fill(before, sizeof(before));
			record_restore(&record, before);
			record_store(&record, &sample, first, count);
			record_copy(&record, after);
			memcpy(before + 8 * first, golden + 8 * first, 8 * count);
			assert_memory_equal(before, after, RECORD_SIZE);
			record_load(&record, &view);
			record_format(&view, after);
			assert_memory_equal(before, after, RECORD_SIZE);
		}
	}
}

static void causes_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < RECORD_CAUSES; i++) {
		const char *name = record_cause_name((enum record_cause)i);
		assert_string_not_equal(name, "?");
		assert_null(strpbrk(name, " _>"));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, record_cause_name((enum record_cause)j));
	}
	assert_string_equal(record_cause_name(RECORD_KEEPALIVE_SILENCE), "keepalive-silence");
	assert_string_equal(record_cause_name(RECORD_CAUSES), "?");
}

int main(void)
{
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_as_documented),
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(storing_words_leaves_the_others),
		cmocka_unit_test(causes_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
