/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "ctl.h"

#define COLUMN 36 /* where values begin */

/* "17:03:21.250", UTC as everywhere. Returns out. */
static const char *clock_text(json_int_t unix_ms, char out[32])
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm utc;
	if (gmtime_r(&seconds, &utc) == NULL)
		utc = (struct tm){0};
	snprintf(out, 32, "%02d:%02d:%02d.%03d", utc.tm_hour, utc.tm_min, utc.tm_sec,
		(int)(unix_ms % 1000));
	return out;
}

void ctl_print_clean(const char *text)
{
	char *copy = strdup(text);
	if (copy != NULL)
		fputs(client_clean(copy, strlen(copy), false), stdout);
	free(copy);
}

static void print_scalar(const json_t *value)
{
	if (json_is_string(value))
		ctl_print_clean(json_string_value(value));
	else if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		printf("%.6g", json_real_value(value));
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "yes" : "no", stdout);
	else
		putchar('-');
}

static void print_name(const char *name, int indent, bool alone)
{
	int length = (int)strlen(name);
	printf("%*s", indent, "");
	ctl_print_clean(name);
	if (alone)
		putchar('\n');
	else
		printf("%*s", indent + length < COLUMN ? COLUMN - indent - length : 1, "");
}

static void print_value(const json_t *value, int indent);

static void print_list(const json_t *list, int indent)
{
	size_t index;
	json_t *item;
	json_array_foreach (list, index, item) {
		printf("%*s- ", indent, "");
		if (!json_is_object(item) && !json_is_array(item)) {
			print_scalar(item);
			putchar('\n');
			continue;
		}
		printf("%zu\n", index + 1);
		print_value(item, indent + 2);
	}
}

static bool is_flat(const json_t *list)
{
	size_t index;
	json_t *item;
	json_array_foreach (list, index, item) {
		if (json_is_object(item) || json_is_array(item))
			return false;
	}
	return true;
}

static void print_field(const char *name, const json_t *value, int indent)
{
	const bool list = json_is_array(value);
	const bool flat = list && is_flat(value);
	print_name(name, indent, !flat && (list || json_is_object(value)));
	if (flat) {
		size_t index;
		json_t *item;
		json_array_foreach (value, index, item) {
			fputs(index > 0 ? ", " : "", stdout);
			print_scalar(item);
		}
		fputs(json_array_size(value) == 0 ? "none\n" : "\n", stdout);
	} else if (list || json_is_object(value)) {
		print_value(value, indent + 2);
	} else {
		print_scalar(value);
		putchar('\n');
	}
}

static void print_value(const json_t *value, int indent)
{
	const char *name;
	json_t *field;
	if (json_is_array(value)) {
		print_list(value, indent);
	} else if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, name, field) {
			print_field(name, field, indent);
		}
	} else {
		print_scalar(value);
		putchar('\n');
	}
}

void ctl_print_tree(const json_t *value)
{
	print_value(value, 0);
}

void ctl_print_json(const json_t *value, size_t flags)
{
	json_dumpf(value, stdout,
		flags | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
	putchar('\n');
}

/* --- Phones --- */

const char *ctl_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "-";
}

static void print_cell(const char *text, int width)
{
	int length = (int)strlen(text);
	ctl_print_clean(text);
	printf("%*s", length < width ? width - length + 1 : 1, "");
}

static void print_row(const json_t *phone)
{
	char text[64];
	const json_t *rtt = json_object_get(phone, "rtt_ms");
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(phone, "phone")));
	print_cell(text, 8);
	print_cell(ctl_text(phone, "user"), 16);
	print_cell(ctl_text(phone, "state"), 12);
	print_cell(ctl_text(phone, "proxy"), 10);
	print_cell(json_is_true(json_object_get(phone, "registered")) ? "yes" : "no", 10);
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(phone, "misses")));
	print_cell(text, 6);
	if (json_is_number(rtt))
		snprintf(text, sizeof(text), "%.1f", json_number_value(rtt));
	else
		snprintf(text, sizeof(text), "-");
	print_cell(text, 8);
	ctl_print_clean(ctl_text(phone, "cause"));
	putchar('\n');
}

void ctl_print_phones(const json_t *page, bool heading)
{
	size_t index;
	json_t *phone;
	const json_t *next = json_object_get(page, "next");
	if (heading)
		printf("%-8s %-16s %-12s %-10s %-10s %-6s %-8s %s\n", "phone", "user", "state",
			"proxy", "registered", "misses", "rtt ms", "cause");
	json_array_foreach (json_object_get(page, "phones"), index, phone) {
		print_row(phone);
	}
	if (json_is_integer(next))
		printf("more: cursor=%" JSON_INTEGER_FORMAT "\n", json_integer_value(next));
}

