/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names in Redis (STORE.md section 2): keys, groups, cluster slots. The prefix is "sipherd".
 *
 *   sipherd:{FLEET.TAG}:s:SHARD   slab; SHARD has at least four digits
 *   sipherd:{FLEET.TAG}:l:SHARD   lease
 *   sipherd:{FLEET.TAG}:feed      transitions of the group
 *   sipherd:{FLEET}:meta, :nodes, :node:ID, :ts:ID
 *
 * Group g of G is shard mod G. TAG is g in two (G = 16) or three (G = 256) digits; for a cluster a
 * suffix is tried until slot(FLEET.TAG) falls into the g-th G-th of the 16384 slots.
 */
#ifndef SIPHERD_KEYS_H
#define SIPHERD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_GROUPS 16
#define KEYS_GROUPS_CLUSTER 256
#define KEYS_GROUPS_MAX 256
#define KEYS_TAG_MAX 12
#define KEY_MAX 192 /* bytes of any key, NUL included; fleet names have at most 63 characters */

struct keys {
	char fleet[64];
	uint32_t groups;
	char tag[KEYS_GROUPS_MAX][KEYS_TAG_MAX];
};

void keys_begin(struct keys *keys, const char *fleet, bool cluster);
static inline uint32_t keys_group(const struct keys *keys, uint32_t shard)
{
	return shard % keys->groups;
}
/* Each writes a NUL-terminated key and returns its length. */
size_t keys_slab(const struct keys *keys, uint32_t shard, char out[KEY_MAX]);
size_t keys_lease(const struct keys *keys, uint32_t shard, char out[KEY_MAX]);
size_t keys_feed(const struct keys *keys, uint32_t group, char out[KEY_MAX]);
size_t keys_meta(const struct keys *keys, char out[KEY_MAX]);
size_t keys_nodes(const struct keys *keys, char out[KEY_MAX]);
size_t keys_node(const struct keys *keys, const char *node, char out[KEY_MAX]);
size_t keys_series(const struct keys *keys, const char *node, char out[KEY_MAX]);

/* Redis Cluster's slot of a key: CRC16 (XMODEM) of the hash tag, modulo 16384. */
uint16_t keys_slot(const char *key, size_t length);

#endif
