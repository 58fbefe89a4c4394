/* SPDX-License-Identifier: BSD-3-Clause */
/* Every phone's moments in each wave, from the mirror's records and transitions. */
#include "wave_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_UNIT_MS 10000u /* of waves.left, which holds one more */

static uint64_t unix_ms_at(const struct waves *waves, uint64_t now_us)
{
	const uint64_t start_us = atomic_load_explicit(
		&waves->mirror->unix_start_us, memory_order_relaxed);
	return (start_us + now_us) / 1000;
}

/* Word 0 of a record, taken apart. A record that nobody has written is of a
 * phone that never was on. */
struct glimpse {
	uint8_t registered, tried, phase;
	uint16_t number; /* of its newest transition */
};

static struct glimpse look_at(const struct waves *waves, uint32_t phone)
{
	const uint64_t word = be64toh(
		atomic_load_explicit(&waves->mirror->record[phone].word[0], memory_order_relaxed));
	const uint8_t byte = (uint8_t)(word >> 56);
	if (byte >> 5 != RECORD_VERSION)
		return (struct glimpse){.phase = PHONE_OFF};
	return (struct glimpse){
		byte & 3, byte >> 2 & 3, (uint8_t)(word >> 48), (uint16_t)(word >> 16)};
}

static void take_sums(struct wave_sums *out, const struct wave_totals *totals)
{
	out->herd = *totals->herd;
	memcpy(out->proxy, totals->proxy, sizeof(out->proxy));
	out->not_sent = totals->not_sent;
	out->lines_dropped = totals->lines_dropped;
	memcpy(out->bound, totals->bound, sizeof(out->bound));
	out->has_bound = totals->has_bound;
}

/* Phones of other generators have records too, and are none of ours. */
static void note_registered(struct waves *waves)
{
	for (uint32_t shard = 0; shard < waves->mirror->shards; shard++) {
		if (mirror_shard_stopped(waves->mirror, shard))
			continue;
		const uint32_t first = shard * SHARD_PHONES;
		const uint32_t end = first + mirror_shard_phones(waves->mirror, shard);
		for (uint32_t i = first; i < end; i++)
			if (look_at(waves, i).registered != 0)
				waves->was_registered[i / 64] |= 1ull << i % 64;
	}
}

int waves_open(struct waves **out, const struct drill_plan *plan, const struct drill_fleet *fleet,
	const struct mirror *mirror, const struct wave_totals *totals, uint64_t now_us)
{
	struct waves *waves = calloc(1, sizeof(*waves));
	if (waves == NULL)
		return -ENOMEM;
	waves->plan = plan;
	waves->fleet = fleet;
	waves->mirror = mirror;
	waves->open_us = now_us;
	take_sums(&waves->before, totals);
	waves->left = calloc(mirror->phones, sizeof(waves->left[0]));
	waves->was_registered = calloc(mirror->phones / 64 + 1, sizeof(uint64_t));
	if (waves->left == NULL || waves->was_registered == NULL || wave_series_open(waves) != 0) {
		waves_close(waves);
		return -ENOMEM;
	}
	note_registered(waves);
	*out = waves;
	return 0;
}

void waves_close(struct waves *waves)
{
	if (waves == NULL)
		return;
	for (uint32_t i = 0; i < DRILL_WAVES_MAX; i++) {
		free(waves->wave[i].phone);
		free(waves->wave[i].before);
		json_decref(waves->wave[i].json);
	}
	wave_series_close(waves);
	free(waves->left);
	free(waves->was_registered);
	free(waves);
}

/* --- A wave begins --- */

/* Who is in order: a phone is in the wave when it could do what the wave is about. */
static bool is_concerned(const struct drill_wave *wave, struct glimpse now)
{
	if (wave->kind == WAVE_RESCUE)
		return now.registered == 0 && now.phase != PHONE_OFF;
	return now.registered != 0 && (wave->from >= PROXIES || now.registered == 1 + wave->from);
}

static struct wave_phone first_look(const struct drill_wave *wave, struct glimpse now, bool drives)
{
	struct wave_phone phone = {.detect_ms = WAVE_NEVER,
		.register_ms = WAVE_NEVER,
		.back_ms = WAVE_NEVER,
		.number = now.number,
		.end = now.registered & 3u,
		.tried = now.tried & 3u};
	phone.concerned = drives && is_concerned(wave, now);
	/* Whose REGISTER is on its way to the proxy that serves again is in time. */
	if (wave->kind == WAVE_RESCUE && now.phase == PHONE_REGISTERING &&
		now.tried == 1 + wave->to)
		phone.register_ms = 0;
	return phone;
}

