/* SPDX-License-Identifier: BSD-3-Clause */
/* A herd's life: creation, the passing of time, commands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "herd_internal.h"

#define TAKE 64     /* wheel entries taken at once */
#define PREFETCH 12 /* how many of them ahead the records are fetched */

void herd_set_time(struct herd *herd, uint64_t now_us)
{
	herd->now_us = now_us;
	herd->now_ms = (uint32_t)(now_us / 1000);
}

static uint32_t slice_size(const struct herd_config *config)
{
	if (config->first >= config->fleet_phones)
		return 0;
	return (config->fleet_phones - config->first - 1) / config->stride + 1;
}

int herd_create(
	struct herd **out, const struct herd_config *config, const struct herd_output *output)
{
	if (config->stride == 0 || config->stride > 16 || config->keepalive_jitter_percent > 100)
		return -EINVAL;
	struct herd *herd = calloc(1, sizeof(*herd));
	if (herd == NULL)
		return -ENOMEM;
	herd->config = *config;
	herd->output = *output;
	herd->phones = slice_size(config);
	herd->stride_inverse = ((1ull << 40) + config->stride - 1) / config->stride;
	uint32_t n = herd->phones ? herd->phones : 1;
	herd->phone = aligned_alloc(64, (size_t)n * sizeof(struct phone));
	herd->auth = calloc(n, sizeof(struct phone_auth));
	/* A phone has one live entry and seldom more than one that it has moved on from. */
	herd->timers = n > UINT32_MAX / 4 ? UINT32_MAX / 2 : 2 * n + HERD_SPARE_TIMERS;
	herd->wheel = wheel_create(herd->timers, 0);
	herd->credentials = credentials_create(n, config->identities, config->domain);
	herd->messages = messages_create(&herd->config);
	if (herd->phone == NULL || herd->auth == NULL || herd->wheel == NULL ||
		herd->credentials == NULL || herd->messages == NULL) {
		herd_free(herd);
		return -ENOMEM;
	}
	memset(herd->phone, 0, (size_t)n * sizeof(struct phone));
	histogram_reset(&herd->histograms.options_rtt_us);
	histogram_reset(&herd->histograms.register_rtt_us);
	histogram_reset(&herd->histograms.registration_us);
	histogram_reset(&herd->histograms.lateness_us);
	herd->population.phones[PHONE_OFF][PROXY_PRIMARY] = herd->phones;
	*out = herd;
	return 0;
}

void herd_free(struct herd *herd)
{
	if (herd == NULL)
		return;
	messages_free(herd->messages);
	credentials_free(herd->credentials);
	wheel_free(herd->wheel);
	if (herd->auth != NULL)
		explicit_bzero(herd->auth, (size_t)herd->phones * sizeof(struct phone_auth));
	free(herd->auth);
	free(herd->phone);
	free(herd);
}

/* A deadline on the herd's 64-bit clock: deadlines are near now, before or after. */
static uint64_t deadline_us(const struct herd *herd, uint32_t deadline_ms)
{
	int64_t ahead_ms = (int32_t)(deadline_ms - herd->now_ms);
	return (uint64_t)((int64_t)(herd->now_us / 1000) + ahead_ms) * 1000;
}

static void fire_unregister(struct herd *herd, uint32_t local, uint32_t at_ms)
{
	const struct phone *phone = &herd->phone[local];
	if (!(phone->flags & PHONE_UNREGISTER_PENDING))
		return;
	if (!time_before(at_ms, phone->unregister_end_ms)) {
		herd->counters.unregister_silent++;
		herd_unregister_ended(herd, local);
	} else if (!time_before(at_ms, phone->unregister_next_ms)) {
		herd_again_unregister(herd, local);
	}
}

static void fire_register(struct herd *herd, uint32_t local, uint32_t at_ms)
{
	static const enum phone_event due[PHONE_STATES] = {
		[PHONE_BOOT] = EVENT_BOOT_DUE,
		[PHONE_SWITCHING] = EVENT_SWITCH_DUE,
		[PHONE_WAITING] = EVENT_RETRY_DUE,
		[PHONE_REGISTERED] = EVENT_REFRESH_DUE,
	};
	struct phone *phone = &herd->phone[local];
	if (phone->flags & PHONE_REGISTER_PENDING) {
		if (!time_before(at_ms, phone->register_end_ms)) {
			struct occasion occasion = {
				.planned_us = deadline_us(herd, phone->register_end_ms),
				.timed = true};
			phone->flags &= (uint16_t)~PHONE_REGISTER_PENDING;
			herd->counters.register_silent++;
			herd_step(herd, local, EVENT_REGISTER_SILENCE, &occasion);
		} else if (!time_before(at_ms, phone->register_next_ms)) {
			herd_again_register(herd, local);
		}
	} else if ((phone->flags & PHONE_REGISTER_ARMED) &&
		   !time_before(at_ms, phone->register_next_ms)) {
		struct occasion occasion = {
			.planned_us = deadline_us(herd, phone->register_next_ms), .timed = true};
		phone->flags &= (uint16_t)~PHONE_REGISTER_ARMED;
		herd_step(herd, local, due[phone->state], &occasion);
	}
}

