/* SPDX-License-Identifier: BSD-3-Clause */
/* Identity: texts by index and the index by text, for patterns and rows; nothing secret is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>

/* The room is compiled into this test with its own allocator, which can fail on demand and looks at
 * every block that is given back: the marker below may not be in it. */
#define SECRET "Very-Secret-Marker"

static unsigned allocations_until_failure; /* 0: never */
static unsigned blocks_freed, blocks_with_secret;

static bool allocation_fails(void)
{
	return allocations_until_failure && --allocations_until_failure == 0;
}

static void *test_alloc_malloc(size_t size)
{
	return allocation_fails() ? NULL : malloc(size);
}

static void *test_alloc_calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : calloc(count, size);
}

static void look_at(void *block)
{
	static const uint8_t ha1[8] = {0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed, 0xfa, 0xce};
	if (!block)
		return;
	size_t size = malloc_usable_size(block);
	blocks_freed++;
	blocks_with_secret += memmem(block, size, SECRET, strlen(SECRET)) != NULL;
	blocks_with_secret += memmem(block, size, ha1, sizeof(ha1)) != NULL;
}

static void *test_alloc_realloc(void *block, size_t size)
{
	if (allocation_fails())
		return NULL;
	look_at(block);
	return realloc(block, size);
}

static void test_alloc_free(void *block)
{
	look_at(block);
	free(block);
}

#define malloc test_alloc_malloc
#define calloc test_alloc_calloc
#define realloc test_alloc_realloc
#define free test_alloc_free
#include "../../engine/identity.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

/* After the room, because cmocka takes the word `fail` for itself. */
#include <cmocka.h>

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	random_state += 0x9e3779b97f4a7c15;
	uint64_t x = random_state;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	return (x ^ x >> 32) % n;
}

/* Print what a failure needs to be repeated, then fail. */
#define CHECK(condition, ...)                     \
	do {                                      \
		if (!(condition)) {               \
			print_error(__VA_ARGS__); \
			assert_true(condition);   \
		}                                 \
	} while (0)

static struct identity_set *patterns(
	const char *user, const char *auth, const char *password, uint32_t phones)
{
	struct identity_set *set = NULL;
	struct identity_error error = {0};
	int rc = identity_patterns(&set, user, auth, password, phones, &error);
	CHECK(rc == 0, "'%s': %s (column %zu)\n", user, error.reason, error.column);
	return set;
}

typedef size_t text_of(const struct identity_set *set, uint32_t index, char *out);

/* The text is the expected one, and not a byte beyond it was written. */
static void expect(text_of *get, const struct identity_set *set, uint32_t index, const char *text)
{
	char out[IDENTITY_TEXT_MAX + 8];
	memset(out, '#', sizeof(out));
	size_t length = get(set, index, out);
	CHECK(length == strlen(text) && memcmp(out, text, length) == 0,
		"index %u: '%.*s' is not '%s'\n", index, (int)length, out, text);
	for (size_t i = length; i < sizeof(out); i++)
		assert_int_equal(out[i], '#');
}

static bool finds(const struct identity_set *set, const char *text, uint32_t expected)
{
	uint32_t index = ~expected;
	return identity_find_user(set, text, strlen(text), &index) && index == expected;
}

static bool misses(const struct identity_set *set, const char *text)
{
	uint32_t index;
	return !identity_find_user(set, text, strlen(text), &index);
}

/* ---- patterns ---- */

