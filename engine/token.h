/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the Via branch carries: which phone, which epoch, which transaction, and a keyed check.
 *
 * "z9hG4bK" + 8 hex of the phone's index + 8 hex of epoch and transaction + 8 hex of a keyed hash
 * (XXH3 of the first two words under the run's secret seed). An answer finds its phone in O(1)
 * without a hash table, and an answer that we did not ask for is told at once. The check guards
 * against stray and stale traffic, not against somebody who can read the wire.
 */
#ifndef SIPHERD_TOKEN_H
#define SIPHERD_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_HEX 24    /* characters after the magic cookie */
#define TOKEN_BRANCH 31 /* "z9hG4bK" and the token */

enum token_kind { TOKEN_REGISTER = 0, TOKEN_OPTIONS = 1, TOKEN_UNREGISTER = 2 };

struct token {
	uint32_t phone; /* index in the fleet */
	uint16_t epoch;
	uint8_t kind;      /* enum token_kind, two bits on the wire */
	uint16_t sequence; /* low 14 bits of the CSeq */
};
#define TOKEN_SEQUENCE_MASK 0x3fffu

/* The three words whose hex digits the 24 characters are. */
void token_words(const struct token *token, uint64_t seed, uint32_t out[3]);

/* Write the 24 characters. */
void token_write(const struct token *token, uint64_t seed, char out[TOKEN_HEX]);

/* Read a whole branch value. False: not ours, or the check fails. Upper-case hex is refused:
 * a branch must come back as it went out. */
bool token_parse(const char *branch, size_t length, uint64_t seed, struct token *out);

#endif
