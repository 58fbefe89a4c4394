/* SPDX-License-Identifier: BSD-3-Clause */
/* Digest: the vectors of RFC 2617 and RFC 7616, and challenges as real servers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/crypto.h>

#include "digest.h"

static int crypto_live, crypto_taken;

static void *counted_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	crypto_live++, crypto_taken++;
	return malloc(size);
}

static void *counted_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	crypto_live += old == NULL, crypto_taken++;
	return realloc(old, size);
}

static void counted_free(void *old, const char *file, int line)
{
	(void)file, (void)line;
	crypto_live -= old != NULL;
	free(old);
}

static struct digest_text text(const char *literal)
{
	return (struct digest_text){literal, strlen(literal)};
}

static void assert_text(struct digest_text got, const char *expected)
{
	assert_int_equal(got.length, strlen(expected));
	assert_memory_equal(got.text, expected, got.length);
}

struct vector {
	enum digest_algorithm algorithm;
	const char *user, *realm, *password, *nonce;
	bool qop;
	uint32_t nc;
	const char *cnonce, *response;
};

static const struct vector vectors[] = {
	/* RFC 2617 section 3.5. */
	{DIGEST_MD5, "Mufasa", "testrealm@host.com", "Circle Of Life",
		"dcd98b7102dd2f0e8b11d0f600bfb0c093", true, 1, "0a4f113b",
		"6629fae49393a05397450978507c4ef1"},
	/* RFC 7616 section 3.9.1, both algorithms. */
	{DIGEST_MD5, "Mufasa", "http-auth@example.org", "Circle of Life",
		"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", true, 1,
		"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "8ca523f5e9506fed4657c9700eebdbec"},
	{DIGEST_SHA256, "Mufasa", "http-auth@example.org", "Circle of Life",
		"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", true, 1,
		"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
	/* RFC 2069 section 2.4 with the answer of its errata: no qop. */
	{DIGEST_MD5, "Mufasa", "testrealm@host.com", "CircleOfLife",
		"dcd98b7102dd2f0e8b11d0f600bfb0c093", false, 0, "",
		"1949323746fe6a43ef61f9606e7febea"},
};

static void vectors_of_the_rfcs(void **state)
{
	(void)state;
	struct digest_context *context = digest_open();
	assert_non_null(context);
	/* Twice, so that a context that keeps something of the last answer is found out. */
	for (size_t i = 0; i < 2 * sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i / 2];
		uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
		char response[DIGEST_HEX_MAX];
		digest_ha1(context, v->algorithm, text(v->user), text(v->realm), text(v->password),
			ha1);
		digest_ha2(context, v->algorithm, text("GET"), text("/dir/index.html"), ha2);
		size_t length = digest_response(context, v->algorithm, ha1, ha2, text(v->nonce),
			v->qop, v->nc, text(v->cnonce), response);
		assert_int_equal(length, strlen(v->response));
		assert_int_equal(length, 2 * digest_bytes(v->algorithm));
		assert_true(digest_equal(response, v->response, length));
		response[length - 1] ^= 1;
		assert_false(digest_equal(response, v->response, length));
	}
	digest_close(context);
}

static void memory_does_not_grow_with_answers(void **state)
{
	(void)state;
	struct digest_context *context = digest_open();
	assert_non_null(context);
	assert_true(crypto_live > 0);
	int live = crypto_live, taken = crypto_taken;
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	char response[DIGEST_HEX_MAX];
	for (int i = 0; i < 100; i++) {
		enum digest_algorithm algorithm = i & 1 ? DIGEST_MD5 : DIGEST_SHA256;
		digest_ha1(context, algorithm, text("u"), text("r"), text("p"), ha1);
		digest_ha2(context, algorithm, text("REGISTER"), text("sip:example.net"), ha2);
		digest_response(
			context, algorithm, ha1, ha2, text("n"), true, 7, text("c"), response);
	}
	assert_int_equal(crypto_live, live);
	/* Three hashes of one block each; a context that is not reused takes more. */
	assert_true(crypto_taken - taken <= 300);
	digest_close(context);
}

