/* SPDX-License-Identifier: BSD-3-Clause */
#include "openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "drilling.h"
#include "events.h"
#include "page.h"
#include "problem.h"
#include "routes.h"

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema)
{
	return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required", required,
		"schema", schema);
}

static json_t *names_of_path(const struct route *route)
{
	json_t *names = json_array();
	for (unsigned i = 0; route->names != NULL && i < route->variants; i++)
		json_array_append_new(names, json_string(route->names[i]));
	for (size_t i = 0; route->kind == ROUTE_PAGE && page_at(i) != NULL; i++)
		json_array_append_new(names, json_string(page_at(i)->name));
	return names;
}

static json_t *parameters(const struct route *route)
{
	json_t *list = json_array(), *names = names_of_path(route), *schema;
	if (route->parameter != NULL) {
		schema = json_array_size(names) > 0
				 ? json_pack("{s:s, s:O}", "type", "string", "enum", names)
				 : json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
		json_array_append_new(list, parameter(route->parameter, "path", true, schema));
	}
	json_decref(names);
	for (const struct ask_field *f = route->query; f != NULL && f->name != NULL; f++) {
		schema = ask_field_schema(f);
		if (f->kind == ASK_NUMBER)
			json_object_set_new(
				schema, "default", json_integer((json_int_t)f->standard));
		json_array_append_new(list, parameter(f->name, "query", f->required, schema));
	}
	return list;
}

static json_t *reference(const char *schema)
{
	char path[80];
	snprintf(path, sizeof(path), "#/components/schemas/%s", schema);
	return json_pack("{s:s}", "$ref", path);
}

/* What comes with a good answer. */
static json_t *content(const struct route *route)
{
	static const char *const types[ROUTE_KINDS] = {[ROUTE_METRICS] = "text/plain",
		[ROUTE_MAP] = "application/octet-stream",
		[ROUTE_STREAM] = "text/event-stream",
		[ROUTE_OPENAPI] = "application/json",
		[ROUTE_PAGE] = "text/html"};
	const char *type = route->type != NULL     ? route->type
			   : route->schema != NULL ? "application/json"
						   : types[route->kind];
	if (route->parameter != NULL && route->kind == ROUTE_PAGE)
		type = "*/*";
	json_t *schema = route->schema != NULL
				 ? reference(route->schema)
				 : json_pack("{s:s}", "type",
					   route->kind == ROUTE_OPENAPI ? "object" : "string");
	/* Without parameters such as a charset. */
	return json_pack("{s%:{s:o}}", type, strcspn(type, ";"), "schema", schema);
}

static json_t *problem_answer(const char *help)
{
	return json_pack("{s:s, s:{s:{s:o}}}", "description", help, "content",
		"application/problem+json", "schema", reference("Problem"));
}

static void lower_method(const struct route *route, char out[8])
{
	const char *name = route_method_name((enum route_method)route->method);
	size_t n = 0;
	for (; name[n] != '\0' && n + 1 < 8; n++)
		out[n] = (char)tolower((unsigned char)name[n]);
	out[n] = '\0';
}

/* "get_api_v1_fleet": the method and the path's words. */
static void name_operation(const struct route *route, char out[64])
{
	lower_method(route, out);
	size_t n = strlen(out);
	for (const char *c = route->path; *c != '\0' && n + 1 < 64; c++)
		if (*c != '{' && *c != '}')
			out[n++] = *c == '/' || *c == '.' ? '_' : *c;
	out[n] = '\0';
}

static json_t *operation(const struct route *route)
{
	char name[64], status[8];
	name_operation(route, name);
	snprintf(status, sizeof(status), "%u", route->status != 0 ? route->status : 200u);
	json_t *object = json_pack("{s:s, s:s, s:o, s:{s:{s:s, s:o}, s:o}}", "operationId", name,
		"summary", route->help, "parameters", parameters(route), "responses", status,
		"description", route->help, "content", content(route), "default",
		problem_answer("any error is a problem object"));
	if (route->is_dry != NULL)
		json_object_set_new(json_object_get(object, "responses"), "200",
			json_pack("{s:s, s:o}", "description", "what would be done: nothing was",
				"content", content(route)));
	if (route->body != NULL)
		json_object_set_new(object, "requestBody",
			json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content",
				"application/json", "schema", reference(route->body_schema)));
	/* Changes need the operator's token, the page needs none, whatever the rest does. */
	if (route->method != ROUTE_GET)
		json_object_set_new(object, "security", json_pack("[{s:[]}]", "bearer"));
	if (route->kind == ROUTE_PAGE)
		json_object_set_new(object, "security", json_pack("[{}]"));
	return object;
}

static json_t *paths(void)
{
	json_t *object = json_object();
	for (size_t i = 0; i < ROUTES; i++) {
		const struct route *route = &routes[i];
		json_t *path = json_object_get(object, route->path);
		char method[8];
		lower_method(route, method);
		if (path == NULL) {
			path = json_object();
			json_object_set_new(object, route->path, path);
		}
		json_object_set_new(path, method, operation(route));
	}
	return object;
}

static json_t *schemas(const struct picture *picture)
{
	json_t *object = json_pack("{s:o}", "Problem", problem_schema());
	for (size_t i = 0; i < ROUTES; i++) {
		struct shape shape;
		if (routes[i].body != NULL)
			json_object_set_new(
				object, routes[i].body_schema, ask_body_schema(routes[i].body));
		if (routes[i].describe == NULL)
			continue;
		shape_open(&shape, true);
		routes[i].describe(&shape, picture, 0);
		json_object_set_new(object, routes[i].schema, shape_close(&shape));
	}
	json_object_set_new(object, "DrillResult", drilling_result_schema());
	events_schemas(object, picture);
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
	json_t *document = json_pack(
		"{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:o, s:o, s:{s:o, s:{s:{s:s, s:s, s:s}}}}",
		"openapi", "3.1.0", "info", "title", "sipherd", "version", SIPHERD_VERSION,
		"description",
		"A herd of SIP phones while it runs. Figures are at most 0.1 s old. Every GET may "
		"also be asked for as HEAD.",
		"license", "name", "BSD-3-Clause", "identifier", "BSD-3-Clause", "security",
		security(token_needed), "paths", paths(), "components", "schemas", schemas(picture),
		"securitySchemes", "bearer", "type", "http", "scheme", "bearer", "description",
		"a line of the tokens file that sipherd names at its start");
	char *text = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return text;
}
