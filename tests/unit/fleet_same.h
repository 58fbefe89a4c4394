/* SPDX-License-Identifier: BSD-3-Clause */
/* Are two fleets the same, but for where their keys were written? For the property test and the
 * fuzzers, which both ask that what was written reads back. */
#ifndef SIPHERD_FLEET_SAME_H
#define SIPHERD_FLEET_SAME_H

#include <stdlib.h>
#include <string.h>

#include "fleet_table.h"

/* Values only: no places, no pointers, nothing that is made from other fields, and nothing of the
 * store that is never written. */
static inline struct fleet *fleet_bare(const struct fleet *fleet)
{
	struct fleet *bare = malloc(sizeof(*bare));
	if (bare == NULL)
		abort();
	memcpy(bare, fleet, sizeof(*bare));
	memset(bare->path, 0, sizeof(bare->path));
	memset(bare->place, 0, sizeof(bare->place));
	memset(bare->plan, 0, sizeof(bare->plan));
	memset(bare->target.user, 0, sizeof(bare->target.user));
	memset(bare->target.password, 0, sizeof(bare->target.password));
	bare->identities = NULL;
	bare->drill = NULL;
	bare->entry = NULL;
	bare->herd = NULL;
	bare->imported_rows = false;
	bare->unknown_keys = 0;
	return bare;
}

static inline bool same_identity(const struct fleet *a, const struct fleet *b, uint32_t index)
{
	static size_t (*const part[])(const struct identity_set *set, uint32_t index,
		char out[IDENTITY_TEXT_MAX]) = {identity_user, identity_auth, identity_password};
	char text[2][IDENTITY_TEXT_MAX];
	uint8_t ha1[2][32];
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		size_t length = part[i](a->identities, index, text[0]);
		if (length != part[i](b->identities, index, text[1]) ||
			memcmp(text[0], text[1], length) != 0)
			return false;
	}
	size_t length = identity_ha1(a->identities, index, ha1[0]);
	return length == identity_ha1(b->identities, index, ha1[1]) &&
	       memcmp(ha1[0], ha1[1], length) == 0;
}

static inline bool same_drills(const struct fleet *a, const struct fleet *b)
{
	for (uint32_t i = 0; a->drills == b->drills && i < a->drills; i++) {
		const struct fleet_drill *one = &a->drill[i], *other = &b->drill[i];
		if (memcmp(one->name, other->name, sizeof(one->name)) != 0 ||
			one->requests != other->requests ||
			memcmp(one->request, other->request, sizeof(one->request)) != 0)
			return false;
	}
	return a->drills == b->drills;
}

/* NULL, or the first thing that differs. */
static inline const char *fleet_difference(const struct fleet *a, const struct fleet *b)
{
	static char text[2][FLEET_VALUE_MAX];
	for (size_t i = 0; i < fleet_keys_count; i++) {
		fleet_key_text(a, &fleet_keys[i], text[0]);
		fleet_key_text(b, &fleet_keys[i], text[1]);
		if (strcmp(text[0], text[1]) != 0)
			return fleet_keys[i].path;
	}
	struct fleet *bare[2] = {fleet_bare(a), fleet_bare(b)};
	bool same = memcmp(bare[0], bare[1], sizeof(*bare[0])) == 0;
	free(bare[0]);
	free(bare[1]);
	if (!same)
		return "a derived value, a hook or a gate";
	if (!same_drills(a, b))
		return "a drill";
	for (uint32_t h = 0; h < a->herds; h++) {
		const char *difference = fleet_difference(&a->herd[h], &b->herd[h]);
		if (difference != NULL)
			return difference;
	}
	for (uint32_t i = 0; i < a->phones && i < 3; i++) {
		if (!same_identity(a, b, a->begin + i))
			return "an identity";
	}
	return same_identity(a, b, a->phones - 1) ? NULL : "the last identity";
}

#endif
