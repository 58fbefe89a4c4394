/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which bearer token a client shows: that of SIPHERD_TOKEN, of --token-file, or of the newest file that
 * a run of this user has written for its owner. The operator's before the viewer's.
 */
#ifndef SIPHERD_CLIENT_TOKEN_H
#define SIPHERD_CLIENT_TOKEN_H

#include "options.h"

#define CLIENT_TOKEN_MAX 256
#define CLIENT_TOKEN_FILE_MAX 4096

struct client_token {
	char text[CLIENT_TOKEN_MAX]; /* empty: there is none */
	char origin[600];            /* where it is from, for messages; never itself */
};

/* The token in a file's text: of "operator TOKEN", else of "viewer TOKEN", else its only word. False:
 * there is none. */
bool client_token_read(const char *text, char token[CLIENT_TOKEN_MAX]);

/* EXIT_DONE, also where there is none; EXIT_USAGE after a message: the file that was named is no good. */
int client_token_find(struct client_token *token, const struct options *options);

#endif
