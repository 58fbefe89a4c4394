/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `sipherd check --sizing` reckons, beside what a herd does in virtual time: packets and bytes of every
 * second from the start through a crash and a return, by the same fleet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"
#include "sizing.h"

#define PHONES 5000u
#define SECONDS 1000u
#define HEADERS (14 + 20 + 8)
#define CABLE 24

struct meter {
	double packets[SIZING_DIRECTIONS][SECONDS], bytes[SIZING_DIRECTIONS][SECONDS];
	uint64_t origin_us; /* seconds count from here */
};

struct fleet_here {
	struct sim_config config;
	struct herd_config herd;
	struct registrar_config registrar[PROXIES];
	struct identity_set *identities;
	struct address_plan plan;
	struct sizing sizing;
	struct meter meter;
};

static void count(struct meter *meter, enum sizing_direction direction, const struct datagram *d)
{
	const uint64_t second = (d->now_us - meter->origin_us) / SIM_SECOND;
	if (d->now_us < meter->origin_us || second >= SECONDS)
		return;
	meter->packets[direction][second]++;
	meter->bytes[direction][second] += d->length + HEADERS;
}

static void sent(void *context, const struct datagram *d)
{
	count(context, SIZING_OUT, d);
}

static void was_read(void *context, const struct datagram *d)
{
	count(context, SIZING_IN, d);
}

static void begin_counting(struct meter *meter, uint64_t now_us)
{
	memset(meter, 0, sizeof(*meter));
	meter->origin_us = now_us;
}

/* The simulator's own phones and proxies, once more for the reckoning. */
static struct fleet_here *open_fleet(void)
{
	struct fleet_here *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	sim_defaults(&f->config, PHONES, sim_seed(0x512e));
	f->config.herd.timers = (struct transaction_timers){500, 4000, 5000, 4000};
	f->config.herd.keepalive_period_ms = 10000;
	f->config.herd.expires_s = 600;
	f->config.herd.ramp_per_s = PHONES / 10;
	f->config.registrar.nonce_lifetime_s = 1;
	f->config.jump = true;
	f->config.hooks = (struct sim_hooks){&f->meter, sent, NULL, was_read};
	return f;
}

static void reckon(struct fleet_here *f, bool digest)
{
	static const char *const address[PROXIES] = {"198.51.100.1", "198.51.100.2"};
	struct identity_error error;
	f->config.passwords = digest;
	if (digest)
		f->config.registrar.realm = "lab";
	assert_int_equal(address_plan_parse("10.0.0.0/8", &f->plan), 0);
	assert_int_equal(identity_patterns(&f->identities, "2{n:07}", NULL,
				 digest ? "pw-{user}" : NULL, PHONES, &error),
		0);
	f->herd = f->config.herd;
	f->herd.stride = 1;
	f->herd.identities = f->identities;
	f->herd.plan[ADDRESS_IPV4] = &f->plan;
	for (int p = 0; p < PROXIES; p++) {
		struct herd_proxy *proxy = &f->herd.proxy[p];
		snprintf(proxy->host, sizeof(proxy->host), "%s", address[p]);
		assert_int_equal(address_parse(address[p], &proxy->address), 0);
		proxy->port = 5060;
		f->registrar[p] = f->config.registrar;
		f->registrar[p].identities = f->identities;
	}
	const struct sizing_case what = {.herd = &f->herd,
		.registrar = f->registrar,
		.fleet = "sim",
		.workers = 1,
		.lease_ttl_ms = 10000,
		.store = true,
		.ns_per_transaction = SIZING_NS_KEEPALIVE,
		.cores = 16,
		.nic_gbit = 10};
	assert_int_equal(sizing_compute(&f->sizing, &what, 1), 0);
}

static void close_fleet(struct fleet_here *f, struct sim *sim)
{
	sim_finish(sim);
	sim_free(sim);
	identity_free(f->identities);
	free(f);
}

static void near(const char *what, double value, double right, double percent)
{
	printf("  %-34s measured %10.1f  reckoned %10.1f\n", what, value, right);
	if (value < right * (1 - percent / 100) || value > right * (1 + percent / 100))
		fail_msg("%s: measured %.1f, reckoned %.1f within %g %%", what, value, right,
			percent);
}

static double mean(const double *by_second, unsigned from, unsigned to)
{
	double sum = 0;
	for (unsigned i = from; i < to; i++)
		sum += by_second[i];
	return sum / (to - from);
}

static unsigned busiest(const struct meter *m, unsigned from, unsigned to)
{
	double most = -1;
	unsigned at = from;
	for (unsigned i = from; i < to; i++) {
		const double now = m->bytes[SIZING_OUT][i] + m->bytes[SIZING_IN][i] +
				   CABLE * (m->packets[SIZING_OUT][i] + m->packets[SIZING_IN][i]);
		at = now > most ? i : at;
		most = now > most ? now : most;
	}
	return at;
}

