/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stage for one or a few phones and two scripted proxies: what a proxy answers to each kind of
 * request is a list of replies, the last of which repeats; everything the phones send is kept.
 * An empty list answers 200 and grants what was asked. Proxies are enum proxy or, where either will
 * do, PROXIES; kinds are enum datagram_kind.
 */
#ifndef SIPHERD_SIM_STAGE_H
#define SIPHERD_SIM_STAGE_H

#include "sim.h"

#define STAGE_REPLIES 16
#define STAGE_DATAGRAMS 8192

struct reply {
	uint16_t status;     /* 0: silence */
	const char *headers; /* further lines, each with CRLF */
	uint32_t expires;    /* granted; 0: what was asked */
	uint32_t delay_ms;
	bool no_contact, foreign_contact; /* of a 2xx to REGISTER */
	bool expires_zero;
	bool twice;      /* the answer comes two times */
	bool wrong_cseq; /* ... with another number */
	bool wrong_branch;
	bool other_proxy; /* ... from the other proxy */
};

/* One datagram that a phone sent. */
struct sent {
	uint32_t at_ms, cseq, expires, phone;
	uint64_t call_id, branch;
	uint16_t status;
	uint8_t kind, proxy;
	bool again, credentials;
	uint16_t length;
	char text[2800];
};

struct replies {
	struct reply reply[STAGE_REPLIES];
	unsigned count, next;
};

struct stage {
	struct sim *sim;
	struct replies replies[PROXIES][DATAGRAM_TRANSACTIONS];
	struct sent *sent;
	unsigned count;
};

/* Defaults of PHONE.md for one phone; change, then raise the curtain. */
void stage_defaults(struct sim_config *config);
/* Starts the phones at time 0. */
struct stage *stage_open(const struct sim_config *config);
/* Judges everything once more, stops the phones and frees. */
void stage_close(struct stage *stage);

void stage_reply(struct stage *stage, int proxy, int kind, struct reply reply);
/* Back to 200. */
void stage_well(struct stage *stage, int proxy, int kind);
void stage_dead(struct stage *stage, int proxy);
void stage_alive(struct stage *stage, int proxy);
void stage_run_ms(struct stage *stage, uint32_t until_ms);

/* Forget what was sent so far. */
void stage_forget(struct stage *stage);
/* New transactions of this kind to this proxy (PROXIES: either). */
unsigned stage_count(const struct stage *stage, int kind, int proxy);
/* All datagrams of it. */
unsigned stage_datagrams(const struct stage *stage, int kind, int proxy);
/* The n-th new transaction; fails the test when there is none. */
const struct sent *stage_nth(const struct stage *stage, int kind, int proxy, unsigned n);
/* The n-th answer of the phone to a request. */
const struct sent *stage_answer(const struct stage *stage, unsigned n);

enum phone_state stage_state(const struct stage *stage);
enum proxy stage_active(const struct stage *stage);

#endif
