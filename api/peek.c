/* SPDX-License-Identifier: BSD-3-Clause */
#include "peek.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys.h"
#include "record.h"

#define WAIT_MS 2000
#define NOT_FOUND 127 /* as shells say it */

/* The child's standard output, up to its end; returns how much. */
static size_t collect(int fd, char *out, size_t size)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	while (used < size - 1 && poll(&wait, 1, WAIT_MS) > 0) {
		ssize_t n = read(fd, out + used, size - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	out[used] = '\0';
	return used;
}

/* Exit code of the program, its output in `out`; -errno when it cannot be started. */
static int run(const char *const *argv, char *out, size_t size)
{
	int fds[2], status;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(NOT_FOUND);
	}
	int error = errno;
	close(fds[1]);
	if (pid > 0)
		collect(fds[0], out, size);
	close(fds[0]);
	if (pid < 0)
		return -error;
	/* It has ended, or closed its output, or takes too long. */
	kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* What `paste - -` does: two lines become one, with a tab between them. */
static void paste(char *text)
{
	unsigned lines = 0;
	for (; *text != '\0'; text++)
		if (*text == '\n' && lines++ % 2 == 0)
			*text = '\t';
}

void peek_phone(const char *socket, const char *fleet, unsigned phone, char out[PEEK_MAX])
{
	char key[KEY_MAX], number[16], said[PEEK_MAX / 2] = "";
	struct keys keys;
	keys_begin(&keys, fleet, false);
	keys_slab(&keys, phone / SHARD_PHONES, key);
	snprintf(number, sizeof(number), "%u", phone);
	const char *const argv[] = {
		"redis-cli", "-s", socket, "FCALL_RO", "sipherd_show", "1", key, number, NULL};
	int status = run(argv, said, sizeof(said));
	if (status != 0) {
		snprintf(out, PEEK_MAX, "%s\n",
			status == NOT_FOUND
				? "No phone is shown: redis-cli is not installed (apt-get install "
				  "redis-tools)."
				: "No phone is shown: redis-cli failed.");
		return;
	}
	paste(said);
	snprintf(out, PEEK_MAX, "$ redis-cli -s %s FCALL_RO sipherd_show 1 '%s' %s | paste - -\n%s",
		socket, key, number, said);
}
