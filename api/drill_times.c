/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a herd takes, and what a drill does when nobody says otherwise. */
#include "drill_internal.h"

#define BACKOFF_MAX_MS 1800000u /* RFC 5626 section 4.5 */

static uint64_t stretched(uint64_t ms, const struct herd_config *herd)
{
	return ms + ms * herd->keepalive_jitter_percent / 100;
}

/* Keep-alives never overlap: a tick that finds one pending is skipped. */
static uint64_t silent_cycle_ms(const struct herd_config *herd)
{
	const uint64_t period = herd->keepalive_period_ms;
	uint64_t least = period - period * herd->keepalive_jitter_percent / 100;
	if (period == 0)
		return 0;
	if (least == 0)
		least = 1;
	const uint64_t ticks = (herd->timers.no_response_ms + least - 1) / least;
	return (ticks > 0 ? ticks : 1) * stretched(period, herd);
}

/* The longest pause between two datagrams of a request that nobody answers, where `end_ms` is when the
 * next request follows; *last_ms: when its last datagram leaves. */
static uint64_t widest_gap_ms(
	const struct transaction_timers *timers, uint64_t end_ms, uint64_t *last_ms)
{
	uint64_t at = 0, widest = 0;
	for (uint32_t n = 1;; n++) {
		const uint64_t wait = transaction_interval_ms(timers, n, false);
		if (wait == 0 || at + wait >= timers->no_response_ms)
			break;
		widest = wait > widest ? wait : widest;
		at += wait;
	}
	*last_ms = at;
	return end_ms > at && end_ms - at > widest ? end_ms - at : widest;
}

static bool counts_503(const uint16_t *codes, uint8_t count)
{
	for (uint8_t i = 0; i < count; i++) {
		if (codes[i] == 503)
			return true;
	}
	return false;
}

void drill_times(struct drill_times *times, const struct drill_fleet *fleet)
{
	const struct herd_config *herd = fleet->herd;
	const uint64_t silence = herd->timers.no_response_ms, pause = herd->switch_delay_ms;
	const uint64_t misses = herd->redundancy.fail_threshold,
		       answers = herd->redundancy.success_threshold;
	uint64_t last;
	*times = (struct drill_times){.period_ms = stretched(herd->keepalive_period_ms, herd),
		.cycle_ms = silent_cycle_ms(herd),
		.seek_ms = silence + pause,
		.refresh_ms = stretched((uint64_t)herd->expires_s * herd->refresh_permille, herd)};
	times->rescue_ms = widest_gap_ms(&herd->timers, silence, &last);
	if (times->rescue_ms < 2 * pause + silence + (silence - last))
		times->rescue_ms = 2 * pause + silence + (silence - last);
	if (herd->backoff_rfc5626)
		times->rescue_ms += BACKOFF_MAX_MS;
	if (times->period_ms == 0) {
		times->over_ms = times->refresh_ms + times->seek_ms;
		return;
	}
	times->over_ms = times->seek_ms + (misses - 1) * times->cycle_ms + times->period_ms;
	times->back_ms = widest_gap_ms(&herd->timers, times->cycle_ms, &last) +
			 (answers - 1) * times->period_ms + pause;
	/* Who registered at the other proxy a moment ago probes for the first time a period later. */
	times->soon_ms = answers * times->period_ms + pause;
	if (times->soon_ms < times->back_ms)
		times->soon_ms = times->back_ms;
	if (counts_503(herd->keepalive_code, herd->keepalive_codes))
		times->leave_ms = misses * times->period_ms + pause;
}

