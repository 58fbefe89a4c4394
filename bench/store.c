/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the store costs and how far Redis may lag behind: redis-server and the store's thread share
 * one CPU, the churner plays a worker on another and never sleeps. One table at the end, each figure
 * beside its limit; what is compared is measured in the same run.
 *
 * usage: bench_store [--phones N | --ten]
 * --ten does what is asked of 10 million phones instead; it needs about 2 GB.
 */
#include <ev.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tests/store/churner.h"
#include "embedded.h"
#include "keys.h"
#include "sampler.h"
#include "store.h"

#define STORE_CPU 0
#define ENGINE_CPU 1
#define MILLION 1000000u
#define STORMS 3
#define FLEET "bench"
#define HASHES MILLION    /* of the comparison: one HASH per phone */
#define HASH_PIPELINE 64u /* as many calls as the store has in flight */

struct bench {
	struct ev_loop *loop;
	ev_timer timer;
	struct embedded redis;
	redisContext *client;
	struct keys keys;
	uint32_t phones;
	uint64_t begun_us; /* CLOCK_MONOTONIC at the herd's time 0 */
	struct mirror *mirror;
	struct store *store;
	struct churner *churner;
	pid_t store_task;
	uint64_t adopted_us; /* when the last adopt event came */
	uint32_t adopted;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench_store: %s\n", what);
	exit(1);
}

static uint64_t monotonic_us(void)
{
	return sampler_now_ns() / 1000;
}

static uint64_t unix_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t herd_now_us(const void *clock)
{
	const struct bench *b = clock;
	return monotonic_us() - b->begun_us;
}

static void bind_cpu(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- the table ---- */

static char table[64][160];
static unsigned rows;

__attribute__((format(printf, 2, 3))) static void row(const char *what, const char *format, ...)
{
	char value[96];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	snprintf(table[rows++ % 64], sizeof(table[0]), "%-58s %s", what, value);
	fprintf(stderr, "%s\n", table[(rows - 1) % 64]);
}

static void print_table(void)
{
	printf("%-58s %s\n", "store", "measured  (limit)");
	for (unsigned i = 0; i < rows; i++)
		printf("%s\n", table[i]);
}

/* ---- redis-server ---- */

static redisReply *redis(struct bench *b, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	redisReply *reply = redisvCommand(b->client, format, arguments);
	va_end(arguments);
	if (reply == NULL)
		fail(b->client->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		fail(reply->str);
	return reply;
}

static void redis_start(struct bench *b)
{
	char reason[EMBEDDED_REASON_MAX];
	if (embedded_start(&b->redis, "/tmp", reason) != 0)
		fail(reason);
	b->client = redisConnectUnix(b->redis.socket);
	if (b->client == NULL || b->client->err != 0)
		fail("cannot connect to the redis-server");
	b->client->reader->maxbuf = 0;
}

static void redis_stop(struct bench *b)
{
	redisFree(b->client);
	embedded_stop(&b->redis);
}

/* CPU time in us that a task has had. */
static uint64_t task_cpu_us(pid_t process, pid_t task)
{
	char path[64];
	unsigned long long ns = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", process, task);
	FILE *file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%llu", &ns) != 1)
		fail("no schedstat in /proc");
	fclose(file);
	return ns / 1000;
}

/* ---- a node ---- */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ONE);
}

/* The control thread's life for so long. */
static void live(struct bench *b, double seconds)
{
	ev_timer_init(&b->timer, on_timer, seconds, 0);
	ev_timer_start(b->loop, &b->timer);
	ev_run(b->loop, 0);
	ev_timer_stop(b->loop, &b->timer);
}

static void on_adopt(void *context, uint32_t first, uint32_t count, bool moved)
{
	struct bench *b = context;
	(void)moved;
	b->adopted += count;
	b->adopted_us = monotonic_us();
	if (b->churner != NULL)
		churner_adopt(b->churner, first, count);
}

static void on_release(void *context, uint32_t first, uint32_t count)
{
	struct bench *b = context;
	b->adopted -= count;
	if (b->churner != NULL)
		churner_release(b->churner, first, count);
}

