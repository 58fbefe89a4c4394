/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line and the environment: one table of commands, one table of options.
 *
 * The same rows are what getopt_long parses, what --help prints, what the environment may set
 * (SIPHERD_ and the option's name in capitals) and what the manual page says. A value from the
 * command line wins over one from the environment, which wins over the fleet file.
 *
 * Texts in struct options point into argv, the environment or memory that options_free frees.
 */
#ifndef SIPHERD_OPTIONS_H
#define SIPHERD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_MISSED =
		1, /* a goal was missed; a drill was aborted; demo: phones are not where they belong */
	EXIT_USAGE = 2,     /* command line, fleet file or phone file */
	EXIT_HOST = 3,      /* this machine, its network or its files; the message has the remedy */
	EXIT_NO_ANSWER = 4, /* no proxy answered anything */
	EXIT_GENERATOR = 5, /* sipherd was the limit, not the proxies */
};

enum command {
	COMMAND_RUN,
	COMMAND_CHECK,
	COMMAND_DRILL,
	COMMAND_BENCH,
	COMMAND_DEMO,
	COMMAND_REGISTRAR,
	COMMAND_IMPORT,
	COMMAND_FLEET,
	COMMAND_EXPORT,
	COMMAND_REPORT,
	COMMAND_PROBE,
	COMMAND_CTL,
	COMMAND_TOP,
	COMMAND_HELP,
	COMMANDS
};

#define OPTIONS_LIST_MAX 256
#define OPTIONS_NOT_GIVEN UINT64_MAX

struct option_list {
	const char *item[OPTIONS_LIST_MAX];
	size_t count;
};

struct options {
	enum command command;
	bool help, version, man, verbose, pcap_credentials;
	bool json, feed, csv, sipp, secrets, keep, prometheus, once, yes;
	bool plan, baseline, no_hooks, sizing;
	bool store_from_environment; /* where ps does not show it */
	uint64_t for_ms, seed, workers, pcap_phone, vlan, capacity, phone; /* OPTIONS_NOT_GIVEN */
	uint64_t min_expires_s, max_expires_s;
	uint64_t count, interval_ms, timeout_ms, warning_ms, critical_ms, screen, settle_ms;
	uint64_t repeats, hold_ms;
	uint64_t ns_per_transaction, cores, nic; /* OPTIONS_NOT_GIVEN */
	/* NULL when not given */
	const char *summary, *pcap, *dns, *output;
	const char *link, *primary, *redundant, *realm, *digest;
	const char *user, *password, *users;
	const char *store, *state, *fleet, *expect;
	const char *url, *token_file, *cacert;
	const char *report, *phones_csv, *timeline_csv;
	const char *vary, *from, *to, *precision;
	const char *http, *http_tls_cert, *http_tls_key;
	bool http_auth;
	struct option_list set, fault, reboot, http_host, gate, goal;
	struct option_list
		arguments; /* fleet file, or phone files; drill: and what, and its fields */
	int eal_argc;      /* what stood before "--" */
	char **eal_argv;
	char **copies; /* of environment values that were cut into items */
	size_t copies_count;
};

/* 0, or -EINVAL after one message on stderr that names the remedy. */
int options_parse(struct options *options, int argc, char **argv);
void options_free(struct options *options);

const char *options_command_name(enum command command);

/* What --help or the help command asks about; COMMAND_HELP: everything. */
enum command options_help_topic(const struct options *options);

/* Help: of everything when command is COMMAND_HELP, else of one command. */
void options_help(FILE *out, enum command command);

/* The manual page, man(7), fleet keys included. */
void options_manual(FILE *out);

#endif