static void patterns_write_their_texts(void **state)
{
	(void)state;
	struct identity_set *set = patterns("2{n:06}", NULL, "pw-{user}", 10000000);
	expect(identity_user, set, 0, "2000000");
	expect(identity_user, set, 999999, "2999999");
	expect(identity_user, set, 1000000, "21000000");
	expect(identity_user, set, 9999999, "29999999");
	expect(identity_user, set, 10000000, "");
	expect(identity_auth, set, 42, "2000042");
	expect(identity_password, set, 42, "pw-2000042");
	assert_int_equal(identity_user_length(set, 42), 7);
	assert_int_equal(identity_user_length(set, 1000000), 8);
	assert_int_equal(identity_user_length(set, 10000000), 0);
	assert_int_equal(identity_count(set), UINT32_MAX);
	assert_true(identity_has_credentials(set));
	uint8_t ha1[32];
	assert_int_equal(identity_ha1(set, 42, ha1), 0);
	identity_free(set);

	set = patterns("{n}-x{n:03}-{n}", "{{{user}}}@{n}{user}", "{{}}{n:010}\xff{user}", 1001);
	expect(identity_user, set, 0, "0-x000-0");
	expect(identity_user, set, 1000, "1000-x1000-1000");
	expect(identity_auth, set, 7, "{7-x007-7}@77-x007-7");
	expect(identity_password, set, 7,
		"{}0000000007\xff"
		"7-x007-7");
	identity_free(set);

	set = patterns("alice", "", "", 1);
	expect(identity_user, set, 0, "alice");
	expect(identity_auth, set, 0, "alice");
	expect(identity_password, set, 0, "");
	assert_false(identity_has_credentials(set));
	identity_free(set);
}

