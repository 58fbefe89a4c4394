/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drills_internal.h"
#include "events.h"

/* --- What a drill does --- */

static struct wave_totals totals_of(const struct drills *drills)
{
	const struct wire_snapshot *now = drills->now;
	struct wave_totals totals = {.herd = &now->herd,
		.histograms = &now->histograms,
		.proxy = now->proxy,
		.not_sent = tally_not_sent(now),
		.has_bound = (drills->picture.config->roles & WIRE_REGISTRARS) != 0};
	memcpy(totals.bound, now->registered_at, sizeof(totals.bound));
	for (unsigned i = 0; i < drills->picture.share->mirror->workers; i++)
		totals.lines_dropped += mirror_lines_dropped(
			drills->picture.share->mirror, MIRROR_WATCH, i);
	return totals;
}

static uint64_t at_ms(const struct drills *drills, uint64_t now_us)
{
	return (now_us - drills->begin_us) / 1000;
}

const char *drills_act_name(enum drill_act act)
{
	static const char *const names[] = {[DRILL_ACT_IMPAIR] = "impair",
		[DRILL_ACT_FAULTS] = "faults",
		[DRILL_ACT_COMMAND] = "command",
		[DRILL_ACT_HOOK] = "hook",
		[DRILL_ACT_UNDO] = "undo",
		[DRILL_ACT_END] = "end"};
	return names[act];
}

static void tell(const struct drills *drills, enum drills_phase phase, uint64_t now_us,
	const char *text, enum drill_act act, uint8_t proxy, bool restores)
{
	const struct drills_news news = {.phase = phase,
		.act = (uint8_t)act,
		.id = drills->id,
		.plan = &drills->plan,
		.text = text,
		.at_ms = at_ms(drills, now_us),
		.unix_ms = events_unix_ms(),
		.proxy = proxy,
		.restores = restores,
		.waves = phase == DRILLS_ENDED || phase == DRILLS_ABORTED ? drills->waves : NULL};
	drills->events.news(drills->events.context, &news);
}

/* What has been done becomes part of the result, and news. */
static void note_step(struct drills *drills, uint64_t now_us, enum drill_act act, uint8_t proxy,
	bool restores, const char *text)
{
	json_array_append_new(drills->steps,
		json_pack("{s:I, s:s, s:s?, s:b, s:s}", "at_ms", (json_int_t)at_ms(drills, now_us),
			"act", drills_act_name(act), "proxy",
			proxy < PROXIES ? proxy_name((enum proxy)proxy) : NULL, "restores",
			(int)restores, "text", text));
	tell(drills, DRILLS_STEP, now_us, text, act, proxy, restores);
}

/* Before its time: the plan has no step for it. */
static bool is_aborting(const struct drills *drills)
{
	return drills->drill.state == DRILL_ABORTED;
}

static void note_restored(struct drills *drills, enum drill_act act, enum proxy proxy)
{
	char text[DRILL_TEXT_MAX];
	if (!is_aborting(drills))
		return;
	snprintf(text, sizeof(text), "the %s proxy serves again: the drill was aborted",
		proxy_name(proxy));
	note_step(drills, wire_now_us(drills->picture.wire), act, (uint8_t)proxy, true, text);
}

static void on_impair(void *context, enum proxy proxy, const struct impairment *impairment)
{
	struct drills *drills = context;
	wire_command(drills->picture.wire,
		&(struct herd_command){
			.kind = HERD_IMPAIR, .proxy = (uint8_t)proxy, .impairment = *impairment});
	note_restored(drills, DRILL_ACT_IMPAIR, proxy);
}

static void on_faults(void *context, enum proxy proxy, const struct registrar_faults *faults)
{
	struct drills *drills = context;
	drills->events.faults(drills->events.context, proxy, faults);
	note_restored(drills, DRILL_ACT_FAULTS, proxy);
}

static void on_command(void *context, const struct herd_command *command)
{
	const struct drills *drills = context;
	wire_command(drills->picture.wire, command);
}

