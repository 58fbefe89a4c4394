/* SPDX-License-Identifier: BSD-3-Clause */
/* Outages that we make ourselves: which datagrams are lost between a phone and an impaired proxy. */
#include "herd_internal.h"
#include "scan.h"

void herd_impair(struct herd *herd, enum proxy proxy, const struct impairment *impairment)
{
	const unsigned bit = 1u << proxy;
	herd->impairment[proxy] = *impairment;
	herd->impaired = (uint8_t)(impairment->share_ppm > 0 ? herd->impaired | bit
							     : herd->impaired & ~bit);
}

int herd_open_held(struct herd *herd)
{
	uint64_t bytes = (uint64_t)herd->phones * HERD_HELD_BYTES;
	if (bytes < HERD_HELD_BYTES_MIN)
		bytes = HERD_HELD_BYTES_MIN;
	if (bytes > HERD_HELD_BYTES_MAX)
		bytes = HERD_HELD_BYTES_MAX;
	return jitter_line_open(&herd->held, bytes);
}

/* Datagrams of one phone to or from one proxy at one moment differ in their length, mostly; those that
 * do not share their fate. */
static uint32_t draw_up_to(
	const struct herd *herd, const struct waiting *datagram, enum draw purpose, uint32_t range)
{
	const uint16_t which = (uint16_t)(datagram->length << 1 | datagram->proxy);
	return herd_uniform(herd_draw(herd->config.seed, datagram->phone, which, purpose,
				    (uint32_t)herd->now_us),
		range);
}

static bool is_lost(const struct herd *herd, const struct waiting *datagram, enum draw purpose)
{
	const uint32_t loss_ppm = herd->impairment[datagram->proxy].loss_ppm;
	return loss_ppm > 0 &&
	       draw_up_to(herd, datagram, purpose, IMPAIRMENT_ALL_PPM - 1) < loss_ppm;
}

bool herd_loses_sent(
	struct herd *herd, uint32_t phone, enum proxy proxy, uint16_t length, uint8_t method)
{
	const struct impairment *impairment = &herd->impairment[proxy];
	const struct waiting datagram = {.phone = phone, .proxy = proxy, .length = length};
	if ((impairment->methods != 0 && (impairment->methods & method) == 0) ||
		!impairment_concerns(impairment, phone) ||
		!is_lost(herd, &datagram, DRAW_LOSS_SENT))
		return false;
	herd->counters.impaired_sent++;
	return true;
}

/* An answer to a request of ours of one of these methods? */
static bool answers_method(uint8_t methods, const void *datagram, size_t length)
{
	struct sip_message message;
	if (scan_message(datagram, length, &message) != SCAN_OK || message.status == 0)
		return false;
	return (message.method == SIP_REGISTER && (methods & IMPAIRMENT_REGISTER) != 0) ||
	       (message.method == SIP_OPTIONS && (methods & IMPAIRMENT_OPTIONS) != 0);
}

static void hold(
	struct herd *herd, const struct waiting *datagram, const struct impairment *impairment)
{
	uint64_t wait_us = (uint64_t)impairment->delay_us +
			   draw_up_to(herd, datagram, DRAW_DELAY, impairment->jitter_us);
	if (wait_us > IMPAIRMENT_DELAY_MAX_US)
		wait_us = IMPAIRMENT_DELAY_MAX_US;
	const uint64_t due_ms = (herd->now_us + wait_us + 999) / 1000;
	if (jitter_line_put(&herd->held, datagram, herd->now_us / 1000, due_ms))
		herd->counters.impaired_delayed++;
	else
		herd->counters.impaired_overflow++;
}

bool herd_impair_received(
	struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram, size_t length)
{
	const struct impairment *impairment = &herd->impairment[proxy];
	const struct waiting waiting = {phone, proxy, datagram, (uint16_t)length};
	if (!impairment_concerns(impairment, phone) || length > UINT16_MAX ||
		(impairment->methods != 0 &&
			!answers_method(impairment->methods, datagram, length)))
		return false;
	if (is_lost(herd, &waiting, DRAW_LOSS_RECEIVED)) {
		herd->counters.impaired_received++;
		return true;
	}
	if (impairment->delay_us == 0 && impairment->jitter_us == 0)
		return false;
	hold(herd, &waiting, impairment);
	return true;
}

uint32_t herd_advance_held(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	for (; done < budget && herd->held.next_ms <= herd->now_us / 1000; done++) {
		struct waiting held;
		jitter_line_take(&herd->held, &held);
		if (!herd_may_take(herd, held.phone)) {
			herd->counters.muted++;
			continue;
		}
		if (herd->output.held != NULL)
			herd->output.held(herd->output.context, held.phone, held.proxy,
				held.datagram, held.length);
		herd_read(herd, held.phone, held.proxy, held.datagram, held.length);
	}
	return done;
}
