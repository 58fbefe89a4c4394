/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans of drills: what they do when nobody says otherwise, what is refused, and that every plan is whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "drill_plan.h"

static const char *const hooks[] = {"stop-primary", "firewall", NULL};
static struct herd_config herd;
static struct drill_fleet fleet;
static struct drill_plan plan;
static char reason[DRILL_REASON_MAX];

/* PHONE.md's defaults. */
static int usual(void **state)
{
	(void)state;
	herd = (struct herd_config){.fleet_phones = 10000,
		.redundancy = {.enabled = true,
			.mode = MODE_ASYMMETRIC,
			.fail_threshold = 1,
			.success_threshold = 1},
		.timers = {500, 4000, 5000, 32000},
		.switch_delay_ms = 10000,
		.keepalive_period_ms = 60000,
		.expires_s = 3600,
		.retry_ms = 60000,
		.refresh_permille = 500};
	fleet = (struct drill_fleet){.herd = &herd,
		.phones = 10000,
		.redundancy = true,
		.registrars = true,
		.hook = hooks};
	return 0;
}

static struct drill_request ask(const char *text)
{
	struct drill_request request = {0};
	char copy[256], *rest = copy, *word, why[DRILL_REASON_MAX];
	snprintf(copy, sizeof(copy), "do=%s", text);
	while ((word = strsep(&rest, " ")) != NULL) {
		char *value = strchr(word, '=');
		*value++ = '\0';
		if (drill_request_set(&request, word, value, why) != 0)
			fail_msg("%s", why);
	}
	return request;
}

static int make(const char *text)
{
	const struct drill_request request = ask(text);
	reason[0] = '\0';
	return drill_plan_make(&plan, NULL, &request, 1, &fleet, reason);
}

static void assert_made(const char *text)
{
	if (make(text) != 0)
		fail_msg("%s: refused: %s", text, reason);
}

static void assert_refused(const char *text, const char *why)
{
	assert_int_equal(make(text), -EINVAL);
	if (strstr(reason, why) == NULL)
		fail_msg("%s: '%s' does not say '%s'", text, reason, why);
}

/* "impair+ @0 primary, ..." : what is done when, + what begins, - what restores. */
static const char *steps(void)
{
	static const char *const acts[] = {"impair", "faults", "command", "hook", "undo", "end"};
	static char out[4096];
	size_t used = 0;
	out[0] = '\0';
	for (uint32_t i = 0; i < plan.steps; i++) {
		const struct drill_step *step = &plan.step[i];
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%s%s @%.1f %c",
			i == 0 ? "" : ", ", acts[step->act], step->restores ? "-" : "",
			(double)step->at_ms / 1000, "pr"[step->proxy]);
	}
	return out;
}

static const char *waves(void)
{
	static const char *const kinds[] = {"over", "back", "rescue", "power", "watch"};
	static char out[4096];
	size_t used = 0;
	out[0] = '\0';
	for (uint32_t i = 0; i < plan.waves; i++) {
		const struct drill_wave *wave = &plan.wave[i];
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%s %s %c%c %.1f-%.1f",
			i == 0 ? "" : ", ", wave->name, kinds[wave->kind], "pr*"[wave->from],
			"pr*"[wave->to], (double)plan.step[wave->step].at_ms / 1000,
			(double)wave->until_ms / 1000);
	}
	return out;
}

/* ---- what each does ---- */

/* The fail-over's last moment is at 102 s, and whoever moved then probes 60 s later and pauses for 10: a tenth and
 * 5 s more. */
