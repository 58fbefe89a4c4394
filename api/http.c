/* SPDX-License-Identifier: BSD-3-Clause */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guard.h"
#include "metrics.h"
#include "openapi.h"
#include "problem.h"
#include "routes.h"
#include "tokens.h"

#define PEM_MAX 65536
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* An answer as of a tick; shared by all who ask in it, and kept by those who read slowly. */
struct kept {
	struct MHD_Response *response;
	uint64_t key; /* of what it shows */
};

/* A connection: it must bring a request now and then, or it only takes a place that others need. */
struct place {
	int fd;            /* 0: free */
	uint64_t since_us; /* of its beginning or its last request, on the herd's clock */
};

struct http {
	const struct options *options;
	struct picture picture; /* as given, and our own counts */
	struct guard_listen listen;
	struct tokens tokens;
	char *cert, *key; /* PEM; NULL without TLS */
	bool token_needed;
	char page[ADDRESS_TEXT_MAX + 32]; /* its URL */
	int fd;                           /* that listens, until MHD has it */
	struct MHD_Daemon *daemon;
	struct ev_loop *loop;
	ev_io readable;
	ev_timer timer;
	uint64_t tick;
	struct place place[HTTP_CONNECTIONS_MAX];
	struct kept kept[ROUTES][ROUTE_VARIANTS];
	struct route_timeline timeline;
};

/* What the headers say, gathered in one walk. */
struct headers {
	const char *host, *origin, *authorization, *length;
	unsigned hosts, authorizations, lengths;
	bool chunked;
};

static const char *scheme(const struct http *http)
{
	return http->cert != NULL ? "https" : "http";
}

/* --- Answers --- */

static struct MHD_Response *add_headers(struct MHD_Response *response, const char *type)
{
	static const char *const headers[][2] = {
		{MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
		{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
	};
	if (response == NULL)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	return response;
}

/* Takes the text. */
static struct MHD_Response *respond(char *text, size_t length, const char *type)
{
	if (text == NULL)
		return NULL;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		length, text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(text);
	return add_headers(response, type);
}

static enum MHD_Result send_response(struct http *http, struct MHD_Connection *connection,
	unsigned status, struct MHD_Response *response)
{
	http->picture.answers[status / 100 - 1]++;
	return MHD_queue_response(connection, status, response);
}

/* The last resort when there is no memory is to close the connection. */
static enum MHD_Result refuse(struct http *http, struct MHD_Connection *connection,
	const struct problem *problem, const char *path)
{
	char *text = problem_text(problem, path);
	struct MHD_Response *response = respond(
		text, text != NULL ? strlen(text) : 0, "application/problem+json");
	if (response == NULL)
		return MHD_NO;
	if (problem->kind == PROBLEM_METHOD)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (problem->kind == PROBLEM_UNAUTHORIZED)
		MHD_add_response_header(
			response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"sipherd\"");
	if (problem->kind == PROBLEM_NOT_READY)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	enum MHD_Result result = send_response(
		http, connection, problem_status(problem->kind), response);
	MHD_destroy_response(response);
	return result;
}

/* --- Who asks --- */

static enum MHD_Result take_header(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *headers = context;
	(void)kind;
	if (value == NULL)
		value = "";
	if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
		headers->host = value;
		headers->hosts++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
		headers->authorization = value;
		headers->authorizations++;
	} else if (strcasecmp(name, "Origin") == 0) {
		headers->origin = value;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		headers->length = value;
		headers->lengths++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		headers->chunked = true;
	}
	return MHD_YES;
}

static bool check_place(const struct http *http, const struct headers *h, struct problem *problem)
{
	const struct option_list *names = &http->options->http_host;
	if (h->hosts != 1 || h->lengths > 1)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
			"one Host header is needed, and at most one Content-Length");
	if (!guard_host_is_ours(h->host, &http->listen, names->item, names->count))
		return problem_set(problem, PROBLEM_FOREIGN_HOST,
			"this name is not known here; sipherd run --http-host NAME adds it");
	if (h->origin != NULL && !guard_origin_is_ours(h->origin, scheme(http), h->host))
		return problem_set(problem, PROBLEM_FOREIGN_ORIGIN,
			"only a page that came from this very address may ask");
	return true;
}

