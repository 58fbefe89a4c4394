/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where others say that a server is, internal to the room: a cluster's CLUSTER SLOTS, MOVED and ASK,
 * a Sentinel's master.
 * Pure functions over replies that may hold anything.
 */
#ifndef SIPHERD_SLOTS_H
#define SIPHERD_SLOTS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "target.h"

/* The master of a slot. asked: who said so, since it may leave its own host out. */
bool slots_master(const redisReply *slots, uint16_t slot, const struct target_server *asked,
	struct target_server *out);
/* Every server named in the reply, masters and replicas, with repetitions. */
void slots_each(const redisReply *slots, const struct target_server *asked,
	void (*each)(void *context, const struct target_server *server), void *context);
/* "MOVED SLOT HOST:PORT" and "ASK SLOT HOST:PORT". */
bool slots_redirect(
	const char *error, const struct target_server *asked, struct target_server *out);
/* The reply of SENTINEL get-master-addr-by-name. */
bool slots_sentinel(const redisReply *reply, struct target_server *out);

#endif
