/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_thash.h>

#include "steering.h"

#define RULE_ENOUGH 0.95 /* of the phones sampled: a few addresses behind a hole are redirected */
#define TUPLE_MAX 9      /* 32-bit words of IPv6 addresses and ports */

/* --- What a card does --- */

static unsigned put_address(uint32_t *words, const struct address *address)
{
	const unsigned count = address->family == ADDRESS_IPV4 ? 1 : 4;
	for (unsigned i = 0; i < count; i++) {
		rte_be32_t word;
		memcpy(&word, address->bytes + 4 * i, sizeof(word));
		words[i] = rte_be_to_cpu_32(word);
	}
	return count;
}

static uint32_t hash_of(const struct steering_hash *hash, const struct wire_proxy *from,
	const struct address *phone, uint16_t port)
{
	uint32_t words[TUPLE_MAX];
	const struct address nobody = {.family = phone->family};
	const bool known = from->known && from->address.family == phone->family;
	unsigned count = put_address(words, known ? &from->address : &nobody);
	count += put_address(words + count, phone);
	if (hash->ports[phone->family])
		words[count++] = (uint32_t)from->port << 16 | port;
	return rte_softrss(words, count, hash->key);
}

static uint32_t hash_to(const struct steering_hash *hash, const struct steering_phones *phones,
	unsigned proxy, unsigned family, uint32_t index)
{
	struct address phone;
	uint16_t port;
	address_plan_at(phones->plan[family], index, &phone, &port);
	return hash_of(hash, &phones->proxy[proxy], &phone, port);
}

unsigned steering_queue(const struct steering_hash *hash, const struct steering_phones *phones,
	enum proxy proxy, uint8_t family, uint32_t index)
{
	return hash->reta[hash_to(hash, phones, proxy, family, index) & (hash->reta_size - 1u)];
}

/* --- A sample of phones --- */

/* The first and the last ones, who stand at the holes of most plans, and some from all over. */
uint32_t steering_sample(const struct steering_phones *phones, unsigned i)
{
	const uint32_t last = phones->phones - 1;
	if (i < STEERING_SAMPLE / 4)
		return i % phones->phones;
	if (i < STEERING_SAMPLE / 2)
		return last - i % phones->phones;
	return (uint32_t)(((uint64_t)(i * 2654435761u) * phones->phones) >> 32);
}

/* Whether datagrams of this family come from this proxy. Of one whose
 * name has no address yet nothing is known, and only guessed where the other's has none either. */
static bool sends(const struct steering_phones *phones, unsigned proxy, unsigned family)
{
	const struct wire_proxy *from = &phones->proxy[proxy];
	const bool alone = !phones->proxy[PROXY_PRIMARY].known &&
			   !phones->proxy[PROXY_REDUNDANT].known;
	return phones->plan[family] && (from->known ? from->address.family == family : alone);
}

double steering_share(
	const struct steering_hash *hash, const struct steering_phones *phones, unsigned proxy)
{
	unsigned right = 0, all = 0;
	for (unsigned family = 0; family < ADDRESS_FAMILIES; family++)
		for (unsigned p = 0; p < PROXIES; p++) {
			if (!sends(phones, p, family) || (proxy != STEERING_BOTH && proxy != p))
				continue;
			for (unsigned i = 0; i < STEERING_SAMPLE; i++, all++) {
				const uint32_t index = steering_sample(phones, i);
				right += steering_queue(hash, phones, (enum proxy)p,
						 (uint8_t)family,
						 index) == steering_owner(phones, index);
			}
		}
	return all ? (double)right / all : 1;
}

/* --- The sparse key --- */

typedef uint32_t votes[WIRE_WORKERS_MAX];

static unsigned elect(const votes vote, unsigned workers)
{
	unsigned best = 0;
	for (unsigned w = 1; w < workers; w++)
		if (vote[w] > vote[best])
			best = w;
	return best;
}

