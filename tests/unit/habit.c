/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A registrar that knows its phones' ways answers byte for byte like one that has never seen them: each
 * request goes to one that has answered many, and to a new one, which reads and answers it in full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "identity.h"
#include "registrar.h"

#define ROUNDS 1000u
#define TEXT_MAX 1400

struct side {
	struct registrar *registrar;
	char answer[TEXT_MAX + 1];
	unsigned answers;
};

static uint64_t random_state = 0x5eed5a9e;
static struct identity_set *identities;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

static uint8_t *take_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct side *side = context;
	(void)to;
	assert_true(n <= TEXT_MAX);
	memset(side->answer, 0, sizeof(side->answer));
	side->answers++;
	return (uint8_t *)side->answer;
}

static void side_open(struct side *side, bool digest)
{
	const struct registrar_config config = {.capacity = 2 * ROUNDS,
		.expires_default_s = 3600,
		.expires_min_s = 60,
		.expires_max_s = 7200,
		.realm = digest ? "lab.example.net" : NULL,
		.identities = identities,
		.algorithm = DIGEST_MD5,
		.seed = 1,
		.server = "sipherd"};
	const struct registrar_output output = {side, take_buffer};
	side->answers = 0;
	side->registrar = registrar_create(&config, &output);
	assert_non_null(side->registrar);
}

/* A phone that asks. */
struct asker {
	uint32_t index, cseq;
	struct endpoint from;
	char host[ADDRESS_TEXT_MAX], authorization[512];
};

static size_t request(char *out, const struct asker *who, const char *method, int expires)
{
	char user[IDENTITY_TEXT_MAX + 1] = {0}, line[64] = {0};
	identity_user(identities, who->index, user);
	if (expires >= 0)
		snprintf(line, sizeof(line), "Expires: %d\r\n", expires);
	const int n = snprintf(out, TEXT_MAX,
		"%s sip:lab.example.net SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK%08x;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:%s@lab.example.net>;tag=%08x\r\nTo: <sip:%s@lab.example.net>\r\n"
		"Call-ID: %08xc0ffee\r\nCSeq: %010u %s\r\n"
		"Contact: <sip:%s@%s:%u>\r\n%s%sContent-Length: 0\r\n\r\n",
		method, who->host, who->from.port, draw(UINT32_MAX), user, draw(UINT32_MAX), user,
		who->index, who->cseq, method, user, who->host, who->from.port, line,
		who->authorization);
	assert_in_range(n, 1, TEXT_MAX - 1);
	return (size_t)n;
}

/* Nonces differ from challenge to challenge. */
static void blank_nonce(char *text)
{
	char *nonce = strstr(text, "nonce=\"");
	for (char *at = nonce ? nonce + 7 : text; nonce && *at != '"'; at++)
		*at = '.';
}

/* Answer the challenge of this text. */
static void authorize(struct asker *who, const char *challenge)
{
	struct digest_context *context = digest_open();
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	char user[IDENTITY_TEXT_MAX + 1] = {0}, password[IDENTITY_TEXT_MAX], nonce[64] = {0};
	char response[DIGEST_HEX_MAX];
	const char *at = strstr(challenge, "nonce=\"");
	assert_non_null(context);
	assert_non_null(at);
	assert_int_equal(sscanf(at, "nonce=\"%63[^\"]", nonce), 1);
	const struct digest_text name = {user, identity_user(identities, who->index, user)},
				 secret = {password,
					 identity_password(identities, who->index, password)},
				 uri = {"sip:lab.example.net", 19}, cnonce = {"0a4f113b", 8};
	digest_ha1(context, DIGEST_MD5, name, (struct digest_text){"lab.example.net", 15}, secret,
		ha1);
	digest_ha2(context, DIGEST_MD5, (struct digest_text){"REGISTER", 8}, uri, ha2);
	/* Some are wrong. */
	ha1[0] ^= draw(8) == 0;
	const size_t n = digest_response(context, DIGEST_MD5, ha1, ha2,
		(struct digest_text){nonce, strlen(nonce)}, true, 1, cnonce, response);
	snprintf(who->authorization, sizeof(who->authorization),
		"Authorization: Digest username=\"%s\", realm=\"lab.example.net\", nonce=\"%s\", "
		"uri=\"sip:lab.example.net\", response=\"%.*s\", algorithm=MD5, qop=auth, "
		"cnonce=\"0a4f113b\", nc=00000001\r\n",
		user, nonce, (int)n, response);
	digest_close(context);
}

/* Both are asked, and say the same. */
static void ask(
	struct side *old, struct side *new, struct asker *who, const char *method, int expires)
{
	char text[TEXT_MAX], expected[TEXT_MAX + 1];
	who->cseq += 1 + draw(3);
	const size_t n = request(text, who, method, expires);
	char *exact = malloc(n);
	assert_non_null(exact);
	memcpy(exact, text, n);
	registrar_datagram(old->registrar, &who->from, exact, n, 1000000);
	registrar_datagram(new->registrar, &who->from, exact, n, 1000000);
	free(exact);
	memcpy(expected, new->answer, sizeof(expected));
	memcpy(text, old->answer, sizeof(text));
	blank_nonce(expected);
	blank_nonce(text);
	assert_string_equal(text, expected);
}

static void asker_make(struct asker *who, uint32_t index)
{
	static const char *const host[] = {
		"10.0.0.1", "10.20.13.37", "10.201.113.250", "2001:db8::17"};
	const char *address = host[draw(4)];
	*who = (struct asker){.index = index, .cseq = draw(2) ? 1000000000u : 7};
	assert_int_equal(address_parse(address, &who->from.address), 0);
	who->from.port = draw(2) ? 5060 : (uint16_t)(1024 + draw(3));
	snprintf(who->host, sizeof(who->host), strchr(address, ':') ? "[%s]" : "%s", address);
}

static void walk(bool digest)
{
	struct side old, new;
	side_open(&old, digest);
	print_message("seed 0x%llx\n", (unsigned long long)random_state);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct asker who;
		asker_make(&who, i);
		side_open(&new, digest);
		ask(&old, &new, &who, "OPTIONS", -1);
		ask(&old, &new, &who, "REGISTER", 3600);
		if (digest) {
			authorize(&who, old.answer);
			ask(&old, &new, &who, "REGISTER", 3600);
		}
		/* What is below the least, above the most, and the end of it. */
		ask(&old, &new, &who, "REGISTER", draw(2) ? 30 : 86400);
		ask(&old, &new, &who, "REGISTER", 0);
		if (draw(4) == 0) {
			who.from.address.bytes[15] ^= 1;
			ask(&old, &new, &who, "INVITE", -1);
		}
		registrar_free(new.registrar);
	}
	assert_true(registrar_counters(old.registrar)->registrar_register_ok > ROUNDS);
	assert_int_equal(registrar_registered(old.registrar), 0);
	registrar_free(old.registrar);
}

static void without_digest(void **state)
{
	(void)state;
	walk(false);
}

static void with_digest(void **state)
{
	(void)state;
	walk(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_digest),
		cmocka_unit_test(with_digest),
	};
	if (identity_patterns(&identities, "2{n:06}", NULL, "pw-{user}", ROUNDS, NULL) != 0)
		return 1;
	const int failed = cmocka_run_group_tests_name("habit", tests, NULL, NULL);
	identity_free(identities);
	return failed;
}
