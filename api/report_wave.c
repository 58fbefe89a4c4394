/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "report_internal.h"

/* Rows of the table of times: what a wave has, and in which unit. */
static const struct {
	const char *key, *name;
	bool us;
} moments[] = {
	{"detection_ms", "detection: outage to declared dead", false},
	{"switch_ms", "switch: declared dead to REGISTER", false},
	{"registration_ms", "registration: REGISTER to 200 OK, refusals included", false},
	{"rrd_us", "RRD (RFC 6076), challenge included", true},
	{"outage_ms", "outage: event to 200 OK", false},
	{"since_answer_ms", "last answer of the old proxy to 200 OK", false},
};
#define MOMENTS (sizeof(moments) / sizeof(moments[0]))

static const char *const quantiles[] = {"min", "mean", "p50", "p90", "p99", "p99_9", "max"};
#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static const char *const back_keys[] = {"p50", "p90", "p99", "p99_9", "p100"};
static const char *const back_names[] = {"50 %", "90 %", "99 %", "99.9 %", "100 %"};
#define BACKS (sizeof(back_keys) / sizeof(back_keys[0]))

void report_marks(struct chart *chart, const json_t *drill, double at_ms, double unit_ms)
{
	const json_t *steps = report_at(drill, "steps");
	for (size_t i = 0; i < json_array_size(steps) && chart->marks < MARKS_MAX; i++) {
		const double x = (report_number(json_array_get(steps, i), "at_ms") - at_ms) /
				 unit_ms;
		if (x >= chart->x_low && x <= chart->x_high)
			chart->mark[chart->marks++] = (struct chart_mark){x, (unsigned)i + 1};
	}
}

/* The axis ends where nothing happens any more. */
static double axis_end(const json_t *wave)
{
	const double lasted = fmax(1, report_number(wave, "lasted_ms"));
	const double out = report_number(wave, "out"),
		     last = report_number(wave, "back_at_ms.p100");
	const double model = report_number(wave, "predicted.last_ms");
	if (out > 0 || isnan(last))
		return lasted;
	return fmin(lasted, 1.08 * fmax(last, isnan(model) ? 0 : model));
}

static void draw_curve(struct page *page, const struct drill_view *view, const json_t *wave)
{
	const double end = axis_end(wave);
	const struct time_unit unit = time_unit_for(end);
	char label[96];
	snprintf(label, sizeof(label), "%s since the wave began", unit.name);
	struct chart chart = {.title = "How the wave went",
		.unit = "share of its phones",
		.x_label = label,
		.x_high = end / unit.ms,
		.y_high = 1.02,
		.format = CHART_SHARE};
	points_read(&page->points[0], report_at(wave, "predicted.curve"), unit.ms);
	points_read(&page->points[1], report_at(wave, "curve"), unit.ms);
	points_read(&page->points[2], report_at(wave, "back_curve"), unit.ms);
	chart_line(&chart, "registered again (200 OK)", "c-back", LINE_PLAIN, &page->points[2]);
	chart_line(&chart, "REGISTER sent, measured", "c-measured", LINE_PLAIN, &page->points[1]);
	chart_line(&chart, "REGISTER sent, predicted", "c-model", LINE_DASHED, &page->points[0]);
	report_marks(&chart, view->drill, report_number(wave, "at_ms"), unit.ms);
	snprintf(chart.description, sizeof(chart.description),
		"Share of the phones that had sent their REGISTER, and that were registered again, "
		"by "
		"the time since the wave began. Half were registered after %s, 99 %% after %s. "
		"Largest "
		"distance between measured and predicted: %s.",
		word_ms(report_number(wave, "back_at_ms.p50"), WORD),
		word_ms(report_number(wave, "back_at_ms.p99"), WORD),
		word_share(report_number(wave, "predicted.distance"), WORD));
	chart_draw(page, &chart);
}

static void draw_outage(struct page *page, const json_t *wave)
{
	const json_t *outage = report_at(wave, "outage_ms");
	const double most = fmax(report_number(outage, "max"), 1),
		     of = report_number(wave, "phones");
	const struct time_unit unit = time_unit_for(most);
	char label[96];
	snprintf(label, sizeof(label), "outage of one phone, %s", unit.name);
	struct chart chart = {.title = "Outage",
		.unit = "share of phones out for at most so long",
		.x_label = label,
		.x_high = 1.05 * most / unit.ms,
		.y_high = 1.02,
		.format = CHART_SHARE};
	if (!(of > 0))
		return;
	points_cumulate(&page->points[0], report_at(outage, "cells"), unit.ms, of);
	chart_line(&chart, chart.title, "c-back", LINE_PLAIN, &page->points[0]);
	snprintf(chart.description, sizeof(chart.description),
		"Distribution of the phones' outages. Median %s, 99 %% at most %s, longest %s.",
		word_ms(report_number(outage, "p50"), WORD),
		word_ms(report_number(outage, "p99"), WORD),
		word_ms(report_number(outage, "max"), WORD));
	chart_draw(page, &chart);
}

