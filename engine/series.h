/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each proxy was asked and how it answered, in steps of 100 ms of the herd's clock: the counters as
 * they stood at the end of each of the newest steps. Step n lasts from n * SERIES_STEP_US to just before
 * the next; a worker that was late closes the steps it has missed with what it had counted until then.
 */
#ifndef SIPHERD_SERIES_H
#define SIPHERD_SERIES_H

#include "counters.h"
#include "phone.h"

#define SERIES_STEP_US 100000u
#define SERIES_STEPS 64 /* that are kept; a power of two */

/*
 * Why a REGISTER is sent. A transaction counts once, when its first datagram leaves; that it is sent again
 * with credentials or a longer expiry is not another one. Accepted is a 2xx with our Contact and an expiry.
 *
 *   initial   after power-on, and every later attempt until the phone is registered for the first time since
 *   refresh   by a registered phone
 *   failover  after a switch to the redundant proxy until the phone is registered
 *   failback  after a switch to the primary proxy until the phone is registered
 *
 * A final refusal is followed by a new attempt with the same word. A REGISTER with Expires 0 counts as
 * `unregister` and in nothing else of it.
 */
#define PROXY_COUNTERS(X)                                                                      \
	X(offered_initial, "REGISTER begun after power-on")                                    \
	X(offered_refresh, "REGISTER begun by a registered phone")                             \
	X(offered_failover, "REGISTER begun after a switch to the redundant proxy")            \
	X(offered_failback, "REGISTER begun after a switch to the primary proxy")              \
	X(accepted_initial, "initial registrations accepted")                                  \
	X(accepted_refresh, "refreshes accepted")                                              \
	X(accepted_failover, "registrations accepted after a switch to the redundant proxy")   \
	X(accepted_failback, "registrations accepted after a switch to the primary proxy")     \
	X(challenged, "REGISTER answered 401 or 407")                                          \
	X(register_datagrams, "REGISTER datagrams sent, with credentials and retransmissions") \
	X(register_retransmitted, "of these, sent again by timer E")                           \
	X(register_timeout, "REGISTER never answered (IRA)")                                   \
	X(register_3xx, "REGISTER answered 3xx")                                               \
	X(register_4xx, "REGISTER answered 4xx but 401, 407, 408, 423")                        \
	X(register_408, "REGISTER answered 408 (IRA)")                                         \
	X(register_500, "REGISTER answered 500 (IRA)")                                         \
	X(register_503, "REGISTER answered 503 (IRA)")                                         \
	X(register_504, "REGISTER answered 504 (IRA)")                                         \
	X(register_5xx, "REGISTER answered another 5xx")                                       \
	X(register_6xx, "REGISTER answered 6xx")                                               \
	X(rrd_us, "registration delays (RFC 6076 RRD) of those accepted, together")            \
	X(unregister, "REGISTER with Expires 0 begun")                                         \
	X(options, "keep-alives begun")                                                        \
	X(options_datagrams, "OPTIONS datagrams sent, with retransmissions")                   \
	X(options_retransmitted, "of these, sent again by timer E")                            \
	X(options_answered, "keep-alives answered")                                            \
	X(options_timeout, "keep-alives never answered, or by a code that counts as silence")  \
	X(late, "answers to no pending transaction, or of an old epoch")

COUNTERS_DECLARE(proxy_counters, PROXY_COUNTERS);

struct series {
	uint64_t steps; /* complete ones since the herd's time 0 */
	/* Since the herd's creation until the end of step n at n % SERIES_STEPS, for the newest ones. */
	struct proxy_counters at[SERIES_STEPS][PROXIES];
};

/* Make *copy, a copy of an earlier moment or all zero, one of now: only what is new. */
void series_copy(struct series *copy, const struct series *now);

/* Append to *into, all zero at first, the sums of the steps that all n have closed since. Of one that has
 * gone so far ahead that it keeps such a step no longer, the oldest one counts that it keeps. */
void series_merge(struct series *into, const struct series *const from[], unsigned n);

/* The oldest step that is kept. */
static inline uint64_t series_oldest(const struct series *series)
{
	return series->steps < SERIES_STEPS ? 0 : series->steps - SERIES_STEPS;
}

#endif
