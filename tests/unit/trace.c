/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces without a wire: who is kept, who gives way, what is lost, what is hidden, and the file. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frame.h"
#include "mask.h"
#include "pcapng.h"
#include "trace.h"

#define START_US 1700000000000000ull

struct bench {
	struct trace_book book;
	struct trace_tap tap;
	struct wire_trace seen;
};

static void open_bench(struct bench *bench)
{
	*bench = (struct bench){0};
	trace_book_open(&bench->book);
	atomic_store(&bench->tap.ring, trace_ring_create());
	assert_non_null(atomic_load(&bench->tap.ring));
}

static void close_bench(struct bench *bench)
{
	trace_book_close(&bench->book);
	free(atomic_load(&bench->tap.ring));
}

static struct trace_entry *begin(struct bench *bench, uint32_t phone)
{
	struct trace_entry *entry = trace_begin(&bench->book, phone, START_US);
	assert_non_null(entry);
	entry->dropped_before = trace_dropped(&bench->tap);
	trace_watch(&bench->tap, (unsigned)(entry - bench->book.entry), phone);
	return entry;
}

static const struct wire_trace *show(struct bench *bench, uint32_t phone)
{
	trace_collect(&bench->book, &bench->tap, START_US);
	struct trace_entry *entry = trace_find(&bench->book, phone);
	assert_non_null(entry);
	trace_show(entry, trace_dropped(&bench->tap), &bench->seen);
	return &bench->seen;
}

/* As a worker does it. */
static void put(struct bench *bench, uint32_t phone, const struct trace_frame *frame)
{
	if (trace_may_want(&bench->tap, phone))
		trace_put(&bench->tap, phone, frame);
}

/* A datagram with this text; its checksum is filled in, or left at what a kernel would leave. */
static struct trace_frame datagram(uint8_t *out, const char *text, uint64_t now_us, bool open)
{
	struct address from, to;
	assert_int_equal(address_parse("10.20.0.5", &from), 0);
	assert_int_equal(address_parse("10.10.0.1", &to), 0);
	const struct frame_link link = {.source = {2}, .destination = {2, 1}};
	struct frame_path path;
	const uint16_t n = (uint16_t)strlen(text);
	frame_path_make(&path, &link, FRAME_OPEN_SOURCE, &to, 5060);
	uint8_t *payload = frame_path_udp(&path, out, &from, 5060, n);
	memcpy(payload, text, n);
	if (open)
		frame_udp_offload(out + 14, ADDRESS_IPV4);
	else
		frame_udp_checksum(out + 14, ADDRESS_IPV4);
	return (struct trace_frame){.bytes = out,
		.length = (uint32_t)(payload - out) + n,
		.payload = payload,
		.payload_length = n,
		.now_us = now_us,
		.open = open};
}

static void put_text(struct bench *bench, uint32_t phone, const char *text, uint64_t now_us)
{
	uint8_t bytes[WIRE_TRACE_FRAME_MAX];
	const struct trace_frame frame = datagram(bytes, text, now_us, false);
	put(bench, phone, &frame);
}

static void assert_text(const struct wire_message *message, const char *text)
{
	assert_int_equal(message->payload_length, strlen(text));
	assert_memory_equal(message->frame + message->payload, text, strlen(text));
}

/* Another phone with the same bit of the filter. */
static uint32_t namesake(uint32_t phone)
{
	uint32_t other = phone + 1;
	while (trace_bit(other) != trace_bit(phone))
		other++;
	return other;
}

static void only_traced_phones_are_kept(void **state)
{
	struct bench bench;
	(void)state;
	open_bench(&bench);
	assert_false(trace_may_want(&bench.tap, 7));
	assert_null(trace_find(&bench.book, 7));
	begin(&bench, 7);
	put_text(&bench, 7, "one", 1);
	put_text(&bench, namesake(7), "another", 2);
	assert_true(trace_may_want(&bench.tap, namesake(7)));
	put_text(&bench, 7, "two", 3);
	const struct wire_trace *seen = show(&bench, 7);
	assert_int_equal(seen->phone, 7);
	assert_int_equal(seen->since_unix_us, START_US);
	assert_int_equal(seen->count, 2);
	assert_text(seen->message[0], "one");
	assert_text(seen->message[1], "two");
	assert_int_equal(seen->message[1]->unix_us, START_US + 3);
	assert_int_equal(seen->dropped, 0);
	close_bench(&bench);
}