static void on_say(void *context, bool warning, const char *message)
{
	(void)context;
	fprintf(stderr, "store: %s%s\n", warning ? "warning: " : "", message);
}

/* The thread that was started last: ids rise. */
static pid_t newest_task(void)
{
	pid_t newest = 0;
	DIR *folder = opendir("/proc/self/task");
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
		if (atoi(entry->d_name) > newest)
			newest = atoi(entry->d_name);
	if (folder != NULL)
		closedir(folder);
	return newest;
}

static void node_open(struct bench *b, bool churn)
{
	b->adopted = 0;
	b->begun_us = monotonic_us();
	if (mirror_create(&b->mirror, b->phones, 1, NULL, false) != 0)
		fail("out of memory");
	atomic_store(&b->mirror->unix_start_us, unix_ms() * 1000);
	const struct churner_config churner = {.mirror = b->mirror,
		.seed = 1,
		.now_us = herd_now_us,
		.clock = b,
		.poll = true,
		.cpu = ENGINE_CPU};
	if (churn && churner_create(&b->churner, &churner) != 0)
		fail("no threads");
	struct store_config config = {.target = {.kind = TARGET_UNIX},
		.fleet = FLEET,
		.node = "bench-0",
		.version = "bench",
		.mirror = b->mirror,
		.now_us = herd_now_us,
		.clock = b};
	snprintf(config.target.path, sizeof(config.target.path), "%s", b->redis.socket);
	const struct store_events events = {b, on_adopt, on_release, on_say};
	if (store_open(&b->store, &config, &events, b->loop) != 0)
		fail("store_open");
	b->store_task = newest_task();
}

static void node_close(struct bench *b)
{
	store_leave(b->store);
	while (!store_is_quiet(b->store))
		live(b, 0.01);
	store_close(b->store);
	churner_free(b->churner);
	b->churner = NULL;
	mirror_free(b->mirror);
}

static void wait_idle(struct bench *b)
{
	struct store_status status;
	do {
		live(b, 0.15); /* the status is at most 0.1 s old */
		store_status(b->store, &status);
	} while (!status.connected || status.driven < status.shards || status.lag_us > 0 ||
		 status.dirty_shards > 0);
}

static void storm(struct bench *b, unsigned passes, uint32_t duration_ms)
{
	churner_storm(b->churner, passes, duration_ms);
	while (!churner_storm_is_over(b->churner))
		live(b, 0.01);
}

/* Everybody adopted, registered and in Redis. */
static void settle(struct bench *b)
{
	while (b->adopted < b->phones)
		live(b, 0.01);
	storm(b, 3, b->phones / 1000);
	wait_idle(b);
}

/* ---- how old Redis is ---- */

/* One shard looked at: the age of the oldest version that its slab lacks, in ms. The records are
 * copied first: what is in them and not in the reply is late since the moment it was published. */
static double staleness(struct bench *b, uint32_t shard)
{
	static uint8_t truth[SHARD_PHONES * RECORD_SIZE];
	const uint32_t phones = mirror_shard_phones(b->mirror, shard);
	char key[KEY_MAX];
	double worst = 0;
	for (uint32_t i = 0; i < phones; i++)
		record_copy(&b->mirror->record[(size_t)shard * SHARD_PHONES + i],
			truth + i * RECORD_SIZE);
	const uint64_t now_ms = unix_ms();
	keys_slab(&b->keys, shard, key);
	redisReply *reply = redis(b, "GET %s", key);
	for (uint32_t i = 0; i < phones; i++) {
		struct record_view here, there;
		record_parse(truth + i * RECORD_SIZE, &here);
		record_parse((const uint8_t *)reply->str + i * RECORD_SIZE, &there);
		if ((int16_t)(here.transition - there.transition) <= 0)
			continue;
		const double age = (double)(int64_t)(now_ms - here.since_unix_ms);
		if (age > worst)
			worst = age;
	}
	freeReplyObject(reply);
	return worst;
}

struct storm_result {
	double worst_ms, lag_ms, redis_us, store_us, seconds;
	uint64_t transitions, publishes, publish_ns;
};

/* A storm of all phones, three transitions each, looked at every 20 ms; the looking costs Redis, too,
 * and is left in. */
