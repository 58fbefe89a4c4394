/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(struct audit *audit)
{
	struct stat stat;
	if (fstat(audit->fd, &stat) != 0)
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	audit->bytes = (uint64_t)stat.st_size;
	return fchmod(audit->fd, S_IRUSR | S_IWUSR) == 0 ? 0 : -errno;
}

/* Nothing else than a file of ours is written to. */
static int open_file(struct audit *audit)
{
	audit->fd = open(audit->path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		S_IRUSR | S_IWUSR);
	if (audit->fd < 0)
		return -errno;
	const int status = check_file(audit);
	if (status != 0)
		audit_close(audit);
	return status;
}

int audit_open(struct audit *audit, const char *path)
{
	*audit = (struct audit){.fd = -1, .limit = AUDIT_BYTES_MAX};
	if (path == NULL)
		return 0;
	if (snprintf(audit->path, sizeof(audit->path), "%s", path) >= (int)sizeof(audit->path))
		return -ENAMETOOLONG;
	return open_file(audit);
}

void audit_close(struct audit *audit)
{
	if (audit->path[0] != '\0' && audit->fd >= 0)
		close(audit->fd);
	audit->fd = -1;
}

static void rotate(struct audit *audit)
{
	char old[AUDIT_PATH_MAX + 2];
	snprintf(old, sizeof(old), "%s.1", audit->path);
	audit_close(audit);
	if (rename(audit->path, old) == 0)
		open_file(audit);
}

/* "127.0.0.1:54321", "[::1]:54321". */
static void format_peer(const struct sockaddr *peer, char out[INET6_ADDRSTRLEN + 10])
{
	char text[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *four = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)peer;
	const size_t room = INET6_ADDRSTRLEN + 10;
	if (peer != NULL && peer->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		snprintf(out, room, "[%s]:%u", text, ntohs(six->sin6_port));
	} else if (peer != NULL && peer->sa_family == AF_INET) {
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		snprintf(out, room, "%s:%u", text, ntohs(four->sin_port));
	} else {
		snprintf(out, room, "%s", text);
	}
}

/* Text that JSON cannot carry is left out. */
static json_t *text_or_null(const char *text, size_t length)
{
	json_t *made = text != NULL && length <= AUDIT_BODY_MAX ? json_stringn(text, length) : NULL;
	return made != NULL ? made : json_null();
}

static char *line_of(const struct audit_entry *entry, size_t *length)
{
	char peer[INET6_ADDRSTRLEN + 10];
	format_peer(entry->peer, peer);
	json_t *object = json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:i}", "unix_ms",
		(json_int_t)entry->unix_ms, "peer", peer, "role", entry->role, "method",
		entry->method, "path", text_or_null(entry->path, strlen(entry->path)), "body",
		text_or_null(entry->body, entry->length), "status", (int)entry->status);
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	*length = text != NULL ? strlen(text) : 0;
	if (text != NULL)
		text[(*length)++] = '\n'; /* in place of its NUL */
	return text;
}

void audit_write(struct audit *audit, const struct audit_entry *entry)
{
	size_t length;
	char *line = line_of(entry, &length);
	if (line == NULL)
		return;
	if (audit->path[0] == '\0') {
		fwrite(line, 1, length, stderr);
		free(line);
		return;
	}
	if (audit->fd < 0)
		open_file(audit);
	if (audit->fd >= 0 && audit->bytes + length > audit->limit)
		rotate(audit);
	const ssize_t n = audit->fd >= 0 ? write(audit->fd, line, length) : -1;
	audit->bytes += n > 0 ? (uint64_t)n : 0;
	if (n != (ssize_t)length)
		fprintf(stderr, "warning: the audit log %s: %s\n", audit->path, strerror(errno));
	free(line);
}
