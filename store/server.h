/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One server that is to be called, internal to the room: a link that connects again by itself, with
 * backoff and jitter, and that is up once it has logged in and found or loaded the function library.
 */
#ifndef SIPHERD_SERVER_H
#define SIPHERD_SERVER_H

#include "link.h"
#include "target.h"

#define SERVER_LIBRARY 1 /* version of functions.lua */
#define SERVER_NAME_MAX 320

struct server;

struct server_config {
	const char *user, *password; /* empty: none; must outlive it */
	unsigned db;
	bool master_only; /* ask for its ROLE: what a Sentinel names may be a master no longer */
	char name[SERVER_NAME_MAX]; /* for people */
};

struct server_events {
	void *owner;
	/* It is time to connect: link_connect or link_reach server_link(), or call server_failed, now
	 * or later. */
	void (*due)(void *owner, struct server *server);
	void (*up)(void *owner, struct server *server);
	/* The connection is gone, all calls have been answered. Only after up. */
	void (*down)(void *owner, struct server *server);
	void (*trouble)(void *owner, bool fatal, const char *message);
	struct router_counters *counters;
};

/* Due at once, that is when the loop runs next. NULL: out of memory. */
struct server *server_create(struct ev_loop *loop, const struct server_config *config,
	const struct server_events *events);
/* Not from within events or answers of this server. */
void server_free(struct server *server);

/* There was nothing to connect to: due again later. why: for people, NULL if it was said. */
void server_failed(struct server *server, const char *why);
/* Connect anew; hurry: at once and with the shortest backoff. */
void server_again(struct server *server, const char *why, bool hurry);
/* The library was missing: load it, once. */
void server_load(struct server *server);

bool server_is_up(const struct server *server);
struct link *server_link(struct server *server);
void *server_owner(const struct server *server);
/* Another number for each time it came up; never 0. */
uint64_t server_tenure(const struct server *server);
/* Say it, unless it was the last thing said of this server. */
void server_say(struct server *server, bool fatal, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Unprintable bytes of what a server said become question marks; cut to fit. */
void server_quote(const char *said, char *out, size_t size);

#endif
