/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans for people, before anything is sent: what will be done, and at which peak rate. */
#ifndef SIPHERD_DRILLS_PRINT_H
#define SIPHERD_DRILLS_PRINT_H

#include <stdio.h>

#include "drill_plan.h"
#include "fleet.h"
#include "wire.h"

void drills_print_plan(const struct drill_plan *plan, FILE *out);
/* The same in one line. */
void drills_print_line(const struct drill_plan *plan, FILE *out);

/* All of the fleet file's, a line each. 0, or -1 after a message for each that this fleet refuses. */
int drills_check(const struct fleet *fleet, const struct wire_config *config, FILE *out);

#endif
