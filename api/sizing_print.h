/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fleet takes, for people and for programs. */
#ifndef SIPHERD_SIZING_PRINT_H
#define SIPHERD_SIZING_PRINT_H

#include <stdio.h>

#include "fleet.h"
#include "options.h"
#include "wire.h"

/* As --json and the other options say. config: of the wire that would be opened. EXIT_DONE, EXIT_HOST: out of
 * memory, EXIT_USAGE: a text is too long; either after a message. */
int sizing_print(FILE *out, const struct options *options, const struct fleet *fleet,
	const struct wire_config *config);

#endif
