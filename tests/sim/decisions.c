/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each decision of PHONE.md section 3 and each row of its section 4 as a scene of its own: one
 * phone, two scripted proxies. The model judges along; the scenes say what must happen and when.
 *
 * Of the clock: the phone boots at 0 ms and an answer takes 1 ms, so it is registered at 1 ms and
 * its keep-alives fall on 60,001 ms, 120,001 ms and so on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "stage.h"

static const int P = PROXY_PRIMARY, R = PROXY_REDUNDANT, BOTH = PROXIES;
static const int REGISTER = DATAGRAM_REGISTER, OPTIONS = DATAGRAM_OPTIONS,
		 UNREGISTER = DATAGRAM_UNREGISTER;

#define CHALLENGE(nonce)                                                            \
	"WWW-Authenticate: Digest realm=\"r\", nonce=\"" nonce "\", qop=\"auth\", " \
	"algorithm=MD5\r\n"

static struct sim_config defaults(void)
{
	struct sim_config config;
	stage_defaults(&config);
	return config;
}

static struct stage *opened(void)
{
	struct sim_config config = defaults();
	return stage_open(&config);
}

static void assert_at(const struct stage *stage, enum phone_state state, int active)
{
	assert_string_equal(phone_state_name(stage_state(stage)), phone_state_name(state));
	assert_string_equal(proxy_name(stage_active(stage)), proxy_name((enum proxy)active));
}

/* The n-th new request of this kind to this proxy left at this moment. */
static const struct sent *assert_sent(
	const struct stage *stage, int kind, int proxy, unsigned n, uint32_t at_ms)
{
	const struct sent *sent = stage_nth(stage, kind, proxy, n);
	assert_int_equal(sent->at_ms, at_ms);
	return sent;
}

static void assert_count(const struct stage *stage, int kind, int proxy, unsigned count)
{
	assert_int_equal(stage_count(stage, kind, proxy), count);
}

static struct herd_counters counters(const struct stage *stage)
{
	return sim_counters(stage->sim);
}

static void assert_text(const struct sent *sent, const char *text)
{
	if (!strstr(sent->text, text))
		fail_msg("no \"%s\" in\n%s", text, sent->text);
}

/* Registered at the redundant proxy at 92,002 ms, the primary dead; keep-alives to the primary at
 * 152,002 ms and so on. */
static struct stage *failed_over(const struct sim_config *config)
{
	struct stage *stage = stage_open(config);
	stage_run_ms(stage, 2);
	stage_dead(stage, P);
	stage_run_ms(stage, 92003 + config->herd.switch_delay_ms);
	assert_at(stage, PHONE_REGISTERED, R);
	return stage;
}

/* ---- what is an answer ---- */

static void any_response_is_an_answer(void **state)
{
	static const uint16_t status[] = {
		100, 180, 200, 302, 401, 404, 407, 408, 500, 503, 600, 603};
	(void)state;
	struct stage *stage = opened();
	for (size_t i = 0; i < sizeof(status) / sizeof(status[0]); i++)
		stage_reply(stage, P, OPTIONS, (struct reply){.status = status[i]});
	stage_run_ms(stage, 12 * 60000 + 2000);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_count(stage, OPTIONS, P, 12);
	assert_int_equal(stage_datagrams(stage, OPTIONS, BOTH), 12);
	struct herd_counters c = counters(stage);
	assert_int_equal(c.options_answered, 12);
	assert_int_equal(c.responses_1xx, 2);
	assert_int_equal(c.responses_6xx, 2);
	stage_close(stage);
}

static void another_branch_is_no_answer(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 200, .wrong_branch = true});
	stage_run_ms(stage, 93000);
	assert_at(stage, PHONE_REGISTERED, R);
	struct herd_counters c = counters(stage);
	assert_int_equal(c.response_foreign, 11);
	assert_int_equal(c.failover_keepalive_silence, 1);
	stage_close(stage);
}

static void another_cseq_is_no_answer(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 200, .wrong_cseq = true});
	stage_run_ms(stage, 93000);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).response_mismatch, 11);
	stage_close(stage);
}

static void fail_codes_count_as_silence(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.keepalive_codes = 2;
	config.herd.keepalive_code[0] = 404;
	config.herd.keepalive_code[1] = 503;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 500});
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 503});
	stage_run_ms(stage, 130000);
	assert_sent(stage, REGISTER, R, 0, 120002);
	assert_at(stage, PHONE_REGISTERED, R);
	struct herd_counters c = counters(stage);
	assert_int_equal(c.options_answered, 1);
	assert_int_equal(c.options_fail_code, 1);
	assert_int_equal(c.options_silent, 0);
	assert_int_equal(c.failover_keepalive_silence, 1);
	stage_close(stage);
}

/* ---- when is there no answer ---- */

static void assert_instants(const struct stage *stage, int kind, uint32_t from_ms,
	const uint32_t *instant_ms, unsigned count)
{
	unsigned n = 0;
	for (unsigned i = 0; i < stage->count; i++) {
		const struct sent *sent = &stage->sent[i];
		if (sent->kind != kind || sent->at_ms < from_ms || sent->proxy != P)
			continue;
		assert_in_range(n, 0, count - 1);
		assert_int_equal(sent->at_ms - from_ms, instant_ms[n++]);
	}
	assert_int_equal(n, count);
}

static void eleven_datagrams_in_32_seconds(void **state)
{
	static const uint32_t instant_ms[] = {
		0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 95000);
	assert_instants(stage, OPTIONS, 60001, instant_ms, 11);
	assert_sent(stage, REGISTER, R, 0, 92001);
	stage_close(stage);
}

static void no_response_cuts_it_short(void **state)
{
	static const uint32_t instant_ms[] = {0, 500, 1500, 3500};
	(void)state;
	struct sim_config config = defaults();
	config.herd.timers.no_response_ms = 5000;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 70000);
	assert_instants(stage, OPTIONS, 60001, instant_ms, 4);
	assert_sent(stage, REGISTER, R, 0, 65001);
	stage_close(stage);
}

