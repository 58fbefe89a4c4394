/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine costs per message: build an OPTIONS, scan a 200, publish a transition, run a whole
 * keep-alive through herd and registrar in one thread without any wire, and the memory of a phone. Each figure stands
 * beside a plain copy of the same bytes measured in the same run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herd.h"
#include "message.h"
#include "registrar.h"
#include "sampler.h"
#include "scan.h"
#include "trace.h"

#define PHONES 1000000u
#define BATCH 20000u
#define SAMPLES 60
#define SECRET 0x5ec7e7ull

/* A 200 OK as Kamailio 5.6 sends it to a keep-alive. */
static const char answer[] =
	"SIP/2.0 200 OK\r\n"
	"Via: SIP/2.0/UDP 10.20.13.37:5060;branch=z9hG4bK0000d4310001400342c01af7;rport=5060;"
	"received=10.20.13.37\r\n"
	"From: <sip:2054321@lab.example.net>;tag=5f1c02aa\r\n"
	"To: <sip:2054321@lab.example.net>;tag=b27e1a1d33611ee85f4d61bc245b2661.f3b20000\r\n"
	"Call-ID: 0000d431c0ffee0012345678\r\n"
	"CSeq: 1000000003 OPTIONS\r\n"
	"Server: kamailio (5.6.3 (x86_64/linux))\r\n"
	"Content-Length: 0\r\n\r\n";

struct fixture {
	struct identity_set *identities;
	struct address_plan plan;
	struct herd_config config;
	struct messages *messages;
	uint32_t *order; /* phones in random order */
	uint8_t buffer[64][2048];
	uint64_t sink;
};

static void config_make(struct fixture *f, uint32_t phones, uint32_t period_ms)
{
	struct herd_config *c = &f->config;
	struct identity_error error;
	memset(c, 0, sizeof(*c));
	if (f->identities == NULL && identity_patterns(&f->identities, "2{n:06}", NULL, "pw-{user}",
					     PHONES, &error) != 0)
		exit(1);
	if (address_plan_parse("10.16.0.0/12", &f->plan) != 0)
		exit(1);
	c->fleet_phones = phones;
	c->stride = 1;
	c->identities = f->identities;
	c->plan[ADDRESS_IPV4] = &f->plan;
	for (int i = 0; i < PROXIES; i++) {
		snprintf(c->proxy[i].host, sizeof(c->proxy[i].host), "10.10.0.%d", i + 1);
		address_parse(c->proxy[i].host, &c->proxy[i].address);
		c->proxy[i].port = 5060;
	}
	snprintf(c->domain, sizeof(c->domain), "lab.example.net");
	snprintf(c->user_agent, sizeof(c->user_agent), "sipherd");
	c->redundancy = (struct redundancy_rules){true, MODE_ASYMMETRIC, 1, 1};
	c->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	c->keepalive_period_ms = period_ms;
	c->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	c->expires_s = 3600;
	c->retry_ms = 60000;
	c->refresh_permille = 500;
	c->secret = SECRET;
	c->seed = 1;
}

static void sample_copy(void *context)
{
	struct fixture *f = context;
	for (uint32_t i = 0; i < BATCH; i++) {
		memcpy(f->buffer[i % 64], f->buffer[(i + 32) % 64], sizeof(answer) - 1);
		__asm__ volatile("" ::: "memory");
	}
}

static void sample_build(void *context)
{
	struct fixture *f = context;
	static uint32_t next;
	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t phone = f->order[next++ % PHONES];
		struct message_phone who;
		struct message_fields fields = {.token = {phone, 1, TOKEN_OPTIONS, 3}, .cseq = 3};
		messages_phone(f->messages, phone, PROXY_PRIMARY, &who);
		messages_options_write(f->messages, &who, &fields, SECRET, f->buffer[i % 64]);
		f->sink += messages_options_length(f->messages, &who);
	}
}

static void sample_scan(void *context)
{
	struct fixture *f = context;
	struct sip_message message;
	for (uint32_t i = 0; i < BATCH; i++) {
		if (scan_message(answer, sizeof(answer) - 1, &message) != SCAN_OK)
			exit(1);
		f->sink += message.cseq;
	}
}

/* Herd and registrar face to face: what one emits, the other takes after the call returns. */
#define QUEUE 4096u

struct datagram {
	struct endpoint peer; /* the phone's, towards the registrar */
	uint32_t phone;
	uint16_t length;
	uint8_t bytes[1500];
};

