/* SPDX-License-Identifier: BSD-3-Clause */
#include "share.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "monitor.h"
#include "options.h"
#include "output.h"
#include "view.h"

/* --- What is opened before the wire --- */

static int open_image(struct share *share)
{
	const struct fleet *fleet = share->fleet;
	char warning[IMAGE_REASON_MAX] = "", reason[IMAGE_REASON_MAX] = "";
	int status = image_open(
		&share->image, fleet->state, fleet->name, fleet->phones, warning, reason);
	if (status != 0) {
		fprintf(stderr,
			"sipherd: %s. Another folder is chosen by --state DIR; `store: none` keeps "
			"nothing.\n",
			reason);
		return EXIT_HOST;
	}
	share->has_image = true;
	if (warning[0] != '\0')
		share->say(share->context, true, warning);
	return EXIT_DONE;
}

/* So that `sipherd fleet` finds the socket. */
static void write_pointer(struct share *share)
{
	char text[sizeof(share->embedded.socket) + 1];
	snprintf(text, sizeof(text), "%s\n", share->embedded.socket);
	if (monitor_pointer(
		    share->fleet, share->image.slot, share->pointer, sizeof(share->pointer)) != 0 ||
		output_whole(share->pointer, text) != 0)
		share->pointer[0] = '\0';
}

static void warn_of_neighbours(struct share *share)
{
	char text[240];
	if (share->image.slot == 0)
		return;
	snprintf(text, sizeof(text),
		"another sipherd on this host runs fleet '%.63s' too: each has its own embedded "
		"store, so that both drive all phones. A `store:` that both reach splits them",
		share->fleet->name);
	share->say(share->context, true, text);
}

static void open_embedded(struct share *share)
{
	char reason[EMBEDDED_REASON_MAX] = "", text[EMBEDDED_REASON_MAX + 200];
	int status = embedded_start(&share->embedded, share->fleet->state, reason);
	if (status != 0) {
		snprintf(text, sizeof(text),
			"%s; the herd runs on its image file %.400s alone, no monitor and no other "
			"generator can see it",
			reason, share->image.path);
		share->say(share->context, true, text);
		share->target.kind = TARGET_NONE;
		return;
	}
	share->has_embedded = true;
	share->target.kind = TARGET_UNIX;
	snprintf(share->target.path, sizeof(share->target.path), "%s", share->embedded.socket);
	write_pointer(share);
	warn_of_neighbours(share);
	printf("store: redis-server on unix:%s, pid %d\n", share->embedded.socket,
		(int)share->embedded.pid);
}

static int open_target(struct share *share)
{
	char reason[TARGET_REASON_MAX];
	if (target_password(&share->target, reason) != 0) {
		fprintf(stderr, "sipherd: %s\n", reason);
		return EXIT_USAGE;
	}
	if (share->target.kind == TARGET_EMBEDDED)
		open_embedded(share);
	if (share->target.kind == TARGET_NONE) {
		snprintf(share->words, sizeof(share->words), "image file alone");
		return EXIT_DONE;
	}
	target_describe(&share->target, share->words, sizeof(share->words));
	if (!share->has_embedded)
		printf("store: %s\n", share->words);
	return EXIT_DONE;
}

static int open_store(struct share *share)
{
	for (int s = 0; s < PHONE_STATES; s++)
		for (int p = 0; p < PROXIES; p++)
			snprintf(share->state_name[s][p], sizeof(share->state_name[s][p]),
				"phones_%s_%s", phone_state_name((enum phone_state)s),
				proxy_name((enum proxy)p));
	int status = open_image(share);
	return status == EXIT_DONE ? open_target(share) : status;
}

