/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters of drills as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "drill_plan.h"

static struct drill_request request;
static char reason[DRILL_REASON_MAX];

static int set(const char *field, const char *value)
{
	reason[0] = '\0';
	return drill_request_set(&request, field, value, reason);
}

static void assert_refused(const char *field, const char *value, const char *why)
{
	const struct drill_request before = request;
	assert_int_equal(set(field, value), -EINVAL);
	if (strstr(reason, why) == NULL)
		fail_msg("%s=%s: '%s' does not say '%s'", field, value, reason, why);
	assert_memory_equal(&before, &request, sizeof(request));
}

static void every_field_is_read(void **state)
{
	(void)state;
	memset(&request, 0, sizeof(request));
	static const char *const fields[][2] = {{"do", "brown-out"}, {"proxy", "redundant"},
		{"share", "12.5%"}, {"hold", "90s"}, {"settle", "2m"}, {"period", "1500ms"},
		{"times", "4"}, {"loss", "0.0001%"}, {"delay", "60s"}, {"jitter", "250ms"},
		{"retry_after", "30"}, {"spread", "1h"}, {"method", "options"},
		{"hook", "stop-primary"}, {"wait", "5s"}};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_int_equal(set(fields[i][0], fields[i][1]), 0);
	assert_int_equal(request.kind, DRILL_BROWN_OUT);
	assert_int_equal(request.proxy, PROXY_REDUNDANT);
	assert_int_equal(request.share_ppm, 125000);
	assert_int_equal(request.hold_ms, 90000);
	assert_int_equal(request.settle_ms, 120000);
	assert_int_equal(request.period_ms, 1500);
	assert_int_equal(request.times, 4);
	assert_int_equal(request.loss_ppm, 1);
	assert_int_equal(request.delay_us, IMPAIRMENT_DELAY_MAX_US);
	assert_int_equal(request.jitter_us, 250000);
	assert_int_equal(request.retry_after_s, 30);
	assert_int_equal(request.spread_ms, 3600000);
	assert_int_equal(request.method, IMPAIRMENT_OPTIONS);
	assert_string_equal(request.hook, "stop-primary");
	assert_int_equal(request.wait_ms, 5000);
	assert_int_equal(request.given, (1u << DRILL_FIELDS) - 1);
}

static void what_is_written_is_read_again(void **state)
{
	(void)state;
	every_field_is_read(NULL);
	const struct drill_request given = request;
	for (int field = 0; field < DRILL_FIELDS; field++) {
		char text[DRILL_NAME_MAX];
		drill_request_text(&given, (enum drill_field)field, text);
		assert_int_equal(set(drill_field_names[field], text), 0);
	}
	assert_memory_equal(&given, &request, sizeof(request));
}

static void what_cannot_be_is_refused_with_what_can(void **state)
{
	(void)state;
	memset(&request, 0, sizeof(request));
	assert_refused("do", "crsh",
		"crash, return, both, drain, flap, brown-out, blind-spot, "
		"power-cut, half-dead, rolling");
	assert_refused("proxy", "first", "primary nor redundant");
	assert_refused("share", "0%", "0.0001% to 100%");
	assert_refused("share", "20", "out of range");
	assert_refused("share", "0.00001%", "millionth");
	assert_refused("hold", "90", "write one of ms, s, m, h");
	assert_refused("hold", "-5s", "signs");
	assert_refused("hold", "0", "100ms to 168h");
	assert_refused("hold", "169h", "100ms to 168h");
	assert_refused("delay", "61s", "0s to 60s");
	assert_refused("times", "31", "1 to 30");
	assert_refused("times", "", "not a number");
	assert_refused("retry_after", "1.5", "seconds");
	assert_refused("method", "INVITE", "register nor options");
	assert_refused("hook", "", "hook");
	assert_refused("hook", "a\nb", "a\\x0ab");
	assert_refused("Hold", "5s", "retry_after");
	assert_refused("hold", "\xff\xff", "\\xff");
}

/* A name is 63 bytes at most. Nothing is read or written beyond. */
static void long_texts_fit_the_reason(void **state)
{
	(void)state;
	static char text[100000];
	memset(&request, 0, sizeof(request));
	memset(text, 'x', sizeof(text) - 1);
	for (int field = 0; field < DRILL_FIELDS; field++)
		assert_refused(drill_field_names[field], text, "xxx");
	assert_refused("do", text, "rolling");
	assert_refused(text, "1", "hook");
	text[DRILL_NAME_MAX] = '\0';
	assert_refused("hook", text, "hook");
	text[DRILL_NAME_MAX - 1] = '\0';
	assert_int_equal(set("hook", text), 0);
	assert_string_equal(request.hook, text);
}

/* What comes over HTTP may be anything: it is read or refused, and the reason can be shown. */
static void any_text_is_read_or_refused(void **state)
{
	(void)state;
	static const char likely[] = "0123456789.%smhk-+eaprimyredundtoptionsx \n\x80\xff";
	const unsigned seed = (unsigned)time(NULL);
	unsigned read = 0;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		char text[16];
		const int length = rand() % (int)(sizeof(text) - 1);
		for (int c = 0; c < length; c++)
			text[c] = likely[(size_t)rand() % (sizeof(likely) - 1)];
		text[length] = '\0';
		memset(&request, 0, sizeof(request));
		if (set(drill_field_names[rand() % DRILL_FIELDS], text) == 0) {
			read++;
			assert_true(request.share_ppm <= IMPAIRMENT_ALL_PPM);
			assert_true(request.hold_ms <= DRILL_HOLD_MAX_MS);
			assert_true(request.delay_us <= IMPAIRMENT_DELAY_MAX_US);
			assert_int_equal(__builtin_popcount(request.given), 1);
			continue;
		}
		assert_int_equal(request.given, 0);
		assert_in_range(strlen(reason), 1, DRILL_REASON_MAX - 2);
		for (const char *c = reason; *c != '\0'; c++)
			assert_in_range(*c, ' ', '~');
	}
	assert_true(read > 1000);
}

static void the_catalogue_is_complete(void **state)
{
	(void)state;
	for (int kind = 0; kind < DRILL_KINDS; kind++) {
		memset(&request, 0, sizeof(request));
		assert_int_equal(set("do", drill_catalogue[kind].name), 0);
		assert_int_equal(request.kind, kind);
		assert_true(strlen(drill_catalogue[kind].question) < DRILL_TEXT_MAX);
		assert_true(drill_catalogue[kind].fields & 1u << DRILL_SETTLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(what_cannot_be_is_refused_with_what_can),
		cmocka_unit_test(long_texts_fit_the_reason),
		cmocka_unit_test(any_text_is_read_or_refused),
		cmocka_unit_test(the_catalogue_is_complete),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
