/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "pcapng.h"
#include "trace.h"

/* --- For workers --- */

static bool is_watched(const struct trace_ring *ring, uint32_t phone)
{
	for (unsigned i = 0; i < WIRE_TRACES; i++)
		if (atomic_load_explicit(&ring->phone[i], memory_order_relaxed) == phone)
			return true;
	return false;
}

static uint32_t kept_of(uint32_t length)
{
	return length < WIRE_TRACE_FRAME_MAX ? length : WIRE_TRACE_FRAME_MAX;
}

static void fill(struct trace_slot *slot, const struct trace_frame *frame)
{
	struct wire_message *message = &slot->message;
	const uint32_t kept = kept_of(frame->length),
		       at = (uint32_t)(frame->payload - frame->bytes),
		       payload = at < kept ? at : kept, room = kept - payload;
	slot->open = frame->open;
	message->unix_us = frame->now_us;
	message->inbound = frame->inbound;
	message->cut = frame->length > kept;
	message->proxy = frame->proxy;
	message->length = (uint16_t)frame->length;
	message->payload = (uint16_t)payload;
	message->payload_length = (uint16_t)(frame->payload_length < room ? frame->payload_length
									  : room);
	memcpy(message->frame, frame->bytes, kept);
}

void trace_put(struct trace_tap *tap, uint32_t phone, const struct trace_frame *frame)
{
	struct trace_ring *ring = atomic_load_explicit(&tap->ring, memory_order_acquire);
	if (!ring || !is_watched(ring, phone))
		return;
	const uint32_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
	if (put - atomic_load_explicit(&ring->taken, memory_order_acquire) == TRACE_SLOTS) {
		const uint32_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
		atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
		return;
	}
	struct trace_slot *slot = &ring->slot[put % TRACE_SLOTS];
	slot->phone = phone;
	fill(slot, frame);
	atomic_store_explicit(&ring->put, put + 1, memory_order_release);
}

/* --- For the control thread --- */

void trace_book_open(struct trace_book *book)
{
	*book = (struct trace_book){0};
	for (unsigned i = 0; i < WIRE_TRACES; i++)
		book->entry[i].phone = TRACE_NONE;
}

void trace_book_close(struct trace_book *book)
{
	for (unsigned i = 0; i < WIRE_TRACES; i++)
		free(book->entry[i].message);
}

static struct trace_entry *entry_of(struct trace_book *book, uint32_t phone)
{
	for (unsigned i = 0; i < WIRE_TRACES; i++)
		if (book->entry[i].phone == phone)
			return &book->entry[i];
	return NULL;
}

struct trace_entry *trace_find(struct trace_book *book, uint32_t phone)
{
	struct trace_entry *entry = entry_of(book, phone);
	if (entry)
		entry->asked = ++book->asked;
	return entry;
}

struct trace_entry *trace_begin(struct trace_book *book, uint32_t phone, uint64_t unix_us)
{
	/* A free entry was never asked for. */
	struct trace_entry *entry = &book->entry[0];
	for (unsigned i = 1; i < WIRE_TRACES; i++)
		if (book->entry[i].asked < entry->asked)
			entry = &book->entry[i];
	if (!entry->message)
		entry->message = calloc(WIRE_TRACE_MESSAGES, sizeof(*entry->message));
	if (!entry->message)
		return NULL;
	entry->phone = phone;
	entry->since_unix_us = unix_us;
	entry->asked = ++book->asked;
	entry->put = 0;
	return entry;
}

void trace_show(const struct trace_entry *entry, uint32_t dropped, struct wire_trace *out)
{
	*out = (struct wire_trace){.phone = entry->phone,
		.since_unix_us = entry->since_unix_us,
		.dropped = dropped - entry->dropped_before,
		.count = entry->put < WIRE_TRACE_MESSAGES ? entry->put : WIRE_TRACE_MESSAGES};
	for (uint32_t i = 0; i < out->count; i++)
		out->message[i] =
			&entry->message[(entry->put - out->count + i) % WIRE_TRACE_MESSAGES];
}

