/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole wire on the memory link: 1,000 phones register with the built-in registrars, lose the
 * primary, move, and come back. As whoever runs the test, without huge pages or network. DPDK can be
 * started once in a process, so each case has a process of its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "wire_stage.h"

/* What must not have happened on a link that loses nothing. */
static void check_wire(const struct wire_snapshot *snapshot)
{
	const struct wire_counters *wire = &snapshot->wire;
	stage_check(snapshot->herd.not_sent == 0, "the herd found no buffer");
	stage_check(!wire->not_sent_full && !wire->not_sent_no_buffer &&
			    !wire->not_sent_no_neighbour && !wire->not_sent_too_long &&
			    !wire->not_sent_unresolved,
		"frames were not sent");
	stage_check(!wire->bad_checksum && !wire->bad_frame && !wire->fragment &&
			    !wire->foreign_address && !wire->foreign_protocol &&
			    !wire->foreign_sender && !wire->foreign_vlan,
		"frames were not understood");
	stage_check(wire->frames_sent == wire->frames_received, "frames were lost");
	stage_check(
		wire->arp_answered + wire->ndp_answered >= PROXIES, "neighbours did not answer");
}

static void crash_and_return(unsigned workers, uint8_t family, bool apart)
{
	static struct stage stage;
	const unsigned all = apart ? 2 * workers : workers;
	const struct registrar_faults dead = {.crashed = true}, healthy = {0};
	const struct herd_command stop = {.kind = HERD_STOP};
	stage_set_up(&stage, workers, family);
	stage.config.apart = apart;
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(stage.snapshot.herd.register_challenged == STAGE_PHONES,
		"each phone is challenged once");
	wire_set_faults(stage.wire, PROXY_PRIMARY, &dead);
	stage_wait_registered(&stage, PROXY_REDUNDANT, STAGE_PHONES, true);
	wire_set_faults(stage.wire, PROXY_PRIMARY, &healthy);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(stage.snapshot.workers == all, "workers");
	for (unsigned w = 0; w < all; w++) {
		const struct wire_worker_state *state = &stage.snapshot.worker[w];
		stage_check(state->rounds > 0, "a worker did not run");
		stage_check(state->registrar_ratio <= state->busy_ratio,
			"registrars took more than all");
		stage_check(!apart || w >= workers || state->registrar_ratio == 0,
			"registrars that live apart took something of a herd's worker");
	}
	wire_command(stage.wire, &stop);
	stage_wait_quiet(&stage);
	stage_check(
		stage.snapshot.registered_at[PROXY_PRIMARY] == 0, "a binding survived Expires 0");
	check_wire(&stage.snapshot);
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void one_worker(void)
{
	crash_and_return(1, ADDRESS_IPV4, false);
}

static void two_workers(void)
{
	crash_and_return(2, ADDRESS_IPV4, false);
}

static void two_workers_ipv6(void)
{
	crash_and_return(2, ADDRESS_IPV6, false);
}

static void two_workers_and_registrars_apart(void)
{
	crash_and_return(2, ADDRESS_IPV4, true);
}

/* Steps never go back, and the newest says no more than what is counted by now. */
static void check_series(struct stage *stage, uint64_t *checked)
{
	static struct proxy_counters last[PROXIES];
	const struct wire_snapshot *snapshot = &stage->snapshot;
	const struct series *series = &snapshot->series;
	stage_check(series->steps >= *checked, "steps went away");
	stage_check(series->steps * SERIES_STEP_US <= snapshot->now_us, "a step ended too early");
	for (; *checked < series->steps; ++*checked) {
		if (*checked < series_oldest(series))
			continue;
		const struct proxy_counters *at = series->at[*checked % SERIES_STEPS];
		for (unsigned i = 0; i < PROXIES * proxy_counters_count; i++)
			stage_check(((const uint64_t *)at)[i] >= ((const uint64_t *)last)[i],
				"a step counts backwards");
		memcpy(last, at, sizeof(last));
	}
	for (unsigned i = 0; i < PROXIES * proxy_counters_count; i++)
		stage_check(((const uint64_t *)last)[i] <= ((const uint64_t *)snapshot->proxy)[i],
			"a step counts what has not been");
}

static void watch_until_registered(struct stage *stage, enum proxy proxy, uint64_t *checked)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		wire_snapshot(stage->wire, &stage->snapshot);
		check_series(stage, checked);
		if (stage->snapshot.population.phones[PHONE_REGISTERED][proxy] == STAGE_PHONES)
			return;
	} while (time(NULL) < end);
	stage_check(false, "phones did not get there");
}

