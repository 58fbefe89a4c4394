/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define LINE 64
#define SECOND_NODE "/sys/devices/system/node/node1"

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

/* What lies on pages. Workers take theirs at the same time, and memory_populate goes on beside them. */
struct block {
	struct block *next;
	uint8_t *at;
	size_t pages, populated;
};
static struct block *blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Where there is no room for this note it is touched when it is used, that is all. */
static void remember(uint8_t *at, size_t bytes)
{
	struct block *block = malloc(sizeof(*block));
	if (block == NULL)
		return;
	*block = (struct block){.at = at, .pages = bytes / MEMORY_HUGE_PAGE};
	pthread_mutex_lock(&lock);
	block->next = blocks;
	blocks = block;
	pthread_mutex_unlock(&lock);
}

static void forget(const uint8_t *at)
{
	pthread_mutex_lock(&lock);
	struct block **link = &blocks;
	while (*link != NULL && (*link)->at != at)
		link = &(*link)->next;
	struct block *block = *link;
	if (block != NULL)
		*link = block->next;
	pthread_mutex_unlock(&lock);
	free(block);
}

/* The one with the least share done: phones begin everywhere at the front. */
static struct block *least_populated(void)
{
	struct block *least = NULL;
	for (struct block *block = blocks; block != NULL; block = block->next)
		if (block->populated < block->pages &&
			(least == NULL ||
				block->populated * least->pages < least->populated * block->pages))
			least = block;
	return least;
}

bool memory_populate(void)
{
	bool done = false;
#ifdef MADV_POPULATE_WRITE
	pthread_mutex_lock(&lock);
	struct block *block = least_populated();
	if (block != NULL) {
		uint8_t *page = block->at + block->populated++ * MEMORY_HUGE_PAGE;
		done = madvise(page, MEMORY_HUGE_PAGE, MADV_POPULATE_WRITE) == 0;
	}
	pthread_mutex_unlock(&lock);
#endif
	return done;
}

uint64_t memory_unpopulated(void)
{
	uint64_t pages = 0;
	pthread_mutex_lock(&lock);
	for (const struct block *block = blocks; block != NULL; block = block->next)
		pages += block->pages - block->populated;
	pthread_mutex_unlock(&lock);
	return pages * MEMORY_HUGE_PAGE;
}

/* Near the CPU that asks, whoever is the first to touch it. False: it will be near that one, as in a container that
 * may not ask. */
static bool stays_near(void *at, size_t bytes)
{
	unsigned node = 0;
	if (access(SECOND_NODE, F_OK) != 0)
		return true;
	if (getcpu(NULL, &node) != 0 || node + 1 >= 8 * sizeof(unsigned long))
		return false;
	const unsigned long mask = 1ul << node;
	return syscall(SYS_mbind, at, bytes, MPOL_PREFERRED, &mask, 8 * sizeof(mask), 0) == 0;
}

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
	if (stays_near(block + before, rounded))
		remember(block + before, rounded);
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
	if (bytes < MEMORY_HUGE_PAGE) {
		free(memory);
	} else if (memory != NULL) {
		forget(memory);
		munmap(memory, round_up(bytes, MEMORY_HUGE_PAGE));
	}
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

bool memory_populate(void)
{
	return false;
}

uint64_t memory_unpopulated(void)
{
	return 0;
}

#endif
