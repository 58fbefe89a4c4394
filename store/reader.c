/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keys.h"
#include "reader_link.h"
#include "server.h"

#define TTL_MS 10000 /* of leases, where a node does not say */
#define BLOCK_MS 1000
#define POLL_MS 100
#define FEED_COUNT "200" /* entries of one group taken at once */
#define FEED_LINE_MAX 256
#define TOTALS_MAX 512
#define ID_MAX 48

struct reader {
	struct reader_way way;
	struct keys keys;
	struct reader_fleet fleet;
	bool known;                         /* `fleet` has been read */
	bool following;                     /* `seen` is set */
	char seen[KEYS_GROUPS_MAX][ID_MAX]; /* of each group's feed */
	char reason[READER_REASON_MAX];
};

static int fail(struct reader *reader, int error, const char *what)
{
	return reader_way_fail(&reader->way, error, "%s", what);
}

static redisReply *call(
	struct reader *reader, const char *key, int argc, const char **argv, int *error)
{
	return reader_way_call(&reader->way, key, argc, argv, NULL, error);
}

int reader_open(struct reader **out, const struct target *target, const char *fleet,
	char reason[READER_REASON_MAX])
{
	struct reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL) {
		snprintf(reason, READER_REASON_MAX, "out of memory");
		return -ENOMEM;
	}
	reader->way.reason = reader->reason;
	reader->way.reason_size = sizeof(reader->reason);
	reader->way.target = *target;
	keys_begin(&reader->keys, fleet, target->kind == TARGET_CLUSTER);
	int status = reader_way_open(&reader->way);
	if (status != 0) {
		snprintf(reason, READER_REASON_MAX, "%s", reader->reason);
		reader_close(reader);
		return status;
	}
	*out = reader;
	return 0;
}

void reader_close(struct reader *reader)
{
	if (reader == NULL)
		return;
	reader_way_close(&reader->way);
	free(reader);
}

const char *reader_reason(const struct reader *reader)
{
	return reader->reason;
}

/* --- Replies, which are whatever somebody put there --- */

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

static uint64_t number_of(const char *text)
{
	return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* All fields of a hash; the reply is pairs of texts. -ENOENT: there is no such key. */
static int hash(struct reader *reader, const char *key, redisReply **out)
{
	int error = 0;
	redisReply *reply = call(reader, key, 2, (const char *[]){"HGETALL", key}, &error);
	if (reply == NULL)
		return error;
	bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 0;
	for (size_t i = 0; good && i < reply->elements; i++)
		good = is_text(reply->element[i]);
	if (!good)
		error = fail(reader, -EPROTO, "Redis answers HGETALL with something else");
	else if (reply->elements == 0)
		error = -ENOENT;
	if (error != 0)
		freeReplyObject(reply);
	else
		*out = reply;
	return error;
}

static const char *field(const redisReply *pairs, const char *name)
{
	for (size_t i = 0; i + 1 < pairs->elements; i += 2)
		if (strcmp(pairs->element[i]->str, name) == 0)
			return pairs->element[i + 1]->str;
	return "";
}

/* The clock that leases and heartbeats are of, unix ms. */
static int server_time(struct reader *reader, const char *key, uint64_t *out)
{
	int error = 0;
	redisReply *reply = call(reader, key, 1, (const char *[]){"TIME"}, &error);
	if (reply == NULL)
		return error;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		is_text(reply->element[0]) && is_text(reply->element[1]))
		*out = number_of(reply->element[0]->str) * 1000 +
		       number_of(reply->element[1]->str) / 1000;
	else
		error = fail(reader, -EPROTO, "Redis answers TIME with something else");
	freeReplyObject(reply);
	return error;
}

/* --- The fleet --- */

