/* SPDX-License-Identifier: BSD-3-Clause */
#include "witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LINES 4096

/* What the feed has told of one phone. */
struct told {
	uint16_t transition;
	uint8_t where; /* byte 0 & 15 of its record */
	uint8_t phase, cause;
	bool dirty; /* told since the dirty bits were taken */
};

/* Sums of what all records count. */
struct sums {
	uint64_t ok, failed, failovers, failbacks, sent, missed;
};

struct witness {
	struct mirror *mirror;
	struct herd_config config;
	struct witness_source source;
	struct model *model;
	struct told *told;
	struct mirror_line line[LINES];
	uint64_t seen;
	struct sums before; /* of the records as they were found */
};

static struct sums sums_of(const struct witness *witness)
{
	struct sums sums = {0};
	for (uint32_t i = 0; i < witness->mirror->phones; i++) {
		struct record_view view;
		record_load(&witness->mirror->record[i], &view);
		sums.ok += view.registrations_ok;
		sums.failed += view.registrations_failed;
		sums.failovers += view.failovers;
		sums.failbacks += view.failbacks;
		sums.sent += view.keepalives_sent;
		sums.missed += view.keepalives_missed;
	}
	return sums;
}

struct witness *witness_create(struct mirror *mirror, const struct herd_config *config,
	const struct witness_source *source, struct model *model)
{
	struct witness *witness = calloc(1, sizeof(*witness));
	assert_non_null(witness);
	witness->mirror = mirror;
	witness->config = *config;
	witness->source = *source;
	witness->model = model;
	witness->told = calloc(mirror->phones, sizeof(*witness->told));
	assert_non_null(witness->told);
	for (uint32_t i = 0; i < mirror->phones; i++) {
		struct record_view view;
		record_load(&mirror->record[i], &view);
		witness->told[i].transition = view.transition;
		witness->told[i].where = (uint8_t)(view.last_tried << 2 | view.registered);
		witness->told[i].phase = view.phase;
		witness->told[i].cause = view.cause;
	}
	witness->before = sums_of(witness);
	return witness;
}

void witness_free(struct witness *witness)
{
	free(witness->told);
	free(witness);
}

uint64_t witness_look(const struct witness *witness, uint32_t phone)
{
	struct record_view view;
	record_load(&witness->mirror->record[phone], &view);
	return (uint64_t)view.version << 16 | (uint64_t)view.last_tried << 8 | view.phase;
}

void witness_sent(struct witness *witness, const struct datagram *datagram, uint64_t looked)
{
	if (datagram->status != 0)
		return;
	const unsigned tried = looked >> 8 & 255, phase = looked & 255;
	if (looked >> 16 != RECORD_VERSION)
		model_violated(witness->model, datagram->phone, datagram->now_us,
			"a phone without a record sends");
	if (datagram->kind != DATAGRAM_REGISTER)
		return;
	if (tried != 1u + datagram->proxy)
		model_violated(witness->model, datagram->phone, datagram->now_us,
			"a REGISTER goes to a proxy that its record does not know yet");
	if (phase != PHONE_REGISTERING && phase != PHONE_REGISTERED)
		model_violated(witness->model, datagram->phone, datagram->now_us,
			"a REGISTER goes out while the record says %s",
			phone_state_name((enum phone_state)phase));
}

static void hear(struct witness *witness, const struct mirror_line *line, uint64_t now_us)
{
	struct told *told = &witness->told[line->phone];
	const uint64_t at_ms = (witness->mirror->unix_start_us + now_us) / 1000;
	if ((line->at & 0xffff) != (uint16_t)(told->transition + 1))
		model_violated(witness->model, line->phone, now_us,
			"transition %u is followed by %u", told->transition,
			(unsigned)(line->at & 0xffff));
	if (line->from != told->where)
		model_violated(witness->model, line->phone, now_us,
			"a feed line comes from %u, the one before went to %u", line->from,
			told->where);
	if (line->at >> 16 != at_ms)
		model_violated(witness->model, line->phone, now_us, "a feed line of another time");
	if (line->phase == told->phase)
		model_violated(
			witness->model, line->phone, now_us, "a transition that changes nothing");
	*told = (struct told){.transition = (uint16_t)line->at,
		.where = line->to,
		.phase = line->phase,
		.cause = line->cause,
		.dirty = true};
	witness->seen++;
}

