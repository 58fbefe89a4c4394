/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "top.h"
#include "watch.h"

#define MOST 1e15 /* beyond every count, and small enough to be added up and made whole */

static const json_t *find(const json_t *value, const char *path)
{
	char name[64];
	while (value != NULL && *path != '\0') {
		const size_t n = strcspn(path, ".");
		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		value = json_object_get(value, name);
		path += n + (path[n] == '.');
	}
	return value;
}

double top_number(const json_t *value, const char *path, double standard)
{
	const json_t *found = find(value, path);
	return json_is_number(found) ? fmin(fmax(json_number_value(found), -MOST), MOST) : standard;
}

const char *top_text(const json_t *value, const char *path, const char *standard)
{
	const char *text = json_string_value(find(value, path));
	return text != NULL ? text : standard;
}

bool top_is(const json_t *value, const char *path)
{
	return json_is_true(find(value, path));
}

void top_note(struct top *top, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(top->note, sizeof(top->note), format, arguments);
	va_end(arguments);
	client_clean(top->note, strlen(top->note), false);
	top->note_until_ms = top->now_ms + 5000;
}

/* --- The time line --- */

static void add_second(struct top *top, const json_t *second)
{
	static const char *const names[TOP_SERIES] = {[SERIES_PRIMARY] = "registered_primary",
		[SERIES_REDUNDANT] = "registered_redundant",
		[SERIES_ELSEWHERE] = "elsewhere",
		[SERIES_REGISTER] = "register_sent",
		[SERIES_OPTIONS] = "options_sent",
		[SERIES_AGAIN] = "retransmitted",
		[SERIES_SWITCHES] = "failovers",
		[SERIES_RTT_P99] = "options_rtt_p99_us"};
	struct top_second new = {.at_s = top_number(second, "at_s", -1)};
	struct top_second *last = top->seconds > 0 ? &top->second[top->seconds - 1] : NULL;
	for (int i = 0; i < TOP_SERIES; i++)
		new.value[i] = top_number(second, names[i], 0);
	new.value[SERIES_SWITCHES] += top_number(second, "failbacks", 0);
	if (new.at_s < 0 || (last != NULL && new.at_s == last->at_s))
		return;
	/* Another run has begun. */
	if (last != NULL && new.at_s < last->at_s)
		top->seconds = 0;
	if (top->seconds == TOP_HISTORY)
		memmove(top->second, top->second + 1, --top->seconds * sizeof(new));
	top->second[top->seconds++] = new;
}

void top_take_timeline(struct top *top, const json_t *timeline)
{
	const json_t *list = json_object_get(timeline, "seconds");
	size_t index;
	json_t *second;
	const double first = top_number(json_array_get(list, 0), "at_s", 0);
	/* It holds all that we have, or it is another run's. */
	if (top->seconds > 0 && first <= top->second[0].at_s)
		top->seconds = 0;
	json_array_foreach (list, index, second) {
		if (top->seconds == 0 ||
			top_number(second, "at_s", 0) > top->second[top->seconds - 1].at_s)
			add_second(top, second);
	}
}

/* --- Events --- */

static void add_line(struct top *top, const json_t *data, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add_line(struct top *top, const json_t *data, const char *format, ...)
{
	char text[TOP_LINE_MAX - 16];
	struct tm utc = {0};
	const time_t when = (time_t)(top_number(data, "unix_ms", 0) / 1e3);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	gmtime_r(&when, &utc);
	snprintf(top->line[top->lines++ % TOP_LINES], TOP_LINE_MAX, "%02d:%02d:%02d  %s",
		utc.tm_hour % 24, utc.tm_min % 60, utc.tm_sec % 61, text);
}

static void take_transition(struct top *top, const json_t *data)
{
	add_line(top, data, "phone %.0f: %.12s%s -> %.12s%s, %.24s", top_number(data, "phone", 0),
		top_text(data, "from.proxy", "-"),
		top_is(data, "from.registered") ? " registered" : "",
		top_text(data, "to.proxy", "-"), top_is(data, "to.registered") ? " registered" : "",
		top_text(data, "cause", "-"));
}

void top_take_event(void *context, const struct sse_event *event)
{
	struct top *top = context;
	json_t *data = json_loadb(event->data, event->length, 0, NULL);
	top->streaming = true;
	top->fresh_ms = top->now_ms;
	if (strcmp(event->name, "tick") == 0 && data != NULL) {
		json_decref(top->tick);
		top->tick = json_incref(data);
		top->tick_ms = top->now_ms;
		add_second(top, json_object_get(data, "second"));
	} else if (strcmp(event->name, "transition") == 0) {
		take_transition(top, data);
	} else if (strcmp(event->name, "proxy") == 0) {
		add_line(top, data, "the %.12s proxy %s", top_text(data, "proxy", "-"),
			top_is(data, "answering") ? "answers" : "does not answer");
	} else if (strcmp(event->name, "drill") == 0) {
		add_line(top, data, "drill %.0f: %.120s", top_number(data, "id", 0),
			top_text(data, "text", ""));
	} else if (strcmp(event->name, "alert") == 0) {
		add_line(top, data, "%.120s", top_text(data, "text", ""));
	} else if (strcmp(event->name, "bye") == 0) {
		add_line(top, data, "sipherd says goodbye: %.100s", top_text(data, "reason", ""));
	}
	json_decref(data);
}

/* --- States --- */

static double phones_in(const json_t *fleet, const char *state, const char *proxy)
{
	char path[64];
	snprintf(path, sizeof(path), "phones.%s.%s", state, proxy);
	return top_number(fleet, path, 0);
}

void top_states(const struct top *top, double out[WATCH_STATES])
{
	static const char *const trying[] = {"boot", "registering", "waiting"};
	const json_t *fleet = top->page[PAGE_FLEET];
	memset(out, 0, WATCH_STATES * sizeof(*out));
	if (top->tick != NULL && top->streaming) {
		for (int i = 0; i < WATCH_STATES; i++)
			out[i] = top_number(json_object_get(top->tick, "states"),
				watch_state_name((enum watch_state)i), 0);
		return;
	}
	out[WATCH_ELSEWHERE] = top_number(fleet, "phones_configured", 0) -
			       top_number(fleet, "phones_driven", 0);
	out[WATCH_OFF] = phones_in(fleet, "off", "primary") + phones_in(fleet, "off", "redundant");
	for (size_t i = 0; i < sizeof(trying) / sizeof(trying[0]); i++) {
		out[WATCH_TRYING_PRIMARY] += phones_in(fleet, trying[i], "primary");
		out[WATCH_TRYING_REDUNDANT] += phones_in(fleet, trying[i], "redundant");
	}
	out[WATCH_REGISTERED_PRIMARY] = phones_in(fleet, "registered", "primary");
	out[WATCH_REGISTERED_REDUNDANT] = phones_in(fleet, "registered", "redundant");
	/* The proxy last tried is the one that they are on their way to. */
	out[WATCH_FAILING_OVER] = phones_in(fleet, "switching", "redundant");
	out[WATCH_FAILING_BACK] = phones_in(fleet, "switching", "primary");
}
