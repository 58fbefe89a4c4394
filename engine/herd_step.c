/* SPDX-License-Identifier: BSD-3-Clause */
/* What a step of the redundancy machine asks for, carried out: arm, drop, send, count. */
#include "herd_internal.h"

#define BACKOFF_BASE_MS 30000u  /* RFC 5626 section 4.5: base-time when all flows failed */
#define BACKOFF_MAX_MS 1800000u /* its max-time */
#define REFRESH_LIMIT_PERMILLE 950u

/* The earliest deadline of a phone; false: it waits for nothing. */
static bool deadline_of(const struct phone *phone, uint32_t *deadline)
{
	bool any = false;
	uint32_t best = 0;
	if (phone->flags & PHONE_KEEPALIVE_ARMED) {
		best = phone->keepalive_due_ms;
		any = true;
	}
	if (phone->flags & PHONE_KEEPALIVE_PENDING) {
		if (!any || time_before(phone->keepalive_next_ms, best))
			best = phone->keepalive_next_ms;
		if (time_before(phone->keepalive_end_ms, best))
			best = phone->keepalive_end_ms;
		any = true;
	}
	if (phone->flags & (PHONE_REGISTER_ARMED | PHONE_REGISTER_PENDING)) {
		if (!any || time_before(phone->register_next_ms, best))
			best = phone->register_next_ms;
		if ((phone->flags & PHONE_REGISTER_PENDING) &&
			time_before(phone->register_end_ms, best))
			best = phone->register_end_ms;
		any = true;
	}
	if (phone->flags & PHONE_UNREGISTER_PENDING) {
		if (!any || time_before(phone->unregister_next_ms, best))
			best = phone->unregister_next_ms;
		if (time_before(phone->unregister_end_ms, best))
			best = phone->unregister_end_ms;
		any = true;
	}
	*deadline = best;
	return any;
}

/* May a phone leave its entry behind and take an earlier one? Not where the room is needed by phones
 * that have no entry. Those just taken from the wheel (half the spare) still count as if they had. */
static bool may_leave_entry(const struct herd *herd)
{
	return (uint64_t)wheel_entries(herd->wheel) + (herd->phones - herd->queued) +
		       HERD_SPARE_TIMERS / 2 <
	       herd->timers;
}

/* Make sure that the wheel looks at this phone in time. A later deadline needs nothing: the entry
 * that is queued fires, finds nothing due and queues itself again. */
void herd_queue(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	uint32_t deadline, queued;
	if (!deadline_of(phone, &deadline))
		return;
	if ((phone->flags & PHONE_QUEUED) && !time_before(deadline, phone->wheel_ms))
		return;
	if (((phone->flags & PHONE_QUEUED) && !may_leave_entry(herd)) ||
		!wheel_add(herd->wheel, local, deadline, &queued)) {
		herd->counters.timer_late++;
		return;
	}
	herd->queued += !(phone->flags & PHONE_QUEUED);
	phone->wheel_ms = queued;
	phone->flags |= PHONE_QUEUED;
}

enum proxy herd_unregister_proxy(const struct phone *phone)
{
	bool redundant = phone->flags & PHONE_ACTIVE_REDUNDANT;
	if (phone->flags & PHONE_UNREGISTER_OLD)
		redundant = !redundant;
	return redundant ? PROXY_REDUNDANT : PROXY_PRIMARY;
}

static void drop_unregister(struct herd *herd, struct phone *phone)
{
	if (phone->flags & PHONE_UNREGISTER_PENDING)
		herd->unregistering--;
	phone->flags &= (uint16_t) ~(PHONE_UNREGISTER_PENDING | PHONE_UNREGISTER_OLD |
				     PHONE_UNREGISTER_AUTH | PHONE_UNREGISTER_RETRIED |
				     PHONE_RESTART);
}

static void drop(struct herd *herd, struct phone *phone)
{
	if (phone->flags & PHONE_KEEPALIVE_PENDING)
		herd->counters.options_abandoned++;
	if (phone->flags & PHONE_REGISTER_PENDING)
		herd->counters.register_abandoned++;
	phone->flags &= (uint16_t) ~(PHONE_KEEPALIVE_PENDING | PHONE_REGISTER_PENDING |
				     PHONE_REGISTER_ARMED | PHONE_PROVISIONAL |
				     PHONE_WITH_CREDENTIALS);
}

