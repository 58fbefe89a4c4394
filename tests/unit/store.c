/* SPDX-License-Identifier: BSD-3-Clause */
/* Store: whatever Redis does, in the end it has exactly the records of those who drive the phones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <ev.h>
#include <hiredis/hiredis.h>

#include "../store/churner.h"
#include "../store/redis_server.h"
#include "keys.h"
#include "placement.h"
#include "store.h"

#define SKIPPED 77
#define FLEET "unit"
#define TTL_MS 1200 /* a machine that is busy with others must not lose them */
#define WORKERS 2
#define LONG_MS 30000 /* a test that waits so long has failed */

static uint64_t seed;
static char folder[64], socket_path[96];
static pid_t redis_pid;
static struct ev_loop *loop;

/* --- Time: real, and set forward by the tests --- */

static _Atomic uint64_t skipped_us;

static uint64_t real_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A clock that is frozen holds up everybody who reads it: as good as SIGSTOP for a node's threads. */
static uint64_t test_now_us(const void *clock)
{
	const atomic_bool *frozen = clock;
	while (frozen != NULL && atomic_load(frozen))
		usleep(1000);
	return real_us() + atomic_load(&skipped_us);
}

/* --- A redis-server --- */

static redisContext *redis_connect(void)
{
	const struct timeval patience = {.tv_sec = 2};
	redisContext *redis = redisConnectUnixWithTimeout(socket_path, patience);
	if (redis != NULL && redis->err == 0) {
		redisSetTimeout(redis, patience);
		return redis;
	}
	redisFree(redis);
	return NULL;
}

static bool redis_answers(void)
{
	redisContext *redis = redis_connect();
	if (redis == NULL)
		return false;
	redisReply *reply = redisCommand(redis, "PING");
	const bool answers = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	freeReplyObject(reply);
	redisFree(redis);
	return answers;
}

static void redis_start(void)
{
	redis_pid = redis_server_start(folder, socket_path);
	assert_true(redis_pid > 0);
	for (int i = 0; i < 3000 && !redis_answers(); i++)
		usleep(10000);
	assert_true(redis_answers());
}

static void redis_kill(void)
{
	if (redis_pid <= 0)
		return;
	redis_server_kill(redis_pid, socket_path);
	redis_pid = 0;
}

static redisReply *ask(redisContext *redis, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	redisReply *reply = redisvCommand(redis, format, arguments);
	va_end(arguments);
	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", format, reply->str);
	return reply;
}

static void tell(redisContext *redis, const char *command)
{
	freeReplyObject(ask(redis, command));
}

/* --- A node: records, somebody who drives them, and a store --- */

struct node {
	struct mirror *mirror;
	struct churner *churner; /* NULL: the test is the worker */
	struct store *store;
	struct image image; /* only the tokens */
	struct churner_session *sessions;
	atomic_bool frozen;
	bool strict;
	bool eager; /* without a churner: each shard's first phone acts when it is adopted */
	char name[32];
	unsigned adopts, releases, warnings;
	char said[400]; /* the last warning */
};

static struct keys keys;
static struct node nodes[2]; /* of the test that runs; tear_down frees them */

static void drive(struct node *node, uint32_t first, uint32_t count, uint8_t driven)
{
	const uint32_t end = (first + count + SHARD_PHONES - 1) / SHARD_PHONES;
	for (uint32_t shard = first / SHARD_PHONES; shard < end; shard++)
		for (unsigned i = 0; i < WORKERS; i++)
			atomic_store(&node->mirror->driven[shard * WORKERS + i], driven);
}

static void publish(struct node *node, uint32_t phone, uint8_t registered, uint8_t last_tried,
	enum phone_state phase, enum record_cause cause, uint16_t transition, uint64_t at_ms);

static void on_adopt(void *context, uint32_t first, uint32_t count, bool moved)
{
	(void)moved;
	struct node *node = context;
	assert_int_equal(first % SHARD_PHONES, 0);
	node->adopts++;
	if (node->churner != NULL)
		churner_adopt(node->churner, first, count);
	else
		drive(node, first, count, 1);
	for (uint32_t phone = first; node->eager && phone < first + count; phone += SHARD_PHONES)
		publish(node, phone, 0, 1, PHONE_REGISTERING, RECORD_START, 1, 1700000000001);
}

static void on_release(void *context, uint32_t first, uint32_t count)
{
	struct node *node = context;
	node->releases++;
	if (node->churner != NULL)
		churner_release(node->churner, first, count);
	else
		drive(node, first, count, 0);
}

