/* SPDX-License-Identifier: BSD-3-Clause */
#include "embedded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVER "redis-server"
#define FOLDER "sipherd-redis."
#define SOCKET "redis.sock"
#define LOG "log"
#define START_MS 5000
#define STOP_MS 2000
#define POLL_MS 5

static int fail(int error, char reason[EMBEDDED_REASON_MAX], const char *what, const char *detail)
{
	snprintf(reason, EMBEDDED_REASON_MAX, "%s%.200s", what, detail);
	return -error;
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The program's path, by PATH, or where packages put it when there is none. Looked for before fork, so
 * that a missing one is an answer and not the end of a child. */
static bool find_server(char path[PATH_MAX])
{
	const char *at = getenv("PATH");
	if (at == NULL)
		at = "/usr/bin:/usr/local/bin:/usr/sbin";
	while (*at != '\0') {
		const size_t length = strcspn(at, ":");
		/* Only absolute folders: nothing is run because of where we stand. */
		if (*at == '/' &&
			snprintf(path, PATH_MAX, "%.*s/" SERVER, (int)length, at) < PATH_MAX &&
			access(path, X_OK) == 0)
			return true;
		at += length;
		at += *at == ':';
	}
	return false;
}

static void remove_folder(const char *folder)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/" SOCKET, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" LOG, folder);
	unlink(path);
	rmdir(folder);
}

/* In /tmp anybody may put a link of such a name, to a folder of ours that is none of its business. */
static bool is_our_folder(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat stat;
	return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
	       lstat(path, &stat) == 0 && S_ISDIR(stat.st_mode) && stat.st_uid == geteuid();
}

/* Folders of ours whose server and sipherd were both killed. A server holds the lock on its log
 * as long as it lives, so what can be locked is nobody's. */
static void sweep(const char *dir)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	struct stat stat;
	DIR *listing = opendir(dir);
	if (listing == NULL)
		return;
	while ((entry = readdir(listing)) != NULL) {
		if (strncmp(entry->d_name, FOLDER, strlen(FOLDER)) != 0 ||
			snprintf(path, sizeof(path), "%s/%s/" LOG, dir, entry->d_name) >=
				(int)sizeof(path) ||
			!is_our_folder(dir, entry->d_name))
			continue;
		const int log = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (log < 0)
			continue;
		if (fstat(log, &stat) == 0 && stat.st_uid == geteuid() &&
			flock(log, LOCK_EX | LOCK_NB) == 0) {
			path[strlen(path) - strlen("/" LOG)] = '\0';
			remove_folder(path);
		}
		close(log);
	}
	closedir(listing);
}

static int make_folder(struct embedded *embedded, const char *dir, char reason[EMBEDDED_REASON_MAX])
{
	const char *const places[] = {dir, "/tmp"};
	int error = ENAMETOOLONG;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (snprintf(embedded->folder, sizeof(embedded->folder), "%s/" FOLDER "XXXXXX",
			    places[i]) >= (int)sizeof(embedded->folder))
			continue;
		sweep(places[i]);
		if (mkdtemp(embedded->folder) == NULL) {
			error = errno;
			continue;
		}
		snprintf(
			embedded->socket, sizeof(embedded->socket), "%s/" SOCKET, embedded->folder);
		return 0;
	}
	embedded->folder[0] = '\0';
	return fail(error, reason,
		"cannot make a folder for the embedded redis-server in the runtime folder nor in "
		"/tmp: ",
		strerror(error));
}

/* The child. Nothing of ours goes along: no files, no ports, no signal masks. */
_Noreturn static void become_server(
	const struct embedded *embedded, const char *program, int log, pid_t parent)
{
	const char *const arguments[] = {SERVER, "--port", "0", "--unixsocket", embedded->socket,
		"--unixsocketperm", "700", "--dir", embedded->folder, "--daemonize", "no", "--save",
		"", "--appendonly", "no", "--maxmemory-policy", "noeviction",
		"--stop-writes-on-bgsave-error", "no", "--client-output-buffer-limit", "normal",
		"64mb", "16mb", "30", "--maxmemory-clients", "10%", "--stream-node-max-bytes",
		"65536", "--logfile", "", "--always-show-logo", "no", "--supervised", "no", NULL};
	/* A group of its own: ^C in the terminal reaches us only, who then end it in good order. */
	setpgid(0, 0);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* Died before this took effect? Then nobody would end us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(127);
	const int nothing = open("/dev/null", O_RDWR);
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	if (close_range(3, ~0u, 0) != 0)
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
	execv(program, (char *const *)arguments);
	_exit(127);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Does it answer? The commands wait in its socket until it serves. */
static bool answers(const char *path)
{
	static const char ping[] = "PING\r\n", pong[] = "+PONG\r\n";
	char reply[sizeof(pong) - 1];
	const int fd = connect_to(path);
	if (fd < 0)
		return false;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	const bool yes = send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) == sizeof(ping) - 1 &&
			 poll(&wait, 1, 200) == 1 &&
			 recv(fd, reply, sizeof(reply), 0) == sizeof(reply) &&
			 memcmp(reply, pong, sizeof(reply)) == 0;
	close(fd);
	return yes;
}

