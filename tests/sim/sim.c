/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "queue.h"
#include "witness.h"

#define HELD_MAX 256
#define UNIX_START_US 1700000000123456ull

/* A datagram just written by a herd or a registrar, before it travels. */
struct emission {
	uint64_t looked; /* what its phone's record said meanwhile */
	uint32_t phone, block;
	uint16_t length;
	uint8_t proxy;
	bool lost; /* by an impairment */
};

struct emissions {
	struct emission *item;
	uint32_t count, room;
};

struct sim {
	struct sim_config config;
	struct identity_set *identities;
	struct address_plan plan;
	struct herd *herd[SIM_SLICES_MAX];
	struct registrar *registrar[PROXIES];
	struct sim_answers {
		struct sim *sim;
		enum proxy proxy;
	} answers[PROXIES];
	uint64_t registrar_us[PROXIES]; /* when it wants to be advanced */
	struct sim_path path[PROXIES][SIM_DIRECTIONS];
	struct registrar_faults faults[PROXIES];
	struct model *model;
	struct mirror *mirror;
	struct witness *witness;
	struct queue *queue;
	struct random random;
	struct emissions sent, answered;
	/* Phones that have read in this round what an impairment held back: of more than that the rest is not
	 * looked at. */
	uint32_t held[HELD_MAX], helds;
	uint64_t now_us;
	uint32_t traced; /* phone whose datagrams are printed, or UINT32_MAX */
};

/* ---- configuration ---- */

void sim_defaults(struct sim_config *config, uint32_t phones, uint64_t seed)
{
	*config = (struct sim_config){.slices = 1, .budget = 4096, .seed = seed};
	struct herd_config *herd = &config->herd;
	herd->fleet_phones = phones;
	herd->redundancy = (struct redundancy_rules){.enabled = true,
		.mode = MODE_ASYMMETRIC,
		.fail_threshold = 1,
		.success_threshold = 1};
	herd->timers = (struct transaction_timers){500, 4000, 5000, 32000};
	herd->keepalive_period_ms = 60000;
	herd->expires_s = 3600;
	herd->retry_ms = 60000;
	herd->refresh_permille = 500;
	snprintf(herd->domain, sizeof(herd->domain), "lab.example.net");
	snprintf(herd->user_agent, sizeof(herd->user_agent), "sipherd-sim");
	config->registrar.expires_default_s = 3600;
	config->registrar.expires_max_s = 86400;
	config->registrar.algorithm = DIGEST_MD5;
	config->registrar.nonce_lifetime_s = 3600;
	snprintf(config->registrar.server, sizeof(config->registrar.server), "sipherd-sim");
}