static void draw_rrd(struct page *page, const json_t *wave)
{
	const json_t *rrd = report_at(wave, "rrd_us");
	struct chart chart = {.title = "Registration delay (RRD)",
		.unit = "share of registrations",
		.x_label = "milliseconds, logarithmic",
		.x_log = true,
		.x_low = fmax(report_number(rrd, "min"), 1) / 1000 * 0.8,
		.x_high = fmax(report_number(rrd, "max"), 1000) / 1000 * 1.25,
		.format = CHART_SHARE};
	if (isnan(report_number(rrd, "max")) || !(chart.x_high > chart.x_low))
		return;
	points_histogram(
		&page->points[0], report_at(rrd, "cells"), 1000, chart.x_low, chart.x_high);
	chart_line(&chart, chart.title, "c-measured", LINE_BARS, &page->points[0]);
	snprintf(chart.description, sizeof(chart.description),
		"Histogram of the time from a REGISTER to its 200 OK. Median %s, 99 %% at most %s, "
		"longest %s.",
		word_us(report_number(rrd, "p50"), WORD), word_us(report_number(rrd, "p99"), WORD),
		word_us(report_number(rrd, "max"), WORD));
	chart_draw(page, &chart);
}

static void table_moments(struct page *page, const json_t *wave)
{
	static const char *const heads[] = {
		"per phone", "phones", "least", "mean", "50 %", "90 %", "99 %", "99.9 %", "most"};
	table_begin(page, "Times of the phones", heads, sizeof(heads) / sizeof(heads[0]));
	for (size_t i = 0; i < MOMENTS; i++) {
		const json_t *moment = report_at(wave, moments[i].key);
		if (!(report_number(moment, "count") > 0))
			continue;
		table_row(page, moments[i].name);
		table_cell(page, "%s", word_count(report_number(moment, "count"), WORD));
		for (size_t q = 0; q < QUANTILES; q++) {
			const double value = report_number(moment, quantiles[q]);
			table_cell(page, "%s",
				moments[i].us ? word_us(value, WORD) : word_ms(value, WORD));
		}
	}
	table_end(page);
}

static void table_back(struct page *page, const json_t *wave)
{
	static const char *const heads[] = {"phones back", "after"};
	table_begin(page, "Time until so many were registered again", heads, 2);
	for (size_t i = 0; i < BACKS; i++) {
		table_row(page, back_names[i]);
		const double ms = report_number(report_at(wave, "back_at_ms"), back_keys[i]);
		if (isnan(ms))
			table_cell(page, "not in this wave");
		else
			table_cell(page, "%s", word_ms(ms, WORD));
	}
	table_row(page, "still out at its end");
	table_cell(page, "%s", word_count(report_number(wave, "out"), WORD));
	table_end(page);
}

static void table_out(struct page *page, const json_t *wave)
{
	static const char *const heads[] = {"out longer than", "phones", "share"};
	static const char *const limits[] = {"60", "120", "300"};
	table_begin(page, "Long outages", heads, 3);
	for (size_t i = 0; i < 3; i++) {
		const double count = report_number(report_at(wave, "out_longer_than"), limits[i]);
		char head[WORD_MAX];
		snprintf(head, sizeof(head), "%s s", limits[i]);
		table_row(page, head);
		table_cell(page, "%s", word_count(count, WORD));
		table_cell(page, "%s", word_share(count / report_number(wave, "phones"), WORD));
	}
	table_row(page, "flapping phones");
	table_cell(page, "%s", word_count(report_number(wave, "flapping_phones"), WORD));
	table_cell(page, "%s",
		word_share(report_number(wave, "flapping_phones") / report_number(wave, "phones"),
			WORD));
	table_end(page);
}

