/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every shard has a state, at most one thing to do next (`pending`, from `due_ms` on) and perhaps
 * a rewrite. A shard with nothing pending waits for an answer or is at rest. What is due now has
 * its bit in one of two lanes: a call that finds nothing to do looks at two counts and a time.
 *
 * When is our memory said to be the newest although `mine` may not prove it? Only when we drove on
 * without Redis: whoever held the lease meanwhile and lost it knows no more than we. Not after a
 * pause, not after FENCED and not in strict mode: then a lease that was given to somebody else was
 * given while we stood still, his records are newer, and `mine` alone tells.
 */
#include "placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NEVER UINT64_MAX
#define TICK_MS 50        /* delays are rounded up to this, so that many shards share one scan */
#define POLL_MS 250       /* between two refusals: the owner may be handing the shard over */
#define POLL_SLOW_MS 1000 /* likewise after POLL_FAST tries */
#define POLL_FAST 8
/* Of the ttl: how long a node that is not listed is still believed to live when the list was lost.
 * FLUSHALL empties it until everybody's next heartbeat: nobody may take that for their death, for
 * the leases are gone as well and would be given to anybody who asks. */
#define GRACE_PERCENT 22
#define FAILED_MS 100   /* before a call that failed is made again */
#define FAILED_TRIES 20 /* of a hand-over's calls, before it is put off */

/* Lane 0 needs no call to Redis, and some of it must not wait: stop. */
enum { LANE_NOW, LANE_CALLS, LANES };

/* What follows when the herd has stopped driving a shard. */
enum plan {
	PLAN_HAND_OVER, /* flush, release */
	PLAN_DROP,      /* it is another's, or nobody can be told: nothing */
	PLAN_RELOAD,    /* granted, but another has driven it since: read the slab */
	PLAN_RESUME,    /* the lease went away meanwhile: drive on without Redis, or ask again */
};

struct place {
	uint64_t token, mine;
	uint64_t due_ms;   /* of `pending` */
	uint64_t retry_ms; /* PLAN_DROP: when to ask again */
	uint8_t state;     /* enum placement_state */
	uint8_t pending;   /* enum placement_kind */
	uint8_t plan;      /* enum plan */
	uint8_t tries;     /* refusals or failures in a row */
	bool rewrite;      /* PLACEMENT_REWRITE is to come before `pending` */
	bool newest;       /* of the next ACQUIRE */
	bool moved;        /* of the next ADOPT */
	bool driven;       /* from ADOPT until placement_stopped */
	bool told;         /* STOP has been given out */
	bool right;        /* rendezvous gives it to us */
	bool anothers;     /* refused last time: somebody has it */
	bool claim;        /* our memory may be the newest: ask although it is not ours by right */
	bool stale;        /* the process stood still: our memory may be old */
	bool again;        /* the call under way is void: ask again after its answer */
};

struct known {
	char name[PLACEMENT_NODE_MAX];
	uint64_t dead_ms; /* missing from the list, and dead from then on; NEVER: listed */
};

struct group {
	bool up, was_up;
	uint64_t hold_ms;  /* leases of others are left alone until then */
	uint64_t alone_ms; /* drive without Redis from then on */
};

struct placement {
	uint32_t shards, groups, words;
	uint32_t count[PLACEMENT_STATES];
	uint32_t ttl_ms;
	bool strict, leaving;
	bool listed; /* the live nodes are known */
	uint64_t created_ms;
	uint64_t doubt_ms;            /* until then who is not listed may live */
	uint64_t unlisted_ms;         /* without a list by then, we take it that we are alone */
	uint64_t hand_over_ms;        /* none is begun before */
	uint64_t soonest_ms;          /* nothing that is not in a lane is due before */
	uint32_t ready[LANES], wrong; /* bits set in lane[], misplaced */
	uint32_t cursor;              /* word where the next search begins */
	uint64_t *lane[LANES];
	uint64_t *misplaced; /* ours by lease, another's by right */
	struct place *place;
	struct group *group;
	unsigned nodes;   /* known, ourselves included */
	uint64_t bury_ms; /* the first dead_ms of them */
	struct known known[PLACEMENT_NODES_MAX];
	char node[PLACEMENT_NODE_MAX];
};

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t sooner_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void bit_put(uint64_t *bits, uint32_t *count, uint32_t index, bool on)
{
	const uint64_t mask = 1ull << (index % 64);
	if (((bits[index / 64] & mask) != 0) == on)
		return;
	bits[index / 64] ^= mask;
	*count += on ? 1 : -1u;
}