static int take_meta(struct reader *reader, const redisReply *meta)
{
	struct reader_fleet *fleet = &reader->fleet;
	const char *mode = field(meta, "mode");
	snprintf(fleet->fleet, sizeof(fleet->fleet), "%s", reader->keys.fleet);
	fleet->schema = (uint32_t)number_of(field(meta, "schema"));
	fleet->phones = (uint32_t)number_of(field(meta, "phones"));
	fleet->groups = (uint32_t)number_of(field(meta, "groups"));
	fleet->shards = fleet->phones / SHARD_PHONES + (fleet->phones % SHARD_PHONES != 0);
	fleet->mode = strcmp(mode, "symmetric") == 0 || strcmp(mode, "1") == 0 ? MODE_SYMMETRIC
									       : MODE_ASYMMETRIC;
	if (fleet->schema != 1)
		return reader_way_fail(&reader->way, -EPROTONOSUPPORT,
			"the fleet has schema %u, this sipherd knows 1: use the version that wrote "
			"it",
			fleet->schema);
	if (fleet->groups != KEYS_GROUPS && fleet->groups != KEYS_GROUPS_CLUSTER)
		return fail(reader, -EPROTO, "the fleet's number of groups is not 16 or 256");
	if (fleet->groups != reader->keys.groups)
		keys_begin(&reader->keys, fleet->fleet, fleet->groups == KEYS_GROUPS_CLUSTER);
	reader->known = true;
	return 0;
}

int reader_fleet(struct reader *reader, struct reader_fleet *out)
{
	char key[KEY_MAX];
	redisReply *meta;
	keys_meta(&reader->keys, key);
	int status = hash(reader, key, &meta);
	if (status == -ENOENT)
		return reader_way_fail(&reader->way, status, "there is no fleet '%s' in this store",
			reader->keys.fleet);
	if (status != 0)
		return status;
	status = take_meta(reader, meta);
	freeReplyObject(meta);
	*out = reader->fleet;
	return status;
}

/* How many groups there are decides the names of all other keys. */
static int know(struct reader *reader)
{
	struct reader_fleet fleet;
	return reader->known ? 0 : reader_fleet(reader, &fleet);
}

/* --- Nodes --- */

static void copy_json(char *out, size_t size, const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	server_quote(text != NULL ? text : "", out, size);
}

static uint64_t json_number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	double number = json_number_value(value);
	if (json_is_integer(value))
		return (uint64_t)json_integer_value(value);
	return number > 0 && number < 1e18 ? (uint64_t)number : 0;
}

static void take_node(const char *name, const char *text, uint64_t now_ms, struct reader_node *out)
{
	*out = (struct reader_node){0};
	server_quote(name, out->node, sizeof(out->node));
	json_t *object = json_loads(text, 0, NULL);
	if (object == NULL)
		return;
	copy_json(out->host, sizeof(out->host), object, "host");
	copy_json(out->state, sizeof(out->state), object, "state");
	copy_json(out->version, sizeof(out->version), object, "version");
	out->pid = (uint32_t)json_number(object, "pid");
	out->shards = (uint32_t)json_number(object, "shards");
	out->start_unix_ms = json_number(object, "start");
	out->heartbeat_unix_ms = json_number(object, "heartbeat");
	uint64_t ttl_ms = json_number(object, "ttl");
	if (ttl_ms == 0)
		ttl_ms = TTL_MS;
	out->live = out->heartbeat_unix_ms + ttl_ms > now_ms;
	json_decref(object);
}

int reader_nodes(struct reader *reader, struct reader_node *out, size_t max, size_t *count)
{
	char key[KEY_MAX];
	redisReply *nodes;
	uint64_t now_ms = 0;
	*count = 0;
	keys_nodes(&reader->keys, key);
	int status = server_time(reader, key, &now_ms);
	if (status == 0)
		status = hash(reader, key, &nodes);
	if (status != 0)
		return status == -ENOENT ? 0 : status;
	for (size_t i = 0; i + 1 < nodes->elements; i += 2, (*count)++)
		if (*count < max)
			take_node(nodes->element[i]->str, nodes->element[i + 1]->str, now_ms,
				&out[*count]);
	freeReplyObject(nodes);
	return 0;
}

