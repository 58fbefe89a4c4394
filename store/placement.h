/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who drives which shard: the leases of STORE.md section 4 as a pure state machine.
 *
 * Rendezvous hashing over the live nodes says who should have a shard; leases say who has it. Time
 * comes in as milliseconds of any monotonic clock, replies come in as calls, and what is to be done
 * comes out one action at a time. Nothing here knows of sockets, threads or phones: the tests run
 * several of these against a model of the Lua functions in virtual time.
 *
 * Rules beyond STORE.md:
 * - Redis not reached within PLACEMENT_ALONE_MS of the start: unless fence is strict, every shard that
 *   would be ours with the nodes known (all, when none are) is driven without a lease. When Redis
 *   answers, we ask for them with what we have (`mine`, or 0 with our memory the newest); a refusal
 *   means stop driving at once.
 * - After Redis (or this process) was away, leases of others that look expired are left alone for a
 *   third of the ttl, so that their owners can renew first.
 * - When the list of nodes was lost, whoever is missing in it is believed to live for another 22 % of
 *   the ttl, two heartbeats and a little: FLUSHALL empties the list and the leases at once, and is
 *   nobody's death. Who goes missing otherwise has gone.
 * - Refused, we ask again when the lease is over, but four times a second at least (once, after some
 *   tries): its owner may be handing the shard over.
 * - We ask only for shards that rendezvous gives us. A shard that is ours by lease but not by
 *   rendezvous is handed over, at most PLACEMENT_HANDOVERS at a time, once its rightful node is live.
 */
#ifndef SIPHERD_PLACEMENT_H
#define SIPHERD_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#define PLACEMENT_NODES_MAX 64
#define PLACEMENT_NODE_MAX 80
#define PLACEMENT_ALONE_MS 3000
#define PLACEMENT_HANDOVERS 32
#define PLACEMENT_TTL_MS 10000

enum placement_state {
	PLACEMENT_AWAY,      /* somebody else's, or nobody's */
	PLACEMENT_ASKING,    /* acquire is under way; not driven */
	PLACEMENT_LOADING,   /* granted, the slab is being read */
	PLACEMENT_OURS,      /* granted and driven */
	PLACEMENT_UNLEASED,  /* driven without a lease: Redis has not been there, or was lost */
	PLACEMENT_RECLAIM,   /* driven, acquire under way */
	PLACEMENT_STOPPING,  /* ours, the herd is asked to stop: a handover, a refusal or the end */
	PLACEMENT_FLUSHING,  /* stopped, the last changes are on their way */
	PLACEMENT_RELEASING, /* the lease is being given back */
	PLACEMENT_STATES
};

enum placement_kind {
	PLACEMENT_NOTHING = 0,
	PLACEMENT_ACQUIRE, /* FCALL sipherd_acquire with `mine` */
	PLACEMENT_LOAD,    /* read the slab into the records, then placement_loaded */
	PLACEMENT_REWRITE, /* our memory is the newest: mark the whole shard dirty */
	PLACEMENT_ADOPT,   /* the herd may drive it; `moved`: another node had it before */
	PLACEMENT_STOP,    /* the herd must stop driving it, then placement_stopped */
	PLACEMENT_FLUSH,   /* flush what is dirty, then placement_flushed */
	PLACEMENT_RELEASE, /* FCALL sipherd_release, then placement_released */
};

struct placement_action {
	uint8_t kind; /* enum placement_kind */
	bool moved;   /* ADOPT */
	bool newest;  /* ACQUIRE: we drive it, so our memory is the newest whatever `mine` says */
	uint32_t shard;
	uint64_t token; /* ACQUIRE: mine; RELEASE: the lease's */
};

struct placement;

/* groups: shard % groups is its group; calls of a group can be made or not. 0 or -ENOMEM. */
int placement_create(struct placement **out, uint32_t shards, uint32_t groups, const char *node,
	uint32_t ttl_ms, bool strict, uint64_t now_ms);
void placement_free(struct placement *placement);

/* Token under which this shard's records in the image file were the truth; before the first action. */
void placement_remember(struct placement *placement, uint32_t shard, uint64_t mine);

/* The live nodes as the last heartbeat found them, ourselves included. */
void placement_nodes(struct placement *placement, const char (*nodes)[PLACEMENT_NODE_MAX],
	unsigned count, uint64_t now_ms);

/* We were not in that list any more (or not yet): others may be missing as well. Before
 * placement_nodes. */
void placement_list_lost(struct placement *placement, uint64_t now_ms);

/* A group's server can be called (again): all its leases are taken anew. Or cannot any more. */
void placement_group_up(struct placement *placement, uint32_t group, uint64_t now_ms);
void placement_group_down(struct placement *placement, uint32_t group, uint64_t now_ms);
/* This process stood still for longer than its leases last: every lease is asked for again. */
void placement_paused(struct placement *placement, uint64_t now_ms);

/* Answers. `mine` of a shard changes only here: to the token, on placement_granted when our memory
 * is the newest, on placement_loaded otherwise; the caller keeps it in the image file. */
void placement_granted(struct placement *placement, uint32_t shard, uint64_t token, bool newest,
	bool moved, uint64_t now_ms);
void placement_refused(
	struct placement *placement, uint32_t shard, uint64_t left_ms, uint64_t now_ms);
void placement_loaded(struct placement *placement, uint32_t shard, uint64_t now_ms);
void placement_stopped(struct placement *placement, uint32_t shard, uint64_t now_ms);
void placement_flushed(struct placement *placement, uint32_t shard, uint64_t now_ms);
void placement_released(struct placement *placement, uint32_t shard, uint64_t now_ms);
/* The call that the shard waits for was lost or refused for another reason: it is made again. */
void placement_failed(struct placement *placement, uint32_t shard, uint64_t now_ms);
/* A flush or a renewal was told FENCED: somebody else may hold the lease. */
void placement_fenced(struct placement *placement, uint32_t shard, uint64_t now_ms);

/* Give everything back: stop, flush, release all. */
void placement_leave(struct placement *placement, uint64_t now_ms);
bool placement_left(const struct placement *placement);

/* What to do next; false: nothing now. */
bool placement_next(struct placement *placement, uint64_t now_ms, struct placement_action *out);

enum placement_state placement_state(const struct placement *placement, uint32_t shard);
uint64_t placement_token(const struct placement *placement, uint32_t shard); /* lease held, or 0 */
uint64_t placement_mine(const struct placement *placement, uint32_t shard);
uint32_t placement_count(const struct placement *placement, enum placement_state state);

/* Rendezvous hashing: which of the nodes should have this shard. */
unsigned placement_owner(const char (*nodes)[PLACEMENT_NODE_MAX], unsigned count, uint32_t shard);

#endif