/* The first bit at or after the cursor's word, around the end. There is one. */
static uint32_t bit_find(struct placement *p, const uint64_t *bits)
{
	while (bits[p->cursor] == 0)
		p->cursor = p->cursor + 1 < p->words ? p->cursor + 1 : 0;
	return p->cursor * 64 + (uint32_t)__builtin_ctzll(bits[p->cursor]);
}

static int lane_of(uint8_t kind)
{
	return kind == PLACEMENT_STOP || kind == PLACEMENT_ADOPT ? LANE_NOW : LANE_CALLS;
}

/* Put the shard into the lane it belongs to, or see to it that it is looked at in time. */
static void arm(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	const struct place *s = &p->place[shard];
	int lane = -1;
	if (s->rewrite)
		lane = LANE_NOW;
	else if (s->pending != PLACEMENT_NOTHING && s->due_ms <= now_ms)
		lane = lane_of(s->pending);
	else if (s->pending != PLACEMENT_NOTHING)
		p->soonest_ms = sooner_of(p->soonest_ms, s->due_ms);
	for (int i = 0; i < LANES; i++)
		bit_put(p->lane[i], &p->ready[i], shard, i == lane);
	bit_put(p->misplaced, &p->wrong, shard, s->state == PLACEMENT_OURS && !s->right);
}

static void become(struct placement *p, uint32_t shard, enum placement_state state,
	enum placement_kind pending, uint64_t due_ms, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (s->state != state)
		s->tries = 0;
	p->count[s->state]--;
	p->count[state]++;
	s->state = (uint8_t)state;
	s->pending = (uint8_t)pending;
	s->due_ms = due_ms <= now_ms ? due_ms : (due_ms + TICK_MS - 1) / TICK_MS * TICK_MS;
	arm(p, shard, now_ms);
}

static struct group *group_of(const struct placement *p, uint32_t shard)
{
	return &p->group[shard % p->groups];
}

/* Not ours, not driven; asked for at `at_ms` if it should be ours. */
static void settle_away(struct placement *p, uint32_t shard, uint64_t at_ms, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	const struct group *group = group_of(p, shard);
	const bool ask = group->up && (s->claim || (s->right && !p->leaving));
	s->token = 0;
	s->rewrite = s->newest = s->again = false;
	if (!s->claim)
		at_ms = later_of(at_ms, group->hold_ms);
	become(p, shard, PLACEMENT_AWAY, ask ? PLACEMENT_ACQUIRE : PLACEMENT_NOTHING, at_ms,
		now_ms);
}

/* Ask for what we drive. newest: we drove on without Redis. */
static void reclaim(struct placement *p, uint32_t shard, bool newest, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	s->token = 0;
	s->rewrite = s->again = false;
	if (!s->driven) {
		s->claim = true;
		settle_away(p, shard, now_ms, now_ms);
		return;
	}
	s->newest = newest && !s->stale && !p->strict;
	become(p, shard, PLACEMENT_RECLAIM, PLACEMENT_ACQUIRE, now_ms, now_ms);
}

static void begin_stop(struct placement *p, uint32_t shard, enum plan plan, uint64_t now_ms);

/* Redis went away under a shard that is ours: the herd runs on. */
static void run_on(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	s->token = 0;
	s->rewrite = s->again = s->moved = false;
	if (p->leaving) {
		begin_stop(p, shard, PLAN_DROP, now_ms);
		return;
	}
	become(p, shard, PLACEMENT_UNLEASED, s->driven ? PLACEMENT_NOTHING : PLACEMENT_ADOPT,
		now_ms, now_ms);
}

