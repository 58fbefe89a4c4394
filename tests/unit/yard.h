/* SPDX-License-Identifier: BSD-3-Clause */
/* A yard for a small herd, driven through its calls: what the phones send is kept, and answered or
 * not as the test wishes. */
#ifndef SIPHERD_YARD_H
#define SIPHERD_YARD_H

#include "herd.h"
#include "message.h"

#define SENT_MAX 32768
#define PHONES_MAX 1000

struct sent {
	uint64_t at_us;
	uint32_t phone;
	enum proxy proxy;
	uint16_t length;
	char text[MESSAGE_MAX + 1];
};

struct yard {
	struct herd *herd;
	struct herd_config config;
	struct identity_set *identities;
	struct address_plan plan;
	uint64_t now_us;
	uint32_t count; /* datagrams sent, the last SENT_MAX of them are kept */
	uint32_t seen;  /* of them, those answer_all has looked at */
	struct sent *sent;
	bool full; /* no buffers to be had */
	struct herd_envelope envelope;
	struct sent *open; /* what is being written, or was last; NULL: nothing */
};

/* Of so many phones; change, then open. */
void defaults(struct yard *yard, uint32_t phones);
/* Starts the phones, unless there is a mirror: then they are for the test to adopt. */
void open_yard_of(struct yard *yard, const char *user, const char *auth, const char *source);
void open_yard(struct yard *yard);
void close_yard(struct yard *yard);

/* Everything that is due now; fails when the herd never comes to rest. */
void settle(struct yard *yard);
void stall_to_ms(struct yard *yard, uint64_t at_ms);
/* Time goes on from one deadline to the next; whatever is sent is answered at once or never. */
void run_to_ms(struct yard *yard, uint64_t until_ms, bool answered);
const struct sent *last_sent(const struct yard *yard);
/* The answer of the proxy that the datagram went to; headers with their CRLF. */
void answer(struct yard *yard, const struct sent *sent, unsigned status, const char *headers);
/* 200 to everything sent since the last call. */
void answer_all(struct yard *yard);
void order(struct yard *yard, uint8_t kind, uint32_t delay_ms);
enum phone_state state_of(const struct yard *yard, uint32_t phone);

#endif
