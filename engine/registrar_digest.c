/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is it? Nonces that need no table, challenges, and credentials against what the fleet knows. */
#include "registrar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "hex.h"
#include "memory.h"

/* Short enough that two of them and HA1 fit a phone's memory, and that a response takes MD5 two blocks. */
#define NONCE_TIME_HEX 10 /* milliseconds modulo 2^40 */
#define NONCE_SALT_HEX 4
#define NONCE_CHECK_HEX 14 /* keyed */
#define NONCE_HEX 28
static_assert(NONCE_TIME_HEX + NONCE_SALT_HEX + NONCE_CHECK_HEX == NONCE_HEX, "and nothing else");

/* The realm as quoted text: quotes and backslashes escaped, controls replaced. */
static char *quote_realm(const char *realm)
{
	char *quoted = malloc(2 * strlen(realm) + 1);
	if (quoted == NULL)
		return NULL;
	char *at = quoted;
	for (; *realm != '\0'; realm++) {
		if (*realm == '"' || *realm == '\\')
			*at++ = '\\';
		*at++ = (unsigned char)*realm < ' ' || *realm == 0x7f ? '_' : *realm;
	}
	*at = '\0';
	return quoted;
}

static size_t ha1_size(const struct registrar *registrar)
{
	return (size_t)registrar->ha1_room * digest_bytes(registrar->ha1_algorithm);
}

bool registrar_open_digest(struct registrar *registrar)
{
	if (registrar->config.realm == NULL || registrar->config.identities == NULL)
		return true;
	registrar->digest = digest_open();
	registrar->realm = quote_realm(registrar->config.realm);
	if (registrar->digest == NULL || registrar->realm == NULL)
		return false;
	registrar->realm_length = strlen(registrar->realm);
	if (registrar->config.algorithm == DIGEST_NONE)
		registrar->config.algorithm = DIGEST_MD5;
	registrar->ha1_algorithm = registrar->config.offer_both ? DIGEST_SHA256
								: registrar->config.algorithm;
	if (registrar->config.stride == 0)
		registrar->config.stride = 1;
	registrar->stride_inverse = ((1ull << 40) + registrar->config.stride - 1) /
				    registrar->config.stride;
	registrar->ha1_room = registrar->config.capacity ? registrar->config.capacity : 1;
	registrar->ha1 = memory_take(ha1_size(registrar));
	return registrar->ha1 != NULL;
}

void registrar_close_digest(struct registrar *registrar)
{
	digest_close(registrar->digest);
	if (registrar->ha1 != NULL)
		explicit_bzero(registrar->ha1, ha1_size(registrar));
	memory_give(registrar->ha1, ha1_size(registrar));
	free(registrar->realm);
}

static void nonce_check(
	const struct registrar *registrar, const char *head, char out[NONCE_CHECK_HEX])
{
	char digits[16];
	uint64_t check = XXH3_64bits_withSeed(
		head, NONCE_TIME_HEX + NONCE_SALT_HEX, registrar->nonce_seed);
	hex8_write((uint32_t)(check >> 32), digits);
	hex8_write((uint32_t)check, digits + 8);
	memcpy(out, digits, NONCE_CHECK_HEX);
}

static void nonce_write(struct registrar *registrar, char out[NONCE_HEX])
{
	char digits[16];
	uint64_t time_salt = registrar->now_us / 1000 << 16 | (registrar->nonce_salt++ & 0xffff);
	hex8_write((uint32_t)(time_salt >> 32), digits);
	hex8_write((uint32_t)time_salt, digits + 8);
	memcpy(out, digits + sizeof(digits) - NONCE_TIME_HEX - NONCE_SALT_HEX,
		NONCE_TIME_HEX + NONCE_SALT_HEX);
	nonce_check(registrar, out, out + NONCE_TIME_HEX + NONCE_SALT_HEX);
}

/* Is this a nonce of ours, and young enough? Its digits are as nonce_write made them once the check
 * agrees. */
