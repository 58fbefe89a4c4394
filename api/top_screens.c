/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands where. Every screen fits 80 columns and 24 rows, and uses more when there is more. */
#include <math.h>
#include <string.h>

#include "top.h"
#include "view.h"
#include "watch.h"

#define FIRST_ROW 3 /* below the head */
#define LABEL 20
#define SPARK_S 300   /* seconds that a sparkline shows at least */
#define MARKS_MOST 64 /* that a sipherd tells */

const char *const top_histograms[TOP_HISTOGRAMS_SHOWN] = {"options_rtt", "register_rtt",
	"registration", "lateness", "options_rtt_primary", "options_rtt_redundant",
	"failover_since_answer", "failback_since_answer"};

static const char *count_text(double value, char out[32])
{
	return view_number(value > 0 ? (uint64_t)(value + 0.5) : 0, out);
}

/* --- Head and foot --- */

static void draw_head(struct top *top)
{
	static const char *const names[TOP_SCREENS] = {
		"overview", "proxies", "generator, store", "phones", "histograms"};
	struct canvas *canvas = &top->canvas;
	const json_t *fleet = top->page[PAGE_FLEET], *load = top->page[PAGE_LOAD];
	const uint64_t at_s = (uint64_t)fmax(0, top_number(top->streaming ? top->tick : fleet,
							"at_s", top_number(fleet, "at_s", 0)));
	char phones[32];
	int column = canvas_text(
		canvas, 0, 0, LOOK_BOLD, "sipherd  %.40s", top_text(fleet, "name", "?"));
	column = canvas_text(canvas, 0, column + 2, LOOK_PLAIN, "%s phones  %llu:%02u:%02u",
		count_text(top_number(fleet, "phones_configured", 0), phones),
		(unsigned long long)at_s / 3600, (unsigned)(at_s / 60 % 60), (unsigned)(at_s % 60));
	if (top_is(fleet, "mode.enabled"))
		column = canvas_text(canvas, 0, column + 2, LOOK_PLAIN, "%.16s (%.16s)",
			top_text(fleet, "mode.audiocodes", "?"),
			top_text(fleet, "mode.spider", "?"));
	if (top_is(load, "paused"))
		column = canvas_text(canvas, 0, column + 2, LOOK_REVERSE, " PAUSED ");
	if (top_is(fleet, "stopping"))
		column = canvas_text(canvas, 0, column + 2, LOOK_REVERSE, " STOPPING ");
	if (top_is(fleet, "verdict.generator_limited"))
		canvas_text(canvas, 0, column + 2, LOOK_BAD, "GENERATOR-LIMITED");
	column = 0;
	for (int i = 0; i < TOP_SCREENS; i++)
		column = canvas_text(canvas, 1, column,
				 i == (int)top->screen ? LOOK_REVERSE : LOOK_DIM, " %d %s ", i + 1,
				 names[i]) +
			 1;
}

static void draw_foot(struct top *top)
{
	struct canvas *canvas = &top->canvas;
	const int row = canvas->rows - 1;
	if (top->note[0] != '\0' && top->now_ms < top->note_until_ms)
		canvas_text(canvas, row, 0, LOOK_BOLD, "%s", top->note);
	else if (!top->options->once)
		canvas_text(canvas, row, 0, LOOK_DIM,
			"1-5 screens  p pause  + - ramp  arrows, PgUp, PgDn  ? help  q quit");
}

static void draw_staleness(struct top *top)
{
	struct canvas *canvas = &top->canvas;
	const bool never = top->fresh_ms == 0;
	const uint64_t age_ms = never ? 0 : top->now_ms - top->fresh_ms;
	canvas->grey = never || age_ms > TOP_STALE_MS;
	if (never)
		canvas_text(canvas, 2, 0, LOOK_REVERSE, " no data yet from %.60s ",
			client_url(top->client));
	else if (canvas->grey)
		canvas_text(canvas, 2, 0, LOOK_REVERSE, " no data for %llu s ",
			(unsigned long long)(age_ms / 1000));
}

