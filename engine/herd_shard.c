/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose phones they are, and which of them are on: shards that wait for the ramp, that are driven, and
 * that are being left. */
#include "herd_internal.h"

#define NOBODY UINT32_MAX
#define NO_PLAN UINT32_MAX /* instead of the first phone of a plan: as soon as the rate allows */

void herd_shards_empty(struct herd *herd)
{
	herd->adopting = (struct herd_list){NOBODY, NOBODY};
	herd->leaving = (struct herd_list){NOBODY, NOBODY};
}

static void list_push(struct herd *herd, struct herd_list *list, uint32_t shard)
{
	struct herd_shard *s = &herd->shard[shard];
	s->previous = list->tail;
	s->next = NOBODY;
	if (list->tail == NOBODY)
		list->head = shard;
	else
		herd->shard[list->tail].next = shard;
	list->tail = shard;
}

static void list_remove(struct herd *herd, struct herd_list *list, uint32_t shard)
{
	const struct herd_shard *s = &herd->shard[shard];
	if (s->previous == NOBODY)
		list->head = s->next;
	else
		herd->shard[s->previous].next = s->next;
	if (s->next == NOBODY)
		list->tail = s->previous;
	else
		herd->shard[s->next].previous = s->previous;
}

static uint32_t shard_first_local(const struct herd *herd, uint32_t shard)
{
	return herd_first_local(herd, (uint64_t)shard * SHARD_PHONES);
}

/* The ramp and the walk of those that leave each stand in the first shard of their list. */
static void ramp_next(struct herd *herd)
{
	if (herd->adopting.head != NOBODY)
		herd->next_start = shard_first_local(herd, herd->adopting.head);
}

static void leave_next(struct herd *herd)
{
	if (herd->leaving.head != NOBODY)
		herd->next_leave = shard_first_local(herd, herd->leaving.head);
}

/* A shard may have phones of several herds of this worker, which is the only one to write here: it
 * counts those that drive it. */
static void count_driven(struct herd *herd, uint32_t shard, int more)
{
	struct mirror *mirror = herd->config.mirror;
	if (mirror == NULL)
		return;
	_Atomic uint8_t
		*driven = &mirror->driven[(size_t)shard * mirror->workers + herd->config.worker];
	const int now = atomic_load_explicit(driven, memory_order_relaxed) + more;
	atomic_store_explicit(driven, (uint8_t)now, memory_order_release);
}

void herd_set_pace(struct herd *herd, uint32_t per_s)
{
	const struct herd_config *config = &herd->config;
	pacer_set(&herd->pacer, per_s);
	pacer_share(&herd->pacer, config->end - config->begin, config->fleet_phones);
}

static void wait_for_ramp(struct herd *herd, uint32_t shard)
{
	const bool alone = herd->adopting.head == NOBODY;
	herd->shard[shard].state = SHARD_WAITING;
	herd->shard[shard].touched = true;
	list_push(herd, &herd->adopting, shard);
	if (alone)
		ramp_next(herd);
}

static void adopt_shard(struct herd *herd, uint32_t shard, uint32_t first, uint64_t begin_us)
{
	struct herd_shard *s = &herd->shard[shard];
	if (s->state == SHARD_WAITING || s->state == SHARD_OURS || s->again)
		return;
	s->begin_us = begin_us;
	s->first = first;
	if (s->state == SHARD_AWAY)
		count_driven(herd, shard, 1);
	/* Those that are still being left are switched off before they start. */
	if (s->state == SHARD_LEAVING) {
		s->again = true;
		return;
	}
	s->end = shard_first_local(herd, shard);
	wait_for_ramp(herd, shard);
}

static void stop_waiting(struct herd *herd, uint32_t shard)
{
	const bool first = herd->adopting.head == shard;
	list_remove(herd, &herd->adopting, shard);
	if (first)
		ramp_next(herd);
}

static void release_shard(struct herd *herd, uint32_t shard)
{
	struct herd_shard *s = &herd->shard[shard];
	s->again = false;
	if (s->state == SHARD_AWAY || s->state == SHARD_LEAVING)
		return;
	if (s->state == SHARD_WAITING)
		stop_waiting(herd, shard);
	const bool alone = herd->leaving.head == NOBODY;
	s->state = SHARD_LEAVING;
	list_push(herd, &herd->leaving, shard);
	if (alone)
		leave_next(herd);
}

