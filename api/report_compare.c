/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two runs side by side. A difference is marked only when it exceeds the spread within the runs:
 *
 *   quantiles  the intervals in which each lies with 99 % confidence (order statistics, read from the
 *              distribution's cells) do not overlap
 *   shares     the difference is more than three standard errors of the pooled share; that of the
 *              busiest second is one of the phones too
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report_internal.h"

#define CONFIDENCE_99 2.576
#define SIGMAS 3.0

static const char *const proxies[PROXIES] = {
	[PROXY_PRIMARY] = "primary", [PROXY_REDUNDANT] = "redundant"};

struct pair {
	const json_t *side[2];
};

static struct pair pair_at(struct pair pair, const char *path)
{
	return (struct pair){{report_at(pair.side[0], path), report_at(pair.side[1], path)}};
}

/* --- What exceeds the spread --- */

struct interval {
	double low, high;
};

/* The value of this rank, 0 to all: where its cell begins, or where the next one does. */
static double at_rank(const json_t *distribution, double rank, bool upper)
{
	const json_t *cells = report_at(distribution, "cells");
	double seen = 0;
	for (size_t i = 0; i < json_array_size(cells); i++) {
		seen += fmax(0, report_item(json_array_get(cells, i), 1));
		if (seen < rank)
			continue;
		if (!upper)
			return report_item(json_array_get(cells, i), 0);
		return i + 1 < json_array_size(cells) ? report_item(json_array_get(cells, i + 1), 0)
						      : report_number(distribution, "max");
	}
	return report_number(distribution, "max");
}

static struct interval interval_of(const json_t *distribution, double q)
{
	const double all = report_number(distribution, "count");
	const double room = CONFIDENCE_99 * sqrt(all * q * (1 - q)) + 1;
	return (struct interval){at_rank(distribution, fmax(1, all * q - room), false),
		at_rank(distribution, fmin(all, all * q + room), true)};
}

/* Less is better, but a lower peak may be that of a proxy that could not take more. */
enum taste { SAME_SPREAD, LESS_IS_BETTER, NO_TASTE };

static bool quantiles_differ(struct pair distribution, double q)
{
	const struct interval a = interval_of(distribution.side[0], q);
	const struct interval b = interval_of(distribution.side[1], q);
	return a.high < b.low || b.high < a.low;
}

static enum taste shares_differ(double a, double of_a, double b, double of_b)
{
	const double pooled = (a + b) / (of_a + of_b);
	const double error = sqrt(pooled * (1 - pooled) * (1 / of_a + 1 / of_b));
	return fabs(a / of_a - b / of_b) > SIGMAS * error ? LESS_IS_BETTER : SAME_SPREAD;
}

/* --- Rows --- */

static const char *const heads[] = {"", "A", "B", "B against A", "beyond the spread"};
#define HEADS (sizeof(heads) / sizeof(heads[0]))

static void difference_cell(struct page *page, double a, double b)
{
	if (isnan(a) || isnan(b))
		table_cell(page, "%s", word_plain(NAN, WORD));
	else if (a == b)
		table_cell(page, "the same");
	else if (a == 0)
		table_cell(page, "from none");
	else if (b >= 3 * a && a > 0)
		table_cell(page, "%s times", word_plain(b / a, WORD));
	else if (a >= 3 * b && b > 0)
		table_cell(page, "1/%s of it", word_plain(a / b, WORD));
	else
		table_cell(page, "%+.1f %%", 100 * (b - a) / fabs(a));
}

static void mark_cell(struct page *page, enum taste taste, double a, double b)
{
	if (taste == SAME_SPREAD || isnan(a) || isnan(b))
		put(page, "<td></td>");
	else if (taste == NO_TASTE)
		put(page, b < a ? "<td class=\"warn\">\xe2\x96\xbc lower</td>"
				: "<td class=\"warn\">\xe2\x96\xb2 higher</td>");
	else
		put(page, b < a ? "<td class=\"good\">\xe2\x96\xbc better</td>"
				: "<td class=\"bad\">\xe2\x96\xb2 worse</td>");
}

static void row(struct page *page, const char *name, double a, double b,
	const char *(*word)(double, char[WORD_MAX]), enum taste taste)
{
	if (isnan(a) && isnan(b))
		return;
	table_row(page, name);
	table_cell(page, "%s", word(a, WORD));
	table_cell(page, "%s", word(b, WORD));
	difference_cell(page, a, b);
	mark_cell(page, taste, a, b);
}

static void quantile_rows(struct page *page, struct pair wave, const char *key, const char *name,
	const char *(*word)(double, char[WORD_MAX]))
{
	static const struct {
		const char *key, *name;
		double q;
	} all[] = {{"p50", "50 %", 0.5}, {"p90", "90 %", 0.9}, {"p99", "99 %", 0.99},
		{"p99_9", "99.9 %", 0.999}, {"max", "most", 1}};
	const struct pair both = pair_at(wave, key);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char text[120];
		snprintf(text, sizeof(text), "%s, %s", name, all[i].name);
		row(page, text, report_number(both.side[0], all[i].key),
			report_number(both.side[1], all[i].key), word,
			all[i].q < 1 && quantiles_differ(both, all[i].q) ? LESS_IS_BETTER
									 : SAME_SPREAD);
	}
}

