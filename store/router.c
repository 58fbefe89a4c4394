/* SPDX-License-Identifier: BSD-3-Clause */
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <xxhash.h>

#include "scout.h"
#include "server.h"
#include "slots.h"

#define SERVERS_MAX 64 /* of a cluster, that have groups of ours */
#define ASKS 64        /* keys on their way between two servers of a cluster */
#define ASK_S 1.0      /* so long is a call that was told ASK sent to where it was told */
#define MAP_S 0.5      /* how often a cluster is asked for its map while groups are down */
#define MAP_SOON_S 0.1 /* when it has just said that the map is old */
#define MASTER_S 1.0   /* how often the Sentinels are asked whether our master is still theirs */
#define MASTER_SOON_S 0.02 /* when one has named another: by the next one, too? */
#define NOWHERE SERVERS_MAX

struct way {
	struct router *router;
	struct server *server;
	struct target_server where; /* of a cluster's node, of the Sentinels' master */
};

/* A call with these keys goes to this way until then: the cluster is moving them. */
struct ask {
	uint64_t keys;
	uint8_t way;
	double until;
};

struct router {
	struct ev_loop *loop;
	struct target target;
	const struct keys *keys;
	struct router_events events;
	struct router_counters counters;
	struct lookup *lookup;
	struct scout *scout;             /* SENTINEL, CLUSTER */
	struct way *way[SERVERS_MAX];    /* NULL: free; all but the first for CLUSTER only */
	uint8_t of[KEYS_GROUPS_MAX + 1]; /* which way a group goes; NOWHERE: not known */
	uint16_t slot[KEYS_GROUPS_MAX + 1];
	struct ask ask[ASKS];
	unsigned asks; /* written so far; the oldest goes first */
	ev_timer map;  /* CLUSTER: ask for the map. SENTINEL: is it still the master? */
	bool checking; /* SENTINEL: the scout is out only for that */
	struct target_server master; /* another one that a Sentinel has named then; port 0: none */
	char said[TARGET_REASON_MAX + 200]; /* of the cluster as a whole */
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
	const unsigned way = router->of[group];
	return way != NOWHERE ? router->way[way]->server : NULL;
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

/* --- Calls --- */

static uint8_t way_to(struct router *router, const struct target_server *where);
static void ask_map(struct router *router, double in_s);

/* A call's keys: after FCALL, the function and their number; else the word after the command. */
static uint64_t keys_of(int argc, const char **argv, const size_t *length)
{
	const bool function = argc > 2 && strncmp(argv[0], "FCALL", 5) == 0;
	const int first = function ? 3 : 1;
	int end = function ? first + atoi(argv[2]) : 2;
	uint64_t hash = 0;
	if (end > argc)
		end = argc;
	for (int i = first; i < end; i++)
		hash = XXH3_64bits_withSeed(argv[i], length[i], hash);
	return hash;
}

static struct ask *find_ask(struct router *router, uint64_t keys)
{
	for (unsigned i = 0; i < ASKS; i++) {
		struct ask *ask = &router->ask[i];
		if (ask->keys == keys && ask->until > ev_now(router->loop))
			return ask;
	}
	return NULL;
}

/* MOVED: the group has gone to another server, for good. ASK: these keys have, the rest may follow. */
static void redirect(struct way *way, const struct link_call *call, const char *error)
{
	struct router *router = way->router;
	struct target_server where;
	router->counters.moved++;
	if (router->target.kind != TARGET_CLUSTER || !slots_redirect(error, &way->where, &where))
		return;
	const uint8_t to = way_to(router, &where);
	if (to == NOWHERE)
		return;
	if (starts_with(error, "ASK")) {
		router->ask[router->asks++ % ASKS] = (struct ask){
			call->keys, to, ev_now(router->loop) + ASK_S};
		return;
	}
	router->of[call->group] = to;
	ask_map(router, MAP_SOON_S);
}

static void hold(struct way *way, const struct link_call *call, const char *error)
{
	struct router *router = way->router;
	struct ask *ask = find_ask(router, call->keys);
	if (starts_with(error, "READONLY"))
		server_again(way->server, "it is a replica and takes no writes", false);
	if (starts_with(error, "CLUSTERDOWN"))
		ask_map(router, MAP_S);
	/* Not all keys of the call are there yet. */
	if (starts_with(error, "TRYAGAIN") && ask != NULL)
		ask->until = 0;
}

static void denied(struct way *way, const char *error)
{
	char said[128];
	server_quote(error, said, sizeof(said));
	server_say(way->server, false,
		"%s: give the user the rights of the writer's ACL (docs/redis.md)", said);
	if (!starts_with(error, "NOPERM"))
		server_again(way->server, "", false);
}

/* What a fault means for the way there, beyond what the caller makes of it. */
static void mend(struct way *way, const struct link_call *call, enum router_fault fault,
	const redisReply *reply)
{
	if (fault == FAULT_LIBRARY)
		server_load(way->server);
	else if (fault == FAULT_MOVED)
		redirect(way, call, reply->str);
	else if (fault == FAULT_HOLD)
		hold(way, call, reply->str);
	else if (fault == FAULT_DENIED)
		denied(way, reply->str);
}

static void on_answer(void *owner, const struct link_call *call, const redisReply *reply)
{
	struct way *way = server_owner(owner);
	struct router *router = way->router;
	const enum router_fault fault = router_fault_of(reply);
	router->counters.answers += reply != NULL;
	router->counters.errors += fault != FAULT_NONE && reply != NULL;
	if (fault != FAULT_NONE && fault != FAULT_GONE)
		mend(way, call, fault, reply);
	call->answer(call->context, call->tag, fault, reply);
	if (fault == FAULT_MOVED)
		tell(router);
}

/* The answer to ASKING says nothing: the call behind it will. */
static void on_asking(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)owner, (void)call, (void)reply;
}

