/* SPDX-License-Identifier: BSD-3-Clause */
/* Outages of our own making, on the clock of a few phones: what is lost, what is late, whose and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yard.h"

#define ALL IMPAIRMENT_ALL_PPM

static void impair(struct yard *yard, enum proxy proxy, struct impairment impairment)
{
	const struct herd_command command = {
		.kind = HERD_IMPAIR, .proxy = (uint8_t)proxy, .impairment = impairment};
	assert_true(herd_command(yard->herd, &command, yard->now_us));
}

static uint32_t registered_at(const struct yard *yard, enum proxy proxy)
{
	return herd_population(yard->herd)->phones[PHONE_REGISTERED][proxy];
}

static void silence_costs_no_datagram_but_the_phone_its_proxy(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	assert_int_equal(registered_at(&yard, PROXY_PRIMARY), 1);
	const uint32_t before = yard.count;
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .loss_ppm = ALL});
	run_to_ms(&yard, 92000, true);
	assert_int_equal(registered_at(&yard, PROXY_REDUNDANT), 1);
	/* Eleven datagrams of one OPTIONS counted and none of them on the wire. */
	const struct herd_counters *c = herd_counters(yard.herd);
	assert_int_equal(yard.count - before, 1);
	assert_int_equal(c->options_sent + c->options_retransmitted, 11);
	assert_int_equal(c->impaired_sent, 11);
	assert_int_equal(c->not_sent, 0);
	impair(&yard, PROXY_PRIMARY, (struct impairment){0});
	run_to_ms(&yard, 152000, true);
	assert_int_equal(registered_at(&yard, PROXY_PRIMARY), 1);
	assert_int_equal(c->impaired_sent, 11);
	close_yard(&yard);
}

/* What was sent before the silence began is answered in vain. */
static void answers_are_lost_too(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	const struct sent first = *last_sent(&yard);
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .loss_ppm = ALL});
	answer(&yard, &first, 200, "");
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	assert_int_equal(herd_counters(yard.herd)->impaired_received, 1);
	/* The other proxy's datagrams are not concerned. */
	impair(&yard, PROXY_PRIMARY, (struct impairment){0});
	impair(&yard, PROXY_REDUNDANT, (struct impairment){.share_ppm = ALL, .loss_ppm = ALL});
	answer(&yard, &first, 200, "");
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	assert_int_equal(herd_counters(yard.herd)->impaired_received, 1);
	close_yard(&yard);
}

static void a_share_is_always_the_same_phones(void **state)
{
	(void)state;
	struct yard yard;
	static bool moved[PHONES_MAX];
	const uint32_t share[] = {100000, 300000, 300000};
	for (int round = 0; round < 3; round++) {
		uint32_t count = 0;
		defaults(&yard, PHONES_MAX);
		yard.config.seed += (uint64_t)round;
		open_yard(&yard);
		run_to_ms(&yard, 1000, true);
		impair(&yard, PROXY_PRIMARY,
			(struct impairment){.share_ppm = share[round], .loss_ppm = ALL});
		run_to_ms(&yard, 95000, true);
		for (uint32_t i = 0; i < PHONES_MAX; i++) {
			const bool is_away = phone_active(herd_phone(yard.herd, i)) ==
					     PROXY_REDUNDANT;
			count += is_away;
			assert_true(round < 2 ? is_away || !moved[i] : is_away == moved[i]);
			moved[i] = is_away;
		}
		/* Evenly spread: the tenth of a thousand is a hundred, give or take a few. */
		assert_in_range(count, share[round] / 1000 - 5, share[round] / 1000 + 5);
		close_yard(&yard);
	}
}

static void ask(struct yard *yard)
{
	static const char text[] = "OPTIONS sip:u0@10.20.0.0 SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP 10.10.0.1;branch=z9hG4bKq\r\n"
				   "From: <sip:p@lab>;tag=1\r\nTo: <sip:u0@lab>\r\n"
				   "Call-ID: q\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
				   "Content-Length: 0\r\n\r\n";
	herd_datagram(yard->herd, 0, PROXY_PRIMARY, text, sizeof(text) - 1, yard->now_us);
}

