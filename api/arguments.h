/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet that a command is about: the file it names, then what the environment and the command
 * line say of its keys. Messages go to stderr.
 */
#ifndef SIPHERD_ARGUMENTS_H
#define SIPHERD_ARGUMENTS_H

#include "fleet.h"
#include "options.h"

extern const struct fleet_report arguments_report;

/* The file named first, with arguments_apply. EXIT_DONE or EXIT_USAGE, after messages. */
int arguments_read(const struct options *options, struct fleet *fleet);

/* --store, --state and --set over what is there. With finish, all keys are checked together again
 * when any was set. EXIT_DONE or EXIT_USAGE. */
int arguments_apply(const struct options *options, struct fleet *fleet, bool finish);

#endif
