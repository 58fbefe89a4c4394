/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of a herd: one counter enumerates the space.
 *
 * A plan maps a phone's index to its own IP address and UDP port and back by arithmetic, never by
 * a table, so that ten million addresses cost nothing. A few addresses inside the range may belong
 * to others (gateway, proxies, network, broadcast): they are holes, and the enumeration steps over
 * them.
 *
 * Shapes: addresses are kept in wire order in 16 bytes, IPv4 in the first four. Ports are host
 * order. Functions return 0 or -errno and neither allocate nor block.
 */
#ifndef SIPHERD_ADDRESS_H
#define SIPHERD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX \
	40 /* "ffff:...:ffff" and a NUL; what INET6_ADDRSTRLEN needs without v4 tails */
#define ADDRESS_HOLES 8

enum address_family { ADDRESS_IPV4 = 0, ADDRESS_IPV6 = 1, ADDRESS_FAMILIES = 2 };

struct address {
	uint8_t bytes[16]; /* wire order; IPv4 uses the first four and leaves the rest zero */
	uint8_t family;    /* enum address_family */
};

/* An address, a port and the link-layer neighbour that leads there: where a datagram came from. */
struct endpoint {
	struct address address;
	uint8_t neighbour[6]; /* MAC of the hop the datagram came by; zero where the link has none
			       */
	uint16_t port;
};

struct port_order;

struct address_plan {
	uint8_t family;        /* enum address_family */
	uint8_t holes;         /* how many of hole[] are in use */
	uint8_t prefix_length; /* of the range as written, for on-link decisions; 32/128 for a-b
				  ranges */
	uint16_t port_first, port_last; /* inclusive; equal: one port per address */
	uint32_t begin;                 /* index of the first phone: 0 unless somebody sets it */
	uint64_t first_high, first_low; /* first address; IPv4 in first_low */
	uint64_t addresses;             /* in the range, holes included; capped at 2^32 */
	uint64_t hole[ADDRESS_HOLES];   /* offsets from first, ascending */
	uint32_t ports;                 /* per address: port_last - port_first + 1 */
	uint64_t port_reciprocal;       /* of ports, so that the hot path does not divide */
	/* NULL: phones have the ports of their address in order. Must outlive the plan. */
	const struct port_order *order;
};

/* Parse numeric text ("10.0.0.1", "2001:db8::1", no brackets). -EINVAL when it is neither. */
int address_parse(const char *text, struct address *out);

/* Each byte's decimal text and the dot after it, and how long they are: of IPv4 addresses, four bytes that
 * are stored at once. */
struct address_octet {
	char text[4];
	uint32_t length;
};
extern const struct address_octet address_octets[256];

/* Addresses as numbers, so that ranges are plain arithmetic in both families. */
__extension__ typedef unsigned __int128 address_number;
address_number address_number_of(const struct address *address);
address_number address_plan_first(const struct address_plan *plan);

/* Canonical text (RFC 5952 for IPv6, no brackets). Returns its length; out is NUL-terminated. */
size_t address_format(const struct address *address, char out[ADDRESS_TEXT_MAX]);

bool address_equal(const struct address *a, const struct address *b);

/*
 * Set up a plan from "10.20.0.0/15", "10.20.0.1-10.20.0.4", "10.20.0.1", each optionally followed
 * by " ports 10000-59999" or " port 5070". A prefix leaves out its network address (IPv6: the
 * routers' anycast address) and, for IPv4, its broadcast address; the point-to-point and
 * single-address prefixes /31, /32, /127 and /128 have neither. Default port 5060. -EINVAL syntax,
 * two families in one range, or a prefix with host bits set; -ERANGE last before first, a prefix
 * longer than the address, or ports outside 1024-65535. *out is then untouched.
 */
int address_plan_parse(const char *text, struct address_plan *out);

/* Keep an address out of the enumeration; silently ignored when it is outside. -ENOSPC: too many.
 */
int address_plan_exclude(struct address_plan *plan, const struct address *address);

/* How many phones the plan has room for, at most 2^32: an index has 32 bits. */
uint64_t address_plan_capacity(const struct address_plan *plan);

/* The address and port of phone `index`; index must be below begin and the capacity together. Phones fill the ports of
 * one address before they take the next, so that a herd occupies as few addresses as it can. */
void address_plan_at(
	const struct address_plan *plan, uint32_t index, struct address *address, uint16_t *port);

/* The inverse. False when the address or port is not one of the plan's phones. */
bool address_plan_find(const struct address_plan *plan, const struct address *address,
	uint16_t port, uint32_t *index);

/* True when the plans differ in nothing but `begin`. */
bool address_plan_same(const struct address_plan *a, const struct address_plan *b);

/* True when both have an address, but for those of the same addresses whose ports do not meet. */
bool address_plan_meets(const struct address_plan *a, const struct address_plan *b);

/* True when the address itself belongs to some phone, whatever the port: what ARP, NDP and ping
 * ask. */
bool address_plan_contains(const struct address_plan *plan, const struct address *address);

#endif
