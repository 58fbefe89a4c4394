/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "report_internal.h"

static const char *const proxies[PROXIES] = {
	[PROXY_PRIMARY] = "primary", [PROXY_REDUNDANT] = "redundant"};
static const char *const titles[PROXIES] = {
	[PROXY_PRIMARY] = "Primary proxy", [PROXY_REDUNDANT] = "Redundant proxy"};

struct proxy_chart {
	struct page *page;
	const struct drill_view *view;
	const struct rates *rates;
	enum proxy proxy;
	struct time_unit unit;
	char x_label[WORD_MAX + 40], y_label[160];
	struct chart chart;
};

static void begin(struct proxy_chart *c, const char *title, const char *what)
{
	const struct rates *rates = c->rates;
	const double end = rates->begin_ms + (double)rates->steps * rates->step_ms;
	c->unit = time_unit_for(end - rates->begin_ms);
	snprintf(c->x_label, sizeof(c->x_label), "%s since the drill began", c->unit.name);
	snprintf(c->y_label, sizeof(c->y_label), "%s per second, in steps of %s", what,
		word_ms(rates->step_ms, WORD));
	if (rates_every(rates) > 1)
		snprintf(c->y_label, sizeof(c->y_label),
			"%s per second, the busiest step of %s in each %s", what,
			word_ms(rates->step_ms, WORD),
			word_ms(rates->step_ms * (double)rates_every(rates), WORD));
	c->chart = (struct chart){.title = title,
		.unit = c->y_label,
		.x_label = c->x_label,
		.x_low = rates->begin_ms / c->unit.ms,
		.x_high = end / c->unit.ms};
}

static void add(struct proxy_chart *c, const char *name, const char *style, enum line_kind kind,
	const enum rate *which, unsigned count)
{
	if (c->chart.lines == LINES_MAX)
		return;
	struct points *points = &c->page->points[c->chart.lines];
	const double total = rates_points(points, c->rates, c->proxy, which, count, c->unit.ms);
	double most = 0;
	for (uint32_t i = 0; i < points->count; i++)
		most = fmax(most, points->at[i].y);
	chart_line(&c->chart, name, style, kind, points);
	char *text = c->chart.description;
	const size_t used = strlen(text);
	if (total > 0)
		snprintf(text + used, sizeof(c->chart.description) - used,
			"%s%s: %s in all, at most %s per second.", used ? " " : "", name,
			word_count(total, WORD), word_plain(most, WORD));
}

static void end(struct proxy_chart *c)
{
	report_marks(&c->chart, c->view->drill, 0, c->unit.ms);
	chart_draw(c->page, &c->chart);
}

static void draw_register(struct proxy_chart *c)
{
	static const struct {
		const char *name, *style;
	} kinds[RATES_KINDS] = {{"initial", "c-initial"}, {"refresh", "c-refresh"},
		{"fail-over", "c-failover"}, {"fail-back", "c-failback"}};
	begin(c, "REGISTER offered, by kind, and accepted", "transactions");
	add(c, "accepted, of all kinds", "c-accepted", LINE_AREA, rates_accepted, RATES_KINDS);
	for (int k = 0; k < RATES_KINDS; k++)
		add(c, kinds[k].name, kinds[k].style, LINE_PLAIN, &rates_offered[k], 1);
	end(c);
}

static void draw_datagrams(struct proxy_chart *c)
{
	static const enum rate again[] = {RATE_register_retransmitted, RATE_options_retransmitted};
	begin(c, "OPTIONS, challenges and retransmissions", "messages");
	add(c, "OPTIONS answered", "c-accepted", LINE_AREA, &(enum rate){RATE_options_answered}, 1);
	add(c, "OPTIONS begun", "c-measured", LINE_PLAIN, &(enum rate){RATE_options}, 1);
	add(c, "REGISTER challenged", "c-refresh", LINE_PLAIN, &(enum rate){RATE_challenged}, 1);
	add(c, "sent again (timer E)", "c-again", LINE_PLAIN, again, 2);
	add(c, "late answers", "c-back", LINE_PLAIN, &(enum rate){RATE_late}, 1);
	end(c);
}

