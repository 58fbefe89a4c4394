/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TRACE_SHOWN 48
#define UNREGISTER_WAIT_MS 1000
#define STALE_MAX 10

/* What an event just allowed the phone to do, once and before the event is over. */
enum {
	PERMIT_AUTHENTICATE = 1 << 0,     /* a challenge: another REGISTER with credentials */
	PERMIT_BRIEF = 1 << 1,            /* the first 423: another REGISTER with a longer expiry */
	PERMIT_UNREGISTER_OLD = 1 << 2,   /* failing back: Expires 0 to the redundant proxy */
	PERMIT_UNREGISTER = 1 << 3,       /* planned reboot or stop */
	PERMIT_UNREGISTER_AGAIN = 1 << 4, /* the Expires 0 was challenged */
	PERMIT_ANSWER = 1 << 5,           /* a request came in */
	PERMIT_NOW = 1 << 6,              /* an operator wants a REGISTER */
};

struct transaction {
	uint64_t branch, hash;
	uint32_t first_ms, next_ms, limit_ms, cseq; /* limit: timer F */
	uint8_t tries, proxy;
	bool open, provisional;
};

struct shadow {
	struct transaction t[DATAGRAM_TRANSACTIONS];
	uint64_t call_id[2];  /* of the last REGISTER and the last OPTIONS */
	uint64_t old_call_id; /* of the registration that an Expires 0 ends */
	uint32_t old_cseq;
	uint32_t since_ms;     /* when the state began */
	uint32_t wait_ms;      /* of WAITING: the pause asked for */
	uint32_t tick_ms;      /* last known point of the keep-alive grid */
	uint32_t refreshed_ms; /* last 2xx to a REGISTER */
	uint32_t granted_s, min_expires_s;
	uint16_t epoch;
	uint8_t state, active, misses, answers;
	uint8_t permits, credentialed;
	bool fresh[2];       /* the next REGISTER, OPTIONS must carry a new Call-ID */
	bool ticked;         /* the grid's first OPTIONS went out */
	bool brief;          /* a 423 of this proxy was honoured */
	uint8_t stales;      /* free stale=true used */
	bool again;          /* the Expires 0 was challenged and sent again */
	bool restarting;     /* a command took it down and it is to start again */
	bool away;           /* another generator's */
	bool held;           /* unregistered by an operator */
	bool unhurried;      /* its Expires 0 has all the time of a transaction */
	uint32_t restart_ms; /* ... at the latest */
	/* How long its outage takes. */
	bool proven, switched;
	uint32_t proof_ms, detect_ms, pause_ms, planned_ms;
};

enum trace_what {
	TRACE_SENT,
	TRACE_AGAIN,
	TRACE_RECEIVED,
	TRACE_LATE,
	TRACE_SWITCH,
	TRACE_COMMAND
};

struct trace {
	uint64_t now_us;
	uint32_t phone, cseq;
	uint32_t branch;
	uint16_t status;
	uint8_t what, kind, proxy, state;
};

struct model {
	struct herd_config config;
	struct model_source source;
	uint64_t seed, judged;
	uint64_t matched, unmatched; /* responses given to the herd */
	bool enabled, started, stopped, paused;
	uint32_t paused_ms, limit;
	struct histogram duration_ms[PROXIES][FAILOVER_PHASES];
	uint32_t tries_max; /* datagrams in one transaction that is never answered */
	struct shadow *phone;
	struct herd_counters seen; /* what the herd must have counted */
	struct trace *trace;
	uint32_t trace_mask;
	uint64_t traced;
};

static const char *const kind_names[] = {"REGISTER", "OPTIONS", "REGISTER 0", "other"};
static const char *const what_names[] = {
	"sent", "sent again", "received", "received late", "switch", "command"};

static uint32_t ms_of(uint64_t now_us)
{
	return (uint32_t)(now_us / 1000);
}

/* ---- telling what went wrong ---- */

static void trace(struct model *model, const struct trace *entry)
{
	model->trace[model->traced++ & model->trace_mask] = *entry;
}

static void trace_datagram(struct model *model, const struct datagram *d, enum trace_what what)
{
	trace(model, &(struct trace){.now_us = d->now_us,
			     .phone = d->phone,
			     .cseq = d->cseq,
			     .branch = (uint32_t)d->branch,
			     .status = d->status,
			     .what = (uint8_t)what,
			     .kind = d->kind,
			     .proxy = d->proxy,
			     .state = model->phone[d->phone].state});
}

static void print_trace(const struct model *model, uint32_t phone)
{
	uint64_t oldest = model->traced > model->trace_mask ? model->traced - model->trace_mask : 0;
	uint64_t from = model->traced;
	for (int shown = 0; from > oldest && shown < TRACE_SHOWN;)
		shown += model->trace[--from & model->trace_mask].phone == phone;
	for (; from < model->traced; from++) {
		const struct trace *t = &model->trace[from & model->trace_mask];
		if (t->phone != phone)
			continue;
		fprintf(stderr, "  %12.6f s  %-13s %-10s %s %-9s", (double)t->now_us / 1e6,
			what_names[t->what], kind_names[t->kind],
			t->what == TRACE_RECEIVED || t->what == TRACE_LATE ? "from" : "to  ",
			proxy_name(t->proxy));
		fprintf(stderr, " cseq %u branch %08x status %u, was %s\n", t->cseq, t->branch,
			t->status, phone_state_name(t->state));
	}
}

static void print_record(const struct phone *r)
{
	fprintf(stderr,
		"  record: %s, active %s, epoch %u, flags 0x%04x, misses %u, answers %u, auth %u\n"
		"    keepalive due %u next %u end %u cseq %u tries %u\n"
		"    register next %u end %u cseq %u tries %u; unregister next %u end %u tries %u; "
		"wheel %u\n",
		phone_state_name(r->state), proxy_name(phone_active(r)), r->epoch, r->flags,
		r->misses, r->answers, r->auth_counted, r->keepalive_due_ms, r->keepalive_next_ms,
		r->keepalive_end_ms, r->keepalive_cseq, r->keepalive_tries, r->register_next_ms,
		r->register_end_ms, r->register_cseq, r->register_tries, r->unregister_next_ms,
		r->unregister_end_ms, r->unregister_tries, r->wheel_ms);
}

