/* SPDX-License-Identifier: BSD-3-Clause */
#include "location.h"

#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* One call of the sweep reads so many expiries and drops so many bindings at most. */
#define SWEEP_READ 16384u
#define SWEEP_DROP 256u
#define SWEEP_PASS_US 1000000u

#define HOST_MAX \
	256 /* of a host name in an address-of-record; longer ones are hashed cut short \
	     */

int location_open(struct location *location, uint32_t capacity)
{
	memset(location, 0, sizeof(*location));
	if (capacity == 0 || capacity == LOCATION_NONE)
		return -EINVAL;
	location->capacity = capacity;
	location->binding = memory_take((size_t)capacity * sizeof(location->binding[0]));
	location->expiry_ms = memory_take((size_t)capacity * sizeof(location->expiry_ms[0]));
	location->head = memory_take((size_t)capacity * sizeof(location->head[0]));
	if (location->binding == NULL || location->expiry_ms == NULL || location->head == NULL) {
		location_close(location);
		return -ENOMEM;
	}
	location_clear(location);
	return 0;
}

void location_close(struct location *location)
{
	memory_give(location->binding, (size_t)location->capacity * sizeof(location->binding[0]));
	memory_give(
		location->expiry_ms, (size_t)location->capacity * sizeof(location->expiry_ms[0]));
	memory_give(location->head, (size_t)location->capacity * sizeof(location->head[0]));
	memset(location, 0, sizeof(*location));
}

void location_clear(struct location *location)
{
	memset(location->head, 0xff, (size_t)location->capacity * sizeof(location->head[0]));
	location->fresh = 0;
	location->free = LOCATION_NONE;
	location->bindings = 0;
	location->aors = 0;
	location->sweep = location->reclaim = 0;
}

