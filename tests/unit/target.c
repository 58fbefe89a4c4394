/* SPDX-License-Identifier: BSD-3-Clause */
/* What `store:` may say, and that no reason repeats a password. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

static struct target parse(const char *text)
{
	struct target target;
	char reason[TARGET_REASON_MAX];
	if (target_parse(text, &target, reason) != 0)
		fail_msg("%s: %s", text, reason);
	return target;
}

static void assert_server(const struct target *target, unsigned i, const char *host, uint16_t port)
{
	assert_string_equal(target->server[i].host, host);
	assert_int_equal(target->server[i].port, port);
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(parse("none").kind, TARGET_NONE);
	assert_int_equal(parse("embedded").kind, TARGET_EMBEDDED);
}

static void one_server(void **state)
{
	(void)state;
	struct target target = parse("redis://db.example.com");
	assert_int_equal(target.kind, TARGET_SINGLE);
	assert_int_equal(target.servers, 1);
	assert_server(&target, 0, "db.example.com", 6379);
	assert_string_equal(target.user, "");
	assert_string_equal(target.password, "");

	target = parse("redis://writer:p%40ss%2F%3a@10.0.0.1:7000/3");
	assert_server(&target, 0, "10.0.0.1", 7000);
	assert_string_equal(target.user, "writer");
	assert_string_equal(target.password, "p@ss/:");
	assert_int_equal(target.db, 3);

	target = parse("redis://:only:pass@word@[2001:db8::1]:7000/");
	assert_server(&target, 0, "2001:db8::1", 7000);
	assert_string_equal(target.user, "");
	assert_string_equal(target.password, "only:pass@word");
	assert_int_equal(target.db, 0);

	target = parse("redis://writer@[::1]");
	assert_server(&target, 0, "::1", 6379);
	assert_string_equal(target.user, "writer");
}

static void unix_socket(void **state)
{
	(void)state;
	struct target target = parse("unix:/run/redis.sock");
	assert_int_equal(target.kind, TARGET_UNIX);
	assert_string_equal(target.path, "/run/redis.sock");

	target = parse("unix:/run/a%20b.sock?db=12");
	assert_string_equal(target.path, "/run/a b.sock");
	assert_int_equal(target.db, 12);

	target = parse("unix://writer:secret@/run/redis.sock?db=1");
	assert_string_equal(target.path, "/run/redis.sock");
	assert_string_equal(target.user, "writer");
	assert_string_equal(target.password, "secret");
	assert_int_equal(target.db, 1);

	target = parse("unix:///run/redis.sock");
	assert_string_equal(target.path, "/run/redis.sock");
}

/* 107 bytes fit a socket's address; hiredis would cut what is longer and connect elsewhere. */
static void longest_path(void **state)
{
	(void)state;
	char text[200], reason[TARGET_REASON_MAX];
	struct target target;
	snprintf(text, sizeof(text), "unix:/%0106d", 0);
	target = parse(text);
	assert_int_equal(strlen(target.path), 107);
	snprintf(text, sizeof(text), "unix:/%0107d", 0);
	assert_int_equal(target_parse(text, &target, reason), -EINVAL);
	assert_non_null(strstr(reason, "107"));
}

static void sentinels(void **state)
{
	(void)state;
	struct target target = parse("redis+sentinel://u:p@s1,s2:27000,[::1]:5/mymaster/2");
	assert_int_equal(target.kind, TARGET_SENTINEL);
	assert_int_equal(target.servers, 3);
	assert_server(&target, 0, "s1", 26379);
	assert_server(&target, 1, "s2", 27000);
	assert_server(&target, 2, "::1", 5);
	assert_string_equal(target.master, "mymaster");
	assert_string_equal(target.user, "u");
	assert_string_equal(target.password, "p");
	assert_int_equal(target.db, 2);
	assert_int_equal(parse("redis+sentinel://s1/m").db, 0);
}

static void clusters(void **state)
{
	(void)state;
	struct target target = parse("redis+cluster://u:p@n1:7001,n2,n3/");
	assert_int_equal(target.kind, TARGET_CLUSTER);
	assert_int_equal(target.servers, 3);
	assert_server(&target, 0, "n1", 7001);
	assert_server(&target, 2, "n3", 6379);
	assert_string_equal(target.password, "p");
	target = parse("redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p");
	assert_int_equal(target.servers, TARGET_SERVERS_MAX);
}

/* Every one has "secret" where a password stands or may have slipped to. */
static const char *const bad[] = {"", "secret", "redis:secret", "redis://", "redis://u:secret@",
	"redis://u:secret", "redis://u:secret/x", "redis://secret/@host", "redis://u:sec%2ret@host",
	"redis://u:secret%@host", "redis://u:secret%0@host", "redis://u:secret%00@host",
	"redis://u:secret@host:0", "redis://u:secret@host:65536", "redis://u:secret@host:-1",
	"redis://u:secret@host:", "redis://u:secret@host/65536", "redis://u:secret@host/1/2",
	"redis://u:secret@host/secret", "redis://u:secret@a,b", "redis://u:secret@[::1",
	"redis://u:secret@[::g]", "redis://u:secret@[::1]x", "redis://u:secret@ho st",
	"redis://u:secret@host\n", "redis://u:secret@::1", "rediss://u:secret@host",
	"unix:", "unix://u:secret@", "unix://u:secret@host/path", "unix:/p?secret",
	"unix:/p?db=secret", "unix:/p%00secret", "redis+sentinel://u:secret@host",
	"redis+sentinel://u:secret@host/", "redis+sentinel://u:secret@/m",
	"redis+sentinel://u:secret@a,,b/m", "redis+sentinel://u:secret@host/m/secret",
	"redis+cluster://u:secret@host/1",
	"redis+cluster://u:secret@a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "redis+cluster://", "NONE",
	"embedded ", "http://u:secret@host"};

