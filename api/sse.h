/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Server-sent events as they are read (WHATWG HTML, section 9.2): bytes in as they come, whole events
 * out. Pure; what is too long for an event is dropped and said, never grown for. The fuzzer's target
 * is tests/fuzz/sse.c.
 */
#ifndef SIPHERD_SSE_H
#define SIPHERD_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define SSE_LINE_MAX 262144 /* the longest event of sipherd's is a delta of 16,384 phones: 110 kB */
#define SSE_WORD_MAX 80

struct sse_event {
	const char *name; /* "message" when the event had none */
	const char *id;   /* the last one seen, empty before the first */
	const char *data; /* ends with NUL; may hold line feeds */
	size_t length;
};

struct sse {
	char line[SSE_LINE_MAX], data[SSE_LINE_MAX];
	size_t line_length, data_length;
	char name[SSE_WORD_MAX], id[SSE_WORD_MAX];
	bool has_data, too_long; /* of the event under way */
	bool cut;                /* the line under way is too long */
	bool after_cr;
	unsigned dropped; /* events that were too long */
};

typedef void (*sse_take)(void *context, const struct sse_event *event);

/* Before the first byte of a connection; the last identifier stays. */
void sse_begin(struct sse *sse);
void sse_feed(struct sse *sse, const char *bytes, size_t length, sse_take take, void *context);

#endif
