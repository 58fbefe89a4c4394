/* SPDX-License-Identifier: BSD-3-Clause */
/* How drills ended: the newest ones, and all of these for the summary. */
#include <string.h>

#include "drills_internal.h"

const struct hook_status *drills_hook(const struct drills *drills, uint32_t n)
{
	const struct hook_status *hook = hooks_status(
		drills->hooks, drills->picture.fleet->hook[n].name);
	const bool ran = hook != NULL && hook->state != HOOK_IDLE &&
			 hook->begun_us >= drills->begin_us;
	return ran ? hook : NULL;
}

static json_t *hooks_of(const struct drills *drills)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < drills->picture.fleet->hooks; i++) {
		const struct hook_status *hook = drills_hook(drills, i);
		if (hook != NULL)
			json_array_append_new(
				array, json_pack("{s:s, s:i, s:i}", "name",
					       drills->picture.fleet->hook[i].name, "exit_code",
					       hook->exit_code, "undo_code", hook->undo_code));
	}
	return array;
}

/* What the waves do not know. */
static void add_frame(json_t *json, const struct drills *drills)
{
	const bool aborted = drills->drill.state == DRILL_ABORTED;
	const double begin_s = (double)(int64_t)(drills->begin_us - drills->picture.start_us) / 1e6;
	json_object_set_new(json, "name", json_string(drills->plan.name));
	json_object_set_new(json, "title", json_string(drills->plan.title));
	json_object_set_new(json, "question", json_string(drills->plan.question));
	json_object_set_new(json, "outcome", json_string(aborted ? "aborted" : "completed"));
	json_object_set_new(
		json, "reason", aborted ? json_string(drills->drill.reason) : json_null());
	json_object_set_new(json, "begin_unix_ms", json_integer((json_int_t)drills->begin_unix_ms));
	json_object_set_new(json, "begin_s", json_real(begin_s));
	json_object_set_new(json, "duration_ms",
		json_integer((json_int_t)((drills->end_us - drills->begin_us) / 1000)));
	json_object_set(json, "steps", drills->steps);
	json_object_set_new(json, "hooks", hooks_of(drills));
}

void drills_keep(struct drills *drills)
{
	struct drills_result *kept = &drills->kept[drills->id % DRILLS_KEPT];
	json_t *json = waves_json(drills->waves);
	if (json == NULL)
		json = json_object();
	add_frame(json, drills);
	json_decref(drills->steps);
	drills->steps = NULL;
	json_decref(kept->json);
	*kept = (struct drills_result){.id = drills->id,
		.name = json_string_value(json_object_get(json, "name")),
		.title = json_string_value(json_object_get(json, "title")),
		.aborted = drills->drill.state == DRILL_ABORTED,
		.begin_unix_ms = drills->begin_unix_ms,
		.duration_ms = (drills->end_us - drills->begin_us) / 1000,
		.json = json};
}

void drills_free_kept(struct drills *drills)
{
	for (int i = 0; i < DRILLS_KEPT; i++)
		json_decref(drills->kept[i].json);
}

bool drills_result(const struct drills *drills, uint32_t id, struct drills_result *out)
{
	if (drills == NULL || id == 0 || drills->kept[id % DRILLS_KEPT].id != id)
		return false;
	*out = drills->kept[id % DRILLS_KEPT];
	return true;
}

size_t drills_finished(const struct drills *drills, struct drills_result out[DRILLS_KEPT])
{
	size_t n = 0;
	for (uint32_t id = drills != NULL ? drills->id : 0; id > 0 && n < DRILLS_KEPT; id--) {
		if (drills->id - id > DRILLS_KEPT)
			break;
		n += drills_result(drills, id, &out[n]);
	}
	return n;
}

json_t *drills_json(const struct drills *drills)
{
	struct drills_result result[DRILLS_KEPT];
	json_t *array = json_array();
	for (size_t n = drills_finished(drills, result); n > 0; n--)
		json_array_append(array, result[n - 1].json);
	return array;
}
