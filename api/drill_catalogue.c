/* SPDX-License-Identifier: BSD-3-Clause */
/* The drills there are, and what each may be told. */
#include "drill_plan.h"

#define BIT(field) (1u << (field))
#define EVERY_DRILL BIT(DRILL_SETTLE)
#define OUTAGE \
	(EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_HOLD) | BIT(DRILL_SHARE) | BIT(DRILL_HOOK))

const struct drill_description drill_catalogue[DRILL_KINDS] = {
	[DRILL_CRASH] = {"crash",
		"How fast and how evenly does the herd move when a proxy falls silent, and does "
		"the survivor hold?",
		OUTAGE},
	[DRILL_RETURN] = {"return",
		"How hard does the fail-back wave hit a proxy that returns after a long outage, "
		"the "
		"worst moment of its life?",
		OUTAGE},
	[DRILL_BOTH] = {"both",
		"Both proxies are dead and one returns: does it survive the avalanche from cold?",
		EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_HOLD) | BIT(DRILL_SHARE)},
	[DRILL_DRAIN] = {"drain",
		"Maintenance by 503 and Retry-After: who leaves, who is refused, who comes back "
		"when?",
		EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_HOLD) | BIT(DRILL_RETRY_AFTER) |
			BIT(DRILL_HOOK)},
	[DRILL_FLAP] = {"flap", "A proxy goes and comes, time and again: do phones oscillate?",
		EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_SHARE) | BIT(DRILL_PERIOD) |
			BIT(DRILL_TIMES) | BIT(DRILL_HOOK)},
	[DRILL_BROWN_OUT] = {"brown-out",
		"A proxy that loses, delays and answers slowly: who leaves it, who stays and "
		"suffers?",
		OUTAGE | BIT(DRILL_LOSS) | BIT(DRILL_DELAY) | BIT(DRILL_JITTER)},
	[DRILL_BLIND_SPOT] = {"blind-spot",
		"The redundant proxy dies while asymmetric phones sit on it, which they see only "
		"at "
		"their refresh: how long are they deaf?",
		EVERY_DRILL | BIT(DRILL_HOLD) | BIT(DRILL_SHARE)},
	[DRILL_POWER_CUT] = {"power-cut",
		"The power of many phones fails and returns: does the proxy they tried last "
		"survive "
		"the storm?",
		EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_SHARE) | BIT(DRILL_SPREAD)},
	[DRILL_HALF_DEAD] = {"half-dead",
		"One method is answered and the other is not: do phones flap on contradictory "
		"evidence?",
		OUTAGE | BIT(DRILL_METHOD)},
	[DRILL_ROLLING] = {"rolling",
		"An upgrade rehearsed: drain, kill and restore one proxy, then the other: what do "
		"phones "
		"feel of it?",
		EVERY_DRILL | BIT(DRILL_PROXY) | BIT(DRILL_HOLD) | BIT(DRILL_RETRY_AFTER)},
};

const char *const drill_field_names[DRILL_FIELDS] = {
	[DRILL_PROXY] = "proxy",
	[DRILL_SHARE] = "share",
	[DRILL_HOLD] = "hold",
	[DRILL_SETTLE] = "settle",
	[DRILL_PERIOD] = "period",
	[DRILL_TIMES] = "times",
	[DRILL_LOSS] = "loss",
	[DRILL_DELAY] = "delay",
	[DRILL_JITTER] = "jitter",
	[DRILL_RETRY_AFTER] = "retry_after",
	[DRILL_SPREAD] = "spread",
	[DRILL_METHOD] = "method",
	[DRILL_HOOK] = "hook",
};
