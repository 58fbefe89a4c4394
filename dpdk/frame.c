/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "frame.h"

#define HOP_LIMIT 64
#define NEIGHBOUR_HOP_LIMIT 255 /* RFC 4861: proof that no router forwarded it */

enum { ICMP4_UNREACHABLE = 3, ICMP4_TIME_EXCEEDED = 11, ICMP4_PARAMETER = 12 };
enum {
	ICMP6_UNREACHABLE = 1,
	ICMP6_PARAMETER = 4, /* 2 too big and 3 time exceeded lie between */
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_SOLICITATION = 135,
	ICMP6_ADVERTISEMENT = 136,
};
enum { OPTION_SOURCE_LINK = 1, OPTION_TARGET_LINK = 2 };

/* rte_icmp.h stops at echo; RFC 4861 section 4.3 and 4.4, option of section 4.6.1 included. */
struct neighbour_message {
	uint8_t type, code;
	uint16_t checksum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t option, option_length; /* in units of 8 bytes */
	uint8_t hardware[FRAME_MAC];
};
static_assert(sizeof(struct neighbour_message) == 32, "as on the wire");
#define NEIGHBOUR_WITHOUT_OPTION 24

struct icmp_header {
	uint8_t type, code;
	uint16_t checksum;
	uint32_t rest;
};
static_assert(sizeof(struct icmp_header) == 8, "as on the wire");

static uint16_t fold(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + sum);
}

/* Sum of the pseudo header: the two addresses lie side by side in both IP headers. */
static uint32_t pseudo_sum(const uint8_t *addresses, size_t size, uint8_t protocol, uint16_t length)
{
	return (uint32_t)rte_raw_cksum(addresses, size) + htons(protocol) + htons(length);
}

static uint32_t pseudo_sum_of(
	const uint8_t *network, uint8_t family, uint8_t protocol, uint16_t length)
{
	if (family == ADDRESS_IPV4)
		return pseudo_sum(
			network + offsetof(struct rte_ipv4_hdr, src_addr), 8, protocol, length);
	return pseudo_sum(network + offsetof(struct rte_ipv6_hdr, src_addr), 32, protocol, length);
}

static void address_from(struct address *out, uint8_t family, const void *bytes)
{
	memset(out, 0, sizeof(*out));
	out->family = family;
	memcpy(out->bytes, bytes, family == ADDRESS_IPV4 ? 4 : 16);
}

/* The part of a frame above IP, as the parsers below see it. */
struct segment {
	const uint8_t *network; /* the IP header, for its addresses */
	const uint8_t *bytes;
	uint16_t length;
	uint8_t family, protocol, hop_limit;
};

static enum frame_kind parse_udp(
	const struct segment *s, const struct frame_rules *rules, struct frame *out)
{
	struct rte_udp_hdr udp;
	if (s->length < sizeof(udp))
		return FRAME_BAD;
	memcpy(&udp, s->bytes, sizeof(udp));
	if (ntohs(udp.dgram_len) != s->length)
		return FRAME_BAD;
	out->source_port = ntohs(udp.src_port);
	out->destination_port = ntohs(udp.dst_port);
	out->payload = s->bytes + sizeof(udp);
	out->payload_length = (uint16_t)(s->length - sizeof(udp));
	if (rules->transport_checked)
		return FRAME_UDP;
	if (!udp.dgram_cksum)
		return s->family == ADDRESS_IPV4 ? FRAME_UDP : FRAME_BAD_CHECKSUM;
	uint32_t pseudo = pseudo_sum_of(s->network, s->family, IPPROTO_UDP, s->length);
	if (rules->partial_allowed && udp.dgram_cksum == fold(pseudo))
		return FRAME_UDP;
	if (fold(pseudo + rte_raw_cksum(s->bytes, s->length)) != 0xffff)
		return FRAME_BAD_CHECKSUM;
	return FRAME_UDP;
}

