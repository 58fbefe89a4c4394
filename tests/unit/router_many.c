/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to Redis behind Sentinels and in a cluster, with real servers that tests/store/servers.py
 * starts on loopback and ends when its standard input does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"
#include "router.h"

#define PATIENCE_S 30.0
#define SKIPPED 77
#define SERVERS_MAX 8
#define GROUPS (ROUTER_META + 1)

struct server {
	char name[32];
	pid_t pid;
	int port;
};

struct bench {
	struct ev_loop *loop;
	struct keys keys;
	struct router *router;
	pid_t starter;
	int starter_input;
	struct server server[SERVERS_MAX];
	unsigned servers;
	unsigned ups[GROUPS], downs[GROUPS], answers;
	enum router_fault fault;
	char text[100]; /* of the last answer */
	char message[1000];
};

static void on_answer(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag;
	struct bench *bench = context;
	const redisReply *text = reply;
	bench->answers++;
	bench->fault = fault;
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
		text = reply->element[0];
	snprintf(bench->text, sizeof(bench->text), "%s",
		text != NULL && text->str != NULL ? text->str : "");
}

static void on_group_up(void *context, uint32_t group)
{
	struct bench *bench = context;
	bench->ups[group]++;
}

static void on_group_down(void *context, uint32_t group)
{
	struct bench *bench = context;
	bench->downs[group]++;
}

static void on_trouble(void *context, bool fatal, const char *message)
{
	struct bench *bench = context;
	assert_false(fatal);
	snprintf(bench->message, sizeof(bench->message), "%s", message);
}

/* --- Servers --- */

