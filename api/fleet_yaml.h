/* SPDX-License-Identifier: BSD-3-Clause */
/* libyaml's events, as the readers of the fleet file's sections take them. Only for fleet_*.c. */
#ifndef SIPHERD_FLEET_YAML_H
#define SIPHERD_FLEET_YAML_H

#include <yaml.h>

#include "fleet_plan.h"

struct yaml_reader {
	yaml_parser_t parser;
	struct fleet *fleet;
	struct fleet_messages *messages;
	const char *path, *text;
	size_t length;
	bool stopped; /* nothing more can be read */
	bool in_herd; /* an entry of `herds:` is being read, `fleet` is where it goes */
	/* Line of each key; behind them, by first key, section; behind them those of fleet_plan.c. */
	uint32_t seen[2 * FLEET_KEYS_MAX + FLEET_PLAN_SECTIONS];
};

struct fleet_where fleet_yaml_where(const struct yaml_reader *reader, const yaml_mark_t *mark);
/* False when nothing more can be read. Else the caller deletes the event. */
bool fleet_yaml_next(struct yaml_reader *reader, yaml_event_t *event);
/* Read on until the collection that this event opens is closed. Deletes the event. */
void fleet_yaml_skip(struct yaml_reader *reader, yaml_event_t *event);
/* True for a plain scalar that YAML takes for nothing. */
bool fleet_yaml_null(const yaml_event_t *event);
/* The keys of a mapping that is open, up to its end, as at the top of the file. */
void fleet_yaml_keys(struct yaml_reader *reader);
/* Text that can be a value; reports why not. */
bool fleet_yaml_usable(struct yaml_reader *reader, const char *path, const yaml_event_t *event);

#endif
