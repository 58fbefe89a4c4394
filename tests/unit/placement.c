/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Placement: several nodes against a model of the Lua functions in virtual time, with crashes,
 * pauses, partitions, joins, leaves, and a Redis that restarts empty, rolled back or whole.
 *
 * A shard's records are one number here: the version of the last change, counted over all nodes. So
 * "nothing was lost" is: who drives it knows the last version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "placement.h"

enum { SHARDS = 64, GROUPS = 4, NODES = 5, CALLS = 4096, STEP_MS = 10, TTL_MS = 10000 };

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)((seed >> 16) % below);
}

/* --- Redis --- */

struct lease {
	int owner, last; /* -1: none */
	uint64_t token, base, exp_ms;
};

struct data {
	struct lease lease[SHARDS];
	uint64_t slab[SHARDS]; /* 0: missing */
	uint64_t heartbeat_ms[NODES];
};

struct call {
	uint8_t kind; /* enum placement_kind, or one of these */
	uint32_t shard;
	bool newest;
	uint64_t token, version;
	uint64_t run_ms, reply_ms;
	bool done;
	/* The reply */
	bool granted, r_newest, moved, fenced;
	uint64_t r_token, left_ms, slab;
	bool live[NODES], known;
};
enum { CALL_WRITE = 100, CALL_RENEW, CALL_HEARTBEAT, CALL_GOODBYE };

struct node {
	char name[PLACEMENT_NODE_MAX];
	struct placement *placement;
	bool alive, strict, leaving, goodbye;
	bool linked;        /* connected to Redis */
	bool cut;           /* partitioned from it */
	uint64_t paused_ms; /* stands still until then */
	bool standing;
	uint64_t link_at_ms, heartbeat_at_ms, renew_at_ms, renewed_ms;
	uint64_t calm_since_ms; /* connected and moving since */
	uint64_t memory[SHARDS], mine[SHARDS];
	bool drives[SHARDS], dirty[SHARDS];
	uint64_t stop_ms[SHARDS];
	struct call call[CALLS];
	unsigned calls;
	uint64_t last_run_ms;
};

static struct world {
	uint64_t now_ms, version;
	bool up;
	struct data data, snapshot;
	struct node node[NODES];
	uint64_t last[SHARDS]; /* version of the last change of all */
	uint64_t adopts, loads, stops, doubled_ms;
	uint64_t flushed_ms; /* FLUSHALL: nobody has a lease until he has been told */
	bool lossless;       /* no fault that may lose a change: check it */
} w;

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The arithmetic of STORE.md section 4, and that a lost reply loses no memory. */
static void lua_acquire(struct node *node, struct call *call)
{
	const int self = (int)(node - w.node);
	struct lease *lease = &w.data.lease[call->shard];
	const uint64_t mine = call->token;
	const bool anothers = lease->owner >= 0 && lease->owner != self && lease->exp_ms > w.now_ms;
	const bool again = lease->owner == self && mine > 0 && mine >= lease->base;
	bool newest = again || (mine > 0 && (mine >= lease->token || mine > lease->base));
	if (anothers && !newest) {
		call->left_ms = lease->exp_ms - w.now_ms;
		return;
	}
	newest = newest || call->newest;
	const int previous = lease->owner >= 0 && (lease->owner != self || mine >= lease->token)
				     ? lease->owner
				     : lease->last;
	lease->base = again ? mine : max_of(lease->token, mine);
	lease->token = max_of(max_of(lease->token + 1, mine + 1), w.now_ms * 1000);
	lease->owner = self;
	lease->exp_ms = w.now_ms + TTL_MS;
	lease->last = previous;
	call->granted = true;
	call->r_newest = newest;
	call->r_token = lease->token;
	call->moved = previous >= 0 && previous != self;
}

static bool lua_holds(const struct node *node, uint32_t shard, uint64_t token)
{
	const struct lease *lease = &w.data.lease[shard];
	return lease->owner == (int)(node - w.node) && lease->token == token;
}

static void lua_run(struct node *node, struct call *call)
{
	struct lease *lease = &w.data.lease[call->shard];
	const int self = (int)(node - w.node);
	call->done = true;
	switch (call->kind) {
	case PLACEMENT_ACQUIRE:
		lua_acquire(node, call);
		return;
	case PLACEMENT_LOAD:
		call->slab = w.data.slab[call->shard];
		return;
	case PLACEMENT_FLUSH:
	case CALL_WRITE:
		call->fenced = !lua_holds(node, call->shard, call->token);
		if (!call->fenced)
			w.data.slab[call->shard] = call->version;
		return;
	case CALL_RENEW:
		call->fenced = !lua_holds(node, call->shard, call->token);
		if (!call->fenced)
			lease->exp_ms = w.now_ms + TTL_MS;
		return;
	case PLACEMENT_RELEASE:
		if (lua_holds(node, call->shard, call->token))
			*lease = (struct lease){-1, self, lease->token, lease->base, 0};
		return;
	case CALL_GOODBYE:
		w.data.heartbeat_ms[self] = 0;
		return;
	default:
		call->known = w.data.heartbeat_ms[self] != 0 &&
			      w.now_ms - w.data.heartbeat_ms[self] < TTL_MS;
		w.data.heartbeat_ms[self] = w.now_ms;
		for (int i = 0; i < NODES; i++)
			call->live[i] = w.data.heartbeat_ms[i] != 0 &&
					w.now_ms - w.data.heartbeat_ms[i] < TTL_MS;
	}
}