static void share_row(struct page *page, struct pair wave, const char *path, const char *name)
{
	double count[2], phones[2];
	for (int s = 0; s < 2; s++) {
		count[s] = report_number(wave.side[s], path);
		phones[s] = report_number(wave.side[s], "phones");
	}
	row(page, name, count[0] / phones[0], count[1] / phones[1], word_share,
		shares_differ(count[0], phones[0], count[1], phones[1]));
}

static void peak_row(struct page *page, struct pair wave)
{
	double per_s[2], share[2];
	for (int s = 0; s < 2; s++) {
		per_s[s] = report_number(wave.side[s], "peak.second.per_s");
		share[s] = report_number(wave.side[s], "peak.second.share");
	}
	row(page, "busiest second, share of phones", share[0], share[1], word_share,
		shares_differ(per_s[0], per_s[0] / share[0], per_s[1], per_s[1] / share[1])
			? NO_TASTE
			: SAME_SPREAD);
}

static void table_wave(struct page *page, struct pair wave)
{
	table_begin(page, "This wave in both runs", heads, HEADS);
	row(page, "phones", report_number(wave.side[0], "phones"),
		report_number(wave.side[1], "phones"), word_count, SAME_SPREAD);
	quantile_rows(page, wave, "outage_ms", "outage", word_ms);
	quantile_rows(page, wave, "detection_ms", "detection", word_ms);
	quantile_rows(page, wave, "registration_ms", "registration", word_ms);
	quantile_rows(page, wave, "rrd_us", "RRD", word_us);
	share_row(page, wave, "out", "still out at its end");
	share_row(page, wave, "out_longer_than.60", "out longer than 60 s");
	share_row(page, wave, "out_longer_than.120", "out longer than 120 s");
	share_row(page, wave, "out_longer_than.300", "out longer than 300 s");
	share_row(page, wave, "flapping_phones", "flapping phones");
	peak_row(page, wave);
	row(page, "off the prediction", report_number(wave.side[0], "predicted.distance"),
		report_number(wave.side[1], "predicted.distance"), word_share, SAME_SPREAD);
	table_end(page);
}

/* --- Charts --- */

static void draw_waves(struct page *page, struct pair wave)
{
	double end = 1;
	for (int s = 0; s < 2; s++) {
		const double last = report_number(wave.side[s], "back_at_ms.p100");
		const double lasted = report_number(wave.side[s], "lasted_ms");
		end = fmax(end, isnan(last) ? lasted : fmin(lasted, 1.08 * last));
	}
	const struct time_unit unit = time_unit_for(end);
	char label[96];
	snprintf(label, sizeof(label), "%s since the wave began", unit.name);
	struct chart chart = {.title = "Phones registered again",
		.unit = "share of the wave's phones",
		.x_label = label,
		.x_high = end / unit.ms,
		.y_high = 1.02,
		.format = CHART_SHARE};
	points_read(&page->points[0], report_at(wave.side[0], "back_curve"), unit.ms);
	points_read(&page->points[1], report_at(wave.side[1], "back_curve"), unit.ms);
	points_read(&page->points[2], report_at(wave.side[0], "predicted.curve"), unit.ms);
	chart_line(&chart, "A", "c-measured", LINE_PLAIN, &page->points[0]);
	chart_line(&chart, "B", "c-back", LINE_PLAIN, &page->points[1]);
	chart_line(
		&chart, "REGISTER sent, predicted for A", "c-model", LINE_DASHED, &page->points[2]);
	snprintf(chart.description, sizeof(chart.description),
		"Share of the phones registered again by the time since the wave began: half after "
		"%s "
		"in A and %s in B, 99 %% after %s in A and %s in B.",
		word_ms(report_number(wave.side[0], "back_at_ms.p50"), WORD),
		word_ms(report_number(wave.side[1], "back_at_ms.p50"), WORD),
		word_ms(report_number(wave.side[0], "back_at_ms.p99"), WORD),
		word_ms(report_number(wave.side[1], "back_at_ms.p99"), WORD));
	chart_draw(page, &chart);
}

