/* SPDX-License-Identifier: BSD-3-Clause */
#include "lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define SOCKETS 16
#define TRY_MS 1500 /* c-ares: time-out of the first try */
#define TRIES 2

struct lookup {
	struct ev_loop *loop;
	ares_channel channel;
	ev_timer timeout;
	struct {
		ev_io io;
		bool used;
	} socket[SOCKETS];
};

struct question {
	lookup_answer answer;
	void *context;
};

/* c-ares wants to be called again by its own clock. */
static void arm_timeout(struct lookup *lookup)
{
	struct timeval wait, *next = ares_timeout(lookup->channel, NULL, &wait);
	ev_timer_stop(lookup->loop, &lookup->timeout);
	if (next == NULL)
		return;
	ev_timer_set(&lookup->timeout, (double)next->tv_sec + (double)next->tv_usec / 1e6, 0);
	ev_timer_start(lookup->loop, &lookup->timeout);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct lookup *lookup = timer->data;
	ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timeout(lookup);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	struct lookup *lookup = io->data;
	ares_process_fd(lookup->channel, events & EV_READ ? io->fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? io->fd : ARES_SOCKET_BAD);
	arm_timeout(lookup);
}

/* c-ares tells which sockets it waits for. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct lookup *lookup = context;
	int slot = -1;
	for (int i = 0; i < SOCKETS; i++) {
		if (lookup->socket[i].used && lookup->socket[i].io.fd == fd) {
			slot = i;
			break;
		}
		if (!lookup->socket[i].used && slot < 0)
			slot = i;
	}
	if (slot < 0)
		return;
	ev_io *io = &lookup->socket[slot].io;
	if (lookup->socket[slot].used)
		ev_io_stop(lookup->loop, io);
	lookup->socket[slot].used = readable || writable;
	if (!lookup->socket[slot].used)
		return;
	ev_io_init(io, on_socket, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	io->data = lookup;
	ev_io_start(lookup->loop, io);
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
	(void)timeouts;
	struct question question = *(struct question *)context;
	free(context);
	const bool closing = status == ARES_EDESTRUCTION || status == ARES_ECANCELLED;
	if (status == ARES_SUCCESS)
		question.answer(question.context, info, NULL);
	else
		question.answer(question.context, NULL, closing ? NULL : ares_strerror(status));
}

int lookup_ask(struct lookup *lookup, const char *name, lookup_answer answer, void *context)
{
	const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT};
	struct question *question = malloc(sizeof(*question));
	if (question == NULL)
		return -ENOMEM;
	*question = (struct question){answer, context};
	ares_getaddrinfo(lookup->channel, name, NULL, &hints, on_answer, question);
	arm_timeout(lookup);
	return 0;
}

struct lookup *lookup_open(struct ev_loop *loop, const char *servers, char reason[160])
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	snprintf(reason, 160, "out of memory");
	if (lookup == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(lookup);
		return NULL;
	}
	struct ares_options options = {.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = lookup};
	lookup->loop = loop;
	ev_timer_init(&lookup->timeout, on_timeout, 0, 0);
	lookup->timeout.data = lookup;
	int status = ares_init_options(&lookup->channel, &options,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	const bool channel = status == ARES_SUCCESS;
	if (channel && servers != NULL)
		status = ares_set_servers_ports_csv(lookup->channel, servers);
	if (status == ARES_SUCCESS)
		return lookup;
	snprintf(reason, 160, "%s", ares_strerror(status));
	if (channel)
		ares_destroy(lookup->channel);
	ares_library_cleanup();
	free(lookup);
	return NULL;
}

void lookup_close(struct lookup *lookup)
{
	if (lookup == NULL)
		return;
	ares_destroy(lookup->channel);
	ev_timer_stop(lookup->loop, &lookup->timeout);
	for (int i = 0; i < SOCKETS; i++)
		if (lookup->socket[i].used)
			ev_io_stop(lookup->loop, &lookup->socket[i].io);
	ares_library_cleanup();
	free(lookup);
}
