/* SPDX-License-Identifier: BSD-3-Clause */
/* The control thread's side of the store, and calls in the making. */
#include "store_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct counter_description store_counters_descriptions[] = {
	STORE_COUNTERS(COUNTER_DESCRIPTION)};

/* --- Events --- */

void store_ring(struct store *store)
{
	ev_async_send(store->control, &store->on_control);
}

static void put_message(struct store *store, bool warning, const char *text)
{
	struct store_shared *shared = &store->shared;
	pthread_mutex_lock(&shared->lock);
	if (shared->messages == STORE_MESSAGES) {
		shared->messages_lost++;
	} else {
		shared->message[shared->messages].warning = warning;
		snprintf(shared->message[shared->messages].text, STORE_MESSAGE_MAX, "%s", text);
		shared->messages++;
	}
	pthread_mutex_unlock(&shared->lock);
	store_ring(store);
}

void store_say(struct store *store, bool warning, const char *format, ...)
{
	char text[STORE_MESSAGE_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	put_message(store, warning, text);
}

void store_trouble(struct store *store, const char *format, ...)
{
	char text[sizeof(store->trouble)];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (strcmp(text, store->trouble) == 0)
		return;
	memcpy(store->trouble, text, sizeof(text));
	if (text[0] != '\0')
		put_message(store, true, text);
}

static void deliver_range(struct store *store, uint8_t kind, uint32_t begin, uint32_t end)
{
	const struct store_events *events = &store->events;
	const uint64_t last = (uint64_t)end * SHARD_PHONES;
	const uint32_t first = begin * SHARD_PHONES;
	const uint32_t count = (uint32_t)((last < store->mirror->phones ? last
									: store->mirror->phones) -
					  first);
	if (kind == PENDING_RELEASE)
		events->release(events->context, first, count);
	else if (kind != PENDING_NOTHING)
		events->adopt(events->context, first, count, kind == PENDING_ADOPT_MOVED);
}

/* Neighbours with the same event become one range. Releases go first. */
static void deliver(struct store *store)
{
	for (int adopting = 0; adopting < 2; adopting++) {
		for (uint32_t i = 0, end; i < store->shards; i = end) {
			const uint8_t kind = store->delivering[i];
			end = i + 1;
			if (kind == PENDING_NOTHING || (kind != PENDING_RELEASE) != adopting)
				continue;
			while (end < store->shards && store->delivering[end] == kind)
				end++;
			deliver_range(store, kind, i, end);
		}
	}
}

static void on_control(struct ev_loop *loop, ev_async *watcher, int events)
{
	(void)loop, (void)events;
	struct store *store = watcher->data;
	struct store_shared *shared = &store->shared;
	struct store_message message[STORE_MESSAGES];
	pthread_mutex_lock(&shared->lock);
	const bool any = shared->any_pending;
	const unsigned messages = shared->messages, lost = shared->messages_lost;
	memcpy(message, shared->message, messages * sizeof(message[0]));
	if (any) {
		memcpy(store->delivering, shared->pending, store->shards);
		memset(shared->pending, PENDING_NOTHING, store->shards);
	}
	shared->any_pending = false;
	shared->messages = shared->messages_lost = 0;
	pthread_mutex_unlock(&shared->lock);
	const struct store_events *to = &store->events;
	for (unsigned i = 0; i < messages; i++)
		to->say(to->context, message[i].warning, message[i].text);
	if (lost > 0)
		to->say(to->context, true,
			"store: more messages than could be shown were left out");
	if (any)
		deliver(store);
}

/* --- Opening and closing --- */

static int take_config(struct store *store, const struct store_config *config)
{
	if (config->mirror == NULL || config->now_us == NULL || config->fleet[0] == '\0' ||
		strlen(config->fleet) >= sizeof(store->keys.fleet) ||
		strlen(config->node) >= sizeof(store->node) || config->node[0] == '\0')
		return -EINVAL;
	keys_begin(&store->keys, config->fleet, config->target.kind == TARGET_CLUSTER);
	snprintf(store->node, sizeof(store->node), "%s", config->node);
	snprintf(store->version, sizeof(store->version), "%s",
		config->version == NULL ? "" : config->version);
	if (gethostname(store->host, sizeof(store->host) - 1) != 0)
		snprintf(store->host, sizeof(store->host), "%s", "?");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	store->start_unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	store->mirror = config->mirror;
	store->image = config->image;
	store->shards = config->mirror->shards;
	store->now = config->now_us;
	store->clock = config->clock;
	store->mode = config->mode;
	store->strict = config->strict;
	const uint32_t ttl_ms = config->ttl_ms == 0 ? PLACEMENT_TTL_MS : config->ttl_ms;
	store->ttl_us = (uint64_t)ttl_ms * 1000;
	/* A packet may leave a little after the worker has looked; clocks drift. */
	store->margin_us = store->ttl_us / 20;
	return 0;
}

static int create(struct store *store, const struct target *target)
{
	store->shard = calloc(store->shards, sizeof(*store->shard));
	store->shared.pending = calloc(store->shards, 1);
	store->delivering = calloc(store->shards, 1);
	store->nodes = calloc(PLACEMENT_NODES_MAX, sizeof(*store->nodes));
	if (store->shard == NULL || store->shared.pending == NULL || store->delivering == NULL ||
		store->nodes == NULL)
		return -ENOMEM;
	int status = feed_create(store);
	if (status == 0)
		status = writer_create(store);
	if (status == 0)
		status = leases_begin(store);
	if (status == 0)
		status = store_loop_create(store, target);
	return status;
}

static void destroy(struct store *store)
{
	store_loop_free(store);
	placement_free(store->placement);
	writer_free(store);
	feed_free(store);
	free(store->nodes);
	free(store->delivering);
	free(store->shared.pending);
	free(store->shard);
	pthread_mutex_destroy(&store->shared.lock);
	free(store);
}

/* Signals are the control thread's. SIGPIPE is not taken either: a write to a server that is gone
 * fails with EPIPE. */
static int start_thread(struct store *store)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int status = pthread_create(&store->thread, NULL, store_run, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status == 0)
		pthread_setname_np(store->thread, "sipherd-store");
	return -status;
}

