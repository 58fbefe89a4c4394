/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of frame buffers. */
#ifndef SIPHERD_POOL_H
#define SIPHERD_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

struct pool_shape {
	unsigned frames;
	uint16_t room;  /* bytes of a frame, headroom not counted */
	uint16_t note;  /* private bytes with each frame */
	uint16_t cache; /* frames that each lcore keeps at hand */
	bool dma;       /* a card reads the buffers: none may cross a page */
};

/* NULL: no memory. */
struct rte_mempool *pool_open(const char *name, const struct pool_shape *shape);

/* About what it takes, in bytes. */
uint64_t pool_memory(const struct pool_shape *shape);

#endif