static void a_provisional_answer_slows_retransmission(void **state)
{
	static const uint32_t instant_ms[] = {
		0, 500, 4500, 8500, 12500, 16500, 20500, 24500, 28500};
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 100});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 0});
	stage_run_ms(stage, 33000);
	assert_instants(stage, REGISTER, 0, instant_ms, 9);
	/* A 1xx alone is silence for a REGISTER. */
	assert_sent(stage, REGISTER, R, 0, 32000);
	assert_int_equal(counters(stage).failover_register_silence, 1);
	stage_close(stage);
}

/* ---- thresholds ---- */

static void threshold_of_silent_keepalives(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.fail_threshold = 3;
	struct stage *stage = stage_open(&config);
	/* Eleven unanswered datagrams are one silence: two silences, an answer, three silences. */
	stage_run_ms(stage, 60000);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 160000);
	assert_int_equal(sim_phone(stage->sim, 0)->misses, 2);
	stage_well(stage, P, OPTIONS);
	stage_run_ms(stage, 185000);
	assert_int_equal(sim_phone(stage->sim, 0)->misses, 0);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 392000);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_run_ms(stage, 392003);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).options_silent, 5);
	stage_close(stage);
}

static void threshold_of_answers_to_fail_back(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.success_threshold = 2;
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_run_ms(stage, 160000);
	assert_int_equal(sim_phone(stage->sim, 0)->answers, 1);
	/* A silence in between: the count starts again. */
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 250000);
	assert_int_equal(sim_phone(stage->sim, 0)->answers, 0);
	stage_well(stage, P, OPTIONS);
	stage_run_ms(stage, 280000);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_run_ms(stage, 332004);
	assert_sent(stage, REGISTER, P, 1, 332003);
	stage_close(stage);
}

/* ---- the keep-alive grid ---- */

static void period_zero_sends_no_keepalives(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.keepalive_period_ms = 0;
	config.herd.expires_s = 600;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 2);
	stage_dead(stage, P);
	stage_run_ms(stage, 332002);
	assert_count(stage, OPTIONS, BOTH, 0);
	assert_sent(stage, REGISTER, P, 1, 300001);
	assert_sent(stage, REGISTER, R, 0, 332001);
	assert_int_equal(counters(stage).failover_refresh_silence, 1);
	stage_close(stage);
}

static void keepalives_never_overlap(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.keepalive_period_ms = 10000;
	config.herd.redundancy.fail_threshold = 2;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 2);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	/* Ticks at 20, 30 and 40 s find the first pending; it ends at 42.001 s; the grid is kept. */
	stage_run_ms(stage, 51000);
	assert_sent(stage, OPTIONS, P, 0, 10001);
	assert_sent(stage, OPTIONS, P, 1, 50001);
	assert_count(stage, OPTIONS, P, 2);
	assert_int_equal(counters(stage).options_skipped, 3);
	stage_close(stage);
}

static void first_keepalive_after_one_period(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 190000);
	for (unsigned n = 0; n < 3; n++)
		assert_sent(stage, OPTIONS, P, n, 60001 + 60000 * n);
	assert_count(stage, OPTIONS, BOTH, 3);
	stage_close(stage);
}

static void first_keepalive_immediate(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.keepalive_first = KEEPALIVE_FIRST_IMMEDIATE;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 100000);
	assert_in_range(stage_nth(stage, OPTIONS, P, 0)->at_ms, 1, 2);
	assert_sent(stage, OPTIONS, P, 1, 60001);
	stage_close(stage);
}

static void first_keepalive_spread_over_a_period(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.fleet_phones = 600;
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	struct stage *stage = stage_open(&config);
	unsigned sixth[6] = {0};
	stage_run_ms(stage, 60010);
	assert_count(stage, OPTIONS, P, 600);
	for (unsigned n = 0; n < 600; n++)
		sixth[(stage_nth(stage, OPTIONS, P, n)->at_ms - 1) / 10001]++;
	for (int i = 0; i < 6; i++)
		assert_in_range(sixth[i], 60, 140);
	stage_close(stage);
}

static void jitter_of_the_period(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.keepalive_jitter_percent = 20;
	config.herd.expires_s = 86400;
	struct stage *stage = stage_open(&config);
	uint32_t low = UINT32_MAX, high = 0, last = 1;
	stage_run_ms(stage, 6000000);
	for (unsigned n = 0; n < 80; n++) {
		uint32_t at = stage_nth(stage, OPTIONS, P, n)->at_ms;
		low = at - last < low ? at - last : low;
		high = at - last > high ? at - last : high;
		last = at;
	}
	assert_in_range(low, 48000, 52000);
	assert_in_range(high, 68000, 72000);
	stage_close(stage);
}

/* ---- challenges ---- */

static void a_challenged_keepalive_is_answered(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 401, .headers = CHALLENGE("n")});
	stage_run_ms(stage, 190000);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_count(stage, OPTIONS, P, 3);
	for (unsigned n = 0; n < 3; n++)
		assert_false(stage_nth(stage, OPTIONS, P, n)->credentials);
	stage_close(stage);
}

static void a_challenge_is_answered_at_once(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("one")});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 10);
	const struct sent *first = assert_sent(stage, REGISTER, P, 0, 0);
	const struct sent *second = assert_sent(stage, REGISTER, P, 1, 1);
	assert_false(first->credentials);
	assert_true(second->credentials);
	assert_text(second, "\r\nAuthorization: Digest ");
	assert_text(second, "nonce=\"one\"");
	assert_text(second, "nc=00000001");
	assert_true(first->call_id == second->call_id);
	assert_int_equal(second->cseq, first->cseq + 1);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void a_proxy_challenge_gets_proxy_authorization(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 407,
			.headers = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n"});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 10);
	assert_text(stage_nth(stage, REGISTER, P, 1), "\r\nProxy-Authorization: Digest ");
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void credentials_are_tried_three_times(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("n")});
	stage_run_ms(stage, 100);
	assert_count(stage, REGISTER, P, 4);
	assert_at(stage, PHONE_WAITING, P);
	/* The refusal is neither failure nor silence: the same proxy, a minute later. */
	stage_run_ms(stage, 60100);
	assert_sent(stage, REGISTER, P, 4, 60004);
	assert_count(stage, REGISTER, R, 0);
	struct herd_counters c = counters(stage);
	assert_int_equal(c.register_auth_failed, 2);
	assert_int_equal(c.register_challenged, 8);
	stage_close(stage);
}

