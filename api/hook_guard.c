/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guardian of one hook: a process of its own session, which runs the hook, waits, and undoes it when it
 * is told so or when sipherd is gone. Whatever happens to sipherd, the undo is run once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hook_internal.h"

#define EXIT_TIMEOUT 124 /* as timeout(1) has it */
#define EXIT_NOT_RUN 127 /* as a shell has it */
#define LOOK_MS 60000    /* at the clock, at least */
#define GIVE_UP_MS 2000  /* not even SIGKILL ends a process that hangs in the kernel */

struct guardian {
	struct hook_order order;
	struct relay relay;
	int control;
	int output, output_in; /* of the commands, both ends: it never ends by itself */
	int children;          /* signalfd of SIGCHLD */
	bool leaving;          /* to be undone: told so, or sipherd is gone */
};

/* A command under way. */
struct task {
	pid_t pid;
	int64_t deadline_ms;
	unsigned blows; /* SIGTERM, SIGKILL */
	bool timed_out;
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* ---- one command ---- */

static void split(const struct hook_command *command, char *argv[HOOK_WORDS_MAX + 1])
{
	const char *word = command->bytes, *const end = command->bytes + sizeof(command->bytes);
	unsigned words = 0;
	while (words < command->words && words < HOOK_WORDS_MAX && word < end) {
		argv[words++] = (char *)word;
		word += strnlen(word, (size_t)(end - word)) + 1;
	}
	argv[words] = NULL;
}

/* Its own process group, /dev/null to read, our pipe to write; signals as any program finds them. */
static int spawn(const struct guardian *guardian, char *const argv[], pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, guardian->output_in, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, guardian->output_in, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	const int error = posix_spawn(pid, argv[0], &files, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

static void relay_output(struct guardian *guardian)
{
	char bytes[4096];
	ssize_t count;
	/* A program that never stops printing has to let the rest of us go on. */
	for (int i = 0; i < 64; i++) {
		count = read(guardian->output, bytes, sizeof(bytes));
		if (count <= 0)
			return;
		relay_bytes(&guardian->relay, bytes, (unsigned)count);
	}
}

/* Any message, or the end of the connection. */
static void hear(struct guardian *guardian)
{
	char word;
	const ssize_t count = recv(guardian->control, &word, 1, MSG_DONTWAIT);
	if (count >= 0 || (errno != EAGAIN && errno != EINTR))
		guardian->leaving = true;
}

/* Until something happens, or the deadline. */
static void wait_for(struct guardian *guardian, bool listening, int64_t deadline_ms)
{
	struct pollfd fds[] = {{.fd = guardian->output, .events = POLLIN},
		{.fd = guardian->children, .events = POLLIN},
		{.fd = listening ? guardian->control : -1, .events = POLLIN}};
	const int64_t left_ms = deadline_ms - now_ms();
	const int wait_ms = left_ms <= 0 ? 0 : left_ms < LOOK_MS ? (int)left_ms : LOOK_MS;
	struct signalfd_siginfo child;
	if (poll(fds, 3, wait_ms) <= 0)
		return;
	if (fds[0].revents != 0)
		relay_output(guardian);
	if (fds[1].revents != 0 && read(guardian->children, &child, sizeof(child)) < 0)
		return;
	if (fds[2].revents != 0)
		hear(guardian);
}

/* First SIGTERM, then SIGKILL, then there is nothing more to do. False: give up. */
static bool strike(struct task *task)
{
	static const int signals[] = {SIGTERM, SIGKILL};
	if (task->blows == 2)
		return false;
	kill(-task->pid, signals[task->blows]);
	task->deadline_ms = now_ms() + (task->blows == 0 ? HOOK_GRACE_MS : GIVE_UP_MS);
	task->blows++;
	return true;
}

static int code_of(const struct task *task, int status)
{
	if (task->timed_out)
		return EXIT_TIMEOUT;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* `run` is cut short by the wish to undo, an undo by nothing but its time. */
static int attend(struct guardian *guardian, struct task *task, bool is_run)
{
	int status = 0;
	while (waitpid(task->pid, &status, WNOHANG) == 0) {
		const bool hurry = is_run && guardian->leaving && task->blows == 0;
		const bool late = now_ms() >= task->deadline_ms;
		task->timed_out |= late && task->blows == 0 && !hurry;
		if ((hurry || late) && !strike(task))
			return EXIT_TIMEOUT;
		wait_for(guardian, is_run && !guardian->leaving, task->deadline_ms);
	}
	return code_of(task, status);
}

static int perform(struct guardian *guardian, const struct hook_command *command, bool is_run)
{
	char *argv[HOOK_WORDS_MAX + 1];
	struct task task = {.deadline_ms = now_ms() + guardian->order.hook.timeout_ms};
	const char *what = is_run ? "run" : "undo";
	split(command, argv);
	if (argv[0] == NULL)
		return EXIT_NOT_RUN;
	relay_refill(&guardian->relay);
	const int error = spawn(guardian, argv, &task.pid);
	if (error != 0) {
		relay_say(&guardian->relay, "%s: %s: %s", what, argv[0], strerror(error));
		return EXIT_NOT_RUN;
	}
	const int code = attend(guardian, &task, is_run);
	relay_output(guardian);
	relay_flush(&guardian->relay);
	if (task.timed_out)
		relay_say(&guardian->relay, "%s: ended after %u ms, its time was up", what,
			guardian->order.hook.timeout_ms);
	else if (code != 0 && !(is_run && guardian->leaving))
		relay_say(&guardian->relay, "%s: failed with exit code %d", what, code);
	return code;
}

/* ---- its life ---- */

static void tell(const struct guardian *guardian, bool undone, int code)
{
	const struct hook_news news = {.undone = undone, .code = code};
	const ssize_t sent = send(guardian->control, &news, sizeof(news), MSG_NOSIGNAL);
	(void)sent; /* nobody is there any more: the undo is all the same */
}

static void live(struct guardian *guardian)
{
	const struct hook *hook = &guardian->order.hook;
	if (!guardian->order.undo_only) {
		const int code = perform(guardian, &hook->run, true);
		tell(guardian, false, code);
		/* What has failed may have done half of it. */
		guardian->leaving |= code != 0;
	}
	while (!guardian->leaving && !guardian->order.undo_only)
		wait_for(guardian, true, INT64_MAX);
	tell(guardian, true, perform(guardian, &hook->undo, false));
}

/* Of the terminal's signals none reaches another session; from others, what would end us is ignored
 * until the undo is over. sipherd's main thread may be bound to a core: what a hook starts is not. */
static void settle_in(void)
{
	static const int ignored[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2};
	cpu_set_t cores;
	sigset_t children;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_SETMASK, &children, NULL);
	memset(&cores, 0xff, sizeof(cores));
	sched_setaffinity(0, sizeof(cores), &cores);
}

static int open_ends(struct guardian *guardian)
{
	int ends[2];
	sigset_t children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	guardian->children = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (guardian->children < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	guardian->output = ends[0];
	guardian->output_in = ends[1];
	/* Only our end: a command's own writes wait as they would at a terminal. */
	return fcntl(guardian->output, F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
}

int hook_guard(int argc, char **argv)
{
	static struct guardian guardian;
	struct hook_order *order = &guardian.order;
	guardian.control = argc == 3 ? atoi(argv[2]) : -1;
	settle_in();
	if (guardian.control <= STDERR_FILENO ||
		recv(guardian.control, order, sizeof(*order), 0) != sizeof(*order) ||
		open_ends(&guardian) != 0) {
		fprintf(stderr, "sipherd: guard-hook is for sipherd itself, which starts it for a "
				"hook.\n");
		return 2;
	}
	fcntl(guardian.control, F_SETFD, FD_CLOEXEC);
	relay_open(&guardian.relay, order->hook.name);
	live(&guardian);
	return 0;
}
