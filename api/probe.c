/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lookup.h"

#define DATAGRAM_MAX 65535
#define READ_MOST 64 /* datagrams per call of the loop: who is flooded still looks at its timers */

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- Which codes are good --- */

static bool take_codes(struct probe *probe, const char *item)
{
	unsigned low, high;
	int end = 0;
	if (sscanf(item, "%1u%n", &low, &end) == 1 && end == 1 && strcmp(item + 1, "xx") == 0) {
		high = low * 100 + 99;
		low *= 100;
	} else if (strspn(item, "0123456789") == 3 && item[3] == '\0') {
		low = high = (unsigned)strtoul(item, NULL, 10);
	} else if (strspn(item, "0123456789") == 3 && item[3] == '-' &&
		   strspn(item + 4, "0123456789") == 3 && item[7] == '\0') {
		low = (unsigned)strtoul(item, NULL, 10);
		high = (unsigned)strtoul(item + 4, NULL, 10);
	} else {
		return false;
	}
	if (low < 200 || high > PROBE_CODE_MAX || low > high)
		return false;
	memset(probe->good + low, 1, high - low + 1);
	return true;
}

static bool read_expected(struct probe *probe, const char *text)
{
	char copy[256], *rest = NULL;
	bool good = true;
	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		good = false;
	for (char *item = strtok_r(copy, ",", &rest); item && good;
		item = strtok_r(NULL, ",", &rest))
		good = take_codes(probe, item);
	if (!good)
		fprintf(stderr,
			"sipherd: --expect '%s': needs final codes, 200 to 699, such as 200 or "
			"2xx,404,480-489.\n",
			text);
	return good;
}

/* --- One request --- */

static void begin_request(struct probe_target *target);

static void finish_target(struct probe_target *target)
{
	struct ev_loop *loop = target->probe->loop;
	ev_timer_stop(loop, &target->next);
	ev_io_stop(loop, &target->readable);
	if (target->fd >= 0)
		close(target->fd);
	target->fd = -1;
	if (--target->probe->left == 0)
		ev_break(loop, EVBREAK_ALL);
}

/* The next one begins one interval after this one began, or now when this one took longer. */
static void end_request(struct probe_target *target)
{
	struct ev_loop *loop = target->probe->loop;
	const struct options *options = target->probe->options;
	ev_timer_stop(loop, &target->again);
	ev_timer_stop(loop, &target->deadline);
	target->waiting = false;
	if (target->result.requests == options->count) {
		finish_target(target);
		return;
	}
	const uint64_t due = target->started_us + options->interval_ms * 1000, now = now_us();
	ev_now_update(loop);
	ev_timer_set(&target->next, due > now ? (double)(due - now) / 1e6 : 0, 0);
	ev_timer_start(loop, &target->next);
}

static void refuse(struct probe_target *target, int error)
{
	snprintf(target->result.refused, PROBE_WHY_MAX, "%s",
		error == ECONNREFUSED ? "ICMP port unreachable" : strerror(error));
	end_request(target);
}

/* Errors that do not pass by themselves within the time that a request has. */
static bool is_final(int error)
{
	return error != EAGAIN && error != EINTR && error != ENOBUFS;
}

static void transmit(struct probe_target *target)
{
	struct probe *probe = target->probe;
	char text[PROBE_REQUEST_MAX];
	const size_t length = probe_request_write(&target->request, text);
	if (send(target->fd, text, length, 0) < 0) {
		if (is_final(errno)) {
			refuse(target, errno);
			return;
		}
	} else {
		target->result.datagrams++;
	}
	target->sent++;
	const uint32_t wait_ms = transaction_interval_ms(
		&probe->timers, target->sent, target->result.provisional != 0);
	ev_timer_set(&target->again, wait_ms / 1e3, 0);
	ev_timer_start(probe->loop, &target->again);
}

