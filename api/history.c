/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include <stdlib.h>

bool history_open(struct history *history, uint32_t phones)
{
	uint32_t room = 1024;
	while (room < HISTORY_MAX && room / HISTORY_PER_PHONE < phones)
		room *= 2;
	*history = (struct history){.room = room,
		.entry = calloc(room, sizeof(struct history_entry)),
		.newest = calloc(phones, sizeof(uint32_t))};
	return history->entry != NULL && history->newest != NULL;
}

void history_close(struct history *history)
{
	free(history->entry);
	free(history->newest);
}

static const struct history_entry *numbered(const struct history *history, uint32_t number)
{
	return &history->entry[number & (history->room - 1)];
}

void history_add(struct history *history, const struct mirror_line *line)
{
	uint32_t *newest = &history->newest[line->phone];
	history->last += history->last == UINT32_MAX ? 2 : 1;
	history->entry[history->last & (history->room - 1)] = (struct history_entry){
		.line = *line, .before = *newest};
	*newest = history->last;
}

static uint16_t transition_number(const struct mirror_line *line)
{
	return (uint16_t)line->at;
}

/* An entry that was written over is of another phone, or not the next older one of this one. */
static bool follows(const struct mirror_line *older, const struct mirror_line *newer)
{
	return older->phone == newer->phone &&
	       (uint16_t)(transition_number(older) + 1) == transition_number(newer);
}

size_t history_read(const struct history *history, uint32_t phone, struct mirror_line *out,
	size_t max, bool *complete)
{
	uint32_t number = history->newest[phone];
	size_t n = 0;
	*complete = false;
	while (number != 0 && n < max) {
		const struct history_entry *entry = numbered(history, number);
		if (n == 0 ? entry->line.phone != phone : !follows(&entry->line, &out[n - 1]))
			return n;
		out[n++] = entry->line;
		number = entry->before;
	}
	*complete = number == 0 && n > 0 && transition_number(&out[n - 1]) == 1;
	return n;
}
