/* SPDX-License-Identifier: BSD-3-Clause */
#include "identity.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define DIGITS_MAX IDENTITY_DIGITS
#define CHUNK_BYTES 65536
#define SLOTS_FIRST 64
#define ROWS_FIRST 64
#define ROWS_MAX (UINT32_C(1) << 31) /* so that a slot's 32 hash bits still cover the table */

/* Each piece makes at least one byte of at most IDENTITY_TEXT_MAX: there cannot be more pieces. */
struct piece {
	uint8_t is_number; /* else literal text */
	uint8_t length;    /* of the literal; of a number its least digits */
	uint8_t at;        /* where the literal begins in pattern.literal */
};

/* A pattern, compiled: what to write, and how to read the index back out of a text. */
struct pattern {
	uint8_t pieces;
	uint8_t literals;                /* bytes used of literal[] */
	uint8_t has_number;              /* the text differs from phone to phone */
	uint8_t number_at, number_width; /* the first number: offset in the text, least digits */
	uint8_t length[DIGITS_MAX + 1];  /* of the text, by the digits of the index */
	uint8_t digits_of[IDENTITY_TEXT_MAX +
			  1]; /* the fewest digits that give this length, or 0 */
	struct piece piece[IDENTITY_TEXT_MAX];
	char literal[IDENTITY_TEXT_MAX];
};

/* user, auth name, password and raw HA1 stand one after the other; 0: not given. */
struct row {
	const char *text;
	uint8_t user, auth, password, ha1; /* lengths */
};
static_assert(sizeof(struct row) == 16, "ten million rows are kept");

/* Text of rows never moves, so that no stale copy of a password is left behind. */
struct chunk {
	struct chunk *next;
	size_t used;
	char bytes[CHUNK_BYTES];
};

struct slot {
	uint32_t hash;
	uint32_t row; /* plus 1; 0: empty */
};

/* Open addressing, at most three quarters full. */
struct names {
	struct slot *slot;
	size_t slots; /* a power of two, or 0 before the first name */
	size_t used;
};

struct identity_set {
	bool is_patterns;
	bool has_credentials;
	uint32_t begin;  /* index of the first phone */
	uint32_t phones; /* rows, or the phones the patterns were checked for; 0 of joined sets */
	struct pattern user, auth, password;
	struct row *row;
	size_t rows_room;
	struct names users, auths; /* auths: those that differ from the row's user */
	struct chunk *chunks;
	const struct identity_set **part; /* of joined sets */
	uint32_t *part_end;               /* index behind each part's phones */
	uint32_t parts;
};

/* ---- errors ---- */

static int fail(
	struct identity_error *error, int rc, size_t column, const char *what, const char *reason)
{
	if (error) {
		error->column = column;
		snprintf(error->reason, sizeof(error->reason), "%s%s", what, reason);
	}
	return rc;
}

static int out_of_memory(struct identity_error *error)
{
	return fail(error, -ENOMEM, 0, "", "out of memory");
}

/* ---- characters ---- */

/* RFC 3261 section 25.1: unreserved and user-unreserved, without escapes. */
static bool user_allows(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("-_.!~*'()&=+$,;?/", c);
}

