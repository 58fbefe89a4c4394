/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fleet.h"
#include "options.h"
#include "run.h"
#include "view.h"

static void on_error(void *context, const char *message)
{
	++*(int *)context;
	fprintf(stderr, "error: %s\n", message);
}

static void on_warning(void *context, const char *message)
{
	(void)context;
	fprintf(stderr, "warning: %s\n", message);
}

/* Rows of several phones go into a file beside the fleet file. */
static int write_users(struct fleet *fleet, const char *output)
{
	if (!fleet->imported_rows)
		return 0;
	if (output == NULL) {
		fprintf(stderr, "sipherd: several phones need a users file beside the fleet file: "
				"give -o FLEET.yaml.\n");
		return -EINVAL;
	}
	char path[4200];
	snprintf(path, sizeof(path), "%s.users.csv", output);
	FILE *out = fopen(path, "w");
	if (out == NULL || fleet_write_users(fleet, out) != 0 || fclose(out) != 0) {
		fprintf(stderr, "sipherd: cannot write %s: %s\n", path, strerror(errno));
		return -errno;
	}
	const char *base = strrchr(path, '/');
	snprintf(fleet->users, sizeof(fleet->users), "%.4000s", base ? base + 1 : path);
	return 0;
}

static int import(const struct options *options)
{
	struct fleet fleet;
	int errors = 0;
	const struct fleet_report report = {&errors, on_error, on_warning};
	int status = fleet_import(
		&fleet, options->arguments.item, options->arguments.count, &report);
	for (size_t i = 0; i < options->set.count && status == 0; i++)
		status = fleet_set(&fleet, options->set.item[i], &report);
	if (status == 0 && options->set.count > 0)
		status = fleet_finish(&fleet, &report);
	if (status == 0)
		status = write_users(&fleet, options->output);
	FILE *out = stdout;
	if (status == 0 && options->output != NULL && (out = fopen(options->output, "w")) == NULL) {
		fprintf(stderr, "sipherd: cannot write %s: %s\n", options->output, strerror(errno));
		fleet_free(&fleet);
		return EXIT_HOST;
	}
	if (status == 0)
		status = fleet_write(&fleet, out);
	if (out != stdout && fclose(out) != 0)
		status = -errno;
	if (status == 0)
		fprintf(stderr, "%zu file%s read, %u unknown keys ignored\n",
			options->arguments.count, options->arguments.count == 1 ? "" : "s",
			fleet.unknown_keys);
	fleet_free(&fleet);
	return status == 0 ? EXIT_DONE : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static struct options options;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(&options, argc, argv) != 0) {
		options_free(&options);
		return EXIT_USAGE;
	}
	int status = EXIT_DONE;
	if (options.version)
		printf("sipherd %s\n", SIPHERD_VERSION);
	else if (options.man)
		options_manual(stdout);
	else if (options.help || options.command == COMMAND_HELP)
		options_help(stdout, options_help_topic(&options));
	else if (options.command == COMMAND_RUN)
		status = run_fleet(&options);
	else if (options.command == COMMAND_CHECK)
		status = run_check(&options);
	else if (options.command == COMMAND_DEMO)
		status = run_demo(&options);
	else if (options.command == COMMAND_REGISTRAR)
		status = run_registrar(&options);
	else
		status = import(&options);
	options_free(&options);
	return status;
}
