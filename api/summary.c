/* SPDX-License-Identifier: BSD-3-Clause */
#include "summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "herds.h"
#include "summary_json.h"
#include "view.h"

static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
static const char *const quantile_names[] = {"p50", "p90", "p99", "p99_9", "max"};
#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static const char *const limit_names[SUMMARY_LIMITS] = {[SUMMARY_NOT_SENT] = "not_sent",
	[SUMMARY_LATE] = "late",
	[SUMMARY_REDIRECT_LOST] = "redirect_lost"};

const char *summary_limit_name(enum summary_limit limit)
{
	return limit_names[limit];
}

static void give_reason(struct summary_verdict *v, enum summary_limit by, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void give_reason(struct summary_verdict *v, enum summary_limit by, const char *format, ...)
{
	v->limited_by[by] = true;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(v->reason[v->reasons++], sizeof(v->reason[0]), format, arguments);
	va_end(arguments);
}

void summary_judge(const struct summary *summary, struct summary_verdict *v)
{
	const struct wire_snapshot *end = summary->end;
	*v = (struct summary_verdict){0};
	/* Only what we could not do; an unknown next hop is the network's silence, not our limit. */
	uint64_t full = end->herd.not_sent + end->wire.not_sent_full;
	uint32_t late_us = histogram_quantile(
		&end->histograms.lateness_us, SUMMARY_LATENESS_QUANTILE);
	if (full > 0)
		give_reason(
			v, SUMMARY_NOT_SENT, "%" PRIu64 " datagrams were due and not sent", full);
	if (late_us > SUMMARY_LATENESS_LIMIT_US)
		give_reason(v, SUMMARY_LATE,
			"one in 1,000 transactions left %.1f ms late or more (limit %u ms)",
			late_us / 1e3, SUMMARY_LATENESS_LIMIT_US / 1000);
	if (end->wire.redirect_dropped > 0)
		give_reason(v, SUMMARY_REDIRECT_LOST,
			"%" PRIu64 " frames were lost between workers", end->wire.redirect_dropped);
	if (summary->baseline_limited)
		snprintf(v->reason[v->reasons++], sizeof(v->reason[0]),
			"the same drill against the built-in registrars was limited by this host");
	v->generator_limited = v->reasons > 0;
	v->no_answer = tally_planned(end) > 0 && tally_answered(&end->herd) == 0;
}

static void print_count(FILE *out, const char *name, uint64_t value, const char *what)
{
	char number[32];
	fprintf(out, "  %-28s %14s%s%s\n", name, view_number(value, number), *what ? "  " : "",
		what);
}

static void print_phones(const struct summary *summary, FILE *out)
{
	const struct herd_population *p = &summary->at_stop->population;
	fprintf(out, "phones when the run ended %12s %12s\n", "primary", "redundant");
	for (int s = PHONE_STATES - 1; s >= 0; s--)
		if (tally_phones(p, (enum phone_state)s) > 0)
			fprintf(out, "  %-23s %12u %12u\n", phone_state_name((enum phone_state)s),
				p->phones[s][PROXY_PRIMARY], p->phones[s][PROXY_REDUNDANT]);
}

static void print_histogram(FILE *out, const char *name, const struct histogram *h)
{
	if (h->count == 0)
		return;
	fprintf(out, "  %-28s %10.3f %10.3f %10.3f %10.3f\n", name,
		histogram_quantile(h, 0.5) / 1e3, histogram_quantile(h, 0.99) / 1e3,
		histogram_quantile(h, 0.999) / 1e3, h->max / 1e3);
}

/* Of whichever proxy was asked. */
static void print_histograms(FILE *out, const char *name, const struct histogram by_proxy[PROXIES])
{
	struct histogram both;
	histogram_sum(&both, by_proxy, PROXIES);
	print_histogram(out, name, &both);
}

static void print_switches(const struct herd_counters *c, FILE *out)
{
	print_count(
		out, "fail-overs", tally_switches(c, PROXY_REDUNDANT), "to the redundant proxy");
	print_count(out, "  keep-alive silence", c->failover_keepalive_silence, "");
	print_count(out, "  REGISTER, refresh silence",
		c->failover_register_silence + c->failover_refresh_silence, "");
	print_count(out, "  switching code", c->failover_code, "");
	print_count(out, "fail-backs", tally_switches(c, PROXY_PRIMARY), "to the primary proxy");
	print_count(out, "  keep-alive answer", c->failback_keepalive_answer, "");
	print_count(out, "  silence",
		c->failback_keepalive_silence + c->failback_register_silence +
			c->failback_refresh_silence,
		"");
	print_count(out, "  switching code", c->failback_code, "");
}

static void print_herd(const struct summary *summary, FILE *out)
{
	const struct wire_snapshot *end = summary->end;
	const struct herd_counters *c = &end->herd;
	const struct fleet *fleet = fleet_largest(summary->fleet);
	fprintf(out, "rules   keep-alive %g s, silence after %g s, switch delay 0-%g s, %s\n",
		fleet->keepalive_period_ms / 1e3, fleet->no_response_ms / 1e3,
		fleet->switch_delay_ms / 1e3,
		!fleet->redundancy_enabled                 ? "no redundancy"
		: fleet->redundancy_mode == MODE_SYMMETRIC ? "symmetric"
							   : "asymmetric");
	print_phones(summary, out);
	herds_print(summary, out);
	fprintf(out, "traffic\n");
	print_count(out, "planned datagrams", tally_planned(end), "");
	print_count(out, "sent", tally_planned(end) - tally_not_sent(end), "");
	print_count(out, "REGISTER", c->register_sent, "transactions");
	print_count(out, "OPTIONS", c->options_sent, "transactions");
	print_count(out, "retransmitted", tally_retransmitted(c), "datagrams");
	fprintf(out, "losses\n");
	print_count(out, "not sent", tally_not_sent(end), "we were late, or had nowhere to send");
	print_count(out, "no answer", tally_silent(c), "transactions that timed out");
	print_count(out, "bad answer", tally_bad_answers(c), "refused, useless or malformed");
	fprintf(out, "switches\n");
	print_switches(c, out);
	fprintf(out,
		"milliseconds                          p50        p99      p99.9        max\n");
	print_histograms(out, "OPTIONS round trip", end->histograms.options_rtt_us);
	print_histograms(out, "REGISTER round trip", end->histograms.register_rtt_us);
	print_histogram(out, "registration (RRD)", &end->histograms.registration_us);
	print_histogram(out, "lateness of sending", &end->histograms.lateness_us);
}

static void print_registrars(const struct wire_snapshot *end, FILE *out)
{
	fprintf(out, "built-in registrars       %12s %12s\n", "primary", "redundant");
	const uint64_t *a = (const uint64_t *)&end->registrar[PROXY_PRIMARY];
	const uint64_t *b = (const uint64_t *)&end->registrar[PROXY_REDUNDANT];
	fprintf(out, "  %-23s %12u %12u\n", "bound now", end->registered_at[PROXY_PRIMARY],
		end->registered_at[PROXY_REDUNDANT]);
	for (int i = 0; i < registrar_counters_count; i++)
		if (a[i] + b[i] > 0)
			fprintf(out, "  %-23s %12" PRIu64 " %12" PRIu64 "\n",
				registrar_counters_descriptions[i].name + strlen("registrar_"),
				a[i], b[i]);
}

/* Without the mirror, which is told with the store. */
static uint64_t herd_memory_of(const struct summary *summary)
{
	const struct mirror *mirror = summary->share->mirror;
	return summary->end->herd_memory - (mirror != NULL ? mirror_memory(mirror) : 0);
}

void summary_print(const struct summary *summary, const json_t *root, FILE *out)
{
	struct summary_verdict verdict;
	summary_judge(summary, &verdict);
	fprintf(out, "\n--- %s: %.1f s on %s, seed %" PRIu64 "\n", summary->command,
		summary->duration_s, summary->link, summary->seed);
	if (summary->roles & WIRE_HERD)
		print_herd(summary, out);
	if (summary->roles & WIRE_REGISTRARS)
		print_registrars(summary->end, out);
	if (!(summary->roles & WIRE_HERD))
		return;
	fprintf(out, "memory  %.1f MB for phones, timers and templates, %.0f bytes per phone\n",
		(double)herd_memory_of(summary) / 1e6,
		(double)herd_memory_of(summary) / (double)summary->fleet->phones);
	share_print(summary->share, out);
	summary_print_drills(root, out);
	summary_print_gates(root, out);
	if (!summary->drained)
		fprintf(out, "stopped before all phones were quiet\n");
	if (verdict.no_answer)
		fprintf(out, "verdict no proxy answered\n");
	if (verdict.generator_limited) {
		fprintf(out, "verdict GENERATOR-LIMITED: the figures tell about this host\n");
		for (unsigned i = 0; i < verdict.reasons; i++)
			fprintf(out, "        %s\n", verdict.reason[i]);
	} else if (!verdict.no_answer) {
		fprintf(out, "verdict the generator kept its schedule\n");
	}
}

static json_t *count(uint64_t value)
{
	return json_integer((json_int_t)value);
}

json_t *summary_json_counters(const void *values, const struct counter_description *names, int n)
{
	json_t *object = json_object();
	for (int i = 0; i < n; i++)
		json_object_set_new(object, names[i].name, count(((const uint64_t *)values)[i]));
	return object;
}

json_t *summary_json_histogram(const struct histogram *h)
{
	json_t *object = json_object(), *q = json_object(), *cells = json_array();
	json_object_set_new(object, "count", count(h->count));
	json_object_set_new(object, "min_us", count(h->count ? h->min : 0));
	json_object_set_new(
		object, "mean_us", json_real(h->count ? (double)h->sum / (double)h->count : 0));
	json_object_set_new(object, "max_us", count(h->max));
	for (size_t i = 0; i < QUANTILES; i++)
		json_object_set_new(
			q, quantile_names[i], count(histogram_quantile(h, quantiles[i])));
	json_object_set_new(object, "quantiles_us", q);
	for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++)
		if (h->cell[i] > 0)
			json_array_append_new(
				cells, json_pack("[I, I]", (json_int_t)histogram_cell_low(i),
					       (json_int_t)h->cell[i]));
	json_object_set_new(object, "cells_us", cells);
	return object;
}

