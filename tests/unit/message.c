/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: golden texts, every length class, and what a scanner reads back from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "herd.h"
#include "message.h"
#include "scan.h"

#define SECRET 42

struct fixture {
	struct herd_config config;
	struct address_plan plan[ADDRESS_FAMILIES];
	struct identity_set *identities;
	struct messages *messages;
};

static void make(struct fixture *f, const char *source, const char *user, const char *primary,
	const char *redundant, uint32_t phones)
{
	struct identity_error error;
	const char *hosts[PROXIES] = {primary, redundant};
	memset(f, 0, sizeof(*f));
	assert_int_equal(identity_patterns(&f->identities, user, NULL, NULL, phones, &error), 0);
	f->config.fleet_phones = phones;
	f->config.stride = 1;
	f->config.identities = f->identities;
	for (int i = 0; i < PROXIES; i++) {
		struct herd_proxy *proxy = &f->config.proxy[i];
		if (hosts[i] == NULL)
			continue;
		assert_int_equal(address_parse(hosts[i], &proxy->address), 0);
		bool ipv6 = proxy->address.family == ADDRESS_IPV6;
		snprintf(proxy->host, sizeof(proxy->host), ipv6 ? "[%s]" : "%s", hosts[i]);
		proxy->port = ipv6 ? 5070 : 5060;
	}
	assert_int_equal(address_plan_parse(source, &f->plan[ADDRESS_IPV4]), 0);
	assert_int_equal(address_plan_parse("2001:db8:1::/64", &f->plan[ADDRESS_IPV6]), 0);
	f->config.plan[0] = &f->plan[0];
	f->config.plan[1] = &f->plan[1];
	strcpy(f->config.domain, "lab.example.net");
	strcpy(f->config.user_agent, "sipherd");
	f->messages = messages_create(&f->config);
	assert_non_null(f->messages);
}

static void unmake(struct fixture *f)
{
	messages_free(f->messages);
	identity_free(f->identities);
}

static struct message_fields fields_of(uint32_t phone, uint32_t cseq)
{
	struct message_fields fields = {
		.token = {phone, 5, TOKEN_OPTIONS, cseq & TOKEN_SEQUENCE_MASK},
		.call = 0xabcdef9876543210,
		.cseq = cseq};
	return fields;
}

/* The text with the 24 characters of its token made readable. */
static char *masked(const uint8_t *bytes, size_t length)
{
	static char text[MESSAGE_MAX + 1];
	memcpy(text, bytes, length);
	text[length] = '\0';
	char *branch = strstr(text, "z9hG4bK");
	assert_non_null(branch);
	memset(branch + 7, 'T', TOKEN_HEX);
	return text;
}

static void options_is_golden(void **state)
{
	(void)state;
	struct fixture f;
	struct message_phone who;
	uint8_t out[MESSAGE_MAX];
	make(&f, "10.20.0.0/15", "2{n:06}", "10.10.0.1", "2001:db8::2", 1000);
	messages_phone(f.messages, 41, PROXY_PRIMARY, &who);
	struct message_fields fields = fields_of(41, 7);
	uint16_t length = messages_options_length(f.messages, &who);
	messages_options_write(f.messages, &who, &fields, SECRET, out);
	assert_string_equal(masked(out, length),
		"OPTIONS sip:10.10.0.1 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 10.20.0.42:5060;branch=z9hG4bKTTTTTTTTTTTTTTTTTTTTTTTT;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:2000041@lab.example.net>;tag=1f1db208\r\n"
		"To: <sip:2000041@lab.example.net>\r\n"
		"Call-ID: 00000029abcdef9876543210\r\n"
		"CSeq: 1000000007 OPTIONS\r\n"
		"Contact: <sip:2000041@10.20.0.42:5060>\r\n"
		"User-Agent: sipherd\r\n"
		"Accept: application/sdp\r\n"
		"Content-Length: 0\r\n\r\n");
	unmake(&f);
}

static void register_is_golden_over_ipv6(void **state)
{
	(void)state;
	struct fixture f;
	struct message_phone who;
	uint8_t out[MESSAGE_MAX];
	static const char authorization[] = "Authorization: Digest x\r\n";
	make(&f, "10.20.0.0/15", "{n}", "10.10.0.1", "2001:db8::2", 1000);
	messages_phone(f.messages, 0, PROXY_REDUNDANT, &who);
	struct message_fields fields = fields_of(0, 1);
	uint16_t length = messages_register_length(f.messages, &who, 3600, strlen(authorization));
	messages_register_write(
		f.messages, &who, &fields, SECRET, 3600, authorization, strlen(authorization), out);
	assert_string_equal(masked(out, length),
		"REGISTER sip:lab.example.net SIP/2.0\r\n"
		"Via: SIP/2.0/UDP "
		"[2001:db8:1::1]:5060;branch=z9hG4bKTTTTTTTTTTTTTTTTTTTTTTTT;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:0@lab.example.net>;tag=1f1db208\r\n"
		"To: <sip:0@lab.example.net>\r\n"
		"Call-ID: 00000000abcdef9876543210\r\n"
		"CSeq: 1000000001 REGISTER\r\n"
		"Contact: <sip:0@[2001:db8:1::1]:5060>\r\n"
		"User-Agent: sipherd\r\n"
		"Expires: 3600\r\n"
		"Authorization: Digest x\r\n"
		"Content-Length: 0\r\n\r\n");
	messages_phone(f.messages, 0, PROXY_REDUNDANT, &who);
	messages_options_write(f.messages, &who, &fields, SECRET, out);
	assert_memory_equal(out, "OPTIONS sip:[2001:db8::2]:5070 SIP/2.0\r\n", 40);
	unmake(&f);
}

