/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chart is an SVG without a viewBox, whose padding is where the labels are: places along the axes are
 * percents, so that it may become as wide or narrow as it likes and its letters stay as large as they are.
 * The lines themselves are in an SVG inside, which is stretched.
 */
#include <math.h>
#include <string.h>

#include "report_internal.h"

#define TICKS_MAX 16
#define DENSE 620    /* points of a line that is drawn finer */
#define WIDE 10000.0 /* of the inner picture, in its own units */
#define HIGH 1000.0

struct ticks {
	unsigned count;
	double at[TICKS_MAX];
};

void chart_line(struct chart *chart, const char *name, const char *style, enum line_kind kind,
	const struct points *points)
{
	if (chart->lines < LINES_MAX && points->count > 0)
		chart->line[chart->lines++] = (struct chart_line){name, style, kind, points};
}

struct time_unit time_unit_for(double range_ms)
{
	if (range_ms > 48 * 3600e3)
		return (struct time_unit){3600e3, "hours"};
	if (range_ms > 7200e3)
		return (struct time_unit){60e3, "minutes"};
	return range_ms > 2000 ? (struct time_unit){1000, "seconds"}
			       : (struct time_unit){1, "milliseconds"};
}

/* --- Axes --- */

/* 1, 2 or 5 times a power of ten; and what clocks have. */
static double nice_step(double range, unsigned most, bool clock)
{
	static const double of_clocks[] = {15, 30, 60, 120, 300, 600, 900, 1800, 3600};
	const double least = range / most, power = pow(10, floor(log10(least)));
	const double in = least / power;
	double step = power * (in <= 1 ? 1 : in <= 2 ? 2 : in <= 5 ? 5 : 10);
	for (size_t i = 0; clock && i < sizeof(of_clocks) / sizeof(of_clocks[0]); i++)
		if (of_clocks[i] >= least && least > 5)
			return of_clocks[i];
	return step;
}

static struct ticks ticks_even(double low, double high, unsigned most, bool clock)
{
	struct ticks ticks = {0};
	const double step = nice_step(high - low, most, clock);
	for (double n = ceil(low / step - 1e-9);
		ticks.count < TICKS_MAX && n * step <= high + step * 1e-6; n++)
		ticks.at[ticks.count++] = n * step;
	return ticks;
}

/* Powers of ten, and where they are few, 2 and 5 times each. */
static struct ticks ticks_log(double low, double high)
{
	static const double within[] = {1, 2, 5};
	struct ticks ticks = {0};
	for (double power = floor(log10(low)); power <= log10(high) + 1e-9; power++)
		for (unsigned i = 0; i < (high / low < 300 ? 3 : 1); i++) {
			const double at = pow(10, power) * within[i];
			if (at >= low && at <= high && ticks.count < TICKS_MAX)
				ticks.at[ticks.count++] = at;
		}
	return ticks;
}

static double across(const struct chart *chart, double x)
{
	const double share = chart->x_log ? log(fmax(x, chart->x_low) / chart->x_low) /
						    log(chart->x_high / chart->x_low)
					  : (x - chart->x_low) / (chart->x_high - chart->x_low);
	return fmin(1, fmax(0, share));
}

/* No more digits than the step has. */
static const char *word_tick(double at, char out[WORD_MAX])
{
	if (fabs(at) >= 1000)
		return word_count(at, out);
	snprintf(out, WORD_MAX, "%g", fabs(at) < 1e-9 ? 0 : round(at * 1e6) / 1e6);
	return out;
}

static void draw_x_axis(struct page *page, const struct chart *chart)
{
	const struct ticks ticks = chart->x_log ? ticks_log(chart->x_low, chart->x_high)
						: ticks_even(chart->x_low, chart->x_high, 8, true);
	for (unsigned i = 0; i < ticks.count; i++) {
		const double percent = 100 * across(chart, ticks.at[i]);
		fprintf(page->out,
			"<line class=\"tick\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"100%%\" "
			"y2=\"100%%\" "
			"transform=\"translate(0 1)\"/>"
			"<text class=\"x\" x=\"%.2f%%\" y=\"100%%\" dy=\"18\">%s</text>\n",
			percent, percent, percent, word_tick(ticks.at[i], WORD));
	}
	put(page, "<text class=\"x name\" x=\"50%\" y=\"100%\" dy=\"37\">");
	say(page, "%s", chart->x_label);
	put(page, "</text>\n");
}

