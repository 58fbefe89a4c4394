/* SPDX-License-Identifier: BSD-3-Clause */
#include "shape.h"

#include <assert.h>

static json_t *new_object(const struct shape *shape)
{
	return shape->schema ? json_pack("{s:s, s:{}, s:[], s:b}", "type", "object", "properties",
				       "required", "additionalProperties", 0)
			     : json_object();
}

void shape_open(struct shape *shape, bool schema)
{
	*shape = (struct shape){.schema = schema};
	shape->at[0] = new_object(shape);
}

json_t *shape_close(struct shape *shape)
{
	return shape->at[0];
}

/* Every field there is, is there always: an absent value is null. */
static void add(struct shape *shape, const char *name, const char *help, json_t *what)
{
	json_t *object = shape->at[shape->depth];
	if (!shape->schema) {
		json_object_set_new(object, name, what);
		return;
	}
	json_object_set_new(what, "description", json_string(help));
	json_object_set_new(json_object_get(object, "properties"), name, what);
	json_array_append_new(json_object_get(object, "required"), json_string(name));
}

static json_t *type_of(const char *type, bool maybe)
{
	return maybe ? json_pack("{s:[s, s]}", "type", type, "null")
		     : json_pack("{s:s}", "type", type);
}

/* Text that is not UTF-8 cannot be told in JSON. */
static json_t *text(const char *value)
{
	json_t *made = value == NULL ? json_null() : json_string(value);
	return made != NULL ? made : json_string("");
}

void shape_text(struct shape *shape, const char *name, const char *help, const char *value)
{
	add(shape, name, help, shape->schema ? type_of("string", false) : text(value));
}

void shape_maybe_text(struct shape *shape, const char *name, const char *help, const char *value)
{
	add(shape, name, help, shape->schema ? type_of("string", true) : text(value));
}

void shape_count(struct shape *shape, const char *name, const char *help, uint64_t value)
{
	json_t *what = shape->schema ? json_pack("{s:s, s:i}", "type", "integer", "minimum", 0)
				     : json_integer((json_int_t)value);
	add(shape, name, help, what);
}

void shape_number(struct shape *shape, const char *name, const char *help, double value)
{
	add(shape, name, help, shape->schema ? type_of("number", false) : json_real(value));
}

void shape_maybe_number(
	struct shape *shape, const char *name, const char *help, bool has, double value)
{
	json_t *what = shape->schema ? type_of("number", true)
		       : has         ? json_real(value)
				     : json_null();
	add(shape, name, help, what);
}

void shape_maybe_integer(
	struct shape *shape, const char *name, const char *help, bool has, int64_t value)
{
	json_t *what = shape->schema ? type_of("integer", true)
		       : has         ? json_integer(value)
				     : json_null();
	add(shape, name, help, what);
}

void shape_switch(struct shape *shape, const char *name, const char *help, bool value)
{
	add(shape, name, help, shape->schema ? type_of("boolean", false) : json_boolean(value));
}

void shape_begin(struct shape *shape, const char *name, const char *help)
{
	json_t *object = new_object(shape);
	assert(shape->depth + 1 < SHAPE_DEPTH);
	add(shape, name, help, object);
	shape->at[++shape->depth] = object;
}

bool shape_maybe_begin(struct shape *shape, const char *name, const char *help, bool has)
{
	if (!shape->schema && !has) {
		add(shape, name, help, json_null());
		return false;
	}
	shape_begin(shape, name, help);
	if (shape->schema)
		json_object_set_new(
			shape->at[shape->depth], "type", json_pack("[s, s]", "object", "null"));
	return true;
}

void shape_end(struct shape *shape)
{
	shape->depth--;
}

static json_t *make_item(
	const struct shape *shape, shape_item item, const void *context, uint32_t index)
{
	struct shape one;
	shape_open(&one, shape->schema);
	item(&one, context, index);
	return shape_close(&one);
}

void shape_list(struct shape *shape, const char *name, const char *help, uint32_t count,
	shape_item item, const void *context)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count && !shape->schema; i++)
		json_array_append_new(list, make_item(shape, item, context, i));
	if (shape->schema) {
		json_decref(list);
		list = json_pack(
			"{s:s, s:o}", "type", "array", "items", make_item(shape, item, context, 0));
	}
	add(shape, name, help, list);
}

void shape_texts(struct shape *shape, const char *name, const char *help, uint32_t count,
	const char *const *value)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, text(value[i]));
	if (shape->schema) {
		json_decref(list);
		list = json_pack("{s:s, s:o}", "type", "array", "items", type_of("string", false));
	}
	add(shape, name, help, list);
}

void shape_pairs(struct shape *shape, const char *name, const char *help, json_t *pairs)
{
	if (shape->schema) {
		json_decref(pairs);
		pairs = json_pack("{s:s, s:{s:s, s:i, s:i, s:o}}", "type", "array", "items", "type",
			"array", "minItems", 2, "maxItems", 2, "items", type_of("integer", false));
	}
	add(shape, name, help, pairs);
}

/* The schema of a value like this one. Lists may be empty, so that nothing is said of what is in. */
static json_t *schema_of(json_t *value)
{
	static const char *const types[] = {[JSON_OBJECT] = "object",
		[JSON_ARRAY] = "array",
		[JSON_STRING] = "string",
		[JSON_INTEGER] = "integer",
		[JSON_REAL] = "number",
		[JSON_TRUE] = "boolean",
		[JSON_FALSE] = "boolean",
		[JSON_NULL] = "null"};
	if (!json_is_object(value))
		return type_of(types[json_typeof(value)], false);
	const struct shape shape = {.schema = true};
	json_t *schema = new_object(&shape), *field;
	const char *name;
	json_object_foreach (value, name, field) {
		json_object_set_new(json_object_get(schema, "properties"), name, schema_of(field));
		json_array_append_new(json_object_get(schema, "required"), json_string(name));
	}
	return schema;
}

void shape_made(struct shape *shape, const char *name, const char *help, json_t *object)
{
	if (shape->schema) {
		json_t *schema = schema_of(object);
		json_decref(object);
		object = schema;
	}
	add(shape, name, help, object);
}

bool shape_is_text(const char *value)
{
	json_t *made = json_string(value);
	const bool is = made != NULL;
	json_decref(made);
	return is;
}
