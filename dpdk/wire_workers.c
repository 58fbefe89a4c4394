/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker is made of: its stations, its part of every herd with the registrars that serve it, its
 * mailbox, and the rings between workers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "failure.h"
#include "wire_internal.h"

static void set_up_station(struct wire *wire, struct worker *worker, unsigned end, unsigned role)
{
	const struct wire_config *config = &wire->config;
	const struct link_port *port = &wire->link.port[end];
	struct station *station = &worker->station[end];
	struct neighbours *neighbours = &station->neighbours;
	station->port = port->id;
	station->queue = (uint16_t)worker->index;
	station->has_queue = worker->index < port->queues;
	station->sends_checksum = port->sends_checksum;
	/* A capture is to show what a link would carry. */
	station->flawless = config->link.kind == WIRE_MEMORY && config->capture.path == NULL;
	station->frame_max = (uint16_t)(wire->link.mtu + frame_link_length(config->vlan));
	station->pool = worker->pool;
	station->capture_phone = config->capture.phone;
	station->rules = (struct frame_rules){
		.vlan = config->vlan, .partial_allowed = port->partial_allowed};
	memcpy(neighbours->mac, port->mac, FRAME_MAC);
	neighbours->vlan = config->vlan;
	neighbours->here = role == WIRE_HERD && config->herd.mirror ? config->herd.mirror->here
								    : NULL;
	neighbours->roster = role == WIRE_HERD ? &wire->roster : NULL;
	for (int f = 0; f < ADDRESS_FAMILIES; f++) {
		neighbours->has_gateway[f] = config->has_gateway[f];
		neighbours->gateway[f] = config->gateway[f];
	}
	for (unsigned p = 0; p < wire->herds * PROXIES; p++) {
		const struct wire_proxy *proxy = &wire->herd[p / PROXIES].proxy[p % PROXIES];
		if (proxy->known)
			neighbours_set_proxy(neighbours, p, &proxy->address, 0);
	}
}

/* The herd's first phone that the worker owns; it owns each so many after it. */
static uint32_t first_owned(const struct worker *worker, uint32_t begin)
{
	const unsigned passed = begin % worker->workers;
	return begin + (worker->index + worker->workers - passed) % worker->workers;
}

static int open_herd(struct wire *wire, struct slice *slice, struct wire_error *error)
{
	const struct worker *worker = slice->worker;
	struct herd_config config = wire->herd[slice->index].config;
	config.first = first_owned(worker, config.begin);
	config.stride = worker->workers;
	config.worker = worker->index;
	const struct herd_output output = {.context = slice,
		.buffer = station_herd_buffer,
		.envelope = &worker->herd_station->envelope};
	const int result = herd_create(&slice->herd, &config, &output);
	if (!result)
		return 0;
	slice->herd = NULL;
	if (result == -ENOMEM)
		return failure(error, result, "herd: out of memory for %u phones. Use fewer phones",
			config.fleet_phones);
	return failure(error, result,
		"herd: a name in the fleet makes its messages too long. Shorten domain, user or "
		"user agent");
}

static int open_registrars(struct wire *wire, struct slice *slice, struct wire_error *error)
{
	const struct worker *worker = slice->worker;
	static uint8_t *(*const buffer[PROXIES])(void *, const struct endpoint *, uint16_t) = {
		station_primary_buffer, station_redundant_buffer};
	for (unsigned p = 0; p < PROXIES; p++) {
		struct registrar_config config = wire->herd[slice->index].registrar[p];
		config.capacity = (config.capacity + worker->workers - 1) / worker->workers;
		config.seed += worker->index;
		if (has_herd(&wire->config)) {
			config.first = first_owned(worker, wire->herd[slice->index].config.begin);
			config.stride = worker->workers;
		}
		const struct registrar_output output = {.context = slice, .buffer = buffer[p]};
		slice->registrar[p] = registrar_create(&config, &output);
		if (!slice->registrar[p])
			return failure(error, -ENOMEM, "registrar: out of memory for %u bindings",
				config.capacity);
	}
	return 0;
}

/* Room for all that can wait at once: the store's thread lets a shard be stopped before it may come
 * again, so that each has at most one order of a kind under way. */
static int open_mailbox(struct wire *wire, struct worker *worker, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	const uint32_t shards = has_herd(config) && config->herd.mirror
					? config->herd.mirror->shards
					: 0;
	const uint32_t orders = rte_align32pow2(WORKER_ORDERS + WORKER_ORDERS_PER_SHARD * shards);
	worker->mailbox.mask = orders - 1;
	worker->mailbox.order = calloc(orders, sizeof(struct order));
	if (!worker->mailbox.order)
		return failure(error, -ENOMEM, "worker %u: out of memory", worker->index);
	if (worker->index || !announces(config))
		return 0;
	if (announcer_open(&worker->announcer, WORKER_ORDERS + shards, config->herd.fleet_phones))
		return failure(error, -ENOMEM, "worker %u: out of memory", worker->index);
	return 0;
}

