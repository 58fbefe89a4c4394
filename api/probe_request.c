/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "scan.h"

#define STANDARD_PORT 5060

static struct token token_of(const struct probe_request *request)
{
	return (struct token){.phone = request->number,
		.kind = TOKEN_OPTIONS,
		.sequence = (uint16_t)(request->number & TOKEN_SEQUENCE_MASK)};
}

/* An IPv6 address without brackets has no port behind it. */
static bool take_bare_address(struct probe_request *request, const char *text)
{
	struct address address;
	char canonical[ADDRESS_TEXT_MAX];
	if (address_parse(text, &address) != 0 || address.family != ADDRESS_IPV6)
		return false;
	address_format(&address, canonical);
	snprintf(request->host, sizeof(request->host), "[%s]", canonical);
	return true;
}

/* Digits and dots that are no IPv4 address are no name either. */
static bool is_no_address(const char *host)
{
	struct address address;
	return host[strspn(host, "0123456789.")] == '\0' && address_parse(host, &address) != 0;
}

bool probe_request_target(struct probe_request *request, const char *text)
{
	const char *inside = strchr(text, ']'),
		   *colon = strchr(inside != NULL ? inside : text, ':');
	uint32_t port = STANDARD_PORT;
	request->port = STANDARD_PORT;
	if (take_bare_address(request, text))
		return true;
	_Static_assert(GUARD_HOST_MAX == PROBE_HOST_MAX, "one place for both");
	if (!guard_host_parse(text, request->host) || is_no_address(request->host))
		return false;
	if (colon != NULL && !guard_number(colon + 1, 1, 65535, &port))
		return false;
	request->port = (uint16_t)port;
	return true;
}

size_t probe_request_write(const struct probe_request *request, char out[PROBE_REQUEST_MAX])
{
	const struct token token = token_of(request);
	const bool six = request->local.address.family == ADDRESS_IPV6;
	char branch[TOKEN_HEX], bare[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX + 2];
	token_write(&token, request->secret, branch);
	address_format(&request->local.address, bare);
	snprintf(local, sizeof(local), "%s%s%s", six ? "[" : "", bare, six ? "]" : "");
	const uint32_t tag = (uint32_t)request->id;
	int length = snprintf(out, PROBE_REQUEST_MAX,
		"OPTIONS sip:%s:%u SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK%.*s;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:probe@%s>;tag=%08" PRIx32 "\r\n"
		"To: <sip:%s:%u>\r\n"
		"Call-ID: %016" PRIx64 "\r\n"
		"CSeq: %" PRIu32 " OPTIONS\r\n"
		"Contact: <sip:probe@%s:%u>\r\n"
		"Accept: application/sdp\r\n"
		"User-Agent: sipherd-probe\r\n"
		"Content-Length: 0\r\n\r\n",
		request->host, request->port, local, request->local.port, TOKEN_HEX, branch, local,
		tag, request->host, request->port, request->id, request->number, local,
		request->local.port);
	/* Two hosts of 255 bytes and all the rest are shorter. */
	return (size_t)length;
}

enum probe_reading probe_request_answer(
	const struct probe_request *request, const void *datagram, size_t length, uint16_t *code)
{
	struct sip_message message;
	struct token token;
	if (scan_message(datagram, length, &message) != SCAN_OK || message.status == 0)
		return PROBE_STRANGE;
	if (message.method != SIP_OPTIONS ||
		!token_parse(span_text(&message, message.via_branch), message.via_branch.length,
			request->secret, &token))
		return PROBE_STRANGE;
	if (token.phone != request->number || message.cseq != request->number)
		return token.phone < request->number ? PROBE_LATE : PROBE_STRANGE;
	*code = message.status;
	return message.status < 200 ? PROBE_PROVISIONAL : PROBE_FINAL;
}
