/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole keep-alive transactions over a link: by itself the `memory` link, with herd, wire, rings, wire,
 * registrar and back, where each worker plays both ends; as `apart` the registrars have workers of their own.
 * Over another link the phones' proxies are 10.10.0.1 and 10.10.0.2, and the phones themselves ports of
 * 10.10.0.11 to 10.10.0.14.
 *
 * By itself more is planned than can be done; what is answered per second is then the capacity of the
 * path, and of a phone one keep-alive is in flight at most. Says how many datagrams were not sent, so that
 * nobody takes an overload for a result.
 *
 * usage: bench_link [phones] [seconds] [workers] [link] [period in ms]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "figure.h"
#include "wire.h"

#define SAMPLES_MAX 600
#define SILENT_MAX 30

static struct identity_set *identities;
static struct address_plan plan;

/* One of each second. */
struct samples {
	double rate[SAMPLES_MAX], busy[SAMPLES_MAX], cost_us[SAMPLES_MAX];
};

struct options {
	uint32_t phones, period_ms;
	unsigned seconds, workers;
	const char *link;
};

static void config_proxies(struct wire_config *c, const struct options *o, bool memory)
{
	for (int i = 0; i < PROXIES; i++) {
		struct herd_proxy *proxy = &c->herd.proxy[i];
		snprintf(proxy->host, sizeof(proxy->host), memory ? "192.0.2.%d" : "10.10.0.%d",
			i + 1);
		address_parse(proxy->host, &proxy->address);
		proxy->port = 5060;
		c->proxy[i] = (struct wire_proxy){proxy->address, proxy->port, true};
		c->registrar[i] = (struct registrar_config){.capacity = o->phones,
			.expires_default_s = 3600,
			.expires_max_s = 86400,
			.seed = 1,
			.server = "bench"};
	}
}

static void config_make(struct wire_config *c, const struct options *o)
{
	struct identity_error error;
	c->apart = strcmp(o->link, "apart") == 0;
	if (wire_link_parse(c->apart ? "memory" : o->link, &c->link) != 0)
		exit(2);
	const bool memory = c->link.kind == WIRE_MEMORY;
	if (identity_patterns(&identities, "2{n:07}", NULL, NULL, o->phones, &error) != 0 ||
		address_plan_parse(
			memory ? "10.0.0.0/8" : "10.10.0.11-10.10.0.14 ports 10000-59999", &plan) !=
			0)
		exit(1);
	c->roles = memory ? WIRE_HERD | WIRE_REGISTRARS : WIRE_HERD;
	c->workers = o->workers;
	config_proxies(c, o, memory);
	struct herd_config *h = &c->herd;
	h->fleet_phones = o->phones;
	h->identities = identities;
	h->plan[ADDRESS_IPV4] = &plan;
	snprintf(h->domain, sizeof(h->domain), "lab.example.net");
	snprintf(h->user_agent, sizeof(h->user_agent), "sipherd");
	h->redundancy = (struct redundancy_rules){true, MODE_ASYMMETRIC, 10, 1};
	h->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	h->keepalive_period_ms = o->period_ms;
	h->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	h->expires_s = 86400;
	h->retry_ms = 60000;
	h->refresh_permille = 500;
	h->ramp_per_s = 500000;
	/* Another one each time: a proxy remembers the calls of the run before, and refuses their CSeq. */
	h->secret = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15ull;
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
	const uint64_t answered = snapshot->herd.options_answered, at = snapshot->now_us;
	/* Workers that got no processor all the while have nothing new to say. */
	for (int second = 0; second < SILENT_MAX && snapshot->now_us == at; second++) {
		usleep(1000000);
		wire_snapshot(wire, snapshot);
	}
	if (snapshot->now_us == at)
		exit(3);
	return (double)(snapshot->herd.options_answered - answered) * 1e6 /
	       (double)(snapshot->now_us - at);
}

static double busiest(const struct wire_snapshot *s)
{
	double busy = 0;
	for (unsigned w = 0; w < s->workers; w++)
		if (s->worker[w].busy_ratio > busy)
			busy = s->worker[w].busy_ratio;
	return busy;
}

