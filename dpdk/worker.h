/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: a slice of each herd, its end of the link, and the loop that runs both to completion.
 *
 * A station is one end of the link as one worker sees it: a queue pair, the datagram being written,
 * the frames waiting to leave, what is known of neighbours. The herd's station is at the near end.
 * Registrars have a station of their own: at the far end of the memory link, else at the near end.
 *
 * Everything here belongs to the worker's thread, but for the fields that say otherwise.
 */
#ifndef SIPHERD_WORKER_H
#define SIPHERD_WORKER_H

#include <stdatomic.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "announce.h"
#include "bell.h"
#include "capture.h"
#include "clock.h"
#include "frame.h"
#include "link.h"
#include "neighbour.h"
#include "roster.h"
#include "trace.h"
#include "wire.h"

#define STATION_BURST 64
#define WORKER_ORDERS 64          /* that can wait, */
#define WORKER_ORDERS_PER_SHARD 3 /* and where shards come and go: adopt, announce, release */
#define WORKER_REDIRECTS 1024     /* frames on their way from one worker to another */

struct worker;

struct station {
	uint16_t port, queue;
	bool has_queue;      /* false: `relay` takes our frames to a worker that has one */
	bool sends_checksum; /* hardware completes UDP checksums */
	bool flawless;       /* frames cannot be damaged on their way: none are needed */
	uint16_t frame_max;  /* MTU and link header */
	uint8_t relayed_by;  /* that worker */
	struct rte_ring *relay;
	struct rte_mempool *pool;
	struct capture *capture; /* NULL: not here */
	int64_t capture_phone;
	struct trace_tap tap; /* of the herd's station; control thread writes */
	struct frame_rules rules;
	struct neighbours neighbours;
	/* The datagram that the herd or a registrar is filling, at most one. */
	struct rte_mbuf *open;
	const struct frame_path *open_path;
	struct herd_envelope envelope; /* of the herd's station; the other's says HERD_SUM_OPEN */
	uint32_t open_phone;
	uint8_t open_proxy; /* enum proxy, on the herd's station */
	unsigned waiting;
	struct rte_mbuf *batch[STATION_BURST];
};

/* What the control thread may ask of a worker. */
enum order_kind { ORDER_COMMAND, ORDER_FAULTS, ORDER_FORGET, ORDER_PROXY, ORDER_ANNOUNCE };

struct order {
	uint8_t kind; /* enum order_kind */
	uint8_t proxy;
	uint8_t herd; /* PROXY */
	uint16_t port;
	struct address address;
	struct herd_command command; /* ANNOUNCE: first and count */
	struct registrar_faults faults;
};

struct mailbox {
	_Atomic uint32_t put;   /* control thread writes */
	_Atomic uint32_t taken; /* worker writes */
	uint32_t mask;          /* of the orders that can wait, a power of two less one */
	struct order *order;    /* control thread writes those between put and taken + N */
};

/* Something the control thread wants to know of a worker. What belongs to it is the worker's while
 * asked != answered, and the control thread's while they are equal. */
struct question {
	_Atomic uint32_t asked;    /* control thread writes */
	_Atomic uint32_t answered; /* worker writes */
};

/* One worker's part of a snapshot; the worker writes it while it is asked. */
struct slice_report {
	struct herd_counters herd;
	struct herd_population population;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES];
	struct series series;
	struct registrar_counters registrar[PROXIES];
	uint32_t registered_at[PROXIES];
};

struct report {
	struct slice_report *slice; /* [herds] */
	struct wire_counters wire;
	struct wire_worker_state state;
	uint64_t now_us;
	bool quiet;
};

/* A look at one phone: control thread writes `phone` before it asks, the worker the rest. */
struct look {
	struct question question;
	uint32_t phone;
	bool found;
	struct herd_look answer;
};

/* The MACs of the next hops, for workers that do not ask themselves. Worker 0 writes. */
struct hop_board {
	/* By neighbours_place: MAC | generation << 48 | known << 63 */
	_Atomic uint64_t hop[NEIGHBOUR_PROXIES_MAX];
};

/* A worker's part of one herd, and the registrars that serve it. */
struct slice {
	struct worker *worker;
	unsigned index;                       /* of the herd */
	struct herd *herd;                    /* NULL: no herd here */
	struct registrar *registrar[PROXIES]; /* NULL: no registrars here */
	const struct address_plan *plan[ADDRESS_FAMILIES];
	struct wire_proxy proxy[PROXIES];
	struct frame_path path[LINK_ENDS][PROXIES]; /* by whose datagrams they are */
	uint16_t generation[PROXIES];               /* how often the proxy's address has changed */
};

