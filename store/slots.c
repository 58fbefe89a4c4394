/* SPDX-License-Identifier: BSD-3-Clause */
#include "slots.h"

#include <stdlib.h>
#include <string.h>

/* No name is that of the server that was asked, if there is one. */
static bool set_host(const char *host, size_t length, const struct target_server *asked,
	struct target_server *out)
{
	if (length == 0) {
		if (asked != NULL)
			memcpy(out->host, asked->host, sizeof(out->host));
		return asked != NULL;
	}
	/* "?": the node has not been told its name yet. */
	if (length >= sizeof(out->host) || (length == 1 && host[0] == '?') ||
		memchr(host, '\0', length) != NULL)
		return false;
	memcpy(out->host, host, length);
	out->host[length] = '\0';
	return true;
}

/* [HOST, PORT, ...] */
static bool server_of(
	const redisReply *node, const struct target_server *asked, struct target_server *out)
{
	if (node->type != REDIS_REPLY_ARRAY || node->elements < 2)
		return false;
	const redisReply *host = node->element[0], *port = node->element[1];
	if (port->type != REDIS_REPLY_INTEGER || port->integer < 1 || port->integer > UINT16_MAX)
		return false;
	*out = (struct target_server){.port = (uint16_t)port->integer};
	if (host->type == REDIS_REPLY_NIL)
		return set_host("", 0, asked, out);
	return host->type == REDIS_REPLY_STRING && set_host(host->str, host->len, asked, out);
}

/* [FIRST, LAST, MASTER, REPLICA...] */
static bool is_range(const redisReply *range)
{
	return range->type == REDIS_REPLY_ARRAY && range->elements >= 3 &&
	       range->element[0]->type == REDIS_REPLY_INTEGER &&
	       range->element[1]->type == REDIS_REPLY_INTEGER;
}

bool slots_master(const redisReply *slots, uint16_t slot, const struct target_server *asked,
	struct target_server *out)
{
	if (slots->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < slots->elements; i++) {
		const redisReply *range = slots->element[i];
		if (is_range(range) && range->element[0]->integer <= slot &&
			slot <= range->element[1]->integer)
			return server_of(range->element[2], asked, out);
	}
	return false;
}

void slots_each(const redisReply *slots, const struct target_server *asked,
	void (*each)(void *context, const struct target_server *server), void *context)
{
	struct target_server server;
	if (slots->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t r = 0; r < slots->elements; r++) {
		const redisReply *range = slots->element[r];
		for (size_t i = 2; is_range(range) && i < range->elements; i++)
			if (server_of(range->element[i], asked, &server))
				each(context, &server);
	}
}

/* All of the text; 0: it is no port. */
static uint16_t port_of(const char *text)
{
	char *end;
	const unsigned long port = strtoul(text, &end, 10);
	return end != text && *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool slots_sentinel(const redisReply *reply, struct target_server *out)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		reply->element[0]->type != REDIS_REPLY_STRING || reply->element[0]->len == 0 ||
		reply->element[1]->type != REDIS_REPLY_STRING)
		return false;
	*out = (struct target_server){.port = port_of(reply->element[1]->str)};
	return out->port != 0 &&
	       set_host(reply->element[0]->str, reply->element[0]->len, NULL, out);
}

bool slots_redirect(const char *error, const struct target_server *asked, struct target_server *out)
{
	const char *slot = strchr(error, ' ');
	const char *host = slot != NULL ? strchr(slot + 1, ' ') : NULL;
	const char *colon = host != NULL ? strrchr(host, ':') : NULL;
	if (colon == NULL)
		return false;
	*out = (struct target_server){.port = port_of(colon + 1)};
	return out->port != 0 && set_host(host + 1, (size_t)(colon - host - 1), asked, out);
}