/* The drill that runs: what, how long yet, how many phones are out, how far it is. */
static void draw_drill(struct top *top)
{
	struct canvas *canvas = &top->canvas;
	const json_t *running = json_object_get(top->page[PAGE_DRILLS], "running");
	const double end_ms = top_number(running, "end_ms", 0);
	const double at_ms = fmin(fmax(0, top_number(running, "at_ms", 0)), end_ms);
	const uint64_t left_s = (uint64_t)fmax(0, end_ms - at_ms + 999) / 1000;
	char out[32];
	if (!json_is_object(running))
		return;
	int column = canvas_text(canvas, 2, 0, LOOK_MOVING, "drill %.0f: %.40s",
		top_number(running, "id", 0), top_text(running, "title", "?"));
	column = canvas_text(canvas, 2, column + 2, LOOK_BOLD, "%s phones out",
		count_text(top_number(running, "phones_out", 0), out));
	column = canvas_text(canvas, 2, column + 2, LOOK_PLAIN, "%llu:%02u left",
		(unsigned long long)left_s / 60, (unsigned)(left_s % 60));
	canvas_bar(canvas, 2, column + 2, canvas->columns - column - 3, LOOK_MOVING,
		end_ms > 0 ? at_ms / end_ms : 0);
}

/* --- Overview --- */

static void draw_states(struct top *top, int row)
{
	static const uint8_t look[WATCH_STATES] = {[WATCH_ELSEWHERE] = LOOK_DIM,
		[WATCH_OFF] = LOOK_DIM,
		[WATCH_TRYING_PRIMARY] = LOOK_TRYING,
		[WATCH_TRYING_REDUNDANT] = LOOK_TRYING,
		[WATCH_REGISTERED_PRIMARY] = LOOK_PRIMARY,
		[WATCH_REGISTERED_REDUNDANT] = LOOK_REDUNDANT,
		[WATCH_FAILING_OVER] = LOOK_MOVING,
		[WATCH_FAILING_BACK] = LOOK_MOVING};
	double states[WATCH_STATES], all = 0;
	char number[32];
	top_states(top, states);
	for (int i = 0; i < WATCH_STATES; i++)
		all += states[i];
	for (int i = 0; i < WATCH_STATES; i++) {
		const double share = all > 0 ? states[i] / all : 0;
		canvas_text(&top->canvas, row + i, 0, LOOK_PLAIN, "%-20s",
			watch_state_name((enum watch_state)i));
		canvas_text(&top->canvas, row + i, LABEL, LOOK_BOLD, "%11s",
			count_text(states[i], number));
		canvas_text(&top->canvas, row + i, LABEL + 11, LOOK_PLAIN, " %5.1f%%", 100 * share);
		canvas_bar(&top->canvas, row + i, LABEL + 19, top->canvas.columns - LABEL - 20,
			(enum canvas_look)look[i], share);
	}
}

/* Seconds put together so that the line shows SPARK_S of them: a column is the mean of its seconds. */
static int make_spark(
	const struct top *top, enum top_series series, int width, double *values, double *most)
{
	int step = (SPARK_S + width - 1) / width, from = (int)top->seconds - width * step;
	*most = 0;
	for (int i = 0; i < width; i++) {
		double sum = 0;
		int found = 0;
		for (int s = 0; s < step; s++) {
			const int at = from + i * step + s;
			if (at < 0)
				continue;
			sum += top->second[at].value[series];
			found++;
		}
		values[i] = found > 0 ? sum / found : -1;
		*most = values[i] > *most ? values[i] : *most;
	}
	return step * width;
}

/* The first of the kept seconds that ends at or behind this moment; as many as there are: none does. */
static int second_of(const struct top *top, double at_s)
{
	int second = 0;
	while (second < (int)top->seconds && top->second[second].at_s < at_s)
		second++;
	return second;
}

/* v: an outage begins; ^: something is restored; |: a drill begins or ends, a wave is over. */
static char mark_of(const json_t *mark)
{
	const bool step = strcmp(top_text(mark, "phase", ""), "step") == 0;
	if (!step || strcmp(top_text(mark, "act", ""), "end") == 0)
		return '|';
	return top_is(mark, "restores") ? '^' : 'v';
}

