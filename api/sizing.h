/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fleet takes: packets, bits, worker time, memory and Redis, when nothing happens, at the start, and
 * while a proxy dies and returns. docs/sizing.md explains each formula.
 *
 * Message lengths are not written down anywhere: a few hundred phones of the fleet register, probe and take
 * their leave at a built-in registrar in virtual time, and what they say is counted. When phones move is
 * predict.h's. Pure: no clock, no packet, nothing at random that matters.
 */
#ifndef SIPHERD_SIZING_H
#define SIPHERD_SIZING_H

#include "herd.h"
#include "registrar.h"

/* What a phone and a proxy say to each other on one occasion. */
enum sizing_occasion {
	SIZING_KEEPALIVE, /* OPTIONS and its answer */
	SIZING_REGISTER,  /* for the first time at a proxy */
	SIZING_REFRESH,   /* when the refresh is due */
	SIZING_RETURN,    /* to a proxy whose nonce has run out meanwhile */
	SIZING_GOODBYE,   /* Expires 0, likewise */
	SIZING_OCCASIONS
};

/* Of one phone, on average. */
struct sizing_talk {
	double requests, answers;           /* datagrams */
	double request_bytes, answer_bytes; /* of SIP, of all of them */
	double credentials;                 /* requests that carry an Authorization */
};

struct sizing_talks {
	struct sizing_talk of[PROXIES][SIZING_OCCASIONS];
	double refresh_ms; /* from a registration to its refresh */
	bool registers;    /* a 200 OK is a registration */
	uint16_t longest;  /* bytes of SIP, of a request */
	uint32_t
		nonce_age; /* seconds after which a nonce is stale, as it was assumed; 0: no digest */
};

/* What the fleet is, and what is assumed of all that is not in its file. */
struct sizing_case {
	const struct herd_config *herd;           /* one herd, all of it */
	const struct registrar_config *registrar; /* how the proxies answer, [PROXIES] */
	uint16_t vlan;
	bool registrars; /* both run in this process, and each worker drives its share of them */
	bool store;      /* there is one */
	bool images;     /* records live in a file */
	uint32_t lease_ttl_ms;
	const char *fleet; /* its name: a part of keys */
	unsigned workers;
	double ns_per_transaction; /* worker time of an answered keep-alive */
	unsigned cores;            /* for workers, on one machine */
	double nic_gbit;           /* of one machine */
};

/* Worker time, as measured on the machine of docs/sizing.md, which says how. */
#define SIZING_NS_KEEPALIVE 760.0 /* request and answer */
#define SIZING_NS_ALONE 490.0     /* a datagram that nobody answers */
#define SIZING_NS_REGISTER 2000.0 /* request and answer */
#define SIZING_NS_DIGEST 300.0    /* more, for its credentials */

/* Bytes of the node's heartbeat, once a second: measured likewise. */
#define SIZING_HEARTBEAT 2060.0

/* No worker is to be busier than this in the busiest second: our rule, not a limit. */
#define SIZING_BUSY_MOST 0.5

enum sizing_moment {
	SIZING_STEADY,      /* on average */
	SIZING_STEADY_PEAK, /* the start's ramp, come round again */
	SIZING_START,
	SIZING_FAIL_OVER,
	SIZING_OUTAGE, /* while the primary is dead, on average */
	SIZING_FAIL_BACK,
	SIZING_KEEPALIVES_AFTER, /* the fail-back's shape, a period later and again */
	SIZING_REFRESHES_AFTER,  /* and when refreshes are due, with these keep-alives */
	SIZING_MOMENTS
};

enum sizing_direction { SIZING_OUT, SIZING_IN, SIZING_DIRECTIONS };

/* Per second. */
struct sizing_load {
	bool known;   /* false: there is no such moment */
	double at_ms; /* of a wave's busiest second: when it begins, after the event */
	double keepalives, registers,
		alone; /* answered, answered, and datagrams without an answer */
	double credentials;
	double packets[SIZING_DIRECTIONS];
	double frame_bytes[SIZING_DIRECTIONS]; /* as drivers count them: without checksum and gap */
	double line_bits[SIZING_DIRECTIONS];   /* on the cable: checksum, preamble and gap too */
	double busy;                           /* workers' seconds */
};

struct sizing_memory {
	double herd;       /* phones, timers, templates: herd_memory */
	double mirror;     /* records, and rings for store and HTTP */
	double registrars; /* both, where they are built in */
	double image;      /* of `mirror`, what lies in the image file */
	double per_phone;  /* of herd and mirror together */
};

/* Transitions in a wave's busiest second: lines of the feed, and records that change. */
struct sizing_transitions {
	double lines, records;
};

/* Calls and their bytes are per second, bytes without the protocol's own. */
struct sizing_redis {
	double bytes, feed; /* slabs; and the feed once it is full */
	double calls_steady, bytes_steady;
	double calls_over, bytes_over; /* besides, in the fail-over's busiest second */
	double calls_back, bytes_back; /* likewise */
};

struct sizing {
	uint32_t phones;
	uint32_t largest;          /* herd with the most phones, */
	struct sizing_talks talks; /* and what its phones say */
	struct sizing_load load[SIZING_MOMENTS];
	struct sizing_transitions over, back;
	struct sizing_memory memory;
	struct sizing_redis redis;
	double line_bits;    /* of the busiest second, in the busier direction */
	unsigned workers;    /* so that none is busier than SIZING_BUSY_MOST */
	unsigned machines;   /* each with so many cores and such a NIC */
	const char *because; /* of what one has not enough; NULL: one will do */
};

/* 0, -ENOMEM, -EINVAL: a text is too long for a datagram. */
int sizing_listen(struct sizing_talks *out, const struct sizing_case *what);
/* what: of each of the fleet's herds, [herds]; all but herd and registrar is the same in all. */
int sizing_compute(struct sizing *out, const struct sizing_case *what, uint32_t herds);

/* The bytes of a herd of so many phones in so many slices, as herd_memory has them. Drawn out from two small
 * ones; 0: no memory to try. */
double sizing_herd_bytes(const struct herd_config *herd, unsigned workers);

#endif
