/* SPDX-License-Identifier: BSD-3-Clause */
#include "drilling.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "drill_schema.h"
#include "events.h"
#include "fleet.h"
#include "herds.h"
#include "report.h"
#include "summary.h"

/* --- What may be asked --- */

enum { BODY_DRILL, BODY_FIELDS, BODY_DRY_RUN = BODY_FIELDS + DRILL_FIELDS, BODY_CONFIRM, BODY_END };
_Static_assert(BODY_END <= ASK_FIELDS_MAX, "a body has room for every field of a drill");

#define TEXT(called, what)                                                                 \
	{                                                                                  \
		.name = called, .help = what, .kind = ASK_TEXT, .high = DRILL_NAME_MAX - 1 \
	}

/* The fields of a drill are texts, as in a fleet file: drill_request_set reads both. */
const struct ask_field drilling_body[] = {
	[BODY_DRILL] = {.name = "drill",
		.help = "a word of the catalogue, or the name of a plan of the fleet file, which "
			"takes no other field than confirm and dry_run",
		.kind = ASK_TEXT,
		.high = DRILL_NAME_MAX - 1,
		.required = true},
	[BODY_FIELDS + DRILL_PROXY] = TEXT("proxy", "primary or redundant"),
	[BODY_FIELDS + DRILL_SHARE] = TEXT("share", "of the phones, such as 50%"),
	[BODY_FIELDS + DRILL_HOLD] = TEXT("hold", "how long the outage lasts, such as 90s"),
	[BODY_FIELDS + DRILL_SETTLE] = TEXT("settle", "how long the last wave is watched, at most"),
	[BODY_FIELDS + DRILL_PERIOD] = TEXT("period", "flap: of one down and up"),
	[BODY_FIELDS + DRILL_TIMES] = TEXT("times", "flap: how many"),
	[BODY_FIELDS + DRILL_LOSS] = TEXT("loss", "brown-out: of datagrams each way, such as 20%"),
	[BODY_FIELDS + DRILL_DELAY] = TEXT("delay", "brown-out: of answers, such as 300ms"),
	[BODY_FIELDS + DRILL_JITTER] = TEXT("jitter", "brown-out: uniform, on top of the delay"),
	[BODY_FIELDS + DRILL_RETRY_AFTER] = TEXT("retry_after", "drain, rolling: 0 for none"),
	[BODY_FIELDS + DRILL_SPREAD] = TEXT("spread", "power-cut: power returns within this"),
	[BODY_FIELDS + DRILL_METHOD] = TEXT(
		"method", "half-dead: register or options, the one that is lost"),
	[BODY_FIELDS + DRILL_HOOK] = TEXT(
		"hook", "name of a hook of the fleet file that makes the outage"),
	[BODY_DRY_RUN] = {.name = "dry_run",
		.help = "true: only tell the plan, send nothing",
		.kind = ASK_SWITCH},
	[BODY_CONFIRM] = {.name = "confirm",
		.help = "the fleet's name: nothing is begun without it",
		.kind = ASK_TEXT,
		.high = sizeof(((struct fleet *)NULL)->name) - 1},
	[BODY_END] = {0}};

const struct ask_field drilling_abort_body[] = {{0}};

bool drilling_is_dry(const struct asked *asked)
{
	return asked->body[BODY_DRY_RUN].number != 0;
}

/* --- Begin one --- */

static bool have_drills(const struct picture *picture, struct problem *problem)
{
	return picture->drills != NULL ||
	       problem_set(problem, PROBLEM_NOT_READY, "no drills can be made in this run");
}

static bool make_plan(const struct picture *picture, const struct asked *asked,
	struct drills_order *order, struct problem *problem)
{
	struct drills_field field[DRILL_FIELDS];
	char reason[DRILL_REASON_MAX] = "";
	size_t fields = 0;
	for (int i = 0; i < DRILL_FIELDS; i++) {
		const struct ask_value *value = &asked->body[BODY_FIELDS + i];
		if (value->given)
			field[fields++] = (struct drills_field){drill_field_names[i], value->text};
	}
	return (drills_order(order, picture->fleet, asked->body[BODY_DRILL].text, field, fields,
			reason) == 0 &&
		       drills_plan(&picture->drilling->plan, order, picture->fleet, picture->config,
			       picture_wanted(picture), reason) == 0) ||
	       problem_set(problem, PROBLEM_REFUSED, "%s", reason);
}

