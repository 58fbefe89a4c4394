/* SPDX-License-Identifier: BSD-3-Clause */
#include "redundancy.h"

static const char *const cause_names[SWITCH_CAUSES] = {
	[CAUSE_NONE] = "none",
	[CAUSE_KEEPALIVE_SILENCE] = "keepalive_silence",
	[CAUSE_KEEPALIVE_ANSWER] = "keepalive_answer",
	[CAUSE_REGISTER_SILENCE] = "register_silence",
	[CAUSE_REFRESH_SILENCE] = "refresh_silence",
	[CAUSE_CODE] = "code",
};

static const char *const phase_names[FAILOVER_PHASES] = {
	[FAILOVER_DETECT] = "detect",
	[FAILOVER_SWITCH] = "switch",
	[FAILOVER_REGISTER] = "register",
	[FAILOVER_SINCE_ANSWER] = "since_answer",
};

static const char *const state_names[PHONE_STATES] = {
	[PHONE_OFF] = "off",
	[PHONE_BOOT] = "boot",
	[PHONE_REGISTERING] = "registering",
	[PHONE_WAITING] = "waiting",
	[PHONE_SWITCHING] = "switching",
	[PHONE_REGISTERED] = "registered",
};

const char *switch_cause_name(enum switch_cause cause)
{
	return cause < SWITCH_CAUSES ? cause_names[cause] : "?";
}

const char *failover_phase_name(enum failover_phase phase)
{
	return phase < FAILOVER_PHASES ? phase_names[phase] : "?";
}

const char *phone_state_name(enum phone_state state)
{
	return state < PHONE_STATES ? state_names[state] : "?";
}

const char *proxy_name(enum proxy proxy)
{
	return proxy == PROXY_PRIMARY ? "primary" : "redundant";
}

static struct redundancy_result result(unsigned actions)
{
	return (struct redundancy_result){.actions = (uint16_t)actions, .cause = CAUSE_NONE};
}

/* SWITCH(other) of PHONE.md section 4. */
static struct redundancy_result switch_over(struct phone *phone, enum switch_cause cause)
{
	unsigned actions = ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_SWITCH;
	/* Only an answer of the primary makes a phone leave a proxy that is alive. */
	if (cause == CAUSE_KEEPALIVE_ANSWER)
		actions |= ACTION_UNREGISTER_OLD;
	phone->flags ^= PHONE_ACTIVE_REDUNDANT;
	phone->epoch++;
	phone->misses = 0;
	phone->answers = 0;
	phone->state = PHONE_SWITCHING;
	return (struct redundancy_result){.actions = (uint16_t)actions, .cause = cause};
}

static struct redundancy_result power_off(struct phone *phone)
{
	phone->state = PHONE_OFF;
	phone->misses = 0;
	phone->answers = 0;
	return result(ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_POWER_OFF);
}

static struct redundancy_result start(const struct redundancy_rules *rules, struct phone *phone)
{
	if (!rules->enabled)
		phone->flags &= (uint16_t)~PHONE_ACTIVE_REDUNDANT;
	phone->epoch++;
	phone->state = PHONE_BOOT;
	return result(ACTION_ARM_BOOT);
}

static struct redundancy_result wait_for_retry(struct phone *phone)
{
	phone->state = PHONE_WAITING;
	return result(ACTION_DROP | ACTION_STOP_KEEPALIVE | ACTION_ARM_RETRY);
}

