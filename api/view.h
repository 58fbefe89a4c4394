/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run as text. On a terminal: a few lines that are drawn anew, with events scrolling above them.
 * Elsewhere: a story, line by line, one a second while something changes and one at least every
 * five seconds.
 */
#ifndef SIPHERD_VIEW_H
#define SIPHERD_VIEW_H

#include <stdio.h>

#include "tally.h"

struct view {
	FILE *out;
	void *context;
	void (*heard)(void *context, const char *text); /* of events; NULL: nobody else hears */
	bool terminal;
	uint32_t phones;          /* driven here; may change while it runs */
	char store[400];          /* how the store is, one line; empty: it is not shown */
	char drill[320];          /* how far a drill is, likewise */
	unsigned drawn;           /* lines of the block on the terminal */
	float said_s;             /* when the last line was written */
	struct tally_second said; /* what it said */
	uint8_t level[PROXIES];   /* how much of the fleet was announced at each proxy */
};

void view_open(struct view *view, FILE *out, uint32_t phones, void *context,
	void (*heard)(void *context, const char *text));

/* Something happened: one line with its time, and without it for who hears of events. */
void view_event(struct view *view, double at_s, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a step of a drill, of which who listens elsewhere is told otherwise. */
void view_step(struct view *view, double at_s, const char *text);

/* How far a drill is, in one line; empty: there is none. */
void view_drill(struct view *view, const char *text);

/* How many phones are driven here from now on, and how the store is. */
void view_share(struct view *view, uint32_t phones, const char *store);

/* Look at the newest picture; called ten times a second. second_over: a second of the time line has
 * just been completed. */
void view_update(struct view *view, const struct tally *tally, const struct wire_snapshot *now,
	double at_s, bool second_over);

/* The same for registrars alone, once per second. */
void view_registrars(struct view *view, const struct tally *tally, bool has_redundant);

/* Leave the last block on the screen. */
void view_close(struct view *view);

/* "1,234,567". Returns out. */
const char *view_number(uint64_t value, char out[32]);

#endif
