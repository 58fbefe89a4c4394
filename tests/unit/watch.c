/* SPDX-License-Identifier: BSD-3-Clause */
/* The phones as people see them: whoever has a map and the batches after it has what the records say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <cmocka.h>

#include "history.h"
#include "watch.h"

#define TICK_US 100000
#define START_MS 1000000ull
#define UNKNOWN UINT64_MAX

static uint64_t seed, published;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* Somebody who has a map and follows the batches. */
struct client {
	struct watch *watch;
	uint32_t phones;
	uint8_t *state;
	uint64_t sequence; /* UNKNOWN: needs a map */
	uint64_t newest;   /* told so far */
	unsigned deltas, resyncs, transitions;
	uint16_t *number; /* of each phone's newest line */
	uint64_t lines;
	bool gapless;
	uint64_t now_us, told_us;
};

static void at_most_four_a_second(struct client *client, uint64_t sequence)
{
	assert_int_equal(sequence, client->newest + 1);
	assert_true(client->now_us - client->told_us >= 250000 || client->newest == 0);
	client->newest = sequence;
	client->told_us = client->now_us;
}

static void on_delta(void *context, uint64_t sequence, const uint8_t *records, size_t count)
{
	struct client *client = context;
	static uint64_t seen[1 << 20];
	at_most_four_a_second(client, sequence);
	client->deltas++;
	assert_in_range(count, 1, WATCH_DELTA_MAX);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *r = &records[i * WATCH_DELTA_RECORD];
		const uint32_t phone = (uint32_t)r[0] << 24 | r[1] << 16 | r[2] << 8 | r[3];
		assert_true(phone < client->phones && r[4] < WATCH_STATES);
		assert_true(seen[phone] != sequence); /* each phone once */
		seen[phone] = sequence;
		client->state[phone] = r[4];
	}
	for (size_t i = 0; i < count; i++) {
		const uint8_t *r = &records[i * WATCH_DELTA_RECORD];
		seen[(uint32_t)r[0] << 24 | r[1] << 16 | r[2] << 8 | r[3]] = 0;
	}
	if (client->sequence != UNKNOWN && sequence > client->sequence)
		client->sequence = sequence;
}

static void on_resync(void *context, uint64_t sequence)
{
	struct client *client = context;
	at_most_four_a_second(client, sequence);
	client->resyncs++;
	client->sequence = UNKNOWN;
}

static void on_transition(void *context, const struct watch_transition *transition)
{
	struct client *client = context;
	assert_true(transition->phone < client->phones && transition->unix_ms >= START_MS);
	client->transitions++;
}

/* Where none is lost and all are of this run, each phone's lines come without a gap. */
static void on_lines(void *context, const struct mirror_line *line, size_t count)
{
	struct client *client = context;
	for (size_t i = 0; i < count; i++) {
		const uint16_t number = (uint16_t)line[i].at;
		if (client->gapless)
			assert_int_equal(number, (uint16_t)(client->number[line[i].phone] + 1));
		client->number[line[i].phone] = number;
	}
	client->lines += count;
}

/* The nibbles of the map as it is served, one byte each; its sequence number. */
static uint64_t unpack_map(struct watch *watch, uint32_t phones, uint8_t *out)
{
	size_t length;
	const uint8_t *map = watch_map(watch, &length);
	const uint32_t size = WATCH_MAP_HEADER + (phones + 1) / 2;
	uint8_t *text = malloc(size + 1);
	uint64_t sequence = 0;
	assert_non_null(map);
	z_stream z = {.next_in = (uint8_t *)map,
		.avail_in = (uInt)length,
		.next_out = text,
		.avail_out = size + 1};
	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, size);
	inflateEnd(&z);
	assert_memory_equal(text, "SHM1", 4);
	assert_int_equal((uint32_t)text[4] << 24 | text[5] << 16 | text[6] << 8 | text[7], phones);
	for (int i = 8; i < WATCH_MAP_HEADER; i++)
		sequence = sequence << 8 | text[i];
	for (uint32_t i = 0; i < phones; i++)
		out[i] = text[WATCH_MAP_HEADER + i / 2] >> i % 2 * 4 & 15;
	free(text);
	return sequence;
}

