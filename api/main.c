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

/* Datagrams of one silent OPTIONS, by the fleet's own timers. */
static unsigned datagrams_until_silence(const struct fleet *fleet)
{
	const struct transaction_timers timers = {
		fleet->t1_ms, fleet->t2_ms, fleet->t4_ms, fleet->no_response_ms};
	unsigned n = 1;
	for (uint32_t at = transaction_interval_ms(&timers, 1, false); at < timers.no_response_ms;
		at += transaction_interval_ms(&timers, n, false))
		n++;
	return n;
}

static void tell_range(const struct fleet *fleet, int family)
{
	struct address first, last;
	char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];
	uint16_t first_port, last_port;
	address_plan_at(&fleet->plan[family], 0, &first, &first_port);
	address_plan_at(&fleet->plan[family], fleet->phones - 1, &last, &last_port);
	address_format(&first, a);
	address_format(&last, b);
	printf("addresses   %s port %u to %s port %u\n", a, first_port, b, last_port);
}

static void tell_load(const struct fleet *fleet)
{
	char number[32];
	double period_s = fleet->keepalive_period_ms / 1e3;
	double refresh_s = fleet->expires_s * (fleet->refresh_permille / 1e3);
	double steady = refresh_s > 0 ? fleet->phones / refresh_s : 0;
	if (period_s > 0)
		steady += fleet->phones / period_s;
	printf("steady      %s requests/s\n", view_number((uint64_t)(steady + 0.5), number));
	if (period_s <= 0)
		return;
	double probe_s = period_s;
	while (probe_s * 1e3 < fleet->no_response_ms)
		probe_s += period_s; /* ticks that find one pending are skipped */
	printf("outage      %s OPTIONS datagrams/s while the primary is dead (%u per phone and "
	       "probe)\n",
		view_number(
			(uint64_t)(fleet->phones * datagrams_until_silence(fleet) / probe_s + 0.5),
			number),
		datagrams_until_silence(fleet));
}

static void tell_fleet(const struct fleet *fleet)
{
	char number[32];
	printf("fleet       %s\n", fleet->name);
	printf("phones      %s\n", view_number(fleet->phones, number));
	for (int family = 0; family < ADDRESS_FAMILIES; family++)
		if (fleet->has_plan[family])
			tell_range(fleet, family);
	for (int p = 0; p < PROXIES; p++)
		if (fleet->proxy[p].host[0] != '\0')
			printf("%-11s %s port %u\n", proxy_name((enum proxy)p),
				fleet->proxy[p].host, fleet->proxy[p].port);
	printf("redundancy  %s\n", !fleet->redundancy_enabled ? "off"
				   : fleet->redundancy_mode == MODE_SYMMETRIC
					   ? "symmetric (parking)"
					   : "asymmetric (homing)");
	printf("timers      keep-alive %g s, silence after %g s, switch delay 0-%g s, expires %u "
	       "s\n",
		fleet->keepalive_period_ms / 1e3, fleet->no_response_ms / 1e3,
		fleet->switch_delay_ms / 1e3, fleet->expires_s);
	tell_load(fleet);
	printf("memory      about %.0f MB for the phones\n", fleet->phones * 180e-6 + 5);
}

static int check(const struct options *options)
{
	struct fleet fleet;
	int errors = 0;
	const struct fleet_report report = {&errors, on_error, on_warning};
	int status = fleet_read(&fleet, options->arguments.item[0], &report);
	for (size_t i = 0; i < options->set.count && status == 0; i++)
		status = fleet_set(&fleet, options->set.item[i], &report);
	if (status == 0 && options->set.count > 0)
		status = fleet_finish(&fleet, &report);
	if (status == 0)
		tell_fleet(&fleet);
	fleet_free(&fleet);
	return status == 0 ? EXIT_DONE : EXIT_USAGE;
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
		status = check(&options);
	else if (options.command == COMMAND_DEMO)
		status = run_demo(&options);
	else if (options.command == COMMAND_REGISTRAR)
		status = run_registrar(&options);
	else
		status = import(&options);
	options_free(&options);
	return status;
}