static struct storm_result measure_storm(struct bench *b, uint32_t duration_ms)
{
	struct storm_result result = {0};
	struct churner_totals before, after;
	struct store_status status;
	const uint32_t shards = b->mirror->shards;
	churner_totals(b->churner, &before);
	const uint64_t redis_us = task_cpu_us(b->redis.pid, b->redis.pid);
	const uint64_t store_us = task_cpu_us(getpid(), b->store_task);
	const uint64_t begun_us = monotonic_us();
	churner_storm(b->churner, 3, duration_ms);
	for (uint32_t shard = 0; !churner_storm_is_over(b->churner); shard += 37) {
		live(b, 0.02);
		const double age = staleness(b, shard % shards);
		if (age > result.worst_ms)
			result.worst_ms = age;
		store_status(b->store, &status);
		if ((double)status.lag_us / 1000 > result.lag_ms)
			result.lag_ms = (double)status.lag_us / 1000;
	}
	result.seconds = (double)(monotonic_us() - begun_us) / 1e6;
	churner_totals(b->churner, &after);
	wait_idle(b);
	result.redis_us = (double)(task_cpu_us(b->redis.pid, b->redis.pid) - redis_us);
	result.store_us = (double)(task_cpu_us(getpid(), b->store_task) - store_us);
	result.transitions = after.transitions - before.transitions;
	result.publishes = after.publishes - before.publishes;
	result.publish_ns = after.publish_ns - before.publish_ns;
	return result;
}

/* ---- the other way: one HASH per phone ---- */

/* Redis' CPU time per update in us of so many transitions: what a record says as fields of a HASH that
 * is there already, pipelined. */
static double measure_hashes(struct bench *b, uint32_t updates)
{
	const uint64_t begun_us = task_cpu_us(b->redis.pid, b->redis.pid);
	for (uint32_t done = 0; done < updates; done += HASH_PIPELINE) {
		for (uint32_t i = done; i < done + HASH_PIPELINE; i++) {
			const uint32_t phone = (uint32_t)((uint64_t)i * 123457 % HASHES);
			redisAppendCommand(b->client,
				"HSET sipherd:hash:phone:%u registered %d tried %d phase %d misses "
				"0 "
				"cause %d transition %u since %llu",
				phone, i % 3, 1 + i % 2, i % 6, i % 9, i % 65536,
				1793000000000ull + i);
		}
		for (uint32_t i = 0; i < HASH_PIPELINE; i++) {
			void *reply;
			if (redisGetReply(b->client, &reply) != REDIS_OK)
				fail(b->client->errstr);
			freeReplyObject(reply);
		}
	}
	return (double)(task_cpu_us(b->redis.pid, b->redis.pid) - begun_us) / updates;
}

/* ---- the same without a node: what the fenced function costs Redis, no feed with it ---- */

#define RUNS 16
#define RUN_RECORDS 16
#define FLUSHES 4000u
#define ARGUMENTS (12 + 2 * RUNS)

struct flush {
	const char *word[ARGUMENTS];
	size_t length[ARGUMENTS];
	int count;
	char token[24], offset[RUNS][12], data[RUN_RECORDS * RECORD_SIZE];
	char slab[KEY_MAX], lease[KEY_MAX], feed[KEY_MAX];
};

static void flush_word(struct flush *f, const char *word, size_t length)
{
	f->word[f->count] = word;
	f->length[f->count++] = length;
}

static void flush_make(struct bench *b, struct flush *f)
{
	struct keys keys;
	keys_begin(&keys, "micro", false);
	keys_slab(&keys, 0, f->slab);
	keys_lease(&keys, 0, f->lease);
	keys_feed(&keys, 0, f->feed);
	redisReply *reply = redis(b, "FCALL sipherd_acquire 1 %s micro-0 0 3600000 1", f->lease);
	snprintf(f->token, sizeof(f->token), "%lld", reply->element[1]->integer);
	freeReplyObject(reply);
	const char *words[] = {"FCALL", "sipherd_flush", "3", f->slab, f->lease, f->feed, "micro-0",
		f->token, "0", "320000", "0", ""};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		flush_word(f, words[i], strlen(words[i]));
	memset(f->data, 0x20, sizeof(f->data));
	for (int i = 0; i < RUNS; i++) {
		snprintf(f->offset[i], sizeof(f->offset[i]), "%d",
			i * SHARD_PHONES / RUNS * RECORD_SIZE);
		flush_word(f, f->offset[i], strlen(f->offset[i]));
		flush_word(f, f->data, sizeof(f->data));
	}
}