static void a_stale_nonce_is_free(void **state)
{
	static const char stale[] = "WWW-Authenticate: Digest realm=\"r\", nonce=\"s\", "
				    "stale=true, qop=\"auth\"\r\n";
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("a")});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = stale});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("b")});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("c")});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 100);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_count(stage, REGISTER, P, 5);
	stage_close(stage);
}

static void only_stale_ends_at_some_time(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 401,
			.headers = "WWW-Authenticate: Digest realm=\"r\", nonce=\"s\", "
				   "stale=true\r\n"});
	stage_run_ms(stage, 1000);
	assert_at(stage, PHONE_WAITING, P);
	stage_close(stage);
}

static void the_strongest_challenge_is_taken(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 401,
			.headers =
				"WWW-Authenticate: Digest realm=\"r\", nonce=\"n5\", "
				"algorithm=MD5\r\n"
				"WWW-Authenticate: Digest realm=\"r\", nonce=\"n9\", "
				"algorithm=SHA-512-256\r\n"
				"WWW-Authenticate: Basic realm=\"r\"\r\n"
				"WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", "
				"algorithm=SHA-256\r\n"});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 10);
	const struct sent *sent = stage_nth(stage, REGISTER, P, 1);
	assert_text(sent, "algorithm=SHA-256");
	assert_text(sent, "nonce=\"n2\"");
	stage_close(stage);
}

static void a_challenge_nobody_can_answer(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 401,
			.headers = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", "
				   "qop=\"auth-int\"\r\n"});
	stage_run_ms(stage, 100);
	assert_count(stage, REGISTER, P, 1);
	assert_at(stage, PHONE_WAITING, P);
	assert_int_equal(counters(stage).challenge_unusable, 1);
	stage_close(stage);
}

static void without_password_a_challenge_is_refused(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.passwords = false;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("n")});
	stage_run_ms(stage, 100);
	assert_count(stage, REGISTER, P, 1);
	assert_at(stage, PHONE_WAITING, P);
	assert_int_equal(counters(stage).register_auth_failed, 1);
	stage_close(stage);
}

static void the_nonce_is_kept_for_the_refresh(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.expires_s = 100;
	struct stage *stage = stage_open(&config);
	stage_reply(
		stage, P, REGISTER, (struct reply){.status = 401, .headers = CHALLENGE("keep")});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 110000);
	const struct sent *second = assert_sent(stage, REGISTER, P, 2, 50002);
	const struct sent *third = assert_sent(stage, REGISTER, P, 3, 100003);
	assert_text(second, "nonce=\"keep\"");
	assert_text(second, "nc=00000002");
	assert_text(third, "nc=00000003");
	assert_int_equal(counters(stage).register_challenged, 1);
	stage_close(stage);
}

/* ---- other answers to REGISTER ---- */

static void a_rejected_phone_stays_and_waits(void **state)
{
	static const uint16_t status[] = {302, 403, 404, 408, 486, 500, 503, 603};
	(void)state;
	for (size_t i = 0; i < sizeof(status) / sizeof(status[0]); i++) {
		struct stage *stage = opened();
		stage_reply(stage, P, REGISTER, (struct reply){.status = status[i]});
		stage_run_ms(stage, 1000);
		assert_at(stage, PHONE_WAITING, P);
		stage_run_ms(stage, 60003);
		assert_sent(stage, REGISTER, P, 1, 60001);
		assert_count(stage, REGISTER, R, 0);
		assert_int_equal(counters(stage).register_rejected, 2);
		stage_close(stage);
	}
}

static void retry_after_when_it_is_longer(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 503, .headers = "Retry-After: 90\r\n"});
	stage_reply(
		stage, P, REGISTER, (struct reply){.status = 503, .headers = "Retry-After: 5\r\n"});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 200000);
	assert_sent(stage, REGISTER, P, 1, 90001);
	assert_sent(stage, REGISTER, P, 2, 150002);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static struct sim_config switching(void)
{
	struct sim_config config = defaults();
	config.herd.register_codes = 3;
	config.herd.register_code[0] = 408;
	config.herd.register_code[1] = 503;
	config.herd.register_code[2] = 504;
	return config;
}

static void a_switching_code_switches(void **state)
{
	(void)state;
	struct sim_config config = switching();
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 503, .headers = "Retry-After: 90\r\n"});
	stage_run_ms(stage, 10);
	assert_sent(stage, REGISTER, R, 0, 1);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_code, 1);
	stage_close(stage);
}

static void another_code_does_not_switch(void **state)
{
	(void)state;
	struct sim_config config = switching();
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 500});
	stage_run_ms(stage, 10);
	assert_at(stage, PHONE_WAITING, P);
	stage_close(stage);
}

static void a_switching_code_with_redundancy_off(void **state)
{
	(void)state;
	struct sim_config config = switching();
	config.herd.redundancy.enabled = false;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 503});
	stage_run_ms(stage, 61000);
	assert_count(stage, REGISTER, R, 0);
	assert_sent(stage, REGISTER, P, 1, 60001);
	stage_close(stage);
}

static void too_brief_raises_expires_once(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.expires_s = 60;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 423, .headers = "Min-Expires: 600\r\n"});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 310000);
	const struct sent *raised = assert_sent(stage, REGISTER, P, 1, 1);
	assert_int_equal(raised->expires, 600);
	/* The refresh asks for the raised expiry again. */
	assert_int_equal(assert_sent(stage, REGISTER, P, 2, 300002)->expires, 600);
	assert_int_equal(counters(stage).register_too_brief, 1);
	stage_close(stage);
}

static void too_brief_twice_waits(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 423, .headers = "Min-Expires: 7200\r\n"});
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 423, .headers = "Min-Expires: 9000\r\n"});
	stage_run_ms(stage, 1000);
	assert_count(stage, REGISTER, P, 2);
	assert_at(stage, PHONE_WAITING, P);
	stage_close(stage);
}