static void redis_empty(struct data *data)
{
	memset(data, 0, sizeof(*data));
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		data->lease[shard].owner = data->lease[shard].last = -1;
}

/* --- A node: what the store's thread does around placement --- */

static struct call *issue(struct node *node, uint8_t kind, uint32_t shard, uint64_t token)
{
	assert_true(node->calls < CALLS);
	struct call *call = &node->call[node->calls++];
	*call = (struct call){.kind = kind, .shard = shard, .token = token};
	node->last_run_ms = max_of(node->last_run_ms, w.now_ms + draw(2) * STEP_MS);
	call->run_ms = node->last_run_ms;
	call->reply_ms = call->run_ms + draw(2) * STEP_MS;
	return call;
}

static void keep_mine(struct node *node, uint32_t shard)
{
	node->mine[shard] = placement_mine(node->placement, shard);
}

static void heartbeat_answered(struct node *node, const struct call *call)
{
	char names[NODES][PLACEMENT_NODE_MAX];
	unsigned count = 0;
	for (int i = 0; i < NODES; i++)
		if (call->live[i])
			strcpy(names[count++], w.node[i].name);
	if (!node->leaving && !call->known)
		placement_list_lost(node->placement, w.now_ms);
	if (!node->leaving)
		placement_nodes(node->placement, names, count, w.now_ms);
}

static void answered(struct node *node, const struct call *call)
{
	struct placement *p = node->placement;
	const uint32_t shard = call->shard;
	if (call->kind == PLACEMENT_ACQUIRE && call->granted)
		placement_granted(p, shard, call->r_token, call->r_newest, call->moved, w.now_ms);
	else if (call->kind == PLACEMENT_ACQUIRE)
		placement_refused(p, shard, call->left_ms, w.now_ms);
	else if (call->kind == PLACEMENT_LOAD && placement_state(p, shard) == PLACEMENT_LOADING) {
		node->memory[shard] = call->slab;
		w.loads++;
		placement_loaded(p, shard, w.now_ms);
	} else if (call->kind == PLACEMENT_RELEASE)
		placement_released(p, shard, w.now_ms);
	else if (call->kind == CALL_HEARTBEAT)
		heartbeat_answered(node, call);
	else if (call->fenced) {
		node->dirty[shard] = true;
		placement_fenced(p, shard, w.now_ms);
	} else if (call->kind == PLACEMENT_FLUSH)
		placement_flushed(p, shard, w.now_ms);
	keep_mine(node, shard);
}

static void adopt(struct node *node, uint32_t shard)
{
	assert_false(node->drives[shard]);
	node->drives[shard] = true;
	w.adopts++;
	if (w.lossless)
		assert_int_equal(node->memory[shard], w.last[shard]);
}

static void act(struct node *node)
{
	struct placement_action action;
	unsigned actions = 0;
	while (node->calls < 64 && placement_next(node->placement, w.now_ms, &action)) {
		const uint32_t shard = action.shard;
		/* It comes to rest. */
		assert_true(actions++ < 10 * SHARDS);
		if (action.kind == PLACEMENT_ADOPT)
			adopt(node, shard);
		else if (action.kind == PLACEMENT_REWRITE)
			node->dirty[shard] = true;
		else if (action.kind == PLACEMENT_STOP) {
			assert_true(node->drives[shard]);
			node->stop_ms[shard] = w.now_ms + draw(4) * STEP_MS;
			w.stops++;
		} else {
			const uint64_t token = action.kind == PLACEMENT_FLUSH
						       ? placement_token(node->placement, shard)
						       : action.token;
			assert_true(node->linked);
			/* What is flushed last, and what is given back, is driven no more. */
			if (action.kind == PLACEMENT_FLUSH || action.kind == PLACEMENT_RELEASE ||
				action.kind == PLACEMENT_LOAD)
				assert_false(node->drives[shard]);
			struct call *call = issue(node, action.kind, shard, token);
			call->newest = action.newest;
			call->version = node->memory[shard];
		}
	}
}

static void link_down(struct node *node)
{
	if (!node->linked)
		return;
	node->linked = false;
	node->link_at_ms = w.now_ms + draw(100) * STEP_MS;
	for (uint32_t g = 0; g < GROUPS; g++)
		placement_group_down(node->placement, g, w.now_ms);
	for (unsigned i = 0; i < node->calls; i++) {
		node->dirty[node->call[i].shard] = true;
		placement_failed(node->placement, node->call[i].shard, w.now_ms);
	}
	node->calls = 0;
}

static void link_up(struct node *node)
{
	node->linked = true;
	node->heartbeat_at_ms = w.now_ms;
	node->renew_at_ms = w.now_ms + TTL_MS / 3;
	node->calm_since_ms = node->renewed_ms = w.now_ms;
	for (uint32_t g = 0; g < GROUPS; g++)
		placement_group_up(node->placement, g, w.now_ms);
}

