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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "wire.h"

#define PHONES 1000
/* Far more than any of this takes; only a phone that never gets there runs into it. */
#define PATIENCE_S 60

struct stage {
	struct wire_config config;
	struct address_plan plan;
	struct identity_set *identities;
	struct wire *wire;
	struct wire_snapshot snapshot;
};

/* In the child: a check that fails ends the process, and the parent's assertion with it. */
static void check(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "wire_memory: %s\n", what);
	_exit(1);
}

static void set_up_phones(struct stage *stage, uint8_t family)
{
	struct identity_error error;
	struct herd_config *herd = &stage->config.herd;
	check(!identity_patterns(&stage->identities, "2{n:06}", NULL, "pw-{user}", PHONES, &error),
		"identities");
	check(!address_plan_parse(
		      family == ADDRESS_IPV4 ? "10.20.0.0/16" : "fd00:20::/112", &stage->plan),
		"plan");
	herd->fleet_phones = PHONES;
	herd->identities = stage->identities;
	herd->plan[family] = &stage->plan;
	strcpy(herd->domain, "lab.example.net");
	strcpy(herd->user_agent, "sipherd test");
	herd->redundancy = (struct redundancy_rules){
		.enabled = true, .fail_threshold = 1, .success_threshold = 1};
	herd->timers = (struct transaction_timers){
		.t1_ms = 100, .t2_ms = 4000, .t4_ms = 5000, .no_response_ms = 200};
	herd->keepalive_period_ms = 500;
	herd->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	herd->expires_s = 3600;
	herd->retry_ms = 1000;
	herd->refresh_permille = 500;
	herd->unregister = true;
	herd->seed = 1;
	herd->secret = 2;
}

static void set_up_proxies(struct stage *stage, uint8_t family)
{
	static const char *const address[ADDRESS_FAMILIES][PROXIES] = {
		{"10.20.0.1", "10.20.0.2"}, {"fd00:20::1", "fd00:20::2"}};
	struct wire_config *config = &stage->config;
	for (unsigned p = 0; p < PROXIES; p++) {
		struct wire_proxy *proxy = &config->proxy[p];
		struct herd_proxy *view = &config->herd.proxy[p];
		check(!address_parse(address[family][p], &proxy->address), "proxy address");
		check(!address_plan_exclude(&stage->plan, &proxy->address), "hole");
		proxy->port = view->port = 5060;
		proxy->known = true;
		view->address = proxy->address;
		snprintf(view->host, sizeof(view->host), family == ADDRESS_IPV4 ? "%s" : "[%s]",
			address[family][p]);
		config->registrar[p] = (struct registrar_config){.capacity = 2 * PHONES,
			.expires_default_s = 3600,
			.expires_min_s = 60,
			.expires_max_s = 86400,
			.realm = "lab.example.net",
			.algorithm = DIGEST_MD5,
			.nonce_lifetime_s = 300,
			.identities = stage->identities,
			.seed = 3 + p,
			.server = "sipherd"};
	}
}

static void set_up(struct stage *stage, unsigned workers, uint8_t family)
{
	stage->config = (struct wire_config){
		.roles = WIRE_HERD | WIRE_REGISTRARS, .workers = workers};
	check(!wire_link_parse("memory", &stage->config.link), "link");
	set_up_phones(stage, family);
	set_up_proxies(stage, family);
}

static void start(struct stage *stage)
{
	struct wire_error error;
	const struct herd_command command = {.kind = HERD_START};
	if (wire_open(&stage->wire, &stage->config, &error) || wire_start(stage->wire, &error) ||
		wire_wait_neighbours(stage->wire, PATIENCE_S * 1000, &error))
		check(false, error.message);
	wire_command(stage->wire, &command);
}

/* Wait until so many phones are registered at this proxy, by the herd's and, unless it plays dead,
 * by the registrar's own account. */
static void wait_registered(
	struct stage *stage, enum proxy proxy, uint32_t phones, bool by_registrar)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		wire_snapshot(stage->wire, &stage->snapshot);
		if (stage->snapshot.population.phones[PHONE_REGISTERED][proxy] == phones &&
			(!by_registrar || stage->snapshot.registered_at[proxy] == phones))
			return;
	} while (time(NULL) < end);
	fprintf(stderr, "wire_memory: %u of %u registered at the %s proxy, %u by its own account\n",
		stage->snapshot.population.phones[PHONE_REGISTERED][proxy], phones,
		proxy_name(proxy), stage->snapshot.registered_at[proxy]);
	_exit(1);
}

static void wait_quiet(struct stage *stage)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		wire_snapshot(stage->wire, &stage->snapshot);
	} while (!stage->snapshot.quiet && time(NULL) < end);
	check(stage->snapshot.quiet, "the herd did not become quiet");
}

