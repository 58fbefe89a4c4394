/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A live run: the control thread from the first resolved name to the summary. One libev loop; the
 * workers do the rest. Returns an enum exit_code.
 */
#ifndef SIPHERD_RUN_H
#define SIPHERD_RUN_H

#include "options.h"

/* No run at all: everything that can be checked beforehand, and what the run would do. */
int run_check(const struct options *options);
int run_fleet(const struct options *options);
int run_demo(const struct options *options);
int run_drill(const struct options *options);
int run_registrar(const struct options *options);

#endif
