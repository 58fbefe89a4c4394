/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_flow.h>

#include "steering_port.h"

#define TOLD_ENOUGH 0.95 /* what a tier promises at least, of the sample */

struct attempt {
	const struct link *link;
	const struct steering_phones *phones;
	const struct steering_wish *wish;
	uint16_t port;
	struct steering_rule rule[ADDRESS_FAMILIES];
	struct wire_steering_state *out;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct attempt *a, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(a->out->why, sizeof(a->out->why), format, arguments);
	va_end(arguments);
	return -ENOTSUP;
}

/* --- What a card's hash does --- */

static int read_table(uint16_t port, struct steering_hash *hash)
{
	struct rte_eth_rss_reta_entry64 reta[STEERING_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
	for (unsigned i = 0; i < RTE_DIM(reta); i++)
		reta[i].mask = UINT64_MAX;
	const int result = rte_eth_dev_rss_reta_query(port, reta, hash->reta_size);
	for (unsigned i = 0; i < hash->reta_size; i++)
		hash->reta[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return result;
}

static int write_table(uint16_t port, const struct steering_hash *hash)
{
	struct rte_eth_rss_reta_entry64 reta[STEERING_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
	for (unsigned i = 0; i < hash->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &reta[i / RTE_ETH_RETA_GROUP_SIZE];
		group->mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = hash->reta[i];
	}
	return rte_eth_dev_rss_reta_update(port, reta, hash->reta_size);
}

/* What the card says of its key, what it hashes, and its table. */
static int read_hash(struct attempt *a, struct steering_hash *hash)
{
	struct rte_eth_dev_info info;
	*hash = (struct steering_hash){0};
	if (rte_eth_dev_info_get(a->port, &info))
		return refuse(a, "the card does not tell its abilities");
	struct rte_eth_rss_conf conf = {.rss_key = hash->key, .rss_key_len = STEERING_KEY_MAX};
	if (info.hash_key_size > STEERING_KEY_MAX || rte_eth_dev_rss_hash_conf_get(a->port, &conf))
		return refuse(a, "the card does not tell the key of its hash");
	hash->key_length = info.hash_key_size ? info.hash_key_size : STEERING_KEY_MIN;
	hash->ports[ADDRESS_IPV4] = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	hash->ports[ADDRESS_IPV6] = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_UDP;
	hash->reta_size = info.reta_size;
	if (hash->key_length < STEERING_KEY_MIN)
		return refuse(a, "the card's key is too short, %u bytes", hash->key_length);
	if (!rte_is_power_of_2(info.reta_size) || info.reta_size > STEERING_RETA_MAX)
		return refuse(a, "the card has no table behind its hash");
	return read_table(a->port, hash) ? refuse(a, "the card does not tell its table") : 0;
}

/* Of a tier that is told by a card's key and table as they are read back. Where not all that both proxies
 * send arrives, what the primary sends has to: phones are there most of the time. */
static int promise(struct attempt *a, const struct steering_hash *hash, unsigned proxy)
{
	const double share = steering_share(hash, a->phones, proxy);
	a->out->told = steering_share(hash, a->phones, STEERING_BOTH);
	if (share < TOLD_ENOUGH)
		return refuse(a, "by the card's key and table %.0f %% would reach their worker",
			100 * share);
	return 0;
}

/* --- Tiers --- */

static int find_rules(struct attempt *a)
{
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++) {
		if (!a->phones->plan[f])
			continue;
		steering_find_rule(a->phones, (uint8_t)f, &a->rule[f]);
		if (!a->rule[f].known)
			return refuse(a,
				"no last bits of an address or port tell which of %u workers is "
				"meant",
				a->phones->workers);
	}
	return 0;
}

static int try_toeplitz(struct attempt *a)
{
	struct steering_hash wish, real;
	if (find_rules(a) || read_hash(a, &wish))
		return -ENOTSUP;
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
		if (a->rule[f].known && a->rule[f].port && !wish.ports[f])
			return refuse(a, "the card does not hash UDP ports");
	struct rte_eth_rss_conf conf = {.rss_key = wish.key, .rss_key_len = STEERING_KEY_MAX};
	rte_eth_dev_rss_hash_conf_get(a->port, &conf);
	steering_sparse_key(a->rule, wish.key);
	conf.rss_key_len = wish.key_length;
	steering_fill_table(&wish, a->phones);
	if (rte_eth_dev_rss_hash_update(a->port, &conf))
		return refuse(a, "the card takes no other key");
	if (write_table(a->port, &wish))
		return refuse(a, "the card takes no other table");
	if (read_hash(a, &real))
		return -ENOTSUP;
	if (memcmp(real.key, wish.key, STEERING_KEY_MIN))
		return refuse(a, "the card kept another key than it was told");
	return promise(a, &real, STEERING_BOTH);
}

static int try_placement(struct attempt *a)
{
	struct steering_hash hash;
	const struct steering_wish *wish = a->wish;
	if (!wish->order)
		return refuse(a, "phones of a shared fleet keep their ports");
	if (read_hash(a, &hash))
		return -ENOTSUP;
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
		if (a->phones->plan[f] &&
			!steering_place(&hash, a->phones, (uint8_t)f, &wish->order[f]))
			return refuse(a,
				"phones have no choice of ports: source: has to give each address "
				"a multiple of %u, from a multiple on",
				a->phones->workers);
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
		wish->plan[f].order = &wish->order[f];
	const int result = promise(a, &hash, PROXY_PRIMARY);
	for (unsigned f = 0; f < ADDRESS_FAMILIES && result; f++)
		wish->plan[f].order = NULL;
	return result;
}

/* A card is shown the last bits of the destination, value by value. */
static struct rte_flow *make_rule(
	const struct attempt *a, unsigned family, unsigned value, struct rte_flow_error *error)
{
	const struct steering_rule *rule = &a->rule[family];
	const uint8_t mask = (uint8_t)((1u << rule->bits) - 1);
	struct rte_flow_item_ipv4 ipv4 = {.hdr.dst_addr = RTE_BE32(value)},
				  ipv4_mask = {.hdr.dst_addr = RTE_BE32(mask)};
	struct rte_flow_item_ipv6 ipv6 = {.hdr.dst_addr[15] = (uint8_t)value},
				  ipv6_mask = {.hdr.dst_addr[15] = mask};
	struct rte_flow_item_udp udp = {.hdr.dst_port = RTE_BE16(value)},
				 udp_mask = {.hdr.dst_port = RTE_BE16(mask)};
	struct rte_flow_item items[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4}, {.type = RTE_FLOW_ITEM_TYPE_UDP},
		{.type = RTE_FLOW_ITEM_TYPE_END}};
	if (family == ADDRESS_IPV6)
		items[1].type = RTE_FLOW_ITEM_TYPE_IPV6;
	if (rule->port)
		items[2] = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &udp_mask};
	else if (family == ADDRESS_IPV4)
		items[1] = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ipv4, .mask = &ipv4_mask};
	else
		items[1] = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &ipv6, .mask = &ipv6_mask};
	const struct rte_flow_action_queue queue = {.index = rule->owner[value]};
	const struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
		{.type = RTE_FLOW_ACTION_TYPE_END}};
	const struct rte_flow_attr attributes = {.ingress = 1};
	if (rte_flow_validate(a->port, &attributes, items, actions, error))
		return NULL;
	return rte_flow_create(a->port, &attributes, items, actions, error);
}