static void count_switch(struct herd *herd, const struct phone *phone, enum switch_cause cause)
{
	struct herd_counters *c = &herd->counters;
	bool over = phone_active(phone) == PROXY_REDUNDANT;
	switch (cause) {
	case CAUSE_KEEPALIVE_SILENCE:
		over ? c->failover_keepalive_silence++ : c->failback_keepalive_silence++;
		break;
	case CAUSE_KEEPALIVE_ANSWER:
		c->failback_keepalive_answer++; /* only ever leads back to the primary */
		break;
	case CAUSE_REGISTER_SILENCE:
		over ? c->failover_register_silence++ : c->failback_register_silence++;
		break;
	case CAUSE_REFRESH_SILENCE:
		over ? c->failover_refresh_silence++ : c->failback_refresh_silence++;
		break;
	default:
		over ? c->failover_code++ : c->failback_code++;
		break;
	}
}

/* RFC 5626 section 4.5, when the fleet asks for it: after both proxies have been tried in vain the
 * wait doubles up to half an hour, and is drawn from its upper half. */
static uint32_t backoff_ms(const struct herd *herd, uint32_t local)
{
	const struct phone *phone = &herd->phone[local];
	if (!herd->config.backoff_rfc5626 || phone->backoff < PROXIES)
		return 0;
	uint32_t doublings = phone->backoff - PROXIES;
	uint32_t upper = doublings >= 6 ? BACKOFF_MAX_MS : BACKOFF_BASE_MS << doublings;
	if (upper > BACKOFF_MAX_MS)
		upper = BACKOFF_MAX_MS;
	uint64_t draw = herd_draw(herd->config.seed, herd_index(herd, local), phone->epoch,
		DRAW_BACKOFF, phone->register_cseq);
	return upper / 2 + herd_uniform(draw, upper / 2);
}

static void arm_register(struct herd *herd, uint32_t local, uint32_t in_ms)
{
	struct phone *phone = &herd->phone[local];
	phone->flags |= PHONE_REGISTER_ARMED;
	phone->register_next_ms = herd->now_ms + in_ms;
}

/* Period or refresh with the fleet's jitter: uniform within percent either way. */
static uint32_t jittered_ms(
	const struct herd *herd, uint32_t local, uint32_t interval_ms, uint32_t n)
{
	uint32_t spread = (uint32_t)((uint64_t)interval_ms * herd->config.keepalive_jitter_percent /
				     100);
	if (spread == 0)
		return interval_ms;
	const struct phone *phone = &herd->phone[local];
	uint64_t draw = herd_draw(
		herd->config.seed, herd_index(herd, local), phone->epoch, DRAW_JITTER, n);
	return interval_ms - spread + herd_uniform(draw, 2 * spread);
}

static void arm_keepalive(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	uint32_t period = herd->config.keepalive_period_ms, first = period;
	if (period == 0)
		return;
	if (herd->config.keepalive_first == KEEPALIVE_FIRST_IMMEDIATE)
		first = 0;
	else if (herd->config.keepalive_first == KEEPALIVE_FIRST_SPREAD)
		first = herd_uniform(herd_draw(herd->config.seed, herd_index(herd, local),
					     phone->epoch, DRAW_FIRST, 0),
			period - 1);
	else
		first = jittered_ms(herd, local, period, herd->now_ms);
	phone->flags |= PHONE_KEEPALIVE_ARMED;
	phone->keepalive_due_ms = herd->now_ms + first;
}

/* The grid goes on from the tick that was due, not from now; ticks that have gone by in a stall are
 * skipped like ticks that find a keep-alive pending. They are divided out, for a stall may hold
 * many periods; nothing else divides here. */
static void next_tick(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	uint32_t period = herd->config.keepalive_period_ms;
	uint32_t step = jittered_ms(herd, local, period, phone->keepalive_due_ms);
	/* A step of nothing would draw the same nothing for ever. */
	phone->keepalive_due_ms += step > 0 ? step : 1;
	if (!time_before(phone->keepalive_due_ms, herd->now_ms))
		return;
	uint32_t gone = (herd->now_ms - phone->keepalive_due_ms - 1) / period + 1;
	phone->keepalive_due_ms += gone * period;
	herd->counters.options_skipped += gone;
}