/* The second 423 is any other final answer: when the fleet lists it, it switches. */
static void too_brief_twice_may_switch(void **state)
{
	(void)state;
	struct sim_config config = switching();
	config.herd.register_code[0] = 423;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 423, .headers = "Min-Expires: 7200\r\n"});
	stage_run_ms(stage, 10);
	assert_count(stage, REGISTER, P, 2);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_code, 1);
	/* The other proxy is asked for what the fleet wants, not for what the first one wanted. */
	assert_int_equal(stage_nth(stage, REGISTER, R, 0)->expires, 3600);
	stage_close(stage);
}

/* A 423 that does not say how much it wants, or wants no more than it was offered. */
static void too_brief_that_raises_nothing_waits(void **state)
{
	static const char *const headers[] = {"", "Min-Expires: 0\r\n", "Min-Expires: 3600\r\n"};
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct stage *stage = opened();
		stage_reply(
			stage, P, REGISTER, (struct reply){.status = 423, .headers = headers[i]});
		stage_run_ms(stage, 1000);
		assert_count(stage, REGISTER, P, 1);
		assert_at(stage, PHONE_WAITING, P);
		stage_close(stage);
	}
}

static void useless_2xx(struct reply what)
{
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, what);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 1000);
	assert_at(stage, PHONE_WAITING, P);
	assert_int_equal(counters(stage).register_useless, 1);
	assert_int_equal(counters(stage).register_ok, 0);
	stage_run_ms(stage, 60010);
	assert_sent(stage, REGISTER, P, 1, 60001);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void a_2xx_without_contact_is_useless(void **state)
{
	(void)state;
	useless_2xx((struct reply){.status = 200, .no_contact = true});
}

static void a_2xx_with_a_foreign_contact_is_useless(void **state)
{
	(void)state;
	useless_2xx((struct reply){.status = 200, .foreign_contact = true});
}

static void a_2xx_with_expires_0_is_useless(void **state)
{
	(void)state;
	useless_2xx((struct reply){.status = 200, .expires_zero = true});
}

/* ---- refresh ---- */

static void refresh_at_half_of_what_was_granted(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200, .expires = 100});
	stage_run_ms(stage, 101000);
	const struct sent *first = assert_sent(stage, REGISTER, P, 0, 0);
	const struct sent *second = assert_sent(stage, REGISTER, P, 1, 50001);
	assert_sent(stage, REGISTER, P, 2, 100002);
	assert_true(first->call_id == second->call_id);
	assert_int_equal(second->cseq, first->cseq + 1);
	/* The grid of the keep-alives is not touched. */
	assert_sent(stage, OPTIONS, P, 0, 60001);
	stage_run_ms(stage, 121000);
	assert_sent(stage, OPTIONS, P, 1, 120001);
	stage_close(stage);
}

static void refresh_at_another_fraction(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.refresh_permille = 900;
	config.herd.expires_s = 100;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 91000);
	assert_sent(stage, REGISTER, P, 1, 90001);
	stage_close(stage);
}

static void jitter_never_lets_a_binding_lapse(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.refresh_permille = 900;
	config.herd.keepalive_jitter_percent = 50;
	config.herd.expires_s = 20;
	struct stage *stage = stage_open(&config);
	uint32_t low = UINT32_MAX, high = 0, last = 1;
	stage_run_ms(stage, 1000000);
	for (unsigned n = 1; n < 50; n++) {
		uint32_t at = stage_nth(stage, REGISTER, P, n)->at_ms;
		low = at - last < low ? at - last : low;
		high = at - last > high ? at - last : high;
		last = at + 1;
	}
	assert_in_range(low, 9000, 11000);
	assert_int_equal(high, 19000);
	stage_close(stage);
}

static void refresh_silence_switches(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.expires_s = 20;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 2);
	stage_dead(stage, P);
	stage_run_ms(stage, 42100);
	assert_sent(stage, REGISTER, P, 1, 10001);
	assert_sent(stage, REGISTER, R, 0, 42001);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_refresh_silence, 1);
	stage_close(stage);
}

static void refresh_silence_on_the_redundant_switches_too(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.expires_s = 200;
	struct stage *stage = failed_over(&config);
	stage_reply(stage, R, REGISTER, (struct reply){.status = 0});
	stage_run_ms(stage, 192002 + 32100);
	assert_at(stage, PHONE_REGISTERING, P);
	assert_int_equal(counters(stage).failback_refresh_silence, 1);
	assert_count(stage, UNREGISTER, BOTH, 0);
	stage_close(stage);
}

static void refresh_silence_with_redundancy_off_waits(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.enabled = false;
	config.herd.expires_s = 20;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 2);
	stage_dead(stage, P);
	stage_run_ms(stage, 43000);
	assert_at(stage, PHONE_WAITING, P);
	stage_run_ms(stage, 102100);
	assert_sent(stage, REGISTER, P, 2, 102001);
	assert_count(stage, REGISTER, R, 0);
	stage_close(stage);
}

static void a_rejected_refresh_stops_keepalives(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.expires_s = 100;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 500});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 110000);
	assert_at(stage, PHONE_WAITING, P);
	assert_count(stage, OPTIONS, BOTH, 0);
	stage_run_ms(stage, 180000);
	const struct sent *again = assert_sent(stage, REGISTER, P, 2, 110002);
	assert_true(again->call_id == stage_nth(stage, REGISTER, P, 0)->call_id);
	assert_sent(stage, OPTIONS, P, 0, 170003);
	stage_close(stage);
}

static void a_refresh_with_a_switching_code_switches(void **state)
{
	(void)state;
	struct sim_config config = switching();
	config.herd.expires_s = 100;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 504});
	stage_run_ms(stage, 50100);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_code, 1);
	stage_close(stage);
}

/* ---- ICMP ---- */

static void icmp_is_counted_and_ignored(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 61000);
	sim_unreachable(stage->sim, 0, PROXY_PRIMARY);
	stage_run_ms(stage, 62000);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_int_equal(counters(stage).icmp_unreachable, 1);
	stage_close(stage);
}