uint64_t sim_seed(uint64_t otherwise)
{
	const char *text = getenv("SIM_SEED");
	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void set_proxies(struct sim *sim, struct herd_config *herd)
{
	static const char *const address[2][PROXIES] = {
		{"198.51.100.1", "198.51.100.2"}, {"2001:db8:ffff::1", "2001:db8:ffff::2"}};
	for (int p = 0; p < PROXIES; p++) {
		struct herd_proxy *proxy = &herd->proxy[p];
		const char *text = address[sim->config.ipv6][p];
		snprintf(proxy->host, sizeof(proxy->host), sim->config.ipv6 ? "[%s]" : "%s", text);
		assert_int_equal(address_parse(text, &proxy->address), 0);
		proxy->port = 5060;
	}
	herd->plan[sim->plan.family] = &sim->plan;
}

/* ---- what herds and registrars write ---- */

static uint8_t *emit(struct sim *sim, struct emissions *emissions, uint32_t phone, uint8_t proxy,
	uint16_t length)
{
	assert_in_range(length, 1, QUEUE_BLOCK);
	if (emissions->count == emissions->room) {
		emissions->room = emissions->room ? 2 * emissions->room : 1024;
		emissions->item = realloc(
			emissions->item, emissions->room * sizeof(emissions->item[0]));
		assert_non_null(emissions->item);
	}
	uint32_t block = queue_block_take(sim->queue);
	emissions->item[emissions->count++] = (struct emission){
		witness_look(sim->witness, phone), phone, block, length, proxy, false};
	return queue_block(sim->queue, block);
}

static uint8_t *herd_buffer(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct sim *sim = context;
	return emit(sim, &sim->sent, phone, (uint8_t)proxy, n);
}

static uint8_t *herd_lost(void *context, uint32_t phone, enum proxy proxy, uint16_t n)
{
	struct sim *sim = context;
	uint8_t *buffer = emit(sim, &sim->sent, phone, (uint8_t)proxy, n);
	sim->sent.item[sim->sent.count - 1].lost = true;
	return buffer;
}

static uint8_t *registrar_buffer(void *context, const struct endpoint *to, uint16_t n)
{
	struct sim_answers *answers = context;
	uint32_t phone = UINT32_MAX;
	bool ours = address_plan_find(&answers->sim->plan, &to->address, to->port, &phone);
	if (!ours || phone >= answers->sim->config.herd.fleet_phones)
		model_violated(answers->sim->model, UINT32_MAX, answers->sim->now_us,
			"the %s registrar answers to nobody", proxy_name(answers->proxy));
	return emit(answers->sim, &answers->sim->answered, phone, (uint8_t)answers->proxy, n);
}

static void herd_held(
	void *context, uint32_t phone, enum proxy proxy, const void *datagram, size_t length);

/* ---- what the model asks ---- */

const struct phone *sim_phone(const struct sim *sim, uint32_t phone)
{
	const struct phone *record = herd_phone(sim->herd[phone % sim->config.slices], phone);
	assert_non_null(record);
	return record;
}

static const struct phone *model_record(void *context, uint32_t phone)
{
	return sim_phone(context, phone);
}

void sim_contact(const struct sim *sim, uint32_t phone, char *out, size_t size)
{
	char user[IDENTITY_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	size_t length = identity_user(sim->identities, phone, user);
	struct address address;
	uint16_t port;
	address_plan_at(&sim->plan, phone, &address, &port);
	address_format(&address, text);
	snprintf(out, size, sim->config.ipv6 ? "%.*s@[%s]:%u" : "%.*s@%s:%u", (int)length, user,
		text, port);
}

static void model_contact(void *context, uint32_t phone, uint8_t proxy, char *out, size_t size)
{
	(void)proxy;
	sim_contact(context, phone, out, size);
}

static void model_look(void *context, uint32_t phone, uint64_t at_us)
{
	struct sim *sim = context;
	queue_add(sim->queue, &(struct event){.at_us = at_us,
				      .block = QUEUE_NO_BLOCK,
				      .phone = phone,
				      .kind = EVENT_LOOK});
}

/* ---- creation ---- */

static void create_herds(struct sim *sim)
{
	struct herd_output output = {
		.context = sim, .buffer = herd_buffer, .lost = herd_lost, .held = herd_held};
	for (uint32_t i = 0; i < sim->config.slices; i++) {
		struct herd_config config = sim->config.herd;
		config.first = i;
		config.stride = sim->config.slices;
		config.worker = i;
		assert_int_equal(herd_create(&sim->herd[i], &config, &output), 0);
	}
}

static void create_registrars(struct sim *sim)
{
	for (int p = 0; p < PROXIES; p++) {
		struct registrar_config config = sim->config.registrar;
		sim->answers[p] = (struct sim_answers){sim, (enum proxy)p};
		struct registrar_output output = {&sim->answers[p], registrar_buffer};
		config.capacity = sim->config.herd.fleet_phones;
		config.identities = sim->identities;
		config.seed = random_next(&sim->random);
		sim->registrar[p] = registrar_create(&config, &output);
		assert_non_null(sim->registrar[p]);
		sim->registrar_us[p] = UINT64_MAX;
		sim->path[p][SIM_OUT].delay_us = sim->path[p][SIM_BACK].delay_us = 500;
	}
}

struct sim *sim_create(const struct sim_config *config)
{
	struct identity_error error;
	struct sim *sim = calloc(1, sizeof(*sim));
	assert_non_null(sim);
	assert_in_range(config->slices, 1, SIM_SLICES_MAX);
	sim->config = *config;
	random_seed(&sim->random, config->seed);
	assert_int_equal(
		address_plan_parse(config->ipv6 ? "2001:db8::/64" : "10.0.0.0/8", &sim->plan), 0);
	assert_int_equal(
		identity_patterns(&sim->identities, "2{n:07}", NULL,
			config->passwords ? "pw-{user}" : NULL, config->herd.fleet_phones, &error),
		0);
	struct herd_config *herd = &sim->config.herd;
	herd->identities = sim->identities;
	herd->seed = random_next(&sim->random);
	herd->secret = random_next(&sim->random);
	set_proxies(sim, herd);
	sim->queue = queue_create();
	assert_int_equal(mirror_create(&sim->mirror, herd->fleet_phones, config->slices,
				 config->records, config->watched),
		0);
	atomic_store(&sim->mirror->unix_start_us, UNIX_START_US);
	herd->mirror = sim->mirror;
	struct model_source source = {sim, model_record, model_contact, model_look};
	sim->model = model_create(herd, &source, config->seed);
	struct witness_source phones = {sim, model_record};
	sim->witness = witness_create(sim->mirror, herd, &phones, sim->model);
	create_herds(sim);
	create_registrars(sim);
	const char *traced = getenv("SIM_TRACE");
	sim->traced = traced ? (uint32_t)strtoul(traced, NULL, 0) : UINT32_MAX;
	return sim;
}

void sim_free(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->config.slices; i++)
		herd_free(sim->herd[i]);
	for (int p = 0; p < PROXIES; p++)
		registrar_free(sim->registrar[p]);
	model_free(sim->model);
	witness_free(sim->witness);
	mirror_free(sim->mirror);
	queue_free(sim->queue);
	identity_free(sim->identities);
	free(sim->sent.item);
	free(sim->answered.item);
	free(sim);
}

/* ---- the network ---- */

static void print_traced(const struct sim *sim, const char *what, const struct datagram *d)
{
	if (d->phone == sim->traced)
		fprintf(stderr, "--- %.6f s %s %s\n%.*s", (double)sim->now_us / 1e6, what,
			proxy_name(d->proxy), (int)d->length, d->text);
}

static void depart(
	struct sim *sim, const struct emission *e, enum sim_direction direction, uint32_t block)
{
	const struct sim_path *path = &sim->path[e->proxy][direction];
	uint64_t delay = path->delay_us + random_below(&sim->random, path->jitter_us + 1);
	if (random_chance(&sim->random, path->reorder_ppm))
		delay += random_below(&sim->random, path->reorder_us + 1);
	queue_add(
		sim->queue, &(struct event){.at_us = sim->now_us + delay,
				    .block = block,
				    .phone = e->phone,
				    .length = e->length,
				    .kind = direction == SIM_OUT ? EVENT_TO_PROXY : EVENT_TO_PHONE,
				    .proxy = e->proxy});
}

/* Puts a datagram on its way, or loses it, or doubles it. Its block is the network's now. */
static void travel(struct sim *sim, const struct emission *e, enum sim_direction direction)
{
	const struct sim_path *path = &sim->path[e->proxy][direction];
	if (path->cut || random_chance(&sim->random, path->loss_ppm)) {
		queue_block_give(sim->queue, e->block);
		return;
	}
	depart(sim, e, direction, e->block);
	if (!random_chance(&sim->random, path->duplicate_ppm))
		return;
	uint32_t copy = queue_block_take(sim->queue);
	memcpy(queue_block(sim->queue, copy), queue_block(sim->queue, e->block), e->length);
	depart(sim, e, direction, copy);
}

/* What the herd wrote during its last call: judged, then sent. */
static void flush_sent(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->sent.count; i++) {
		const struct emission *e = &sim->sent.item[i];
		struct datagram d;
		bool sound = datagram_read(queue_block(sim->queue, e->block), e->length, &d);
		d.phone = e->phone;
		d.proxy = e->proxy;
		d.now_us = sim->now_us;
		print_traced(sim, "sent to", &d);
		if (!sound)
			model_violated(sim->model, e->phone, sim->now_us,
				"a phone sends what is no SIP message");
		model_sent(sim->model, &d);
		witness_sent(sim->witness, &d, e->looked);
		if (sim->config.hooks.sent)
			sim->config.hooks.sent(sim->config.hooks.context, &d);
		if (e->lost)
			queue_block_give(sim->queue, e->block);
		else
			travel(sim, e, SIM_OUT);
	}
	witness_event(sim->witness, UINT32_MAX, sim->now_us);
	for (uint32_t i = 0; i < sim->sent.count; i++) {
		model_verify(sim->model, sim->sent.item[i].phone, sim->now_us);
		witness_event(sim->witness, sim->sent.item[i].phone, sim->now_us);
	}
	sim->sent.count = 0;
}

