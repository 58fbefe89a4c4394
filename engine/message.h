/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prebuilt requests: constant length per template, patched at fixed places.
 *
 * A template is the whole text of a request for one proxy, one length of "address:port" and one
 * length of user; per phone only fixed-width fields are written into a copy. Addresses and users
 * are never padded (some parsers read a leading zero as octal); their lengths choose the template
 * instead. CSeq is ten digits from 1000000001 on. A REGISTER ends in a variable tail: Expires,
 * Authorization, Content-Length.
 *
 * Where the processor has AVX2, a text is laid down from left to right in pieces of 32 bytes, each field
 * spilling over into the fixed text that follows it and is laid down next. That costs about as many
 * stores as a copy of the whole; to keep the fixed text in a recycled buffer would save five of them.
 */
#ifndef SIPHERD_MESSAGE_H
#define SIPHERD_MESSAGE_H

#include <stdalign.h>

#include "address.h"
#include "identity.h"
#include "phone.h"
#include "token.h"

#define MESSAGE_MAX 2600 /* no request of ours is longer */
#define MESSAGE_CSEQ_BASE 1000000000u
#define MESSAGE_CALL_ID 24 /* characters of a Call-ID */

struct herd_config;
struct messages;

/* All templates a slice can need. NULL: out of memory or a text that does not fit MESSAGE_MAX. */
struct messages *messages_create(const struct herd_config *config);
void messages_free(struct messages *messages);
uint64_t messages_memory(const struct messages *messages);

/* Use vector instructions, or not; says what is in force. They are used where there are any. */
bool messages_use_vectors(struct messages *messages, bool wish);

/* What varies between two requests of the same template. */
struct message_fields {
	struct token token; /* the Call-ID begins with its phone */
	uint64_t call;      /* the rest of the Call-ID; the From tag follows from it */
	uint32_t cseq;      /* counted from 1 */
};

/* A phone's own texts towards one proxy. */
struct message_phone {
	/* Where a template is written by vectors, zero up to 32 bytes behind their text. */
	alignas(32) char hostport[ADDRESS_TEXT_MAX + 24], user[IDENTITY_TEXT_MAX];
	struct address address;
	uint16_t port;
	uint8_t hostport_length, user_length, host_length;
	uint8_t proxy;
	uint16_t template; /* of its OPTIONS; that of its REGISTER is the next */
};
void messages_phone(const struct messages *messages, uint32_t index, enum proxy proxy,
	struct message_phone *out);

/* OPTIONS: its length, then its text into a buffer of that length. Returns the one's complement sum of
 * the text's 16-bit words as they lie in memory, not folded: most of a UDP checksum; MESSAGE_SUM_OPEN
 * where it was not taken. */
#define MESSAGE_SUM_OPEN UINT32_MAX
uint16_t messages_options_length(
	const struct messages *messages, const struct message_phone *phone);
uint32_t messages_options_write(const struct messages *messages, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out);

/* REGISTER with an Expires value and an Authorization header (CRLF included, or length 0). */
uint16_t messages_register_length(const struct messages *messages,
	const struct message_phone *phone, uint32_t expires_s, size_t authorization_length);
void messages_register_write(const struct messages *messages, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint32_t expires_s,
	const char *authorization, size_t authorization_length, uint8_t *out);

#endif
