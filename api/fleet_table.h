/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fleet's source files share among themselves, and nobody else includes: the table of
 * keys, values on their way into it, numbers with units, messages.
 *
 * Every way in (YAML, command line, phone file) ends in fleet_key_set; every way out (YAML, JSON,
 * manual) walks fleet_keys. Text of a value: what fleet_key_text writes, fleet_key_set reads.
 */
#ifndef SIPHERD_FLEET_TABLE_H
#define SIPHERD_FLEET_TABLE_H

#include "fleet.h"
#include "units.h"

#define FLEET_ERRORS_MAX 20  /* reported one by one; the rest is only counted */
#define FLEET_ITEMS_MAX 64   /* of one list, as read; each kind has its own smaller bound */
#define FLEET_VALUE_MAX 4096 /* bytes of one value, with NUL */
#define FLEET_FILE_MAX (1024u * 1024u) /* of a fleet file or phone file */
#define FLEET_PHONES_MAX 10000000u

/* Messages */

struct fleet_messages {
	const struct fleet_report *report;
	unsigned errors, warnings;
	const char *herd; /* that messages are about; NULL: none in particular */
};

/* Where a message points. path NULL: no place at all; line 0: the whole file; column 0: the line.
 */
struct fleet_where {
	const char *path;
	uint32_t line, column;
};

void fleet_error(struct fleet_messages *messages, const struct fleet_where *where,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
void fleet_warn(struct fleet_messages *messages, const struct fleet_where *where,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Say how many messages were not shown. -EINVAL when there were errors, else 0. */
int fleet_messages_end(struct fleet_messages *messages);

/* A value for a message: in quotes, cut short, without control characters. */
#define FLEET_QUOTED_MAX 80
const char *fleet_quote(const char *text, char out[FLEET_QUOTED_MAX]);

/* The whole file, NUL-terminated, for the caller to free; -errno, or -EFBIG above FLEET_FILE_MAX.
 */
int fleet_load(const char *path, char **text, size_t *length);

/* True when the text is UTF-8 without control characters. */
bool fleet_text_ok(const char *text, size_t length);

/* Keys */

enum fleet_kind {
	KIND_TEXT,
	KIND_HOST, /* text; brackets around an IPv6 literal are taken off */
	KIND_WORD, /* one of `words`, kept as text */
	KIND_COUNT,
	KIND_DURATION,
	KIND_PERCENT,  /* "10%" or 10, kept as percent */
	KIND_FRACTION, /* 0.5 or "50%", kept as thousandths */
	KIND_RATE,
	KIND_SWITCH,
	KIND_CHOICE, /* one of `words`, kept as its number */
	KIND_CODES,
	KIND_PROXY, /* host and port in one; sets the two keys below it */
	KIND_SOURCE,
	KIND_GATEWAY,
	KIND_STORE, /* never shown with its user and password */
};

enum fleet_unit { UNIT_NONE, UNIT_MS, UNIT_S };

/* Flags of a key. */
enum {
	FLEET_SECRET = 1 << 0,         /* its value is never shown */
	FLEET_DERIVED = 1 << 1,        /* what it is when not given depends on other keys */
	FLEET_BARE_SECONDS = 1 << 2,   /* a number without unit means seconds, in phone files too */
	FLEET_PHONE_INVERTED = 1 << 3, /* a phone file says 0 for our 1 */
	FLEET_EMPTY_UNSETS = 1 << 4,   /* empty text is as if the key were not given */
	FLEET_WHOLE = 1 << 5,          /* of the fleet as a whole: no herd has its own */
};

struct fleet_key {
	const char *path; /* "keepalive.period" */
	uint8_t kind;     /* enum fleet_kind */
	uint8_t unit;     /* of the field */
	uint16_t flags;
	uint16_t offset, size; /* of the field in struct fleet; size of one element of a list */
	uint16_t count_offset; /* KIND_CODES: of the uint8_t that counts */
	uint64_t low, high;    /* in the field's unit; longest list for KIND_CODES in high */
	const char *value;     /* default, as text */
	const char *words; /* KIND_WORD, KIND_CHOICE: "name=number name=number", best name first */
	/* KIND_TEXT: NULL, or why this text cannot be. */
	const char *(*check)(const char *text);
	const char *help;
	const char *hd400; /* 400HD parameters without their common prefix, separated by blanks */
	const char *mt505;
};

extern const struct fleet_key fleet_keys[];
extern const size_t fleet_keys_count;

const struct fleet_key *fleet_key_find(const char *path);
/* True when keys begin with "path.": "keepalive", "proxies.primary". */
bool fleet_is_section(const char *path);
/* A clause for an unknown key: "; did you mean 'keepalive.period'?", or what is known there. */
void fleet_suggest(const char *path, char *out, size_t size);

static inline struct fleet_place *fleet_place(struct fleet *fleet, const struct fleet_key *key)
{
	return &fleet->place[key - fleet_keys];
}

static inline bool fleet_given(const struct fleet *fleet, const char *path)
{
	return fleet->place[fleet_key_find(path) - fleet_keys].origin != FLEET_NOT_GIVEN;
}

/* One value on its way in. */
struct fleet_item {
	const char *text;
	uint32_t line, column;
};

struct fleet_setting {
	struct fleet *fleet;
	struct fleet_messages *messages;
	const char *path; /* of the file, for messages; NULL: none */
	const char *name; /* of the key, as the user wrote it */
	const struct fleet_key *key;
	const struct fleet_item *item;
	size_t count;
	uint8_t origin; /* enum fleet_origin */
};

/* Check and store. False: errors were reported, the field is as it was. */
bool fleet_key_set(const struct fleet_setting *setting);

/* The value as text that fleet_key_set reads; list items are separated by ", ". Empty text for
 * nothing. Secrets too, the writer needs them; but never those of the store. */
void fleet_key_text(
	const struct fleet *fleet, const struct fleet_key *key, char out[FLEET_VALUE_MAX]);

uint64_t fleet_key_number(const struct fleet *fleet, const struct fleet_key *key);

/* "0s to 300s", "one of md5, sha-256, both"; with phone: in the words of a phone file. */
void fleet_key_range(const struct fleet_key *key, bool phone, char *out, size_t size);

/* What a profile says of the keys that were not given. */
void fleet_apply_profile(struct fleet *fleet);

int fleet_finish_into(struct fleet *fleet, struct fleet_messages *messages);

/* Where a key was written, for a message about it. */
struct fleet_where fleet_where(const struct fleet *fleet, const char *path);

/* fleet_users.c */
/* where: of the key that names the file. */
int fleet_users_read(const char *path, const struct fleet_where *where, struct identity_set **out,
	struct fleet_messages *messages);
int fleet_users_parse(
	FILE *in, const char *path, struct identity_set **out, struct fleet_messages *messages);
/* NULL, or why this text cannot be a field of a users file. */
const char *fleet_users_refuse(const char *text);

#endif
