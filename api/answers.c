/* SPDX-License-Identifier: BSD-3-Clause */
#include "answers.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "summary.h"

const char *const answer_histograms[ANSWER_HISTOGRAMS] = {"options_rtt", "register_rtt",
	"registration", "lateness", "options_rtt_primary", "options_rtt_redundant",
	"failover_detect", "failover_switch", "failover_register", "failover_since_answer",
	"failback_detect", "failback_switch", "failback_register", "failback_since_answer"};

/* Histograms of the herd that one shown is made of, and what one of their units is. */
struct source {
	size_t at; /* of the first, in struct herd_histograms */
	uint32_t n, unit_us;
};

#define SHOWN(field) offsetof(struct herd_histograms, field)

static const struct source sources[ANSWER_HISTOGRAMS] = {
	{SHOWN(options_rtt_us), PROXIES, 1},
	{SHOWN(register_rtt_us), PROXIES, 1},
	{SHOWN(registration_us), 1, 1},
	{SHOWN(lateness_us), 1, 1},
	{SHOWN(options_rtt_us[PROXY_PRIMARY]), 1, 1},
	{SHOWN(options_rtt_us[PROXY_REDUNDANT]), 1, 1},
	{SHOWN(duration_ms[PROXY_REDUNDANT][FAILOVER_DETECT]), 1, 1000},
	{SHOWN(duration_ms[PROXY_REDUNDANT][FAILOVER_SWITCH]), 1, 1000},
	{SHOWN(duration_ms[PROXY_REDUNDANT][FAILOVER_REGISTER]), 1, 1000},
	{SHOWN(duration_ms[PROXY_REDUNDANT][FAILOVER_SINCE_ANSWER]), 1, 1000},
	{SHOWN(duration_ms[PROXY_PRIMARY][FAILOVER_DETECT]), 1, 1000},
	{SHOWN(duration_ms[PROXY_PRIMARY][FAILOVER_SWITCH]), 1, 1000},
	{SHOWN(duration_ms[PROXY_PRIMARY][FAILOVER_REGISTER]), 1, 1000},
	{SHOWN(duration_ms[PROXY_PRIMARY][FAILOVER_SINCE_ANSWER]), 1, 1000},
};

/* --- Parts that several answers have --- */

void answer_moment(struct shape *shape, const struct picture *picture)
{
	shape_number(shape, "at_s", "seconds of the run when these figures were taken",
		picture_at_s(picture));
}

void answer_phones(struct shape *shape, const struct herd_population *p)
{
	shape_begin(shape, "phones", "phones driven here by state, and by the proxy last tried");
	for (int s = 0; s < PHONE_STATES; s++) {
		shape_begin(shape, phone_state_name((enum phone_state)s), "phones in this state");
		shape_count(shape, "primary", "at the primary proxy", p->phones[s][PROXY_PRIMARY]);
		shape_count(shape, "redundant", "at the redundant proxy",
			p->phones[s][PROXY_REDUNDANT]);
		shape_end(shape);
	}
	shape_end(shape);
}

static void tell_switches(struct shape *shape, const struct herd_counters *c, enum proxy to)
{
	const bool redundant = to == PROXY_REDUNDANT;
	shape_count(shape, "total", "all of them", tally_switches(c, to));
	shape_count(shape, "keepalive_answer",
		"the primary proxy answered again; never a cause to leave it",
		redundant ? 0 : c->failback_keepalive_answer);
	shape_count(shape, "keepalive_silence", "no answer to OPTIONS",
		redundant ? c->failover_keepalive_silence : c->failback_keepalive_silence);
	shape_count(shape, "register_silence", "no answer to a first REGISTER",
		redundant ? c->failover_register_silence : c->failback_register_silence);
	shape_count(shape, "refresh_silence", "no answer to a later REGISTER",
		redundant ? c->failover_refresh_silence : c->failback_refresh_silence);
	shape_count(shape, "code", "a code that makes phones switch",
		redundant ? c->failover_code : c->failback_code);
}