static void draw_accepted(struct page *page, const struct rates rates[2], enum proxy proxy)
{
	double end = 1, total[2], low = 0;
	char label[96], title[96];
	for (int s = 0; s < 2; s++) {
		end = fmax(end, rates[s].begin_ms + rates[s].step_ms * (double)rates[s].steps);
		low = fmin(low, rates[s].begin_ms);
	}
	const struct time_unit unit = time_unit_for(end - low);
	snprintf(label, sizeof(label), "%s since the drill began", unit.name);
	snprintf(title, sizeof(title), "REGISTERs accepted by the %s proxy", proxies[proxy]);
	struct chart chart = {.title = title,
		.unit = "per second, the busiest step at each point",
		.x_label = label,
		.x_low = low / unit.ms,
		.x_high = end / unit.ms};
	for (int s = 0; s < 2; s++)
		total[s] = rates_points(
			&page->points[s], &rates[s], proxy, rates_accepted, RATES_KINDS, unit.ms);
	chart_line(&chart, "A", "c-measured", LINE_PLAIN, &page->points[0]);
	chart_line(&chart, "B", "c-back", LINE_PLAIN, &page->points[1]);
	snprintf(chart.description, sizeof(chart.description), "%s in all in A, %s in B.",
		word_count(total[0], WORD), word_count(total[1], WORD));
	chart_draw(page, &chart);
}

/* --- Proxies --- */

static void ratio_row(struct page *page, double sums[2][RATES], const enum rate *which,
	unsigned count, const enum rate *of, unsigned of_count, const char *name)
{
	double part[2] = {0, 0}, all[2] = {0, 0};
	for (int s = 0; s < 2; s++) {
		for (unsigned i = 0; i < count; i++)
			part[s] += sums[s][which[i]];
		for (unsigned i = 0; i < of_count; i++)
			all[s] += sums[s][of[i]];
	}
	row(page, name, part[0] / all[0], part[1] / all[1], word_share,
		shares_differ(part[0], all[0], part[1], all[1]));
}

static void table_proxy(
	struct page *page, const struct rates rates[2], struct pair drill, enum proxy proxy)
{
	static const enum rate ineffective[] = {RATE_register_timeout, RATE_register_408,
		RATE_register_500, RATE_register_503, RATE_register_504};
	static const enum rate datagrams[] = {RATE_register_datagrams};
	double sums[2][RATES];
	char caption[96];
	for (int s = 0; s < 2; s++)
		rates_sum(&rates[s], proxy, 0, rates[s].steps, sums[s]);
	snprintf(caption, sizeof(caption), "The %s proxy over the whole drill", proxies[proxy]);
	table_begin(page, caption, heads, HEADS);
	ratio_row(page, sums, ineffective, 5, rates_offered, RATES_KINDS,
		"ineffective registration attempts (IRA)");
	ratio_row(page, sums, &ineffective[0], 1, rates_offered, RATES_KINDS, "never answered");
	ratio_row(page, sums, &ineffective[3], 1, rates_offered, RATES_KINDS, "answered 503");
	ratio_row(page, sums, &(enum rate){RATE_register_retransmitted}, 1, datagrams, 1,
		"retransmissions among REGISTER and OPTIONS");
	const struct pair both = pair_at(pair_at(drill, "proxies"), proxies[proxy]);
	row(page, "busiest second of REGISTER", report_number(both.side[0], "peak_register_per_s"),
		report_number(both.side[1], "peak_register_per_s"), word_rate, SAME_SPREAD);
	row(page, "mean RRD", report_number(both.side[0], "rrd_mean_us"),
		report_number(both.side[1], "rrd_mean_us"), word_us, SAME_SPREAD);
	table_end(page);
}

/* --- The page --- */