static void look_at_all(struct waves *waves, uint32_t index)
{
	const struct drill_wave *wave = &waves->plan->wave[index];
	const struct impairment share = {.share_ppm = wave->share_ppm};
	struct wave_state *state = &waves->wave[index];
	for (uint32_t shard = 0; shard < waves->mirror->shards; shard++) {
		const bool ours = !mirror_shard_stopped(waves->mirror, shard);
		const uint32_t first = shard * SHARD_PHONES;
		const uint32_t end = first + mirror_shard_phones(waves->mirror, shard);
		for (uint32_t i = first; i < end; i++) {
			const bool drives = ours && impairment_concerns(&share, i);
			state->phone[i] = first_look(wave, look_at(waves, i), drives);
			state->progress.concerned += state->phone[i].concerned;
		}
	}
}

/* Room for one more: the moments of the waves that ended first are let go. */
static void let_go(struct waves *waves)
{
	const uint64_t each = waves->mirror->phones * (uint64_t)sizeof(struct wave_phone);
	uint64_t kept = each;
	for (uint32_t i = 0; i < waves->plan->waves; i++)
		kept += waves->wave[i].phone != NULL ? each : 0;
	for (uint32_t i = 0; i < waves->plan->waves && kept > KEPT_BYTES_MAX; i++) {
		struct wave_state *state = &waves->wave[i];
		if (!state->ended || state->phone == NULL)
			continue;
		free(state->phone);
		state->phone = NULL;
		kept -= each;
	}
}

int waves_begin(
	struct waves *waves, uint32_t wave, const struct wave_totals *totals, uint64_t now_us)
{
	if (wave >= waves->plan->waves || waves->wave[wave].begun)
		return -EINVAL;
	struct wave_state *state = &waves->wave[wave];
	let_go(waves);
	state->phone = malloc(waves->mirror->phones * sizeof(state->phone[0]));
	state->before = malloc(sizeof(*state->before));
	if (state->phone == NULL || state->before == NULL) {
		free(state->phone);
		free(state->before);
		state->phone = NULL;
		state->before = NULL;
		return -ENOMEM;
	}
	wave_histograms_take(state->before, totals->histograms);
	state->begin_us = now_us;
	state->begin_unix_ms = unix_ms_at(waves, now_us);
	state->begun = true;
	look_at_all(waves, wave);
	waves->open[waves->opened++] = wave;
	return 0;
}

void waves_began(struct waves *waves, uint32_t wave, uint64_t now_us)
{
	struct wave_state *state = &waves->wave[wave];
	state->begin_us = now_us;
	state->begin_unix_ms = unix_ms_at(waves, now_us);
}

/* --- Transitions --- */

/* A phone that registers again has left what it was registered at for the proxy that the wave leads to. */
static bool leads_on(const struct drill_wave *wave, const struct mirror_line *line)
{
	const unsigned tried = line->to >> 2;
	if (wave->kind == WAVE_RESCUE)
		return wave->to >= PROXIES || tried == 1u + wave->to;
	if (wave->kind == WAVE_POWER || wave->kind == WAVE_WATCH || wave->from >= PROXIES)
		return true;
	return tried != 1u + wave->from;
}

static bool arrives(const struct drill_wave *wave, const struct mirror_line *line)
{
	const unsigned registered = line->to & 3;
	return line->phase == PHONE_REGISTERED &&
	       (wave->kind != WAVE_FAIL_BACK || registered == 1u + wave->to);
}

static void note_moment(struct wave_state *state, const struct drill_wave *wave,
	const struct mirror_line *line, uint32_t ms)
{
	struct wave_phone *phone = &state->phone[line->phone];
	if (line->phase != PHONE_REGISTERED && phone->detect_ms == WAVE_NEVER &&
		(line->from & 3) != 0) {
		phone->detect_ms = ms;
		state->progress.detected++;
	}
	const bool away = phone->detect_ms != WAVE_NEVER || wave->kind == WAVE_RESCUE;
	if (!away)
		return;
	if (line->phase == PHONE_REGISTERING && phone->register_ms == WAVE_NEVER &&
		leads_on(wave, line))
		phone->register_ms = ms;
	if (phone->back_ms == WAVE_NEVER && arrives(wave, line))
		phone->back_ms = ms;
}

/* Whoever was back and is lost again is out, as at the wave's end. */
static bool is_back_now(const struct drill_wave *wave, const struct wave_phone *phone)
{
	return phone->concerned && phone->back_ms != WAVE_NEVER && wave_is_back(wave, phone);
}

