/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_MAX 32
#define FIRST_ROOM 64 /* events; a power of two, as all that follow */

/* As it goes over the wire. Positions count the bytes of all events since the first one. */
struct event {
	char *text;
	uint64_t start, at_us;
	size_t length;
};

struct stream {
	char run[RUN_MAX + 1];
	struct event *event;    /* [room], the one of number n at n % room */
	uint64_t room, kept;    /* of events; kept are the newest */
	uint64_t newest, bytes; /* number of the newest; taken by all that are kept */
	uint64_t end;           /* position behind the newest */
};

struct stream *stream_open(const char *run)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return NULL;
	stream->room = FIRST_ROOM;
	stream->event = calloc(stream->room, sizeof(*stream->event));
	if (stream->event == NULL || strlen(run) > RUN_MAX) {
		stream_close(stream);
		return NULL;
	}
	memcpy(stream->run, run, strlen(run));
	return stream;
}

static struct event *numbered(const struct stream *stream, uint64_t number)
{
	return &stream->event[number & (stream->room - 1)];
}

static struct event *oldest(const struct stream *stream)
{
	return numbered(stream, stream->newest - stream->kept + 1);
}

static size_t cost(const struct event *event)
{
	return event->length + sizeof(*event);
}

static void drop_oldest(struct stream *stream)
{
	struct event *event = oldest(stream);
	stream->bytes -= cost(event);
	free(event->text);
	event->text = NULL;
	stream->kept--;
}

void stream_close(struct stream *stream)
{
	if (stream == NULL)
		return;
	while (stream->kept > 0)
		drop_oldest(stream);
	free(stream->event);
	free(stream);
}

/* Room for one more: twice as many where all places are taken. */
static bool make_room(struct stream *stream)
{
	if (stream->kept < stream->room)
		return true;
	struct event *more = calloc(stream->room * 2, sizeof(*more));
	if (more == NULL)
		return false;
	for (uint64_t n = stream->newest - stream->kept + 1; n <= stream->newest; n++)
		more[n & (stream->room * 2 - 1)] = *numbered(stream, n);
	free(stream->event);
	stream->event = more;
	stream->room *= 2;
	return true;
}

static void forget_old(struct stream *stream, size_t coming, uint64_t now_us)
{
	const uint64_t replay_us = STREAM_REPLAY_S * 1000000ull;
	while (stream->kept > 0 && (now_us - oldest(stream)->at_us > replay_us ||
					   stream->bytes + coming > STREAM_BYTES))
		drop_oldest(stream);
}

static char *compose(const struct stream *stream, const char *name, const char *data, size_t length,
	size_t *whole)
{
	char head[RUN_MAX + 128];
	const int n = snprintf(head, sizeof(head),
		"id: %s.%" PRIu64 "\nevent: %.32s\ndata: ", stream->run, stream->newest + 1, name);
	*whole = (size_t)n + length + 2;
	char *text = *whole + sizeof(struct event) <= STREAM_BYTES ? malloc(*whole) : NULL;
	if (text == NULL)
		return NULL;
	memcpy(text, head, (size_t)n);
	memcpy(text + n, data, length);
	memcpy(text + n + length, "\n\n", 2);
	return text;
}

/* Nobody can be told of this one: a byte that is in no event keeps all positions behind it out. */
static uint64_t lose(struct stream *stream)
{
	while (stream->kept > 0)
		drop_oldest(stream);
	stream->end++;
	return ++stream->newest;
}

uint64_t stream_add(
	struct stream *stream, const char *name, const char *data, size_t length, uint64_t now_us)
{
	size_t whole;
	char *text = compose(stream, name, data, length, &whole);
	if (text == NULL)
		return lose(stream);
	forget_old(stream, whole + sizeof(struct event), now_us);
	if (!make_room(stream)) {
		free(text);
		return lose(stream);
	}
	struct event *event = numbered(stream, ++stream->newest);
	*event = (struct event){
		.text = text, .start = stream->end, .at_us = now_us, .length = whole};
	stream->kept++;
	stream->bytes += cost(event);
	stream->end += whole;
	return stream->newest;
}

/* The number in an identifier of this run. */
static bool parse_id(const struct stream *stream, const char *id, uint64_t *number)
{
	const size_t n = strlen(stream->run);
	if (id == NULL || strncmp(id, stream->run, n) != 0 || id[n] != '.' || id[n + 1] == '\0')
		return false;
	*number = 0;
	for (const char *c = id + n + 1; *c != '\0'; c++) {
		if (*c < '0' || *c > '9' || *number > stream->newest)
			return false;
		*number = *number * 10 + (uint64_t)(*c - '0');
	}
	return true;
}

uint64_t stream_begin(const struct stream *stream, const char *last_id, bool *replayed)
{
	uint64_t number;
	*replayed = parse_id(stream, last_id, &number) && number <= stream->newest &&
		    stream->newest - number <= stream->kept;
	if (!*replayed || number == stream->newest)
		return stream->end;
	return numbered(stream, number + 1)->start;
}

/* The number of the event that this position, which is before the end, stands in. */
static uint64_t number_at(const struct stream *stream, uint64_t position)
{
	uint64_t low = stream->newest - stream->kept + 1, high = stream->newest;
	while (low < high) {
		const uint64_t middle = high - (high - low) / 2;
		if (numbered(stream, middle)->start <= position)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

long stream_read(struct stream *stream, uint64_t *position, char *out, size_t room)
{
	const uint64_t first = stream->kept > 0 ? oldest(stream)->start : stream->end;
	size_t done = 0;
	if (*position < first)
		return -1;
	if (*position >= stream->end)
		return 0;
	for (uint64_t n = number_at(stream, *position); n <= stream->newest && done < room; n++) {
		const struct event *event = numbered(stream, n);
		const size_t skip = (size_t)(*position - event->start);
		const size_t left = event->length - skip;
		const size_t take = left < room - done ? left : room - done;
		memcpy(out + done, event->text + skip, take);
		done += take;
		*position += take;
	}
	return (long)done;
}

uint64_t stream_newest(const struct stream *stream)
{
	return stream->newest;
}

const char *stream_run(const struct stream *stream)
{
	return stream->run;
}
