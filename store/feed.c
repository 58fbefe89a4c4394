/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transitions on their way from the workers' rings to the feed: sorted by shard into lists over one
 * pool of fixed size, until the shard's next flush takes them along as text.
 *
 * Whatever is left out is counted, and the shard's feed says RESYNC once the records are in Redis.
 */
#include "store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_LINES 512
#define TAKE_ROUNDS 512 /* per worker and tick: as much as its ring holds */

void feed_free(struct store *store)
{
	free(store->line);
}

static void leave_out(struct store *store, struct store_shard *shard, uint64_t lines)
{
	store->counters.feed_dropped += lines;
	shard->resync = true;
}

static void put(struct store *store, const struct mirror_line *line)
{
	const uint32_t index = line->phone / SHARD_PHONES;
	struct store_shard *shard = &store->shard[index];
	const uint32_t slot = store->free_line;
	/* Nobody hears of a shard that we may not write before it is rewritten, and then by RESYNC. */
	if (slot == NO_LINE || shard->lines == STORE_LINES_SHARD || !shard->writable) {
		leave_out(store, shard, 1);
		return;
	}
	store->free_line = store->line[slot].next;
	store->line[slot] = (struct store_line){*line, NO_LINE};
	if (shard->lines++ == 0)
		shard->first_line = slot;
	else
		store->line[shard->last_line].next = slot;
	shard->last_line = slot;
}

/* Lines that a worker's ring had no room for: nobody knows whose. */
static void look_for_losses(struct store *store)
{
	uint64_t lost = 0;
	for (unsigned i = 0; i < store->mirror->workers; i++)
		lost += mirror_lines_dropped(store->mirror, MIRROR_STORE, i);
	if (lost == store->lines_lost)
		return;
	store->counters.feed_dropped += lost - store->lines_lost;
	store->lines_lost = lost;
	for (uint32_t i = 0; i < store->shards; i++) {
		if (store->shard[i].adopted)
			store->shard[i].resync = true;
	}
}

/* Before the rings are looked into: whoever is told to drive a shard may act at once, and by then we
 * may write it. What it did is not left out only because our last tick was before that. */
static void look_for_writable(struct store *store)
{
	for (uint32_t i = 0; i < store->shards; i++)
		store->shard[i].writable = store_may_write(store, i);
}

void feed_take(struct store *store)
{
	struct mirror_line line[TAKE_LINES];
	look_for_writable(store);
	for (unsigned worker = 0; worker < store->mirror->workers; worker++) {
		size_t n = TAKE_LINES;
		for (int round = 0; round < TAKE_ROUNDS && n == TAKE_LINES; round++) {
			n = mirror_take_lines(
				store->mirror, MIRROR_STORE, worker, line, TAKE_LINES);
			for (size_t i = 0; i < n; i++) {
				if (line[i].phone < store->mirror->phones)
					put(store, &line[i]);
			}
		}
	}
	look_for_losses(store);
}

static char *number(char *to, uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);
	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	memcpy(to, digits + n, sizeof(digits) - n);
	return to + sizeof(digits) - n;
}

/* Where a phone is, in a letter, by byte 0 & 15 of its record: the proxy last tried, upper case when
 * it is registered there. */
static const char place[] = "----pPpprrRr----";

/* " PHASE CAUSE " of every pair, so that a line takes one copy. */
static void make_words(struct store *store)
{
	for (int phase = 0; phase < PHONE_STATES; phase++) {
		for (int cause = 0; cause < RECORD_CAUSES; cause++) {
			struct store_words *words = &store->words[phase][cause];
			words->length = (uint8_t)snprintf(words->text, sizeof(words->text),
				" %s %s ", phone_state_name(phase), record_cause_name(cause));
		}
	}
}

int feed_create(struct store *store)
{
	store->line = malloc(STORE_LINES_POOL * sizeof(*store->line));
	if (store->line == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < STORE_LINES_POOL; i++)
		store->line[i].next = i + 1 < STORE_LINES_POOL ? i + 1 : NO_LINE;
	store->free_line = 0;
	for (uint32_t i = 0; i < store->shards; i++)
		store->shard[i].first_line = store->shard[i].last_line = NO_LINE;
	make_words(store);
	return 0;
}

/* Unix milliseconds as text; most lines have the same as the one before. */
static char *moment(struct store *store, char *to, uint64_t unix_ms)
{
	struct store_words *words = &store->moment;
	if (unix_ms != store->moment_ms || words->length == 0) {
		store->moment_ms = unix_ms;
		words->length = (uint8_t)(number(words->text, unix_ms) - words->text);
	}
	memcpy(to, words->text, sizeof(words->text));
	return to + words->length;
}

/* "PHONE FROM>TO PHASE CAUSE TSEQ UNIX_MS\n". Copies are of fixed size: what is too much of one is
 * written over by the next, and there is room for the last. */
static char *line_text(struct store *store, char *to, const struct mirror_line *line)
{
	const struct store_words
		*words = &store->words[line->phase < PHONE_STATES ? line->phase : PHONE_OFF]
				      [line->cause < RECORD_CAUSES ? line->cause : RECORD_NONE];
	to = number(to, line->phone);
	*to++ = ' ';
	*to++ = place[line->from & 15];
	*to++ = '>';
	*to++ = place[line->to & 15];
	memcpy(to, words->text, sizeof(words->text));
	to = number(to + words->length, line->at & 0xffff);
	*to++ = ' ';
	to = moment(store, to, line->at >> 16);
	*to++ = '\n';
	return to;
}

/* Back to the pool, first to last, in one move. */
static void give_back(struct store *store, struct store_shard *shard, uint32_t first, uint32_t last)
{
	shard->first_line = store->line[last].next;
	store->line[last].next = store->free_line;
	store->free_line = first;
}

unsigned feed_write(struct store *store, uint32_t index, unsigned max, size_t *bytes)
{
	struct store_shard *shard = &store->shard[index];
	const unsigned n = shard->lines < max ? shard->lines : max;
	char *to = store->lines;
	uint32_t slot = shard->first_line, last = NO_LINE;
	for (unsigned i = 0; i < n; i++) {
		to = line_text(store, to, &store->line[slot].line);
		last = slot;
		slot = store->line[slot].next;
	}
	if (n > 0)
		give_back(store, shard, shard->first_line, last);
	shard->lines -= n;
	*bytes = (size_t)(to - store->lines);
	return n;
}

void feed_drop(struct store *store, uint32_t index)
{
	struct store_shard *shard = &store->shard[index];
	if (shard->lines == 0)
		return;
	leave_out(store, shard, shard->lines);
	give_back(store, shard, shard->first_line, shard->last_line);
	shard->lines = 0;
}
