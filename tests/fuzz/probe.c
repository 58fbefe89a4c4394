/* SPDX-License-Identifier: BSD-3-Clause */
/* What a probe takes from its user and from the network: the first line is the proxy, all behind it a
 * datagram. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe_request.h"
#include "scan.h"

#define NUMBER 3 /* of the request that is asked; the corpus holds answers to it and to others */

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* Whatever proxy was taken, the request to it is one that our own scanner takes. */
static void try_request(const struct probe_request *request)
{
	char text[PROBE_REQUEST_MAX];
	struct sip_message message;
	struct sip_uri uri;
	const size_t length = probe_request_write(request, text);
	uint16_t code;
	require(length > 0 && length < sizeof(text));
	require(scan_message(text, length, &message) == SCAN_OK);
	require(message.status == 0 && message.method == SIP_OPTIONS && message.cseq == NUMBER);
	require(scan_uri(&message, message.uri, &uri) && uri.port == request->port);
	require(span_equal(&message, uri.host, request->host, strlen(request->host)));
	/* Our own request that comes back is no answer. */
	require(probe_request_answer(request, text, length, &code) == PROBE_STRANGE);
}

static void try_answer(const struct probe_request *request, const uint8_t *data, size_t size)
{
	uint16_t code = 0;
	enum probe_reading reading = probe_request_answer(request, data, size, &code);
	require(reading < PROBE_READINGS);
	if (reading == PROBE_PROVISIONAL)
		require(code >= 100 && code < 200);
	else if (reading == PROBE_FINAL)
		require(code >= 200 && code < 700);
	else
		require(code == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct probe_request request = {
		.local = {.address = {{127, 0, 0, 1}, ADDRESS_IPV4}, .port = 40000},
		.secret = 1,
		.id = 2,
		.number = NUMBER};
	const uint8_t *end = memchr(data, '\n', size);
	const size_t line = end == NULL ? size : (size_t)(end - data);
	char *text = malloc(line + 1);
	if (text == NULL)
		return 0;
	if (line > 0)
		memcpy(text, data, line);
	text[line] = '\0';
	if (probe_request_target(&request, text))
		try_request(&request);
	free(text);
	if (end != NULL)
		try_answer(&request, end + 1, size - line - 1);
	return 0;
}