int share_open(struct share *share, const struct fleet *fleet, unsigned workers, bool watched,
	void *context, void (*say)(void *context, bool warning, const char *message))
{
	*share = (struct share){
		.fleet = fleet, .context = context, .say = say, .target = fleet->target};
	const bool stored = fleet->target.kind != TARGET_NONE;
	if (!stored && !watched)
		return EXIT_DONE;
	int status = stored ? open_store(share) : EXIT_DONE;
	if (status != EXIT_DONE)
		return status;
	/* Without an image its records are NULL: the mirror takes memory of its own. */
	if (mirror_create(&share->mirror, fleet->phones, workers, share->image.record, watched) ==
		0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: out of memory for the records of %u phones\n", fleet->phones);
	return EXIT_HOST;
}

/* --- Who is driven here --- */

static uint32_t shards_in(uint32_t count)
{
	return count / SHARD_PHONES + (count % SHARD_PHONES != 0);
}

/* Phones start at the ramp's rate, also those that come later: the herd has them follow those that came
 * before. */
static void adopt(void *context, uint32_t first, uint32_t count, bool moved)
{
	struct share *share = context;
	const uint32_t shard = first / SHARD_PHONES;
	if (share->stopping)
		return;
	for (uint32_t i = 0; i < shards_in(count); i++)
		atomic_store_explicit(&share->mirror->here[shard + i], 1, memory_order_release);
	wire_command(share->wire, &(struct herd_command){.kind = HERD_ADOPT,
					  .first = first,
					  .count = count,
					  .begin_us = wire_now_us(share->wire)});
	share->phones += count;
	/* Who had them last is who neighbours may still know them by. */
	if (share->announce && moved)
		wire_announce(share->wire, first, count);
}

static void release(void *context, uint32_t first, uint32_t count)
{
	struct share *share = context;
	const uint32_t shard = first / SHARD_PHONES;
	wire_command(share->wire,
		&(struct herd_command){.kind = HERD_RELEASE, .first = first, .count = count});
	for (uint32_t i = 0; i < shards_in(count); i++) {
		_Atomic uint8_t *here = &share->mirror->here[shard + i];
		if (atomic_load_explicit(here, memory_order_relaxed) != 0)
			share->phones -= mirror_shard_phones(share->mirror, shard + i);
		atomic_store_explicit(here, 0, memory_order_release);
	}
}

static void on_say(void *context, bool warning, const char *message)
{
	struct share *share = context;
	share->say(share->context, warning, message);
}

static uint64_t herd_clock(const void *wire)
{
	return wire_now_us(wire);
}

static void set_clock(struct share *share)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t unix_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	atomic_store_explicit(&share->mirror->unix_start_us, unix_us - wire_now_us(share->wire),
		memory_order_release);
}

