/* SPDX-License-Identifier: BSD-3-Clause */
/* How long outages take, part by part: noted in the phone's record while it has no keep-alives, and
 * told when it is registered again. What is told is described at struct herd_histograms. */
#include "herd_internal.h"

void herd_outage_proof(const struct herd *herd, struct phone *phone)
{
	/* An Expires 0 in flight needs the place. */
	if (phone->flags & PHONE_UNREGISTER_PENDING)
		return;
	phone->proof_ms = herd->now_ms;
	phone->flags |= PHONE_PROVEN;
}

void herd_outage_begin(struct phone *phone)
{
	phone->outage_proof_ms = phone->proof_ms;
	phone->outage_switch_ms = OUTAGE_NO_SWITCH;
}

void herd_outage_switch(const struct herd *herd, struct phone *phone, uint32_t pause_ms)
{
	if (phone->outage_switch_ms == OUTAGE_NO_SWITCH)
		phone->outage_detect_ms = herd->now_ms - phone->outage_proof_ms;
	phone->outage_switch_ms = pause_ms;
	phone->outage_over_ms = herd->now_ms + pause_ms;
}

static void tell(struct herd *herd, const struct phone *phone)
{
	struct histogram *duration_ms = herd->histograms.duration_ms[phone_active(phone)];
	if (phone->outage_switch_ms == OUTAGE_NO_SWITCH)
		return;
	histogram_record(&duration_ms[FAILOVER_SWITCH], phone->outage_switch_ms);
	histogram_record(&duration_ms[FAILOVER_REGISTER], herd->now_ms - phone->outage_over_ms);
	if (!(phone->flags & PHONE_PROVEN))
		return;
	histogram_record(&duration_ms[FAILOVER_DETECT], phone->outage_detect_ms);
	histogram_record(
		&duration_ms[FAILOVER_SINCE_ANSWER], herd->now_ms - phone->outage_proof_ms);
}

void herd_outage_end(struct herd *herd, struct phone *phone, enum phone_state before)
{
	if (before != PHONE_REGISTERED) {
		tell(herd, phone);
		phone->flags &= (uint16_t)~PHONE_PROVEN;
	}
	herd_outage_proof(herd, phone);
}
