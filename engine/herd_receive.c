/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams that reach a phone: responses find their transaction by the branch, requests are
 * answered on the spot. */
#include <string.h>

#include "answer.h"
#include "herd_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ALLOW "Allow: INVITE, ACK, OPTIONS, NOTIFY\r\n"

/* A response that belongs to this phone, and what it belongs to. */
struct response {
	const struct sip_message *message;
	struct token token;
	enum proxy proxy;
	uint32_t local;
};

static void count_class(struct herd *herd, uint16_t status)
{
	struct herd_counters *c = &herd->counters;
	switch (status / 100) {
	case 1:
		c->responses_1xx++;
		break;
	case 2:
		c->responses_2xx++;
		break;
	case 3:
		c->responses_3xx++;
		break;
	case 4:
		c->responses_4xx++;
		break;
	case 5:
		c->responses_5xx++;
		break;
	default:
		c->responses_6xx++;
		break;
	}
}

static uint32_t record_since(struct histogram *histogram, uint64_t now_us, uint32_t planned_us)
{
	/* Transactions last at most 64 s, far from the 71 minutes of 32-bit microseconds. */
	uint32_t elapsed = (uint32_t)now_us - planned_us;
	elapsed = (int32_t)elapsed < 0 ? 0 : elapsed;
	histogram_record(histogram, elapsed);
	return elapsed;
}

static void options_answered(struct herd *herd, const struct response *response)
{
	struct phone *phone = &herd->phone[response->local];
	uint16_t status = response->message->status;
	struct occasion occasion = {.planned_us = herd->now_us};
	phone->flags &= (uint16_t)~PHONE_KEEPALIVE_PENDING;
	herd_record_rtt(herd, response->local,
		record_since(&herd->histograms.options_rtt_us[response->proxy], herd->now_us,
			phone->keepalive_planned_us));
	for (int i = 0; i < herd->config.keepalive_codes; i++) {
		if (status != herd->config.keepalive_code[i])
			continue;
		herd->counters.options_fail_code++;
		herd->asked[response->proxy].options_timeout++;
		herd_count_finished(herd, response->proxy, false);
		herd_step(herd, response->local, EVENT_KEEPALIVE_SILENCE, &occasion);
		return;
	}
	if (response->proxy == phone_active(phone))
		herd_outage_proof(herd, phone);
	herd->counters.options_answered++;
	herd->asked[response->proxy].options_answered++;
	herd_count_finished(herd, response->proxy, true);
	herd_step(herd, response->local, EVENT_KEEPALIVE_ANSWER, &occasion);
}

/* Is this Contact value ours? Proxies may add parameters, brackets or another spelling of an IPv6
 * address, so what counts is user, address and port. */
static bool is_own_contact(const struct herd *herd, const struct sip_message *message,
	const struct sip_contact *contact, const struct message_phone *who, uint32_t index)
{
	struct sip_uri uri;
	if (!scan_uri(message, contact->uri, &uri))
		return false;
	if (!span_equal(message, uri.user, who->user, who->user_length))
		return false;
	const char *host = span_text(message, uri.host);
	size_t length = uri.host.length;
	struct address own, theirs;
	uint16_t port;
	address_plan_at(herd->config.plan[herd->config.proxy[who->proxy].address.family], index,
		&own, &port);
	if ((uri.port == 0 ? 5060 : uri.port) != port)
		return false;
	if (length == who->host_length && memcmp(host, who->hostport, length) == 0)
		return true;
	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	}
	char text[ADDRESS_TEXT_MAX];
	if (length >= sizeof(text))
		return false;
	memcpy(text, host, length);
	text[length] = '\0';
	return address_parse(text, &theirs) == 0 && address_equal(&own, &theirs);
}

/* What a 2xx grants this phone, in seconds; 0: nothing. */
static uint32_t granted_s(const struct herd *herd, const struct response *response)
{
	const struct sip_message *message = response->message;
	const struct phone *phone = &herd->phone[response->local];
	uint32_t index = herd_index(herd, response->local);
	struct message_phone who;
	messages_phone(herd->messages, index, response->proxy, &who);
	for (int i = 0; i < message->contacts; i++) {
		struct sip_contact contact;
		if (!scan_contact(message, message->contact[i], &contact) ||
			!is_own_contact(herd, message, &contact, &who, index))
			continue;
		if (contact.expires != SCAN_ABSENT)
			return contact.expires;
		if (message->expires != SCAN_ABSENT)
			return message->expires;
		return phone->flags & PHONE_RAISED_EXPIRES ? herd->auth[response->local].expires_s
							   : herd->config.expires_s;
	}
	return 0;
}