/* The first phone of this herd in a command's range. */
static uint32_t first_of(const struct herd *herd, const struct herd_command *command)
{
	return command->first > herd->config.begin ? command->first : herd->config.begin;
}

/* Shards of this herd that a command's range touches: from `first` to just before `end`. */
static void range_of(
	const struct herd *herd, const struct herd_command *command, uint32_t *first, uint32_t *end)
{
	const uint32_t begin = first_of(herd, command);
	uint64_t after = (uint64_t)command->first + command->count;
	if (after > herd->config.end)
		after = herd->config.end;
	*first = begin / SHARD_PHONES;
	*end = after > begin ? (uint32_t)((after - 1) / SHARD_PHONES) + 1 : *first;
}

void herd_adopt(struct herd *herd, const struct herd_command *command)
{
	uint32_t first, end;
	if (herd->stopping)
		return;
	range_of(herd, command, &first, &end);
	for (uint32_t shard = first; shard < end; shard++)
		adopt_shard(herd, shard, first_of(herd, command), command->begin_us);
}

void herd_release(struct herd *herd, const struct herd_command *command)
{
	uint32_t first, end;
	range_of(herd, command, &first, &end);
	for (uint32_t shard = first; shard < end; shard++)
		release_shard(herd, shard);
}

void herd_end_ramp(struct herd *herd)
{
	while (herd->adopting.head != NOBODY) {
		const uint32_t shard = herd->adopting.head;
		list_remove(herd, &herd->adopting, shard);
		herd->shard[shard].state = SHARD_OURS;
	}
}

bool herd_is_leaving(const struct herd *herd)
{
	return herd->leaving.head != NOBODY;
}

void herd_reached(struct herd *herd, uint32_t local)
{
	struct herd_shard *s = &herd->shard[herd_index(herd, local) / SHARD_PHONES];
	if (s->end <= local)
		s->end = local + 1;
}

void herd_power_on(struct herd *herd, uint32_t local, uint64_t planned_us, uint32_t boot_ms)
{
	struct phone *phone = &herd->phone[local];
	herd_reached(herd, local);
	if (phone->flags & PHONE_UNREGISTER_PENDING) {
		phone->flags |= PHONE_RESTART;
		phone->register_next_ms = boot_ms;
	} else {
		herd_record_recall(herd, local);
		herd_start_phone(herd, local, planned_us, boot_ms);
	}
}

/* --- The ramp --- */

/* Local index at which the ramp is through with the first of its shards. */
static uint32_t ramp_end(const struct herd *herd)
{
	const uint32_t end = shard_first_local(herd, herd->adopting.head + 1);
	return end < herd->limit_local ? end : herd->limit_local;
}

/* The ramp passes by who is on, who is about to be, and who is kept off. */
static bool may_start(const struct phone *phone)
{
	return phone->state == PHONE_OFF && !(phone->flags & PHONE_RESTART) &&
	       phone->hold == PHONE_HOLD_NONE;
}

/* When the phone is planned that the ramp has come to: as its ADOPT says, but never sooner after the
 * one before than the rate allows. The other slices have their turns in between. */
static uint64_t planned_next_us(const struct herd *herd)
{
	const struct herd_shard *s = &herd->shard[herd->adopting.head];
	const uint32_t index = herd_index(herd, herd->next_start);
	uint64_t planned_us = s->begin_us +
			      pacer_after_us(&herd->pacer, index > s->first ? index - s->first : 0);
	if (planned_us < herd->ramp_floor_us)
		planned_us = herd->ramp_floor_us;
	const uint64_t after_us = herd->ramp_last_us +
				  pacer_after_us(&herd->pacer, herd->config.stride);
	return herd->ramp_began && planned_us < after_us ? after_us : planned_us;
}

bool herd_ramp_next(const struct herd *herd, uint64_t *planned_us)
{
	if (herd->adopting.head == NOBODY || herd->paused)
		return false;
	/* Nobody to start is due at once: the next phone's turn, or the next shard's. */
	if (herd->next_start >= ramp_end(herd) || !may_start(&herd->phone[herd->next_start]))
		*planned_us = 0;
	else
		*planned_us = planned_next_us(herd);
	return true;
}

