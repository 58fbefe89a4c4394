/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is told while it happens, as server-sent events, and who listens.
 *
 * Events are made once a tick, whether anybody listens or not, so that who comes back within a minute
 * has missed nothing. Who listens has a place in the stream and a connection of libmicrohttpd that
 * sleeps until there is something to read. Control thread only, as all that has to do with HTTP.
 */
#ifndef SIPHERD_EVENTS_H
#define SIPHERD_EVENTS_H

#include <microhttpd.h>

#include "drills.h"
#include "picture.h"
#include "shape.h"
#include "watch.h"

#define EVENTS_LISTENERS_MAX 384
#define EVENTS_SLOW_S 10 /* so long a full socket is waited for */

struct events;

/* The picture is copied; what it points to is kept. Its share must have a mirror that is watched.
 * 0 or -ENOMEM. */
int events_open(struct events **out, const struct picture *picture);
void events_close(struct events *events);

/* The phones as people see them; it lives as long as the events. NULL events: NULL. */
struct watch *events_watch(struct events *events);

/* Once per tick, before the HTTP daemon is run: look at the phones, tell what has changed, wake those
 * who listen, hang up on those who do not read. second_over: a second of the time line is complete. NULL events:
 * nothing. */
void events_update(struct events *events, bool stopping, bool second_over);

/* Something for people to know, at once to those who listen: one line. NULL events: nothing. */
void events_alert(struct events *events, bool warning, const char *text);

/* A proxy answers again, or does not any more. NULL events: nothing. */
void events_proxy(struct events *events, enum proxy proxy, bool answering);

/* A drill has begun, a step of it has been carried out, it is over. NULL events: nothing. */
void events_drill(struct events *events, const struct drills_news *news);

/* The same as charts need it, kept for those who come later. */
#define EVENTS_MARKS 64
struct events_mark {
	uint32_t drill;
	uint8_t phase; /* enum drills_phase */
	uint8_t act;   /* enum drill_act of a step */
	uint8_t proxy; /* enum proxy; PROXIES: none */
	bool restores;
	double at_s; /* of the run */
	uint64_t unix_ms;
	char name[DRILL_NAME_MAX], text[DRILL_TEXT_MAX];
};
/* How many are kept, and one of them, oldest first. NULL events: none. */
uint32_t events_marks(const struct events *events);
const struct events_mark *events_mark(const struct events *events, uint32_t index);
/* "began", "step", "ended", "aborted". */
const char *events_phase_name(enum drills_phase phase);

/* May one more listen? */
bool events_have_room(const struct events *events);
uint32_t events_listeners(const struct events *events);

/* What has come about since the start. */
struct events_totals {
	uint64_t events;         /* told */
	uint64_t begun, dropped; /* who ever listened; of these, hung up on for being too slow */
};
struct events_totals events_totals(const struct events *events);

/* The answer that lasts: events from behind last_id on (NULL: from now on), to be queued with 200 on
 * this connection and then destroyed by the caller, as any response. NULL: out of memory. The
 * connection is exempt from any limit on a request's time. */
struct MHD_Response *events_listen(
	struct events *events, struct MHD_Connection *connection, const char *last_id);

/* The end is near: `bye` with this reason is the last event, and listening ends behind it. To be called
 * before MHD_stop_daemon: no connection sleeps from then on. The daemon is to be run until
 * events_listeners says 0, if they are to hear it. NULL events: nothing; a second time: nothing. */
void events_bye(struct events *events, const char *reason);

uint64_t events_unix_ms(void);

/* Schemas of the events' data: EventHello, EventTick ... into the OpenAPI document's. */
void events_schemas(json_t *schemas, const struct picture *picture);

/* unix_ms, number, from, to, phase, cause: for those who tell of a phone's transitions too. */
void events_tell_transition(struct shape *shape, const struct watch_transition *transition);

#endif