void model_violated(struct model *model, uint32_t phone, uint64_t now_us, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "VIOLATION: %s\n  seed 0x%016llx, virtual time %.6f s, phone %u\n", text,
		(unsigned long long)model->seed, (double)now_us / 1e6, phone);
	if (phone < model->config.fleet_phones) {
		const struct shadow *p = &model->phone[phone];
		fprintf(stderr,
			"  model: %s since %u ms, active %s, epoch %u, misses %u, answers %u\n",
			phone_state_name(p->state), p->since_ms, proxy_name(p->active), p->epoch,
			p->misses, p->answers);
		for (int k = 0; k < DATAGRAM_TRANSACTIONS; k++)
			if (p->t[k].open)
				fprintf(stderr,
					"    %s in flight to %s since %u ms, next %u, %u sent\n",
					kind_names[k], proxy_name(p->t[k].proxy), p->t[k].first_ms,
					p->t[k].next_ms, p->t[k].tries);
		print_record(model->source.record(model->source.context, phone));
		print_trace(model, phone);
	}
	fflush(stderr);
	fail_msg("%s (seed 0x%016llx)", text, (unsigned long long)model->seed);
	abort();
}

/* ---- creation ---- */

static uint32_t tries_of(const struct transaction_timers *timers)
{
	uint32_t tries = 1;
	for (uint64_t at = 0;; tries++) {
		at += transaction_interval_ms(timers, tries, false);
		if (at >= timers->no_response_ms)
			return tries;
	}
}

struct model *model_create(
	const struct herd_config *config, const struct model_source *source, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));
	uint32_t room = 1u << 14;
	while (room < 64ull * config->fleet_phones && room < 1u << 20)
		room *= 2;
	assert_non_null(model);
	model->config = *config;
	model->source = *source;
	model->seed = seed;
	model->enabled = config->redundancy.enabled;
	model->limit = config->fleet_phones;
	for (int p = 0; p < PROXIES; p++)
		for (int phase = 0; phase < FAILOVER_PHASES; phase++)
			histogram_reset(&model->duration_ms[p][phase]);
	model->tries_max = tries_of(&config->timers);
	model->trace_mask = room - 1;
	model->trace = calloc(room, sizeof(*model->trace));
	model->phone = calloc(config->fleet_phones, sizeof(*model->phone));
	assert_non_null(model->trace);
	assert_non_null(model->phone);
	for (uint32_t i = 0; i < config->fleet_phones; i++)
		model->phone[i].fresh[0] = model->phone[i].fresh[1] = true;
	for (uint32_t i = 0; model->enabled && config->mirror && i < config->fleet_phones; i++)
		if (record_last_tried(&config->mirror->record[i]) == 1 + PROXY_REDUNDANT)
			model->phone[i].active = PROXY_REDUNDANT;
	return model;
}

void model_free(struct model *model)
{
	free(model->trace);
	free(model->phone);
	free(model);
}

/* ---- transitions, in PHONE.md's words ---- */

static void drop(struct model *model, struct shadow *p, enum datagram_kind kind)
{
	if (!p->t[kind].open)
		return;
	p->t[kind].open = false;
	if (kind == DATAGRAM_OPTIONS)
		model->seen.options_abandoned++;
	else if (kind == DATAGRAM_REGISTER)
		model->seen.register_abandoned++;
}

static void enter(struct shadow *p, enum phone_state state, uint32_t now_ms)
{
	p->state = (uint8_t)state;
	p->since_ms = now_ms;
}

/* A proxy has served the phone that is registered there. What an Expires 0 in flight costs. */
static void proof(struct shadow *p, uint32_t now_ms)
{
	if (p->t[DATAGRAM_UNREGISTER].open)
		return;
	p->proven = true;
	p->proof_ms = now_ms;
}

static void outage_ended(struct model *model, struct shadow *p, uint32_t now_ms)
{
	struct histogram *duration_ms = model->duration_ms[p->active];
	if (p->switched) {
		histogram_record(&duration_ms[FAILOVER_SWITCH], p->pause_ms);
		histogram_record(&duration_ms[FAILOVER_REGISTER], now_ms - p->planned_ms);
	}
	if (p->switched && p->proven) {
		histogram_record(&duration_ms[FAILOVER_DETECT], p->detect_ms);
		histogram_record(&duration_ms[FAILOVER_SINCE_ANSWER], now_ms - p->proof_ms);
	}
	p->switched = p->proven = false;
}

static void count_finished(struct model *model, uint8_t proxy, bool answered)
{
	struct herd_counters *c = &model->seen;
	uint64_t *const counter[PROXIES][2] = {{&c->silent_primary, &c->answered_primary},
		{&c->silent_redundant, &c->answered_redundant}};
	++*counter[proxy][answered];
}

static uint64_t *switch_counter(struct model *model, uint8_t to, enum switch_cause cause)
{
	struct herd_counters *c = &model->seen;
	uint64_t *const counter[PROXIES][SWITCH_CAUSES] = {
		[PROXY_REDUNDANT] = {NULL, &c->failover_keepalive_silence, NULL,
			&c->failover_register_silence, &c->failover_refresh_silence,
			&c->failover_code},
		[PROXY_PRIMARY] = {NULL, &c->failback_keepalive_silence,
			&c->failback_keepalive_answer, &c->failback_register_silence,
			&c->failback_refresh_silence, &c->failback_code},
	};
	return counter[to][cause];
}

static void end_registration(struct shadow *p)
{
	p->old_call_id = p->call_id[0];
	p->old_cseq = p->t[DATAGRAM_REGISTER].cseq;
	p->fresh[0] = p->fresh[1] = true;
	p->misses = p->answers = 0;
	p->brief = p->again = false;
	p->min_expires_s = 0;
	p->credentialed = p->stales = 0;
}

/* SWITCH(other). */
static void switch_over(
	struct model *model, uint32_t phone, enum switch_cause cause, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++)
		drop(model, p, (enum datagram_kind)kind);
	end_registration(p);
	if (!p->switched)
		p->detect_ms = ms_of(now_us) - p->proof_ms;
	p->switched = true;
	p->active = !p->active;
	p->epoch++;
	enter(p, PHONE_SWITCHING, ms_of(now_us));
	if (cause == CAUSE_KEEPALIVE_ANSWER)
		p->permits |= PERMIT_UNREGISTER_OLD;
	++*switch_counter(model, p->active, cause);
	trace(model, &(struct trace){.now_us = now_us,
			     .phone = phone,
			     .what = TRACE_SWITCH,
			     .kind = DATAGRAM_OTHER,
			     .proxy = p->active,
			     .state = p->state});
}