static void arm_retry(struct herd *herd, uint32_t local, const struct occasion *occasion)
{
	uint32_t wait = herd->config.retry_ms, backoff = backoff_ms(herd, local);
	uint32_t asked = (occasion->retry_after_s < SECONDS_MAX ? occasion->retry_after_s
								: SECONDS_MAX) *
			 1000;
	if (wait < asked)
		wait = asked;
	arm_register(herd, local, wait > backoff ? wait : backoff);
}

/* Jitter never takes a refresh past 95 % of the binding's life, where an answer would come too late;
 * a fleet that asks for a later refresh by itself gets it. */
uint32_t herd_refresh_ms(const struct herd *herd, uint32_t local, uint32_t granted_s)
{
	uint32_t due_ms = (uint32_t)((uint64_t)granted_s * herd->config.refresh_permille);
	uint32_t limit_ms = granted_s * REFRESH_LIMIT_PERMILLE;
	if (limit_ms < due_ms)
		limit_ms = due_ms;
	uint32_t in_ms = jittered_ms(herd, local, due_ms, herd->phone[local].register_cseq);
	return in_ms < limit_ms ? in_ms : limit_ms;
}

static void arm_refresh(struct herd *herd, uint32_t local, uint32_t granted_s)
{
	if (granted_s > SECONDS_MAX)
		granted_s = SECONDS_MAX;
	if (!(herd->phone[local].flags & PHONE_RAISED_EXPIRES))
		herd->auth[local].expires_s = granted_s;
	arm_register(herd, local, herd_refresh_ms(herd, local, granted_s));
}

static void carry_out_switch(struct herd *herd, uint32_t local, enum switch_cause cause)
{
	struct phone *phone = &herd->phone[local];
	phone->flags &= (uint16_t) ~(PHONE_TOO_BRIEF | PHONE_RAISED_EXPIRES);
	count_switch(herd, phone, cause);
	uint64_t draw = herd_draw(
		herd->config.seed, herd_index(herd, local), phone->epoch, DRAW_SWITCH, 0);
	uint32_t delay = herd_uniform(draw, herd->config.switch_delay_ms);
	uint32_t backoff = backoff_ms(herd, local);
	uint32_t pause = delay > backoff ? delay : backoff;
	herd_outage_switch(herd, phone, pause);
	arm_register(herd, local, pause);
}

static void new_registration(
	struct phone *phone, enum phone_event event, const struct occasion *occasion)
{
	bool fresh = event == EVENT_BOOT_DUE || event == EVENT_SWITCH_DUE ||
		     event == EVENT_RETRY_DUE || event == EVENT_REFRESH_DUE;
	if (!fresh)
		return;
	phone->auth_stale = 0;
	phone->auth_counted = 0;
	phone->continued = 0;
	phone->register_planned_us = (uint32_t)occasion->planned_us;
}

static void count_failures(struct phone *phone, enum phone_event event)
{
	if (event == EVENT_REGISTER_OK)
		phone->backoff = 0;
	else if (phone_event_is_failure(event))
		phone->backoff += phone->backoff < UINT8_MAX;
}

/* What was REGISTERED, or is from now on: how long it was not. */
static void follow_outage(struct herd *herd, uint32_t local, enum phone_event event,
	enum phone_state before, unsigned actions)
{
	struct phone *phone = &herd->phone[local];
	if (event == EVENT_REGISTER_OK) {
		herd_outage_end(herd, phone, before);
		phone->known = 1;
	} else if ((actions & ACTION_STOP_KEEPALIVE) && before == PHONE_REGISTERED) {
		herd_outage_begin(phone);
	}
}