static void a_crash_lasts_until_all_have_moved(void **state)
{
	(void)state;
	assert_made("crash");
	assert_string_equal(plan.name, "crash");
	assert_string_equal(plan.title, "crash primary");
	assert_string_equal(steps(), "impair @0.0 p, impair- @117.2 p, end @199.2 p");
	assert_string_equal(waves(), "fail-over over pr 0.0-117.2, fail-back back rp 117.2-199.2");
	assert_int_equal(plan.end_ms, 199200);
	assert_int_equal(plan.step[0].impairment.share_ppm, IMPAIRMENT_ALL_PPM);
	assert_int_equal(plan.step[0].impairment.loss_ppm, IMPAIRMENT_ALL_PPM);
	assert_int_equal(plan.step[1].impairment.share_ppm, 0);
	assert_string_equal(plan.step[0].text, "the primary proxy falls silent for all phones");
	assert_int_equal(plan.wave[1].silent_ms, 117200);
	assert_made("crash share=12.5% hold=90s settle=1m proxy=redundant");
	assert_string_equal(plan.title, "crash redundant");
	assert_string_equal(
		plan.step[0].text, "the redundant proxy falls silent for 12.5 % of the phones");
	assert_string_equal(waves(), "fail-over watch pp 0.0-90.0, return watch pp 90.0-150.0");
	assert_int_equal(plan.wave[0].share_ppm, 125000);
	herd.redundancy.mode = MODE_SYMMETRIC;
	assert_made("crash hold=90s settle=1m proxy=redundant");
	assert_string_equal(waves(), "fail-over over rp 0.0-90.0, return watch ** 90.0-150.0");
}

/* 102 s until all have moved, 60 s until the last probes, 60 s until it has for a whole cycle. */
static void a_return_comes_when_probes_are_spread(void **state)
{
	(void)state;
	assert_made("return");
	assert_string_equal(waves(), "fail-over over pr 0.0-249.2, fail-back back rp 249.2-296.6");
}

static void rescued_are_all_before_the_other_returns(void **state)
{
	(void)state;
	assert_made("both");
	/* 102 s, and twice 32 s in vain and 10 s of pause; 52.5 s until the last is rescued. */
	assert_string_equal(steps(), "impair @0.0 p, impair @0.0 r, impair- @209.6 p, "
				     "impair- @272.4 r, end @343.4 p");
	assert_string_equal(waves(), "outage watch ** 0.0-209.6, rescue rescue *p 209.6-272.4, "
				     "return watch pp 272.4-343.4");
	assert_made("both proxy=redundant");
	assert_string_equal(plan.title, "both, the redundant returns first");
	assert_string_equal(waves(), "outage watch ** 0.0-209.6, rescue rescue *r 209.6-392.4, "
				     "fail-back back rp 392.4-439.7");
}

static void a_drain_is_the_registrars_or_a_hooks(void **state)
{
	(void)state;
	assert_made("drain retry_after=90");
	assert_string_equal(steps(), "faults @0.0 p, faults- @1985.0 p, end @2089.0 p");
	assert_string_equal(waves(), "drain watch pp 0.0-1985.0, drained rescue *p 1985.0-2089.0");
	assert_true(plan.step[0].faults.draining);
	assert_int_equal(plan.step[0].faults.retry_after_s, 90);
	assert_false(plan.step[1].faults.draining);
	herd.keepalive_code[0] = 503;
	herd.keepalive_codes = 1;
	assert_made("drain settle=1m");
	assert_string_equal(waves(), "drain over pr 0.0-82.0, drained back rp 82.0-142.0");
	fleet.registrars = false;
	assert_made("drain hook=firewall settle=1m");
	assert_string_equal(steps(), "hook @0.0 p, undo- @82.0 p, end @142.0 p");
	assert_string_equal(waves(), "drain watch pp 0.0-82.0, drained back rp 82.0-142.0");
	assert_int_equal(plan.wave[1].silent_ms, 0);
	assert_string_equal(plan.step[0].hook, "firewall");
	assert_string_equal(plan.step[1].hook, "firewall");
}

static void a_proxy_flaps(void **state)
{
	(void)state;
	assert_made("flap period=10s times=2");
	assert_string_equal(steps(), "impair @0.0 p, impair- @5.0 p, impair @10.0 p, "
				     "impair- @15.0 p, end @20.0 p");
	assert_string_equal(waves(), "flap-1-down over pr 0.0-5.0, flap-1-up back rp 5.0-10.0, "
				     "flap-2-down over pr 10.0-15.0, flap-2-up back rp 15.0-20.0");
	assert_made("flap");
	assert_int_equal(plan.waves, 6);
	assert_int_equal(plan.end_ms, 6 * 117200);
}