struct face_to_face {
	struct herd *herd;
	struct registrar *registrar;
	const struct address_plan *plan;
	struct datagram *to_registrar, *to_herd;
	uint32_t sent, taken, answered, delivered;
	uint64_t now_us;
};

static uint8_t *herd_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct face_to_face *face = context;
	(void)proxy;
	if (face->sent - face->taken == QUEUE || n > sizeof(face->to_registrar->bytes))
		return NULL;
	struct datagram *d = &face->to_registrar[face->sent++ % QUEUE];
	address_plan_at(face->plan, phone, &d->peer.address, &d->peer.port);
	d->phone = phone;
	d->length = n;
	return d->bytes;
}

static uint8_t *registrar_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct face_to_face *face = context;
	if (face->answered - face->delivered == QUEUE || n > sizeof(face->to_herd->bytes))
		return NULL;
	struct datagram *d = &face->to_herd[face->answered++ % QUEUE];
	d->length = n;
	if (!address_plan_find(face->plan, &to->address, to->port, &d->phone))
		exit(1);
	return d->bytes;
}

static void pump(struct face_to_face *face, uint32_t step_us)
{
	face->now_us += step_us;
	herd_advance(face->herd, face->now_us, QUEUE / 2);
	while (face->taken != face->sent) {
		struct datagram *d = &face->to_registrar[face->taken++ % QUEUE];
		registrar_datagram(face->registrar, &d->peer, d->bytes, d->length, face->now_us);
	}
	registrar_advance(face->registrar, face->now_us);
	while (face->delivered != face->answered) {
		struct datagram *d = &face->to_herd[face->delivered++ % QUEUE];
		herd_datagram(
			face->herd, d->phone, PROXY_PRIMARY, d->bytes, d->length, face->now_us);
	}
}

static void sample_transactions(void *context)
{
	struct face_to_face *face = context;
	uint64_t until = herd_counters(face->herd)->options_answered + BATCH;
	while (herd_counters(face->herd)->options_answered < until)
		pump(face, 500);
}

static void print_result(const char *name, struct sample_result r, double copy_ns, const char *unit)
{
	printf("%-52s %8.1f ns  %6.1fx  (%.1f-%.1f, %u of %u samples quiet%s)  %s\n", name,
		r.median_ns, r.median_ns / copy_ns, r.low_ns, r.high_ns, r.quiet, r.taken,
		r.noisy ? ", NOISY" : "", unit);
}

static void bench_face_to_face(struct fixture *f, uint32_t phones, bool mirrored, double copy_ns)
{
	struct face_to_face face = {.plan = &f->plan};
	struct herd_output out = {&face, herd_buffer};
	struct registrar_output answers = {&face, registrar_buffer};
	struct registrar_config registrar = {.capacity = phones,
		.expires_default_s = 3600,
		.expires_max_s = 86400,
		.seed = 1,
		.server = "bench"};
	config_make(f, phones, 1000);
	if (mirrored && mirror_create(&f->config.mirror, phones, 1, NULL, false) != 0)
		exit(1);
	face.to_registrar = calloc(QUEUE, sizeof(struct datagram));
	face.to_herd = calloc(QUEUE, sizeof(struct datagram));
	face.registrar = registrar_create(&registrar, &answers);
	if (herd_create(&face.herd, &f->config, &out) != 0 || face.registrar == NULL)
		exit(1);
	herd_command(face.herd, &(struct herd_command){.kind = HERD_START}, face.now_us);
	const struct herd_population *population = herd_population(face.herd);
	while (population->phones[PHONE_REGISTERED][PROXY_PRIMARY] < phones)
		pump(&face, 500);
	char name[80];
	snprintf(name, sizeof(name), "keep-alive, herd and registrar, %u phones%s", phones,
		mirrored ? ", mirror" : "");
	print_result(name, sampler_run(sample_transactions, &face, BATCH, SAMPLES), copy_ns,
		"build, scan, answer, scan, state, timer");
	printf("%-52s %8.1f bytes\n", "memory per phone, everything included",
		(double)herd_memory(face.herd) / phones);
	if (herd_counters(face.herd)->not_sent > 0 || herd_counters(face.herd)->response_late > 0)
		printf("warning: the run was not clean\n");
	herd_free(face.herd);
	mirror_free(f->config.mirror);
	registrar_free(face.registrar);
	free(face.to_registrar);
	free(face.to_herd);
}

struct publisher {
	struct fixture *f;
	struct mirror *mirror;
	struct mirror_line *line;
};

