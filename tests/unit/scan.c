/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scanner: answers as real proxies send them, requests, every result provoked, every truncation and
 * mutation survived with spans inside the message, both implementations in agreement.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scan.h"
#include "scan_check.h"

static char file_bytes[SCAN_LENGTH_MAX + 1];

static struct sip_message scan_file(const char *name)
{
	size_t length = check_load(
		TESTS_DIR "/fuzz/corpus/scan", name, file_bytes, sizeof(file_bytes));
	struct sip_message m;
	assert_int_equal(scan_message(file_bytes, length, &m), SCAN_OK);
	assert_int_equal(m.length, length);
	check_spans(&m);
	return m;
}

static struct sip_contact contact_of(const struct sip_message *m, unsigned i)
{
	struct sip_contact contact;
	assert_true(i < m->contacts);
	assert_true(scan_contact(m, m->contact[i], &contact));
	return contact;
}

static void kamailio_ok(void **state)
{
	(void)state;
	struct sip_message m = scan_file("kamailio-200-register.dat");
	assert_int_equal(m.status, 200);
	assert_text(&m, m.reason, "OK");
	assert_int_equal(m.method, SIP_REGISTER);
	assert_text(&m, m.method_text, "REGISTER");
	assert_int_equal(m.cseq, 1000000001);
	assert_int_equal(m.vias, 1);
	assert_text(&m, m.via_branch, "z9hG4bK0000a3f10000400139c4be07");
	assert_text(&m, m.via_host, "10.20.3.7");
	assert_int_equal(m.via_port, 5060);
	assert_true(m.rport);
	assert_text(&m, m.from, "<sip:2041969@lab.example.net>;tag=0000a3f1");
	assert_text(&m, m.from_tag, "0000a3f1");
	assert_text(&m, m.from_uri, "sip:2041969@lab.example.net");
	assert_text(&m, m.to_uri, "sip:2041969@lab.example.net");
	assert_text(&m, m.to_tag, "5c1e2b8f77a0d4b9e1a06c58a3c5b1d2.9f4e0000");
	assert_text(&m, m.call_id, "0000a3f100004e21@10.20.3.7");
	assert_int_equal(m.contacts, 1);
	assert_false(m.contact_star);
	struct sip_contact contact = contact_of(&m, 0);
	assert_text(&m, contact.uri, "sip:2041969@10.20.3.7:5060");
	assert_text(&m, contact.params, ";expires=3600");
	assert_int_equal(contact.expires, 3600);
	assert_absent(m.uri);
	assert_absent(m.body);
	assert_absent(m.require);
	assert_true(m.expires == SCAN_ABSENT && m.min_expires == SCAN_ABSENT);
	assert_true(m.retry_after == SCAN_ABSENT && m.max_forwards == SCAN_ABSENT);
	assert_int_equal(m.challenges + m.credentials, 0);
}

static void kamailio_challenges(void **state)
{
	(void)state;
	struct sip_message m = scan_file("kamailio-401.dat");
	assert_int_equal(m.status, 401);
	assert_int_equal(m.challenges, 2);
	assert_int_equal(m.challenge_proxy, 0);
	assert_text(&m, m.challenge[0],
		"Digest realm=\"lab.example.net\", nonce=\"ZQ8kQmUPIxYl0p7x3k4zv7b8q9d1A2sC\", "
		"qop=\"auth\", algorithm=SHA-256");
	assert_text(&m, m.challenge[1],
		"Digest realm=\"lab.example.net\", nonce=\"ZQ8kQmUPIxYl0p7x3k4zv7b8q9d1A2sC\", "
		"qop=\"auth\"");
}

static void kamailio_many_contacts(void **state)
{
	(void)state;
	struct sip_message m = scan_file("kamailio-200-many-contacts.dat");
	assert_text(&m, m.via_host, "[2001:db8:20::307]");
	assert_int_equal(m.via_port, 5062);
	assert_int_equal(m.contacts, 2);
	struct sip_contact contact = contact_of(&m, 0);
	assert_text(&m, contact.uri, "sip:2041969@[2001:db8:20::307]:5062");
	assert_int_equal(contact.expires, 1800);
	struct sip_uri uri;
	assert_true(scan_uri(&m, contact.uri, &uri));
	assert_text(&m, uri.user, "2041969");
	assert_text(&m, uri.host, "[2001:db8:20::307]");
	assert_int_equal(uri.port, 5062);
	contact = contact_of(&m, 1);
	assert_text(&m, contact.uri, "sip:2041969@192.0.2.9:49152;transport=tcp;ob");
	assert_int_equal(contact.expires, 97);
	assert_true(scan_uri(&m, contact.uri, &uri));
	assert_text(&m, uri.host, "192.0.2.9");
	assert_int_equal(uri.port, 49152);
}

