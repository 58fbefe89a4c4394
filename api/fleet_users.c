/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The users file, in SIPp's injection format:
 *
 *     SEQUENTIAL
 *     # user;auth name;password        (comments and empty lines are left out)
 *     2000001
 *     2000002;joe;secret
 *     2000003;;ha1:939e7578ed9e3c518a452acee763bce9
 *     2000004;[authentication username=joe password=secret]
 *
 * Row n is phone n. An empty auth name means the user. "ha1:" and 32 (MD5) or 64 (SHA-256) hex
 * digits stand for a password that nobody needs to know. The order must be SEQUENTIAL, since a
 * phone's identity may not change between runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fleet_table.h"

#define LINE_MAX_BYTES 1024
#define FIELDS_MAX 3

struct row {
	char *user, *auth, *password, *ha1;
};

static void trim(char **text)
{
	*text += strspn(*text, " \t");
	size_t length = strlen(*text);
	while (length > 0 && ((*text)[length - 1] == ' ' || (*text)[length - 1] == '\t'))
		(*text)[--length] = '\0';
}

/* Cut at semicolons, in place. -E2BIG: more fields than there are names for; empty ones at the end
 * do not count. */
static int split(char *line, char *field[FIELDS_MAX])
{
	static char none[] = "";
	for (int i = 0; i < FIELDS_MAX; i++)
		field[i] = none;
	for (int i = 0; line != NULL; i++) {
		char *next = strchr(line, ';');
		if (next != NULL)
			*next++ = '\0';
		if (i < FIELDS_MAX)
			field[i] = line;
		else if (line[0] != '\0')
			return -E2BIG;
		line = next;
	}
	return 0;
}

/* "[authentication username=joe password=secret]", in place. NULL, or what is wrong with it. */
static const char *read_authentication(char *text, struct row *row)
{
	size_t length = strlen(text);
	if (length == 0 || text[length - 1] != ']')
		return "[authentication has no closing bracket";
	text[length - 1] = '\0';
	text += strlen("[authentication");
	for (char *rest = NULL, *word; (word = strtok_r(text, " \t", &rest)) != NULL; text = NULL) {
		if (strncmp(word, "username=", 9) == 0)
			row->auth = word + 9;
		else if (strncmp(word, "password=", 9) == 0)
			row->password = word + 9;
		else
			return "[authentication takes only username= and password=";
		/* One within the other could not be written again. */
		if (strncmp(word + 9, "[authentication", 15) == 0)
			return "[authentication stands within another one";
	}
	return NULL;
}

static const char *read_row(char *line, struct row *row)
{
	char *field[FIELDS_MAX];
	if (split(line, field) != 0)
		return "there are more than three fields: user;auth name;password";
	*row = (struct row){.user = field[0], .auth = field[1], .password = field[2]};
	trim(&row->user);
	trim(&row->auth);
	static const char bracket[] = "[authentication";
	for (int i = 1; i < FIELDS_MAX; i++) {
		if (strncmp(field[i], bracket, sizeof(bracket) - 1) != 0)
			continue;
		if (row->password[0] != '\0' && i == 1)
			return "there is a field behind [authentication ...]";
		if (row->auth[0] != '\0' && i == 2)
			return "there is an auth name before [authentication ...]";
		char *found = i == 1 ? row->auth : row->password;
		row->auth = row->password = field[0] + strlen(field[0]);
		const char *reason = read_authentication(found, row);
		if (reason != NULL)
			return reason;
		break;
	}
	if (strncmp(row->password, "ha1:", 4) == 0) {
		row->ha1 = row->password + 4;
		row->password = NULL;
	}
	return NULL;
}

static void add_row(struct identity_set *set, char *line, const struct fleet_where *where,
	struct fleet_messages *messages)
{
	struct row row;
	struct identity_error error = {0};
	const char *reason = read_row(line, &row);
	if (reason != NULL) {
		fleet_error(messages, where, "%s", reason);
		return;
	}
	if (identity_add(set, row.user, row.auth, row.password, row.ha1, &error) == 0)
		return;
	if (error.column != 0)
		fleet_error(
			messages, where, "%s (at its character %zu)", error.reason, error.column);
	else
		fleet_error(messages, where, "%s", error.reason);
}

