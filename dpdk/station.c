/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_branch_prediction.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include "herd.h"
#include "registrar.h"
#include "worker.h"

#define SEND_TRIES 4
#define RECEIVE_BURSTS 4 /* a round takes at most so many bursts from one queue */
#define PREFETCH_AHEAD 4
#define NEAR_AHEAD 8 /* what a record leads to is fetched so many datagrams before theirs */

/* --- Sending --- */

static void capture_one(
	struct worker *worker, struct station *station, struct rte_mbuf *frame, bool inbound)
{
	const struct capture_place place = {.now_us = clock_us(worker->clock),
		.inbound = inbound,
		.open = !inbound && (frame->ol_flags & RTE_MBUF_F_TX_L4_MASK)};
	if (!capture_frame(station->capture, frame, &place))
		worker->counters.capture_dropped++;
}

/* The datagram of a phone that may be traced. On a flawless link nobody fills in checksums, and where
 * a kernel may leave them open they are as good as open. */
static void trace_one(
	struct station *station, struct rte_mbuf *m, uint32_t phone, struct trace_frame *frame)
{
	frame->bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	frame->length = rte_pktmbuf_data_len(m);
	frame->open = station->flawless || station->rules.partial_allowed ||
		      (m->ol_flags & RTE_MBUF_F_TX_L4_MASK);
	trace_put(&station->tap, phone, frame);
}

static void trace_sent(struct worker *worker, struct station *station, struct rte_mbuf *m)
{
	const size_t headers = station->open_path->length;
	struct trace_frame frame = {.payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, headers),
		.payload_length = (uint16_t)(rte_pktmbuf_data_len(m) - headers),
		.now_us = clock_us(worker->clock),
		.proxy = station->open_proxy};
	trace_one(station, m, station->open_phone, &frame);
}

static void trace_received(struct worker *worker, struct rte_mbuf *m, const struct frame *f,
	uint32_t phone, enum proxy proxy)
{
	struct trace_frame frame = {.payload = f->payload,
		.payload_length = f->payload_length,
		.now_us = clock_us(worker->clock),
		.proxy = (uint8_t)proxy,
		.inbound = true};
	trace_one(worker->herd_station, m, phone, &frame);
}

/* Through another worker's queue: it counts what it sends. */
static void send_by_relay(struct worker *worker, struct station *station)
{
	const unsigned sent = rte_ring_enqueue_burst(
		station->relay, (void **)station->batch, station->waiting, NULL);
	worker->counters.not_sent_full += station->waiting - sent;
	rte_pktmbuf_free_bulk(station->batch + sent, station->waiting - sent);
	worker->to_wake |= 1u << station->relayed_by;
}

/* Hand frames to our own queue; what it refuses after a few tries is dropped and counted. */
static void send_by_queue(
	struct worker *worker, struct station *station, struct rte_mbuf **frames, unsigned count)
{
	unsigned sent = 0;
	uint64_t bytes = 0, refused = 0;
	for (unsigned i = 0; i < count; i++)
		bytes += rte_pktmbuf_pkt_len(frames[i]);
	for (int tries = 0; sent < count && tries < SEND_TRIES; tries++)
		sent += rte_eth_tx_burst(
			station->port, station->queue, frames + sent, (uint16_t)(count - sent));
	for (unsigned i = sent; i < count; i++)
		refused += rte_pktmbuf_pkt_len(frames[i]);
	rte_pktmbuf_free_bulk(frames + sent, count - sent);
	worker->counters.frames_sent += sent;
	worker->counters.bytes_sent += bytes - refused;
	worker->counters.not_sent_full += count - sent;
}

static void send_batch(struct worker *worker, struct station *station)
{
	if (!station->waiting)
		return;
	worker->activity++;
	if (station->has_queue)
		send_by_queue(worker, station, station->batch, station->waiting);
	else
		send_by_relay(worker, station);
	station->waiting = 0;
}

static void join_batch(struct worker *worker, struct station *station, struct rte_mbuf *frame)
{
	if (station->waiting == STATION_BURST)
		send_batch(worker, station);
	station->batch[station->waiting++] = frame;
}

