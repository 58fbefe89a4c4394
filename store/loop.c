/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store's thread. Every 10 ms, and after every batch of answers, it looks for something to do.
 *
 * When this process stood still (SIGSTOP, a suspended host, a debugger), the worker may wake up first:
 * the mirror's lease_over_us is in the past by then, and nothing is sent. It is moved on only by what
 * Redis confirmed, never by this thread's own belief.
 */
#include "store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STATUS_US 50000

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- When packets must cease --- */

void store_set_lease_over(struct store *store, uint64_t over_us)
{
	if (over_us == store->lease_over_us)
		return;
	store->lease_over_us = over_us;
	atomic_store_explicit(&store->mirror->lease_over_us, over_us, memory_order_release);
}

/* Everything that is driven has been confirmed since the pause, or Redis is not there to ask and
 * nobody demands that it be asked. */
static bool is_settled(const struct store *store, uint64_t now_us)
{
	const bool patient = now_us < store->paused_us + (uint64_t)PLACEMENT_ALONE_MS * 1000;
	for (uint32_t i = 0; i < store->shards; i++) {
		const struct store_shard *shard = &store->shard[i];
		if (!shard->adopted || shard->confirmed_us >= store->paused_us)
			continue;
		if (patient || store->strict || store->group[store_group_of(store, i)].up)
			return false;
	}
	return true;
}

static void look_at_leases(struct store *store, uint64_t now_us)
{
	if (store->paused_us != 0 && is_settled(store, now_us))
		store->paused_us = 0;
	store_set_lease_over(store, store->paused_us != 0 ? 0 : leases_end_us(store));
}

static void pause_over(struct store *store, uint64_t gap_us, uint64_t now_us)
{
	store_set_lease_over(store, 0);
	store->paused_us = now_us;
	store->counters.pauses++;
	store_say(store, true,
		"store: this process stood still for %llu.%llu s, longer than its leases last; "
		"its phones are silent until Redis confirms whose they are",
		(unsigned long long)(gap_us / 1000000), (unsigned long long)(gap_us / 100000 % 10));
	if (store->placement != NULL)
		placement_paused(store->placement, now_us / 1000);
	router_reset(store->router);
	store->work = true;
}

/* Leases are older than our clock says by what it has missed: a suspended host, a restored virtual
 * machine. */
