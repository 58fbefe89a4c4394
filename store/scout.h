/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks one question of several servers in turn until one of them knows the answer, internal to the
 * room: Sentinels where the master is, nodes of a cluster how it is laid out.
 */
#ifndef SIPHERD_SCOUT_H
#define SIPHERD_SCOUT_H

#include "link.h"
#include "target.h"

#define SCOUT_SERVERS_MAX 64
#define SCOUT_WORDS_MAX 3

struct scout;

struct scout_config {
	const char *user,
		*password; /* empty: none; must outlive it. Given only to who asks for them */
	int argc;
	const char *argv[SCOUT_WORDS_MAX];
};

struct scout_events {
	void *owner;
	/* False: not what was wanted, the next one is asked. */
	bool (*answer)(void *owner, const struct target_server *asked, const redisReply *reply);
	/* Each was asked once. why: of the last one, with its name. */
	void (*failed)(void *owner, const char *why);
};

/* NULL: out of memory. */
struct scout *scout_create(struct ev_loop *loop, struct lookup *lookup,
	const struct scout_config *config, const struct scout_events *events);
void scout_free(struct scout *scout);

/* Servers that are already in the list are left out, and so are those that do not fit. */
void scout_add(struct scout *scout, const struct target_server *server);
/* Ask, beginning with the one that answered last. Nothing happens while it is asking. */
void scout_ask(struct scout *scout);
/* Begin with the next one: something is wrong with the one that answered last. */
void scout_skip(struct scout *scout);

#endif