static void a_brown_out_loses_and_delays(void **state)
{
	(void)state;
	assert_made("brown-out");
	assert_string_equal(waves(), "brown-out watch pp 0.0-183.2, recovery back rp 183.2-230.6");
	assert_int_equal(plan.step[0].impairment.loss_ppm, 200000);
	assert_int_equal(plan.step[0].impairment.delay_us, 300000);
	assert_made("brown-out jitter=2s");
	assert_int_equal(plan.step[0].impairment.loss_ppm, 0);
	assert_int_equal(plan.step[0].impairment.delay_us, 0);
	assert_int_equal(plan.step[0].impairment.jitter_us, 2000000);
}

/* Refreshes are at half of an hour. */
static void the_blind_spot_lasts_until_refreshes_were_due(void **state)
{
	(void)state;
	assert_made("blind-spot");
	assert_string_equal(steps(), "impair @0.0 p, impair @117.2 r, impair- @2148.4 p, "
				     "impair- @2211.2 r, end @2211.2 p");
	assert_string_equal(waves(), "fail-over over pr 0.0-117.2, blind-spot watch rr "
				     "117.2-2148.4, rescue rescue *p 2148.4-2211.2");
}

static void power_returns_where_phones_were(void **state)
{
	(void)state;
	assert_made("power-cut share=30% spread=2s");
	assert_string_equal(steps(), "command @0.0 p, end @53.4 p");
	assert_string_equal(waves(), "power power ** 0.0-53.4");
	assert_int_equal(plan.step[0].command.kind, HERD_POWER_CUT);
	assert_int_equal(plan.step[0].command.count, 10000);
	assert_int_equal(plan.step[0].command.delay_ms, 2000);
	assert_int_equal(plan.step[0].command.impairment.share_ppm, 300000);
	assert_true(plan.forecast.known);
	assert_float_equal(plan.forecast.register_per_s, 1500, 1e-6);
	assert_float_equal(plan.forecast.register_per_100ms, 150, 1e-6);
	assert_made("power-cut share=30% proxy=redundant");
	assert_string_equal(steps(), "impair @0.0 p, command @117.2 r, impair- @179.4 p, "
				     "end @226.8 p");
	assert_string_equal(waves(), "fail-over over pr 0.0-117.2, power power ** 117.2-179.4, "
				     "fail-back back rp 179.4-226.8");
	assert_int_equal(plan.wave[0].share_ppm, IMPAIRMENT_ALL_PPM);
	assert_int_equal(plan.wave[1].share_ppm, 300000);
}

static void half_dead_is_seen_by_one_method_only(void **state)
{
	(void)state;
	assert_made("half-dead");
	assert_int_equal(plan.step[0].impairment.methods, IMPAIRMENT_REGISTER);
	assert_string_equal(waves(), "half-dead watch pp 0.0-2143.4, recovery back rp "
				     "2143.4-2190.8");
	assert_made("half-dead method=options");
	assert_int_equal(plan.step[0].impairment.methods, IMPAIRMENT_OPTIONS);
	assert_string_equal(waves(), "half-dead over pr 0.0-117.2, recovery back rp 117.2-199.2");
}

static void an_upgrade_rolls_over_both(void **state)
{
	(void)state;
	assert_made("rolling settle=10s");
	assert_string_equal(steps(), "faults @0.0 p, impair @71.0 p, faults- @71.0 p, impair- "
				     "@188.2 p, faults @270.2 r, impair @341.2 r, faults- @341.2 "
				     "r, impair- @458.4 r, end @468.4 p");
	assert_string_equal(waves(),
		"primary-drain watch pp 0.0-71.0, primary-down over pr 71.0-188.2, primary-back "
		"back rp 188.2-270.2, redundant-drain watch pp 270.2-341.2, redundant-down watch "
		"pp 341.2-458.4, redundant-back watch pp 458.4-468.4");
}

