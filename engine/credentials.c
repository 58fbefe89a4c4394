/* SPDX-License-Identifier: BSD-3-Clause */
#include "credentials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "pack.h"

#define REALMS 16
#define REALM_TEXT 128
#define HEADER_OVERHEAD 200 /* fixed words of the header, generously */

static_assert(
	CREDENTIALS_LONG + REALM_TEXT + IDENTITY_TEXT_MAX + DIGEST_HEX_MAX + 260 + HEADER_OVERHEAD <
		CREDENTIALS_HEADER_MAX,
	"every part of an Authorization header fits");

struct realm {
	uint8_t algorithm; /* enum digest_algorithm */
	bool qop, proxy;   /* proxy: Proxy-Authorization */
	uint8_t length;
	char text[REALM_TEXT];
	uint8_t ha2[DIGEST_BYTES_MAX]; /* of REGISTER and the one digest URI */
};

/* Where texts go that do not fit the area. */
struct long_text {
	uint16_t nonce, opaque;
	char text[CREDENTIALS_LONG];
};

/* A nonce and its opaque, taken out of where they are kept. */
struct texts {
	size_t nonce, opaque;
	char text[CREDENTIALS_LONG]; /* one behind the other */
};

struct credentials {
	struct digest_context *digest;
	const struct identity_set *identities;
	uint32_t phones;
	uint16_t uri_length;
	uint8_t realms;
	char uri[260];
	struct realm realm[REALMS];
	struct long_text *long_text; /* one per phone, untouched until needed */
};

struct credentials *credentials_create(
	uint32_t phones, const struct identity_set *identities, const char *domain)
{
	size_t length = strlen(domain);
	if (length > 255)
		return NULL;
	struct credentials *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->identities = identities;
	c->phones = phones;
	memcpy(c->uri, "sip:", 4);
	memcpy(c->uri + 4, domain, length);
	c->uri_length = (uint16_t)(length + 4);
	c->digest = digest_open();
	c->long_text = calloc(phones ? phones : 1, sizeof(*c->long_text));
	if (c->digest == NULL) {
		credentials_free(c);
		return NULL;
	}
	return c;
}

void credentials_free(struct credentials *c)
{
	if (c == NULL)
		return;
	digest_close(c->digest);
	free(c->long_text);
	free(c);
}

uint64_t credentials_memory(const struct credentials *c)
{
	return sizeof(*c);
}

static unsigned width_of(const struct phone_auth *auth, enum proxy proxy)
{
	return PACK_WIDTH_MIN +
	       (proxy == PROXY_PRIMARY ? auth->width_primary : auth->width_redundant);
}

static size_t area_used(const struct phone_auth *auth, enum proxy proxy)
{
	if (auth->long_proxy == 1 + proxy)
		return 0;
	return pack_bytes((size_t)auth->nonce_length[proxy] + auth->opaque_length[proxy],
		width_of(auth, proxy));
}

/* A proxy's nonce and opaque. */
static void load(const struct credentials *c, const struct credentials_owner *owner,
	enum proxy proxy, struct texts *out)
{
	const struct phone_auth *auth = owner->auth;
	if (auth->long_proxy == 1 + proxy) {
		const struct long_text *kept = &c->long_text[owner->local];
		out->nonce = kept->nonce;
		out->opaque = kept->opaque;
		memcpy(out->text, kept->text, out->nonce + out->opaque);
		return;
	}
	const size_t before = proxy == PROXY_PRIMARY ? 0 : area_used(auth, PROXY_PRIMARY);
	out->nonce = auth->nonce_length[proxy];
	out->opaque = auth->opaque_length[proxy];
	pack_read(out->text, auth->area + before, out->nonce + out->opaque, width_of(auth, proxy));
}

static void forget(struct phone_auth *auth, enum proxy proxy)
{
	/* The primary's text lies first: close the gap it leaves. */
	if (proxy == PROXY_PRIMARY && auth->long_proxy != 1 + PROXY_PRIMARY)
		memmove(auth->area, auth->area + area_used(auth, PROXY_PRIMARY),
			area_used(auth, PROXY_REDUNDANT));
	if (auth->long_proxy == 1 + proxy)
		auth->long_proxy = 0;
	auth->nonce_length[proxy] = 0;
	auth->opaque_length[proxy] = 0;
	auth->realm[proxy] = 0;
}

void credentials_forget(struct phone_auth *auth)
{
	forget(auth, PROXY_PRIMARY);
	forget(auth, PROXY_REDUNDANT);
}

/* Write a nonce to the area, where there is room for it. */
static void keep_packed(
	struct phone_auth *auth, enum proxy proxy, const struct texts *texts, unsigned width)
{
	const size_t length = texts->nonce + texts->opaque, bytes = pack_bytes(length, width);
	uint8_t *into = auth->area;
	if (proxy == PROXY_PRIMARY)
		memmove(into + bytes, into, area_used(auth, PROXY_REDUNDANT));
	else
		into += area_used(auth, PROXY_PRIMARY);
	pack_write(into, texts->text, length, width);
	auth->nonce_length[proxy] = (uint8_t)texts->nonce;
	auth->opaque_length[proxy] = (uint8_t)texts->opaque;
	if (proxy == PROXY_PRIMARY)
		auth->width_primary = (width - PACK_WIDTH_MIN) & 7;
	else
		auth->width_redundant = (width - PACK_WIDTH_MIN) & 7;
}

