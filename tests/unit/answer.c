/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers: what is echoed, what is added, and what is too long to be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "answer.h"

static struct endpoint source_of(const char *address)
{
	struct endpoint source = {.port = 5060};
	assert_int_equal(address_parse(address, &source.address), 0);
	return source;
}

/* The whole answer to a request, as text. */
static const char *answered(const char *text, const char *from, uint16_t code)
{
	static uint8_t out[ANSWER_MAX + 1];
	struct sip_message request;
	struct answer answer;
	struct endpoint source = source_of(from);
	assert_int_equal(scan_message(text, strlen(text), &request), SCAN_OK);
	answer_begin(&answer, &request, &source, code, NULL, 0xdeadbeef);
	answer_string(&answer, "Content-Length: 0\r\n\r\n");
	assert_true(answer_fits(&answer));
	answer_write(&answer, out);
	out[answer.length] = '\0';
	return (const char *)out;
}

static void the_request_is_echoed(void **state)
{
	(void)state;
	assert_string_equal(
		answered("INVITE sip:2000041@10.20.0.42:5060 SIP/2.0\r\n"
			 "Via: SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa.1;rport;i=1, "
			 "SIP/2.0/TCP 10.1.1.1;branch=z9hG4bKb\r\n"
			 "v: SIP/2.0/UDP 10.2.2.2;branch=z9hG4bKc\r\n"
			 "f: \"A\" <sip:a@b>;tag=x\r\nt: <sip:2000041@lab.example.net>\r\n"
			 "i: one@two\r\nCSeq: 3 INVITE\r\nContent-Length: 0\r\n\r\n",
			"10.10.0.1", 486),
		"SIP/2.0 486 Busy Here\r\n"
		"Via: SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa.1;i=1;received=10.10.0.1;rport=5060\r\n"
		"Via: SIP/2.0/TCP 10.1.1.1;branch=z9hG4bKb\r\n"
		"Via: SIP/2.0/UDP 10.2.2.2;branch=z9hG4bKc\r\n"
		"From: \"A\" <sip:a@b>;tag=x\r\n"
		"To: <sip:2000041@lab.example.net>;tag=deadbeef\r\n"
		"Call-ID: one@two\r\n"
		"CSeq: 3 INVITE\r\n"
		"Content-Length: 0\r\n\r\n");
}

static const char notify[] = "NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKx\r\n"
			     "To: <sip:a@b>;tag=2\r\nFrom: <sip:a@b>;tag=1\r\nCSeq: 1 NOTIFY\r\n"
			     "Call-ID: %s\r\n\r\n";

static void received_is_told_where_it_differs(void **state)
{
	(void)state;
	char text[512];
	snprintf(text, sizeof(text), notify, "10.10.0.1:5070", "c");
	assert_null(strstr(answered(text, "10.10.0.1", 200), "received"));
	assert_non_null(strstr(answered(text, "10.10.0.2", 200), ";received=10.10.0.2\r\n"));
	snprintf(text, sizeof(text), notify, "proxy.example.net", "c");
	assert_non_null(strstr(answered(text, "10.10.0.1", 200), ";received=10.10.0.1\r\n"));
	/* A tag that is there stays alone. */
	assert_null(strstr(answered(text, "10.10.0.1", 200), "deadbeef"));
}

static void too_long_is_told(void **state)
{
	(void)state;
	static char text[ANSWER_MAX * 2], call_id[ANSWER_MAX];
	struct sip_message request;
	struct answer answer;
	struct endpoint source = source_of("10.10.0.1");
	memset(call_id, 'c', sizeof(call_id) - 1);
	int n = snprintf(text, sizeof(text), notify, "10.10.0.1", call_id);
	assert_int_equal(scan_message(text, (size_t)n, &request), SCAN_OK);
	answer_begin(&answer, &request, &source, 200, NULL, 1);
	assert_false(answer_fits(&answer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_is_echoed),
		cmocka_unit_test(received_is_told_where_it_differs),
		cmocka_unit_test(too_long_is_told),
	};
	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