/* After all has been stopped: the last step comes to be what was counted in all. */
static void watch_until_told(struct stage *stage, uint64_t *checked)
{
	const struct series *series = &stage->snapshot.series;
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		wire_snapshot(stage->wire, &stage->snapshot);
		check_series(stage, checked);
		if (!memcmp(series->at[(series->steps - 1) % SERIES_STEPS], stage->snapshot.proxy,
			    sizeof(stage->snapshot.proxy)))
			return;
	} while (time(NULL) < end);
	stage_check(false, "the series never tells of the end");
}

/* An outage of our own making moves the phones of all workers, and the series of all tells of it. */
static void impaired_by_ourselves(void)
{
	static struct stage stage;
	struct herd_command command = {.kind = HERD_IMPAIR, .proxy = PROXY_PRIMARY};
	uint64_t checked = 0;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage_start(&stage);
	watch_until_registered(&stage, PROXY_PRIMARY, &checked);
	command.impairment = (struct impairment){
		.share_ppm = IMPAIRMENT_ALL_PPM, .loss_ppm = IMPAIRMENT_ALL_PPM};
	wire_command(stage.wire, &command);
	watch_until_registered(&stage, PROXY_REDUNDANT, &checked);
	command.impairment = (struct impairment){
		.share_ppm = IMPAIRMENT_ALL_PPM, .delay_us = 1000, .jitter_us = 30000};
	wire_command(stage.wire, &command);
	watch_until_registered(&stage, PROXY_PRIMARY, &checked);
	wire_command(stage.wire, &(const struct herd_command){.kind = HERD_STOP});
	stage_wait_quiet(&stage);
	watch_until_told(&stage, &checked);
	const struct herd_counters *herd = &stage.snapshot.herd;
	struct proxy_counters sum = stage.snapshot.proxy[PROXY_PRIMARY];
	stage_check(sum.accepted_initial >= STAGE_PHONES, "initial registrations");
	stage_check(sum.accepted_failback >= STAGE_PHONES, "registrations failing back");
	counters_add(&sum, &stage.snapshot.proxy[PROXY_REDUNDANT], proxy_counters_count);
	stage_check(sum.accepted_initial + sum.accepted_refresh + sum.accepted_failover +
				    sum.accepted_failback ==
			    herd->register_ok,
		"registrations of any kind");
	stage_check(sum.options_answered == herd->options_answered, "keep-alives answered");
	stage_check(sum.options_timeout == herd->options_silent, "keep-alives never answered");
	stage_check(sum.register_timeout == herd->register_silent, "REGISTERs never answered");
	stage_check(sum.challenged == herd->register_challenged, "challenges");
	stage_check(sum.rrd_us == stage.snapshot.histograms.registration_us.sum, "delays");
	stage_check(herd->impaired_sent >= STAGE_PHONES, "nothing was lost");
	stage_check(herd->impaired_delayed >= STAGE_PHONES, "nothing was held back");
	check_wire(&stage.snapshot);
	wire_close(stage.wire);
	identity_free(stage.identities);
}

/* The primary moves to another address while phones use it: its new MAC is asked for, its new
 * address used. An address of the other family is refused and changes nothing. */