int store_open(struct store **out, const struct store_config *config,
	const struct store_events *events, struct ev_loop *loop)
{
	struct store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		return -ENOMEM;
	pthread_mutex_init(&store->shared.lock, NULL);
	store->events = *events;
	store->control = loop;
	int status = take_config(store, config);
	if (status == 0)
		status = create(store, &config->target);
	if (status != 0) {
		destroy(store);
		return status;
	}
	store->shared.status.shards = store->shards;
	ev_async_init(&store->on_control, on_control);
	store->on_control.data = store;
	ev_async_start(loop, &store->on_control);
	status = start_thread(store);
	if (status != 0) {
		ev_async_stop(loop, &store->on_control);
		destroy(store);
		return status;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	atomic_store(&store->end, true);
	ev_async_send(store->loop, &store->bell);
	pthread_join(store->thread, NULL);
	ev_async_stop(store->control, &store->on_control);
	destroy(store);
}

void store_leave(struct store *store)
{
	atomic_store(&store->leave, true);
	ev_async_send(store->loop, &store->bell);
}

bool store_is_quiet(const struct store *store)
{
	return atomic_load(&store->quiet);
}

void store_publish(struct store *store, const struct store_field *fields, size_t count)
{
	struct store_shared *shared = &store->shared;
	pthread_mutex_lock(&shared->lock);
	shared->fields = count < STORE_FIELDS_MAX ? count : STORE_FIELDS_MAX;
	memcpy(shared->field, fields, shared->fields * sizeof(*fields));
	pthread_mutex_unlock(&shared->lock);
}

static_assert(STORE_NODE_MAX == PLACEMENT_NODE_MAX, "one length of names");

bool store_owner(struct store *store, uint32_t shard, char node[STORE_NODE_MAX])
{
	struct store_shared *shared = &store->shared;
	node[0] = '\0';
	pthread_mutex_lock(&shared->lock);
	if (shared->nodes > 0) {
		const unsigned owner = placement_owner(
			(const char(*)[PLACEMENT_NODE_MAX])shared->node, shared->nodes, shard);
		memcpy(node, shared->node[owner], STORE_NODE_MAX);
	}
	pthread_mutex_unlock(&shared->lock);
	return node[0] != '\0' && strcmp(node, store->node) != 0;
}

void store_status(struct store *store, struct store_status *out)
{
	pthread_mutex_lock(&store->shared.lock);
	*out = store->shared.status;
	pthread_mutex_unlock(&store->shared.lock);
}

/* --- Calls in the making --- */

void call_add(struct store_call *call, const char *text, size_t length)
{
	if (call->count == CALL_ARGUMENTS)
		abort(); /* every caller bounds what it adds */
	call->argument[call->count] = text;
	call->length[call->count] = length;
	call->count++;
}

void call_text(struct store_call *call, const char *text)
{
	call_add(call, text, strlen(text));
}

char *call_room(struct store_call *call)
{
	if (CALL_TEXT - call->text_used < KEY_MAX)
		abort();
	return call->text + call->text_used;
}

void call_keep(struct store_call *call, size_t length)
{
	call_add(call, call->text + call->text_used, length);
	call->text_used += length;
}

/* By hand: a flush has hundreds of them. */
void call_number(struct store_call *call, uint64_t number)
{
	char digits[20];
	size_t n = sizeof(digits);
	do {
		digits[--n] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	memcpy(call_room(call), digits + n, sizeof(digits) - n);
	call_keep(call, sizeof(digits) - n);
}

void call_begin(struct store_call *call, const char *function, unsigned keys)
{
	call->count = 0;
	call->text_used = 0;
	call_text(call, "FCALL");
	call_text(call, function);
	call_number(call, keys);
}

int call_send(struct store *store, uint32_t group, router_answer answer, uint64_t tag)
{
	struct store_call *call = &store->call;
	const int status = router_call(store->router, group, answer, store, tag, call->count,
		call->argument, call->length);
	if (status != 0)
		return status;
	store->waiting++;
	for (int i = 0; i < call->count; i++)
		store->counters.bytes_written += call->length[i];
	return 0;
}

void call_answered(struct store *store)
{
	store->waiting--;
	store->work = true;
}
