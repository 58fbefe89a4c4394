/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the store share. Everything here belongs to the store's thread, except `shared`,
 * which its lock protects, and the two atomic flags.
 *
 *   store.c   the control thread's side: open, close, events, status; and the bell between the two
 *   loop.c    the store's thread: its tick, connections that come and go, a process that stood still
 *   writer.c  what is flushed when, and how a flush is put together
 *   feed.c    transitions from the workers' rings to the lines that ride in flushes
 *   leases.c  placement's actions to calls and their answers back; renewals; when packets must cease
 *   nodes.c   meta, heartbeats, goodbye
 */
#ifndef SIPHERD_STORE_INTERNAL_H
#define SIPHERD_STORE_INTERNAL_H

#include <pthread.h>

#include "pace.h"
#include "placement.h"
#include "router.h"
#include "store.h"

#define STORE_TICK_US 10000
#define STORE_RUNS_MAX 600       /* a shard has at most 10,000 / 17 runs */
#define STORE_LINE_BYTES 112     /* of one line at most */
#define STORE_LINES_POOL 131072  /* lines that wait for their shard's flush, 20 bytes each */
#define STORE_LINES_SHARD 12000  /* of these, of one shard: all its phones at once, and some */
#define STORE_RENEWALS 64        /* calls of renewals under way */
#define STORE_LOADS 16           /* slabs being read at a time: 5 MB */
#define STORE_HOLD_US 50000      /* a refused flush waits this long, twice as long each time ... */
#define STORE_HOLD_MAX_US 500000 /* ... up to this */
#define STORE_SOON_US 20000      /* after MOVED or a library that had to be loaded */
#define STORE_PAUSE_US 1000000   /* a tick so late means that this process stood still */
#define STORE_ADOPT_US 500000    /* until the workers have taken an ADOPT, at most */
#define STORE_FAULT_US 2000000   /* without a refused call: Redis takes what we write again */
#define STORE_REFUSED_US 5000000 /* between two looks whether the name is free by now */
#define STORE_MESSAGES 32        /* lines for people that wait for the control thread */
#define STORE_MESSAGE_MAX 400

/* What a command to the control thread's side is, per shard. */
enum store_pending { PENDING_NOTHING, PENDING_ADOPT, PENDING_ADOPT_MOVED, PENDING_RELEASE };

/* A call in the making: arguments point into `text` or to memory that outlives the call. */
#define CALL_ARGUMENTS (32 + 2 * STORE_RUNS_MAX)
#define CALL_TEXT 32768
struct store_call {
	int count;
	size_t text_used;
	const char *argument[CALL_ARGUMENTS];
	size_t length[CALL_ARGUMENTS];
	char text[CALL_TEXT];
};

struct store_shard {
	uint64_t
		dirty_since_us; /* when its oldest change that is not on its way was found; 0: none */
	uint64_t flight_since_us; /* likewise of those on their way */
	uint64_t cycle_us;        /* when the writer last began at the shard's first record */
	uint64_t due_us;          /* not flushed before */
	uint64_t
		confirmed_us; /* when the last call was sent that is known to have renewed the lease */
	uint64_t asked_us;    /* when the lease call was sent whose answer is awaited */
	uint64_t want_token; /* of the lease call that waits to be made */
	uint64_t mine;       /* token under which these records were the truth */
	uint32_t asked;      /* number of that lease call; answers to others are void */
	uint32_t hold_us;
	uint32_t first_line, last_line; /* in the pool; NO_LINE */
	uint16_t lines;
	uint16_t next_record;  /* where the writer goes on; 0: at the start */
	uint16_t sweep_record; /* where the sweep goes on; SHARD_PHONES: it is done */
	uint8_t want;          /* enum placement_kind of the lease call that waits; 0: none */
	bool want_newest;
	bool flying;    /* a flush is under way */
	bool resync;    /* its feed needs a RESYNC line */
	bool rewriting; /* every record from next_record on is dirty */
	bool adopted;   /* ADOPT was said, and the herd has not stopped since */
	bool stopping;  /* the herd is to stop ... */
	bool told;      /* ... and knows */
	bool writable;  /* store_may_write as of this tick */
	bool lost; /* Redis went away under its lease: it is driven without, unless fence is strict */
};

