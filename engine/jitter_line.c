/* SPDX-License-Identifier: BSD-3-Clause */
#include "jitter_line.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (JITTER_LINE_REACH_MS + 1)
#define WORDS (SLOTS / 64)
#define CHUNK_TEXT 496
#define NONE UINT32_MAX

/* A datagram begins with a chunk that knows it and goes on in others. */
struct jitter_chunk {
	uint32_t next; /* the next datagram of the slot, or the next free chunk */
	uint32_t more; /* where this one goes on */
	uint32_t phone;
	uint16_t length;
	uint8_t proxy;
	uint8_t text[CHUNK_TEXT];
};
static_assert(sizeof(struct jitter_chunk) == 512, "no more is lost to the header than it says");

/* One per millisecond. All that wait are within the reach of the first of them, so that a slot tells the
 * moment. */
struct jitter_slots {
	uint64_t occupied[WORDS];
	uint32_t first[SLOTS], last[SLOTS]; /* where it is occupied */
};

int jitter_line_open(struct jitter_line *line, size_t bytes)
{
	const size_t chunks = bytes / sizeof(struct jitter_chunk);
	*line = (struct jitter_line){
		.next_ms = UINT64_MAX, .chunks = (uint32_t)chunks, .free = NONE};
	line->slots = calloc(1, sizeof(*line->slots));
	line->chunk = calloc(chunks, sizeof(*line->chunk));
	line->text = calloc(1, UINT16_MAX);
	if (line->slots != NULL && line->chunk != NULL && line->text != NULL)
		return 0;
	jitter_line_close(line);
	return -ENOMEM;
}

void jitter_line_close(struct jitter_line *line)
{
	free(line->slots);
	free(line->chunk);
	free(line->text);
	*line = (struct jitter_line){.next_ms = UINT64_MAX, .free = NONE};
}

static uint32_t take_chunk(struct jitter_line *line)
{
	const uint32_t chunk = line->free;
	if (chunk == NONE)
		return line->fresh < line->chunks ? line->fresh++ : NONE;
	line->free = line->chunk[chunk].next;
	return chunk;
}

static void give_chunks(struct jitter_line *line, uint32_t chunk)
{
	while (chunk != NONE) {
		const uint32_t more = line->chunk[chunk].more;
		line->chunk[chunk].next = line->free;
		line->free = chunk;
		chunk = more;
	}
}

/* The first chunk of a copy, or NONE. */
static uint32_t copy_in(struct jitter_line *line, const struct waiting *waiting)
{
	const uint32_t first = take_chunk(line);
	uint32_t chunk = first, done = 0;
	if (first == NONE)
		return NONE;
	for (;;) {
		struct jitter_chunk *c = &line->chunk[chunk];
		const uint32_t left = waiting->length - done;
		const uint32_t n = left < CHUNK_TEXT ? left : CHUNK_TEXT;
		memcpy(c->text, waiting->datagram + done, n);
		done += n;
		c->more = NONE;
		if (done == waiting->length)
			return first;
		c->more = chunk = take_chunk(line);
		if (chunk == NONE) {
			give_chunks(line, first);
			return NONE;
		}
	}
}

bool jitter_line_put(
	struct jitter_line *line, const struct waiting *waiting, uint64_t now_ms, uint64_t due_ms)
{
	const uint64_t oldest_ms = line->next_ms < now_ms ? line->next_ms : now_ms;
	if (due_ms > oldest_ms + JITTER_LINE_REACH_MS)
		due_ms = oldest_ms + JITTER_LINE_REACH_MS;
	const uint32_t chunk = copy_in(line, waiting), slot = due_ms % SLOTS;
	if (chunk == NONE)
		return false;
	struct jitter_chunk *c = &line->chunk[chunk];
	struct jitter_slots *slots = line->slots;
	const uint64_t bit = 1ull << slot % 64;
	c->phone = waiting->phone;
	c->length = waiting->length;
	c->proxy = (uint8_t)waiting->proxy;
	c->next = NONE;
	if (slots->occupied[slot / 64] & bit)
		line->chunk[slots->last[slot]].next = chunk;
	else
		slots->first[slot] = chunk;
	slots->last[slot] = chunk;
	slots->occupied[slot / 64] |= bit;
	if (due_ms < line->next_ms)
		line->next_ms = due_ms;
	return true;
}

/* From the moment whose slot has just become empty. */
static uint64_t next_after(const struct jitter_line *line, uint64_t moment_ms)
{
	const uint32_t slot = moment_ms % SLOTS;
	const uint64_t *occupied = line->slots->occupied;
	for (uint32_t i = 0; i <= WORDS; i++) {
		const uint32_t word = (slot / 64 + i) % WORDS;
		uint64_t bits = occupied[word];
		/* The word of the slot itself is looked at twice: what comes after it, then before. */
		if (i == 0)
			bits &= ~0ull << slot % 64;
		if (bits == 0)
			continue;
		const uint32_t found = word * 64 + (uint32_t)__builtin_ctzll(bits);
		return moment_ms + (found - slot) % SLOTS;
	}
	return UINT64_MAX;
}

void jitter_line_take(struct jitter_line *line, struct waiting *out)
{
	struct jitter_slots *slots = line->slots;
	const uint32_t slot = line->next_ms % SLOTS, first = slots->first[slot];
	const struct jitter_chunk *c = &line->chunk[first];
	*out = (struct waiting){c->phone, (enum proxy)c->proxy, c->text, c->length};
	if (c->next != NONE) {
		slots->first[slot] = c->next;
	} else {
		slots->occupied[slot / 64] &= ~(1ull << slot % 64);
		line->next_ms = next_after(line, line->next_ms);
	}
	if (c->more != NONE) {
		uint32_t done = 0;
		for (uint32_t i = first; i != NONE; i = line->chunk[i].more) {
			const uint32_t left = out->length - done;
			const uint32_t n = left < CHUNK_TEXT ? left : CHUNK_TEXT;
			memcpy(line->text + done, line->chunk[i].text, n);
			done += n;
		}
		out->datagram = line->text;
	}
	give_chunks(line, first);
}

uint64_t jitter_line_memory(void)
{
	return sizeof(struct jitter_slots);
}
