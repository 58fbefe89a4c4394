/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same few thousand operations each time, for callgrind to count the instructions of: build, scan,
 * learned, tick and step. Each is a function of that name with `section_` before it; bench/instructions.py
 * has valgrind collect inside one of them at a time, and divides by the operations that are printed here.
 *
 * build    frame and text of an OPTIONS, checksums included
 * scan     a 200 OK, in full
 * learned  the same by what was learned of the one before
 * tick     a keep-alive that is due: timer, state, text
 * step     its answer: scan, token, state, timer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "herd.h"
#include "message.h"
#include "registrar.h"
#include "scan_learn.h"

#define PHONES 2000u
#define SIZE 2048
#define PERIOD_US 10000000ull
#define SECRET 0x5ec7e7ull
#ifdef __clang__
#define SECTION __attribute__((noinline))
#else
#define SECTION __attribute__((noinline, noclone)) /* a clone would have another name */
#endif

struct datagram {
	struct endpoint peer;
	uint32_t phone;
	uint16_t length;
	uint8_t bytes[SIZE];
};

struct fixture {
	struct identity_set *identities;
	struct address_plan plan;
	struct herd_config config;
	struct messages *messages;
	struct frame_path path;
	struct herd *herd;
	struct registrar *registrar;
	struct scan_learned learned;
	struct datagram request[PHONES], answer[PHONES];
	uint32_t requests, answers;
	uint64_t now_us, sink;
};

static uint8_t *herd_buffer_of(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct fixture *f = context;
	(void)proxy;
	if (f->requests == PHONES || n > SIZE)
		return NULL;
	struct datagram *d = &f->request[f->requests++];
	address_plan_at(&f->plan, phone, &d->peer.address, &d->peer.port);
	d->phone = phone;
	d->length = n;
	return d->bytes;
}

static uint8_t *registrar_buffer_of(void *context, const struct endpoint *to, uint16_t n)
{
	struct fixture *f = context;
	if (f->answers == PHONES || n > SIZE)
		return NULL;
	struct datagram *d = &f->answer[f->answers++];
	d->length = n;
	if (!address_plan_find(&f->plan, &to->address, to->port, &d->phone))
		exit(1);
	return d->bytes;
}

static void config_make(struct fixture *f)
{
	struct herd_config *c = &f->config;
	struct identity_error error;
	if (identity_patterns(&f->identities, "2{n:06}", NULL, NULL, PHONES, &error) != 0 ||
		address_plan_parse("10.16.0.0/12", &f->plan) != 0)
		exit(1);
	c->fleet_phones = PHONES;
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
	c->keepalive_period_ms = PERIOD_US / 1000;
	c->keepalive_first = KEEPALIVE_FIRST_PERIOD;
	c->expires_s = 86400;
	c->retry_ms = 60000;
	c->refresh_permille = 500;
	c->secret = SECRET;
	c->seed = 1;
}

static void tick(struct fixture *f)
{
	while (!herd_advance(f->herd, f->now_us, 64))
		;
}

static void step(struct fixture *f)
{
	for (uint32_t i = 0; i < f->answers; i++)
		herd_datagram(f->herd, f->answer[i].phone, PROXY_PRIMARY, f->answer[i].bytes,
			f->answer[i].length, f->now_us);
}

static SECTION void section_tick(struct fixture *f)
{
	tick(f);
}

static SECTION void section_step(struct fixture *f)
{
	step(f);
}

static SECTION void section_build(struct fixture *f)
{
	for (uint32_t i = 0; i < PHONES; i++) {
		struct message_phone who;
		struct message_fields fields = {
			.token = {i, 1, TOKEN_OPTIONS, 3}, .call = 0xc0ffee0012345678, .cseq = 3};
		messages_phone(f->messages, i, PROXY_PRIMARY, &who);
		const uint16_t n = messages_options_length(f->messages, &who);
		uint8_t *out = f->request[i].bytes;
		uint8_t *payload = frame_path_udp(&f->path, out, &who.address, who.port, n);
		const uint32_t sum = messages_options_write(
			f->messages, &who, &fields, SECRET, payload);
		if (sum == MESSAGE_SUM_OPEN)
			frame_udp_checksum(out + frame_link_length(0), ADDRESS_IPV4);
		else
			frame_path_checksum(&f->path, out, sum);
		f->sink += out[0];
	}
}

static SECTION void section_scan(struct fixture *f)
{
	struct sip_message message;
	for (uint32_t i = 0; i < f->answers; i++) {
		if (scan_message(f->answer[i].bytes, f->answer[i].length, &message) != SCAN_OK)
			exit(1);
		f->sink += message.cseq;
	}
}

static SECTION void section_learned(struct fixture *f)
{
	struct sip_message message;
	for (uint32_t i = 0; i < f->answers; i++) {
		if (scan_learned_message(&f->learned, f->answer[i].bytes, f->answer[i].length,
			    &message) != SCAN_OK)
			exit(1);
		f->sink += message.cseq;
	}
}

/* What the herd has sent goes to the registrar. */
static void answer_all(struct fixture *f)
{
	f->answers = 0;
	for (uint32_t i = 0; i < f->requests; i++)
		registrar_datagram(f->registrar, &f->request[i].peer, f->request[i].bytes,
			f->request[i].length, f->now_us);
	registrar_advance(f->registrar, f->now_us);
	f->requests = 0;
}

static void open_all(struct fixture *f)
{
	const struct herd_output out = {f, herd_buffer_of};
	const struct registrar_output answers = {f, registrar_buffer_of};
	const struct registrar_config registrar = {.capacity = PHONES,
		.expires_default_s = 3600,
		.expires_max_s = 86400,
		.seed = 1,
		.server = "bench"};
	config_make(f);
	static const struct frame_link link = {
		.source = {2, 0, 0, 0, 0, 1}, .destination = {2, 0, 0, 0, 0, 2}};
	f->messages = messages_create(&f->config);
	frame_path_make(
		&f->path, &link, FRAME_OPEN_SOURCE, &f->config.proxy[PROXY_PRIMARY].address, 5060);
	f->registrar = registrar_create(&registrar, &answers);
	if (f->messages == NULL || f->registrar == NULL || scan_learned_open(&f->learned) != 0 ||
		herd_create(&f->herd, &f->config, &out) != 0)
		exit(1);
}

/* All phones are registered, and have been answered a keep-alive. */
static void settle(struct fixture *f)
{
	herd_command(f->herd, &(struct herd_command){.kind = HERD_START}, f->now_us);
	for (unsigned round = 0; round < 2; round++) {
		f->now_us += 1000 + round * PERIOD_US;
		tick(f);
		answer_all(f);
		step(f);
	}
}

int main(void)
{
	static struct fixture f;
	open_all(&f);
	settle(&f);
	printf("settled\n");
	f.now_us += PERIOD_US;
	section_tick(&f);
	printf("tick %u\n", f.requests);
	answer_all(&f);
	section_step(&f);
	printf("step %u\n", f.answers);
	section_scan(&f);
	printf("scan %u\n", f.answers);
	section_learned(&f);
	printf("learned %u\n", f.answers);
	section_build(&f);
	printf("build %u\n", PHONES);
	if (f.requests != 0 || f.answers != PHONES || herd_counters(f.herd)->not_sent > 0)
		return 1;
	herd_free(f.herd);
	registrar_free(f.registrar);
	messages_free(f.messages);
	scan_learned_close(&f.learned);
	identity_free(f.identities);
	return f.sink == 0;
}
