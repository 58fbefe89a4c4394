/* SPDX-License-Identifier: BSD-3-Clause */
#include "tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int draw(char token[GUARD_TOKEN_LENGTH + 1])
{
	uint8_t bytes[GUARD_TOKEN_LENGTH / 2];
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -errno;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

static int write_file(const struct tokens *tokens, int fd)
{
	if (fd < 0)
		return -errno;
	int written = dprintf(fd, "viewer %s\noperator %s\n", tokens->viewer, tokens->operator);
	int status = written < 0 ? -errno : 0;
	if (close(fd) != 0 && status == 0)
		status = -errno;
	return status;
}

/* Whole or not at all: whoever reads the old name gets the old tokens or the new ones. */
static int write_named(struct tokens *tokens, const char *path)
{
	char draft[sizeof(tokens->path) + 8];
	if (snprintf(tokens->path, sizeof(tokens->path), "%s", path) >= (int)sizeof(tokens->path))
		return -ENAMETOOLONG;
	snprintf(draft, sizeof(draft), "%s.part", path);
	if (unlink(draft) != 0 && errno != ENOENT)
		return -errno;
	int status = write_file(
		tokens, open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (status == 0 && rename(draft, path) != 0)
		status = -errno;
	if (status != 0)
		unlink(draft);
	return status;
}

int tokens_open(struct tokens *tokens, const char *path)
{
	*tokens = (struct tokens){.path = "/tmp/sipherd-tokens-XXXXXX"};
	int status = draw(tokens->viewer);
	if (status == 0)
		status = draw(tokens->operator);
	if (status == 0 && path != NULL)
		status = write_named(tokens, path);
	else if (status == 0)
		status = write_file(tokens, mkostemp(tokens->path, O_CLOEXEC));
	if (status != 0)
		tokens->path[0] = '\0';
	return status;
}

enum token_role tokens_role(const struct tokens *tokens, const char *given)
{
	/* Both are compared always, so that the time taken does not tell which one it is near. */
	bool viewer = guard_token_equal(given, tokens->viewer);
	bool operates = guard_token_equal(given, tokens->operator);
	return operates ? ROLE_OPERATOR : viewer ? ROLE_VIEWER : ROLE_NOBODY;
}

void tokens_close(struct tokens *tokens)
{
	if (tokens->path[0] != '\0')
		unlink(tokens->path);
	explicit_bzero(tokens, sizeof(*tokens));
}
