/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "fleet.h"
#include "options_internal.h"

static const struct {
	int code;
	const char *meaning;
} exits[] = {
	{EXIT_DONE, "done"},
	{EXIT_MISSED,
		"a goal was missed, a drill was aborted; demo: phones are not where they belong"},
	{EXIT_USAGE, "usage or configuration"},
	{EXIT_HOST, "this host: the message names the remedy"},
	{EXIT_NO_ANSWER, "no proxy answered"},
	{EXIT_GENERATOR, "the generator was the limit"},
};

/* Words of a text, folded behind an indent. */
static void print_folded(FILE *out, const char *text, int indent)
{
	int column = indent;
	const char *gap = "";
	while (*text != '\0') {
		int word = (int)strcspn(text, " ");
		if (column + word > 88) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
			gap = "";
		}
		fprintf(out, "%s%.*s", gap, word, text);
		column += word + 1;
		gap = " ";
		text += word;
		text += *text == ' ';
	}
	fputc('\n', out);
}

/* A name and, behind it or below it where it is long, what it is. */
static void print_row(FILE *out, const char *left, const char *help)
{
	fprintf(out, "  %-26s ", left);
	if (strlen(left) > 26)
		fprintf(out, "\n%*s", 29, "");
	print_folded(out, help, 29);
}

static void print_options(FILE *out, unsigned mask)
{
	for (size_t i = 0; i < options_rows_count; i++) {
		if (!(options_rows[i].commands & mask))
			continue;
		char left[64];
		const bool o = strcmp(options_rows[i].name, "output") == 0;
		snprintf(left, sizeof(left), "%s--%s%s%s", o ? "-o, " : "", options_rows[i].name,
			options_rows[i].argument ? " " : "",
			options_rows[i].argument ? options_rows[i].argument : "");
		print_row(out, left, options_rows[i].help);
	}
}

void options_help(FILE *out, enum command command)
{
	if (command != COMMAND_HELP) {
		fprintf(out, "usage: sipherd %s [OPTIONS] %s\n\n", options_commands[command].name,
			options_commands[command].arguments);
		print_folded(out, options_commands[command].help, 0);
		fprintf(out, "\n");
		print_options(out, ON(command));
		fprintf(out, "\nOptions may also stand in the environment: --min-expires as "
			     "SIPHERD_MIN_EXPIRES, lists\nseparated by semicolons, flags as 1.\n");
		return;
	}
	fprintf(out,
		"sipherd emulates herds of SIP phones that move between a primary and a redundant "
		"proxy.\n\nusage: sipherd [DPDK ARGUMENTS --] COMMAND [OPTIONS] [ARGUMENTS]\n\n");
	for (int i = 0; i < COMMANDS; i++) {
		char left[64];
		snprintf(left, sizeof(left), "%s %s", options_commands[i].name,
			options_commands[i].arguments);
		print_row(out, left, options_commands[i].help);
	}
	fprintf(out,
		"\n'sipherd help COMMAND' shows its options; 'man sipherd' has the fleet file's "
		"keys.\n\nexit codes:\n");
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		fprintf(out, "  %d  %s\n", exits[i].code, exits[i].meaning);
}

/* Text for roff: a minus is a minus, a leading dot or quote is no request. */
static void print_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text != '\0'; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '\'')
			fputs("\\(aq", out);
		else
			fputc(*text, out);
	}
}

static void print_roff_environment(FILE *out)
{
	fprintf(out,
		".SH ENVIRONMENT\nThe command line wins over the environment, which wins over the "
		"fleet file. Lists are separated by semicolons, a flag is set by 1.\n");
	for (size_t i = 0; i < options_rows_count; i++) {
		char name[OPTIONS_NAME_MAX];
		if (!options_in_environment(&options_rows[i]))
			continue;
		options_environment_name(&options_rows[i], name);
		fprintf(out, ".TP\n.B %s\nas ", name);
		print_roff(out, "--");
		print_roff(out, options_rows[i].name);
		fputc('\n', out);
	}
}

void options_manual(FILE *out)
{
	fprintf(out, ".TH SIPHERD 1 \"\" \"sipherd %s\" \"User Commands\"\n", SIPHERD_VERSION);
	fprintf(out,
		".SH NAME\nsipherd \\- herds of SIP phones with primary and redundant proxy\n"
		".SH SYNOPSIS\n.B sipherd\n[DPDK arguments \\-\\-] command [options] [files]\n"
		".SH DESCRIPTION\nsipherd emulates thousands to millions of SIP phones over a "
		"DPDK packet path. Each registers, sends OPTIONS keep\\-alives and moves between "
		"a primary and a redundant proxy.\n.SH COMMANDS\n");
	for (int i = 0; i < COMMANDS; i++) {
		fprintf(out, ".TP\n.B %s %s\n", options_commands[i].name,
			options_commands[i].arguments);
		print_roff(out, options_commands[i].help);
		fputc('\n', out);
	}
	fprintf(out, ".SH OPTIONS\n");
	for (size_t i = 0; i < options_rows_count; i++) {
		fprintf(out, ".TP\n.BI \"\\-\\-");
		print_roff(out, options_rows[i].name);
		fprintf(out, " \" \"%s\"\n",
			options_rows[i].argument ? options_rows[i].argument : "");
		print_roff(out, options_rows[i].help);
		fprintf(out, " (");
		const char *comma = "";
		for (int c = 0; c < COMMANDS; c++) {
			if (!(options_rows[i].commands & ON(c)))
				continue;
			fprintf(out, "%s%s", comma, options_commands[c].name);
			comma = ", ";
		}
		fprintf(out, ")\n");
	}
	fprintf(out, ".SH FLEET FILE\nYAML; every key may also be given as \\-\\-set KEY=VALUE.\n");
	fleet_describe_keys(out, true);
	print_roff_environment(out);
	fprintf(out,
		".TP\n.B SIPHERD_TOKEN\nthe token that ctl and top show, unless \\-\\-token\\-file "
		"names a file\n.SH EXIT STATUS\n");
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		fprintf(out, ".TP\n.B %d\n%s\n", exits[i].code, exits[i].meaning);
	fprintf(out,
		".SH LIMITS\nUDP only. Answers are never authenticated. A run on shared cores "
		"measures the neighbours too: look at lateness and not sent before believing a "
		"round\\-trip time.\n");
}