static void the_newest_are_kept(void **state)
{
	struct bench bench;
	char text[16];
	(void)state;
	open_bench(&bench);
	begin(&bench, 7);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%u", i);
		put_text(&bench, 7, text, i);
		if (i % 100 == 0)
			trace_collect(&bench.book, &bench.tap, START_US);
	}
	const struct wire_trace *seen = show(&bench, 7);
	assert_int_equal(seen->count, WIRE_TRACE_MESSAGES);
	assert_int_equal(seen->dropped, 0);
	for (unsigned i = 0; i < seen->count; i++) {
		snprintf(text, sizeof(text), "%u", 1000 - WIRE_TRACE_MESSAGES + i);
		assert_text(seen->message[i], text);
	}
	close_bench(&bench);
}

/* What does not fit is counted, in the traces that were there by then. */
static void losses_are_counted(void **state)
{
	struct bench bench;
	(void)state;
	open_bench(&bench);
	begin(&bench, 7);
	for (unsigned i = 0; i < TRACE_SLOTS + 5; i++)
		put_text(&bench, 7, "many", i);
	begin(&bench, 8);
	assert_int_equal(show(&bench, 7)->dropped, 5);
	assert_int_equal(bench.seen.count, WIRE_TRACE_MESSAGES);
	assert_int_equal(bench.seen.message[63]->unix_us, START_US + TRACE_SLOTS - 1);
	assert_int_equal(show(&bench, 8)->dropped, 0);
	put_text(&bench, 8, "room again", 1);
	assert_int_equal(show(&bench, 8)->count, 1);
	close_bench(&bench);
}

static void who_was_not_asked_longest_gives_way(void **state)
{
	struct bench bench;
	(void)state;
	open_bench(&bench);
	for (uint32_t phone = 0; phone < WIRE_TRACES; phone++)
		begin(&bench, phone);
	show(&bench, 0);
	put_text(&bench, 1, "in the ring when it gives way", 1);
	begin(&bench, 100);
	assert_null(trace_find(&bench.book, 1));
	for (uint32_t phone = 0; phone < WIRE_TRACES; phone++)
		if (phone != 1)
			assert_non_null(trace_find(&bench.book, phone));
	put_text(&bench, 1, "not any more", 2);
	put_text(&bench, 0, "still", 3);
	assert_int_equal(show(&bench, 100)->count, 0);
	assert_int_equal(show(&bench, 0)->count, 1);
	/* It comes back empty, in the place of phone 2: 0 and 100 were asked for since. */
	begin(&bench, 1);
	assert_null(trace_find(&bench.book, 2));
	assert_int_equal(show(&bench, 1)->count, 0);
	close_bench(&bench);
}

static void long_frames_are_cut(void **state)
{
	static char text[3000];
	static uint8_t bytes[3100];
	struct bench bench;
	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	open_bench(&bench);
	begin(&bench, 7);
	struct trace_frame frame = datagram(bytes, text, 1, false);
	put(&bench, 7, &frame);
	/* Headers that leave no room at all: nothing of the datagram is kept. */
	frame.payload = bytes + WIRE_TRACE_FRAME_MAX + 10;
	frame.payload_length = 20;
	put(&bench, 7, &frame);
	const struct wire_trace *seen = show(&bench, 7);
	assert_int_equal(seen->count, 2);
	assert_true(seen->message[0]->cut);
	assert_int_equal(seen->message[0]->length, frame.length);
	assert_int_equal(seen->message[0]->payload, 42);
	assert_int_equal(seen->message[0]->payload_length, WIRE_TRACE_FRAME_MAX - 42);
	assert_int_equal(seen->message[1]->payload, WIRE_TRACE_FRAME_MAX);
	assert_int_equal(seen->message[1]->payload_length, 0);
	close_bench(&bench);
}

#define SECRET "REGISTER sip:x SIP/2.0\r\nAuthorization: Digest response=\"0123\"\r\n\r\n"
#define HIDDEN "REGISTER sip:x SIP/2.0\r\nAuthorization: Digest response=\"xxxx\"\r\n\r\n"

static void credentials_are_masked(void **state)
{
	struct bench bench;
	uint8_t bytes[WIRE_TRACE_FRAME_MAX];
	struct frame f;
	(void)state;
	for (int open = 0; open < 2; open++) {
		open_bench(&bench);
		begin(&bench, 7);
		const struct trace_frame frame = datagram(bytes, SECRET, 1, open);
		put(&bench, 7, &frame);
		const struct wire_message *message = show(&bench, 7)->message[0];
		assert_int_equal(bench.seen.count, 1);
		assert_text(message, HIDDEN);
		/* The checksum fits what is shown. */
		assert_int_equal(
			frame_parse(message->frame, message->length, &(struct frame_rules){0}, &f),
			FRAME_UDP);
		close_bench(&bench);
	}
}

