/* SPDX-License-Identifier: BSD-3-Clause */
#include "client_token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fleet.h"

/* RFC 6750's b64token; nothing else may get into a header. */
static bool take_token(const char *text, size_t length, char token[CLIENT_TOKEN_MAX])
{
	if (length == 0 || length >= CLIENT_TOKEN_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("-._~+/=", text[i]) == NULL)
			return false;
	memcpy(token, text, length);
	token[length] = '\0';
	return true;
}

static bool take_role(const char *text, const char *role, char token[CLIENT_TOKEN_MAX])
{
	const size_t n = strlen(role);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, role, n) == 0 && line[n] == ' ')
			return take_token(line + n + 1, strcspn(line + n + 1, "\r\n"), token);
	}
	return false;
}

bool client_token_read(const char *text, char token[CLIENT_TOKEN_MAX])
{
	if (take_role(text, "operator", token) || take_role(text, "viewer", token))
		return true;
	const size_t n = strcspn(text, "\r\n");
	return text[n + strspn(text + n, "\r\n")] == '\0' && take_token(text, n, token);
}

/* 0 or -errno; -EINVAL: it has no token. own: only a file that nobody but us can have written. */
static int read_file(const char *path, bool own, char token[CLIENT_TOKEN_MAX])
{
	char text[CLIENT_TOKEN_FILE_MAX];
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (own ? O_NOFOLLOW : 0));
	if (fd < 0)
		return -errno;
	int status = fstat(fd, &stat) == 0 ? 0 : -errno;
	if (own && (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 077)))
		status = -EPERM;
	ssize_t length = status == 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (length < 0)
		status = -errno;
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	if (status == 0 && !client_token_read(text, token))
		status = -EINVAL;
	explicit_bzero(text, sizeof(text));
	return status;
}

static void newest(const char *pattern, char path[512], struct timespec *when)
{
	glob_t found;
	struct stat stat;
	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i];
		if (lstat(name, &stat) != 0 || stat.st_uid != geteuid() || strlen(name) >= 512)
			continue;
		const struct timespec *t = &stat.st_mtim;
		if (t->tv_sec < when->tv_sec ||
			(t->tv_sec == when->tv_sec && t->tv_nsec <= when->tv_nsec))
			continue;
		*when = *t;
		snprintf(path, 512, "%s", name);
	}
	globfree(&found);
}

/* Where runs write them: their state folder, the demo's own, /tmp without a store. */
static void find_file(const char *state, char path[512])
{
	char pattern[512];
	struct timespec when = {0};
	path[0] = '\0';
	if (state != NULL)
		snprintf(pattern, sizeof(pattern), "%.400s/*.tokens", state);
	else if (geteuid() == 0)
		snprintf(pattern, sizeof(pattern), FLEET_STATE "/*.tokens");
	else
		snprintf(pattern, sizeof(pattern), FLEET_STATE "-%u/*.tokens", (unsigned)geteuid());
	newest(pattern, path, &when);
	if (state != NULL)
		return;
	newest("/dev/shm/sipherd-demo-*/*.tokens", path, &when);
	newest("/tmp/sipherd-demo-*/*.tokens", path, &when);
	newest("/tmp/sipherd-tokens-*", path, &when);
}

int client_token_find(struct client_token *token, const struct options *options)
{
	const char *given = getenv("SIPHERD_TOKEN");
	char path[512];
	int status;
	snprintf(token->origin, sizeof(token->origin),
		"missing: no file of a run was found. --token-file FILE names one.");
	if (options->token_file == NULL && given != NULL && given[0] != '\0') {
		snprintf(token->origin, sizeof(token->origin), "that of SIPHERD_TOKEN.");
		if (take_token(given, strlen(given), token->text))
			return EXIT_DONE;
		fprintf(stderr, "sipherd: SIPHERD_TOKEN is no token.\n");
		return EXIT_USAGE;
	}
	if (options->token_file != NULL) {
		snprintf(token->origin, sizeof(token->origin), "that of %.500s.",
			options->token_file);
		status = read_file(options->token_file, false, token->text);
		if (status == 0)
			return EXIT_DONE;
		fprintf(stderr, "sipherd: --token-file '%s': %s.\n", options->token_file,
			status == -EINVAL ? "holds no token" : strerror(-status));
		return EXIT_USAGE;
	}
	find_file(options->state, path);
	if (path[0] != '\0' && read_file(path, true, token->text) == 0)
		snprintf(token->origin, sizeof(token->origin),
			"that of %.400s, the newest; --token-file FILE names another.", path);
	return EXIT_DONE;
}
