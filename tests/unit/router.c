/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to Redis against a Redis that does what no Redis should: STORE.md section 8 as tests. The
 * fake server lives in the same loop. Real servers are the business of router_redis.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../store/fake_redis.h"
#include "patience.h"
#include "router.h"

#define PATIENCE_S 10.0
#define TAGS 4096
#define NESTED "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"

/* One router with what it said, against one fake server. */
struct bench {
	struct ev_loop *loop;
	struct fake_redis fake;
	struct keys keys;
	struct router *router;
	char folder[32], path[64];
	/* Events. */
	unsigned ups, downs; /* of the meta group */
	unsigned troubles, fatals;
	char message[1000];
	bool reset_when_up, reset_when_down;
	/* Answers. */
	unsigned answers, answered[TAGS];
	enum router_fault fault;
	int type;
	size_t length;
	bool reset_when_answered;
	int call_when_gone; /* result of a call made from a FAULT_GONE answer; 1: none made */
	bool call_again;
	/* For scripts. */
	const char *reply;
	unsigned step;
	uint64_t random;
};

static int call_one(struct bench *bench, uint64_t tag);

static void on_answer(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	struct bench *bench = context;
	bench->answers++;
	bench->answered[tag % TAGS]++;
	bench->fault = fault;
	bench->type = reply != NULL ? reply->type : 0;
	bench->length = reply != NULL ? reply->len : 0;
	assert_true((reply == NULL) == (fault == FAULT_GONE));
	if (fault == FAULT_GONE && bench->call_again)
		bench->call_when_gone = call_one(bench, 0);
	if (bench->reset_when_answered)
		router_reset(bench->router);
}

static void on_group_up(void *context, uint32_t group)
{
	struct bench *bench = context;
	assert_true(router_up(bench->router, group));
	if (group != ROUTER_META)
		return;
	bench->ups++;
	if (bench->reset_when_up)
		router_reset(bench->router);
}

static void on_group_down(void *context, uint32_t group)
{
	struct bench *bench = context;
	assert_false(router_up(bench->router, group));
	assert_int_equal(router_room(bench->router, group), 0);
	if (group != ROUTER_META)
		return;
	bench->downs++;
	assert_int_equal(call_one(bench, 0), -EAGAIN);
	if (bench->reset_when_down)
		router_reset(bench->router);
}

static void on_trouble(void *context, bool fatal, const char *message)
{
	struct bench *bench = context;
	bench->troubles++;
	bench->fatals += fatal;
	assert_null(strstr(message, "secret"));
	for (const char *c = message; *c != '\0'; c++)
		assert_true(*c >= ' ' && *c <= '~');
	snprintf(bench->message, sizeof(bench->message), "%s", message);
}

static int call_words(struct bench *bench, uint64_t tag, const char *one, size_t size)
{
	const char *argv[] = {"ECHO", one};
	const size_t length[] = {4, size};
	return router_call(bench->router, ROUTER_META, on_answer, bench, tag, 2, argv, length);
}

static int call_one(struct bench *bench, uint64_t tag)
{
	return call_words(bench, tag, "x", 1);
}

static void run_for(struct bench *bench, double seconds)
{
	bool over;
	ev_timer timer;
	patience_begin(bench->loop, &timer, &over, seconds);
	while (!over)
		ev_run(bench->loop, EVRUN_ONCE);
}

static void begin(struct bench *bench, const char *url)
{
	const struct router_events events = {bench, on_group_up, on_group_down, on_trouble};
	char reason[TARGET_REASON_MAX], text[128];
	struct target target;
	snprintf(text, sizeof(text), "unix:%s", bench->path);
	assert_int_equal(target_parse(url != NULL ? url : text, &target, reason), 0);
	keys_begin(&bench->keys, "f1", target.kind == TARGET_CLUSTER);
	bench->router = router_create(bench->loop, &target, &bench->keys, &events);
	assert_non_null(bench->router);
}

