/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 65536u
#define WORDS (SLOTS / 64)
#define NONE UINT32_MAX
#define CHUNK 4096u /* blocks taken from malloc at once */
#define CHUNKS 4096u

struct pending {
	uint64_t at_us, order;
	uint32_t event;
};

struct queue {
	struct event *event;
	struct pending *heap; /* the current slot */
	uint8_t *chunk[CHUNKS];
	uint32_t *free_block;
	uint64_t now_ms, order, occupied[WORDS];
	uint32_t events, event_room, event_free, live;
	uint32_t heap_count, heap_room;
	uint32_t chunks, free_blocks;
	uint32_t slot[SLOTS];
};

static void *grown(void *memory, size_t bytes)
{
	void *result = realloc(memory, bytes);
	if (!result)
		abort(); /* A test without memory has nothing to tell. */
	return result;
}

struct queue *queue_create(void)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		abort();
	memset(queue->slot, 0xff, sizeof(queue->slot));
	queue->event_free = NONE;
	return queue;
}

void queue_free(struct queue *queue)
{
	for (uint32_t i = 0; i < queue->chunks; i++)
		free(queue->chunk[i]);
	free(queue->free_block);
	free(queue->event);
	free(queue->heap);
	free(queue);
}

static void more_blocks(struct queue *queue)
{
	assert(queue->chunks < CHUNKS);
	uint32_t first = queue->chunks * CHUNK;
	queue->chunk[queue->chunks++] = grown(NULL, (size_t)CHUNK * QUEUE_BLOCK);
	queue->free_block = grown(
		queue->free_block, (size_t)queue->chunks * CHUNK * sizeof(uint32_t));
	for (uint32_t i = 0; i < CHUNK; i++)
		queue->free_block[queue->free_blocks++] = first + CHUNK - 1 - i;
}

uint32_t queue_block_take(struct queue *queue)
{
	if (queue->free_blocks == 0)
		more_blocks(queue);
	return queue->free_block[--queue->free_blocks];
}

void queue_block_give(struct queue *queue, uint32_t block)
{
	queue->free_block[queue->free_blocks++] = block;
}

uint8_t *queue_block(struct queue *queue, uint32_t block)
{
	return queue->chunk[block / CHUNK] + (size_t)(block % CHUNK) * QUEUE_BLOCK;
}

uint32_t queue_blocks(const struct queue *queue)
{
	return queue->chunks * CHUNK - queue->free_blocks;
}

static uint32_t new_event(struct queue *queue)
{
	uint32_t index = queue->event_free;
	if (index != NONE) {
		queue->event_free = queue->event[index].next;
		return index;
	}
	if (queue->events == queue->event_room) {
		queue->event_room = queue->event_room ? 2 * queue->event_room : 4096;
		queue->event = grown(queue->event, queue->event_room * sizeof(struct event));
	}
	return queue->events++;
}

static bool earlier(const struct pending *a, const struct pending *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_push(struct queue *queue, uint32_t index)
{
	if (queue->heap_count == queue->heap_room) {
		queue->heap_room = queue->heap_room ? 2 * queue->heap_room : 1024;
		queue->heap = grown(queue->heap, queue->heap_room * sizeof(struct pending));
	}
	struct pending entry = {queue->event[index].at_us, queue->event[index].order, index};
	uint32_t i = queue->heap_count++;
	for (; i > 0 && earlier(&entry, &queue->heap[(i - 1) / 2]); i = (i - 1) / 2)
		queue->heap[i] = queue->heap[(i - 1) / 2];
	queue->heap[i] = entry;
}

static uint32_t heap_pop(struct queue *queue)
{
	uint32_t result = queue->heap[0].event, i = 0;
	struct pending entry = queue->heap[--queue->heap_count];
	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= queue->heap_count)
			break;
		if (child + 1 < queue->heap_count &&
			earlier(&queue->heap[child + 1], &queue->heap[child]))
			child++;
		if (!earlier(&queue->heap[child], &entry))
			break;
		queue->heap[i] = queue->heap[child];
		i = child;
	}
	queue->heap[i] = entry;
	return result;
}

/* Into the slot of its time; what lies beyond the calendar waits in its last slot. */
static void place(struct queue *queue, uint32_t index)
{
	uint64_t at_ms = queue->event[index].at_us / 1000;
	if (at_ms <= queue->now_ms) {
		heap_push(queue, index);
		return;
	}
	if (at_ms - queue->now_ms >= SLOTS)
		at_ms = queue->now_ms + SLOTS - 1;
	uint32_t slot = at_ms % SLOTS;
	queue->event[index].next = queue->slot[slot];
	queue->slot[slot] = index;
	queue->occupied[slot / 64] |= 1ull << slot % 64;
}

void queue_add(struct queue *queue, const struct event *event)
{
	uint32_t index = new_event(queue);
	queue->event[index] = *event;
	queue->event[index].order = queue->order++;
	queue->live++;
	place(queue, index);
}

uint64_t queue_next_ms(const struct queue *queue, uint64_t limit_ms)
{
	if (queue->heap_count > 0)
		return queue->now_ms < limit_ms ? queue->now_ms : limit_ms;
	uint64_t at = queue->now_ms + 1, end = queue->now_ms + SLOTS;
	if (end > limit_ms)
		end = limit_ms;
	while (at < end) {
		uint64_t word = queue->occupied[at % SLOTS / 64] >> at % 64;
		if (word) {
			at += (uint64_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at | 63) + 1;
	}
	/* Nothing within the calendar's reach is nothing at all: far events wait in its last slot. */
	return limit_ms;
}

void queue_open(struct queue *queue, uint64_t slot_ms)
{
	uint32_t slot = slot_ms % SLOTS, index = queue->slot[slot];
	queue->now_ms = slot_ms;
	queue->slot[slot] = NONE;
	queue->occupied[slot / 64] &= ~(1ull << slot % 64);
	while (index != NONE) {
		uint32_t next = queue->event[index].next;
		place(queue, index);
		index = next;
	}
}

bool queue_take(struct queue *queue, struct event *out)
{
	if (queue->heap_count == 0)
		return false;
	uint32_t index = heap_pop(queue);
	*out = queue->event[index];
	queue->event[index].next = queue->event_free;
	queue->event_free = index;
	queue->live--;
	return true;
}

uint32_t queue_events(const struct queue *queue)
{
	return queue->live;
}

uint64_t queue_memory(const struct queue *queue)
{
	return sizeof(*queue) + queue->event_room * sizeof(struct event) +
	       queue->heap_room * sizeof(struct pending) +
	       (uint64_t)queue->chunks * CHUNK * (QUEUE_BLOCK + sizeof(uint32_t));
}
