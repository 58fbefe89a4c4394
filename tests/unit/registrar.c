/* SPDX-License-Identifier: BSD-3-Clause */
/* Registrar: RFC 3261 section 10.3 rule by rule, digest, faults, and bindings against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <cmocka.h>

#include "hex.h"
#include "registrar.h"
#include "scan.h"

#define SECOND 1000000ull
enum { ANSWERS = 512 };

struct got {
	struct endpoint to;
	uint8_t *bytes; /* a block of the exact size, for AddressSanitizer */
	uint16_t length;
};

/* A registrar, what it has sent, and its clock. */
struct bench {
	struct registrar *registrar;
	struct registrar_config config;
	struct got got[ANSWERS];
	unsigned answers;
	bool no_buffer;
	uint64_t now_us;
	struct endpoint from;
	struct sip_message answer; /* of the last ask */
	char request[65536];
};

static uint8_t *take_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct bench *bench = context;
	if (bench->no_buffer)
		return NULL;
	assert_true(n <= 1400);
	assert_true(bench->answers < ANSWERS);
	struct got *got = &bench->got[bench->answers++];
	*got = (struct got){*to, malloc(n), n};
	assert_non_null(got->bytes);
	memset(got->bytes, 0, n);
	return got->bytes;
}

static void forget_answers(struct bench *bench)
{
	for (unsigned i = 0; i < bench->answers; i++)
		free(bench->got[i].bytes);
	bench->answers = 0;
}

static void bench_open(struct bench *bench)
{
	const struct registrar_output output = {bench, take_buffer};
	bench->registrar = registrar_create(&bench->config, &output);
	assert_non_null(bench->registrar);
}

static struct bench *bench_new(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	bench->config = (struct registrar_config){.capacity = 100,
		.expires_default_s = 3600,
		.expires_min_s = 60,
		.expires_max_s = 7200,
		.nonce_lifetime_s = 30,
		.seed = 1,
		.server = "sipherd"};
	bench->now_us = 5 * SECOND;
	assert_int_equal(address_parse("192.0.2.7", &bench->from.address), 0);
	bench->from.port = 5070;
	memcpy(bench->from.neighbour, "\x02\x00\x5e\x10\x00\x01", 6);
	return bench;
}

static struct bench *bench_default(void)
{
	struct bench *bench = bench_new();
	bench_open(bench);
	return bench;
}

static const struct registrar_counters *counts(const struct bench *bench)
{
	return registrar_counters(bench->registrar);
}

/* Each REGISTER that was read has exactly one outcome, unless it was drained. */
static void bench_close(struct bench *bench)
{
	const struct registrar_counters *c = counts(bench);
	uint64_t outcomes = c->registrar_register_ok + c->registrar_challenged +
			    c->registrar_auth_failed + c->registrar_too_brief + c->registrar_full +
			    c->registrar_refused + c->registrar_out_of_order +
			    c->registrar_rejected;
	assert_true(c->registrar_register >= outcomes);
	assert_true(c->registrar_register <= outcomes + c->registrar_drained);
	registrar_free(bench->registrar);
	forget_answers(bench);
	free(bench);
}

static void send_text(struct bench *bench, const char *text, size_t length)
{
	char *exact = malloc(length ? length : 1);
	assert_non_null(exact);
	memcpy(exact, text, length);
	registrar_datagram(bench->registrar, &bench->from, exact, length, bench->now_us);
	free(exact);
}

static void assert_same_text(
	const struct sip_message *a, struct span x, const struct sip_message *b, struct span y)
{
	assert_int_equal(x.length, y.length);
	for (unsigned i = 0; i < x.length; i++) {
		char sent = span_text(a, x)[i];
		char expected = sent == '\r' || sent == '\n' ? ' ' : sent;
		assert_int_equal(span_text(b, y)[i], expected);
	}
}

/* What every answer must be: SIP, no stray line ends, and the request's own headers. */
static void check_answer(struct bench *bench, const struct got *got)
{
	struct sip_message request;
	struct sip_message *answer = &bench->answer;
	assert_int_equal(scan_message(bench->request, strlen(bench->request), &request), SCAN_OK);
	assert_int_equal(scan_message(got->bytes, got->length, answer), SCAN_OK);
	assert_in_range(answer->status, 200, 699);
	assert_int_equal(answer->length, got->length);
	assert_int_equal(answer->body.length, 0);
	for (unsigned i = 0; i < got->length; i++) {
		if (got->bytes[i] == '\n')
			assert_true(i > 0 && got->bytes[i - 1] == '\r');
		if (got->bytes[i] == '\r')
			assert_true(i + 1 < got->length && got->bytes[i + 1] == '\n');
	}
	assert_int_equal(answer->vias, request.vias);
	for (unsigned i = 1; i < request.vias; i++)
		assert_same_text(&request, request.via[i], answer, answer->via[i]);
	assert_same_text(&request, request.via_branch, answer, answer->via_branch);
	assert_same_text(&request, request.from, answer, answer->from);
	assert_same_text(&request, request.call_id, answer, answer->call_id);
	assert_same_text(&request, request.method_text, answer, answer->method_text);
	assert_int_equal(answer->cseq, request.cseq);
	assert_true(answer->to_tag.length > 0);
	if (request.to_tag.length > 0)
		assert_same_text(&request, request.to, answer, answer->to);
	assert_memory_equal(got->to.neighbour, bench->from.neighbour, 6);
	assert_true(address_equal(&got->to.address, &bench->from.address));
}

/* Send bench->request; its answer's status, or 0 when there was none. */
static int ask_raw(struct bench *bench)
{
	forget_answers(bench);
	send_text(bench, bench->request, strlen(bench->request));
	assert_true(bench->answers <= 1);
	if (bench->answers == 0)
		return 0;
	check_answer(bench, &bench->got[0]);
	return bench->answer.status;
}

static void write_request(struct bench *bench, const char *method, const char *to,
	const char *call_id, uint32_t cseq, const char *headers)
{
	int n = snprintf(bench->request, sizeof(bench->request),
		"%s sip:example.net SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK%u;rport\r\n"
		"Max-Forwards: 70\r\nFrom: <%s>;tag=a1\r\nTo: <%s>\r\n"
		"Call-ID: %s\r\nCSeq: %u %s\r\n%sContent-Length: 0\r\n\r\n",
		method, cseq, to, to, call_id, cseq, method, headers);
	assert_in_range(n, 1, sizeof(bench->request) - 1);
}

static int ask(struct bench *bench, const char *method, const char *call_id, uint32_t cseq,
	const char *headers)
{
	write_request(bench, method, "sip:bob@example.net", call_id, cseq, headers);
	return ask_raw(bench);
}

static int ask_for(struct bench *bench, const char *to, const char *call_id, uint32_t cseq,
	const char *headers)
{
	write_request(bench, "REGISTER", to, call_id, cseq, headers);
	return ask_raw(bench);
}

/* Does the last answer contain this text? */
static bool says(const struct bench *bench, const char *text)
{
	return memmem(bench->got[0].bytes, bench->got[0].length, text, strlen(text)) != NULL;
}

static unsigned bound_contacts(const struct bench *bench)
{
	return bench->answer.contacts;
}

/* The expiry of a contact in the last answer; 0 when it is not there. */
static uint32_t bound_for(const struct bench *bench, const char *uri)
{
	for (unsigned i = 0; i < bench->answer.contacts; i++) {
		struct sip_contact contact;
		assert_true(scan_contact(&bench->answer, bench->answer.contact[i], &contact));
		if (span_equal(&bench->answer, contact.uri, uri, strlen(uri)))
			return contact.expires;
	}
	return 0;
}