static void asterisk(void **state)
{
	(void)state;
	struct sip_message m = scan_file("asterisk-423.dat");
	assert_int_equal(m.status, 423);
	assert_text(&m, m.reason, "Interval Too Brief");
	assert_int_equal(m.min_expires, 60);
	assert_text(&m, m.via_branch, "z9hG4bK00000007000040032f6e0d11");
	m = scan_file("asterisk-200-options.dat");
	assert_int_equal(m.status, 200);
	assert_int_equal(m.method, SIP_OPTIONS);
	assert_text(&m, m.to_tag, "z9hG4bK00000007000050042f6e0d11");
}

static void freeswitch(void **state)
{
	(void)state;
	struct sip_message m = scan_file("freeswitch-407.dat");
	assert_int_equal(m.status, 407);
	assert_int_equal(m.challenges, 1);
	assert_int_equal(m.challenge_proxy, 1);
	assert_true(m.rport);
	assert_text(&m, m.from_uri, "sip:1001@198.51.100.1");
	assert_text(&m, m.from_tag, "0001d4c0");
	assert_text(&m, m.call_id, "0001d4c000004e21");
}

static void opensips(void **state)
{
	(void)state;
	struct sip_message m = scan_file("opensips-503.dat");
	assert_int_equal(m.status, 503);
	assert_int_equal(m.retry_after, 120);
	assert_text(&m, m.from_uri, "sip:alice@example.org");
	assert_text(&m, m.to_tag, "d1e5.8a2f3c00b7e1d2c4");
}

static void notify(void **state)
{
	(void)state;
	struct sip_message m = scan_file("request-notify.dat");
	assert_int_equal(m.status, 0);
	assert_int_equal(m.method, SIP_NOTIFY);
	assert_text(&m, m.uri, "sip:2000007@192.0.2.10:5060");
	assert_absent(m.reason);
	assert_int_equal(m.vias, 3);
	assert_text(&m, m.via[0], "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKPj5b2a;rport");
	assert_text(&m, m.via[1], "SIP/2.0/TCP 192.0.2.77:41000;branch=z9hG4bK-2");
	assert_text(&m, m.via[2], "SIP/2.0/TLS [2001:db8::77];branch=z9hG4bK-3");
	assert_text(&m, m.via_branch, "z9hG4bKPj5b2a");
	assert_int_equal(m.max_forwards, 69);
	assert_text(&m, m.from_uri, "sip:asterisk@192.0.2.1");
	assert_text(&m, m.from_tag, "4d2f");
	assert_absent(m.to_tag);
	assert_text(&m, m.require, "eventlist, x-odd");
	assert_text(&m, m.body, "Messages-Waiting: yes\r\nVoice-Message: 2/0 (0/0)");
}

static void compact_register(void **state)
{
	(void)state;
	struct sip_message m = scan_file("request-register-compact.dat");
	assert_int_equal(m.method, SIP_REGISTER);
	assert_int_equal(m.cseq, 7);
	assert_true(m.contact_star);
	assert_int_equal(m.contacts, 0);
	assert_int_equal(m.expires, 0);
	assert_true(m.rport);
	assert_text(&m, m.via_branch, "z9hG4bKquoted");
	assert_text(&m, m.via_host, "phone-1.example.net");
	assert_int_equal(m.via_port, 0);
	assert_text(&m, m.from_uri, "sip:bob@example.net");
	assert_text(&m, m.from_tag, "b1");
	assert_text(&m, m.call_id, "compact-1");
	assert_int_equal(m.credentials, 1);
	assert_int_equal(strncmp(span_text(&m, m.credential[0]), "Digest username=", 16), 0);
	struct sip_uri uri;
	assert_true(scan_uri(&m, m.uri, &uri));
	assert_absent(uri.user);
	assert_text(&m, uri.host, "Registrar.Example.Net");
}

#define VIA "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@b>;tag=1\r\n"
#define TO "To: <sip:a@b>\r\n"
#define CALL "Call-ID: c\r\n"
#define CSEQ "CSeq: 1 OPTIONS\r\n"
#define REST FROM TO CALL CSEQ
#define OK200 "SIP/2.0 200 OK\r\n"
#define ASK "OPTIONS sip:a SIP/2.0\r\n"
#define HEAD OK200 VIA REST

