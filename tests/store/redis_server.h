/* SPDX-License-Identifier: BSD-3-Clause */
/* A redis-server for tests that kill it and start it again at the same place. */
#ifndef SIPHERD_TESTS_REDIS_SERVER_H
#define SIPHERD_TESTS_REDIS_SERVER_H

#include <sys/types.h>

/* Start one on the unix socket `path`, which keeps nothing, works in `folder` and takes DEBUG. It may
 * not answer yet; it ends with us at the latest. Negative: it could not be started. */
pid_t redis_server_start(const char *folder, const char *path);
/* SIGKILL; the socket is gone, too, as if the host had been. */
void redis_server_kill(pid_t pid, const char *path);

#endif
