/* SPDX-License-Identifier: BSD-3-Clause */
/* The command report: a page from one summary, from two, or the time line as CSV. */
#ifndef SIPHERD_REPORT_COMMAND_H
#define SIPHERD_REPORT_COMMAND_H

#include "options.h"

int run_report(const struct options *options);

#endif
