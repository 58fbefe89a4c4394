/* SPDX-License-Identifier: BSD-3-Clause */
/* What a herd tells the mirror of its phones: transitions are published, counts are only written. */
#include <endian.h>

#include "herd_internal.h"

#define RTT_MAX (RECORD_RTT_NONE - 1)

/* Only this worker writes while it drives the phone: no need for an atomic addition. */
static uint64_t word_of(const struct phone_record *record, unsigned word)
{
	return be64toh(atomic_load_explicit(&record->word[word], memory_order_relaxed));
}

static void set_word(struct phone_record *record, unsigned word, uint64_t value)
{
	atomic_store_explicit(&record->word[word], htobe64(value), memory_order_relaxed);
}

static void set_misses(struct phone_record *record, uint8_t misses)
{
	set_word(record, 0, (word_of(record, 0) & ~(0xffull << 40)) | (uint64_t)misses << 40);
}

void herd_record_sent(struct herd *herd, uint32_t local)
{
	if (herd->record == NULL)
		return;
	struct phone_record *record = &herd->record[herd_index(herd, local)];
	const uint64_t word = word_of(record, 3);
	if (word >> 32 != UINT32_MAX)
		set_word(record, 3, word + (1ull << 32));
}

void herd_record_rtt(struct herd *herd, uint32_t local, uint32_t rtt_us)
{
	if (herd->record == NULL)
		return;
	struct phone_record *record = &herd->record[herd_index(herd, local)];
	const uint32_t rtt = rtt_us / 100 < RTT_MAX ? rtt_us / 100 : RTT_MAX;
	set_word(record, 0, (word_of(record, 0) & ~0xffffull) | rtt);
}

static uint8_t cause_of(
	enum phone_event event, enum phone_state before, struct redundancy_result result)
{
	if (result.cause != CAUSE_NONE)
		return result.cause;
	switch (event) {
	case EVENT_START:
		return RECORD_START;
	case EVENT_REGISTER_OK:
		return RECORD_REGISTERED;
	case EVENT_REGISTER_SILENCE: /* redundancy is off */
		return before == PHONE_REGISTERED ? RECORD_REFRESH_SILENCE
						  : RECORD_REGISTER_SILENCE;
	case EVENT_REGISTER_USELESS:
	case EVENT_CREDENTIALS_REFUSED:
	case EVENT_REJECTED:
	case EVENT_REJECTED_SWITCHING:
		return RECORD_REFUSED;
	case EVENT_REBOOT:
		return RECORD_REBOOT;
	case EVENT_DISABLE:
		return RECORD_DISABLED;
	case EVENT_STOP:
		return RECORD_STOPPED;
	default:
		return RECORD_DUE;
	}
}

static void count_transition(struct record_view *view, const struct phone *phone,
	enum phone_event event, struct redundancy_result result)
{
	if (event == EVENT_REGISTER_OK)
		view->registrations_ok += view->registrations_ok < UINT32_MAX;
	if (phone_event_is_failure(event))
		view->registrations_failed += view->registrations_failed < UINT16_MAX;
	if (result.cause == CAUSE_NONE)
		return;
	if (phone_active(phone) == PROXY_REDUNDANT)
		view->failovers += view->failovers < UINT16_MAX;
	else
		view->failbacks += view->failbacks < UINT16_MAX;
}

static void publish(struct herd *herd, uint32_t local, enum phone_event event,
	enum phone_state before, struct redundancy_result result)
{
	const struct phone *phone = &herd->phone[local];
	const uint32_t index = herd_index(herd, local);
	const uint64_t start_us = atomic_load_explicit(
		&herd->config.mirror->unix_start_us, memory_order_relaxed);
	struct record_view view;
	record_load(&herd->record[index], &view);
	if (view.version != RECORD_VERSION) {
		view = (struct record_view){.rtt_100us = RECORD_RTT_NONE};
		record_store(&herd->record[index], &view, 3, 1);
	}
	const uint8_t was = (uint8_t)(view.last_tried << 2 | view.registered);
	const uint8_t active = (uint8_t)(1 + phone_active(phone));
	count_transition(&view, phone, event, result);
	view.version = RECORD_VERSION;
	view.registered = phone->state == PHONE_REGISTERED ? active : 0;
	view.last_tried = active;
	view.mode = herd->config.redundancy.mode;
	view.phase = phone->state;
	view.misses = phone->misses;
	view.cause = cause_of(event, before, result);
	view.transition++;
	view.since_unix_ms = (start_us + herd->now_us) / 1000;
	mirror_publish(herd->config.mirror, herd->config.worker, index, &view, was);
}

/* The fourth word is not part of a transition, and a refresh is none. */
static void count_quietly(struct herd *herd, uint32_t local, enum phone_event event)
{
	struct phone_record *record = &herd->record[herd_index(herd, local)];
	if (event == EVENT_KEEPALIVE_SILENCE) {
		const uint64_t word = word_of(record, 3);
		if ((uint32_t)word != UINT32_MAX)
			set_word(record, 3, word + 1);
		set_misses(record, herd->phone[local].misses);
	} else if (event == EVENT_KEEPALIVE_ANSWER) {
		set_misses(record, herd->phone[local].misses);
	}
}

void herd_record_step(struct herd *herd, uint32_t local, enum phone_event event,
	enum phone_state before, struct redundancy_result result)
{
	if (herd->record == NULL)
		return;
	count_quietly(herd, local, event);
	/* A switch always changes the phase, and so does whatever turns redundancy off. */
	if (herd->phone[local].state != before) {
		publish(herd, local, event, before, result);
		return;
	}
	struct phone_record *record = &herd->record[herd_index(herd, local)];
	const uint64_t word = word_of(record, 2);
	if (event == EVENT_REGISTER_OK && (uint32_t)word != UINT32_MAX)
		set_word(record, 2, word + 1);
}

/* What a phone that is powered on anew remembers: the proxy that its record says was last tried. */
void herd_record_recall(struct herd *herd, uint32_t local)
{
	if (herd->record == NULL)
		return;
	struct phone *phone = &herd->phone[local];
	const unsigned tried = record_last_tried(&herd->record[herd_index(herd, local)]);
	herd->population.phones[phone->state][phone_active(phone)]--;
	if (tried == 1 + PROXY_REDUNDANT && herd->config.redundancy.enabled)
		phone->flags |= PHONE_ACTIVE_REDUNDANT;
	else
		phone->flags &= (uint16_t)~PHONE_ACTIVE_REDUNDANT;
	herd->population.phones[phone->state][phone_active(phone)]++;
}
