/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proxies that are host names: c-ares on the libev loop of the control thread, A and AAAA, asked
 * again when their TTL is over (no sooner than 5 s, no later than an hour). The answer in use stays
 * until another one comes; a name that stops resolving keeps its last address.
 */
#ifndef SIPHERD_RESOLVE_H
#define SIPHERD_RESOLVE_H

#include <ev.h>

#include "address.h"

struct resolver;

/* Called in the loop for every answer: the address to use and for how long it is good; ttl_s 0 and
 * address NULL: no answer, reason says why. */
struct resolver_events {
	void *context;
	void (*answer)(void *context, unsigned which, const struct address *address, unsigned ttl_s,
		const char *reason);
};

/* servers: NULL for the host's own configuration, else "127.0.0.1:5353[,...]". NULL: out of memory or
 * bad servers, with a reason. */
struct resolver *resolver_open(struct ev_loop *loop, const char *servers,
	const struct resolver_events *events, char reason[160]);

/* Keep a name resolved from now on. families has a bit per enum address_family that may be taken,
 * IPv4 first; the family of the first answer stays. which comes back in events and is below 8. */
void resolver_watch(struct resolver *resolver, unsigned which, const char *name, unsigned families);

void resolver_close(struct resolver *resolver);

#endif