static void realm_is_unescaped_before_hashing(void **state)
{
	(void)state;
	static const struct {
		const char *escaped, *plain;
	} cases[] = {{"a\\\"b\\\\c", "a\"b\\c"}, {"\\a", "a"}, {"x\\y\\z", "xyz"}, {"", ""},
		{"\\\\\\\\", "\\\\"}};
	struct digest_context *context = digest_open();
	assert_non_null(context);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t with[DIGEST_BYTES_MAX], joined[DIGEST_BYTES_MAX];
		char whole[64] = "u:";
		strcat(whole, cases[i].plain);
		digest_ha1(context, DIGEST_MD5, text("u"), text(cases[i].escaped), text("p"), with);
		/* HA1 and HA2 share a shape: what stands before and after one colon. */
		digest_ha2(context, DIGEST_MD5, text(whole), text("p"), joined);
		assert_memory_equal(with, joined, 16);
	}
	digest_close(context);
}

static void unknown_algorithms_have_no_answer(void **state)
{
	(void)state;
	struct digest_context *context = digest_open();
	assert_non_null(context);
	uint8_t zero[DIGEST_BYTES_MAX] = {0};
	char response[DIGEST_HEX_MAX];
	assert_int_equal(digest_bytes(DIGEST_NONE), 0);
	assert_int_equal(digest_response(context, DIGEST_NONE, zero, zero, text("n"), true, 1,
				 text("c"), response),
		0);
	digest_close(context);
}

static struct digest_challenge challenge(const char *value)
{
	struct digest_challenge out;
	assert_int_equal(digest_parse_challenge(value, strlen(value), &out), 0);
	return out;
}

static void challenges_of_real_servers(void **state)
{
	(void)state;
	/* Kamailio. */
	struct digest_challenge c = challenge("Digest realm=\"lab.example.net\", "
					      "nonce=\"ZUo9c2VKPEd0aGlzIGlzIGE=\", qop=\"auth\"");
	assert_int_equal(c.algorithm, DIGEST_MD5);
	assert_true(c.qop_auth && c.qop_offered && !c.stale);
	assert_text(c.realm, "lab.example.net");
	assert_text(c.nonce, "ZUo9c2VKPEd0aGlzIGlzIGE=");
	assert_int_equal(c.opaque.length, 0);
	/* Asterisk's chan_pjsip, an opaque and lower-case names. */
	c = challenge("Digest realm=\"asterisk\",nonce=\"1699/6ee\",opaque=\"0a2c\",algorithm=MD5,"
		      "qop=\"auth\"");
	assert_text(c.opaque, "0a2c");
	/* chan_sip: no qop at all. */
	c = challenge("Digest algorithm=MD5, realm=\"asterisk\", nonce=\"1a2b\"");
	assert_false(c.qop_offered || c.qop_auth);
	/* Odd case, unquoted qop, stale in capitals, a quoted algorithm, blanks around everything.
	 */
	c = challenge(" dIGEST\tREALM = \"r\" , Nonce=\"n\" ,QOP=auth, "
		      "Stale=TRUE,Algorithm=\"sha-256\" ");
	assert_int_equal(c.algorithm, DIGEST_SHA256);
	assert_true(c.stale && c.qop_auth);
	c = challenge("Digest realm=\"r\",nonce=\"n\",stale=\"true\"");
	assert_true(c.stale);
	/* Folding between parameters. */
	c = challenge("Digest\r\n realm=\"r\",\r\n\tnonce=\"n\",\n qop=\"auth-int , auth\"");
	assert_true(c.qop_auth);
	assert_text(c.nonce, "n");
	/* Empty list elements, unknown parameters in any shape, domain without quotes. */
	c = challenge(
		"Digest ,, realm=\"r\", charset=UTF-8, x-y=\"a,b=c\", domain=sip:a.example;lr, "
		"userhash=false, nonce=\"n\",");
	assert_text(c.realm, "r");
	/* Escapes stay, the quote behind a backslash does not end the string, 8-bit text passes. */
	c = challenge("Digest realm=\"a \\\"b\\\" \\\\\", nonce=\"n\xc3\xa4\"");
	assert_text(c.realm, "a \\\"b\\\" \\\\");
	assert_text(c.nonce, "n\xc3\xa4");
	/* Without the quotes that the grammar asks for. */
	c = challenge("Digest realm=lab.example.net,nonce=abc==");
	assert_text(c.realm, "lab.example.net");
	assert_text(c.nonce, "abc==");
	c = challenge("Digest realm=\"\", nonce=\"n\"");
	assert_int_equal(c.realm.length, 0);
}