struct location_key location_key(
	uint64_t seed, const char *user, size_t user_length, const char *host, size_t host_length)
{
	char lower[HOST_MAX];
	if (host_length > sizeof(lower))
		host_length = sizeof(lower);
	for (size_t i = 0; i < host_length; i++)
		lower[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
	uint64_t hash = XXH3_64bits_withSeed(user, user_length, seed);
	return (struct location_key){
		.aor = XXH3_64bits_withSeed(lower, host_length, hash),
		.user = hash,
	};
}

/* The chain of a user: a share of the heads, by multiplication. */
static uint32_t *head_of(const struct location *location, uint64_t user)
{
	return &location->head[(user >> 32) * location->capacity >> 32];
}

static bool is_over(const struct location *location, uint32_t slot, uint32_t now_ms)
{
	return (int32_t)(location->expiry_ms[slot] - now_ms) <= 0;
}

static bool has_aor(const struct location *location, struct location_key key)
{
	uint32_t slot = *head_of(location, key.user);
	while (slot != LOCATION_NONE && location->binding[slot].aor != key.aor)
		slot = location->binding[slot].next;
	return slot != LOCATION_NONE;
}

void location_remove(struct location *location, uint32_t slot)
{
	struct location_binding *binding = &location->binding[slot];
	struct location_key key = {binding->aor, binding->user};
	uint32_t *link = head_of(location, key.user);
	while (*link != slot)
		link = &location->binding[*link].next;
	*link = binding->next;
	binding->next = location->free;
	location->free = slot;
	location->expiry_ms[slot] = 0;
	location->bindings--;
	if (!has_aor(location, key))
		location->aors--;
}

void location_find(struct location *location, struct location_key key, uint32_t now_ms,
	struct location_found *out)
{
	out->count = out->others = out->expired = 0;
	for (uint32_t slot = *head_of(location, key.user), next; slot != LOCATION_NONE;
		slot = next) {
		const struct location_binding *binding = &location->binding[slot];
		next = binding->next;
		if (binding->user != key.user)
			continue;
		if (is_over(location, slot, now_ms)) {
			location_remove(location, slot);
			out->expired++;
		} else if (binding->aor != key.aor) {
			out->others++;
		} else {
			out->slot[out->count++] = slot;
		}
	}
}

void location_fetch(const struct location *location, uint64_t seed, const char *user, size_t length,
	bool bindings)
{
	const uint32_t *head = head_of(location, XXH3_64bits_withSeed(user, length, seed));
	if (!bindings) {
		__builtin_prefetch(head, 1);
		return;
	}
	const uint32_t slot = *head != LOCATION_NONE ? *head : location->free;
	if (slot == LOCATION_NONE)
		return;
	const char *binding = (const char *)&location->binding[slot];
	__builtin_prefetch(binding, 1);
	__builtin_prefetch(binding + 64, 1); /* where a URI of usual length ends */
	__builtin_prefetch(&location->expiry_ms[slot], 1);
}

bool location_has_user(const struct location *location, uint64_t seed, const char *user,
	size_t length, uint32_t now_ms)
{
	uint64_t hash = XXH3_64bits_withSeed(user, length, seed);
	uint32_t slot = *head_of(location, hash);
	while (slot != LOCATION_NONE &&
		(location->binding[slot].user != hash || is_over(location, slot, now_ms)))
		slot = location->binding[slot].next;
	return slot != LOCATION_NONE;
}

void location_update(struct location *location, uint32_t slot,
	const struct location_contact *contact, uint32_t call_id, uint32_t cseq, uint32_t expiry_ms)
{
	struct location_binding *binding = &location->binding[slot];
	binding->call_id = call_id;
	binding->cseq = cseq;
	binding->length = contact->length;
	binding->host_at = contact->host_at;
	binding->host_length = contact->host_length;
	memcpy(binding->uri, contact->uri, contact->length);
	/* Zero marks a free slot; a millisecond more does no harm. */
	location->expiry_ms[slot] = expiry_ms ? expiry_ms : 1;
}

void location_add(struct location *location, struct location_key key,
	const struct location_contact *contact, uint32_t call_id, uint32_t cseq, uint32_t expiry_ms)
{
	uint32_t slot = location->free;
	if (slot != LOCATION_NONE)
		location->free = location->binding[slot].next;
	else
		slot = location->fresh++;
	if (!has_aor(location, key))
		location->aors++;
	struct location_binding *binding = &location->binding[slot];
	uint32_t *head = head_of(location, key.user);
	binding->aor = key.aor;
	binding->user = key.user;
	binding->next = *head;
	*head = slot;
	location->bindings++;
	location_update(location, slot, contact, call_id, cseq, expiry_ms);
}

uint32_t location_remaining_s(const struct location *location, uint32_t slot, uint32_t now_ms)
{
	uint32_t seconds = (location->expiry_ms[slot] - now_ms) / 1000;
	return seconds > 0 ? seconds : 1;
}

bool location_same_contact(const struct location_contact *a, const struct location_contact *b)
{
	if (a->length != b->length || a->host_at != b->host_at || a->host_length != b->host_length)
		return false;
	if (memcmp(a->uri, b->uri, a->length) == 0)
		return true;
	size_t after = (size_t)a->host_at + a->host_length;
	return memcmp(a->uri, b->uri, a->host_at) == 0 &&
	       strncasecmp(a->uri + a->host_at, b->uri + b->host_at, a->host_length) == 0 &&
	       memcmp(a->uri + after, b->uri + after, a->length - after) == 0;
}

uint32_t location_sweep(struct location *location, uint64_t now_us, bool *behind)
{
	uint32_t dropped = 0, now_ms = (uint32_t)(now_us / 1000);
	uint64_t elapsed_us = now_us - location->sweep_us;
	uint64_t target = location->fresh;
	if (elapsed_us < SWEEP_PASS_US)
		target = target * elapsed_us / SWEEP_PASS_US;
	uint64_t limit = (uint64_t)location->sweep + SWEEP_READ;
	*behind = limit < target;
	if (*behind)
		target = limit;
	while (location->sweep < target && dropped < SWEEP_DROP) {
		uint32_t slot = location->sweep++;
		if (location->expiry_ms[slot] == 0 || !is_over(location, slot, now_ms))
			continue;
		location_remove(location, slot);
		dropped++;
	}
	*behind |= location->sweep < target;
	if (!*behind && elapsed_us >= SWEEP_PASS_US) {
		location->sweep = 0;
		location->sweep_us = now_us;
	}
	return dropped;
}

uint32_t location_make_room(struct location *location, uint32_t needed, uint32_t now_ms)
{
	uint32_t dropped = 0;
	uint32_t reads = location->fresh < SWEEP_READ ? location->fresh : SWEEP_READ;
	for (; reads > 0 && location_room(location) < needed; reads--) {
		if (location->reclaim >= location->fresh)
			location->reclaim = 0;
		uint32_t slot = location->reclaim++;
		if (location->expiry_ms[slot] == 0 || !is_over(location, slot, now_ms))
			continue;
		location_remove(location, slot);
		dropped++;
	}
	return dropped;
}
