/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces: copies of the datagrams of a few phones, from the workers that own them to the control
 * thread, which keeps the newest of each.
 *
 * A station has a tap. Whether a phone is traced at all costs a frame one word to look at; only then
 * a list of sixteen is read, and only then the frame is copied into the worker's ring. The ring is
 * bounded: what does not fit is lost and counted. Its memory is made when the first of a worker's
 * phones is traced, and lives as long as the wire.
 *
 * Pure: no EAL, no clock, no threads of its own; whoever writes a field is said beside it.
 */
#ifndef SIPHERD_TRACE_H
#define SIPHERD_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define TRACE_SLOTS 256u      /* datagrams on their way from one worker; a power of two */
#define TRACE_NONE UINT32_MAX /* no phone */

/* One datagram on its way; unix_us of the message is the herd's clock as yet. */
struct trace_slot {
	uint32_t phone;
	bool open; /* its UDP checksum may have been left to hardware */
	struct wire_message message;
};

struct trace_ring {
	_Atomic uint32_t
		phone[WIRE_TRACES]; /* of this worker, or TRACE_NONE; control thread writes */
	_Alignas(64) _Atomic uint32_t put;   /* worker writes */
	_Atomic uint32_t dropped;            /* worker writes */
	_Alignas(64) _Atomic uint32_t taken; /* control thread writes */
	struct trace_slot slot[TRACE_SLOTS]; /* worker writes those between put and taken + N */
};

struct trace_tap {
	_Atomic uint64_t filter;           /* bits of traced phones; control thread writes */
	_Atomic(struct trace_ring *) ring; /* control thread writes, before the first bit */
};

/* One of 64, spread over phones that one worker owns as well as over all. */
static inline unsigned trace_bit(uint32_t phone)
{
	return (phone * 0x9e3779b1u) >> 26;
}

/* --- For workers --- */

/* False: not this phone. True: perhaps. */
static inline bool trace_may_want(const struct trace_tap *tap, uint32_t phone)
{
	return atomic_load_explicit(&tap->filter, memory_order_relaxed) >> trace_bit(phone) & 1;
}

/* A frame and its datagram. */
struct trace_frame {
	const uint8_t *bytes;
	uint32_t length;
	const uint8_t *payload; /* into bytes */
	uint16_t payload_length;
	uint64_t now_us;
	uint8_t proxy;
	bool inbound, open;
};

/* Copy it into the ring if this phone is traced. */
void trace_put(struct trace_tap *tap, uint32_t phone, const struct trace_frame *frame);

/* --- For the control thread --- */

struct trace_entry {
	uint32_t phone;          /* TRACE_NONE: free */
	uint32_t dropped_before; /* by all workers, when this trace began */
	uint64_t since_unix_us;
	uint64_t asked; /* the book's count when it was asked for last */
	uint32_t put;   /* messages so far: the next goes to put % WIRE_TRACE_MESSAGES */
	struct wire_message *message;
};

struct trace_book {
	struct trace_entry entry[WIRE_TRACES];
	uint64_t asked;
};

void trace_book_open(struct trace_book *book);
void trace_book_close(struct trace_book *book);
/* The trace of this phone, which has been asked for now; NULL: it is not traced. */
struct trace_entry *trace_find(struct trace_book *book, uint32_t phone);
/* The entry for a new trace: a free one, or of the phone that was not asked for the longest. It is
 * empty. NULL: out of memory. */
struct trace_entry *trace_begin(struct trace_book *book, uint32_t phone, uint64_t unix_us);
void trace_show(const struct trace_entry *entry, uint32_t dropped, struct wire_trace *out);

/* Memory for a worker's ring, touched; to be freed. NULL: out of memory. */
struct trace_ring *trace_ring_create(void);
/* Let a worker look out for this phone in place n of its list, TRACE_NONE: for nobody. Nothing where
 * there is no ring. */
void trace_watch(struct trace_tap *tap, unsigned n, uint32_t phone);
/* Take what the worker has put, mask it, and keep what belongs to traced phones. */
void trace_collect(struct trace_book *book, struct trace_tap *tap, uint64_t unix_start_us);
/* Frames that this worker could not put. */
uint32_t trace_dropped(const struct trace_tap *tap);

#endif
