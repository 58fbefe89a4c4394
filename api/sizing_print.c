/* SPDX-License-Identifier: BSD-3-Clause */
#include "sizing_print.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "sizing.h"
#include "view.h"

#define NONCE_LIFETIME_S 300 /* of proxies that we do not know */

static const char *const moment_words[SIZING_MOMENTS] = {
	[SIZING_STEADY] = "steady, on average",
	[SIZING_STEADY_PEAK] = "steady, busiest second",
	[SIZING_START] = "start, busiest second",
	[SIZING_FAIL_OVER] = "fail over, busiest second",
	[SIZING_OUTAGE] = "outage, on average",
	[SIZING_FAIL_BACK] = "fail back, busiest second",
	[SIZING_KEEPALIVES_AFTER] = "keep-alives after it",
	[SIZING_REFRESHES_AFTER] = "refreshes after it",
};
static const char *const moment_names[SIZING_MOMENTS] = {"steady", "steady_peak", "start",
	"fail_over", "outage", "fail_back", "keepalives_after", "refreshes_after"};
static const char *const occasion_names[SIZING_OCCASIONS] = {
	"keepalive", "register", "refresh", "return", "goodbye"};
static const double nic_gbit[] = {1, 10, 25, 100};
#define NICS (sizeof(nic_gbit) / sizeof(nic_gbit[0]))

/* --- For people --- */

static const char *count(double value, char out[32])
{
	return view_number((uint64_t)(value + 0.5), out);
}

/* Three digits or more. */
static const char *quantity(double value, char out[32])
{
	if (value >= 100)
		return count(value, out);
	snprintf(out, 32, "%.*f", value >= 10 ? 1 : 2, value);
	return out;
}

static void print_loads(FILE *out, const struct sizing *s)
{
	char a[32], b[32], c[32], d[32];
	fprintf(out, "\n%-26s %11s %11s %10s %10s %8s\n", "per second", "packets out", "packets in",
		"Mbit out", "Mbit in", "workers");
	for (int i = 0; i < SIZING_MOMENTS; i++) {
		const struct sizing_load *load = &s->load[i];
		if (!load->known)
			continue;
		fprintf(out, "%-26s %11s %11s %10s %10s %8.3f\n", moment_words[i],
			count(load->packets[SIZING_OUT], a), count(load->packets[SIZING_IN], b),
			quantity(load->line_bits[SIZING_OUT] / 1e6, c),
			quantity(load->line_bits[SIZING_IN] / 1e6, d), load->busy);
	}
	fputc('\n', out);
}

static void print_nic(FILE *out, const struct sizing *s)
{
	char number[32];
	fprintf(out, "line rate   ");
	for (size_t i = 0; i < NICS; i++)
		fprintf(out, "%s%s %% of %g", i == 0 ? "" : ", ",
			quantity(s->line_bits / nic_gbit[i] / 1e7, number), nic_gbit[i]);
	fprintf(out, " Gbit/s\n");
}

static void print_memory(FILE *out, const struct sizing_memory *m, const struct sizing_case *what)
{
	char a[32], b[32];
	fprintf(out, "memory      %s MB for the phones, %.1f bytes each\n",
		quantity(m->herd / 1e6, a), m->herd / what->herd->fleet_phones);
	fprintf(out, "            %s MB of records and rings for store and HTTP API",
		quantity(m->mirror / 1e6, a));
	if (m->image > 0)
		fprintf(out, ", %s MB of it in the image file", quantity(m->image / 1e6, b));
	fputc('\n', out);
	if (what->registrars)
		fprintf(out, "            %s MB for the bindings of both built-in registrars\n",
			quantity(m->registrars / 1e6, a));
}

static void print_redis(FILE *out, const struct sizing_redis *r)
{
	char a[32], b[32];
	fprintf(out, "redis       %s MB of records, at most %s MB of feed\n",
		quantity(r->bytes / 1e6, a), quantity(r->feed / 1e6, b));
	fprintf(out, "            %s calls and %s kB per second, steady\n",
		quantity(r->calls_steady, a), quantity(r->bytes_steady / 1e3, b));
	if (r->calls_over > 0)
		fprintf(out, "            %s calls and %s kB more, fail over, busiest second\n",
			quantity(r->calls_over, a), quantity(r->bytes_over / 1e3, b));
	if (r->calls_back > 0)
		fprintf(out, "            %s calls and %s kB more, fail back, busiest second\n",
			quantity(r->calls_back, a), quantity(r->bytes_back / 1e3, b));
}