static void icmp_may_fail_at_once(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.icmp_fails = true;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 61000);
	/* Of the other proxy it says nothing. */
	sim_unreachable(stage->sim, 0, PROXY_REDUNDANT);
	assert_at(stage, PHONE_REGISTERED, P);
	sim_unreachable(stage->sim, 0, PROXY_PRIMARY);
	stage_run_ms(stage, 61100);
	assert_sent(stage, REGISTER, R, 0, 61000);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_keepalive_silence, 1);
	stage_close(stage);
}

/* ---- switches ---- */

static void a_switch_takes_effect_after_a_pause(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.fleet_phones = 500;
	config.herd.switch_delay_ms = 10000;
	struct stage *stage = stage_open(&config);
	unsigned half = 0;
	stage_run_ms(stage, 10);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 102100);
	assert_count(stage, REGISTER, R, 500);
	for (unsigned n = 0; n < 500; n++) {
		uint32_t at = stage_nth(stage, REGISTER, R, n)->at_ms;
		assert_in_range(at, 92001, 102002);
		half += at < 97001;
	}
	assert_in_range(half, 200, 300);
	stage_close(stage);
}

static void both_dead_alternate_without_backoff(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_dead(stage, P);
	stage_dead(stage, R);
	stage_run_ms(stage, 10 * 32000 + 100);
	for (unsigned n = 0; n < 5; n++) {
		assert_sent(stage, REGISTER, P, n, 64000 * n);
		assert_sent(stage, REGISTER, R, n, 64000 * n + 32000);
	}
	stage_alive(stage, R);
	stage_run_ms(stage, 360000);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_close(stage);
}

static void both_dead_with_backoff(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.backoff_rfc5626 = true;
	struct stage *stage = stage_open(&config);
	stage_dead(stage, P);
	stage_dead(stage, R);
	stage_run_ms(stage, 10000000);
	uint32_t last = 0, longest = 0;
	for (unsigned n = 1; n < stage_count(stage, REGISTER, BOTH); n++) {
		uint32_t at = stage_nth(stage, REGISTER, BOTH, n)->at_ms;
		longest = at - last > longest ? at - last : longest;
		last = at;
	}
	/* Both are tried at first; later waits reach the upper half of 1,800 s and no more. */
	assert_sent(stage, REGISTER, R, 0, 32000);
	assert_in_range(longest, 900000 + 32000, 1800000 + 32001);
	stage_close(stage);
}

static void failing_over_sends_nothing_to_the_silent_proxy(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.unregister = true;
	struct stage *stage = failed_over(&config);
	assert_count(stage, UNREGISTER, BOTH, 0);
	stage_close(stage);
}

static void failing_back_ends_the_old_binding(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	/* Even a redundant proxy that is silent then does not delay the switch. */
	stage_dead(stage, R);
	stage_run_ms(stage, 200000);
	const struct sent *end = assert_sent(stage, UNREGISTER, R, 0, 152003);
	const struct sent *old = stage_nth(stage, REGISTER, R, 0);
	assert_int_equal(end->expires, 0);
	assert_true(end->call_id == old->call_id);
	assert_int_equal(end->cseq, old->cseq + 1);
	assert_sent(stage, REGISTER, P, 1, 152003);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_count(stage, UNREGISTER, BOTH, 1);
	assert_int_equal(stage_datagrams(stage, UNREGISTER, BOTH), 11);
	assert_int_equal(counters(stage).unregister_silent, 1);
	stage_close(stage);
}

static void the_end_of_the_old_binding_is_authenticated(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_reply(stage, R, UNREGISTER, (struct reply){.status = 401, .headers = CHALLENGE("u")});
	stage_reply(stage, R, UNREGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 152100);
	assert_count(stage, UNREGISTER, R, 2);
	const struct sent *again = assert_sent(stage, UNREGISTER, R, 1, 152004);
	assert_true(again->credentials);
	assert_int_equal(counters(stage).unregister_done, 1);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

/* The primary answers OPTIONS and refuses the REGISTER: back to the redundant proxy, whose
 * Expires 0 of a moment ago must not end the new binding. */
static void a_switch_drops_the_end_of_the_old_binding(void **state)
{
	(void)state;
	struct sim_config config = switching();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_reply(stage, P, REGISTER, (struct reply){.status = 503});
	stage_reply(stage, R, UNREGISTER, (struct reply){.status = 0});
	stage_run_ms(stage, 200000);
	assert_sent(stage, UNREGISTER, R, 0, 152003);
	assert_sent(stage, REGISTER, R, 1, 152004);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(stage_datagrams(stage, UNREGISTER, BOTH), 1);
	stage_close(stage);
}

static void call_id_is_new_at_each_switch(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_run_ms(stage, 160000);
	uint64_t first = stage_nth(stage, REGISTER, P, 0)->call_id;
	uint64_t second = stage_nth(stage, REGISTER, R, 0)->call_id;
	uint64_t third = stage_nth(stage, REGISTER, P, 1)->call_id;
	assert_true(first != second && second != third && first != third);
	stage_close(stage);
}

/* ---- late answers ---- */

static void an_answer_of_an_old_epoch_changes_nothing(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200, .delay_ms = 32010});
	stage_reply(stage, R, REGISTER, (struct reply){.status = 200, .delay_ms = 5000});
	stage_run_ms(stage, 33000);
	assert_at(stage, PHONE_REGISTERING, R);
	assert_int_equal(counters(stage).response_old_epoch, 2);
	stage_run_ms(stage, 40000);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_close(stage);
}

static void a_repeated_answer_is_late(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200, .twice = true});
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 200, .twice = true});
	stage_run_ms(stage, 61000);
	assert_int_equal(counters(stage).response_late, 2);
	assert_int_equal(counters(stage).options_answered, 1);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void a_repeated_challenge_is_late(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER,
		(struct reply){.status = 401, .headers = CHALLENGE("n"), .twice = true});
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200});
	stage_run_ms(stage, 10);
	assert_count(stage, REGISTER, P, 2);
	assert_int_equal(counters(stage).response_late, 1);
	assert_int_equal(counters(stage).response_mismatch, 0);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void an_answer_from_the_other_proxy_is_none(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_reply(stage, P, REGISTER, (struct reply){.status = 200, .other_proxy = true});
	stage_run_ms(stage, 32010);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).response_mismatch, 11);
	stage_close(stage);
}