static void tell_counters(
	struct shape *shape, const void *values, const struct counter_description *names, int count)
{
	for (int i = 0; i < count; i++)
		shape_count(shape, names[i].name, names[i].help, ((const uint64_t *)values)[i]);
}

/* unit_us: of the histogram's values. */
static void tell_quantiles(struct shape *shape, const struct histogram *h, uint64_t unit_us)
{
	shape_begin(shape, "quantiles_us", "values that so many samples do not exceed");
	shape_count(shape, "p50", "one half", histogram_quantile(h, 0.5) * unit_us);
	shape_count(shape, "p90", "9 of 10", histogram_quantile(h, 0.9) * unit_us);
	shape_count(shape, "p99", "99 of 100", histogram_quantile(h, 0.99) * unit_us);
	shape_count(shape, "p99_9", "999 of 1,000", histogram_quantile(h, 0.999) * unit_us);
	shape_end(shape);
}

void answer_histogram(struct shape *shape, const char *name, const char *help,
	const struct histogram *h, uint64_t unit_us)
{
	shape_begin(shape, name, help);
	shape_count(shape, "count", "samples", h->count);
	shape_count(shape, "max_us", "the largest", h->max * unit_us);
	tell_quantiles(shape, h, unit_us);
	shape_end(shape);
}

static void tell_histogram(
	struct shape *shape, const char *name, const char *help, const struct histogram *h)
{
	answer_histogram(shape, name, help, h, 1);
}

static void tell_verdict(struct shape *shape, const struct picture *picture)
{
	const struct summary summary = {.end = picture->now};
	struct summary_verdict verdict;
	const char *reason[sizeof(verdict.reason) / sizeof(verdict.reason[0])];
	summary_judge(&summary, &verdict);
	for (unsigned i = 0; i < verdict.reasons; i++)
		reason[i] = verdict.reason[i];
	shape_begin(shape, "verdict", "may the figures be believed");
	shape_switch(shape, "generator_limited",
		"sipherd was the limit, not the proxies: the figures tell about this host",
		verdict.generator_limited);
	shape_switch(shape, "no_answer", "no proxy has answered anything", verdict.no_answer);
	shape_texts(shape, "reasons", "why the generator is the limit", verdict.reasons, reason);
	shape_end(shape);
}

static void tell_datagrams(struct shape *shape, const struct wire_snapshot *now)
{
	shape_begin(shape, "datagrams", "of SIP, since the start");
	shape_count(shape, "planned", "the schedule asked for", tally_planned(now));
	shape_count(shape, "sent", "handed to the port", tally_planned(now) - tally_not_sent(now));
	shape_count(shape, "not_sent", "we were late, or had nowhere to send", tally_not_sent(now));
	shape_end(shape);
}

/* --- Health --- */

void answer_health(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	shape_text(shape, "status", "alive: the control loop answers", "alive");
	shape_text(shape, "version", "of sipherd", SIPHERD_VERSION);
	answer_moment(shape, picture);
}

void answer_ready(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	shape_text(
		shape, "status", "ready: phones are registered, the store is reachable", "ready");
	shape_count(shape, "phones_driven", "phones driven here", picture->share->phones);
	shape_count(
		shape, "phones_registered", "of these, registered", picture_registered(picture));
	answer_moment(shape, picture);
}

/* --- The fleet --- */

void answer_mode(struct shape *shape, const struct fleet *fleet)
{
	const bool on = fleet->redundancy_enabled;
	const bool symmetric = fleet->redundancy_mode == MODE_SYMMETRIC;
	shape_begin(shape, "mode", "of redundancy, in both vendors' words");
	shape_switch(shape, "enabled", "false: phones have one proxy", on);
	shape_maybe_text(shape, "audiocodes", "asymmetric or symmetric",
		!on         ? NULL
		: symmetric ? "symmetric"
			    : "asymmetric");
	shape_maybe_text(shape, "spider", "homing or parking",
		!on         ? NULL
		: symmetric ? "parking"
			    : "homing");
	shape_end(shape);
}

