/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones' own configuration files: one path/of/parameter=value per line. A '#' at the beginning of
 * a line or after a blank starts a comment, so that a password may hold one; blanks around names
 * and values do not count; parameters we do not know are only counted. Both vendors' names stand in
 * the table of keys; the common prefix may be there or not, whatever the vendor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_table.h"

#define LINE_MAX_BYTES 4096
#define LINES_OF_A_PHONE 16 /* voip/line/0 to 15 */
#define COMMON_PREFIX "voip/signalling/sip/"

/* One voip/line/N of a phone. */
struct phone_line {
	bool off; /* enabled=0 */
	char user[FLEET_TEXT_MAX], auth[FLEET_TEXT_MAX], password[FLEET_TEXT_MAX];
	uint32_t written_at; /* line of the id in the file */
};

struct phone_reader {
	struct fleet *fleet;
	struct fleet_messages *messages;
	const char *path;
	size_t file, files;            /* this one, counted from 1, of so many */
	size_t set_by[FLEET_KEYS_MAX]; /* file that set each key last; 0: none */
	struct phone_line line[LINES_OF_A_PHONE];
	bool names_of_400hd, names_of_mt505; /* names that only one of them uses */
};

static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);
	while (list != NULL && length > 0) {
		if (strncmp(list, word, length) == 0 &&
			(list[length] == ' ' || list[length] == '\0'))
			return true;
		list = strchr(list, ' ');
		if (list != NULL)
			list++;
	}
	return false;
}

static const struct fleet_key *find_parameter(struct phone_reader *reader, const char *name)
{
	static const char common[] = COMMON_PREFIX, redundant[] = "redundant/";
	bool is_prefixed = strncmp(name, common, sizeof(common) - 1) == 0;
	if (is_prefixed)
		name += sizeof(common) - 1;
	bool is_redundant = strncmp(name, redundant, sizeof(redundant) - 1) == 0;
	if (is_redundant)
		name += sizeof(redundant) - 1;
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		/* Lines have numbers and their own reader. */
		if (key->hd400 != NULL && strchr(key->hd400, 'N') != NULL)
			continue;
		bool of_400hd = !is_redundant && list_has(key->hd400, name);
		bool of_mt505 = list_has(key->mt505, name);
		if (!of_400hd && !of_mt505)
			continue;
		reader->names_of_400hd |= of_400hd && !of_mt505;
		reader->names_of_mt505 |= of_mt505 && !of_400hd;
		return key;
	}
	return NULL;
}

/* A later file may say otherwise about what all phones share: the last word counts, but is told. */
static void warn_of_conflict(
	struct phone_reader *reader, const struct fleet_setting *setting, const char *before)
{
	char after[FLEET_VALUE_MAX], quoted[2][FLEET_QUOTED_MAX];
	size_t *set_by = &reader->set_by[setting->key - fleet_keys];
	struct fleet_where where = {reader->path, setting->item->line, 0};
	fleet_key_text(reader->fleet, setting->key, after);
	if (*set_by != 0 && *set_by != reader->file && strcmp(before, after) != 0)
		fleet_warn(reader->messages, &where,
			"%s: %s is not what an earlier file says, %s; all phones get the last one",
			setting->name, fleet_quote(after, quoted[0]),
			fleet_quote(before, quoted[1]));
	*set_by = reader->file;
}

static bool set_key(struct phone_reader *reader, const struct fleet_key *key, const char *name,
	const char *value, uint32_t line)
{
	char before[FLEET_VALUE_MAX];
	struct fleet_item item = {.text = value, .line = line};
	struct fleet_setting setting = {.fleet = reader->fleet,
		.messages = reader->messages,
		.path = reader->path,
		.name = name,
		.key = key,
		.item = &item,
		.count = 1,
		.origin = FLEET_FROM_PHONE};
	fleet_key_text(reader->fleet, key, before);
	if (!fleet_key_set(&setting))
		return false;
	warn_of_conflict(reader, &setting, before);
	/* A line number without its file says nothing. */
	if (reader->files > 1)
		fleet_place(reader->fleet, key)->line = 0;
	return true;
}

static void copy_line_text(struct phone_reader *reader, const char *name, const char *value,
	uint32_t number, char out[FLEET_TEXT_MAX])
{
	struct fleet_where where = {reader->path, number, 0};
	size_t length = strlen(value);
	if (!fleet_text_ok(value, length)) {
		fleet_error(reader->messages, &where,
			"%s: the value holds control characters or is not UTF-8", name);
		return;
	}
	if (length > IDENTITY_TEXT_MAX) {
		fleet_error(reader->messages, &where, "%s: the value is longer than %d bytes", name,
			IDENTITY_TEXT_MAX);
		return;
	}
	memset(out, 0, FLEET_TEXT_MAX);
	memcpy(out, value, length);
}