static void draw_failures(struct proxy_chart *c)
{
	static const enum rate server[] = {
		RATE_register_408, RATE_register_500, RATE_register_504, RATE_register_5xx};
	static const enum rate other[] = {RATE_register_3xx, RATE_register_4xx, RATE_register_6xx};
	begin(c, "REGISTER and OPTIONS that failed", "transactions");
	add(c, "REGISTER 503", "c-again", LINE_PLAIN, &(enum rate){RATE_register_503}, 1);
	add(c, "REGISTER 408, 500, 504, other 5xx", "c-back", LINE_PLAIN, server, 4);
	add(c, "REGISTER 3xx, 4xx, 6xx", "c-refresh", LINE_PLAIN, other, 3);
	add(c, "REGISTER never answered", "c-measured", LINE_PLAIN,
		&(enum rate){RATE_register_timeout}, 1);
	add(c, "OPTIONS never answered", "c-initial", LINE_DASHED,
		&(enum rate){RATE_options_timeout}, 1);
	end(c);
}

static void write_title(struct page *page, const struct drill_view *view, enum proxy proxy)
{
	const json_t *at = report_at(report_at(view->run, "proxies"), proxies[proxy]);
	if (json_is_object(at))
		element(page, "h3", NULL, "%s, %s port %.0f", titles[proxy],
			report_text(at, "address"), fmax(0, report_number(at, "port")));
	else
		element(page, "h3", NULL, "%s", titles[proxy]);
}

/* Without what neither of them had. */
static void row(struct page *page, const json_t *all, const char *name, const char *path,
	const char *(*word)(double, char[WORD_MAX]))
{
	if (report_number(report_at(all, proxies[PROXY_PRIMARY]), path) == 0 &&
		report_number(report_at(all, proxies[PROXY_REDUNDANT]), path) == 0 &&
		word == word_count)
		return;
	table_row(page, name);
	for (int p = 0; p < PROXIES; p++)
		table_cell(page, "%s", word(report_number(report_at(all, proxies[p]), path), WORD));
}

static void table_totals(struct page *page, const json_t *all)
{
	static const char *const heads[] = {"over the whole drill", "primary", "redundant"};
	static const struct {
		const char *name, *path;
		const char *(*word)(double, char[WORD_MAX]);
	} rows[] = {
		{"REGISTER offered: initial", "offered.initial", word_count},
		{"REGISTER offered: refresh", "offered.refresh", word_count},
		{"REGISTER offered: fail-over", "offered.failover", word_count},
		{"REGISTER offered: fail-back", "offered.failback", word_count},
		{"REGISTER accepted: initial", "accepted.initial", word_count},
		{"REGISTER accepted: refresh", "accepted.refresh", word_count},
		{"REGISTER accepted: fail-over", "accepted.failover", word_count},
		{"REGISTER accepted: fail-back", "accepted.failback", word_count},
		{"challenged (401, 407)", "challenged", word_count},
		{"busiest second of REGISTER", "peak_register_per_s", word_rate},
		{"busiest 100 ms of REGISTER", "peak_register_per_100ms", word_count},
		{"busiest second of OPTIONS", "peak_options_per_s", word_rate},
		{"retransmissions among REGISTER and OPTIONS", "retransmission_ratio", word_share},
		{"ineffective attempts (IRA, RFC 6076)", "ira.ratio", word_share},
		{"IRA: never answered", "ira.timeout", word_count},
		{"IRA: answered 408", "ira.408", word_count},
		{"IRA: answered 500", "ira.500", word_count},
		{"IRA: answered 503", "ira.503", word_count},
		{"IRA: answered 504", "ira.504", word_count},
		{"all answered 3xx", "answers.3xx", word_count},
		{"all answered 4xx, challenges aside", "answers.4xx", word_count},
		{"all answered 5xx", "answers.5xx", word_count},
		{"all answered 6xx", "answers.6xx", word_count},
		{"mean RRD", "rrd_mean_us", word_us},
	};
	table_begin(page, "What each proxy was asked, and what it answered", heads, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		row(page, all, rows[i].name, rows[i].path, rows[i].word);
	table_end(page);
}

static bool was_asked(const struct rates *rates, enum proxy proxy)
{
	double sum[RATES];
	rates_sum(rates, proxy, 0, rates->steps, sum);
	return sum[RATE_register_datagrams] + sum[RATE_options_datagrams] + sum[RATE_unregister] >
	       0;
}

void report_proxies(struct page *page, const struct drill_view *view)
{
	struct rates rates;
	const bool has_rates = rates_open(&rates, view->drill);
	element(page, "h2", "chapter", "The proxies");
	for (int p = 0; p < PROXIES && has_rates; p++) {
		struct proxy_chart c = {
			.page = page, .view = view, .rates = &rates, .proxy = (enum proxy)p};
		write_title(page, view, (enum proxy)p);
		if (!was_asked(&rates, (enum proxy)p))
			element(page, "p", NULL, "Nothing was sent to it.");
		draw_register(&c);
		draw_datagrams(&c);
		draw_failures(&c);
	}
	table_totals(page, report_at(view->drill, "proxies"));
}