static struct bench *make_bench(fake_script script)
{
	struct bench *bench = test_calloc(1, sizeof(*bench));
	bench->loop = ev_loop_new(0);
	bench->call_when_gone = 1;
	strcpy(bench->folder, "/tmp/sipherd-router-XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/socket", bench->folder);
	bench->fake.script = script;
	bench->fake.context = bench;
	if (script != NULL)
		fake_start(&bench->fake, bench->loop, bench->path);
	return bench;
}

static void end(struct bench *bench)
{
	router_free(bench->router);
	if (bench->fake.loop != NULL)
		fake_stop(&bench->fake);
	rmdir(bench->folder);
	ev_loop_destroy(bench->loop);
	test_free(bench);
}

/* --- Scripts --- */

/* Everything is well, and other commands get bench->reply, or no answer when that is NULL. */
static void script_reply(struct fake_redis *fake, const char *const *word, unsigned words)
{
	struct bench *bench = fake->context;
	if (!fake_log_in(fake, word, words) && bench->reply != NULL)
		fake_say(fake, bench->reply);
}

static void script_silent(struct fake_redis *fake, const char *const *word, unsigned words)
{
	(void)fake, (void)word, (void)words;
}

/* bench->reply to the first command of a connection, whatever it is. */
static void script_first(struct fake_redis *fake, const char *const *word, unsigned words)
{
	struct bench *bench = fake->context;
	if (bench->step++ == 0)
		fake_say(fake, bench->reply);
	else
		fake_log_in(fake, word, words);
}

static void script_cut(struct fake_redis *fake, const char *const *word, unsigned words)
{
	if (fake_log_in(fake, word, words))
		return;
	fake_say(fake, "$1000\r\nthe beginning of");
	fake_hang_up(fake);
}

/* --- Tests --- */

static void calls_are_answered(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	bench->reply = "$5\r\nhello\r\n";
	begin(bench, NULL);
	assert_int_equal(call_one(bench, 1), -EAGAIN);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(call_one(bench, i), 0);
	assert_int_equal(bench->answers, 0);
	RUN_UNTIL(bench, bench->answers == 10);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->length, 5);
	const struct router_counters *counters = router_counters(bench->router);
	assert_int_equal(counters->connects, 1);
	assert_int_equal(counters->calls, 10);
	assert_int_equal(counters->answers, 10);
	assert_int_equal(counters->errors, 0);
	assert_int_equal(bench->troubles, 0);
	assert_false(router_up(bench->router, 100));
	assert_false(router_up(bench->router, KEYS_GROUPS));
	assert_true(router_up(bench->router, KEYS_GROUPS - 1));
	end(bench);
}

static void errors_have_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum router_fault fault;
	} known[] = {{"FENCED by b", FAULT_FENCED}, {"FENCED", FAULT_FENCED},
		{"FENCEDX", FAULT_OTHER}, {"OOM command not allowed", FAULT_HOLD},
		{"MISCONF x", FAULT_HOLD}, {"BUSY x", FAULT_HOLD}, {"LOADING x", FAULT_HOLD},
		{"READONLY x", FAULT_HOLD}, {"CLUSTERDOWN x", FAULT_HOLD},
		{"TRYAGAIN x", FAULT_HOLD}, {"NOREPLICAS x", FAULT_HOLD},
		{"MASTERDOWN x", FAULT_HOLD}, {"MOVED 1 a:1", FAULT_MOVED},
		{"ASK 1 a:1", FAULT_MOVED}, {"ERR Function not found", FAULT_LIBRARY},
		{"NOPERM x", FAULT_DENIED}, {"NOAUTH x", FAULT_DENIED},
		{"WRONGPASS x", FAULT_DENIED}, {"ERR x", FAULT_OTHER}, {"", FAULT_OTHER}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", known[i].text);
		const redisReply reply = {
			.type = REDIS_REPLY_ERROR, .str = text, .len = strlen(text)};
		assert_int_equal(router_fault_of(&reply), known[i].fault);
	}
	const redisReply nil = {.type = REDIS_REPLY_NIL};
	assert_int_equal(router_fault_of(&nil), FAULT_NONE);
	assert_int_equal(router_fault_of(NULL), FAULT_GONE);
}