json_t *summary_json_histograms(const struct histogram by_proxy[PROXIES])
{
	struct histogram both;
	histogram_sum(&both, by_proxy, PROXIES);
	return summary_json_histogram(&both);
}

json_t *summary_json_phones(const struct herd_population *p)
{
	json_t *object = json_object();
	for (int s = 0; s < PHONE_STATES; s++)
		json_object_set_new(object, phone_state_name((enum phone_state)s),
			json_pack("{s: I, s: I}", "primary",
				(json_int_t)p->phones[s][PROXY_PRIMARY], "redundant",
				(json_int_t)p->phones[s][PROXY_REDUNDANT]));
	return object;
}

json_t *summary_json_switches(const struct herd_counters *c)
{
	return json_pack("{s: {s: I, s: I, s: I, s: I}, s: {s: I, s: I, s: I, s: I, s: I}}",
		"to_redundant", "keepalive_silence", (json_int_t)c->failover_keepalive_silence,
		"register_silence", (json_int_t)c->failover_register_silence, "refresh_silence",
		(json_int_t)c->failover_refresh_silence, "code", (json_int_t)c->failover_code,
		"to_primary", "keepalive_answer", (json_int_t)c->failback_keepalive_answer,
		"keepalive_silence", (json_int_t)c->failback_keepalive_silence, "register_silence",
		(json_int_t)c->failback_register_silence, "refresh_silence",
		(json_int_t)c->failback_refresh_silence, "code", (json_int_t)c->failback_code);
}