/* The datagram that an ICMP error quotes: its addresses and ports, if it was UDP. */
static enum frame_kind parse_quoted(
	const uint8_t *bytes, size_t length, uint8_t family, struct frame *out)
{
	size_t header;
	uint8_t protocol;
	if (family == ADDRESS_IPV4) {
		if (length < sizeof(struct rte_ipv4_hdr) || bytes[0] >> 4 != 4)
			return FRAME_BAD;
		header = (size_t)(bytes[0] & 15) * 4;
		protocol = bytes[offsetof(struct rte_ipv4_hdr, next_proto_id)];
	} else {
		if (length < sizeof(struct rte_ipv6_hdr) || bytes[0] >> 4 != 6)
			return FRAME_BAD;
		header = sizeof(struct rte_ipv6_hdr);
		protocol = bytes[offsetof(struct rte_ipv6_hdr, proto)];
	}
	if (header < sizeof(struct rte_ipv4_hdr) || length < header + 4)
		return FRAME_BAD;
	if (protocol != IPPROTO_UDP)
		return FRAME_FOREIGN_PROTOCOL;
	const size_t addresses = family == ADDRESS_IPV4 ? 12 : 8,
		     size = family == ADDRESS_IPV4 ? 4 : 16;
	address_from(&out->source, family, bytes + addresses);
	address_from(&out->destination, family, bytes + addresses + size);
	out->source_port = (uint16_t)(bytes[header] << 8 | bytes[header + 1]);
	out->destination_port = (uint16_t)(bytes[header + 2] << 8 | bytes[header + 3]);
	return FRAME_ICMP_ERROR;
}

static enum frame_kind parse_icmp4(const struct segment *s, struct frame *out)
{
	if (s->length < sizeof(struct icmp_header))
		return FRAME_BAD;
	if (rte_raw_cksum(s->bytes, s->length) != 0xffff)
		return FRAME_BAD_CHECKSUM;
	out->icmp_type = s->bytes[0];
	out->payload = s->bytes;
	out->payload_length = s->length;
	switch (out->icmp_type) {
	case RTE_IP_ICMP_ECHO_REQUEST:
		return FRAME_ECHO_REQUEST;
	case ICMP4_UNREACHABLE:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAMETER:
		return parse_quoted(s->bytes + sizeof(struct icmp_header),
			s->length - sizeof(struct icmp_header), ADDRESS_IPV4, out);
	default:
		return FRAME_FOREIGN_PROTOCOL;
	}
}

/* RFC 4861 sections 7.1.1 and 7.1.2 say what to distrust. */
static enum frame_kind parse_neighbour(const struct segment *s, struct frame *out)
{
	const bool solicitation = s->bytes[0] == ICMP6_SOLICITATION;
	const uint8_t wanted = solicitation ? OPTION_SOURCE_LINK : OPTION_TARGET_LINK;
	if (s->length < NEIGHBOUR_WITHOUT_OPTION || s->hop_limit != NEIGHBOUR_HOP_LIMIT ||
		s->bytes[1])
		return FRAME_BAD;
	const uint8_t *target = s->bytes + offsetof(struct neighbour_message, target);
	if (target[0] == 0xff)
		return FRAME_BAD;
	address_from(&out->target, ADDRESS_IPV6, target);
	out->override = s->bytes[offsetof(struct neighbour_message, flags)] & FRAME_OVERRIDE;
	for (size_t at = NEIGHBOUR_WITHOUT_OPTION; at < s->length;) {
		if (s->length - at < 2 || !s->bytes[at + 1])
			return FRAME_BAD;
		const size_t size = (size_t)s->bytes[at + 1] * 8;
		if (size > s->length - at)
			return FRAME_BAD;
		if (s->bytes[at] == wanted)
			out->hardware = s->bytes + at + 2;
		at += size;
	}
	return solicitation ? FRAME_SOLICITATION : FRAME_ADVERTISEMENT;
}

static enum frame_kind parse_icmp6(const struct segment *s, struct frame *out)
{
	if (s->length < sizeof(struct icmp_header))
		return FRAME_BAD;
	uint32_t sum = pseudo_sum_of(s->network, ADDRESS_IPV6, IPPROTO_ICMPV6, s->length);
	if (fold(sum + rte_raw_cksum(s->bytes, s->length)) != 0xffff)
		return FRAME_BAD_CHECKSUM;
	out->icmp_type = s->bytes[0];
	out->payload = s->bytes;
	out->payload_length = s->length;
	if (out->icmp_type == ICMP6_ECHO_REQUEST)
		return FRAME_ECHO_REQUEST;
	if (out->icmp_type == ICMP6_SOLICITATION || out->icmp_type == ICMP6_ADVERTISEMENT)
		return parse_neighbour(s, out);
	if (out->icmp_type >= ICMP6_UNREACHABLE && out->icmp_type <= ICMP6_PARAMETER)
		return parse_quoted(s->bytes + sizeof(struct icmp_header),
			s->length - sizeof(struct icmp_header), ADDRESS_IPV6, out);
	return FRAME_FOREIGN_PROTOCOL;
}

