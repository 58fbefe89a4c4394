/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole keep-alive transactions over the `memory` link: herd, wire, rings, wire, registrar and back.
 *
 * One worker plays both ends. The phones' period is chosen so short that more is planned than can be
 * done; what is answered per second is then the capacity of the path. Says how many datagrams were
 * not sent, so that nobody takes an overload for a result.
 *
 * usage: bench_link [phones] [seconds] [workers]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sampler.h"
#include "wire.h"

#define SAMPLES_MAX 600

static struct identity_set *identities;
static struct address_plan plan;

static void config_make(
	struct wire_config *c, uint32_t phones, unsigned workers, uint32_t period_ms)
{
	struct identity_error error;
	if (identity_patterns(&identities, "2{n:07}", NULL, NULL, phones, &error) != 0 ||
		address_plan_parse("10.0.0.0/8", &plan) != 0)
		exit(1);
	memset(c, 0, sizeof(*c));
	c->link.kind = WIRE_MEMORY;
	c->roles = WIRE_HERD | WIRE_REGISTRARS;
	c->workers = workers;
	struct herd_config *h = &c->herd;
	for (int i = 0; i < PROXIES; i++) {
		char host[32];
		snprintf(host, sizeof(host), "192.0.2.%d", i + 1);
		address_parse(host, &c->proxy[i].address);
		c->proxy[i].port = 5060;
		c->proxy[i].known = true;
		snprintf(h->proxy[i].host, sizeof(h->proxy[i].host), "%s", host);
		h->proxy[i].address = c->proxy[i].address;
		h->proxy[i].port = 5060;
		c->registrar[i] = (struct registrar_config){.capacity = phones,
			.expires_default_s = 3600,
			.expires_max_s = 86400,
			.seed = 1,
			.server = "bench"};
	}
	h->fleet_phones = phones;
	h->identities = identities;
	h->plan[ADDRESS_IPV4] = &plan;
	snprintf(h->domain, sizeof(h->domain), "lab.example.net");
	snprintf(h->user_agent, sizeof(h->user_agent), "sipherd");
	h->redundancy = (struct redundancy_rules){true, MODE_ASYMMETRIC, 10, 1};
	h->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	h->keepalive_period_ms = period_ms;
	h->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	h->expires_s = 86400;
	h->retry_ms = 60000;
	h->refresh_permille = 500;
	h->ramp_per_s = 500000;
	h->secret = 0x5ec7e7;
	h->seed = 1;
}

static void fail(const struct wire_error *error)
{
	fprintf(stderr, "%s\n", error->message);
	exit(3);
}

/* One second's answered keep-alives. */
static double answered_per_second(struct wire *wire, struct wire_snapshot *snapshot)
{
	uint64_t answered = snapshot->herd.options_answered, at = snapshot->now_us;
	usleep(1000000);
	wire_snapshot(wire, snapshot);
	return (double)(snapshot->herd.options_answered - answered) * 1e6 /
	       (double)(snapshot->now_us - at);
}

int main(int argc, char **argv)
{
	static struct wire_config config;
	static struct wire_snapshot s;
	static double rate[SAMPLES_MAX];
	struct wire_error error;
	struct wire *wire;
	uint32_t phones = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
	int seconds = argc > 2 ? atoi(argv[2]) : 10;
	unsigned workers = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	if (seconds < 1 || seconds > SAMPLES_MAX)
		return 2;
	/* Ten million planned per second: more than any core does. */
	uint32_t period_ms = phones / 10000 > 0 ? phones / 10000 : 1;
	config_make(&config, phones, workers, period_ms);
	if (wire_open(&wire, &config, &error) != 0 || wire_start(wire, &error) != 0 ||
		wire_wait_neighbours(wire, 2000, &error) != 0)
		fail(&error);
	wire_command(wire, &(struct herd_command){.kind = HERD_START});
	do {
		usleep(100000);
		wire_snapshot(wire, &s);
	} while (s.herd.register_ok < phones && s.now_us < 60000000);
	for (int i = 0; i < seconds; i++)
		rate[i] = answered_per_second(wire, &s);
	double median = sampler_median(rate, (size_t)seconds);
	printf("memory link, %u phones, %u worker%s: %.2f M keep-alives/s answered "
	       "(%.2f-%.2f M over %d s), %.0f ns each per worker\n",
		phones, workers, workers == 1 ? "" : "s", median / 1e6, rate[0] / 1e6,
		rate[seconds - 1] / 1e6, seconds, 1e9 * workers / median);
	printf("  busy %.2f, bytes per phone %.1f, not sent %llu, silent %llu, skipped ticks "
	       "%llu\n",
		s.worker[0].busy_ratio, (double)s.herd_memory / phones,
		(unsigned long long)(s.herd.not_sent + s.wire.not_sent_full +
				     s.wire.not_sent_no_neighbour),
		(unsigned long long)s.herd.options_silent,
		(unsigned long long)s.herd.options_skipped);
	wire_close(wire);
	identity_free(identities);
	return 0;
}