json_t *summary_json_losses(const struct herd_counters *c)
{
	return json_pack("{s: I, s: I, s: I}", "not_sent", (json_int_t)c->not_sent, "no_answer",
		(json_int_t)tally_silent(c), "bad_answer", (json_int_t)tally_bad_answers(c));
}

static json_t *json_timeline(const struct tally *tally)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < tally->count; i++) {
		const struct tally_second *s = &tally->second[i];
		json_array_append_new(array,
			json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
				  "s:I, s:I}",
				"at_s", (double)s->at_s, "registered_primary",
				(json_int_t)s->registered[PROXY_PRIMARY], "registered_redundant",
				(json_int_t)s->registered[PROXY_REDUNDANT], "elsewhere",
				(json_int_t)s->elsewhere, "register_sent",
				(json_int_t)s->register_sent, "options_sent",
				(json_int_t)s->options_sent, "retransmitted",
				(json_int_t)s->retransmitted, "answered", (json_int_t)s->answered,
				"silent", (json_int_t)s->silent, "failovers",
				(json_int_t)s->failovers, "failbacks", (json_int_t)s->failbacks,
				"not_sent", (json_int_t)s->not_sent, "options_rtt_p50_us",
				(json_int_t)s->rtt_p50_us, "options_rtt_p99_us",
				(json_int_t)s->rtt_p99_us));
	}
	return array;
}

