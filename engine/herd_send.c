/* SPDX-License-Identifier: BSD-3-Clause */
/* A herd's requests: every text follows from the phone's record, so a retransmission is built again
 * and comes out identical. */
#include "herd_internal.h"

#include "hex.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t herd_draw(uint64_t seed, uint32_t index, uint16_t epoch, enum draw purpose, uint32_t n)
{
	uint64_t words[2] = {(uint64_t)index << 32 | n, (uint64_t)purpose << 16 | epoch};
	return XXH3_64bits_withSeed(words, sizeof(words), seed);
}

uint32_t herd_uniform(uint64_t draw, uint32_t range)
{
	return (uint32_t)((draw >> 32) * ((uint64_t)range + 1) >> 32);
}

/* Call-ID, tag and branch hang on the run's secret, not on its seed: two runs with the same seed
 * must not look like one to a registrar that remembers Call-ID and CSeq. */
static void fields_of(const struct herd *herd, uint32_t index, uint16_t epoch, enum token_kind kind,
	uint32_t cseq, struct message_fields *fields)
{
	/* The Expires 0 belongs to the call of its registration. */
	uint32_t call = kind == TOKEN_OPTIONS;
	fields->call = herd_draw(herd->config.secret, index, epoch, DRAW_CALL, call);
	fields->cseq = cseq;
	fields->token = (struct token){.phone = index,
		.epoch = epoch,
		.kind = (uint8_t)kind,
		.sequence = cseq & TOKEN_SEQUENCE_MASK};
}

static_assert(HERD_SUM_OPEN == MESSAGE_SUM_OPEN, "a sum is handed on as it is");

static bool send_options(struct herd *herd, uint32_t local)
{
	const struct phone *phone = &herd->phone[local];
	uint32_t index = herd_index(herd, local);
	enum proxy target = redundancy_keepalive_target(&herd->config.redundancy, phone);
	struct message_phone who;
	struct message_fields fields;
	messages_phone(herd->messages, index, target, &who);
	uint16_t length = messages_options_length(herd->messages, &who);
	herd_sender(herd, &who.address, who.port);
	uint8_t *out = herd_buffer(herd, index, target, length, IMPAIRMENT_OPTIONS);
	if (out == NULL) {
		herd->counters.not_sent++;
		return false;
	}
	fields_of(herd, index, phone->epoch, TOKEN_OPTIONS, phone->keepalive_cseq, &fields);
	*herd->sum = messages_options_write(
		herd->messages, &who, &fields, herd->config.secret, out);
	return true;
}

/* One REGISTER datagram, refreshing or ending a binding. */
struct registration {
	enum proxy proxy;
	enum token_kind kind;
	uint16_t epoch;
	uint32_t cseq, expires_s;
	bool credentials;
};

static bool send_registration(struct herd *herd, uint32_t local, const struct registration *r)
{
	uint32_t index = herd_index(herd, local);
	struct message_phone who;
	struct message_fields fields;
	char authorization[CREDENTIALS_HEADER_MAX], cnonce[8];
	size_t authorization_length = 0;
	if (r->credentials) {
		struct credentials_owner owner = {&herd->auth[local], local, index};
		hex8_write((uint32_t)herd_draw(
				   herd->config.secret, index, r->epoch, DRAW_CNONCE, r->cseq),
			cnonce);
		authorization_length = credentials_header(
			herd->credentials, &owner, r->proxy, cnonce, authorization);
	}
	messages_phone(herd->messages, index, r->proxy, &who);
	uint16_t length = messages_register_length(
		herd->messages, &who, r->expires_s, authorization_length);
	herd_sender(herd, &who.address, who.port);
	uint8_t *out = herd_buffer(herd, index, r->proxy, length, IMPAIRMENT_REGISTER);
	if (out == NULL) {
		herd->counters.not_sent++;
		return false;
	}
	fields_of(herd, index, r->epoch, r->kind, r->cseq, &fields);
	messages_register_write(herd->messages, &who, &fields, herd->config.secret, r->expires_s,
		authorization, authorization_length, out);
	return true;
}

static bool send_register(struct herd *herd, uint32_t local)
{
	const struct phone *phone = &herd->phone[local];
	struct registration r = {
		.proxy = phone_active(phone),
		.kind = TOKEN_REGISTER,
		.epoch = phone->epoch,
		.cseq = phone->register_cseq,
		.expires_s = phone->flags & PHONE_RAISED_EXPIRES ? herd->auth[local].expires_s
								 : herd->config.expires_s,
		.credentials = phone->flags & PHONE_WITH_CREDENTIALS,
	};
	return send_registration(herd, local, &r);
}

static bool send_unregister(struct herd *herd, uint32_t local)
{
	const struct phone *phone = &herd->phone[local];
	struct registration r = {
		.proxy = herd_unregister_proxy(phone),
		.kind = TOKEN_UNREGISTER,
		.epoch = (uint16_t)(phone->epoch - (phone->flags & PHONE_UNREGISTER_OLD ? 1 : 0)),
		.cseq = herd->auth[local].unregister_cseq,
		.expires_s = 0,
		.credentials = phone->flags & PHONE_UNREGISTER_AUTH,
	};
	return send_registration(herd, local, &r);
}

static void record_lateness(struct herd *herd, const struct occasion *occasion)
{
	if (!occasion->timed)
		return;
	uint64_t late = herd->now_us > occasion->planned_us ? herd->now_us - occasion->planned_us
							    : 0;
	histogram_record(
		&herd->histograms.lateness_us, late < UINT32_MAX ? (uint32_t)late : UINT32_MAX);
}

enum datagram { DATAGRAM_NONE, DATAGRAM_FIRST, DATAGRAM_AGAIN };

