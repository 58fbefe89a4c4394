/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "memory.h"
#include "pool.h"
#include "worker.h"

#define SMALL_PAGE 4096u
#define FRAMES_PER_PHONE 4 /* requests of all kinds and their answers */
#define BURSTS 16          /* that a round of a worker holds: received, being sent, being written */
#define SPREAD 256u /* the pool's own header, and what DPDK adds to spread objects over banks */

unsigned pool_frames(const struct pool_need *need, uint16_t cache)
{
	const uint64_t wanted = (uint64_t)need->phones * FRAMES_PER_PHONE;
	const uint64_t on_their_way = need->rings * RTE_MIN(wanted, (uint64_t)need->ring);
	/* DPDK lets a cache grow to one and a half times its size. */
	const uint64_t at_hand = need->workers * (cache + cache / 2u);
	const uint64_t frames = on_their_way + need->held + BURSTS * STATION_BURST + at_hand +
				(need->workers - 1) * need->redirect;
	return rte_align32pow2((uint32_t)frames + 1) - 1;
}

static uint16_t data_room(const struct pool_shape *shape)
{
	return (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_ALIGN(shape->room, RTE_CACHE_LINE_SIZE));
}

static unsigned note_size(const struct pool_shape *shape)
{
	return RTE_ALIGN(shape->note, RTE_MBUF_PRIV_ALIGN);
}

static void give_back(struct rte_mempool_memhdr *memory, void *bytes)
{
	memory_give(memory->addr, (size_t)bytes);
}

/* The kernel backs DPDK's own memory, which is a file, with small pages. */
static bool populate_ours(struct rte_mempool *pool)
{
	size_t least, align;
	const ssize_t bytes = rte_mempool_op_calc_mem_size_default(
		pool, pool->size, 0, &least, &align);
	char *memory = bytes > 0 ? memory_take((size_t)bytes) : NULL;
	if (!memory)
		return false;
	const int frames = rte_mempool_populate_iova(
		pool, memory, RTE_BAD_IOVA, (size_t)bytes, give_back, (void *)bytes);
	if (frames <= 0)
		memory_give(memory, (size_t)bytes);
	return frames == (int)pool->size;
}

/*
 * Without DMA buffers are packed: on small pages DPDK would else leave a gap behind each, which
 * wastes half of the memory and which its af_xdp driver does not know of (it registers frames times
 * size, and the kernel drops what lies beyond).
 */
static struct rte_mempool *open_packed(const char *name, const struct pool_shape *shape)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = data_room(shape),
		.mbuf_priv_size = (uint16_t)note_size(shape)};
	const unsigned size = (unsigned)sizeof(struct rte_mbuf) + note_size(shape) +
			      data_room(shape);
	struct rte_mempool *pool = rte_mempool_create_empty(name, shape->frames, size, shape->cache,
		sizeof(private), shape->socket, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!pool)
		return NULL;
	if (!rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL)) {
		rte_pktmbuf_pool_init(pool, &private);
		if (shape->ours ? populate_ours(pool) : rte_mempool_populate_default(pool) >= 0) {
			rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
			return pool;
		}
	}
	rte_mempool_free(pool);
	return NULL;
}

static struct rte_mempool *open_at(const char *name, const struct pool_shape *shape)
{
	if (!shape->dma)
		return open_packed(name, shape);
	return rte_pktmbuf_pool_create(name, shape->frames, shape->cache,
		(uint16_t)note_size(shape), data_room(shape), shape->socket);
}

struct rte_mempool *pool_open(const char *name, const struct pool_shape *shape)
{
	struct rte_mempool *pool = open_at(name, shape);
	if (pool || shape->socket == SOCKET_ID_ANY)
		return pool;
	/* Rather memory of another node than none. */
	struct pool_shape anywhere = *shape;
	anywhere.socket = SOCKET_ID_ANY;
	return open_at(name, &anywhere);
}

uint64_t pool_memory(const struct pool_shape *shape)
{
	unsigned size = (unsigned)sizeof(struct rte_mbuf) + note_size(shape) + data_room(shape) +
			SPREAD;
	if (shape->dma)
		size = RTE_ALIGN(size, SMALL_PAGE);
	return (uint64_t)shape->frames * (size + 2 * sizeof(void *));
}
