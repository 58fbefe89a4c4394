/* SPDX-License-Identifier: BSD-3-Clause */
#include "herds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "answers.h"
#include "summary_json.h"

void herds_only_ours(
	const struct share *share, const struct fleet *herd, struct herd_population *population)
{
	const struct mirror *mirror = share->mirror;
	const uint32_t end = herd->begin + herd->phones;
	uint32_t others = 0;
	for (uint32_t phone = herd->begin, next; mirror != NULL && phone < end; phone = next) {
		const uint32_t shard = phone / SHARD_PHONES;
		next = (shard + 1) * SHARD_PHONES < end ? (shard + 1) * SHARD_PHONES : end;
		if (atomic_load_explicit(&mirror->here[shard], memory_order_relaxed) == 0)
			others += next - phone;
	}
	for (int p = 0; p < PROXIES; p++) {
		uint32_t *off = &population->phones[PHONE_OFF][p];
		const uint32_t less = others < *off ? others : *off;
		*off -= less;
		others -= less;
	}
}

void herds_snapshot(const struct picture *picture, uint32_t herd, struct wire_herd_snapshot *out)
{
	if (picture->wire == NULL) {
		memset(out, 0, sizeof(*out));
		herd_histograms_reset(&out->histograms);
		return;
	}
	wire_herd_snapshot(picture->wire, herd, out);
	herds_only_ours(picture->share, fleet_herd(picture->fleet, herd), &out->population);
}

static const char *profile_of(const struct fleet *herd)
{
	static const char *const names[] = {[PROFILE_AUDIOCODES] = "audiocodes-400hd",
		[PROFILE_SPIDER] = "spider-mt505",
		[PROFILE_WORST_CASE] = "worst-case",
		[PROFILE_RFC3263] = "rfc3263"};
	return names[herd->profile];
}

/* --- HTTP --- */

static void tell_herd_proxies(
	struct shape *shape, const struct fleet *herd, const struct herd_population *population)
{
	shape_begin(shape, "proxies", "of this herd");
	for (int p = 0; p < PROXIES; p++) {
		const struct fleet_proxy *proxy = &herd->proxy[p];
		const int family = fleet_proxy_family(herd, (enum proxy)p);
		shape_begin(shape, proxy_name((enum proxy)p), "one of them");
		shape_maybe_text(shape, "host", "as in the fleet file; null: there is none",
			family != -ENOENT ? proxy->host : NULL);
		shape_count(shape, "port", "of UDP", proxy->port);
		shape_count(shape, "registered", "phones of the herd registered there",
			population->phones[PHONE_REGISTERED][p]);
		shape_end(shape);
	}
	shape_end(shape);
}

static void tell_herd_totals(struct shape *shape, const struct herd_counters *c)
{
	shape_begin(shape, "totals", "since the start");
	shape_count(shape, "register", "REGISTER transactions begun", c->register_sent);
	shape_count(shape, "options", "OPTIONS transactions begun", c->options_sent);
	shape_count(
		shape, "registered", "REGISTER transactions that ended with 200", c->register_ok);
	shape_count(shape, "options_answered", "OPTIONS transactions that were answered",
		c->options_answered);
	shape_count(shape, "retransmitted", "datagrams sent again", tally_retransmitted(c));
	shape_count(shape, "no_answer", "transactions that timed out", tally_silent(c));
	shape_count(shape, "bad_answer", "refused, useless or malformed", tally_bad_answers(c));
	shape_count(shape, "failovers", "switches to the redundant proxy",
		tally_switches(c, PROXY_REDUNDANT));
	shape_count(shape, "failbacks", "switches to the primary proxy",
		tally_switches(c, PROXY_PRIMARY));
	shape_end(shape);
}

