/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report_internal.h"

static int refuse(char reason[REPORT_REASON_MAX], const char *what)
{
	snprintf(reason, REPORT_REASON_MAX, "%s", what);
	return -EINVAL;
}

/* Where something else stands than what it must be, a report could only mislead. */
static bool is_array_of(const json_t *array, json_type type)
{
	if (!json_is_array(array))
		return false;
	for (size_t i = 0; i < json_array_size(array); i++)
		if (json_typeof(json_array_get(array, i)) != type)
			return false;
	return true;
}

static bool drill_is_well(const json_t *drill)
{
	const json_t *series = json_object_get(drill, "series");
	if (!is_array_of(json_object_get(drill, "steps"), JSON_OBJECT) ||
		!is_array_of(json_object_get(drill, "waves"), JSON_OBJECT))
		return false;
	return is_array_of(json_object_get(series, "columns"), JSON_STRING) &&
	       is_array_of(json_object_get(series, "primary"), JSON_ARRAY) &&
	       is_array_of(json_object_get(series, "redundant"), JSON_ARRAY);
}

int report_check(const json_t *run, char reason[REPORT_REASON_MAX])
{
	static const char *const objects[] = {
		"verdict", "fleet", "datagrams", "losses", "histograms"};
	const char *schema = report_text(run, "schema");
	if (strcmp(schema, "sipherd.run/1") != 0) {
		snprintf(reason, REPORT_REASON_MAX,
			"its schema is '%.60s', a report needs the summary of a run, sipherd.run/1",
			schema);
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		if (json_is_object(json_object_get(run, objects[i])))
			continue;
		snprintf(reason, REPORT_REASON_MAX,
			"it has no '%s', as summaries of runs with phones have", objects[i]);
		return -EINVAL;
	}
	const json_t *drills = json_object_get(run, "drills");
	if (drills == NULL)
		return 0;
	if (!is_array_of(drills, JSON_OBJECT))
		return refuse(reason, "its 'drills' are no array of objects");
	for (size_t i = 0; i < json_array_size(drills); i++)
		if (!drill_is_well(json_array_get(drills, i)))
			return refuse(reason,
				"one of its drills has no 'steps', 'waves' or 'series' as "
				"docs/measures.md describes them");
	return 0;
}

static void write_steps(struct page *page, const json_t *drill)
{
	static const char *const heads[] = {"", "at", "what happened"};
	const json_t *steps = report_at(drill, "steps");
	put(page, "<div class=\"words\">\n");
	table_begin(page, "Steps, as they happened", heads, 3);
	for (size_t i = 0; i < json_array_size(steps) && i < SHOWN_ROWS_MAX; i++) {
		const json_t *step = json_array_get(steps, i);
		char number[WORD_MAX];
		snprintf(number, sizeof(number), "%zu", i + 1);
		table_row(page, number);
		table_cell(page, "%s", word_at(report_number(step, "at_ms"), WORD));
		table_cell(page, "%s", report_text(step, "text"));
	}
	table_end(page);
	put(page, "</div>\n");
}

/* Of all waves: what was sent before the drill is not what was foreseen of it. */
static double busiest_wave(const json_t *drill, const char *path)
{
	const json_t *waves = report_at(drill, "waves");
	double most = NAN;
	for (size_t i = 0; i < json_array_size(waves); i++)
		most = fmax(most, report_number(json_array_get(waves, i), path));
	return most;
}

/* A count that may be foreseen as less than one. */
static const char *word_few(double count, char out[WORD_MAX])
{
	return count >= 10 ? word_count(count, out) : word_plain(count, out);
}

static void write_forecast(struct page *page, const json_t *drill)
{
	static const char *const heads[] = {"", "foreseen", "measured"};
	const json_t *forecast = report_at(drill, "forecast");
	struct rates rates;
	const bool has_rates = rates_open(&rates, drill);
	if (!json_is_object(forecast))
		return;
	table_begin(page,
		report_true(forecast, "known")
			? "Foreseen before it began, and measured"
			: "Foreseen before it began (bounds: no model covers it), and measured",
		heads, 3);
	table_row(page, "REGISTER in the busiest second");
	table_cell(page, "%s", word_rate(report_number(forecast, "register_per_s"), WORD));
	table_cell(page, "%s", word_rate(busiest_wave(drill, "peak.second.per_s"), WORD));
	table_row(page, "REGISTER in the busiest 100 ms");
	table_cell(page, "%s", word_few(report_number(forecast, "register_per_100ms"), WORD));
	table_cell(page, "%s", word_few(busiest_wave(drill, "peak.tenth.per_s") / 10, WORD));
	table_row(page, "OPTIONS datagrams in the busiest second");
	table_cell(page, "%s", word_rate(report_number(forecast, "options_datagrams_per_s"), WORD));
	table_cell(page, "%s",
		word_rate(has_rates ? rates_busiest(&rates, RATE_options_datagrams) : NAN, WORD));
	table_end(page);
}

