/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bearer tokens of one run: a viewer's, who may read, and an operator's, who may also change
 * things. Made at start, written to a file that only its owner can read, gone at the end. They are
 * nowhere else: not in argv, not in a message, not in an answer.
 */
#ifndef SIPHERD_TOKENS_H
#define SIPHERD_TOKENS_H

#include "guard.h"

enum token_role { ROLE_NOBODY, ROLE_VIEWER, ROLE_OPERATOR };

struct tokens {
	char path[4096]; /* of the file; empty: none was written */
	char viewers[GUARD_TOKEN_LENGTH + 1], operators[GUARD_TOKEN_LENGTH + 1];
};

/* Make new tokens and write them to `path`, or to a new file in /tmp when path is NULL: one line per
 * role, "viewer TOKEN" and "operator TOKEN", and "port PORT", by which clients on this host find the file
 * of the run they ask. 0 or -errno. */
int tokens_open(struct tokens *tokens, const char *path, uint16_t port);
/* "nobody", "viewer", "operator". */
const char *tokens_role_name(enum token_role role);
enum token_role tokens_role(const struct tokens *tokens, const char *given);
/* Remove the file and forget the tokens. */
void tokens_close(struct tokens *tokens);

#endif
