/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagrams that wait each until a moment of its own: what comes later by a delay with jitter. Of those
 * with the same moment the first to come is the first to go.
 *
 * Moments are whole milliseconds. Memory is reserved once and used only as far as datagrams have waited
 * at the same time; what finds no room is refused. Owned by one thread.
 */
#ifndef SIPHERD_JITTER_LINE_H
#define SIPHERD_JITTER_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phone.h"

#define JITTER_LINE_REACH_MS 65535u /* who would wait longer waits so long */

struct jitter_line {
	uint64_t next_ms; /* when the next one goes; UINT64_MAX: none waits */
	struct jitter_slots *slots;
	struct jitter_chunk *chunk;
	uint32_t chunks, fresh; /* that there are; that have been used so far */
	uint32_t free;          /* first chunk given back */
	uint8_t *text;          /* a datagram of several chunks in one piece */
};

struct waiting {
	uint32_t phone;
	enum proxy proxy;
	const uint8_t *datagram;
	uint16_t length;
};

/* -ENOMEM */
int jitter_line_open(struct jitter_line *line, size_t bytes);
void jitter_line_close(struct jitter_line *line);

/* Keep a copy until due_ms, which is now or later. False: no room. */
bool jitter_line_put(
	struct jitter_line *line, const struct waiting *waiting, uint64_t now_ms, uint64_t due_ms);

/* Take the next one; there must be one. Its datagram stays until the next put or take. */
void jitter_line_take(struct jitter_line *line, struct waiting *out);

/* Bytes of the tables, without the datagrams. */
uint64_t jitter_line_memory(void);

#endif