static uint64_t usual_hold_ms(const struct drill_request *request, const struct drill_fleet *fleet,
	const struct drill_times *times)
{
	const uint64_t over = times->over_ms;
	switch (request->kind) {
	case DRILL_RETURN:
		/* All have moved, and the last has probed the silent one for a whole cycle. */
		return drill_margin_ms(over + times->period_ms + times->cycle_ms);
	case DRILL_BOTH:
		return drill_margin_ms(over + 2 * times->seek_ms);
	case DRILL_DRAIN:
		if (!drill_is_used(fleet, (enum proxy)request->proxy))
			return drill_margin_ms(times->period_ms);
		return drill_margin_ms(times->leave_ms > 0 ? times->leave_ms : times->refresh_ms);
	case DRILL_BROWN_OUT:
		return drill_margin_ms(over + times->period_ms);
	case DRILL_BLIND_SPOT:
		return drill_margin_ms(times->refresh_ms + times->seek_ms);
	case DRILL_HALF_DEAD:
		/* Who sees it at the refresh has the time to go, come back and go again. */
		return drill_margin_ms(
			request->method == IMPAIRMENT_OPTIONS
				? over
				: times->refresh_ms + times->cycle_ms + 2 * times->seek_ms);
	default:
		return drill_margin_ms(over);
	}
}

static uint64_t usual_settle_ms(const struct drill_request *request,
	const struct drill_fleet *fleet, const struct drill_times *times)
{
	const enum proxy proxy = (enum proxy)request->proxy;
	const uint64_t retry_ms = fleet->herd->retry_ms,
		       asked_ms = request->retry_after_s * 1000ull;
	/* The one that returns last: of both, not the one that is named. */
	bool back = drill_fails_back(fleet, proxy), soon = false;
	switch (request->kind) {
	case DRILL_FLAP:
		return request->period_ms / 2;
	case DRILL_BOTH:
	case DRILL_ROLLING:
		back = drill_fails_back(fleet, drill_other(proxy));
		soon = request->kind == DRILL_ROLLING;
		break;
	case DRILL_CRASH:
		soon = true;
		break;
	case DRILL_HALF_DEAD:
		soon = request->method == IMPAIRMENT_OPTIONS;
		break;
	case DRILL_BLIND_SPOT:
		return drill_margin_ms(
			times->rescue_ms > times->back_ms ? times->rescue_ms : times->back_ms);
	case DRILL_DRAIN:
		if (times->leave_ms == 0)
			return drill_margin_ms(retry_ms > asked_ms ? retry_ms : asked_ms);
		break;
	case DRILL_POWER_CUT:
		if (proxy == PROXY_PRIMARY)
			return drill_margin_ms(request->spread_ms + times->seek_ms);
		back = drill_fails_back(fleet, PROXY_PRIMARY);
		break;
	default:
		break;
	}
	if (!back)
		return drill_margin_ms(times->period_ms);
	return drill_margin_ms(soon ? times->soon_ms : times->back_ms);
}

static bool is_given(const struct drill_request *request, enum drill_field field)
{
	return request->given & DRILL_BIT(field);
}

static void fill_brown_out(struct drill_request *request)
{
	const uint32_t all = DRILL_BIT(DRILL_LOSS) | DRILL_BIT(DRILL_DELAY) |
			     DRILL_BIT(DRILL_JITTER);
	if (request->kind != DRILL_BROWN_OUT || request->given & (all | DRILL_BIT(DRILL_HOOK)))
		return;
	request->loss_ppm = 200000;
	request->delay_us = 300000;
	request->jitter_us = 200000;
}

void drill_fill(struct drill_request *request, const struct drill_fleet *fleet,
	const struct drill_times *times)
{
	if (!is_given(request, DRILL_PROXY))
		request->proxy = PROXY_PRIMARY;
	if (!is_given(request, DRILL_SHARE))
		request->share_ppm = IMPAIRMENT_ALL_PPM;
	if (!is_given(request, DRILL_METHOD))
		request->method = IMPAIRMENT_REGISTER;
	if (!is_given(request, DRILL_RETRY_AFTER))
		request->retry_after_s = 30;
	if (!is_given(request, DRILL_SPREAD))
		request->spread_ms = 10000;
	if (!is_given(request, DRILL_TIMES))
		request->times = 3;
	if (!is_given(request, DRILL_PERIOD))
		request->period_ms = 2 * drill_margin_ms(times->over_ms);
	fill_brown_out(request);
	if (!is_given(request, DRILL_HOLD))
		request->hold_ms = usual_hold_ms(request, fleet, times);
	if (!is_given(request, DRILL_SETTLE))
		request->settle_ms = usual_settle_ms(request, fleet, times);
}
