/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream of events, fed whole and byte by byte: both must give the same. And what a file of tokens
 * may hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_token.h"
#include "sse.h"

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct sum {
	unsigned events;
	uint64_t hash;
};

static void add(struct sum *sum, const char *text, size_t length)
{
	for (size_t i = 0; i <= length; i++)
		sum->hash = (sum->hash ^ (unsigned char)text[i]) * 0x100000001b3;
}

static void take(void *context, const struct sse_event *event)
{
	struct sum *sum = context;
	require(event->name[0] != '\0' && strlen(event->name) < SSE_WORD_MAX);
	require(strlen(event->id) < SSE_WORD_MAX && event->id[strcspn(event->id, "\r\n")] == '\0');
	require(event->length < SSE_LINE_MAX && event->data[event->length] == '\0');
	sum->events++;
	add(sum, event->name, strlen(event->name));
	add(sum, event->id, strlen(event->id));
	add(sum, event->data, event->length);
}

/* What is taken for a token can stand in a header. */
static void try_token(const uint8_t *data, size_t size)
{
	static const char most[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				   "-._~+/=";
	char *text = malloc(size + 1), token[CLIENT_TOKEN_MAX] = "";
	if (text == NULL)
		return;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (client_token_read(text, token))
		require(token[0] != '\0' && token[strspn(token, most)] == '\0');
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sse whole, pieces;
	struct sum first = {0}, second = {0};
	whole.id[0] = pieces.id[0] = '\0';
	sse_begin(&whole);
	sse_begin(&pieces);
	sse_feed(&whole, (const char *)data, size, take, &first);
	for (size_t i = 0; i < size; i++)
		sse_feed(&pieces, (const char *)data + i, 1, take, &second);
	require(first.events == second.events && first.hash == second.hash);
	require(strcmp(whole.id, pieces.id) == 0);
	try_token(data, size);
	return 0;
}
