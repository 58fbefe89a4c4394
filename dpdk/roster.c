/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "roster.h"

/* How many places of its plan a herd's first phone has before it. */
static uint32_t place_of(const struct roster *roster, unsigned herd, uint8_t family)
{
	return roster->herd[herd].begin - roster->herd[herd].plan[family]->begin;
}

static int compare_plans(const struct address_plan *a, const struct address_plan *b)
{
	if (address_plan_first(a) != address_plan_first(b))
		return address_plan_first(a) < address_plan_first(b) ? -1 : 1;
	return a->port_first - b->port_first;
}

static bool stands_before(const struct roster *roster, unsigned a, unsigned b, uint8_t family)
{
	const int order = compare_plans(roster->herd[a].plan[family], roster->herd[b].plan[family]);
	if (order)
		return order < 0;
	return place_of(roster, a, family) < place_of(roster, b, family);
}

static void insert(struct roster *roster, unsigned added, uint8_t family)
{
	uint8_t *order = roster->order[family];
	const unsigned end = roster->sorted[family]++;
	unsigned at = end;
	for (; at > 0 && stands_before(roster, added, order[at - 1], family); at--)
		order[at] = order[at - 1];
	order[at] = (uint8_t)added;
	for (at = 0; at <= end; at++) {
		const bool same = at > 0 && !compare_plans(roster->herd[order[at]].plan[family],
						    roster->herd[order[at - 1]].plan[family]);
		roster->alike[family][at] = same ? roster->alike[family][at - 1] : (uint8_t)at;
	}
}

void roster_add(struct roster *roster, const struct roster_herd *herd)
{
	const unsigned added = roster->herds++;
	roster->herd[added] = *herd;
	for (uint8_t family = 0; family < ADDRESS_FAMILIES; family++)
		if (herd->plan[family])
			insert(roster, added, family);
}

/* The last place in the order whose plan begins at this address or before it; false: there is none. */
static bool last_before(const struct roster *roster, const struct address *address, unsigned *place)
{
	const uint8_t *order = roster->order[address->family];
	const address_number number = address_number_of(address);
	unsigned low = 0, high = roster->sorted[address->family];
	while (low < high) {
		const unsigned middle = (low + high) / 2;
		if (address_plan_first(roster->herd[order[middle]].plan[address->family]) <= number)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low - 1;
	return low > 0;
}

/* Among those that share their addresses the last one whose ports begin at this port or before it. */
static bool last_port(const struct roster *roster, uint8_t family, uint16_t port, unsigned *place)
{
	const uint8_t *order = roster->order[family];
	const address_number first = address_plan_first(roster->herd[order[*place]].plan[family]);
	for (;;) {
		const struct address_plan *plan = roster->herd[order[*place]].plan[family];
		if (address_plan_first(plan) != first)
			return false;
		if (plan->port_first <= port)
			return true;
		if (roster->alike[family][*place] == 0)
			return false;
		*place = roster->alike[family][*place] - 1u;
	}
}

bool roster_search(const struct roster *roster, const struct address *address, uint16_t port,
	unsigned *herd, uint32_t *phone)
{
	const uint8_t family = address->family, *order = roster->order[family];
	unsigned high;
	if (!last_before(roster, address, &high) || !last_port(roster, family, port, &high))
		return false;
	const struct address_plan *plan = roster->herd[order[high]].plan[family];
	if (!address_plan_find(plan, address, port, phone))
		return false;
	const uint32_t place = *phone - plan->begin;
	unsigned low = roster->alike[family][high];
	while (low < high) {
		const unsigned middle = (low + high + 1) / 2;
		if (place_of(roster, order[middle], family) <= place)
			low = middle;
		else
			high = middle - 1;
	}
	*herd = order[low];
	const struct roster_herd *found = &roster->herd[*herd];
	*phone = found->plan[family]->begin + place;
	return *phone >= found->begin && *phone < found->end;
}

unsigned roster_herd_of(const struct roster *roster, uint32_t phone)
{
	unsigned low = 0, high = roster->herds - 1;
	while (low < high) {
		const unsigned middle = (low + high) / 2;
		if (roster->herd[middle].end <= phone)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
