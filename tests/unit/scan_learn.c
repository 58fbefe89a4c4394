/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The learned scanner never says anything else than the scanner: whatever byte of an answer is changed,
 * and whatever was learned before. On machines without AVX2 nothing is recognised, and the rest holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "digest.h"
#include "scan_learn.h"

#define ROUNDS 200000
#define TEXT_MAX 1024

static const char kamailio[] =
	"SIP/2.0 200 OK\r\n"
	"Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%08x10001400%08x;rport=5060;received=%s\r\n"
	"From: <sip:%07u@lab.example.net>;tag=%08x\r\n"
	"To: <sip:%07u@lab.example.net>;tag=b27e1a1d33611ee85f4d61bc245b2661.%04x0000\r\n"
	"Call-ID: %08xc0ffee0012345678\r\n"
	"CSeq: %u OPTIONS\r\n"
	"Server: kamailio (5.6.3 (x86_64/linux))\r\n"
	"Content-Length: 0\r\n\r\n";

static const char registration[] =
	"REGISTER sip:lab.example.net SIP/2.0\r\n"
	"Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%08x10001400%08x;rport\r\n"
	"Max-Forwards: 70\r\n"
	"From: <sip:%07u@lab.example.net>;tag=%08x\r\n"
	"To: <sip:%07u@lab.example.net>\r\n"
	"Call-ID: %08xc0ffee0012345678\r\n"
	"CSeq: %u REGISTER\r\n"
	"Contact: <sip:%07u@%s:5060>\r\n"
	"Expires: 3600\r\n"
	"Authorization: Digest username=\"%07u\", realm=\"lab.example.net\", nonce=\"%08x%08x\", "
	"uri=\"sip:lab.example.net\", response=\"%08x%08x%08x%08x\", algorithm=MD5, qop=auth, "
	"cnonce=\"%08x\", nc=%08x\r\n"
	"Content-Length: 0\r\n\r\n";

static const char challenge[] =
	"SIP/2.0 401 Unauthorized\r\n"
	"Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%08x10001400%08x;rport=5060;received=%s\r\n"
	"From: <sip:%07u@lab.example.net>;tag=%08x\r\n"
	"To: <sip:%07u@lab.example.net>;tag=%08x\r\n"
	"Call-ID: %08xc0ffee0012345678\r\n"
	"CSeq: %u REGISTER\r\n"
	"WWW-Authenticate: Digest realm=\"lab.example.net\", nonce=\"%08x%08x\", qop=\"auth\"\r\n"
	"Content-Length: 0\r\n\r\n";

static uint64_t random_state = 0x5eed1e41;
static bool narrow; /* without AVX-512, where there is one */

static void open_learned(struct scan_learned *learned)
{
	assert_int_equal(scan_learned_open(learned), 0);
	learned->wide &= !narrow;
}

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

static size_t answer(char *out, size_t size, const char *host)
{
	const uint32_t user = 2000000 + draw(1000000);
	return (size_t)snprintf(out, size, kamailio, host, draw(UINT32_MAX), draw(UINT32_MAX), host,
		user, draw(UINT32_MAX), user, draw(65536), draw(UINT32_MAX),
		1000000000u + draw(1000000000));
}

static size_t request(char *out, size_t size, const char *host)
{
	const uint32_t user = 2000000 + draw(1000000);
	return (size_t)snprintf(out, size, registration, host, draw(UINT32_MAX), draw(UINT32_MAX),
		user, draw(UINT32_MAX), user, draw(UINT32_MAX), 1000000000u + draw(1000000000),
		user, host, user, draw(UINT32_MAX), draw(UINT32_MAX), draw(UINT32_MAX),
		draw(UINT32_MAX), draw(UINT32_MAX), draw(UINT32_MAX), draw(UINT32_MAX),
		1 + draw(UINT32_MAX - 1));
}

