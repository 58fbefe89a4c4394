/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a hook's two sides say to each other, over a socket pair of whole messages. They are the same
 * program, so structs go as they are.
 *
 * First comes struct hook_order, then at most one more message of any content: undo. The end of the
 * connection says the same. The guardian tells `run` and `undo` when each has ended, in this order.
 */
#ifndef SIPHERD_HOOK_INTERNAL_H
#define SIPHERD_HOOK_INTERNAL_H

#include "hook.h"

struct hook_order {
	struct hook hook;
	bool undo_only;
};

struct hook_news {
	bool undone; /* false: `run` has ended */
	int code;
};

#define HOOK_GRACE_MS 500 /* between SIGTERM and SIGKILL */

/* What commands print, line by line to stderr: bounded, printable, and never waiting for the reader. */
struct relay {
	const char *name;
	int out;
	bool is_socket;
	char line[256];
	unsigned used;
	unsigned left; /* bytes that are still shown */
};

void relay_open(struct relay *relay, const char *name);
/* A new allowance: another command begins. */
void relay_refill(struct relay *relay);
void relay_bytes(struct relay *relay, const char *bytes, unsigned count);
/* The rest of a line that was never ended. */
void relay_flush(struct relay *relay);
/* A line of our own. */
void relay_say(struct relay *relay, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
