/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading keep-alives and their answers from those who repeat themselves: what they said the last time is
 * kept as a skeleton, and a message that differs from it only where such messages do differ needs no scan.
 *
 * A skeleton is learned from a scanned OPTIONS or an answer to one, with one Via, at most one Contact and
 * neither challenge nor credentials. Each of its bytes is either fixed, and must be the same in a message that is taken for one of its kind, or
 * belongs to a branch, a host, a user, a tag, a Call-ID or a CSeq number, and must be a byte that may stand
 * there. All are looked at, so that what comes out is what scan_message says of the same datagram; whatever
 * does not match is given to that. Who never repeats himself is learned from less and less often.
 * Needs AVX2: elsewhere everything is scanned. Tests may clear `wide`.
 */
#ifndef SIPHERD_SCAN_LEARN_H
#define SIPHERD_SCAN_LEARN_H

#include "scan.h"

#define SCAN_LEARN_BYTES 640 /* longer messages are not learned */
#define SCAN_LEARN_BLOCK 64
#define SCAN_LEARN_BLOCKS (SCAN_LEARN_BYTES / SCAN_LEARN_BLOCK)
#define SCAN_SKELETONS 16 /* of one peer, by length: phones' addresses differ in theirs */

struct scan_block {
	_Alignas(SCAN_LEARN_BLOCK) uint8_t expect[SCAN_LEARN_BLOCK];
	uint8_t fixed[SCAN_LEARN_BLOCK]; /* 255 where `expect` counts, else 0 */
	uint8_t need[SCAN_LEARN_BLOCK];  /* the class that a byte must be of, else 0 */
	uint64_t fixed_bits;             /* `fixed`, a bit for each byte */
};

struct scan_skeleton {
	uint16_t length; /* of the datagram; 0: nothing learned */
	uint16_t blocks; /* the last one ends with the datagram, and may overlap the one before */
	uint16_t cseq_at, cseq_digits;
	uint32_t missed; /* messages of this length that did not match */
	uint64_t useful; /* messages recognised, of all skeletons, when one was last missed */
	struct sip_message message; /* as scanned, base and cseq to be replaced */
	struct scan_block block[SCAN_LEARN_BLOCKS];
};

struct scan_learned {
	bool possible, wide;            /* this machine has AVX2, and AVX-512BW besides */
	uint64_t recognised, learned;   /* answers that matched; skeletons made */
	struct scan_skeleton *skeleton; /* [SCAN_SKELETONS] */
};

int scan_learned_open(struct scan_learned *learned); /* -ENOMEM */
void scan_learned_close(struct scan_learned *learned);
uint64_t scan_learned_memory(const struct scan_learned *learned); /* bytes */

/* As scan_message; of arrays in *out only those elements count that are there. */
enum scan_result scan_learned_message(
	struct scan_learned *learned, const void *datagram, size_t length, struct sip_message *out);

#endif