static void bindings_come_and_go(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(ask(bench, "REGISTER", "c", 1, ""), 200);
	assert_int_equal(bound_contacts(bench), 0);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	assert_false(registrar_is_bound(bench->registrar, "bob", 3, bench->now_us));
	assert_int_equal(
		ask(bench, "REGISTER", "c", 2, "Contact: <sip:bob@192.0.2.7:5070>\r\n"), 200);
	assert_int_equal(bound_contacts(bench), 1);
	assert_int_equal(bound_for(bench, "sip:bob@192.0.2.7:5070"), 3600);
	assert_int_equal(registrar_registered(bench->registrar), 1);
	assert_true(registrar_is_bound(bench->registrar, "bob", 3, bench->now_us));
	assert_false(registrar_is_bound(bench->registrar, "bo", 2, bench->now_us));
	assert_false(registrar_is_bound(bench->registrar, "Bob", 3, bench->now_us));
	bench->now_us += 600 * SECOND;
	assert_int_equal(ask(bench, "REGISTER", "c", 3, ""), 200);
	assert_int_equal(bound_for(bench, "sip:bob@192.0.2.7:5070"), 3000);
	/* A refresh starts anew, the domain has no case, the user has. */
	assert_int_equal(
		ask_for(bench, "sip:bob@EXAMPLE.net", "c", 4, "m: <sip:bob@192.0.2.7:5070>\r\n"),
		200);
	assert_int_equal(bound_for(bench, "sip:bob@192.0.2.7:5070"), 3600);
	assert_int_equal(ask_for(bench, "sip:BOB@example.net", "c", 4, ""), 200);
	assert_int_equal(bound_contacts(bench), 0);
	bench->now_us += 3600 * SECOND - 1000;
	assert_true(registrar_is_bound(bench->registrar, "bob", 3, bench->now_us));
	bench->now_us += 1000;
	assert_false(registrar_is_bound(bench->registrar, "bob", 3, bench->now_us));
	assert_int_equal(ask(bench, "REGISTER", "c", 5, ""), 200);
	assert_int_equal(bound_contacts(bench), 0);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	assert_int_equal(counts(bench)->registrar_bindings_expired, 1);
	/* Removed by expires 0, and removing what is not there is no error. */
	assert_int_equal(ask(bench, "REGISTER", "c", 6, "Contact: <sip:bob@192.0.2.7>\r\n"), 200);
	assert_int_equal(
		ask(bench, "REGISTER", "c", 7, "Contact: <sip:bob@192.0.2.7>;expires=0\r\n"), 200);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	assert_int_equal(
		ask(bench, "REGISTER", "c", 8, "Contact: <sip:bob@192.0.2.7>\r\nExpires: 0\r\n"),
		200);
	bench_close(bench);
}