static void what_a_challenge_asks_for(void **state)
{
	(void)state;
	static const struct {
		const char *qop;
		bool auth;
	} qops[] = {{"\"auth\"", true}, {"\"auth,auth-int\"", true}, {"\"auth-int,auth\"", true},
		{"\"auth-int\"", false}, {"auth", true}, {"AUTH", true}, {"\" auth \"", true},
		{"\"auth-int,,auth\"", true}, {"\"\"", false}, {"\"authentic\"", false},
		{"\"auth int\"", false}, {"\"x/y,auth\"", true}};
	for (size_t i = 0; i < sizeof(qops) / sizeof(qops[0]); i++) {
		char value[128] = "Digest realm=\"r\", nonce=\"n\", qop=";
		struct digest_challenge c = challenge(strcat(value, qops[i].qop));
		assert_true(c.qop_offered);
		assert_int_equal(c.qop_auth, qops[i].auth);
	}
	static const struct {
		const char *name;
		enum digest_algorithm algorithm;
	} algorithms[] = {{"MD5", DIGEST_MD5}, {"md5", DIGEST_MD5}, {"\"MD5\"", DIGEST_MD5},
		{"SHA-256", DIGEST_SHA256}, {"Sha-256", DIGEST_SHA256}, {"MD5-sess", DIGEST_NONE},
		{"SHA-256-sess", DIGEST_NONE}, {"SHA-512-256", DIGEST_NONE}, {"\"\"", DIGEST_NONE},
		{"SHA256", DIGEST_NONE}, {"MD", DIGEST_NONE}};
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		char value[128] = "Digest realm=\"r\", nonce=\"n\", algorithm=";
		struct digest_challenge c = challenge(strcat(value, algorithms[i].name));
		assert_int_equal(c.algorithm, algorithms[i].algorithm);
	}
}

static void what_is_no_challenge(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		int error;
	} cases[] = {
		{"", -EINVAL},
		{"  ", -EINVAL},
		{"Digest", -EINVAL},
		{"Digest ", -EINVAL},
		{"Basic realm=\"r\"", -ENOTSUP},
		{"Bearer", -ENOTSUP},
		{"Digestive realm=\"r\", nonce=\"n\"", -ENOTSUP},
		{"Digest,realm=\"r\",nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\"", -EINVAL},
		{"Digest nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\\\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\\", -EINVAL},
		{"Digest realm=\"r\" nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\"; nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce", -EINVAL},
		{"Digest realm=\"r\", nonce=", -EINVAL},
		{"Digest realm=\"r\", nonce= ,", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", =x", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", x=a\"b", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", x=a b", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", x=a\\b", -EINVAL},
		{"Digest realm=\"r\", realm=\"r\", nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", NONCE=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", qop=auth, qop=auth", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\", Digest realm=\"s\", nonce=\"m\"", -EINVAL},
		/* A line end in a text that goes back would end the header that carries it. */
		{"Digest realm=\"r\r\n x\", nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\\\r\n x\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\x7f\"", -EINVAL},
		{"Digest realm=\"r\",\r\nnonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\",\r nonce=\"n\"", -EINVAL},
		{"Digest realm=\"r\", nonce=\"n\"\r\n", -EINVAL},
		{"@ realm=\"r\", nonce=\"n\"", -EINVAL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct digest_challenge c;
		int error = digest_parse_challenge(cases[i].value, strlen(cases[i].value), &c);
		if (error != cases[i].error)
			print_error("case %zu: %s\n", i, cases[i].value);
		assert_int_equal(error, cases[i].error);
	}
	struct digest_challenge c;
	static const char nul[] = "Digest realm=\"r\0\", nonce=\"n\"";
	assert_int_equal(digest_parse_challenge(nul, sizeof(nul) - 1, &c), -EINVAL);
}

