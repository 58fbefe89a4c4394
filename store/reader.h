/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the herd from Redis, for `sipherd fleet` and `sipherd export`: plain synchronous calls with
 * a time-out, nothing is ever written, no generator needs to run, and the function library need not be
 * there. For a cluster or a Sentinel the right server is found first. A connection that broke is made
 * anew at the next call.
 */
#ifndef SIPHERD_READER_H
#define SIPHERD_READER_H

#include "record.h"
#include "target.h"

#define READER_REASON_MAX 300
#define READER_NODE_MAX 80

struct reader;

struct reader_fleet {
	char fleet[64];
	uint32_t schema, phones, shards, groups;
	uint8_t mode; /* enum redundancy_mode */
};

struct reader_node {
	char node[READER_NODE_MAX], host[80], state[16], version[32];
	uint32_t pid, shards;
	uint64_t start_unix_ms, heartbeat_unix_ms;
	bool live; /* its heartbeat is younger than the leases' ttl, by the server's clock */
};

struct reader_lease {
	char owner[READER_NODE_MAX]; /* empty: nobody */
	uint64_t token, since_unix_ms;
	int64_t left_ms; /* negative: expired */
};

/* Connects within 2 s. 0 or -errno with reason and remedy, never with a password in it. */
int reader_open(struct reader **out, const struct target *target, const char *fleet,
	char reason[READER_REASON_MAX]);
void reader_close(struct reader *reader);
const char *reader_reason(const struct reader *reader); /* of the last failure */

/* All: 0, -ENOENT (no such fleet, phone or shard), -errno. */
int reader_fleet(struct reader *reader, struct reader_fleet *out);
/* At most `max` nodes; *count is how many there are. */
int reader_nodes(struct reader *reader, struct reader_node *out, size_t max, size_t *count);
/* owner is empty and token 0 when nobody ever had it. */
int reader_lease(struct reader *reader, uint32_t shard, struct reader_lease *out);
/* One record; -ENOENT: its slab is not there. */
int reader_phone(struct reader *reader, uint32_t phone, uint8_t record[RECORD_SIZE]);
/* A whole slab, SHARD_PHONES records; -ENOENT: not there. */
int reader_slab(struct reader *reader, uint32_t shard, uint8_t *records);
/* Node aggregates summed over nodes whose heartbeat is live: calls `each` per name. */
int reader_totals(struct reader *reader,
	void (*each)(void *context, const char *name, uint64_t value), void *context);
/* Wait up to timeout_ms for feed lines of all groups after those seen before (at first: from now on),
 * and call `each` with every text line and its shard. */
int reader_feed(struct reader *reader, uint32_t timeout_ms,
	void (*each)(void *context, uint32_t shard, const char *line), void *context);

#endif
