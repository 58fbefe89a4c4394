/* SPDX-License-Identifier: BSD-3-Clause */
/* What each proxy was asked and how it answered, column by column, and when a step of the series ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yard.h"

#define CHALLENGE \
	"WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n"

struct desk {
	struct yard yard;
	struct proxy_counters before[PROXIES];
};

/* What has been counted of this proxy since the last call: this and nothing besides. */
static void since(struct desk *desk, enum proxy proxy, struct proxy_counters right, int line)
{
	const struct proxy_counters *now = &herd_proxy_counters(desk->yard.herd)[proxy];
	const uint64_t *a = (const uint64_t *)&desk->before[proxy], *b = (const uint64_t *)now,
		       *c = (const uint64_t *)&right;
	for (int i = 0; i < proxy_counters_count; i++)
		if (b[i] - a[i] != c[i])
			fail_msg("line %d, %s: %s %llu, right is %llu", line, proxy_name(proxy),
				proxy_counters_descriptions[i].name,
				(unsigned long long)(b[i] - a[i]), (unsigned long long)c[i]);
	desk->before[proxy] = *now;
}

#define SINCE(proxy, ...) since(desk, proxy, (struct proxy_counters){__VA_ARGS__}, __LINE__)
#define NOTHING_SINCE(proxy) since(desk, proxy, (struct proxy_counters){.options = 0}, __LINE__)

static struct desk *desk_of(uint32_t phones)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	assert_non_null(desk);
	defaults(&desk->yard, phones);
	return desk;
}

static void close_desk(struct desk *desk)
{
	close_yard(&desk->yard);
	free(desk);
}

static void answer_last(struct desk *desk, unsigned status, const char *headers)
{
	const struct sent sent = *last_sent(&desk->yard);
	desk->yard.seen = desk->yard.count;
	answer(&desk->yard, &sent, status, headers);
}

/* One phone from power-on to the redundant proxy and back. */
static void every_word_for_a_register(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	open_yard(&desk->yard);
	run_to_ms(&desk->yard, 100, false);
	answer_last(desk, 200, "");
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .accepted_initial = 1, .register_datagrams = 1,
		.rrd_us = 100000);
	run_to_ms(&desk->yard, 60100, true);
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 1, .options_answered = 1);
	order(&desk->yard, HERD_REREGISTER, 0);
	run_to_ms(&desk->yard, 60200, true);
	SINCE(PROXY_PRIMARY, .offered_refresh = 1, .accepted_refresh = 1, .register_datagrams = 1);
	run_to_ms(&desk->yard, 152099, false);
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 11, .options_retransmitted = 10);
	NOTHING_SINCE(PROXY_REDUNDANT);
	run_to_ms(&desk->yard, 152150, false);
	SINCE(PROXY_PRIMARY, .options_timeout = 1);
	SINCE(PROXY_REDUNDANT, .offered_failover = 1, .register_datagrams = 1);
	answer_last(desk, 200, "");
	SINCE(PROXY_REDUNDANT, .accepted_failover = 1, .rrd_us = 50000);
	run_to_ms(&desk->yard, 213000, true);
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 1, .options_answered = 1,
		.offered_failback = 1, .accepted_failback = 1, .register_datagrams = 1);
	SINCE(PROXY_REDUNDANT, .unregister = 1);
	close_desk(desk);
}