/* What ends a REGISTER, whether it was the first of a binding or a refresh. */
static struct redundancy_result register_ended(
	const struct redundancy_rules *rules, struct phone *phone, enum phone_event event)
{
	bool refresh = phone->state == PHONE_REGISTERED;
	switch (event) {
	case EVENT_CHALLENGED:
	case EVENT_TOO_BRIEF:
		return result(ACTION_REGISTER);
	case EVENT_REGISTER_OK:
		phone->state = PHONE_REGISTERED;
		/* The grid of a phone that only refreshes stays as it is. */
		return result(ACTION_ARM_REFRESH | (refresh ? 0 : ACTION_ARM_KEEPALIVE));
	case EVENT_REGISTER_SILENCE:
		if (rules->enabled)
			return switch_over(
				phone, refresh ? CAUSE_REFRESH_SILENCE : CAUSE_REGISTER_SILENCE);
		return wait_for_retry(phone);
	case EVENT_REJECTED_SWITCHING:
		if (rules->enabled)
			return switch_over(phone, CAUSE_CODE);
		return wait_for_retry(phone);
	case EVENT_REGISTER_USELESS:
	case EVENT_CREDENTIALS_REFUSED:
	case EVENT_REJECTED:
		return wait_for_retry(phone);
	default:
		return result(0);
	}
}

static struct redundancy_result keepalive_answered(
	const struct redundancy_rules *rules, struct phone *phone)
{
	phone->misses = 0;
	if (!rules->enabled || rules->mode == MODE_SYMMETRIC ||
		phone_active(phone) == PROXY_PRIMARY)
		return result(0);
	if (++phone->answers < rules->success_threshold)
		return result(0);
	return switch_over(phone, CAUSE_KEEPALIVE_ANSWER);
}

static struct redundancy_result keepalive_silent(
	const struct redundancy_rules *rules, struct phone *phone)
{
	phone->answers = 0;
	if (phone->misses < UINT8_MAX)
		phone->misses++;
	if (!rules->enabled)
		return result(0);
	if (rules->mode == MODE_ASYMMETRIC && phone_active(phone) == PROXY_REDUNDANT)
		return result(0);
	if (phone->misses < rules->fail_threshold)
		return result(0);
	return switch_over(phone, CAUSE_KEEPALIVE_SILENCE);
}

static struct redundancy_result registered(
	const struct redundancy_rules *rules, struct phone *phone, enum phone_event event)
{
	switch (event) {
	case EVENT_KEEPALIVE_DUE:
		if (phone->flags & PHONE_KEEPALIVE_PENDING)
			return result(ACTION_SKIPPED);
		return result(ACTION_OPTIONS);
	case EVENT_KEEPALIVE_ANSWER:
		return keepalive_answered(rules, phone);
	case EVENT_KEEPALIVE_SILENCE:
		return keepalive_silent(rules, phone);
	case EVENT_REFRESH_DUE:
		return result(ACTION_REGISTER);
	default:
		return register_ended(rules, phone, event);
	}
}

static struct redundancy_result begin_registration(struct phone *phone)
{
	phone->state = PHONE_REGISTERING;
	return result(ACTION_NEW_CALL | ACTION_REGISTER);
}

struct redundancy_result redundancy_step(
	const struct redundancy_rules *rules, struct phone *phone, enum phone_event event)
{
	if (event == EVENT_REBOOT || event == EVENT_STOP)
		return power_off(phone);
	if (event == EVENT_DISABLE) {
		phone->flags &= (uint16_t)~PHONE_ACTIVE_REDUNDANT;
		return power_off(phone);
	}
	switch (phone->state) {
	case PHONE_OFF:
		return event == EVENT_START ? start(rules, phone) : result(0);
	case PHONE_BOOT:
		return event == EVENT_BOOT_DUE ? begin_registration(phone) : result(0);
	case PHONE_SWITCHING:
		return event == EVENT_SWITCH_DUE ? begin_registration(phone) : result(0);
	case PHONE_WAITING:
		if (event != EVENT_RETRY_DUE)
			return result(0);
		phone->state = PHONE_REGISTERING;
		return result(ACTION_REGISTER);
	case PHONE_REGISTERING:
		return register_ended(rules, phone, event);
	case PHONE_REGISTERED:
		return registered(rules, phone, event);
	default:
		return result(0);
	}
}