struct total {
	char name[64];
	uint64_t value;
};

static void add_totals(struct total *totals, size_t *count, const redisReply *pairs)
{
	for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
		const char *name = pairs->element[i]->str;
		size_t at = 0;
		while (at < *count && strcmp(totals[at].name, name) != 0)
			at++;
		if (at == TOTALS_MAX || strlen(name) >= sizeof(totals[at].name))
			continue;
		if (at == *count) {
			server_quote(name, totals[at].name, sizeof(totals[at].name));
			totals[(*count)++].value = 0;
		}
		totals[at].value += number_of(pairs->element[i + 1]->str);
	}
}

static int sum_nodes(struct reader *reader, struct total *totals, size_t *count)
{
	static const size_t most = 64;
	char key[KEY_MAX];
	size_t nodes = 0;
	struct reader_node *node = calloc(most, sizeof(*node));
	if (node == NULL)
		return fail(reader, -ENOMEM, "out of memory");
	int status = reader_nodes(reader, node, most, &nodes);
	for (size_t i = 0; status == 0 && i < nodes && i < most; i++) {
		redisReply *pairs;
		if (!node[i].live)
			continue;
		keys_node(&reader->keys, node[i].node, key);
		status = hash(reader, key, &pairs);
		if (status == 0) {
			add_totals(totals, count, pairs);
			freeReplyObject(pairs);
		} else if (status == -ENOENT) {
			status = 0; /* it has said nothing yet */
		}
	}
	free(node);
	return status;
}

int reader_totals(struct reader *reader,
	void (*each)(void *context, const char *name, uint64_t value), void *context)
{
	size_t count = 0;
	struct total *totals = calloc(TOTALS_MAX, sizeof(*totals));
	if (totals == NULL)
		return fail(reader, -ENOMEM, "out of memory");
	int status = sum_nodes(reader, totals, &count);
	for (size_t i = 0; status == 0 && i < count; i++)
		each(context, totals[i].name, totals[i].value);
	free(totals);
	return status;
}

/* --- Shards and phones --- */

static int in_range(struct reader *reader, uint32_t index, uint32_t limit, const char *what)
{
	int status = know(reader);
	if (status != 0 || index < limit)
		return status;
	return reader_way_fail(&reader->way, -ENOENT, "the last %s is %u", what, limit - 1);
}

int reader_lease(struct reader *reader, uint32_t shard, struct reader_lease *out)
{
	char key[KEY_MAX];
	redisReply *lease;
	uint64_t now_ms;
	*out = (struct reader_lease){0};
	int status = know(reader);
	if (status == 0)
		status = in_range(reader, shard, reader->fleet.shards, "shard");
	if (status != 0)
		return status;
	keys_lease(&reader->keys, shard, key);
	status = server_time(reader, key, &now_ms);
	if (status == 0)
		status = hash(reader, key, &lease);
	if (status != 0)
		return status == -ENOENT ? 0 : status; /* never held by anybody */
	server_quote(field(lease, "owner"), out->owner, sizeof(out->owner));
	out->token = number_of(field(lease, "token"));
	out->since_unix_ms = number_of(field(lease, "since"));
	out->left_ms = (int64_t)number_of(field(lease, "exp")) - (int64_t)now_ms;
	freeReplyObject(lease);
	return 0;
}

