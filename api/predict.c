/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every wave is a mixture: with probability `weight`, a phone moves after `low`, a uniform share of `width` and
 * the pauses before its switches. The share of the phones that have moved has a closed form, nothing
 * is drawn at random. Times in ms.
 */
#include "predict.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define SEGMENTS_MAX 64 /* a request is sent 24 times at most */
#define STEPS_WANTED 4000
#define WINDOWS_WANTED 20000

/* What is added to a segment: of pauses before a switch, each uniform in 0..switch_delay. */
enum pauses {
	PAUSE_NONE,
	PAUSE_ONE,
	PAUSE_TWO,  /* the sum of two */
	PAUSE_REST, /* what is left of one at an arbitrary moment in it */
	PAUSE_KINDS
};

struct segment {
	double low, width, weight;
	enum pauses pauses;
};

struct model {
	struct segment segment[SEGMENTS_MAX];
	unsigned segments;
	double pause; /* switch_delay */
	/* Whatever comes first counts: a keep-alive, the only segment, or a refresh. */
	bool has_rival;
	struct segment rival;
};

static double uniform(const struct segment *segment, double t)
{
	if (t <= segment->low)
		return 0;
	return t >= segment->low + segment->width ? 1 : (t - segment->low) / segment->width;
}

/* Share of pauses that are over after t. */
static double over(enum pauses pauses, double pause, double t)
{
	const double x = pause > 0 ? t / pause : 0;
	if (t <= 0)
		return 0;
	if (pause <= 0 || pauses == PAUSE_NONE)
		return 1;
	if (pauses == PAUSE_TWO && x < 2)
		return x < 1 ? x * x / 2 : 1 - (2 - x) * (2 - x) / 2;
	if (pauses == PAUSE_TWO || x >= 1)
		return 1;
	return pauses == PAUSE_REST ? 1 - (1 - x) * (1 - x) : x;
}

/* In pauses. */
static const double longest[PAUSE_KINDS] = {0, 1, 2, 1};
static const double mean[PAUSE_KINDS] = {0, 0.5, 1, 1.0 / 3};

/* The integral of that from 0 to t. */
static double area(enum pauses pauses, double pause, double t)
{
	const double x = pause > 0 ? t / pause : 0;
	if (t <= 0)
		return 0;
	if (pause <= 0 || pauses == PAUSE_NONE || x >= longest[pauses])
		return t - mean[pauses] * pause;
	if (pauses == PAUSE_ONE)
		return pause * x * x / 2;
	if (pauses == PAUSE_REST)
		return t - pause / 3 + pause * (1 - x) * (1 - x) * (1 - x) / 3;
	return pause * (x < 1 ? x * x * x / 6 : x - 1 + (2 - x) * (2 - x) * (2 - x) / 6);
}

static double share_of(const struct segment *segment, double pause, double t)
{
	const double since = t - segment->low;
	if (segment->width <= 0)
		return over(segment->pauses, pause, since);
	return (area(segment->pauses, pause, since) -
		       area(segment->pauses, pause, since - segment->width)) /
	       segment->width;
}

/* The share that has decided to switch, without the pause. */
static double decided(const struct model *model, double t)
{
	return 1 - (1 - uniform(&model->segment[0], t)) * (1 - uniform(&model->rival, t));
}

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The mean of `decided` over the pause before t: it is quadratic between the ends of the two uniforms, which
 * Simpson's rule integrates exactly. */
static double share_of_first(const struct model *model, double t)
{
	const struct segment *a = &model->segment[0], *b = &model->rival;
	double cut[6] = {t - model->pause, t, a->low, a->low + a->width, b->low, b->low + b->width};
	double sum = 0;
	if (model->pause <= 0)
		return decided(model, t);
	for (int i = 2; i < 6; i++)
		cut[i] = fmin(fmax(cut[i], cut[0]), cut[1]);
	qsort(cut, 6, sizeof(cut[0]), ascending);
	for (int i = 1; i < 6; i++) {
		const double from = cut[i - 1], to = cut[i];
		sum += (to - from) / 6 *
		       (decided(model, from) + 4 * decided(model, (from + to) / 2) +
			       decided(model, to));
	}
	return sum / model->pause;
}

static double share_at(const struct model *model, double t)
{
	double share = 0;
	if (model->has_rival)
		return share_of_first(model, t);
	for (unsigned i = 0; i < model->segments; i++)
		share += model->segment[i].weight * share_of(&model->segment[i], model->pause, t);
	return share;
}

static void add(struct model *model, double low, double width, double weight, enum pauses pauses)
{
	if (model->segments < SEGMENTS_MAX && weight > 0)
		model->segment[model->segments++] = (struct segment){low, width, weight, pauses};
}

