/* SPDX-License-Identifier: BSD-3-Clause */
/* The audit log: lines, who may read them, and that it never grows beyond its limit. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <jansson.h>

#include "audit.h"

struct place {
	char folder[64], path[80], old[90];
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	snprintf(place->folder, sizeof(place->folder), "/tmp/sipherd-audit-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->path, sizeof(place->path), "%s/audit", place->folder);
	snprintf(place->old, sizeof(place->old), "%s.1", place->path);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	unlink(place->path);
	unlink(place->old);
	rmdir(place->folder);
	free(place);
	return 0;
}

static struct audit_entry entry_of(const struct sockaddr *peer, const char *body, size_t length)
{
	return (struct audit_entry){.unix_ms = 1795283573180,
		.peer = peer,
		.role = "operator",
		.method = "PATCH",
		.path = "/api/v1/load",
		.body = body,
		.length = length,
		.status = 200};
}

/* Each line of the file is an object; the last one's reference. */
static json_t *last_line(const char *path, unsigned *lines)
{
	char text[4096];
	json_t *last = NULL;
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	for (*lines = 0; fgets(text, sizeof(text), file) != NULL; (*lines)++) {
		json_decref(last);
		last = json_loads(text, 0, NULL);
		assert_non_null(last);
	}
	fclose(file);
	return last;
}

static const char *text_of(json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

static void test_lines(void **state)
{
	struct place *place = *state;
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(54321)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	static const char quotes[] = "{\"a\n\": \"\\\"\"}";
	struct audit audit;
	struct audit_entry entry = entry_of((struct sockaddr *)&four, quotes, strlen(quotes));
	struct stat stat_;
	unsigned lines;
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	six.sin6_addr = in6addr_loopback;
	assert_int_equal(audit_open(&audit, place->path), 0);
	assert_int_equal(stat(place->path, &stat_), 0);
	assert_int_equal(stat_.st_mode & 0777, 0600);
	audit_write(&audit, &entry);
	json_t *line = last_line(place->path, &lines);
	assert_int_equal(lines, 1);
	assert_string_equal(text_of(line, "peer"), "127.0.0.1:54321");
	assert_string_equal(text_of(line, "body"), quotes);
	assert_string_equal(text_of(line, "path"), "/api/v1/load");
	assert_int_equal(json_integer_value(json_object_get(line, "status")), 200);
	json_decref(line);
	entry = entry_of((struct sockaddr *)&six, "\xff\xfe", 2);
	audit_write(&audit, &entry);
	line = last_line(place->path, &lines);
	assert_int_equal(lines, 2);
	assert_string_equal(text_of(line, "peer"), "[::1]:9");
	assert_true(json_is_null(json_object_get(line, "body")));
	json_decref(line);
	audit_close(&audit);
}

static void test_long_bodies_are_left_out(void **state)
{
	struct place *place = *state;
	char body[AUDIT_BODY_MAX + 1];
	struct audit audit;
	unsigned lines;
	memset(body, 'x', sizeof(body));
	assert_int_equal(audit_open(&audit, place->path), 0);
	for (size_t n = AUDIT_BODY_MAX; n <= AUDIT_BODY_MAX + 1; n++) {
		struct audit_entry entry = entry_of(NULL, body, n);
		audit_write(&audit, &entry);
		json_t *line = last_line(place->path, &lines);
		assert_int_equal(json_is_null(json_object_get(line, "body")), n > AUDIT_BODY_MAX);
		assert_string_equal(text_of(line, "peer"), "?");
		json_decref(line);
	}
	audit_close(&audit);
}

static void test_it_is_bounded(void **state)
{
	struct place *place = *state;
	struct audit audit;
	struct stat now, before;
	const struct audit_entry entry = entry_of(NULL, "{}", 2);
	assert_int_equal(audit_open(&audit, place->path), 0);
	audit.limit = 1000;
	for (int i = 0; i < 100; i++) {
		audit_write(&audit, &entry);
		assert_int_equal(stat(place->path, &now), 0);
		assert_true(now.st_size <= 1000 && now.st_size > 0);
	}
	assert_int_equal(stat(place->old, &before), 0);
	assert_true(before.st_size <= 1000 && before.st_size > 800);
	assert_int_equal(before.st_mode & 0777, 0600);
	audit_close(&audit);
	/* Another run goes on behind what is there. */
	assert_int_equal(audit_open(&audit, place->path), 0);
	assert_int_equal(audit.bytes, (uint64_t)now.st_size);
	audit_close(&audit);
}

/* Where the full one cannot be put aside, nothing more is written. */
static void test_it_is_bounded_even_so(void **state)
{
	struct place *place = *state;
	struct audit audit;
	struct stat now;
	const struct audit_entry entry = entry_of(NULL, "{}", 2);
	assert_int_equal(mkdir(place->old, 0700), 0);
	assert_int_equal(audit_open(&audit, place->path), 0);
	audit.limit = 1000;
	for (int i = 0; i < 30; i++)
		audit_write(&audit, &entry);
	assert_int_equal(stat(place->path, &now), 0);
	assert_true(now.st_size <= 1000 && now.st_size > 800);
	assert_int_equal(rmdir(place->old), 0);
	audit_write(&audit, &entry);
	assert_int_equal(stat(place->path, &now), 0);
	assert_true(now.st_size < 200);
	audit_close(&audit);
}

/* Neither at the start nor later. */
static void test_only_files_are_written_to(void **state)
{
	struct place *place = *state;
	struct audit audit;
	char read_back;
	const struct audit_entry entry = entry_of(NULL, "{}", 2);
	const int other = open(place->old, O_WRONLY | O_CREAT, 0600);
	assert_true(other >= 0 && close(other) == 0);
	assert_int_equal(symlink(place->old, place->path), 0);
	assert_int_equal(audit_open(&audit, place->path), -ELOOP);
	assert_int_equal(unlink(place->path), 0);
	assert_int_equal(mkfifo(place->path, 0600), 0);
	const int reader = open(place->path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(audit_open(&audit, place->path), -EINVAL);
	for (int i = 0; i < 2; i++)
		audit_write(&audit, &entry);
	assert_int_equal(read(reader, &read_back, 1), 0);
	close(reader);
	audit_close(&audit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_bodies_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_it_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_it_is_bounded_even_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_files_are_written_to, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
