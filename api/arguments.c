/* SPDX-License-Identifier: BSD-3-Clause */
#include "arguments.h"

static void on_error(void *context, const char *message)
{
	(void)context;
	fprintf(stderr, "error: %s\n", message);
}

static void on_warning(void *context, const char *message)
{
	(void)context;
	fprintf(stderr, "warning: %s\n", message);
}

const struct fleet_report arguments_report = {.error = on_error, .warning = on_warning};

int arguments_apply(const struct options *options, struct fleet *fleet, bool finish)
{
	bool environment = options->store_from_environment;
	bool any = options->store != NULL || options->state != NULL || options->set.count > 0;
	int status = 0;
	if (options->store != NULL)
		status = fleet_set_option(fleet, "store", options->store,
			environment ? "SIPHERD_STORE" : "--store", environment, &arguments_report);
	if (options->state != NULL && status == 0)
		status = fleet_set_option(
			fleet, "state", options->state, "--state", false, &arguments_report);
	for (size_t i = 0; i < options->set.count && status == 0; i++)
		status = fleet_set(fleet, options->set.item[i], &arguments_report);
	if (status == 0 && any && finish)
		status = fleet_finish(fleet, &arguments_report);
	return status == 0 ? EXIT_DONE : EXIT_USAGE;
}

int arguments_read(const struct options *options, struct fleet *fleet)
{
	if (fleet_read(fleet, options->arguments.item[0], &arguments_report) != 0)
		return EXIT_USAGE;
	return arguments_apply(options, fleet, true);
}
