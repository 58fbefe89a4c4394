/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One walk over the header lines. Each line costs a search for its end and its colon; only values
 * that scan.h promises are looked into. The searches load sixteen bytes at a time, never beyond the
 * datagram; SCAN_PORTABLE selects the plain loops that every other machine uses.
 *
 * Decisions that scan.h leaves open:
 * - CR and LF before the start line are skipped, for requests and responses alike.
 * - Numbers too large for 32 bits saturate at UINT32_MAX - 1, because UINT32_MAX means absent.
 * - Of Expires, Min-Expires, Retry-After, Max-Forwards and Require the first header counts.
 * - A parameter we use may occur once and needs a value, except rport; empty parameters (";;"),
 *   whitespace inside <> and a comma or '?' in a URI outside <> are SCAN_PARAMETER.
 * - An empty element of a Via list is SCAN_VIA, of a Contact list SCAN_PARAMETER; an empty Call-ID
 *   counts as missing.
 * - "Contact: *" sets contact_star and takes no place in contact[].
 */
#include "scan.h"

#include <string.h>

#if defined(__SSE2__) && !defined(SCAN_PORTABLE)
#include <emmintrin.h>
#define SCAN_VECTOR 1
#else
#define SCAN_VECTOR 0
#endif

/* What is still unread of a value. Loads may touch bytes up to limit, the end of the datagram. */
struct reader {
	const char *at, *end, *limit;
};

struct scanner {
	const char *base, *end;
	struct sip_message *out;
	struct span request_method; /* as in the Request-Line; absent in a response */
	struct span content_length;
};

struct parameter {
	const char *name, *value, *value_end;
	size_t name_length;
};

enum header {
	HEADER_OTHER,
	HEADER_VIA,
	HEADER_FROM,
	HEADER_TO,
	HEADER_CALL_ID,
	HEADER_CSEQ,
	HEADER_CONTACT,
	HEADER_CONTENT_LENGTH,
	HEADER_EXPIRES,
	HEADER_MIN_EXPIRES,
	HEADER_RETRY_AFTER,
	HEADER_MAX_FORWARDS,
	HEADER_REQUIRE,
	HEADER_AUTHORIZATION,
	HEADER_WWW_AUTHENTICATE,
	HEADER_PROXY_AUTHENTICATE,
};

enum {
	CLASS_TOKEN = 1,
	CLASS_HOST = 2,
	CLASS_SCHEME = 4,
	CLASS_IPV6 = 8,
	CLASS_DIGIT = 16,
	CLASS_NAME = 32, /* of a display name without quotes: tokens, LWS and, in practice, UTF-8 */
};

#define CLASS_WORD (CLASS_TOKEN | CLASS_HOST | CLASS_SCHEME | CLASS_NAME)

static const uint8_t class_of[256] = {
	['0' ... '9'] = CLASS_WORD | CLASS_IPV6 | CLASS_DIGIT,
	['a' ... 'f'] = CLASS_WORD | CLASS_IPV6,
	['A' ... 'F'] = CLASS_WORD | CLASS_IPV6,
	['g' ... 'z'] = CLASS_WORD,
	['G' ... 'Z'] = CLASS_WORD,
	['-'] = CLASS_WORD,
	['.'] = CLASS_WORD | CLASS_IPV6,
	[':'] = CLASS_IPV6,
	['+'] = CLASS_TOKEN | CLASS_SCHEME | CLASS_NAME,
	['_'] = CLASS_TOKEN | CLASS_HOST | CLASS_NAME,
	['!'] = CLASS_TOKEN | CLASS_NAME,
	['%'] = CLASS_TOKEN | CLASS_NAME,
	['*'] = CLASS_TOKEN | CLASS_NAME,
	['`'] = CLASS_TOKEN | CLASS_NAME,
	['\''] = CLASS_TOKEN | CLASS_NAME,
	['~'] = CLASS_TOKEN | CLASS_NAME,
	[' '] = CLASS_NAME,
	['\t'] = CLASS_NAME,
	['\r'] = CLASS_NAME,
	['\n'] = CLASS_NAME,
	[0x80 ... 0xff] = CLASS_NAME,
};

static inline bool is_class(char c, uint8_t class)
{
	return class_of[(uint8_t)c] & class;
}

