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

struct found {
	char path[512], token[CLIENT_TOKEN_MAX];
	struct timespec when;
};

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* 0 or -errno. own: only a file that nobody but us can have written. */
static int read_text(
	const char *path, bool own, char text[CLIENT_TOKEN_FILE_MAX], struct timespec *when)
{
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (own ? O_NOFOLLOW : 0));
	if (fd < 0)
		return -errno;
	int status = fstat(fd, &stat) == 0 ? 0 : -errno;
	if (status == 0 && own &&
		(!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 077)))
		status = -EPERM;
	ssize_t length = status == 0 ? read(fd, text, CLIENT_TOKEN_FILE_MAX - 1) : 0;
	if (length < 0)
		status = -errno;
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	*when = stat.st_mtim;
	return status;
}

static bool has_port(const char *text, uint16_t port)
{
	char line[32];
	snprintf(line, sizeof(line), "\nport %u\n", port);
	return strstr(text, line) != NULL;
}

/* The newest file that matches and is of the run on this port. */
static void look(const char *pattern, uint16_t port, struct found *found)
{
	glob_t names;
	if (glob(pattern, GLOB_NOSORT, NULL, &names) != 0)
		return;
	for (size_t i = 0; i < names.gl_pathc; i++) {
		char text[CLIENT_TOKEN_FILE_MAX];
		struct timespec when;
		const char *name = names.gl_pathv[i];
		if (read_text(name, true, text, &when) != 0 || !has_port(text, port) ||
			strlen(name) >= sizeof(found->path) || !is_later(&when, &found->when) ||
			!client_token_read(text, found->token))
			continue;
		found->when = when;
		snprintf(found->path, sizeof(found->path), "%s", name);
		explicit_bzero(text, sizeof(text));
	}
	globfree(&names);
}

/* Where runs write them: their state folder, the demo's own, /tmp without a store. */
static void look_everywhere(const char *state, uint16_t port, struct found *found)
{
	char pattern[512];
	if (state != NULL)
		snprintf(pattern, sizeof(pattern), "%.400s/*.tokens", state);
	else if (geteuid() == 0)
		snprintf(pattern, sizeof(pattern), FLEET_STATE "/*.tokens");
	else
		snprintf(pattern, sizeof(pattern), FLEET_STATE "-%u/*.tokens", (unsigned)geteuid());
	look(pattern, port, found);
	look("/dev/shm/sipherd-demo-*/*.tokens", port, found);
	look("/tmp/sipherd-demo-*/*.tokens", port, found);
	look("/tmp/sipherd-tokens-*", port, found);
}

static int take_named(struct client_token *token, const char *path, bool report)
{
	char text[CLIENT_TOKEN_FILE_MAX];
	struct timespec when;
	int status = read_text(path, false, text, &when);
	if (status == 0 && !client_token_read(text, token->text))
		status = -EINVAL;
	explicit_bzero(text, sizeof(text));
	snprintf(token->origin, sizeof(token->origin), "that of %.500s.", path);
	if (status == 0)
		return EXIT_DONE;
	if (report)
		fprintf(stderr, "sipherd: --token-file '%s': %s.\n", path,
			status == -EINVAL ? "holds no token" : strerror(-status));
	return EXIT_USAGE;
}

int client_token_find(
	struct client_token *token, const struct options *options, uint16_t port, bool report)
{
	const char *given = getenv("SIPHERD_TOKEN");
	struct found found = {0};
	if (options->token_file != NULL)
		return take_named(token, options->token_file, report);
	if (given != NULL && given[0] != '\0') {
		snprintf(token->origin, sizeof(token->origin), "that of SIPHERD_TOKEN.");
		if (take_token(given, strlen(given), token->text))
			return EXIT_DONE;
		if (report)
			fprintf(stderr, "sipherd: SIPHERD_TOKEN is no token.\n");
		return EXIT_USAGE;
	}
	snprintf(token->origin, sizeof(token->origin),
		"missing: --token-file FILE names the file that the run told of at its start.");
	if (port != 0)
		look_everywhere(options->state, port, &found);
	if (found.path[0] != '\0') {
		snprintf(token->text, sizeof(token->text), "%s", found.token);
		snprintf(token->origin, sizeof(token->origin), "that of %.400s.", found.path);
	}
	explicit_bzero(&found, sizeof(found));
	return EXIT_DONE;
}
