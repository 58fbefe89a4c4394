/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request says besides its headers: the names and numbers in its path, its query, its body.
 *
 * One line per field describes it; from that line come the check, the message when it is wrong, and
 * what the OpenAPI document says. Strict: what is not known, given twice, of another type or out of
 * range is refused by name. Pure: texts in, verdicts out. The fuzzer's target (tests/fuzz/ask.c).
 */
#ifndef SIPHERD_ASK_H
#define SIPHERD_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"

#define ASK_FIELDS_MAX 16 /* of a query or a body */

enum ask_kind {
	ASK_NUMBER, /* whole */
	ASK_WORD,   /* one of `words` */
	ASK_SWITCH, /* true or false; only in a body */
	ASK_TEXT,   /* up to `high` bytes; in a body without control characters */
};

/* The last of a list has no name. */
struct ask_field {
	const char *name, *help;
	enum ask_kind kind;
	bool required;
	uint32_t low, high;       /* NUMBER: its range; TEXT: high bytes at most */
	uint32_t standard;        /* NUMBER in a query: its value when it is not given */
	const char *const *words; /* WORD: the last is NULL */
};

struct ask_value {
	bool given;
	uint32_t number;  /* NUMBER; WORD: its place in `words`; SWITCH: 0 or 1 */
	const char *text; /* TEXT: as long as the request's */
};

/* All that a request asks for, in the order of the fields. */
struct asked {
	unsigned which;  /* of the path's names */
	uint32_t number; /* in the path */
	struct ask_value query[ASK_FIELDS_MAX], body[ASK_FIELDS_MAX];
	json_t *object; /* the body; its texts are in there */
};

/* Does the path fit this pattern? Its one {...} stands for one of `count` names, or, where names is
 * NULL, for a whole number without leading zeros. */
bool ask_path(const char *pattern, const char *const *names, unsigned count, const char *path,
	struct asked *asked);

/* One pair of the query; value NULL: there was no "=". False: the problem says why. */
bool ask_query(const struct ask_field *fields, const char *name, const char *value,
	struct ask_value values[ASK_FIELDS_MAX], struct problem *problem);
/* Before the first pair, and behind the last one. fields NULL: none is known. */
void ask_query_begin(const struct ask_field *fields, struct ask_value values[ASK_FIELDS_MAX]);
bool ask_query_end(const struct ask_field *fields, const struct ask_value values[ASK_FIELDS_MAX],
	struct problem *problem);

/* A body: one JSON object. text need not end in a NUL. Texts among the values are in *object, which the
 * caller frees (json_decref) when he is done with them, whatever came back. */
bool ask_body(const struct ask_field *fields, const char *text, size_t length,
	struct ask_value values[ASK_FIELDS_MAX], json_t **object, struct problem *problem);

/* JSON schema of one field, and of a body of these. */
json_t *ask_field_schema(const struct ask_field *field);
json_t *ask_body_schema(const struct ask_field *fields);

#endif
