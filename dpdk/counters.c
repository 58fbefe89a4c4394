/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

const struct counter_description wire_counters_descriptions[] = {
	WIRE_COUNTERS(COUNTER_DESCRIPTION)};
