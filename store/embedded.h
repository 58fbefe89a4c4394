/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The embedded default: a private redis-server on a unix socket, started and ended with us.
 *
 * No TCP port, nothing saved (restarts are the image file's business), socket 0700 in a folder of
 * our own. It ends when we do, even when we are killed (PR_SET_PDEATHSIG), and ends by itself.
 */
#ifndef SIPHERD_EMBEDDED_H
#define SIPHERD_EMBEDDED_H

#include <sys/types.h>

#define EMBEDDED_REASON_MAX 400

struct embedded {
	pid_t pid;
	char folder[80]; /* made by us, removed at the end */
	char socket[108];
};

/* Start one below `dir` (or below /tmp when that path would be too long for a socket) and wait until
 * it answers, at most 5 s. 0; -ENOENT: there is no redis-server; -errno. Reason with remedy. */
int embedded_start(struct embedded *embedded, const char *dir, char reason[EMBEDDED_REASON_MAX]);
/* From now on it keeps to the CPUs of the calling thread. It begins before the workers have theirs. */
void embedded_follow(const struct embedded *embedded);
void embedded_stop(struct embedded *embedded);

#endif
