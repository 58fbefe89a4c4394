/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to Redis with real servers: each test starts its own redis-server on a unix socket in a
 * folder of its own, and ends it by pid.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../store/redis_server.h"
#include "patience.h"
#include "router.h"

#define PATIENCE_S 15.0
#define SKIPPED 77
#define OLD_LIBRARY                                                                    \
	"#!lua name=sipherd\nredis.register_function{function_name='sipherd_version'," \
	"callback=function() return 0 end,flags={'no-writes'}}"
#define NEW_LIBRARY                                                                    \
	"#!lua name=sipherd\nredis.register_function{function_name='sipherd_version'," \
	"callback=function() return 99 end,flags={'no-writes'}}"

struct bench {
	struct ev_loop *loop;
	struct keys keys;
	struct router *router;
	pid_t pid;
	char folder[32], path[64];
	unsigned ups, downs, answers, troubles, fatals;
	enum router_fault fault;
	long long integer;
	char message[1000];
};

static void on_answer(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag;
	struct bench *bench = context;
	bench->answers++;
	bench->fault = fault;
	bench->integer = reply != NULL ? reply->integer : 0;
}

static void on_group_up(void *context, uint32_t group)
{
	struct bench *bench = context;
	bench->ups += group == ROUTER_META;
}

static void on_group_down(void *context, uint32_t group)
{
	struct bench *bench = context;
	bench->downs += group == ROUTER_META;
}

static void on_trouble(void *context, bool fatal, const char *message)
{
	struct bench *bench = context;
	bench->troubles++;
	bench->fatals += fatal;
	assert_null(strstr(message, "hunter"));
	snprintf(bench->message, sizeof(bench->message), "%s", message);
}

static void start_server(struct bench *bench)
{
	bench->pid = redis_server_start(bench->folder, bench->path);
	assert_true(bench->pid > 0);
}

static void kill_server(struct bench *bench)
{
	redis_server_kill(bench->pid, bench->path);
}

/* As another client, at once. */
static redisReply *ask(struct bench *bench, int argc, const char **argv)
{
	redisContext *redis = NULL;
	for (int tries = 0; tries < 500; tries++) {
		redis = redisConnectUnix(bench->path);
		if (redis != NULL && redis->err == 0)
			break;
		redisFree(redis);
		redis = NULL;
		usleep(10000);
	}
	assert_non_null(redis);
	redisReply *reply = redisCommandArgv(redis, argc, argv, NULL);
	assert_non_null(reply);
	redisFree(redis);
	return reply;
}

#define ASK(bench, ...)                                                                 \
	do {                                                                            \
		const char *words[] = {__VA_ARGS__};                                    \
		redisReply *said = ask(bench, sizeof(words) / sizeof(words[0]), words); \
		if (said->type == REDIS_REPLY_ERROR)                                    \
			fail_msg("%s: %s", words[0], said->str);                        \
		freeReplyObject(said);                                                  \
	} while (0)

static struct bench *make_bench(void)
{
	struct bench *bench = test_calloc(1, sizeof(*bench));
	bench->loop = ev_loop_new(0);
	strcpy(bench->folder, "/tmp/sipherd-router-XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/socket", bench->folder);
	start_server(bench);
	ASK(bench, "PING");
	return bench;
}

static void begin(struct bench *bench, const char *user)
{
	const struct router_events events = {bench, on_group_up, on_group_down, on_trouble};
	char reason[TARGET_REASON_MAX], text[128];
	struct target target;
	snprintf(text, sizeof(text), "unix://%s%s", user, bench->path);
	assert_int_equal(target_parse(text, &target, reason), 0);
	keys_begin(&bench->keys, "f1", false);
	bench->router = router_create(bench->loop, &target, &bench->keys, &events);
	assert_non_null(bench->router);
}

static void end(struct bench *bench)
{
	router_free(bench->router);
	kill_server(bench);
	rmdir(bench->folder);
	ev_loop_destroy(bench->loop);
	test_free(bench);
}

static void call(struct bench *bench, int argc, const char **argv)
{
	size_t length[8];
	for (int i = 0; i < argc; i++)
		length[i] = strlen(argv[i]);
	assert_int_equal(
		router_call(bench->router, ROUTER_META, on_answer, bench, 0, argc, argv, length),
		0);
}

static void call_version(struct bench *bench)
{
	const char *argv[] = {"FCALL_RO", "sipherd_version", "0"};
	call(bench, 3, argv);
}

static void library_is_loaded_where_it_is_missing(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	call_version(bench);
	RUN_UNTIL(bench, bench->answers == 1);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->integer, 1);
	assert_int_equal(bench->troubles, 0);
	end(bench);
}

static void library_is_replaced_when_it_is_older(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	ASK(bench, "FUNCTION", "LOAD", OLD_LIBRARY);
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	call_version(bench);
	RUN_UNTIL(bench, bench->answers == 1);
	assert_int_equal(bench->integer, 1);
	end(bench);
}

static void newer_library_is_left_alone(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	ASK(bench, "FUNCTION", "LOAD", NEW_LIBRARY);
	begin(bench, "");
	RUN_UNTIL(bench, bench->fatals == 1);
	assert_int_equal(bench->ups, 0);
	const char *words[] = {"FCALL_RO", "sipherd_version", "0"};
	redisReply *reply = ask(bench, 3, words);
	assert_int_equal(reply->integer, 99);
	freeReplyObject(reply);
	end(bench);
}

