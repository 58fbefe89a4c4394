/* SPDX-License-Identifier: BSD-3-Clause */
#include "view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVENT_MAX 1200
#define SILENCE_S 5 /* longest time without a line where there is no terminal */

enum level { LEVEL_NONE, LEVEL_FIRST, LEVEL_HALF, LEVEL_ALL };

const char *view_number(uint64_t value, char out[32])
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value), at = 0;
	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static bool is_dumb(void)
{
	const char *term = getenv("TERM");
	return term == NULL || strcmp(term, "dumb") == 0;
}

void view_open(struct view *view, FILE *out, uint32_t phones, void *context,
	void (*heard)(void *context, const char *text))
{
	*view = (struct view){.out = out,
		.context = context,
		.heard = heard,
		.phones = phones,
		.terminal = isatty(fileno(out)) && !is_dumb()};
}

/* Take the block off the screen, so that a line can be written where it was. */
static void erase(struct view *view)
{
	if (view->drawn > 0)
		fprintf(view->out, "\033[%uA\033[J", view->drawn);
	view->drawn = 0;
}

void view_step(struct view *view, double at_s, const char *text)
{
	erase(view);
	fprintf(view->out, "%7.1f s  * %s\n", at_s, text);
	fflush(view->out);
}

void view_drill(struct view *view, const char *text)
{
	if (text[0] == '\0' && view->drill[0] != '\0')
		erase(view); /* the block is a line shorter from now on */
	snprintf(view->drill, sizeof(view->drill), "%s", text);
}

