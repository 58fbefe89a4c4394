/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of the whole run: the verdict, goals, where the phones were, round trips, the generator, the
 * configuration, and how to do it again. */
#include <math.h>
#include <string.h>

#include "report_internal.h"

#define CONFIG_DEPTH_MAX 4

/* --- The verdict --- */

static void count_goals(const json_t *gates, unsigned *all, unsigned *missed)
{
	*all = (unsigned)json_array_size(gates);
	*missed = 0;
	for (size_t i = 0; i < json_array_size(gates); i++)
		*missed += !report_true(json_array_get(gates, i), "met");
}

static const json_t *first_drill(const json_t *run, const char *path, const char *word)
{
	const json_t *drills = report_at(run, "drills");
	for (size_t i = 0; i < json_array_size(drills); i++) {
		const json_t *drill = json_array_get(drills, i);
		if (word != NULL ? strcmp(report_text(drill, path), word) == 0
				 : report_true(drill, path))
			return drill;
	}
	return NULL;
}

static void open_verdict(struct page *page, const char *class, const char *headline)
{
	fprintf(page->out, "<section class=\"verdict %s\" aria-label=\"verdict\">\n", class);
	element(page, "b", NULL, "%s", headline);
}

static bool write_limits(struct page *page, const json_t *run)
{
	const json_t *reasons = report_at(run, "verdict.reasons");
	if (!report_true(run, "verdict.generator_limited"))
		return false;
	open_verdict(page, "bad", "GENERATOR-LIMITED");
	element(page, "p", NULL,
		"These figures say what sipherd could do on this host, not what the proxies could. "
		"Nothing below is a finding about them.");
	put(page, "<ul>");
	for (size_t i = 0; i < json_array_size(reasons) && i < 16; i++) {
		const char *reason = json_string_value(json_array_get(reasons, i));
		element(page, "li", NULL, "%s", reason != NULL ? reason : "");
	}
	put(page, "</ul>\n");
	return true;
}

static void open_headline(struct page *page, const json_t *run, unsigned goals, unsigned missed)
{
	char text[160];
	if (report_true(run, "verdict.no_answer")) {
		open_verdict(page, "bad", "No proxy answered");
	} else if (first_drill(run, "outcome", "aborted") != NULL) {
		open_verdict(page, "warn", "Aborted");
	} else if (missed > 0) {
		snprintf(text, sizeof(text), "%u of %u goals missed", missed, goals);
		open_verdict(page, "bad", text);
	} else if (first_drill(run, "incomplete", NULL) != NULL) {
		open_verdict(page, "warn", "Completed, but not all was seen");
	} else if (goals > 0) {
		snprintf(text, sizeof(text), goals == 1 ? "The goal was met" : "All %u goals met",
			goals);
		open_verdict(page, "good", text);
	} else {
		open_verdict(page, "good", "Completed; no goals were set");
	}
}

void report_verdict(struct page *page, const json_t *run)
{
	unsigned goals, missed;
	count_goals(report_at(run, "gates"), &goals, &missed);
	const json_t *aborted = first_drill(run, "outcome", "aborted");
	if (!write_limits(page, run))
		open_headline(page, run, goals, missed);
	if (aborted != NULL)
		element(page, "p", NULL, "Aborted: %s. Everything was restored at once.",
			report_text(aborted, "reason")[0] ? report_text(aborted, "reason")
							  : "no reason was given");
	if (first_drill(run, "incomplete", NULL) != NULL)
		element(page, "p", NULL,
			"Transitions of phones were lost on their way to this report: its counts "
			"of "
			"phones are too low.");
	if (report_true(run, "verdict.generator_limited") && missed > 0)
		element(page, "p", NULL, "%u of %u goals were missed, which says nothing here.",
			missed, goals);
	else if (missed > 0 && aborted != NULL)
		element(page, "p", NULL, "%u of %u goals were missed.", missed, goals);
	else if (!report_true(run, "verdict.generator_limited"))
		element(page, "p", NULL,
			"The generator kept its schedule: %s of %s planned datagrams sent.",
			word_count(report_number(run, "datagrams.sent"), WORD),
			word_count(report_number(run, "datagrams.planned"), WORD));
	put(page, "</section>\n");
}

/* --- Key figures: the worst of all waves --- */