/* What a worker drives and what serves it, and room to report it. */
static int open_slices(
	struct wire *wire, struct worker *worker, unsigned index, struct wire_error *error)
{
	int result = 0;
	worker->report.slice = calloc(wire->herds, sizeof(struct slice_report));
	wire->last[index].slice = calloc(wire->herds, sizeof(struct slice_report));
	if (!worker->report.slice || !wire->last[index].slice)
		return failure(error, -ENOMEM, "worker %u: out of memory", index);
	worker->herds = wire->herds;
	for (unsigned h = 0; h < wire->herds && !result; h++) {
		struct slice *slice = &worker->slice[h];
		herd_histograms_reset(&worker->report.slice[h].histograms);
		slice->worker = worker;
		slice->index = h;
		memcpy(slice->plan, wire->herd[h].config.plan, sizeof(slice->plan));
		memcpy(slice->proxy, wire->herd[h].proxy, sizeof(slice->proxy));
		if (worker->herd_station)
			result = open_herd(wire, slice, error);
		if (!result && worker->registrar_station)
			result = open_registrars(wire, slice, error);
	}
	return result;
}

static void open_stations(struct wire *wire, struct worker *worker, unsigned index)
{
	const struct wire_config *config = &wire->config;
	if (has_herd(config) && index < config->workers) {
		worker->herd_station = &worker->station[LINK_NEAR];
		set_up_station(wire, worker, LINK_NEAR, WIRE_HERD);
	}
	if (has_registrars(config) && (!config->apart || index >= config->workers)) {
		const unsigned end = has_herd(config) ? LINK_FAR : LINK_NEAR;
		worker->registrar_station = &worker->station[end];
		set_up_station(wire, worker, end, WIRE_REGISTRARS);
	}
}

int wire_open_worker(struct wire *wire, unsigned index, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	struct worker *worker = aligned_alloc(
		RTE_CACHE_LINE_SIZE, RTE_ALIGN(sizeof(*worker), RTE_CACHE_LINE_SIZE));
	if (!worker)
		return failure(error, -ENOMEM, "worker %u: out of memory", index);
	memset(worker, 0, sizeof(*worker));
	wire->worker[index] = worker;
	worker->index = index % config->workers;
	worker->pool = wire->pool[index];
	worker->workers = config->workers;
	worker->owner_factor = worker_owner_factor(config->workers);
	worker->lcore = wire->eal.lcore[index];
	worker->clock = &wire->clock;
	worker->board = &wire->board;
	worker->stop = &wire->stop;
	worker->rests_shortly = config->link.kind == WIRE_PCI || config->apart;
	worker->alone = config->link.kind == WIRE_MEMORY && !config->apart;
	worker->has_device = !worker->alone && worker->index < wire->link.port[LINK_NEAR].queues;
	worker->device_fd = -1;
	worker->crowded = wire->eal.crowded;
	worker->roster = &wire->roster;
	worker->discard = malloc(UINT16_MAX);
	if (bell_open(&worker->bell) || !worker->discard)
		return failure(error, -ENOMEM, "worker %u: out of memory", index);
	const int result = open_mailbox(wire, worker, error);
	if (result)
		return result;
	open_stations(wire, worker, index);
	return open_slices(wire, worker, index, error);
}

/* Near the one who reads. */
static struct rte_ring *open_path(
	const struct wire *wire, const char *kind, unsigned from, unsigned to)
{
	char name[32];
	snprintf(name, sizeof(name), "%s-%u-%u", kind, from, to);
	return link_ring(name, WORKER_REDIRECTS, wire->link.socket[to]);
}

/* Between each two workers a ring each way for redirected frames; from workers without a queue one
 * to a worker that has one. */
int wire_join_workers(struct wire *wire, struct wire_error *error)
{
	const unsigned workers = wire->config.workers, queues = wire->link.port[LINK_NEAR].queues;
	for (unsigned from = 0; from < workers; from++) {
		struct worker *worker = wire->worker[from];
		for (unsigned to = 0; to < workers; to++) {
			worker->bell_of[to] = &wire->worker[to]->bell;
			if (to == from)
				continue;
			struct rte_ring *ring = open_path(wire, "redirect", from, to);
			if (!ring)
				return failure(error, -ENOMEM, "workers: no memory for rings");
			worker->redirect_to[to] = wire->worker[to]->redirect_from[from] = ring;
		}
		if (from < queues)
			continue;
		struct worker *sender = wire->worker[from % queues];
		worker->station[LINK_NEAR].relay = open_path(wire, "relay", from, sender->index);
		if (!worker->station[LINK_NEAR].relay)
			return failure(error, -ENOMEM, "workers: no memory for rings");
		worker->station[LINK_NEAR].relayed_by = (uint8_t)sender->index;
		sender->relay_from[from] = worker->station[LINK_NEAR].relay;
		sender->relays = true;
	}
	return 0;
}

void wire_close_worker(struct worker *worker)
{
	if (!worker)
		return;
	for (unsigned h = 0; h < worker->herds; h++) {
		herd_free(worker->slice[h].herd);
		for (unsigned p = 0; p < PROXIES; p++)
			registrar_free(worker->slice[h].registrar[p]);
	}
	free(worker->report.slice);
	for (unsigned end = 0; end < LINK_ENDS; end++)
		free(atomic_load_explicit(&worker->station[end].tap.ring, memory_order_relaxed));
	for (unsigned to = 0; to < WIRE_WORKERS_MAX; to++)
		rte_ring_free(worker->redirect_to[to]);
	rte_ring_free(worker->station[LINK_NEAR].relay);
	announcer_close(&worker->announcer);
	bell_close(&worker->bell);
	free(worker->mailbox.order);
	free(worker->discard);
	free(worker);
}
