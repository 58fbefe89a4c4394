/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

#define RING 256                /* calls: the window, an ASKING before each, and logging in */
#define READ_BYTES (64u << 10)  /* taken from the socket at once */
#define WRITE_BYTES (64u << 10) /* what the buffer of outgoing bytes grows by */
#define NUMBER_MAX 24           /* "*NUMBER\r\n" */

#define LOOKUP_S 5.0 /* for name servers to answer */

enum link_state { LINK_IDLE, LINK_FAILED, LINK_LOOKING, LINK_CONNECTING, LINK_OPEN };

/* A question to the name servers; it may outlive the link's interest in it. */
struct asked {
	struct link *link; /* NULL: nobody wants to know any more */
	uint16_t port;
};

struct link {
	struct ev_loop *loop;
	struct link_events events;
	enum link_state state;
	int fd;
	ev_io readable, writable;
	ev_timer patience; /* to connect, or for a reply */
	bool busy;         /* in an answer: closing waits until it has returned */
	bool doomed;       /* close as soon as it may be */
	char why[LINK_WHY_MAX];
	struct asked *asked;
	unsigned tries; /* which of a name's addresses is next */
	/* Replies. */
	redisReader *reader;
	struct measure measure;
	size_t partial; /* bytes read since the last complete reply */
	/* Calls that wait for their answer: a ring. */
	struct link_call call[RING];
	unsigned first, calls;
	bool windowed[RING];
	unsigned window_calls;
	size_t window_bytes;
	/* Bytes that the kernel has not taken yet: out[out_begin..out_end). */
	char *out;
	size_t out_begin, out_end, out_size;
	uint64_t bytes_sent;
};

static_assert(RING >= 2 * ROUTER_CALLS + 16, "an ASKING before each call, and logging in");

static bool begin_reader(struct link *link)
{
	link->reader = redisReaderCreate();
	if (link->reader == NULL)
		return false;
	measure_begin(&link->measure, link->reader);
	link->reader->maxbuf = 0; /* else the buffer is given back and grown anew for every slab */
	link->partial = 0;
	return true;
}

/* Calls are answered while the link is idle already, so that none is made anew from there. */
static void close_now(struct link *link, bool timed_out)
{
	char why[LINK_WHY_MAX];
	memcpy(why, link->why, sizeof(why));
	ev_io_stop(link->loop, &link->readable);
	ev_io_stop(link->loop, &link->writable);
	ev_timer_stop(link->loop, &link->patience);
	if (link->fd >= 0)
		close(link->fd);
	if (link->reader != NULL)
		redisReaderFree(link->reader);
	free(link->out);
	if (link->asked != NULL)
		link->asked->link = NULL;
	link->fd = -1;
	link->asked = NULL;
	link->reader = NULL;
	link->out = NULL;
	link->out_begin = link->out_end = link->out_size = 0;
	link->state = LINK_IDLE;
	link->doomed = false;
	link->window_calls = 0;
	link->window_bytes = 0;
	while (link->calls > 0) {
		const struct link_call call = link->call[link->first];
		link->first = (link->first + 1) % RING;
		link->calls--;
		call.done(link->events.owner, &call, NULL);
	}
	if (link->events.closed != NULL)
		link->events.closed(link->events.owner, why, timed_out);
}

static void drop(struct link *link, const char *why, bool timed_out)
{
	if (link->state == LINK_IDLE || link->doomed)
		return;
	if (why != link->why)
		snprintf(link->why, sizeof(link->why), "%s", why);
	if (link->busy)
		link->doomed = true;
	else
		close_now(link, timed_out);
}

void link_drop(struct link *link, const char *why)
{
	drop(link, why, false);
}

/* The reply timer runs while a reply is due and starts anew with each. */
static void arm_patience(struct link *link)
{
	if (link->calls == 0) {
		ev_timer_stop(link->loop, &link->patience);
		return;
	}
	link->patience.repeat = ROUTER_REPLY_MS / 1e3;
	ev_timer_again(link->loop, &link->patience);
}

/* The oldest call gets this reply. False: nobody has asked. */
static bool answer_one(struct link *link, const redisReply *reply)
{
	if (link->calls == 0)
		return false;
	const struct link_call call = link->call[link->first];
	if (link->windowed[link->first]) {
		link->window_calls--;
		link->window_bytes -= call.bytes;
	}
	link->first = (link->first + 1) % RING;
	link->calls--;
	call.done(link->events.owner, &call, reply);
	return true;
}

/* Text of a reply that nobody asked for: "max number of clients reached" comes this way. */
static void drop_unasked(struct link *link, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		snprintf(link->why, sizeof(link->why), "it said: %.120s", reply->str);
	else
		snprintf(link->why, sizeof(link->why), "it answers what nobody has asked");
	link->doomed = true;
}

