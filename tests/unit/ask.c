/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths, queries and bodies of the HTTP API, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ask.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const char *const words[] = {"off", "registered", NULL};
static const struct ask_field fields[] = {
	{.name = "state", .help = "a word", .kind = ASK_WORD, .words = words},
	{.name = "limit", .help = "a number", .low = 1, .high = 1000, .standard = 100},
	{.name = "paused", .help = "a switch", .kind = ASK_SWITCH}, {0}};

static void test_paths(void **state)
{
	static const char *const names[] = {"primary", "redundant"};
	static const char *const bad[] = {"", "/phones/", "/phones/1", "/phones//trace",
		"/phones/01/trace", "/phones/-1/trace", "/phones/4294967296/trace",
		"/phones/1/trace/", "/phones/1x/trace", "/phones/1/2/trace", "/phones/trace",
		"/phones/99999999999999/trace"};
	struct asked asked = {0};
	(void)state;
	assert_true(ask_path("/phones/{phone}/trace", NULL, 0, "/phones/0/trace", &asked));
	assert_int_equal(asked.number, 0);
	assert_true(ask_path("/phones/{phone}/trace", NULL, 0, "/phones/4294967295/trace", &asked));
	assert_int_equal(asked.number, UINT32_MAX);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(ask_path("/phones/{phone}/trace", NULL, 0, bad[i], &asked));
	assert_true(ask_path("/proxies/{id}", names, 2, "/proxies/redundant", &asked));
	assert_int_equal(asked.which, 1);
	assert_false(ask_path("/proxies/{id}", names, 2, "/proxies/redundan", &asked));
	assert_false(ask_path("/proxies/{id}", names, 2, "/proxies/redundants", &asked));
	assert_false(ask_path("/proxies/{id}", names, 2, "/proxies/{id}", &asked));
	assert_true(ask_path("/fleet", NULL, 0, "/fleet", &asked));
	assert_false(ask_path("/fleet", NULL, 0, "/fleet/", &asked));
}

static void test_queries(void **state)
{
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	(void)state;
	ask_query_begin(fields, values);
	assert_false(values[1].given);
	assert_int_equal(values[1].number, 100);
	assert_true(ask_query(fields, "limit", "1000", values, &problem));
	assert_true(ask_query(fields, "state", "registered", values, &problem));
	assert_true(values[0].given);
	assert_int_equal(values[0].number, 1);
	assert_int_equal(values[1].number, 1000);
	assert_true(ask_query_end(fields, values, &problem));
	assert_false(ask_query(fields, "limit", "1000", values, &problem));
	assert_string_equal(problem.detail, "limit is given twice");
	ask_query_begin(fields, values);
	assert_false(ask_query(fields, "limit", NULL, values, &problem));
	assert_string_equal(problem.detail, "limit is a whole number from 1 to 1000");
	assert_false(ask_query(fields, "state", "of", values, &problem));
	assert_string_equal(problem.detail, "state is one of: off, registered");
	assert_false(ask_query(fields, "rate", "1", values, &problem));
	assert_string_equal(
		problem.detail, "'rate' is unknown: this query takes state, limit, paused");
	assert_false(ask_query(NULL, "x\n", "1", values, &problem));
	assert_string_equal(problem.detail, "a name is unknown: this query takes nothing");
}

static void refused(const struct ask_field *known, const char *text, const char *detail)
{
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	json_t *object;
	assert_false(ask_body(known, text, strlen(text), values, &object, &problem));
	json_decref(object);
	assert_int_equal(problem.kind, PROBLEM_BAD_REQUEST);
	assert_string_equal(problem.detail, detail);
}

static void test_bodies(void **state)
{
	static const char good[] = "{\"limit\": 7, \"paused\": true, \"state\": \"off\"} ";
	static const struct ask_field needed[] = {
		{.name = "action", .kind = ASK_WORD, .required = true, .words = words}, {0}};
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	json_t *object;
	(void)state;
	assert_true(ask_body(fields, good, strlen(good), values, &object, &problem));
	json_decref(object);
	assert_true(values[0].given && values[1].given && values[2].given);
	assert_int_equal(values[0].number, 0);
	assert_int_equal(values[1].number, 7);
	assert_int_equal(values[2].number, 1);
	assert_true(ask_body(fields, "{}", 2, values, &object, &problem));
	json_decref(object);
	assert_false(values[0].given || values[1].given || values[2].given);
	refused(fields, "{\"limit\": 0}", "limit is a whole number from 1 to 1000");
	refused(fields, "{\"limit\": 7.0}", "limit is a whole number from 1 to 1000");
	refused(fields, "{\"limit\": \"7\"}", "limit is a whole number from 1 to 1000");
	refused(fields, "{\"limit\": null}", "limit is a whole number from 1 to 1000");
	refused(fields, "{\"paused\": 1}", "paused is true or false");
	refused(fields, "{\"state\": 1}", "state is one of: off, registered");
	refused(fields, "{\"more\": 1}", "'more' is unknown: this body takes state, limit, paused");
	refused(fields, "[]", "the body is no JSON object");
	refused(fields, "", "the body is no JSON object, or has a name twice: line 1, column 0");
	refused(needed, "{}", "action is missing in the body");
}

static void test_texts(void **state)
{
	static const char told[] = "hold is a text of at most 4 bytes without control characters";
	static const struct ask_field texts[] = {
		{.name = "hold", .help = "a text", .kind = ASK_TEXT, .high = 4}, {0}};
	static const char good[] = "{\"hold\": \"\\u00e9\\u00e9\"}";
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	json_t *object;
	(void)state;
	assert_true(ask_body(texts, good, strlen(good), values, &object, &problem));
	assert_true(values[0].given);
	assert_string_equal(values[0].text, "\xc3\xa9\xc3\xa9");
	json_decref(object);
	refused(texts, "{\"hold\": \"12345\"}", told);
	refused(texts, "{\"hold\": 60}", told);
	refused(texts, "{\"hold\": null}", told);
	refused(texts, "{\"hold\": \"a\\nb\"}", told);
	refused(texts, "{\"hold\": \"\\u007f\"}", told);
	json_t *schema = ask_body_schema(texts);
	json_t *hold = json_object_get(json_object_get(schema, "properties"), "hold");
	assert_int_equal(json_integer_value(json_object_get(hold, "maxLength")), 4);
	json_decref(schema);
}

static void test_schemas(void **state)
{
	(void)state;
	json_t *schema = ask_body_schema(fields);
	json_t *limit = json_object_get(json_object_get(schema, "properties"), "limit");
	assert_int_equal(json_integer_value(json_object_get(limit, "maximum")), 1000);
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	assert_int_equal(json_array_size(json_object_get(schema, "required")), 0);
	json_decref(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_schemas),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