static void patterns_find_their_phones(void **state)
{
	(void)state;
	struct identity_set *set = patterns("2{n:06}", NULL, NULL, 1500000);
	assert_true(finds(set, "2000000", 0));
	assert_true(finds(set, "2999999", 999999));
	assert_true(finds(set, "21499999", 1499999));
	static const char *const none[] = {"", "2", "20", "200000", "20000000", "21500000",
		"29999999", "3000000", "200000a", "2 00000", "2-00001", "2+00001", "12000000",
		"2000000 ", " 2000000", "24294967296", "2018446744073709551616",
		"2000000000000000000000000000000000000000000000000000000000000000"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(misses(set, none[i]), "'%s'\n", none[i]);
	uint32_t index;
	assert_false(identity_find_user(set, "2000000", 6, &index));
	assert_false(identity_find_user(set, "20000001", 8, &index));
	assert_true(identity_find_user(set, "20000001", 7, &index));
	static char longest[70000];
	memset(longest, '2', sizeof(longest));
	assert_false(identity_find_user(set, longest, sizeof(longest), &index));
	assert_false(identity_find_user(set, longest, 65, &index));
	identity_free(set);

	set = patterns("{n}", "a{n:02}", NULL, UINT32_MAX);
	assert_true(finds(set, "0", 0));
	assert_true(misses(set, "00"));
	assert_true(finds(set, "4294967294", UINT32_MAX - 1));
	assert_true(misses(set, "4294967295"));
	assert_true(misses(set, "9999999999"));
	assert_true(finds(set, "a07", 7));
	assert_true(misses(set, "a7"));
	identity_free(set);

	set = patterns("{n}x{n}", NULL, NULL, 1000);
	assert_true(finds(set, "12x12", 12));
	assert_true(misses(set, "12x13"));
	assert_true(misses(set, "1x1x1"));
	identity_free(set);
}

/* What shapes say of a user, put together, is the user. */
static void shapes_are_the_users(void **state)
{
	(void)state;
	static const char *const pattern[] = {
		"2{n:07}", "{n}", "a{n:012}-{n:03}z", "{n}{n}{n}", "alice"};
	for (size_t p = 0; p < sizeof(pattern) / sizeof(pattern[0]); p++) {
		const uint32_t phones = p == 4 ? 1 : UINT32_MAX;
		struct identity_set *set = NULL;
		struct identity_shape shape[IDENTITY_SHAPES];
		uint32_t begin;
		assert_int_equal(identity_patterns(&set, pattern[p], NULL, NULL, phones, NULL), 0);
		assert_true(identity_user_shapes(set, shape, &begin));
		for (uint64_t i = 0; i < phones; i += 1 + i * 7 / 61) {
			char user[IDENTITY_TEXT_MAX], text[IDENTITY_SHAPE_MAX], digits[17];
			const struct identity_shape *s = &shape[identity_digits((uint32_t)i)];
			snprintf(digits, sizeof(digits), "%08u%02u", (unsigned)(i % 100000000),
				(unsigned)(i / 100000000));
			for (unsigned at = 0; at < IDENTITY_SHAPE_MAX; at++)
				text[at] = (char)(s->pick[at] == IDENTITY_NO_DIGIT
							  ? s->text[at]
							  : digits[s->pick[at]]);
			assert_int_equal(identity_user(set, (uint32_t)i, user), s->length);
			assert_memory_equal(text, user, s->length);
			for (unsigned at = s->length; at < IDENTITY_SHAPE_MAX; at++)
				assert_int_equal(text[at], 0);
		}
		identity_free(set);
	}
	struct identity_set *set = NULL;
	struct identity_shape shape[IDENTITY_SHAPES];
	uint32_t begin;
	assert_int_equal(identity_patterns(&set, "a-user-of-thirty-three-letters-{n:02}", NULL,
				 NULL, 9, NULL),
		0);
	assert_false(identity_user_shapes(set, shape, &begin));
	identity_free(set);
}

static void one_phone_needs_no_number(void **state)
{
	(void)state;
	struct identity_set *set = patterns("alice", "al", NULL, 1);
	assert_true(finds(set, "alice", 0));
	assert_true(finds(set, "al", 0));
	assert_true(misses(set, "alic"));
	assert_true(misses(set, "alicf"));
	identity_free(set);

	/* An account that all phones share names none of them. */
	set = patterns("p{n}", "trunk", NULL, 5);
	assert_true(misses(set, "trunk"));
	assert_true(finds(set, "p4", 4));
	expect(identity_auth, set, 4, "trunk");
	identity_free(set);

	set = patterns("p{n}", NULL, NULL, 0);
	assert_true(misses(set, "p0"));
	expect(identity_user, set, 0, "");
	identity_free(set);
}

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *user, *auth, *password;
	uint32_t phones;
	size_t column;
	const char *reason; /* a part of it */
} bad_patterns[] = {
	{"", NULL, NULL, 1, 0, "user: it is empty"},
	{"alice", NULL, NULL, 2, 0, "{n} makes them differ"},
	{"2{", NULL, NULL, 1, 2, "never closed"},
	{"2{n", NULL, NULL, 1, 2, "never closed"},
	{"2}", NULL, NULL, 1, 2, "without '{'"},
	{"{n}}", NULL, NULL, 1, 4, "without '{'"},
	{"2{}", NULL, NULL, 1, 2, "unknown placeholder"},
	{"2{m}", NULL, NULL, 1, 2, "unknown placeholder"},
	{"2{N}", NULL, NULL, 1, 2, "unknown placeholder"},
	{"2{ n}", NULL, NULL, 1, 2, "unknown placeholder"},
	{"2{n:6}", NULL, NULL, 1, 5, "a width is written"},
	{"2{n:}", NULL, NULL, 1, 5, "a width is written"},
	{"2{n:", NULL, NULL, 1, 5, "a width is written"},
	{"2{n:0}", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:00}", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:006}", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:0x}", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:06x}", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:06", NULL, NULL, 1, 6, "a width is written"},
	{"2{n:065}", NULL, NULL, 1, 6, "larger than 64"},
	{"2{n:04294967297}", NULL, NULL, 1, 6, "larger than 64"},
	{"2{n:064}", NULL, NULL, 1, 0, "user: the text is longer than 64"},
	{"{user}", NULL, NULL, 1, 1, "in the user itself"},
	{"{{n}}", NULL, NULL, 1, 1, "not allowed in the user part"},
	{"a@b{n}", NULL, NULL, 1, 2, "not allowed in the user part"},
	{"a b", NULL, NULL, 1, 2, "not allowed in the user part"},
	{"a%41", NULL, NULL, 1, 2, "not allowed in the user part"},
	{"{n}\r\n", NULL, NULL, 1, 4, "not allowed in the user part"},
	{"{n}<", NULL, NULL, 1, 4, "not allowed in the user part"},
	{"{n}\"", NULL, NULL, 1, 4, "not allowed in the user part"},
	{"{n}:x", NULL, NULL, 1, 4, "not allowed in the user part"},
	{"{n}#", NULL, NULL, 1, 4, "not allowed in the user part"},
	{"\xc3\xa9{n}", NULL, NULL, 1, 1, "not allowed in the user part"},
	{"{n}\x7f", NULL, NULL, 1, 4, "not allowed in the user part"},
	{SIXTY "{n}", NULL, NULL, 10001, 0, "user: the text is longer than 64"},
	{SIXTY "12345", NULL, NULL, 1, 0, "user: the text is longer than 64"},
	{"{n:033}{n:033}", NULL, NULL, 1, 0, "user: the text is longer than 64"},
	{"{n}", "{x}", NULL, 1, 1, "auth name: unknown placeholder"},
	{"{n}", "a\"b", NULL, 1, 2, "auth name: only printable"},
	{"{n}", "a\\b", NULL, 1, 2, "auth name: only printable"},
	{"{n}", "a\nb", NULL, 1, 2, "auth name: only printable"},
	{"{n}", "\xc3\xa9", NULL, 1, 1, "auth name: only printable"},
	{SIXTY "{n}", "x{user}{n}", NULL, 1000, 0, "auth name: the text is longer than 64"},
	{"{n}", NULL, "{pass}", 1, 1, "password: unknown placeholder"},
	{"{n}", NULL, "x{n:09", 1, 6, "password: a width is written"},
	{SIXTY "{n}", NULL, "pw-{user}", 100, 0, "password: the text is longer than 64"},
	{SIXTY "{n}", NULL, "{user}{user}", 1, 0, "password: the text is longer than 64"},
};