static int try_card_rules(struct attempt *a)
{
	struct rte_flow_error error = {0}, ignored;
	if (find_rules(a))
		return -ENOTSUP;
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
		for (unsigned value = 0; a->rule[f].known && value < 1u << a->rule[f].bits;
			value++) {
			if (make_rule(a, f, value, &error))
				continue;
			rte_flow_flush(a->port, &ignored);
			return refuse(a, "the card takes no rule by masks: %s",
				error.message ? error.message : strerror(rte_errno));
		}
	a->out->told = 1;
	return 0;
}

static int try_flow(struct attempt *a)
{
	if (a->link->wish.kind == WIRE_PCI)
		return try_card_rules(a);
	if (!a->link->port[LINK_NEAR].programmed)
		return refuse(a, "the kernel takes no program for a group of packet sockets");
	a->out->told = 1;
	return 0;
}

/* --- The choice --- */

static const struct {
	uint8_t tier;
	bool of_card, of_sockets;
	int (*attempt)(struct attempt *a);
} tiers[] = {
	{WIRE_STEERING_TOEPLITZ, true, false, try_toeplitz},
	{WIRE_STEERING_PLACEMENT, true, false, try_placement},
	{WIRE_STEERING_FLOW, true, true, try_flow},
};

/* What stands against any tier but redirect. */
static int check_link(struct attempt *a)
{
	const unsigned queues = a->link->port[LINK_NEAR].queues, workers = a->phones->workers;
	switch (a->link->wish.kind) {
	case WIRE_PCI:
	case WIRE_AF_PACKET:
		break;
	case WIRE_AF_XDP:
		return refuse(a,
			"an XDP socket gets what its queue gets, and the interface chooses that");
	case WIRE_TAP:
		return refuse(a, "a tap takes no rule");
	default:
		return refuse(a, "frames stay with their worker");
	}
	if (queues < workers)
		return refuse(
			a, "%u queue%s for %u workers", queues, queues > 1 ? "s" : "", workers);
	return 0;
}

