/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sipherd ctl: reads and steers a running sipherd through its HTTP API, for scripts and their authors.
 * Text for people, --json for programs; exit codes as everywhere.
 */
#ifndef SIPHERD_CTL_H
#define SIPHERD_CTL_H

#include <jansson.h>

#include "options.h"
#include "sse.h"

int run_ctl(const struct options *options);

/* --- ctl_print.c: answers as text; strings of the server are cleaned on the way --- */

/* Fields below each other, objects and lists indented. */
void ctl_print_tree(const json_t *value);
void ctl_print_phones(const json_t *page, bool heading);
void ctl_print_phone(const json_t *phone);
/* The last messages as a ladder. */
void ctl_print_trace(const json_t *trace);
/* One line. */
void ctl_print_event(const struct sse_event *event, const json_t *data);
/* JSON, indented, in ASCII. */
void ctl_print_json(const json_t *value, size_t flags);

#endif
