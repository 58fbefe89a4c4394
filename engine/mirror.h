/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror: every phone's record, and what changed since somebody looked. Workers publish into it,
 * the store's thread carries it to Redis; neither ever waits for the other.
 *
 * A worker publishes a transition in this order: the record, the phone's dirty bit, the shard's dirty
 * byte, then 16 bytes into its feed, of each reader. The store's thread clears the bits before it
 * copies a record: a change in between is seen twice rather than never. Counts and round trips do not
 * set bits.
 *
 * Workers never call malloc, lock, log or make system calls here, and the feed's ring has a fixed
 * size: when it is full, lines are counted and dropped.
 */
#ifndef SIPHERD_MIRROR_H
#define SIPHERD_MIRROR_H

#include "record.h"

#define MIRROR_WORKERS_MAX 16
#define MIRROR_DIRTY_WORDS ((SHARD_PHONES + 63) / 64) /* of one shard */
#define MIRROR_FEED_LINES (1u << 18)                  /* per worker; a power of two */

/* A transition on its way to the feed. */
struct mirror_line {
	uint32_t phone;
	uint8_t from, to; /* registered | last tried << 2, as in byte 0 of a record */
	uint8_t phase;    /* entered, enum phone_state */
	uint8_t cause;    /* enum record_cause */
	uint64_t at;      /* unix ms << 16 | transition number */
};
static_assert(sizeof(struct mirror_line) == 16, "two words per line");

/* Who hears of transitions. Each has rings of its own, so that a slow one costs the other nothing. */
enum mirror_reader {
	MIRROR_STORE, /* the store's thread */
	MIRROR_WATCH, /* the control thread, for HTTP; only where the mirror is watched */
	MIRROR_READERS
};

struct mirror_feed; /* one writer (the worker), one reader */

struct mirror {
	uint32_t phones, shards;
	unsigned workers;
	struct phone_record *record; /* [phones]; worker of the phone writes */
	/* [shards][MIRROR_DIRTY_WORDS]; workers set bits, the store's thread clears them */
	_Atomic uint64_t *dirty;
	/* [shards]: bits may be set in this shard. Workers set, the store's thread clears first. */
	_Atomic uint8_t *shard_dirty;
	/* [shards][workers]: not 0: that worker may send for phones of this shard. The worker writes how
	 * many of its herds have taken a HERD_ADOPT and not yet carried out a HERD_RELEASE. */
	_Atomic uint8_t *driven;
	/* [shards]: we answer ARP, NDP and ping for these phones. Control thread writes. */
	_Atomic uint8_t *here;
	struct mirror_feed *feed[MIRROR_READERS][MIRROR_WORKERS_MAX]; /* NULL: nobody watches */
	/* Unix time in us at the herd's time 0; control thread writes before the first phone starts. */
	_Atomic uint64_t unix_start_us;
	/* The herd's time after which no lease is sure any more: workers send nothing from then on.
	 * UINT64_MAX: for ever. The store's thread writes, again and again while leases are renewed. */
	_Atomic uint64_t lease_over_us;
};

/* records: [phones] from the image file, to be kept by the caller; NULL: memory of our own. watched:
 * there is a MIRROR_WATCH. lease_over_us starts as UINT64_MAX, driven and here as 0. 0 or -ENOMEM. */
int mirror_create(struct mirror **out, uint32_t phones, unsigned workers,
	struct phone_record *records, bool watched);
void mirror_free(struct mirror *mirror);
uint64_t mirror_memory(const struct mirror *mirror); /* bytes, records included */

/* --- For workers --- */

/* A phone entered a phase: rewrites words 0 to 2 from *view (whose transition number and time the
 * caller has set), marks the phone dirty and writes a feed line. before: byte 0 & 15 until now. */
void mirror_publish(struct mirror *mirror, unsigned worker, uint32_t phone,
	const struct record_view *view, uint8_t before);

/* The phone's record has changed by more than counts, without a transition. */
void mirror_mark(struct mirror *mirror, uint32_t phone);

/* --- For readers of transitions, each on a thread of its own --- */

/* Take at most `max` lines of one worker's feed, oldest first. None where nobody watches. */
size_t mirror_take_lines(struct mirror *mirror, enum mirror_reader reader, unsigned worker,
	struct mirror_line *out, size_t max);
/* Lines dropped by this worker because this reader's ring was full, since the start. */
uint64_t mirror_lines_dropped(
	const struct mirror *mirror, enum mirror_reader reader, unsigned worker);

/* --- For the store's thread --- */

/* Clears a shard's dirty bits and copies them to out; true when any was set. Cheap for a clean shard:
 * one byte is read. */
bool mirror_take_dirty(struct mirror *mirror, uint32_t shard, uint64_t out[MIRROR_DIRTY_WORDS]);
/* Set them again: a flush failed. */
void mirror_put_back(
	struct mirror *mirror, uint32_t shard, const uint64_t bits[MIRROR_DIRTY_WORDS]);
/* Mark every phone of a shard: it must be rewritten. */
void mirror_mark_shard(struct mirror *mirror, uint32_t shard);
/* No worker drives any phone of this shard. */
bool mirror_shard_stopped(const struct mirror *mirror, uint32_t shard);

static inline uint32_t mirror_shard_phones(const struct mirror *mirror, uint32_t shard)
{
	const uint32_t first = shard * SHARD_PHONES;
	return mirror->phones - first < SHARD_PHONES ? mirror->phones - first : SHARD_PHONES;
}

#endif
