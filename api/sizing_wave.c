/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The busiest second of a wave, and what comes after it. When phones move is predict.h's; here every
 * datagram that goes with it is put into seconds from the event on, and the busiest of them is kept.
 *
 * Phases of keep-alives and refreshes are spread evenly at first, as predict.h has it, and an answer
 * comes at once.
 */
#include <math.h>
#include <stdlib.h>

#include "predict.h"
#include "sizing_internal.h"

#define DATAGRAMS_MAX 64
#define SLICES 16 /* of a first keep-alive that is spread over a period */
#define SECOND 1000.0

/* A wave of this fleet, and the second that is looked at: from a to b, in ms since the event. */
struct tide {
	const struct sizing_case *what;
	struct sizing *sizing;
	struct prediction moved;       /* the REGISTER to the other proxy has left */
	struct prediction decided;     /* the same without the pause before it */
	struct prediction proved;      /* a first keep-alive has been answered */
	double period, cycle, refresh; /* ms; 0: none */
	unsigned datagrams;            /* of a request that nobody answers, */
	double sent[DATAGRAMS_MAX];    /* and when each leaves */
	double a, b;
};

static double moves(const struct prediction *curve, double a, double b)
{
	return b <= 0 ? 0 : prediction_at(curve, b) - (a <= 0 ? 0 : prediction_at(curve, a));
}

static void note_datagrams(struct tide *t)
{
	const struct transaction_timers *timers = &t->what->herd->timers;
	double at = 0;
	do {
		t->sent[t->datagrams++] = at;
		at += fmax(1, transaction_interval_ms(timers, t->datagrams, false));
	} while (at < timers->no_response_ms && t->datagrams < DATAGRAMS_MAX);
}

/* Keep-alives never overlap: a tick that finds one pending is skipped. */
static double cycle_of(const struct herd_config *herd)
{
	const double period = herd->keepalive_period_ms;
	return period > 0 ? fmax(1, ceil(herd->timers.no_response_ms / period)) * period : 0;
}

static void tide_begin(struct tide *t, struct sizing *s, const struct sizing_case *what)
{
	*t = (struct tide){.what = what,
		.sizing = s,
		.period = what->herd->keepalive_period_ms,
		.cycle = cycle_of(what->herd),
		.refresh = s->talks.refresh_ms};
	note_datagrams(t);
}

static void tide_end(struct tide *t)
{
	prediction_free(&t->moved);
	prediction_free(&t->decided);
	prediction_free(&t->proved);
}

static int predict(struct prediction *out, const struct sizing_case *what,
	enum drill_wave_kind kind, bool pause, bool all_answers)
{
	struct herd_config herd = *what->herd;
	const bool over = kind == WAVE_FAIL_OVER;
	const struct drill_fleet fleet = {.herd = &herd,
		.phones = sizing_phones(what),
		.redundancy = herd.redundancy.enabled};
	const struct drill_wave wave = {.kind = (uint8_t)kind,
		.from = over ? PROXY_PRIMARY : PROXY_REDUNDANT,
		.to = over ? PROXY_REDUNDANT : PROXY_PRIMARY};
	if (!pause)
		herd.switch_delay_ms = 0;
	if (!all_answers)
		herd.redundancy.success_threshold = 1;
	return predict_wave(out, &wave, &fleet);
}

static int tide_predict(struct tide *t, enum drill_wave_kind kind)
{
	int status = predict(&t->moved, t->what, kind, true, true);
	if (status == 0)
		status = predict(&t->decided, t->what, kind, false, true);
	if (status == 0)
		status = predict(&t->proved, t->what, kind, false, false);
	return status;
}

/* Share of the phones whose keep-alive, one every `every` ms since they moved, falls into the second
 * `late` ms later. */
static double ticks_after(const struct tide *t, double first, double every, double late)
{
	const double a = t->a - first - late, b = t->b - first - late;
	double share = 0, k = fmax(0, floor((a - t->moved.last_ms) / every));
	for (; b - k * every > t->moved.first_ms; k++)
		share += moves(&t->moved, a - k * every, b - k * every);
	return share;
}