static void replies(struct node *node)
{
	unsigned kept = 0;
	const unsigned calls = node->calls;
	static struct call due[CALLS];
	unsigned dues = 0;
	for (unsigned i = 0; i < calls; i++) {
		if (node->call[i].done && node->call[i].reply_ms <= w.now_ms && dues == i)
			due[dues++] = node->call[i];
		else
			node->call[kept++] = node->call[i];
	}
	node->calls = kept;
	for (unsigned i = 0; i < dues; i++)
		answered(node, &due[i]);
}

static void periodic(struct node *node)
{
	if (w.now_ms >= node->heartbeat_at_ms && !node->leaving) {
		node->heartbeat_at_ms = w.now_ms + 1000;
		issue(node, CALL_HEARTBEAT, 0, 0);
	}
	if (node->leaving && !node->goodbye) {
		node->goodbye = true;
		issue(node, CALL_GOODBYE, 0, 0);
	}
	const bool renew = w.now_ms >= node->renew_at_ms;
	if (renew)
		node->renew_at_ms = w.now_ms + TTL_MS / 3, node->renewed_ms = w.now_ms;
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const uint64_t token = placement_token(node->placement, shard);
		if (token != 0 && renew)
			issue(node, CALL_RENEW, shard, token);
		if (token == 0 || !node->dirty[shard] || node->calls > 64 ||
			placement_state(node->placement, shard) != PLACEMENT_OURS)
			continue;
		node->dirty[shard] = false;
		issue(node, CALL_WRITE, shard, token)->version = node->memory[shard];
	}
}

static void herd(struct node *node)
{
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		if (node->stop_ms[shard] != 0 && w.now_ms >= node->stop_ms[shard]) {
			node->stop_ms[shard] = 0;
			node->drives[shard] = false;
			placement_stopped(node->placement, shard, w.now_ms);
		}
		if (!node->drives[shard] || draw(20) != 0)
			continue;
		/* A strict node whose lease is over is mute. */
		if (node->strict && w.now_ms >= node->renewed_ms + TTL_MS)
			continue;
		node->memory[shard] = w.last[shard] = ++w.version;
		node->dirty[shard] = true;
	}
}

static void node_begin(struct node *node, bool strict)
{
	memset(node->drives, 0, sizeof(node->drives));
	memset(node->stop_ms, 0, sizeof(node->stop_ms));
	memset(node->dirty, 0, sizeof(node->dirty));
	node->calls = 0;
	node->alive = true;
	node->strict = strict;
	node->linked = node->leaving = node->goodbye = node->standing = node->cut = false;
	node->paused_ms = 0;
	node->link_at_ms = node->calm_since_ms = w.now_ms;
	snprintf(node->name, sizeof(node->name), "host-%d", (int)(node - w.node));
	assert_int_equal(placement_create(&node->placement, SHARDS, GROUPS, node->name, TTL_MS,
				 strict, w.now_ms),
		0);
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		placement_remember(node->placement, shard, node->mine[shard]);
}

static void node_end(struct node *node)
{
	placement_free(node->placement);
	node->placement = NULL;
	node->alive = node->linked = node->standing = false;
	node->calls = 0;
	memset(node->drives, 0, sizeof(node->drives));
}

static void node_step(struct node *node)
{
	if (w.now_ms < node->paused_ms) {
		node->standing = true;
		return;
	}
	if (node->standing) {
		node->standing = false;
		node->calm_since_ms = w.now_ms;
		if (w.now_ms > node->renewed_ms + TTL_MS)
			placement_paused(node->placement, w.now_ms);
	}
	if (node->linked && (!w.up || node->cut))
		link_down(node);
	if (!node->linked && w.up && !node->cut && w.now_ms >= node->link_at_ms)
		link_up(node);
	if (node->linked)
		replies(node);
	if (node->linked)
		periodic(node);
	herd(node);
	act(node);
	if (node->leaving && placement_left(node->placement))
		node_end(node);
}

/* Two nodes drive a shard, and both have had the time to be told. */
static void check_double(void)
{
	const uint64_t told_ms = TTL_MS / 3 + 500;
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		unsigned all = 0, calm = 0;
		for (int i = 0; i < NODES; i++) {
			const struct node *node = &w.node[i];
			if (!node->alive || node->standing || !node->drives[shard])
				continue;
			all++;
			calm += node->linked &&
				w.now_ms >= max_of(node->calm_since_ms, w.flushed_ms) + told_ms;
		}
		if (all > 1)
			w.doubled_ms += STEP_MS;
		assert_true(calm <= 1);
	}
}

static void step(void)
{
	w.now_ms += STEP_MS;
	for (int i = 0; i < NODES; i++)
		for (unsigned c = 0; w.up && c < w.node[i].calls; c++)
			if (!w.node[i].cut && !w.node[i].call[c].done &&
				w.node[i].call[c].run_ms <= w.now_ms)
				lua_run(&w.node[i], &w.node[i].call[c]);
	for (int i = 0; i < NODES; i++)
		if (w.node[i].alive)
			node_step(&w.node[i]);
	check_double();
}

