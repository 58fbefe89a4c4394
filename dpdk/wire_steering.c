/* SPDX-License-Identifier: BSD-3-Clause */
/* How frames find their worker: chosen when the link is up, watched while it runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "failure.h"
#include "steering_port.h"
#include "wire_internal.h"

#define WATCH_FRAMES 1000 /* received, before anything is said about them */
/* More than was told may be redirected before the tier is given up: ARP and ICMP, frames of an address
 * between two holes, and what a card received before it was told. */
#define WATCH_MARGIN 0.1

/* Of the one herd there is. */
static struct steering_phones phones_of(const struct wire *wire)
{
	const struct wire_herd *herd = &wire->herd[0];
	return (struct steering_phones){
		.plan = {herd->config.plan[ADDRESS_IPV4], herd->config.plan[ADDRESS_IPV6]},
		.proxy = herd->proxy,
		.phones = wire->config.herd.fleet_phones,
		.workers = wire->config.workers};
}

/* Nothing to steer: one worker, or rings that each belong to one. */
static bool steers(const struct wire_config *config)
{
	return config->workers > 1 && config->link.kind != WIRE_MEMORY;
}

/* Only a card has phones placed. The herd and all else here follow the copies of their plans. */
static int open_order(struct wire *wire)
{
	wire->order = calloc(ADDRESS_FAMILIES, sizeof(*wire->order));
	if (!wire->order)
		return -ENOMEM;
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++) {
		if (!wire->herd[0].config.plan[f])
			continue;
		wire->plan[f] = *wire->herd[0].config.plan[f];
		wire->herd[0].config.plan[f] = wire->roster.herd[0].plan[f] = &wire->plan[f];
	}
	return 0;
}

void wire_prepare_steering(struct wire *wire)
{
	const struct wire_config *config = &wire->config;
	const struct steering_phones phones = phones_of(wire);
	if (!steers(config) || wire->herds > 1 || config->link.kind != WIRE_AF_PACKET ||
		(config->steering != WIRE_STEERING_AUTO && config->steering != WIRE_STEERING_FLOW))
		return;
	wire->steering_program = (struct sock_fprog){.filter = wire->steering_code,
		.len = (unsigned short)steering_program(&phones, wire->steering_code)};
	wire->link.program = &wire->steering_program;
}

/* Where each herd has addresses of its own kind, no one rule tells the owners of all. */
static int leave_herds(struct wire *wire, struct wire_error *error)
{
	const uint8_t wish = wire->config.steering;
	wire->steering = (struct wire_steering_state){
		.tier = WIRE_STEERING_REDIRECT, .why = "several herds share the link"};
	if (wish == WIRE_STEERING_AUTO || wish == WIRE_STEERING_REDIRECT)
		return 0;
	return failure(error, -ENOTSUP,
		"steering %s: several herds share the link. Use steering: auto",
		wire_steering_name((enum wire_steering)wish));
}

int wire_open_steering(struct wire *wire, struct wire_error *error)
{
	const struct wire_config *config = &wire->config;
	wire->steering = (struct wire_steering_state){.tier = WIRE_STEERING_NONE};
	if (!steers(config))
		return 0;
	if (wire->herds > 1)
		return leave_herds(wire, error);
	if (config->link.kind == WIRE_PCI && open_order(wire))
		return failure(error, -ENOMEM, "steering: out of memory");
	const struct steering_wish wish = {.tier = (enum wire_steering)config->steering,
		.plan = wire->plan,
		.order = config->keeps_ports ? NULL : wire->order};
	const struct steering_phones phones = phones_of(wire);
	const int result = steering_open(&wire->link, &phones, &wish, &wire->steering);
	if (!result)
		return 0;
	return failure(error, result, "steering %s: %s. Use steering: auto",
		wire_steering_name(wish.tier), wire->steering.why);
}

/* Redirecting needs no taking over: it was there all the time. What changes is what is said. */
void wire_watch_steering(struct wire *wire, const struct wire_counters *now)
{
	struct wire_steering_state *state = &wire->steering;
	const uint64_t frames = now->frames_received - wire->steering_seen.frames_received,
		       redirected = now->redirected - wire->steering_seen.redirected;
	if (state->tier >= WIRE_STEERING_REDIRECT || frames < WATCH_FRAMES)
		return;
	wire->steering_seen = *now;
	const double strayed = (double)redirected / (double)frames;
	if (strayed <= 1 - state->told + WATCH_MARGIN)
		return;
	snprintf(state->why, sizeof(state->why),
		"%s was to bring %.0f %% of the frames to their worker, but %.0f %% came to "
		"another",
		wire_steering_name((enum wire_steering)state->tier), 100 * state->told,
		100 * strayed);
	state->tier = WIRE_STEERING_REDIRECT;
	state->told = 0;
	state->broken = true;
	wire_describe(wire);
}

const struct address_plan *wire_plan(const struct wire *wire, enum address_family family)
{
	return wire->herds == 1 ? wire->herd[0].config.plan[family] : NULL;
}

const struct wire_steering_state *wire_steering(const struct wire *wire)
{
	return &wire->steering;
}

static void describe_steering(const struct wire *wire, char *out, size_t size)
{
	const struct wire_steering_state *state = &wire->steering;
	if (wire->config.workers > 1 && state->tier == WIRE_STEERING_NONE)
		snprintf(out, size, ", frames stay with their worker");
	else if (state->tier == WIRE_STEERING_REDIRECT)
		snprintf(out, size, ", steering redirect (%s)", state->why);
	else if (state->tier == WIRE_STEERING_PLACEMENT)
		snprintf(out, size,
			", steering placement (the primary's frames to their worker, of both "
			"proxies' "
			"%.0f %%)",
			100 * state->told);
	else if (state->tier != WIRE_STEERING_NONE)
		snprintf(out, size, ", steering %s (%.0f %% of frames to their worker)",
			wire_steering_name((enum wire_steering)state->tier), 100 * state->told);
}

void wire_describe(struct wire *wire)
{
	char link[WIRE_DEVICE_MAX + 16], steering[480] = "";
	const unsigned workers = wire->config.workers, queues = wire->link.port[LINK_NEAR].queues;
	wire_link_format(&wire->config.link, link);
	describe_steering(wire, steering, sizeof(steering));
	snprintf(wire->description, sizeof(wire->description), "%s, %u worker%s on %u queue%s%s%s",
		link, workers, workers > 1 ? "s" : "", queues, queues > 1 ? "s" : "", steering,
		wire->eal.huge_pages ? ", huge pages" : "");
}
