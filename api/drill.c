/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drill.h"

#define HOOKS_OPEN_MAX (sizeof(((struct drill *)NULL)->hook) / DRILL_NAME_MAX)

static const struct impairment no_impairment;
static const struct registrar_faults no_faults;

void drill_begin(struct drill *drill, const struct drill_plan *plan,
	const struct drill_actuator *actuator, uint64_t now_us)
{
	*drill = (struct drill){
		.state = DRILL_RUNNING, .plan = *plan, .actuator = *actuator, .begin_us = now_us};
}

/* ---- what is to be restored ---- */

static void end_wave(struct drill *drill, uint32_t wave, uint64_t now_us)
{
	drill->waves_open &= ~(UINT64_C(1) << wave);
	drill->actuator.wave_end(drill->actuator.context, wave, now_us);
}

/* How a hook went wrong goes behind whatever else did. */
static void add_reason(struct drill *drill, const char *reason)
{
	const size_t used = strlen(drill->reason);
	snprintf(drill->reason + used, sizeof(drill->reason) - used, "%s%s", used == 0 ? "" : "; ",
		reason);
}

static int call_hook(struct drill *drill, const char *name, bool undo)
{
	char reason[DRILL_REASON_MAX];
	int error = -ENOENT;
	snprintf(reason, sizeof(reason), "there is no hook %s", name);
	if (drill->actuator.hook != NULL)
		error = drill->actuator.hook(drill->actuator.context, name, undo, reason);
	if (error != 0)
		add_reason(drill, reason);
	return error;
}

/* It is forgotten first: nothing is undone twice, not even where undoing fails. */
static int undo_hook(struct drill *drill, const char *name)
{
	char undone[DRILL_NAME_MAX];
	for (uint32_t i = 0; i < drill->hooks_open; i++) {
		if (strcmp(drill->hook[i], name) != 0)
			continue;
		memcpy(undone, drill->hook[i], sizeof(undone));
		drill->hooks_open--;
		memmove(drill->hook[i], drill->hook[i + 1],
			(drill->hooks_open - i) * sizeof(drill->hook[0]));
		return call_hook(drill, undone, true);
	}
	return 0;
}

static int run_hook(struct drill *drill, const char name[DRILL_NAME_MAX])
{
	if (drill->hooks_open == HOOKS_OPEN_MAX) {
		add_reason(drill, "too many hooks are in force");
		return -EBUSY;
	}
	const int error = call_hook(drill, name, false);
	if (error != 0)
		return error;
	memcpy(drill->hook[drill->hooks_open++], name, DRILL_NAME_MAX);
	/* Aborted meanwhile: everything else is restored already. */
	return drill->state == DRILL_RUNNING ? 0 : undo_hook(drill, name);
}

static void impair(struct drill *drill, enum proxy proxy, const struct impairment *impairment)
{
	drill->impaired[proxy] = impairment->share_ppm > 0;
	drill->actuator.impair(drill->actuator.context, proxy, impairment);
}

static void set_faults(
	struct drill *drill, enum proxy proxy, const struct registrar_faults *faults, bool restores)
{
	drill->faulty[proxy] = !restores;
	drill->actuator.faults(drill->actuator.context, proxy, faults);
}

static void restore(struct drill *drill)
{
	for (int p = 0; p < PROXIES; p++) {
		if (drill->impaired[p])
			impair(drill, (enum proxy)p, &no_impairment);
		if (drill->faulty[p])
			set_faults(drill, (enum proxy)p, &no_faults, true);
	}
	while (drill->hooks_open > 0)
		undo_hook(drill, drill->hook[0]);
}

/* Phones without power come back by themselves. */
static void end(struct drill *drill, enum drill_state state, uint64_t now_us)
{
	drill->state = state;
	drill->end_us = now_us;
	restore(drill);
	for (uint32_t i = 0; i < drill->plan.waves; i++) {
		if (drill->waves_open & UINT64_C(1) << i)
			end_wave(drill, i, now_us);
	}
}

