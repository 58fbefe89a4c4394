/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan being carried out: which step is next, what has to be restored, how it ended. One at a time.
 * Pure: time is passed in, everything is done by an actuator, which is the wire's in a run and the
 * simulator's in tests. Control thread only.
 *
 * Whatever was begun is restored: at its step, at the end, and on abort at once.
 */
#ifndef SIPHERD_DRILL_H
#define SIPHERD_DRILL_H

#include "drill_plan.h"

enum drill_state { DRILL_IDLE, DRILL_RUNNING, DRILL_DONE, DRILL_ABORTED };

struct drill_actuator {
	void *context;
	void (*impair)(void *context, enum proxy proxy, const struct impairment *impairment);
	void (*faults)(void *context, enum proxy proxy, const struct registrar_faults *faults);
	void (*command)(void *context, const struct herd_command *command);
	/* Begin a hook or its undo. 0 or -errno with a reason: the drill is aborted. NULL: there are none. */
	int (*hook)(void *context, const char *name, bool undo, char reason[DRILL_REASON_MAX]);
	/* A wave begins now: the phones' records are as they were before its step. */
	void (*wave_begin)(void *context, uint32_t wave, uint64_t now_us);
	void (*wave_end)(void *context, uint32_t wave, uint64_t now_us);
	/* A step has been carried out: for charts and for people. */
	void (*step)(void *context, uint32_t step, uint64_t now_us);
};

struct drill {
	enum drill_state state;
	struct drill_plan plan;
	struct drill_actuator actuator;
	uint64_t begin_us, end_us; /* on the herd's clock; end_us once it is over */
	uint32_t next_step;
	uint64_t waves_open; /* bit per wave */
	bool impaired[PROXIES], faulty[PROXIES];
	uint32_t hooks_open; /* hooks that have not been undone */
	char hook[8][DRILL_NAME_MAX];
	char reason[DRILL_REASON_MAX]; /* why it was aborted */
};

void drill_begin(struct drill *drill, const struct drill_plan *plan,
	const struct drill_actuator *actuator, uint64_t now_us);
/* Carry out what is due. */
void drill_advance(struct drill *drill, uint64_t now_us);
/* Restore everything at once; nothing when it is not running. */
void drill_abort(struct drill *drill, const char *reason, uint64_t now_us);
/* When there is something to do next; UINT64_MAX: not running. */
uint64_t drill_next_us(const struct drill *drill);

#endif
