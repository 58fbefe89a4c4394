/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which proxies answer, told from the counters once a second. One answer in a second is life; so many
 * requests in a row that were met by silence, with no answer in the same seconds, is death. Pure.
 */
#ifndef SIPHERD_PULSE_H
#define SIPHERD_PULSE_H

#include "counters.h"
#include "phone.h"

#define PULSE_SILENT 3

struct pulse {
	struct pulse_proxy {
		uint64_t answered, silent; /* counters as of the last look */
		uint64_t quiet;            /* silent ones since the last second with an answer */
		uint64_t heard_ms; /* unix: the last second with an answer, or without a doubt */
		uint64_t dead_since_ms; /* unix; 0: it answers, or was not asked */
	} proxy[PROXIES];
};

/* Bit per proxy that died or came back to life. */
unsigned pulse_take(struct pulse *pulse, const struct herd_counters *counters, uint64_t unix_ms);

#endif
