/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a registrar knows of requests of one skeleton (scan_learn.h) once it has read one of them: where
 * their texts are, and how they are usually answered. Without a habit (NULL) everything is read anew.
 */
#ifndef SIPHERD_HABIT_H
#define SIPHERD_HABIT_H

#include "answer_shape.h"
#include "digest.h"
#include "scan_learn.h"

/* Credentials have so many texts. */
#define HABIT_TEXTS 9

/* A Contact value that may be bound. */
struct habit_contact {
	struct span uri, host;
	uint32_t expires; /* parameter or SCAN_ABSENT */
};

struct habit {
	uint64_t number; /* of the skeleton, 0: none yet */
	bool knows_aor, knows_contact, knows_credentials;
	struct sip_uri aor;
	struct habit_contact contact;
	enum digest_algorithm algorithm;
	struct span text[HABIT_TEXTS]; /* of the credentials */
	struct answer_shape granted;   /* 200, with at most the request's own contact */
	struct answer_shape challenge; /* 401 with one challenge that is not stale */
};

struct habits {
	struct scan_learned learned; /* how the phones ask */
	struct habit *habit;         /* [SCAN_SKELETONS] */
};

int habits_open(struct habits *habits); /* -ENOMEM */
void habits_close(struct habits *habits);

/* What is known of the message that was read last; NULL: it is like none before. */
struct habit *habit_of(struct habits *habits);

/* As scan_uri of the To's URI, and as digest_parse_credentials of the value with this number. */
bool habit_aor(struct habit *habit, const struct sip_message *request, struct sip_uri *out);
int habit_credentials(struct habit *habit, const struct sip_message *request, unsigned number,
	struct digest_credentials *out);

/* Where the user of an address-of-record stands in a datagram of this length, if it is what such datagrams
 * have been; length 0: not known. The datagram holds so many bytes, whatever they are. */
struct span habit_guess_user(const struct habits *habits, size_t length);

static inline void habit_keep_contact(struct habit *habit, const struct habit_contact *contact)
{
	if (habit == NULL)
		return;
	habit->contact = *contact;
	habit->knows_contact = true;
}

#endif
