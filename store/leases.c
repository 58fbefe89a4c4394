/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between placement, which decides, and everybody else: its actions become calls to Redis and events
 * for the herd, their answers go back. Renewals are made here, and from what they confirmed follows
 * until when packets may be sent.
 */
#include "store_internal.h"

#include <errno.h>
#include <string.h>

#define MS(us) ((us) / 1000)
#define TOKEN_MAX \
	((1ull << 53) - 2) /* what Lua counts to: a larger one would be refused for ever */

int leases_begin(struct store *store)
{
	const int status = placement_create(&store->placement, store->shards, store->keys.groups,
		store->node, (uint32_t)MS(store->ttl_us), store->strict, MS(store_now(store)));
	if (status != 0)
		return status;
	for (uint32_t i = 0; i < store->shards; i++) {
		struct store_shard *shard = &store->shard[i];
		if (store->image != NULL)
			shard->mine = atomic_load_explicit(
				&store->image->shard[i].mine, memory_order_relaxed);
		if (shard->mine > TOKEN_MAX)
			shard->mine = 0;
		placement_remember(store->placement, i, shard->mine);
	}
	return 0;
}

/* What placement says of `mine`, for the next start. */
void leases_keep(struct store *store, uint32_t index)
{
	struct store_shard *shard = &store->shard[index];
	shard->mine = placement_mine(store->placement, index);
	if (store->image != NULL)
		atomic_store_explicit(
			&store->image->shard[index].mine, shard->mine, memory_order_relaxed);
}

/* --- Answers --- */

static uint64_t tag_of(const struct store *store, uint32_t index)
{
	return (uint64_t)store->shard[index].asked << 32 | index;
}

/* The shard an answer is for, if it still waits for this one. */
static bool awaited(struct store *store, uint64_t tag, uint32_t *index)
{
	*index = (uint32_t)tag;
	return store->placement != NULL && tag_of(store, *index) == tag;
}

static bool is_integer(const redisReply *reply, size_t at)
{
	return reply->type == REDIS_REPLY_ARRAY && at < reply->elements &&
	       reply->element[at]->type == REDIS_REPLY_INTEGER;
}

/* {1, token, newest, moved, ...} */
static bool is_grant(const redisReply *reply)
{
	return is_integer(reply, 3) && is_integer(reply, 2) && is_integer(reply, 1) &&
	       is_integer(reply, 0) && reply->element[0]->integer == 1 &&
	       reply->element[1]->integer > 0 && (uint64_t)reply->element[1]->integer <= TOKEN_MAX;
}

/* {0, owner, left_ms} */
static bool is_refusal(const redisReply *reply)
{
	return is_integer(reply, 2) && is_integer(reply, 0) && reply->element[0]->integer == 0;
}

static void granted(struct store *store, uint32_t index, const redisReply *reply, uint64_t now_us)
{
	struct store_shard *shard = &store->shard[index];
	const uint64_t token = (uint64_t)reply->element[1]->integer;
	const bool newest = reply->element[2]->integer != 0,
		   moved = reply->element[3]->integer != 0;
	placement_granted(store->placement, index, token, newest, moved, MS(now_us));
	leases_keep(store, index);
	if (placement_token(store->placement, index) != token)
		return;
	shard->confirmed_us = shard->asked_us;
	shard->lost = false;
	store->group[store_group_of(store, index)].held = false;
	store->counters.leases_acquired++;
}

static void on_acquired(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct store *store = context;
	const uint64_t now_us = store_now(store);
	uint32_t index;
	call_answered(store);
	store_fault(store, fault, reply);
	if (!awaited(store, tag, &index))
		return;
	if (fault == FAULT_NONE && is_grant(reply)) {
		granted(store, index, reply, now_us);
	} else if (fault == FAULT_NONE && is_refusal(reply)) {
		const int64_t left_ms = reply->element[2]->integer;
		store->counters.leases_lost += store->shard[index].adopted;
		placement_refused(
			store->placement, index, left_ms > 0 ? (uint64_t)left_ms : 0, MS(now_us));
	} else {
		placement_failed(store->placement, index, MS(now_us));
	}
}

