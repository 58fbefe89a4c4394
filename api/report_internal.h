/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files that write reports:
 *
 *   report.c          what a summary must be, and the order of the sections
 *   report_read.c     values of a summary, whatever stands there
 *   report_page.c     markup and text, numbers as words, tables
 *   report_style.c    the style sheet
 *   report_svg.c      charts
 *   report_rates.c    the proxies' series of 100 ms steps
 *   report_explain.c  what the figures say, in plain language
 *   report_wave.c, report_proxy.c, report_run.c   sections
 *   report_compare.c  two runs side by side
 *   report_csv.c      the time line
 *
 * Markup is constant text of ours and goes through put(); everything that may hold a word of the summary
 * goes through say(), which escapes it.
 */
#ifndef SIPHERD_REPORT_INTERNAL_H
#define SIPHERD_REPORT_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "phone.h"
#include "report.h"
#include "series.h"

#define POINTS_MAX 1200
#define LINES_MAX 8
#define MARKS_MAX 24
#define WORD_MAX 48
#define SENTENCE_MAX 480
/* More than these of a summary are not shown. */
#define SHOWN_DRILLS_MAX 64
#define SHOWN_WAVES_MAX 256
#define SHOWN_ROWS_MAX 1024

/* --- report_read.c: values by path, such as "outage_ms.p99" --- */

const json_t *report_at(const json_t *object, const char *path);
/* Finite and within +-1e15; NAN: there is none. */
double report_number(const json_t *object, const char *path);
/* Never NULL. */
const char *report_text(const json_t *object, const char *path);
bool report_true(const json_t *object, const char *path);
/* Element i of an array, as a number. */
double report_item(const json_t *array, size_t i);
/* PROXIES: no proxy's name. */
enum proxy report_proxy(const json_t *object, const char *path);
/* Seconds since 1970 of "2026-11-18T19:59:20Z"; NAN. */
double report_time(const json_t *object, const char *path);

/* --- report.c --- */

/* 0, or -EINVAL with what a report would need. */
int report_check(const json_t *run, char reason[REPORT_REASON_MAX]);
struct page;
void report_head(struct page *page, const char *title);
void report_foot(struct page *page);

/* --- report_page.c --- */

struct point {
	double x, y;
};
struct points {
	uint32_t count;
	struct point at[POINTS_MAX];
};

/* What the figures say, one paragraph each. */
#define FINDINGS_MAX 32
enum mood { MOOD_PLAIN, MOOD_GOOD, MOOD_WARN, MOOD_BAD, MOODS };

struct finding {
	enum mood mood;
	char title[160];
	char text[2 * SENTENCE_MAX];
};
struct findings {
	unsigned count;
	struct finding finding[FINDINGS_MAX];
};

struct page {
	FILE *out;
	unsigned charts;
	bool row;                        /* of a table, that is not closed */
	bool limited;                    /* the generator was the limit: nothing is good or bad */
	struct points points[LINES_MAX]; /* of the chart that is being drawn */
	struct findings findings;        /* that are being gathered */
};