static void age_leases(struct store *store, uint64_t missed_us)
{
	for (uint32_t i = 0; i < store->shards; i++) {
		uint64_t *confirmed_us = &store->shard[i].confirmed_us;
		*confirmed_us -= *confirmed_us < missed_us ? *confirmed_us : missed_us;
		store->shard[i].asked_us -= store->shard[i].asked_us < missed_us
						    ? store->shard[i].asked_us
						    : missed_us;
	}
	for (uint32_t i = 0; i < STORE_RENEWALS; i++) {
		uint64_t *sent_us = &store->renewal[i].sent_us;
		*sent_us -= *sent_us < missed_us ? *sent_us : missed_us;
	}
	if (store->lease_over_us != UINT64_MAX)
		store_set_lease_over(store,
			store->lease_over_us < missed_us ? 0 : store->lease_over_us - missed_us);
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Before anything else after each wait. */
static void look_for_pause(struct store *store)
{
	const uint64_t now_us = store_now(store), boot_us = clock_us(CLOCK_BOOTTIME),
		       unix_us = clock_us(CLOCK_REALTIME);
	const uint64_t ours_us = now_us - store->seen_us;
	const uint64_t unix_gap_us = unix_us > store->seen_unix_us ? unix_us - store->seen_unix_us
								   : 0;
	const uint64_t gap_us = later_of(
		ours_us, later_of(boot_us - store->seen_boot_us, unix_gap_us));
	store->seen_us = now_us;
	store->seen_boot_us = boot_us;
	store->seen_unix_us = unix_us;
	if (gap_us < STORE_PAUSE_US)
		return;
	if (gap_us > ours_us + STORE_PAUSE_US / 2)
		age_leases(store, gap_us - ours_us);
	if (store->lease_over_us != UINT64_MAX && now_us >= store->lease_over_us &&
		store->paused_us == 0)
		pause_over(store, gap_us, now_us);
}

/* --- Rounds --- */

static void copy_status(struct store *store, uint64_t now_us)
{
	struct store_status *to = &store->shared.status;
	const struct router_counters *router = router_counters(store->router);
	bool connected = store->meta_up;
	for (uint32_t i = 0; i < store->keys.groups; i++)
		connected = connected && store->group[i].up;
	store->counters.connects = router->connects;
	store->counters.time_outs = router->timeouts;
	store->status_us = now_us;
	pthread_mutex_lock(&store->shared.lock);
	to->counters = store->counters;
	to->connected = connected;
	to->refused = store->refused || store->fatal;
	to->driven = store->driven;
	to->unleased = store->unleased;
	to->nodes = store->live_nodes;
	to->dirty_shards = store->dirty_shards;
	to->calls_waiting = store->waiting;
	to->lag_us = store->lag_us;
	to->lag_max_us = store->lag_max_us;
	to->at_us = now_us;
	memcpy(to->trouble, store->trouble, sizeof(to->trouble));
	pthread_mutex_unlock(&store->shared.lock);
}

static void act(struct store *store)
{
	const uint64_t now_us = store_now(store);
	store->work = false;
	nodes_act(store, now_us);
	leases_act(store, now_us);
	writer_flush(store, now_us);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop, (void)events;
	struct store *store = watcher->data;
	const uint64_t now_us = store_now(store);
	feed_take(store);
	writer_look(store, now_us);
	leases_look(store, now_us);
	look_at_leases(store, now_us);
	if (now_us - store->status_us >= STATUS_US)
		copy_status(store, now_us);
	store->work = true;
}

static void on_bell(struct ev_loop *loop, ev_async *watcher, int events)
{
	(void)events;
	struct store *store = watcher->data;
	store->work = true;
	if (atomic_load(&store->end))
		ev_break(loop, EVBREAK_ALL);
}

/* Once for all answers that came together. */
static void before_wait(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	(void)loop, (void)events;
	struct store *store = watcher->data;
	if (store->work)
		act(store);
}

static void after_wait(struct ev_loop *loop, ev_check *watcher, int events)
{
	(void)loop, (void)events;
	look_for_pause(watcher->data);
}

/* --- The router --- */

static void on_group_up(void *context, uint32_t group)
{
	struct store *store = context;
	store->work = true;
	if (group == ROUTER_META)
		nodes_meta_up(store, true);
	else
		store->group[group].up = true;
}

static void on_group_down(void *context, uint32_t group)
{
	struct store *store = context;
	store->work = true;
	if (group == ROUTER_META) {
		nodes_meta_up(store, false);
		return;
	}
	store->group[group].up = false;
	leases_group_down(store, group, store_now(store));
}

static void on_trouble(void *context, bool fatal, const char *message)
{
	struct store *store = context;
	store_trouble(store, "store: %s", message);
	if (!fatal)
		return;
	store->fatal = true;
	leases_refuse(store);
}

static void say_error(struct store *store, const redisReply *reply)
{
	char text[120];
	const size_t length = reply->len < sizeof(text) - 1 ? reply->len : sizeof(text) - 1;
	for (size_t i = 0; i < length; i++)
		text[i] = reply->str[i] < ' ' || reply->str[i] > '~' ? '?' : reply->str[i];
	text[length] = '\0';
	store->fault_said_us = store->fault_us;
	store_trouble(store, "store: Redis refuses to write: %s", text);
}

void store_fault(struct store *store, enum router_fault fault, const redisReply *reply)
{
	if ((fault == FAULT_HOLD || fault == FAULT_OTHER) && reply != NULL) {
		store->fault_us = store_now(store);
		if (store->trouble[0] == '\0' ||
			store->fault_us - store->fault_said_us >= STORE_FAULT_US)
			say_error(store, reply);
		return;
	}
	if (fault != FAULT_NONE || store->trouble[0] == '\0' || store->meta != META_AGREED)
		return;
	/* One group's keys may be refused for ever while all others are written. */
	if (store->fault_us != 0 && store_now(store) - store->fault_us < STORE_FAULT_US)
		return;
	for (uint32_t i = 0; i < store->keys.groups; i++) {
		if (!store->group[i].up)
			return;
	}
	store->trouble[0] = '\0';
	store_say(store, false, "store: Redis takes what we write again");
}

/* --- The thread --- */

static void start_watchers(struct store *store)
{
	ev_timer_init(&store->tick, on_tick, STORE_TICK_US / 1e6, STORE_TICK_US / 1e6);
	ev_async_init(&store->bell, on_bell);
	ev_prepare_init(&store->before_wait, before_wait);
	ev_check_init(&store->after_wait, after_wait);
	ev_set_priority(&store->after_wait, EV_MAXPRI);
	store->tick.data = store->bell.data = store->before_wait.data = store->after_wait
										.data = store;
	ev_timer_start(store->loop, &store->tick);
	ev_async_start(store->loop, &store->bell);
	ev_prepare_start(store->loop, &store->before_wait);
	ev_check_start(store->loop, &store->after_wait);
}

int store_loop_create(struct store *store, const struct target *target)
{
	const struct router_events events = {store, on_group_up, on_group_down, on_trouble};
	for (uint32_t i = 0; i < STORE_RENEWALS; i++)
		store->renewal[i].next_free = i + 1 < STORE_RENEWALS ? i + 1 : NO_SLOT;
	store->lease_over_us = UINT64_MAX;
	store->seen_us = store_now(store);
	store->seen_boot_us = clock_us(CLOCK_BOOTTIME);
	store->seen_unix_us = clock_us(CLOCK_REALTIME);
	store->loop = ev_loop_new(EVFLAG_AUTO);
	if (store->loop == NULL)
		return -ENOMEM;
	start_watchers(store);
	store->router = router_create(store->loop, target, &store->keys, &events);
	return store->router == NULL ? -ENOMEM : 0;
}

void store_loop_free(struct store *store)
{
	router_free(store->router);
	if (store->loop != NULL)
		ev_loop_destroy(store->loop);
}

void *store_run(void *context)
{
	struct store *store = context;
	ev_run(store->loop, 0);
	copy_status(store, store_now(store));
	return NULL;
}