static void drills_go_one_behind_the_other(void **state)
{
	(void)state;
	const struct drill_request requests[] = {ask("crash hold=10s settle=5s"),
		ask("crash wait=60s hold=10s settle=5s"), ask("power-cut settle=1s")};
	assert_int_equal(drill_plan_make(&plan, "friday", requests, 3, &fleet, reason), 0);
	assert_string_equal(plan.name, "friday");
	assert_string_equal(plan.question, "One behind the other: crash, crash, power-cut");
	assert_int_equal(plan.begin_ms[1], 75000);
	assert_int_equal(plan.begin_ms[2], 90000);
	assert_string_equal(waves(),
		"fail-over over pr 0.0-10.0, fail-back back rp 10.0-15.0, "
		"fail-over-2 over pr 75.0-85.0, fail-back-2 back rp 85.0-90.0, "
		"power power ** 90.0-91.0");
}

/* ---- what it sends ---- */

/* PHONE.md: 6.9 % of the fleet in the busiest second of the fail-back, 11 datagrams per phone and minute. */
static void the_forecast_is_phone_mds(void **state)
{
	(void)state;
	assert_made("return");
	assert_true(plan.forecast.known);
	assert_in_range(plan.forecast.register_per_s, 670, 710);
	assert_float_equal(plan.forecast.options_datagrams_per_s, 10000 * 11 / 60.0, 1e-6);
	assert_float_equal(plan.forecast.steady_per_s, 10000 / 60.0 + 10000 / 1800.0, 1e-6);
	assert_made("return share=50%");
	assert_in_range(plan.forecast.register_per_s, 335, 355);
	herd.switch_delay_ms = 0;
	assert_made("return");
	assert_in_range(plan.forecast.register_per_s, 1700, 1780);
	assert_in_range(plan.forecast.register_per_100ms, 180, 200);
	/* Probes are not spread yet: a bound, here the same. */
	assert_made("crash");
	assert_false(plan.forecast.known);
	assert_in_range(plan.forecast.register_per_s, 1700, 1780);
	/* A fifth is lost each way, 36 % of the answers, then of those of the next: 1 + 0.36 + ... */
	assert_made("brown-out loss=20%");
	assert_float_equal(plan.forecast.options_datagrams_per_s, 10000 / 60.0 / (1 - 0.36), 0.1);
	/* Timer E has sent it again after 0.5 and 1.5 s when the answer comes. */
	assert_made("brown-out delay=2s");
	assert_float_equal(plan.forecast.options_datagrams_per_s, 3 * 10000 / 60.0, 1e-6);
	assert_made("half-dead method=register hold=1m");
	assert_float_equal(plan.forecast.options_datagrams_per_s, 10000 / 60.0, 1e-6);
}

/* ---- what is refused ---- */

static void what_cannot_be_measured_is_refused(void **state)
{
	(void)state;
	assert_refused(
		"crash loss=3%", "crash takes no loss, only proxy, share, hold, settle, hook");
	assert_refused("power-cut hook=firewall", "power-cut takes no hook");
	assert_refused("crash hook=firewal", "these are: stop-primary, firewall");
	assert_refused("crash hook=firewall share=3%", "leave one of the two out");
	assert_refused("brown-out loss=0%", "loss, delay or jitter");
	assert_refused("return proxy=redundant", "crash redundant");
	fleet.hook = NULL;
	assert_refused("crash hook=firewall", "no hooks");
	fleet.registrars = false;
	assert_refused("drain", "hook");
	assert_refused("rolling", "under drills:");
	herd.redundancy.mode = MODE_SYMMETRIC;
	assert_refused("blind-spot", "redundancy.mode: asymmetric");
	assert_refused("return", "no fail-back wave");
	herd.keepalive_period_ms = 0;
	assert_refused("crash", "keepalive.period");
	assert_made("both");
	fleet.phones = 0;
	assert_refused("crash", "no phone is driven here");
	fleet.redundancy = false;
	for (int kind = 0; kind < DRILL_KINDS; kind++)
		assert_refused(drill_catalogue[kind].name, "one proxy only");
}