static void give_back(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	become(p, shard, PLACEMENT_RELEASING, PLACEMENT_RELEASE, now_ms, now_ms);
}

static void resume(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (group_of(p, shard)->up)
		s->claim = true;
	else if (!p->leaving) {
		run_on(p, shard, now_ms);
		return;
	}
	settle_away(p, shard, now_ms, now_ms);
}

static void after_stop(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	s->driven = false;
	if (s->plan == PLAN_RESUME)
		resume(p, shard, now_ms);
	else if (s->plan == PLAN_DROP || s->token == 0)
		settle_away(p, shard, s->plan == PLAN_DROP ? s->retry_ms : now_ms, now_ms);
	else if (s->plan == PLAN_HAND_OVER)
		become(p, shard, PLACEMENT_FLUSHING, PLACEMENT_FLUSH, now_ms, now_ms);
	else if (p->leaving)
		give_back(p, shard, now_ms);
	else
		become(p, shard, PLACEMENT_LOADING, PLACEMENT_LOAD, now_ms, now_ms);
}

static void begin_stop(struct placement *p, uint32_t shard, enum plan plan, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	s->plan = (uint8_t)plan;
	s->told = false;
	if (!s->driven)
		after_stop(p, shard, now_ms);
	else
		become(p, shard, PLACEMENT_STOPPING, PLACEMENT_STOP, now_ms, now_ms);
}

/* True when it was not known. */
static bool get_to_know(struct placement *p, const char *name)
{
	for (unsigned i = 0; i < p->nodes; i++)
		if (strncmp(p->known[i].name, name, PLACEMENT_NODE_MAX) == 0)
			return false;
	if (p->nodes == PLACEMENT_NODES_MAX)
		return false;
	struct known *known = &p->known[p->nodes++];
	*known = (struct known){.dead_ms = NEVER};
	memcpy(known->name, name, strnlen(name, PLACEMENT_NODE_MAX - 1));
	return true;
}

int placement_create(struct placement **out, uint32_t shards, uint32_t groups, const char *node,
	uint32_t ttl_ms, bool strict, uint64_t now_ms)
{
	struct placement *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->shards = shards;
	p->groups = groups;
	p->words = (shards + 63) / 64;
	p->place = calloc(shards, sizeof(*p->place));
	p->group = calloc(groups, sizeof(*p->group));
	p->misplaced = calloc(p->words, sizeof(uint64_t));
	for (int i = 0; i < LANES; i++)
		p->lane[i] = calloc(p->words, sizeof(uint64_t));
	if (p->place == NULL || p->group == NULL || p->misplaced == NULL || p->lane[0] == NULL ||
		p->lane[1] == NULL) {
		placement_free(p);
		return -ENOMEM;
	}
	p->ttl_ms = ttl_ms == 0 ? PLACEMENT_TTL_MS : ttl_ms;
	p->strict = strict;
	p->created_ms = now_ms;
	p->count[PLACEMENT_AWAY] = shards;
	p->unlisted_ms = p->soonest_ms = now_ms + PLACEMENT_ALONE_MS;
	for (uint32_t g = 0; g < groups; g++)
		p->group[g].alone_ms = now_ms + PLACEMENT_ALONE_MS;
	strncpy(p->node, node, sizeof(p->node) - 1);
	get_to_know(p, p->node);
	p->bury_ms = NEVER;
	*out = p;
	return 0;
}

void placement_free(struct placement *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < LANES; i++)
		free(p->lane[i]);
	free(p->misplaced);
	free(p->group);
	free(p->place);
	free(p);
}

void placement_remember(struct placement *p, uint32_t shard, uint64_t mine)
{
	p->place[shard].mine = mine;
}

static uint64_t name_hash(const char *node)
{
	return XXH3_64bits(node, strnlen(node, PLACEMENT_NODE_MAX));
}