/* The call to where ASK said. False: not there, try the usual way. */
static bool call_asked(struct router *router, const struct link_call *call, int argc,
	const char **argv, const size_t *argv_length)
{
	const struct link_call asking = {.done = on_asking};
	const char *word = "ASKING";
	const size_t length = 6;
	const struct ask *ask = find_ask(router, call->keys);
	const struct way *way = ask != NULL ? router->way[ask->way] : NULL;
	if (way == NULL || !server_is_up(way->server))
		return false;
	struct link *link = server_link(way->server);
	if (!link_fits(link, argc, argv_length) ||
		link_call(link, false, &asking, 1, &word, &length) != 0)
		return false;
	if (link_call(link, true, call, argc, argv, argv_length) == 0)
		return true;
	/* Whatever came next would be taken for the one that asks. */
	server_again(way->server, "out of memory", false);
	return false;
}

int router_call(struct router *router, uint32_t group, router_answer answer, void *context,
	uint64_t tag, int argc, const char **argv, const size_t *argv_length)
{
	struct link_call call = {.done = on_answer,
		.group = group,
		.answer = answer,
		.context = context,
		.tag = tag};
	if (!router_up(router, group))
		return -EAGAIN;
	if (router->target.kind == TARGET_CLUSTER)
		call.keys = keys_of(argc, argv, argv_length);
	bool taken = router->asks > 0 && call_asked(router, &call, argc, argv, argv_length);
	if (!taken)
		taken = link_call(server_link(server_of(router, group)), true, &call, argc, argv,
				argv_length) == 0;
	router->counters.calls += taken;
	return taken ? 0 : -EAGAIN;
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

/* --- Ways: the servers that we keep a connection to --- */

static void reach_unix(struct router *router, struct server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", router->target.path);
	link_connect(server_link(server), (const struct sockaddr *)&address, sizeof(address));
}

/* Also when the scout is out already: its answer is for this now. */
static void find_master(struct router *router)
{
	router->checking = false;
	scout_ask(router->scout);
}

static void on_due(void *owner, struct server *server)
{
	struct way *way = owner;
	struct router *router = way->router;
	if (router->target.kind == TARGET_UNIX)
		reach_unix(router, server);
	else if (router->target.kind == TARGET_SENTINEL)
		find_master(router);
	else
		link_reach(server_link(server), router->lookup, &way->where);
}

static void on_up(void *owner, struct server *server)
{
	(void)server;
	struct way *way = owner;
	if (way->router->target.kind == TARGET_SENTINEL)
		ask_map(way->router, MASTER_S);
	tell(way->router);
}

static void on_down(void *owner, struct server *server)
{
	(void)server;
	struct way *way = owner;
	struct router *router = way->router;
	/* Sentinels hear of a new master one after the other: the next one may know more. */
	if (router->scout != NULL)
		scout_skip(router->scout);
	if (router->target.kind == TARGET_CLUSTER)
		ask_map(router, 0);
	tell(router);
}

static void on_trouble(void *owner, bool fatal, const char *message)
{
	struct way *way = owner;
	way->router->events.trouble(way->router->events.context, fatal, message);
}

static struct server *make_server(struct router *router, struct way *way)
{
	struct server_config config = {.user = router->target.user,
		.password = router->target.password,
		.db = router->target.db,
		.master_only = router->target.kind == TARGET_SENTINEL};
	const struct server_events events = {.owner = way,
		.due = on_due,
		.up = on_up,
		.down = on_down,
		.trouble = on_trouble,
		.counters = &router->counters};
	if (router->target.kind == TARGET_CLUSTER)
		snprintf(config.name, sizeof(config.name), "Redis Cluster's node at %s:%u",
			way->where.host, way->where.port);
	else
		target_describe(&router->target, config.name, sizeof(config.name));
	return server_create(router->loop, &config, &events);
}

/* The one to this server, made when there is none yet; NOWHERE: no memory, or too many. */
static uint8_t way_to(struct router *router, const struct target_server *where)
{
	uint8_t unused = NOWHERE;
	for (uint8_t i = 0; i < SERVERS_MAX; i++) {
		const struct way *way = router->way[i];
		if (way == NULL)
			unused = unused == NOWHERE ? i : unused;
		else if (way->where.port == where->port &&
			 strcmp(way->where.host, where->host) == 0)
			return i;
	}
	struct way *way = unused != NOWHERE ? calloc(1, sizeof(*way)) : NULL;
	if (way == NULL)
		return NOWHERE;
	way->router = router;
	way->where = *where;
	way->server = make_server(router, way);
	if (way->server == NULL) {
		free(way);
		return NOWHERE;
	}
	router->way[unused] = way;
	return unused;
}

/* --- Sentinel: where the master is --- */

static bool same_server(const struct target_server *a, const struct target_server *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* A master that was replaced may come back as a master, for the ten seconds that Sentinels take to
 * make it a replica, and whoever writes to it then writes in vain. So they are asked now and then.
 * Two in a row that name the same other one are believed: one alone may be the last to know. */
static void check_master(struct router *router, const struct target_server *where)
{
	struct way *way = router->way[0];
	const bool other = !same_server(where, &way->where);
	const bool again = other && same_server(where, &router->master);
	memset(&router->master, 0, sizeof(router->master));
	if (!server_is_up(way->server))
		return;
	if (again) {
		server_again(way->server, "the Sentinels name another master", true);
		return;
	}
	if (other)
		router->master = *where;
	ask_map(router, other ? MASTER_SOON_S : MASTER_S);
}

static bool on_master(void *owner, const struct target_server *asked, const redisReply *reply)
{
	(void)asked;
	struct router *router = owner;
	struct target_server where;
	if (!slots_sentinel(reply, &where))
		return false;
	if (router->checking) {
		check_master(router, &where);
		return true;
	}
	router->way[0]->where = where;
	link_reach(server_link(router->way[0]->server), router->lookup, &where);
	return true;
}

static void on_no_master(void *owner, const char *why)
{
	struct router *router = owner;
	char text[TARGET_REASON_MAX + 200];
	if (router->checking) {
		ask_map(router, MASTER_S);
		return;
	}
	snprintf(text, sizeof(text),
		"no Sentinel names the master (the last one: %s); trying again", why);
	server_failed(router->way[0]->server, text);
}

/* --- Cluster: which node has which group --- */

static void ask_map(struct router *router, double in_s)
{
	if (ev_is_active(&router->map) && ev_timer_remaining(router->loop, &router->map) <= in_s)
		return;
	ev_timer_stop(router->loop, &router->map);
	ev_timer_set(&router->map, in_s, 0);
	ev_timer_start(router->loop, &router->map);
}

static void on_map_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct router *router = timer->data;
	if (router->target.kind == TARGET_SENTINEL) {
		/* While it is down its own timer asks. */
		if (!server_is_up(router->way[0]->server))
			return;
		router->checking = true;
		scout_skip(router->scout);
	}
	scout_ask(router->scout);
}

/* Servers that no group and no keys on their way need any more. */
static void forget_ways(struct router *router)
{
	bool used[SERVERS_MAX + 1] = {false};
	for (uint32_t group = 0; group <= ROUTER_META; group++)
		used[router->of[group]] = true;
	for (unsigned i = 0; i < ASKS; i++)
		if (router->ask[i].until > ev_now(router->loop))
			used[router->ask[i].way] = true;
	for (unsigned i = 0; i < SERVERS_MAX; i++) {
		struct way *way = router->way[i];
		if (used[i] || way == NULL)
			continue;
		for (unsigned k = 0; k < ASKS; k++)
			if (router->ask[k].way == i)
				router->ask[k].until = 0;
		server_free(way->server);
		free(way);
		router->way[i] = NULL;
	}
}

static void say(struct router *router, const char *why)
{
	char where[TARGET_REASON_MAX], text[sizeof(router->said)];
	target_describe(&router->target, where, sizeof(where));
	snprintf(text, sizeof(text), "%s: %.190s", where, why);
	if (strcmp(text, router->said) == 0)
		return;
	memcpy(router->said, text, sizeof(text));
	router->events.trouble(router->events.context, false, text);
}

static void add_to_scout(void *context, const struct target_server *server)
{
	scout_add(context, server);
}

static bool on_map(void *owner, const struct target_server *asked, const redisReply *reply)
{
	struct router *router = owner;
	unsigned lost = 0;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
		return false;
	for (uint32_t group = 0; group <= ROUTER_META; group++) {
		struct target_server where;
		if (!is_group(router, group))
			continue;
		if (slots_master(reply, router->slot[group], asked, &where))
			router->of[group] = way_to(router, &where);
		else
			router->of[group] = NOWHERE;
		lost += router->of[group] == NOWHERE;
	}
	slots_each(reply, asked, add_to_scout, router->scout);
	forget_ways(router);
	tell(router);
	if (lost > 0)
		say(router, "no master has some of the slots; trying again");
	else
		router->said[0] = '\0';
	for (uint32_t group = 0; group <= ROUTER_META; group++)
		if (is_group(router, group) && !router_up(router, group))
			ask_map(router, MAP_S);
	return true;
}

static void on_no_map(void *owner, const char *why)
{
	struct router *router = owner;
	char text[TARGET_REASON_MAX + 200];
	snprintf(text, sizeof(text), "no node gives the map (the last one: %s); trying again", why);
	say(router, text);
	ask_map(router, MAP_S);
}

/* --- The whole --- */

static bool begin_scout(struct router *router)
{
	const struct target *target = &router->target;
	const bool sentinel = target->kind == TARGET_SENTINEL;
	struct scout_config config = {.user = target->user, .password = target->password};
	const struct scout_events events = {.owner = router,
		.answer = sentinel ? on_master : on_map,
		.failed = sentinel ? on_no_master : on_no_map};
	config.argv[0] = sentinel ? "SENTINEL" : "CLUSTER";
	config.argv[1] = sentinel ? "GET-MASTER-ADDR-BY-NAME" : "SLOTS";
	config.argv[2] = target->master;
	config.argc = sentinel ? 3 : 2;
	router->scout = scout_create(router->loop, router->lookup, &config, &events);
	if (router->scout == NULL)
		return false;
	for (unsigned i = 0; i < target->servers; i++)
		scout_add(router->scout, &target->server[i]);
	return true;
}

static void find_slots(struct router *router)
{
	char key[KEY_MAX];
	for (uint32_t group = 0; group < router->keys->groups; group++) {
		const size_t length = keys_feed(router->keys, group, key);
		router->slot[group] = keys_slot(key, length);
	}
	const size_t length = keys_meta(router->keys, key);
	router->slot[ROUTER_META] = keys_slot(key, length);
}

static bool begin(struct router *router)
{
	char reason[160];
	const bool cluster = router->target.kind == TARGET_CLUSTER;
	router->lookup = lookup_open(router->loop, NULL, reason);
	if (router->lookup == NULL)
		return false;
	if ((cluster || router->target.kind == TARGET_SENTINEL) && !begin_scout(router))
		return false;
	memset(router->of, cluster ? NOWHERE : 0, sizeof(router->of));
	if (!cluster)
		return way_to(router, &router->target.server[0]) == 0;
	find_slots(router);
	ask_map(router, 0);
	return true;
}

struct router *router_create(struct ev_loop *loop, const struct target *target,
	const struct keys *keys, const struct router_events *events)
{
	struct router *router = calloc(1, sizeof(*router));
	if (router == NULL)
		return NULL;
	router->loop = loop;
	router->target = *target;
	router->keys = keys;
	router->events = *events;
	ev_timer_init(&router->map, on_map_due, 0, 0);
	router->map.data = router;
	if (begin(router))
		return router;
	router_free(router);
	return NULL;
}

void router_free(struct router *router)
{
	if (router == NULL)
		return;
	for (unsigned i = 0; i < SERVERS_MAX; i++) {
		if (router->way[i] != NULL)
			server_free(router->way[i]->server);
		free(router->way[i]);
	}
	scout_free(router->scout);
	lookup_close(router->lookup);
	ev_timer_stop(router->loop, &router->map);
	explicit_bzero(&router->target, sizeof(router->target));
	free(router);
}

void router_reset(struct router *router)
{
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (router->way[i] != NULL)
			server_again(router->way[i]->server, "", true);
}
