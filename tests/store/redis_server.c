/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t redis_server_start(const char *folder, const char *path)
{
	const pid_t pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	const int null = open("/dev/null", O_RDWR);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "",
		"--dir", folder, "--enable-debug-command", "local", (char *)NULL);
	_exit(127);
}

void redis_server_kill(pid_t pid, const char *path)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}
