/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: ARP and neighbour discovery, both ways, and ping.
 *
 * We answer for every address of a phone (or, on the registrars' side, of a proxy) by arithmetic,
 * as a proxy ARP would. Where several generators share a fleet, only for phones whose shard is here;
 * an address that carries several phones (many ports) is where its first phone is. And we resolve
 * the next hops of the proxies: once a second until a MAC is known, asked again about every 30 s,
 * first by unicast, then by broadcast; a MAC once known stays in use meanwhile. Pure: frames and the
 * time in microseconds come in, frames go out.
 */
#ifndef SIPHERD_NEIGHBOUR_H
#define SIPHERD_NEIGHBOUR_H

#include <stdatomic.h>

#include "frame.h"
#include "phone.h"
#include "record.h"
#include "roster.h"

#define NEIGHBOUR_RETRY_US 1000000
#define NEIGHBOUR_REFRESH_US 30000000
#define NEIGHBOUR_UNICAST_TRIES 3
#define NEIGHBOUR_PROXIES_MAX (ROSTER_HERDS_MAX * PROXIES)

/* The way to one proxy. */
struct next_hop {
	struct address address; /* the gateway or the proxy itself */
	uint64_t ask_us;        /* when to ask (again) */
	uint8_t mac[FRAME_MAC];
	uint8_t tries; /* requests since the last answer */
	bool wanted;   /* the proxy has an address */
	bool known;    /* mac is valid */
};

struct neighbours {
	uint8_t mac[FRAME_MAC]; /* ours */
	uint16_t vlan;
	/* Ours are the addresses of these phones, or else (NULL) of the proxies. */
	const struct roster *roster;
	const _Atomic uint8_t *here; /* by shard: see mirror.h. NULL: all phones are here */
	/* Proxies of all herds, one herd's behind the other's; none is there before it is set. */
	unsigned proxies;
	struct address proxy[NEIGHBOUR_PROXIES_MAX]; /* valid where has_proxy says so */
	bool has_proxy[NEIGHBOUR_PROXIES_MAX];
	bool has_gateway[ADDRESS_FAMILIES];
	struct address gateway[ADDRESS_FAMILIES];
	struct next_hop hop[NEIGHBOUR_PROXIES_MAX]; /* not used without a roster */
};

/* Where a herd's proxy stands among all proxies. */
static inline unsigned neighbours_place(unsigned herd, unsigned proxy)
{
	return herd * PROXIES + proxy;
}

/* A proxy got an address, its first or another one. `place` is of neighbours_place. */
void neighbours_set_proxy(struct neighbours *neighbours, unsigned place,
	const struct address *address, uint64_t now_us);

/* Is this phone's shard here? The phone must be one of the fleet. */
static inline bool neighbours_here(const struct neighbours *neighbours, uint32_t phone)
{
	return !neighbours->here ||
	       atomic_load_explicit(&neighbours->here[phone / SHARD_PHONES], memory_order_relaxed);
}

/* Is this an address that we answer for? */
bool neighbours_own(const struct neighbours *neighbours, const struct address *address);

/* The reply to an ARP request, a solicitation or a ping for one of our addresses; 0: none is due.
 */
size_t neighbours_answer(
	const struct neighbours *neighbours, const struct frame *frame, uint8_t *out, size_t room);

/* "This address is here": a gratuitous ARP request or an unsolicited advertisement to everybody.
 * Returns its length. */
size_t neighbours_announce(const struct neighbours *neighbours, const struct address *address,
	uint8_t out[FRAME_REQUEST_MAX]);

/* Take what an ARP frame, a solicitation or an advertisement says about a next hop. True when a
 * MAC became known or changed. */
bool neighbours_learn(struct neighbours *neighbours, const struct frame *frame, uint64_t now_us);

/* Is this a frame that neighbours_learn would learn from? */
bool neighbours_concern(const struct neighbours *neighbours, const struct frame *frame);

/* The next request that is due; 0: none is now. It is asked in the name of a phone that is here;
 * where there is none, in a way that tells nobody about any phone's address. */
size_t neighbours_ask(
	struct neighbours *neighbours, uint64_t now_us, uint8_t out[FRAME_REQUEST_MAX]);

/* When the next request will be due. */
uint64_t neighbours_next_us(const struct neighbours *neighbours);

#endif