/* Highest random weight. Equal weights, which nobody will see, go to the smaller name: every node
 * finds the same owner whatever the order of its list. */
static unsigned owner_of(const uint64_t *hash, const char (*nodes)[PLACEMENT_NODE_MAX],
	unsigned count, uint32_t shard)
{
	unsigned best = 0;
	uint64_t best_weight = 0;
	for (unsigned i = 0; i < count; i++) {
		const uint64_t weight = XXH3_64bits_withSeed(&shard, sizeof(shard), hash[i]);
		if (i > 0 && (weight < best_weight ||
				     (weight == best_weight && strncmp(nodes[i], nodes[best],
								       PLACEMENT_NODE_MAX) > 0)))
			continue;
		best = i;
		best_weight = weight;
	}
	return best;
}

unsigned placement_owner(const char (*nodes)[PLACEMENT_NODE_MAX], unsigned count, uint32_t shard)
{
	uint64_t hash[PLACEMENT_NODES_MAX];
	count = count < PLACEMENT_NODES_MAX ? count : PLACEMENT_NODES_MAX;
	for (unsigned i = 0; i < count; i++)
		hash[i] = name_hash(nodes[i]);
	return owner_of(hash, nodes, count, shard);
}

static void set_right(struct placement *p, uint32_t shard, bool right, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (!right && !s->claim && (s->state == PLACEMENT_AWAY || s->state == PLACEMENT_ASKING))
		if (s->right == right)
			return;
	s->right = right;
	if (s->state == PLACEMENT_AWAY)
		settle_away(p, shard, now_ms, now_ms);
	else
		arm(p, shard, now_ms);
}

/* Rendezvous over all nodes that are believed to live. */
static void set_rights(struct placement *p, uint64_t now_ms)
{
	char names[PLACEMENT_NODES_MAX][PLACEMENT_NODE_MAX];
	uint64_t hash[PLACEMENT_NODES_MAX];
	unsigned self = 0;
	for (unsigned i = 0; i < p->nodes; i++) {
		memcpy(names[i], p->known[i].name, sizeof(names[i]));
		hash[i] = name_hash(names[i]);
		if (strcmp(names[i], p->node) == 0)
			self = i;
	}
	for (uint32_t shard = 0; shard < p->shards; shard++)
		set_right(p, shard, owner_of(hash, names, p->nodes, shard) == self, now_ms);
}

/* Nodes that have not been listed for long enough are dead. When the next one may be is noted. */
static bool bury(struct placement *p, uint64_t now_ms)
{
	const unsigned before = p->nodes;
	p->bury_ms = NEVER;
	for (unsigned i = 0; i < p->nodes;) {
		struct known *known = &p->known[i];
		if (now_ms >= known->dead_ms) {
			*known = p->known[--p->nodes];
			continue;
		}
		p->bury_ms = sooner_of(p->bury_ms, known->dead_ms);
		i++;
	}
	p->soonest_ms = sooner_of(p->soonest_ms, p->bury_ms);
	return p->nodes != before;
}

static bool listed(const char (*nodes)[PLACEMENT_NODE_MAX], unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strncmp(nodes[i], name, PLACEMENT_NODE_MAX) == 0)
			return true;
	return false;
}

void placement_list_lost(struct placement *p, uint64_t now_ms)
{
	p->doubt_ms = now_ms + (uint64_t)p->ttl_ms * GRACE_PERCENT / 100;
}

void placement_nodes(struct placement *p, const char (*nodes)[PLACEMENT_NODE_MAX], unsigned count,
	uint64_t now_ms)
{
	count = count < PLACEMENT_NODES_MAX ? count : PLACEMENT_NODES_MAX;
	bool changed = !p->listed;
	p->listed = true;
	for (unsigned i = 0; i < p->nodes; i++) {
		struct known *known = &p->known[i];
		if (strcmp(known->name, p->node) == 0 || listed(nodes, count, known->name))
			known->dead_ms = NEVER;
		else if (known->dead_ms == NEVER)
			known->dead_ms = later_of(now_ms, p->doubt_ms);
	}
	changed |= bury(p, now_ms);
	for (unsigned i = 0; i < count; i++)
		changed |= get_to_know(p, nodes[i]);
	if (changed)
		set_rights(p, now_ms);
}