/* A token that is given must be right, also where none is needed. */
static bool check_token(const struct http *http, const struct headers *h, struct problem *problem)
{
	if (h->authorizations == 0 && !http->token_needed)
		return true;
	if (h->authorizations == 0)
		return problem_set(problem, PROBLEM_UNAUTHORIZED,
			"send Authorization: Bearer TOKEN; sipherd named the tokens' file at its "
			"start");
	const char *given = h->authorizations == 1 ? guard_bearer(h->authorization) : NULL;
	if (given != NULL && tokens_role(&http->tokens, given) != ROLE_NOBODY)
		return true;
	return problem_set(problem, PROBLEM_UNAUTHORIZED,
		"this is no token of this run; each start makes new ones");
}

static bool check_request(const struct http *http, const struct headers *h, const char *path,
	const char *method, struct problem *problem)
{
	uint32_t length;
	if (!check_place(http, h, problem) || !check_token(http, h, problem))
		return false;
	if (strlen(path) > HTTP_PATH_MAX)
		return problem_set(
			problem, PROBLEM_URI_TOO_LONG, "at most %d bytes", HTTP_PATH_MAX);
	if (h->chunked)
		return problem_set(problem, PROBLEM_LENGTH,
			"send Content-Length instead of Transfer-Encoding");
	if (h->length != NULL && !guard_number(h->length, 0, HTTP_BODY_MAX, &length))
		return problem_set(
			problem, PROBLEM_TOO_LARGE, "at most %d bytes are read", HTTP_BODY_MAX);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return problem_set(problem, PROBLEM_METHOD, "only GET and HEAD are answered");
	return true;
}

/* --- What is asked --- */

/* A NUL would hide what stands behind it: it becomes a character that no path and no number has. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context, (void)connection;
	const size_t length = MHD_http_unescape(text);
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0')
			text[i] = '\1';
	return length;
}

struct query {
	const struct route_query *known; /* NULL: none is */
	uint32_t value;
	struct problem *problem; /* NULL once one is found */
};

static enum MHD_Result take_query(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct query *query = context;
	const struct route_query *known = query->known;
	(void)kind;
	if (known == NULL || strcmp(name, known->name) != 0)
		problem_set(query->problem, PROBLEM_BAD_REQUEST,
			"this path takes %s%s in its query", known != NULL ? "only " : "nothing",
			known != NULL ? known->name : "");
	else if (value == NULL || !guard_number(value, known->low, known->high, &query->value))
		problem_set(query->problem, PROBLEM_BAD_REQUEST,
			"%s is a whole number from %u to %u", known->name, known->low, known->high);
	else
		return MHD_YES;
	query->problem = NULL;
	return MHD_NO;
}

static struct MHD_Response *make(struct http *http, const struct route *route, unsigned which)
{
	char *text;
	size_t length = 0;
	if (route->kind == ROUTE_METRICS) {
		text = metrics_text(&http->picture, &length);
		return respond(text, length, METRICS_CONTENT_TYPE);
	}
	text = route->kind == ROUTE_OPENAPI ? openapi_text(&http->picture, http->token_needed)
					    : route_json(route, which, &http->picture);
	return respond(text, text != NULL ? strlen(text) : 0, "application/json");
}

static struct MHD_Response *keep(struct kept *kept, struct MHD_Response *response, uint64_t key)
{
	if (kept->response != NULL)
		MHD_destroy_response(kept->response);
	*kept = (struct kept){response, key};
	return response;
}

/* The answer of this tick, made by the first who asks for it. It stays ours. */
static struct MHD_Response *current(struct http *http, const struct route *route, unsigned which)
{
	struct kept *kept = &http->kept[route - routes][which];
	const uint64_t key = route->kind == ROUTE_OPENAPI ? 0 : http->tick;
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
	struct kept *kept = &http->kept[route - routes][0];
	const uint64_t key = http->picture.tally->passed * (PICTURE_TIMELINE_S + 1) + seconds;
	size_t length = 0;
	if (kept->response != NULL && kept->key == key)
		return kept->response;
	char *text = route_timeline_tail(&http->timeline, &http->picture, seconds, &length);
	return keep(kept, respond(text, length, "application/json"), key);
}