static bool all_class(const char *at, const char *end, uint8_t class)
{
	while (at < end && is_class(*at, class))
		at++;
	return at == end;
}

/* Inside a value a line end is always part of a fold, so it is white space like any other. */
static inline bool is_lws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* True when c is one of the five, or, with blank, white space or another control character. */
static inline bool is_any(char c, const char set[5], bool blank)
{
	return c == set[0] || c == set[1] || c == set[2] || c == set[3] || c == set[4] ||
	       (blank && (uint8_t)c <= ' ');
}

/*
 * The first byte of [at, end) that is one of the five or blank, else end. Inlined with constant
 * sets, so that repeated members cost nothing.
 */
__attribute__((always_inline)) static inline const char *find_any(
	const char *at, const char *end, const char *limit, const char set[5], bool blank)
{
#if SCAN_VECTOR
	while (limit - at >= 16) {
		__m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i hit = _mm_cmpeq_epi8(text, _mm_set1_epi8(set[0]));
		for (int i = 1; i < 5; i++)
			if (set[i] != set[i - 1])
				hit = _mm_or_si128(
					hit, _mm_cmpeq_epi8(text, _mm_set1_epi8(set[i])));
		if (blank)
			hit = _mm_or_si128(
				hit, _mm_cmpeq_epi8(_mm_min_epu8(text, _mm_set1_epi8(' ')), text));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);
		if (mask) {
			at += __builtin_ctz(mask);
			return at < end ? at : end;
		}
		if (end - at <= 16)
			return end;
		at += 16;
	}
#else
	(void)limit;
#endif
	while (at < end && !is_any(*at, set, blank))
		at++;
	return at;
}

static inline const char *find_byte(const char *at, const char *end, const char *limit, char byte)
{
	const char set[5] = {byte, byte, byte, byte, byte};
	return find_any(at, end, limit, set, false);
}

static inline void skip_lws(struct reader *r)
{
	while (r->at < r->end && is_lws(*r->at))
		r->at++;
}

static inline bool at_byte(const struct reader *r, char byte)
{
	return r->at < r->end && *r->at == byte;
}

/* Past a separator with white space on either side; false when it is not there. */
static inline bool skip_separator(struct reader *r, char byte)
{
	skip_lws(r);
	if (!at_byte(r, byte))
		return false;
	r->at++;
	skip_lws(r);
	return true;
}

static inline struct span span_of(const char *base, const char *at, const char *end)
{
	return (struct span){(uint16_t)(at - base), (uint16_t)(end - at)};
}

/* Does [at, at + length) spell this lower-case name in any case? Callers pass literals. */
static inline bool spells(const char *at, const char *lower, size_t length)
{
	unsigned differ = 0;
	for (size_t i = 0; i < length; i++) {
		bool letter = lower[i] >= 'a' && lower[i] <= 'z';
		differ |= (unsigned char)((letter ? at[i] | 0x20 : at[i]) ^ lower[i]);
	}
	return differ == 0;
}

/* Digits, saturating at UINT32_MAX - 1; false when there is none. Leaves r behind the last. */
static bool read_number(struct reader *r, uint32_t *value)
{
	const char *first = r->at;
	uint64_t number = 0;
	for (; r->at < r->end && is_class(*r->at, CLASS_DIGIT); r->at++) {
		number = number * 10 + (uint64_t)(*r->at - '0');
		if (number >= UINT32_MAX)
			number = UINT32_MAX - 1;
	}
	*value = (uint32_t)number;
	return r->at > first;
}

/* Past a quoted string that starts here; false when it never ends. */
static bool skip_quoted(struct reader *r)
{
	static const char set[5] = "\"\\\\\\\\";
	r->at++;
	for (;;) {
		r->at = find_any(r->at, r->end, r->limit, set, false);
		if (r->at == r->end)
			return false;
		if (*r->at++ == '"')
			return true;
		/* A backslash takes the next byte with it. */
		if (r->at == r->end)
			return false;
		r->at++;
	}
}

