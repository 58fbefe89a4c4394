/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sipherd top: the herd in a terminal, from the HTTP API of a running sipherd. The events stream brings a
 * tick a second; without it the fleet is asked once a second. What only one screen shows is asked only
 * while that screen is up.
 */
#ifndef SIPHERD_TOP_H
#define SIPHERD_TOP_H

#include <jansson.h>

#include "canvas.h"
#include "client.h"
#include "options.h"
#include "sse.h"

#define TOP_HISTORY 900 /* seconds kept, as the API does */
#define TOP_LINES 64    /* transitions and alerts kept */
#define TOP_LINE_MAX 160
#define TOP_STALE_MS 3000
#define TOP_ROWS_STANDARD 24
#define TOP_COLUMNS_STANDARD 80

enum top_screen {
	TOP_OVERVIEW,
	TOP_PROXIES,
	TOP_GENERATOR,
	TOP_PHONES,
	TOP_HISTOGRAMS,
	TOP_SCREENS
};

/* What is asked for, each answer kept until the next one. */
enum top_page {
	PAGE_FLEET,
	PAGE_LOAD,
	PAGE_DRILLS,
	PAGE_TIMELINE,
	PAGE_PROXIES,
	PAGE_GENERATOR,
	PAGE_STORE,
	PAGE_PHONES,
	PAGE_HISTOGRAM,
	TOP_PAGES
};

enum top_series {
	SERIES_PRIMARY,
	SERIES_REDUNDANT,
	SERIES_ELSEWHERE,
	SERIES_REGISTER,
	SERIES_OPTIONS,
	SERIES_AGAIN,
	SERIES_SWITCHES,
	SERIES_RTT_P99,
	TOP_SERIES
};

struct top_second {
	double at_s;
	double value[TOP_SERIES];
};

struct top_asking {
	struct top *top;
	struct client_call *call; /* under way, or NULL */
	uint64_t asked_ms;        /* the last time; 0: never */
};

struct top {
	const struct options *options;
	struct client *client;
	struct canvas canvas;
	enum top_screen screen;
	bool help, quit;
	json_t *page[TOP_PAGES]; /* NULL: not yet */
	struct top_asking asking[TOP_PAGES];
	json_t *tick; /* the newest, or NULL */
	struct sse sse;
	struct client_call *stream;
	bool streaming;                        /* the stream says something */
	uint64_t stream_at_ms;                 /* when to try the stream again */
	uint64_t fresh_ms;                     /* when the last answer or tick came; 0: never */
	uint64_t tick_ms;                      /* when the last tick came; 0: never */
	struct top_second second[TOP_HISTORY]; /* oldest first */
	uint32_t seconds;
	char line[TOP_LINES][TOP_LINE_MAX]; /* a ring of what moved */
	uint32_t lines;
	char note[CLIENT_WHY_MAX]; /* what a key has done, or what is wrong */
	uint64_t note_until_ms;
	uint32_t first_phone, histogram; /* first line of the list; which one */
	uint64_t now_ms;
	int exit;
};

int run_top(const struct options *options);

/* --- top_screens.c --- */

#define TOP_HISTOGRAMS_SHOWN 8
extern const char *const top_histograms[TOP_HISTOGRAMS_SHOWN];

void top_draw(struct top *top, int columns, int rows);

/* --- top_data.c: what answers and events mean --- */

/* A number or a text in an answer, by a path such as "rates.achieved.register". */
double top_number(const json_t *value, const char *path, double standard);
const char *top_text(const json_t *value, const char *path, const char *standard);
bool top_is(const json_t *value, const char *path);

void top_take_event(void *top, const struct sse_event *event);
void top_take_timeline(struct top *top, const json_t *timeline);
/* Phones by enum watch_state, from the newest tick or, without one, from the fleet. */
void top_states(const struct top *top, double out[8]);
void top_note(struct top *top, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
