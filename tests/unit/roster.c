/* SPDX-License-Identifier: BSD-3-Clause */
/* Herds by address: every phone is found where it is, and nobody where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "roster.h"

static struct address_plan plan[ROSTER_HERDS_MAX];
static struct roster roster;
static uint64_t seed;

static uint32_t below(uint32_t limit)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % limit);
}

static void add(unsigned herd, const char *text, uint32_t begin, uint32_t place, uint32_t phones)
{
	struct roster_herd entry = {.begin = begin, .end = begin + phones};
	assert_int_equal(address_plan_parse(text, &plan[herd]), 0);
	plan[herd].begin = begin - place;
	assert_true(place + phones <= address_plan_capacity(&plan[herd]));
	entry.plan[plan[herd].family] = &plan[herd];
	roster_add(&roster, &entry);
}

static void assert_found(uint32_t phone, unsigned herd)
{
	struct address address;
	unsigned found_herd = ROSTER_HERDS_MAX;
	uint32_t found = UINT32_MAX;
	uint16_t port;
	address_plan_at(&plan[herd], phone, &address, &port);
	assert_true(roster_find(&roster, &address, port, &found_herd, &found));
	assert_int_equal(found, phone);
	assert_int_equal(found_herd, herd);
	assert_int_equal(roster_herd_of(&roster, phone), herd);
}

static void assert_nobody(const char *text, uint16_t port)
{
	struct address address;
	unsigned herd;
	uint32_t phone;
	assert_int_equal(address_parse(text, &address), 0);
	assert_false(roster_find(&roster, &address, port, &herd, &phone));
}

/* Own ranges, ports of one address, and a range that three herds share with others in between. */
static void each_herd_has_its_phones(void **state)
{
	static const struct {
		const char *source;
		uint32_t place, phones;
	} herds[] = {{"10.0.0.0/24 ports 2000-2009", 0, 25}, {"10.9.0.1 ports 5000-5099", 0, 100},
		{"10.0.0.0/24 ports 2000-2009", 25, 1}, {"10.9.0.1 ports 6000-6049", 0, 50},
		{"10.0.0.0/24 ports 2000-2009", 26, 300}, {"2001:db8::/64", 0, 70},
		{"9.0.0.0/30", 0, 2}};
	uint32_t begin = 0;
	(void)state;
	roster = (struct roster){0};
	for (unsigned h = 0; h < sizeof(herds) / sizeof(herds[0]); h++) {
		add(h, herds[h].source, begin, herds[h].place, herds[h].phones);
		begin += herds[h].phones;
	}
	for (unsigned h = 0; h < roster.herds; h++)
		for (uint32_t phone = roster.herd[h].begin; phone < roster.herd[h].end; phone++)
			assert_found(phone, h);
	assert_nobody("8.0.0.1", 5060);
	assert_nobody("10.0.0.1", 1999);
	assert_nobody("10.0.0.1", 2010);
	assert_nobody("10.0.0.33", 2006); /* behind the last one of the shared range */
	assert_nobody("10.9.0.1", 4999);
	assert_nobody("10.9.0.1", 5100);
	assert_nobody("10.9.0.1", 6050);
	assert_nobody("10.9.0.2", 5000);
	assert_nobody("255.255.255.255", 5060);
	assert_nobody("2001:db8::47", 5060);
	assert_nobody("::", 5060);
}

/* 64 herds at random places of ten ranges. */
static void a_full_roster(void **state)
{
	uint32_t begin = 0, used[10] = {0};
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	roster = (struct roster){0};
	for (unsigned h = 0; h < ROSTER_HERDS_MAX; h++) {
		char text[64];
		const uint32_t range = below(10), phones = 1 + below(900);
		snprintf(text, sizeof(text), "10.%u.0.0/16 ports 4000-4006", range);
		add(h, text, begin, used[range], phones);
		used[range] += phones;
		begin += phones;
	}
	for (unsigned i = 0; i < 20000; i++) {
		const uint32_t phone = below(begin);
		assert_found(phone, roster_herd_of(&roster, phone));
	}
}

int main(int argc, char **argv)
{
	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_herd_has_its_phones),
		cmocka_unit_test(a_full_roster),
	};
	return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
