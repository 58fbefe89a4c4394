/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small herd driven through its three calls, for what the scenes of tests/sim/decisions.c leave
 * out: clocks that wrap, stalls, a wheel that is full, commands that are refused, phones that are
 * off, the spelling of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yard.h"

/* ---- time ---- */

/* RFC 3261 section 17.1.2.2: timer E is first set to T1, only then to min(2 T1, T2). */
static void t1_may_exceed_t2(void **state)
{
	static const uint64_t instant_ms[] = {0, 10000, 14000, 18000, 22000, 26000, 30000};
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.timers.t1_ms = 10000;
	open_yard(&yard);
	run_to_ms(&yard, 31999, false);
	assert_int_equal(yard.count, 7);
	for (unsigned i = 0; i < yard.count; i++)
		assert_int_equal(yard.sent[i].at_us, instant_ms[i] * 1000);
	close_yard(&yard);
}

/* 32-bit milliseconds turn over after 49.7 days: the grid and the refreshes go on. */
static void milliseconds_wrap(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.keepalive_period_ms = 300000;
	yard.config.expires_s = 86400;
	open_yard(&yard);
	run_to_ms(&yard, UINT32_MAX - 86400000ull, true);
	uint64_t options = herd_counters(yard.herd)->options_answered;
	uint64_t registers = herd_counters(yard.herd)->register_ok;
	run_to_ms(&yard, UINT32_MAX + 86400000ull, true);
	assert_int_equal(herd_counters(yard.herd)->options_answered - options, 2 * 86400 / 300);
	assert_int_equal(herd_counters(yard.herd)->register_ok - registers, 4);
	assert_int_equal(herd_counters(yard.herd)->options_silent, 0);
	assert_int_equal(herd_counters(yard.herd)->options_retransmitted, 0);
	close_yard(&yard);
}

/* A proxy may ask for a wait of 136 years; more than 11 days are never waited for. */
static void retry_after_beyond_the_clock(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	answer(&yard, last_sent(&yard), 503, "Retry-After: 4294967294\r\n");
	assert_int_equal(state_of(&yard, 0), PHONE_WAITING);
	run_to_ms(&yard, 999999999, false);
	assert_int_equal(yard.count, 1);
	run_to_ms(&yard, 1000000000, false);
	assert_int_equal(yard.count, 2);
	close_yard(&yard);
}

/* After a stall a phone is not made to send all that it has missed. */
static void a_stall_is_not_made_up_for(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	stall_to_ms(&yard, 20000);
	assert_int_equal(yard.count, 2);
	/* 21, 23, 27 and 31 s. */
	run_to_ms(&yard, 31999, false);
	assert_int_equal(yard.count, 6);
	close_yard(&yard);
}

/* The shortest period and a long stall: what has gone by is counted, and costs nothing. */
static void ticks_missed_in_a_stall_are_skipped(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.keepalive_period_ms = 7;
	yard.config.expires_s = 1000000;
	open_yard(&yard);
	run_to_ms(&yard, 7, true);
	assert_int_equal(herd_counters(yard.herd)->options_answered, 1);
	stall_to_ms(&yard, 10000);
	/* The tick of 14 ms is late; those of 21 ms to 9996 ms are gone; the next is on the grid. */
	assert_int_equal(herd_counters(yard.herd)->options_skipped, 1426);
	assert_int_equal(herd_counters(yard.herd)->options_sent, 2);
	answer_all(&yard);
	run_to_ms(&yard, 10002, true);
	assert_int_equal(herd_counters(yard.herd)->options_sent, 2);
	run_to_ms(&yard, 10003, true);
	assert_int_equal(herd_counters(yard.herd)->options_sent, 3);
	close_yard(&yard);
}

/* With a jitter of 100 % the draw may be zero: the grid moves on all the same. */
static void full_jitter_moves_on(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 20);
	yard.config.keepalive_period_ms = 10;
	yard.config.keepalive_jitter_percent = 100;
	open_yard(&yard);
	run_to_ms(&yard, 2000, true);
	assert_in_range(herd_counters(yard.herd)->options_answered, 20 * 100, 20 * 400);
	close_yard(&yard);
}

/* ---- the wheel ---- */

/* Reboots leave entries behind in the wheel. However many, no phone is forgotten. */
static void no_phone_is_lost_in_a_full_wheel(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, PHONES_MAX);
	yard.config.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	open_yard(&yard);
	for (uint64_t at_ms = 0; at_ms < 20000; at_ms += 600) {
		run_to_ms(&yard, at_ms, true);
		order(&yard, HERD_POWER_CUT, 0);
	}
	run_to_ms(&yard, 20000, true);
	uint64_t options = herd_counters(yard.herd)->options_answered;
	/* From the second minute on every phone sends one keep-alive in each period again. */
	run_to_ms(&yard, 140000, true);
	assert_int_equal(
		herd_population(yard.herd)->phones[PHONE_REGISTERED][PROXY_PRIMARY], PHONES_MAX);
	assert_in_range(herd_counters(yard.herd)->options_answered - options, PHONES_MAX * 19 / 10,
		PHONES_MAX * 22 / 10);
	options = herd_counters(yard.herd)->options_answered;
	run_to_ms(&yard, 200000, true);
	assert_int_equal(herd_counters(yard.herd)->options_answered - options, PHONES_MAX);
	close_yard(&yard);
}

