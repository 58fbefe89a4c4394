/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "drills.h"
#include "events.h"
#include "herds.h"
#include "steer.h"
#include "summary.h"
#include "watch.h"

/* The text while it is made. Every family begins with `family`, then come its values. */
struct metrics {
	FILE *out;
	const char *name; /* of the family */
	const struct picture *picture;
};

/* A label and its value for one field of a counter struct. */
struct row {
	const char *label;
	size_t offset;
};

#define ROWS(list) list, sizeof(list) / sizeof((list)[0])
#define HERD(field) offsetof(struct herd_counters, field)
#define WIRE(field) offsetof(struct wire_counters, field)
#define REGISTRAR(field) offsetof(struct registrar_counters, field)
#define STORE(field) offsetof(struct store_counters, field)

static void family(struct metrics *m, const char *name, const char *type, const char *help)
{
	m->name = name;
	fprintf(m->out, "# HELP sipherd_%s %s\n# TYPE sipherd_%s %s\n", name, help, name, type);
}

/* One value of the family, with labels such as a="b" or none. */
static void value(struct metrics *m, double number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void value(struct metrics *m, double number, const char *format, ...)
{
	char labels[400];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(labels, sizeof(labels), format, arguments);
	va_end(arguments);
	fprintf(m->out, labels[0] != '\0' ? "sipherd_%s{%s} %.16g\n" : "sipherd_%s%s %.16g\n",
		m->name, labels, number);
}

static void gauge(struct metrics *m, const char *name, const char *help, double number)
{
	family(m, name, "gauge", help);
	value(m, number, "%s", "");
}

static double field(const void *counters, size_t offset)
{
	return (double)*(const uint64_t *)((const char *)counters + offset);
}

static void counter(
	struct metrics *m, const char *name, const char *help, const void *counters, size_t offset)
{
	family(m, name, "counter", help);
	value(m, field(counters, offset), "%s", "");
}

static void counters(struct metrics *m, const char *name, const char *help, const void *from,
	const struct row *row, size_t rows)
{
	family(m, name, "counter", help);
	for (size_t i = 0; i < rows; i++)
		value(m, field(from, row[i].offset), "%s", row[i].label);
}

/* The bounds of a histogram's buckets, and how many of their units a second has. */
struct bounds {
	uint32_t count;
	double per_s;
	const uint32_t *bound;
};

/* Round trips and lateness: from what one host needs for itself to timer F. */
static const uint32_t bound_us[] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000, 32000000, 60000000};
/* Durations of a switch: from a laboratory's short timers to keep-alive periods and expiries. */
static const uint32_t bound_ms[] = {10, 50, 100, 250, 500, 1000, 2000, 5000, 10000, 20000, 30000,
	45000, 60000, 90000, 120000, 180000, 300000, 600000, 1800000, 3600000};
static const struct bounds round_trips = {sizeof(bound_us) / sizeof(bound_us[0]), 1e6, bound_us},
			   switches = {sizeof(bound_ms) / sizeof(bound_ms[0]), 1e3, bound_ms};

/* A cell counts where all of it lies at or below the bound: at most 1 % of a value's size off. */
static void histogram(struct metrics *m, const char *labels, const struct histogram *h,
	const struct bounds *bounds)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	uint64_t sum = 0;
	uint32_t cell = 0;
	for (uint32_t i = 0; i < bounds->count; i++) {
		const uint32_t bound = bounds->bound[i];
		for (; cell < HISTOGRAM_CELLS && histogram_cell_high(cell) <= bound; cell++)
			sum += h->cell[cell];
		fprintf(m->out, "sipherd_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", m->name, labels,
			comma, bound / bounds->per_s, sum);
	}
	fprintf(m->out, "sipherd_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", m->name, labels, comma,
		h->count);
	const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
	fprintf(m->out, "sipherd_%s_sum%s%s%s %.16g\n", m->name, open, labels, close,
		(double)h->sum / bounds->per_s);
	fprintf(m->out, "sipherd_%s_count%s%s%s %" PRIu64 "\n", m->name, open, labels, close,
		h->count);
}

/* By the proxy that was asked. */
static void histograms(
	struct metrics *m, const char *method, const struct histogram by_proxy[PROXIES])
{
	char labels[64];
	for (int p = 0; p < PROXIES; p++) {
		snprintf(labels, sizeof(labels), "method=\"%s\",proxy=\"%s\"", method,
			proxy_name((enum proxy)p));
		histogram(m, labels, &by_proxy[p], &round_trips);
	}
}

