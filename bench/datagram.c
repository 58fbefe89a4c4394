/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two ends of the comparison over a kernel link, by plain sockets, 64 datagrams to a system call.
 *
 *   bench_datagram respond ADDRESS PORT                answers every request until it is killed
 *   bench_datagram send FROM TO PORT WINDOW SECONDS    OPTIONS, so many in flight at once
 *
 * The responder puts "SIP/2.0 200 OK" in the place of the first line and sends the rest back as it came:
 * about the least that a proxy can do. The sender takes an answer for the leave to send the next one; it
 * reads nothing of it. What was lost is sent anew after half a second of silence.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figure.h"

#define BATCH 64
#define SIZE 2048
#define SECONDS_MAX 600
#define SILENCE_MS 500
#define SOCKET_BYTES (16 << 20)

static const char status_line[] = "SIP/2.0 200 OK\r\n";

struct datagrams {
	struct mmsghdr header[BATCH];
	struct iovec vector[BATCH][2];
	struct sockaddr_in peer[BATCH];
	char text[BATCH][SIZE];
};

static void fail(const char *what)
{
	fprintf(stderr, "bench_datagram: %s: %s\n", what, strerror(errno));
	exit(3);
}

static struct sockaddr_in place(const char *address, const char *port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		fail(address);
	return at;
}

static int open_socket(const struct sockaddr_in *at)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int bytes = SOCKET_BYTES;
	const struct timeval silence = {.tv_usec = SILENCE_MS * 1000};
	if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		fail("bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	return fd;
}

static void expect(struct datagrams *d)
{
	for (int i = 0; i < BATCH; i++) {
		d->vector[i][0] = (struct iovec){d->text[i], SIZE};
		d->header[i].msg_hdr = (struct msghdr){.msg_name = &d->peer[i],
			.msg_namelen = sizeof(d->peer[i]),
			.msg_iov = d->vector[i],
			.msg_iovlen = 1};
	}
}

static void send_all(int fd, struct mmsghdr *header, unsigned count)
{
	for (unsigned sent = 0; sent < count;) {
		const int n = sendmmsg(fd, header + sent, count - sent, 0);
		if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR)
			fail("sendmmsg");
		sent += n > 0 ? (unsigned)n : 0;
	}
}

static void respond(const char *address, const char *port)
{
	static struct datagrams in, out;
	const struct sockaddr_in at = place(address, port);
	const int fd = open_socket(&at);
	for (;;) {
		unsigned answers = 0;
		expect(&in);
		const int count = recvmmsg(fd, in.header, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < count; i++) {
			char *rest = memchr(in.text[i], '\n', in.header[i].msg_len);
			if (rest == NULL)
				continue;
			rest++;
			struct iovec *part = out.vector[answers];
			part[0] = (struct iovec){
				(void *)(uintptr_t)status_line, sizeof(status_line) - 1};
			part[1] = (struct iovec){
				rest, in.header[i].msg_len - (size_t)(rest - in.text[i])};
			out.header[answers++].msg_hdr = (struct msghdr){.msg_name = &in.peer[i],
				.msg_namelen = sizeof(in.peer[i]),
				.msg_iov = part,
				.msg_iovlen = 2};
		}
		send_all(fd, out.header, answers);
	}
}

static void write_options(char *text, size_t *length, unsigned long number, const char *from)
{
	*length = (size_t)snprintf(text, SIZE,
		"OPTIONS sip:10.10.0.1 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s:5060;branch=z9hG4bK%08lx0001000342c01af7;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:2054321@lab.example.net>;tag=5f1c02aa\r\n"
		"To: <sip:2054321@lab.example.net>\r\n"
		"Call-ID: %08lxc0ffee0012345678\r\n"
		"CSeq: 1000000003 OPTIONS\r\n"
		"Contact: <sip:2054321@%s:5060>\r\n"
		"User-Agent: sipherd\r\n"
		"Content-Length: 0\r\n\r\n",
		from, number, number, from);
}

struct sender {
	struct datagrams in, out;
	int fd;
	uint64_t sent, answered, silences;
};

static void prepare(struct sender *s, const char *from, struct sockaddr_in *to)
{
	for (int i = 0; i < BATCH; i++) {
		size_t length;
		write_options(s->out.text[i], &length, (unsigned long)i, from);
		s->out.vector[i][0] = (struct iovec){s->out.text[i], length};
		s->out.header[i].msg_hdr = (struct msghdr){.msg_name = to,
			.msg_namelen = sizeof(*to),
			.msg_iov = s->out.vector[i],
			.msg_iovlen = 1};
	}
}

static void send_so_many(struct sender *s, unsigned count)
{
	for (unsigned n; count > 0; count -= n) {
		n = count < BATCH ? count : BATCH;
		send_all(s->fd, s->out.header, n);
		s->sent += n;
	}
}

static void send_for(struct sender *s, unsigned window, uint64_t end_ns)
{
	while (sampler_now_ns() < end_ns) {
		expect(&s->in);
		const int count = recvmmsg(s->fd, s->in.header, BATCH, MSG_WAITFORONE, NULL);
		if (count <= 0)
			s->silences++;
		else
			s->answered += (unsigned)count;
		send_so_many(s, count > 0 ? (unsigned)count : window);
	}
}

static double cpu_us(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void send_options(char **argument)
{
	static struct sender s;
	static double rate[SECONDS_MAX], cpu[SECONDS_MAX];
	struct sockaddr_in from = place(argument[0], "5060"), to = place(argument[1], argument[2]);
	const unsigned window = (unsigned)atoi(argument[3]), seconds = (unsigned)atoi(argument[4]);
	if (window == 0 || seconds == 0 || seconds > SECONDS_MAX)
		exit(2);
	s.fd = open_socket(&from);
	prepare(&s, argument[0], &to);
	send_so_many(&s, window);
	for (unsigned i = 0; i < seconds; i++) {
		const uint64_t begin_ns = sampler_now_ns(), before = s.answered;
		const double used = cpu_us();
		send_for(&s, window, begin_ns + 1000000000ull);
		const double answered = (double)(s.answered - before);
		rate[i] = answered * 1e9 / (double)(sampler_now_ns() - begin_ns);
		cpu[i] = answered > 0 ? (cpu_us() - used) / answered : 0;
	}
	const double median = sampler_median(rate, seconds), cost = sampler_median(cpu, seconds);
	figure_print(&(struct figure){"sockets_rate", "/s", median, rate[seconds / 10],
		rate[seconds - 1 - seconds / 10], seconds, seconds});
	figure_print(&(struct figure){"sockets_cpu", "us", cost, cpu[seconds / 10],
		cpu[seconds - 1 - seconds / 10], seconds, seconds});
	printf("sendmmsg and recvmmsg: %.0f answered/s, %.2f us of CPU each, silences %llu\n",
		median, cost, (unsigned long long)s.silences);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "respond") == 0)
		respond(argv[2], argv[3]);
	if (argc != 7 || strcmp(argv[1], "send") != 0) {
		fprintf(stderr, "usage: see the top of bench/datagram.c\n");
		return 2;
	}
	send_options(argv + 2);
	return 0;
}