uint32_t herd_advance_ramp(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	uint64_t planned_us;
	while (done < budget && herd_ramp_next(herd, &planned_us) && planned_us <= herd->now_us) {
		done++;
		if (herd->next_start >= ramp_end(herd)) {
			const uint32_t shard = herd->adopting.head;
			herd->shard[shard].state = SHARD_OURS;
			stop_waiting(herd, shard);
			continue;
		}
		const uint32_t local = herd->next_start++;
		if (!may_start(&herd->phone[local]))
			continue;
		herd->ramp_last_us = planned_us;
		herd->ramp_began = true;
		herd_power_on(herd, local, planned_us, herd->now_ms);
		herd_queue(herd, local);
	}
	return done;
}

/* The slices take turns, so that each begins a little later than the one before. Only after a rest:
 * whoever has started a phone just now goes on from there, and however often somebody turns the rate,
 * a phone's turn comes. */
static void set_floor(struct herd *herd)
{
	const uint64_t turn_us = pacer_after_us(&herd->pacer, herd->config.stride);
	const uint64_t floor_us = herd->now_us + pacer_after_us(&herd->pacer,
							 herd->config.first - herd->config.begin);
	if (herd->ramp_began && herd->now_us < herd->ramp_last_us + 2 * turn_us)
		herd->ramp_floor_us = herd->now_us;
	else if (herd->ramp_floor_us <= herd->now_us || herd->ramp_floor_us > floor_us)
		herd->ramp_floor_us = floor_us;
}

/* The rate is another one from now on, or time has gone by in a pause: what was planned before is
 * not made up for, phones follow one another. An ADOPT whose time is still to come waits for it. */
static void plan_again(struct herd *herd)
{
	set_floor(herd);
	for (uint32_t i = herd->adopting.head; i != NOBODY; i = herd->shard[i].next) {
		struct herd_shard *s = &herd->shard[i];
		if (s->begin_us > herd->now_us)
			continue;
		s->begin_us = herd->now_us;
		s->first = NO_PLAN;
	}
}

void herd_set_ramp(struct herd *herd, uint32_t per_s)
{
	herd_set_pace(herd, per_s);
	plan_again(herd);
}

void herd_set_paused(struct herd *herd, bool paused)
{
	if (herd->paused && !paused)
		plan_again(herd);
	herd->paused = paused;
}

/* The ramp walks the whole shard again: it passes by who is on. */
static void start_rest(struct herd *herd, uint32_t shard, uint32_t first)
{
	struct herd_shard *s = &herd->shard[shard];
	if (s->state == SHARD_WAITING && herd->adopting.head == shard)
		herd->next_start = shard_first_local(herd, shard);
	if (s->state != SHARD_OURS)
		return;
	s->begin_us = herd->now_us;
	s->first = first;
	wait_for_ramp(herd, shard);
}

void herd_set_limit(struct herd *herd, uint32_t limit)
{
	const uint32_t before = herd->limit;
	herd->limit = limit < herd->config.end ? limit : herd->config.end;
	herd->limit_local = herd_first_local(herd, herd->limit);
	const uint32_t from = before > herd->config.begin ? before : herd->config.begin;
	if (herd->stopping || herd->limit <= from)
		return;
	for (uint32_t i = from / SHARD_PHONES; i <= (herd->limit - 1) / SHARD_PHONES; i++)
		start_rest(herd, i, from);
}

static void leave_ended(struct herd *herd)
{
	const uint32_t shard = herd->leaving.head;
	const bool again = herd->shard[shard].again && !herd->stopping;
	list_remove(herd, &herd->leaving, shard);
	herd->shard[shard].state = SHARD_AWAY;
	herd->shard[shard].again = false;
	if (again) {
		herd->shard[shard].end = shard_first_local(herd, shard);
		wait_for_ramp(herd, shard);
	} else {
		count_driven(herd, shard, -1);
	}
	leave_next(herd);
}

uint32_t herd_advance_leaving(struct herd *herd, uint32_t budget)
{
	uint32_t done = 0;
	const struct occasion occasion = {.planned_us = herd->now_us};
	while (herd->leaving.head != NOBODY && done < budget) {
		done++;
		if (herd->next_leave == herd->shard[herd->leaving.head].end) {
			leave_ended(herd);
			continue;
		}
		herd_step(herd, herd->next_leave++, EVENT_STOP, &occasion);
	}
	return done;
}
