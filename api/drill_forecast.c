/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plan will send at its peak, told before it begins. */
#include <math.h>

#include "drill_internal.h"
#include "predict.h"

struct peak {
	double second, tenth; /* shares of the phones */
	bool known;
};

/* Who moves without a model moves no faster than keep-alives, or REGISTERs that nobody answers or that
 * are refused, are due. */
static struct peak bound(const struct drill_fleet *fleet)
{
	const struct herd_config *herd = fleet->herd;
	const double attempt_ms = herd->timers.no_response_ms + herd->switch_delay_ms / 2.0;
	double rate = fmax(1000 / fmax(attempt_ms, 1), 1000 / fmax(herd->retry_ms, 1));
	if (herd->keepalive_period_ms > 0)
		rate = fmax(rate, 1000.0 / herd->keepalive_period_ms);
	return (struct peak){.second = fmin(rate, 1), .tenth = fmin(rate / 10, 1)};
}

/* Of an outage that is too short for an even spread: phones have left within one period, at least, so that
 * their requests are that much denser than evenly over a cycle, at most. */
static double density(const struct drill_wave *wave, const struct drill_fleet *fleet,
	const struct drill_times *times)
{
	const struct herd_config *herd = fleet->herd;
	const double period_ms = fmax((double)times->period_ms, 1);
	if (wave->kind == WAVE_RESCUE)
		return fmax(
			1, (2.0 * herd->timers.no_response_ms + herd->switch_delay_ms) / period_ms);
	return fmax(1, (double)times->cycle_ms / period_ms);
}

static struct peak power_peak(const struct drill_plan *plan, const struct drill_wave *wave)
{
	const double spread_ms = plan->step[wave->step].command.delay_ms;
	return (struct peak){.second = spread_ms > 1000 ? 1000 / spread_ms : 1,
		.tenth = spread_ms > 100 ? 100 / spread_ms : 1,
		.known = true};
}

static struct peak peak_of(const struct drill_plan *plan, const struct drill_wave *wave,
	const struct drill_fleet *fleet, const struct drill_times *times)
{
	struct peak peak = bound(fleet);
	struct prediction prediction;
	if (wave->kind == WAVE_POWER)
		return power_peak(plan, wave);
	if (wave->kind == WAVE_WATCH || (wave->kind != WAVE_FAIL_OVER && wave->silent_ms == 0))
		return peak;
	if (predict_wave(&prediction, wave, fleet) == 0 && prediction.known) {
		const double denser = prediction.even ? 1 : density(wave, fleet, times);
		peak.second = fmin(prediction.peak_second * denser, 1);
		peak.tenth = fmin(prediction.peak_100ms * denser, 1);
		peak.known = prediction.even;
	}
	prediction_free(&prediction);
	return peak;
}

/* Datagrams of a request of which each is answered with probability 1 - lost, `late_ms` later: one is sent
 * unless an answer to one before has come. */
static double datagrams(const struct transaction_timers *timers, double lost, double late_ms)
{
	double sum = 0, sent = 1, at = 0, awaited = late_ms;
	uint32_t answers = 0;
	for (uint32_t n = 1; at < timers->no_response_ms || n == 1; n++) {
		for (; answers + 1 < n && awaited <= at; sent *= lost) {
			answers++;
			awaited += transaction_interval_ms(timers, answers, false);
		}
		sum += sent;
		at += fmax(1, transaction_interval_ms(timers, n, false));
	}
	return sum;
}

/* OPTIONS datagrams per second and phone while this step's outage lasts. */
static double options_rate(const struct drill_step *step, const struct drill_fleet *fleet,
	const struct drill_times *times)
{
	const struct impairment *impairment = &step->impairment;
	const double usual = 1000.0 / fleet->herd->keepalive_period_ms;
	double share = impairment->share_ppm / 1e6, arrives = 1 - impairment->loss_ppm / 1e6;
	if (step->act == DRILL_ACT_HOOK) {
		share = 1;
		arrives = 0;
	} else if (step->act != DRILL_ACT_IMPAIR ||
		   (impairment->methods != 0 && !(impairment->methods & IMPAIRMENT_OPTIONS))) {
		return usual;
	}
	/* Where each is sent until it is given up, the next waits for its end. */
	const double sent = datagrams(&fleet->herd->timers, 1 - arrives * arrives,
		(impairment->delay_us + impairment->jitter_us) / 1e3);
	const double every_ms = arrives > 0 ? fleet->herd->keepalive_period_ms : times->cycle_ms;
	return (1 - share) * usual + share * fmax(usual, sent * 1000 / every_ms);
}

void drill_foresee(
	struct drill_plan *plan, const struct drill_fleet *fleet, const struct drill_times *times)
{
	struct drill_forecast *forecast = &plan->forecast;
	const struct herd_config *herd = fleet->herd;
	*forecast = (struct drill_forecast){.known = true};
	for (uint32_t i = 0; i < plan->waves; i++) {
		const struct drill_wave *wave = &plan->wave[i];
		const double phones = fleet->phones * (wave->share_ppm / 1e6);
		const struct peak peak = peak_of(plan, wave, fleet, times);
		forecast->register_per_100ms = fmax(
			forecast->register_per_100ms, phones * peak.tenth);
		if (phones * peak.second <= forecast->register_per_s)
			continue;
		forecast->register_per_s = phones * peak.second;
		forecast->known = peak.known;
	}
	double each = 0, phones = fleet->phones;
	if (herd->keepalive_period_ms > 0)
		each = 1000.0 / herd->keepalive_period_ms;
	/* As many phones with the slowest period as ask as often as those that are there. */
	if (each > 0 && fleet->keepalives_per_s > 0)
		phones = fleet->keepalives_per_s / each;
	for (uint32_t i = 0; i < plan->steps && each > 0; i++)
		forecast->options_datagrams_per_s = fmax(forecast->options_datagrams_per_s,
			phones * options_rate(&plan->step[i], fleet, times));
	forecast->steady_per_s = phones * each;
	if (herd->expires_s > 0 && herd->refresh_permille > 0)
		forecast->steady_per_s += fleet->phones * 1000.0 /
					  ((double)herd->expires_s * herd->refresh_permille);
}
