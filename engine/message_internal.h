/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of messages, shared by its files: message.c (templates, and the twin that writes byte by
 * byte) and message_vectors.c (the same texts by AVX2). Nobody else includes this.
 */
#ifndef SIPHERD_MESSAGE_INTERNAL_H
#define SIPHERD_MESSAGE_INTERNAL_H

#include "message.h"

#define HOSTPORT_MAX (ADDRESS_TEXT_MAX + 8)
#define CSEQ_DIGITS 10
#define MESSAGE_PIECE 32 /* bytes laid down at once */

enum request { REQUEST_OPTIONS, REQUEST_REGISTER, REQUESTS };

/* What the fields add to the sum of the text: 1 for each place where a field begins at an even offset, 256
 * for each where it begins at an odd one, by their 16-bit words in the form the fields have in
 * registers. Hostport and user are the same in all words. */
struct template_weights {
	alignas(MESSAGE_PIECE) int16_t branch[16], call[16], cseq[8];
	int16_t hostport, user;
};

/* Offsets of the patched fields; the lengths follow from the class. */
struct template
{
	struct template_weights weights; /* where `vectors` */
	char *text;                      /* MESSAGE_PIECE zeros behind it */
	uint32_t sum;                    /* of the text with zeros for fields, where `vectors` */
	uint16_t length;
	uint16_t via_host, branch, from_user, tag, to_user, call_id, cseq, contact_user,
		contact_host;
	uint16_t last;          /* where the last piece begins */
	uint8_t hostport, user; /* lengths */
	bool vectors;           /* every field fits a vector */
};

struct messages {
	bool vectors; /* in force */
	bool shaped;  /* `shape` tells the users */
	const struct address_plan *plan[PROXIES];
	const struct identity_set *identities;
	uint32_t templates, templates_max;
	uint64_t text_bytes;
	struct template *template;
	struct identity_shape shape[IDENTITY_SHAPES];
	/* By proxy, kind, length of "address:port", length of user. */
	uint16_t class[PROXIES][REQUESTS][HOSTPORT_MAX][IDENTITY_TEXT_MAX + 1];
};

/* ":5060" and the like; returns its length. */
size_t message_port(char *out, uint16_t port);

bool message_vectors_possible(void);
void message_vectors_open(struct messages *m);
bool message_vectors_suit(const struct template *t);
void message_vectors_prepare(struct template *t);
/* Of an IPv4 phone whose users have shapes; address and port are there. */
void message_vectors_phone(const struct messages *m, uint32_t index, struct message_phone *out);
/* Up to where a REGISTER's tail begins, which is at least MESSAGE_PIECE long and may be spoilt. Returns
 * the sum of what was written. */
uint32_t message_vectors_write(const struct template *t, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out);

#endif
