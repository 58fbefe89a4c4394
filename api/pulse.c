/* SPDX-License-Identifier: BSD-3-Clause */
#include "pulse.h"

static bool changes(struct pulse_proxy *proxy, uint64_t answered, uint64_t silent, uint64_t unix_ms)
{
	const bool was_dead = proxy->dead_since_ms != 0, heard = answered != proxy->answered;
	proxy->quiet = heard ? 0 : proxy->quiet + (silent - proxy->silent);
	proxy->answered = answered;
	proxy->silent = silent;
	if (proxy->quiet == 0 || proxy->heard_ms == 0)
		proxy->heard_ms = unix_ms;
	if (heard)
		proxy->dead_since_ms = 0;
	else if (!was_dead && proxy->quiet >= PULSE_SILENT)
		proxy->dead_since_ms = proxy->heard_ms;
	return was_dead != (proxy->dead_since_ms != 0);
}

unsigned pulse_take(struct pulse *pulse, const struct herd_counters *counters, uint64_t unix_ms)
{
	const bool primary = changes(&pulse->proxy[PROXY_PRIMARY], counters->answered_primary,
		counters->silent_primary, unix_ms);
	const bool redundant = changes(&pulse->proxy[PROXY_REDUNDANT], counters->answered_redundant,
		counters->silent_redundant, unix_ms);
	return (primary ? 1u << PROXY_PRIMARY : 0) | (redundant ? 1u << PROXY_REDUNDANT : 0);
}