/* A synchronous failure to connect: no callback comes from anywhere. */
static void no_server_and_then_one(void **state)
{
	(void)state;
	struct bench *bench = make_bench(NULL);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "No such file"));
	run_for(bench, 0.5);
	assert_int_equal(bench->troubles, 1);
	bench->fake.script = script_reply;
	bench->fake.context = bench;
	fake_start(&bench->fake, bench->loop, bench->path);
	RUN_UNTIL(bench, bench->ups == 1);
	end(bench);
}

static void connection_refused(void **state)
{
	(void)state;
	struct bench *bench = make_bench(NULL);
	begin(bench, "redis://127.0.0.1:1");
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "127.0.0.1:1: Connection refused"));
	end(bench);
}

/* A listener whose queue is full: the kernel drops our SYN and nobody says anything. */
static void nobody_lets_us_in(void **state)
{
	(void)state;
	struct bench *bench = make_bench(NULL);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t length = sizeof(address);
	int fd[4];
	char url[64];
	for (int i = 0; i < 4; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd[0], (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(fd[0], 0), 0);
	getsockname(fd[0], (struct sockaddr *)&address, &length);
	for (int i = 1; i < 4; i++)
		connect(fd[i], (struct sockaddr *)&address, length);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", ntohs(address.sin_port));
	begin(bench, url);
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "no connection within 1 s"));
	assert_int_equal(router_counters(bench->router)->timeouts, 1);
	end(bench);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

/* Accepts, reads, says nothing: not even a disconnect would ever end. */
static void hung_server_is_given_up(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_silent);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "no reply for 2 s"));
	bench->fake.script = script_reply;
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->answers == 5);
	assert_int_equal(bench->fault, FAULT_GONE);
	assert_int_equal(router_counters(bench->router)->timeouts, 2);
	end(bench);
}

static void cut_in_the_middle_of_a_reply(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_cut);
	begin(bench, NULL);
	bench->call_again = true;
	for (unsigned round = 1; round <= 3; round++) {
		RUN_UNTIL(bench, bench->ups == round);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(call_one(bench, i), 0);
		RUN_UNTIL(bench, bench->downs == round);
		assert_int_equal(bench->answers, round * 4);
		assert_int_equal(bench->fault, FAULT_GONE);
		/* Calls made from there are refused, at once and cleanly. */
		assert_int_equal(bench->call_when_gone, -EAGAIN);
	}
	end(bench);
}

static void greet_and_hang_up(struct fake_redis *fake)
{
	fake_hang_up(fake);
}

/* Writing to a closed socket would be SIGPIPE, whose default action is in force here. */
static void closes_at_once(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	signal(SIGPIPE, SIG_DFL);
	bench->fake.greet = greet_and_hang_up;
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->fake.accepted == 5);
	assert_int_equal(bench->ups, 0);
	assert_true(bench->troubles >= 1);
	end(bench);
}

static void script_shut(struct fake_redis *fake, const char *const *word, unsigned words)
{
	if (!fake_log_in(fake, word, words))
		fake_hang_up(fake);
}

static void calls_to_a_closed_socket(void **state)
{
	(void)state;
	static char big[100000];
	struct bench *bench = make_bench(script_shut);
	signal(SIGPIPE, SIG_DFL);
	begin(bench, NULL);
	for (unsigned round = 1; round <= 20; round++) {
		RUN_UNTIL(bench, bench->ups == round);
		bench->answers = 0;
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(call_words(bench, i, big, sizeof(big)), 0);
		RUN_UNTIL(bench, bench->downs == round);
		assert_int_equal(bench->answers, 10);
		router_reset(bench->router);
	}
	end(bench);
}

