/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxies' counters step by step, as the herd has counted them, and what only single steps can tell. */
#include "wave_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOUCH_STEP 4096 /* bytes: no page is smaller */

/* All of it at once, not page by page for as long as the drill goes on: who watches the resident
 * set for a leak would take that for one. */
static void touch(void *memory, size_t length)
{
	for (size_t at = 0; at < length; at += TOUCH_STEP)
		((volatile char *)memory)[at] = 0;
}

int wave_series_open(struct waves *waves)
{
	struct wave_series *series = &waves->series;
	const uint32_t period_us = 1000 * waves->fleet->herd->keepalive_period_ms;
	series->joined = 1;
	series->period_steps = (period_us + SERIES_STEP_US - 1) / SERIES_STEP_US;
	series->row = calloc(ROWS_MAX, sizeof(series->row[0]));
	series->keepalives = calloc(series->period_steps + 1ull, sizeof(series->keepalives[0]));
	if (series->row == NULL || series->keepalives == NULL)
		return -ENOMEM;
	touch(series->row, ROWS_MAX * sizeof(series->row[0]));
	return 0;
}

void wave_series_close(struct waves *waves)
{
	free(waves->series.row);
	free(waves->series.keepalives);
}

static uint64_t offered(const struct proxy_counters *c)
{
	return c->offered_initial + c->offered_refresh + c->offered_failover + c->offered_failback;
}

/* Every row takes twice as many steps from now on. */
static void join_rows(struct wave_series *series)
{
	for (uint32_t i = 0; i < ROWS_MAX / 2; i++) {
		series->row[i] = series->row[2 * i];
		counters_add(
			&series->row[i], &series->row[2 * i + 1], PROXIES * proxy_counters_count);
	}
	memset(&series->row[ROWS_MAX / 2], 0, ROWS_MAX / 2 * sizeof(series->row[0]));
	series->joined *= 2;
	series->rows = ROWS_MAX / 2;
}

static void follow_peaks(
	struct wave_peaks *peaks, const struct proxy_counters *step, uint64_t steps_before)
{
	if (steps_before % STEPS_SECOND == 0)
		peaks->now_register = peaks->now_options = 0;
	peaks->now_register += offered(step);
	peaks->now_options += step->options;
	if (offered(step) > peaks->register_tenth)
		peaks->register_tenth = offered(step);
	if (peaks->now_register > peaks->register_second)
		peaks->register_second = peaks->now_register;
	if (peaks->now_options > peaks->options_second)
		peaks->options_second = peaks->now_options;
}

/* The next step, by how much everything has grown in it. Peaks are the drill's, the step in which it began is
 * the first of them. */
static void append(
	struct wave_series *series, const struct proxy_counters grown[PROXIES], uint64_t begin)
{
	const uint64_t before = series->next - series->first;
	const uint64_t keepalives = grown[0].options + grown[1].options;
	if (before / series->joined == ROWS_MAX)
		join_rows(series);
	const uint32_t row = (uint32_t)(before / series->joined);
	series->rows = row + 1;
	for (int p = 0; p < PROXIES; p++) {
		counters_add(series->row[row].count[p], &grown[p], proxy_counters_count);
		if (series->next >= begin)
			follow_peaks(&series->peaks[p], &grown[p], series->next - begin);
	}
	if (series->period_steps > 0)
		series->keepalives[before % series->period_steps] = keepalives < UINT32_MAX
									    ? (uint32_t)keepalives
									    : UINT32_MAX;
	series->next++;
}

static void begin(struct wave_series *series, const struct series *from)
{
	/* Of the oldest step that is kept it is not known how much it has added, unless it is the first. */
	const uint64_t oldest = series_oldest(from);
	series->begun = true;
	series->first = oldest > 0 ? oldest + 1 : 0;
	series->next = series->first;
	if (oldest > 0)
		memcpy(series->last, from->at[oldest % SERIES_STEPS], sizeof(series->last));
}

void waves_series(struct waves *waves, const struct series *from)
{
	struct wave_series *series = &waves->series;
	struct proxy_counters grown[PROXIES];
	if (waves->finished || from->steps == 0)
		return;
	if (!series->begun)
		begin(series, from);
	while (series->next < from->steps) {
		const bool gone = series->next < series_oldest(from);
		const struct proxy_counters *at = from->at[series->next % SERIES_STEPS];
		memset(grown, 0, sizeof(grown));
		/* Of steps that nobody has fetched in time, the next one tells. */
		for (size_t i = 0; i < PROXIES * proxy_counters_count && !gone; i++)
			((uint64_t *)grown)[i] = ((const uint64_t *)at)[i] -
						 ((uint64_t *)series->last)[i];
		if (!gone)
			memcpy(series->last, at, sizeof(series->last));
		if (!series->before.known && series->next * SERIES_STEP_US >= waves->open_us &&
			(series->next - 1) * SERIES_STEP_US < waves->open_us)
			series->before = wave_bunching_now(series);
		append(series, grown, waves->open_us / SERIES_STEP_US);
	}
}

/* --- Keep-alives over their period --- */

/* The shortest way round the period that has so many of them, in steps. */
static uint32_t width_of(const struct wave_series *series, uint64_t wanted)
{
	const uint32_t n = series->period_steps;
	uint32_t best = n, end = 0;
	uint64_t inside = 0;
	for (uint32_t begin = 0; begin < n; begin++) {
		while (inside < wanted && end < begin + n)
			inside += series->keepalives[end++ % n];
		if (inside >= wanted && end - begin < best)
			best = end - begin;
		inside -= series->keepalives[begin];
	}
	return best;
}

