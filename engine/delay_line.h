/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A first-in first-out ring of datagrams that wait a constant time: the registrar's delay fault.
 *
 * Each keeps the time it came in, not the time it is due, so that a changed delay applies to all
 * that wait, in order and without loss. Memory is taken once. Owned by one thread.
 */
#ifndef SIPHERD_DELAY_LINE_H
#define SIPHERD_DELAY_LINE_H

#include "address.h"

struct delay_line {
	uint8_t *ring;
	size_t size, head,
		tail; /* bytes; head is the oldest, head == tail and waiting == 0: empty */
	uint32_t waiting;
};

struct delayed {
	uint64_t since_us;
	struct endpoint to;
	uint16_t length;
};

int delay_line_open(struct delay_line *line, size_t bytes); /* -ENOMEM */
void delay_line_close(struct delay_line *line);
void delay_line_clear(struct delay_line *line);

/* Room for one more of `length` bytes, which the caller fills; NULL: full. */
uint8_t *delay_line_put(
	struct delay_line *line, const struct endpoint *to, uint16_t length, uint64_t now_us);

/* The oldest, or NULL; its bytes follow the record. */
const struct delayed *delay_line_oldest(struct delay_line *line);
static inline const uint8_t *delayed_bytes(const struct delayed *delayed)
{
	return (const uint8_t *)(delayed + 1);
}

/* Take the oldest out; there must be one. */
void delay_line_drop(struct delay_line *line);

#endif
