/* SPDX-License-Identifier: BSD-3-Clause */
#include "search.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *const outcome_names[] = {"met", "missed", "generator", "failed"};
#define OUTCOMES (sizeof(outcome_names) / sizeof(outcome_names[0]))

/* What is known of one value. */
struct point {
	double value;
	unsigned count[OUTCOMES];
};

enum standing { POINT_OPEN, POINT_MET, POINT_MISSED, POINT_LIMITED, POINT_BROKEN };

/* What bounds the search: easier values than `low` are met, harder ones than `high` are not tried. */
struct bracket {
	double low, high; /* NAN: none yet */
	enum standing high_is;
	struct point low_point;
};

/* Values that differ by rounding alone are one. */
static bool same(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

static bool is_harder(const struct search_rules *rules, double a, double b)
{
	return !same(a, b) && (rules->falling ? a < b : a > b);
}

static struct point point_of(const struct search *search, double value)
{
	struct point point = {.value = value};
	for (uint32_t i = 0; i < search->trials; i++) {
		if (same(search->trial[i].value, value))
			point.count[search->trial[i].outcome]++;
	}
	return point;
}

/* Runs in which sipherd was the limit, or that broke off, are repeated; when there have been several, and
 * more of them than good ones, it is not by chance. */
static enum standing standing_of(const struct search_rules *rules, const struct point *point)
{
	unsigned most = rules->repeats / 2 + 1;
	unsigned good = point->count[SEARCH_MET] + point->count[SEARCH_MISSED];
	if (good >= rules->repeats)
		return point->count[SEARCH_MET] > point->count[SEARCH_MISSED] ? POINT_MET
									      : POINT_MISSED;
	if (point->count[SEARCH_FAILED] >= most && point->count[SEARCH_FAILED] > good)
		return POINT_BROKEN;
	if (point->count[SEARCH_GENERATOR] >= most && point->count[SEARCH_GENERATOR] > good)
		return POINT_LIMITED;
	return POINT_OPEN;
}

/* The easiest point that was not met first, then the hardest below it that was. */
static struct bracket bracket_of(const struct search *search)
{
	const struct search_rules *rules = &search->rules;
	struct bracket bracket = {.low = NAN, .high = NAN};
	for (uint32_t i = 0; i < search->trials; i++) {
		struct point point = point_of(search, search->trial[i].value);
		enum standing standing = standing_of(rules, &point);
		if (standing != POINT_MISSED && standing != POINT_LIMITED)
			continue;
		if (isnan(bracket.high) || is_harder(rules, bracket.high, point.value)) {
			bracket.high = point.value;
			bracket.high_is = standing;
		}
	}
	for (uint32_t i = 0; i < search->trials; i++) {
		struct point point = point_of(search, search->trial[i].value);
		if (standing_of(rules, &point) != POINT_MET ||
			(!isnan(bracket.high) && !is_harder(rules, bracket.high, point.value)))
			continue;
		if (isnan(bracket.low) || is_harder(rules, point.value, bracket.low)) {
			bracket.low = point.value;
			bracket.low_point = point;
		}
	}
	return bracket;
}

static double within(const struct search_rules *rules, double value)
{
	value = rules->whole ? round(value) : value;
	return fmin(fmax(value, rules->least), rules->most);
}

static double hardest(const struct search_rules *rules)
{
	return within(rules, rules->falling ? rules->least : rules->most);
}

static double easiest(const struct search_rules *rules)
{
	return within(rules, rules->falling ? rules->most : rules->least);
}

/* One step of growth towards the harder or the easier values, which is a step indeed. */
static double step(const struct search_rules *rules, double value, bool harder)
{
	bool up = harder != rules->falling;
	double next = up ? value * rules->growth : value / rules->growth;
	if (rules->whole && same(round(next), value))
		next = up ? value + 1 : value - 1;
	return within(rules, next);
}

static double middle(const struct search_rules *rules, const struct bracket *bracket)
{
	return within(rules, sqrt(bracket->low * bracket->high));
}

static bool is_fine(const struct search_rules *rules, const struct bracket *bracket)
{
	double wide = fabs(bracket->high - bracket->low);
	if (wide <= rules->precision * fmin(bracket->low, bracket->high) * (1 + 1e-9))
		return true;
	double next = middle(rules, bracket);
	return same(next, bracket->low) || same(next, bracket->high);
}

/* Which point comes next, or how it has ended. */
static enum search_state decide(
	const struct search_rules *rules, const struct bracket *bracket, double *next)
{
	bool low = !isnan(bracket->low), high = !isnan(bracket->high);
	enum search_state end = bracket->high_is == POINT_LIMITED ? SEARCH_LIMITED : SEARCH_FOUND;
	if (!low && !high) {
		*next = within(rules, rules->first);
		return SEARCH_GOES_ON;
	}
	if (!high) {
		*next = step(rules, bracket->low, true);
		return same(bracket->low, hardest(rules)) ? SEARCH_ALL : SEARCH_GOES_ON;
	}
	if (!low) {
		*next = step(rules, bracket->high, false);
		if (!same(bracket->high, easiest(rules)))
			return SEARCH_GOES_ON;
		return end == SEARCH_LIMITED ? SEARCH_LIMITED : SEARCH_NONE;
	}
	*next = middle(rules, bracket);
	return is_fine(rules, bracket) ? end : SEARCH_GOES_ON;
}

/* One minus the chance of so many or more of so many, were each a coin's. */
static double confidence(unsigned met, unsigned of)
{
	double chance = 0, way = pow(0.5, of);
	for (unsigned k = 0; k <= of; k++) {
		if (k >= met)
			chance += way;
		way = way * (of - k) / (k + 1);
	}
	return of == 0 ? 0 : 1 - chance;
}

/* Points that are still to come, this one included. Before there is an upper bound, as if the next one
 * were it. */
static double points_left(const struct search_rules *rules, const struct bracket *bracket)
{
	bool both = !isnan(bracket->low) && !isnan(bracket->high);
	double wide = both ? fabs(log(bracket->high / bracket->low)) : log(rules->growth);
	double halvings = ceil(fmax(log2(wide / log1p(rules->precision)), 0));
	return both ? fmax(halvings, 1) : halvings + 1;
}

static void estimate(
	const struct search *search, const struct bracket *bracket, struct search_answer *out)
{
	const struct search_rules *rules = &search->rules;
	double seconds = 0, recent = 0;
	for (uint32_t i = search->trials; i > 0 && recent < rules->repeats; i--, recent++)
		seconds += search->trial[i - 1].seconds;
	bool last = isnan(bracket->high) && same(out->next, hardest(rules));
	double left = (last ? 1 : points_left(rules, bracket)) * rules->repeats - (out->repeat - 1);
	left = fmax(left, 1);
	out->done = search->trials / (search->trials + left);
	out->remaining_s = recent > 0 ? left * seconds / recent : NAN;
}

static bool has_broken(const struct search *search)
{
	for (uint32_t i = 0; i < search->trials; i++) {
		struct point point = point_of(search, search->trial[i].value);
		if (standing_of(&search->rules, &point) == POINT_BROKEN)
			return true;
	}
	return false;
}

void search_look(const struct search *search, struct search_answer *out)
{
	struct bracket bracket = bracket_of(search);
	*out = (struct search_answer){.next = NAN,
		.best = bracket.low,
		.worst = bracket.high,
		.met = bracket.low_point.count[SEARCH_MET],
		.of = bracket.low_point.count[SEARCH_MET] + bracket.low_point.count[SEARCH_MISSED],
		.remaining_s = 0,
		.done = 1};
	out->confidence = confidence(out->met, out->of);
	double next = NAN;
	out->state = decide(&search->rules, &bracket, &next);
	if (has_broken(search) ||
		(out->state == SEARCH_GOES_ON && search->trials == SEARCH_TRIALS_MAX))
		out->state = SEARCH_BROKEN;
	if (out->state != SEARCH_GOES_ON)
		return;
	struct point point = point_of(search, next);
	out->next = next;
	for (size_t i = 0; i < OUTCOMES; i++)
		out->repeat += point.count[i];
	out->repeat++;
	estimate(search, &bracket, out);
}

bool search_add(struct search *search, double value, enum search_outcome outcome, double seconds)
{
	if (search->trials == SEARCH_TRIALS_MAX)
		return false;
	search->trial[search->trials++] = (struct search_trial){value, (uint8_t)outcome, seconds};
	return true;
}

static json_t *rules_json(const struct search_rules *rules)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:b, s:b}", "first", rules->first,
		"growth", rules->growth, "least", rules->least, "most", rules->most, "precision",
		rules->precision, "repeats", (int)rules->repeats, "falling", rules->falling,
		"whole", rules->whole);
}

