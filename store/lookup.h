/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of names by c-ares on a libev loop: nothing blocks, whatever the name servers do. One
 * question is one answer; who wants to know again asks again.
 */
#ifndef SIPHERD_LOOKUP_H
#define SIPHERD_LOOKUP_H

#include <ares.h>
#include <ev.h>

struct lookup;

/* Called once per question, maybe from within lookup_ask. info is to be freed by ares_freeaddrinfo;
 * NULL: there is none, and reason says why; it is NULL too when the lookup is being closed. */
typedef void (*lookup_answer)(void *context, struct ares_addrinfo *info, const char *reason);

/* servers: NULL for the host's own configuration, else "127.0.0.1:5353[,...]". NULL: out of memory or
 * bad servers, with a reason. */
struct lookup *lookup_open(struct ev_loop *loop, const char *servers, char reason[160]);
/* A and AAAA of a name. -ENOMEM: not asked. */
int lookup_ask(struct lookup *lookup, const char *name, lookup_answer answer, void *context);
/* Questions that wait are answered first, without info and reason. */
void lookup_close(struct lookup *lookup);

#endif
