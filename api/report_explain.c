/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the figures of a wave say about the proxy that had to take it. A proxy that is told to refuse, one
 * that drops what is over a limit, and one that cannot keep up look alike in the outage of the phones; they
 * differ in answers, in how soon those came, and in whether what was sent again was answered as well.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report_internal.h"

#define SECONDS_MAX 4096 /* of a wave that are looked at */
#define AS_PREDICTED 0.02
/* So far apart, over the square root of the phones, are one in 100 such curves by chance (Kolmogorov). */
#define BY_CHANCE 1.63
/* So few phones make no curve. */
#define CURVE_PHONES 30
#define REFUSED_LEAST 0.005 /* shares that are worth a word */
#define AGAIN_LEAST 0.03
#define RESTORED_WITHIN_MS 500
#define SLOW_US 10000.0
#define SLOW_TIMES 8.0
#define LATE_LEAST 0.25 /* of the retransmissions were answered too */

static const char *const proxies[] = {"primary proxy", "redundant proxy"};

struct facts {
	enum proxy to;
	bool ours;    /* the drill itself impaired or drained this proxy meanwhile */
	double begun; /* transactions that were under way when the wave began */
	double sum[RATES];
	double attempts, accepted, refused, timeout;
	double again;    /* share of REGISTER datagrams */
	double calm_us;  /* mean RRD before the drill; NAN */
	double worst_us; /* ... of the slowest second of the wave */
	double quick_us; /* 90 % of what was answered before anything was sent again */
	double plateau;  /* accepted in a second while more were waiting; NAN: it was not flat */
	double waiting;  /* phones, at most */
};

