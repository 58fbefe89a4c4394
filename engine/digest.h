/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digest access authentication for SIP: MD5 and SHA-256, qop=auth (RFC 7616, RFC 8760, RFC 3261 22.4).
 *
 * Algorithms come from libcrypto and are fetched once per context; a context belongs to one thread.
 * Nothing here allocates after digest_open; libcrypto 3.0 itself takes one block of fixed size when a
 * hash begins and has returned the one before (see the test), so memory does not grow. Secrets pass
 * through and are never kept or printed.
 */
#ifndef SIPHERD_DIGEST_H
#define SIPHERD_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_algorithm { DIGEST_NONE = 0, DIGEST_MD5 = 1, DIGEST_SHA256 = 2 };

#define DIGEST_BYTES_MAX 32
#define DIGEST_HEX_MAX 64

/* Bytes of a raw answer: 16 or 32; 0 for DIGEST_NONE. */
size_t digest_bytes(enum digest_algorithm algorithm);

/* A piece of caller's text: pointer and length, not NUL-terminated. */
struct digest_text {
	const char *text;
	size_t length;
};

/* One challenge as it stood in a WWW-Authenticate or Proxy-Authenticate value. Quoted values are
 * without their quotes and still contain backslash escapes, which is what must be sent back. */
struct digest_challenge {
	enum digest_algorithm algorithm; /* DIGEST_NONE: Digest, but an algorithm we do not know */
	bool qop_auth;                   /* qop was offered and contains auth */
	bool qop_offered;                /* qop was present at all; without auth it is unusable */
	bool stale;
	struct digest_text realm, nonce, opaque;
};

/*
 * Parse one header value. 0, or -EINVAL (not well formed), -ENOTSUP (another scheme than Digest).
 * Missing algorithm means MD5. A challenge without realm or nonce is -EINVAL. Duplicated parameters
 * are -EINVAL. Algorithm and scheme names are case-insensitive; LWS and folding are skipped.
 */
int digest_parse_challenge(const char *value, size_t length, struct digest_challenge *out);

/* Credentials as a server reads them from an Authorization value. */
struct digest_credentials {
	enum digest_algorithm algorithm;
	struct digest_text username, realm, nonce, uri, response, cnonce, opaque, qop;
	struct digest_text nc_text;
	uint32_t nc; /* 0 when absent */
};
int digest_parse_credentials(const char *value, size_t length, struct digest_credentials *out);

/* The number of a nonce count, 0 when absent; -EINVAL: it is not eight hex digits. */
int digest_parse_count(struct digest_text text, uint32_t *out);

/* libcrypto handles of one thread. */
struct digest_context;
struct digest_context *digest_open(void); /* NULL when out of memory or no MD5 (FIPS) */
void digest_close(struct digest_context *context);

/* H(username ":" realm ":" password), raw bytes. Escapes in realm are resolved before hashing. */
void digest_ha1(struct digest_context *context, enum digest_algorithm algorithm,
	struct digest_text username, struct digest_text realm, struct digest_text password,
	uint8_t out[DIGEST_BYTES_MAX]);

/* H(method ":" uri), raw bytes. */
void digest_ha2(struct digest_context *context, enum digest_algorithm algorithm,
	struct digest_text method, struct digest_text uri, uint8_t out[DIGEST_BYTES_MAX]);

/*
 * The response in lower-case hex (no NUL); returns its length. With qop auth: H(HA1:nonce:nc:cnonce:
 * auth:HA2), nc as eight hex digits; without (qop false, RFC 2069 style): H(HA1:nonce:HA2).
 */
size_t digest_response(struct digest_context *context, enum digest_algorithm algorithm,
	const uint8_t *ha1, const uint8_t *ha2, struct digest_text nonce, bool qop, uint32_t nc,
	struct digest_text cnonce, char out[DIGEST_HEX_MAX]);

/* Compare without leaking where two answers differ. */
bool digest_equal(const char *a, const char *b, size_t length);

#endif
