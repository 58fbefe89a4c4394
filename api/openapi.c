/* SPDX-License-Identifier: BSD-3-Clause */
#include "openapi.h"

#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "routes.h"

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema)
{
	return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required", required,
		"schema", schema);
}

static json_t *parameters(const struct route *route)
{
	json_t *list = json_array(), *names = json_array();
	for (unsigned i = 0; route->parameter != NULL && i < route->variants; i++)
		json_array_append_new(names, json_string(route->names[i]));
	if (route->parameter != NULL)
		json_array_append_new(
			list, parameter(route->parameter, "path", true,
				      json_pack("{s:s, s:O}", "type", "string", "enum", names)));
	json_decref(names);
	if (route->query == NULL)
		return list;
	const struct route_query *query = route->query;
	json_t *schema = json_pack("{s:s, s:s, s:I, s:I, s:I}", "type", "integer", "description",
		query->help, "minimum", (json_int_t)query->low, "maximum", (json_int_t)query->high,
		"default", (json_int_t)query->standard);
	json_array_append_new(list, parameter(query->name, "query", false, schema));
	return list;
}

static json_t *reference(const char *schema)
{
	char path[80];
	snprintf(path, sizeof(path), "#/components/schemas/%s", schema);
	return json_pack("{s:s}", "$ref", path);
}

/* What comes with 200. */
static json_t *content(const struct route *route)
{
	if (route->kind == ROUTE_METRICS)
		return json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string");
	if (route->schema == NULL)
		return json_pack("{s:{s:{s:s}}}", "application/json", "schema", "type", "object");
	return json_pack("{s:{s:o}}", "application/json", "schema", reference(route->schema));
}

static json_t *problem_answer(const char *help)
{
	return json_pack("{s:s, s:{s:{s:o}}}", "description", help, "content",
		"application/problem+json", "schema", reference("Problem"));
}

static json_t *operation(const struct route *route)
{
	char name[64];
	size_t n = 0;
	/* "getApiV1Fleet" would only repeat the path: the last words do. */
	for (const char *c = route->path; *c != '\0' && n + 1 < sizeof(name); c++)
		if (*c != '{' && *c != '}')
			name[n++] = *c == '/' || *c == '.' ? '_' : *c;
	name[n] = '\0';
	return json_pack("{s:s, s:s, s:o, s:{s:{s:s, s:o}, s:o}}", "operationId", name + 1,
		"summary", route->help, "parameters", parameters(route), "responses", "200",
		"description", route->help, "content", content(route), "default",
		problem_answer("any error is a problem object"));
}

static json_t *schemas(const struct picture *picture)
{
	json_t *object = json_pack("{s:o}", "Problem", problem_schema());
	for (size_t i = 0; i < ROUTES; i++) {
		struct shape shape;
		if (routes[i].describe == NULL)
			continue;
		shape_open(&shape, true);
		routes[i].describe(&shape, picture, 0);
		json_object_set_new(object, routes[i].schema, shape_close(&shape));
	}
	return object;
}

/* Either of these will do; without a needed token, nothing is one of them. */
static json_t *security(bool token_needed)
{
	json_t *list = json_pack("[{s:[]}]", "bearer");
	if (!token_needed)
		json_array_insert_new(list, 0, json_object());
	return list;
}

char *openapi_text(const struct picture *picture, bool token_needed)
{
	json_t *paths = json_object();
	for (size_t i = 0; i < ROUTES; i++)
		json_object_set_new(
			paths, routes[i].path, json_pack("{s:o}", "get", operation(&routes[i])));
	json_t *document = json_pack(
		"{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:o, s:o, s:{s:o, s:{s:{s:s, s:s, s:s}}}}",
		"openapi", "3.1.0", "info", "title", "sipherd", "version", SIPHERD_VERSION,
		"description",
		"A herd of SIP phones while it runs. Figures are at most 0.1 s old. Every GET may "
		"also be asked for as HEAD.",
		"license", "name", "BSD-3-Clause", "identifier", "BSD-3-Clause", "security",
		security(token_needed), "paths", paths, "components", "schemas", schemas(picture),
		"securitySchemes", "bearer", "type", "http", "scheme", "bearer", "description",
		"a line of the tokens file that sipherd names at its start");
	char *text = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return text;
}