static int on_hook(void *context, const char *name, bool undo, char reason[DRILL_REASON_MAX])
{
	struct drills *drills = context;
	char text[DRILL_TEXT_MAX];
	const uint64_t now_us = wire_now_us(drills->picture.wire);
	if (drills->hooks == NULL)
		return drills_refuse(-ENOENT, reason, "there is no hook %s", name);
	int status = undo ? hooks_undo(drills->hooks, name, now_us)
			  : hooks_run(drills->hooks, name, now_us);
	if (status != 0)
		drills_refuse(status, reason, "hook %s cannot be %s: %s", name,
			undo ? "undone" : "run", strerror(-status));
	if (status == 0 && undo && is_aborting(drills)) {
		snprintf(text, sizeof(text), "hook %s is undone: the drill was aborted", name);
		note_step(drills, now_us, DRILL_ACT_UNDO, PROXIES, true, text);
	}
	return status;
}

/* Of many phones, measuring the wave before and looking at all of them takes tenths of a second, in which
 * nothing has begun yet: what happens is timed when it does. */
static void on_wave_begin(void *context, uint32_t wave, uint64_t now_us)
{
	struct drills *drills = context;
	const struct wave_totals totals = totals_of(drills);
	if (waves_begin(drills->waves, wave, &totals, wire_now_us(drills->picture.wire)) == 0)
		waves_began(drills->waves, wave, wire_now_us(drills->picture.wire));
	else
		drill_abort(&drills->drill, "no memory to measure a wave with", now_us);
}

static void on_wave_end(void *context, uint32_t wave, uint64_t now_us)
{
	const struct drills *drills = context;
	const struct wave_totals totals = totals_of(drills);
	(void)now_us;
	waves_end(drills->waves, wave, &totals, wire_now_us(drills->picture.wire));
}

static void on_step(void *context, uint32_t index, uint64_t now_us)
{
	struct drills *drills = context;
	const struct drill_step *step = &drills->plan.step[index];
	const bool proxy = step->act == DRILL_ACT_IMPAIR || step->act == DRILL_ACT_FAULTS;
	(void)now_us;
	note_step(drills, wire_now_us(drills->picture.wire), (enum drill_act)step->act,
		proxy ? step->proxy : PROXIES, step->restores || step->act == DRILL_ACT_END,
		step->text);
}

static struct drill_actuator actuator_of(struct drills *drills)
{
	return (struct drill_actuator){.context = drills,
		.impair = on_impair,
		.faults = on_faults,
		.command = on_command,
		.hook = drills->hooks != NULL ? on_hook : NULL,
		.wave_begin = on_wave_begin,
		.wave_end = on_wave_end,
		.step = on_step};
}

/* --- From its beginning to its end --- */

/* Between two ticks, the picture of the last one is too old to measure from. */
static void look_now(struct drills *drills)
{
	wire_snapshot(drills->picture.wire, &drills->look);
	drills->now = &drills->look;
}

static int check_ready(
	const struct drills *drills, const struct picture *picture, char reason[DRILL_REASON_MAX])
{
	const uint32_t wanted = picture_wanted(picture), registered = picture_registered(picture);
	if (drills->busy)
		return drills_refuse(-EBUSY, reason, "drill %u, %s, is being carried out",
			drills->id, drills->plan.title);
	if (picture->stopping)
		return drills_refuse(-EAGAIN, reason, "the run is ending");
	if (wanted == 0 || (uint64_t)registered * 100 < (uint64_t)wanted * PICTURE_READY_PERCENT)
		return drills_refuse(-EAGAIN, reason,
			"%u of the %u phones driven here are registered: a drill begins when %d "
			"percent are",
			registered, wanted, PICTURE_READY_PERCENT);
	return 0;
}

static int prepare(struct drills *drills, char reason[DRILL_REASON_MAX])
{
	const struct wave_totals totals = totals_of(drills);
	drills->steps = json_array();
	if (drills->steps != NULL &&
		waves_open(&drills->waves, &drills->plan, &drills->fleet,
			drills->picture.share->mirror, &totals, drills->begin_us) == 0)
		return 0;
	json_decref(drills->steps);
	return drills_refuse(-ENOMEM, reason, "no memory to measure %u phones with",
		drills->picture.fleet->phones);
}