static const char good_credentials[] = "Digest username=\"bob\", realm=\"biloxi.com\", "
				       "nonce=\"dcd98b7102dd\", uri=\"sip:biloxi.com\", "
				       "qop=auth, nc=0000002a, cnonce=\"0a4f113b\", "
				       "response=\"6629fae49393a05397450978507c4ef1\", "
				       "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";

static void credentials_are_read(void **state)
{
	(void)state;
	struct digest_credentials c;
	assert_int_equal(
		digest_parse_credentials(good_credentials, strlen(good_credentials), &c), 0);
	assert_int_equal(c.algorithm, DIGEST_MD5);
	assert_text(c.username, "bob");
	assert_text(c.realm, "biloxi.com");
	assert_text(c.nonce, "dcd98b7102dd");
	assert_text(c.uri, "sip:biloxi.com");
	assert_text(c.qop, "auth");
	assert_text(c.cnonce, "0a4f113b");
	assert_text(c.response, "6629fae49393a05397450978507c4ef1");
	assert_text(c.opaque, "5ccc069c403ebaf9f0171e9517f40e41");
	assert_int_equal(c.nc, 0x2a);
	static const char without_qop[] =
		"Digest username=\"\",realm=\"\",nonce=\"\",uri=\"\",response=\"\",nc=\"0000001F\"";
	assert_int_equal(digest_parse_credentials(without_qop, strlen(without_qop), &c), 0);
	assert_int_equal(c.nc, 0x1f);
	assert_int_equal(c.qop.length, 0);
}

static void credentials_need_their_five(void **state)
{
	(void)state;
	struct digest_credentials c;
	static const char *const needed[] = {"username", "realm", "nonce", "uri", "response"};
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		char value[512];
		strcpy(value, good_credentials);
		/* Another name makes the parameter unknown; " nonce" is not the end of cnonce. */
		char name[16] = " ";
		char *at = strstr(value, strcat(name, needed[i]));
		assert_non_null(at);
		at[1] = 'x';
		assert_int_equal(digest_parse_credentials(value, strlen(value), &c), -EINVAL);
	}
	static const char *const counts[] = {"1", "0000000g", "000000001", "\"\"", "-0000001"};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		char value[256] =
			"Digest "
			"username=\"u\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"r\",nc=";
		strcat(value, counts[i]);
		assert_int_equal(digest_parse_credentials(value, strlen(value), &c), -EINVAL);
	}
}

/* Every prefix and every single-byte change, each in a block of its own for AddressSanitizer. */
static void cut_and_damaged_values(void **state)
{
	(void)state;
	size_t length = strlen(good_credentials);
	for (size_t n = 0; n <= length; n++) {
		char *cut = malloc(n + 1);
		assert_non_null(cut);
		char *exact = realloc(cut, n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, good_credentials, n);
		struct digest_credentials c;
		struct digest_challenge h;
		int error = digest_parse_credentials(exact, n, &c);
		assert_true(error == 0 || error == -EINVAL || (n < 7 && error == -ENOTSUP));
		digest_parse_challenge(exact, n, &h);
		for (unsigned byte = 0; n > 0 && byte < 256; byte++) {
			exact[n - 1] = (char)byte;
			if (digest_parse_credentials(exact, n, &c) == 0)
				assert_in_range(
					(uintptr_t)(c.nonce.text - exact), 0, n - c.nonce.length);
		}
		free(exact);
	}
}

