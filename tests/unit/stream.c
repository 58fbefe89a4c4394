/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring of events: every reader sees each event exactly once and in order, or is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "stream.h"

#define SECOND 1000000ull
#define READERS 12
#define STEPS 20000
#define READ_MAX 5000

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

static void an_event_as_it_is_sent(void **state)
{
	(void)state;
	struct stream *stream = stream_open("beef");
	char out[100] = "";
	bool replayed = true;
	uint64_t at = stream_begin(stream, NULL, &replayed);
	assert_false(replayed);
	assert_int_equal(stream_read(stream, &at, out, sizeof(out)), 0);
	assert_int_equal(stream_newest(stream), 0);
	assert_int_equal(stream_add(stream, "tick", "{\"a\":1}", 7, 5), 1);
	assert_int_equal(stream_read(stream, &at, out, 10), 10);
	assert_true(stream_read(stream, &at, out + 10, sizeof(out) - 11) > 0);
	assert_string_equal(out, "id: beef.1\nevent: tick\ndata: {\"a\":1}\n\n");
	assert_int_equal(stream_read(stream, &at, out, sizeof(out)), 0);
	assert_string_equal(stream_run(stream), "beef");
	stream_close(stream);
	assert_null(stream_open("a name of a run that is longer than any"));
}

/* Which identifiers are taken for one of ours, and where their reader goes on. */
static void who_comes_back(void **state)
{
	(void)state;
	static const char *const strange[] = {"", ".", "beef", "beef.", "beef.x", "beef.1x",
		"beef.-1", "bee.1", "beefy.1", "other.1", "beef.18446744073709551617", "beef.4",
		"beef. 1", "1"};
	struct stream *stream = stream_open("beef");
	bool replayed;
	char id[40], out[200];
	for (int i = 0; i < 3; i++)
		stream_add(stream, "e", "x", 1, SECOND * i);
	const uint64_t end = stream_begin(stream, NULL, &replayed);
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		assert_int_equal(stream_begin(stream, strange[i], &replayed), end);
		assert_false(replayed);
	}
	for (int i = 0; i <= 3; i++) {
		snprintf(id, sizeof(id), "beef.%d", i);
		uint64_t at = stream_begin(stream, id, &replayed);
		assert_true(replayed);
		const long n = stream_read(stream, &at, out, sizeof(out) - 1);
		assert_int_equal(n > 0, i < 3);
		out[n] = '\0';
		snprintf(id, sizeof(id), "id: beef.%d\n", i + 1);
		assert_int_equal(strncmp(out, id, strlen(id)) == 0, i < 3);
	}
	/* A minute later the first two are gone: who had seen the first one has missed the second. */
	stream_add(stream, "e", "x", 1, SECOND * (STREAM_REPLAY_S + 1) + 1);
	stream_begin(stream, "beef.1", &replayed);
	assert_false(replayed);
	stream_begin(stream, "beef.2", &replayed);
	assert_true(replayed);
	stream_close(stream);
}

/* What cannot be told takes a number, and whoever had not read all before it knows. */
static void too_long_an_event(void **state)
{
	(void)state;
	struct stream *stream = stream_open("beef");
	char *large = calloc(1, STREAM_BYTES), out[100];
	bool replayed;
	uint64_t at = stream_begin(stream, NULL, &replayed), behind;
	memset(large, 'x', STREAM_BYTES);
	stream_add(stream, "e", "x", 1, 1);
	behind = stream_begin(stream, NULL, &replayed);
	assert_int_equal(stream_add(stream, "e", large, STREAM_BYTES, 2), 2);
	const uint64_t after = stream_begin(stream, NULL, &replayed);
	assert_int_equal(stream_add(stream, "e", "y", 1, 3), 3);
	assert_int_equal(stream_read(stream, &at, out, sizeof(out)), -1);
	assert_int_equal(stream_read(stream, &behind, out, sizeof(out)), -1);
	at = after;
	assert_true(stream_read(stream, &at, out, sizeof(out)) > 0);
	stream_begin(stream, "beef.1", &replayed);
	assert_false(replayed);
	free(large);
	stream_close(stream);
}

/* A reader, and what it has made of the bytes it was given. */
struct reader {
	bool listens, dropped;
	uint64_t position, next; /* number of the event that comes next */
	char held[READ_MAX * 40];
	size_t holds;
};