/* Until the first registration all attempts are initial, wherever they go. */
static void initial_stays_initial(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	open_yard(&desk->yard);
	run_to_ms(&desk->yard, 32000, false);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .register_datagrams = 11,
		.register_retransmitted = 10, .register_timeout = 1);
	SINCE(PROXY_REDUNDANT, .offered_initial = 1, .register_datagrams = 1);
	answer_last(desk, 200, "");
	SINCE(PROXY_REDUNDANT, .accepted_initial = 1);
	order(&desk->yard, HERD_POWER_CUT, 0);
	run_to_ms(&desk->yard, 33000, true);
	SINCE(PROXY_REDUNDANT, .offered_initial = 1, .accepted_initial = 1,
		.register_datagrams = 1);
	/* A refresh that nobody answers leads to the other proxy, which is the primary. */
	order(&desk->yard, HERD_REREGISTER, 0);
	run_to_ms(&desk->yard, 65000, false);
	SINCE(PROXY_REDUNDANT, .offered_refresh = 1, .register_datagrams = 11,
		.register_retransmitted = 10, .register_timeout = 1);
	SINCE(PROXY_PRIMARY, .offered_failback = 1, .register_datagrams = 1);
	/* Neither does the primary answer. */
	run_to_ms(&desk->yard, 97000, false);
	SINCE(PROXY_PRIMARY, .register_datagrams = 10, .register_retransmitted = 10,
		.register_timeout = 1);
	SINCE(PROXY_REDUNDANT, .offered_failover = 1, .register_datagrams = 1);
	close_desk(desk);
}

static void refusals_by_code(void **state)
{
	(void)state;
	static const struct {
		uint16_t status;
		size_t column;
	} refusals[] = {{302, offsetof(struct proxy_counters, register_3xx)},
		{403, offsetof(struct proxy_counters, register_4xx)},
		{408, offsetof(struct proxy_counters, register_408)},
		{500, offsetof(struct proxy_counters, register_500)},
		{502, offsetof(struct proxy_counters, register_5xx)},
		{503, offsetof(struct proxy_counters, register_503)},
		{504, offsetof(struct proxy_counters, register_504)},
		{603, offsetof(struct proxy_counters, register_6xx)}};
	const unsigned count = sizeof(refusals) / sizeof(refusals[0]);
	struct desk *desk = desk_of(1);
	open_yard(&desk->yard);
	uint64_t now_ms = 0;
	/* Before the first registration, and once more as a registered phone. */
	for (unsigned i = 0; i < 2 * count; i++, now_ms += 60000) {
		struct proxy_counters right = {.register_datagrams = 1};
		++*(i < count ? &right.offered_initial : &right.offered_refresh);
		++*(uint64_t *)((char *)&right + refusals[i % count].column);
		run_to_ms(&desk->yard, now_ms, false);
		answer_last(desk, refusals[i % count].status, "");
		since(desk, PROXY_PRIMARY, right, __LINE__);
		if (i + 1 != count)
			continue;
		run_to_ms(&desk->yard, now_ms += 60000, true);
		SINCE(PROXY_PRIMARY, .offered_initial = 1, .accepted_initial = 1,
			.register_datagrams = 1);
		order(&desk->yard, HERD_REREGISTER, 0);
		now_ms -= 60000;
	}
	close_desk(desk);
}

/* Of a registration with a challenge, a 423 and a lost datagram only the first REGISTER is offered. */
static void one_registration_is_offered_once(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	open_yard(&desk->yard);
	run_to_ms(&desk->yard, 10, false);
	answer_last(desk, 401, CHALLENGE);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .challenged = 1, .register_datagrams = 2);
	run_to_ms(&desk->yard, 510, false);
	SINCE(PROXY_PRIMARY, .register_datagrams = 1, .register_retransmitted = 1);
	answer_last(desk, 423, "Min-Expires: 7200\r\n");
	SINCE(PROXY_PRIMARY, .register_datagrams = 1);
	run_to_ms(&desk->yard, 530, false);
	answer_last(desk, 200, "");
	SINCE(PROXY_PRIMARY, .accepted_initial = 1, .rrd_us = 530000);
	/* Refused four times, it gives up; the next attempt is another one. */
	order(&desk->yard, HERD_REREGISTER, 0);
	run_to_ms(&desk->yard, 540, false);
	for (int i = 0; i < 4; i++)
		answer_last(desk, 401, CHALLENGE);
	SINCE(PROXY_PRIMARY, .offered_refresh = 1, .challenged = 4, .register_datagrams = 4);
	run_to_ms(&desk->yard, 60540, true);
	SINCE(PROXY_PRIMARY, .offered_refresh = 1, .accepted_refresh = 1, .register_datagrams = 1);
	close_desk(desk);
}

