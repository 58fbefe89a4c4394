/* SPDX-License-Identifier: BSD-3-Clause */
/* Who asks, and what. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_internal.h"
#include "page.h"

/* What the headers say, gathered in one walk. */
struct headers {
	const char *host, *origin, *authorization, *length, *type;
	unsigned hosts, origins, authorizations, lengths, types;
	bool chunked;
	bool odd; /* a blank in a header's name: others may read it as another header */
};

static enum MHD_Result take_header(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *headers = context;
	(void)kind;
	if (value == NULL)
		value = "";
	headers->odd |= strpbrk(name, " \t") != NULL;
	if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
		headers->host = value;
		headers->hosts++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
		headers->authorization = value;
		headers->authorizations++;
	} else if (strcasecmp(name, "Origin") == 0) {
		headers->origin = value;
		headers->origins++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		headers->length = value;
		headers->lengths++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE) == 0) {
		headers->type = value;
		headers->types++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		headers->chunked = true;
	}
	return MHD_YES;
}

/* --- Who asks --- */

static bool check_place(const struct http *http, const struct headers *h, struct problem *problem)
{
	const struct option_list *names = &http->options->http_host;
	if (h->hosts != 1 || h->lengths > 1 || h->origins > 1 || h->odd)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
			"one Host header is needed, at most one Content-Length and Origin, and no "
			"blank in a header's name");
	if (!guard_host_is_ours(h->host, &http->listen, names->item, names->count))
		return problem_set(problem, PROBLEM_FOREIGN_HOST,
			"this name is not known here; sipherd run --http-host NAME adds it");
	if (h->origin != NULL && !guard_origin_is_ours(h->origin, http_scheme(http), h->host))
		return problem_set(problem, PROBLEM_FOREIGN_ORIGIN,
			"only a page that came from this very address may ask");
	return true;
}

/* A token that is given must be right, also where none is needed. The page itself is for anybody: it
 * holds no data, and asks for a token where it needs one. */
static bool check_token(const struct http *http, const struct headers *h, const char *path,
	struct http_request *request)
{
	if (h->authorizations == 0 && (!http->token_needed || page_find(path) != NULL))
		return true;
	if (h->authorizations == 0)
		return problem_set(&request->problem, PROBLEM_UNAUTHORIZED,
			"send Authorization: Bearer TOKEN; sipherd named the tokens' file at its "
			"start");
	const char *given = h->authorizations == 1 ? guard_bearer(h->authorization) : NULL;
	if (given != NULL)
		request->role = tokens_role(&http->tokens, given);
	if (request->role != ROLE_NOBODY)
		return true;
	return problem_set(&request->problem, PROBLEM_UNAUTHORIZED,
		"this is no token of this run; each start makes new ones");
}

/* --- What is asked --- */

size_t http_unescape(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context, (void)connection;
	const size_t length = MHD_http_unescape(text);
	/* A NUL would hide what stands behind it: it becomes a character that no path and no number
	 * has. */
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0')
			text[i] = '\1';
	return length;
}

/* Is there no body, or one that is read to its end whatever becomes of it? */
static bool is_short(const struct headers *h)
{
	uint32_t length;
	return !h->chunked && !h->odd && h->lengths <= 1 &&
	       (h->length == NULL || guard_number(h->length, 0, HTTP_BODY_MAX, &length));
}

static bool check_length(
	const struct headers *h, const char *path, struct problem *problem, uint32_t *length)
{
	*length = 0;
	if (strlen(path) > HTTP_PATH_MAX)
		return problem_set(
			problem, PROBLEM_URI_TOO_LONG, "at most %d bytes", HTTP_PATH_MAX);
	if (h->chunked)
		return problem_set(problem, PROBLEM_LENGTH,
			"send Content-Length instead of Transfer-Encoding");
	return h->length == NULL || guard_number(h->length, 0, HTTP_BODY_MAX, length) ||
	       problem_set(problem, PROBLEM_TOO_LARGE, "at most %d bytes are read", HTTP_BODY_MAX);
}

static bool check_route(struct http_request *request, const char *path)
{
	request->route = route_find(path, request->method, &request->asked, &request->methods);
	if (request->route != NULL)
		return true;
	if (request->methods != 0)
		return problem_set(&request->problem, PROBLEM_METHOD,
			"this path has other methods: see the Allow header");
	return problem_set(
		&request->problem, PROBLEM_NOT_FOUND, "/api/v1/openapi.json tells what there is");
}

/* Who changes things must be an operator, whatever the address, and say what in JSON. */
static bool check_change(
	const struct http *http, const struct headers *h, struct http_request *request)
{
	if (request->role == ROLE_NOBODY)
		return problem_set(&request->problem, PROBLEM_UNAUTHORIZED,
			"changes need Authorization: Bearer TOKEN with the operator's token; "
			"sipherd named the tokens' file at its start");
	if (request->role != ROLE_OPERATOR)
		return problem_set(&request->problem, PROBLEM_FORBIDDEN,
			"changes need the operator's token, this is a viewer's");
	if (!steer_count(&http->picture, &request->problem))
		return false;
	if (h->types != 1 || !guard_is_json(h->type))
		return problem_set(&request->problem, PROBLEM_MEDIA_TYPE,
			"send Content-Type: application/json");
	return h->lengths == 1 ||
	       problem_set(&request->problem, PROBLEM_LENGTH, "send Content-Length and a body");
}

struct query {
	struct http_request *request;
	bool good;
};

static enum MHD_Result take_query(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct query *query = context;
	struct http_request *request = query->request;
	(void)kind;
	query->good = ask_query(
		request->route->query, name, value, request->asked.query, &request->problem);
	return query->good ? MHD_YES : MHD_NO;
}

static bool check_query(struct http_request *request, struct MHD_Connection *connection)
{
	const struct ask_field *fields = request->route->query;
	struct query query = {request, true};
	ask_query_begin(fields, request->asked.query);
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
	return query.good && ask_query_end(fields, request->asked.query, &request->problem);
}

static bool check(const struct http *http, struct MHD_Connection *connection,
	const struct headers *h, const char *path, struct http_request *request)
{
	uint32_t length;
	if (!check_place(http, h, &request->problem) || !check_token(http, h, path, request) ||
		!check_length(h, path, &request->problem, &length) || !check_route(request, path))
		return false;
	if (request->route->method != ROUTE_GET && !check_change(http, h, request))
		return false;
	if (!check_query(request, connection))
		return false;
	if (request->route->method == ROUTE_GET)
		return true;
	request->room = length;
	request->body = malloc(length > 0 ? length : 1);
	return request->body != NULL ||
	       problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
}

struct http_request *http_request_new(const struct http *http, struct MHD_Connection *connection,
	const char *path, const char *method)
{
	struct headers headers = {0};
	struct http_request *request = calloc(1, sizeof(*request));
	if (request == NULL)
		return NULL;
	request->method = method;
	MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, &headers);
	request->good = check(http, connection, &headers, path, request);
	request->is_endless = !is_short(&headers);
	return request;
}

/* A body of a request that takes none is read and forgotten. */
void http_request_take(struct http_request *request, const char *part, size_t length)
{
	if (length > request->room - request->length)
		return;
	memcpy(request->body + request->length, part, length);
	request->length += length;
}

void http_request_complete(struct http_request *request)
{
	if (request->good && request->route->body != NULL)
		request->good = ask_body(request->route->body, request->body, request->length,
			request->asked.body, &request->asked.object, &request->problem);
}

void http_request_free(struct http_request *request)
{
	json_decref(request->asked.object);
	free(request->body);
	free(request);
}