static void on_say(void *context, bool warning, const char *message)
{
	struct node *node = context;
	if (!warning)
		return;
	node->warnings++;
	snprintf(node->said, sizeof(node->said), "%s", message);
}

static void node_open(struct node *node, const char *name, uint32_t ttl_ms)
{
	struct store_config config = {.fleet = FLEET,
		.node = node->name,
		.version = "0.0",
		.mirror = node->mirror,
		.image = &node->image,
		.ttl_ms = ttl_ms,
		.strict = node->strict,
		.now_us = test_now_us,
		.clock = &node->frozen};
	const struct store_events events = {node, on_adopt, on_release, on_say};
	char reason[TARGET_REASON_MAX], url[128];
	snprintf(node->name, sizeof(node->name), "%s", name);
	snprintf(url, sizeof(url), "unix:%s", socket_path);
	assert_int_equal(target_parse(url, &config.target, reason), 0);
	assert_int_equal(store_open(&node->store, &config, &events, loop), 0);
}

static void node_make(struct node *node, uint32_t shards, bool churn)
{
	memset(node, 0, sizeof(*node));
	assert_int_equal(
		mirror_create(&node->mirror, shards * SHARD_PHONES - 77, WORKERS, NULL, false), 0);
	node->image.shard = calloc(shards, sizeof(*node->image.shard));
	node->sessions = calloc(WORKERS * CHURNER_SESSIONS, sizeof(*node->sessions));
	const struct churner_config config = {.mirror = node->mirror,
		.seed = seed++,
		.now_us = test_now_us,
		.clock = &node->frozen,
		.cpu = -1,
		.sessions = node->sessions};
	if (churn)
		assert_int_equal(churner_create(&node->churner, &config), 0);
}

static void node_free(struct node *node)
{
	store_close(node->store);
	churner_free(node->churner);
	mirror_free(node->mirror);
	free(node->image.shard);
	free(node->sessions);
	memset(node, 0, sizeof(*node));
}

static struct store_status status_of(const struct node *node)
{
	struct store_status status;
	store_status(node->store, &status);
	return status;
}

/* --- Waiting --- */

static void on_timer(struct ev_loop *ours, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(ours, EVBREAK_ALL);
}

static void spin(unsigned ms)
{
	ev_timer timer;
	ev_timer_init(&timer, on_timer, ms / 1e3, 0);
	ev_now_update(loop);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ev_timer_stop(loop, &timer);
}

#define WAIT_UNTIL(condition)                                                          \
	do {                                                                           \
		const uint64_t end_us = real_us() + (uint64_t)LONG_MS * 1000;          \
		while (!(condition) && real_us() < end_us)                             \
			spin(5);                                                       \
		if (!(condition))                                                      \
			fail_msg("never: %s; trouble: %s", #condition, nodes[0].said); \
	} while (0)

/* Everything was written: by what the store's thread saw after we asked. */
static bool is_calm(const struct node *node)
{
	const uint64_t asked_us = test_now_us(NULL);
	struct store_status status;
	WAIT_UNTIL((status = status_of(node)).at_us > asked_us);
	return status.lag_us == 0 && status.dirty_shards == 0 && status.connected &&
	       status.unleased == 0;
}

static bool drives(const struct node *node, uint32_t shard)
{
	return !mirror_shard_stopped(node->mirror, shard);
}

static uint32_t driven_by(const struct node *node)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < node->mirror->shards; i++)
		n += drives(node, i);
	return n;
}

/* How many records of shards that the node drives are different in Redis. */
static uint32_t differences(const struct node *node)
{
	redisContext *redis = redis_connect();
	char key[KEY_MAX];
	uint32_t n = 0;
	for (uint32_t shard = 0; shard < node->mirror->shards; shard++) {
		const uint32_t phones = mirror_shard_phones(node->mirror, shard);
		if (!drives(node, shard))
			continue;
		keys_slab(&keys, shard, key);
		redisReply *reply = ask(redis, "GETRANGE %s 0 -1", key);
		assert_int_equal(reply->len, (size_t)phones * RECORD_SIZE);
		for (uint32_t i = 0; i < phones; i++) {
			uint8_t record[RECORD_SIZE];
			record_copy(&node->mirror->record[shard * SHARD_PHONES + i], record);
			n += memcmp(record, reply->str + (size_t)i * RECORD_SIZE, RECORD_SIZE) != 0;
		}
		freeReplyObject(reply);
	}
	redisFree(redis);
	return n;
}