static uint32_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

static uint32_t sum_of(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < length; i++)
		sum += (uint32_t)bytes[i] << i % 2 * 8;
	return folded(sum);
}

/* Texts of phone i by vectors and byte by byte: the same, nothing written behind them, and a sum that
 * is theirs. */
static void twins_agree(struct fixture *f, uint32_t i, enum proxy proxy)
{
	uint8_t text[2][MESSAGE_MAX + 64];
	uint16_t length[2];
	for (int vectors = 0; vectors < 2; vectors++) {
		struct message_phone who;
		struct message_fields fields = fields_of(i, i * 2654435761u % 3000000000u);
		fields.call *= i;
		messages_use_vectors(f->messages, vectors);
		memset(text[vectors], 0xa5, sizeof(text[0]));
		messages_phone(f->messages, i, proxy, &who);
		length[vectors] = messages_options_length(f->messages, &who);
		uint32_t sum = messages_options_write(
			f->messages, &who, &fields, SECRET, text[vectors]);
		if (sum != MESSAGE_SUM_OPEN)
			assert_int_equal(folded(sum), sum_of(text[vectors], length[vectors]));
		else
			assert_true(!vectors || who.hostport_length > 32 || who.user_length > 32);
		uint8_t *at = text[vectors] + length[vectors];
		const uint16_t n = messages_register_length(f->messages, &who, i % 4000, 0);
		messages_register_write(f->messages, &who, &fields, SECRET, i % 4000, "", 0, at);
		length[vectors] += n;
	}
	assert_int_equal(length[0], length[1]);
	assert_memory_equal(text[0], text[1], sizeof(text[0]));
}

static void vectors_write_what_their_twin_writes(void **state)
{
	(void)state;
	static const struct {
		const char *source, *user;
		uint32_t phones;
	} fleet[] = {
		{"9.9.9.0-9.9.10.250 ports 9990-10020", "{n}", 12000},
		{"0.0.0.1-255.255.255.255", "a{n:03}b{n:012}c", 100000},
		{"100.64.0.0/10", "2{n:07}", 100000},
		{"1.1.1.1-1.1.1.200", "an-old-friend-of-mine-{n:09}", 200},
		{"1.1.1.1-1.1.1.200", "an-old-friend-of-mine-{n:09}-{n:02}", 200},
	};
	for (size_t i = 0; i < sizeof(fleet) / sizeof(fleet[0]); i++) {
		struct fixture f;
		make(&f, fleet[i].source, fleet[i].user, "10.10.0.1", "2001:db8::2",
			fleet[i].phones);
		if (!messages_use_vectors(f.messages, true)) {
			unmake(&f);
			print_message("no AVX2 here: skipped\n");
			skip();
		}
		for (uint32_t n = 0; n < 3000; n++) {
			const uint32_t any = n < 120 ? n : n * 2654435761u;
			twins_agree(&f, any % f.config.fleet_phones, n & 1);
		}
		unmake(&f);
	}
}

/* Every phone of plans with all lengths of address, port and user reads back through the scanner.
 */
static void all_classes_scan(void **state)
{
	(void)state;
	struct fixture f;
	uint8_t out[MESSAGE_MAX];
	make(&f, "9.9.9.0-9.9.10.250 ports 9990-10020", "{n}", "10.10.0.1", "2001:db8::2", 12000);
	for (uint32_t i = 0; i < 12000; i += 7) {
		enum proxy proxy = i & 1;
		struct message_phone who;
		struct message_fields fields = fields_of(i, i * 997 + 1);
		struct sip_message message;
		struct token token;
		messages_phone(f.messages, i, proxy, &who);
		uint16_t length = messages_options_length(f.messages, &who);
		messages_options_write(f.messages, &who, &fields, SECRET, out);
		assert_int_equal(scan_message(out, length, &message), SCAN_OK);
		assert_int_equal(message.method, SIP_OPTIONS);
		assert_int_equal(message.cseq, MESSAGE_CSEQ_BASE + i * 997 + 1);
		assert_int_equal(message.length, length);
		char call_id[MESSAGE_CALL_ID + 1];
		snprintf(call_id, sizeof(call_id), "%08xabcdef9876543210", i);
		assert_true(span_equal(&message, message.call_id, call_id, MESSAGE_CALL_ID));
		assert_true(token_parse(span_text(&message, message.via_branch),
			message.via_branch.length, SECRET, &token));
		assert_int_equal(token.phone, i);
		assert_int_equal(message.contacts, 1);
		struct sip_contact contact;
		struct sip_uri uri;
		assert_true(scan_contact(&message, message.contact[0], &contact));
		assert_true(scan_uri(&message, contact.uri, &uri));
		assert_true(span_equal(&message, uri.user, who.user, who.user_length));
		assert_true(span_equal(&message, uri.host, who.hostport, who.host_length));
		struct address address;
		uint16_t port;
		address_plan_at(f.config.plan[proxy], i, &address, &port);
		assert_int_equal(uri.port, port);
		assert_int_equal(message.via_port, port);
	}
	unmake(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_is_golden),
		cmocka_unit_test(register_is_golden_over_ipv6),
		cmocka_unit_test(all_classes_scan),
		cmocka_unit_test(vectors_write_what_their_twin_writes),
	};
	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
