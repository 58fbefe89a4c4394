/* SPDX-License-Identifier: BSD-3-Clause */
#include "drill_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct drill_log *log_create(const struct herd_config *herd)
{
	struct drill_log *log = calloc(1, sizeof(*log));
	assert_non_null(log);
	log->phones = herd->fleet_phones;
	log->no_response_us = herd->timers.no_response_ms * 1000ull;
	log->symmetric = herd->redundancy.mode == MODE_SYMMETRIC;
	log->phone = calloc(log->phones, sizeof(log->phone[0]));
	assert_non_null(log->phone);
	return log;
}

void log_free(struct drill_log *log)
{
	for (int i = 0; i < DRILL_WAVES_MAX; i++)
		free(log->wave[i].phone);
	free(log->phone);
	free(log);
}

static struct log_step *step_at(struct drill_log *log, uint64_t now_us, uint8_t proxy)
{
	assert_in_range(now_us / 100000, 0, LOG_STEPS - 1);
	return &log->step[now_us / 100000][proxy];
}

/* --- What a phone must have thought --- */

static void leaves(struct drill_log *log, uint32_t i, uint64_t at_us)
{
	for (int w = 0; w < DRILL_WAVES_MAX; w++) {
		struct log_wave *wave = &log->wave[w];
		if (wave->open && wave->phone[i].concerned && log->phone[i].registered != 0 &&
			wave->phone[i].detect_ms == LOG_NEVER)
			wave->phone[i].detect_ms = (uint32_t)((at_us - wave->begin_us) / 1000);
	}
	log->phone[i].registered = 0;
}

static void switches(struct drill_log *log, uint32_t i, uint64_t at_us)
{
	struct log_phone *p = &log->phone[i];
	leaves(log, i, at_us);
	p->options_open = p->register_open = p->challenged = false;
	p->switched = true;
	for (int w = 0; w < DRILL_WAVES_MAX; w++)
		if (log->wave[w].open)
			log->wave[w].phone[i].switches++;
}

/* Timers that have run out until then. */
static void expire(struct drill_log *log, uint32_t i, uint64_t now_us)
{
	struct log_phone *p = &log->phone[i];
	const uint64_t options_us = p->options_us + log->no_response_us;
	const uint64_t register_us = p->register_us + log->no_response_us;
	const bool options = p->options_open && options_us <= now_us;
	const bool registers = p->register_open && register_us <= now_us;
	if (registers && !(options && options_us < register_us)) {
		switches(log, i, register_us);
	} else if (options) {
		p->options_open = false;
		if (log->symmetric || p->registered == 1 + PROXY_PRIMARY)
			switches(log, i, options_us);
		if (registers && p->register_open)
			switches(log, i, register_us);
	}
}

/* --- Datagrams --- */

static bool leads_on(const struct drill_wave *wave, uint8_t proxy)
{
	if (wave->kind == WAVE_RESCUE)
		return proxy == wave->to;
	if (wave->kind == WAVE_FAIL_OVER || wave->kind == WAVE_FAIL_BACK)
		return proxy != wave->from;
	return true;
}

static bool is_away(const struct log_wave *wave, const struct log_moments *m)
{
	return wave->open && m->concerned &&
	       (m->detect_ms != LOG_NEVER || wave->what.kind == WAVE_RESCUE);
}

static void registers(struct drill_log *log, const struct datagram *d)
{
	struct log_phone *p = &log->phone[d->phone];
	/* Until it is registered for the first time since power-on, all of it is its start. */
	if (p->switched && p->reason != LOG_INITIAL)
		p->reason = d->proxy == PROXY_REDUNDANT ? LOG_FAILOVER : LOG_FAILBACK;
	p->switched = false;
	step_at(log, d->now_us, d->proxy)->offered[p->reason]++;
	for (int w = 0; w < DRILL_WAVES_MAX; w++) {
		struct log_wave *wave = &log->wave[w];
		struct log_moments *m = wave->open ? &wave->phone[d->phone] : NULL;
		if (m != NULL && is_away(wave, m) && m->register_ms == LOG_NEVER &&
			p->registered == 0 && leads_on(&wave->what, d->proxy))
			m->register_ms = (uint32_t)((d->now_us - wave->begin_us) / 1000);
	}
}

static void sent_register(struct drill_log *log, const struct datagram *d)
{
	struct log_phone *p = &log->phone[d->phone];
	struct log_step *step = step_at(log, d->now_us, d->proxy);
	step->register_datagrams++;
	step->register_retransmitted += d->retransmission;
	if (d->retransmission)
		return;
	/* With credentials it is the same registration. */
	if (!p->challenged)
		registers(log, d);
	p->on = true;
	p->challenged = false;
	p->register_open = true;
	p->register_us = d->now_us;
	p->register_branch = d->branch;
	p->register_proxy = d->proxy;
}