/* Phones do nothing any more, and Redis knows everything. */
static void assert_converges(struct node *node, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		churner_pause(node[i].churner);
	for (unsigned i = 0; i < count; i++) {
		WAIT_UNTIL(is_calm(&node[i]));
		assert_int_equal(differences(&node[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		churner_resume(node[i].churner);
}

static void churn(struct node *node, unsigned ms)
{
	churner_rate(node->churner, 20000, 0);
	spin(ms);
}

static struct churner_totals totals_of(const struct node *node)
{
	struct churner_totals totals;
	churner_totals(node->churner, &totals);
	return totals;
}

/* --- The test as the worker --- */

static void publish(struct node *node, uint32_t phone, uint8_t registered, uint8_t last_tried,
	enum phone_state phase, enum record_cause cause, uint16_t transition, uint64_t at_ms)
{
	uint8_t bytes[RECORD_SIZE];
	record_copy(&node->mirror->record[phone], bytes);
	const struct record_view view = {.version = RECORD_VERSION,
		.registered = registered,
		.last_tried = last_tried,
		.phase = (uint8_t)phase,
		.cause = (uint8_t)cause,
		.transition = transition,
		.rtt_100us = RECORD_RTT_NONE,
		.since_unix_ms = at_ms};
	mirror_publish(node->mirror, phone % WORKERS, phone, &view, bytes[0] & 15);
}

/* All lines of a shard's feed, joined by newlines. */
static void read_feed(uint32_t shard, char *out, size_t size)
{
	redisContext *redis = redis_connect();
	char key[KEY_MAX], number[16];
	size_t used = 0;
	keys_feed(&keys, keys_group(&keys, shard), key);
	snprintf(number, sizeof(number), "%u", shard);
	redisReply *reply = ask(redis, "XRANGE %s - +", key);
	out[0] = '\0';
	for (size_t i = 0; i < reply->elements; i++) {
		redisReply *const *field = reply->element[i]->element[1]->element;
		assert_string_equal(field[0]->str, "s");
		if (strcmp(field[1]->str, number) != 0)
			continue;
		assert_string_equal(field[2]->str, "n");
		assert_string_equal(field[4]->str, "d");
		unsigned lines = 1;
		for (const char *at = field[5]->str; *at != '\0'; at++)
			lines += *at == '\n';
		assert_int_equal(lines, atoi(field[3]->str));
		assert_true(lines <= 400);
		used += (size_t)snprintf(out + used, size - used, "%s\n", field[5]->str);
		assert_true(used < size);
	}
	freeReplyObject(reply);
	redisFree(redis);
}

/* --- Tests --- */

static int set_up(void **state)
{
	(void)state;
	redis_start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		node_free(&nodes[i]);
	redis_kill();
	atomic_store(&skipped_us, 0);
	return 0;
}

static void records_converge(void **state)
{
	(void)state;
	struct node *const node = nodes;
	struct churner_totals totals;
	node_make(node, 12, true);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 12);
	churn(node, 700);
	churner_pause(node->churner);
	WAIT_UNTIL(is_calm(node));
	assert_int_equal(differences(node), 0);
	churner_totals(node->churner, &totals);
	const struct store_status status = status_of(node);
	assert_true(totals.transitions >= node->mirror->phones);
	assert_int_equal(
		status.counters.feed_lines + status.counters.feed_dropped, totals.transitions);
	assert_int_equal(status.driven, 12);
	assert_int_equal(status.unleased, 0);
	assert_int_equal(status.counters.leases_acquired, 12);
	assert_int_equal(status.counters.fenced, 0);
	assert_int_equal(status.counters.flush_failures, 0);
	assert_true(status.lag_max_us > 0);
}

static void feed_tells_each_transition(void **state)
{
	(void)state;
	struct node *const node = nodes;
	static char text[4096];
	node_make(node, 1, false);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 1);
	WAIT_UNTIL(is_calm(node));
	publish(node, 4, 0, 1, PHONE_REGISTERING, RECORD_START, 1, 1700000000001);
	publish(node, 4, 1, 1, PHONE_REGISTERED, RECORD_REGISTERED, 2, 1700000000002);
	publish(node, 4, 0, 2, PHONE_SWITCHING, RECORD_KEEPALIVE_SILENCE, 3, 1700000000003);
	publish(node, 4, 2, 2, PHONE_REGISTERED, RECORD_REGISTERED, 65535, 1700000000004);
	/* The longest words there are. */
	publish(node, 9922, 0, 0, PHONE_REGISTERING, RECORD_KEEPALIVE_SILENCE, 10000,
		1700000000004);
	WAIT_UNTIL(is_calm(node));
	assert_int_equal(status_of(node).counters.feed_lines, 5);
	read_feed(0, text, sizeof(text));
	const char *expected = "4 ->p registering start 1 1700000000001\n"
			       "4 p>P registered registered 2 1700000000002\n"
			       "4 P>r switching keepalive-silence 3 1700000000003\n"
			       "4 r>R registered registered 65535 1700000000004\n"
			       "9922 ->- registering keepalive-silence 10000 1700000000004\n"
			       "RESYNC\n"; /* the slab was not there before */
	const char *found = strstr(text, "4 ->p");
	assert_non_null(found);
	assert_string_equal(found, expected);
}

/* Phones act as soon as they are adopted, before the store's thread has looked again. */
static void feed_begins_with_the_first_transition(void **state)
{
	(void)state;
	struct node *const node = nodes;
	static char text[4096];
	node_make(node, 3, false);
	node->eager = true;
	node_open(node, "one-0", 0);
	WAIT_UNTIL(status_of(node).counters.feed_lines == 3);
	assert_int_equal(status_of(node).counters.feed_dropped, 0);
	read_feed(2, text, sizeof(text));
	assert_non_null(strstr(text, "20000 ->p registering start 1 1700000000001\n"));
}

/* One way or the other. */
static uint64_t lines_told(const struct node *node)
{
	const struct store_status status = status_of(node);
	return status.counters.feed_lines + status.counters.feed_dropped;
}

/* More lines than there is room for: all are delivered or counted, and RESYNC follows. */
static void feed_counts_what_it_leaves_out(void **state)
{
	(void)state;
	struct node *const node = nodes;
	enum { LINES = 40000, ROUNDS = 8 };
	static char text[ROUNDS * (4u << 20)];
	uint32_t published = 0;
	node_make(node, 1, false);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 1);
	WAIT_UNTIL(is_calm(node));
	/* Once is enough, unless we are held up and the store is not. */
	for (unsigned round = 0; round < ROUNDS && status_of(node).counters.feed_dropped == 0;
		round++) {
		for (uint32_t i = 0; i < LINES; i++, published++)
			publish(node, i % 9000, 0, 1, PHONE_REGISTERING, RECORD_DUE, (uint16_t)i,
				1);
		WAIT_UNTIL(lines_told(node) == published);
	}
	WAIT_UNTIL(is_calm(node));
	const struct store_status status = status_of(node);
	assert_int_equal(lines_told(node), published);
	assert_true(status.counters.feed_dropped > 0);
	assert_int_equal(differences(node), 0);
	read_feed(0, text, sizeof(text));
	uint32_t lines = 0;
	const char *last = text;
	for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
		lines += strncmp(at, "RESYNC", 6) != 0;
		last = at;
	}
	assert_int_equal(lines, status.counters.feed_lines);
	assert_string_equal(last, "RESYNC\n");
}

