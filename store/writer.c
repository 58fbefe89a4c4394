/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From dirty bits to fenced flushes: which shard when, which records with it, what if it fails.
 *
 * A flush takes a shard's dirty bits, before it copies the records, and goes from where the last one
 * had to end to where this one has to end, at most to the shard's end. Phones behind that wait for the
 * next one, so that busy phones at the beginning cannot hold up those at the end.
 */
#include "store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLIGHTS_PER_SERVER ROUTER_CALLS
#define CALL_FRAME 1200 /* keys, names and numbers before the runs of a flush, and RESYNC */
#define PAIR_FRAME (2 * STORE_ARGUMENT_BYTES + 6) /* of a run: the offset and both lengths */
#define ALL_PHONES SHARD_PHONES /* of sweep_record: the sweep has no more to do here */

int writer_create(struct store *store)
{
	const uint32_t servers = store->keys.groups > KEYS_GROUPS ? TARGET_SERVERS_MAX : 1;
	store->flights = servers * FLIGHTS_PER_SERVER;
	store->flight = calloc(store->flights, sizeof(*store->flight));
	if (store->flight == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < store->flights; i++)
		store->flight[i].next_free = i + 1 < store->flights ? i + 1 : NO_SLOT;
	store->free_flight = 0;
	for (uint32_t i = 0; i < store->shards; i++)
		store->shard[i].sweep_record = ALL_PHONES;
	store->sweep_start_us = store_now(store);
	return 0;
}

void writer_free(struct store *store)
{
	free(store->flight);
}

static bool is_dirty(const struct store *store, uint32_t shard)
{
	return atomic_load_explicit(&store->mirror->shard_dirty[shard], memory_order_relaxed) != 0;
}

/* --- Which runs --- */

