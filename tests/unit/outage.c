/* SPDX-License-Identifier: BSD-3-Clause */
/* How long outages take: what herd.h says is told, on the clock of a few phones. Whether it is told in
 * every run is the simulator's to judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yard.h"

#define NONE UINT64_MAX

static void told(const struct yard *yard, enum proxy to, uint64_t count,
	const uint64_t ms[FAILOVER_PHASES], int line)
{
	for (int phase = 0; phase < FAILOVER_PHASES; phase++) {
		const struct histogram *h = &herd_histograms(yard->herd)->duration_ms[to][phase];
		const uint64_t right = ms[phase] == NONE ? 0 : count;
		if (h->count != right || (right > 0 && h->max != ms[phase]))
			fail_msg("line %d: %s is told %llu times, at most %u ms", line,
				failover_phase_name((enum failover_phase)phase),
				(unsigned long long)h->count, h->max);
	}
}

/* detect, switch, register, since_answer */
#define TOLD(yard, to, count, ...) \
	told(yard, to, count, (const uint64_t[FAILOVER_PHASES]){__VA_ARGS__}, __LINE__)

static void a_failover_from_answer_to_answer(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 120000, true);
	/* The keep-alive of 180 s finds nobody. */
	run_to_ms(&yard, 212000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_REDUNDANT);
	TOLD(&yard, PROXY_REDUNDANT, 0, NONE, NONE, NONE, NONE);
	yard.now_us += 70000;
	answer(&yard, last_sent(&yard), 200, "");
	TOLD(&yard, PROXY_REDUNDANT, 1, 92000, 0, 70, 92070);
	TOLD(&yard, PROXY_PRIMARY, 0, NONE, NONE, NONE, NONE);
	close_yard(&yard);
}

/* The pause of the vendor, a challenge's round trip, and a retry. */
static void each_part_has_its_own(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.switch_delay_ms = 10000;
	open_yard(&yard);
	run_to_ms(&yard, 60000, true);
	run_to_ms(&yard, 152000, false);
	assert_int_equal(state_of(&yard, 0), PHONE_SWITCHING);
	const uint32_t over_ms = herd_phone(yard.herd, 0)->register_next_ms;
	run_to_ms(&yard, over_ms, false);
	yard.now_us += 20000;
	answer(&yard, last_sent(&yard), 503, "");
	assert_int_equal(state_of(&yard, 0), PHONE_WAITING);
	run_to_ms(&yard, over_ms + 60020, true);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	TOLD(&yard, PROXY_REDUNDANT, 1, 92000, over_ms - 152000, 60020, over_ms + 60020 - 60000);
	close_yard(&yard);
}

/* Both are silent: the whole outage counts from its first proof, and the last try is told. */
static void one_proxy_after_the_other(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 120000, true);
	run_to_ms(&yard, 212000 + 32000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	run_to_ms(&yard, 212000 + 64000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_REDUNDANT);
	run_to_ms(&yard, 212000 + 96000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	yard.now_us += 5000;
	answer(&yard, last_sent(&yard), 200, "");
	/* It ends where it began. */
	TOLD(&yard, PROXY_PRIMARY, 1, 92000, 0, 5, 188005);
	TOLD(&yard, PROXY_REDUNDANT, 0, NONE, NONE, NONE, NONE);
	close_yard(&yard);
}

/* RFC 5626's backoff is part of the pause. */
static void a_backoff_is_a_pause(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.backoff_rfc5626 = true;
	open_yard(&yard);
	run_to_ms(&yard, 60000, true);
	run_to_ms(&yard, 152000 + 64000, false);
	assert_int_equal(state_of(&yard, 0), PHONE_SWITCHING);
	const uint32_t over_ms = herd_phone(yard.herd, 0)->register_next_ms;
	assert_true(over_ms >= 152000 + 64000 + 15000);
	run_to_ms(&yard, over_ms, false);
	answer(&yard, last_sent(&yard), 200, "");
	TOLD(&yard, PROXY_REDUNDANT, 1, 92000, over_ms - 216000, 0, over_ms - 60000);
	close_yard(&yard);
}

/* Never registered since power on: there is no answer to count from. */
static void without_a_proof_there_is_less_to_tell(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 32000, false);
	yard.seen = yard.count - 1;
	run_to_ms(&yard, 32000, true);
	TOLD(&yard, PROXY_REDUNDANT, 1, NONE, 0, 0, NONE);
	/* A reboot is no switch. */
	order(&yard, HERD_POWER_CUT, 0);
	run_to_ms(&yard, 40000, true);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	TOLD(&yard, PROXY_REDUNDANT, 1, NONE, 0, 0, NONE);
	/* Nor does a phone know after it who served it before. */
	order(&yard, HERD_POWER_CUT, 0);
	run_to_ms(&yard, 72000, false);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	answer(&yard, last_sent(&yard), 200, "");
	TOLD(&yard, PROXY_PRIMARY, 1, NONE, 0, 0, NONE);
	close_yard(&yard);
}

