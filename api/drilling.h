/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drills over HTTP: what there is, begin one, abort it, how it went. What runs and what becomes of it is the
 * business of drills.h; here are the fields that may be given, the refusals, and what is told. Control thread
 * only.
 */
#ifndef SIPHERD_DRILLING_H
#define SIPHERD_DRILLING_H

#include "ask.h"
#include "drills.h"
#include "shape.h"

/* A report is a page to look at: it has its style in itself, and an icon of no bytes. */
#define DRILLING_REPORT_SECURITY                                                          \
	"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; " \
	"form-action 'none'; frame-ancestors 'none'"

struct drilling {
	/* Of the drill that was asked about last. */
	uint32_t id; /* 0: nothing was begun */
	struct drill_plan plan;
	struct drills_result result;
	/* What each drill takes where a field is not given: found when the catalogue is asked for first. */
	bool has_defaults;
	char defaults[DRILL_KINDS][DRILL_FIELDS][DRILL_NAME_MAX];
};

extern const struct ask_field drilling_body[], drilling_abort_body[];

void drilling_tell_all(struct shape *shape, const struct picture *picture, unsigned which);

/* Is only the plan asked for? */
bool drilling_is_dry(const struct asked *asked);
bool drilling_begin(
	const struct picture *picture, const struct asked *asked, struct problem *problem);
void drilling_tell_plan(struct shape *shape, const struct picture *picture, unsigned which);

bool drilling_abort(
	const struct picture *picture, const struct asked *asked, struct problem *problem);
void drilling_tell_abort(struct shape *shape, const struct picture *picture, unsigned which);

/* The number is one of a drill that is over and kept. Then its result as JSON, and its report as HTML: to be
 * freed; NULL: out of memory. */
bool drilling_look(
	const struct picture *picture, const struct asked *asked, struct problem *problem);
uint8_t *drilling_result(const struct picture *picture, size_t *length);
uint8_t *drilling_report(const struct picture *picture, size_t *length);

/* JSON schema of a result. */
json_t *drilling_result_schema(void);

#endif