/* The datagram has been filled: finish its checksum and let it join the others. */
static void close_datagram(struct worker *worker, struct station *station)
{
	struct rte_mbuf *frame = station->open;
	if (!frame)
		return;
	station->open = NULL;
	const size_t link = station->open_path->network;
	const uint8_t family = station->open_path->fixed.family;
	uint8_t *network = rte_pktmbuf_mtod_offset(frame, uint8_t *, link);
	if (station->flawless) {
		frame->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	} else if (station->sends_checksum) {
		frame_udp_offload(network, family);
		const bool ipv4 = family == ADDRESS_IPV4;
		frame->l2_len = link;
		frame->l3_len = ipv4 ? 20 : 40;
		frame->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM |
				   (ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	} else if (station->envelope.sum != HERD_SUM_OPEN) {
		frame_path_checksum(station->open_path, rte_pktmbuf_mtod(frame, uint8_t *),
			station->envelope.sum);
	} else {
		frame_udp_checksum(network, family);
	}
	if (station->capture &&
		(station->capture_phone < 0 || station->capture_phone == station->open_phone))
		capture_one(worker, station, frame, false);
	if (unlikely(trace_may_want(&station->tap, station->open_phone)))
		trace_sent(worker, station, frame);
	join_batch(worker, station, frame);
}

void station_flush(struct worker *worker, struct station *station)
{
	close_datagram(worker, station);
	send_batch(worker, station);
}

void station_relay(struct worker *worker, struct station *station)
{
	struct rte_mbuf *frames[STATION_BURST];
	for (unsigned from = 0; from < worker->workers; from++) {
		if (!worker->relay_from[from])
			continue;
		const unsigned count = rte_ring_dequeue_burst(
			worker->relay_from[from], (void **)frames, STATION_BURST, NULL);
		if (!count)
			continue;
		worker->activity++;
		send_by_queue(worker, station, frames, count);
	}
}

/* Open a datagram of n payload bytes to or from the path's open end; NULL when there is no room or no
 * buffer. */
static uint8_t *open_datagram(struct worker *worker, struct station *station,
	const struct frame_path *path, const struct address *open, uint16_t open_port, uint16_t n)
{
	const size_t length = (size_t)path->length + n;
	if (length > station->frame_max) {
		worker->counters.not_sent_too_long++;
		return NULL;
	}
	struct rte_mbuf *frame = rte_pktmbuf_alloc(station->pool);
	if (!frame) {
		worker->counters.not_sent_no_buffer++;
		return NULL;
	}
	frame->data_len = (uint16_t)length;
	frame->pkt_len = (uint32_t)length;
	station->open = frame;
	station->open_path = path;
	return frame_path_udp(path, rte_pktmbuf_mtod(frame, uint8_t *), open, open_port, n);
}

uint8_t *station_herd_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct slice *slice = context;
	struct worker *worker = slice->worker;
	struct station *station = worker->herd_station;
	const struct next_hop *hop = &station->neighbours
					      .hop[neighbours_place(slice->index, proxy)];
	close_datagram(worker, station);
	/* A phone that has sent into the void has sent all the same: its timers decide what next.
	 */
	if (!slice->proxy[proxy].known) {
		worker->counters.not_sent_unresolved++;
		return worker->discard;
	}
	if (!hop->known) {
		worker->counters.not_sent_no_neighbour++;
		return worker->discard;
	}
	struct frame_link link = {.vlan = station->neighbours.vlan};
	memcpy(link.source, station->neighbours.mac, FRAME_MAC);
	memcpy(link.destination, hop->mac, FRAME_MAC);
	const struct wire_proxy *to = &slice->proxy[proxy];
	struct frame_path *path = &slice->path[LINK_NEAR][proxy];
	if (unlikely(!frame_path_fits(path, &link, &to->address, to->port)))
		frame_path_make(path, &link, FRAME_OPEN_SOURCE, &to->address, to->port);
	station->open_phone = phone;
	station->open_proxy = (uint8_t)proxy;
	return open_datagram(
		worker, station, path, &station->envelope.source, station->envelope.source_port, n);
}

