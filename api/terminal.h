/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terminal while a program has it for itself: alternate screen, no cursor, keys one by one. Whatever
 * ends or stops the program, a signal or its own fault, gives the terminal back as it was.
 */
#ifndef SIPHERD_TERMINAL_H
#define SIPHERD_TERMINAL_H

#include <stdbool.h>

enum terminal_key {
	KEY_NONE,
	KEY_UP = 256, /* below: the character itself */
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_END_OF_INPUT,
};

/* 0, or -errno: standard input and output are no terminal. One at a time. */
int terminal_open(void);
void terminal_close(void);

/* SIGINT, SIGTERM or SIGHUP came. */
bool terminal_ended(void);
/* Its size; false: it cannot be told. */
bool terminal_size(int *columns, int *rows);
/* The next key that has been pressed, without waiting. */
int terminal_key(void);
/* May text hold UTF-8, may it have colours? By LC_ALL, LC_CTYPE, LANG and NO_COLOR. */
bool terminal_utf8(void);
bool terminal_colour(void);

#endif
