/* SPDX-License-Identifier: BSD-3-Clause */
/* A herd's life: creation, the passing of time, what can be asked of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "herd_internal.h"
#include "memory.h"

#define TAKE 64     /* wheel entries taken at once */
#define PREFETCH 12 /* how many of them ahead the records are fetched, */
#define NEAR 5      /* and what these lead to */

void herd_set_time(struct herd *herd, uint64_t now_us)
{
	if (now_us >= herd->step_end_us)
		herd_end_steps(herd, now_us);
	herd->now_us = now_us;
	herd->now_ms = (uint32_t)(now_us / 1000);
}

static uint32_t slice_size(const struct herd_config *config)
{
	if (config->first >= config->end)
		return 0;
	return (config->end - config->first - 1) / config->stride + 1;
}

#define LINE 64 /* bytes of a cache line, and of a record */

int herd_create(
	struct herd **out, const struct herd_config *config, const struct herd_output *output)
{
	if (config->stride == 0 || (uint64_t)config->stride * config->fleet_phones >> 40 != 0 ||
		config->keepalive_jitter_percent > 100)
		return -EINVAL;
	struct herd *herd = calloc(1, sizeof(*herd));
	if (herd == NULL)
		return -ENOMEM;
	herd->config = *config;
	herd->config.end = herd_config_end(config);
	herd->output = *output;
	herd->phones = slice_size(&herd->config);
	herd->stride_inverse = ((1ull << 40) + config->stride - 1) / config->stride;
	uint32_t n = herd->phones ? herd->phones : 1;
	herd->shards = herd->config.end / SHARD_PHONES + 1;
	herd->shard = calloc(herd->shards, sizeof(*herd->shard));
	herd_shards_empty(herd);
	herd->record = config->mirror != NULL ? config->mirror->record : NULL;
	herd->step_end_us = SERIES_STEP_US;
	herd_set_pace(herd, config->ramp_per_s);
	static_assert(sizeof(struct phone) == LINE && sizeof(struct phone_auth) == LINE, "records");
	/* Memory of phones that another generator drives is never touched. */
	herd->phone = memory_take((size_t)n * LINE);
	herd->auth = memory_take((size_t)n * LINE);
	herd->limit = herd->config.end;
	herd->limit_local = herd->phones;
	/* A phone has one live entry and seldom more than one that it has moved on from. */
	herd->timers = n > UINT32_MAX / 4 ? UINT32_MAX / 2 : 2 * n + HERD_SPARE_TIMERS;
	herd->wheel = wheel_create(herd->timers, 0);
	bool opened = herd_open_held(herd) == 0;
	for (int p = 0; p < PROXIES; p++)
		opened &= scan_learned_open(&herd->learned[p]) == 0;
	herd->credentials = credentials_create(n, config->identities, config->domain);
	herd->messages = messages_create(&herd->config);
	if (herd->shard == NULL || herd->phone == NULL || herd->auth == NULL ||
		herd->wheel == NULL || herd->credentials == NULL || herd->messages == NULL ||
		!opened) {
		herd_free(herd);
		return -ENOMEM;
	}
	herd_histograms_reset(&herd->histograms);
	herd->population.phones[PHONE_OFF][PROXY_PRIMARY] = herd->phones;
	*out = herd;
	return 0;
}

/* HA1 is as good as a password. */
static void wipe(struct herd *herd)
{
	for (uint32_t i = herd->config.begin / SHARD_PHONES; i < herd->shards; i++) {
		const uint32_t first = herd_first_local(herd, (uint64_t)i * SHARD_PHONES);
		const uint32_t end = herd_first_local(herd, (i + 1ull) * SHARD_PHONES);
		if (herd->shard[i].touched)
			explicit_bzero(
				herd->auth + first, (end - first) * sizeof(struct phone_auth));
	}
}

void herd_free(struct herd *herd)
{
	if (herd == NULL)
		return;
	jitter_line_close(&herd->held);
	for (int p = 0; p < PROXIES; p++)
		scan_learned_close(&herd->learned[p]);
	messages_free(herd->messages);
	credentials_free(herd->credentials);
	wheel_free(herd->wheel);
	if (herd->auth != NULL && herd->shard != NULL)
		wipe(herd);
	const size_t records = herd->phones ? herd->phones : 1;
	memory_give(herd->auth, records * LINE);
	memory_give(herd->phone, records * LINE);
	free(herd->shard);
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
			herd->asked[phone_active(phone)].register_timeout++;
			herd_count_finished(herd, phone_active(phone), false);
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
			const enum proxy target = redundancy_keepalive_target(
				&herd->config.redundancy, phone);
			herd->counters.options_silent++;
			herd->asked[target].options_timeout++;
			herd_count_finished(herd, target, false);
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
	herd->queued--;
	fire_unregister(herd, local, slot_ms);
	fire_register(herd, local, slot_ms);
	fire_keepalive(herd, local, slot_ms);
	herd_queue(herd, local);
}

static void fetch(const struct herd *herd, uint32_t local)
{
	__builtin_prefetch(&herd->phone[local], 1);
	if (herd->record != NULL)
		__builtin_prefetch(&herd->record[herd_index(herd, local)], 1);
}

