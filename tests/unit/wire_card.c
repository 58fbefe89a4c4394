/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers on a card with two queues, and whether frames find their worker.
 *
 * The card is DPDK's net_null, which takes an RSS key and a table and does nothing with them. Its bursts
 * are ours: what phones send is answered here, as a proxy would, and the answer is put on the queue that
 * the rules tell which the card was given, else DPDK's software hash by the key and table that it holds then.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_ring.h>
#include <rte_thash.h>

#include "frame.h"
#include "wire_stage.h"

#define QUEUES 2
#define ANSWERS 4096
#define KEY 64
#define RULES 8
#define RULE_BYTES 44 /* of an IPv6 packet with UDP's ports */

/* Bytes from the network header on, where they are to be looked at, and what they must be. */
struct rule {
	uint8_t family, mask[RULE_BYTES], value[RULE_BYTES];
	uint16_t queue;
};

static struct {
	bool keeps_key;                      /* takes no other */
	bool lies;                           /* spreads by something else than it says */
	unsigned rules, rules_most, flushes; /* the card takes so many */
	struct rule rule[RULES];
	_Atomic uint32_t sent;
	uint16_t port, reta_size;
	uint8_t key[KEY];
	uint16_t reta[RTE_ETH_RSS_RETA_SIZE_512];
	struct rte_mempool *pool;
	struct rte_ring *queue[QUEUES];
	void *receive[QUEUES], *send[QUEUES];
} card;

/* These take DPDK's place for this program. */
int rte_eth_dev_rss_hash_update(uint16_t port, struct rte_eth_rss_conf *conf)
{
	int (*real)(uint16_t, struct rte_eth_rss_conf *) = (int (*)(uint16_t,
		struct rte_eth_rss_conf *))dlsym(RTLD_NEXT, "rte_eth_dev_rss_hash_update");
	return card.keeps_key ? -ENOTSUP : real(port, conf);
}

/* net_null's table is empty at first; a card's names the queues in turn. */
int rte_eth_dev_configure(
	uint16_t port, uint16_t receive, uint16_t send, const struct rte_eth_conf *conf)
{
	int (*real)(uint16_t, uint16_t, uint16_t, const struct rte_eth_conf *) = (int (*)(
		uint16_t, uint16_t, uint16_t, const struct rte_eth_conf *))dlsym(RTLD_NEXT,
		"rte_eth_dev_configure");
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;
	const int result = real(port, receive, send, conf);
	stage_check(!result && !rte_eth_dev_info_get(port, &info), "configure");
	for (unsigned i = 0; i < info.reta_size; i++) {
		reta[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		reta[i / RTE_ETH_RETA_GROUP_SIZE]
			.reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % receive);
	}
	stage_check(!rte_eth_dev_rss_reta_update(port, reta, info.reta_size), "table");
	return 0;
}

static void learn_bytes(
	struct rule *rule, size_t at, const void *value, const void *mask, size_t length)
{
	memcpy(rule->value + at, value, length);
	memcpy(rule->mask + at, mask, length);
}

/* Behind the network header: destination's port. */
static size_t port_at(uint8_t family)
{
	return family == ADDRESS_IPV4 ? 22 : 42;
}