/* Where drills did something; of one column the outages and their ends win. */
static void draw_marks(struct top *top, int row, int width, int shown)
{
	const int step = shown / width, from = (int)top->seconds - shown;
	const json_t *mark;
	size_t index;
	bool any = false;
	char line[CANVAS_COLUMNS_MAX + 1] = "";
	memset(line, ' ', (size_t)width);
	json_array_foreach (json_object_get(top->page[PAGE_DRILLS], "marks"), index, mark) {
		const double at_s = top_number(mark, "at_s", -1);
		const int second = second_of(top, at_s);
		if (index >= MARKS_MOST)
			break;
		if (second == (int)top->seconds || second < from || top->second[0].at_s > at_s + 1)
			continue;
		char *at = &line[(second - from) / step];
		if (mark_of(mark) != '|' || *at == ' ')
			*at = mark_of(mark);
		any = true;
	}
	if (any)
		canvas_text(&top->canvas, row, LABEL, LOOK_DIM, "v outage ^ restored");
	canvas_text(&top->canvas, row, LABEL + 19, LOOK_MOVING, "%s", line);
}

static void draw_sparks(struct top *top, int row)
{
	static const struct {
		const char *name;
		uint8_t look;
		double unit;
	} lines[TOP_SERIES] = {[SERIES_PRIMARY] = {"at primary", LOOK_PRIMARY, 1},
		[SERIES_REDUNDANT] = {"at redundant", LOOK_REDUNDANT, 1},
		[SERIES_ELSEWHERE] = {"at none", LOOK_MOVING, 1},
		[SERIES_REGISTER] = {"REGISTER/s", LOOK_PLAIN, 1},
		[SERIES_OPTIONS] = {"OPTIONS/s", LOOK_PLAIN, 1},
		[SERIES_AGAIN] = {"sent again/s", LOOK_PLAIN, 1},
		[SERIES_SWITCHES] = {"switches/s", LOOK_MOVING, 1},
		[SERIES_RTT_P99] = {"OPTIONS p99 ms", LOOK_PLAIN, 1e-3}};
	double values[CANVAS_COLUMNS_MAX], most;
	int shown = 0;
	const int width = top->canvas.columns - LABEL - 20;
	for (int i = 0; i < TOP_SERIES && width > 0; i++) {
		char number[32];
		const double now = top->seconds > 0 ? top->second[top->seconds - 1].value[i] : 0;
		shown = make_spark(top, (enum top_series)i, width, values, &most);
		canvas_text(&top->canvas, row + i, 0, LOOK_PLAIN, "%s", lines[i].name);
		if (lines[i].unit == 1)
			canvas_text(&top->canvas, row + i, LABEL, LOOK_BOLD, "%11s",
				count_text(now, number));
		else
			canvas_text(&top->canvas, row + i, LABEL, LOOK_BOLD, "%11.2f",
				now * lines[i].unit);
		canvas_spark(&top->canvas, row + i, LABEL + 19, (enum canvas_look)lines[i].look,
			values, width, most);
	}
	canvas_text(&top->canvas, row - 1, 0, LOOK_DIM, "the last %d:%02d", shown / 60, shown % 60);
	if (shown > 0)
		draw_marks(top, row - 1, width, shown);
}

static void draw_overview(struct top *top)
{
	draw_states(top, FIRST_ROW);
	draw_sparks(top, FIRST_ROW + WATCH_STATES + 2);
	/* A tall terminal has room for what happened, newest first. */
	const int row = FIRST_ROW + WATCH_STATES + 2 + TOP_SERIES + 1;
	for (uint32_t i = 0; i < top->lines && i < TOP_LINES && row + (int)i < top->canvas.rows - 1;
		i++)
		canvas_text(&top->canvas, row + (int)i, 0, LOOK_PLAIN, "%s",
			top->line[(top->lines - 1 - i) % TOP_LINES]);
}

/* --- Proxies --- */

