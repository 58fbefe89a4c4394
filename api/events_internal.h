/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the events share.
 *
 *   events.c         what is said and when
 *   events_tell.c    how it is said: JSON and its schemas
 *   events_listen.c  who listens: connections that sleep and wake
 */
#ifndef SIPHERD_EVENTS_INTERNAL_H
#define SIPHERD_EVENTS_INTERNAL_H

#include "events.h"
#include "stream.h"

/* A place in the stream, and a connection that reads from it. */
struct listener {
	struct events *events;             /* NULL: free */
	struct MHD_Connection *connection; /* NULL: it has not begun to read */
	int fd;
	uint64_t position, read_us; /* when it last took something, or was up to date */
	char *hello;                /* comes first */
	size_t hello_length, hello_read;
	bool asleep, gone; /* suspended; the other end has hung up */
	bool slow;         /* it is being hung up on for not reading */
};

struct events {
	struct picture picture;
	struct watch *watch;
	struct stream *stream;
	struct listener *listener; /* [EVENTS_LISTENERS_MAX] */
	uint32_t listeners;
	uint64_t begun, dropped; /* who ever listened; of these, hung up on for being too slow */
	uint64_t woken;          /* the newest event when those who sleep were last woken */
	bool limited;            /* the generator's verdict, as it was last told */
	bool ended;              /* bye has been said */
	struct events_mark mark[EVENTS_MARKS]; /* a ring */
	uint64_t marks;                        /* ever set */
};

static inline uint64_t events_now_us(const struct events *events)
{
	return events->picture.now->now_us;
}

/* --- events_tell.c: data of each event, to be freed with free(); NULL: out of memory --- */

struct events_hello {
	const struct events *events;
	bool replayed;
};

struct events_delta {
	uint64_t sequence;
	const uint8_t *records;
	size_t count;
};

struct events_proxy_state {
	enum proxy proxy;
	bool answering;
};

struct events_alert_text {
	bool warning;
	const char *text;
};

typedef void (*events_describe)(struct shape *shape, const void *what);

void events_tell_hello(struct shape *shape, const void *what);  /* struct events_hello */
void events_tell_tick(struct shape *shape, const void *what);   /* struct events */
void events_tell_delta(struct shape *shape, const void *what);  /* struct events_delta */
void events_tell_resync(struct shape *shape, const void *what); /* uint64_t */
void events_tell_sample(struct shape *shape, const void *what); /* struct watch_transition */
void events_tell_proxy(struct shape *shape, const void *what);  /* struct events_proxy_state */
void events_tell_alert(struct shape *shape, const void *what);  /* struct events_alert_text */
void events_tell_drill(struct shape *shape, const void *what);  /* struct drills_news */
void events_tell_bye(struct shape *shape, const void *what);    /* char */
char *events_text(events_describe describe, const void *what);
bool events_is_limited(const struct picture *picture, char *why, size_t size);

/* --- events_listen.c --- */

/* Wake those who have something to read, and look after the others. */
void events_attend(struct events *events);

#endif
