/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The web page: the files of api/page and Chart.js, made part of the program by page.py. Pure: texts
 * in, verdicts out; nothing here knows the server.
 */
#ifndef SIPHERD_PAGE_H
#define SIPHERD_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the page may do: ask the place it came from, and nothing else. */
#define PAGE_SECURITY                                                                           \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
/* It may be kept, but must be asked for again each time: a new sipherd may bring a new page. */
#define PAGE_CACHE "no-cache"

struct page_bytes {
	const uint8_t *bytes;
	size_t length;
};

struct page_file {
	const char *name, *type;
	const char *etag; /* weak, as it is of both encodings */
	struct page_bytes plain, gzip;
};

/* "/" is the page, "/page/NAME" one of its files; else NULL. */
const struct page_file *page_find(const char *path);
/* All of them, for whoever checks them: NULL behind the last. */
const struct page_file *page_at(size_t index);

/* Does If-None-Match (NULL: none was sent) name the file as it is? */
bool page_is_known(const struct page_file *file, const char *if_none_match);

/* Does Accept-Encoding (NULL: none was sent) let us send gzip? */
bool page_takes_gzip(const char *accept_encoding);

#endif
