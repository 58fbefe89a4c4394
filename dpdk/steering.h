/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which worker's queue a frame for a phone arrives at, and how that is made the phone's own worker.
 *
 * Phone i of the fleet is worker i % workers's in every tier, whatever the link: slices, shards and
 * records stay what they are. As the plan of addresses is arithmetic, that is a function of a phone's
 * address and port, and the tiers are ways to have the device do the same sum:
 *
 *   toeplitz   A card spreads by the Toeplitz hash, and takes a key. All of a sparse key is zero but one
 *              bit per family, so that the last bits of the hash are the last bits of the destination's
 *              address (one port per address) or port (many), in reverse; the table behind the hash
 *              then names the workers. Wants as many workers as a power of two.
 *   placement  A card has a key and keeps it. What it does to each phone is computed here, and among
 *              the ports of one address the phones are placed so that each one's frames arrive at
 *              its worker; see port_order.h. Wants many ports per address.
 *   flow       The rule itself is given away: to a card by rte_flow, which is shown the same last bits;
 *              to the kernel's group of packet sockets as a program, which can be any sum at all.
 *   redirect   Whoever receives a frame hands it to its owner over a ring. It is behind every tier, as
 *              ARP, ICMP, and what a device does otherwise than it says have to get there too.
 *
 * This file is the arithmetic, and needs no DPDK but its header: what a device would do to a sample of
 * phones, of both families and from both proxies. steering_port.c asks and tells devices.
 */
#ifndef SIPHERD_STEERING_H
#define SIPHERD_STEERING_H

#include "port_order.h"
#include "wire.h"

#define STEERING_KEY_MIN 40 /* of IPv6 addresses and ports */
#define STEERING_KEY_MAX 64
#define STEERING_RETA_MAX 512
#define STEERING_BITS_MAX 4 /* of WIRE_WORKERS_MAX workers */

/* Whose frames are to be steered. */
struct steering_phones {
	const struct address_plan *plan[ADDRESS_FAMILIES]; /* NULL: no phone has such an address */
	const struct wire_proxy *proxy;                    /* [PROXIES]: who sends */
	uint32_t phones;
	unsigned workers;
};

/* How a card spreads: queue reta[hash % reta_size]. */
struct steering_hash {
	uint8_t key[STEERING_KEY_MAX];
	uint8_t key_length;
	bool ports[ADDRESS_FAMILIES]; /* UDP ports are hashed too */
	uint16_t reta_size;           /* a power of two */
	uint16_t reta[STEERING_RETA_MAX];
};

/* Of one family: the last bits of a field of the destination that tell the owner. */
struct steering_rule {
	bool known; /* there is such a field */
	bool port;  /* the port's last bits, not the address's */
	uint8_t bits;
	uint8_t owner[1 << STEERING_BITS_MAX];
};

/* Phone i's worker, where speed does not matter. */
static inline unsigned steering_owner(const struct steering_phones *phones, uint32_t index)
{
	return index % phones->workers;
}

/* The i-th of STEERING_SAMPLE phones to look at. */
#define STEERING_SAMPLE 2048
uint32_t steering_sample(const struct steering_phones *phones, unsigned i);

/* The queue that a datagram from `proxy` to this phone arrives at. */
unsigned steering_queue(const struct steering_hash *hash, const struct steering_phones *phones,
	enum proxy proxy, uint8_t family, uint32_t index);

#define STEERING_BOTH PROXIES

/* The share of datagrams to a sample of phones of both families that arrive at their owner: 0..1. From
 * one proxy, or from both; 1 where none are sent. */
double steering_share(
	const struct steering_hash *hash, const struct steering_phones *phones, unsigned proxy);

/* Find the bits of a family that tell the owner of nearly all phones. */
void steering_find_rule(
	const struct steering_phones *phones, uint8_t family, struct steering_rule *out);

/* The sparse key that brings those bits to the end of the hash. */
void steering_sparse_key(
	const struct steering_rule rule[ADDRESS_FAMILIES], uint8_t key[STEERING_KEY_MAX]);

/* Fill the table so that most of the sample arrives at its owner. */
void steering_fill_table(struct steering_hash *hash, const struct steering_phones *phones);

/* Of one family: place phones among the ports of their addresses so that the frames of as many as
 * possible arrive at their owner, from both proxies or else from the primary. False: the plan leaves no
 * choice, as it has fewer ports per address than workers, not a multiple of them, or they begin at an odd
 * place; or the number of workers is no power of two. */
bool steering_place(const struct steering_hash *hash, const struct steering_phones *phones,
	uint8_t family, struct port_order *out);

#endif