static void flush_answered(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->answered.count; i++)
		travel(sim, &sim->answered.item[i], SIM_BACK);
	sim->answered.count = 0;
}

/* ---- events ---- */

static void at_proxy(struct sim *sim, const struct event *event)
{
	const uint8_t *text = queue_block(sim->queue, event->block);
	const struct sim_hooks *hooks = &sim->config.hooks;
	struct endpoint from = {0};
	if (hooks->arrived) {
		struct datagram d;
		datagram_read(text, event->length, &d);
		d.phone = event->phone;
		d.proxy = event->proxy;
		d.now_us = sim->now_us;
		if (hooks->arrived(hooks->context, sim, &d))
			return;
	}
	address_plan_at(&sim->plan, event->phone, &from.address, &from.port);
	registrar_datagram(sim->registrar[event->proxy], &from, text, event->length, sim->now_us);
	/* It may hold an answer back: ask it at the next millisecond. */
	sim->registrar_us[event->proxy] = 0;
	flush_answered(sim);
}

/* Datagrams that an impairment has kept the herd from reading when they came. */
static uint64_t herd_kept_away(const struct herd *herd)
{
	const struct herd_counters *c = herd_counters(herd);
	return c->impaired_received + c->impaired_delayed + c->impaired_overflow;
}

/* The herd has read this; what it has sent since is judged after it. */
static void judge_received(struct sim *sim, struct datagram *d, bool sound)
{
	if (!sound) {
		model_disturb(sim->model, d->phone, sim->now_us);
		return;
	}
	model_receive(sim->model, d);
	if (sim->config.hooks.read)
		sim->config.hooks.read(sim->config.hooks.context, d);
}

