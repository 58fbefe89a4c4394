/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of a run share.
 *
 *   run.c            names, the loop and its ticks, from the first packet to the summary
 *   run_configure.c  what is asked for, checked
 *   run_demo.c       the demo and its story
 *   run_registrar.c  the built-in registrars alone
 */
#ifndef SIPHERD_RUN_INTERNAL_H
#define SIPHERD_RUN_INTERNAL_H

#include <ev.h>
#include <time.h>

#include "events.h"
#include "fleet.h"
#include "http.h"
#include "peek.h"
#include "resolve.h"
#include "run.h"
#include "schedule.h"
#include "share.h"
#include "tally.h"
#include "view.h"

#define DEMO_PHONE 417
#define DEMO_MS 24000 /* primary away from 6 to 14 s, everybody back well before the end */

/* The demo's story, told once or over and over. */
struct story {
	bool again;           /* false: once */
	uint64_t next_ms;     /* when the next round begins */
	bool over;            /* the first round is, and this is how it ended: */
	uint32_t home;        /* phones at the primary proxy */
	uint64_t failed_over; /* switches to the redundant one */
};

/* One run from start to summary. */
struct run {
	const struct options *options;
	struct fleet fleet;
	struct wire_config config;
	struct wire *wire;
	struct ev_loop *loop;
	struct resolver *resolver;
	struct schedule schedule;
	struct view view;
	struct share share;
	struct http *http;     /* NULL: nothing is served */
	struct events *events; /* of what is served */
	struct pulse pulse;
	struct tally tally;
	struct wire_snapshot now, at_stop;
	uint64_t start_us, stop_us;   /* of the ramp; of HERD_STOP, 0 while running */
	uint64_t leave_us;            /* of share_leave, 0 before */
	uint64_t end_us;              /* of --for; UINT64_MAX without */
	uint32_t here_now, here_told; /* phones driven here: at the last tick, in the last event */
	unsigned settled;             /* ticks since they changed */
	bool drained, live, demo;
	char shown[PEEK_MAX]; /* demo: one phone, as redis-cli saw it */
	struct story story;   /* demo */
	uint32_t next_second;
	unsigned signals;
	unsigned unresolved; /* bit per proxy whose name has no address yet */
	char unresolved_reason[160];
	bool began[SCHEDULE_FAULTS_MAX], ended[SCHEDULE_FAULTS_MAX], rebooted[SCHEDULE_REBOOTS_MAX];
	ev_timer tick;
	ev_signal interrupt, terminate;
};

/* run.c. NULL: out of memory. */
struct run *run_new(const struct options *options);
void run_close(struct run *run);
double run_elapsed_s(const struct run *run);
/* From a configuration to the end of the loop; then the summary, of which the exit code is made. */
int run_live(struct run *run);
int run_finish(struct run *run, const char *command, time_t started);

/* run_configure.c. */
int run_configure_fleet(struct run *run);
int run_take_schedule(struct run *run, uint32_t phones);
void run_take_common(struct run *run);
void run_configure_registrar(struct registrar_config *config, const char *realm, const char *digest,
	const struct identity_set *identities, uint32_t capacity);

/* run_demo.c: at the end of a round all faults of the schedule lie before the next one once more. */
void run_follow_story(struct run *run, uint64_t now_ms);

#endif
