/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who listens. A connection that has read everything sleeps, out of the daemon's sight; it is woken once
 * there is more. What it does not read stays in its socket and nowhere else: the stream goes on without
 * it, and who stands still for too long, or falls out of the stream's end, is hung up on.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "events_internal.h"

#define BLOCK 16384              /* bytes at a time */
#define SOCKET_BYTES (32 * 1024) /* in the socket of one who reads slowly, about */

static size_t read_hello(struct listener *listener, char *out, size_t room)
{
	const size_t left = listener->hello_length - listener->hello_read;
	const size_t n = left < room ? left : room;
	memcpy(out, listener->hello + listener->hello_read, n);
	listener->hello_read += n;
	return n;
}

/* It is hung up on because it does not read; counted once, however long that takes. */
static void count_drop(struct listener *listener)
{
	listener->events->dropped += !listener->slow;
	listener->slow = true;
}

/* MHD wants more of the answer: as much as there is; or sleep. */
static ssize_t on_read(void *context, uint64_t position, char *out, size_t room)
{
	struct listener *listener = context;
	struct events *events = listener->events;
	(void)position; /* of the answer, not of the stream */
	if (listener->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	listener->read_us = events_now_us(events);
	if (listener->hello_read < listener->hello_length)
		return (ssize_t)read_hello(listener, out, room);
	const long n = stream_read(events->stream, &listener->position, out, room);
	if (n < 0) {
		count_drop(listener);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (n > 0)
		return n;
	if (events->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	listener->asleep = true;
	MHD_suspend_connection(listener->connection);
	return 0;
}

/* The answer is over, and with it the listening. */
static void on_free(void *context)
{
	struct listener *listener = context;
	struct events *events = listener->events;
	free(listener->hello);
	*listener = (struct listener){0};
	events->listeners--;
}

static bool greet(struct listener *listener, bool replayed)
{
	static const char head[] = "event: hello\ndata: ";
	const struct events_hello hello = {listener->events, replayed};
	char *text = events_text(events_tell_hello, &hello);
	if (text == NULL)
		return false;
	const size_t n = strlen(text);
	listener->hello_length = sizeof(head) - 1 + n + 2;
	listener->hello = malloc(listener->hello_length);
	if (listener->hello != NULL) {
		memcpy(listener->hello, head, sizeof(head) - 1);
		memcpy(listener->hello + sizeof(head) - 1, text, n);
		memcpy(listener->hello + sizeof(head) - 1 + n, "\n\n", 2);
	}
	free(text);
	return listener->hello != NULL;
}

/* Its limits are ours from now on. */
static void settle(struct listener *listener, struct MHD_Connection *connection)
{
	const int bytes = SOCKET_BYTES;
	listener->connection = connection;
	listener->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
			       ->connect_fd;
	setsockopt(listener->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
}

static struct listener *free_place(struct events *events)
{
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		if (events->listener[i].events == NULL)
			return &events->listener[i];
	return NULL;
}

bool events_have_room(const struct events *events)
{
	return events != NULL && !events->ended && events->listeners < EVENTS_LISTENERS_MAX;
}

uint32_t events_listeners(const struct events *events)
{
	return events != NULL ? events->listeners : 0;
}

struct events_totals events_totals(const struct events *events)
{
	return (struct events_totals){
		stream_newest(events->stream), events->begun, events->dropped};
}

struct MHD_Response *events_listen(
	struct events *events, struct MHD_Connection *connection, const char *last_id)
{
	struct listener *listener = events_have_room(events) ? free_place(events) : NULL;
	bool replayed;
	if (listener == NULL)
		return NULL;
	*listener = (struct listener){.events = events, .read_us = events_now_us(events)};
	listener->position = stream_begin(events->stream, last_id, &replayed);
	struct MHD_Response *response = greet(listener, replayed)
						? MHD_create_response_from_callback(
							  MHD_SIZE_UNKNOWN, BLOCK, on_read,
							  listener, on_free)
						: NULL;
	if (response == NULL) {
		free(listener->hello);
		*listener = (struct listener){0};
		return NULL;
	}
	events->listeners++;
	events->begun++;
	settle(listener, connection);
	return response;
}

static void wake(struct listener *listener)
{
	listener->asleep = false;
	listener->read_us = events_now_us(listener->events);
	MHD_resume_connection(listener->connection);
}

/* Nobody looks at the sockets of those who sleep, or would learn that they have left. */
static void notice_the_gone(struct events *events)
{
	struct pollfd polled[EVENTS_LISTENERS_MAX];
	struct listener *who[EVENTS_LISTENERS_MAX];
	nfds_t n = 0;
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++) {
		struct listener *listener = &events->listener[i];
		if (!listener->asleep)
			continue;
		polled[n] = (struct pollfd){.fd = listener->fd, .events = POLLRDHUP};
		who[n++] = listener;
	}
	if (n == 0 || poll(polled, n, 0) <= 0)
		return;
	for (nfds_t i = 0; i < n; i++) {
		if (polled[i].revents == 0)
			continue;
		who[i]->gone = true;
		wake(who[i]);
	}
}

void events_attend(struct events *events)
{
	const uint64_t now_us = events_now_us(events);
	const bool news = stream_newest(events->stream) != events->woken || events->ended;
	events->woken = stream_newest(events->stream);
	if (events->listeners == 0)
		return;
	notice_the_gone(events);
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++) {
		struct listener *listener = &events->listener[i];
		if (listener->asleep && news)
			wake(listener);
		else if (listener->events != NULL && !listener->asleep &&
			 now_us - listener->read_us > EVENTS_SLOW_S * 1000000ull) {
			count_drop(listener);
			shutdown(listener->fd, SHUT_RDWR);
		}
	}
}