static int draw_quantiles(struct canvas *canvas, int row, const char *name, const json_t *value)
{
	char number[32];
	canvas_text(canvas, row, 2, LOOK_PLAIN,
		"%-12s p50 %8.2f  p99 %8.2f  p99.9 %8.2f  max %8.2f  %s", name,
		top_number(value, "quantiles_us.p50", 0) / 1e3,
		top_number(value, "quantiles_us.p99", 0) / 1e3,
		top_number(value, "quantiles_us.p99_9", 0) / 1e3,
		top_number(value, "max_us", 0) / 1e3,
		count_text(top_number(value, "count", 0), number));
	return row + 1;
}

static int draw_proxy(struct top *top, int row, const json_t *proxy, bool first)
{
	struct canvas *canvas = &top->canvas;
	char number[32];
	const json_t *dead = json_object_get(proxy, "dead_since_unix_ms");
	const double share = top_number(proxy, "share", 0);
	const double answered = top_number(proxy, "answered_ratio", -1);
	int column = canvas_text(canvas, row, 0, LOOK_BOLD, "%.12s", top_text(proxy, "id", "?"));
	column = canvas_text(canvas, row, column + 2, LOOK_PLAIN, "%.60s port %.0f",
		top_text(proxy, "address", top_text(proxy, "host", "-")),
		top_number(proxy, "port", 0));
	if (json_is_number(dead))
		canvas_text(canvas, row, column + 2, LOOK_BAD, "DOES NOT ANSWER");
	canvas_text(canvas, row + 1, 2, LOOK_PLAIN, "%-18s%11s %5.1f%%", "registered",
		count_text(top_number(proxy, "registered", 0), number), 100 * share);
	canvas_bar(canvas, row + 1, LABEL + 19, canvas->columns - LABEL - 20,
		first ? LOOK_PRIMARY : LOOK_REDUNDANT, share);
	if (answered >= 0)
		canvas_text(canvas, row + 2, 2, LOOK_PLAIN, "%-18s%10.2f%%", "answered",
			100 * answered);
	canvas_text(canvas, row + 2, 40, LOOK_PLAIN, "moved here %s",
		count_text(top_number(proxy, "switches_to.total", 0), number));
	row = draw_quantiles(canvas, row + 3, "OPTIONS ms", json_object_get(proxy, "rtt_us"));
	row = draw_quantiles(canvas, row, "REGISTER ms", json_object_get(proxy, "register_rtt_us"));
	return row + 1;
}

static void draw_proxies(struct top *top)
{
	const json_t *list = json_object_get(top->page[PAGE_PROXIES], "proxies");
	size_t index;
	json_t *proxy;
	int row = FIRST_ROW;
	json_array_foreach (list, index, proxy) {
		row = draw_proxy(top, row, proxy, index == 0);
	}
	const json_t *rates = json_object_get(
		json_object_get(top->page[PAGE_FLEET], "rates"), "achieved");
	canvas_text(&top->canvas, row, 0, LOOK_BOLD, "a second");
	canvas_text(&top->canvas, row + 1, 2, LOOK_PLAIN,
		"REGISTER %.0f  OPTIONS %.0f  sent again %.0f  answered %.0f  silent %.0f  not "
		"sent "
		"%.0f",
		top_number(rates, "register", 0), top_number(rates, "options", 0),
		top_number(rates, "retransmitted", 0), top_number(rates, "answered", 0),
		top_number(rates, "silent", 0), top_number(rates, "not_sent", 0));
}

/* --- Generator and store --- */

static int draw_workers(struct top *top, int row)
{
	const json_t *list = json_object_get(top->page[PAGE_GENERATOR], "workers");
	size_t index;
	json_t *worker;
	json_array_foreach (list, index, worker) {
		const double busy = top_number(worker, "busy_ratio", 0);
		canvas_text(&top->canvas, row, 2, LOOK_PLAIN, "worker %-2.0f on CPU %-4.0f %5.1f%%",
			top_number(worker, "worker", 0), top_number(worker, "cpu", 0), 100 * busy);
		canvas_bar(&top->canvas, row++, LABEL + 19, top->canvas.columns - LABEL - 20,
			busy > 0.9 ? LOOK_BAD : LOOK_PRIMARY, busy);
	}
	return row;
}