static void copy_password(struct phone_reader *reader, const char *name, const char *value,
	uint32_t number, char out[FLEET_TEXT_MAX])
{
	struct fleet_where where = {reader->path, number, 0};
	if (strncmp(value, "{\"", 2) == 0) {
		fleet_warn(reader->messages, &where,
			"%s: looks encrypted and is left out, write the password into the fleet "
			"file",
			name);
		return;
	}
	copy_line_text(reader, name, value, number, out);
}

/* voip/line/N/...: false when it is none of ours. */
static bool read_line_parameter(
	struct phone_reader *reader, const char *name, const char *value, uint32_t number)
{
	static const char prefix[] = "voip/line/";
	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	const char *digits = name + sizeof(prefix) - 1;
	size_t count = strspn(digits, "0123456789");
	if (count == 0 || count > 2 || digits[count] != '/' ||
		strtoul(digits, NULL, 10) >= LINES_OF_A_PHONE)
		return false;
	struct phone_line *line = &reader->line[strtoul(digits, NULL, 10)];
	const char *leaf = digits + count + 1;
	if (strcmp(leaf, "id") == 0) {
		copy_line_text(reader, name, value, number, line->user);
		line->written_at = number;
	} else if (strcmp(leaf, "auth_name") == 0) {
		copy_line_text(reader, name, value, number, line->auth);
	} else if (strcmp(leaf, "auth_password") == 0) {
		copy_password(reader, name, value, number, line->password);
	} else if (strcmp(leaf, "enabled") == 0) {
		char quoted[FLEET_QUOTED_MAX];
		if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
			fleet_error(reader->messages,
				&(struct fleet_where){reader->path, number, 0},
				"%s: %s must be 0 or 1", name, fleet_quote(value, quoted));
		line->off = strcmp(value, "0") == 0;
	} else {
		return false;
	}
	return true;
}

/* Trim in place; returns the first byte that counts. */
static char *trim(char *text)
{
	text += strspn(text, " \t\r");
	size_t length = strlen(text);
	while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
		text[--length] = '\0';
	return text;
}

static void cut_comment(char *text)
{
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '#' && (c == text || c[-1] == ' ' || c[-1] == '\t'))
			*c = '\0';
		if (*c == '\0')
			return;
	}
}

static void read_parameter(struct phone_reader *reader, char *text, uint32_t number)
{
	char quoted[FLEET_QUOTED_MAX];
	struct fleet_where where = {reader->path, number, 0};
	cut_comment(text);
	char *name = trim(text), *equals = strchr(name, '=');
	if (name[0] == '\0')
		return;
	if (equals == NULL && strncmp(name, "include ", 8) == 0) {
		fleet_warn(reader->messages, &where,
			"include lines are not followed, name %s on the command line before this "
			"file",
			fleet_quote(trim(name + 8), quoted));
		return;
	}
	if (equals == NULL) {
		fleet_error(reader->messages, &where, "%s is neither parameter=value nor a comment",
			fleet_quote(name, quoted));
		return;
	}
	*equals = '\0';
	name = trim(name);
	char *value = trim(equals + 1);
	const struct fleet_key *key = find_parameter(reader, name);
	if (key != NULL)
		set_key(reader, key, name, value, number);
	else if (!read_line_parameter(reader, name, value, number))
		reader->fleet->unknown_keys++;
}

static void read_text(struct phone_reader *reader, const char *text, size_t length)
{
	char line[LINE_MAX_BYTES];
	const char *end = text + length;
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	for (uint32_t number = 1; text < end; number++) {
		const char *next = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((next != NULL ? next : end) - text);
		struct fleet_where where = {reader->path, number, 0};
		if (size >= sizeof(line)) {
			fleet_error(reader->messages, &where, "the line is longer than %d bytes",
				LINE_MAX_BYTES - 1);
		} else if (memchr(text, '\0', size) != NULL) {
			fleet_error(reader->messages, &where, "the line holds a NUL");
		} else {
			memcpy(line, text, size);
			line[size] = '\0';
			read_parameter(reader, line, number);
		}
		text = next != NULL ? next + 1 : end;
	}
	explicit_bzero(line, sizeof(line));
}

/* The first line that is in use; the others are named, since a herd's phone has one. */
static struct phone_line *choose_line(struct phone_reader *reader)
{
	struct phone_line *chosen = NULL;
	for (unsigned i = 0; i < LINES_OF_A_PHONE; i++) {
		struct phone_line *line = &reader->line[i];
		if (line->off || line->user[0] == '\0')
			continue;
		if (chosen == NULL)
			chosen = line;
		else
			fleet_warn(reader->messages,
				&(struct fleet_where){reader->path, line->written_at, 0},
				"voip/line/%u is left out: a phone of the herd has one line, and "
				"voip/line/%u comes first",
				i, (unsigned)(chosen - reader->line));
	}
	return chosen;
}

