/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of a run share.
 *
 *   run.c            names, the loop and its ticks, from the first packet to the summary
 *   run_configure.c  what is asked for, checked
 *   run_demo.c       the demo and its story
 *   run_drill.c      a drill from the command line, and what drills tell
 *   run_baseline.c   the same drill against the built-in registrars, beforehand
 *   run_finish.c     the summary and what else is written; the exit code
 *   run_schedule.c   faults of the built-in registrars and reboots
 *   run_registrar.c  the built-in registrars alone
 */
#ifndef SIPHERD_RUN_INTERNAL_H
#define SIPHERD_RUN_INTERNAL_H

#include <ev.h>
#include <time.h>

#include "drills.h"
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

/* `sipherd drill`: it begins once all phones have been registered for a while. */
enum drill_phase { DRILL_WAITS, DRILL_GOES_ON, DRILL_IS_OVER, DRILL_NEVER_BEGAN };

struct drill_run {
	struct drills_order order;
	struct drill_plan plan; /* as it was shown beforehand */
	enum drill_phase phase;
	uint32_t id;         /* once it has begun */
	uint64_t there_us;   /* since when all phones are registered; 0: they are not */
	uint64_t give_up_us; /* when they ought to be */
	bool aborted;
	char reason[DRILL_REASON_MAX]; /* why it was, or never began */
	FILE *phones;                  /* --phones-csv; NULL: none */
	json_t *baseline;              /* NULL: none */
	bool baseline_limited;         /* this host was the limit even there */
};

/* One run from start to summary. */
struct run {
	const struct options *options;
	struct fleet fleet;
	struct wire_config config;
	struct wire_herd *herds; /* of config; NULL: one */
	struct wire *wire;
	struct ev_loop *loop;
	struct resolver *resolver;
	struct schedule schedule;
	struct view view;
	struct share share;
	struct http *http;                             /* NULL: nothing is served */
	struct events *events;                         /* of what is served */
	struct drills *drills;                         /* NULL: nobody watches, or no memory */
	struct registrar_faults drill_faults[PROXIES]; /* of the drill that runs */
	struct drill_run *drill;                       /* NULL: another command than drill */
	struct pulse pulse;
	struct tally tally;
	struct wire_snapshot now, at_stop;
	struct herd_population herds_at_stop[FLEET_HERDS_MAX];
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
	unsigned unresolved; /* proxies whose names have no address yet */
	char unresolved_reason[160];
	bool began[SCHEDULE_FAULTS_MAX], ended[SCHEDULE_FAULTS_MAX], rebooted[SCHEDULE_REBOOTS_MAX];
	ev_timer tick, drain; /* drain: of transitions, while a drill is measured */
	ev_signal interrupt, terminate;
};

/* run.c. NULL: out of memory. */
struct run *run_new(const struct options *options);
void run_close(struct run *run);
double run_elapsed_s(const struct run *run);
int run_resolve_names(struct run *run);
/* From a configuration to the end of the loop. */
int run_live(struct run *run);
/* Abort what drill there is, take the phones off, end the loop once they are quiet. */
void run_begin_stop(struct run *run);

/* run_finish.c: the exit code. */
int run_finish(struct run *run, const char *command, time_t started);
/* Whether what is asked for can be written when all is over. EXIT_DONE or EXIT_HOST, after a message. */
int run_check_files(const struct options *options);
/* Goals of the command line, beside the fleet file's. EXIT_DONE, or EXIT_USAGE after a message. */
int run_take_gates(struct run *run);

/* run_schedule.c. What the schedule and the drill say together of one registrar. */
void run_set_faults(struct run *run, enum proxy proxy);
/* What has begun or ended by now. */
void run_follow_faults(struct run *run, uint64_t now_ms);
void run_follow_reboots(struct run *run, uint64_t now_ms);

/* run_drill.c. 0 or -errno. */
int run_open_drills(struct run *run, const struct picture *picture);
/* Is one being carried out? */
bool run_drills(const struct run *run);
void run_abort_drill(struct run *run);
/* Of `sipherd drill`: begin when it is time, end when it is over. */
void run_follow_drill(struct run *run);

/* run_baseline.c. EXIT_DONE or an exit code, after a message. */
int run_baseline(struct run *run);

/* run_configure.c. */
int run_configure_fleet(struct run *run);
int run_take_schedule(struct run *run, uint32_t phones);
void run_take_common(struct run *run);
void run_configure_registrar(struct registrar_config *config, const char *realm, const char *digest,
	const struct identity_set *identities, uint32_t capacity);

/* run_demo.c: at the end of a round all faults of the schedule lie before the next one once more. */
void run_follow_story(struct run *run, uint64_t now_ms);

#endif