void log_sent(void *context, const struct datagram *d)
{
	struct drill_log *log = context;
	struct log_phone *p = &log->phone[d->phone];
	/* A refresh may be due in the very millisecond in which a keep-alive has been silent. */
	const bool refresh = d->kind == DATAGRAM_REGISTER && p->registered == 1 + d->proxy;
	expire(log, d->phone, refresh ? d->now_us - 1 : d->now_us);
	if (d->kind == DATAGRAM_REGISTER) {
		sent_register(log, d);
	} else if (d->kind == DATAGRAM_OPTIONS) {
		struct log_step *step = step_at(log, d->now_us, d->proxy);
		step->options_datagrams++;
		step->options_retransmitted += d->retransmission;
		step->options += !d->retransmission;
		if (d->retransmission)
			return;
		p->options_open = true;
		p->options_us = d->now_us;
		p->options_branch = d->branch;
	}
}

static void accepted(struct drill_log *log, const struct datagram *d)
{
	struct log_phone *p = &log->phone[d->phone];
	step_at(log, d->now_us, d->proxy)->accepted[p->reason]++;
	for (int w = 0; w < DRILL_WAVES_MAX; w++) {
		struct log_wave *wave = &log->wave[w];
		struct log_moments *m = wave->open ? &wave->phone[d->phone] : NULL;
		const bool right = wave->what.kind != WAVE_FAIL_BACK || d->proxy == wave->what.to;
		if (m != NULL && is_away(wave, m) && m->back_ms == LOG_NEVER &&
			p->registered == 0 && right)
			m->back_ms = (uint32_t)((d->now_us - wave->begin_us) / 1000);
	}
	p->registered = (uint8_t)(1 + d->proxy);
	p->reason = LOG_REFRESH;
}

void log_received(void *context, const struct datagram *d)
{
	struct drill_log *log = context;
	struct log_phone *p = &log->phone[d->phone];
	if (d->status == 0)
		return;
	/* What was held back is read before timers of the same millisecond. */
	expire(log, d->phone, d->now_us - 1);
	if (p->options_open && d->branch == p->options_branch) {
		p->options_open = false;
		step_at(log, d->now_us, d->proxy)->options_answered++;
		if (!log->symmetric && p->registered == 1 + PROXY_REDUNDANT)
			switches(log, d->phone, d->now_us);
	} else if (p->register_open && d->branch == p->register_branch) {
		p->register_open = false;
		if (d->status == 401) {
			p->challenged = true;
			step_at(log, d->now_us, d->proxy)->challenged++;
		} else if (d->status / 100 == 2) {
			accepted(log, d);
		} else {
			leaves(log, d->phone, d->now_us);
			p->options_open = false;
		}
	}
}

/* --- What the drill does --- */

void log_power_cut(struct drill_log *log, const struct herd_command *command, uint64_t now_us)
{
	for (uint32_t i = 0; i < log->phones; i++) {
		struct log_phone *p = &log->phone[i];
		if (!impairment_concerns(&command->impairment, i))
			continue;
		expire(log, i, now_us - 1);
		leaves(log, i, now_us);
		*p = (struct log_phone){.reason = LOG_INITIAL};
	}
}

static bool is_concerned(const struct log_phone *p, const struct drill_wave *wave)
{
	if (wave->kind == WAVE_RESCUE)
		return p->registered == 0 && p->on;
	return p->registered != 0 && (wave->from == PROXIES || p->registered == 1 + wave->from);
}

void log_wave_begin(
	struct drill_log *log, uint32_t index, const struct drill_wave *what, uint64_t now_us)
{
	struct log_wave *wave = &log->wave[index];
	const struct impairment share = {.share_ppm = what->share_ppm};
	wave->what = *what;
	wave->begin_us = now_us;
	wave->phone = malloc(log->phones * sizeof(wave->phone[0]));
	assert_non_null(wave->phone);
	for (uint32_t i = 0; i < log->phones; i++) {
		struct log_phone *p = &log->phone[i];
		struct log_moments *m = &wave->phone[i];
		expire(log, i, now_us - 1);
		*m = (struct log_moments){.detect_ms = LOG_NEVER,
			.register_ms = LOG_NEVER,
			.back_ms = LOG_NEVER,
			.concerned = impairment_concerns(&share, i) && is_concerned(p, what)};
		if (what->kind == WAVE_RESCUE && p->register_proxy == what->to &&
			(p->register_open || p->challenged))
			m->register_ms = 0;
	}
	wave->open = true;
}

void log_wave_end(struct drill_log *log, uint32_t index, uint64_t now_us)
{
	struct log_wave *wave = &log->wave[index];
	for (uint32_t i = 0; i < log->phones; i++) {
		expire(log, i, now_us - 1);
		wave->phone[i].end = log->phone[i].registered;
	}
	wave->end_us = now_us;
	wave->open = false;
}
