/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the wire tells DPDK's telemetry, where EAL has it on: /sipherd/phones, counters, workers and
 * latency, for dpdk-telemetry.py and whatever else speaks to DPDK applications.
 *
 * DPDK answers in a thread of its own, which outlives the wire. It reads a copy of the last snapshot,
 * under a lock that no worker knows.
 */
#ifndef SIPHERD_TELEMETRY_H
#define SIPHERD_TELEMETRY_H

#include "wire.h"

/* Control thread, once EAL runs with telemetry. 0 or -errno. */
int telemetry_open(void);
/* Control thread: this is how things stand. Nothing unless open. */
void telemetry_publish(const struct wire_snapshot *snapshot);
/* Nothing is known any more. */
void telemetry_close(void);

#endif
