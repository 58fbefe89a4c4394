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

/* Datagrams of one phone to or from one proxy at one moment differ in their length, mostly; those that
 * do not are lost together. */
static bool is_lost(
	const struct herd *herd, uint32_t phone, enum proxy proxy, size_t length, enum draw purpose)
{
	const uint32_t loss_ppm = herd->impairment[proxy].loss_ppm;
	if (loss_ppm == 0)
		return false;
	const uint64_t draw = herd_draw(herd->config.seed, phone, (uint16_t)(length << 1 | proxy),
		purpose, (uint32_t)herd->now_us);
	return herd_uniform(draw, IMPAIRMENT_ALL_PPM - 1) < loss_ppm;
}

bool herd_loses_sent(
	struct herd *herd, uint32_t phone, enum proxy proxy, uint16_t length, uint8_t method)
{
	const struct impairment *impairment = &herd->impairment[proxy];
	if ((impairment->methods != 0 && (impairment->methods & method) == 0) ||
		!impairment_concerns(impairment, phone) ||
		!is_lost(herd, phone, proxy, length, DRAW_LOSS_SENT))
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

bool herd_impair_received(
	struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram, size_t length)
{
	const struct impairment *impairment = &herd->impairment[proxy];
	if (!impairment_concerns(impairment, phone) ||
		(impairment->methods != 0 &&
			!answers_method(impairment->methods, datagram, length)))
		return false;
	if (!is_lost(herd, phone, proxy, length, DRAW_LOSS_RECEIVED))
		return false;
	herd->counters.impaired_received++;
	return true;
}