static void counts_without_marks_are_swept(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 3, false);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 3);
	for (uint32_t i = 0; i < node->mirror->phones; i += 7)
		publish(node, i, 0, 1, PHONE_REGISTERING, RECORD_START, 1, 5);
	WAIT_UNTIL(is_calm(node));
	assert_int_equal(differences(node), 0);
	for (uint32_t i = 0; i < node->mirror->phones; i += 7) {
		uint8_t bytes[RECORD_SIZE];
		record_copy(&node->mirror->record[i], bytes);
		bytes[27] = 1;
		record_restore(&node->mirror->record[i], bytes);
	}
	assert_true(differences(node) > 0);
	const uint64_t begun_us = real_us();
	/* A minute and a half, in steps that are no pause, each of them seen. */
	for (int i = 0; i < 200; i++) {
		const uint64_t step_us = 450000 + atomic_fetch_add(&skipped_us, 450000);
		WAIT_UNTIL(status_of(node).at_us >= begun_us + step_us);
	}
	WAIT_UNTIL(differences(node) == 0);
	const struct store_status status = status_of(node);
	assert_true(status.counters.sweeps >= 1);
	assert_int_equal(status.counters.pauses, 0);
	assert_int_equal(status.lag_us, 0);
}

static void fenced_shard_is_given_up_and_asked_for(void **state)
{
	(void)state;
	struct node *const node = nodes;
	char key[KEY_MAX];
	node_make(node, 3, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 3);
	churn(node, 200);
	/* Another has it, by some mistake of an administrator. */
	redisContext *redis = redis_connect();
	keys_lease(&keys, 1, key);
	redisReply *reply = ask(redis, "HMGET %s token exp", key);
	const long long token = atoll(reply->element[0]->str),
			exp = atoll(reply->element[1]->str) + 3000;
	freeReplyObject(reply);
	freeReplyObject(ask(redis, "HSET %s owner other base %lld token %lld exp %lld", key, token,
		token + 1, exp));
	WAIT_UNTIL(!drives(node, 1));
	WAIT_UNTIL(status_of(node).counters.fenced > 0);
	assert_int_equal(driven_by(node), 2);
	/* What the other wrote is what counts afterwards. */
	uint8_t record[RECORD_SIZE] = {RECORD_VERSION << 5 | 2 << 2, PHONE_OFF, 9};
	keys_slab(&keys, 1, key);
	freeReplyObject(ask(redis, "SETRANGE %s 320 %b", key, record, (size_t)RECORD_SIZE));
	churner_rate(node->churner, 0, 0);
	WAIT_UNTIL(drives(node, 1));
	assert_int_equal(record_last_tried(&node->mirror->record[SHARD_PHONES + 10]), 2);
	redisFree(redis);
	assert_converges(node, 1);
}