static void fact(struct page *page, const char *name, const char *value, const char *more)
{
	put(page, "<div>");
	element(page, "dt", NULL, "%s", name);
	put(page, "<dd>");
	say(page, "%s", value);
	put(page, "<small>");
	say(page, "%s", more);
	put(page, "</small></dd></div>\n");
}

struct worst {
	double value;
	const char *wave;
	bool rescue; /* its outages are told from the moment a proxy serves again */
};

static struct worst worst_in(double value, const json_t *wave)
{
	return (struct worst){
		value, report_text(wave, "name"), strcmp(report_text(wave, "kind"), "rescue") == 0};
}

static void worst_of(struct worst *worst, const json_t *wave, const char *path)
{
	const double value = report_number(wave, path);
	if (!isnan(value) && !(worst->value >= value))
		*worst = worst_in(value, wave);
}

static bool is_kind(const json_t *wave, const char *kind)
{
	return strcmp(report_text(wave, "kind"), kind) == 0;
}

/* Who is out when a wave ends may be who a later one is about. */
static bool is_rescued(const json_t *waves, size_t index)
{
	for (size_t i = index + 1; i < json_array_size(waves); i++)
		if (is_kind(json_array_get(waves, i), "rescue"))
			return true;
	return false;
}

/* Where too few phones came back, it never ended; where none was out, there is none. */
static void worst_outage(struct worst *worst, const json_t *waves, size_t index, const char *back,
	const char *outage)
{
	const json_t *wave = json_array_get(waves, index);
	const bool some = report_number(wave, "outage_ms.count") > 0;
	const bool out = report_number(wave, "out") > 0;
	const bool over = is_kind(wave, "watch") ? some || is_rescued(waves, index)
						 : !isnan(report_number(wave, back));
	if (out && !over)
		*worst = worst_in(INFINITY, wave);
	else if (some)
		worst_of(worst, wave, outage);
}

static void outage_fact(struct page *page, const char *name, const struct worst *worst)
{
	char wave[160];
	snprintf(wave, sizeof(wave), "%.100s%s", worst->wave,
		worst->rescue ? ", since a proxy served again" : "");
	fact(page, name, isinf(worst->value) ? "not over" : word_ms(worst->value, WORD), wave);
}

void report_facts(struct page *page, const json_t *run)
{
	const json_t *drills = report_at(run, "drills");
	struct worst p99 = {NAN, "", false}, most = p99, peak = p99, ira = p99, distance = p99;
	double stranded = 0;
	for (size_t i = 0; i < json_array_size(drills); i++) {
		const json_t *drill = json_array_get(drills, i), *waves = report_at(drill, "waves");
		for (size_t w = 0; w < json_array_size(waves); w++) {
			const json_t *wave = json_array_get(waves, w);
			worst_outage(&p99, waves, w, "back_at_ms.p99", "outage_ms.p99");
			worst_outage(&most, waves, w, "back_at_ms.p100", "outage_ms.max");
			worst_of(&peak, wave, "peak.second.per_s");
			worst_of(&distance, wave, "predicted.distance");
		}
		worst_of(&ira, report_at(drill, "proxies.primary"), "ira.ratio");
		worst_of(&ira, report_at(drill, "proxies.redundant"), "ira.ratio");
		stranded += fmax(0, report_number(drill, "totals.stranded"));
	}
	if (json_array_size(drills) == 0)
		return;
	put(page, "<dl class=\"facts\">\n");
	outage_fact(page, "outage, 99 % of phones", &p99);
	outage_fact(page, "longest outage", &most);
	fact(page, "busiest second", word_rate(peak.value, WORD), peak.wave);
	fact(page, "ineffective REGISTERs", word_share(ira.value, WORD), "IRA, the worse proxy");
	fact(page, "stranded phones", word_count(stranded, WORD), "nowhere or not home at the end");
	fact(page, "off the prediction", word_share(distance.value, WORD), distance.wave);
	put(page, "</dl>\n");
}

/* --- Goals --- */