/* What must not have happened on a link that loses nothing. */
static void check_wire(const struct wire_snapshot *snapshot)
{
	const struct wire_counters *wire = &snapshot->wire;
	check(snapshot->herd.not_sent == 0, "the herd found no buffer");
	check(!wire->not_sent_full && !wire->not_sent_no_buffer && !wire->not_sent_no_neighbour &&
			!wire->not_sent_too_long && !wire->not_sent_unresolved,
		"frames were not sent");
	check(!wire->bad_checksum && !wire->bad_frame && !wire->fragment &&
			!wire->foreign_address && !wire->foreign_protocol &&
			!wire->foreign_sender && !wire->foreign_vlan,
		"frames were not understood");
	check(wire->frames_sent == wire->frames_received, "frames were lost");
	check(wire->arp_answered + wire->ndp_answered >= PROXIES, "neighbours did not answer");
}

static void crash_and_return(unsigned workers, uint8_t family)
{
	static struct stage stage;
	const struct registrar_faults dead = {.crashed = true}, healthy = {0};
	const struct herd_command stop = {.kind = HERD_STOP};
	set_up(&stage, workers, family);
	start(&stage);
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	check(stage.snapshot.herd.register_challenged == PHONES, "each phone is challenged once");
	wire_set_faults(stage.wire, PROXY_PRIMARY, &dead);
	wait_registered(&stage, PROXY_REDUNDANT, PHONES, true);
	wire_set_faults(stage.wire, PROXY_PRIMARY, &healthy);
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	check(stage.snapshot.workers == workers, "workers");
	for (unsigned w = 0; w < workers; w++)
		check(stage.snapshot.worker[w].rounds > 0, "a worker did not run");
	wire_command(stage.wire, &stop);
	wait_quiet(&stage);
	check(stage.snapshot.registered_at[PROXY_PRIMARY] == 0, "a binding survived Expires 0");
	check_wire(&stage.snapshot);
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void one_worker(void)
{
	crash_and_return(1, ADDRESS_IPV4);
}

static void two_workers(void)
{
	crash_and_return(2, ADDRESS_IPV4);
}

static void two_workers_ipv6(void)
{
	crash_and_return(2, ADDRESS_IPV6);
}

/* The primary moves to another address while phones use it: its new MAC is asked for, its new
 * address used. An address of the other family is refused and changes nothing. */
static void proxy_moves(void)
{
	static struct stage stage;
	struct address address;
	struct wire_error error;
	set_up(&stage, 2, ADDRESS_IPV4);
	check(!address_parse("10.20.0.3", &address), "address");
	check(!address_plan_exclude(&stage.plan, &address), "hole");
	start(&stage);
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	const uint64_t before = stage.snapshot.wire.arp_answered;
	check(!wire_set_proxy(stage.wire, PROXY_PRIMARY, &address, 5080), "set proxy");
	check(!wire_wait_neighbours(stage.wire, PATIENCE_S * 1000, &error), "new neighbour");
	wire_snapshot(stage.wire, &stage.snapshot);
	check(stage.snapshot.wire.arp_answered > before, "nobody asked for the new address");
	const struct herd_command reboot = {.kind = HERD_REBOOT, .count = PHONES};
	wire_command(stage.wire, &reboot);
	const uint64_t registered = stage.snapshot.herd.register_ok;
	const time_t end = time(NULL) + PATIENCE_S;
	while (stage.snapshot.herd.register_ok < registered + PHONES && time(NULL) < end)
		wire_snapshot(stage.wire, &stage.snapshot);
	check(stage.snapshot.herd.register_ok >= registered + PHONES,
		"phones did not register again");
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	check(!address_parse("fd00::3", &address), "address");
	check(wire_set_proxy(stage.wire, PROXY_PRIMARY, &address, 5080) == -EAFNOSUPPORT, "family");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

/* Phones whose shard is not here get nothing: what comes for them is dropped before the herd. */
static void shard_elsewhere(void)
{
	static struct stage stage;
	struct mirror *mirror;
	set_up(&stage, 2, ADDRESS_IPV4);
	check(!mirror_create(&mirror, PHONES, 2, NULL, false), "mirror");
	stage.config.herd.mirror = mirror;
	atomic_store(&mirror->here[0], 1);
	start(&stage);
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	check(!stage.snapshot.wire.foreign_address,
		"datagrams of phones that are here were dropped");
	check(!stage.snapshot.wire.announced, "announced where nobody listens");
	atomic_store(&mirror->here[0], 0);
	wire_snapshot(stage.wire, &stage.snapshot); /* later than what workers have begun */
	const uint64_t answered = stage.snapshot.herd.options_answered;
	const time_t end = time(NULL) + PATIENCE_S;
	while (stage.snapshot.wire.foreign_address < PHONES && time(NULL) < end)
		wire_snapshot(stage.wire, &stage.snapshot);
	check(stage.snapshot.wire.foreign_address >= PHONES, "nothing was dropped");
	check(stage.snapshot.herd.options_answered == answered, "the herd got an answer");
	wire_close(stage.wire);
	mirror_free(mirror);
	identity_free(stage.identities);
}

/* Wait until each worker drives all shards, or none does. */
static void wait_driven(const struct mirror *mirror, uint8_t wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const time_t end = time(NULL) + PATIENCE_S;
	uint32_t left;
	do {
		left = 0;
		nanosleep(&pause, NULL);
		for (uint32_t i = 0; i < mirror->shards * mirror->workers; i++)
			left += atomic_load(&mirror->driven[i]) != wanted;
	} while (left && time(NULL) < end);
	check(!left, wanted ? "a shard was not adopted" : "a shard was not released");
}

/* More shards come and go at once than commands used to fit, before workers run and while they do:
 * none is lost. */
static void many_shards(void)
{
	enum { SHARDS = 70 };
	static struct stage stage;
	struct wire_error error;
	struct mirror *mirror;
	set_up(&stage, 2, ADDRESS_IPV4);
	check(!address_plan_parse("10.0.0.0/8", &stage.plan), "plan");
	check(!mirror_create(&mirror, SHARDS * SHARD_PHONES, 2, NULL, false), "mirror");
	stage.config.herd.mirror = mirror;
	stage.config.herd.fleet_phones = SHARDS * SHARD_PHONES;
	stage.config.herd.ramp_per_s = 1000;
	check(!wire_open(&stage.wire, &stage.config, &error), error.message);
	for (unsigned round = 0; round < 3; round++) {
		struct herd_command command = {.kind = HERD_ADOPT, .count = SHARD_PHONES};
		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			command.first = shard * SHARD_PHONES;
			wire_command(stage.wire, &command);
			wire_announce(stage.wire, command.first, command.count);
		}
		if (!round)
			check(!wire_start(stage.wire, &error), error.message);
		wait_driven(mirror, 1);
		command.kind = HERD_RELEASE;
		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			command.first = shard * SHARD_PHONES;
			wire_command(stage.wire, &command);
		}
		wait_driven(mirror, 0);
	}
	check(wire_now_us(stage.wire) > 0, "the clock stands still");
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
		check(length - at >= 12, "block cut short");
		const uint32_t type = word_at(bytes + at), size = word_at(bytes + at + 4);
		check(size >= 12 && size % 4 == 0 && size <= length - at, "block length");
		check(word_at(bytes + at + size - 4) == size, "block length, the second time");
		check((type == 0x0a0d0d0a) == (at == 0), "section header");
		if (type == 6) {
			const uint8_t *frame = bytes + at + 28;
			check(word_at(bytes + at + 20) <= size - 32, "packet length");
			check(!memcmp(frame + 26, phone->bytes, 4) ||
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
	set_up(&stage, 2, ADDRESS_IPV4);
	snprintf(path, sizeof(path), "/tmp/sipherd-test-%ld.pcapng", (long)getpid());
	stage.config.capture = (struct wire_capture){.path = path, .phone = 7};
	start(&stage);
	wait_registered(&stage, PROXY_PRIMARY, PHONES, true);
	wire_close(stage.wire);
	FILE *file = fopen(path, "rb");
	check(file, "no capture file");
	const size_t length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	unlink(path);
	address_plan_at(&stage.plan, 7, &phone, &port);
	/* REGISTER, 401, REGISTER, 200, and perhaps keep-alives. */
	check(walk_capture(bytes, length, &phone) >= 4, "too few packets");
	check(contains(bytes, length, "response=\"xxxxxxxx"), "no masked response");
	check(contains(bytes, length, "nonce=\"xxxxxxxx"), "no masked nonce");
	check(contains(bytes, length, "realm=\"lab.example.net\""), "realm was masked");
	identity_free(stage.identities);
}

/* Run a case in a process of its own. */
static void in_child(void (*run)(void))
{
	int status = -1;
	fflush(NULL);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		run();
		exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void crash_and_return_with_one_worker(void **state)
{
	(void)state;
	in_child(one_worker);
}

static void crash_and_return_with_two_workers(void **state)
{
	(void)state;
	in_child(two_workers);
}

static void crash_and_return_over_ipv6(void **state)
{
	(void)state;
	in_child(two_workers_ipv6);
}

static void a_proxy_moves(void **state)
{
	(void)state;
	in_child(proxy_moves);
}

static void one_phone_is_captured(void **state)
{
	(void)state;
	in_child(capture_of_one_phone);
}

static void a_shard_is_elsewhere(void **state)
{
	(void)state;
	in_child(shard_elsewhere);
}

static void shards_come_and_go_by_the_dozen(void **state)
{
	(void)state;
	in_child(many_shards);
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
		cmocka_unit_test(a_proxy_moves),
		cmocka_unit_test(one_phone_is_captured),
		cmocka_unit_test(a_shard_is_elsewhere),
		cmocka_unit_test(shards_come_and_go_by_the_dozen),
	};
	return cmocka_run_group_tests_name("wire_memory", tests, NULL, NULL);
}
