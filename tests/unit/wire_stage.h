/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stage for tests of the whole wire: 1,000 phones and the built-in registrars on the memory link,
 * as whoever runs the test, without huge pages or network. DPDK can be started once in a process, so
 * each case has a process of its own.
 */
#ifndef SIPHERD_TEST_WIRE_STAGE_H
#define SIPHERD_TEST_WIRE_STAGE_H

#include "wire.h"

#define STAGE_PHONES 1000
/* Far more than any of this takes; only a phone that never gets there runs into it. */
#define STAGE_PATIENCE_S 60

struct stage {
	struct wire_config config;
	struct address_plan plan;
	struct identity_set *identities;
	struct wire *wire;
	struct wire_snapshot snapshot;
};

/* Run a case in a process of its own. */
void stage_in_child(void (*run)(void));
/* In the child: a check that fails ends the process, and the parent's assertion with it. */
void stage_check(bool condition, const char *what);

void stage_set_up(struct stage *stage, unsigned workers, uint8_t family);
/* Open the wire, start its workers, and the herd. */
void stage_start(struct stage *stage);
/* Wait until so many phones are registered at this proxy, by the herd's and, unless it plays dead,
 * by the registrar's own account. */
void stage_wait_registered(
	struct stage *stage, enum proxy proxy, uint32_t phones, bool by_registrar);
/* Wait until the herd has stopped. */
void stage_wait_quiet(struct stage *stage);

#endif