static void on_released(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct store *store = context;
	uint32_t index;
	call_answered(store);
	store_fault(store, fault, reply);
	if (!awaited(store, tag, &index))
		return;
	if (fault == FAULT_NONE)
		placement_released(store->placement, index, MS(store_now(store)));
	else
		placement_failed(store->placement, index, MS(store_now(store)));
}

/* The slab's records, as far as it goes and as far as they are of our version. */
static void take_slab(struct store *store, uint32_t index, const uint8_t *slab, size_t length)
{
	struct phone_record *record = &store->mirror->record[(size_t)index * SHARD_PHONES];
	const uint32_t phones = mirror_shard_phones(store->mirror, index);
	const size_t there = length / RECORD_SIZE < phones ? length / RECORD_SIZE : phones;
	for (size_t i = 0; i < there; i++, slab += RECORD_SIZE) {
		if (slab[0] >> 5 == RECORD_VERSION)
			record_restore(&record[i], slab);
	}
}

static void on_slab(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct store *store = context;
	uint32_t index;
	store->loads--;
	call_answered(store);
	store_fault(store, fault, reply);
	if (!awaited(store, tag, &index) ||
		placement_state(store->placement, index) != PLACEMENT_LOADING)
		return;
	const bool good = fault == FAULT_NONE && reply->type == REDIS_REPLY_STRING &&
			  reply->len <= (size_t)SHARD_PHONES * RECORD_SIZE;
	if (!good || store->shard[index].adopted || !mirror_shard_stopped(store->mirror, index)) {
		placement_failed(store->placement, index, MS(store_now(store)));
		return;
	}
	take_slab(store, index, (const uint8_t *)reply->str, reply->len);
	placement_loaded(store->placement, index, MS(store_now(store)));
	leases_keep(store, index);
}

/* --- Calls --- */

static int send_acquire(struct store *store, uint32_t index)
{
	const struct store_shard *shard = &store->shard[index];
	struct store_call *call = &store->call;
	call_begin(call, "sipherd_acquire", 1);
	call_keep(call, keys_lease(&store->keys, index, call_room(call)));
	call_text(call, store->node);
	call_number(call, shard->want_token);
	call_number(call, MS(store->ttl_us));
	call_text(call, shard->want_newest ? "1" : "0");
	return call_send(store, store_group_of(store, index), on_acquired, tag_of(store, index));
}

static int send_release(struct store *store, uint32_t index)
{
	struct store_call *call = &store->call;
	call_begin(call, "sipherd_release", 1);
	call_keep(call, keys_lease(&store->keys, index, call_room(call)));
	call_text(call, store->node);
	call_number(call, store->shard[index].want_token);
	return call_send(store, store_group_of(store, index), on_released, tag_of(store, index));
}

static int send_load(struct store *store, uint32_t index)
{
	struct store_call *call = &store->call;
	if (store->loads >= STORE_LOADS)
		return -EAGAIN;
	call->count = 0;
	call->text_used = 0;
	call_text(call, "GETRANGE");
	call_keep(call, keys_slab(&store->keys, index, call_room(call)));
	call_text(call, "0");
	call_number(call, (uint64_t)SHARD_PHONES * RECORD_SIZE - 1);
	writer_forget(store, index);
	const int status = call_send(
		store, store_group_of(store, index), on_slab, tag_of(store, index));
	store->loads += status == 0;
	return status;
}

static bool send_want(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_shard *shard = &store->shard[index];
	int status = -EINVAL;
	if (router_room(store->router, store_group_of(store, index)) == 0)
		return false;
	if (shard->want == PLACEMENT_ACQUIRE)
		status = send_acquire(store, index);
	else if (shard->want == PLACEMENT_LOAD)
		status = send_load(store, index);
	else if (shard->want == PLACEMENT_RELEASE)
		status = send_release(store, index);
	if (status != 0)
		return false;
	shard->asked_us = now_us;
	shard->want = PLACEMENT_NOTHING;
	store->wants--;
	return true;
}