/* The record is the phone, and the last that the feed told of it. */
static void compare(struct witness *witness, uint32_t index, uint64_t now_us)
{
	const struct phone *phone = witness->source.phone(witness->source.context, index);
	const struct told *told = &witness->told[index];
	struct record_view view;
	record_load(&witness->mirror->record[index], &view);
	const uint8_t active = (uint8_t)(1 + phone_active(phone));
	if (phone->epoch != 0) {
		if (view.version != RECORD_VERSION || view.phase != phone->state ||
			view.last_tried != active || view.misses != phone->misses ||
			view.registered != (phone->state == PHONE_REGISTERED ? active : 0) ||
			view.mode != witness->config.redundancy.mode)
			model_violated(witness->model, index, now_us,
				"the record says %s, tried %u, registered %u, %u misses",
				phone_state_name((enum phone_state)view.phase), view.last_tried,
				view.registered, view.misses);
	}
	if (view.transition != told->transition || view.phase != told->phase ||
		view.cause != told->cause ||
		(view.last_tried << 2 | view.registered) != told->where)
		model_violated(witness->model, index, now_us,
			"the record is at transition %u, the feed at %u", view.transition,
			told->transition);
}

void witness_event(struct witness *witness, uint32_t phone, uint64_t now_us)
{
	for (unsigned w = 0; w < witness->mirror->workers; w++) {
		size_t n;
		while ((n = mirror_take_lines(
				witness->mirror, MIRROR_STORE, w, witness->line, LINES)) > 0)
			for (size_t i = 0; i < n; i++)
				hear(witness, &witness->line[i], now_us);
	}
	if (phone != UINT32_MAX)
		compare(witness, phone, now_us);
}

static void compare_bits(struct witness *witness, uint64_t now_us)
{
	for (uint32_t shard = 0; shard < witness->mirror->shards; shard++) {
		uint64_t bits[MIRROR_DIRTY_WORDS] = {0};
		mirror_take_dirty(witness->mirror, shard, bits);
		for (uint32_t i = 0; i < mirror_shard_phones(witness->mirror, shard); i++) {
			const uint32_t phone = shard * SHARD_PHONES + i;
			if (witness->told[phone].dirty != (bits[i / 64] >> i % 64 & 1))
				model_violated(witness->model, phone, now_us,
					"the dirty bit does not tell of a change");
			witness->told[phone].dirty = false;
		}
	}
}

static void compare_counts(struct witness *witness, const struct herd_counters *c, uint64_t now_us)
{
	const struct sums now = sums_of(witness), *before = &witness->before;
	const uint64_t failovers = c->failover_keepalive_silence + c->failover_register_silence +
				   c->failover_refresh_silence + c->failover_code;
	const uint64_t failbacks = c->failback_keepalive_answer + c->failback_keepalive_silence +
				   c->failback_register_silence + c->failback_refresh_silence +
				   c->failback_code;
	/* A 423 may count as a refusal, the first of a proxy does not. */
	const uint64_t failed = c->register_silent + c->register_useless + c->register_auth_failed +
				c->register_rejected;
	if (now.ok - before->ok != c->register_ok || now.sent - before->sent != c->options_sent ||
		now.missed - before->missed != c->options_silent + c->options_fail_code ||
		now.failovers - before->failovers != failovers ||
		now.failbacks - before->failbacks != failbacks ||
		now.failed - before->failed < failed ||
		now.failed - before->failed > failed + c->register_too_brief)
		model_violated(witness->model, UINT32_MAX, now_us,
			"the records do not count what the herds count");
}

void witness_sweep(struct witness *witness, const struct herd_counters *c, uint64_t now_us)
{
	witness_event(witness, UINT32_MAX, now_us);
	for (uint32_t i = 0; i < witness->mirror->phones; i++)
		compare(witness, i, now_us);
	compare_bits(witness, now_us);
	compare_counts(witness, c, now_us);
}
uint64_t witness_seen(const struct witness *witness)
{
	return witness->seen;
}
