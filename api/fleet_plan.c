/* SPDX-License-Identifier: BSD-3-Clause */
/* drills, hooks, gates: events into struct fleet. What a hook runs goes to no shell, ever. */
#include "fleet_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fleet_herds.h"
#include "fleet_yaml.h"

#define HOOK_TIMEOUT_MIN_MS 100
#define HOOK_TIMEOUT_MAX_MS 600000
#define FIELDS_MAX (DRILL_FIELDS + 2) /* of one request: with do and wait */

const char *const fleet_plan_sections[FLEET_PLAN_SECTIONS] = {"drills", "hooks", "gates", "herds"};

int fleet_plan_section(const char *path)
{
	size_t length = strcspn(path, ".");
	for (int i = 0; i < FLEET_PLAN_SECTIONS; i++) {
		if (strncmp(path, fleet_plan_sections[i], length) == 0 &&
			fleet_plan_sections[i][length] == '\0')
			return i;
	}
	return -1;
}

/* True when the event opens what is wanted there, or is a scalar; a scalar is left to the caller, all
 * else is deleted. */
static bool expect(struct yaml_reader *reader, const char *path, yaml_event_t *event,
	yaml_event_type_t type, const char *wanted)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	if (event->type == type) {
		if (type != YAML_SCALAR_EVENT)
			yaml_event_delete(event);
		return true;
	}
	if (event->type != YAML_ALIAS_EVENT)
		fleet_error(reader->messages, &where, "%s: takes %s", path, wanted);
	fleet_yaml_skip(reader, event);
	return false;
}

/* A key and its value, which is the callee's to delete. */
typedef void take_pair(struct yaml_reader *reader, void *context, const char *name,
	const struct fleet_where *where, yaml_event_t *value);

static bool is_name(struct yaml_reader *reader, const char *path, const yaml_event_t *key)
{
	struct fleet_where where = fleet_yaml_where(reader, &key->start_mark);
	if (key->type == YAML_SCALAR_EVENT)
		return fleet_yaml_usable(reader, path, key);
	if (key->type != YAML_ALIAS_EVENT)
		fleet_error(reader->messages, &where, "a key must be a single word");
	return false;
}

/* The pairs of a mapping that is open, up to its end. */
static void read_pairs(struct yaml_reader *reader, const char *path, void *context, take_pair *take)
{
	yaml_event_t key, value;
	while (fleet_yaml_next(reader, &key)) {
		struct fleet_where where = fleet_yaml_where(reader, &key.start_mark);
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			return;
		}
		bool good = is_name(reader, path, &key);
		if (!good)
			fleet_yaml_skip(reader, &key);
		bool more = fleet_yaml_next(reader, &value);
		if (more && good)
			take(reader, context, (const char *)key.data.scalar.value, &where, &value);
		else if (more)
			fleet_yaml_skip(reader, &value);
		if (good)
			yaml_event_delete(&key);
	}
}

/* Names of drills and hooks stand in commands, file names, HTTP bodies and reports. */
static bool is_good_name(struct yaml_reader *reader, const char *section, const char *name,
	size_t max, const struct fleet_where *where)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	char quoted[FLEET_QUOTED_MAX];
	if (name[0] != '\0' && name[0] != '-' && name[strspn(name, allowed)] == '\0' &&
		strlen(name) < max)
		return true;
	fleet_error(reader->messages, where,
		"%s: %s cannot be a name: 1 to %zu letters, digits, '.', '_' and '-', not '-' "
		"first",
		section, fleet_quote(name, quoted), max - 1);
	return false;
}

/* gates */

static void take_gate(struct yaml_reader *reader, yaml_event_t *event)
{
	struct fleet *fleet = reader->fleet;
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	char reason[GATE_REASON_MAX];
	struct gate gate;
	if (!expect(reader, "gates", event, YAML_SCALAR_EVENT,
		    "a list of goals, each like \"outage_p99 <= 95s\""))
		return;
	if (fleet_yaml_usable(reader, "gates", event)) {
		if (gate_parse(&gate, (const char *)event->data.scalar.value, reason) != 0)
			fleet_error(reader->messages, &where, "gates: %s", reason);
		else if (fleet->gates == GATES_MAX)
			fleet_error(reader->messages, &where, "gates: there may be %d at most",
				GATES_MAX);
		else
			fleet->gate[fleet->gates++] = gate;
	}
	yaml_event_delete(event);
}

