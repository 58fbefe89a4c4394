/* SPDX-License-Identifier: BSD-3-Clause */
#include "tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "output.h"

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

static int write_named(struct tokens *tokens, const char *path, const char *text)
{
	if (snprintf(tokens->path, sizeof(tokens->path), "%s", path) >= (int)sizeof(tokens->path))
		return -ENAMETOOLONG;
	return output_whole(path, text);
}

static int write_anywhere(struct tokens *tokens, const char *text)
{
	int fd = mkostemp(tokens->path, O_CLOEXEC);
	int status = fd < 0 ? -errno : output_text(fd, text);
	if (fd >= 0 && status != 0)
		unlink(tokens->path);
	return status;
}

int tokens_open(struct tokens *tokens, const char *path, uint16_t port)
{
	char text[3 * (GUARD_TOKEN_LENGTH + 16)];
	*tokens = (struct tokens){.path = "/tmp/sipherd-tokens-XXXXXX"};
	int status = draw(tokens->viewers);
	if (status == 0)
		status = draw(tokens->operators);
	snprintf(text, sizeof(text), "viewer %s\noperator %s\nport %u\n", tokens->viewers,
		tokens->operators, port);
	if (status == 0)
		status = path != NULL ? write_named(tokens, path, text)
				      : write_anywhere(tokens, text);
	explicit_bzero(text, sizeof(text));
	if (status != 0)
		tokens->path[0] = '\0';
	return status;
}

enum token_role tokens_role(const struct tokens *tokens, const char *given)
{
	/* Both are compared always, so that the time taken does not tell which one it is near. */
	bool viewer = guard_token_equal(given, tokens->viewers);
	bool operates = guard_token_equal(given, tokens->operators);
	return operates ? ROLE_OPERATOR : viewer ? ROLE_VIEWER : ROLE_NOBODY;
}

const char *tokens_role_name(enum token_role role)
{
	static const char *const names[] = {"nobody", "viewer", "operator"};
	return names[role];
}

void tokens_close(struct tokens *tokens)
{
	if (tokens->path[0] != '\0')
		unlink(tokens->path);
	explicit_bzero(tokens, sizeof(*tokens));
}
