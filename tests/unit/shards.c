/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones that come and go: shards adopted and released, what their records say before and after, and
 * a herd that falls silent because no lease is sure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "yard.h"

#define SECOND 1000000ull

static void open_mirrored(struct yard *yard)
{
	struct mirror *mirror;
	const uint32_t workers = yard->config.stride;
	assert_int_equal(
		mirror_create(&mirror, yard->config.fleet_phones, workers, NULL, false), 0);
	atomic_store(&mirror->unix_start_us, 1700000000000000);
	yard->config.mirror = mirror;
	yard->config.worker = yard->config.first;
	open_yard(yard);
}

static void close_mirrored(struct yard *yard)
{
	close_yard(yard);
	mirror_free(yard->config.mirror);
}

static void shards(
	struct yard *yard, uint8_t kind, uint32_t first, uint32_t count, uint64_t begin_us)
{
	const struct herd_command command = {.kind = kind,
		.first = first * SHARD_PHONES,
		.count = count * SHARD_PHONES,
		.begin_us = begin_us};
	assert_true(herd_command(yard->herd, &command, yard->now_us));
}

static bool driven(const struct yard *yard, uint32_t shard)
{
	return !mirror_shard_stopped(yard->config.mirror, shard);
}

static struct record_view record_of(const struct yard *yard, uint32_t phone)
{
	struct record_view view;
	record_load(&yard->config.mirror->record[phone], &view);
	return view;
}

static uint32_t off(const struct yard *yard)
{
	const uint32_t *phones = herd_population(yard->herd)->phones[PHONE_OFF];
	return phones[PROXY_PRIMARY] + phones[PROXY_REDUNDANT];
}

static void remember(struct yard *yard, uint32_t phone, uint8_t tried)
{
	const struct record_view view = {.version = RECORD_VERSION,
		.last_tried = tried,
		.transition = 65535,
		.keepalives_sent = 7};
	record_store(&yard->config.mirror->record[phone], &view, 0, 4);
}

static void shards_come_and_go(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 25000);
	yard.config.ramp_per_s = 10000;
	open_mirrored(&yard);
	run_to_ms(&yard, 1000, true);
	assert_int_equal(yard.count, 0);
	/* The last comes first, as the commands say; the first phone at begin_us, not before. */
	shards(&yard, HERD_ADOPT, 2, 1, 2 * SECOND);
	shards(&yard, HERD_ADOPT, 0, 1, 2 * SECOND + SECOND / 2);
	assert_true(driven(&yard, 0) && !driven(&yard, 1) && driven(&yard, 2));
	run_to_ms(&yard, 1999, true);
	assert_int_equal(yard.count, 0);
	run_to_ms(&yard, 2100, true);
	assert_int_equal(off(&yard), 25000 - 1001);
	assert_int_equal(state_of(&yard, 20000), PHONE_REGISTERED);
	assert_int_equal(state_of(&yard, 21000), PHONE_REGISTERED);
	assert_int_equal(state_of(&yard, 21001), PHONE_OFF);
	run_to_ms(&yard, 3500, true);
	assert_int_equal(off(&yard), 10000);
	assert_int_equal(state_of(&yard, 10000), PHONE_OFF);
	const uint64_t sent = yard.count;
	shards(&yard, HERD_RELEASE, 2, 1, 0);
	settle(&yard);
	assert_int_equal(yard.count, sent);
	assert_true(driven(&yard, 0) && !driven(&yard, 2));
	assert_int_equal(off(&yard), 15000);
	const struct record_view left = record_of(&yard, 20000);
	assert_int_equal(left.phase, PHONE_OFF);
	assert_int_equal(left.registered, 0);
	assert_int_equal(left.last_tried, 1 + PROXY_PRIMARY);
	assert_int_equal(left.cause, RECORD_STOPPED);
	assert_int_equal(left.transition, 4); /* boot, registering, registered, off */
	assert_int_equal(left.registrations_ok, 1);
	assert_int_equal(record_of(&yard, 15000).version, 0);
	close_mirrored(&yard);
}

