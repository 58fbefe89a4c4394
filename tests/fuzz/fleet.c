/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: fleet files. What is accepted must have a JSON, and must read back as it was. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../unit/fleet_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(void *context, const char *message)
{
	(void)context;
	/* One line of printable text; paths and YAML's own words are ASCII here. */
	for (; *message != '\0'; message++) {
		if ((unsigned char)*message < 32 || (unsigned char)*message > 126)
			abort();
	}
}

static const struct fleet_report report = {.error = check_message, .warning = check_message};

static void check_accepted(const struct fleet *fleet)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct fleet *again = malloc(sizeof(*again));
	if (out == NULL || again == NULL || fleet_write(fleet, out) != 0 || fclose(out) != 0)
		abort();
	if (fleet_parse(again, fleet->path, text, length, &report) != 0)
		abort();
	if (fleet_difference(fleet, again) != NULL)
		abort();
	fleet_free(again);
	free(again);
	free(text);
	json_t *json = fleet_json(fleet);
	char *dump = json_dumps(json, 0);
	if (dump == NULL)
		abort();
	free(dump);
	json_decref(json);
	struct herd_config config;
	fleet_herd_config(fleet, &config);
	if (config.fleet_phones == 0 || config.proxy[PROXY_PRIMARY].host[0] == '\0' ||
		config.plan[config.proxy[PROXY_PRIMARY].address.family] == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fleet *fleet = malloc(sizeof(*fleet));
	if (fleet == NULL)
		abort();
	if (fleet_parse(fleet, "/nonexistent/fuzz.yaml", (const char *)data, size, &report) == 0)
		check_accepted(fleet);
	fleet_free(fleet);
	free(fleet);
	return 0;
}