static void the_end_of_a_binding_counts_apart(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	desk->yard.config.unregister = true;
	open_yard(&desk->yard);
	run_to_ms(&desk->yard, 10, true);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .accepted_initial = 1, .register_datagrams = 1);
	order(&desk->yard, HERD_STOP, 0);
	run_to_ms(&desk->yard, 600, false);
	SINCE(PROXY_PRIMARY, .unregister = 1);
	answer_last(desk, 401, CHALLENGE);
	run_to_ms(&desk->yard, 620, false);
	answer_last(desk, 200, "");
	NOTHING_SINCE(PROXY_PRIMARY);
	assert_int_equal(herd_counters(desk->yard.herd)->unregister_sent, 2);
	assert_true(herd_is_quiet(desk->yard.herd));
	close_desk(desk);
}

/* What finds no buffer is not offered; the first that does is no retransmission. */
static void what_did_not_leave_is_not_offered(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	open_yard(&desk->yard);
	desk->yard.full = true;
	run_to_ms(&desk->yard, 400, false);
	NOTHING_SINCE(PROXY_PRIMARY);
	desk->yard.full = false;
	run_to_ms(&desk->yard, 500, true);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .accepted_initial = 1, .register_datagrams = 1,
		.rrd_us = 500000);
	close_desk(desk);
}

static void answers_that_are_none(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	desk->yard.config.keepalive_code[0] = 503;
	desk->yard.config.keepalive_codes = 1;
	desk->yard.config.redundancy.fail_threshold = 2;
	open_yard(&desk->yard);
	run_to_ms(&desk->yard, 10, true);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .accepted_initial = 1, .register_datagrams = 1);
	answer_last(desk, 200, "");
	SINCE(PROXY_PRIMARY, .late = 1);
	run_to_ms(&desk->yard, 60000, false);
	answer_last(desk, 503, "");
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 1, .options_timeout = 1);
	run_to_ms(&desk->yard, 120000, false);
	const struct sent options = *last_sent(&desk->yard);
	answer_last(desk, 503, "");
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 1, .options_timeout = 1);
	SINCE(PROXY_REDUNDANT, .offered_failover = 1, .register_datagrams = 1);
	answer(&desk->yard, &options, 200, "");
	SINCE(PROXY_PRIMARY, .late = 1);
	close_desk(desk);
}

static void unreachable_counts_as_a_time_out(void **state)
{
	(void)state;
	struct desk *desk = desk_of(1);
	desk->yard.config.icmp_fails = true;
	open_yard(&desk->yard);
	settle(&desk->yard);
	herd_unreachable(desk->yard.herd, 0, PROXY_PRIMARY, desk->yard.now_us);
	SINCE(PROXY_PRIMARY, .offered_initial = 1, .register_datagrams = 1, .register_timeout = 1);
	answer_last(desk, 200, "");
	SINCE(PROXY_REDUNDANT, .offered_initial = 1, .accepted_initial = 1,
		.register_datagrams = 1);
	run_to_ms(&desk->yard, 60000, false);
	herd_unreachable(desk->yard.herd, 0, PROXY_PRIMARY, desk->yard.now_us);
	SINCE(PROXY_PRIMARY, .options = 1, .options_datagrams = 1, .options_timeout = 1);
	close_desk(desk);
}

/* ---- the series ---- */

static void a_step_ends_before_what_comes_after_it(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1000);
	yard.config.ramp_per_s = 1000;
	open_yard(&yard);
	const struct series *series = herd_series(yard.herd);
	run_to_ms(&yard, 99, true);
	assert_int_equal(series->steps, 0);
	run_to_ms(&yard, 100, true);
	assert_int_equal(series->steps, 1);
	run_to_ms(&yard, 550, true);
	assert_int_equal(series->steps, 5);
	/* A phone each millisecond, the first at 0. */
	for (int step = 0; step < 5; step++) {
		const struct proxy_counters *at = &series->at[step][PROXY_PRIMARY];
		assert_int_equal(at->offered_initial, 100 * (step + 1));
		assert_int_equal(at->accepted_initial, 100 * (step + 1));
	}
	close_yard(&yard);
}

