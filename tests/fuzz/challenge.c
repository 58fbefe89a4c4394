/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: challenges and credentials. What was found lies inside the input and can be sent
 * back. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct digest_text text, const uint8_t *data, size_t size)
{
	if (text.text == NULL)
		return;
	uintptr_t first = (uintptr_t)data, start = (uintptr_t)text.text;
	if (start < first || start > first + size || text.length > first + size - start)
		abort();
	for (size_t i = 0; i < text.length; i++)
		if (text.text[i] == '\r' || text.text[i] == '\n' || text.text[i] == '\0')
			abort();
}

static void answer(struct digest_context *context, const struct digest_challenge *challenge)
{
	uint8_t ha1[DIGEST_BYTES_MAX] = {0}, ha2[DIGEST_BYTES_MAX] = {0};
	char response[DIGEST_HEX_MAX];
	struct digest_text some = {"some", 4};
	digest_ha1(context, challenge->algorithm, some, challenge->realm, some, ha1);
	digest_ha2(context, challenge->algorithm, some, challenge->opaque, ha2);
	size_t length = digest_response(context, challenge->algorithm, ha1, ha2, challenge->nonce,
		challenge->qop_auth, 1, some, response);
	if (length != 2 * digest_bytes(challenge->algorithm))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct digest_context *context;
	if (context == NULL && (context = digest_open()) == NULL)
		abort();
	struct digest_challenge challenge;
	if (digest_parse_challenge((const char *)data, size, &challenge) == 0) {
		check_text(challenge.realm, data, size);
		check_text(challenge.nonce, data, size);
		check_text(challenge.opaque, data, size);
		if (challenge.qop_auth && !challenge.qop_offered)
			abort();
		answer(context, &challenge);
	}
	struct digest_credentials credentials;
	if (digest_parse_credentials((const char *)data, size, &credentials) != 0)
		return 0;
	const struct digest_text all[] = {credentials.username, credentials.realm,
		credentials.nonce, credentials.uri, credentials.response, credentials.cnonce,
		credentials.opaque, credentials.qop};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_text(all[i], data, size);
	return 0;
}