/* hiredis alone queues without limit, at quadratic cost. */
static void window_has_a_limit(void **state)
{
	(void)state;
	static char big[100000];
	struct bench *bench = make_bench(script_reply);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < ROUTER_CALLS; i++)
		assert_int_equal(call_one(bench, i), 0);
	assert_int_equal(call_one(bench, 64), -EAGAIN);
	assert_int_equal(router_room(bench->router, ROUTER_META), 0);
	router_reset(bench->router);
	assert_int_equal(bench->answers, 64);
	RUN_UNTIL(bench, bench->ups == 2);
	unsigned taken = 0;
	while (call_words(bench, 100 + taken, big, sizeof(big)) == 0)
		taken++;
	assert_int_equal(taken, 10);
	const size_t room = router_room(bench->router, ROUTER_META);
	assert_true(room > 0 && room < 100000);
	assert_int_equal(call_one(bench, 99), 0);
	router_free(bench->router);
	bench->router = NULL;
	assert_int_equal(bench->answers, 64 + 11);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(bench->answered[100 + i], 1);
	end(bench);
}

static void freed_with_calls_waiting(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(call_one(bench, i), 0);
	run_for(bench, 0.05);
	router_free(bench->router);
	bench->router = NULL;
	assert_int_equal(bench->answers, 20);
	assert_int_equal(bench->fault, FAULT_GONE);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(bench->answered[i], 1);
	end(bench);
}

/* Freed in every state that a connection can be in. */
static void freed_at_any_time(void **state)
{
	(void)state;
	for (unsigned turns = 0; turns < 12; turns++) {
		struct bench *bench = make_bench(script_reply);
		bench->reply = "+x\r\n";
		begin(bench, NULL);
		for (unsigned i = 0; i < turns; i++)
			ev_run(bench->loop, EVRUN_NOWAIT);
		end(bench);
	}
}

/* What frees a context inside its own callbacks, where hiredis crashes. */
static void reset_from_answers_and_events(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	bench->reply = "+x\r\n";
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	bench->reset_when_answered = true;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->answers == 5);
	RUN_UNTIL(bench, bench->ups == 2);
	bench->reset_when_down = true;
	router_reset(bench->router);
	RUN_UNTIL(bench, bench->ups == 3);
	bench->reset_when_up = true;
	router_reset(bench->router);
	RUN_UNTIL(bench, bench->ups >= 6);
	end(bench);
}

/* --- Replies that are none --- */

static void assert_dropped(const char *reply)
{
	struct bench *bench = make_bench(script_reply);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	bench->reply = reply;
	assert_int_equal(call_one(bench, 0), 0);
	assert_int_equal(call_one(bench, 1), 0);
	RUN_UNTIL(bench, bench->downs == 1);
	assert_int_equal(bench->answered[0], 1);
	assert_int_equal(bench->answered[1], 1);
	end(bench);
}

static void garbage_ends_the_connection(void **state)
{
	(void)state;
	static const char *const garbage[] = {"garbage\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"$99999999999999999999\r\n", "$-2\r\n", "*-2\r\n", "*99999999999\r\n",
		"*2147483647\r\n", "*1000000000\r\n", NESTED, ":12345678901234567890\r\n",
		"%1\r\n+a\r\n+b\r\n", "_\r\n"};
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		assert_dropped(garbage[i]);
}

/* Which hiredis' asynchronous context answers with abort(). */
static void answers_that_nobody_asked_for(void **state)
{
	(void)state;
	assert_dropped("+a\r\n+b\r\n+c\r\n+d\r\n");
	assert_dropped(":1\r\n:2\r\n*1\r\n:3\r\n");
	assert_dropped("+a\r\n-ERR one\r\n-ERR max number of clients \x1b[31mreached\r\n");
}

static void greet_with_error(struct fake_redis *fake)
{
	fake_say(fake, "-ERR max number of clients reached\r\n");
	fake_hang_up(fake);
}

static void too_many_clients(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_silent);
	bench->fake.greet = greet_with_error;
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->troubles >= 1);
	assert_non_null(strstr(bench->message, "max number of clients reached"));
	end(bench);
}