static void at_phone(struct sim *sim, const struct event *event)
{
	const uint8_t *text = queue_block(sim->queue, event->block);
	struct datagram d;
	bool sound = datagram_read(text, event->length, &d);
	d.phone = event->phone;
	d.proxy = event->proxy;
	d.now_us = sim->now_us;
	print_traced(sim, "received from", &d);
	struct herd *herd = sim->herd[event->phone % sim->config.slices];
	const uint64_t kept_away = herd_kept_away(herd);
	herd_datagram(herd, event->phone, event->proxy, text, event->length, sim->now_us);
	if (herd_kept_away(herd) == kept_away)
		judge_received(sim, &d, sound);
	flush_sent(sim);
	model_verify(sim->model, event->phone, sim->now_us);
	witness_event(sim->witness, event->phone, sim->now_us);
}

static void happen(struct sim *sim, const struct event *event)
{
	if (event->at_us > sim->now_us)
		sim->now_us = event->at_us;
	switch (event->kind) {
	case EVENT_TO_PROXY:
		at_proxy(sim, event);
		break;
	case EVENT_TO_PHONE:
		at_phone(sim, event);
		break;
	default:
		model_verify(sim->model, event->phone, sim->now_us);
		witness_event(sim->witness, event->phone, sim->now_us);
	}
	if (event->block != QUEUE_NO_BLOCK)
		queue_block_give(sim->queue, event->block);
}

