/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolve.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 8
#define SOCKETS 16
#define TTL_LEAST_S 5
#define TTL_MOST_S 3600
#define TRY_MS 1500 /* c-ares: time-out of the first try */
#define TRIES 2

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
	ares_channel channel;
	struct resolver_events events;
	ev_timer timeout;
	struct watched watched[NAMES];
	unsigned names;
	struct {
		ev_io io;
		bool used;
	} socket[SOCKETS];
};

/* c-ares wants to be called again by its own clock. */
static void arm_timeout(struct resolver *resolver)
{
	struct timeval wait, *next = ares_timeout(resolver->channel, NULL, &wait);
	ev_timer_stop(resolver->loop, &resolver->timeout);
	if (next == NULL)
		return;
	ev_timer_set(&resolver->timeout, (double)next->tv_sec + (double)next->tv_usec / 1e6, 0);
	ev_timer_start(resolver->loop, &resolver->timeout);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct resolver *resolver = timer->data;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timeout(resolver);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	struct resolver *resolver = io->data;
	ares_process_fd(resolver->channel, events & EV_READ ? io->fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? io->fd : ARES_SOCKET_BAD);
	arm_timeout(resolver);
}

/* c-ares tells which sockets it waits for. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = context;
	int slot = -1;
	for (int i = 0; i < SOCKETS; i++) {
		if (resolver->socket[i].used && resolver->socket[i].io.fd == fd) {
			slot = i;
			break;
		}
		if (!resolver->socket[i].used && slot < 0)
			slot = i;
	}
	if (slot < 0)
		return;
	ev_io *io = &resolver->socket[slot].io;
	if (resolver->socket[slot].used)
		ev_io_stop(resolver->loop, io);
	resolver->socket[slot].used = readable || writable;
	if (!resolver->socket[slot].used)
		return;
	ev_io_init(io, on_socket, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	io->data = resolver;
	ev_io_start(resolver->loop, io);
}

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

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
	(void)timeouts;
	struct watched *watched = context;
	const struct resolver_events *events = &watched->resolver->events;
	struct address address;
	unsigned ttl_s = 0;
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return;
	if (status == ARES_SUCCESS && choose(watched, info, &address, &ttl_s)) {
		watched->known = true;
		watched->address = address;
		watched->families = 1u << address.family;
		events->answer(events->context, watched->which, &address, ttl_s, NULL);
	} else {
		ttl_s = TTL_LEAST_S;
		events->answer(events->context, watched->which, NULL, 0,
			status == ARES_SUCCESS ? "no address of a family that the phones have"
					       : ares_strerror(status));
	}
	ares_freeaddrinfo(info);
	ask_again(watched, ttl_s);
}

static void ask(struct watched *watched)
{
	const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT};
	ares_getaddrinfo(
		watched->resolver->channel, watched->name, NULL, &hints, on_answer, watched);
	arm_timeout(watched->resolver);
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
	if (resolver == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(resolver);
		return NULL;
	}
	struct ares_options options = {.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = resolver};
	resolver->loop = loop;
	resolver->events = *events;
	ev_timer_init(&resolver->timeout, on_timeout, 0, 0);
	resolver->timeout.data = resolver;
	int status = ares_init_options(&resolver->channel, &options,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	bool channel = status == ARES_SUCCESS;
	if (channel && servers != NULL)
		status = ares_set_servers_ports_csv(resolver->channel, servers);
	if (status == ARES_SUCCESS)
		return resolver;
	snprintf(reason, 160, "%s", ares_strerror(status));
	if (channel)
		ares_destroy(resolver->channel);
	ares_library_cleanup();
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
	ares_destroy(resolver->channel);
	ev_timer_stop(resolver->loop, &resolver->timeout);
	for (unsigned i = 0; i < resolver->names; i++) {
		ev_timer_stop(resolver->loop, &resolver->watched[i].again);
		free(resolver->watched[i].name);
	}
	for (int i = 0; i < SOCKETS; i++)
		if (resolver->socket[i].used)
			ev_io_stop(resolver->loop, &resolver->socket[i].io);
	ares_library_cleanup();
	free(resolver);
}
