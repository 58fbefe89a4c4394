/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run of this fleet would do, in a few lines, without doing any of it. */
#ifndef SIPHERD_CHECK_H
#define SIPHERD_CHECK_H

#include <stdio.h>

#include "fleet.h"
#include "wire.h"

/* config: of the wire that would be opened. EXIT_DONE; EXIT_USAGE after a message for each of the file's drills that
 * this fleet refuses. */
int check_print(FILE *out, const struct fleet *fleet, const struct wire_config *config);

#endif
