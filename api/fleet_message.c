/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fleet's readers say, and the little they need to say it: places, quotes, suggestions. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_plan.h"

static void format_message(char *out, size_t size, const struct fleet_where *where,
	const char *herd, const char *format, va_list arguments)
{
	int used = 0;
	if (where->path != NULL && where->column != 0)
		used = snprintf(out, size, "%s:%u:%u: ", where->path, where->line, where->column);
	else if (where->path != NULL && where->line != 0)
		used = snprintf(out, size, "%s:%u: ", where->path, where->line);
	else if (where->path != NULL)
		used = snprintf(out, size, "%s: ", where->path);
	if (herd != NULL && used >= 0 && (size_t)used < size)
		used += snprintf(out + used, size - (size_t)used, "herd %s: ", herd);
	if (used >= 0 && (size_t)used < size)
		vsnprintf(out + used, size - (size_t)used, format, arguments);
}

/* A path can be 4 kB and a value is cut short, so nothing of interest is lost. */
#define MESSAGE_MAX 8192

void fleet_error(
	struct fleet_messages *messages, const struct fleet_where *where, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;
	if (++messages->errors > FLEET_ERRORS_MAX || messages->report->error == NULL)
		return;
	va_start(arguments, format);
	format_message(message, sizeof(message), where, messages->herd, format, arguments);
	va_end(arguments);
	messages->report->error(messages->report->context, message);
}

void fleet_warn(
	struct fleet_messages *messages, const struct fleet_where *where, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;
	if (++messages->warnings > FLEET_ERRORS_MAX || messages->report->warning == NULL)
		return;
	va_start(arguments, format);
	format_message(message, sizeof(message), where, messages->herd, format, arguments);
	va_end(arguments);
	messages->report->warning(messages->report->context, message);
}

int fleet_messages_end(struct fleet_messages *messages)
{
	char message[64];
	const struct fleet_report *report = messages->report;
	if (messages->warnings > FLEET_ERRORS_MAX && report->warning != NULL) {
		snprintf(message, sizeof(message), "and %u more warnings",
			messages->warnings - FLEET_ERRORS_MAX);
		report->warning(report->context, message);
	}
	if (messages->errors > FLEET_ERRORS_MAX && report->error != NULL) {
		snprintf(message, sizeof(message), "and %u more errors",
			messages->errors - FLEET_ERRORS_MAX);
		report->error(report->context, message);
	}
	return messages->errors > 0 ? -EINVAL : 0;
}

const char *fleet_quote(const char *text, char out[FLEET_QUOTED_MAX])
{
	size_t used = 0;
	out[used++] = '\'';
	/* Room for the widest escape, dots, quote and NUL. */
	for (; *text != '\0' && used < FLEET_QUOTED_MAX - 10; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 32 || c > 126)
			used += (size_t)snprintf(out + used, FLEET_QUOTED_MAX - used, "\\x%02x", c);
		else
			out[used++] = (char)c;
	}
	snprintf(out + used, FLEET_QUOTED_MAX - used, "%s'", *text != '\0' ? "..." : "");
	return out;
}

bool fleet_text_ok(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < 32 || text[i] == 127)
			return false;
	}
	/* Jansson refuses what is not UTF-8. */
	json_t *string = json_stringn(text, length);
	json_decref(string);
	return string != NULL;
}

int fleet_load(const char *path, char **text, size_t *length)
{
	FILE *in = fopen(path, "re");
	if (in == NULL)
		return -errno;
	/* One byte beyond the limit tells that the file is too large. */
	char *buffer = malloc(FLEET_FILE_MAX + 1);
	if (buffer == NULL) {
		fclose(in);
		return -ENOMEM;
	}
	*length = fread(buffer, 1, FLEET_FILE_MAX + 1, in);
	int error = ferror(in) ? -errno : 0;
	fclose(in);
	if (error == 0 && *length > FLEET_FILE_MAX)
		error = -EFBIG;
	if (error != 0) {
		free(buffer);
		return error;
	}
	buffer[*length] = '\0';
	*text = buffer;
	return 0;
}

/* Suggestions */

