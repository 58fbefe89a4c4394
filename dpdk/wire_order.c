/* SPDX-License-Identifier: BSD-3-Clause */
/* What workers are told while they run: orders in their mailboxes; and the wait for the proxies' neighbours. */
#include <errno.h>
#include <string.h>

#include "failure.h"
#include "wire_internal.h"

static bool hop_known(const struct wire *wire, unsigned place)
{
	const uint64_t word = atomic_load_explicit(&wire->board.hop[place], memory_order_relaxed);
	return word >> 63 && ((word >> 48) & 0x7fff) == (wire->generation[place] & 0x7fff);
}

static int say_missing(const struct wire *wire, unsigned place, struct wire_error *error)
{
	const unsigned p = place % PROXIES;
	const struct address *proxy = &wire->herd[place / PROXIES].proxy[p].address;
	const bool gateway = wire->config.has_gateway[proxy->family];
	const struct address *hop = gateway ? &wire->config.gateway[proxy->family] : proxy;
	char text[ADDRESS_TEXT_MAX];
	address_format(hop, text);
	return failure(error, -ETIMEDOUT, "%s proxy: %s %s does not answer %s. %s",
		proxy_name((enum proxy)p), gateway ? "the gateway" : "its address", text,
		hop->family == ADDRESS_IPV4 ? "ARP" : "neighbour solicitations",
		gateway ? "Check the link, gateway: and vlan:"
			: "Is it on this link? If not, set gateway:");
}

int wire_wait_neighbours(struct wire *wire, uint32_t timeout_ms, struct wire_error *error)
{
	const uint64_t end_us = clock_us(&wire->clock) + (uint64_t)timeout_ms * 1000;
	uint32_t pause_us = 0;
	for (unsigned p = 0; p < wire->herds * PROXIES && has_herd(&wire->config); p++)
		while (wire->herd[p / PROXIES].proxy[p % PROXIES].known && !hop_known(wire, p)) {
			if (clock_us(&wire->clock) >= end_us)
				return say_missing(wire, p, error);
			wire_pause(&pause_us);
		}
	return 0;
}

/* Before the workers run, orders wait for them, as many as the mailbox holds. */
static void post(struct wire *wire, struct worker *worker, const struct order *order)
{
	struct mailbox *mailbox = &worker->mailbox;
	const uint32_t put = atomic_load_explicit(&mailbox->put, memory_order_relaxed);
	uint32_t pause_us = 0;
	while (put - atomic_load_explicit(&mailbox->taken, memory_order_acquire) > mailbox->mask) {
		if (!wire->started)
			return;
		wire_pause(&pause_us);
	}
	mailbox->order[put & mailbox->mask] = *order;
	atomic_store_explicit(&mailbox->put, put + 1, memory_order_release);
	bell_ring(&worker->bell);
}

static void post_all(struct wire *wire, const struct order *order)
{
	for (unsigned w = 0; w < all_workers(&wire->config); w++)
		post(wire, wire->worker[w], order);
}

void wire_command(struct wire *wire, const struct herd_command *command)
{
	const struct order order = {.kind = ORDER_COMMAND, .command = *command};
	post_all(wire, &order);
}

void wire_set_faults(struct wire *wire, enum proxy registrar, const struct registrar_faults *faults)
{
	const struct order order = {
		.kind = ORDER_FAULTS, .proxy = (uint8_t)registrar, .faults = *faults};
	post_all(wire, &order);
}

void wire_forget(struct wire *wire, enum proxy registrar)
{
	const struct order order = {.kind = ORDER_FORGET, .proxy = (uint8_t)registrar};
	post_all(wire, &order);
}

int wire_set_proxy(struct wire *wire, unsigned herd, enum proxy proxy,
	const struct address *address, uint16_t port)
{
	struct wire_herd *of = &wire->herd[herd];
	if (has_herd(&wire->config) && (address->family != of->config.proxy[proxy].address.family ||
					       !of->config.plan[address->family]))
		return -EAFNOSUPPORT;
	const struct order order = {.kind = ORDER_PROXY,
		.proxy = (uint8_t)proxy,
		.herd = (uint8_t)herd,
		.port = port,
		.address = *address};
	post_all(wire, &order);
	/* Workers keep copies of their own; this one is the control thread's. */
	of->proxy[proxy] = (struct wire_proxy){*address, port, true};
	wire->generation[neighbours_place(herd, proxy)]++;
	return 0;
}

void wire_announce(struct wire *wire, uint32_t first, uint32_t count)
{
	const struct order order = {
		.kind = ORDER_ANNOUNCE, .command = {.first = first, .count = count}};
	if (announces(&wire->config))
		post(wire, wire->worker[0], &order);
}
