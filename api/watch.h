/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every phone's state as people see it, and what changed: transitions of the mirror, taken ten times a
 * second. Control thread only, and bounded however fast phones change: who cannot be told each change
 * is told to look at the whole again.
 *
 * The map has 4 bits per phone, enum watch_state. Its sequence number grows with every batch of changes
 * that was told; a map of sequence N and all batches after N give the map of now.
 *
 * What it costs, in time of a processor of 2 shared vCPUs (AMD EPYC): a tick in which 65,536 phones
 * changed 4 ms among 1 million and 11 ms among 10 million, one that looks through 250,000 records 3 ms;
 * a map with states as mixed as can be 4 ms (331 kB) and 42 ms (3.3 MB). So that the last is done at
 * most once in 1.25 s, batches of large fleets are rarer: see watch.c.
 */
#ifndef SIPHERD_WATCH_H
#define SIPHERD_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror.h"

/* Eight states, in this order on the wire and in the legend. */
enum watch_state {
	WATCH_ELSEWHERE,      /* not driven here */
	WATCH_OFF,            /* driven here, but off, or not yet powered on in this run */
	WATCH_TRYING_PRIMARY, /* booting, registering or waiting for a retry there */
	WATCH_TRYING_REDUNDANT,
	WATCH_REGISTERED_PRIMARY,
	WATCH_REGISTERED_REDUNDANT,
	WATCH_FAILING_OVER, /* in the pause before it takes effect */
	WATCH_FAILING_BACK,
	WATCH_STATES
};

/* "elsewhere", "off", "trying-primary", ..., "failing-back". */
const char *watch_state_name(enum watch_state state);
enum watch_state watch_state_of(const struct record_view *view, bool driven);

#define WATCH_HISTORY 32       /* transitions shown of one phone */
#define WATCH_DELTA_MAX 16384  /* changes told in one batch; more are told by WATCH_RESYNC */
#define WATCH_DELTA_RECORD 5   /* bytes: phone, 32 bits big-endian; enum watch_state */
#define WATCH_SAMPLES_PER_S 20 /* transitions told one by one */
#define WATCH_MAP_HEADER 16    /* bytes: "SHM1"; phones, 32 bits; sequence, 64 bits; big-endian */

struct watch_transition {
	uint64_t unix_ms;
	uint32_t phone;
	uint16_t number;      /* modulo 2^16 */
	uint8_t from, to;     /* registered | last tried << 2, as in byte 0 of a record */
	uint8_t phase, cause; /* enum phone_state, enum record_cause */
};

struct watch_events {
	void *context;
	/* A batch: count records of WATCH_DELTA_RECORD bytes; at most 4 a second. */
	void (*delta)(void *context, uint64_t sequence, const uint8_t *records, size_t count);
	/* Too much has changed: look at the map of this sequence or later. */
	void (*resync)(void *context, uint64_t sequence);
	void (*transition)(void *context, const struct watch_transition *transition);
	/* Every line taken, in each phone's order. NULL: nobody wants them. */
	void (*lines)(void *context, const struct mirror_line *line, size_t count);
};

struct watch;

/* mirror must be watched (mirror_create) and outlive it; NULL mirror is not allowed. 0 or -ENOMEM. */
int watch_open(struct watch **out, struct mirror *mirror, const struct watch_events *events);
void watch_close(struct watch *watch);

/* Once per tick: take what has changed, tell it. */
void watch_update(struct watch *watch, uint64_t now_us);

/* Between two of these: take all lines that wait. For those who must not miss one; what has changed is told
 * by the next update. */
void watch_take(struct watch *watch);

uint64_t watch_sequence(const struct watch *watch);
/* Lines that were lost because the ring was full, since the start. */
uint64_t watch_dropped(const struct watch *watch);
/* Phones by state, all phones of the fleet. */
void watch_count(const struct watch *watch, uint32_t out[WATCH_STATES]);
enum watch_state watch_state(const struct watch *watch, uint32_t phone);

/* The newest transitions of one phone, newest first; *complete: older ones never were. */
size_t watch_history(const struct watch *watch, uint32_t phone,
	struct watch_transition out[WATCH_HISTORY], bool *complete);

/* The map, gzip (RFC 1952): header, then a nibble per phone, the lower one first. Made at most once per
 * watch_update, kept by the watch until the next one; NULL: out of memory. */
const uint8_t *watch_map(struct watch *watch, size_t *length);

#endif
