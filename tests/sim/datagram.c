/* SPDX-License-Identifier: BSD-3-Clause */
#include "datagram.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

static uint32_t number(const char *at, const char *end)
{
	uint32_t value = 0;
	while (at < end && *at == ' ')
		at++;
	while (at < end && *at >= '0' && *at <= '9')
		value = value * 10 + (uint32_t)(*at++ - '0');
	return value;
}

static bool starts(const char *at, const char *end, const char *with, size_t length)
{
	return (size_t)(end - at) >= length && memcmp(at, with, length) == 0;
}
#define STARTS(at, end, with) starts(at, end, with, sizeof(with) - 1)

static struct datagram_text trimmed(const char *at, const char *end)
{
	while (at < end && *at == ' ')
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\r'))
		end--;
	return (struct datagram_text){at, (uint32_t)(end - at)};
}

static void read_via(struct datagram *out, const char *at, const char *end)
{
	if (out->branch_text.length > 0)
		return;
	const char *branch = memmem(at, (size_t)(end - at), "branch=", 7);
	if (!branch)
		return;
	branch += 7;
	const char *stop = branch;
	while (stop < end && !strchr(";, \r", *stop))
		stop++;
	out->branch_text = (struct datagram_text){branch, (uint32_t)(stop - branch)};
}

static void read_cseq(struct datagram *out, const char *at, const char *end)
{
	out->cseq = number(at, end);
	const char *method = memchr(at, ' ', (size_t)(end - at));
	if (!method)
		return;
	if (STARTS(method + 1, end, "REGISTER"))
		out->kind = DATAGRAM_REGISTER;
	else if (STARTS(method + 1, end, "OPTIONS"))
		out->kind = DATAGRAM_OPTIONS;
}

static void read_header(struct datagram *out, const char *at, const char *end)
{
	if (STARTS(at, end, "Via: "))
		read_via(out, at + 5, end);
	else if (STARTS(at, end, "CSeq: "))
		read_cseq(out, at + 6, end);
	else if (STARTS(at, end, "Call-ID: "))
		out->call_id_text = trimmed(at + 9, end);
	else if (STARTS(at, end, "Expires: "))
		out->expires = number(at + 9, end);
	else if (STARTS(at, end, "Min-Expires: "))
		out->min_expires = number(at + 13, end);
	else if (STARTS(at, end, "Retry-After: "))
		out->retry_after = number(at + 13, end);
	else if (STARTS(at, end, "Authorization: ") || STARTS(at, end, "Proxy-Authorization: "))
		out->credentials = true;
	else if (STARTS(at, end, "WWW-Authenticate: ") || STARTS(at, end, "Proxy-Authenticate: "))
		out->stale |= memmem(at, (size_t)(end - at), "stale=true", 10) != NULL ||
			      memmem(at, (size_t)(end - at), "stale=TRUE", 10) != NULL;
}

static bool read_first_line(struct datagram *out, const char *at, const char *end)
{
	out->first_line = trimmed(at, end);
	if (STARTS(at, end, "SIP/2.0 ")) {
		out->status = (uint16_t)number(at + 8, end);
		return out->status >= 100;
	}
	const char *uri = memchr(at, ' ', (size_t)(end - at));
	const char *stop = uri ? memchr(uri + 1, ' ', (size_t)(end - uri - 1)) : NULL;
	if (!stop || !STARTS(stop, end, " SIP/2.0\r"))
		return false;
	out->uri = (struct datagram_text){uri + 1, (uint32_t)(stop - uri - 1)};
	return true;
}

bool datagram_read(const void *text, size_t length, struct datagram *out)
{
	const char *at = text, *end = at + length;
	*out = (struct datagram){.text = text,
		.length = (uint16_t)length,
		.kind = DATAGRAM_OTHER,
		.expires = DATAGRAM_ABSENT,
		.retry_after = DATAGRAM_ABSENT,
		.min_expires = DATAGRAM_ABSENT};
	bool first = true;
	for (;;) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		if (!line)
			return false;
		if (first && !read_first_line(out, at, line))
			return false;
		if (!first && line - at <= 1)
			break;
		if (!first)
			read_header(out, at, line);
		first = false;
		at = line + 1;
	}
	if (out->branch_text.length == 0 || out->call_id_text.length == 0 || out->cseq == 0)
		return false;
	if (out->status == 0 && out->kind == DATAGRAM_REGISTER && out->expires == 0)
		out->kind = DATAGRAM_UNREGISTER;
	out->branch = XXH3_64bits(out->branch_text.text, out->branch_text.length);
	out->call_id = XXH3_64bits(out->call_id_text.text, out->call_id_text.length);
	out->hash = XXH3_64bits(text, length);
	return true;
}

struct datagram_text datagram_header(const struct datagram *datagram, const char *name, unsigned n)
{
	const char *at = datagram->text, *end = at + datagram->length;
	size_t length = strlen(name);
	while (at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		if (!line || line - at <= 1)
			break;
		if (starts(at, line, name, length) && at[length] == ':' && n-- == 0)
			return trimmed(at + length + 1, line);
		at = line + 1;
	}
	return (struct datagram_text){"", 0};
}

uint32_t datagram_granted(const struct datagram *datagram, const char *contact, uint32_t otherwise)
{
	size_t length = strlen(contact);
	for (unsigned n = 0;; n++) {
		struct datagram_text value = datagram_header(datagram, "Contact", n);
		if (value.length == 0)
			return DATAGRAM_ABSENT;
		const char *end = value.text + value.length;
		const char *own = memmem(value.text, value.length, contact, length);
		if (!own)
			continue;
		own += length;
		/* Parameters of this value only: a comma outside brackets begins the next one. */
		const char *comma = memchr(own, ',', (size_t)(end - own));
		const char *stop = comma ? comma : end;
		const char *expires = memmem(own, (size_t)(stop - own), "expires=", 8);
		if (expires)
			return number(expires + 8, stop);
		return datagram->expires != DATAGRAM_ABSENT ? datagram->expires : otherwise;
	}
}
