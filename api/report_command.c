/* SPDX-License-Identifier: BSD-3-Clause */
#include "report_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"
#include "report.h"

/* A day's run has a tenth of this. */
#define FILE_MOST (512ll << 20)

static int unreadable(const char *path, const char *why)
{
	fprintf(stderr, "sipherd: %s: %s\n", path, why);
	return EXIT_USAGE;
}

static int read_run(const char *path, json_t **out)
{
	json_error_t error;
	struct stat stat;
	char why[JSON_ERROR_TEXT_LENGTH + 64];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return unreadable(path, strerror(errno));
	if (fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > FILE_MOST) {
		fclose(file);
		return unreadable(path, "is larger than the summary of any run");
	}
	*out = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
	fclose(file);
	if (*out != NULL)
		return EXIT_DONE;
	snprintf(why, sizeof(why), "is no JSON: line %d: %s", error.line, error.text);
	return unreadable(path, why);
}

static int write_text(const struct options *options, const char *text, size_t length)
{
	if (options->output != NULL && strcmp(options->output, "-") != 0) {
		const int error = output_whole(options->output, text);
		return error == 0 ? EXIT_DONE : output_failed(options->output, -error);
	}
	if (fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0)
		return EXIT_DONE;
	return output_failed("standard output", errno);
}

static int make(const struct options *options, json_t *const run[2], FILE *memory)
{
	const char *const *name = options->arguments.item;
	char reason[REPORT_REASON_MAX] = "";
	int status;
	if (options->csv)
		status = report_timeline_csv(memory, run[0], reason);
	else if (run[1] != NULL)
		status = report_compare(memory, run[0], name[0], run[1], name[1], reason);
	else
		status = report_write(memory, run[0], reason);
	if (status == 0)
		return EXIT_DONE;
	if (status == -EINVAL)
		fprintf(stderr, "sipherd: no report can be made of %s%s%s: %s\n", name[0],
			run[1] != NULL ? " and " : "", run[1] != NULL ? name[1] : "", reason);
	else
		fprintf(stderr, "sipherd: the report: %s\n", strerror(-status));
	return status == -EINVAL ? EXIT_USAGE : EXIT_HOST;
}

/* Made in memory first: an old report stays when no new one can be made. */
static int make_and_write(const struct options *options, json_t *const run[2])
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);
	int status = memory != NULL ? make(options, run, memory) : EXIT_HOST;
	if (memory == NULL || fclose(memory) != 0) {
		fprintf(stderr, "sipherd: out of memory\n");
		status = EXIT_HOST;
	}
	if (status == EXIT_DONE)
		status = write_text(options, text, length);
	free(text);
	return status;
}

int run_report(const struct options *options)
{
	json_t *run[2] = {NULL, NULL};
	int status = EXIT_DONE;
	if (options->csv && options->arguments.count > 1) {
		fprintf(stderr, "sipherd: --csv writes the time line of one run.\n");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < options->arguments.count && status == EXIT_DONE; i++)
		status = read_run(options->arguments.item[i], &run[i]);
	if (status == EXIT_DONE)
		status = make_and_write(options, run);
	json_decref(run[0]);
	json_decref(run[1]);
	return status;
}
