/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line says whose record has changed, and the record says what the phone is now: so a line that was
 * lost, or one that comes late, does no harm once the records have been looked through again.
 */
#include "watch.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "history.h"

#define BATCH_US 250000      /* between batches */
#define BATCH_PHONES 2500000 /* as many times more, as the map takes longer to make */
#define TAKE 1024            /* lines at a time */
#define TICK_LINES 65536     /* in one tick; the others stay in the mirror's ring */
#define TICK_SHARDS 25       /* looked through in one tick: 250,000 records */
#define AHEAD 16             /* lines whose records are fetched before they are needed */
#define GZIP_WINDOW (MAX_WBITS + 16)

struct watch {
	struct mirror *mirror;
	struct watch_events events;
	uint64_t start_ms; /* records that are older were not written in this run */
	uint8_t *nibble;   /* behind WATCH_MAP_HEADER bytes for the map's header */
	uint32_t count[WATCH_STATES];
	uint8_t *driven, *stale; /* [shards]: by us, as of now; to be looked through again */
	uint32_t stale_shards, cursor;
	uint64_t dropped;
	uint64_t *listed; /* a bit per phone that is in changed[] */
	uint32_t changed[WATCH_DELTA_MAX], changes;
	bool too_many; /* did not fit */
	uint64_t sequence, batch_us, samples_us;
	uint32_t samples; /* that may be told now */
	struct history history;
	uint8_t *map; /* gzip; room for the worst case */
	size_t map_room, map_length;
	uint64_t map_sequence; /* of the map that is made; UINT64_MAX: none */
};

static const char *const names[WATCH_STATES] = {
	[WATCH_ELSEWHERE] = "elsewhere",
	[WATCH_OFF] = "off",
	[WATCH_TRYING_PRIMARY] = "trying-primary",
	[WATCH_TRYING_REDUNDANT] = "trying-redundant",
	[WATCH_REGISTERED_PRIMARY] = "registered-primary",
	[WATCH_REGISTERED_REDUNDANT] = "registered-redundant",
	[WATCH_FAILING_OVER] = "failing-over",
	[WATCH_FAILING_BACK] = "failing-back",
};

const char *watch_state_name(enum watch_state state)
{
	return (unsigned)state < WATCH_STATES ? names[state] : "?";
}

enum watch_state watch_state_of(const struct record_view *view, bool driven)
{
	const bool redundant = view->last_tried == 1 + PROXY_REDUNDANT;
	if (!driven)
		return WATCH_ELSEWHERE;
	if (view->version != RECORD_VERSION)
		return WATCH_OFF;
	switch (view->phase) {
	case PHONE_BOOT:
	case PHONE_REGISTERING:
	case PHONE_WAITING:
		return redundant ? WATCH_TRYING_REDUNDANT : WATCH_TRYING_PRIMARY;
	case PHONE_REGISTERED:
		return redundant ? WATCH_REGISTERED_REDUNDANT : WATCH_REGISTERED_PRIMARY;
	case PHONE_SWITCHING: /* the proxy it is on its way to */
		return redundant ? WATCH_FAILING_OVER : WATCH_FAILING_BACK;
	default:
		return WATCH_OFF;
	}
}

/* --- The state of each phone --- */

static size_t map_bytes(const struct watch *watch)
{
	return ((size_t)watch->mirror->phones + 1) / 2;
}

enum watch_state watch_state(const struct watch *watch, uint32_t phone)
{
	return watch->nibble[WATCH_MAP_HEADER + phone / 2] >> phone % 2 * 4 & 15;
}

static void list(struct watch *watch, uint32_t phone)
{
	uint64_t *word = &watch->listed[phone / 64];
	const uint64_t bit = 1ull << phone % 64;
	if (watch->too_many || *word & bit)
		return;
	if (watch->changes == WATCH_DELTA_MAX) {
		watch->too_many = true;
		return;
	}
	*word |= bit;
	watch->changed[watch->changes++] = phone;
}

/* The record as it is now, whatever the line said. */
static void look(struct watch *watch, uint32_t phone, bool driven)
{
	const enum watch_state before = watch_state(watch, phone);
	struct record_view view;
	record_load(&watch->mirror->record[phone], &view);
	if (view.since_unix_ms < watch->start_ms)
		view.version = 0; /* not powered on since */
	const enum watch_state now = watch_state_of(&view, driven);
	if (now == before)
		return;
	uint8_t *byte = &watch->nibble[WATCH_MAP_HEADER + phone / 2];
	const unsigned shift = phone % 2 * 4;
	*byte = (uint8_t)((*byte & 0xf0u >> shift) | (unsigned)now << shift);
	watch->count[before]--;
	watch->count[now]++;
	list(watch, phone);
}

/* --- Looking through the records --- */

static void mark(struct watch *watch, uint32_t shard)
{
	watch->stale_shards += !watch->stale[shard];
	watch->stale[shard] = true;
}

