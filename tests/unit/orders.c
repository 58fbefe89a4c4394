/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an operator may ask of a herd while it runs: phones that register again, unregister and come
 * back, a limit, another ramp, a pause; and how these go together with each other, with the ramp and
 * with shards that come and go.
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

#define MANY 25000u /* phones: three shards */

static void ask(struct yard *yard, uint8_t kind, uint32_t first, uint32_t count)
{
	const struct herd_command command = {
		.kind = kind, .first = first, .count = count, .begin_us = yard->now_us};
	assert_true(herd_command(yard->herd, &command, yard->now_us));
}

static uint32_t phones_in(const struct yard *yard, enum phone_state state)
{
	const uint32_t *phones = herd_population(yard->herd)->phones[state];
	return phones[PROXY_PRIMARY] + phones[PROXY_REDUNDANT];
}

static uint32_t on(const struct yard *yard)
{
	return yard->config.fleet_phones - phones_in(yard, PHONE_OFF);
}

static bool is_goodbye(const struct sent *sent)
{
	return strstr(sent->text, "Expires: 0\r\n") != NULL;
}

/* ---- to register again ---- */

static void registered_phones_refresh_at_once(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 3);
	open_yard(&yard);
	run_to_ms(&yard, 10000, true);
	assert_int_equal(yard.count, 3);
	ask(&yard, HERD_REREGISTER, 1, 2);
	settle(&yard);
	assert_int_equal(yard.count, 5);
	/* Its REGISTER is in flight: nothing more to do. */
	ask(&yard, HERD_REREGISTER, 0, 3);
	settle(&yard);
	assert_int_equal(yard.count, 6);
	assert_int_equal(last_sent(&yard)->phone, 0);
	assert_int_equal(herd_phone(yard.herd, 1)->register_cseq, 2);
	answer_all(&yard);
	assert_int_equal(phones_in(&yard, PHONE_REGISTERED), 3);
	/* The next refresh counts from this one; the grid of keep-alives is as it was. */
	run_to_ms(&yard, 1809999, true);
	assert_int_equal(herd_phone(yard.herd, 1)->register_cseq, 2);
	run_to_ms(&yard, 1810000, true);
	assert_int_equal(herd_phone(yard.herd, 1)->register_cseq, 3);
	assert_int_equal(herd_counters(yard.herd)->options_answered, 3 * 30);
	close_yard(&yard);
}

static void waiting_phones_try_again_at_once(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	ask(&yard, HERD_REREGISTER, 0, 1);
	settle(&yard);
	assert_int_equal(yard.count, 1);
	answer(&yard, last_sent(&yard), 403, "");
	assert_int_equal(state_of(&yard, 0), PHONE_WAITING);
	ask(&yard, HERD_REREGISTER, 0, 1);
	settle(&yard);
	assert_int_equal(yard.count, 2);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	answer(&yard, last_sent(&yard), 200, "");
	ask(&yard, HERD_STOP, 0, 0);
	settle(&yard);
	ask(&yard, HERD_REREGISTER, 0, 1);
	settle(&yard);
	assert_int_equal(yard.count, 2);
	close_yard(&yard);
}

/* ---- to unregister, and back ---- */

/* Expires 0 although `unregister` is off, sent again like any request; then nothing, whatever comes
 * but a reboot. */
static void an_unregistered_phone_stays_off(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 2);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_UNREGISTER, 1, 1);
	settle(&yard);
	assert_true(is_goodbye(last_sent(&yard)));
	assert_int_equal(last_sent(&yard)->phone, 1);
	assert_int_equal(state_of(&yard, 1), PHONE_OFF);
	const uint32_t count = yard.count;
	run_to_ms(&yard, 32999, false);
	assert_int_equal(yard.count, count + 10);
	run_to_ms(&yard, 33000, false);
	assert_int_equal(herd_counters(yard.herd)->unregister_silent, 1);
	ask(&yard, HERD_LIMIT, 0, 0);
	ask(&yard, HERD_LIMIT, 0, 2);
	ask(&yard, HERD_REREGISTER, 0, 2);
	ask(&yard, HERD_RAMP, 0, 0);
	yard.seen = yard.count;
	run_to_ms(&yard, 50000, true);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	assert_int_equal(state_of(&yard, 1), PHONE_OFF);
	order(&yard, HERD_REBOOT, 0);
	run_to_ms(&yard, 50000, true);
	assert_int_equal(state_of(&yard, 1), PHONE_REGISTERED);
	close_yard(&yard);
}