static int try_tier(struct attempt *a, unsigned i)
{
	const uint8_t kind = a->link->wish.kind;
	if (!(kind == WIRE_PCI ? tiers[i].of_card : tiers[i].of_sockets))
		return refuse(a, "packet sockets take no key, and keep theirs secret");
	const int result = tiers[i].attempt(a);
	if (!result)
		*a->out = (struct wire_steering_state){.tier = tiers[i].tier, .told = a->out->told};
	return result;
}

/* All of them in turn; in the end every one's reason is told that is not the link's own. */
static void try_all(struct attempt *a)
{
	char all[sizeof(a->out->why)] = "";
	size_t length = 0;
	for (unsigned i = 0; i < RTE_DIM(tiers); i++) {
		if (!try_tier(a, i))
			return;
		length += (size_t)snprintf(all + length, sizeof(all) - length, "%s%s: %s",
			length ? "; " : "", wire_steering_name((enum wire_steering)tiers[i].tier),
			a->out->why);
		length = RTE_MIN(length, sizeof(all) - 1);
	}
	memcpy(a->out->why, all, sizeof(all));
	a->out->told = 0;
}

static int try_one(struct attempt *a, enum wire_steering tier)
{
	for (unsigned i = 0; i < RTE_DIM(tiers); i++)
		if (tiers[i].tier == tier)
			return try_tier(a, i);
	return -ENOTSUP;
}

int steering_open(const struct link *link, const struct steering_phones *phones,
	const struct steering_wish *wish, struct wire_steering_state *out)
{
	struct attempt a = {.link = link,
		.phones = phones,
		.wish = wish,
		.port = link->port[LINK_NEAR].id,
		.out = out};
	*out = (struct wire_steering_state){.tier = WIRE_STEERING_REDIRECT};
	if (wish->tier == WIRE_STEERING_REDIRECT) {
		refuse(&a, "asked for");
		return 0;
	}
	const int result = check_link(&a);
	if (wish->tier != WIRE_STEERING_AUTO)
		return result ? result : try_one(&a, wish->tier);
	if (!result)
		try_all(&a);
	return 0;
}
