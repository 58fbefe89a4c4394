/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "failure.h"
#include "memory.h"
#include "phone.h"
#include "pool.h"
#include "telemetry.h"
#include "wire_internal.h"

#define FRAME_CACHE 256
#define MEMORY_BASE_MB 48

/* --- Opening --- */

static int check_proxy(const struct wire_config *config, const struct wire_herd *herd, enum proxy p,
	struct wire_error *error)
{
	const struct wire_proxy *proxy = &herd->proxy[p];
	/* A pair may lack its redundant half: redundancy is off, or one registrar is enough. */
	if (has_registrars(config) && !proxy->known && p == PROXY_PRIMARY)
		return failure(error, -EINVAL,
			"%s proxy: a built-in registrar needs a numeric address", proxy_name(p));
	if (!has_herd(config) || !proxy->known)
		return 0;
	if (proxy->address.family != herd->config.proxy[p].address.family)
		return failure(error, -EAFNOSUPPORT,
			"%s proxy: its address is not of the family that the herd was set up with",
			proxy_name(p));
	if (!herd->config.plan[proxy->address.family])
		return failure(error, -EAFNOSUPPORT,
			"%s proxy: its address is %s, but no phone has such an address. Add a "
			"source: range "
			"of that family",
			proxy_name(p), proxy->address.family == ADDRESS_IPV4 ? "IPv4" : "IPv6");
	return 0;
}

static int check_config(const struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	const bool memory = config->link.kind == WIRE_MEMORY;
	if (!config->workers || config->workers > WIRE_WORKERS_MAX)
		return failure(error, -EINVAL, "workers %u: out of range. Use 1 to %d",
			config->workers, WIRE_WORKERS_MAX);
	if (config->apart && (!memory || all_workers(config) > WIRE_WORKERS_MAX))
		return failure(error, -EINVAL,
			"registrars apart: on the memory link only, and with at most %d workers",
			WIRE_WORKERS_MAX / 2);
	if (memory != (has_herd(config) && has_registrars(config)))
		return failure(error, -EINVAL,
			memory ? "link memory: it joins a herd to registrars, both have to be there"
			       : "link: herd and registrars in one process meet on the memory link "
				 "only");
	if (!has_herd(config) && config->workers != 1)
		return failure(error, -EINVAL,
			"workers %u: registrars alone run on one worker. Use 1", config->workers);
	if (has_herd(config) && config->herd.fleet_phones < config->workers)
		return failure(error, -EINVAL, "workers %u: more than phones (%u). Use fewer",
			config->workers, config->herd.fleet_phones);
	if (config->vlan > 4094)
		return failure(error, -EINVAL, "vlan %u: out of range. Use 1 to 4094, 0 for none",
			config->vlan);
	int result = 0;
	for (unsigned i = 0; i < wire->herds * PROXIES && !result; i++)
		result = check_proxy(
			config, &wire->herd[i / PROXIES], (enum proxy)(i % PROXIES), error);
	return result;
}

/* The one herd of a config that lists none. */
static struct wire_herd only_herd(const struct wire_config *config)
{
	struct wire_herd herd = {.config = config->herd};
	memcpy(herd.proxy, config->proxy, sizeof(herd.proxy));
	memcpy(herd.registrar, config->registrar, sizeof(herd.registrar));
	return herd;
}

static int take_herds(struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	if (config->herd_count > WIRE_HERDS_MAX)
		return failure(error, -EINVAL, "herds: %u are too many. Use %d at most",
			config->herd_count, WIRE_HERDS_MAX);
	wire->herds = config->herds ? config->herd_count : 1;
	wire->herd = calloc(wire->herds, sizeof(*wire->herd));
	if (!wire->herd)
		return failure(error, -ENOMEM, "wire: out of memory");
	for (unsigned h = 0; h < wire->herds; h++) {
		struct wire_herd *herd = &wire->herd[h];
		*herd = config->herds ? config->herds[h] : only_herd(config);
		herd->config.fleet_phones = config->herd.fleet_phones;
		herd->config.end = herd_config_end(&herd->config);
		herd->config.seed = config->herd.seed;
		herd->config.secret = config->herd.secret;
		herd->config.mirror = config->herd.mirror;
		struct roster_herd entry = {herd->config.begin, herd->config.end, {NULL}};
		memcpy(entry.plan, herd->config.plan, sizeof(entry.plan));
		roster_add(&wire->roster, &entry);
	}
	wire->config.herds = NULL; /* they are the caller's */
	return 0;
}