/* The last bits of the phone's port or address. */
static unsigned last_bits(
	const struct address_plan *plan, uint32_t index, const struct steering_rule *rule)
{
	struct address address;
	uint16_t port;
	address_plan_at(plan, index, &address, &port);
	const unsigned value = rule->port ? port
					  : address.bytes[plan->family == ADDRESS_IPV4 ? 3 : 15];
	return value & ((1u << rule->bits) - 1);
}

static bool bits_tell(
	const struct steering_phones *phones, uint8_t family, struct steering_rule *rule)
{
	votes vote[1 << STEERING_BITS_MAX] = {{0}};
	uint32_t told = 0;
	for (unsigned i = 0; i < STEERING_SAMPLE; i++) {
		const uint32_t index = steering_sample(phones, i);
		vote[last_bits(phones->plan[family], index, rule)][steering_owner(phones, index)]++;
	}
	for (unsigned value = 0; value < 1u << rule->bits; value++) {
		rule->owner[value] = (uint8_t)elect(vote[value], phones->workers);
		told += vote[value][rule->owner[value]];
	}
	return told >= RULE_ENOUGH * STEERING_SAMPLE;
}

void steering_find_rule(
	const struct steering_phones *phones, uint8_t family, struct steering_rule *out)
{
	*out = (struct steering_rule){0};
	if (!phones->plan[family])
		return;
	while (1u << out->bits < phones->workers)
		out->bits++;
	out->port = phones->plan[family]->ports > 1;
	out->known = bits_tell(phones, family, out);
}

/*
 * Bit b of the input, counted from the first sent, is added to the hash's bit b + 31 - k, counted from
 * the last, for each bit k of the key that is set. So that the last n bits of a field that ends before
 * bit e become the last n of the hash, in reverse and with nothing else among them, it is bit e + 31 - n.
 */
static void set_bit(uint8_t *key, unsigned field_end, unsigned bits)
{
	const unsigned k = field_end + 31 - bits;
	key[k / 8] |= (uint8_t)(0x80 >> k % 8);
}

void steering_sparse_key(
	const struct steering_rule rule[ADDRESS_FAMILIES], uint8_t key[STEERING_KEY_MAX])
{
	static const unsigned address_end[ADDRESS_FAMILIES] = {64, 256}, port_end[] = {96, 288};
	memset(key, 0, STEERING_KEY_MAX);
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
		if (rule[f].known)
			set_bit(key, rule[f].port ? port_end[f] : address_end[f], rule[f].bits);
}

static void count_votes(const struct steering_hash *hash, const struct steering_phones *phones,
	unsigned proxy, unsigned family, votes vote[STEERING_RETA_MAX])
{
	for (unsigned i = 0; i < STEERING_SAMPLE; i++) {
		const uint32_t index = steering_sample(phones, i);
		const uint32_t at = hash_to(
			hash, phones, (enum proxy)proxy, (uint8_t)family, index);
		vote[at & (hash->reta_size - 1u)][steering_owner(phones, index)]++;
	}
}

/* Where the sample says nothing, the entry is that of its last bits. */
void steering_fill_table(struct steering_hash *hash, const struct steering_phones *phones)
{
	votes vote[STEERING_RETA_MAX] = {{0}}, last[WIRE_WORKERS_MAX] = {{0}};
	const unsigned mask = rte_align32pow2(phones->workers) - 1;
	for (unsigned family = 0; family < ADDRESS_FAMILIES; family++)
		for (unsigned p = 0; p < PROXIES; p++)
			if (sends(phones, p, family))
				count_votes(hash, phones, p, family, vote);
	for (unsigned i = 0; i < hash->reta_size; i++)
		for (unsigned w = 0; w < phones->workers; w++)
			last[i & mask][w] += vote[i][w];
	for (unsigned i = 0; i < hash->reta_size; i++) {
		const unsigned best = elect(vote[i], phones->workers);
		hash->reta[i] = (uint16_t)(vote[i][best] ? best
							 : elect(last[i & mask], phones->workers));
	}
}