void put(struct page *page, const char *markup);
void say(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* <tag class="...">text</tag>; class may be NULL. */
void element(struct page *page, const char *tag, const char *class, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void table_begin(struct page *page, const char *caption, const char *const *heads, unsigned count);
void table_row(struct page *page, const char *head);
void table_cell(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_end(struct page *page);

/* Buffers for the words below: as long as the block they stand in. */
#define WORD ((char[WORD_MAX]){0})

/* All give out back; a dash for NAN. */
const char *word_ms(double ms, char out[WORD_MAX]);
/* A time since the beginning: seconds, up to five minutes. */
const char *word_at(double ms, char out[WORD_MAX]);
const char *word_us(double us, char out[WORD_MAX]);
const char *word_share(double share, char out[WORD_MAX]);
const char *word_count(double count, char out[WORD_MAX]);
const char *word_rate(double per_s, char out[WORD_MAX]);
const char *word_plain(double number, char out[WORD_MAX]); /* three digits */
const char *word_utc(double unix_ms, char out[WORD_MAX]);
/* By the units of gates. */
const char *word_unit(const char *unit, double value, char out[WORD_MAX]);

/* --- report_svg.c --- */

enum chart_format { CHART_NUMBER, CHART_SHARE };
enum line_kind { LINE_PLAIN, LINE_DASHED, LINE_AREA, LINE_BARS };

struct chart_line {
	const char *name;  /* in the legend */
	const char *style; /* class of its colour */
	enum line_kind kind;
	const struct points *points;
};

struct chart_mark {
	double x;
	unsigned number; /* of the step, as in its table */
};

struct chart {
	const char *title, *unit; /* unit: what the heights are */
	const char *x_label;
	char description[SENTENCE_MAX]; /* what is to be seen, for those who cannot */
	double x_low, x_high, y_high;   /* y_high 0: as high as the lines */
	bool x_log;
	enum chart_format format;
	unsigned lines, marks;
	struct chart_line line[LINES_MAX];
	struct chart_mark mark[MARKS_MAX];
};

void chart_line(struct chart *chart, const char *name, const char *style, enum line_kind kind,
	const struct points *points);
/* Nothing is drawn when no line has points. */
void chart_draw(struct page *page, const struct chart *chart);

/* Times on an axis: milliseconds in one unit, and its name. */
struct time_unit {
	double ms;
	const char *name;
};
struct time_unit time_unit_for(double range_ms);

/* [[x, y]...] as points, thinned out to what there is room for; x is divided by x_unit. */
void points_read(struct points *points, const json_t *pairs, double x_unit);
/* Bars of equal width on a logarithmic axis, from [[low, count]...]; y is the share of all. Returns the
 * number of samples. */
double points_histogram(
	struct points *points, const json_t *cells, double x_unit, double low, double high);
/* The share of the samples at or below x. */
void points_cumulate(struct points *points, const json_t *cells, double x_unit, double of);

/* --- report_rates.c --- */

#define RATE_OF(name, description) RATE_##name,
enum rate { PROXY_COUNTERS(RATE_OF) RATES };

#define RATES_KINDS 4
#define RATES_REFUSALS 8
extern const enum rate rates_offered[RATES_KINDS], rates_accepted[RATES_KINDS];
extern const enum rate rates_refused[RATES_REFUSALS];
extern const char *const rates_refused_names[RATES_REFUSALS];

struct rates {
	double step_ms, begin_ms;
	size_t steps;
	const json_t *rows[PROXIES];
	size_t column[RATES]; /* SIZE_MAX: it was not counted */
};

/* False: there are none. */
bool rates_open(struct rates *rates, const json_t *drill);
double rates_count(const struct rates *rates, enum proxy proxy, size_t step, enum rate rate);
/* The first step that begins at or after this time of the plan. */
size_t rates_step_at(const struct rates *rates, double ms);
void rates_sum(
	const struct rates *rates, enum proxy proxy, size_t from, size_t until, double sum[RATES]);
/* Of both proxies, per second, in the busiest second of the drill. */
double rates_busiest(const struct rates *rates, enum rate rate);
/* How many steps one point of a chart stands for: it shows the busiest of them. */
size_t rates_every(const struct rates *rates);
/* The sum of some counters, per second. Returns it over all steps; no points when that is 0. */
double rates_points(struct points *points, const struct rates *rates, enum proxy proxy,
	const enum rate *which, unsigned count, double unit_ms);

/* --- sections --- */

struct drill_view {
	const json_t *run, *drill;
	unsigned index; /* from 0 */
};

void report_wave(
	struct page *page, const struct drill_view *view, const json_t *wave, unsigned index);
/* --- report_explain.c --- */

void explain_wave(struct findings *all, const struct drill_view *view, const json_t *wave);
/* Of a whole drill: what is wrong, wave by wave, and in one sentence what is not. */
void explain_drill(struct findings *all, const struct drill_view *view);
void findings_write(struct page *page, const struct findings *all);

/* --- report_run.c --- */

void report_verdict(struct page *page, const json_t *run);
void report_facts(struct page *page, const json_t *run);
void report_goals(struct page *page, const json_t *run);
void report_herd(struct page *page, const struct drill_view *view);
void report_totals(struct page *page, const json_t *drill);
void report_round_trips(struct page *page, const json_t *run);
void report_generator(struct page *page, const json_t *run);
void report_configuration(struct page *page, const json_t *run);
/* What one key of a configuration is set to. */
void report_value(struct page *page, const json_t *value);
void report_repeat(struct page *page, const json_t *run);

void report_proxies(struct page *page, const struct drill_view *view);
void report_waves_glance(struct page *page, const json_t *waves);
/* The drill's steps within the chart's axis, in its unit, as times since at_ms of the plan. */
void report_marks(struct chart *chart, const json_t *drill, double at_ms, double unit_ms);

extern const char report_style[];

#endif