static void redis_restarts_empty(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 8, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 8);
	churn(node, 200);
	redis_kill();
	WAIT_UNTIL(atomic_load(&node->mirror->lease_over_us) == UINT64_MAX);
	assert_int_equal(driven_by(node), 8);
	redis_start();
	WAIT_UNTIL(status_of(node).connected && status_of(node).unleased == 0);
	churn(node, 200);
	assert_converges(node, 1);
	assert_int_equal(node->releases, 0);
	assert_int_equal(status_of(node).counters.reconnects, 1);
}

static void functions_and_keys_vanish(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 8, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 8);
	redisContext *redis = redis_connect();
	churn(node, 200);
	tell(redis, "FUNCTION FLUSH");
	spin(300);
	tell(redis, "FLUSHALL");
	spin(300);
	tell(redis, "CLIENT KILL TYPE normal");
	spin(300);
	redisFree(redis);
	WAIT_UNTIL(status_of(node).connected && status_of(node).driven == 8);
	assert_converges(node, 1);
}

static void redis_comes_later(void **state)
{
	(void)state;
	struct node *const node = nodes;
	redis_kill();
	node_make(node, 5, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 5);
	WAIT_UNTIL(status_of(node).unleased == 5);
	assert_true(node->warnings > 0);
	churn(node, 200);
	redis_start();
	WAIT_UNTIL(status_of(node).connected && status_of(node).unleased == 0);
	assert_converges(node, 1);
	assert_int_equal(node->releases, 0);
}

/* Every shard has exactly one driver. */
static bool is_split(const struct node *node, uint32_t shards)
{
	for (uint32_t i = 0; i < shards; i++) {
		if (drives(&node[0], i) + drives(&node[1], i) != 1)
			return false;
	}
	return driven_by(&node[0]) > 0 && driven_by(&node[1]) > 0;
}

/* Nobody acted for a phone while another did. Ends the churners. */
static void assert_no_overlap(struct node *node)
{
	for (int i = 0; i < 2; i++) {
		churner_free(node[i].churner);
		node[i].churner = NULL;
	}
	for (unsigned i = 0; i < WORKERS * CHURNER_SESSIONS; i++) {
		const struct churner_session *one = &node[0].sessions[i];
		for (unsigned j = 0; one->used && j < WORKERS * CHURNER_SESSIONS; j++) {
			const struct churner_session *two = &node[1].sessions[j];
			if (two->used && one->shard == two->shard && one->last_us > two->first_us &&
				two->last_us > one->first_us)
				fail_msg("shard %u: %llu-%llu and %llu-%llu", one->shard,
					(unsigned long long)one->first_us,
					(unsigned long long)one->last_us,
					(unsigned long long)two->first_us,
					(unsigned long long)two->last_us);
		}
	}
}

/* With a lease that is sure: who is late with a renewal has phones that say nothing. */
static bool acts(const struct node *node, uint32_t shard)
{
	return drives(node, shard) && atomic_load(&node->mirror->lease_over_us) > test_now_us(NULL);
}

