/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What PHONE.md allows a phone to do, told from outside: the judge of every simulated run.
 *
 * The model knows each phone's state only from the datagrams that passed and the time, steps it by
 * PHONE.md's tables in its own words, and compares after every event: with the datagrams (right
 * proxy, moment, Call-ID, CSeq, bytes of a retransmission), with the herd's record and with its
 * counters. What it cannot know (random delays) it checks for range. The first difference prints
 * seed, virtual time, phone, record and the phone's last datagrams, and fails the test.
 */
#ifndef SIPHERD_SIM_MODEL_H
#define SIPHERD_SIM_MODEL_H

#include "datagram.h"
#include "herd.h"

struct model;

struct model_source {
	void *context;
	/* The herd's record of a phone. */
	const struct phone *(*record)(void *context, uint32_t phone);
	/* "user@host:port" of its Contact in dialogue with a proxy. */
	void (*contact)(void *context, uint32_t phone, uint8_t proxy, char *out, size_t size);
	/* Look at this phone again just after this moment. */
	void (*look)(void *context, uint32_t phone, uint64_t at_us);
};

struct model *model_create(
	const struct herd_config *config, const struct model_source *source, uint64_t seed);
void model_free(struct model *model);

/* A command is about to be given to all slices. */
void model_command(struct model *model, const struct herd_command *command, uint64_t now_us);
/* The herd reads this. Says through `matched` whether it answers a request in flight. */
void model_receive(struct model *model, struct datagram *datagram);
/* Something that is no SIP message, or a request that is not ours, is about to be given. */
void model_disturb(struct model *model, uint32_t phone, uint64_t now_us);
/* ICMP is about to be given. */
void model_unreachable(struct model *model, uint32_t phone, uint8_t proxy, uint64_t now_us);
/* The phone sent this. Says through `retransmission` what it was. */
void model_sent(struct model *model, struct datagram *datagram);
/* Nothing more comes of the event: the phone's record must be as the tables say. */
void model_verify(struct model *model, uint32_t phone, uint64_t now_us);

/* Look at all phones: nothing is overdue, every record is as it should be. */
void model_sweep(struct model *model, uint64_t now_us);
/* Counters of all slices together agree with what was seen. */
void model_count(struct model *model, const struct herd_counters *counters, uint64_t now_us);

/* The durations of all slices together are those of what was seen. */
void model_durations(
	struct model *model, const struct herd_histograms *histograms, uint64_t now_us);

/* Where the model believes the phone registered: PROXIES when it is not registered. */
uint8_t model_registered_at(const struct model *model, uint32_t phone);
/* Requests of this phone that are in flight. */
unsigned model_open(const struct model *model, uint32_t phone);
/* Events judged so far: so that a test can tell that the judge was awake. */
uint64_t model_judged(const struct model *model);
uint64_t model_memory(const struct model *model);

/* Print and fail the test, as the model itself does. */
_Noreturn void model_violated(struct model *model, uint32_t phone, uint64_t now_us,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
