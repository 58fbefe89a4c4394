/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader's way to the right server: synchronous connections with time-outs, one server, a
 * Sentinel's master or a cluster. Only reader.c uses it. A connection that broke is made anew at
 * the next call.
 */
#ifndef SIPHERD_READER_LINK_H
#define SIPHERD_READER_LINK_H

#include <hiredis/hiredis.h>
#include <stdint.h>

#include "measure.h"
#include "target.h"

#define READER_LINKS_MAX 64 /* masters of a cluster that one reader talks to */
#define READER_SLOTS 16384
#define READER_TIME_OUT_MS 2000

struct reader_server {
	struct target_server at;
	redisContext *context;  /* NULL: not connected */
	struct measure measure; /* of its replies */
};

struct reader_way {
	struct target target;
	struct reader_server server[READER_LINKS_MAX];
	unsigned servers;
	uint8_t by_slot[READER_SLOTS]; /* cluster: index of the slot's server */
	char *reason;                  /* of the last failure; the owner's */
	size_t reason_size;
};

/* Finds the servers and connects to one. 0 or -errno with a reason. */
int reader_way_open(struct reader_way *way);
void reader_way_close(struct reader_way *way);

/* One call about one key. NULL: it failed, *error is -errno and the reason says why; an error reply
 * is a failure too. The caller frees the reply. */
redisReply *reader_way_call(struct reader_way *way, const char *key, int argc, const char **argv,
	const size_t *length, int *error);

/* Sets the reason, without what a terminal might obey. Returns error. */
int reader_way_fail(struct reader_way *way, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
