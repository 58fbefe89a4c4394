/* SPDX-License-Identifier: BSD-3-Clause */
#include "canvas.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define HEIGHTS 8

static const char *const blocks[HEIGHTS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const letters[HEIGHTS] = {"_", ".", ":", "-", "=", "+", "*", "#"};

/* The palette of Okabe and Ito, as far as 16 colours have it; without colour, weight. */
static const char *const sequence[LOOKS] = {"", "1", "2", "7", "94", "93", "96", "95", "91;1"};
static const char *const colourless[LOOKS] = {"", "1", "2", "7", "", "1", "2", "7", "1"};

void canvas_begin(struct canvas *canvas, int columns, int rows)
{
	canvas->columns = columns < 1                    ? 1
			  : columns > CANVAS_COLUMNS_MAX ? CANVAS_COLUMNS_MAX
							 : columns;
	canvas->rows = rows < 1 ? 1 : rows > CANVAS_ROWS_MAX ? CANVAS_ROWS_MAX : rows;
	for (int row = 0; row < canvas->rows; row++)
		for (int column = 0; column < canvas->columns; column++)
			canvas->cell[row][column] = (struct canvas_cell){.text = " "};
}

static void put(struct canvas *canvas, int row, int column, enum canvas_look look, const char *text)
{
	if (row < 0 || column < 0 || row >= canvas->rows || column >= canvas->columns)
		return;
	struct canvas_cell *cell = &canvas->cell[row][column];
	memset(cell->text, 0, sizeof(cell->text));
	memcpy(cell->text, text, strnlen(text, sizeof(cell->text)));
	cell->look = (uint8_t)look;
}

int canvas_text(
	struct canvas *canvas, int row, int column, enum canvas_look look, const char *format, ...)
{
	char text[CANVAS_COLUMNS_MAX + 1];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (const char *c = text; *c != '\0'; c++) {
		/* The rest of a character of several bytes has no cell of its own. */
		if (((unsigned char)*c & 0xc0) == 0x80)
			continue;
		const char one[2] = {*c >= ' ' && *c <= '~' ? *c : '?', '\0'};
		put(canvas, row, column++, look, one);
	}
	return column;
}

void canvas_bar(
	struct canvas *canvas, int row, int column, int width, enum canvas_look look, double share)
{
	const char *full = canvas->utf8 ? "█" : "#";
	int length = (int)(fmin(fmax(share, 0), 1) * width + 0.5);
	/* Few are not none. */
	if (share > 0 && length == 0)
		length = 1;
	for (int i = 0; i < length && i < width; i++)
		put(canvas, row, column + i, look, full);
}

void canvas_spark(struct canvas *canvas, int row, int column, enum canvas_look look,
	const double *values, int count, double most)
{
	const char *const *heights = canvas->utf8 ? blocks : letters;
	for (int i = 0; i < count; i++) {
		if (values[i] < 0)
			continue;
		int height = most > 0 ? (int)(values[i] / most * (HEIGHTS - 1) + 0.5) : 0;
		height = height >= HEIGHTS ? HEIGHTS - 1 : height;
		put(canvas, row, column + i, values[i] > 0 ? look : LOOK_DIM, heights[height]);
	}
}

static void print_cell(const struct canvas_cell *cell, FILE *out)
{
	fwrite(cell->text, 1, strnlen(cell->text, sizeof(cell->text)), out);
}

static int length_of(const struct canvas *canvas, int row)
{
	int length = canvas->columns;
	while (length > 0 && canvas->cell[row][length - 1].text[0] == ' ' &&
		canvas->cell[row][length - 1].look != LOOK_REVERSE)
		length--;
	return length;
}

static void set_look(const struct canvas *canvas, uint8_t look, FILE *out)
{
	const char *code = (canvas->colour ? sequence : colourless)[look];
	if (canvas->grey && look != LOOK_REVERSE)
		code = "2";
	fprintf(out, "\033[0%s%sm", code[0] != '\0' ? ";" : "", code);
}

static void paint_row(const struct canvas *canvas, int row, FILE *out)
{
	int look = -1;
	const int length = length_of(canvas, row);
	for (int column = 0; column < length; column++) {
		const struct canvas_cell *cell = &canvas->cell[row][column];
		if (cell->look != look)
			set_look(canvas, cell->look, out);
		look = cell->look;
		print_cell(cell, out);
	}
	fputs("\033[0m", out);
	if (length < canvas->columns)
		fputs("\033[K", out);
}

void canvas_paint(const struct canvas *canvas, FILE *out)
{
	fputs("\033[H", out);
	for (int row = 0; row < canvas->rows; row++) {
		fputs(row > 0 ? "\r\n" : "", out);
		paint_row(canvas, row, out);
	}
	fflush(out);
}

void canvas_print(const struct canvas *canvas, FILE *out)
{
	int rows = canvas->rows;
	while (rows > 0 && length_of(canvas, rows - 1) == 0)
		rows--;
	for (int row = 0; row < rows; row++) {
		for (int column = 0; column < length_of(canvas, row); column++)
			print_cell(&canvas->cell[row][column], out);
		fputc('\n', out);
	}
}
