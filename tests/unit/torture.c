/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages of RFC 4475 (tests/torture): every valid one is taken with the right values, every
 * other one has its expected result here, with the reason where a phone takes what others must
 * refuse.
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

#define MESSAGE_MAX 8192

/* Strings are NULL where the value is absent. */
struct valid {
	const char *file;
	uint16_t status;
	enum sip_method method;
	const char *method_text;
	uint32_t cseq, max_forwards;
	const char *uri, *call_id, *from_uri, *from_tag, *to_uri, *to_tag;
	unsigned vias;
	const char *host, *branch;
	uint16_t port;
	unsigned contacts;
	const char *contact; /* addr-spec of the last Contact; NULL: no Contact */
	unsigned body;
};

#define CALLER "amazinglylongcallername"
#define CALLER5 CALLER CALLER CALLER CALLER CALLER
#define T982_5 "982982982982982"
#define T982_50 T982_5 T982_5 T982_5 T982_5 T982_5 T982_5 T982_5 T982_5 T982_5 T982_5
#define REALLY5 "reallyreallyreallyreallyreally"
#define LONG5 "longlonglonglonglong"
#define LONG25 LONG5 LONG5 LONG5 LONG5 LONG5
#define NAME5 "namenamenamenamename"
#define NAME25 NAME5 NAME5 NAME5 NAME5 NAME5
#define ODD_USER "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
#define ODD_METHOD "!interesting-Method0123456789_*+`.%indeed'~"