static void shard_down(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	switch (s->state) {
	case PLACEMENT_OURS:
	case PLACEMENT_RECLAIM:
		run_on(p, shard, now_ms);
		return;
	case PLACEMENT_UNLEASED:
		return;
	case PLACEMENT_STOPPING:
		s->token = 0;
		s->rewrite = false;
		if (s->plan == PLAN_HAND_OVER && !s->told && !p->leaving)
			run_on(p, shard, now_ms);
		else if (s->plan == PLAN_HAND_OVER)
			s->plan = PLAN_RESUME;
		arm(p, shard, now_ms);
		return;
	case PLACEMENT_FLUSHING:
		/* Not released: still ours as far as anybody knows. */
		run_on(p, shard, now_ms);
		return;
	case PLACEMENT_LOADING:
		/* The slab was on its way, so the lease is ours: nobody else's is in question. */
		s->claim = s->pending == PLACEMENT_NOTHING && s->right && !p->leaving;
		break;
	case PLACEMENT_RELEASING:
		/* It may have been carried out. If nobody took over before Redis lost it all, what we
		 * remember is the newest there is. */
		s->claim = !p->leaving;
		break;
	default:
		break;
	}
	settle_away(p, shard, now_ms, now_ms);
}

void placement_group_down(struct placement *p, uint32_t group, uint64_t now_ms)
{
	struct group *g = &p->group[group];
	if (!g->up)
		return;
	g->up = false;
	/* What we were just asking for when Redis went away has nobody, if we are the only one. */
	if (p->nodes == 1) {
		g->alone_ms = now_ms + PLACEMENT_ALONE_MS;
		p->soonest_ms = sooner_of(p->soonest_ms, g->alone_ms);
	}
	for (uint32_t shard = group; shard < p->shards; shard += p->groups)
		shard_down(p, shard, now_ms);
}

void placement_group_up(struct placement *p, uint32_t group, uint64_t now_ms)
{
	struct group *g = &p->group[group];
	placement_group_down(p, group, now_ms);
	const bool was_away = g->was_up || now_ms >= p->created_ms + PLACEMENT_ALONE_MS;
	g->up = g->was_up = true;
	g->alone_ms = NEVER;
	g->hold_ms = was_away ? now_ms + p->ttl_ms / 3 : now_ms;
	if (!p->listed) {
		p->unlisted_ms = now_ms + PLACEMENT_ALONE_MS;
		p->soonest_ms = sooner_of(p->soonest_ms, p->unlisted_ms);
	}
	for (uint32_t shard = group; shard < p->shards; shard += p->groups) {
		if (p->place[shard].state == PLACEMENT_UNLEASED)
			reclaim(p, shard, true, now_ms);
		else if (p->place[shard].state == PLACEMENT_AWAY)
			settle_away(p, shard, now_ms, now_ms);
	}
}

void placement_paused(struct placement *p, uint64_t now_ms)
{
	for (uint32_t g = 0; g < p->groups; g++)
		p->group[g].hold_ms = now_ms + p->ttl_ms / 3;
	for (uint32_t shard = 0; shard < p->shards; shard++) {
		struct place *s = &p->place[shard];
		/* Without any lease so far, our memory is all there is: it stays the newest. */
		s->stale = s->driven && s->mine > 0;
		if (s->state == PLACEMENT_OURS)
			reclaim(p, shard, false, now_ms);
		else if (s->state == PLACEMENT_AWAY)
			settle_away(p, shard, now_ms, now_ms);
		else if (s->state == PLACEMENT_RECLAIM && s->pending != PLACEMENT_NOTHING)
			s->newest = s->newest && !s->stale;
		else if (s->state == PLACEMENT_ASKING || s->state == PLACEMENT_RECLAIM ||
			 s->state == PLACEMENT_LOADING)
			s->again = true;
	}
}

