/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: any datagram through the scanner, every Contact and URI of it through theirs.
 * Spans stay inside the message, and both implementations say the same. What learns says the same too, of the
 * datagram it has learned from and of some that differ from it in one byte.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/scan_portable.h"
#include "scan_learn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_that(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void inside(const struct sip_message *m, struct span span)
{
	require_that((uint32_t)span.at + span.length <= m->length, "span inside the message");
}

static void all_inside(
	const struct sip_message *m, const struct span *list, unsigned count, unsigned most)
{
	require_that(count <= most, "no more values than kept");
	for (unsigned i = 0; i < count; i++)
		inside(m, list[i]);
}

static void check_uri(const struct sip_message *m, struct span span)
{
	struct sip_uri uri = {0}, other = {0};
	bool taken = scan_uri(m, span, &uri);
	require_that(portable_scan_uri(m, span, &other) == taken, "same verdict on a URI");
	require_that(memcmp(&uri, &other, sizeof(uri)) == 0, "same URI");
	inside(m, uri.user);
	inside(m, uri.host);
	require_that(!taken || uri.host.length > 0, "a URI has a host");
}

static void check_contact(const struct sip_message *m, struct span value)
{
	struct sip_contact contact = {0}, other = {0};
	bool taken = scan_contact(m, value, &contact);
	require_that(portable_scan_contact(m, value, &other) == taken, "same verdict on a Contact");
	require_that(memcmp(&contact, &other, sizeof(contact)) == 0, "same Contact");
	inside(m, contact.uri);
	inside(m, contact.params);
	require_that(!taken || contact.uri.length > 0, "a Contact has a URI");
	check_uri(m, contact.uri);
}

static void check_message(const struct sip_message *m, size_t size)
{
	const struct span one[] = {m->method_text, m->uri, m->reason, m->via_branch, m->via_host,
		m->from, m->to, m->from_tag, m->to_tag, m->to_uri, m->from_uri, m->call_id,
		m->require, m->body};
	require_that(m->length <= size, "message inside the datagram");
	all_inside(m, one, sizeof(one) / sizeof(one[0]), sizeof(one) / sizeof(one[0]));
	all_inside(m, m->via, m->vias, SCAN_VIA_MAX);
	all_inside(m, m->contact, m->contacts, SCAN_CONTACT_MAX);
	all_inside(m, m->challenge, m->challenges, SCAN_CHALLENGE_MAX);
	all_inside(m, m->credential, m->credentials, SCAN_CREDENTIALS_MAX);
	require_that(m->vias && m->call_id.length && m->method && m->via_host.length, "mandatory");
	require_that((m->status == 0) == (m->uri.length > 0), "request or response");
	for (unsigned i = 0; i < m->contacts; i++)
		check_contact(m, m->contact[i]);
	check_uri(m, m->uri);
	check_uri(m, m->from_uri);
	check_uri(m, m->to_uri);
}

static void check_learned(struct scan_learned *learned, const uint8_t *data, size_t size)
{
	static struct sip_message m, other;
	const enum scan_result result = scan_message(data, size, &other);
	require_that(scan_learned_message(learned, data, size, &m) == result, "same when learned");
	if (result != SCAN_OK)
		return;
	require_that(memcmp(&m, &other, offsetof(struct sip_message, via)) == 0, "learned message");
	require_that(memcmp(m.via, other.via, m.vias * sizeof(m.via[0])) == 0, "learned Via");
	require_that(memcmp(m.contact, other.contact, m.contacts * sizeof(m.contact[0])) == 0,
		"learned Contact");
	require_that(
		memcmp(m.challenge, other.challenge, m.challenges * sizeof(m.challenge[0])) == 0,
		"learned challenge");
	require_that(memcmp(m.credential, other.credential,
			     m.credentials * sizeof(m.credential[0])) == 0,
		"learned credentials");
}

/* Bytes spread over the datagram, each replaced by one from elsewhere in it. */
static void check_variants(struct scan_learned *learned, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size);
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	check_learned(learned, copy, size);
	check_learned(learned, copy, size);
	for (size_t i = size % 7; i < size; i += 1 + size / 24) {
		copy[i] = data[(i * 31 + size) % size];
		check_learned(learned, copy, size);
		copy[i] = data[i];
	}
	free(copy);
}

/* By what this processor has, and by the narrower vectors where that is the wider ones. */
static void check_learning(const uint8_t *data, size_t size)
{
	struct scan_learned learned;
	for (int narrow = 0; narrow < 2; narrow++) {
		if (scan_learned_open(&learned) != 0)
			abort();
		if (narrow)
			learned.wide = false;
		check_variants(&learned, data, size);
		scan_learned_close(&learned);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sip_message m, other;
	enum scan_result result = scan_message(data, size, &m);
	require_that(result < SCAN_RESULTS, "a known result");
	require_that(portable_scan_message(data, size, &other) == result, "same result");
	if (result != SCAN_OK)
		return 0;
	require_that(memcmp(&m, &other, sizeof(m)) == 0, "same message");
	check_message(&m, size);
	check_learning(data, size);
	return 0;
}