static void draw_y_axis(struct page *page, const struct chart *chart, double most)
{
	const struct ticks ticks = ticks_even(0, most, 5, false);
	for (unsigned i = 0; i < ticks.count; i++) {
		const double percent = 100 * (1 - ticks.at[i] / most);
		fprintf(page->out,
			"<line class=\"%s\" x1=\"0\" x2=\"100%%\" y1=\"%.2f%%\" y2=\"%.2f%%\"/>"
			"<text class=\"y\" x=\"-8\" y=\"%.2f%%\" dy=\"4\">%s%s</text>\n",
			i == 0 ? "base" : "grid", percent, percent, percent,
			word_tick(chart->format == CHART_SHARE ? 100 * ticks.at[i] : ticks.at[i],
				WORD),
			chart->format == CHART_SHARE ? " %" : "");
	}
}

static void draw_marks(struct page *page, const struct chart *chart)
{
	double last = -1;
	for (unsigned i = 0; i < chart->marks; i++) {
		const double share = across(chart, chart->mark[i].x);
		fprintf(page->out,
			"<line class=\"mark\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" "
			"y2=\"100%%\"/>\n",
			100 * share, 100 * share);
		if (last >= 0 && share - last < 0.055)
			continue;
		fprintf(page->out,
			"<circle class=\"mark\" cx=\"%.2f%%\" cy=\"-11\" r=\"8.5\"/>"
			"<text class=\"mark\" x=\"%.2f%%\" y=\"-7\">%u</text>\n",
			100 * share, 100 * share, chart->mark[i].number);
		last = share;
	}
}

/* --- Lines --- */

static double up(double y, double most)
{
	return HIGH * (1 - fmin(1, fmax(0, y / most)));
}

/* From point to point; what lies between two equal heights is left out. */
static void draw_path(
	struct page *page, const struct chart *chart, const struct chart_line *line, double most)
{
	const struct points *p = line->points;
	const bool area = line->kind == LINE_AREA;
	fprintf(page->out, "<path class=\"%s%s %s\" d=\"", area ? "area" : "line",
		p->count > DENSE ? " dense" : "", line->style);
	for (uint32_t i = 0; i < p->count; i++) {
		const double y = round(up(p->at[i].y, most)), x = WIDE * across(chart, p->at[i].x);
		if (i > 0 && i + 1 < p->count && p->at[i - 1].y == p->at[i].y &&
			p->at[i + 1].y == p->at[i].y)
			continue;
		if (i == 0 && area)
			fprintf(page->out, "M%.0f %.0fL%.0f %.0f", x, HIGH, x, y);
		else
			fprintf(page->out, "%s%.0f %.0f", i == 0 ? "M" : i == 1 ? "L" : " ", x, y);
	}
	if (area)
		fprintf(page->out, "L%.0f %.0fZ", WIDE * across(chart, p->at[p->count - 1].x),
			HIGH);
	fprintf(page->out, "\"%s/>\n",
		line->kind == LINE_DASHED ? " stroke-dasharray=\"6 4\"" : "");
}

/* A point is where a bar begins; the last one is where the last bar ends. */
static void draw_bars(
	struct page *page, const struct chart *chart, const struct chart_line *line, double most)
{
	const struct points *p = line->points;
	fprintf(page->out, "<path class=\"bars %s\" d=\"", line->style);
	for (uint32_t i = 0; i + 1 < p->count; i++) {
		const double left = WIDE * across(chart, p->at[i].x);
		const double right = WIDE * across(chart, p->at[i + 1].x);
		if (p->at[i].y > 0)
			fprintf(page->out, "M%.0f %.0fV%.1fH%.0fV%.0fZ", left + 12, HIGH,
				up(p->at[i].y, most), right - 12, HIGH);
	}
	put(page, "\"/>\n");
}

static double highest(const struct chart *chart)
{
	double most = 0;
	for (unsigned i = 0; i < chart->lines; i++)
		for (uint32_t j = 0; j < chart->line[i].points->count; j++)
			most = fmax(most, chart->line[i].points->at[j].y);
	return most > 0 ? most * 1.04 : 1;
}

static void draw_legend(struct page *page, const struct chart *chart)
{
	put(page, "<ul class=\"legend\" aria-hidden=\"true\">");
	for (unsigned i = 0; i < chart->lines; i++) {
		const struct chart_line *line = &chart->line[i];
		fprintf(page->out, "<li><svg class=\"key\" width=\"22\" height=\"12\">");
		if (line->kind == LINE_AREA || line->kind == LINE_BARS)
			fprintf(page->out,
				"<rect class=\"%s %s\" y=\"1\" width=\"22\" height=\"10\"/>",
				line->kind == LINE_AREA ? "area" : "bars", line->style);
		else
			fprintf(page->out, "<path class=\"line %s\" d=\"M0 6H22\"%s/>", line->style,
				line->kind == LINE_DASHED ? " stroke-dasharray=\"6 4\"" : "");
		put(page, "</svg>");
		say(page, "%s", line->name);
		put(page, "</li>");
	}
	put(page, "</ul>\n");
}

