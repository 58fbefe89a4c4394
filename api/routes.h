/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The route table: what may be asked, how, and what describes the answer. A row is a path and one
 * method; the OpenAPI document is made from the same rows.
 *
 * Most answers are made from the picture alone, once a tick, whoever asks. Those of rows with `act`
 * are made for one request: `act` looks up or does what is asked, and keeps what `describe` or
 * `bytes` tells of it until the next request (control thread: there is no other in between).
 */
#ifndef SIPHERD_ROUTES_H
#define SIPHERD_ROUTES_H

#include "ask.h"
#include "picture.h"
#include "shape.h"

#define ROUTES 28
#define ROUTE_VARIANTS 16 /* at most so many names may stand in a path */

enum route_method { ROUTE_GET, ROUTE_POST, ROUTE_PATCH, ROUTE_METHODS };

enum route_kind {
	ROUTE_JSON,     /* made anew when the picture is a newer one */
	ROUTE_READY,    /* the same, or a problem */
	ROUTE_METRICS,  /* Prometheus text */
	ROUTE_TIMELINE, /* a tail of one list */
	ROUTE_OPENAPI,  /* never changes */
	ROUTE_MAP,      /* every phone's state, compressed */
	ROUTE_ASKED,    /* JSON for this request, by `act` and `describe` */
	ROUTE_BYTES,    /* a file for this request, by `act` and `bytes` */
	ROUTE_LASTING,  /* the same, of which the number in the path says all: it never changes */
	ROUTE_STREAM,   /* server-sent events */
	ROUTE_PAGE,     /* files of the page: open to all, they hold no data */
	ROUTE_KINDS
};

struct route {
	const char *path;   /* {parameter} is one of names, or a number */
	const char *schema; /* name of the answer's schema; NULL: it is no JSON */
	const char *help;
	uint8_t method;        /* enum route_method */
	uint8_t kind;          /* enum route_kind */
	uint8_t variants;      /* how many names */
	uint16_t status;       /* of a good answer; 0: 200 */
	const char *type;      /* of `bytes` */
	const char *security;  /* of `bytes` that are a page: its Content-Security-Policy */
	const char *parameter; /* the braces' word, NULL without */
	const char *const *names;
	const struct ask_field *query; /* NULL: none is taken */
	const struct ask_field *body;  /* of POST and PATCH */
	const char *body_schema;       /* its name */
	/* False: the problem says why. */
	bool (*act)(
		const struct picture *picture, const struct asked *asked, struct problem *problem);
	void (*describe)(struct shape *shape, const struct picture *picture, unsigned which);
	/* Does this body only ask what would be done? Then a good answer has 200. NULL: none can. */
	bool (*is_dry)(const struct asked *asked);
	/* To be freed; NULL: out of memory. */
	uint8_t *(*bytes)(const struct picture *picture, size_t *length);
};

extern const struct route routes[ROUTES];

const char *route_method_name(enum route_method method);

/* The row for a path and a method (HEAD is GET), and what the path says. NULL: *methods has a bit for
 * each that the path does have, 0: there is no such path. */
const struct route *route_find(
	const char *path, const char *method, struct asked *asked, unsigned *methods);

/* The answer as text to be freed; NULL: out of memory. For JSON that `describe` makes. */
char *route_json(const struct route *route, unsigned which, const struct picture *picture);

/* Answers of ROUTE_TIMELINE: all seconds as text, made once a second, of which any tail can be cut. */
struct route_timeline {
	char *text;
	size_t length;
	uint64_t passed; /* of the tally it was made from */
	uint32_t count;
	size_t offset[PICTURE_TIMELINE_S + 1];
};

/* The newest `seconds` as text to be freed, its length in *length; NULL: out of memory. */
char *route_timeline_tail(struct route_timeline *timeline, const struct picture *picture,
	uint32_t seconds, size_t *length);
void route_timeline_free(struct route_timeline *timeline);

#endif