/* Half dead: one method is served and the other is not, and what is not ours to ask comes through. */
static void methods_are_told_apart(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	const struct herd_counters *c = herd_counters(yard.herd);
	struct impairment half = {
		.share_ppm = ALL, .loss_ppm = ALL, .methods = IMPAIRMENT_REGISTER};
	impair(&yard, PROXY_PRIMARY, half);
	run_to_ms(&yard, 100000, true);
	assert_int_equal(c->options_answered, 1);
	order(&yard, HERD_REREGISTER, 0);
	run_to_ms(&yard, 101000, true);
	assert_int_equal(c->register_ok, 1);
	assert_true(c->impaired_sent > 0);
	uint32_t count = yard.count;
	ask(&yard);
	assert_int_equal(c->request_options, 1);
	assert_int_equal(yard.count, count + 1);
	/* The reverse, with an answer that was on its way, */
	run_to_ms(&yard, 119999, true);
	const uint64_t received = c->impaired_received;
	run_to_ms(&yard, 120000, false);
	const struct sent options = *last_sent(&yard);
	assert_memory_equal(options.text, "OPTIONS", 7);
	half.methods = IMPAIRMENT_OPTIONS;
	impair(&yard, PROXY_PRIMARY, half);
	answer(&yard, &options, 200, "");
	assert_int_equal(c->impaired_received, received + 1);
	order(&yard, HERD_REREGISTER, 0);
	order(&yard, HERD_REBOOT, 0);
	run_to_ms(&yard, 121000, true);
	assert_int_equal(registered_at(&yard, PROXY_PRIMARY), 1);
	assert_int_equal(c->options_answered, 1);
	/* and all of it. */
	const uint64_t received_by_then = c->impaired_received;
	half.methods = 0;
	impair(&yard, PROXY_PRIMARY, half);
	ask(&yard);
	assert_int_equal(c->request_options, 1);
	assert_int_equal(c->impaired_received, received_by_then + 1);
	close_yard(&yard);
}

/* An answer of ours is lost like a request of ours. */
static void our_answers_are_lost(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	const struct herd_counters *c = herd_counters(yard.herd);
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .loss_ppm = 500000});
	const uint32_t before = yard.count;
	for (int i = 0; i < 1000; i++) {
		yard.now_us += 10;
		ask(&yard);
	}
	/* Of a thousand half are heard, and half of these are answered. */
	assert_in_range(c->request_options, 450, 550);
	assert_int_equal(c->impaired_received + c->request_options, 1000);
	assert_int_equal(c->impaired_sent + (yard.count - before), c->request_options);
	assert_in_range(c->impaired_sent, 200, 300);
	close_yard(&yard);
}

static void what_is_late_is_read_when_it_comes(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	const struct herd_counters *c = herd_counters(yard.herd);
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .delay_us = 300500});
	answer_all(&yard);
	assert_int_equal(c->impaired_delayed, 1);
	assert_int_equal(herd_next_us(yard.herd, UINT64_MAX), 301000);
	stall_to_ms(&yard, 300);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	/* That the impairment has ended changes nothing for what is on its way. */
	impair(&yard, PROXY_PRIMARY, (struct impairment){0});
	stall_to_ms(&yard, 301);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	assert_int_equal(herd_histograms(yard.herd)->registration_us.max, 301000);
	assert_int_equal(c->register_retransmitted, 0);
	close_yard(&yard);
}

/* At the moment of the time-out it has come in time, a millisecond later too late. */
static void late_is_too_late_after_the_time_out(void **state)
{
	(void)state;
	for (uint32_t late_ms = 0; late_ms < 2; late_ms++) {
		struct yard yard;
		defaults(&yard, 1);
		open_yard(&yard);
		settle(&yard);
		impair(&yard, PROXY_PRIMARY,
			(struct impairment){
				.share_ppm = ALL, .delay_us = 32000000 + late_ms * 1000});
		const struct sent first = *last_sent(&yard);
		answer(&yard, &first, 200, "");
		run_to_ms(&yard, 32001, false);
		assert_int_equal(registered_at(&yard, PROXY_PRIMARY), 1 - late_ms);
		assert_int_equal(herd_counters(yard.herd)->response_old_epoch, late_ms);
		close_yard(&yard);
	}
}

