/* SPDX-License-Identifier: BSD-3-Clause */
#include "page.h"

#include <string.h>
#include <strings.h>

#include "page_files.h"

#define FILES (sizeof(page_files) / sizeof(page_files[0]))
#define FOLDER "/page/"
#define BLANKS " \t"

const struct page_file *page_at(size_t index)
{
	return index < FILES ? &page_files[index] : NULL;
}

const struct page_file *page_find(const char *path)
{
	const char *name = "index.html";
	if (strncmp(path, FOLDER, strlen(FOLDER)) == 0)
		name = path + strlen(FOLDER);
	else if (strcmp(path, "/") != 0)
		return NULL;
	for (size_t i = 0; i < FILES; i++)
		if (strcmp(page_files[i].name, name) == 0)
			return &page_files[i];
	return NULL;
}

/* The next item of a list that commas separate, without the blanks around it; false at the end. */
static bool next_item(const char **rest, const char **item, size_t *length)
{
	*rest += strspn(*rest, BLANKS ",");
	*item = *rest;
	*length = strcspn(*rest, ",");
	*rest += *length;
	while (*length > 0 && strchr(BLANKS, (*item)[*length - 1]) != NULL)
		--*length;
	return *length > 0;
}

bool page_is_known(const struct page_file *file, const char *if_none_match)
{
	const char *rest = if_none_match != NULL ? if_none_match : "", *item;
	const char *own = file->etag + strlen("W/");
	size_t length;
	while (next_item(&rest, &item, &length)) {
		if (length == 1 && *item == '*')
			return true;
		/* Strong or weak, here it is the same (RFC 9110, 13.1.2). */
		if (strncmp(item, "W/", 2) == 0) {
			item += 2;
			length -= 2;
		}
		if (length == strlen(own) && memcmp(item, own, length) == 0)
			return true;
	}
	return false;
}

/* "q=0", "q=0.000": this one is not wanted. */
static bool is_refused(const char *parameters, size_t length)
{
	size_t at = strspn(parameters, ";" BLANKS);
	if (at + 3 > length || strncasecmp(parameters + at, "q=0", 3) != 0)
		return false;
	for (at += 3; at < length; at++)
		if (strchr(".0" BLANKS, parameters[at]) == NULL)
			return false;
	return true;
}

bool page_takes_gzip(const char *accept_encoding)
{
	const char *rest = accept_encoding != NULL ? accept_encoding : "", *item;
	size_t length;
	bool any = false;
	while (next_item(&rest, &item, &length)) {
		size_t name = strcspn(item, ";," BLANKS);
		const bool wanted = !is_refused(item + name, length - name);
		if (name == 4 && strncasecmp(item, "gzip", 4) == 0)
			return wanted;
		if (name == 1 && *item == '*')
			any = wanted;
	}
	return any;
}
