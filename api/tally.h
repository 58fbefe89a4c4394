/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened, second by second: rates and round-trip times between two snapshots of the wire, and
 * the time line of a run. The newest 24 hours are kept. Control thread only.
 */
#ifndef SIPHERD_TALLY_H
#define SIPHERD_TALLY_H

#include "wire.h"

#define TALLY_SECONDS_MAX 86400u

/* One second of the run. Counts are of that second, phones are at its end. */
struct tally_second {
	float at_s;
	uint32_t registered[PROXIES], elsewhere; /* elsewhere: neither registered nor off */
	uint32_t register_sent, options_sent, retransmitted;
	uint32_t answered, silent, failovers, failbacks, not_sent;
	uint32_t answered_by[PROXIES], silent_by[PROXIES]; /* REGISTER and OPTIONS that ended */
	uint32_t rtt_p50_us, rtt_p99_us;
	uint32_t bound[PROXIES], requests[PROXIES]; /* of the built-in registrars */
};

struct tally {
	struct wire_snapshot last; /* the one the next second is measured from */
	struct tally_second *second;
	uint32_t count, room;
	uint64_t passed; /* seconds in all; more than count when old ones were dropped */
};

/* Totals that several readers need. */
uint64_t tally_switches(const struct herd_counters *counters, enum proxy to);
uint64_t tally_retransmitted(const struct herd_counters *counters);
uint64_t tally_sent(const struct herd_counters *counters); /* datagrams handed to the wire */
uint64_t tally_not_sent(const struct wire_snapshot *snapshot);
/* Datagrams the schedule asked for: what the herd sent and what it could not. */
uint64_t tally_planned(const struct wire_snapshot *snapshot);
uint64_t tally_answered(const struct herd_counters *counters);
uint64_t tally_silent(const struct herd_counters *counters);
/* Transactions answered, but not as wished. */
uint64_t tally_bad_answers(const struct herd_counters *counters);
uint32_t tally_phones(const struct herd_population *population, enum phone_state state);

/* Measure one second; false: out of memory (the run goes on, the line ends). start_us: of the ramp. */
bool tally_add(struct tally *tally, const struct wire_snapshot *now, uint64_t start_us);
const struct tally_second *tally_latest(const struct tally *tally);
void tally_free(struct tally *tally);

#endif