static void expiry_is_the_contacts_then_the_headers(void **state)
{
	(void)state;
	static const struct {
		const char *headers;
		int code;
		uint32_t granted;
	} cases[] = {
		{"Contact: <sip:b@h>;expires=100\r\nExpires: 200\r\n", 200, 100},
		{"Expires: 200\r\nContact: <sip:b@h>\r\n", 200, 200},
		{"Contact: <sip:b@h>\r\n", 200, 3600},
		{"Contact: sip:b@h;expires=61\r\n", 200, 61},
		{"Contact: <sip:b@h>;expires=4294967295\r\n", 200, 7200},
		{"Contact: <sip:b@h>;expires=99999999999\r\n", 200, 7200},
		{"Contact: <sip:b@h>;expires=60\r\n", 200, 60},
		{"Contact: <sip:b@h>;expires=59\r\n", 423, 0},
		{"Contact: <sip:b@h>\r\nExpires: 1\r\n", 423, 0},
		{"Contact: <sip:b@h>;expires=3600, <sip:c@h>;expires=1\r\n", 423, 0},
		/* The parameter keeps the header's 1 from mattering. */
		{"Contact: <sip:b@h>;expires=90\r\nExpires: 1\r\n", 200, 90},
		{"Contact: <sip:b@h>;expires=0\r\nExpires: 90\r\n", 200, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench *bench = bench_default();
		assert_int_equal(ask(bench, "REGISTER", "c", 1, cases[i].headers), cases[i].code);
		if (cases[i].code == 200)
			assert_int_equal(bound_for(bench, "sip:b@h"), cases[i].granted);
		else
			assert_int_equal(bench->answer.min_expires, 60);
		assert_int_equal(registrar_registered(bench->registrar), cases[i].granted > 0);
		bench_close(bench);
	}
}

static void star_removes_all(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Contact: <sip:a@h>, <sip:b@h>\r\n"), 200);
	assert_int_equal(bound_contacts(bench), 2);
	assert_int_equal(ask(bench, "REGISTER", "c", 2, "Contact: *\r\n"), 400);
	assert_int_equal(ask(bench, "REGISTER", "c", 2, "Contact: *\r\nExpires: 60\r\n"), 400);
	assert_int_equal(ask(bench, "REGISTER", "c", 2,
				 "Contact: *\r\nContact: <sip:a@h>\r\nExpires: 0\r\n"),
		400);
	assert_int_equal(registrar_registered(bench->registrar), 1);
	assert_int_equal(ask(bench, "REGISTER", "d", 1, "Contact: <sip:c@h>\r\n"), 200);
	/* One of three is newer than this request: none goes. */
	assert_int_equal(ask(bench, "REGISTER", "d", 0, "Contact: *\r\nExpires: 0\r\n"), 500);
	assert_int_equal(ask(bench, "REGISTER", "e", 0, ""), 200);
	assert_int_equal(bound_contacts(bench), 3);
	assert_int_equal(ask(bench, "REGISTER", "c", 3, "Contact: *\r\nExpires: 0\r\n"), 200);
	assert_int_equal(bound_contacts(bench), 0);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	assert_int_equal(counts(bench)->registrar_refused, 3);
	bench_close(bench);
}

static void requests_keep_their_order(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(
		ask(bench, "REGISTER", "c", 10, "Contact: <sip:a@h>;expires=100\r\n"), 200);
	bench->now_us += 40 * SECOND;
	/* A retransmission gets its answer again and extends nothing. */
	assert_int_equal(
		ask(bench, "REGISTER", "c", 10, "Contact: <sip:a@h>;expires=100\r\n"), 200);
	assert_int_equal(bound_for(bench, "sip:a@h"), 60);
	assert_int_equal(ask(bench, "REGISTER", "c", 10, "Contact: <sip:a@h>;expires=0\r\n"), 200);
	assert_int_equal(bound_for(bench, "sip:a@h"), 60);
	assert_int_equal(ask(bench, "REGISTER", "c", 9, "Contact: <sip:a@h>;expires=0\r\n"), 500);
	assert_int_equal(counts(bench)->registrar_out_of_order, 1);
	/* As a whole or not at all: b comes first and is not bound. */
	assert_int_equal(ask(bench, "REGISTER", "c", 9, "Contact: <sip:b@h>, <sip:a@h>\r\n"), 500);
	assert_int_equal(ask(bench, "REGISTER", "x", 1, ""), 200);
	assert_int_equal(bound_contacts(bench), 1);
	assert_int_equal(bound_for(bench, "sip:a@h"), 60);
	/* Another Call-ID starts another order. */
	assert_int_equal(ask(bench, "REGISTER", "d", 1, "Contact: <sip:a@h>;expires=500\r\n"), 200);
	assert_int_equal(bound_for(bench, "sip:a@h"), 500);
	assert_int_equal(ask(bench, "REGISTER", "c", 11, "Contact: <sip:a@h>;expires=0\r\n"), 200);
	assert_int_equal(bound_contacts(bench), 0);
	/* The last of two values for one contact counts. */
	assert_int_equal(ask(bench, "REGISTER", "c", 12,
				 "Contact: <sip:a@h>;expires=70, <sip:a@H>;expires=80\r\n"),
		200);
	assert_int_equal(bound_contacts(bench), 1);
	assert_int_equal(bound_for(bench, "sip:a@H"), 80);
	assert_int_equal(ask(bench, "REGISTER", "c", 13,
				 "Contact: <sip:z@h>;expires=70, <sip:z@h>;expires=0\r\n"),
		200);
	assert_int_equal(bound_for(bench, "sip:z@h"), 0);
	bench_close(bench);
}

static void contacts_are_bounded_and_compared(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	char headers[2048];
	for (unsigned i = 0; i < 8; i++) {
		snprintf(headers, sizeof(headers), "Contact: <sip:b@h%u.example;transport=udp>\r\n",
			i);
		assert_int_equal(ask(bench, "REGISTER", "c", i, headers), 200);
		assert_int_equal(bound_contacts(bench), i + 1);
	}
	assert_int_equal(registrar_registered(bench->registrar), 1);
	assert_int_equal(ask(bench, "REGISTER", "c", 20, "Contact: <sip:b@h8.example>\r\n"), 403);
	assert_true(says(bench, "403 Too Many Bindings"));
	/* One goes, one comes. */
	assert_int_equal(ask(bench, "REGISTER", "c", 21,
				 "Contact: <sip:b@H3.EXAMPLE;transport=udp>;expires=0\r\n"
				 "Contact: <sip:b@h8.example>\r\n"),
		200);
	assert_int_equal(bound_contacts(bench), 8);
	/* The host has no case, all else has: this refreshes and keeps the newer spelling. */
	assert_int_equal(
		ask(bench, "REGISTER", "c", 22, "Contact: <sip:b@H8.eXample>;expires=99\r\n"), 200);
	assert_int_equal(bound_contacts(bench), 8);
	assert_int_equal(bound_for(bench, "sip:b@H8.eXample"), 99);
	assert_int_equal(ask(bench, "REGISTER", "c", 23, "Contact: <sip:B@h8.example>\r\n"), 403);
	registrar_forget(bench->registrar);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	/* 120 bytes are stored, 121 are not. */
	char uri[160];
	for (int length = 120; length <= 121; length++) {
		snprintf(uri, sizeof(uri), "sip:%0*d@h", length - 6, 7);
		snprintf(headers, sizeof(headers), "Contact: <%s>\r\n", uri);
		assert_int_equal(ask(bench, "REGISTER", "d", (uint32_t)length, headers),
			length > 120 ? 513 : 200);
		assert_int_equal(bound_for(bench, uri), length > 120 ? 0 : 3600);
	}
	assert_true(says(bench, "513 Contact URI Too Long"));
	assert_int_equal(ask(bench, "REGISTER", "d", 900, "Contact: <tel:+123>\r\n"), 400);
	assert_true(says(bench, "400 Contact Is No SIP URI"));
	assert_int_equal(ask(bench, "REGISTER", "d", 901, "Contact: <sip:\xc3\xa4@h>\r\n"), 400);
	assert_int_equal(registrar_registered(bench->registrar), 1);
	bench_close(bench);
}

static void only_a_user_has_an_address_of_record(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(ask_for(bench, "sip:example.net", "c", 1, "Contact: <sip:b@h>\r\n"), 404);
	assert_int_equal(ask_for(bench, "tel:+123", "c", 1, "Contact: <sip:b@h>\r\n"), 404);
	assert_int_equal(
		ask_for(bench, "sips:bob@example.net", "c", 1, "Contact: <sip:b@h>\r\n"), 200);
	assert_int_equal(counts(bench)->registrar_refused, 2);
	bench_close(bench);
}

static void tables_fill_up(void **state)
{
	(void)state;
	struct bench *bench = bench_new();
	bench->config.capacity = 3;
	bench_open(bench);
	char to[64];
	for (unsigned i = 0; i < 4; i++) {
		snprintf(to, sizeof(to), "sip:u%u@example.net", i);
		assert_int_equal(
			ask_for(bench, to, "c", 1, "Contact: <sip:b@h>\r\n"), i < 3 ? 200 : 503);
	}
	assert_int_equal(counts(bench)->registrar_full, 1);
	assert_int_equal(registrar_registered(bench->registrar), 3);
	assert_false(registrar_is_bound(bench->registrar, "u3", 2, bench->now_us));
	/* A full table still takes refreshes, and what a request frees it may use. */
	assert_int_equal(
		ask_for(bench, "sip:u1@example.net", "c", 2, "Contact: <sip:b@h>\r\n"), 200);
	assert_int_equal(ask_for(bench, "sip:u1@example.net", "c", 3,
				 "Contact: <sip:c@h>, <sip:b@h>;expires=0\r\n"),
		200);
	assert_int_equal(bound_for(bench, "sip:c@h"), 3600);
	assert_int_equal(
		ask_for(bench, "sip:u1@example.net", "c", 4, "Contact: <sip:d@h>\r\n"), 503);
	assert_int_equal(
		ask_for(bench, "sip:u1@example.net", "c", 5, "Contact: *\r\nExpires: 0\r\n"), 200);
	assert_int_equal(
		ask_for(bench, "sip:u3@example.net", "c", 1, "Contact: <sip:b@h>\r\n"), 200);
	bench_close(bench);
	/* One user at many hosts cannot make the table slow. */
	bench = bench_default();
	for (unsigned i = 0; i < 65; i++) {
		snprintf(to, sizeof(to), "sip:bob@h%u.example", i);
		assert_int_equal(
			ask_for(bench, to, "c", 1, "Contact: <sip:b@h>\r\n"), i < 64 ? 200 : 503);
	}
	assert_int_equal(registrar_registered(bench->registrar), 64);
	bench_close(bench);
}

static void expired_bindings_are_swept(void **state)
{
	(void)state;
	enum { PHONES = 5000 };
	struct bench *bench = bench_new();
	bench->config.capacity = PHONES;
	bench_open(bench);
	assert_true(registrar_advance(bench->registrar, bench->now_us) == UINT64_MAX);
	char to[64], contact[64];
	for (unsigned i = 0; i < PHONES; i++) {
		snprintf(to, sizeof(to), "sip:u%u@example.net", i);
		snprintf(contact, sizeof(contact), "Contact: <sip:b@h>;expires=%u\r\n",
			60 + i % 2 * 60);
		assert_int_equal(ask_for(bench, to, "c", 1, contact), 200);
	}
	uint64_t end_us = bench->now_us + 58 * SECOND;
	for (unsigned half = 0; half < 3; half++) {
		while (bench->now_us < end_us) {
			uint64_t next_us = registrar_advance(bench->registrar, bench->now_us);
			bench->now_us = next_us > bench->now_us ? next_us : bench->now_us + 1000;
			if (next_us == UINT64_MAX)
				bench->now_us = end_us;
		}
		assert_int_equal(
			registrar_registered(bench->registrar), PHONES - half * PHONES / 2);
		assert_int_equal(counts(bench)->registrar_bindings_expired, half * PHONES / 2);
		/* A pass takes a second, and a binding may run out just after it was looked at. */
		end_us += (half == 0 ? 5 : 60) * SECOND;
	}
	assert_true(registrar_advance(bench->registrar, bench->now_us) == UINT64_MAX);
	bench_close(bench);
}

static void write_vias(struct bench *bench, const char *vias)
{
	snprintf(bench->request, sizeof(bench->request),
		"OPTIONS sip:example.net SIP/2.0\r\n%s"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n",
		vias);
}

static void answers_find_their_way_back(void **state)
{
	(void)state;
	static const struct {
		const char *from, *vias, *expected;
		uint16_t port;
	} cases[] = {
		{"192.0.2.7", "Via: SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9\r\n",
			"Via: SIP/2.0/UDP "
			"192.0.2.7:5070;branch=z9;received=192.0.2.7;rport=5070\r\n",
			5070},
		{"192.0.2.7", "Via: SIP/2.0/UDP 192.0.2.7:6000;branch=z9\r\n",
			"Via: SIP/2.0/UDP 192.0.2.7:6000;branch=z9\r\n", 6000},
		{"192.0.2.7", "v: SIP / 2.0 / UDP 192.0.2.7 ;branch=z9\r\n",
			"Via: SIP / 2.0 / UDP 192.0.2.7 ;branch=z9\r\n", 5060},
		{"192.0.2.7", "Via: SIP/2.0/UDP 10.1.1.1;branch=z9\r\n",
			"Via: SIP/2.0/UDP 10.1.1.1;branch=z9;received=192.0.2.7\r\n", 5060},
		{"192.0.2.7", "Via: SIP/2.0/UDP phone.example:5099;branch=z9\r\n",
			"Via: SIP/2.0/UDP phone.example:5099;branch=z9;received=192.0.2.7\r\n",
			5099},
		/* What the request claims about its own source is dropped. */
		{"192.0.2.7",
			"Via: SIP/2.0/UDP "
			"192.0.2.7;received=10.9.9.9;branch=z9;RPORT=1;x=\"a;rport\"\r\n",
			"Via: SIP/2.0/UDP "
			"192.0.2.7;branch=z9;x=\"a;rport\";received=192.0.2.7;rport=5070"
			"\r\n",
			5070},
		{"192.0.2.7", "Via: SIP/2.0/UDP 192.0.2.7; branch=z9; rport \r\n",
			"Via: SIP/2.0/UDP 192.0.2.7; branch=z9;received=192.0.2.7;rport=5070\r\n",
			5070},
		{"192.0.2.7",
			"Via: SIP/2.0/UDP a.example;branch=z9, SIP/2.0/TCP b.example\r\n"
			"Via: SIP/2.0/UDP 192.0.2.9;rport;branch=zz\r\n",
			"Via: SIP/2.0/UDP a.example;branch=z9;received=192.0.2.7\r\n"
			"Via: SIP/2.0/TCP b.example\r\n"
			"Via: SIP/2.0/UDP 192.0.2.9;rport;branch=zz\r\n",
			5060},
		{"2001:db8::7", "Via: SIP/2.0/UDP [2001:DB8:0:0::7]:5061;branch=z9\r\n",
			"Via: SIP/2.0/UDP [2001:DB8:0:0::7]:5061;branch=z9\r\n", 5061},
		{"2001:db8::7", "Via: SIP/2.0/UDP [2001:db8::8];branch=z9;rport\r\n",
			"Via: SIP/2.0/UDP "
			"[2001:db8::8];branch=z9;received=2001:db8::7;rport=5070\r\n",
			5070},
	};
	struct bench *bench = bench_default();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(address_parse(cases[i].from, &bench->from.address), 0);
		write_vias(bench, cases[i].vias);
		assert_int_equal(ask_raw(bench), 200);
		if (!says(bench, cases[i].expected))
			print_error("case %zu: %.*s\n", i, bench->got[0].length,
				(char *)bench->got[0].bytes);
		assert_true(says(bench, cases[i].expected));
		assert_int_equal(bench->got[0].to.port, cases[i].port);
	}
	bench_close(bench);
}

