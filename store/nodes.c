/* SPDX-License-Identifier: BSD-3-Clause */
/* What Redis knows of the fleet and of us as a node: meta, heartbeats, goodbye. */
#include "server.h"
#include "store_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA 1
#define NAMESAKES_SURE 3 /* heartbeats in a row that follow those of another process */
#define LAYOUT                                                                              \
	"0 registered:2 last_tried:2 mode:1 version:3; 1 phase; 2 misses; 3 cause; "        \
	"4-5 transition; 6-7 rtt_100us; 8-13 since_unix_ms; 14-15 registrations_failed; "   \
	"16-17 failovers; 18-19 failbacks; 20-23 registrations_ok; 24-27 keepalives_sent; " \
	"28-31 keepalives_missed; big-endian, bit fields from the least significant bit"

/* --- Meta --- */

/* "MISMATCH field there here" */
static void refuse(struct store *store, const char *mismatch)
{
	char field[32] = "a field", there[48] = "?", here[48] = "?", said[160];
	server_quote(mismatch, said, sizeof(said));
	sscanf(said, "MISMATCH %31s %47s %47s", field, there, here);
	store_trouble(store,
		"store: another fleet is called '%s' in this Redis: its %s is %s, ours %s. "
		"Give this one another name, or delete the keys sipherd:{%s}*",
		store->keys.fleet, field, there, here, store->keys.fleet);
	store->refused = true;
	leases_refuse(store);
}

static void on_meta(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag;
	struct store *store = context;
	const uint64_t now_us = store_now(store);
	call_answered(store);
	if (store->meta != META_ASKED || !store->meta_up)
		return;
	store->meta = META_UNKNOWN;
	if (fault == FAULT_OTHER && strncmp(reply->str, "MISMATCH ", 9) == 0) {
		store->meta_us = now_us + STORE_REFUSED_US;
		refuse(store, reply->str);
		return;
	}
	store_fault(store, fault, reply);
	if (fault != FAULT_NONE) {
		store->meta_us = now_us + STORE_HOLD_MAX_US;
		return;
	}
	store->meta = META_AGREED;
	store->met = true;
	store->refused = false;
}