/* Never two REGISTERs to one registrar: the Expires 0 comes to its end first, but a reboot waits for
 * a second at most. */
static void a_reboot_waits_for_the_goodbye(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 2);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_UNREGISTER, 0, 2);
	settle(&yard);
	ask(&yard, HERD_REBOOT, 0, 2);
	settle(&yard);
	assert_int_equal(herd_counters(yard.herd)->boots, 2);
	answer(&yard, &yard.sent[2], 200, "");
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	run_to_ms(&yard, 1999, false);
	assert_int_equal(state_of(&yard, 1), PHONE_OFF);
	run_to_ms(&yard, 2000, false);
	assert_int_equal(state_of(&yard, 1), PHONE_REGISTERING);
	assert_int_equal(herd_counters(yard.herd)->unregister_silent, 1);
	close_yard(&yard);
}

static void a_power_cut_forgets_the_goodbye(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_UNREGISTER, 0, 1);
	settle(&yard);
	const struct sent goodbye = *last_sent(&yard);
	ask(&yard, HERD_POWER_CUT, 0, 1);
	settle(&yard);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERING);
	assert_false(is_goodbye(last_sent(&yard)));
	answer(&yard, &goodbye, 200, "");
	assert_int_equal(herd_counters(yard.herd)->response_old_epoch, 1);
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	close_yard(&yard);
}

/* The same phones as an impairment of that share concerns. */
static void a_power_cut_may_spare_phones(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 200);
	open_yard(&yard);
	run_to_ms(&yard, 5000, true);
	const struct herd_command cut = {.kind = HERD_POWER_CUT,
		.count = 200,
		.delay_ms = 60000,
		.impairment = {.share_ppm = 300000}};
	assert_true(herd_command(yard.herd, &cut, yard.now_us));
	settle(&yard);
	uint32_t off = 0;
	for (uint32_t i = 0; i < 200; i++) {
		const bool concerned = impairment_concerns(&cut.impairment, i);
		assert_int_equal(state_of(&yard, i), concerned ? PHONE_BOOT : PHONE_REGISTERED);
		off += concerned;
	}
	assert_in_range(off, 40, 80);
	run_to_ms(&yard, 70000, true);
	assert_int_equal(phones_in(&yard, PHONE_REGISTERED), 200);
	close_yard(&yard);
}

/* The ramp has not come to it yet, and passes it by. */
static void a_phone_is_unregistered_before_its_turn(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10);
	yard.config.ramp_per_s = 1;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_UNREGISTER, 5, 1);
	run_to_ms(&yard, 20000, true);
	assert_int_equal(on(&yard), 9);
	assert_int_equal(state_of(&yard, 5), PHONE_OFF);
	ask(&yard, HERD_POWER_CUT, 5, 1);
	run_to_ms(&yard, 20000, true);
	assert_int_equal(on(&yard), 10);
	close_yard(&yard);
}

/* Without redundancy nothing is sent to the redundant proxy, not even the rest of a goodbye. */
static void no_goodbye_outlives_redundancy(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.keepalive_period_ms = 0;
	open_yard(&yard);
	run_to_ms(&yard, 32000, false);
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(phone_active(herd_phone(yard.herd, 0)), PROXY_REDUNDANT);
	assert_int_equal(state_of(&yard, 0), PHONE_REGISTERED);
	ask(&yard, HERD_UNREGISTER, 0, 1);
	settle(&yard);
	assert_true(is_goodbye(last_sent(&yard)));
	const uint32_t count = yard.count;
	order(&yard, HERD_DISABLE_REDUNDANCY, 0);
	run_to_ms(&yard, 100000, false);
	assert_int_equal(yard.count, count);
	order(&yard, HERD_REBOOT, 0);
	settle(&yard);
	assert_int_equal(last_sent(&yard)->proxy, PROXY_PRIMARY);
	close_yard(&yard);
}

/* ---- a limit ---- */

