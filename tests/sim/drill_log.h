/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A drill's measures once more, from the datagrams that passed and the time alone: neither records nor
 * transitions of the herd are looked at. Thresholds are 1, nothing has jitter, redundancy is on.
 */
#ifndef SIPHERD_DRILL_LOG_H
#define SIPHERD_DRILL_LOG_H

#include "drill_plan.h"
#include "sim.h"

#define LOG_NEVER UINT32_MAX
#define LOG_STEPS 8000

enum log_reason { LOG_INITIAL, LOG_REFRESH, LOG_FAILOVER, LOG_FAILBACK, LOG_REASONS };

struct log_step {
	uint32_t offered[LOG_REASONS], accepted[LOG_REASONS];
	uint32_t register_datagrams, register_retransmitted, challenged;
	uint32_t options, options_datagrams, options_retransmitted, options_answered;
};

struct log_moments {
	uint32_t detect_ms, register_ms, back_ms; /* LOG_NEVER */
	bool concerned;
	uint32_t switches;
	uint8_t end; /* 1 + enum proxy, 0 nowhere */
};

struct log_wave {
	struct drill_wave what;
	bool open;
	uint64_t begin_us, end_us;
	struct log_moments *phone;
};

struct log_phone {
	uint8_t registered; /* 1 + enum proxy, 0 nowhere */
	uint8_t reason;     /* enum log_reason of its next REGISTER */
	bool on, switched, challenged, options_open, register_open;
	uint8_t register_proxy;
	uint64_t options_us, register_us, options_branch, register_branch;
};

struct drill_log {
	uint32_t phones;
	uint64_t no_response_us;
	bool symmetric;
	struct log_phone *phone;
	struct log_wave wave[DRILL_WAVES_MAX];
	struct log_step step[LOG_STEPS][PROXIES]; /* of the simulator's time */
};

struct drill_log *log_create(const struct herd_config *herd);
void log_free(struct drill_log *log);
void log_sent(void *log, const struct datagram *datagram);
void log_received(void *log, const struct datagram *datagram);
/* These phones have lost their power and will start anew. */
void log_power_cut(struct drill_log *log, const struct herd_command *command, uint64_t now_us);
void log_wave_begin(
	struct drill_log *log, uint32_t wave, const struct drill_wave *what, uint64_t now_us);
void log_wave_end(struct drill_log *log, uint32_t wave, uint64_t now_us);

#endif
