/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A screen of character cells: drawn from scratch, then written as a whole, either with ANSI sequences
 * at the top left corner of a terminal or as plain lines. What lies outside is cut off, so that whoever
 * draws need not know the size. Text is ASCII; anything else in it becomes a question mark.
 */
#ifndef SIPHERD_CANVAS_H
#define SIPHERD_CANVAS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CANVAS_COLUMNS_MAX 400
#define CANVAS_ROWS_MAX 200

enum canvas_look {
	LOOK_PLAIN,
	LOOK_BOLD,
	LOOK_DIM,
	LOOK_REVERSE,
	LOOK_PRIMARY, /* colours from here on; told apart without red and green */
	LOOK_REDUNDANT,
	LOOK_TRYING,
	LOOK_MOVING,
	LOOK_BAD,
	LOOKS
};

struct canvas_cell {
	char text[4]; /* one character of UTF-8, unused bytes NUL */
	uint8_t look;
};

struct canvas {
	int columns, rows;
	bool utf8;   /* blocks for bars; else ASCII */
	bool colour; /* not with NO_COLOR */
	bool grey;   /* everything dim: old data */
	struct canvas_cell cell[CANVAS_ROWS_MAX][CANVAS_COLUMNS_MAX];
};

/* Blank, of this size or the nearest that is possible. */
void canvas_begin(struct canvas *canvas, int columns, int rows);
/* Returns the column behind it. */
int canvas_text(struct canvas *canvas, int row, int column, enum canvas_look look,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A bar of `share` (0 to 1) of the width. */
void canvas_bar(
	struct canvas *canvas, int row, int column, int width, enum canvas_look look, double share);
/* A column per value, eight heights up to `most`; values below 0 are left blank. */
void canvas_spark(struct canvas *canvas, int row, int column, enum canvas_look look,
	const double *values, int count, double most);

/* With control sequences: cursor home, each line and the rest of it, no line feed at the end. */
void canvas_paint(const struct canvas *canvas, FILE *out);
/* Without any. */
void canvas_print(const struct canvas *canvas, FILE *out);

#endif
