/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plays the workers for tests of the store: a thread each, which publishes legal transitions of the
 * phones it drives, chosen by PHONE.md's own state machine from a seed, and obeys adopt and release
 * as herds do. A million phones are under churn without one SIP message.
 *
 * Functions are for one control thread; adopt and release are the store's events.
 */
#ifndef SIPHERD_CHURNER_H
#define SIPHERD_CHURNER_H

#include "mirror.h"

#define CHURNER_SESSIONS 8192 /* of one worker */

/* From adoption to release of one shard by one worker: when it first and last acted for one of its
 * phones, CLOCK_MONOTONIC in us; used when it did at all. May lie in memory that outlives the process. The worker writes. */
struct churner_session {
	uint32_t shard, used;
	_Atomic uint64_t first_us, last_us;
};

struct churner_config {
	struct mirror *mirror; /* its number of workers is the number of threads */
	uint64_t seed;
	uint8_t mode;                          /* enum redundancy_mode */
	uint64_t (*now_us)(const void *clock); /* the herd's clock, as in struct store_config */
	const void *clock;
	bool poll; /* never sleep, as a worker on a card; else 1 ms naps */
	int cpu;   /* every thread is bound to it; -1: to none */
	/* [workers][CHURNER_SESSIONS], zeroed, or NULL: nothing is noted. */
	struct churner_session *sessions;
};

struct churner_totals {
	uint64_t transitions, keepalives;
	uint64_t rounds;
	uint64_t muted; /* rounds in which no lease was sure any more, so that nothing was done */
	uint64_t adoptions, releases; /* shards, by each worker */
	uint64_t publish_ns; /* spent in mirror_publish, the reading of the clock included */
	uint64_t publishes;  /* that were timed */
	uint64_t late_us;    /* largest delay of a paced transition */
	uint64_t switches;   /* voluntary context switches, naps not counted */
};

struct churner;

/* 0, -ENOMEM, or -errno of the threads. Prints nothing; the caller prints the seed. */
int churner_create(struct churner **out, const struct churner_config *config);
/* Ends the threads; within a round or so. */
void churner_free(struct churner *churner);

/* Whole shards, as the store's events give them. */
void churner_adopt(struct churner *churner, uint32_t first, uint32_t count);
void churner_release(struct churner *churner, uint32_t first, uint32_t count);

/* Random transitions and keep-alives a second over all workers, from now on. Keep-alives change a
 * count and a round trip and mark nothing. */
void churner_rate(struct churner *churner, uint32_t transitions, uint32_t keepalives);
/* Each driven phone takes `passes` steps towards a fail-over or back, evenly over duration_ms: in an
 * order that jumps about, or, after churner_in_order(true), as they were powered on. */
void churner_storm(struct churner *churner, unsigned passes, uint32_t duration_ms);
void churner_in_order(struct churner *churner, bool in_order);
bool churner_storm_is_over(const struct churner *churner);
/* Nothing is published between these, except by phones that are adopted or released. Pause returns
 * when every worker has seen it. */
void churner_pause(struct churner *churner);
void churner_resume(struct churner *churner);

void churner_totals(const struct churner *churner, struct churner_totals *out);

#endif
