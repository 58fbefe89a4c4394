/* SPDX-License-Identifier: BSD-3-Clause */
/* The redundancy machine: each row of PHONE.md section 4, then random walks under its invariants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "redundancy.h"

enum rules_kind { ASYM, SYM, OFF };

static struct redundancy_rules rules_of(enum rules_kind kind)
{
	return (struct redundancy_rules){.enabled = kind != OFF,
		.mode = kind == SYM ? MODE_SYMMETRIC : MODE_ASYMMETRIC,
		.fail_threshold = 1,
		.success_threshold = 1};
}

/* One row: in this state, at this proxy, this event gives this state, proxy, actions and cause. */
struct row {
	const char *name;
	enum rules_kind rules;
	enum phone_state state;
	enum proxy active;
	enum phone_event event;
	enum phone_state next;
	enum proxy next_active;
	unsigned actions;
	enum switch_cause cause;
};

#define P PROXY_PRIMARY
#define R PROXY_REDUNDANT
#define SWITCHES (ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_SWITCH)
#define WAITS (ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_ARM_RETRY)
#define FALLS (ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_POWER_OFF)

static const struct row rows[] = {
	{"start, off: primary", OFF, PHONE_OFF, R, EVENT_START, PHONE_BOOT, P, ACTION_ARM_BOOT, 0},
	{"start: last tried", ASYM, PHONE_OFF, R, EVENT_START, PHONE_BOOT, R, ACTION_ARM_BOOT, 0},
	{"boot", ASYM, PHONE_BOOT, R, EVENT_BOOT_DUE, PHONE_REGISTERING, R,
		ACTION_NEW_CALL | ACTION_REGISTER, 0},
	{"challenge", ASYM, PHONE_REGISTERING, P, EVENT_CHALLENGED, PHONE_REGISTERING, P,
		ACTION_REGISTER, 0},
	{"refused", ASYM, PHONE_REGISTERING, P, EVENT_CREDENTIALS_REFUSED, PHONE_WAITING, P, WAITS,
		0},
	{"ok", ASYM, PHONE_REGISTERING, P, EVENT_REGISTER_OK, PHONE_REGISTERED, P,
		ACTION_ARM_REFRESH | ACTION_ARM_KEEPALIVE, 0},
	{"useless 2xx", ASYM, PHONE_REGISTERING, P, EVENT_REGISTER_USELESS, PHONE_WAITING, P, WAITS,
		0},
	{"423", ASYM, PHONE_REGISTERING, P, EVENT_TOO_BRIEF, PHONE_REGISTERING, P, ACTION_REGISTER,
		0},
	{"rejected", SYM, PHONE_REGISTERING, R, EVENT_REJECTED, PHONE_WAITING, R, WAITS, 0},
	{"rejected, code", SYM, PHONE_REGISTERING, R, EVENT_REJECTED_SWITCHING, PHONE_SWITCHING, P,
		SWITCHES, CAUSE_CODE},
	{"rejected, code, off", OFF, PHONE_REGISTERING, P, EVENT_REJECTED_SWITCHING, PHONE_WAITING,
		P, WAITS, 0},
	{"silence", ASYM, PHONE_REGISTERING, P, EVENT_REGISTER_SILENCE, PHONE_SWITCHING, R,
		SWITCHES, CAUSE_REGISTER_SILENCE},
	{"silence back", ASYM, PHONE_REGISTERING, R, EVENT_REGISTER_SILENCE, PHONE_SWITCHING, P,
		SWITCHES, CAUSE_REGISTER_SILENCE},
	{"silence, off", OFF, PHONE_REGISTERING, P, EVENT_REGISTER_SILENCE, PHONE_WAITING, P, WAITS,
		0},
	{"retry", ASYM, PHONE_WAITING, R, EVENT_RETRY_DUE, PHONE_REGISTERING, R, ACTION_REGISTER,
		0},
	{"switched", ASYM, PHONE_SWITCHING, R, EVENT_SWITCH_DUE, PHONE_REGISTERING, R,
		ACTION_NEW_CALL | ACTION_REGISTER, 0},
	{"keep-alive", ASYM, PHONE_REGISTERED, R, EVENT_KEEPALIVE_DUE, PHONE_REGISTERED, R,
		ACTION_OPTIONS, 0},
	{"asym P silence", ASYM, PHONE_REGISTERED, P, EVENT_KEEPALIVE_SILENCE, PHONE_SWITCHING, R,
		SWITCHES, CAUSE_KEEPALIVE_SILENCE},
	{"asym P answer", ASYM, PHONE_REGISTERED, P, EVENT_KEEPALIVE_ANSWER, PHONE_REGISTERED, P, 0,
		0},
	{"asym R answer", ASYM, PHONE_REGISTERED, R, EVENT_KEEPALIVE_ANSWER, PHONE_SWITCHING, P,
		SWITCHES | ACTION_UNREGISTER_OLD, CAUSE_KEEPALIVE_ANSWER},
	{"asym R silence", ASYM, PHONE_REGISTERED, R, EVENT_KEEPALIVE_SILENCE, PHONE_REGISTERED, R,
		0, 0},
	{"sym P silence", SYM, PHONE_REGISTERED, P, EVENT_KEEPALIVE_SILENCE, PHONE_SWITCHING, R,
		SWITCHES, CAUSE_KEEPALIVE_SILENCE},
	{"sym R silence", SYM, PHONE_REGISTERED, R, EVENT_KEEPALIVE_SILENCE, PHONE_SWITCHING, P,
		SWITCHES, CAUSE_KEEPALIVE_SILENCE},
	{"sym R answer", SYM, PHONE_REGISTERED, R, EVENT_KEEPALIVE_ANSWER, PHONE_REGISTERED, R, 0,
		0},
	{"off silence", OFF, PHONE_REGISTERED, P, EVENT_KEEPALIVE_SILENCE, PHONE_REGISTERED, P, 0,
		0},
	{"refresh", SYM, PHONE_REGISTERED, R, EVENT_REFRESH_DUE, PHONE_REGISTERED, R,
		ACTION_REGISTER, 0},
	{"refreshed", SYM, PHONE_REGISTERED, R, EVENT_REGISTER_OK, PHONE_REGISTERED, R,
		ACTION_ARM_REFRESH, 0},
	{"refresh silence", ASYM, PHONE_REGISTERED, R, EVENT_REGISTER_SILENCE, PHONE_SWITCHING, P,
		SWITCHES, CAUSE_REFRESH_SILENCE},
	{"refresh silence, off", OFF, PHONE_REGISTERED, P, EVENT_REGISTER_SILENCE, PHONE_WAITING, P,
		WAITS, 0},
	{"refresh rejected", ASYM, PHONE_REGISTERED, R, EVENT_REJECTED, PHONE_WAITING, R, WAITS, 0},
	{"refresh code", ASYM, PHONE_REGISTERED, R, EVENT_REJECTED_SWITCHING, PHONE_SWITCHING, P,
		SWITCHES, CAUSE_CODE},
	{"refresh challenge", ASYM, PHONE_REGISTERED, R, EVENT_CHALLENGED, PHONE_REGISTERED, R,
		ACTION_REGISTER, 0},
	{"reboot", ASYM, PHONE_REGISTERED, R, EVENT_REBOOT, PHONE_OFF, R, FALLS, 0},
	{"turned off", ASYM, PHONE_REGISTERED, R, EVENT_DISABLE, PHONE_OFF, P, FALLS, 0},
	{"stop", SYM, PHONE_SWITCHING, R, EVENT_STOP, PHONE_OFF, R, FALLS, 0},
};

