/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the world may know of one phone: 32 bytes, the same in memory, in the image file and in
 * Redis (STORE.md section 2). Integers are big-endian, so that monitors in any language and Redis'
 * own BITFIELD_RO read them.
 *
 *   byte  0     bits 0-1 (value & 3): registered at, 0 none, 1 primary, 2 redundant
 *               bits 2-3: last tried, likewise, 0 never; bit 4: mode, 1 symmetric
 *               bits 5-7: record version, 0 for a record that was never written
 *         1     phase, enum phone_state
 *         2     consecutive keep-alives without answer
 *         3     cause of the last transition, enum record_cause
 *         4-5   transition number, modulo 2^16
 *         6-7   last round trip of a keep-alive, 0.1 ms, 65534 longer, 65535 none
 *         8-13  since: when the last transition was, unix ms
 *         14-15 registrations that failed (stops at 65535, like all counts below at their end)
 *         16-17 fail-overs, 18-19 fail-backs, 20-23 registrations that succeeded
 *         24-27 keep-alives sent, 28-31 of them without answer
 *
 * A record is four 64-bit words, each written and read whole: nothing that a restart needs, bytes
 * 0-7, is ever torn. The worker that drives the phone writes, the store's thread reads; before
 * a phone is driven the store's thread may write.
 */
#ifndef SIPHERD_RECORD_H
#define SIPHERD_RECORD_H

#include <assert.h>
#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phone.h"
#include "redundancy.h"

#define RECORD_SIZE 32
#define RECORD_VERSION 1
#define RECORD_RTT_NONE 65535
#define SHARD_PHONES 10000 /* phones of one shard: one slab in Redis, one lease */

struct phone_record {
	_Atomic uint64_t word[4]; /* big-endian in memory */
};
static_assert(sizeof(struct phone_record) == RECORD_SIZE, "the wire format");

/* Why a phone's phase changed. The first are enum switch_cause. */
enum record_cause {
	RECORD_NONE = CAUSE_NONE,
	RECORD_KEEPALIVE_SILENCE = CAUSE_KEEPALIVE_SILENCE,
	RECORD_KEEPALIVE_ANSWER = CAUSE_KEEPALIVE_ANSWER,
	RECORD_REGISTER_SILENCE = CAUSE_REGISTER_SILENCE,
	RECORD_REFRESH_SILENCE = CAUSE_REFRESH_SILENCE,
	RECORD_CODE = CAUSE_CODE,
	RECORD_START,      /* powered on, or adopted from another generator */
	RECORD_DUE,        /* a delay was over: boot, switch or retry */
	RECORD_REGISTERED, /* a 2xx that counts */
	RECORD_REFUSED,    /* a final answer that does not switch */
	RECORD_REBOOT,
	RECORD_DISABLED, /* redundancy was turned off */
	RECORD_STOPPED,  /* powered off, or left to another generator */
	RECORD_CAUSES
};

/* "keepalive-silence", ..., one word each, as it stands in the feed and in docs/redis.md. */
const char *record_cause_name(enum record_cause cause);

/* The same, taken apart. */
struct record_view {
	uint8_t version;    /* 0: never written, nothing else is valid */
	uint8_t registered; /* 0 none, else 1 + enum proxy */
	uint8_t last_tried; /* likewise, 0 never */
	uint8_t mode;       /* enum redundancy_mode */
	uint8_t phase;      /* enum phone_state */
	uint8_t misses;
	uint8_t cause; /* enum record_cause */
	uint16_t transition;
	uint16_t rtt_100us;
	uint64_t since_unix_ms; /* 48 bits */
	uint16_t registrations_failed;
	uint16_t failovers, failbacks;
	uint32_t registrations_ok;
	uint32_t keepalives_sent, keepalives_missed;
};

void record_parse(const uint8_t bytes[RECORD_SIZE], struct record_view *out);
void record_format(const struct record_view *view, uint8_t out[RECORD_SIZE]);

/* Whole words, relaxed: a copy may mix words of two moments, never the inside of a word. */
void record_copy(const struct phone_record *from, uint8_t out[RECORD_SIZE]);
void record_restore(struct phone_record *to, const uint8_t bytes[RECORD_SIZE]);

/* The same of a record in use: all of it taken apart, and words `first` and up rewritten. */
void record_load(const struct phone_record *record, struct record_view *out);
void record_store(struct phone_record *record, const struct record_view *view, unsigned first,
	unsigned count);

/* The same, of a copy of word 0, for those who look through many: 1 + enum proxy or 0; enum phone_state. */
static inline unsigned record_word_tried(uint64_t word)
{
	const uint8_t byte = (uint8_t)(be64toh(word) >> 56);
	return byte >> 5 == RECORD_VERSION ? byte >> 2 & 3 : 0;
}

static inline unsigned record_word_phase(uint64_t word)
{
	return (uint8_t)(be64toh(word) >> 48);
}

/* Last tried proxy of a record: 1 + enum proxy, 0 never or another version. One load. */
unsigned record_last_tried(const struct phone_record *record);

#endif