/* The first set bit from `at` on, or end. */
static uint32_t next_set(const uint64_t *bits, uint32_t at, uint32_t end)
{
	while (at < end) {
		const uint64_t word = bits[at / 64] >> at % 64;
		if (word != 0) {
			at += (uint32_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at / 64 + 1) * 64;
	}
	return end;
}

/* The end of the run that begins with the dirty record `at`: small gaps are not worth a new run. */
static uint32_t run_end(const uint64_t *bits, uint32_t at, uint32_t end)
{
	for (;;) {
		const uint32_t next = next_set(bits, at + 1, end);
		if (next == end || next - at - 1 > STORE_GAP_RECORDS)
			return at + 1;
		at = next;
	}
}

static void add_run(struct store *store, uint32_t shard, uint32_t from, uint32_t to, uint8_t *data)
{
	const struct phone_record *record = &store->mirror->record[(size_t)shard * SHARD_PHONES];
	call_number(&store->call, (uint64_t)from * RECORD_SIZE);
	call_add(&store->call, (const char *)data, (size_t)(to - from) * RECORD_SIZE);
	for (uint32_t i = from; i < to; i++, data += RECORD_SIZE)
		record_copy(&record[i], data);
}

/* Add the runs of dirty records from `from` on, as far as `budget` bytes go. Where the next flush goes
 * on: the end when all are in. */
static uint32_t add_runs(struct store *store, uint32_t shard, const uint64_t *bits, uint32_t from,
	size_t budget, uint32_t *records)
{
	const uint32_t end = mirror_shard_phones(store->mirror, shard);
	size_t used = 0;
	*records = 0;
	for (uint32_t at = next_set(bits, from, end); at < end; at = next_set(bits, at, end)) {
		if (budget < PAIR_FRAME + RECORD_SIZE)
			return at;
		const size_t room = (budget - PAIR_FRAME) / RECORD_SIZE;
		uint32_t to = run_end(bits, at, end);
		if (to - at > room)
			to = at + (uint32_t)room;
		add_run(store, shard, at, to, store->data + used);
		used += (size_t)(to - at) * RECORD_SIZE;
		budget -= PAIR_FRAME + (size_t)(to - at) * RECORD_SIZE;
		*records += to - at;
		at = to;
	}
	return end;
}

/* Leave in `bits` what lies within [from, to); the rest is put back. True when there was a rest. */
static bool put_back_rest(
	struct store *store, uint32_t shard, uint64_t *bits, uint32_t from, uint32_t to)
{
	uint64_t any = 0;
	for (uint32_t i = 0; i < MIRROR_DIRTY_WORDS; i++) {
		const uint32_t first = i * 64;
		uint64_t inside = UINT64_MAX;
		if (from > first)
			inside = from - first < 64 ? inside << (from - first) : 0;
		if (to < first + 64)
			inside = to > first ? inside & (UINT64_MAX >> (first + 64 - to)) : 0;
		store->bits[i] = bits[i] & ~inside;
		bits[i] &= inside;
		any |= store->bits[i];
	}
	if (any != 0)
		mirror_put_back(store->mirror, shard, store->bits);
	return any != 0;
}

/* --- Flights --- */

static void land(struct store *store, struct store_flight *flight)
{
	flight->next_free = store->free_flight;
	store->free_flight = (uint32_t)(flight - store->flight);
	store->flying--;
}

static uint64_t hold(struct store_shard *shard, uint64_t now_us)
{
	shard->hold_us = shard->hold_us == 0 ? STORE_HOLD_US : shard->hold_us * 2;
	if (shard->hold_us > STORE_HOLD_MAX_US)
		shard->hold_us = STORE_HOLD_MAX_US;
	return now_us + shard->hold_us;
}

static void when_again(
	struct store *store, uint32_t index, enum router_fault fault, uint64_t now_us)
{
	struct store_shard *shard = &store->shard[index];
	switch (fault) {
	case FAULT_FENCED:
		store->counters.fenced++;
		if (store->placement != NULL)
			placement_fenced(store->placement, index, now_us / 1000);
		return;
	case FAULT_GONE:
		shard->due_us = now_us;
		return;
	case FAULT_MOVED:
	case FAULT_LIBRARY:
		shard->due_us = now_us + STORE_SOON_US;
		return;
	default:
		shard->due_us = hold(shard, now_us);
	}
}

/* Whether its lines arrived nobody knows: they count as left out, and the records are sent again. */
static void put_back(struct store *store, struct store_flight *flight)
{
	struct store_shard *shard = &store->shard[flight->shard];
	store->counters.flush_failures++;
	store->counters.feed_dropped += flight->lines;
	shard->resync |= flight->lines > 0 || flight->resync;
	if (flight->sweep && shard->sweep_record > flight->sweep_from)
		shard->sweep_record = flight->sweep_from;
	if (flight->sweep)
		return;
	mirror_put_back(store->mirror, flight->shard, flight->bits);
	if (flight->since_us != 0)
		shard->dirty_since_us = flight->since_us;
}

static void confirm(
	struct store *store, struct store_flight *flight, const redisReply *reply, uint64_t now_us)
{
	if (flight->since_us != 0 && now_us - flight->since_us > store->lag_max_us)
		store->lag_max_us = now_us - flight->since_us;
	store->shard[flight->shard].hold_us = 0;
	store->counters.flushes++;
	store->counters.records_written += flight->records;
	store->counters.feed_lines += flight->lines;
	/* The slab was not there: what we sent before or left out is missing, unless this is how a
	 * rewrite began. */
	if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 2 && !flight->begins_rewrite)
		writer_rewrite(store, flight->shard);
}

static void landed(
	struct store *store, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct store_flight *flight = &store->flight[tag];
	struct store_shard *shard = &store->shard[flight->shard];
	const uint64_t now_us = store_now(store);
	store->work = true;
	store_fault(store, fault, reply);
	shard->flying = false;
	shard->flight_since_us = 0;
	if (fault == FAULT_NONE) {
		confirm(store, flight, reply, now_us);
	} else {
		put_back(store, flight);
		when_again(store, flight->shard, fault, now_us);
		if (store->placement != NULL && fault != FAULT_FENCED &&
			placement_state(store->placement, flight->shard) == PLACEMENT_FLUSHING)
			placement_failed(store->placement, flight->shard, now_us / 1000);
	}
	land(store, flight);
}

static void on_flushed(
	void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	call_answered(context);
	landed(context, tag, fault, reply);
}

/* --- Flushes --- */

enum { ARGUMENT_LINE_COUNT = 10, ARGUMENT_LINES = 11 };

