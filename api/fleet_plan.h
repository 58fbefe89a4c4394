/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet file's sections that are no single values: drills, hooks, gates, and herds (fleet_herds.c). Only for fleet_*.c.
 *
 *   drills: { friday: [ {do: crash, proxy: primary, hold: 120s}, {wait: 60s}, {do: flap, times: 5} ] }
 *   hooks:  { stop: { run: [/usr/bin/systemctl, stop, kamailio], undo: [...], timeout: 20s } }
 *   gates:  [ "outage_p99 <= 95s" ]
 */
#ifndef SIPHERD_FLEET_PLAN_H
#define SIPHERD_FLEET_PLAN_H

#include "fleet_table.h"

#define FLEET_PLAN_SECTIONS 4

struct yaml_reader;

extern const char *const fleet_plan_sections[FLEET_PLAN_SECTIONS];

/* Which of them a path is, or begins with before its first dot; -1: none. */
int fleet_plan_section(const char *path);
/* The value of one, which `event` begins; deletes the event. The event is libyaml's. */
void fleet_plan_read(struct yaml_reader *reader, const char *path, void *event);
/* Hooks that drills name are there. */
void fleet_plan_check(const struct fleet *fleet, struct fleet_messages *messages);

void fleet_plan_write(const struct fleet *fleet, FILE *out);
void fleet_plan_json(const struct fleet *fleet, json_t *root);
void fleet_plan_describe(FILE *out, bool roff);

/* fleet_write.c: a double-quoted YAML scalar; text that roff takes as it stands. */
void fleet_write_quoted(const char *text, FILE *out);
void fleet_write_roff(const char *text, bool roff, FILE *out);

#endif
