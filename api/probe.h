/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sipherd probe: does a proxy answer OPTIONS, with which code, how fast? Over an ordinary connected UDP
 * socket, without DPDK and without privileges; each request is an RFC 3261 non-INVITE transaction. All
 * proxies are asked at once, the requests to one of them one after the other.
 *
 * Made for Nagios and those who speak its language: one line that says it, exit codes of its own.
 */
#ifndef SIPHERD_PROBE_H
#define SIPHERD_PROBE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "probe_request.h"
#include "transaction.h"

enum probe_status { PROBE_OK, PROBE_WARNING, PROBE_CRITICAL, PROBE_UNKNOWN, PROBE_STATUSES };

#define PROBE_CODE_MAX 699
#define PROBE_WHY_MAX 200

struct probe;

/* What became of the requests to one proxy. */
struct probe_result {
	const char *name;       /* as it was given */
	struct address address; /* asked, when `known` */
	bool known;
	char trouble[PROBE_WHY_MAX]; /* of this host or its name servers: nothing was learned */
	char refused[PROBE_WHY_MAX]; /* what ICMP or the routing table said last */
	uint32_t requests, answered;
	uint32_t unexpected;     /* answers with a code that is not good */
	uint16_t code, bad_code; /* of the last final answer; of the last unexpected one */
	uint16_t provisional;    /* the last 1xx of a request that was lost */
	uint32_t datagrams;      /* sent */
	uint32_t late, strange;  /* datagrams received that answered nothing */
	uint64_t rtt_sum_us;
	uint32_t rtt_min_us, rtt_max_us;
};

struct probe_target {
	struct probe *probe;
	struct probe_request request;
	struct probe_result result;
	int fd;        /* -1: none */
	bool waiting;  /* for an answer */
	uint32_t sent; /* datagrams of this request */
	uint64_t started_us;
	ev_io readable;
	ev_timer again, deadline, next;
};

struct probe {
	const struct options *options;
	struct ev_loop *loop;
	uint8_t good[PROBE_CODE_MAX + 1]; /* 1: a final answer with this code is good */
	struct transaction_timers timers;
	struct probe_target *target;
	uint32_t targets, left; /* all; not done yet */
};

/* The command: enum probe_status, which is what Nagios wants as exit code. */
int run_probe(const struct options *options);
/* The same for a command line that was refused. */
int probe_misused(void);

/* --- probe_print.c --- */

const char *probe_status_name(enum probe_status status);
/* Judge one proxy; `why` gets the sentence about it, without its name. */
enum probe_status probe_judge(
	const struct probe *probe, const struct probe_result *result, char why[PROBE_WHY_MAX]);
/* Print all in the format that was asked for; the worst status. */
enum probe_status probe_print(const struct probe *probe);

#endif
