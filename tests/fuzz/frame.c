/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as an Ethernet frame: parsed, answered, learnt from and masked as the workers and the
 * capture do it. What is found must lie inside the frame, and an answer must be a frame we can read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "mask.h"
#include "neighbour.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct address_plan plan[ADDRESS_FAMILIES];
	struct neighbours neighbours = {
		.mac = {2, 0, 0, 0, 0, 1}, .plan = {&plan[ADDRESS_IPV4], &plan[ADDRESS_IPV6]}};
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
		neighbours.phones = 31234;
	}
	for (unsigned p = 0; p < PROXIES; p++)
		neighbours_set_proxy(&neighbours, (enum proxy)p, &proxy[p], 0);
	const uint8_t kind = (uint8_t)frame_parse(data + 1, size - 1, &rules, &f);
	stays_inside(&f, data + 1, size - 1);
	if (kind < FRAME_BAD)
		answer(&f, &rules, &neighbours);
	mask(data + 1, size - 1, &rules, kind);
	return 0;
}
