/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment, chosen so that nobody has to: cores from the affinity mask, huge pages where
 * enough are free, a private file prefix so that several processes run side by side, silence.
 */
#ifndef SIPHERD_EAL_H
#define SIPHERD_EAL_H

#include "wire.h"

struct eal_wish {
	unsigned workers;
	unsigned memory_mb; /* for buffers and rings */
	const char *pci;    /* address of the one card to probe; NULL: none */
	int argc;           /* the user's own arguments; what they say is left to them */
	char **argv;
	bool verbose;
};

struct eal {
	unsigned lcore[WIRE_WORKERS_MAX]; /* of each worker */
	bool crowded;                     /* a worker has no CPU to itself */
	bool huge_pages;
	bool telemetry; /* DPDK answers questions: the user has asked for it */
};

int eal_open(struct eal *out, const struct eal_wish *wish, struct wire_error *error);
void eal_close(void);

/* Whether the kernel gives transparent huge pages to who asks for them. */
bool eal_has_transparent_pages(void);

/* The first thing DPDK complained of since eal_forget_complaint, for the `why` of a message: what it
 * says later are only consequences. "" when it said nothing, or was allowed to say it aloud. */
const char *eal_complaint(void);
void eal_forget_complaint(void);

#endif