static void bad_patterns_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_patterns) / sizeof(bad_patterns[0]); i++) {
		struct identity_set *set = NULL;
		struct identity_error error = {.column = 99};
		int rc = identity_patterns(&set, bad_patterns[i].user, bad_patterns[i].auth,
			bad_patterns[i].password, bad_patterns[i].phones, &error);
		CHECK(rc == -EINVAL, "case %zu: '%s' gave %d\n", i, bad_patterns[i].user, rc);
		assert_null(set);
		CHECK(strstr(error.reason, bad_patterns[i].reason), "case %zu: %s\n", i,
			error.reason);
		CHECK(error.column == bad_patterns[i].column, "case %zu: column %zu\n", i,
			error.column);
		assert_int_equal(identity_patterns(&set, bad_patterns[i].user, bad_patterns[i].auth,
					 bad_patterns[i].password, bad_patterns[i].phones, NULL),
			-EINVAL);
	}
}

static void reasons_quote_no_secret(void **state)
{
	(void)state;
	static const char *const secret[] = {
		SECRET "}", "{" SECRET "}", "{" SECRET, SECRET "{n:0x}", SECRET SIXTY};
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		struct identity_set *set = NULL;
		struct identity_error error = {0};
		assert_int_equal(
			identity_patterns(&set, "{n}", NULL, secret[i], 9, &error), -EINVAL);
		CHECK(!strstr(error.reason, SECRET), "%s\n", error.reason);
	}
}

static void the_longest_texts_fit(void **state)
{
	(void)state;
	struct identity_set *set = patterns(SIXTY "{n}", "{n:064}", SIXTY "1234", 10000);
	expect(identity_user, set, 9999, SIXTY "9999");
	expect(identity_auth, set, 9999,
		"000000000000000000000000000000000000000000000000000000000000"
		"9999");
	expect(identity_password, set, 9999, SIXTY "1234");
	assert_true(finds(set, SIXTY "9999", 9999));
	assert_true(finds(set,
		"000000000000000000000000000000000000000000000000000000000000"
		"9999",
		9999));
	identity_free(set);
	/* As many pieces as there can be. */
	char user[64 * 3 + 1] = "", expected[65] = "";
	for (unsigned i = 0; i < 64; i++) {
		strcat(user, "{n}");
		strcat(expected, "7");
	}
	set = patterns(user, NULL, NULL, 10);
	expect(identity_user, set, 7, expected);
	assert_true(finds(set, expected, 7));
	identity_free(set);
}

