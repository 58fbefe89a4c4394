/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans carried out, aborted, late; by an actuator that keeps what is in force. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "drill.h"

/* The world that a drill acts on. */
struct world {
	bool impaired[PROXIES], faulty[PROXIES];
	char hook[DRILL_NAME_MAX]; /* in force */
	unsigned hooks_run, hooks_undone, commands, restored;
	uint64_t waves_begun, waves_ended;
	uint32_t steps;  /* carried out */
	bool hooks_fail; /* run, undo or both */
	bool undos_fail;
	uint32_t abort_at; /* when it is told of this step, somebody aborts; UINT32_MAX: nobody */
	char log[8192];
	uint64_t last_us;
};

static struct world world;
static struct drill drill;
static struct drill_plan plan;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	const size_t used = strlen(world.log);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(world.log + used, sizeof(world.log) - used, format, arguments);
	va_end(arguments);
}

static void take_impair(void *context, enum proxy proxy, const struct impairment *impairment)
{
	struct world *w = context;
	const bool on = impairment->share_ppm > 0;
	/* Neither twice nor for nothing. */
	assert_int_equal(w->impaired[proxy], !on);
	w->impaired[proxy] = on;
	w->restored += !on;
	note("%c%s ", "pr"[proxy], on ? "-" : "+");
}

static void take_faults(void *context, enum proxy proxy, const struct registrar_faults *faults)
{
	struct world *w = context;
	assert_int_equal(w->faulty[proxy], !faults->draining);
	w->faulty[proxy] = faults->draining;
	w->restored += !faults->draining;
	note("%c%s ", "PR"[proxy], faults -> draining ? "-" : "+");
}

static void take_command(void *context, const struct herd_command *command)
{
	assert_int_equal(command->kind, HERD_POWER_CUT);
	((struct world *)context)->commands++;
	note("cut ");
}

static int take_hook(void *context, const char *name, bool undo, char reason[DRILL_REASON_MAX])
{
	struct world *w = context;
	if (undo) {
		assert_string_equal(w->hook, name);
		w->hook[0] = '\0';
		w->hooks_undone++;
	}
	if (undo ? w->undos_fail : w->hooks_fail) {
		snprintf(reason, DRILL_REASON_MAX, "no luck");
		return -EIO;
	}
	if (!undo) {
		assert_string_equal(w->hook, "");
		strcpy(w->hook, name);
		w->hooks_run++;
	}
	note("%s%s ", undo ? "undo:" : "run:", name);
	return 0;
}

static void take_wave_begin(void *context, uint32_t wave, uint64_t now_us)
{
	struct world *w = context;
	assert_false(w->waves_begun & UINT64_C(1) << wave);
	w->waves_begun |= UINT64_C(1) << wave;
	w->last_us = now_us;
	note("[%u ", wave);
}

static void take_wave_end(void *context, uint32_t wave, uint64_t now_us)
{
	struct world *w = context;
	assert_true(w->waves_begun & UINT64_C(1) << wave);
	assert_false(w->waves_ended & UINT64_C(1) << wave);
	w->waves_ended |= UINT64_C(1) << wave;
	assert_true(now_us >= w->last_us);
	note("%u] ", wave);
}

static void take_step(void *context, uint32_t step, uint64_t now_us)
{
	struct world *w = context;
	assert_int_equal(step, w->steps);
	assert_true(now_us >= drill.begin_us + plan.step[step].at_ms * 1000);
	w->steps++;
	if (step == w->abort_at)
		drill_abort(&drill, "told so", now_us);
}

static const struct drill_actuator actuator = {.context = &world,
	.impair = take_impair,
	.faults = take_faults,
	.command = take_command,
	.hook = take_hook,
	.wave_begin = take_wave_begin,
	.wave_end = take_wave_end,
	.step = take_step};

static const char *const hooks[] = {"stop", NULL};
static struct herd_config herd;
static struct drill_fleet fleet;

static int usual(void **state)
{
	(void)state;
	herd = (struct herd_config){.fleet_phones = 1000,
		.redundancy = {true, MODE_ASYMMETRIC, 1, 1},
		.timers = {100, 4000, 5000, 1000},
		.keepalive_period_ms = 2000,
		.expires_s = 60,
		.retry_ms = 1000,
		.refresh_permille = 500};
	fleet = (struct drill_fleet){.herd = &herd,
		.phones = 1000,
		.redundancy = true,
		.registrars = true,
		.hook = hooks};
	world = (struct world){.abort_at = UINT32_MAX};
	return 0;
}

