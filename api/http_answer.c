/* SPDX-License-Identifier: BSD-3-Clause */
/* What is sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_internal.h"
#include "events.h"
#include "metrics.h"
#include "openapi.h"
#include "page.h"

#define JSON "application/json"

/* --- Responses --- */

static struct MHD_Response *add_headers(
	struct MHD_Response *response, const char *type, const char *security, const char *cache)
{
	static const char *const headers[][2] = {
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
	};
	if (response == NULL)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache);
	MHD_add_response_header(response, "Content-Security-Policy", security);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	return response;
}

#define DATA_SECURITY "default-src 'none'; frame-ancestors 'none'"

/* Data: not to be kept, and no page. */
static struct MHD_Response *add_data_headers(struct MHD_Response *response, const char *type)
{
	return add_headers(response, type, DATA_SECURITY, "no-store");
}

/* Takes the bytes. security NULL: they are no page. */
static struct MHD_Response *respond(
	void *bytes, size_t length, const char *type, const char *security)
{
	if (bytes == NULL)
		return NULL;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		length, bytes, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(bytes);
	return add_headers(response, type, security != NULL ? security : DATA_SECURITY, "no-store");
}

static struct MHD_Response *respond_text(char *text, const char *type)
{
	return respond(text, text != NULL ? strlen(text) : 0, type, NULL);
}

static enum MHD_Result send_response(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, unsigned status, struct MHD_Response *response)
{
	request->status = status;
	http->picture.answers[status / 100 - 1]++;
	return MHD_queue_response(connection, status, response);
}

/* For this request alone: gone when it is sent. */
static enum MHD_Result send_once(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, unsigned status, struct MHD_Response *response)
{
	enum MHD_Result result = send_response(http, connection, request, status, response);
	MHD_destroy_response(response);
	return result;
}

/* --- Problems --- */

static void allow(struct MHD_Response *response, unsigned methods)
{
	char list[64] = "";
	size_t used = 0;
	for (int m = 0; m < ROUTE_METHODS; m++)
		if (methods & 1u << m)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s%s",
				used > 0 ? ", " : "", route_method_name((enum route_method)m),
				m == ROUTE_GET ? ", HEAD" : "");
	MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, list);
}

/* The last resort when there is no memory is to close the connection. */
enum MHD_Result http_refuse(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const struct problem *problem = &request->problem;
	struct MHD_Response *response = respond_text(
		problem_text(problem, path), "application/problem+json");
	if (response == NULL)
		return MHD_NO;
	if (problem->kind == PROBLEM_METHOD)
		allow(response, request->methods);
	if (problem->kind == PROBLEM_UNAUTHORIZED)
		MHD_add_response_header(
			response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"sipherd\"");
	if (problem_is_passing(problem->kind))
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	return send_once(http, connection, request, problem_status(problem->kind), response);
}

/* --- Answers that are the same for all who ask in one tick --- */

