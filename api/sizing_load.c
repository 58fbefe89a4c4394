/* SPDX-License-Identifier: BSD-3-Clause */
/* What so many phones' talk is in packets, on the cable and of a worker's time; and a herd at which
 * nothing is broken. */
#include <math.h>

#include "sizing_internal.h"

#define ETHERNET 14
#define TAG 4
#define UDP 8
#define CABLE (4 + 8 + 12) /* checksum, preamble with its delimiter, gap */

static double headers(const struct sizing_case *what, enum proxy proxy)
{
	const uint8_t family = what->herd->proxy[proxy].address.family;
	return ETHERNET + (what->vlan != 0 ? TAG : 0) + (family == ADDRESS_IPV6 ? 40 : 20) + UDP;
}

static void add_packets(struct sizing_load *load, const struct sizing_case *what, enum proxy proxy,
	enum sizing_direction direction, double packets, double bytes)
{
	const double frames = bytes + packets * headers(what, proxy);
	load->packets[direction] += packets;
	load->frame_bytes[direction] += frames;
	load->line_bits[direction] += 8 * (frames + packets * CABLE);
}

void sizing_add(struct sizing_load *load, const struct sizing_case *what,
	const struct sizing_talks *talks, enum proxy proxy, enum sizing_occasion occasion,
	double per_s)
{
	const struct sizing_talk *talk = &talks->of[proxy][occasion];
	add_packets(
		load, what, proxy, SIZING_OUT, per_s * talk->requests, per_s * talk->request_bytes);
	add_packets(
		load, what, proxy, SIZING_IN, per_s * talk->answers, per_s * talk->answer_bytes);
	if (occasion == SIZING_KEEPALIVE)
		load->keepalives += per_s * talk->requests;
	else
		load->registers += per_s * talk->requests;
	load->credentials += per_s * talk->credentials;
}

void sizing_add_alone(struct sizing_load *load, const struct sizing_case *what,
	const struct sizing_talks *talks, enum proxy proxy, enum sizing_occasion occasion,
	double per_s)
{
	const struct sizing_talk *talk = &talks->of[proxy][occasion];
	if (talk->requests <= 0)
		return;
	add_packets(
		load, what, proxy, SIZING_OUT, per_s, per_s * talk->request_bytes / talk->requests);
	load->alone += per_s;
}

void sizing_work(struct sizing_load *load, const struct sizing_case *what)
{
	const double scale = what->ns_per_transaction / SIZING_NS_KEEPALIVE / 1e9;
	load->busy = scale *
		     (load->keepalives * SIZING_NS_KEEPALIVE + load->alone * SIZING_NS_ALONE +
			     load->registers * SIZING_NS_REGISTER +
			     load->credentials * SIZING_NS_DIGEST);
	load->known = true;
}

static double period_ms(const struct sizing_case *what)
{
	return what->herd->keepalive_period_ms;
}

static void steady(struct sizing *s, const struct sizing_case *what)
{
	struct sizing_load *load = &s->load[SIZING_STEADY];
	if (period_ms(what) > 0)
		sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_KEEPALIVE,
			s->phones * 1e3 / period_ms(what));
	if (s->talks.refresh_ms > 0)
		sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_REFRESH,
			s->phones * 1e3 / s->talks.refresh_ms);
	sizing_work(load, what);
}

/* This herd's part of the ramp; all at once is within a second. */
static double ramp_per_s(const struct sizing *s, const struct sizing_case *what)
{
	const double part = (double)s->phones / what->herd->fleet_phones;
	const double ramp = what->herd->ramp_per_s * part;
	return ramp > 0 ? fmin(ramp, s->phones) : s->phones;
}

static double ramp_ms(const struct sizing_case *what)
{
	const struct herd_config *herd = what->herd;
	return herd->ramp_per_s > 0 ? herd->fleet_phones * 1e3 / herd->ramp_per_s : 0;
}

/* How many of the ramp's rounds, `every_ms` after one another, are under way in the busiest second. */
static double rounds(double ramp_ms, double every_ms)
{
	return fmax(1, ceil(ramp_ms / every_ms));
}

/* Nothing but chance or jitter takes phones apart that have started together. */
static bool is_bunched(const struct sizing_case *what)
{
	return what->herd->keepalive_jitter_percent == 0;
}

static void steady_peak(struct sizing *s, const struct sizing_case *what)
{
	struct sizing_load *load = &s->load[SIZING_STEADY_PEAK];
	const double ramp = ramp_per_s(s, what), length = ramp_ms(what);
	const bool spread = what->herd->keepalive_first == KEEPALIVE_FIRST_SPREAD;
	double keepalives = 0, refreshes = 0;
	if (!is_bunched(what))
		return;
	if (period_ms(what) > 0)
		keepalives = fmin(s->phones, spread ? s->phones * 1e3 / period_ms(what)
						    : ramp * rounds(length, period_ms(what)));
	if (s->talks.refresh_ms > 0)
		refreshes = fmin(s->phones, ramp * rounds(length, s->talks.refresh_ms));
	sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_KEEPALIVE, keepalives);
	sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_REFRESH, refreshes);
	sizing_work(load, what);
}

/* How many rounds after the first have begun when the ramp ends. */
static double before_end(double ramp_ms, double every_ms)
{
	return rounds(ramp_ms, every_ms) - 1;
}

/* The ramp's last second: who has started before keeps alive, or refreshes, by now. */
static void start(struct sizing *s, const struct sizing_case *what)
{
	struct sizing_load *load = &s->load[SIZING_START];
	const double ramp = ramp_per_s(s, what), length = ramp_ms(what);
	sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_REGISTER, ramp);
	if (period_ms(what) > 0) {
		double before = before_end(length, period_ms(what));
		if (what->herd->keepalive_first == KEEPALIVE_FIRST_IMMEDIATE)
			before++;
		else if (what->herd->keepalive_first == KEEPALIVE_FIRST_SPREAD)
			before = length / period_ms(what);
		sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_KEEPALIVE, ramp * before);
	}
	if (s->talks.refresh_ms > 0)
		sizing_add(load, what, &s->talks, PROXY_PRIMARY, SIZING_REFRESH,
			ramp * before_end(length, s->talks.refresh_ms));
	sizing_work(load, what);
}

void sizing_loads(struct sizing *s, const struct sizing_case *what)
{
	steady(s, what);
	steady_peak(s, what);
	start(s, what);
}
