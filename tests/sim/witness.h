/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A witness of the mirror: what the world is told of the phones, against the phones themselves.
 *
 * After every event each transition must have been published, one by one, with the record, its dirty
 * bit and a feed line; a REGISTER must find the proxy it goes to in the record already. Whatever is
 * wrong fails the test through the model.
 */
#ifndef SIPHERD_SIM_WITNESS_H
#define SIPHERD_SIM_WITNESS_H

#include "datagram.h"
#include "herd.h"
#include "model.h"

struct witness;

struct witness_source {
	void *context;
	const struct phone *(*phone)(void *context, uint32_t phone);
};

struct witness *witness_create(struct mirror *mirror, const struct herd_config *config,
	const struct witness_source *source, struct model *model);
void witness_free(struct witness *witness);

/* What the record says while a datagram is being written. */
uint64_t witness_look(const struct witness *witness, uint32_t phone);
/* This datagram was written when the record said so. */
void witness_sent(struct witness *witness, const struct datagram *datagram, uint64_t looked);
/* An event is over: take the feed, and compare this phone (UINT32_MAX: none). */
void witness_event(struct witness *witness, uint32_t phone, uint64_t now_us);
/* Compare all phones, the dirty bits, and the records' counts with the herds'. */
void witness_sweep(struct witness *witness, const struct herd_counters *counters, uint64_t now_us);
/* Transitions seen so far. */
uint64_t witness_seen(const struct witness *witness);

#endif
