/* SPDX-License-Identifier: BSD-3-Clause */
/* A loop that is turned until something has come about, or patience is at an end. */
#ifndef SIPHERD_TESTS_PATIENCE_H
#define SIPHERD_TESTS_PATIENCE_H

#include <ev.h>
#include <stdbool.h>

static inline void patience_on_tired(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	*(bool *)timer->data = true;
}

/* `tired` becomes true after so many seconds; the timer is to be stopped before it goes out of scope. */
static inline void patience_begin(
	struct ev_loop *loop, ev_timer *timer, bool *tired, double seconds)
{
	*tired = false;
	ev_timer_init(timer, patience_on_tired, seconds, 0);
	timer->data = tired;
	ev_now_update(loop);
	ev_timer_start(loop, timer);
}

/* Turns the loop of a bench, which has a loop and a message, until the condition holds. */
#define RUN_UNTIL(bench, condition)                                               \
	do {                                                                      \
		bool tired;                                                       \
		ev_timer timer;                                                   \
		patience_begin((bench)->loop, &timer, &tired, PATIENCE_S);        \
		while (!(condition) && !tired)                                    \
			ev_run((bench)->loop, EVRUN_ONCE);                        \
		ev_timer_stop((bench)->loop, &timer);                             \
		if (!(condition))                                                 \
			fail_msg("never: %s (%s)", #condition, (bench)->message); \
	} while (0)

#endif
