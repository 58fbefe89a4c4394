/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a whole herd of three phones under hostile proxies. The input is a script of time
 * steps, raw datagrams, answers to the herd's own last request with hostile header lines, commands
 * and ICMP. Whatever comes, every datagram the herd emits is well formed and its books balance.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herd.h"
#include "scan.h"

#define PHONES 3
#define DATAGRAM_MAX 3000
#define NOTHING UINT32_MAX

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct lab {
	struct mirror *mirror; /* or NULL */
	struct herd *herd;
	uint64_t now_us;
	uint8_t last[DATAGRAM_MAX]; /* request emitted last, answered by the script */
	uint16_t last_length;
	uint32_t last_phone; /* NOTHING: none yet */
	enum proxy last_proxy;
	uint8_t out[DATAGRAM_MAX]; /* what is being emitted */
	uint16_t out_length;
	uint32_t out_phone;
	enum proxy out_proxy;
};

struct script {
	const uint8_t *at, *end;
};

static uint8_t next_byte(struct script *script)
{
	return script->at < script->end ? *script->at++ : 0;
}

/* A piece of the script with a two-byte length before it. */
static size_t next_piece(struct script *script, const uint8_t **piece)
{
	size_t want = (size_t)next_byte(script) << 8 | next_byte(script);
	size_t left = (size_t)(script->end - script->at);
	*piece = script->at;
	want = want < left ? want : left;
	script->at += want;
	return want;
}

static void require_that(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

/* Look at what was emitted since the last call, once it is filled. */
static void settle(struct lab *lab)
{
	struct sip_message message;
	if (lab->out_length == 0)
		return;
	require_that(scan_message(lab->out, lab->out_length, &message) == SCAN_OK,
		"what a herd emits is well formed");
	require_that(message.length == lab->out_length, "no octet behind the message");
	if (message.status == 0) {
		memcpy(lab->last, lab->out, lab->out_length);
		lab->last_length = lab->out_length;
		lab->last_phone = lab->out_phone;
		lab->last_proxy = lab->out_proxy;
	}
	lab->out_length = 0;
}

static uint8_t *buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct lab *lab = context;
	settle(lab);
	require_that(phone < PHONES && proxy < PROXIES && n <= sizeof(lab->out), "buffer in range");
	lab->out_length = n;
	lab->out_phone = phone;
	lab->out_proxy = proxy;
	return lab->out;
}

/* An answer to the last request with a status of the script's choice and its header lines. */
static void answer(struct lab *lab, struct script *script)
{
	static const uint16_t codes[] = {
		100, 200, 200, 200, 401, 401, 407, 423, 302, 403, 404, 480, 500, 503, 503, 603};
	static char text[2 * DATAGRAM_MAX + 70000];
	uint16_t status = codes[next_byte(script) % 16];
	const uint8_t *lines;
	size_t length = next_piece(script, &lines);
	struct sip_message request;
	if (lab->last_phone == NOTHING || length > SCAN_LENGTH_MAX - DATAGRAM_MAX ||
		scan_message(lab->last, lab->last_length, &request) != SCAN_OK)
		return;
#define PART(span) (int)(span).length, span_text(&request, span)
	int n = snprintf(text, sizeof(text),
		"SIP/2.0 %u X\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s;tag=z\r\nCall-ID: %.*s\r\n"
		"CSeq: %u %.*s\r\n",
		status, PART(request.via[0]), PART(request.from), PART(request.to),
		PART(request.call_id), request.cseq, PART(request.method_text));
	if (status == 200 && request.contacts > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "Contact: %.*s;expires=30\r\n",
			PART(request.contact[0]));
#undef PART
	memcpy(text + n, lines, length);
	memcpy(text + (size_t)n + length, "\r\n\r\n", 4);
	herd_datagram(lab->herd, lab->last_phone, lab->last_proxy, text, (size_t)n + length + 4,
		lab->now_us);
}

static void command(struct lab *lab, struct script *script)
{
	static const uint8_t kinds[] = {HERD_REBOOT, HERD_POWER_CUT, HERD_REREGISTER,
		HERD_DISABLE_REDUNDANCY, HERD_STOP, HERD_ADOPT, HERD_RELEASE, HERD_UNREGISTER,
		HERD_LIMIT, HERD_RAMP, HERD_PAUSE, HERD_IMPAIR};
	struct herd_command c = {.kind = kinds[next_byte(script) % sizeof(kinds)],
		.first = next_byte(script) % PHONES,
		.count = PHONES,
		.delay_ms = next_byte(script)};
	if (c.kind == HERD_LIMIT || c.kind == HERD_PAUSE)
		c.count = c.delay_ms % (PHONES + 1);
	if (c.kind == HERD_RAMP)
		c.count = c.delay_ms;
	if (c.kind == HERD_IMPAIR) {
		c.proxy = c.first % PROXIES;
		c.impairment = (struct impairment){.share_ppm = IMPAIRMENT_ALL_PPM,
			.loss_ppm = c.delay_ms << 12,
			.delay_us = c.delay_ms << 8,
			.jitter_us = c.delay_ms << 14,
			.methods = c.delay_ms % 4};
	}
	herd_command(lab->herd, &c, lab->now_us);
}