/* --- Placing phones --- */

/* The hash is linear over XOR: what a byte adds is what it makes of a hash of zeros. */
static void fill_parts(const struct steering_hash *hash, uint8_t family, struct port_order *order)
{
	static const struct wire_proxy nobody;
	order->address_at = family == ADDRESS_IPV4 ? 0 : 12;
	for (unsigned value = 0; value < 256; value++) {
		const struct address zero = {.family = family};
		for (unsigned i = 0; i < 4; i++) {
			struct address address = zero;
			address.bytes[order->address_at + i] = (uint8_t)value;
			order->by_address[i][value] = (uint16_t)hash_of(
							      hash, &nobody, &address, 0) &
						      order->mask;
		}
		order->by_port[0][value] = (uint16_t)hash_of(
						   hash, &nobody, &zero, (uint16_t)(value << 8)) &
					   order->mask;
		order->by_port[1][value] = (uint16_t)hash_of(
						   hash, &nobody, &zero, (uint16_t)value) &
					   order->mask;
	}
}

/* One class of a group: which queue each port's frames from each proxy arrive at. */
struct places {
	unsigned group, workers;
	bool sends[PROXIES];
	uint16_t queue[PROXIES][PORT_ORDER_GROUP_MAX];
	bool taken[PORT_ORDER_GROUP_MAX], placed[PORT_ORDER_GROUP_MAX];
};

/* Whether a port is right for this owner: for the proxies that are named, and that send. */
static bool suits(const struct places *places, unsigned port, unsigned owner, unsigned named)
{
	for (unsigned p = 0; p < PROXIES; p++)
		if ((named & 1u << p) && places->sends[p] && places->queue[p][port] != owner)
			return false;
	return true;
}

static void place_class(struct places *places, uint8_t *port_of, uint8_t *phone_of)
{
	static const unsigned wish[] = {1 << PROXY_PRIMARY | 1 << PROXY_REDUNDANT,
		1 << PROXY_PRIMARY, 1 << PROXY_REDUNDANT, 0};
	memset(places->taken, 0, sizeof(places->taken));
	memset(places->placed, 0, sizeof(places->placed));
	for (unsigned i = 0; i < RTE_DIM(wish); i++)
		for (unsigned phone = 0; phone < places->group; phone++)
			for (unsigned port = 0; port < places->group && !places->placed[phone];
				port++) {
				if (places->taken[port] ||
					!suits(places, port, phone % places->workers, wish[i]))
					continue;
				places->taken[port] = places->placed[phone] = true;
				port_of[phone] = (uint8_t)port;
				phone_of[port] = (uint8_t)phone;
			}
}

bool steering_place(const struct steering_hash *hash, const struct steering_phones *phones,
	uint8_t family, struct port_order *out)
{
	const struct address_plan *plan = phones->plan[family];
	struct places places = {.workers = phones->workers};
	uint32_t group = PORT_ORDER_GROUP_MAX, base[PROXIES];
	struct address high;
	uint16_t ignored;
	while (plan->ports % group || plan->port_first % group)
		group /= 2;
	if (group % phones->workers || !hash->ports[family])
		return false;
	out->group = (uint16_t)group;
	out->mask = hash->reta_size - 1;
	fill_parts(hash, family, out);
	places.group = group;
	address_plan_at(plan, 0, &high, &ignored);
	memset(high.bytes + out->address_at, 0, 4);
	for (unsigned p = 0; p < PROXIES; p++) {
		places.sends[p] = sends(phones, p, family);
		base[p] = hash_of(hash, &phones->proxy[p], &high, 0);
	}
	for (unsigned class = 0; class <= out->mask; class ++) {
		for (unsigned p = 0; p < PROXIES; p++)
			for (unsigned port = 0; port < group; port++)
				places.queue[p][port] =
					hash->reta[(base[p] ^ class ^ out->by_port[1][port]) &
						   out->mask];
		place_class(&places, out->port_of[class], out->phone_of[class]);
	}
	return true;
}