/* Granted a shard that we do not drive. */
static void granted_asking(struct placement *p, uint32_t shard, bool newest, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	const bool wanted = s->right && !p->leaving;
	if (newest) {
		s->mine = s->token;
		s->rewrite = true;
	}
	if (newest && wanted)
		become(p, shard, PLACEMENT_OURS, PLACEMENT_ADOPT, now_ms, now_ms);
	else if (newest)
		become(p, shard, PLACEMENT_FLUSHING, PLACEMENT_FLUSH, now_ms, now_ms);
	else if (wanted)
		become(p, shard, PLACEMENT_LOADING, PLACEMENT_LOAD, now_ms, now_ms);
	else
		give_back(p, shard, now_ms);
}

/* Granted a shard that we drive. */
static void granted_driven(struct placement *p, uint32_t shard, bool newest, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (!newest) {
		begin_stop(p, shard, PLAN_RELOAD, now_ms);
		return;
	}
	s->mine = s->token;
	s->rewrite = true;
	become(p, shard, PLACEMENT_OURS, PLACEMENT_NOTHING, now_ms, now_ms);
	if (p->leaving)
		begin_stop(p, shard, PLAN_HAND_OVER, now_ms);
}

void placement_granted(struct placement *p, uint32_t shard, uint64_t token, bool newest, bool moved,
	uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	const bool driven = s->state == PLACEMENT_RECLAIM;
	if ((!driven && s->state != PLACEMENT_ASKING) || s->pending != PLACEMENT_NOTHING)
		return;
	if (s->again) {
		/* It was true when it was said, before we stood still. */
		if (newest)
			s->mine = token;
		reclaim(p, shard, false, now_ms);
		return;
	}
	s->token = token;
	s->moved = moved;
	s->claim = s->stale = s->anothers = false;
	if (driven)
		granted_driven(p, shard, newest, now_ms);
	else
		granted_asking(p, shard, newest, now_ms);
}

void placement_refused(struct placement *p, uint32_t shard, uint64_t left_ms, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	const bool driven = s->state == PLACEMENT_RECLAIM;
	if ((!driven && s->state != PLACEMENT_ASKING) || s->pending != PLACEMENT_NOTHING)
		return;
	const uint8_t tries = s->tries < POLL_FAST ? s->tries + 1 : s->tries;
	const uint64_t poll_ms = tries < POLL_FAST ? POLL_MS : POLL_SLOW_MS;
	s->retry_ms = now_ms + sooner_of(left_ms + TICK_MS, poll_ms);
	s->claim = s->stale = false;
	s->anothers = true;
	if (driven)
		begin_stop(p, shard, PLAN_DROP, now_ms);
	else
		settle_away(p, shard, s->retry_ms, now_ms);
	s->tries = tries;
}

void placement_loaded(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (s->state != PLACEMENT_LOADING || s->pending != PLACEMENT_NOTHING)
		return;
	if (s->again) {
		settle_away(p, shard, now_ms, now_ms);
		return;
	}
	s->mine = s->token;
	if (p->leaving || !s->right)
		give_back(p, shard, now_ms);
	else
		become(p, shard, PLACEMENT_OURS, PLACEMENT_ADOPT, now_ms, now_ms);
}

void placement_stopped(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	const struct place *s = &p->place[shard];
	if (s->state == PLACEMENT_STOPPING && s->told)
		after_stop(p, shard, now_ms);
}

void placement_flushed(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	const struct place *s = &p->place[shard];
	if (s->state == PLACEMENT_FLUSHING && s->pending == PLACEMENT_NOTHING)
		give_back(p, shard, now_ms);
}

void placement_released(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	const struct place *s = &p->place[shard];
	if (s->state == PLACEMENT_RELEASING && s->pending == PLACEMENT_NOTHING)
		settle_away(p, shard, now_ms, now_ms);
}

