/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP API: libmicrohttpd driven by the control loop, without a thread of its own.
 *
 * Its epoll descriptor is watched by the loop, its time-outs by a timer. Answers are made at most once
 * per tick, whoever asks and how often. Nothing here may be slow or fail the run once it has begun.
 *
 * What is no HTTP at all, or does not fit 32 KiB of headers, libmicrohttpd refuses by itself, in HTML; all
 * other errors are problem objects.
 *
 * Who may ask: see guard.h and tokens.h. Loopback is open to readers; any other address takes TLS and
 * a token. In this order: http_open, http_start, then http_update per tick; http_close at any time.
 */
#ifndef SIPHERD_HTTP_H
#define SIPHERD_HTTP_H

#include <ev.h>

#include "options.h"
#include "picture.h"

#define HTTP_DEFAULT "127.0.0.1:8470"
#define HTTP_CONNECTIONS_MAX 512 /* of these, EVENTS_LISTENERS_MAX may listen to events */
#define HTTP_IDLE_S 10           /* without a byte */
#define HTTP_REQUEST_S 15        /* without a whole request; also the time to read an answer */
#define HTTP_BODY_MAX 65536
#define HTTP_PATH_MAX 2048

struct http;

/* Not `none`. What is wanted may still not come about: see http_open. */
bool http_is_wanted(const struct options *options);

/* Listens and writes the tokens. EXIT_DONE, with *out NULL where nothing is served: `none`, or the
 * default port is taken (a warning). EXIT_USAGE or EXIT_HOST after a message. Of the picture only fleet
 * and share are needed, and they are kept. */
int http_open(struct http **out, const struct options *options, const struct picture *picture);

/* Where the page is, "http://127.0.0.1:8470/"; NULL where nothing is served. */
const char *http_page(const struct http *http);

/* From now on requests are answered whenever the loop runs, from this picture, all of which is kept. */
void http_start(struct http *http, struct ev_loop *loop, const struct picture *picture);

/* A new picture is there. */
void http_update(struct http *http, bool stopping);

void http_close(struct http *http);

#endif