void view_event(struct view *view, double at_s, const char *format, ...)
{
	char text[EVENT_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	view_step(view, at_s, text);
	if (view->heard != NULL)
		view->heard(view->context, text);
}

void view_share(struct view *view, uint32_t phones, const char *store)
{
	view->phones = phones;
	snprintf(view->store, sizeof(view->store), "%s", store);
}

/* Announce when a proxy has its first phone, half of them, all of them, none any more. */
static void tell_levels(struct view *view, const struct wire_snapshot *now, double at_s)
{
	char number[32];
	for (int p = 0; p < PROXIES; p++) {
		uint32_t here = now->population.phones[PHONE_REGISTERED][p];
		const char *name = proxy_name((enum proxy)p);
		uint8_t level = here == 0                     ? LEVEL_NONE
				: here == view->phones        ? LEVEL_ALL
				: here * 2ull >= view->phones ? LEVEL_HALF
							      : LEVEL_FIRST;
		if (level > view->level[p]) {
			if (level == LEVEL_ALL)
				view_event(view, at_s, "all %s phones registered at the %s proxy",
					view_number(view->phones, number), name);
			else if (level == LEVEL_HALF)
				view_event(view, at_s,
					"half of the phones registered at the %s proxy", name);
			else
				view_event(
					view, at_s, "first phone registered at the %s proxy", name);
		} else if (level == LEVEL_NONE && view->level[p] != LEVEL_NONE) {
			view_event(
				view, at_s, "no phone registered at the %s proxy any more", name);
		}
		/* On the way down a level is announced again only after the proxy was empty. */
		if (level > view->level[p] || level == LEVEL_NONE)
			view->level[p] = level;
	}
}

static bool differs(const struct tally_second *a, const struct tally_second *b)
{
	return memcmp(a->registered, b->registered, sizeof(a->registered)) != 0 ||
	       a->elsewhere != b->elsewhere;
}

static void tell_second(struct view *view, const struct tally_second *s)
{
	if (!differs(s, &view->said) && s->at_s - view->said_s < SILENCE_S - 0.5f)
		return;
	view->said = *s;
	view->said_s = s->at_s;
	fprintf(view->out,
		"%7.1f s  primary %-7u redundant %-7u elsewhere %-7u | REGISTER %u/s OPTIONS %u/s "
		"again %u/s | RTT p50 %.2f p99 %.2f ms%s%s%s\n",
		(double)s->at_s, s->registered[PROXY_PRIMARY], s->registered[PROXY_REDUNDANT],
		s->elsewhere, s->register_sent, s->options_sent, s->retransmitted,
		s->rtt_p50_us / 1e3, s->rtt_p99_us / 1e3, s->not_sent ? "  NOT SENT" : "",
		view->drill[0] ? " | " : "", view->drill);
	fflush(view->out);
}

static void line(struct view *view, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct view *view, const char *format, ...)
{
	char text[640];
	struct winsize size = {0};
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	/* A line that wraps would be two, and the block would walk up the screen. */
	ioctl(fileno(view->out), TIOCGWINSZ, &size);
	fprintf(view->out, "%.*s\033[K\n", size.ws_col > 1 ? size.ws_col - 1 : (int)sizeof(text),
		text);
	view->drawn++;
}

static double busiest(const struct wire_snapshot *now)
{
	float ratio = 0;
	for (unsigned i = 0; i < now->workers; i++)
		if (now->worker[i].busy_ratio > ratio)
			ratio = now->worker[i].busy_ratio;
	return (double)ratio;
}

static void draw(struct view *view, const struct tally_second *s, const struct wire_snapshot *now,
	double at_s)
{
	const struct herd_population *p = &now->population;
	uint32_t all[PROXIES] = {0};
	static const enum phone_state order[] = {PHONE_REGISTERED, PHONE_REGISTERING,
		PHONE_SWITCHING, PHONE_WAITING, PHONE_BOOT, PHONE_OFF};
	/* Drawn over, not erased first: nothing flickers. */
	if (view->drawn > 0)
		fprintf(view->out, "\033[%uA", view->drawn);
	view->drawn = 0;
	line(view, "%7.1f s   %12s %12s", at_s, "primary", "redundant");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		line(view, "%12s %12u %12u", phone_state_name(order[i]),
			p->phones[order[i]][PROXY_PRIMARY], p->phones[order[i]][PROXY_REDUNDANT]);
	for (int state = 0; state < PHONE_STATES; state++)
		for (int proxy = 0; proxy < PROXIES; proxy++)
			all[proxy] += p->phones[state][proxy];
	line(view, "%12s %12u %12u", "all", all[PROXY_PRIMARY], all[PROXY_REDUNDANT]);
	line(view, "  REGISTER %u/s  OPTIONS %u/s  retransmitted %u/s  silent %u/s",
		s->register_sent, s->options_sent, s->retransmitted, s->silent);
	line(view, "  OPTIONS RTT p50 %.2f ms  p99 %.2f ms", s->rtt_p50_us / 1e3,
		s->rtt_p99_us / 1e3);
	line(view, "  lateness p99.9 %.2f ms  not sent %" PRIu64 "  busy %.0f %%",
		histogram_quantile(&now->histograms.lateness_us, 0.999) / 1e3, tally_not_sent(now),
		busiest(now) * 100);
	if (view->store[0] != '\0')
		line(view, "  store: %s", view->store);
	if (view->drill[0] != '\0')
		line(view, "  drill: %s", view->drill);
	fflush(view->out);
}

void view_update(struct view *view, const struct tally *tally, const struct wire_snapshot *now,
	double at_s, bool second_over)
{
	tell_levels(view, now, at_s);
	if (view->terminal)
		draw(view, tally_latest(tally), now, at_s);
	else if (second_over)
		tell_second(view, tally_latest(tally));
}

void view_registrars(struct view *view, const struct tally *tally, bool has_redundant)
{
	const struct tally_second *s = tally_latest(tally);
	char number[32];
	bool same = memcmp(s->bound, view->said.bound, sizeof(s->bound)) == 0;
	if (same && s->at_s - view->said_s < SILENCE_S - 0.5f)
		return;
	view->said = *s;
	view->said_s = s->at_s;
	fprintf(view->out, "%7.1f s ", (double)s->at_s);
	for (int p = 0; p < (has_redundant ? PROXIES : 1); p++)
		fprintf(view->out, "%s %s %s bound, %u requests/s", p > 0 ? " |" : "",
			proxy_name((enum proxy)p), view_number(s->bound[p], number),
			s->requests[p]);
	fputc('\n', view->out);
	fflush(view->out);
}

void view_close(struct view *view)
{
	view->drawn = 0;
}
