/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "bench.h"
#include "ctl.h"
#include "export.h"
#include "fleet.h"
#include "hook.h"
#include "monitor.h"
#include "options.h"
#include "output.h"
#include "probe.h"
#include "report_command.h"
#include "run.h"
#include "top.h"
#include "view.h"

/* These files hold passwords: nobody but their owner may read them. */
static int write_private(
	const char *path, const struct fleet *fleet, int (*write)(const struct fleet *, FILE *))
{
	FILE *out;
	if (output_open(path, &out) != EXIT_DONE)
		return EXIT_HOST;
	int error = -write(fleet, out);
	if (fclose(out) != 0 && error == 0)
		error = errno;
	return error == 0 ? EXIT_DONE : output_failed(path, error);
}

/* Rows of several phones go into a file beside the fleet file. */
static int write_users(struct fleet *fleet, const char *output)
{
	if (!fleet->imported_rows)
		return EXIT_DONE;
	if (output == NULL) {
		fprintf(stderr, "sipherd: several phones need a users file beside the fleet file: "
				"give -o FLEET.yaml.\n");
		return EXIT_USAGE;
	}
	char path[sizeof(fleet->users)];
	if ((size_t)snprintf(path, sizeof(path), "%s.users.csv", output) >= sizeof(path))
		return output_failed(output, ENAMETOOLONG);
	int status = write_private(path, fleet, fleet_write_users);
	const char *base = strrchr(path, '/');
	snprintf(fleet->users, sizeof(fleet->users), "%s", base ? base + 1 : path);
	return status;
}

static int write_import(struct fleet *fleet, const char *output)
{
	int status = write_users(fleet, output);
	if (status != EXIT_DONE)
		return status;
	if (output != NULL)
		return write_private(output, fleet, fleet_write);
	int error = -fleet_write(fleet, stdout);
	return error == 0 ? EXIT_DONE : output_failed("standard output", error);
}

static int import(const struct options *options)
{
	struct fleet fleet;
	int status = fleet_import(
		&fleet, options->arguments.item, options->arguments.count, &arguments_report);
	for (size_t i = 0; i < options->set.count && status == 0; i++)
		status = fleet_set(&fleet, options->set.item[i], &arguments_report);
	if (status == 0 && options->set.count > 0)
		status = fleet_finish(&fleet, &arguments_report);
	status = status == 0 ? write_import(&fleet, options->output) : EXIT_USAGE;
	if (status == EXIT_DONE)
		fprintf(stderr, "%zu file%s read, %u unknown keys ignored\n",
			options->arguments.count, options->arguments.count == 1 ? "" : "s",
			fleet.unknown_keys);
	fleet_free(&fleet);
	return status;
}

int main(int argc, char **argv)
{
	static struct options options;
	/* A process that sipherd starts for itself: nothing of the rest is its business. */
	if (argc == 3 && strcmp(argv[1], "guard-hook") == 0)
		return hook_guard(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(&options, argc, argv) != 0) {
		options_free(&options);
		return options.command == COMMAND_PROBE ? probe_misused() : EXIT_USAGE;
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
	else if (options.command == COMMAND_BENCH)
		status = run_bench(&options);
	else if (options.command == COMMAND_DRILL)
		status = run_drill(&options);
	else if (options.command == COMMAND_DEMO)
		status = run_demo(&options);
	else if (options.command == COMMAND_REGISTRAR)
		status = run_registrar(&options);
	else if (options.command == COMMAND_FLEET)
		status = run_monitor(&options);
	else if (options.command == COMMAND_EXPORT)
		status = run_export(&options);
	else if (options.command == COMMAND_REPORT)
		status = run_report(&options);
	else if (options.command == COMMAND_CTL)
		status = run_ctl(&options);
	else if (options.command == COMMAND_TOP)
		status = run_top(&options);
	else if (options.command == COMMAND_PROBE)
		status = run_probe(&options);
	else
		status = import(&options);
	options_free(&options);
	return status;
}