int drills_start(struct drills *drills, const struct picture *picture,
	const struct drills_order *order, uint32_t *id, char reason[DRILL_REASON_MAX])
{
	const struct drill_actuator actuator = actuator_of(drills);
	int status = check_ready(drills, picture, reason);
	if (status != 0)
		return status;
	drills_describe(&drills->fleet, drills->hook_name, picture->fleet, picture->config,
		picture_wanted(picture));
	status = drill_plan_make(&drills->plan, order->name, order->request, order->requests,
		&drills->fleet, reason);
	if (status != 0)
		return status;
	look_now(drills);
	drills->begin_us = wire_now_us(drills->picture.wire);
	drills->begin_unix_ms = events_unix_ms();
	status = prepare(drills, reason);
	if (status != 0)
		return status;
	waves_series(drills->waves, &drills->now->series);
	drills->overflow = drills->now->herd.impaired_overflow;
	*id = ++drills->id;
	drills->totals.begun++;
	drills->busy = true;
	drills->over = false;
	tell(drills, DRILLS_BEGAN, drills->begin_us, drills->plan.title, DRILL_ACT_END, PROXIES,
		false);
	drill_begin(&drills->drill, &drills->plan, &actuator, drills->begin_us);
	drill_advance(&drills->drill, drills->begin_us);
	return 0;
}

/* Everything is restored; commands of the operator's may take their time to undo what they did. */
static bool hooks_are_quiet(const struct drills *drills)
{
	for (uint32_t i = 0; i < drills->plan.steps; i++) {
		const struct drill_step *step = &drills->plan.step[i];
		const struct hook_status *hook = step->act == DRILL_ACT_HOOK
							 ? hooks_status(drills->hooks, step->hook)
							 : NULL;
		if (hook != NULL && (hook->state == HOOK_RUNNING || hook->state == HOOK_UNDOING))
			return false;
	}
	return true;
}

/* What came late as planned is one thing, what was lost for it another. */
static void warn_of_overflow(struct drills *drills)
{
	char text[DRILL_TEXT_MAX];
	const uint64_t lost = drills->now->herd.impaired_overflow - drills->overflow;
	if (lost == 0)
		return;
	snprintf(text, sizeof(text),
		"%" PRIu64 " datagrams that were to come late found no room to wait in and were "
		"lost: the outage was worse than planned",
		lost);
	note_step(drills, drills->end_us, DRILL_ACT_END, PROXIES, false, text);
}

static void end_measuring(struct drills *drills)
{
	const struct wave_totals totals = totals_of(drills);
	drills->over = true;
	/* Behind the last step and the end of every wave. */
	drills->end_us = wire_now_us(drills->picture.wire);
	waves_series(drills->waves, &drills->now->series);
	waves_finish(drills->waves, &totals, drills->end_us);
}

/* What the operator's command broke may still be broken. */
static void warn_of_hooks(struct drills *drills)
{
	char text[DRILL_TEXT_MAX];
	for (uint32_t i = 0; i < drills->picture.fleet->hooks; i++) {
		const struct hook_status *hook = drills_hook(drills, i);
		const char *name = drills->picture.fleet->hook[i].name;
		if (hook == NULL || (hook->undo_code == 0 && hook->state != HOOK_UNDOING))
			continue;
		if (hook->state == HOOK_UNDOING)
			snprintf(text, sizeof(text),
				"the undo of hook %s has not come to its end: look after it", name);
		else
			snprintf(text, sizeof(text),
				"the undo of hook %s failed with exit code %d: mend it by hand",
				name, hook->undo_code);
		note_step(drills, drills->end_us, DRILL_ACT_UNDO, PROXIES, false, text);
	}
}

static void end_drill(struct drills *drills)
{
	const bool aborted = drills->drill.state == DRILL_ABORTED;
	warn_of_overflow(drills);
	warn_of_hooks(drills);
	drills->totals.completed += !aborted;
	drills->totals.aborted += aborted;
	drills_keep(drills);
	tell(drills, aborted ? DRILLS_ABORTED : DRILLS_ENDED, drills->end_us,
		aborted ? drills->drill.reason : drills->plan.title, DRILL_ACT_END, PROXIES, false);
	waves_close(drills->waves);
	drills->waves = NULL;
	drills->busy = false;
}

static void follow_end(struct drills *drills)
{
	if (drills->drill.state == DRILL_RUNNING)
		return;
	if (!drills->over)
		end_measuring(drills);
	if (hooks_are_quiet(drills))
		end_drill(drills);
}

static void abort_drill(struct drills *drills, const char *reason)
{
	drill_abort(&drills->drill, reason, wire_now_us(drills->picture.wire));
}

