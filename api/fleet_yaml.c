/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet file: libyaml's events into the table. One document, one mapping, sections as the table
 * has them, and those of fleet_plan.c; anchors, aliases and tags are refused, since what they stand for cannot be read off the
 * line that an error names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_plan.h"
#include "fleet_yaml.h"

#define DEPTH_MAX 32
#define PATH_MAX_TEXT 128 /* of a dotted key; longer ones are unknown anyway */

struct fleet_where fleet_yaml_where(const struct yaml_reader *reader, const yaml_mark_t *mark)
{
	return (struct fleet_where){
		reader->path, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

static void report_broken(struct yaml_reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	yaml_mark_t mark = parser->problem_mark;
	if (parser->error == YAML_READER_ERROR) {
		/* The reader works ahead of the marks and knows only an offset. */
		mark = (yaml_mark_t){0};
		for (size_t i = 0; i < parser->problem_offset && i < reader->length; i++) {
			mark.column++;
			if (reader->text[i] == '\n')
				mark.line++, mark.column = 0;
		}
	}
	struct fleet_where where = fleet_yaml_where(reader, &mark);
	if (parser->error == YAML_MEMORY_ERROR)
		fleet_error(reader->messages, &where, "out of memory");
	else
		fleet_error(reader->messages, &where, "this is not YAML: %s%s%s",
			parser->problem != NULL ? parser->problem : "cannot be read",
			parser->context != NULL ? " " : "",
			parser->context != NULL ? parser->context : "");
	reader->stopped = true;
}

static void refuse_marks(struct yaml_reader *reader, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
	else if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
		fleet_error(reader->messages, &where,
			"anchors and aliases are not supported, write the value out");
	if (tag != NULL)
		fleet_error(reader->messages, &where,
			"tags are not supported, write the value without one");
}

bool fleet_yaml_next(struct yaml_reader *reader, yaml_event_t *event)
{
	if (reader->stopped)
		return false;
	if (!yaml_parser_parse(&reader->parser, event)) {
		report_broken(reader);
		return false;
	}
	refuse_marks(reader, event);
	return true;
}

void fleet_yaml_skip(struct yaml_reader *reader, yaml_event_t *event)
{
	int depth = 0;
	for (;;) {
		yaml_event_type_t type = event->type;
		struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
		yaml_event_delete(event);
		if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
			depth++;
		if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
			depth--;
		if (depth == 0)
			return;
		if (depth > DEPTH_MAX) {
			fleet_error(reader->messages, &where, "is nested too deeply");
			reader->stopped = true;
		}
		if (!fleet_yaml_next(reader, event))
			return;
	}
}

static bool is_list_kind(const struct fleet_key *key)
{
	return key->kind == KIND_CODES || key->kind == KIND_SOURCE || key->kind == KIND_GATEWAY;
}

bool fleet_yaml_null(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

bool fleet_yaml_usable(struct yaml_reader *reader, const char *path, const yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	size_t length = event->data.scalar.length;
	if (fleet_yaml_null(event)) {
		fleet_error(reader->messages, &where,
			"%s: has no value, write one or take the line out", path);
		return false;
	}
	if (strlen((const char *)event->data.scalar.value) != length) {
		fleet_error(reader->messages, &where, "%s: holds a NUL", path);
		return false;
	}
	if (length >= FLEET_VALUE_MAX) {
		fleet_error(reader->messages, &where, "%s: is longer than %d bytes", path,
			FLEET_VALUE_MAX - 1);
		return false;
	}
	return true;
}

static void set_items(struct yaml_reader *reader, const struct fleet_key *key, const char *path,
	const struct fleet_item *items, size_t count)
{
	fleet_key_set(&(struct fleet_setting){.fleet = reader->fleet,
		.messages = reader->messages,
		.path = reader->path,
		.name = path,
		.key = key,
		.item = items,
		.count = count,
		.origin = FLEET_FROM_FILE});
}

static void read_scalar(struct yaml_reader *reader, const struct fleet_key *key, const char *path,
	const yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	if (key == NULL) {
		if (!fleet_yaml_null(event))
			fleet_error(reader->messages, &where,
				"%s: is a section, keys go below it, each on its own line", path);
		return;
	}
	if (!fleet_yaml_usable(reader, path, event))
		return;
	struct fleet_item item = {(const char *)event->data.scalar.value, where.line, where.column};
	set_items(reader, key, path, &item, 1);
}

static void read_sequence(struct yaml_reader *reader, const struct fleet_key *key, const char *path)
{
	yaml_event_t event[FLEET_ITEMS_MAX + 1];
	struct fleet_item items[FLEET_ITEMS_MAX];
	size_t count = 0;
	bool good = true;
	while (fleet_yaml_next(reader, &event[count])) {
		yaml_event_t *item = &event[count];
		struct fleet_where where = fleet_yaml_where(reader, &item->start_mark);
		if (item->type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(item);
			break;
		}
		if (item->type != YAML_SCALAR_EVENT) {
			if (item->type != YAML_ALIAS_EVENT)
				fleet_error(reader->messages, &where,
					"%s: must be a list of single values", path);
			good = false;
			fleet_yaml_skip(reader, item);
			continue;
		}
		if (count == FLEET_ITEMS_MAX || !fleet_yaml_usable(reader, path, item)) {
			if (count == FLEET_ITEMS_MAX && good)
				fleet_error(
					reader->messages, &where, "%s: is too long a list", path);
			good = false;
			yaml_event_delete(item);
			continue;
		}
		items[count++] = (struct fleet_item){
			(const char *)item->data.scalar.value, where.line, where.column};
	}
	if (good && !reader->stopped)
		set_items(reader, key, path, items, count);
	while (count > 0)
		yaml_event_delete(&event[--count]);
}

/* Where `seen` keeps the line of a key or section. */
static size_t seen_index(const struct fleet_key *key, const char *path)
{
	if (key != NULL)
		return (size_t)(key - fleet_keys);
	if (fleet_plan_section(path) >= 0)
		return 2 * FLEET_KEYS_MAX + (size_t)fleet_plan_section(path);
	size_t length = strlen(path), i = 0;
	while (strncmp(fleet_keys[i].path, path, length) != 0 || fleet_keys[i].path[length] != '.')
		i++;
	return FLEET_KEYS_MAX + i;
}

static bool is_repeated(struct yaml_reader *reader, const struct fleet_key *key, const char *path,
	const struct fleet_where *where)
{
	uint32_t *seen = &reader->seen[seen_index(key, path)];
	if (*seen == 0) {
		*seen = where->line;
		return false;
	}
	fleet_error(reader->messages, where, "duplicate key '%s', first written in line %u", path,
		*seen);
	return true;
}

static void read_mapping(struct yaml_reader *reader, const char *section);

static void read_value(struct yaml_reader *reader, const char *path, yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	/* What the fleet's name is to the fleet, its name is to a herd. */
	const bool name = reader->in_herd && strcmp(path, "name") == 0;
	const struct fleet_key *key = fleet_key_find(name ? "fleet" : path);
	if (fleet_plan_section(path) >= 0) {
		fleet_plan_read(reader, path, event);
		return;
	}
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		read_scalar(reader, key, path, event);
		yaml_event_delete(event);
		return;
	case YAML_MAPPING_START_EVENT:
		if (!fleet_is_section(path))
			break;
		yaml_event_delete(event);
		read_mapping(reader, path);
		return;
	case YAML_SEQUENCE_START_EVENT:
		if (key == NULL || !is_list_kind(key))
			break;
		yaml_event_delete(event);
		read_sequence(reader, key, path);
		return;
	default:
		yaml_event_delete(event);
		return;
	}
	const char *kind = event->type == YAML_MAPPING_START_EVENT ? "section" : "list";
	if (key == NULL)
		fleet_error(reader->messages, &where, "%s: is a section, not a list", path);
	else
		fleet_error(reader->messages, &where, "%s: takes %s, not a %s", path,
			is_list_kind(key) ? "a value or a list of them" : "one value", kind);
	fleet_yaml_skip(reader, event);
}

/* What a herd may not have of its own; false when there is a message about it. */
static bool is_for_herd(
	struct yaml_reader *reader, const char *path, const struct fleet_where *where)
{
	const struct fleet_key *key = fleet_key_find(path);
	const bool whole = key != NULL
				   ? (key->flags & FLEET_WHOLE) != 0
				   : fleet_plan_section(path) >= 0 || strcmp(path, "lease") == 0;
	if (!reader->in_herd || !whole)
		return true;
	fleet_error(reader->messages, where,
		"herds: '%s' is of the fleet as a whole, write it at the top of the file", path);
	return false;
}

/* The dotted path of a key; false when it was refused with a message. */
static bool read_key(struct yaml_reader *reader, const char *section, const yaml_event_t *event,
	char path[PATH_MAX_TEXT])
{
	char quoted[FLEET_QUOTED_MAX], hint[1024];
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	if (event->type != YAML_SCALAR_EVENT) {
		if (event->type != YAML_ALIAS_EVENT)
			fleet_error(reader->messages, &where, "a key must be a single word");
		return false;
	}
	const char *name = (const char *)event->data.scalar.value;
	int length = snprintf(
		path, PATH_MAX_TEXT, "%s%s%s", section, section[0] != '\0' ? "." : "", name);
	if (reader->in_herd && strcmp(path, "name") == 0)
		return !is_repeated(reader, fleet_key_find("fleet"), path, &where);
	bool known = length < PATH_MAX_TEXT && strlen(name) == event->data.scalar.length &&
		     (fleet_key_find(path) != NULL || fleet_is_section(path) ||
			     fleet_plan_section(path) >= 0);
	if (!known) {
		fleet_suggest(path, hint, sizeof(hint));
		fleet_error(reader->messages, &where, "unknown key %s%s", fleet_quote(path, quoted),
			hint);
		return false;
	}
	return is_for_herd(reader, path, &where) &&
	       !is_repeated(reader, fleet_key_find(path), path, &where);
}

/* The pairs of a mapping, up to its end. Nests no deeper than the table's sections do. */
static void read_mapping(struct yaml_reader *reader, const char *section)
{
	yaml_event_t event;
	char path[PATH_MAX_TEXT];
	while (fleet_yaml_next(reader, &event)) {
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return;
		}
		bool known = read_key(reader, section, &event, path);
		fleet_yaml_skip(reader, &event);
		if (!fleet_yaml_next(reader, &event))
			return;
		if (known)
			read_value(reader, path, &event);
		else
			fleet_yaml_skip(reader, &event);
	}
}

void fleet_yaml_keys(struct yaml_reader *reader)
{
	read_mapping(reader, "");
}

static void read_root(struct yaml_reader *reader, yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	if (event->type == YAML_MAPPING_START_EVENT) {
		yaml_event_delete(event);
		read_mapping(reader, "");
		return;
	}
	if (event->type != YAML_ALIAS_EVENT)
		fleet_error(reader->messages, &where,
			"a fleet file is a list of 'key: value' lines, this is something else");
	fleet_yaml_skip(reader, event);
}

static void read_stream(struct yaml_reader *reader)
{
	yaml_event_t event;
	unsigned documents = 0;
	while (fleet_yaml_next(reader, &event)) {
		struct fleet_where where = fleet_yaml_where(reader, &event.start_mark);
		yaml_event_type_t type = event.type;
		if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
			yaml_event_delete(&event);
			continue;
		}
		if (type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_START_EVENT) {
			read_root(reader, &event);
			continue;
		}
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT) {
			if (documents == 0)
				fleet_error(reader->messages,
					&(struct fleet_where){reader->path, 0, 0},
					"the file has no keys, a fleet needs proxies, source and "
					"user at least");
			return;
		}
		if (++documents == 2) {
			fleet_error(reader->messages, &where,
				"a second document begins here, a fleet file is only one");
			return;
		}
	}
}