/* A cut frame's lengths contradict each other; what it says is hidden all the same. */
static void cut_credentials_are_masked(void **state)
{
	static char text[3000] = SECRET;
	static uint8_t bytes[3100];
	struct bench bench;
	(void)state;
	memset(text + strlen(SECRET), 'a', sizeof(text) - 1 - strlen(SECRET));
	open_bench(&bench);
	begin(&bench, 7);
	const struct trace_frame frame = datagram(bytes, text, 1, true);
	put(&bench, 7, &frame);
	const struct wire_message *message = show(&bench, 7)->message[0];
	assert_memory_equal(message->frame + message->payload, HIDDEN, strlen(HIDDEN));
	/* A checksum that reads as the beginning of the name does not hide it from us. */
	const size_t line = strcspn(SECRET, "\n") + 1;
	memmove(bytes + 42, bytes + 42 + line, strlen(SECRET) - line);
	bytes[41] = 'x';
	put(&bench, 7, &frame);
	message = show(&bench, 7)->message[1];
	assert_memory_equal(
		message->frame + message->payload, &HIDDEN[line], strlen(HIDDEN) - line);
	close_bench(&bench);
}

/* --- A worker and the control thread at once --- */

#define RUSH 200000

struct rush {
	struct bench bench;
	atomic_bool done;
};

static void *rush(void *argument)
{
	struct rush *rush = argument;
	uint8_t bytes[256];
	char text[64];
	for (unsigned i = 0; i < RUSH; i++) {
		snprintf(text, sizeof(text), "%u %u %u", i, i, i);
		const struct trace_frame frame = datagram(bytes, text, i, false);
		put(&rush->bench, 7, &frame);
	}
	atomic_store(&rush->done, true);
	return NULL;
}

/* Everything arrives whole and in order, or is counted as lost. */
static void nothing_is_torn(void **state)
{
	static struct rush shared;
	struct bench *bench = &shared.bench;
	pthread_t worker;
	uint64_t last = 0;
	bool done = false;
	(void)state;
	open_bench(bench);
	struct trace_entry *entry = begin(bench, 7);
	assert_int_equal(pthread_create(&worker, NULL, rush, &shared), 0);
	while (!done) {
		done = atomic_load(&shared.done); /* before the last look */
		const struct wire_trace *seen = show(bench, 7);
		for (unsigned i = 0; i < seen->count; i++) {
			const uint64_t at = seen->message[i]->unix_us - START_US;
			char text[64];
			snprintf(text, sizeof(text), "%u %u %u", (unsigned)at, (unsigned)at,
				(unsigned)at);
			assert_text(seen->message[i], text);
			assert_true(i == 0 || at > seen->message[i - 1]->unix_us - START_US);
			if (i + 1 == seen->count) {
				assert_true(at >= last);
				last = at;
			}
		}
	}
	pthread_join(worker, NULL);
	assert_int_equal(entry->put + trace_dropped(&bench->tap), RUSH);
	close_bench(bench);
}

/* --- The file --- */

static uint32_t word_at(const uint8_t *bytes)
{
	uint32_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

static void files_are_blocks(void **state)
{
	struct bench bench;
	char text[32];
	size_t length, at = PCAPNG_START;
	(void)state;
	open_bench(&bench);
	begin(&bench, 7);
	for (unsigned i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "%.*s", i, "12345678");
		uint8_t bytes[128];
		struct trace_frame frame = datagram(bytes, text, i, false);
		frame.inbound = i % 2;
		put(&bench, 7, &frame);
	}
	const struct wire_trace *seen = show(&bench, 7);
	uint8_t *file = wire_trace_pcapng(seen, &length);
	assert_non_null(file);
	for (unsigned i = 0; i < 9; i++) {
		const uint32_t size = word_at(file + at + 4);
		assert_true(length - at >= size && size % 4 == 0);
		assert_int_equal(word_at(file + at), 6);
		assert_int_equal(word_at(file + at + 20), 42 + i);
		assert_int_equal(word_at(file + at + 24), 42 + i);
		assert_memory_equal(
			file + at + 28, seen->message[i]->frame, seen->message[i]->length);
		/* epb_flags: 1 came in, 2 went out */
		assert_int_equal(word_at(file + at + size - 12), i % 2 ? 1 : 2);
		assert_int_equal(word_at(file + at + size - 4), size);
		at += size;
	}
	assert_int_equal(at, length);
	free(file);
	close_bench(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_traced_phones_are_kept),
		cmocka_unit_test(the_newest_are_kept),
		cmocka_unit_test(losses_are_counted),
		cmocka_unit_test(who_was_not_asked_longest_gives_way),
		cmocka_unit_test(long_frames_are_cut),
		cmocka_unit_test(credentials_are_masked),
		cmocka_unit_test(cut_credentials_are_masked),
		cmocka_unit_test(nothing_is_torn),
		cmocka_unit_test(files_are_blocks),
	};
	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