/* Keep-alives never overlap: a tick that finds one pending is skipped. */
static double silent_period(const struct herd_config *herd)
{
	const double period = herd->keepalive_period_ms;
	return fmax(1, ceil(herd->timers.no_response_ms / period)) * period;
}

/*
 * The proxy where a phone is registered falls silent at 0. Refreshes that are spread evenly over their
 * interval come first for few phones, unless keep-alives take longer than a tenth of it.
 */
static void fail_over(struct model *model, const struct herd_config *herd, bool probed)
{
	const double no_response = herd->timers.no_response_ms;
	const double refresh = (double)herd->expires_s * herd->refresh_permille;
	const double period = herd->keepalive_period_ms;
	if (period <= 0 || !probed) {
		add(model, no_response, refresh, refresh > 0, PAUSE_ONE);
		return;
	}
	const double more = (herd->redundancy.fail_threshold - 1) * silent_period(herd);
	add(model, no_response + more, period, 1, PAUSE_ONE);
	model->has_rival = refresh > 0 && more + period > refresh / 10;
	model->rival = (struct segment){no_response, refresh, 1, PAUSE_ONE};
}

/* The primary serves again at 0 after a long outage: until a phone that probes it has enough answers. */
static void fail_back(struct model *model, const struct herd_config *herd)
{
	const double period = herd->keepalive_period_ms, end = herd->timers.no_response_ms;
	const uint32_t more = herd->redundancy.success_threshold - 1u;
	double before = 0;
	if (period <= 0)
		return;
	const double cycle = silent_period(herd);
	for (uint32_t n = 1; before < cycle && n < SEGMENTS_MAX; n++) {
		const double at = before + transaction_interval_ms(&herd->timers, n, false);
		/* Behind the last datagram, it is the next keep-alive that is answered. */
		const bool next = at >= end;
		const double sent = next ? cycle : at;
		/* The first tick of the grid after this answer is the next probe. */
		const double tick = next ? cycle + period : (floor(sent / period) + 1) * period;
		const double low = more == 0 ? 0 : tick - sent + (more - 1) * period;
		add(model, low, sent - before, (sent - before) / cycle, PAUSE_ONE);
		before = sent;
	}
}

/*
 * Both proxies have been silent for long, and phones try them in turn: a time-out, a pause, and again. One
 * serves again at 0 and answers the next datagram that it gets, a retransmission too.
 */
static void rescue(struct model *model, const struct herd_config *herd)
{
	const double end = herd->timers.no_response_ms, pause = herd->switch_delay_ms;
	const double cycle = 2 * end + pause;
	double before = 0;
	/* Who tries the other proxy; who is in the pause before this one, and before the other. */
	add(model, 0, end, end / cycle, PAUSE_ONE);
	add(model, 0, 0, pause / 2 / cycle, PAUSE_REST);
	add(model, end, pause, pause / 2 / cycle, PAUSE_REST);
	for (uint32_t n = 1; before < end && n < SEGMENTS_MAX; n++) {
		const double at = before + transaction_interval_ms(&herd->timers, n, false);
		/* Behind its last datagram, a phone tries the other proxy first. */
		const bool last = at >= end;
		const double width = (last ? end : at) - before;
		add(model, last ? end : 0, width, width / cycle, last ? PAUSE_TWO : PAUSE_NONE);
		before += width;
	}
}

static void make_model(
	struct model *model, const struct drill_wave *wave, const struct drill_fleet *fleet)
{
	const struct herd_config *herd = fleet->herd;
	const bool symmetric = herd->redundancy.mode == MODE_SYMMETRIC;
	model->pause = herd->switch_delay_ms;
	if (!fleet->redundancy || fleet->mixed)
		return;
	if (wave->kind == WAVE_FAIL_OVER)
		fail_over(model, herd, symmetric || wave->from != PROXY_REDUNDANT);
	else if (wave->kind == WAVE_FAIL_BACK && !symmetric)
		fail_back(model, herd);
	else if (wave->kind == WAVE_RESCUE && !herd->backoff_rfc5626)
		rescue(model, herd);
}

/* Until the last phone has left a silent proxy, and has probed it or tried both for a whole cycle. */
static bool is_even(const struct drill_wave *wave, const struct herd_config *herd)
{
	const double period = herd->keepalive_period_ms, pause = herd->switch_delay_ms;
	const double end = herd->timers.no_response_ms;
	if (wave->kind == WAVE_FAIL_OVER)
		return true;
	if (period <= 0)
		return false;
	const double cycle = silent_period(herd);
	const double gone = end + (herd->redundancy.fail_threshold - 1) * cycle + period + pause;
	const double more = wave->kind == WAVE_FAIL_BACK ? period + cycle : end + pause;
	return (double)wave->silent_ms >= gone + more;
}