static void an_answer_after_the_timeout_is_late(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.fail_threshold = 5;
	config.herd.timers.no_response_ms = 400;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 200, .delay_ms = 1000});
	stage_run_ms(stage, 62000);
	assert_int_equal(counters(stage).response_late, 1);
	assert_int_equal(counters(stage).options_answered, 0);
	assert_int_equal(sim_phone(stage->sim, 0)->misses, 1);
	stage_close(stage);
}

/* ---- incoming requests ---- */

static void incoming(struct stage *stage, const char *method)
{
	char text[1024];
	int length = snprintf(text, sizeof(text),
		"%s sip:20000000@10.0.0.1:5060 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKproxy2;rport\r\n"
		"Via: SIP/2.0/UDP 203.0.113.9:5080;branch=z9hG4bKcaller1\r\n"
		"Max-Forwards: 69\r\n"
		"From: \"A, B\" <sip:caller@lab.example.net>;tag=fromcaller\r\n"
		"To: <sip:20000000@lab.example.net>\r\n"
		"Call-ID: call-of-%s@203.0.113.9\r\n"
		"CSeq: 17 %s\r\nContent-Length: 0\r\n\r\n",
		method, method, method);
	sim_inject(stage->sim, 0, PROXY_PRIMARY, text, (size_t)length, 0);
	sim_run_for(stage->sim, 10000);
}

static const struct sent *assert_answer(struct stage *stage, const char *method, uint16_t status)
{
	char call_id[64];
	snprintf(call_id, sizeof(call_id), "Call-ID: call-of-%s@203.0.113.9\r\n", method);
	stage_forget(stage);
	incoming(stage, method);
	const struct sent *answer = stage_answer(stage, 0);
	assert_int_equal(answer->status, status);
	assert_int_equal(answer->proxy, P);
	assert_text(answer, "branch=z9hG4bKproxy2");
	assert_text(answer, "Via: SIP/2.0/UDP 203.0.113.9:5080;branch=z9hG4bKcaller1\r\n");
	assert_true(strstr(answer->text, "z9hG4bKproxy2") < strstr(answer->text, "z9hG4bKcaller1"));
	assert_text(answer, "From: \"A, B\" <sip:caller@lab.example.net>;tag=fromcaller\r\n");
	assert_text(answer, "To: <sip:20000000@lab.example.net>;tag=");
	assert_text(answer, call_id);
	assert_text(answer, "CSeq: 17 ");
	return answer;
}

static void incoming_requests_are_answered(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	assert_text(assert_answer(stage, "OPTIONS", 200), "\r\nAllow: ");
	assert_answer(stage, "NOTIFY", 200);
	assert_answer(stage, "INVITE", 486);
	assert_text(assert_answer(stage, "BYE", 501), "\r\nAllow: ");
	assert_text(assert_answer(stage, "FOO", 501), "\r\nAllow: ");
	stage_forget(stage);
	incoming(stage, "ACK");
	assert_int_equal(stage->count, 0);
	struct herd_counters c = counters(stage);
	assert_int_equal(c.request_options, 1);
	assert_int_equal(c.request_notify, 1);
	assert_int_equal(c.request_invite, 1);
	assert_int_equal(c.request_other, 2);
	assert_int_equal(c.request_ack, 1);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

/* After a power cut a phone hears nothing until it has booted. */
static void a_phone_without_power_answers_nothing(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	sim_command(stage->sim, HERD_POWER_CUT, 0, 1, 60000);
	sim_run_for(stage->sim, 2000);
	stage_forget(stage);
	assert_int_equal(stage_state(stage), PHONE_BOOT);
	incoming(stage, "INVITE");
	incoming(stage, "OPTIONS");
	assert_int_equal(stage->count, 0);
	assert_int_equal(counters(stage).request_while_off, 2);
	stage_close(stage);
}

static void a_repeated_request_gets_the_same_answer(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	stage_forget(stage);
	incoming(stage, "INVITE");
	incoming(stage, "INVITE");
	const struct sent *first = stage_answer(stage, 0), *second = stage_answer(stage, 1);
	assert_int_equal(first->length, second->length);
	assert_memory_equal(first->text, second->text, first->length);
	stage_close(stage);
}

static void noise_changes_nothing(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	stage_forget(stage);
	sim_inject(stage->sim, 0, PROXY_PRIMARY, "\r\n\r\n", 4, 0);
	sim_inject(stage->sim, 0, PROXY_PRIMARY, "", 0, 0);
	sim_inject(stage->sim, 0, PROXY_PRIMARY, "SIP/2.0 200 OK\r\n\r\n", 18, 0);
	sim_inject(stage->sim, 0, PROXY_PRIMARY, "\0\1\2\3", 4, 0);
	stage_run_ms(stage, 20);
	assert_int_equal(stage->count, 0);
	assert_int_equal(counters(stage).message_keepalive, 2);
	assert_int_equal(counters(stage).message_malformed, 2);
	stage_close(stage);
}

/* ---- reboots ---- */

static struct sim_config unregistering(void)
{
	struct sim_config config = defaults();
	config.herd.unregister = true;
	return config;
}

static void a_planned_reboot_unregisters(void **state)
{
	(void)state;
	struct sim_config config = unregistering();
	struct stage *stage = failed_over(&config);
	sim_command(stage->sim, HERD_REBOOT, 0, 1, 0);
	stage_run_ms(stage, 92100);
	const struct sent *end = assert_sent(stage, UNREGISTER, R, 0, 92003);
	const struct sent *old = stage_nth(stage, REGISTER, R, 0);
	assert_true(end->call_id == old->call_id);
	assert_int_equal(end->cseq, old->cseq + 1);
	/* It starts where it last tried, with a new call. */
	const struct sent *boot = assert_sent(stage, REGISTER, R, 1, 92004);
	assert_true(boot->call_id != old->call_id);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_close(stage);
}

static void a_planned_reboot_waits_a_second_at_most(void **state)
{
	(void)state;
	struct sim_config config = unregistering();
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 10);
	stage_dead(stage, P);
	sim_command(stage->sim, HERD_REBOOT, 0, 1, 0);
	stage_run_ms(stage, 1011);
	assert_sent(stage, REGISTER, P, 1, 1010);
	/* At 0 and 0.5 s. */
	assert_int_equal(stage_datagrams(stage, UNREGISTER, BOTH), 2);
	assert_int_equal(counters(stage).unregister_silent, 1);
	stage_close(stage);
}