/* Redis' CPU time in us per record. */
static double measure_flushes(struct bench *b)
{
	struct flush f = {0};
	flush_make(b, &f);
	const uint64_t begun_us = task_cpu_us(b->redis.pid, b->redis.pid);
	for (uint32_t done = 0; done < FLUSHES; done += HASH_PIPELINE) {
		for (uint32_t i = 0; i < HASH_PIPELINE; i++)
			redisAppendCommandArgv(b->client, f.count, f.word, f.length);
		for (uint32_t i = 0; i < HASH_PIPELINE; i++) {
			redisReply *reply;
			if (redisGetReply(b->client, (void **)&reply) != REDIS_OK)
				fail(b->client->errstr);
			if (reply->type != REDIS_REPLY_INTEGER)
				fail("a flush was refused");
			freeReplyObject(reply);
		}
	}
	const uint32_t flushes = (FLUSHES + HASH_PIPELINE - 1) / HASH_PIPELINE * HASH_PIPELINE;
	return (double)(task_cpu_us(b->redis.pid, b->redis.pid) - begun_us) /
	       ((double)flushes * RUNS * RUN_RECORDS);
}

static void bench_flushes(struct bench *b)
{
	double flush_us[STORMS], hash_us[STORMS], ratio[STORMS];
	for (int i = 0; i < STORMS; i++) {
		flush_us[i] = measure_flushes(b);
		hash_us[i] = measure_hashes(b, HASHES / 4);
		ratio[i] = hash_us[i] / flush_us[i];
	}
	row("fenced flush of 16 runs of 16 records: Redis CPU per record", "%.3f us",
		sampler_median(flush_us, STORMS));
	row("  HSET per phone; so many times more", "%.2f us; %.1fx  (15x)",
		sampler_median(hash_us, STORMS), sampler_median(ratio, STORMS));
}

/* ---- rows ---- */

static void bench_memory(struct bench *b)
{
	uint64_t slabs = 0, feeds = 0;
	char key[KEY_MAX];
	for (uint32_t shard = 0; shard < b->mirror->shards; shard++) {
		keys_slab(&b->keys, shard, key);
		redisReply *reply = redis(b, "MEMORY USAGE %s", key);
		slabs += (uint64_t)reply->integer;
		freeReplyObject(reply);
		keys_lease(&b->keys, shard, key);
		reply = redis(b, "MEMORY USAGE %s SAMPLES 0", key);
		slabs += (uint64_t)reply->integer;
		freeReplyObject(reply);
	}
	for (uint32_t group = 0; group < b->keys.groups; group++) {
		keys_feed(&b->keys, group, key);
		redisReply *reply = redis(b, "MEMORY USAGE %s SAMPLES 0", key);
		feeds += reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : 0;
		freeReplyObject(reply);
	}
	row("memory in Redis per phone, slabs and leases", "%.1f B  (34 B)",
		(double)slabs / b->phones);
	row("  beside it: feeds", "%.1f MB", (double)feeds / 1e6);
}

/* Storms of one kind beside the other way. Ramped phones fail over in their order; phones whose
 * keep-alives are spread at random fail over here and there, which is the worst case. */