static void fire_keepalive(struct herd *herd, uint32_t local, uint32_t at_ms)
{
	struct phone *phone = &herd->phone[local];
	if (phone->flags & PHONE_KEEPALIVE_PENDING) {
		if (!time_before(at_ms, phone->keepalive_end_ms)) {
			struct occasion occasion = {
				.planned_us = deadline_us(herd, phone->keepalive_end_ms),
				.timed = true};
			phone->flags &= (uint16_t)~PHONE_KEEPALIVE_PENDING;
			herd->counters.options_silent++;
			herd_step(herd, local, EVENT_KEEPALIVE_SILENCE, &occasion);
		} else if (!time_before(at_ms, phone->keepalive_next_ms)) {
			herd_again_options(herd, local);
		}
	}
	/* The step above may have disarmed the grid. */
	if ((phone->flags & PHONE_KEEPALIVE_ARMED) &&
		!time_before(at_ms, phone->keepalive_due_ms)) {
		struct occasion occasion = {
			.planned_us = deadline_us(herd, phone->keepalive_due_ms), .timed = true};
		herd_step(herd, local, EVENT_KEEPALIVE_DUE, &occasion);
	}
}

static void fire(struct herd *herd, uint32_t local, uint32_t slot_ms)
{
	struct phone *phone = &herd->phone[local];
	/* An entry the phone has moved on from. */
	if (!(phone->flags & PHONE_QUEUED) || phone->wheel_ms != slot_ms)
		return;
	phone->flags &= (uint16_t)~PHONE_QUEUED;
	fire_unregister(herd, local, slot_ms);
	fire_register(herd, local, slot_ms);
	fire_keepalive(herd, local, slot_ms);
	herd_queue(herd, local);
}

static uint32_t advance_wheel(struct herd *herd, uint32_t budget)
{
	uint32_t entry[TAKE], done = 0, slot_ms;
	while (done < budget) {
		uint32_t want = budget - done < TAKE ? budget - done : TAKE;
		uint32_t n = wheel_take(herd->wheel, herd->now_ms, entry, want, &slot_ms);
		if (n == 0)
			break;
		for (uint32_t i = 0; i < n && i < PREFETCH; i++)
			__builtin_prefetch(&herd->phone[entry[i]], 1);
		for (uint32_t i = 0; i < n; i++) {
			if (i + PREFETCH < n)
				__builtin_prefetch(&herd->phone[entry[i + PREFETCH]], 1);
			fire(herd, entry[i], slot_ms);
		}
		done += n;
	}
	return done;
}

static uint32_t advance_ramp(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	while (herd->ramping && done < budget) {
		if (herd->next_start == herd->phones) {
			herd->ramping = false;
			break;
		}
		uint64_t planned_us = pacer_planned_us(
			&herd->pacer, herd_index(herd, herd->next_start));
		if (planned_us > herd->now_us)
			break;
		herd_start_phone(herd, herd->next_start, planned_us, herd->now_ms);
		herd_queue(herd, herd->next_start++);
		done++;
	}
	return done;
}

/* A binding to end first: sends the Expires 0 of a planned reboot or a stop. */
static void begin_goodbye(struct herd *herd, uint32_t local)
{
	uint32_t wait_ms = herd->config.timers.no_response_ms;
	if (wait_ms > UNREGISTER_WAIT_MS)
		wait_ms = UNREGISTER_WAIT_MS;
	herd->auth[local].unregister_cseq = herd->phone[local].register_cseq + 1;
	herd_begin_unregister(herd, local, wait_ms);
}

