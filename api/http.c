/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon and its loop: connections that come and go, and requests from first to last. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "http_internal.h"
#include "phones.h"

#define LAST_WAITS 100 /* of 10 ms each, at most, once the end has been told */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* --- Connections --- */

static void on_connection(void *context, struct MHD_Connection *connection, void **place,
	enum MHD_ConnectionNotificationCode what)
{
	struct http *http = context;
	struct http_place *own = *place;
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
		*(struct http_place *)*place = (struct http_place){
			.fd = info->connect_fd, .since_us = http->picture.now->now_us};
}

struct http_place *http_place(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

static void touch(const struct http *http, struct MHD_Connection *connection)
{
	struct http_place *place = http_place(connection);
	place->since_us = http->picture.now->now_us;
	place->listens = false;
}

/* MHD's own time-out leaves a TLS handshake alone, and starts anew with every byte. */
static void hang_up_on_dawdlers(struct http *http)
{
	const uint64_t now_us = http->picture.now->now_us;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		if (http->place[i].fd != 0 && !http->place[i].listens &&
			now_us - http->place[i].since_us > HTTP_REQUEST_S * 1000000ull)
			shutdown(http->place[i].fd, SHUT_RDWR);
}

/* --- Requests --- */

/* What operators have changed, or tried to, is remembered. */
static void note(struct http *http, struct MHD_Connection *connection,
	const struct http_request *request, const char *path)
{
	if (request->route == NULL || request->route->method == ROUTE_GET ||
		request->role != ROLE_OPERATOR || request->problem.kind == PROBLEM_TOO_MANY)
		return;
	const union MHD_ConnectionInfo *peer = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	audit_write(&http->audit, &(struct audit_entry){.unix_ms = events_unix_ms(),
					  .peer = peer != NULL ? peer->client_addr : NULL,
					  .role = tokens_role_name(request->role),
					  .method = request->method,
					  .path = path,
					  .body = request->body,
					  .length = request->length,
					  .status = request->status});
}

/* MHD calls this when the headers are there, then for each part of a body, then once more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **state)
{
	struct http *http = context;
	struct http_request *request = *state;
	(void)version;
	if (request == NULL) {
		touch(http, connection);
		*state = request = http_request_new(http, connection, path, method);
		if (request == NULL)
			return MHD_NO;
		/* A refusal before the body is read ends the connection, and may get lost with
		 * it: so only where the body would not end. */
		return request->good || !request->is_endless
			       ? MHD_YES
			       : http_refuse(http, connection, request, path);
	}
	if (*upload_size > 0) {
		http_request_take(request, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	http_request_complete(request);
	const enum MHD_Result result = request->good ? http_answer(http, connection, request, path)
						     : http_refuse(http, connection, request, path);
	note(http, connection, request, path);
	return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
	enum MHD_RequestTerminationCode how)
{
	(void)context, (void)connection, (void)how;
	if (*state != NULL)
		http_request_free(*state);
	*state = NULL;
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
	phones_tick(http->phones);
	wire_trace_collect(http->picture.wire);
	hang_up_on_dawdlers(http);
	/* Where all places were taken and one is free now, MHD has to be run to see that. */
	run_daemon(http);
}

/* --- From beginning to end --- */

static struct MHD_Daemon *new_daemon(struct http *http)
{
	struct MHD_OptionItem options[12];
	size_t n = 0;
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
			       (http->cert != NULL ? MHD_USE_TLS : 0);
	options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, http->fd, NULL};
	options[n++] = (struct MHD_OptionItem){
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL};
	options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S, NULL};
	options[n++] = (struct MHD_OptionItem){
		MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)http_unescape, NULL};
	if (http->cert != NULL) {
		options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, http->cert};
		options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, http->key};
		options[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES};
	}
	options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, http,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, http, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
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

static int no_memory(void)
{
	fprintf(stderr, "sipherd: out of memory for the HTTP API\n");
	return EXIT_HOST;
}

int http_open(struct http **out, const struct options *options, const struct picture *picture)
{
	*out = NULL;
	if (!http_is_wanted(options))
		return EXIT_DONE;
	struct http *http = calloc(1, sizeof(*http));
	if (http == NULL)
		return no_memory();
	http->options = options;
	http->picture = *picture;
	http->fd = -1;
	http->tick = 1;
	steer_open(&http->steer, picture->fleet);
	int status = phones_open(&http->phones) == 0 ? http_take_options(http) : no_memory();
	int listening = status == EXIT_DONE ? http_listen_on(http) : 0;
	if (listening != 0)
		status = http_cannot_listen(http, listening);
	else if (status == EXIT_DONE)
		status = start_daemon(http);
	if (listening == 0 && status == EXIT_DONE)
		status = http_write_tokens(http);
	if (listening == 0 && status == EXIT_DONE)
		status = http_open_audit(http);
	if (listening != 0 || status != EXIT_DONE) {
		http_close(http);
		return status;
	}
	http_tell(http);
	*out = http;
	return EXIT_DONE;
}

void http_start(struct http *http, struct ev_loop *loop, const struct picture *picture)
{
	if (http == NULL)
		return;
	http->picture = *picture;
	http->picture.phones = http->phones;
	http->picture.steer = &http->steer;
	http->picture.drilling = &http->drilling;
	http->loop = loop;
	ev_io_init(&http->readable, on_readable,
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, EV_READ);
	ev_timer_init(&http->timer, on_timer, 0, 0);
	http->readable.data = http->timer.data = http;
	ev_io_start(loop, &http->readable);
	run_daemon(http);
}

/* Those who listen hear the last of it, if they read at all. */
static void let_them_hear(struct http *http)
{
	const struct events *events = http->picture.events;
	struct pollfd epoll = {.events = POLLIN,
		.fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd};
	for (int i = 0; i < LAST_WAITS && events_listeners(events) > 0; i++) {
		MHD_run(http->daemon);
		poll(&epoll, 1, i < 10 ? 0 : 10);
	}
}

void http_close(struct http *http)
{
	if (http == NULL)
		return;
	if (http->loop != NULL) {
		ev_io_stop(http->loop, &http->readable);
		ev_timer_stop(http->loop, &http->timer);
	}
	if (http->daemon != NULL) {
		let_them_hear(http);
		MHD_stop_daemon(http->daemon);
	}
	if (http->fd >= 0)
		close(http->fd);
	http_forget_answers(http);
	phones_close(http->phones);
	audit_close(&http->audit);
	tokens_close(&http->tokens);
	http_forget_pem(http->cert);
	http_forget_pem(http->key);
	free(http);
}