static void keep_long(struct credentials *c, const struct credentials_owner *owner,
	enum proxy proxy, const struct texts *texts)
{
	struct long_text *kept = &c->long_text[owner->local];
	kept->nonce = (uint16_t)texts->nonce;
	kept->opaque = (uint16_t)texts->opaque;
	memcpy(kept->text, texts->text, texts->nonce + texts->opaque);
	owner->auth->long_proxy = (1 + proxy) & 3;
	owner->auth->nonce_length[proxy] = 1;
}

/* Keep a nonce. HA1 goes first when room is short, then the other proxy's nonce unless it is busy,
 * then the long region is used. */
static int keep(struct credentials *c, const struct credentials_owner *owner, enum proxy proxy,
	const struct texts *texts, bool busy)
{
	struct phone_auth *auth = owner->auth;
	const enum proxy other = proxy == PROXY_PRIMARY ? PROXY_REDUNDANT : PROXY_PRIMARY;
	const size_t length = texts->nonce + texts->opaque;
	const unsigned width = pack_width(texts->text, length);
	const size_t need = pack_bytes(length, width);
	forget(auth, proxy);
	if (need > CREDENTIALS_AREA && c->long_text == NULL)
		return -ENOSPC;
	if (need > CREDENTIALS_AREA && auth->long_proxy != 0) {
		if (busy)
			return -ENOSPC;
		forget(auth, other);
	}
	if (need <= CREDENTIALS_AREA && need + area_used(auth, other) > CREDENTIALS_AREA) {
		if (busy && c->long_text == NULL)
			return -ENOSPC;
		if (!busy)
			forget(auth, other);
	}
	if (need + area_used(auth, other) > CREDENTIALS_AREA)
		keep_long(c, owner, proxy, texts);
	else
		keep_packed(auth, proxy, texts, width);
	auth->nonce_count[proxy] = 0;
	/* HA1 lives at the end of the area and may just have been overwritten. */
	size_t used = area_used(auth, PROXY_PRIMARY) + area_used(auth, PROXY_REDUNDANT);
	if (auth->ha1_realm != 0 &&
		used + digest_bytes(c->realm[auth->ha1_realm - 1].algorithm) > CREDENTIALS_AREA)
		auth->ha1_realm = 0;
	return 0;
}

/* The nonce and opaque of a challenge, together; -ENOSPC: none, or more than anybody needs. */
static int texts_of(const struct digest_challenge *challenge, struct texts *out)
{
	out->nonce = challenge->nonce.length;
	out->opaque = challenge->opaque.length;
	if (out->nonce == 0 || out->nonce + out->opaque > CREDENTIALS_LONG)
		return -ENOSPC;
	memcpy(out->text, challenge->nonce.text, out->nonce);
	if (out->opaque > 0)
		memcpy(out->text + out->nonce, challenge->opaque.text, out->opaque);
	return 0;
}

/* The realm's place in the shared table, or -ENOSPC. */
static int realm_of(struct credentials *c, const struct digest_challenge *challenge, bool proxy)
{
	size_t length = challenge->realm.length;
	if (length > REALM_TEXT)
		return -ENOSPC;
	for (int i = 0; i < c->realms; i++) {
		const struct realm *r = &c->realm[i];
		if (r->algorithm == challenge->algorithm && r->qop == challenge->qop_auth &&
			r->proxy == proxy && r->length == length &&
			memcmp(r->text, challenge->realm.text, length) == 0)
			return i;
	}
	if (c->realms == REALMS)
		return -ENOSPC;
	struct realm *r = &c->realm[c->realms];
	r->algorithm = (uint8_t)challenge->algorithm;
	r->qop = challenge->qop_auth;
	r->proxy = proxy;
	r->length = (uint8_t)length;
	memcpy(r->text, challenge->realm.text, length);
	digest_ha2(c->digest, challenge->algorithm, (struct digest_text){"REGISTER", 8},
		(struct digest_text){c->uri, c->uri_length}, r->ha2);
	return c->realms++;
}

/* Strength of a challenge for this phone: 0 when we cannot answer it. */
static int strength(const struct digest_challenge *challenge, size_t ha1)
{
	if (challenge->algorithm == DIGEST_NONE || (challenge->qop_offered && !challenge->qop_auth))
		return 0;
	if (ha1 != 0 && ha1 != digest_bytes(challenge->algorithm))
		return 0;
	return (challenge->algorithm == DIGEST_SHA256 ? 4 : 2) + (challenge->qop_auth ? 1 : 0);
}