static void phones_above_the_limit_are_off(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 100);
	yard.config.unregister = true;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	const uint32_t count = yard.count;
	ask(&yard, HERD_LIMIT, 0, 40);
	settle(&yard);
	assert_int_equal(on(&yard), 40);
	assert_int_equal(yard.count, count + 60);
	assert_true(is_goodbye(last_sent(&yard)));
	answer_all(&yard);
	/* Neither a reboot nor the end of redundancy switches them on. */
	order(&yard, HERD_REBOOT, 0);
	order(&yard, HERD_POWER_CUT, 0);
	order(&yard, HERD_DISABLE_REDUNDANCY, 0);
	run_to_ms(&yard, 10000, true);
	assert_int_equal(on(&yard), 40);
	ask(&yard, HERD_LIMIT, 0, UINT32_MAX);
	run_to_ms(&yard, 10000, true);
	assert_int_equal(phones_in(&yard, PHONE_REGISTERED), 100);
	close_yard(&yard);
}

/* Who still says goodbye is started when that is over. */
static void a_raised_limit_waits_for_goodbyes(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 2);
	yard.config.unregister = true;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_LIMIT, 0, 0);
	settle(&yard);
	ask(&yard, HERD_LIMIT, 0, 2);
	run_to_ms(&yard, 1999, false);
	assert_int_equal(on(&yard), 0);
	run_to_ms(&yard, 2000, false);
	assert_int_equal(phones_in(&yard, PHONE_REGISTERING), 2);
	close_yard(&yard);
}

/* A phone about to start again after its reboot has no reason to any more. */
static void a_limit_ends_a_reboot(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.unregister = true;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_REBOOT, 0, 1);
	settle(&yard);
	ask(&yard, HERD_LIMIT, 0, 0);
	run_to_ms(&yard, 100000, false);
	assert_int_equal(on(&yard), 0);
	assert_int_equal(herd_counters(yard.herd)->boots, 1);
	close_yard(&yard);
}

/* Nor has a phone that is to be off. */
static void an_unregistration_ends_a_reboot(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1);
	yard.config.unregister = true;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_REBOOT, 0, 1);
	settle(&yard);
	ask(&yard, HERD_UNREGISTER, 0, 1);
	run_to_ms(&yard, 100000, false);
	assert_int_equal(on(&yard), 0);
	ask(&yard, HERD_REBOOT, 0, 1);
	run_to_ms(&yard, 101000, true);
	assert_int_equal(on(&yard), 1);
	assert_int_equal(herd_counters(yard.herd)->boots, 2);
	close_yard(&yard);
}

static void open_mirrored(struct yard *yard)
{
	struct mirror *mirror;
	assert_int_equal(mirror_create(&mirror, yard->config.fleet_phones, 1, NULL, false), 0);
	yard->config.mirror = mirror;
	open_yard(yard);
}

static void close_mirrored(struct yard *yard)
{
	close_yard(yard);
	mirror_free(yard->config.mirror);
}

/* Whom the limit had kept off is started at the ramp's rate, over all shards. */
static void a_raised_limit_ramps(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, MANY);
	yard.config.ramp_per_s = 10000;
	open_mirrored(&yard);
	ask(&yard, HERD_LIMIT, 0, 5000);
	ask(&yard, HERD_ADOPT, 0, MANY);
	run_to_ms(&yard, 5000, true);
	assert_int_equal(on(&yard), 5000);
	ask(&yard, HERD_LIMIT, 0, 22000);
	run_to_ms(&yard, 5500, true);
	assert_int_equal(on(&yard), 5000 + 5001);
	assert_int_equal(state_of(&yard, 10000), PHONE_REGISTERED);
	run_to_ms(&yard, 7000, true);
	assert_int_equal(on(&yard), 22000);
	assert_int_equal(state_of(&yard, 21999), PHONE_REGISTERED);
	ask(&yard, HERD_RELEASE, 10000, 10000);
	ask(&yard, HERD_LIMIT, 0, 24000);
	run_to_ms(&yard, 8000, true);
	assert_int_equal(on(&yard), 14000);
	close_mirrored(&yard);
}

/* Lowered and raised before the ramp is through. */
static void a_limit_may_move_during_the_ramp(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1000);
	yard.config.ramp_per_s = 100;
	open_yard(&yard);
	run_to_ms(&yard, 2995, true);
	assert_int_equal(on(&yard), 300);
	ask(&yard, HERD_LIMIT, 0, 100);
	settle(&yard);
	assert_int_equal(on(&yard), 100);
	ask(&yard, HERD_LIMIT, 0, 200);
	ask(&yard, HERD_LIMIT, 0, 50);
	ask(&yard, HERD_LIMIT, 0, 1000);
	run_to_ms(&yard, 3000, true);
	assert_int_equal(on(&yard), 51);
	run_to_ms(&yard, 12490, true);
	assert_int_equal(on(&yard), 1000);
	close_yard(&yard);
}