/* A phone's own texts are no patterns: braces stand for themselves. Fits, as both are bounded. */
static void set_pattern(
	struct phone_reader *reader, const char *path, const char *text, uint32_t number)
{
	char pattern[2 * IDENTITY_TEXT_MAX + 1];
	size_t used = 0;
	for (; *text != '\0'; text++) {
		if (*text == '{' || *text == '}')
			pattern[used++] = *text;
		pattern[used++] = *text;
	}
	pattern[used] = '\0';
	if (used > 0)
		set_key(reader, fleet_key_find(path), path, pattern, number);
	explicit_bzero(pattern, sizeof(pattern));
}

static void add_row(struct phone_reader *reader, const struct phone_line *line)
{
	struct fleet_where where = {reader->path, line->written_at, 0};
	struct identity_error error = {0};
	const char *const text[] = {line->user, line->auth, line->password};
	static const char *const name[] = {"id", "auth_name", "auth_password"};
	for (int i = 0; i < 3; i++) {
		const char *reason = fleet_users_refuse(text[i]);
		if (reason == NULL)
			continue;
		fleet_error(reader->messages, &where, "%s: the value %s", name[i], reason);
		return;
	}
	if (identity_add(reader->fleet->identities, line->user, line->auth, line->password, NULL,
		    &error) != 0)
		fleet_error(reader->messages, &where, "%s", error.reason);
}

static void take_line(struct phone_reader *reader)
{
	const struct phone_line *line = choose_line(reader);
	if (line != NULL && reader->files == 1) {
		set_pattern(reader, "user", line->user, line->written_at);
		set_pattern(reader, "auth", line->auth, line->written_at);
		set_pattern(reader, "password", line->password, line->written_at);
	} else if (line != NULL) {
		add_row(reader, line);
	} else {
		/* A file of settings that all phones share has none, and that is fine. */
		fleet_warn(reader->messages, &(struct fleet_where){reader->path, 0, 0},
			"has no line in use (voip/line/N/id), so it %s",
			reader->files == 1 ? "names no user" : "adds no phone");
	}
	explicit_bzero(reader->line, sizeof(reader->line));
}

static void begin_import(struct phone_reader *reader, const char *path)
{
	struct fleet *fleet = reader->fleet;
	fleet_defaults(fleet);
	if (reader->files > 1)
		snprintf(fleet->path, sizeof(fleet->path), "%.3000s and %zu more", path,
			reader->files - 1);
	else
		snprintf(fleet->path, sizeof(fleet->path), "%s", path);
	if (reader->files <= 1)
		return;
	if (identity_rows(&fleet->identities) != 0)
		fleet_error(reader->messages, &(struct fleet_where){fleet->path, 0, 0},
			"out of memory");
	fleet->imported_rows = fleet->identities != NULL;
}

static int end_import(struct phone_reader *reader)
{
	struct fleet *fleet = reader->fleet;
	struct fleet_where where = {fleet->path, 0, 0};
	if (reader->names_of_mt505 && !reader->names_of_400hd)
		set_key(reader, fleet_key_find("profile"), "profile", "spider-mt505", 0);
	if (reader->messages->errors == 0 && !fleet_given(fleet, "proxies.primary.host"))
		fleet_error(reader->messages, &where, "names no proxy: proxy_address is missing");
	if (reader->messages->errors == 0)
		fleet_finish_into(fleet, reader->messages);
	return fleet_messages_end(reader->messages);
}

int fleet_import_text(struct fleet *fleet, const char *path, const char *text, size_t length,
	const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	struct phone_reader reader = {
		.fleet = fleet, .messages = &messages, .path = path, .file = 1, .files = 1};
	begin_import(&reader, path);
	read_text(&reader, text, length);
	take_line(&reader);
	return end_import(&reader);
}

int fleet_import(struct fleet *fleet, const char *const *paths, size_t count,
	const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	struct phone_reader reader = {.fleet = fleet, .messages = &messages, .files = count};
	int unread = 0;
	begin_import(&reader, count > 0 ? paths[0] : "");
	for (size_t i = 0; i < count; i++) {
		char *text;
		size_t length;
		reader.path = paths[i];
		reader.file = i + 1;
		int error = fleet_load(paths[i], &text, &length);
		if (error != 0) {
			fleet_error(&messages, &(struct fleet_where){paths[i], 0, 0},
				"cannot be read: %s", strerror(-error));
			unread = error;
			continue;
		}
		read_text(&reader, text, length);
		take_line(&reader);
		explicit_bzero(text, length);
		free(text);
	}
	int error = end_import(&reader);
	return unread != 0 ? unread : error;
}
