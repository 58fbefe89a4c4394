/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define LINE 64

static size_t round_up(size_t bytes, size_t step)
{
	return (bytes + step - 1) / step * step;
}

static void *take_lines(size_t bytes)
{
	const size_t rounded = round_up(bytes ? bytes : 1, LINE);
	void *memory = aligned_alloc(LINE, rounded);
	if (memory != NULL)
		memset(memory, 0, rounded);
	return memory;
}

#ifdef MADV_HUGEPAGE

/* One page more than wanted, and what lies before and behind the pages is given back. */
static void *take_pages(size_t bytes)
{
	const size_t rounded = round_up(bytes, MEMORY_HUGE_PAGE);
	uint8_t *block = mmap(NULL, rounded + MEMORY_HUGE_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return NULL;
	const size_t before = round_up((uintptr_t)block, MEMORY_HUGE_PAGE) - (uintptr_t)block;
	if (before > 0)
		munmap(block, before);
	if (before < MEMORY_HUGE_PAGE)
		munmap(block + before + rounded, MEMORY_HUGE_PAGE - before);
	/* A kernel without them refuses, and small pages do as well. */
	madvise(block + before, rounded, MADV_HUGEPAGE);
	return block + before;
}

void *memory_take(size_t bytes)
{
	if (bytes > SIZE_MAX / 2)
		return NULL;
	return bytes < MEMORY_HUGE_PAGE ? take_lines(bytes) : take_pages(bytes);
}

void memory_give(void *memory, size_t bytes)
{
	if (bytes < MEMORY_HUGE_PAGE)
		free(memory);
	else if (memory != NULL)
		munmap(memory, round_up(bytes, MEMORY_HUGE_PAGE));
}

#else

void *memory_take(size_t bytes)
{
	return take_lines(bytes);
}

void memory_give(void *memory, size_t bytes)
{
	(void)bytes;
	free(memory);
}

#endif
