/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is to go wrong, and when: faults of the built-in registrars and reboots of phones.
 *
 *   primary:crash@8s-20s               both:loss=1%@0s            redundant:drain=5@30s-40s
 *   planned:0-999@20s                  power-cut:all@20s+10s
 *
 * Times count from the moment the ramp starts. Pure: nothing here reads a clock or touches the wire.
 */
#ifndef SIPHERD_SCHEDULE_H
#define SIPHERD_SCHEDULE_H

#include "herd.h"
#include "registrar.h"

#define SCHEDULE_FAULTS_MAX 64
#define SCHEDULE_REBOOTS_MAX 64
#define SCHEDULE_REASON_MAX 256
#define SCHEDULE_NEVER UINT64_MAX

enum schedule_fault_kind {
	FAULT_CRASH,
	FAULT_DRAIN,
	FAULT_DELAY,
	FAULT_LOSS,
	FAULT_REJECT,
	FAULT_OPTIONS_SILENT,
	FAULT_REGISTER_SILENT,
	FAULT_FORGET, /* happens once, at its start */
	FAULT_KINDS
};

struct schedule_fault {
	uint8_t kind;              /* enum schedule_fault_kind */
	uint8_t proxies;           /* bit per enum proxy */
	uint32_t value;            /* seconds, microseconds, millionths or code, as the kind says */
	uint64_t start_ms, end_ms; /* SCHEDULE_NEVER: to the end of the run */
};

struct schedule_reboot {
	struct herd_command command;
	uint64_t at_ms;
};

struct schedule {
	struct schedule_fault fault[SCHEDULE_FAULTS_MAX];
	struct schedule_reboot reboot[SCHEDULE_REBOOTS_MAX];
	size_t faults, reboots;
};

/* Append one entry. 0, or -EINVAL with reason filled. */
int schedule_add_fault(
	struct schedule *schedule, const char *text, char reason[SCHEDULE_REASON_MAX]);
/* `phones` is the size of the fleet, which ranges must stay within. */
int schedule_add_reboot(struct schedule *schedule, const char *text, uint32_t phones,
	char reason[SCHEDULE_REASON_MAX]);

/* All faults of one registrar that are in force at a moment; overlapping ones add up. */
void schedule_faults_at(const struct schedule *schedule, enum proxy proxy, uint64_t now_ms,
	struct registrar_faults *out);

/* All faults happen so much later than they were to. */
void schedule_delay(struct schedule *schedule, uint64_t delay_ms);

/* "crashed", "drops 1 % of the requests": what begins. "serves again" is the caller's. */
void schedule_describe_fault(const struct schedule_fault *fault, char *out, size_t size);
void schedule_describe_reboot(const struct schedule_reboot *reboot, char *out, size_t size);

#endif