static void what_would_be_too_much_is_refused(void **state)
{
	(void)state;
	struct drill_request many[DRILL_REQUESTS_MAX + 1] = {0};
	fleet.rate_limit_per_s = 600;
	assert_refused("return", "the limit is 600");
	assert_made("return share=50%");
	fleet.rate_limit_per_s = 0;
	for (uint32_t i = 0; i <= DRILL_REQUESTS_MAX; i++)
		many[i] = ask("flap times=30");
	assert_int_equal(drill_plan_make(&plan, "m", many, 0, &fleet, reason), -EINVAL);
	assert_int_equal(drill_plan_make(&plan, "m", many, 1, &fleet, reason), 0);
	assert_int_equal(plan.waves, 60);
	assert_int_equal(drill_plan_make(&plan, "m", many, 2, &fleet, reason), -EINVAL);
	assert_non_null(strstr(reason, "too much"));
	assert_int_equal(
		drill_plan_make(&plan, "m", many, DRILL_REQUESTS_MAX, &fleet, reason), -EINVAL);
	assert_int_equal(
		drill_plan_make(&plan, "m", many, DRILL_REQUESTS_MAX + 1, &fleet, reason), -EINVAL);
}

/* ---- every plan is whole ---- */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % n);
}

static void draw_fleet(void)
{
	static const uint32_t periods[] = {0, 1, 100, 2000, 60000, 300000};
	static const uint32_t silences[] = {100, 1000, 32000, 64000};
	usual(NULL);
	herd.keepalive_period_ms = periods[below(6)];
	herd.timers.t1_ms = 100 + below(3) * 1000;
	herd.timers.no_response_ms = silences[below(4)];
	herd.switch_delay_ms = below(2) * 10000;
	herd.keepalive_jitter_percent = below(2) ? 0 : (uint8_t)below(101);
	herd.redundancy.mode = (uint8_t)below(2);
	herd.redundancy.fail_threshold = (uint8_t)(1 + below(10));
	herd.redundancy.success_threshold = (uint8_t)(1 + below(100));
	herd.expires_s = below(4) ? below(86401) : 0;
	herd.refresh_permille = (uint16_t)below(1000);
	herd.backoff_rfc5626 = below(2);
	herd.keepalive_codes = (uint8_t)below(2);
	herd.keepalive_code[0] = 503;
	fleet.phones = 1 + below(10000000);
	fleet.registrars = below(2);
}

static struct drill_request draw_request(void)
{
	struct drill_request r = {.kind = (uint8_t)below(DRILL_KINDS)};
	char why[DRILL_REASON_MAX];
	static const char *const fields[][2] = {{"proxy", "redundant"}, {"share", "0.0001%"},
		{"hold", "100ms"}, {"hold", "168h"}, {"settle", "100ms"}, {"period", "201ms"},
		{"times", "30"}, {"loss", "100%"}, {"delay", "60s"}, {"jitter", "1ms"},
		{"retry_after", "0"}, {"spread", "0"}, {"method", "options"},
		{"hook", "stop-primary"}, {"wait", "1h"}};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct drill_request before = r;
		if (below(3) == 0)
			assert_int_equal(drill_request_set(&r, fields[i][0], fields[i][1], why), 0);
		if (r.given & ~drill_catalogue[r.kind].fields)
			r = before;
	}
	return r;
}

/* What is in force after each step: everything that begins is restored, once, in the plan itself. */
static void assert_restored(void)
{
	bool impaired[PROXIES] = {false}, faulty[PROXIES] = {false};
	char hook[DRILL_NAME_MAX] = "";
	for (uint32_t i = 0; i < plan.steps; i++) {
		const struct drill_step *step = &plan.step[i];
		const bool restores = step->restores;
		assert_true(i == 0 || plan.step[i - 1].at_ms <= step->at_ms);
		assert_true(step->at_ms <= plan.end_ms);
		assert_true(step->text[0] != '\0' && strlen(step->text) < DRILL_TEXT_MAX - 1);
		if (step->act == DRILL_ACT_IMPAIR) {
			assert_int_equal(impaired[step->proxy], restores);
			assert_int_equal(step->impairment.share_ppm == 0, restores);
			impaired[step->proxy] = !restores;
		} else if (step->act == DRILL_ACT_FAULTS) {
			assert_int_equal(faulty[step->proxy], restores);
			assert_int_equal(step->faults.draining, !restores);
			faulty[step->proxy] = !restores;
		} else if (step->act == DRILL_ACT_HOOK) {
			assert_string_equal(hook, "");
			assert_false(restores);
			strcpy(hook, step->hook);
		} else if (step->act == DRILL_ACT_UNDO) {
			assert_string_equal(hook, step->hook);
			assert_true(restores);
			hook[0] = '\0';
		}
	}
	for (int p = 0; p < PROXIES; p++)
		assert_false(impaired[p] || faulty[p]);
	assert_string_equal(hook, "");
	assert_int_equal(plan.step[plan.steps - 1].act, DRILL_ACT_END);
	assert_int_equal(plan.step[plan.steps - 1].at_ms, plan.end_ms);
}