/* ---- the ramp ---- */

static void the_rate_may_change(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 1000);
	yard.config.ramp_per_s = 10;
	open_yard(&yard);
	run_to_ms(&yard, 10000, true);
	assert_int_equal(on(&yard), 101);
	/* Slower: the next is a second after the last. */
	ask(&yard, HERD_RAMP, 0, 1);
	run_to_ms(&yard, 10999, true);
	assert_int_equal(on(&yard), 101);
	run_to_ms(&yard, 20000, true);
	assert_int_equal(on(&yard), 111);
	/* Faster, without making up for what was slow. */
	ask(&yard, HERD_RAMP, 0, 100);
	run_to_ms(&yard, 20100, true);
	assert_int_equal(on(&yard), 121);
	ask(&yard, HERD_RAMP, 0, 0);
	settle(&yard);
	assert_int_equal(on(&yard), 1000);
	close_yard(&yard);
}

/* However often somebody moves the handle, phones come at the rate it shows: no faster, no slower. */
static void a_handle_that_is_moved_again_and_again(void **state)
{
	(void)state;
	for (uint32_t slice = 0; slice < 4; slice++) {
		struct yard yard;
		defaults(&yard, 1000);
		yard.config.first = slice;
		yard.config.stride = 4;
		yard.config.ramp_per_s = 1000;
		open_yard(&yard);
		ask(&yard, HERD_RAMP, 0, 2);
		for (uint64_t at_ms = 0; at_ms <= 60000; at_ms += 100) {
			run_to_ms(&yard, at_ms, true);
			ask(&yard, HERD_RAMP, 0, 2);
			if (at_ms % 500 == 0)
				ask(&yard, HERD_PAUSE, 0, at_ms % 1000 == 0);
			ask(&yard, HERD_PAUSE, 0, 0);
		}
		/* A phone each half second, every fourth of them here. */
		const uint32_t off = phones_in(&yard, PHONE_OFF);
		assert_in_range(250 - off, 29, 31);
		close_yard(&yard);
	}
}

/* Two ADOPTs for the same moment: one behind the other, not both at once. */
static void adoptions_share_the_ramp(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, MANY);
	yard.config.ramp_per_s = 20000;
	open_mirrored(&yard);
	ask(&yard, HERD_ADOPT, 20000, 5000);
	ask(&yard, HERD_ADOPT, 0, 10000);
	run_to_ms(&yard, 100, true);
	assert_int_equal(on(&yard), 2001);
	run_to_ms(&yard, 500, true);
	assert_int_equal(on(&yard), 10001);
	assert_int_equal(state_of(&yard, 5000), PHONE_REGISTERED);
	assert_int_equal(state_of(&yard, 5001), PHONE_OFF);
	close_mirrored(&yard);
}

/* Another rate moves what is under way; who is to come later comes then. */
static void a_later_adoption_keeps_its_time(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, MANY);
	yard.config.ramp_per_s = 1000;
	open_mirrored(&yard);
	const struct herd_command adopt = {.kind = HERD_ADOPT, .count = MANY, .begin_us = 10000000};
	assert_true(herd_command(yard.herd, &adopt, yard.now_us));
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_RAMP, 0, 100);
	run_to_ms(&yard, 9999, true);
	assert_int_equal(on(&yard), 0);
	run_to_ms(&yard, 11000, true);
	assert_int_equal(on(&yard), 101);
	close_mirrored(&yard);
}

static void nobody_is_started_in_a_pause(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 100);
	yard.config.ramp_per_s = 10;
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	assert_int_equal(on(&yard), 11);
	ask(&yard, HERD_PAUSE, 0, 1);
	run_to_ms(&yard, 30000, true);
	assert_int_equal(on(&yard), 11);
	assert_int_equal(herd_next_us(yard.herd, yard.now_us + 1000000), yard.now_us + 1000000);
	/* Reboots are not the ramp's business. */
	ask(&yard, HERD_POWER_CUT, 0, 1);
	ask(&yard, HERD_LIMIT, 0, 5);
	ask(&yard, HERD_LIMIT, 0, 100);
	run_to_ms(&yard, 40000, true);
	assert_int_equal(on(&yard), 5);
	assert_int_equal(herd_counters(yard.herd)->boots, 12);
	ask(&yard, HERD_PAUSE, 0, 0);
	run_to_ms(&yard, 40500, true);
	assert_int_equal(on(&yard), 11);
	run_to_ms(&yard, 50000, true);
	assert_int_equal(on(&yard), 100);
	close_yard(&yard);
}