static void tell_rates(struct shape *shape, const struct picture *picture)
{
	const struct tally_second *s = tally_latest(picture->tally);
	const uint32_t ramp = picture_ramp_per_s(picture);
	shape_begin(shape, "rates", "a second");
	shape_begin(shape, "planned", "by the fleet file and the load asked for");
	shape_maybe_number(
		shape, "ramp_phones", "phones started; null: all at once", ramp > 0, ramp);
	shape_number(shape, "steady_requests",
		"requests when all phones driven here that are to be on are registered",
		picture_steady_per_s(picture));
	shape_end(shape);
	shape_begin(shape, "achieved", "in the last whole second");
	shape_count(shape, "register", "REGISTER transactions begun", s->register_sent);
	shape_count(shape, "options", "OPTIONS transactions begun", s->options_sent);
	shape_count(shape, "retransmitted", "datagrams sent again", s->retransmitted);
	shape_count(shape, "answered", "responses taken", s->answered);
	shape_count(shape, "silent", "transactions that timed out", s->silent);
	shape_count(shape, "not_sent", "datagrams that were due and not sent", s->not_sent);
	shape_count(shape, "failovers", "switches to the redundant proxy", s->failovers);
	shape_count(shape, "failbacks", "switches to the primary proxy", s->failbacks);
	shape_end(shape);
	shape_end(shape);
}

static void tell_totals(struct shape *shape, const struct picture *picture)
{
	const struct wire_snapshot *now = picture->now;
	const struct herd_counters *c = &now->herd;
	tell_datagrams(shape, now);
	shape_begin(shape, "losses", "since the start, in three bins");
	shape_count(shape, "not_sent", "datagrams: we were late, or had nowhere to send",
		tally_not_sent(now));
	shape_count(shape, "no_answer", "transactions that timed out", tally_silent(c));
	shape_count(shape, "bad_answer", "refused, useless or malformed", tally_bad_answers(c));
	shape_end(shape);
	shape_begin(shape, "switches", "since the start, by cause");
	shape_begin(shape, "to_redundant", "fail-overs");
	tell_switches(shape, c, PROXY_REDUNDANT);
	shape_end(shape);
	shape_begin(shape, "to_primary", "fail-backs");
	tell_switches(shape, c, PROXY_PRIMARY);
	shape_end(shape);
	shape_end(shape);
}

static bool has_pattern(const struct fleet *fleet)
{
	return identity_count(fleet->identities) == UINT32_MAX;
}

void answer_fleet(struct shape *shape, const struct picture *picture, unsigned which)
{
	char started[32];
	struct tm utc;
	(void)which;
	gmtime_r(&picture->started, &utc);
	strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", &utc);
	shape_text(shape, "name", "of the fleet", picture->fleet->name);
	shape_text(shape, "version", "of sipherd", SIPHERD_VERSION);
	shape_text(shape, "started", "when, in UTC", started);
	answer_moment(shape, picture);
	shape_switch(shape, "stopping", "the phones are being switched off", picture->stopping);
	answer_mode(shape, fleet_largest(picture->fleet));
	shape_maybe_text(shape, "user_pattern",
		"users by index: {n} is it, {n:06} with six digits; null: users are in a file, or "
		"of several "
		"herds",
		has_pattern(picture->fleet) ? picture->fleet->user : NULL);
	shape_count(
		shape, "phones_configured", "phones of the whole fleet", picture->fleet->phones);
	shape_count(shape, "phones_driven",
		"of these, driven by this sipherd; all figures are of these",
		picture->share->phones);
	answer_phones(shape, &picture->now->population);
	tell_rates(shape, picture);
	tell_totals(shape, picture);
	tell_verdict(shape, picture);
	shape_made(shape, "configuration",
		"in force, without secrets; keys as in the fleet file, with units",
		fleet_json(picture->fleet));
}

/* --- Proxies --- */