/* ---- commands ---- */

static void a_refused_command_changes_nothing(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.ramp_per_s = 1;
	open_yard(&yard);
	struct herd_command command = {.kind = HERD_REBOOT};
	while (herd_command(yard.herd, &command, yard.now_us))
		;
	command.kind = HERD_DISABLE_REDUNDANCY;
	assert_false(herd_command(yard.herd, &command, yard.now_us));
	command.kind = HERD_STOP;
	assert_false(herd_command(yard.herd, &command, yard.now_us));
	/* The ramp has not been stopped, and silence still leads to the other proxy. */
	run_to_ms(&yard, 32000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_REDUNDANT);
	close_yard(&yard);
}

/* ---- power ---- */

static void incoming(struct yard *yard, const char *method, const char *via)
{
	char text[1000];
	int n = snprintf(text, sizeof(text),
		"%s sip:u0@10.20.0.1:5060 SIP/2.0\r\nVia: %s\r\nFrom: <sip:a@b>;tag=x\r\n"
		"To: <sip:u0@lab>\r\nCall-ID: c\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
		method, via, method);
	herd_datagram(yard->herd, 0, PROXY_PRIMARY, text, (size_t)n, yard->now_us);
}

/* A phone without power does not answer. */
static void a_phone_that_is_off_is_silent(void **state)
{
	static const char via[] = "SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa";
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.ramp_per_s = 1;
	open_yard(&yard);
	incoming(&yard, "OPTIONS", via);
	assert_int_equal(yard.count, 0);
	run_to_ms(&yard, 10, true);
	order(&yard, HERD_POWER_CUT, 1000000);
	settle(&yard);
	assert_int_equal(state_of(&yard, 0), PHONE_BOOT);
	yard.count = yard.seen = 0;
	incoming(&yard, "OPTIONS", via);
	assert_int_equal(yard.count, 0);
	order(&yard, HERD_STOP, 0);
	settle(&yard);
	incoming(&yard, "INVITE", via);
	assert_int_equal(yard.count, 0);
	assert_int_equal(herd_counters(yard.herd)->request_while_off, 3);
	assert_int_equal(herd_counters(yard.herd)->request_options, 0);
	close_yard(&yard);
}

#define CHALLENGE "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n"

/* A nonce lives in the phone's memory: the first REGISTER after a reboot goes without, the Expires 0
 * before it goes with. */
static void a_reboot_forgets_the_nonce(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.unregister = true;
	open_yard(&yard);
	settle(&yard);
	answer(&yard, last_sent(&yard), 401, CHALLENGE);
	assert_non_null(strstr(last_sent(&yard)->text, "nc=00000001"));
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	order(&yard, HERD_REBOOT, 0);
	settle(&yard);
	assert_non_null(strstr(last_sent(&yard)->text, "Expires: 0\r\n"));
	assert_non_null(strstr(last_sent(&yard)->text, "nc=00000002"));
	answer(&yard, last_sent(&yard), 200, "");
	assert_non_null(strstr(last_sent(&yard)->text, "Expires: 3600\r\n"));
	assert_null(strstr(last_sent(&yard)->text, "Authorization"));
	answer(&yard, last_sent(&yard), 401, CHALLENGE);
	assert_non_null(strstr(last_sent(&yard)->text, "nc=00000001"));
	close_yard(&yard);
}

/* ... and so does what it knew of failures. */
static void a_reboot_forgets_the_backoff(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.backoff_rfc5626 = true;
	open_yard(&yard);
	run_to_ms(&yard, 600000, false);
	order(&yard, HERD_POWER_CUT, 0);
	settle(&yard);
	uint64_t boot_ms = yard.now_us / 1000;
	enum proxy first = last_sent(&yard)->proxy;
	run_to_ms(&yard, boot_ms + 32000, false);
	assert_int_equal(last_sent(&yard)->at_us, (boot_ms + 32000) * 1000);
	assert_int_not_equal(last_sent(&yard)->proxy, first);
	close_yard(&yard);
}

/* ---- the books ---- */

/* A transaction whose first datagram found no buffer is sent when its next one does. */
static void a_late_datagram_is_sent_once(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	yard.full = true;
	settle(&yard);
	yard.full = false;
	run_to_ms(&yard, 500, true);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	const struct herd_counters *c = herd_counters(yard.herd);
	assert_int_equal(c->not_sent, 1);
	assert_int_equal(c->register_sent, 1);
	assert_int_equal(c->register_retransmitted, 0);
	run_to_ms(&yard, 60499, true);
	yard.full = true;
	run_to_ms(&yard, 60500, true);
	yard.full = false;
	run_to_ms(&yard, 63000, false);
	assert_int_equal(c->not_sent, 2);
	assert_int_equal(c->options_sent, 1);
	/* Timer E counts from the datagram of 61 s: 61.5 s, 62.5 s. */
	assert_int_equal(c->options_retransmitted, 2);
	answer_all(&yard);
	assert_int_equal(c->options_answered, 1);
	close_yard(&yard);
}