static void bad_ones_are_refused_without_repeating_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct target target;
		char reason[TARGET_REASON_MAX] = "";
		if (target_parse(bad[i], &target, reason) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_true(reason[0] != '\0');
		if (strstr(reason, "secret") != NULL)
			fail_msg("'%s': %s", bad[i], reason);
	}
}

static void too_long_parts_are_refused(void **state)
{
	(void)state;
	static const char *const forms[] = {"redis://u:%s@host", "redis://%s:p@host", "redis://%s",
		"redis://[%s]", "redis+sentinel://host/%s", "unix:/%s", "redis://host:%s",
		"redis://host/%s"};
	char filler[601], text[700], reason[TARGET_REASON_MAX];
	memset(filler, '1', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct target target;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), forms[i], filler);
#pragma GCC diagnostic pop
		assert_int_equal(target_parse(text, &target, reason), -EINVAL);
	}
}

static void described_without_user_and_password(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
	} known[] = {{"none", "no store"}, {"embedded", "the embedded Redis"},
		{"redis://user:secret@h:1/2", "Redis at h:1, database 2"},
		{"unix://user:secret@/run/r", "Redis at unix:/run/r"},
		{"redis+sentinel://user:secret@a,[::1]/m",
			"Redis master m of the Sentinels at a:26379, [::1]:26379"},
		{"redis+cluster://user:secret@a,b", "Redis Cluster at a:6379, b:6379"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct target target = parse(known[i].text);
		char words_out[200];
		target_describe(&target, words_out, sizeof(words_out));
		assert_string_equal(words_out, known[i].words);
		for (size_t size = 1; size < 60; size++) {
			target_describe(&target, words_out, size);
			assert_true(strlen(words_out) < size);
		}
	}
}

static void write_file(char *path, const char *content)
{
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static void password_from_environment(void **state)
{
	(void)state;
	char reason[TARGET_REASON_MAX], path[] = "/tmp/sipherd-target-XXXXXX";
	struct target target = parse("redis://host");
	write_file(path, "from file\r\nsecond line\n");

	assert_int_equal(target_password(&target, reason), 0);
	assert_string_equal(target.password, "");

	setenv("SIPHERD_STORE_PASSWORD_FILE", path, 1);
	assert_int_equal(target_password(&target, reason), 0);
	assert_string_equal(target.password, "from file");

	setenv("SIPHERD_STORE_PASSWORD", "from variable", 1);
	target = parse("redis://host");
	assert_int_equal(target_password(&target, reason), 0);
	assert_string_equal(target.password, "from variable");

	target = parse("redis://:url@host");
	assert_int_equal(target_password(&target, reason), 0);
	assert_string_equal(target.password, "url");
	unsetenv("SIPHERD_STORE_PASSWORD");
	unlink(path);

	target = parse("redis://host");
	assert_int_equal(target_password(&target, reason), -ENOENT);
	assert_non_null(strstr(reason, "SIPHERD_STORE_PASSWORD_FILE"));
	target = parse("none");
	assert_int_equal(target_password(&target, reason), 0);
	unsetenv("SIPHERD_STORE_PASSWORD_FILE");
}

static void useless_passwords_are_refused(void **state)
{
	(void)state;
	char reason[TARGET_REASON_MAX], path[] = "/tmp/sipherd-target-XXXXXX";
	char longest[600], empty[] = "/tmp/sipherd-target-XXXXXX";
	struct target target = parse("redis://host");
	memset(longest, 's', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	write_file(path, longest);
	write_file(empty, "\n");

	setenv("SIPHERD_STORE_PASSWORD_FILE", path, 1);
	assert_int_equal(target_password(&target, reason), -EINVAL);
	assert_null(strstr(reason, "ssss"));
	setenv("SIPHERD_STORE_PASSWORD_FILE", empty, 1);
	assert_int_equal(target_password(&target, reason), -EINVAL);
	setenv("SIPHERD_STORE_PASSWORD", longest, 1);
	assert_int_equal(target_password(&target, reason), -EINVAL);
	assert_null(strstr(reason, "ssss"));
	unsetenv("SIPHERD_STORE_PASSWORD");
	unsetenv("SIPHERD_STORE_PASSWORD_FILE");
	unlink(path);
	unlink(empty);
}

int main(void)
{
	unsetenv("SIPHERD_STORE_PASSWORD");
	unsetenv("SIPHERD_STORE_PASSWORD_FILE");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(one_server),
		cmocka_unit_test(unix_socket),
		cmocka_unit_test(longest_path),
		cmocka_unit_test(sentinels),
		cmocka_unit_test(clusters),
		cmocka_unit_test(bad_ones_are_refused_without_repeating_them),
		cmocka_unit_test(too_long_parts_are_refused),
		cmocka_unit_test(described_without_user_and_password),
		cmocka_unit_test(password_from_environment),
		cmocka_unit_test(useless_passwords_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