static void script_endless(struct fake_redis *fake, const char *const *word, unsigned words)
{
	static char line[8 << 20];
	struct bench *bench = fake->context;
	if (fake_log_in(fake, word, words))
		return;
	fake_say(fake, bench->reply);
	memset(line, ':', sizeof(line));
	if (bench->step == 1)
		for (size_t i = 0; i + 4 <= sizeof(line); i += 4)
			memcpy(line + i, ":1\r\n", 4);
	fake_send(fake, line, sizeof(line));
}

/* Memory is bounded, whatever comes: a string, a line, a list without end. */
static void endless_replies_end_the_connection(void **state)
{
	(void)state;
	static const char *const begins[] = {"$500000000\r\n", "*1000000\r\n", "+"};
	for (unsigned i = 0; i < 3; i++) {
		struct bench *bench = make_bench(script_endless);
		bench->reply = begins[i];
		bench->step = i;
		begin(bench, NULL);
		RUN_UNTIL(bench, bench->ups == 1);
		assert_int_equal(call_one(bench, 0), 0);
		RUN_UNTIL(bench, bench->downs == 1);
		assert_int_equal(bench->answers, 1);
		assert_int_equal(bench->fault, FAULT_GONE);
		end(bench);
	}
}

static void script_many(struct fake_redis *fake, const char *const *word, unsigned words)
{
	static char list[1300000];
	if (fake_log_in(fake, word, words))
		return;
	size_t n = (size_t)sprintf(list, "*100000\r\n");
	while (n + 12 <= sizeof(list))
		n += (size_t)sprintf(list + n, "*2\r\n:1\r\n:2\r\n");
	fake_send(fake, list, n);
}

/* Few bytes, many objects. */
static void too_many_objects_end_the_connection(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_many);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	assert_int_equal(call_one(bench, 0), 0);
	RUN_UNTIL(bench, bench->downs == 1);
	assert_int_equal(bench->fault, FAULT_GONE);
	end(bench);
}

static void script_slab(struct fake_redis *fake, const char *const *word, unsigned words)
{
	static char slab[320000];
	if (fake_log_in(fake, word, words))
		return;
	fake_say(fake, "$320000\r\n");
	fake_send(fake, slab, sizeof(slab));
	fake_say(fake, "\r\n");
}

static void slabs_arrive_whole(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_slab);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->answers == 16);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->length, 320000);
	assert_int_equal(bench->downs, 0);
	end(bench);
}

/* --- Logging in --- */

static void assert_said(const char *reply, const char *said, bool fatal)
{
	struct bench *bench = make_bench(script_first);
	char url[128];
	snprintf(url, sizeof(url), "unix://user:secret@%s", bench->path);
	bench->reply = reply;
	bench->step = 0;
	begin(bench, fatal ? NULL : url);
	RUN_UNTIL(bench, bench->troubles == 1);
	if (strstr(bench->message, said) == NULL)
		fail_msg("'%s' for %s", bench->message, reply);
	assert_int_equal(bench->fatals, fatal);
	if (!fatal)
		RUN_UNTIL(bench, bench->ups == 1);
	end(bench);
}

static void refusals_of_a_login_name_the_remedy(void **state)
{
	(void)state;
	assert_said("-WRONGPASS invalid username-password pair\r\n", "password is wrong", false);
	assert_said("-ERR unknown command AUTH, with args: secret\r\n", "refuses AUTH", false);
	assert_said("-LOADING Redis is loading\r\n", "not ready yet", false);
	assert_said("*1\r\n+OK\r\n", "refuses AUTH", false);
	assert_said(":1\r\n", "refuses AUTH", false);
	assert_said("$-1\r\n", "refuses AUTH", false);
}

static void assert_version_said(const char *reply, const char *said, bool fatal)
{
	struct bench *bench = make_bench(script_first);
	bench->reply = reply;
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->troubles == 1);
	if (strstr(bench->message, said) == NULL)
		fail_msg("'%s' for %s", bench->message, reply);
	assert_int_equal(bench->fatals, fatal);
	assert_int_equal(bench->ups, 0);
	end(bench);
}