void chart_draw(struct page *page, const struct chart *chart)
{
	const unsigned id = page->charts;
	if (chart->lines == 0 || !(chart->x_high > chart->x_low))
		return;
	page->charts++;
	const double most = chart->y_high > 0 ? chart->y_high : highest(chart);
	put(page, "<figure>\n<figcaption><b>");
	say(page, "%s", chart->title);
	put(page, "</b> <span>");
	say(page, "%s", chart->unit);
	put(page, "</span></figcaption>\n");
	if (chart->lines > 1 || strcmp(chart->line[0].name, chart->title) != 0)
		draw_legend(page, chart);
	fprintf(page->out,
		"<svg class=\"chart%s\" role=\"img\" aria-labelledby=\"t%u d%u\">\n<title "
		"id=\"t%u\">",
		chart->marks > 0 ? " marked" : "", id, id, id);
	say(page, "%s", chart->title);
	fprintf(page->out, "</title>\n<desc id=\"d%u\">", id);
	say(page, "%s", chart->description);
	put(page, "</desc>\n");
	draw_y_axis(page, chart, most);
	draw_x_axis(page, chart);
	fprintf(page->out,
		"<svg width=\"100%%\" height=\"100%%\" viewBox=\"0 0 %.0f %.0f\" "
		"preserveAspectRatio=\"none\" overflow=\"visible\">\n",
		WIDE, HIGH);
	for (unsigned i = 0; i < chart->lines; i++) {
		if (chart->line[i].kind == LINE_BARS)
			draw_bars(page, chart, &chart->line[i], most);
		else
			draw_path(page, chart, &chart->line[i], most);
	}
	put(page, "</svg>\n");
	draw_marks(page, chart);
	put(page, "</svg>\n</figure>\n");
}

/* --- Points --- */

void points_read(struct points *points, const json_t *pairs, double x_unit)
{
	const size_t all = json_array_size(pairs), every = all / POINTS_MAX + 1;
	points->count = 0;
	for (size_t i = 0; i < all && points->count < POINTS_MAX; i += every) {
		/* The last one is where a curve ends. */
		const json_t *pair = json_array_get(pairs, i + every < all ? i : all - 1);
		const double x = report_item(pair, 0), y = report_item(pair, 1);
		if (!isnan(x) && !isnan(y))
			points->at[points->count++] = (struct point){x / x_unit, y};
	}
}

double points_histogram(
	struct points *points, const json_t *cells, double x_unit, double low, double high)
{
	enum { BARS = 48 };
	double all = 0;
	points->count = BARS + 1;
	for (int i = 0; i <= BARS; i++)
		points->at[i] = (struct point){low * pow(high / low, i / (double)BARS), 0};
	for (size_t i = 0; i < json_array_size(cells); i++) {
		const json_t *cell = json_array_get(cells, i);
		const double x = report_item(cell, 0) / x_unit, count = report_item(cell, 1);
		if (isnan(x) || !(count > 0))
			continue;
		const double bar = floor(BARS * log(fmax(x, low) / low) / log(high / low) + 1e-9);
		points->at[(int)fmin(BARS - 1, fmax(0, bar))].y += count;
		all += count;
	}
	for (int i = 0; all > 0 && i < BARS; i++)
		points->at[i].y /= all;
	if (!(all > 0))
		points->count = 0;
	return all;
}

void points_cumulate(struct points *points, const json_t *cells, double x_unit, double of)
{
	const size_t all = json_array_size(cells), every = all / (POINTS_MAX - 1) + 1;
	double sum = 0;
	points->count = 0;
	for (size_t i = 0; i < all; i++) {
		const json_t *cell = json_array_get(cells, i);
		const double x = report_item(cell, 0), count = report_item(cell, 1);
		if (isnan(x) || !(count > 0))
			continue;
		if (points->count == 0)
			points->at[points->count++] = (struct point){x / x_unit, 0};
		sum += count;
		if ((i % every == 0 || i + 1 == all) && points->count < POINTS_MAX)
			points->at[points->count++] = (struct point){x / x_unit, sum / of};
	}
}
