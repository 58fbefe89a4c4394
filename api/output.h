/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that we write and only their owner may read, because they may hold secrets. */
#ifndef SIPHERD_OUTPUT_H
#define SIPHERD_OUTPUT_H

#include <stdio.h>

/* What -o names, emptied. A file becomes its owner's alone before anything is in it; a device or a pipe
 * keeps its mode. EXIT_DONE or EXIT_HOST, after a message. */
int output_open(const char *path, FILE **out);
/* Before a run, whether this can be written at its end. NULL and "-": yes. EXIT_DONE or EXIT_HOST, after a
 * message. */
int output_check(const char *path);
/* The message. EXIT_HOST. */
int output_failed(const char *path, int error);

/* A file with this text under this name, whole or not at all: whoever reads it gets the old text or the
 * new one. No link is followed. 0 or -errno. */
int output_whole(const char *path, const char *text);
/* The text, then the end of the descriptor. 0 or -errno. */
int output_text(int fd, const char *text);

/* A field of a CSV, RFC 4180: quoted only where it must be. */
void output_csv_text(FILE *out, const char *text);

#endif