int fleet_parse(struct fleet *fleet, const char *path, const char *text, size_t length,
	const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	struct yaml_reader reader = {.fleet = fleet,
		.messages = &messages,
		.path = path,
		.text = text,
		.length = length};
	fleet_defaults(fleet);
	snprintf(fleet->path, sizeof(fleet->path), "%s", path);
	if (!yaml_parser_initialize(&reader.parser)) {
		fleet_error(&messages, &(struct fleet_where){path, 0, 0}, "out of memory");
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	read_stream(&reader);
	yaml_parser_delete(&reader.parser);
	fleet_plan_check(fleet, &messages);
	if (messages.errors == 0)
		fleet_finish_into(fleet, &messages);
	return fleet_messages_end(&messages);
}

int fleet_read(struct fleet *fleet, const char *path, const struct fleet_report *report)
{
	char *text;
	size_t length;
	int error = fleet_load(path, &text, &length);
	if (error != 0) {
		struct fleet_messages messages = {.report = report};
		fleet_defaults(fleet);
		fleet_error(&messages, &(struct fleet_where){path, 0, 0}, "cannot be read: %s",
			strerror(-error));
		return error;
	}
	error = fleet_parse(fleet, path, text, length, report);
	free(text);
	return error;
}

static int set_one(struct fleet *fleet, const struct fleet_key *key, const char *value,
	const char *where, uint8_t origin, struct fleet_messages *messages)
{
	struct fleet_item item = {.text = value};
	fleet_key_set(&(struct fleet_setting){.fleet = fleet,
		.messages = messages,
		.path = where,
		.name = key->path,
		.key = key,
		.item = &item,
		.count = 1,
		.origin = origin});
	return fleet_messages_end(messages);
}

int fleet_set_option(struct fleet *fleet, const char *key, const char *value, const char *option,
	bool from_environment, const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	return set_one(fleet, fleet_key_find(key), value, option,
		from_environment ? FLEET_FROM_ENVIRONMENT : FLEET_FROM_COMMAND, &messages);
}

int fleet_set(struct fleet *fleet, const char *assignment, const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	struct fleet_where where = {"--set", 0, 0};
	char quoted[FLEET_QUOTED_MAX], hint[1024], path[PATH_MAX_TEXT];
	const char *equals = strchr(assignment, '=');
	if (equals == NULL) {
		fleet_error(&messages, &where, "%s is no assignment, write key=value",
			fleet_quote(assignment, quoted));
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "%.*s", (int)(equals - assignment), assignment);
	const struct fleet_key *key = fleet_key_find(path);
	if (key == NULL && fleet_is_section(path)) {
		fleet_error(&messages, &where, "'%s' is a section, name a key in it, %s.KEY=VALUE",
			path, path);
		return -EINVAL;
	}
	if (key == NULL && fleet_plan_section(path) >= 0) {
		fleet_error(&messages, &where, "'%s' stands in the fleet file only", path);
		return -EINVAL;
	}
	if (key == NULL) {
		fleet_suggest(path, hint, sizeof(hint));
		fleet_error(&messages, &where, "unknown key %s%s", fleet_quote(path, quoted), hint);
		return -EINVAL;
	}
	return set_one(fleet, key, equals + 1, where.path, FLEET_FROM_COMMAND, &messages);
}
