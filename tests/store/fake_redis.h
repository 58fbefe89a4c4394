/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Redis for tests that says what it is told to, in the loop of the test: on a unix socket, or on a
 * socket pair's end. It takes commands apart with hiredis' reader and asks the script what to send.
 */
#ifndef FAKE_REDIS_H
#define FAKE_REDIS_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_CONNECTIONS 8
#define FAKE_WORDS 8

struct fake_redis;

/* Called for every command of a connection with its first words; call fake_say and fake_hang_up. */
typedef void (*fake_script)(struct fake_redis *fake, const char *const *word, unsigned words);

struct fake_redis {
	struct ev_loop *loop;
	fake_script script;
	void *context;
	void (*greet)(struct fake_redis *fake); /* NULL, or called when a connection came */
	char path[108];
	unsigned accepted, commands; /* so far */
	struct fake_connection *now; /* who is talked to in the script */
	ev_io listening;
	struct fake_connection *connection[FAKE_CONNECTIONS];
};

void fake_start(struct fake_redis *fake, struct ev_loop *loop, const char *path);
void fake_stop(struct fake_redis *fake);

/* To the connection whose command this is. */
void fake_say(struct fake_redis *fake, const char *text);
void fake_send(struct fake_redis *fake, const void *bytes, size_t length);
void fake_hang_up(struct fake_redis *fake);

/* What a good Redis says while sipherd logs in; false: it is another command. */
bool fake_log_in(struct fake_redis *fake, const char *const *word, unsigned words);

#endif
