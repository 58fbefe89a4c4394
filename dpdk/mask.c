/* SPDX-License-Identifier: BSD-3-Clause */
#include <strings.h>

#include "frame.h"
#include "mask.h"

struct word {
	const char *text;
	size_t length;
};
#define WORD(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static const struct word headers[] = {
	WORD("authorization"),
	WORD("proxy-authorization"),
	WORD("www-authenticate"),
	WORD("proxy-authenticate"),
	WORD("authentication-info"),
	WORD("proxy-authentication-info"),
};

static const struct word secrets[] = {
	WORD("response"),
	WORD("nonce"),
	WORD("cnonce"),
	WORD("opaque"),
	WORD("username"),
	WORD("username*"),
	WORD("nextnonce"),
	WORD("rspauth"),
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '*';
}

static bool in_list(const struct word *list, size_t count, const uint8_t *text, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].length == length &&
			!strncasecmp(list[i].text, (const char *)text, length))
			return true;
	return false;
}

/* The end of a header's value: the first line end that no folded line follows. */
static size_t value_end(const uint8_t *text, size_t at, size_t length)
{
	for (; at < length; at++)
		if (text[at] == '\n' &&
			(at + 1 == length || (text[at + 1] != ' ' && text[at + 1] != '\t')))
			return at;
	return length;
}

static bool overwrite(uint8_t *text, size_t from, size_t to)
{
	bool any = false;
	for (; from < to; from++) {
		if (is_blank(text[from]))
			continue; /* folding stays folding */
		text[from] = 'x';
		any = true;
	}
	return any;
}

/* One value, quoted or not; a quote that never closes hides all the rest. Returns its end. */
static size_t mask_value(uint8_t *text, size_t at, size_t end, bool *any)
{
	size_t to = at;
	if (at < end && text[at] == '"') {
		for (to = ++at; to < end && text[to] != '"'; to++)
			if (text[to] == '\\' && to + 1 < end)
				to++;
	} else {
		while (to < end && text[to] != ',' && text[to] != ';' && !is_blank(text[to]))
			to++;
	}
	*any |= overwrite(text, at, to);
	return to;
}

/* All parameters between two places, wherever their names stand. */
static bool mask_parameters(uint8_t *text, size_t at, size_t end)
{
	bool any = false;
	while (at < end) {
		const size_t name = at;
		while (at < end && is_name(text[at]))
			at++;
		const size_t length = at - name;
		if (!length) {
			at++;
			continue;
		}
		size_t next = at;
		while (next < end && is_blank(text[next]))
			next++;
		if (next == end || text[next] != '=' ||
			!in_list(
				secrets, sizeof(secrets) / sizeof(secrets[0]), text + name, length))
			continue;
		for (next++; next < end && is_blank(text[next]);)
			next++;
		at = mask_value(text, next, end, &any);
	}
	return any;
}

bool mask_text(uint8_t *text, size_t length)
{
	bool any = false;
	for (size_t at = 0; at < length;) {
		const size_t name = at;
		while (at < length && is_name(text[at]))
			at++;
		const size_t name_length = at - name;
		if (!name_length) {
			at++;
			continue;
		}
		size_t colon = at;
		while (colon < length && is_blank(text[colon]))
			colon++;
		if (colon == length || text[colon] != ':' ||
			!in_list(headers, sizeof(headers) / sizeof(headers[0]), text + name,
				name_length))
			continue;
		at = value_end(text, colon, length);
		any |= mask_parameters(text, colon, at);
	}
	return any;
}

static uint16_t tag_of(const uint8_t *frame, size_t length)
{
	if (length < FRAME_LINK_MAX || frame[12] != 0x81 || frame[13] != 0)
		return 0;
	return (uint16_t)((frame[14] << 8 | frame[15]) & 0xfff);
}

void mask_frame(uint8_t *bytes, size_t length, bool credentials, bool open)
{
	struct frame frame;
	const struct frame_rules rules = {
		.vlan = tag_of(bytes, length), .network_checked = true, .transport_checked = true};
	const enum frame_kind kind = frame_parse(bytes, length, &rules, &frame);
	const size_t link = frame_link_length(rules.vlan);
	bool masked = false;
	if (!credentials && kind == FRAME_UDP)
		masked = mask_text(bytes + (frame.payload - bytes), frame.payload_length);
	else if (!credentials && kind == FRAME_FRAGMENT && length > link + 20)
		overwrite(bytes, link + 20, length);
	else if (!credentials && length > link)
		mask_text(bytes + link, length - link);
	if (kind == FRAME_UDP && (masked || open))
		frame_udp_checksum(bytes + link, frame.source.family);
}
