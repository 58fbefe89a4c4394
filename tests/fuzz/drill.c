/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be asked of a drill, as it comes from HTTP, the command line and the fleet file: lines FIELD=VALUE, an
 * empty line before the next request of the plan, "gate GOAL" for a goal. What is taken makes plans whose steps
 * are in order and whose waves are within them; what is not has a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drill_plan.h"
#include "gate.h"

#define LINE_MOST 256

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_plan(const struct drill_plan *plan)
{
	require(plan->steps <= DRILL_STEPS_MAX && plan->waves <= DRILL_WAVES_MAX);
	for (uint32_t i = 0; i < plan->steps; i++) {
		require(plan->step[i].at_ms <= plan->end_ms);
		require(i == 0 || plan->step[i - 1].at_ms <= plan->step[i].at_ms);
	}
	for (uint32_t i = 0; i < plan->waves; i++) {
		const struct drill_wave *wave = &plan->wave[i];
		require(wave->step < plan->steps && wave->until_ms <= plan->end_ms);
		require(plan->step[wave->step].at_ms <= wave->until_ms);
	}
}

static void try_plan(const struct drill_request *request, uint32_t requests, bool symmetric)
{
	static const char *const hooks[] = {"outage", NULL};
	static struct drill_plan plan;
	const struct herd_config herd = {.fleet_phones = 1000,
		.redundancy = {true, symmetric ? MODE_SYMMETRIC : MODE_ASYMMETRIC, 1, 1},
		.timers = {500, 4000, 5000, 32000},
		.switch_delay_ms = 10000,
		.keepalive_period_ms = 60000,
		.expires_s = 3600,
		.retry_ms = 60000,
		.refresh_permille = 500};
	const struct drill_fleet fleet = {.herd = &herd,
		.phones = 1000,
		.redundancy = true,
		.registrars = true,
		.hook = hooks};
	char reason[DRILL_REASON_MAX] = "";
	if (drill_plan_make(&plan, "fuzz", request, requests, &fleet, reason) == 0)
		check_plan(&plan);
	else
		require(reason[0] != '\0');
}

static void take_line(struct drill_request *request, char *line)
{
	char reason[DRILL_REASON_MAX] = "", *value = strchr(line, '=');
	struct gate gate;
	if (strncmp(line, "gate ", 5) == 0) {
		require(gate_parse(&gate, line + 5, reason) == 0 || reason[0] != '\0');
		return;
	}
	if (value == NULL)
		return;
	*value++ = '\0';
	const struct drill_request before = *request;
	if (drill_request_set(request, line, value, reason) == 0)
		return;
	require(reason[0] != '\0');
	*request = before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct drill_request request[DRILL_REQUESTS_MAX];
	uint32_t requests = 1;
	memset(request, 0, sizeof(request));
	for (size_t at = 0; at < size;) {
		char line[LINE_MOST] = "";
		size_t length = 0;
		for (; at < size && data[at] != '\n'; at++)
			if (length < LINE_MOST - 1)
				line[length++] = (char)data[at];
		at++;
		if (length == 0 && requests < DRILL_REQUESTS_MAX)
			requests++;
		take_line(&request[requests - 1], line);
	}
	try_plan(request, requests, false);
	try_plan(request, requests, true);
	return 0;
}
