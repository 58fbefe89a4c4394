/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the waves share.
 *
 *   wave.c          every phone's moments
 *   wave_series.c   the proxies in steps of 100 ms, peaks, bunching of keep-alives
 *   wave_spread.c   distributions and curves of many moments, as JSON
 *   wave_measure.c  one wave that is over, as JSON
 *   wave_json.c     the drill as a whole
 */
#ifndef SIPHERD_WAVE_INTERNAL_H
#define SIPHERD_WAVE_INTERNAL_H

#include "wave.h"

#define POINTS_MAX 600 /* of one curve */
#define CELLS_MAX 200  /* of one distribution */
#define ROWS_MAX 6000  /* of the series: ten minutes of 100 ms, of longer drills steps are joined */
#define STEPS_SECOND 10 /* steps of the series */
/* Every phone's moments of waves that are over are kept while all of them take no more. */
#define KEPT_BYTES_MAX (512ull << 20)

/* A copy of what struct wave_totals points to. */
struct wave_sums {
	struct herd_counters herd;
	struct proxy_counters proxy[PROXIES];
	uint64_t not_sent, lines_dropped;
	uint32_t bound[PROXIES];
	bool has_bound;
};

/* Of the herd's histograms, those that a wave tells its part of. */
struct wave_histograms {
	struct histogram since_answer_ms[PROXIES], rrd_us;
};

/* How keep-alives are spread over their period. */
struct wave_bunching {
	bool known;
	uint64_t keepalives;
	double herd_index;
	uint32_t width_50_ms, width_90_ms;
};

struct wave_row {
	uint64_t count[PROXIES][proxy_counters_count]; /* in list order */
};

struct wave_peaks {
	uint64_t register_second, register_tenth, options_second;
	uint64_t now_register, now_options; /* of the second that is being filled */
};

struct wave_series {
	bool begun;
	uint64_t first, next;                /* steps since the herd's time 0 */
	uint32_t joined;                     /* steps in a row, a power of two */
	uint32_t rows;                       /* begun; the last may lack steps */
	struct wave_row *row;                /* [ROWS_MAX] */
	struct proxy_counters last[PROXIES]; /* at the end of step next - 1 */
	struct wave_peaks peaks[PROXIES];
	/* Keep-alives begun in the newest steps, by step modulo a period; 0 steps: there is no period. */
	uint32_t period_steps;
	uint32_t *keepalives;
	struct wave_bunching before;
};

struct wave_state {
	bool begun, ended;
	uint64_t begin_us, end_us, begin_unix_ms;
	struct wave_phone *phone; /* [phones of the fleet]; NULL: not begun, or let go */
	struct wave_progress progress;
	struct wave_histograms *before; /* while it is open */
	json_t *json;                   /* once it has ended */
};

struct waves {
	const struct drill_plan *plan;
	const struct drill_fleet *fleet;
	const struct mirror *mirror;
	uint64_t open_us, end_us;
	bool finished;
	struct wave_sums before, after;
	struct wave_state wave[DRILL_WAVES_MAX];
	uint32_t open[DRILL_WAVES_MAX], opened; /* waves that are open */
	/* [phones]: when a phone has left a proxy that keeps its binding, see wave.c; 0: it has not. */
	uint16_t (*left)[PROXIES];
	uint64_t *was_registered;        /* bit per phone: when the plan began */
	uint32_t stranded, double_bound; /* once it is finished */
	struct wave_series series;
};

/* wave.c */
uint32_t wave_lasted_ms(const struct wave_state *state);
bool wave_is_back(const struct drill_wave *wave, const struct wave_phone *phone);
bool wave_is_homing(const struct waves *waves); /* phones return to a primary that serves */
/* As far as the plan goes, nothing is wrong with the primary proxy when this wave ends. */
bool wave_primary_serves(const struct waves *waves, uint32_t wave);

/* wave_series.c */
int wave_series_open(struct waves *waves);
void wave_series_close(struct waves *waves);
/* Of the newest period; not known before there is a whole one. */
struct wave_bunching wave_bunching_now(const struct wave_series *series);
json_t *wave_series_json(const struct waves *waves);
json_t *wave_proxy_json(const struct waves *waves, enum proxy proxy);

/* wave_spread.c. Moments in ms, ascending. NULL: out of memory. */
void wave_sort(uint32_t *value, uint32_t *scratch, uint32_t count);
json_t *wave_spread_json(const uint32_t *sorted, uint32_t count);
json_t *wave_histogram_json(const struct histogram *h);
/* The share of `of` that is through, by time. */
json_t *wave_curve_json(const uint32_t *sorted, uint32_t count, uint32_t of);
json_t *wave_peak_json(const uint32_t *sorted, uint32_t count, uint32_t of, uint32_t width_ms);
/* The curve that was predicted, and how far the measured one is from it until lasted_ms. */
json_t *wave_predicted_json(const struct prediction *p, const uint32_t *sorted, uint32_t count,
	uint32_t of, uint32_t lasted_ms);

/* wave_measure.c: NULL: out of memory. */
json_t *wave_measure(const struct waves *waves, uint32_t wave, const struct wave_histograms *after);
void wave_histograms_take(struct wave_histograms *out, const struct herd_histograms *from);

#endif
