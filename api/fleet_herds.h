/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `herds:`, phones of several kinds in one fleet. Only for fleet_*.c.
 *
 *   herds:
 *       - name: north
 *         phones: 1000
 *         domain: north.example.net
 *       - { name: south, phones: 500, profile: worst-case, proxies: { primary: 10.2.0.1 } }
 *
 * An entry takes the keys of the file but those of the fleet as a whole; what it leaves out is what the
 * file says at its top. Phones are numbered through the fleet, each herd's right behind the one's before.
 */
#ifndef SIPHERD_FLEET_HERDS_H
#define SIPHERD_FLEET_HERDS_H

#include "fleet_table.h"

struct yaml_reader;

/* The value of `herds`, which `event` begins; deletes the event. The event is libyaml's. */
void fleet_herds_read(struct yaml_reader *reader, void *event);

/* The fleet's own settings, and over them each entry's. False: out of memory, with a message. */
bool fleet_herds_make(struct fleet *fleet, struct fleet_messages *messages);

/* What no two herds may share: addresses and users. */
void fleet_herds_check(const struct fleet *fleet, struct fleet_messages *messages);

void fleet_herds_free(struct fleet *fleet);

#endif
