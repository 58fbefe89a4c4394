/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A datagram as the simulator sees it: the few fields that the invariants speak of.
 *
 * A reader of its own and not engine/scan, so that the herd is not judged by its own eyes. It knows
 * only the long header names, which is what the herd, the registrars and the scripts here write.
 */
#ifndef SIPHERD_SIM_DATAGRAM_H
#define SIPHERD_SIM_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATAGRAM_ABSENT UINT32_MAX

/* The three requests of a phone, as far as they are told apart here, then everything else. */
enum datagram_kind { DATAGRAM_REGISTER, DATAGRAM_OPTIONS, DATAGRAM_UNREGISTER, DATAGRAM_OTHER };
#define DATAGRAM_TRANSACTIONS 3

struct datagram_text {
	const char *text;
	uint32_t length;
};

struct datagram {
	const char *text;
	uint16_t length;
	uint16_t status;     /* 0: a request */
	uint8_t kind;        /* enum datagram_kind by CSeq method; Expires 0 only in requests */
	uint8_t proxy;       /* where it goes to or comes from */
	bool credentials;    /* carries an Authorization or Proxy-Authorization */
	bool stale;          /* carries a challenge with stale=true */
	bool retransmission; /* set by the model */
	bool matched;        /* likewise: it answers a request in flight */
	uint32_t phone;
	uint32_t cseq;
	uint32_t expires, retry_after, min_expires; /* header values or DATAGRAM_ABSENT */
	uint64_t now_us;
	uint64_t branch, call_id, hash; /* hashes of the texts and of the whole */
	struct datagram_text uri, branch_text, call_id_text, first_line;
};

/* Fill everything but phone, proxy and now_us. False: not a SIP message with Via, Call-ID, CSeq. */
bool datagram_read(const void *text, size_t length, struct datagram *out);

/* The value of the n-th header of this name (0: the first); length 0: there is none. */
struct datagram_text datagram_header(const struct datagram *datagram, const char *name, unsigned n);

/* Expiry granted to a Contact with this "user@host:port": its parameter, else Expires, else
 * `otherwise`; DATAGRAM_ABSENT when there is no such Contact. */
uint32_t datagram_granted(const struct datagram *datagram, const char *contact, uint32_t otherwise);

#endif
