/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Server-sent events: one ring of events for all who listen, each of whom has a place in it.
 *
 * An event is written once, numbered, and kept for STREAM_REPLAY_S seconds or until STREAM_BYTES are
 * used up. A listener is only a position: who falls out of the ring's end has been too slow and is
 * dropped. The identifier on the wire is RUN.NUMBER, so that a reader who comes back after a restart
 * of sipherd is not taken for one of this run. Pure: no sockets, no clock; control thread only.
 */
#ifndef SIPHERD_STREAM_H
#define SIPHERD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_REPLAY_S 60
#define STREAM_BYTES (64u << 20)

struct stream;

/* run: of the identifiers, such as hexadecimal random bits; no dots. NULL: out of memory. */
struct stream *stream_open(const char *run);
void stream_close(struct stream *stream);

/* An event of this name; data has no line break in it. Its number. Too long a text is never lost
 * silently: it takes a number and becomes a resync for all listeners (they are dropped). */
uint64_t stream_add(
	struct stream *stream, const char *name, const char *data, size_t length, uint64_t now_us);

/* A new listener's position: behind the event that Last-Event-ID names (NULL: none given) when it is
 * of this run and still there, else at the end, and *replayed says which. */
uint64_t stream_begin(const struct stream *stream, const char *last_id, bool *replayed);

/* Copy at most `room` bytes of what comes at *position, which moves on; whole events need not fit.
 * 0: nothing yet. -1: it fell out of the ring. */
long stream_read(struct stream *stream, uint64_t *position, char *out, size_t room);

/* The number of the newest event, 0 before the first. */
uint64_t stream_newest(const struct stream *stream);
const char *stream_run(const struct stream *stream);

#endif
