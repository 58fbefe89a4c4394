/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <stdio.h>
#include <string.h>

#include "guard.h"

#define NAMES_MAX 200 /* bytes of a list of names in a message */

/* --- Paths --- */

static bool take_number(const char *text, size_t length, uint32_t *out)
{
	char digits[12];
	if (length == 0 || length >= sizeof(digits) || (text[0] == '0' && length > 1))
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	return guard_number(digits, 0, UINT32_MAX, out);
}

bool ask_path(const char *pattern, const char *const *names, unsigned count, const char *path,
	struct asked *asked)
{
	const char *brace = strchr(pattern, '{');
	if (brace == NULL)
		return strcmp(pattern, path) == 0;
	const char *tail = strchr(brace, '}') + 1;
	const size_t before = (size_t)(brace - pattern), whole = strlen(path);
	const size_t behind = strlen(tail);
	if (whole < before + behind || strncmp(pattern, path, before) != 0 ||
		strcmp(path + whole - behind, tail) != 0)
		return false;
	const char *word = path + before;
	const size_t length = whole - before - behind;
	if (names == NULL)
		return take_number(word, length, &asked->number);
	for (unsigned i = 0; i < count; i++) {
		if (strlen(names[i]) != length || strncmp(names[i], word, length) != 0)
			continue;
		asked->which = i;
		return true;
	}
	return false;
}

/* --- Fields --- */

static void list_fields(const struct ask_field *fields, char out[NAMES_MAX])
{
	size_t used = 0;
	out[0] = '\0';
	for (const struct ask_field *f = fields; f->name != NULL && used < NAMES_MAX; f++)
		used += (size_t)snprintf(
			out + used, NAMES_MAX - used, "%s%s", f == fields ? "" : ", ", f->name);
}

static void list_words(const char *const *words, char out[NAMES_MAX])
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; words[i] != NULL && used < NAMES_MAX; i++)
		used += (size_t)snprintf(
			out + used, NAMES_MAX - used, "%s%s", i == 0 ? "" : ", ", words[i]);
}

/* Which of the fields has this name; -1. */
static int find_field(const struct ask_field *fields, const char *name)
{
	for (int i = 0; fields != NULL && fields[i].name != NULL; i++)
		if (strcmp(fields[i].name, name) == 0)
			return i;
	return -1;
}

/* Foreign text is repeated only where it cannot do harm in a log or on a terminal. */
static bool unknown(const struct ask_field *fields, const char *where, const char *name,
	struct problem *problem)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-.";
	char known[NAMES_MAX] = "nothing";
	const size_t length = strlen(name);
	const bool tellable = length > 0 && length <= 40 && strspn(name, plain) == length;
	if (fields != NULL && fields[0].name != NULL)
		list_fields(fields, known);
	return problem_set(problem, PROBLEM_BAD_REQUEST, "%s%s%s is unknown: this %s takes %s",
		tellable ? "'" : "", tellable ? name : "a name", tellable ? "'" : "", where, known);
}

static bool take_word(const struct ask_field *field, const char *text, size_t length,
	struct ask_value *value, struct problem *problem)
{
	char words[NAMES_MAX];
	for (uint32_t i = 0; field->words[i] != NULL; i++) {
		if (strlen(field->words[i]) != length || memcmp(field->words[i], text, length) != 0)
			continue;
		*value = (struct ask_value){.given = true, .number = i};
		return true;
	}
	list_words(field->words, words);
	return problem_set(problem, PROBLEM_BAD_REQUEST, "%s is one of: %s", field->name, words);
}

static bool no_number(const struct ask_field *field, struct problem *problem)
{
	return problem_set(problem, PROBLEM_BAD_REQUEST, "%s is a whole number from %u to %u",
		field->name, field->low, field->high);
}

static bool check_required(const struct ask_field *fields, const struct ask_value *values,
	const char *where, struct problem *problem)
{
	for (int i = 0; fields != NULL && fields[i].name != NULL; i++)
		if (fields[i].required && !values[i].given)
			return problem_set(problem, PROBLEM_BAD_REQUEST, "%s is missing in the %s",
				fields[i].name, where);
	return true;
}

/* --- Queries --- */

void ask_query_begin(const struct ask_field *fields, struct ask_value values[ASK_FIELDS_MAX])
{
	memset(values, 0, ASK_FIELDS_MAX * sizeof(values[0]));
	for (int i = 0; fields != NULL && fields[i].name != NULL; i++)
		values[i].number = fields[i].standard;
}

