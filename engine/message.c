/* SPDX-License-Identifier: BSD-3-Clause */
#include "message_internal.h"

#include <stdlib.h>
#include <string.h>

#include "herd.h"
#include "hex.h"

/* Builds a template; positions are noted as it goes. */
struct draft {
	char text[MESSAGE_MAX];
	size_t length;
	bool overflow;
};

static void add(struct draft *draft, const char *text)
{
	size_t n = strlen(text);
	if (draft->length + n > sizeof(draft->text)) {
		draft->overflow = true;
		return;
	}
	memcpy(draft->text + draft->length, text, n);
	draft->length += n;
}

/* Room for a field that is patched later; returns its place. */
static uint16_t gap(struct draft *draft, size_t n)
{
	size_t at = draft->length;
	if (at + n > sizeof(draft->text)) {
		draft->overflow = true;
		return 0;
	}
	memset(draft->text + at, 0, n);
	draft->length += n;
	return (uint16_t)at;
}

/* "sip:host" or "sip:host:port" of a proxy, as the Request-URI of a keep-alive. */
static void add_proxy_uri(struct draft *draft, const struct herd_proxy *proxy)
{
	add(draft, "sip:");
	add(draft, proxy->host);
	if (proxy->port == 5060)
		return;
	char digits[6];
	int n = 0;
	for (unsigned port = proxy->port; port > 0; port /= 10)
		digits[n++] = (char)('0' + port % 10);
	char text[8] = ":";
	for (int i = 0; i < n; i++)
		text[1 + i] = digits[n - 1 - i];
	add(draft, text);
}

