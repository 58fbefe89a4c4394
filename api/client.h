/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP client of sipherd ctl and sipherd top: libcurl, for one server, without redirects, without
 * proxies, with bounded answers.
 *
 * The token comes from a file, SIPHERD_TOKEN, or the file that the run on this host wrote for its owner;
 * never from the command line, which ps shows. It is sent over TLS, or to this very host.
 */
#ifndef SIPHERD_CLIENT_H
#define SIPHERD_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>

#include "options.h"

#define CLIENT_URL_DEFAULT "http://127.0.0.1:8470"
#define CLIENT_ANSWER_MAX (64u << 20)
#define CLIENT_REQUEST_S 20 /* for an answer, streams aside */
#define CLIENT_WHY_MAX 600
#define CLIENT_PATH_MAX 2000 /* behind the host, the query with it */

struct client;
struct client_call;

struct client_answer {
	long code;  /* of HTTP; 0: there is no answer */
	char *text; /* NUL behind it */
	size_t length;
	bool json;
	char why[CLIENT_WHY_MAX]; /* what went wrong, with a remedy, in one line; empty for 2xx */
};

/* done is called once, in client_turn; the answer is freed behind it. */
typedef void (*client_done)(void *context, const struct client_answer *answer);
typedef void (*client_bytes)(void *context, const char *bytes, size_t length);

/* EXIT_DONE, or EXIT_USAGE or EXIT_HOST after a message. */
int client_open(struct client **out, const struct options *options);
void client_close(struct client *client);
const char *client_url(const struct client *client);

/* One request, until it is answered. body: JSON, NULL without. */
void client_ask(struct client *client, const char *method, const char *path, const char *body,
	struct client_answer *answer);
void client_answer_free(struct client_answer *answer);

/* A request that is answered in some later client_turn; NULL: out of memory. */
struct client_call *client_begin(struct client *client, const char *method, const char *path,
	const char *body, client_done done, void *context);
/* An answer without an end, in pieces: text/event-stream. last_id may be empty. */
struct client_call *client_stream(struct client *client, const char *path, const char *last_id,
	client_bytes bytes, client_done done, void *context);
/* Take back one that is not done; done is not called. */
void client_cancel(struct client *client, struct client_call *call);
/* Serve all calls; return after at most so long, or when one of extra is readable. */
void client_turn(struct client *client, struct curl_waitfd *extra, unsigned extras, int timeout_ms);

/* Text of somebody else is not to steer a terminal: control characters become question marks, NUL among
 * them, line feeds and tabs too unless they are kept. Returns text. */
char *client_clean(char *text, size_t length, bool keep_lines);

/* EXIT_DONE for 2xx; else the exit code for it after the message. */
int client_exit(const struct client_answer *answer);

#endif