bool drills_abort(struct drills *drills, uint32_t id, const char *reason)
{
	if (drills == NULL || !drills->busy || drills->id != id ||
		drills->drill.state != DRILL_RUNNING)
		return false;
	look_now(drills);
	abort_drill(drills, reason);
	follow_end(drills);
	return true;
}

/* A hook that failed has made no outage that could be measured. */
static void follow_hooks(struct drills *drills)
{
	char reason[DRILL_REASON_MAX];
	if (drills->hooks == NULL)
		return;
	hooks_update(drills->hooks, wire_now_us(drills->picture.wire));
	for (uint32_t i = 0; drills->drill.state == DRILL_RUNNING && i < drills->drill.hooks_open;
		i++) {
		const char *name = drills->drill.hook[i];
		const struct hook_status *hook = hooks_status(drills->hooks, name);
		if (hook == NULL || hook->state != HOOK_FAILED)
			continue;
		snprintf(reason, sizeof(reason), "hook %s failed with exit code %d", name,
			hook->exit_code);
		abort_drill(drills, reason);
	}
}

void drills_update(struct drills *drills)
{
	if (drills == NULL || !drills->busy)
		return;
	drills->now = drills->picture.now;
	if (!drills->over)
		waves_series(drills->waves, &drills->now->series);
	follow_hooks(drills);
	drill_advance(&drills->drill, wire_now_us(drills->picture.wire));
	follow_end(drills);
}

void drills_lines(struct drills *drills, const struct mirror_line *line, size_t count)
{
	if (drills == NULL || !drills->busy || drills->over)
		return;
	for (size_t i = 0; i < count; i++)
		waves_line(drills->waves, &line[i]);
}

int drills_open(
	struct drills **out, const struct picture *picture, const struct drills_events *events)
{
	const struct fleet *fleet = picture->fleet;
	struct drills *drills = calloc(1, sizeof(*drills));
	if (drills == NULL)
		return -ENOMEM;
	drills->picture = *picture;
	drills->events = *events;
	const int status = fleet->hooks > 0 ? hooks_open(&drills->hooks, fleet->hook, fleet->hooks)
					    : 0;
	if (status != 0)
		free(drills);
	else
		*out = drills;
	return status;
}

void drills_end(struct drills *drills)
{
	if (drills == NULL)
		return;
	if (drills->busy) {
		drills_abort(drills, drills->id, "the run is over");
		/* There are no more ticks in which hooks could tell how they end. */
		if (drills->busy && drills->hooks != NULL)
			hooks_finish(drills->hooks);
		if (drills->busy)
			end_drill(drills);
	}
	hooks_close(drills->hooks);
	drills->hooks = NULL;
}

void drills_close(struct drills *drills)
{
	if (drills == NULL)
		return;
	drills_end(drills);
	drills_free_kept(drills);
	free(drills);
}

/* --- Being asked --- */

const struct drill *drills_current(const struct drills *drills, uint32_t *id)
{
	if (drills == NULL || !drills->busy)
		return NULL;
	*id = drills->id;
	return &drills->drill;
}

uint64_t drills_at_ms(const struct drills *drills)
{
	return at_ms(drills, drills->over ? drills->end_us : wire_now_us(drills->picture.wire));
}

bool drills_progress(const struct drills *drills, uint32_t wave, struct wave_progress *out)
{
	*out = (struct wave_progress){0};
	if (drills == NULL || !drills->busy || waves_phones(drills->waves, wave) == NULL)
		return false;
	waves_progress(drills->waves, wave, out);
	return true;
}

uint32_t drills_phones_out(const struct drills *drills)
{
	uint32_t out = 0;
	for (uint32_t i = 0; drills != NULL && drills->busy && i < drills->plan.waves; i++) {
		struct wave_progress progress;
		if (!(drills->drill.waves_open & 1ull << i) ||
			!drills_progress(drills, i, &progress))
			continue;
		/* Nobody need move in a wave that only watches. */
		if (drills->plan.wave[i].kind == WAVE_WATCH)
			progress.concerned = progress.detected;
		out += progress.concerned > progress.back ? progress.concerned - progress.back : 0;
	}
	return out;
}

struct drills_totals drills_totals(const struct drills *drills)
{
	return drills != NULL ? drills->totals : (struct drills_totals){0};
}