/* What a quoted string holds as it is. */
static bool auth_allows(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static bool password_allows(unsigned char c)
{
	return c != '\0';
}

/* The three texts of a phone: how messages call them, and what they may contain. */
struct kind {
	const char *name;
	bool (*allows)(unsigned char c);
	const char *forbidden;
};

static const struct kind user_kind = {
	"user: ", user_allows, "this character is not allowed in the user part of a SIP URI"};
static const struct kind auth_kind = {
	"auth name: ", auth_allows, "only printable ASCII without quote and backslash is allowed"};
static const struct kind password_kind = {"password: ", password_allows, ""};

/* ---- numbers ---- */

static const char pairs[200] = "00010203040506070809"
			       "10111213141516171819"
			       "20212223242526272829"
			       "30313233343536373839"
			       "40414243444546474849"
			       "50515253545556575859"
			       "60616263646566676869"
			       "70717273747576777879"
			       "80818283848586878889"
			       "90919293949596979899";

static inline void write_number(char *out, unsigned width, uint32_t n)
{
	for (; width >= 2; n /= 100) {
		width -= 2;
		memcpy(out + width, pairs + n % 100 * 2, 2);
	}
	if (width)
		*out = (char)('0' + n);
}

/* Most texts are short: copies of fixed sizes that may overlap beat a call of memcpy. */
static inline void copy_text(char *to, const char *from, size_t length)
{
	if (length > 16) {
		memcpy(to, from, length);
	} else if (length >= 8) {
		memcpy(to, from, 8);
		memcpy(to + length - 8, from + length - 8, 8);
	} else if (length >= 4) {
		memcpy(to, from, 4);
		memcpy(to + length - 4, from + length - 4, 4);
	} else if (length) {
		to[0] = from[0];
		to[length >> 1] = from[length >> 1];
		to[length - 1] = from[length - 1];
	}
}

/* ---- patterns: compiling ---- */

struct source {
	const struct kind *kind;
	const char *text;
	const struct pattern *user; /* what {user} stands for; NULL: not allowed here */
	struct identity_error *error;
};

static int fail_at(const struct source *source, size_t at, const char *reason)
{
	return fail(source->error, -EINVAL, at + 1, source->kind->name, reason);
}

static int fail_length(const struct source *source)
{
	return fail(source->error, -EINVAL, 0, source->kind->name,
		"the text is longer than 64 bytes for some phone");
}

static bool append_piece(struct pattern *pattern, struct piece piece)
{
	if (pattern->pieces == IDENTITY_TEXT_MAX)
		return false;
	pattern->piece[pattern->pieces++] = piece;
	return true;
}

static bool append_literal(struct pattern *pattern, char c)
{
	struct piece *last = pattern->pieces ? &pattern->piece[pattern->pieces - 1] : NULL;
	if (pattern->literals == IDENTITY_TEXT_MAX)
		return false;
	if (last && !last->is_number)
		last->length++;
	else if (!append_piece(pattern, (struct piece){.length = 1, .at = pattern->literals}))
		return false;
	pattern->literal[pattern->literals++] = c;
	return true;
}

static bool append_pattern(struct pattern *pattern, const struct pattern *other)
{
	for (unsigned i = 0; i < other->pieces; i++) {
		const struct piece *piece = &other->piece[i];
		if (piece->is_number && !append_piece(pattern, *piece))
			return false;
		for (unsigned k = 0; !piece->is_number && k < piece->length; k++) {
			if (!append_literal(pattern, other->literal[piece->at + k]))
				return false;
		}
	}
	return true;
}

/* The W of "{n:0W}", which begins at `at`: how many bytes it takes, or an error. */
static int read_width(const struct source *source, size_t at, uint8_t *width)
{
	const char *begin = source->text + at, *digit = begin;
	unsigned value = 0;
	for (; *digit >= '0' && *digit <= '9'; digit++) {
		if (value <= IDENTITY_TEXT_MAX)
			value = value * 10 + (unsigned)(*digit - '0');
	}
	if (*digit != '}' || digit == begin || *begin == '0')
		return fail_at(source, at, "a width is written as in {n:06}");
	if (value > IDENTITY_TEXT_MAX)
		return fail_at(source, at, "the width is larger than 64");
	*width = (uint8_t)value;
	return (int)(digit - begin);
}

/* What stands in braces at `at`: returns how many bytes it takes, or an error. */
static int compile_placeholder(struct pattern *pattern, const struct source *source, size_t at)
{
	const char *text = source->text + at;
	struct piece number = {.is_number = 1, .length = 1};
	if (strncmp(text, "{n}", 3) == 0)
		return append_piece(pattern, number) ? 3 : fail_length(source);
	if (strncmp(text, "{n:", 3) == 0) {
		if (text[3] != '0')
			return fail_at(source, at + 3, "a width is written as in {n:06}");
		int taken = read_width(source, at + 4, &number.length);
		if (taken < 0)
			return taken;
		return append_piece(pattern, number) ? 4 + taken + 1 : fail_length(source);
	}
	if (strncmp(text, "{user}", 6) == 0) {
		if (!source->user)
			return fail_at(source, at, "{user} cannot stand in the user itself");
		return append_pattern(pattern, source->user) ? 6 : fail_length(source);
	}
	if (!strchr(text, '}'))
		return fail_at(source, at, "'{' is never closed; a brace itself is written '{{'");
	return fail_at(source, at,
		"unknown placeholder: there are {n}, {n:06} and, outside the user, {user}");
}

static int compile_pieces(struct pattern *pattern, const struct source *source)
{
	for (size_t at = 0; source->text[at];) {
		char c = source->text[at];
		if (c == '{' && source->text[at + 1] != '{') {
			int taken = compile_placeholder(pattern, source, at);
			if (taken < 0)
				return taken;
			at += (size_t)taken;
			continue;
		}
		bool is_brace = c == '{' || c == '}';
		if (is_brace && source->text[at + 1] != c)
			return fail_at(
				source, at, "'}' without '{'; a brace itself is written '}}'");
		if (!source->kind->allows((unsigned char)c))
			return fail_at(source, at, source->kind->forbidden);
		if (!append_literal(pattern, c))
			return fail_length(source);
		at += is_brace ? 2 : 1;
	}
	return 0;
}

/* Lengths by digits, and back. Texts of equal length have one layout, whatever their digits. */
static int measure(struct pattern *pattern, const struct source *source, uint32_t last)
{
	for (unsigned digits = identity_digits(last); digits > 0; digits--) {
		unsigned length = 0;
		for (unsigned i = 0; i < pattern->pieces; i++) {
			const struct piece *piece = &pattern->piece[i];
			bool grows = piece->is_number && piece->length < digits;
			length += grows ? digits : piece->length;
		}
		if (length > IDENTITY_TEXT_MAX)
			return fail_length(source);
		pattern->length[digits] = (uint8_t)length;
		pattern->digits_of[length] = (uint8_t)digits;
	}
	for (unsigned i = 0; i < pattern->pieces && !pattern->has_number; i++) {
		pattern->has_number = pattern->piece[i].is_number;
		if (pattern->has_number)
			pattern->number_width = pattern->piece[i].length;
		else
			pattern->number_at = pattern->piece[i].length;
	}
	return 0;
}

static int compile(struct pattern *pattern, const struct source *source, uint32_t phones)
{
	int rc = compile_pieces(pattern, source);
	return rc ? rc : measure(pattern, source, phones ? phones - 1 : 0);
}

static int compile_set(struct identity_set *set, const char *user, const char *auth,
	const char *password, struct identity_error *error)
{
	struct source source = {.kind = &user_kind, .text = user, .error = error};
	int rc = compile(&set->user, &source, set->phones);
	if (rc)
		return rc;
	if (set->user.pieces == 0)
		return fail(error, -EINVAL, 0, user_kind.name, "it is empty");
	if (!set->user.has_number && set->phones > 1)
		return fail(error, -EINVAL, 0, user_kind.name,
			"all phones would have the same one; {n} makes them differ");
	source = (struct source){&auth_kind, auth && *auth ? auth : "{user}", &set->user, error};
	if ((rc = compile(&set->auth, &source, set->phones)))
		return rc;
	source = (struct source){&password_kind, password ? password : "", &set->user, error};
	set->has_credentials = *source.text != '\0';
	return compile(&set->password, &source, set->phones);
}

int identity_patterns(struct identity_set **out, const char *user, const char *auth,
	const char *password, uint32_t phones, struct identity_error *error)
{
	struct identity_set *set = calloc(1, sizeof(*set));
	if (!set)
		return out_of_memory(error);
	set->is_patterns = true;
	set->phones = phones;
	int rc = compile_set(set, user, auth, password, error);
	if (rc) {
		identity_free(set);
		return rc;
	}
	*out = set;
	return 0;
}

/* ---- patterns: writing and reading back ---- */

static size_t pattern_write(const struct pattern *pattern, uint32_t index, char *out)
{
	unsigned digits = identity_digits(index);
	for (unsigned i = 0; i < pattern->pieces; i++) {
		const struct piece *piece = &pattern->piece[i];
		unsigned length = piece->length;
		if (piece->is_number) {
			length = length < digits ? digits : length;
			write_number(out, length, index);
		} else {
			copy_text(out, pattern->literal + piece->at, length);
		}
		out += length;
	}
	return pattern->length[digits];
}

/* The phone whose text has this first number, whatever else there is. */
static bool pattern_guess(const struct pattern *pattern, uint32_t phones, const char *text,
	size_t length, uint32_t *index)
{
	unsigned digits = pattern->digits_of[length];
	if (digits == 0 || (!pattern->has_number && phones > 1))
		return false;
	unsigned width = pattern->number_width < digits ? digits : pattern->number_width;
	uint64_t value = 0;
	for (unsigned i = 0; pattern->has_number && i < width; i++) {
		unsigned digit = (unsigned char)text[pattern->number_at + i] - (unsigned)'0';
		value = value * 10 + digit;
		if (digit > 9 || value >= phones)
			return false;
	}
	*index = (uint32_t)value;
	return value < phones;
}

static bool pattern_find(const struct pattern *pattern, uint32_t phones, const char *text,
	size_t length, uint32_t *index)
{
	char expected[IDENTITY_TEXT_MAX];
	return pattern_guess(pattern, phones, text, length, index) &&
	       pattern_write(pattern, *index, expected) == length &&
	       memcmp(expected, text, length) == 0;
}

/* ---- rows ---- */

int identity_rows(struct identity_set **out)
{
	struct identity_set *set = calloc(1, sizeof(*set));
	if (!set)
		return -ENOMEM;
	*out = set;
	return 0;
}

static const char *row_auth(const struct row *row, size_t *length)
{
	*length = row->auth ? row->auth : row->user;
	return row->auth ? row->text + row->user : row->text;
}

/* The set's own address seeds the hash: a file cannot be written to make names collide. */
static uint32_t hash_of(const struct identity_set *set, const char *text, size_t length)
{
	return (uint32_t)XXH3_64bits_withSeed(text, length, (uintptr_t)set);
}

static bool names_find(const struct identity_set *set, const struct names *names, const char *text,
	size_t length, uint32_t *index)
{
	if (names->slots == 0)
		return false;
	uint32_t hash = hash_of(set, text, length);
	for (size_t at = hash;; at++) {
		const struct slot *slot = &names->slot[at & (names->slots - 1)];
		if (slot->row == 0)
			return false;
		if (slot->hash != hash)
			continue;
		const struct row *row = &set->row[slot->row - 1];
		size_t found_length = row->user;
		const char *found = row->text;
		if (names == &set->auths)
			found = row_auth(row, &found_length);
		if (found_length != length || memcmp(found, text, length) != 0)
			continue;
		*index = slot->row - 1;
		return true;
	}
}

static void names_insert(struct names *names, struct slot slot)
{
	size_t at = slot.hash & (names->slots - 1);
	while (names->slot[at].row)
		at = (at + 1) & (names->slots - 1);
	names->slot[at] = slot;
	names->used++;
}

/* Room for one more name. */
static bool names_reserve(struct names *names)
{
	if ((names->used + 1) * 4 <= names->slots * 3)
		return true;
	struct names grown = {.slots = names->slots ? names->slots * 2 : SLOTS_FIRST};
	grown.slot = calloc(grown.slots, sizeof(*grown.slot));
	if (!grown.slot)
		return false;
	for (size_t i = 0; i < names->slots; i++) {
		if (names->slot[i].row)
			names_insert(&grown, names->slot[i]);
	}
	free(names->slot);
	*names = grown;
	return true;
}

static bool rows_reserve(struct identity_set *set)
{
	if (set->phones < set->rows_room)
		return true;
	size_t room = set->rows_room ? set->rows_room * 2 : ROWS_FIRST;
	struct row *grown = realloc(set->row, room * sizeof(*grown));
	if (!grown)
		return false;
	set->row = grown;
	set->rows_room = room;
	return true;
}

static bool text_reserve(struct identity_set *set, size_t length)
{
	if (set->chunks && set->chunks->used + length <= CHUNK_BYTES)
		return true;
	struct chunk *chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return false;
	chunk->next = set->chunks;
	chunk->used = 0;
	set->chunks = chunk;
	return true;
}

/* Length of one text of a row; -EINVAL when it is too long or holds what it must not. */
static int check_text(const char *text, const struct kind *kind, struct identity_error *error)
{
	size_t length = text ? strnlen(text, IDENTITY_TEXT_MAX + 1) : 0;
	if (length > IDENTITY_TEXT_MAX)
		return fail(error, -EINVAL, 0, kind->name, "it is longer than 64 bytes");
	for (size_t i = 0; i < length; i++) {
		if (!kind->allows((unsigned char)text[i]))
			return fail(error, -EINVAL, i + 1, kind->name, kind->forbidden);
	}
	return (int)length;
}

static int nibble_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Raw bytes of an HA1; -EINVAL when it is not 32 or 64 hex digits. */
static int read_ha1(const char *text, uint8_t out[32], struct identity_error *error)
{
	size_t length = text ? strnlen(text, 65) : 0;
	if (length != 0 && length != 32 && length != 64)
		return fail(error, -EINVAL, 0, "HA1: ", "it is not 32 or 64 hex digits");
	for (size_t i = 0; i < length; i += 2) {
		int high = nibble_of(text[i]), low = nibble_of(text[i + 1]);
		if (high < 0 || low < 0)
			return fail(error, -EINVAL, high < 0 ? i + 1 : i + 2,
				"HA1: ", "this is not a hex digit");
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return (int)(length / 2);
}

/* A row that was checked, its texts still where the caller has them. */
struct candidate {
	const char *user, *auth, *password;
	size_t user_length, auth_length, password_length, ha1_length;
	uint8_t ha1[32];
};

static int check_row(struct candidate *c, const char *ha1, struct identity_error *error)
{
	int user = check_text(c->user, &user_kind, error);
	int auth = user < 0 ? user : check_text(c->auth, &auth_kind, error);
	int password = auth < 0 ? auth : check_text(c->password, &password_kind, error);
	int raw = password < 0 ? password : read_ha1(ha1, c->ha1, error);
	if (raw < 0)
		return raw;
	if (user == 0)
		return fail(error, -EINVAL, 0, user_kind.name, "it is empty");
	if (password && raw)
		return fail(error, -EINVAL, 0, "", "both a password and an HA1 are given");
	c->user_length = (size_t)user;
	c->auth_length = (size_t)auth;
	if (user == auth && memcmp(c->user, c->auth, c->user_length) == 0)
		c->auth_length = 0;
	c->password_length = (size_t)password;
	c->ha1_length = (size_t)raw;
	return 0;
}

static char *append_text(char *at, const void *text, size_t length)
{
	if (length)
		memcpy(at, text, length);
	return at + length;
}

/* Room was reserved: nothing fails from here on. */
static void append_row(struct identity_set *set, const struct candidate *c)
{
	char *text = set->chunks->bytes + set->chunks->used;
	char *end = append_text(text, c->user, c->user_length);
	end = append_text(end, c->auth, c->auth_length);
	end = append_text(end, c->password, c->password_length);
	end = append_text(end, c->ha1, c->ha1_length);
	set->chunks->used += (size_t)(end - text);
	set->row[set->phones] = (struct row){
		.text = text,
		.user = (uint8_t)c->user_length,
		.auth = (uint8_t)c->auth_length,
		.password = (uint8_t)c->password_length,
		.ha1 = (uint8_t)c->ha1_length,
	};
	uint32_t first;
	struct slot slot = {hash_of(set, c->user, c->user_length), set->phones + 1};
	names_insert(&set->users, slot);
	if (c->auth_length && !names_find(set, &set->auths, c->auth, c->auth_length, &first)) {
		slot.hash = hash_of(set, c->auth, c->auth_length);
		names_insert(&set->auths, slot);
	}
	set->has_credentials |= c->password_length || c->ha1_length;
	set->phones++;
}

static int add_row(struct identity_set *set, struct candidate *c, const char *ha1,
	struct identity_error *error)
{
	int rc = check_row(c, ha1, error);
	if (rc)
		return rc;
	uint32_t first;
	if (names_find(set, &set->users, c->user, c->user_length, &first))
		return fail(error, -EEXIST, 0, user_kind.name, "an earlier row has the same one");
	size_t bytes = c->user_length + c->auth_length + c->password_length + c->ha1_length;
	if (set->phones == ROWS_MAX || !rows_reserve(set) || !names_reserve(&set->users) ||
		!names_reserve(&set->auths) || !text_reserve(set, bytes))
		return out_of_memory(error);
	append_row(set, c);
	return 0;
}

int identity_add(struct identity_set *set, const char *user, const char *auth, const char *password,
	const char *ha1, struct identity_error *error)
{
	struct candidate candidate = {.user = user, .auth = auth, .password = password};
	if (set->is_patterns)
		return fail(error, -EINVAL, 0, "", "patterns take no rows");
	int rc = add_row(set, &candidate, ha1, error);
	explicit_bzero(candidate.ha1, sizeof(candidate.ha1));
	return rc;
}

void identity_free(struct identity_set *set)
{
	if (!set)
		return;
	for (struct chunk *chunk = set->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		explicit_bzero(chunk, sizeof(*chunk));
		free(chunk);
	}
	free(set->users.slot);
	free(set->auths.slot);
	free(set->row);
	free(set->part);
	free(set->part_end);
	explicit_bzero(set, sizeof(*set));
	free(set);
}

/* ---- joined sets ---- */

void identity_begin(struct identity_set *set, uint32_t index)
{
	set->begin = index;
}

int identity_join(struct identity_set **out, struct identity_set *const parts[],
	const uint32_t phones[], uint32_t count)
{
	struct identity_set *set = calloc(1, sizeof(*set));
	if (!set)
		return -ENOMEM;
	set->part = calloc(count, sizeof(*set->part));
	set->part_end = calloc(count, sizeof(*set->part_end));
	if (!set->part || !set->part_end) {
		identity_free(set);
		return -ENOMEM;
	}
	uint32_t end = 0;
	for (uint32_t i = 0; i < count; i++) {
		identity_begin(parts[i], end);
		end += phones[i];
		set->part[i] = parts[i];
		set->part_end[i] = end;
		set->has_credentials |= parts[i]->has_credentials;
	}
	set->parts = count;
	*out = set;
	return 0;
}

/* The part that this phone is of; NULL: these are no joined sets, or they have no such phone. */
static const struct identity_set *part_of(const struct identity_set *set, uint32_t index)
{
	uint32_t low = 0, high = set->parts;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (set->part_end[middle] <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->parts ? set->part[low] : NULL;
}

/* ---- questions ---- */

uint32_t identity_count(const struct identity_set *set)
{
	if (set->parts)
		return set->part_end[set->parts - 1];
	return set->is_patterns ? UINT32_MAX : set->phones;
}

bool identity_has_credentials(const struct identity_set *set)
{
	return set->has_credentials;
}

size_t identity_user(const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX])
{
	const uint32_t n = index - set->begin;
	if (n >= set->phones) {
		set = part_of(set, index);
		return set ? identity_user(set, index, out) : 0;
	}
	if (set->is_patterns)
		return pattern_write(&set->user, n, out);
	const struct row *row = &set->row[n];
	copy_text(out, row->text, row->user);
	return row->user;
}

size_t identity_user_length(const struct identity_set *set, uint32_t index)
{
	const uint32_t n = index - set->begin;
	if (n >= set->phones) {
		set = part_of(set, index);
		return set ? identity_user_length(set, index) : 0;
	}
	return set->is_patterns ? set->user.length[identity_digits(n)] : set->row[n].user;
}

/* Where the digit of this weight (0: ones) stands among the sixteen characters. */
static uint8_t digit_place(unsigned weight)
{
	return (uint8_t)(weight < 8 ? 7 - weight : 17 - weight);
}

static void shape_number(struct identity_shape *shape, unsigned *at, unsigned width)
{
	for (unsigned weight = width; weight-- > 0; ++*at) {
		if (weight < DIGITS_MAX)
			shape->pick[*at] = digit_place(weight);
		else
			shape->text[*at] = '0';
	}
}

static void shape_make(const struct pattern *pattern, unsigned digits, struct identity_shape *shape)
{
	unsigned at = 0;
	memset(shape->text, 0, sizeof(shape->text));
	memset(shape->pick, IDENTITY_NO_DIGIT, sizeof(shape->pick));
	for (unsigned i = 0; i < pattern->pieces; i++) {
		const struct piece *piece = &pattern->piece[i];
		if (piece->is_number) {
			shape_number(shape, &at, piece->length < digits ? digits : piece->length);
			continue;
		}
		memcpy(shape->text + at, pattern->literal + piece->at, piece->length);
		at += piece->length;
	}
	shape->length = (uint8_t)at;
}

bool identity_user_shapes(const struct identity_set *set,
	struct identity_shape shape[IDENTITY_SHAPES], uint32_t *begin)
{
	if (!set->is_patterns)
		return false;
	memset(shape, 0, IDENTITY_SHAPES * sizeof(*shape));
	for (unsigned digits = 1; digits <= DIGITS_MAX; digits++) {
		/* More digits than the last phone has do not occur. */
		if (digits > identity_digits(set->phones ? set->phones - 1 : 0))
			break;
		if (set->user.length[digits] > IDENTITY_SHAPE_MAX)
			return false;
		shape_make(&set->user, digits, &shape[digits]);
	}
	*begin = set->begin;
	return true;
}

size_t identity_auth(const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX])
{
	const uint32_t n = index - set->begin;
	if (n >= set->phones) {
		set = part_of(set, index);
		return set ? identity_auth(set, index, out) : 0;
	}
	if (set->is_patterns)
		return pattern_write(&set->auth, n, out);
	size_t length;
	const char *text = row_auth(&set->row[n], &length);
	copy_text(out, text, length);
	return length;
}

size_t identity_password(
	const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX])
{
	const uint32_t n = index - set->begin;
	if (n >= set->phones) {
		set = part_of(set, index);
		return set ? identity_password(set, index, out) : 0;
	}
	if (set->is_patterns)
		return pattern_write(&set->password, n, out);
	const struct row *row = &set->row[n];
	copy_text(out, row->text + row->user + row->auth, row->password);
	return row->password;
}

