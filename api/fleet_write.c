/* SPDX-License-Identifier: BSD-3-Clause */
/* The fleet as a fleet file, as a users file, and the table of keys as a manual. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_herds.h"
#include "fleet_plan.h"
#include "hex.h"

/* A double-quoted YAML scalar. What is not ASCII is written as \u or \U: some of it would be a line
 * break or forbidden to YAML. The text is UTF-8, as fleet_key_set made sure. */
void fleet_write_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	while (*text != '\0') {
		unsigned char c = (unsigned char)*text++;
		if (c == '"' || c == '\\')
			fputc('\\', out);
		if (c < 0x80) {
			fputc(c, out);
			continue;
		}
		unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		uint32_t point = c & (0x3fu >> more);
		for (; more > 0; more--)
			point = point << 6 | ((unsigned char)*text++ & 0x3f);
		fprintf(out, "\\U%08" PRIX32, point);
	}
	fputc('"', out);
}

static bool is_list(const struct fleet_key *key, const char *text)
{
	return strstr(text, ", ") != NULL &&
	       (key->kind == KIND_SOURCE || key->kind == KIND_GATEWAY || key->kind == KIND_CODES);
}

/* Of addresses, which never hold quotes, or of codes, which need none. */
static void write_list(const struct fleet_key *key, const char *text, FILE *out)
{
	const char *quote = key->kind == KIND_CODES ? "" : "\"";
	fputc('[', out);
	for (const char *end; (end = strstr(text, ", ")) != NULL; text = end + 2)
		fprintf(out, "%s%.*s%s, ", quote, (int)(end - text), text, quote);
	fprintf(out, "%s%s%s]", quote, text, quote);
}

static void write_value(const struct fleet_key *key, const char *text, FILE *out)
{
	if (is_list(key, text)) {
		write_list(key, text, out);
		return;
	}
	switch (key->kind) {
	case KIND_TEXT:
	case KIND_HOST:
	case KIND_SOURCE:
	case KIND_GATEWAY:
	case KIND_STORE:
		fleet_write_quoted(text, out);
		return;
	default:
		fputs(text, out);
	}
}

static void write_vendor(const char *name, const char *words, FILE *out)
{
	if (words == NULL)
		return;
	const char *prefix = strncmp(words, "voip/", 5) == 0 ? "" : "voip/signalling/sip/";
	fprintf(out, "%s%s%.*s", name, prefix, (int)strcspn(words, " "), words);
}

static void write_comment(const struct fleet_key *key, FILE *out)
{
	bool same = key->hd400 != NULL && key->mt505 != NULL && strcmp(key->hd400, key->mt505) == 0;
	if (key->hd400 == NULL && key->mt505 == NULL)
		return;
	fputs(" # ", out);
	write_vendor(same ? "" : "400HD: ", key->hd400, out);
	if (key->mt505 != NULL && !same)
		fprintf(out, "; MT505: %s", key->mt505);
}

/* Open the sections of a path that the key before it did not open, so far from the margin; returns its
 * last name. */
static const char *write_sections(const char *path, const char *before, int margin, FILE *out)
{
	size_t shared = 0;
	for (size_t i = 0; path[i] != '\0' && path[i] == before[i]; i++) {
		if (path[i] == '.')
			shared = i + 1;
	}
	int depth = 0;
	const char *name = path;
	for (const char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1, depth++) {
		if ((size_t)(dot - path) >= shared)
			fprintf(out, "%*s%.*s:\n", margin + depth * 4, "", (int)(dot - name), name);
	}
	fprintf(out, "%*s", margin + depth * 4, "");
	return name;
}

/* A key is written when it was given and is not what it would be anyway (plain; NULL: whatever it is). What depends on other
 * keys is always written: reading it back must not depend on what was left out. */
static bool is_worth_writing(const struct fleet *fleet, const struct fleet *plain,
	const struct fleet_key *key, char text[FLEET_VALUE_MAX])
{
	char usual[FLEET_VALUE_MAX];
	size_t index = (size_t)(key - fleet_keys);
	bool is_users = strcmp(key->path, "users") == 0 && fleet->users[0] != '\0';
	if (key->kind == KIND_PROXY || (fleet->place[index].origin == FLEET_NOT_GIVEN && !is_users))
		return false;
	fleet_key_text(fleet, key, text);
	if (plain == NULL || (key->flags & FLEET_DERIVED) != 0)
		return true;
	fleet_key_text(plain, key, usual);
	return strcmp(text, usual) != 0;
}