/* A random pattern and, beside it, the printf format that must write the same. */
static unsigned make_pattern(char *pattern, char *format)
{
	static const char letters[] = "abcXYZ0189-_.!~*'()&=+$,;?/";
	unsigned numbers = 0;
	*pattern = *format = '\0';
	for (unsigned pieces = 1 + (unsigned)random_below(5); pieces > 0; pieces--) {
		char piece[24];
		if (random_below(2) || (pieces == 1 && numbers == 0)) {
			unsigned width = (unsigned)random_below(12);
			snprintf(piece, sizeof(piece), width ? "{n:0%u}" : "{n}", width);
			strcat(pattern, piece);
			snprintf(piece, sizeof(piece), "%%1$0%uu", width ? width : 1);
			strcat(format, piece);
			numbers++;
			continue;
		}
		for (unsigned count = 1 + (unsigned)random_below(6); count > 0; count--) {
			char letter[2] = {letters[random_below(sizeof(letters) - 1)], '\0'};
			strcat(pattern, letter);
			strcat(format, letter);
		}
	}
	return numbers;
}

/* The format is one that make_pattern wrote. */
__attribute__((format(printf, 3, 0))) static int print_number(
	char *out, size_t size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(out, size, format, arguments);
	va_end(arguments);
	return length;
}

static void check_index(
	const struct identity_set *set, uint64_t seed, const char *format, uint32_t index)
{
	char expected[256];
	print_number(expected, sizeof(expected), format, index);
	expect(identity_user, set, index, expected);
	CHECK(identity_user_length(set, index) == strlen(expected),
		"seed %" PRIu64 " %s index %u\n", seed, format, index);
	CHECK(finds(set, expected, index), "seed %" PRIu64 " %s index %u\n", seed, format, index);
	uint32_t guessed = ~index;
	CHECK(identity_guess_user(set, expected, strlen(expected), &guessed) && guessed == index,
		"seed %" PRIu64 " %s index %u guessed %u\n", seed, format, index, guessed);
	/* Whatever is found for a damaged text is the phone whose text that is. */
	size_t length = strlen(expected);
	expected[random_below(length)] = (char)('0' + random_below(10));
	length -= random_below(8) == 0;
	uint32_t found;
	if (!identity_find_user(set, expected, length, &found))
		return;
	CHECK(identity_guess_user(set, expected, length, &guessed) && guessed == found,
		"seed %" PRIu64 " %s: %u is not guessed\n", seed, format, found);
	expected[length] = '\0';
	expect(identity_user, set, found, expected);
}

static void random_patterns_go_round(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		char pattern[256], format[256], longest[256];
		random_state = seed;
		make_pattern(pattern, format);
		uint32_t phones = (uint32_t)(1 + random_below(UINT32_MAX >> random_below(32)));
		struct identity_set *set = NULL;
		int length = print_number(longest, sizeof(longest), format, phones - 1);
		int rc = identity_patterns(&set, pattern, NULL, NULL, phones, NULL);
		CHECK(rc == (length > IDENTITY_TEXT_MAX ? -EINVAL : 0),
			"seed %" PRIu64 " %s %u phones\n", seed, pattern, phones);
		if (rc)
			continue;
		check_index(set, seed, format, 0);
		check_index(set, seed, format, phones - 1);
		for (unsigned i = 0; i < 40; i++)
			check_index(set, seed, format,
				(uint32_t)random_below(1 + ((phones - 1) >> random_below(32))));
		for (uint32_t power = 1; power < phones && power < 1000000000; power *= 10) {
			check_index(set, seed, format, power - 1);
			check_index(set, seed, format, power);
		}
		identity_free(set);
	}
}

