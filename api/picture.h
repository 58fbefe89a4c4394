/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run shows of itself over HTTP: the copies that the control loop takes ten times a second
 * anyway. Control thread only; nothing here asks a worker or the store for more.
 */
#ifndef SIPHERD_PICTURE_H
#define SIPHERD_PICTURE_H

#include <time.h>

#include "fleet.h"
#include "pulse.h"
#include "share.h"
#include "tally.h"

#define PICTURE_READY_PERCENT 95 /* of the phones driven here must be registered */
#define PICTURE_WHY_MAX 200
#define PICTURE_ANSWERED_S 10
#define PICTURE_TIMELINE_S 900 /* the newest seconds that the API shows */

struct drilling;
struct drills;
struct events;
struct phones;
struct steer;
struct watch;

struct picture {
	const struct fleet *fleet;
	const struct wire_config *config; /* proxies in use, roles, seed */
	const struct wire_snapshot *now;
	const struct tally *tally;
	struct share *share;
	struct events *events;     /* NULL: nothing is told while it happens */
	struct watch *watch;       /* of the events: phones as people see them; NULL likewise */
	const struct pulse *pulse; /* which proxies answer */
	struct wire *wire;         /* once it is open */
	struct phones *phones;     /* of those who serve: single phones, as they are asked for */
	struct steer *steer;       /* likewise: what operators have changed */
	struct drilling *drilling; /* likewise: the drill that was asked about last */
	struct drills *drills;     /* outages of this run; NULL: none can be made */
	const char *link;          /* in use, in words */
	const struct wire_steering_state *steering; /* NULL: no wire yet */
	uint64_t start_us;                          /* of the ramp, on the herd's clock */
	time_t started;
	bool stopping;
	uint64_t answers[5];  /* of ours, by first digit of the code, from 1 */
	uint32_t connections; /* to us, now */
};

/* Seconds of the run, as of the snapshot. */
double picture_at_s(const struct picture *picture);
/* For phones, timers and templates, without what the store carries. */
uint64_t picture_memory_bytes(const struct picture *picture);
uint32_t picture_registered(const struct picture *picture);
/* Phones driven here that are to be on: all, unless an operator has asked for fewer. */
uint32_t picture_wanted(const struct picture *picture);
/* Phones started a second, 0: all at once; by the fleet file, unless an operator has asked for another. */
uint32_t picture_ramp_per_s(const struct picture *picture);
/* Requests a second once all phones that are to be on are registered, by the fleet file's periods. */
double picture_steady_per_s(const struct picture *picture);
/* Of REGISTER and OPTIONS to this proxy that ended in the last PICTURE_ANSWERED_S seconds, the share that
 * was answered; false: none ended. */
bool picture_answered(const struct picture *picture, enum proxy proxy, double *ratio);
/* Are the phones registered and is the store reachable? Why not, otherwise. */
bool picture_is_ready(const struct picture *picture, char *why, size_t size);
/* The newest seconds that are shown, oldest first. */
uint32_t picture_seconds(const struct picture *picture);
const struct tally_second *picture_second(const struct picture *picture, uint32_t index);

#endif