/* Part of a slab, exactly so long; -ENOENT when it is not there. */
static int read_slab(
	struct reader *reader, uint32_t shard, uint32_t first_byte, uint32_t bytes, uint8_t *out)
{
	char key[KEY_MAX], from[16], to[16];
	int error = 0;
	keys_slab(&reader->keys, shard, key);
	snprintf(from, sizeof(from), "%u", first_byte);
	snprintf(to, sizeof(to), "%u", first_byte + bytes - 1);
	redisReply *reply = call(
		reader, key, 4, (const char *[]){"GETRANGE", key, from, to}, &error);
	if (reply == NULL)
		return error;
	if (reply->type == REDIS_REPLY_STRING && (size_t)reply->len == bytes)
		memcpy(out, reply->str, bytes);
	else if (reply->type == REDIS_REPLY_STRING)
		error = reader_way_fail(&reader->way, -ENOENT,
			"phones %u to %u have never been driven with this store",
			shard * SHARD_PHONES, shard * SHARD_PHONES + SHARD_PHONES - 1);
	else
		error = fail(reader, -EPROTO, "Redis answers GETRANGE with something else");
	freeReplyObject(reply);
	return error;
}

int reader_phone(struct reader *reader, uint32_t phone, uint8_t record[RECORD_SIZE])
{
	int status = know(reader);
	if (status == 0)
		status = in_range(reader, phone, reader->fleet.phones, "phone");
	return status != 0 ? status
			   : read_slab(reader, phone / SHARD_PHONES,
				     phone % SHARD_PHONES * RECORD_SIZE, RECORD_SIZE, record);
}

int reader_slab(struct reader *reader, uint32_t shard, uint8_t *records)
{
	int status = know(reader);
	if (status == 0)
		status = in_range(reader, shard, reader->fleet.shards, "shard");
	if (status != 0)
		return status;
	uint32_t phones = reader->fleet.phones - shard * SHARD_PHONES;
	if (phones > SHARD_PHONES)
		phones = SHARD_PHONES;
	memset(records, 0, (size_t)SHARD_PHONES * RECORD_SIZE);
	return read_slab(reader, shard, 0, phones * RECORD_SIZE, records);
}

/* --- The feed --- */

struct listener {
	void (*each)(void *context, uint32_t shard, const char *line);
	void *context;
};

/* Where a group's feed ends now: what comes later is new. */
static int begin_group(struct reader *reader, uint32_t group)
{
	char key[KEY_MAX];
	int error = 0;
	keys_feed(&reader->keys, group, key);
	redisReply *reply = call(
		reader, key, 6, (const char *[]){"XREVRANGE", key, "+", "-", "COUNT", "1"}, &error);
	if (reply == NULL)
		return error;
	const redisReply *entry = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
					  ? reply->element[0]
					  : NULL;
	bool has = entry != NULL && entry->type == REDIS_REPLY_ARRAY && entry->elements > 0 &&
		   is_text(entry->element[0]);
	snprintf(reader->seen[group], ID_MAX, "%s", has ? entry->element[0]->str : "0-0");
	freeReplyObject(reply);
	return 0;
}

static int begin_feed(struct reader *reader)
{
	int status = know(reader);
	for (uint32_t group = 0; status == 0 && group < reader->keys.groups; group++)
		status = begin_group(reader, group);
	reader->following = status == 0;
	return status;
}

static void tell_lines(const struct listener *listener, uint32_t shard, const char *text)
{
	char line[FEED_LINE_MAX];
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		server_quote(text, line, length < sizeof(line) ? length + 1 : sizeof(line));
		if (line[0] != '\0')
			listener->each(listener->context, shard, line);
		text += length + (text[length] == '\n');
	}
}

/* [id, [name, value, ...]] */
static void tell_entry(struct reader *reader, uint32_t group, const redisReply *entry,
	const struct listener *listener)
{
	const char *shard = "", *text = "";
	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
		!is_text(entry->element[0]) || entry->element[1]->type != REDIS_REPLY_ARRAY)
		return;
	snprintf(reader->seen[group], ID_MAX, "%s", entry->element[0]->str);
	const redisReply *pairs = entry->element[1];
	for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
		if (!is_text(pairs->element[i]) || !is_text(pairs->element[i + 1]))
			return;
		if (strcmp(pairs->element[i]->str, "s") == 0)
			shard = pairs->element[i + 1]->str;
		else if (strcmp(pairs->element[i]->str, "d") == 0)
			text = pairs->element[i + 1]->str;
	}
	tell_lines(listener, (uint32_t)number_of(shard), text);
}

