/* SPDX-License-Identifier: BSD-3-Clause */
/* What the HTTP API reads of a request by itself: hosts, origins, tokens, numbers, its own address. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* What was read as a host is one, in the one way there is to write it. */
static void try_host(const char *text)
{
	static const char *const names[] = {"herd.example.net"};
	const struct guard_listen listen = {.address = {{10, 0, 0, 1}, ADDRESS_IPV4}};
	char name[GUARD_HOST_MAX], again[GUARD_HOST_MAX], origin[2 * GUARD_HOST_MAX + 16];
	const bool ours = guard_host_is_ours(text, &listen, names, 1);
	if (!guard_host_parse(text, name)) {
		require(!ours);
		return;
	}
	require(guard_host_parse(name, again) && strcmp(name, again) == 0);
	require(ours == (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
				strcmp(name, "[::1]") == 0 || strcmp(name, "10.0.0.1") == 0 ||
				strcmp(name, names[0]) == 0));
	snprintf(origin, sizeof(origin), "http://%s", text);
	require(strlen(text) > GUARD_HOST_MAX || guard_origin_is_ours(origin, "http", text));
	require(!guard_origin_is_ours(text, "http", text));
}

static void try_number(const char *text)
{
	uint32_t value = 0;
	char *end;
	if (guard_number(text, 1, 900, &value))
		require(value == strtoul(text, &end, 10) && *end == '\0' && value >= 1 &&
			value <= 900);
}

static void try_token(const char *text)
{
	char token[GUARD_TOKEN_LENGTH + 1];
	memset(token, 'a', GUARD_TOKEN_LENGTH);
	token[GUARD_TOKEN_LENGTH] = '\0';
	const char *given = guard_bearer(text);
	require(given == NULL || (given > text && given <= text + strlen(text)));
	require(guard_token_equal(text, token) == (strcmp(text, token) == 0));
}

static void try_type(const char *text)
{
	if (guard_is_json(text))
		require(strncasecmp(text, "application/json", 16) == 0);
}

static void try_listen(const char *text)
{
	struct guard_listen listen;
	if (guard_listen_parse(text, &listen) == 0)
		require(listen.address.family < ADDRESS_FAMILIES &&
			!(listen.any && listen.loopback));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_host(text);
	try_number(text);
	try_token(text);
	try_type(text);
	try_listen(text);
	free(text);
	return 0;
}
