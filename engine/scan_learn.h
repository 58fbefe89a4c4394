/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading keep-alives, registrations and their answers from those who repeat themselves: what they said the
 * last time is kept as a skeleton, and a message that differs from it only where such messages do differ
 * needs no scan.
 *
 * A skeleton is learned from a scanned OPTIONS or REGISTER or an answer to one, with one Via and at most one
 * Contact, challenge and credentials each. Each of its bytes is either fixed, and must be the same in a
 * message that is taken for one of its kind, or belongs to a branch, a host, a user, a tag, a Call-ID, a CSeq
 * number or to what differs in a digest, and must be a byte that may stand there. All are looked at, so that
 * what comes out is what scan_message says of the same datagram; whatever does not match is given to that.
 * So it is with scan_contact, scan_uri and the two parsers of digest.h: on messages of one skeleton they say
 * the same of the same spans, but for the nonce count. Who never repeats himself is learned from less and
 * less often.
 * Needs AVX2: elsewhere everything is scanned. Tests may clear `wide`.
 */
#ifndef SIPHERD_SCAN_LEARN_H
#define SIPHERD_SCAN_LEARN_H

#include "scan.h"

#define SCAN_LEARN_BYTES 768 /* longer messages are not learned */
#define SCAN_LEARN_BLOCK 64
#define SCAN_LEARN_BLOCKS (SCAN_LEARN_BYTES / SCAN_LEARN_BLOCK)
/* Of one peer, by length: phones' addresses differ in theirs. Two each, since registrations may be as long
 * as keep-alives. */
#define SCAN_LEARN_SETS 16
#define SCAN_LEARN_WAYS 2
#define SCAN_SKELETONS (SCAN_LEARN_SETS * SCAN_LEARN_WAYS)

struct scan_block {
	_Alignas(SCAN_LEARN_BLOCK) uint8_t expect[SCAN_LEARN_BLOCK];
	uint8_t need[SCAN_LEARN_BLOCK]; /* the class that a byte must be of; 0: `expect` counts */
	uint64_t fixed_bits;            /* where `need` is 0, a bit for each byte */
};

struct scan_skeleton {
	uint16_t length; /* of the datagram; 0: nothing learned */
	uint16_t blocks; /* the last one ends with the datagram, and may overlap the one before */
	uint16_t cseq_at, cseq_digits;
	uint64_t number;            /* no two that were ever learned here have the same; from 1 */
	struct sip_message message; /* as scanned, base and cseq to be replaced */
	struct scan_block block[SCAN_LEARN_BLOCKS];
};

/* Skeletons of the same lengths. */
struct scan_learn_set {
	uint32_t missed;  /* messages that did not match */
	uint32_t matched; /* which skeleton was the last that did */
	uint64_t useful;  /* messages recognised, of all skeletons, when one was last missed */
};

struct scan_learned {
	bool possible, wide;               /* this machine has AVX2, and AVX-512BW besides */
	uint64_t recognised, learned;      /* messages that matched; skeletons made */
	const struct scan_skeleton *match; /* of the last message; NULL: it was scanned */
	struct scan_skeleton *skeleton;    /* [SCAN_LEARN_SETS][SCAN_LEARN_WAYS] */
	struct scan_learn_set set[SCAN_LEARN_SETS];
};

int scan_learned_open(struct scan_learned *learned); /* -ENOMEM */
void scan_learned_close(struct scan_learned *learned);
uint64_t scan_learned_memory(const struct scan_learned *learned); /* bytes */

/* As scan_message; of arrays in *out only those elements count that are there. */
enum scan_result scan_learned_message(
	struct scan_learned *learned, const void *datagram, size_t length, struct sip_message *out);

/* Has this byte been the same in all messages of the skeleton? */
bool scan_skeleton_is_fixed(const struct scan_skeleton *skeleton, size_t at);

#endif
