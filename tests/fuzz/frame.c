/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as an Ethernet frame: parsed, answered, learnt from, masked and traced as the workers, the
 * capture and the control thread do it. What is found must lie inside the frame, and an answer must be
 * a frame we can read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "mask.h"
#include "neighbour.h"
#include "trace.h"

#define ROOM 1518

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void stays_inside(const struct frame *f, const uint8_t *data, size_t size)
{
	if (f->payload && f->kind < FRAME_BAD)
		demand(f->payload >= data && f->payload + f->payload_length <= data + size);
	if (f->hardware && f->kind < FRAME_BAD)
		demand(f->hardware >= data && f->hardware + FRAME_MAC <= data + size);
}

/* First byte of the input: VLAN or not, checksums trusted or not; and whether all phones are here. */
static struct frame_rules rules_of(uint8_t byte)
{
	return (struct frame_rules){.vlan = byte & 1 ? 42 : 0,
		.partial_allowed = byte & 2,
		.network_checked = byte & 4,
		.transport_checked = byte & 8};
}

static void answer(
	const struct frame *f, const struct frame_rules *rules, struct neighbours *neighbours)
{
	uint8_t out[ROOM];
	struct frame reply;
	const struct frame_rules strict = {.vlan = rules->vlan};
	const size_t length = neighbours_answer(neighbours, f, out, sizeof(out));
	if (length)
		demand(frame_parse(out, length, &strict, &reply) != FRAME_BAD &&
			reply.kind != FRAME_BAD_CHECKSUM);
	neighbours_learn(neighbours, f, 1);
	const size_t asked = neighbours_ask(neighbours, NEIGHBOUR_RETRY_US, out);
	if (asked)
		demand(frame_parse(out, asked, &strict, &reply) != FRAME_BAD);
}

/* Masking keeps the length and, where there was a datagram, leaves one with a good checksum. */
static void mask(const uint8_t *data, size_t size, const struct frame_rules *rules, uint8_t kind)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct frame f;
	demand(copy);
	memcpy(copy, data, size);
	mask_frame(copy, size, false, true);
	if (kind == FRAME_UDP) {
		const struct frame_rules checked = {.vlan = rules->vlan, .network_checked = true};
		demand(frame_parse(copy, size, &checked, &f) == FRAME_UDP);
	}
	free(copy);
}

/* What a trace shows of a frame: its text inside what is kept, no credentials, and a file of it that
 * ends where it says. */
static void show(struct trace_book *book, size_t size)
{
	static uint8_t again[WIRE_TRACE_FRAME_MAX];
	struct wire_trace seen;
	size_t length;
	trace_show(trace_find(book, 1), 0, &seen);
	demand(seen.count > 0);
	const struct wire_message *message = seen.message[seen.count - 1];
	const size_t kept = size < WIRE_TRACE_FRAME_MAX ? size : WIRE_TRACE_FRAME_MAX;
	demand(message->length == size && message->cut == (size > kept));
	demand((size_t)message->payload + message->payload_length <= kept);
	memcpy(again, message->frame, kept);
	mask_text(again + message->payload, message->payload_length);
	demand(!memcmp(again, message->frame, kept));
	uint8_t *file = wire_trace_pcapng(&seen, &length);
	demand(file && length > kept);
	uint32_t last;
	memcpy(&last, file + length - sizeof(last), sizeof(last));
	demand(last >= kept && last < length);
	free(file);
}

static void trace(const struct frame *f, const uint8_t *data, size_t size)
{
	static struct trace_book book;
	static struct trace_tap tap;
	if (!atomic_load(&tap.ring)) {
		trace_book_open(&book);
		atomic_store(&tap.ring, trace_ring_create());
		demand(atomic_load(&tap.ring) && trace_begin(&book, 1, 0));
		trace_watch(&tap, 0, 1);
	}
	const struct trace_frame frame = {.bytes = data,
		.length = (uint32_t)size,
		.payload = f->payload,
		.payload_length = f->payload_length,
		.open = true};
	trace_put(&tap, 1, &frame);
	trace_collect(&book, &tap, 0);
	show(&book, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct address_plan plan[ADDRESS_FAMILIES];
	struct roster roster = {0};
	struct roster_herd herd = {
		.end = UINT32_MAX, .plan = {&plan[ADDRESS_IPV4], &plan[ADDRESS_IPV6]}};
	struct neighbours neighbours = {.mac = {2, 0, 0, 0, 0, 1}, .roster = &roster};
	struct address proxy[PROXIES];
	struct frame f;
	if (!size)
		return 0;
	demand(!address_plan_parse("10.20.0.0/16", &plan[ADDRESS_IPV4]) &&
		!address_plan_parse("2001:db8:20::/112", &plan[ADDRESS_IPV6]) &&
		!address_parse("10.10.0.1", &proxy[0]) && !address_parse("2001:db8::2", &proxy[1]));
	const struct frame_rules rules = rules_of(data[0]);
	neighbours.vlan = rules.vlan;
	/* Some shards are another generator's; the fleet ends in the middle of one, before the plans do. */
	static const _Atomic uint8_t here[] = {0, 1, 0, 1};
	if (data[0] & 16) {
		neighbours.here = here;
		herd.end = 31234;
	}
	roster_add(&roster, &herd);
	for (unsigned p = 0; p < PROXIES; p++)
		neighbours_set_proxy(&neighbours, p, &proxy[p], 0);
	const uint8_t kind = (uint8_t)frame_parse(data + 1, size - 1, &rules, &f);
	stays_inside(&f, data + 1, size - 1);
	if (kind < FRAME_BAD)
		answer(&f, &rules, &neighbours);
	mask(data + 1, size - 1, &rules, kind);
	if (kind == FRAME_UDP && size - 1 <= UINT16_MAX)
		trace(&f, data + 1, size - 1);
	return 0;
}