static enum frame_kind parse_ipv4(
	const uint8_t *bytes, size_t length, const struct frame_rules *rules, struct frame *out)
{
	struct rte_ipv4_hdr ip;
	if (length < sizeof(ip))
		return FRAME_BAD;
	memcpy(&ip, bytes, sizeof(ip));
	const size_t header = (size_t)(ip.version_ihl & 15) * 4, total = ntohs(ip.total_length);
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || total < header || total > length)
		return FRAME_BAD;
	if (!rules->network_checked && rte_raw_cksum(bytes, header) != 0xffff)
		return FRAME_BAD_CHECKSUM;
	if (ntohs(ip.fragment_offset) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		return FRAME_FRAGMENT;
	address_from(&out->source, ADDRESS_IPV4, &ip.src_addr);
	address_from(&out->destination, ADDRESS_IPV4, &ip.dst_addr);
	const struct segment s = {.network = bytes,
		.bytes = bytes + header,
		.length = (uint16_t)(total - header),
		.family = ADDRESS_IPV4,
		.protocol = ip.next_proto_id,
		.hop_limit = ip.time_to_live};
	if (s.protocol == IPPROTO_UDP)
		return parse_udp(&s, rules, out);
	if (s.protocol == IPPROTO_ICMP)
		return parse_icmp4(&s, out);
	return FRAME_FOREIGN_PROTOCOL;
}

static enum frame_kind parse_ipv6(
	const uint8_t *bytes, size_t length, const struct frame_rules *rules, struct frame *out)
{
	struct rte_ipv6_hdr ip;
	if (length < sizeof(ip))
		return FRAME_BAD;
	memcpy(&ip, bytes, sizeof(ip));
	if (bytes[0] >> 4 != 6 || ntohs(ip.payload_len) > length - sizeof(ip))
		return FRAME_BAD;
	address_from(&out->source, ADDRESS_IPV6, ip.src_addr);
	address_from(&out->destination, ADDRESS_IPV6, ip.dst_addr);
	const struct segment s = {.network = bytes,
		.bytes = bytes + sizeof(ip),
		.length = ntohs(ip.payload_len),
		.family = ADDRESS_IPV6,
		.protocol = ip.proto,
		.hop_limit = ip.hop_limits};
	if (s.protocol == IPPROTO_UDP)
		return parse_udp(&s, rules, out);
	if (s.protocol == IPPROTO_ICMPV6)
		return parse_icmp6(&s, out);
	return s.protocol == IPPROTO_FRAGMENT ? FRAME_FRAGMENT : FRAME_FOREIGN_PROTOCOL;
}

static enum frame_kind parse_arp(const uint8_t *bytes, size_t length, struct frame *out)
{
	struct rte_arp_hdr arp;
	if (length < sizeof(arp))
		return FRAME_BAD;
	memcpy(&arp, bytes, sizeof(arp));
	if (arp.arp_hardware != htons(RTE_ARP_HRD_ETHER) ||
		arp.arp_protocol != htons(RTE_ETHER_TYPE_IPV4) || arp.arp_hlen != FRAME_MAC ||
		arp.arp_plen != 4)
		return FRAME_FOREIGN_PROTOCOL;
	if (arp.arp_opcode != htons(RTE_ARP_OP_REQUEST) &&
		arp.arp_opcode != htons(RTE_ARP_OP_REPLY))
		return FRAME_FOREIGN_PROTOCOL;
	out->arp_request = arp.arp_opcode == htons(RTE_ARP_OP_REQUEST);
	address_from(&out->source, ADDRESS_IPV4, &arp.arp_data.arp_sip);
	address_from(&out->destination, ADDRESS_IPV4, &arp.arp_data.arp_tip);
	out->hardware = bytes + offsetof(struct rte_arp_hdr, arp_data.arp_sha);
	return FRAME_ARP;
}