/* The first line says in which order rows are taken. */
static bool order_is_right(
	const char *line, const struct fleet_where *where, struct fleet_messages *messages)
{
	char quoted[FLEET_QUOTED_MAX];
	if (strcmp(line, "SEQUENTIAL") == 0)
		return true;
	if (strcmp(line, "RANDOM") == 0 || strcmp(line, "USER") == 0)
		fleet_error(messages, where,
			"%s order is not supported: row n is phone n, so that a phone stays who it "
			"is; write SEQUENTIAL",
			line);
	else if (strncmp(line, "SEQUENTIAL,", 11) == 0)
		fleet_error(messages, where,
			"%s is not supported, write SEQUENTIAL alone, or a pattern instead of "
			"users",
			fleet_quote(line, quoted));
	else
		fleet_error(messages, where, "the first line must be SEQUENTIAL");
	return false;
}

enum line_kind { LINE_READ, LINE_EMPTY, LINE_BAD, LINE_END };

static enum line_kind read_line(FILE *in, char line[LINE_MAX_BYTES],
	const struct fleet_where *where, struct fleet_messages *messages)
{
	size_t length = 0;
	int c;
	while ((c = getc(in)) != EOF && c != '\n' && length < LINE_MAX_BYTES - 1)
		line[length++] = (char)c;
	if (c == EOF && length == 0)
		return LINE_END;
	if (c != EOF && c != '\n') {
		fleet_error(messages, where,
			"the line is longer than %d bytes, the rest is not read",
			LINE_MAX_BYTES - 1);
		return LINE_BAD;
	}
	if (length > 0 && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	if (!fleet_text_ok(line, length)) {
		fleet_error(messages, where,
			"the line holds control characters or is not UTF-8, the rest is not read");
		return LINE_BAD;
	}
	return line[strspn(line, " \t")] == '\0' || line[0] == '#' ? LINE_EMPTY : LINE_READ;
}

int fleet_users_parse(
	FILE *in, const char *path, struct identity_set **out, struct fleet_messages *messages)
{
	char line[LINE_MAX_BYTES];
	struct fleet_where where = {path, 0, 0};
	unsigned before = messages->errors;
	bool ordered = false;
	enum line_kind kind;
	if (identity_rows(out) != 0) {
		fleet_error(messages, &where, "out of memory");
		return -ENOMEM;
	}
	do {
		where.line++;
		kind = read_line(in, line, &where, messages);
		if (kind != LINE_READ)
			continue;
		if (ordered)
			add_row(*out, line, &where, messages);
		else if (!order_is_right(line, &where, messages))
			break;
		ordered = true;
	} while (kind == LINE_READ || kind == LINE_EMPTY);
	explicit_bzero(line, sizeof(line));
	if (kind == LINE_END && !ordered)
		fleet_error(messages, &(struct fleet_where){path, 0, 0},
			"the file is empty, its first line must be SEQUENTIAL");
	if (ferror(in))
		fleet_error(messages, &(struct fleet_where){path, 0, 0}, "cannot be read");
	return messages->errors > before ? -EINVAL : 0;
}

/* An ordinary file, or NULL with errno. Nothing that blocks, never ends or acts on being opened. */
static FILE *open_ordinary(const char *path)
{
	struct stat status;
	int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (descriptor < 0)
		return NULL;
	FILE *in = NULL;
	if (fstat(descriptor, &status) == 0) {
		errno = EINVAL;
		if (S_ISREG(status.st_mode))
			in = fdopen(descriptor, "r");
	}
	if (in == NULL)
		close(descriptor);
	return in;
}

int fleet_users_read(const char *path, const struct fleet_where *where, struct identity_set **out,
	struct fleet_messages *messages)
{
	FILE *in = open_ordinary(path);
	if (in == NULL) {
		int error = errno;
		fleet_error(messages, where, "users: %s cannot be read: %s", path,
			error == EINVAL ? "it is not an ordinary file" : strerror(error));
		return -error;
	}
	int error = fleet_users_parse(in, path, out, messages);
	fclose(in);
	return error;
}

const char *fleet_users_refuse(const char *text)
{
	if (strchr(text, ';') != NULL)
		return "holds a ';', which separates fields in a users file";
	if (strncmp(text, "ha1:", 4) == 0 || strncmp(text, "[authentication", 15) == 0 ||
		text[0] == '#')
		return "begins like something else in a users file (#, ha1: or [authentication)";
	return NULL;
}
