/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses: text agrees with the C library, plans and their inverse are one enumeration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <cmocka.h>

#include "address.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state += 0x9e3779b97f4a7c15;
	uint64_t x = random_state;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

static uint64_t random_below(uint64_t n)
{
	return random_next() % n;
}

/* Print what a failure needs to be repeated, then fail. */
#define CHECK(condition, ...)                     \
	do {                                      \
		if (!(condition)) {               \
			print_error(__VA_ARGS__); \
			assert_true(condition);   \
		}                                 \
	} while (0)

static struct address address_of(const char *text)
{
	struct address address;
	CHECK(address_parse(text, &address) == 0, "%s\n", text);
	return address;
}

static struct address address_from(uint8_t family, wide number)
{
	struct address address = {.family = family};
	unsigned bytes = family == ADDRESS_IPV4 ? 4 : 16;
	for (unsigned i = bytes; i-- > 0; number >>= 8)
		address.bytes[i] = (uint8_t)number;
	return address;
}

static wide number_of(const struct address *address)
{
	wide number = 0;
	for (unsigned i = 0; i < (address->family == ADDRESS_IPV4 ? 4 : 16); i++)
		number = number << 8 | address->bytes[i];
	return number;
}

/* The C library writes the last 32 bits of a few prefixes as IPv4, which sipherd never does. */
static void check_text(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX], oracle[INET6_ADDRSTRLEN];
	memset(text, 'x', sizeof(text));
	size_t length = address_format(address, text);
	assert_true(length < sizeof(text));
	assert_int_equal(text[length], '\0');
	assert_int_equal(strlen(text), length);
	int family = address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	assert_non_null(inet_ntop(family, address->bytes, oracle, sizeof(oracle)));
	if (family == AF_INET || !strchr(oracle, '.'))
		assert_string_equal(text, oracle);
	struct address back = address_of(text);
	CHECK(address_equal(&back, address), "%s\n", text);
}

static void ipv4_text_is_the_library_s(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		for (unsigned at = 0; at < 4; at++) {
			struct address address = {.bytes = {9, 99, 200, 0}};
			address.bytes[at] = (uint8_t)byte;
			check_text(&address);
		}
	}
	random_state = 1;
	for (unsigned i = 0; i < 20000; i++) {
		struct address address = address_from(ADDRESS_IPV4, (uint32_t)random_next());
		check_text(&address);
	}
}

static void ipv6_text_is_the_library_s(void **state)
{
	(void)state;
	/* Every pattern of zero groups, with the other groups of every length. */
	random_state = 2;
	for (unsigned zeros = 0; zeros < 256; zeros++) {
		for (unsigned round = 0; round < 200; round++) {
			struct address address = {.family = ADDRESS_IPV6};
			for (unsigned i = 0; i < 8; i++) {
				unsigned group = (uint16_t)random_next() >> random_below(16);
				group = zeros >> i & 1 ? 0 : group ? group : 1;
				address.bytes[2 * i] = (uint8_t)(group >> 8);
				address.bytes[2 * i + 1] = (uint8_t)group;
			}
			check_text(&address);
		}
	}
	for (unsigned group = 0; group < 65536; group++) {
		struct address address = address_from(ADDRESS_IPV6, (wide)1 << 127 | group);
		check_text(&address);
	}
}

static void ipv6_text_without_ipv4_tails(void **state)
{
	(void)state;
	static const char *const same[] = {"::", "::1", "::2:3", "::102:304", "::ffff:102:304",
		"::ffff:0:0", "64:ff9b::102:304", "1::", "1::8", "2001:db8:0:1:1:1:1:1",
		"2001:0:0:1::1", "2001:db8::1:0:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct address address = address_of(same[i]);
		char text[ADDRESS_TEXT_MAX];
		assert_int_equal(address_format(&address, text), strlen(same[i]));
		assert_string_equal(text, same[i]);
	}
	struct address mapped = address_of("::ffff:1.2.3.4"), v4 = address_of("1.2.3.4");
	char text[ADDRESS_TEXT_MAX];
	address_format(&mapped, text);
	assert_string_equal(text, "::ffff:102:304");
	assert_false(address_equal(&mapped, &v4));
}