static void tell_herd(struct shape *shape, const void *context, uint32_t index)
{
	const struct picture *picture = context;
	const struct fleet *herd = fleet_herd(picture->fleet, index);
	struct wire_herd_snapshot now;
	struct histogram round_trips;
	herds_snapshot(picture, index, &now);
	histogram_sum(&round_trips, now.histograms.options_rtt_us, PROXIES);
	shape_text(shape, "name", "of the herd", herd->name);
	shape_count(shape, "first_phone", "index of its first phone", herd->begin);
	shape_count(shape, "phones_configured", "phones of the herd", herd->phones);
	shape_text(shape, "domain", "of its addresses of record", herd->domain);
	shape_text(shape, "profile", "its preset", profile_of(herd));
	answer_mode(shape, herd);
	shape_count(shape, "keepalive_period_ms", "between two OPTIONS, 0: none",
		herd->keepalive_period_ms);
	tell_herd_proxies(shape, herd, &now.population);
	answer_phones(shape, &now.population);
	tell_herd_totals(shape, &now.herd);
	answer_histogram(shape, "options_rtt", "round trips of keep-alives", &round_trips, 1);
	answer_histogram(shape, "registration", "RFC 6076 RRD, challenge included",
		&now.histograms.registration_us, 1);
	answer_histogram(shape, "failover",
		"from the last answer of the primary proxy to the registration at the redundant "
		"one",
		&now.histograms.duration_ms[PROXY_REDUNDANT][FAILOVER_SINCE_ANSWER], 1000);
}

void answer_herds(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	answer_moment(shape, picture);
	shape_list(shape, "herds",
		"in the order of their phones; their totals add up to the fleet's",
		fleet_herds(picture->fleet), tell_herd, picture);
}

/* --- Summary --- */

static void print_herd(const struct summary *summary, uint32_t index, FILE *out)
{
	const struct fleet *herd = fleet_herd(summary->fleet, index);
	const uint32_t *registered = summary->herds_at_stop[index].phones[PHONE_REGISTERED];
	struct wire_herd_snapshot end;
	wire_herd_snapshot(summary->wire, index, &end);
	const struct herd_counters *c = &end.herd;
	fprintf(out,
		"  %-15.40s %9u %9u %9u %10" PRIu64 " %10" PRIu64 " %9" PRIu64 " %10" PRIu64
		" %10" PRIu64 "\n",
		herd->name, herd->phones, registered[PROXY_PRIMARY], registered[PROXY_REDUNDANT],
		c->register_sent, c->options_sent, tally_silent(c),
		tally_switches(c, PROXY_REDUNDANT), tally_switches(c, PROXY_PRIMARY));
}

void herds_print(const struct summary *summary, FILE *out)
{
	if (summary->fleet->herds == 0)
		return;
	fprintf(out,
		"herds                phones   primary redundant   REGISTER    OPTIONS no answer "
		"fail-overs fail-backs\n");
	for (uint32_t h = 0; h < summary->fleet->herds; h++)
		print_herd(summary, h, out);
}

static json_t *json_herd(const struct summary *summary, uint32_t index)
{
	const struct fleet *herd = fleet_herd(summary->fleet, index);
	struct wire_herd_snapshot end;
	wire_herd_snapshot(summary->wire, index, &end);
	const struct herd_histograms *h = &end.histograms;
	json_t *object = json_pack("{s: s, s: I, s: I, s: s, s: s, s: o, s: o, s: o, s: o}", "name",
		herd->name, "first_phone", (json_int_t)herd->begin, "phones_configured",
		(json_int_t)herd->phones, "domain", herd->domain, "profile", profile_of(herd),
		"phones", summary_json_phones(&summary->herds_at_stop[index]), "losses",
		summary_json_losses(&end.herd), "switches", summary_json_switches(&end.herd),
		"counters",
		summary_json_counters(&end.herd, herd_counters_descriptions, herd_counters_count));
	json_object_set_new(object, "histograms",
		json_pack("{s: o, s: o, s: o}", "options_rtt",
			summary_json_histograms(h->options_rtt_us), "register_rtt",
			summary_json_histograms(h->register_rtt_us), "registration",
			summary_json_histogram(&h->registration_us)));
	return object;
}

json_t *herds_json(const struct summary *summary)
{
	json_t *array = json_array();
	for (uint32_t h = 0; h < fleet_herds(summary->fleet); h++)
		json_array_append_new(array, json_herd(summary, h));
	return array;
}
