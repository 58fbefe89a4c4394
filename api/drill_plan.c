/* SPDX-License-Identifier: BSD-3-Clause */
/* From what is asked to steps and waves at fixed times. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drill_internal.h"

/* A plan being written: `at_ms` is where it stands. */
struct pen {
	struct drill_plan *plan;
	const struct drill_fleet *fleet;
	const struct drill_times *times;
	const struct drill_request *request;
	uint64_t at_ms;
	bool full; /* a step or wave found no room */
};

static const struct impairment healthy;

static struct drill_step *add_step(struct pen *pen, enum drill_act act, enum proxy proxy,
	bool restores, const char *format, ...) __attribute__((format(printf, 5, 6)));

static struct drill_step *add_step(struct pen *pen, enum drill_act act, enum proxy proxy,
	bool restores, const char *format, ...)
{
	struct drill_plan *plan = pen->plan;
	va_list arguments;
	if (plan->steps == DRILL_STEPS_MAX) {
		pen->full = true;
		plan->steps--;
	}
	struct drill_step *step = &plan->step[plan->steps++];
	*step = (struct drill_step){
		.at_ms = pen->at_ms, .act = act, .proxy = proxy, .restores = restores};
	va_start(arguments, format);
	vsnprintf(step->text, sizeof(step->text), format, arguments);
	va_end(arguments);
	return step;
}