static enum frame_kind parse_link(
	const uint8_t *bytes, size_t length, const struct frame_rules *rules, struct frame *out)
{
	if (length < RTE_ETHER_HDR_LEN)
		return FRAME_BAD;
	out->link_destination = bytes;
	out->link_source = bytes + FRAME_MAC;
	size_t at = RTE_ETHER_HDR_LEN;
	uint16_t type = (uint16_t)(bytes[12] << 8 | bytes[13]), vlan = 0;
	if (type == RTE_ETHER_TYPE_VLAN) {
		if (length < at + sizeof(struct rte_vlan_hdr))
			return FRAME_BAD;
		vlan = (uint16_t)((bytes[14] << 8 | bytes[15]) & 0xfff);
		type = (uint16_t)(bytes[16] << 8 | bytes[17]);
		at += sizeof(struct rte_vlan_hdr);
	}
	if (vlan != rules->vlan || (at > RTE_ETHER_HDR_LEN) != (rules->vlan != 0))
		return FRAME_FOREIGN_VLAN;
	out->link_length = (uint8_t)at;
	if (type == RTE_ETHER_TYPE_IPV4)
		return parse_ipv4(bytes + at, length - at, rules, out);
	if (type == RTE_ETHER_TYPE_IPV6)
		return parse_ipv6(bytes + at, length - at, rules, out);
	if (type == RTE_ETHER_TYPE_ARP)
		return parse_arp(bytes + at, length - at, out);
	return FRAME_FOREIGN_PROTOCOL;
}

enum frame_kind frame_parse(
	const uint8_t *bytes, size_t length, const struct frame_rules *rules, struct frame *out)
{
	out->link_source = out->link_destination = out->hardware = out->payload = NULL;
	out->payload_length = 0;
	out->kind = parse_link(bytes, length, rules, out);
	return out->kind;
}

/* Ethernet header and tag; returns where the next header begins. */
static uint8_t *write_link(uint8_t *at, const struct frame_link *link, uint16_t type)
{
	memcpy(at, link->destination, FRAME_MAC);
	memcpy(at + FRAME_MAC, link->source, FRAME_MAC);
	at += 2 * FRAME_MAC;
	if (link->vlan) {
		const uint16_t tag[2] = {htons(RTE_ETHER_TYPE_VLAN), htons(link->vlan)};
		memcpy(at, tag, sizeof(tag));
		at += sizeof(tag);
	}
	type = htons(type);
	memcpy(at, &type, sizeof(type));
	return at + sizeof(type);
}