static void print_side(const json_t *side)
{
	ctl_print_clean(ctl_text(side, "proxy"));
	fputs(json_is_true(json_object_get(side, "registered")) ? " registered" : "", stdout);
}

static void print_transition(const json_t *transition)
{
	char clock[32];
	printf("%s  ",
		clock_text(json_integer_value(json_object_get(transition, "unix_ms")), clock));
	print_side(json_object_get(transition, "from"));
	fputs(" -> ", stdout);
	print_side(json_object_get(transition, "to"));
	fputs(", ", stdout);
	ctl_print_clean(ctl_text(transition, "phase"));
	fputs(": ", stdout);
	ctl_print_clean(ctl_text(transition, "cause"));
	putchar('\n');
}

void ctl_print_phone(const json_t *phone)
{
	const char *name;
	json_t *field, *transition;
	size_t index;
	json_object_foreach ((json_t *)phone, name, field) {
		if (strcmp(name, "transitions") != 0)
			print_field(name, field, 0);
	}
	printf("transitions, newest first\n");
	json_array_foreach (json_object_get(phone, "transitions"), index, transition) {
		fputs("  ", stdout);
		print_transition(transition);
	}
}

static void print_message(const json_t *message)
{
	char clock[32];
	const json_int_t us = json_integer_value(json_object_get(message, "unix_us"));
	const bool sent = strcmp(ctl_text(message, "direction"), "sent") == 0;
	printf("%s%03d  phone %s ", clock_text(us / 1000, clock), (int)(us % 1000),
		sent ? "---" : "<--");
	ctl_print_clean(ctl_text(message, "first_line"));
	fputs(sent ? " --> " : " --- ", stdout);
	ctl_print_clean(ctl_text(message, "proxy"));
	putchar('\n');
}

void ctl_print_trace(const json_t *trace)
{
	size_t index;
	json_t *message;
	const json_t *list = json_object_get(trace, "messages");
	const json_int_t dropped = json_integer_value(json_object_get(trace, "dropped"));
	if (json_array_size(list) == 0)
		printf("no message yet: they are kept from the first look on\n");
	json_array_foreach (list, index, message) {
		print_message(message);
	}
	if (dropped > 0)
		printf("%" JSON_INTEGER_FORMAT " older messages were let go\n", dropped);
}

/* --- Events --- */

static void print_tick(const json_t *data)
{
	const char *name;
	json_t *count;
	json_object_foreach (json_object_get(data, "states"), name, count) {
		if (json_integer_value(count) == 0)
			continue;
		putchar(' ');
		ctl_print_clean(name);
		putchar(' ');
		print_scalar(count);
	}
	fputs(json_is_false(json_object_get(data, "healthy")) ? " GENERATOR-LIMITED" : "", stdout);
}

static void print_fields(const json_t *data)
{
	const char *name;
	json_t *field;
	json_object_foreach ((json_t *)data, name, field) {
		if (json_is_object(field) || json_is_array(field) || strcmp(name, "records") == 0 ||
			strcmp(name, "unix_ms") == 0)
			continue;
		putchar(' ');
		ctl_print_clean(name);
		putchar(' ');
		print_scalar(field);
	}
}

void ctl_print_event(const struct sse_event *event, const json_t *data)
{
	char clock[32];
	struct timespec now;
	const json_t *when = json_object_get(data, "unix_ms");
	clock_gettime(CLOCK_REALTIME, &now);
	json_int_t ms = json_is_integer(when)
				? json_integer_value(when)
				: (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	printf("%s  ", clock_text(ms, clock));
	print_cell(event->name, 10);
	if (strcmp(event->name, "tick") == 0) {
		print_tick(data);
	} else if (strcmp(event->name, "alert") == 0) {
		putchar(' ');
		ctl_print_clean(ctl_text(data, "text"));
	} else if (strcmp(event->name, "drill") == 0) {
		printf(" %" JSON_INTEGER_FORMAT " ",
			json_integer_value(json_object_get(data, "id")));
		ctl_print_clean(ctl_text(data, "phase"));
		fputs(": ", stdout);
		ctl_print_clean(ctl_text(data, "text"));
	} else if (strcmp(event->name, "transition") == 0) {
		printf(" phone %" JSON_INTEGER_FORMAT " ",
			json_integer_value(json_object_get(data, "phone")));
		print_side(json_object_get(data, "from"));
		fputs(" -> ", stdout);
		print_side(json_object_get(data, "to"));
		fputs(", ", stdout);
		ctl_print_clean(ctl_text(data, "cause"));
	} else {
		print_fields(data);
	}
	putchar('\n');
}