static void wait_for_retry(
	struct model *model, struct shadow *p, uint32_t retry_after_s, uint32_t now_ms)
{
	drop(model, p, DATAGRAM_OPTIONS);
	if (p->state == PHONE_REGISTERED)
		p->switched = false;
	p->wait_ms = model->config.retry_ms;
	if (retry_after_s != DATAGRAM_ABSENT && (uint64_t)retry_after_s * 1000 > p->wait_ms)
		p->wait_ms = retry_after_s * 1000;
	p->credentialed = p->stales = 0;
	enter(p, PHONE_WAITING, now_ms);
}

static void options_silence(struct model *model, uint32_t phone, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	const struct redundancy_rules *rules = &model->config.redundancy;
	p->t[DATAGRAM_OPTIONS].open = false;
	count_finished(model, p->t[DATAGRAM_OPTIONS].proxy, false);
	p->answers = 0;
	if (p->misses < UINT8_MAX)
		p->misses++;
	if (!model->enabled || p->misses < rules->fail_threshold)
		return;
	if (rules->mode == MODE_ASYMMETRIC && p->active == PROXY_REDUNDANT)
		return;
	switch_over(model, phone, CAUSE_KEEPALIVE_SILENCE, now_us);
}

static void options_answer(struct model *model, uint32_t phone, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	const struct redundancy_rules *rules = &model->config.redundancy;
	p->t[DATAGRAM_OPTIONS].open = false;
	if (p->t[DATAGRAM_OPTIONS].proxy == p->active)
		proof(p, ms_of(now_us));
	p->misses = 0;
	if (!model->enabled || rules->mode != MODE_ASYMMETRIC || p->active != PROXY_REDUNDANT)
		return;
	if (++p->answers >= rules->success_threshold)
		switch_over(model, phone, CAUSE_KEEPALIVE_ANSWER, now_us);
}

static void register_silence(struct model *model, uint32_t phone, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	bool refresh = p->state == PHONE_REGISTERED;
	p->t[DATAGRAM_REGISTER].open = false;
	count_finished(model, p->t[DATAGRAM_REGISTER].proxy, false);
	if (model->enabled)
		switch_over(model, phone, refresh ? CAUSE_REFRESH_SILENCE : CAUSE_REGISTER_SILENCE,
			now_us);
	else
		wait_for_retry(model, p, DATAGRAM_ABSENT, ms_of(now_us));
}

static bool run_out(const struct transaction *t, uint32_t now_ms)
{
	return t->open && now_ms - t->first_ms >= t->limit_ms;
}

/* Timer F of whatever is in flight, up to and including this millisecond; the keep-alive's too? */
static void expire(struct model *model, uint32_t phone, uint64_t now_us, bool keepalive)
{
	struct shadow *p = &model->phone[phone];
	uint32_t now_ms = ms_of(now_us);
	struct transaction *t = p->t;
	if (run_out(&t[DATAGRAM_UNREGISTER], now_ms)) {
		t[DATAGRAM_UNREGISTER].open = false;
		model->seen.unregister_silent++;
	}
	if (run_out(&t[DATAGRAM_REGISTER], now_ms)) {
		model->seen.register_silent++;
		register_silence(model, phone, now_us);
	}
	if (keepalive && run_out(&t[DATAGRAM_OPTIONS], now_ms)) {
		model->seen.options_silent++;
		options_silence(model, phone, now_us);
	}
}

/* ---- answers ---- */

static bool code_in(uint16_t code, const uint16_t *codes, uint8_t count)
{
	for (uint8_t i = 0; i < count; i++)
		if (codes[i] == code)
			return true;
	return false;
}

static void registered(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	char contact[128];
	uint32_t granted, now_ms = ms_of(d->now_us);
	uint32_t asked = model->config.expires_s;
	if (p->min_expires_s > asked)
		asked = p->min_expires_s;
	model->source.contact(model->source.context, d->phone, d->proxy, contact, sizeof(contact));
	granted = datagram_granted(d, contact, asked);
	if (granted == DATAGRAM_ABSENT || granted == 0) {
		model->seen.register_useless++;
		wait_for_retry(model, p, DATAGRAM_ABSENT, now_ms);
		return;
	}
	model->seen.register_ok++;
	p->granted_s = granted;
	p->refreshed_ms = now_ms;
	p->credentialed = p->stales = 0;
	if (p->state != PHONE_REGISTERED)
		outage_ended(model, p, now_ms);
	proof(p, now_ms);
	if (p->state == PHONE_REGISTERED)
		return;
	p->tick_ms = now_ms;
	p->ticked = false;
	enter(p, PHONE_REGISTERED, now_ms);
}

static void register_final(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	const struct herd_config *config = &model->config;
	p->t[DATAGRAM_REGISTER].open = false;
	count_finished(model, d->proxy, true);
	if (d->status < 300) {
		registered(model, d);
		return;
	}
	if (d->status == 401 || d->status == 407) {
		model->seen.register_challenged++;
		p->permits |= PERMIT_AUTHENTICATE;
		d->stale ? p->stales++ : p->credentialed++;
		return;
	}
	if (d->status == 423) {
		model->seen.register_too_brief++;
		bool raises = d->min_expires != DATAGRAM_ABSENT &&
			      d->min_expires > config->expires_s;
		if (!p->brief && raises) {
			p->brief = true;
			p->permits |= PERMIT_BRIEF;
			p->min_expires_s = d->min_expires;
			return;
		}
	} else {
		model->seen.register_rejected++;
	}
	if (model->enabled && code_in(d->status, config->register_code, config->register_codes))
		switch_over(model, d->phone, CAUSE_CODE, d->now_us);
	else
		wait_for_retry(model, p, d->retry_after, ms_of(d->now_us));
}

static void options_response(struct model *model, const struct datagram *d)
{
	const struct herd_config *config = &model->config;
	if (code_in(d->status, config->keepalive_code, config->keepalive_codes)) {
		model->seen.options_fail_code++;
		options_silence(model, d->phone, d->now_us);
		return;
	}
	model->seen.options_answered++;
	count_finished(model, d->proxy, true);
	options_answer(model, d->phone, d->now_us);
}

