/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the HTTP API share.
 *
 *   http.c          the daemon, the loop, connections that come and go, a request from its first call to
 *                   its last
 *   http_open.c     what is asked for on the command line, listening, TLS, tokens
 *   http_request.c  who asks, and what: headers, role, path, query, body
 *   http_answer.c   what is sent: answers that are kept for a tick, pages, streams, problems
 */
#ifndef SIPHERD_HTTP_INTERNAL_H
#define SIPHERD_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "audit.h"
#include "drilling.h"
#include "guard.h"
#include "http.h"
#include "problem.h"
#include "routes.h"
#include "steer.h"
#include "tokens.h"

#define HTTP_PEM_MAX 65536

/* An answer as of a tick; shared by all who ask in it, and kept by those who read slowly. */
struct http_kept {
	struct MHD_Response *response;
	uint64_t key; /* of what it shows */
};

/* A connection: it must bring a request now and then, or it only takes a place that others need. */
struct http_place {
	int fd;            /* 0: free */
	bool listens;      /* to events: then it may last */
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
	struct http_place place[HTTP_CONNECTIONS_MAX];
	struct http_kept kept[ROUTES][ROUTE_VARIANTS];
	struct route_timeline timeline;
	struct phones *phones;
	struct steer steer;
	struct drilling drilling;
	struct audit audit;
};

/* A request, from its headers to its end. */
struct http_request {
	const char *method;
	const struct route *route; /* NULL: there is none */
	unsigned methods;          /* that its path has, a bit each */
	enum token_role role;
	bool good;              /* so far; else the problem says why not */
	bool is_endless;        /* its body is longer than we read, or nobody knows how long */
	struct problem problem; /* kind and detail */
	struct asked asked;
	unsigned status;     /* of the answer */
	size_t length, room; /* of the body; room 0: it is not kept */
	char *body;
};

static inline const char *http_scheme(const struct http *http)
{
	return http->cert != NULL ? "https" : "http";
}

/* http_open.c: all but the daemon and the tokens come from here. EXIT_DONE or an exit code. */
int http_take_options(struct http *http);
/* 0 or -errno; then http_cannot_listen says what that means. */
int http_listen_on(struct http *http);
int http_cannot_listen(const struct http *http, int reason);
int http_write_tokens(struct http *http);
int http_open_audit(struct http *http);
void http_tell(struct http *http);
void http_forget_pem(char *text);

/* http.c: the connection's place; there are as many as the daemon takes connections. */
struct http_place *http_place(struct MHD_Connection *connection);

/* http_request.c: the headers are there. Who asks and what is judged, but for the body. NULL: out of
 * memory. */
struct http_request *http_request_new(const struct http *http, struct MHD_Connection *connection,
	const char *path, const char *method);
/* A part of the body, and all of it. */
void http_request_take(struct http_request *request, const char *part, size_t length);
void http_request_complete(struct http_request *request);
void http_request_free(struct http_request *request);
/* How MHD is to read %XX. */
size_t http_unescape(void *context, struct MHD_Connection *connection, char *text);

/* http_answer.c: queue what the request gets. */
enum MHD_Result http_answer(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path);
enum MHD_Result http_refuse(struct http *http, struct MHD_Connection *connection,
	struct http_request *request, const char *path);
void http_forget_answers(struct http *http);

#endif