static size_t refusal(char *out, size_t size, const char *host)
{
	const uint32_t user = 2000000 + draw(1000000);
	return (size_t)snprintf(out, size, challenge, host, draw(UINT32_MAX), draw(UINT32_MAX),
		host, user, draw(UINT32_MAX), user, draw(UINT32_MAX), draw(UINT32_MAX),
		1000000000u + draw(1000000000), draw(UINT32_MAX), draw(UINT32_MAX));
}

static size_t (*const kinds[])(char *out, size_t size, const char *host) = {
	answer, request, refusal};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What the parsers of a message's values say, with places in it instead of pointers. */
struct parsed {
	bool uri_taken, contact_taken, contact_uri_taken;
	struct sip_uri to, from, contact_uri;
	struct sip_contact contact;
	int challenge_error, credentials_error;
	struct digest_challenge challenge;
	struct digest_credentials credentials;
};

static void place(struct digest_text *text, const struct sip_message *m)
{
	if (text->text != NULL)
		text->text = (const char *)(text->text - m->base);
}

static void parse(const struct sip_message *m, struct parsed *p)
{
	memset(p, 0, sizeof(*p));
	p->uri_taken = scan_uri(m, m->to_uri, &p->to) && scan_uri(m, m->from_uri, &p->from);
	p->contact_taken = m->contacts > 0 && scan_contact(m, m->contact[0], &p->contact);
	p->contact_uri_taken = p->contact_taken && scan_uri(m, p->contact.uri, &p->contact_uri);
	if (m->challenges > 0)
		p->challenge_error = digest_parse_challenge(
			span_text(m, m->challenge[0]), m->challenge[0].length, &p->challenge);
	if (m->credentials > 0)
		p->credentials_error = digest_parse_credentials(
			span_text(m, m->credential[0]), m->credential[0].length, &p->credentials);
	struct digest_text *const texts[] = {&p->challenge.realm, &p->challenge.nonce,
		&p->challenge.opaque, &p->credentials.username, &p->credentials.realm,
		&p->credentials.nonce, &p->credentials.uri, &p->credentials.response,
		&p->credentials.cnonce, &p->credentials.opaque, &p->credentials.qop,
		&p->credentials.nc_text};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		place(texts[i], m);
	p->credentials.nc = 0;
}

/* The message that each skeleton was learned from. */
static struct {
	uint64_t number;
	struct parsed parsed;
} origin[4096];

static void note_origin(const struct scan_learned *learned, const struct sip_message *m)
{
	const size_t at = learned->learned % (sizeof(origin) / sizeof(origin[0]));
	origin[at].number = learned->learned;
	parse(m, &origin[at].parsed);
}

/* Of a message that was recognised parsers say what they said of the one that was learned. */
static void check_parsed(const struct scan_learned *learned, const struct sip_message *m)
{
	static struct parsed now;
	const size_t at = learned->match->number % (sizeof(origin) / sizeof(origin[0]));
	if (origin[at].number != learned->match->number)
		return;
	parse(m, &now);
	assert_memory_equal(&now, &origin[at].parsed, sizeof(now));
}

static void assert_same_message(const struct sip_message *a, const struct sip_message *b)
{
	assert_memory_equal(a, b, offsetof(struct sip_message, via));
	assert_memory_equal(a->via, b->via, b->vias * sizeof(struct span));
	assert_memory_equal(a->contact, b->contact, b->contacts * sizeof(struct span));
	assert_memory_equal(a->challenge, b->challenge, b->challenges * sizeof(struct span));
	assert_memory_equal(a->credential, b->credential, b->credentials * sizeof(struct span));
}

/* The same result, and the same message in all that counts, from a datagram that ends with its memory. */
static bool check_same(struct scan_learned *learned, const char *text, size_t length)
{
	struct sip_message expected, got;
	char *exact = malloc(length > 0 ? length : 1);
	const uint64_t recognised = learned->recognised, before = learned->learned;
	assert_non_null(exact);
	memcpy(exact, text, length);
	memset(&got, 0x5a, sizeof(got));
	const enum scan_result result = scan_message(exact, length, &expected);
	assert_int_equal(scan_learned_message(learned, exact, length, &got), result);
	if (result == SCAN_OK)
		assert_same_message(&got, &expected);
	assert_int_equal(learned->match != NULL, learned->recognised > recognised);
	if (learned->match != NULL)
		check_parsed(learned, &got);
	if (learned->learned > before)
		note_origin(learned, &got);
	free(exact);
	return learned->match != NULL;
}

