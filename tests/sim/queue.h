/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is going to happen: events by virtual time, and the datagrams that travel with them.
 *
 * A calendar of 65536 slots of 1 ms; the slot that is being worked through is a small heap, so that
 * events leave in the order of their microsecond, and in the order they came within one. Events and
 * datagram blocks are pooled and used again: millions may be in flight.
 */
#ifndef SIPHERD_SIM_QUEUE_H
#define SIPHERD_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_BLOCK 2816 /* longest datagram that may travel */
#define QUEUE_NO_BLOCK UINT32_MAX

enum event_kind { EVENT_TO_PROXY, EVENT_TO_PHONE, EVENT_LOOK };

struct event {
	uint64_t at_us, order; /* order is the queue's */
	uint32_t next;         /* the queue's */
	uint32_t block;        /* of the datagram, or QUEUE_NO_BLOCK */
	uint32_t phone;
	uint16_t length;
	uint8_t kind; /* enum event_kind */
	uint8_t proxy;
};

struct queue;

struct queue *queue_create(void);
void queue_free(struct queue *queue);

uint32_t queue_block_take(struct queue *queue);
void queue_block_give(struct queue *queue, uint32_t block);
uint8_t *queue_block(struct queue *queue, uint32_t block);
/* Blocks in use; what a leak test looks at. */
uint32_t queue_blocks(const struct queue *queue);

/* Queue a copy of *event; a time in the past counts as now. */
void queue_add(struct queue *queue, const struct event *event);

/* The next slot with an event at or after the current one, at most limit_ms. */
uint64_t queue_next_ms(const struct queue *queue, uint64_t limit_ms);

/* Make slot_ms current; slots in between must be empty. */
void queue_open(struct queue *queue, uint64_t slot_ms);

/* Take the next event of the current slot; false when it has no more. */
bool queue_take(struct queue *queue, struct event *out);

uint32_t queue_events(const struct queue *queue);
uint64_t queue_memory(const struct queue *queue);

#endif