/* ---- rows ---- */

static const char md5_text[] = "deadbeeffeedface00112233445566FF";
static const char sha256_text[] =
	"DEADBEEFFEEDFACE00112233445566ff00000000000000000000000000000001";

static struct identity_set *rows(void)
{
	struct identity_set *set = NULL;
	assert_int_equal(identity_rows(&set), 0);
	return set;
}

static void rows_keep_their_texts(void **state)
{
	(void)state;
	struct identity_set *set = rows();
	assert_int_equal(identity_count(set), 0);
	assert_true(misses(set, "bob"));
	assert_int_equal(identity_add(set, "bob", NULL, NULL, NULL, NULL), 0);
	assert_false(identity_has_credentials(set));
	assert_int_equal(identity_add(set, "carol", "auth.carol", SECRET "\"\xff", "", NULL), 0);
	assert_true(identity_has_credentials(set));
	assert_int_equal(identity_add(set, "dave", "", NULL, md5_text, NULL), 0);
	assert_int_equal(identity_add(set, "erin", "erin", "", sha256_text, NULL), 0);
	assert_int_equal(identity_count(set), 4);
	expect(identity_user, set, 0, "bob");
	expect(identity_auth, set, 0, "bob");
	expect(identity_password, set, 0, "");
	expect(identity_user, set, 1, "carol");
	expect(identity_auth, set, 1, "auth.carol");
	expect(identity_password, set, 1, SECRET "\"\xff");
	expect(identity_auth, set, 2, "dave");
	expect(identity_auth, set, 3, "erin");
	expect(identity_user, set, 4, "");
	assert_int_equal(identity_user_length(set, 1), 5);
	assert_int_equal(identity_user_length(set, 4), 0);
	uint8_t raw[32];
	assert_int_equal(identity_ha1(set, 1, raw), 0);
	assert_int_equal(identity_ha1(set, 4, raw), 0);
	assert_int_equal(identity_ha1(set, 2, raw), 16);
	static const uint8_t md5[16] = {0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed, 0xfa, 0xce, 0x00, 0x11,
		0x22, 0x33, 0x44, 0x55, 0x66, 0xff};
	assert_memory_equal(raw, md5, 16);
	assert_int_equal(identity_ha1(set, 3, raw), 32);
	assert_memory_equal(raw, md5, 16);
	assert_int_equal(raw[31], 1);
	assert_true(finds(set, "carol", 1));
	assert_true(finds(set, "auth.carol", 1));
	assert_true(finds(set, "erin", 3));
	assert_true(misses(set, "Carol"));
	assert_true(misses(set, "caro"));
	identity_free(set);
}

static void users_go_before_auth_names(void **state)
{
	(void)state;
	struct identity_set *set = rows();
	assert_int_equal(identity_add(set, "a", "shared", NULL, NULL, NULL), 0);
	assert_int_equal(identity_add(set, "b", "shared", NULL, NULL, NULL), 0);
	assert_int_equal(identity_add(set, "c", "d", NULL, NULL, NULL), 0);
	assert_int_equal(identity_add(set, "d", "a", NULL, NULL, NULL), 0);
	assert_true(finds(set, "shared", 0));
	/* A name that many rows share takes one slot, or looking it up would grow with the rows. */
	assert_int_equal(set->auths.used, 3);
	assert_true(finds(set, "d", 3));
	assert_true(finds(set, "a", 0));
	identity_free(set);
}

#define HEX30 "00112233445566778899aabbccddee"