static uint8_t *registrar_buffer(
	struct slice *slice, enum proxy proxy, const struct endpoint *to, uint16_t n)
{
	struct worker *worker = slice->worker;
	struct station *station = worker->registrar_station;
	close_datagram(worker, station);
	station->open_phone = UINT32_MAX; /* the registrars' side does not know phones by index */
	struct frame_link link = {.vlan = station->neighbours.vlan};
	memcpy(link.source, station->neighbours.mac, FRAME_MAC);
	memcpy(link.destination, to->neighbour, FRAME_MAC);
	const struct wire_proxy *from = &slice->proxy[proxy];
	struct frame_path *path = &slice->path[LINK_FAR][proxy];
	if (unlikely(!frame_path_fits(path, &link, &from->address, from->port)))
		frame_path_make(path, &link, FRAME_OPEN_DESTINATION, &from->address, from->port);
	station->envelope.sum = HERD_SUM_OPEN;
	return open_datagram(worker, station, path, &to->address, to->port, n);
}

uint8_t *station_primary_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	return registrar_buffer(context, PROXY_PRIMARY, to, n);
}

uint8_t *station_redundant_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	return registrar_buffer(context, PROXY_REDUNDANT, to, n);
}

/* A frame of the link's own business, of `length` bytes already written. */
static void send_own(
	struct worker *worker, struct station *station, struct rte_mbuf *frame, size_t length)
{
	frame->data_len = (uint16_t)length;
	frame->pkt_len = (uint32_t)length;
	if (station->capture && station->capture_phone < 0)
		capture_one(worker, station, frame, false);
	close_datagram(worker, station);
	join_batch(worker, station, frame);
}

void station_ask(struct worker *worker, struct station *station, uint64_t now_us)
{
	while (neighbours_next_us(&station->neighbours) <= now_us) {
		struct rte_mbuf *frame = rte_pktmbuf_alloc(station->pool);
		if (!frame) {
			worker->counters.not_sent_no_buffer++;
			return;
		}
		const size_t length = neighbours_ask(
			&station->neighbours, now_us, rte_pktmbuf_mtod(frame, uint8_t *));
		if (!length) {
			rte_pktmbuf_free(frame);
			continue;
		}
		worker->counters.neighbour_requests++;
		send_own(worker, station, frame, length);
	}
}

void station_announce(struct worker *worker, struct station *station, uint64_t now_us)
{
	struct announcer *announcer = &worker->announcer;
	if (!announcer->once.count && !announcer->again.count)
		return;
	for (int i = 0; i < ANNOUNCE_BURST; i++) {
		struct rte_mbuf *frame = rte_pktmbuf_alloc(station->pool);
		if (!frame)
			return; /* none is lost: the next visit goes on here */
		const size_t length = announcer_next(announcer, &station->neighbours, now_us,
			rte_pktmbuf_mtod(frame, uint8_t *));
		if (!length) {
			rte_pktmbuf_free(frame);
			return;
		}
		worker->counters.announced++;
		send_own(worker, station, frame, length);
	}
}

/* --- Receiving --- */

/* Where a frame of this kind is counted when nobody wants it. */
static void count_foreign(struct worker *worker, enum frame_kind kind)
{
	struct wire_counters *counters = &worker->counters;
	switch (kind) {
	case FRAME_BAD:
		counters->bad_frame++;
		break;
	case FRAME_BAD_CHECKSUM:
		counters->bad_checksum++;
		break;
	case FRAME_FRAGMENT:
		counters->fragment++;
		break;
	case FRAME_FOREIGN_VLAN:
		counters->foreign_vlan++;
		break;
	case FRAME_FOREIGN_PROTOCOL:
		counters->foreign_protocol++;
		break;
	default:
		counters->foreign_address++;
		break;
	}
}

