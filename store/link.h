/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to one server, internal to the room: calls go out in order, each is answered exactly
 * once, in order. hiredis parses the replies; the socket, the time-outs and both buffers are ours,
 * because its own asynchronous context has no limits and aborts on a reply that nobody asked for
 * (STORE.md section 8).
 *
 * A link never connects again by itself. Events come from the loop or from link_drop, never from
 * within link_connect or link_call.
 */
#ifndef SIPHERD_LINK_H
#define SIPHERD_LINK_H

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lookup.h"
#include "router.h"

#define LINK_WHY_MAX 160

struct link;
struct link_call;

/* reply: NULL when the connection went away. Further calls may be made unless it is NULL. */
typedef void (*link_done)(void *owner, const struct link_call *call, const redisReply *reply);

/* A call that waits; all but done and bytes is the caller's own. */
struct link_call {
	link_done done;
	size_t bytes; /* link_call writes */
	uint32_t group;
	uint64_t keys;
	router_answer answer;
	void *context;
	uint64_t tag;
};

struct link_events {
	void *owner;
	void (*opened)(void *owner);
	/* After all waiting calls were answered with NULL. The link may be connected again at once. */
	void (*closed)(void *owner, const char *why, bool timed_out);
};

/* NULL: out of memory. */
struct link *link_create(struct ev_loop *loop, const struct link_events *events);
/* Answers what waits with NULL; no event. Not from within this link's events and answers. */
void link_free(struct link *link);

/* Ends in exactly one opened or closed event, unless the link is dropped or freed before. */
void link_connect(struct link *link, const struct sockaddr *address, socklen_t length);
/* The same with a name or a literal; a name's addresses get their turns, one per try. */
void link_reach(struct link *link, struct lookup *lookup, const struct target_server *where);
/* As if the connection had been lost. Nothing happens when there is none. */
void link_drop(struct link *link, const char *why);

/* The window counts calls that were made with windowed set. 0, -EAGAIN or -ENOMEM. */
int link_call(struct link *link, bool windowed, const struct link_call *call, int argc,
	const char **argv, const size_t *argv_length);

bool link_is_open(const struct link *link);
size_t link_room(const struct link *link); /* bytes of the window that are free */
bool link_fits(const struct link *link, int argc, const size_t *argv_length);
uint64_t link_bytes_sent(const struct link *link); /* since it was created */

#endif