/* --- Phones --- */

/* A label's value: the fleet's name may hold anything. */
static void escape(const char *text, char *out, size_t size)
{
	size_t n = 0;
	for (; *text != '\0' && n + 3 < size; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
	}
	out[n] = '\0';
}

static void tell_phones(struct metrics *m, const char *fleet)
{
	const struct picture *p = m->picture;
	family(m, "phones", "gauge", "Phones driven here by state and by the proxy last tried.");
	for (int s = 0; s < PHONE_STATES; s++)
		for (int proxy = 0; proxy < PROXIES; proxy++)
			value(m, p->now->population.phones[s][proxy],
				"fleet=\"%s\",state=\"%s\",proxy=\"%s\"", fleet,
				phone_state_name((enum phone_state)s),
				proxy_name((enum proxy)proxy));
	family(m, "phones_configured", "gauge", "Phones of the whole fleet.");
	value(m, p->fleet->phones, "fleet=\"%s\"", fleet);
	family(m, "phones_driven", "gauge", "Phones of the fleet that this sipherd drives.");
	value(m, p->share->phones, "fleet=\"%s\"", fleet);
	counter(m, "phone_boots_total", "Phones started or rebooted.", &p->now->herd, HERD(boots));
}

static void tell_switches(struct metrics *m, const char *fleet)
{
	static const struct row rows[] = {
		{"to_redundant\",cause=\"keepalive_silence", HERD(failover_keepalive_silence)},
		{"to_redundant\",cause=\"register_silence", HERD(failover_register_silence)},
		{"to_redundant\",cause=\"refresh_silence", HERD(failover_refresh_silence)},
		{"to_redundant\",cause=\"code", HERD(failover_code)},
		{"to_primary\",cause=\"keepalive_answer", HERD(failback_keepalive_answer)},
		{"to_primary\",cause=\"keepalive_silence", HERD(failback_keepalive_silence)},
		{"to_primary\",cause=\"register_silence", HERD(failback_register_silence)},
		{"to_primary\",cause=\"refresh_silence", HERD(failback_refresh_silence)},
		{"to_primary\",cause=\"code", HERD(failback_code)},
	};
	family(m, "switches_total", "counter", "Phones that moved to the other proxy, by cause.");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		value(m, field(&m->picture->now->herd, rows[i].offset),
			"fleet=\"%s\",direction=\"%s\"", fleet, rows[i].label);
}

/* --- SIP --- */

#define REGISTER_ROW "method=\"REGISTER\",purpose=\"register\""
#define UNREGISTER_ROW "method=\"REGISTER\",purpose=\"unregister\""
#define OPTIONS_ROW "method=\"OPTIONS\",purpose=\"keepalive\""

static void tell_requests(struct metrics *m)
{
	static const struct row sent[] = {{REGISTER_ROW, HERD(register_sent)},
		{UNREGISTER_ROW, HERD(unregister_sent)}, {OPTIONS_ROW, HERD(options_sent)}};
	static const struct row again[] = {{REGISTER_ROW, HERD(register_retransmitted)},
		{UNREGISTER_ROW, HERD(unregister_retransmitted)},
		{OPTIONS_ROW, HERD(options_retransmitted)}};
	static const struct row silent[] = {{REGISTER_ROW, HERD(register_silent)},
		{UNREGISTER_ROW, HERD(unregister_silent)}, {OPTIONS_ROW, HERD(options_silent)}};
	const struct herd_counters *c = &m->picture->now->herd;
	counters(m, "sip_requests_total", "Transactions begun by phones.", c, ROWS(sent));
	counters(
		m, "sip_retransmissions_total", "Datagrams sent again by timer E.", c, ROWS(again));
	counters(m, "sip_timeouts_total", "Transactions that no final answer ended.", c,
		ROWS(silent));
}

