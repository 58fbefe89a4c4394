/* SPDX-License-Identifier: BSD-3-Clause */
/* What a bench knows, as JSON: docs/sipherd.bench-1.schema.json. The same document is --state, to go on
 * from, and --summary, to keep. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_internal.h"
#include "output.h"

static const char *const outcome_names[] = {"met", "missed", "generator", "failed"};
static const char *const state_names[] = {[SEARCH_GOES_ON] = "goes-on",
	[SEARCH_FOUND] = "found",
	[SEARCH_NONE] = "none",
	[SEARCH_ALL] = "all",
	[SEARCH_LIMITED] = "generator",
	[SEARCH_BROKEN] = "failed"};
static const char *const unit_names[VARY_KINDS] = {"phones", "ms", "ms", "per_s", "per_s"};

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *texts(const struct option_list *list, size_t from)
{
	json_t *array = json_array();
	for (size_t i = from; i < list->count; i++)
		json_array_append_new(array, json_string(list->item[i]));
	return array;
}

static json_t *goals_json(const struct bench *bench)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < bench->goals; i++)
		json_array_append_new(array, json_string(bench->goal[i].text));
	return array;
}

/* What makes two benches the same search, beside the searches' own rules. */
static json_t *settings_json(const struct bench *bench)
{
	const struct options *o = bench->options;
	json_t *hold = o->hold_ms != OPTIONS_NOT_GIVEN ? json_integer((json_int_t)o->hold_ms)
						       : json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "kind",
		bench_kind_names[bench->kind], "goals", goals_json(bench), "drill",
		texts(&o->arguments, 2), "faults", texts(&o->fault, 0), "settle_ms",
		(json_int_t)o->settle_ms, "hold_ms", hold, "fleet", fleet_json(&bench->fleet));
}

int bench_describe(struct bench *bench)
{
	bench->known = json_pack("{s:s, s:s, s:o, s:s}", "schema", "sipherd.bench/1", "version",
		SIPHERD_VERSION, "settings", settings_json(bench), "goals_from", bench->goals_from);
	for (unsigned i = 0; i < bench->searches; i++) {
		bench->search[i].trials = json_array();
		bench->search[i].innocence = json_array();
	}
	if (bench->known != NULL)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: out of memory\n");
	return EXIT_HOST;
}

/* --- Trials --- */

static void append(json_t *array, double value, enum search_outcome outcome, double seconds,
	double rate, json_t *goals)
{
	json_array_append_new(
		array, json_pack("{s:f, s:s, s:f, s:o, s:o}", "value", value, "outcome",
			       outcome_names[outcome], "seconds", seconds, "rate", number(rate),
			       "goals", goals != NULL ? json_incref(goals) : json_array()));
}

void bench_add(
	struct bench_search *search, double value, bool baseline, const struct bench_point *point)
{
	append(baseline ? search->innocence : search->trials, value, point->outcome, point->seconds,
		point->rate, point->goals);
	if (!baseline)
		search_add(&search->search, value, point->outcome, point->seconds);
}

void bench_add_limit(struct bench_search *search, double value)
{
	for (unsigned i = 0; i <= search->search.rules.repeats / 2; i++) {
		append(search->trials, value, SEARCH_GENERATOR, 0, NAN, NULL);
		search_add(&search->search, value, SEARCH_GENERATOR, 0);
	}
}

static bool is_outcome(const json_t *trial, enum search_outcome outcome)
{
	const char *name = json_string_value(json_object_get(trial, "outcome"));
	return name != NULL && strcmp(name, outcome_names[outcome]) == 0;
}

bool bench_is_innocent(const struct bench_search *search, double value)
{
	size_t i;
	json_t *trial;
	json_array_foreach (search->innocence, i, trial) {
		double other = json_number_value(json_object_get(trial, "value"));
		bool harder = search->search.rules.falling ? other <= value : other >= value;
		if (harder && is_outcome(trial, SEARCH_MET))
			return true;
	}
	return false;
}

