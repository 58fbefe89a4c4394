/* SPDX-License-Identifier: BSD-3-Clause */
#include "token.h"

#include <string.h>

#include "hex.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define COOKIE "z9hG4bK"
#define COOKIE_LENGTH 7

static uint32_t check_of(uint32_t phone, uint32_t word, uint64_t seed)
{
	uint64_t both = (uint64_t)phone << 32 | word;
	return (uint32_t)XXH3_64bits_withSeed(&both, sizeof(both), seed);
}

void token_words(const struct token *token, uint64_t seed, uint32_t out[3])
{
	out[0] = token->phone;
	out[1] = (uint32_t)token->epoch << 16 | (uint32_t)(token->kind & 3) << 14 |
		 (token->sequence & TOKEN_SEQUENCE_MASK);
	out[2] = check_of(out[0], out[1], seed);
}

void token_write(const struct token *token, uint64_t seed, char out[TOKEN_HEX])
{
	uint32_t word[3];
	token_words(token, seed, word);
	for (int i = 0; i < 3; i++)
		hex8_write(word[i], out + 8 * i);
}

bool token_parse(const char *branch, size_t length, uint64_t seed, struct token *out)
{
	uint32_t phone, word, check;
	if (length != TOKEN_BRANCH || memcmp(branch, COOKIE, COOKIE_LENGTH) != 0)
		return false;
	branch += COOKIE_LENGTH;
	if (!hex8_read(branch, &phone) || !hex8_read(branch + 8, &word) ||
		!hex8_read(branch + 16, &check))
		return false;
	if (check != check_of(phone, word, seed))
		return false;
	out->phone = phone;
	out->epoch = (uint16_t)(word >> 16);
	out->kind = word >> 14 & 3;
	out->sequence = word & TOKEN_SEQUENCE_MASK;
	return true;
}
