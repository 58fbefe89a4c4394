/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The five kinds of link, made into Ethernet ports that look alike from above.
 *
 * Most kinds give one port. The memory link gives two, joined by rings: the herd's end and the
 * registrars' end. A port has as many queue pairs as there are workers, or fewer where the device
 * has no more; workers beyond that receive and send through the others' queues.
 */
#ifndef SIPHERD_LINK_H
#define SIPHERD_LINK_H

#include <rte_mempool.h>
#include <linux/filter.h>
#include <rte_ring.h>

#include "frame.h"
#include "pool.h"
#include "wire.h"

enum link_end { LINK_NEAR = 0, LINK_FAR = 1, LINK_ENDS = 2 };

struct link_port {
	uint16_t id; /* of rte_ethdev */
	uint16_t queues;
	uint8_t mac[FRAME_MAC]; /* that we speak and answer with */
	bool open;              /* probed or made: has to be closed */
	bool sends_checksum;    /* hardware completes UDP checksums */
	bool programmed;        /* frames find their queue by link.program */
	bool partial_allowed;   /* a kernel may leave UDP checksums unfinished on this link */
};

struct link {
	struct wire_link wish;
	unsigned workers;
	uint16_t mtu;
	bool verbose;
	bool huge_pages;              /* set by the caller once DPDK has started, */
	int socket[WIRE_WORKERS_MAX]; /* and so is each worker's NUMA node */
	/* Set by the caller: the kernel is to steer by it; NULL: not. */
	const struct sock_fprog *program;
	unsigned ends;
	struct link_port port[LINK_ENDS];
	struct rte_ring *ring[LINK_ENDS][WIRE_WORKERS_MAX]; /* memory: by the end that receives */
	char name[64];                                      /* of the device that we made, if any */
	int wait_fd
		[WIRE_WORKERS_MAX]; /* by queue: readable while frames are there; -1: none such */
};

/* Before DPDK is started: does the interface exist, is it up, may we use it? Also settles the MTU.
 */
int link_check(struct link *out, const struct wire_config *config, struct wire_error *error);

/* The least room for a frame that the link's driver wants in a buffer. */
uint16_t link_buffer_size(const struct link *link);

/* Frames that may be on their way between the link's ends, and that its driver keeps for each queue. */
void link_need(const struct link *link, struct pool_need *need);

/* A ring in memory of this NUMA node if there is any. One writer, one reader. NULL: no memory. */
struct rte_ring *link_ring(const char *name, unsigned size, int socket);

/* Make and configure the ports. pool[i] feeds queue i. */
int link_open(struct link *link, struct rte_mempool *const *pool, struct wire_error *error);

/* Ports begin to carry frames. */
int link_start(struct link *link, struct wire_error *error);

/* Fill wait_fd, once frames are carried. */
void link_find_waits(struct link *link);

void link_close(struct link *link);

#endif
