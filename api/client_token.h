/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which bearer token a client shows: that of --token-file, of SIPHERD_TOKEN, or of the file that the run
 * on this very host and port has written for its owner, who is who asks. The operator's before the viewer's.
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

/* port: of the run on this host, 0 for another host, whose files are not here. EXIT_DONE, also where there
 * is none; EXIT_USAGE, after a message with report: what was named is no good. */
int client_token_find(
	struct client_token *token, const struct options *options, uint16_t port, bool report);

#endif