/* A shard that came or went changes what all its phones are. */
static void follow_shards(struct watch *watch)
{
	for (uint32_t shard = 0; shard < watch->mirror->shards; shard++) {
		const bool driven = !mirror_shard_stopped(watch->mirror, shard);
		if (driven == watch->driven[shard])
			continue;
		watch->driven[shard] = driven;
		mark(watch, shard);
	}
}

/* Nobody knows whose lines were lost. */
static void follow_losses(struct watch *watch)
{
	uint64_t dropped = 0;
	for (unsigned i = 0; i < watch->mirror->workers; i++)
		dropped += mirror_lines_dropped(watch->mirror, MIRROR_WATCH, i);
	if (dropped == watch->dropped)
		return;
	watch->dropped = dropped;
	for (uint32_t shard = 0; shard < watch->mirror->shards; shard++)
		if (watch->driven[shard])
			mark(watch, shard);
}

static void look_through(struct watch *watch)
{
	for (uint32_t n = 0; n < TICK_SHARDS && watch->stale_shards > 0; n++) {
		while (!watch->stale[watch->cursor])
			watch->cursor = (watch->cursor + 1) % watch->mirror->shards;
		const uint32_t shard = watch->cursor;
		const uint32_t first = shard * SHARD_PHONES;
		const uint32_t phones = mirror_shard_phones(watch->mirror, shard);
		watch->stale[shard] = false;
		watch->stale_shards--;
		for (uint32_t i = 0; i < phones; i++)
			look(watch, first + i, watch->driven[shard]);
	}
}

/* --- Lines --- */

static struct watch_transition transition_of(const struct mirror_line *line)
{
	return (struct watch_transition){.unix_ms = line->at >> 16,
		.phone = line->phone,
		.number = (uint16_t)line->at,
		.from = line->from,
		.to = line->to,
		.phase = line->phase,
		.cause = line->cause};
}

static void take_line(struct watch *watch, const struct mirror_line *line)
{
	look(watch, line->phone, watch->driven[line->phone / SHARD_PHONES]);
	history_add(&watch->history, line);
	if (watch->samples == 0)
		return;
	watch->samples--;
	const struct watch_transition transition = transition_of(line);
	watch->events.transition(watch->events.context, &transition);
}

/* Records are anywhere in memory: they are on their way while those before them are looked at. */
static void fetch(const struct watch *watch, const struct mirror_line *line)
{
	__builtin_prefetch(&watch->mirror->record[line->phone]);
	__builtin_prefetch(&watch->history.newest[line->phone]);
}

static size_t take_some(struct watch *watch, unsigned worker)
{
	struct mirror_line line[TAKE];
	const size_t n = mirror_take_lines(watch->mirror, MIRROR_WATCH, worker, line, TAKE);
	for (size_t i = 0; i < AHEAD && i < n; i++)
		fetch(watch, &line[i]);
	for (size_t i = 0; i < n; i++) {
		if (i + AHEAD < n)
			fetch(watch, &line[i + AHEAD]);
		take_line(watch, &line[i]);
	}
	if (n > 0 && watch->events.lines != NULL)
		watch->events.lines(watch->events.context, line, n);
	return n;
}

static void take_lines(struct watch *watch, size_t most)
{
	const unsigned workers = watch->mirror->workers;
	for (unsigned i = 0; i < workers; i++)
		for (size_t n = 0; n < most / workers; n += TAKE)
			if (take_some(watch, i) < TAKE)
				break;
}

void watch_take(struct watch *watch)
{
	take_lines(watch, (size_t)watch->mirror->workers * MIRROR_FEED_LINES);
}

/* So many a second, a tenth of a second's at a time. */
static void allow_samples(struct watch *watch, uint64_t now_us)
{
	const uint64_t each_us = 1000000 / WATCH_SAMPLES_PER_S;
	const uint64_t more = (now_us - watch->samples_us) / each_us;
	watch->samples_us += more * each_us;
	watch->samples = watch->samples + more < WATCH_SAMPLES_PER_S / 10
				 ? watch->samples + (uint32_t)more
				 : WATCH_SAMPLES_PER_S / 10;
}

/* --- Telling --- */

static void tell_changes(struct watch *watch)
{
	static uint8_t records[WATCH_DELTA_MAX * WATCH_DELTA_RECORD]; /* one thread */
	for (uint32_t i = 0; i < watch->changes; i++) {
		uint8_t *out = &records[i * WATCH_DELTA_RECORD];
		const uint32_t phone = htobe32(watch->changed[i]);
		memcpy(out, &phone, sizeof(phone));
		out[4] = (uint8_t)watch_state(watch, watch->changed[i]);
	}
	watch->events.delta(watch->events.context, watch->sequence, records, watch->changes);
}