static void learn_item(struct rule *rule, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ipv4 *ipv4 = item->spec, *ipv4_mask = item->mask;
	const struct rte_flow_item_ipv6 *ipv6 = item->spec, *ipv6_mask = item->mask;
	const struct rte_flow_item_udp *udp = item->spec, *udp_mask = item->mask;
	if (item->type == RTE_FLOW_ITEM_TYPE_IPV6)
		rule->family = ADDRESS_IPV6;
	if (!item->spec)
		return;
	if (item->type == RTE_FLOW_ITEM_TYPE_IPV4)
		learn_bytes(rule, 16, &ipv4->hdr.dst_addr, &ipv4_mask->hdr.dst_addr, 4);
	else if (item->type == RTE_FLOW_ITEM_TYPE_IPV6)
		learn_bytes(rule, 24, ipv6->hdr.dst_addr, ipv6_mask->hdr.dst_addr, 16);
	else if (item->type == RTE_FLOW_ITEM_TYPE_UDP)
		learn_bytes(rule, port_at(rule->family), &udp->hdr.dst_port,
			&udp_mask->hdr.dst_port, 2);
}

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attributes,
	const struct rte_flow_item *items, const struct rte_flow_action *actions,
	struct rte_flow_error *error)
{
	(void)port;
	stage_check(attributes->ingress && !attributes->egress &&
			    items[0].type == RTE_FLOW_ITEM_TYPE_ETH &&
			    actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE,
		"a rule for what comes in");
	if (card.rules < card.rules_most)
		return 0;
	*error = (struct rte_flow_error){.message = "no room"};
	return -ENOSPC;
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attributes,
	const struct rte_flow_item *items, const struct rte_flow_action *actions,
	struct rte_flow_error *error)
{
	(void)port, (void)attributes, (void)error;
	struct rule *rule = &card.rule[card.rules++];
	const struct rte_flow_action_queue *queue = actions[0].conf;
	*rule = (struct rule){.family = ADDRESS_IPV4, .queue = queue->index};
	for (; items->type != RTE_FLOW_ITEM_TYPE_END; items++)
		learn_item(rule, items);
	return (struct rte_flow *)rule;
}

int rte_flow_flush(uint16_t port, struct rte_flow_error *error)
{
	(void)port, (void)error;
	card.rules = 0;
	card.flushes++;
	return 0;
}

/* --- The other end of the card's link --- */

static bool rule_takes(const struct rule *rule, const uint8_t *network, uint8_t family)
{
	if (rule->family != family)
		return false;
	for (size_t i = 0; i < port_at(family) + 2; i++)
		if ((network[i] & rule->mask[i]) != (rule->value[i] & rule->mask[i]))
			return false;
	return true;
}

static unsigned queue_of(const uint8_t *network, uint8_t family)
{
	uint32_t words[9];
	const unsigned count = family == ADDRESS_IPV4 ? 3 : 9;
	const uint8_t *at = network + (family == ADDRESS_IPV4 ? 12 : 8);
	if (card.lies)
		return atomic_fetch_add(&card.sent, 1) % QUEUES;
	for (unsigned i = 0; i < card.rules; i++)
		if (rule_takes(&card.rule[i], network, family))
			return card.rule[i].queue;
	stage_check(card.rules == 0, "a frame that no rule takes");
	for (unsigned i = 0; i < count; i++)
		words[i] = (uint32_t)at[4 * i] << 24 | (uint32_t)at[4 * i + 1] << 16 |
			   (uint32_t)at[4 * i + 2] << 8 | at[4 * i + 3];
	return card.reta[rte_softrss(words, count, card.key) & (card.reta_size - 1u)];
}

static void deliver(struct rte_mbuf *m, size_t length, unsigned queue)
{
	m->data_len = (uint16_t)length;
	m->pkt_len = (uint32_t)length;
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (rte_ring_enqueue(card.queue[queue], m))
		rte_pktmbuf_free(m);
}

/* Any request is answered with 200 and its own headers, the binding's included. */
static void answer_request(struct rte_mbuf *m, const struct frame *f)
{
	static const char first_line[] = "SIP/2.0 200 OK\r\n";
	const uint8_t *rest = memchr(f->payload, '\n', f->payload_length);
	stage_check(rest != NULL, "a request");
	rest++;
	const size_t kept = f->payload_length - (size_t)(rest - f->payload);
	struct frame_link link = {.source = {2, 0, 0, 0, 0, 9}};
	memcpy(link.destination, f->link_source, FRAME_MAC);
	struct frame_path path;
	frame_path_make(&path, &link, FRAME_OPEN_DESTINATION, &f->destination, f->destination_port);
	uint8_t *bytes = rte_pktmbuf_mtod(m, uint8_t *);
	const uint16_t payload = (uint16_t)(sizeof(first_line) - 1 + kept);
	uint8_t *at = frame_path_udp(&path, bytes, &f->source, f->source_port, payload);
	memcpy(at, first_line, sizeof(first_line) - 1);
	memcpy(at + sizeof(first_line) - 1, rest, kept);
	deliver(m, (size_t)(at - bytes) + payload, queue_of(bytes + 14, f->source.family));
}