static void ask_meta(struct store *store)
{
	struct store_call *call = &store->call;
	char tags[KEYS_GROUPS_MAX * KEYS_TAG_MAX];
	size_t used = 0;
	for (uint32_t i = 0; i < store->keys.groups; i++)
		used += (size_t)snprintf(tags + used, sizeof(tags) - used, "%s%s", i > 0 ? "," : "",
			store->keys.tag[i]);
	call_begin(call, "sipherd_meta", 1);
	call_keep(call, keys_meta(&store->keys, call_room(call)));
	call_text(call, "schema"), call_number(call, SCHEMA);
	call_text(call, "phones"), call_number(call, store->mirror->phones);
	call_text(call, "shards"), call_number(call, store->shards);
	call_text(call, "shard_phones"), call_number(call, SHARD_PHONES);
	call_text(call, "record_bytes"), call_number(call, RECORD_SIZE);
	call_text(call, "groups"), call_number(call, store->keys.groups);
	call_text(call, "tags"), call_add(call, tags, used);
	call_text(call, "mode");
	call_text(call, store->mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric");
	call_text(call, "layout"), call_text(call, LAYOUT);
	if (call_send(store, ROUTER_META, on_meta, 0) == 0)
		store->meta = META_ASKED;
}

void nodes_meta_up(struct store *store, bool up)
{
	store->meta_up = up;
	store->meta = META_UNKNOWN;
	store->meta_us = 0;
	if (!up)
		return;
	store->fatal = false;
	store->heartbeat_us = 0;
	store->counters.reconnects += store->ups > 0;
	store->ups++;
}

/* --- Heartbeats --- */

/* One such answer is ourselves before a restart. One after the other is another process, and each takes
 * the other's leases for its own. */
static void look_for_namesake(struct store *store, int64_t known)
{
	if (store->namesakes == NAMESAKES_SURE)
		return;
	store->namesakes = known == 2 ? store->namesakes + 1 : 0;
	if (store->namesakes == NAMESAKES_SURE)
		store_say(store, true,
			"store: another process is node %s too, on a host of the same name: both "
			"drive the same phones. Give one of the hosts another name",
			store->node);
}

static void take_nodes(struct store *store, const redisReply *reply)
{
	unsigned count = 0;
	bool ourselves = false;
	const bool is_told = reply->elements > 1 && reply->element[1]->type == REDIS_REPLY_INTEGER;
	const int64_t known = is_told ? reply->element[1]->integer : 0;
	look_for_namesake(store, known);
	for (size_t i = 2; i < reply->elements && count < PLACEMENT_NODES_MAX; i++) {
		const redisReply *name = reply->element[i];
		if (name->type != REDIS_REPLY_STRING || name->len >= PLACEMENT_NODE_MAX)
			continue;
		memset(store->nodes[count], 0, PLACEMENT_NODE_MAX);
		memcpy(store->nodes[count], name->str, name->len);
		ourselves |= strcmp(store->nodes[count], store->node) == 0;
		count++;
	}
	if (!ourselves)
		return;
	store->live_nodes = count;
	pthread_mutex_lock(&store->shared.lock);
	memcpy(store->shared.node, store->nodes, count * sizeof(store->nodes[0]));
	store->shared.nodes = count;
	pthread_mutex_unlock(&store->shared.lock);
	if (store->placement != NULL && known < 1)
		placement_list_lost(store->placement, store_now(store) / 1000);
	if (store->placement != NULL)
		placement_nodes(store->placement, (const char(*)[PLACEMENT_NODE_MAX])store->nodes,
			count, store_now(store) / 1000);
}

static void on_heartbeat(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag;
	struct store *store = context;
	call_answered(store);
	store->heartbeat_flying = false;
	store_fault(store, fault, reply);
	if (fault == FAULT_NONE && reply->type == REDIS_REPLY_ARRAY)
		take_nodes(store, reply);
	else
		store->heartbeat_us = store_now(store) + STORE_HOLD_MAX_US;
}

/* NULL when memory is short. To be freed by the caller. */
static char *describe(const struct store *store)
{
	json_t *object = json_pack("{s:s, s:i, s:s, s:I, s:I, s:s}", "host", store->host, "pid",
		(int)getpid(), "version", store->version, "start", (json_int_t)store->start_unix_ms,
		"shards", (json_int_t)store->driven, "state",
		store->leaving        ? "leaving"
		: store->unleased > 0 ? "unleased"
				      : "running");
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

static void add_fields(struct store *store)
{
	struct store_call *call = &store->call;
	const uint64_t *counter = (const uint64_t *)&store->counters;
	for (size_t i = 0; i < store_counters_count; i++) {
		call_text(call, store_counters_descriptions[i].name);
		call_number(call, counter[i]);
	}
	call_text(call, "store_lag_us"), call_number(call, store->lag_us);
	call_text(call, "shards_driven"), call_number(call, store->driven);
	call_text(call, "shards_unleased"), call_number(call, store->unleased);
	pthread_mutex_lock(&store->shared.lock);
	for (size_t i = 0; i < store->shared.fields; i++) {
		call_text(call, store->shared.field[i].name);
		call_number(call, store->shared.field[i].value);
	}
	pthread_mutex_unlock(&store->shared.lock);
}

static void beat(struct store *store, uint64_t now_us)
{
	struct store_call *call = &store->call;
	char *text = describe(store);
	if (text == NULL)
		return;
	call_begin(call, "sipherd_heartbeat", 3);
	call_keep(call, keys_nodes(&store->keys, call_room(call)));
	call_keep(call, keys_node(&store->keys, store->node, call_room(call)));
	call_keep(call, keys_series(&store->keys, store->node, call_room(call)));
	call_text(call, store->node);
	call_number(call, store->ttl_us / 1000);
	call_text(call, text);
	add_fields(store);
	if (call_send(store, ROUTER_META, on_heartbeat, 0) == 0) {
		/* Placement believes that two of them fit into a fifth of a lease. */
		const uint64_t tenth_us = store->ttl_us / 10;
		store->heartbeat_flying = true;
		store->heartbeat_us = now_us + (tenth_us < STORE_HEARTBEAT_US ? tenth_us
									      : STORE_HEARTBEAT_US);
	}
	free(text);
}

/* --- Leaving --- */

static void on_goodbye(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag, (void)fault, (void)reply;
	struct store *store = context;
	call_answered(store);
	store->goodbye_flying = false;
}

/* First of all, so that others ask for our shards by the time that we give them back. */
static void say_goodbye(struct store *store)
{
	struct store_call *call = &store->call;
	call_begin(call, "sipherd_goodbye", 2);
	call_keep(call, keys_nodes(&store->keys, call_room(call)));
	call_keep(call, keys_node(&store->keys, store->node, call_room(call)));
	call_text(call, store->node);
	store->said_goodbye = call_send(store, ROUTER_META, on_goodbye, 0) == 0;
	store->goodbye_flying = store->said_goodbye;
}

static void leave(struct store *store, uint64_t now_us)
{
	if (!store->leaving && store->placement != NULL)
		placement_leave(store->placement, now_us / 1000);
	if (!store->leaving)
		store->leave_us = now_us;
	store->leaving = true;
	const bool can = store->meta_up && !store->refused;
	if (can && !store->said_goodbye)
		say_goodbye(store);
	if (store->stopping == 0 && !store->goodbye_flying && (store->said_goodbye || !can) &&
		(store->placement == NULL || placement_left(store->placement)))
		atomic_store(&store->quiet, true);
}

/* --- Every round --- */

/* Groups that came up are told of once the fleet's name is known to be ours. */
static void tell_groups(struct store *store, uint64_t now_us)
{
	if (store->refused || (store->meta != META_AGREED && (store->meta_up || !store->met)))
		return;
	/* Those that were told to stop when we were refused must have stopped. */
	if (store->placement == NULL &&
		(store->leaving || store->stopping > 0 || leases_begin(store) != 0))
		return;
	for (uint32_t i = 0; i < store->keys.groups; i++) {
		if (store->group[i].up && !store->group[i].told)
			leases_group_up(store, i, now_us);
	}
}

void nodes_act(struct store *store, uint64_t now_us)
{
	if (store->meta_up && store->meta == META_UNKNOWN && now_us >= store->meta_us)
		ask_meta(store);
	if (store->meta == META_AGREED && !store->heartbeat_flying && !store->said_goodbye &&
		now_us >= store->heartbeat_us)
		beat(store, now_us);
	if (!store->fatal)
		tell_groups(store, now_us);
	if (atomic_load(&store->leave))
		leave(store, now_us);
}
