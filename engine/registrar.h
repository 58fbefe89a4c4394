/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The built-in registrar: one proxy that answers REGISTER (RFC 3261 section 10) and OPTIONS at the
 * engine's speed, and can crash, drain, slow down, lose, reject and challenge.
 *
 * Pure: datagrams, time and commands come in, answers go out through one buffer call. One instance
 * is one proxy on one address, used by one thread. Bindings live in a table of fixed capacity; the
 * location survives a crash fault, as a proxy with a database would (registrar_forget wipes it).
 * `sipherd registrar` and the demo run two of these side by side.
 *
 * REGISTER: at most 8 bindings per address-of-record and 64 per user over all hosts, contact URIs
 * of at most 120 bytes, answers of at most 1400 bytes. A request is carried out as a whole or not at
 * all. A REGISTER with the Call-ID and CSeq of a binding is a retransmission: it gets the current
 * bindings again and changes nothing; a lower CSeq gets 500.
 *
 * Digest: this is a registrar for tests, not a guard. Nonces carry their own time and check, so
 * that nothing is kept per client; that a nonce count was used before, and that the digest's uri is
 * the Request-URI, is not checked. The user must be the To header's, or its auth name.
 */
#ifndef SIPHERD_REGISTRAR_H
#define SIPHERD_REGISTRAR_H

#include "address.h"
#include "counters.h"
#include "digest.h"
#include "identity.h"

struct registrar;

struct registrar_config {
	uint32_t capacity;          /* bindings; memory is taken once at creation */
	uint32_t expires_default_s; /* when the client names none: 3600 */
	uint32_t expires_min_s;     /* below: 423 (0 expires excepted) */
	uint32_t expires_max_s;     /* granted at most; 0: 24 days, the longest there is */
	const char *realm;          /* NULL: no digest */
	enum digest_algorithm
		algorithm; /* of the challenge; both: challenge SHA-256 first, then MD5 */
	bool offer_both;
	uint32_t nonce_lifetime_s;             /* after which a nonce is stale; 0: never */
	const struct identity_set *identities; /* for digest; NULL: any user, no digest */
	/* The phones whose HA1 is kept, as many as bindings: first, first + stride, ... of the set. All others' is made
	 * anew each time. stride 0: 1 */
	uint32_t first, stride;
	uint64_t seed;   /* of nonces, tags and the loss fault */
	char server[32]; /* Server header */
};

/* Faults, all zero: healthy. */
struct registrar_faults {
	bool crashed;  /* silence: nothing is read */
	bool draining; /* 503 to everything, with Retry-After when retry_after_s > 0 */
	uint32_t retry_after_s;
	uint32_t delay_us;    /* every answer this much later */
	uint32_t loss_ppm;    /* share of requests ignored, in millionths */
	uint16_t reject_code; /* 300-699: answer REGISTER with it; 0 off */
	bool options_silent;  /* OPTIONS ignored, REGISTER served: half dead */
	bool register_silent; /* the reverse */
};

/* A buffer of n bytes for an answer to this endpoint; NULL when there is none. The registrar
 * fills all n bytes before it asks for the next one or returns. */
struct registrar_output {
	void *context;
	uint8_t *(*buffer)(void *context, const struct endpoint *to, uint16_t n);
};

struct registrar *registrar_create(const struct registrar_config *config,
	const struct registrar_output *output); /* NULL: out of memory */
void registrar_free(struct registrar *registrar);

/* One datagram arrived. now_us is monotonic, shared with registrar_advance. */
void registrar_datagram(struct registrar *registrar, const struct endpoint *from,
	const void *datagram, size_t length, uint64_t now_us);

/* A datagram will come soon: fetch what a request like those before will need. First far ahead, then,
 * when that is there, near, which leads to the rest. Changes nothing. */
void registrar_fetch(
	const struct registrar *registrar, const void *datagram, size_t length, bool near);

/* Time went on: delayed answers go out, expired bindings are dropped, within a bounded budget.
 * Returns when it wants to be called again, at the latest (us); UINT64_MAX: no wish. */
uint64_t registrar_advance(struct registrar *registrar, uint64_t now_us);

void registrar_set_faults(struct registrar *registrar, const struct registrar_faults *faults);

/* Drop all bindings, as a restart without a database does. */
void registrar_forget(struct registrar *registrar);

/* Addresses of record that have at least one binding. One that ran out counts until it is met or
 * swept, a second later at most while registrar_advance is called as often as it asks. */
uint32_t registrar_registered(const struct registrar *registrar);

/* Has this user a live binding, at any host? For tests and for checks against the herd's own view. */
bool registrar_is_bound(
	const struct registrar *registrar, const char *user, size_t length, uint64_t now_us);

const struct registrar_counters *registrar_counters(const struct registrar *registrar);

#endif
