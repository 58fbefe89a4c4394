/* SPDX-License-Identifier: BSD-3-Clause */
/* Steering's arithmetic against DPDK's own software hash, and its program against the plan it stands for,
 * for random plans of both families. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <rte_thash.h>

#include "steering.h"
#include "steering_program.h"

#define ROUNDS 60

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((seed >> 32) * limit) >> 32);
}

static int begin(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return 0;
}

struct scene {
	struct address_plan plan[ADDRESS_FAMILIES];
	struct wire_proxy proxy[PROXIES];
	struct steering_phones phones;
};

static void add_plan(struct scene *scene, unsigned family, const char *text)
{
	assert_int_equal(address_plan_parse(text, &scene->plan[family]), 0);
	scene->phones.plan[family] = &scene->plan[family];
}

static void set_proxy(struct scene *scene, unsigned p, const char *text)
{
	assert_int_equal(address_parse(text, &scene->proxy[p].address), 0);
	scene->proxy[p].port = 5060;
	scene->proxy[p].known = true;
}

static void set_scene(struct scene *scene, const char *ipv4, const char *ipv6, unsigned workers)
{
	*scene = (struct scene){.phones = {.phones = 5000, .workers = workers}};
	scene->phones.proxy = scene->proxy;
	if (ipv4)
		add_plan(scene, ADDRESS_IPV4, ipv4);
	if (ipv6)
		add_plan(scene, ADDRESS_IPV6, ipv6);
	set_proxy(scene, PROXY_PRIMARY, ipv4 ? "10.10.0.1" : "2001:db8:10::1");
	set_proxy(scene, PROXY_REDUNDANT, ipv6 ? "2001:db8:11::9" : "10.11.3.9");
}

static unsigned reversed(unsigned value, unsigned bits)
{
	unsigned out = 0;
	for (unsigned i = 0; i < bits; i++)
		out |= (value >> i & 1) << (bits - 1 - i);
	return out;
}

/* Whatever else a datagram carries, the hash ends with the bits that were chosen. */
static void a_sparse_key_shows_the_last_bits(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		const unsigned family = random_below(2), bits = 1 + random_below(4);
		const unsigned words = family == ADDRESS_IPV4 ? 1 : 4;
		struct steering_rule rule[ADDRESS_FAMILIES] = {0};
		uint8_t key[STEERING_KEY_MAX];
		uint32_t tuple[9];
		for (unsigned i = 0; i < 9; i++)
			tuple[i] = random_below(UINT32_MAX);
		rule[family] = (struct steering_rule){
			.known = true, .port = random_below(2), .bits = (uint8_t)bits};
		steering_sparse_key(rule, key);
		const uint32_t field = rule[family].port ? tuple[2 * words] : tuple[2 * words - 1];
		const uint32_t hash = rte_softrss(tuple, 2 * words + 1, key);
		assert_int_equal(
			hash & ((1u << bits) - 1), reversed(field & ((1u << bits) - 1), bits));
	}
}

