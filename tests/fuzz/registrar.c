/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: datagrams, time and faults for the built-in registrar; every answer must be SIP.
 *
 * The input's first byte chooses the registrar, then come steps that end with a record separator
 * (0x1e): D and a datagram, T and digits of seconds, F and letters of faults. Each datagram comes three
 * times, with the next CSeq: the second and third are what a phone asks out of habit.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "registrar.h"
#include "scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEPARATOR = 0x1e };

/* The last answer is looked at when the registrar is done with it. */
struct outbox {
	uint8_t *bytes;
	uint16_t length;
};

static void check_outbox(struct outbox *outbox)
{
	struct sip_message answer;
	if (outbox->bytes == NULL)
		return;
	for (unsigned i = 0; i < outbox->length; i++) {
		uint8_t before = i > 0 ? outbox->bytes[i - 1] : 0;
		if ((outbox->bytes[i] == '\n') != (before == '\r'))
			abort();
	}
	if (scan_message(outbox->bytes, outbox->length, &answer) != SCAN_OK ||
		answer.status < 200 || answer.to_tag.length == 0 || answer.length != outbox->length)
		abort();
	free(outbox->bytes);
	outbox->bytes = NULL;
}

static uint8_t *take_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct outbox *outbox = context;
	check_outbox(outbox);
	if (to->port == 0 || n > 1400)
		abort();
	*outbox = (struct outbox){calloc(1, n), n};
	return outbox->bytes;
}

static const struct identity_set *users(void)
{
	static struct identity_set *set;
	struct identity_error error;
	if (set == NULL && identity_patterns(&set, "2{n:03}", NULL, "pw", 100, &error) != 0)
		abort();
	return set;
}

static struct registrar *open_registrar(uint8_t choice, struct outbox *outbox)
{
	const struct registrar_config config = {
		.capacity = choice & 1 ? 4 : 1000,
		.expires_default_s = 3600,
		.expires_min_s = choice & 2 ? 60 : 0,
		.expires_max_s = 7200,
		.realm = choice & 4 ? "lab" : NULL,
		.algorithm = DIGEST_MD5,
		.offer_both = choice & 8,
		.nonce_lifetime_s = 30,
		.identities = users(),
		.seed = choice,
		.server = "sipherd",
	};
	const struct registrar_output output = {outbox, take_buffer};
	struct registrar *registrar = registrar_create(&config, &output);
	if (registrar == NULL)
		abort();
	return registrar;
}

static void set_faults(struct registrar *registrar, const uint8_t *letters, size_t count)
{
	struct registrar_faults faults = {0};
	for (size_t i = 0; i < count; i++) {
		faults.crashed |= letters[i] == 'c';
		faults.draining |= letters[i] == 'd';
		faults.options_silent |= letters[i] == 'o';
		faults.register_silent |= letters[i] == 'r';
		faults.loss_ppm = letters[i] == 'l' ? 500000 : faults.loss_ppm;
		faults.delay_us = letters[i] == 'w' ? 1500000 : faults.delay_us;
		faults.reject_code = letters[i] == 'x' ? 403 : faults.reject_code;
		faults.retry_after_s = letters[i] == 'a' ? 5 : faults.retry_after_s;
	}
	registrar_set_faults(registrar, &faults);
}

/* Add to the last digit of the CSeq, where there is one that has room. */
static void count_on(uint8_t *datagram, size_t size, unsigned more)
{
	struct sip_message message;
	if (scan_message(datagram, size, &message) != SCAN_OK)
		return;
	size_t at = message.method_text.at;
	while (at > 0 && datagram[at - 1] == ' ')
		at--;
	if (at > 0 && datagram[at - 1] >= '0' && datagram[at - 1] + more <= '9')
		datagram[at - 1] = (uint8_t)(datagram[at - 1] + more);
}

/* In a block of its own size, and what it needs fetched first, as the wire does. */
static void deliver(struct registrar *registrar, const uint8_t *data, size_t size, unsigned times,
	uint64_t now_us)
{
	static const struct endpoint from = {.address = {.bytes = {192, 0, 2, 7}}, .port = 5070};
	uint8_t *exact = malloc(size + (size == 0));
	if (exact == NULL)
		abort();
	memcpy(exact, data, size);
	count_on(exact, size, times);
	registrar_fetch(registrar, exact, size, false);
	registrar_fetch(registrar, exact, size, true);
	registrar_datagram(registrar, &from, exact, size, now_us);
	free(exact);
	if (registrar_registered(registrar) > 1000)
		abort();
}

static void step(struct registrar *registrar, const uint8_t *data, size_t size, uint64_t *now_us)
{
	if (size == 0)
		return;
	if (data[0] == 'F')
		set_faults(registrar, data + 1, size - 1);
	if (data[0] == 'T') {
		uint64_t seconds = 0;
		for (size_t i = 1; i < size && i < 6; i++)
			seconds = seconds * 10 + (uint64_t)(data[i] & 15);
		*now_us += seconds * 1000000;
		uint64_t next_us = registrar_advance(registrar, *now_us);
		if (next_us < *now_us)
			abort();
	}
	for (unsigned times = 0; data[0] == 'D' && times < 3; times++)
		deliver(registrar, data + 1, size - 1, times, *now_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outbox outbox = {NULL, 0};
	uint64_t now_us = 1000000;
	if (size == 0)
		return 0;
	struct registrar *registrar = open_registrar(*data++, &outbox);
	for (size--; size > 0;) {
		const uint8_t *end = memchr(data, SEPARATOR, size);
		size_t length = end ? (size_t)(end - data) : size;
		step(registrar, data, length, &now_us);
		check_outbox(&outbox);
		length += end != NULL;
		data += length;
		size -= length;
	}
	registrar_free(registrar);
	return 0;
}