static const struct valid valid[] = {
	/* 3.1.1.1 folds, escapes, white space, both list forms, compact names. */
	{"wsinv", 0, SIP_INVITE, "INVITE", 9, 68, "sip:vivekg@chair-dnrc.example.com;unknownparam",
		"wsinv.ndaksdj@192.0.2.1", "sip:jdrosen@example.com", "98asjd8",
		"sip:vivekg@chair-dnrc.example.com", "1918181833n", 3, "192.0.2.2", "390skdjuw", 0,
		1, "sip:jdrosen@example.com", 150},
	/* 3.1.1.2 the widest range of characters: escaped BEL, NUL and DEL, UTF-8, odd tokens. */
	{"intmeth", 0, SIP_METHOD_OTHER, ODD_METHOD, 139122385, 255,
		ODD_USER ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
		"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "sip:mundane@example.com",
		"_token~1'+`*%!-.", ODD_USER "@example.com", NULL, 1, "host1.example.com",
		"z9hG4bK-.!%66*_+`'~", 0, 0, NULL, 0},
	/* 3.1.1.3 percent escapes stay as they are. */
	{"esc01", 0, SIP_INVITE, "INVITE", 234234, 87, "sip:sips%3Auser%40example.com@example.net",
		"esc01.239409asdfakjkn23onasd0-3234", "sip:I%20have%20spaces@example.net", "938",
		"sip:%75se%72@example.com", NULL, 1, "host5.example.net", "z9hG4bKkdjuw", 0, 1,
		"sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31", 150},
	/* 3.1.1.4 escaped NULs: two Contacts that differ. */
	{"escnull", 0, SIP_REGISTER, "REGISTER", 14398234, 70, "sip:example.com",
		"escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd", "sip:null-%00-null@example.com",
		"839923423", "sip:null-%00-null@example.com", NULL, 1, "host5.example.com",
		"z9hG4bKkdjuw", 0, 2, "sip:%00%00@host5.example.com", 0},
	/* 3.1.1.5 a percent sign that escapes nothing: neither the method nor the header is known.
	 */
	{"esc02", 0, SIP_METHOD_OTHER, "RE%47IST%45R", 29344, 70, "sip:registrar.example.com",
		"esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf", "sip:resource@example.com",
		"f232jadfj23", "sip:resource@example.com", NULL, 1, "host.example.com",
		"z9hG4bK209%fzsnel234", 0, 2, "sip:alias3@host3.example.com", 0},
	/* 3.1.1.6 nothing between display name and bracket. */
	{"lwsdisp", 0, SIP_OPTIONS, "OPTIONS", 60, 70, "sip:user@example.com",
		"lwsdisp.1234abcd@funky.example.com", "sip:caller@example.com", "323",
		"sip:user@example.com", NULL, 1, "funky.example.com", "z9hG4bKkdjuw", 0, 0, NULL,
		0},
	/* 3.1.1.7 long values and 34 Via; the topmost has no branch. */
	{"longreq", 0, SIP_INVITE, "INVITE", 3882340, 70, "sip:user@example.com",
		"longreq.one" REALLY5 REALLY5 REALLY5 REALLY5 "longcallid",
		"sip:" CALLER5 "@example.net", "12" T982_50 "424",
		"sip:user@example.com:6000;unknownparam1=very" LONG5 LONG5 LONG5 LONG5
		"value;longparam" NAME25 "=shortvalue;very" LONG25 "ParameterNameWithNoValue",
		NULL, 34, "sip33.example.com", NULL, 0, 1, "sip:" CALLER5 "@host5.example.net",
		150},
	/* 3.1.1.8 octets behind the message are not part of it. */
	{"dblreq", 0, SIP_REGISTER, "REGISTER", 8, 8, "sip:example.com",
		"dblreq.0ha0isndaksdj99sdfafnl3lk233412", "sip:j.user@example.com", "43251j3j324",
		"sip:j.user@example.com", NULL, 1, "192.0.2.125", "z9hG4bKkdjuw23492", 0, 1,
		"sip:j.user@host.example.com", 0},
	/* 3.1.1.9 semicolons in a user part. */
	{"semiuri", 0, SIP_OPTIONS, "OPTIONS", 8, 3, "sip:user;par=u%40example.net@example.com",
		"semiuri.0ha0isndaksdj", "sip:caller@example.org", "33242",
		"sip:j_user@example.com", NULL, 1, "192.0.2.1", "z9hG4bKkdjuw", 0, 0, NULL, 0},
	/* 3.1.1.10 transports nobody knows. */
	{"transports", 0, SIP_OPTIONS, "OPTIONS", 60, 70, "sip:user@example.com",
		"transports.kijh4akdnaqjkwendsasfdj", "sip:caller@example.com", "323",
		"sip:user@example.com", NULL, 5, "t1.example.com", "z9hG4bKkdjuw", 0, 0, NULL, 0},
	/* 3.1.1.11 a binary body, and two octets behind it. */
	{"mpart01", 0, SIP_METHOD_OTHER, "MESSAGE", 1, 70, "sip:kumiko@example.org",
		"3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..", "sip:fluffy@example.com",
		"2fb0dcc9", "sip:kumiko@example.org", NULL, 1, "127.0.0.1",
		"z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-", 5070, 1, "sip:fluffy@127.0.0.1:5070",
		553},
	/* 3.1.1.12 a reason in UTF-8. */
	{"unreason", 200, SIP_INVITE, "INVITE", 35, SCAN_ABSENT, NULL,
		"unreason.1234ksdfak3j2erwedfsASdf", "sip:user@example.com", "11141343",
		"sip:user@example.edu", "2229", 1, "192.0.2.198", "z9hG4bK1324923", 0, 1,
		"sip:user@host198.example.com", 154},
	/* 3.1.1.13 no reason at all. */
	{"noreason", 100, SIP_INVITE, "INVITE", 35, SCAN_ABSENT, NULL,
		"noreason.asndj203insdf99223ndf", "sip:user@example.com", "39ansfi3",
		"sip:user@example.edu", "902jndnke3", 1, "192.0.2.105", "z9hG4bK2398ndaoe", 0, 1,
		"sip:user@host105.example.com", 0},

	/* 3.1.2.11 headers escaped in the Request-URI: the phone answers by method, whatever the
	   URI. */
	{"escruri", 0, SIP_INVITE, "INVITE", 149209342, 7,
		"sip:user@example.com?Route=%3Csip:example.com%3E",
		"escruri.23940-asdfhj-aje3br-234q098w-fawerh2q-h4n5", "sip:caller@example.net",
		"341518", "sip:user@example.com", NULL, 1, "host-of-the-hour.example.com",
		"z9hG4bKkdjuw", 0, 1, "sip:caller@host39923.example.net", 150},
	/* 3.1.2.12 a time zone that Date does not allow: nobody here reads Date. */
	{"baddate", 0, SIP_INVITE, "INVITE", 1392934, 70, "sip:user@example.com",
		"baddate.239423mnsadf3j23lj42--sedfnm234", "sip:caller@example.net", "2234923",
		"sip:user@example.com", NULL, 1, "host.example.com", "z9hG4bKkdjuw", 0, 1,
		"sip:caller@host5.example.net", 150},
	/* 3.2.1 a branch that is only the cookie: whose transaction it is, is judged by its reader.
	 */
	{"badbranch", 0, SIP_OPTIONS, "OPTIONS", 8, 3, "sip:user@example.com",
		"badbranch.sadonfo23i420jv0as0derf3j3n", "sip:caller@example.org", "33242",
		"sip:user@example.com", NULL, 1, "192.0.2.1", "z9hG4bK", 0, 0, NULL, 0},
	/* 3.3.2 to 3.3.4 other schemes are well formed; scan_uri refuses them. */
	{"unkscm", 0, SIP_OPTIONS, "OPTIONS", 3923423, 3,
		"nobodyKnowsThisScheme:totallyopaquecontent", "unkscm.nasdfasser0q239nwsdfasdkl34",
		"sip:caller@example.net", "384", "sip:user@example.com", NULL, 1,
		"host9.example.com", "z9hG4bKkdjuw39234", 0, 0, NULL, 0},
	{"novelsc", 0, SIP_OPTIONS, "OPTIONS", 3923423, 3, "soap.beep://192.0.2.103:3002",
		"novelsc.asdfasser0q239nwsdfasdkl34", "sip:caller@example.net", "384",
		"sip:user@example.com", NULL, 1, "host9.example.com", "z9hG4bKkdjuw39234", 0, 0,
		NULL, 0},
	{"unksm2", 0, SIP_REGISTER, "REGISTER", 234902, 70, "sip:example.com",
		"unksm2.daksdj@hyphenated-host.example.com", "http://www.example.com", "3234233",
		"isbn:2983792873", NULL, 1, "192.0.2.21", "z9hG4bKkdjuw", 5060, 1,
		"name:John_Smith", 0},
	/* 3.3.5 Require is handed on (see the test below); refusing is the reader's business. */
	{"bext01", 0, SIP_OPTIONS, "OPTIONS", 8, 6, "sip:user@example.com", "bext01.0ha0isndaksdj",
		"sip:caller@example.net", "242etr", "sip:j_user@example.com", NULL, 1,
		"fold-and-staple.example.com", "z9hG4bKkdjuw", 0, 0, NULL, 0},
	/* 3.3.6 a body of unknown type: bodies are not looked into. */
	{"invut", 0, SIP_INVITE, "INVITE", 235448, 70, "sip:user@example.com",
		"invut.0ha0isndaksdjadsfij34n23d", "sip:caller@example.net", "8392034",
		"sip:j.user@example.com", NULL, 1, "somehost.example.com", "z9hG4bKkdjuw", 0, 1,
		"sip:caller@host5.example.net", 40},
	/* 3.3.7 an unknown scheme of credentials is the registrar's to refuse. */
	{"regaut01", 0, SIP_REGISTER, "REGISTER", 9338, 8, "sip:example.com",
		"regaut01.0ha0isndaksdj", "sip:j.user@example.com", "87321hj23128",
		"sip:j.user@example.com", NULL, 1, "192.0.2.253", "z9hG4bKkdjuw", 0, 0, NULL, 0},
	/* 3.3.10 a broadcast address in a Via below the top: only the number of Via is of interest.
	 */
	{"bcast", 200, SIP_INVITE, "INVITE", 35, SCAN_ABSENT, NULL,
		"bcast.0384840201234ksdfak3j2erwedfsASdf", "sip:user@example.com", "11141343",
		"sip:user@example.edu", "2229", 2, "192.0.2.198", "z9hG4bK1324923", 0, 1,
		"sip:user@host28.example.com", 154},
	/* 3.3.11 Max-Forwards 0 concerns proxies. */
	{"zeromf", 0, SIP_OPTIONS, "OPTIONS", 39234321, 0, "sip:user@example.com",
		"zeromf.jfasdlfnm2o2l43r5u0asdfas", "sip:caller@example.net", "3ghsd41",
		"sip:user@example.com", NULL, 1, "host1.example.com", "z9hG4bKkdjuw2349i", 0, 0,
		NULL, 0},
	/* 3.3.12 and 3.3.13 the same text as header and as URI parameter. */
	{"cparam01", 0, SIP_REGISTER, "REGISTER", 2, 70, "sip:example.com",
		"cparam01.70710@saturn.example.com", "sip:watson@example.com", "DkfVgjkrtMwaerKKpe",
		"sip:watson@example.com", NULL, 1, "saturn.example.com", "z9hG4bKkdjuw", 5060, 1,
		"sip:+19725552222@gw1.example.net", 0},
	{"cparam02", 0, SIP_REGISTER, "REGISTER", 3, 70, "sip:example.com",
		"cparam02.70710@saturn.example.com", "sip:watson@example.com", "838293",
		"sip:watson@example.com", NULL, 1, "saturn.example.com", "z9hG4bKkdjuw", 5060, 1,
		"sip:+19725552222@gw1.example.net;unknownparam", 0},
	/* 3.3.14 headers escaped in a bracketed Contact URI are part of it. */
	{"regescrt", 0, SIP_REGISTER, "REGISTER", 14398234, 70, "sip:example.com",
		"regescrt.k345asrl3fdbv@192.0.2.1", "sip:user@example.com", "8",
		"sip:user@example.com", NULL, 1, "host5.example.com", "z9hG4bKkdjuw", 0, 1,
		"sip:user@example.com?Route=%3Csip:sip.example.com%3E", 0},
	/* 3.3.15 Accept without what the answer needs: Accept is not read. */
	{"sdp01", 0, SIP_INVITE, "INVITE", 8, 5, "sip:user@example.com", "sdp01.ndaksdj9342dasdd",
		"sip:caller@example.net", "234", "sip:j_user@example.com", NULL, 1, "192.0.2.15",
		"z9hG4bKkdjuw", 0, 1, "sip:caller@host15.example.net", 150},
	/* 3.4.1 RFC 2543: no branch, no From tag, no Max-Forwards, no Content-Length. */
	{"inv2543", 0, SIP_INVITE, "INVITE", 56, SCAN_ABSENT, "sip:UserB@example.com",
		"inv2543.1717@ift.client.example.com",
		"sip:+13035551111@ift.client.example.net;user=phone", NULL,
		"sip:+16505552222@ss1.example.net", NULL, 1, "iftgw.example.com", NULL, 0, 0, NULL,
		105},
};