static bool is_confirmed(
	const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	const struct ask_value *confirm = &asked->body[BODY_CONFIRM];
	if (!confirm->given)
		return problem_set(problem, PROBLEM_UNCONFIRMED,
			"confirm must be the name of the fleet; dry_run: true tells the plan "
			"without "
			"it");
	return strcmp(confirm->text, picture->fleet->name) == 0 ||
	       problem_set(problem, PROBLEM_UNCONFIRMED,
		       "confirm is not the name of this fleet: nothing was begun");
}

static bool start(
	const struct picture *picture, const struct drills_order *order, struct problem *problem)
{
	char reason[DRILL_REASON_MAX] = "";
	const int status = drills_start(
		picture->drills, picture, order, &picture->drilling->id, reason);
	if (status == 0)
		return true;
	return problem_set(problem,
		status == -EBUSY    ? PROBLEM_DRILL_RUNNING
		: status == -EAGAIN ? PROBLEM_NOT_READY
		: status == -ENOMEM ? PROBLEM_OUT_OF_MEMORY
				    : PROBLEM_REFUSED,
		"%s", reason);
}

bool drilling_begin(
	const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	struct drills_order *order = malloc(sizeof(*order));
	picture->drilling->id = 0;
	if (order == NULL)
		return problem_set(problem, PROBLEM_OUT_OF_MEMORY, "try again");
	bool good = have_drills(picture, problem) && make_plan(picture, asked, order, problem);
	if (good && !drilling_is_dry(asked))
		good = is_confirmed(picture, asked, problem) && start(picture, order, problem);
	free(order);
	return good;
}

/* --- Plans --- */

static const char *proxy_or_none(uint8_t proxy)
{
	return proxy < PROXIES ? proxy_name((enum proxy)proxy) : NULL;
}

static void step_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct drill_step *step = &((const struct drill_plan *)context)->step[index];
	const bool proxied = step->act == DRILL_ACT_IMPAIR || step->act == DRILL_ACT_FAULTS;
	shape_count(shape, "at_ms", "since the beginning", step->at_ms);
	shape_text(shape, "act", "impair, faults, command, hook, undo or end",
		drills_act_name((enum drill_act)step->act));
	shape_maybe_text(shape, "proxy", "whose packets are concerned; null: no proxy's",
		proxied ? proxy_or_none(step->proxy) : NULL);
	shape_switch(shape, "restores", "it ends something that was begun", step->restores);
	shape_text(shape, "text", "for people", step->text);
}

static const char *const wave_kinds[] = {[WAVE_FAIL_OVER] = "fail-over",
	[WAVE_FAIL_BACK] = "fail-back",
	[WAVE_RESCUE] = "rescue",
	[WAVE_POWER] = "power",
	[WAVE_WATCH] = "watch"};

static void wave_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct drill_plan *plan = context;
	const struct drill_wave *wave = &plan->wave[index];
	shape_text(shape, "name", "of the wave, unique in the plan", wave->name);
	shape_text(shape, "kind", "fail-over, fail-back, rescue, power or watch",
		wave_kinds[wave->kind]);
	shape_text(shape, "text", "for people", wave->text);
	shape_maybe_text(
		shape, "from", "proxy that phones leave; null: any", proxy_or_none(wave->from));
	shape_maybe_text(
		shape, "to", "proxy that they move to; null: any", proxy_or_none(wave->to));
	shape_count(shape, "at_ms", "when it begins", plan->step[wave->step].at_ms);
	shape_count(shape, "until_ms", "until when it is watched", wave->until_ms);
}

static void tell_forecast(struct shape *shape, const struct drill_forecast *forecast)
{
	shape_begin(shape, "forecast", "what it will send at its busiest");
	shape_number(shape, "register_per_s", "REGISTERs in the busiest second",
		forecast->register_per_s);
	shape_number(shape, "register_per_100ms", "and in the busiest tenth of a second",
		forecast->register_per_100ms);
	shape_number(shape, "options_datagrams_per_s",
		"OPTIONS in its busiest second, retransmissions included",
		forecast->options_datagrams_per_s);
	shape_number(
		shape, "steady_per_s", "all requests a second before it", forecast->steady_per_s);
	shape_switch(shape, "known",
		"by PHONE.md's model; false: there is none, and the first two are bounds",
		forecast->known);
	shape_end(shape);
}