static void bad_addresses_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256",
		"1.2.3.-4", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:5060", "[::1]",
		":::", "1::2::3", "::g", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"12345::", "fe80::1%eth0", "::1/64", "host", "0x7f.0.0.1", "1.2.3.4\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct address address = {.bytes = {42}, .family = 7};
		CHECK(address_parse(bad[i], &address) == -EINVAL, "'%s'\n", bad[i]);
		assert_int_equal(address.bytes[0], 42);
		assert_int_equal(address.family, 7);
	}
}

struct plan_case {
	const char *text;
	uint64_t capacity;
	const char *first, *last;
	uint16_t port_first, port_last;
	uint8_t prefix_length;
};

static const struct plan_case good_plans[] = {
	{"10.20.0.0/15", 131070, "10.20.0.1", "10.21.255.254", 5060, 5060, 15},
	{"10.20.0.0/30", 2, "10.20.0.1", "10.20.0.2", 5060, 5060, 30},
	{"10.20.0.2/31", 2, "10.20.0.2", "10.20.0.3", 5060, 5060, 31},
	{"10.20.0.7/32", 1, "10.20.0.7", "10.20.0.7", 5060, 5060, 32},
	{"0.0.0.0/0", 4294967294, "0.0.0.1", "255.255.255.254", 5060, 5060, 0},
	{"10.20.0.1-10.20.0.4", 4, "10.20.0.1", "10.20.0.4", 5060, 5060, 32},
	{"10.20.0.9-10.20.0.9", 1, "10.20.0.9", "10.20.0.9", 5060, 5060, 32},
	{"10.20.0.1", 1, "10.20.0.1", "10.20.0.1", 5060, 5060, 32},
	{"10.20.0.1 port 5070", 1, "10.20.0.1", "10.20.0.1", 5070, 5070, 32},
	{"10.20.0.1-10.20.0.4 ports 10000-59999", 200000, "10.20.0.1", "10.20.0.4", 10000, 59999,
		32},
	{"10.0.0.1\tports\t 1024-65535 ", 64512, "10.0.0.1", "10.0.0.1", 1024, 65535, 32},
	{"10.0.0.1  ports  7000-7000", 1, "10.0.0.1", "10.0.0.1", 7000, 7000, 32},
	{"0.0.0.0-255.255.255.255", 4294967296, "0.0.0.0", "255.255.255.255", 5060, 5060, 32},
	{"2001:db8::/112", 65535, "2001:db8::1", "2001:db8::ffff", 5060, 5060, 112},
	{"2001:db8::2/127", 2, "2001:db8::2", "2001:db8::3", 5060, 5060, 127},
	{"2001:db8::/128", 1, "2001:db8::", "2001:db8::", 5060, 5060, 128},
	{"2001:db8::/64", 4294967296, "2001:db8::1", "2001:db8::1:0:0", 5060, 5060, 64},
	{"::/0", 4294967296, "::1", "::1:0:0", 5060, 5060, 0},
	{"2001:db8::ffff:ffff:ffff:fffe-2001:db8:0:1::1", 4, "2001:db8::ffff:ffff:ffff:fffe",
		"2001:db8:0:1::1", 5060, 5060, 128},
	{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4294967296, "::", "::ffff:ffff", 5060, 5060,
		128},
	{"2001:db8::1 ports 6000-6001", 2, "2001:db8::1", "2001:db8::1", 6000, 6001, 128},
};

static void plans_are_what_their_text_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good_plans) / sizeof(good_plans[0]); i++) {
		const struct plan_case *c = &good_plans[i];
		struct address_plan plan;
		CHECK(address_plan_parse(c->text, &plan) == 0, "'%s'\n", c->text);
		CHECK(address_plan_capacity(&plan) == c->capacity, "'%s'\n", c->text);
		assert_int_equal(plan.prefix_length, c->prefix_length);
		struct address address, expected = address_of(c->first);
		uint16_t port;
		address_plan_at(&plan, 0, &address, &port);
		CHECK(address_equal(&address, &expected), "'%s'\n", c->text);
		assert_int_equal(port, c->port_first);
		address_plan_at(&plan, (uint32_t)(c->capacity - 1), &address, &port);
		expected = address_of(c->last);
		CHECK(address_equal(&address, &expected), "'%s'\n", c->text);
		assert_int_equal(port, c->port_last);
	}
}

