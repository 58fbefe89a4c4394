/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_REDIS 6379
#define PORT_SENTINEL 26379
#define HOST_MAX 253 /* of a name in the DNS */

/* A part of the text that is being taken apart. */
struct part {
	const char *at;
	size_t length;
};

/* Reasons are fixed texts: whatever stands in the wrong place of a URL may be the password. */
static int refuse(char reason[TARGET_REASON_MAX], const char *text)
{
	snprintf(reason, TARGET_REASON_MAX, "%s", text);
	return -EINVAL;
}

static bool take_prefix(struct part *part, const char *prefix)
{
	const size_t length = strlen(prefix);
	if (part->length < length || memcmp(part->at, prefix, length) != 0)
		return false;
	part->at += length;
	part->length -= length;
	return true;
}

/* Everything before the first `mark` goes into *before, the rest stays; false: there is none. */
static bool split(struct part *part, char mark, struct part *before)
{
	const char *found = memchr(part->at, mark, part->length);
	if (found == NULL)
		return false;
	*before = (struct part){part->at, (size_t)(found - part->at)};
	part->length -= before->length + 1;
	part->at = found + 1;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding into a text of `size` bytes; false: malformed, with a NUL, or too long. */
static bool decode(struct part part, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < part.length; i++) {
		int c = (unsigned char)part.at[i];
		if (c == '%') {
			if (part.length - i < 3)
				return false;
			const int high = hex_digit(part.at[i + 1]), low = hex_digit(part.at[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (c == 0 || n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

static bool parse_number(struct part part, uint32_t most, uint32_t *out)
{
	uint32_t value = 0;
	if (part.length == 0 || part.length > 5)
		return false;
	for (size_t i = 0; i < part.length; i++) {
		if (part.at[i] < '0' || part.at[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(part.at[i] - '0');
	}
	*out = value;
	return value <= most;
}

static int parse_db(struct part part, struct target *out, char reason[TARGET_REASON_MAX])
{
	uint32_t db;
	if (!parse_number(part, UINT16_MAX, &db))
		return refuse(reason, "the database is not a number; write it as in redis://HOST/2 "
				      "or unix:PATH?db=2");
	out->db = (uint16_t)db;
	return 0;
}

/* The part before the last @ of an authority, if there is one. */
static int parse_user(struct part *authority, struct target *out, char reason[TARGET_REASON_MAX])
{
	const char *at = memrchr(authority->at, '@', authority->length);
	if (at == NULL)
		return 0;
	struct part password = {authority->at, (size_t)(at - authority->at)}, user;
	authority->length -= password.length + 1;
	authority->at = at + 1;
	if (!split(&password, ':', &user)) {
		user = password;
		password = (struct part){at, 0};
	}
	if (!decode(user, out->user, sizeof(out->user)))
		return refuse(
			reason, "the user's name is too long or its percent-encoding is wrong");
	if (!decode(password, out->password, sizeof(out->password)))
		return refuse(reason, "the password is too long or its percent-encoding is wrong");
	return 0;
}

static bool is_name(struct part host)
{
	if (host.length == 0 || host.length > HOST_MAX)
		return false;
	for (size_t i = 0; i < host.length; i++)
		if (!isalnum((unsigned char)host.at[i]) && strchr("-._", host.at[i]) == NULL)
			return false;
	return true;
}

/* [LITERAL] with what follows it left in *text; the host without brackets in *out. */
static bool take_literal(struct part *text, struct target_server *out)
{
	struct part literal = {text->at + 1, text->length - 1}, inside;
	struct in6_addr address;
	if (!split(&literal, ']', &inside) || inside.length >= sizeof(out->host))
		return false;
	memcpy(out->host, inside.at, inside.length);
	out->host[inside.length] = '\0';
	*text = literal;
	return inet_pton(AF_INET6, out->host, &address) == 1;
}

/* HOST[:PORT], a name, an IPv4 address or an IPv6 address in brackets. */
static int parse_server(
	struct part text, uint16_t port, struct target_server *out, char reason[TARGET_REASON_MAX])
{
	struct part host;
	bool has_port;
	if (text.length > 0 && text.at[0] == '[') {
		if (!take_literal(&text, out))
			return refuse(reason, "the address in brackets is not an IPv6 address");
		has_port = text.length > 0;
		if (has_port && !take_prefix(&text, ":"))
			return refuse(
				reason, "after the address in brackets only :PORT may follow");
	} else {
		has_port = split(&text, ':', &host);
		if (!has_port)
			host = text;
		if (!is_name(host))
			return refuse(reason,
				"the host is not a name or an address; write it as in "
				"redis://USER:PASSWORD@HOST:PORT, with %XX for special "
				"characters of the password");
		memcpy(out->host, host.at, host.length);
		out->host[host.length] = '\0';
	}
	uint32_t number = port;
	if (has_port && (!parse_number(text, UINT16_MAX, &number) || number == 0))
		return refuse(reason, "the port is not a number from 1 to 65535; special "
				      "characters of a password are written as %XX");
	out->port = (uint16_t)number;
	return 0;
}

static int parse_servers(
	struct part text, uint16_t port, struct target *out, char reason[TARGET_REASON_MAX])
{
	for (;;) {
		struct part one;
		const bool more = split(&text, ',', &one);
		if (!more)
			one = text;
		if (out->servers == TARGET_SERVERS_MAX)
			return refuse(reason, "more than 16 servers; a few are enough to find the "
					      "others");
		const int result = parse_server(one, port, &out->server[out->servers], reason);
		if (result != 0)
			return result;
		out->servers++;
		if (!more)
			return 0;
	}
}

static int parse_single(struct part text, struct target *out, char reason[TARGET_REASON_MAX])
{
	struct part authority;
	const bool has_db = split(&text, '/', &authority);
	if (!has_db)
		authority = text;
	out->kind = TARGET_SINGLE;
	int result = parse_user(&authority, out, reason);
	if (result == 0 && memchr(authority.at, ',', authority.length) != NULL)
		result = refuse(reason, "redis:// takes one server; several are for "
					"redis+sentinel:// and redis+cluster://");
	if (result == 0)
		result = parse_servers(authority, PORT_REDIS, out, reason);
	if (result == 0 && has_db && text.length > 0)
		result = parse_db(text, out, reason);
	return result;
}

static int parse_cluster(struct part text, struct target *out, char reason[TARGET_REASON_MAX])
{
	struct part authority;
	out->kind = TARGET_CLUSTER;
	if (!split(&text, '/', &authority))
		authority = text;
	else if (text.length > 0)
		return refuse(reason, "a cluster has no databases: nothing may follow the servers");
	const int result = parse_user(&authority, out, reason);
	return result != 0 ? result : parse_servers(authority, PORT_REDIS, out, reason);
}

static int parse_sentinel(struct part text, struct target *out, char reason[TARGET_REASON_MAX])
{
	struct part authority, master;
	out->kind = TARGET_SENTINEL;
	if (!split(&text, '/', &authority))
		return refuse(reason, "the master's name is missing; write it as in "
				      "redis+sentinel://HOST,HOST/mymaster");
	const bool has_db = split(&text, '/', &master);
	if (!has_db)
		master = text;
	if (master.length == 0 || !decode(master, out->master, sizeof(out->master)))
		return refuse(reason, "the master's name is missing, too long or its "
				      "percent-encoding is wrong");
	int result = parse_user(&authority, out, reason);
	if (result == 0)
		result = parse_servers(authority, PORT_SENTINEL, out, reason);
	if (result == 0 && has_db)
		result = parse_db(text, out, reason);
	return result;
}

static int parse_unix(struct part text, struct target *out, char reason[TARGET_REASON_MAX])
{
	struct part path;
	out->kind = TARGET_UNIX;
	if (take_prefix(&text, "//")) {
		const char *slash = memchr(text.at, '/', text.length);
		if (slash == NULL)
			return refuse(reason, "the path is missing; write it as in "
					      "unix://USER:PASSWORD@/run/redis.sock");
		struct part authority = {text.at, (size_t)(slash - text.at)};
		const int result = parse_user(&authority, out, reason);
		if (result != 0)
			return result;
		if (authority.length != 0)
			return refuse(reason, "before the path only USER:PASSWORD@ may stand; "
					      "write unix:///run/redis.sock");
		text.length -= (size_t)(slash - text.at);
		text.at = slash;
	}
	const bool has_query = split(&text, '?', &path);
	if (!has_query)
		path = text;
	if (path.length == 0 || !decode(path, out->path, sizeof(out->path)))
		return refuse(reason,
			"the path of the socket is missing, longer than 107 bytes or its "
			"percent-encoding is wrong; use a shorter path");
	if (!has_query)
		return 0;
	if (!take_prefix(&text, "db="))
		return refuse(reason, "after the path only ?db=NUMBER may follow");
	return parse_db(text, out, reason);
}

int target_parse(const char *text, struct target *out, char reason[TARGET_REASON_MAX])
{
	struct part part = {text, strlen(text)};
	*out = (struct target){.kind = TARGET_EMBEDDED};
	reason[0] = '\0';
	if (strcmp(text, "embedded") == 0)
		return 0;
	if (strcmp(text, "none") == 0) {
		out->kind = TARGET_NONE;
		return 0;
	}
	if (take_prefix(&part, "redis://"))
		return parse_single(part, out, reason);
	if (take_prefix(&part, "redis+sentinel://"))
		return parse_sentinel(part, out, reason);
	if (take_prefix(&part, "redis+cluster://"))
		return parse_cluster(part, out, reason);
	if (take_prefix(&part, "unix:"))
		return parse_unix(part, out, reason);
	if (take_prefix(&part, "rediss://"))
		return refuse(reason,
			"TLS is not built in: run stunnel beside sipherd and give its "
			"address as redis://127.0.0.1:PORT");
	return refuse(reason, "not a store; one of redis://HOST, unix:PATH, "
			      "redis+sentinel://HOST,HOST/MASTER, redis+cluster://HOST,HOST, "
			      "embedded, none");
}

static int password_from_file(
	const char *name, struct target *target, char reason[TARGET_REASON_MAX])
{
	FILE *file = fopen(name, "re");
	if (file == NULL) {
		const int error = errno;
		snprintf(reason, TARGET_REASON_MAX,
			"SIPHERD_STORE_PASSWORD_FILE cannot be read: %s", strerror(error));
		return -error;
	}
	char line[sizeof(target->password) + 2];
	const bool read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	const size_t length = read ? strcspn(line, "\r\n") : 0;
	if (length >= sizeof(target->password))
		return refuse(reason,
			"the first line of SIPHERD_STORE_PASSWORD_FILE is longer than "
			"511 bytes");
	memcpy(target->password, line, length);
	target->password[length] = '\0';
	explicit_bzero(line, sizeof(line));
	if (length == 0)
		return refuse(reason, "the first line of SIPHERD_STORE_PASSWORD_FILE is empty");
	return 0;
}

int target_password(struct target *target, char reason[TARGET_REASON_MAX])
{
	reason[0] = '\0';
	if (target->kind == TARGET_NONE || target->kind == TARGET_EMBEDDED ||
		target->password[0] != '\0')
		return 0;
	const char *password = getenv("SIPHERD_STORE_PASSWORD");
	if (password != NULL && password[0] != '\0') {
		if (strlen(password) >= sizeof(target->password))
			return refuse(reason, "SIPHERD_STORE_PASSWORD is longer than 511 bytes");
		snprintf(target->password, sizeof(target->password), "%s", password);
		return 0;
	}
	const char *name = getenv("SIPHERD_STORE_PASSWORD_FILE");
	return name != NULL && name[0] != '\0' ? password_from_file(name, target, reason) : 0;
}

static void append(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *out, size_t size, const char *format, ...)
{
	const size_t used = strlen(out);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(out + used, size - used, format, arguments);
	va_end(arguments);
}

static void append_servers(const struct target *target, char *out, size_t size)
{
	for (unsigned i = 0; i < target->servers; i++) {
		const struct target_server *server = &target->server[i];
		const bool literal = strchr(server->host, ':') != NULL;
		append(out, size, "%s%s%s%s:%u", i > 0 ? ", " : "", literal ? "[" : "",
			server->host, literal ? "]" : "", server->port);
	}
}

void target_describe(const struct target *target, char *out, size_t size)
{
	if (size == 0)
		return;
	out[0] = '\0';
	switch (target->kind) {
	case TARGET_NONE:
		append(out, size, "no store");
		return;
	case TARGET_EMBEDDED:
		append(out, size, "the embedded Redis");
		return;
	case TARGET_UNIX:
		append(out, size, "Redis at unix:%s", target->path);
		break;
	case TARGET_SINGLE:
		append(out, size, "Redis at ");
		append_servers(target, out, size);
		break;
	case TARGET_SENTINEL:
		append(out, size, "Redis master %s of the Sentinels at ", target->master);
		append_servers(target, out, size);
		break;
	case TARGET_CLUSTER:
		append(out, size, "Redis Cluster at ");
		append_servers(target, out, size);
		break;
	}
	if (target->db != 0)
		append(out, size, ", database %u", target->db);
}