static void unregister_final(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	p->t[DATAGRAM_UNREGISTER].open = false;
	if ((d->status == 401 || d->status == 407) && !p->again)
		p->permits |= PERMIT_UNREGISTER_AGAIN;
	else
		model->seen.unregister_done++;
}

static void response(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++) {
		struct transaction *t = &p->t[kind];
		if (!t->open || t->branch != d->branch || t->cseq != d->cseq)
			continue;
		if ((kind == DATAGRAM_OPTIONS) != (d->kind == DATAGRAM_OPTIONS))
			continue;
		if (d->proxy != t->proxy)
			break;
		model->matched++;
		trace_datagram(model, d, TRACE_RECEIVED);
		if (kind == DATAGRAM_OPTIONS) {
			options_response(model, d);
		} else if (d->status < 200) {
			t->provisional = kind == DATAGRAM_REGISTER;
		} else if (kind == DATAGRAM_REGISTER) {
			register_final(model, d);
		} else {
			unregister_final(model, d);
		}
		return;
	}
	model->unmatched++;
	trace_datagram(model, d, TRACE_LATE);
}

void model_receive(struct model *model, struct datagram *datagram)
{
	const uint64_t matched = model->matched;
	model->judged++;
	if (datagram->status == 0) {
		model_disturb(model, datagram->phone, datagram->now_us);
		return;
	}
	response(model, datagram);
	datagram->matched = model->matched != matched;
}

void model_disturb(struct model *model, uint32_t phone, uint64_t now_us)
{
	(void)now_us;
	model->phone[phone].permits |= PERMIT_ANSWER;
}

void model_unreachable(struct model *model, uint32_t phone, uint8_t proxy, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	model->seen.icmp_unreachable++;
	if (!model->config.icmp_fails)
		return;
	if (p->t[DATAGRAM_REGISTER].open && p->t[DATAGRAM_REGISTER].proxy == proxy) {
		model->seen.register_silent++;
		register_silence(model, phone, now_us);
	} else if (p->t[DATAGRAM_OPTIONS].open && p->t[DATAGRAM_OPTIONS].proxy == proxy) {
		model->seen.options_silent++;
		options_silence(model, phone, now_us);
	}
}

/* ---- commands ---- */

static void take_down(
	struct model *model, uint32_t phone, const struct herd_command *command, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	bool planned = command->kind == HERD_REBOOT || command->kind == HERD_STOP ||
		       command->kind == HERD_LIMIT;
	bool goodbye = p->state == PHONE_REGISTERED &&
		       ((planned && model->config.unregister) || command->kind == HERD_UNREGISTER);
	bool ends = planned || command->kind == HERD_RELEASE || command->kind == HERD_UNREGISTER;
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++)
		drop(model, p, (enum datagram_kind)kind);
	end_registration(p);
	if (goodbye)
		p->permits |= PERMIT_UNREGISTER;
	enter(p, PHONE_OFF, ms_of(now_us));
	p->restarting = !ends || command->kind == HERD_REBOOT;
	p->held = command->kind == HERD_UNREGISTER;
	p->unhurried = p->held;
	p->proven = p->switched = false;
	p->restart_ms = ms_of(now_us) + command->delay_ms;
	if (goodbye && command->delay_ms < UNREGISTER_WAIT_MS)
		p->restart_ms = ms_of(now_us) + UNREGISTER_WAIT_MS;
	trace(model, &(struct trace){.now_us = now_us,
			     .phone = phone,
			     .what = TRACE_COMMAND,
			     .kind = DATAGRAM_OTHER,
			     .proxy = p->active,
			     .state = p->state});
}

/* An operator's REBOOT or POWER_CUT of a phone that was unregistered. */
static void let_go(
	struct model *model, uint32_t phone, const struct herd_command *command, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	struct transaction *t = &p->t[DATAGRAM_UNREGISTER];
	const uint32_t now_ms = ms_of(now_us), waits_until_ms = now_ms + UNREGISTER_WAIT_MS;
	p->held = false;
	p->restarting = true;
	p->restart_ms = now_ms + command->delay_ms;
	if (command->kind == HERD_POWER_CUT)
		t->open = false;
	if (!t->open)
		return;
	if (time_before(waits_until_ms, t->first_ms + t->limit_ms))
		t->limit_ms = waits_until_ms - t->first_ms;
	model->source.look(
		model->source.context, phone, (uint64_t)(t->first_ms + t->limit_ms) * 1000 + 1);
	if (time_before(p->restart_ms, waits_until_ms))
		p->restart_ms = waits_until_ms;
}

/* To a phone that is off already. */
static void command_off(
	struct model *model, uint32_t phone, const struct herd_command *command, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	struct transaction *t = &p->t[DATAGRAM_UNREGISTER];
	switch (command->kind) {
	case HERD_UNREGISTER:
		p->held = true;
		p->restarting = false;
		break;
	case HERD_LIMIT:
		p->restarting = false;
		break;
	case HERD_REBOOT:
	case HERD_POWER_CUT:
		if (p->held && phone < model->limit)
			let_go(model, phone, command, now_us);
		break;
	case HERD_DISABLE_REDUNDANCY:
		if (t->proxy == PROXY_REDUNDANT)
			t->open = false;
		break;
	default:
		break;
	}
}

static void command_phone(
	struct model *model, uint32_t phone, const struct herd_command *command, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	/* A phone that the ramp has not reached or that is off already has nothing to end. */
	bool off = model->source.record(model->source.context, phone)->state == PHONE_OFF;
	bool ends = command->kind == HERD_STOP || command->kind == HERD_RELEASE;
	expire(model, phone, now_us, true);
	if (command->kind == HERD_RELEASE || command->kind == HERD_ADOPT)
		p->away = command->kind == HERD_RELEASE;
	if (command->kind == HERD_START || command->kind == HERD_ADOPT)
		return;
	if (p->away && !ends)
		return;
	if (command->kind == HERD_REREGISTER) {
		if ((p->state == PHONE_REGISTERED || p->state == PHONE_WAITING) &&
			!p->t[DATAGRAM_REGISTER].open)
			p->permits |= PERMIT_NOW;
		return;
	}
	if (!off && command->kind == HERD_DISABLE_REDUNDANCY)
		p->active = PROXY_PRIMARY;
	if (!off || ends)
		take_down(model, phone, command, now_us);
	else
		command_off(model, phone, command, now_us);
}