static void answer(struct worker *worker, struct station *station, const struct frame *f)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(station->pool);
	if (!frame) {
		worker->counters.not_sent_no_buffer++;
		return;
	}
	const size_t length = neighbours_answer(
		&station->neighbours, f, rte_pktmbuf_mtod(frame, uint8_t *), station->frame_max);
	if (!length) {
		rte_pktmbuf_free(frame);
		return;
	}
	if (f->kind == FRAME_ARP)
		worker->counters.arp_answered++;
	else if (f->kind == FRAME_SOLICITATION)
		worker->counters.ndp_answered++;
	else
		worker->counters.echo_answered++;
	send_own(worker, station, frame, length);
}

/* Give a frame to its owner, who need not check it again. True: it is not ours any more. */
static bool redirect(struct worker *worker, unsigned owner, struct rte_mbuf *m)
{
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (rte_ring_enqueue(worker->redirect_to[owner], m)) {
		worker->counters.redirect_dropped++;
		return false;
	}
	worker->counters.redirected++;
	worker->to_wake |= 1u << owner;
	return true;
}

/* ARP and neighbour discovery: anybody answers, worker 0 learns and tells the others. */
static bool take_neighbour(struct worker *worker, struct station *station, struct rte_mbuf *m,
	const struct frame *f, uint64_t now_us, bool redirected)
{
	if (!redirected && f->kind != FRAME_ADVERTISEMENT)
		answer(worker, station, f);
	if (station != worker->herd_station || !neighbours_concern(&station->neighbours, f))
		return false;
	if (worker->index)
		return redirect(worker, 0, m);
	if (neighbours_learn(&station->neighbours, f, now_us))
		worker_publish_hops(worker);
	return false;
}

/* Which proxy of the herd has this address and port; PROXIES: none. */
static inline enum proxy proxy_at(
	const struct slice *slice, const struct address *address, uint16_t port)
{
	for (unsigned p = 0; p < PROXIES; p++)
		if (slice->proxy[p].known && slice->proxy[p].port == port &&
			frame_address_equal(&slice->proxy[p].address, address))
			return (enum proxy)p;
	return PROXIES;
}

/* The herd of the phone at this address and port, which is numbered through the fleet; NULL: there is
 * none, or its shard is not here. */
static inline const struct slice *phone_at(
	const struct worker *worker, const struct address *address, uint16_t port, uint32_t *index)
{
	unsigned herd;
	if (!roster_find(worker->roster, address, port, &herd, index) ||
		!neighbours_here(&worker->herd_station->neighbours, *index))
		return NULL;
	return &worker->slice[herd];
}

static inline void capture_phone(
	struct worker *worker, struct station *station, struct rte_mbuf *m, uint32_t phone)
{
	if (station->capture && station->capture_phone == phone)
		capture_one(worker, station, m, true);
}

/* A frame of a burst, read but not delivered yet: what its delivery needs is fetched meanwhile. */
struct arrival {
	enum frame_kind kind;
	struct frame f;
	const struct slice *slice;   /* of FRAME_UDP for a phone: whose it is; NULL: nobody's */
	struct registrar *registrar; /* of FRAME_UDP for a proxy; NULL: none's */
	uint32_t phone;
};

/* A datagram for a phone. True: the frame went to the worker that owns the phone. */
static bool take_datagram(
	struct worker *worker, struct rte_mbuf *m, const struct arrival *arrival, uint64_t now_us)
{
	const struct frame *f = &arrival->f;
	const uint32_t phone = arrival->phone;
	const struct slice *slice = arrival->slice;
	if (!slice) {
		worker->counters.foreign_address++;
		return false;
	}
	const enum proxy proxy = proxy_at(slice, &f->source, f->source_port);
	if (proxy == PROXIES) {
		worker->counters.foreign_sender++;
		return false;
	}
	const unsigned owner = worker_owner(worker, phone);
	if (owner != worker->index)
		return redirect(worker, owner, m);
	capture_phone(worker, worker->herd_station, m, phone);
	if (unlikely(trace_may_want(&worker->herd_station->tap, phone)))
		trace_received(worker, m, f, phone, proxy);
	herd_datagram(slice->herd, phone, proxy, f->payload, f->payload_length, now_us);
	return false;
}