/* A flush on its way: what must be put back if it fails. */
struct store_flight {
	uint64_t since_us;
	uint32_t shard, next_free, records;
	uint16_t lines, sweep_from;
	bool sweep, resync;
	bool begins_rewrite; /* the first records of a shard that is rewritten whole */
	uint64_t bits[MIRROR_DIRTY_WORDS];
};

struct store_renewal {
	uint64_t sent_us;
	uint32_t group, next_free, count;
	uint32_t shard[STORE_RENEW_LEASES];
	uint64_t token[STORE_RENEW_LEASES];
};

struct store_group {
	bool up;             /* by the router's word */
	bool told;           /* placement knows of it */
	bool held;           /* writes are refused to everybody */
	uint64_t renew_us;   /* when its leases are due for renewal */
	uint32_t renew_next; /* shard at which the round goes on; UINT32_MAX: no round */
};

struct store_line {
	struct mirror_line line;
	uint32_t next;
};

struct store_words {
	uint8_t length;
	char text[39]; /* the longest pair of words has 31 */
};

struct store_message {
	bool warning;
	char text[STORE_MESSAGE_MAX];
};

/* Between the two threads, under the lock. Neither holds it for longer than a copy takes. */
struct store_shared {
	pthread_mutex_t lock;
	struct store_status status;                 /* the store's thread writes */
	struct store_field field[STORE_FIELDS_MAX]; /* the control thread writes */
	size_t fields;
	uint8_t *pending; /* [shards], enum store_pending: the store's thread sets, control takes */
	bool any_pending;
	struct store_message message[STORE_MESSAGES];
	unsigned messages, messages_lost;
	char node[PLACEMENT_NODES_MAX][PLACEMENT_NODE_MAX]; /* live; the store's thread writes */
	unsigned nodes;
};

enum store_meta { META_UNKNOWN, META_ASKED, META_AGREED };

struct store {
	/* Set at the start. */
	struct store_events events;
	struct ev_loop *control;
	ev_async on_control; /* on the control thread's loop */
	pthread_t thread;
	struct mirror *mirror;
	struct image *image;
	struct keys keys;
	char node[PLACEMENT_NODE_MAX], host[80], version[32];
	uint64_t (*now)(const void *clock);
	const void *clock;
	uint64_t ttl_us, margin_us;
	uint64_t start_unix_ms;
	uint8_t mode;
	bool strict;
	uint32_t shards;
	uint8_t *delivering; /* [shards]: the control thread's copy of `pending` */

	struct store_shared shared;
	atomic_bool leave, end; /* the control thread sets */
	atomic_bool quiet;      /* the store's thread sets */

	/* The store's thread. */
	struct ev_loop *loop;
	ev_timer tick;
	ev_async bell;
	ev_prepare before_wait;
	ev_check after_wait;
	struct router *router;
	struct placement *placement; /* NULL while we are refused */
	struct store_shard *shard;   /* [shards] */
	struct store_group group[KEYS_GROUPS_MAX];
	struct store_flight *flight;
	uint32_t flights, free_flight, flying;
	struct store_renewal renewal[STORE_RENEWALS];
	uint32_t free_renewal;
	struct store_line *line; /* [STORE_LINES_POOL] */
	uint32_t free_line;
	struct store_words words[PHONE_STATES][RECORD_CAUSES], moment;
	uint64_t moment_ms;
	uint64_t lines_lost; /* by the workers' rings, as last seen */
	uint32_t wants, loads, stopping;
	uint32_t next_flush, next_want; /* where the next round over the shards begins */
	uint32_t sweep_next;            /* the sweep's next shard */
	uint64_t sweep_start_us;
	bool work; /* look for something to do before waiting */

	enum store_meta meta;
	bool meta_up, met;   /* meta's server is there; it was agreed upon at least once */
	bool refused, fatal; /* another fleet's name; the router keeps away from a newer schema */
	bool leaving, said_goodbye, goodbye_flying;
	uint32_t ups;                   /* times that meta's server came up */
	uint64_t meta_us, heartbeat_us; /* not before */
	uint64_t leave_us;              /* when we were asked to leave */
	bool heartbeat_flying;
	unsigned namesakes; /* heartbeats in a row that followed another process's of our name */
	char (*nodes)[PLACEMENT_NODE_MAX]; /* [PLACEMENT_NODES_MAX], for a reply being read */
	uint32_t live_nodes;

	/* A process that stood still. */
	uint64_t seen_us, seen_boot_us, seen_unix_us;
	uint64_t lease_over_us; /* as the mirror has it */
	uint64_t paused_us;     /* mute until every driven shard's lease is younger; 0: not */