static void send_wants(struct store *store, uint64_t now_us)
{
	uint32_t index = store->next_want, blocked = NO_SLOT;
	for (uint32_t n = 0; n < store->shards && store->wants > 0; n++, index++) {
		if (index >= store->shards)
			index = 0;
		if (store->shard[index].want != PLACEMENT_NOTHING &&
			!send_want(store, index, now_us) && blocked == NO_SLOT)
			blocked = index;
	}
	store->next_want = blocked == NO_SLOT ? 0 : blocked;
}

static void want(struct store *store, const struct placement_action *action)
{
	struct store_shard *shard = &store->shard[action->shard];
	store->wants += shard->want == PLACEMENT_NOTHING;
	shard->want = action->kind;
	shard->want_token = action->token;
	shard->want_newest = action->newest;
	shard->asked++;
}

static void forget_want(struct store *store, struct store_shard *shard)
{
	store->wants -= shard->want != PLACEMENT_NOTHING;
	shard->want = PLACEMENT_NOTHING;
	shard->asked++;
}

/* --- The herd --- */

static void post(struct store *store, uint32_t index, enum store_pending pending)
{
	struct store_shared *shared = &store->shared;
	pthread_mutex_lock(&shared->lock);
	shared->pending[index] = (uint8_t)pending;
	shared->any_pending = true;
	pthread_mutex_unlock(&shared->lock);
	store_ring(store);
}

static void adopt(struct store *store, uint32_t index, bool moved)
{
	struct store_shard *shard = &store->shard[index];
	shard->adopted = true;
	shard->lost = !store_holds(store, index);
	shard->due_us = 0;
	/* Before anybody drives it: this thread may stand still before it looks again. */
	const uint64_t over_us = shard->confirmed_us + store->ttl_us - store->margin_us;
	if (!shard->lost && over_us < store->lease_over_us)
		store_set_lease_over(store, over_us);
	post(store, index, moved ? PENDING_ADOPT_MOVED : PENDING_ADOPT);
}

static void stop(struct store *store, uint32_t index)
{
	struct store_shard *shard = &store->shard[index];
	if (shard->stopping)
		return;
	shard->stopping = true;
	shard->told = false;
	store->stopping++;
}

/* An ADOPT that has not left us yet need not be taken back by anybody. */
static bool recall(struct store *store, uint32_t index)
{
	struct store_shared *shared = &store->shared;
	pthread_mutex_lock(&shared->lock);
	const bool ours = shared->pending[index] == PENDING_ADOPT ||
			  shared->pending[index] == PENDING_ADOPT_MOVED;
	if (ours)
		shared->pending[index] = PENDING_NOTHING;
	pthread_mutex_unlock(&shared->lock);
	return ours;
}

/* Has every worker with phones in this shard taken the ADOPT? Only then is one that does not drive
 * one that has stopped, rather than one that will begin in a moment. */
static bool is_taken(const struct store *store, uint32_t index)
{
	const struct mirror *mirror = store->mirror;
	const uint32_t first = index * SHARD_PHONES, phones = mirror_shard_phones(mirror, index);
	for (unsigned worker = 0; worker < mirror->workers; worker++) {
		/* The first phone of the shard that is this worker's. */
		const uint32_t ahead = (worker + mirror->workers - first % mirror->workers) %
				       mirror->workers;
		if (ahead < phones &&
			atomic_load_explicit(
				&mirror->driven[(size_t)index * mirror->workers + worker],
				memory_order_acquire) == 0)
			return false;
	}
	return true;
}

/* True when nobody drives the shard any more. */
static bool has_stopped(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_shard *shard = &store->shard[index];
	/* A herd that is being stopped takes no ADOPT any more. */
	const bool in_vain = store->leaving && now_us > store->leave_us + STORE_ADOPT_US;
	if (!shard->adopted || (!shard->told && recall(store, index)))
		return true;
	if (!shard->told && (in_vain || is_taken(store, index))) {
		shard->told = true;
		post(store, index, PENDING_RELEASE);
	}
	return shard->told && mirror_shard_stopped(store->mirror, index);
}