static void carry_out(struct herd *herd, uint32_t local, enum phone_event event,
	struct redundancy_result result, const struct occasion *occasion)
{
	struct phone *phone = &herd->phone[local];
	unsigned actions = result.actions;
	if (actions & ACTION_DROP)
		drop(herd, phone);
	if (actions & (ACTION_SWITCH | ACTION_POWER_OFF))
		drop_unregister(herd, phone);
	if (actions & ACTION_STOP_KEEPALIVE)
		phone->flags &= (uint16_t)~PHONE_KEEPALIVE_ARMED;
	if (actions & ACTION_UNREGISTER_OLD) {
		phone->flags |= PHONE_UNREGISTER_OLD;
		herd->auth[local].unregister_cseq = phone->register_cseq + 1;
		herd_begin_unregister(herd, local, herd->config.timers.no_response_ms);
	}
	if (actions & ACTION_POWER_OFF) {
		phone->flags &= (uint16_t) ~(PHONE_TOO_BRIEF | PHONE_RAISED_EXPIRES | PHONE_PROVEN);
		phone->backoff = 0;
	}
	if (actions & ACTION_SWITCH)
		carry_out_switch(herd, local, (enum switch_cause)result.cause);
	if (actions & ACTION_ARM_BOOT) {
		credentials_forget(&herd->auth[local]);
		phone->flags |= PHONE_REGISTER_ARMED;
		phone->register_next_ms = occasion->boot_ms;
		phone->outage_switch_ms = OUTAGE_NO_SWITCH;
		phone->known = 0;
	}
	if (actions & ACTION_NEW_CALL) {
		phone->register_cseq = 0;
		phone->keepalive_cseq = 0;
	}
	if (actions & ACTION_REGISTER)
		herd_begin_register(herd, local, occasion);
	if (actions & ACTION_ARM_RETRY)
		arm_retry(herd, local, occasion);
	if (actions & ACTION_ARM_REFRESH)
		arm_refresh(herd, local, occasion->granted_s);
	if (actions & ACTION_ARM_KEEPALIVE)
		arm_keepalive(herd, local);
	if (actions & ACTION_OPTIONS)
		herd_begin_options(herd, local, occasion);
	if (actions & ACTION_SKIPPED)
		herd->counters.options_skipped++;
	if (event == EVENT_KEEPALIVE_DUE)
		next_tick(herd, local);
}

void herd_step(
	struct herd *herd, uint32_t local, enum phone_event event, const struct occasion *occasion)
{
	struct phone *phone = &herd->phone[local];
	herd->population.phones[phone->state][phone_active(phone)]--;
	count_failures(phone, event);
	new_registration(phone, event, occasion);
	const enum phone_state before = (enum phone_state)phone->state;
	struct redundancy_result result = redundancy_step(&herd->config.redundancy, phone, event);
	/* The proxy that will be tried is stored before the REGISTER to it goes out (PHONE.md). */
	herd_record_step(herd, local, event, before, result);
	follow_outage(herd, local, event, before, result.actions);
	carry_out(herd, local, event, result, occasion);
	herd->population.phones[phone->state][phone_active(phone)]++;
	/* A pause of zero is over at once: no need to wait for the wheel's next millisecond. */
	bool at_once = (phone->state == PHONE_SWITCHING || phone->state == PHONE_BOOT) &&
		       (phone->flags & PHONE_REGISTER_ARMED) &&
		       !time_before(herd->now_ms, phone->register_next_ms);
	if (!at_once)
		return;
	phone->flags &= (uint16_t)~PHONE_REGISTER_ARMED;
	herd_step(herd, local, phone->state == PHONE_BOOT ? EVENT_BOOT_DUE : EVENT_SWITCH_DUE,
		occasion);
}

void herd_start_phone(struct herd *herd, uint32_t local, uint64_t planned_us, uint32_t boot_ms)
{
	struct occasion occasion = {.planned_us = planned_us, .timed = true, .boot_ms = boot_ms};
	herd->counters.boots++;
	herd_step(herd, local, EVENT_START, &occasion);
}

void herd_unregister_ended(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	bool restart = phone->flags & PHONE_RESTART;
	uint32_t boot_ms = phone->register_next_ms;
	drop_unregister(herd, phone);
	if (!restart)
		return;
	if (time_before(boot_ms, herd->now_ms))
		boot_ms = herd->now_ms;
	herd_start_phone(herd, local, herd->now_us, boot_ms);
}
