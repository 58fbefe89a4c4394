/* SPDX-License-Identifier: BSD-3-Clause */
#include "digest.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "hex.h"

struct digest_context {
	EVP_MD *md[DIGEST_SHA256 + 1];
	/* One per algorithm, so that a context never changes its algorithm. */
	EVP_MD_CTX *md_context[DIGEST_SHA256 + 1];
};

size_t digest_bytes(enum digest_algorithm algorithm)
{
	switch (algorithm) {
	case DIGEST_MD5:
		return 16;
	case DIGEST_SHA256:
		return 32;
	case DIGEST_NONE:
		break;
	}
	return 0;
}

#define TEXT(literal) ((struct digest_text){literal, sizeof(literal) - 1})

/* What is left to read of a header value. */
struct cursor {
	const char *at, *end;
};

/* The characters of a token in RFC 3261 section 25.1, one bit each. */
static bool is_token(char c)
{
	static const uint64_t token[4] = {0x3ff6ca200000000ull, 0x47ffffff87fffffeull};
	unsigned char u = (unsigned char)c;
	return token[u >> 6] >> (u & 63) & 1;
}

static bool is_word(struct digest_text text, struct digest_text word)
{
	return text.length == word.length &&
	       (memcmp(text.text, word.text, word.length) == 0 ||
		       strncasecmp(text.text, word.text, word.length) == 0);
}

/* LWS, where a line end counts only when the next line goes on with a blank. */
static void skip_lws(struct cursor *cursor)
{
	while (cursor->at < cursor->end) {
		const char *at = cursor->at;
		if (*at == '\r' && at + 1 < cursor->end && at[1] == '\n')
			at++;
		if (*at == '\n' && (at + 1 == cursor->end || (at[1] != ' ' && at[1] != '\t')))
			return;
		if (*at != ' ' && *at != '\t' && *at != '\n')
			return;
		cursor->at = at + 1;
	}
}

static struct digest_text take_token(struct cursor *cursor)
{
	const char *start = cursor->at;
	while (cursor->at < cursor->end && is_token(*cursor->at))
		cursor->at++;
	return (struct digest_text){start, (size_t)(cursor->at - start)};
}