void report_goals(struct page *page, const json_t *run)
{
	static const char *const heads[] = {"goal", "measured", "in wave", "result"};
	const json_t *gates = report_at(run, "gates");
	if (json_array_size(gates) == 0)
		return;
	element(page, "h2", NULL, "Goals");
	table_begin(page, "Goals that were set for this run", heads, 4);
	for (size_t i = 0; i < json_array_size(gates) && i < SHOWN_ROWS_MAX; i++) {
		const json_t *gate = json_array_get(gates, i);
		const bool met = report_true(gate, "met");
		const double value = report_number(gate, "value");
		table_row(page, report_text(gate, "goal"));
		table_cell(page, "%s",
			!isnan(value) ? word_unit(report_text(gate, "unit"), value, WORD)
			: report_text(gate, "wave")[0] ? "never"
						       : "not measured");
		table_cell(page, "%s", report_text(gate, "wave"));
		put(page, met ? "<td class=\"good\">met</td>" : "<td class=\"bad\">missed</td>");
	}
	table_end(page);
}

/* --- Where the phones were --- */

/* When the drill began on the time line's clock; older summaries only have the time of day. */
static double drill_begin_s(const struct drill_view *view)
{
	const double begin_s = report_number(view->drill, "begin_s");
	if (!isnan(begin_s))
		return begin_s;
	return report_number(view->drill, "begin_unix_ms") / 1000 -
	       report_time(view->run, "started");
}

static void read_line(struct points *points, const json_t *timeline, const char *key,
	double begin_s, const struct chart *chart, double unit_s)
{
	const size_t all = json_array_size(timeline), every = all / POINTS_MAX + 1;
	points->count = 0;
	for (size_t i = 0; i < all && points->count < POINTS_MAX; i += every) {
		const json_t *second = json_array_get(timeline, i);
		const double x = (report_number(second, "at_s") - begin_s) / unit_s;
		const double y = report_number(second, key);
		if (x >= chart->x_low && x <= chart->x_high && !isnan(y))
			points->at[points->count++] = (struct point){x, y};
	}
}

void report_herd(struct page *page, const struct drill_view *view)
{
	const json_t *timeline = report_at(view->run, "timeline");
	const double begin_s = drill_begin_s(view);
	const double lasted_ms = report_number(view->drill, "duration_ms");
	const struct time_unit unit = time_unit_for(fmax(lasted_ms, 1));
	char label[WORD_MAX + 40];
	snprintf(label, sizeof(label), "%s since the drill began", unit.name);
	struct chart chart = {.title = "Where the phones were",
		.unit = "phones at the end of each second",
		.x_label = label,
		.x_low = -10000 / unit.ms,
		.x_high = lasted_ms / unit.ms};
	if (isnan(begin_s) || isnan(lasted_ms))
		return;
	const double first = report_number(json_array_get(timeline, 0), "at_s") - begin_s;
	chart.x_low = fmin(0, fmax(chart.x_low, first * 1000 / unit.ms));
	read_line(
		&page->points[0], timeline, "registered_primary", begin_s, &chart, unit.ms / 1000);
	read_line(&page->points[1], timeline, "registered_redundant", begin_s, &chart,
		unit.ms / 1000);
	read_line(&page->points[2], timeline, "elsewhere", begin_s, &chart, unit.ms / 1000);
	chart_line(&chart, "registered at the primary", "c-primary", LINE_PLAIN, &page->points[0]);
	chart_line(
		&chart, "registered at the redundant", "c-redundant", LINE_PLAIN, &page->points[1]);
	chart_line(&chart, "registered nowhere", "c-out", LINE_PLAIN, &page->points[2]);
	snprintf(chart.description, sizeof(chart.description),
		"Number of phones registered at the primary proxy, at the redundant proxy and "
		"nowhere, "
		"second by second. What sipherd has not noticed yet counts as registered.");
	report_marks(&chart, view->drill, 0, unit.ms);
	chart_draw(page, &chart);
}

/* --- Totals --- */

