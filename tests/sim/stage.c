/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scan.h"

static void keep(void *context, const struct datagram *d)
{
	struct stage *stage = context;
	struct sip_message message;
	assert_in_range(stage->count, 0, STAGE_DATAGRAMS - 1);
	assert_in_range(d->length, 1, sizeof(stage->sent[0].text) - 1);
	/* Whatever a phone sends stands up to the strict reader too. */
	assert_int_equal(scan_message(d->text, d->length, &message), SCAN_OK);
	struct sent *sent = &stage->sent[stage->count++];
	*sent = (struct sent){.at_ms = (uint32_t)(d->now_us / 1000),
		.cseq = d->cseq,
		.expires = d->expires,
		.phone = d->phone,
		.call_id = d->call_id,
		.branch = d->branch,
		.status = d->status,
		.kind = d->kind,
		.proxy = d->proxy,
		.again = d->retransmission,
		.credentials = d->credentials,
		.length = d->length};
	memcpy(sent->text, d->text, d->length);
}

static void print_contact(
	const struct sim *sim, const struct datagram *d, const struct reply *reply, FILE *out)
{
	char contact[160];
	if (d->kind != DATAGRAM_REGISTER || reply->status / 100 != 2 || reply->no_contact)
		return;
	sim_contact(sim, d->phone, contact, sizeof(contact));
	if (reply->foreign_contact)
		contact[0] = 'x';
	uint32_t expires = reply->expires_zero ? 0 : reply->expires ? reply->expires : d->expires;
	fprintf(out, "Contact: <sip:%s>;expires=%u\r\n", contact, expires);
}

static void print_header(const struct datagram *d, const char *name, const char *more, FILE *out)
{
	struct datagram_text value = datagram_header(d, name, 0);
	fprintf(out, "%s: %.*s%s\r\n", name, (int)value.length, value.text, more);
}

static void print_via(const struct datagram *d, const struct reply *reply, FILE *out)
{
	struct datagram_text via = datagram_header(d, "Via", 0);
	char *text = strndup(via.text, via.length);
	if (reply->wrong_branch) {
		char *branch = strstr(text, "z9hG4bK");
		assert_non_null(branch);
		branch[10] = branch[10] == '0' ? '1' : '0';
	}
	fprintf(out, "Via: %s\r\n", text);
	free(text);
}

static void send_reply(struct sim *sim, const struct datagram *d, const struct reply *reply)
{
	char text[2800];
	FILE *out = fmemopen(text, sizeof(text), "w");
	assert_non_null(out);
	fprintf(out, "SIP/2.0 %u Scripted\r\n", reply->status);
	print_via(d, reply, out);
	print_header(d, "From", "", out);
	print_header(d, "To", ";tag=stage", out);
	print_header(d, "Call-ID", "", out);
	if (reply->wrong_cseq)
		fprintf(out, "CSeq: %u %s\r\n", d->cseq + 1,
			d->kind == DATAGRAM_OPTIONS ? "OPTIONS" : "REGISTER");
	else
		print_header(d, "CSeq", "", out);
	print_contact(sim, d, reply, out);
	fprintf(out, "%sContent-Length: 0\r\n\r\n", reply->headers ? reply->headers : "");
	long length = ftell(out);
	fclose(out);
	enum proxy from = reply->other_proxy ? !d->proxy : d->proxy;
	for (int copies = reply->twice ? 2 : 1; copies > 0; copies--)
		sim_inject(
			sim, d->phone, from, text, (size_t)length, reply->delay_ms * 1000ull + 500);
}

static bool arrived(void *context, struct sim *sim, const struct datagram *d)
{
	static const struct reply ok = {.status = 200};
	struct stage *stage = context;
	if (d->status != 0)
		return true;
	struct replies *replies = &stage->replies[d->proxy][d->kind];
	const struct reply *reply = &ok;
	if (replies->count > 0) {
		reply = &replies->reply[replies->next];
		if (replies->next + 1 < replies->count)
			replies->next++;
	}
	if (reply->status != 0)
		send_reply(sim, d, reply);
	return true;
}

void stage_defaults(struct sim_config *config)
{
	sim_defaults(config, 1, sim_seed(0x57a6e));
	config->passwords = true;
}

struct stage *stage_open(const struct sim_config *config)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct sim_config own = *config;
	assert_non_null(stage);
	stage->sent = calloc(STAGE_DATAGRAMS, sizeof(*stage->sent));
	assert_non_null(stage->sent);
	own.hooks = (struct sim_hooks){stage, keep, arrived};
	stage->sim = sim_create(&own);
	sim_start(stage->sim);
	return stage;
}

void stage_close(struct stage *stage)
{
	sim_check(stage->sim);
	stage_alive(stage, PROXY_PRIMARY);
	stage_alive(stage, PROXY_REDUNDANT);
	sim_finish(stage->sim);
	sim_free(stage->sim);
	free(stage->sent);
	free(stage);
}

void stage_reply(struct stage *stage, int proxy, int kind, struct reply reply)
{
	struct replies *replies = &stage->replies[proxy][kind];
	assert_in_range(replies->count, 0, STAGE_REPLIES - 1);
	replies->reply[replies->count++] = reply;
}

void stage_well(struct stage *stage, int proxy, int kind)
{
	stage->replies[proxy][kind].count = stage->replies[proxy][kind].next = 0;
}

void stage_dead(struct stage *stage, int proxy)
{
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++) {
		stage_well(stage, proxy, kind);
		stage_reply(stage, proxy, kind, (struct reply){.status = 0});
	}
}

void stage_alive(struct stage *stage, int proxy)
{
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++)
		stage_well(stage, proxy, kind);
}

void stage_run_ms(struct stage *stage, uint32_t until_ms)
{
	sim_run(stage->sim, until_ms * 1000ull);
	sim_check(stage->sim);
}

void stage_forget(struct stage *stage)
{
	stage->count = 0;
}

static bool is_it(const struct sent *sent, int kind, int proxy)
{
	return sent->status == 0 && sent->kind == kind &&
	       (proxy == PROXIES || sent->proxy == proxy);
}

unsigned stage_count(const struct stage *stage, int kind, int proxy)
{
	unsigned count = 0;
	for (unsigned i = 0; i < stage->count; i++)
		count += is_it(&stage->sent[i], kind, proxy) && !stage->sent[i].again;
	return count;
}

unsigned stage_datagrams(const struct stage *stage, int kind, int proxy)
{
	unsigned count = 0;
	for (unsigned i = 0; i < stage->count; i++)
		count += is_it(&stage->sent[i], kind, proxy);
	return count;
}

const struct sent *stage_nth(const struct stage *stage, int kind, int proxy, unsigned n)
{
	for (unsigned i = 0; i < stage->count; i++)
		if (is_it(&stage->sent[i], kind, proxy) && !stage->sent[i].again && n-- == 0)
			return &stage->sent[i];
	fail_msg("that request was never sent");
	return NULL;
}

const struct sent *stage_answer(const struct stage *stage, unsigned n)
{
	for (unsigned i = 0; i < stage->count; i++)
		if (stage->sent[i].status != 0 && n-- == 0)
			return &stage->sent[i];
	fail_msg("that answer was never sent");
	return NULL;
}

enum phone_state stage_state(const struct stage *stage)
{
	return (enum phone_state)sim_phone(stage->sim, 0)->state;
}

enum proxy stage_active(const struct stage *stage)
{
	return phone_active(sim_phone(stage->sim, 0));
}
