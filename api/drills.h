/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drills of a run: which one is being carried out, how far it is, and how those before it ended. One at a
 * time. Control thread only; the run's loop drives it ten times a second, HTTP and the command line ask.
 *
 * Drills have numbers: 1, 2, ... in the order they began in this run.
 */
#ifndef SIPHERD_DRILLS_H
#define SIPHERD_DRILLS_H

#include <jansson.h>

#include "drill.h"
#include "picture.h"
#include "wave.h"

#define DRILLS_KEPT 8         /* results of the newest ones */
#define DRILLS_BEFORE_MS 5000 /* so much of the proxies' series is shown before a drill begins */

struct drills;

/* --- What is asked for --- */

struct drills_field {
	const char *name, *value; /* "hold" "90s", as in a fleet file */
};

struct drills_order {
	char name[DRILL_NAME_MAX]; /* of the catalogue, or of the fleet file's `drills:` */
	uint32_t requests;
	struct drill_request request[DRILL_REQUESTS_MAX];
};

/* `what` is a plan of the fleet file, which takes no fields, or else a word of the catalogue. 0; -ENOENT: there
 * is no such drill; -EINVAL. The reason says what may be there. */
int drills_order(struct drills_order *order, const struct fleet *fleet, const char *what,
	const struct drills_field *field, size_t fields, char reason[DRILL_REASON_MAX]);

/* The plan that follows for this fleet; phones: driven here. Nothing is sent. config: of the wire that is or
 * would be opened. 0 or -EINVAL with the reason of the refusal. */
int drills_plan(struct drill_plan *plan, const struct drills_order *order,
	const struct fleet *fleet, const struct wire_config *config, uint32_t phones,
	char reason[DRILL_REASON_MAX]);

/* --- What is told --- */

enum drills_phase { DRILLS_BEGAN, DRILLS_STEP, DRILLS_ENDED, DRILLS_ABORTED };

struct drills_news {
	enum drills_phase phase;
	uint32_t id;
	const struct drill_plan *plan;
	const char *text;        /* for people: a step's text, the title, why it was aborted */
	uint64_t at_ms, unix_ms; /* since the drill began */
	uint8_t act;             /* enum drill_act of a step */
	uint8_t proxy;           /* enum proxy it is about; PROXIES: none */
	bool restores;           /* a step that ends something */
	const struct waves
		*waves; /* ENDED, ABORTED: every phone's moments, until this call returns */
};

/* "impair", "faults", "command", "hook", "undo", "end". */
const char *drills_act_name(enum drill_act act);

struct drills_events {
	void *context;
	void (*news)(void *context, const struct drills_news *news);
	/* These faults of the drill's, beside whatever else is wrong with a built-in registrar. */
	void (*faults)(void *context, enum proxy proxy, const struct registrar_faults *faults);
};

/* --- Running --- */

/* What the picture points to must outlive it; its share must have a mirror that is watched. 0 or -errno. */
int drills_open(
	struct drills **out, const struct picture *picture, const struct drills_events *events);
/* Aborts what runs and waits until its hooks are undone; results stay. NULL: nothing. */
void drills_end(struct drills *drills);
void drills_close(struct drills *drills);

/*
 * Begin now. The picture is the asker's, whose load may be other than the fleet file's. 0 and the drill's
 * number; -EBUSY: one runs; -EAGAIN: too few phones are registered, or the run is ending; -EINVAL: refused;
 * -ENOMEM. Each with the reason.
 */
int drills_start(struct drills *drills, const struct picture *picture,
	const struct drills_order *order, uint32_t *id, char reason[DRILL_REASON_MAX]);
/* Restore everything at once. False: no drill of this number runs. */
bool drills_abort(struct drills *drills, uint32_t id, const char *reason);

/* Once per tick, after the events have been updated. NULL: nothing. */
void drills_update(struct drills *drills);
/* Every transition, as the watch takes them. NULL: nothing. */
void drills_lines(struct drills *drills, const struct mirror_line *line, size_t count);

/* --- Being asked --- */

/* The drill that runs, and its number; NULL: none does. NULL drills: NULL. */
const struct drill *drills_current(const struct drills *drills, uint32_t *id);
uint64_t drills_at_ms(const struct drills *drills); /* since it began */
/* Of a wave of the drill that runs: false when it has not begun. */
bool drills_progress(const struct drills *drills, uint32_t wave, struct wave_progress *out);
/* Phones that the waves of now are about and that are not back. */
uint32_t drills_phones_out(const struct drills *drills);

struct drills_result {
	uint32_t id;
	const char *name, *title;
	bool aborted;
	uint64_t begin_unix_ms, duration_ms;
	json_t *json; /* its element of `drills`, see docs/measures.md; borrowed */
};

/* The newest results, newest first; how many. */
size_t drills_finished(const struct drills *drills, struct drills_result out[DRILLS_KEPT]);
bool drills_result(const struct drills *drills, uint32_t id, struct drills_result *out);

struct drills_totals {
	uint64_t begun, completed, aborted;
};
struct drills_totals drills_totals(const struct drills *drills);

/* [results], oldest first, for the summary; a new reference. NULL: out of memory. */
json_t *drills_json(const struct drills *drills);

#endif
