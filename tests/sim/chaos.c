/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chaos: herds with random parameters under random faults, judged throughout; then the network is
 * healed, and every phone must be registered where PHONE.md wants it and known there.
 *
 * chaos [ROUNDS] [PHONES]; SIM_SEED=0x... repeats one round. Every round prints its seed first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"
#include "wheel.h"

static uint32_t rounds = 40, phones = 100;
static struct herd_counters total; /* of all rounds */
static struct herd_histograms durations;
static uint32_t commands[HERD_PAUSE + 1];

struct chaos {
	struct sim_config config;
	struct sim *sim;
	struct random random;
	bool disabled, away;
	bool *held; /* phones that were unregistered */
	uint32_t limit;
	uint32_t hurried; /* phones that commands have made change their plans, lately */
};

#define PICK(random, ...)                             \
	pick(random, (const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static uint32_t pick(struct random *random, const uint32_t *values, size_t count)
{
	return values[random_below(random, (uint32_t)count)];
}

/* ---- parameters ---- */

static void random_timers(struct random *random, struct herd_config *herd)
{
	static const struct transaction_timers timers[] = {{500, 4000, 5000, 32000},
		{500, 4000, 5000, 32000}, {500, 4000, 5000, 1000}, {100, 4000, 5000, 6400},
		{1000, 8000, 5000, 64000}, {200, 4000, 5000, 100}, {2000, 4000, 5000, 5000}};
	herd->timers = timers[random_below(random, sizeof(timers) / sizeof(timers[0]))];
	herd->switch_delay_ms = PICK(random, 0, 0, 2000, 10000);
	herd->keepalive_period_ms = PICK(random, 0, 2000, 3000, 5000, 10000, 10000, 32000, 60000);
	herd->keepalive_jitter_percent = (uint8_t)PICK(random, 0, 0, 10, 50);
	herd->keepalive_first = (uint8_t)random_below(random, 3);
	herd->expires_s = PICK(random, 20, 60, 120, 300);
	herd->retry_ms = PICK(random, 1000, 5000, 30000);
	herd->refresh_permille = (uint16_t)PICK(random, 500, 500, 100, 900);
	herd->ramp_per_s = PICK(random, 0, phones / 4, phones / 20);
}

static void random_rules(struct random *random, struct herd_config *herd)
{
	static const uint16_t switching[] = {408, 503, 504, 600};
	herd->redundancy.enabled = !random_chance(random, 120000);
	herd->redundancy.mode = (uint8_t)random_below(random, 2);
	herd->redundancy.fail_threshold = (uint8_t)PICK(random, 1, 1, 2, 3);
	herd->redundancy.success_threshold = (uint8_t)PICK(random, 1, 1, 2, 4);
	herd->icmp_fails = random_below(random, 2);
	herd->unregister = random_below(random, 2);
	herd->backoff_rfc5626 = random_chance(random, 200000);
	herd->register_codes = (uint8_t)PICK(random, 0, 0, 2, 4);
	memcpy(herd->register_code, switching, sizeof(switching));
	herd->keepalive_codes = (uint8_t)random_below(random, 2);
	herd->keepalive_code[0] = 503;
}

static void random_config(struct chaos *chaos, uint64_t seed)
{
	struct random *random = &chaos->random;
	struct sim_config *config = &chaos->config;
	sim_defaults(config, phones, seed);
	random_timers(random, &config->herd);
	random_rules(random, &config->herd);
	config->slices = PICK(random, 1, 1, 2, 3, 7);
	config->budget = PICK(random, 1, 7, 4096);
	config->jump = random_below(random, 2);
	config->ipv6 = random_chance(random, 250000);
	config->passwords = random_below(random, 2);
	struct registrar_config *registrar = &config->registrar;
	registrar->realm = config->passwords ? "lab.example.net" : NULL;
	registrar->algorithm = random_below(random, 2) ? DIGEST_MD5 : DIGEST_SHA256;
	registrar->offer_both = random_below(random, 2);
	registrar->nonce_lifetime_s = PICK(random, 1, 5, 30, 3600);
	registrar->expires_min_s = PICK(random, 0, 0, 30, 60);
	registrar->expires_max_s = PICK(random, 60, 3600);
}

static void print_config(const struct chaos *chaos, uint64_t seed)
{
	const struct herd_config *herd = &chaos->config.herd;
	const struct registrar_config *registrar = &chaos->config.registrar;
	printf("seed 0x%016llx: %s %s, thresholds %u %u, period %u, jitter %u, first %u, F %u, "
	       "delay %u\n"
	       "  expires %u of %u-%u, refresh %u, retry %u, unregister %d, backoff %d, codes %u "
	       "%u, "
	       "icmp %d,\n"
	       "  digest %s%s, nonce %u s; slices %u, budget %u, jump %d, ipv6 %d\n",
		(unsigned long long)seed, herd->redundancy.enabled ? "on" : "off",
		herd->redundancy.mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric",
		herd->redundancy.fail_threshold, herd->redundancy.success_threshold,
		herd->keepalive_period_ms, herd->keepalive_jitter_percent, herd->keepalive_first,
		herd->timers.no_response_ms, herd->switch_delay_ms, herd->expires_s,
		registrar->expires_min_s, registrar->expires_max_s, herd->refresh_permille,
		herd->retry_ms, herd->unregister, herd->backoff_rfc5626, herd->register_codes,
		herd->keepalive_codes, herd->icmp_fails,
		!registrar->realm                    ? "none"
		: registrar->algorithm == DIGEST_MD5 ? "MD5"
						     : "SHA-256",
		registrar->offer_both ? " and both" : "", registrar->nonce_lifetime_s,
		chaos->config.slices, chaos->config.budget, chaos->config.jump, chaos->config.ipv6);
	fflush(stdout);
}

/* ---- faults ---- */

static void random_network(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	struct sim_path path = {
		.delay_us = PICK(random, 0, 200, 5000, 150000),
		.jitter_us = PICK(random, 0, 1000, 50000),
		.loss_ppm = random_below(random, 2) ? random_below(random, 200001) : 0,
		.duplicate_ppm = random_below(random, 2) ? random_below(random, 200001) : 0,
		.reorder_ppm = random_below(random, 2) ? random_below(random, 200001) : 0,
		.reorder_us = PICK(random, 2000, 300000, 5000000),
	};
	sim_path(chaos->sim, (enum proxy)random_below(random, PROXIES),
		(enum sim_direction)random_below(random, SIM_DIRECTIONS), &path);
}

static void random_fault(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	struct registrar_faults faults = {0};
	switch (random_below(random, 10)) {
	case 0:
	case 1:
		faults.crashed = true;
		break;
	case 2:
		faults.draining = true;
		faults.retry_after_s = PICK(random, 0, 1, 30);
		break;
	case 3:
		faults.reject_code = (uint16_t)PICK(random, 302, 403, 404, 408, 486, 500, 503, 600);
		break;
	case 4:
		faults.options_silent = true;
		break;
	case 5:
		faults.register_silent = true;
		break;
	case 6:
		faults.delay_us = PICK(random, 10000, 700000, 3000000);
		faults.loss_ppm = PICK(random, 0, 100000, 500000);
		break;
	default:
		break;
	}
	sim_faults(chaos->sim, (enum proxy)random_below(random, PROXIES), &faults);
}

static void random_impairment(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	const struct impairment impairment = {
		.share_ppm = PICK(random, 0, 300000, IMPAIRMENT_ALL_PPM),
		.loss_ppm = PICK(random, 0, 100000, 500000, IMPAIRMENT_ALL_PPM),
		.delay_us = PICK(random, 0, 300, 700000, 3000000),
		.jitter_us = PICK(random, 0, 1000, 2000000),
		.methods = (uint8_t)PICK(random, 0, 0, IMPAIRMENT_REGISTER, IMPAIRMENT_OPTIONS)};
	sim_impair(chaos->sim, (enum proxy)random_below(random, PROXIES), &impairment);
}

static void random_noise(struct chaos *chaos)
{
	static const char *const noise[] = {"", "\r\n\r\n", "SIP/2.0 200 OK\r\n", "hello",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK000000000000000000000000\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n"
		"CSeq: 1000000001 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n"
		"CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"};
	for (int i = 0; i < 200; i++) {
		const char *text = noise[random_below(&chaos->random, 6)];
		sim_inject(chaos->sim, random_below(&chaos->random, phones),
			(enum proxy)random_below(&chaos->random, PROXIES), text, strlen(text),
			random_below(&chaos->random, 3000000));
	}
}

/* A timer that is moved forward leaves an entry behind in the wheel, for as long as the wheel is: with
 * more of them than it has room for it is late, and that is not what is to be judged here. */
static void hurry(struct chaos *chaos, uint32_t count)
{
	if (chaos->hurried + count > phones) {
		chaos->hurried = 0;
		sim_run_for(chaos->sim, (WHEEL_HORIZON_MS + 1) * 1000ull);
	}
	chaos->hurried += count;
}

static void command(struct chaos *chaos, enum herd_command_kind kind, uint32_t first,
	uint32_t count, uint32_t delay_ms)
{
	commands[kind]++;
	if (kind == HERD_REBOOT || kind == HERD_POWER_CUT || kind == HERD_REREGISTER ||
		kind == HERD_UNREGISTER)
		hurry(chaos, count);
	if (kind == HERD_LIMIT || kind == HERD_RELEASE || kind == HERD_ADOPT)
		hurry(chaos, phones);
	sim_command(chaos->sim, kind, first, count, delay_ms);
}

static void reboot(struct chaos *chaos, enum herd_command_kind kind, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count && i < chaos->limit && !chaos->away; i++)
		chaos->held[i] = false;
	command(chaos, kind, first, count, PICK(&chaos->random, 0, 500, 5000));
}

static void random_reboots(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	uint32_t first = random_below(random, phones);
	uint32_t count = 1 + random_below(random, phones - first);
	reboot(chaos, random_below(random, 2) ? HERD_REBOOT : HERD_POWER_CUT, first, count);
}

static void limit(struct chaos *chaos, uint32_t count)
{
	chaos->limit = count;
	command(chaos, HERD_LIMIT, 0, count, 0);
}

/* What an operator may ask for. */
static void random_order(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	uint32_t first = random_below(random, phones);
	uint32_t count = PICK(random, 1, 1 + random_below(random, phones - first));
	switch (random_below(random, 5)) {
	case 0:
		command(chaos, HERD_REREGISTER, first, count, 0);
		break;
	case 1:
		for (uint32_t i = first; i < first + count && !chaos->away; i++)
			chaos->held[i] = true;
		command(chaos, HERD_UNREGISTER, first, count, 0);
		break;
	case 2:
		limit(chaos, PICK(random, 0, first, phones / 2, phones));
		break;
	case 3:
		command(chaos, HERD_RAMP, 0, PICK(random, 0, phones / 30, phones), 0);
		break;
	default:
		command(chaos, HERD_PAUSE, 0, random_below(random, 2), 0);
	}
}

/* To another generator, and back from there. */
static void hand_over(struct chaos *chaos)
{
	chaos->away = !chaos->away;
	memset(chaos->held, false, phones);
	command(chaos, chaos->away ? HERD_RELEASE : HERD_ADOPT, 0, UINT32_MAX, 0);
}

static void random_action(struct chaos *chaos)
{
	struct random *random = &chaos->random;
	if (chaos->away || random_chance(random, 80000))
		hand_over(chaos);
	switch (random_below(random, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		random_fault(chaos);
		break;
	case 4:
	case 5:
	case 6:
		random_network(chaos);
		break;
	case 7:
		sim_cut(chaos->sim, (enum proxy)random_below(random, PROXIES),
			random_below(random, 2));
		break;
	case 8:
		random_reboots(chaos);
		break;
	case 9:
		for (int i = 0; i < 100; i++)
			sim_unreachable(chaos->sim, random_below(random, phones),
				(enum proxy)random_below(random, PROXIES));
		break;
	case 10:
		random_noise(chaos);
		break;
	case 11:
	case 12:
		/* One upon the other, before the herd has come to rest. */
		for (uint32_t n = 1 + random_below(random, 3); n > 0; n--)
			random_order(chaos);
		break;
	case 13:
	case 14:
		random_impairment(chaos);
		break;
	default:
		if (chaos->disabled || !random_chance(random, 250000))
			break;
		chaos->disabled = true;
		command(chaos, HERD_DISABLE_REDUNDANCY, 0, UINT32_MAX, PICK(random, 0, 3000));
	}
}

/* ---- a round ---- */

static void heal(struct chaos *chaos)
{
	const struct registrar_faults none = {0};
	const struct sim_path quick = {.delay_us = 500, .jitter_us = 100};
	const struct herd_config *herd = &chaos->config.herd;
	uint64_t expires = herd->expires_s > 60 ? herd->expires_s : 60;
	for (int p = 0; p < PROXIES; p++) {
		sim_faults(chaos->sim, (enum proxy)p, &none);
		sim_impair(chaos->sim, (enum proxy)p, &(struct impairment){0});
	}
	sim_paths(chaos->sim, &quick);
	if (chaos->away)
		hand_over(chaos);
	limit(chaos, phones);
	command(chaos, HERD_RAMP, 0, phones, 0);
	command(chaos, HERD_PAUSE, 0, 0, 0);
	for (uint32_t i = 0; i < phones; i++)
		if (chaos->held[i])
			reboot(chaos, HERD_REBOOT, i, 1);
	/* Transactions to both proxies run out, switches and retries take effect, the primary
	 * answers often enough, and every binding is refreshed once. */
	uint64_t wait = 4 * (herd->timers.no_response_ms + herd->switch_delay_ms) / 1000 + 40;
	wait += 2ull * herd->redundancy.success_threshold * herd->keepalive_period_ms / 1000;
	wait += 2 * herd->retry_ms / 1000 + 2 * expires;
	if (herd->backoff_rfc5626)
		wait += 1900;
	sim_run_for(chaos->sim, wait * SIM_SECOND);
}

/* Where they must all be in the end; PROXIES: either. */
static enum proxy destination(const struct chaos *chaos)
{
	const struct herd_config *herd = &chaos->config.herd;
	if (!herd->redundancy.enabled || chaos->disabled)
		return PROXY_PRIMARY;
	if (herd->redundancy.mode == MODE_SYMMETRIC || herd->keepalive_period_ms == 0)
		return PROXIES;
	return PROXY_PRIMARY;
}

static void one_round(uint64_t seed)
{
	struct chaos chaos = {0};
	random_seed(&chaos.random, seed);
	random_config(&chaos, seed);
	print_config(&chaos, seed);
	chaos.held = calloc(phones, sizeof(*chaos.held));
	assert_non_null(chaos.held);
	chaos.limit = phones;
	chaos.sim = sim_create(&chaos.config);
	sim_start(chaos.sim);
	for (int i = 0; i < 30; i++) {
		random_action(&chaos);
		sim_run_for(chaos.sim, 1000ull * random_between(&chaos.random, 50, 40000));
		sim_check(chaos.sim);
	}
	heal(&chaos);
	sim_check_registered(chaos.sim, destination(&chaos));
	assert_true(model_judged(sim_model(chaos.sim)) > phones);
	sim_finish(chaos.sim);
	struct herd_counters counters = sim_counters(chaos.sim);
	counters_add(&total, &counters, herd_counters_count);
	static struct herd_histograms histograms;
	sim_histograms(chaos.sim, &histograms);
	herd_histograms_merge(&durations, &histograms);
	sim_free(chaos.sim);
	free(chaos.held);
}

static void everything_heals(void **state)
{
	(void)state;
	if (getenv("SIM_SEED")) {
		one_round(sim_seed(0));
		return;
	}
	uint64_t seeds = 0xc4a05;
	for (uint32_t i = 0; i < rounds; i++)
		one_round(random_mix(&seeds));
}

/* Chaos that spares a path of the state machine proves nothing about it. */
static void everything_happened(void **state)
{
	(void)state;
	const uint64_t *value = (const uint64_t *)&total;
	for (int i = 0; i < herd_counters_count; i++)
		printf("%-28s %llu\n", herd_counters_descriptions[i].name,
			(unsigned long long)value[i]);
	if (getenv("SIM_SEED") || rounds < 40)
		skip();
	const uint64_t must[] = {total.failover_keepalive_silence, total.failover_register_silence,
		total.failover_refresh_silence, total.failover_code,
		total.failback_keepalive_answer, total.failback_keepalive_silence,
		total.failback_register_silence, total.failback_refresh_silence,
		total.failback_code, total.register_challenged, total.register_too_brief,
		total.register_rejected, total.unregister_done, total.unregister_silent,
		total.options_fail_code, total.options_skipped, total.response_late,
		total.response_old_epoch, total.response_foreign, total.message_malformed,
		total.message_keepalive, total.icmp_unreachable, total.request_invite,
		total.impaired_sent, total.impaired_received, total.impaired_delayed};
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		if (must[i] == 0)
			fail_msg("case %zu never happened", i);
	for (int kind = HERD_REBOOT; kind <= HERD_PAUSE; kind++)
		if (commands[kind] == 0 && kind != HERD_SET_PROXY)
			fail_msg("command %d was never given", kind);
	for (int p = 0; p < PROXIES; p++)
		for (int phase = 0; phase < FAILOVER_PHASES; phase++)
			if (durations.duration_ms[p][phase].count == 0)
				fail_msg("no duration of %s",
					failover_phase_name((enum failover_phase)phase));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_heals), cmocka_unit_test(everything_happened)};
	herd_histograms_reset(&durations);
	if (argc > 1)
		rounds = (uint32_t)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		phones = (uint32_t)strtoul(argv[2], NULL, 0);
	return cmocka_run_group_tests_name("chaos", tests, NULL, NULL);
}
