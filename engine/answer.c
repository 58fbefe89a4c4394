/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

#include <string.h>
#include <strings.h>

#include "hex.h"

#define PORT_DEFAULT 5060

static const struct {
	uint16_t code;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{300, "Multiple Choices"},
	{301, "Moved Permanently"},
	{302, "Moved Temporarily"},
	{305, "Use Proxy"},
	{380, "Alternative Service"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{410, "Gone"},
	{413, "Request Entity Too Large"},
	{414, "Request-URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Unsupported URI Scheme"},
	{420, "Bad Extension"},
	{421, "Extension Required"},
	{423, "Interval Too Brief"},
	{480, "Temporarily Unavailable"},
	{481, "Call/Transaction Does Not Exist"},
	{482, "Loop Detected"},
	{483, "Too Many Hops"},
	{484, "Address Incomplete"},
	{485, "Ambiguous"},
	{486, "Busy Here"},
	{487, "Request Terminated"},
	{488, "Not Acceptable Here"},
	{491, "Request Pending"},
	{493, "Undecipherable"},
	{500, "Server Internal Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Server Time-out"},
	{505, "Version Not Supported"},
	{513, "Message Too Large"},
	{600, "Busy Everywhere"},
	{603, "Decline"},
	{604, "Does Not Exist Anywhere"},
	{606, "Not Acceptable"},
};

const char *answer_reason(uint16_t code)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == code)
			return reasons[i].reason;
	return "Refused";
}

static void add(struct answer *answer, enum answer_source source, const char *text, size_t length)
{
	if (answer->pieces == ANSWER_PIECES) {
		answer->overflow = true;
		return;
	}
	answer->piece[answer->pieces++] = (struct answer_piece){
		text, (uint32_t)length, (uint8_t)source};
	answer->length += length;
}

void answer_text(struct answer *answer, const char *text, size_t length)
{
	add(answer, ANSWER_OWN, text, length);
}

void answer_string(struct answer *answer, const char *text)
{
	add(answer, ANSWER_OWN, text, strlen(text));
}

void answer_foreign(struct answer *answer, const char *text, size_t length)
{
	add(answer, ANSWER_REQUEST, text, length);
}

void answer_copy(struct answer *answer, enum answer_source source, const char *text, size_t length)
{
	if (length > ANSWER_SCRATCH - answer->scratch_used) {
		answer->overflow = true;
		return;
	}
	char *copy = answer->scratch + answer->scratch_used;
	memcpy(copy, text, length);
	answer->scratch_used += (uint32_t)length;
	add(answer, source, copy, length);
}

static void add_span(struct answer *answer, const struct sip_message *request, struct span span)
{
	add(answer, ANSWER_REQUEST, span_text(request, span), span.length);
}

/* The end of a parameter that begins at `at`: the next semicolon outside of quotes. */
static const char *parameter_end(const char *at, const char *end)
{
	while (at < end) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		const char *stop = semicolon ? semicolon : end;
		const char *quote = memchr(at, '"', (size_t)(stop - at));
		if (quote == NULL)
			return stop;
		for (at = quote + 1; at < end && *at != '"'; at++)
			if (*at == '\\')
				at++;
		at++;
	}
	return end;
}

static bool is_named(const char *at, const char *end, const char *name, size_t length)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	if ((size_t)(end - at) < length || strncasecmp(at, name, length) != 0)
		return false;
	at += length;
	return at == end || *at == '=' || *at == ' ' || *at == '\t' || *at == '\r' || *at == '\n';
}

