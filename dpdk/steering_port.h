/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering as a device takes it: tries the tiers on a port, best first or the one asked for, and keeps
 * the first that passes its test. The tiers are told in steering.h.
 */
#ifndef SIPHERD_STEERING_PORT_H
#define SIPHERD_STEERING_PORT_H

#include "link.h"
#include "steering.h"

/*
 * Choose a tier for the link, which is up. plan: [ADDRESS_FAMILIES], those of phones->plan that may be given
 * an order of ports, which is put into order[]; both NULL where phones keep their ports.
 *
 * With the wish auto nothing fails: redirect is always there, and *out says why it is no better tier.
 * Else -ENOTSUP: the tier that was asked for cannot be had, for the reason in *out.
 */
struct steering_wish {
	enum wire_steering tier;
	struct address_plan *plan;
	struct port_order *order;
};
int steering_open(const struct link *link, const struct steering_phones *phones,
	const struct steering_wish *wish, struct wire_steering_state *out);

#endif