static const struct {
	const char *file;
	enum scan_result result;
} invalid[] = {
	{"badinv01", SCAN_PARAMETER},   /* 3.1.2.1 separators with nothing between them */
	{"clerr", SCAN_CONTENT_LENGTH}, /* 3.1.2.2 more body promised than there is */
	{"ncl", SCAN_CONTENT_LENGTH},   /* 3.1.2.3 negative */
	{"scalar02", SCAN_CSEQ},        /* 3.1.2.4 numbers too large, in a request */
	{"scalarlg", SCAN_CSEQ},        /* 3.1.2.5 and in a response */
	{"quotbal", SCAN_PARAMETER},    /* 3.1.2.6 a quoted string without end */
	{"ltgtruri", SCAN_START_LINE},  /* 3.1.2.7 Request-URI in brackets */
	{"lwsruri", SCAN_START_LINE},   /* 3.1.2.8 white space in the Request-URI */
	{"lwsstart", SCAN_START_LINE},  /* 3.1.2.9 two spaces in the Request-Line */
	{"trws", SCAN_START_LINE},      /* 3.1.2.10 spaces at its end */
	{"badaspec", SCAN_PARAMETER},   /* 3.1.2.14 white space inside <> */
	{"baddn", SCAN_PARAMETER},      /* 3.1.2.15 a comma in a display name without quotes */
	{"badvers", SCAN_START_LINE},   /* 3.1.2.16 SIP/7.0 */
	{"mismatch01", SCAN_CSEQ},      /* 3.1.2.17 method of CSeq is another one */
	{"mismatch02", SCAN_CSEQ},      /* 3.1.2.18 the same, unknown method */
	{"bigcode", SCAN_START_LINE},   /* 3.1.2.19 status code over 699 */
	{"insuf", SCAN_MISSING},        /* 3.3.1 no Call-ID, From, To */
	{"multi01", SCAN_DUPLICATE},    /* 3.3.8 single-value headers twice */
	{"mcl01", SCAN_DUPLICATE},      /* 3.3.9 two Content-Length */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char bytes[MESSAGE_MAX];

static size_t load(const char *file)
{
	char name[64];
	snprintf(name, sizeof(name), "%s.dat", file);
	return check_load(TESTS_DIR "/torture", name, bytes, sizeof(bytes));
}

static struct sip_message scan_file(const char *file)
{
	struct sip_message m;
	size_t length = load(file);
	enum scan_result result = check_scan(bytes, length, &m);
	if (result != SCAN_OK)
		fail_msg("%s: %s", file, scan_result_name(result));
	return m;
}

static void assert_text_or_absent(const struct sip_message *m, struct span span, const char *text)
{
	if (text)
		assert_text(m, span, text);
	else
		assert_absent(span);
}

static void check_valid(const struct valid *v)
{
	print_message("%s\n", v->file);
	struct sip_message m = scan_file(v->file);
	assert_int_equal(m.status, v->status);
	assert_int_equal(m.method, v->method);
	assert_text(&m, m.method_text, v->method_text);
	assert_int_equal(m.cseq, v->cseq);
	assert_true(m.max_forwards == v->max_forwards);
	assert_text_or_absent(&m, m.uri, v->uri);
	assert_text(&m, m.call_id, v->call_id);
	assert_text(&m, m.from_uri, v->from_uri);
	assert_text_or_absent(&m, m.from_tag, v->from_tag);
	assert_text(&m, m.to_uri, v->to_uri);
	assert_text_or_absent(&m, m.to_tag, v->to_tag);
	assert_int_equal(m.vias, v->vias);
	assert_text(&m, m.via_host, v->host);
	assert_text_or_absent(&m, m.via_branch, v->branch);
	assert_int_equal(m.via_port, v->port);
	assert_int_equal(m.contacts, v->contacts);
	assert_int_equal(m.body.length, v->body);
	if (!v->contact)
		return;
	struct sip_contact contact;
	assert_true(scan_contact(&m, m.contact[m.contacts - 1], &contact));
	assert_text(&m, contact.uri, v->contact);
}

static void valid_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		check_valid(&valid[i]);
}

