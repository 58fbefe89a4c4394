/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a phone remembers of challenges, and the Authorization header it makes of them.
 *
 * The cold record holds, per proxy, the nonce (with its opaque) last given and how often it was
 * used, and HA1 when there is room, all in one small area: a refresh then needs no round trip and
 * one hash less. Texts are packed (pack.h), so that the nonces of common proxies fit. Realms are few and shared by the whole slice. Challenges too long for the area go
 * to a reserved region that costs no memory until a proxy sends such; nothing is allocated later.
 */
#ifndef SIPHERD_CREDENTIALS_H
#define SIPHERD_CREDENTIALS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "identity.h"
#include "phone.h"
#include "scan.h"

#define CREDENTIALS_AREA 44
#define CREDENTIALS_LONG 512        /* bytes of nonce and opaque that can be kept at all */
#define CREDENTIALS_HEADER_MAX 1400 /* bytes of one Authorization header, CRLF included */

struct phone_auth {
	uint32_t expires_s; /* raised by 423 at the active proxy, see PHONE_RAISED_EXPIRES; without
			       it what the last 200 OK has granted */
	uint32_t unregister_cseq; /* of the Expires 0 in flight */
	uint16_t nonce_count[PROXIES];
	uint8_t nonce_length[PROXIES]; /* 0: none; 1 where the long region knows better */
	uint8_t opaque_length[PROXIES];
	uint8_t realm[PROXIES];      /* 1 + index of the realm, 0: none */
	uint8_t ha1_realm;           /* 1 + realm that the kept HA1 belongs to, 0: none kept */
	uint8_t long_proxy : 2;      /* 1 + proxy whose texts are in the long region, 0: none */
	uint8_t width_primary : 3;   /* of its packed text, less PACK_WIDTH_MIN */
	uint8_t width_redundant : 3; /* likewise */
	uint8_t area
		[CREDENTIALS_AREA]; /* nonce with opaque of primary, of redundant, packed; HA1 at
					   the end */
};
static_assert(sizeof(struct phone_auth) == 64, "a phone's cold record is one cache line");

struct credentials;

/* For `phones` records of one slice; the digest URI of every request is "sip:" domain. NULL: out of
 * memory. identities must outlive it. */
struct credentials *credentials_create(
	uint32_t phones, const struct identity_set *identities, const char *domain);
void credentials_free(struct credentials *credentials);
uint64_t credentials_memory(const struct credentials *credentials);

/* Which record: position in the slice and index in the fleet. */
struct credentials_owner {
	struct phone_auth *auth;
	uint32_t local, index;
};

/*
 * Take the strongest challenge of a 401 or 407 that we can answer and remember it. busy: the other
 * proxy's nonce belongs to a request in flight and must stay. Sets *stale. 0, -ENOTSUP (nothing we
 * can answer), -ENOENT (the phone has no password), -ENOSPC (too long, or too many realms).
 */
int credentials_challenge(struct credentials *credentials, const struct credentials_owner *owner,
	enum proxy proxy, const struct sip_message *message, bool busy, bool *stale);

/* A nonce is at hand for this proxy: the next request may carry credentials at once. */
static inline bool credentials_ready(const struct phone_auth *auth, enum proxy proxy)
{
	return auth->nonce_length[proxy] != 0 && auth->nonce_count[proxy] < UINT16_MAX;
}

/* The phone has lost its memory: no nonce is at hand any more. HA1 stays, it follows from the
 * phone's configuration. */
void credentials_forget(struct phone_auth *auth);

/*
 * The whole header with CRLF for a REGISTER, under the nonce count in force; the caller counts up
 * before a new request (not before a retransmission). Returns its length, at most
 * CREDENTIALS_HEADER_MAX; 0 when there is no nonce.
 */
size_t credentials_header(struct credentials *credentials, const struct credentials_owner *owner,
	enum proxy proxy, const char cnonce[8], char out[CREDENTIALS_HEADER_MAX]);

#endif