static const struct {
	const char *text;
	int rc;
} bad_plans[] = {
	{"", -EINVAL},
	{" ", -EINVAL},
	{"/24", -EINVAL},
	{"-", -EINVAL},
	{" 10.0.0.1", -EINVAL},
	{"10.0.0", -EINVAL},
	{"10.0.0.0/", -EINVAL},
	{"10.0.0.0/a", -EINVAL},
	{"10.0.0.0/-8", -EINVAL},
	{"10.0.0.0/+8", -EINVAL},
	{"10.0.0.0/08", -EINVAL},
	{"10.0.0.0/24/24", -EINVAL},
	{"10.0.0.0/24-10.0.1.0", -EINVAL},
	{"10.0.0.0/24x", -EINVAL},
	{"10.0.0.1/24", -EINVAL},
	{"10.0.0.0/33", -ERANGE},
	{"10.0.0.0/4294967304", -ERANGE},
	{"10.0.0.0/99999999999999999999999999", -ERANGE},
	{"2001:db8::/129", -ERANGE},
	{"2001:db8::1/64", -EINVAL},
	{"10.0.0.1-", -EINVAL},
	{"-10.0.0.1", -EINVAL},
	{"10.0.0.1-5", -EINVAL},
	{"10.0.0.1 - 10.0.0.4", -EINVAL},
	{"10.0.0.1-10.0.0.4-10.0.0.5", -EINVAL},
	{"10.0.0.4-10.0.0.1", -ERANGE},
	{"2001:db8::4-2001:db8::1", -ERANGE},
	{"2001:db8:1::-2001:db8:0:ffff::", -ERANGE},
	{"10.0.0.1-2001:db8::1", -EINVAL},
	{"2001:db8::1-10.0.0.1", -EINVAL},
	{"[2001:db8::1]", -EINVAL},
	{"10.0.0.1:5060", -EINVAL},
	{"10.0.0.1,10.0.0.2", -EINVAL},
	{"10.0.0.1 10.0.0.2", -EINVAL},
	{"10.0.0.1 port", -EINVAL},
	{"10.0.0.1 ports", -EINVAL},
	{"10.0.0.1 ports ", -EINVAL},
	{"10.0.0.1 port5070", -EINVAL},
	{"10.0.0.1port 5070", -EINVAL},
	{"10.0.0.1 Port 5070", -EINVAL},
	{"10.0.0.1 port 5070-5071", -EINVAL},
	{"10.0.0.1 ports 5070", -EINVAL},
	{"10.0.0.1 ports 5070-", -EINVAL},
	{"10.0.0.1 ports 5070 - 5071", -EINVAL},
	{"10.0.0.1 ports 5070-5071-5072", -EINVAL},
	{"10.0.0.1 ports 5070-5071 x", -EINVAL},
	{"10.0.0.1 port 05070", -EINVAL},
	{"10.0.0.1 port +5070", -EINVAL},
	{"10.0.0.1 port -5070", -EINVAL},
	{"10.0.0.1 port 5070.5", -EINVAL},
	{"10.0.0.1 port 0", -ERANGE},
	{"10.0.0.1 port 1023", -ERANGE},
	{"10.0.0.1 port 65536", -ERANGE},
	{"10.0.0.1 port 4294972356", -ERANGE},
	{"10.0.0.1 ports 1023-2000", -ERANGE},
	{"10.0.0.1 ports 60000-65536", -ERANGE},
	{"10.0.0.1 ports 6000-5999", -ERANGE},
	{"1111111111111111111111111111111111111111111111111111111111111111111111", -EINVAL},
};

static void bad_plans_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_plans) / sizeof(bad_plans[0]); i++) {
		struct address_plan plan, before;
		memset(&plan, 0x5a, sizeof(plan));
		before = plan;
		int rc = address_plan_parse(bad_plans[i].text, &plan);
		CHECK(rc == bad_plans[i].rc, "'%s' gave %d\n", bad_plans[i].text, rc);
		assert_memory_equal(&plan, &before, sizeof(plan));
	}
}

