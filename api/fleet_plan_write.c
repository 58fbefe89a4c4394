/* SPDX-License-Identifier: BSD-3-Clause */
/* drills, hooks, gates: as they were read, as JSON, as a manual. */
#include <inttypes.h>
#include <string.h>

#include "fleet_plan.h"

static void write_gates(const struct fleet *fleet, FILE *out)
{
	for (uint32_t i = 0; i < fleet->gates; i++)
		fprintf(out, "%s    - \"%s\"\n", i == 0 ? "gates:\n" : "", fleet->gate[i].text);
}

static void write_command(const char *name, const struct hook_command *command, FILE *out)
{
	const char *word = command->bytes;
	fprintf(out, "        %s: [", name);
	for (unsigned i = 0; i < command->words; i++, word += strlen(word) + 1) {
		fputs(i > 0 ? ", " : "", out);
		fleet_write_quoted(word, out);
	}
	fputs("]\n", out);
}

static void write_hooks(const struct fleet *fleet, FILE *out)
{
	char timeout[32];
	for (uint32_t i = 0; i < fleet->hooks; i++) {
		const struct hook *hook = &fleet->hook[i];
		fprintf(out, "%s    \"%s\":\n", i == 0 ? "hooks:\n" : "", hook->name);
		write_command("run", &hook->run, out);
		write_command("undo", &hook->undo, out);
		units_format_duration(hook->timeout_ms, timeout, sizeof(timeout));
		fprintf(out, "        timeout: %s\n", timeout);
	}
}

static void write_request(const struct drill_request *request, FILE *out)
{
	char text[DRILL_TEXT_MAX];
	if (request->wait_ms > 0) {
		drill_request_get(request, "wait", text);
		fprintf(out, "        - { wait: %s }\n", text);
	}
	drill_request_get(request, "do", text);
	fprintf(out, "        - { do: %s", text);
	for (int field = 0; field < DRILL_FIELDS; field++) {
		if ((request->given & 1u << field) == 0)
			continue;
		drill_request_get(request, drill_field_names[field], text);
		fprintf(out, ", %s: ", drill_field_names[field]);
		/* A hook may be called null. */
		if (field == DRILL_HOOK)
			fleet_write_quoted(text, out);
		else
			fputs(text, out);
	}
	fputs(" }\n", out);
}

static void write_drills(const struct fleet *fleet, FILE *out)
{
	for (uint32_t i = 0; i < fleet->drills; i++) {
		fprintf(out, "%s    \"%s\":\n", i == 0 ? "drills:\n" : "", fleet->drill[i].name);
		for (uint32_t r = 0; r < fleet->drill[i].requests; r++)
			write_request(&fleet->drill[i].request[r], out);
	}
}

void fleet_plan_write(const struct fleet *fleet, FILE *out)
{
	write_drills(fleet, out);
	write_hooks(fleet, out);
	write_gates(fleet, out);
}

static json_t *json_request(const struct drill_request *request)
{
	char text[DRILL_TEXT_MAX];
	json_t *object = json_object();
	if (request->wait_ms > 0) {
		drill_request_get(request, "wait", text);
		json_object_set_new(object, "wait", json_string(text));
	}
	drill_request_get(request, "do", text);
	json_object_set_new(object, "do", json_string(text));
	for (int field = 0; field < DRILL_FIELDS; field++) {
		if ((request->given & 1u << field) == 0)
			continue;
		drill_request_get(request, drill_field_names[field], text);
		json_object_set_new(object, drill_field_names[field], json_string(text));
	}
	return object;
}

void fleet_plan_json(const struct fleet *fleet, json_t *root)
{
	json_t *drills = json_object(), *hooks = json_array(), *gates = json_array();
	for (uint32_t i = 0; i < fleet->drills; i++) {
		json_t *plan = json_array();
		for (uint32_t r = 0; r < fleet->drill[i].requests; r++)
			json_array_append_new(plan, json_request(&fleet->drill[i].request[r]));
		json_object_set_new(drills, fleet->drill[i].name, plan);
	}
	for (uint32_t i = 0; i < fleet->hooks; i++)
		json_array_append_new(hooks, json_string(fleet->hook[i].name));
	for (uint32_t i = 0; i < fleet->gates; i++)
		json_array_append_new(gates, json_string(fleet->gate[i].text));
	json_object_set_new(root, "drills", drills);
	json_object_set_new(root, "hooks", hooks);
	json_object_set_new(root, "gates", gates);
}

static void describe(FILE *out, bool roff, const char *name, const char *text)
{
	fprintf(out, "%s%s%s", roff ? ".TP\n.B " : "", name, roff ? "\n" : ": ");
	fleet_write_roff(text, roff, out);
	fputc('\n', out);
}

static void describe_drill(FILE *out, bool roff, const struct drill_description *drill)
{
	char text[512], name[DRILL_TEXT_MAX];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s Takes", drill->question);
	for (int field = 0; field < DRILL_FIELDS && used < sizeof(text); field++) {
		if (drill->fields & 1u << field)
			used += (size_t)snprintf(
				text + used, sizeof(text) - used, " %s", drill_field_names[field]);
	}
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ".");
	snprintf(name, sizeof(name), "drills: do: %s", drill->name);
	describe(out, roff, name, text);
}

void fleet_plan_describe(FILE *out, bool roff)
{
	describe(out, roff, "herds",
		"In the file only. Phones of several kinds in one fleet, 64 herds at most: a list "
		"of { "
		"name: NAME, ... }, where each takes any key of this file but the fleet's own "
		"(fleet, "
		"link, workers, gateway, vlan, mtu, transport, ramp, store, state, fence, lease, "
		"drills, "
		"hooks, gates) and has for all others what stands at the top. phones at the top is "
		"meant for each herd; herds without a source of their own take their addresses "
		"from "
		"the one at the top, one behind the other. Each herd is told with its own totals, "
		"in "
		"the summary, at /api/v1/herds and by Prometheus.");
	describe(out, roff, "drills",
		"In the file only. Plans by name, each a list of { do: DRILL, ... } and { wait: "
		"TIME } "
		"that are carried out one behind the other by 'sipherd drill FLEET.yaml NAME'.");
	for (int kind = 0; kind < DRILL_KINDS; kind++)
		describe_drill(out, roff, &drill_catalogue[kind]);
	describe(out, roff, "hooks",
		"In the file only. Commands by name that make a real outage: { run: [PROGRAM, "
		"...], "
		"undo: [PROGRAM, ...], timeout: 30s }. The program is an absolute path, no shell "
		"reads "
		"the words, and the undo is run even when sipherd is killed.");
	describe(out, roff, "gates",
		"In the file only. A list of goals like \"outage_p99 <= 95s\" or "
		"\"ira@primary < 0.01%\": MEASURE[@WAVE] or MEASURE[@PROXY], one of <= < >= > ==, "
		"a "
		"limit. A run that misses one exits with 1. Measures:");
	gate_describe(out, roff);
}
