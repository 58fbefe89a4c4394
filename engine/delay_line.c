/* SPDX-License-Identifier: BSD-3-Clause */
#include "delay_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int delay_line_open(struct delay_line *line, size_t bytes)
{
	memset(line, 0, sizeof(*line));
	line->size = bytes & ~(size_t)7;
	line->ring = malloc(line->size);
	return line->ring ? 0 : -ENOMEM;
}

void delay_line_close(struct delay_line *line)
{
	free(line->ring);
	memset(line, 0, sizeof(*line));
}

void delay_line_clear(struct delay_line *line)
{
	line->head = line->tail = 0;
	line->waiting = 0;
}

/* Records start at multiples of eight, so the rest of the ring behind one always is such too. */
static size_t room_of(uint16_t length)
{
	return (sizeof(struct delayed) + length + 7) & ~(size_t)7;
}

/* A record never wraps: what is left at the end of the ring is skipped, and a length of 0 says so
 * where there is room to say it. */
static void skip_end(struct delay_line *line)
{
	if (line->size - line->tail >= sizeof(struct delayed))
		((struct delayed *)(line->ring + line->tail))->length = 0;
	line->tail = 0;
}

uint8_t *delay_line_put(
	struct delay_line *line, const struct endpoint *to, uint16_t length, uint64_t now_us)
{
	size_t room = room_of(length);
	if (line->waiting == 0)
		delay_line_clear(line);
	bool wrapped = line->waiting > 0 && line->tail <= line->head;
	if (wrapped) {
		if (line->head - line->tail < room)
			return NULL;
	} else if (line->size - line->tail < room) {
		if (line->head < room)
			return NULL;
		skip_end(line);
	}
	struct delayed *delayed = (struct delayed *)(line->ring + line->tail);
	*delayed = (struct delayed){now_us, *to, length};
	line->tail += room;
	line->waiting++;
	return (uint8_t *)(delayed + 1);
}

const struct delayed *delay_line_oldest(struct delay_line *line)
{
	if (line->waiting == 0)
		return NULL;
	if (line->size - line->head < sizeof(struct delayed) ||
		((struct delayed *)(line->ring + line->head))->length == 0)
		line->head = 0;
	return (struct delayed *)(line->ring + line->head);
}

void delay_line_drop(struct delay_line *line)
{
	const struct delayed *oldest = delay_line_oldest(line);
	line->head += room_of(oldest->length);
	line->waiting--;
}
