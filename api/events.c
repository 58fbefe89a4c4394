/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said, and when. */
#include "events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "events_internal.h"

uint64_t events_unix_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Without memory for its data, an event says nothing more than that it was. */
static void say(struct events *events, const char *name, events_describe describe, const void *what)
{
	char *text = events_text(describe, what);
	const char *data = text != NULL ? text : "{}";
	stream_add(events->stream, name, data, strlen(data), events_now_us(events));
	free(text);
}

static void on_delta(void *context, uint64_t sequence, const uint8_t *records, size_t count)
{
	const struct events_delta delta = {sequence, records, count};
	say(context, "delta", events_tell_delta, &delta);
}

static void on_resync(void *context, uint64_t sequence)
{
	say(context, "resync", events_tell_resync, &sequence);
}

static void on_transition(void *context, const struct watch_transition *transition)
{
	say(context, "transition", events_tell_sample, transition);
}

void events_proxy(struct events *events, enum proxy proxy, bool answering)
{
	const struct events_proxy_state state = {proxy, answering};
	if (events != NULL)
		say(events, "proxy", events_tell_proxy, &state);
}

void events_alert(struct events *events, bool warning, const char *text)
{
	const struct events_alert_text alert = {warning, text};
	if (events != NULL && !events->ended)
		say(events, "alert", events_tell_alert, &alert);
}

/* --- Drills --- */

static void on_lines(void *context, const struct mirror_line *line, size_t count)
{
	const struct events *events = context;
	drills_lines(events->picture.drills, line, count);
}

static void set_mark(struct events *events, const struct drills_news *news)
{
	struct events_mark *mark = &events->mark[events->marks++ % EVENTS_MARKS];
	*mark = (struct events_mark){.drill = news->id,
		.phase = (uint8_t)news->phase,
		.act = news->act,
		.proxy = news->proxy,
		.restores = news->restores,
		.at_s = picture_at_s(&events->picture),
		.unix_ms = news->unix_ms};
	snprintf(mark->name, sizeof(mark->name), "%s", news->plan->name);
	snprintf(mark->text, sizeof(mark->text), "%s", news->text);
}

void events_drill(struct events *events, const struct drills_news *news)
{
	if (events == NULL)
		return;
	set_mark(events, news);
	if (!events->ended)
		say(events, "drill", events_tell_drill, news);
}

uint32_t events_marks(const struct events *events)
{
	if (events == NULL)
		return 0;
	return events->marks < EVENTS_MARKS ? (uint32_t)events->marks : EVENTS_MARKS;
}

const struct events_mark *events_mark(const struct events *events, uint32_t index)
{
	const uint64_t oldest = events->marks - events_marks(events);
	return &events->mark[(oldest + index) % EVENTS_MARKS];
}

/* --- What is told each second --- */

/* The generator's verdict is news when it changes. */
static void tell_verdict(struct events *events)
{
	char why[200], text[240];
	const bool limited = events_is_limited(&events->picture, why, sizeof(why));
	if (limited == events->limited)
		return;
	events->limited = limited;
	if (limited)
		snprintf(text, sizeof(text), "the generator is the limit: %s", why);
	else
		snprintf(text, sizeof(text), "the generator keeps up again");
	events_alert(events, limited, text);
}

void events_update(struct events *events, bool stopping, bool second_over)
{
	if (events == NULL)
		return;
	events->picture.stopping = stopping;
	watch_update(events->watch, events_now_us(events));
	if (second_over) {
		tell_verdict(events);
		say(events, "tick", events_tell_tick, events);
	}
	events_attend(events);
}

void events_bye(struct events *events, const char *reason)
{
	if (events == NULL || events->ended)
		return;
	say(events, "bye", events_tell_bye, reason);
	events->ended = true;
	events_attend(events);
}

struct watch *events_watch(struct events *events)
{
	return events != NULL ? events->watch : NULL;
}

static bool open_stream(struct events *events)
{
	char run[20];
	uint64_t word = 0;
	if (getrandom(&word, sizeof(word), 0) != sizeof(word))
		return false;
	snprintf(run, sizeof(run), "%016" PRIx64, word);
	events->stream = stream_open(run);
	return events->stream != NULL;
}

int events_open(struct events **out, const struct picture *picture)
{
	struct events *events = calloc(1, sizeof(*events));
	if (events == NULL)
		return -ENOMEM;
	const struct watch_events told = {events, on_delta, on_resync, on_transition, on_lines};
	events->picture = *picture;
	events->listener = calloc(EVENTS_LISTENERS_MAX, sizeof(*events->listener));
	if (events->listener == NULL || !open_stream(events) ||
		watch_open(&events->watch, picture->share->mirror, &told) != 0) {
		events_close(events);
		return -ENOMEM;
	}
	*out = events;
	return 0;
}

void events_close(struct events *events)
{
	if (events == NULL)
		return;
	watch_close(events->watch);
	stream_close(events->stream);
	free(events->listener);
	free(events);
}
