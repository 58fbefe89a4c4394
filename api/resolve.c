/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lookup.h"

#define NAMES 8
#define TTL_LEAST_S 5
#define TTL_MOST_S 3600

struct watched {
	struct resolver *resolver;
	unsigned which;
	char *name;
	unsigned families; /* bit per enum address_family that may be taken */
	bool known;        /* address is in use; from then on its family stays */
	struct address address;
	ev_timer again;
};

struct resolver {
	struct ev_loop *loop;
	struct lookup *lookup;
	bool closing;
	struct resolver_events events;
	struct watched watched[NAMES];
	unsigned names;
};

static void ask_again(struct watched *watched, unsigned in_s)
{
	ev_timer_set(&watched->again, in_s, 0);
	ev_timer_start(watched->resolver->loop, &watched->again);
}

static bool address_of(const struct ares_addrinfo_node *node, struct address *address)
{
	*address = (struct address){0};
	if (node->ai_family == AF_INET) {
		address->family = ADDRESS_IPV4;
		memcpy(address->bytes, &((struct sockaddr_in *)node->ai_addr)->sin_addr, 4);
	} else if (node->ai_family == AF_INET6) {
		address->family = ADDRESS_IPV6;
		memcpy(address->bytes, &((struct sockaddr_in6 *)node->ai_addr)->sin6_addr, 16);
	} else {
		return false;
	}
	return true;
}

/* The address in use as long as it is among the answers, so that a name server that turns its list
 * does not turn the herd; else the first that may be taken, IPv4 before IPv6. */
static bool choose(const struct watched *watched, const struct ares_addrinfo *info,
	struct address *chosen, unsigned *ttl_s)
{
	bool found = false;
	*ttl_s = TTL_MOST_S;
	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		struct address address;
		if (!address_of(node, &address) || !(watched->families & 1u << address.family))
			continue;
		if (node->ai_ttl < (int)*ttl_s)
			*ttl_s = node->ai_ttl > TTL_LEAST_S ? (unsigned)node->ai_ttl : TTL_LEAST_S;
		bool in_use = watched->known && address_equal(&address, &watched->address);
		if (!found || in_use || address.family < chosen->family)
			*chosen = address;
		found = true;
		if (in_use)
			break;
	}
	return found;
}

static void on_answer(void *context, struct ares_addrinfo *info, const char *reason)
{
	struct watched *watched = context;
	const struct resolver_events *events = &watched->resolver->events;
	struct address address;
	unsigned ttl_s = 0;
	if (watched->resolver->closing)
		return;
	if (info != NULL && choose(watched, info, &address, &ttl_s)) {
		watched->known = true;
		watched->address = address;
		watched->families = 1u << address.family;
		events->answer(events->context, watched->which, &address, ttl_s, NULL);
	} else {
		ttl_s = TTL_LEAST_S;
		events->answer(events->context, watched->which, NULL, 0,
			info != NULL ? "no address of a family that the phones have" : reason);
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	ask_again(watched, ttl_s);
}

static void ask(struct watched *watched)
{
	if (lookup_ask(watched->resolver->lookup, watched->name, on_answer, watched) != 0)
		ask_again(watched, TTL_LEAST_S);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	ask(timer->data);
}

struct resolver *resolver_open(struct ev_loop *loop, const char *servers,
	const struct resolver_events *events, char reason[160])
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	snprintf(reason, 160, "out of memory");
	if (resolver == NULL)
		return NULL;
	resolver->loop = loop;
	resolver->events = *events;
	resolver->lookup = lookup_open(loop, servers, reason);
	if (resolver->lookup != NULL)
		return resolver;
	free(resolver);
	return NULL;
}

void resolver_watch(struct resolver *resolver, unsigned which, const char *name, unsigned families)
{
	if (resolver->names == NAMES)
		return;
	struct watched *watched = &resolver->watched[resolver->names++];
	*watched = (struct watched){
		.resolver = resolver, .which = which, .name = strdup(name), .families = families};
	ev_timer_init(&watched->again, on_again, 0, 0);
	watched->again.data = watched;
	if (watched->name != NULL)
		ask(watched);
}

void resolver_close(struct resolver *resolver)
{
	if (resolver == NULL)
		return;
	resolver->closing = true;
	lookup_close(resolver->lookup);
	for (unsigned i = 0; i < resolver->names; i++) {
		ev_timer_stop(resolver->loop, &resolver->watched[i].again);
		free(resolver->watched[i].name);
	}
	free(resolver);
}
