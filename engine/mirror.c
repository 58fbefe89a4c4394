/* SPDX-License-Identifier: BSD-3-Clause */
#include "mirror.h"

#include "memory.h"

#include <errno.h>
#include <stdlib.h>

#define LINE 64 /* bytes of a cache line */

/* A ring with one writer and one reader; each keeps its own counts in a cache line of its own, and a
 * copy of the other's, looked at only when the ring seems full or empty. */
struct mirror_feed {
	_Alignas(LINE) _Atomic uint64_t put;   /* lines written so far; the worker writes */
	_Atomic uint64_t dropped;              /* the worker writes */
	uint64_t taken_seen;                   /* the worker's own */
	_Alignas(LINE) _Atomic uint64_t taken; /* lines read so far; the reader writes */
	uint64_t put_seen;                     /* the reader's own */
	_Alignas(LINE) struct mirror_line line[MIRROR_FEED_LINES];
};

/* What the header does not show. */
struct whole {
	struct mirror mirror; /* first */
	void *records;        /* when they are ours */
};

/* Records of our own: two of them in each cache line, never one across. */
static bool take_records(struct whole *whole)
{
	whole->records = memory_take((size_t)whole->mirror.phones * RECORD_SIZE);
	whole->mirror.record = whole->records;
	return whole->records != NULL;
}

/* The lines are left untouched: a ring that is never filled costs little. */
static struct mirror_feed *feed_create(void)
{
	struct mirror_feed *feed = aligned_alloc(LINE, sizeof(*feed));
	if (feed == NULL)
		return NULL;
	atomic_init(&feed->put, 0);
	atomic_init(&feed->dropped, 0);
	atomic_init(&feed->taken, 0);
	feed->taken_seen = 0;
	feed->put_seen = 0;
	return feed;
}

static bool make_feeds(struct mirror *mirror, enum mirror_reader reader)
{
	for (unsigned i = 0; i < mirror->workers; i++) {
		mirror->feed[reader][i] = feed_create();
		if (mirror->feed[reader][i] == NULL)
			return false;
	}
	return true;
}

int mirror_create(struct mirror **out, uint32_t phones, unsigned workers,
	struct phone_record *records, bool watched)
{
	if (phones == 0 || workers == 0 || workers > MIRROR_WORKERS_MAX)
		return -EINVAL;
	struct whole *whole = calloc(1, sizeof(*whole));
	if (whole == NULL)
		return -ENOMEM;
	struct mirror *mirror = &whole->mirror;
	mirror->phones = phones;
	mirror->shards = (phones - 1) / SHARD_PHONES + 1;
	mirror->workers = workers;
	mirror->record = records;
	mirror->dirty = calloc((size_t)mirror->shards * MIRROR_DIRTY_WORDS, sizeof(uint64_t));
	mirror->shard_dirty = calloc(mirror->shards, 1);
	mirror->driven = calloc((size_t)mirror->shards * workers, 1);
	mirror->here = calloc(mirror->shards, 1);
	atomic_init(&mirror->lease_over_us, UINT64_MAX);
	bool made = mirror->dirty != NULL && mirror->shard_dirty != NULL &&
		    mirror->driven != NULL && mirror->here != NULL &&
		    (records != NULL || take_records(whole)) && make_feeds(mirror, MIRROR_STORE) &&
		    (!watched || make_feeds(mirror, MIRROR_WATCH));
	if (!made) {
		mirror_free(mirror);
		return -ENOMEM;
	}
	*out = mirror;
	return 0;
}

void mirror_free(struct mirror *mirror)
{
	if (mirror == NULL)
		return;
	struct whole *whole = (struct whole *)mirror;
	for (int reader = 0; reader < MIRROR_READERS; reader++)
		for (unsigned i = 0; i < mirror->workers; i++)
			free(mirror->feed[reader][i]);
	free(mirror->dirty);
	free(mirror->shard_dirty);
	free(mirror->driven);
	free(mirror->here);
	memory_give(whole->records, (size_t)mirror->phones * RECORD_SIZE);
	free(whole);
}

uint64_t mirror_memory(const struct mirror *mirror)
{
	const uint64_t shard = MIRROR_DIRTY_WORDS * sizeof(uint64_t) + 2 + mirror->workers;
	const uint64_t readers = mirror->feed[MIRROR_WATCH][0] != NULL ? MIRROR_READERS : 1;
	return sizeof(struct whole) + (uint64_t)mirror->phones * RECORD_SIZE +
	       mirror->shards * shard + readers * mirror->workers * sizeof(struct mirror_feed);
}

/* A bit before its shard's byte. Both sides change the word by read-modify-write, so one of them is
 * first: either the bit is taken with the others, or we see that the byte has been cleared. */
static void set_bits(struct mirror *mirror, uint32_t shard, uint32_t word, uint64_t bits)
{
	_Atomic uint8_t *byte = &mirror->shard_dirty[shard];
	atomic_fetch_or_explicit(&mirror->dirty[(size_t)shard * MIRROR_DIRTY_WORDS + word], bits,
		memory_order_acq_rel);
	if (atomic_load_explicit(byte, memory_order_relaxed) == 0)
		atomic_store_explicit(byte, 1, memory_order_release);
}

