/* SPDX-License-Identifier: BSD-3-Clause */
/* A drill as a whole: one element of `drills` of sipherd.run/1, see docs/measures.md. */
#include "wave_internal.h"

static const char *const act_names[] = {[DRILL_ACT_IMPAIR] = "impair",
	[DRILL_ACT_FAULTS] = "faults",
	[DRILL_ACT_COMMAND] = "command",
	[DRILL_ACT_HOOK] = "hook",
	[DRILL_ACT_UNDO] = "undo",
	[DRILL_ACT_END] = "end"};

static void set(
	json_t *out, uint32_t fields, enum drill_field field, const char *name, json_t *value)
{
	if (fields & 1u << field)
		json_object_set_new(out, name, value);
	else
		json_decref(value);
}

static json_t *request_json(const struct drill_request *r)
{
	const struct drill_description *drill = &drill_catalogue[r->kind];
	const double million = 1e6;
	json_t *out = json_pack("{s:s, s:I}", "do", drill->name, "wait_ms", (json_int_t)r->wait_ms);
	const uint32_t fields = drill->fields;
	if (r->proxy < PROXIES)
		set(out, fields, DRILL_PROXY, "proxy",
			json_string(proxy_name((enum proxy)r->proxy)));
	set(out, fields, DRILL_SHARE, "share", json_real(r->share_ppm / million));
	set(out, fields, DRILL_HOLD, "hold_ms", json_integer((json_int_t)r->hold_ms));
	set(out, fields, DRILL_SETTLE, "settle_ms", json_integer((json_int_t)r->settle_ms));
	set(out, fields, DRILL_PERIOD, "period_ms", json_integer((json_int_t)r->period_ms));
	set(out, fields, DRILL_TIMES, "times", json_integer(r->times));
	set(out, fields, DRILL_LOSS, "loss", json_real(r->loss_ppm / million));
	set(out, fields, DRILL_DELAY, "delay_ms", json_real(r->delay_us / 1e3));
	set(out, fields, DRILL_JITTER, "jitter_ms", json_real(r->jitter_us / 1e3));
	set(out, fields, DRILL_RETRY_AFTER, "retry_after_s", json_integer(r->retry_after_s));
	set(out, fields, DRILL_SPREAD, "spread_ms", json_integer(r->spread_ms));
	set(out, fields, DRILL_METHOD, "method",
		json_string(r->method == IMPAIRMENT_REGISTER ? "register" : "options"));
	if (r->hook[0] != '\0')
		set(out, fields, DRILL_HOOK, "hook", json_string(r->hook));
	return out;
}

static json_t *requests_json(const struct drill_plan *plan)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i < plan->requests; i++)
		json_array_append_new(out, request_json(&plan->request[i]));
	return out;
}

/* As they were planned, until it was over. */
static json_t *steps_json(const struct waves *waves)
{
	const uint64_t lasted_ms = (waves->end_us - waves->open_us) / 1000;
	json_t *out = json_array();
	for (uint32_t i = 0; i < waves->plan->steps; i++) {
		const struct drill_step *step = &waves->plan->step[i];
		const bool proxy = step->act == DRILL_ACT_IMPAIR || step->act == DRILL_ACT_FAULTS;
		if (step->at_ms > lasted_ms)
			break;
		json_array_append_new(
			out, json_pack("{s:I, s:s, s:s?, s:b, s:s}", "at_ms",
				     (json_int_t)step->at_ms, "act", act_names[step->act], "proxy",
				     proxy ? proxy_name((enum proxy)step->proxy) : NULL, "restores",
				     (int)step->restores, "text", step->text));
	}
	return out;
}

static json_t *forecast_json(const struct drill_forecast *f)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:b}", "register_per_s", f->register_per_s,
		"register_per_100ms", f->register_per_100ms, "options_datagrams_per_s",
		f->options_datagrams_per_s, "steady_per_s", f->steady_per_s, "known",
		(int)f->known);
}

static json_t *bunched_json(const struct wave_bunching *b)
{
	if (!b->known)
		return json_null();
	return json_pack("{s:f, s:I, s:I}", "herd_index", b->herd_index, "width_50_ms",
		(json_int_t)b->width_50_ms, "width_90_ms", (json_int_t)b->width_90_ms);
}

static json_t *bunching_json(const struct wave_series *series)
{
	const struct wave_bunching now = wave_bunching_now(series);
	json_t *out = bunched_json(&now);
	/* The first few after a ramp say nothing of how the herd was spread. */
	const struct wave_bunching none = {0}, *before = &series->before;
	if (now.known)
		json_object_set_new(out, "before",
			bunched_json(before->keepalives * 2 >= now.keepalives ? before : &none));
	return out;
}

/* Waves that never began, of a drill that was aborted, are left out. NULL: out of memory. */
static json_t *waves_array(const struct waves *waves, uint64_t *flaps)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i < waves->plan->waves; i++) {
		const struct wave_state *state = &waves->wave[i];
		if (!state->begun)
			continue;
		if (json_array_append(out, state->json) != 0) {
			json_decref(out);
			return NULL;
		}
		*flaps += (uint64_t)json_integer_value(json_object_get(state->json, "flaps"));
	}
	return out;
}

static uint64_t late_answers(const struct herd_counters *herd)
{
	return herd->response_late + herd->response_old_epoch;
}

static json_t *totals_json(const struct waves *waves, uint64_t flaps)
{
	const struct wave_sums *before = &waves->before, *after = &waves->after;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "stranded", (json_int_t)waves->stranded,
		"double_bound", (json_int_t)waves->double_bound, "flaps", (json_int_t)flaps,
		"late_answers",
		(json_int_t)(late_answers(&after->herd) - late_answers(&before->herd)), "not_sent",
		(json_int_t)(after->not_sent - before->not_sent), "lines_dropped",
		(json_int_t)(after->lines_dropped - before->lines_dropped));
}

json_t *waves_json(const struct waves *waves)
{
	const struct drill_plan *plan = waves->plan;
	const uint64_t unix_us = atomic_load_explicit(
					 &waves->mirror->unix_start_us, memory_order_relaxed) +
				 waves->open_us;
	const uint64_t lasted_ms = (waves->end_us - waves->open_us) / 1000;
	uint64_t flaps = 0;
	json_t *array = waves->finished ? waves_array(waves, &flaps) : NULL;
	if (array == NULL)
		return NULL;
	const bool whole = lasted_ms >= plan->end_ms;
	const bool incomplete = waves->after.lines_dropped > waves->before.lines_dropped;
	return json_pack("{s:s, s:s, s:s, s:s, s:n, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, "
			 "s:{s:o, s:o}, s:o, s:o, s:[]}",
		"name", plan->name, "title", plan->title, "question", plan->question, "outcome",
		whole ? "completed" : "aborted", "reason", "begin_unix_ms",
		(json_int_t)(unix_us / 1000), "duration_ms", (json_int_t)lasted_ms, "phones",
		(json_int_t)waves->fleet->phones, "incomplete", (int)incomplete, "request",
		requests_json(plan), "steps", steps_json(waves), "forecast",
		forecast_json(&plan->forecast), "waves", array, "series", wave_series_json(waves),
		"proxies", "primary", wave_proxy_json(waves, PROXY_PRIMARY), "redundant",
		wave_proxy_json(waves, PROXY_REDUNDANT), "totals", totals_json(waves, flaps),
		"bunching", bunching_json(&waves->series), "hooks");
}