static void register_ok(struct herd *herd, const struct response *response)
{
	const struct phone *phone = &herd->phone[response->local];
	struct occasion occasion = {.planned_us = herd->now_us};
	occasion.granted_s = granted_s(herd, response);
	if (occasion.granted_s == 0) {
		herd->counters.register_useless++;
		herd_step(herd, response->local, EVENT_REGISTER_USELESS, &occasion);
		return;
	}
	herd->counters.register_ok++;
	herd_count_accepted(herd, phone,
		record_since(&herd->histograms.registration_us, herd->now_us,
			phone->register_planned_us));
	herd_step(herd, response->local, EVENT_REGISTER_OK, &occasion);
}

/* Another try is allowed: three that count, and as many with stale=true as anybody needs. */
static bool may_try(struct phone *phone, bool stale)
{
	if (stale) {
		if (phone->auth_stale >= AUTH_STALE_MAX)
			return false;
		phone->auth_stale++;
		return true;
	}
	if (phone->auth_counted >= AUTH_TRIES)
		return false;
	phone->auth_counted++;
	return true;
}

/* Take a challenge; false when it cannot be answered. */
static bool take_challenge(
	struct herd *herd, const struct response *response, bool busy, bool *stale)
{
	struct credentials_owner owner = {
		&herd->auth[response->local], response->local, herd_index(herd, response->local)};
	int status = credentials_challenge(
		herd->credentials, &owner, response->proxy, response->message, busy, stale);
	if (status != 0)
		herd->counters.challenge_unusable++;
	return status == 0;
}

static void register_challenged(struct herd *herd, const struct response *response)
{
	struct phone *phone = &herd->phone[response->local];
	struct occasion occasion = {.planned_us = herd->now_us};
	bool stale = false;
	herd->counters.register_challenged++;
	herd->asked[response->proxy].challenged++;
	if (take_challenge(herd, response, phone->flags & PHONE_UNREGISTER_AUTH, &stale) &&
		may_try(phone, stale)) {
		phone->continued = 1;
		herd_step(herd, response->local, EVENT_CHALLENGED, &occasion);
		return;
	}
	herd->counters.register_auth_failed++;
	herd_step(herd, response->local, EVENT_CREDENTIALS_REFUSED, &occasion);
}

/* A final answer that grants nothing: its code decides whether the phone stays and waits. */
static void register_refused(struct herd *herd, const struct response *response)
{
	const struct sip_message *message = response->message;
	struct occasion occasion = {.planned_us = herd->now_us};
	if (message->retry_after != SCAN_ABSENT)
		occasion.retry_after_s = message->retry_after;
	for (int i = 0; i < herd->config.register_codes; i++) {
		if (message->status != herd->config.register_code[i])
			continue;
		herd_step(herd, response->local, EVENT_REJECTED_SWITCHING, &occasion);
		return;
	}
	herd_step(herd, response->local, EVENT_REJECTED, &occasion);
}

static void register_too_brief(struct herd *herd, const struct response *response)
{
	struct phone *phone = &herd->phone[response->local];
	struct phone_auth *auth = &herd->auth[response->local];
	struct occasion occasion = {.planned_us = herd->now_us};
	uint32_t floor_s = response->message->min_expires;
	herd->counters.register_too_brief++;
	/* Honoured once per proxy, and only when it asks for more than it was offered. */
	if ((phone->flags & PHONE_TOO_BRIEF) || floor_s == SCAN_ABSENT ||
		floor_s <= herd->config.expires_s) {
		register_refused(herd, response);
		return;
	}
	phone->flags |= PHONE_TOO_BRIEF | PHONE_RAISED_EXPIRES;
	auth->expires_s = floor_s;
	phone->continued = 1;
	herd_step(herd, response->local, EVENT_TOO_BRIEF, &occasion);
}

static void register_rejected(struct herd *herd, const struct response *response)
{
	herd->counters.register_rejected++;
	herd_count_rejected(herd, response->proxy, response->message->status);
	register_refused(herd, response);
}

static void register_answered(struct herd *herd, const struct response *response)
{
	struct phone *phone = &herd->phone[response->local];
	uint16_t status = response->message->status;
	if (status < 200) {
		phone->flags |= PHONE_PROVISIONAL;
		return;
	}
	phone->flags &= (uint16_t)~PHONE_REGISTER_PENDING;
	herd_count_finished(herd, response->proxy, true);
	record_since(&herd->histograms.register_rtt_us[response->proxy], herd->now_us,
		phone->register_sent_us);
	if (status < 300)
		register_ok(herd, response);
	else if (status == 401 || status == 407)
		register_challenged(herd, response);
	else if (status == 423)
		register_too_brief(herd, response);
	else
		register_rejected(herd, response);
}