static bool nonce_is_fresh(const struct registrar *registrar, struct digest_text nonce)
{
	char check[NONCE_CHECK_HEX];
	if (nonce.length != NONCE_HEX)
		return false;
	nonce_check(registrar, nonce.text, check);
	if (!digest_equal(check, nonce.text + NONCE_TIME_HEX + NONCE_SALT_HEX, sizeof(check)))
		return false;
	uint64_t since_ms = 0;
	for (int i = 0; i < NONCE_TIME_HEX; i++) {
		char c = nonce.text[i];
		since_ms = since_ms << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	uint64_t age_ms = (registrar->now_us / 1000 - since_ms) &
			  ((1ull << (4 * NONCE_TIME_HEX)) - 1);
	uint64_t lifetime_ms = (uint64_t)registrar->config.nonce_lifetime_s * 1000;
	return lifetime_ms == 0 || age_ms < lifetime_ms;
}

static void add_challenge(struct registrar *registrar, struct answer *answer, const char *header,
	enum digest_algorithm algorithm, bool stale)
{
	char nonce[NONCE_HEX];
	nonce_write(registrar, nonce);
	answer_string(answer, header);
	answer_string(answer, "Digest realm=\"");
	answer_text(answer, registrar->realm, registrar->realm_length);
	answer_string(answer, "\", nonce=\"");
	answer_copy(answer, ANSWER_NONCE, nonce, sizeof(nonce));
	answer_string(answer, algorithm == DIGEST_SHA256 ? "\", algorithm=SHA-256, qop=\"auth\""
							 : "\", algorithm=MD5, qop=\"auth\"");
	answer_string(answer, stale ? ", stale=true\r\n" : "\r\n");
}

/* The challenges we offer, the stronger first: it is the one to be taken (RFC 8760). */
void registrar_add_challenges(
	struct registrar *registrar, struct answer *answer, const char *header, bool stale)
{
	if (!registrar->config.offer_both) {
		add_challenge(registrar, answer, header, registrar->config.algorithm, stale);
		return;
	}
	add_challenge(registrar, answer, header, DIGEST_SHA256, stale);
	add_challenge(registrar, answer, header, DIGEST_MD5, stale);
}

static void challenge(struct registrar *registrar, const struct exchange *exchange, bool stale)
{
	struct answer answer;
	struct answer_shape *shape = NULL;
	registrar->counters.registrar_challenged++;
	registrar->counters.registrar_stale += stale;
	if (exchange->habit != NULL && !stale && !registrar->config.offer_both)
		shape = &exchange->habit->challenge;
	if (shape != NULL && answer_shape_fits(shape, exchange->request)) {
		char nonce[NONCE_HEX];
		nonce_write(registrar, nonce);
		registrar_send_shape(registrar, exchange, shape, nonce);
		return;
	}
	registrar_begin(exchange, &answer, 401, NULL);
	registrar_add_challenges(registrar, &answer, "WWW-Authenticate: ", stale);
	registrar_send_and_learn(registrar, exchange, &answer, shape);
}

static bool text_is(struct digest_text text, const char *other, size_t length)
{
	return text.length == length && memcmp(text.text, other, length) == 0;
}

/* Where HA1 of a phone is kept, of the algorithm that is to be taken; NULL: nowhere. */
static uint8_t *kept_ha1(
	const struct registrar *registrar, uint32_t index, enum digest_algorithm algorithm)
{
	const uint32_t offset = index - registrar->config.first;
	const uint32_t place = (uint32_t)((__uint128_t)offset * registrar->stride_inverse >> 40);
	if (index < registrar->config.first || place >= registrar->ha1_room ||
		place * registrar->config.stride != offset || algorithm != registrar->ha1_algorithm)
		return NULL;
	return registrar->ha1 + (size_t)place * digest_bytes(algorithm);
}

static bool is_known(const uint8_t *ha1, size_t bytes)
{
	static const uint8_t zeros[DIGEST_BYTES_MAX];
	return memcmp(ha1, zeros, bytes) != 0;
}

/* HA1 of a phone that has a password, under its auth name or, where that is another, its user. */
static bool ha1_of(struct registrar *registrar, const struct digest_credentials *credentials,
	uint32_t index, bool by_auth_name, uint8_t out[DIGEST_BYTES_MAX])
{
	const size_t bytes = digest_bytes(credentials->algorithm);
	uint8_t *kept = by_auth_name ? kept_ha1(registrar, index, credentials->algorithm) : NULL;
	if (kept != NULL && is_known(kept, bytes)) {
		memcpy(out, kept, bytes);
		return true;
	}
	char password[IDENTITY_TEXT_MAX];
	const size_t length = identity_password(registrar->config.identities, index, password);
	if (length == 0)
		return false;
	digest_ha1(registrar->digest, credentials->algorithm, credentials->username,
		credentials->realm, (struct digest_text){password, length}, out);
	if (kept != NULL)
		memcpy(kept, out, bytes);
	return true;
}

/* HA1 of the phone that this address-of-record belongs to, when these are its credentials. */
static bool find_ha1(struct registrar *registrar, const struct digest_credentials *credentials,
	const char *user, size_t user_length, uint8_t ha1[DIGEST_BYTES_MAX])
{
	const struct identity_set *set = registrar->config.identities;
	char text[IDENTITY_TEXT_MAX];
	uint32_t index;
	if (!identity_find_user(set, user, user_length, &index))
		return false;
	/* An auth name finds its phone too, but is no address-of-record. */
	size_t length = identity_user(set, index, text);
	if (length != user_length || memcmp(text, user, length) != 0)
		return false;
	const bool by_user = text_is(credentials->username, text, length);
	const bool by_auth_name = text_is(
		credentials->username, text, identity_auth(set, index, text));
	if (!by_user && !by_auth_name)
		return false;
	size_t known = identity_ha1(set, index, ha1);
	if (known > 0)
		return known == digest_bytes(credentials->algorithm);
	return ha1_of(registrar, credentials, index, by_auth_name, ha1);
}

/* HA2 of a REGISTER with the digest URI of these credentials, which phones have in common. */
static void find_ha2(struct registrar *registrar, const struct digest_credentials *credentials,
	uint8_t ha2[DIGEST_BYTES_MAX])
{
	struct known_uri *known = &registrar->ha2;
	const struct digest_text uri = credentials->uri;
	if (known->algorithm == credentials->algorithm &&
		text_is(uri, known->text, known->length)) {
		memcpy(ha2, known->ha2, sizeof(known->ha2));
		return;
	}
	digest_ha2(registrar->digest, credentials->algorithm, (struct digest_text){"REGISTER", 8},
		uri, ha2);
	if (uri.length > sizeof(known->text))
		return;
	known->algorithm = credentials->algorithm;
	known->length = uri.length;
	memcpy(known->text, uri.text, uri.length);
	memcpy(known->ha2, ha2, digest_bytes(known->algorithm));
}

static bool is_offered(const struct registrar *registrar, enum digest_algorithm algorithm)
{
	if (algorithm == DIGEST_NONE)
		return false;
	return registrar->config.offer_both || algorithm == registrar->config.algorithm;
}

static bool verify(struct registrar *registrar, const struct digest_credentials *credentials,
	const struct sip_uri *aor, const struct sip_message *request)
{
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	char response[DIGEST_HEX_MAX];
	if (!is_offered(registrar, credentials->algorithm) || credentials->nc == 0 ||
		credentials->cnonce.length == 0 || credentials->qop.length != 4 ||
		strncasecmp(credentials->qop.text, "auth", 4) != 0)
		return false;
	if (!find_ha1(registrar, credentials, span_text(request, aor->user), aor->user.length, ha1))
		return false;
	find_ha2(registrar, credentials, ha2);
	size_t length = digest_response(registrar->digest, credentials->algorithm, ha1, ha2,
		credentials->nonce, true, credentials->nc, credentials->cnonce, response);
	return credentials->response.length == length &&
	       digest_equal(response, credentials->response.text, length);
}

/*
 * True: go on. False: an answer went out. Right credentials with an old or foreign nonce are stale,
 * wrong ones with such a nonce are merely challenged, since they may have been meant for another.
 */
bool registrar_authenticate(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor)
{
	const struct sip_message *request = exchange->request;
	for (unsigned i = 0; i < request->credentials; i++) {
		struct digest_credentials credentials;
		int error = habit_credentials(exchange->habit, request, i, &credentials);
		if (error == -EINVAL) {
			registrar->counters.registrar_refused++;
			registrar_send_code(registrar, exchange, 400, "Malformed Credentials");
			return false;
		}
		if (error || !text_is(credentials.realm, registrar->realm, registrar->realm_length))
			continue;
		bool right = verify(registrar, &credentials, aor, request);
		bool fresh = nonce_is_fresh(registrar, credentials.nonce);
		if (right && fresh)
			return true;
		if (!fresh) {
			challenge(registrar, exchange, right);
			return false;
		}
		registrar->counters.registrar_auth_failed++;
		registrar_send_code(registrar, exchange, 403, NULL);
		return false;
	}
	challenge(registrar, exchange, false);
	return false;
}

void registrar_fetch_ha1(const struct registrar *registrar, const char *user, size_t length)
{
	uint32_t index;
	if (registrar->ha1_room == 0 ||
		!identity_guess_user(registrar->config.identities, user, length, &index))
		return;
	const uint8_t *kept = kept_ha1(registrar, index, registrar->ha1_algorithm);
	if (kept != NULL)
		__builtin_prefetch(kept, 1);
}