static void run(uint64_t ms)
{
	for (const uint64_t end_ms = w.now_ms + ms; w.now_ms < end_ms;)
		step();
}

static void world_begin(unsigned nodes)
{
	for (int i = 0; i < NODES; i++)
		placement_free(w.node[i].placement);
	memset(&w, 0, sizeof(w));
	w.now_ms = 1000000;
	w.up = true;
	redis_empty(&w.data);
	redis_empty(&w.snapshot);
	for (unsigned i = 0; i < nodes; i++)
		node_begin(&w.node[i], false);
}

static unsigned live_names(char names[NODES][PLACEMENT_NODE_MAX], int index[NODES])
{
	unsigned count = 0;
	for (int i = 0; i < NODES; i++)
		if (w.node[i].alive && !w.node[i].leaving) {
			strcpy(names[count], w.node[i].name);
			index[count++] = i;
		}
	return count;
}

/* Every shard is driven by whom rendezvous names, by nobody else, under a lease that counts. */
static bool settled(void)
{
	char names[NODES][PLACEMENT_NODE_MAX];
	int index[NODES];
	const unsigned count = live_names(names, index);
	for (uint32_t shard = 0; count > 0 && shard < SHARDS; shard++) {
		const int owner = index[placement_owner(names, count, shard)];
		for (int i = 0; i < NODES; i++)
			if (w.node[i].alive && w.node[i].drives[shard] != (i == owner))
				return false;
		const struct placement *p = w.node[owner].placement;
		if (placement_state(p, shard) != PLACEMENT_OURS ||
			!lua_holds(&w.node[owner], shard, placement_token(p, shard)))
			return false;
	}
	return true;
}

static void assert_settles(uint64_t within_ms)
{
	for (const uint64_t end_ms = w.now_ms + within_ms; !settled(); step())
		if (w.now_ms >= end_ms)
			fail_msg("not settled after %llu ms", (unsigned long long)within_ms);
}

/* Whoever drives a shard knows its last change, and a moment of rest later so does Redis. */
static void assert_nothing_lost(void)
{
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		for (int i = 0; i < NODES; i++)
			if (w.node[i].alive && w.node[i].drives[shard]) {
				assert_int_equal(w.node[i].memory[shard], w.last[shard]);
				assert_true(w.data.slab[shard] != 0);
				assert_true(w.data.slab[shard] + 5000 > w.last[shard]);
			}
}

/* --- Tests --- */

static void names_balance_and_move_little(void **state)
{
	(void)state;
	enum { N = 10000, MANY = 10 };
	char nodes[MANY + 1][PLACEMENT_NODE_MAX], turned[MANY][PLACEMENT_NODE_MAX];
	uint32_t share[MANY + 1] = {0};
	for (int i = 0; i <= MANY; i++)
		snprintf(nodes[i], sizeof(nodes[i]), "generator-%d", i);
	for (int i = 0; i < MANY; i++)
		strcpy(turned[i], nodes[MANY - 1 - i]);
	uint32_t moved = 0;
	for (uint32_t shard = 0; shard < N; shard++) {
		const unsigned owner = placement_owner(nodes, MANY, shard);
		share[owner]++;
		/* The order of the list does not matter. */
		assert_int_equal(placement_owner(turned, MANY, shard), MANY - 1 - owner);
		/* A node more: shards go to it and nowhere else. */
		const unsigned joined = placement_owner(nodes, MANY + 1, shard);
		assert_true(joined == owner || joined == MANY);
		moved += joined == MANY;
	}
	for (int i = 0; i < MANY; i++)
		assert_in_range(share[i], N / MANY * 9 / 10, N / MANY * 11 / 10);
	assert_in_range(moved, N / (MANY + 1) * 9 / 10, N / (MANY + 1) * 11 / 10);
}

static void one_node_takes_all(void **state)
{
	(void)state;
	world_begin(1);
	w.lossless = true;
	assert_settles(500);
	run(20000);
	assert_int_equal(w.adopts, SHARDS);
	assert_nothing_lost();
}

static void joining_and_leaving_lose_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		world_begin(2);
		w.lossless = true;
		assert_settles(5000);
		run(draw(5000));
		node_begin(&w.node[2], false);
		run(1500);
		assert_settles(2500);
		run(draw(5000));
		w.node[0].leaving = true;
		placement_leave(w.node[0].placement, w.now_ms);
		run(1500);
		assert_settles(3000);
		assert_false(w.node[0].alive);
		assert_int_equal(w.doubled_ms, 0);
		assert_nothing_lost();
	}
}

static void a_dead_node_is_replaced_in_time(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		world_begin(3);
		assert_settles(5000);
		run(5000 + draw(10000));
		node_end(&w.node[draw(3)]);
		assert_settles(TTL_MS + TTL_MS / 3 + 500);
		assert_int_equal(w.doubled_ms, 0);
		/* What was flushed is what the new owner began with: at most the last flush is gone. */
		for (uint32_t shard = 0; shard < SHARDS; shard++)
			assert_true(w.data.slab[shard] != 0);
	}
}

