/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it takes to write the frame of one OPTIONS, from Ethernet to the last header, all checksums included,
 * for phones in random order of ten million: beside a plain copy of as many bytes, in the same run.
 *
 * What a herd reads of a phone for it is read here too, from a record of 64 bytes, and what comes next is
 * asked for from memory ahead, as the wheel does.
 *
 * usage: bench_build [PHONES] [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_memcpy.h>

#include "figure.h"
#include "frame.h"
#include "herd.h"
#include "herd_internal.h"
#include "memory.h"
#include "message.h"

#define BATCH 20000u
#define BUFFERS 32u /* as many as a burst, */
#define BUFFER \
	2368u /* as far apart as DPDK's: half a multiple of what a cache sees as the same place */
#define AHEAD 16u
#define SECRET 0x5ec7e7ull

struct fixture {
	struct identity_set *identities;
	struct address_plan plan;
	struct herd_config config;
	struct messages *messages;
	struct frame_path path;
	struct phone *phone;
	uint32_t phones, next;
	uint32_t *order;
	size_t length; /* of the frame last built */
	uint8_t buffer[BUFFERS][BUFFER];
	uint8_t model[2048];
	uint64_t sink;
};

static void config_make(struct fixture *f)
{
	struct herd_config *c = &f->config;
	struct identity_error error;
	if (identity_patterns(&f->identities, "2{n:07}", NULL, NULL, f->phones, &error) != 0 ||
		address_plan_parse("10.0.0.0/8", &f->plan) != 0)
		exit(1);
	c->fleet_phones = f->phones;
	c->stride = 1;
	c->identities = f->identities;
	c->plan[ADDRESS_IPV4] = &f->plan;
	for (int i = 0; i < PROXIES; i++) {
		snprintf(c->proxy[i].host, sizeof(c->proxy[i].host), "192.0.2.%d", i + 1);
		address_parse(c->proxy[i].host, &c->proxy[i].address);
		c->proxy[i].port = 5060;
	}
	snprintf(c->domain, sizeof(c->domain), "lab.example.net");
	snprintf(c->user_agent, sizeof(c->user_agent), "sipherd");
	c->secret = SECRET;
}

static void *memory(size_t bytes)
{
	void *at = memory_take(bytes);
	if (at == NULL)
		exit(1);
	return at;
}

static void shuffle(uint32_t *order, uint32_t count)
{
	uint64_t x = 88172645463325252ull;
	for (uint32_t i = 0; i < count; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		const uint32_t at = (uint32_t)((x >> 32) * (i + 1) >> 32);
		order[i] = order[at];
		order[at] = i;
	}
}

static void fields_of(
	const struct fixture *f, uint32_t index, struct phone *phone, struct message_fields *fields)
{
	fields->call = herd_draw(f->config.secret, index, phone->epoch, DRAW_CALL, 1);
	fields->cseq = ++phone->keepalive_cseq;
	fields->token = (struct token){.phone = index,
		.epoch = phone->epoch,
		.kind = TOKEN_OPTIONS,
		.sequence = fields->cseq & TOKEN_SEQUENCE_MASK};
}

static size_t build(struct fixture *f, uint32_t index, uint8_t *out)
{
	struct message_phone who;
	struct message_fields fields;
	messages_phone(f->messages, index, PROXY_PRIMARY, &who);
	const uint16_t n = messages_options_length(f->messages, &who);
	uint8_t *payload = frame_path_udp(&f->path, out, &who.address, who.port, n);
	fields_of(f, index, &f->phone[index], &fields);
	const uint32_t sum = messages_options_write(f->messages, &who, &fields, SECRET, payload);
	if (sum == MESSAGE_SUM_OPEN)
		frame_udp_checksum(out + frame_link_length(0), ADDRESS_IPV4);
	else
		frame_path_checksum(&f->path, out, sum);
	return f->path.length + n;
}

static void sample_build(void *context)
{
	struct fixture *f = context;
	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t ahead = f->next + AHEAD;
		ahead = ahead < f->phones ? ahead : ahead - f->phones;
		__builtin_prefetch(&f->phone[f->order[ahead]], 1);
		f->length = build(f, f->order[f->next], f->buffer[i % BUFFERS]);
		f->sink += f->length;
		f->next = f->next + 1 < f->phones ? f->next + 1 : 0;
	}
}

static void sample_copy(void *context)
{
	struct fixture *f = context;
	for (uint32_t i = 0; i < BATCH; i++) {
		rte_memcpy(f->buffer[i % BUFFERS], f->model, f->length);
		__asm__ volatile("" ::: "memory");
	}
}

int main(int argc, char **argv)
{
	static struct fixture f;
	struct figure figure[2];
	static const struct frame_link link = {
		.source = {2, 0, 0, 0, 0, 1}, .destination = {2, 0, 0, 0, 0, 2}};
	static const struct contender contenders[] = {
		{"build_copy", sample_copy, BATCH}, {"build_options", sample_build, BATCH}};
	f.phones = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000000;
	const unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 21;
	if (f.phones <= AHEAD)
		return 2;
	config_make(&f);
	f.messages = messages_create(&f.config);
	frame_path_make(
		&f.path, &link, FRAME_OPEN_SOURCE, &f.config.proxy[PROXY_PRIMARY].address, 5060);
	f.order = memory(f.phones * sizeof(*f.order));
	f.phone = memory(f.phones * sizeof(*f.phone));
	if (f.messages == NULL)
		return 1;
	memset(f.phone, 0, f.phones * sizeof(*f.phone));
	shuffle(f.order, f.phones);
	f.length = build(&f, 0, f.model);
	contest(contenders, 2, &f, rounds, figure);
	printf("one OPTIONS of %zu bytes, %u phones in random order: %.1f ns, a copy %.1f ns: "
	       "%.1fx\n",
		f.length, f.phones, figure[1].median, figure[0].median,
		figure[1].median / figure[0].median);
	messages_free(f.messages);
	identity_free(f.identities);
	return f.sink == 0;
}
