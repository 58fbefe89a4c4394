/* SPDX-License-Identifier: BSD-3-Clause */
#include "yard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scan.h"

/* The sum that came with the last datagram is its own, whatever has been written elsewhere since. */
static void close_last(struct yard *yard)
{
	uint32_t sum = 0, told = yard->envelope.sum;
	const struct sent *sent = yard->open;
	yard->open = NULL;
	if (sent == NULL || told == HERD_SUM_OPEN)
		return;
	for (unsigned i = 0; i < sent->length; i++)
		sum += (uint32_t)(uint8_t)sent->text[i] << i % 2 * 8;
	assert_int_equal(told % 0xffff, sum % 0xffff);
}

static uint8_t *buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct yard *yard = context;
	struct address source;
	uint16_t port;
	close_last(yard);
	if (yard->full)
		return NULL;
	assert_true(n <= MESSAGE_MAX);
	address_plan_at(&yard->plan, phone, &source, &port);
	assert_true(address_equal(&source, &yard->envelope.source));
	assert_int_equal(port, yard->envelope.source_port);
	struct sent *sent = &yard->sent[yard->count++ % SENT_MAX];
	*sent = (struct sent){.at_us = yard->now_us, .phone = phone, .proxy = proxy, .length = n};
	yard->open = sent;
	return (uint8_t *)sent->text;
}

void defaults(struct yard *yard, uint32_t phones)
{
	memset(yard, 0, sizeof(*yard));
	struct herd_config *c = &yard->config;
	c->fleet_phones = phones;
	c->stride = 1;
	for (int i = 0; i < PROXIES; i++) {
		snprintf(c->proxy[i].host, sizeof(c->proxy[i].host), "10.10.0.%d", i + 1);
		assert_int_equal(address_parse(c->proxy[i].host, &c->proxy[i].address), 0);
		c->proxy[i].port = 5060;
	}
	strcpy(c->domain, "lab");
	strcpy(c->user_agent, "test");
	c->redundancy = (struct redundancy_rules){true, MODE_ASYMMETRIC, 1, 1};
	c->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	c->keepalive_period_ms = 60000;
	c->expires_s = 3600;
	c->retry_ms = 60000;
	c->refresh_permille = 500;
	c->seed = 1;
	c->secret = 2;
}

void open_yard_of(struct yard *yard, const char *user, const char *auth, const char *source)
{
	struct identity_error error;
	uint32_t phones = yard->config.fleet_phones;
	assert_int_equal(identity_patterns(&yard->identities, user, auth, "p", phones, &error), 0);
	assert_int_equal(address_plan_parse(source, &yard->plan), 0);
	yard->config.identities = yard->identities;
	yard->config.plan[yard->plan.family] = &yard->plan;
	yard->sent = calloc(SENT_MAX, sizeof(*yard->sent));
	assert_non_null(yard->sent);
	assert_int_equal(herd_create(&yard->herd, &yard->config,
				 &(struct herd_output){yard, buffer, .envelope = &yard->envelope}),
		0);
	if (yard->config.mirror == NULL)
		assert_true(herd_command(
			yard->herd, &(struct herd_command){.kind = HERD_START}, yard->now_us));
}

void close_yard(struct yard *yard)
{
	close_last(yard);
	herd_free(yard->herd);
	identity_free(yard->identities);
	free(yard->sent);
}

void open_yard(struct yard *yard)
{
	open_yard_of(yard, "u{n}", NULL, "10.20.0.0/16");
}

void settle(struct yard *yard)
{
	for (int rounds = 0; !herd_advance(yard->herd, yard->now_us, 1000); rounds++)
		assert_in_range(rounds, 0, 100000);
}

void stall_to_ms(struct yard *yard, uint64_t at_ms)
{
	yard->now_us = at_ms * 1000;
	settle(yard);
}

const struct sent *last_sent(const struct yard *yard)
{
	assert_true(yard->count > 0);
	return &yard->sent[(yard->count - 1) % SENT_MAX];
}

void answer(struct yard *yard, const struct sent *sent, unsigned status, const char *headers)
{
	char text[2 * MESSAGE_MAX];
	struct sip_message m;
	assert_int_equal(scan_message(sent->text, sent->length, &m), SCAN_OK);
	assert_int_equal(m.status, 0);
	int n = snprintf(text, sizeof(text),
		"SIP/2.0 %u X\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s;tag=z\r\nCall-ID: %.*s\r\n"
		"CSeq: %u %.*s\r\n",
		status, m.via[0].length, span_text(&m, m.via[0]), m.from.length,
		span_text(&m, m.from), m.to.length, span_text(&m, m.to), m.call_id.length,
		span_text(&m, m.call_id), m.cseq, m.method_text.length,
		span_text(&m, m.method_text));
	if (status == 200 && m.method == SIP_REGISTER && m.expires > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "Contact: %.*s;expires=%u\r\n",
			m.contact[0].length, span_text(&m, m.contact[0]), m.expires);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\r\n", headers);
	herd_datagram(yard->herd, sent->phone, sent->proxy, text, (size_t)n, yard->now_us);
}

void answer_all(struct yard *yard)
{
	while (yard->seen < yard->count) {
		assert_true(yard->count - yard->seen <= SENT_MAX);
		struct sent sent = yard->sent[yard->seen++ % SENT_MAX];
		if (strncmp(sent.text, "SIP/2.0", 7) != 0)
			answer(yard, &sent, 200, "");
	}
}

void run_to_ms(struct yard *yard, uint64_t until_ms, bool answered)
{
	uint64_t until_us = until_ms * 1000;
	for (;;) {
		settle(yard);
		if (answered)
			answer_all(yard);
		if (yard->now_us >= until_us)
			return;
		uint64_t next_us = herd_next_us(yard->herd, until_us);
		yard->now_us = next_us > yard->now_us ? next_us : yard->now_us + 1000;
	}
}

void order(struct yard *yard, uint8_t kind, uint32_t delay_ms)
{
	struct herd_command command = {
		.kind = kind, .count = yard->config.fleet_phones, .delay_ms = delay_ms};
	assert_true(herd_command(yard->herd, &command, yard->now_us));
}

enum phone_state state_of(const struct yard *yard, uint32_t phone)
{
	return herd_phone(yard->herd, phone)->state;
}