static void begin(struct client *client, struct mirror **mirror, uint32_t phones, unsigned workers)
{
	const struct watch_events events = {client, on_delta, on_resync, on_transition, on_lines};
	assert_int_equal(mirror_create(mirror, phones, workers, NULL, true), 0);
	atomic_store(&(*mirror)->unix_start_us, START_MS * 1000);
	*client = (struct client){.phones = phones,
		.state = calloc(phones, 1),
		.sequence = UNKNOWN,
		.number = calloc(phones, sizeof(uint16_t))};
	assert_int_equal(watch_open(&client->watch, *mirror, &events), 0);
}

static void end(struct client *client, struct mirror *mirror)
{
	watch_close(client->watch);
	mirror_free(mirror);
	free(client->state);
	free(client->number);
}

static void tick(struct client *client)
{
	client->now_us += TICK_US;
	watch_update(client->watch, client->now_us);
}

static void drive(struct mirror *mirror, uint32_t shard, unsigned worker, bool driven)
{
	atomic_store(&mirror->driven[shard * mirror->workers + worker], driven);
}

/* Phone's next transition, into any state. */
static void transit(struct mirror *mirror, uint32_t phone)
{
	struct record_view view;
	record_load(&mirror->record[phone], &view);
	const uint8_t before = (uint8_t)(view.last_tried << 2 | view.registered);
	view.version = RECORD_VERSION;
	view.phase = (uint8_t)random_below(PHONE_STATES);
	view.last_tried = (uint8_t)(1 + random_below(PROXIES));
	view.registered = view.phase == PHONE_REGISTERED ? view.last_tried : 0;
	view.cause = (uint8_t)random_below(RECORD_CAUSES);
	view.transition++;
	view.since_unix_ms = START_MS + view.transition;
	published++;
	mirror_publish(mirror, phone % mirror->workers, phone, &view, before);
}

/* Nothing happens for long enough that all is told: then all agree. */
static void all_agree(struct client *client, struct mirror *mirror)
{
	uint32_t count[WATCH_STATES] = {0}, told[WATCH_STATES];
	for (int i = 0; i < 40; i++)
		tick(client);
	if (client->sequence == UNKNOWN)
		client->sequence = unpack_map(client->watch, client->phones, client->state);
	assert_int_equal(client->sequence, watch_sequence(client->watch));
	for (uint32_t i = 0; i < client->phones; i++) {
		struct record_view view;
		record_load(&mirror->record[i], &view);
		const enum watch_state state = watch_state_of(
			&view, !mirror_shard_stopped(mirror, i / SHARD_PHONES));
		assert_int_equal(client->state[i], state);
		assert_int_equal(watch_state(client->watch, i), state);
		count[state]++;
	}
	watch_count(client->watch, told);
	assert_memory_equal(told, count, sizeof(count));
	uint8_t *again = malloc(client->phones);
	assert_int_equal(unpack_map(client->watch, client->phones, again), client->sequence);
	assert_memory_equal(again, client->state, client->phones);
	free(again);
}

static void names_and_states(void **state)
{
	(void)state;
	static const struct {
		uint8_t phase, tried;
		const char *name;
	} rows[] = {{PHONE_OFF, 1, "off"}, {PHONE_BOOT, 1, "trying-primary"},
		{PHONE_REGISTERING, 2, "trying-redundant"}, {PHONE_WAITING, 1, "trying-primary"},
		{PHONE_REGISTERED, 1, "registered-primary"},
		{PHONE_REGISTERED, 2, "registered-redundant"}, {PHONE_SWITCHING, 2, "failing-over"},
		{PHONE_SWITCHING, 1, "failing-back"}};
	struct record_view view = {0};
	assert_string_equal(watch_state_name(watch_state_of(&view, true)), "off");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		view = (struct record_view){.version = RECORD_VERSION,
			.phase = rows[i].phase,
			.last_tried = rows[i].tried};
		assert_string_equal(watch_state_name(watch_state_of(&view, true)), rows[i].name);
		assert_string_equal(watch_state_name(watch_state_of(&view, false)), "elsewhere");
	}
	assert_string_equal(watch_state_name(WATCH_STATES), "?");
}

/* A record that an earlier run left says nothing of a phone that has not been powered on yet. */
static void records_of_an_earlier_run(void **state)
{
	(void)state;
	struct client client;
	struct mirror *mirror;
	begin(&client, &mirror, 3, 1);
	const struct record_view old = {.version = RECORD_VERSION,
		.phase = PHONE_REGISTERED,
		.registered = 1,
		.last_tried = 1,
		.transition = 7,
		.since_unix_ms = START_MS - 1};
	record_store(&mirror->record[1], &old, 0, 4);
	tick(&client);
	assert_int_equal(watch_state(client.watch, 1), WATCH_ELSEWHERE);
	drive(mirror, 0, 0, true);
	tick(&client);
	assert_int_equal(watch_state(client.watch, 1), WATCH_OFF);
	transit(mirror, 1);
	all_agree(&client, mirror);
	end(&client, mirror);
}