static void look_for_stops(struct store *store, uint64_t now_us)
{
	for (uint32_t i = 0; i < store->shards && store->stopping > 0; i++) {
		struct store_shard *shard = &store->shard[i];
		if (!shard->stopping || !has_stopped(store, i, now_us))
			continue;
		shard->adopted = shard->stopping = shard->told = shard->lost = false;
		store->stopping--;
		store->work = true;
		if (store->placement != NULL)
			placement_stopped(store->placement, i, MS(now_us));
	}
}

static void look_for_flushed(struct store *store, uint64_t now_us)
{
	if (store->placement == NULL || placement_count(store->placement, PLACEMENT_FLUSHING) == 0)
		return;
	for (uint32_t i = 0; i < store->shards; i++) {
		if (placement_state(store->placement, i) == PLACEMENT_FLUSHING &&
			writer_is_clean(store, i))
			placement_flushed(store->placement, i, MS(now_us));
	}
}

/* --- Renewals --- */

static void take_renewed(
	struct store *store, const struct store_renewal *renewal, const redisReply *reply)
{
	const uint64_t now_ms = MS(store_now(store));
	for (uint32_t i = 0; i < renewal->count; i++) {
		struct store_shard *shard = &store->shard[renewal->shard[i]];
		/* Another lease by now: this says nothing about it. */
		if (placement_token(store->placement, renewal->shard[i]) != renewal->token[i])
			continue;
		if (reply->element[i]->integer == 1) {
			if (shard->confirmed_us < renewal->sent_us)
				shard->confirmed_us = renewal->sent_us;
			continue;
		}
		store->counters.fenced++;
		placement_fenced(store->placement, renewal->shard[i], now_ms);
	}
}

static bool is_renewed(const struct store_renewal *renewal, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != renewal->count)
		return false;
	for (uint32_t i = 0; i < renewal->count; i++) {
		if (!is_integer(reply, i))
			return false;
	}
	return true;
}

static void on_renewed(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct store *store = context;
	struct store_renewal *renewal = &store->renewal[tag];
	struct store_group *group = &store->group[renewal->group];
	call_answered(store);
	store_fault(store, fault, reply);
	if (fault == FAULT_NONE && is_renewed(renewal, reply)) {
		group->held = false;
		if (store->placement != NULL)
			take_renewed(store, renewal, reply);
	} else {
		/* Nobody can write, so nobody can take our shards either. */
		group->held = fault == FAULT_HOLD;
		const uint64_t again_us = store_now(store) + store->ttl_us / 10;
		if (group->renew_us > again_us)
			group->renew_us = again_us;
	}
	renewal->next_free = store->free_renewal;
	store->free_renewal = (uint32_t)tag;
}

/* One call for as many of the group's leases as fit, from the round's next shard on. */
static void gather(struct store *store, uint32_t group, struct store_renewal *renewal)
{
	const uint32_t step = store->keys.groups;
	uint32_t at = store->group[group].renew_next;
	renewal->count = 0;
	renewal->group = group;
	for (; at < store->shards && renewal->count < STORE_RENEW_LEASES; at += step) {
		if (!store_holds(store, at))
			continue;
		renewal->shard[renewal->count] = at;
		renewal->token[renewal->count++] = placement_token(store->placement, at);
	}
	store->group[group].renew_next = at < store->shards ? at : NO_SLOT;
}

static int send_renewal(struct store *store, const struct store_renewal *renewal, uint64_t tag)
{
	struct store_call *call = &store->call;
	call_begin(call, "sipherd_renew", renewal->count);
	for (uint32_t i = 0; i < renewal->count; i++)
		call_keep(call, keys_lease(&store->keys, renewal->shard[i], call_room(call)));
	call_text(call, store->node);
	call_number(call, MS(store->ttl_us));
	for (uint32_t i = 0; i < renewal->count; i++)
		call_number(call, renewal->token[i]);
	return call_send(store, renewal->group, on_renewed, tag);
}