/* ---- steps ---- */

static int act(struct drill *drill, const struct drill_step *step)
{
	const enum proxy proxy = (enum proxy)step->proxy;
	switch (step->act) {
	case DRILL_ACT_IMPAIR:
		impair(drill, proxy, &step->impairment);
		return 0;
	case DRILL_ACT_FAULTS:
		set_faults(drill, proxy, &step->faults, step->restores);
		return 0;
	case DRILL_ACT_COMMAND:
		drill->actuator.command(drill->actuator.context, &step->command);
		return 0;
	case DRILL_ACT_HOOK:
		return run_hook(drill, step->hook);
	case DRILL_ACT_UNDO:
		return undo_hook(drill, step->hook);
	default:
		return 0;
	}
}

static void begin_waves(struct drill *drill, uint32_t step, uint64_t now_us)
{
	for (uint32_t i = 0; i < drill->plan.waves; i++) {
		if (drill->plan.wave[i].step != step)
			continue;
		drill->waves_open |= UINT64_C(1) << i;
		drill->actuator.wave_begin(drill->actuator.context, i, now_us);
	}
}

static void carry_out(struct drill *drill, uint64_t now_us)
{
	const uint32_t step = drill->next_step++;
	begin_waves(drill, step, now_us);
	if (drill->state != DRILL_RUNNING)
		return;
	const int error = act(drill, &drill->plan.step[step]);
	/* What was done is told, also where it was the last thing before somebody aborted. */
	if (error == 0)
		drill->actuator.step(drill->actuator.context, step, now_us);
	else if (drill->state == DRILL_RUNNING)
		end(drill, DRILL_ABORTED, now_us);
}

/* The wave that ends first, or PLAN.waves: none is open. */
static uint32_t next_wave(const struct drill *drill, uint64_t *until_ms)
{
	uint32_t next = drill->plan.waves;
	*until_ms = UINT64_MAX;
	for (uint32_t i = 0; i < drill->plan.waves; i++) {
		if (!(drill->waves_open & UINT64_C(1) << i) ||
			drill->plan.wave[i].until_ms >= *until_ms)
			continue;
		*until_ms = drill->plan.wave[i].until_ms;
		next = i;
	}
	return next;
}

static uint64_t next_step_ms(const struct drill *drill)
{
	return drill->next_step < drill->plan.steps ? drill->plan.step[drill->next_step].at_ms
						    : UINT64_MAX;
}

void drill_advance(struct drill *drill, uint64_t now_us)
{
	while (drill->state == DRILL_RUNNING && now_us >= drill->begin_us) {
		const uint64_t elapsed_ms = (now_us - drill->begin_us) / 1000;
		uint64_t until_ms;
		const uint32_t wave = next_wave(drill, &until_ms);
		const uint64_t step_ms = next_step_ms(drill);
		if (until_ms == UINT64_MAX && step_ms == UINT64_MAX)
			end(drill, DRILL_DONE, now_us);
		else if (until_ms <= step_ms && until_ms <= elapsed_ms)
			end_wave(drill, wave, now_us);
		else if (step_ms < until_ms && step_ms <= elapsed_ms)
			carry_out(drill, now_us);
		else
			break;
	}
}

void drill_abort(struct drill *drill, const char *reason, uint64_t now_us)
{
	if (drill->state != DRILL_RUNNING)
		return;
	snprintf(drill->reason, sizeof(drill->reason), "%s", reason);
	end(drill, DRILL_ABORTED, now_us);
}

uint64_t drill_next_us(const struct drill *drill)
{
	uint64_t until_ms;
	if (drill->state != DRILL_RUNNING)
		return UINT64_MAX;
	next_wave(drill, &until_ms);
	const uint64_t step_ms = next_step_ms(drill);
	const uint64_t next_ms = until_ms < step_ms ? until_ms : step_ms;
	return next_ms == UINT64_MAX ? drill->begin_us : drill->begin_us + next_ms * 1000;
}
