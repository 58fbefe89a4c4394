/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which order phones have the ports of their address, where the order matters to somebody.
 *
 * A plan of addresses gives the ports of one address to consecutive phones. Where a card spreads frames
 * by a hash that cannot be changed, it is the phones that change places: within groups of ports, so
 * that each one's port is such that the hash leads to its worker. As the hash is linear over XOR, what
 * a phone's address and the group's first port add to it is a class, one of a few hundred, and each
 * class has one order.
 *
 * Filled once by whoever knows the hash (dpdk/), read-only afterwards. No division, no branch.
 */
#ifndef SIPHERD_PORT_ORDER_H
#define SIPHERD_PORT_ORDER_H

#include <stdint.h>

#define PORT_ORDER_CLASSES 512
#define PORT_ORDER_GROUP_MAX 64

struct port_order {
	uint8_t address_at; /* where the last four bytes of an address stand: 0 or 12 */
	uint16_t group;     /* ports in a group: a power of two that divides first and count */
	uint16_t mask;      /* of the bits of the hash that matter */
	/* What each byte adds to the hash, of the address's last four and of the port */
	uint16_t by_address[4][256], by_port[2][256];
	/* By class: of the group's phones their ports, and of its ports their phones */
	uint8_t port_of[PORT_ORDER_CLASSES][PORT_ORDER_GROUP_MAX];
	uint8_t phone_of[PORT_ORDER_CLASSES][PORT_ORDER_GROUP_MAX];
};

static inline unsigned port_order_class(
	const struct port_order *order, const uint8_t *address, uint16_t group_first)
{
	const uint8_t *last = address + order->address_at;
	return (order->by_address[0][last[0]] ^ order->by_address[1][last[1]] ^
		       order->by_address[2][last[2]] ^ order->by_address[3][last[3]] ^
		       order->by_port[0][group_first >> 8] ^
		       order->by_port[1][group_first & 0xff]) &
	       order->mask;
}

/* The port of the phone that would have this one by order. */
static inline uint16_t port_order_at(
	const struct port_order *order, const uint8_t *address, uint16_t port)
{
	const uint16_t place = port & (order->group - 1u), first = (uint16_t)(port - place);
	return (uint16_t)(first + order->port_of[port_order_class(order, address, first)][place]);
}

/* The inverse. */
static inline uint16_t port_order_find(
	const struct port_order *order, const uint8_t *address, uint16_t port)
{
	const uint16_t place = port & (order->group - 1u), first = (uint16_t)(port - place);
	return (uint16_t)(first + order->phone_of[port_order_class(order, address, first)][place]);
}

#endif
