/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `sipherd bench failover|register|keepalive FLEET.yaml`: how much a proxy pair can carry. A search
 * (search.h) whose points are runs and drills of child processes, judged by goals (gate.h).
 */
#ifndef SIPHERD_BENCH_H
#define SIPHERD_BENCH_H

#include "options.h"

/* An exit code. */
int run_bench(const struct options *options);

#endif
