/* SPDX-License-Identifier: BSD-3-Clause */
/* When all is over: what is written, and the exit code that is made of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gate.h"
#include "output.h"
#include "report.h"
#include "run_internal.h"
#include "summary.h"

static struct summary summary_of(const struct run *run, const char *command, time_t started)
{
	return (struct summary){.command = command,
		.fleet = run->config.roles & WIRE_HERD ? &run->fleet : NULL,
		.seed = run->config.herd.seed,
		.started = started,
		.ended = time(NULL),
		.drained = run->drained,
		.link = wire_description(run->wire),
		.proxy = run->config.proxy,
		.duration_s = (double)(run->stop_us - run->start_us) / 1e6,
		.roles = run->config.roles,
		.at_stop = &run->at_stop,
		.wire = run->wire,
		.herds_at_stop = run->herds_at_stop,
		.end = &run->now,
		.tally = &run->tally,
		.share = &run->share,
		.baseline_limited = run->drill != NULL && run->drill->baseline_limited};
}

/* --- Goals --- */

static int take_gate(const char *text, struct gate *gate)
{
	char reason[GATE_REASON_MAX];
	if (gate_parse(gate, text, reason) == 0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: --gate '%s': %s.\n", text, reason);
	return EXIT_USAGE;
}

int run_take_gates(struct run *run)
{
	const struct option_list *given = &run->options->gate;
	int status = EXIT_DONE;
	if (run->fleet.gates + given->count > GATES_MAX) {
		fprintf(stderr, "sipherd: at most %d goals can be checked.\n", GATES_MAX);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < given->count && status == EXIT_DONE; i++)
		status = take_gate(given->item[i], &run->fleet.gate[run->fleet.gates + i]);
	return status;
}

/* The fleet file's goals are about drills: a run without any is not measured by them. Those of the command
 * line, which stand behind them, were asked for. */
static json_t *check_gates(const struct run *run, const json_t *root)
{
	const bool drilled = json_array_size(json_object_get(root, "drills")) > 0 ||
			     run->drill != NULL;
	const uint32_t skipped = drilled ? 0 : run->fleet.gates;
	const uint32_t all = run->fleet.gates + (uint32_t)run->options->gate.count;
	return gates_json(&run->fleet.gate[skipped], all - skipped, root);
}

static bool any_missed(const json_t *gates)
{
	size_t i;
	json_t *gate;
	json_array_foreach (gates, i, gate)
		if (!json_is_true(json_object_get(gate, "met")))
			return true;
	return false;
}

/* --- What is written --- */

int run_check_files(const struct options *options)
{
	const char *const path[] = {
		options->summary, options->report, options->timeline_csv, options->phones_csv};
	int status = EXIT_DONE;
	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]) && status == EXIT_DONE; i++)
		status = output_check(path[i]);
	return status;
}

static int write_report(const char *path, const json_t *root,
	int (*write)(FILE *out, const json_t *run, char reason[REPORT_REASON_MAX]))
{
	char reason[REPORT_REASON_MAX] = "";
	FILE *out;
	if (path == NULL)
		return EXIT_DONE;
	if (output_open(path, &out) != EXIT_DONE)
		return EXIT_HOST;
	int status = write(out, root, reason);
	if (fclose(out) != 0 && status == 0)
		status = -errno;
	if (status == 0)
		return EXIT_DONE;
	if (reason[0] == '\0')
		return output_failed(path, -status);
	fprintf(stderr, "sipherd: cannot write %s: %s\n", path, reason);
	return EXIT_HOST;
}

static int write_files(const struct run *run, const json_t *root)
{
	const struct options *options = run->options;
	int status = EXIT_DONE;
	if (options->summary != NULL) {
		const int error = summary_write(root, options->summary);
		if (error != 0)
			status = output_failed(options->summary, -error);
	}
	if (write_report(options->report, root, report_write) != EXIT_DONE ||
		write_report(options->timeline_csv, root, report_timeline_csv) != EXIT_DONE)
		status = EXIT_HOST;
	return status;
}

/* --- The end --- */

static int judge(const struct run *run, const struct summary *summary, const json_t *root)
{
	struct summary_verdict verdict;
	const bool aborted = run->drill != NULL && run->drill->aborted;
	/* Who ends a run by hand has seen enough: the verdict is in the summary. */
	if (!(run->config.roles & WIRE_HERD) || (run->signals > 0 && run->drill == NULL))
		return EXIT_DONE;
	summary_judge(summary, &verdict);
	if (verdict.no_answer || (run->drill != NULL && run->drill->phase == DRILL_NEVER_BEGAN))
		return EXIT_NO_ANSWER;
	if (verdict.generator_limited)
		return EXIT_GENERATOR;
	return aborted || any_missed(json_object_get(root, "gates")) ? EXIT_MISSED : EXIT_DONE;
}

int run_finish(struct run *run, const char *command, time_t started)
{
	const struct summary summary = summary_of(run, command, started);
	json_t *root = summary_json(&summary);
	if (root == NULL) {
		fprintf(stderr, "sipherd: no memory for the summary\n");
		return EXIT_HOST;
	}
	if (run->drills != NULL)
		json_object_set_new(root, "drills", drills_json(run->drills));
	if (run->config.roles & WIRE_HERD)
		json_object_set_new(root, "gates", check_gates(run, root));
	if (run->drill != NULL)
		json_object_set(root, "baseline",
			run->drill->baseline != NULL ? run->drill->baseline : json_null());
	summary_print(&summary, root, stdout);
	int status = write_files(run, root);
	if (status == EXIT_DONE)
		status = judge(run, &summary, root);
	json_decref(root);
	return status;
}