/* What a random plan must be, kept as plainly as possible: the model the plan is compared with. */
struct model {
	struct address_plan plan;
	uint64_t seed;
	char text[128];
	wide first, last; /* of the addresses that may be phones */
	uint16_t port_first, port_last;
	wide hole[ADDRESS_HOLES];
	unsigned holes;
};

static void model_prefix(struct model *m, uint8_t family)
{
	unsigned bits = family == ADDRESS_IPV4 ? 32 : 128, host_bits = (unsigned)random_below(14);
	wide size = (wide)1 << host_bits, base = (wide)random_next() << 64 | random_next();
	if (family == ADDRESS_IPV4)
		base = (uint32_t)base;
	base &= ~(size - 1);
	char text[ADDRESS_TEXT_MAX];
	struct address address = address_from(family, base);
	address_format(&address, text);
	snprintf(m->text, sizeof(m->text), "%s/%u", text, bits - host_bits);
	m->first = base + (host_bits > 1);
	m->last = base + size - 1 - (host_bits > 1 && family == ADDRESS_IPV4);
}

static void model_range(struct model *m, uint8_t family)
{
	wide size = 1 + random_below(random_below(4) ? 5000 : 20);
	m->first = (wide)random_next() << 64 | random_next();
	if (random_below(3) == 0) /* cross a multiple of 2^64 */
		m->first = (m->first & ~(wide)UINT64_MAX) - random_below(30);
	if (family == ADDRESS_IPV4)
		m->first = (uint32_t)m->first & 0xffffe000; /* so that no range ends beyond */
	m->last = m->first + size - 1;
	if (m->last < m->first)
		m->last = m->first;
	char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
	struct address a = address_from(family, m->first), b = address_from(family, m->last);
	address_format(&a, first);
	address_format(&b, last);
	if (m->first == m->last && random_below(2))
		snprintf(m->text, sizeof(m->text), "%s", first);
	else
		snprintf(m->text, sizeof(m->text), "%s-%s", first, last);
}

static void model_ports(struct model *m)
{
	size_t length = strlen(m->text);
	m->port_first = m->port_last = 5060;
	switch (random_below(3)) {
	case 0:
		return;
	case 1:
		m->port_first = m->port_last = (uint16_t)(1024 + random_below(64512));
		snprintf(m->text + length, sizeof(m->text) - length, " port %u", m->port_first);
		return;
	default:
		m->port_first = (uint16_t)(1024 + random_below(64512));
		m->port_last = (uint16_t)(m->port_first + random_below(65536u - m->port_first));
		if (random_below(2) && m->port_last - m->port_first > 20)
			m->port_last = m->port_first + 20;
		snprintf(m->text + length, sizeof(m->text) - length, " ports %u-%u", m->port_first,
			m->port_last);
	}
}

static bool model_is_hole(const struct model *m, wide number)
{
	for (unsigned i = 0; i < m->holes; i++) {
		if (m->hole[i] == number)
			return true;
	}
	return false;
}

static void model_holes(struct model *m, uint8_t family)
{
	uint64_t size = (uint64_t)(m->last - m->first) + 1;
	bool adjacent = random_below(2);
	for (unsigned count = (unsigned)random_below(9); count > 0; count--) {
		/* Some beside each other or at the ends, some twice, some outside. */
		wide number = m->first + random_below(adjacent && size > 12 ? 12 : size);
		if (random_below(4) == 0)
			number = random_below(2) ? m->first : m->last;
		if (random_below(8) == 0)
			number = m->last + 1;
		struct address address = address_from(family, number);
		number = number_of(&address);
		assert_int_equal(address_plan_exclude(&m->plan, &address), 0);
		if (number >= m->first && number <= m->last && !model_is_hole(m, number))
			m->hole[m->holes++] = number;
	}
	struct address other = address_from(!family, m->first);
	assert_int_equal(address_plan_exclude(&m->plan, &other), 0);
	CHECK(m->plan.holes == m->holes, "seed %" PRIu64 " %s\n", m->seed, m->text);
}

