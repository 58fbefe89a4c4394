/* SPDX-License-Identifier: BSD-3-Clause */
/* One phone as its worker knows it, for people: deadlines as distances from now. */
#include "herd_internal.h"

static int32_t ahead_ms(uint32_t deadline_ms, uint64_t now_us)
{
	return (int32_t)(deadline_ms - (uint32_t)(now_us / 1000));
}

bool herd_look(const struct herd *herd, uint32_t index, uint64_t now_us, struct herd_look *out)
{
	const struct phone *phone = herd_phone(herd, index);
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
		.register_cseq = phone->register_cseq,
		.keepalive_cseq = phone->keepalive_cseq,
		.keepalive_armed = phone->flags & PHONE_KEEPALIVE_ARMED,
		.keepalive_pending = phone->flags & PHONE_KEEPALIVE_PENDING,
		.register_armed = phone->flags & PHONE_REGISTER_ARMED,
		.register_pending = phone->flags & PHONE_REGISTER_PENDING,
		.unregister_pending = phone->flags & PHONE_UNREGISTER_PENDING,
		.keepalive_in_ms = ahead_ms(phone->keepalive_due_ms, now_us),
		.keepalive_timeout_in_ms = ahead_ms(phone->keepalive_end_ms, now_us),
		.register_in_ms = ahead_ms(phone->register_next_ms, now_us),
		.register_timeout_in_ms = ahead_ms(phone->register_end_ms, now_us)};
	return true;
}
