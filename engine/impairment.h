/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An outage that sipherd makes itself: what happens to the datagrams between our phones and one proxy,
 * on our side of the link, so that nobody needs access to the proxy. A herd has one per proxy
 * (HERD_IMPAIR); all zero is none.
 *
 * Datagrams to the proxy that are lost count as sent, as they would in a network, and as `impaired_sent`
 * besides; those from it are lost or held back before the herd reads them (`impaired_received`,
 * `impaired_delayed`). What is held back when the impairment ends comes at its time; what finds no room
 * is lost (`impaired_overflow`).
 */
#ifndef SIPHERD_IMPAIRMENT_H
#define SIPHERD_IMPAIRMENT_H

#include <stdbool.h>
#include <stdint.h>

#define IMPAIRMENT_ALL_PPM 1000000u
#define IMPAIRMENT_DELAY_MAX_US 60000000u

/* Bits of `methods`. */
enum { IMPAIRMENT_REGISTER = 1 << 0, IMPAIRMENT_OPTIONS = 1 << 1 };

struct impairment {
	uint32_t share_ppm; /* of the phones, in millionths; 0: nobody, no impairment */
	uint32_t loss_ppm;  /* of datagrams, each way; IMPAIRMENT_ALL_PPM: silence */
	/* What comes from the proxy comes later by the first and uniformly 0..the second, microseconds;
	 * together no later than IMPAIRMENT_DELAY_MAX_US, and at the next whole millisecond. */
	uint32_t delay_us, jitter_us;
	/* Transactions of ours it applies to; 0: all, and the proxy's own requests and our answers. */
	uint8_t methods;
};

/* The same phones whenever the share is the same, evenly spread over the fleet; a larger share has all of a
 * smaller one. */
static inline bool impairment_concerns(const struct impairment *impairment, uint32_t phone)
{
	const uint64_t spread = phone * 2654435761u;
	return (uint32_t)(spread * IMPAIRMENT_ALL_PPM >> 32) < impairment->share_ppm;
}

#endif