/* Bytes that are zero have their highest bit set in the result; above the first of them others may have, too. */
static uint64_t zeros_of(uint64_t x)
{
	return (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull;
}

/* Eight at a time past what means nothing between quotes, up to the first that may: a quote, a backslash, a control. */
static const char *skip_plain(const char *at, const char *end)
{
	for (; end - at >= 8; at += 8) {
		uint64_t x;
		memcpy(&x, at, 8);
		x = le64toh(x);
		const uint64_t controls = (x - 0x2020202020202020ull) & ~x & 0x8080808080808080ull;
		const uint64_t found = controls | zeros_of(x ^ 0x2222222222222222ull) |
				       zeros_of(x ^ 0x5c5c5c5c5c5c5c5cull) |
				       zeros_of(x ^ 0x7f7f7f7f7f7f7f7full);
		if (found)
			return at + __builtin_ctzll(found) / 8;
	}
	return at;
}

/*
 * A quoted string after its opening quote. Controls are refused, and with them folding inside the
 * quotes: these texts are sent back byte by byte, and a line end in them would end our header.
 */
static int take_quoted(struct cursor *cursor, struct digest_text *out)
{
	const char *start = cursor->at;
	cursor->at = skip_plain(cursor->at, cursor->end);
	for (; cursor->at < cursor->end; cursor->at++) {
		unsigned char c = (unsigned char)*cursor->at;
		if (c == '"') {
			*out = (struct digest_text){start, (size_t)(cursor->at - start)};
			cursor->at++;
			return 0;
		}
		if (c == '\\' && ++cursor->at == cursor->end)
			return -EINVAL;
		c = (unsigned char)*cursor->at;
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return -EINVAL;
	}
	return -EINVAL;
}

/*
 * A value without quotes. More than the token of the grammar is taken, since servers leave out the
 * quotes of URIs and base64 texts, but nothing that could not stand between quotes as it is.
 */
static int take_unquoted(struct cursor *cursor, struct digest_text *out)
{
	const char *start = cursor->at;
	while (cursor->at < cursor->end && (unsigned char)*cursor->at > ' ' &&
		(unsigned char)*cursor->at < 0x7f && *cursor->at != ',' && *cursor->at != '"' &&
		*cursor->at != '\\')
		cursor->at++;
	*out = (struct digest_text){start, (size_t)(cursor->at - start)};
	return out->length > 0 ? 0 : -EINVAL;
}

/* The next name=value of a list. 1: taken, 0: the list is over, or -EINVAL. */
static int take_parameter(
	struct cursor *cursor, struct digest_text *name, struct digest_text *value)
{
	skip_lws(cursor);
	while (cursor->at < cursor->end && *cursor->at == ',') {
		cursor->at++;
		skip_lws(cursor);
	}
	if (cursor->at == cursor->end)
		return 0;
	*name = take_token(cursor);
	skip_lws(cursor);
	if (name->length == 0 || cursor->at == cursor->end || *cursor->at != '=')
		return -EINVAL;
	cursor->at++;
	skip_lws(cursor);
	if (cursor->at == cursor->end)
		return -EINVAL;
	bool quoted = *cursor->at == '"';
	cursor->at += quoted;
	int error = quoted ? take_quoted(cursor, value) : take_unquoted(cursor, value);
	if (error)
		return error;
	skip_lws(cursor);
	if (cursor->at < cursor->end && *cursor->at != ',')
		return -EINVAL;
	return 1;
}

/* The scheme, which decides whether the rest concerns us. */
static int take_scheme(struct cursor *cursor)
{
	skip_lws(cursor);
	struct digest_text scheme = take_token(cursor);
	const char *after = cursor->at;
	skip_lws(cursor);
	if (scheme.length == 0 || (cursor->at == after && after < cursor->end))
		return -EINVAL;
	return is_word(scheme, TEXT("Digest")) ? 0 : -ENOTSUP;
}

static enum digest_algorithm algorithm_of(struct digest_text text)
{
	if (is_word(text, TEXT("MD5")))
		return DIGEST_MD5;
	if (is_word(text, TEXT("SHA-256")))
		return DIGEST_SHA256;
	return DIGEST_NONE;
}

/* Does a list of qop values contain auth? */
static bool qop_has_auth(struct digest_text list)
{
	struct cursor cursor = {list.text, list.text + list.length};
	while (cursor.at < cursor.end) {
		skip_lws(&cursor);
		struct digest_text word = take_token(&cursor);
		skip_lws(&cursor);
		bool whole = cursor.at == cursor.end || *cursor.at == ',';
		if (whole && is_word(word, TEXT("auth")))
			return true;
		while (cursor.at < cursor.end && *cursor.at != ',')
			cursor.at++;
		if (cursor.at < cursor.end)
			cursor.at++;
	}
	return false;
}

/* The parameters we know; a challenge and credentials share most. In the order in which they mostly come. */
enum parameter {
	USERNAME,
	REALM,
	NONCE,
	URI,
	RESPONSE,
	ALGORITHM,
	QOP,
	CNONCE,
	NC,
	OPAQUE,
	STALE,
	DOMAIN,
	PARAMETERS
};

static const struct digest_text parameter_name[PARAMETERS] = {
	[USERNAME] = {"username", 8},
	[REALM] = {"realm", 5},
	[NONCE] = {"nonce", 5},
	[URI] = {"uri", 3},
	[RESPONSE] = {"response", 8},
	[ALGORITHM] = {"algorithm", 9},
	[QOP] = {"qop", 3},
	[CNONCE] = {"cnonce", 6},
	[NC] = {"nc", 2},
	[OPAQUE] = {"opaque", 6},
	[STALE] = {"stale", 5},
	[DOMAIN] = {"domain", 6},
};

/*
 * All parameters of a challenge or of credentials; those that are absent stay {NULL, 0}, those
 * we do not know are skipped.
 */
static int take_parameters(const char *value, size_t length, struct digest_text found[PARAMETERS])
{
	struct cursor cursor = {value, value + length};
	struct digest_text name, text;
	memset(found, 0, PARAMETERS * sizeof(found[0]));
	int result = take_scheme(&cursor);
	if (result)
		return result;
	for (int likely = 0; (result = take_parameter(&cursor, &name, &text)) > 0;) {
		int which = likely, tried = 0;
		while (tried < PARAMETERS && !is_word(name, parameter_name[which])) {
			which = which + 1 < PARAMETERS ? which + 1 : 0;
			tried++;
		}
		if (tried == PARAMETERS)
			continue;
		if (found[which].text != NULL)
			return -EINVAL;
		found[which] = text;
		likely = which + 1 < PARAMETERS ? which + 1 : 0;
	}
	return result;
}

int digest_parse_challenge(const char *value, size_t length, struct digest_challenge *out)
{
	struct digest_text found[PARAMETERS];
	int error = take_parameters(value, length, found);
	if (error)
		return error;
	/* A realm may be empty, a nonce that is empty is none. */
	if (found[REALM].text == NULL || found[NONCE].length == 0)
		return -EINVAL;
	bool qop_offered = found[QOP].text != NULL;
	*out = (struct digest_challenge){
		.algorithm = found[ALGORITHM].text ? algorithm_of(found[ALGORITHM]) : DIGEST_MD5,
		.qop_offered = qop_offered,
		.qop_auth = qop_offered && qop_has_auth(found[QOP]),
		.stale = found[STALE].text != NULL && is_word(found[STALE], TEXT("true")),
		.realm = found[REALM],
		.nonce = found[NONCE],
		.opaque = found[OPAQUE],
	};
	return 0;
}

int digest_parse_count(struct digest_text text, uint32_t *out)
{
	*out = 0;
	if (text.length == 0)
		return text.text == NULL ? 0 : -EINVAL;
	if (text.length != 8)
		return -EINVAL;
	uint32_t value = 0;
	for (size_t i = 0; i < 8; i++) {
		char c = text.text[i];
		uint32_t digit;
		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return -EINVAL;
		value = value << 4 | digit;
	}
	*out = value;
	return 0;
}

int digest_parse_credentials(const char *value, size_t length, struct digest_credentials *out)
{
	struct digest_text found[PARAMETERS];
	int error = take_parameters(value, length, found);
	if (error)
		return error;
	for (int i = USERNAME; i <= RESPONSE; i++)
		if (found[i].text == NULL)
			return -EINVAL;
	uint32_t nc;
	if (digest_parse_count(found[NC], &nc) != 0)
		return -EINVAL;
	*out = (struct digest_credentials){
		.algorithm = found[ALGORITHM].text ? algorithm_of(found[ALGORITHM]) : DIGEST_MD5,
		.username = found[USERNAME],
		.realm = found[REALM],
		.nonce = found[NONCE],
		.uri = found[URI],
		.response = found[RESPONSE],
		.cnonce = found[CNONCE],
		.opaque = found[OPAQUE],
		.qop = found[QOP],
		.nc_text = found[NC],
		.nc = nc,
	};
	return 0;
}

/* One hash first, so that whatever libcrypto sets up lazily is there before the hot path. */
static bool open_algorithm(
	struct digest_context *context, enum digest_algorithm algorithm, const char *name)
{
	uint8_t warm[EVP_MAX_MD_SIZE];
	context->md[algorithm] = EVP_MD_fetch(NULL, name, NULL);
	context->md_context[algorithm] = EVP_MD_CTX_new();
	if (context->md[algorithm] == NULL || context->md_context[algorithm] == NULL)
		return false;
	return EVP_DigestInit_ex(context->md_context[algorithm], context->md[algorithm], NULL) ==
		       1 &&
	       EVP_DigestFinal_ex(context->md_context[algorithm], warm, NULL) == 1;
}

struct digest_context *digest_open(void)
{
	struct digest_context *context = calloc(1, sizeof(*context));
	if (context == NULL)
		return NULL;
	if (open_algorithm(context, DIGEST_MD5, "MD5") &&
		open_algorithm(context, DIGEST_SHA256, "SHA256"))
		return context;
	digest_close(context);
	return NULL;
}

void digest_close(struct digest_context *context)
{
	if (context == NULL)
		return;
	for (int i = DIGEST_MD5; i <= DIGEST_SHA256; i++) {
		EVP_MD_CTX_free(context->md_context[i]);
		EVP_MD_free(context->md[i]);
	}
	free(context);
}

/* What is hashed, put together first where it is short: libcrypto takes its time with each piece. */
#define SHORT_TEXT 512

struct hash {
	EVP_MD_CTX *md_context;
	size_t length;
	char text[SHORT_TEXT];
};

static void hash_begin(
	struct hash *hash, struct digest_context *context, enum digest_algorithm algorithm)
{
	hash->md_context = context->md_context[algorithm];
	hash->length = 0;
	EVP_DigestInit_ex(hash->md_context, context->md[algorithm], NULL);
}

static void hash_add(struct hash *hash, const char *text, size_t length)
{
	if (length > SHORT_TEXT - hash->length) {
		EVP_DigestUpdate(hash->md_context, hash->text, hash->length);
		hash->length = 0;
	}
	if (length > SHORT_TEXT) {
		EVP_DigestUpdate(hash->md_context, text, length);
		return;
	}
	memcpy(hash->text + hash->length, text, length);
	hash->length += length;
}

static void hash_add_text(struct hash *hash, struct digest_text text)
{
	if (text.length > 0)
		hash_add(hash, text.text, text.length);
}

static void hash_add_hex(struct hash *hash, const uint8_t *bytes, size_t count)
{
	char hex[DIGEST_HEX_MAX];
	hex_write(bytes, count, hex);
	hash_add(hash, hex, 2 * count);
}

static void hash_end(struct hash *hash, uint8_t *out)
{
	EVP_DigestUpdate(hash->md_context, hash->text, hash->length);
	EVP_DigestFinal_ex(hash->md_context, out, NULL);
}

void digest_ha1(struct digest_context *context, enum digest_algorithm algorithm,
	struct digest_text username, struct digest_text realm, struct digest_text password,
	uint8_t out[DIGEST_BYTES_MAX])
{
	if (algorithm == DIGEST_NONE)
		return;
	struct hash hash;
	hash_begin(&hash, context, algorithm);
	hash_add_text(&hash, username);
	hash_add(&hash, ":", 1);
	/* Runs between backslashes; the character after a backslash starts the next run. */
	for (size_t start = 0; start < realm.length;) {
		if (realm.text[start] == '\\' && start + 1 < realm.length)
			start++;
		const char *run = realm.text + start;
		const char *slash = memchr(run + 1, '\\', realm.length - start - 1);
		size_t length = slash ? (size_t)(slash - run) : realm.length - start;
		hash_add(&hash, run, length);
		start += length;
	}
	hash_add(&hash, ":", 1);
	hash_add_text(&hash, password);
	hash_end(&hash, out);
	/* The password was in it. */
	OPENSSL_cleanse(hash.text, hash.length);
}

void digest_ha2(struct digest_context *context, enum digest_algorithm algorithm,
	struct digest_text method, struct digest_text uri, uint8_t out[DIGEST_BYTES_MAX])
{
	if (algorithm == DIGEST_NONE)
		return;
	struct hash hash;
	hash_begin(&hash, context, algorithm);
	hash_add_text(&hash, method);
	hash_add(&hash, ":", 1);
	hash_add_text(&hash, uri);
	hash_end(&hash, out);
}

size_t digest_response(struct digest_context *context, enum digest_algorithm algorithm,
	const uint8_t *ha1, const uint8_t *ha2, struct digest_text nonce, bool qop, uint32_t nc,
	struct digest_text cnonce, char out[DIGEST_HEX_MAX])
{
	const size_t bytes = digest_bytes(algorithm);
	if (bytes == 0)
		return 0;
	struct hash hash;
	hash_begin(&hash, context, algorithm);
	hash_add_hex(&hash, ha1, bytes);
	hash_add(&hash, ":", 1);
	hash_add_text(&hash, nonce);
	hash_add(&hash, ":", 1);
	if (qop) {
		const uint8_t count[] = {
			(uint8_t)(nc >> 24), (uint8_t)(nc >> 16), (uint8_t)(nc >> 8), (uint8_t)nc};
		hash_add_hex(&hash, count, sizeof(count));
		hash_add(&hash, ":", 1);
		hash_add_text(&hash, cnonce);
		hash_add(&hash, ":auth:", strlen(":auth:"));
	}
	hash_add_hex(&hash, ha2, bytes);
	uint8_t raw[DIGEST_BYTES_MAX];
	hash_end(&hash, raw);
	hex_write(raw, bytes, out);
	return 2 * bytes;
}

bool digest_equal(const char *a, const char *b, size_t length)
{
	return CRYPTO_memcmp(a, b, length) == 0;
}