/* Each with its part of the ramp, and the shard is driven until both have left it. */
static void two_herds_share_a_shard(void **state)
{
	(void)state;
	struct yard north, south;
	defaults(&north, 1500);
	north.config.end = 600;
	north.config.ramp_per_s = 1500;
	open_mirrored(&north);
	defaults(&south, 1500);
	south.config.begin = south.config.first = 600;
	south.config.end = 1500;
	south.config.ramp_per_s = 1500;
	south.config.mirror = north.config.mirror;
	open_yard(&south);
	struct yard *const yard[] = {&north, &south};
	for (int i = 0; i < 2; i++) {
		shards(yard[i], HERD_ADOPT, 0, 1, SECOND);
		run_to_ms(yard[i], 1500, true);
	}
	assert_in_range(off(&north), 298, 300);
	assert_in_range(off(&south), 448, 450);
	assert_null(herd_phone(north.herd, 600));
	assert_null(herd_phone(south.herd, 599));
	assert_int_equal(state_of(&south, 600), PHONE_REGISTERED);
	assert_int_equal(record_of(&south, 600).phase, PHONE_REGISTERED);
	shards(&north, HERD_RELEASE, 0, 1, 0);
	settle(&north);
	assert_int_equal(off(&north), 600);
	assert_true(driven(&north, 0));
	shards(&south, HERD_RELEASE, 0, 1, 0);
	settle(&south);
	assert_false(driven(&south, 0));
	close_yard(&south);
	close_mirrored(&north);
}

/* Somebody else has driven it meanwhile: the record counts, not our memory. */
static void an_adopted_phone_does_as_its_record_says(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 3);
	open_mirrored(&yard);
	remember(&yard, 1, 1 + PROXY_REDUNDANT);
	remember(&yard, 2, 1 + PROXY_PRIMARY);
	for (unsigned round = 0; round < 20; round++) {
		yard.count = yard.seen = 0;
		shards(&yard, HERD_ADOPT, 0, 1, yard.now_us);
		settle(&yard);
		assert_int_equal(yard.count, 3);
		for (unsigned i = 0; i < 3; i++) {
			const bool redundant = i == 1 + round % 2;
			assert_int_equal(yard.sent[i].phone, i);
			assert_int_equal(yard.sent[i].proxy, redundant);
			assert_int_equal(record_of(&yard, i).last_tried, 1 + redundant);
			assert_int_equal(record_of(&yard, i).phase, PHONE_REGISTERING);
		}
		if (round == 0) {
			assert_int_equal(record_of(&yard, 0).transition, 2);
			assert_int_equal(record_of(&yard, 1).transition, 1); /* 65535 + 2 */
			assert_int_equal(record_of(&yard, 0).keepalives_sent, 0);
			assert_int_equal(record_of(&yard, 1).keepalives_sent, 7);
			assert_int_equal(record_of(&yard, 0).rtt_100us, RECORD_RTT_NONE);
		}
		if (round % 2)
			answer_all(&yard);
		shards(&yard, HERD_RELEASE, 0, 1, 0);
		settle(&yard);
		assert_false(driven(&yard, 0));
		remember(&yard, 1, 1 + (round % 2 ? PROXY_REDUNDANT : PROXY_PRIMARY));
		remember(&yard, 2, 1 + (round % 2 ? PROXY_PRIMARY : PROXY_REDUNDANT));
	}
	close_mirrored(&yard);
}

/* A take-over can be taken back before the ramp is through. */
static void phones_that_the_ramp_has_not_reached_are_left_alone(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 30000);
	yard.config.ramp_per_s = 100;
	open_mirrored(&yard);
	shards(&yard, HERD_ADOPT, 0, 3, 0);
	run_to_ms(&yard, 1000, true);
	assert_int_equal(off(&yard), 30000 - 101);
	shards(&yard, HERD_RELEASE, 0, 2, 0);
	settle(&yard);
	assert_int_equal(off(&yard), 30000);
	assert_true(!driven(&yard, 0) && !driven(&yard, 1) && driven(&yard, 2));
	assert_int_equal(record_of(&yard, 100).phase, PHONE_OFF);
	assert_int_equal(record_of(&yard, 100).version, RECORD_VERSION);
	assert_int_equal(record_of(&yard, 101).version, 0);
	/* The third keeps its place in the schedule: 20,000 phones are before it. */
	run_to_ms(&yard, 199999, true);
	assert_int_equal(off(&yard), 30000);
	run_to_ms(&yard, 200010, true);
	assert_int_equal(off(&yard), 30000 - 2);
	assert_int_equal(state_of(&yard, 20001), PHONE_REGISTERED);
	close_mirrored(&yard);
}

