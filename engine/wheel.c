/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

#include "memory.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_ENTRIES 14
#define NO_CHUNK UINT32_MAX
#define WORDS (WHEEL_SLOTS / 64)

struct chunk {
	uint32_t next, count;
	uint32_t entry[CHUNK_ENTRIES];
};
static_assert(sizeof(struct chunk) == 64, "a chunk is one cache line");

struct wheel {
	uint32_t now_ms; /* the next slot to be visited */
	uint32_t entries;
	uint32_t free;  /* first chunk given back, linked through next */
	uint32_t fresh; /* chunks used so far: memory behind them has never been touched */
	uint32_t chunks;
	struct chunk *chunk;
	uint64_t occupied[WORDS]; /* one bit per slot, so that empty time costs nothing */
	uint32_t head[WHEEL_SLOTS];
};

struct wheel *wheel_create(uint32_t entries, uint32_t now_ms)
{
	/* Only the head of a slot's chain may be partly filled, so one chunk per slot and the full
	 * ones always suffice. */
	uint64_t chunks = (uint64_t)entries / CHUNK_ENTRIES + 1 +
			  (entries < WHEEL_SLOTS ? entries : WHEEL_SLOTS);
	struct wheel *wheel = calloc(1, sizeof(*wheel));
	if (wheel == NULL)
		return NULL;
	wheel->chunk = memory_take(chunks * sizeof(struct chunk));
	if (wheel->chunk == NULL) {
		free(wheel);
		return NULL;
	}
	wheel->now_ms = now_ms;
	wheel->chunks = (uint32_t)chunks;
	wheel->free = NO_CHUNK;
	for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
		wheel->head[i] = NO_CHUNK;
	return wheel;
}

void wheel_free(struct wheel *wheel)
{
	if (wheel == NULL)
		return;
	memory_give(wheel->chunk, wheel->chunks * sizeof(struct chunk));
	free(wheel);
}

static uint32_t take_chunk(struct wheel *wheel)
{
	const uint32_t chunk = wheel->free;
	if (chunk == NO_CHUNK)
		return wheel->fresh < wheel->chunks ? wheel->fresh++ : NO_CHUNK;
	wheel->free = wheel->chunk[chunk].next;
	return chunk;
}

bool wheel_add(struct wheel *wheel, uint32_t index, uint32_t at_ms, uint32_t *queued_ms)
{
	uint32_t ahead = at_ms - wheel->now_ms;
	if ((int32_t)ahead < 0)
		ahead = 0;
	if (ahead > WHEEL_HORIZON_MS)
		ahead = WHEEL_HORIZON_MS;
	uint32_t at = wheel->now_ms + ahead, slot = at % WHEEL_SLOTS;
	uint32_t head = wheel->head[slot];
	if (head == NO_CHUNK || wheel->chunk[head].count == CHUNK_ENTRIES) {
		const uint32_t fresh = take_chunk(wheel);
		if (fresh == NO_CHUNK)
			return false;
		wheel->chunk[fresh].next = head;
		wheel->chunk[fresh].count = 0;
		wheel->head[slot] = head = fresh;
		wheel->occupied[slot / 64] |= 1ull << (slot % 64);
	}
	struct chunk *chunk = &wheel->chunk[head];
	chunk->entry[chunk->count++] = index;
	wheel->entries++;
	*queued_ms = at;
	return true;
}

/* Slots from the next visit to the first occupied one, at most `within`. */
static uint32_t slots_to_occupied(const struct wheel *wheel, uint32_t within)
{
	uint32_t slot = wheel->now_ms % WHEEL_SLOTS, word = slot / 64, skipped = 0;
	uint64_t bits = wheel->occupied[word] >> (slot % 64);
	if (bits != 0) {
		uint32_t first = (uint32_t)__builtin_ctzll(bits);
		return first < within ? first : within;
	}
	skipped = 64 - slot % 64;
	while (skipped < within && skipped < WHEEL_SLOTS) {
		word = (word + 1) % WORDS;
		bits = wheel->occupied[word];
		if (bits != 0) {
			skipped += (uint32_t)__builtin_ctzll(bits);
			break;
		}
		skipped += 64;
	}
	return skipped < within ? skipped : within;
}

uint32_t wheel_take(
	struct wheel *wheel, uint32_t now_ms, uint32_t *indices, uint32_t budget, uint32_t *slot_ms)
{
	int32_t due = (int32_t)(now_ms - wheel->now_ms);
	if (due < 0)
		return 0;
	uint32_t slots = (uint32_t)due + 1;
	uint32_t skip = wheel->entries == 0 ? slots : slots_to_occupied(wheel, slots);
	wheel->now_ms += skip;
	if (skip == slots)
		return 0;
	uint32_t slot = wheel->now_ms % WHEEL_SLOTS, taken = 0;
	uint32_t head = wheel->head[slot];
	while (head != NO_CHUNK && taken < budget) {
		struct chunk *chunk = &wheel->chunk[head];
		while (chunk->count > 0 && taken < budget)
			indices[taken++] = chunk->entry[--chunk->count];
		if (chunk->count > 0)
			break;
		uint32_t next = chunk->next;
		chunk->next = wheel->free;
		wheel->free = head;
		head = next;
		if (head != NO_CHUNK)
			__builtin_prefetch(&wheel->chunk[head]);
	}
	wheel->head[slot] = head;
	if (head == NO_CHUNK)
		wheel->occupied[slot / 64] &= ~(1ull << (slot % 64));
	wheel->entries -= taken;
	*slot_ms = wheel->now_ms;
	return taken;
}

uint32_t wheel_now_ms(const struct wheel *wheel)
{
	return wheel->now_ms;
}

uint32_t wheel_entries(const struct wheel *wheel)
{
	return wheel->entries;
}

uint64_t wheel_memory(const struct wheel *wheel)
{
	return sizeof(*wheel) + (uint64_t)wheel->chunks * sizeof(struct chunk);
}

uint32_t wheel_next_ms(const struct wheel *wheel, uint32_t within_ms)
{
	if (wheel->entries == 0)
		return wheel->now_ms + within_ms;
	return wheel->now_ms + slots_to_occupied(wheel, within_ms);
}