/* Over at 32 s, back with the keep-alive of 92 s: the redundant proxy has proved itself by its 200 OK
 * alone. Its goodbye unanswered, the way back is told, but what comes next has no proof to begin with
 * until a keep-alive is answered. */
static void a_goodbye_in_flight_costs_the_proof(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.expires_s = 100000;
	open_yard(&yard);
	run_to_ms(&yard, 32000, false);
	answer(&yard, last_sent(&yard), 200, "");
	run_to_ms(&yard, 92000, false);
	assert_memory_equal(last_sent(&yard)->text, "OPTIONS", 7);
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	assert_true(herd_phone(yard.herd, 0)->flags & PHONE_UNREGISTER_PENDING);
	answer(&yard, last_sent(&yard), 200, "");
	TOLD(&yard, PROXY_PRIMARY, 1, 60000, 0, 0, 60000);
	assert_false(herd_phone(yard.herd, 0)->flags & PHONE_PROVEN);
	run_to_ms(&yard, 92000 + 92000, false);
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(phone_active(herd_phone(yard.herd, 0)), PROXY_REDUNDANT);
	const struct histogram *h = herd_histograms(yard.herd)->duration_ms[PROXY_REDUNDANT];
	assert_int_equal(h[FAILOVER_DETECT].count, 0);
	assert_int_equal(h[FAILOVER_SINCE_ANSWER].count, 0);
	assert_int_equal(h[FAILOVER_SWITCH].count, 2);
	assert_int_equal(h[FAILOVER_REGISTER].count, 2);
	close_yard(&yard);
}

/* A code that counts as silence proves nothing, a refusal neither. */
static void what_is_no_proof(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.redundancy.fail_threshold = 2;
	yard.config.keepalive_codes = 1;
	yard.config.keepalive_code[0] = 503;
	open_yard(&yard);
	run_to_ms(&yard, 60000, true);
	run_to_ms(&yard, 120000, false);
	answer(&yard, last_sent(&yard), 503, "");
	run_to_ms(&yard, 180000, false);
	answer(&yard, last_sent(&yard), 503, "");
	assert_int_equal(last_sent(&yard)->proxy, PROXY_REDUNDANT);
	answer(&yard, last_sent(&yard), 200, "");
	TOLD(&yard, PROXY_REDUNDANT, 1, 120000, 0, 0, 120000);
	const struct herd_counters *c = herd_counters(yard.herd);
	assert_int_equal(c->answered_primary, 2);
	assert_int_equal(c->silent_primary, 2);
	assert_int_equal(c->answered_redundant, 1);
	assert_int_equal(c->silent_redundant, 0);
	close_yard(&yard);
}

/* A copy that is made again and again is what it is a copy of. */
static void a_copy_keeps_up(void **state)
{
	(void)state;
	struct yard yard;
	static struct herd_histograms copy;
	defaults(&yard, 3);
	open_yard(&yard);
	herd_histograms_reset(&copy);
	for (uint64_t at_ms = 0; at_ms < 600000; at_ms += 100000) {
		run_to_ms(&yard, at_ms, at_ms < 400000);
		herd_histograms_copy(&copy, herd_histograms(yard.herd));
		assert_memory_equal(&copy, herd_histograms(yard.herd), sizeof(copy));
	}
	assert_true(copy.options_rtt_us[PROXY_PRIMARY].count > 3);
	close_yard(&yard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failover_from_answer_to_answer),
		cmocka_unit_test(each_part_has_its_own),
		cmocka_unit_test(one_proxy_after_the_other),
		cmocka_unit_test(a_backoff_is_a_pause),
		cmocka_unit_test(without_a_proof_there_is_less_to_tell),
		cmocka_unit_test(a_goodbye_in_flight_costs_the_proof),
		cmocka_unit_test(what_is_no_proof),
		cmocka_unit_test(a_copy_keeps_up),
	};
	return cmocka_run_group_tests_name("outage", tests, NULL, NULL);
}