static json_t *json_verdict(const struct summary *summary)
{
	struct summary_verdict verdict;
	summary_judge(summary, &verdict);
	json_t *reasons = json_array();
	for (unsigned i = 0; i < verdict.reasons; i++)
		json_array_append_new(reasons, json_string(verdict.reason[i]));
	return json_pack("{s: b, s: b, s: i, s: o}", "generator_limited", verdict.generator_limited,
		"no_answer", verdict.no_answer, "lateness_limit_us", (int)SUMMARY_LATENESS_LIMIT_US,
		"reasons", reasons);
}

static json_t *json_workers(const struct wire_snapshot *end)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < end->workers; i++)
		json_array_append_new(array,
			json_pack("{s: I, s: f, s: I}", "cpu", (json_int_t)end->worker[i].cpu,
				"busy_ratio", (double)end->worker[i].busy_ratio, "rounds",
				(json_int_t)end->worker[i].rounds));
	return array;
}

static void add_herd(json_t *root, const struct summary *summary)
{
	const struct wire_snapshot *end = summary->end;
	const struct herd_histograms *h = &end->histograms;
	json_object_set_new(root, "verdict", json_verdict(summary));
	json_object_set_new(root, "phones", summary_json_phones(&summary->at_stop->population));
	json_object_set_new(root, "datagrams",
		json_pack("{s: I, s: I}", "planned", (json_int_t)tally_planned(end), "sent",
			(json_int_t)(tally_planned(end) - tally_not_sent(end))));
	json_object_set_new(root, "losses",
		json_pack("{s: I, s: I, s: I}", "not_sent", (json_int_t)tally_not_sent(end),
			"no_answer", (json_int_t)tally_silent(&end->herd), "bad_answer",
			(json_int_t)tally_bad_answers(&end->herd)));
	json_object_set_new(root, "switches", summary_json_switches(&end->herd));
	json_object_set_new(root, "counters",
		summary_json_counters(&end->herd, herd_counters_descriptions, herd_counters_count));
	json_object_set_new(root, "histograms",
		json_pack("{s: o, s: o, s: o, s: o}", "options_rtt",
			summary_json_histograms(h->options_rtt_us), "register_rtt",
			summary_json_histograms(h->register_rtt_us), "registration",
			summary_json_histogram(&h->registration_us), "lateness",
			summary_json_histogram(&h->lateness_us)));
	if (summary->fleet->herds > 0)
		json_object_set_new(root, "herds", herds_json(summary));
	json_object_set_new(root, "timeline", json_timeline(summary->tally));
	json_object_set_new(root, "memory_bytes", count(herd_memory_of(summary)));
	json_object_set_new(root, "store", share_json(summary->share));
}