static void herd_held(
	void *context, uint32_t phone, enum proxy proxy, const void *datagram, size_t length)
{
	struct sim *sim = context;
	struct datagram d;
	flush_sent(sim);
	const bool sound = datagram_read(datagram, length, &d);
	d.phone = phone;
	d.proxy = (uint8_t)proxy;
	d.now_us = sim->now_us;
	print_traced(sim, "received late from", &d);
	judge_received(sim, &d, sound);
	if (sim->helds < HELD_MAX)
		sim->held[sim->helds++] = phone;
}

/* Who has read what was held back did so before the timers of this moment, so that he is only looked at when
 * all of those have been fired. */
static void verify_held(struct sim *sim)
{
	for (; sim->helds > 0; sim->helds--) {
		const uint32_t phone = sim->held[sim->helds - 1];
		model_verify(sim->model, phone, sim->now_us);
		witness_event(sim->witness, phone, sim->now_us);
	}
}

static void advance_herds(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->config.slices; i++) {
		while (!herd_advance(sim->herd[i], sim->now_us, sim->config.budget))
			flush_sent(sim);
		flush_sent(sim);
		verify_held(sim);
	}
}

static void advance_registrars(struct sim *sim)
{
	for (int p = 0; p < PROXIES; p++) {
		if (sim->registrar_us[p] > sim->now_us)
			continue;
		sim->registrar_us[p] = registrar_advance(sim->registrar[p], sim->now_us);
		flush_answered(sim);
	}
}

/* One millisecond: what is due at its beginning, then its events in their order. */
static void run_slot(struct sim *sim, uint64_t slot_ms)
{
	struct event event;
	sim->now_us = slot_ms * 1000;
	queue_open(sim->queue, slot_ms);
	advance_herds(sim);
	advance_registrars(sim);
	while (queue_take(sim->queue, &event))
		happen(sim, &event);
	struct herd_counters counters = sim_counters(sim);
	model_count(sim->model, &counters, sim->now_us);
}

/* The next slot with anything to do, at most end_ms. */
static uint64_t next_slot(const struct sim *sim, uint64_t from_ms, uint64_t end_ms)
{
	uint64_t best = end_ms * 1000;
	for (uint32_t i = 0; i < sim->config.slices; i++)
		best = herd_next_us(sim->herd[i], best);
	for (int p = 0; p < PROXIES; p++)
		if (sim->registrar_us[p] < best)
			best = sim->registrar_us[p];
	uint64_t slot = (best + 999) / 1000;
	slot = queue_next_ms(sim->queue, slot);
	return slot < from_ms ? from_ms : slot;
}

uint64_t sim_now_us(const struct sim *sim)
{
	return sim->now_us;
}

void sim_run(struct sim *sim, uint64_t until_us)
{
	uint64_t slot = (sim->now_us + 999) / 1000, end = until_us / 1000;
	while (slot < end) {
		run_slot(sim, slot++);
		if (sim->config.jump)
			slot = next_slot(sim, slot, end);
	}
	/* After a long rest the calendar would be too far behind for what is added now. */
	if (sim->config.jump && end > 0)
		queue_open(sim->queue, end - 1);
	sim->now_us = until_us;
}

void sim_run_for(struct sim *sim, uint64_t us)
{
	sim_run(sim, sim->now_us + us);
}

void sim_order(struct sim *sim, const struct herd_command *command)
{
	/* What is due up to this moment comes before the command. */
	advance_herds(sim);
	model_command(sim->model, command, sim->now_us);
	for (uint32_t i = 0; i < sim->config.slices; i++)
		assert_true(herd_command(sim->herd[i], command, sim->now_us));
	advance_herds(sim);
	if (command->kind != HERD_START)
		model_sweep(sim->model, sim->now_us);
}