static void folded_requests_get_plain_answers(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	strcpy(bench->request, "REGISTER sip:example.net SIP/2.0\r\n"
			       "Via: SIP/2.0/UDP\r\n 192.0.2.7:5070\r\n\t;branch=z9\n ;rport\r\n"
			       "f:\r\n \"Bob\r\n Smith\" <sip:bob@example.net>\r\n ;tag=a\r\nt: "
			       "<sip:bob@example.net>\r\n"
			       "i: x\r\nCSeq: 1\r\n REGISTER\r\nm:\r\n <sip:bob@192.0.2.7>\r\n "
			       ";expires=90\r\n\r\n");
	assert_int_equal(ask_raw(bench), 200);
	assert_int_equal(bound_for(bench, "sip:bob@192.0.2.7"), 90);
	bench_close(bench);
}

static void other_methods_and_garbage(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(ask(bench, "OPTIONS", "c", 1, ""), 200);
	assert_true(says(bench, "\r\nAllow: REGISTER, OPTIONS\r\n"));
	assert_true(says(bench, "\r\nAccept: ") && says(bench, "\r\nSupported: "));
	assert_true(says(bench, "\r\nServer: sipherd\r\n"));
	static const char *const known[] = {"INVITE", "BYE", "NOTIFY", "SUBSCRIBE", "MESSAGE",
		"INFO", "PRACK", "PUBLISH", "REFER", "UPDATE"};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(ask(bench, known[i], "c", 1, ""), 405);
		assert_true(says(bench, "\r\nAllow: REGISTER, OPTIONS\r\n"));
	}
	assert_int_equal(ask(bench, "NEWMETHOD", "c", 1, ""), 501);
	assert_int_equal(ask(bench, "register", "c", 1, ""), 501);
	assert_int_equal(ask(bench, "CANCEL", "c", 1, "Require: x\r\n"), 481);
	assert_int_equal(counts(bench)->registrar_other, 13);
	assert_int_equal(ask(bench, "ACK", "c", 1, "Require: x\r\n"), 0);
	assert_int_equal(counts(bench)->registrar_ack, 1);
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Require: gruu,\r\n outbound\r\n"), 420);
	assert_true(says(bench, "\r\nUnsupported: gruu,   outbound\r\n"));
	assert_int_equal(ask(bench, "OPTIONS", "c", 1, "Require: gruu\r\n"), 420);
	/* A request inside a dialog keeps its tag. */
	write_request(bench, "OPTIONS", "sip:bob@example.net", "c", 1, "");
	memcpy(strstr(bench->request, "To: <sip:bob@example.net>"), "To: <sip:b@e>;tag=zzzzzzz",
		25);
	assert_int_equal(ask_raw(bench), 200);
	assert_true(span_equal(&bench->answer, bench->answer.to_tag, "zzzzzzz", 7));
	static const char *const garbage[] = {"", "\r\n\r\n", "hello",
		"REGISTER sip:x SIP/2.0\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
		"<sip:a@b>;tag=2\r\n"
		"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"};
	forget_answers(bench);
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		send_text(bench, garbage[i], strlen(garbage[i]));
		assert_int_equal(counts(bench)->registrar_malformed, i + 1);
	}
	assert_int_equal(bench->answers, 0);
	/* The same request gets the same tag, another Call-ID another. */
	char tag[3][16] = {{0}};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(bench, "OPTIONS", i < 2 ? "same" : "other", 1, ""), 200);
		memcpy(tag[i], span_text(&bench->answer, bench->answer.to_tag), 8);
	}
	assert_string_equal(tag[0], tag[1]);
	assert_string_not_equal(tag[0], tag[2]);
	bench_close(bench);
}

static void answers_that_do_not_fit(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	char headers[1024], uri[128];
	for (unsigned i = 0; i < 7; i++) {
		snprintf(uri, sizeof(uri), "sip:%0100u@h%u.example", i, i);
		snprintf(headers, sizeof(headers), "Contact: <%s>\r\n", uri);
		assert_int_equal(ask(bench, "REGISTER", "c", i, headers), 200);
	}
	/* The eighth would make the answer too long: nothing is bound, nothing is refreshed. */
	snprintf(headers, sizeof(headers),
		"Contact: <%s>;expires=99, <sip:%0110u@h>\r\nX: %0300u\r\n", uri, 1u, 1u);
	write_request(bench, "REGISTER", "sip:bob@example.net", "c", 100, headers);
	char long_id[240];
	memset(long_id, 'i', sizeof(long_id));
	long_id[sizeof(long_id) - 1] = '\0';
	assert_int_equal(ask(bench, "REGISTER", long_id, 100, headers), 513);
	assert_int_equal(counts(bench)->registrar_too_long, 1);
	assert_int_equal(ask(bench, "REGISTER", "q", 1, ""), 200);
	assert_int_equal(bound_contacts(bench), 7);
	assert_int_equal(bound_for(bench, uri), 3600);
	/* Nobody can be answered whose own Via values are too long. */
	char via[4000];
	int n = snprintf(via, sizeof(via), "Via: SIP/2.0/UDP 192.0.2.7;branch=z9;x=");
	memset(via + n, 'x', 1500);
	strcpy(via + n + 1500, "\r\n");
	write_vias(bench, via);
	assert_int_equal(ask_raw(bench), 0);
	/* As many as are kept are sent back, however. */
	for (n = 0; n < 48; n++)
		strcpy(via + 20 * n, "v:SIP/2.0/UDP h.xx\r\n");
	write_vias(bench, via);
	assert_int_equal(ask_raw(bench), 200);
	assert_int_equal(bench->answer.vias, 48);
	bench->no_buffer = true;
	assert_int_equal(ask(bench, "OPTIONS", "c", 1, ""), 0);
	assert_int_equal(counts(bench)->registrar_not_sent, 1);
	bench_close(bench);
}