static void assert_waves_are_whole(void)
{
	uint64_t end_ms = 0;
	for (uint32_t i = 0; i < plan.waves; i++) {
		const struct drill_wave *wave = &plan.wave[i];
		assert_true(wave->step < plan.steps);
		assert_true(plan.step[wave->step].at_ms >= end_ms);
		assert_true(wave->until_ms > plan.step[wave->step].at_ms);
		assert_true(wave->until_ms <= plan.end_ms);
		assert_true(wave->from <= PROXIES && wave->to <= PROXIES);
		assert_in_range(wave->share_ppm, 1, IMPAIRMENT_ALL_PPM);
		assert_true(wave->name[0] != '\0' && wave->text[0] != '\0');
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(wave->name, plan.wave[j].name);
		end_ms = wave->until_ms;
	}
	assert_in_range(plan.waves, 1, DRILL_WAVES_MAX);
}

static void every_plan_is_whole(void **state)
{
	(void)state;
	const uint64_t seed = (uint64_t)time(NULL);
	unsigned made = 0, kinds = 0;
	print_message("seed %llu\n", (unsigned long long)seed);
	random_state = seed;
	for (int i = 0; i < 1200; i++) {
		struct drill_request requests[4];
		const uint32_t count = below(4) == 0 ? 1 + below(4) : 1;
		draw_fleet();
		for (uint32_t r = 0; r < count; r++)
			requests[r] = draw_request();
		reason[0] = '\0';
		if (drill_plan_make(&plan, "any", requests, count, &fleet, reason) != 0) {
			assert_true(reason[0] != '\0' && strlen(reason) < DRILL_REASON_MAX - 1);
			continue;
		}
		made++;
		kinds |= 1u << requests[0].kind;
		assert_restored();
		assert_waves_are_whole();
		assert_true(plan.forecast.register_per_s > 0);
		assert_true(plan.forecast.register_per_s <= fleet.phones);
		assert_true(plan.forecast.register_per_100ms <= plan.forecast.register_per_s);
	}
	assert_true(made > 200);
	assert_int_equal(kinds, (1u << DRILL_KINDS) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_crash_lasts_until_all_have_moved, usual),
		cmocka_unit_test_setup(a_return_comes_when_probes_are_spread, usual),
		cmocka_unit_test_setup(rescued_are_all_before_the_other_returns, usual),
		cmocka_unit_test_setup(a_drain_is_the_registrars_or_a_hooks, usual),
		cmocka_unit_test_setup(a_proxy_flaps, usual),
		cmocka_unit_test_setup(a_brown_out_loses_and_delays, usual),
		cmocka_unit_test_setup(the_blind_spot_lasts_until_refreshes_were_due, usual),
		cmocka_unit_test_setup(power_returns_where_phones_were, usual),
		cmocka_unit_test_setup(half_dead_is_seen_by_one_method_only, usual),
		cmocka_unit_test_setup(an_upgrade_rolls_over_both, usual),
		cmocka_unit_test_setup(drills_go_one_behind_the_other, usual),
		cmocka_unit_test_setup(the_forecast_is_phone_mds, usual),
		cmocka_unit_test_setup(what_cannot_be_measured_is_refused, usual),
		cmocka_unit_test_setup(what_would_be_too_much_is_refused, usual),
		cmocka_unit_test_setup(every_plan_is_whole, usual),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
