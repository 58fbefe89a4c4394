/* SPDX-License-Identifier: BSD-3-Clause */
/* The page's files in the program: both forms of each are the same, and what a browser says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "page.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define FIRST_LOAD_MAX (2u << 20) /* what the page may cost a newcomer, in bytes */

static void test_paths(void **state)
{
	static const char *const none[] = {"", "/page", "/page/", "/page/../page/index.html",
		"/page/nothing.js", "/page/index.html/", "/index.html", "//", "/page//index.html",
		"page/index.html", "/page/index.htm", "/page/INDEX.HTML"};
	(void)state;
	const struct page_file *page = page_find("/");
	assert_non_null(page);
	assert_string_equal(page->type, "text/html; charset=utf-8");
	assert_ptr_equal(page_find("/page/index.html"), page);
	assert_non_null(page_find("/page/chart.min.js"));
	for (size_t i = 0; i < COUNT(none); i++)
		assert_null(page_find(none[i]));
}

static void inflate_all(const struct page_bytes *packed, const struct page_bytes *plain)
{
	uint8_t *out = malloc(plain->length + 1);
	assert_non_null(out);
	z_stream stream = {.next_in = (uint8_t *)packed->bytes,
		.avail_in = (unsigned)packed->length,
		.next_out = out,
		.avail_out = (unsigned)plain->length + 1};
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, plain->length);
	assert_int_equal(stream.avail_in, 0);
	assert_memory_equal(out, plain->bytes, plain->length);
	inflateEnd(&stream);
	free(out);
}

static void test_files(void **state)
{
	size_t all = 0, n = 0;
	char path[128];
	(void)state;
	for (const struct page_file *file; (file = page_at(n)) != NULL; n++) {
		assert_true(file->plain.length > 0);
		inflate_all(&file->gzip, &file->plain);
		snprintf(path, sizeof(path), "/page/%s", file->name);
		assert_ptr_equal(page_find(path), file);
		for (size_t other = 0; other < n; other++)
			assert_string_not_equal(page_at(other)->etag, file->etag);
		all += file->plain.length;
	}
	assert_true(n >= 2);
	assert_true(all < FIRST_LOAD_MAX);
}

/* What their licence asks for. */
static void test_the_notice_of_chart_js(void **state)
{
	const struct page_file *chart = page_find("/page/chart.min.js");
	(void)state;
	assert_non_null(memmem(
		chart->plain.bytes, 400, "Chart.js Contributors", strlen("Chart.js Contributors")));
}

static void test_etags(void **state)
{
	const struct page_file *file = page_find("/");
	char text[400];
	(void)state;
	assert_true(page_is_known(file, file->etag));
	assert_true(page_is_known(file, file->etag + 2)); /* as a strong one */
	assert_true(page_is_known(file, "*"));
	snprintf(text, sizeof(text), "\"a\" ,\t W/\"b\",%s", file->etag);
	assert_true(page_is_known(file, text));
	snprintf(text, sizeof(text), " , %s , \"c\"", file->etag);
	assert_true(page_is_known(file, text));
	assert_false(page_is_known(file, NULL));
	assert_false(page_is_known(file, ""));
	assert_false(page_is_known(file, ",, ,"));
	assert_false(page_is_known(file, "W/"));
	assert_false(page_is_known(file, "\"\""));
	assert_false(page_is_known(file, "**"));
	assert_false(page_is_known(file, page_find("/page/chart.min.js")->etag));
	snprintf(text, sizeof(text), "%s", file->etag);
	text[strlen(text) - 1] = '\0';
	assert_false(page_is_known(file, text));
}

static void test_encodings(void **state)
{
	static const char *const yes[] = {"gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5",
		"gzip;q=0.001", "br,gzip", "*", "identity, *;q=0.1", " gzip ; q=0.5 ",
		"*;q=0, gzip"};
	static const char *const no[] = {"", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;Q=0",
		"br", "gzipped", "x-gzip", "gzip;q=0, *", "*;q=0", ",", "gzi", ";q=0",
		"deflate;q=1"};
	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++)
		assert_true(page_takes_gzip(yes[i]));
	for (size_t i = 0; i < COUNT(no); i++)
		assert_false(page_takes_gzip(no[i]));
	assert_false(page_takes_gzip(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_the_notice_of_chart_js),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_encodings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