/* --- digest ---------------------------------------------------------------------------------- */

struct login {
	const char *username, *realm, *password, *nonce, *qop, *algorithm;
};

/* An Authorization header as a client makes it. */
static void authorize(char *out, size_t size, const struct login *login)
{
	enum digest_algorithm algorithm = strcmp(login->algorithm, "MD5") == 0 ? DIGEST_MD5
									       : DIGEST_SHA256;
	struct digest_context *context = digest_open();
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	char response[DIGEST_HEX_MAX];
	assert_non_null(context);
#define T(s) ((struct digest_text){s, strlen(s)})
	digest_ha1(
		context, algorithm, T(login->username), T(login->realm), T(login->password), ha1);
	digest_ha2(context, algorithm, T("REGISTER"), T("sip:example.net"), ha2);
	size_t length = digest_response(context, algorithm, ha1, ha2, T(login->nonce),
		login->qop != NULL, 1, T("c0"), response);
#undef T
	digest_close(context);
	snprintf(out, size,
		"Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", "
		"uri=\"sip:example.net\", algorithm=%s, response=\"%.*s\"%s%s\r\n"
		"Contact: <sip:x@h>\r\n",
		login->username, login->realm, login->nonce, login->algorithm, (int)length,
		response, login->qop ? ", cnonce=\"c0\", nc=00000001, qop=" : "",
		login->qop ? login->qop : "");
}

static int log_in(struct bench *bench, const char *user, const struct login *login)
{
	char to[128], headers[1024];
	snprintf(to, sizeof(to), "sip:%s@example.net", user);
	authorize(headers, sizeof(headers), login);
	return ask_for(bench, to, "c", 2, headers);
}

static struct digest_challenge challenge_at(const struct bench *bench, unsigned i)
{
	struct digest_challenge c;
	assert_true(i < bench->answer.challenges);
	assert_int_equal(
		digest_parse_challenge(span_text(&bench->answer, bench->answer.challenge[i]),
			bench->answer.challenge[i].length, &c),
		0);
	assert_true(c.qop_auth);
	assert_in_range(c.nonce.length, 28, 48);
	return c;
}

/* Ask for a challenge and keep its nonce. */
static void fetch_nonce(struct bench *bench, char nonce[64])
{
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Contact: <sip:x@h>\r\n"), 401);
	struct digest_challenge c = challenge_at(bench, 0);
	assert_false(c.stale);
	memcpy(nonce, c.nonce.text, c.nonce.length);
	nonce[c.nonce.length] = '\0';
}

static struct identity_set *three_users(void)
{
	struct identity_set *set;
	struct identity_error error;
	assert_int_equal(identity_rows(&set), 0);
	assert_int_equal(identity_add(set, "bob", "bob-auth", "secret", NULL, &error), 0);
	assert_int_equal(identity_add(set, "eve", NULL, "other", NULL, &error), 0);
	assert_int_equal(
		identity_add(set, "ann", NULL, NULL, "00000000000000000000000000000000", &error),
		0);
	assert_int_equal(identity_add(set, "nop", NULL, NULL, NULL, &error), 0);
	return set;
}

static struct bench *bench_with_digest(struct identity_set *set)
{
	struct bench *bench = bench_new();
	bench->config.realm = "lab \"1\"";
	bench->config.identities = set;
	bench->config.algorithm = DIGEST_MD5;
	bench_open(bench);
	return bench;
}

#define REALM "lab \\\"1\\\""

static void credentials_are_verified(void **state)
{
	(void)state;
	struct identity_set *set = three_users();
	struct bench *bench = bench_with_digest(set);
	char nonce[64];
	fetch_nonce(bench, nonce);
	assert_int_equal(bench->answer.challenges, 1);
	assert_int_equal(bench->answer.challenge_proxy, 0);
	const struct {
		const char *user;
		struct login login;
		int code;
	} cases[] = {
		{"bob", {"bob-auth", REALM, "secret", nonce, "auth", "MD5"}, 200},
		{"bob", {"bob", REALM, "secret", nonce, "auth", "MD5"}, 200},
		{"bob", {"bob", REALM, "wrong", nonce, "auth", "MD5"}, 403},
		{"bob", {"eve", REALM, "other", nonce, "auth", "MD5"}, 403},
		{"eve", {"eve", REALM, "other", nonce, "\"auth\"", "MD5"}, 200},
		{"eve", {"bob", REALM, "secret", nonce, "auth", "MD5"}, 403},
		{"bob-auth", {"bob-auth", REALM, "secret", nonce, "auth", "MD5"}, 403},
		{"nop", {"nop", REALM, "", nonce, "auth", "MD5"}, 403},
		{"zoe", {"zoe", REALM, "secret", nonce, "auth", "MD5"}, 403},
		{"bob", {"bob", REALM, "secret", nonce, NULL, "MD5"}, 403},
		{"bob", {"bob", REALM, "secret", nonce, "auth-int", "MD5"}, 403},
		/* Not what was offered. */
		{"bob", {"bob", REALM, "secret", nonce, "auth", "SHA-256"}, 403},
		{"bob", {"bob", REALM, "secret", nonce, "auth", "MD5-sess"}, 403},
		/* For somebody else. */
		{"bob", {"bob", "elsewhere", "secret", nonce, "auth", "MD5"}, 401},
	};
	unsigned refused = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int code = log_in(bench, cases[i].user, &cases[i].login);
		if (code != cases[i].code)
			print_error("case %zu\n", i);
		assert_int_equal(code, cases[i].code);
		refused += code == 403;
		assert_int_equal(counts(bench)->registrar_auth_failed, refused);
	}
	assert_int_equal(registrar_registered(bench->registrar), 2);
	assert_int_equal(
		ask(bench, "REGISTER", "c", 3, "Authorization: Digest username=\"bob\"\r\n"), 400);
	assert_int_equal(ask(bench, "REGISTER", "c", 3, "Authorization: Basic Ym9iOng=\r\n"), 401);
	assert_int_equal(ask(bench, "OPTIONS", "c", 3, ""), 200);
	bench_close(bench);
	identity_free(set);
}

/* What is kept of a worker's phones is never taken for another's, whichever phones those are. */
static void phones_of_several_workers_are_told_apart(void **state)
{
	(void)state;
	for (uint32_t stride = 0; stride <= 3; stride++) {
		struct identity_set *set;
		struct identity_error error;
		assert_int_equal(identity_patterns(&set, "u{n}", NULL, "pw-{user}", 12, &error), 0);
		struct bench *bench = bench_new();
		bench->config.realm = "r";
		bench->config.identities = set;
		bench->config.algorithm = DIGEST_MD5;
		bench->config.capacity = 4;
		bench->config.first = stride;
		bench->config.stride = stride;
		bench_open(bench);
		char nonce[64], user[8], password[16], next[16];
		fetch_nonce(bench, nonce);
		for (uint32_t i = 0; i < 36; i++) {
			snprintf(user, sizeof(user), "u%u", i % 12);
			snprintf(password, sizeof(password), "pw-u%u", i % 12);
			snprintf(next, sizeof(next), "pw-u%u", (i + 1) % 12);
			struct login login = {user, "r", password, nonce, "auth", "MD5"};
			const int code = log_in(bench, user, &login);
			/* There is room for four bindings, and nobody is refused for a password. */
			assert_true(code == 200 || code == 503);
			login.password = next;
			assert_int_equal(log_in(bench, user, &login), 403);
		}
		assert_int_equal(registrar_registered(bench->registrar), 4);
		bench_close(bench);
		identity_free(set);
	}
}