static void command_herd(struct model *model, const struct herd_command *command, uint64_t now_us)
{
	if (command->kind == HERD_START)
		model->started = true;
	if (command->kind == HERD_STOP)
		model->stopped = true;
	if (command->kind == HERD_DISABLE_REDUNDANCY)
		model->enabled = false;
	if (command->kind == HERD_LIMIT)
		model->limit = command->count;
	if (command->kind == HERD_PAUSE) {
		model->paused = command->count != 0;
		model->paused_ms = ms_of(now_us);
	}
}

void model_command(struct model *model, const struct herd_command *command, uint64_t now_us)
{
	uint32_t phones = model->config.fleet_phones, first = 0, count = phones;
	command_herd(model, command, now_us);
	if (command->kind == HERD_RAMP || command->kind == HERD_PAUSE)
		return;
	if (command->kind == HERD_REBOOT || command->kind == HERD_POWER_CUT ||
		command->kind == HERD_REREGISTER || command->kind == HERD_UNREGISTER) {
		first = command->first;
		count = command->count < phones - first ? command->count : phones - first;
	}
	if (command->kind == HERD_LIMIT) {
		first = command->count < phones ? command->count : phones;
		count = phones - first;
	}
	/* A power cut may be of a share of the phones. */
	const bool all = command->kind != HERD_POWER_CUT || command->impairment.share_ppm == 0;
	for (uint32_t i = first; i < first + count; i++)
		if (all || impairment_concerns(&command->impairment, i))
			command_phone(model, i, command, now_us);
}

/* ---- what phones send ---- */

static void retransmitted(struct model *model, struct datagram *d, struct transaction *t)
{
	struct shadow *p = &model->phone[d->phone];
	uint64_t *const counter[] = {&model->seen.register_retransmitted,
		&model->seen.options_retransmitted, &model->seen.unregister_retransmitted};
	int kind = (int)(t - p->t);
	d->retransmission = true;
	trace_datagram(model, d, TRACE_AGAIN);
	if (d->hash != t->hash)
		model_violated(model, d->phone, d->now_us,
			"a retransmitted %s differs from its original", kind_names[kind]);
	if (d->proxy != t->proxy)
		model_violated(model, d->phone, d->now_us,
			"a retransmitted %s went to the other proxy", kind_names[kind]);
	if (ms_of(d->now_us) != t->next_ms)
		model_violated(model, d->phone, d->now_us,
			"datagram %u of a %s left at %u ms, timer E says %u ms", t->tries + 1,
			kind_names[kind], ms_of(d->now_us), t->next_ms);
	if (++t->tries > model->tries_max)
		model_violated(model, d->phone, d->now_us, "datagram %u of one %s: more than %u",
			t->tries, kind_names[kind], model->tries_max);
	t->next_ms += transaction_interval_ms(&model->config.timers, t->tries, t->provisional);
	++*counter[kind];
}

static void open_transaction(struct model *model, const struct datagram *d, uint32_t limit_ms)
{
	struct shadow *p = &model->phone[d->phone];
	struct transaction *t = &p->t[d->kind];
	uint32_t now_ms = ms_of(d->now_us);
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++)
		if (p->t[kind].branch == d->branch)
			model_violated(model, d->phone, d->now_us,
				"a new %s has the branch of an earlier %s", kind_names[d->kind],
				kind_names[kind]);
	if (t->open)
		model_violated(model, d->phone, d->now_us,
			"invariant 1: a second %s while one is in flight", kind_names[d->kind]);
	*t = (struct transaction){.branch = d->branch,
		.hash = d->hash,
		.first_ms = now_ms,
		.next_ms = now_ms + transaction_interval_ms(&model->config.timers, 1, false),
		.limit_ms = limit_ms,
		.cseq = d->cseq,
		.tries = 1,
		.proxy = d->proxy,
		.open = true};
	model->source.look(
		model->source.context, d->phone, (uint64_t)(now_ms + limit_ms) * 1000 + 1);
}

/* Same Call-ID and CSeq + 1 within a registration, a new Call-ID at boot and at each switch. */
static void check_call(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	bool same = p->call_id[d->kind] == d->call_id;
	if (p->fresh[d->kind] && same)
		model_violated(model, d->phone, d->now_us,
			"the first %s after a boot or switch has the old Call-ID",
			kind_names[d->kind]);
	if (!p->fresh[d->kind] && !same)
		model_violated(model, d->phone, d->now_us, "a new Call-ID without boot or switch");
	if (!p->fresh[d->kind] && d->cseq != p->t[d->kind].cseq + 1)
		model_violated(model, d->phone, d->now_us, "CSeq %u follows %u", d->cseq,
			p->t[d->kind].cseq);
	p->call_id[d->kind] = d->call_id;
	p->fresh[d->kind] = false;
}

static void check_addressee(struct model *model, const struct datagram *d)
{
	const struct shadow *p = &model->phone[d->phone];
	bool symmetric = model->config.redundancy.mode == MODE_SYMMETRIC;
	if (!model->enabled && d->proxy == PROXY_REDUNDANT)
		model_violated(model, d->phone, d->now_us,
			"invariant 5: redundancy is off and a %s goes to the redundant proxy",
			kind_names[d->kind]);
	if (d->kind == DATAGRAM_OPTIONS && !symmetric && d->proxy == PROXY_REDUNDANT)
		model_violated(model, d->phone, d->now_us,
			"invariant 2: an asymmetric phone sends a keep-alive to the redundant "
			"proxy");
	if (model->enabled && symmetric && d->proxy != p->active && d->kind != DATAGRAM_UNREGISTER)
		model_violated(model, d->phone, d->now_us,
			"invariant 3: a symmetric phone sends a %s to the other proxy",
			kind_names[d->kind]);
	if (d->kind == DATAGRAM_REGISTER && d->proxy != p->active)
		model_violated(model, d->phone, d->now_us, "a REGISTER does not go to active");
}