/* Late by more steps than are kept: all that are closed say what had been counted before. */
static void a_stall_ends_many_steps(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10);
	open_yard(&yard);
	settle(&yard);
	answer_all(&yard);
	stall_to_ms(&yard, 60050);
	const struct series *series = herd_series(yard.herd);
	assert_int_equal(series->steps, 600);
	assert_int_equal(series_oldest(series), 600 - SERIES_STEPS);
	for (uint64_t step = series_oldest(series); step < series->steps; step++) {
		const struct proxy_counters *at = series->at[step % SERIES_STEPS];
		assert_int_equal(at[PROXY_PRIMARY].accepted_initial, 10);
		assert_int_equal(at[PROXY_PRIMARY].options, 0);
	}
	assert_int_equal(herd_proxy_counters(yard.herd)[PROXY_PRIMARY].options, 10);
	close_yard(&yard);
}

/* A worker that has closed so many steps, and counted so much in each. */
static void close_steps(struct series *series, uint64_t steps, uint64_t each)
{
	for (uint64_t step = series->steps; step < steps; step++)
		for (int p = 0; p < PROXIES; p++)
			series->at[step % SERIES_STEPS][p] = (struct proxy_counters){
				.options = (step + 1) * each, .late = (uint64_t)p};
	series->steps = steps;
}

static uint64_t merged(const struct series *series, uint64_t step)
{
	assert_in_range(step, series_oldest(series), series->steps - 1);
	assert_int_equal(series->at[step % SERIES_STEPS][PROXY_REDUNDANT].late, 2);
	return series->at[step % SERIES_STEPS][PROXY_PRIMARY].options;
}

static void the_slowest_says_how_far_all_are(void **state)
{
	(void)state;
	static struct series one, other, all, copy;
	const struct series *const of[] = {&one, &copy};
	close_steps(&one, 10, 1);
	series_merge(&all, of, 2);
	assert_int_equal(all.steps, 0);
	close_steps(&other, 7, 100);
	series_copy(&copy, &other);
	series_merge(&all, of, 2);
	assert_int_equal(all.steps, 7);
	for (uint64_t step = 0; step < 7; step++)
		assert_int_equal(merged(&all, step), 101 * (step + 1));
	/* One goes on for longer than its steps are kept, while the other stands still. */
	close_steps(&one, 10 + 2 * SERIES_STEPS, 1);
	series_merge(&all, of, 2);
	assert_int_equal(all.steps, 7);
	assert_int_equal(merged(&all, 6), 101 * 7);
	close_steps(&other, 9 + 2 * SERIES_STEPS, 100);
	series_copy(&copy, &other);
	assert_memory_equal(&copy, &other, sizeof(copy));
	series_merge(&all, of, 2);
	assert_int_equal(all.steps, 9 + 2 * SERIES_STEPS);
	const uint64_t gone = series_oldest(&all);
	assert_int_equal(merged(&all, gone), 100 * (gone + 1) + series_oldest(&one) + 1);
	assert_int_equal(merged(&all, gone + 1), 101 * (gone + 2));
	assert_int_equal(merged(&all, all.steps - 1), 101 * all.steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_for_a_register),
		cmocka_unit_test(initial_stays_initial),
		cmocka_unit_test(refusals_by_code),
		cmocka_unit_test(one_registration_is_offered_once),
		cmocka_unit_test(the_end_of_a_binding_counts_apart),
		cmocka_unit_test(what_did_not_leave_is_not_offered),
		cmocka_unit_test(answers_that_are_none),
		cmocka_unit_test(unreachable_counts_as_a_time_out),
		cmocka_unit_test(a_step_ends_before_what_comes_after_it),
		cmocka_unit_test(a_stall_ends_many_steps),
		cmocka_unit_test(the_slowest_says_how_far_all_are),
	};
	return cmocka_run_group_tests_name("asked", tests, NULL, NULL);
}
