/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a registrar, shared by its files: registrar.c (set-up, answers, other requests, faults),
 * registrar_digest.c (who is it?) and registrar_bind.c (what a REGISTER does). Nobody else includes this.
 */
#ifndef SIPHERD_REGISTRAR_INTERNAL_H
#define SIPHERD_REGISTRAR_INTERNAL_H

#include "answer.h"
#include "delay_line.h"
#include "habit.h"
#include "location.h"
#include "registrar.h"

/* The digest URI that was named last, and HA2 of a REGISTER with it. */
struct known_uri {
	enum digest_algorithm algorithm; /* DIGEST_NONE: none yet */
	size_t length;
	char text[128];
	uint8_t ha2[DIGEST_BYTES_MAX];
};

struct registrar {
	struct registrar_config config;
	struct registrar_output output;
	struct registrar_faults faults;
	struct registrar_counters counters;
	struct location location;
	struct delay_line delay;
	struct habits habits;
	struct digest_context *digest; /* NULL: no digest */
	uint8_t *ha1;                  /* by phone, as far as there is room; zeros: not known */
	uint32_t ha1_room;
	uint64_t stride_inverse; /* 2^40 / stride rounded up: exact for a fleet (herd.h) */
	enum digest_algorithm ha1_algorithm;
	struct known_uri ha2;
	char *realm; /* as it stands between quotes */
	size_t realm_length;
	char tail[96]; /* Server and Content-Length, the end of every answer */
	uint64_t hash_seed, tag_seed, nonce_seed;
	uint64_t random; /* of the loss fault */
	uint32_t nonce_salt;
	uint64_t now_us; /* of the call we are in */
};

/* A request on its way through, and what its answer carries. */
struct exchange {
	const struct sip_message *request;
	struct habit *habit; /* NULL: the request is like none before */
	const struct endpoint *from;
	uint32_t tag;
};

/* registrar.c: begin an answer, add a header line with a number to it, end and send it. One that others may be
 * learned from has a shape to go into; NULL: this one not. */
void registrar_begin(
	const struct exchange *exchange, struct answer *answer, uint16_t code, const char *reason);
void registrar_add_number(struct answer *answer, const char *name, uint32_t number);
void registrar_send(
	struct registrar *registrar, const struct exchange *exchange, struct answer *answer);
void registrar_send_and_learn(struct registrar *registrar, const struct exchange *exchange,
	struct answer *answer, struct answer_shape *shape);
/* An answer that says no more than its code; reason NULL: the usual one. */
void registrar_send_code(struct registrar *registrar, const struct exchange *exchange,
	uint16_t code, const char *reason);
/* The answer of this shape; false: the request must be answered in full. */
bool registrar_send_shape(struct registrar *registrar, const struct exchange *exchange,
	const struct answer_shape *shape, const char *nonce);
struct answer_shape *registrar_granted_shape(const struct exchange *exchange);

/* registrar_digest.c. True of a registrar without a realm, too; false: out of memory. */
bool registrar_open_digest(struct registrar *registrar);
void registrar_close_digest(struct registrar *registrar);
/* True: go on. False: an answer went out. */
bool registrar_authenticate(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor);
/* A header line with a challenge for each algorithm that is offered. */
void registrar_add_challenges(
	struct registrar *registrar, struct answer *answer, const char *header, bool stale);
/* What verifying credentials of this user will need. */
void registrar_fetch_ha1(const struct registrar *registrar, const char *user, size_t length);

/* registrar_bind.c: plan, answer and carry out a REGISTER for this address-of-record. */
void registrar_bind(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor);

#endif