static bool has_wave(const struct drill_plan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->waves; i++) {
		if (strcmp(plan->wave[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The first of a name has it as it is, the second is "fail-over-2". */
static void name_wave(const struct drill_plan *plan, struct drill_wave *wave, const char *name)
{
	snprintf(wave->name, sizeof(wave->name), "%s", name);
	for (unsigned n = 2; has_wave(plan, wave->name); n++)
		snprintf(wave->name, sizeof(wave->name), "%s-%u", name, n);
}

/* Begins with the next step that is added. */
static struct drill_wave *add_wave(
	struct pen *pen, uint64_t lasts_ms, const char *name, const struct drill_wave *what)
{
	struct drill_plan *plan = pen->plan;
	if (plan->waves == DRILL_WAVES_MAX) {
		pen->full = true;
		plan->waves--;
	}
	struct drill_wave *wave = &plan->wave[plan->waves];
	*wave = *what;
	wave->step = plan->steps;
	wave->until_ms = pen->at_ms + lasts_ms;
	wave->share_ppm = pen->request->share_ppm;
	name_wave(plan, wave, name);
	plan->waves++;
	return wave;
}

static const char *share_text(const struct drill_request *request, char out[48])
{
	if (request->share_ppm == IMPAIRMENT_ALL_PPM)
		snprintf(out, 48, "all phones");
	else
		snprintf(out, 48, "%.6g %% of the phones", request->share_ppm / 1e4);
	return out;
}

/* ---- waves ---- */

static void watch(
	struct pen *pen, uint64_t lasts_ms, const char *name, uint8_t from, const char *text)
{
	struct drill_wave *wave = add_wave(
		pen, lasts_ms, name, &(struct drill_wave){WAVE_WATCH, from, from});
	snprintf(wave->text, sizeof(wave->text), "%s", text);
}

/* `proxy` fails: those who are there leave it. */
static void wave_leaves(struct pen *pen, enum proxy proxy, uint64_t lasts_ms, const char *name)
{
	if (!drill_is_used(pen->fleet, proxy)) {
		watch(pen, lasts_ms, name, PROXY_PRIMARY,
			"nobody need move: asymmetric phones are at the primary proxy");
		return;
	}
	struct drill_wave *wave = add_wave(pen, lasts_ms, name,
		&(struct drill_wave){WAVE_FAIL_OVER, proxy, drill_other(proxy)});
	snprintf(wave->text, sizeof(wave->text), "phones leave the %s proxy for the %s one",
		proxy_name(proxy), proxy_name(drill_other(proxy)));
}

/* `proxy` serves again, after it has been silent for so long (0: it was not). */
static void wave_returns(
	struct pen *pen, enum proxy proxy, uint64_t silent_ms, uint64_t lasts_ms, const char *name)
{
	if (!drill_fails_back(pen->fleet, proxy)) {
		watch(pen, lasts_ms, name, drill_is_symmetric(pen->fleet) ? PROXIES : PROXY_PRIMARY,
			"nobody need move: phones stay where they are");
		return;
	}
	struct drill_wave *wave = add_wave(
		pen, lasts_ms, name, &(struct drill_wave){WAVE_FAIL_BACK, PROXY_REDUNDANT, proxy});
	wave->silent_ms = silent_ms;
	snprintf(wave->text, sizeof(wave->text), "phones return to the primary proxy");
}

static void wave_rescues(struct pen *pen, enum proxy proxy, uint64_t silent_ms, uint64_t lasts_ms,
	const char *name, const char *text)
{
	struct drill_wave *wave = add_wave(
		pen, lasts_ms, name, &(struct drill_wave){WAVE_RESCUE, PROXIES, proxy});
	wave->silent_ms = silent_ms;
	snprintf(wave->text, sizeof(wave->text), "%s", text);
}

/* ---- steps ---- */

static void silence(struct pen *pen, enum proxy proxy)
{
	char share[48];
	struct drill_step *step = add_step(pen, DRILL_ACT_IMPAIR, proxy, false,
		"the %s proxy falls silent for %s", proxy_name(proxy),
		share_text(pen->request, share));
	step->impairment = (struct impairment){
		.share_ppm = pen->request->share_ppm, .loss_ppm = IMPAIRMENT_ALL_PPM};
}

static void heal(struct pen *pen, enum proxy proxy)
{
	add_step(pen, DRILL_ACT_IMPAIR, proxy, true, "the %s proxy serves again", proxy_name(proxy))
		->impairment = healthy;
}

static void run_hook(struct pen *pen, enum proxy proxy)
{
	struct drill_step *step = add_step(pen, DRILL_ACT_HOOK, proxy, false,
		"hook %s is run against the %s proxy", pen->request->hook, proxy_name(proxy));
	memcpy(step->hook, pen->request->hook, sizeof(step->hook));
}

static void undo_hook(struct pen *pen, enum proxy proxy)
{
	struct drill_step *step = add_step(
		pen, DRILL_ACT_UNDO, proxy, true, "hook %s is undone", pen->request->hook);
	memcpy(step->hook, pen->request->hook, sizeof(step->hook));
}

static bool by_hook(const struct pen *pen)
{
	return pen->request->given & DRILL_BIT(DRILL_HOOK);
}

static void take_away(struct pen *pen, enum proxy proxy)
{
	if (by_hook(pen))
		run_hook(pen, proxy);
	else
		silence(pen, proxy);
}

static void give_back(struct pen *pen, enum proxy proxy)
{
	if (by_hook(pen))
		undo_hook(pen, proxy);
	else
		heal(pen, proxy);
}

static void drain(struct pen *pen, enum proxy proxy)
{
	const uint32_t after = pen->request->retry_after_s;
	if (by_hook(pen)) {
		run_hook(pen, proxy);
		return;
	}
	struct drill_step *step = add_step(pen, DRILL_ACT_FAULTS, proxy, false,
		after > 0 ? "the %s proxy drains: 503 with Retry-After %u"
			  : "the %s proxy drains: 503",
		proxy_name(proxy), after);
	step->faults = (struct registrar_faults){.draining = true, .retry_after_s = after};
}

static void end_drain(struct pen *pen, enum proxy proxy)
{
	if (by_hook(pen))
		undo_hook(pen, proxy);
	else
		add_step(pen, DRILL_ACT_FAULTS, proxy, true, "the %s proxy drains no longer",
			proxy_name(proxy));
}

/* ---- drills ---- */

static void plan_crash(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy proxy = (enum proxy)r->proxy;
	wave_leaves(pen, proxy, r->hold_ms, "fail-over");
	take_away(pen, proxy);
	pen->at_ms += r->hold_ms;
	wave_returns(pen, proxy, r->hold_ms, r->settle_ms,
		drill_fails_back(pen->fleet, proxy) ? "fail-back" : "return");
	give_back(pen, proxy);
	pen->at_ms += r->settle_ms;
}

static void plan_both(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy first = (enum proxy)r->proxy, second = drill_other(first);
	const uint64_t rescue_ms = drill_margin_ms(pen->times->rescue_ms);
	watch(pen, r->hold_ms, "outage", PROXIES,
		"both proxies are silent, phones try them in turn");
	silence(pen, PROXY_PRIMARY);
	silence(pen, PROXY_REDUNDANT);
	pen->at_ms += r->hold_ms;
	/* Where phones go on to the other one, the last have probed it for a whole cycle by then. */
	const uint64_t alone_ms = drill_fails_back(pen->fleet, second)
					  ? rescue_ms + pen->times->period_ms + pen->times->cycle_ms
					  : rescue_ms;
	wave_rescues(pen, first, r->hold_ms, alone_ms, "rescue",
		"phones that are registered nowhere find the one proxy that serves");
	heal(pen, first);
	pen->at_ms += alone_ms;
	wave_returns(pen, second, r->hold_ms + alone_ms, r->settle_ms,
		drill_fails_back(pen->fleet, second) ? "fail-back" : "return");
	heal(pen, second);
	pen->at_ms += r->settle_ms;
}

/* What a hook makes the proxy answer, and when, nobody here knows. */
static void wave_drains(struct pen *pen, enum proxy proxy, uint64_t lasts_ms, const char *name)
{
	const bool leave = pen->times->leave_ms > 0;
	if (!drill_is_used(pen->fleet, proxy) || (leave && !by_hook(pen)))
		wave_leaves(pen, proxy, lasts_ms, name);
	else
		watch(pen, lasts_ms, name, proxy,
			leave ? "who leaves a proxy that is drained"
			      : "phones stay until their refresh is refused, 503 to a keep-alive "
				"is "
				"an answer");
}

static void plan_drain(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy proxy = (enum proxy)r->proxy;
	wave_drains(pen, proxy, r->hold_ms, "drain");
	drain(pen, proxy);
	pen->at_ms += r->hold_ms;
	if (pen->times->leave_ms > 0 || !drill_is_used(pen->fleet, proxy))
		wave_returns(pen, proxy, 0, r->settle_ms, "drained");
	else
		wave_rescues(pen, proxy, 0, r->settle_ms, "drained",
			"phones that were refused register again");
	end_drain(pen, proxy);
	pen->at_ms += r->settle_ms;
}

static void plan_flap(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy proxy = (enum proxy)r->proxy;
	const uint64_t down_ms = r->period_ms / 2, up_ms = r->period_ms - down_ms;
	char name[DRILL_NAME_MAX];
	for (uint32_t i = 1; i <= r->times; i++) {
		const uint64_t lasts_ms = i == r->times ? r->settle_ms : up_ms;
		snprintf(name, sizeof(name), "flap-%u-down", i);
		wave_leaves(pen, proxy, down_ms, name);
		take_away(pen, proxy);
		pen->at_ms += down_ms;
		snprintf(name, sizeof(name), "flap-%u-up", i);
		wave_returns(pen, proxy, down_ms, lasts_ms, name);
		give_back(pen, proxy);
		pen->at_ms += lasts_ms;
	}
}

static void impair(struct pen *pen, enum proxy proxy)
{
	const struct drill_request *r = pen->request;
	char share[48];
	struct drill_step *step = add_step(pen, DRILL_ACT_IMPAIR, proxy, false,
		"the %s proxy loses %.6g %% each way and answers %.6g to %.6g ms late for %s",
		proxy_name(proxy), r->loss_ppm / 1e4, r->delay_us / 1e3,
		(r->delay_us + r->jitter_us) / 1e3, share_text(r, share));
	step->impairment = (struct impairment){.share_ppm = r->share_ppm,
		.loss_ppm = r->loss_ppm,
		.delay_us = r->delay_us,
		.jitter_us = r->jitter_us};
}

static void plan_brown_out(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy proxy = (enum proxy)r->proxy;
	watch(pen, r->hold_ms, "brown-out",
		drill_is_used(pen->fleet, proxy) ? proxy : PROXY_PRIMARY,
		"who leaves a proxy that serves badly");
	if (by_hook(pen))
		run_hook(pen, proxy);
	else
		impair(pen, proxy);
	pen->at_ms += r->hold_ms;
	wave_returns(pen, proxy, 0, r->settle_ms, "recovery");
	give_back(pen, proxy);
	pen->at_ms += r->settle_ms;
}

static void plan_blind_spot(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const uint64_t over_ms = drill_margin_ms(pen->times->over_ms);
	wave_leaves(pen, PROXY_PRIMARY, over_ms, "fail-over");
	silence(pen, PROXY_PRIMARY);
	pen->at_ms += over_ms;
	watch(pen, r->hold_ms, "blind-spot", PROXY_REDUNDANT,
		"nobody sees that the redundant proxy is gone before the refresh");
	silence(pen, PROXY_REDUNDANT);
	pen->at_ms += r->hold_ms;
	wave_rescues(pen, PROXY_PRIMARY, r->hold_ms, r->settle_ms, "rescue",
		"phones that are registered nowhere find the primary proxy");
	heal(pen, PROXY_PRIMARY);
	pen->at_ms += r->settle_ms;
	heal(pen, PROXY_REDUNDANT);
}

static void cut_power(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	char share[48];
	struct drill_step *step = add_step(pen, DRILL_ACT_COMMAND, (enum proxy)r->proxy, false,
		"power fails and returns within %.6g s for %s", r->spread_ms / 1e3,
		share_text(r, share));
	step->command = (struct herd_command){.kind = HERD_POWER_CUT,
		.count = pen->fleet->herd->fleet_phones,
		.delay_ms = r->spread_ms,
		.impairment = {.share_ppm = r->share_ppm}};
}

static void wave_power(struct pen *pen, uint64_t lasts_ms)
{
	struct drill_wave *wave = add_wave(
		pen, lasts_ms, "power", &(struct drill_wave){WAVE_POWER, PROXIES, PROXIES});
	snprintf(wave->text, sizeof(wave->text),
		"phones register anew, each begins with the proxy it tried last");
}

/* Phones at the redundant proxy are there because the primary is silent, for all of them. */
static void plan_power_cut_away(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	struct drill_request all = *r;
	const uint64_t over_ms = drill_margin_ms(pen->times->over_ms);
	const uint64_t power_ms = drill_margin_ms(r->spread_ms + pen->times->seek_ms);
	all.share_ppm = IMPAIRMENT_ALL_PPM;
	pen->request = &all;
	wave_leaves(pen, PROXY_PRIMARY, over_ms, "fail-over");
	silence(pen, PROXY_PRIMARY);
	pen->at_ms += over_ms;
	pen->request = r;
	wave_power(pen, power_ms);
	cut_power(pen);
	pen->at_ms += power_ms;
	pen->request = &all;
	wave_returns(pen, PROXY_PRIMARY, over_ms + power_ms, r->settle_ms,
		drill_fails_back(pen->fleet, PROXY_PRIMARY) ? "fail-back" : "return");
	heal(pen, PROXY_PRIMARY);
	pen->at_ms += r->settle_ms;
	pen->request = r;
}

static void plan_power_cut(struct pen *pen)
{
	if (pen->request->proxy == PROXY_REDUNDANT) {
		plan_power_cut_away(pen);
		return;
	}
	wave_power(pen, pen->request->settle_ms);
	cut_power(pen);
	pen->at_ms += pen->request->settle_ms;
}

static void lose_method(struct pen *pen, enum proxy proxy)
{
	const struct drill_request *r = pen->request;
	const bool registers = r->method == IMPAIRMENT_REGISTER;
	char share[48];
	struct drill_step *step = add_step(pen, DRILL_ACT_IMPAIR, proxy, false,
		"the %s proxy answers %s and loses %s of %s", proxy_name(proxy),
		registers ? "OPTIONS" : "REGISTER", registers ? "REGISTER" : "OPTIONS",
		share_text(r, share));
	step->impairment = (struct impairment){
		.share_ppm = r->share_ppm, .loss_ppm = IMPAIRMENT_ALL_PPM, .methods = r->method};
}

static void plan_half_dead(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy proxy = (enum proxy)r->proxy;
	const bool registers = r->method == IMPAIRMENT_REGISTER;
	if (registers)
		watch(pen, r->hold_ms, "half-dead",
			drill_is_used(pen->fleet, proxy) ? proxy : PROXY_PRIMARY,
			"phones see it at their refresh, keep-alives call them back");
	else
		wave_leaves(pen, proxy, r->hold_ms, "half-dead");
	if (by_hook(pen))
		run_hook(pen, proxy);
	else
		lose_method(pen, proxy);
	pen->at_ms += r->hold_ms;
	wave_returns(pen, proxy, registers ? 0 : r->hold_ms, r->settle_ms, "recovery");
	give_back(pen, proxy);
	pen->at_ms += r->settle_ms;
}

static void roll(struct pen *pen, enum proxy proxy, uint64_t back_ms)
{
	const struct drill_request *r = pen->request;
	const uint64_t leave_ms = pen->times->leave_ms;
	const uint64_t drain_ms = drill_margin_ms(leave_ms > 0 ? leave_ms : pen->times->period_ms);
	char name[DRILL_NAME_MAX];
	snprintf(name, sizeof(name), "%s-drain", proxy_name(proxy));
	wave_drains(pen, proxy, drain_ms, name);
	drain(pen, proxy);
	pen->at_ms += drain_ms;
	snprintf(name, sizeof(name), "%s-down", proxy_name(proxy));
	wave_leaves(pen, proxy, r->hold_ms, name);
	silence(pen, proxy);
	end_drain(pen, proxy);
	pen->at_ms += r->hold_ms;
	snprintf(name, sizeof(name), "%s-back", proxy_name(proxy));
	wave_returns(pen, proxy, r->hold_ms, back_ms, name);
	heal(pen, proxy);
	pen->at_ms += back_ms;
}

static void plan_rolling(struct pen *pen)
{
	const struct drill_request *r = pen->request;
	const enum proxy first = (enum proxy)r->proxy;
	const bool back = drill_fails_back(pen->fleet, first);
	roll(pen, first, drill_margin_ms(back ? pen->times->soon_ms : pen->times->period_ms));
	roll(pen, drill_other(first), r->settle_ms);
}

static void plan_request(struct pen *pen)
{
	static void (*const plans[DRILL_KINDS])(struct pen * pen) = {
		[DRILL_CRASH] = plan_crash,
		[DRILL_RETURN] = plan_crash,
		[DRILL_BOTH] = plan_both,
		[DRILL_DRAIN] = plan_drain,
		[DRILL_FLAP] = plan_flap,
		[DRILL_BROWN_OUT] = plan_brown_out,
		[DRILL_BLIND_SPOT] = plan_blind_spot,
		[DRILL_POWER_CUT] = plan_power_cut,
		[DRILL_HALF_DEAD] = plan_half_dead,
		[DRILL_ROLLING] = plan_rolling,
	};
	plans[pen->request->kind](pen);
	add_step(pen, DRILL_ACT_END, PROXY_PRIMARY, false, "%s is over",
		drill_catalogue[pen->request->kind].name);
}

static void entitle(struct drill_plan *plan)
{
	const struct drill_request *first = &plan->request[0];
	const char *name = drill_catalogue[first->kind].name;
	const char *proxy = proxy_name((enum proxy)first->proxy);
	if (plan->requests > 1)
		snprintf(plan->title, sizeof(plan->title), "%s", plan->name);
	else if (first->kind == DRILL_BOTH)
		snprintf(plan->title, sizeof(plan->title), "%s, the %s returns first", name, proxy);
	else if (drill_catalogue[first->kind].fields & DRILL_BIT(DRILL_PROXY))
		snprintf(plan->title, sizeof(plan->title), "%s %s", name, proxy);
	else
		snprintf(plan->title, sizeof(plan->title), "%s", name);
}

static void describe(struct drill_plan *plan, const char *name)
{
	const struct drill_description *drill = &drill_catalogue[plan->request[0].kind];
	snprintf(plan->name, sizeof(plan->name), "%s", name != NULL ? name : drill->name);
	entitle(plan);
	if (plan->requests == 1) {
		snprintf(plan->question, sizeof(plan->question), "%s", drill->question);
		return;
	}
	snprintf(plan->question, sizeof(plan->question), "One behind the other: ");
	for (uint32_t i = 0; i < plan->requests; i++) {
		const size_t used = strlen(plan->question);
		snprintf(plan->question + used, sizeof(plan->question) - used, "%s%s",
			i == 0 ? "" : ", ", drill_catalogue[plan->request[i].kind].name);
	}
}

static int write_plan(struct drill_plan *plan, const struct drill_fleet *fleet,
	const struct drill_times *times, char reason[DRILL_REASON_MAX])
{
	struct pen pen = {.plan = plan, .fleet = fleet, .times = times};
	for (uint32_t i = 0; i < plan->requests; i++) {
		if (drill_check(&plan->request[i], fleet, reason) != 0)
			return -EINVAL;
		drill_fill(&plan->request[i], fleet, times);
		pen.request = &plan->request[i];
		pen.at_ms += pen.request->wait_ms;
		plan->begin_ms[i] = pen.at_ms;
		plan_request(&pen);
	}
	plan->end_ms = pen.at_ms;
	if (pen.full)
		return drill_refuse(reason,
			"too much for one plan, which has room for %d steps and %d waves; ask for "
			"fewer drills or times, or make two plans of it",
			DRILL_STEPS_MAX, DRILL_WAVES_MAX);
	return 0;
}

int drill_plan_make(struct drill_plan *plan, const char *name, const struct drill_request *request,
	uint32_t requests, const struct drill_fleet *fleet, char reason[DRILL_REASON_MAX])
{
	struct drill_times times;
	memset(plan, 0, sizeof(*plan));
	if (requests == 0)
		return drill_refuse(reason, "the plan is empty, it needs at least one drill");
	if (requests > DRILL_REQUESTS_MAX)
		return drill_refuse(reason, "the plan has %u drills, there may be %d", requests,
			DRILL_REQUESTS_MAX);
	memcpy(plan->request, request, requests * sizeof(*request));
	plan->requests = requests;
	drill_times(&times, fleet);
	if (write_plan(plan, fleet, &times, reason) != 0)
		return -EINVAL;
	describe(plan, name);
	drill_foresee(plan, fleet, &times);
	if (fleet->rate_limit_per_s > 0 && plan->forecast.register_per_s > fleet->rate_limit_per_s)
		return drill_refuse(reason,
			"%s would send up to %.0f REGISTERs in its busiest second, the limit is "
			"%.0f; "
			"take a share of the phones or a longer spread",
			plan->name, plan->forecast.register_per_s, fleet->rate_limit_per_s);
	return 0;
}
