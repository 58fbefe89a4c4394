/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule.h"
#include "units.h"

#define PROXY_BIT(proxy) (1u << (proxy))
#define PROXIES_ALL (PROXY_BIT(PROXY_PRIMARY) | PROXY_BIT(PROXY_REDUNDANT))
#define ENTRY_MAX 128 /* longest entry, with NUL */

/* One row per fault: its word, whether it takes a value, and what the value means. */
static const struct {
	const char *word;
	bool needs_value, may_have_value;
	const char *example;
} fault_words[FAULT_KINDS] = {
	[FAULT_CRASH] = {"crash", false, false, ""},
	[FAULT_DRAIN] = {"drain", false, true, "drain=5 (Retry-After in seconds)"},
	[FAULT_DELAY] = {"delay", true, true, "delay=50ms"},
	[FAULT_LOSS] = {"loss", true, true, "loss=1%"},
	[FAULT_REJECT] = {"reject", true, true, "reject=403"},
	[FAULT_OPTIONS_SILENT] = {"options-silent", false, false, ""},
	[FAULT_REGISTER_SILENT] = {"register-silent", false, false, ""},
	[FAULT_FORGET] = {"forget", false, false, ""},
};

static int refuse(char reason[SCHEDULE_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(char reason[SCHEDULE_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, SCHEDULE_REASON_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Cut "WHO:WHAT@WHEN" in place. */
static int split(char *entry, char **who, char **what, char **when, const char *usage,
	char reason[SCHEDULE_REASON_MAX])
{
	*who = entry;
	char *colon = strchr(entry, ':');
	char *at = strchr(entry, '@');
	if (colon == NULL || at == NULL || at < colon)
		return refuse(reason, "is not of the form %s", usage);
	*colon = '\0';
	*at = '\0';
	*what = colon + 1;
	*when = at + 1;
	return 0;
}

static int copy_entry(const char *text, char out[ENTRY_MAX], char reason[SCHEDULE_REASON_MAX])
{
	if (strlen(text) >= ENTRY_MAX)
		return refuse(reason, "is longer than %d characters", ENTRY_MAX - 1);
	strcpy(out, text);
	return 0;
}

static int parse_moment(const char *text, uint64_t *out_ms, char reason[SCHEDULE_REASON_MAX])
{
	char why[UNITS_REASON_MAX];
	if (units_duration(text, 1, 1000, out_ms, why) != 0)
		return refuse(reason, "time '%s' %s", text, why);
	return 0;
}

static int parse_proxies(const char *word, uint8_t *out, char reason[SCHEDULE_REASON_MAX])
{
	if (strcmp(word, "both") == 0)
		*out = PROXIES_ALL;
	else if (strcmp(word, "primary") == 0)
		*out = PROXY_BIT(PROXY_PRIMARY);
	else if (strcmp(word, "redundant") == 0)
		*out = PROXY_BIT(PROXY_REDUNDANT);
	else
		return refuse(reason, "'%s' is not primary, redundant or both", word);
	return 0;
}

/* "1%" or "0.5%" in millionths. */
static int parse_loss(const char *text, uint32_t *out_ppm, char reason[SCHEDULE_REASON_MAX])
{
	char *end = NULL;
	double percent = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : -1;
	if (end == NULL || strcmp(end, "%") != 0 || !(percent >= 0 && percent <= 100))
		return refuse(reason, "loss '%s' is not between 0%% and 100%%", text);
	*out_ppm = (uint32_t)(percent * 10000 + 0.5);
	return 0;
}

static int parse_whole(const char *text, const char *what, uint32_t low, uint32_t high,
	uint32_t *out, char reason[SCHEDULE_REASON_MAX])
{
	uint64_t value;
	char why[UNITS_REASON_MAX];
	if (units_count(text, &value, why) != 0)
		return refuse(reason, "%s '%s' %s", what, text, why);
	if (value < low || value > high)
		return refuse(reason, "%s '%s' is not between %" PRIu32 " and %" PRIu32, what, text,
			low, high);
	*out = (uint32_t)value;
	return 0;
}

static int parse_value(
	struct schedule_fault *fault, const char *value, char reason[SCHEDULE_REASON_MAX])
{
	uint64_t ms;
	switch (fault->kind) {
	case FAULT_DRAIN:
		return parse_whole(value, "Retry-After", 0, 86400, &fault->value, reason);
	case FAULT_REJECT:
		return parse_whole(value, "code", 300, 699, &fault->value, reason);
	case FAULT_LOSS:
		return parse_loss(value, &fault->value, reason);
	case FAULT_DELAY:
		if (parse_moment(value, &ms, reason) != 0)
			return -EINVAL;
		if (ms > 60000)
			return refuse(reason, "delay '%s' is longer than 60 s", value);
		fault->value = (uint32_t)ms * 1000;
		return 0;
	default:
		return 0;
	}
}

static int parse_what(struct schedule_fault *fault, char *what, char reason[SCHEDULE_REASON_MAX])
{
	char *value = strchr(what, '=');
	if (value != NULL)
		*value++ = '\0';
	for (uint8_t kind = 0; kind < FAULT_KINDS; kind++) {
		if (strcmp(what, fault_words[kind].word) != 0)
			continue;
		if (value == NULL && fault_words[kind].needs_value)
			return refuse(
				reason, "'%s' needs a value: %s", what, fault_words[kind].example);
		if (value != NULL && !fault_words[kind].may_have_value)
			return refuse(reason, "'%s' takes no value", what);
		fault->kind = kind;
		return value != NULL ? parse_value(fault, value, reason) : 0;
	}
	return refuse(reason,
		"'%s' is not crash, drain, delay, loss, reject, options-silent, register-silent or "
		"forget",
		what);
}

static int parse_span(struct schedule_fault *fault, char *when, char reason[SCHEDULE_REASON_MAX])
{
	char *end = strchr(when, '-');
	if (end != NULL)
		*end++ = '\0';
	if (parse_moment(when, &fault->start_ms, reason) != 0)
		return -EINVAL;
	fault->end_ms = SCHEDULE_NEVER;
	if (end == NULL)
		return 0;
	if (fault->kind == FAULT_FORGET)
		return refuse(reason, "'forget' happens at one moment, it has no end");
	if (parse_moment(end, &fault->end_ms, reason) != 0)
		return -EINVAL;
	if (fault->end_ms <= fault->start_ms)
		return refuse(reason, "ends at '%s', which is not after its start", end);
	return 0;
}

int schedule_add_fault(
	struct schedule *schedule, const char *text, char reason[SCHEDULE_REASON_MAX])
{
	if (schedule->faults == SCHEDULE_FAULTS_MAX)
		return refuse(reason, "is one too many, %d are possible", SCHEDULE_FAULTS_MAX);
	struct schedule_fault fault = {0};
	char entry[ENTRY_MAX], *who = NULL, *what = NULL, *when = NULL;
	if (copy_entry(text, entry, reason) != 0)
		return -EINVAL;
	if (split(entry, &who, &what, &when, "PROXY:FAULT[=VALUE]@START[-END]", reason) != 0 ||
		parse_proxies(who, &fault.proxies, reason) != 0 ||
		parse_what(&fault, what, reason) != 0 || parse_span(&fault, when, reason) != 0)
		return -EINVAL;
	schedule->fault[schedule->faults++] = fault;
	return 0;
}

static int parse_phones(
	struct herd_command *command, char *text, uint32_t phones, char reason[SCHEDULE_REASON_MAX])
{
	if (strcmp(text, "all") == 0) {
		command->first = 0;
		command->count = phones;
		return 0;
	}
	char *last_text = strchr(text, '-');
	if (last_text != NULL)
		*last_text++ = '\0';
	uint32_t first = 0, last = 0;
	if (parse_whole(text, "phone", 0, phones - 1, &first, reason) != 0)
		return -EINVAL;
	if (last_text == NULL)
		last_text = text;
	if (parse_whole(last_text, "phone", 0, phones - 1, &last, reason) != 0)
		return -EINVAL;
	if (last < first)
		return refuse(reason, "phone '%s' comes before '%s'", last_text, text);
	command->first = first;
	command->count = last - first + 1;
	return 0;
}

int schedule_add_reboot(struct schedule *schedule, const char *text, uint32_t phones,
	char reason[SCHEDULE_REASON_MAX])
{
	if (schedule->reboots == SCHEDULE_REBOOTS_MAX)
		return refuse(reason, "is one too many, %d are possible", SCHEDULE_REBOOTS_MAX);
	struct schedule_reboot reboot = {0};
	char entry[ENTRY_MAX], *who = NULL, *what = NULL, *when = NULL;
	if (copy_entry(text, entry, reason) != 0)
		return -EINVAL;
	if (split(entry, &who, &what, &when, "KIND:FIRST-LAST@TIME[+SPREAD]", reason) != 0)
		return -EINVAL;
	if (strcmp(who, "planned") == 0)
		reboot.command.kind = HERD_REBOOT;
	else if (strcmp(who, "power-cut") == 0)
		reboot.command.kind = HERD_POWER_CUT;
	else
		return refuse(reason, "'%s' is not planned or power-cut", who);
	uint64_t spread_ms = 0;
	char *spread = strchr(when, '+');
	if (spread != NULL)
		*spread++ = '\0';
	if (parse_phones(&reboot.command, what, phones, reason) != 0 ||
		parse_moment(when, &reboot.at_ms, reason) != 0 ||
		(spread != NULL && parse_moment(spread, &spread_ms, reason) != 0))
		return -EINVAL;
	if (spread_ms > 86400000)
		return refuse(reason, "spreads the starts over more than 24 h");
	reboot.command.delay_ms = (uint32_t)spread_ms;
	schedule->reboot[schedule->reboots++] = reboot;
	return 0;
}

static void apply(const struct schedule_fault *fault, struct registrar_faults *out)
{
	switch (fault->kind) {
	case FAULT_CRASH:
		out->crashed = true;
		break;
	case FAULT_DRAIN:
		out->draining = true;
		out->retry_after_s = fault->value;
		break;
	case FAULT_DELAY:
		out->delay_us += fault->value;
		break;
	case FAULT_LOSS:
		out->loss_ppm += fault->value;
		if (out->loss_ppm > 1000000)
			out->loss_ppm = 1000000;
		break;
	case FAULT_REJECT:
		out->reject_code = (uint16_t)fault->value;
		break;
	case FAULT_OPTIONS_SILENT:
		out->options_silent = true;
		break;
	case FAULT_REGISTER_SILENT:
		out->register_silent = true;
		break;
	default:
		break;
	}
}

void schedule_faults_at(const struct schedule *schedule, enum proxy proxy, uint64_t now_ms,
	struct registrar_faults *out)
{
	*out = (struct registrar_faults){0};
	for (size_t i = 0; i < schedule->faults; i++) {
		const struct schedule_fault *fault = &schedule->fault[i];
		if ((fault->proxies & PROXY_BIT(proxy)) == 0)
			continue;
		if (now_ms >= fault->start_ms && now_ms < fault->end_ms)
			apply(fault, out);
	}
}

void schedule_delay(struct schedule *schedule, uint64_t delay_ms)
{
	for (size_t i = 0; i < schedule->faults; i++) {
		struct schedule_fault *fault = &schedule->fault[i];
		fault->start_ms += delay_ms;
		if (fault->end_ms != SCHEDULE_NEVER)
			fault->end_ms += delay_ms;
	}
}

void schedule_describe_fault(const struct schedule_fault *fault, char *out, size_t size)
{
	uint32_t value = fault->value;
	switch (fault->kind) {
	case FAULT_CRASH:
		snprintf(out, size, "crashed");
		break;
	case FAULT_DRAIN:
		snprintf(out, size, "drains: 503 to everything");
		break;
	case FAULT_DELAY:
		snprintf(out, size, "answers %" PRIu32 " ms late", value / 1000);
		break;
	case FAULT_LOSS:
		snprintf(out, size, "loses %g %% of the requests", value / 10000.0);
		break;
	case FAULT_REJECT:
		snprintf(out, size, "answers REGISTER with %" PRIu32, value);
		break;
	case FAULT_OPTIONS_SILENT:
		snprintf(out, size, "ignores OPTIONS");
		break;
	case FAULT_REGISTER_SILENT:
		snprintf(out, size, "ignores REGISTER");
		break;
	default:
		snprintf(out, size, "forgot all bindings");
		break;
	}
}

void schedule_describe_reboot(const struct schedule_reboot *reboot, char *out, size_t size)
{
	const struct herd_command *command = &reboot->command;
	const char *how = command->kind == HERD_REBOOT ? "rebooted" : "lost power";
	if (command->count == 1)
		snprintf(out, size, "phone %" PRIu32 " %s", command->first, how);
	else
		snprintf(out, size, "phones %" PRIu32 " to %" PRIu32 " %s", command->first,
			command->first + command->count - 1, how);
}