static FILE *start(struct bench *bench, const char *kind)
{
	int input[2], output[2];
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	bench->starter = fork();
	assert_true(bench->starter >= 0);
	if (bench->starter == 0) {
		dup2(input[0], 0);
		dup2(output[1], 1);
		execlp("python3", "python3", TESTS_DIR "/store/servers.py", kind, (char *)NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	bench->starter_input = input[1];
	return fdopen(output[0], "r");
}

/* The URL, a line per server, an empty line. */
static void read_servers(struct bench *bench, FILE *output, char url[512])
{
	char line[512];
	if (fgets(url, 512, output) == NULL)
		fail_msg("the servers did not start");
	url[strcspn(url, "\n")] = '\0';
	while (fgets(line, sizeof(line), output) != NULL) {
		struct server *server = &bench->server[bench->servers];
		if (sscanf(line, "%31s %d %d", server->name, &server->pid, &server->port) != 3)
			break;
		bench->servers++;
	}
	fclose(output);
}

static struct bench *make_bench(const char *kind)
{
	struct bench *bench = test_calloc(1, sizeof(*bench));
	const struct router_events events = {bench, on_group_up, on_group_down, on_trouble};
	char url[512], reason[TARGET_REASON_MAX];
	struct target target;
	read_servers(bench, start(bench, kind), url);
	bench->loop = ev_loop_new(0);
	assert_int_equal(target_parse(url, &target, reason), 0);
	keys_begin(&bench->keys, "f1", target.kind == TARGET_CLUSTER);
	bench->router = router_create(bench->loop, &target, &bench->keys, &events);
	assert_non_null(bench->router);
	return bench;
}

static void end(struct bench *bench)
{
	router_free(bench->router);
	close(bench->starter_input);
	waitpid(bench->starter, NULL, 0);
	ev_loop_destroy(bench->loop);
	test_free(bench);
}

/* As another client; the text of the answer. */
static void ask(int port, char *out, size_t size, int argc, const char **argv)
{
	redisContext *redis = redisConnect("127.0.0.1", port);
	assert_non_null(redis);
	redisReply *reply = redisCommandArgv(redis, argc, argv, NULL);
	if (reply == NULL)
		fail_msg("%s: %s", argv[0], redis->errstr);
	const redisReply *text = reply;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
		text = reply->element[0];
	if (text->type == REDIS_REPLY_ERROR)
		fail_msg("%s %s: %s", argv[0], argc > 1 ? argv[1] : "", text->str);
	snprintf(out, size, "%s", text->str != NULL ? text->str : "");
	freeReplyObject(reply);
	redisFree(redis);
}

#define ASK(port, out, ...)                                                           \
	do {                                                                          \
		const char *words[] = {__VA_ARGS__};                                  \
		ask(port, out, sizeof(out), sizeof(words) / sizeof(words[0]), words); \
	} while (0)

static const struct server *find(const struct bench *bench, const char *name)
{
	for (unsigned i = 0; i < bench->servers; i++)
		if (strcmp(bench->server[i].name, name) == 0)
			return &bench->server[i];
	fail_msg("no server %s", name);
	return NULL;
}

static void call(struct bench *bench, uint32_t group, int argc, const char **argv)
{
	size_t length[8];
	const unsigned before = bench->answers;
	for (int i = 0; i < argc; i++)
		length[i] = strlen(argv[i]);
	assert_int_equal(
		router_call(bench->router, group, on_answer, bench, 0, argc, argv, length), 0);
	RUN_UNTIL(bench, bench->answers == before + 1);
}

#define CALL(bench, group, ...)                                              \
	do {                                                                 \
		const char *words[] = {__VA_ARGS__};                         \
		call(bench, group, sizeof(words) / sizeof(words[0]), words); \
	} while (0)

static unsigned groups_up(const struct bench *bench)
{
	unsigned up = 0;
	for (uint32_t group = 0; group < GROUPS; group++)
		up += router_up(bench->router, group);
	return up;
}

/* --- Sentinel --- */

static void master_is_handed_over(void **state)
{
	(void)state;
	struct bench *bench = make_bench("sentinel");
	char said[100];
	RUN_UNTIL(bench, bench->ups[ROUTER_META] == 1);
	CALL(bench, 0, "SET", "key", "value");
	assert_string_equal(bench->text, "OK");
	ASK(find(bench, "sentinel0")->port, said, "SENTINEL", "FAILOVER", "mymaster");
	RUN_UNTIL(bench, bench->downs[ROUTER_META] == 1);
	RUN_UNTIL(bench, groups_up(bench) == KEYS_GROUPS + 1);
	CALL(bench, 0, "ROLE");
	assert_string_equal(bench->text, "master");
	ASK(find(bench, "replica")->port, said, "ROLE");
	assert_string_equal(said, "master");
	end(bench);
}

static void master_is_killed(void **state)
{
	(void)state;
	struct bench *bench = make_bench("sentinel");
	char said[100];
	RUN_UNTIL(bench, bench->ups[ROUTER_META] == 1);
	/* One of the three Sentinels is away too. */
	kill(find(bench, "sentinel0")->pid, SIGKILL);
	kill(find(bench, "master")->pid, SIGKILL);
	RUN_UNTIL(bench, bench->downs[ROUTER_META] == 1);
	RUN_UNTIL(bench, bench->ups[ROUTER_META] == 2);
	ASK(find(bench, "replica")->port, said, "ROLE");
	assert_string_equal(said, "master");
	CALL(bench, 0, "FCALL_RO", "sipherd_version", "0");
	assert_int_equal(bench->fault, FAULT_NONE);
	end(bench);
}

/* --- Cluster --- */

static const struct server *server_with_role(const struct bench *bench, const char *role)
{
	char said[100];
	for (unsigned i = 0; i < bench->servers; i++) {
		ASK(bench->server[i].port, said, "ROLE");
		if (strcmp(said, role) == 0)
			return &bench->server[i];
	}
	fail_msg("no %s", role);
	return NULL;
}

static void cluster_loses_a_master(void **state)
{
	(void)state;
	struct bench *bench = make_bench("cluster");
	unsigned down = 0;
	RUN_UNTIL(bench, groups_up(bench) == GROUPS);
	kill(server_with_role(bench, "master")->pid, SIGKILL);
	RUN_UNTIL(bench, groups_up(bench) < GROUPS);
	RUN_UNTIL(bench, groups_up(bench) == GROUPS);
	for (uint32_t group = 0; group < GROUPS; group++) {
		assert_int_equal(bench->ups[group], bench->downs[group] + 1);
		down += bench->downs[group] > 0;
	}
	/* A third of them, and nobody else's. */
	assert_in_range(down, 80, 90);
	CALL(bench, 0, "FCALL_RO", "sipherd_version", "0");
	assert_int_equal(bench->fault, FAULT_NONE);
	end(bench);
}

/* Where a group's slot is now, and another master. */
struct journey {
	int from, to;
	char from_id[64], to_id[64], slot[8];
};

static void plan(struct bench *bench, uint32_t group, struct journey *journey)
{
	char key[KEY_MAX], said[100];
	const size_t length = keys_feed(&bench->keys, group, key);
	snprintf(journey->slot, sizeof(journey->slot), "%u", keys_slot(key, length));
	for (unsigned i = 0; i < bench->servers; i++) {
		redisContext *redis = redisConnect("127.0.0.1", bench->server[i].port);
		redisReply *reply = redisCommand(redis, "SET %s 1", key);
		const bool here = reply->type == REDIS_REPLY_STATUS;
		freeReplyObject(reply);
		redisFree(redis);
		ASK(bench->server[i].port, said, "ROLE");
		if (here)
			journey->from = bench->server[i].port;
		else if (strcmp(said, "master") == 0)
			journey->to = bench->server[i].port;
	}
	ASK(journey->from, said, "DEL", key);
	ASK(journey->from, journey->from_id, "CLUSTER", "MYID");
	ASK(journey->to, journey->to_id, "CLUSTER", "MYID");
}

/* ASK, TRYAGAIN and MOVED, in the order in which a slot's journey brings them. */
static void slot_moves(void **state)
{
	(void)state;
	struct bench *bench = make_bench("cluster");
	struct journey way = {0};
	char one[64], two[64], port[8], said[100];
	const uint32_t group = 77;
	RUN_UNTIL(bench, groups_up(bench) == GROUPS);
	snprintf(one, sizeof(one), "{f1.%s}one", bench->keys.tag[group]);
	snprintf(two, sizeof(two), "{f1.%s}two", bench->keys.tag[group]);
	plan(bench, group, &way);
	snprintf(port, sizeof(port), "%d", way.to);
	CALL(bench, group, "SET", one, "1");
	CALL(bench, group, "SET", two, "2");
	ASK(way.to, said, "CLUSTER", "SETSLOT", way.slot, "IMPORTING", way.from_id);
	ASK(way.from, said, "CLUSTER", "SETSLOT", way.slot, "MIGRATING", way.to_id);
	ASK(way.from, said, "MIGRATE", "127.0.0.1", port, one, "0", "1000");

	CALL(bench, group, "GET", one);
	assert_int_equal(bench->fault, FAULT_MOVED);
	CALL(bench, group, "GET", one);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_string_equal(bench->text, "1");
	/* The other key is still where it was, and is asked for there. */
	CALL(bench, group, "GET", two);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_string_equal(bench->text, "2");
	CALL(bench, group, "MGET", two, one);
	assert_int_equal(bench->fault, FAULT_HOLD);
	assert_int_equal(bench->downs[group], 0);

	ASK(way.from, said, "MIGRATE", "127.0.0.1", port, two, "0", "1000");
	ASK(way.to, said, "CLUSTER", "SETSLOT", way.slot, "NODE", way.to_id);
	ASK(way.from, said, "CLUSTER", "SETSLOT", way.slot, "NODE", way.to_id);
	CALL(bench, group, "GET", two);
	assert_int_equal(bench->fault, FAULT_MOVED);
	RUN_UNTIL(bench, bench->ups[group] == 2);
	CALL(bench, group, "GET", two);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_string_equal(bench->text, "2");
	assert_int_equal(bench->downs[group], 1);
	for (uint32_t other = 0; other < GROUPS; other++)
		assert_int_equal(bench->downs[other], other == group);
	end(bench);
}

int main(void)
{
	if (system("redis-server --version >/dev/null 2>&1 && redis-cli --version >/dev/null "
		   "2>&1") != 0) {
		printf("SKIP: redis-server or redis-cli is not installed\n");
		return SKIPPED;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(master_is_handed_over),
		cmocka_unit_test(master_is_killed),
		cmocka_unit_test(cluster_loses_a_master),
		cmocka_unit_test(slot_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
