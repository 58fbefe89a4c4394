/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: users files. Accepted rows, written and read again, are the same rows. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../unit/fleet_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *context, const char *message)
{
	(void)context;
	(void)message;
}

static const struct fleet_report report = {.error = ignore, .warning = ignore};

static int parse(const void *text, size_t length, struct identity_set **out)
{
	struct fleet_messages messages = {.report = &report};
	FILE *in = fmemopen((void *)(uintptr_t)text, length, "r");
	if (in == NULL)
		abort();
	int error = fleet_users_parse(in, "fuzz.csv", out, &messages);
	fclose(in);
	return error;
}

static void check_rows(struct fleet *fleet)
{
	char *text = NULL;
	size_t length;
	struct fleet again = *fleet;
	FILE *out = open_memstream(&text, &length);
	if (out == NULL || fleet_write_users(fleet, out) != 0 || fclose(out) != 0)
		abort();
	if (parse(text, length, &again.identities) != 0 ||
		identity_count(again.identities) != fleet->phones)
		abort();
	for (uint32_t i = 0; i < fleet->phones; i++) {
		if (!same_identity(fleet, &again, i))
			abort();
	}
	identity_free(again.identities);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fleet fleet;
	fleet.identities = NULL;
	/* fmemopen takes no empty text. */
	if (size == 0)
		return 0;
	if (parse(data, size, &fleet.identities) == 0) {
		fleet.phones = identity_count(fleet.identities);
		check_rows(&fleet);
	}
	identity_free(fleet.identities);
	return 0;
}