void drilling_tell_plan(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct drilling *drilling = picture->drilling;
	const struct drill_plan *plan = &drilling->plan;
	(void)which;
	shape_maybe_integer(shape, "id", "number of the drill that has begun; null: a dry run",
		drilling->id != 0, drilling->id);
	shape_text(shape, "name", "of the catalogue, or of the fleet file", plan->name);
	shape_text(shape, "title", "what is done, in a few words", plan->title);
	shape_text(shape, "question", "that it answers", plan->question);
	shape_count(shape, "end_ms", "when it ends by itself, since its beginning", plan->end_ms);
	tell_forecast(shape, &plan->forecast);
	shape_list(shape, "steps", "what is done when", plan->steps, step_item, plan);
	shape_list(shape, "waves", "movements of phones that are measured", plan->waves, wave_item,
		plan);
}

/* --- Abort one --- */

/* Was there ever a drill of this number? */
static bool exists(const struct picture *picture, uint32_t id, struct problem *problem)
{
	const uint64_t begun = picture->drills != NULL ? drills_totals(picture->drills).begun : 0;
	if (id >= 1 && id <= begun)
		return true;
	return problem_set(problem, PROBLEM_NOT_FOUND,
		"there is no drill %u: this run has begun %u of them", id, (unsigned)begun);
}

bool drilling_abort(
	const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	if (!exists(picture, asked->number, problem))
		return false;
	picture->drilling->id = asked->number;
	return drills_abort(picture->drills, asked->number, "aborted by an operator") ||
	       problem_set(problem, PROBLEM_DRILL_OVER, "drill %u is over", asked->number);
}

void drilling_tell_abort(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	shape_count(shape, "id", "number of the drill", picture->drilling->id);
	shape_switch(shape, "accepted", "all that it had begun is being restored", true);
}

/* --- What there is --- */

static struct drill_plan nothing;

static void running_wave_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct picture *picture = context;
	const struct drill *drill = drills_current(picture->drills, &(uint32_t){0});
	const struct drill_wave *wave = &(drill != NULL ? &drill->plan : &nothing)->wave[index];
	struct wave_progress progress = {0};
	const bool begun = drill != NULL && drills_progress(picture->drills, index, &progress);
	shape_text(shape, "name", "of the wave", wave->name);
	shape_text(shape, "kind", "fail-over, fail-back, rescue, power or watch",
		wave_kinds[wave->kind]);
	shape_text(shape, "text", "for people", wave->text);
	shape_count(shape, "at_ms", "when it begins, since the beginning of the drill",
		(drill != NULL ? &drill->plan : &nothing)->step[wave->step].at_ms);
	shape_switch(shape, "begun", "false: it is still to come", begun);
	shape_switch(shape, "running", "it has begun and is not over",
		begun && (drill->waves_open & 1ull << index) != 0);
	shape_count(shape, "concerned", "phones that it is about", progress.concerned);
	shape_count(shape, "detected", "of these, gave up their proxy", progress.detected);
	shape_count(shape, "back", "of these, in service again", progress.back);
}

static void tell_next(struct shape *shape, const struct drill_plan *plan, uint32_t next)
{
	const bool has = next < plan->steps;
	const struct drill_step *step = &plan->step[has ? next : 0];
	if (!shape_maybe_begin(shape, "next", "the next step; null: only its end is to come", has))
		return;
	shape_count(shape, "at_ms", "since the beginning of the drill", step->at_ms);
	shape_text(shape, "text", "for people", step->text);
	shape_end(shape);
}