static bool read_parameter_value(struct reader *r, struct parameter *p)
{
	static const char set[5] = ";\",<<";
	p->value = r->at;
	if (!at_byte(r, '"')) {
		p->value_end = r->at = find_any(r->at, r->end, r->limit, set, true);
		return true;
	}
	p->value++;
	if (!skip_quoted(r))
		return false;
	p->value_end = r->at - 1;
	return true;
}

/* The next ";name" or ";name=value": 1, 0 at the end, -1 malformed. */
static int next_parameter(struct reader *r, struct parameter *p)
{
	static const char set[5] = ";=\",<";
	skip_lws(r);
	if (r->at == r->end)
		return 0;
	if (!skip_separator(r, ';'))
		return -1;
	p->name = r->at;
	r->at = find_any(r->at, r->end, r->limit, set, true);
	p->name_length = (size_t)(r->at - p->name);
	if (p->name_length == 0)
		return -1;
	p->value = p->value_end = r->at;
	if (!skip_separator(r, '='))
		return 1;
	return read_parameter_value(r, p) ? 1 : -1;
}

/* "scheme:" and something behind it. */
static bool is_uri(const char *at, const char *end)
{
	if (at == end || !is_class(*at, CLASS_SCHEME) || is_class(*at, CLASS_DIGIT))
		return false;
	while (at < end && is_class(*at, CLASS_SCHEME))
		at++;
	return end - at >= 2 && *at == ':';
}

/* "<uri>" starts here; leaves r behind it. */
static bool read_bracketed(struct reader *r, const char **uri, const char **uri_end)
{
	static const char set[5] = "<>\"\"\"";
	*uri = ++r->at;
	*uri_end = r->at = find_any(r->at, r->end, r->limit, set, true);
	if (!at_byte(r, '>'))
		return false;
	r->at++;
	return is_uri(*uri, *uri_end);
}

/* A name-addr or addr-spec; leaves r at the header parameters. */
static bool read_address(struct reader *r, const char **uri, const char **uri_end)
{
	static const char set[5] = "<;\",?", none[5] = {' ', ' ', ' ', ' ', ' '};
	if (at_byte(r, '<'))
		return read_bracketed(r, uri, uri_end);
	if (at_byte(r, '"')) {
		if (!skip_quoted(r))
			return false;
		skip_lws(r);
		return at_byte(r, '<') && read_bracketed(r, uri, uri_end);
	}
	const char *first = r->at;
	r->at = find_any(r->at, r->end, r->limit, set, false);
	if (at_byte(r, '<'))
		return all_class(first, r->at, CLASS_NAME) && read_bracketed(r, uri, uri_end);
	if (r->at < r->end && *r->at != ';')
		return false;
	const char *last = r->at;
	while (last > first && is_lws(last[-1]))
		last--;
	*uri = first;
	*uri_end = last;
	return is_uri(first, last) && find_any(first, last, r->limit, none, true) == last;
}

/* From or To: the addr-spec and the tag. */
static enum scan_result take_party(
	struct scanner *s, struct reader r, struct span *value, struct span *uri, struct span *tag)
{
	if (value->at)
		return SCAN_DUPLICATE;
	*value = span_of(s->base, r.at, r.end);
	const char *from, *to;
	if (!read_address(&r, &from, &to))
		return SCAN_PARAMETER;
	*uri = span_of(s->base, from, to);
	struct parameter p;
	int more;
	while ((more = next_parameter(&r, &p)) > 0) {
		if (p.name_length != 3 || !spells(p.name, "tag", 3))
			continue;
		if (tag->at || p.value == p.value_end)
			return SCAN_PARAMETER;
		*tag = span_of(s->base, p.value, p.value_end);
	}
	return more < 0 ? SCAN_PARAMETER : SCAN_OK;
}

/* "SIP / 2.0 / transport" and the white space behind it. */
static bool skip_via_protocol(struct reader *r)
{
	if (r->end - r->at < 3 || !spells(r->at, "sip", 3))
		return false;
	r->at += 3;
	if (!skip_separator(r, '/'))
		return false;
	if (r->end - r->at < 3 || memcmp(r->at, "2.0", 3) != 0)
		return false;
	r->at += 3;
	if (!skip_separator(r, '/'))
		return false;
	const char *transport = r->at;
	while (r->at < r->end && is_class(*r->at, CLASS_TOKEN))
		r->at++;
	if (r->at == transport || r->at == r->end || !is_lws(*r->at))
		return false;
	skip_lws(r);
	return true;
}