/* The file on the same host knows more than Redis does. */
static void a_restarted_node_uses_its_own_memory(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		world_begin(2);
		w.lossless = true;
		assert_settles(5000);
		run(draw(10000));
		/* Not while a grant of its own is under way: it has no lease to lose then. */
		run(4000);
		node_end(&w.node[0]);
		run(draw(8) * 1000);
		const uint64_t loads = w.loads;
		node_begin(&w.node[0], false);
		assert_settles(4000);
		assert_int_equal(w.loads, loads);
		assert_nothing_lost();
	}
}

static void redis_begin(unsigned kind)
{
	/* Whatever it comes back with: everybody's connection was cut. */
	for (int i = 0; i < NODES; i++)
		if (w.node[i].alive)
			link_down(&w.node[i]);
	if (kind == 0)
		redis_empty(&w.data);
	else if (kind == 1)
		w.data = w.snapshot;
	w.up = true;
}

/* Empty, rolled back, or whole: the nodes run on, and nobody loses a shard or a change. */
static void redis_comes_back(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		world_begin(1 + draw(4));
		assert_settles(5000);
		w.lossless = true;
		run(draw(3000));
		w.snapshot = w.data;
		run(draw(20000));
		const uint64_t stops = w.stops, loads = w.loads;
		w.up = false;
		run(draw(2) ? draw(500) : draw(40000));
		redis_begin((unsigned)round % 3);
		/* One that is slow to find it again still comes before its leases are given away. */
		w.node[0].link_at_ms = w.now_ms + 3000;
		run(3500);
		assert_settles(3000);
		run(10000);
		assert_true(settled());
		assert_int_equal(w.stops, stops);
		assert_int_equal(w.loads, loads);
		assert_int_equal(w.doubled_ms, 0);
		assert_nothing_lost();
	}
}

static void flushall_moves_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 40; round++) {
		world_begin(1 + draw(4));
		assert_settles(5000);
		w.lossless = true;
		/* Until everybody knows everybody. */
		run(2000);
		/* Some had other shards before: their old memory must not count. */
		if (draw(2)) {
			node_begin(&w.node[4], false);
			run(1500);
			assert_settles(3000);
		}
		run(draw(5000));
		const uint64_t adopts = w.adopts;
		redis_empty(&w.data);
		run(TTL_MS);
		assert_settles(3000);
		assert_int_equal(w.adopts, adopts);
		assert_int_equal(w.doubled_ms, 0);
		assert_nothing_lost();
	}
}

static void without_redis_the_herd_runs(void **state)
{
	(void)state;
	world_begin(0);
	w.up = false;
	w.lossless = true;
	node_begin(&w.node[0], false);
	node_begin(&w.node[1], true);
	run(PLACEMENT_ALONE_MS - 100);
	assert_int_equal(w.adopts, 0);
	run(200);
	assert_int_equal(w.adopts, SHARDS);
	assert_int_equal(placement_count(w.node[0].placement, PLACEMENT_UNLEASED), SHARDS);
	assert_int_equal(placement_count(w.node[1].placement, PLACEMENT_AWAY), SHARDS);
	run(10000);
	w.up = true;
	assert_settles(TTL_MS);
	assert_int_equal(w.doubled_ms, 0);
	assert_nothing_lost();
}

/* Both drove everything. Each shard stays with one of them. */
static void two_alone_agree(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		world_begin(0);
		w.up = false;
		node_begin(&w.node[0], false);
		node_begin(&w.node[1], false);
		run(10000);
		assert_int_equal(w.adopts, 2 * SHARDS);
		w.up = true;
		run(1300);
		const uint64_t doubled_ms = w.doubled_ms;
		assert_settles(5000);
		assert_int_equal(w.doubled_ms, doubled_ms);
	}
}

static void a_stopped_node_is_fenced(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		world_begin(2);
		assert_settles(5000);
		run(5000 + draw(3000));
		w.node[0].paused_ms = w.now_ms + 20000 + draw(40000);
		run(w.node[0].paused_ms - w.now_ms - 100);
		assert_true(w.node[1].drives[0]);
		const uint64_t doubled_ms = w.doubled_ms;
		if (draw(2)) {
			/* The new owner dies before the old one wakes up: what it wrote counts. */
			node_end(&w.node[1]);
			w.node[0].paused_ms += 20000;
			run(20000);
			w.lossless = false;
			uint64_t slab[SHARDS];
			memcpy(slab, w.data.slab, sizeof(slab));
			assert_settles(5000);
			for (uint32_t shard = 0; shard < SHARDS; shard++)
				assert_true(w.node[0].memory[shard] >= slab[shard]);
			continue;
		}
		run(500);
		/* At once, that is a round trip and the herd's stop, for each shard. */
		assert_true(w.doubled_ms - doubled_ms <= SHARDS * 200);
		assert_settles(5000);
	}
}

/* Cut off, and replaced by one that died since. A node that drove on knows best; one that stood
 * still or was mute does not. */