/* NULL: the problem says why. */
static struct MHD_Response *find_answer(struct http *http, struct MHD_Connection *connection,
	const char *path, struct problem *problem)
{
	unsigned which;
	char why[PICTURE_WHY_MAX];
	const struct route *route = route_find(path, &which);
	if (route == NULL) {
		problem_set(problem, PROBLEM_NOT_FOUND, "/api/v1/openapi.json tells what there is");
		return NULL;
	}
	struct query query = {.known = route->query,
		.value = route->query != NULL ? route->query->standard : 0,
		.problem = problem};
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
	if (query.problem == NULL)
		return NULL;
	if (route->kind == ROUTE_READY && !picture_is_ready(&http->picture, why, sizeof(why))) {
		problem_set(problem, PROBLEM_NOT_READY, "%s", why);
		return NULL;
	}
	problem_set(problem, PROBLEM_OUT_OF_MEMORY, "try again");
	return route->kind == ROUTE_TIMELINE ? timeline(http, route, query.value)
					     : current(http, route, which);
}

/* --- Connections --- */

static void on_connection(void *context, struct MHD_Connection *connection, void **place,
	enum MHD_ConnectionNotificationCode what)
{
	struct http *http = context;
	struct place *own = *place;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (own != NULL)
			own->fd = 0;
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX && *place == NULL; i++)
		if (http->place[i].fd == 0)
			*place = &http->place[i];
	if (*place != NULL)
		*(struct place *)*place = (struct place){
			info->connect_fd, http->picture.now->now_us};
}

static void touch(const struct http *http, struct MHD_Connection *connection)
{
	struct place *place = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				      ->socket_context;
	if (place != NULL)
		place->since_us = http->picture.now->now_us;
}

/* MHD's own time-out leaves a TLS handshake alone, and starts anew with every byte. */
static void hang_up_on_dawdlers(struct http *http)
{
	const uint64_t now_us = http->picture.now->now_us;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		if (http->place[i].fd != 0 &&
			now_us - http->place[i].since_us > HTTP_REQUEST_S * 1000000ull)
			shutdown(http->place[i].fd, SHUT_RDWR);
}

/* MHD calls this when the headers are there, then for each part of a body, then once more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **request)
{
	struct http *http = context;
	struct headers headers = {0};
	struct problem problem;
	const bool first = *request == NULL;
	(void)version, (void)upload;
	*request = http;
	if (first)
		touch(http, connection);
	if (*upload_size > 0) {
		*upload_size = 0; /* at most HTTP_BODY_MAX in all, or it had been refused */
		return MHD_YES;
	}
	MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, &headers);
	const bool good = check_request(http, &headers, path, method, &problem);
	/* A body that is not wanted is refused before it is read, which ends the connection. */
	if (first && (good || (headers.length == NULL && !headers.chunked)))
		return MHD_YES;
	if (!good)
		return refuse(http, connection, &problem, path);
	struct MHD_Response *response = find_answer(http, connection, path, &problem);
	return response != NULL ? send_response(http, connection, MHD_HTTP_OK, response)
				: refuse(http, connection, &problem, path);
}

/* --- The loop --- */

/* Whatever can be done is done; then the timer is set for what MHD waits for. */
static void run_daemon(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	MHD_run(http->daemon);
	ev_timer_stop(http->loop, &http->timer);
	if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES)
		return;
	ev_timer_set(&http->timer, (double)wait_ms / 1e3, 0);
	ev_timer_start(http->loop, &http->timer);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	run_daemon(io->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	run_daemon(timer->data);
}

void http_update(struct http *http, bool stopping)
{
	if (http == NULL)
		return;
	http->tick++;
	http->picture.stopping = stopping;
	hang_up_on_dawdlers(http);
	/* Where all places were taken and one is free now, MHD has to be run to see that. */
	run_daemon(http);
}

/* --- Opening --- */

static char *read_pem(const char *option, const char *path)
{
	char *text = calloc(1, PEM_MAX + 1);
	FILE *file = fopen(path, "re");
	size_t n = text != NULL && file != NULL ? fread(text, 1, PEM_MAX + 1, file) : 0;
	int reason = errno;
	if (file != NULL)
		fclose(file);
	if (n > 0 && n <= PEM_MAX)
		return text;
	fprintf(stderr, "sipherd: --%s %s: %s. It takes a PEM file of at most 64 KiB.\n", option,
		path,
		file == NULL ? strerror(reason)
		: n == 0     ? "is empty"
			     : "is too large");
	free(text);
	return NULL;
}

