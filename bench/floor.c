/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor under the memory link: frames of the same size over the same kind of rings and ports, by one
 * core that plays both ends. A frame is copied in and sent, echoed at the far end as it is, received and
 * freed; nobody reads it. What a keep-alive costs beyond this is the work on SIP.
 *
 * usage: bench_floor [SECONDS] [BYTES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_memcpy.h>
#include <rte_ring.h>

#include "figure.h"

#define RING_SIZE 4096
#define BUFFERS 16383
#define CACHE 512
#define BURST 64
#define BATCH 200000u
#define SAMPLES_MAX 600

enum { NEAR, FAR, ENDS };

struct floor_link {
	struct rte_mempool *pool;
	uint16_t port[ENDS];
	uint16_t length;
	uint8_t model[2048];
};

static void fail(const char *what)
{
	fprintf(stderr, "bench_floor: %s\n", what);
	exit(3);
}

/* As dpdk/link.c makes its memory link. */
static void open_ports(struct floor_link *l)
{
	static const char *const name[ENDS] = {"near", "far"};
	struct rte_ring *ring[ENDS];
	const struct rte_eth_conf conf = {0};
	l->pool = rte_pktmbuf_pool_create(
		"frames", BUFFERS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	for (int end = 0; end < ENDS; end++)
		ring[end] = rte_ring_create(
			name[end], RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (l->pool == NULL || ring[NEAR] == NULL || ring[FAR] == NULL)
		fail("no memory");
	for (int end = 0; end < ENDS; end++) {
		const int id = rte_eth_from_rings(name[end], &ring[end], 1, &ring[!end], 1, 0);
		if (id < 0)
			fail("no port of the rings");
		l->port[end] = (uint16_t)id;
		if (rte_eth_dev_configure(l->port[end], 1, 1, &conf) ||
			rte_eth_rx_queue_setup(
				l->port[end], 0, 1024, SOCKET_ID_ANY, NULL, l->pool) ||
			rte_eth_tx_queue_setup(l->port[end], 0, 1024, SOCKET_ID_ANY, NULL) ||
			rte_eth_dev_start(l->port[end]))
			fail("the port does not start");
	}
}

static void sample_floor(void *context)
{
	struct floor_link *l = context;
	struct rte_mbuf *frame[BURST];
	for (unsigned done = 0; done < BATCH; done += BURST) {
		if (rte_pktmbuf_alloc_bulk(l->pool, frame, BURST))
			fail("no buffers");
		for (unsigned i = 0; i < BURST; i++) {
			frame[i]->data_len = l->length;
			frame[i]->pkt_len = l->length;
			rte_memcpy(rte_pktmbuf_mtod(frame[i], void *), l->model, l->length);
		}
		if (rte_eth_tx_burst(l->port[NEAR], 0, frame, BURST) != BURST ||
			rte_eth_rx_burst(l->port[FAR], 0, frame, BURST) != BURST ||
			rte_eth_tx_burst(l->port[FAR], 0, frame, BURST) != BURST ||
			rte_eth_rx_burst(l->port[NEAR], 0, frame, BURST) != BURST)
			fail("a frame was lost");
		rte_pktmbuf_free_bulk(frame, BURST);
	}
}

int main(int argc, char **argv)
{
	static struct floor_link l;
	static char option[][16] = {"bench_floor", "--no-huge", "-m", "256", "--no-pci",
		"--no-shconf", "--no-telemetry", "--log-level=3", "--lcores=0@0"};
	char *arguments[RTE_DIM(option) + 1] = {NULL};
	const unsigned samples = argc > 1 ? 20 * (unsigned)atoi(argv[1]) : 60;
	l.length = argc > 2 ? (uint16_t)atoi(argv[2]) : 440;
	if (samples == 0 || samples > SAMPLES_MAX || l.length < 64 || l.length > sizeof(l.model))
		return 2;
	for (size_t i = 0; i < RTE_DIM(option); i++)
		arguments[i] = option[i];
	if (rte_eal_init(RTE_DIM(option), arguments) < 0)
		fail("EAL does not start");
	open_ports(&l);
	memset(l.model, 'x', sizeof(l.model));
	const struct sample_result r = sampler_run(sample_floor, &l, BATCH, samples);
	figure_print(&(struct figure){
		"link_floor", "ns", r.median_ns, r.low_ns, r.high_ns, r.quiet, r.taken});
	printf("floor: %u bytes copied in, echoed and freed in %.1f ns, %.2f M/s\n", l.length,
		r.median_ns, 1e3 / r.median_ns);
	rte_eal_cleanup();
	return 0;
}
