/* SPDX-License-Identifier: BSD-3-Clause */
/* One wave that is over: what its phones' moments add up to. docs/measures.md says what each means. */
#include "wave_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {[WAVE_FAIL_OVER] = "fail-over",
	[WAVE_FAIL_BACK] = "fail-back",
	[WAVE_RESCUE] = "rescue",
	[WAVE_POWER] = "power",
	[WAVE_WATCH] = "watch"};

enum measure {
	MEASURE_DETECTION,
	MEASURE_SWITCH,
	MEASURE_REGISTRATION,
	MEASURE_OUTAGE,
	MEASURE_LEFT, /* the moment its REGISTER left */
	MEASURE_BACK, /* the moment it was registered again */
	MEASURE_COUNT
};

struct measured {
	const struct waves *waves;
	const struct drill_wave *wave;
	const struct wave_state *state;
	uint32_t lasted_ms, concerned;
	uint32_t *value, *scratch; /* [concerned] */
};

static uint32_t difference(uint32_t from_ms, uint32_t to_ms)
{
	if (from_ms == WAVE_NEVER || to_ms == WAVE_NEVER)
		return WAVE_NEVER;
	return to_ms > from_ms ? to_ms - from_ms : 0;
}

static uint32_t value_of(
	const struct drill_wave *wave, const struct wave_phone *phone, enum measure measure)
{
	switch (measure) {
	case MEASURE_DETECTION:
		return phone->detect_ms;
	case MEASURE_SWITCH:
		return difference(phone->detect_ms, phone->register_ms);
	case MEASURE_REGISTRATION:
		return difference(phone->register_ms, phone->back_ms);
	case MEASURE_OUTAGE:
		/* Of a wave that nobody need take part in, only who left was out. */
		return difference(wave->kind == WAVE_WATCH ? phone->detect_ms : 0, phone->back_ms);
	case MEASURE_LEFT:
		/* Which datagram a rescued phone was answered to is not known, its answer is. */
		return wave->kind == WAVE_RESCUE ? phone->back_ms : phone->register_ms;
	default:
		return phone->back_ms;
	}
}

/* Of all phones that have such a value, ascending. */
static uint32_t collect(struct measured *m, enum measure measure)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < m->waves->mirror->phones; i++) {
		const struct wave_phone *phone = &m->state->phone[i];
		if (!phone->concerned)
			continue;
		const uint32_t value = value_of(m->wave, phone, measure);
		if (value != WAVE_NEVER)
			m->value[count++] = value;
	}
	wave_sort(m->value, m->scratch, count);
	return count;
}

static void set_spread(json_t *out, const char *name, struct measured *m, enum measure measure)
{
	const uint32_t count = collect(m, measure);
	json_object_set_new(out, name, wave_spread_json(m->value, count));
}

static void set_back(json_t *out, struct measured *m)
{
	static const struct {
		const char *name;
		uint64_t permille;
	} shares[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p99_9", 999}, {"p100", 1000}};
	const uint32_t count = collect(m, MEASURE_BACK);
	json_t *at = json_object();
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		const uint64_t rank = ((uint64_t)m->concerned * shares[i].permille + 999) / 1000;
		const bool reached = rank > 0 && rank <= count;
		json_object_set_new(at, shares[i].name,
			reached ? json_integer(m->value[rank - 1]) : json_null());
	}
	json_object_set_new(out, "back_at_ms", at);
	json_object_set_new(out, "back_curve", wave_curve_json(m->value, count, m->concerned));
}

/* The model is of a proxy that falls silent, and of one that was silent for long. */
static bool is_foreseen(const struct measured *m, const struct prediction *prediction)
{
	const struct drill_step *step = &m->waves->plan->step[m->wave->step];
	const bool refuses = m->wave->kind == WAVE_FAIL_OVER && step->act == DRILL_ACT_FAULTS;
	return prediction->known && prediction->even && !refuses && m->concerned > 0;
}

static int set_left(json_t *out, struct measured *m)
{
	struct prediction prediction;
	if (predict_wave(&prediction, m->wave, m->waves->fleet) != 0)
		return -1;
	const uint32_t count = collect(m, MEASURE_LEFT);
	json_object_set_new(out, "peak",
		count == 0 ? json_null()
			   : json_pack("{s:o, s:o}", "second",
				     wave_peak_json(m->value, count, m->concerned, 1000), "tenth",
				     wave_peak_json(m->value, count, m->concerned, 100)));
	json_object_set_new(out, "curve", wave_curve_json(m->value, count, m->concerned));
	json_object_set_new(out, "predicted",
		is_foreseen(m, &prediction) ? wave_predicted_json(&prediction, m->value, count,
						      m->concerned, m->lasted_ms)
					    : json_null());
	prediction_free(&prediction);
	return 0;
}

/* How long a phone was without service, until the wave's end at least where it is not back. Where its proxy
 * goes on serving, that begins when it leaves. */
static uint32_t out_for(const struct measured *m, const struct wave_phone *phone)
{
	const bool served = m->wave->kind == WAVE_FAIL_BACK || m->wave->kind == WAVE_WATCH;
	const uint32_t end_ms = phone->back_ms != WAVE_NEVER ? phone->back_ms : m->lasted_ms;
	if (served && phone->detect_ms == WAVE_NEVER)
		return 0;
	return difference(served ? phone->detect_ms : 0, end_ms);
}