/* Released and adopted again before the herd has come to either. */
static void the_last_word_counts(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10);
	open_mirrored(&yard);
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	settle(&yard);
	answer_all(&yard);
	const uint16_t epoch = herd_phone(yard.herd, 5)->epoch;
	shards(&yard, HERD_RELEASE, 0, 1, 0);
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	assert_true(driven(&yard, 0));
	/* Whoever is being left takes nothing any more. */
	const uint64_t muted = herd_counters(yard.herd)->muted;
	answer(&yard, last_sent(&yard), 200, "");
	assert_int_equal(herd_counters(yard.herd)->muted, muted + 1);
	settle(&yard);
	assert_true(driven(&yard, 0));
	assert_int_equal(state_of(&yard, 5), PHONE_REGISTERING);
	assert_int_equal(herd_phone(yard.herd, 5)->epoch, epoch + 1);
	shards(&yard, HERD_RELEASE, 0, 1, 0);
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	shards(&yard, HERD_RELEASE, 0, 1, 0);
	settle(&yard);
	assert_false(driven(&yard, 0));
	assert_int_equal(off(&yard), 10);
	shards(&yard, HERD_RELEASE, 0, 1, 0);
	settle(&yard);
	assert_false(driven(&yard, 0));
	close_mirrored(&yard);
}

static void a_thousand_shards_in_a_thousand_commands(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 10000000);
	yard.config.first = 3;
	yard.config.stride = 16;
	yard.config.ramp_per_s = 1000000;
	yard.config.keepalive_period_ms = 0;
	struct mirror *mirror;
	assert_int_equal(mirror_create(&mirror, 10000000, 16, NULL, false), 0);
	yard.config.mirror = mirror;
	yard.config.worker = 3;
	open_yard_of(&yard, "u{n}", NULL, "10.0.0.0/8");
	for (uint32_t i = 0; i < 1000; i++)
		shards(&yard, HERD_ADOPT, i, 1, 100 * SECOND + i * SECOND / 100);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(mirror->driven[i * 16 + 3], 1);
	assert_int_equal(mirror->driven[4], 0);
	/* A shard that was never begun costs one step, not its phones. */
	for (uint32_t i = 1; i < 1000; i++)
		shards(&yard, HERD_RELEASE, i, 1, 0);
	assert_false(herd_advance(yard.herd, yard.now_us, 900));
	assert_true(herd_advance(yard.herd, yard.now_us, 100));
	for (uint32_t i = 1; i < 1000; i++)
		assert_int_equal(mirror->driven[i * 16 + 3], 0);
	yard.full = true;
	run_to_ms(&yard, 100500, false);
	assert_int_equal(off(&yard), 625000 - 625);
	/* Commands for some phones do not walk the others, nor shards that are away. */
	struct herd_command cut = {.kind = HERD_POWER_CUT, .first = 8003, .count = 32};
	assert_true(herd_command(yard.herd, &cut, yard.now_us));
	const uint64_t boots = herd_counters(yard.herd)->boots;
	herd_advance(yard.herd, yard.now_us, 2);
	assert_int_equal(herd_counters(yard.herd)->boots, boots + 2);
	cut = (struct herd_command){.kind = HERD_STOP};
	assert_true(herd_command(yard.herd, &cut, yard.now_us));
	assert_true(herd_advance(yard.herd, yard.now_us, 4000));
	assert_true(herd_is_quiet(yard.herd));
	assert_int_equal(off(&yard), 625000);
	close_mirrored(&yard);
}

/* An Expires 0 on its way does not hold a release up, nor leave anything behind. */
static void a_release_drops_what_is_in_flight(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 5);
	yard.config.unregister = true;
	open_mirrored(&yard);
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	settle(&yard);
	answer_all(&yard);
	order(&yard, HERD_REBOOT, 5000);
	settle(&yard);
	assert_non_null(strstr(last_sent(&yard)->text, "Expires: 0\r\n"));
	const struct sent goodbye = *last_sent(&yard);
	const uint32_t count = yard.count;
	shards(&yard, HERD_RELEASE, 0, 1, 0);
	settle(&yard);
	assert_false(driven(&yard, 0));
	answer(&yard, &goodbye, 200, "");
	assert_int_equal(herd_counters(yard.herd)->response_late, 1);
	run_to_ms(&yard, 100000, false);
	assert_int_equal(yard.count, count);
	assert_int_equal(off(&yard), 5);
	order(&yard, HERD_STOP, 0);
	settle(&yard);
	assert_true(herd_is_quiet(yard.herd));
	assert_int_equal(yard.count, count);
	/* After the end nothing begins. */
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	settle(&yard);
	assert_false(driven(&yard, 0));
	assert_int_equal(yard.count, count);
	close_mirrored(&yard);
}