/* The first datagram that finds a buffer is the request, and timer E counts from it; those after it
 * are its retransmissions. */
static enum datagram note_datagram(bool out, uint8_t *tries)
{
	const bool first = *tries == 0;
	if (!first || out)
		++*tries;
	if (!out)
		return DATAGRAM_NONE;
	return first ? DATAGRAM_FIRST : DATAGRAM_AGAIN;
}

/* Timer E goes on from when it was due; what a stall has made it miss is not sent in a burst. */
static void again_at(const struct herd *herd, uint32_t *next_ms, uint32_t tries, bool provisional)
{
	uint32_t interval = transaction_interval_ms(
		&herd->config.timers, tries > 0 ? tries : 1, provisional);
	*next_ms += interval;
	if (time_before(*next_ms, herd->now_ms))
		*next_ms = herd->now_ms + interval;
}

static void keepalive_datagram(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	struct proxy_counters
		*asked = &herd->asked[redundancy_keepalive_target(&herd->config.redundancy, phone)];
	const enum datagram datagram = note_datagram(
		send_options(herd, local), &phone->keepalive_tries);
	if (datagram == DATAGRAM_NONE)
		return;
	asked->options_datagrams++;
	if (datagram == DATAGRAM_AGAIN) {
		herd->counters.options_retransmitted++;
		asked->options_retransmitted++;
		return;
	}
	herd->counters.options_sent++;
	asked->options++;
	herd_record_sent(herd, local);
}

static void register_datagram(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	struct proxy_counters *asked = &herd->asked[phone_active(phone)];
	const enum datagram datagram = note_datagram(
		send_register(herd, local), &phone->register_tries);
	if (datagram == DATAGRAM_NONE)
		return;
	asked->register_datagrams++;
	if (datagram == DATAGRAM_AGAIN) {
		herd->counters.register_retransmitted++;
		asked->register_retransmitted++;
		return;
	}
	herd->counters.register_sent++;
	if (!phone->continued)
		herd_count_offered(herd, phone);
}

static void unregister_datagram(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	const enum datagram datagram = note_datagram(
		send_unregister(herd, local), &phone->unregister_tries);
	if (datagram == DATAGRAM_AGAIN)
		herd->counters.unregister_retransmitted++;
	if (datagram != DATAGRAM_FIRST)
		return;
	herd->counters.unregister_sent++;
	if (!(phone->flags & PHONE_UNREGISTER_RETRIED))
		herd->asked[herd_unregister_proxy(phone)].unregister++;
}

void herd_begin_options(struct herd *herd, uint32_t local, const struct occasion *occasion)
{
	struct phone *phone = &herd->phone[local];
	phone->flags |= PHONE_KEEPALIVE_PENDING;
	phone->keepalive_cseq++;
	phone->keepalive_tries = 0;
	phone->keepalive_planned_us = (uint32_t)occasion->planned_us;
	phone->keepalive_next_ms = herd->now_ms +
				   transaction_interval_ms(&herd->config.timers, 1, false);
	phone->keepalive_end_ms = herd->now_ms + herd->config.timers.no_response_ms;
	record_lateness(herd, occasion);
	keepalive_datagram(herd, local);
}

void herd_again_options(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	keepalive_datagram(herd, local);
	again_at(herd, &phone->keepalive_next_ms, phone->keepalive_tries, false);
}

void herd_begin_register(struct herd *herd, uint32_t local, const struct occasion *occasion)
{
	struct phone *phone = &herd->phone[local];
	struct phone_auth *auth = &herd->auth[local];
	enum proxy active = phone_active(phone);
	phone->flags &= (uint16_t) ~(
		PHONE_REGISTER_ARMED | PHONE_PROVISIONAL | PHONE_WITH_CREDENTIALS);
	phone->flags |= PHONE_REGISTER_PENDING;
	if (credentials_ready(auth, active)) {
		phone->flags |= PHONE_WITH_CREDENTIALS;
		auth->nonce_count[active]++;
	}
	phone->register_cseq++;
	phone->register_tries = 0;
	phone->register_sent_us = (uint32_t)occasion->planned_us;
	phone->register_next_ms = herd->now_ms +
				  transaction_interval_ms(&herd->config.timers, 1, false);
	phone->register_end_ms = herd->now_ms + herd->config.timers.no_response_ms;
	record_lateness(herd, occasion);
	register_datagram(herd, local);
}

void herd_again_register(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	register_datagram(herd, local);
	again_at(herd, &phone->register_next_ms, phone->register_tries,
		phone->flags & PHONE_PROVISIONAL);
}

void herd_begin_unregister(struct herd *herd, uint32_t local, uint32_t wait_ms)
{
	struct phone *phone = &herd->phone[local];
	struct phone_auth *auth = &herd->auth[local];
	enum proxy proxy = herd_unregister_proxy(phone);
	if (!(phone->flags & PHONE_UNREGISTER_PENDING))
		herd->unregistering++;
	phone->flags |= PHONE_UNREGISTER_PENDING;
	phone->flags &= (uint16_t)~PHONE_UNREGISTER_AUTH;
	if (credentials_ready(auth, proxy)) {
		phone->flags |= PHONE_UNREGISTER_AUTH;
		auth->nonce_count[proxy]++;
	}
	phone->unregister_tries = 0;
	phone->unregister_next_ms = herd->now_ms +
				    transaction_interval_ms(&herd->config.timers, 1, false);
	phone->unregister_end_ms = herd->now_ms + wait_ms;
	unregister_datagram(herd, local);
}

void herd_again_unregister(struct herd *herd, uint32_t local)
{
	struct phone *phone = &herd->phone[local];
	unregister_datagram(herd, local);
	again_at(herd, &phone->unregister_next_ms, phone->unregister_tries, false);
}