/* ICMP about a datagram of ours: its source is the phone, its destination the proxy. */
static bool take_icmp_error(
	struct worker *worker, struct rte_mbuf *m, const struct frame *f, uint64_t now_us)
{
	uint32_t phone;
	const struct slice *slice = phone_at(worker, &f->source, f->source_port, &phone);
	const enum proxy proxy = slice ? proxy_at(slice, &f->destination, f->destination_port)
				       : PROXIES;
	if (proxy == PROXIES) {
		worker->counters.foreign_address++;
		return false;
	}
	const unsigned owner = worker_owner(worker, phone);
	if (owner != worker->index)
		return redirect(worker, owner, m);
	worker->counters.icmp_received++;
	capture_phone(worker, worker->herd_station, m, phone);
	herd_unreachable(slice->herd, phone, proxy, now_us);
	return false;
}

/* Each herd has registrars of its own, also where two herds' proxies share an address: who asks decides. */
static struct registrar *registrar_at(const struct worker *worker, const struct frame *f)
{
	unsigned herd = 0;
	uint32_t phone;
	const bool found = worker->herds == 1 ||
			   roster_find(worker->roster, &f->source, f->source_port, &herd, &phone);
	const struct slice *slice = &worker->slice[herd];
	const enum proxy proxy = found ? proxy_at(slice, &f->destination, f->destination_port)
				       : PROXIES;
	return proxy == PROXIES ? NULL : slice->registrar[proxy];
}

static void take_request(struct worker *worker, const struct arrival *arrival, uint64_t now_us)
{
	const struct frame *f = &arrival->f;
	if (!arrival->registrar) {
		worker->counters.foreign_address++;
		return;
	}
	struct endpoint from = {.address = f->source, .port = f->source_port};
	memcpy(from.neighbour, f->link_source, FRAME_MAC);
	registrar_datagram(arrival->registrar, &from, f->payload, f->payload_length, now_us);
}

/* Frames for other machines, which a promiscuous port sees, and our own that come back. */
static inline bool for_us(const struct station *station, const struct frame *f)
{
	const uint8_t *mac = station->neighbours.mac;
	if (!memcmp(f->link_source, mac, FRAME_MAC))
		return false;
	return (f->link_destination[0] & 1) || !memcmp(f->link_destination, mac, FRAME_MAC);
}

static void read_frame(struct station *station, struct rte_mbuf *m, struct arrival *out)
{
	struct frame_rules rules = station->rules;
	const uint64_t network = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK,
		       transport = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	rules.network_checked = network == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	rules.transport_checked = transport == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	out->kind = m->nb_segs == 1 || !rte_pktmbuf_linearize(m)
			    ? frame_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &rules,
				      &out->f)
			    : FRAME_BAD;
}

/* Whom a datagram is for, and his memory on its way here. */
static void find_receiver(
	const struct worker *worker, const struct station *station, struct arrival *arrival)
{
	const struct frame *f = &arrival->f;
	if (arrival->kind != FRAME_UDP)
		return;
	if (station == worker->herd_station) {
		arrival->slice = phone_at(
			worker, &f->destination, f->destination_port, &arrival->phone);
		if (arrival->slice && worker_owner(worker, arrival->phone) == worker->index)
			herd_fetch(arrival->slice->herd, arrival->phone);
		return;
	}
	arrival->registrar = registrar_at(worker, f);
	if (arrival->registrar)
		registrar_fetch(arrival->registrar, f->payload, f->payload_length, false);
}