static int draw_verdict(struct top *top, int row)
{
	const json_t *verdict = json_object_get(top->page[PAGE_GENERATOR], "verdict"), *reason;
	size_t index;
	if (!top_is(verdict, "generator_limited"))
		canvas_text(&top->canvas, row, 0, LOOK_PLAIN, "the generator keeps its schedule");
	else
		canvas_text(&top->canvas, row, 0, LOOK_BAD, "GENERATOR-LIMITED");
	json_array_foreach (json_object_get(verdict, "reasons"), index, reason) {
		canvas_text(&top->canvas, ++row, 2, LOOK_PLAIN, "%.160s",
			json_is_string(reason) ? json_string_value(reason) : "");
	}
	return row + 2;
}

static void draw_store(struct top *top, int row)
{
	struct canvas *canvas = &top->canvas;
	const json_t *store = top->page[PAGE_STORE], *redis = json_object_get(store, "redis");
	canvas_text(canvas, row, 0, LOOK_BOLD, "store  %.16s", top_text(store, "kind", "?"));
	canvas_text(canvas, row + 1, 2, LOOK_PLAIN, "%.120s",
		top_text(store, "where", "nothing is kept"));
	if (!json_is_object(redis))
		return;
	canvas_text(canvas, row + 2, 2, top_is(redis, "connected") ? LOOK_PLAIN : LOOK_BAD, "%s",
		top_is(redis, "connected") ? "connected" : "NOT CONNECTED");
	canvas_text(canvas, row + 2, LABEL, LOOK_PLAIN,
		"lag %.1f ms, at most %.1f ms  %.0f of %.0f shards  %.0f nodes",
		top_number(redis, "lag_us", 0) / 1e3, top_number(redis, "lag_max_us", 0) / 1e3,
		top_number(redis, "shards_driven", 0), top_number(redis, "shards", 0),
		top_number(redis, "nodes", 0));
	canvas_text(canvas, row + 3, 2, LOOK_BAD, "%.120s", top_text(redis, "trouble", ""));
}

static void draw_generator(struct top *top)
{
	const json_t *generator = top->page[PAGE_GENERATOR];
	char planned[32], sent[32], not_sent[32];
	int row = draw_verdict(top, FIRST_ROW);
	canvas_text(&top->canvas, row, 0, LOOK_BOLD, "%.100s", top_text(generator, "link", ""));
	row = draw_workers(top, row + 1) + 1;
	canvas_text(&top->canvas, row++, 2, LOOK_PLAIN,
		"datagrams    planned %s  sent %s  not sent %s",
		count_text(top_number(generator, "datagrams.planned", 0), planned),
		count_text(top_number(generator, "datagrams.sent", 0), sent),
		count_text(top_number(generator, "datagrams.not_sent", 0), not_sent));
	row = draw_quantiles(
		&top->canvas, row, "lateness ms", json_object_get(generator, "lateness"));
	canvas_text(&top->canvas, row, 2, LOOK_PLAIN, "memory       %.1f MB",
		top_number(generator, "memory_bytes", 0) / 1e6);
	draw_store(top, row + 2);
}

/* --- Phones --- */

static void draw_phone(struct top *top, int row, const json_t *phone)
{
	const double rtt_ms = top_number(phone, "rtt_ms", -1);
	char rtt[32] = "-";
	if (rtt_ms >= 0)
		snprintf(rtt, sizeof(rtt), "%.1f", rtt_ms);
	canvas_text(&top->canvas, row, 0, top_is(phone, "registered") ? LOOK_PLAIN : LOOK_MOVING,
		"%8.0f  %-18.18s %-12.12s %-10.10s %6.0f %8s  %.24s", top_number(phone, "phone", 0),
		top_text(phone, "user", "-"), top_text(phone, "state", "-"),
		top_text(phone, "proxy", "-"), top_number(phone, "misses", 0), rtt,
		top_text(phone, "cause", "-"));
}