static void check_boot(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	const struct phone *record = model->source.record(model->source.context, d->phone);
	bool expected = !p->away && !p->held && d->phone < model->limit &&
			(p->restarting || (model->started && !model->stopped));
	if (!expected)
		model_violated(model, d->phone, d->now_us, "a phone that is off sends a REGISTER");
	if (p->restarting && time_before(p->restart_ms, ms_of(d->now_us)))
		model_violated(model, d->phone, d->now_us, "a reboot took longer than it may");
	if (record->epoch == p->epoch)
		model_violated(model, d->phone, d->now_us, "a boot left the epoch as it was");
	/* Who waits for its Expires 0 was started before. */
	if (!p->restarting && model->paused &&
		ms_of(d->now_us) - model->paused_ms > UNREGISTER_WAIT_MS)
		model_violated(model, d->phone, d->now_us, "the ramp starts a phone in its pause");
	if (!model->enabled)
		p->active = PROXY_PRIMARY;
	p->epoch = record->epoch;
	p->restarting = false;
	model->seen.boots++;
}

static void check_pause(struct model *model, const struct datagram *d, uint32_t low, uint32_t high)
{
	const struct shadow *p = &model->phone[d->phone];
	uint32_t pause = ms_of(d->now_us) - p->since_ms;
	if (pause < low || pause > high + 1)
		model_violated(model, d->phone, d->now_us,
			"a REGISTER leaves %s after %u ms; %u to %u are right",
			phone_state_name(p->state), pause, low, high);
}

static void check_retry(struct model *model, const struct datagram *d)
{
	const struct shadow *p = &model->phone[d->phone];
	uint32_t high = model->config.backoff_rfc5626 ? INT32_MAX : p->wait_ms;
	check_pause(model, d, p->wait_ms, high);
}

struct range {
	uint64_t low, high;
};

/* When a refresh may leave after the 2xx: jitter both ways, but never so late that the binding has
 * less than a twentieth of its life left. */
static struct range refresh_range(const struct model *model, const struct shadow *p)
{
	uint64_t full = (uint64_t)p->granted_s * model->config.refresh_permille;
	uint64_t jitter = full * model->config.keepalive_jitter_percent / 100;
	uint64_t limit = (uint64_t)p->granted_s * 950;
	struct range range = {full - jitter, full + jitter};
	if (limit < full)
		limit = full;
	if (range.high > limit)
		range.high = limit;
	return range;
}

static void check_refresh(struct model *model, const struct datagram *d)
{
	const struct shadow *p = &model->phone[d->phone];
	struct range right = refresh_range(model, p);
	uint32_t after = ms_of(d->now_us) - p->refreshed_ms;
	if (after + 1 < right.low || after > right.high + 1)
		model_violated(model, d->phone, d->now_us,
			"a refresh leaves %u ms after the 2xx; %llu to %llu are right", after,
			(unsigned long long)right.low, (unsigned long long)right.high);
}

/* May this phone begin a REGISTER transaction now? Steps its state. */
static void permit_register(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	if (p->permits & PERMIT_AUTHENTICATE) {
		p->permits &= (uint8_t)~PERMIT_AUTHENTICATE;
		if (!d->credentials || p->credentialed > 3 || p->stales > STALE_MAX)
			model_violated(model, d->phone, d->now_us,
				"try %u (%u stale) of the credentials%s", p->credentialed,
				p->stales, d->credentials ? "" : ", and without any");
		return;
	}
	if (p->permits & PERMIT_BRIEF) {
		p->permits &= (uint8_t)~PERMIT_BRIEF;
		if (d->expires < p->min_expires_s)
			model_violated(model, d->phone, d->now_us,
				"Expires %u after Min-Expires %u", d->expires, p->min_expires_s);
		return;
	}
	if (p->permits & PERMIT_NOW) {
		p->permits &= (uint8_t)~PERMIT_NOW;
		if (p->state == PHONE_WAITING)
			enter(p, PHONE_REGISTERING, ms_of(d->now_us));
		return;
	}
	switch (p->state) {
	case PHONE_OFF:
		check_boot(model, d);
		break;
	case PHONE_SWITCHING:
		p->pause_ms = ms_of(d->now_us) - p->since_ms;
		p->planned_ms = ms_of(d->now_us);
		check_pause(model, d, 0,
			model->config.backoff_rfc5626 ? INT32_MAX : model->config.switch_delay_ms);
		break;
	case PHONE_WAITING:
		check_retry(model, d);
		break;
	case PHONE_REGISTERED:
		check_refresh(model, d);
		return;
	default:
		model_violated(model, d->phone, d->now_us, "nothing permits this REGISTER");
	}
	enter(p, PHONE_REGISTERING, ms_of(d->now_us));
}

static void permit_unregister(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	const uint8_t any = PERMIT_UNREGISTER | PERMIT_UNREGISTER_OLD | PERMIT_UNREGISTER_AGAIN;
	if (!(p->permits & any))
		model_violated(model, d->phone, d->now_us, "nothing permits this Expires 0");
	if ((p->permits & PERMIT_UNREGISTER_OLD) && d->proxy != PROXY_REDUNDANT)
		model_violated(model, d->phone, d->now_us,
			"failing back, the Expires 0 does not go to the redundant proxy");
	p->again = p->permits & PERMIT_UNREGISTER_AGAIN;
	p->permits &= (uint8_t)~any;
	if (d->call_id != p->old_call_id || d->cseq <= p->old_cseq)
		model_violated(model, d->phone, d->now_us,
			"an Expires 0 continues no registration (CSeq %u after %u)", d->cseq,
			p->old_cseq);
	p->old_cseq = d->cseq;
}

/* The grid begins at the 2xx and has one point per period. */
static void permit_options(struct model *model, const struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	const struct herd_config *config = &model->config;
	uint32_t period = config->keepalive_period_ms, now_ms = ms_of(d->now_us);
	uint32_t jitter = (uint32_t)((uint64_t)period * config->keepalive_jitter_percent / 100);
	uint32_t after = now_ms - p->tick_ms;
	if (p->state != PHONE_REGISTERED || period == 0)
		model_violated(model, d->phone, d->now_us, "nothing permits this OPTIONS");
	if (!p->ticked && config->keepalive_first != KEEPALIVE_FIRST_PERIOD) {
		uint32_t limit = config->keepalive_first == KEEPALIVE_FIRST_SPREAD ? period : 0;
		if (after > limit + 1)
			model_violated(model, d->phone, d->now_us,
				"the first keep-alive left %u ms after the 2xx", after);
	} else if (jitter == 0 && (after == 0 || after % period != 0)) {
		model_violated(
			model, d->phone, d->now_us, "%u ms after the last: not on the grid", after);
	} else if (after + 1 < period - jitter) {
		model_violated(model, d->phone, d->now_us, "only %u ms after the last", after);
	}
	/* The grid's first point may lie in the millisecond before. */
	if (!p->ticked && jitter == 0) {
		const struct phone *r = model->source.record(model->source.context, d->phone);
		now_ms = r->keepalive_due_ms - period;
		if (ms_of(d->now_us) - now_ms > 1)
			model_violated(model, d->phone, d->now_us, "the grid is %u ms off",
				ms_of(d->now_us) - now_ms);
	}
	p->ticked = true;
	p->tick_ms = now_ms;
}