json_t *search_json(const struct search *search)
{
	json_t *trials = json_array();
	for (uint32_t i = 0; i < search->trials; i++) {
		const struct search_trial *trial = &search->trial[i];
		json_array_append_new(
			trials, json_pack("{s:f, s:s, s:f}", "value", trial->value, "outcome",
					outcome_names[trial->outcome], "seconds", trial->seconds));
	}
	return json_pack("{s:o, s:o}", "rules", rules_json(&search->rules), "trials", trials);
}

static int read_trial(struct search *search, const json_t *json)
{
	const char *outcome = json_string_value(json_object_get(json, "outcome"));
	const json_t *value = json_object_get(json, "value"),
		     *seconds = json_object_get(json, "seconds");
	if (outcome == NULL || !json_is_number(value) || !json_is_number(seconds) ||
		!(json_number_value(value) > 0) || json_number_value(seconds) < 0)
		return -EINVAL;
	for (size_t i = 0; i < OUTCOMES; i++) {
		if (strcmp(outcome, outcome_names[i]) == 0)
			return search_add(search, json_number_value(value), (enum search_outcome)i,
				       json_number_value(seconds))
				       ? 0
				       : -EINVAL;
	}
	return -EINVAL;
}

int search_read(struct search *search, const json_t *json)
{
	const json_t *trials = json_object_get(json, "trials");
	json_t *rules = rules_json(&search->rules), *trial;
	bool ours = json_is_array(trials) && json_equal(json_object_get(json, "rules"), rules);
	size_t i;
	json_decref(rules);
	search->trials = 0;
	if (!ours)
		return -EINVAL;
	json_array_foreach (trials, i, trial) {
		if (read_trial(search, trial) != 0) {
			search->trials = 0;
			return -EINVAL;
		}
	}
	return 0;
}