static void draft_headers(struct draft *draft, struct template *t, const struct herd_config *config,
	enum request kind, size_t hostport, size_t user)
{
	add(draft, " SIP/2.0\r\nVia: SIP/2.0/UDP ");
	t->via_host = gap(draft, hostport);
	add(draft, ";branch=z9hG4bK");
	t->branch = gap(draft, TOKEN_HEX);
	add(draft, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:");
	t->from_user = gap(draft, user);
	add(draft, "@");
	add(draft, config->domain);
	add(draft, ">;tag=");
	t->tag = gap(draft, 8);
	add(draft, "\r\nTo: <sip:");
	t->to_user = gap(draft, user);
	add(draft, "@");
	add(draft, config->domain);
	add(draft, ">\r\nCall-ID: ");
	t->call_id = gap(draft, MESSAGE_CALL_ID);
	add(draft, "\r\nCSeq: ");
	t->cseq = gap(draft, CSEQ_DIGITS);
	add(draft, kind == REQUEST_OPTIONS ? " OPTIONS\r\nContact: <sip:"
					   : " REGISTER\r\nContact: <sip:");
	t->contact_user = gap(draft, user);
	add(draft, "@");
	t->contact_host = gap(draft, hostport);
	add(draft, ">\r\nUser-Agent: ");
	add(draft, config->user_agent);
	add(draft, "\r\n");
}

static bool template_make(struct template *t, const struct herd_config *config, enum request kind,
	enum proxy proxy, size_t hostport, size_t user)
{
	struct draft draft = {.length = 0};
	if (kind == REQUEST_OPTIONS) {
		add(&draft, "OPTIONS ");
		add_proxy_uri(&draft, &config->proxy[proxy]);
	} else {
		add(&draft, "REGISTER sip:");
		add(&draft, config->domain);
	}
	draft_headers(&draft, t, config, kind, hostport, user);
	if (kind == REQUEST_OPTIONS)
		add(&draft, "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n");
	if (draft.overflow)
		return false;
	t->text = calloc(1, draft.length + MESSAGE_PIECE);
	if (t->text == NULL)
		return false;
	memcpy(t->text, draft.text, draft.length);
	t->length = (uint16_t)draft.length;
	t->hostport = (uint8_t)hostport;
	t->user = (uint8_t)user;
	message_vectors_prepare(t);
	return true;
}

/* Lengths of user that occur in this fleet. */
static void user_lengths(const struct herd_config *config, bool seen[IDENTITY_TEXT_MAX + 1])
{
	for (uint32_t i = config->begin; i < herd_config_end(config); i++)
		seen[identity_user_length(config->identities, i)] = true;
}

static bool classes_make(
	struct messages *m, const struct herd_config *config, enum proxy proxy, const bool *seen)
{
	bool ipv6 = config->proxy[proxy].address.family == ADDRESS_IPV6;
	/* "1.1.1.1:1024" to "255.255.255.255:65535"; "[::]:1024" to eight full groups. */
	size_t shortest = ipv6 ? 9 : 12, longest = ipv6 ? HOSTPORT_MAX - 1 : 21;
	for (size_t hostport = shortest; hostport <= longest; hostport++) {
		for (size_t user = 1; user <= IDENTITY_TEXT_MAX; user++) {
			for (int kind = 0; seen[user] && kind < REQUESTS; kind++) {
				struct template *t = &m->template[m->templates];
				*t = (struct template){0};
				if (!template_make(
					    t, config, (enum request)kind, proxy, hostport, user))
					return false;
				m->text_bytes += t->length;
				if (kind == REQUEST_OPTIONS)
					m->class[proxy][hostport][user] = (uint16_t)m->templates;
				m->templates++;
			}
		}
	}
	return true;
}

struct messages *messages_create(const struct herd_config *config)
{
	bool seen[IDENTITY_TEXT_MAX + 1] = {false};
	user_lengths(config, seen);
	size_t lengths = 0;
	for (size_t i = 0; i <= IDENTITY_TEXT_MAX; i++)
		lengths += seen[i];
	struct messages *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->identities = config->identities;
	message_vectors_open(m);
	const size_t most = PROXIES * REQUESTS * HOSTPORT_MAX * (lengths ? lengths : 1);
	m->template = aligned_alloc(alignof(struct template), most * sizeof(struct template));
	for (int proxy = 0; m->template != NULL && proxy < PROXIES; proxy++) {
		m->plan[proxy] = config->plan[config->proxy[proxy].address.family];
		/* Without redundancy the redundant proxy has neither name nor plan. */
		if (m->plan[proxy] == NULL || config->proxy[proxy].host[0] == '\0')
			continue;
		if (classes_make(m, config, (enum proxy)proxy, seen))
			continue;
		messages_free(m);
		return NULL;
	}
	if (m->template == NULL) {
		messages_free(m);
		return NULL;
	}
	return m;
}

void messages_free(struct messages *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; m->template != NULL && i < m->templates; i++)
		free(m->template[i].text);
	free(m->template);
	free(m);
}

uint64_t messages_memory(const struct messages *m)
{
	return sizeof(*m) + m->templates * sizeof(struct template) + m->text_bytes;
}