/* What event n says: its length and its bytes are functions of n. */
static size_t data_of(uint64_t n, char *out)
{
	const size_t length = n % 97 == 0 ? 90000 + n % 1000 : n * 7919 % 300;
	for (size_t i = 0; i < length; i++)
		out[i] = (char)('a' + (n + i) % 26);
	return length;
}

static void take_events(struct reader *reader)
{
	static char data[100000], whole[100200];
	for (;;) {
		const size_t length = data_of(reader->next, data);
		int n = snprintf(whole, sizeof(whole),
			"id: run.%" PRIu64 "\nevent: e%" PRIu64 "\ndata: ", reader->next,
			reader->next % 10);
		memcpy(whole + n, data, length);
		memcpy(whole + n + length, "\n\n", 2);
		const size_t all = (size_t)n + length + 2;
		/* Also of an event that has come in part. */
		assert_memory_equal(reader->held, whole, all < reader->holds ? all : reader->holds);
		if (reader->holds < all)
			return;
		reader->holds -= all;
		memmove(reader->held, reader->held + all, reader->holds);
		reader->next++;
	}
}

static void read_some(struct stream *stream, struct reader *reader)
{
	const size_t room = 1 + random_below(READ_MAX);
	const long n = stream_read(stream, &reader->position, reader->held + reader->holds, room);
	if (n < 0) {
		reader->listens = false;
		reader->dropped = true;
		return;
	}
	assert_true((size_t)n <= room);
	reader->holds += (size_t)n;
	take_events(reader);
	assert_true(n > 0 || reader->next == stream_newest(stream) + 1);
}

static void join(struct stream *stream, struct reader *reader)
{
	char id[40];
	bool replayed;
	uint64_t last = stream_newest(stream);
	last -= last > 0 ? random_below(last < 4000 ? (uint32_t)last : 4000) : 0;
	snprintf(id, sizeof(id), "run.%" PRIu64, last);
	reader->position = stream_begin(stream, id, &replayed);
	reader->next = (replayed ? last : stream_newest(stream)) + 1;
	reader->holds = 0;
	reader->listens = true;
}

static void each_event_once_or_dropped(void **state)
{
	(void)state;
	static struct reader reader[READERS];
	static char data[100000];
	struct stream *stream = stream_open("run");
	uint64_t now_us = SECOND;
	unsigned drops = 0;
	for (int i = 0; i < STEPS; i++) {
		char name[8];
		const uint64_t n = stream_newest(stream) + 1;
		snprintf(name, sizeof(name), "e%d", (int)(n % 10));
		assert_int_equal(stream_add(stream, name, data, data_of(n, data), now_us), n);
		now_us += random_below(40000);
		for (int r = 0; r < READERS; r++) {
			struct reader *one = &reader[r];
			if (!one->listens && random_below(100) == 0)
				join(stream, one);
			else if (one->listens && random_below(20) == 0 && random_below(50) == 0)
				one->listens = false;
			/* Some hardly ever read. */
			else if (one->listens && random_below(1 + (uint32_t)(r * r * r)) < 3)
				read_some(stream, one);
			drops += one->dropped;
			one->dropped = false;
		}
	}
	assert_true(drops > 0);
	for (int r = 0; r < READERS; r++)
		while (reader[r].listens && reader[r].next <= stream_newest(stream))
			read_some(stream, &reader[r]);
	stream_close(stream);
}

/* However much is told, no more than STREAM_BYTES are kept. */
static void bytes_are_bounded(void **state)
{
	(void)state;
	struct stream *stream = stream_open("run");
	const size_t length = 1 << 20;
	char *data = malloc(length), id[40], *out = malloc(length);
	bool replayed;
	memset(data, 'x', length);
	for (uint64_t i = 0; i < 200; i++)
		stream_add(stream, "e", data, length, SECOND);
	uint64_t kept = 0;
	for (uint64_t i = 1; i <= 200; i++) {
		snprintf(id, sizeof(id), "run.%" PRIu64, i - 1);
		uint64_t at = stream_begin(stream, id, &replayed);
		kept += replayed;
		if (replayed)
			assert_int_equal(stream_read(stream, &at, out, length), length);
	}
	assert_int_equal(kept, STREAM_BYTES / length - 1);
	free(out);
	free(data);
	stream_close(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_as_it_is_sent),
		cmocka_unit_test(who_comes_back),
		cmocka_unit_test(too_long_an_event),
		cmocka_unit_test(each_event_once_or_dropped),
		cmocka_unit_test(bytes_are_bounded),
	};
	const char *given = getenv("SEED");
	seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) | 1;
	printf("SEED=%" PRIu64 "\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