/* Decimal digits of a number; returns how many. */
static size_t decimal(uint32_t number, char out[10])
{
	char digits[10];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	memcpy(out, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

static void add_number(struct answer *answer, enum answer_source source, uint32_t number)
{
	char digits[10];
	answer_copy(answer, source, digits, decimal(number, digits));
}

void answer_number(struct answer *answer, uint32_t number)
{
	add_number(answer, ANSWER_OWN, number);
}

size_t answer_source(const struct endpoint *from, char out[ANSWER_SOURCE_MAX])
{
	char digits[10];
	size_t n = sizeof(";received=") - 1;
	memcpy(out, ";received=", n);
	n += address_format(&from->address, out + n);
	memcpy(out + n, ";rport=", sizeof(";rport=") - 1);
	n += sizeof(";rport=") - 1;
	const size_t count = decimal(from->port, digits);
	memcpy(out + n, digits, count);
	return n + count;
}

/* Does the sent-by name the source address? Host names never do. */
static bool is_sent_by(const struct sip_message *request, const struct address *address)
{
	char host[ADDRESS_TEXT_MAX];
	const char *text = span_text(request, request->via_host);
	size_t length = request->via_host.length;
	if (length > 2 && text[0] == '[') {
		text++;
		length -= 2;
	}
	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	struct address named;
	return address_parse(host, &named) == 0 && address_equal(&named, address);
}

/*
 * The topmost Via. Whatever it says about received and rport is left out, since only we know; then
 * ours follow (RFC 3261 section 18.2.1, RFC 3581 section 4).
 */
static void add_topmost_via(
	struct answer *answer, const struct sip_message *request, const struct endpoint *from)
{
	const char *kept = span_text(request, request->via[0]);
	const char *end = kept + request->via[0].length;
	const char *at = parameter_end(kept, end);
	while (at < end) {
		const char *next = parameter_end(at + 1, end);
		if (is_named(at + 1, next, "rport", 5) || is_named(at + 1, next, "received", 8)) {
			if (at > kept)
				answer_foreign(answer, kept, (size_t)(at - kept));
			kept = next;
		}
		at = next;
	}
	if (end > kept)
		answer_foreign(answer, kept, (size_t)(end - kept));
	if (!request->rport && is_sent_by(request, &from->address))
		return;
	char text[ANSWER_SOURCE_MAX];
	const size_t length = answer_source(from, text);
	const char *rport = memchr(text + 1, ';', length - 1);
	answer_copy(answer, ANSWER_SOURCE, text, request->rport ? length : (size_t)(rport - text));
}

void answer_begin(struct answer *answer, const struct sip_message *request,
	const struct endpoint *from, uint16_t code, const char *reason, uint32_t tag)
{
	answer->length = 0;
	answer->pieces = answer->scratch_used = 0;
	answer->overflow = false;
	answer_string(answer, "SIP/2.0 ");
	answer_number(answer, code);
	answer_string(answer, " ");
	answer_string(answer, reason ? reason : answer_reason(code));
	answer_string(answer, "\r\nVia: ");
	add_topmost_via(answer, request, from);
	for (unsigned i = 1; i < request->vias; i++) {
		answer_string(answer, "\r\nVia: ");
		add_span(answer, request, request->via[i]);
	}
	answer_string(answer, "\r\nFrom: ");
	add_span(answer, request, request->from);
	answer_string(answer, "\r\nTo: ");
	add_span(answer, request, request->to);
	if (request->to_tag.length == 0) {
		char text[8];
		hex8_write(tag, text);
		answer_string(answer, ";tag=");
		answer_copy(answer, ANSWER_TAG, text, sizeof(text));
	}
	answer_string(answer, "\r\nCall-ID: ");
	add_span(answer, request, request->call_id);
	answer_string(answer, "\r\nCSeq: ");
	add_number(answer, ANSWER_CSEQ, request->cseq);
	answer_string(answer, " ");
	add_span(answer, request, request->method_text);
	answer_string(answer, "\r\n");
}

/* A loop without branches, which compilers turn into vector instructions. */
static void copy_foreign(uint8_t *restrict out, const char *restrict text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		uint8_t c = (uint8_t)text[i];
		out[i] = c == '\r' || c == '\n' ? ' ' : c;
	}
}

void answer_write(const struct answer *answer, uint8_t *out)
{
	for (uint32_t i = 0; i < answer->pieces; i++) {
		const struct answer_piece *piece = &answer->piece[i];
		if (piece->source == ANSWER_REQUEST)
			copy_foreign(out, piece->text, piece->length);
		else
			memcpy(out, piece->text, piece->length);
		out += piece->length;
	}
}

struct endpoint answer_endpoint(const struct sip_message *request, const struct endpoint *from)
{
	struct endpoint to = *from;
	if (!request->rport)
		to.port = request->via_port ? request->via_port : PORT_DEFAULT;
	return to;
}