static void unregister_answered(struct herd *herd, const struct response *response)
{
	struct phone *phone = &herd->phone[response->local];
	uint16_t status = response->message->status;
	bool stale;
	if (status < 200)
		return;
	bool again = (status == 401 || status == 407) &&
		     !(phone->flags & PHONE_UNREGISTER_RETRIED) &&
		     take_challenge(herd, response, phone->flags & PHONE_WITH_CREDENTIALS, &stale);
	if (!again) {
		herd->counters.unregister_done++;
		herd_unregister_ended(herd, response->local);
		return;
	}
	uint32_t left_ms = phone->unregister_end_ms - herd->now_ms;
	phone->flags |= PHONE_UNREGISTER_RETRIED;
	herd->auth[response->local].unregister_cseq++;
	herd_begin_unregister(herd, response->local, left_ms);
}

/* The transaction a response's token speaks of, if it is in flight. */
struct pending {
	bool in_flight;
	uint16_t epoch;
	enum proxy proxy;
	uint32_t cseq;
	enum sip_method method;
};

static struct pending pending_of(
	const struct herd *herd, const struct phone *phone, uint32_t local, uint8_t kind)
{
	if (kind == TOKEN_OPTIONS)
		return (struct pending){phone->flags & PHONE_KEEPALIVE_PENDING, phone->epoch,
			redundancy_keepalive_target(&herd->config.redundancy, phone),
			phone->keepalive_cseq, SIP_OPTIONS};
	if (kind == TOKEN_REGISTER)
		return (struct pending){phone->flags & PHONE_REGISTER_PENDING, phone->epoch,
			phone_active(phone), phone->register_cseq, SIP_REGISTER};
	uint16_t back = phone->flags & PHONE_UNREGISTER_OLD ? 1 : 0;
	return (struct pending){phone->flags & PHONE_UNREGISTER_PENDING,
		(uint16_t)(phone->epoch - back), herd_unregister_proxy(phone),
		herd->auth[local].unregister_cseq, SIP_REGISTER};
}

static void take_response(
	struct herd *herd, uint32_t index, enum proxy proxy, const struct sip_message *message)
{
	struct response response = {
		.message = message, .proxy = proxy, .local = herd_local(herd, index)};
	struct herd_counters *c = &herd->counters;
	if (!token_parse(span_text(message, message->via_branch), message->via_branch.length,
		    herd->config.secret, &response.token) ||
		response.token.phone != index || response.token.kind > TOKEN_UNREGISTER) {
		c->response_foreign++;
		return;
	}
	const struct phone *phone = &herd->phone[response.local];
	struct pending pending = pending_of(herd, phone, response.local, response.token.kind);
	if (response.token.epoch != pending.epoch) {
		c->response_old_epoch++;
		herd->asked[proxy].late++;
		return;
	}
	if (!pending.in_flight || response.token.sequence != (pending.cseq & TOKEN_SEQUENCE_MASK)) {
		c->response_late++;
		herd->asked[proxy].late++;
		return;
	}
	if (message->method != pending.method ||
		message->cseq != MESSAGE_CSEQ_BASE + pending.cseq || proxy != pending.proxy) {
		c->response_mismatch++;
		return;
	}
	count_class(herd, message->status);
	if (response.token.kind == TOKEN_OPTIONS)
		options_answered(herd, &response);
	else if (response.token.kind == TOKEN_REGISTER)
		register_answered(herd, &response);
	else
		unregister_answered(herd, &response);
	herd_queue(herd, response.local);
}

/* How a phone answers requests of a method; PHONE.md section 3. */
struct manner {
	uint16_t code;
	bool allow, accept;
	uint64_t *counter;
};

static struct manner manner_of(struct herd_counters *c, enum sip_method method)
{
	switch (method) {
	case SIP_OPTIONS:
		return (struct manner){200, true, true, &c->request_options};
	case SIP_NOTIFY:
		return (struct manner){200, false, false, &c->request_notify};
	case SIP_INVITE:
		return (struct manner){486, false, false, &c->request_invite};
	default:
		return (struct manner){501, true, false, &c->request_other};
	}
}

/* The tag follows from the phone and the call, so that a repeated request gets the same. */
static uint32_t tag_of(const struct herd *herd, uint32_t index, const struct sip_message *message)
{
	return (uint32_t)XXH3_64bits_withSeed(span_text(message, message->call_id),
		message->call_id.length, herd->config.secret + index);
}