/* How long an Expires 0 is worth waiting for: a reboot waits at most 1 s, a second try with
 * credentials has what the first left. */
static uint32_t unregister_limit(const struct model *model, const struct datagram *d)
{
	const struct shadow *p = &model->phone[d->phone];
	const struct transaction *t = &p->t[DATAGRAM_UNREGISTER];
	uint32_t limit_ms = model->config.timers.no_response_ms;
	if (p->permits & PERMIT_UNREGISTER_AGAIN)
		return t->first_ms + t->limit_ms - ms_of(d->now_us);
	if (p->permits & PERMIT_UNREGISTER && !p->unhurried && limit_ms > UNREGISTER_WAIT_MS)
		return UNREGISTER_WAIT_MS;
	return limit_ms;
}

static void began(struct model *model, struct datagram *d)
{
	struct shadow *p = &model->phone[d->phone];
	uint32_t limit_ms = model->config.timers.no_response_ms;
	trace_datagram(model, d, TRACE_SENT);
	switch (d->kind) {
	case DATAGRAM_REGISTER:
		permit_register(model, d);
		check_call(model, d);
		model->seen.register_sent++;
		break;
	case DATAGRAM_OPTIONS:
		permit_options(model, d);
		check_call(model, d);
		model->seen.options_sent++;
		break;
	default:
		limit_ms = unregister_limit(model, d);
		permit_unregister(model, d);
		model->seen.unregister_sent++;
	}
	check_addressee(model, d);
	open_transaction(model, d, limit_ms);
	if (p->t[DATAGRAM_REGISTER].open && p->t[DATAGRAM_UNREGISTER].open &&
		p->t[DATAGRAM_REGISTER].proxy == p->t[DATAGRAM_UNREGISTER].proxy)
		model_violated(model, d->phone, d->now_us,
			"invariant 1: two REGISTERs in flight to the same registrar");
}

void model_sent(struct model *model, struct datagram *datagram)
{
	struct shadow *p = &model->phone[datagram->phone];
	model->judged++;
	if (datagram->status != 0) {
		if (!(p->permits & PERMIT_ANSWER))
			model_violated(model, datagram->phone, datagram->now_us,
				"an answer that nobody asked for");
		p->permits &= (uint8_t)~PERMIT_ANSWER;
		return;
	}
	if (datagram->kind == DATAGRAM_OTHER)
		model_violated(model, datagram->phone, datagram->now_us, "a phone sends %.*s",
			(int)datagram->first_line.length, datagram->first_line.text);
	/* What falls on one millisecond may happen in either order: a retransmission, or a refresh,
	 * may still go to the proxy that the same millisecond gives up. */
	struct transaction *t = &p->t[datagram->kind];
	bool again = t->open && t->branch == datagram->branch;
	bool refresh = datagram->kind == DATAGRAM_REGISTER && p->state == PHONE_REGISTERED &&
		       datagram->proxy == p->active;
	if (!again || run_out(t, ms_of(datagram->now_us)))
		expire(model, datagram->phone, datagram->now_us, !refresh);
	if (t->open && t->branch == datagram->branch)
		retransmitted(model, datagram, t);
	else
		began(model, datagram);
}

/* ---- the record ---- */

static void settle_permits(struct model *model, uint32_t phone, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	/* A challenge that was not answered: no tries left, no password, no algorithm we know. */
	if (p->permits & PERMIT_AUTHENTICATE) {
		model->seen.register_auth_failed++;
		wait_for_retry(model, p, DATAGRAM_ABSENT, ms_of(now_us));
	}
	if (p->permits & PERMIT_BRIEF)
		model_violated(model, phone, now_us, "the first 423 was not answered");
	if (p->permits & PERMIT_UNREGISTER_OLD)
		model_violated(model, phone, now_us, "failed back without an Expires 0");
	if (p->permits & PERMIT_UNREGISTER)
		model_violated(model, phone, now_us, "a planned end without an Expires 0");
	if (p->permits & PERMIT_UNREGISTER_AGAIN)
		model->seen.unregister_done++;
	if (p->permits & PERMIT_NOW)
		model_violated(model, phone, now_us, "asked to register again, and did not");
	p->permits = 0;
}

static bool same_state(const struct shadow *p, const struct phone *r)
{
	if (p->state == PHONE_OFF)
		return r->state == PHONE_OFF || r->state == PHONE_BOOT;
	return p->state == r->state;
}

void model_verify(struct model *model, uint32_t phone, uint64_t now_us)
{
	struct shadow *p = &model->phone[phone];
	const struct phone *r = model->source.record(model->source.context, phone);
	model->judged++;
	expire(model, phone, now_us, true);
	settle_permits(model, phone, now_us);
	if (!same_state(p, r))
		model_violated(model, phone, now_us, "state is %s and must be %s",
			phone_state_name(r->state), phone_state_name(p->state));
	/* A phone that was off when redundancy was turned off learns of it when it is powered on. */
	if (!model->enabled && r->state == PHONE_BOOT)
		p->active = PROXY_PRIMARY;
	/* Before its first boot a phone has not recalled anything. */
	if (r->epoch != 0 && !p->away && p->active != phone_active(r))
		model_violated(model, phone, now_us, "invariant 4: active is %s without a switch",
			proxy_name(phone_active(r)));
	if (p->state != PHONE_OFF && p->epoch != r->epoch)
		model_violated(
			model, phone, now_us, "epoch is %u and must be %u", r->epoch, p->epoch);
	if (p->misses != r->misses || p->answers != r->answers)
		model_violated(model, phone, now_us, "%u misses, %u answers; right are %u and %u",
			r->misses, r->answers, p->misses, p->answers);
	if (p->t[DATAGRAM_OPTIONS].open != !!(r->flags & PHONE_KEEPALIVE_PENDING) ||
		p->t[DATAGRAM_REGISTER].open != !!(r->flags & PHONE_REGISTER_PENDING) ||
		p->t[DATAGRAM_UNREGISTER].open != !!(r->flags & PHONE_UNREGISTER_PENDING))
		model_violated(model, phone, now_us, "the record is wrong about what is in flight");
}

