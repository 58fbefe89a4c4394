/* SPDX-License-Identifier: BSD-3-Clause */
/* The data of each event: the same lines make the JSON and its schema. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "events_internal.h"
#include "summary.h"

void events_tell_hello(struct shape *shape, const void *what)
{
	const struct events_hello *hello = what;
	const struct events *events = hello->events;
	const struct fleet *fleet = events->picture.fleet;
	shape_text(shape, "version", "of sipherd", SIPHERD_VERSION);
	shape_text(shape, "run", "what identifiers of this run begin with",
		stream_run(events->stream));
	shape_text(shape, "fleet", "its name", fleet->name);
	shape_count(shape, "phones", "of the fleet", fleet->phones);
	answer_mode(shape, fleet);
	shape_count(shape, "sequence", "of the map as of now", watch_sequence(events->watch));
	shape_count(shape, "unix_ms", "now", events_unix_ms());
	shape_switch(shape, "replayed",
		"the events behind Last-Event-ID follow, none was missed; false: look at "
		"everything again",
		hello->replayed);
}

static void tell_states(struct shape *shape, const struct watch *watch)
{
	uint32_t count[WATCH_STATES];
	watch_count(watch, count);
	shape_begin(shape, "states", "all phones of the fleet by state, as on the map");
	for (int i = 0; i < WATCH_STATES; i++)
		shape_count(shape, watch_state_name((enum watch_state)i), "phones", count[i]);
	shape_end(shape);
}

static void tell_running_drill(struct shape *shape, const struct drills *drills)
{
	uint32_t id = 0;
	const struct drill *drill = drills_current(drills, &id);
	if (!shape_maybe_begin(shape, "drill", "that runs; null: none does", drill != NULL))
		return;
	shape_count(shape, "id", "its number", id);
	shape_count(shape, "at_ms", "since it began", drills_at_ms(drills));
	shape_count(
		shape, "end_ms", "when it will be over", drill != NULL ? drill->plan.end_ms : 0);
	shape_end(shape);
}

static void tell_store(struct shape *shape, const struct share *share)
{
	const bool redis = share_has_redis(share), connected = redis && share->status.connected;
	shape_begin(shape, "store", "how the store is");
	shape_switch(shape, "connected", "there is a Redis and it can be called", connected);
	shape_maybe_number(shape, "lag_ms",
		"age of the oldest change that Redis has not confirmed; null: there is no Redis",
		redis, (double)share->status.lag_us / 1e3);
	shape_end(shape);
}

void events_tell_tick(struct shape *shape, const void *what)
{
	const struct events *events = what;
	const struct picture *picture = &events->picture;
	const uint32_t seconds = picture_seconds(picture);
	shape_number(shape, "at_s", "seconds of the run", picture_at_s(picture));
	shape_count(shape, "unix_ms", "now", events_unix_ms());
	shape_switch(shape, "stopping", "the run is ending", picture->stopping);
	tell_states(shape, events->watch);
	shape_begin(shape, "second", "the newest of /api/v1/timeline");
	answer_second(shape, picture, seconds > 0 ? seconds - 1 : 0);
	shape_end(shape);
	shape_switch(shape, "healthy", "the generator is not the limit", !events->limited);
	tell_store(shape, picture->share);
	tell_running_drill(shape, picture->drills);
}

/* NULL: out of memory. */
static char *base64(const uint8_t *bytes, size_t length)
{
	char *text = malloc((length + 2) / 3 * 4 + 1);
	if (text != NULL)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
	return text;
}

void events_tell_delta(struct shape *shape, const void *what)
{
	const struct events_delta *delta = what;
	char *text = base64(delta->records, delta->count * WATCH_DELTA_RECORD);
	shape_count(shape, "sequence", "of the map with these changes", delta->sequence);
	shape_count(shape, "count", "of records; each phone at most once", delta->count);
	shape_text(shape, "records",
		"base64; per record the phone (32 bits, big-endian) and its state on the map (8 "
		"bits)",
		text != NULL ? text : "");
	free(text);
}

void events_tell_resync(struct shape *shape, const void *what)
{
	const uint64_t *sequence = what;
	shape_count(shape, "sequence",
		"too much has changed to be told: get a map of this sequence or a later one",
		*sequence);
}

static void tell_side(struct shape *shape, const char *name, const char *help, uint8_t where)
{
	const uint8_t registered = where & 3, tried = where >> 2 & 3;
	shape_begin(shape, name, help);
	shape_maybe_text(shape, "proxy", "last tried, primary or redundant; null: none yet",
		tried == 0 || tried > PROXIES ? NULL : proxy_name((enum proxy)(tried - 1)));
	shape_switch(shape, "registered", "there", registered != 0);
	shape_end(shape);
}

