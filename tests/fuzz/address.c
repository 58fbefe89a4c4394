/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text as an address and as a plan: whatever is accepted must enumerate and find the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

#define TEXT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void address_text_goes_round(const char *text)
{
	struct address address, back;
	char canonical[ADDRESS_TEXT_MAX];
	if (address_parse(text, &address) != 0)
		return;
	demand(address_format(&address, canonical) == strlen(canonical));
	demand(address_parse(canonical, &back) == 0 && address_equal(&address, &back));
}

static void phone_goes_round(const struct address_plan *plan, uint32_t index)
{
	struct address address;
	uint16_t port;
	uint32_t found;
	address_plan_at(plan, index, &address, &port);
	demand(address_plan_contains(plan, &address));
	demand(address_plan_find(plan, &address, port, &found) && found == index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX];
	struct address_plan plan;
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	address_text_goes_round(text);
	if (address_plan_parse(text, &plan) != 0)
		return 0;
	/* Punch holes at the plan's own addresses, as a gateway and proxies would. */
	for (unsigned round = 0; round < 4; round++) {
		uint64_t capacity = address_plan_capacity(&plan);
		if (capacity == 0)
			return 0;
		uint32_t last = (uint32_t)(capacity - 1);
		const uint32_t index[] = {
			0, last, last / 2, last / 3, (uint32_t)size * 7919u % (last | 1)};
		for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++)
			phone_goes_round(&plan, index[i]);
		struct address hole;
		uint16_t port;
		address_plan_at(&plan, index[(size + round) % 5], &hole, &port);
		demand(address_plan_exclude(&plan, &hole) == 0);
		demand(!address_plan_contains(&plan, &hole));
	}
	return 0;
}
