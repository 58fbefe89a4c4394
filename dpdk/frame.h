/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet frames: what a frame says, and how a datagram becomes one.
 *
 * Pure: bytes in, bytes out; no EAL, no clock, no allocation, so that it can be fuzzed as it is.
 * Parsing trusts no length field and never reads past the length it is given; pointers in
 * struct frame point into the frame. Addresses are in wire order, ports in host order.
 */
#ifndef SIPHERD_FRAME_H
#define SIPHERD_FRAME_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "address.h"

#define FRAME_MAC 6
#define FRAME_LINK_MAX 18 /* Ethernet header and one tag */
#define FRAME_HEADERS_MAX (FRAME_LINK_MAX + 40 + 8)
#define FRAME_REQUEST_MAX 96 /* room for any ARP or neighbour discovery frame we send */

enum frame_kind {
	FRAME_UDP,
	FRAME_ARP,           /* request or reply, IPv4 over Ethernet */
	FRAME_SOLICITATION,  /* IPv6 neighbour solicitation */
	FRAME_ADVERTISEMENT, /* IPv6 neighbour advertisement */
	FRAME_ECHO_REQUEST,  /* ping, IPv4 or IPv6 */
	FRAME_ICMP_ERROR,    /* a UDP datagram could not be delivered */
	FRAME_BAD,           /* cut short, or lengths that contradict */
	FRAME_BAD_CHECKSUM,
	FRAME_FRAGMENT,
	FRAME_FOREIGN_VLAN,
	FRAME_FOREIGN_PROTOCOL,
	FRAME_KINDS
};

/* What the receiver expects, and what the hardware has checked already. */
struct frame_rules {
	uint16_t vlan;        /* 0: untagged */
	bool partial_allowed; /* take UDP checksums that a kernel left to its device to complete */
	bool network_checked, transport_checked;
};

struct frame {
	uint8_t kind;        /* enum frame_kind */
	uint8_t link_length; /* Ethernet header and tag: where ARP or IP begins */
	bool arp_request;    /* of FRAME_ARP: a request, not a reply */
	bool override;       /* of FRAME_ADVERTISEMENT */
	uint8_t icmp_type;   /* of FRAME_ICMP_ERROR */
	const uint8_t *link_source, *link_destination;
	/* IP source and destination; of FRAME_ARP sender and target; of FRAME_ICMP_ERROR those of
	 * the datagram that could not be delivered. */
	struct address source, destination;
	uint16_t source_port, destination_port; /* of FRAME_UDP and FRAME_ICMP_ERROR */
	struct address target;                  /* of neighbour discovery */
	const uint8_t *hardware; /* MAC inside ARP or neighbour discovery; NULL: none */
	const uint8_t *payload;  /* UDP data, or the ICMP message of an echo request */
	uint16_t payload_length;
};

enum frame_kind frame_parse(
	const uint8_t *bytes, size_t length, const struct frame_rules *rules, struct frame *out);

/* Who speaks to whom on the link. */
struct frame_link {
	uint8_t source[FRAME_MAC], destination[FRAME_MAC];
	uint16_t vlan; /* 0: untagged */
};

static inline size_t frame_link_length(uint16_t vlan)
{
	return vlan ? 18 : 14;
}

/* All headers of a UDP datagram. */
static inline size_t frame_headers(uint8_t family, uint16_t vlan)
{
	return frame_link_length(vlan) + (family == ADDRESS_IPV4 ? 20 : 40) + 8;
}

/* address_equal of the hot path. */
static inline bool frame_address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, 16);
}

/*
 * All that datagrams between one fixed end and others have in common, written and summed once: of a herd
 * the other end is the source, of a registrar the destination. The open end's address and port and the
 * length are patched into a copy, and the sums go on from what is known.
 */
#define FRAME_PATH_ROOM 80 /* bytes that are written whatever the length */
struct frame_path {
	uint8_t head[FRAME_PATH_ROOM];
	struct frame_link link;
	struct address fixed;
	uint16_t fixed_port;
	uint8_t length;                  /* of all headers */
	uint8_t network;                 /* where the IP header begins */
	uint8_t open_address, open_port; /* where the other end's are */
	uint32_t header_sum; /* of an IPv4 header, its length and the open address left out */
	uint32_t pseudo_sum; /* likewise, of the pseudo header */
};
static_assert(FRAME_PATH_ROOM >= FRAME_HEADERS_MAX, "all headers are copied at once");

enum frame_open { FRAME_OPEN_SOURCE, FRAME_OPEN_DESTINATION };
void frame_path_make(struct frame_path *path, const struct frame_link *link, enum frame_open open,
	const struct address *fixed, uint16_t fixed_port);

/* Is this still the path between these? */
static inline bool frame_path_fits(const struct frame_path *path, const struct frame_link *link,
	const struct address *fixed, uint16_t fixed_port)
{
	return path->length && !memcmp(&path->link, link, sizeof(*link)) &&
	       path->fixed_port == fixed_port && frame_address_equal(&path->fixed, fixed);
}

/* Write all headers of a datagram of n payload bytes to or from an address of the path's family; returns
 * where the payload goes. The UDP checksum is left open. Room: FRAME_PATH_ROOM + n. */
uint8_t *frame_path_udp(const struct frame_path *path, uint8_t *at, const struct address *open,
	uint16_t open_port, uint16_t n);

/* Fill in the UDP checksum of such a datagram, from the sum of its payload's 16-bit words as they lie in
 * memory, which need not be folded. */
void frame_path_checksum(const struct frame_path *path, uint8_t *at, uint32_t payload_sum);

/* Fill in the UDP checksum, once the payload is there. `network` points to the IP header. */
void frame_udp_checksum(uint8_t *network, uint8_t family);

/* The same for hardware that completes it: the sum of the pseudo header alone. */
void frame_udp_offload(uint8_t *network, uint8_t family);

/* Answers and questions of the link itself. All return the frame's length. */

/* Reply to a FRAME_ECHO_REQUEST; 0 when it does not fit. */
size_t frame_echo_reply(
	uint8_t *at, size_t room, const struct frame_link *link, const struct frame *request);

struct frame_arp {
	bool request;
	const struct address *sender, *target;
	const uint8_t *target_hardware; /* NULL: zeros */
};
size_t frame_arp(
	uint8_t at[FRAME_REQUEST_MAX], const struct frame_link *link, const struct frame_arp *arp);

struct frame_neighbour {
	bool solicitation;
	uint8_t flags; /* of an advertisement: FRAME_SOLICITED, FRAME_OVERRIDE */
	const struct address *source, *destination, *target;
};
#define FRAME_SOLICITED 0x40
#define FRAME_OVERRIDE 0x20
size_t frame_neighbour(uint8_t at[FRAME_REQUEST_MAX], const struct frame_link *link,
	const struct frame_neighbour *neighbour);

#endif