static double ticks(const struct tide *t, double every, double late)
{
	const uint8_t first = t->what->herd->keepalive_first;
	double share = 0;
	if (first != KEEPALIVE_FIRST_SPREAD)
		return ticks_after(
			t, first == KEEPALIVE_FIRST_IMMEDIATE ? 0 : t->period, every, late);
	for (int i = 0; i < SLICES; i++)
		share += ticks_after(t, (i + 0.5) * t->period / SLICES, every, late) / SLICES;
	return share;
}

/* Of something that happens to each phone once, anywhere in `width` ms from `at` on: the share whose moment
 * is in this second. */
static double even(const struct tide *t, double at, double width)
{
	const double a = fmax(t->a, at), b = fmin(t->b, at + width);
	return b > a ? (b - a) / width : 0;
}

static double per_second(const struct tide *t, double share)
{
	return share * t->sizing->phones * SECOND / (t->b - t->a);
}

static void add(struct sizing_load *load, const struct tide *t, enum proxy proxy,
	enum sizing_occasion occasion, double share)
{
	sizing_add(load, t->what, &t->sizing->talks, proxy, occasion, per_second(t, share));
}

static void add_alone(struct sizing_load *load, const struct tide *t, enum proxy proxy,
	enum sizing_occasion occasion, double share)
{
	sizing_add_alone(load, t->what, &t->sizing->talks, proxy, occasion, per_second(t, share));
}

/* The primary has fallen silent: who finds out, and who asks the other one. */
static void add_fail_over(struct sizing_load *load, const struct tide *t)
{
	const bool symmetric = t->what->herd->redundancy.mode == MODE_SYMMETRIC;
	const double still = 1 - prediction_at(&t->moved, t->a);
	double probes = 0, refreshes = 0;
	for (unsigned i = 0; i < t->datagrams; i++) {
		for (unsigned k = 0; t->period > 0 && k < t->what->herd->redundancy.fail_threshold;
			k++)
			probes += even(t, k * t->cycle + t->sent[i], t->period);
		if (t->period > 0 && !symmetric)
			probes += ticks(t, t->cycle, t->sent[i]);
		if (t->refresh > 0)
			refreshes += still * even(t, t->sent[i], t->refresh);
	}
	add_alone(load, t, PROXY_PRIMARY, SIZING_KEEPALIVE, probes);
	add_alone(load, t, PROXY_PRIMARY, SIZING_REFRESH, refreshes);
	add(load, t, PROXY_REDUNDANT, SIZING_REGISTER, moves(&t->moved, t->a, t->b));
	if (t->period > 0 && symmetric)
		add(load, t, PROXY_REDUNDANT, SIZING_KEEPALIVE, ticks(t, t->period, 0));
}

/* The primary answers again: who hears of it, takes leave of the other one and comes back. */
static void add_fail_back(struct sizing_load *load, const struct tide *t)
{
	const double length = t->b - t->a, away = 1 - prediction_at(&t->moved, t->a);
	double answers = moves(&t->proved, t->a, t->b);
	/* Answers between the first and the one that makes it go. */
	answers += (prediction_at(&t->proved, t->a) - prediction_at(&t->decided, t->a)) * length /
		   t->period;
	answers += ticks(t, t->period, 0);
	add(load, t, PROXY_PRIMARY, SIZING_KEEPALIVE, answers);
	add(load, t, PROXY_REDUNDANT, SIZING_GOODBYE, moves(&t->decided, t->a, t->b));
	add(load, t, PROXY_PRIMARY, SIZING_RETURN, moves(&t->moved, t->a, t->b));
	if (t->refresh <= 0)
		return;
	add(load, t, PROXY_REDUNDANT, SIZING_REFRESH, away * length / t->refresh);
	add(load, t, PROXY_PRIMARY, SIZING_REFRESH,
		moves(&t->moved, t->a - t->refresh, t->b - t->refresh));
}

/* Lines of the feed and records of the store in this second, by transitions: switching when it is decided,
 * registering and registered when the pause is over. */