static const json_t *same_name(const json_t *list, const json_t *of)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(report_text(json_array_get(list, i), "name"), report_text(of, "name")) ==
			0)
			return json_array_get(list, i);
	return NULL;
}

static void write_drill(struct page *page, struct pair drill)
{
	const json_t *waves = report_at(drill.side[0], "waves");
	struct rates rates[2];
	element(page, "h2", "chapter", "Drill: %s", report_text(drill.side[0], "title"));
	for (size_t i = 0; i < json_array_size(waves) && i < SHOWN_WAVES_MAX; i++) {
		struct pair wave = {{json_array_get(waves, i), NULL}};
		wave.side[1] = same_name(report_at(drill.side[1], "waves"), wave.side[0]);
		element(page, "h3", NULL, "Wave: %s", report_text(wave.side[0], "name"));
		if (wave.side[1] == NULL) {
			element(page, "p", NULL, "B has no such wave.");
			continue;
		}
		draw_waves(page, wave);
		table_wave(page, wave);
	}
	const bool a = rates_open(&rates[0], drill.side[0]),
		   b = rates_open(&rates[1], drill.side[1]);
	for (int p = 0; p < PROXIES && a && b; p++) {
		element(page, "h3", NULL, "The %s proxy", proxies[p]);
		draw_accepted(page, rates, (enum proxy)p);
		table_proxy(page, rates, drill, (enum proxy)p);
	}
}

static const char *verdict_of(const json_t *run)
{
	if (report_true(run, "verdict.generator_limited"))
		return "GENERATOR-LIMITED";
	return report_true(run, "verdict.no_answer") ? "no proxy answered"
						     : "the generator kept its schedule";
}

static void write_runs(struct page *page, struct pair run, const char *const name[2])
{
	static const char *const columns[] = {"", "A", "B"};
	static const struct {
		const char *name, *path;
	} rows[] = {{"fleet", "fleet.fleet"}, {"begun", "started"}, {"sipherd", "version"},
		{"link", "link"}, {"seed", "seed"}, {"primary proxy", "proxies.primary.address"},
		{"redundant proxy", "proxies.redundant.address"}};
	put(page, "<div class=\"words\">\n");
	table_begin(page, "The two runs", columns, 3);
	table_row(page, "summary");
	table_cell(page, "%s", name[0]);
	table_cell(page, "%s", name[1]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_row(page, rows[i].name);
		table_cell(page, "%s", report_text(run.side[0], rows[i].path));
		table_cell(page, "%s", report_text(run.side[1], rows[i].path));
	}
	table_row(page, "phones");
	for (int s = 0; s < 2; s++)
		table_cell(
			page, "%s", word_count(report_number(run.side[s], "fleet.phones"), WORD));
	table_row(page, "verdict");
	table_cell(page, "%s", verdict_of(run.side[0]));
	table_cell(page, "%s", verdict_of(run.side[1]));
	table_end(page);
	put(page, "</div>\n");
}

static void config_row(struct page *page, const char *name, const json_t *a, const json_t *b)
{
	table_row(page, name);
	put(page, "<td>");
	report_value(page, a);
	put(page, "</td><td>");
	report_value(page, b);
	put(page, "</td>");
}

/* Keys of A's object that B has otherwise; what only B has, too. */
static void config_rows(
	struct page *page, json_t *a, json_t *b, const char *prefix, int depth, unsigned *rows)
{
	const char *key;
	json_t *value;
	char name[256];
	json_object_foreach (a, key, value) {
		json_t *other = json_object_get(b, key);
		snprintf(name, sizeof(name), "%.180s%s%.60s", prefix, prefix[0] ? "." : "", key);
		if (json_equal(value, other))
			continue;
		if (json_is_object(value) && json_is_object(other) && depth < 4)
			config_rows(page, value, other, name, depth + 1, rows);
		else if ((*rows)++ < SHOWN_ROWS_MAX)
			config_row(page, name, value, other);
	}
	json_object_foreach (b, key, value) {
		snprintf(name, sizeof(name), "%.180s%s%.60s", prefix, prefix[0] ? "." : "", key);
		if (json_object_get(a, key) == NULL && (*rows)++ < SHOWN_ROWS_MAX)
			config_row(page, name, NULL, value);
	}
}