static void prepare(const char *const *words)
{
	struct drill_request request = {0};
	char reason[DRILL_REASON_MAX];
	for (; words[0] != NULL; words += 2) {
		if (drill_request_set(&request, words[0], words[1], reason) != 0)
			fail_msg("%s", reason);
	}
	if (drill_plan_make(&plan, NULL, &request, 1, &fleet, reason) != 0)
		fail_msg("%s", reason);
}

static void assert_restored(void)
{
	for (int p = 0; p < PROXIES; p++)
		assert_false(world.impaired[p] || world.faulty[p]);
	assert_string_equal(world.hook, "");
	assert_int_equal(world.waves_begun, world.waves_ended);
	assert_int_equal(drill_next_us(&drill), UINT64_MAX);
}

static void begin_crash(uint64_t at_us)
{
	static const char *const words[] = {"do", "crash", "hold", "10s", "settle", "5s", NULL};
	prepare(words);
	drill_begin(&drill, &plan, &actuator, at_us);
}

static void waves_begin_before_their_step_and_end_before_the_next(void **state)
{
	(void)state;
	begin_crash(7000000);
	assert_int_equal(drill.state, DRILL_RUNNING);
	assert_int_equal(drill_next_us(&drill), 7000000);
	drill_advance(&drill, 7000000);
	assert_string_equal(world.log, "[0 p- ");
	assert_int_equal(drill_next_us(&drill), 17000000);
	drill_advance(&drill, 16999999);
	assert_string_equal(world.log, "[0 p- ");
	drill_advance(&drill, 17000000);
	assert_string_equal(world.log, "[0 p- 0] [1 p+ ");
	drill_advance(&drill, 22000000);
	assert_string_equal(world.log, "[0 p- 0] [1 p+ 1] ");
	assert_int_equal(drill.state, DRILL_DONE);
	assert_int_equal(drill.end_us, 22000000);
	assert_int_equal(world.steps, 3);
	assert_restored();
}

static void a_late_tick_makes_up_for_everything_in_order(void **state)
{
	(void)state;
	begin_crash(0);
	drill_advance(&drill, 3600000000ull);
	assert_string_equal(world.log, "[0 p- 0] [1 p+ 1] ");
	assert_int_equal(drill.state, DRILL_DONE);
	assert_restored();
	/* It is over: nothing more happens. */
	drill_advance(&drill, 3600000001ull);
	drill_abort(&drill, "too late", 3600000001ull);
	assert_int_equal(drill.state, DRILL_DONE);
	assert_string_equal(drill.reason, "");
	assert_string_equal(world.log, "[0 p- 0] [1 p+ 1] ");
}

static void a_clock_behind_the_beginning_does_nothing(void **state)
{
	(void)state;
	begin_crash(5000000);
	drill_advance(&drill, 4000000);
	assert_string_equal(world.log, "");
}

static void abort_restores_before_waves_end(void **state)
{
	(void)state;
	begin_crash(0);
	drill_advance(&drill, 0);
	drill_abort(&drill, "Ctrl-C", 1000000);
	assert_string_equal(world.log, "[0 p- p+ 0] ");
	assert_int_equal(drill.state, DRILL_ABORTED);
	assert_string_equal(drill.reason, "Ctrl-C");
	assert_int_equal(drill.end_us, 1000000);
	assert_restored();
	drill_advance(&drill, 60000000);
	assert_string_equal(world.log, "[0 p- p+ 0] ");
}

static void begin_hook(void)
{
	static const char *const words[] = {
		"do", "crash", "hook", "stop", "hold", "10s", "settle", "5s", NULL};
	prepare(words);
	drill_begin(&drill, &plan, &actuator, 0);
	drill_advance(&drill, 0);
}

static void a_hook_makes_the_outage(void **state)
{
	(void)state;
	begin_hook();
	drill_advance(&drill, 15000000);
	assert_string_equal(world.log, "[0 run:stop 0] [1 undo:stop 1] ");
	assert_int_equal(drill.state, DRILL_DONE);
	assert_restored();
}

static void a_hook_that_fails_aborts(void **state)
{
	(void)state;
	world.hooks_fail = true;
	begin_hook();
	assert_int_equal(drill.state, DRILL_ABORTED);
	assert_string_equal(drill.reason, "no luck");
	assert_string_equal(world.log, "[0 0] ");
	assert_int_equal(world.hooks_undone, 0);
	assert_int_equal(world.steps, 0);
	assert_restored();
}