static void nonces_grow_old(void **state)
{
	(void)state;
	struct identity_set *set = three_users();
	struct bench *bench = bench_with_digest(set);
	char nonce[64], other[64];
	fetch_nonce(bench, nonce);
	fetch_nonce(bench, other);
	assert_string_not_equal(nonce, other);
	struct login login = {"bob", REALM, "secret", nonce, "auth", "MD5"};
	bench->now_us += 30 * SECOND - 1000;
	assert_int_equal(log_in(bench, "bob", &login), 200);
	bench->now_us += 1000;
	assert_int_equal(log_in(bench, "bob", &login), 401);
	assert_true(challenge_at(bench, 0).stale);
	assert_int_equal(counts(bench)->registrar_stale, 1);
	/* Wrong credentials do not get to know that the nonce was all that was wrong. */
	login.password = "wrong";
	assert_int_equal(log_in(bench, "bob", &login), 401);
	assert_false(challenge_at(bench, 0).stale);
	/* Whatever digit of a nonce is changed, it is no longer ours. */
	login.password = "secret";
	fetch_nonce(bench, nonce);
	assert_int_equal(log_in(bench, "bob", &login), 200);
	for (size_t i = 0; nonce[i] != '\0'; i++) {
		char digit = nonce[i];
		nonce[i] = digit == '0' ? '1' : '0';
		assert_int_equal(log_in(bench, "bob", &login), 401);
		nonce[i] = digit;
	}
	login.nonce = "short";
	assert_int_equal(log_in(bench, "bob", &login), 401);
	assert_int_equal(counts(bench)->registrar_auth_failed, 0);
	bench_close(bench);
	identity_free(set);
}

static void both_algorithms_are_offered(void **state)
{
	(void)state;
	struct identity_set *set = three_users();
	struct bench *bench = bench_new();
	bench->config.realm = "r";
	bench->config.identities = set;
	bench->config.offer_both = true;
	bench_open(bench);
	char nonce[64];
	fetch_nonce(bench, nonce);
	assert_int_equal(bench->answer.challenges, 2);
	assert_int_equal(challenge_at(bench, 0).algorithm, DIGEST_SHA256);
	assert_int_equal(challenge_at(bench, 1).algorithm, DIGEST_MD5);
	struct login login = {"bob", "r", "secret", nonce, "auth", "SHA-256"};
	assert_int_equal(log_in(bench, "bob", &login), 200);
	login.algorithm = "MD5";
	assert_int_equal(log_in(bench, "bob", &login), 200);
	/* A 401 and a 407 that a fault sends carry a challenge too. */
	struct registrar_faults faults = {.reject_code = 407};
	registrar_set_faults(bench->registrar, &faults);
	assert_int_equal(ask(bench, "REGISTER", "c", 9, ""), 407);
	assert_int_equal(bench->answer.challenge_proxy, 3);
	bench_close(bench);
	identity_free(set);
}

static void rows_may_have_ha1_only(void **state)
{
	(void)state;
	struct identity_set *set;
	struct identity_error error;
	struct digest_context *context = digest_open();
	uint8_t ha1[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1] = {0};
	assert_non_null(context);
	digest_ha1(context, DIGEST_SHA256, (struct digest_text){"ann", 3},
		(struct digest_text){"r", 1}, (struct digest_text){"pw", 2}, ha1);
	hex_write(ha1, 32, hex);
	digest_close(context);
	assert_int_equal(identity_rows(&set), 0);
	assert_int_equal(identity_add(set, "ann", NULL, NULL, hex, &error), 0);
	struct bench *bench = bench_new();
	bench->config.realm = "r";
	bench->config.identities = set;
	bench->config.offer_both = true;
	bench_open(bench);
	char nonce[64];
	fetch_nonce(bench, nonce);
	struct login login = {"ann", "r", "pw", nonce, "auth", "SHA-256"};
	assert_int_equal(log_in(bench, "ann", &login), 200);
	/* An HA1 of the other algorithm says nothing about this one. */
	login.algorithm = "MD5";
	assert_int_equal(log_in(bench, "ann", &login), 403);
	bench_close(bench);
	identity_free(set);
}

/* --- faults ---------------------------------------------------------------------------------- */

static void set_faults(struct bench *bench, struct registrar_faults faults)
{
	registrar_set_faults(bench->registrar, &faults);
}

static void crashes_and_half_crashes(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Contact: <sip:b@h>\r\n"), 200);
	set_faults(bench, (struct registrar_faults){.crashed = true});
	assert_int_equal(ask(bench, "REGISTER", "c", 2, ""), 0);
	assert_int_equal(ask(bench, "OPTIONS", "c", 2, ""), 0);
	assert_int_equal(counts(bench)->registrar_dropped_crash, 2);
	set_faults(bench, (struct registrar_faults){.options_silent = true});
	assert_int_equal(ask(bench, "OPTIONS", "c", 2, ""), 0);
	assert_int_equal(ask(bench, "REGISTER", "c", 2, ""), 200);
	set_faults(bench, (struct registrar_faults){.register_silent = true});
	assert_int_equal(ask(bench, "OPTIONS", "c", 2, ""), 200);
	assert_int_equal(ask(bench, "REGISTER", "c", 2, ""), 0);
	assert_int_equal(counts(bench)->registrar_dropped_crash, 4);
	/* The bindings have outlived all of it. */
	set_faults(bench, (struct registrar_faults){0});
	assert_int_equal(ask(bench, "REGISTER", "c", 3, ""), 200);
	assert_int_equal(bound_contacts(bench), 1);
	registrar_forget(bench->registrar);
	assert_int_equal(ask(bench, "REGISTER", "c", 3, ""), 200);
	assert_int_equal(bound_contacts(bench), 0);
	bench_close(bench);
}

static void drain_and_reject(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	set_faults(bench, (struct registrar_faults){.draining = true});
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Contact: <sip:b@h>\r\n"), 503);
	assert_int_equal(bench->answer.retry_after, SCAN_ABSENT);
	set_faults(bench, (struct registrar_faults){.draining = true, .retry_after_s = 17});
	assert_int_equal(ask(bench, "OPTIONS", "c", 1, ""), 503);
	assert_int_equal(bench->answer.retry_after, 17);
	assert_int_equal(ask(bench, "ACK", "c", 1, ""), 0);
	assert_int_equal(counts(bench)->registrar_drained, 2);
	for (unsigned code = 300; code < 700; code++) {
		set_faults(bench, (struct registrar_faults){.reject_code = (uint16_t)code});
		assert_int_equal(ask(bench, "REGISTER", "c", code, "Contact: <sip:b@h>\r\n"), code);
	}
	assert_int_equal(counts(bench)->registrar_rejected, 400);
	assert_int_equal(ask(bench, "OPTIONS", "c", 1, ""), 200);
	assert_int_equal(registrar_registered(bench->registrar), 0);
	set_faults(bench, (struct registrar_faults){.reject_code = 423});
	assert_int_equal(ask(bench, "REGISTER", "c", 1, ""), 423);
	assert_int_equal(bench->answer.min_expires, 60);
	/* Not an answer that refuses: off. */
	set_faults(bench, (struct registrar_faults){.reject_code = 200});
	assert_int_equal(ask(bench, "REGISTER", "c", 1, "Contact: <sip:b@h>\r\n"), 200);
	bench_close(bench);
}