static void flushed_library_comes_back(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	ASK(bench, "FUNCTION", "FLUSH");
	call_version(bench);
	RUN_UNTIL(bench, bench->answers == 1);
	assert_int_equal(bench->fault, FAULT_LIBRARY);
	call_version(bench);
	RUN_UNTIL(bench, bench->answers == 2);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->integer, 1);
	assert_int_equal(bench->downs, 0);
	end(bench);
}

static void killed_and_started_again(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	begin(bench, "");
	for (unsigned round = 1; round <= 3; round++) {
		RUN_UNTIL(bench, bench->ups == round);
		kill_server(bench);
		RUN_UNTIL(bench, bench->downs == round);
		start_server(bench);
	}
	RUN_UNTIL(bench, bench->ups == 4);
	assert_int_equal(router_counters(bench->router)->connects, 4);
	end(bench);
}

/* The kernel still accepts connections for a process that is stopped. */
static void stopped_and_continued(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	kill(bench->pid, SIGSTOP);
	call_version(bench);
	RUN_UNTIL(bench, bench->downs == 1);
	assert_int_equal(bench->fault, FAULT_GONE);
	assert_non_null(strstr(bench->message, "no reply for 2 s"));
	kill(bench->pid, SIGCONT);
	RUN_UNTIL(bench, bench->ups == 2);
	end(bench);
}

/* Slow is not gone. */
static void slow_server_is_waited_for(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	const char *sleep[] = {"DEBUG", "SLEEP", "1.2"};
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 1; i <= 2; i++) {
		call(bench, 3, sleep);
		RUN_UNTIL(bench, bench->answers == i);
	}
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->downs, 0);
	end(bench);
}

static void wrong_password_then_right(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	ASK(bench, "ACL", "SETUSER", "writer", "on", ">other", "~*", "+@all");
	begin(bench, "writer:hunter2@");
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "password is wrong"));
	ASK(bench, "ACL", "SETUSER", "writer", ">hunter2");
	RUN_UNTIL(bench, bench->ups == 1);
	assert_int_equal(bench->troubles, 1);
	/* Taking the user away closes its connections. */
	ASK(bench, "ACL", "DELUSER", "writer");
	RUN_UNTIL(bench, bench->downs == 1);
	end(bench);
}

static void password_is_missing_then_given(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	ASK(bench, "CONFIG", "SET", "requirepass", "hunter2");
	begin(bench, "");
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "SIPHERD_STORE_PASSWORD"));
	router_free(bench->router);
	begin(bench, ":hunter2@");
	RUN_UNTIL(bench, bench->ups == 1);
	end(bench);
}

/* A master that becomes a replica: Redis closes nothing, writes are refused until we look again. */
static void master_becomes_a_replica(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	const char *set[] = {"SET", "key", "value"};
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	ASK(bench, "REPLICAOF", "127.0.0.1", "1");
	call(bench, 3, set);
	RUN_UNTIL(bench, bench->answers == 1);
	assert_int_equal(bench->fault, FAULT_HOLD);
	RUN_UNTIL(bench, bench->downs == 1);
	end(bench);
}

static void database_is_selected(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	const char *set[] = {"SET", "here", "1"}, *size[] = {"DBSIZE"};
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	call(bench, 3, set);
	RUN_UNTIL(bench, bench->answers == 1);
	router_free(bench->router);
	strcat(bench->path, "?db=3");
	begin(bench, "");
	bench->path[strlen(bench->path) - 5] = '\0';
	RUN_UNTIL(bench, bench->ups == 2);
	call(bench, 1, size);
	RUN_UNTIL(bench, bench->answers == 2);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->integer, 0);
	end(bench);
}

static void database_that_is_not_there(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	strcat(bench->path, "?db=999");
	begin(bench, "");
	bench->path[strlen(bench->path) - 7] = '\0';
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "select the database"));
	assert_int_equal(bench->ups, 0);
	end(bench);
}

/* Full memory and a user without rights, as Redis itself says it. */
static void faults_in_redis_own_words(void **state)
{
	(void)state;
	struct bench *bench = make_bench();
	const char *set[] = {"SET", "key", "value"};
	begin(bench, "");
	RUN_UNTIL(bench, bench->ups == 1);
	ASK(bench, "CONFIG", "SET", "maxmemory", "1");
	call(bench, 3, set);
	RUN_UNTIL(bench, bench->answers == 1);
	assert_int_equal(bench->fault, FAULT_HOLD);
	ASK(bench, "CONFIG", "SET", "maxmemory", "0");
	ASK(bench, "ACL", "SETUSER", "default", "-set");
	call(bench, 3, set);
	RUN_UNTIL(bench, bench->answers == 2);
	assert_int_equal(bench->fault, FAULT_DENIED);
	end(bench);
}

int main(void)
{
	if (system("redis-server --version >/dev/null 2>&1") != 0) {
		printf("SKIP: redis-server is not installed\n");
		return SKIPPED;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(library_is_loaded_where_it_is_missing),
		cmocka_unit_test(library_is_replaced_when_it_is_older),
		cmocka_unit_test(newer_library_is_left_alone),
		cmocka_unit_test(flushed_library_comes_back),
		cmocka_unit_test(killed_and_started_again),
		cmocka_unit_test(stopped_and_continued),
		cmocka_unit_test(slow_server_is_waited_for),
		cmocka_unit_test(wrong_password_then_right),
		cmocka_unit_test(password_is_missing_then_given),
		cmocka_unit_test(master_becomes_a_replica),
		cmocka_unit_test(database_is_selected),
		cmocka_unit_test(database_that_is_not_there),
		cmocka_unit_test(faults_in_redis_own_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