static void print_messages(FILE *out, const struct sizing_talks *talks)
{
	static const char *const words[SIZING_OCCASIONS] = {
		"keep-alive", "first REGISTER", "refresh", "REGISTER back", "Expires 0"};
	fprintf(out, "\n%-26s %11s %11s %10s %10s\n", "per phone", "packets out", "packets in",
		"bytes out", "bytes in");
	for (int i = 0; i < SIZING_OCCASIONS; i++) {
		const struct sizing_talk *talk = &talks->of[PROXY_PRIMARY][i];
		if (talk->requests > 0)
			fprintf(out, "%-26s %11.4g %11.4g %10.1f %10.1f\n", words[i],
				talk->requests, talk->answers, talk->request_bytes,
				talk->answer_bytes);
	}
}

static void print_text(
	FILE *out, const struct sizing *s, const struct sizing_case *what, uint32_t herds)
{
	char number[32];
	fprintf(out, "fleet       %s, %s phones, keep-alive %g s, refresh %g s\n", what->fleet,
		view_number(s->phones, number), what->herd->keepalive_period_ms / 1e3,
		round(s->talks.refresh_ms) / 1e3);
	if (herds > 1)
		fprintf(out,
			"herds       %u, their busiest seconds taken as one; here the largest is "
			"described\n",
			herds);
	if (!s->talks.registers)
		fprintf(out, "            what it asks for is no registration: it only tries\n");
	if (s->talks.nonce_age > 0)
		fprintf(out, "assumed     REGISTER is challenged, nonces last %u s",
			s->talks.nonce_age);
	else
		fprintf(out, "assumed     REGISTER is not challenged");
	fprintf(out, "; %g ns of a worker per answered keep-alive\n", what->ns_per_transaction);
	print_messages(out, &s->talks);
	print_loads(out, s);
	print_nic(out, s);
	fprintf(out, "workers     %u, so that in no second one is more than half busy\n",
		s->workers);
	print_memory(out, &s->memory, what);
	if (what->store)
		print_redis(out, &s->redis);
	fprintf(out, "machines    %u, %s%u cores for workers and %g Gbit/s%s%s\n", s->machines,
		s->machines > 1 ? "each with " : "with ", what->cores, what->nic_gbit,
		s->because != NULL ? ": one has not enough " : "",
		s->because != NULL ? s->because : "");
}

/* --- For programs --- */

static json_t *json_load(const struct sizing_load *load)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "begins_s",
		load->at_ms / 1e3, "keepalives_per_s", load->keepalives, "registers_per_s",
		load->registers, "unanswered_per_s", load->alone, "packets_out_per_s",
		load->packets[SIZING_OUT], "packets_in_per_s", load->packets[SIZING_IN],
		"frame_bytes_out_per_s", load->frame_bytes[SIZING_OUT], "frame_bytes_in_per_s",
		load->frame_bytes[SIZING_IN], "line_bits_out_per_s", load->line_bits[SIZING_OUT],
		"line_bits_in_per_s", load->line_bits[SIZING_IN], "workers_busy", load->busy);
}

static json_t *json_loads_of(const struct sizing *s)
{
	json_t *object = json_object();
	for (int i = 0; i < SIZING_MOMENTS; i++)
		json_object_set_new(object, moment_names[i],
			s->load[i].known ? json_load(&s->load[i]) : json_null());
	return object;
}

static json_t *json_messages(const struct sizing_talks *talks)
{
	json_t *object = json_object();
	for (int p = 0; p < PROXIES; p++) {
		json_t *one = json_object();
		for (int i = 0; i < SIZING_OCCASIONS; i++) {
			const struct sizing_talk *talk = &talks->of[p][i];
			json_object_set_new(one, occasion_names[i],
				json_pack("{s:f, s:f, s:f, s:f}", "requests", talk->requests,
					"request_bytes", talk->request_bytes, "answers",
					talk->answers, "answer_bytes", talk->answer_bytes));
		}
		json_object_set_new(object, proxy_name((enum proxy)p), one);
	}
	return object;
}

static json_t *json_nic(const struct sizing *s)
{
	json_t *object = json_object();
	for (size_t i = 0; i < NICS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%g_gbit", nic_gbit[i]);
		json_object_set_new(object, name, json_real(s->line_bits / nic_gbit[i] / 1e9));
	}
	return object;
}

static json_t *json_redis(const struct sizing_redis *r)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "records_bytes", r->bytes,
		"feed_bytes_most", r->feed, "steady_calls_per_s", r->calls_steady,
		"steady_bytes_per_s", r->bytes_steady, "fail_over_calls_per_s", r->calls_over,
		"fail_over_bytes_per_s", r->bytes_over, "fail_back_calls_per_s", r->calls_back,
		"fail_back_bytes_per_s", r->bytes_back);
}

