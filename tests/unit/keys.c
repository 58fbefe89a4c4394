/* SPDX-License-Identifier: BSD-3-Clause */
/* Names in Redis, and how evenly a cluster's masters get the groups. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "keys.h"

#define SLOTS 16384

/* The check value of CRC-16/XMODEM, and slots as CLUSTER KEYSLOT of Redis 7.0.15 gives them. */
static void slots_are_redis_own(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		uint16_t slot;
	} known[] = {{"123456789", 0x31c3}, {"", 0}, {"foo", 12182}, {"{user1000}.following", 3443},
		{"{user1000}.followers", 3443}, {"foo{}{bar}", 8363}, {"foo{{bar}}zap", 4015},
		{"foo{bar}{zap}", 5061}, {"bar", 5061}, {"foo{bar", 15278}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal(
			keys_slot(known[i].key, strlen(known[i].key)), known[i].slot % SLOTS);
}

static void names_are_those_of_the_schema(void **state)
{
	(void)state;
	struct keys keys;
	char key[KEY_MAX];
	keys_begin(&keys, "f1", false);
	assert_int_equal(keys.groups, 16);
	assert_int_equal(keys_slab(&keys, 123, key), strlen("sipherd:{f1.11}:s:0123"));
	assert_string_equal(key, "sipherd:{f1.11}:s:0123");
	keys_lease(&keys, 7, key);
	assert_string_equal(key, "sipherd:{f1.07}:l:0007");
	keys_slab(&keys, 123456, key);
	assert_string_equal(key, "sipherd:{f1.00}:s:123456");
	keys_feed(&keys, 15, key);
	assert_string_equal(key, "sipherd:{f1.15}:feed");
	keys_meta(&keys, key);
	assert_string_equal(key, "sipherd:{f1}:meta");
	keys_nodes(&keys, key);
	assert_string_equal(key, "sipherd:{f1}:nodes");
	keys_node(&keys, "host-0", key);
	assert_string_equal(key, "sipherd:{f1}:node:host-0");
	assert_int_equal(keys_series(&keys, "host-0", key), strlen("sipherd:{f1}:ts:host-0"));
	assert_string_equal(key, "sipherd:{f1}:ts:host-0");
}

static void longest_names_fit(void **state)
{
	(void)state;
	struct keys keys;
	char fleet[200], node[200], key[KEY_MAX];
	memset(fleet, 'f', sizeof(fleet) - 1);
	memset(node, 'n', sizeof(node) - 1);
	fleet[sizeof(fleet) - 1] = node[sizeof(node) - 1] = '\0';
	keys_begin(&keys, fleet, true);
	assert_int_equal(strlen(keys.fleet), 63);
	for (uint32_t shard = 0; shard < 256; shard++) {
		const size_t length = keys_lease(&keys, UINT32_MAX - shard, key);
		assert_int_equal(length, strlen(key));
	}
	const size_t length = keys_node(&keys, node, key);
	assert_int_equal(length, strlen(key));
}

/* All keys of a call lie in one slot, that of the group's tag. */
static void keys_of_a_group_share_a_slot(void **state)
{
	(void)state;
	struct keys keys;
	char key[KEY_MAX];
	keys_begin(&keys, "fleet", true);
	for (uint32_t shard = 0; shard < 1000; shard++) {
		const uint16_t slot = keys_slot(key, keys_slab(&keys, shard, key));
		assert_int_equal(keys_slot(key, keys_lease(&keys, shard, key)), slot);
		assert_int_equal(
			keys_slot(key, keys_feed(&keys, keys_group(&keys, shard), key)), slot);
		assert_int_equal(slot / (SLOTS / keys.groups), keys_group(&keys, shard));
	}
}

/* As redis-cli --cluster create deals the slots: equal ranges, rounded. */
static unsigned most_groups(const struct keys *keys, unsigned masters)
{
	unsigned groups[16] = {0}, most = 0;
	for (uint32_t group = 0; group < keys->groups; group++) {
		char key[KEY_MAX];
		const size_t length = keys_feed(keys, group, key);
		const uint16_t slot = keys_slot(key, length);
		const double per_master = (double)SLOTS / masters;
		unsigned master = 0;
		while (master + 1 < masters && slot >= (unsigned)(per_master * (master + 1) + 0.5))
			master++;
		if (++groups[master] > most)
			most = groups[master];
	}
	return most;
}

/* At most 3 % above the mean, but groups are whole, and one may lie just beyond a border: the next
 * whole number above the mean and one more. */
static void masters_get_equal_shares(void **state)
{
	(void)state;
	static const char *fleets[] = {"f1", "demo", "acceptance-2026", "x"};
	for (size_t i = 0; i < sizeof(fleets) / sizeof(fleets[0]); i++) {
		struct keys keys;
		keys_begin(&keys, fleets[i], true);
		assert_int_equal(keys.groups, 256);
		for (unsigned masters = 3; masters <= 16; masters++) {
			const unsigned most = most_groups(&keys, masters);
			if (most > 256 * 1.03 / masters && most > (256 + masters - 1) / masters + 1)
				fail_msg("%s on %u masters: %u groups", fleets[i], masters, most);
		}
	}
}

static void tags_stay(void **state)
{
	(void)state;
	struct keys keys, again;
	keys_begin(&keys, "f1", true);
	keys_begin(&again, "f1", true);
	assert_memory_equal(&keys, &again, sizeof(keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_redis_own),
		cmocka_unit_test(names_are_those_of_the_schema),
		cmocka_unit_test(longest_names_fit),
		cmocka_unit_test(keys_of_a_group_share_a_slot),
		cmocka_unit_test(masters_get_equal_shares),
		cmocka_unit_test(tags_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