static void answers_to_the_version(void **state)
{
	(void)state;
	assert_version_said("-ERR unknown command `FCALL_RO`, with args beginning with: ``\r\n",
		"Redis 7.0 or newer is needed", false);
	assert_version_said(
		"-NOAUTH Authentication required.\r\n", "SIPHERD_STORE_PASSWORD", false);
	assert_version_said("-NOPERM no permissions\r\n", "ACL", false);
	assert_version_said("-LOADING Redis is loading\r\n", "not ready yet", false);
	assert_version_said("-BUSY a \x07 script\r\n", "not ready yet", false);
	assert_version_said("*0\r\n", "wrong type", false);
	assert_version_said("$1\r\n1\r\n", "wrong type", false);
	assert_version_said(":2\r\n", "newer", true);
	assert_version_said(":9223372036854775807\r\n", "newer", true);
}

static void script_load(struct fake_redis *fake, const char *const *word, unsigned words)
{
	struct bench *bench = fake->context;
	if (strcmp(word[0], "FUNCTION") == 0) {
		bench->step++;
		fake_say(fake, bench->reply);
	} else if (words > 1 && strcmp(word[1], "sipherd_version") == 0) {
		fake_say(fake, "-ERR Function not found\r\n");
	} else {
		fake_say(fake, "+x\r\n");
	}
}

static void library_that_cannot_be_loaded(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_load);
	bench->reply = "-READONLY You can't write against a read only replica.\r\n";
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->step == 3);
	assert_non_null(strstr(bench->message, "READONLY"));
	bench->reply = "$7\r\nsipherd\r\n";
	RUN_UNTIL(bench, strstr(bench->message, "is not there") != NULL);
	assert_int_equal(bench->ups, 0);
	assert_int_equal(bench->fatals, 0);
	end(bench);
}

static void script_lost_library(struct fake_redis *fake, const char *const *word, unsigned words)
{
	struct bench *bench = fake->context;
	if (strcmp(word[0], "FUNCTION") == 0) {
		bench->step++;
		fake_say(fake, "$7\r\nsipherd\r\n");
	} else if (!fake_log_in(fake, word, words)) {
		fake_say(fake, bench->step == 0 ? "-ERR Function not found\r\n" : "+x\r\n");
	}
}

static void lost_library_is_loaded_once(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_lost_library);
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->answers == 10);
	assert_int_equal(bench->fault, FAULT_LIBRARY);
	assert_int_equal(call_one(bench, 0), 0);
	RUN_UNTIL(bench, bench->answers == 11);
	assert_int_equal(bench->fault, FAULT_NONE);
	assert_int_equal(bench->step, 1);
	assert_int_equal(bench->downs, 0);
	end(bench);
}

static void denials_are_said_once(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	bench->reply = "-NOPERM this user may not\r\n";
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->answers == 10);
	assert_int_equal(bench->fault, FAULT_DENIED);
	assert_int_equal(bench->troubles, 1);
	assert_int_equal(bench->downs, 0);
	bench->reply = "-NOAUTH log in\r\n";
	assert_int_equal(call_one(bench, 0), 0);
	RUN_UNTIL(bench, bench->ups == 2);
	end(bench);
}

static void replica_is_left(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_reply);
	bench->reply = "-READONLY You can't write against a read only replica.\r\n";
	begin(bench, NULL);
	RUN_UNTIL(bench, bench->ups == 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(call_one(bench, i), 0);
	RUN_UNTIL(bench, bench->downs == 1);
	assert_int_equal(bench->answers, 3);
	assert_int_equal(bench->answered[0], 1);
	end(bench);
}

/* --- Names --- */

static void names_are_looked_up(void **state)
{
	(void)state;
	struct bench *bench = make_bench(NULL);
	begin(bench, "redis://localhost:1");
	RUN_UNTIL(bench, bench->troubles == 1);
	assert_non_null(strstr(bench->message, "Connection refused"));
	end(bench);
}

/* --- Many --- */

static uint32_t draw(struct bench *bench, uint32_t below)
{
	bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(bench->random >> 33) % below;
}