/* ---- lengths ---- */

static char *filled(char *text, char with, size_t length)
{
	memset(text, with, length);
	text[length] = '\0';
	return text;
}

/* Every part as long as it may be: names, address, and what a proxy puts into its challenge. */
static void the_longest_register_fits(void **state)
{
	(void)state;
	struct yard yard;
	char user[65], auth[65], realm[129], nonce[257], opaque[257], headers[1000];
	defaults(&yard, 1);
	for (int i = 0; i < PROXIES; i++)
		assert_int_equal(address_parse("2001:db8::1", &yard.config.proxy[i].address), 0);
	filled(yard.config.domain, 'd', HERD_HOST_MAX - 1);
	filled(yard.config.user_agent, 'a', sizeof(yard.config.user_agent) - 1);
	open_yard_of(&yard, filled(user, 'u', 64), filled(auth, 'n', 64),
		"2001:1111:2222:3333:4444:5555:6666:7777 port 60000");
	settle(&yard);
	snprintf(headers, sizeof(headers),
		"Proxy-Authenticate: Digest realm=\"%s\", nonce=\"%s\", opaque=\"%s\", "
		"algorithm=SHA-256, qop=\"auth\"\r\nMin-Expires: 4294967294\r\n",
		filled(realm, 'r', 128), filled(nonce, 'n', 256), filled(opaque, 'o', 256));
	answer(&yard, last_sent(&yard), 407, headers);
	assert_int_equal(yard.count, 2);
	answer(&yard, last_sent(&yard), 423, headers);
	assert_int_equal(yard.count, 3);
	assert_non_null(strstr(last_sent(&yard)->text, "nc=00000002"));
	assert_non_null(strstr(last_sent(&yard)->text, "Expires: 4294967294\r\n"));
	close_yard(&yard);
}

/* ---- answers to requests ---- */

static void assert_via(const char *sent, const char *answered)
{
	struct yard yard;
	char line[200];
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	incoming(&yard, "OPTIONS", sent);
	assert_memory_equal(last_sent(&yard)->text, "SIP/2.0 200 OK\r\n", 16);
	snprintf(line, sizeof(line), "\r\nVia: %s\r\n", answered);
	if (strstr(last_sent(&yard)->text, line) == NULL)
		fail_msg("no \"%s\" in\n%s", answered, last_sent(&yard)->text);
	close_yard(&yard);
}

/* RFC 3261 section 18.2.1: a sent-by that is not the source address gets received, with or without
 * rport. RFC 3581 section 4: rport, however it is spaced, gets its value, and always received. */
static void the_topmost_via_tells_the_source(void **state)
{
	(void)state;
	assert_via(
		"SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa", "SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa");
	assert_via("SIP/2.0/UDP proxy.lab;branch=z9hG4bKa",
		"SIP/2.0/UDP proxy.lab;branch=z9hG4bKa;received=10.10.0.1");
	assert_via("SIP/2.0/UDP 10.10.0.9:5060;branch=z9hG4bKa",
		"SIP/2.0/UDP 10.10.0.9:5060;branch=z9hG4bKa;received=10.10.0.1");
	assert_via("SIP/2.0/UDP 10.10.0.1;rport;branch=z9hG4bKa",
		"SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa;received=10.10.0.1;rport=5060");
	assert_via("SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa ; rport ;a=b",
		"SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKa ;a=b;received=10.10.0.1;rport=5060");
	assert_via("SIP/2.0/UDP 10.10.0.1;rports;branch=z9hG4bKa",
		"SIP/2.0/UDP 10.10.0.1;rports;branch=z9hG4bKa");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_may_exceed_t2),
		cmocka_unit_test(milliseconds_wrap),
		cmocka_unit_test(retry_after_beyond_the_clock),
		cmocka_unit_test(a_stall_is_not_made_up_for),
		cmocka_unit_test(ticks_missed_in_a_stall_are_skipped),
		cmocka_unit_test(full_jitter_moves_on),
		cmocka_unit_test(no_phone_is_lost_in_a_full_wheel),
		cmocka_unit_test(a_refused_command_changes_nothing),
		cmocka_unit_test(a_phone_that_is_off_is_silent),
		cmocka_unit_test(a_reboot_forgets_the_nonce),
		cmocka_unit_test(a_reboot_forgets_the_backoff),
		cmocka_unit_test(a_late_datagram_is_sent_once),
		cmocka_unit_test(the_longest_register_fits),
		cmocka_unit_test(the_topmost_via_tells_the_source),
	};
	return cmocka_run_group_tests_name("herd", tests, NULL, NULL);
}