/* Between quotes, at every place of texts of any length. */
static void every_byte_between_quotes(void **state)
{
	(void)state;
	for (size_t length = 1; length <= 20; length++)
		for (size_t place = 0; place < length; place++)
			for (unsigned byte = 0; byte < 256; byte++) {
				static const char front[] = "Digest realm=\"",
						  end[] = "\", nonce=\"n\"";
				char value[64], *text = value + sizeof(front) - 1;
				struct digest_challenge c;
				memcpy(value, front, sizeof(front) - 1);
				memset(text, 'x', length);
				text[place] = (char)byte;
				memcpy(text + length, end, sizeof(end) - 1);
				const size_t n = sizeof(front) - 1 + length + sizeof(end) - 1;
				const int error = digest_parse_challenge(value, n, &c);
				const bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
				if (control || byte == '"' ||
					(byte == '\\' && place + 1 == length)) {
					assert_int_equal(error, -EINVAL);
					continue;
				}
				assert_int_equal(error, 0);
				assert_ptr_equal(c.realm.text, text);
				assert_int_equal(c.realm.length, length);
			}
}

static void parameters_in_any_order(void **state)
{
	static const char *const parameter[] = {"username=\"2001\"", "REALM=\"r\"", "nonce=\"n\"",
		"uri=\"sip:p\"", "response=\"0123\"", "algorithm=MD5", "qop=auth", "cnonce=\"c\"",
		"nc=00000001", "opaque=\"o\"", "unknown=1"};
	enum { COUNT = sizeof(parameter) / sizeof(parameter[0]) };
	(void)state;
	for (unsigned step = 1; step < COUNT; step++) /* COUNT is a prime */
		for (unsigned first = 0; first < COUNT; first++) {
			char value[256] = "Digest ";
			for (unsigned i = 0; i < COUNT; i++) {
				strcat(value, i ? ", " : "");
				strcat(value, parameter[(first + i * step) % COUNT]);
			}
			struct digest_credentials c;
			assert_int_equal(digest_parse_credentials(value, strlen(value), &c), 0);
			assert_text(c.username, "2001");
			assert_text(c.realm, "r");
			assert_text(c.nonce, "n");
			assert_text(c.uri, "sip:p");
			assert_text(c.response, "0123");
			assert_int_equal(c.algorithm, DIGEST_MD5);
			assert_text(c.qop, "auth");
			assert_text(c.cnonce, "c");
			assert_int_equal(c.nc, 1);
			assert_text(c.opaque, "o");
			strcat(value, ", ");
			strcat(value, parameter[first]);
			assert_int_equal(digest_parse_credentials(value, strlen(value), &c),
				first == COUNT - 1 ? 0 : -EINVAL); /* twice */
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_between_quotes),
		cmocka_unit_test(parameters_in_any_order),
		cmocka_unit_test(vectors_of_the_rfcs),
		cmocka_unit_test(memory_does_not_grow_with_answers),
		cmocka_unit_test(realm_is_unescaped_before_hashing),
		cmocka_unit_test(unknown_algorithms_have_no_answer),
		cmocka_unit_test(challenges_of_real_servers),
		cmocka_unit_test(what_a_challenge_asks_for),
		cmocka_unit_test(what_is_no_challenge),
		cmocka_unit_test(credentials_are_read),
		cmocka_unit_test(credentials_need_their_five),
		cmocka_unit_test(cut_and_damaged_values),
	};
	/* Refused once libcrypto has allocated anything, so before all tests. */
	if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
		return 1;
	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
