/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The herds of a fleet as people and machines are told of them: each with its own totals, which add up to
 * the fleet's. A fleet without `herds:` is one herd of the fleet's name.
 */
#ifndef SIPHERD_HERDS_H
#define SIPHERD_HERDS_H

#include "picture.h"
#include "shape.h"
#include "summary.h"

/* One herd's part of the picture's snapshot, of phones that are driven here; all zero while there is no
 * wire. */
void herds_snapshot(const struct picture *picture, uint32_t herd, struct wire_herd_snapshot *out);
/* Phones that other generators drive count as off: take those out. */
void herds_only_ours(
	const struct share *share, const struct fleet *herd, struct herd_population *population);

/* /api/v1/herds */
void answer_herds(struct shape *shape, const struct picture *picture, unsigned which);

/* Of a summary. Nothing where the fleet has no `herds:`. */
void herds_print(const struct summary *summary, FILE *out);
json_t *herds_json(const struct summary *summary);

#endif