static void loss_is_the_seeds_share(void **state)
{
	(void)state;
	enum { REQUESTS = 20000 };
	unsigned lost[2] = {0, 0}, pattern[2] = {0, 0};
	for (int run = 0; run < 2; run++) {
		struct bench *bench = bench_default();
		set_faults(bench, (struct registrar_faults){.loss_ppm = 250000});
		for (unsigned i = 0; i < REQUESTS; i++)
			if (ask(bench, "OPTIONS", "c", i, "") == 0) {
				lost[run]++;
				pattern[run] = pattern[run] * 31 + i;
			}
		assert_int_equal(counts(bench)->registrar_dropped_loss, lost[run]);
		assert_in_range(lost[run], REQUESTS / 4 - 400, REQUESTS / 4 + 400);
		set_faults(bench, (struct registrar_faults){.loss_ppm = 1000000});
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(ask(bench, "OPTIONS", "c", i, ""), 0);
		bench_close(bench);
	}
	assert_int_equal(pattern[0], pattern[1]);
}

/* CSeq of the i-th answer since the last forget_answers. */
static uint32_t cseq_at(const struct bench *bench, unsigned i)
{
	struct sip_message answer;
	assert_true(i < bench->answers);
	assert_int_equal(scan_message(bench->got[i].bytes, bench->got[i].length, &answer), SCAN_OK);
	return answer.cseq;
}

static void send_options(struct bench *bench, uint32_t cseq)
{
	write_request(bench, "OPTIONS", "sip:bob@example.net", "c", cseq, "");
	send_text(bench, bench->request, strlen(bench->request));
}

static void delayed_answers_keep_their_order(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	set_faults(bench, (struct registrar_faults){.delay_us = 100000});
	for (uint32_t i = 1; i <= 3; i++) {
		send_options(bench, i);
		bench->now_us += 10000;
	}
	assert_int_equal(bench->answers, 0);
	assert_int_equal(counts(bench)->registrar_delayed, 3);
	uint64_t due_us = registrar_advance(bench->registrar, bench->now_us);
	assert_int_equal(due_us, 5 * SECOND + 100000);
	registrar_advance(bench->registrar, due_us - 1);
	assert_int_equal(bench->answers, 0);
	assert_int_equal(registrar_advance(bench->registrar, due_us), due_us + 10000);
	assert_int_equal(bench->answers, 1);
	assert_int_equal(bench->got[0].to.port, 5070);
	/* A longer delay holds what waits; a shorter one lets it go at once; order is kept. */
	set_faults(bench, (struct registrar_faults){.delay_us = 500000});
	registrar_advance(bench->registrar, due_us + 100000);
	assert_int_equal(bench->answers, 1);
	bench->now_us = due_us + 100000;
	send_options(bench, 4);
	set_faults(bench, (struct registrar_faults){0});
	send_options(bench, 5);
	assert_int_equal(registrar_advance(bench->registrar, bench->now_us), UINT64_MAX);
	assert_int_equal(bench->answers, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(cseq_at(bench, i), i + 1);
	/* A crash takes what was held. */
	forget_answers(bench);
	set_faults(bench, (struct registrar_faults){.delay_us = 1000});
	send_options(bench, 6);
	send_options(bench, 7);
	set_faults(bench, (struct registrar_faults){.crashed = true});
	assert_int_equal(counts(bench)->registrar_dropped_crash, 2);
	assert_int_equal(registrar_advance(bench->registrar, bench->now_us + SECOND), UINT64_MAX);
	assert_int_equal(bench->answers, 0);
	bench_close(bench);
}

/* The ring wraps many times, with answers of all lengths, and overflows without harm. */
static void delay_line_overflows(void **state)
{
	(void)state;
	struct bench *bench = bench_default();
	uint64_t x = 88172645463325252ull;
	uint32_t sent = 0, expected = 1;
	char call_id[1024];
	for (unsigned round = 0; round < 300; round++) {
		set_faults(bench, (struct registrar_faults){.delay_us = 1000});
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		for (unsigned n = 1 + x % 200; n > 0; n--) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			size_t length = 1 + (x >> 32) % 700;
			memset(call_id, 'i', length);
			call_id[length] = '\0';
			write_request(bench, "OPTIONS", "sip:bob@example.net", call_id, ++sent, "");
			send_text(bench, bench->request, strlen(bench->request));
		}
		bench->now_us += 1000;
		uint64_t next_us = registrar_advance(bench->registrar, bench->now_us);
		while (next_us <= bench->now_us)
			next_us = registrar_advance(bench->registrar, bench->now_us);
		for (unsigned i = 0; i < bench->answers; i++)
			assert_int_equal(cseq_at(bench, i), expected++);
		forget_answers(bench);
	}
	assert_int_equal(expected, sent + 1);
	for (unsigned i = 0; i < 2000; i++)
		send_options(bench, ++sent);
	uint64_t overflow = counts(bench)->registrar_delay_overflow;
	assert_in_range(overflow, 1, 1999);
	for (unsigned left = 2000 - (unsigned)overflow; left > 0; left -= bench->answers) {
		forget_answers(bench);
		registrar_advance(bench->registrar, bench->now_us + 1000);
		assert_in_range(bench->answers, 1, left);
		for (unsigned i = 0; i < bench->answers; i++)
			assert_int_equal(cseq_at(bench, i), expected++);
	}
	bench_close(bench);
}

/* --- bindings against a naive model ---------------------------------------------------------- */

enum { MODEL_CAPACITY = 14 };

struct model_binding {
	bool used;
	char aor[32], uri[32], call_id;
	uint32_t cseq;
	uint64_t until_ms;
};

struct model {
	struct model_binding binding[MODEL_CAPACITY];
};

struct model_contact {
	const char *uri;
	uint32_t expires; /* UINT32_MAX: not given */
};

struct model_request {
	char aor[32], call_id;
	uint32_t cseq, header_expires;
	bool star;
	unsigned contacts;
	struct model_contact contact[4];
};

static struct model_binding *model_find(struct model *model, const char *aor, const char *uri)
{
	for (unsigned i = 0; i < MODEL_CAPACITY; i++)
		if (model->binding[i].used && strcmp(model->binding[i].aor, aor) == 0 &&
			strcasecmp(model->binding[i].uri, uri) == 0)
			return &model->binding[i];
	return NULL;
}

static uint32_t model_expires(
	const struct model_request *request, const struct model_contact *contact)
{
	uint32_t expires = contact->expires != UINT32_MAX ? contact->expires
							  : request->header_expires;
	return expires != UINT32_MAX ? expires : 3600;
}

/* 0: to be carried out, 1: has been before, or the code that refuses. */
static int model_check(struct model *model, const struct model_request *request,
	const struct model_contact *contact)
{
	uint32_t expires = model_expires(request, contact);
	if (expires > 0 && expires < 60)
		return 423;
	const struct model_binding *old = model_find(model, request->aor, contact->uri);
	if (old == NULL || old->call_id != request->call_id || request->cseq > old->cseq)
		return 0;
	return request->cseq == old->cseq ? 1 : 500;
}

static int model_bind(struct model *model, const struct model_request *request,
	const struct model_contact *contact, uint64_t now_ms)
{
	uint32_t expires = model_expires(request, contact);
	struct model_binding *binding = model_find(model, request->aor, contact->uri);
	for (unsigned i = 0; binding == NULL; i++) {
		if (i == MODEL_CAPACITY)
			return 503;
		if (!model->binding[i].used)
			binding = &model->binding[i];
	}
	binding->used = true;
	strcpy(binding->aor, request->aor);
	strcpy(binding->uri, contact->uri);
	binding->call_id = request->call_id;
	binding->cseq = request->cseq;
	binding->until_ms = now_ms + (expires < 7200 ? expires : 7200) * 1000ull;
	return 0;
}

