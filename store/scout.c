/* SPDX-License-Identifier: BSD-3-Clause */
#include "scout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define SAID_MAX 100

enum scout_state { SCOUT_IDLE, SCOUT_ASKING, SCOUT_DONE };

struct scout {
	struct ev_loop *loop;
	struct lookup *lookup;
	struct scout_config config;
	struct scout_events events;
	struct link *link;
	enum scout_state state;
	bool again;    /* asked anew before the last link was closed */
	bool named;    /* AUTH was sent on this link */
	unsigned left; /* servers of this round that were not asked yet */
	unsigned next, servers;
	char said[SAID_MAX]; /* why the last answer was not what was wanted */
	struct target_server server[SCOUT_SERVERS_MAX];
};

static void order(struct scout *scout, link_done done, int argc, const char *const *argv)
{
	const struct link_call call = {.done = done};
	const char *word[SCOUT_WORDS_MAX];
	size_t length[SCOUT_WORDS_MAX];
	for (int i = 0; i < argc; i++) {
		word[i] = argv[i];
		length[i] = strlen(argv[i]);
	}
	if (link_call(scout->link, false, &call, argc, word, length) != 0)
		link_drop(scout->link, "out of memory");
}

static void ask(struct scout *scout);

static void on_authenticated(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct scout *scout = owner;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_STATUS)
		ask(scout);
	else
		link_drop(scout->link, "user or password is refused");
}

static void authenticate(struct scout *scout)
{
	const char *user = scout->config.user, *password = scout->config.password;
	const char *argv[] = {"AUTH", user[0] != '\0' ? user : password, password};
	scout->named = true;
	order(scout, on_authenticated, user[0] != '\0' ? 3 : 2, argv);
}

static void on_answer(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct scout *scout = owner;
	if (reply == NULL)
		return;
	const bool known = scout->config.user[0] != '\0' || scout->config.password[0] != '\0';
	if (router_fault_of(reply) == FAULT_DENIED && known && !scout->named) {
		authenticate(scout);
		return;
	}
	if (scout->events.answer(scout->events.owner, &scout->server[scout->next], reply)) {
		scout->state = SCOUT_DONE;
		link_drop(scout->link, "");
	} else if (reply->type == REDIS_REPLY_ERROR) {
		server_quote(reply->str, scout->said, sizeof(scout->said));
		link_drop(scout->link, scout->said);
	} else {
		link_drop(scout->link, "it does not know");
	}
}

static void ask(struct scout *scout)
{
	order(scout, on_answer, scout->config.argc, scout->config.argv);
}

static void on_opened(void *owner)
{
	struct scout *scout = owner;
	scout->named = false;
	ask(scout);
}

static void reach(struct scout *scout)
{
	scout->left--;
	link_reach(scout->link, scout->lookup, &scout->server[scout->next]);
}

static void on_closed(void *owner, const char *why, bool timed_out)
{
	(void)timed_out;
	struct scout *scout = owner;
	const struct target_server *server = &scout->server[scout->next];
	if (scout->state == SCOUT_DONE) {
		scout->state = SCOUT_IDLE;
		if (scout->again)
			scout_ask(scout);
		return;
	}
	char text[sizeof(server->host) + LINK_WHY_MAX + 16];
	snprintf(text, sizeof(text), "%s:%u: %s", server->host, server->port, why);
	scout_skip(scout);
	if (scout->left > 0) {
		reach(scout);
		return;
	}
	scout->state = SCOUT_IDLE;
	scout->events.failed(scout->events.owner, text);
}

void scout_ask(struct scout *scout)
{
	scout->again = scout->state == SCOUT_DONE;
	if (scout->state != SCOUT_IDLE || scout->servers == 0)
		return;
	scout->state = SCOUT_ASKING;
	scout->left = scout->servers;
	reach(scout);
}

void scout_skip(struct scout *scout)
{
	if (scout->servers > 0)
		scout->next = (scout->next + 1) % scout->servers;
}

void scout_add(struct scout *scout, const struct target_server *server)
{
	for (unsigned i = 0; i < scout->servers; i++)
		if (scout->server[i].port == server->port &&
			strcmp(scout->server[i].host, server->host) == 0)
			return;
	if (scout->servers < SCOUT_SERVERS_MAX)
		scout->server[scout->servers++] = *server;
}

struct scout *scout_create(struct ev_loop *loop, struct lookup *lookup,
	const struct scout_config *config, const struct scout_events *events)
{
	struct scout *scout = calloc(1, sizeof(*scout));
	if (scout == NULL)
		return NULL;
	scout->loop = loop;
	scout->lookup = lookup;
	scout->config = *config;
	scout->events = *events;
	scout->link = link_create(loop,
		&(struct link_events){.owner = scout, .opened = on_opened, .closed = on_closed});
	if (scout->link != NULL)
		return scout;
	free(scout);
	return NULL;
}

void scout_free(struct scout *scout)
{
	if (scout == NULL)
		return;
	link_free(scout->link);
	free(scout);
}