static void note(struct findings *all, enum mood mood, const char *title, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void note(struct findings *all, enum mood mood, const char *title, const char *format, ...)
{
	va_list arguments;
	if (all->count == FINDINGS_MAX)
		return;
	struct finding *finding = &all->finding[all->count++];
	finding->mood = mood;
	snprintf(finding->title, sizeof(finding->title), "%s", title);
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
}

static double sum_of(const double sum[RATES], const enum rate *which, unsigned count)
{
	double all = 0;
	for (unsigned i = 0; i < count; i++)
		all += sum[which[i]];
	return all;
}

/* --- Facts --- */

static bool is_outage(const json_t *step)
{
	const char *act = report_text(step, "act");
	return strcmp(act, "impair") == 0 || strcmp(act, "faults") == 0 ||
	       strcmp(act, "hook") == 0 || strcmp(act, "undo") == 0;
}

/* Whether the drill did something to this proxy meanwhile. That it restored it when the wave began does not
 * count. */
static bool touched(const json_t *drill, enum proxy proxy, double from, double until)
{
	const json_t *steps = report_at(drill, "steps");
	bool now = false;
	for (size_t i = 0; i < json_array_size(steps); i++) {
		const json_t *step = json_array_get(steps, i);
		const double at = report_number(step, "at_ms");
		if (report_proxy(step, "proxy") != proxy || !is_outage(step))
			continue;
		if (at >= until || (now && at > from + RESTORED_WITHIN_MS))
			break;
		now = !report_true(step, "restores");
	}
	return now;
}

static double calm_rrd(const struct rates *rates, size_t until)
{
	double us = 0, accepted = 0;
	for (int p = 0; p < PROXIES; p++) {
		double sum[RATES];
		rates_sum(rates, (enum proxy)p, 0, until, sum);
		us += sum[RATE_rrd_us];
		accepted += sum_of(sum, rates_accepted, RATES_KINDS);
	}
	return accepted >= 10 ? us / accepted : NAN;
}

/* Of the registrations that took less than a first retransmission, the time that 90 % stayed below. */
static double quick_rrd(const json_t *wave, double t1_ms)
{
	const json_t *cells = report_at(wave, "rrd_us.cells");
	const double limit = 0.9 * 1000 * (t1_ms > 0 ? t1_ms : 500);
	double all = 0, seen = 0, at = NAN;
	for (size_t i = 0; i < json_array_size(cells); i++)
		if (report_item(json_array_get(cells, i), 0) < limit)
			all += fmax(0, report_item(json_array_get(cells, i), 1));
	for (size_t i = 0; i < json_array_size(cells) && seen < 0.9 * all; i++) {
		at = report_item(json_array_get(cells, i), 0);
		seen += fmax(0, report_item(json_array_get(cells, i), 1));
	}
	return at;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Their median, when most of them are near it: a proxy that does the same whatever it is asked. */
static double flat_at(double *seconds, unsigned count)
{
	unsigned near = 0;
	if (count < 5)
		return NAN;
	qsort(seconds, count, sizeof(*seconds), by_size);
	const double median = seconds[count / 2], room = 0.2 * median + 2 * sqrt(median);
	for (unsigned i = 0; i < count; i++)
		near += fabs(seconds[i] - median) <= room;
	return median > 0 && near >= 0.6 * count ? median : NAN;
}

/* Second by second: who waits for an answer, how slow the answers are, how many are accepted meanwhile. */
static void follow(struct facts *f, const struct rates *rates, size_t from, size_t until)
{
	const size_t second = rates->step_ms >= 1000 ? 1 : (size_t)(1000 / rates->step_ms);
	double loaded[SECONDS_MAX], waiting = 0;
	unsigned seconds = 0, count = 0;
	for (size_t at = from; at + second <= until && seconds < SECONDS_MAX;
		at += second, seconds++) {
		double sum[RATES];
		rates_sum(rates, f->to, at, at + second, sum);
		const double accepted = sum_of(sum, rates_accepted, RATES_KINDS);
		const double offered = sum_of(sum, rates_offered, RATES_KINDS);
		const double refused = sum_of(sum, rates_refused, RATES_REFUSALS);
		waiting = fmax(
			0, waiting + offered - accepted - refused - sum[RATE_register_timeout]);
		f->waiting = fmax(f->waiting, waiting);
		if (accepted >= 5)
			f->worst_us = fmax(f->worst_us, sum[RATE_rrd_us] / accepted);
		if (waiting >= fmax(20, accepted / 2) || refused > offered * 0.05)
			loaded[count++] = accepted;
	}
	f->plateau = flat_at(loaded, count) * 1000 / ((double)second * rates->step_ms);
}

static double under_way(const struct rates *rates, enum proxy proxy, size_t until)
{
	double sum[RATES];
	rates_sum(rates, proxy, 0, until, sum);
	return fmax(0,
		sum_of(sum, rates_offered, RATES_KINDS) - sum_of(sum, rates_accepted, RATES_KINDS) -
			sum_of(sum, rates_refused, RATES_REFUSALS) - sum[RATE_register_timeout]);
}

static enum proxy busier(const struct rates *rates, size_t from, size_t until)
{
	double offered[PROXIES];
	for (int p = 0; p < PROXIES; p++) {
		double sum[RATES];
		rates_sum(rates, (enum proxy)p, from, until, sum);
		offered[p] = sum_of(sum, rates_offered, RATES_KINDS);
	}
	return offered[PROXY_PRIMARY] >= offered[PROXY_REDUNDANT] ? PROXY_PRIMARY : PROXY_REDUNDANT;
}

static bool learn(struct facts *f, const struct drill_view *view, const json_t *wave)
{
	struct rates rates;
	const double at = report_number(wave, "at_ms"), lasted = report_number(wave, "lasted_ms");
	if (!rates_open(&rates, view->drill) || isnan(at) || isnan(lasted))
		return false;
	const size_t from = rates_step_at(&rates, at), until = rates_step_at(&rates, at + lasted);
	*f = (struct facts){.to = report_proxy(wave, "to"), .plateau = NAN};
	if (f->to == PROXIES)
		f->to = busier(&rates, from, until);
	rates_sum(&rates, f->to, from, until, f->sum);
	f->begun = under_way(&rates, f->to, from);
	f->attempts = sum_of(f->sum, rates_offered, RATES_KINDS);
	f->accepted = sum_of(f->sum, rates_accepted, RATES_KINDS);
	f->refused = sum_of(f->sum, rates_refused, RATES_REFUSALS);
	/* What was begun while the proxy was silent is sent once more, or given up, though it serves. */
	f->timeout = fmax(0, f->sum[RATE_register_timeout] - f->begun);
	f->again = fmax(0, f->sum[RATE_register_retransmitted] - 2 * f->begun) /
		   fmax(1, f->sum[RATE_register_datagrams]);
	f->ours = touched(view->drill, f->to, at, at + lasted);
	f->calm_us = calm_rrd(&rates, rates_step_at(&rates, 0));
	f->quick_us = quick_rrd(wave, report_number(view->run, "fleet.timers.t1_ms"));
	follow(f, &rates, from, until);
	return f->attempts > 0;
}

/* --- Sentences --- */

static void say_plateau(const struct facts *f, char out[160])
{
	out[0] = '\0';
	if (!isnan(f->plateau))
		snprintf(out, 160,
			" While more was offered, accepted registrations were flat at %s.",
			word_rate(f->plateau, WORD));
}

/* When refused phones came back, from the second heap of the registrations that were not at once. */
static double came_back_ms(const json_t *wave, double retry_ms)
{
	const json_t *cells = report_at(wave, "registration_ms.cells");
	for (size_t i = 0; i < json_array_size(cells) && retry_ms > 0; i++) {
		const json_t *cell = json_array_get(cells, i);
		if (report_item(cell, 0) >= retry_ms * 0.5 && report_item(cell, 1) > 0)
			return report_item(cell, 0);
	}
	return NAN;
}

static void say_pause(const struct drill_view *view, const json_t *wave, char out[200])
{
	const double retry = report_number(view->run, "fleet.registration.retry_ms");
	const double pause = came_back_ms(wave, retry);
	out[0] = '\0';
	if (isnan(pause))
		snprintf(out, 200, " None of the refused phones was registered within this wave.");
	else if (pause > retry * 1.1)
		snprintf(out, 200,
			" Refused phones came back after about %s, later than their own %s "
			"(registration.retry): the proxy asked for it with Retry-After.",
			word_ms(pause, WORD), word_ms(retry, WORD));
	else
		snprintf(out, 200,
			" Refused phones came back after about %s, their own registration.retry: "
			"no "
			"longer Retry-After was asked for.",
			word_ms(retry, WORD));
}

static void find_refusals(struct findings *all, const struct facts *f,
	const struct drill_view *view, const json_t *wave)
{
	char title[160], plateau[160], pause[200];
	int most = 0;
	for (int i = 1; i < RATES_REFUSALS; i++)
		if (f->sum[rates_refused[i]] > f->sum[rates_refused[most]])
			most = i;
	say_plateau(f, plateau);
	say_pause(view, wave, pause);
	snprintf(title, sizeof(title),
		"Refusing: the %s refused %s of the REGISTERs, mostly with %s", proxies[f->to],
		word_share(f->refused / f->attempts, WORD), rates_refused_names[most]);
	note(all, f->ours ? MOOD_PLAIN : MOOD_BAD, title, "%s of %s.%s%s%s",
		word_count(f->refused, WORD), word_count(f->attempts, WORD), plateau, pause,
		f->ours ? " The drill itself had this proxy refuse." : "");
}

static bool is_slow(const struct facts *f)
{
	const double calm = isnan(f->calm_us) ? 0 : f->calm_us;
	return f->quick_us >= fmax(SLOW_US, SLOW_TIMES * calm);
}

/* Of a wave that lost nothing: what was sent again would make every second slow. */
static bool has_slow_second(const struct facts *f)
{
	const double calm = isnan(f->calm_us) ? 0 : f->calm_us;
	return f->worst_us >= fmax(2 * SLOW_US, SLOW_TIMES * calm);
}

static void find_saturation(struct findings *all, const struct facts *f)
{
	char title[160], plateau[160], calm[WORD_MAX + 16] = "";
	say_plateau(f, plateau);
	if (!isnan(f->calm_us))
		snprintf(calm, sizeof(calm), " from %s", word_us(f->calm_us, WORD));
	snprintf(title, sizeof(title), "Saturated: the %s could not keep up", proxies[f->to]);
	note(all, MOOD_BAD, title,
		"Registrations slowed%s to %s in the worst second, and up to %s phones were "
		"waiting.%s "
		"%s of the REGISTER datagrams were sent again and %s answers came too late: the "
		"proxy "
		"worked as fast as it could, and its queue was the limit, not a rule.",
		calm, word_us(f->worst_us, WORD), word_count(f->waiting, WORD), plateau,
		word_share(f->again, WORD), word_count(f->sum[RATE_late], WORD));
}

static void find_drops(struct findings *all, const struct facts *f)
{
	char title[160], plateau[160];
	say_plateau(f, plateau);
	snprintf(
		title, sizeof(title), "Dropping: the %s left REGISTERs unanswered", proxies[f->to]);
	note(all, MOOD_BAD, title,
		"%s of the REGISTER datagrams were sent again and %s transactions were never "
		"answered, "
		"but what was answered without that was answered at once (90 %% within %s).%s %s",
		word_share(f->again, WORD), word_count(f->timeout, WORD),
		word_us(f->quick_us, WORD), plateau,
		isnan(f->plateau) ? "Datagrams are lost on the way, or dropped by the proxy."
				  : "That is a limit that drops what is over it, such as pike, "
				    "ratelimit or a firewall, not a proxy at work.");
}

static void find_health(struct findings *all, const struct facts *f, const json_t *wave)
{
	char title[160];
	snprintf(title, sizeof(title), "The %s took it without refusing or losing any REGISTER",
		proxies[f->to]);
	if (f->refused + f->timeout > 0)
		snprintf(title, sizeof(title), "The %s took it: %s of the REGISTERs failed",
			proxies[f->to], word_share((f->refused + f->timeout) / f->attempts, WORD));
	note(all, MOOD_GOOD, title,
		"%s registrations were accepted, half of them within %s, the slowest after %s.",
		word_count(f->accepted, WORD), word_us(report_number(wave, "rrd_us.p50"), WORD),
		word_us(report_number(wave, "rrd_us.max"), WORD));
}

static void find_slowness(struct findings *all, const struct facts *f)
{
	char title[160], plateau[160], calm[WORD_MAX + 16] = "";
	say_plateau(f, plateau);
	if (!isnan(f->calm_us))
		snprintf(calm, sizeof(calm), " from %s", word_us(f->calm_us, WORD));
	snprintf(title, sizeof(title), "Slowed: the %s took it, but its answers slowed",
		proxies[f->to]);
	note(all, MOOD_WARN, title,
		"Registrations slowed%s to %s in the worst second; nothing of it was lost.%s", calm,
		word_us(f->worst_us, WORD), plateau);
}

static void find_proxy(struct findings *all, const struct drill_view *view, const json_t *wave)
{
	struct facts f;
	if (!learn(&f, view, wave))
		return;
	const bool refusing = f.refused / f.attempts > REFUSED_LEAST;
	const bool losing = f.again > AGAIN_LEAST || f.timeout / f.attempts > REFUSED_LEAST;
	const bool late = f.sum[RATE_late] > LATE_LEAST * f.sum[RATE_register_retransmitted];
	if (refusing)
		find_refusals(all, &f, view, wave);
	if (losing && f.ours)
		note(all, MOOD_PLAIN, "The drill itself impaired this proxy",
			"What was lost and sent again on the way to the %s (%s of the REGISTER "
			"datagrams) is sipherd's doing.",
			proxies[f.to], word_share(f.again, WORD));
	else if (losing && (late || is_slow(&f)))
		find_saturation(all, &f);
	else if (losing)
		find_drops(all, &f);
	else if ((is_slow(&f) || has_slow_second(&f)) && !f.ours)
		find_slowness(all, &f);
	else if (!refusing)
		find_health(all, &f, wave);
}

/* The prediction takes for granted that keep-alives are spread over their period. */
static bool ramp_is_short(const json_t *run)
{
	const double per_s = report_number(run, "fleet.ramp_per_s");
	const double ramp_ms = per_s > 0 ? report_number(run, "fleet.phones") * 1000 / per_s : 0;
	return ramp_ms < report_number(run, "fleet.keepalive.period_ms") &&
	       strcmp(report_text(run, "fleet.keepalive.first"), "spread") != 0;
}

/* NAN: there is no prediction, or too little to compare it with. */
static double distance_of(const json_t *wave)
{
	return report_number(wave, "phones") >= CURVE_PHONES
		       ? report_number(wave, "predicted.distance")
		       : NAN;
}

static void find_distance(struct findings *all, const json_t *run, const json_t *wave)
{
	const double distance = distance_of(wave);
	const double phones = fmax(1, report_number(wave, "phones"));
	char title[160], chance[160] = "";
	if (isnan(distance))
		return;
	if (BY_CHANCE / sqrt(phones) > AS_PREDICTED)
		snprintf(chance, sizeof(chance),
			" By chance alone %s phones may be up to %s away from it.",
			word_count(phones, WORD), word_share(BY_CHANCE / sqrt(phones), WORD));
	if (distance <= fmax(AS_PREDICTED, BY_CHANCE / sqrt(phones))) {
		snprintf(title, sizeof(title), "As predicted, within %s",
			word_share(distance, WORD));
		note(all, MOOD_GOOD, title,
			"The share of phones that had moved was never further than that from the "
			"curve that these timers predict.%s",
			chance);
		return;
	}
	snprintf(title, sizeof(title), "Off the prediction by %s", word_share(distance, WORD));
	note(all, MOOD_WARN, title,
		"The largest distance between the measured curve and the one that these timers "
		"predict "
		"was %s after the wave began.%s%s",
		word_ms(report_number(wave, "predicted.distance_at_ms"), WORD), chance,
		ramp_is_short(run)
			? " The ramp was shorter than the keep-alive period, so that keep-alives "
			  "came in bunches; the prediction takes an even spread for granted."
			: "");
}

/* Where no proxy was well, nobody could be. */
static bool both_touched(const json_t *drill, const json_t *wave)
{
	const double at = report_number(wave, "at_ms");
	const double until = at + report_number(wave, "lasted_ms");
	return touched(drill, PROXY_PRIMARY, at, until) &&
	       touched(drill, PROXY_REDUNDANT, at, until);
}

static void find_left_over(struct findings *all, const json_t *drill, const json_t *wave)
{
	const bool neither = both_touched(drill, wave);
	const double out = report_number(wave, "out"), phones = report_number(wave, "phones");
	const double flapping = report_number(wave, "flapping_phones");
	const double left = report_number(wave, "left");
	const bool watch = strcmp(report_text(wave, "kind"), "watch") == 0;
	char title[160];
	if (neither)
		note(all, MOOD_PLAIN, "The drill had impaired both proxies",
			"Phones that were out, left or switched again in this wave had no better "
			"place.");
	if (out > 0) {
		snprintf(title, sizeof(title), "%s phones were still out at the end of the wave",
			word_count(out, WORD));
		note(all, neither ? MOOD_PLAIN : MOOD_BAD, title, "That is %s of %s.",
			word_share(out / phones, WORD), word_count(phones, WORD));
	}
	if (flapping > 0) {
		snprintf(title, sizeof(title), "%s phones switched more than once",
			word_count(flapping, WORD));
		note(all, neither ? MOOD_PLAIN : MOOD_WARN, title, "%s further switches in all.",
			word_count(report_number(wave, "flaps"), WORD));
	}
	if (watch && left > 0) {
		snprintf(
			title, sizeof(title), "%s phones left their proxy", word_count(left, WORD));
		note(all, neither ? MOOD_PLAIN : MOOD_WARN, title, "That is %s of %s.",
			word_share(left / phones, WORD), word_count(phones, WORD));
	} else if (watch) {
		note(all, MOOD_GOOD, "No phone left its proxy", "All %s stayed.",
			word_count(phones, WORD));
	}
}

void explain_wave(struct findings *all, const struct drill_view *view, const json_t *wave)
{
	find_proxy(all, view, wave);
	find_left_over(all, view->drill, wave);
	find_distance(all, view->run, wave);
}

static void find_totals(struct findings *all, const json_t *drill)
{
	const double twice = report_number(drill, "totals.double_bound");
	const double stranded = report_number(drill, "totals.stranded");
	const double before = report_number(drill, "bunching.before.width_50_ms");
	const double after = report_number(drill, "bunching.width_50_ms");
	char title[160];
	if (stranded > 0) {
		snprintf(title, sizeof(title), "%s phones were stranded",
			word_count(stranded, WORD));
		note(all, MOOD_BAD, title,
			"When the drill was over they were registered nowhere, or not where they "
			"belong.");
	}
	if (twice > 0) {
		snprintf(title, sizeof(title), "%s phones were bound at both proxies",
			word_count(twice, WORD));
		note(all, MOOD_WARN, title,
			"Their old binding lasts until it expires; calls may take the wrong way.");
	}
	if (after > 0 && before > 0 && after < before / 2) {
		note(all, MOOD_PLAIN, "The herd is bunched now",
			"Half of the keep-alives of a period fall within %s; before the drill it "
			"was "
			"%s. The next outage will be noticed by more phones at once.",
			word_ms(after, WORD), word_ms(before, WORD));
	}
}

/* Of which wave it is said. */
static void name_wave(struct finding *finding, const json_t *wave)
{
	char title[sizeof(finding->title)];
	snprintf(title, sizeof(title), "%.40s: %.110s", report_text(wave, "name"), finding->title);
	memcpy(finding->title, title, sizeof(title));
}

void explain_drill(struct findings *all, const struct drill_view *view)
{
	const json_t *waves = report_at(view->drill, "waves");
	double distance = NAN;
	unsigned good = 0;
	for (size_t i = 0; i < json_array_size(waves) && i < SHOWN_WAVES_MAX; i++) {
		const json_t *wave = json_array_get(waves, i);
		unsigned kept = all->count;
		const unsigned before = kept;
		explain_wave(all, view, wave);
		for (unsigned n = before; n < all->count; n++) {
			if (all->finding[n].mood == MOOD_GOOD)
				continue;
			name_wave(&all->finding[n], wave);
			all->finding[kept++] = all->finding[n];
		}
		good += kept == before;
		distance = fmax(distance, distance_of(wave));
		all->count = kept;
	}
	char predicted[120] = "and all phones came back.";
	if (!isnan(distance))
		snprintf(predicted, sizeof(predicted),
			"all phones came back, and they moved as these timers predict, within %s.",
			word_share(distance, WORD));
	if (good > 0 && good == json_array_size(waves))
		note(all, MOOD_GOOD, good == 1 ? "The wave went well" : "All waves went well",
			"No REGISTER was refused or lost more than now and then, %s", predicted);
	find_totals(all, view->drill);
}