static void proxy_moves(void)
{
	static struct stage stage;
	struct address address;
	struct wire_error error;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage_check(!address_parse("10.20.0.3", &address), "address");
	stage_check(!address_plan_exclude(&stage.plan, &address), "hole");
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	const uint64_t before = stage.snapshot.wire.arp_answered;
	stage_check(!wire_set_proxy(stage.wire, 0, PROXY_PRIMARY, &address, 5080), "set proxy");
	stage_check(!wire_wait_neighbours(stage.wire, STAGE_PATIENCE_S * 1000, &error),
		"new neighbour");
	wire_snapshot(stage.wire, &stage.snapshot);
	stage_check(stage.snapshot.wire.arp_answered > before, "nobody asked for the new address");
	const struct herd_command reboot = {.kind = HERD_REBOOT, .count = STAGE_PHONES};
	wire_command(stage.wire, &reboot);
	const uint64_t registered = stage.snapshot.herd.register_ok;
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	while (stage.snapshot.herd.register_ok < registered + STAGE_PHONES && time(NULL) < end)
		wire_snapshot(stage.wire, &stage.snapshot);
	stage_check(stage.snapshot.herd.register_ok >= registered + STAGE_PHONES,
		"phones did not register again");
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(!address_parse("fd00::3", &address), "address");
	stage_check(wire_set_proxy(stage.wire, 0, PROXY_PRIMARY, &address, 5080) == -EAFNOSUPPORT,
		"family");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

/* Phones whose shard is not here get nothing: what comes for them is dropped before the herd. */
static void shard_elsewhere(void)
{
	static struct stage stage;
	struct mirror *mirror;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage_check(!mirror_create(&mirror, STAGE_PHONES, 2, NULL, false), "mirror");
	stage.config.herd.mirror = mirror;
	atomic_store(&mirror->here[0], 1);
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(!stage.snapshot.wire.foreign_address,
		"datagrams of phones that are here were dropped");
	stage_check(!stage.snapshot.wire.announced, "announced where nobody listens");
	atomic_store(&mirror->here[0], 0);
	wire_snapshot(stage.wire, &stage.snapshot); /* later than what workers have begun */
	const uint64_t answered = stage.snapshot.herd.options_answered;
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	while (stage.snapshot.wire.foreign_address < STAGE_PHONES && time(NULL) < end)
		wire_snapshot(stage.wire, &stage.snapshot);
	stage_check(stage.snapshot.wire.foreign_address >= STAGE_PHONES, "nothing was dropped");
	stage_check(stage.snapshot.herd.options_answered == answered, "the herd got an answer");
	wire_close(stage.wire);
	mirror_free(mirror);
	identity_free(stage.identities);
}

/* Wait until each worker drives all shards, or none does. */
static void wait_driven(const struct mirror *mirror, uint8_t wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	uint32_t left;
	do {
		left = 0;
		nanosleep(&pause, NULL);
		for (uint32_t i = 0; i < mirror->shards * mirror->workers; i++)
			left += atomic_load(&mirror->driven[i]) != wanted;
	} while (left && time(NULL) < end);
	stage_check(!left, wanted ? "a shard was not adopted" : "a shard was not released");
}

/* More shards come and go at once than commands used to fit, before workers run and while they do:
 * none is lost. */
static void many_shards(void)
{
	enum { SHARDS = 70 };
	static struct stage stage;
	struct wire_error error;
	struct mirror *mirror;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage_check(!address_plan_parse("10.0.0.0/8", &stage.plan), "plan");
	stage_check(!mirror_create(&mirror, SHARDS * SHARD_PHONES, 2, NULL, false), "mirror");
	stage.config.herd.mirror = mirror;
	stage.config.herd.fleet_phones = SHARDS * SHARD_PHONES;
	stage.config.herd.ramp_per_s = 1000;
	stage_check(!wire_open(&stage.wire, &stage.config, &error), error.message);
	for (unsigned round = 0; round < 3; round++) {
		struct herd_command command = {.kind = HERD_ADOPT, .count = SHARD_PHONES};
		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			command.first = shard * SHARD_PHONES;
			wire_command(stage.wire, &command);
			wire_announce(stage.wire, command.first, command.count);
		}
		if (!round)
			stage_check(!wire_start(stage.wire, &error), error.message);
		wait_driven(mirror, 1);
		command.kind = HERD_RELEASE;
		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			command.first = shard * SHARD_PHONES;
			wire_command(stage.wire, &command);
		}
		wait_driven(mirror, 0);
	}
	stage_check(wire_now_us(stage.wire) > 0, "the clock stands still");
	wire_close(stage.wire);
	mirror_free(mirror);
	identity_free(stage.identities);
}