static void a_planned_reboot_without_unregister(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	sim_command(stage->sim, HERD_REBOOT, 0, 1, 0);
	stage_run_ms(stage, 20);
	assert_count(stage, UNREGISTER, BOTH, 0);
	assert_sent(stage, REGISTER, P, 1, 10);
	stage_close(stage);
}

static void a_power_cut_sends_nothing_and_keeps_active(void **state)
{
	(void)state;
	struct sim_config config = unregistering();
	struct stage *stage = failed_over(&config);
	stage_forget(stage);
	sim_command(stage->sim, HERD_POWER_CUT, 0, 1, 5000);
	assert_int_equal(stage_active(stage), R);
	stage_run_ms(stage, 92004 + 5000);
	assert_count(stage, UNREGISTER, BOTH, 0);
	assert_count(stage, REGISTER, R, 1);
	assert_count(stage, REGISTER, P, 0);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_close(stage);
}

/* Active is stored before the REGISTER that follows the switch: a cut in the pause keeps it. */
static void a_power_cut_in_a_switch_starts_at_the_new_proxy(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.switch_delay_ms = 10000;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 10);
	stage_dead(stage, P);
	uint32_t at_ms = 92002;
	stage_run_ms(stage, at_ms);
	assert_at(stage, PHONE_SWITCHING, R);
	sim_command(stage->sim, HERD_POWER_CUT, 0, 1, 0);
	stage_run_ms(stage, at_ms + 10);
	assert_sent(stage, REGISTER, R, 0, at_ms);
	assert_at(stage, PHONE_REGISTERED, R);
	stage_close(stage);
}

/* ---- the table, row by row, as far as the scenes above have not been there ---- */

static void the_first_boot_goes_to_the_primary(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	assert_sent(stage, REGISTER, P, 0, 0);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static void the_ramp_starts_phones_in_turn(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.fleet_phones = 10;
	config.herd.ramp_per_s = 10;
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 1000);
	assert_count(stage, REGISTER, P, 10);
	for (unsigned n = 0; n < 10; n++)
		assert_int_equal(assert_sent(stage, REGISTER, P, n, 100 * n)->phone, n);
	stage_close(stage);
}

static void register_silence_switches(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_dead(stage, P);
	stage_run_ms(stage, 32010);
	assert_sent(stage, REGISTER, R, 0, 32000);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_int_equal(counters(stage).failover_register_silence, 1);
	stage_close(stage);
}

static void register_silence_with_redundancy_off_waits(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.enabled = false;
	struct stage *stage = stage_open(&config);
	stage_dead(stage, P);
	stage_run_ms(stage, 92100);
	assert_sent(stage, REGISTER, P, 1, 92000);
	assert_count(stage, REGISTER, R, 0);
	stage_close(stage);
}

static void keepalive_silence_with_redundancy_off_stays(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	config.herd.redundancy.enabled = false;
	struct stage *stage = stage_open(&config);
	stage_reply(stage, P, OPTIONS, (struct reply){.status = 0});
	stage_run_ms(stage, 400000);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_int_equal(counters(stage).options_silent, 6);
	stage_close(stage);
}

static void asymmetric_on_the_redundant_probes_the_primary_only(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	stage_run_ms(stage, 400000);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_count(stage, OPTIONS, R, 0);
	for (unsigned n = 1; n < 5; n++)
		assert_sent(stage, OPTIONS, P, n, 152002 + 60000 * (n - 1));
	stage_close(stage);
}

static void asymmetric_fails_back_at_an_answer(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	/* It comes back in the middle of a transaction: the next retransmission finds it. */
	stage_run_ms(stage, 160000);
	stage_alive(stage, P);
	stage_run_ms(stage, 164000);
	assert_sent(stage, REGISTER, P, 1, 152002 + 11500 + 1);
	assert_int_equal(counters(stage).failback_keepalive_answer, 1);
	assert_at(stage, PHONE_REGISTERED, P);
	stage_close(stage);
}

static struct sim_config parking(void)
{
	struct sim_config config = defaults();
	config.herd.redundancy.mode = MODE_SYMMETRIC;
	return config;
}

static void symmetric_stays_where_it_is(void **state)
{
	(void)state;
	struct sim_config config = parking();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_forget(stage);
	stage_run_ms(stage, 1000000);
	assert_at(stage, PHONE_REGISTERED, R);
	assert_count(stage, OPTIONS, P, 0);
	assert_count(stage, REGISTER, P, 0);
	assert_sent(stage, OPTIONS, R, 0, 152002);
	stage_close(stage);
}

static void symmetric_fails_back_at_silence(void **state)
{
	(void)state;
	struct sim_config config = parking();
	struct stage *stage = failed_over(&config);
	stage_alive(stage, P);
	stage_dead(stage, R);
	stage_run_ms(stage, 185000);
	assert_sent(stage, REGISTER, P, 1, 184002);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_int_equal(counters(stage).failback_keepalive_silence, 1);
	assert_count(stage, UNREGISTER, BOTH, 0);
	stage_close(stage);
}

static void turning_redundancy_off_returns_to_the_primary(void **state)
{
	(void)state;
	struct sim_config config = defaults();
	struct stage *stage = failed_over(&config);
	stage_forget(stage);
	stage_alive(stage, P);
	sim_command(stage->sim, HERD_DISABLE_REDUNDANCY, 0, 1, 0);
	stage_run_ms(stage, 300000);
	assert_sent(stage, REGISTER, P, 0, 92003);
	stage_dead(stage, P);
	stage_run_ms(stage, 900000);
	assert_at(stage, PHONE_REGISTERED, P);
	assert_count(stage, REGISTER, R, 0);
	stage_close(stage);
}

