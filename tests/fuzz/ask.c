/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request to the HTTP API says besides its headers: path, query, body. Whatever it is, it is
 * taken as the fields say or refused with a message that can be shown anywhere. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static const char *const words[] = {"reregister", "unregister", "reboot", "power-cut", NULL};

static const struct ask_field query_fields[] = {
	{.name = "state", .help = "s", .kind = ASK_WORD, .words = words},
	{.name = "cursor", .help = "c", .high = UINT32_MAX},
	{.name = "limit", .help = "l", .low = 1, .high = 1000, .standard = 100},
	{.name = "last_event_id", .help = "i", .kind = ASK_TEXT, .high = 64}, {0}};

static const struct ask_field body_fields[] = {
	{.name = "action", .help = "a", .kind = ASK_WORD, .words = words},
	{.name = "phones", .help = "p", .low = 2, .high = 10000000},
	{.name = "paused", .help = "z", .kind = ASK_SWITCH},
	{.name = "ramp_per_s", .help = "r", .high = UINT32_MAX, .required = true}, {0}};

/* Of a drill: texts, as in a fleet file. */
static const struct ask_field drill_fields[] = {
	{.name = "drill", .help = "d", .kind = ASK_TEXT, .high = 63, .required = true},
	{.name = "hold", .help = "h", .kind = ASK_TEXT, .high = 8},
	{.name = "confirm", .help = "c", .kind = ASK_TEXT, .high = 63},
	{.name = "dry_run", .help = "y", .kind = ASK_SWITCH}, {0}};

/* A message goes into JSON, onto terminals and into logs. */
static void check_problem(const struct problem *problem)
{
	json_error_t error;
	require(problem->kind == PROBLEM_BAD_REQUEST && problem->detail[0] != '\0');
	for (const char *c = problem->detail; *c != '\0'; c++)
		require(*c >= ' ' && *c < 127);
	char *text = problem_text(problem, "/");
	require(text != NULL);
	json_t *object = json_loads(text, 0, &error);
	require(json_string_length(json_object_get(object, "detail")) == strlen(problem->detail));
	json_decref(object);
	free(text);
}

static void check_values(const struct ask_field *fields, const struct ask_value *values, bool all)
{
	for (int i = 0; fields[i].name != NULL; i++) {
		const struct ask_value *v = &values[i];
		require(v->given || !fields[i].required);
		if (!v->given && !all)
			continue;
		if (fields[i].kind == ASK_NUMBER)
			require(v->number >= fields[i].low && v->number <= fields[i].high);
		if (fields[i].kind == ASK_WORD && v->given)
			require(v->number < sizeof(words) / sizeof(words[0]) - 1);
		if (fields[i].kind == ASK_SWITCH)
			require(v->number <= 1);
		if (fields[i].kind != ASK_TEXT || !v->given)
			continue;
		require(strlen(v->text) <= fields[i].high);
		for (const char *c = v->text; fields == drill_fields && *c != '\0'; c++)
			require((unsigned char)*c >= ' ' && *c != 127);
	}
}

static void try_path(const char *text)
{
	static const char *const names[] = {"primary", "redundant"};
	struct asked asked = {0};
	char again[80];
	if (ask_path("/phones/{phone}/actions", NULL, 0, text, &asked)) {
		snprintf(again, sizeof(again), "/phones/%u/actions", asked.number);
		require(strcmp(again, text) == 0);
	}
	if (ask_path("/proxies/{id}", names, 2, text, &asked)) {
		snprintf(again, sizeof(again), "/proxies/%s", names[asked.which]);
		require(strcmp(again, text) == 0);
	}
	require(ask_path("/fleet", NULL, 0, text, &asked) == (strcmp(text, "/fleet") == 0));
}

/* As libmicrohttpd takes a query apart. */
static void try_query(char *text)
{
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	char *rest = text, *pair;
	bool good = true;
	ask_query_begin(query_fields, values);
	while (good && (pair = strsep(&rest, "&")) != NULL) {
		char *value = strchr(pair, '=');
		if (value != NULL)
			*value++ = '\0';
		MHD_http_unescape(pair);
		if (value != NULL)
			MHD_http_unescape(value);
		good = ask_query(query_fields, pair, value, values, &problem);
	}
	if (good && ask_query_end(query_fields, values, &problem))
		check_values(query_fields, values, true);
	else
		check_problem(&problem);
}

static void try_body(const struct ask_field *fields, const char *bytes, size_t size)
{
	struct ask_value values[ASK_FIELDS_MAX];
	struct problem problem;
	json_t *object;
	if (ask_body(fields, bytes, size, values, &object, &problem))
		check_values(fields, values, false);
	else
		check_problem(&problem);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_body(body_fields, (const char *)data, size);
	try_body(drill_fields, (const char *)data, size);
	try_path(text);
	try_query(text);
	free(text);
	return 0;
}