/* ---- all phones ---- */

/* What the phone must have done by now and has not. */
static const char *overdue(const struct model *model, const struct shadow *p, uint32_t now_ms)
{
	const struct herd_config *config = &model->config;
	uint32_t since = now_ms - p->since_ms;
	uint64_t period = config->keepalive_period_ms;
	switch (p->state) {
	case PHONE_OFF:
		return p->restarting && time_before(p->restart_ms, now_ms) ? "restart" : NULL;
	case PHONE_REGISTERING:
		return p->t[DATAGRAM_REGISTER].open ? NULL : "REGISTER";
	case PHONE_SWITCHING:
		return !config->backoff_rfc5626 && since > config->switch_delay_ms + 1
			       ? "end of the switch"
			       : NULL;
	case PHONE_WAITING:
		return !config->backoff_rfc5626 && since > p->wait_ms + 1 ? "retry" : NULL;
	default:
		break;
	}
	if (!p->t[DATAGRAM_REGISTER].open &&
		now_ms - p->refreshed_ms > refresh_range(model, p).high + 1)
		return "refresh";
	period += period * config->keepalive_jitter_percent / 100;
	if (period > 0 && now_ms - p->tick_ms > 2 * period + config->timers.no_response_ms + 1)
		return "keep-alive";
	for (int kind = 0; kind < DATAGRAM_TRANSACTIONS; kind++)
		if (p->t[kind].open && time_before(p->t[kind].next_ms, now_ms) &&
			now_ms - p->t[kind].first_ms < p->t[kind].limit_ms)
			return "retransmission";
	return NULL;
}

void model_sweep(struct model *model, uint64_t now_us)
{
	for (uint32_t i = 0; i < model->config.fleet_phones; i++) {
		model_verify(model, i, now_us);
		const char *late = overdue(model, &model->phone[i], ms_of(now_us));
		if (late)
			model_violated(model, i, now_us, "a %s is overdue", late);
	}
}

struct counted {
	const char *name;
	size_t at;
};
#define COUNTED(name)                                       \
	{                                                   \
#name, offsetof(struct herd_counters, name) \
	}

void model_count(struct model *model, const struct herd_counters *counters, uint64_t now_us)
{
	static const struct counted counted[] = {COUNTED(register_sent),
		COUNTED(register_retransmitted), COUNTED(register_ok), COUNTED(register_useless),
		COUNTED(register_challenged), COUNTED(register_auth_failed),
		COUNTED(register_too_brief), COUNTED(register_rejected), COUNTED(register_silent),
		COUNTED(unregister_sent), COUNTED(unregister_retransmitted), COUNTED(options_sent),
		COUNTED(options_retransmitted), COUNTED(options_answered),
		COUNTED(options_fail_code), COUNTED(options_silent), COUNTED(options_abandoned),
		COUNTED(register_abandoned), COUNTED(failover_keepalive_silence),
		COUNTED(failover_register_silence), COUNTED(failover_refresh_silence),
		COUNTED(failover_code), COUNTED(failback_keepalive_answer),
		COUNTED(failback_keepalive_silence), COUNTED(failback_register_silence),
		COUNTED(failback_refresh_silence), COUNTED(failback_code),
		COUNTED(icmp_unreachable), COUNTED(not_sent), COUNTED(unregister_done),
		COUNTED(unregister_silent), COUNTED(timer_late), COUNTED(answered_primary),
		COUNTED(answered_redundant), COUNTED(silent_primary), COUNTED(silent_redundant)};
	uint64_t taken = counters->responses_1xx + counters->responses_2xx +
			 counters->responses_3xx + counters->responses_4xx +
			 counters->responses_5xx + counters->responses_6xx;
	uint64_t refused = counters->response_late + counters->response_old_epoch +
			   counters->response_foreign + counters->response_mismatch;
	if (taken != model->matched || refused != model->unmatched)
		model_violated(model, UINT32_MAX, now_us,
			"the herd took %llu responses and refused %llu; right are %llu and %llu",
			(unsigned long long)taken, (unsigned long long)refused,
			(unsigned long long)model->matched, (unsigned long long)model->unmatched);
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		uint64_t herd, seen;
		memcpy(&herd, (const char *)counters + counted[i].at, sizeof(herd));
		memcpy(&seen, (const char *)&model->seen + counted[i].at, sizeof(seen));
		if (herd != seen)
			model_violated(model, UINT32_MAX, now_us,
				"the herd counts %s %llu, seen were %llu", counted[i].name,
				(unsigned long long)herd, (unsigned long long)seen);
	}
}

void model_durations(struct model *model, const struct herd_histograms *histograms, uint64_t now_us)
{
	for (int p = 0; p < PROXIES; p++) {
		for (int phase = 0; phase < FAILOVER_PHASES; phase++) {
			const struct histogram *herd = &histograms->duration_ms[p][phase];
			const struct histogram *seen = &model->duration_ms[p][phase];
			if (memcmp(herd, seen, sizeof(*herd)) == 0)
				continue;
			model_violated(model, UINT32_MAX, now_us,
				"%s of %s: the herd tells %llu, %llu ms in all; seen were %llu, "
				"%llu ms",
				failover_phase_name((enum failover_phase)phase),
				proxy_name((enum proxy)p), (unsigned long long)herd->count,
				(unsigned long long)herd->sum, (unsigned long long)seen->count,
				(unsigned long long)seen->sum);
		}
	}
}

uint8_t model_registered_at(const struct model *model, uint32_t phone)
{
	const struct shadow *p = &model->phone[phone];
	return p->state == PHONE_REGISTERED ? p->active : PROXIES;
}

unsigned model_open(const struct model *model, uint32_t phone)
{
	const struct shadow *p = &model->phone[phone];
	return p->t[0].open + p->t[1].open + p->t[2].open;
}

uint64_t model_judged(const struct model *model)
{
	return model->judged;
}

uint64_t model_memory(const struct model *model)
{
	return sizeof(*model) + (uint64_t)model->config.fleet_phones * sizeof(struct shadow) +
	       (model->trace_mask + 1ull) * sizeof(struct trace);
}
