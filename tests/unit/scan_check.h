/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every test of the scanner asks: spans lie inside the message, and the vector and the
 * portable implementation (linked under other names) agree on every input. Include after cmocka.h.
 */
#ifndef SIPHERD_SCAN_CHECK_H
#define SIPHERD_SCAN_CHECK_H

#include "scan.h"
#include "scan_portable.h"

static inline void check_span(const struct sip_message *m, struct span span)
{
	assert_true((uint32_t)span.at + span.length <= m->length);
}

static inline void check_contact(const struct sip_message *m, const struct sip_contact *contact)
{
	check_span(m, contact->uri);
	check_span(m, contact->params);
}

static inline void check_uri(const struct sip_message *m, const struct sip_uri *uri)
{
	check_span(m, uri->user);
	check_span(m, uri->host);
}

/* What a Contact value holds is inside the message too, and the same in both implementations. */
static inline void check_one_contact(const struct sip_message *m, struct span value)
{
	struct sip_contact contact, other;
	struct sip_uri uri, other_uri;
	memset(&contact, 0, sizeof(contact));
	memset(&other, 0, sizeof(other));
	memset(&uri, 0, sizeof(uri));
	memset(&other_uri, 0, sizeof(other_uri));
	bool taken = scan_contact(m, value, &contact);
	assert_int_equal(portable_scan_contact(m, value, &other), taken);
	assert_memory_equal(&contact, &other, sizeof(other));
	check_contact(m, &contact);
	if (!taken)
		return;
	assert_int_equal(
		portable_scan_uri(m, contact.uri, &other_uri), scan_uri(m, contact.uri, &uri));
	assert_memory_equal(&uri, &other_uri, sizeof(other_uri));
	check_uri(m, &uri);
}

static inline void check_list(
	const struct sip_message *m, const struct span *list, unsigned count, unsigned most)
{
	assert_true(count <= most);
	for (unsigned i = 0; i < count; i++)
		check_span(m, list[i]);
}

static inline void check_spans(const struct sip_message *m)
{
	const struct span one[] = {m->method_text, m->uri, m->reason, m->via_branch, m->via_host,
		m->from, m->to, m->from_tag, m->to_tag, m->to_uri, m->from_uri, m->call_id,
		m->require, m->body};
	check_list(m, one, sizeof(one) / sizeof(one[0]), sizeof(one) / sizeof(one[0]));
	check_list(m, m->via, m->vias, SCAN_VIA_MAX);
	check_list(m, m->contact, m->contacts, SCAN_CONTACT_MAX);
	check_list(m, m->challenge, m->challenges, SCAN_CHALLENGE_MAX);
	check_list(m, m->credential, m->credentials, SCAN_CREDENTIALS_MAX);
	assert_true(m->vias > 0 && m->method != SIP_METHOD_NONE);
	assert_true((m->status >= 100 && m->status <= 699) || m->status == 0);
	assert_true((m->status == 0) == (m->uri.length > 0));
	for (unsigned i = 0; i < m->contacts; i++)
		check_one_contact(m, m->contact[i]);
}

/* Scan a copy in memory of exactly this length with both implementations. */
static inline enum scan_result check_scan(const char *text, size_t length, struct sip_message *m)
{
	static struct sip_message other;
	char *copy = malloc(length ? length : 1);
	assert_non_null(copy);
	if (length)
		memcpy(copy, text, length);
	enum scan_result result = scan_message(copy, length, m);
	assert_int_equal(portable_scan_message(copy, length, &other), result);
	if (result == SCAN_OK) {
		assert_memory_equal(m, &other, sizeof(other));
		check_spans(m);
	}
	m->base = text;
	free(copy);
	return result;
}

static inline size_t check_load(const char *folder, const char *name, char *bytes, size_t size)
{
	char path[512];
	assert_true((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) < sizeof(path));
	FILE *file = fopen(path, "rb");
	if (!file)
		fail_msg("%s cannot be opened", path);
	size_t length = fread(bytes, 1, size, file);
	assert_true(length > 0 && feof(file));
	fclose(file);
	return length;
}

static inline void assert_text(const struct sip_message *m, struct span span, const char *text)
{
	check_span(m, span);
	if (!span_equal(m, span, text, strlen(text)))
		fail_msg("\"%.*s\" is not \"%s\"", span.length, span_text(m, span), text);
}

static inline void assert_absent(struct span span)
{
	assert_int_equal(span.at, 0);
	assert_int_equal(span.length, 0);
}

#endif