int share_start(struct share *share, struct wire *wire, struct ev_loop *loop, bool announce)
{
	const struct store_config config = {.target = share->target,
		.fleet = share->fleet->name,
		.node = share->image.node,
		.version = SIPHERD_VERSION,
		.mirror = share->mirror,
		.image = &share->image,
		.mode = fleet_largest(share->fleet)->redundancy_mode,
		.ttl_ms = share->fleet->lease_ttl_ms,
		.strict = share->fleet->fence_strict,
		.now_us = herd_clock,
		.clock = wire};
	const struct store_events events = {
		.context = share, .adopt = adopt, .release = release, .say = on_say};
	share->wire = wire;
	share->announce = announce;
	if (share->has_embedded)
		embedded_follow(&share->embedded);
	if (share->mirror == NULL) {
		share->phones = share->fleet->phones;
		wire_command(wire, &(struct herd_command){.kind = HERD_START});
		return EXIT_DONE;
	}
	set_clock(share);
	if (share->target.kind == TARGET_NONE) {
		adopt(share, 0, share->fleet->phones, false);
		return EXIT_DONE;
	}
	int status = store_open(&share->store, &config, &events, loop);
	if (status == 0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: the store's thread cannot be started: %s\n", strerror(-status));
	return EXIT_HOST;
}

/* --- While it runs --- */

void share_only_ours(const struct share *share, struct herd_population *population)
{
	uint32_t others = share->mirror != NULL ? share->fleet->phones - share->phones : 0;
	for (int p = 0; p < PROXIES; p++) {
		uint32_t *off = &population->phones[PHONE_OFF][p];
		uint32_t less = others < *off ? others : *off;
		*off -= less;
		others -= less;
	}
}

void share_update(struct share *share)
{
	if (share->store != NULL)
		store_status(share->store, &share->status);
}

void share_publish(struct share *share, const struct wire_snapshot *now)
{
	struct store_field field[STORE_FIELDS_MAX];
	const uint64_t *value = (const uint64_t *)&now->herd;
	size_t count = 0;
	if (share->store == NULL)
		return;
	for (int s = 0; s < PHONE_STATES; s++)
		for (int p = 0; p < PROXIES; p++)
			field[count++] = (struct store_field){
				share->state_name[s][p], now->population.phones[s][p]};
	for (int i = 0; i < herd_counters_count && count < STORE_FIELDS_MAX; i++)
		field[count++] = (struct store_field){herd_counters_descriptions[i].name, value[i]};
	store_publish(share->store, field, count);
}

void share_line(const struct share *share, char *out, size_t size)
{
	const struct store_status *s = &share->status;
	if (!share->has_image)
		out[0] = '\0';
	else if (share->store == NULL)
		snprintf(out, size, "%s", share->words);
	else
		snprintf(out, size, "%s  %u of %u shards  %u node%s  lag %.0f ms%s%s", share->words,
			s->driven, s->shards, s->nodes, s->nodes == 1 ? "" : "s",
			(double)s->lag_us / 1e3, s->trouble[0] != '\0' ? "  " : "", s->trouble);
}

const char *share_owner(const struct share *share, uint32_t shard, char out[SHARE_OWNER_MAX])
{
	return share->store != NULL && store_owner(share->store, shard, out) ? out : NULL;
}

/* --- The end --- */

void share_stop(struct share *share)
{
	share->stopping = true;
	share->driven = share->status.driven;
	share->nodes = share->status.nodes;
}

void share_leave(struct share *share)
{
	if (share->store != NULL && !share->left)
		store_leave(share->store);
	share->left = true;
}

bool share_is_quiet(const struct share *share)
{
	return share->store == NULL || store_is_quiet(share->store);
}

void share_end(struct share *share)
{
	share_update(share);
	if (share->store != NULL)
		store_close(share->store);
	share->store = NULL;
}

void share_close(struct share *share)
{
	share_end(share);
	if (share->pointer[0] != '\0')
		remove(share->pointer);
	if (share->has_embedded)
		embedded_stop(&share->embedded);
	mirror_free(share->mirror);
	if (share->has_image)
		image_close(&share->image);
	explicit_bzero(share->target.password, sizeof(share->target.password));
	*share = (struct share){0};
}

/* --- For the summary --- */

const char *share_socket(const struct share *share)
{
	bool open = share->has_image && share->target.kind == TARGET_UNIX &&
		    share->target.password[0] == '\0';
	return open ? share->target.path : NULL;
}

bool share_has_redis(const struct share *share)
{
	return share->has_image && share->target.kind != TARGET_NONE;
}

void share_print(const struct share *share, FILE *out)
{
	const struct store_counters *c = &share->status.counters;
	char records[32], flushes[32];
	if (!share->has_image)
		return;
	if (!share_has_redis(share)) {
		fprintf(out, "store   image file %s alone\n", share->image.path);
		return;
	}
	fprintf(out, "store   %s\n", share->words);
	fprintf(out,
		"        node %s had %u of %u shards; %s records in %s flushes, lag at most %.0f "
		"ms\n",
		share->image.node, share->driven, share->status.shards,
		view_number(c->records_written, records), view_number(c->flushes, flushes),
		(double)share->status.lag_max_us / 1e3);
	if (c->reconnects + c->fenced + c->feed_dropped + c->leases_lost > 0)
		fprintf(out,
			"        %" PRIu64 " reconnects, %" PRIu64 " calls fenced, %" PRIu64
			" shards lost to others, %" PRIu64 " feed lines left out\n",
			c->reconnects, c->fenced, c->leases_lost, c->feed_dropped);
	if (share->status.trouble[0] != '\0')
		fprintf(out, "        %s\n", share->status.trouble);
}

const char *share_kind(const struct share *share)
{
	static const char *const words[] = {
		"embedded", "none", "single", "unix", "sentinel", "cluster"};
	if (!share->has_image)
		return "none";
	return !share_has_redis(share) ? "image"
	       : share->has_embedded   ? "embedded"
				       : words[share->target.kind];
}

json_t *share_json(const struct share *share)
{
	const struct store_status *s = &share->status;
	const uint64_t *value = (const uint64_t *)&s->counters;
	json_t *object = json_pack("{s:s}", "kind", share_kind(share));
	if (!share->has_image)
		return object;
	json_object_set_new(object, "node", json_string(share->image.node));
	json_object_set_new(object, "image", json_string(share->image.path));
	json_object_set_new(
		object, "memory_bytes", json_integer((json_int_t)mirror_memory(share->mirror)));
	if (!share_has_redis(share))
		return object;
	json_t *counters = json_object();
	for (int i = 0; i < store_counters_count; i++)
		json_object_set_new(counters, store_counters_descriptions[i].name,
			json_integer((json_int_t)value[i]));
	json_t *redis = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "where",
		share->words, "connected", s->connected, "nodes", (json_int_t)share->nodes,
		"shards", (json_int_t)s->shards, "driven", (json_int_t)share->driven, "unleased",
		(json_int_t)s->unleased, "lag_us", (json_int_t)s->lag_us, "lag_max_us",
		(json_int_t)s->lag_max_us, "trouble", s->trouble, "counters", counters);
	json_object_set_new(object, "redis", redis);
	return object;
}