static void tell_running(struct shape *shape, const struct picture *picture)
{
	uint32_t id = 0;
	const struct drill *drill = drills_current(picture->drills, &id);
	const struct drill_plan *plan = drill != NULL ? &drill->plan : &nothing;
	const uint32_t done = drill != NULL ? drill->next_step : 0;
	if (!shape_maybe_begin(
		    shape, "running", "the drill of now; null: there is none", drill != NULL))
		return;
	shape_count(shape, "id", "its number", id);
	shape_text(shape, "name", "of the catalogue, or of the fleet file", plan->name);
	shape_text(shape, "title", "what is done, in a few words", plan->title);
	shape_text(shape, "question", "that it answers", plan->question);
	shape_count(shape, "at_ms", "since it began",
		drill != NULL ? drills_at_ms(picture->drills) : 0);
	shape_count(shape, "end_ms", "when it ends by itself", plan->end_ms);
	shape_count(shape, "step", "steps that have been carried out", done);
	shape_count(shape, "steps", "of so many", plan->steps);
	tell_next(shape, plan, done);
	shape_count(shape, "phones_out",
		"phones that the waves of now are about and that are not back",
		drill != NULL ? drills_phones_out(picture->drills) : 0);
	shape_list(shape, "waves", "movements of phones, in their order", plan->waves,
		running_wave_item, picture);
	shape_end(shape);
}

/* The plan of a drill that was asked for without any field says what it takes. Empty where it is refused.
 * Of the whole fleet: there may be no phones here yet. */
static void find_defaults(const struct picture *picture)
{
	struct drilling *drilling = picture->drilling;
	struct drills_order *order = malloc(sizeof(*order));
	struct drill_plan *plan = malloc(sizeof(*plan));
	char reason[DRILL_REASON_MAX];
	for (int kind = 0; order != NULL && plan != NULL && kind < DRILL_KINDS; kind++) {
		if (drills_order(order, picture->fleet, drill_catalogue[kind].name, NULL, 0,
			    reason) != 0 ||
			drills_plan(plan, order, picture->fleet, picture->config,
				picture->fleet->phones, reason) != 0)
			continue;
		for (int field = 0; field < DRILL_FIELDS; field++)
			drill_request_text(&plan->request[0], (enum drill_field)field,
				drilling->defaults[kind][field]);
	}
	drilling->has_defaults = order != NULL && plan != NULL;
	free(order);
	free(plan);
}

static void catalogue_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct picture *picture = context;
	const struct drill_description *drill = &drill_catalogue[index];
	const char *fields[DRILL_FIELDS], *defaults[DRILL_FIELDS];
	uint32_t count = 0;
	for (int i = 0; i < DRILL_FIELDS; i++) {
		if ((drill->fields & 1u << i) == 0)
			continue;
		fields[count] = drill_field_names[i];
		defaults[count++] = shape->schema ? "" : picture->drilling->defaults[index][i];
	}
	shape_text(shape, "name", "of the drill", drill->name);
	shape_text(shape, "question", "that it answers", drill->question);
	shape_texts(shape, "fields", "that it takes", count, fields);
	shape_texts(shape, "defaults",
		"what it takes where such a field is not given; empty: nothing, or it is refused",
		count, defaults);
}

static void finished_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct drills_result *result = &((const struct drills_result *)context)[index];
	shape_count(shape, "id", "its number", result->id);
	shape_text(shape, "name", "of the catalogue, or of the fleet file", result->name);
	shape_text(shape, "title", "what was done, in a few words", result->title);
	shape_text(shape, "outcome", "completed or aborted",
		result->aborted ? "aborted" : "completed");
	shape_maybe_text(shape, "reason", "why it was aborted; null: it was not",
		json_string_value(json_object_get(result->json, "reason")));
	shape_count(shape, "begin_unix_ms", "when it began", result->begin_unix_ms);
	shape_count(shape, "duration_ms", "how long it took", result->duration_ms);
}

static void mark_item(struct shape *shape, const void *context, uint32_t index)
{
	static const struct events_mark none = {.proxy = PROXIES};
	const struct events_mark *mark = shape->schema ? &none : events_mark(context, index);
	shape_count(shape, "id", "number of the drill", mark->drill);
	shape_text(shape, "name", "of the drill", mark->name);
	shape_text(shape, "phase", "began, step, ended or aborted",
		events_phase_name((enum drills_phase)mark->phase));
	shape_maybe_text(shape, "act",
		"impair, faults, command, hook, undo or end (of a wave); null: it is no step",
		mark->phase == DRILLS_STEP ? drills_act_name((enum drill_act)mark->act) : NULL);
	shape_text(shape, "text", "for people", mark->text);
	shape_number(shape, "at_s", "second of the run", mark->at_s);
	shape_count(shape, "unix_ms", "when", mark->unix_ms);
	shape_maybe_text(shape, "proxy", "it is about, primary or redundant; null: neither",
		proxy_or_none(mark->proxy));
	shape_switch(shape, "restores", "the step ended something that was begun", mark->restores);
}

