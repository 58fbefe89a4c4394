/* SPDX-License-Identifier: BSD-3-Clause */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	unsigned status;
	const char *name, *title;
} kinds[PROBLEMS] = {
	[PROBLEM_BAD_REQUEST] = {400, "bad-request", "The request cannot be understood"},
	[PROBLEM_UNAUTHORIZED] = {401, "unauthorized", "A token is needed"},
	[PROBLEM_FOREIGN_ORIGIN] = {403, "foreign-origin", "Other sites may not ask"},
	[PROBLEM_FORBIDDEN] = {403, "forbidden", "This token may only read"},
	[PROBLEM_NOT_FOUND] = {404, "not-found", "There is no such thing"},
	[PROBLEM_METHOD] = {405, "method-not-allowed", "This method is not for this path"},
	[PROBLEM_NOT_HERE] = {409, "not-here", "Another generator drives this phone"},
	[PROBLEM_DRILL_RUNNING] = {409, "drill-running", "A drill is running"},
	[PROBLEM_DRILL_OVER] = {409, "drill-over", "This drill is over"},
	[PROBLEM_LENGTH] = {411, "length-required", "The length of the body is needed"},
	[PROBLEM_TOO_LARGE] = {413, "too-large", "The body is too large"},
	[PROBLEM_URI_TOO_LONG] = {414, "uri-too-long", "The path is too long"},
	[PROBLEM_MEDIA_TYPE] = {415, "unsupported-media-type", "The body must be JSON"},
	[PROBLEM_FOREIGN_HOST] = {421, "foreign-host", "This is not the host that was asked for"},
	[PROBLEM_REFUSED] = {422, "refused", "This cannot be done with this fleet"},
	[PROBLEM_UNCONFIRMED] = {422, "unconfirmed", "The name of the fleet must confirm it"},
	[PROBLEM_TOO_MANY] = {429, "too-many-requests", "Too many changes at once"},
	[PROBLEM_NOT_READY] = {503, "not-ready", "The fleet is not ready"},
	[PROBLEM_STREAMS_FULL] = {503, "streams-full", "Too many listen to events"},
	[PROBLEM_OUT_OF_MEMORY] = {500, "out-of-memory", "Out of memory"},
};

unsigned problem_status(enum problem_kind kind)
{
	return kinds[kind].status;
}

const char *problem_title(enum problem_kind kind)
{
	return kinds[kind].title;
}

bool problem_is_passing(enum problem_kind kind)
{
	return kinds[kind].status == 429 || kinds[kind].status == 503;
}

bool problem_set(struct problem *problem, enum problem_kind kind, const char *format, ...)
{
	va_list arguments;
	problem->kind = kind;
	va_start(arguments, format);
	vsnprintf(problem->detail, sizeof(problem->detail), format, arguments);
	va_end(arguments);
	return false;
}

/* A text that is not UTF-8 is left out rather than guessed at. */
static void set_text(json_t *object, const char *name, const char *text)
{
	json_t *value = json_string(text);
	if (value != NULL)
		json_object_set_new(object, name, value);
}

char *problem_text(const struct problem *problem, const char *path)
{
	char type[64];
	snprintf(type, sizeof(type), "urn:sipherd:problem:%s", kinds[problem->kind].name);
	json_t *object = json_pack("{s:s, s:s, s:i}", "type", type, "title",
		kinds[problem->kind].title, "status", (int)kinds[problem->kind].status);
	set_text(object, "detail", problem->detail);
	set_text(object, "instance", path);
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

json_t *problem_schema(void)
{
	json_t *types = json_array();
	for (int i = 0; i < PROBLEMS; i++) {
		char type[64];
		snprintf(type, sizeof(type), "urn:sipherd:problem:%s", kinds[i].name);
		json_array_append_new(types, json_string(type));
	}
	return json_pack(
		"{s:s, s:s, s:{s:{s:s, s:o}, s:{s:s}, s:{s:s}, s:{s:s, s:s}, s:{s:s, s:s}},"
		" s:[s, s, s], s:b}",
		"type", "object", "description", "RFC 9457 problem", "properties", "type", "type",
		"string", "enum", types, "title", "type", "string", "status", "type", "integer",
		"detail", "type", "string", "description", "what is wrong, and the remedy",
		"instance", "type", "string", "description",
		"the path that was asked for, where it is UTF-8", "required", "type", "title",
		"status", "additionalProperties", 0);
}