static uint32_t phones_per_worker(const struct wire_config *config)
{
	const uint32_t phones = has_herd(config) ? config->herd.fleet_phones
						 : config->registrar[PROXY_PRIMARY].capacity;
	return (phones - 1) / config->workers + 1;
}

static struct pool_shape pool_shape(const struct wire *wire, unsigned worker)
{
	struct pool_need need = {.phones = phones_per_worker(&wire->config),
		.workers = wire->config.workers,
		.redirect = WORKER_REDIRECTS};
	link_need(&wire->link, &need);
	return (struct pool_shape){.frames = pool_frames(&need, FRAME_CACHE),
		.room = link_buffer_size(&wire->link),
		.cache = FRAME_CACHE,
		.dma = wire->config.link.kind == WIRE_PCI,
		.ours = !wire->link.huge_pages,
		.socket = wire->link.socket[worker]};
}

static unsigned memory_mb(const struct wire *wire)
{
	const struct pool_shape shape = pool_shape(wire, 0);
	uint64_t bytes = pool_memory(&shape) * all_workers(&wire->config);
	if (wire->config.capture.path)
		bytes += capture_memory((uint16_t)(wire->link.mtu + FRAME_LINK_MAX));
	return MEMORY_BASE_MB + (unsigned)(bytes >> 20);
}

static int open_eal(struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	const struct eal_wish wish = {.workers = all_workers(config),
		.memory_mb = memory_mb(wire),
		.pci = config->link.kind == WIRE_PCI ? config->link.device : NULL,
		.argc = config->eal_argc,
		.argv = config->eal_argv,
		.verbose = config->verbose};
	const int result = eal_open(&wire->eal, &wish, error);
	wire->eal_is_open = !result;
	wire->link.huge_pages = wire->eal.huge_pages;
	for (unsigned w = 0; w < all_workers(config) && !result; w++)
		wire->link.socket[w] = (int)rte_lcore_to_socket_id(wire->eal.lcore[w]);
	if (result || !wire->eal.telemetry)
		return result;
	const int told = telemetry_open();
	return told ? failure(error, told,
			      "telemetry: DPDK does not take our commands: %s. Leave "
			      "the EAL argument --telemetry out",
			      strerror(-told))
		    : 0;
}

/* Something of one worker's that its own thread is to open, so that it is the first to touch the memory. */
struct errand {
	struct wire *wire;
	unsigned index;
	int (*open)(struct wire *wire, unsigned index, struct wire_error *error);
	struct wire_error error;
};

static int run_errand(void *argument)
{
	struct errand *errand = argument;
	return errand->open(errand->wire, errand->index, &errand->error);
}

/* All workers at once; what the first one of those that fail says is the error. */
static int open_there(struct wire *wire,
	int (*open)(struct wire *wire, unsigned index, struct wire_error *error),
	struct wire_error *error)
{
	struct errand errand[WIRE_WORKERS_MAX];
	const unsigned workers = all_workers(&wire->config);
	int result = 0;
	for (unsigned w = 0; w < workers; w++) {
		errand[w] = (struct errand){.wire = wire, .index = w, .open = open};
		if (rte_eal_remote_launch(run_errand, &errand[w], wire->eal.lcore[w]))
			result = failure(error, -EBUSY, "worker %u: its lcore %u is busy", w,
				wire->eal.lcore[w]);
	}
	for (unsigned w = 0; w < workers; w++) {
		const int opened = rte_eal_wait_lcore(wire->eal.lcore[w]);
		if (!opened || result)
			continue;
		*error = errand[w].error;
		result = opened;
	}
	return result;
}

