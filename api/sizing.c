/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory, Redis, and how many workers and machines it takes. */
#include "sizing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "keys.h"
#include "location.h"
#include "mirror.h"
#include "pace.h"
#include "sizing_internal.h"

#define SAMPLE_LEAST 40000u /* from here on a herd grows evenly, its wheel too */
#define SAMPLE_MOST 60000u

/* What Redis 7.0 was seen to take (docs/sizing.md), key and allocator included. */
#define SLAB_BYTES_PER_PHONE 32.8
#define FEED_BYTES_MOST 8388608.0 /* of a group, as store/functions.lua trims it */

/* --- Memory --- */

/* Never called: nothing is sent before a herd is started. */
static uint8_t *no_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	(void)context, (void)phone, (void)proxy, (void)n;
	return NULL;
}

static double bytes_of(const struct herd_config *herd, uint32_t phones)
{
	const struct herd_output output = {.buffer = no_buffer};
	struct herd_config config = *herd;
	struct herd *made;
	config.fleet_phones = config.end = config.begin + phones;
	config.first = config.begin;
	config.stride = 1;
	config.mirror = NULL;
	if (herd_create(&made, &config, &output) != 0)
		return 0;
	const double bytes = (double)herd_memory(made);
	herd_free(made);
	return bytes;
}

double sizing_herd_bytes(const struct herd_config *herd, unsigned workers)
{
	const uint32_t phones = (herd_config_end(herd) - herd->begin + workers - 1) / workers;
	if (phones <= SAMPLE_MOST)
		return bytes_of(herd, phones) * workers;
	const double less = bytes_of(herd, SAMPLE_LEAST), more = bytes_of(herd, SAMPLE_MOST);
	const double each = (more - less) / (SAMPLE_MOST - SAMPLE_LEAST);
	return (more + each * (phones - SAMPLE_MOST)) * workers;
}

static double mirror_bytes(const struct sizing_case *what)
{
	const struct herd_config *herd = what->herd;
	struct mirror *mirror = NULL;
	double bytes = 0;
	if (mirror_create(&mirror, herd->fleet_phones, what->workers, NULL, true) == 0)
		bytes = (double)mirror_memory(mirror);
	mirror_free(mirror);
	return bytes;
}

static double registrar_bytes(const struct sizing_case *what)
{
	const double each = sizeof(struct location_binding) + 2 * sizeof(uint32_t);
	double bytes = 0;
	for (int p = 0; p < PROXIES && what->registrars; p++)
		bytes += what->registrar[p].capacity * each;
	return bytes;
}

/* Of this herd; the mirror is the whole fleet's. */
static void add_memory(struct sizing_memory *m, const struct sizing_case *what)
{
	m->herd += sizing_herd_bytes(what->herd, what->workers);
	m->registrars += registrar_bytes(what);
}

static void finish_memory(struct sizing_memory *m, const struct sizing_case *what)
{
	m->mirror = mirror_bytes(what);
	m->image = what->images ? (double)what->herd->fleet_phones * RECORD_SIZE : 0;
	m->per_phone = (m->herd + m->mirror) / what->herd->fleet_phones;
}

/* --- Redis --- */

/* Of a flush: the words of the call, three keys, node, token and numbers. */
static double flush_frame(const struct sizing_case *what)
{
	static const char words[] =
		"FCALL sipherd_flush 3 sipherd:{.00}:s:0000 sipherd:{.00}:l:0000 "
		"sipherd:{.00}:feed HOSTNAME-0-000000 0000000000000000 000 "
		"320000 000";
	return (double)strlen(words) + 3.0 * (double)strlen(what->fleet);
}

struct slabs {
	double shards, phones; /* and phones of one of them */
	double calls, bytes;
};

/* Records of a shard that change between two flushes, at random places: how many go with them because small
 * gaps are not worth a new run, and in how many runs. */
static double run_bytes(double dirty, double phones)
{
	const double p = fmin(1, dirty / phones);
	double clean = 0;
	for (int gap = 1; gap <= STORE_GAP_RECORDS; gap++)
		clean += gap * p * pow(1 - p, gap);
	const double runs = fmax(fmin(1, dirty), dirty * pow(1 - p, STORE_GAP_RECORDS + 1));
	return (dirty + dirty * clean) * RECORD_SIZE + runs * 6;
}