static void tell_messages(struct metrics *m)
{
	static const struct row classes[] = {{"class=\"1xx\"", HERD(responses_1xx)},
		{"class=\"2xx\"", HERD(responses_2xx)}, {"class=\"3xx\"", HERD(responses_3xx)},
		{"class=\"4xx\"", HERD(responses_4xx)}, {"class=\"5xx\"", HERD(responses_5xx)},
		{"class=\"6xx\"", HERD(responses_6xx)}};
	static const struct row ignored[] = {{"reason=\"late\"", HERD(response_late)},
		{"reason=\"old_epoch\"", HERD(response_old_epoch)},
		{"reason=\"foreign\"", HERD(response_foreign)},
		{"reason=\"mismatch\"", HERD(response_mismatch)},
		{"reason=\"malformed\"", HERD(message_malformed)},
		{"reason=\"empty\"", HERD(message_keepalive)},
		{"reason=\"phone_off\"", HERD(request_while_off)},
		{"reason=\"unanswerable\"", HERD(request_unanswerable)}};
	static const struct row impaired[] = {{"fate=\"sent_lost\"", HERD(impaired_sent)},
		{"fate=\"received_lost\"", HERD(impaired_received)},
		{"fate=\"received_late\"", HERD(impaired_delayed)},
		{"fate=\"no_room\"", HERD(impaired_overflow)}};
	static const struct row received[] = {{"method=\"OPTIONS\"", HERD(request_options)},
		{"method=\"NOTIFY\"", HERD(request_notify)},
		{"method=\"INVITE\"", HERD(request_invite)}, {"method=\"ACK\"", HERD(request_ack)},
		{"method=\"other\"", HERD(request_other)}};
	const struct herd_counters *c = &m->picture->now->herd;
	counters(m, "sip_responses_total", "Responses taken.", c, ROWS(classes));
	counters(m, "sip_ignored_total", "Datagrams that changed nothing.", c, ROWS(ignored));
	counters(m, "sip_requests_received_total", "Requests from proxies.", c, ROWS(received));
	counters(m, "impaired_total", "Datagrams lost or late by an outage of our own making.", c,
		ROWS(impaired));
}

static void tell_results(struct metrics *m)
{
	static const struct row registrations[] = {{"result=\"ok\"", HERD(register_ok)},
		{"result=\"useless\"", HERD(register_useless)},
		{"result=\"challenged\"", HERD(register_challenged)},
		{"result=\"auth_failed\"", HERD(register_auth_failed)},
		{"result=\"too_brief\"", HERD(register_too_brief)},
		{"result=\"rejected\"", HERD(register_rejected)},
		{"result=\"silent\"", HERD(register_silent)},
		{"result=\"abandoned\"", HERD(register_abandoned)}};
	static const struct row keepalives[] = {{"result=\"answered\"", HERD(options_answered)},
		{"result=\"code\"", HERD(options_fail_code)},
		{"result=\"silent\"", HERD(options_silent)},
		{"result=\"skipped\"", HERD(options_skipped)},
		{"result=\"abandoned\"", HERD(options_abandoned)}};
	const struct herd_counters *c = &m->picture->now->herd;
	counters(m, "registrations_total", "REGISTER transactions by how they ended.", c,
		ROWS(registrations));
	counters(m, "keepalives_total", "Keep-alive ticks by how they ended.", c, ROWS(keepalives));
}

static void tell_durations(struct metrics *m)
{
	const struct herd_histograms *h = &m->picture->now->histograms;
	family(m, "sip_request_duration_seconds", "histogram",
		"From the planned sending of a request to its final answer, by the proxy asked.");
	histograms(m, "REGISTER", h->register_rtt_us);
	histograms(m, "OPTIONS", h->options_rtt_us);
	family(m, "registration_duration_seconds", "histogram",
		"From the first REGISTER to the 200, a challenge included (RFC 6076 RRD).");
	histogram(m, "", &h->registration_us, &round_trips);
	family(m, "generator_lateness_seconds", "histogram",
		"From the planned to the real sending of new transactions.");
	histogram(m, "", &h->lateness_us, &round_trips);
}

/* Which way, in words; the histograms have the proxy that was switched to. */
static void tell_failovers(struct metrics *m)
{
	char labels[80];
	family(m, "failover_duration_seconds", "histogram",
		"What moving to the other proxy took: to detect, to switch, to register there; and "
		"from the last answer to being in service again.");
	for (int to = PROXIES; to-- > 0;)
		for (int phase = 0; phase < FAILOVER_PHASES; phase++) {
			snprintf(labels, sizeof(labels), "direction=\"to_%s\",phase=\"%s\"",
				proxy_name((enum proxy)to),
				failover_phase_name((enum failover_phase)phase));
			histogram(m, labels, &m->picture->now->histograms.duration_ms[to][phase],
				&switches);
		}
}