static int take_tls(struct http *http)
{
	const struct options *o = http->options;
	if (o->http_tls_cert == NULL && o->http_tls_key == NULL)
		return EXIT_DONE;
	if (o->http_tls_cert == NULL || o->http_tls_key == NULL) {
		fprintf(stderr,
			"sipherd: --http-tls-cert and --http-tls-key go together: give both.\n");
		return EXIT_USAGE;
	}
	if (MHD_is_feature_supported(MHD_FEATURE_SSL) != MHD_YES) {
		fprintf(stderr,
			"sipherd: this libmicrohttpd has no TLS. Serve a loopback address, and "
			"put a proxy with TLS before it.\n");
		return EXIT_HOST;
	}
	http->cert = read_pem("http-tls-cert", o->http_tls_cert);
	http->key = http->cert != NULL ? read_pem("http-tls-key", o->http_tls_key) : NULL;
	return http->key != NULL ? EXIT_DONE : EXIT_HOST;
}

/* What is asked for, checked before anything is opened. */
static int take_options(struct http *http)
{
	const struct options *o = http->options;
	char name[GUARD_HOST_MAX];
	if (guard_listen_parse(o->http != NULL ? o->http : HTTP_DEFAULT, &http->listen) != 0) {
		fprintf(stderr,
			"sipherd: --http '%s' is no ADDRESS:PORT, such as 127.0.0.1:8470 or "
			"[::1]:8470, and not none.\n",
			o->http);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < o->http_host.count; i++)
		if (!guard_host_parse(o->http_host.item[i], name)) {
			fprintf(stderr, "sipherd: --http-host '%s' is no host name.\n",
				o->http_host.item[i]);
			return EXIT_USAGE;
		}
	int status = take_tls(http);
	if (status != EXIT_DONE)
		return status;
	http->token_needed = !http->listen.loopback || o->http_auth;
	if (http->listen.loopback || http->cert != NULL)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: --http %s can be reached from other hosts and needs TLS: give "
		"--http-tls-cert FILE and --http-tls-key FILE, or serve 127.0.0.1.\n",
		o->http);
	return EXIT_USAGE;
}

static socklen_t socket_address(const struct guard_listen *listen, struct sockaddr_storage *out)
{
	*out = (struct sockaddr_storage){0};
	if (listen->address.family == ADDRESS_IPV4) {
		struct sockaddr_in *four = (struct sockaddr_in *)out;
		four->sin_family = AF_INET;
		four->sin_port = htons(listen->port);
		memcpy(&four->sin_addr, listen->address.bytes, sizeof(four->sin_addr));
		return sizeof(*four);
	}
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(listen->port);
	memcpy(&six->sin6_addr, listen->address.bytes, sizeof(six->sin6_addr));
	return sizeof(*six);
}

/* Listens, and learns the port where any was good. 0 or -errno. */
static int listen_on(struct http *http)
{
	struct sockaddr_storage address;
	socklen_t length = socket_address(&http->listen, &address);
	const int on = 1;
	http->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (http->fd < 0)
		return -errno;
	setsockopt(http->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address.ss_family == AF_INET6)
		setsockopt(http->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(http->fd, (struct sockaddr *)&address, length) != 0 ||
		listen(http->fd, HTTP_CONNECTIONS_MAX) != 0 ||
		getsockname(http->fd, (struct sockaddr *)&address, &length) != 0)
		return -errno;
	http->listen.port = ntohs(address.ss_family == AF_INET6
					  ? ((struct sockaddr_in6 *)&address)->sin6_port
					  : ((struct sockaddr_in *)&address)->sin_port);
	return 0;
}

static int write_tokens(struct http *http)
{
	const struct share *share = http->picture.share;
	const struct fleet *fleet = http->picture.fleet;
	char path[sizeof(http->tokens.path)];
	snprintf(path, sizeof(path), "%s/%s.%u.tokens", fleet->state, fleet->name,
		share->image.slot);
	int status = tokens_open(&http->tokens, share->has_image ? path : NULL);
	if (status == 0)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: the tokens of the HTTP API cannot be written to %s: %s. Another folder "
		"is chosen by --state DIR; --http none serves nothing.\n",
		share->has_image ? path : "/tmp", strerror(-status));
	return EXIT_HOST;
}

/* The port is taken, or there is no such address. Who did not ask for it goes on without. */
static int cannot_listen(struct http *http, int reason)
{
	const bool asked = http->options->http != NULL;
	fprintf(stderr,
		"%s: the HTTP API cannot listen on %s: %s.%s Another place is chosen by --http "
		"ADDRESS:PORT, 127.0.0.1:0 takes any free port.\n",
		asked ? "sipherd" : "warning", asked ? http->options->http : HTTP_DEFAULT,
		strerror(-reason), asked ? "" : " This run goes on without it.");
	return asked ? EXIT_HOST : EXIT_DONE;
}