static uint64_t busiest_second(const struct wave_series *series, uint32_t second)
{
	const uint32_t n = series->period_steps;
	uint64_t inside = 0, most = 0;
	for (uint32_t i = 0; i < second; i++)
		inside += series->keepalives[i];
	for (uint32_t i = 0; i < n; i++) {
		most = inside > most ? inside : most;
		inside += series->keepalives[(i + second) % n];
		inside -= series->keepalives[i];
	}
	return most;
}

struct wave_bunching wave_bunching_now(const struct wave_series *series)
{
	const uint32_t n = series->period_steps;
	const uint32_t second = n < STEPS_SECOND ? n : STEPS_SECOND;
	struct wave_bunching out = {0};
	uint64_t all = 0;
	for (uint32_t i = 0; i < n; i++)
		all += series->keepalives[i];
	if (all == 0 || series->next - series->first < n)
		return out;
	out.known = true;
	out.keepalives = all;
	out.herd_index = (double)busiest_second(series, second) * n / second / (double)all;
	out.width_50_ms = width_of(series, (all + 1) / 2) * (SERIES_STEP_US / 1000);
	out.width_90_ms = width_of(series, (all * 9 + 9) / 10) * (SERIES_STEP_US / 1000);
	return out;
}

/* --- As JSON --- */

static json_t *rows_json(const struct wave_series *series, enum proxy proxy)
{
	json_t *rows = json_array();
	for (uint32_t i = 0; i < series->rows; i++) {
		json_t *row = json_array();
		for (int k = 0; k < proxy_counters_count; k++)
			json_array_append_new(
				row, json_integer((json_int_t)series->row[i].count[proxy][k]));
		json_array_append_new(rows, row);
	}
	return rows;
}

json_t *wave_series_json(const struct waves *waves)
{
	const struct wave_series *series = &waves->series;
	const int64_t first_ms = (int64_t)(series->first * (SERIES_STEP_US / 1000));
	json_t *columns = json_array();
	for (int k = 0; k < proxy_counters_count; k++)
		json_array_append_new(columns, json_string(proxy_counters_descriptions[k].name));
	return json_pack("{s:I, s:I, s:o, s:o, s:o}", "step_ms",
		(json_int_t)(series->joined * (SERIES_STEP_US / 1000)), "begin_ms",
		(json_int_t)(series->begun ? first_ms - (int64_t)(waves->open_us / 1000) : 0),
		"columns", columns, "primary", rows_json(series, PROXY_PRIMARY), "redundant",
		rows_json(series, PROXY_REDUNDANT));
}

static json_t *ratio(uint64_t part, uint64_t whole)
{
	return whole > 0 ? json_real((double)part / (double)whole) : json_null();
}

#define COUNT(value) ((json_int_t)(value))

/* RFC 6076, section 4.2: ineffective registration attempts. */
static json_t *ira_json(const struct proxy_counters *c)
{
	const uint64_t failed = c->register_timeout + c->register_408 + c->register_500 +
				c->register_503 + c->register_504;
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "ratio", ratio(failed, offered(c)),
		"attempts", COUNT(offered(c)), "timeout", COUNT(c->register_timeout), "408",
		COUNT(c->register_408), "500", COUNT(c->register_500), "503",
		COUNT(c->register_503), "504", COUNT(c->register_504));
}

static json_t *answers_json(const struct proxy_counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "3xx", COUNT(c->register_3xx), "4xx",
		COUNT(c->register_4xx + c->register_408), "5xx",
		COUNT(c->register_500 + c->register_503 + c->register_504 + c->register_5xx), "6xx",
		COUNT(c->register_6xx));
}

json_t *wave_proxy_json(const struct waves *waves, enum proxy proxy)
{
	const struct wave_peaks *peaks = &waves->series.peaks[proxy];
	struct proxy_counters c = waves->after.proxy[proxy];
	const uint64_t *before = (const uint64_t *)&waves->before.proxy[proxy];
	for (int i = 0; i < proxy_counters_count; i++)
		((uint64_t *)&c)[i] -= before[i];
	const uint64_t accepted = c.accepted_initial + c.accepted_refresh + c.accepted_failover +
				  c.accepted_failback;
	return json_pack("{s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:I, "
			 "s:o, s:o, s:o, s:o}",
		"offered", "initial", COUNT(c.offered_initial), "refresh", COUNT(c.offered_refresh),
		"failover", COUNT(c.offered_failover), "failback", COUNT(c.offered_failback),
		"accepted", "initial", COUNT(c.accepted_initial), "refresh",
		COUNT(c.accepted_refresh), "failover", COUNT(c.accepted_failover), "failback",
		COUNT(c.accepted_failback), "challenged", COUNT(c.challenged),
		"peak_register_per_s", COUNT(peaks->register_second), "peak_register_per_100ms",
		COUNT(peaks->register_tenth), "peak_options_per_s", COUNT(peaks->options_second),
		"retransmission_ratio",
		ratio(c.register_retransmitted + c.options_retransmitted,
			c.register_datagrams + c.options_datagrams),
		"ira", ira_json(&c), "answers", answers_json(&c), "rrd_mean_us",
		ratio(c.rrd_us, accepted));
}