/* [[key, [entry, ...]], ...]: how many entries there were. */
static size_t tell_streams(struct reader *reader, const redisReply *reply, uint32_t first,
	uint32_t groups, const struct listener *listener)
{
	char key[KEY_MAX];
	size_t told = 0;
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		const redisReply *stream = reply->element[i];
		if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2 ||
			!is_text(stream->element[0]) ||
			stream->element[1]->type != REDIS_REPLY_ARRAY)
			continue;
		for (uint32_t group = first; group < first + groups; group++) {
			keys_feed(&reader->keys, group, key);
			if (strcmp(key, stream->element[0]->str) != 0)
				continue;
			const redisReply *entries = stream->element[1];
			for (size_t n = 0; n < entries->elements; n++, told++)
				tell_entry(reader, group, entries->element[n], listener);
		}
	}
	return told;
}

/* XREAD of some groups. They share a server, and without a cluster the command too. Entries told,
 * or -errno. */
static int read_groups(struct reader *reader, uint32_t first, uint32_t groups, uint32_t block_ms,
	const struct listener *listener)
{
	char key[KEYS_GROUPS][KEY_MAX], block[16];
	const char *argv[6 + 2 * KEYS_GROUPS] = {"XREAD", "COUNT", FEED_COUNT};
	int argc = 3, error = 0;
	snprintf(block, sizeof(block), "%u", block_ms);
	if (block_ms > 0) {
		argv[argc++] = "BLOCK";
		argv[argc++] = block;
	}
	argv[argc++] = "STREAMS";
	for (uint32_t i = 0; i < groups; i++) {
		keys_feed(&reader->keys, first + i, key[i]);
		argv[argc + (int)i] = key[i];
		argv[argc + (int)(groups + i)] = reader->seen[first + i];
	}
	redisReply *reply = call(reader, key[0], argc + 2 * (int)groups, argv, &error);
	if (reply == NULL)
		return error;
	size_t told = tell_streams(reader, reply, first, groups, listener);
	freeReplyObject(reply);
	return (int)told;
}

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Groups of a cluster are in slots of their own: each is asked, and then we wait a little. */
static int poll_cluster(struct reader *reader, uint32_t wait_ms, const struct listener *listener)
{
	int told = 0;
	for (uint32_t group = 0; group < reader->keys.groups; group++) {
		int here = read_groups(reader, group, 1, 0, listener);
		if (here < 0)
			return here;
		told += here;
	}
	if (wait_ms > POLL_MS)
		wait_ms = POLL_MS;
	if (told == 0)
		nanosleep(&(struct timespec){.tv_nsec = (long)wait_ms * 1000000}, NULL);
	return told;
}

int reader_feed(struct reader *reader, uint32_t timeout_ms,
	void (*each)(void *context, uint32_t shard, const char *line), void *context)
{
	const struct listener listener = {each, context};
	bool together = reader->way.target.kind != TARGET_CLUSTER;
	int told = reader->following ? 0 : begin_feed(reader);
	uint64_t end_ms = clock_ms() + timeout_ms, now_ms;
	together = together && reader->keys.groups == KEYS_GROUPS;
	while (told == 0 && (now_ms = clock_ms()) < end_ms) {
		uint32_t left_ms = (uint32_t)(end_ms - now_ms);
		told = together ? read_groups(reader, 0, KEYS_GROUPS,
					  left_ms < BLOCK_MS ? left_ms : BLOCK_MS, &listener)
				: poll_cluster(reader, left_ms, &listener);
	}
	return told < 0 ? told : 0;
}