unsigned bench_guilty(const struct bench_search *search, double value)
{
	size_t i;
	json_t *trial;
	unsigned count = 0;
	json_array_foreach (search->innocence, i, trial) {
		if (json_number_value(json_object_get(trial, "value")) == value &&
			!is_outcome(trial, SEARCH_MET))
			count++;
	}
	return count;
}

/* --- The document --- */

double bench_mean_rate(const struct bench_search *search, double value)
{
	size_t i;
	json_t *trial;
	double sum = 0, count = 0;
	json_array_foreach (search->trials, i, trial) {
		const json_t *rate = json_object_get(trial, "rate");
		if (json_number_value(json_object_get(trial, "value")) != value ||
			!json_is_number(rate))
			continue;
		sum += json_number_value(rate);
		count++;
	}
	return count > 0 ? sum / count : NAN;
}

static json_t *answer_json(const struct bench_search *search)
{
	struct search_answer answer;
	search_look(&search->search, &answer);
	return json_pack("{s:s, s:o, s:o, s:i, s:i, s:f, s:o}", "state", state_names[answer.state],
		"best", number(answer.best), "worst", number(answer.worst), "met", (int)answer.met,
		"of", (int)answer.of, "confidence", answer.confidence, "rate",
		number(bench_mean_rate(search, answer.best)));
}

void bench_answer(struct bench *bench)
{
	json_t *searches = json_array();
	for (unsigned i = 0; i < bench->searches; i++) {
		struct bench_search *search = &bench->search[i];
		json_t *one = search_json(&search->search);
		json_object_set_new(one, "name", json_string(bench_vary_names[search->vary]));
		json_object_set_new(one, "unit", json_string(unit_names[search->vary]));
		json_object_set(one, "trials", search->trials);
		json_object_set(one, "innocence", search->innocence);
		json_object_set_new(one, "answer", answer_json(search));
		json_array_append_new(searches, one);
	}
	json_object_set_new(bench->known, "searches", searches);
}

int bench_write(const struct bench *bench, const char *path)
{
	char *text = json_dumps(bench->known, JSON_INDENT(1));
	int error = text == NULL ? ENOMEM : 0;
	if (error == 0 && strcmp(path, "-") == 0)
		puts(text);
	else if (error == 0)
		error = -output_whole(path, text);
	free(text);
	return error == 0 ? EXIT_DONE : output_failed(path, error);
}

static int other(const struct bench *bench, const char *why)
{
	fprintf(stderr,
		"sipherd: --state '%s': %s. Name another file, or remove this one to begin anew.\n",
		bench->options->state, why);
	return EXIT_USAGE;
}

static int take_search(struct bench_search *search, const json_t *from)
{
	json_t *trials = json_object_get(from, "trials"),
	       *innocence = json_object_get(from, "innocence");
	const char *name = json_string_value(json_object_get(from, "name"));
	if (name == NULL || strcmp(name, bench_vary_names[search->vary]) != 0 ||
		!json_is_array(innocence) || search_read(&search->search, from) != 0)
		return -EINVAL;
	json_decref(search->trials);
	json_decref(search->innocence);
	search->trials = json_incref(trials);
	search->innocence = json_incref(innocence);
	return 0;
}

int bench_load(struct bench *bench)
{
	const char *path = bench->options->state;
	json_error_t error;
	if (path == NULL || (access(path, F_OK) != 0 && errno == ENOENT))
		return EXIT_DONE;
	json_t *saved = json_load_file(path, 0, &error);
	if (saved == NULL)
		return other(bench, "cannot be read as what a bench has saved");
	int status = EXIT_DONE;
	const json_t *searches = json_object_get(saved, "searches");
	if (!json_equal(json_object_get(saved, "settings"),
		    json_object_get(bench->known, "settings")) ||
		json_array_size(searches) != bench->searches)
		status = other(bench,
			"is of another search: its kind, goals, fleet, drill or times "
			"are not these");
	for (unsigned i = 0; status == EXIT_DONE && i < bench->searches; i++) {
		if (take_search(&bench->search[i], json_array_get(searches, i)) != 0)
			status = other(bench,
				"is of another search: what it varies, its range, repeats or "
				"precision are not these");
	}
	json_decref(saved);
	return status;
}
