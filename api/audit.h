/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The audit log: who changed what over HTTP, one JSON object a line. A file that only its owner may
 * read, bounded: full, it becomes NAME.1, in place of the one before, and a new one begins. Without a
 * folder for it the lines go to stderr. Tokens are not in it: they are in headers, which are not
 * logged. Control thread only.
 */
#ifndef SIPHERD_AUDIT_H
#define SIPHERD_AUDIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define AUDIT_PATH_MAX 4096
#define AUDIT_BYTES_MAX (16u << 20)
#define AUDIT_BODY_MAX 1024 /* a longer one was no change that we know */

struct audit {
	char path[AUDIT_PATH_MAX]; /* empty: stderr */
	int fd;
	uint64_t bytes, limit; /* in the file */
};

struct audit_entry {
	uint64_t unix_ms;
	const struct sockaddr *peer; /* NULL: unknown */
	const char *role, *method, *path;
	const char *body; /* NULL: none was read */
	size_t length;
	unsigned status;
};

/* path NULL: stderr. 0 or -errno. */
int audit_open(struct audit *audit, const char *path);
/* Never fails the one who asked: what cannot be written is said once a time on stderr. */
void audit_write(struct audit *audit, const struct audit_entry *entry);
void audit_close(struct audit *audit);

#endif
