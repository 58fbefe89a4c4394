/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `sipherd fleet`: what the store knows of a fleet, for people and, with --json, for programs (schema
 * sipherd.fleet/1). Only reads Redis; no generator needs to run.
 */
#ifndef SIPHERD_MONITOR_H
#define SIPHERD_MONITOR_H

#include "fleet.h"
#include "options.h"
#include "reader.h"

#define MONITOR_TIME_MAX 32

int run_monitor(const struct options *options);

/* Where an embedded store of this fleet tells its socket, one file per slot of the image. */
int monitor_pointer(const struct fleet *fleet, unsigned slot, char *out, size_t size);

/* Open the fleet's store for looking, wherever it is. An exit code, after a message. */
int monitor_open(const struct fleet *fleet, struct reader **out);

/* Words for parts of a record; whatever is in it, some word comes back. */
const char *monitor_proxy(unsigned value, const char *none);
const char *monitor_phase(unsigned phase);
/* "2026-11-21T14:20:00.123Z", UTC. */
const char *monitor_time(uint64_t unix_ms, char out[MONITOR_TIME_MAX]);

#endif
