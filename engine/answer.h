/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to requests, put together from pieces of the request and of the answerer (RFC 3261
 * section 8.2.6, RFC 3581).
 *
 * Pieces are collected first, so that the exact length is known before a buffer is asked for, and
 * copied once. They point into the datagram and into the caller's texts, which must stay in place
 * until answer_write. Line ends inside the request's values (folding) become blanks.
 */
#ifndef SIPHERD_ANSWER_H
#define SIPHERD_ANSWER_H

#include "address.h"
#include "scan.h"

#define ANSWER_MAX 1400 /* bytes: passes an Ethernet link in one frame with every tunnel */
#define ANSWER_PIECES 256
#define ANSWER_SCRATCH 512

/* Where a piece comes from. */
enum answer_source {
	ANSWER_OWN,     /* the same in each answer that says the same */
	ANSWER_REQUEST, /* may contain line ends */
	ANSWER_SOURCE,  /* received and rport */
	ANSWER_TAG,     /* ours, of the To */
	ANSWER_CSEQ,    /* the request's number */
	ANSWER_NONCE,
};

struct answer_piece {
	const char *text;
	uint32_t length;
	uint8_t source; /* enum answer_source */
};

struct answer {
	size_t length;
	uint32_t pieces, scratch_used;
	bool overflow; /* more pieces or numbers than fit: too long */
	struct answer_piece piece[ANSWER_PIECES];
	char scratch[ANSWER_SCRATCH]; /* numbers and addresses */
};

/*
 * Status line, all Via values (the topmost with received and rport where they are due), From, To,
 * Call-ID and CSeq. A To without a tag gets this one. reason NULL: the standard's own.
 */
void answer_begin(struct answer *answer, const struct sip_message *request,
	const struct endpoint *from, uint16_t code, const char *reason, uint32_t tag);

void answer_text(struct answer *answer, const char *text, size_t length);
void answer_string(struct answer *answer, const char *text);
void answer_number(struct answer *answer, uint32_t number);
/* Text of the request, which may be folded. */
void answer_foreign(struct answer *answer, const char *text, size_t length);
/* A copy of at most ANSWER_SCRATCH bytes is kept until answer_write. */
void answer_copy(struct answer *answer, enum answer_source source, const char *text, size_t length);

static inline bool answer_fits(const struct answer *answer)
{
	return !answer->overflow && answer->length <= ANSWER_MAX;
}

/* Write answer->length bytes. Only for an answer that fits. */
void answer_write(const struct answer *answer, uint8_t *out);

/* Where the answer goes: back to the source address; to its port when the request asked so with
 * rport, else to the port of the Via (RFC 3261 section 18.2.2). */
struct endpoint answer_endpoint(const struct sip_message *request, const struct endpoint *from);

#define ANSWER_SOURCE_MAX (10 + ADDRESS_TEXT_MAX + 7 + 5)

/* The parameters received and rport of the topmost Via; returns their length. */
size_t answer_source(const struct endpoint *from, char out[ANSWER_SOURCE_MAX]);

/* Reason phrase of a status code. */
const char *answer_reason(uint16_t code);

#endif
