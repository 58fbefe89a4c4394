/* SPDX-License-Identifier: BSD-3-Clause */
#include "neighbour.h"

static const uint8_t broadcast[FRAME_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const struct address all_nodes = {.bytes = {0xff, 2, [15] = 1}, .family = ADDRESS_IPV6};
static const uint8_t all_nodes_mac[FRAME_MAC] = {0x33, 0x33, 0, 0, 0, 1};

void neighbours_set_proxy(struct neighbours *neighbours, unsigned place,
	const struct address *address, uint64_t now_us)
{
	neighbours->proxy[place] = *address;
	neighbours->has_proxy[place] = true;
	if (place >= neighbours->proxies)
		neighbours->proxies = place + 1;
	if (!neighbours->roster)
		return;
	struct next_hop *hop = &neighbours->hop[place];
	const struct address *way = neighbours->has_gateway[address->family]
					    ? &neighbours->gateway[address->family]
					    : address;
	if (hop->wanted && frame_address_equal(&hop->address, way))
		return;
	*hop = (struct next_hop){.address = *way, .ask_us = now_us, .wanted = true};
	/* Several proxies behind one gateway: what is known of it holds for this one too. */
	for (unsigned p = 0; p < neighbours->proxies; p++) {
		const struct next_hop *other = &neighbours->hop[p];
		if (other->known && frame_address_equal(&other->address, way))
			*hop = *other;
	}
}

static bool own_proxy(const struct neighbours *neighbours, const struct address *address)
{
	for (unsigned p = 0; p < neighbours->proxies; p++)
		if (neighbours->has_proxy[p] && frame_address_equal(&neighbours->proxy[p], address))
			return true;
	return false;
}

bool neighbours_own(const struct neighbours *neighbours, const struct address *address)
{
	const struct roster *roster = neighbours->roster;
	if (!roster)
		return own_proxy(neighbours, address);
	for (unsigned h = 0; h < roster->herds; h++) {
		const struct address_plan *plan = roster->herd[h].plan[address->family];
		uint32_t first;
		if (!plan)
			continue;
		if (!neighbours->here && address_plan_contains(plan, address))
			return true;
		if (neighbours->here &&
			address_plan_find(plan, address, plan->port_first, &first) &&
			first >= roster->herd[h].begin && first < roster->herd[h].end &&
			neighbours_here(neighbours, first))
			return true;
	}
	return false;
}

static struct frame_link link_to(const struct neighbours *neighbours, const uint8_t *mac)
{
	struct frame_link link = {.vlan = neighbours->vlan};
	memcpy(link.source, neighbours->mac, FRAME_MAC);
	memcpy(link.destination, mac, FRAME_MAC);
	return link;
}

static size_t answer_arp(
	const struct neighbours *neighbours, const struct frame *frame, uint8_t *out)
{
	/* An announcement asks for its own sender's address; nobody waits for an answer. */
	if (!frame->arp_request || frame_address_equal(&frame->source, &frame->destination) ||
		!neighbours_own(neighbours, &frame->destination))
		return 0;
	const struct frame_link link = link_to(neighbours, frame->hardware);
	const struct frame_arp arp = {.sender = &frame->destination,
		.target = &frame->source,
		.target_hardware = frame->hardware};
	return frame_arp(out, &link, &arp);
}

static size_t answer_solicitation(
	const struct neighbours *neighbours, const struct frame *frame, uint8_t *out)
{
	static const struct address unspecified = {.family = ADDRESS_IPV6};
	if (!neighbours_own(neighbours, &frame->target))
		return 0;
	struct frame_neighbour reply = {.flags = FRAME_SOLICITED | FRAME_OVERRIDE,
		.source = &frame->target,
		.destination = &frame->source,
		.target = &frame->target};
	const uint8_t *mac = frame->hardware ? frame->hardware : frame->link_source;
	if (frame_address_equal(&frame->source, &unspecified)) { /* duplicate address detection */
		reply.flags = FRAME_OVERRIDE;
		reply.destination = &all_nodes;
		mac = all_nodes_mac;
	}
	const struct frame_link link = link_to(neighbours, mac);
	return frame_neighbour(out, &link, &reply);
}

size_t neighbours_answer(
	const struct neighbours *neighbours, const struct frame *frame, uint8_t *out, size_t room)
{
	if (room < FRAME_REQUEST_MAX)
		return 0;
	if (frame->kind == FRAME_ARP)
		return answer_arp(neighbours, frame, out);
	if (frame->kind == FRAME_SOLICITATION)
		return answer_solicitation(neighbours, frame, out);
	if (frame->kind != FRAME_ECHO_REQUEST || !neighbours_own(neighbours, &frame->destination))
		return 0;
	const struct frame_link link = link_to(neighbours, frame->link_source);
	return frame_echo_reply(out, room, &link, frame);
}

size_t neighbours_announce(const struct neighbours *neighbours, const struct address *address,
	uint8_t out[FRAME_REQUEST_MAX])
{
	if (address->family == ADDRESS_IPV4) {
		const struct frame_link link = link_to(neighbours, broadcast);
		const struct frame_arp arp = {
			.request = true, .sender = address, .target = address};
		return frame_arp(out, &link, &arp);
	}
	const struct frame_link link = link_to(neighbours, all_nodes_mac);
	const struct frame_neighbour advertisement = {.flags = FRAME_OVERRIDE,
		.source = address,
		.destination = &all_nodes,
		.target = address};
	return frame_neighbour(out, &link, &advertisement);
}

/* Whose MAC does this frame tell? */
static const struct address *spoken_of(const struct frame *frame)
{
	if (!frame->hardware || frame->hardware[0] & 1)
		return NULL;
	switch (frame->kind) {
	case FRAME_ARP:
	case FRAME_SOLICITATION:
		return &frame->source;
	case FRAME_ADVERTISEMENT:
		return &frame->target;
	default:
		return NULL;
	}
}

bool neighbours_concern(const struct neighbours *neighbours, const struct frame *frame)
{
	const struct address *subject = spoken_of(frame);
	for (unsigned p = 0; p < neighbours->proxies && subject; p++)
		if (neighbours->hop[p].wanted &&
			frame_address_equal(&neighbours->hop[p].address, subject))
			return true;
	return false;
}

bool neighbours_learn(struct neighbours *neighbours, const struct frame *frame, uint64_t now_us)
{
	const struct address *subject = spoken_of(frame);
	bool changed = false;
	if (!subject)
		return false;
	for (unsigned p = 0; p < neighbours->proxies; p++) {
		struct next_hop *hop = &neighbours->hop[p];
		if (!hop->wanted || !frame_address_equal(&hop->address, subject))
			continue;
		const bool same = hop->known && !memcmp(hop->mac, frame->hardware, FRAME_MAC);
		/* RFC 4861 section 7.2.5: without the override flag a known MAC stays. */
		if (hop->known && !same && frame->kind == FRAME_ADVERTISEMENT && !frame->override)
			continue;
		memcpy(hop->mac, frame->hardware, FRAME_MAC);
		hop->known = true;
		hop->tries = 0;
		hop->ask_us = now_us + NEIGHBOUR_REFRESH_US;
		changed |= !same;
	}
	return changed;
}

static size_t ask_ipv6(const struct neighbours *neighbours, const struct next_hop *hop,
	const struct address *source, bool unicast, uint8_t *out)
{
	struct address group = {.bytes = {0xff, 2, [11] = 1, 0xff}, .family = ADDRESS_IPV6};
	memcpy(group.bytes + 13, hop->address.bytes + 13, 3);
	uint8_t mac[FRAME_MAC] = {0x33, 0x33};
	memcpy(mac + 2, group.bytes + 12, 4);
	const struct frame_link link = link_to(neighbours, unicast ? hop->mac : mac);
	const struct frame_neighbour request = {.solicitation = true,
		.source = source,
		.destination = unicast ? &hop->address : &group,
		.target = &hop->address};
	return frame_neighbour(out, &link, &request);
}

/* While no phone is here, its own link-local address (RFC 4291 appendix A), or none at all: an ARP
 * probe (RFC 5227 section 2.1.1). Requests in a phone's name would draw its datagrams here. */
static struct address nobody(const struct neighbours *neighbours, uint8_t family)
{
	struct address source = {.family = family};
	if (family == ADDRESS_IPV4)
		return source;
	const uint8_t *mac = neighbours->mac;
	const uint8_t bytes[16] = {
		0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
	memcpy(source.bytes, bytes, sizeof(bytes));
	return source;
}

/* In whose name to ask: of the herd's first phone of a shard that is here. */
static struct address ask_source(const struct neighbours *neighbours,
	const struct roster_herd *herd, const struct address_plan *plan)
{
	struct address source;
	uint16_t port;
	address_plan_at(plan, herd->begin, &source, &port);
	if (!neighbours->here || neighbours_own(neighbours, &source))
		return source;
	for (uint32_t phone = herd->begin; phone < herd->end;) {
		address_plan_at(plan, phone, &source, &port);
		if (neighbours_here(neighbours, phone) && neighbours_own(neighbours, &source))
			return source;
		phone = (phone / SHARD_PHONES + 1) * SHARD_PHONES;
	}
	return nobody(neighbours, plan->family);
}

/* A proxy is asked for in the name of a phone that sends to it. */
static size_t ask_one(const struct neighbours *neighbours, unsigned place, uint8_t *out)
{
	const struct next_hop *hop = &neighbours->hop[place];
	const struct roster_herd *herd = &neighbours->roster->herd[place / PROXIES];
	const struct address_plan *plan = herd->plan[hop->address.family];
	const bool unicast = hop->known && hop->tries < NEIGHBOUR_UNICAST_TRIES;
	if (!plan)
		return 0;
	const struct address source = ask_source(neighbours, herd, plan);
	if (hop->address.family == ADDRESS_IPV6)
		return ask_ipv6(neighbours, hop, &source, unicast, out);
	const struct frame_link link = link_to(neighbours, unicast ? hop->mac : broadcast);
	const struct frame_arp arp = {.request = true, .sender = &source, .target = &hop->address};
	return frame_arp(out, &link, &arp);
}

/* Asking once is enough for a gateway that leads to several proxies. */
static void asked_for_all(struct neighbours *neighbours, const struct next_hop *asked)
{
	for (unsigned p = 0; p < neighbours->proxies; p++) {
		struct next_hop *hop = &neighbours->hop[p];
		if (!hop->wanted || !frame_address_equal(&hop->address, &asked->address))
			continue;
		hop->ask_us = asked->ask_us;
		hop->tries = asked->tries;
	}
}

size_t neighbours_ask(
	struct neighbours *neighbours, uint64_t now_us, uint8_t out[FRAME_REQUEST_MAX])
{
	for (unsigned p = 0; p < neighbours->proxies; p++) {
		struct next_hop *hop = &neighbours->hop[p];
		if (!hop->wanted || hop->ask_us > now_us)
			continue;
		const size_t length = ask_one(neighbours, p, out);
		hop->ask_us = now_us + NEIGHBOUR_RETRY_US;
		if (hop->tries < UINT8_MAX)
			hop->tries++;
		asked_for_all(neighbours, hop);
		return length;
	}
	return 0;
}

uint64_t neighbours_next_us(const struct neighbours *neighbours)
{
	uint64_t next = UINT64_MAX;
	for (unsigned p = 0; p < neighbours->proxies; p++)
		if (neighbours->hop[p].wanted && neighbours->hop[p].ask_us < next)
			next = neighbours->hop[p].ask_us;
	return next;
}