static void tell_batch(struct watch *watch, uint64_t now_us)
{
	const uint64_t pause_us = BATCH_US * (1 + watch->mirror->phones / BATCH_PHONES);
	if (watch->changes == 0 || now_us - watch->batch_us < pause_us)
		return;
	watch->batch_us = now_us;
	watch->sequence++;
	if (watch->too_many)
		watch->events.resync(watch->events.context, watch->sequence);
	else
		tell_changes(watch);
	for (uint32_t i = 0; i < watch->changes; i++)
		watch->listed[watch->changed[i] / 64] = 0;
	watch->changes = 0;
	watch->too_many = false;
}

void watch_update(struct watch *watch, uint64_t now_us)
{
	const uint64_t start_us = atomic_load_explicit(
		&watch->mirror->unix_start_us, memory_order_relaxed);
	watch->start_ms = start_us / 1000;
	allow_samples(watch, now_us);
	follow_shards(watch);
	follow_losses(watch);
	take_lines(watch, TICK_LINES);
	look_through(watch);
	tell_batch(watch, now_us);
}

/* --- Opening --- */

int watch_open(struct watch **out, struct mirror *mirror, const struct watch_events *events)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return -ENOMEM;
	watch->mirror = mirror;
	watch->events = *events;
	watch->count[WATCH_ELSEWHERE] = mirror->phones;
	watch->map_sequence = UINT64_MAX;
	watch->nibble = calloc(1, WATCH_MAP_HEADER + map_bytes(watch));
	watch->driven = calloc(mirror->shards, 1);
	watch->stale = calloc(mirror->shards, 1);
	watch->listed = calloc(mirror->phones / 64 + 1, sizeof(uint64_t));
	if (!history_open(&watch->history, mirror->phones) || watch->nibble == NULL ||
		watch->driven == NULL || watch->stale == NULL || watch->listed == NULL) {
		watch_close(watch);
		return -ENOMEM;
	}
	*out = watch;
	return 0;
}

void watch_close(struct watch *watch)
{
	if (watch == NULL)
		return;
	history_close(&watch->history);
	free(watch->nibble);
	free(watch->driven);
	free(watch->stale);
	free(watch->listed);
	free(watch->map);
	free(watch);
}

/* --- Being asked --- */

uint64_t watch_sequence(const struct watch *watch)
{
	return watch->sequence;
}

uint64_t watch_dropped(const struct watch *watch)
{
	return watch->dropped;
}

void watch_count(const struct watch *watch, uint32_t out[WATCH_STATES])
{
	memcpy(out, watch->count, sizeof(watch->count));
}

size_t watch_history(const struct watch *watch, uint32_t phone,
	struct watch_transition out[WATCH_HISTORY], bool *complete)
{
	struct mirror_line line[WATCH_HISTORY];
	struct record_view view;
	const size_t n = history_read(&watch->history, phone, line, WATCH_HISTORY, complete);
	for (size_t i = 0; i < n; i++)
		out[i] = transition_of(&line[i]);
	record_load(&watch->mirror->record[phone], &view);
	*complete |= n == 0 && view.version != RECORD_VERSION;
	return n;
}

/* Runs of equal bytes are what a map is made of; looking for more takes longer and finds nothing. */
static bool compress_map(struct watch *watch)
{
	z_stream z = {.next_in = watch->nibble,
		.avail_in = (uInt)(WATCH_MAP_HEADER + map_bytes(watch)),
		.next_out = watch->map,
		.avail_out = (uInt)watch->map_room};
	if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, MAX_MEM_LEVEL, Z_RLE) != Z_OK)
		return false;
	const bool made = deflate(&z, Z_FINISH) == Z_STREAM_END;
	watch->map_length = z.total_out;
	deflateEnd(&z);
	return made;
}

static bool make_room(struct watch *watch)
{
	z_stream z = {0};
	if (watch->map != NULL)
		return true;
	if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, MAX_MEM_LEVEL, Z_RLE) != Z_OK)
		return false;
	watch->map_room = deflateBound(&z, WATCH_MAP_HEADER + map_bytes(watch));
	deflateEnd(&z);
	watch->map = malloc(watch->map_room);
	return watch->map != NULL;
}

/* Changes since the newest batch are in it too, and come again with the next one. */
const uint8_t *watch_map(struct watch *watch, size_t *length)
{
	const uint32_t phones = htobe32(watch->mirror->phones);
	const uint64_t sequence = htobe64(watch->sequence);
	if (watch->map_sequence != watch->sequence) {
		memcpy(watch->nibble, "SHM1", 4);
		memcpy(watch->nibble + 4, &phones, sizeof(phones));
		memcpy(watch->nibble + 8, &sequence, sizeof(sequence));
		watch->map_sequence = UINT64_MAX;
		if (!make_room(watch) || !compress_map(watch))
			return NULL;
		watch->map_sequence = watch->sequence;
	}
	*length = watch->map_length;
	return watch->map;
}