/* Returns the path of the last key that was written; "": none was. */
static const char *write_keys(
	const struct fleet *fleet, const struct fleet *plain, int margin, FILE *out)
{
	char text[FLEET_VALUE_MAX];
	const char *before = "";
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		if ((plain == NULL && (key->flags & FLEET_WHOLE) != 0) ||
			!is_worth_writing(fleet, plain, key, text))
			continue;
		const char *name = write_sections(key->path, before, margin, out);
		fprintf(out, "%s: ", name);
		write_value(key, text, out);
		write_comment(key, out);
		fputc('\n', out);
		before = key->path;
	}
	explicit_bzero(text, sizeof(text));
	return before;
}

static void write_herds(const struct fleet *fleet, FILE *out)
{
	for (uint32_t h = 0; h < fleet->herds; h++) {
		fputs(h == 0 ? "herds:\n    - name: " : "    - name: ", out);
		fleet_write_quoted(fleet->entry[h].name, out);
		fputc('\n', out);
		write_keys(&fleet->entry[h], NULL, 6, out);
	}
}

int fleet_write(const struct fleet *fleet, FILE *out)
{
	struct fleet *plain = malloc(sizeof(*plain));
	if (plain == NULL)
		return -ENOMEM;
	fleet_defaults(plain);
	plain->profile = fleet->profile;
	fleet_apply_profile(plain);
	plain->profile = PROFILE_AUDIOCODES;
	const char *last = write_keys(fleet, plain, 0, out);
	write_herds(fleet, out);
	fleet_plan_write(fleet, out);
	/* A file without keys is refused as a mistake. */
	if (last[0] == '\0' && fleet->herds == 0)
		fprintf(out, "fleet: \"%s\"\n", fleet->name);
	free(plain);
	return ferror(out) ? -EIO : 0;
}

static void write_row(const struct identity_set *set, uint32_t index, FILE *out)
{
	char user[IDENTITY_TEXT_MAX], auth[IDENTITY_TEXT_MAX], password[IDENTITY_TEXT_MAX];
	char hex[DIGEST_HEX_MAX];
	uint8_t ha1[32];
	size_t user_length = identity_user(set, index, user);
	size_t auth_length = identity_auth(set, index, auth);
	size_t password_length = identity_password(set, index, password);
	size_t ha1_length = identity_ha1(set, index, ha1);
	fprintf(out, "%.*s", (int)user_length, user);
	bool own_auth = auth_length != user_length || memcmp(auth, user, user_length) != 0;
	if (own_auth || password_length != 0 || ha1_length != 0)
		fprintf(out, ";%.*s", own_auth ? (int)auth_length : 0, auth);
	if (password_length != 0)
		fprintf(out, ";%.*s", (int)password_length, password);
	if (ha1_length != 0) {
		hex_write(ha1, ha1_length, hex);
		fprintf(out, ";ha1:%.*s", (int)(2 * ha1_length), hex);
	}
	fputc('\n', out);
	explicit_bzero(password, sizeof(password));
	explicit_bzero(ha1, sizeof(ha1));
	explicit_bzero(hex, sizeof(hex));
}

int fleet_write_users(const struct fleet *fleet, FILE *out)
{
	if (fleet->identities == NULL)
		return -EINVAL;
	fputs("SEQUENTIAL\n# user;auth name;password\n", out);
	for (uint32_t i = 0; i < fleet->phones; i++)
		write_row(fleet->identities, i, out);
	return ferror(out) ? -EIO : 0;
}

/* Text that roff takes as it stands. */
void fleet_write_roff(const char *text, bool roff, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (roff && *text == '\\')
			fputs("\\e", out);
		else if (roff && *text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

void fleet_describe_keys(FILE *out, bool roff)
{
	char range[160], line[512];
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		fleet_key_range(key, false, range, sizeof(range));
		fputs(roff ? ".TP\n.B " : "", out);
		fleet_write_roff(key->path, roff, out);
		fputs(roff ? "\n" : ": ", out);
		snprintf(line, sizeof(line), "%s. %s%s%s%s.", key->help,
			(char[2]){(char)(range[0] >= 'a' && range[0] <= 'z' ? range[0] - 32
									    : range[0])},
			range + 1, key->value[0] != '\0' ? "; default " : "", key->value);
		fleet_write_roff(line, roff, out);
		if (key->hd400 != NULL || key->mt505 != NULL) {
			fputs(" Phones call it", out);
			write_vendor(" ", key->hd400, out);
			if (key->mt505 != NULL &&
				(key->hd400 == NULL || strcmp(key->hd400, key->mt505) != 0))
				fprintf(out, "%s %s", key->hd400 != NULL ? ", MT505" : "",
					key->mt505);
			fputc('.', out);
		}
		fputc('\n', out);
	}
	fleet_plan_describe(out, roff);
}
