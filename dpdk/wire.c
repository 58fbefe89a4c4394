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
		result = open_there(wire, wire_open_worker, error);
	if (!result)
		result = wire_join_workers(wire, error);
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

/* --- What it is --- */

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
		wire_close_worker(wire->worker[w]);
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