void sim_command(struct sim *sim, enum herd_command_kind kind, uint32_t first, uint32_t count,
	uint32_t delay_ms)
{
	const struct herd_command command = {.kind = (uint8_t)kind,
		.first = first,
		.count = count,
		.delay_ms = delay_ms,
		.begin_us = sim->now_us};
	sim_order(sim, &command);
}

void sim_start(struct sim *sim)
{
	sim_command(sim, HERD_START, 0, UINT32_MAX, 0);
}

void sim_impair(struct sim *sim, enum proxy proxy, const struct impairment *impairment)
{
	const struct herd_command command = {
		.kind = HERD_IMPAIR, .proxy = (uint8_t)proxy, .impairment = *impairment};
	advance_herds(sim);
	for (uint32_t i = 0; i < sim->config.slices; i++)
		assert_true(herd_command(sim->herd[i], &command, sim->now_us));
}

void sim_path(struct sim *sim, enum proxy proxy, enum sim_direction direction,
	const struct sim_path *path)
{
	sim->path[proxy][direction] = *path;
}

void sim_paths(struct sim *sim, const struct sim_path *path)
{
	for (int p = 0; p < PROXIES; p++)
		sim->path[p][SIM_OUT] = sim->path[p][SIM_BACK] = *path;
}

void sim_cut(struct sim *sim, enum proxy proxy, bool cut)
{
	sim->path[proxy][SIM_OUT].cut = sim->path[proxy][SIM_BACK].cut = cut;
}

void sim_faults(struct sim *sim, enum proxy proxy, const struct registrar_faults *faults)
{
	sim->faults[proxy] = *faults;
	registrar_set_faults(sim->registrar[proxy], faults);
}

void sim_crash(struct sim *sim, enum proxy proxy, bool crashed)
{
	sim->faults[proxy].crashed = crashed;
	registrar_set_faults(sim->registrar[proxy], &sim->faults[proxy]);
}

void sim_inject(struct sim *sim, uint32_t phone, enum proxy proxy, const char *text, size_t length,
	uint64_t delay_us)
{
	assert_in_range(length, 0, QUEUE_BLOCK);
	uint32_t block = queue_block_take(sim->queue);
	memcpy(queue_block(sim->queue, block), text, length);
	queue_add(sim->queue, &(struct event){.at_us = sim->now_us + delay_us,
				      .block = block,
				      .phone = phone,
				      .length = (uint16_t)length,
				      .kind = EVENT_TO_PHONE,
				      .proxy = (uint8_t)proxy});
}

void sim_unreachable(struct sim *sim, uint32_t phone, enum proxy proxy)
{
	advance_herds(sim);
	model_unreachable(sim->model, phone, (uint8_t)proxy, sim->now_us);
	herd_unreachable(sim->herd[phone % sim->config.slices], phone, proxy, sim->now_us);
	flush_sent(sim);
	model_verify(sim->model, phone, sim->now_us);
}

/* ---- looking at it ---- */

struct mirror *sim_mirror(const struct sim *sim)
{
	return sim->mirror;
}

struct model *sim_model(const struct sim *sim)
{
	return sim->model;
}

const struct registrar *sim_registrar(const struct sim *sim, enum proxy proxy)
{
	return sim->registrar[proxy];
}

struct herd_counters sim_counters(const struct sim *sim)
{
	struct herd_counters sum = *herd_counters(sim->herd[0]);
	for (uint32_t i = 1; i < sim->config.slices; i++)
		counters_add(&sum, herd_counters(sim->herd[i]), herd_counters_count);
	return sum;
}

struct herd_population sim_population(const struct sim *sim)
{
	struct herd_population sum = *herd_population(sim->herd[0]);
	for (uint32_t i = 1; i < sim->config.slices; i++)
		for (int state = 0; state < PHONE_STATES; state++)
			for (int p = 0; p < PROXIES; p++)
				sum.phones[state][p] += herd_population(sim->herd[i])
								->phones[state][p];
	return sum;
}

