/* SPDX-License-Identifier: BSD-3-Clause */
/* One phone as its worker knows it, for people. */
#include "herd_internal.h"

static uint32_t wire_cseq(uint32_t cseq)
{
	return cseq > 0 ? MESSAGE_CSEQ_BASE + cseq : 0;
}

static void look_at_timers(const struct phone *phone, uint32_t now_ms, struct herd_look *out)
{
	out->keepalive_armed = phone->flags & PHONE_KEEPALIVE_ARMED;
	out->keepalive_pending = phone->flags & PHONE_KEEPALIVE_PENDING;
	out->register_armed = phone->flags & PHONE_REGISTER_ARMED;
	out->register_pending = phone->flags & PHONE_REGISTER_PENDING;
	out->unregister_pending = phone->flags & PHONE_UNREGISTER_PENDING;
	if (out->keepalive_armed)
		out->keepalive_in_ms = (int32_t)(phone->keepalive_due_ms - now_ms);
	if (out->keepalive_pending)
		out->keepalive_timeout_in_ms = (int32_t)(phone->keepalive_end_ms - now_ms);
	if (out->register_armed)
		out->register_in_ms = (int32_t)(phone->register_next_ms - now_ms);
	if (out->register_pending)
		out->register_timeout_in_ms = (int32_t)(phone->register_end_ms - now_ms);
}

/* The end of a binding is kept nowhere: it follows from the time of its refresh. */
static void look_at_binding(
	const struct herd *herd, uint32_t local, uint32_t now_ms, struct herd_look *out)
{
	const struct phone *phone = &herd->phone[local];
	out->has_grant = out->has_binding && !(phone->flags & PHONE_RAISED_EXPIRES);
	out->binding_timed = out->has_grant && out->register_armed;
	if (out->has_grant)
		out->granted_s = herd->auth[local].expires_s;
	if (out->binding_timed)
		out->binding_expires_in_ms = (int32_t)(phone->register_next_ms -
						       herd_refresh_ms(
							       herd, local, out->granted_s) +
						       out->granted_s * 1000 - now_ms);
}

bool herd_look(const struct herd *herd, uint32_t index, uint64_t now_us, struct herd_look *out)
{
	const struct phone *phone = herd_phone(herd, index);
	const uint32_t now_ms = (uint32_t)(now_us / 1000);
	if (phone == NULL)
		return false;
	*out = (struct herd_look){.phone = index,
		.state = phone->state,
		.active = (uint8_t)phone_active(phone),
		.keepalive_target = (uint8_t)redundancy_keepalive_target(
			&herd->config.redundancy, phone),
		.misses = phone->misses,
		.answers = phone->answers,
		.epoch = phone->epoch,
		.register_cseq = wire_cseq(phone->register_cseq),
		.keepalive_cseq = wire_cseq(phone->keepalive_cseq)};
	look_at_timers(phone, now_ms, out);
	out->has_binding = phone->state == PHONE_REGISTERED;
	look_at_binding(herd, herd_local(herd, index), now_ms, out);
	return true;
}
