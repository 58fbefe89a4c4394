/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it takes to read one answer of a proxy: sipherd's scanner, with and without what it has learned, beside
 * the parsers of libosip2 and libre and a plain copy of the same bytes, all in the same run and on the
 * same messages. The parsers do more: they make a tree of the whole message in memory, which is what a
 * user agent wants. Samples of all take turns, so that a noisy neighbour hits each of them alike.
 *
 * usage: bench_parsers [ROUNDS [ours]]           ours: without the other parsers, for a profile
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_memcpy.h>

#include "figure.h"
#include "parsers_peers.h"
#include "scan_learn.h"

#define MESSAGES 64
#define CONTENDERS 5
#define OURS 3 /* come first */

struct fixture {
	char text[MESSAGES][1024], copy[MESSAGES][1024];
	size_t length[MESSAGES];
	struct scan_learned learned;
	uint64_t sink;
};

/* Answers as Kamailio 5.6 gives them to 64 phones: the same shape, other values. */
static void fill(struct fixture *f, const char *rest)
{
	for (unsigned i = 0; i < MESSAGES; i++)
		f->length[i] = (size_t)snprintf(f->text[i], sizeof(f->text[i]),
			"SIP/2.0 200 OK\r\n"
			"Via: SIP/2.0/UDP "
			"10.20.13.%u:5060;branch=z9hG4bK%08x10001400%08x;rport=5060;"
			"received=10.20.13.%u\r\n"
			"From: <sip:2%06u@lab.example.net>;tag=%08x\r\n"
			"To: "
			"<sip:2%06u@lab.example.net>;tag=b27e1a1d33611ee85f4d61bc245b2661.%"
			"04x0000\r\n"
			"Call-ID: %08xc0ffee0012345678\r\n"
			"CSeq: 10000000%02u OPTIONS\r\n"
			"%s"
			"Server: kamailio (5.6.3 (x86_64/linux))\r\n"
			"Content-Length: 0\r\n\r\n",
			100 + i, i, i * 2654435761u, 100 + i, 54300 + i, i * 40503u, 54300 + i,
			0xf3b2 ^ i, i * 77u, i, rest);
}

static void sample_copy(void *context)
{
	struct fixture *f = context;
	for (unsigned i = 0; i < MESSAGES; i++) {
		rte_memcpy(f->copy[i], f->text[i], f->length[i]);
		__asm__ volatile("" ::: "memory");
	}
}

static void sample_scan(void *context)
{
	struct fixture *f = context;
	struct sip_message message;
	for (unsigned i = 0; i < MESSAGES; i++) {
		if (scan_message(f->text[i], f->length[i], &message) != SCAN_OK)
			exit(1);
		f->sink += message.cseq;
	}
}

static void sample_learned(void *context)
{
	struct fixture *f = context;
	struct sip_message message;
	for (unsigned i = 0; i < MESSAGES; i++) {
		if (scan_learned_message(&f->learned, f->text[i], f->length[i], &message) !=
			SCAN_OK)
			exit(1);
		f->sink += message.cseq;
	}
}

static void sample_osip(void *context)
{
	struct fixture *f = context;
	for (unsigned i = 0; i < MESSAGES; i++)
		f->sink += peer_osip(f->text[i], f->length[i]);
}

static void sample_re(void *context)
{
	struct fixture *f = context;
	for (unsigned i = 0; i < MESSAGES; i++)
		f->sink += peer_re(f->text[i], f->length[i]);
}

static void compare(struct fixture *f, const char *title, unsigned rounds, unsigned n)
{
	static const struct contender contenders[CONTENDERS] = {
		{"scan_copy", sample_copy, MESSAGES},
		{"scan_learned", sample_learned, MESSAGES},
		{"scan_full", sample_scan, MESSAGES},
		{"scan_osip", sample_osip, MESSAGES},
		{"scan_re", sample_re, MESSAGES},
	};
	static const char *const title_of[CONTENDERS] = {"plain copy (rte_memcpy)",
		"learned skeleton, every byte looked at", "full scan",
		"libosip2 osip_message_parse and free", "libre sip_msg_decode and free"};
	struct figure figure[CONTENDERS];
	contest(contenders, n, f, rounds, figure);
	printf("%s, %zu bytes; medians of %u rounds\n", title, f->length[0], rounds);
	for (unsigned i = 0; i < n; i++)
		printf("  %-42s %9.1f ns  %7.1fx a copy  %7.1fx a full scan  (%.1f-%.1f)\n",
			title_of[i], figure[i].median, figure[i].median / figure[0].median,
			figure[i].median / figure[2].median, figure[i].low, figure[i].high);
	printf("  learned: %.0f%% of the messages were recognised\n",
		100.0 * (double)f->learned.recognised / ((double)rounds * 10 * MESSAGES));
}

int main(int argc, char **argv)
{
	static struct fixture f;
	if (scan_learned_open(&f.learned) != 0 || !peers_open())
		return 1;
	fill(&f, "");
	compare(&f, "200 OK of Kamailio to a keep-alive", argc > 1 ? (unsigned)atoi(argv[1]) : 41,
		argc > 2 ? OURS : CONTENDERS);
	scan_learned_close(&f.learned);
	peers_close();
	return f.sink == 0;
}
