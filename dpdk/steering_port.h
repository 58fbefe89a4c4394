/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering as a device takes it: tries the tiers on a port, best first or the one asked for, and keeps
 * the first that passes its test. The tiers are told in steering.h.
 */
#ifndef SIPHERD_STEERING_PORT_H
#define SIPHERD_STEERING_PORT_H

#include "link.h"
#include "steering.h"

/* Choose a tier for the link, which is up. No tier fails: redirect is always there, and *out says why
 * it is no better one. -ENOTSUP: the tier that was asked for cannot be had, for the reason in *out. */
int steering_open(const struct link *link, const struct steering_phones *phones,
	enum wire_steering wish, struct wire_steering_state *out);

#endif
