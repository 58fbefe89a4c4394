/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "pool.h"

#define SMALL_PAGE 4096u
#define SPREAD 256u /* the pool's own header, and what DPDK adds to spread objects over banks */

static uint16_t data_room(const struct pool_shape *shape)
{
	return (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_ALIGN(shape->room, RTE_CACHE_LINE_SIZE));
}

static unsigned note_size(const struct pool_shape *shape)
{
	return RTE_ALIGN(shape->note, RTE_MBUF_PRIV_ALIGN);
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
		sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!pool)
		return NULL;
	if (!rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL)) {
		rte_pktmbuf_pool_init(pool, &private);
		if (rte_mempool_populate_default(pool) >= 0) {
			rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
			return pool;
		}
	}
	rte_mempool_free(pool);
	return NULL;
}

struct rte_mempool *pool_open(const char *name, const struct pool_shape *shape)
{
	if (!shape->dma)
		return open_packed(name, shape);
	return rte_pktmbuf_pool_create(name, shape->frames, shape->cache,
		(uint16_t)note_size(shape), data_room(shape), SOCKET_ID_ANY);
}

uint64_t pool_memory(const struct pool_shape *shape)
{
	unsigned size = (unsigned)sizeof(struct rte_mbuf) + note_size(shape) + data_room(shape) +
			SPREAD;
	if (shape->dma)
		size = RTE_ALIGN(size, SMALL_PAGE);
	return (uint64_t)shape->frames * (size + 2 * sizeof(void *));
}
