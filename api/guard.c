/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool guard_number(const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
	uint64_t value = 0;
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n > 10 || text[n] != '\0')
		return false;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (value < low || value > high)
		return false;
	*out = (uint32_t)value;
	return true;
}

/* Behind the name: nothing, or a colon and a port. */
static bool is_port(const char *text)
{
	uint32_t port;
	return *text == '\0' || (*text == ':' && guard_number(text + 1, 1, UINT16_MAX, &port));
}

static bool parse_literal(const char *text, char name[GUARD_HOST_MAX])
{
	char inside[ADDRESS_TEXT_MAX + 16], canonical[ADDRESS_TEXT_MAX];
	struct address address;
	const char *end = strchr(text, ']');
	size_t n = end == NULL ? 0 : (size_t)(end - text - 1);
	if (n == 0 || n >= sizeof(inside) || !is_port(end + 1))
		return false;
	memcpy(inside, text + 1, n);
	inside[n] = '\0';
	if (address_parse(inside, &address) != 0 || address.family != ADDRESS_IPV6)
		return false;
	address_format(&address, canonical);
	snprintf(name, GUARD_HOST_MAX, "[%s]", canonical);
	return true;
}

bool guard_host_parse(const char *text, char name[GUARD_HOST_MAX])
{
	if (text[0] == '[')
		return parse_literal(text, name);
	size_t n = 0;
	for (; isalnum((unsigned char)text[n]) || (text[n] != '\0' && strchr(".-_", text[n])); n++)
		if (n == GUARD_HOST_MAX - 1)
			return false;
		else
			name[n] = (char)tolower((unsigned char)text[n]);
	name[n] = '\0';
	return n > 0 && is_port(text + n);
}

static bool is_loopback(const struct address *address)
{
	static const uint8_t one[16] = {[15] = 1};
	return address->family == ADDRESS_IPV4 ? address->bytes[0] == 127
					       : memcmp(address->bytes, one, sizeof(one)) == 0;
}

static bool is_any(const struct address *address)
{
	static const uint8_t zero[16];
	return memcmp(address->bytes, zero, sizeof(zero)) == 0;
}

int guard_listen_parse(const char *text, struct guard_listen *out)
{
	char name[GUARD_HOST_MAX], *literal = name;
	const char *colon = strrchr(text, ':');
	uint32_t port;
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	if (n == 0 || n >= sizeof(name) || !guard_number(colon + 1, 0, UINT16_MAX, &port))
		return -EINVAL;
	memcpy(name, text, n);
	name[n] = '\0';
	if (strcasecmp(name, "localhost") == 0)
		snprintf(name, sizeof(name), "127.0.0.1");
	bool brackets = name[0] == '[' && name[n - 1] == ']';
	if (brackets) {
		name[n - 1] = '\0';
		literal++;
	}
	*out = (struct guard_listen){.port = (uint16_t)port};
	if (address_parse(literal, &out->address) != 0 ||
		brackets != (out->address.family == ADDRESS_IPV6))
		return -EINVAL;
	out->loopback = is_loopback(&out->address);
	out->any = is_any(&out->address);
	return 0;
}

bool guard_host_is_ours(
	const char *host, const struct guard_listen *listen, const char *const *names, size_t count)
{
	static const char *const always[] = {"localhost", "127.0.0.1", "[::1]"};
	char name[GUARD_HOST_MAX], ours[GUARD_HOST_MAX], bound[ADDRESS_TEXT_MAX];
	if (!guard_host_parse(host, name))
		return false;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (strcmp(name, always[i]) == 0)
			return true;
	address_format(&listen->address, bound);
	snprintf(ours, sizeof(ours), listen->address.family == ADDRESS_IPV6 ? "[%s]" : "%s", bound);
	if (!listen->any && strcmp(name, ours) == 0)
		return true;
	for (size_t i = 0; i < count; i++)
		if (guard_host_parse(names[i], ours) && strcmp(name, ours) == 0)
			return true;
	return false;
}

bool guard_origin_is_ours(const char *origin, const char *scheme, const char *host)
{
	size_t n = strlen(scheme);
	return strncasecmp(origin, scheme, n) == 0 && strncmp(origin + n, "://", 3) == 0 &&
	       strcasecmp(origin + n + 3, host) == 0;
}

const char *guard_bearer(const char *authorization)
{
	static const char kind[] = "Bearer ";
	if (strncasecmp(authorization, kind, sizeof(kind) - 1) != 0)
		return NULL;
	const char *token = authorization + sizeof(kind) - 1;
	return token + strspn(token, " ");
}

bool guard_is_json(const char *type)
{
	static const char json[] = "application/json";
	const size_t n = sizeof(json) - 1;
	if (strncasecmp(type, json, n) != 0)
		return false;
	const char *rest = type + n + strspn(type + n, " \t");
	return *rest == '\0' || *rest == ';';
}

bool guard_token_equal(const char *given, const char token[GUARD_TOKEN_LENGTH + 1])
{
	/* Its length is no secret: it is in the manual. */
	return strlen(given) == GUARD_TOKEN_LENGTH &&
	       CRYPTO_memcmp(given, token, GUARD_TOKEN_LENGTH) == 0;
}