static void table_peak(struct page *page, const json_t *wave)
{
	static const char *const heads[] = {
		"busiest", "at", "rate", "share of phones", "predicted"};
	static const struct {
		const char *name, *key, *model;
	} rows[] = {{"second", "second", "predicted.peak_second_share"},
		{"100 ms", "tenth", "predicted.peak_tenth_share"}};
	if (!json_is_object(report_at(wave, "peak")))
		return;
	table_begin(page, "Peaks of REGISTER to the other proxy", heads, 5);
	for (size_t i = 0; i < 2; i++) {
		const json_t *peak = report_at(report_at(wave, "peak"), rows[i].key);
		table_row(page, rows[i].name);
		table_cell(page, "%s", word_at(report_number(peak, "at_ms"), WORD));
		table_cell(page, "%s", word_rate(report_number(peak, "per_s"), WORD));
		table_cell(page, "%s", word_share(report_number(peak, "share"), WORD));
		table_cell(page, "%s", word_share(report_number(wave, rows[i].model), WORD));
	}
	table_end(page);
}

/* Of a wave without phones, or which none of them had to leave and none left, there is little to show. */
static bool any_moved(const json_t *wave)
{
	const bool watched = strcmp(report_text(wave, "kind"), "watch") == 0;
	return report_number(wave, watched ? "left" : "phones") > 0;
}

void report_wave(
	struct page *page, const struct drill_view *view, const json_t *wave, unsigned index)
{
	fprintf(page->out, "<section id=\"wave-%u-%u\">\n", view->index + 1, index + 1);
	element(page, "h3", NULL, "Wave %u: %s", index + 1, report_text(wave, "name"));
	char text[200];
	snprintf(text, sizeof(text), "%.190s", report_text(wave, "text"));
	text[0] = (char)toupper((unsigned char)text[0]);
	element(page, "p", NULL, "%s: %s phones, watched for %s from %s of the drill on.", text,
		word_count(report_number(wave, "phones"), WORD),
		word_ms(report_number(wave, "lasted_ms"), WORD),
		word_at(report_number(wave, "at_ms"), WORD));
	page->findings.count = 0;
	explain_wave(&page->findings, view, wave);
	findings_write(page, &page->findings);
	const bool moved = any_moved(wave);
	if (moved)
		draw_curve(page, view, wave);
	put(page, "<div class=\"pair\">\n");
	draw_outage(page, wave);
	draw_rrd(page, wave);
	put(page, "</div>\n");
	table_moments(page, wave);
	if (moved) {
		put(page, "<div class=\"columns\"><div>\n");
		table_back(page, wave);
		put(page, "</div><div>\n");
		table_out(page, wave);
		put(page, "</div></div>\n");
		table_peak(page, wave);
	}
	put(page, "</section>\n");
}

void findings_write(struct page *page, const struct findings *all)
{
	static const char *const moods[MOODS] = {"plain", "good", "warn", "bad"};
	if (all->count == 0)
		return;
	put(page, "<ul class=\"findings\">\n");
	for (unsigned i = 0; i < all->count; i++) {
		fprintf(page->out, "<li class=\"%s\"><b>",
			moods[page->limited ? MOOD_PLAIN : all->finding[i].mood]);
		say(page, "%s", all->finding[i].title);
		put(page, "</b>");
		say(page, "%s", all->finding[i].text);
		put(page, "</li>\n");
	}
	put(page, "</ul>\n");
}

void report_waves_glance(struct page *page, const json_t *waves)
{
	static const char *const heads[] = {"wave", "phones", "back", "out", "50 % back",
		"99 % back", "all back", "busiest second", "off the model"};
	table_begin(page, "Waves", heads, sizeof(heads) / sizeof(heads[0]));
	for (size_t i = 0; i < json_array_size(waves) && i < SHOWN_WAVES_MAX; i++) {
		const json_t *wave = json_array_get(waves, i);
		table_row(page, report_text(wave, "name"));
		table_cell(page, "%s", word_count(report_number(wave, "phones"), WORD));
		table_cell(page, "%s", word_count(report_number(wave, "back"), WORD));
		table_cell(page, "%s", word_count(report_number(wave, "out"), WORD));
		table_cell(page, "%s", word_ms(report_number(wave, "back_at_ms.p50"), WORD));
		table_cell(page, "%s", word_ms(report_number(wave, "back_at_ms.p99"), WORD));
		table_cell(page, "%s", word_ms(report_number(wave, "back_at_ms.p100"), WORD));
		table_cell(page, "%s", word_rate(report_number(wave, "peak.second.per_s"), WORD));
		table_cell(page, "%s", word_share(report_number(wave, "predicted.distance"), WORD));
	}
	table_end(page);
}
