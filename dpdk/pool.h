/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of frame buffers. */
#ifndef SIPHERD_POOL_H
#define SIPHERD_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

/* What frames of one worker may be needed for at once. */
struct pool_need {
	uint32_t
		phones; /* of the worker: a link cannot hold more of their datagrams than they send */
	unsigned rings;    /* that hold frames on their way, */
	unsigned ring;     /* so many each */
	unsigned held;     /* by the driver, for what may come and what is being sent */
	unsigned workers;  /* who may free them, and keep some at hand */
	unsigned redirect; /* frames on their way to each other worker */
};

struct pool_shape {
	unsigned frames;
	uint16_t room;  /* bytes of a frame, headroom not counted */
	uint16_t note;  /* private bytes with each frame */
	uint16_t cache; /* frames that each lcore keeps at hand */
	bool dma;       /* a card reads the buffers: none may cross a page */
	bool ours;      /* DPDK has no huge pages: take memory that may lie on transparent ones */
	int socket;     /* NUMA node that is wished for */
};

/* How many frames that makes; one less than a power of two, which wastes no memory of the pool's ring. */
unsigned pool_frames(const struct pool_need *need, uint16_t cache);

/* By the thread that is to use it: memory comes from where it is touched first. NULL: no memory. */
struct rte_mempool *pool_open(const char *name, const struct pool_shape *shape);

/* About what it takes, in bytes. */
uint64_t pool_memory(const struct pool_shape *shape);

#endif