static void bench_storms(struct bench *b, bool in_order)
{
	double worst[STORMS], publish[STORMS], redis_us[STORMS], ratio[STORMS], lag[STORMS];
	double seconds[STORMS], store_us[STORMS], hash_us[STORMS];
	churner_in_order(b->churner, in_order);
	for (int i = 0; i < STORMS; i++) {
		const struct storm_result storm = measure_storm(b, 3000);
		hash_us[i] = measure_hashes(b, HASHES / 4);
		worst[i] = storm.worst_ms;
		lag[i] = storm.lag_ms;
		publish[i] = (double)storm.publish_ns / (double)storm.publishes;
		redis_us[i] = storm.redis_us / (double)storm.transitions;
		ratio[i] = hash_us[i] / redis_us[i];
		store_us[i] = storm.store_us / (double)storm.transitions;
		seconds[i] = storm.seconds;
	}
	const char *kind = in_order ? "as they were powered on" : "here and there";
	/* Longer than it was meant to be: somebody else had the worker's CPU, and the rows below are of
	 * a machine that was not ours. */
	row("storm of 1 M phones x 3 in 3 s", "%s; it took %.2f s", kind,
		sampler_median(seconds, STORMS));
	row("  worst staleness, sampled", "%.0f ms  (250 ms)", sampler_median(worst, STORMS));
	row("  worst of all storms; the store's own gauge", "%.0f ms; %.0f ms", worst[STORMS - 1],
		sampler_median(lag, STORMS));
	row("  Redis CPU per update, feed and sampling in it", "%.2f us",
		sampler_median(redis_us, STORMS));
	row("  HSET per phone; so many times more", "%.2f us; %.1fx  (15x)",
		sampler_median(hash_us, STORMS), sampler_median(ratio, STORMS));
	row("  store's thread: CPU per update", "%.2f us", sampler_median(store_us, STORMS));
	row("  worker: publish, mean, reading the clock twice in it", "%.0f ns  (500 ns)",
		sampler_median(publish, STORMS));
}

static void forget_hashes(struct bench *b)
{
	freeReplyObject(redis(b, "EVAL %s 0",
		"for i = 0, 999999 do redis.call('UNLINK', 'sipherd:hash:phone:' .. i) end"));
}

/* Until the last record of each shard is in Redis, in the order of the shards; then all are looked at. */
static void wait_equal(struct bench *b)
{
	for (uint32_t shard = 0; shard < b->mirror->shards; shard++) {
		const uint32_t last = mirror_shard_phones(b->mirror, shard) - 1;
		uint8_t truth[RECORD_SIZE];
		char key[KEY_MAX];
		record_copy(&b->mirror->record[(size_t)shard * SHARD_PHONES + last], truth);
		keys_slab(&b->keys, shard, key);
		for (bool equal = false; !equal;) {
			redisReply *reply = redis(b, "GETRANGE %s %u %u", key, last * RECORD_SIZE,
				(last + 1) * RECORD_SIZE - 1);
			equal = reply->len == RECORD_SIZE &&
				memcmp(reply->str, truth, RECORD_SIZE) == 0;
			freeReplyObject(reply);
			if (!equal)
				live(b, 0.002);
		}
	}
}

static void verify(struct bench *b)
{
	for (uint32_t shard = 0; shard < b->mirror->shards; shard++)
		if (staleness(b, shard) > 0)
			fail("a shard was not what it seemed");
}

/* Redis loses everything and the connection: until it has everything again. */
static void bench_resync(struct bench *b, const char *what, const char *limit)
{
	double seconds[STORMS];
	for (int i = 0; i < STORMS; i++) {
		wait_idle(b);
		churner_pause(b->churner);
		freeReplyObject(redis(b, "FLUSHALL SYNC"));
		const uint64_t begun_us = monotonic_us();
		freeReplyObject(redis(b, "CLIENT KILL TYPE normal SKIPME yes"));
		wait_equal(b);
		seconds[i] = (double)(monotonic_us() - begun_us) / 1e6;
		wait_idle(b);
		verify(b);
		churner_resume(b->churner);
	}
	row(what, "%.2f s  (%s)", sampler_median(seconds, STORMS), limit);
}

/* Another node comes with empty memory to leases that are free: until every shard is adopted. */
static void bench_restore(struct bench *b, const char *what, const char *limit)
{
	double seconds[STORMS];
	for (int i = 0; i < STORMS; i++) {
		const uint64_t begun_us = monotonic_us();
		node_open(b, false);
		while (b->adopted < b->phones)
			live(b, 0.001);
		seconds[i] = (double)(b->adopted_us - begun_us) / 1e6;
		verify(b);
		node_close(b);
	}
	row(what, "%.2f s  (%s)", sampler_median(seconds, STORMS), limit);
}

/* ---- feed ---- */

#define LATENCIES (4 * MILLION)