struct trace_ring *trace_ring_create(void)
{
	struct trace_ring *ring = aligned_alloc(_Alignof(struct trace_ring), sizeof(*ring));
	if (!ring)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	for (unsigned i = 0; i < WIRE_TRACES; i++)
		atomic_store_explicit(&ring->phone[i], TRACE_NONE, memory_order_relaxed);
	return ring;
}

/* The worker may see list and filter change one after the other: it then misses a frame of the phone
 * that comes or goes, and none of the others. */
void trace_watch(struct trace_tap *tap, unsigned n, uint32_t phone)
{
	struct trace_ring *ring = atomic_load_explicit(&tap->ring, memory_order_relaxed);
	uint64_t filter = 0;
	if (!ring)
		return;
	atomic_store_explicit(&ring->phone[n], phone, memory_order_relaxed);
	for (unsigned i = 0; i < WIRE_TRACES; i++) {
		const uint32_t other = atomic_load_explicit(&ring->phone[i], memory_order_relaxed);
		if (other != TRACE_NONE)
			filter |= 1ull << trace_bit(other);
	}
	atomic_store_explicit(&tap->filter, filter, memory_order_release);
}

static void keep(struct trace_book *book, const struct trace_slot *slot, uint64_t unix_start_us)
{
	struct trace_entry *entry = entry_of(book, slot->phone);
	if (!entry)
		return; /* it has given way to another meanwhile */
	const struct wire_message *from = &slot->message;
	const uint32_t kept = kept_of(from->length);
	struct wire_message *message = &entry->message[entry->put++ % WIRE_TRACE_MESSAGES];
	memcpy(message, from, offsetof(struct wire_message, frame) + kept);
	message->unix_us += unix_start_us;
	/* What is cut is no datagram any more, and would be searched with its headers in front. */
	if (message->cut)
		mask_text(message->frame + message->payload, message->payload_length);
	mask_frame(message->frame, kept, false, slot->open);
}

void trace_collect(struct trace_book *book, struct trace_tap *tap, uint64_t unix_start_us)
{
	struct trace_ring *ring = atomic_load_explicit(&tap->ring, memory_order_relaxed);
	if (!ring)
		return;
	uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
	const uint32_t put = atomic_load_explicit(&ring->put, memory_order_acquire);
	for (; taken != put; taken++)
		keep(book, &ring->slot[taken % TRACE_SLOTS], unix_start_us);
	atomic_store_explicit(&ring->taken, taken, memory_order_release);
}

uint32_t trace_dropped(const struct trace_tap *tap)
{
	const struct trace_ring *ring = atomic_load_explicit(&tap->ring, memory_order_relaxed);
	return ring ? atomic_load_explicit(&ring->dropped, memory_order_relaxed) : 0;
}

/* --- As a file --- */

static struct pcapng_packet packet_of(const struct wire_message *message)
{
	return (struct pcapng_packet){.unix_us = message->unix_us,
		.captured = kept_of(message->length),
		.original = message->length,
		.inbound = message->inbound};
}

uint8_t *wire_trace_pcapng(const struct wire_trace *trace, size_t *length)
{
	*length = PCAPNG_START;
	for (uint32_t i = 0; i < trace->count; i++) {
		const struct pcapng_packet packet = packet_of(trace->message[i]);
		*length += pcapng_size(&packet);
	}
	uint8_t *file = malloc(*length), *at = file;
	if (!file)
		return NULL;
	pcapng_start(at, WIRE_TRACE_FRAME_MAX);
	at += PCAPNG_START;
	for (uint32_t i = 0; i < trace->count; i++) {
		const struct pcapng_packet packet = packet_of(trace->message[i]);
		uint8_t tail[PCAPNG_TAIL_MAX];
		pcapng_head(&packet, at);
		at += PCAPNG_HEAD;
		memcpy(at, trace->message[i]->frame, packet.captured);
		at += packet.captured;
		const size_t tail_length = pcapng_tail(&packet, tail);
		memcpy(at, tail, tail_length);
		at += tail_length;
	}
	return file;
}
