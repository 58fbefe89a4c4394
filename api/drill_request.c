/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters of a drill from text to number, with every complaint. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drill_plan.h"
#include "fleet_table.h"

#define HOUR_MS UINT64_C(3600000)

enum value_kind {
	VALUE_DURATION, /* milliseconds times `factor` */
	VALUE_SECONDS,
	VALUE_PPM,
	VALUE_COUNT
};

/* Fields that are numbers. Range in what the field counts in, before `factor`. */
struct number_field {
	const char *name;
	uint8_t field; /* enum drill_field; DRILL_FIELDS: no such bit */
	uint8_t kind;  /* enum value_kind */
	uint16_t offset, size;
	uint32_t factor;
	uint64_t low, high;
};

#define AT(member) \
	offsetof(struct drill_request, member), sizeof(((struct drill_request *)NULL)->member)

static const struct number_field number_fields[] = {
	{"share", DRILL_SHARE, VALUE_PPM, AT(share_ppm), 1, 1, IMPAIRMENT_ALL_PPM},
	{"hold", DRILL_HOLD, VALUE_DURATION, AT(hold_ms), 1, 100, DRILL_HOLD_MAX_MS},
	{"settle", DRILL_SETTLE, VALUE_DURATION, AT(settle_ms), 1, 100, DRILL_HOLD_MAX_MS},
	{"period", DRILL_PERIOD, VALUE_DURATION, AT(period_ms), 1, 200, DRILL_HOLD_MAX_MS},
	{"times", DRILL_TIMES, VALUE_COUNT, AT(times), 1, 1, 30},
	{"loss", DRILL_LOSS, VALUE_PPM, AT(loss_ppm), 1, 0, IMPAIRMENT_ALL_PPM},
	{"delay", DRILL_DELAY, VALUE_DURATION, AT(delay_us), 1000, 0,
		IMPAIRMENT_DELAY_MAX_US / 1000},
	{"jitter", DRILL_JITTER, VALUE_DURATION, AT(jitter_us), 1000, 0,
		IMPAIRMENT_DELAY_MAX_US / 1000},
	{"retry_after", DRILL_RETRY_AFTER, VALUE_SECONDS, AT(retry_after_s), 1, 0, 86400},
	{"spread", DRILL_SPREAD, VALUE_DURATION, AT(spread_ms), 1, 0, 24 * HOUR_MS},
	{"wait", DRILL_FIELDS, VALUE_DURATION, AT(wait_ms), 1, 0, DRILL_HOLD_MAX_MS},
};