/* --- The generator and its wire --- */

static void tell_generator(struct metrics *m)
{
	const struct picture *p = m->picture;
	const struct wire_snapshot *now = p->now;
	const struct summary summary = {.end = now};
	struct summary_verdict verdict;
	char why[PICTURE_WHY_MAX];
	summary_judge(&summary, &verdict);
	family(m, "build_info", "gauge", "Always 1; which sipherd this is.");
	value(m, 1, "version=\"%s\"", SIPHERD_VERSION);
	gauge(m, "start_time_seconds", "When the run began, unix time.", (double)p->started);
	gauge(m, "ready", "1 while phones are registered and the store is reachable.",
		picture_is_ready(p, why, sizeof(why)));
	gauge(m, "generator_healthy", "0 when sipherd was the limit and not the proxies.",
		!verdict.generator_limited);
	family(m, "generator_limited", "gauge", "1 for each reason why it was the limit.");
	for (int i = 0; i < SUMMARY_LIMITS; i++)
		value(m, verdict.limited_by[i], "reason=\"%s\"",
			summary_limit_name((enum summary_limit)i));
	gauge(m, "generator_memory_bytes", "For phones, timers and templates.",
		(double)picture_memory_bytes(p));
	family(m, "worker_busy_ratio", "gauge",
		"Share of the last second that a worker did not poll in vain.");
	for (unsigned i = 0; i < now->workers; i++)
		value(m, (double)now->worker[i].busy_ratio, "worker=\"%u\"", i);
	family(m, "worker_rounds_total", "counter", "Rounds of a worker's loop.");
	for (unsigned i = 0; i < now->workers; i++)
		value(m, (double)now->worker[i].rounds, "worker=\"%u\"", i);
}

static void tell_not_sent(struct metrics *m)
{
	static const struct row rows[] = {{"reason=\"port_full\"", WIRE(not_sent_full)},
		{"reason=\"no_neighbour\"", WIRE(not_sent_no_neighbour)},
		{"reason=\"unresolved\"", WIRE(not_sent_unresolved)},
		{"reason=\"too_long\"", WIRE(not_sent_too_long)}};
	const struct wire_snapshot *now = m->picture->now;
	counters(m, "datagrams_not_sent_total", "Datagrams that were due and not sent.", &now->wire,
		ROWS(rows));
	value(m, (double)now->herd.not_sent, "reason=\"no_buffer\"");
}

static void tell_wire(struct metrics *m)
{
	static const struct row frames[] = {{"direction=\"received\"", WIRE(frames_received)},
		{"direction=\"sent\"", WIRE(frames_sent)}};
	static const struct row bytes[] = {{"direction=\"received\"", WIRE(bytes_received)},
		{"direction=\"sent\"", WIRE(bytes_sent)}};
	static const struct row dropped[] = {{"reason=\"redirect_full\"", WIRE(redirect_dropped)},
		{"reason=\"bad_checksum\"", WIRE(bad_checksum)},
		{"reason=\"bad_frame\"", WIRE(bad_frame)}, {"reason=\"fragment\"", WIRE(fragment)},
		{"reason=\"foreign_vlan\"", WIRE(foreign_vlan)},
		{"reason=\"foreign_address\"", WIRE(foreign_address)},
		{"reason=\"foreign_sender\"", WIRE(foreign_sender)},
		{"reason=\"foreign_protocol\"", WIRE(foreign_protocol)}};
	static const struct row neighbours[] = {{"protocol=\"arp\"", WIRE(arp_answered)},
		{"protocol=\"ndp\"", WIRE(ndp_answered)},
		{"protocol=\"echo\"", WIRE(echo_answered)}};
	const struct wire_counters *c = &m->picture->now->wire;
	counters(m, "wire_frames_total", "Frames at the port.", c, ROWS(frames));
	counters(m, "wire_bytes_total", "Bytes of these frames.", c, ROWS(bytes));
	counters(
		m, "wire_frames_dropped_total", "Frames received and not taken.", c, ROWS(dropped));
	counters(m, "wire_neighbours_answered_total", "ARP, neighbour solicitations, pings.", c,
		ROWS(neighbours));
	counter(m, "wire_frames_redirected_total",
		"Frames handed to the worker that owns their phone.", c, WIRE(redirected));
	counter(m, "wire_icmp_errors_total", "ICMP errors for datagrams of ours.", c,
		WIRE(icmp_received));
}