/* Everything that is complete in the reader. */
static void take_replies(struct link *link)
{
	bool progress = false;
	link->busy = true;
	while (!link->doomed) {
		void *reply = NULL;
		if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
			link->busy = false;
			drop(link, "what it answers is not Redis' protocol, or without measure",
				false);
			return;
		}
		if (reply == NULL)
			break;
		link->measure.objects = 0;
		link->partial = 0;
		progress = true;
		if (!answer_one(link, reply))
			drop_unasked(link, reply);
		link->measure.made_by.freeObject(reply);
	}
	link->busy = false;
	if (link->doomed)
		close_now(link, false);
	else if (progress)
		arm_patience(link);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	struct link *link = io->data;
	char bytes[READ_BYTES];
	const ssize_t n = recv(link->fd, bytes, sizeof(bytes), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		link_drop(link, n == 0 ? "it closed the connection" : strerror(errno));
		return;
	}
	link->partial += (size_t)n;
	if (link->partial > MEASURE_BYTES_MAX ||
		redisReaderFeed(link->reader, bytes, (size_t)n) != REDIS_OK) {
		link_drop(link, "its reply has no end");
		return;
	}
	take_replies(link);
}

static void send_out(struct link *link)
{
	const ssize_t n = send(link->fd, link->out + link->out_begin,
		link->out_end - link->out_begin, MSG_NOSIGNAL);
	if (n < 0) {
		/* What it said before it closed is still to be read: reading ends the link. */
		if (errno != EAGAIN && errno != EINTR)
			ev_io_stop(link->loop, &link->writable);
		return;
	}
	link->bytes_sent += (uint64_t)n;
	link->out_begin += (size_t)n;
	if (link->out_begin < link->out_end)
		return;
	link->out_begin = link->out_end = 0;
	ev_io_stop(link->loop, &link->writable);
}

static void finish_connect(struct link *link)
{
	int error = 0;
	socklen_t length = sizeof(error);
	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		error = errno;
	if (error != 0) {
		link_drop(link, strerror(error));
		return;
	}
	ev_timer_stop(link->loop, &link->patience);
	ev_io_stop(link->loop, &link->writable);
	ev_io_start(link->loop, &link->readable);
	link->state = LINK_OPEN;
	link->events.opened(link->events.owner);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	struct link *link = io->data;
	if (link->state == LINK_CONNECTING)
		finish_connect(link);
	else
		send_out(link);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct link *link = timer->data;
	if (link->state == LINK_FAILED)
		drop(link, link->why, false);
	else if (link->state == LINK_LOOKING)
		drop(link, "no name server answers", true);
	else if (link->state == LINK_CONNECTING)
		drop(link, "no connection within 1 s", true);
	else
		drop(link, "no reply for 2 s", true);
}

struct link *link_create(struct ev_loop *loop, const struct link_events *events)
{
	struct link *link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->loop = loop;
	link->events = *events;
	link->fd = -1;
	ev_init(&link->readable, on_readable);
	ev_init(&link->writable, on_writable);
	ev_init(&link->patience, on_patience);
	/* After both: what came in while this thread did not run is read before anybody is blamed. */
	ev_set_priority(&link->patience, -1);
	link->readable.data = link->writable.data = link->patience.data = link;
	return link;
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	link->events.closed = NULL;
	link_drop(link, "");
	free(link);
}

static int open_socket(struct link *link, const struct sockaddr *address, socklen_t length)
{
	const int one = 1;
	link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(link->fd, address, length) != 0 && errno != EINPROGRESS)
		return -errno;
	return begin_reader(link) ? 0 : -ENOMEM;
}

static void wait_in(struct link *link, enum link_state state, double seconds)
{
	link->state = state;
	/* The loop's clock may be old by now: a second is a second. */
	ev_now_update(link->loop);
	ev_timer_stop(link->loop, &link->patience);
	ev_timer_set(&link->patience, seconds, 0);
	ev_timer_start(link->loop, &link->patience);
}

/* There is nothing to wait for: closed at once, but from the loop. */
static void fail(struct link *link, const char *why)
{
	snprintf(link->why, sizeof(link->why), "%s", why);
	wait_in(link, LINK_FAILED, 0);
}

static void connect_to(struct link *link, const struct sockaddr *address, socklen_t length)
{
	const int error = open_socket(link, address, length);
	if (error != 0) {
		fail(link, strerror(-error));
		return;
	}
	ev_io_set(&link->readable, link->fd, EV_READ);
	ev_io_set(&link->writable, link->fd, EV_WRITE);
	ev_io_start(link->loop, &link->writable);
	wait_in(link, LINK_CONNECTING, ROUTER_CONNECT_MS / 1e3);
}

void link_connect(struct link *link, const struct sockaddr *address, socklen_t length)
{
	if (link->state == LINK_IDLE)
		connect_to(link, address, length);
}

/* The answer's address whose turn it is, with the port in it; NULL: there is none. */
static struct ares_addrinfo_node *take_turn(
	const struct ares_addrinfo *info, unsigned turn, uint16_t port)
{
	unsigned nodes = 0;
	struct ares_addrinfo_node *node;
	for (node = info->nodes; node != NULL; node = node->ai_next)
		nodes++;
	if (nodes == 0)
		return NULL;
	node = info->nodes;
	for (unsigned i = turn % nodes; i > 0; i--)
		node = node->ai_next;
	if (node->ai_family == AF_INET)
		((struct sockaddr_in *)node->ai_addr)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)node->ai_addr)->sin6_port = htons(port);
	return node;
}

