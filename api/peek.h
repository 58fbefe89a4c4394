/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One phone as anybody can see it with redis-cli: the last act of the demo.
 */
#ifndef SIPHERD_PEEK_H
#define SIPHERD_PEEK_H

#include <stddef.h>

#define PEEK_MAX 4096

/* Runs redis-cli on a unix socket and writes the command and what it said, as lines, to out; a word
 * about what is missing otherwise. Waits at most 2 s. */
void peek_phone(const char *socket, const char *fleet, unsigned phone, char out[PEEK_MAX]);

#endif