static void answer_neighbour(struct rte_mbuf *m, const struct frame *f)
{
	struct frame_link link = {.source = {2, 0, 0, 0, 0, 9}};
	memcpy(link.destination, f->link_source, FRAME_MAC);
	uint8_t *bytes = rte_pktmbuf_mtod(m, uint8_t *);
	if (f->kind == FRAME_ARP) {
		const struct frame_arp arp = {.sender = &f->destination,
			.target = &f->source,
			.target_hardware = link.destination};
		deliver(m, frame_arp(bytes, &link, &arp), 0);
		return;
	}
	const struct frame_neighbour neighbour = {.flags = FRAME_SOLICITED | FRAME_OVERRIDE,
		.source = &f->target,
		.destination = &f->source,
		.target = &f->target};
	deliver(m, frame_neighbour(bytes, &link, &neighbour), 0);
}

static uint16_t send_burst(void *queue, struct rte_mbuf **frames, uint16_t count)
{
	const struct frame_rules rules = {0};
	(void)queue;
	for (uint16_t i = 0; i < count; i++) {
		struct frame f;
		struct rte_mbuf *m = rte_pktmbuf_alloc(card.pool);
		stage_check(m != NULL, "the card has no buffer");
		const enum frame_kind kind = frame_parse(
			rte_pktmbuf_mtod(frames[i], const uint8_t *),
			rte_pktmbuf_data_len(frames[i]), &rules, &f);
		if (kind == FRAME_UDP)
			answer_request(m, &f);
		else if (kind == FRAME_ARP || kind == FRAME_SOLICITATION)
			answer_neighbour(m, &f);
		else
			rte_pktmbuf_free(m);
		rte_pktmbuf_free(frames[i]);
	}
	return count;
}

static uint16_t receive_burst(void *queue, struct rte_mbuf **frames, uint16_t room)
{
	return (uint16_t)rte_ring_dequeue_burst(queue, (void **)frames, room, NULL);
}

/* --- The stage --- */