static void write_configuration(struct page *page, struct pair run)
{
	static const char *const columns[] = {"key of the fleet file", "A", "B"};
	element(page, "h2", NULL, "What was configured otherwise");
	if (json_equal(report_at(run.side[0], "fleet"), report_at(run.side[1], "fleet"))) {
		element(page, "p", NULL, "Nothing: both fleets were configured alike.");
		return;
	}
	unsigned rows = 0;
	put(page, "<div class=\"words\">\n");
	table_begin(page, "Keys whose values differ", columns, 3);
	config_rows(page, json_object_get(run.side[0], "fleet"),
		json_object_get(run.side[1], "fleet"), "", 0, &rows);
	table_end(page);
	put(page, "</div>\n");
}

static void write_findings(struct page *page, struct pair run)
{
	element(page, "h2", NULL, "What the figures of each say");
	put(page, "<div class=\"columns\">\n");
	for (int s = 0; s < 2; s++) {
		const json_t *drills = report_at(run.side[s], "drills");
		page->findings.count = 0;
		page->limited = report_true(run.side[s], "verdict.generator_limited");
		for (size_t i = 0; i < json_array_size(drills) && i < SHOWN_DRILLS_MAX; i++) {
			const struct drill_view view = {
				run.side[s], json_array_get(drills, i), (unsigned)i};
			explain_drill(&page->findings, &view);
		}
		put(page, s == 0 ? "<div><h3>A</h3>\n" : "<div><h3>B</h3>\n");
		findings_write(page, &page->findings);
		put(page, "</div>\n");
	}
	put(page, "</div>\n");
}

static void write_rule(struct page *page)
{
	put(page, "<p class=\"note\">");
	say(page,
		"A difference is marked when it exceeds the spread within the runs: of a quantile, "
		"when the intervals in which it lies with 99 %% confidence do not overlap; of a "
		"share "
		"or a peak, when it is more than three standard errors. How much one run differs "
		"from its own "
		"repetition can only be seen by repeating it.");
	put(page, "</p>\n");
}

static void write_verdict(struct page *page, struct pair run)
{
	const bool a = report_true(run.side[0], "verdict.generator_limited");
	const bool b = report_true(run.side[1], "verdict.generator_limited");
	if (!a && !b)
		return;
	put(page, "<section class=\"verdict bad\" aria-label=\"verdict\"><b>GENERATOR-LIMITED</b>");
	element(page, "p", NULL,
		"%s: these figures say what sipherd could do on its host, not what the proxies "
		"could, and "
		"must not be compared.",
		a && b ? "Both runs"
		: a    ? "Run A"
		       : "Run B");
	put(page, "</section>\n");
}

static void write_page(struct page *page, struct pair run, const char *const name[2])
{
	const json_t *drills = report_at(run.side[0], "drills");
	report_head(page, "Two runs compared");
	put(page, "<header>");
	element(page, "p", "brand", "sipherd report");
	element(page, "h1", NULL, "Two runs compared");
	put(page, "</header>\n<main>\n");
	write_verdict(page, run);
	write_runs(page, run, name);
	write_rule(page);
	write_findings(page, run);
	write_configuration(page, run);
	for (size_t i = 0; i < json_array_size(drills) && i < SHOWN_DRILLS_MAX; i++) {
		struct pair drill = {{json_array_get(drills, i), NULL}};
		drill.side[1] = same_name(report_at(run.side[1], "drills"), drill.side[0]);
		if (drill.side[1] != NULL)
			write_drill(page, drill);
		else
			element(page, "p", NULL, "B has no drill '%s'.",
				report_text(drill.side[0], "name"));
	}
	put(page, "</main>\n");
	report_foot(page);
}

int report_compare(FILE *out, const json_t *a, const char *a_name, const json_t *b,
	const char *b_name, char reason[REPORT_REASON_MAX])
{
	const json_t *const run[2] = {a, b};
	const char *const name[2] = {a_name, b_name};
	for (int s = 0; s < 2; s++) {
		char why[REPORT_REASON_MAX] = "";
		const int status = report_check(run[s], why);
		if (status == 0)
			continue;
		snprintf(reason, REPORT_REASON_MAX, "%.100s: %.150s", name[s], why);
		return status;
	}
	struct page *page = calloc(1, sizeof(*page));
	if (page == NULL)
		return -ENOMEM;
	page->out = out;
	write_page(page, (struct pair){{a, b}}, name);
	free(page);
	return ferror(out) ? -EIO : 0;
}