static void who_drove_last_knows_best(void **state)
{
	(void)state;
	for (int round = 0; round < 12; round++) {
		const int how = round % 3; /* drives on, strict, stands still */
		world_begin(1);
		node_begin(&w.node[1], how == 1);
		run(2000);
		assert_settles(5000);
		w.node[1].cut = true;
		run(100);
		if (how == 2)
			w.node[1].paused_ms = w.now_ms + 40000;
		run(20000);
		assert_true(w.node[0].drives[0] && w.node[0].drives[SHARDS - 1]);
		node_end(&w.node[0]);
		run(how == 2 ? 20000 : 15000);
		uint64_t slab[SHARDS], memory[SHARDS];
		memcpy(slab, w.data.slab, sizeof(slab));
		memcpy(memory, w.node[1].memory, sizeof(memory));
		const uint64_t loads = w.loads;
		bool drove[SHARDS];
		memcpy(drove, w.node[1].drives, sizeof(drove));
		w.node[1].cut = false;
		run(2000);
		assert_settles(5000);
		if (how != 0)
			assert_true(w.loads >= loads + SHARDS);
		for (uint32_t shard = 0; shard < SHARDS; shard++)
			assert_true(w.node[1].memory[shard] >=
				    (how == 0 && drove[shard] ? memory : slab)[shard]);
		if (how == 0)
			assert_true(w.loads < loads + SHARDS);
	}
}

/* A shard of one, driven by "a" under token 5. */
static struct placement *driving(void)
{
	struct placement *p;
	struct placement_action action;
	const char names[1][PLACEMENT_NODE_MAX] = {"a"};
	assert_int_equal(placement_create(&p, 1, 1, "a", 0, false, 0), 0);
	placement_group_up(p, 0, 10);
	placement_nodes(p, names, 1, 10);
	assert_true(placement_next(p, 10, &action));
	placement_granted(p, 0, 5, true, false, 10);
	while (placement_next(p, 10, &action))
		continue;
	assert_int_equal(action.kind, PLACEMENT_ADOPT);
	assert_int_equal(placement_mine(p, 0), 5);
	return p;
}

static void expect(struct placement *p, uint64_t now_ms, enum placement_kind kind, uint64_t token)
{
	struct placement_action action;
	if (kind == PLACEMENT_NOTHING) {
		assert_false(placement_next(p, now_ms, &action));
		return;
	}
	assert_true(placement_next(p, now_ms, &action));
	assert_int_equal(action.kind, kind);
	assert_int_equal(action.token, token);
}

/* The same, and it is to go to a node that has just come. */
static struct placement *handing_over(void)
{
	struct placement *p = driving();
	char names[2][PLACEMENT_NODE_MAX] = {"a", "b"};
	while (placement_owner(names, 2, 0) == 0)
		names[1][0]++;
	placement_nodes(p, names, 2, 20);
	expect(p, 20, PLACEMENT_STOP, 0);
	return p;
}

/* Who said goodbye has gone at once; who is missing since the list was lost may come back. */
static void the_missing_have_gone_unless_the_list_was_lost(void **state)
{
	(void)state;
	char names[2][PLACEMENT_NODE_MAX] = {"a", "b"};
	while (placement_owner(names, 2, 0) == 0)
		names[1][0]++;
	for (int lost = 0; lost < 2; lost++) {
		struct placement *p;
		assert_int_equal(placement_create(&p, 1, 1, "a", 0, false, 0), 0);
		placement_group_up(p, 0, 10);
		placement_list_lost(p, 10);
		placement_nodes(p, names, 2, 10);
		expect(p, 4000, PLACEMENT_NOTHING, 0);
		if (lost)
			placement_list_lost(p, 5000);
		placement_nodes(p, names, 1, 5000);
		if (lost)
			expect(p, 5000 + PLACEMENT_TTL_MS / 5, PLACEMENT_NOTHING, 0);
		expect(p, lost ? 5000 + PLACEMENT_TTL_MS / 4 : 5000, PLACEMENT_ACQUIRE, 0);
		placement_free(p);
	}
}

static void redis_lost_in_a_hand_over(void **state)
{
	(void)state;
	/* Before the release: driven again. */
	struct placement *p = handing_over();
	placement_group_down(p, 0, 30);
	placement_stopped(p, 0, 40);
	expect(p, 40, PLACEMENT_ADOPT, 0);
	assert_int_equal(placement_state(p, 0), PLACEMENT_UNLEASED);
	placement_free(p);
	p = handing_over();
	placement_stopped(p, 0, 30);
	expect(p, 30, PLACEMENT_FLUSH, 0);
	placement_group_down(p, 0, 40);
	expect(p, 40, PLACEMENT_ADOPT, 0);
	placement_free(p);
	/* After it: somebody else may have it, but if Redis has lost all we know the most. */
	p = handing_over();
	placement_stopped(p, 0, 30);
	expect(p, 30, PLACEMENT_FLUSH, 0);
	placement_flushed(p, 0, 30);
	expect(p, 30, PLACEMENT_RELEASE, 5);
	placement_group_down(p, 0, 40);
	expect(p, 9000, PLACEMENT_NOTHING, 0);
	placement_group_up(p, 0, 9000);
	expect(p, 9000, PLACEMENT_ACQUIRE, 5);
	placement_granted(p, 0, 9, true, false, 9010);
	expect(p, 9010, PLACEMENT_REWRITE, 0);
	expect(p, 9010, PLACEMENT_FLUSH, 0);
	placement_flushed(p, 0, 9020);
	expect(p, 9020, PLACEMENT_RELEASE, 9);
	placement_released(p, 0, 9030);
	expect(p, 30000, PLACEMENT_NOTHING, 0);
	placement_free(p);
}

