/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Non-INVITE client transaction of RFC 3261 section 17.1.2 over UDP: timers E and F as arithmetic.
 *
 * Timer E starts at T1, which may be more than T2, and doubles up to T2; after a provisional answer
 * it is T2. Timer F is the
 * phone's no-response time (64 x T1 unless told otherwise). At T1 500 ms and T2 4 s that is eleven
 * datagrams in 32 s. The state itself lives in the phone's record.
 */
#ifndef SIPHERD_TRANSACTION_H
#define SIPHERD_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

struct transaction_timers {
	uint32_t t1_ms, t2_ms, t4_ms;
	uint32_t no_response_ms; /* timer F */
};

/* Time from the n-th datagram of a transaction (n >= 1) to the next, in ms. */
static inline uint32_t transaction_interval_ms(
	const struct transaction_timers *timers, uint32_t n, bool provisional)
{
	if (provisional || n > 20)
		return timers->t2_ms;
	if (n == 1)
		return timers->t1_ms;
	uint64_t interval = (uint64_t)timers->t1_ms << (n - 1);
	return interval < timers->t2_ms ? (uint32_t)interval : timers->t2_ms;
}

#endif
