/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listening to a few phones of the fleet: how many datagrams and bytes each occasion takes, in virtual
 * time and without a network. Each proxy has its turn as the only one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "sizing_internal.h"

#define SAMPLE 500u /* phones, spread over the fleet */
#define LETTERS 64  /* under way at a time: phones have their turns one by one */
#define STEP_US 1000u
#define REFRESH_MOST_US (2ull * 86400 * 1000000)

struct letter {
	uint32_t phone;
	uint16_t length;
	bool answer, options;
	uint8_t text[MESSAGE_MAX];
};

struct room {
	const struct herd_config *config;
	struct herd *herd;
	struct registrar *registrar;
	uint64_t now_us, skew_us; /* the registrar's clock goes so much before */
	struct letter letter[LETTERS];
	uint32_t written, read;
	uint32_t phone; /* whose request the registrar has before it, */
	bool options;   /* and whether it is OPTIONS */
	int occasion;   /* of REGISTERs; negative: nobody listens */
	struct sizing_talk heard[SIZING_OCCASIONS];
	double refreshes, refresh_sum_ms;
	uint64_t *refresh_us; /* [phones_of()]: when its refresh was heard */
	uint16_t longest;
};

static uint8_t *write_letter(struct room *room, uint32_t phone, uint16_t n, bool answer)
{
	if (room->written - room->read == LETTERS || n > MESSAGE_MAX)
		return NULL;
	struct letter *letter = &room->letter[room->written++ % LETTERS];
	letter->phone = phone;
	letter->length = n;
	letter->answer = answer;
	letter->options = room->options;
	return letter->text;
}

static uint8_t *request_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	(void)proxy;
	return write_letter(context, phone, n, false);
}

static uint8_t *answer_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct room *room = context;
	(void)to;
	return write_letter(room, room->phone, n, true);
}

/* A phone's first REGISTER in this phase says when its refresh was due. False: it has had its turn. */
static bool note_refresh(struct room *room, uint32_t phone)
{
	uint64_t *at_us = &room->refresh_us[(phone - room->config->first) / room->config->stride];
	if (*at_us != 0)
		return *at_us == room->now_us;
	*at_us = room->now_us;
	room->refreshes++;
	room->refresh_sum_ms += (double)room->now_us / 1e3;
	return true;
}

static void hear(struct room *room, const struct letter *letter)
{
	const int occasion = letter->options ? SIZING_KEEPALIVE : room->occasion;
	if (occasion < 0 || (occasion == SIZING_REFRESH && !note_refresh(room, letter->phone)))
		return;
	struct sizing_talk *talk = &room->heard[occasion];
	if (letter->answer) {
		talk->answers++;
		talk->answer_bytes += letter->length;
		return;
	}
	talk->requests++;
	talk->request_bytes += letter->length;
	talk->credentials += memmem(letter->text, letter->length, "\r\nAuthorization:", 16) != NULL;
	if (letter->length > room->longest)
		room->longest = letter->length;
}

static void deliver(struct room *room)
{
	struct letter letter;
	while (room->read != room->written) {
		letter = room->letter[room->read++ % LETTERS];
		if (!letter.answer)
			letter.options = letter.text[0] == 'O';
		hear(room, &letter);
		if (letter.answer) {
			herd_datagram(room->herd, letter.phone, PROXY_PRIMARY, letter.text,
				letter.length, room->now_us);
			continue;
		}
		struct endpoint from = {0};
		const uint8_t family = room->config->proxy[PROXY_PRIMARY].address.family;
		address_plan_at(
			room->config->plan[family], letter.phone, &from.address, &from.port);
		room->phone = letter.phone;
		room->options = letter.options;
		registrar_datagram(room->registrar, &from, letter.text, letter.length,
			room->now_us + room->skew_us);
	}
}

/* All that is due now, one thing at a time. */
static void settle(struct room *room)
{
	while (!herd_advance(room->herd, room->now_us, 1))
		deliver(room);
	deliver(room);
}

static void run_until(struct room *room, uint64_t until_us)
{
	settle(room);
	while (room->now_us < until_us) {
		const uint64_t next_us = herd_next_us(room->herd, until_us);
		room->now_us = next_us > room->now_us ? next_us : room->now_us + STEP_US;
		settle(room);
	}
}

static void ask(struct room *room, enum herd_command_kind kind)
{
	const struct herd_command command = {
		.kind = (uint8_t)kind, .count = room->config->fleet_phones};
	herd_command(room->herd, &command, room->now_us);
}

static uint32_t phones_of(const struct herd_config *config)
{
	return (herd_config_end(config) - config->first - 1) / config->stride + 1;
}

