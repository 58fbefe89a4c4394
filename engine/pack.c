/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack.h"

#include <endian.h>
#include <string.h>

#include "hex.h"

static const char symbols5[] = "0123456789abcdefABCDEF-/:._=+,@~";
static const char symbols6[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define NO_CODE 255

static uint8_t code5(char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint8_t)(c - 'a' + 10);
	const char *at = c == '\0' ? NULL : strchr(symbols5 + 16, c);
	return at == NULL ? NO_CODE : (uint8_t)(at - symbols5);
}

static uint8_t code6(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	return c == '+' ? 62 : c == '/' ? 63 : NO_CODE;
}

static uint8_t code_of(char c, unsigned width)
{
	return width <= 5 ? code5(c) : width == 6 ? code6(c) : (uint8_t)c;
}

unsigned pack_width(const char *text, size_t length)
{
	unsigned width = PACK_WIDTH_MIN;
	uint32_t eight;
	size_t hex = 0; /* most nonces are nothing else, and taken eight characters at a time */
	while (hex + 8 <= length && hex8_read(text + hex, &eight))
		hex += 8;
	for (size_t i = hex; i < length && width == 4; i++)
		width = code5(text[i]) > 15 ? 5 : 4;
	for (size_t i = 0; i < length && width == 5; i++)
		width = code5(text[i]) == NO_CODE ? 6 : 5;
	for (size_t i = 0; i < length && width == 6; i++)
		width = code6(text[i]) == NO_CODE ? 7 : 6;
	for (size_t i = 0; i < length && width == 7; i++)
		width = (uint8_t)text[i] > 127 ? 8 : 7;
	return width;
}

void pack_write(uint8_t *out, const char *text, size_t length, unsigned width)
{
	uint32_t bits = 0, eight;
	unsigned held = 0;
	size_t i = 0;
	for (; width == 4 && i + 8 <= length && hex8_read(text + i, &eight); i += 8, out += 4) {
		eight = htobe32(eight);
		memcpy(out, &eight, 4);
	}
	for (; i < length; i++) {
		bits = bits << width | code_of(text[i], width);
		held += width;
		while (held >= 8) {
			held -= 8;
			*out++ = (uint8_t)(bits >> held);
		}
	}
	if (held > 0)
		*out = (uint8_t)(bits << (8 - held));
}

void pack_read(char *out, const uint8_t *packed, size_t length, unsigned width)
{
	uint32_t bits = 0;
	unsigned held = 0;
	const uint32_t mask = (1u << width) - 1;
	size_t i = 0;
	for (; width == 4 && i + 8 <= length; i += 8, packed += 4) {
		uint32_t eight;
		memcpy(&eight, packed, 4);
		hex8_write(be32toh(eight), out + i);
	}
	for (; i < length; i++) {
		while (held < width) {
			bits = bits << 8 | *packed++;
			held += 8;
		}
		held -= width;
		const uint32_t code = bits >> held & mask;
		out[i] = width <= 5 ? symbols5[code] : width == 6 ? symbols6[code] : (char)code;
	}
}