static void run_job(struct herd *herd, const struct herd_command *job, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	struct occasion occasion = {.planned_us = herd->now_us};
	/* A phone that the ramp has not reached, or that already waits to restart, is left alone.
	 */
	if (phone->state == PHONE_OFF && job->kind != HERD_STOP)
		return;
	bool goodbye = phone->state == PHONE_REGISTERED && herd->config.unregister &&
		       (job->kind == HERD_REBOOT || job->kind == HERD_STOP);
	uint32_t boot_ms = herd->now_ms +
			   herd_uniform(herd_draw(herd->config.seed, herd_index(herd, local),
						phone->epoch, DRAW_BOOT, 0),
				   job->delay_ms);
	enum phone_event event = job->kind == HERD_STOP                 ? EVENT_STOP
				 : job->kind == HERD_DISABLE_REDUNDANCY ? EVENT_DISABLE
									: EVENT_REBOOT;
	herd_step(herd, local, event, &occasion);
	if (goodbye)
		begin_goodbye(herd, local);
	if (job->kind != HERD_STOP && goodbye) {
		phone->flags |= PHONE_RESTART;
		phone->register_next_ms = boot_ms;
	} else if (job->kind != HERD_STOP) {
		herd_start_phone(herd, local, herd->now_us, boot_ms);
	}
	herd_queue(herd, local);
}

static bool job_concerns(const struct herd *herd, const struct herd_command *job, uint32_t local)
{
	if (job->kind == HERD_STOP || job->kind == HERD_DISABLE_REDUNDANCY)
		return true;
	uint32_t index = herd_index(herd, local);
	return index >= job->first && index - job->first < job->count;
}

static uint32_t advance_jobs(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	while (herd->jobs > 0 && done < budget) {
		if (herd->job_next == herd->phones) {
			if (herd->job[0].kind == HERD_STOP)
				herd->stopped = true;
			memmove(herd->job, herd->job + 1, --herd->jobs * sizeof(herd->job[0]));
			herd->job_next = 0;
			continue;
		}
		uint32_t local = herd->job_next++;
		if (job_concerns(herd, &herd->job[0], local))
			run_job(herd, &herd->job[0], local);
		done++;
	}
	return done;
}

bool herd_advance(struct herd *herd, uint64_t now_us, uint32_t budget)
{
	herd_set_time(herd, now_us);
	uint32_t done = advance_jobs(herd, budget);
	done += advance_ramp(herd, budget - done);
	done += advance_wheel(herd, budget - done);
	return done < budget;
}

bool herd_command(struct herd *herd, const struct herd_command *command, uint64_t now_us)
{
	herd_set_time(herd, now_us);
	if (command->kind == HERD_START) {
		pacer_set(&herd->pacer, now_us, herd->config.ramp_per_s);
		herd->ramping = true;
		return true;
	}
	if (command->kind == HERD_SET_PROXY) {
		herd->config.proxy[command->proxy].address = command->address;
		return true;
	}
	if (herd->jobs == HERD_JOBS)
		return false;
	if (command->kind == HERD_STOP)
		herd->ramping = false;
	if (command->kind == HERD_DISABLE_REDUNDANCY)
		herd->config.redundancy.enabled = false;
	herd->job[herd->jobs++] = *command;
	return true;
}

uint64_t herd_next_us(const struct herd *herd, uint64_t limit_us)
{
	if (herd->jobs > 0)
		return 0;
	uint64_t next_us = limit_us;
	if (herd->ramping && herd->next_start < herd->phones) {
		uint64_t start_us = pacer_planned_us(
			&herd->pacer, herd_index(herd, herd->next_start));
		next_us = start_us < next_us ? start_us : next_us;
	}
	uint64_t visit_us = deadline_us(herd, wheel_now_ms(herd->wheel));
	if (visit_us >= next_us)
		return next_us;
	uint64_t within_ms = (next_us - visit_us) / 1000 + 1;
	uint32_t horizon = within_ms < WHEEL_SLOTS ? (uint32_t)within_ms : WHEEL_SLOTS;
	uint64_t timer_us = deadline_us(herd, wheel_next_ms(herd->wheel, horizon));
	return timer_us < next_us ? timer_us : next_us;
}

bool herd_is_quiet(const struct herd *herd)
{
	return herd->stopped && herd->unregistering == 0;
}

const struct herd_counters *herd_counters(const struct herd *herd)
{
	return &herd->counters;
}

const struct herd_population *herd_population(const struct herd *herd)
{
	return &herd->population;
}

const struct herd_histograms *herd_histograms(const struct herd *herd)
{
	return &herd->histograms;
}

const struct phone *herd_phone(const struct herd *herd, uint32_t index)
{
	if (index < herd->config.first)
		return NULL;
	uint32_t local = herd_local(herd, index);
	if (local >= herd->phones || herd_index(herd, local) != index)
		return NULL;
	return &herd->phone[local];
}

uint64_t herd_memory(const struct herd *herd)
{
	return sizeof(*herd) +
	       (uint64_t)herd->phones * (sizeof(struct phone) + sizeof(struct phone_auth)) +
	       wheel_memory(herd->wheel) + messages_memory(herd->messages) +
	       credentials_memory(herd->credentials);
}
