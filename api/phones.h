/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Single phones as the API shows them: pages of a list, one phone, its last messages.
 *
 * What a list shows is read from the records, which cost no worker anything. Only for one phone's
 * timers its worker is asked, and only so often in a tick. Each pair of functions belongs together:
 * the first finds what is asked for and keeps it, the second tells it. Control thread only.
 */
#ifndef SIPHERD_PHONES_H
#define SIPHERD_PHONES_H

#include "ask.h"
#include "picture.h"
#include "shape.h"

#define PHONES_PAGE_MAX 1000
#define PHONES_PAGE 100 /* where no limit is given */
/* What looking through records may cost, in glances of about 2 ns: for one page at most, and at least,
 * however busy the tick; in a tick. A page ends there, full or not. To tell a phone counts as a thousand. */
#define PHONES_GLANCES 1100000
#define PHONES_GLANCES_LEAST 10000
#define PHONES_GLANCES_TICK 2000000
#define PHONES_LOOKS 32      /* workers are asked for so many phones in a tick ... */
#define PHONES_LOOKS_US 5000 /* ... and no more once that has taken so long */

struct phones;

extern const struct ask_field phones_query[]; /* of the list */

/* 0 or -ENOMEM. */
int phones_open(struct phones **out);
void phones_close(struct phones *phones);
/* A new tick: workers may be asked again. */
void phones_tick(struct phones *phones);

bool phones_list(const struct picture *picture, const struct asked *asked, struct problem *problem);
void phones_tell_list(struct shape *shape, const struct picture *picture, unsigned which);

bool phones_one(const struct picture *picture, const struct asked *asked, struct problem *problem);
void phones_tell_one(struct shape *shape, const struct picture *picture, unsigned which);

bool phones_trace(
	const struct picture *picture, const struct asked *asked, struct problem *problem);
void phones_tell_trace(struct shape *shape, const struct picture *picture, unsigned which);
/* The same as a pcapng file, to be freed; NULL: out of memory. */
uint8_t *phones_capture(const struct picture *picture, size_t *length);

/* Is there such a phone? A problem otherwise. */
bool phones_exists(const struct picture *picture, uint32_t phone, struct problem *problem);

#endif