/* All are looked at first; then what goes makes room for what comes. */
static int model_contacts(struct model *model, const struct model_request *request, uint64_t now_ms)
{
	int verdict[4] = {0}, code = 0;
	for (unsigned i = 0; i < request->contacts; i++) {
		verdict[i] = model_check(model, request, &request->contact[i]);
		if (verdict[i] > 1)
			return verdict[i];
	}
	for (unsigned i = 0; i < request->contacts; i++) {
		struct model_binding *old = model_find(
			model, request->aor, request->contact[i].uri);
		if (verdict[i] == 0 && old && model_expires(request, &request->contact[i]) == 0)
			old->used = false;
	}
	for (unsigned i = 0; i < request->contacts && code == 0; i++)
		if (verdict[i] == 0 && model_expires(request, &request->contact[i]) > 0)
			code = model_bind(model, request, &request->contact[i], now_ms);
	return code;
}

static int model_star(struct model *model, const struct model_request *request)
{
	if (request->header_expires != 0)
		return 400;
	for (unsigned i = 0; i < MODEL_CAPACITY; i++) {
		struct model_binding *binding = &model->binding[i];
		if (!binding->used || strcmp(binding->aor, request->aor) != 0)
			continue;
		if (binding->call_id == request->call_id && request->cseq < binding->cseq)
			return 500;
		binding->used = binding->call_id == request->call_id &&
				request->cseq == binding->cseq;
	}
	return 0;
}

/* Works on a copy, which becomes the model when nothing failed. */
static int model_register(struct model *model, const struct model_request *request, uint64_t now_ms)
{
	for (unsigned i = 0; i < MODEL_CAPACITY; i++)
		if (model->binding[i].until_ms <= now_ms)
			model->binding[i].used = false;
	struct model next = *model;
	int code = request->star ? model_star(&next, request)
				 : model_contacts(&next, request, now_ms);
	if (code)
		return code;
	*model = next;
	return 200;
}

static uint64_t model_random(uint64_t *x, uint64_t below)
{
	*x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
	return (*x >> 20) % below;
}

static void model_draw(struct model_request *request, uint64_t *x)
{
	static const char *const uris[] = {"sip:p@a.example", "sip:p@b.example", "sip:p@c.example",
		"sip:q@a.example", "sip:p@A.Example", "sip:p@a.example:5061"};
	static const uint32_t expiries[] = {
		UINT32_MAX, UINT32_MAX, 0, 60, 61, 600, 7200, 90000, 59};
	snprintf(request->aor, sizeof(request->aor), "u%u@h%u", (unsigned)model_random(x, 3),
		(unsigned)model_random(x, 2));
	request->call_id = (char)('a' + model_random(x, 2));
	request->cseq = 1 + (uint32_t)model_random(x, 6);
	request->header_expires = expiries[model_random(x, 9)];
	request->star = model_random(x, 12) == 0;
	request->contacts = request->star ? 0 : (unsigned)model_random(x, 4);
	/* Different ones: what two values for one contact mean has a test of its own. */
	uint64_t first = model_random(x, 4);
	for (unsigned i = 0; i < request->contacts; i++) {
		uint64_t which = (first + i) % 4;
		if (which == 0)
			which = model_random(x, 2) * 4;
		request->contact[i].uri = uris[model_random(x, 9) == 0 && which == 3 ? 5 : which];
		request->contact[i].expires = expiries[model_random(x, 9)];
	}
}

static int model_ask(struct bench *bench, const struct model_request *request)
{
	char to[64], headers[512], call_id[2] = {request->call_id, '\0'};
	size_t n = 0;
	headers[0] = '\0';
	if (request->header_expires != UINT32_MAX)
		n += (size_t)sprintf(headers + n, "Expires: %u\r\n", request->header_expires);
	if (request->star)
		n += (size_t)sprintf(headers + n, "Contact: *\r\n");
	for (unsigned i = 0; i < request->contacts; i++) {
		n += (size_t)sprintf(headers + n, "Contact: <%s>", request->contact[i].uri);
		if (request->contact[i].expires != UINT32_MAX)
			n += (size_t)sprintf(
				headers + n, ";expires=%u", request->contact[i].expires);
		n += (size_t)sprintf(headers + n, "\r\n");
	}
	snprintf(to, sizeof(to), "sip:%s", request->aor);
	return ask_for(bench, to, call_id, request->cseq, headers);
}

/* All bindings of an address-of-record, as a 200 lists them. */
static void model_compare(
	struct bench *bench, struct model *model, const char *aor, uint64_t now_ms)
{
	unsigned expected = 0;
	for (unsigned i = 0; i < MODEL_CAPACITY; i++) {
		const struct model_binding *binding = &model->binding[i];
		if (!binding->used || strcmp(binding->aor, aor) != 0)
			continue;
		expected++;
		assert_int_equal(
			bound_for(bench, binding->uri), (binding->until_ms - now_ms) / 1000 ?: 1);
	}
	assert_int_equal(bound_contacts(bench), expected);
}

static void bindings_agree_with_a_naive_model(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	struct bench *bench = bench_new();
	bench->config.capacity = MODEL_CAPACITY;
	bench->config.seed = seed;
	bench_open(bench);
	struct model *model = calloc(1, sizeof(*model));
	assert_non_null(model);
	unsigned codes[700] = {0};
	uint64_t x = seed | 1;
	for (unsigned step = 0; step < 60000; step++) {
		struct model_request request;
		bench->now_us += model_random(&x, 8) ? model_random(&x, 3 * SECOND)
						     : model_random(&x, 900 * SECOND);
		if (model_random(&x, 2))
			registrar_advance(bench->registrar, bench->now_us);
		model_draw(&request, &x);
		uint64_t now_ms = bench->now_us / 1000;
		int expected = model_register(model, &request, now_ms);
		int code = model_ask(bench, &request);
		if (code != expected)
			print_error("SEED=%llu step %u: %d, the model says %d\n%s",
				(unsigned long long)seed, step, code, expected, bench->request);
		assert_int_equal(code, expected);
		codes[code]++;
		if (code == 200)
			model_compare(bench, model, request.aor, now_ms);
		for (unsigned user = 0; user < 3; user++) {
			char name[2] = {'u', (char)('0' + user)};
			bool bound = false;
			for (unsigned i = 0; i < MODEL_CAPACITY; i++)
				bound |= model->binding[i].used &&
					 model->binding[i].until_ms > now_ms &&
					 memcmp(model->binding[i].aor, name, 2) == 0;
			assert_int_equal(
				registrar_is_bound(bench->registrar, name, 2, bench->now_us),
				bound);
		}
	}
	/* The walk has been everywhere. */
	static const int seen[] = {200, 400, 423, 500, 503};
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		assert_true(codes[seen[i]] > 20);
	free(model);
	bench_close(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bindings_come_and_go),
		cmocka_unit_test(expiry_is_the_contacts_then_the_headers),
		cmocka_unit_test(star_removes_all),
		cmocka_unit_test(requests_keep_their_order),
		cmocka_unit_test(contacts_are_bounded_and_compared),
		cmocka_unit_test(only_a_user_has_an_address_of_record),
		cmocka_unit_test(tables_fill_up),
		cmocka_unit_test(expired_bindings_are_swept),
		cmocka_unit_test(answers_find_their_way_back),
		cmocka_unit_test(folded_requests_get_plain_answers),
		cmocka_unit_test(other_methods_and_garbage),
		cmocka_unit_test(answers_that_do_not_fit),
		cmocka_unit_test(credentials_are_verified),
		cmocka_unit_test(phones_of_several_workers_are_told_apart),
		cmocka_unit_test(nonces_grow_old),
		cmocka_unit_test(both_algorithms_are_offered),
		cmocka_unit_test(rows_may_have_ha1_only),
		cmocka_unit_test(crashes_and_half_crashes),
		cmocka_unit_test(drain_and_reject),
		cmocka_unit_test(loss_is_the_seeds_share),
		cmocka_unit_test(delayed_answers_keep_their_order),
		cmocka_unit_test(delay_line_overflows),
		cmocka_unit_test(bindings_agree_with_a_naive_model),
	};
	return cmocka_run_group_tests_name("registrar", tests, NULL, NULL);
}
