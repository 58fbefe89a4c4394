/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who a phone is: user, authentication name and password (or HA1) by index.
 *
 * Either patterns ("2{n:06}", "pw-{user}": {n} decimal index, {n:0W} padded with zeros to width W,
 * {user} the user of the same phone, "{{" and "}}" literal braces) or rows that were read from a
 * file. Set up once in the control thread, read-only afterwards and shared by all workers.
 */
#ifndef SIPHERD_IDENTITY_H
#define SIPHERD_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_TEXT_MAX 64 /* longest user, auth name or password, in bytes, without NUL */

#define IDENTITY_DIGITS 10 /* of a 32-bit index, at most */

struct identity_set;

/* Decimal digits of an index. */
static inline unsigned identity_digits(uint32_t n)
{
	static const uint32_t power[IDENTITY_DIGITS] = {
		1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
	/* 1233 / 4096 is log10(2), close enough to be at most one too low for 32 bits. 0 has the
	 * digits of 1. */
	unsigned bits = 32 - (unsigned)__builtin_clz(n | 1);
	unsigned least = bits * 1233 >> 12;
	return least + ((n | 1) >= power[least]);
}

/* A place and a reason for the message at the edge, filled when a function below fails. */
struct identity_error {
	size_t column; /* 1-based position in the pattern, 0 when it is not about one place */
	char reason[160];
};

/*
 * Patterns. auth NULL or empty: same as user. password NULL or empty: no credentials. -EINVAL with
 * error filled: bad pattern, a text that is too long for `phones`, a user that contains characters
 * not allowed unescaped in the user part of a SIP URI or is not different for each phone (no {n},
 * and more than one phone), an auth name that could not stand in a quoted string as it is (anything
 * but printable ASCII, the quote and the backslash). error may be NULL; it never quotes the texts,
 * which may hold secrets.
 */
int identity_patterns(struct identity_set **out, const char *user, const char *auth,
	const char *password, uint32_t phones, struct identity_error *error);

/* Rows. identity_rows makes an empty set, identity_add appends one; text is copied. Exactly one of
 * password and ha1 (32 or 64 hex digits) may be given, or none; NULL or empty is not given.
 * -EINVAL, -ENOMEM, -EEXIST (user); the set is then as it was. */
int identity_rows(struct identity_set **out);
int identity_add(struct identity_set *set, const char *user, const char *auth, const char *password,
	const char *ha1, struct identity_error *error);

/* From now on this set's first phone has this index; 0 at first. */
void identity_begin(struct identity_set *set, uint32_t index);

/* Sets of phones that follow one another, as one set: part i begins where part i - 1 ends, each with so
 * many phones. The parts stay their owner's and must outlive it. -ENOMEM. */
int identity_join(struct identity_set **out, struct identity_set *const parts[],
	const uint32_t phones[], uint32_t count);

/* Passwords and HA1 are wiped first. NULL is allowed. */
void identity_free(struct identity_set *set);

/* How many phones there are rows for, or sets were joined for; UINT32_MAX for patterns. */
uint32_t identity_count(const struct identity_set *set);

/* True when any phone has credentials. */
bool identity_has_credentials(const struct identity_set *set);

/* Text of phone `index`, no NUL; returns its length and writes no byte beyond it; 0 when there is no
 * such phone. The hot path calls identity_user. */
size_t identity_user(const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX]);
size_t identity_user_length(const struct identity_set *set, uint32_t index);

/*
 * How the user of every index with so many digits is put together: its fixed text with zeros where
 * digits belong, and for each byte which of the sixteen characters of identity_digits goes there,
 * IDENTITY_NO_DIGIT: none. What a vector unit does in one shuffle. Both are zero from `length` on.
 */
#define IDENTITY_SHAPES \
	(IDENTITY_DIGITS + 1) /* by the digits of the index; the first stays empty */
#define IDENTITY_SHAPE_MAX 32
#define IDENTITY_NO_DIGIT 0x80
struct identity_shape {
	uint8_t text[IDENTITY_SHAPE_MAX], pick[IDENTITY_SHAPE_MAX];
	uint8_t length;
};

/* The digits are those of the index less `begin`: the eight low ones in bytes 0-7, the two above them in
 * bytes 8-9. False: rows, joined sets, or a user longer than IDENTITY_SHAPE_MAX. */
bool identity_user_shapes(const struct identity_set *set,
	struct identity_shape shape[IDENTITY_SHAPES], uint32_t *begin);
size_t identity_auth(const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX]);
/* 0 when there is no password. */
size_t identity_password(
	const struct identity_set *set, uint32_t index, char out[IDENTITY_TEXT_MAX]);
/* Raw HA1 of a row that has one: 16 (MD5) or 32 (SHA-256) bytes; 0 when there is none. */
size_t identity_ha1(const struct identity_set *set, uint32_t index, uint8_t out[32]);

/* The phone with this user or auth name; false when there is none. What the built-in registrar asks.
 * A user goes before an equal auth name of another phone. Of rows that share an auth name the first
 * is meant; an auth pattern without {n} that several phones share finds none. Of joined sets the first
 * that knows it. */
bool identity_find_user(
	const struct identity_set *set, const char *user, size_t length, uint32_t *index);
/* The only phone that may have this user, where that is quickly told: of patterns. To fetch its memory ahead. */
bool identity_guess_user(
	const struct identity_set *set, const char *user, size_t length, uint32_t *index);

#endif