/* What workers were busy for one answered keep-alive, the registrars' end left out. */
static double herd_cost_us(const struct wire_snapshot *s, double rate)
{
	double busy = 0;
	for (unsigned w = 0; w < s->workers; w++)
		busy += (double)s->worker[w].busy_ratio - (double)s->worker[w].registrar_ratio;
	return rate > 0 ? busy * 1e6 / rate : 0;
}

static void read_options(struct options *o, int argc, char **argv)
{
	o->phones = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
	o->seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 10;
	o->workers = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	o->link = argc > 4 ? argv[4] : "memory";
	/* Ten million planned per second: more than any core does. */
	o->period_ms = argc > 5 ? (uint32_t)atoi(argv[5]) : o->phones / 10000;
	if (o->period_ms == 0)
		o->period_ms = 1;
	if (o->seconds < 1 || o->seconds > SAMPLES_MAX)
		exit(2);
}

/* Seconds as samples; sorts them, and returns their median. */
static double tell_figure(const char *name, const char *unit, double *of, unsigned seconds)
{
	const unsigned low = seconds / 10, high = seconds - 1 - low;
	const double median = sampler_median(of, seconds);
	figure_print(&(struct figure){name, unit, median, of[low], of[high], seconds, seconds});
	return median;
}

static void tell(const struct options *o, const struct wire_snapshot *s, struct samples *of)
{
	double *rate = of->rate;
	const double median = tell_figure("link_rate", "/s", rate, o->seconds);
	const double share = tell_figure("link_busy", "", of->busy, o->seconds);
	for (unsigned w = 0; w < s->workers; w++) {
		char name[32];
		double last = (double)s->worker[w].busy_ratio;
		snprintf(name, sizeof(name), "link_busy_%u", w);
		tell_figure(name, "", &last, 1);
	}
	double bytes = s->wire.frames_sent
			       ? (double)s->wire.bytes_sent / (double)s->wire.frames_sent
			       : 0;
	tell_figure("link_herd_cost", "us", of->cost_us, o->seconds);
	tell_figure("link_frame", "bytes", &bytes, 1);
	printf("%s, %u phones, %u worker%s: %.2f M keep-alives/s answered "
	       "(%.2f-%.2f M over %u s), %.0f ns each per worker\n",
		o->link, o->phones, o->workers, o->workers == 1 ? "" : "s", median / 1e6,
		rate[0] / 1e6, rate[o->seconds - 1] / 1e6, o->seconds, 1e9 * o->workers / median);
	printf("  busy %.2f, bytes per phone %.1f, not sent %llu, silent %llu, skipped ticks "
	       "%llu, again %llu\n",
		share, (double)s->herd_memory / o->phones,
		(unsigned long long)(s->herd.not_sent + s->wire.not_sent_full +
				     s->wire.not_sent_no_neighbour),
		(unsigned long long)s->herd.options_silent,
		(unsigned long long)s->herd.options_skipped,
		(unsigned long long)s->herd.options_retransmitted);
}

int main(int argc, char **argv)
{
	static struct wire_config config;
	static struct wire_snapshot s;
	static struct samples of;
	struct options o;
	struct wire_error error;
	struct wire *wire;
	read_options(&o, argc, argv);
	config_make(&config, &o);
	if (wire_open(&wire, &config, &error) != 0 || wire_start(wire, &error) != 0 ||
		wire_wait_neighbours(wire, 5000, &error) != 0)
		fail(&error);
	wire_command(wire, &(struct herd_command){.kind = HERD_START});
	do {
		usleep(100000);
		wire_snapshot(wire, &s);
	} while (s.herd.register_ok < o.phones && s.now_us < 60000000);
	for (unsigned i = 0; i < o.seconds; i++) {
		of.rate[i] = answered_per_second(wire, &s);
		of.busy[i] = busiest(&s);
		of.cost_us[i] = herd_cost_us(&s, of.rate[i]);
	}
	tell(&o, &s, &of);
	wire_close(wire);
	identity_free(identities);
	return 0;
}
