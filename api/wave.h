/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a drill has done to the phones and the proxies: every phone's moments in each wave, taken from the
 * transitions that the mirror tells, and the proxies' series of 100 ms steps. Definitions:
 * docs/measures.md, from RFC 6076, RFC 7502 and PHONE.md section 5. Pure; control thread only.
 *
 * Memory: 16 bytes for each phone of the fleet and wave, of waves that are open and, while all together
 * take less than 512 MiB, of those that have ended; a little over 4 for each phone besides, and the
 * series, whose steps are joined when they become too many.
 */
#ifndef SIPHERD_WAVE_H
#define SIPHERD_WAVE_H

#include <jansson.h>

#include "drill_plan.h"
#include "mirror.h"
#include "predict.h"

#define WAVE_NEVER UINT32_MAX

/* Moments of one phone in one wave, ms since the wave began; WAVE_NEVER: it did not. */
struct wave_phone {
	uint32_t detect_ms;    /* it gave its proxy up (SWITCHING, or REGISTERING at once) */
	uint32_t register_ms;  /* its REGISTER to the other proxy left */
	uint32_t back_ms;      /* 200 OK there */
	uint16_t number;       /* of its newest transition that is known here */
	uint8_t flaps;         /* switches in this wave after the first; while it is open, all */
	uint8_t concerned : 1; /* the wave is about this phone */
	uint8_t end : 2;   /* 1 + enum proxy where it is registered at the wave's end, 0 nowhere */
	uint8_t tried : 2; /* likewise, tried last */
};

/* What is given at its beginning and its end, for the differences. */
struct wave_totals {
	const struct herd_counters *herd;
	const struct herd_histograms *histograms;
	const struct proxy_counters *proxy; /* [PROXIES] */
	uint64_t not_sent;
	uint32_t bound[PROXIES]; /* by the built-in registrars' own tables */
	bool has_bound;
	uint64_t lines_dropped; /* transitions that were never told: the measures are incomplete */
};

struct waves;

/* Opened when the plan begins: the series begins before it, as far as steps are there that are first
 * taken. plan, mirror and fleet must outlive it. 0 or -ENOMEM. */
int waves_open(struct waves **out, const struct drill_plan *plan, const struct drill_fleet *fleet,
	const struct mirror *mirror, const struct wave_totals *totals, uint64_t now_us);
void waves_close(struct waves *waves);

/* A wave begins before its step is carried out, and ends. */
int waves_begin(
	struct waves *waves, uint32_t wave, const struct wave_totals *totals, uint64_t now_us);
/* Looking at many phones took its time: it begins only now. */
void waves_began(struct waves *waves, uint32_t wave, uint64_t now_us);
void waves_end(
	struct waves *waves, uint32_t wave, const struct wave_totals *totals, uint64_t now_us);
/* Every transition, in each phone's order. */
void waves_line(struct waves *waves, const struct mirror_line *line);
/* Steps that are new since the last call. At least every SERIES_STEPS steps. */
void waves_series(struct waves *waves, const struct series *series);
/* The plan is over. */
void waves_finish(struct waves *waves, const struct wave_totals *totals, uint64_t now_us);

/* Of a wave that has ended or runs: phones concerned, that noticed it, that are back now; for progress. */
struct wave_progress {
	uint32_t concerned, detected, back;
};
void waves_progress(const struct waves *waves, uint32_t wave, struct wave_progress *out);
/* [phones of the fleet]; NULL: the wave never began, or its moments have been let go. */
const struct wave_phone *waves_phones(const struct waves *waves, uint32_t wave);

/* Once it is finished: the element of `drills[]` of sipherd.run/1, see docs/measures.md; a new reference.
 * Outcome, reason and steps are what follows from the plan, begin_s and hooks its owner's to set. NULL: out
 * of memory. */
json_t *waves_json(const struct waves *waves);

#endif