static void a_sparse_key_steers_both_families(void **state)
{
	(void)state;
	static const char *const plans[][ADDRESS_FAMILIES] = {{"10.20.0.0/16", NULL},
		{"10.20.0.7-10.20.40.0", NULL}, {"10.20.0.0/16 ports 5062-5077", NULL},
		{NULL, "fd00:20::/112"}, {NULL, "fd00:20::/112 ports 6000-6031"},
		{"10.20.0.0/16", "fd00:20::/112"}};
	for (unsigned i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		for (unsigned workers = 2; workers <= 16; workers *= 2) {
			struct scene scene;
			struct steering_rule rule[ADDRESS_FAMILIES] = {0};
			struct steering_hash hash = {.ports = {true, true},
				.reta_size = (uint16_t)(64 << random_below(4))};
			set_scene(&scene, plans[i][0], plans[i][1], workers);
			for (unsigned f = 0; f < ADDRESS_FAMILIES; f++)
				if (scene.phones.plan[f]) {
					steering_find_rule(&scene.phones, (uint8_t)f, &rule[f]);
					assert_true(rule[f].known);
				}
			steering_sparse_key(rule, hash.key);
			steering_fill_table(&hash, &scene.phones);
			assert_true(steering_share(&hash, &scene.phones, STEERING_BOTH) == 1.0);
		}
}

/* Three workers have no last bits, and ports that are no multiple of the workers neither. */
static void what_bits_cannot_tell_is_not_told(void **state)
{
	(void)state;
	struct scene scene;
	struct steering_rule rule;
	set_scene(&scene, "10.20.0.0/16", NULL, 3);
	steering_find_rule(&scene.phones, ADDRESS_IPV4, &rule);
	assert_false(rule.known);
	set_scene(&scene, "10.20.0.0/16 ports 5060-5066", NULL, 2);
	steering_find_rule(&scene.phones, ADDRESS_IPV4, &rule);
	assert_false(rule.known);
}

static void random_hash(struct steering_hash *hash, unsigned workers)
{
	*hash = (struct steering_hash){.ports = {true, true},
		.key_length = 40,
		.reta_size = (uint16_t)(64 << random_below(4))};
	for (unsigned i = 0; i < 40; i++)
		hash->key[i] = (uint8_t)random_below(256);
	for (unsigned i = 0; i < hash->reta_size; i++)
		hash->reta[i] = (uint16_t)(i % workers);
}

/* Each phone still has a port of its own, and the plan finds it there. */
static void check_order(const struct scene *scene, unsigned family)
{
	const struct address_plan *plan = scene->phones.plan[family];
	struct address_plan plain = *plan;
	plain.order = NULL;
	for (uint32_t i = 0; i < scene->phones.phones; i++) {
		struct address address, before;
		uint16_t port, before_port;
		uint32_t index;
		address_plan_at(plan, i, &address, &port);
		address_plan_at(&plain, i, &before, &before_port);
		assert_true(address_equal(&address, &before));
		assert_true(port >= plan->port_first && port <= plan->port_last);
		assert_true(address_plan_find(plan, &address, port, &index));
		assert_int_equal(index, i);
	}
}

/* Whether the ports of a group lead to every worker equally often. One key in twenty has none of it. */
static bool spreads(
	const struct steering_hash *hash, const struct port_order *order, unsigned workers)
{
	unsigned leads[WIRE_WORKERS_MAX] = {0};
	for (unsigned port = 0; port < order->group; port++)
		leads[hash->reta[order->by_port[1][port]]]++;
	for (unsigned w = 0; w < workers; w++)
		if (leads[w] != order->group / workers)
			return false;
	return true;
}

/* From one proxy every frame comes right, from two of them at least the first one's. */
static void phones_are_placed_by_a_foreign_key(void **state)
{
	(void)state;
	static struct port_order order;
	for (unsigned round = 0; round < ROUNDS; round++) {
		const unsigned family = random_below(2), workers = 2u << random_below(2);
		struct scene scene;
		struct steering_hash hash;
		if (family == ADDRESS_IPV4)
			set_scene(&scene, "10.20.0.0/16 ports 6016-6143", NULL, workers);
		else
			set_scene(&scene, NULL, "fd00:20::/112 ports 6400-6463", workers);
		random_hash(&hash, workers);
		if (round % 2)
			scene.proxy[PROXY_REDUNDANT].known = false;
		const double before = steering_share(&hash, &scene.phones, STEERING_BOTH);
		assert_true(steering_place(&hash, &scene.phones, (uint8_t)family, &order));
		scene.plan[family].order = &order;
		const double share = steering_share(&hash, &scene.phones, STEERING_BOTH);
		const double least = !spreads(&hash, &order, workers) ? 0 : round % 2 ? 1 : 0.5;
		if (share < least)
			fail_msg("round %u: %.2f of the frames come right, %.2f before", round,
				share, before);
		check_order(&scene, family);
	}
}

static void plans_without_a_choice_are_left_alone(void **state)
{
	(void)state;
	static struct port_order order;
	static const char *const plans[] = {
		"10.20.0.0/16", "10.20.0.0/16 ports 5060-5066", "10.20.0.0/16 ports 5061-5064"};
	for (unsigned i = 0; i < 3; i++) {
		struct scene scene;
		struct steering_hash hash;
		set_scene(&scene, plans[i], NULL, 2);
		random_hash(&hash, 2);
		assert_false(steering_place(&hash, &scene.phones, ADDRESS_IPV4, &order));
	}
}

/* --- The program, run here as the kernel would --- */

struct packet {
	uint8_t bytes[64]; /* from the network header on */
	uint16_t protocol;
};

static uint32_t load(const struct packet *packet, uint32_t k, uint16_t size)
{
	if (k == (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL))
		return packet->protocol;
	const uint8_t *at = packet->bytes + (k - (uint32_t)SKF_NET_OFF);
	assert_true(at >= packet->bytes && at + 4 <= packet->bytes + sizeof(packet->bytes));
	if (size == BPF_B)
		return at[0];
	if (size == BPF_H)
		return (uint32_t)at[0] << 8 | at[1];
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t compute(uint16_t code, uint32_t a, uint32_t b)
{
	switch (BPF_OP(code)) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_MOD:
		return a % b;
	}
	fail_msg("operation %#x", code);
	return 0;
}

static bool holds(uint16_t code, uint32_t a, uint32_t k)
{
	return BPF_OP(code) == BPF_JEQ ? a == k : BPF_OP(code) == BPF_JGT ? a > k : (a & k) != 0;
}

static uint32_t run(const struct sock_filter *code, unsigned count, const struct packet *packet)
{
	uint32_t a = 0, x = 0, memory = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct sock_filter *at = &code[i];
		switch (BPF_CLASS(at->code)) {
		case BPF_LD:
			a = load(packet, at->k + (BPF_MODE(at->code) == BPF_IND ? x : 0),
				BPF_SIZE(at->code));
			break;
		case BPF_LDX:
			x = BPF_MODE(at->code) == BPF_MSH ? (load(packet, at->k, BPF_B) & 15) * 4
							  : memory;
			break;
		case BPF_ST:
			memory = a;
			break;
		case BPF_MISC:
			x = a;
			break;
		case BPF_ALU:
			a = compute(at->code, a, BPF_SRC(at->code) == BPF_X ? x : at->k);
			break;
		case BPF_JMP:
			i += holds(at->code, a, at->k) ? at->jt : at->jf;
			break;
		default:
			return BPF_RVAL(at->code) == BPF_A ? a : at->k;
		}
	}
	fail_msg("the program does not end");
	return 0;
}