static void each_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct redundancy_rules rules = rules_of(row->rules);
		struct phone phone = {.state = (uint8_t)row->state,
			.epoch = 7,
			.flags = row->active == R ? PHONE_ACTIVE_REDUNDANT : 0};
		struct redundancy_result got = redundancy_step(&rules, &phone, row->event);
		bool ok = phone.state == row->next && phone_active(&phone) == row->next_active &&
			  got.actions == row->actions && got.cause == row->cause &&
			  phone.epoch ==
				  7 + (row->actions & ACTION_SWITCH || row->event == EVENT_START);
		if (!ok)
			fail_msg("%s: state %s proxy %s actions %x cause %s epoch %u", row->name,
				phone_state_name(phone.state), proxy_name(phone_active(&phone)),
				got.actions, switch_cause_name(got.cause), phone.epoch);
	}
}

static void pending_keepalive_is_skipped(void **state)
{
	(void)state;
	struct redundancy_rules rules = rules_of(SYM);
	struct phone phone = {.state = PHONE_REGISTERED, .flags = PHONE_KEEPALIVE_PENDING};
	assert_int_equal(
		redundancy_step(&rules, &phone, EVENT_KEEPALIVE_DUE).actions, ACTION_SKIPPED);
}

static void thresholds_count_consecutively(void **state)
{
	(void)state;
	struct redundancy_rules rules = rules_of(ASYM);
	rules.fail_threshold = 3;
	rules.success_threshold = 2;
	struct phone phone = {.state = PHONE_REGISTERED};
	static const enum phone_event lives[] = {EVENT_KEEPALIVE_SILENCE, EVENT_KEEPALIVE_SILENCE,
		EVENT_KEEPALIVE_ANSWER, EVENT_KEEPALIVE_SILENCE, EVENT_KEEPALIVE_SILENCE};
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		assert_int_equal(redundancy_step(&rules, &phone, lives[i]).cause, CAUSE_NONE);
	assert_int_equal(redundancy_step(&rules, &phone, EVENT_KEEPALIVE_SILENCE).cause,
		CAUSE_KEEPALIVE_SILENCE);
	phone.state = PHONE_REGISTERED;
	assert_int_equal(redundancy_step(&rules, &phone, EVENT_KEEPALIVE_ANSWER).cause, CAUSE_NONE);
	assert_int_equal(
		redundancy_step(&rules, &phone, EVENT_KEEPALIVE_SILENCE).cause, CAUSE_NONE);
	assert_int_equal(redundancy_step(&rules, &phone, EVENT_KEEPALIVE_ANSWER).cause, CAUSE_NONE);
	assert_int_equal(redundancy_step(&rules, &phone, EVENT_KEEPALIVE_ANSWER).cause,
		CAUSE_KEEPALIVE_ANSWER);
	assert_int_equal(phone_active(&phone), P);
}