/* Anything at any time, from the random numbers of the bench. */
static void script_chaos(struct fake_redis *fake, const char *const *word, unsigned words)
{
	static const char *const says[] = {"+x\r\n", ":1\r\n", "$-1\r\n", "*2\r\n:1\r\n$1\r\na\r\n",
		"-FENCED x\r\n", "-OOM x\r\n", "-LOADING x\r\n", "-READONLY x\r\n",
		"-MOVED 1 127.0.0.1:1\r\n", "-ASK 1 :1\r\n", "-MOVED\r\n", "-NOPERM x\r\n",
		"-NOAUTH x\r\n", "-ERR Function not found\r\n", "-ERR x\r\n", "*1\r\n", "$10\r\nab",
		"?\r\n", "-\r\n", "+a\r\n+b\r\n"};
	struct bench *bench = fake->context;
	const uint32_t choice = draw(bench, 60);
	if (choice >= 24 && fake_log_in(fake, word, words))
		return;
	if (choice < 20)
		fake_say(fake, says[choice]);
	else if (choice < 22)
		fake_hang_up(fake);
	else
		fake_say(fake, "+x\r\n");
}

static void every_call_is_answered_once_in_chaos(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)getpid();
	struct bench *bench = make_bench(script_chaos);
	unsigned made = 0;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	bench->random = seed;
	begin(bench, NULL);
	for (unsigned turn = 0; turn < 3000; turn++) {
		if (turn % 10 == 0 && !router_up(bench->router, ROUTER_META))
			router_reset(bench->router);
		while (made < TAGS && draw(bench, 3) > 0 && call_one(bench, made) == 0)
			made++;
		ev_run(bench->loop, EVRUN_NOWAIT);
	}
	router_free(bench->router);
	bench->router = NULL;
	assert_true(made > 100);
	assert_int_equal(bench->answers, made);
	for (unsigned i = 0; i < made; i++)
		assert_int_equal(bench->answered[i], 1);
	end(bench);
}

/* Thousands of connections leave nothing behind. */
static void memory_stays_flat(void **state)
{
	(void)state;
	struct bench *bench = make_bench(script_cut);
	size_t before = 0;
	begin(bench, NULL);
	for (unsigned round = 1; round <= 3000; round++) {
		RUN_UNTIL(bench, bench->ups == round);
		call_one(bench, 0);
		call_one(bench, 1);
		RUN_UNTIL(bench, bench->downs == round);
		router_reset(bench->router);
		if (round == 500)
			before = mallinfo2().uordblks;
	}
	assert_in_range(mallinfo2().uordblks, 0, before + 4096);
	end(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_answered),
		cmocka_unit_test(errors_have_kinds),
		cmocka_unit_test(no_server_and_then_one),
		cmocka_unit_test(connection_refused),
		cmocka_unit_test(nobody_lets_us_in),
		cmocka_unit_test(hung_server_is_given_up),
		cmocka_unit_test(cut_in_the_middle_of_a_reply),
		cmocka_unit_test(closes_at_once),
		cmocka_unit_test(calls_to_a_closed_socket),
		cmocka_unit_test(window_has_a_limit),
		cmocka_unit_test(freed_with_calls_waiting),
		cmocka_unit_test(freed_at_any_time),
		cmocka_unit_test(reset_from_answers_and_events),
		cmocka_unit_test(garbage_ends_the_connection),
		cmocka_unit_test(answers_that_nobody_asked_for),
		cmocka_unit_test(too_many_clients),
		cmocka_unit_test(endless_replies_end_the_connection),
		cmocka_unit_test(too_many_objects_end_the_connection),
		cmocka_unit_test(slabs_arrive_whole),
		cmocka_unit_test(refusals_of_a_login_name_the_remedy),
		cmocka_unit_test(answers_to_the_version),
		cmocka_unit_test(library_that_cannot_be_loaded),
		cmocka_unit_test(lost_library_is_loaded_once),
		cmocka_unit_test(denials_are_said_once),
		cmocka_unit_test(replica_is_left),
		cmocka_unit_test(names_are_looked_up),
		cmocka_unit_test(every_call_is_answered_once_in_chaos),
		cmocka_unit_test(memory_stays_flat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