static void write_hooks(struct page *page, const json_t *drill)
{
	static const char *const heads[] = {"hook", "exit code", "of its undo"};
	const json_t *hooks = report_at(drill, "hooks");
	if (json_array_size(hooks) == 0)
		return;
	table_begin(page, "Hooks that were run", heads, 3);
	for (size_t i = 0; i < json_array_size(hooks) && i < SHOWN_ROWS_MAX; i++) {
		const json_t *hook = json_array_get(hooks, i);
		table_row(page, report_text(hook, "name"));
		table_cell(page, "%s", word_count(report_number(hook, "exit_code"), WORD));
		table_cell(page, "%s", word_count(report_number(hook, "undo_code"), WORD));
	}
	table_end(page);
}

static void write_drill(struct page *page, const struct drill_view *view)
{
	const json_t *waves = report_at(view->drill, "waves");
	element(page, "h2", "chapter", "What was done: %s", report_text(view->drill, "title"));
	element(page, "p", NULL, "Begun %s, over after %s. %s",
		word_utc(report_number(view->drill, "begin_unix_ms"), WORD),
		word_ms(report_number(view->drill, "duration_ms"), WORD),
		report_text(view->drill, "question"));
	write_steps(page, view->drill);
	write_hooks(page, view->drill);
	write_forecast(page, view->drill);
	report_herd(page, view);
	element(page, "h2", NULL, "How the phones moved");
	report_waves_glance(page, waves);
	for (size_t i = 0; i < json_array_size(waves) && i < SHOWN_WAVES_MAX; i++)
		report_wave(page, view, json_array_get(waves, i), (unsigned)i);
	report_totals(page, view->drill);
	report_proxies(page, view);
}

void report_head(struct page *page, const char *title)
{
	put(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
		  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		  "style-src 'unsafe-inline'; img-src data:\"/>\n"
		  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
		  "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
		  "<link rel=\"icon\" href=\"data:,\"/>\n<title>");
	say(page, "%s", title);
	put(page, "</title>\n<style>");
	put(page, report_style);
	put(page, "</style>\n</head>\n<body>\n");
}

void report_foot(struct page *page)
{
	put(page, "<footer>");
	say(page, "Made by sipherd from a run's summary (sipherd.run/1). What each measure is: "
		  "docs/measures.md.");
	put(page, "</footer>\n</body>\n</html>\n");
}

static void write_header(struct page *page, const json_t *run)
{
	const json_t *drills = report_at(run, "drills"), *drill = json_array_get(drills, 0);
	put(page, "<header>");
	element(page, "p", "brand", "sipherd report");
	if (json_array_size(drills) > 0)
		element(page, "h1", NULL, "%s: %s%s", report_text(run, "fleet.fleet"),
			report_text(drill, "title"),
			json_array_size(drills) > 1 ? " and more" : "");
	else
		element(page, "h1", NULL, "%s", report_text(run, "fleet.fleet"));
	element(page, "p", "meta", "%s phones, %s to %s, sipherd %s on %s",
		word_count(report_number(run, "fleet.phones"), WORD), report_text(run, "started"),
		report_text(run, "ended"), report_text(run, "version"), report_text(run, "link"));
	put(page, "</header>\n");
}

/* What is wrong comes first; what went well is one sentence. */
static void write_findings(struct page *page, const json_t *run)
{
	const json_t *drills = report_at(run, "drills");
	struct findings *all = &page->findings;
	all->count = 0;
	for (size_t i = 0; i < json_array_size(drills) && i < SHOWN_DRILLS_MAX; i++) {
		const struct drill_view view = {run, json_array_get(drills, i), (unsigned)i};
		explain_drill(all, &view);
	}
	if (all->count == 0)
		return;
	element(page, "h2", NULL, "What the figures say");
	if (page->limited)
		element(page, "p", NULL,
			"Of this host as much as of the proxies, since the generator was the "
			"limit:");
	findings_write(page, all);
}

static void write_page(struct page *page, const json_t *run)
{
	const json_t *drills = report_at(run, "drills");
	char title[200];
	snprintf(title, sizeof(title), "%.120s: report of a %s", report_text(run, "fleet.fleet"),
		json_array_size(drills) > 0 ? "drill" : "run");
	report_head(page, title);
	write_header(page, run);
	put(page, "<main>\n");
	report_verdict(page, run);
	report_facts(page, run);
	write_findings(page, run);
	report_goals(page, run);
	for (size_t i = 0; i < json_array_size(drills) && i < SHOWN_DRILLS_MAX; i++) {
		const struct drill_view view = {run, json_array_get(drills, i), (unsigned)i};
		write_drill(page, &view);
	}
	report_round_trips(page, run);
	report_generator(page, run);
	report_configuration(page, run);
	report_repeat(page, run);
	put(page, "</main>\n");
	report_foot(page);
}

int report_write(FILE *out, const json_t *run, char reason[REPORT_REASON_MAX])
{
	const int status = report_check(run, reason);
	if (status != 0)
		return status;
	struct page *page = calloc(1, sizeof(*page));
	if (page == NULL)
		return -ENOMEM;
	page->out = out;
	page->limited = report_true(run, "verdict.generator_limited");
	write_page(page, run);
	free(page);
	return ferror(out) ? -EIO : 0;
}
