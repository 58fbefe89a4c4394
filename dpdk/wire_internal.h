/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a wire, shared by its files: wire.c (opening, closing), wire_workers.c (what a worker is
 * made of), wire_order.c (what they are told), wire_ask.c (what they are asked: snapshots and looks),
 * wire_steering.c and wire_trace.c (single phones' messages). Nobody else includes this. All of it belongs
 * to the control thread, but for the fields that say otherwise.
 */
#ifndef SIPHERD_WIRE_INTERNAL_H
#define SIPHERD_WIRE_INTERNAL_H

#include <time.h>

#include "eal.h"
#include "populate.h"
#include "steering_program.h"
#include "worker.h"

struct wire {
	struct wire_config config;
	/* What belongs to each herd; of config these are not read any more. */
	struct wire_herd *herd;
	unsigned herds;
	struct roster roster; /* workers read */
	struct eal eal;
	bool eal_is_open, started;
	struct link link;
	struct sock_filter steering_code[STEERING_PROGRAM_MAX];
	struct sock_fprog steering_program;
	struct address_plan
		plan[ADDRESS_FAMILIES]; /* the herd's, with the order that steering wants */
	struct port_order *order;       /* [ADDRESS_FAMILIES]; NULL: phones keep their ports */
	struct clock clock;
	struct hop_board board; /* worker 0 writes once workers run */
	atomic_bool stop;
	struct capture *capture;
	struct rte_mempool *pool[WIRE_WORKERS_MAX];
	struct worker *worker[WIRE_WORKERS_MAX];
	struct populate populate;
	struct trace_book traces;
	uint64_t unix_start_us; /* the wall clock at the herd's time 0 */
	struct report *last;    /* of each worker: what it reported last */
	struct series series;   /* of all workers together */
	/* The control thread's counts of address changes. */
	uint16_t generation[NEIGHBOUR_PROXIES_MAX];
	struct wire_steering_state steering;
	struct wire_counters steering_seen; /* those of workers when steering was looked at last */
	char description[640];
};

/* wire_workers.c: on the worker's own lcore, so that its memory is near there; then, with all of them there,
 * the rings between them; and the end of one, or of none. */
int wire_open_worker(struct wire *wire, unsigned index, struct wire_error *error);
int wire_join_workers(struct wire *wire, struct wire_error *error);
void wire_close_worker(struct worker *worker);

/* Before the link is opened: have it steer, where that has to be said so early. */
void wire_prepare_steering(struct wire *wire);
/* With the link up: choose how frames find their worker. */
int wire_open_steering(struct wire *wire, struct wire_error *error);
/* Do frames arrive where they were said to? */
void wire_watch_steering(struct wire *wire, const struct wire_counters *now);
/* Put the link and its steering into words. */
void wire_describe(struct wire *wire);

static inline bool has_herd(const struct wire_config *config)
{
	return config->roles & WIRE_HERD;
}

static inline bool has_registrars(const struct wire_config *config)
{
	return config->roles & WIRE_REGISTRARS;
}

/* Whether addresses come and go, and somebody on the link wants to know. */
static inline bool announces(const struct wire_config *config)
{
	return has_herd(config) && config->herd.mirror && config->link.kind != WIRE_MEMORY;
}

/* Those with a herd come first, then the ones of registrars that live apart. */
static inline unsigned all_workers(const struct wire_config *config)
{
	return config->apart ? 2 * config->workers : config->workers;
}

/* Between two looks at what a worker may have done meanwhile: a little longer each time. From 0. */
static inline void wire_pause(uint32_t *pause_us)
{
	*pause_us = *pause_us ? RTE_MIN(2 * *pause_us, 1000u) : 20;
	const struct timespec pause = {.tv_nsec = (long)*pause_us * 1000};
	nanosleep(&pause, NULL);
}

#endif
