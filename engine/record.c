/* SPDX-License-Identifier: BSD-3-Clause */
#include "record.h"

#include <endian.h>
#include <string.h>

static const char *const cause_names[RECORD_CAUSES] = {
	[RECORD_NONE] = "none",
	[RECORD_KEEPALIVE_SILENCE] = "keepalive-silence",
	[RECORD_KEEPALIVE_ANSWER] = "keepalive-answer",
	[RECORD_REGISTER_SILENCE] = "register-silence",
	[RECORD_REFRESH_SILENCE] = "refresh-silence",
	[RECORD_CODE] = "code",
	[RECORD_START] = "start",
	[RECORD_DUE] = "due",
	[RECORD_REGISTERED] = "registered",
	[RECORD_REFUSED] = "refused",
	[RECORD_REBOOT] = "reboot",
	[RECORD_DISABLED] = "disabled",
	[RECORD_STOPPED] = "stopped",
};

const char *record_cause_name(enum record_cause cause)
{
	return (unsigned)cause < RECORD_CAUSES ? cause_names[cause] : "?";
}

static void view_of(const uint64_t word[4], struct record_view *out)
{
	const uint8_t where = (uint8_t)(word[0] >> 56);
	*out = (struct record_view){
		.version = where >> 5,
		.registered = where & 3,
		.last_tried = where >> 2 & 3,
		.mode = where >> 4 & 1,
		.phase = (uint8_t)(word[0] >> 48),
		.misses = (uint8_t)(word[0] >> 40),
		.cause = (uint8_t)(word[0] >> 32),
		.transition = (uint16_t)(word[0] >> 16),
		.rtt_100us = (uint16_t)word[0],
		.since_unix_ms = word[1] >> 16,
		.registrations_failed = (uint16_t)word[1],
		.failovers = (uint16_t)(word[2] >> 48),
		.failbacks = (uint16_t)(word[2] >> 32),
		.registrations_ok = (uint32_t)word[2],
		.keepalives_sent = (uint32_t)(word[3] >> 32),
		.keepalives_missed = (uint32_t)word[3],
	};
}

static void words_of(const struct record_view *view, uint64_t out[4])
{
	const unsigned where = (view->version & 7u) << 5 | (view->mode & 1u) << 4 |
			       (view->last_tried & 3u) << 2 | (view->registered & 3u);
	out[0] = (uint64_t)where << 56 | (uint64_t)view->phase << 48 |
		 (uint64_t)view->misses << 40 | (uint64_t)view->cause << 32 |
		 (uint64_t)view->transition << 16 | view->rtt_100us;
	out[1] = view->since_unix_ms << 16 | view->registrations_failed;
	out[2] = (uint64_t)view->failovers << 48 | (uint64_t)view->failbacks << 32 |
		 view->registrations_ok;
	out[3] = (uint64_t)view->keepalives_sent << 32 | view->keepalives_missed;
}

void record_parse(const uint8_t bytes[RECORD_SIZE], struct record_view *out)
{
	uint64_t word[4];
	memcpy(word, bytes, sizeof(word));
	for (int i = 0; i < 4; i++)
		word[i] = be64toh(word[i]);
	view_of(word, out);
}

void record_format(const struct record_view *view, uint8_t out[RECORD_SIZE])
{
	uint64_t word[4];
	words_of(view, word);
	for (int i = 0; i < 4; i++)
		word[i] = htobe64(word[i]);
	memcpy(out, word, sizeof(word));
}

void record_load(const struct phone_record *record, struct record_view *out)
{
	uint64_t word[4];
	for (int i = 0; i < 4; i++)
		word[i] = be64toh(atomic_load_explicit(&record->word[i], memory_order_relaxed));
	view_of(word, out);
}

void record_store(
	struct phone_record *record, const struct record_view *view, unsigned first, unsigned count)
{
	uint64_t words[4];
	words_of(view, words);
	for (unsigned i = first; i < first + count; i++)
		atomic_store_explicit(&record->word[i], htobe64(words[i]), memory_order_relaxed);
}

void record_copy(const struct phone_record *from, uint8_t out[RECORD_SIZE])
{
	uint64_t word[4];
	for (int i = 0; i < 4; i++)
		word[i] = atomic_load_explicit(&from->word[i], memory_order_relaxed);
	memcpy(out, word, sizeof(word));
}

void record_restore(struct phone_record *to, const uint8_t bytes[RECORD_SIZE])
{
	uint64_t word[4];
	memcpy(word, bytes, sizeof(word));
	for (int i = 0; i < 4; i++)
		atomic_store_explicit(&to->word[i], word[i], memory_order_relaxed);
}

unsigned record_last_tried(const struct phone_record *record)
{
	const uint64_t word = atomic_load_explicit(&record->word[0], memory_order_relaxed);
	const uint8_t where = (uint8_t)(be64toh(word) >> 56);
	if (where >> 5 != RECORD_VERSION)
		return 0;
	const unsigned tried = where >> 2 & 3;
	return tried <= PROXIES ? tried : 0;
}