static int refuse(char reason[DRILL_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(char reason[DRILL_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, DRILL_REASON_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int read_number(
	const struct number_field *row, const char *text, uint64_t *out, char why[UNITS_REASON_MAX])
{
	switch (row->kind) {
	case VALUE_DURATION:
		return units_duration(text, 1, 0, out, why);
	case VALUE_SECONDS:
		return units_duration(text, 1000, 1000, out, why);
	case VALUE_PPM:
		return units_ppm(text, out, why);
	default:
		return units_count(text, out, why);
	}
}

static void number_text(const struct number_field *row, uint64_t value, char *out, size_t size)
{
	if (row->kind == VALUE_DURATION && value % HOUR_MS == 0 && value > 0)
		snprintf(out, size, "%" PRIu64 "h", value / HOUR_MS);
	else if (row->kind == VALUE_DURATION)
		units_format_duration(value, out, size);
	else if (row->kind == VALUE_SECONDS)
		snprintf(out, size, "%" PRIu64 "s", value);
	else if (row->kind == VALUE_PPM)
		snprintf(out, size, value % 10000 == 0 ? "%.0f%%" : "%.4f%%", (double)value / 1e4);
	else
		snprintf(out, size, "%" PRIu64, value);
}

static int set_number(struct drill_request *request, const struct number_field *row,
	const char *text, char reason[DRILL_REASON_MAX])
{
	char why[UNITS_REASON_MAX], quoted[FLEET_QUOTED_MAX], low[32], high[32];
	uint64_t value;
	number_text(row, row->low, low, sizeof(low));
	number_text(row, row->high, high, sizeof(high));
	if (read_number(row, text, &value, why) != 0)
		return refuse(reason, "%s: %s %s; it may be %s to %s", row->name,
			fleet_quote(text, quoted), why, low, high);
	if (value < row->low || value > row->high)
		return refuse(reason, "%s: %s is out of range, it may be %s to %s", row->name,
			fleet_quote(text, quoted), low, high);
	void *at = (char *)request + row->offset;
	if (row->size == sizeof(uint64_t))
		*(uint64_t *)at = value * row->factor;
	else
		*(uint32_t *)at = (uint32_t)(value * row->factor);
	if (row->field < DRILL_FIELDS)
		request->given |= 1u << row->field;
	return 0;
}

static int set_kind(struct drill_request *request, const char *text, char reason[DRILL_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	size_t used = 0;
	for (uint8_t kind = 0; kind < DRILL_KINDS; kind++) {
		if (strcmp(text, drill_catalogue[kind].name) == 0) {
			request->kind = kind;
			return 0;
		}
	}
	refuse(reason, "do: %s is no drill, it may be ", fleet_quote(text, quoted));
	for (uint8_t kind = 0; kind < DRILL_KINDS; kind++) {
		used = strlen(reason);
		snprintf(reason + used, DRILL_REASON_MAX - used, "%s%s", kind == 0 ? "" : ", ",
			drill_catalogue[kind].name);
	}
	return -EINVAL;
}

static int set_proxy(struct drill_request *request, const char *text, char reason[DRILL_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	if (strcmp(text, "primary") != 0 && strcmp(text, "redundant") != 0)
		return refuse(reason, "proxy: %s is neither primary nor redundant",
			fleet_quote(text, quoted));
	request->proxy = text[0] == 'p' ? PROXY_PRIMARY : PROXY_REDUNDANT;
	request->given |= 1u << DRILL_PROXY;
	return 0;
}

static int set_method(
	struct drill_request *request, const char *text, char reason[DRILL_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	if (strcmp(text, "register") != 0 && strcmp(text, "options") != 0)
		return refuse(reason,
			"method: %s is neither register nor options, the one that is lost",
			fleet_quote(text, quoted));
	request->method = text[0] == 'r' ? IMPAIRMENT_REGISTER : IMPAIRMENT_OPTIONS;
	request->given |= 1u << DRILL_METHOD;
	return 0;
}

static int set_hook(struct drill_request *request, const char *text, char reason[DRILL_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	const size_t length = strlen(text);
	if (length == 0 || length >= sizeof(request->hook) || !fleet_text_ok(text, length))
		return refuse(reason, "hook: %s cannot be the name of a hook of the fleet file",
			fleet_quote(text, quoted));
	memcpy(request->hook, text, length + 1);
	request->given |= 1u << DRILL_HOOK;
	return 0;
}

static int unknown_field(const char *field, char reason[DRILL_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	refuse(reason, "%s is not a field of a drill, these are: do, wait",
		fleet_quote(field, quoted));
	for (int i = 0; i < DRILL_FIELDS; i++) {
		const size_t used = strlen(reason);
		snprintf(reason + used, DRILL_REASON_MAX - used, ", %s", drill_field_names[i]);
	}
	return -EINVAL;
}

int drill_request_set(struct drill_request *request, const char *field, const char *value,
	char reason[DRILL_REASON_MAX])
{
	static const struct {
		const char *name;
		int (*set)(struct drill_request *request, const char *text,
			char reason[DRILL_REASON_MAX]);
	} words[] = {
		{"do", set_kind}, {"proxy", set_proxy}, {"method", set_method}, {"hook", set_hook}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(field, words[i].name) == 0)
			return words[i].set(request, value, reason);
	}
	for (size_t i = 0; i < sizeof(number_fields) / sizeof(number_fields[0]); i++) {
		if (strcmp(field, number_fields[i].name) == 0)
			return set_number(request, &number_fields[i], value, reason);
	}
	return unknown_field(field, reason);
}

void drill_request_get(
	const struct drill_request *request, const char *field, char out[DRILL_TEXT_MAX])
{
	out[0] = '\0';
	if (strcmp(field, "do") == 0)
		snprintf(out, DRILL_TEXT_MAX, "%s", drill_catalogue[request->kind].name);
	else if (strcmp(field, "proxy") == 0)
		snprintf(out, DRILL_TEXT_MAX, "%s", proxy_name(request->proxy));
	else if (strcmp(field, "method") == 0)
		snprintf(out, DRILL_TEXT_MAX, "%s",
			request->method == IMPAIRMENT_REGISTER ? "register" : "options");
	else if (strcmp(field, "hook") == 0)
		snprintf(out, DRILL_TEXT_MAX, "%s", request->hook);
	for (size_t i = 0; i < sizeof(number_fields) / sizeof(number_fields[0]); i++) {
		const struct number_field *row = &number_fields[i];
		const void *at = (const char *)request + row->offset;
		if (strcmp(field, row->name) == 0)
			number_text(row,
				(row->size == sizeof(uint64_t) ? *(const uint64_t *)at
							       : *(const uint32_t *)at) /
					row->factor,
				out, DRILL_TEXT_MAX);
	}
}

static uint64_t number_of(const struct drill_request *request, const struct number_field *row)
{
	const void *at = (const char *)request + row->offset;
	const uint64_t value = row->size == sizeof(uint64_t) ? *(const uint64_t *)at
							     : *(const uint32_t *)at;
	return value / row->factor;
}

void drill_request_text(
	const struct drill_request *request, enum drill_field field, char out[DRILL_NAME_MAX])
{
	out[0] = '\0';
	if (field == DRILL_PROXY)
		snprintf(out, DRILL_NAME_MAX, "%s", proxy_name((enum proxy)request->proxy));
	else if (field == DRILL_METHOD)
		snprintf(out, DRILL_NAME_MAX, "%s",
			request->method == IMPAIRMENT_REGISTER ? "register" : "options");
	else if (field == DRILL_HOOK)
		snprintf(out, DRILL_NAME_MAX, "%s", request->hook);
	for (size_t i = 0; i < sizeof(number_fields) / sizeof(number_fields[0]); i++) {
		if (number_fields[i].field == field)
			number_text(&number_fields[i], number_of(request, &number_fields[i]), out,
				DRILL_NAME_MAX);
	}
}
