/* SPDX-License-Identifier: BSD-3-Clause */
/* Token: what was written is read back, and nothing else is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hex.h"
#include "token.h"

#define SECRET 0x1234567890abcdefull

static void branch_of(const struct token *token, char out[TOKEN_BRANCH])
{
	memcpy(out, "z9hG4bK", 7);
	token_write(token, SECRET, out + 7);
}

static void hex_is_what_printf_says(void **state)
{
	(void)state;
	uint32_t value = 1;
	for (int i = 0; i < 100000; i++) {
		char expected[9], got[8];
		value = value * 1664525 + 1013904223;
		snprintf(expected, sizeof(expected), "%08x", value);
		hex8_write(value, got);
		assert_memory_equal(expected, got, 8);
	}
}

static void reads_back(void **state)
{
	(void)state;
	uint32_t x = 99;
	for (int i = 0; i < 100000; i++) {
		char branch[TOKEN_BRANCH];
		struct token in = {.phone = x,
				     .epoch = (uint16_t)(x >> 7),
				     .kind = x % 3,
				     .sequence = (x >> 3) & TOKEN_SEQUENCE_MASK},
			     out;
		x = x * 1664525 + 1013904223;
		branch_of(&in, branch);
		assert_true(token_parse(branch, sizeof(branch), SECRET, &out));
		assert_int_equal(in.phone, out.phone);
		assert_int_equal(in.epoch, out.epoch);
		assert_int_equal(in.kind, out.kind);
		assert_int_equal(in.sequence, out.sequence);
		assert_false(token_parse(branch, sizeof(branch), SECRET + 1, &out));
	}
}

static void any_changed_byte_is_refused(void **state)
{
	(void)state;
	struct token in = {.phone = 4711, .epoch = 3, .kind = TOKEN_OPTIONS, .sequence = 77}, out;
	char branch[TOKEN_BRANCH + 1];
	branch_of(&in, branch);
	for (int at = 0; at < TOKEN_BRANCH; at++) {
		for (int c = 0; c < 256; c++) {
			char kept = branch[at];
			if ((char)c == kept)
				continue;
			branch[at] = (char)c;
			assert_false(token_parse(branch, TOKEN_BRANCH, SECRET, &out));
			branch[at] = kept;
		}
	}
	assert_false(token_parse(branch, TOKEN_BRANCH - 1, SECRET, &out));
	branch[TOKEN_BRANCH] = '0';
	assert_false(token_parse(branch, TOKEN_BRANCH + 1, SECRET, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_is_what_printf_says),
		cmocka_unit_test(reads_back),
		cmocka_unit_test(any_changed_byte_is_refused),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