static int open_room(struct room *room, const struct herd_config *config,
	const struct registrar_config *registrar)
{
	struct registrar_config r = *registrar;
	const struct herd_output out = {.context = room, .buffer = request_buffer};
	const struct registrar_output back = {.context = room, .buffer = answer_buffer};
	memset(room, 0, sizeof(*room));
	room->config = config;
	room->now_us = STEP_US;
	room->occasion = -1;
	r.capacity = 2 * phones_of(config);
	room->registrar = registrar_create(&r, &back);
	room->refresh_us = calloc(phones_of(config), sizeof(uint64_t));
	if (room->registrar == NULL || room->refresh_us == NULL)
		return -ENOMEM;
	return herd_create(&room->herd, config, &out);
}

static void close_room(struct room *room)
{
	registrar_free(room->registrar);
	if (room->herd != NULL)
		herd_free(room->herd);
	free(room->refresh_us);
	room->registrar = NULL;
	room->herd = NULL;
	room->refresh_us = NULL;
}

/* As the registrar means it: a nonce is not taken any more by then. */
static void outlive_nonces(struct room *room, const struct registrar_config *registrar)
{
	room->skew_us += (registrar->nonce_lifetime_s + 1ull) * 1000000;
}

static void hear_registers(struct room *room, const struct registrar_config *registrar)
{
	room->occasion = SIZING_REGISTER;
	ask(room, HERD_START);
	settle(room);
	const uint64_t begun_us = room->now_us;
	const uint32_t phones = phones_of(room->config);
	room->occasion = SIZING_REFRESH;
	while (room->refreshes < phones && room->now_us < REFRESH_MOST_US)
		run_until(room, room->now_us + 1000000);
	if (room->refreshes > 0)
		room->refresh_sum_ms -= (double)begun_us / 1e3 * room->refreshes;
	outlive_nonces(room, registrar);
	room->occasion = SIZING_RETURN;
	ask(room, HERD_REREGISTER);
	settle(room);
	outlive_nonces(room, registrar);
	room->occasion = SIZING_GOODBYE;
	ask(room, HERD_UNREGISTER);
	settle(room);
}

static void mean(struct sizing_talk *talk, double by)
{
	if (by <= 0)
		return;
	talk->requests /= by;
	talk->answers /= by;
	talk->request_bytes /= by;
	talk->answer_bytes /= by;
	talk->credentials /= by;
}

/* Keep-alives would only be in the way of hours until the refresh. */
static int listen_to_registers(struct sizing_talks *out, enum proxy proxy, struct room *room,
	struct herd_config *config, const struct registrar_config *registrar)
{
	config->keepalive_period_ms = 0;
	const int status = open_room(room, config, registrar);
	if (status == 0) {
		hear_registers(room, registrar);
		out->registers = herd_counters(room->herd)->register_ok > 0;
		for (int i = SIZING_REGISTER; i < SIZING_OCCASIONS; i++) {
			out->of[proxy][i] = room->heard[i];
			mean(&out->of[proxy][i], phones_of(config));
		}
		if (proxy == PROXY_PRIMARY && room->refreshes > 0)
			out->refresh_ms = room->refresh_sum_ms / room->refreshes;
		out->longest = room->longest > out->longest ? room->longest : out->longest;
	}
	close_room(room);
	return status;
}

static int listen_to_keepalives(struct sizing_talks *out, enum proxy proxy, struct room *room,
	struct herd_config *config, const struct registrar_config *registrar)
{
	/* Long enough for each to say one, at once. */
	config->keepalive_period_ms = 60000;
	config->keepalive_first = KEEPALIVE_FIRST_IMMEDIATE;
	const int status = open_room(room, config, registrar);
	if (status == 0) {
		ask(room, HERD_START);
		run_until(room, room->now_us + 10 * STEP_US);
		out->of[proxy][SIZING_KEEPALIVE] = room->heard[SIZING_KEEPALIVE];
		mean(&out->of[proxy][SIZING_KEEPALIVE], room->heard[SIZING_KEEPALIVE].requests);
	}
	close_room(room);
	return status;
}

int sizing_listen(struct sizing_talks *out, const struct sizing_case *what)
{
	struct room *room = malloc(sizeof(*room));
	int status = room != NULL ? 0 : -ENOMEM;
	*out = (struct sizing_talks){0};
	for (int p = 0; p < PROXIES && status == 0; p++) {
		struct herd_config config = *what->herd;
		const struct registrar_config *registrar = &what->registrar[p];
		if (config.proxy[p].host[0] == '\0')
			continue;
		config.proxy[PROXY_PRIMARY] = config.proxy[p];
		config.proxy[PROXY_REDUNDANT].host[0] = '\0';
		config.redundancy.enabled = false;
		config.ramp_per_s = 0;
		config.mirror = NULL;
		/* An odd step meets every last byte of an address. */
		config.first = config.begin;
		config.stride = (sizing_phones(what) / SAMPLE) | 1;
		if (registrar->realm != NULL)
			out->nonce_age = registrar->nonce_lifetime_s;
		status = listen_to_registers(out, (enum proxy)p, room, &config, registrar);
		if (status == 0)
			status = listen_to_keepalives(out, (enum proxy)p, room, &config, registrar);
	}
	free(room);
	return status;
}