/* Never fragmented, hence identification 0 (RFC 6864). */
static uint8_t *write_ipv4(uint8_t *at, const struct address *source,
	const struct address *destination, uint8_t protocol, size_t length)
{
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = htons((uint16_t)(sizeof(ip) + length)),
		.fragment_offset = htons(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = HOP_LIMIT,
		.next_proto_id = protocol};
	memcpy(&ip.src_addr, source->bytes, 4);
	memcpy(&ip.dst_addr, destination->bytes, 4);
	ip.hdr_checksum = (uint16_t)~rte_raw_cksum(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	return at + sizeof(ip);
}

static uint8_t *write_ipv6(uint8_t *at, const struct address *source,
	const struct address *destination, uint8_t protocol, size_t length)
{
	struct rte_ipv6_hdr ip = {.vtc_flow = htonl(6u << 28),
		.payload_len = htons((uint16_t)length),
		.proto = protocol,
		.hop_limits = HOP_LIMIT};
	memcpy(ip.src_addr, source->bytes, 16);
	memcpy(ip.dst_addr, destination->bytes, 16);
	memcpy(at, &ip, sizeof(ip));
	return at + sizeof(ip);
}

void frame_path_make(struct frame_path *path, const struct frame_link *link, enum frame_open open,
	const struct address *fixed, uint16_t fixed_port)
{
	const bool ipv4 = fixed->family == ADDRESS_IPV4, source = open == FRAME_OPEN_SOURCE;
	const struct address none = {.family = fixed->family};
	const struct address *from = source ? &none : fixed, *to = source ? fixed : &none;
	const struct rte_udp_hdr udp = {.src_port = source ? 0 : htons(fixed_port),
		.dst_port = source ? htons(fixed_port) : 0};
	memset(path, 0, sizeof(*path));
	path->link = *link;
	path->fixed = *fixed;
	path->fixed_port = fixed_port;
	uint8_t *network = write_link(
		path->head, link, ipv4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	uint8_t *at = ipv4 ? write_ipv4(network, from, to, IPPROTO_UDP, 0)
			   : write_ipv6(network, from, to, IPPROTO_UDP, 0);
	if (ipv4) { /* what depends on the length comes later */
		memset(network + offsetof(struct rte_ipv4_hdr, total_length), 0, 2);
		memset(network + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, 2);
		path->header_sum = rte_raw_cksum(network, sizeof(struct rte_ipv4_hdr));
	}
	memcpy(at, &udp, sizeof(udp));
	path->pseudo_sum = pseudo_sum_of(network, fixed->family, IPPROTO_UDP, 0) +
			   htons(fixed_port);
	path->length = (uint8_t)(at + sizeof(udp) - path->head);
	path->network = (uint8_t)(network - path->head);
	const size_t addresses = ipv4 ? offsetof(struct rte_ipv4_hdr, src_addr)
				      : offsetof(struct rte_ipv6_hdr, src_addr);
	path->open_address = (uint8_t)(path->network + addresses + (source ? 0 : ipv4 ? 4 : 16));
	path->open_port = (uint8_t)(at - path->head + (source ? 0 : 2));
}

uint8_t *frame_path_udp(const struct frame_path *path, uint8_t *at, const struct address *open,
	uint16_t open_port, uint16_t n)
{
	const uint16_t length = htons((uint16_t)(sizeof(struct rte_udp_hdr) + n));
	const uint16_t port = htons(open_port);
	uint8_t *network = at + path->network,
		*udp = at + path->length - sizeof(struct rte_udp_hdr);
	memcpy(at, path->head, FRAME_PATH_ROOM);
	if (path->fixed.family == ADDRESS_IPV4) {
		const uint16_t total = htons(
			(uint16_t)(sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) + n));
		uint32_t address;
		memcpy(&address, open->bytes, sizeof(address));
		const uint16_t sum = (uint16_t)~fold(
			path->header_sum + (address >> 16) + (address & 0xffff) + total);
		memcpy(network + offsetof(struct rte_ipv4_hdr, total_length), &total, 2);
		memcpy(network + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, 2);
		memcpy(at + path->open_address, &address, sizeof(address));
	} else {
		memcpy(network + offsetof(struct rte_ipv6_hdr, payload_len), &length, 2);
		memcpy(at + path->open_address, open->bytes, sizeof(open->bytes));
	}
	memcpy(at + path->open_port, &port, sizeof(port));
	memcpy(udp + offsetof(struct rte_udp_hdr, dgram_len), &length, sizeof(length));
	return at + path->length;
}

void frame_path_checksum(const struct frame_path *path, uint8_t *at, uint32_t payload_sum)
{
	uint8_t *udp = at + path->length - sizeof(struct rte_udp_hdr);
	uint16_t port, length;
	uint64_t sum = (uint64_t)path->pseudo_sum + payload_sum;
	memcpy(&port, at + path->open_port, sizeof(port));
	memcpy(&length, udp + offsetof(struct rte_udp_hdr, dgram_len), sizeof(length));
	/* Words of 32 bits are sums of two of 16, once they are folded. */
	uint32_t word[4];
	memcpy(word, at + path->open_address, sizeof(word[0]));
	sum += word[0];
	if (path->fixed.family == ADDRESS_IPV6) {
		memcpy(word + 1, at + path->open_address + 4, 3 * sizeof(word[0]));
		sum += (uint64_t)word[1] + word[2] + word[3];
	}
	sum += port + 2u * length; /* in the pseudo header and in UDP's own */
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 16) + (sum & 0xffff);
	uint16_t checksum = (uint16_t)~fold((uint32_t)sum);
	if (!checksum) /* zero on the wire means that there is none */
		checksum = 0xffff;
	memcpy(udp + offsetof(struct rte_udp_hdr, dgram_cksum), &checksum, sizeof(checksum));
}

/* The UDP header behind an IP header that is known to be whole, its length, the pseudo sum. */
static uint8_t *udp_behind(uint8_t *network, uint8_t family, uint16_t *length, uint32_t *pseudo)
{
	uint8_t *udp = network + (family == ADDRESS_IPV4 ? (network[0] & 15) * 4 : 40);
	*length = (uint16_t)(udp[4] << 8 | udp[5]);
	*pseudo = pseudo_sum_of(network, family, IPPROTO_UDP, *length);
	return udp;
}

void frame_udp_checksum(uint8_t *network, uint8_t family)
{
	uint16_t length;
	uint32_t pseudo;
	uint8_t *udp = udp_behind(network, family, &length, &pseudo);
	memset(udp + offsetof(struct rte_udp_hdr, dgram_cksum), 0, 2);
	uint16_t sum = (uint16_t)~fold(pseudo + rte_raw_cksum(udp, length));
	if (!sum) /* zero on the wire means that there is none */
		sum = 0xffff;
	memcpy(udp + offsetof(struct rte_udp_hdr, dgram_cksum), &sum, sizeof(sum));
}