/* Deliver one frame. True: the frame was passed on and must not be freed. */
static bool take_frame(struct worker *worker, struct station *station, struct rte_mbuf *m,
	const struct arrival *arrival, uint64_t now_us, bool redirected)
{
	const struct frame *f = &arrival->f;
	const enum frame_kind kind = arrival->kind;
	if (kind < FRAME_BAD && !for_us(station, f)) {
		worker->counters.foreign_address++;
		return false;
	}
	switch (kind) {
	case FRAME_UDP:
		if (station == worker->herd_station)
			return take_datagram(worker, m, arrival, now_us);
		take_request(worker, arrival, now_us);
		return false;
	case FRAME_ARP:
	case FRAME_SOLICITATION:
	case FRAME_ADVERTISEMENT:
		return take_neighbour(worker, station, m, f, now_us, redirected);
	case FRAME_ECHO_REQUEST:
		answer(worker, station, f);
		return false;
	case FRAME_ICMP_ERROR:
		if (station == worker->herd_station)
			return take_icmp_error(worker, m, f, now_us);
		count_foreign(worker, kind);
		return false;
	default:
		count_foreign(worker, kind);
		return false;
	}
}

/* All are read before the first is delivered. */
static void read_burst(struct worker *worker, struct station *station, struct rte_mbuf **frames,
	unsigned count, struct arrival *arrivals)
{
	for (unsigned i = 0; i < count && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
	for (unsigned i = 0; i < count; i++) {
		if (i + PREFETCH_AHEAD < count)
			rte_prefetch0(rte_pktmbuf_mtod(frames[i + PREFETCH_AHEAD], void *));
		read_frame(station, frames[i], &arrivals[i]);
		find_receiver(worker, station, &arrivals[i]);
	}
}

static void fetch_near(
	const struct worker *worker, const struct station *station, const struct arrival *later)
{
	if (later->kind != FRAME_UDP)
		return;
	if (station != worker->herd_station && later->registrar)
		registrar_fetch(later->registrar, later->f.payload, later->f.payload_length, true);
	else if (station == worker->herd_station && later->slice &&
		 worker_owner(worker, later->phone) == worker->index)
		herd_fetch_near(later->slice->herd, later->phone);
}

static void take_burst(struct worker *worker, struct station *station, struct rte_mbuf **frames,
	unsigned count, uint64_t now_us, bool redirected)
{
	struct arrival arrivals[STATION_BURST];
	unsigned spent = 0;
	read_burst(worker, station, frames, count, arrivals);
	for (unsigned i = 0; i < NEAR_AHEAD && i < count; i++)
		fetch_near(worker, station, &arrivals[i]);
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = frames[i];
		if (i + NEAR_AHEAD < count)
			fetch_near(worker, station, &arrivals[i + NEAR_AHEAD]);
		if (!redirected) {
			worker->counters.bytes_received += rte_pktmbuf_pkt_len(m);
			if (station->capture && station->capture_phone < 0)
				capture_one(worker, station, m, true);
		}
		if (!take_frame(worker, station, m, &arrivals[i], now_us, redirected))
			frames[spent++] = m;
	}
	rte_pktmbuf_free_bulk(frames, spent);
}

unsigned station_receive(struct worker *worker, struct station *station, uint64_t now_us)
{
	struct rte_mbuf *frames[STATION_BURST];
	unsigned total = 0, count = STATION_BURST;
	if (!station->has_queue)
		return 0;
	for (int burst = 0; burst < RECEIVE_BURSTS && count == STATION_BURST; burst++) {
		count = rte_eth_rx_burst(station->port, station->queue, frames, STATION_BURST);
		if (!count)
			break;
		take_burst(worker, station, frames, count, now_us, false);
		total += count;
	}
	worker->counters.frames_received += total;
	worker->activity += total;
	return total;
}

unsigned station_receive_redirected(struct worker *worker, uint64_t now_us)
{
	struct rte_mbuf *frames[STATION_BURST];
	unsigned total = 0;
	for (unsigned from = 0; from < worker->workers; from++) {
		if (from == worker->index)
			continue;
		const unsigned count = rte_ring_dequeue_burst(
			worker->redirect_from[from], (void **)frames, STATION_BURST, NULL);
		if (!count)
			continue;
		take_burst(worker, worker->herd_station, frames, count, now_us, true);
		total += count;
	}
	worker->activity += total;
	return total;
}