static void wave(double *calls, double *bytes, const struct sizing_case *what,
	const struct sizing_transitions *transitions)
{
	const double phones = what->herd->fleet_phones, shards = ceil(phones / SHARD_PHONES);
	const double each = phones / shards;
	const double turns = 1e6 / STORE_FLUSH_US;
	const double dirty = transitions->records / shards / turns;
	const double lines = transitions->lines / shards;
	/* "4711234 R>- switching keepalive-silence 3 1795270012343\n" and two more. */
	const double line = floor(log10(fmax(phones, 10))) + 1 + 43;
	const double busy_turns = turns * (1 - exp(-dirty));
	*calls = *bytes = 0;
	if (busy_turns <= 0)
		return;
	const double records = run_bytes(fmin(dirty * turns / busy_turns, each), each);
	const double now = lines / busy_turns;
	/* What has no room in a flush rides with the next one, which follows at once. */
	const double flushes = fmax(ceil(now / (STORE_LINES_MAX - 1)),
		ceil((records + now * line) / (STORE_CALL_BYTES - flush_frame(what))));
	*calls = shards * busy_turns * flushes;
	*bytes = shards * busy_turns * (flushes * flush_frame(what) + records + now * line);
}

static void redis(struct sizing *s, const struct sizing_case *what)
{
	struct sizing_redis *r = &s->redis;
	const double phones = s->phones, shards = ceil(phones / SHARD_PHONES);
	const double groups = fmin(shards, KEYS_GROUPS);
	const double renew_us = fmin(what->lease_ttl_ms * 1e3 / 3, STORE_RENEW_US);
	const double sweeps = shards * ceil(phones / shards / STORE_SWEEP_RECORDS) * 1e6 /
			      STORE_SWEEP_US;
	const double renewals = groups * ceil(shards / groups / STORE_RENEW_LEASES) * 1e6 /
				renew_us;
	r->bytes = phones * SLAB_BYTES_PER_PHONE;
	r->feed = groups * FEED_BYTES_MOST;
	r->calls_steady = sweeps + renewals + 1e6 / STORE_HEARTBEAT_US;
	r->bytes_steady = phones * RECORD_SIZE * 1e6 / STORE_SWEEP_US + sweeps * flush_frame(what) +
			  shards * (strlen(what->fleet) + 36.0) * 1e6 / renew_us + SIZING_HEARTBEAT;
	wave(&r->calls_over, &r->bytes_over, what, &s->over);
	wave(&r->calls_back, &r->bytes_back, what, &s->back);
}

/* --- Machines --- */

static void machines(struct sizing *s, const struct sizing_case *what)
{
	double busy = 0;
	for (int i = 0; i < SIZING_MOMENTS; i++) {
		const struct sizing_load *load = &s->load[i];
		busy = fmax(busy, load->busy);
		s->line_bits = fmax(s->line_bits,
			fmax(load->line_bits[SIZING_OUT], load->line_bits[SIZING_IN]));
	}
	s->workers = (unsigned)fmax(1, ceil(busy / SIZING_BUSY_MOST));
	const double by_workers = ceil((double)s->workers / what->cores);
	const double by_nic = ceil(s->line_bits / (what->nic_gbit * 1e9));
	s->machines = (unsigned)fmax(1, fmax(by_workers, by_nic));
	s->because = s->machines <= 1 ? NULL : by_workers >= by_nic ? "cores" : "line rate";
}

/* As if each herd's busiest second were the same. */
static void add_load(struct sizing_load *sum, const struct sizing_load *load)
{
	if (!load->known)
		return;
	if (!sum->known)
		sum->at_ms = load->at_ms;
	sum->known = true;
	sum->keepalives += load->keepalives;
	sum->registers += load->registers;
	sum->alone += load->alone;
	sum->credentials += load->credentials;
	for (int i = 0; i < SIZING_DIRECTIONS; i++) {
		sum->packets[i] += load->packets[i];
		sum->frame_bytes[i] += load->frame_bytes[i];
		sum->line_bits[i] += load->line_bits[i];
	}
	sum->busy += load->busy;
}

static void add_herd(struct sizing *sum, const struct sizing *one)
{
	for (int i = 0; i < SIZING_MOMENTS; i++)
		add_load(&sum->load[i], &one->load[i]);
	sum->phones += one->phones;
	sum->over.lines += one->over.lines;
	sum->over.records += one->over.records;
	sum->back.lines += one->back.lines;
	sum->back.records += one->back.records;
}

int sizing_compute(struct sizing *out, const struct sizing_case *what, uint32_t herds)
{
	uint32_t largest = 0;
	*out = (struct sizing){0};
	for (uint32_t h = 0; h < herds; h++) {
		struct sizing one = {.phones = sizing_phones(&what[h])};
		int status = sizing_listen(&one.talks, &what[h]);
		if (status != 0)
			return status;
		sizing_loads(&one, &what[h]);
		status = sizing_waves(&one, &what[h]);
		if (status != 0)
			return status;
		add_herd(out, &one);
		add_memory(&out->memory, &what[h]);
		if (one.phones <= largest)
			continue;
		largest = one.phones;
		out->talks = one.talks;
		out->largest = h;
	}
	finish_memory(&out->memory, what);
	if (what->store)
		redis(out, what);
	machines(out, what);
	return 0;
}