/* A walk: phones change, shards come and go, lines are lost, and somebody who looks now and then. */
static void walk(uint32_t phones, unsigned workers, unsigned ticks, uint32_t burst)
{
	struct client client;
	struct mirror *mirror;
	begin(&client, &mirror, phones, workers);
	published = 0;
	client.gapless = burst <= MIRROR_FEED_LINES;
	for (unsigned i = 0; i < ticks; i++) {
		if (random_below(8) == 0)
			drive(mirror, random_below(mirror->shards), random_below(workers),
				random_below(3) > 0);
		const uint32_t n = random_below(30) == 0 ? random_below(burst) : random_below(200);
		for (uint32_t k = 0; k < n; k++)
			transit(mirror, random_below(phones));
		if (random_below(4) > 0)
			tick(&client);
		if (random_below(10) == 0)
			client.sequence = unpack_map(client.watch, phones, client.state);
		if (random_below(60) == 0)
			all_agree(&client, mirror);
	}
	all_agree(&client, mirror);
	assert_int_equal(client.lines + watch_dropped(client.watch), published);
	if (burst > MIRROR_FEED_LINES * workers)
		assert_true(watch_dropped(client.watch) > 0);
	assert_true(client.deltas > 0 && client.transitions > 0);
	end(&client, mirror);
}

static void deltas_after_a_map_are_the_records(void **state)
{
	(void)state;
	walk(7, 1, 600, 100);
	walk(20000, 3, 600, 30000);
	walk(60001, 2, 300, 60000);
}

static void whatever_was_dropped(void **state)
{
	(void)state;
	struct client client;
	struct mirror *mirror;
	begin(&client, &mirror, 45000, 2);
	for (uint32_t shard = 0; shard < mirror->shards; shard++)
		drive(mirror, shard, 1, true);
	for (int round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < MIRROR_FEED_LINES * 3; i++)
			transit(mirror, random_below(45000));
		tick(&client);
		transit(mirror, 5);
		all_agree(&client, mirror);
		assert_true(watch_dropped(client.watch) > (uint64_t)round * MIRROR_FEED_LINES / 2);
	}
	end(&client, mirror);
}

/* A batch tells what changed since the one before, the newest only, and 20 transitions a second. */
static void batches_and_samples(void **state)
{
	(void)state;
	struct client client;
	struct mirror *mirror;
	begin(&client, &mirror, 40000, 1);
	for (uint32_t shard = 0; shard < mirror->shards; shard++)
		drive(mirror, shard, 0, true);
	all_agree(&client, mirror);
	const unsigned resyncs = client.resyncs, deltas = client.deltas;
	assert_int_equal(resyncs, 1); /* 40,000 came here */
	client.transitions = 0;
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 100; k++)
			transit(mirror, random_below(10));
		tick(&client);
	}
	assert_in_range(client.deltas - deltas, 16, 17); /* one in three ticks */
	assert_int_equal(client.resyncs, resyncs);
	assert_in_range(client.transitions, 50 * 2 - 2, 50 * 2 + 2);
	end(&client, mirror);
}

/* An update leaves lines of a burst for the next one; who measures takes them all, each once. */
static void all_lines_at_once(void **state)
{
	(void)state;
	const uint64_t burst = MIRROR_FEED_LINES;
	struct client client;
	struct mirror *mirror;
	begin(&client, &mirror, 1000, 2);
	client.gapless = true;
	for (uint64_t i = 0; i < 2 * burst; i++)
		transit(mirror, (uint32_t)(i % 1000));
	tick(&client);
	assert_in_range(client.lines, 1, burst);
	watch_take(client.watch);
	assert_int_equal(client.lines, 2 * burst);
	assert_int_equal(watch_dropped(client.watch), 0);
	drive(mirror, 0, 0, true);
	all_agree(&client, mirror);
	end(&client, mirror);
}

#define HISTORY_PHONES 300