static void an_undo_that_fails_is_not_tried_again(void **state)
{
	(void)state;
	world.undos_fail = true;
	begin_hook();
	drill_advance(&drill, 12000000);
	assert_int_equal(drill.state, DRILL_ABORTED);
	assert_string_equal(drill.reason, "no luck");
	assert_int_equal(world.hooks_undone, 1);
	world = (struct world){.abort_at = UINT32_MAX, .undos_fail = true};
	begin_hook();
	drill_abort(&drill, "Ctrl-C", 1);
	assert_string_equal(drill.reason, "Ctrl-C; no luck");
	assert_int_equal(world.hooks_undone, 1);
}

static void without_hooks_there_is_no_outage_by_one(void **state)
{
	(void)state;
	static const char *const words[] = {"do", "crash", "hook", "stop", NULL};
	struct drill_actuator bare = actuator;
	bare.hook = NULL;
	prepare(words);
	drill_begin(&drill, &plan, &bare, 0);
	drill_advance(&drill, 0);
	assert_int_equal(drill.state, DRILL_ABORTED);
	assert_string_equal(drill.reason, "there is no hook stop");
	assert_restored();
}

/* ---- whatever the plan, and whenever it is aborted ---- */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % n);
}

static bool draw_plan(void)
{
	struct drill_request requests[3] = {0};
	const uint32_t count = 1 + below(3);
	char reason[DRILL_REASON_MAX];
	herd.redundancy.mode = (uint8_t)below(2);
	for (uint32_t i = 0; i < count; i++) {
		struct drill_request *r = &requests[i];
		r->kind = (uint8_t)below(DRILL_KINDS);
		const uint32_t takes = drill_catalogue[r->kind].fields;
		if (below(2))
			drill_request_set(r, "settle", "300ms", reason);
		if (below(2) && takes & 1u << DRILL_HOLD)
			drill_request_set(r, "hold", "700ms", reason);
		if (below(2) && takes & 1u << DRILL_PROXY)
			drill_request_set(r, "proxy", "redundant", reason);
		if (below(2) && takes & 1u << DRILL_HOOK)
			drill_request_set(r, "hook", "stop", reason);
		r->wait_ms = below(2) * 500;
	}
	return drill_plan_make(&plan, "any", requests, count, &fleet, reason) == 0;
}

static void everything_begun_is_restored_once(void **state)
{
	const uint64_t seed = (uint64_t)time(NULL);
	unsigned done = 0, aborted = 0, restored = 0;
	print_message("seed %llu\n", (unsigned long long)seed);
	random_state = seed;
	for (int i = 0; i < 4000; i++) {
		usual(state);
		if (!draw_plan())
			continue;
		const uint64_t begin_us = below(1000000);
		const uint64_t end_us = begin_us + plan.end_ms * 1000;
		const uint64_t abort_us = below(2) ? UINT64_MAX
						   : begin_us + below((uint32_t)plan.end_ms + 1) *
									1000ull;
		if (below(4) == 0)
			world.abort_at = below(plan.steps);
		drill_begin(&drill, &plan, &actuator, begin_us);
		uint64_t now_us = begin_us;
		while (now_us < end_us && now_us < abort_us) {
			drill_advance(&drill, now_us);
			now_us += 1 + below(2) * below(100000) + below(2) * below(60000000);
		}
		if (abort_us < end_us)
			drill_abort(&drill, "somebody", abort_us);
		drill_advance(&drill, now_us > end_us ? now_us : end_us);
		assert_restored();
		assert_true(drill.state == DRILL_DONE || drill.state == DRILL_ABORTED);
		assert_int_equal(drill.state == DRILL_ABORTED, drill.reason[0] != '\0');
		assert_int_equal(world.hooks_run, world.hooks_undone);
		if (drill.state == DRILL_DONE) {
			assert_int_equal(world.steps, plan.steps);
			assert_int_equal(world.waves_ended, UINT64_MAX >> (64 - plan.waves));
		}
		done += drill.state == DRILL_DONE;
		aborted += drill.state == DRILL_ABORTED;
		restored += world.restored + world.hooks_undone;
	}
	assert_true(done > 100 && aborted > 100 && restored > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			waves_begin_before_their_step_and_end_before_the_next, usual),
		cmocka_unit_test_setup(a_late_tick_makes_up_for_everything_in_order, usual),
		cmocka_unit_test_setup(a_clock_behind_the_beginning_does_nothing, usual),
		cmocka_unit_test_setup(abort_restores_before_waves_end, usual),
		cmocka_unit_test_setup(a_hook_makes_the_outage, usual),
		cmocka_unit_test_setup(a_hook_that_fails_aborts, usual),
		cmocka_unit_test_setup(an_undo_that_fails_is_not_tried_again, usual),
		cmocka_unit_test_setup(without_hooks_there_is_no_outage_by_one, usual),
		cmocka_unit_test_setup(everything_begun_is_restored_once, usual),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