static void a_reboot_does_not_wait_for_what_is_late(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .delay_us = 100000});
	answer_all(&yard);
	order(&yard, HERD_POWER_CUT, 0);
	settle(&yard);
	stall_to_ms(&yard, 100);
	assert_int_equal(herd_counters(yard.herd)->response_old_epoch, 1);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	close_yard(&yard);
}

/* Jitter overtakes: over its whole width, and each datagram once. */
static void jitter_is_uniform(void **state)
{
	(void)state;
	struct yard yard;
	uint32_t cells[10] = {0}, before = 0;
	defaults(&yard, PHONES_MAX);
	open_yard(&yard);
	settle(&yard);
	impair(&yard, PROXY_PRIMARY,
		(struct impairment){.share_ppm = ALL, .delay_us = 100000, .jitter_us = 199000});
	answer_all(&yard);
	assert_int_equal(herd_counters(yard.herd)->impaired_delayed, PHONES_MAX);
	for (uint32_t ms = 1; ms < 300; ms++) {
		stall_to_ms(&yard, ms);
		const uint32_t now = registered_at(&yard, PROXY_PRIMARY);
		if (ms < 100)
			assert_int_equal(now, 0);
		else
			cells[(ms - 100) / 20] += now - before;
		before = now;
	}
	assert_int_equal(before, PHONES_MAX);
	for (int i = 0; i < 10; i++)
		assert_in_range(cells[i], 60, 140);
	close_yard(&yard);
}

static void what_finds_no_room_is_lost(void **state)
{
	(void)state;
	static char padding[3000];
	struct yard yard;
	defaults(&yard, PHONES_MAX);
	open_yard(&yard);
	settle(&yard);
	const struct herd_counters *c = herd_counters(yard.herd);
	impair(&yard, PROXY_PRIMARY, (struct impairment){.share_ppm = ALL, .delay_us = 1000000});
	snprintf(padding, sizeof(padding), "X: %02000d\r\n", 0);
	for (uint32_t i = 0; i < PHONES_MAX; i++) {
		const struct sent sent = yard.sent[i];
		answer(&yard, &sent, 200, padding);
	}
	assert_true(c->impaired_overflow > 0);
	assert_int_equal(c->impaired_delayed + c->impaired_overflow, PHONES_MAX);
	/* Of 2,000 bytes and a little more each takes five pieces of 512. */
	assert_int_equal(c->impaired_delayed, (uint64_t)HERD_HELD_BYTES * PHONES_MAX / (5 * 512));
	stall_to_ms(&yard, 1000);
	assert_int_equal(registered_at(&yard, PROXY_PRIMARY), c->impaired_delayed);
	/* There is room again. */
	const uint64_t held = c->impaired_delayed;
	answer_all(&yard);
	assert_true(c->impaired_delayed > held);
	close_yard(&yard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_costs_no_datagram_but_the_phone_its_proxy),
		cmocka_unit_test(answers_are_lost_too),
		cmocka_unit_test(a_share_is_always_the_same_phones),
		cmocka_unit_test(methods_are_told_apart),
		cmocka_unit_test(our_answers_are_lost),
		cmocka_unit_test(what_is_late_is_read_when_it_comes),
		cmocka_unit_test(late_is_too_late_after_the_time_out),
		cmocka_unit_test(a_reboot_does_not_wait_for_what_is_late),
		cmocka_unit_test(jitter_is_uniform),
		cmocka_unit_test(what_finds_no_room_is_lost),
	};
	return cmocka_run_group_tests_name("impairment", tests, NULL, NULL);
}