static int print_json(FILE *out, const struct sizing *s, const struct sizing_case *what)
{
	const struct sizing_memory *m = &s->memory;
	json_t *root = json_pack(
		"{s:s, s:s, s:I, s:f, s:f, s:f, s:b, s:o, s:o, s:o, s:{s:f, s:f, s:f, s:f, s:f}, "
		"s:I, s:I, s:s?}",
		"schema", "sipherd.sizing/1", "fleet", what->fleet, "phones", (json_int_t)s->phones,
		"keepalive_period_s", what->herd->keepalive_period_ms / 1e3, "refresh_s",
		s->talks.refresh_ms / 1e3, "ns_per_transaction", what->ns_per_transaction,
		"challenged", s->talks.nonce_age > 0, "messages", json_messages(&s->talks), "load",
		json_loads_of(s), "nic_share", json_nic(s), "memory_bytes", "herd", m->herd,
		"mirror", m->mirror, "image", m->image, "registrars", m->registrars, "per_phone",
		m->per_phone, "workers", (json_int_t)s->workers, "machines",
		(json_int_t)s->machines, "machines_because", s->because);
	if (root == NULL)
		return -ENOMEM;
	json_object_set_new(root, "redis", what->store ? json_redis(&s->redis) : json_null());
	const int status = json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
	fputc('\n', out);
	json_decref(root);
	return status == 0 ? 0 : -EIO;
}

/* --- */

static unsigned given(uint64_t option, unsigned otherwise)
{
	return option != OPTIONS_NOT_GIVEN ? (unsigned)option : otherwise;
}

/* What a real proxy does is not known before it is asked: who has a password is taken to need it. */
static void assume_digest(struct registrar_config *registrar, const struct fleet *fleet)
{
	if (registrar->realm != NULL || !identity_has_credentials(fleet->identities))
		return;
	registrar->realm = fleet->domain;
	registrar->nonce_lifetime_s = NONCE_LIFETIME_S;
}

static int failed(int status)
{
	fprintf(stderr, status == -EINVAL
				? "sipherd: a name in the fleet makes its messages too long. "
				  "Shorten domain, user or user agent.\n"
				: "sipherd: out of memory. Use fewer phones, or end something.\n");
	return status == -EINVAL ? EXIT_USAGE : EXIT_HOST;
}

/* One herd of the fleet. */
static void describe(struct sizing_case *what, struct herd_config *herd,
	struct registrar_config registrar[PROXIES], const struct fleet *fleet, uint32_t index,
	const struct wire_config *config)
{
	const struct fleet *one = fleet_herd(fleet, index);
	const struct registrar_config *from = config->herds != NULL ? config->herds[index].registrar
								    : config->registrar;
	fleet_herd_config(one, herd);
	herd->fleet_phones = fleet->phones;
	for (int p = 0; p < PROXIES; p++) {
		registrar[p] = from[p];
		if (!what->registrars)
			assume_digest(&registrar[p], one);
	}
	what->herd = herd;
	what->registrar = registrar;
}

static int print(FILE *out, const struct sizing_case *what, uint32_t herds, bool json)
{
	static struct sizing sizing; /* one thread */
	int status = sizing_compute(&sizing, what, herds);
	if (status == 0 && json)
		status = print_json(out, &sizing, &what[sizing.largest]);
	else if (status == 0)
		print_text(out, &sizing, &what[sizing.largest], herds);
	return status == 0 ? EXIT_DONE : failed(status);
}

int sizing_print(FILE *out, const struct options *options, const struct fleet *fleet,
	const struct wire_config *config)
{
	const struct sizing_case common = {.vlan = config->vlan,
		.registrars = (config->roles & WIRE_REGISTRARS) != 0,
		.store = fleet->target.kind != TARGET_NONE,
		.images = fleet->target.kind != TARGET_NONE,
		.lease_ttl_ms = fleet->lease_ttl_ms,
		.fleet = fleet->name,
		.workers = config->workers,
		.ns_per_transaction = given(
			options->ns_per_transaction, (unsigned)SIZING_NS_KEEPALIVE),
		.cores = given(options->cores, WIRE_WORKERS_MAX),
		.nic_gbit = given(options->nic, 10)};
	const uint32_t herds = fleet_herds(fleet);
	struct sizing_case *what = calloc(herds, sizeof(*what));
	struct herd_config *herd = calloc(herds, sizeof(*herd));
	struct registrar_config(*registrar)[PROXIES] = calloc(herds, sizeof(*registrar));
	int status = EXIT_HOST;
	if (what == NULL || herd == NULL || registrar == NULL) {
		status = failed(-ENOMEM);
	} else {
		for (uint32_t h = 0; h < herds; h++) {
			what[h] = common;
			describe(&what[h], &herd[h], registrar[h], fleet, h, config);
		}
		status = print(out, what, herds, options->json);
	}
	free(what);
	free(herd);
	free(registrar);
	return status;
}