static void lease_until(struct yard *yard, uint64_t us)
{
	atomic_store(&yard->config.mirror->lease_over_us, us);
}

static void without_a_lease_nothing_is_sent(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 25000);
	yard.config.unregister = true;
	open_mirrored(&yard);
	shards(&yard, HERD_ADOPT, 0, 2, 0);
	run_to_ms(&yard, 10, true);
	lease_until(&yard, 70 * SECOND);
	run_to_ms(&yard, 69999, true);
	assert_int_equal(herd_counters(yard.herd)->options_answered, 20000);
	const uint64_t count = yard.count;
	yard.now_us = 70 * SECOND;
	answer(&yard, last_sent(&yard), 200, "");
	herd_unreachable(yard.herd, 5, PROXY_PRIMARY, yard.now_us);
	assert_int_equal(herd_counters(yard.herd)->muted, 1);
	order(&yard, HERD_REBOOT, 0);
	shards(&yard, HERD_ADOPT, 2, 1, 0);
	shards(&yard, HERD_RELEASE, 1, 1, 0);
	for (int second = 70; second < 200; second++) {
		stall_to_ms(&yard, (uint64_t)second * 1000);
		assert_int_equal(herd_next_us(yard.herd, yard.now_us + 500), yard.now_us + 500);
	}
	assert_int_equal(yard.count, count);
	assert_true(driven(&yard, 0) && !driven(&yard, 1) && driven(&yard, 2));
	assert_int_equal(off(&yard), 15000);
	/* It comes back: what has waited is done. */
	lease_until(&yard, UINT64_MAX);
	assert_true(herd_next_us(yard.herd, yard.now_us + 500) <= yard.now_us);
	settle(&yard);
	assert_true(yard.count > count);
	yard.seen = yard.count;
	run_to_ms(&yard, 202000, true);
	assert_int_equal(
		herd_population(yard.herd)->phones[PHONE_REGISTERED][PROXY_PRIMARY], 15000);
	close_mirrored(&yard);
}

/* The end must be possible without a lease, without a word, and whatever waits before it. */
static void a_muted_herd_can_be_stopped(void **state)
{
	(void)state;
	struct yard yard;
	defaults(&yard, 100);
	yard.config.unregister = true;
	open_mirrored(&yard);
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	settle(&yard);
	answer_all(&yard);
	order(&yard, HERD_REBOOT, 0);
	herd_advance(yard.herd, yard.now_us, 10); /* ten of them have said goodbye */
	const uint32_t count = yard.count;
	lease_until(&yard, 0);
	order(&yard, HERD_STOP, 0);
	assert_int_equal(herd_next_us(yard.herd, yard.now_us + 500), 0);
	settle(&yard);
	assert_true(herd_is_quiet(yard.herd));
	assert_int_equal(yard.count, count);
	assert_int_equal(off(&yard), 100);
	assert_int_equal(herd_next_us(yard.herd, yard.now_us + 500), yard.now_us + 500);
	close_mirrored(&yard);
}

