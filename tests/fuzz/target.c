/* SPDX-License-Identifier: BSD-3-Clause */
/* What `store:` says, from a fleet file, the environment or a command line. */
#include <stdlib.h>
#include <string.h>

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void require_servers(const struct target *target)
{
	const bool network = target->kind == TARGET_SINGLE || target->kind == TARGET_SENTINEL ||
			     target->kind == TARGET_CLUSTER;
	require(network ? target->servers >= 1 && target->servers <= TARGET_SERVERS_MAX
			: target->servers == 0);
	require(target->kind != TARGET_SINGLE || target->servers == 1);
	for (unsigned i = 0; i < target->servers; i++) {
		const struct target_server *server = &target->server[i];
		require(ends(server->host, sizeof(server->host)) && server->host[0] != '\0');
		require(server->port != 0);
		/* It stands in messages and logs as it is. */
		for (const char *c = server->host; *c != '\0'; c++)
			require(*c > ' ' && *c < 0x7f && strchr("@/?%,", *c) == NULL);
	}
}

static void require_whole(const struct target *target)
{
	require(ends(target->path, sizeof(target->path)));
	require(ends(target->master, sizeof(target->master)));
	require(ends(target->user, sizeof(target->user)));
	require(ends(target->password, sizeof(target->password)));
	require((target->kind == TARGET_UNIX) == (target->path[0] != '\0'));
	require((target->kind == TARGET_SENTINEL) == (target->master[0] != '\0'));
	require(target->kind != TARGET_CLUSTER || target->db == 0);
	require_servers(target);
}

/* No words about the target tell its user and password: with others it is described alike. */
static void require_discreet(const struct target *target, char *out, size_t size)
{
	char again[4096];
	struct target other = *target;
	memset(other.user, 'u', sizeof(other.user) - 1);
	memset(other.password, 'p', sizeof(other.password) - 1);
	target_describe(target, out, size);
	target_describe(&other, again, sizeof(again));
	require(strlen(out) < size && out[0] != '\0' && strcmp(out, again) == 0);
}

/* Reasons are fixed texts: none repeats any part of what was said. */
static void require_fixed(const char *text)
{
	static const char *const parts[] = {"password", "write it as in", "TLS is not built in",
		"user's name", "path", "database", "port", "server", "address", "master",
		"not a store"};
	struct target target;
	char reason[TARGET_REASON_MAX];
	require(target_parse(text, &target, reason) != 0);
	require(ends(reason, sizeof(reason)) && reason[0] != '\0');
	unsigned known = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		known += strstr(reason, parts[i]) != NULL;
	require(known > 0);
	for (const char *c = reason; *c != '\0'; c++)
		require(*c >= ' ' && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target target;
	char reason[TARGET_REASON_MAX], said[4096], cut[8];
	char *text = malloc(size + 1);
	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (target_parse(text, &target, reason) != 0) {
		require_fixed(text);
	} else {
		require(reason[0] == '\0');
		require_whole(&target);
		require_discreet(&target, said, sizeof(said));
		target_describe(&target, cut, sizeof(cut));
		require(strncmp(cut, said, sizeof(cut) - 1) == 0);
	}
	free(text);
	return 0;
}
