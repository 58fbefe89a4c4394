/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `sipherd export`: every phone of a fleet with the proxy that the store says it is at, as CSV or as
 * SIPp's injection format. Who the phones are comes from the fleet file, where they are from Redis.
 */
#ifndef SIPHERD_EXPORT_H
#define SIPHERD_EXPORT_H

#include "options.h"

int run_export(const struct options *options);

#endif
