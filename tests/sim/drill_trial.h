/* SPDX-License-Identifier: BSD-3-Clause */
/* A drill on the simulator: carried out as in a run, with the datagrams' log beside it, and compared. */
#ifndef SIPHERD_DRILL_TRIAL_H
#define SIPHERD_DRILL_TRIAL_H

#include "drill.h"
#include "drill_log.h"
#include "wave.h"

struct trial {
	struct sim_config config;
	struct drill_fleet fleet;
	struct drill_plan plan;
	struct sim *sim;
	struct drill_log *log;
	struct waves *waves;
	struct drill drill;
	struct series series;
	struct herd_counters counters;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES];
	uint64_t begin_us;
	bool counts_bindings; /* the registrars' tables may be looked at */
	json_t *json;
};

/* All phones registered at the primary proxy, at this time. */
void trial_settle(struct trial *trial, uint64_t settle_us);
void trial_plan(struct trial *trial, const struct drill_request *request);
void trial_begin(struct trial *trial);
/* To the next step, or for a tick. */
void trial_advance(struct trial *trial);
void trial_command(void *trial, const struct herd_command *command);
void trial_finish(struct trial *trial);
void trial_clear(struct trial *trial);

/* What is told in its JSON, against what was logged. */
void trial_compare(const struct trial *trial);
double trial_number(const json_t *json, const char *path); /* "a.b" */
void trial_near(const char *what, double told, double right, double by);

#endif
