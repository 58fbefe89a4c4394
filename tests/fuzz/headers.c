/* SPDX-License-Identifier: BSD-3-Clause */
/* What If-None-Match, Accept-Encoding and Last-Event-ID may say: the first byte tells which of them it is. */
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void come_back(const char *last_id)
{
	struct stream *stream = stream_open("run");
	bool replayed;
	char out[64];
	if (stream == NULL)
		return;
	for (unsigned i = 0; i < 5; i++)
		stream_add(stream, "tick", "{}", 2, i * 1000000ull);
	uint64_t position = stream_begin(stream, last_id, &replayed);
	const long n = stream_read(stream, &position, out, sizeof(out));
	/* Whoever is told that nothing was missed gets what came since, or has it all. */
	if (n < 0 || (!replayed && n > 0))
		abort();
	stream_close(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct page_file *file = page_find("/");
	if (size == 0)
		return 0;
	char *text = malloc(size);
	if (text == NULL || file == NULL)
		abort();
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] % 3 == 0)
		page_is_known(file, text);
	else if (data[0] % 3 == 1)
		page_takes_gzip(text);
	else
		come_back(text);
	free(text);
	return 0;
}