/* When phones last moved to this proxy, among the seconds shown. */
static const struct tally_second *last_switch(const struct picture *picture, enum proxy to)
{
	for (uint32_t i = picture_seconds(picture); i-- > 0;) {
		const struct tally_second *s = picture_second(picture, i);
		if ((to == PROXY_REDUNDANT ? s->failovers : s->failbacks) > 0)
			return s;
	}
	return NULL;
}

static void tell_answers(struct shape *shape, const struct picture *picture, enum proxy proxy)
{
	const struct herd_histograms *h = &picture->now->histograms;
	const uint64_t dead_ms = picture->pulse->proxy[proxy].dead_since_ms;
	double ratio;
	const bool any = picture_answered(picture, proxy, &ratio);
	shape_maybe_number(shape, "answered_ratio",
		"of REGISTER and OPTIONS to it that ended in the last 10 s, those that were "
		"answered; null: none ended",
		any, ratio);
	shape_maybe_integer(shape, "dead_since_unix_ms",
		"since when it has answered nothing, though it was asked; null: it answers, or "
		"nobody asks it",
		dead_ms != 0, (int64_t)dead_ms);
	tell_histogram(shape, "rtt_us", "round trips of keep-alives to it, since the start",
		&h->options_rtt_us[proxy]);
	tell_histogram(shape, "register_rtt_us", "the same of REGISTER transactions",
		&h->register_rtt_us[proxy]);
}

static void tell_builtin(struct shape *shape, const struct picture *picture, enum proxy which)
{
	const bool has = (picture->config->roles & WIRE_REGISTRARS) != 0;
	if (!shape_maybe_begin(shape, "registrar",
		    "the built-in registrar's own view, where it plays this proxy", has))
		return;
	shape_count(shape, "bound", "addresses of record that are bound",
		picture->now->registered_at[which]);
	shape_count(shape, "requests_per_s",
		"REGISTER and OPTIONS received in the last whole second",
		tally_latest(picture->tally)->requests[which]);
	shape_begin(shape, "counters", "since the start");
	tell_counters(shape, &picture->now->registrar[which], registrar_counters_descriptions,
		registrar_counters_count);
	shape_end(shape);
	shape_end(shape);
}

void answer_proxy(struct shape *shape, const struct picture *picture, unsigned which)
{
	const enum proxy proxy = (enum proxy)which;
	const struct wire_proxy *in_use = &picture->config->proxy[which];
	const struct fleet_proxy *written = &fleet_largest(picture->fleet)->proxy[which];
	const uint32_t registered = picture->now->population.phones[PHONE_REGISTERED][which];
	const uint32_t all = picture->share->phones;
	const struct tally_second *last = last_switch(picture, proxy);
	char address[ADDRESS_TEXT_MAX];
	address_format(&in_use->address, address);
	shape_text(shape, "id", "primary or redundant", proxy_name(proxy));
	answer_moment(shape, picture);
	shape_maybe_text(shape, "host",
		"as written in the fleet file, of the herd with the most phones; null: there is no "
		"such proxy",
		written->host[0] != '\0' ? written->host : NULL);
	shape_maybe_text(shape, "address", "in use; null: its name has none yet",
		in_use->known ? address : NULL);
	shape_count(shape, "port", "in use", in_use->port);
	shape_count(shape, "registered", "phones registered here", registered);
	shape_number(shape, "share", "of the phones driven by this sipherd, 0 to 1",
		all > 0 ? (double)registered / all : 0);
	shape_begin(shape, "phones", "phones that tried this proxy last, by state");
	for (int s = 0; s < PHONE_STATES; s++)
		shape_count(shape, phone_state_name((enum phone_state)s), "phones in this state",
			picture->now->population.phones[s][which]);
	shape_end(shape);
	shape_begin(shape, "switches_to", "phones that moved here since the start, by cause");
	tell_switches(shape, &picture->now->herd, proxy);
	shape_end(shape);
	shape_maybe_number(shape, "last_switch_at_s",
		"second of the run in which phones last moved here; null: not in the last 15 "
		"minutes",
		last != NULL, last != NULL ? (double)last->at_s : 0);
	tell_answers(shape, picture, proxy);
	tell_builtin(shape, picture, proxy);
}

