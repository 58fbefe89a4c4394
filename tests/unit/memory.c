/* SPDX-License-Identifier: BSD-3-Clause */
/* The large arrays' memory: zero, aligned, as long as it was asked for, and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>

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

static size_t pages_there(uint8_t *memory, size_t bytes)
{
	static unsigned char there[4096];
	size_t count = 0;
	assert_true(bytes / 4096 <= sizeof(there));
	assert_int_equal(mincore(memory, bytes, there), 0);
	for (size_t i = 0; i < bytes / 4096; i++)
		count += there[i] & 1;
	return count * 4096;
}

/* Linux from 5.14 on. */
static bool kernel_populates(void)
{
	bool able = false;
#ifdef MADV_POPULATE_WRITE
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	able = madvise(page, 4096, MADV_POPULATE_WRITE) == 0;
	munmap(page, 4096);
#endif
	return able;
}

/* Large arrays from their front, evenly, and what they hold stays. */
static void is_populated_without_being_used(void **state)
{
	(void)state;
	const size_t large = 6 * MEMORY_HUGE_PAGE, small = 2 * MEMORY_HUGE_PAGE;
	if (!kernel_populates())
		skip();
	uint8_t *first = memory_take(large), *second = memory_take(small);
	assert_int_equal(memory_unpopulated(), large + small);
	assert_int_equal(pages_there(first, large), 0);
	first[0] = 7;
	first[large - 1] = 8;
	for (unsigned i = 0; i < 4; i++)
		assert_true(memory_populate());
	assert_int_equal(memory_unpopulated(), large + small - 4 * MEMORY_HUGE_PAGE);
	assert_int_equal(pages_there(first, 3 * MEMORY_HUGE_PAGE), 3 * MEMORY_HUGE_PAGE);
	assert_int_equal(pages_there(second, small), MEMORY_HUGE_PAGE);
	while (memory_populate())
		;
	assert_int_equal(memory_unpopulated(), 0);
	assert_int_equal(pages_there(first, large), large);
	assert_int_equal(pages_there(second, small), small);
	assert_int_equal(first[0], 7);
	assert_int_equal(first[1], 0);
	assert_int_equal(first[large - 1], 8);
	memory_give(first, large);
	memory_give(second, small);
}

static void what_was_given_back_is_left_alone(void **state)
{
	(void)state;
	const size_t bytes = 3 * MEMORY_HUGE_PAGE;
	uint8_t *first = memory_take(bytes), *second = memory_take(bytes);
	memory_give(first, bytes);
	assert_int_equal(memory_unpopulated(), bytes);
	memory_give(second, bytes);
	assert_int_equal(memory_unpopulated(), 0);
	assert_false(memory_populate());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_zero_aligned_and_ours),
		cmocka_unit_test(is_given_back),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(is_populated_without_being_used),
		cmocka_unit_test(what_was_given_back_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