/* Where the curve bends: at most so many in *out. */
#define BENDS_MAX (SEGMENTS_MAX * 6)

static unsigned bends(const struct model *model, double out[BENDS_MAX])
{
	unsigned count = 0;
	for (unsigned i = 0; i < model->segments + model->has_rival; i++) {
		const struct segment *segment = i < model->segments ? &model->segment[i]
								    : &model->rival;
		for (int pauses = 0; pauses <= longest[segment->pauses]; pauses++) {
			out[count++] = segment->low + pauses * model->pause;
			out[count++] = segment->low + segment->width + pauses * model->pause;
		}
	}
	qsort(out, count, sizeof(out[0]), ascending);
	return count;
}

static double in_window(const struct model *model, double index, double width)
{
	return share_at(model, (index + 1) * width) - share_at(model, index * width);
}

/* Curves that last for hours are flat between their bends: some windows do there. */
static double busiest(const struct model *model, const struct prediction *out, double width,
	const double *bend, unsigned count)
{
	const double last = floor(out->last_ms / width);
	const double stride = floor(last / WINDOWS_WANTED) + 1;
	double most = 0;
	for (double i = floor(out->first_ms / width); i <= last; i += stride)
		most = fmax(most, in_window(model, i, width));
	for (unsigned i = 0; i < count; i++) {
		const double at = floor(bend[i] / width);
		for (double beside = fmax(at - 1, 0); beside <= at + 1; beside++)
			most = fmax(most, in_window(model, beside, width));
	}
	return most;
}

/* The area above the curve. Between two bends it is cubic at most, which Simpson's rule integrates
 * exactly. */
static double mean_of(const struct model *model, const double *bend, unsigned count)
{
	double sum = bend[0];
	for (unsigned i = 1; i < count; i++) {
		const double from = bend[i - 1], to = bend[i];
		sum += (to - from) / 6 *
		       (6 - share_at(model, from) - 4 * share_at(model, (from + to) / 2) -
			       share_at(model, to));
	}
	return sum;
}

static double end_of(const struct model *model)
{
	double last = 0;
	for (unsigned i = 0; i < model->segments; i++) {
		const struct segment *s = &model->segment[i];
		last = fmax(last, s->low + s->width + longest[s->pauses] * model->pause);
	}
	if (model->has_rival)
		last = fmin(last, model->rival.low + model->rival.width + model->pause);
	return last;
}

static double begin_of(const struct model *model)
{
	double first = model->segment[0].low;
	for (unsigned i = 1; i < model->segments; i++)
		first = fmin(first, model->segment[i].low);
	return model->has_rival ? fmin(first, model->rival.low) : first;
}

/* A step of 1, 2 or 5 times a power of ten, for a few thousand of them. */
static uint32_t step_for(double last_ms)
{
	static const uint32_t next[] = {2, 5, 10};
	uint32_t step = 1;
	for (uint32_t ten = 1; last_ms / step > STEPS_WANTED; ten *= 10)
		for (int i = 0; i < 3 && last_ms / step > STEPS_WANTED; i++)
			step = next[i] * ten;
	return step;
}

int predict_wave(
	struct prediction *out, const struct drill_wave *wave, const struct drill_fleet *fleet)
{
	struct model model = {0};
	double bend[BENDS_MAX];
	*out = (struct prediction){0};
	make_model(&model, wave, fleet);
	if (model.segments == 0 || model.segments == SEGMENTS_MAX)
		return 0;
	out->first_ms = begin_of(&model);
	out->last_ms = end_of(&model);
	out->step_ms = step_for(out->last_ms);
	out->steps = (uint32_t)ceil(out->last_ms / out->step_ms) + 1;
	out->share = malloc(out->steps * sizeof(out->share[0]));
	if (out->share == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i + 1 < out->steps; i++)
		out->share[i] = share_at(&model, (double)i * out->step_ms);
	out->share[out->steps - 1] = 1;
	const unsigned count = bends(&model, bend);
	out->mean_ms = mean_of(&model, bend, count);
	out->peak_second = busiest(&model, out, 1000, bend, count);
	out->peak_100ms = busiest(&model, out, 100, bend, count);
	out->known = true;
	out->even = is_even(wave, fleet->herd);
	return 0;
}

double prediction_at(const struct prediction *prediction, double ms)
{
	const double at = ms / prediction->step_ms;
	if (ms <= 0)
		return prediction->share[0];
	if (at >= prediction->steps - 1)
		return 1;
	const uint32_t i = (uint32_t)at;
	return prediction->share[i] + (at - i) * (prediction->share[i + 1] - prediction->share[i]);
}

void prediction_free(struct prediction *prediction)
{
	free(prediction->share);
	*prediction = (struct prediction){0};
}