size_t identity_ha1(const struct identity_set *set, uint32_t index, uint8_t out[32])
{
	const uint32_t n = index - set->begin;
	if (n >= set->phones) {
		set = part_of(set, index);
		return set ? identity_ha1(set, index, out) : 0;
	}
	if (set->is_patterns)
		return 0;
	const struct row *row = &set->row[n];
	memcpy(out, row->text + row->user + row->auth + row->password, row->ha1);
	return row->ha1;
}

bool identity_find_user(
	const struct identity_set *set, const char *user, size_t length, uint32_t *index)
{
	bool found = false;
	if (length == 0 || length > IDENTITY_TEXT_MAX)
		return false;
	for (uint32_t i = 0; i < set->parts; i++)
		if (identity_find_user(set->part[i], user, length, index))
			return true;
	if (set->is_patterns)
		found = pattern_find(&set->user, set->phones, user, length, index) ||
			pattern_find(&set->auth, set->phones, user, length, index);
	else
		found = names_find(set, &set->users, user, length, index) ||
			names_find(set, &set->auths, user, length, index);
	if (found)
		*index += set->begin;
	return found;
}

bool identity_guess_user(
	const struct identity_set *set, const char *user, size_t length, uint32_t *index)
{
	if (!set->is_patterns || length == 0 || length > IDENTITY_TEXT_MAX ||
		!pattern_guess(&set->user, set->phones, user, length, index))
		return false;
	*index += set->begin;
	return true;
}