static void draw_phones(struct top *top)
{
	struct canvas *canvas = &top->canvas;
	const int half = FIRST_ROW + (canvas->rows - FIRST_ROW) / 2;
	size_t index;
	json_t *phone;
	canvas_text(canvas, FIRST_ROW, 0, LOOK_BOLD, "%8s  %-18s %-12s %-10s %6s %8s  %s", "phone",
		"user", "state", "proxy", "misses", "rtt ms", "cause");
	json_array_foreach (json_object_get(top->page[PAGE_PHONES], "phones"), index, phone) {
		if (FIRST_ROW + 1 + (int)index < half)
			draw_phone(top, FIRST_ROW + 1 + (int)index, phone);
	}
	canvas_text(canvas, half + 1, 0, LOOK_BOLD, "what moves, newest first");
	for (uint32_t i = 0;
		i < top->lines && i < TOP_LINES && half + 2 + (int)i < canvas->rows - 1; i++)
		canvas_text(canvas, half + 2 + (int)i, 0, LOOK_PLAIN, "%s",
			top->line[(top->lines - 1 - i) % TOP_LINES]);
}

/* --- Histograms --- */

/* Cells of one octave put together; an octave is a line. */
static int sum_octaves(const json_t *cells, double octave[64])
{
	size_t index;
	json_t *cell;
	int last = -1;
	memset(octave, 0, 64 * sizeof(*octave));
	json_array_foreach (cells, index, cell) {
		const double low = json_number_value(json_array_get(cell, 0));
		const double count = json_number_value(json_array_get(cell, 1));
		int at = low >= 1 ? (int)floor(log2(low)) : 0;
		at = at > 63 ? 63 : at;
		octave[at] += count > 0 ? count : 0;
		last = at > last ? at : last;
	}
	return last;
}

static void draw_histogram(struct top *top)
{
	struct canvas *canvas = &top->canvas;
	const json_t *histogram = top->page[PAGE_HISTOGRAM];
	double octave[64], most = 0;
	char number[32];
	canvas_text(canvas, FIRST_ROW, 0, LOOK_BOLD, "%s", top_histograms[top->histogram]);
	canvas_text(canvas, FIRST_ROW, 30, LOOK_DIM, "%u of %u, arrows turn", top->histogram + 1,
		TOP_HISTOGRAMS_SHOWN);
	draw_quantiles(canvas, FIRST_ROW + 1, "ms", histogram);
	const int last = sum_octaves(json_object_get(histogram, "cells_us"), octave);
	int first = 0;
	while (first < last && octave[first] == 0)
		first++;
	for (int i = first; i <= last; i++)
		most = octave[i] > most ? octave[i] : most;
	for (int i = first; i <= last; i++) {
		const int row = FIRST_ROW + 3 + i - first;
		if (row >= canvas->rows - 1)
			break;
		canvas_text(canvas, row, 0, LOOK_PLAIN, "from %11.3f ms %12s", exp2(i) / 1e3,
			count_text(octave[i], number));
		canvas_bar(canvas, row, LABEL + 19, canvas->columns - LABEL - 20, LOOK_PRIMARY,
			octave[i] / most);
	}
}

/* --- Help --- */

static void draw_help(struct top *top)
{
	static const char *const lines[] = {
		("1 to 5      the screens: overview, proxies, generator "
		 "and store, phones, histograms"),
		"p           pause the ramp, or go on: no further phones are started",
		"+ and -     start phones a tenth faster or slower",
		"arrows      on 4 one phone up or down, on 5 the next histogram",
		"PgUp PgDn   on 4 half a screen up or down", "? or h      this text",
		"q, Ctrl-C   quit", "",
		"p, + and - take the operator's token; see --token-file in sipherd help top.",
		"Everything is grey when no data came for 3 s; the connection is tried again by",
		"itself."};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		canvas_text(&top->canvas, FIRST_ROW + (int)i, 2, LOOK_PLAIN, "%s", lines[i]);
}

void top_draw(struct top *top, int columns, int rows)
{
	static void (*const screens[TOP_SCREENS])(struct top *) = {
		draw_overview, draw_proxies, draw_generator, draw_phones, draw_histogram};
	canvas_begin(&top->canvas, columns, rows);
	draw_head(top);
	if (top->help)
		draw_help(top);
	else
		screens[top->screen](top);
	draw_drill(top);
	draw_staleness(top);
	draw_foot(top);
}