static void recognises_its_kind(void **state)
{
	(void)state;
	static const char *const host[] = {
		"10.20.13.37", "10.20.113.7", "10.20.1.1", "10.20.201.250"};
	struct scan_learned learned;
	char text[TEXT_MAX];
	unsigned known = 0;
	open_learned(&learned);
	for (int i = 0; i < 3000; i++) {
		const size_t n = kinds[i % KINDS](text, sizeof(text), host[draw(4)]);
		known += check_same(&learned, text, n);
	}
	if (learned.possible)
		/* Of each kind four lengths of addresses are four skeletons. */
		assert_true(known >= 2970);
	else
		print_message("[  SKIPPED ] no AVX2 here: nothing is learned\n");
	scan_learned_close(&learned);
}

static void no_change_slips_through(void **state)
{
	(void)state;
	struct scan_learned learned;
	char text[TEXT_MAX];
	for (size_t kind = 0; kind < KINDS; kind++) {
		open_learned(&learned);
		const size_t n = kinds[kind](text, sizeof(text), "10.20.13.37");
		check_same(&learned, text, n);
		for (size_t at = 0; at < n; at++) {
			for (int byte = 0; byte < 256; byte++) {
				const char before = text[at];
				text[at] = (char)byte;
				check_same(&learned, text, n);
				text[at] = before;
			}
			/* What a change has taught is unlearned. */
			check_same(&learned, text, n);
		}
		scan_learned_close(&learned);
	}
}

static void random_changes(void **state)
{
	(void)state;
	static const char likely[] = "\r\n ;=\",<>@:.-_~0aAzZ9\t\\?";
	struct scan_learned learned;
	char text[TEXT_MAX];
	print_message("seed 0x%llx\n", (unsigned long long)random_state);
	open_learned(&learned);
	for (int i = 0; i < ROUNDS; i++) {
		const size_t n = kinds[draw(KINDS)](
			text, sizeof(text), i % 3 ? "10.20.13.37" : "10.20.1.137");
		for (uint32_t changes = draw(4); changes > 0; changes--)
			text[draw((uint32_t)n)] = draw(2) ? likely[draw(sizeof(likely) - 1)]
							  : (char)draw(256);
		check_same(&learned, text, draw(20) ? n : draw((uint32_t)n));
	}
	scan_learned_close(&learned);
}

/* A CSeq that is too large, and answers of which nothing is to be learned. */
static void refuses(void **state)
{
	(void)state;
	static const char *const never[] = {
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: "
		"<sip:a@b>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1000000000 INVITE\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: "
		"<sip:a@b>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContact: "
		"<sip:x@y>\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: "
		"<sip:a@b>;tag=\"1\"\r\n"
		"To: <sip:a@b>;tag=2\r\nCall-ID: c\"\r\nCSeq: 1000000000 OPTIONS\r\n\r\n",
	};
	struct scan_learned learned;
	char text[TEXT_MAX];
	open_learned(&learned);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		for (int again = 0; again < 2; again++)
			assert_false(check_same(&learned, never[i], strlen(never[i])));
	const size_t n = answer(text, sizeof(text), "10.20.13.37");
	check_same(&learned, text, n);
	memcpy(strstr(text, "CSeq: ") + 6, "9999999999", 10);
	assert_false(check_same(&learned, text, n));
	scan_learned_close(&learned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recognises_its_kind),
		cmocka_unit_test(no_change_slips_through),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(refuses),
	};
	const int wide = cmocka_run_group_tests_name("scan_learn", tests, NULL, NULL);
	narrow = true;
	return wide + cmocka_run_group_tests_name("scan_learn, AVX2", tests, NULL, NULL);
}
