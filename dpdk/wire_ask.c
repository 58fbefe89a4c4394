/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control thread asks of workers, and waits for: snapshots of all they count, and looks at
 * single phones. */
#include <string.h>

#include "telemetry.h"
#include "wire_internal.h"

#define ANSWER_WAIT_US 250000
#define LOOK_WAIT_US 20000 /* people ask, and may ask again; others wait meanwhile */

static bool question_is_answered(const struct question *question)
{
	return atomic_load_explicit(&question->answered, memory_order_acquire) ==
	       atomic_load_explicit(&question->asked, memory_order_relaxed);
}

/* Only after the one before has been answered. */
static void ask(struct worker *worker, struct question *question)
{
	const uint32_t asked = atomic_load_explicit(&question->asked, memory_order_relaxed);
	atomic_store_explicit(&question->asked, asked + 1, memory_order_release);
	bell_ring(&worker->bell);
}

static bool wait_answered(const struct wire *wire, const struct question *question, uint64_t end_us)
{
	bool answered;
	uint32_t pause_us = 0;
	while (!(answered = question_is_answered(question)) && clock_us(&wire->clock) < end_us)
		wire_pause(&pause_us);
	return answered;
}

/* --- Snapshots --- */

static void keep_report(struct wire *wire, unsigned w)
{
	const struct report *from = &wire->worker[w]->report;
	struct report *to = &wire->last[w];
	struct slice_report *slice = to->slice;
	*to = *from;
	to->slice = slice;
	for (unsigned h = 0; h < wire->herds; h++) {
		const struct slice_report *now = &from->slice[h];
		slice[h].herd = now->herd;
		slice[h].population = now->population;
		herd_histograms_copy(&slice[h].histograms, &now->histograms);
		memcpy(slice[h].proxy, now->proxy, sizeof(now->proxy));
		series_copy(&slice[h].series, &now->series);
		memcpy(slice[h].registrar, now->registrar, sizeof(now->registrar));
		memcpy(slice[h].registered_at, now->registered_at, sizeof(now->registered_at));
	}
}

/* Ask every worker, then collect what they answer; one that does not answer in time is represented
 * by what it said last. */
static void collect_reports(struct wire *wire)
{
	const unsigned workers = all_workers(&wire->config);
	for (unsigned w = 0; w < workers; w++)
		if (question_is_answered(&wire->worker[w]->report_question))
			ask(wire->worker[w], &wire->worker[w]->report_question);
	const uint64_t end_us = clock_us(&wire->clock) + ANSWER_WAIT_US;
	for (unsigned w = 0; w < workers; w++)
		if (wait_answered(wire, &wire->worker[w]->report_question, end_us))
			keep_report(wire, w);
}

static void merge_slice(struct wire_snapshot *out, const struct slice_report *report)
{
	counters_add(&out->herd, &report->herd, herd_counters_count);
	for (unsigned p = 0; p < PROXIES; p++) {
		counters_add(&out->proxy[p], &report->proxy[p], proxy_counters_count);
		counters_add(&out->registrar[p], &report->registrar[p], registrar_counters_count);
		out->registered_at[p] += report->registered_at[p];
		for (unsigned s = 0; s < PHONE_STATES; s++)
			out->population.phones[s][p] += report->population.phones[s][p];
	}
	herd_histograms_merge(&out->histograms, &report->histograms);
}

static void merge_report(struct wire_snapshot *out, const struct report *report, unsigned herds)
{
	for (unsigned h = 0; h < herds; h++)
		merge_slice(out, &report->slice[h]);
	counters_add(&out->wire, &report->wire, wire_counters_count);
	out->quiet = out->quiet && report->quiet;
	if (report->now_us > out->now_us)
		out->now_us = report->now_us;
}

/* What has been merged once stays: a worker that lags behind holds the others' steps up, but does not
 * make those that everybody has closed go away. */
static void merge_series(struct wire *wire, struct series *out)
{
	const struct series *of[WIRE_WORKERS_MAX * WIRE_HERDS_MAX];
	unsigned n = 0;
	for (unsigned w = 0; w < wire->config.workers; w++)
		for (unsigned h = 0; h < wire->herds; h++)
			of[n++] = &wire->last[w].slice[h].series;
	series_merge(&wire->series, of, n);
	*out = wire->series;
}

void wire_snapshot(struct wire *wire, struct wire_snapshot *out)
{
	memset(out, 0, sizeof(*out));
	herd_histograms_reset(&out->histograms);
	out->workers = all_workers(&wire->config);
	out->quiet = true;
	if (wire->started) {
		collect_reports(wire);
	} else {
		for (unsigned w = 0; w < out->workers; w++) {
			worker_report(wire->worker[w], 0);
			keep_report(wire, w);
		}
	}
	for (unsigned w = 0; w < out->workers; w++) {
		merge_report(out, &wire->last[w], wire->herds);
		out->worker[w] = wire->last[w].state;
		for (unsigned h = 0; h < wire->herds && wire->worker[w]->herd_station; h++)
			out->herd_memory += herd_memory(wire->worker[w]->slice[h].herd);
	}
	merge_series(wire, &out->series);
	if (wire->capture)
		out->wire.captured = capture_written(wire->capture);
	telemetry_publish(out);
}

void wire_herd_population(const struct wire *wire, unsigned herd, struct herd_population *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned w = 0; w < wire->config.workers; w++) {
		const struct herd_population *p = &wire->last[w].slice[herd].population;
		for (unsigned s = 0; s < PHONE_STATES; s++)
			for (unsigned i = 0; i < PROXIES; i++)
				out->phones[s][i] += p->phones[s][i];
	}
}

void wire_herd_snapshot(const struct wire *wire, unsigned herd, struct wire_herd_snapshot *out)
{
	memset(out, 0, sizeof(*out));
	herd_histograms_reset(&out->histograms);
	for (unsigned w = 0; w < all_workers(&wire->config); w++) {
		const struct slice_report *report = &wire->last[w].slice[herd];
		counters_add(&out->herd, &report->herd, herd_counters_count);
		herd_histograms_merge(&out->histograms, &report->histograms);
		for (unsigned p = 0; p < PROXIES; p++) {
			counters_add(&out->proxy[p], &report->proxy[p], proxy_counters_count);
			counters_add(&out->registrar[p], &report->registrar[p],
				registrar_counters_count);
			out->registered_at[p] += report->registered_at[p];
		}
	}
	wire_herd_population(wire, herd, &out->population);
}

/* --- Looks --- */

bool wire_look(struct wire *wire, uint32_t phone, struct herd_look *out)
{
	if (!has_herd(&wire->config) || phone >= wire->config.herd.fleet_phones)
		return false;
	struct worker *worker = wire->worker[worker_owner(wire->worker[0], phone)];
	if (!wire->started)
		return herd_look(
			worker->slice[roster_herd_of(&wire->roster, phone)].herd, phone, 0, out);
	struct look *look = &worker->look;
	/* Who did not answer in time is not waited for again before he has. */
	if (!question_is_answered(&look->question))
		return false;
	look->phone = phone;
	ask(worker, &look->question);
	if (!wait_answered(wire, &look->question, clock_us(&wire->clock) + LOOK_WAIT_US) ||
		!look->found)
		return false;
	*out = look->answer;
	return true;
}