/* --- Proxies --- */

static void tell_registrars(struct metrics *m)
{
	static const struct row rows[] = {{"ok", REGISTRAR(registrar_register_ok)},
		{"challenged", REGISTRAR(registrar_challenged)},
		{"auth_failed", REGISTRAR(registrar_auth_failed)},
		{"too_brief", REGISTRAR(registrar_too_brief)}, {"full", REGISTRAR(registrar_full)},
		{"refused", REGISTRAR(registrar_refused)},
		{"out_of_order", REGISTRAR(registrar_out_of_order)},
		{"options", REGISTRAR(registrar_options)}, {"other", REGISTRAR(registrar_other)},
		{"malformed", REGISTRAR(registrar_malformed)},
		{"crashed", REGISTRAR(registrar_dropped_crash)},
		{"lost", REGISTRAR(registrar_dropped_loss)},
		{"drained", REGISTRAR(registrar_drained)},
		{"rejected", REGISTRAR(registrar_rejected)}};
	const struct wire_snapshot *now = m->picture->now;
	if (!(m->picture->config->roles & WIRE_REGISTRARS))
		return;
	family(m, "registrar_bindings", "gauge",
		"Addresses of record bound at a built-in registrar.");
	for (int p = 0; p < PROXIES; p++)
		value(m, now->registered_at[p], "proxy=\"%s\"", proxy_name((enum proxy)p));
	family(m, "registrar_requests_total", "counter",
		"Requests at a built-in registrar by what became of them.");
	for (int p = 0; p < PROXIES; p++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			value(m, field(&now->registrar[p], rows[i].offset),
				"proxy=\"%s\",result=\"%s\"", proxy_name((enum proxy)p),
				rows[i].label);
}

/* What phones know of the proxies. */
static void tell_answers(struct metrics *m)
{
	static const struct row rows[] = {
		{"proxy=\"primary\",result=\"answered\"", HERD(answered_primary)},
		{"proxy=\"primary\",result=\"silent\"", HERD(silent_primary)},
		{"proxy=\"redundant\",result=\"answered\"", HERD(answered_redundant)},
		{"proxy=\"redundant\",result=\"silent\"", HERD(silent_redundant)}};
	const struct picture *p = m->picture;
	double ratio;
	counters(m, "proxy_transactions_total",
		"REGISTER and OPTIONS that ended, by the proxy asked.", &p->now->herd, ROWS(rows));
	family(m, "proxy_answered_ratio", "gauge",
		"Share of these that was answered, of the last 10 s; missing: none ended.");
	for (int i = 0; i < PROXIES; i++)
		if (picture_answered(p, (enum proxy)i, &ratio))
			value(m, ratio, "proxy=\"%s\"", proxy_name((enum proxy)i));
	family(m, "proxy_answering", "gauge",
		"0 when a proxy has met several requests with silence and answered none since.");
	for (int i = 0; i < PROXIES; i++)
		if (fleet_largest(p->fleet)->proxy[i].host[0] != '\0')
			value(m, p->pulse->proxy[i].dead_since_ms == 0, "proxy=\"%s\"",
				proxy_name((enum proxy)i));
}

static void tell_proxies(struct metrics *m)
{
	family(m, "proxy_resolved", "gauge", "1 when a proxy's address is known.");
	for (int p = 0; p < PROXIES; p++)
		if (fleet_largest(m->picture->fleet)->proxy[p].host[0] != '\0')
			value(m, m->picture->config->proxy[p].known, "proxy=\"%s\"",
				proxy_name((enum proxy)p));
	tell_answers(m);
	tell_registrars(m);
}

/* --- Herds --- */

struct herd_row {
	const char *label;
	uint64_t (*count)(const struct herd_counters *counters);
};

static uint64_t to_redundant(const struct herd_counters *c)
{
	return tally_switches(c, PROXY_REDUNDANT);
}

static uint64_t to_primary(const struct herd_counters *c)
{
	return tally_switches(c, PROXY_PRIMARY);
}

static uint64_t registers(const struct herd_counters *c)
{
	return c->register_sent;
}

static uint64_t keepalives(const struct herd_counters *c)
{
	return c->options_sent;
}

static void tell_herd_counts(struct metrics *m, const struct wire_herd_snapshot *herd,
	const struct herd_row *row, size_t rows)
{
	for (uint32_t h = 0; h < fleet_herds(m->picture->fleet); h++)
		for (size_t i = 0; i < rows; i++)
			value(m, (double)row[i].count(&herd[h].herd), "herd=\"%s\"%s",
				fleet_herd(m->picture->fleet, h)->name, row[i].label);
}

/* Each family of all herds together, as Prometheus wants it. */
static void tell_herds(struct metrics *m)
{
	static const struct herd_row requests[] = {
		{",method=\"REGISTER\"", registers}, {",method=\"OPTIONS\"", keepalives}};
	static const struct herd_row silent[] = {{"", tally_silent}};
	static const struct herd_row switched[] = {
		{",to=\"redundant\"", to_redundant}, {",to=\"primary\"", to_primary}};
	const struct fleet *fleet = m->picture->fleet;
	struct wire_herd_snapshot *herd = calloc(fleet_herds(fleet), sizeof(*herd));
	if (herd == NULL)
		return;
	for (uint32_t h = 0; h < fleet_herds(fleet); h++)
		herds_snapshot(m->picture, h, &herd[h]);
	family(m, "herd_phones", "gauge", "Phones of a herd by state and by the proxy last tried.");
	for (uint32_t h = 0; h < fleet_herds(fleet); h++)
		for (int s = 0; s < PHONE_STATES; s++)
			for (int p = 0; p < PROXIES; p++)
				value(m, herd[h].population.phones[s][p],
					"herd=\"%s\",state=\"%s\",proxy=\"%s\"",
					fleet_herd(fleet, h)->name,
					phone_state_name((enum phone_state)s),
					proxy_name((enum proxy)p));
	family(m, "herd_requests_total", "counter", "Transactions that a herd has begun.");
	tell_herd_counts(m, herd, ROWS(requests));
	family(m, "herd_silent_total", "counter", "Transactions of a herd that timed out.");
	tell_herd_counts(m, herd, ROWS(silent));
	family(m, "herd_switches_total", "counter", "Switches of a herd's phones to a proxy.");
	tell_herd_counts(m, herd, ROWS(switched));
	free(herd);
}

/* --- The store, and we ourselves --- */

static void tell_store(struct metrics *m)
{
	static const struct row flushes[] = {{"result=\"ok\"", STORE(flushes)},
		{"result=\"failed\"", STORE(flush_failures)}, {"result=\"fenced\"", STORE(fenced)}};
	const struct store_status *s = &m->picture->share->status;
	if (!share_has_redis(m->picture->share))
		return;
	gauge(m, "store_connected", "1 while every server that is needed can be called.",
		s->connected);
	gauge(m, "store_lag_seconds", "Age of the oldest change that Redis has not confirmed.",
		(double)s->lag_us / 1e6);
	gauge(m, "store_nodes", "Generators of this fleet that live.", s->nodes);
	family(m, "store_shards", "gauge", "Shards of the fleet, and those of this node.");
	value(m, s->shards, "of=\"fleet\"");
	value(m, s->driven, "of=\"driven\"");
	value(m, s->unleased, "of=\"unleased\"");
	value(m, s->dirty_shards, "of=\"dirty\"");
	counters(m, "store_flushes_total", "Flush calls by how they ended.", &s->counters,
		ROWS(flushes));
	counter(m, "store_records_written_total", "Phone records written to Redis.", &s->counters,
		STORE(records_written));
	counter(m, "store_written_bytes_total", "Bytes of calls sent to Redis.", &s->counters,
		STORE(bytes_written));
	counter(m, "store_reconnects_total", "Connections that came up after one was lost.",
		&s->counters, STORE(reconnects));
	counter(m, "store_leases_lost_total", "Leases lost to another node.", &s->counters,
		STORE(leases_lost));
	counter(m, "store_feed_lines_total", "Transitions written to the feed.", &s->counters,
		STORE(feed_lines));
	counter(m, "store_feed_dropped_total", "Transitions left out of the feed.", &s->counters,
		STORE(feed_dropped));
}

static void tell_http(struct metrics *m)
{
	const struct picture *p = m->picture;
	gauge(m, "http_connections", "Open connections to this API.", p->connections);
	family(m, "http_answers_total", "counter", "Answers of this API.");
	for (unsigned i = 1; i < sizeof(p->answers) / sizeof(p->answers[0]); i++)
		value(m, (double)p->answers[i], "class=\"%uxx\"", i + 1);
}

/* Who watches, and what operators have changed. */
static void tell_watchers(struct metrics *m)
{
	const struct picture *p = m->picture;
	if (p->events != NULL) {
		const struct events_totals totals = events_totals(p->events);
		gauge(m, "event_streams", "Listeners to the event stream.",
			events_listeners(p->events));
		gauge(m, "event_streams_max", "So many may listen at a time.",
			EVENTS_LISTENERS_MAX);
		family(m, "event_streams_begun_total", "counter", "Who ever began to listen.");
		value(m, (double)totals.begun, "%s", "");
		family(m, "event_streams_dropped_total", "counter",
			"Listeners hung up on because they did not read.");
		value(m, (double)totals.dropped, "%s", "");
		family(m, "events_total", "counter", "Events told to whoever listens.");
		value(m, (double)totals.events, "%s", "");
	}
	if (p->watch != NULL) {
		family(m, "watch_dropped_total", "counter",
			"Transitions that the live map missed; each time it is made anew.");
		value(m, (double)watch_dropped(p->watch), "%s", "");
	}
}

/* The drill that runs is the only one that is named: dashboards mark the time for which it is there. */
static void tell_drills(struct metrics *m)
{
	const struct picture *p = m->picture;
	uint32_t id;
	const struct drill *drill = drills_current(p->drills, &id);
	const struct drills_totals totals = p->drills != NULL ? drills_totals(p->drills)
							      : (struct drills_totals){0};
	char name[2 * DRILL_NAME_MAX + 4];
	family(m, "drill_running", "gauge",
		"1 while the drill of this name runs; without a name 0: none does.");
	if (drill != NULL) {
		escape(drill->plan.name, name, sizeof(name));
		value(m, 1, "name=\"%s\"", name);
	} else {
		value(m, 0, "%s", "");
	}
	family(m, "drills_total", "counter", "Drills that are over, by how they ended.");
	value(m, (double)totals.completed, "outcome=\"completed\"");
	value(m, (double)totals.aborted, "outcome=\"aborted\"");
	gauge(m, "drill_phones_out",
		"Phones that the drill's waves of now are about and that are not back in service.",
		drill != NULL ? drills_phones_out(p->drills) : 0);
}

static void tell_load(struct metrics *m, const char *fleet)
{
	const struct picture *p = m->picture;
	family(m, "load_phones", "gauge", "Phones of the whole fleet that are meant to be on.");
	value(m, p->steer != NULL ? p->steer->phones : p->fleet->phones, "fleet=\"%s\"", fleet);
	gauge(m, "load_paused", "1 while an operator keeps phones from being started.",
		p->steer != NULL && p->steer->paused);
	gauge(m, "load_requests_per_second",
		"REGISTER and OPTIONS a second that the fleet file plans once all phones that are "
		"meant to be on are there.",
		picture_steady_per_s(p));
}

char *metrics_text(const struct picture *picture, size_t *length)
{
	char *text = NULL, fleet[2 * sizeof(picture->fleet->name) + 4];
	struct metrics m = {.out = open_memstream(&text, length), .picture = picture};
	if (m.out == NULL)
		return NULL;
	escape(picture->fleet->name, fleet, sizeof(fleet));
	tell_phones(&m, fleet);
	tell_switches(&m, fleet);
	tell_requests(&m);
	tell_messages(&m);
	tell_results(&m);
	tell_durations(&m);
	tell_failovers(&m);
	tell_generator(&m);
	tell_not_sent(&m);
	tell_wire(&m);
	tell_proxies(&m);
	tell_herds(&m);
	tell_store(&m);
	tell_http(&m);
	tell_watchers(&m);
	tell_drills(&m);
	tell_load(&m, fleet);
	const bool good = !ferror(m.out);
	if (fclose(m.out) == 0 && good)
		return text;
	free(text);
	return NULL;
}