static const struct {
	const char *user, *auth, *password, *ha1;
	int rc;
	size_t column;
	const char *reason;
} bad_rows[] = {
	{NULL, NULL, NULL, NULL, -EINVAL, 0, "user: it is empty"},
	{"", "x", NULL, NULL, -EINVAL, 0, "user: it is empty"},
	{"known", NULL, NULL, NULL, -EEXIST, 0, "an earlier row"},
	{"a@b", NULL, NULL, NULL, -EINVAL, 2, "user part"},
	{"a%20", NULL, NULL, NULL, -EINVAL, 2, "user part"},
	{"a{n}", NULL, NULL, NULL, -EINVAL, 2, "user part"},
	{"a\n", NULL, NULL, NULL, -EINVAL, 2, "user part"},
	{SIXTY "12345", NULL, NULL, NULL, -EINVAL, 0, "user: it is longer"},
	{"a", SIXTY "12345", NULL, NULL, -EINVAL, 0, "auth name: it is longer"},
	{"a", NULL, SIXTY "12345", NULL, -EINVAL, 0, "password: it is longer"},
	{"a", "x\"y", NULL, NULL, -EINVAL, 2, "auth name: only"},
	{"a", "x\\y", NULL, NULL, -EINVAL, 2, "auth name: only"},
	{"a", "\x80", NULL, NULL, -EINVAL, 1, "auth name: only"},
	{"a", NULL, "pw", HEX30 "ff", -EINVAL, 0, "both"},
	{"a", NULL, NULL, HEX30, -EINVAL, 0, "32 or 64"},
	{"a", NULL, NULL, HEX30 "f", -EINVAL, 0, "32 or 64"},
	{"a", NULL, NULL, HEX30 "fff", -EINVAL, 0, "32 or 64"},
	{"a", NULL, NULL, HEX30 HEX30 "fffff", -EINVAL, 0, "32 or 64"},
	{"a", NULL, NULL, HEX30 "0g", -EINVAL, 32, "not a hex"},
	{"a", NULL, NULL, "g" HEX30 "0", -EINVAL, 1, "not a hex"},
	{"a", NULL, NULL, HEX30 "\x10\x19", -EINVAL, 31, "not a hex"},
	{"a", NULL, NULL, HEX30 " 0", -EINVAL, 31, "not a hex"},
	{"a", NULL, NULL, HEX30 "0@", -EINVAL, 32, "not a hex"},
	{"a", NULL, NULL, HEX30 "0:", -EINVAL, 32, "not a hex"},
	{"a", NULL, NULL, HEX30 "0`", -EINVAL, 32, "not a hex"},
};

