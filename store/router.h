/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to Redis: one asynchronous link to each server that matters, and which link a group of
 * keys belongs to. One server, a Sentinel's master, or a cluster: callers see no difference.
 *
 * A call is never repeated here: whoever made it is told that it failed, and why, exactly once, and
 * makes it again from what is true then. Links connect again by themselves, with backoff and jitter;
 * they log in, choose the database, see that the function library is there (loading it when it is
 * missing or older) and only then are said to be up. Everything runs on one thread and one loop.
 *
 * Limits of our own, since hiredis 0.14.1 has none (STORE.md section 8): 1 s to connect, 2 s without
 * any reply while one is due, 64 calls and 1 MiB waiting per link. Names are resolved by c-ares.
 */
#ifndef SIPHERD_ROUTER_H
#define SIPHERD_ROUTER_H

#include <ev.h>
#include <hiredis/hiredis.h>

#include "keys.h"
#include "target.h"

#define ROUTER_META KEYS_GROUPS_MAX /* the "group" of meta, nodes, node:ID and ts:ID */
#define ROUTER_CALLS 64
#define ROUTER_WINDOW (1024 * 1024)
#define ROUTER_CONNECT_MS 1000
#define ROUTER_REPLY_MS 2000

enum router_fault {
	FAULT_NONE = 0,
	FAULT_GONE,    /* the connection went away before the answer */
	FAULT_FENCED,  /* "FENCED ...": we do not hold this lease */
	FAULT_HOLD,    /* OOM, MISCONF, BUSY, LOADING, READONLY, CLUSTERDOWN, TRYAGAIN, NOREPLICAS,
			  MASTERDOWN: hold a moment. READONLY also makes the link connect again. */
	FAULT_MOVED,   /* MOVED or ASK: the way has been put right, call again */
	FAULT_LIBRARY, /* the function library is not there: it is being loaded, call again */
	FAULT_DENIED,  /* NOPERM, NOAUTH, WRONGPASS: said once by on_trouble */
	FAULT_OTHER,
};

struct router_events {
	void *context;
	/* Calls for this group (or ROUTER_META) can be made: a new connection, so that nothing is
	 * known of what the server has. Not from within router_call. */
	void (*group_up)(void *context, uint32_t group);
	void (*group_down)(void *context, uint32_t group);
	/* One line for people: what is wrong and the remedy; said when it changes, not again and
	 * again. fatal: the library there is of a newer schema, we keep away. */
	void (*trouble)(void *context, bool fatal, const char *message);
};

/* reply is valid during the call; NULL for FAULT_GONE. Calls may be made from here unless the fault
 * is FAULT_GONE. */
typedef void (*router_answer)(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply);

struct router_counters {
	uint64_t connects, disconnects, calls, answers, errors, bytes_sent, moved, timeouts;
};

struct router;

/* keys must outlive the router. target is numeric or named, of kind SINGLE, UNIX, SENTINEL or
 * CLUSTER. NULL: out of memory. Begins to connect when the loop runs. */
struct router *router_create(struct ev_loop *loop, const struct target *target,
	const struct keys *keys, const struct router_events *events);
/* Every call that waits is answered with FAULT_GONE first; nothing blocks. */
void router_free(struct router *router);

/* 0: taken, `answer` will be called exactly once, later. -EAGAIN: not up, or too much is waiting. */
int router_call(struct router *router, uint32_t group, router_answer answer, void *context,
	uint64_t tag, int argc, const char **argv, const size_t *argv_length);

/* Bytes that a call for this group may have now; 0: none may be made. */
size_t router_room(const struct router *router, uint32_t group);
bool router_up(const struct router *router, uint32_t group);
const struct router_counters *router_counters(const struct router *router);
/* Connect anew from the start, as if every connection had been lost: after this process stood still. */
void router_reset(struct router *router);

/* What kind of error a reply is. */
enum router_fault router_fault_of(const redisReply *reply);

#endif
