/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One flat timer wheel: 65536 slots of 1 ms, each a chain of 64-byte chunks of phone indices.
 *
 * An entry is only a hint "look at this phone around now". The owner keeps its true deadlines and
 * where its live entry is queued, and ignores entries it has moved on from; so nothing is ever
 * removed, and moving a deadline later costs nothing (lazy deadlines). Chunks instead of links
 * through the records, because a chunk tells fourteen phones ahead what to prefetch: the links of
 * LIMITS.md's linked wheel are a cache miss each.
 *
 * Times are ms modulo 2^32. Memory is taken once; a full pool refuses the entry.
 */
#ifndef SIPHERD_WHEEL_H
#define SIPHERD_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 65536u
#define WHEEL_HORIZON_MS (WHEEL_SLOTS - 1)

struct wheel;

/* Room for at least `entries` at once, however they are spread. NULL: out of memory. */
struct wheel *wheel_create(uint32_t entries, uint32_t now_ms);
void wheel_free(struct wheel *wheel);

/*
 * Queue an index at `at_ms`; beyond the horizon it is queued at the horizon, in the past at the
 * next slot to be visited. Returns the time it was queued at through queued_ms; false: pool
 * exhausted.
 */
bool wheel_add(struct wheel *wheel, uint32_t index, uint32_t at_ms, uint32_t *queued_ms);

/*
 * Take up to `budget` entries of the oldest slot that is due at now_ms; writes their indices and
 * the slot's time. Returns how many; 0 means the wheel has caught up with now_ms. Entries taken are
 * gone: whoever is still waiting is added again.
 */
uint32_t wheel_take(struct wheel *wheel, uint32_t now_ms, uint32_t *indices, uint32_t budget,
	uint32_t *slot_ms);

/* The next slot to be visited. */
uint32_t wheel_now_ms(const struct wheel *wheel);
uint32_t wheel_entries(const struct wheel *wheel);
/* Bytes the wheel has taken. */
uint64_t wheel_memory(const struct wheel *wheel);

/* The time of the first slot that has entries, at most within_ms from the next visit: how long one
 * may sleep. */
uint32_t wheel_next_ms(const struct wheel *wheel, uint32_t within_ms);

#endif
