/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the large arrays: phones, their records and timers, the registrars' bindings.
 *
 * It is zero, begins at a cache line, and none of it is touched before it is used, so that its pages come
 * to lie near the CPU that uses them. What is larger than a huge page lies on huge pages where the kernel
 * gives them: random access to gigabytes would else spend as long on page tables as on the data.
 */
#ifndef SIPHERD_MEMORY_H
#define SIPHERD_MEMORY_H

#include <stddef.h>

#define MEMORY_HUGE_PAGE ((size_t)2 << 20)

/* NULL: out of memory. */
void *memory_take(size_t bytes);
/* The same number of bytes; NULL is none. */
void memory_give(void *memory, size_t bytes);

#endif