static void proxy_item(struct shape *shape, const void *picture, uint32_t index)
{
	answer_proxy(shape, picture, index);
}

void answer_proxies(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	answer_moment(shape, picture);
	shape_list(shape, "proxies", "the primary one, then the redundant one", PROXIES, proxy_item,
		picture);
}

/* --- The generator --- */

static void worker_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct wire_worker_state *worker = &((const struct wire_snapshot *)context)
							  ->worker[index];
	shape_count(shape, "worker", "its number", index);
	shape_count(shape, "cpu", "it runs on", worker->cpu);
	shape_number(shape, "busy_ratio",
		"share of the last second not spent polling in vain, 0 to 1",
		(double)worker->busy_ratio);
	shape_count(shape, "rounds", "of its loop", worker->rounds);
}

void answer_generator(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct wire_snapshot *now = picture->now;
	char seed[24];
	(void)which;
	/* Text: JSON's numbers lose 64-bit integers in many a reader. */
	snprintf(seed, sizeof(seed), "%" PRIu64, picture->config->herd.seed);
	answer_moment(shape, picture);
	shape_text(shape, "link", "in use", picture->link);
	shape_text(shape, "seed", "of every random choice; --seed repeats the run", seed);
	tell_verdict(shape, picture);
	shape_list(
		shape, "workers", "threads that drive the phones", now->workers, worker_item, now);
	tell_datagrams(shape, now);
	tell_histogram(shape, "lateness", "planned to real send time of new transactions",
		&now->histograms.lateness_us);
	shape_count(shape, "memory_bytes", "for phones, timers and templates",
		picture_memory_bytes(picture));
	shape_begin(shape, "counters", "of the phones, since the start");
	tell_counters(shape, &now->herd, herd_counters_descriptions, herd_counters_count);
	shape_end(shape);
	shape_begin(shape, "wire", "of the wire, since the start");
	tell_counters(shape, &now->wire, wire_counters_descriptions, wire_counters_count);
	shape_end(shape);
}

/* --- The store --- */

static void tell_redis(struct shape *shape, const struct share *share)
{
	const struct store_status *s = &share->status;
	if (!shape_maybe_begin(
		    shape, "redis", "how Redis is; null: there is none", share_has_redis(share)))
		return;
	shape_switch(shape, "connected", "every server that is needed can be called", s->connected);
	shape_switch(shape, "refused", "a newer schema or another fleet of this name: we keep away",
		s->refused);
	shape_count(shape, "nodes", "generators that live, this one included", s->nodes);
	shape_count(shape, "shards", "of the fleet", s->shards);
	shape_count(shape, "shards_driven", "by this node", s->driven);
	shape_count(shape, "shards_unleased", "of these, without a lease", s->unleased);
	shape_count(shape, "shards_dirty", "with changes that Redis does not have yet",
		s->dirty_shards);
	shape_count(shape, "calls_waiting", "for an answer of Redis", s->calls_waiting);
	shape_count(shape, "lag_us", "age of the oldest change that Redis has not confirmed",
		s->lag_us);
	shape_count(shape, "lag_max_us", "the largest since the start", s->lag_max_us);
	shape_text(shape, "trouble", "what is wrong now; empty: nothing", s->trouble);
	shape_begin(shape, "counters", "since the start");
	tell_counters(shape, &s->counters, store_counters_descriptions, store_counters_count);
	shape_end(shape);
	shape_end(shape);
}

/* Who drives a shard. */
static void shard_item(struct shape *shape, const void *context, uint32_t index)
{
	const struct share *share = context;
	char owner[SHARE_OWNER_MAX];
	const bool ours = share->mirror != NULL && !mirror_shard_stopped(share->mirror, index);
	shape_count(shape, "shard", "its number: phones from 10,000 times as many on", index);
	shape_maybe_text(shape, "owner", "name of the node that drives it; null: not known",
		!ours              ? share_owner(share, index, owner)
		: share->has_image ? share->image.node
				   : NULL);
}