void events_tell_transition(struct shape *shape, const struct watch_transition *transition)
{
	shape_count(shape, "unix_ms", "when", transition->unix_ms);
	shape_count(
		shape, "number", "of the phone's transitions, modulo 65536", transition->number);
	tell_side(shape, "from", "before", transition->from);
	tell_side(shape, "to", "since then", transition->to);
	shape_text(shape, "phase",
		"entered: off, boot, registering, waiting, switching or registered",
		phone_state_name((enum phone_state)transition->phase));
	shape_text(shape, "cause", "of it, as in the feed of the store",
		record_cause_name((enum record_cause)transition->cause));
}

void events_tell_sample(struct shape *shape, const void *what)
{
	const struct watch_transition *transition = what;
	shape_count(shape, "phone", "its index in the fleet", transition->phone);
	events_tell_transition(shape, transition);
}

void events_tell_proxy(struct shape *shape, const void *what)
{
	const struct events_proxy_state *state = what;
	shape_text(shape, "proxy", "primary or redundant", proxy_name(state->proxy));
	shape_switch(shape, "answering", "it answers again; false: it does not any more",
		state->answering);
	shape_count(shape, "unix_ms", "when this was seen", events_unix_ms());
}

void events_tell_alert(struct shape *shape, const void *what)
{
	const struct events_alert_text *alert = what;
	shape_text(shape, "level", "info or warning", alert->warning ? "warning" : "info");
	shape_text(shape, "text", "for people, one line", alert->text);
	shape_count(shape, "unix_ms", "when", events_unix_ms());
}

const char *events_phase_name(enum drills_phase phase)
{
	static const char *const names[] = {[DRILLS_BEGAN] = "began",
		[DRILLS_STEP] = "step",
		[DRILLS_ENDED] = "ended",
		[DRILLS_ABORTED] = "aborted"};
	return names[phase];
}

void events_tell_drill(struct shape *shape, const void *what)
{
	const struct drills_news *news = what;
	const struct drill_plan *plan = news->plan;
	shape_count(shape, "id", "number of the drill", news->id);
	shape_text(shape, "name", "of the catalogue or of the fleet file",
		plan != NULL ? plan->name : "");
	shape_text(shape, "title", "what is done, in a few words", plan != NULL ? plan->title : "");
	shape_text(shape, "phase", "began, step, ended or aborted", events_phase_name(news->phase));
	shape_text(shape, "text", "what has been done, or why it was aborted; one line",
		news->text != NULL ? news->text : "");
	shape_maybe_text(shape, "act",
		"impair, faults, command, hook, undo or end (of a wave); null: it is no step",
		news->phase == DRILLS_STEP ? drills_act_name((enum drill_act)news->act) : NULL);
	shape_count(shape, "at_ms", "since the drill began", news->at_ms);
	shape_count(shape, "unix_ms", "when", news->unix_ms);
	shape_maybe_text(shape, "proxy", "it is about, primary or redundant; null: neither",
		news->proxy < PROXIES ? proxy_name((enum proxy)news->proxy) : NULL);
	shape_switch(shape, "restores", "the step ends something that the drill had begun",
		news->restores);
}

void events_tell_bye(struct shape *shape, const void *what)
{
	shape_text(shape, "reason", "why nothing follows", what);
}

char *events_text(events_describe describe, const void *what)
{
	struct shape shape;
	shape_open(&shape, false);
	describe(&shape, what);
	json_t *value = shape_close(&shape);
	char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(value);
	return text;
}

bool events_is_limited(const struct picture *picture, char *why, size_t size)
{
	const struct summary summary = {.end = picture->now};
	struct summary_verdict verdict;
	summary_judge(&summary, &verdict);
	snprintf(why, size, "%s", verdict.reasons > 0 ? verdict.reason[0] : "");
	return verdict.generator_limited;
}

void events_schemas(json_t *schemas, const struct picture *picture)
{
	const struct events_hello hello = {.events = picture->events};
	const struct events_delta delta = {0};
	const struct watch_transition transition = {0};
	const struct events_proxy_state proxy = {0};
	const struct events_alert_text alert = {0};
	const struct drills_news news = {.proxy = PROXIES};
	const uint64_t sequence = 0;
	const struct {
		const char *name;
		events_describe describe;
		const void *what;
	} all[] = {{"EventHello", events_tell_hello, &hello},
		{"EventTick", events_tell_tick, picture->events},
		{"EventDelta", events_tell_delta, &delta},
		{"EventResync", events_tell_resync, &sequence},
		{"EventTransition", events_tell_sample, &transition},
		{"EventProxy", events_tell_proxy, &proxy},
		{"EventAlert", events_tell_alert, &alert}, {"EventDrill", events_tell_drill, &news},
		{"EventBye", events_tell_bye, ""}};
	for (size_t i = 0; picture->events != NULL && i < sizeof(all) / sizeof(all[0]); i++) {
		struct shape shape;
		shape_open(&shape, true);
		all[i].describe(&shape, all[i].what);
		json_object_set_new(schemas, all[i].name, shape_close(&shape));
	}
}