/* Any events in any order: active changes only with a cause or when turned off, a switch always
 * bumps the epoch, an off phone never leaves the primary. */
static void random_walks_keep_the_invariants(void **state)
{
	(void)state;
	uint32_t x = 2463534242u;
	for (int walk = 0; walk < 3000; walk++) {
		struct redundancy_rules rules = rules_of((enum rules_kind)(walk % 3));
		struct phone phone = {0};
		for (int i = 0; i < 200; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			enum phone_event event = x % PHONE_EVENTS;
			struct phone before = phone;
			struct redundancy_result got = redundancy_step(&rules, &phone, event);
			bool switched = got.actions & ACTION_SWITCH;
			assert_int_equal(switched, got.cause != CAUSE_NONE);
			assert_true(!switched ||
				    (phone.epoch == (uint16_t)(before.epoch + 1) && rules.enabled &&
					    phone.state == PHONE_SWITCHING));
			bool moved = phone_active(&phone) != phone_active(&before);
			assert_true(!moved || switched || event == EVENT_DISABLE ||
				    (event == EVENT_START && !rules.enabled));
			if (walk % 3 == OFF)
				assert_int_equal(phone_active(&phone), P);
			assert_true(phone.state < PHONE_STATES);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
		cmocka_unit_test(pending_keepalive_is_skipped),
		cmocka_unit_test(thresholds_count_consecutively),
		cmocka_unit_test(random_walks_keep_the_invariants),
	};
	return cmocka_run_group_tests_name("redundancy", tests, NULL, NULL);
}