void answer_store(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct share *share = picture->share;
	const bool has = share->has_image;
	(void)which;
	answer_moment(shape, picture);
	shape_text(shape, "kind", "none, image, embedded, single, unix, sentinel or cluster",
		share_kind(share));
	shape_maybe_text(shape, "where",
		"in words, without user and password; null: nothing is kept",
		has ? share->words : NULL);
	shape_maybe_text(shape, "node", "this node's name", has ? share->image.node : NULL);
	shape_maybe_text(shape, "image", "file of the records", has ? share->image.path : NULL);
	tell_redis(shape, share);
	shape_list(shape, "shards", "10,000 phones each", has ? share->mirror->shards : 0,
		shard_item, share);
}

/* --- What was --- */

void answer_second(struct shape *shape, const void *picture, uint32_t index)
{
	const struct tally_second *s = picture_second(picture, index);
	shape_number(shape, "at_s", "second of the run, at its end", (double)s->at_s);
	shape_count(shape, "registered_primary", "phones at its end", s->registered[PROXY_PRIMARY]);
	shape_count(
		shape, "registered_redundant", "phones at its end", s->registered[PROXY_REDUNDANT]);
	shape_count(
		shape, "elsewhere", "phones that were neither registered nor off", s->elsewhere);
	shape_count(shape, "register_sent", "REGISTER transactions begun", s->register_sent);
	shape_count(shape, "options_sent", "OPTIONS transactions begun", s->options_sent);
	shape_count(shape, "retransmitted", "datagrams sent again", s->retransmitted);
	shape_count(shape, "answered", "responses taken", s->answered);
	shape_count(shape, "silent", "transactions that timed out", s->silent);
	shape_count(shape, "failovers", "switches to the redundant proxy", s->failovers);
	shape_count(shape, "failbacks", "switches to the primary proxy", s->failbacks);
	shape_count(shape, "not_sent", "datagrams that were due and not sent", s->not_sent);
	shape_count(shape, "options_rtt_p50_us", "of the answers to OPTIONS", s->rtt_p50_us);
	shape_count(shape, "options_rtt_p99_us", "of the answers to OPTIONS", s->rtt_p99_us);
}

void answer_timeline(struct shape *shape, const struct picture *picture, unsigned which)
{
	(void)which;
	shape_list(shape, "seconds", "the newest seconds of the run, oldest first",
		picture_seconds(picture), answer_second, picture);
}

static json_t *cells(const struct histogram *h, uint32_t unit_us)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++)
		if (h->cell[i] > 0)
			json_array_append_new(list,
				json_pack("[I, I]", (json_int_t)histogram_cell_low(i) * unit_us,
					(json_int_t)h->cell[i]));
	return list;
}

void answer_histogram_cells(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct source *source = &sources[which];
	const uint64_t unit_us = source->unit_us;
	struct histogram h;
	histogram_sum(&h,
		(const struct histogram *)((const char *)&picture->now->histograms + source->at),
		source->n);
	shape_text(shape, "name", "of the histogram", answer_histograms[which]);
	answer_moment(shape, picture);
	shape_count(shape, "unit_us",
		"what it counts in; all values are told in microseconds, whatever that is",
		unit_us);
	shape_count(shape, "count", "samples", h.count);
	shape_count(shape, "sum_us", "of all samples", h.sum * unit_us);
	shape_count(shape, "min_us", "the smallest; 0 without samples",
		h.count > 0 ? h.min * unit_us : 0);
	shape_count(shape, "max_us", "the largest", h.max * unit_us);
	tell_quantiles(shape, &h, unit_us);
	shape_pairs(shape, "cells_us",
		"[smallest value, samples] of each cell that is not empty; 64 cells an octave",
		cells(&h, source->unit_us));
}