static void begin_request(struct probe_target *target)
{
	struct probe *probe = target->probe;
	target->request.number = ++target->result.requests;
	target->result.provisional = 0;
	target->waiting = true;
	target->sent = 0;
	target->started_us = now_us();
	ev_now_update(probe->loop);
	ev_timer_set(&target->deadline, (double)probe->options->timeout_ms / 1e3, 0);
	ev_timer_start(probe->loop, &target->deadline);
	transmit(target);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	transmit(timer->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	end_request(timer->data);
}

static void on_next(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	begin_request(timer->data);
}

static void take_final(struct probe_target *target, uint16_t code)
{
	struct probe_result *result = &target->result;
	const uint32_t rtt_us = (uint32_t)(now_us() - target->started_us);
	if (result->answered++ == 0 || rtt_us < result->rtt_min_us)
		result->rtt_min_us = rtt_us;
	if (rtt_us > result->rtt_max_us)
		result->rtt_max_us = rtt_us;
	result->rtt_sum_us += rtt_us;
	result->code = code;
	result->provisional = 0;
	if (!target->probe->good[code]) {
		result->unexpected++;
		result->bad_code = code;
	}
	end_request(target);
}

static void take_datagram(struct probe_target *target, const char *text, size_t length)
{
	struct probe_result *result = &target->result;
	uint16_t code = 0;
	enum probe_reading reading = probe_request_answer(&target->request, text, length, &code);
	if (reading == PROBE_STRANGE) {
		result->strange++;
	} else if (reading == PROBE_LATE || !target->waiting) {
		result->late++;
	} else if (reading == PROBE_PROVISIONAL) {
		/* Timer E has the length of T2 from its next start on. */
		result->provisional = code;
	} else {
		take_final(target, code);
	}
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	static char text[DATAGRAM_MAX];
	struct probe_target *target = io->data;
	(void)loop, (void)events;
	for (int i = 0; i < READ_MOST && target->fd >= 0; i++) {
		ssize_t length = recv(target->fd, text, sizeof(text), 0);
		if (length >= 0)
			take_datagram(target, text, (size_t)length);
		else if (errno == EAGAIN || errno == EINTR)
			return;
		else if (target->waiting)
			refuse(target, errno);
	}
}

/* --- The socket --- */

static socklen_t to_socket(
	const struct address *address, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (address->family == ADDRESS_IPV4) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address->bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)out;
	in->sin6_family = AF_INET6;
	in->sin6_port = htons(port);
	memcpy(&in->sin6_addr, address->bytes, 16);
	return sizeof(*in);
}

static bool address_of(const struct sockaddr *name, struct address *address, uint16_t *port)
{
	*address = (struct address){0};
	if (name->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)name;
		memcpy(address->bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
		return true;
	}
	if (name->sa_family != AF_INET6)
		return false;
	const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)name;
	address->family = ADDRESS_IPV6;
	memcpy(address->bytes, &in->sin6_addr, 16);
	*port = ntohs(in->sin6_port);
	return true;
}