static void read_gates(struct yaml_reader *reader, yaml_event_t *event)
{
	if (event->type != YAML_SEQUENCE_START_EVENT) {
		take_gate(reader, event);
		return;
	}
	yaml_event_delete(event);
	while (fleet_yaml_next(reader, event)) {
		if (event->type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(event);
			return;
		}
		take_gate(reader, event);
	}
}

/* hooks */

struct hook_reading {
	struct hook *hook;
	char path[HOOK_NAME_MAX + 16]; /* hooks.NAME.run */
	unsigned seen;                 /* bit per key */
};

static const char *refuse_program(const char *path)
{
	struct stat status;
	if (path[0] != '/')
		return "is no absolute path of a program, begin it with /";
	if (stat(path, &status) != 0)
		return "is not there: the first word is the program to run";
	if (!S_ISREG(status.st_mode) || access(path, X_OK) != 0)
		return "cannot be executed: the first word is the program to run";
	return NULL;
}

static void take_word(struct yaml_reader *reader, const char *path, struct hook_command *command,
	size_t *used, yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	const char *word = (const char *)event->data.scalar.value, *why = NULL;
	size_t length = event->data.scalar.length;
	char quoted[FLEET_QUOTED_MAX];
	if (!fleet_yaml_usable(reader, path, event))
		return;
	if (command->words == HOOK_WORDS_MAX || *used + length + 1 > HOOK_BYTES_MAX)
		fleet_error(reader->messages, &where,
			"%s: is longer than %d words or %d bytes, take a script", path,
			HOOK_WORDS_MAX, HOOK_BYTES_MAX);
	else if (!fleet_text_ok(word, length))
		fleet_error(reader->messages, &where,
			"%s: holds control characters or is not UTF-8", path);
	else if (command->words == 0 && (why = refuse_program(word)) != NULL)
		fleet_error(reader->messages, &where, "%s: %s %s", path, fleet_quote(word, quoted),
			why);
	/* It counts even so: the next word is not the first one. */
	if (command->words < HOOK_WORDS_MAX && *used + length + 1 <= HOOK_BYTES_MAX) {
		memcpy(command->bytes + *used, word, length + 1);
		*used += length + 1;
		command->words++;
	}
}

static void read_command(struct yaml_reader *reader, const char *path, struct hook_command *command,
	yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	size_t used = 0;
	if (!expect(reader, path, event, YAML_SEQUENCE_START_EVENT,
		    "a list of words, [/usr/bin/systemctl, stop, kamailio], as no shell reads it"))
		return;
	while (fleet_yaml_next(reader, event)) {
		if (event->type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(event);
			break;
		}
		if (!expect(reader, path, event, YAML_SCALAR_EVENT, "a list of single words"))
			continue;
		take_word(reader, path, command, &used, event);
		yaml_event_delete(event);
	}
	if (command->words == 0)
		fleet_error(reader->messages, &where, "%s: has no words", path);
}

static void read_timeout(
	struct yaml_reader *reader, const char *path, struct hook *hook, yaml_event_t *event)
{
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	char why[UNITS_REASON_MAX], quoted[FLEET_QUOTED_MAX];
	uint64_t ms = 0;
	if (!expect(reader, path, event, YAML_SCALAR_EVENT, "one value"))
		return;
	if (fleet_yaml_usable(reader, path, event)) {
		const char *text = fleet_quote((const char *)event->data.scalar.value, quoted);
		if (units_duration((const char *)event->data.scalar.value, 1, 0, &ms, why) != 0)
			fleet_error(reader->messages, &where, "%s: %s %s", path, text, why);
		else if (ms < HOOK_TIMEOUT_MIN_MS || ms > HOOK_TIMEOUT_MAX_MS)
			fleet_error(reader->messages, &where,
				"%s: %s is out of range, it may be 100ms to 10m", path, text);
		hook->timeout_ms = (uint32_t)ms;
	}
	yaml_event_delete(event);
}

