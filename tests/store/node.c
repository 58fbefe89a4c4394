/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One generator without SIP: the store, its mirror and the churner for workers, for tests that break
 * Redis around it. Commands come as lines on stdin, each is answered by one line on stdout; what the
 * store says comes between as "say WARNING TEXT". The end of stdin ends it.
 *
 * The records lie in a file, so that the test can compare them with Redis and they outlive a kill.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "churner.h"
#include "store.h"

#define LINE_MAX_BYTES 256

struct node {
	struct ev_loop *loop;
	ev_io input;
	char line[LINE_MAX_BYTES];
	size_t line_length;
	uint64_t begun_us; /* CLOCK_MONOTONIC at the herd's time 0 */
	struct mirror *mirror;
	struct image image;
	bool with_image;
	struct store *store;
	struct churner *churner;
	struct store_config config;
	struct churner_config churn;
};

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t herd_now_us(const void *clock)
{
	const struct node *node = clock;
	return clock_us(CLOCK_MONOTONIC) - node->begun_us;
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "node: %s: %s\n", what, why);
	exit(1);
}

/* A file of so many bytes, shared with whoever maps it too. */
static void *map_file(const char *path, size_t bytes)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		fail(path, strerror(errno));
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail(path, strerror(errno));
	close(fd);
	return map;
}

/* ---- events of the store ---- */

static void set_here(struct mirror *mirror, uint32_t first, uint32_t count, uint8_t here)
{
	for (uint32_t shard = first / SHARD_PHONES; shard * SHARD_PHONES < first + count; shard++)
		atomic_store_explicit(&mirror->here[shard], here, memory_order_relaxed);
}

static void on_adopt(void *context, uint32_t first, uint32_t count, bool moved)
{
	struct node *node = context;
	(void)moved;
	set_here(node->mirror, first, count, 1);
	churner_adopt(node->churner, first, count);
}

static void on_release(void *context, uint32_t first, uint32_t count)
{
	struct node *node = context;
	set_here(node->mirror, first, count, 0);
	churner_release(node->churner, first, count);
}

static void on_say(void *context, bool warning, const char *message)
{
	(void)context;
	printf("say %d %s\n", warning, message);
}

/* ---- commands ---- */

#define TELL_COUNTER(name, help) printf(" %s=%" PRIu64, #name, status.counters.name);

static void tell_status(struct node *node)
{
	struct store_status status;
	struct churner_totals totals;
	store_status(node->store, &status);
	churner_totals(node->churner, &totals);
	printf("ok connected=%d refused=%d shards=%u driven=%u unleased=%u nodes=%u "
	       "dirty_shards=%u calls_waiting=%u lag_us=%" PRIu64 " lag_max_us=%" PRIu64
	       " quiet=%d",
		status.connected, status.refused, status.shards, status.driven, status.unleased,
		status.nodes, status.dirty_shards, status.calls_waiting, status.lag_us,
		status.lag_max_us, store_is_quiet(node->store));
	STORE_COUNTERS(TELL_COUNTER)
	uint64_t dropped = 0;
	for (unsigned i = 0; i < node->mirror->workers; i++)
		dropped += mirror_lines_dropped(node->mirror, MIRROR_STORE, i);
	printf(" transitions=%" PRIu64 " keepalives=%" PRIu64 " rounds=%" PRIu64 " muted=%" PRIu64
	       " switches=%" PRIu64 " late_us=%" PRIu64 " lines_dropped=%" PRIu64 " storming=%d\n",
		totals.transitions, totals.keepalives, totals.rounds, totals.muted, totals.switches,
		totals.late_us, dropped, !churner_storm_is_over(node->churner));
}

static bool is_driven(const struct mirror *mirror, uint32_t shard)
{
	for (unsigned i = 0; i < mirror->workers; i++)
		if (atomic_load(&mirror->driven[(size_t)shard * mirror->workers + i]) == 0)
			return false;
	return true;
}

static void tell_driven(const struct mirror *mirror)
{
	printf("ok driven=");
	for (uint32_t shard = 0; shard < mirror->shards; shard++)
		putchar(is_driven(mirror, shard) ? '1' : '0');
	printf("\n");
}

static void mark_driven(struct mirror *mirror)
{
	for (uint32_t shard = 0; shard < mirror->shards; shard++)
		if (is_driven(mirror, shard))
			mirror_mark_shard(mirror, shard);
	printf("ok\n");
}

static void publish_fields(struct node *node)
{
	struct churner_totals totals;
	churner_totals(node->churner, &totals);
	const struct store_field fields[] = {
		{"transitions", totals.transitions}, {"keepalives_sent", totals.keepalives}};
	store_publish(node->store, fields, 2);
	printf("ok\n");
}

static void command(struct node *node, const char *line)
{
	unsigned a, b;
	if (strcmp(line, "status") == 0) {
		tell_status(node);
		return;
	}
	if (strcmp(line, "driven") == 0) {
		tell_driven(node->mirror);
		return;
	}
	if (strcmp(line, "mark") == 0) {
		mark_driven(node->mirror);
		return;
	}
	if (strcmp(line, "publish") == 0) {
		publish_fields(node);
		return;
	}
	if (sscanf(line, "rate %u %u", &a, &b) == 2)
		churner_rate(node->churner, a, b);
	else if (sscanf(line, "storm %u %u", &a, &b) == 2)
		churner_storm(node->churner, a, b);
	else if (strcmp(line, "pause") == 0)
		churner_pause(node->churner);
	else if (strcmp(line, "resume") == 0)
		churner_resume(node->churner);
	else if (strcmp(line, "leave") == 0)
		store_leave(node->store);
	else
		fail("unknown command", line);
	printf("ok\n");
}