static void fenced_in_a_hand_over(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct placement *p = handing_over();
		if (late) {
			placement_stopped(p, 0, 30);
			expect(p, 30, PLACEMENT_FLUSH, 0);
		}
		placement_fenced(p, 0, 30);
		placement_stopped(p, 0, 30);
		assert_int_equal(placement_token(p, 0), 0);
		expect(p, 200, PLACEMENT_ACQUIRE, 5);
		/* Another's by lease: he has it, and that is the end. */
		if (late)
			placement_refused(p, 0, 9000, 210);
		else
			placement_granted(p, 0, 9, false, true, 210);
		if (!late) {
			expect(p, 210, PLACEMENT_RELEASE, 9);
			placement_released(p, 0, 220);
		}
		expect(p, 30000, PLACEMENT_NOTHING, 0);
		placement_free(p);
	}
}

/* An answer that waited while we stood still is true no more. */
static void answers_from_before_a_pause_are_void(void **state)
{
	(void)state;
	struct placement *p = driving();
	placement_group_down(p, 0, 20);
	placement_group_up(p, 0, 30);
	expect(p, 30, PLACEMENT_ACQUIRE, 5);
	placement_paused(p, 60000);
	placement_granted(p, 0, 7, true, false, 60000);
	assert_int_equal(placement_token(p, 0), 0);
	expect(p, 60000, PLACEMENT_ACQUIRE, 7);
	/* Another drove it meanwhile and is gone: stop, read, drive. */
	placement_granted(p, 0, 9, false, true, 60010);
	assert_int_equal(placement_mine(p, 0), 7);
	expect(p, 60010, PLACEMENT_STOP, 0);
	placement_stopped(p, 0, 60020);
	expect(p, 60020, PLACEMENT_LOAD, 0);
	placement_paused(p, 120000);
	placement_loaded(p, 0, 120000);
	assert_int_equal(placement_mine(p, 0), 7);
	expect(p, 120000 + PLACEMENT_TTL_MS / 3 + 50, PLACEMENT_ACQUIRE, 7);
	placement_free(p);
}

/* Redis goes while we ask. If we are the only one, we drive; what another has, we leave alone. */
static void alone_means_nobody_else_has_it(void **state)
{
	(void)state;
	const char names[1][PLACEMENT_NODE_MAX] = {"a"};
	for (int refused = 0; refused < 2; refused++) {
		struct placement *p;
		assert_int_equal(placement_create(&p, 1, 1, "a", 0, false, 0), 0);
		placement_group_up(p, 0, 10);
		placement_nodes(p, names, 1, 10);
		expect(p, 10, PLACEMENT_ACQUIRE, 0);
		if (refused)
			placement_refused(p, 0, 8000, 20);
		placement_group_down(p, 0, 30);
		expect(p, PLACEMENT_ALONE_MS, PLACEMENT_NOTHING, 0);
		expect(p, 30 + PLACEMENT_ALONE_MS, refused ? PLACEMENT_NOTHING : PLACEMENT_ADOPT,
			0);
		placement_free(p);
	}
}

static void refused_asks_again_in_time(void **state)
{
	(void)state;
	struct placement *p;
	struct placement_action action;
	const char names[2][PLACEMENT_NODE_MAX] = {"a", "b"};
	assert_int_equal(placement_create(&p, 1, 1, "a", 0, false, 0), 0);
	placement_group_up(p, 0, 10);
	placement_nodes(p, names, 1, 20);
	assert_true(placement_next(p, 20, &action));
	assert_int_equal(action.kind, PLACEMENT_ACQUIRE);
	assert_int_equal(action.token, 0);
	assert_false(action.newest);
	assert_false(placement_next(p, 20, &action));
	placement_refused(p, 0, 30, 40);
	assert_false(placement_next(p, 70, &action));
	assert_true(placement_next(p, 160, &action));
	assert_int_equal(action.kind, PLACEMENT_ACQUIRE);
	placement_refused(p, 0, 9000, 200);
	assert_false(placement_next(p, 400, &action));
	/* The owner may be handing over: not as late as its lease lasts. */
	assert_true(placement_next(p, 1300, &action));
	placement_granted(p, 0, 77, false, true, 1310);
	assert_int_equal(placement_mine(p, 0), 0);
	assert_true(placement_next(p, 1310, &action));
	assert_int_equal(action.kind, PLACEMENT_LOAD);
	placement_loaded(p, 0, 1320);
	assert_int_equal(placement_mine(p, 0), 77);
	assert_true(placement_next(p, 1320, &action));
	assert_int_equal(action.kind, PLACEMENT_ADOPT);
	assert_true(action.moved);
	/* A call that Redis did not carry out is made again, and answers to nothing are nothing. */
	placement_granted(p, 0, 99, true, true, 1330);
	placement_stopped(p, 0, 1330);
	placement_released(p, 0, 1330);
	placement_failed(p, 0, 1330);
	assert_int_equal(placement_token(p, 0), 77);
	assert_false(placement_next(p, 5000, &action));
	placement_free(p);
}

