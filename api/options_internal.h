/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of options and commands, which are read by two:
 *
 *   options.c       the tables, and the command line and environment as they say
 *   options_help.c  --help and the manual page, printed from them
 */
#ifndef SIPHERD_OPTIONS_INTERNAL_H
#define SIPHERD_OPTIONS_INTERNAL_H

#include "options.h"

#define ON(command) (1u << (command))
#define OPTIONS_NAME_MAX 64 /* of an option as the user writes it */

/* What an option's value becomes. */
enum value_kind { VALUE_FLAG, VALUE_TEXT, VALUE_LIST, VALUE_COUNT, VALUE_SECONDS, VALUE_MS };

struct option_row {
	const char *name, *argument; /* argument NULL: a flag */
	unsigned commands;           /* ON() bits */
	uint8_t kind;                /* enum value_kind */
	size_t field;                /* in struct options */
	const char *help;
	uint64_t low, high; /* of a number, in the field's unit */
};

struct command_row {
	const char *name, *arguments, *help;
	size_t least, most;  /* arguments */
	const char *missing; /* what they are; NULL: files */
};

extern const struct option_row options_rows[];
extern const size_t options_rows_count;
extern const struct command_row options_commands[COMMANDS];

/* SIPHERD_MIN_EXPIRES for min-expires. */
void options_environment_name(const struct option_row *row, char out[OPTIONS_NAME_MAX]);
/* Help and the like are asked for by hand only. */
bool options_in_environment(const struct option_row *row);

#endif
