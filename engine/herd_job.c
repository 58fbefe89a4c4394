/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands for many phones: they wait for each other, and are carried out a budget at a time. */
#include <string.h>

#include "herd_internal.h"

static bool says_goodbye(
	const struct herd *herd, const struct phone *phone, enum herd_command_kind kind)
{
	if (phone->state != PHONE_REGISTERED || herd_is_muted(herd))
		return false;
	if (kind == HERD_UNREGISTER)
		return true;
	return herd->config.unregister &&
	       (kind == HERD_REBOOT || kind == HERD_STOP || kind == HERD_LIMIT);
}

/* A binding to end first. An end that nobody waits for may take as long as any transaction. */
static void begin_goodbye(struct herd *herd, uint32_t local, enum herd_command_kind kind)
{
	uint32_t wait_ms = herd->config.timers.no_response_ms;
	if (kind != HERD_UNREGISTER && wait_ms > UNREGISTER_WAIT_MS)
		wait_ms = UNREGISTER_WAIT_MS;
	herd->auth[local].unregister_cseq = herd->phone[local].register_cseq + 1;
	herd_begin_unregister(herd, local, wait_ms);
}

static uint32_t boot_at_ms(const struct herd *herd, uint32_t local, uint32_t delay_ms)
{
	const uint64_t draw = herd_draw(
		herd->config.seed, herd_index(herd, local), herd->phone[local].epoch, DRAW_BOOT, 0);
	return herd->now_ms + herd_uniform(draw, delay_ms);
}

static enum phone_event event_of(enum herd_command_kind kind)
{
	switch (kind) {
	case HERD_REBOOT:
	case HERD_POWER_CUT:
		return EVENT_REBOOT;
	case HERD_DISABLE_REDUNDANCY:
		return EVENT_DISABLE;
	default:
		return EVENT_STOP;
	}
}

/* A phone that is on: off, and on again where the command says so. */
static void take_down(struct herd *herd, const struct herd_command *job, uint32_t local)
{
	const enum herd_command_kind kind = (enum herd_command_kind)job->kind;
	const struct occasion occasion = {.planned_us = herd->now_us};
	struct phone *phone = &herd->phone[local];
	const bool goodbye = says_goodbye(herd, phone, kind);
	const uint32_t boot_ms = boot_at_ms(herd, local, job->delay_ms);
	const enum phone_event event = event_of(kind);
	herd_step(herd, local, event, &occasion);
	if (goodbye)
		begin_goodbye(herd, local, kind);
	if (kind == HERD_UNREGISTER)
		phone->hold = PHONE_HOLD_UNREGISTERED;
	else if (event != EVENT_STOP)
		herd_power_on(herd, local, herd->now_us, boot_ms);
}

/* A phone that was unregistered is wanted again. A reboot lets its Expires 0 end, but not for long. */
static void let_go(struct herd *herd, const struct herd_command *job, uint32_t local)
{
	const struct occasion occasion = {.planned_us = herd->now_us};
	struct phone *phone = &herd->phone[local];
	const uint32_t limit_ms = herd->now_ms + UNREGISTER_WAIT_MS;
	if (phone->hold == PHONE_HOLD_NONE || local >= herd->limit_local || herd->stopping)
		return;
	phone->hold = PHONE_HOLD_NONE;
	if (job->kind == HERD_POWER_CUT)
		herd_step(herd, local, EVENT_STOP, &occasion);
	else if (time_before(limit_ms, phone->unregister_end_ms))
		phone->unregister_end_ms = limit_ms;
	herd_power_on(herd, local, herd->now_us, boot_at_ms(herd, local, job->delay_ms));
}

/* A phone that is off: not yet reached by the ramp, about to start again, or kept off. */
static void command_off(struct herd *herd, const struct herd_command *job, uint32_t local)
{
	const struct occasion occasion = {.planned_us = herd->now_us};
	struct phone *phone = &herd->phone[local];
	switch (job->kind) {
	case HERD_STOP:
		herd_step(herd, local, EVENT_STOP, &occasion);
		break;
	case HERD_UNREGISTER:
		phone->flags &= (uint16_t)~PHONE_RESTART;
		phone->hold = PHONE_HOLD_UNREGISTERED;
		herd_reached(herd, local);
		break;
	case HERD_LIMIT:
		if (phone->flags & PHONE_RESTART)
			phone->flags &= (uint16_t)~PHONE_RESTART;
		break;
	case HERD_REBOOT:
	case HERD_POWER_CUT:
		let_go(herd, job, local);
		break;
	case HERD_DISABLE_REDUNDANCY:
		/* Without redundancy nothing goes to the redundant proxy, not even a goodbye. */
		if ((phone->flags & PHONE_UNREGISTER_PENDING) &&
			herd_unregister_proxy(phone) == PROXY_REDUNDANT)
			herd_unregister_ended(herd, local);
		break;
	default:
		break;
	}
}