/* All before the runs. The feed's lines are filled in later. */
static void begin_call(struct store *store, uint32_t shard)
{
	struct store_call *call = &store->call;
	call_begin(call, "sipherd_flush", 3);
	call_keep(call, keys_slab(&store->keys, shard, call_room(call)));
	call_keep(call, keys_lease(&store->keys, shard, call_room(call)));
	call_keep(call, keys_feed(&store->keys, store_group_of(store, shard), call_room(call)));
	call_text(call, store->node);
	call_number(call, placement_token(store->placement, shard));
	call_number(call, shard);
	call_number(call, (uint64_t)mirror_shard_phones(store->mirror, shard) * RECORD_SIZE);
	call_text(call, "0");
	call_text(call, "");
}

static void fill_in_lines(struct store *store, unsigned lines, size_t bytes)
{
	struct store_call *call = &store->call;
	const int last = call->count;
	call_number(call, lines);
	call->argument[ARGUMENT_LINE_COUNT] = call->argument[last];
	call->length[ARGUMENT_LINE_COUNT] = call->length[last];
	call->count = last;
	call->argument[ARGUMENT_LINES] = store->lines;
	call->length[ARGUMENT_LINES] = bytes;
}

static void take_off(struct store *store, struct store_flight *flight)
{
	struct store_shard *shard = &store->shard[flight->shard];
	const uint64_t tag = (uint64_t)(flight - store->flight);
	shard->flying = true;
	store->flying++;
	if (call_send(store, store_group_of(store, flight->shard), on_flushed, tag) != 0)
		landed(store, tag, FAULT_GONE, NULL);
}

static struct store_flight *new_flight(struct store *store, uint32_t shard)
{
	struct store_flight *flight = &store->flight[store->free_flight];
	store->free_flight = flight->next_free;
	flight->shard = shard;
	flight->since_us = 0;
	flight->lines = 0;
	flight->sweep = flight->resync = flight->begins_rewrite = false;
	return flight;
}

static void flush_shard(struct store *store, uint32_t index, uint64_t now_us)
{
	struct store_shard *shard = &store->shard[index];
	struct store_flight *flight = new_flight(store, index);
	const uint32_t from = shard->next_record;
	const uint32_t end = mirror_shard_phones(store->mirror, index);
	size_t bytes;
	if (from == 0) {
		shard->cycle_us = now_us;
		flight->begins_rewrite = shard->rewriting;
	}
	if (!mirror_take_dirty(store->mirror, index, flight->bits))
		memset(flight->bits, 0, sizeof(flight->bits));
	begin_call(store, index);
	unsigned lines = feed_write(store, index, STORE_LINES_MAX - 1, &bytes);
	flight->lines = (uint16_t)lines;
	const uint32_t to = add_runs(store, index, flight->bits, from,
		STORE_CALL_BYTES - CALL_FRAME - bytes, &flight->records);
	const bool rest = put_back_rest(store, index, flight->bits, from, to);
	if (shard->resync && !rest && shard->lines == 0) {
		memcpy(store->lines + bytes, "RESYNC\n", 7);
		bytes += 7;
		lines++;
		flight->resync = true;
		shard->resync = false;
	}
	/* The text ends without a newline. */
	fill_in_lines(store, lines, bytes > 0 ? bytes - 1 : 0);
	flight->since_us = shard->flight_since_us = shard->dirty_since_us;
	/* At the end of the shard everything found before this cycle is on its way. */
	if (!rest)
		shard->dirty_since_us = 0;
	else if (to == end)
		shard->dirty_since_us = shard->cycle_us;
	shard->next_record = to == end ? 0 : (uint16_t)to;
	shard->rewriting = shard->rewriting && to != end;
	shard->due_us = rest || shard->lines > 0 ? now_us : now_us + STORE_FLUSH_US;
	take_off(store, flight);
}

/* Counts and round trips set no bits: a part of the shard as it is. */
static void sweep_shard(struct store *store, uint32_t index)
{
	struct store_shard *shard = &store->shard[index];
	struct store_flight *flight = new_flight(store, index);
	const uint32_t end = mirror_shard_phones(store->mirror, index);
	const uint32_t from = shard->sweep_record;
	uint32_t to = from + STORE_SWEEP_RECORDS;
	to = to < end ? to : end;
	begin_call(store, index);
	add_run(store, index, from, to, store->data);
	flight->sweep = true;
	flight->sweep_from = (uint16_t)from;
	flight->records = to - from;
	shard->sweep_record = to == end ? ALL_PHONES : (uint16_t)to;
	take_off(store, flight);
}