static void on_looked_up(void *context, struct ares_addrinfo *info, const char *reason)
{
	struct asked *asked = context;
	struct link *link = asked->link;
	const uint16_t port = asked->port;
	free(asked);
	if (link != NULL) {
		const struct ares_addrinfo_node *node = info != NULL ? take_turn(info,
									       link->tries++, port)
								     : NULL;
		link->asked = NULL;
		if (node != NULL)
			connect_to(link, node->ai_addr, node->ai_addrlen);
		else
			fail(link, reason != NULL ? reason : "the name has no address");
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
}

static void look_up(struct link *link, struct lookup *lookup, const struct target_server *where)
{
	struct asked *asked = malloc(sizeof(*asked));
	wait_in(link, LINK_LOOKING, LOOKUP_S);
	if (asked != NULL) {
		*asked = (struct asked){link, where->port};
		link->asked = asked;
		if (lookup_ask(lookup, where->host, on_looked_up, asked) == 0)
			return;
	}
	free(asked);
	link->asked = NULL;
	fail(link, strerror(ENOMEM));
}

void link_reach(struct link *link, struct lookup *lookup, const struct target_server *where)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(where->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(where->port)};
	if (link->state != LINK_IDLE)
		return;
	if (inet_pton(AF_INET, where->host, &v4.sin_addr) == 1)
		connect_to(link, (struct sockaddr *)&v4, sizeof(v4));
	else if (inet_pton(AF_INET6, where->host, &v6.sin6_addr) == 1)
		connect_to(link, (struct sockaddr *)&v6, sizeof(v6));
	else
		look_up(link, lookup, where);
}

/* Space for so many bytes behind out_end. */
static bool make_space(struct link *link, size_t bytes)
{
	if (link->out_size - link->out_end >= bytes)
		return true;
	if (link->out_begin > 0) {
		memmove(link->out, link->out + link->out_begin, link->out_end - link->out_begin);
		link->out_end -= link->out_begin;
		link->out_begin = 0;
	}
	if (link->out_size - link->out_end >= bytes)
		return true;
	/* Doubled, so that filling a window costs each byte one copy or two. */
	size_t size = link->out_size * 2 + WRITE_BYTES;
	if (size < link->out_end + bytes)
		size = link->out_end + bytes;
	char *out = realloc(link->out, size);
	if (out == NULL)
		return false;
	link->out = out;
	link->out_size = size;
	return true;
}

static void put_number(struct link *link, char kind, size_t number)
{
	char digits[NUMBER_MAX];
	size_t n = sizeof(digits);
	do {
		digits[--n] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	char *out = link->out + link->out_end;
	*out++ = kind;
	memcpy(out, digits + n, sizeof(digits) - n);
	out += sizeof(digits) - n;
	memcpy(out, "\r\n", 2);
	link->out_end += 1 + sizeof(digits) - n + 2;
}

static void put_text(struct link *link, const char *text, size_t length)
{
	put_number(link, '$', length);
	memcpy(link->out + link->out_end, text, length);
	memcpy(link->out + link->out_end + length, "\r\n", 2);
	link->out_end += length + 2;
}

static size_t most_bytes(int argc, const size_t *argv_length)
{
	size_t bytes = NUMBER_MAX;
	for (int i = 0; i < argc; i++)
		bytes += argv_length[i] + NUMBER_MAX + 2;
	return bytes;
}

bool link_fits(const struct link *link, int argc, const size_t *argv_length)
{
	return most_bytes(argc, argv_length) <= link_room(link);
}

int link_call(struct link *link, bool windowed, const struct link_call *call, int argc,
	const char **argv, const size_t *argv_length)
{
	const size_t bytes = most_bytes(argc, argv_length);
	if (link->state != LINK_OPEN || link->doomed || link->calls == RING)
		return -EAGAIN;
	if (windowed && bytes > link_room(link))
		return -EAGAIN;
	if (!make_space(link, bytes))
		return -ENOMEM;
	const size_t before = link->out_end;
	put_number(link, '*', (size_t)argc);
	for (int i = 0; i < argc; i++)
		put_text(link, argv[i], argv_length[i]);
	const unsigned last = (link->first + link->calls++) % RING;
	link->call[last] = *call;
	link->call[last].bytes = link->out_end - before;
	link->windowed[last] = windowed;
	link->window_calls += windowed;
	link->window_bytes += windowed ? link->call[last].bytes : 0;
	ev_io_start(link->loop, &link->writable);
	if (link->calls == 1)
		arm_patience(link);
	return 0;
}

bool link_is_open(const struct link *link)
{
	return link->state == LINK_OPEN && !link->doomed;
}

size_t link_room(const struct link *link)
{
	if (!link_is_open(link) || link->window_calls == ROUTER_CALLS)
		return 0;
	return ROUTER_WINDOW - link->window_bytes;
}

uint64_t link_bytes_sent(const struct link *link)
{
	return link->bytes_sent;
}
