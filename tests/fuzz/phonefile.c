/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: phones' own files. What is imported must read back from the fleet file it becomes. */
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

static void check_imported(const struct fleet *fleet)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct fleet *again = malloc(sizeof(*again));
	if (out == NULL || again == NULL || fleet_write(fleet, out) != 0 || fclose(out) != 0)
		abort();
	if (fleet_parse(again, "fleet.yaml", text, length, &report) != 0)
		abort();
	if (fleet_difference(fleet, again) != NULL)
		abort();
	fleet_free(again);
	free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fleet *fleet = malloc(sizeof(*fleet));
	if (fleet == NULL)
		abort();
	if (fleet_import_text(fleet, "fuzz.cfg", (const char *)data, size, &report) == 0)
		check_imported(fleet);
	fleet_free(fleet);
	free(fleet);
	return 0;
}
