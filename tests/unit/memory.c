/* SPDX-License-Identifier: BSD-3-Clause */
/* The large arrays' memory: zero, aligned, as long as it was asked for, and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "memory.h"

static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, MEMORY_HUGE_PAGE - 1, MEMORY_HUGE_PAGE,
	MEMORY_HUGE_PAGE + 1, 3 * MEMORY_HUGE_PAGE - 64};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void is_zero_aligned_and_ours(void **state)
{
	(void)state;
	uint8_t *memory[SIZES];
	for (size_t i = 0; i < SIZES; i++) {
		memory[i] = memory_take(sizes[i]);
		assert_non_null(memory[i]);
		assert_int_equal((uintptr_t)memory[i] % 64, 0);
		if (sizes[i] >= MEMORY_HUGE_PAGE)
			assert_int_equal((uintptr_t)memory[i] % MEMORY_HUGE_PAGE, 0);
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal(memory[i][at], 0);
		memset(memory[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal(memory[i][at], i + 1);
		memory_give(memory[i], sizes[i]);
	}
}

/* Bytes of address space of this process. */
static size_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages * 4096;
}

static void is_given_back(void **state)
{
	(void)state;
	const size_t before = address_space();
	for (int i = 0; i < 1000; i++) {
		const size_t bytes = MEMORY_HUGE_PAGE + (size_t)i * 4096;
		memory_give(memory_take(bytes), bytes);
	}
	assert_true(address_space() < before + 16 * MEMORY_HUGE_PAGE);
	memory_give(NULL, MEMORY_HUGE_PAGE);
	memory_give(NULL, 1);
}

static void too_much_is_refused(void **state)
{
	(void)state;
	assert_null(memory_take(SIZE_MAX));
	assert_null(memory_take(SIZE_MAX - 1));
	assert_null(memory_take(SIZE_MAX / 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_zero_aligned_and_ours),
		cmocka_unit_test(is_given_back),
		cmocka_unit_test(too_much_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