static bool is_stranded(const struct wave_phone *phone, bool homing)
{
	return phone->end == 0 || (homing && phone->end == 1 + PROXY_REDUNDANT);
}

static void set_counts(json_t *out, const struct measured *m)
{
	static const uint32_t limit_s[] = {60, 120, 300};
	uint32_t longer[3] = {0}, back = 0, left = 0, flapping = 0, stranded = 0;
	uint64_t flaps = 0;
	const uint32_t index = (uint32_t)(m->state - m->waves->wave);
	const bool homing = wave_is_homing(m->waves) && wave_primary_serves(m->waves, index);
	for (uint32_t i = 0; i < m->waves->mirror->phones; i++) {
		const struct wave_phone *phone = &m->state->phone[i];
		if (!phone->concerned)
			continue;
		for (int k = 0; k < 3; k++)
			longer[k] += out_for(m, phone) > limit_s[k] * 1000;
		back += wave_is_back(m->wave, phone);
		left += phone->detect_ms != WAVE_NEVER;
		flaps += phone->flaps;
		flapping += phone->flaps > 0;
		stranded += is_stranded(phone, homing);
	}
	json_object_update_new(
		out, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "phones",
			     (json_int_t)m->concerned, "back", (json_int_t)back, "out",
			     (json_int_t)(m->concerned - back), "left", (json_int_t)left, "flaps",
			     (json_int_t)flaps, "flapping_phones", (json_int_t)flapping, "stranded",
			     (json_int_t)stranded, "out_longer_than", "60", (json_int_t)longer[0],
			     "120", (json_int_t)longer[1], "300", (json_int_t)longer[2]));
}

void wave_histograms_take(struct wave_histograms *out, const struct herd_histograms *from)
{
	for (int p = 0; p < PROXIES; p++)
		out->since_answer_ms[p] = from->duration_ms[p][FAILOVER_SINCE_ANSWER];
	out->rrd_us = from->registration_us;
}

/* What has come to a histogram: its ends are known as well as its cells are. */
static void subtract(struct histogram *now, const struct histogram *before)
{
	now->count -= before->count;
	now->sum -= before->sum;
	const uint32_t most = now->max;
	now->min = UINT32_MAX;
	now->max = 0;
	for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++) {
		now->cell[i] -= before->cell[i];
		if (now->cell[i] == 0)
			continue;
		if (now->min == UINT32_MAX)
			now->min = histogram_cell_low(i);
		now->max = histogram_cell_high(i) < most ? histogram_cell_high(i) : most;
	}
}

static void set_histogram(json_t *out, const char *name, const struct histogram *h)
{
	json_object_set_new(out, name, h->count > 0 ? wave_histogram_json(h) : json_null());
}

static void set_histograms(
	json_t *out, const struct measured *m, const struct wave_histograms *after)
{
	const struct wave_histograms *before = m->state->before;
	struct histogram since = after->since_answer_ms[0], one = after->since_answer_ms[1];
	subtract(&since, &before->since_answer_ms[0]);
	subtract(&one, &before->since_answer_ms[1]);
	if (m->wave->to == PROXY_REDUNDANT)
		since = one;
	else if (m->wave->to >= PROXIES)
		histogram_merge(&since, &one);
	set_histogram(out, "since_answer_ms", &since);
	one = after->rrd_us;
	subtract(&one, &before->rrd_us);
	set_histogram(out, "rrd_us", &one);
}

static json_t *name_of(uint8_t proxy)
{
	return proxy < PROXIES ? json_string(proxy_name((enum proxy)proxy)) : json_null();
}

static json_t *measure(struct measured *m, const struct wave_histograms *after)
{
	const uint64_t begin_us = m->state->begin_us - m->waves->open_us;
	json_t *out = json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "name", m->wave->name,
		"kind", kind_names[m->wave->kind], "text", m->wave->text, "from",
		name_of(m->wave->from), "to", name_of(m->wave->to), "at_ms",
		(json_int_t)(begin_us / 1000), "lasted_ms", (json_int_t)m->lasted_ms);
	if (out == NULL)
		return NULL;
	set_counts(out, m);
	set_spread(out, "detection_ms", m, MEASURE_DETECTION);
	set_spread(out, "switch_ms", m, MEASURE_SWITCH);
	set_spread(out, "registration_ms", m, MEASURE_REGISTRATION);
	set_spread(out, "outage_ms", m, MEASURE_OUTAGE);
	set_histograms(out, m, after);
	set_back(out, m);
	if (set_left(out, m) == 0)
		return out;
	json_decref(out);
	return NULL;
}

json_t *wave_measure(const struct waves *waves, uint32_t wave, const struct wave_histograms *after)
{
	const struct wave_state *state = &waves->wave[wave];
	struct measured m = {.waves = waves,
		.wave = &waves->plan->wave[wave],
		.state = state,
		.lasted_ms = wave_lasted_ms(state),
		.concerned = state->progress.concerned};
	/* One more than there are, for there may be none. */
	m.value = malloc((m.concerned + 1ull) * 2 * sizeof(m.value[0]));
	if (m.value == NULL)
		return NULL;
	m.scratch = m.value + m.concerned + 1;
	json_t *out = measure(&m, after);
	free(m.value);
	return out;
}