bool ask_query(const struct ask_field *fields, const char *name, const char *value,
	struct ask_value values[ASK_FIELDS_MAX], struct problem *problem)
{
	const int i = find_field(fields, name);
	if (i < 0)
		return unknown(fields, "query", name, problem);
	if (values[i].given)
		return problem_set(problem, PROBLEM_BAD_REQUEST, "%s is given twice", name);
	const struct ask_field *field = &fields[i];
	values[i].given = true;
	if (value == NULL)
		value = "";
	if (field->kind == ASK_WORD)
		return take_word(field, value, strlen(value), &values[i], problem);
	if (field->kind == ASK_NUMBER)
		return guard_number(value, field->low, field->high, &values[i].number) ||
		       no_number(field, problem);
	values[i].text = value;
	return strlen(value) <= field->high ||
	       problem_set(
		       problem, PROBLEM_BAD_REQUEST, "%s has at most %u bytes", name, field->high);
}

bool ask_query_end(const struct ask_field *fields, const struct ask_value values[ASK_FIELDS_MAX],
	struct problem *problem)
{
	return check_required(fields, values, "query", problem);
}

/* --- Bodies --- */

/* What is shown to people later is to steer no terminal. */
static bool take_text(const struct ask_field *field, const json_t *json, struct ask_value *value,
	struct problem *problem)
{
	const char *text = json_string_value(json);
	bool good = text != NULL && json_string_length(json) <= field->high;
	for (size_t i = 0; good && text[i] != '\0'; i++)
		good = (unsigned char)text[i] >= ' ' && text[i] != 127;
	*value = (struct ask_value){.given = good, .text = text};
	return good || problem_set(problem, PROBLEM_BAD_REQUEST,
			       "%s is a text of at most %u bytes without control characters",
			       field->name, field->high);
}

static bool take_json(const struct ask_field *field, const json_t *json, struct ask_value *value,
	struct problem *problem)
{
	if (field->kind == ASK_WORD)
		return take_word(field, json_is_string(json) ? json_string_value(json) : "",
			json_string_length(json), value, problem);
	if (field->kind == ASK_TEXT)
		return take_text(field, json, value, problem);
	value->given = true;
	if (field->kind == ASK_SWITCH) {
		value->number = json_is_true(json);
		return json_is_boolean(json) || problem_set(problem, PROBLEM_BAD_REQUEST,
							"%s is true or false", field->name);
	}
	const json_int_t number = json_integer_value(json);
	if (!json_is_integer(json) || number < (json_int_t)field->low ||
		number > (json_int_t)field->high)
		return no_number(field, problem);
	value->number = (uint32_t)number;
	return true;
}

static bool take_object(const struct ask_field *fields, json_t *object, struct ask_value *values,
	struct problem *problem)
{
	const char *name;
	json_t *json;
	json_object_foreach (object, name, json) {
		const int i = find_field(fields, name);
		if (i < 0)
			return unknown(fields, "body", name, problem);
		if (!take_json(&fields[i], json, &values[i], problem))
			return false;
	}
	return check_required(fields, values, "body", problem);
}

bool ask_body(const struct ask_field *fields, const char *text, size_t length,
	struct ask_value values[ASK_FIELDS_MAX], json_t **object, struct problem *problem)
{
	json_error_t error;
	memset(values, 0, ASK_FIELDS_MAX * sizeof(values[0]));
	*object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (*object == NULL)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
			"the body is no JSON object, or has a name twice: line %d, column %d",
			error.line, error.column);
	if (!json_is_object(*object))
		return problem_set(problem, PROBLEM_BAD_REQUEST, "the body is no JSON object");
	return take_object(fields, *object, values, problem);
}

/* --- The document --- */

json_t *ask_field_schema(const struct ask_field *field)
{
	json_t *words = json_array(), *schema;
	for (size_t i = 0; field->kind == ASK_WORD && field->words[i] != NULL; i++)
		json_array_append_new(words, json_string(field->words[i]));
	if (field->kind == ASK_WORD)
		schema = json_pack("{s:s, s:O}", "type", "string", "enum", words);
	else if (field->kind == ASK_SWITCH)
		schema = json_pack("{s:s}", "type", "boolean");
	else if (field->kind == ASK_TEXT)
		schema = json_pack(
			"{s:s, s:I}", "type", "string", "maxLength", (json_int_t)field->high);
	else
		schema = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
			(json_int_t)field->low, "maximum", (json_int_t)field->high);
	json_object_set_new(schema, "description", json_string(field->help));
	json_decref(words);
	return schema;
}

json_t *ask_body_schema(const struct ask_field *fields)
{
	json_t *properties = json_object(), *required = json_array();
	for (const struct ask_field *f = fields; f->name != NULL; f++) {
		json_object_set_new(properties, f->name, ask_field_schema(f));
		if (f->required)
			json_array_append_new(required, json_string(f->name));
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
		"required", required, "additionalProperties", 0);
}