static void on_input(struct ev_loop *loop, ev_io *io, int events)
{
	struct node *node = io->data;
	char bytes[LINE_MAX_BYTES];
	(void)events;
	const ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (n <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] != '\n' && node->line_length < sizeof(node->line) - 1) {
			node->line[node->line_length++] = bytes[i];
			continue;
		}
		node->line[node->line_length] = '\0';
		node->line_length = 0;
		command(node, node->line);
	}
}

/* ---- beginning and end ---- */

struct arguments {
	const char *target, *fleet, *node, *records, *image, *sessions;
	uint32_t phones, workers, ttl_ms;
	uint64_t seed;
	uint8_t mode;
	bool strict;
};

static uint64_t number(const char *text)
{
	char *end;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 0);
	if (errno != 0 || *end != '\0' || end == text)
		fail("not a number", text);
	return value;
}

static void parse_one(struct arguments *a, const char *name, const char *value)
{
	if (strcmp(name, "--target") == 0)
		a->target = value;
	else if (strcmp(name, "--fleet") == 0)
		a->fleet = value;
	else if (strcmp(name, "--node") == 0)
		a->node = value;
	else if (strcmp(name, "--records") == 0)
		a->records = value;
	else if (strcmp(name, "--image") == 0)
		a->image = value;
	else if (strcmp(name, "--sessions") == 0)
		a->sessions = value;
	else if (strcmp(name, "--phones") == 0)
		a->phones = (uint32_t)number(value);
	else if (strcmp(name, "--workers") == 0)
		a->workers = (uint32_t)number(value);
	else if (strcmp(name, "--ttl") == 0)
		a->ttl_ms = (uint32_t)number(value);
	else if (strcmp(name, "--seed") == 0)
		a->seed = number(value);
	else if (strcmp(name, "--mode") == 0)
		a->mode = strcmp(value, "symmetric") == 0 ? MODE_SYMMETRIC : MODE_ASYMMETRIC;
	else if (strcmp(name, "--fence") == 0)
		a->strict = strcmp(value, "strict") == 0;
	else
		fail("unknown option", name);
}

/* Records: in the image file, or in a file that starts with them. */
static void open_mirror(struct node *node, const struct arguments *a)
{
	struct phone_record *records;
	if (a->image != NULL) {
		char warning[IMAGE_REASON_MAX] = "", reason[IMAGE_REASON_MAX] = "";
		if (image_open(&node->image, a->image, a->fleet, a->phones, warning, reason) != 0)
			fail(a->image, reason);
		node->with_image = true;
		records = node->image.record;
		printf("records %zu %s\n", (size_t)((char *)records - (char *)node->image.map),
			node->image.path);
	} else {
		records = map_file(a->records, (size_t)a->phones * RECORD_SIZE);
		printf("records 0 %s\n", a->records);
	}
	if (mirror_create(&node->mirror, a->phones, a->workers, records, false) != 0)
		fail("mirror", "out of memory");
	node->begun_us = clock_us(CLOCK_MONOTONIC);
	atomic_store(&node->mirror->unix_start_us, clock_us(CLOCK_REALTIME));
}

static void open_store(struct node *node, const struct arguments *a)
{
	char reason[TARGET_REASON_MAX] = "";
	if (target_parse(a->target, &node->config.target, reason) != 0 ||
		target_password(&node->config.target, reason) != 0)
		fail("target", reason);
	node->config.fleet = a->fleet;
	node->config.node = a->node != NULL ? a->node : node->image.node;
	node->config.version = "test";
	node->config.mirror = node->mirror;
	node->config.image = node->with_image ? &node->image : NULL;
	node->config.mode = a->mode;
	node->config.ttl_ms = a->ttl_ms;
	node->config.strict = a->strict;
	node->config.now_us = herd_now_us;
	node->config.clock = node;
	const struct store_events events = {
		.context = node, .adopt = on_adopt, .release = on_release, .say = on_say};
	const int error = store_open(&node->store, &node->config, &events, node->loop);
	if (error != 0)
		fail("store_open", strerror(-error));
}

static void open_churner(struct node *node, const struct arguments *a)
{
	node->churn = (struct churner_config){.mirror = node->mirror,
		.seed = a->seed,
		.mode = a->mode,
		.now_us = herd_now_us,
		.clock = node,
		.cpu = -1};
	if (a->sessions != NULL)
		node->churn.sessions = map_file(a->sessions,
			sizeof(struct churner_session) * CHURNER_SESSIONS * a->workers);
	if (churner_create(&node->churner, &node->churn) != 0)
		fail("churner", "no threads");
}

int main(int argc, char **argv)
{
	static struct node node;
	struct arguments a = {.fleet = "f1", .phones = 100000, .workers = 2, .seed = 1};
	for (int i = 1; i + 1 < argc; i += 2)
		parse_one(&a, argv[i], argv[i + 1]);
	if (a.target == NULL || (a.image == NULL && (a.records == NULL || a.node == NULL)))
		fail("usage", "--target URL (--image DIR | --records FILE --node NAME) ...");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	node.loop = ev_loop_new(EVFLAG_AUTO);
	open_mirror(&node, &a);
	open_churner(&node, &a);
	open_store(&node, &a);
	ev_io_init(&node.input, on_input, STDIN_FILENO, EV_READ);
	node.input.data = &node;
	ev_io_start(node.loop, &node.input);
	ev_run(node.loop, 0);
	ev_io_stop(node.loop, &node.input);
	store_close(node.store);
	churner_free(node.churner);
	mirror_free(node.mirror);
	if (node.with_image)
		image_close(&node.image);
	ev_loop_destroy(node.loop);
	return 0;
}