static void compare(const struct fleet_here *f, const char *name, unsigned from, unsigned to,
	enum sizing_moment moment, double percent)
{
	const struct sizing_load *load = &f->sizing.load[moment];
	const struct meter *m = &f->meter;
	char text[64];
	assert_true(load->known);
	for (int d = 0; d < SIZING_DIRECTIONS; d++) {
		snprintf(text, sizeof(text), "%s, packets %s", name, d == 0 ? "out" : "in");
		near(text, mean(m->packets[d], from, to), load->packets[d], percent);
		snprintf(text, sizeof(text), "%s, bytes %s", name, d == 0 ? "out" : "in");
		near(text, mean(m->bytes[d], from, to), load->frame_bytes[d], percent);
	}
}

static void compare_peak(const struct fleet_here *f, const char *name, unsigned from, unsigned to,
	enum sizing_moment moment, double percent)
{
	const unsigned at = busiest(&f->meter, from, to);
	compare(f, name, at, at + 1, moment, percent);
}

/* Period 10 s, silence after 4 s, refreshes after 300 s, digest whose nonces run out at once. */
static void asymmetric(void **state)
{
	(void)state;
	struct fleet_here *f = open_fleet();
	f->config.herd.switch_delay_ms = 2000;
	reckon(f, true);
	near("refresh, s", f->sizing.talks.refresh_ms / 1e3, 300, 0.1);
	struct sim *sim = sim_create(&f->config);
	sim_start(sim);
	sim_run(sim, 400 * SIM_SECOND);
	compare(f, "start", 9, 10, SIZING_START, 1);
	/* Each phone has one refresh in it. */
	compare(f, "steady", 20, 320, SIZING_STEADY, 1);
	compare_peak(f, "steady peak", 20, 400, SIZING_STEADY_PEAK, 2);
	begin_counting(&f->meter, sim_now_us(sim));
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, 70 * SIM_SECOND);
	compare_peak(f, "fail over", 0, 20, SIZING_FAIL_OVER, 6);
	near("outage, packets out", mean(f->meter.packets[SIZING_OUT], 40, 60),
		f->sizing.load[SIZING_OUTAGE].packets[SIZING_OUT], 3);
	begin_counting(&f->meter, sim_now_us(sim));
	sim_crash(sim, PROXY_PRIMARY, false);
	sim_run_for(sim, 320 * SIM_SECOND);
	compare_peak(f, "fail back", 0, 7, SIZING_FAIL_BACK, 6);
	compare_peak(f, "keep-alives after it", 8, 280, SIZING_KEEPALIVES_AFTER, 6);
	compare_peak(f, "refreshes after it", 280, 320, SIZING_REFRESHES_AFTER, 6);
	close_fleet(f, sim);
}

/* Nothing is challenged, nothing is delayed, and who has moved stays. */
static void symmetric(void **state)
{
	(void)state;
	struct fleet_here *f = open_fleet();
	f->config.herd.redundancy.mode = MODE_SYMMETRIC;
	f->config.herd.redundancy.fail_threshold = 2;
	f->config.herd.keepalive_first = KEEPALIVE_FIRST_IMMEDIATE;
	reckon(f, false);
	assert_false(f->sizing.load[SIZING_FAIL_BACK].known);
	struct sim *sim = sim_create(&f->config);
	sim_start(sim);
	sim_run(sim, 400 * SIM_SECOND);
	compare(f, "start", 8, 9, SIZING_START, 1);
	compare(f, "steady", 20, 320, SIZING_STEADY, 1);
	begin_counting(&f->meter, sim_now_us(sim));
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, 70 * SIM_SECOND);
	compare_peak(f, "fail over", 0, 30, SIZING_FAIL_OVER, 6);
	near("outage, packets out", mean(f->meter.packets[SIZING_OUT], 40, 60),
		f->sizing.load[SIZING_OUTAGE].packets[SIZING_OUT], 4);
	close_fleet(f, sim);
}

/* A herd's memory is drawn out from small ones, and is what the herd itself says. */
static void memory(void **state)
{
	(void)state;
	struct fleet_here *f = open_fleet();
	reckon(f, true);
	const uint32_t phones[] = {PHONES, 100000, 300000};
	for (size_t i = 0; i < sizeof(phones) / sizeof(phones[0]); i++) {
		const struct herd_output none = {0};
		struct herd_config config = f->herd;
		struct herd *herd;
		config.fleet_phones = phones[i];
		const double reckoned = sizing_herd_bytes(&config, 1);
		assert_int_equal(herd_create(&herd, &config, &none), 0);
		near("bytes of a herd", (double)herd_memory(herd), reckoned, 0.1);
		herd_free(herd);
		config.stride = 2;
		assert_int_equal(herd_create(&herd, &config, &none), 0);
		config.stride = 1;
		near("bytes of both slices", 2.0 * (double)herd_memory(herd),
			sizing_herd_bytes(&config, 2), 0.1);
		herd_free(herd);
	}
	identity_free(f->identities);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asymmetric),
		cmocka_unit_test(symmetric),
		cmocka_unit_test(memory),
	};
	return cmocka_run_group_tests_name("sizing", tests, NULL, NULL);
}