static void see(struct waves *waves, uint32_t wave, const struct mirror_line *line)
{
	struct wave_state *state = &waves->wave[wave];
	const uint64_t unix_ms = line->at >> 16, begin_ms = state->begin_unix_ms;
	const uint64_t ms = unix_ms > begin_ms ? unix_ms - begin_ms : 0;
	const struct drill_wave *w = &waves->plan->wave[wave];
	struct wave_phone *phone = &state->phone[line->phone];
	/* It was in the feed already, and the record that was looked at knew it. Its time does not tell: a
	 * worker that was held up tells late what it has done. */
	if ((int16_t)((uint16_t)line->at - phone->number) <= 0)
		return;
	phone->number = (uint16_t)line->at;
	const bool was_back = is_back_now(w, phone);
	phone->end = line->to & 3;
	phone->tried = line->to >> 2 & 3;
	/* All of them while the wave is open; its end takes off the first. */
	if (line->phase == PHONE_SWITCHING)
		phone->flaps += phone->flaps < UINT8_MAX;
	if (phone->concerned)
		note_moment(state, w, line, ms < WAVE_NEVER ? (uint32_t)ms : WAVE_NEVER - 1);
	state->progress.back += (uint32_t)is_back_now(w, phone) - (uint32_t)was_back;
}

/* A proxy that a phone has left keeps its binding, unless the phone says Expires 0. */
static void note_binding(struct waves *waves, const struct mirror_line *line)
{
	const unsigned from = line->from & 3, to = line->to & 3;
	const uint64_t open_ms = unix_ms_at(waves, waves->open_us), at_ms = line->at >> 16;
	uint16_t *left = waves->left[line->phone];
	if (from != 0 && to == 0 && from <= PROXIES) {
		const bool off = line->cause == RECORD_REBOOT || line->cause == RECORD_STOPPED;
		const bool goodbye = line->cause == RECORD_KEEPALIVE_ANSWER ||
				     (off && waves->fleet->herd->unregister);
		const uint64_t at = at_ms > open_ms ? (at_ms - open_ms) / LEFT_UNIT_MS : 0;
		left[from - 1] = goodbye ? 0
					 : (uint16_t)(1 + (at < UINT16_MAX ? at : UINT16_MAX - 1));
	}
	if (to != 0 && to <= PROXIES)
		left[to - 1] = 0;
}

void waves_line(struct waves *waves, const struct mirror_line *line)
{
	if (line->phone >= waves->mirror->phones || waves->finished)
		return;
	note_binding(waves, line);
	for (uint32_t i = 0; i < waves->opened; i++)
		see(waves, waves->open[i], line);
}

/* --- A wave ends --- */

uint32_t wave_lasted_ms(const struct wave_state *state)
{
	const uint64_t ms = (state->end_us - state->begin_us) / 1000;
	return ms < WAVE_NEVER ? (uint32_t)ms : WAVE_NEVER - 1;
}

bool wave_is_back(const struct drill_wave *wave, const struct wave_phone *phone)
{
	if (wave->kind == WAVE_WATCH)
		return phone->end != 0;
	if (wave->kind == WAVE_FAIL_BACK)
		return phone->back_ms != WAVE_NEVER && phone->end == 1 + wave->to;
	return phone->back_ms != WAVE_NEVER && phone->end != 0;
}

static bool breaks(const struct drill_step *step)
{
	static const struct registrar_faults healthy;
	switch (step->act) {
	case DRILL_ACT_IMPAIR:
		return step->impairment.share_ppm > 0;
	case DRILL_ACT_FAULTS:
		return memcmp(&step->faults, &healthy, sizeof(healthy)) != 0;
	default:
		return step->act == DRILL_ACT_HOOK;
	}
}

bool wave_primary_serves(const struct waves *waves, uint32_t wave)
{
	const uint64_t end_ms = (waves->wave[wave].end_us - waves->open_us) / 1000;
	const uint64_t until_ms = waves->plan->wave[wave].until_ms;
	/* It ends when the next step is due, and a little later than that. */
	const uint64_t now_ms = end_ms < until_ms ? end_ms : until_ms;
	/* Impairments, faults and hooks are each restored by themselves. */
	bool impaired = false, faulty = false, hooked = false;
	for (uint32_t i = 0; i < waves->plan->steps; i++) {
		const struct drill_step *step = &waves->plan->step[i];
		if (step->at_ms >= now_ms || step->proxy != PROXY_PRIMARY)
			continue;
		if (step->act == DRILL_ACT_IMPAIR)
			impaired = breaks(step);
		else if (step->act == DRILL_ACT_FAULTS)
			faulty = breaks(step);
		else if (step->act == DRILL_ACT_HOOK || step->act == DRILL_ACT_UNDO)
			hooked = breaks(step);
	}
	return !impaired && !faulty && !hooked;
}