static void read_card(void)
{
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_rss_conf conf = {.rss_key = card.key, .rss_key_len = KEY};
	struct rte_eth_dev_info info;
	memset(reta, 0xff, sizeof(reta));
	stage_check(!rte_eth_dev_rss_hash_conf_get(card.port, &conf) &&
			    !rte_eth_dev_info_get(card.port, &info) &&
			    !rte_eth_dev_rss_reta_query(card.port, reta, info.reta_size),
		"the card's key and table");
	card.reta_size = info.reta_size;
	for (unsigned i = 0; i < card.reta_size; i++)
		card.reta[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
}

static void play_card(void)
{
	stage_check(!rte_eth_dev_get_port_by_name("net_null0", &card.port), "the card");
	read_card();
	card.pool = rte_pktmbuf_pool_create("card", ANSWERS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	stage_check(card.pool != NULL, "the card's pool");
	for (unsigned q = 0; q < QUEUES; q++) {
		char name[16];
		snprintf(name, sizeof(name), "card-%u", q);
		card.queue[q] = rte_ring_create(name, 2 * ANSWERS, -1, RING_F_SC_DEQ);
		stage_check(card.queue[q] != NULL, "the card's queue");
		card.receive[q] = card.queue[q];
	}
	rte_eth_fp_ops[card.port].rxq.data = card.receive;
	rte_eth_fp_ops[card.port].txq.data = card.send;
	rte_eth_fp_ops[card.port].rx_pkt_burst = receive_burst;
	rte_eth_fp_ops[card.port].tx_pkt_burst = send_burst;
}

static void set_up(struct stage *stage, uint8_t family, enum wire_steering wish, const char *source)
{
	static char no_cards[] = "--no-pci", device[] = "--vdev=net_null0,no-rx=1";
	static char *arguments[] = {no_cards, device};
	stage_set_up(stage, QUEUES, family);
	stage->config.roles = WIRE_HERD;
	stage->config.steering = (uint8_t)wish;
	stage->config.eal_argc = 2;
	stage->config.eal_argv = arguments;
	stage_check(!wire_link_parse("pci:net_null0", &stage->config.link), "link");
	if (source)
		stage_check(!address_plan_parse(source, &stage->plan), "plan");
}

/* Phones register and are kept alive for a while, and no frame is lost. */
static void live(struct stage *stage)
{
	struct wire_error error;
	const struct herd_command command = {.kind = HERD_START};
	play_card();
	stage_check(!wire_start(stage->wire, &error) &&
			    !wire_wait_neighbours(stage->wire, STAGE_PATIENCE_S * 1000, &error),
		"the wire does not start");
	wire_command(stage->wire, &command);
	stage_wait_registered(stage, PROXY_PRIMARY, STAGE_PHONES, false);
	for (unsigned tries = 0; stage->snapshot.herd.options_answered < 2 * STAGE_PHONES;
		tries++) {
		stage_check(tries < STAGE_PATIENCE_S * 100, "keep-alives are not answered");
		usleep(10000);
		wire_snapshot(stage->wire, &stage->snapshot);
	}
	stage_check(!stage->snapshot.wire.redirect_dropped, "frames were lost between workers");
}

static double redirected(const struct stage *stage)
{
	const struct wire_counters *wire = &stage->snapshot.wire;
	return (double)wire->redirected / (double)wire->frames_received;
}

static void open_and_live(struct stage *stage, enum wire_steering tier, double told)
{
	struct wire_error error = {""};
	stage_check(!wire_open(&stage->wire, &stage->config, &error), error.message);
	const struct wire_steering_state *steering = wire_steering(stage->wire);
	printf("    %s\n", wire_description(stage->wire));
	stage_check(
		steering->tier == tier && steering->told >= told, wire_description(stage->wire));
	live(stage);
	printf("    %.1f %% of %llu frames redirected\n", 100 * redirected(stage),
		(unsigned long long)stage->snapshot.wire.frames_received);
}

static void run_toeplitz(uint8_t family, const char *source)
{
	struct stage stage = {0};
	set_up(&stage, family, WIRE_STEERING_AUTO, source);
	open_and_live(&stage, WIRE_STEERING_TOEPLITZ, 0.99);
	stage_check(redirected(&stage) < 0.02, "frames came to the wrong worker");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void by_address(void)
{
	run_toeplitz(ADDRESS_IPV4, NULL);
}

static void by_port(void)
{
	run_toeplitz(ADDRESS_IPV4, "10.20.1.0/24 ports 6000-6009");
}

static void by_ipv6_address(void)
{
	run_toeplitz(ADDRESS_IPV6, NULL);
}

/* The registered phones' ports are those that the API would tell. */
static void placed(void)
{
	struct stage stage = {0};
	card.keeps_key = true;
	set_up(&stage, ADDRESS_IPV4, WIRE_STEERING_AUTO, "10.20.1.0/24 ports 6016-6031");
	open_and_live(&stage, WIRE_STEERING_PLACEMENT, 0.49);
	stage_check(redirected(&stage) < 0.02, "frames of the primary came to the wrong worker");
	const struct address_plan *plan = wire_plan(stage.wire, ADDRESS_IPV4);
	unsigned moved = 0;
	for (uint32_t i = 0; i < STAGE_PHONES; i++) {
		struct address address;
		uint16_t port;
		address_plan_at(plan, i, &address, &port);
		moved += port != 6016 + i % 16;
	}
	stage_check(moved > STAGE_PHONES / 4, "no phone was placed");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void run_rules(uint8_t family, const char *source)
{
	struct stage stage = {0};
	card.rules_most = RULES;
	card.keeps_key = true;
	set_up(&stage, family, WIRE_STEERING_FLOW, source);
	open_and_live(&stage, WIRE_STEERING_FLOW, 1);
	stage_check(card.rules >= QUEUES, "rules");
	stage_check(redirected(&stage) < 0.02, "frames came to the wrong worker");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void rules_by_address(void)
{
	run_rules(ADDRESS_IPV4, NULL);
}

static void rules_by_port(void)
{
	run_rules(ADDRESS_IPV4, "10.20.1.0/24 ports 6000-6009");
}

static void rules_by_ipv6_address(void)
{
	run_rules(ADDRESS_IPV6, NULL);
}

/* What was taken of them is taken back: half of the rules would be worse than none. */
static void rules_half_way(void)
{
	struct stage stage = {0};
	struct wire_error error = {""};
	card.rules_most = QUEUES - 1;
	set_up(&stage, ADDRESS_IPV4, WIRE_STEERING_FLOW, NULL);
	stage_check(
		wire_open(&stage.wire, &stage.config, &error) == -ENOTSUP, "flow was not refused");
	stage_check(strstr(error.message, "no room") != NULL, error.message);
	stage_check(card.rules == 0 && card.flushes > 0, "rules were left");
	identity_free(stage.identities);
}

static void refused(void)
{
	struct stage stage = {0};
	struct wire_error error = {""};
	card.keeps_key = true;
	set_up(&stage, ADDRESS_IPV4, WIRE_STEERING_FLOW, NULL);
	stage_check(
		wire_open(&stage.wire, &stage.config, &error) == -ENOTSUP, "flow was not refused");
	printf("    %s\n", error.message);
	stage_check(strstr(error.message, "steering flow: the card takes no rule") != NULL,
		"the reason");
	identity_free(stage.identities);
}

static void fallen_back(void)
{
	struct stage stage = {0};
	card.keeps_key = true;
	set_up(&stage, ADDRESS_IPV4, WIRE_STEERING_AUTO, NULL);
	open_and_live(&stage, WIRE_STEERING_REDIRECT, 0);
	stage_check(redirected(&stage) > 0.2, "a foreign key cannot steer these");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void deceived(void)
{
	struct stage stage = {0};
	card.lies = true;
	set_up(&stage, ADDRESS_IPV4, WIRE_STEERING_AUTO, NULL);
	open_and_live(&stage, WIRE_STEERING_TOEPLITZ, 0.99);
	const struct wire_steering_state *steering = wire_steering(stage.wire);
	printf("    %s\n", wire_description(stage.wire));
	stage_check(steering->broken && steering->tier == WIRE_STEERING_REDIRECT,
		"the card's lie was not found out");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void case_of(void **state)
{
	void (*run)(void);
	memcpy(&run, state, sizeof(run)); /* cmocka hands on where the initial state stands */
	stage_in_child(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"a key that shows addresses", case_of, NULL, NULL, by_address},
		{"a key that shows ports", case_of, NULL, NULL, by_port},
		{"a key that shows IPv6 addresses", case_of, NULL, NULL, by_ipv6_address},
		{"a card that keeps its key has phones placed", case_of, NULL, NULL, placed},
		{"rules by address", case_of, NULL, NULL, rules_by_address},
		{"rules by port", case_of, NULL, NULL, rules_by_port},
		{"rules by IPv6 address", case_of, NULL, NULL, rules_by_ipv6_address},
		{"a card with room for some of them", case_of, NULL, NULL, rules_half_way},
		{"a card without rules refuses them", case_of, NULL, NULL, refused},
		{"nothing can be had, and redirect carries it all", case_of, NULL, NULL,
			fallen_back},
		{"a card that lies is found out", case_of, NULL, NULL, deceived},
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