int credentials_challenge(struct credentials *c, const struct credentials_owner *owner,
	enum proxy proxy, const struct sip_message *message, bool busy, bool *stale)
{
	uint8_t ha1_bytes[DIGEST_BYTES_MAX];
	char password[IDENTITY_TEXT_MAX];
	size_t ha1 = identity_ha1(c->identities, owner->index, ha1_bytes);
	if (ha1 == 0 && identity_password(c->identities, owner->index, password) == 0)
		return -ENOENT;
	struct digest_challenge best = {0}, challenge;
	int best_strength = 0;
	bool best_proxy = false;
	for (int i = 0; i < message->challenges; i++) {
		struct span value = message->challenge[i];
		if (digest_parse_challenge(span_text(message, value), value.length, &challenge) !=
			0)
			continue;
		int s = strength(&challenge, ha1);
		if (s <= best_strength)
			continue;
		best = challenge;
		best_strength = s;
		best_proxy = message->challenge_proxy >> i & 1;
	}
	if (best_strength == 0)
		return -ENOTSUP;
	int realm = realm_of(c, &best, best_proxy);
	if (realm < 0)
		return realm;
	struct texts texts;
	int status = texts_of(&best, &texts);
	if (status == 0)
		status = keep(c, owner, proxy, &texts, busy);
	if (status != 0)
		return status;
	owner->auth->realm[proxy] = (uint8_t)(realm + 1);
	*stale = best.stale;
	return 0;
}

/* HA1 of this phone in this realm: kept, given, or computed and then kept when there is room. */
static void ha1_of(struct credentials *c, const struct credentials_owner *owner, uint8_t realm,
	uint8_t out[DIGEST_BYTES_MAX])
{
	struct phone_auth *auth = owner->auth;
	const struct realm *r = &c->realm[realm - 1];
	size_t bytes = digest_bytes(r->algorithm);
	uint8_t *kept = auth->area + CREDENTIALS_AREA - bytes;
	if (auth->ha1_realm == realm) {
		memcpy(out, kept, bytes);
		return;
	}
	if (identity_ha1(c->identities, owner->index, out) == bytes)
		return;
	char name[IDENTITY_TEXT_MAX], password[IDENTITY_TEXT_MAX];
	size_t name_length = identity_auth(c->identities, owner->index, name);
	size_t password_length = identity_password(c->identities, owner->index, password);
	digest_ha1(c->digest, r->algorithm, (struct digest_text){name, name_length},
		(struct digest_text){r->text, r->length},
		(struct digest_text){password, password_length}, out);
	size_t used = area_used(auth, PROXY_PRIMARY) + area_used(auth, PROXY_REDUNDANT);
	if (used + bytes > CREDENTIALS_AREA)
		return;
	memcpy(kept, out, bytes);
	auth->ha1_realm = realm;
}

/* Appends to a header under construction. */
struct pen {
	char *at;
};

static void put(struct pen *pen, const char *text, size_t length)
{
	memcpy(pen->at, text, length);
	pen->at += length;
}

#define PUT(pen, literal) put(pen, literal, sizeof(literal) - 1)

size_t credentials_header(struct credentials *c, const struct credentials_owner *owner,
	enum proxy proxy, const char cnonce[8], char out[CREDENTIALS_HEADER_MAX])
{
	struct phone_auth *auth = owner->auth;
	if (auth->nonce_length[proxy] == 0)
		return 0;
	const struct realm *r = &c->realm[auth->realm[proxy] - 1];
	struct texts texts;
	load(c, owner, proxy, &texts);
	uint8_t ha1[DIGEST_BYTES_MAX];
	char name[IDENTITY_TEXT_MAX], response[DIGEST_HEX_MAX], nc[8];
	ha1_of(c, owner, auth->realm[proxy], ha1);
	size_t response_length = digest_response(c->digest, r->algorithm, ha1, r->ha2,
		(struct digest_text){texts.text, texts.nonce}, r->qop, auth->nonce_count[proxy],
		(struct digest_text){cnonce, 8}, response);
	hex8_write(auth->nonce_count[proxy], nc);
	struct pen pen = {out};
	if (r->proxy)
		PUT(&pen, "Proxy-");
	PUT(&pen, "Authorization: Digest username=\"");
	put(&pen, name, identity_auth(c->identities, owner->index, name));
	PUT(&pen, "\", realm=\"");
	put(&pen, r->text, r->length);
	PUT(&pen, "\", nonce=\"");
	put(&pen, texts.text, texts.nonce);
	PUT(&pen, "\", uri=\"");
	put(&pen, c->uri, c->uri_length);
	PUT(&pen, "\", response=\"");
	put(&pen, response, response_length);
	PUT(&pen, "\", algorithm=");
	if (r->algorithm == DIGEST_SHA256)
		PUT(&pen, "SHA-256");
	else
		PUT(&pen, "MD5");
	if (r->qop) {
		PUT(&pen, ", qop=auth, cnonce=\"");
		put(&pen, cnonce, 8);
		PUT(&pen, "\", nc=");
		put(&pen, nc, 8);
	}
	if (texts.opaque > 0) {
		PUT(&pen, ", opaque=\"");
		put(&pen, texts.text + texts.nonce, texts.opaque);
		PUT(&pen, "\"");
	}
	PUT(&pen, "\r\n");
	return (size_t)(pen.at - out);
}