static void reregister(struct herd *herd, uint32_t local)
{
	const struct occasion occasion = {.planned_us = herd->now_us};
	struct phone *phone = &herd->phone[local];
	const bool registered = phone->state == PHONE_REGISTERED;
	if (!(phone->flags & PHONE_REGISTER_ARMED) ||
		(!registered && phone->state != PHONE_WAITING))
		return;
	phone->flags &= (uint16_t)~PHONE_REGISTER_ARMED;
	herd_step(herd, local, registered ? EVENT_REFRESH_DUE : EVENT_RETRY_DUE, &occasion);
}

/* A power cut may be of a share of the phones. */
static bool is_spared(const struct herd *herd, const struct herd_command *job, uint32_t local)
{
	return job->kind == HERD_POWER_CUT && job->impairment.share_ppm > 0 &&
	       !impairment_concerns(&job->impairment, herd_index(herd, local));
}

static void run_job(struct herd *herd, const struct herd_command *job, uint32_t local)
{
	if (is_spared(herd, job, local))
		return;
	if (job->kind == HERD_REREGISTER)
		reregister(herd, local);
	else if (herd->phone[local].state == PHONE_OFF)
		command_off(herd, job, local);
	else
		take_down(herd, job, local);
	herd_queue(herd, local);
}

/* The first waiting job begins: where its walk does, and where it ends. */
static void enter_job(struct herd *herd)
{
	const struct herd_command *job = &herd->job[0];
	herd->job_next = 0;
	herd->job_end = herd->phones;
	if (job->kind == HERD_STOP || job->kind == HERD_DISABLE_REDUNDANCY)
		return;
	if (job->kind == HERD_LIMIT) {
		const bool lower = job->count < herd->limit;
		herd_set_limit(herd, job->count);
		herd->job_next = lower ? herd->limit_local : herd->phones;
		return;
	}
	herd->job_next = herd_first_local(herd, job->first);
	herd->job_end = herd_first_local(herd, (uint64_t)job->first + job->count);
}

static void end_job(struct herd *herd)
{
	if (herd->job[0].kind == HERD_STOP)
		herd->stopped = true;
	memmove(herd->job, herd->job + 1, --herd->jobs * sizeof(herd->job[0]));
	if (herd->jobs > 0)
		enter_job(herd);
}

/* Shards that are away are off as a whole, and so are phones that were never started: nothing is to be
 * done for them and the rest of their shard, and their memory stays untouched. */
static bool is_untouched(const struct herd *herd, const struct herd_command *job, uint32_t local)
{
	const struct herd_shard *shard = &herd->shard[herd_index(herd, local) / SHARD_PHONES];
	return shard->state == SHARD_AWAY || (local >= shard->end && job->kind != HERD_UNREGISTER);
}

uint32_t herd_advance_jobs(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	while (herd->jobs > 0 && done < budget) {
		if (herd->job_next >= herd->job_end) {
			end_job(herd);
			continue;
		}
		done++;
		if (is_untouched(herd, &herd->job[0], herd->job_next))
			herd->job_next = herd_first_local(
				herd, (herd_index(herd, herd->job_next) / SHARD_PHONES + 1ull) *
					      SHARD_PHONES);
		else
			run_job(herd, &herd->job[0], herd->job_next++);
	}
	return done;
}

uint32_t herd_advance_muted_jobs(struct herd *herd, uint32_t budget)
{
	if (!herd->stopping)
		return 0;
	while (herd->jobs > 0 && herd->job[0].kind != HERD_STOP)
		end_job(herd);
	return herd_advance_jobs(herd, budget);
}

/* Is the n-th job from the end a limit that nobody has begun with? */
static bool is_waiting_limit(const struct herd *herd, uint32_t n)
{
	return herd->jobs > n && herd->job[herd->jobs - n].kind == HERD_LIMIT;
}

/* Of limits that wait one behind the other only the lowest and the last make a difference, so that who
 * turns a handle does not fill the list. */
static void drop_limits(struct herd *herd, uint32_t limit)
{
	while (is_waiting_limit(herd, 1) && herd->job[herd->jobs - 1].count >= limit)
		herd->jobs--;
	if (is_waiting_limit(herd, 1) && is_waiting_limit(herd, 2))
		herd->jobs--;
}

bool herd_add_job(struct herd *herd, const struct herd_command *command)
{
	if (command->kind == HERD_LIMIT)
		drop_limits(herd, command->count);
	if (herd->jobs == HERD_JOBS)
		return false;
	if (command->kind == HERD_STOP) {
		herd->stopping = true;
		herd_end_ramp(herd);
	}
	if (command->kind == HERD_DISABLE_REDUNDANCY)
		herd->config.redundancy.enabled = false;
	herd->job[herd->jobs++] = *command;
	if (herd->jobs == 1)
		enter_job(herd);
	return true;
}