/* ":5060" and the like; returns its length. */
static size_t write_port(char *out, uint16_t port)
{
	size_t digits = port >= 10000 ? 5 : 4; /* plans hold no port below 1024 */
	unsigned value = port;
	out[0] = ':';
	for (size_t i = digits; i > 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return digits + 1;
}

bool messages_use_vectors(struct messages *m, bool wish)
{
	m->vectors = wish && message_vectors_possible();
	return m->vectors;
}

static void phone_texts(const struct messages *m, uint32_t index, struct message_phone *out)
{
	const struct address *address = &out->address;
	size_t n = 0;
	memset(out->hostport, 0, MESSAGE_PIECE);
	memset(out->user, 0, MESSAGE_PIECE);
	if (address->family == ADDRESS_IPV6)
		out->hostport[n++] = '[';
	n += address_format(address, out->hostport + n);
	if (address->family == ADDRESS_IPV6)
		out->hostport[n++] = ']';
	out->host_length = (uint8_t)n;
	n += write_port(out->hostport + n, out->port);
	out->hostport_length = (uint8_t)n;
	out->user_length = (uint8_t)identity_user(m->identities, index, out->user);
}

void messages_phone(
	const struct messages *m, uint32_t index, enum proxy proxy, struct message_phone *out)
{
	address_plan_at(m->plan[proxy], index, &out->address, &out->port);
	out->proxy = (uint8_t)proxy;
	if (m->vectors && m->shaped && out->address.family == ADDRESS_IPV4)
		message_vectors_phone(m, index, out);
	else
		phone_texts(m, index, out);
	out->template = m->class[proxy][out->hostport_length][out->user_length];
}

static const struct template *template_of(
	const struct messages *m, const struct message_phone *phone, enum request kind)
{
	return &m->template[phone->template + kind];
}

/* Ten digits of 1000000000 + n, two at a time. */
static void write_cseq(char *out, uint32_t n)
{
	uint32_t value = MESSAGE_CSEQ_BASE + n;
	for (int i = CSEQ_DIGITS - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void patch(const struct template *t, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out)
{
	memcpy(out, t->text, t->length);
	char *text = (char *)out;
	memcpy(text + t->via_host, phone->hostport, phone->hostport_length);
	token_write(&fields->token, secret, text + t->branch);
	memcpy(text + t->from_user, phone->user, phone->user_length);
	hex8_write(message_tag(fields->call), text + t->tag);
	memcpy(text + t->to_user, phone->user, phone->user_length);
	hex8_write(fields->token.phone, text + t->call_id);
	hex8_write((uint32_t)(fields->call >> 32), text + t->call_id + 8);
	hex8_write((uint32_t)fields->call, text + t->call_id + 16);
	write_cseq(text + t->cseq, fields->cseq);
	memcpy(text + t->contact_user, phone->user, phone->user_length);
	memcpy(text + t->contact_host, phone->hostport, phone->hostport_length);
}

static uint32_t write(const struct messages *m, const struct template *t,
	const struct message_phone *phone, const struct message_fields *fields, uint64_t secret,
	uint8_t *out)
{
	if (m->vectors && t->vectors)
		return message_vectors_write(t, phone, fields, secret, out);
	patch(t, phone, fields, secret, out);
	return MESSAGE_SUM_OPEN;
}

uint16_t messages_options_length(const struct messages *m, const struct message_phone *phone)
{
	return template_of(m, phone, REQUEST_OPTIONS)->length;
}

uint32_t messages_options_write(const struct messages *m, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out)
{
	return write(m, template_of(m, phone, REQUEST_OPTIONS), phone, fields, secret, out);
}

static size_t decimal(uint32_t value, char out[10])
{
	char digits[10];
	size_t n = 0;
	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		out[i] = digits[n - 1 - i];
	return n;
}

#define EXPIRES "Expires: "
#define REGISTER_END "Content-Length: 0\r\n\r\n"

uint16_t messages_register_length(const struct messages *m, const struct message_phone *phone,
	uint32_t expires_s, size_t authorization_length)
{
	char digits[10];
	return (uint16_t)(template_of(m, phone, REQUEST_REGISTER)->length + strlen(EXPIRES) +
			  decimal(expires_s, digits) + 2 + authorization_length +
			  strlen(REGISTER_END));
}

void messages_register_write(const struct messages *m, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint32_t expires_s,
	const char *authorization, size_t authorization_length, uint8_t *out)
{
	const struct template *t = template_of(m, phone, REQUEST_REGISTER);
	write(m, t, phone, fields, secret, out);
	out += t->length;
	memcpy(out, EXPIRES, strlen(EXPIRES));
	out += strlen(EXPIRES);
	out += decimal(expires_s, (char *)out);
	memcpy(out, "\r\n", 2);
	out += 2;
	memcpy(out, authorization, authorization_length);
	memcpy(out + authorization_length, REGISTER_END, strlen(REGISTER_END));
}