/* Always compressed: at 4 bits a phone most of it says the same. */
static struct MHD_Response *make_map(struct http *http)
{
	size_t length = 0;
	const uint8_t *map = watch_map(http->picture.watch, &length);
	if (map == NULL)
		return NULL;
	/* The watch keeps it only until its next look. */
	struct MHD_Response *response = add_data_headers(
		MHD_create_response_from_buffer(length, (void *)map, MHD_RESPMEM_MUST_COPY),
		"application/octet-stream");
	if (response != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	return response;
}

static struct MHD_Response *make(struct http *http, const struct route *route, unsigned which)
{
	size_t length = 0;
	if (route->kind == ROUTE_METRICS) {
		char *text = metrics_text(&http->picture, &length);
		return respond(text, length, METRICS_CONTENT_TYPE, NULL);
	}
	if (route->kind == ROUTE_MAP)
		return make_map(http);
	if (route->kind == ROUTE_OPENAPI)
		return respond_text(openapi_text(&http->picture, http->token_needed), JSON);
	return respond_text(route_json(route, which, &http->picture), JSON);
}

static struct MHD_Response *keep(
	struct http_kept *kept, struct MHD_Response *response, uint64_t key)
{
	if (kept->response != NULL)
		MHD_destroy_response(kept->response);
	*kept = (struct http_kept){response, key};
	return response;
}

void http_forget_answers(struct http *http)
{
	for (size_t i = 0; i < ROUTES; i++)
		for (size_t n = 0; n < ROUTE_VARIANTS; n++)
			keep(&http->kept[i][n], NULL, 0);
	route_timeline_free(&http->timeline);
}

/* What an answer is new by. A map is large, and who reads slowly keeps an old one. */
static uint64_t key_of(const struct http *http, const struct route *route)
{
	if (route->kind == ROUTE_OPENAPI)
		return 0;
	return route->kind == ROUTE_MAP ? watch_sequence(http->picture.watch) : http->tick;
}

/* The answer of this tick, made by the first who asks for it. It stays ours. */
static struct MHD_Response *current(struct http *http, const struct route *route, unsigned which)
{
	struct http_kept *kept = &http->kept[route - routes][which];
	const uint64_t key = key_of(http, route);
	if (kept->response != NULL && kept->key == key)
		return kept->response;
	http->picture.connections = MHD_get_daemon_info(
		http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
					    ->num_connections;
	return keep(kept, make(http, route, which), key);
}

/* The same for the time line, which is new once a second. */
static struct MHD_Response *timeline(struct http *http, const struct route *route, uint32_t seconds)
{
	struct http_kept *kept = &http->kept[route - routes][0];
	const uint64_t key = http->picture.tally->passed * (PICTURE_TIMELINE_S + 1) + seconds;
	size_t length = 0;
	if (kept->response != NULL && kept->key == key)
		return kept->response;
	char *text = route_timeline_tail(&http->timeline, &http->picture, seconds, &length);
	return keep(kept, respond(text, length, JSON, NULL), key);
}

static bool is_ready(struct http *http, struct problem *problem)
{
	char why[PICTURE_WHY_MAX];
	return picture_is_ready(&http->picture, why, sizeof(why)) ||
	       problem_set(problem, PROBLEM_NOT_READY, "%s", why);
}

static enum MHD_Result answer_kept(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const struct route *route = request->route;
	if (route->kind == ROUTE_READY && !is_ready(http, &request->problem))
		return http_refuse(http, connection, request, path);
	if (route->kind == ROUTE_MAP && http->picture.watch == NULL) {
		problem_set(&request->problem, PROBLEM_NOT_READY, "there was no memory for it");
		return http_refuse(http, connection, request, path);
	}
	struct MHD_Response *response = route->kind == ROUTE_TIMELINE
						? timeline(http, route,
							  request->asked.query[0].number)
						: current(http, route, request->asked.which);
	if (response != NULL)
		return send_response(http, connection, request, MHD_HTTP_OK, response);
	problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
	return http_refuse(http, connection, request, path);
}

/* --- Answers for one request --- */

static struct MHD_Response *make_bytes(struct http *http, const struct route *route)
{
	size_t length = 0;
	uint8_t *bytes = route->bytes(&http->picture, &length);
	return respond(bytes, length, route->type, route->security);
}

static struct MHD_Response *make_attachment(struct http *http, const struct route *route)
{
	struct MHD_Response *response = make_bytes(http, route);
	if (response != NULL)
		MHD_add_response_header(
			response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, "attachment");
	return response;
}

static enum MHD_Result answer_asked(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const struct route *route = request->route;
	if (!route->act(&http->picture, &request->asked, &request->problem))
		return http_refuse(http, connection, request, path);
	struct MHD_Response *response = route->kind == ROUTE_BYTES
						? make_attachment(http, route)
						: respond_text(route_json(route, 0, &http->picture),
							  JSON);
	/* Who looks at once sees what he has changed. */
	http->tick += route->method != ROUTE_GET;
	const bool dry = route->is_dry != NULL && route->is_dry(&request->asked);
	if (response != NULL)
		return send_once(http, connection, request,
			route->status != 0 && !dry ? route->status : MHD_HTTP_OK, response);
	problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
	return http_refuse(http, connection, request, path);
}

_Static_assert(DRILLS_KEPT <= ROUTE_VARIANTS, "there is a place for each result that is kept");

/* Made once, by the first who asks: it may take long. As many are kept as there can be asked for. */
static enum MHD_Result answer_lasting(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const struct route *route = request->route;
	const uint32_t number = request->asked.number;
	struct http_kept *kept = &http->kept[route - routes][number % DRILLS_KEPT];
	if (!route->act(&http->picture, &request->asked, &request->problem))
		return http_refuse(http, connection, request, path);
	if (kept->response == NULL || kept->key != number)
		keep(kept, make_bytes(http, route), number);
	if (kept->response != NULL)
		return send_response(http, connection, request, MHD_HTTP_OK, kept->response);
	problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
	return http_refuse(http, connection, request, path);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* An answer that lasts. Of HEAD it is only the beginning, and nobody listens. */
static enum MHD_Result answer_stream(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const bool listens = strcmp(request->method, MHD_HTTP_METHOD_HEAD) != 0;
	const char *last_id = header(connection, "Last-Event-ID");
	if (!events_have_room(http->picture.events)) {
		problem_set(&request->problem, PROBLEM_STREAMS_FULL,
			"at most %d can listen, and nobody once the run is ending",
			EVENTS_LISTENERS_MAX);
		return http_refuse(http, connection, request, path);
	}
	/* A browser that comes back by itself asks the same query again: its header is newer. */
	if (last_id == NULL && request->asked.query[0].given)
		last_id = request->asked.query[0].text;
	struct MHD_Response *response = add_data_headers(
		listens ? events_listen(http->picture.events, connection, last_id)
			: MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT),
		"text/event-stream");
	if (response == NULL) {
		problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
		return http_refuse(http, connection, request, path);
	}
	if (listens)
		http_place(connection)->listens = true;
	return send_once(http, connection, request, MHD_HTTP_OK, response);
}

/* --- The page --- */

static enum MHD_Result answer_page(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	const struct page_file *file = page_find(path);
	const bool known = page_is_known(file, header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH));
	const bool gzip = page_takes_gzip(header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING));
	const struct page_bytes *bytes = gzip ? &file->gzip : &file->plain;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		known ? 0 : bytes->length, (void *)bytes->bytes, MHD_RESPMEM_PERSISTENT);
	if (add_headers(response, file->type, PAGE_SECURITY, PAGE_CACHE) == NULL) {
		problem_set(&request->problem, PROBLEM_OUT_OF_MEMORY, "try again");
		return http_refuse(http, connection, request, path);
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, file->etag);
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	if (gzip && !known)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	return send_once(
		http, connection, request, known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

enum MHD_Result http_answer(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path)
{
	switch (request->route->kind) {
	case ROUTE_PAGE:
		return answer_page(http, connection, request, path);
	case ROUTE_STREAM:
		return answer_stream(http, connection, request, path);
	case ROUTE_ASKED:
	case ROUTE_BYTES:
		return answer_asked(http, connection, request, path);
	case ROUTE_LASTING:
		return answer_lasting(http, connection, request, path);
	default:
		return answer_kept(http, connection, request, path);
	}
}
