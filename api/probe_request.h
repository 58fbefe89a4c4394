/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The OPTIONS request of a probe and what a datagram that comes back means. Pure: no socket, no clock.
 * The answer is taken apart by the engine's scanner; tests/fuzz/probe.c feeds it anything.
 */
#ifndef SIPHERD_PROBE_REQUEST_H
#define SIPHERD_PROBE_REQUEST_H

#include "address.h"
#include "token.h"

#define PROBE_HOST_MAX 256
#define PROBE_REQUEST_MAX 1400

struct probe_request {
	char host[PROBE_HOST_MAX]; /* as it stands in a URI: IPv6 in brackets */
	uint16_t port;
	struct endpoint local; /* where the answer is to come */
	uint64_t secret;       /* random: the check in its branches, which tell its answers */
	uint64_t id;           /* random: its Call-ID and its tag */
	uint32_t number;       /* of the request, from 1 */
};

enum probe_reading {
	PROBE_STRANGE,     /* no SIP, no response, or not to a request of ours */
	PROBE_LATE,        /* to an earlier request of ours */
	PROBE_PROVISIONAL, /* 1xx */
	PROBE_FINAL,
	PROBE_READINGS
};

/* "HOST", "HOST:PORT", "[IPv6]:PORT" or a bare IPv6 address into host and port. False: it is none. */
bool probe_request_target(struct probe_request *request, const char *text);

/* The text of the request; returns its length. */
size_t probe_request_write(const struct probe_request *request, char out[PROBE_REQUEST_MAX]);

/* What this datagram is to the request; *code is set for what is an answer to it. */
enum probe_reading probe_request_answer(
	const struct probe_request *request, const void *datagram, size_t length, uint16_t *code);

#endif