#define NAME_MAX_COMPARED 48

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits that turn a into b, two swapped neighbours being one edit. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b), row[3][NAME_MAX_COMPARED + 1];
	if (m > NAME_MAX_COMPARED || n > NAME_MAX_COMPARED)
		return SIZE_MAX;
	size_t *before = row[0], *last = row[1], *now = row[2];
	for (size_t j = 0; j <= n; j++)
		last[j] = j;
	for (size_t i = 1; i <= m; i++) {
		now[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
			now[j] = smaller(change, smaller(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = smaller(now[j], before[j - 2] + 1);
		}
		size_t *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[n];
}

/* How far off a name may be and still be taken for a slip. */
static size_t tolerance(const char *name)
{
	size_t length = strlen(name);
	return length <= 3 ? 1 : length <= 6 ? 2 : 3;
}

/* The name below section ("" or "keepalive.") that leads to this key; false when none does. */
static bool child_of(const char *section, const struct fleet_key *key, char *out, size_t size)
{
	size_t length = strlen(section);
	if (strncmp(key->path, section, length) != 0)
		return false;
	snprintf(out, size, "%.*s", (int)strcspn(key->path + length, "."), key->path + length);
	return true;
}

static const char *leaf_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot != NULL ? dot + 1 : path;
}

static bool suggest_elsewhere(const char *leaf, size_t limit, char *out, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const char *path = fleet_keys[i].path;
		if (edit_distance(leaf, leaf_of(path)) > limit || used >= size)
			continue;
		used += (size_t)snprintf(out + used, size - used, "%s'%s'",
			used == 0 ? "; did you mean " : " or ", path);
	}
	if (used > 0 && used < size - 1)
		snprintf(out + used, size - used, "?");
	return used > 0;
}

static bool suggest_sibling(const char *section, const char *leaf, char *out, size_t size)
{
	char name[64];
	size_t best = tolerance(leaf) + 1;
	for (size_t i = 0; i < fleet_keys_count; i++) {
		if (!child_of(section, &fleet_keys[i], name, sizeof(name)))
			continue;
		size_t distance = edit_distance(leaf, name);
		if (distance < best) {
			best = distance;
			snprintf(out, size, "; did you mean '%s%s'?", section, name);
		}
	}
	return best <= tolerance(leaf);
}

static void list_siblings(const char *section, char *out, size_t size)
{
	char name[64], last[64] = "";
	size_t used = 0;
	for (size_t i = 0; i < fleet_keys_count; i++) {
		if (!child_of(section, &fleet_keys[i], name, sizeof(name)) ||
			strcmp(name, last) == 0 || used >= size)
			continue;
		used += (size_t)snprintf(
			out + used, size - used, "%s%s", used == 0 ? "; known here: " : ", ", name);
		memcpy(last, name, sizeof(last));
	}
}

void fleet_suggest(const char *path, char *out, size_t size)
{
	const char *leaf = leaf_of(path);
	char section[64] = "", parent[64] = "";
	out[0] = '\0';
	if ((size_t)(leaf - path) < sizeof(section)) {
		memcpy(section, path, (size_t)(leaf - path));
		snprintf(parent, sizeof(parent), "%.*s", leaf > path ? (int)(leaf - path - 1) : 0,
			path);
	}
	/* A command line may have the section wrong: compare whole paths then. */
	if (parent[0] != '\0' && !fleet_is_section(parent)) {
		section[0] = '\0';
		size_t best = tolerance(path) + 1;
		for (size_t i = 0; i < fleet_keys_count; i++) {
			size_t distance = edit_distance(path, fleet_keys[i].path);
			if (distance < best) {
				best = distance;
				snprintf(out, size, "; did you mean '%s'?", fleet_keys[i].path);
			}
		}
		if (best <= tolerance(path))
			return;
	}
	for (int i = 0; section[0] == '\0' && i < FLEET_PLAN_SECTIONS; i++) {
		if (edit_distance(leaf, fleet_plan_sections[i]) > tolerance(leaf))
			continue;
		snprintf(out, size, "; did you mean '%s'?", fleet_plan_sections[i]);
		return;
	}
	if (suggest_elsewhere(leaf, 0, out, size) || suggest_sibling(section, leaf, out, size) ||
		(tolerance(leaf) > 1 && suggest_elsewhere(leaf, 1, out, size)))
		return;
	/* The list of a section helps, the list of everything is a wall. */
	if (section[0] != '\0')
		list_siblings(section, out, size);
	else
		snprintf(out, size, "; no key is like it");
}