struct listener {
	struct bench *bench;
	pthread_t thread;
	atomic_bool end;
	_Atomic uint64_t lines, resyncs;
	double *latency_ms;
	char last[KEYS_GROUPS][32];
};

static void take_text(struct listener *l, const char *text, size_t length, uint64_t now_ms)
{
	for (const char *line = text, *end; line < text + length; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + length - line));
		if (end == NULL)
			end = text + length;
		if (end - line >= 6 && memcmp(line, "RESYNC", 6) == 0) {
			atomic_fetch_add(&l->resyncs, 1);
			continue;
		}
		const char *number = end;
		while (number > line && number[-1] != ' ')
			number--;
		const uint64_t n = atomic_fetch_add(&l->lines, 1);
		if (n < LATENCIES)
			l->latency_ms[n] = (double)(int64_t)(now_ms - strtoull(number, NULL, 10));
	}
}

static void take_stream(struct listener *l, redisReply *stream, uint64_t now_ms)
{
	for (uint32_t group = 0; group < KEYS_GROUPS; group++) {
		char key[KEY_MAX];
		keys_feed(&l->bench->keys, group, key);
		if (strcmp(key, stream->element[0]->str) != 0)
			continue;
		redisReply *entries = stream->element[1];
		for (size_t i = 0; i < entries->elements; i++) {
			redisReply *fields = entries->element[i]->element[1];
			snprintf(l->last[group], sizeof(l->last[group]), "%s",
				entries->element[i]->element[0]->str);
			take_text(l, fields->element[5]->str, fields->element[5]->len, now_ms);
		}
	}
}

static void *listen_main(void *context)
{
	struct listener *l = context;
	redisContext *client = redisConnectUnix(l->bench->redis.socket);
	const char *words[6 + 2 * KEYS_GROUPS] = {
		"XREAD", "COUNT", "100", "BLOCK", "100", "STREAMS"};
	static char key[KEYS_GROUPS][KEY_MAX];
	client->reader->maxbuf = 0;
	for (uint32_t group = 0; group < KEYS_GROUPS; group++) {
		keys_feed(&l->bench->keys, group, key[group]);
		words[6 + group] = key[group];
		words[6 + KEYS_GROUPS + group] = l->last[group];
	}
	while (!atomic_load(&l->end)) {
		redisReply *reply = redisCommandArgv(client, 6 + 2 * KEYS_GROUPS, words, NULL);
		if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
			fail("XREAD failed");
		const uint64_t now_ms = unix_ms();
		for (size_t i = 0; i < reply->elements; i++)
			take_stream(l, reply->element[i], now_ms);
		freeReplyObject(reply);
	}
	redisFree(client);
	return NULL;
}