static struct packet packet_to(const struct address *address, uint16_t port)
{
	struct packet p = {.protocol = ETH_P_IP};
	/* With options behind the header, as nobody sends them and everybody may. */
	const unsigned options = 4 * random_below(5);
	unsigned udp = 20 + options;
	if (address->family == ADDRESS_IPV4) {
		p.bytes[0] = (uint8_t)(0x45 + options / 4);
		p.bytes[9] = 17;
		memcpy(p.bytes + 16, address->bytes, 4);
	} else {
		p.protocol = ETH_P_IPV6;
		p.bytes[6] = 17;
		memcpy(p.bytes + 24, address->bytes, 16);
		udp = 40;
	}
	p.bytes[udp + 2] = (uint8_t)(port >> 8);
	p.bytes[udp + 3] = (uint8_t)port;
	return p;
}

static void a_program_tells_every_owner(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		char ipv4[64], ipv6[64];
		struct scene scene;
		struct sock_filter code[STEERING_PROGRAM_MAX];
		const unsigned first = 1024 + random_below(1000);
		snprintf(ipv4, sizeof(ipv4), "10.20.0.%u-10.20.255.255 ports %u-%u",
			random_below(99), first, first + random_below(50));
		snprintf(ipv6, sizeof(ipv6), "fd00:20::ffff:%x-fd00:20::1:ffff:9 ports %u-%u",
			random_below(65000), first, first + random_below(50));
		set_scene(&scene, ipv4, ipv6, 1 + random_below(WIRE_WORKERS_MAX));
		for (unsigned i = 0; i < ADDRESS_HOLES; i++)
			for (unsigned f = 0; f < ADDRESS_FAMILIES; f++) {
				struct address hole;
				uint16_t port;
				address_plan_at(&scene.plan[f], random_below(5000), &hole, &port);
				address_plan_exclude(&scene.plan[f], &hole);
			}
		const unsigned count = steering_program(&scene.phones, code);
		assert_true(count <= STEERING_PROGRAM_MAX);
		for (unsigned i = 0; i < 1000; i++) {
			struct address address;
			uint16_t port;
			const uint32_t index = random_below(scene.phones.phones);
			address_plan_at(&scene.plan[i % 2], index, &address, &port);
			const struct packet packet = packet_to(&address, port);
			assert_int_equal(
				run(code, count, &packet), steering_owner(&scene.phones, index));
		}
		const struct packet other = {.protocol = ETH_P_ARP};
		assert_int_equal(run(code, count, &other), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sparse_key_shows_the_last_bits),
		cmocka_unit_test(a_sparse_key_steers_both_families),
		cmocka_unit_test(what_bits_cannot_tell_is_not_told),
		cmocka_unit_test(phones_are_placed_by_a_foreign_key),
		cmocka_unit_test(plans_without_a_choice_are_left_alone),
		cmocka_unit_test(a_program_tells_every_owner),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}