static void history_is_what_happened(void **state)
{
	(void)state;
	static struct mirror_line all[HISTORY_PHONES][1000];
	struct mirror_line got[WATCH_HISTORY];
	static uint32_t count[HISTORY_PHONES];
	struct history history;
	bool complete, some_complete = false, some_lost = false;
	assert_true(history_open(&history, HISTORY_PHONES));
	history.last = UINT32_MAX - 20000; /* the number comes round */
	assert_int_equal(history_read(&history, 0, got, WATCH_HISTORY, &complete), 0);
	for (uint32_t i = 0; i < 60000; i++) {
		/* Some were last seen long ago, others have just come; one never does. */
		const uint32_t phone = i < 1000    ? 200 + i % 50
				       : i > 59000 ? 250 + i % (HISTORY_PHONES - 251)
						   : random_below(200);
		const uint32_t n = count[phone];
		if (n == 1000)
			continue;
		const struct mirror_line line = {
			.phone = phone, .cause = (uint8_t)n, .at = (uint64_t)i << 16 | (n + 1)};
		all[phone][count[phone]++] = line;
		history_add(&history, &line);
	}
	for (uint32_t phone = 0; phone < HISTORY_PHONES; phone++) {
		const size_t n = history_read(&history, phone, got, WATCH_HISTORY, &complete);
		for (size_t i = 0; i < n; i++)
			assert_memory_equal(
				&got[i], &all[phone][count[phone] - 1 - i], sizeof(got[i]));
		assert_true(n <= count[phone]);
		assert_int_equal(complete, n > 0 && n == count[phone]);
		some_complete |= complete;
		some_lost |= n < count[phone] && n < WATCH_HISTORY;
	}
	assert_true(some_complete && some_lost);
	history_close(&history);
}

static void history_of_a_phone(void **state)
{
	(void)state;
	struct client client;
	struct mirror *mirror;
	struct watch_transition got[WATCH_HISTORY];
	bool complete;
	begin(&client, &mirror, 10, 1);
	drive(mirror, 0, 0, true);
	for (int i = 0; i < 32; i++)
		transit(mirror, 3);
	transit(mirror, 4);
	tick(&client);
	assert_int_equal(watch_history(client.watch, 3, got, &complete), 32);
	assert_true(complete);
	assert_int_equal(got[0].number, 32);
	assert_int_equal(got[0].unix_ms, START_MS + 32);
	assert_int_equal(got[31].number, 1);
	assert_int_equal(watch_history(client.watch, 9, got, &complete), 0);
	assert_true(complete);
	transit(mirror, 3);
	tick(&client);
	assert_int_equal(watch_history(client.watch, 3, got, &complete), 32);
	assert_false(complete);
	end(&client, mirror);
}

struct worker {
	struct mirror *mirror;
	unsigned which;
	uint32_t phones;
	_Atomic unsigned *ended;
};

/* A worker of its own thread; its phones are its own. */
static void *work(void *context)
{
	const struct worker *worker = context;
	for (uint32_t i = 0; i < 1500000; i++) {
		const uint32_t phone = i * 7919 % (worker->phones / 2) * 2 + worker->which;
		const struct record_view view = {.version = RECORD_VERSION,
			.phase = (uint8_t)((i >> 3) % PHONE_STATES),
			.last_tried = (uint8_t)(1 + i % 2),
			.transition = (uint16_t)i,
			.since_unix_ms = START_MS + i};
		mirror_publish(worker->mirror, worker->which, phone, &view, 0);
	}
	atomic_fetch_add(worker->ended, 1);
	return NULL;
}

static void while_workers_run(void **state)
{
	(void)state;
	struct client client;
	struct mirror *mirror;
	_Atomic unsigned ended = 0;
	pthread_t thread[2];
	begin(&client, &mirror, 30000, 2);
	struct worker worker[2] = {{mirror, 0, 30000, &ended}, {mirror, 1, 30000, &ended}};
	for (uint32_t shard = 0; shard < mirror->shards; shard++)
		drive(mirror, shard, 0, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
	while (atomic_load(&ended) < 2) {
		tick(&client);
		if (random_below(5) == 0)
			client.sequence = unpack_map(client.watch, 30000, client.state);
		sched_yield();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	all_agree(&client, mirror);
	end(&client, mirror);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_states),
		cmocka_unit_test(records_of_an_earlier_run),
		cmocka_unit_test(deltas_after_a_map_are_the_records),
		cmocka_unit_test(whatever_was_dropped),
		cmocka_unit_test(batches_and_samples),
		cmocka_unit_test(all_lines_at_once),
		cmocka_unit_test(history_is_what_happened),
		cmocka_unit_test(history_of_a_phone),
		cmocka_unit_test(while_workers_run),
	};
	const char *given = getenv("SEED");
	seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) | 1;
	printf("SEED=%" PRIu64 "\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