static void after_a_stop_nothing_starts(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	ask(&yard, HERD_LIMIT, 0, 5);
	ask(&yard, HERD_UNREGISTER, 0, 1);
	settle(&yard);
	answer_all(&yard);
	ask(&yard, HERD_STOP, 0, 0);
	ask(&yard, HERD_LIMIT, 0, 10);
	ask(&yard, HERD_UNREGISTER, 2, 2);
	order(&yard, HERD_REBOOT, 0);
	ask(&yard, HERD_RAMP, 0, 0);
	run_to_ms(&yard, 100000, true);
	assert_int_equal(on(&yard), 0);
	assert_true(herd_is_quiet(yard.herd));
	close_yard(&yard);
}

/* Shards that were to come again once they are left do not, then. */
static void after_a_stop_nobody_comes_again(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10);
	open_mirrored(&yard);
	ask(&yard, HERD_ADOPT, 0, 10);
	run_to_ms(&yard, 1000, true);
	assert_int_equal(on(&yard), 10);
	ask(&yard, HERD_RELEASE, 0, 10);
	ask(&yard, HERD_ADOPT, 0, 10);
	ask(&yard, HERD_STOP, 0, 0);
	run_to_ms(&yard, 100000, true);
	assert_int_equal(on(&yard), 0);
	assert_true(mirror_shard_stopped(yard.config.mirror, 0));
	close_mirrored(&yard);
}

/* Who turns a handle asks for more limits than commands can wait: the last one counts. */
static void limits_give_way_to_the_next(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 100);
	open_yard(&yard);
	run_to_ms(&yard, 1000, true);
	for (uint32_t limit = 100; limit-- > 10;)
		ask(&yard, HERD_LIMIT, 0, limit);
	ask(&yard, HERD_UNREGISTER, 0, 1);
	ask(&yard, HERD_REBOOT, 0, 1);
	for (uint32_t limit = 20; limit <= 100; limit++) {
		ask(&yard, HERD_LIMIT, 0, limit);
		ask(&yard, HERD_LIMIT, 0, 120 - limit);
		ask(&yard, HERD_LIMIT, 0, 50);
	}
	run_to_ms(&yard, 3000, true);
	assert_int_equal(on(&yard), 50);
	/* The lowest of them took phones down, the last one has started them again. */
	assert_int_equal(herd_counters(yard.herd)->boots, 100 + 1 + 40);
	close_yard(&yard);
}

/* Each has room in the wheel for its Expires 0, beside the keep-alive that it had waited for. */
static void goodbyes_of_all_are_on_time(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, PHONES_MAX);
	yard.config.unregister = true;
	open_yard(&yard);
	run_to_ms(&yard, 10000, true);
	ask(&yard, HERD_LIMIT, 0, 0);
	run_to_ms(&yard, 11000, false);
	assert_int_equal(herd_counters(yard.herd)->unregister_silent, PHONES_MAX);
	assert_int_equal(herd_counters(yard.herd)->timer_late, 0);
	ask(&yard, HERD_LIMIT, 0, PHONES_MAX);
	yard.seen = yard.count;
	run_to_ms(&yard, 12000, true);
	assert_int_equal(phones_in(&yard, PHONE_REGISTERED), PHONES_MAX);
	assert_int_equal(herd_counters(yard.herd)->timer_late, 0);
	close_yard(&yard);
}

/* ---- all of it at random ---- */

struct wish {
	uint32_t limit;
	bool paused, adopted[3];
	bool held[MANY];
};

static uint64_t seed = 0x0de75;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 32) * n >> 32);
}

static void random_shards(struct yard *yard, struct wish *wish)
{
	const uint32_t shard = below(3);
	const bool adopt = below(3) > 0;
	ask(yard, adopt ? HERD_ADOPT : HERD_RELEASE, shard * SHARD_PHONES, SHARD_PHONES);
	/* Leaving goes before what waits: to be told apart, it has to be over. */
	settle(yard);
	wish->adopted[shard] = adopt;
	for (uint32_t i = shard * SHARD_PHONES; i < MANY && i / SHARD_PHONES == shard && !adopt;
		i++)
		wish->held[i] = false;
}