static uint64_t renew_period_us(const struct store *store)
{
	return store->ttl_us / 3 < STORE_RENEW_US ? store->ttl_us / 3 : STORE_RENEW_US;
}

static void renew_group(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_group *group = &store->group[index];
	if (group->renew_next == NO_SLOT && now_us >= group->renew_us) {
		group->renew_us = now_us + renew_period_us(store);
		group->renew_next = index;
	}
	while (group->renew_next != NO_SLOT && store->free_renewal != NO_SLOT) {
		struct store_renewal *renewal = &store->renewal[store->free_renewal];
		const uint32_t before = group->renew_next;
		gather(store, index, renewal);
		if (renewal->count == 0)
			return;
		renewal->sent_us = now_us;
		if (send_renewal(store, renewal, store->free_renewal) != 0) {
			group->renew_next = before;
			return;
		}
		store->free_renewal = renewal->next_free;
	}
}

/* --- The store's thread --- */

static void act(struct store *store, const struct placement_action *action)
{
	switch (action->kind) {
	case PLACEMENT_ACQUIRE:
	case PLACEMENT_LOAD:
	case PLACEMENT_RELEASE:
		want(store, action);
		return;
	case PLACEMENT_REWRITE:
		writer_rewrite(store, action->shard);
		return;
	case PLACEMENT_ADOPT:
		adopt(store, action->shard, action->moved);
		return;
	case PLACEMENT_STOP:
		stop(store, action->shard);
		return;
	default:
		/* PLACEMENT_FLUSH: look_for_flushed sees when it is done. */
		return;
	}
}

void leases_act(struct store *store, uint64_t now_us)
{
	struct placement_action action;
	if (store->placement == NULL)
		return;
	while (placement_next(store->placement, MS(now_us), &action))
		act(store, &action);
	for (uint32_t i = 0; i < store->keys.groups; i++) {
		if (store->group[i].told)
			renew_group(store, i, now_us);
	}
	send_wants(store, now_us);
}

void leases_look(struct store *store, uint64_t now_us)
{
	look_for_stops(store, now_us);
	look_for_flushed(store, now_us);
}

uint64_t leases_end_us(const struct store *store)
{
	uint64_t oldest_us = UINT64_MAX;
	for (uint32_t i = 0; i < store->shards; i++) {
		const struct store_shard *shard = &store->shard[i];
		if (!shard->adopted ||
			(!store->strict &&
				(shard->lost || store->group[store_group_of(store, i)].held)))
			continue;
		if (shard->confirmed_us < oldest_us)
			oldest_us = shard->confirmed_us;
	}
	return oldest_us == UINT64_MAX ? UINT64_MAX : oldest_us + store->ttl_us - store->margin_us;
}

void leases_group_up(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_group *group = &store->group[index];
	group->told = true;
	group->held = false;
	group->renew_us = now_us + renew_period_us(store);
	group->renew_next = NO_SLOT;
	placement_group_up(store->placement, index, MS(now_us));
}

void leases_group_down(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_group *group = &store->group[index];
	if (!group->told)
		return;
	group->told = false;
	for (uint32_t i = index; i < store->shards; i += store->keys.groups) {
		struct store_shard *shard = &store->shard[i];
		forget_want(store, shard);
		feed_drop(store, i);
		shard->lost |= shard->adopted;
		shard->hold_us = 0;
	}
	if (store->placement != NULL)
		placement_group_down(store->placement, index, MS(now_us));
}

void leases_refuse(struct store *store)
{
	if (store->placement == NULL)
		return;
	for (uint32_t i = 0; i < store->shards; i++) {
		forget_want(store, &store->shard[i]);
		feed_drop(store, i);
		if (store->shard[i].adopted)
			stop(store, i);
	}
	for (uint32_t i = 0; i < store->keys.groups; i++)
		store->group[i].told = false;
	placement_free(store->placement);
	store->placement = NULL;
}
