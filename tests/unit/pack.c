/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed texts come back exactly, and take no more room than their kind promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "pack.h"

static uint64_t seed;

static uint32_t draw(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* Nonces as proxies write them, and the room they take. */
static void nonces_are_small(void **state)
{
	static const struct {
		const char *text;
		unsigned width;
	} nonce[] = {
		{"", 4},
		{"5d41402abc4b2a76b9719d911017c592", 4},
		{"5D41402ABC4B2A76B9719D911017C592", 5},
		{"1700000000/5d41402abc4b2a76b9719d911017c5925ccc069c403ebaf9", 5},
		{"d1a2b3c4-0000-4abc-9def-0123456789ab", 5},
		{"Zl7n0mZe5qRXX8jxqYVvbVwUQ5dJ9x+/", 6},
		{"Zl7n0mZe5qRXX8jxqYVvbVwUQ5dJ9x==", 7},
		{"with blanks and \x7f", 7},
		{"na\xc3\xafve", 8},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(nonce) / sizeof(nonce[0]); i++) {
		uint8_t packed[100];
		char back[100] = "";
		size_t length = strlen(nonce[i].text);
		unsigned width = pack_width(nonce[i].text, length);
		assert_int_equal(width, nonce[i].width);
		pack_write(packed, nonce[i].text, length, width);
		pack_read(back, packed, length, width);
		assert_string_equal(back, nonce[i].text);
	}
	assert_int_equal(pack_bytes(59, 5), 37);
	assert_int_equal(pack_bytes(32, 6), 24);
}

static void any_text_comes_back(void **state)
{
	static const uint8_t low[] = {'0', '+', 'A', 1, 0}, span[] = {10, 2, 26, 127, 255};
	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[64], back[64];
		uint8_t packed[65];
		const size_t length = draw() % 65;
		const unsigned kind = draw() % 5;
		for (size_t i = 0; i < length; i++)
			text[i] = kind == 0 ? "0123456789abcdef"[draw() % 16]
					    : (char)(low[kind] + draw() % span[kind]);
		const unsigned width = pack_width(text, length);
		assert_in_range(width, PACK_WIDTH_MIN, kind + 4);
		const size_t bytes = pack_bytes(length, width);
		assert_in_range(bytes, 0, 64);
		memset(packed, 0xa5, sizeof(packed));
		pack_write(packed, text, length, width);
		assert_int_equal(packed[bytes], 0xa5); /* nothing is written behind */
		pack_read(back, packed, length, width);
		assert_memory_equal(back, text, length);
	}
}

int main(void)
{
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonces_are_small),
		cmocka_unit_test(any_text_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