static bool has_changes(const struct store *store, uint32_t index)
{
	const struct store_shard *shard = &store->shard[index];
	return is_dirty(store, index) || shard->lines > 0 || shard->resync;
}

bool writer_is_clean(const struct store *store, uint32_t index)
{
	return !has_changes(store, index) && !store->shard[index].flying;
}

void writer_flush(struct store *store, uint64_t now_us)
{
	const bool cluster = store->keys.groups > KEYS_GROUPS;
	uint32_t blocked = NO_SLOT, index = store->next_flush;
	for (uint32_t n = 0; n < store->shards && store->free_flight != NO_SLOT; n++, index++) {
		if (index >= store->shards)
			index = 0;
		struct store_shard *shard = &store->shard[index];
		const bool changed = has_changes(store, index);
		if (shard->flying || (!changed && shard->sweep_record == ALL_PHONES) ||
			!store_may_write(store, index))
			continue;
		const bool due = now_us >= shard->due_us;
		if (!due && (shard->sweep_record == ALL_PHONES || shard->hold_us > 0))
			continue;
		if (router_room(store->router, store_group_of(store, index)) < STORE_CALL_BYTES) {
			blocked = blocked == NO_SLOT ? index : blocked;
			if (!cluster)
				break;
			continue;
		}
		if (changed && due)
			flush_shard(store, index, now_us);
		else
			sweep_shard(store, index);
	}
	if (blocked != NO_SLOT)
		store->next_flush = blocked;
	else if (store->free_flight == NO_SLOT)
		store->next_flush = index >= store->shards ? 0 : index;
}

void writer_rewrite(struct store *store, uint32_t index)
{
	struct store_shard *shard = &store->shard[index];
	mirror_mark_shard(store->mirror, index);
	shard->next_record = 0;
	shard->rewriting = shard->resync = true;
	shard->due_us = 0;
	store->counters.resyncs++;
	store->work = true;
}

void writer_forget(struct store *store, uint32_t index)
{
	mirror_take_dirty(store->mirror, index, store->bits);
	store->shard[index].dirty_since_us = 0;
	store->shard[index].next_record = 0;
	store->shard[index].sweep_record = ALL_PHONES;
	store->shard[index].rewriting = false;
	feed_drop(store, index);
}

/* --- Every tick --- */

/* Each shard has its turn once in a round. */
static void sweep(struct store *store, uint64_t now_us)
{
	const uint64_t passed_us = now_us - store->sweep_start_us;
	const uint64_t turn = passed_us < STORE_SWEEP_US
				      ? passed_us * store->shards / STORE_SWEEP_US
				      : store->shards;
	for (; store->sweep_next < turn; store->sweep_next++) {
		struct store_shard *shard = &store->shard[store->sweep_next];
		if (shard->sweep_record == ALL_PHONES && store_may_write(store, store->sweep_next))
			shard->sweep_record = 0;
	}
	if (store->sweep_next < store->shards)
		return;
	store->sweep_next = 0;
	store->sweep_start_us = now_us;
	store->counters.sweeps++;
}

static uint64_t older_of(uint64_t a_us, uint64_t b_us)
{
	if (a_us == 0 || b_us == 0)
		return a_us | b_us;
	return a_us < b_us ? a_us : b_us;
}

void writer_look(struct store *store, uint64_t now_us)
{
	uint64_t oldest_us = 0;
	uint32_t dirty = 0, driven = 0, unleased = 0;
	for (uint32_t i = 0; i < store->shards; i++) {
		struct store_shard *shard = &store->shard[i];
		const bool holds = store_holds(store, i);
		if (!shard->adopted && !holds) {
			shard->dirty_since_us = 0;
			feed_drop(store, i);
			continue;
		}
		if (shard->dirty_since_us == 0 && is_dirty(store, i))
			shard->dirty_since_us = now_us;
		oldest_us = older_of(oldest_us, shard->dirty_since_us);
		oldest_us = older_of(oldest_us, shard->flight_since_us);
		dirty += shard->dirty_since_us != 0;
		driven += shard->adopted;
		unleased += shard->adopted && !holds;
	}
	store->dirty_shards = dirty;
	store->driven = driven;
	store->unleased = unleased;
	store->lag_us = oldest_us != 0 ? now_us - oldest_us : 0;
	if (store->lag_us > store->lag_max_us)
		store->lag_max_us = store->lag_us;
	sweep(store, now_us);
}