void sim_histograms(const struct sim *sim, struct herd_histograms *out)
{
	herd_histograms_reset(out);
	for (uint32_t i = 0; i < sim->config.slices; i++)
		herd_histograms_merge(out, herd_histograms(sim->herd[i]));
}

struct proxy_counters sim_proxy_counters(const struct sim *sim, enum proxy proxy)
{
	struct proxy_counters sum = {0};
	for (uint32_t i = 0; i < sim->config.slices; i++)
		counters_add(&sum, &herd_proxy_counters(sim->herd[i])[proxy], proxy_counters_count);
	return sum;
}

void sim_series(const struct sim *sim, struct series *out)
{
	const struct series *of[SIM_SLICES_MAX];
	for (uint32_t i = 0; i < sim->config.slices; i++)
		of[i] = herd_series(sim->herd[i]);
	series_merge(out, of, sim->config.slices);
}

uint64_t sim_herd_memory(const struct sim *sim)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < sim->config.slices; i++)
		sum += herd_memory(sim->herd[i]);
	return sum;
}

uint64_t sim_own_memory(const struct sim *sim)
{
	return queue_memory(sim->queue) + model_memory(sim->model);
}

/* The herd's tally of its phones against their records. */
static void check_population(struct sim *sim)
{
	struct herd_population tally = sim_population(sim), counted = {0};
	for (uint32_t i = 0; i < sim->config.herd.fleet_phones; i++) {
		const struct phone *record = sim_phone(sim, i);
		counted.phones[record->state][phone_active(record)]++;
	}
	if (memcmp(&tally, &counted, sizeof(tally)) != 0)
		model_violated(sim->model, UINT32_MAX, sim->now_us,
			"the population does not agree with the records");
}

void sim_check(struct sim *sim)
{
	advance_herds(sim);
	model_sweep(sim->model, sim->now_us);
	struct herd_counters counters = sim_counters(sim);
	model_count(sim->model, &counters, sim->now_us);
	static struct herd_histograms histograms;
	sim_histograms(sim, &histograms);
	model_durations(sim->model, &histograms, sim->now_us);
	check_population(sim);
	witness_sweep(sim->witness, &counters, sim->now_us);
	for (uint32_t i = 0; i < sim->config.slices; i++)
		assert_int_equal(mirror_lines_dropped(sim->mirror, MIRROR_STORE, i), 0);
}

void sim_check_registered(struct sim *sim, enum proxy proxy)
{
	sim_check(sim);
	for (uint32_t i = 0; i < sim->config.herd.fleet_phones; i++) {
		uint8_t at = model_registered_at(sim->model, i);
		char user[IDENTITY_TEXT_MAX];
		size_t length = identity_user(sim->identities, i, user);
		if (at == PROXIES || (proxy != PROXIES && at != proxy))
			model_violated(
				sim->model, i, sim->now_us, "not registered where it must be");
		if (!registrar_is_bound(sim->registrar[at], user, length, sim->now_us))
			model_violated(sim->model, i, sim->now_us,
				"the %s registrar does not know the phone", proxy_name(at));
	}
}

void sim_finish(struct sim *sim)
{
	sim_command(sim, HERD_STOP, 0, UINT32_MAX, 0);
	/* The longest answer still on its way, and timer F of the last Expires 0. */
	sim_run_for(sim, 70 * SIM_SECOND);
	sim_check(sim);
	for (uint32_t i = 0; i < sim->config.herd.fleet_phones; i++)
		if (model_open(sim->model, i) > 0 || sim_phone(sim, i)->state != PHONE_OFF)
			model_violated(sim->model, i, sim->now_us, "stopped and not quiet");
	for (uint32_t i = 0; i < sim->config.slices; i++)
		assert_true(herd_is_quiet(sim->herd[i]));
	assert_int_equal(queue_blocks(sim->queue), 0);
	assert_true(witness_seen(sim->witness) >= sim->config.herd.fleet_phones);
}