static void bad_rows_are_refused(void **state)
{
	(void)state;
	struct identity_set *set = rows();
	assert_int_equal(identity_add(set, "known", NULL, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		struct identity_error error = {.column = 99};
		int rc = identity_add(set, bad_rows[i].user, bad_rows[i].auth, bad_rows[i].password,
			bad_rows[i].ha1, &error);
		CHECK(rc == bad_rows[i].rc, "case %zu gave %d\n", i, rc);
		CHECK(strstr(error.reason, bad_rows[i].reason), "case %zu: %s\n", i, error.reason);
		CHECK(error.column == bad_rows[i].column, "case %zu: %zu\n", i, error.column);
		assert_int_equal(identity_count(set), 1);
		assert_true(misses(set, "a"));
		assert_false(identity_has_credentials(set));
	}
	identity_free(set);
	set = patterns("{n}", NULL, NULL, 5);
	assert_int_equal(identity_add(set, "x", NULL, NULL, NULL, NULL), -EINVAL);
	identity_free(set);
}

/* Texts of row i: every length, many sharing a prefix, auth names in two rows of three. */
static void row_texts(uint32_t i, char user[80], char auth[80], char password[80])
{
	snprintf(user, 80, "%.*su%u", (int)(i * 7 % 50), SIXTY, i);
	snprintf(auth, 80, "%.*sa%u", (int)(i * 11 % 50), SIXTY, i);
	snprintf(password, 80, "%.*s%s%u", (int)(i % 30), SIXTY, SECRET, i);
	if (i % 3 == 0)
		*auth = '\0';
	if (i % 5 == 0)
		*password = '\0';
}

static void many_rows_are_found(void **state)
{
	(void)state;
	enum { N = 50000 };
	char user[80], auth[80], password[80];
	struct identity_set *set = rows();
	for (uint32_t i = 0; i < N; i++) {
		row_texts(i, user, auth, password);
		assert_int_equal(identity_add(set, user, auth, password,
					 i % 10 == 0 ? sha256_text : NULL, NULL),
			0);
	}
	assert_int_equal(identity_count(set), N);
	for (uint32_t i = 0; i < N; i++) {
		uint8_t ha1[32];
		row_texts(i, user, auth, password);
		expect(identity_user, set, i, user);
		expect(identity_auth, set, i, *auth ? auth : user);
		expect(identity_password, set, i, password);
		assert_int_equal(identity_ha1(set, i, ha1), i % 10 == 0 ? 32 : 0);
		assert_true(finds(set, user, i));
		assert_true(!*auth || finds(set, auth, i));
		assert_int_equal(identity_add(set, user, NULL, NULL, NULL, NULL), -EEXIST);
	}
	for (uint32_t i = N; i < 2 * N; i++) {
		row_texts(i, user, auth, password);
		assert_true(misses(set, user));
	}
	identity_free(set);
}

/* ---- memory ---- */

static void secrets_are_wiped(void **state)
{
	(void)state;
	blocks_freed = blocks_with_secret = 0;
	struct identity_set *set = patterns("{n}", NULL, SECRET, 9);
	identity_free(set);
	assert_int_equal(blocks_freed, 1);
	/* A pattern that fails late has been read already. */
	assert_int_equal(identity_patterns(&set, "{n}", NULL, SECRET "}", 9, NULL), -EINVAL);
	assert_int_equal(blocks_freed, 2);
	set = rows();
	for (uint32_t i = 0; i < 5000; i++) {
		char user[80], auth[80], password[80];
		row_texts(i, user, auth, password);
		assert_int_equal(
			identity_add(set, user, auth, password, *password ? NULL : md5_text, NULL),
			0);
	}
	identity_free(set);
	assert_true(blocks_freed > 20);
	assert_int_equal(blocks_with_secret, 0);
	identity_free(NULL);
}

/* Wherever memory runs out, the row is refused, the set is as it was, and the next try succeeds. */
static void running_out_of_memory_is_an_error(void **state)
{
	(void)state;
	struct identity_set *set = NULL;
	struct identity_error error = {0};
	allocations_until_failure = 1;
	assert_int_equal(identity_patterns(&set, "{n}", NULL, NULL, 1, &error), -ENOMEM);
	assert_string_equal(error.reason, "out of memory");
	allocations_until_failure = 1;
	assert_int_equal(identity_rows(&set), -ENOMEM);
	assert_null(set);
	allocations_until_failure = 0;
	set = rows();
	unsigned refused = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		char user[80], auth[80], password[80];
		row_texts(i, user, auth, password);
		/* Each try fails one allocation later than the last, until the row needs fewer. */
		int rc = -ENOMEM;
		for (unsigned nth = 1 + i % 2; rc; nth++) {
			allocations_until_failure = nth;
			rc = identity_add(set, user, auth, password, NULL, &error);
			if (rc == 0)
				continue;
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(identity_count(set), i);
			assert_true(misses(set, user));
			refused++;
		}
		allocations_until_failure = 0;
		assert_true(finds(set, user, i));
	}
	assert_true(refused > 10);
	identity_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_write_their_texts),
		cmocka_unit_test(patterns_find_their_phones),
		cmocka_unit_test(shapes_are_the_users),
		cmocka_unit_test(one_phone_needs_no_number),
		cmocka_unit_test(bad_patterns_are_refused),
		cmocka_unit_test(reasons_quote_no_secret),
		cmocka_unit_test(the_longest_texts_fit),
		cmocka_unit_test(random_patterns_go_round),
		cmocka_unit_test(rows_keep_their_texts),
		cmocka_unit_test(users_go_before_auth_names),
		cmocka_unit_test(bad_rows_are_refused),
		cmocka_unit_test(many_rows_are_found),
		cmocka_unit_test(secrets_are_wiped),
		cmocka_unit_test(running_out_of_memory_is_an_error),
	};
	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