/* When its record has come: a REGISTER reads what it authenticates with, too. */
static void fetch_near(const struct herd *herd, uint32_t local, uint32_t slot_ms)
{
	const struct phone *phone = &herd->phone[local];
	if ((phone->flags & (PHONE_REGISTER_ARMED | PHONE_REGISTER_PENDING)) &&
		!time_before(slot_ms, phone->register_next_ms))
		__builtin_prefetch(&herd->auth[local], 1);
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
			fetch(herd, entry[i]);
		for (uint32_t i = 0; i < n; i++) {
			if (i + PREFETCH < n)
				fetch(herd, entry[i + PREFETCH]);
			if (i + NEAR < n)
				fetch_near(herd, entry[i + NEAR], slot_ms);
			fire(herd, entry[i], slot_ms);
		}
		done += n;
	}
	return done;
}

bool herd_advance(struct herd *herd, uint64_t now_us, uint32_t budget)
{
	herd_set_time(herd, now_us);
	uint32_t done = herd_advance_leaving(herd, budget);
	if (herd_is_muted(herd)) {
		done += herd_advance_muted_jobs(herd, budget - done);
		herd->spent = done;
		return done < budget;
	}
	/* Before timers: what comes at the moment of a time-out has come in time. Besides the budget,
	 * like what comes from the wire, so that timers are not late for it. */
	uint32_t held = 0;
	if (herd->held.next_ms <= herd->now_us / 1000)
		held = herd_advance_held(herd, budget);
	done += herd_advance_jobs(herd, budget - done);
	done += herd_advance_ramp(herd, budget - done);
	done += advance_wheel(herd, budget - done);
	herd->spent = done;
	return done < budget && held < budget;
}

bool herd_command(struct herd *herd, const struct herd_command *command, uint64_t now_us)
{
	herd_set_time(herd, now_us);
	switch (command->kind) {
	case HERD_START:
		herd_adopt(herd, &(struct herd_command){
					 .count = herd->config.fleet_phones, .begin_us = now_us});
		return true;
	case HERD_ADOPT:
		herd_adopt(herd, command);
		return true;
	case HERD_RELEASE:
		herd_release(herd, command);
		return true;
	case HERD_RAMP:
		herd_set_ramp(herd, command->count);
		return true;
	case HERD_PAUSE:
		herd_set_paused(herd, command->count != 0);
		return true;
	case HERD_IMPAIR:
		herd_impair(herd, (enum proxy)command->proxy, &command->impairment);
		return true;
	case HERD_SET_PROXY:
		herd->config.proxy[command->proxy].address = command->address;
		return true;
	default:
		return herd_add_job(herd, command);
	}
}

uint32_t herd_spent(const struct herd *herd)
{
	return herd->spent;
}

uint64_t herd_next_us(const struct herd *herd, uint64_t limit_us)
{
	const bool muted = herd_is_muted(herd);
	if (herd_is_leaving(herd) || (herd->jobs > 0 && (!muted || herd->stopping)))
		return 0;
	uint64_t next_us = limit_us, start_us;
	if (muted)
		return next_us;
	if (herd_ramp_next(herd, &start_us))
		next_us = start_us < next_us ? start_us : next_us;
	if (herd->held.next_ms <= next_us / 1000)
		next_us = herd->held.next_ms * 1000;
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
	/* Without a lease nobody can say goodbye any more. */
	return herd->stopped && (herd->unregistering == 0 || herd_is_muted(herd));
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

static_assert(sizeof(struct herd_histograms) % sizeof(struct histogram) == 0, "an array");
enum { HISTOGRAMS = sizeof(struct herd_histograms) / sizeof(struct histogram) };

void herd_histograms_reset(struct herd_histograms *histograms)
{
	struct histogram *h = (struct histogram *)histograms;
	for (uint32_t i = 0; i < HISTOGRAMS; i++)
		histogram_reset(&h[i]);
}

void herd_histograms_merge(struct herd_histograms *into, const struct herd_histograms *from)
{
	struct histogram *a = (struct histogram *)into;
	const struct histogram *b = (const struct histogram *)from;
	for (uint32_t i = 0; i < HISTOGRAMS; i++)
		histogram_merge(&a[i], &b[i]);
}

void herd_histograms_copy(struct herd_histograms *copy, const struct herd_histograms *now)
{
	struct histogram *a = (struct histogram *)copy;
	const struct histogram *b = (const struct histogram *)now;
	for (uint32_t i = 0; i < HISTOGRAMS; i++) {
		if (a[i].count != b[i].count)
			a[i] = b[i];
	}
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
	const struct mirror *mirror = herd->config.mirror;
	const uint64_t share = mirror != NULL ? mirror_memory(mirror) / mirror->workers *
							(herd->config.end - herd->config.begin) /
							mirror->phones
					      : 0;
	/* Of other herds' shards there is nothing but address space. */
	const uint64_t shards = herd->shards - herd->config.begin / SHARD_PHONES;
	return sizeof(*herd) + share + shards * sizeof(struct herd_shard) +
	       (uint64_t)herd->phones * (sizeof(struct phone) + sizeof(struct phone_auth)) +
	       wheel_memory(herd->wheel) + messages_memory(herd->messages) +
	       credentials_memory(herd->credentials) + jitter_line_memory() +
	       PROXIES * scan_learned_memory(&herd->learned[0]);
}
