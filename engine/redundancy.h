/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The redundancy state machine of PHONE.md section 4: pure step(rules, phone, event) -> actions.
 *
 * A step changes only the phone's state, active proxy, epoch and consecutive counts, and says what
 * is to be done. The herd does it: sends, arms, counts. Nothing here knows of messages or time.
 */
#ifndef SIPHERD_REDUNDANCY_H
#define SIPHERD_REDUNDANCY_H

#include "phone.h"

struct redundancy_rules {
	bool enabled;
	uint8_t mode;              /* enum redundancy_mode */
	uint8_t fail_threshold;    /* silent keep-alives in a row that switch, 1-10 */
	uint8_t success_threshold; /* answers in a row that fail back, 1-100 */
};

enum phone_event {
	EVENT_START,               /* power on, or the end of a reboot */
	EVENT_BOOT_DUE,            /* start delay over */
	EVENT_REGISTER_OK,         /* 2xx with our Contact and an expiry */
	EVENT_REGISTER_USELESS,    /* 2xx without them */
	EVENT_CHALLENGED,          /* 401/407 that we can answer */
	EVENT_CREDENTIALS_REFUSED, /* 401/407 with no tries left */
	EVENT_TOO_BRIEF,           /* the first 423 of this proxy */
	EVENT_REJECTED,            /* another final answer that does not switch */
	EVENT_REJECTED_SWITCHING,  /* another final answer whose code switches */
	EVENT_REGISTER_SILENCE,
	EVENT_RETRY_DUE,
	EVENT_SWITCH_DUE, /* switch delay over */
	EVENT_KEEPALIVE_DUE,
	EVENT_KEEPALIVE_ANSWER,
	EVENT_KEEPALIVE_SILENCE,
	EVENT_REFRESH_DUE,
	EVENT_REBOOT,  /* planned or power cut: the herd settles the difference */
	EVENT_DISABLE, /* redundancy turned off */
	EVENT_STOP,
	PHONE_EVENTS
};

/* Ends a registration, or a refresh, without a binding. */
static inline bool phone_event_is_failure(enum phone_event event)
{
	return event == EVENT_REGISTER_SILENCE || event == EVENT_REJECTED ||
	       event == EVENT_REJECTED_SWITCHING || event == EVENT_CREDENTIALS_REFUSED ||
	       event == EVENT_REGISTER_USELESS;
}

enum switch_cause {
	CAUSE_NONE = 0,
	CAUSE_KEEPALIVE_SILENCE,
	CAUSE_KEEPALIVE_ANSWER,
	CAUSE_REGISTER_SILENCE,
	CAUSE_REFRESH_SILENCE,
	CAUSE_CODE,
	SWITCH_CAUSES
};

const char *switch_cause_name(enum switch_cause cause);

/* What a switch is made of, for its duration; struct herd_histograms says from when to when. */
enum failover_phase {
	FAILOVER_DETECT,
	FAILOVER_SWITCH,
	FAILOVER_REGISTER,
	FAILOVER_SINCE_ANSWER,
	FAILOVER_PHASES
};

const char *failover_phase_name(enum failover_phase phase);

/* What the herd has to do after a step, in this order. */
enum {
	ACTION_DROP = 1 << 0,           /* forget the transactions in flight */
	ACTION_SWITCH = 1 << 1,         /* active has changed: record it, arm the switch delay */
	ACTION_UNREGISTER_OLD = 1 << 2, /* Expires 0 to the proxy we came from (failing back) */
	ACTION_ARM_BOOT = 1 << 3,
	ACTION_NEW_CALL = 1 << 4, /* new Call-ID, CSeq starts again */
	ACTION_REGISTER = 1 << 5, /* REGISTER to active */
	ACTION_ARM_RETRY = 1 << 6,
	ACTION_ARM_REFRESH = 1 << 7,
	ACTION_ARM_KEEPALIVE = 1 << 8, /* start the grid */
	ACTION_STOP_KEEPALIVE = 1 << 9,
	ACTION_OPTIONS = 1 << 10,   /* OPTIONS to the keep-alive target */
	ACTION_SKIPPED = 1 << 11,   /* a tick found a keep-alive pending */
	ACTION_POWER_OFF = 1 << 12, /* nothing armed, nothing in flight */
};

struct redundancy_result {
	uint16_t actions;
	uint8_t cause; /* enum switch_cause of an ACTION_SWITCH, else CAUSE_NONE */
};

struct redundancy_result redundancy_step(
	const struct redundancy_rules *rules, struct phone *phone, enum phone_event event);

/* Where this phone's keep-alives go. */
static inline enum proxy redundancy_keepalive_target(
	const struct redundancy_rules *rules, const struct phone *phone)
{
	if (rules->enabled && rules->mode == MODE_SYMMETRIC)
		return phone_active(phone);
	return PROXY_PRIMARY;
}

#endif