static void sample_publish(void *context)
{
	struct publisher *p = context;
	static uint32_t next;
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t phone = p->f->order[next++ % PHONES];
		struct record_view view;
		record_load(&p->mirror->record[phone], &view);
		view.version = RECORD_VERSION;
		view.phase = PHONE_SWITCHING;
		view.last_tried = 2;
		view.transition++;
		view.since_unix_ms = 1700000000000 + next;
		mirror_publish(p->mirror, 0, phone, &view, 4);
	}
	p->f->sink += mirror_take_lines(p->mirror, MIRROR_STORE, 0, p->line, BATCH);
}

static void bench_publish(struct fixture *f, double copy_ns)
{
	struct publisher p = {.f = f, .line = calloc(BATCH, sizeof(*p.line))};
	if (p.line == NULL || mirror_create(&p.mirror, PHONES, 1, NULL, false) != 0)
		exit(1);
	print_result("publish, 1 M phones in random order",
		sampler_run(sample_publish, &p, BATCH, SAMPLES), copy_ns,
		"record, dirty bit, feed line written and taken");
	if (mirror_lines_dropped(p.mirror, MIRROR_STORE, 0) > 0)
		printf("warning: the run was not clean\n");
	mirror_free(p.mirror);
	free(p.line);
}

struct tracing {
	struct fixture *f;
	struct trace_tap tap;
	struct trace_book book;
	struct trace_frame frame;
};

/* What each frame of a phone goes through in its worker. */
static void sample_trace(void *context)
{
	struct tracing *t = context;
	static uint32_t next;
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t phone = t->f->order[next++ % PHONES];
		if (trace_may_want(&t->tap, phone))
			trace_put(&t->tap, phone, &t->frame);
		__asm__ volatile("" ::: "memory");
	}
	trace_collect(&t->book, &t->tap, 0);
}

static void trace_phones(struct tracing *t, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (trace_begin(&t->book, t->f->order[n * 1000], 0) == NULL)
			exit(1);
	for (unsigned n = 0; n < WIRE_TRACES; n++)
		trace_watch(&t->tap, n, t->book.entry[n].phone);
}

static void bench_trace(struct fixture *f, double copy_ns)
{
	static struct tracing t;
	t.f = f;
	t.frame = (struct trace_frame){.bytes = (const uint8_t *)answer,
		.length = sizeof(answer) - 1,
		.payload = (const uint8_t *)answer + 42};
	trace_book_open(&t.book);
	atomic_store(&t.tap.ring, trace_ring_create());
	if (atomic_load(&t.tap.ring) == NULL)
		exit(1);
	print_result("ask whether a frame is traced, nobody's is",
		sampler_run(sample_trace, &t, BATCH, SAMPLES), copy_ns, "one word");
	trace_phones(&t, WIRE_TRACES);
	print_result("the same, 16 of 1 M phones are traced",
		sampler_run(sample_trace, &t, BATCH, SAMPLES), copy_ns,
		"for each fourth the list, for 16 a copy");
	trace_book_close(&t.book);
	free(atomic_load(&t.tap.ring));
}

int main(void)
{
	static struct fixture f;
	config_make(&f, PHONES, 60000);
	f.messages = messages_create(&f.config);
	f.order = calloc(PHONES, sizeof(*f.order));
	if (f.messages == NULL || f.order == NULL)
		return 1;
	uint64_t x = 88172645463325252ull;
	for (uint32_t i = 0; i < PHONES; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		uint32_t at = (uint32_t)((x >> 32) * (i + 1) >> 32);
		f.order[i] = f.order[at];
		f.order[at] = i;
	}
	struct sample_result copy = sampler_run(sample_copy, &f, BATCH, SAMPLES);
	print_result("plain copy of 440 bytes, in cache", copy, copy.median_ns, "the limit");
	print_result("build one OPTIONS, 1 M phones in random order",
		sampler_run(sample_build, &f, BATCH, SAMPLES), copy.median_ns,
		"SIP text, all fields");
	print_result("scan one 200 OK of Kamailio", sampler_run(sample_scan, &f, BATCH, SAMPLES),
		copy.median_ns, "complete");
	bench_publish(&f, copy.median_ns);
	bench_trace(&f, copy.median_ns);
	bench_face_to_face(&f, 100000, false, copy.median_ns);
	bench_face_to_face(&f, 1000000, false, copy.median_ns);
	bench_face_to_face(&f, 1000000, true, copy.median_ns);
	messages_free(f.messages);
	identity_free(f.identities);
	free(f.order);
	return f.sink == 0;
}