/* Redis answers, but not to this: nobody drives the shard meanwhile, so there is an end to it. */
static bool given_up(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	if (++s->tries < FAILED_TRIES)
		return false;
	if (s->state == PLACEMENT_RELEASING) {
		settle_away(p, shard, now_ms, now_ms);
		return true;
	}
	if (s->state != PLACEMENT_FLUSHING || p->leaving)
		return false;
	p->hand_over_ms = now_ms + p->ttl_ms / 3;
	s->moved = false;
	become(p, shard, PLACEMENT_OURS, PLACEMENT_ADOPT, now_ms, now_ms);
	return true;
}

void placement_failed(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	const uint64_t at_ms = now_ms + FAILED_MS;
	if (s->pending != PLACEMENT_NOTHING || !group_of(p, shard)->up)
		return;
	switch (s->state) {
	case PLACEMENT_ASKING:
		settle_away(p, shard, at_ms, now_ms);
		return;
	case PLACEMENT_RECLAIM:
		s->newest = s->newest && !s->stale;
		s->again = false;
		become(p, shard, PLACEMENT_RECLAIM, PLACEMENT_ACQUIRE, at_ms, now_ms);
		return;
	case PLACEMENT_LOADING:
		if (s->again)
			settle_away(p, shard, at_ms, now_ms);
		else
			become(p, shard, PLACEMENT_LOADING, PLACEMENT_LOAD, at_ms, now_ms);
		return;
	case PLACEMENT_FLUSHING:
		if (!given_up(p, shard, now_ms))
			become(p, shard, PLACEMENT_FLUSHING, PLACEMENT_FLUSH, at_ms, now_ms);
		return;
	case PLACEMENT_RELEASING:
		if (!given_up(p, shard, now_ms))
			become(p, shard, PLACEMENT_RELEASING, PLACEMENT_RELEASE, at_ms, now_ms);
		return;
	default:
		return;
	}
}

void placement_fenced(struct placement *p, uint32_t shard, uint64_t now_ms)
{
	struct place *s = &p->place[shard];
	switch (s->state) {
	case PLACEMENT_OURS:
		reclaim(p, shard, false, now_ms);
		return;
	case PLACEMENT_LOADING:
		if (s->pending == PLACEMENT_NOTHING)
			s->again = true;
		else
			settle_away(p, shard, now_ms, now_ms);
		return;
	case PLACEMENT_STOPPING:
		if (s->plan == PLAN_DROP || s->plan == PLAN_RESUME)
			return;
		if (s->plan == PLAN_HAND_OVER && !s->told) {
			reclaim(p, shard, false, now_ms);
			return;
		}
		s->token = 0;
		s->rewrite = false;
		if (s->plan == PLAN_HAND_OVER)
			s->plan = PLAN_RESUME;
		arm(p, shard, now_ms);
		return;
	case PLACEMENT_FLUSHING:
		s->claim = true;
		settle_away(p, shard, now_ms + FAILED_MS, now_ms);
		return;
	default:
		return;
	}
}

void placement_leave(struct placement *p, uint64_t now_ms)
{
	p->leaving = true;
	for (uint32_t shard = 0; shard < p->shards; shard++) {
		struct place *s = &p->place[shard];
		if (s->state == PLACEMENT_OURS || s->state == PLACEMENT_UNLEASED)
			begin_stop(p, shard, PLAN_HAND_OVER, now_ms);
		else if (s->state == PLACEMENT_AWAY)
			settle_away(p, shard, now_ms, now_ms);
		else if (s->state == PLACEMENT_LOADING && s->pending != PLACEMENT_NOTHING)
			give_back(p, shard, now_ms);
	}
}

bool placement_left(const struct placement *p)
{
	if (!p->leaving || p->count[PLACEMENT_AWAY] != p->shards)
		return false;
	for (uint32_t shard = 0; shard < p->shards; shard++)
		if (p->place[shard].pending != PLACEMENT_NOTHING)
			return false;
	return true;
}