/* What the fleet file has. Of hooks nothing but the names is ever told. */
static void tell_file(struct shape *shape, const struct fleet *fleet)
{
	const char *plans[FLEET_DRILLS_MAX], *hooks[HOOKS_MAX];
	for (uint32_t i = 0; i < fleet->drills; i++)
		plans[i] = fleet->drill[i].name;
	for (uint32_t i = 0; i < fleet->hooks; i++)
		hooks[i] = fleet->hook[i].name;
	shape_texts(shape, "plans", "of the fleet file, by name", fleet->drills, plans);
	shape_texts(shape, "hooks", "of the fleet file, by name", fleet->hooks, hooks);
}

void drilling_tell_all(struct shape *shape, const struct picture *picture, unsigned which)
{
	struct drills_result finished[DRILLS_KEPT] = {{.name = "", .title = ""}};
	const size_t count = picture->drills != NULL ? drills_finished(picture->drills, finished)
						     : 0;
	(void)which;
	answer_moment(shape, picture);
	tell_running(shape, picture);
	if (!shape->schema && !picture->drilling->has_defaults)
		find_defaults(picture);
	shape_list(
		shape, "catalogue", "the drills there are", DRILL_KINDS, catalogue_item, picture);
	tell_file(shape, picture->fleet);
	shape_list(shape, "finished", "the newest that are over, newest first", (uint32_t)count,
		finished_item, finished);
	shape_list(shape, "marks", "what drills have done, for charts: the newest, oldest first",
		events_marks(picture->events), mark_item, picture->events);
}

/* --- Results --- */

bool drilling_look(
	const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	uint32_t running = 0;
	if (!exists(picture, asked->number, problem))
		return false;
	if (drills_result(picture->drills, asked->number, &picture->drilling->result))
		return true;
	if (drills_current(picture->drills, &running) != NULL && running == asked->number)
		return problem_set(problem, PROBLEM_DRILL_RUNNING,
			"drill %u runs: its result is there when it is over", running);
	return problem_set(problem, PROBLEM_NOT_FOUND,
		"results of the newest %d drills are kept, this is an older one", DRILLS_KEPT);
}

uint8_t *drilling_result(const struct picture *picture, size_t *length)
{
	char *text = json_dumps(
		picture->drilling->result.json, JSON_COMPACT | JSON_REAL_PRECISION(9));
	*length = text != NULL ? strlen(text) : 0;
	return (uint8_t *)text;
}

/* The run as it is now, as the file that it would leave, with this drill alone. */
static json_t *summary_of(const struct picture *picture)
{
	struct herd_population phones[WIRE_HERDS_MAX];
	for (uint32_t h = 0; h < picture->fleet->herds; h++) {
		wire_herd_population(picture->wire, h, &phones[h]);
		herds_only_ours(picture->share, fleet_herd(picture->fleet, h), &phones[h]);
	}
	const struct summary summary = {.command = "run",
		.fleet = picture->fleet,
		.seed = picture->config->herd.seed,
		.started = picture->started,
		.ended = time(NULL),
		.link = picture->link,
		.steering = picture->steering,
		.wire = picture->wire,
		.herds_at_stop = phones,
		.proxy = picture->config->proxy,
		.duration_s = picture_at_s(picture),
		.roles = picture->config->roles,
		.at_stop = picture->now,
		.end = picture->now,
		.tally = picture->tally,
		.share = picture->share};
	json_t *run = summary_json(&summary);
	if (run != NULL)
		json_object_set_new(
			run, "drills", json_pack("[O]", picture->drilling->result.json));
	return run;
}

uint8_t *drilling_report(const struct picture *picture, size_t *length)
{
	char reason[REPORT_REASON_MAX], *text = NULL;
	json_t *run = summary_of(picture);
	FILE *out = run != NULL ? open_memstream(&text, length) : NULL;
	bool good = out != NULL && report_write(out, run, reason) == 0;
	if (out != NULL)
		good = fclose(out) == 0 && good;
	json_decref(run);
	if (good)
		return (uint8_t *)text;
	free(text);
	return NULL;
}

json_t *drilling_result_schema(void)
{
	return json_loads(drill_schema, 0, NULL);
}