static void add_registrars(json_t *root, const struct summary *summary)
{
	const struct wire_snapshot *end = summary->end;
	json_t *object = json_object();
	for (int p = 0; p < PROXIES; p++) {
		if (!summary->proxy[p].known)
			continue;
		json_t *one = summary_json_counters(&end->registrar[p],
			registrar_counters_descriptions, registrar_counters_count);
		json_object_set_new(one, "bound", count(end->registered_at[p]));
		json_object_set_new(object, proxy_name((enum proxy)p), one);
	}
	json_object_set_new(root, "registrars", object);
}

static json_t *json_proxies(const struct wire_proxy *proxy)
{
	json_t *object = json_object();
	for (int p = 0; p < PROXIES; p++) {
		char address[ADDRESS_TEXT_MAX];
		if (!proxy[p].known)
			continue;
		address_format(&proxy[p].address, address);
		json_object_set_new(object, proxy_name((enum proxy)p),
			json_pack("{s: s, s: i}", "address", address, "port", (int)proxy[p].port));
	}
	return object;
}

static json_t *json_time(time_t when)
{
	char text[32];
	struct tm utc;
	gmtime_r(&when, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

json_t *summary_json(const struct summary *summary)
{
	/* The seed is text: JSON's numbers lose 64-bit integers in many a reader. */
	char seed[24];
	snprintf(seed, sizeof(seed), "%" PRIu64, summary->seed);
	json_t *root = json_pack("{s: s, s: s, s: s, s: o, s: o, s: f, s: s, s: s, s: b, s: o}",
		"schema", "sipherd.run/1", "version", SIPHERD_VERSION, "command", summary->command,
		"started", json_time(summary->started), "ended", json_time(summary->ended),
		"duration_s", summary->duration_s, "seed", seed, "link", summary->link, "drained",
		summary->drained, "proxies", json_proxies(summary->proxy));
	if (summary->fleet != NULL)
		json_object_set_new(root, "fleet", fleet_json(summary->fleet));
	if (summary->roles & WIRE_HERD)
		add_herd(root, summary);
	if (summary->roles & WIRE_REGISTRARS)
		add_registrars(root, summary);
	json_object_set_new(root, "wire",
		summary_json_counters(
			&summary->end->wire, wire_counters_descriptions, wire_counters_count));
	json_object_set_new(root, "workers", json_workers(summary->end));
	return root;
}

static int write_and_close(const json_t *root, FILE *out)
{
	int status = json_dumpf(root, out, JSON_INDENT(1)) != 0 || fputc('\n', out) == EOF ? -EIO
											   : 0;
	return fclose(out) != 0 && status == 0 ? -errno : status;
}

/* Whoever waits for the file must never read half of it. */
static int write_whole(const json_t *root, const char *path)
{
	char draft[4096];
	if ((size_t)snprintf(draft, sizeof(draft), "%s.part", path) >= sizeof(draft))
		return -ENAMETOOLONG;
	FILE *out = fopen(draft, "w");
	if (out == NULL)
		return -errno;
	int status = write_and_close(root, out);
	if (status == 0 && rename(draft, path) != 0)
		status = -errno;
	if (status != 0)
		remove(draft);
	return status;
}

int summary_write(const json_t *root, const char *path)
{
	if (strcmp(path, "-") != 0)
		return write_whole(root, path);
	return json_dumpf(root, stdout, JSON_INDENT(1)) != 0 || putchar('\n') == EOF ? -EIO : 0;
}
