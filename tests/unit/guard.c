/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may ask the HTTP API: addresses, hosts, origins, tokens and numbers, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "guard.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void listens(const char *text, uint16_t port, bool loopback, bool any)
{
	struct guard_listen listen;
	assert_int_equal(guard_listen_parse(text, &listen), 0);
	assert_int_equal(listen.port, port);
	assert_int_equal(listen.loopback, loopback);
	assert_int_equal(listen.any, any);
}

static void test_addresses_to_listen_on(void **state)
{
	static const char *const bad[] = {"", "8470", ":8470", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80 ", "::1:8470",
		"[::1]", "[::1:8470", "[127.0.0.1]:80", "host.example.net:80", "[]:1", "1.2.3:4"};
	struct guard_listen listen;
	(void)state;
	listens("127.0.0.1:8470", 8470, true, false);
	listens("127.9.9.9:1", 1, true, false);
	listens("localhost:0", 0, true, false);
	listens("[::1]:65535", 65535, true, false);
	listens("10.0.0.1:8470", 8470, false, false);
	listens("0.0.0.0:8470", 8470, false, true);
	listens("[::]:8470", 8470, false, true);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_not_equal(guard_listen_parse(bad[i], &listen), 0);
}

static void test_hosts(void **state)
{
	static const char *const names[] = {"Herd.example.net", "[2001:db8::7]"};
	static const char *const ours[] = {"localhost", "LOCALHOST:1", "127.0.0.1:8470", "[::1]",
		"[0:0::1]:8470", "10.0.0.1", "herd.EXAMPLE.net:443", "[2001:DB8:0:0::7]:9"};
	static const char *const foreign[] = {"", "evil.example.net", "localhost.evil.example.net",
		"localhost:", "localhost:x", "localhost:0", "localhost:65536", "localhost:1:2",
		"localhost/", "local host", "127.0.0.2", "[::2]", "[::1", "[::1]x", "::1",
		"user@localhost", "localhost.", "herd.example.net.", "[127.0.0.1]"};
	struct guard_listen listen;
	char name[GUARD_HOST_MAX];
	(void)state;
	assert_int_equal(guard_listen_parse("10.0.0.1:8470", &listen), 0);
	for (size_t i = 0; i < COUNT(ours); i++)
		assert_true(guard_host_is_ours(ours[i], &listen, names, COUNT(names)));
	for (size_t i = 0; i < COUNT(foreign); i++)
		assert_false(guard_host_is_ours(foreign[i], &listen, names, COUNT(names)));
	assert_false(guard_host_is_ours("herd.example.net", &listen, names, 0));
	assert_int_equal(guard_listen_parse("0.0.0.0:8470", &listen), 0);
	assert_false(guard_host_is_ours("0.0.0.0", &listen, names, 0));
	assert_true(guard_host_parse("[2001:DB8::0:1]:80", name));
	assert_string_equal(name, "[2001:db8::1]");
}

static void test_long_hosts(void **state)
{
	char text[2 * GUARD_HOST_MAX], name[GUARD_HOST_MAX];
	(void)state;
	for (size_t n = GUARD_HOST_MAX - 3; n < GUARD_HOST_MAX + 3; n++) {
		memset(text, 'h', n);
		text[n] = '\0';
		assert_int_equal(guard_host_parse(text, name), n < GUARD_HOST_MAX);
	}
}

static void test_origins(void **state)
{
	static const char *const foreign[] = {"", "null", "http://", "http://localhost",
		"https://localhost:8470", "http://localhost:8470/", "http://evil:8470",
		"http//localhost:8470", "localhost:8470"};
	(void)state;
	assert_true(guard_origin_is_ours("http://localhost:8470", "http", "localhost:8470"));
	assert_true(guard_origin_is_ours("HTTPS://LocalHost", "https", "localhost"));
	for (size_t i = 0; i < COUNT(foreign); i++)
		assert_false(guard_origin_is_ours(foreign[i], "http", "localhost:8470"));
}

static void test_tokens(void **state)
{
	char token[GUARD_TOKEN_LENGTH + 1], other[GUARD_TOKEN_LENGTH + 2];
	(void)state;
	memset(token, '7', GUARD_TOKEN_LENGTH);
	token[GUARD_TOKEN_LENGTH] = '\0';
	assert_true(guard_token_equal(token, token));
	for (size_t i = 0; i < GUARD_TOKEN_LENGTH; i++) {
		strcpy(other, token);
		other[i] = '8';
		assert_false(guard_token_equal(other, token));
	}
	strcpy(other, token);
	strcat(other, "7");
	assert_false(guard_token_equal(other, token));
	assert_false(guard_token_equal("", token));
	assert_string_equal(guard_bearer("bearer   abc"), "abc");
	assert_string_equal(guard_bearer("Bearer "), "");
	assert_null(guard_bearer("Bearer"));
	assert_null(guard_bearer("Basic abc"));
}

static void test_types(void **state)
{
	static const char *const json[] = {"application/json", "Application/JSON",
		"application/json; charset=utf-8", "application/json ;x", "application/json "};
	static const char *const other[] = {"", "application", "application/jsonx", "text/json",
		"application/json x", " application/json", "application/json,text/plain",
		"application/problem+json"};
	(void)state;
	for (size_t i = 0; i < COUNT(json); i++)
		assert_true(guard_is_json(json[i]));
	for (size_t i = 0; i < COUNT(other); i++)
		assert_false(guard_is_json(other[i]));
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {"", "0", "901", "-1", "+1", " 1", "1 ", "1.0", "0x1",
		"1e2", "99999999999999999999", "4294967297"};
	uint32_t value = 0;
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(guard_number(bad[i], 1, 900, &value));
	assert_true(guard_number("0900", 1, 900, &value));
	assert_int_equal(value, 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_to_listen_on),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_long_hosts),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
