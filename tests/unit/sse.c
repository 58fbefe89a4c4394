/* SPDX-License-Identifier: BSD-3-Clause */
/* Server-sent events as they are read, and tokens in the files that runs write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "client_token.h"
#include "sse.h"

static struct sse sse;
static char told[4096];

static void take(void *context, const struct sse_event *event)
{
	size_t used = strlen(told);
	(void)context;
	assert_int_equal(strlen(event->data), event->length);
	snprintf(told + used, sizeof(told) - used, "[%s|%s|%s]", event->name, event->id,
		event->length < 100 ? event->data : "long");
}

static void feed(const char *text)
{
	sse_feed(&sse, text, strlen(text), take, NULL);
}

static void assert_told(const char *expected)
{
	assert_string_equal(told, expected);
	told[0] = '\0';
}

static int begin(void **state)
{
	(void)state;
	memset(&sse, 0, sizeof(sse));
	told[0] = '\0';
	sse_begin(&sse);
	return 0;
}

static void test_events(void **state)
{
	(void)state;
	feed("event: tick\ndata: {}\nid: r.1\n\n");
	assert_told("[tick|r.1|{}]");
	/* The name is one event's, the identifier stays. */
	feed("data:a\ndata: b\ndata\n\n");
	assert_told("[message|r.1|a\nb\n]");
	feed(":comment\n\nevent: x\n\nretry: 7\nunknown\n\n");
	assert_told("");
}

static void test_line_ends(void **state)
{
	(void)state;
	feed("data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n");
	assert_told("[message||1][message||2][message||3]");
	feed("data: 4\r");
	feed("\n\r");
	assert_told("[message||4]");
	/* The line feed behind that carriage return ends nothing. */
	feed("\ndata: 5\n\n");
	assert_told("[message||5]");
}

static void test_a_cut_event_is_none(void **state)
{
	(void)state;
	feed("event: tick\ndata: half");
	sse_begin(&sse);
	feed("\n\ndata: whole\n\n");
	assert_told("[message||whole]");
}

static void test_too_long(void **state)
{
	(void)state;
	static char line[SSE_LINE_MAX + 100];
	memset(line, 'x', sizeof(line) - 1);
	feed("data: ");
	feed(line);
	feed("\n\ndata: next\n\n");
	assert_told("[message||next]");
	assert_int_equal(sse.dropped, 1);
	/* Also when no line of it is. */
	line[SSE_LINE_MAX / 2] = '\0';
	for (int i = 0; i < 3; i++) {
		feed("data: ");
		feed(line);
		feed("\n");
	}
	feed("\ndata: next\n\n");
	assert_told("[message||next]");
	assert_int_equal(sse.dropped, 2);
	feed("data: ");
	feed(line);
	feed("\n\n");
	assert_told("[message||long]");
}

static void test_words_that_are_too_long(void **state)
{
	char id[SSE_WORD_MAX + 20];
	(void)state;
	memset(id, 'i', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	feed("id: short\ndata: 1\n\nid: ");
	feed(id);
	feed("\ndata: 2\n\n");
	assert_told("[message|short|1][message|short|2]");
	/* Nor is one with a NUL. */
	sse_feed(&sse, "id: a\0b\ndata: 3\n\n", 17, take, NULL);
	assert_told("[message|short|3]");
}

static void test_tokens(void **state)
{
	char token[CLIENT_TOKEN_MAX];
	(void)state;
	assert_true(client_token_read("viewer v\noperator o\nport 8470\n", token));
	assert_string_equal(token, "o");
	assert_true(client_token_read("viewer v~+/=\n", token));
	assert_string_equal(token, "v~+/=");
	assert_true(client_token_read("alone", token));
	assert_string_equal(token, "alone");
	assert_true(client_token_read("alone\r\n\n", token));
	assert_string_equal(token, "alone");
	static const char *const none[] = {"", "\n", "a b", "two\nwords", "operator ",
		"operator a b\n", "a\tb", "a\"b", "\n a"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(client_token_read(none[i], token));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_events, begin),
		cmocka_unit_test_setup(test_line_ends, begin),
		cmocka_unit_test_setup(test_a_cut_event_is_none, begin),
		cmocka_unit_test_setup(test_too_long, begin),
		cmocka_unit_test_setup(test_words_that_are_too_long, begin),
		cmocka_unit_test(test_tokens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
