/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the drills share.
 *
 *   drills_order.c  what is asked for, and the plan that follows
 *   drills.c        the drill that runs
 *   drills_kept.c   how those before it ended
 */
#ifndef SIPHERD_DRILLS_INTERNAL_H
#define SIPHERD_DRILLS_INTERNAL_H

#include "drills.h"
#include "hook.h"

struct drills {
	struct picture picture;
	struct drills_events events;
	struct hooks *hooks;      /* NULL: the fleet file has none */
	struct drill_fleet fleet; /* as it was when the drill began */
	const char *hook_name[HOOKS_MAX + 1];
	struct drill_plan plan;
	struct drill drill;
	bool busy;   /* a drill runs, or what its hooks did is being undone */
	bool over;   /* its waves have been measured */
	uint32_t id; /* of the newest */
	uint64_t begin_us, end_us, begin_unix_ms;
	uint64_t overflow;         /* datagrams held back without room, when it began */
	struct wire_snapshot look; /* of a moment between two ticks */
	const struct wire_snapshot *now;
	struct waves *waves;
	json_t *steps; /* as they happened */
	struct drills_result
		kept[DRILLS_KEPT]; /* of drill n at n % DRILLS_KEPT; texts are in its json */
	struct drills_totals totals;
};

/* drills_kept.c: the drill that is over becomes a result. */
void drills_keep(struct drills *drills);
void drills_free_kept(struct drills *drills);
/* The n-th hook of the fleet file; NULL: the newest drill has not run it. */
const struct hook_status *drills_hook(const struct drills *drills, uint32_t n);

/* drills_order.c. Returns status. */
int drills_refuse(int status, char reason[DRILL_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* hook_name is filled for *out, which points to it, as it does into config. */
void drills_describe(struct drill_fleet *out, const char *hook_name[HOOKS_MAX + 1],
	const struct fleet *fleet, const struct wire_config *config, uint32_t phones);

#endif