/* Redis has not been there for too long: what would be ours is driven without a lease. */
static void begin_alone(struct placement *p, uint32_t group, uint64_t now_ms)
{
	p->group[group].alone_ms = NEVER;
	if (p->strict || p->leaving)
		return;
	for (uint32_t shard = group; shard < p->shards; shard += p->groups) {
		const struct place *s = &p->place[shard];
		if (s->state == PLACEMENT_AWAY && !s->anothers && (s->right || !p->listed))
			run_on(p, shard, now_ms);
	}
}

/* Look at everything that waits for a time. */
static void wake(struct placement *p, uint64_t now_ms)
{
	p->soonest_ms = NEVER;
	if (bury(p, now_ms) || (!p->listed && now_ms >= p->unlisted_ms))
		set_rights(p, now_ms);
	if (!p->listed && now_ms < p->unlisted_ms)
		p->soonest_ms = sooner_of(p->soonest_ms, p->unlisted_ms);
	for (uint32_t g = 0; g < p->groups; g++) {
		if (p->group[g].alone_ms <= now_ms)
			begin_alone(p, g, now_ms);
		else
			p->soonest_ms = sooner_of(p->soonest_ms, p->group[g].alone_ms);
	}
	for (uint32_t shard = 0; shard < p->shards; shard++)
		arm(p, shard, now_ms);
}

static void begin_hand_overs(struct placement *p, uint64_t now_ms)
{
	if (p->leaving || now_ms < p->hand_over_ms)
		return;
	while (p->wrong > 0 && p->count[PLACEMENT_STOPPING] + p->count[PLACEMENT_FLUSHING] +
					       p->count[PLACEMENT_RELEASING] <
				       PLACEMENT_HANDOVERS)
		begin_stop(p, bit_find(p, p->misplaced), PLAN_HAND_OVER, now_ms);
}

static void give_out(
	struct placement *p, uint32_t shard, uint64_t now_ms, struct placement_action *out)
{
	struct place *s = &p->place[shard];
	*out = (struct placement_action){.kind = s->pending, .shard = shard};
	if (s->rewrite) {
		out->kind = PLACEMENT_REWRITE;
		s->rewrite = false;
		arm(p, shard, now_ms);
		return;
	}
	enum placement_state state = s->state;
	if (out->kind == PLACEMENT_ACQUIRE) {
		out->token = s->mine;
		out->newest = s->newest;
		state = s->state == PLACEMENT_RECLAIM ? PLACEMENT_RECLAIM : PLACEMENT_ASKING;
	} else if (out->kind == PLACEMENT_ADOPT) {
		out->moved = s->moved;
		s->driven = true;
	} else if (out->kind == PLACEMENT_STOP) {
		s->told = true;
	} else if (out->kind == PLACEMENT_RELEASE) {
		out->token = s->token;
	}
	const uint8_t tries = s->tries;
	become(p, shard, state, PLACEMENT_NOTHING, now_ms, now_ms);
	s->tries = tries;
}

bool placement_next(struct placement *p, uint64_t now_ms, struct placement_action *out)
{
	if (now_ms >= p->soonest_ms)
		wake(p, now_ms);
	if (p->wrong > 0)
		begin_hand_overs(p, now_ms);
	for (int i = 0; i < LANES; i++) {
		if (p->ready[i] == 0)
			continue;
		give_out(p, bit_find(p, p->lane[i]), now_ms, out);
		return true;
	}
	return false;
}

enum placement_state placement_state(const struct placement *p, uint32_t shard)
{
	return p->place[shard].state;
}

uint64_t placement_token(const struct placement *p, uint32_t shard)
{
	return p->place[shard].token;
}

uint64_t placement_mine(const struct placement *p, uint32_t shard)
{
	return p->place[shard].mine;
}

uint32_t placement_count(const struct placement *p, enum placement_state state)
{
	return p->count[state];
}