/* Connected: the kernel passes on what comes from the proxy and nobody else, and what ICMP says. */
static int open_socket(struct probe_target *target)
{
	struct sockaddr_storage name;
	socklen_t length = to_socket(&target->result.address, target->request.port, &name);
	struct endpoint *local = &target->request.local;
	target->fd = socket(name.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (target->fd < 0 || connect(target->fd, (struct sockaddr *)&name, length) != 0)
		return -errno;
	length = sizeof(name);
	if (getsockname(target->fd, (struct sockaddr *)&name, &length) != 0 ||
		!address_of((struct sockaddr *)&name, &local->address, &local->port))
		return -errno;
	ev_io_init(&target->readable, on_readable, target->fd, EV_READ);
	target->readable.data = target;
	ev_io_start(target->probe->loop, &target->readable);
	return 0;
}

static void begin_target(struct probe_target *target)
{
	const int status = open_socket(target);
	if (status == 0) {
		begin_request(target);
		return;
	}
	/* No way there is an answer about the proxy; no socket is none. */
	const bool no_way = status == -ENETUNREACH || status == -EHOSTUNREACH;
	target->result.requests += no_way;
	snprintf(no_way ? target->result.refused : target->result.trouble, PROBE_WHY_MAX, "%s",
		strerror(-status));
	finish_target(target);
}

/* --- Names --- */

static void on_address(void *context, struct ares_addrinfo *info, const char *reason)
{
	struct probe_target *target = context;
	struct probe_result *result = &target->result;
	uint16_t port;
	/* IPv4 before IPv6, as the phones do it. */
	for (const struct ares_addrinfo_node *node = info ? info->nodes : NULL; node;
		node = node->ai_next) {
		struct address address;
		if (!address_of(node->ai_addr, &address, &port))
			continue;
		if (!result->known || address.family < result->address.family)
			result->address = address;
		result->known = true;
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	if (result->known) {
		begin_target(target);
		return;
	}
	snprintf(result->trouble, PROBE_WHY_MAX, "its name has no address: %s",
		reason != NULL ? reason : "none was given");
	finish_target(target);
}

static void find_target(struct probe_target *target, struct lookup *lookup)
{
	char bare[PROBE_HOST_MAX];
	const char *host = target->request.host;
	snprintf(bare, sizeof(bare), "%s", host[0] == '[' ? host + 1 : host);
	bare[strcspn(bare, "]")] = '\0';
	target->result.known = address_parse(bare, &target->result.address) == 0;
	if (target->result.known)
		begin_target(target);
	else if (lookup_ask(lookup, host, on_address, target) != 0)
		on_address(target, NULL, "out of memory");
}

/* --- The command --- */

static bool set_target(struct probe *probe, struct probe_target *target, const char *name)
{
	uint64_t random[2];
	*target = (struct probe_target){.probe = probe, .fd = -1, .result.name = name};
	if (!probe_request_target(&target->request, name)) {
		fprintf(stderr,
			"sipherd: '%s' is no proxy: needs HOST, HOST:PORT, ADDRESS:PORT or "
			"[IPv6]:PORT.\n",
			name);
		return false;
	}
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return false;
	target->request.secret = random[0];
	target->request.id = random[1];
	ev_timer_init(&target->again, on_again, 0, 0);
	ev_timer_init(&target->deadline, on_deadline, 0, 0);
	ev_timer_init(&target->next, on_next, 0, 0);
	target->again.data = target->deadline.data = target->next.data = target;
	return true;
}

static bool check_options(struct probe *probe)
{
	const struct options *options = probe->options;
	if (options->json && options->prometheus) {
		fprintf(stderr, "sipherd: --json and --prometheus exclude each other.\n");
		return false;
	}
	if (options->warning_ms != OPTIONS_NOT_GIVEN &&
		options->warning_ms > options->critical_ms) {
		fprintf(stderr, "sipherd: --warning is more than --critical.\n");
		return false;
	}
	return read_expected(probe, options->expect != NULL ? options->expect : "2xx,3xx,4xx,6xx");
}

/* Twice the same would be two figures of one name. */
static bool is_new(const struct probe *probe, uint32_t index)
{
	const struct probe_request *own = &probe->target[index].request;
	for (uint32_t i = 0; i < index; i++) {
		const struct probe_request *other = &probe->target[i].request;
		if (own->port != other->port || strcmp(own->host, other->host) != 0)
			continue;
		fprintf(stderr, "sipherd: %s:%u is named twice; --count asks more than once.\n",
			own->host, own->port);
		return false;
	}
	return true;
}

static bool prepare(struct probe *probe)
{
	const struct option_list *names = &probe->options->arguments;
	if (!check_options(probe))
		return false;
	probe->target = calloc(names->count, sizeof(*probe->target));
	probe->targets = probe->left = probe->target != NULL ? (uint32_t)names->count : 0;
	for (uint32_t i = 0; i < probe->targets; i++)
		if (!set_target(probe, &probe->target[i], names->item[i]) || !is_new(probe, i))
			return false;
	return probe->targets > 0;
}

static bool go(struct probe *probe)
{
	char reason[160];
	struct lookup *lookup = NULL;
	probe->loop = ev_loop_new(EVFLAG_AUTO);
	if (probe->loop != NULL)
		lookup = lookup_open(probe->loop, probe->options->dns, reason);
	if (lookup == NULL) {
		fprintf(stderr, "sipherd: name servers: %s\n",
			probe->loop != NULL ? reason : "no event loop");
	} else {
		for (uint32_t i = 0; i < probe->targets; i++)
			find_target(&probe->target[i], lookup);
		if (probe->left > 0)
			ev_run(probe->loop, 0);
	}
	lookup_close(lookup);
	if (probe->loop != NULL)
		ev_loop_destroy(probe->loop);
	return lookup != NULL;
}

int probe_misused(void)
{
	printf("SIP UNKNOWN - nothing was probed: see the message on standard error\n");
	return PROBE_UNKNOWN;
}

int run_probe(const struct options *options)
{
	struct probe probe = {.options = options,
		.timers = {.t1_ms = 500,
			.t2_ms = 4000,
			.no_response_ms = (uint32_t)options->timeout_ms}};
	int status = prepare(&probe) && go(&probe) ? (int)probe_print(&probe) : probe_misused();
	free(probe.target);
	return status;
}
