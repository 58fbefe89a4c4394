/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_redis.h"

#include <hiredis/hiredis.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake_connection {
	struct fake_redis *fake;
	ev_io readable, writable;
	redisReader *reader;
	char *out; /* bytes that the client has not taken yet */
	size_t out_length;
	bool over; /* hang up when these are gone */
	unsigned slot;
};

static void hang_up(struct fake_connection *connection)
{
	struct fake_redis *fake = connection->fake;
	ev_io_stop(fake->loop, &connection->readable);
	ev_io_stop(fake->loop, &connection->writable);
	close(connection->readable.fd);
	redisReaderFree(connection->reader);
	fake->connection[connection->slot] = NULL;
	free(connection->out);
	free(connection);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)events;
	struct fake_connection *connection = io->data;
	const ssize_t n = send(
		io->fd, connection->out, connection->out_length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN) {
		hang_up(connection);
		return;
	}
	if (n > 0) {
		connection->out_length -= (size_t)n;
		memmove(connection->out, connection->out + n, connection->out_length);
	}
	if (connection->out_length > 0)
		return;
	ev_io_stop(loop, io);
	if (connection->over)
		hang_up(connection);
}

void fake_send(struct fake_redis *fake, const void *bytes, size_t length)
{
	struct fake_connection *connection = fake->now;
	char *out = realloc(connection->out, connection->out_length + length + 1);
	if (out == NULL)
		abort();
	memcpy(out + connection->out_length, bytes, length);
	connection->out = out;
	connection->out_length += length;
	ev_io_start(fake->loop, &connection->writable);
}

void fake_say(struct fake_redis *fake, const char *text)
{
	fake_send(fake, text, strlen(text));
}

void fake_hang_up(struct fake_redis *fake)
{
	fake->now->over = true;
	ev_io_start(fake->loop, &fake->now->writable);
}

bool fake_log_in(struct fake_redis *fake, const char *const *word, unsigned words)
{
	if (strcmp(word[0], "AUTH") == 0 || strcmp(word[0], "SELECT") == 0)
		fake_say(fake, "+OK\r\n");
	else if (words > 1 && strcmp(word[1], "sipherd_version") == 0)
		fake_say(fake, ":1\r\n");
	else
		return false;
	return true;
}

static void take_command(struct fake_connection *connection, const redisReply *command)
{
	struct fake_redis *fake = connection->fake;
	const char *word[FAKE_WORDS] = {""};
	unsigned words = 0;
	for (size_t i = 0; i < command->elements && words < FAKE_WORDS; i++)
		word[words++] = command->element[i]->str;
	fake->commands++;
	fake->now = connection;
	if (!connection->over)
		fake->script(fake, word, words);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	struct fake_connection *connection = io->data;
	char bytes[65536];
	void *command;
	const ssize_t n = recv(io->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || redisReaderFeed(connection->reader, bytes, (size_t)n) != REDIS_OK) {
		hang_up(connection);
		return;
	}
	while (redisReaderGetReply(connection->reader, &command) == REDIS_OK && command != NULL) {
		take_command(connection, command);
		freeReplyObject(command);
	}
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
	(void)events;
	struct fake_redis *fake = io->data;
	const int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned slot = 0;
	if (fd < 0)
		return;
	while (slot < FAKE_CONNECTIONS && fake->connection[slot] != NULL)
		slot++;
	struct fake_connection *connection = calloc(1, sizeof(*connection));
	if (slot == FAKE_CONNECTIONS || connection == NULL)
		abort();
	fake->connection[slot] = connection;
	fake->accepted++;
	connection->fake = fake;
	connection->slot = slot;
	connection->reader = redisReaderCreate();
	ev_io_init(&connection->readable, on_readable, fd, EV_READ);
	ev_io_init(&connection->writable, on_writable, fd, EV_WRITE);
	connection->readable.data = connection->writable.data = connection;
	ev_io_start(loop, &connection->readable);
	fake->now = connection;
	if (fake->greet != NULL)
		fake->greet(fake);
}

void fake_start(struct fake_redis *fake, struct ev_loop *loop, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fake->loop = loop;
	snprintf(fake->path, sizeof(fake->path), "%s", path);
	memcpy(address.sun_path, fake->path, sizeof(address.sun_path));
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(fd, 16) != 0)
		abort();
	ev_io_init(&fake->listening, on_connection, fd, EV_READ);
	fake->listening.data = fake;
	ev_io_start(loop, &fake->listening);
}

void fake_stop(struct fake_redis *fake)
{
	for (unsigned i = 0; i < FAKE_CONNECTIONS; i++)
		if (fake->connection[i] != NULL)
			hang_up(fake->connection[i]);
	ev_io_stop(fake->loop, &fake->listening);
	close(fake->listening.fd);
	unlink(fake->path);
}
