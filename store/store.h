/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store: carries the mirror to Redis and the leases from there. All that api/ sees of the room,
 * beside target.h, image.h, embedded.h (what to open) and reader.h (for those who only look).
 *
 * A thread of its own with its own loop: no worker and not the control thread ever waits for Redis.
 * Whatever Redis does, memory is bounded and what is in Redis converges to the records (STORE.md).
 *
 * Functions are for the control thread. Events come on the control thread's loop.
 */
#ifndef SIPHERD_STORE_H
#define SIPHERD_STORE_H

#include <ev.h>

#include "counters.h"
#include "image.h"
#include "mirror.h"
#include "target.h"

#define STORE_FIELDS_MAX 256
#define STORE_NODE_MAX 80 /* of a node's name, with its NUL */

struct store_config {
	struct target target; /* SINGLE, UNIX, SENTINEL, CLUSTER; EMBEDDED is UNIX by now */
	const char *fleet;    /* name of the fleet, [A-Za-z0-9._-]{1,63} */
	const char *node;     /* who we are: image->node */
	const char *version;  /* of sipherd */
	struct mirror *mirror;
	struct image *image; /* tokens; NULL: none are kept */
	uint8_t mode;        /* enum redundancy_mode, for meta */
	uint32_t ttl_ms;     /* of leases; 0: 10 s */
	bool strict;         /* fence: strict. No lease, no packet */
	/* The herd's clock, callable from the store's thread. */
	uint64_t (*now_us)(const void *clock);
	const void *clock;
};

struct store_events {
	void *context;
	/* Drive these phones now: whole shards, in order. moved: another node had them. */
	void (*adopt)(void *context, uint32_t first, uint32_t count, bool moved);
	/* Stop driving them; the store sees in the mirror when it is done. */
	void (*release)(void *context, uint32_t first, uint32_t count);
	/* One line for people. warning: something is wrong. */
	void (*say)(void *context, bool warning, const char *message);
};

/* What the store counts and is at; a copy of one moment, at most 0.1 s old. */
#define STORE_COUNTERS(X)                                                                   \
	X(connects, "connections to Redis that came up")                                    \
	X(reconnects, "of these, after one was lost")                                       \
	X(flushes, "flush calls answered")                                                  \
	X(flush_failures, "flush calls lost or refused, their phones marked again")         \
	X(records_written, "phone records written to Redis")                                \
	X(bytes_written, "bytes of calls sent to Redis")                                    \
	X(resyncs, "shards rewritten whole: new lease, reconnect or sweep after a loss")    \
	X(sweeps, "complete rounds of the sweep that refreshes counts")                     \
	X(fenced, "flushes and renewals refused because another node holds the lease")      \
	X(feed_lines, "transitions written to the feed")                                    \
	X(feed_dropped, "transitions left out of the feed, each followed by a RESYNC line") \
	X(leases_acquired, "leases granted to this node")                                   \
	X(leases_lost, "leases lost to another node")                                       \
	X(pauses, "times this process stood still for longer than its leases last")         \
	X(time_outs, "connections given up because nothing was answered for 2 s")

COUNTERS_DECLARE(store_counters, STORE_COUNTERS);

struct store_status {
	struct store_counters counters;
	bool connected;    /* every group's server can be called */
	bool refused;      /* a newer schema, or another fleet of this name: we keep away */
	uint32_t shards;   /* of the fleet */
	uint32_t driven;   /* shards this node drives */
	uint32_t unleased; /* of these, without a lease */
	uint32_t nodes;    /* live nodes, ourselves included */
	uint32_t dirty_shards;
	uint32_t calls_waiting;
	uint64_t lag_us;     /* age of the oldest change that Redis has not confirmed; 0: none */
	uint64_t lag_max_us; /* largest since the start */
	uint64_t at_us;      /* when all this was looked at, by the herd's clock */
	char trouble[200];   /* what is wrong now, or empty */
};

/* A number that the node publishes once a second in node:ID and ts:ID. */
struct store_field {
	const char *name; /* literal */
	uint64_t value;
};

struct store;

/* Starts the thread. Nothing is adopted before an event says so. 0 or -errno. */
int store_open(struct store **out, const struct store_config *config,
	const struct store_events *events, struct ev_loop *loop);
void store_publish(struct store *store, const struct store_field *fields, size_t count);
void store_status(struct store *store, struct store_status *out);
/* Which other live node should drive this shard, by rendezvous over those that the last heartbeat found:
 * leases follow within seconds. False: nobody is known, or it is us. */
bool store_owner(struct store *store, uint32_t shard, char node[STORE_NODE_MAX]);

/* Stop driving (release events come for what is still driven), flush, give the leases back. Then the
 * store is quiet: store_is_quiet. At most as long as Redis answers; store_close ends it anyway. */
void store_leave(struct store *store);
bool store_is_quiet(const struct store *store);
/* Ends the thread within 0.2 s and frees everything. */
void store_close(struct store *store);

#endif