/* The server's last words, for the message. */
static void last_line(const struct embedded *embedded, char out[EMBEDDED_REASON_MAX])
{
	char path[sizeof(embedded->folder) + 16], line[EMBEDDED_REASON_MAX];
	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/" LOG, embedded->folder);
	FILE *log = fopen(path, "re");
	if (log == NULL)
		return;
	while (fgets(line, sizeof(line), log) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] != '\0')
			memcpy(out, line, sizeof(line));
	}
	fclose(log);
}

static int wait_for_answer(struct embedded *embedded, char reason[EMBEDDED_REASON_MAX])
{
	const uint64_t end_ms = now_ms() + START_MS;
	char words[EMBEDDED_REASON_MAX];
	do {
		if (answers(embedded->socket))
			return 0;
		if (waitpid(embedded->pid, NULL, WNOHANG) != 0) {
			embedded->pid = 0;
			last_line(embedded, words);
			return fail(ECHILD, reason, "the embedded redis-server ended at once: ",
				words[0] != '\0' ? words : "it did not say why");
		}
		poll(NULL, 0, POLL_MS);
	} while (now_ms() < end_ms);
	return fail(ETIMEDOUT, reason,
		"the embedded redis-server did not answer within 5 s; name a server with store:, "
		"or "
		"store: none",
		"");
}

static int start_in_folder(
	struct embedded *embedded, const char *program, char reason[EMBEDDED_REASON_MAX])
{
	char path[sizeof(embedded->folder) + 16];
	snprintf(path, sizeof(path), "%s/" LOG, embedded->folder);
	const int log = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return fail(errno, reason,
			"cannot write the embedded redis-server's log: ", strerror(errno));
	const pid_t parent = getpid();
	/* The child's standard output is this very opening of the file, and holds its lock. */
	flock(log, LOCK_EX | LOCK_NB);
	embedded->pid = fork();
	if (embedded->pid == 0)
		become_server(embedded, program, log, parent);
	const int error = errno;
	close(log);
	if (embedded->pid < 0) {
		embedded->pid = 0;
		return fail(
			error, reason, "cannot start the embedded redis-server: ", strerror(error));
	}
	return wait_for_answer(embedded, reason);
}

int embedded_start(struct embedded *embedded, const char *dir, char reason[EMBEDDED_REASON_MAX])
{
	char program[PATH_MAX];
	memset(embedded, 0, sizeof(*embedded));
	reason[0] = '\0';
	if (!find_server(program))
		return fail(ENOENT, reason,
			"no " SERVER " is installed (package redis-server); install it or name a "
			"server with store:",
			"");
	int error = make_folder(embedded, dir, reason);
	if (error == 0)
		error = start_in_folder(embedded, program, reason);
	if (error != 0)
		embedded_stop(embedded);
	return error;
}

void embedded_follow(const struct embedded *embedded)
{
	cpu_set_t cpus;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/task", (long)embedded->pid);
	DIR *threads = opendir(path);
	if (threads == NULL)
		return;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		for (struct dirent *thread; (thread = readdir(threads)) != NULL;)
			if (thread->d_name[0] != '.')
				sched_setaffinity((pid_t)atol(thread->d_name), sizeof(cpus), &cpus);
	closedir(threads);
}

void embedded_stop(struct embedded *embedded)
{
	const uint64_t end_ms = now_ms() + STOP_MS;
	/* A loop of libev may have buried it already: its number is nobody's then, or another's. */
	if (embedded->pid > 0 && waitpid(embedded->pid, NULL, WNOHANG) == 0) {
		kill(embedded->pid, SIGTERM);
		while (waitpid(embedded->pid, NULL, WNOHANG) == 0) {
			if (now_ms() >= end_ms)
				kill(embedded->pid, SIGKILL);
			poll(NULL, 0, POLL_MS);
		}
	}
	embedded->pid = 0;
	if (embedded->folder[0] != '\0')
		remove_folder(embedded->folder);
	embedded->folder[0] = '\0';
}