void report_totals(struct page *page, const json_t *drill)
{
	static const char *const heads[] = {"over the whole drill", "count"};
	static const struct {
		const char *name, *path;
	} rows[] = {{"stranded: registered nowhere, or not where they belong", "totals.stranded"},
		{"double-bound: bound at both proxies at the end", "totals.double_bound"},
		{"flaps: switches of a phone after its first in a wave", "totals.flaps"},
		{"late answers", "totals.late_answers"}, {"datagrams not sent", "totals.not_sent"},
		{"transitions that were not told", "totals.lines_dropped"}};
	static const char *const bunch[] = {"keep-alives within one period", "before", "after"};
	put(page, "<div class=\"columns\"><div>\n");
	table_begin(page, "The herd", heads, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_row(page, rows[i].name);
		table_cell(page, "%s", word_count(report_number(drill, rows[i].path), WORD));
	}
	table_end(page);
	put(page, "</div><div>\n");
	if (json_is_object(report_at(drill, "bunching"))) {
		table_begin(page, "Bunching", bunch, 3);
		table_row(page, "half of them fall within");
		table_cell(page, "%s",
			word_ms(report_number(drill, "bunching.before.width_50_ms"), WORD));
		table_cell(page, "%s", word_ms(report_number(drill, "bunching.width_50_ms"), WORD));
		table_row(page, "90 % of them fall within");
		table_cell(page, "%s",
			word_ms(report_number(drill, "bunching.before.width_90_ms"), WORD));
		table_cell(page, "%s", word_ms(report_number(drill, "bunching.width_90_ms"), WORD));
		table_row(page, "herd index");
		table_cell(page, "%s",
			word_plain(report_number(drill, "bunching.before.herd_index"), WORD));
		table_cell(
			page, "%s", word_plain(report_number(drill, "bunching.herd_index"), WORD));
		table_end(page);
	}
	put(page, "</div></div>\n");
}

/* --- Round trips --- */

static void draw_histogram(struct page *page, const json_t *histogram, const char *title)
{
	const double least = report_number(histogram, "min_us"),
		     most = report_number(histogram, "max_us");
	struct chart chart = {.title = title,
		.unit = "share of all",
		.x_label = "milliseconds, logarithmic",
		.x_log = true,
		.x_low = fmax(least, 1) / 1000 * 0.8,
		.x_high = fmax(most, 1000) / 1000 * 1.25,
		.format = CHART_SHARE};
	if (isnan(least) || isnan(most))
		return;
	const double all = points_histogram(&page->points[0], report_at(histogram, "cells_us"),
		1000, chart.x_low, chart.x_high);
	chart_line(&chart, title, "c-measured", LINE_BARS, &page->points[0]);
	snprintf(chart.description, sizeof(chart.description),
		"%s: %s samples, half within %s, 99 %% within %s, the longest %s.", title,
		word_count(all, WORD), word_us(report_number(histogram, "quantiles_us.p50"), WORD),
		word_us(report_number(histogram, "quantiles_us.p99"), WORD), word_us(most, WORD));
	chart_draw(page, &chart);
}

static void histogram_row(struct page *page, const json_t *histogram, const char *name)
{
	static const char *const paths[] = {"min_us", "mean_us", "quantiles_us.p50",
		"quantiles_us.p90", "quantiles_us.p99", "quantiles_us.p99_9", "max_us"};
	table_row(page, name);
	table_cell(page, "%s", word_count(report_number(histogram, "count"), WORD));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		table_cell(page, "%s", word_us(report_number(histogram, paths[i]), WORD));
}

static const char *const quantile_heads[] = {
	"", "samples", "least", "mean", "50 %", "90 %", "99 %", "99.9 %", "most"};
#define QUANTILE_HEADS (sizeof(quantile_heads) / sizeof(quantile_heads[0]))

void report_round_trips(struct page *page, const json_t *run)
{
	static const struct {
		const char *path, *name;
	} all[] = {{"histograms.registration", "Registration delay (RRD), challenge included"},
		{"histograms.register_rtt", "REGISTER round trip"},
		{"histograms.options_rtt", "OPTIONS round trip"}};
	element(page, "h2", "chapter", "Round trips of the whole run");
	element(page, "p", "note",
		"From the moment a request was due to its answer, retransmissions included, so "
		"that a "
		"slow proxy cannot hide what it held up.");
	put(page, "<div class=\"pair\">\n");
	for (size_t i = 0; i < 3; i++)
		draw_histogram(page, report_at(run, all[i].path), all[i].name);
	put(page, "</div>\n");
	table_begin(page, "Round trips", quantile_heads, QUANTILE_HEADS);
	for (size_t i = 0; i < 3; i++)
		histogram_row(page, report_at(run, all[i].path), all[i].name);
	table_end(page);
}

