/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One description of an answer makes both its JSON and its JSON schema: each field is named, described
 * and given its value in one line, and whether that line writes the value or what is to be expected of
 * it is the shape's business. So the two cannot differ.
 *
 * While a schema is made, values are ignored, parts that may be missing are walked as if they were
 * there, and lists are walked once with index 0: whoever describes an answer reads fields that exist
 * at any time.
 */
#ifndef SIPHERD_SHAPE_H
#define SIPHERD_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SHAPE_DEPTH 8

struct shape {
	bool schema; /* what is made: the schema or the value */
	unsigned depth;
	json_t *at[SHAPE_DEPTH]; /* objects that are open; the first is the answer */
};

typedef void (*shape_item)(struct shape *shape, const void *context, uint32_t index);

void shape_open(struct shape *shape, bool schema);
/* The answer or its schema; the caller's reference. */
json_t *shape_close(struct shape *shape);

void shape_text(struct shape *shape, const char *name, const char *help, const char *value);
/* null where value is NULL. */
void shape_maybe_text(struct shape *shape, const char *name, const char *help, const char *value);
void shape_count(struct shape *shape, const char *name, const char *help, uint64_t value);
/* null where there is none; may be negative. */
void shape_maybe_integer(
	struct shape *shape, const char *name, const char *help, bool has, int64_t value);
/* null where there is none. */
void shape_maybe_number(
	struct shape *shape, const char *name, const char *help, bool has, double value);
void shape_number(struct shape *shape, const char *name, const char *help, double value);
void shape_switch(struct shape *shape, const char *name, const char *help, bool value);

void shape_begin(struct shape *shape, const char *name, const char *help);
/* null where there is none: then false, and neither fields nor shape_end must follow. */
bool shape_maybe_begin(struct shape *shape, const char *name, const char *help, bool has);
void shape_end(struct shape *shape);

/* A list of objects that `item` describes. */
void shape_list(struct shape *shape, const char *name, const char *help, uint32_t count,
	shape_item item, const void *context);
void shape_texts(struct shape *shape, const char *name, const char *help, uint32_t count,
	const char *const *value);
/* A list of lists of two whole numbers; takes the reference. */
void shape_pairs(struct shape *shape, const char *name, const char *help, json_t *pairs);
/* An object that always has the same fields; its schema is read off it. Takes the reference. */
void shape_made(struct shape *shape, const char *name, const char *help, json_t *object);

/* Can JSON carry it: is it UTF-8? */
bool shape_is_text(const char *value);

#endif
