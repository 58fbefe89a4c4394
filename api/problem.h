/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of the HTTP API as RFC 9457 problem objects: one table of kinds, one way to write them. */
#ifndef SIPHERD_PROBLEM_H
#define SIPHERD_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>

#define PROBLEM_DETAIL_MAX 400

enum problem_kind {
	PROBLEM_BAD_REQUEST,
	PROBLEM_UNAUTHORIZED,
	PROBLEM_FOREIGN_ORIGIN,
	PROBLEM_FORBIDDEN,
	PROBLEM_NOT_FOUND,
	PROBLEM_METHOD,
	PROBLEM_NOT_HERE,
	PROBLEM_DRILL_RUNNING,
	PROBLEM_DRILL_OVER,
	PROBLEM_LENGTH,
	PROBLEM_TOO_LARGE,
	PROBLEM_URI_TOO_LONG,
	PROBLEM_MEDIA_TYPE,
	PROBLEM_FOREIGN_HOST,
	PROBLEM_REFUSED,
	PROBLEM_UNCONFIRMED,
	PROBLEM_TOO_MANY,
	PROBLEM_NOT_READY,
	PROBLEM_STREAMS_FULL,
	PROBLEM_OUT_OF_MEMORY,
	PROBLEMS
};

struct problem {
	enum problem_kind kind;
	char detail[PROBLEM_DETAIL_MAX]; /* what is wrong with this request, and the remedy */
};

unsigned problem_status(enum problem_kind kind);
const char *problem_title(enum problem_kind kind);
/* May the same request be good a second later? */
bool problem_is_passing(enum problem_kind kind);

/* Fills in the kind and the detail; returns false, so that a check can end with it. */
bool problem_set(struct problem *problem, enum problem_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The object as text to be freed; NULL: out of memory. path: what was asked for. */
char *problem_text(const struct problem *problem, const char *path);

/* Its JSON schema, for the OpenAPI document. */
json_t *problem_schema(void);

#endif