static void take_hook_key(struct yaml_reader *reader, void *context, const char *name,
	const struct fleet_where *where, yaml_event_t *value)
{
	static const char *const keys[] = {"run", "undo", "timeout"};
	struct hook_reading *reading = context;
	char path[sizeof(reading->path) + 16], quoted[FLEET_QUOTED_MAX];
	unsigned key = 0;
	while (key < 3 && strcmp(name, keys[key]) != 0)
		key++;
	bool again = key < 3 && (reading->seen & 1u << key) != 0;
	if (key == 3 || again) {
		fleet_error(reader->messages, where,
			"%s: %s key %s; a hook has run, undo and timeout", reading->path,
			again ? "duplicate" : "unknown", fleet_quote(name, quoted));
		fleet_yaml_skip(reader, value);
		return;
	}
	reading->seen |= 1u << key;
	snprintf(path, sizeof(path), "%s.%s", reading->path, keys[key]);
	if (key == 2)
		read_timeout(reader, path, reading->hook, value);
	else
		read_command(
			reader, path, key == 0 ? &reading->hook->run : &reading->hook->undo, value);
}

static const struct hook *find_hook(const struct fleet *fleet, const char *name)
{
	for (uint32_t i = 0; i < fleet->hooks; i++) {
		if (strcmp(fleet->hook[i].name, name) == 0)
			return &fleet->hook[i];
	}
	return NULL;
}

static void take_hook(struct yaml_reader *reader, void *context, const char *name,
	const struct fleet_where *where, yaml_event_t *value)
{
	struct fleet *fleet = context;
	struct hook_reading reading = {.seen = 0};
	bool good = is_good_name(reader, "hooks", name, HOOK_NAME_MAX, where);
	if (good && find_hook(fleet, name) != NULL)
		fleet_error(reader->messages, where, "hooks: '%s' is there twice", name);
	else if (good && fleet->hooks == HOOKS_MAX)
		fleet_error(reader->messages, where, "hooks: there may be %d at most", HOOKS_MAX);
	else if (good)
		reading.hook = &fleet->hook[fleet->hooks];
	if (reading.hook == NULL) {
		fleet_yaml_skip(reader, value);
		return;
	}
	*reading.hook = (struct hook){.timeout_ms = HOOK_TIMEOUT_MS};
	snprintf(reading.hook->name, sizeof(reading.hook->name), "%s", name);
	snprintf(reading.path, sizeof(reading.path), "hooks.%s", name);
	fleet->hooks++;
	if (!expect(reader, reading.path, value, YAML_MAPPING_START_EVENT,
		    "{ run: [PROGRAM, ...], undo: [PROGRAM, ...], timeout: 30s }"))
		return;
	read_pairs(reader, reading.path, &reading, take_hook_key);
	for (unsigned key = 0; key < 2 && !reader->stopped; key++) {
		if ((reading.seen & 1u << key) == 0)
			fleet_error(reader->messages, where,
				"%s: has no %s; what a hook does must be undone when a drill ends "
				"or "
				"is aborted",
				reading.path, key == 0 ? "run" : "undo");
	}
}

/* drills */

struct field {
	char name[32];
	char value[256];
	struct fleet_where where;
};

struct request_reading {
	char path[DRILL_NAME_MAX + 16]; /* drills.NAME */
	struct field field[FIELDS_MAX];
	size_t fields;
};

/* Collected first, since `do` says what the others mean. */
static void take_field(struct yaml_reader *reader, void *context, const char *name,
	const struct fleet_where *where, yaml_event_t *value)
{
	struct request_reading *reading = context;
	char path[sizeof(reading->path) + 40], quoted[FLEET_QUOTED_MAX];
	struct fleet_where at = fleet_yaml_where(reader, &value->start_mark);
	snprintf(path, sizeof(path), "%s: %s", reading->path, fleet_quote(name, quoted));
	if (!expect(reader, path, value, YAML_SCALAR_EVENT, "one value"))
		return;
	struct field *field = &reading->field[reading->fields];
	size_t i = 0;
	while (i < reading->fields && strcmp(reading->field[i].name, name) != 0)
		i++;
	if (i < reading->fields) {
		fleet_error(reader->messages, where, "%s: is there twice", path);
	} else if (reading->fields == FIELDS_MAX || strlen(name) >= sizeof(field->name)) {
		fleet_error(reader->messages, where, "%s: is no field of a drill", path);
	} else if (fleet_yaml_usable(reader, path, value)) {
		if (value->data.scalar.length >= sizeof(field->value)) {
			fleet_error(reader->messages, &at, "%s: is too long", path);
		} else {
			snprintf(field->name, sizeof(field->name), "%s", name);
			memcpy(field->value, value->data.scalar.value,
				value->data.scalar.length + 1);
			field->where = at;
			reading->fields++;
		}
	}
	yaml_event_delete(value);
}

