/* SPDX-License-Identifier: BSD-3-Clause */
/* Eight lower-case hex digits at a time, in one register: what tokens, tags, nonces and digests are made of. */
#ifndef SIPHERD_HEX_H
#define SIPHERD_HEX_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first character is the lowest byte");

/* Each byte's character: '0' plus the nibble, plus 39 more from 10 on. */
static inline uint64_t hex_characters(uint64_t nibbles)
{
	const uint64_t letter = ((nibbles + 0x0606060606060606ull) >> 4) & 0x0101010101010101ull;
	return nibbles + 0x3030303030303030ull + letter * 39;
}

static inline void hex8_write(uint32_t value, char out[8])
{
	/* Eight nibbles over eight bytes, most significant first in memory. */
	uint64_t x = __builtin_bswap32(value);
	x = (x | x << 16) & 0x0000ffff0000ffffull;
	x = (x | x << 8) & 0x00ff00ff00ff00ffull;
	x = ((x & 0x000f000f000f000full) << 8) | ((x >> 4) & 0x000f000f000f000full);
	x = hex_characters(x);
	memcpy(out, &x, 8);
}

/* The inverse, for exactly what hex8_write writes; false: any other text. Nibbles are read on trust, and whether
 * these are the characters that they have tells everything else. */
static inline bool hex8_read(const char text[8], uint32_t *value)
{
	uint64_t x;
	memcpy(&x, text, 8);
	const uint64_t letter = (x >> 6) & 0x0101010101010101ull;
	const uint64_t nibbles = ((x & 0x0f0f0f0f0f0f0f0full) + letter * 9) & 0x0f0f0f0f0f0f0f0full;
	const bool is_hex = hex_characters(nibbles) == x;
	x = __builtin_bswap64(nibbles);
	x = (x | x >> 4) & 0x00ff00ff00ff00ffull;
	x = (x | x >> 8) & 0x0000ffff0000ffffull;
	*value = (uint32_t)(x | x >> 16);
	return is_hex;
}

/* Bytes as hex digits, twice as many. */
static inline void hex_write(const uint8_t *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (; count >= 4; count -= 4, bytes += 4, out += 8) {
		uint32_t four;
		memcpy(&four, bytes, 4);
		hex8_write(__builtin_bswap32(four), out);
	}
	for (; count > 0; count--, bytes++) {
		*out++ = digits[*bytes >> 4];
		*out++ = digits[*bytes & 15];
	}
}

#endif
