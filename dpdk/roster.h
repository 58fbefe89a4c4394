/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose phone is at an address, and of which herd is a phone: the herds of a wire in the order of their
 * phones, which are numbered through the whole fleet.
 *
 * Pure and without tables of phones: with one herd there is nothing to search, with more it takes the
 * logarithm of their number. Filled once, read by all workers.
 */
#ifndef SIPHERD_ROSTER_H
#define SIPHERD_ROSTER_H

#include "address.h"

#define ROSTER_HERDS_MAX 64

struct roster_herd {
	uint32_t begin, end;                               /* its phones: begin..end-1 */
	const struct address_plan *plan[ADDRESS_FAMILIES]; /* NULL: none of the family */
};

struct roster {
	unsigned herds;
	struct roster_herd herd[ROSTER_HERDS_MAX];
	/* By family, herds that have a plan: by their first addresses, then by their first ports, then by
	 * their places in it; `alike` is where those begin that differ in nothing but the last. */
	unsigned sorted[ADDRESS_FAMILIES];
	uint8_t order[ADDRESS_FAMILIES][ROSTER_HERDS_MAX];
	uint8_t alike[ADDRESS_FAMILIES][ROSTER_HERDS_MAX];
};

/* The next herd; it begins where the one before ends. Herds may take their phones' places one behind the
 * other from plans that differ in nothing but `begin`. Other plans that share an address must be of the
 * same addresses, and of ports that do not meet: see address_plan_meets. */
void roster_add(struct roster *roster, const struct roster_herd *herd);

/* What roster_find does where there are several herds. */
bool roster_search(const struct roster *roster, const struct address *address, uint16_t port,
	unsigned *herd, uint32_t *phone);

/* The phone at this address and port and its herd; false: it is no phone of ours. */
static inline bool roster_find(const struct roster *roster, const struct address *address,
	uint16_t port, unsigned *herd, uint32_t *phone)
{
	if (roster->herds > 1)
		return roster_search(roster, address, port, herd, phone);
	const struct address_plan *plan = roster->herd[0].plan[address->family];
	*herd = 0;
	return plan && address_plan_find(plan, address, port, phone) &&
	       *phone < roster->herd[0].end;
}

/* The herd of a phone of the fleet. */
unsigned roster_herd_of(const struct roster *roster, uint32_t phone);

#endif
