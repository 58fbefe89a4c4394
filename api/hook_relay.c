/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hook_internal.h"

#define SHOWN_MAX 65536u /* bytes of one command */

/* A reader that does not read must not keep the guardian from its undo. O_NONBLOCK belongs to what is open,
 * which sipherd and others share: pipes and terminals are opened once more. */
void relay_open(struct relay *relay, const char *name)
{
	struct stat what;
	*relay = (struct relay){.name = name, .out = STDERR_FILENO, .left = SHOWN_MAX};
	if (fstat(STDERR_FILENO, &what) != 0)
		return;
	relay->is_socket = S_ISSOCK(what.st_mode);
	if (!S_ISFIFO(what.st_mode) && !S_ISCHR(what.st_mode))
		return;
	const int own = open(
		"/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_APPEND);
	if (own >= 0)
		relay->out = own;
}

void relay_refill(struct relay *relay)
{
	relay->left = SHOWN_MAX;
}

static void write_out(const struct relay *relay, const char *text, size_t length)
{
	struct pollfd room = {.fd = relay->out, .events = POLLOUT};
	if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
		return;
	const ssize_t wrote = relay->is_socket
				      ? send(relay->out, text, length, MSG_DONTWAIT | MSG_NOSIGNAL)
				      : write(relay->out, text, length);
	(void)wrote; /* what finds no reader is lost */
}

/* Programs may print anything; terminals obey some of it. */
static char printable(char c)
{
	return c == '\t' ? ' ' : c < ' ' || c > '~' ? '?' : c;
}

static void put_line(const struct relay *relay, const char *line, unsigned length)
{
	char text[64 + sizeof(relay->line) + 16];
	size_t used = (size_t)snprintf(text, sizeof(text), "hook %.63s: ", relay->name);
	for (unsigned i = 0; i < length && used < sizeof(text) - 1; i++)
		text[used++] = line[i];
	for (size_t i = 0; i < used; i++)
		text[i] = printable(text[i]);
	text[used++] = '\n';
	write_out(relay, text, used);
}

void relay_flush(struct relay *relay)
{
	if (relay->used > 0)
		put_line(relay, relay->line, relay->used);
	relay->used = 0;
}

static void put_byte(struct relay *relay, char byte)
{
	if (byte == '\n' || relay->used == sizeof(relay->line))
		relay_flush(relay);
	if (byte != '\n' && byte != '\r')
		relay->line[relay->used++] = byte;
}

void relay_bytes(struct relay *relay, const char *bytes, unsigned count)
{
	for (unsigned i = 0; i < count && relay->left > 0; i++) {
		put_byte(relay, bytes[i]);
		if (--relay->left == 0) {
			relay_flush(relay);
			relay_say(relay, "what it prints from here on is not shown");
		}
	}
}

void relay_say(struct relay *relay, const char *format, ...)
{
	char text[sizeof(relay->line)];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	put_line(relay, text, (unsigned)strlen(text));
}