const char *http_page(const struct http *http)
{
	return http != NULL ? http->page : NULL;
}

static void tell(struct http *http)
{
	char address[ADDRESS_TEXT_MAX];
	const bool six = http->listen.address.family == ADDRESS_IPV6;
	address_format(&http->listen.address, address);
	snprintf(http->page, sizeof(http->page), "%s://%s%s%s:%u/", scheme(http), six ? "[" : "",
		address, six ? "]" : "", http->listen.port);
	printf("page: %s\nhttp: %sapi/v1/fleet, tokens in %s\n", http->page, http->page,
		http->tokens.path);
	if (http->listen.any && http->options->http_host.count == 0)
		fprintf(stderr,
			"warning: --http-host NAME tells by which names other hosts may ask; "
			"without it only this one can\n");
}

static struct MHD_Daemon *new_daemon(struct http *http)
{
	struct MHD_OptionItem options[12];
	size_t n = 0;
	const unsigned flags = MHD_USE_EPOLL | (http->cert != NULL ? MHD_USE_TLS : 0);
	options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, http->fd, NULL};
	options[n++] = (struct MHD_OptionItem){
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL};
	options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S, NULL};
	options[n++] = (struct MHD_OptionItem){
		MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)unescape, NULL};
	if (http->cert != NULL) {
		options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, http->cert};
		options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, http->key};
		options[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES};
	}
	options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, http,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_ARRAY, options,
		MHD_OPTION_END);
}

/* Reads the certificate too; nothing is answered before it is run. */
static int start_daemon(struct http *http)
{
	http->daemon = new_daemon(http);
	if (http->daemon == NULL) {
		fprintf(stderr,
			"sipherd: the HTTP API cannot be started%s. --http none serves nothing.\n",
			http->cert != NULL ? ": look at the certificate and its key" : "");
		return EXIT_HOST;
	}
	http->fd = -1; /* MHD closes it */
	return EXIT_DONE;
}

bool http_is_wanted(const struct options *options)
{
	return options->http == NULL || strcmp(options->http, "none") != 0;
}

int http_open(struct http **out, const struct options *options, const struct picture *picture)
{
	*out = NULL;
	if (!http_is_wanted(options))
		return EXIT_DONE;
	struct http *http = calloc(1, sizeof(*http));
	if (http == NULL) {
		fprintf(stderr, "sipherd: out of memory for the HTTP API\n");
		return EXIT_HOST;
	}
	http->options = options;
	http->picture = *picture;
	http->fd = -1;
	http->tick = 1;
	int status = take_options(http);
	int listening = status == EXIT_DONE ? listen_on(http) : 0;
	if (listening != 0)
		status = cannot_listen(http, listening);
	else if (status == EXIT_DONE)
		status = start_daemon(http);
	if (listening == 0 && status == EXIT_DONE)
		status = write_tokens(http);
	if (listening != 0 || status != EXIT_DONE) {
		http_close(http);
		return status;
	}
	tell(http);
	*out = http;
	return EXIT_DONE;
}

void http_start(struct http *http, struct ev_loop *loop, const struct picture *picture)
{
	if (http == NULL)
		return;
	http->picture = *picture;
	http->loop = loop;
	ev_io_init(&http->readable, on_readable,
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, EV_READ);
	ev_timer_init(&http->timer, on_timer, 0, 0);
	http->readable.data = http->timer.data = http;
	ev_io_start(loop, &http->readable);
	run_daemon(http);
}

static void forget_pem(char *text)
{
	if (text != NULL)
		explicit_bzero(text, PEM_MAX);
	free(text);
}

void http_close(struct http *http)
{
	if (http == NULL)
		return;
	if (http->loop != NULL) {
		ev_io_stop(http->loop, &http->readable);
		ev_timer_stop(http->loop, &http->timer);
	}
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon);
	if (http->fd >= 0)
		close(http->fd);
	for (size_t i = 0; i < ROUTES; i++)
		for (size_t n = 0; n < ROUTE_VARIANTS; n++)
			keep(&http->kept[i][n], NULL, 0);
	route_timeline_free(&http->timeline);
	tokens_close(&http->tokens);
	forget_pem(http->cert);
	forget_pem(http->key);
	free(http);
}