/* What the mirror says of a phone that has ever been driven is what the phone is. */
static void check_records(const struct lab *lab)
{
	for (uint32_t i = 0; lab->mirror != NULL && i < PHONES; i++) {
		const struct phone *phone = herd_phone(lab->herd, i);
		struct record_view view;
		record_load(&lab->mirror->record[i], &view);
		if (phone->epoch == 0)
			continue;
		require_that(view.phase == phone->state && view.misses == phone->misses &&
				     view.last_tried == 1 + phone_active(phone),
			"the record is the phone");
	}
}

/* Parts of an outage are told together. */
static void check_durations(const struct lab *lab)
{
	for (int p = 0; p < PROXIES; p++) {
		const struct histogram *h = herd_histograms(lab->herd)->duration_ms[p];
		require_that(h[FAILOVER_SWITCH].count == h[FAILOVER_REGISTER].count &&
				     h[FAILOVER_DETECT].count == h[FAILOVER_SINCE_ANSWER].count &&
				     h[FAILOVER_DETECT].count <= h[FAILOVER_SWITCH].count,
			"an outage is told as a whole");
		require_that(h[FAILOVER_DETECT].sum <= h[FAILOVER_SINCE_ANSWER].sum,
			"a part is no longer than the whole");
	}
}

static void check_books(const struct lab *lab)
{
	const struct herd_population *population = herd_population(lab->herd);
	const uint32_t *off = population->phones[PHONE_OFF];
	uint32_t sum = 0;
	for (int state = 0; state < PHONE_STATES; state++)
		for (int proxy = 0; proxy < PROXIES; proxy++)
			sum += population->phones[state][proxy];
	require_that(sum == PHONES, "every phone is in one state");
	require_that(!herd_is_quiet(lab->herd) || off[PROXY_PRIMARY] + off[PROXY_REDUNDANT] == sum,
		"after a stop everybody is off");
	const struct herd_counters *c = herd_counters(lab->herd);
	require_that(c->timer_late == 0, "the wheel never overflows");
	require_that(c->options_answered + c->options_silent + c->options_fail_code +
				     c->options_abandoned <=
			     c->options_sent,
		"an OPTIONS ends once");
	check_records(lab);
	check_durations(lab);
}

static void step(struct lab *lab, struct script *script)
{
	const uint8_t *piece;
	size_t length;
	uint8_t op = next_byte(script);
	uint32_t phone = (op >> 4) % PHONES;
	enum proxy proxy = op >> 7 ? PROXY_REDUNDANT : PROXY_PRIMARY;
	switch (op & 7) {
	case 0:
	case 1:
		lab->now_us += ((uint64_t)next_byte(script) << 8 | next_byte(script)) * 1000;
		while (!herd_advance(lab->herd, lab->now_us, 16))
			settle(lab);
		break;
	case 2:
		length = next_piece(script, &piece);
		herd_datagram(lab->herd, phone, proxy, piece, length, lab->now_us);
		break;
	case 3:
		command(lab, script);
		break;
	case 4:
		herd_unreachable(lab->herd, phone, proxy, lab->now_us);
		break;
	default:
		answer(lab, script);
		break;
	}
	settle(lab);
	check_books(lab);
}

static struct identity_set *identities;
static struct address_plan plan;

static void configure(struct herd_config *c, uint8_t choice)
{
	memset(c, 0, sizeof(*c));
	c->fleet_phones = PHONES;
	c->stride = 1;
	c->identities = identities;
	c->plan[ADDRESS_IPV4] = &plan;
	for (int i = 0; i < PROXIES; i++) {
		snprintf(c->proxy[i].host, sizeof(c->proxy[i].host), "10.10.0.%d", i + 1);
		address_parse(c->proxy[i].host, &c->proxy[i].address);
		c->proxy[i].port = 5060;
	}
	snprintf(c->domain, sizeof(c->domain), "lab");
	snprintf(c->user_agent, sizeof(c->user_agent), "fuzz");
	c->redundancy = (struct redundancy_rules){true, choice & 1, 1, 1};
	c->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	c->switch_delay_ms = choice & 2 ? 10000 : 0;
	c->icmp_fails = choice & 4;
	c->keepalive_period_ms = choice & 8 ? 60000 : 2000;
	c->keepalive_first = choice >> 4 & 1;
	c->unregister = choice & 32;
	c->backoff_rfc5626 = choice & 64;
	c->expires_s = 3600;
	c->retry_ms = 60000;
	c->refresh_permille = 500;
	c->register_codes = 1;
	c->register_code[0] = 503;
	c->seed = 1;
	c->secret = 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lab lab;
	struct script script = {data, data + size};
	struct herd_config config;
	struct identity_error error;
	if (identities == NULL &&
		(identity_patterns(&identities, "u{n}", NULL, "p", PHONES, &error) != 0 ||
			address_plan_parse("10.20.0.0/24", &plan) != 0))
		abort();
	const uint8_t choice = next_byte(&script);
	configure(&config, choice);
	memset(&lab, 0, sizeof(lab));
	if (choice & 128 && mirror_create(&lab.mirror, PHONES, 1, NULL, false) != 0)
		abort();
	config.mirror = lab.mirror;
	lab.last_phone = NOTHING;
	if (herd_create(&lab.herd, &config, &(struct herd_output){&lab, buffer}) != 0)
		abort();
	herd_command(lab.herd, &(struct herd_command){.kind = HERD_START}, 0);
	while (script.at < script.end)
		step(&lab, &script);
	herd_free(lab.herd);
	mirror_free(lab.mirror);
	return 0;
}