#define TEXT(t) t, sizeof(t) - 1

struct provoked {
	const char *text;
	size_t length;
	enum scan_result result;
};

static const struct provoked provoked[] = {
	{TEXT(HEAD "\r\n"), SCAN_OK},
	{TEXT(ASK VIA REST "\r\n"), SCAN_OK},
	{TEXT(HEAD "Content-Length: 3\r\n\r\nabc"), SCAN_OK},
	{TEXT(HEAD "Content-Length: 3\r\n\r\nabcdef"), SCAN_OK},
	{TEXT("\r\n\r\n" HEAD "\r\n"), SCAN_OK},
	{TEXT("sip/2.0 200 OK\r\n" VIA REST "\r\n"), SCAN_OK},
	{TEXT("SIP/2.0 200 \r\n" VIA REST "\r\n"), SCAN_OK},
	{TEXT("SIP/2.0 200\r\n" VIA REST "\r\n"), SCAN_OK},
	{TEXT("SIP/2.0 200 O\0K\r\n" VIA REST "\r\n"), SCAN_OK},
	{TEXT("SIP/2.0 200 OK\n" VIA REST "\n"), SCAN_OK},
	{TEXT(HEAD "X: lone\rCR and \0\r\n\r\n"), SCAN_OK},
	{TEXT(HEAD "X:\r\n \r\n\tmore\r\n\r\n"), SCAN_OK},
	{TEXT(HEAD "Expires: 99999999999999999999\r\n\r\n"), SCAN_OK},
	{TEXT(HEAD "Contact: \"a,<\\\"\" <sip:a,b@c>;x=\",\", *, sip:d@e;q=1\r\n\r\n"), SCAN_OK},

	{NULL, 0, SCAN_EMPTY},
	{TEXT("\r\n"), SCAN_EMPTY},
	{TEXT("\r\n\r\n"), SCAN_EMPTY},
	{TEXT("\n"), SCAN_EMPTY},

	{TEXT("hello"), SCAN_START_LINE},
	{TEXT("\0"), SCAN_START_LINE},
	{TEXT("\0\0\0\0\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0 20\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0 2000 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0 099 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0 700 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/2.0  200 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("SIP/3.0 200 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT(" SIP/2.0 200 OK\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip:a SIP/2.1\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip:a\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS  SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip: SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS 1ip:a SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip:a\0b SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPT(IONS sip:a SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT(" sip:a SIP/2.0\r\n" VIA REST "\r\n"), SCAN_START_LINE},
	{TEXT("OPTIONS sip:a SIP/2.0\r\r\n" VIA REST "\r\n"), SCAN_START_LINE},

	{TEXT(OK200 "no colon\r\n" VIA REST "\r\n"), SCAN_HEADER},
	{TEXT(OK200 ": no name\r\n" VIA REST "\r\n"), SCAN_HEADER},
	{TEXT(OK200 "  : no name\r\n" VIA REST "\r\n"), SCAN_HEADER},
	{TEXT(OK200 " fold: of the start line\r\n" VIA REST "\r\n"), SCAN_HEADER},
	{TEXT(HEAD "two words: x\r\n\r\n"), SCAN_HEADER},
	{TEXT(HEAD "N\0UL: x\r\n\r\n"), SCAN_HEADER},
	{TEXT(HEAD "Content\rLength: 0\r\n\r\n"), SCAN_HEADER},
	{TEXT(HEAD "To\r\n : x\r\n\r\n"), SCAN_HEADER},
	{TEXT(HEAD "\r\r\n\r\n"), SCAN_HEADER},

	{TEXT(OK200), SCAN_TRUNCATED},
	{TEXT("SIP/2.0 200 OK"), SCAN_TRUNCATED},
	{TEXT(HEAD), SCAN_TRUNCATED},
	{TEXT(HEAD "\r"), SCAN_TRUNCATED},
	{TEXT(HEAD "Content-Length: 0"), SCAN_TRUNCATED},
	{TEXT(HEAD "Content-Length: 0\r\n"), SCAN_TRUNCATED},
	{TEXT(HEAD "X: a\r\n b"), SCAN_TRUNCATED},
	{TEXT(OK200 "Via"), SCAN_TRUNCATED},

	{TEXT(OK200 "\r\n"), SCAN_MISSING},
	{TEXT(OK200 REST "\r\n"), SCAN_MISSING},
	{TEXT(OK200 VIA TO CALL CSEQ "\r\n"), SCAN_MISSING},
	{TEXT(OK200 VIA FROM CALL CSEQ "\r\n"), SCAN_MISSING},
	{TEXT(OK200 VIA FROM TO CSEQ "\r\n"), SCAN_MISSING},
	{TEXT(OK200 VIA FROM TO CALL "\r\n"), SCAN_MISSING},
	{TEXT(OK200 VIA FROM TO "Call-ID: \r\n" CSEQ "\r\n"), SCAN_MISSING},
	{TEXT(ASK VIA FROM TO CALL "\r\n"), SCAN_MISSING},

	{TEXT(HEAD FROM "\r\n"), SCAN_DUPLICATE},
	{TEXT(HEAD "t: <sip:a@b>\r\n\r\n"), SCAN_DUPLICATE},
	{TEXT(HEAD "i: x\r\n\r\n"), SCAN_DUPLICATE},
	{TEXT(HEAD CSEQ "\r\n"), SCAN_DUPLICATE},
	{TEXT(HEAD "l: 0\r\nContent-Length: 0\r\n\r\n"), SCAN_DUPLICATE},

	{TEXT(OK200 "Via:\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP \r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP;branch=x\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0 UDP a;branch=x\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/ a\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.1/UDP a\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SI\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: HTTP/2.0/UDP a\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP a:\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP a:x\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP a:65536\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP a b\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP 2001:db8::1\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP [2001:db8::1\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP []\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(OK200 "Via: SIP/2.0/UDP a,,SIP/2.0/UDP b\r\n" REST "\r\n"), SCAN_VIA},
	{TEXT(HEAD "Via: SIP/2.0/UDP a,\r\n\r\n"), SCAN_VIA},

	{TEXT(OK200 VIA FROM TO CALL "CSeq: \r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: OPTIONS\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: 1\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: 1OPTIONS\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: -1 OPTIONS\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: 1 OPTIONS 2\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: 2147483648 OPTIONS\r\n\r\n"), SCAN_CSEQ},
	{TEXT(OK200 VIA FROM TO CALL "CSeq: 18446744073709551617 OPTIONS\r\n\r\n"), SCAN_CSEQ},
	{TEXT(ASK VIA FROM TO CALL "CSeq: 1 INVITE\r\n\r\n"), SCAN_CSEQ},
	{TEXT(ASK VIA FROM TO CALL "CSeq: 1 options\r\n\r\n"), SCAN_CSEQ},
	{TEXT(ASK VIA FROM TO CALL "CSeq: 1 OPTION\r\n\r\n"), SCAN_CSEQ},

	{TEXT(HEAD "Content-Length: 1\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length:\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length: -1\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length: 1 0\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length: 0x0\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length: 4294967296\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "Content-Length: 18446744073709551616\r\n\r\n"), SCAN_CONTENT_LENGTH},
	{TEXT(HEAD "l: 4\r\n\r\nabc"), SCAN_CONTENT_LENGTH},

	{TEXT(HEAD "Expires:\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Expires: -1\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Expires: 60 (soon)\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Min-Expires: soon\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Max-Forwards: 7O\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Retry-After: later\r\n\r\n"), SCAN_NUMBER},
	{TEXT(HEAD "Retry-After: 5 minutes\r\n\r\n"), SCAN_NUMBER},

	{TEXT(OK200 VIA "From:\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: \"a <sip:a@b>\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: \"a\\\" <sip:a@b>\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: \"a\\\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: \"a\" sip:a@b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a b>\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <>\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: anonymous\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: a, b <sip:a@b>\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: sip:a@b, sip:c@d\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: sip:a@b?c=d\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b> x\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;tag\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;tag=\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;tag=a,b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;tag=a b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;tag=a;TAG=b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;x=\"a\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA "From: <sip:a@b>;x=\"a\"b\r\n" TO CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 VIA FROM "To: <sip:a@b>;;tag=1\r\n" CALL CSEQ "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 "Via: SIP/2.0/UDP a;branch\r\n" REST "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 "Via: SIP/2.0/UDP a;branch=\"\"\r\n" REST "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 "Via: SIP/2.0/UDP a;branch=\"x\r\n" REST "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 "Via: SIP/2.0/UDP a;branch=x;branch=y\r\n" REST "\r\n"), SCAN_PARAMETER},
	{TEXT(OK200 "Via: SIP/2.0/UDP a;\r\n" REST "\r\n"), SCAN_PARAMETER},
	{TEXT(HEAD "Contact:\r\n\r\n"), SCAN_PARAMETER},
	{TEXT(HEAD "Contact: <sip:a@b\r\n\r\n"), SCAN_PARAMETER},
	{TEXT(HEAD "Contact: <sip:a@b>,\r\n\r\n"), SCAN_PARAMETER},
	{TEXT(HEAD "Contact: \"a <sip:a@b>\r\n\r\n"), SCAN_PARAMETER},
};

static void every_result(void **state)
{
	(void)state;
	unsigned seen[SCAN_RESULTS] = {0};
	for (size_t i = 0; i < sizeof(provoked) / sizeof(provoked[0]); i++) {
		struct sip_message m;
		enum scan_result got = check_scan(provoked[i].text, provoked[i].length, &m);
		if (got != provoked[i].result)
			fail_msg("case %zu gives \"%s\", not \"%s\":\n%s", i, scan_result_name(got),
				scan_result_name(provoked[i].result), provoked[i].text);
		seen[got]++;
	}
	for (int result = 0; result < SCAN_RESULTS; result++)
		if (result != SCAN_TOO_LONG && result != SCAN_TOO_MANY)
			assert_true(seen[result] >= 3);
}

/* HEAD, then a header repeated, then the empty line. */
static enum scan_result repeat(
	const char *head, const char *header, unsigned times, struct sip_message *m)
{
	static char text[16384];
	size_t length = (size_t)snprintf(text, sizeof(text), "%s", head);
	for (unsigned i = 0; i < times; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", header);
	length += (size_t)snprintf(text + length, sizeof(text) - length, "\r\n");
	assert_true(length < sizeof(text));
	enum scan_result result = scan_message(text, length, m);
	if (result == SCAN_OK)
		check_spans(m);
	return result;
}

static void lists_have_limits(void **state)
{
	(void)state;
	static const char contact[] = "m: <sip:a@b>, <sip:c@d>\r\n";
	struct sip_message m;
	assert_int_equal(repeat(OK200 REST, VIA, SCAN_VIA_MAX, &m), SCAN_OK);
	assert_int_equal(m.vias, SCAN_VIA_MAX);
	assert_int_equal(repeat(OK200 REST, VIA, SCAN_VIA_MAX + 1, &m), SCAN_TOO_MANY);
	assert_int_equal(repeat(HEAD, contact, SCAN_CONTACT_MAX / 2, &m), SCAN_OK);
	assert_int_equal(m.contacts, SCAN_CONTACT_MAX);
	assert_int_equal(repeat(HEAD, contact, SCAN_CONTACT_MAX / 2 + 1, &m), SCAN_TOO_MANY);
	assert_int_equal(
		repeat(HEAD, "Proxy-Authenticate: x\r\nwww-authenticate :\r\n y\r\n", 9, &m),
		SCAN_OK);
	assert_int_equal(m.challenges, SCAN_CHALLENGE_MAX);
	assert_int_equal(m.challenge_proxy, 0x55);
	assert_text(&m, m.challenge[6], "x");
	assert_text(&m, m.challenge[7], "y");
	assert_int_equal(repeat(HEAD, "Authorization: z\r\n", 9, &m), SCAN_OK);
	assert_int_equal(m.credentials, SCAN_CREDENTIALS_MAX);
	assert_text(&m, m.credential[SCAN_CREDENTIALS_MAX - 1], "z");
}

static void longest_datagram(void **state)
{
	(void)state;
	static char text[SCAN_LENGTH_MAX + 1];
	struct sip_message m;
	/* All body, with and without a Content-Length. */
	memset(text, 'b', sizeof(text));
	memcpy(text, TEXT(HEAD "\r\n"));
	assert_int_equal(scan_message(text, SCAN_LENGTH_MAX, &m), SCAN_OK);
	assert_int_equal(m.length, SCAN_LENGTH_MAX);
	assert_int_equal(m.body.at + m.body.length, SCAN_LENGTH_MAX);
	assert_int_equal(scan_message(text, sizeof(text), &m), SCAN_TOO_LONG);
	/* All header: one long value, and the empty line ends exactly at the end. */
	memcpy(text, TEXT(HEAD "Call-Info: "));
	memcpy(text + SCAN_LENGTH_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(scan_message(text, SCAN_LENGTH_MAX, &m), SCAN_OK);
	assert_int_equal(m.length, SCAN_LENGTH_MAX);
	assert_absent(m.body);
	/* The same with a header that is looked into. */
	memcpy(text, TEXT(HEAD "Require: bb"));
	assert_int_equal(scan_message(text, SCAN_LENGTH_MAX, &m), SCAN_OK);
	assert_int_equal(m.require.at + m.require.length, SCAN_LENGTH_MAX - 4);
}

static void folds_everywhere(void **state)
{
	(void)state;
	static const char text[] =
		"OPTIONS sip:a SIP/2.0\r\n"
		"Via :\r\n SIP\r\n /\r\n\t2.0 / \r\n ODD-1.x~\r\n [::1]\r\n :\r\n 5070\r\n ;\r\n "
		"rport\r\n ;"
		" branch\r\n =\r\n z9hG4bKf\r\n , sip / 2.0 / udp b\r\n"
		"Contact:\r\n \"q\r\n \\\" ,;<>\"\r\n <sip:a@b;x=y,z>\r\n ;\r\n expires\r\n =\r\n "
		"77\r\n ,\r\n"
		" sip:plain@host;expires=5\r\n"
		"f:\r\n Bob\r\n Smith\r\n <sip:f@b>\r\n ;\r\n tag\r\n = \r\n ft\r\n"
		"t:\r\n sip:t@b\r\n ;tag=tt\r\n"
		"CSeq\t:\r\n 00000000000000000000042\r\n\tOPTIONS \r\n \r\n"
		"Call-ID: \r\n  c@d \r\n\t\r\n"
		"Max-Forwards:\r\n 70\r\n"
		"Content-Length:\r\n 0\r\n \r\n\r\ntrailing";
	struct sip_message m;
	assert_int_equal(check_scan(text, sizeof(text) - 1, &m), SCAN_OK);
	assert_int_equal(m.vias, 2);
	assert_text(&m, m.via[1], "sip / 2.0 / udp b");
	assert_text(&m, m.via_host, "[::1]");
	assert_int_equal(m.via_port, 5070);
	assert_text(&m, m.via_branch, "z9hG4bKf");
	assert_true(m.rport);
	assert_int_equal(m.contacts, 2);
	struct sip_contact contact = contact_of(&m, 0);
	assert_text(&m, contact.uri, "sip:a@b;x=y,z");
	assert_int_equal(contact.expires, 77);
	contact = contact_of(&m, 1);
	assert_text(&m, contact.uri, "sip:plain@host");
	assert_int_equal(contact.expires, 5);
	assert_text(&m, m.from_uri, "sip:f@b");
	assert_text(&m, m.from_tag, "ft");
	assert_text(&m, m.to_uri, "sip:t@b");
	assert_text(&m, m.to_tag, "tt");
	assert_int_equal(m.cseq, 42);
	assert_int_equal(m.method, SIP_OPTIONS);
	assert_text(&m, m.call_id, "c@d");
	assert_int_equal(m.max_forwards, 70);
	assert_absent(m.body);
	assert_int_equal(m.length, sizeof(text) - 1 - 8);
}

static void first_number_counts_and_saturates(void **state)
{
	(void)state;
	struct sip_message m;
	static const char text[] = HEAD
		"Expires: 4294967295\r\nExpires: 5\r\nMin-Expires: 4294967293\r\n"
		"Retry-After: 0000000000000000000000007;x\r\n\r\n";
	assert_int_equal(check_scan(text, sizeof(text) - 1, &m), SCAN_OK);
	assert_true(m.expires == UINT32_MAX - 1);
	assert_true(m.min_expires == 4294967293);
	assert_int_equal(m.retry_after, 7);
}

/* A message around one Contact. */
static bool contact_from(const char *value, struct sip_message *m, struct sip_contact *out)
{
	static char text[512];
	int length = snprintf(text, sizeof(text), HEAD "Contact: %s\r\n\r\n", value);
	assert_int_equal(scan_message(text, (size_t)length, m), SCAN_OK);
	assert_int_equal(m->contacts, 1);
	bool taken = scan_contact(m, m->contact[0], out);
	check_contact(m, out);
	return taken;
}

static void contacts(void **state)
{
	(void)state;
	static const struct {
		const char *value, *uri, *params; /* uri NULL: malformed */
		uint32_t expires;
	} table[] = {
		{"<sip:a@b>", "sip:a@b", "", SCAN_ABSENT},
		{"sip:a@b", "sip:a@b", "", SCAN_ABSENT},
		{"sip:a@b;expires=9", "sip:a@b", ";expires=9", 9},
		{"<sip:a@b;expires=9>", "sip:a@b;expires=9", "", SCAN_ABSENT},
		{"<sip:a@b> ; q=1 ; EXPIRES = 9", "sip:a@b", "; q=1 ; EXPIRES = 9", 9},
		{"<sip:a@b>;expires=\"9\"", "sip:a@b", ";expires=\"9\"", 9},
		{"<sip:a@b>;expires=soon", "sip:a@b", ";expires=soon", 3600},
		{"<sip:a@b>;expires=9x", "sip:a@b", ";expires=9x", 3600},
		{"<sip:a@b>;expires=-9", "sip:a@b", ";expires=-9", 3600},
		{"<sip:a@b>;expires", "sip:a@b", ";expires", 3600},
		{"<sip:a@b>;expires=", "sip:a@b", ";expires=", 3600},
		{"<sip:a@b>;expires=4294967296", "sip:a@b", ";expires=4294967296", UINT32_MAX - 1},
		{"<sip:a@b>;expires=0", "sip:a@b", ";expires=0", 0},
		{"A B-C! <tel:+1>", "tel:+1", "", SCAN_ABSENT},
		{"<sip:a@b?x=y>", "sip:a@b?x=y", "", SCAN_ABSENT},
		{"\xc3\xa9 <sip:a@b>", "sip:a@b", "", SCAN_ABSENT},
		{"\"\\\\\" <sip:a@b>", "sip:a@b", "", SCAN_ABSENT},
		{"sip:a@b?x=y", NULL, NULL, 0},
		{"<sip:a@b>;expires=1;expires=2", NULL, NULL, 0},
		{"<sip:a@b>x", NULL, NULL, 0},
		{"<sip:a@b>;", NULL, NULL, 0},
		{"<sip:a@b>;q=\"1\"2", NULL, NULL, 0},
		{"< sip:a@b>", NULL, NULL, 0},
		{"<<sip:a@b>>", NULL, NULL, 0},
		{"\"a\"", NULL, NULL, 0},
		{"a\"b\" <sip:a@b>", NULL, NULL, 0},
		{"* ;x=<y>", NULL, NULL, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct sip_message m;
		struct sip_contact contact;
		bool taken = contact_from(table[i].value, &m, &contact);
		if (taken != (table[i].uri != NULL))
			fail_msg("%s: %d", table[i].value, taken);
		if (!taken)
			continue;
		assert_text(&m, contact.uri, table[i].uri);
		assert_text(&m, contact.params, table[i].params);
		assert_true(contact.expires == table[i].expires);
	}
}

static void uris(void **state)
{
	(void)state;
	static const struct {
		const char *uri, *user, *host; /* user NULL: malformed */
		uint16_t port;
	} table[] = {
		{"sip:a@b", "a", "b", 0},
		{"SIPS:a@b:5061", "a", "b", 5061},
		{"sIp:host.example:65535;x?y=z", "", "host.example", 65535},
		{"sip:host?y=z", "", "host", 0},
		{"sip:user:pass@[2001:db8::10]:7;lr", "user", "[2001:db8::10]", 7},
		{"sip:user;par=u%40example.net@example.com", "user;par=u%40example.net",
			"example.com", 0},
		{"sip:a:@b", "a", "b", 0},
		{"sip:+1-2,3?4/5@b", "+1-2,3?4/5", "b", 0},
		{"tel:1", NULL, NULL, 0},
		{"sip", NULL, NULL, 0},
		{"sip:a@", NULL, NULL, 0},
		{"sip:@b", NULL, NULL, 0},
		{"sip::p@b", NULL, NULL, 0},
		{"sip:a@b:", NULL, NULL, 0},
		{"sip:a@b:65536", NULL, NULL, 0},
		{"sip:a@b:5o", NULL, NULL, 0},
		{"sip:a@b@c", NULL, NULL, 0},
		{"sip:a@b;x=@", NULL, NULL, 0},
		{"sip:a@[::1", NULL, NULL, 0},
		{"sip:a@[]", NULL, NULL, 0},
		{"sip:a@b/c", NULL, NULL, 0},
		{"sip:a@b\x7f", NULL, NULL, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char value[128];
		struct sip_message m;
		struct sip_contact contact;
		struct sip_uri uri;
		snprintf(value, sizeof(value), "<%s>", table[i].uri);
		/* The span is the bracket's inside, whatever scan_contact thinks of it. */
		contact_from(value, &m, &contact);
		struct span inside = {
			(uint16_t)(m.contact[0].at + 1), (uint16_t)strlen(table[i].uri)};
		bool taken = scan_uri(&m, inside, &uri);
		check_uri(&m, &uri);
		if (taken != (table[i].user != NULL))
			fail_msg("%s: %d", table[i].uri, taken);
		if (!taken)
			continue;
		assert_text(&m, uri.user, table[i].user);
		assert_text(&m, uri.host, table[i].host);
		assert_int_equal(uri.port, table[i].port);
	}
}

static void methods_and_names(void **state)
{
	(void)state;
	for (enum sip_method method = SIP_REGISTER; method < SIP_METHOD_OTHER; method++) {
		const char *name = scan_method_name(method);
		assert_int_equal(scan_method(name, strlen(name)), method);
		assert_int_equal(scan_method(name, strlen(name) - 1), SIP_METHOD_OTHER);
	}
	assert_int_equal(scan_method("", 0), SIP_METHOD_NONE);
	assert_int_equal(scan_method("Register", 8), SIP_METHOD_OTHER);
	assert_int_equal(scan_method("SUBSCRIBE", 9), SIP_METHOD_OTHER);
	assert_int_equal(scan_method("PRACK", 5), SIP_METHOD_OTHER);
	for (int a = 0; a < SCAN_RESULTS; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(scan_result_name(a), scan_result_name(b));
	assert_string_equal(scan_result_name(SCAN_RESULTS), "unknown");
	assert_string_equal(scan_method_name(SIP_METHOD_OTHER + 1), "unknown");
}

static const char *const seeds[] = {
	"kamailio-200-register.dat",
	"kamailio-401.dat",
	"kamailio-200-many-contacts.dat",
	"opensips-503.dat",
	"request-notify.dat",
	"request-register-compact.dat",
};

/* Every prefix, in memory of exactly its size, so that a read beyond it is seen. */
static void every_truncation(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
		struct sip_message m = scan_file(seeds[s]);
		size_t whole = m.length, headers = whole - m.body.length;
		for (size_t length = 0; length < whole; length++) {
			enum scan_result result = check_scan(file_bytes, length, &m);
			assert_true(result != SCAN_OK);
			if (length >= headers)
				assert_int_equal(result, SCAN_CONTENT_LENGTH);
		}
	}
}

static void every_mutation(void **state)
{
	(void)state;
	static const char bytes[] = "\0\r\n\t \",;:<>=@[]()*/\\?%09azAZ\x7f\x80\xff";
	for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
		struct sip_message m = scan_file(seeds[s]);
		size_t length = m.length;
		for (size_t at = 0; at < length; at++) {
			char kept = file_bytes[at];
			for (size_t b = 0; b < sizeof(bytes) - 1; b++) {
				file_bytes[at] = bytes[b];
				check_scan(file_bytes, length, &m);
			}
			file_bytes[at] = kept;
		}
	}
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
	return *x;
}

/* Several changes at once: bytes replaced, pieces cut, doubled or moved. */
static void random_damage(void **state)
{
	(void)state;
	const char *chosen = getenv("SCAN_SEED");
	uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : 0x5ca9d1e5ull, x = seed;
	static char text[4096];
	print_message("SCAN_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 30000; round++) {
		struct sip_message m = scan_file(seeds[next_random(&x) % 6]);
		size_t length = m.length;
		memcpy(text, file_bytes, length);
		for (int change = 1 + (int)(next_random(&x) % 4); change > 0; change--) {
			size_t at = next_random(&x) % length;
			size_t n = next_random(&x) % 40, from = next_random(&x) % length;
			if (at + n > length)
				n = length - at;
			if (from + n > length)
				n = length - from;
			if (next_random(&x) & 1)
				memmove(text + at, text + from, n);
			else
				text[at] = (char)next_random(&x);
		}
		check_scan(text, length, &m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kamailio_ok),
		cmocka_unit_test(kamailio_challenges),
		cmocka_unit_test(kamailio_many_contacts),
		cmocka_unit_test(asterisk),
		cmocka_unit_test(freeswitch),
		cmocka_unit_test(opensips),
		cmocka_unit_test(notify),
		cmocka_unit_test(compact_register),
		cmocka_unit_test(every_result),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(longest_datagram),
		cmocka_unit_test(folds_everywhere),
		cmocka_unit_test(first_number_counts_and_saturates),
		cmocka_unit_test(contacts),
		cmocka_unit_test(uris),
		cmocka_unit_test(methods_and_names),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(every_mutation),
		cmocka_unit_test(random_damage),
	};
	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
