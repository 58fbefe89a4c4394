/* SPDX-License-Identifier: BSD-3-Clause */
/* Embedded redis-server: answers, keeps to its folder, and ends with us however we end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "embedded.h"

static char folder[64];
static char reason[EMBEDDED_REASON_MAX];

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat, (void)kind, (void)where;
	return remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sipherd-embedded.XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static unsigned entries(void)
{
	unsigned n = 0;
	DIR *listing = opendir(folder);
	while (readdir(listing) != NULL)
		n++;
	closedir(listing);
	return n - 2;
}

static void assert_reply(redisContext *redis, const char *command, const char *value)
{
	redisReply *reply = redisCommand(redis, command);
	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		assert_string_equal(reply->element[1]->str, value);
	else
		assert_string_equal(reply->str, value);
	freeReplyObject(reply);
}

static void starts_serves_and_goes(void **state)
{
	(void)state;
	struct embedded embedded;
	struct stat stat_of;
	if (embedded_start(&embedded, folder, reason) != 0)
		fail_msg("%s", reason);
	assert_int_equal(strncmp(embedded.socket, folder, strlen(folder)), 0);
	assert_int_equal(stat(embedded.socket, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0700);
	assert_int_equal(stat(embedded.folder, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0700);
	/* A group of its own: ^C does not reach it. */
	assert_int_equal(getpgid(embedded.pid), embedded.pid);
	redisContext *redis = redisConnectUnix(embedded.socket);
	assert_non_null(redis);
	assert_int_equal(redis->err, 0);
	assert_reply(redis, "SET a b", "OK");
	assert_reply(redis, "CONFIG GET save", "");
	assert_reply(redis, "CONFIG GET appendonly", "no");
	assert_reply(redis, "CONFIG GET port", "0");
	assert_reply(redis, "CONFIG GET maxmemory-policy", "noeviction");
	assert_reply(redis, "CONFIG GET stop-writes-on-bgsave-error", "no");
	redisFree(redis);
	const pid_t pid = embedded.pid;
	embedded_stop(&embedded);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(entries(), 0);
	embedded_stop(&embedded);
}

/* The files of ours that it could have, and the signals we block, are not its own. */
static void inherits_nothing(void **state)
{
	(void)state;
	struct embedded embedded;
	const int ours = open("/dev/zero", O_RDONLY);
	assert_true(ours >= 0);
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	const int error = embedded_start(&embedded, folder, reason);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(error, 0);
	char path[64], target[128];
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", embedded.pid, fd);
		const ssize_t length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		assert_string_not_equal(target, "/dev/zero");
	}
	close(ours);
	const pid_t pid = embedded.pid;
	kill(pid, SIGTERM);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	/* Already buried: nothing is killed in its place. */
	embedded_stop(&embedded);
	assert_int_equal(entries(), 0);
}

static void a_hung_server_is_ended(void **state)
{
	(void)state;
	struct embedded embedded;
	assert_int_equal(embedded_start(&embedded, folder, reason), 0);
	const pid_t pid = embedded.pid;
	kill(pid, SIGSTOP);
	embedded_stop(&embedded);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(entries(), 0);
}

/* We are the grandchildren's reaper here, so their end is ours to wait for. */
/* A link that somebody else has put beside our folders leads to nothing that may be removed. */
static void follows_no_links(void **state)
{
	(void)state;
	struct embedded embedded;
	char other[128], log[160], link[128];
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(log, sizeof(log), "%s/log", other);
	snprintf(link, sizeof(link), "%s/sipherd-redis.123456", folder);
	assert_int_equal(mkdir(other, 0700), 0);
	const int fd = open(log, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlink(other, link), 0);
	assert_int_equal(embedded_start(&embedded, folder, reason), 0);
	embedded_stop(&embedded);
	assert_int_equal(access(log, F_OK), 0);
}

static void ends_when_we_are_killed(void **state)
{
	(void)state;
	int told[2];
	struct embedded embedded;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(told), 0);
	const pid_t child = fork();
	if (child == 0) {
		if (embedded_start(&embedded, folder, reason) != 0 ||
			write(told[1], &embedded, sizeof(embedded)) != sizeof(embedded))
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &embedded, sizeof(embedded)), sizeof(embedded));
	close(told[0]);
	assert_int_equal(kill(embedded.pid, 0), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(waitpid(embedded.pid, NULL, 0), embedded.pid);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	/* What it left is removed by the next one, which leaves a living one's folder alone. */
	assert_int_equal(entries(), 1);
	struct embedded next, another;
	assert_int_equal(embedded_start(&next, folder, reason), 0);
	assert_int_equal(entries(), 1);
	assert_int_equal(embedded_start(&another, folder, reason), 0);
	assert_int_equal(entries(), 2);
	embedded_stop(&another);
	embedded_stop(&next);
	assert_int_equal(entries(), 0);
}

static void a_long_path_goes_to_tmp(void **state)
{
	(void)state;
	struct embedded embedded;
	char deep[160];
	snprintf(deep, sizeof(deep), "%s/%080d", folder, 0);
	assert_int_equal(mkdir(deep, 0700), 0);
	assert_int_equal(embedded_start(&embedded, deep, reason), 0);
	assert_int_equal(strncmp(embedded.folder, "/tmp/sipherd-redis.", 19), 0);
	embedded_stop(&embedded);
	assert_int_equal(access(embedded.socket, F_OK), -1);
}

/* A program of that name that is no server: first in PATH, so it is the one that is run. */
static void a_server_that_fails_says_why(void **state)
{
	(void)state;
	struct embedded embedded;
	char path[128], before[4096];
	snprintf(before, sizeof(before), "%s", getenv("PATH"));
	snprintf(path, sizeof(path), "%s/redis-server", folder);
	FILE *script = fopen(path, "w");
	fputs("#!/bin/sh\necho first line\necho out of luck\nexit 1\n", script);
	fclose(script);
	assert_int_equal(chmod(path, 0755), 0);
	setenv("PATH", folder, 1);
	const int error = embedded_start(&embedded, folder, reason);
	setenv("PATH", before, 1);
	assert_int_equal(error, -ECHILD);
	assert_non_null(strstr(reason, "out of luck"));
	assert_int_equal(entries(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(starts_serves_and_goes, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(inherits_nothing, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(follows_no_links, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_hung_server_is_ended, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			ends_when_we_are_killed, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			a_long_path_goes_to_tmp, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			a_server_that_fails_says_why, make_folder, remove_folder),
	};
	struct embedded embedded;
	const int error = embedded_start(&embedded, "/tmp", reason);
	if (error == -ENOENT) {
		print_message("skipped: %s\n", reason);
		return 77;
	}
	embedded_stop(&embedded);
	return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