/* A host name, IPv4 address or bracketed IPv6 address; leaves r behind it. */
static bool read_host(struct reader *r, const char *base, struct span *host)
{
	const char *first = r->at;
	bool bracket = at_byte(r, '[');
	uint8_t class = bracket ? CLASS_IPV6 : CLASS_HOST;
	r->at += bracket;
	const char *inside = r->at;
	while (r->at < r->end && is_class(*r->at, class))
		r->at++;
	if (r->at == inside)
		return false;
	if (bracket && !at_byte(r, ']'))
		return false;
	r->at += bracket;
	*host = span_of(base, first, r->at);
	return true;
}

static bool read_port(struct reader *r, uint16_t *port)
{
	uint32_t number;
	if (!read_number(r, &number) || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

static enum scan_result take_via_parameters(struct scanner *s, struct reader *r)
{
	struct sip_message *out = s->out;
	struct parameter p;
	int more;
	while ((more = next_parameter(r, &p)) > 0) {
		if (p.name_length == 5 && spells(p.name, "rport", 5))
			out->rport = true;
		if (p.name_length != 6 || !spells(p.name, "branch", 6))
			continue;
		if (out->via_branch.at || p.value == p.value_end)
			return SCAN_PARAMETER;
		out->via_branch = span_of(s->base, p.value, p.value_end);
	}
	return more < 0 ? SCAN_PARAMETER : SCAN_OK;
}

static enum scan_result take_top_via(struct scanner *s, struct reader r)
{
	if (!skip_via_protocol(&r) || !read_host(&r, s->base, &s->out->via_host))
		return SCAN_VIA;
	if (skip_separator(&r, ':') && !read_port(&r, &s->out->via_port))
		return SCAN_VIA;
	skip_lws(&r);
	if (r.at < r.end && *r.at != ';')
		return SCAN_VIA;
	return take_via_parameters(s, &r);
}

/* The next element of a comma-separated list, trimmed; r goes behind its comma. */
static bool next_element(struct reader *r, struct reader *element)
{
	static const char set[5] = "\"<,,,";
	skip_lws(r);
	*element = *r;
	for (;;) {
		r->at = find_any(r->at, r->end, r->limit, set, false);
		if (r->at == r->end || *r->at == ',')
			break;
		if (*r->at == '"') {
			if (!skip_quoted(r))
				return false;
			continue;
		}
		r->at = find_byte(r->at, r->end, r->limit, '>');
		if (r->at == r->end)
			return false;
	}
	element->end = r->at;
	while (element->end > element->at && is_lws(element->end[-1]))
		element->end--;
	return true;
}

/* True when the list goes on behind a comma. */
static bool next_comma(struct reader *r)
{
	if (r->at == r->end)
		return false;
	r->at++;
	return true;
}

static enum scan_result take_via(struct scanner *s, struct reader r)
{
	struct sip_message *out = s->out;
	struct reader element;
	do {
		if (!next_element(&r, &element))
			return SCAN_PARAMETER;
		if (element.at == element.end)
			return SCAN_VIA;
		if (out->vias == SCAN_VIA_MAX)
			return SCAN_TOO_MANY;
		out->via[out->vias++] = span_of(s->base, element.at, element.end);
		if (out->vias > 1)
			continue;
		enum scan_result result = take_top_via(s, element);
		if (result)
			return result;
	} while (next_comma(&r));
	return SCAN_OK;
}

static enum scan_result take_contact(struct scanner *s, struct reader r)
{
	struct sip_message *out = s->out;
	struct reader element;
	do {
		if (!next_element(&r, &element) || element.at == element.end)
			return SCAN_PARAMETER;
		if (element.end - element.at == 1 && *element.at == '*') {
			out->contact_star = true;
			continue;
		}
		if (out->contacts == SCAN_CONTACT_MAX)
			return SCAN_TOO_MANY;
		out->contact[out->contacts++] = span_of(s->base, element.at, element.end);
	} while (next_comma(&r));
	return SCAN_OK;
}

static enum scan_result take_cseq(struct scanner *s, struct reader r)
{
	struct sip_message *out = s->out;
	if (out->method_text.at)
		return SCAN_DUPLICATE;
	if (!read_number(&r, &out->cseq) || out->cseq > INT32_MAX)
		return SCAN_CSEQ;
	const char *gap = r.at;
	skip_lws(&r);
	if (r.at == gap || r.at == r.end || !all_class(r.at, r.end, CLASS_TOKEN))
		return SCAN_CSEQ;
	out->method_text = span_of(s->base, r.at, r.end);
	out->method = scan_method(r.at, out->method_text.length);
	return SCAN_OK;
}

static enum scan_result take_number(struct reader r, enum header header, uint32_t *number)
{
	uint32_t value;
	if (!read_number(&r, &value))
		return SCAN_NUMBER;
	skip_lws(&r);
	/* Retry-After alone may go on with a comment or parameters. */
	bool more = header == HEADER_RETRY_AFTER && (at_byte(&r, '(') || at_byte(&r, ';'));
	if (r.at < r.end && !more)
		return SCAN_NUMBER;
	if (*number == SCAN_ABSENT)
		*number = value;
	return SCAN_OK;
}

static void take_challenge(struct scanner *s, struct span value, bool proxy)
{
	struct sip_message *out = s->out;
	if (out->challenges == SCAN_CHALLENGE_MAX)
		return;
	out->challenge_proxy |= (uint8_t)(proxy << out->challenges);
	out->challenge[out->challenges++] = value;
}

static enum scan_result take_once(struct span *kept, struct span value)
{
	if (kept->at)
		return SCAN_DUPLICATE;
	*kept = value;
	return SCAN_OK;
}

static enum scan_result take_header(struct scanner *s, enum header header, struct reader r)
{
	struct sip_message *out = s->out;
	struct span value = span_of(s->base, r.at, r.end);
	switch (header) {
	case HEADER_VIA:
		return take_via(s, r);
	case HEADER_FROM:
		return take_party(s, r, &out->from, &out->from_uri, &out->from_tag);
	case HEADER_TO:
		return take_party(s, r, &out->to, &out->to_uri, &out->to_tag);
	case HEADER_CALL_ID:
		return take_once(&out->call_id, value);
	case HEADER_CSEQ:
		return take_cseq(s, r);
	case HEADER_CONTACT:
		return take_contact(s, r);
	case HEADER_CONTENT_LENGTH:
		return take_once(&s->content_length, value);
	case HEADER_EXPIRES:
		return take_number(r, header, &out->expires);
	case HEADER_MIN_EXPIRES:
		return take_number(r, header, &out->min_expires);
	case HEADER_RETRY_AFTER:
		return take_number(r, header, &out->retry_after);
	case HEADER_MAX_FORWARDS:
		return take_number(r, header, &out->max_forwards);
	case HEADER_REQUIRE:
		if (out->require.length == 0)
			out->require = value;
		return SCAN_OK;
	case HEADER_AUTHORIZATION:
		if (out->credentials < SCAN_CREDENTIALS_MAX)
			out->credential[out->credentials++] = value;
		return SCAN_OK;
	case HEADER_WWW_AUTHENTICATE:
	case HEADER_PROXY_AUTHENTICATE:
		take_challenge(s, value, header == HEADER_PROXY_AUTHENTICATE);
		return SCAN_OK;
	case HEADER_OTHER:
		break;
	}
	return SCAN_OK;
}

/* Names of one length, told apart by their first letter. */
static enum header header_of_seven(const char *name)
{
	switch (name[0] | 0x20) {
	case 'c':
		if (spells(name, "call-id", 7))
			return HEADER_CALL_ID;
		return spells(name, "contact", 7) ? HEADER_CONTACT : HEADER_OTHER;
	case 'e':
		return spells(name, "expires", 7) ? HEADER_EXPIRES : HEADER_OTHER;
	case 'r':
		return spells(name, "require", 7) ? HEADER_REQUIRE : HEADER_OTHER;
	}
	return HEADER_OTHER;
}

static enum header header_of_letter(char letter)
{
	switch (letter) {
	case 'v':
	case 'V':
		return HEADER_VIA;
	case 'f':
	case 'F':
		return HEADER_FROM;
	case 't':
	case 'T':
		return HEADER_TO;
	case 'i':
	case 'I':
		return HEADER_CALL_ID;
	case 'm':
	case 'M':
		return HEADER_CONTACT;
	case 'l':
	case 'L':
		return HEADER_CONTENT_LENGTH;
	}
	return HEADER_OTHER;
}

static enum header header_of(const char *name, size_t length)
{
	switch (length) {
	case 1:
		return header_of_letter(name[0]);
	case 2:
		return spells(name, "to", 2) ? HEADER_TO : HEADER_OTHER;
	case 3:
		return spells(name, "via", 3) ? HEADER_VIA : HEADER_OTHER;
	case 4:
		if (spells(name, "from", 4))
			return HEADER_FROM;
		return spells(name, "cseq", 4) ? HEADER_CSEQ : HEADER_OTHER;
	case 7:
		return header_of_seven(name);
	case 11:
		if (spells(name, "min-expires", 11))
			return HEADER_MIN_EXPIRES;
		return spells(name, "retry-after", 11) ? HEADER_RETRY_AFTER : HEADER_OTHER;
	case 12:
		return spells(name, "max-forwards", 12) ? HEADER_MAX_FORWARDS : HEADER_OTHER;
	case 13:
		return spells(name, "authorization", 13) ? HEADER_AUTHORIZATION : HEADER_OTHER;
	case 14:
		return spells(name, "content-length", 14) ? HEADER_CONTENT_LENGTH : HEADER_OTHER;
	case 16:
		return spells(name, "www-authenticate", 16) ? HEADER_WWW_AUTHENTICATE
							    : HEADER_OTHER;
	case 18:
		return spells(name, "proxy-authenticate", 18) ? HEADER_PROXY_AUTHENTICATE
							      : HEADER_OTHER;
	}
	return HEADER_OTHER;
}

/* One header with its folds; *at goes to the next line. */
static enum scan_result read_header(struct scanner *s, const char **at)
{
	const char *name = *at, *end = s->end;
	const char *line_end = find_byte(name, end, end, '\n');
	if (line_end == end)
		return SCAN_TRUNCATED;
	const char *colon = find_byte(name, line_end, end, ':'), *name_end = colon;
	if (colon == line_end)
		return SCAN_HEADER;
	while (end - line_end > 1 && (line_end[1] == ' ' || line_end[1] == '\t')) {
		line_end = find_byte(line_end + 1, end, end, '\n');
		if (line_end == end)
			return SCAN_TRUNCATED;
	}
	*at = line_end + 1;
	while (name_end > name && (name_end[-1] == ' ' || name_end[-1] == '\t'))
		name_end--;
	enum header header = header_of(name, (size_t)(name_end - name));
	if (header == HEADER_OTHER)
		return name_end > name && all_class(name, name_end, CLASS_TOKEN) ? SCAN_OK
										 : SCAN_HEADER;
	struct reader value = {colon + 1, line_end, end};
	skip_lws(&value);
	while (value.end > value.at && is_lws(value.end[-1]))
		value.end--;
	return take_header(s, header, value);
}

/* "SIP/2.0" was read: " 200" and perhaps " OK" follow. */
static enum scan_result read_status(struct scanner *s, const char *at, const char *end)
{
	if (end - at < 4 || *at != ' ' || !all_class(at + 1, at + 4, CLASS_DIGIT))
		return SCAN_START_LINE;
	int status = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
	if (status < 100 || status > 699)
		return SCAN_START_LINE;
	at += 4;
	if (at < end && *at++ != ' ')
		return SCAN_START_LINE;
	s->out->status = (uint16_t)status;
	s->out->reason = span_of(s->base, at, end);
	return SCAN_OK;
}

/* "METHOD uri SIP/2.0" with single spaces. */
static enum scan_result read_request(struct scanner *s, const char *at, const char *end)
{
	static const char set[5] = "<>\"\x7f\x7f";
	const char *method = at;
	while (at < end && is_class(*at, CLASS_TOKEN))
		at++;
	if (at == method || end - at < 10 || *at != ' ')
		return SCAN_START_LINE;
	const char *uri = at + 1, *uri_end = end - 8;
	if (*uri_end != ' ' || !spells(uri_end + 1, "sip/2.0", 7))
		return SCAN_START_LINE;
	if (!is_uri(uri, uri_end) || find_any(uri, uri_end, s->end, set, true) != uri_end)
		return SCAN_START_LINE;
	s->request_method = span_of(s->base, method, at);
	s->out->uri = span_of(s->base, uri, uri_end);
	return SCAN_OK;
}

static enum scan_result read_start_line(struct scanner *s, const char **at)
{
	const char *line = *at, *line_end = find_byte(line, s->end, s->end, '\n'), *end = line_end;
	if (end > line && end[-1] == '\r')
		end--;
	enum scan_result result;
	if (end - line >= 7 && spells(line, "sip/2.0", 7))
		result = read_status(s, line + 7, end);
	else
		result = read_request(s, line, end);
	if (result)
		return result;
	if (line_end == s->end)
		return SCAN_TRUNCATED;
	*at = line_end + 1;
	return SCAN_OK;
}

/* The headers are over; at is where the body starts. */
static enum scan_result finish(struct scanner *s, const char *at)
{
	struct sip_message *out = s->out;
	size_t body = (size_t)(s->end - at);
	if (s->content_length.at) {
		const char *text = s->base + s->content_length.at;
		struct reader r = {text, text + s->content_length.length, s->end};
		uint32_t length;
		if (!read_number(&r, &length) || r.at != r.end || length > body)
			return SCAN_CONTENT_LENGTH;
		body = length;
	}
	if (!out->vias || !out->from.at || !out->to.at || !out->call_id.length || !out->method)
		return SCAN_MISSING;
	if (!out->status && !span_equal(out, out->method_text, s->base + s->request_method.at,
				    s->request_method.length))
		return SCAN_CSEQ;
	if (body)
		out->body = span_of(s->base, at, at + body);
	out->length = (uint16_t)((size_t)(at - s->base) + body);
	return SCAN_OK;
}

static enum scan_result read_headers(struct scanner *s, const char *at)
{
	for (;;) {
		if (at == s->end)
			return SCAN_TRUNCATED;
		if (*at == '\n')
			return finish(s, at + 1);
		if (*at == '\r' && s->end - at > 1 && at[1] == '\n')
			return finish(s, at + 2);
		enum scan_result result = read_header(s, &at);
		if (result)
			return result;
	}
}

enum scan_result scan_message(const void *datagram, size_t length, struct sip_message *out)
{
	memset(out, 0, sizeof(*out));
	out->base = datagram;
	out->expires = out->min_expires = out->retry_after = out->max_forwards = SCAN_ABSENT;
	if (length == 0)
		return SCAN_EMPTY;
	if (length > SCAN_LENGTH_MAX)
		return SCAN_TOO_LONG;
	const char *at = datagram, *end = at + length;
	struct scanner s = {.base = at, .end = end, .out = out};
	while (at < end && (*at == '\r' || *at == '\n'))
		at++;
	if (at == end)
		return SCAN_EMPTY;
	enum scan_result result = read_start_line(&s, &at);
	return result ? result : read_headers(&s, at);
}

const char *scan_result_name(enum scan_result result)
{
	static const char *const name[SCAN_RESULTS] = {
		[SCAN_OK] = "ok",
		[SCAN_EMPTY] = "empty",
		[SCAN_TOO_LONG] = "too long",
		[SCAN_START_LINE] = "start line",
		[SCAN_HEADER] = "header line",
		[SCAN_TRUNCATED] = "truncated",
		[SCAN_MISSING] = "missing header",
		[SCAN_DUPLICATE] = "duplicate header",
		[SCAN_VIA] = "Via",
		[SCAN_CSEQ] = "CSeq",
		[SCAN_CONTENT_LENGTH] = "Content-Length",
		[SCAN_NUMBER] = "number",
		[SCAN_PARAMETER] = "parameter",
		[SCAN_TOO_MANY] = "too many values",
	};
	return (unsigned)result < SCAN_RESULTS ? name[result] : "unknown";
}

static const char *const method_name[] = {
	[SIP_METHOD_NONE] = "",
	[SIP_REGISTER] = "REGISTER",
	[SIP_OPTIONS] = "OPTIONS",
	[SIP_INVITE] = "INVITE",
	[SIP_ACK] = "ACK",
	[SIP_BYE] = "BYE",
	[SIP_CANCEL] = "CANCEL",
	[SIP_NOTIFY] = "NOTIFY",
	[SIP_METHOD_OTHER] = "other",
};

enum sip_method scan_method(const char *text, size_t length)
{
	switch (length) {
	case 0:
		return SIP_METHOD_NONE;
	case 3:
		if (memcmp(text, "ACK", 3) == 0)
			return SIP_ACK;
		return memcmp(text, "BYE", 3) == 0 ? SIP_BYE : SIP_METHOD_OTHER;
	case 6:
		if (memcmp(text, "INVITE", 6) == 0)
			return SIP_INVITE;
		if (memcmp(text, "CANCEL", 6) == 0)
			return SIP_CANCEL;
		return memcmp(text, "NOTIFY", 6) == 0 ? SIP_NOTIFY : SIP_METHOD_OTHER;
	case 7:
		return memcmp(text, "OPTIONS", 7) == 0 ? SIP_OPTIONS : SIP_METHOD_OTHER;
	case 8:
		return memcmp(text, "REGISTER", 8) == 0 ? SIP_REGISTER : SIP_METHOD_OTHER;
	}
	return SIP_METHOD_OTHER;
}

const char *scan_method_name(enum sip_method method)
{
	return (unsigned)method <= SIP_METHOD_OTHER ? method_name[method] : "unknown";
}

static struct reader span_reader(const struct sip_message *message, struct span span)
{
	const char *at = message->base + span.at;
	return (struct reader){at, at + span.length, message->base + message->length};
}

bool scan_contact(const struct sip_message *message, struct span value, struct sip_contact *out)
{
	*out = (struct sip_contact){.expires = SCAN_ABSENT};
	struct reader r = span_reader(message, value);
	const char *uri, *uri_end;
	if (!read_address(&r, &uri, &uri_end))
		return false;
	out->uri = span_of(message->base, uri, uri_end);
	skip_lws(&r);
	if (r.at < r.end)
		out->params = span_of(message->base, r.at, r.end);
	struct parameter p;
	int more;
	while ((more = next_parameter(&r, &p)) > 0) {
		if (p.name_length != 7 || !spells(p.name, "expires", 7))
			continue;
		if (out->expires != SCAN_ABSENT)
			return false;
		struct reader number = {p.value, p.value_end, r.limit};
		if (!read_number(&number, &out->expires) || number.at != number.end)
			out->expires = 3600;
	}
	return more == 0;
}

/* Behind "sip:" or "sips:" of any case; NULL for another scheme. */
static const char *skip_sip_scheme(const char *at, const char *end)
{
	if (end - at >= 4 && spells(at, "sip:", 4))
		return at + 4;
	if (end - at >= 5 && spells(at, "sips:", 5))
		return at + 5;
	return NULL;
}

bool scan_uri(const struct sip_message *message, struct span uri, struct sip_uri *out)
{
	static const char set[5] = "<>\"\x7f\x7f";
	*out = (struct sip_uri){0};
	struct reader r = span_reader(message, uri);
	r.at = skip_sip_scheme(r.at, r.end);
	if (!r.at || find_any(r.at, r.end, r.limit, set, true) != r.end)
		return false;
	const char *at_sign = find_byte(r.at, r.end, r.limit, '@');
	if (at_sign < r.end) {
		const char *user_end = find_byte(r.at, at_sign, r.limit, ':');
		if (user_end == r.at)
			return false;
		out->user = span_of(message->base, r.at, user_end);
		r.at = at_sign + 1;
	}
	if (!read_host(&r, message->base, &out->host))
		return false;
	if (at_byte(&r, ':')) {
		r.at++;
		if (!read_port(&r, &out->port))
			return false;
	}
	if (r.at < r.end && *r.at != ';' && *r.at != '?')
		return false;
	return find_byte(r.at, r.end, r.limit, '@') == r.end;
}

bool span_equal(
	const struct sip_message *message, struct span span, const char *text, size_t length)
{
	return span.length == length && memcmp(message->base + span.at, text, length) == 0;
}
