/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "announce.h"

#define FRAME_PRICE_US (1000000 / ANNOUNCE_PER_S)
#define BURST_PRICE_US (ANNOUNCE_BURST * FRAME_PRICE_US)

int announcer_open(struct announcer *announcer, uint32_t capacity, uint32_t phones)
{
	*announcer = (struct announcer){.capacity = capacity, .phones = phones};
	announcer->once.range = calloc(capacity, sizeof(struct announce_range));
	announcer->again.range = calloc(capacity, sizeof(struct announce_range));
	if (announcer->once.range && announcer->again.range)
		return 0;
	announcer_close(announcer);
	return -ENOMEM;
}

void announcer_close(struct announcer *announcer)
{
	free(announcer->once.range);
	free(announcer->again.range);
	*announcer = (struct announcer){0};
}

static void push(struct announcer *announcer, struct announce_queue *queue,
	const struct announce_range *range)
{
	const uint32_t room = announcer->capacity - queue->head;
	queue->range[queue->count < room ? queue->head + queue->count : queue->count - room] =
		*range;
	queue->count++;
}

static void pop(struct announcer *announcer, struct announce_queue *queue)
{
	queue->count--;
	if (++queue->head == announcer->capacity)
		queue->head = 0;
}

bool announcer_add(struct announcer *announcer, uint32_t first, uint32_t count)
{
	/* Each range has its place in the second queue as well. */
	if (announcer->once.count + announcer->again.count >= announcer->capacity)
		return false;
	if (first >= announcer->phones || !count)
		return true;
	const uint32_t left = announcer->phones - first;
	const struct announce_range range = {
		.first = first, .next = first, .end = first + (count < left ? count : left)};
	push(announcer, &announcer->once, &range);
	return true;
}

/* The first phone of the shard after this one's, but not beyond the end. */
static uint32_t next_shard(uint32_t phone, uint32_t end)
{
	const uint32_t left = SHARD_PHONES - phone % SHARD_PHONES;
	return end - phone > left ? phone + left : end;
}

/* The next address of the range in its family; phones that share one with the phone before them, those
 * that are not here any more, and herds without an address of the family are passed over. */
static bool next_address(
	struct announce_range *range, const struct neighbours *neighbours, struct address *out)
{
	const struct roster *roster = neighbours->roster;
	while (range->next < range->end) {
		const uint32_t phone = range->next;
		const struct roster_herd *herd = &roster->herd[roster_herd_of(roster, phone)];
		const struct address_plan *plan = herd->plan[range->family];
		const uint32_t end = herd->end < range->end ? herd->end : range->end;
		const uint32_t left = end - phone;
		uint16_t port;
		if (!plan || !neighbours_here(neighbours, phone)) {
			range->next = plan ? next_shard(phone, end) : end;
			continue;
		}
		address_plan_at(plan, phone, out, &port);
		const uint32_t step = plan->ports - (port - plan->port_first);
		range->next += step < left ? step : left;
		if (port == plan->port_first)
			return true;
	}
	return false;
}

/* False: the range has no address left. */
static bool next_of_range(
	struct announce_range *range, const struct neighbours *neighbours, struct address *out)
{
	for (; range->family < ADDRESS_FAMILIES; range->family++, range->next = range->first)
		if (next_address(range, neighbours, out))
			return true;
	return false;
}

/* A range was announced as a whole: once more in a while, or never again. */
static void end_range(
	struct announcer *announcer, struct announce_queue *queue, struct announce_range *range)
{
	const struct announce_range again = {.first = range->first,
		.next = range->first,
		.end = range->end,
		.begun_us = range->begun_us};
	pop(announcer, queue);
	if (queue == &announcer->once)
		push(announcer, &announcer->again, &again);
}

static struct announce_queue *due_queue(struct announcer *announcer, uint64_t now_us)
{
	const struct announce_queue *again = &announcer->again;
	if (again->count && again->range[again->head].begun_us + ANNOUNCE_AGAIN_US <= now_us)
		return &announcer->again;
	return announcer->once.count ? &announcer->once : NULL;
}

/* Is a frame within the rate? Nothing is saved up beyond one burst. */
static bool affordable(struct announcer *announcer, uint64_t now_us)
{
	if (announcer->paid_us + BURST_PRICE_US < now_us)
		announcer->paid_us = now_us - BURST_PRICE_US;
	return announcer->paid_us + FRAME_PRICE_US <= now_us;
}

size_t announcer_next(struct announcer *announcer, const struct neighbours *neighbours,
	uint64_t now_us, uint8_t out[FRAME_REQUEST_MAX])
{
	struct announce_queue *queue;
	while ((queue = due_queue(announcer, now_us)) && affordable(announcer, now_us)) {
		struct announce_range *range = &queue->range[queue->head];
		struct address address;
		if (queue == &announcer->once && range->next == range->first)
			range->begun_us = now_us;
		if (next_of_range(range, neighbours, &address)) {
			announcer->paid_us += FRAME_PRICE_US;
			return neighbours_announce(neighbours, &address, out);
		}
		end_range(announcer, queue, range);
	}
	return 0;
}