static void random_phones(struct yard *yard, struct wish *wish)
{
	static const uint8_t kinds[] = {
		HERD_UNREGISTER, HERD_REBOOT, HERD_POWER_CUT, HERD_REREGISTER};
	const uint8_t kind = kinds[below(4)];
	const uint32_t first = below(MANY);
	uint32_t count = 1 + below(below(2) ? 5 : MANY);
	ask(yard, kind, first, count);
	for (uint32_t i = first; i < MANY && i < first + count; i++) {
		if (kind == HERD_UNREGISTER && wish->adopted[i / SHARD_PHONES])
			wish->held[i] = true;
		else if ((kind == HERD_REBOOT || kind == HERD_POWER_CUT) && i < wish->limit)
			wish->held[i] = false;
	}
}

static void random_order(struct yard *yard, struct wish *wish)
{
	switch (below(6)) {
	case 0:
		random_shards(yard, wish);
		break;
	case 1:
		wish->limit = below(4) ? below(MANY) : MANY;
		ask(yard, HERD_LIMIT, 0, wish->limit);
		break;
	case 2:
		wish->paused = below(2);
		ask(yard, HERD_PAUSE, 0, wish->paused);
		break;
	case 3:
		ask(yard, HERD_RAMP, 0, below(2) ? 0 : 1 + below(100000));
		break;
	default:
		random_phones(yard, wish);
	}
}

static void check_wish(struct yard *yard, struct wish *wish, unsigned round)
{
	ask(yard, HERD_PAUSE, 0, 0);
	ask(yard, HERD_RAMP, 0, 0);
	run_to_ms(yard, yard->now_us / 1000 + 3000, true);
	for (uint32_t i = yard->config.first; i < MANY; i += yard->config.stride) {
		const bool right = wish->adopted[i / SHARD_PHONES] && i < wish->limit &&
				   !wish->held[i];
		if (right != (state_of(yard, i) == PHONE_REGISTERED))
			fail_msg("round %u: phone %u is %s, limit %u", round, i,
				phone_state_name(state_of(yard, i)), wish->limit);
	}
	/* As it was wished for. */
	ask(yard, HERD_PAUSE, 0, wish->paused);
}

static void whatever_is_asked_for_comes_about(void **state)
{
	(void)state;
	static struct wish wish;
	for (unsigned round = 0; round < 24; round++) {
		struct yard yard;
		print_message("round %u: seed 0x%016llx\n", round, (unsigned long long)seed);
		wish = (struct wish){.limit = MANY};
		defaults(&yard, MANY);
		yard.config.stride = 1 + below(7);
		yard.config.first = below(yard.config.stride);
		yard.config.unregister = below(2);
		yard.config.keepalive_period_ms = 0;
		yard.config.ramp_per_s = below(2) ? 0 : 100000;
		open_yard(&yard);
		ask(&yard, HERD_RELEASE, 0, MANY);
		settle(&yard);
		for (unsigned i = 0; i < 40; i++) {
			random_order(&yard, &wish);
			/* 16 commands can wait; sometimes they do. */
			if (below(3) == 0 || i % 8 == 7)
				run_to_ms(&yard, yard.now_us / 1000 + below(400), true);
			if (i % 13 == 12)
				check_wish(&yard, &wish, round);
		}
		run_to_ms(&yard, yard.now_us / 1000 + 1, true);
		check_wish(&yard, &wish, round);
		ask(&yard, HERD_STOP, 0, 0);
		run_to_ms(&yard, yard.now_us / 1000 + 70000, true);
		assert_true(herd_is_quiet(yard.herd));
		close_yard(&yard);
	}
}

/* ---- looking at one ---- */

