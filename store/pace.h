/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often the store writes to Redis, and how much at a time. The store's thread keeps to it, and
 * `sipherd check --sizing` reckons with it.
 */
#ifndef SIPHERD_PACE_H
#define SIPHERD_PACE_H

#define STORE_FLUSH_US 50000    /* between two flushes of a shard */
#define STORE_CALL_BYTES 65536  /* of one flush, all told */
#define STORE_ARGUMENT_BYTES 26 /* of an argument besides its text, as the link bounds them */
#define STORE_GAP_RECORDS 15 /* so many clean records between two dirty ones are sent with them */
#define STORE_LINES_MAX 400  /* of the feed in one flush */
#define STORE_SWEEP_US 45000000 /* one round of the sweep */
#define STORE_SWEEP_RECORDS \
	1960                   /* in one call of the sweep: with its frame below STORE_CALL_BYTES */
#define STORE_RENEW_LEASES 64  /* in one call */
#define STORE_RENEW_US 1000000 /* longest time between renewals: a lost lease tells of lost slabs */
#define STORE_HEARTBEAT_US 1000000

#endif