/* A hand-over whose flush Redis refuses for ever ends with the old owner driving again. */
static void a_refused_flush_ends_the_hand_over(void **state)
{
	(void)state;
	struct placement *p;
	struct placement_action action;
	char names[2][PLACEMENT_NODE_MAX] = {"a", "b"};
	assert_int_equal(placement_create(&p, 1, 1, "a", 0, false, 0), 0);
	while (placement_owner(names, 2, 0) == 0)
		names[1][0]++;
	placement_group_up(p, 0, 10);
	placement_nodes(p, names, 1, 10);
	placement_next(p, 10, &action);
	placement_granted(p, 0, 5, true, false, 10);
	while (placement_next(p, 10, &action))
		continue;
	placement_nodes(p, names, 2, 20);
	assert_true(placement_next(p, 20, &action));
	assert_int_equal(action.kind, PLACEMENT_STOP);
	placement_stopped(p, 0, 30);
	unsigned flushes = 0;
	uint64_t now_ms = 30;
	for (; now_ms < 10000; now_ms += 10) {
		if (!placement_next(p, now_ms, &action))
			continue;
		if (action.kind == PLACEMENT_ADOPT)
			break;
		assert_int_equal(action.kind, PLACEMENT_FLUSH);
		flushes++;
		placement_failed(p, 0, now_ms);
	}
	assert_true(now_ms < 5000);
	assert_true(flushes > 1);
	assert_int_equal(placement_state(p, 0), PLACEMENT_OURS);
	assert_false(placement_next(p, now_ms + 1000, &action));
	assert_true(placement_next(p, now_ms + PLACEMENT_TTL_MS / 3, &action));
	assert_int_equal(action.kind, PLACEMENT_STOP);
	placement_free(p);
}

static void some_fault(void)
{
	struct node *node = &w.node[draw(NODES)];
	const unsigned kind = draw(9);
	if (!node->alive) {
		if (draw(2))
			node_begin(node, draw(4) == 0);
	} else if (kind == 0)
		node_end(node);
	else if (kind == 1)
		node->paused_ms = w.now_ms + (draw(2) ? draw(2000) : draw(30000));
	else if (kind == 2 && !node->leaving) {
		node->leaving = true;
		placement_leave(node->placement, w.now_ms);
	} else if (kind == 3)
		node->cut = !node->cut;
	else if (kind == 4)
		w.up = false;
	else if (kind == 5)
		w.snapshot = w.data;
	else if (kind == 6) {
		redis_empty(&w.data);
		w.flushed_ms = w.now_ms;
	} else if (kind == 7 && draw(4) == 0)
		memset(node->mine, 0,
			sizeof(node->mine)); /* the image file is gone at its restart */
	if (!w.up && draw(3) == 0)
		redis_begin(draw(3));
}

static void everything_at_once(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		world_begin(1 + draw(NODES));
		for (int fault = 0; fault < 60; fault++) {
			some_fault();
			run(draw(3) ? draw(300) : draw(8000));
		}
		if (!w.up)
			redis_begin(draw(3));
		for (int i = 0; i < NODES; i++) {
			w.node[i].cut = false;
			w.node[i].paused_ms = 0;
			/* One that is leaving may wait for its end here. */
			if (w.node[i].alive && w.node[i].leaving)
				node_end(&w.node[i]);
		}
		/* Until the dead are off the list: what was handed to them comes back then. */
		run(2 * TTL_MS);
		assert_settles(TTL_MS);
		run(TTL_MS);
		assert_true(settled());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_balance_and_move_little),
		cmocka_unit_test(one_node_takes_all),
		cmocka_unit_test(joining_and_leaving_lose_nothing),
		cmocka_unit_test(a_dead_node_is_replaced_in_time),
		cmocka_unit_test(a_restarted_node_uses_its_own_memory),
		cmocka_unit_test(redis_comes_back),
		cmocka_unit_test(flushall_moves_nothing),
		cmocka_unit_test(without_redis_the_herd_runs),
		cmocka_unit_test(two_alone_agree),
		cmocka_unit_test(a_stopped_node_is_fenced),
		cmocka_unit_test(who_drove_last_knows_best),
		cmocka_unit_test(the_missing_have_gone_unless_the_list_was_lost),
		cmocka_unit_test(redis_lost_in_a_hand_over),
		cmocka_unit_test(fenced_in_a_hand_over),
		cmocka_unit_test(answers_from_before_a_pause_are_void),
		cmocka_unit_test(alone_means_nobody_else_has_it),
		cmocka_unit_test(refused_asks_again_in_time),
		cmocka_unit_test(a_refused_flush_ends_the_hand_over),
		cmocka_unit_test(everything_at_once),
	};
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