static bool set_field(struct yaml_reader *reader, const struct request_reading *reading,
	const struct field *field, struct drill_request *request)
{
	char reason[DRILL_REASON_MAX];
	uint32_t before = request->given;
	if (drill_request_set(request, field->name, field->value, reason) != 0) {
		fleet_error(reader->messages, &field->where, "%s: %s", reading->path, reason);
		return false;
	}
	const struct drill_description *drill = &drill_catalogue[request->kind];
	if ((request->given & ~before & ~drill->fields) == 0)
		return true;
	fleet_error(reader->messages, &field->where, "%s: %s takes no %s", reading->path,
		drill->name, field->name);
	return false;
}

/* A pause, or a drill; false when neither. */
static bool set_fields(struct yaml_reader *reader, const struct request_reading *reading,
	const struct fleet_where *where, struct drill_request *request, bool *pause)
{
	size_t first = 0;
	bool good = true;
	while (first < reading->fields && strcmp(reading->field[first].name, "do") != 0)
		first++;
	*pause = reading->fields == 1 && strcmp(reading->field[0].name, "wait") == 0;
	if (first == reading->fields && !*pause) {
		fleet_error(reader->messages, where,
			"%s: takes { do: DRILL, ... } or { wait: TIME } here", reading->path);
		return false;
	}
	if (!*pause && !set_field(reader, reading, &reading->field[first], request))
		return false;
	for (size_t i = 0; i < reading->fields; i++) {
		const struct field *field = &reading->field[i];
		bool misplaced = !*pause && strcmp(field->name, "wait") == 0;
		if (misplaced)
			fleet_error(reader->messages, &field->where,
				"%s: wait stands alone, as { wait: TIME } before the drill",
				reading->path);
		if (i != first && (misplaced || !set_field(reader, reading, field, request)))
			good = false;
	}
	return good;
}

struct plan_reading {
	struct fleet_drill *drill;
	struct request_reading item;
	uint64_t wait_ms;
	struct fleet_where wait; /* line 0: there was no pause before */
};

static void add_request(struct yaml_reader *reader, struct plan_reading *plan,
	const struct fleet_where *where, const struct drill_request *request, bool pause)
{
	struct fleet_drill *drill = plan->drill;
	if (pause && plan->wait.line != 0) {
		fleet_error(reader->messages, where, "%s: a wait follows a wait, add them up",
			plan->item.path);
		return;
	}
	if (pause) {
		plan->wait_ms = request->wait_ms;
		plan->wait = *where;
		return;
	}
	if (drill->requests == DRILL_REQUESTS_MAX) {
		fleet_error(reader->messages, where, "%s: has more than %d drills", plan->item.path,
			DRILL_REQUESTS_MAX);
		return;
	}
	drill->place[drill->requests] = (struct fleet_place){
		where->line, where->column, FLEET_FROM_FILE};
	drill->request[drill->requests] = *request;
	drill->request[drill->requests++].wait_ms = plan->wait_ms;
	plan->wait_ms = 0;
	plan->wait.line = 0;
}

static void read_plan(struct yaml_reader *reader, struct plan_reading *plan)
{
	yaml_event_t event;
	while (fleet_yaml_next(reader, &event)) {
		struct fleet_where where = fleet_yaml_where(reader, &event.start_mark);
		struct drill_request request = {0};
		bool pause;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return;
		}
		if (!expect(reader, plan->item.path, &event, YAML_MAPPING_START_EVENT,
			    "a list of { do: DRILL, ... } and { wait: TIME }"))
			continue;
		plan->item.fields = 0;
		unsigned errors = reader->messages->errors;
		read_pairs(reader, plan->item.path, &plan->item, take_field);
		if (reader->stopped || reader->messages->errors != errors)
			continue;
		if (set_fields(reader, &plan->item, &where, &request, &pause))
			add_request(reader, plan, &where, &request, pause);
	}
}