struct worker {
	unsigned index, workers, lcore; /* registrars apart have the index of their herd's worker */
	struct rte_mempool *pool;
	uint64_t owner_factor; /* to find index % workers without division */
	const struct clock *clock;
	struct hop_board *board;
	struct station *herd_station, *registrar_station; /* into station[], or NULL */
	struct station station[LINK_ENDS];
	struct announcer announcer; /* of worker 0, where addresses come and go */
	uint64_t registrar_next_us;
	struct rte_ring *redirect_to[WIRE_WORKERS_MAX], *redirect_from[WIRE_WORKERS_MAX];
	struct rte_ring *relay_from[WIRE_WORKERS_MAX]; /* of workers without a queue */
	bool relays;                                   /* any relay_from is there */
	struct wire_counters counters;
	uint8_t *discard;   /* datagrams to nowhere are written here */
	bool alone;         /* both ends of the link are here: nothing comes unasked */
	bool rests_shortly; /* the device's queue is short: never sleep long */
	bool crowded;       /* somebody else needs this CPU */
	bool has_device;    /* frames come from a device, */
	int device_fd;      /* which can be waited for here; -1: it has to be looked at */
	uint64_t activity;  /* grows with everything that is not polling in vain */
	uint64_t idle_since_us, rounds, busy_tsc, window_tsc;
	uint64_t away_us;                       /* others had the CPU meanwhile, of the window */
	long switches;                          /* to another thread, as of the last look */
	uint64_t shared_until_us;               /* the CPU counts as shared with others */
	struct bell bell;                       /* wakes us */
	struct bell *bell_of[WIRE_WORKERS_MAX]; /* wakes the others, */
	uint32_t to_wake;                       /* one bit for each that we left something for */
	uint64_t registrar_tsc;                 /* the part of busy_tsc at the registrars' end */
	float busy_ratio, registrar_ratio;
	struct mailbox mailbox;
	atomic_bool *stop; /* control thread writes */
	struct question report_question;
	struct look look;
	unsigned told;     /* herds that have taken the command at hand */
	unsigned turn;     /* the herd that is advanced first */
	unsigned reported; /* herds that are in the report being made */
	struct report report;
	const struct roster *roster;
	unsigned herds;
	struct slice slice[WIRE_HERDS_MAX];
};

/* --- station.c --- */

/* Take a burst from the port and from other workers, and deliver it. Returns the frames taken. */
unsigned station_receive(struct worker *worker, struct station *station, uint64_t now_us);
/* Frames that another worker received for us. */
unsigned station_receive_redirected(struct worker *worker, uint64_t now_us);
/* Send what waits, the datagram being filled included. */
void station_flush(struct worker *worker, struct station *station);
/* Ask for next hops that are due. */
void station_ask(struct worker *worker, struct station *station, uint64_t now_us);
/* Tell the link of addresses that have come here, as many as are due. */
void station_announce(struct worker *worker, struct station *station, uint64_t now_us);
/* Frames of workers that have no queue. */
void station_relay(struct worker *worker, struct station *station);

/* herd_output.buffer and registrar_output.buffer; context is the slice. */
uint8_t *station_herd_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n);
uint8_t *station_primary_buffer(void *context, const struct endpoint *to, uint16_t n);
uint8_t *station_redundant_buffer(void *context, const struct endpoint *to, uint16_t n);

/* --- worker.c --- */

/* The loop; argument is the worker. Runs until *stop. */
int worker_run(void *argument);
/* Fill worker->report; by the worker, or by the control thread while no worker runs. */
void worker_report(struct worker *worker, uint64_t now_us);
/* Worker 0: tell the others (and the control thread) what is known of the next hops. */
void worker_publish_hops(struct worker *worker);

/* index % workers by two multiplications (Lemire, Kaser, Kurz 2019); exact for 32 bits. */
static inline uint64_t worker_owner_factor(unsigned workers)
{
	return UINT64_MAX / workers + 1;
}

static inline unsigned worker_owner(const struct worker *worker, uint32_t index)
{
	const uint64_t fraction = worker->owner_factor * index;
	return (unsigned)(((unsigned __int128)fraction * worker->workers) >> 64);
}

#endif
