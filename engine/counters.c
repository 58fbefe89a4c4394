/* SPDX-License-Identifier: BSD-3-Clause */
#include "counters.h"
#include "series.h"

const struct counter_description herd_counters_descriptions[] = {
	HERD_COUNTERS(COUNTER_DESCRIPTION)};
const struct counter_description registrar_counters_descriptions[] = {
	REGISTRAR_COUNTERS(COUNTER_DESCRIPTION)};
const struct counter_description proxy_counters_descriptions[] = {
	PROXY_COUNTERS(COUNTER_DESCRIPTION)};