static int open_pool(struct wire *wire, unsigned index, struct wire_error *error)
{
	const struct pool_shape shape = pool_shape(wire, index);
	char name[32];
	snprintf(name, sizeof(name), "frames-%u", index);
	wire->pool[index] = pool_open(name, &shape);
	if (wire->pool[index])
		return 0;
	return failure(error, -ENOMEM,
		"buffers: no memory for %u frames of worker %u. Give DPDK more: EAL argument -m %u",
		shape.frames, index, 2 * memory_mb(wire));
}

/* --- Workers --- */

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

static int open_herd(struct wire *wire, struct slice *slice, struct wire_error *error)
{
	const struct worker *worker = slice->worker;
	struct herd_config config = wire->herd[slice->index].config;
	/* The herd's first phone that the worker owns. */
	const unsigned passed = config.begin % worker->workers;
	config.first = config.begin + (worker->index + worker->workers - passed) % worker->workers;
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
		const struct registrar_output output = {.context = slice, .buffer = buffer[p]};
		slice->registrar[p] = registrar_create(&config, &output);
		if (!slice->registrar[p])
			return failure(error, -ENOMEM, "registrar: out of memory for %u bindings",
				config.capacity);
	}
	return 0;
}

/* Whether addresses come and go, and somebody on the link wants to know. */
static bool announces(const struct wire_config *config)
{
	return has_herd(config) && config->herd.mirror && config->link.kind != WIRE_MEMORY;
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

static int open_worker(struct wire *wire, unsigned index, struct wire_error *error)
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
static int join_workers(struct wire *wire, struct wire_error *error)
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

/* Phones are placed by how the link steers: it is up before there are workers, and frames wait. */
static int open_link(struct wire *wire, struct wire_error *error)
{
	wire_prepare_steering(wire);
	int result = link_open(&wire->link, wire->pool, error);
	if (!result)
		result = link_start(&wire->link, error);
	return result ? result : wire_open_steering(wire, error);
}

static int open_all(struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	int result = take_herds(wire, error);
	if (!result)
		result = check_config(wire, error);
	if (!result)
		result = link_check(&wire->link, config, error);
	if (!result)
		result = open_eal(wire, error);
	if (!result)
		result = open_there(wire, open_pool, error);
	if (!result)
		result = open_link(wire, error);
	if (!result)
		result = open_there(wire, open_worker, error);
	if (!result)
		result = join_workers(wire, error);
	for (unsigned w = 0; w < config->workers && !result; w++)
		if (wire->worker[w]->has_device)
			wire->worker[w]->device_fd = wire->link.wait_fd[w];
	if (!result)
		wire_describe(wire);
	return result;
}

int wire_open(struct wire **out, const struct wire_config *config, struct wire_error *error)
{
	static bool taken; /* DPDK can be started once in a process */
	if (taken)
		return failure(error, -EBUSY, "wire: only one per process");
	struct wire *wire = calloc(1, sizeof(*wire));
	if (!wire)
		return failure(error, -ENOMEM, "wire: out of memory");
	wire->config = *config;
	trace_book_open(&wire->traces);
	wire->last = calloc(all_workers(config), sizeof(*wire->last));
	const int result = wire->last ? open_all(wire, error)
				      : failure(error, -ENOMEM, "wire: out of memory");
	taken = wire->eal_is_open;
	if (result)
		wire_close(wire);
	else
		*out = wire;
	return result;
}

/* The tap driver has real-time signals sent to the process as frames arrive. They may wake workers,
 * which DPDK has made before, but no system call of the control thread or of threads it makes. */
static void keep_signals_from_control(void)
{
	sigset_t set;
	sigemptyset(&set);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		sigaddset(&set, signal);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static uint64_t unix_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int wire_start(struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	if (config->link.kind == WIRE_TAP)
		keep_signals_from_control();
	clock_begin(&wire->clock);
	wire->unix_start_us = unix_now_us() - clock_us(&wire->clock);
	if (config->capture.path) {
		const int result = capture_open(&wire->capture, &config->capture,
			(uint16_t)(wire->link.mtu + FRAME_LINK_MAX), wire->unix_start_us, error);
		if (result)
			return result;
	}
	if (has_herd(config))
		worker_publish_hops(wire->worker[0]);
	for (unsigned w = 0; w < all_workers(config); w++) {
		/* With both ends in one process, one copy of each frame is enough. */
		wire->worker[w]->station[LINK_NEAR].capture = wire->capture;
		if (rte_eal_remote_launch(worker_run, wire->worker[w], wire->worker[w]->lcore))
			return failure(error, -EBUSY, "worker %u: its lcore %u is busy", w,
				wire->worker[w]->lcore);
		wire->started = true;
	}
	populate_start(&wire->populate);
	return 0;
}

/* --- While it runs --- */

static bool hop_known(const struct wire *wire, unsigned place)
{
	const uint64_t word = atomic_load_explicit(&wire->board.hop[place], memory_order_relaxed);
	return word >> 63 && ((word >> 48) & 0x7fff) == (wire->generation[place] & 0x7fff);
}

static int say_missing(const struct wire *wire, unsigned place, struct wire_error *error)
{
	const unsigned p = place % PROXIES;
	const struct address *proxy = &wire->herd[place / PROXIES].proxy[p].address;
	const bool gateway = wire->config.has_gateway[proxy->family];
	const struct address *hop = gateway ? &wire->config.gateway[proxy->family] : proxy;
	char text[ADDRESS_TEXT_MAX];
	address_format(hop, text);
	return failure(error, -ETIMEDOUT, "%s proxy: %s %s does not answer %s. %s",
		proxy_name((enum proxy)p), gateway ? "the gateway" : "its address", text,
		hop->family == ADDRESS_IPV4 ? "ARP" : "neighbour solicitations",
		gateway ? "Check the link, gateway: and vlan:"
			: "Is it on this link? If not, set gateway:");
}

int wire_wait_neighbours(struct wire *wire, uint32_t timeout_ms, struct wire_error *error)
{
	const uint64_t end_us = clock_us(&wire->clock) + (uint64_t)timeout_ms * 1000;
	uint32_t pause_us = 0;
	for (unsigned p = 0; p < wire->herds * PROXIES && has_herd(&wire->config); p++)
		while (wire->herd[p / PROXIES].proxy[p % PROXIES].known && !hop_known(wire, p)) {
			if (clock_us(&wire->clock) >= end_us)
				return say_missing(wire, p, error);
			wire_pause(&pause_us);
		}
	return 0;
}

/* Before the workers run, orders wait for them, as many as the mailbox holds. */
static void post(struct wire *wire, struct worker *worker, const struct order *order)
{
	struct mailbox *mailbox = &worker->mailbox;
	const uint32_t put = atomic_load_explicit(&mailbox->put, memory_order_relaxed);
	uint32_t pause_us = 0;
	while (put - atomic_load_explicit(&mailbox->taken, memory_order_acquire) > mailbox->mask) {
		if (!wire->started)
			return;
		wire_pause(&pause_us);
	}
	mailbox->order[put & mailbox->mask] = *order;
	atomic_store_explicit(&mailbox->put, put + 1, memory_order_release);
	bell_ring(&worker->bell);
}

static void post_all(struct wire *wire, const struct order *order)
{
	for (unsigned w = 0; w < all_workers(&wire->config); w++)
		post(wire, wire->worker[w], order);
}

void wire_command(struct wire *wire, const struct herd_command *command)
{
	const struct order order = {.kind = ORDER_COMMAND, .command = *command};
	post_all(wire, &order);
}

void wire_set_faults(struct wire *wire, enum proxy registrar, const struct registrar_faults *faults)
{
	const struct order order = {
		.kind = ORDER_FAULTS, .proxy = (uint8_t)registrar, .faults = *faults};
	post_all(wire, &order);
}

void wire_forget(struct wire *wire, enum proxy registrar)
{
	const struct order order = {.kind = ORDER_FORGET, .proxy = (uint8_t)registrar};
	post_all(wire, &order);
}

int wire_set_proxy(struct wire *wire, unsigned herd, enum proxy proxy,
	const struct address *address, uint16_t port)
{
	struct wire_herd *of = &wire->herd[herd];
	if (has_herd(&wire->config) && (address->family != of->config.proxy[proxy].address.family ||
					       !of->config.plan[address->family]))
		return -EAFNOSUPPORT;
	const struct order order = {.kind = ORDER_PROXY,
		.proxy = (uint8_t)proxy,
		.herd = (uint8_t)herd,
		.port = port,
		.address = *address};
	post_all(wire, &order);
	/* Workers keep copies of their own; this one is the control thread's. */
	of->proxy[proxy] = (struct wire_proxy){*address, port, true};
	wire->generation[neighbours_place(herd, proxy)]++;
	return 0;
}

void wire_announce(struct wire *wire, uint32_t first, uint32_t count)
{
	const struct order order = {
		.kind = ORDER_ANNOUNCE, .command = {.first = first, .count = count}};
	if (announces(&wire->config))
		post(wire, wire->worker[0], &order);
}

uint64_t wire_now_us(const struct wire *wire)
{
	return clock_us(&wire->clock);
}

const char *wire_description(const struct wire *wire)
{
	return wire->description;
}

const char *wire_pages(const struct wire *wire)
{
	if ((uint64_t)phones_per_worker(&wire->config) * sizeof(struct phone) < MEMORY_HUGE_PAGE)
		return NULL;
	if (!eal_has_transparent_pages())
		return wire->eal.huge_pages
			       ? "phones on small pages (the kernel's transparent_hugepage/enabled "
				 "says never), frames on reserved huge pages"
			       : "small pages (the kernel's transparent_hugepage/enabled says "
				 "never)";
	return wire->eal.huge_pages
		       ? "phones on 2 MiB pages (transparent), frames on reserved huge pages"
		       : "2 MiB pages (transparent)";
}

/* --- Closing --- */

static void close_worker(struct worker *worker)
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

/* Not by spinning: with a real-time priority that would keep a worker on the same CPU from ever ending. */
static void wait_for_worker(unsigned lcore)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	while (rte_eal_get_lcore_state(lcore) == RUNNING)
		nanosleep(&pause, NULL);
	rte_eal_wait_lcore(lcore);
}

void wire_close(struct wire *wire)
{
	if (!wire)
		return;
	atomic_store_explicit(&wire->stop, true, memory_order_release);
	for (unsigned w = 0; w < WIRE_WORKERS_MAX && wire->started; w++)
		if (wire->worker[w])
			bell_ring(&wire->worker[w]->bell);
	for (unsigned w = 0; w < WIRE_WORKERS_MAX && wire->started; w++)
		if (wire->worker[w])
			wait_for_worker(wire->worker[w]->lcore);
	populate_stop(&wire->populate);
	capture_close(wire->capture);
	link_close(&wire->link);
	for (unsigned w = 0; w < WIRE_WORKERS_MAX; w++)
		close_worker(wire->worker[w]);
	for (unsigned w = 0; w < WIRE_WORKERS_MAX; w++)
		rte_mempool_free(wire->pool[w]);
	telemetry_close();
	if (wire->eal_is_open)
		eal_close();
	trace_book_close(&wire->traces);
	free(wire->order);
	for (unsigned w = 0; w < all_workers(&wire->config) && wire->last; w++)
		free(wire->last[w].slice);
	free(wire->last);
	free(wire->herd);
	free(wire);
}
