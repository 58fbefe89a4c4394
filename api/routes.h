/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The route table: what may be asked, and what describes the answer. The OpenAPI document is made from
 * the same rows.
 */
#ifndef SIPHERD_ROUTES_H
#define SIPHERD_ROUTES_H

#include "picture.h"
#include "shape.h"

#define ROUTES 11
#define ROUTE_VARIANTS 4 /* at most so many names may stand in a path */

enum route_kind {
	ROUTE_JSON,     /* made anew when the picture is a newer one */
	ROUTE_READY,    /* the same, or a problem */
	ROUTE_METRICS,  /* Prometheus text */
	ROUTE_TIMELINE, /* a tail of one list */
	ROUTE_OPENAPI,  /* never changes */
};

/* A whole number in the query. */
struct route_query {
	const char *name, *help;
	uint32_t low, high, standard;
};

struct route {
	const char *path;   /* {name} is one of names */
	const char *schema; /* name of the answer's schema */
	const char *help;
	uint8_t kind; /* enum route_kind */
	uint8_t variants;
	const char *parameter; /* the braces' word, NULL without */
	const char *const *names;
	const struct route_query *query; /* NULL: none is taken */
	void (*describe)(struct shape *shape, const struct picture *picture, unsigned which);
};

extern const struct route routes[ROUTES];

/* The row for a path and which of its names it has; NULL. */
const struct route *route_find(const char *path, unsigned *which);

/* The answer as text to be freed; NULL: out of memory. For ROUTE_JSON and ROUTE_READY. */
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