void frame_udp_offload(uint8_t *network, uint8_t family)
{
	uint16_t length;
	uint32_t pseudo;
	uint8_t *udp = udp_behind(network, family, &length, &pseudo);
	const uint16_t sum = fold(pseudo);
	memcpy(udp + offsetof(struct rte_udp_hdr, dgram_cksum), &sum, sizeof(sum));
}

size_t frame_echo_reply(
	uint8_t *at, size_t room, const struct frame_link *link, const struct frame *request)
{
	const uint8_t family = request->source.family;
	const uint16_t length = request->payload_length;
	if (frame_headers(family, link->vlan) + length > room)
		return 0;
	uint8_t *network, *icmp;
	if (family == ADDRESS_IPV4) {
		network = write_link(at, link, RTE_ETHER_TYPE_IPV4);
		icmp = write_ipv4(
			network, &request->destination, &request->source, IPPROTO_ICMP, length);
	} else {
		network = write_link(at, link, RTE_ETHER_TYPE_IPV6);
		icmp = write_ipv6(
			network, &request->destination, &request->source, IPPROTO_ICMPV6, length);
	}
	memcpy(icmp, request->payload, length);
	icmp[0] = family == ADDRESS_IPV4 ? RTE_IP_ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
	memset(icmp + offsetof(struct icmp_header, checksum), 0, 2);
	uint32_t sum = rte_raw_cksum(icmp, length);
	if (family == ADDRESS_IPV6)
		sum += pseudo_sum_of(network, family, IPPROTO_ICMPV6, length);
	const uint16_t checksum = (uint16_t)~fold(sum);
	memcpy(icmp + offsetof(struct icmp_header, checksum), &checksum, sizeof(checksum));
	return (size_t)(icmp + length - at);
}

size_t frame_arp(
	uint8_t at[FRAME_REQUEST_MAX], const struct frame_link *link, const struct frame_arp *arp)
{
	struct rte_arp_hdr header = {.arp_hardware = htons(RTE_ARP_HRD_ETHER),
		.arp_protocol = htons(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = FRAME_MAC,
		.arp_plen = 4,
		.arp_opcode = htons(arp->request ? RTE_ARP_OP_REQUEST : RTE_ARP_OP_REPLY)};
	memcpy(&header.arp_data.arp_sha, link->source, FRAME_MAC);
	memcpy(&header.arp_data.arp_sip, arp->sender->bytes, 4);
	if (arp->target_hardware)
		memcpy(&header.arp_data.arp_tha, arp->target_hardware, FRAME_MAC);
	memcpy(&header.arp_data.arp_tip, arp->target->bytes, 4);
	uint8_t *network = write_link(at, link, RTE_ETHER_TYPE_ARP);
	memcpy(network, &header, sizeof(header));
	return (size_t)(network + sizeof(header) - at);
}

size_t frame_neighbour(uint8_t at[FRAME_REQUEST_MAX], const struct frame_link *link,
	const struct frame_neighbour *neighbour)
{
	struct neighbour_message message = {
		.type = neighbour->solicitation ? ICMP6_SOLICITATION : ICMP6_ADVERTISEMENT,
		.flags = neighbour->flags,
		.option = neighbour->solicitation ? OPTION_SOURCE_LINK : OPTION_TARGET_LINK,
		.option_length = 1};
	memcpy(message.target, neighbour->target->bytes, 16);
	memcpy(message.hardware, link->source, FRAME_MAC);
	uint8_t *network = write_link(at, link, RTE_ETHER_TYPE_IPV6);
	uint8_t *icmp = write_ipv6(network, neighbour->source, neighbour->destination,
		IPPROTO_ICMPV6, sizeof(message));
	network[offsetof(struct rte_ipv6_hdr, hop_limits)] = NEIGHBOUR_HOP_LIMIT;
	message.checksum = (uint16_t)~fold(
		pseudo_sum_of(network, ADDRESS_IPV6, IPPROTO_ICMPV6, sizeof(message)) +
		rte_raw_cksum(&message, sizeof(message)));
	memcpy(icmp, &message, sizeof(message));
	return (size_t)(icmp + sizeof(message) - at);
}