static void a_look_tells_what_the_worker_knows(void **state)
{
	(void)state;
	struct yard yard;
	struct herd_look look;
	defaults(&yard, 2);
	open_yard(&yard);
	settle(&yard);
	assert_false(herd_look(yard.herd, 2, yard.now_us, &look));
	assert_true(herd_look(yard.herd, 1, 10000000, &look));
	assert_int_equal(look.phone, 1);
	assert_int_equal(look.state, PHONE_REGISTERING);
	assert_true(look.register_pending && !look.register_armed && !look.keepalive_armed);
	assert_int_equal(look.register_timeout_in_ms, 22000);
	assert_int_equal(look.register_cseq, MESSAGE_CSEQ_BASE + 1);
	assert_int_equal(look.keepalive_cseq, 0);
	assert_false(look.has_binding);
	yard.now_us = 1000000;
	answer_all(&yard);
	assert_true(herd_look(yard.herd, 1, 11000000, &look));
	assert_int_equal(look.state, PHONE_REGISTERED);
	assert_true(look.register_armed && !look.register_pending && look.keepalive_armed);
	assert_int_equal(look.register_in_ms, 1790000);
	assert_int_equal(look.keepalive_in_ms, 50000);
	assert_true(look.has_binding);
	assert_true(look.has_grant && look.binding_timed);
	assert_int_equal(look.granted_s, 3600);
	assert_int_equal(look.binding_expires_in_ms, 3590000);
	/* While a refresh is in flight nobody knows when the binding ends. */
	run_to_ms(&yard, 1790000, true);
	ask(&yard, HERD_REREGISTER, 1, 1);
	settle(&yard);
	assert_true(herd_look(yard.herd, 1, 3601000000, &look));
	assert_true(look.register_pending && !look.register_armed && look.has_binding);
	assert_int_equal(look.granted_s, 3600);
	assert_false(look.binding_timed);
	answer_all(&yard);
	run_to_ms(&yard, 1810000, false);
	assert_true(herd_look(yard.herd, 1, yard.now_us, &look));
	assert_true(look.binding_timed);
	assert_int_equal(look.binding_expires_in_ms, 3580000);
	assert_true(look.keepalive_pending);
	assert_int_equal(look.keepalive_target, PROXY_PRIMARY);
	close_yard(&yard);
}

/* What a 423 has raised has the place of what was granted. */
static void a_raised_expiry_hides_the_grant(void **state)
{
	(void)state;
	struct yard yard;
	struct herd_look look;
	defaults(&yard, 1);
	open_yard(&yard);
	settle(&yard);
	answer(&yard, last_sent(&yard), 423, "Min-Expires: 7200\r\n");
	answer_all(&yard);
	assert_true(herd_look(yard.herd, 0, yard.now_us, &look));
	assert_true(look.has_binding);
	assert_false(look.has_grant || look.binding_timed);
	ask(&yard, HERD_REREGISTER, 0, 1);
	settle(&yard);
	assert_non_null(strstr(last_sent(&yard)->text, "Expires: 7200\r\n"));
	close_yard(&yard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registered_phones_refresh_at_once),
		cmocka_unit_test(waiting_phones_try_again_at_once),
		cmocka_unit_test(an_unregistered_phone_stays_off),
		cmocka_unit_test(a_reboot_waits_for_the_goodbye),
		cmocka_unit_test(a_power_cut_forgets_the_goodbye),
		cmocka_unit_test(a_power_cut_may_spare_phones),
		cmocka_unit_test(a_phone_is_unregistered_before_its_turn),
		cmocka_unit_test(no_goodbye_outlives_redundancy),
		cmocka_unit_test(phones_above_the_limit_are_off),
		cmocka_unit_test(a_raised_limit_waits_for_goodbyes),
		cmocka_unit_test(a_limit_ends_a_reboot),
		cmocka_unit_test(an_unregistration_ends_a_reboot),
		cmocka_unit_test(a_raised_limit_ramps),
		cmocka_unit_test(a_limit_may_move_during_the_ramp),
		cmocka_unit_test(the_rate_may_change),
		cmocka_unit_test(a_handle_that_is_moved_again_and_again),
		cmocka_unit_test(adoptions_share_the_ramp),
		cmocka_unit_test(a_later_adoption_keeps_its_time),
		cmocka_unit_test(nobody_is_started_in_a_pause),
		cmocka_unit_test(after_a_stop_nothing_starts),
		cmocka_unit_test(after_a_stop_nobody_comes_again),
		cmocka_unit_test(limits_give_way_to_the_next),
		cmocka_unit_test(goodbyes_of_all_are_on_time),
		cmocka_unit_test(whatever_is_asked_for_comes_about),
		cmocka_unit_test(a_look_tells_what_the_worker_knows),
		cmocka_unit_test(a_raised_expiry_hides_the_grant),
	};
	return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
