/* SPDX-License-Identifier: BSD-3-Clause */
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "server.h"

struct router {
	struct ev_loop *loop;
	struct target target;
	const struct keys *keys;
	struct router_events events;
	struct router_counters counters;
	struct lookup *lookup;
	struct server *server;
	/* What was said of each group: 0 down, else the tenure of the server that it is up on. */
	uint64_t told[KEYS_GROUPS_MAX + 1];
};

static bool starts_with(const char *text, const char *word)
{
	const size_t length = strlen(word);
	return strncmp(text, word, length) == 0 && (text[length] == ' ' || text[length] == '\0');
}

enum router_fault router_fault_of(const redisReply *reply)
{
	static const struct {
		const char *word;
		enum router_fault fault;
	} kinds[] = {{"FENCED", FAULT_FENCED}, {"OOM", FAULT_HOLD}, {"MISCONF", FAULT_HOLD},
		{"BUSY", FAULT_HOLD}, {"LOADING", FAULT_HOLD}, {"READONLY", FAULT_HOLD},
		{"CLUSTERDOWN", FAULT_HOLD}, {"TRYAGAIN", FAULT_HOLD}, {"NOREPLICAS", FAULT_HOLD},
		{"MASTERDOWN", FAULT_HOLD}, {"MOVED", FAULT_MOVED}, {"ASK", FAULT_MOVED},
		{"ERR Function not found", FAULT_LIBRARY}, {"NOPERM", FAULT_DENIED},
		{"NOAUTH", FAULT_DENIED}, {"WRONGPASS", FAULT_DENIED}};
	if (reply == NULL)
		return FAULT_GONE;
	if (reply->type != REDIS_REPLY_ERROR)
		return FAULT_NONE;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (starts_with(reply->str, kinds[i].word))
			return kinds[i].fault;
	return FAULT_OTHER;
}

/* --- Groups --- */

static struct server *server_of(const struct router *router, uint32_t group)
{
	(void)group;
	return router->server;
}

static bool is_group(const struct router *router, uint32_t group)
{
	return group < router->keys->groups || group == ROUTER_META;
}

/* Tell which groups can be called now, where that is news; a new connection always is. */
static void tell(struct router *router)
{
	for (uint32_t group = 0; group <= ROUTER_META; group++) {
		if (!is_group(router, group))
			continue;
		const struct server *server = server_of(router, group);
		const uint64_t now = server != NULL && server_is_up(server) ? server_tenure(server)
									    : 0;
		const uint64_t before = router->told[group];
		if (before == now)
			continue;
		router->told[group] = now;
		if (before != 0)
			router->events.group_down(router->events.context, group);
		if (now != 0)
			router->events.group_up(router->events.context, group);
	}
}

static void on_up_or_down(void *owner, struct server *server)
{
	(void)server;
	tell(owner);
}

static void on_trouble(void *owner, bool fatal, const char *message)
{
	struct router *router = owner;
	router->events.trouble(router->events.context, fatal, message);
}

/* --- Calls --- */

/* What a fault means for the way there, beyond what the caller makes of it. */
static void mend(struct server *server, enum router_fault fault, const redisReply *reply)
{
	char said[128];
	if (fault == FAULT_LIBRARY) {
		server_load(server);
	} else if (fault == FAULT_HOLD && starts_with(reply->str, "READONLY")) {
		server_again(server, "it is a replica and takes no writes", false);
	} else if (fault == FAULT_DENIED) {
		server_quote(reply->str, said, sizeof(said));
		server_say(server, false,
			"%s: give the user the rights of the writer's ACL (docs/redis.md)", said);
		if (!starts_with(reply->str, "NOPERM"))
			server_again(server, "", false);
	}
}

static void on_answer(void *owner, const struct link_call *call, const redisReply *reply)
{
	struct server *server = owner;
	struct router *router = server_owner(server);
	const enum router_fault fault = router_fault_of(reply);
	router->counters.answers += reply != NULL;
	router->counters.errors += fault != FAULT_NONE && reply != NULL;
	if (fault != FAULT_NONE && fault != FAULT_GONE)
		mend(server, fault, reply);
	call->answer(call->context, call->tag, fault, reply);
}

int router_call(struct router *router, uint32_t group, router_answer answer, void *context,
	uint64_t tag, int argc, const char **argv, const size_t *argv_length)
{
	const struct link_call call = {.done = on_answer,
		.group = group,
		.answer = answer,
		.context = context,
		.tag = tag};
	if (!router_up(router, group))
		return -EAGAIN;
	struct server *server = server_of(router, group);
	const int result = link_call(server_link(server), true, &call, argc, argv, argv_length);
	router->counters.calls += result == 0;
	return result == 0 ? 0 : -EAGAIN;
}

/* Up is what was told, so that nobody calls before group_up has said that nothing is known. */
bool router_up(const struct router *router, uint32_t group)
{
	const struct server *server = is_group(router, group) ? server_of(router, group) : NULL;
	return server != NULL && server_is_up(server) &&
	       router->told[group] == server_tenure(server);
}

size_t router_room(const struct router *router, uint32_t group)
{
	return router_up(router, group) ? link_room(server_link(server_of(router, group))) : 0;
}

const struct router_counters *router_counters(const struct router *router)
{
	return &router->counters;
}

/* --- The way to one server --- */

static void reach_unix(struct router *router, struct server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", router->target.path);
	link_connect(server_link(server), (const struct sockaddr *)&address, sizeof(address));
}

static void on_due(void *owner, struct server *server)
{
	struct router *router = owner;
	if (router->target.kind == TARGET_UNIX)
		reach_unix(router, server);
	else
		link_reach(server_link(server), router->lookup, &router->target.server[0]);
}

static struct server *make_server(struct router *router)
{
	struct server_config config = {.user = router->target.user,
		.password = router->target.password,
		.db = router->target.db,
		.master_only = router->target.kind == TARGET_SENTINEL};
	const struct server_events events = {.owner = router,
		.due = on_due,
		.up = on_up_or_down,
		.down = on_up_or_down,
		.trouble = on_trouble,
		.counters = &router->counters};
	target_describe(&router->target, config.name, sizeof(config.name));
	return server_create(router->loop, &config, &events);
}

struct router *router_create(struct ev_loop *loop, const struct target *target,
	const struct keys *keys, const struct router_events *events)
{
	char reason[160];
	struct router *router = calloc(1, sizeof(*router));
	if (router == NULL)
		return NULL;
	router->loop = loop;
	router->target = *target;
	router->keys = keys;
	router->events = *events;
	router->lookup = lookup_open(loop, NULL, reason);
	router->server = router->lookup != NULL ? make_server(router) : NULL;
	if (router->server != NULL)
		return router;
	router_free(router);
	return NULL;
}

void router_free(struct router *router)
{
	if (router == NULL)
		return;
	server_free(router->server);
	lookup_close(router->lookup);
	explicit_bzero(&router->target, sizeof(router->target));
	free(router);
}

void router_reset(struct router *router)
{
	server_again(router->server, "", true);
}