static void stop_unregisters(void **state)
{
	(void)state;
	struct sim_config config = unregistering();
	struct stage *stage = stage_open(&config);
	stage_run_ms(stage, 10);
	sim_command(stage->sim, HERD_STOP, 0, 1, 0);
	stage_run_ms(stage, 100000);
	assert_sent(stage, UNREGISTER, P, 0, 10);
	assert_int_equal(counters(stage).unregister_done, 1);
	assert_count(stage, REGISTER, BOTH, 1);
	assert_count(stage, OPTIONS, BOTH, 0);
	assert_at(stage, PHONE_OFF, P);
	stage_close(stage);
}

static void stop_without_unregister_sends_nothing(void **state)
{
	(void)state;
	struct stage *stage = opened();
	stage_run_ms(stage, 10);
	stage_forget(stage);
	sim_command(stage->sim, HERD_STOP, 0, 1, 0);
	stage_run_ms(stage, 100000);
	assert_int_equal(stage->count, 0);
	assert_at(stage, PHONE_OFF, P);
	stage_close(stage);
}

#define SCENE(name) cmocka_unit_test(name)

static const struct CMUnitTest scenes[] = {
	SCENE(any_response_is_an_answer),
	SCENE(another_branch_is_no_answer),
	SCENE(another_cseq_is_no_answer),
	SCENE(fail_codes_count_as_silence),
	SCENE(eleven_datagrams_in_32_seconds),
	SCENE(no_response_cuts_it_short),
	SCENE(a_provisional_answer_slows_retransmission),
	SCENE(threshold_of_silent_keepalives),
	SCENE(threshold_of_answers_to_fail_back),
	SCENE(period_zero_sends_no_keepalives),
	SCENE(keepalives_never_overlap),
	SCENE(first_keepalive_after_one_period),
	SCENE(first_keepalive_immediate),
	SCENE(first_keepalive_spread_over_a_period),
	SCENE(jitter_of_the_period),
	SCENE(a_challenged_keepalive_is_answered),
	SCENE(a_challenge_is_answered_at_once),
	SCENE(a_proxy_challenge_gets_proxy_authorization),
	SCENE(credentials_are_tried_three_times),
	SCENE(a_stale_nonce_is_free),
	SCENE(only_stale_ends_at_some_time),
	SCENE(the_strongest_challenge_is_taken),
	SCENE(a_challenge_nobody_can_answer),
	SCENE(without_password_a_challenge_is_refused),
	SCENE(the_nonce_is_kept_for_the_refresh),
	SCENE(a_rejected_phone_stays_and_waits),
	SCENE(retry_after_when_it_is_longer),
	SCENE(a_switching_code_switches),
	SCENE(another_code_does_not_switch),
	SCENE(a_switching_code_with_redundancy_off),
	SCENE(too_brief_raises_expires_once),
	SCENE(too_brief_twice_waits),
	SCENE(too_brief_twice_may_switch),
	SCENE(too_brief_that_raises_nothing_waits),
	SCENE(a_2xx_without_contact_is_useless),
	SCENE(a_2xx_with_a_foreign_contact_is_useless),
	SCENE(a_2xx_with_expires_0_is_useless),
	SCENE(refresh_at_half_of_what_was_granted),
	SCENE(refresh_at_another_fraction),
	SCENE(jitter_never_lets_a_binding_lapse),
	SCENE(refresh_silence_switches),
	SCENE(refresh_silence_on_the_redundant_switches_too),
	SCENE(refresh_silence_with_redundancy_off_waits),
	SCENE(a_rejected_refresh_stops_keepalives),
	SCENE(a_refresh_with_a_switching_code_switches),
	SCENE(icmp_is_counted_and_ignored),
	SCENE(icmp_may_fail_at_once),
	SCENE(a_switch_takes_effect_after_a_pause),
	SCENE(both_dead_alternate_without_backoff),
	SCENE(both_dead_with_backoff),
	SCENE(failing_over_sends_nothing_to_the_silent_proxy),
	SCENE(failing_back_ends_the_old_binding),
	SCENE(the_end_of_the_old_binding_is_authenticated),
	SCENE(a_switch_drops_the_end_of_the_old_binding),
	SCENE(call_id_is_new_at_each_switch),
	SCENE(an_answer_of_an_old_epoch_changes_nothing),
	SCENE(a_repeated_answer_is_late),
	SCENE(a_repeated_challenge_is_late),
	SCENE(an_answer_from_the_other_proxy_is_none),
	SCENE(an_answer_after_the_timeout_is_late),
	SCENE(incoming_requests_are_answered),
	SCENE(a_phone_without_power_answers_nothing),
	SCENE(a_repeated_request_gets_the_same_answer),
	SCENE(noise_changes_nothing),
	SCENE(a_planned_reboot_unregisters),
	SCENE(a_planned_reboot_waits_a_second_at_most),
	SCENE(a_planned_reboot_without_unregister),
	SCENE(a_power_cut_sends_nothing_and_keeps_active),
	SCENE(a_power_cut_in_a_switch_starts_at_the_new_proxy),
	SCENE(the_first_boot_goes_to_the_primary),
	SCENE(the_ramp_starts_phones_in_turn),
	SCENE(register_silence_switches),
	SCENE(register_silence_with_redundancy_off_waits),
	SCENE(keepalive_silence_with_redundancy_off_stays),
	SCENE(asymmetric_on_the_redundant_probes_the_primary_only),
	SCENE(asymmetric_fails_back_at_an_answer),
	SCENE(symmetric_stays_where_it_is),
	SCENE(symmetric_fails_back_at_silence),
	SCENE(turning_redundancy_off_returns_to_the_primary),
	SCENE(stop_unregisters),
	SCENE(stop_without_unregister_sends_nothing),
};

int main(void)
{
	return cmocka_run_group_tests_name("decisions", scenes, NULL, NULL);
}
