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

#define PIECES_MORE 6 /* of fixed text beyond the first between two fields */

/* Offsets of the patched fields; the lengths follow from the class. */
struct template
{
	struct template_weights weights; /* where `vectors` */
	char *text;                      /* MESSAGE_PIECE zeros behind it */
	uint32_t sum;                    /* of the text with zeros for fields, where `vectors` */
	uint16_t length;
	uint16_t via_host, branch, from_user, tag, to_user, call_id, cseq, contact_user,
		contact_host;
	/* Where fixed text goes on behind each field, and pieces of it that are laid down first. */
	uint16_t after_via_host, after_branch, after_from_user, after_tag, after_to_user,
		after_call_id, after_cseq, after_contact_user, after_contact_host;
	uint16_t more, piece[PIECES_MORE];
	uint8_t hostport, user; /* lengths */
	bool vectors;           /* every field fits a vector, and the fixed text its pieces */
};

struct messages {
	bool vectors; /* in force */
	bool shaped;  /* `shape` tells the users, by their index less `shape_begin` */
	uint32_t shape_begin;
	const struct address_plan *plan[PROXIES];
	const struct identity_set *identities;
	uint32_t templates;
	uint64_t text_bytes;
	struct template *template;
	struct identity_shape shape[IDENTITY_SHAPES];
	/* By proxy, length of "address:port", length of user. */
	uint16_t class[PROXIES][HOSTPORT_MAX][IDENTITY_TEXT_MAX + 1];
};

/* The From tag of a call. */
static inline uint32_t message_tag(uint64_t call)
{
	return (uint32_t)(call >> 32) * 2654435761u ^ (uint32_t)call;
}

bool message_vectors_possible(void);
void message_vectors_open(struct messages *m);
/* Once its text and offsets are there. */
void message_vectors_prepare(struct template *t);
/* Of an IPv4 phone whose users have shapes; address, port and proxy are there. */
void message_vectors_phone(const struct messages *m, uint32_t index, struct message_phone *out);
/* Up to where a REGISTER's tail begins, which is at least MESSAGE_PIECE long and may be spoilt. Returns
 * the sum of what was written. */
uint32_t message_vectors_write(const struct template *t, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out);

#endif