/* --- The generator --- */

static void baseline_cells(struct page *page, const json_t *drills, const char *path)
{
	const json_t *waves = report_at(json_array_get(drills, 0), "waves");
	struct worst worst = {NAN, "", false};
	for (size_t i = 0; i < json_array_size(waves); i++)
		worst_of(&worst, json_array_get(waves, i), path);
	table_cell(page, "%s",
		strncmp(path, "rrd", 3) == 0 ? word_us(worst.value, WORD)
		: strstr(path, "per_s")      ? word_rate(worst.value, WORD)
					     : word_ms(worst.value, WORD));
}

static void write_baseline(struct page *page, const json_t *run)
{
	static const char *const heads[] = {"the worst wave", "this run", "baseline"};
	static const struct {
		const char *name, *path;
	} rows[] = {{"outage, 99 % of phones", "outage_ms.p99"}, {"RRD, 99 %", "rrd_us.p99"},
		{"busiest second of REGISTER", "peak.second.per_s"}};
	const json_t *baseline = report_at(run, "baseline");
	if (!json_is_object(baseline))
		return;
	table_begin(page, "The same against the built-in registrars (RFC 7502 baseline)", heads, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_row(page, rows[i].name);
		baseline_cells(page, report_at(run, "drills"), rows[i].path);
		baseline_cells(page, report_at(baseline, "drills"), rows[i].path);
	}
	table_end(page);
	element(page, "p", "note", "%s",
		report_true(baseline, "verdict.generator_limited")
			? "The baseline itself was GENERATOR-LIMITED."
			: "In the baseline the generator kept its schedule: what differs is the "
			  "proxies' "
			  "and the network's.");
}

static void write_workers(struct page *page, const json_t *workers)
{
	static const char *const heads[] = {"worker", "CPU", "busy"};
	table_begin(page, "Workers", heads, 3);
	for (size_t i = 0; i < json_array_size(workers) && i < 64; i++) {
		const json_t *worker = json_array_get(workers, i);
		char name[WORD_MAX];
		snprintf(name, sizeof(name), "%zu", i);
		table_row(page, name);
		table_cell(page, "%s", word_count(report_number(worker, "cpu"), WORD));
		table_cell(page, "%s", word_share(report_number(worker, "busy_ratio"), WORD));
	}
	table_end(page);
}

void report_generator(struct page *page, const json_t *run)
{
	static const char *const heads[] = {"of the generator", "count"};
	static const struct {
		const char *name, *path;
	} rows[] = {{"datagrams planned", "datagrams.planned"}, {"sent", "datagrams.sent"},
		{"not sent", "losses.not_sent"}, {"queue full", "wire.not_sent_full"},
		{"no buffer", "wire.not_sent_no_buffer"},
		{"lost between workers", "wire.redirect_dropped"},
		{"frames sent", "wire.frames_sent"}, {"frames received", "wire.frames_received"}};
	element(page, "h2", NULL, "The generator");
	element(page, "p", NULL, "sipherd %s on %s.", report_text(run, "version"),
		report_text(run, "link"));
	put(page, "<div class=\"columns\"><div>\n");
	table_begin(page, "Planned and sent", heads, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_row(page, rows[i].name);
		table_cell(page, "%s", word_count(report_number(run, rows[i].path), WORD));
	}
	table_end(page);
	put(page, "</div><div>\n");
	write_workers(page, report_at(run, "workers"));
	put(page, "</div></div>\n");
	table_begin(page, "How late new transactions left", quantile_heads, QUANTILE_HEADS);
	histogram_row(page, report_at(run, "histograms.lateness"), "lateness of sending");
	table_end(page);
	element(page, "p", "note", "99.9 %% must leave within %s, or the run is GENERATOR-LIMITED.",
		word_us(report_number(run, "verdict.lateness_limit_us"), WORD));
	write_baseline(page, run);
}

/* --- The configuration --- */

