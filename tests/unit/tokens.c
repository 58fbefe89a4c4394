/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of the tokens: its owner's alone, whole, where it was asked for, and gone at the end. */
#include <errno.h>
#include <limits.h>
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

#include "tokens.h"

#define PATH_SIZE 128
#define PORT 8470u

static char folder[] = "/tmp/sipherd-test-tokens-XXXXXX";
static char wanted[PATH_SIZE], draft[PATH_SIZE], victim[PATH_SIZE];

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_text(const char *path, const char *text)
{
	char read[1024] = "";
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	read[fread(read, 1, sizeof(read) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(read, text);
}

/* A file of its own with both tokens, that nobody else may read. */
static void assert_tokens(const struct tokens *tokens)
{
	char text[300];
	struct stat stat;
	snprintf(text, sizeof(text), "viewer %s\noperator %s\nport %u\n", tokens->viewers,
		tokens->operators, PORT);
	assert_text(tokens->path, text);
	assert_int_equal(lstat(tokens->path, &stat), 0);
	assert_true(S_ISREG(stat.st_mode));
	assert_int_equal(stat.st_mode & 0777, 0600);
}

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(wanted, sizeof(wanted), "%s/f.0.tokens", folder);
	snprintf(draft, sizeof(draft), "%s/f.0.tokens.part", folder);
	snprintf(victim, sizeof(victim), "%s/victim", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(wanted);
	unlink(draft);
	unlink(victim);
	return rmdir(folder);
}

static void test_named_and_unnamed(void **state)
{
	struct tokens named, unnamed;
	(void)state;
	write_text(wanted, "of a run that was killed, and longer than what comes now: "
			   "0000000000000000000000000000000000000000000000000000000000000000"
			   "0000000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(chmod(wanted, 0666), 0);
	assert_int_equal(tokens_open(&named, wanted, PORT), 0);
	assert_int_equal(tokens_open(&unnamed, NULL, PORT), 0);
	assert_string_equal(named.path, wanted);
	assert_tokens(&named);
	assert_tokens(&unnamed);
	assert_string_not_equal(named.viewers, unnamed.viewers);
	assert_string_not_equal(named.viewers, named.operators);
	assert_int_equal(tokens_role(&named, named.viewers), ROLE_VIEWER);
	assert_int_equal(tokens_role(&named, named.operators), ROLE_OPERATOR);
	assert_int_equal(tokens_role(&named, unnamed.operators), ROLE_NOBODY);
	char gone[sizeof(unnamed.path)];
	snprintf(gone, sizeof(gone), "%s", unnamed.path);
	tokens_close(&named);
	tokens_close(&unnamed);
	assert_int_equal(access(wanted, F_OK), -1);
	assert_int_equal(access(gone, F_OK), -1);
}

/* Whoever may write to the folder puts links where our files will be. */
static void test_links_are_not_followed(void **state)
{
	struct tokens tokens;
	(void)state;
	write_text(victim, "precious");
	assert_int_equal(symlink(victim, draft), 0);
	assert_int_equal(symlink(victim, wanted), 0);
	assert_int_equal(tokens_open(&tokens, wanted, PORT), 0);
	assert_tokens(&tokens);
	assert_text(victim, "precious");
	assert_int_equal(access(draft, F_OK), -1);
	tokens_close(&tokens);
	assert_text(victim, "precious");
}

static void test_what_cannot_be_written(void **state)
{
	char path[PATH_MAX + 10];
	struct tokens tokens;
	(void)state;
	assert_int_equal(tokens_open(&tokens, "/nowhere/f.0.tokens", PORT), -ENOENT);
	assert_string_equal(tokens.path, "");
	assert_int_equal(mkdir(wanted, 0700), 0);
	assert_int_equal(tokens_open(&tokens, wanted, PORT), -EISDIR);
	assert_int_equal(access(draft, F_OK), -1);
	assert_int_equal(rmdir(wanted), 0);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(tokens_open(&tokens, path, PORT), -ENAMETOOLONG);
	path[PATH_MAX - 3] = '\0';
	assert_int_equal(tokens_open(&tokens, path, PORT), -ENAMETOOLONG);
	tokens_close(&tokens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_and_unnamed),
		cmocka_unit_test(test_links_are_not_followed),
		cmocka_unit_test(test_what_cannot_be_written),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