static void last_ids(struct bench *b, struct listener *l)
{
	for (uint32_t group = 0; group < KEYS_GROUPS; group++) {
		char key[KEY_MAX];
		keys_feed(&b->keys, group, key);
		redisReply *reply = redis(b, "XREVRANGE %s + - COUNT 1", key);
		snprintf(l->last[group], sizeof(l->last[group]), "%s",
			reply->elements > 0 ? reply->element[0]->element[0]->str : "0-0");
		freeReplyObject(reply);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void bench_feed(struct bench *b)
{
	static struct listener l;
	struct churner_totals before, after;
	struct store_status status_before, status;
	l.bench = b;
	l.latency_ms = calloc(LATENCIES, sizeof(double));
	wait_idle(b);
	last_ids(b, &l);
	store_status(b->store, &status_before);
	churner_totals(b->churner, &before);
	if (l.latency_ms == NULL || pthread_create(&l.thread, NULL, listen_main, &l) != 0)
		fail("out of memory");
	churner_rate(b->churner, 100000, 0);
	live(b, 5);
	churner_rate(b->churner, 0, 0);
	wait_idle(b);
	live(b, 0.3);
	atomic_store(&l.end, true);
	pthread_join(l.thread, NULL);
	store_status(b->store, &status);
	churner_totals(b->churner, &after);
	const uint64_t lines = atomic_load(&l.lines);
	const uint64_t kept = lines < LATENCIES ? lines : LATENCIES;
	qsort(l.latency_ms, kept, sizeof(double), compare_doubles);
	row("feed at 100 k transitions/s: p99 from transition to reader", "%.0f ms  (150 ms)",
		kept > 0 ? l.latency_ms[kept * 99 / 100] : -1);
	const uint64_t dropped = status.counters.feed_dropped - status_before.counters.feed_dropped;
	const uint64_t produced = after.transitions - before.transitions;
	row("  produced = read + dropped", "%" PRIu64 " = %" PRIu64 " + %" PRIu64 "%s", produced,
		lines, dropped, produced == lines + dropped ? "" : "  WRONG");
	free(l.latency_ms);
}

static void bench_idle(struct bench *b, const char *what)
{
	wait_idle(b);
	const uint64_t cpu_us = task_cpu_us(getpid(), b->store_task), begun_us = monotonic_us();
	live(b, 10);
	row(what, "%.1f %%  (5 %%)",
		100.0 * (double)(task_cpu_us(getpid(), b->store_task) - cpu_us) /
			(double)(monotonic_us() - begun_us));
}

static void bench_switches(struct bench *b)
{
	struct churner_totals totals;
	struct store_status status;
	store_status(b->store, &status);
	churner_totals(b->churner, &totals);
	row("  voluntary context switches of the worker, whole run", "%" PRIu64 "  (0)",
		totals.switches);
	row("  transitions; feed lines left out and counted", "%" PRIu64 "; %" PRIu64,
		totals.transitions, status.counters.feed_dropped);
}

static void begin(struct bench *b, uint32_t phones)
{
	b->phones = phones;
	redis_start(b);
	keys_begin(&b->keys, FLEET, false);
	node_open(b, true);
	settle(b);
}

static void million(struct bench *b, uint32_t phones)
{
	begin(b, phones);
	bench_memory(b);
	measure_hashes(b, HASHES); /* makes them */
	bench_flushes(b);
	bench_storms(b, true);
	bench_storms(b, false);
	forget_hashes(b);
	bench_switches(b);
	bench_feed(b);
	bench_resync(b, "full resync of 1 M phones, from the lost connection on", "0.5 s");
	node_close(b);
	bench_restore(b, "restore of 1 M phones, from store_open on", "0.1 s");
	redis_stop(b);
}

static void bench_great_storm(struct bench *b, bool in_order)
{
	churner_in_order(b->churner, in_order);
	const struct storm_result storm = measure_storm(b, 10000);
	row("10 M phones at 3 M transitions/s", "%s; at %.2f M/s",
		in_order ? "as they were powered on" : "here and there",
		(double)storm.transitions / storm.seconds / 1e6);
	row("  worst staleness, sampled; the store's own gauge", "%.2f s; %.2f s  (1 s)",
		storm.worst_ms / 1000, storm.lag_ms / 1000);
	row("  CPU per update: Redis; store's thread", "%.2f us; %.2f us",
		storm.redis_us / (double)storm.transitions,
		storm.store_us / (double)storm.transitions);
}

static void ten_million(struct bench *b)
{
	begin(b, 10 * MILLION);
	bench_memory(b);
	bench_great_storm(b, true);
	bench_great_storm(b, false);
	bench_idle(b, "idle herd of 10 M phones: the store's thread takes");
	bench_resync(b, "full resync of 10 M phones, from the lost connection on", "3 s");
	node_close(b);
	bench_restore(b, "restore of 10 M phones, from store_open on", "1 s");
	redis_stop(b);
}

int main(int argc, char **argv)
{
	static struct bench b;
	uint32_t phones = MILLION;
	bool ten = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--ten") == 0)
			ten = true;
		else if (strcmp(argv[i], "--phones") == 0 && i + 1 < argc)
			phones = (uint32_t)strtoul(argv[++i], NULL, 10);
		else
			fail("usage: bench_store [--phones N | --ten]");
	}
	signal(SIGPIPE, SIG_IGN);
	bind_cpu(STORE_CPU);
	b.loop = ev_loop_new(EVFLAG_AUTO);
	if (ten)
		ten_million(&b);
	else
		million(&b, phones);
	print_table();
	ev_loop_destroy(b.loop);
	return 0;
}
