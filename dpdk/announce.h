/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Announcements: phones whose addresses have come here from another generator, told to the link.
 *
 * A gratuitous ARP request (RFC 5227 section 3) or an unsolicited neighbour advertisement (RFC 4861
 * section 7.2.6) for each distinct address, twice about a second apart, at most ANNOUNCE_PER_S frames a
 * second. An address that has left in the meantime is passed over: another generator may have
 * announced it. Pure: ranges and the time in microseconds come in, frames go out.
 */
#ifndef SIPHERD_ANNOUNCE_H
#define SIPHERD_ANNOUNCE_H

#include "neighbour.h"

#define ANNOUNCE_PER_S 20000
#define ANNOUNCE_BURST 32
#define ANNOUNCE_AGAIN_US 1000000

/* Phones of a range whose addresses are still to be announced. */
struct announce_range {
	uint32_t first, end, next; /* phones */
	uint64_t begun_us;         /* when the first of them was announced for the first time */
	uint8_t family;            /* being announced */
};

/* First in, first out; a ring. */
struct announce_queue {
	struct announce_range *range;
	uint32_t head, count;
};

struct announcer {
	uint32_t capacity, phones;
	struct announce_queue once, again; /* to be announced for the first, the second time */
	uint64_t paid_us; /* the token bucket: what was sent is paid for until then */
};

/* At most `capacity` ranges wait; `phones` of the fleet. 0 or -ENOMEM. */
int announcer_open(struct announcer *announcer, uint32_t capacity, uint32_t phones);
void announcer_close(struct announcer *announcer);

/* False: too many ranges wait, this one was not taken. */
bool announcer_add(struct announcer *announcer, uint32_t first, uint32_t count);

/* The next frame that may be sent now; 0: none. */
size_t announcer_next(struct announcer *announcer, const struct neighbours *neighbours,
	uint64_t now_us, uint8_t out[FRAME_REQUEST_MAX]);

#endif