static void model_make(struct model *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	random_state = m->seed = seed;
	uint8_t family = random_below(2) ? ADDRESS_IPV4 : ADDRESS_IPV6;
	if (random_below(2))
		model_prefix(m, family);
	else
		model_range(m, family);
	model_ports(m);
	CHECK(address_plan_parse(m->text, &m->plan) == 0, "seed %" PRIu64 " %s\n", seed, m->text);
	assert_int_equal(m->plan.family, family);
	model_holes(m, family);
}

/* Walk addresses and ports in order, in steps over large port ranges, and demand each phone. */
static void check_walk(const struct model *m)
{
	uint64_t ports = m->port_last - m->port_first + 1u, base = 0;
	uint64_t step = ports > 40 ? ports / 7 : 1;
	for (wide number = m->first; number <= m->last && number >= m->first; number++) {
		struct address expected = address_from(m->plan.family, number), address;
		uint32_t index;
		uint16_t port;
		bool is_hole = model_is_hole(m, number);
		CHECK(address_plan_contains(&m->plan, &expected) == !is_hole,
			"seed %" PRIu64 " %s\n", m->seed, m->text);
		if (is_hole) {
			CHECK(!address_plan_find(&m->plan, &expected, m->port_first, &index),
				"seed %" PRIu64 " %s\n", m->seed, m->text);
			continue;
		}
		for (uint64_t p = 0; p < ports;
			p += p + step >= ports && p + 1 < ports ? ports - 1 - p : step) {
			uint16_t wanted = (uint16_t)(m->port_first + p);
			CHECK(address_plan_find(&m->plan, &expected, wanted, &index) &&
					index == base + p,
				"seed %" PRIu64 " %s\n", m->seed, m->text);
			address_plan_at(&m->plan, index, &address, &port);
			CHECK(address_equal(&address, &expected) && port == wanted,
				"seed %" PRIu64 " %s index %u\n", m->seed, m->text, index);
		}
		base += ports;
	}
	CHECK(address_plan_capacity(&m->plan) == base, "seed %" PRIu64 " %s\n", m->seed, m->text);
}

static void check_outside(const struct model *m)
{
	uint32_t index;
	uint8_t family = m->plan.family;
	wide outside[4] = {m->first - 1, m->last + 1, m->first + ((wide)1 << 64),
		(wide)random_next() << 64 | random_next()};
	for (unsigned i = 0; i < 4; i++) {
		struct address address = address_from(family, outside[i]);
		wide number = number_of(&address);
		if (number >= m->first && number <= m->last)
			continue;
		CHECK(!address_plan_contains(&m->plan, &address), "seed %" PRIu64 "\n", m->seed);
		CHECK(!address_plan_find(&m->plan, &address, m->port_first, &index),
			"seed %" PRIu64 " %s\n", m->seed, m->text);
	}
	struct address inside = address_from(
		family, m->first + random_below((uint64_t)(m->last - m->first) + 1));
	uint16_t ports[4] = {(uint16_t)(m->port_first - 1), (uint16_t)(m->port_last + 1), 0, 1023};
	for (unsigned i = 0; i < 4; i++)
		CHECK(!address_plan_find(&m->plan, &inside, ports[i], &index),
			"seed %" PRIu64 " %s port %u\n", m->seed, m->text, ports[i]);
	inside.family = !family;
	CHECK(!address_plan_contains(&m->plan, &inside), "seed %" PRIu64 "\n", m->seed);
	CHECK(!address_plan_find(&m->plan, &inside, m->port_first, &index), "seed %" PRIu64 " %s\n",
		m->seed, m->text);
}

static void at_and_find_are_inverse(void **state)
{
	(void)state;
	static struct model m;
	for (uint64_t seed = 1; seed <= 600; seed++) {
		model_make(&m, seed);
		check_walk(&m);
		check_outside(&m);
	}
}