static uint32_t word_at(const uint8_t *bytes)
{
	uint32_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Walk the blocks of a pcapng file; every packet must be to or from `phone`. Returns their count. */
static unsigned walk_capture(const uint8_t *bytes, size_t length, const struct address *phone)
{
	unsigned packets = 0;
	for (size_t at = 0; at < length;) {
		stage_check(length - at >= 12, "block cut short");
		const uint32_t type = word_at(bytes + at), size = word_at(bytes + at + 4);
		stage_check(size >= 12 && size % 4 == 0 && size <= length - at, "block length");
		stage_check(
			word_at(bytes + at + size - 4) == size, "block length, the second time");
		stage_check((type == 0x0a0d0d0a) == (at == 0), "section header");
		if (type == 6) {
			const uint8_t *frame = bytes + at + 28;
			stage_check(word_at(bytes + at + 20) <= size - 32, "packet length");
			stage_check(!memcmp(frame + 26, phone->bytes, 4) ||
					    !memcmp(frame + 30, phone->bytes, 4),
				"a packet of another phone");
			packets++;
		}
		at += size;
	}
	return packets;
}

static bool contains(const uint8_t *bytes, size_t length, const char *text)
{
	return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* One phone's traffic goes to the file, whole and without its answers to challenges. */
static void capture_of_one_phone(void)
{
	static struct stage stage;
	static uint8_t bytes[1 << 20];
	struct address phone;
	uint16_t port;
	char path[64];
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	snprintf(path, sizeof(path), "/tmp/sipherd-test-%ld.pcapng", (long)getpid());
	stage.config.capture = (struct wire_capture){.path = path, .phone = 7};
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	wire_close(stage.wire);
	FILE *file = fopen(path, "rb");
	stage_check(file, "no capture file");
	const size_t length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	unlink(path);
	address_plan_at(&stage.plan, 7, &phone, &port);
	/* REGISTER, 401, REGISTER, 200, and perhaps keep-alives. */
	stage_check(walk_capture(bytes, length, &phone) >= 4, "too few packets");
	stage_check(contains(bytes, length, "response=\"xxxxxxxx"), "no masked response");
	stage_check(contains(bytes, length, "nonce=\"xxxxxxxx"), "no masked nonce");
	stage_check(contains(bytes, length, "realm=\"lab.example.net\""), "realm was masked");
	identity_free(stage.identities);
}

static void crash_and_return_with_one_worker(void **state)
{
	(void)state;
	stage_in_child(one_worker);
}

static void crash_and_return_with_two_workers(void **state)
{
	(void)state;
	stage_in_child(two_workers);
}

static void crash_and_return_over_ipv6(void **state)
{
	(void)state;
	stage_in_child(two_workers_ipv6);
}

static void crash_and_return_with_registrars_apart(void **state)
{
	(void)state;
	stage_in_child(two_workers_and_registrars_apart);
}

static void an_outage_of_our_own_with_two_workers(void **state)
{
	(void)state;
	stage_in_child(impaired_by_ourselves);
}

static void a_proxy_moves(void **state)
{
	(void)state;
	stage_in_child(proxy_moves);
}

static void one_phone_is_captured(void **state)
{
	(void)state;
	stage_in_child(capture_of_one_phone);
}

static void a_shard_is_elsewhere(void **state)
{
	(void)state;
	stage_in_child(shard_elsewhere);
}

static void shards_come_and_go_by_the_dozen(void **state)
{
	(void)state;
	stage_in_child(many_shards);
}

static void refuse(const struct wire_config *config, int code, const char *words)
{
	struct wire_error error = {""};
	struct wire *wire;
	assert_int_equal(wire_open(&wire, config, &error), code);
	if (!strstr(error.message, words))
		fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

/* What can be told before DPDK starts is told then, with a remedy. */
static void bad_configurations(void **state)
{
	(void)state;
	struct wire_config config = {.roles = WIRE_HERD | WIRE_REGISTRARS};
	refuse(&config, -EINVAL, "workers 0");
	config.workers = WIRE_WORKERS_MAX + 1;
	refuse(&config, -EINVAL, "workers 17");
	config.workers = 2;
	refuse(&config, -EINVAL, "more than phones");
	config.roles = WIRE_HERD;
	refuse(&config, -EINVAL, "link memory");
	config.roles = WIRE_REGISTRARS;
	assert_int_equal(wire_link_parse("af_packet:no-such-if0", &config.link), 0);
	refuse(&config, -EINVAL, "one worker");
	config.workers = 1;
	config.apart = true;
	refuse(&config, -EINVAL, "registrars apart");
	config.apart = false;
	refuse(&config, -EINVAL, "numeric address");
	for (unsigned p = 0; p < PROXIES; p++)
		config.proxy[p].known = true;
	refuse(&config, -ENODEV, "no interface no-such-if0");
	config.vlan = 4095;
	refuse(&config, -EINVAL, "vlan 4095");
	config.vlan = 0;
	config.mtu = 9001;
	refuse(&config, -EINVAL, "mtu 9001");
}

static void links_by_name(void **state)
{
	static const char *const good[] = {
		"memory", "tap:sipherd0", "af_packet:eth0", "af_xdp:eth0.5", "pci:0000:3b:00.0"};
	static const char *const bad[] = {"", "memory:", "tap:", "eth0", "af_packet:", "tap:a,b=c",
		"af_xdp:this-name-is-far-too-long", "tap:a b", "tap:a/b"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct wire_link link;
		char text[WIRE_DEVICE_MAX + 16];
		assert_int_equal(wire_link_parse(good[i], &link), 0);
		wire_link_format(&link, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wire_link link;
		assert_int_equal(wire_link_parse(bad[i], &link), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_by_name),
		cmocka_unit_test(bad_configurations),
		cmocka_unit_test(crash_and_return_with_one_worker),
		cmocka_unit_test(crash_and_return_with_two_workers),
		cmocka_unit_test(crash_and_return_over_ipv6),
		cmocka_unit_test(crash_and_return_with_registrars_apart),
		cmocka_unit_test(an_outage_of_our_own_with_two_workers),
		cmocka_unit_test(a_proxy_moves),
		cmocka_unit_test(one_phone_is_captured),
		cmocka_unit_test(a_shard_is_elsewhere),
		cmocka_unit_test(shards_come_and_go_by_the_dozen),
	};
	return cmocka_run_group_tests_name("wire_memory", tests, NULL, NULL);
}
