/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The newest transitions of all phones in one ring, from which each phone's own can be read: an entry
 * knows the one before it of the same phone, and four bytes per phone know the newest. Pure; one thread.
 */
#ifndef SIPHERD_HISTORY_H
#define SIPHERD_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror.h"

#define HISTORY_MAX (1u << 20) /* entries of a large fleet */
#define HISTORY_PER_PHONE 64   /* of a small one, about */

struct history_entry {
	struct mirror_line line;
	uint32_t before; /* the same phone's, 0: there was none */
};

struct history {
	struct history_entry *entry; /* [room], that of number n at n % room */
	uint32_t *newest;            /* [phones]: number of the phone's newest entry, 0: none */
	uint32_t room;               /* a power of two */
	uint32_t last;               /* number of the newest entry, from 1, modulo 2^32 without 0 */
};

bool history_open(struct history *history, uint32_t phones);
void history_close(struct history *history);

void history_add(struct history *history, const struct mirror_line *line);

/* At most `max` of one phone, newest first. *complete: it never had another one. */
size_t history_read(const struct history *history, uint32_t phone, struct mirror_line *out,
	size_t max, bool *complete);

#endif
