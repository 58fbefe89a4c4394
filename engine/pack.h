/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Short texts in fewer bytes, exactly: nonces are hexadecimal, or that with some punctuation, or
 * base64, or at least ASCII, and take 4, 5, 6 or 7 bits per character. Anything else takes 8.
 */
#ifndef SIPHERD_PACK_H
#define SIPHERD_PACK_H

#include <stddef.h>
#include <stdint.h>

#define PACK_WIDTH_MIN 4

/* Bits that every character of the text fits in: PACK_WIDTH_MIN to 8. */
unsigned pack_width(const char *text, size_t length);

static inline size_t pack_bytes(size_t length, unsigned width)
{
	return (length * width + 7) / 8;
}

/* Writes pack_bytes(length, width) bytes; width is what pack_width said. */
void pack_write(uint8_t *out, const char *text, size_t length, unsigned width);
void pack_read(char *out, const uint8_t *packed, size_t length, unsigned width);

#endif