/* Counts, misses and round trips are written at once, and are no reason to tell anybody. */
static void counts_are_kept_quietly(void **state)
{
	(void)state;
	struct yard yard;
	uint64_t bits[MIRROR_DIRTY_WORDS];
	struct mirror_line line[4];
	defaults(&yard, 1);
	yard.config.redundancy.fail_threshold = 3;
	open_mirrored(&yard);
	struct mirror *mirror = yard.config.mirror;
	shards(&yard, HERD_ADOPT, 0, 1, 0);
	settle(&yard);
	answer_all(&yard);
	assert_true(mirror_take_dirty(mirror, 0, bits));
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 0, line, 4), 3);
	assert_int_equal(line[2].phase, PHONE_REGISTERED);
	assert_int_equal(line[2].at >> 16, 1700000000000);
	run_to_ms(&yard, 60000, false);
	assert_int_equal(record_of(&yard, 0).keepalives_sent, 1);
	yard.now_us += 1234567;
	answer_all(&yard);
	assert_int_equal(record_of(&yard, 0).rtt_100us, 12345);
	run_to_ms(&yard, 160000, false); /* the second is lost */
	struct record_view view = record_of(&yard, 0);
	assert_int_equal(view.keepalives_sent, 2);
	assert_int_equal(view.keepalives_missed, 1);
	assert_int_equal(view.misses, 1);
	assert_false(mirror_take_dirty(mirror, 0, bits));
	assert_int_equal(mirror_take_lines(mirror, MIRROR_STORE, 0, line, 4), 0);
	/* At their ends they stay. */
	view.keepalives_sent = view.keepalives_missed = view.registrations_ok = UINT32_MAX;
	view.registrations_failed = view.failovers = view.failbacks = UINT16_MAX;
	record_store(&mirror->record[0], &view, 0, 4);
	run_to_ms(&yard, 2000000, false);
	assert_true(herd_counters(yard.herd)->failover_keepalive_silence > 0);
	assert_true(herd_counters(yard.herd)->failback_register_silence > 0);
	yard.seen = yard.count;
	run_to_ms(&yard, 4000000, true);
	view = record_of(&yard, 0);
	assert_true(herd_counters(yard.herd)->register_ok > 1);
	assert_int_equal(view.phase, PHONE_REGISTERED);
	assert_int_equal(view.misses, 0);
	assert_int_equal(view.keepalives_sent, UINT32_MAX);
	assert_int_equal(view.keepalives_missed, UINT32_MAX);
	assert_int_equal(view.registrations_ok, UINT32_MAX);
	assert_int_equal(view.registrations_failed, UINT16_MAX);
	assert_int_equal(view.failovers, UINT16_MAX);
	assert_int_equal(view.failbacks, UINT16_MAX);
	close_mirrored(&yard);
}

/* Everything included: the herd, its wheel and templates, and its share of the mirror. */
static void memory_is_bounded(void **state)
{
	static const uint32_t size[] = {1000000, 10000000};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct yard yard;
		struct mirror *mirror;
		defaults(&yard, size[i]);
		assert_int_equal(mirror_create(&mirror, size[i], 1, NULL, false), 0);
		yard.config.mirror = mirror;
		open_yard_of(&yard, "u{n}", NULL, "10.0.0.0/8");
		const uint64_t bytes = herd_memory(yard.herd);
		print_message("%u phones: %.1f bytes each\n", size[i], (double)bytes / size[i]);
		assert_true(bytes <= 192ull * size[i]);
		close_mirrored(&yard);
	}
}

static uint64_t resident(void)
{
	unsigned long long all, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &all, &pages), 2);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of ten million phones a generator may drive a few: only these take memory. */
static void phones_elsewhere_take_no_memory(void **state)
{
	(void)state;
	const uint64_t before = resident();
	struct yard yard;
	struct mirror *mirror;
	defaults(&yard, 10000000);
	assert_int_equal(mirror_create(&mirror, 10000000, 1, NULL, false), 0);
	yard.config.mirror = mirror;
	yard.config.ramp_per_s = 1000;
	open_yard_of(&yard, "u{n}", NULL, "10.0.0.0/8");
	shards(&yard, HERD_ADOPT, 500, 1, 0);
	run_to_ms(&yard, 11000, true);
	order(&yard, HERD_REBOOT, 0);
	settle(&yard);
	shards(&yard, HERD_RELEASE, 500, 1, 0);
	order(&yard, HERD_STOP, 0);
	settle(&yard);
	assert_int_equal(herd_counters(yard.herd)->boots, 20000);
	const uint64_t grown = resident() - before;
	print_message("grown by %.1f MB\n", (double)grown / 1e6);
	assert_in_range(grown, 0, 200000000);
	close_mirrored(&yard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shards_come_and_go),
		cmocka_unit_test(two_herds_share_a_shard),
		cmocka_unit_test(an_adopted_phone_does_as_its_record_says),
		cmocka_unit_test(phones_that_the_ramp_has_not_reached_are_left_alone),
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(a_thousand_shards_in_a_thousand_commands),
		cmocka_unit_test(a_release_drops_what_is_in_flight),
		cmocka_unit_test(without_a_lease_nothing_is_sent),
		cmocka_unit_test(a_muted_herd_can_be_stopped),
		cmocka_unit_test(counts_are_kept_quietly),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(phones_elsewhere_take_no_memory),
	};
	return cmocka_run_group_tests_name("shards", tests, NULL, NULL);
}
