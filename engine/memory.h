/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the large arrays: phones, their records and timers, the registrars' bindings.
 *
 * It is zero and begins at a cache line. What is larger than a huge page lies on huge pages where the kernel
 * gives them: random access to gigabytes would else spend as long on page tables as on the data. It comes
 * from the NUMA node of the CPU that took it, so whoever uses it takes it.
 *
 * Taking is quick because nothing is touched. But the first touch of a huge page is a page of zeros to be
 * written, milliseconds on a virtual machine, and a worker has no milliseconds: a thread with nothing else
 * to do goes before it with memory_populate.
 */
#ifndef SIPHERD_MEMORY_H
#define SIPHERD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_HUGE_PAGE ((size_t)2 << 20)

/* NULL: out of memory. */
void *memory_take(size_t bytes);
/* The same number of bytes; NULL is none. */
void memory_give(void *memory, size_t bytes);

/* Have the kernel prepare the next huge page of what has been taken, in all of it evenly from its beginning.
 * What it holds stays as it is, and whoever uses it does not wait. False: there is no more, or this kernel
 * cannot. Any thread. */
bool memory_populate(void);
/* Bytes that memory_populate has not been at yet. */
uint64_t memory_unpopulated(void);

#endif
