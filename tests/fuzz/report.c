/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a summary, whatever it is: a page of it, a page that compares it with itself, its time line.
 * Nothing in it may become markup. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define SIZE_MOST 65536

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* Our own markup has none of these, and what stands in a summary is escaped. */
static void check_page(const char *page)
{
	require(strncmp(page, "<!DOCTYPE html>", 15) == 0);
	require(strstr(page, "<script") == NULL && strstr(page, "<img") == NULL);
	require(strstr(page, "</html>\n") != NULL);
	for (const char *c = page; *c != '\0'; c++)
		require((unsigned char)*c >= ' ' || *c == '\n' || *c == '\t');
}

static void try_page(const json_t *run, const json_t *other)
{
	char *text = NULL, reason[REPORT_REASON_MAX] = "";
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	require(out != NULL);
	const int status = other != NULL ? report_compare(out, run, "a", other, "b", reason)
					 : report_write(out, run, reason);
	require(fclose(out) == 0);
	if (status == 0)
		check_page(text);
	else
		require(reason[0] != '\0' && length == 0);
	free(text);
}

static void try_csv(const json_t *run)
{
	char *text = NULL, reason[REPORT_REASON_MAX] = "";
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	require(out != NULL);
	const int status = report_timeline_csv(out, run, reason);
	require(fclose(out) == 0);
	require(status == 0 || (reason[0] != '\0' && length == 0));
	require(strpbrk(text, "<>\"=") == NULL);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *run = size <= SIZE_MOST ? json_loadb((const char *)data, size, 0, NULL) : NULL;
	if (run == NULL)
		return 0;
	try_page(run, NULL);
	try_page(run, run);
	try_csv(run);
	json_decref(run);
	return 0;
}