static void take_request(
	struct herd *herd, uint32_t index, enum proxy proxy, const struct sip_message *message)
{
	struct herd_counters *c = &herd->counters;
	const uint8_t state = herd->phone[herd_local(herd, index)].state;
	/* A phone without power hears nothing. */
	if (state == PHONE_OFF || state == PHONE_BOOT) {
		c->request_while_off++;
		return;
	}
	if (message->method == SIP_ACK) {
		c->request_ack++;
		return;
	}
	const struct endpoint source = {.address = herd->config.proxy[proxy].address,
		.port = herd->config.proxy[proxy].port};
	const struct manner manner = manner_of(c, (enum sip_method)message->method);
	struct answer answer;
	answer_begin(&answer, message, &source, manner.code, NULL, tag_of(herd, index, message));
	if (manner.allow)
		answer_string(&answer, ALLOW);
	if (manner.accept)
		answer_string(&answer, "Accept: application/sdp\r\n");
	answer_string(&answer, "Content-Length: 0\r\n\r\n");
	if (!answer_fits(&answer)) {
		c->request_unanswerable++;
		return;
	}
	struct address own;
	uint16_t port;
	address_plan_at(herd->config.plan[source.address.family], index, &own, &port);
	herd_sender(herd, &own, port);
	uint8_t *out = herd_buffer(herd, index, proxy, (uint16_t)answer.length, 0);
	if (out == NULL) {
		c->not_sent++;
		return;
	}
	answer_write(&answer, out);
	++*manner.counter;
}

void herd_fetch(const struct herd *herd, uint32_t index)
{
	__builtin_prefetch(&herd->phone[herd_local(herd, index)], 1);
	if (herd->record != NULL)
		__builtin_prefetch(&herd->record[index], 1);
}

void herd_fetch_near(const struct herd *herd, uint32_t index)
{
	const uint32_t local = herd_local(herd, index);
	if (herd->phone[local].flags & (PHONE_REGISTER_PENDING | PHONE_UNREGISTER_PENDING))
		__builtin_prefetch(&herd->auth[local], 1);
}

/* A phone that is being left, or a whole herd without a lease, could only answer. Its memory is
 * fetched while the datagram is read. */
bool herd_may_take(const struct herd *herd, uint32_t index)
{
	herd_fetch(herd, index);
	return herd->shard[index / SHARD_PHONES].state != SHARD_LEAVING && !herd_is_muted(herd);
}

void herd_read(
	struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram, size_t length)
{
	struct sip_message message;
	enum scan_result result = scan_learned_message(
		&herd->learned[proxy], datagram, length, &message);
	if (result == SCAN_EMPTY) {
		herd->counters.message_keepalive++;
		return;
	}
	if (result != SCAN_OK) {
		herd->counters.message_malformed++;
		return;
	}
	if (message.status != 0)
		take_response(herd, phone, proxy, &message);
	else
		take_request(herd, phone, proxy, &message);
}

void herd_datagram(struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram,
	size_t length, uint64_t now_us)
{
	herd_set_time(herd, now_us);
	if (!herd_may_take(herd, phone)) {
		herd->counters.muted++;
		return;
	}
	if ((herd->impaired >> proxy & 1) == 0 ||
		!herd_impair_received(herd, phone, proxy, datagram, length))
		herd_read(herd, phone, proxy, datagram, length);
}

void herd_unreachable(struct herd *herd, uint32_t index, enum proxy proxy, uint64_t now_us)
{
	herd_set_time(herd, now_us);
	uint32_t local = herd_local(herd, index);
	struct phone *phone = &herd->phone[local];
	struct occasion occasion = {.planned_us = now_us};
	herd->counters.icmp_unreachable++;
	if (!herd->config.icmp_fails || !herd_may_take(herd, index))
		return;
	if ((phone->flags & PHONE_REGISTER_PENDING) && phone_active(phone) == proxy) {
		phone->flags &= (uint16_t)~PHONE_REGISTER_PENDING;
		herd->counters.register_silent++;
		herd->asked[proxy].register_timeout++;
		herd_count_finished(herd, proxy, false);
		herd_step(herd, local, EVENT_REGISTER_SILENCE, &occasion);
	} else if ((phone->flags & PHONE_KEEPALIVE_PENDING) &&
		   redundancy_keepalive_target(&herd->config.redundancy, phone) == proxy) {
		phone->flags &= (uint16_t)~PHONE_KEEPALIVE_PENDING;
		herd->counters.options_silent++;
		herd->asked[proxy].options_timeout++;
		herd_count_finished(herd, proxy, false);
		herd_step(herd, local, EVENT_KEEPALIVE_SILENCE, &occasion);
	}
	herd_queue(herd, local);
}
