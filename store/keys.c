/* SPDX-License-Identifier: BSD-3-Clause */
#include "keys.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 16384

/* CRC16 with the polynomial x^16 + x^12 + x^5 + 1, four bits at a time. */
static uint16_t crc16(const char *text, size_t length)
{
	static const uint16_t step[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6,
		0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
	uint16_t crc = 0;
	for (size_t i = 0; i < length; i++) {
		const uint8_t byte = (uint8_t)text[i];
		crc = (uint16_t)(crc << 4 ^ step[crc >> 12 ^ byte >> 4]);
		crc = (uint16_t)(crc << 4 ^ step[crc >> 12 ^ (byte & 15)]);
	}
	return crc;
}

uint16_t keys_slot(const char *key, size_t length)
{
	const char *open = memchr(key, '{', length);
	if (open != NULL) {
		const char *tag = open + 1;
		const char *close = memchr(tag, '}', length - (size_t)(tag - key));
		if (close != NULL && close > tag) {
			key = tag;
			length = (size_t)(close - tag);
		}
	}
	return crc16(key, length) % SLOTS;
}

/* The first suffix whose slot falls into the group's share: then a cluster that gives its masters
 * equal ranges of slots, as all tools do, gives them equal numbers of groups. */
static void spread(struct keys *keys, uint32_t group)
{
	char tag[sizeof(keys->fleet) + KEYS_TAG_MAX];
	for (uint16_t k = 1; k != 0; k++) {
		const int length = snprintf(
			tag, sizeof(tag), "%s.%s", keys->fleet, keys->tag[group]);
		if (keys_slot(tag, (size_t)length) / (SLOTS / keys->groups) == group)
			return;
		snprintf(keys->tag[group], KEYS_TAG_MAX, "%03u.%u", group & 255, k);
	}
}

void keys_begin(struct keys *keys, const char *fleet, bool cluster)
{
	*keys = (struct keys){.groups = cluster ? KEYS_GROUPS_CLUSTER : KEYS_GROUPS};
	snprintf(keys->fleet, sizeof(keys->fleet), "%s", fleet);
	for (uint32_t group = 0; group < keys->groups; group++) {
		snprintf(keys->tag[group], KEYS_TAG_MAX, cluster ? "%03u" : "%02u", group);
		if (cluster)
			spread(keys, group);
	}
}

static size_t of_shard(const struct keys *keys, char kind, uint32_t shard, char out[KEY_MAX])
{
	return (size_t)snprintf(out, KEY_MAX, "sipherd:{%s.%s}:%c:%04u", keys->fleet,
		keys->tag[keys_group(keys, shard)], kind, shard);
}

size_t keys_slab(const struct keys *keys, uint32_t shard, char out[KEY_MAX])
{
	return of_shard(keys, 's', shard, out);
}

size_t keys_lease(const struct keys *keys, uint32_t shard, char out[KEY_MAX])
{
	return of_shard(keys, 'l', shard, out);
}

size_t keys_feed(const struct keys *keys, uint32_t group, char out[KEY_MAX])
{
	return (size_t)snprintf(
		out, KEY_MAX, "sipherd:{%s.%s}:feed", keys->fleet, keys->tag[group]);
}

/* Of the fleet: `name`, and the node where there is one, cut so that the key fits whatever it is. */
static size_t of_fleet(
	const struct keys *keys, const char *name, const char *node, char out[KEY_MAX])
{
	return (size_t)snprintf(out, KEY_MAX, "sipherd:{%s}:%s%.100s", keys->fleet, name, node);
}

size_t keys_meta(const struct keys *keys, char out[KEY_MAX])
{
	return of_fleet(keys, "meta", "", out);
}

size_t keys_nodes(const struct keys *keys, char out[KEY_MAX])
{
	return of_fleet(keys, "nodes", "", out);
}

size_t keys_node(const struct keys *keys, const char *node, char out[KEY_MAX])
{
	return of_fleet(keys, "node:", node, out);
}

size_t keys_series(const struct keys *keys, const char *node, char out[KEY_MAX])
{
	return of_fleet(keys, "ts:", node, out);
}
