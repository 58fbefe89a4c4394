/* SPDX-License-Identifier: BSD-3-Clause */
/* What each proxy is asked and how it answers: why a REGISTER is sent, and the steps of the series. */
#include <string.h>

#include "herd_internal.h"

enum reason { REASON_INITIAL, REASON_REFRESH, REASON_FAILOVER, REASON_FAILBACK };

/* Of a phone that is REGISTERING or REGISTERED. */
static enum reason reason_of(const struct phone *phone)
{
	if (phone->state == PHONE_REGISTERED)
		return REASON_REFRESH;
	if (!phone->known)
		return REASON_INITIAL;
	/* It lost its registration to a refusal and stays. */
	if (phone->outage_switch_ms == OUTAGE_NO_SWITCH)
		return REASON_REFRESH;
	return phone_active(phone) == PROXY_REDUNDANT ? REASON_FAILOVER : REASON_FAILBACK;
}

void herd_count_offered(struct herd *herd, const struct phone *phone)
{
	struct proxy_counters *asked = &herd->asked[phone_active(phone)];
	uint64_t *const offered[] = {[REASON_INITIAL] = &asked->offered_initial,
		[REASON_REFRESH] = &asked->offered_refresh,
		[REASON_FAILOVER] = &asked->offered_failover,
		[REASON_FAILBACK] = &asked->offered_failback};
	++*offered[reason_of(phone)];
}

void herd_count_accepted(struct herd *herd, const struct phone *phone, uint32_t rrd_us)
{
	struct proxy_counters *asked = &herd->asked[phone_active(phone)];
	uint64_t *const accepted[] = {[REASON_INITIAL] = &asked->accepted_initial,
		[REASON_REFRESH] = &asked->accepted_refresh,
		[REASON_FAILOVER] = &asked->accepted_failover,
		[REASON_FAILBACK] = &asked->accepted_failback};
	++*accepted[reason_of(phone)];
	asked->rrd_us += rrd_us;
}

static uint64_t *rejections(struct proxy_counters *asked, uint16_t status)
{
	switch (status) {
	case 408:
		return &asked->register_408;
	case 500:
		return &asked->register_500;
	case 503:
		return &asked->register_503;
	case 504:
		return &asked->register_504;
	default:
		break;
	}
	if (status < 400)
		return &asked->register_3xx;
	if (status < 500)
		return &asked->register_4xx;
	return status < 600 ? &asked->register_5xx : &asked->register_6xx;
}

void herd_count_rejected(struct herd *herd, enum proxy proxy, uint16_t status)
{
	++*rejections(&herd->asked[proxy], status);
}

void herd_end_steps(struct herd *herd, uint64_t now_us)
{
	struct series *series = &herd->series;
	const uint64_t steps = now_us / SERIES_STEP_US;
	uint64_t step = series->steps;
	if (steps - step > SERIES_STEPS)
		step = steps - SERIES_STEPS;
	for (; step < steps; step++)
		memcpy(series->at[step % SERIES_STEPS], herd->asked, sizeof(herd->asked));
	series->steps = steps;
	herd->step_end_us = (steps + 1) * SERIES_STEP_US;
}

const struct proxy_counters *herd_proxy_counters(const struct herd *herd)
{
	return herd->asked;
}

const struct series *herd_series(const struct herd *herd)
{
	return &herd->series;
}
