/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hook_internal.h"

#define GUARDIAN_FD 3
#define CLOSE_SLACK_MS 3000 /* ends a `run` under way, and starts the undo */

struct guarded {
	struct hook_status status;
	pid_t pid; /* 0: no guardian */
	int fd;    /* to it; -1: none */
	bool undo_asked;
	bool again; /* this guardian has come after one that was killed */
};

struct hooks {
	const struct hook *list;
	uint32_t count;
	struct guarded at[];
};

int hooks_open(struct hooks **out, const struct hook *list, uint32_t count)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks) + count * sizeof(hooks->at[0]));
	if (hooks == NULL)
		return -ENOMEM;
	hooks->list = list;
	hooks->count = count;
	for (uint32_t i = 0; i < count; i++)
		hooks->at[i].fd = -1;
	*out = hooks;
	return 0;
}

static struct guarded *find(struct hooks *hooks, const char *name)
{
	for (uint32_t i = 0; i < hooks->count; i++) {
		if (strcmp(hooks->list[i].name, name) == 0)
			return &hooks->at[i];
	}
	return NULL;
}

/* ---- making a guardian ---- */

/* Without what is ours: SIPHERD_PASSWORD and the like. NULL: out of memory. */
static char **environment(void)
{
	size_t count = 0, kept = 0;
	while (environ[count] != NULL)
		count++;
	char **list = calloc(count + 1, sizeof(list[0]));
	for (size_t i = 0; i < count && list != NULL; i++) {
		if (strncmp(environ[i], "SIPHERD_", 8) != 0)
			list[kept++] = environ[i];
	}
	return list;
}

/* This program once more, in a session of its own; of our descriptors it gets stderr and its end of the
 * pair, and nothing else: no packets, no listeners, no store. posix_spawn copies no memory. */
static int spawn(int fd, char *const envp[], pid_t *pid)
{
	char *argv[] = {(char *)"sipherd", (char *)"guard-hook", (char *)"3", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_adddup2(&files, fd, GUARDIAN_FD);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, GUARDIAN_FD + 1);
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	const int error = posix_spawn(pid, "/proc/self/exe", &files, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

static int start(struct hooks *hooks, struct guarded *one, bool undo_only)
{
	const struct hook_order order = {
		.hook = hooks->list[one - hooks->at], .undo_only = undo_only};
	char **envp = environment();
	int pair[2], error = envp == NULL ? -ENOMEM : 0;
	if (error == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		error = -errno;
	if (error != 0) {
		free(envp);
		return error;
	}
	if (send(pair[0], &order, sizeof(order), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(order))
		error = -errno;
	if (error == 0)
		error = spawn(pair[1], envp, &one->pid);
	close(pair[1]);
	free(envp);
	if (error != 0)
		close(pair[0]);
	else
		one->fd = pair[0];
	return error;
}

/* ---- what guardians say ---- */

/* It is gone, or about to be. Somebody else may have reaped it. */
static void reap(struct guarded *one)
{
	while (one->pid > 0 && waitpid(one->pid, NULL, 0) < 0 && errno == EINTR)
		;
	one->pid = 0;
}

static void part(struct guarded *one)
{
	if (one->fd >= 0)
		close(one->fd);
	one->fd = -1;
	reap(one);
}

static void take(struct guarded *one, const struct hook_news *news, uint64_t now_us)
{
	struct hook_status *status = &one->status;
	if (!news->undone) {
		status->exit_code = news->code;
		status->ran_us = now_us;
		status->state = news->code == 0 && !one->undo_asked ? HOOK_DONE : HOOK_UNDOING;
		return;
	}
	const bool failed = one->again || (status->exit_code != 0 && !one->undo_asked);
	status->undo_code = news->code;
	status->undone_us = now_us;
	status->state = failed || news->code != 0 ? HOOK_FAILED : HOOK_UNDONE;
	part(one);
}

/* Somebody has killed the guardian: another one undoes. */
static void replace(struct hooks *hooks, struct guarded *one)
{
	part(one);
	if (!one->again && start(hooks, one, true) == 0) {
		one->again = true;
		one->status.state = HOOK_UNDOING;
		return;
	}
	one->status.state = HOOK_FAILED;
	one->status.undo_code = -1;
}

static void listen_to(struct hooks *hooks, struct guarded *one, uint64_t now_us)
{
	struct hook_news news;
	while (one->fd >= 0) {
		const ssize_t count = recv(one->fd, &news, sizeof(news), MSG_DONTWAIT);
		if (count == sizeof(news))
			take(one, &news, now_us);
		else if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else
			replace(hooks, one);
	}
}

void hooks_update(struct hooks *hooks, uint64_t now_us)
{
	for (uint32_t i = 0; i < hooks->count; i++)
		listen_to(hooks, &hooks->at[i], now_us);
}

/* ---- what is asked of them ---- */

int hooks_run(struct hooks *hooks, const char *name, uint64_t now_us)
{
	struct guarded *one = find(hooks, name);
	if (one == NULL)
		return -ENOENT;
	listen_to(hooks, one, now_us);
	if (one->fd >= 0)
		return -EBUSY;
	const int error = start(hooks, one, false);
	if (error != 0)
		return error;
	one->status = (struct hook_status){.state = HOOK_RUNNING, .begun_us = now_us};
	one->undo_asked = false;
	one->again = false;
	return 0;
}

/* A word that cannot be sent finds a guardian that is gone, which hooks_update sees. */
static void ask_undo(struct guarded *one)
{
	if (one->fd < 0 || one->undo_asked)
		return;
	const ssize_t sent = send(one->fd, "u", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)sent;
	one->undo_asked = true;
	one->status.state = HOOK_UNDOING;
}

int hooks_undo(struct hooks *hooks, const char *name, uint64_t now_us)
{
	struct guarded *one = find(hooks, name);
	if (one == NULL)
		return -ENOENT;
	listen_to(hooks, one, now_us);
	ask_undo(one);
	return 0;
}

const struct hook_status *hooks_status(const struct hooks *hooks, const char *name)
{
	const struct guarded *one = find((struct hooks *)hooks, name);
	return one != NULL ? &one->status : NULL;
}

/* ---- the end ---- */

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static void wait_for_end(struct hooks *hooks, struct guarded *one, int64_t deadline_ms)
{
	while (one->fd >= 0 && now_ms() < deadline_ms) {
		struct pollfd fd = {.fd = one->fd, .events = POLLIN};
		if (poll(&fd, 1, (int)(deadline_ms - now_ms())) > 0)
			listen_to(hooks, one, one->status.begun_us);
	}
	/* One that takes longer ends by itself. */
	if (one->fd >= 0)
		close(one->fd);
	one->fd = -1;
}

void hooks_finish(struct hooks *hooks)
{
	const int64_t begun_ms = now_ms();
	for (uint32_t i = 0; i < hooks->count; i++)
		ask_undo(&hooks->at[i]);
	for (uint32_t i = 0; i < hooks->count; i++)
		wait_for_end(hooks, &hooks->at[i],
			begun_ms + hooks->list[i].timeout_ms + CLOSE_SLACK_MS);
}

void hooks_close(struct hooks *hooks)
{
	if (hooks == NULL)
		return;
	hooks_finish(hooks);
	free(hooks);
}