static bool is_free_name(
	struct yaml_reader *reader, const char *name, const struct fleet_where *where)
{
	const struct fleet *fleet = reader->fleet;
	for (int kind = 0; kind < DRILL_KINDS; kind++) {
		if (strcmp(name, drill_catalogue[kind].name) != 0)
			continue;
		fleet_error(reader->messages, where,
			"drills: '%s' is a drill that sipherd knows, take another name", name);
		return false;
	}
	for (uint32_t i = 0; i < fleet->drills; i++) {
		if (strcmp(fleet->drill[i].name, name) != 0)
			continue;
		fleet_error(reader->messages, where, "drills: '%s' is there twice", name);
		return false;
	}
	return true;
}

static struct fleet_drill *new_drill(
	struct yaml_reader *reader, const char *name, const struct fleet_where *where)
{
	struct fleet *fleet = reader->fleet;
	if (!is_good_name(reader, "drills", name, DRILL_NAME_MAX, where) ||
		!is_free_name(reader, name, where))
		return NULL;
	if (fleet->drills == FLEET_DRILLS_MAX) {
		fleet_error(reader->messages, where, "drills: there may be %d at most",
			FLEET_DRILLS_MAX);
		return NULL;
	}
	struct fleet_drill *more = reallocarray(
		fleet->drill, fleet->drills + 1, sizeof(*fleet->drill));
	if (more == NULL) {
		fleet_error(reader->messages, where, "out of memory");
		return NULL;
	}
	fleet->drill = more;
	struct fleet_drill *drill = &fleet->drill[fleet->drills++];
	memset(drill, 0, sizeof(*drill));
	snprintf(drill->name, sizeof(drill->name), "%s", name);
	return drill;
}

static void take_drill(struct yaml_reader *reader, void *context, const char *name,
	const struct fleet_where *where, yaml_event_t *value)
{
	struct plan_reading plan = {.drill = new_drill(reader, name, where)};
	(void)context;
	if (plan.drill == NULL) {
		fleet_yaml_skip(reader, value);
		return;
	}
	snprintf(plan.item.path, sizeof(plan.item.path), "drills.%s", name);
	if (!expect(reader, plan.item.path, value, YAML_SEQUENCE_START_EVENT,
		    "a list of { do: DRILL, ... } and { wait: TIME }"))
		return;
	unsigned errors = reader->messages->errors;
	read_plan(reader, &plan);
	if (reader->stopped || reader->messages->errors != errors)
		return;
	if (plan.drill->requests == 0)
		fleet_error(reader->messages, where, "%s: has no drills in it", plan.item.path);
	else if (plan.wait.line != 0)
		fleet_error(reader->messages, &plan.wait, "%s: nothing follows this wait",
			plan.item.path);
}

void fleet_plan_read(struct yaml_reader *reader, const char *path, void *context)
{
	yaml_event_t *event = context;
	int section = fleet_plan_section(path);
	if (event->type == YAML_SCALAR_EVENT && fleet_yaml_null(event)) {
		yaml_event_delete(event);
		return;
	}
	if (section == 2) {
		read_gates(reader, event);
		return;
	}
	if (section == 3) {
		fleet_herds_read(reader, event);
		return;
	}
	if (expect(reader, path, event, YAML_MAPPING_START_EVENT,
		    section == 0 ? "NAME: [ { do: DRILL, ... } ], each on its own line"
				 : "NAME: { run: [...], undo: [...] }, each on its own line"))
		read_pairs(reader, path, reader->fleet, section == 0 ? take_drill : take_hook);
}

void fleet_plan_check(const struct fleet *fleet, struct fleet_messages *messages)
{
	char quoted[FLEET_QUOTED_MAX];
	for (uint32_t i = 0; i < fleet->drills; i++) {
		const struct fleet_drill *drill = &fleet->drill[i];
		for (uint32_t r = 0; r < drill->requests; r++) {
			const char *name = drill->request[r].hook;
			if (name[0] == '\0' || find_hook(fleet, name) != NULL)
				continue;
			fleet_error(messages,
				&(struct fleet_where){
					fleet->path, drill->place[r].line, drill->place[r].column},
				"drills.%s: hook: there is no %s under hooks", drill->name,
				fleet_quote(name, quoted));
		}
	}
}