/* The reciprocal must be exact for every count of ports at the indexes where a quotient changes. */
static void every_port_count_divides_exactly(void **state)
{
	(void)state;
	random_state = 5;
	for (uint32_t ports = 1; ports <= 64512; ports++) {
		struct address_plan plan;
		char text[64];
		snprintf(text, sizeof(text), "::/64 ports 1024-%u", 1023 + ports);
		assert_int_equal(address_plan_parse(text, &plan), 0);
		assert_int_equal(address_plan_capacity(&plan), UINT64_C(1) << 32);
		uint32_t top = UINT32_MAX / ports * ports;
		uint32_t middle = (uint32_t)random_next() / ports * ports;
		uint32_t at[6] = {0, top - 1, top, UINT32_MAX, middle - 1, middle};
		for (unsigned i = 0; i < 6; i++) {
			struct address address;
			uint16_t port;
			uint32_t index;
			address_plan_at(&plan, at[i], &address, &port);
			CHECK(number_of(&address) == (wide)1 + at[i] / ports &&
					port == 1024 + at[i] % ports,
				"%u ports, index %u\n", ports, at[i]);
			CHECK(address_plan_find(&plan, &address, port, &index) && index == at[i],
				"%u ports, index %u\n", ports, at[i]);
		}
	}
}

/* An index has 32 bits: what lies beyond the last phone is found by nobody. */
static void capacity_ends_at_the_last_index(void **state)
{
	(void)state;
	struct address_plan plan;
	assert_int_equal(address_plan_parse("::/64 ports 10000-10002", &plan), 0);
	assert_int_equal(address_plan_capacity(&plan), UINT64_C(1) << 32);
	struct address last;
	uint16_t port;
	uint32_t index;
	address_plan_at(&plan, UINT32_MAX, &last, &port);
	assert_int_equal(port, 10000);
	assert_true(address_plan_contains(&plan, &last));
	assert_true(address_plan_find(&plan, &last, 10000, &index));
	assert_int_equal(index, UINT32_MAX);
	assert_false(address_plan_find(&plan, &last, 10001, &index));
	struct address beyond = address_from(ADDRESS_IPV6, number_of(&last) + 1);
	assert_false(address_plan_contains(&plan, &beyond));
	assert_false(address_plan_find(&plan, &beyond, 10000, &index));
}

static void nine_holes_are_too_many(void **state)
{
	(void)state;
	struct address_plan plan;
	assert_int_equal(address_plan_parse("10.0.0.0/24", &plan), 0);
	for (uint32_t i = ADDRESS_HOLES; i > 0; i--) {
		struct address hole = address_from(ADDRESS_IPV4, 0x0a000000 + i * 2);
		assert_int_equal(address_plan_exclude(&plan, &hole), 0);
		assert_int_equal(address_plan_exclude(&plan, &hole), 0);
	}
	assert_int_equal(address_plan_capacity(&plan), 254 - ADDRESS_HOLES);
	struct address_plan before = plan;
	struct address hole = address_of("10.0.0.99"), outside = address_of("10.0.1.1");
	assert_int_equal(address_plan_exclude(&plan, &hole), -ENOSPC);
	assert_int_equal(address_plan_exclude(&plan, &outside), 0);
	assert_memory_equal(&plan, &before, sizeof(plan));
}

static void a_plan_may_be_all_holes(void **state)
{
	(void)state;
	struct address_plan plan;
	struct address only = address_of("10.0.0.1");
	uint32_t index;
	assert_int_equal(address_plan_parse("10.0.0.1 ports 6000-6009", &plan), 0);
	assert_int_equal(address_plan_exclude(&plan, &only), 0);
	assert_int_equal(address_plan_capacity(&plan), 0);
	assert_false(address_plan_contains(&plan, &only));
	assert_false(address_plan_find(&plan, &only, 6000, &index));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_text_is_the_library_s),
		cmocka_unit_test(ipv6_text_is_the_library_s),
		cmocka_unit_test(ipv6_text_without_ipv4_tails),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(plans_are_what_their_text_says),
		cmocka_unit_test(bad_plans_are_refused),
		cmocka_unit_test(at_and_find_are_inverse),
		cmocka_unit_test(every_port_count_divides_exactly),
		cmocka_unit_test(capacity_ends_at_the_last_index),
		cmocka_unit_test(nine_holes_are_too_many),
		cmocka_unit_test(a_plan_may_be_all_holes),
	};
	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
