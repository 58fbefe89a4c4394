/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages of single phones, across workers. */
#include <errno.h>

#include "wire_internal.h"

/* What all workers have lost so far. */
static uint32_t dropped_by_all(const struct wire *wire)
{
	uint32_t dropped = 0;
	for (unsigned w = 0; w < wire->config.workers; w++)
		dropped += trace_dropped(&wire->worker[w]->herd_station->tap);
	return dropped;
}

static bool make_ring(struct trace_tap *tap)
{
	if (atomic_load_explicit(&tap->ring, memory_order_relaxed))
		return true;
	struct trace_ring *ring = trace_ring_create();
	atomic_store_explicit(&tap->ring, ring, memory_order_release);
	return ring;
}

static int begin(struct wire *wire, uint32_t phone, struct trace_entry **out)
{
	const unsigned owner = worker_owner(wire->worker[0], phone);
	if (!make_ring(&wire->worker[owner]->herd_station->tap))
		return -ENOMEM;
	struct trace_entry *entry = trace_begin(
		&wire->traces, phone, wire->unix_start_us + clock_us(&wire->clock));
	if (!entry)
		return -ENOMEM;
	entry->dropped_before = dropped_by_all(wire);
	/* Who was in this place before may be another worker's. */
	const unsigned n = (unsigned)(entry - wire->traces.entry);
	for (unsigned w = 0; w < wire->config.workers; w++)
		trace_watch(
			&wire->worker[w]->herd_station->tap, n, w == owner ? phone : TRACE_NONE);
	*out = entry;
	return 0;
}

int wire_trace(struct wire *wire, uint32_t phone, struct wire_trace *out)
{
	if (!has_herd(&wire->config) || !wire->started || phone >= wire->config.herd.fleet_phones)
		return -ENOENT;
	wire_trace_collect(wire);
	struct trace_entry *entry = trace_find(&wire->traces, phone);
	if (!entry) {
		const int result = begin(wire, phone, &entry);
		if (result)
			return result;
	}
	trace_show(entry, dropped_by_all(wire), out);
	return 0;
}

void wire_trace_collect(struct wire *wire)
{
	if (!has_herd(&wire->config))
		return;
	for (unsigned w = 0; w < wire->config.workers; w++)
		trace_collect(
			&wire->traces, &wire->worker[w]->herd_station->tap, wire->unix_start_us);
}
