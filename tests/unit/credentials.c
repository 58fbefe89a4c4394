/* SPDX-License-Identifier: BSD-3-Clause */
/* Credentials: what is kept of challenges in 64 bytes, and that the header verifies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "credentials.h"

struct fixture {
	struct identity_set *identities;
	struct credentials *credentials;
	struct phone_auth auth;
	struct credentials_owner owner;
	struct digest_context *digest;
};

static void make(struct fixture *f, const char *password)
{
	struct identity_error error;
	memset(f, 0, sizeof(*f));
	assert_int_equal(
		identity_patterns(&f->identities, "u{n:03}", NULL, password, 100, &error), 0);
	f->credentials = credentials_create(100, f->identities, "lab.example.net");
	f->digest = digest_open();
	assert_non_null(f->credentials);
	f->owner = (struct credentials_owner){&f->auth, 5, 5};
}

static void unmake(struct fixture *f)
{
	credentials_free(f->credentials);
	identity_free(f->identities);
	digest_close(f->digest);
}

/* A 401 with these header lines. */
static int challenge(struct fixture *f, enum proxy proxy, bool busy, bool *stale, const char *lines)
{
	static char text[4000];
	struct sip_message message;
	snprintf(text, sizeof(text),
		"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\n"
		"CSeq: 1 REGISTER\r\n%sContent-Length: 0\r\n\r\n",
		lines);
	assert_int_equal(scan_message(text, strlen(text), &message), SCAN_OK);
	return credentials_challenge(f->credentials, &f->owner, proxy, &message, busy, stale);
}

static int challenge_md5(struct fixture *f, enum proxy proxy, bool busy, const char *nonce)
{
	char lines[2000];
	bool stale;
	snprintf(lines, sizeof(lines),
		"WWW-Authenticate: Digest realm=\"lab\", nonce=\"%s\", qop=\"auth\"\r\n", nonce);
	return challenge(f, proxy, busy, &stale, lines);
}

static struct digest_text text_of(const char *text)
{
	return (struct digest_text){text, strlen(text)};
}

/* The header parses and its answer is what a server computes from the password. */
static void verify(
	struct fixture *f, enum proxy proxy, enum digest_algorithm algorithm, const char *nonce)
{
	char header[CREDENTIALS_HEADER_MAX], expected[DIGEST_HEX_MAX];
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	struct digest_credentials got;
	f->auth.nonce_count[proxy]++;
	size_t length = credentials_header(f->credentials, &f->owner, proxy, "cafebabe", header);
	assert_true(length > 20);
	assert_memory_equal(header + length - 2, "\r\n", 2);
	const char *value = memchr(header, ':', length);
	assert_int_equal(digest_parse_credentials(
				 value + 1, length - 2 - (size_t)(value + 1 - header), &got),
		0);
	assert_int_equal(got.algorithm, algorithm);
	assert_int_equal(got.nonce.length, strlen(nonce));
	assert_memory_equal(got.nonce.text, nonce, strlen(nonce));
	assert_int_equal(got.nc, f->auth.nonce_count[proxy]);
	digest_ha1(f->digest, algorithm, text_of("u005"), text_of("lab"), text_of("pw-u005"), ha1);
	digest_ha2(f->digest, algorithm, text_of("REGISTER"), text_of("sip:lab.example.net"), ha2);
	size_t n = digest_response(f->digest, algorithm, ha1, ha2, text_of(nonce), true, got.nc,
		text_of("cafebabe"), expected);
	assert_int_equal(got.response.length, n);
	assert_memory_equal(got.response.text, expected, n);
}

static void answers_verify_and_survive(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, "pw-{user}");
	assert_false(credentials_ready(&f.auth, PROXY_PRIMARY));
	/* As registrars write them: two of these are kept side by side. */
	static const char primary[] = "5d41402abc4b2a76b9719d911017c592";
	static const char redundant[] = "Zl7n0mZe5qRXX8jxqYVvbVwU";
	assert_int_equal(challenge_md5(&f, PROXY_PRIMARY, false, primary), 0);
	assert_true(credentials_ready(&f.auth, PROXY_PRIMARY));
	verify(&f, PROXY_PRIMARY, DIGEST_MD5, primary);
	assert_int_equal(challenge_md5(&f, PROXY_REDUNDANT, false, redundant), 0);
	verify(&f, PROXY_REDUNDANT, DIGEST_MD5, redundant);
	verify(&f, PROXY_PRIMARY, DIGEST_MD5, primary);
	unmake(&f);
}