/* Phones that another generator has taken over meanwhile: what becomes of them is not seen here. */
static void let_go_elsewhere(
	const struct waves *waves, const struct drill_wave *wave, struct wave_state *state)
{
	struct wave_progress *progress = &state->progress;
	for (uint32_t shard = 0; shard < waves->mirror->shards; shard++) {
		if (!mirror_shard_stopped(waves->mirror, shard))
			continue;
		const uint32_t first = shard * SHARD_PHONES;
		const uint32_t end = first + mirror_shard_phones(waves->mirror, shard);
		for (uint32_t i = first; i < end; i++) {
			struct wave_phone *phone = &state->phone[i];
			if (!phone->concerned)
				continue;
			progress->concerned--;
			progress->detected -= phone->detect_ms != WAVE_NEVER;
			progress->back -= is_back_now(wave, phone);
			phone->concerned = 0;
		}
	}
}

void waves_end(
	struct waves *waves, uint32_t wave, const struct wave_totals *totals, uint64_t now_us)
{
	if (wave >= waves->plan->waves || !waves->wave[wave].begun || waves->wave[wave].ended)
		return;
	struct wave_state *state = &waves->wave[wave];
	state->ended = true;
	state->end_us = now_us;
	let_go_elsewhere(waves, &waves->plan->wave[wave], state);
	for (uint32_t i = 0; i < waves->mirror->phones; i++)
		state->phone[i].flaps -= state->phone[i].flaps > 0;
	struct wave_histograms *after = malloc(sizeof(*after));
	if (after != NULL) {
		wave_histograms_take(after, totals->histograms);
		state->json = wave_measure(waves, wave, after);
	}
	free(after);
	free(state->before);
	state->before = NULL;
	for (uint32_t i = 0; i < waves->opened; i++)
		if (waves->open[i] == wave)
			waves->open[i--] = waves->open[--waves->opened];
}

/* For so long the binding at a proxy that was left lives on for sure: its last refresh was a refresh's
 * interval and an unanswered REGISTER before, at the most. */
static uint64_t binding_lives_ms(const struct herd_config *herd)
{
	const uint64_t whole_ms = herd->expires_s * 1000ull;
	const uint64_t gone_ms = (uint64_t)herd->expires_s * herd->refresh_permille +
				 herd->timers.no_response_ms;
	return whole_ms > gone_ms ? whole_ms - gone_ms : 0;
}

static bool is_bound_elsewhere(const struct waves *waves, uint32_t phone, unsigned registered)
{
	const uint64_t now_ms = (waves->end_us - waves->open_us) / 1000;
	const uint16_t left = waves->left[phone][registered - 1 == PROXY_PRIMARY ? PROXY_REDUNDANT
										 : PROXY_PRIMARY];
	return left != 0 &&
	       now_ms - (left - 1ull) * LEFT_UNIT_MS < binding_lives_ms(waves->fleet->herd);
}

bool wave_is_homing(const struct waves *waves)
{
	return waves->fleet->redundancy && waves->fleet->herd->redundancy.mode == MODE_ASYMMETRIC;
}

/* What became of the phones that were registered when the plan began. */
static void judge_phones(struct waves *waves)
{
	/* All that was begun has been restored. */
	const bool homing = wave_is_homing(waves);
	uint32_t registered = 0, elsewhere = 0;
	for (uint32_t i = 0; i < waves->mirror->phones; i++) {
		if (mirror_shard_stopped(waves->mirror, i / SHARD_PHONES))
			continue;
		const unsigned at = look_at(waves, i).registered;
		registered += at != 0;
		if (!(waves->was_registered[i / 64] >> i % 64 & 1))
			continue;
		elsewhere += at != 0 && at <= PROXIES && is_bound_elsewhere(waves, i, at);
		waves->stranded += at == 0 || (homing && at == 1 + PROXY_REDUNDANT);
	}
	const uint64_t unheard = waves->after.herd.unregister_silent -
				 waves->before.herd.unregister_silent;
	const uint64_t bound = (uint64_t)waves->after.bound[0] + waves->after.bound[1];
	const uint64_t known = elsewhere + unheard < registered ? elsewhere + unheard : registered;
	waves->double_bound = (uint32_t)known;
	if (waves->after.has_bound)
		waves->double_bound = bound > registered ? (uint32_t)(bound - registered) : 0;
}

void waves_finish(struct waves *waves, const struct wave_totals *totals, uint64_t now_us)
{
	if (waves->finished)
		return;
	for (uint32_t i = 0; i < waves->plan->waves; i++)
		waves_end(waves, i, totals, now_us);
	waves->finished = true;
	waves->end_us = now_us;
	take_sums(&waves->after, totals);
	judge_phones(waves);
}

void waves_progress(const struct waves *waves, uint32_t wave, struct wave_progress *out)
{
	*out = wave < waves->plan->waves ? waves->wave[wave].progress : (struct wave_progress){0};
}

const struct wave_phone *waves_phones(const struct waves *waves, uint32_t wave)
{
	return wave < waves->plan->waves ? waves->wave[wave].phone : NULL;
}
