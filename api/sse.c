/* SPDX-License-Identifier: BSD-3-Clause */
#include "sse.h"

#include <stdio.h>
#include <string.h>

static void begin_event(struct sse *sse)
{
	sse->data_length = 0;
	sse->has_data = sse->too_long = false;
	sse->name[0] = '\0';
}

void sse_begin(struct sse *sse)
{
	sse->line_length = 0;
	sse->cut = sse->after_cr = false;
	begin_event(sse);
}

static void add_data(struct sse *sse, const char *value, size_t length)
{
	/* A line feed before it and the NUL behind it. */
	if (sse->data_length + length + 2 > sizeof(sse->data)) {
		sse->too_long = true;
		return;
	}
	if (sse->has_data)
		sse->data[sse->data_length++] = '\n';
	memcpy(sse->data + sse->data_length, value, length);
	sse->data_length += length;
	sse->has_data = true;
}

static void set_word(char word[SSE_WORD_MAX], const char *value)
{
	if (strlen(value) < SSE_WORD_MAX)
		snprintf(word, SSE_WORD_MAX, "%s", value);
}

static void take_field(struct sse *sse)
{
	char *line = sse->line;
	char *colon = memchr(line, ':', sse->line_length);
	size_t name = colon == NULL ? sse->line_length : (size_t)(colon - line);
	char *value = colon == NULL ? line + sse->line_length : colon + 1;
	value += colon != NULL && *value == ' ';
	size_t length = (size_t)(line + sse->line_length - value);
	if (name == 4 && memcmp(line, "data", 4) == 0)
		add_data(sse, value, length);
	else if (name == 5 && memcmp(line, "event", 5) == 0)
		set_word(sse->name, value);
	else if (name == 2 && memcmp(line, "id", 2) == 0 && memchr(value, '\0', length) == NULL)
		set_word(sse->id, value);
	/* Comments and fields that are not known are passed over. */
}

static void end_event(struct sse *sse, sse_take take, void *context)
{
	if (sse->too_long) {
		sse->dropped++;
	} else if (sse->has_data) {
		sse->data[sse->data_length] = '\0';
		const struct sse_event event = {.name = sse->name[0] ? sse->name : "message",
			.id = sse->id,
			.data = sse->data,
			.length = sse->data_length};
		take(context, &event);
	}
	begin_event(sse);
}

static void end_line(struct sse *sse, sse_take take, void *context)
{
	sse->line[sse->line_length] = '\0';
	if (sse->cut)
		sse->too_long = true;
	else if (sse->line_length == 0)
		end_event(sse, take, context);
	else
		take_field(sse);
	sse->line_length = 0;
	sse->cut = false;
}

void sse_feed(struct sse *sse, const char *bytes, size_t length, sse_take take, void *context)
{
	for (size_t i = 0; i < length; i++) {
		const char c = bytes[i];
		const bool second = c == '\n' && sse->after_cr;
		sse->after_cr = c == '\r';
		if (second)
			continue;
		if (c == '\n' || c == '\r')
			end_line(sse, take, context);
		else if (sse->line_length + 1 < sizeof(sse->line))
			sse->line[sse->line_length++] = c;
		else
			sse->cut = true;
	}
}