void report_value(struct page *page, const json_t *value)
{
	if (json_is_string(value))
		say(page, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		put(page, json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		say(page, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		say(page, "%g", json_real_value(value));
	for (size_t i = 0; i < json_array_size(value) && i < 32; i++) {
		put(page, i > 0 ? ", " : "");
		if (!json_is_array(json_array_get(value, i)))
			report_value(page, json_array_get(value, i));
	}
}

static bool is_empty(const json_t *value)
{
	return json_is_null(value) ||
	       (json_is_string(value) && *json_string_value(value) == '\0') ||
	       (json_is_array(value) && json_array_size(value) == 0);
}

static void write_object(
	struct page *page, json_t *object, const char *prefix, int depth, unsigned *rows)
{
	const char *key;
	json_t *value;
	json_object_foreach (object, key, value) {
		char name[256];
		snprintf(name, sizeof(name), "%.180s%s%.60s", prefix, prefix[0] ? "." : "", key);
		if (json_is_object(value) && depth < CONFIG_DEPTH_MAX)
			write_object(page, value, name, depth + 1, rows);
		else if (!is_empty(value) && (*rows)++ < 300) {
			put(page, "<div>");
			element(page, "dt", NULL, "%s", name);
			put(page, "<dd>");
			report_value(page, value);
			put(page, "</dd></div>\n");
		}
	}
}

void report_configuration(struct page *page, const json_t *run)
{
	unsigned rows = 0;
	element(page, "h2", "chapter", "What was configured");
	element(page, "p", "note",
		"The fleet in force, by the keys of the fleet file with their units, without "
		"secrets.");
	put(page, "<dl class=\"config\">\n");
	write_object(page, json_object_get(run, "fleet"), "", 0, &rows);
	put(page, "</dl>\n");
}

/* --- Again --- */

static bool ends_with(const char *text, const char *end)
{
	const size_t length = strlen(text), tail = strlen(end);
	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* A field of a request, as the command line takes it. */
static void say_field(struct page *page, const char *key, const json_t *value)
{
	static const char *const units[] = {"_ms", "_s"};
	const double number = json_number_value(value);
	const bool share = strcmp(key, "share") == 0 || strcmp(key, "loss") == 0;
	if (strcmp(key, "do") == 0 || strcmp(key, "wait_ms") == 0)
		return;
	if (json_is_string(value)) {
		say(page, " %s=%s", key, json_string_value(value));
		return;
	}
	/* What says nothing. */
	const bool odd = share || strcmp(key, "delay_ms") == 0 || strcmp(key, "jitter_ms") == 0;
	if (!json_is_number(value) || (share && number == 1) || (odd && number == 0))
		return;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!ends_with(key, units[i]))
			continue;
		const bool whole = i == 0 && fmod(number, 1000) == 0;
		say(page, " %.*s=%g%s", (int)(strlen(key) - strlen(units[i])), key,
			whole ? number / 1000 : number, whole ? "s" : units[i] + 1);
		return;
	}
	say(page, " %s=%g%s", key, share ? 100 * number : number, share ? "%" : "");
}

static void say_drill(struct page *page, const json_t *drill)
{
	json_t *requests = json_object_get(drill, "request");
	json_t *request = json_array_get(requests, 0), *value;
	const char *key;
	say(page, "sipherd drill FLEET.yaml ");
	if (json_array_size(requests) != 1) {
		say(page, "%s", report_text(drill, "name"));
		return;
	}
	say(page, "%s", report_text(request, "do"));
	json_object_foreach (request, key, value) {
		say_field(page, key, value);
	}
}

void report_repeat(struct page *page, const json_t *run)
{
	const json_t *drills = report_at(run, "drills");
	element(page, "h2", NULL, "How to repeat it");
	element(page, "p", NULL,
		"With a fleet file of the values above, and sipherd %s. The seed is that of every "
		"random "
		"choice the phones made.",
		report_text(run, "version"));
	put(page, "<pre>");
	for (size_t i = 0; i < json_array_size(drills) && i < SHOWN_DRILLS_MAX; i++) {
		say_drill(page, json_array_get(drills, i));
		say(page, " --seed %s --summary run.json --report report.html\n",
			report_text(run, "seed"));
	}
	if (json_array_size(drills) == 0)
		say(page, "sipherd run FLEET.yaml --for %.0fs --seed %s --summary run.json\n",
			fmax(1, report_number(run, "duration_s")), report_text(run, "seed"));
	say(page, "sipherd report run.json -o report.html\n");
	put(page, "</pre>\n");
}