/* The first is asked twice: between two questions a shard may change hands. */
static void assert_nobody_is_driven_twice(const struct node *node, uint32_t shards, unsigned ms)
{
	for (unsigned i = 0; i < ms / 2; i++) {
		for (uint32_t shard = 0; shard < shards; shard++)
			assert_false(acts(&node[0], shard) && acts(&node[1], shard) &&
				     acts(&node[0], shard));
		spin(2);
	}
}

/* Two hosts of one name: nothing can be done about it, but it is said, once. */
static void namesakes_are_noticed(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(&node[0], 2, false);
	node_make(&node[1], 2, false);
	node_open(&node[0], "one-0", 0);
	WAIT_UNTIL(is_calm(&node[0]));
	spin(300);
	assert_int_equal(node[0].warnings, 0);
	node_open(&node[1], "one-0", 0);
	WAIT_UNTIL(node[0].warnings > 0 && node[1].warnings > 0);
	assert_non_null(strstr(node[0].said, "another process is node one-0 too"));
	spin(500);
	assert_true(node[0].warnings < 3);
}

static void two_nodes_split_and_take_over(void **state)
{
	(void)state;
	struct node *const node = nodes;
	enum { SHARDS = 40 };
	node_make(&node[0], SHARDS, true);
	node_make(&node[1], SHARDS, true);
	node_open(&node[0], "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(&node[0]) == SHARDS);
	churn(&node[0], 100);
	node_open(&node[1], "two-0", TTL_MS);
	assert_nobody_is_driven_twice(node, SHARDS, 600);
	WAIT_UNTIL(is_split(node, SHARDS));
	churn(&node[1], 200);
	assert_converges(node, 2);
	/* What the first drives the second knows by the time it drives it. */
	bool before[SHARDS];
	for (uint32_t i = 0; i < SHARDS; i++)
		before[i] = drives(&node[0], i);
	churner_pause(node[0].churner);
	WAIT_UNTIL(is_calm(&node[0]));
	store_close(node[0].store);
	node[0].store = NULL;
	churner_pause(node[1].churner);
	WAIT_UNTIL(driven_by(&node[1]) == SHARDS);
	for (uint32_t i = 0; i < SHARDS; i++) {
		if (!before[i])
			continue;
		const uint32_t phones = mirror_shard_phones(node[1].mirror, i);
		for (uint32_t phone = i * SHARD_PHONES; phone < i * SHARD_PHONES + phones; phone++)
			assert_int_equal(record_last_tried(&node[1].mirror->record[phone]),
				record_last_tried(&node[0].mirror->record[phone]));
	}
	assert_no_overlap(node);
}

static void who_wakes_up_late_is_fenced(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(&node[0], 20, true);
	node_make(&node[1], 20, true);
	node_open(&node[0], "one-0", TTL_MS);
	node_open(&node[1], "two-0", TTL_MS);
	WAIT_UNTIL(is_split(node, 20));
	churn(&node[0], 100);
	churn(&node[1], 100);
	/* Longer than a lease, and than what counts as a pause. */
	atomic_store(&node[0].frozen, true);
	WAIT_UNTIL(driven_by(&node[1]) == 20);
	spin(700);
	atomic_store(&node[0].frozen, false);
	WAIT_UNTIL(status_of(&node[0]).counters.pauses > 0);
	WAIT_UNTIL(is_split(node, 20));
	churn(&node[0], 200);
	WAIT_UNTIL(atomic_load(&node[0].mirror->lease_over_us) > test_now_us(NULL));
	assert_converges(node, 2);
	assert_no_overlap(node);
}

static void strict_is_mute_without_a_lease(void **state)
{
	(void)state;
	struct node *const node = nodes;
	redis_kill();
	node_make(node, 4, true);
	node->strict = true;
	node_open(node, "one-0", TTL_MS);
	spin(PLACEMENT_ALONE_MS + 300);
	assert_int_equal(driven_by(node), 0);
	redis_start();
	WAIT_UNTIL(driven_by(node) == 4);
	churn(node, 100);
	redis_kill();
	spin(TTL_MS + 100);
	assert_true(atomic_load(&node->mirror->lease_over_us) < test_now_us(NULL));
	const struct churner_totals before = totals_of(node);
	spin(300);
	WAIT_UNTIL(totals_of(node).muted > before.muted);
	assert_int_equal(totals_of(node).transitions, before.transitions);
	redis_start();
	WAIT_UNTIL(atomic_load(&node->mirror->lease_over_us) > test_now_us(NULL));
	churn(node, 100);
	WAIT_UNTIL(totals_of(node).transitions > before.transitions);
	assert_converges(node, 1);
}

static void leaving_gives_everything_back(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(&node[0], 10, true);
	node_make(&node[1], 10, true);
	node_open(&node[0], "one-0", 4 * LONG_MS);
	WAIT_UNTIL(driven_by(&node[0]) == 10);
	churn(&node[0], 200);
	store_leave(node[0].store);
	WAIT_UNTIL(store_is_quiet(node[0].store));
	assert_int_equal(driven_by(&node[0]), 0);
	redisContext *redis = redis_connect();
	redisReply *reply = ask(redis, "HLEN sipherd:{" FLEET "}:nodes");
	assert_int_equal(reply->integer, 0);
	freeReplyObject(reply);
	for (uint32_t i = 0; i < 10; i++) {
		char key[KEY_MAX];
		keys_lease(&keys, i, key);
		reply = ask(redis, "HGET %s owner", key);
		assert_string_equal(reply->str, "");
		freeReplyObject(reply);
	}
	redisFree(redis);
	drive(&node[0], 0, node[0].mirror->phones, 1);
	assert_int_equal(differences(&node[0]), 0);
	/* Nobody waits for a lease of two minutes. */
	node_open(&node[1], "two-0", 4 * LONG_MS);
	WAIT_UNTIL(driven_by(&node[1]) == 10);
}

/* The image file's tokens say whose memory is the newest. */
static void restart_with_and_without_memory(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(&node[0], 2, false);
	node_make(&node[1], 2, false);
	node_open(&node[0], "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(&node[0]) == 2);
	publish(&node[0], 12345, 0, 2, PHONE_SWITCHING, RECORD_CODE, 1, 5);
	WAIT_UNTIL(is_calm(&node[0]));
	store_close(node[0].store);
	/* Killed before it could flush this. */
	publish(&node[0], 54, 0, 2, PHONE_SWITCHING, RECORD_CODE, 1, 5);
	drive(&node[0], 0, node[0].mirror->phones, 0);
	node_open(&node[0], "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(&node[0]) == 2);
	WAIT_UNTIL(is_calm(&node[0]));
	assert_int_equal(differences(&node[0]), 0);
	assert_int_equal(record_last_tried(&node[0].mirror->record[54]), 2);
	/* Another host knows nothing but what Redis has. */
	store_close(node[0].store);
	node[0].store = NULL;
	node_open(&node[1], "two-0", TTL_MS);
	WAIT_UNTIL(driven_by(&node[1]) == 2);
	assert_int_equal(record_last_tried(&node[1].mirror->record[54]), 2);
	assert_int_equal(record_last_tried(&node[1].mirror->record[12345]), 2);
	assert_int_equal(record_last_tried(&node[1].mirror->record[55]), 0);
}

static void other_fleets_are_not_touched(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(&node[0], 2, false);
	node_make(&node[1], 4, false);
	node_open(&node[0], "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(&node[0]) == 2);
	node_open(&node[1], "two-0", TTL_MS);
	WAIT_UNTIL(status_of(&node[1]).refused);
	WAIT_UNTIL(node[1].warnings > 0);
	assert_non_null(strstr(node[1].said, "phones is 19923, ours 39923"));
	spin(PLACEMENT_ALONE_MS + 500);
	assert_int_equal(driven_by(&node[1]), 0);
	/* The remedy. */
	store_close(node[0].store);
	node[0].store = NULL;
	redisContext *redis = redis_connect();
	tell(redis, "FLUSHALL");
	redisFree(redis);
	WAIT_UNTIL(driven_by(&node[1]) == 4);
	WAIT_UNTIL(!status_of(&node[1]).refused);
}

static void who_stood_still_is_mute_until_asked(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 4, true);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 4);
	churn(node, 100);
	const uint64_t over_us = atomic_load(&node->mirror->lease_over_us);
	assert_true(over_us > test_now_us(NULL) && over_us < test_now_us(NULL) + 10000000);
	/* Redis does not answer while we would like to know. */
	kill(redis_pid, SIGSTOP);
	atomic_fetch_add(&skipped_us, 20000000);
	WAIT_UNTIL(status_of(node).counters.pauses == 1);
	assert_int_equal(atomic_load(&node->mirror->lease_over_us), 0);
	spin(200);
	assert_int_equal(atomic_load(&node->mirror->lease_over_us), 0);
	kill(redis_pid, SIGCONT);
	WAIT_UNTIL(atomic_load(&node->mirror->lease_over_us) > test_now_us(NULL));
	assert_true(atomic_load(&node->mirror->lease_over_us) != UINT64_MAX);
	assert_converges(node, 1);
	assert_int_equal(node->releases, 0);
}

/* No memory, a replica for a moment, a server that hangs: held back, then all is written. */
static void refusals_pass(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 6, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 6);
	redisContext *redis = redis_connect();
	churn(node, 100);
	tell(redis, "CONFIG SET maxmemory 1");
	spin(200);
	tell(redis, "CONFIG SET maxmemory 0");
	tell(redis, "REPLICAOF 127.0.0.1 1");
	spin(200);
	tell(redis, "REPLICAOF NO ONE");
	spin(100);
	tell(redis, "DEBUG SLEEP 1");
	WAIT_UNTIL(status_of(node).connected && status_of(node).driven == 6);
	redisFree(redis);
	assert_converges(node, 1);
}

/* One group is refused for ever, all others are written: that is said once, not at every turn. */
static void what_is_wrong_is_said_once(void **state)
{
	(void)state;
	struct node *const node = nodes;
	char key[KEY_MAX];
	node_make(node, 6, true);
	node_open(node, "one-0", 0);
	WAIT_UNTIL(driven_by(node) == 6);
	WAIT_UNTIL(is_calm(node));
	const unsigned before = node->warnings;
	redisContext *redis = redis_connect();
	keys_feed(&keys, 0, key);
	freeReplyObject(ask(redis, "DEL %s", key));
	freeReplyObject(ask(redis, "SET %s x", key));
	churn(node, 1000);
	WAIT_UNTIL(node->warnings > before);
	spin(300);
	assert_int_equal(node->warnings, before + 1);
	assert_non_null(strstr(node->said, "WRONGTYPE"));
	freeReplyObject(ask(redis, "DEL %s", key));
	redisFree(redis);
	WAIT_UNTIL(status_of(node).trouble[0] == '\0');
	assert_converges(node, 1);
}

static void closing_never_waits(void **state)
{
	(void)state;
	struct node *const node = nodes;
	node_make(node, 6, true);
	node_open(node, "one-0", TTL_MS);
	WAIT_UNTIL(driven_by(node) == 6);
	churn(node, 100);
	kill(redis_pid, SIGSTOP);
	spin(50);
	store_leave(node->store);
	store_close(node->store);
	node->store = NULL;
	kill(redis_pid, SIGCONT);
}

int main(int argc, char **argv)
{
	if (system("command -v redis-server >/dev/null") != 0) {
		printf("skipped: there is no redis-server\n");
		return SKIPPED;
	}
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	snprintf(folder, sizeof(folder), "/tmp/sipherd-store.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(socket_path, sizeof(socket_path), "%s/redis.sock", folder);
	loop = ev_loop_new(EVFLAG_AUTO);
	keys_begin(&keys, FLEET, false);
#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_REDIS(records_converge),
		WITH_REDIS(feed_tells_each_transition),
		WITH_REDIS(feed_begins_with_the_first_transition),
		WITH_REDIS(feed_counts_what_it_leaves_out),
		WITH_REDIS(counts_without_marks_are_swept),
		WITH_REDIS(fenced_shard_is_given_up_and_asked_for),
		WITH_REDIS(redis_restarts_empty),
		WITH_REDIS(functions_and_keys_vanish),
		WITH_REDIS(redis_comes_later),
		WITH_REDIS(namesakes_are_noticed),
		WITH_REDIS(two_nodes_split_and_take_over),
		WITH_REDIS(who_wakes_up_late_is_fenced),
		WITH_REDIS(strict_is_mute_without_a_lease),
		WITH_REDIS(leaving_gives_everything_back),
		WITH_REDIS(restart_with_and_without_memory),
		WITH_REDIS(other_fleets_are_not_touched),
		WITH_REDIS(who_stood_still_is_mute_until_asked),
		WITH_REDIS(refusals_pass),
		WITH_REDIS(what_is_wrong_is_said_once),
		WITH_REDIS(closing_never_waits),
	};
	cmocka_set_test_filter(argc > 2 ? argv[2] : NULL);
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	ev_loop_destroy(loop);
	rmdir(folder);
	return failed;
}