static void note_transitions(struct sizing_transitions *most, const struct tide *t)
{
	const double decided = per_second(t, moves(&t->decided, t->a, t->b));
	const double moved = per_second(t, moves(&t->moved, t->a, t->b));
	const struct sizing_transitions now = {.lines = decided + 2 * moved,
		.records = t->what->herd->switch_delay_ms > 0 ? decided + moved : moved};
	if (now.lines > most->lines)
		*most = now;
}

static double weight(const struct sizing_load *load)
{
	return load->line_bits[SIZING_OUT] + load->line_bits[SIZING_IN];
}

/* Seconds that begin between `from` and `to`, at whole ones. */
static void busiest(struct sizing_load *most, struct sizing_transitions *transitions,
	struct tide *t, double from, double to,
	void (*add_all)(struct sizing_load *, const struct tide *))
{
	for (t->a = floor(fmax(from, 0) / SECOND) * SECOND; t->a <= to; t->a += SECOND) {
		struct sizing_load load = {.at_ms = t->a};
		t->b = t->a + SECOND;
		add_all(&load, t);
		if (!most->known || weight(&load) > weight(most)) {
			sizing_work(&load, t->what);
			*most = load;
		}
		if (transitions != NULL)
			note_transitions(transitions, t);
	}
}

static void outage(struct tide *t)
{
	struct sizing_load *load = &t->sizing->load[SIZING_OUTAGE];
	const struct herd_config *herd = t->what->herd;
	const bool leaves = herd->redundancy.enabled;
	const bool symmetric = leaves && herd->redundancy.mode == MODE_SYMMETRIC;
	const double retry = herd->timers.no_response_ms + (double)herd->retry_ms;
	t->a = 0;
	t->b = SECOND;
	if (symmetric && t->period > 0)
		add(load, t, PROXY_REDUNDANT, SIZING_KEEPALIVE, SECOND / t->period);
	else if (t->period > 0)
		add_alone(
			load, t, PROXY_PRIMARY, SIZING_KEEPALIVE, t->datagrams * SECOND / t->cycle);
	if (leaves && t->refresh > 0)
		add(load, t, PROXY_REDUNDANT, SIZING_REFRESH, SECOND / t->refresh);
	/* Whose refresh was not answered tries again and again, and probes no more. */
	if (!leaves && retry < (t->period > 0 ? t->cycle : INFINITY))
		add_alone(load, t, PROXY_PRIMARY, SIZING_REGISTER, t->datagrams * SECOND / retry);
	sizing_work(load, t->what);
}

static int fail_over(struct tide *t)
{
	struct sizing *s = t->sizing;
	const int status = tide_predict(t, WAVE_FAIL_OVER);
	if (status == 0 && t->moved.known)
		busiest(&s->load[SIZING_FAIL_OVER], &s->over, t, 0, t->moved.last_ms,
			add_fail_over);
	return status;
}

static int fail_back(struct tide *t)
{
	struct sizing *s = t->sizing;
	const int status = tide_predict(t, WAVE_FAIL_BACK);
	if (status != 0 || !t->moved.known)
		return status;
	const double last = t->moved.last_ms;
	busiest(&s->load[SIZING_FAIL_BACK], &s->back, t, 0, last, add_fail_back);
	if (t->what->herd->keepalive_jitter_percent > 0)
		return 0;
	busiest(&s->load[SIZING_KEEPALIVES_AFTER], NULL, t, last + SECOND, last + t->period + last,
		add_fail_back);
	if (t->refresh > last)
		busiest(&s->load[SIZING_REFRESHES_AFTER], NULL, t, t->refresh, t->refresh + last,
			add_fail_back);
	return 0;
}

int sizing_waves(struct sizing *s, const struct sizing_case *what)
{
	struct tide tide;
	tide_begin(&tide, s, what);
	outage(&tide);
	if (!what->herd->redundancy.enabled)
		return 0;
	int status = fail_over(&tide);
	tide_end(&tide);
	if (status != 0)
		return status;
	tide_begin(&tide, s, what);
	status = fail_back(&tide);
	tide_end(&tide);
	return status;
}