static void invalid_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		struct sip_message m;
		size_t length = load(invalid[i].file);
		enum scan_result result = check_scan(bytes, length, &m);
		if (result != invalid[i].result)
			fail_msg("%s: %s", invalid[i].file, scan_result_name(result));
	}
	/* 49 messages in all; regbadct has a test of its own. */
	assert_int_equal(COUNT(valid) + COUNT(invalid) + 1, 49);
}

static void details(void **state)
{
	(void)state;
	struct sip_message m = scan_file("wsinv");
	assert_text(&m, m.via[0], "SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw");
	assert_text(&m, m.via[1],
		"SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8");
	assert_text(&m, m.via[2],
		"SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239");
	m = scan_file("intmeth");
	struct sip_uri uri;
	assert_true(scan_uri(&m, m.uri, &uri));
	assert_text(&m, uri.user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
	assert_text(&m, uri.host, "example.com");
	static const char display[] = "\"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <";
	assert_memory_equal(span_text(&m, m.to), display, sizeof(display) - 1);
	m = scan_file("semiuri");
	assert_true(scan_uri(&m, m.uri, &uri));
	assert_text(&m, uri.user, "user;par=u%40example.net");
	m = scan_file("transports");
	assert_text(&m, m.via[3], "SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en");
	m = scan_file("mpart01");
	assert_true(m.rport);
	assert_non_null(memchr(span_text(&m, m.body), 0, m.body.length));
	m = scan_file("unreason");
	assert_memory_equal(span_text(&m, m.reason), "= 2**3 * 5**2 \xd0\xbd", 16);
	m = scan_file("noreason");
	assert_int_equal(m.reason.length, 0);
	m = scan_file("bext01");
	assert_text(&m, m.require, "nothingSupportsThis, nothingSupportsThisEither");
	m = scan_file("regaut01");
	assert_int_equal(m.credentials, 1);
	assert_text(&m, m.credential[0], "NoOneKnowsThisScheme opaque-data=here");
	m = scan_file("unkscm");
	assert_false(scan_uri(&m, m.uri, &uri));
	m = scan_file("novelsc");
	assert_false(scan_uri(&m, m.uri, &uri));
}

/* 3.1.2.13: the message stands, its Contact is malformed; the registrar answers 400 to it. */
static void contact_without_brackets(void **state)
{
	(void)state;
	struct sip_message m = scan_file("regbadct");
	struct sip_contact contact;
	assert_int_equal(m.method, SIP_REGISTER);
	assert_int_equal(m.contacts, 1);
	assert_false(scan_contact(&m, m.contact[0], &contact));
}

/* The numbers of scalar02 and scalarlg once their CSeq is repaired: taken at their largest. */
static void overlarge_numbers_saturate(void **state)
{
	(void)state;
	static const char cseq[] = "CSeq: 36893488147419103232 REGISTER\r\n";
	size_t length = load("scalar02");
	char *at = memmem(bytes, length, cseq, sizeof(cseq) - 1);
	assert_non_null(at);
	memset(at + 6, '0', 20);
	struct sip_message m;
	assert_int_equal(check_scan(bytes, length, &m), SCAN_OK);
	assert_int_equal(m.cseq, 0);
	assert_true(m.expires == UINT32_MAX - 1);
	assert_int_equal(m.max_forwards, 300);
	struct sip_contact contact;
	assert_true(scan_contact(&m, m.contact[0], &contact));
	assert_true(contact.expires == UINT32_MAX - 1);
}

static void survive(const char *file)
{
	static const char damage[] = "\0\r\n\t \",;:<=[]*\\a\xff";
	struct sip_message m;
	size_t length = load(file);
	for (size_t cut = 0; cut < length; cut++)
		check_scan(bytes, cut, &m);
	for (size_t at = 0; at < length; at++) {
		char kept = bytes[at];
		for (size_t i = 0; i < sizeof(damage) - 1; i++) {
			bytes[at] = damage[i];
			check_scan(bytes, length, &m);
		}
		bytes[at] = kept;
	}
}

static void truncated_and_mutated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		survive(valid[i].file);
	for (size_t i = 0; i < COUNT(invalid); i++)
		survive(invalid[i].file);
	survive("regbadct");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_ones),
		cmocka_unit_test(invalid_ones),
		cmocka_unit_test(details),
		cmocka_unit_test(contact_without_brackets),
		cmocka_unit_test(overlarge_numbers_saturate),
		cmocka_unit_test(truncated_and_mutated),
	};
	return cmocka_run_group_tests_name("torture", tests, NULL, NULL);
}