	struct store_counters counters;
	uint32_t waiting; /* calls without an answer yet */
	uint64_t lag_us, lag_max_us;
	uint32_t driven, unleased, dirty_shards;
	uint64_t status_us;
	uint64_t fault_us, fault_said_us; /* when a call was last refused, and when it was said */
	char trouble[200];

	struct store_call call;
	uint64_t bits[MIRROR_DIRTY_WORDS];
	uint8_t data[STORE_CALL_BYTES];
	char lines[STORE_LINES_MAX * STORE_LINE_BYTES];
};

#define NO_LINE UINT32_MAX
#define NO_SLOT UINT32_MAX

static inline uint64_t store_now(const struct store *store)
{
	return store->now(store->clock);
}

static inline uint32_t store_group_of(const struct store *store, uint32_t shard)
{
	return keys_group(&store->keys, shard);
}

static inline bool store_holds(const struct store *store, uint32_t shard)
{
	return store->placement != NULL && placement_token(store->placement, shard) != 0;
}

/* Our records of this shard are the truth, and we hold the lease that says so. A lease alone is not
 * enough: it may have been granted to us while another's records are newer. */
static inline bool store_may_write(const struct store *store, uint32_t shard)
{
	return store_holds(store, shard) && store->group[store_group_of(store, shard)].up &&
	       placement_mine(store->placement, shard) == placement_token(store->placement, shard);
}

/* store.c: for people, from the store's thread. */
void store_say(struct store *store, bool warning, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What is wrong now; said when it is not what was said last. */
void store_trouble(struct store *store, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void store_ring(struct store *store);

/* Calls. */
void call_begin(struct store_call *call, const char *function, unsigned keys);
void call_add(struct store_call *call, const char *text, size_t length);
void call_text(struct store_call *call, const char *text);
void call_number(struct store_call *call, uint64_t number);
/* Room for a key, to be written by one of keys.h; then call_keep with its length. */
char *call_room(struct store_call *call);
void call_keep(struct store_call *call, size_t length);
int call_send(struct store *store, uint32_t group, router_answer answer, uint64_t tag);
/* Each answer says so first. */
void call_answered(struct store *store);

/* loop.c */
void *store_run(void *store);
int store_loop_create(struct store *store, const struct target *target);
void store_loop_free(struct store *store);
/* What the answer to a call that writes says of Redis as a whole: trouble, or the end of it. */
void store_fault(struct store *store, enum router_fault fault, const redisReply *reply);

/* From then on no packet is sent. */
void store_set_lease_over(struct store *store, uint64_t over_us);

/* writer.c */
int writer_create(struct store *store);
void writer_free(struct store *store);
/* Look for changes; the lag and the sweep. Every tick. */
void writer_look(struct store *store, uint64_t now_us);
void writer_flush(struct store *store, uint64_t now_us);
/* Nothing of this shard waits or is on its way. */
bool writer_is_clean(const struct store *store, uint32_t shard);
/* Forget what is dirty: the shard is no longer ours to write. */
void writer_forget(struct store *store, uint32_t shard);
void writer_rewrite(struct store *store, uint32_t shard);

/* feed.c */
int feed_create(struct store *store);
void feed_free(struct store *store);
void feed_take(struct store *store);
/* The shard's oldest lines as text to store->lines; *bytes long. How many. */
unsigned feed_write(struct store *store, uint32_t shard, unsigned max, size_t *bytes);
/* Leave the shard's lines out of the feed. */
void feed_drop(struct store *store, uint32_t shard);

/* leases.c */
/* Make the calls that placement wants, and renewals. */
void leases_act(struct store *store, uint64_t now_us);
/* Stops that are done, leases that run out. Every tick. */
void leases_look(struct store *store, uint64_t now_us);
void leases_group_up(struct store *store, uint32_t group, uint64_t now_us);
void leases_group_down(struct store *store, uint32_t group, uint64_t now_us);
/* Until when packets may be sent, by what Redis has confirmed. */
uint64_t leases_end_us(const struct store *store);
/* Another fleet has this name, or has it no more. */
void leases_refuse(struct store *store);
int leases_begin(struct store *store);
void leases_keep(struct store *store, uint32_t shard);

/* nodes.c */
void nodes_act(struct store *store, uint64_t now_us);
void nodes_meta_up(struct store *store, bool up);

#endif