void mirror_mark(struct mirror *mirror, uint32_t phone)
{
	const uint32_t shard = phone / SHARD_PHONES, within = phone % SHARD_PHONES;
	set_bits(mirror, shard, within / 64, 1ull << within % 64);
}

static void put_line(struct mirror_feed *feed, const struct mirror_line *line)
{
	const uint64_t put = atomic_load_explicit(&feed->put, memory_order_relaxed);
	if (put - feed->taken_seen == MIRROR_FEED_LINES)
		feed->taken_seen = atomic_load_explicit(&feed->taken, memory_order_acquire);
	if (put - feed->taken_seen == MIRROR_FEED_LINES) {
		const uint64_t n = atomic_load_explicit(&feed->dropped, memory_order_relaxed);
		/* Whoever sees the count sees the record that the line was about. */
		atomic_store_explicit(&feed->dropped, n + 1, memory_order_release);
		return;
	}
	feed->line[put % MIRROR_FEED_LINES] = *line;
	atomic_store_explicit(&feed->put, put + 1, memory_order_release);
}

void mirror_publish(struct mirror *mirror, unsigned worker, uint32_t phone,
	const struct record_view *view, uint8_t before)
{
	record_store(&mirror->record[phone], view, 0, 3);
	mirror_mark(mirror, phone);
	const struct mirror_line line = {
		.phone = phone,
		.from = before,
		.to = (uint8_t)(view->last_tried << 2 | view->registered),
		.phase = view->phase,
		.cause = view->cause,
		.at = view->since_unix_ms << 16 | view->transition,
	};
	put_line(mirror->feed[MIRROR_STORE][worker], &line);
	if (mirror->feed[MIRROR_WATCH][worker] != NULL)
		put_line(mirror->feed[MIRROR_WATCH][worker], &line);
}

size_t mirror_take_lines(struct mirror *mirror, enum mirror_reader reader, unsigned worker,
	struct mirror_line *out, size_t max)
{
	struct mirror_feed *feed = mirror->feed[reader][worker];
	if (feed == NULL)
		return 0;
	const uint64_t taken = atomic_load_explicit(&feed->taken, memory_order_relaxed);
	if (feed->put_seen - taken < max)
		feed->put_seen = atomic_load_explicit(&feed->put, memory_order_acquire);
	const uint64_t there = feed->put_seen - taken;
	const size_t n = there < max ? (size_t)there : max;
	for (size_t i = 0; i < n; i++)
		out[i] = feed->line[(taken + i) % MIRROR_FEED_LINES];
	atomic_store_explicit(&feed->taken, taken + n, memory_order_release);
	return n;
}

uint64_t mirror_lines_dropped(
	const struct mirror *mirror, enum mirror_reader reader, unsigned worker)
{
	const struct mirror_feed *feed = mirror->feed[reader][worker];
	return feed != NULL ? atomic_load_explicit(&feed->dropped, memory_order_acquire) : 0;
}

bool mirror_take_dirty(struct mirror *mirror, uint32_t shard, uint64_t out[MIRROR_DIRTY_WORDS])
{
	_Atomic uint64_t *dirty = &mirror->dirty[(size_t)shard * MIRROR_DIRTY_WORDS];
	if (atomic_load_explicit(&mirror->shard_dirty[shard], memory_order_acquire) == 0)
		return false;
	atomic_store_explicit(&mirror->shard_dirty[shard], 0, memory_order_relaxed);
	uint64_t any = 0;
	for (uint32_t i = 0; i < MIRROR_DIRTY_WORDS; i++) {
		/* Also where no bit is set: whoever sets one afterwards must see the byte cleared. */
		out[i] = atomic_exchange_explicit(&dirty[i], 0, memory_order_acq_rel);
		any |= out[i];
	}
	return any != 0;
}

void mirror_put_back(struct mirror *mirror, uint32_t shard, const uint64_t bits[MIRROR_DIRTY_WORDS])
{
	for (uint32_t i = 0; i < MIRROR_DIRTY_WORDS; i++) {
		if (bits[i] != 0)
			set_bits(mirror, shard, i, bits[i]);
	}
}

void mirror_mark_shard(struct mirror *mirror, uint32_t shard)
{
	const uint32_t phones = mirror_shard_phones(mirror, shard);
	for (uint32_t i = 0; i < phones; i += 64) {
		const uint32_t left = phones - i;
		set_bits(mirror, shard, i / 64, left < 64 ? (1ull << left) - 1 : UINT64_MAX);
	}
}

bool mirror_shard_stopped(const struct mirror *mirror, uint32_t shard)
{
	const _Atomic uint8_t *driven = &mirror->driven[(size_t)shard * mirror->workers];
	for (unsigned i = 0; i < mirror->workers; i++) {
		if (atomic_load_explicit(&driven[i], memory_order_acquire) != 0)
			return false;
	}
	return true;
}
