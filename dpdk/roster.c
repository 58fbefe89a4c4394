/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "roster.h"

__extension__ typedef unsigned __int128 wide;

static wide first_of(const struct address_plan *plan)
{
	return (wide)plan->first_high << 64 | plan->first_low;
}

static wide number_of(const struct address *address)
{
	const unsigned bytes = address->family == ADDRESS_IPV4 ? 4 : 16;
	wide number = 0;
	for (unsigned i = 0; i < bytes; i++)
		number = number << 8 | address->bytes[i];
	return number;
}

static bool stands_before(const struct address_plan *a, const struct address_plan *b)
{
	if (first_of(a) != first_of(b))
		return first_of(a) < first_of(b);
	return a->port_first < b->port_first;
}

void roster_add(struct roster *roster, const struct roster_herd *herd)
{
	const unsigned added = roster->herds++;
	roster->herd[added] = *herd;
	for (int f = 0; f < ADDRESS_FAMILIES; f++) {
		if (!herd->plan[f])
			continue;
		uint8_t *order = roster->order[f];
		unsigned at = roster->sorted[f]++;
		for (; at > 0 && stands_before(herd->plan[f], roster->herd[order[at - 1]].plan[f]);
			at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)added;
	}
}

bool roster_clash(const struct address_plan *a, const struct address_plan *b)
{
	const wide a_first = first_of(a), b_first = first_of(b);
	if (a->family != b->family || a_first + a->addresses <= b_first ||
		b_first + b->addresses <= a_first)
		return false;
	if (a_first != b_first || a->addresses != b->addresses)
		return true;
	return a->port_first <= b->port_last && b->port_first <= a->port_last;
}

/* The last place in the order whose plan begins at this address or before it; false: there is none. */
static bool last_before(const struct roster *roster, const struct address *address, unsigned *place)
{
	const uint8_t *order = roster->order[address->family];
	const wide number = number_of(address);
	unsigned low = 0, high = roster->sorted[address->family];
	while (low < high) {
		const unsigned middle = (low + high) / 2;
		if (first_of(roster->herd[order[middle]].plan[address->family]) <= number)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low - 1;
	return low > 0;
}

bool roster_search(const struct roster *roster, const struct address *address, uint16_t port,
	unsigned *herd, uint32_t *phone)
{
	const uint8_t *order = roster->order[address->family];
	unsigned place;
	if (!last_before(roster, address, &place))
		return false;
	/* Of those that share their addresses the one whose ports begin nearest below. */
	const struct address_plan *plan = roster->herd[order[place]].plan[address->family];
	const wide first = first_of(plan);
	while (port < plan->port_first && place > 0) {
		plan = roster->herd[order[--place]].plan[address->family];
		if (first_of(plan) != first)
			return false;
	}
	*herd = order[place];
	return address_plan_find(plan, address, port, phone) && *phone < roster->herd[*herd].end;
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