/* Nonces of common proxies stay in the record, HA1 beside all but the longest. */
static void common_nonces_need_no_long_region(void **state)
{
	static const struct {
		const char *nonce;
		bool with_ha1;
	} common[] = {
		{"5d41402abc4b2a76b9719d911017c592", true},                /* hexadecimal MD5 */
		{"d1a2b3c4-0000-4abc-9def-0123456789ab", true},            /* a UUID */
		{"Zl7n0mZe5qRXX8jxqYVvbVwUQ5dJ9x0a", true},                /* base64 of 24 bytes */
		{"1700000000/5d41402abc4b2a76b9719d911017c592", true},     /* time and MD5 */
		{"Zl7n0mZe5qRXX8jxqYVvbVwUQ5dJ9x0aZl7n0mZe5qRXX8", false}, /* of 35 bytes */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
		struct fixture f;
		make(&f, "pw-{user}");
		assert_int_equal(challenge_md5(&f, PROXY_PRIMARY, false, common[i].nonce), 0);
		verify(&f, PROXY_PRIMARY, DIGEST_MD5, common[i].nonce);
		verify(&f, PROXY_PRIMARY, DIGEST_MD5, common[i].nonce);
		assert_int_equal(f.auth.long_proxy, 0);
		assert_int_equal(f.auth.ha1_realm != 0, common[i].with_ha1);
		unmake(&f);
	}
}

static void strongest_supported_wins(void **state)
{
	(void)state;
	struct fixture f;
	bool stale;
	make(&f, "pw-{user}");
	assert_int_equal(challenge(&f, PROXY_PRIMARY, false, &stale,
				 "WWW-Authenticate: Digest realm=\"lab\", nonce=\"a\", "
				 "algorithm=MD5, qop=\"auth\"\r\n"
				 "WWW-Authenticate: Digest realm=\"lab\", nonce=\"b\", "
				 "algorithm=SHA-512-256, qop=\"auth\"\r\n"
				 "WWW-Authenticate: Basic realm=\"lab\"\r\n"
				 "WWW-Authenticate: Digest realm=\"lab\", nonce=\"c\", "
				 "algorithm=SHA-256, qop=\"auth-int,auth\", stale=true\r\n"),
		0);
	assert_true(stale);
	verify(&f, PROXY_PRIMARY, DIGEST_SHA256, "c");
	assert_int_equal(challenge(&f, PROXY_PRIMARY, false, &stale,
				 "WWW-Authenticate: Digest realm=\"lab\", nonce=\"d\", "
				 "qop=\"auth-int\"\r\n"),
		-ENOTSUP);
	unmake(&f);
}

static void no_password_no_answer(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, NULL);
	assert_int_equal(challenge_md5(&f, PROXY_PRIMARY, false, "n"), -ENOENT);
	unmake(&f);
}

static void realms_are_bounded(void **state)
{
	(void)state;
	struct fixture f;
	bool stale;
	int refused = 0;
	make(&f, "pw-{user}");
	for (int i = 0; i < 100; i++) {
		char line[200];
		snprintf(line, sizeof(line),
			"WWW-Authenticate: Digest realm=\"r%d\", nonce=\"n\"\r\n", i);
		refused += challenge(&f, PROXY_PRIMARY, false, &stale, line) == -ENOSPC;
	}
	assert_true(refused >= 80);
	assert_int_equal(challenge_md5(&f, PROXY_PRIMARY, false, "n"), -ENOSPC);
	unmake(&f);
}

/* Nonces of every size at both proxies, in random order: what is said to be ready verifies, and a
 * nonce in use is never displaced. */
static void area_never_mixes_texts(void **state)
{
	(void)state;
	struct fixture f;
	static char nonce[PROXIES][CREDENTIALS_LONG + 1];
	uint32_t x = 123456789;
	make(&f, "pw-{user}");
	for (int round = 0; round < 5000; round++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		enum proxy proxy = x & 1, other = !proxy;
		bool busy = (x & 2) && credentials_ready(&f.auth, other);
		size_t length = 1 + (x >> 8) % ((x & 12) ? 60 : CREDENTIALS_LONG);
		/* Digits, letters, or whatever may stand in quotes: packed in different ways. */
		const char low = (x & 48) == 0 ? '0' : (x & 48) == 16 ? 'A' : '#';
		const uint32_t span = low == '0' ? 10 : low == 'A' ? 26 : 50;
		char fresh[CREDENTIALS_LONG + 1];
		for (size_t i = 0; i < length; i++)
			fresh[i] = (char)(low + (x >> (i % 16)) % span);
		fresh[length] = '\0';
		int status = challenge_md5(&f, proxy, busy, fresh);
		assert_true(status == 0 || (status == -ENOSPC && busy));
		if (status == 0)
			strcpy(nonce[proxy], fresh);
		if (busy)
			assert_true(credentials_ready(&f.auth, other));
		for (int p = 0; p < PROXIES; p++)
			if (credentials_ready(&f.auth, (enum proxy)p))
				verify(&f, (enum proxy)p, DIGEST_MD5, nonce[p]);
	}
	assert_int_equal(challenge_md5(&f, PROXY_PRIMARY, false, ""), -ENOTSUP);
	unmake(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_verify_and_survive),
		cmocka_unit_test(common_nonces_need_no_long_region),
		cmocka_unit_test(strongest_supported_wins),
		cmocka_unit_test(no_password_no_answer),
		cmocka_unit_test(realms_are_bounded),
		cmocka_unit_test(area_never_mixes_texts),
	};
	return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
