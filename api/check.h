/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run of this fleet would do, in a few lines, without doing any of it. */
#ifndef SIPHERD_CHECK_H
#define SIPHERD_CHECK_H

#include <stdio.h>

#include "fleet.h"

void check_print(FILE *out, const struct fleet *fleet);

#endif
