/* SPDX-License-Identifier: BSD-3-Clause */
/* Drills and goals for people, from what programs get: docs/measures.md has the words. */
#include <math.h>
#include <string.h>

#include "gate.h"
#include "summary.h"
#include "view.h"

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	return value != NULL ? value : "";
}

static const char *counted(const json_t *object, const char *key, char out[32])
{
	const double value = number(object, key);
	return view_number(value > 0 ? (uint64_t)value : 0, out);
}

/* Seconds of milliseconds; a dash where there are none. */
static void print_seconds(double ms, FILE *out)
{
	if (isnan(ms))
		fprintf(out, " %9s", "-");
	else
		fprintf(out, " %9.3f", ms / 1e3);
}

static void print_dist(const json_t *wave, const char *key, const char *name, FILE *out)
{
	static const char *const columns[] = {"p50", "p90", "p99", "p99_9", "max"};
	const json_t *dist = json_object_get(wave, key);
	if (!(number(dist, "count") > 0))
		return;
	fprintf(out, "    %-26s", name);
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		print_seconds(number(dist, columns[i]), out);
	fputc('\n', out);
}

static bool has_back(const json_t *wave)
{
	return json_is_object(json_object_get(wave, "back_at_ms")) && number(wave, "phones") > 0 &&
	       strcmp(text(wave, "kind"), "watch") != 0;
}

static void print_back(const json_t *wave, FILE *out)
{
	static const char *const columns[] = {"p50", "p90", "p99", "p99_9", "p100"};
	const json_t *back = json_object_get(wave, "back_at_ms");
	if (!has_back(wave))
		return;
	fprintf(out, "    %-26s", "so many phones are back");
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		print_seconds(number(back, columns[i]), out);
	fputc('\n', out);
}

static void print_peak(const json_t *wave, FILE *out)
{
	const json_t *peak = json_object_get(wave, "peak");
	const json_t *second = json_object_get(peak, "second"),
		     *tenth = json_object_get(peak, "tenth");
	char a[32], b[32];
	if (!json_is_object(peak))
		return;
	fprintf(out,
		"    busiest second %s REGISTER/s (%.2f %% of the phones), busiest 100 ms "
		"%s/s\n",
		counted(second, "per_s", a), number(second, "share") * 100,
		counted(tenth, "per_s", b));
}

static void print_prediction(const json_t *wave, FILE *out)
{
	const json_t *predicted = json_object_get(wave, "predicted");
	if (!json_is_object(predicted))
		return;
	fprintf(out,
		"    predicted      %.1f-%.1f s, mean %.1f s, busiest second %.2f %%; the curves "
		"are "
		"%.2f %% apart at most\n",
		number(predicted, "first_ms") / 1e3, number(predicted, "last_ms") / 1e3,
		number(predicted, "mean_ms") / 1e3, number(predicted, "peak_second_share") * 100,
		number(predicted, "distance") * 100);
}

static void print_oddities(const json_t *wave, FILE *out)
{
	char a[32], b[32], c[32];
	const json_t *longer = json_object_get(wave, "out_longer_than");
	if (number(longer, "60") > 0)
		fprintf(out, "    out longer than 60 s: %s, 120 s: %s, 300 s: %s\n",
			counted(longer, "60", a), counted(longer, "120", b),
			counted(longer, "300", c));
	if (strcmp(text(wave, "kind"), "watch") == 0 && number(wave, "phones") > 0)
		fprintf(out, "    left           %s phones\n", counted(wave, "left", a));
	if (number(wave, "flaps") > 0)
		fprintf(out, "    flapped        %s phones, %s times\n",
			counted(wave, "flapping_phones", a), counted(wave, "flaps", b));
	if (number(wave, "stranded") > 0)
		fprintf(out, "    stranded       %s phones\n", counted(wave, "stranded", a));
}

static void print_wave(const json_t *wave, FILE *out)
{
	char a[32], b[32], c[32];
	fprintf(out, "  %s at %.1f s: %s phones, %s back, %s out\n", text(wave, "name"),
		number(wave, "at_ms") / 1e3, counted(wave, "phones", a), counted(wave, "back", b),
		counted(wave, "out", c));
	if (number(json_object_get(wave, "detection_ms"), "count") > 0 || has_back(wave))
		fprintf(out, "    %-26s %9s %9s %9s %9s %9s\n", "seconds", "50 %", "90 %", "99 %",
			"99.9 %", "all");
	print_dist(wave, "detection_ms", "detection", out);
	print_dist(wave, "switch_ms", "switch", out);
	print_dist(wave, "registration_ms", "registration", out);
	print_dist(wave, "outage_ms", "outage", out);
	print_back(wave, out);
	print_peak(wave, out);
	print_prediction(wave, out);
	print_oddities(wave, out);
}

static void print_proxy(const json_t *proxies, const char *name, FILE *out)
{
	const json_t *proxy = json_object_get(proxies, name), *ira = json_object_get(proxy, "ira");
	char a[32], b[32], c[32];
	if (!json_is_object(proxy))
		return;
	fprintf(out, "  %-10s peak %s REGISTER/s, %s in 100 ms, %s OPTIONS/s", name,
		counted(proxy, "peak_register_per_s", a),
		counted(proxy, "peak_register_per_100ms", b),
		counted(proxy, "peak_options_per_s", c));
	if (number(ira, "attempts") > 0)
		fprintf(out, "; IRA %.3f %% of %s, %s of these time-outs",
			number(ira, "ratio") * 100, counted(ira, "attempts", a),
			counted(ira, "timeout", b));
	fputc('\n', out);
}

static void print_drill(const json_t *drill, FILE *out)
{
	const json_t *totals = json_object_get(drill, "totals");
	const json_t *proxies = json_object_get(drill, "proxies");
	char a[32], b[32], c[32], d[32];
	json_t *wave, *hook;
	size_t i;
	fprintf(out, "drill   %s: %s after %.1f s%s%s\n", text(drill, "title"),
		text(drill, "outcome"), number(drill, "duration_ms") / 1e3,
		text(drill, "reason")[0] ? ", " : "", text(drill, "reason"));
	json_array_foreach (json_object_get(drill, "waves"), i, wave)
		print_wave(wave, out);
	print_proxy(proxies, "primary", out);
	print_proxy(proxies, "redundant", out);
	fprintf(out, "  stranded %s, double-bound %s, flaps %s, late answers %s\n",
		counted(totals, "stranded", a), counted(totals, "double_bound", b),
		counted(totals, "flaps", c), counted(totals, "late_answers", d));
	json_array_foreach (json_object_get(drill, "hooks"), i, hook)
		fprintf(out, "  hook %s: exit code %.0f, of its undo %.0f\n", text(hook, "name"),
			number(hook, "exit_code"), number(hook, "undo_code"));
	if (json_is_true(json_object_get(drill, "incomplete")))
		fprintf(out, "  INCOMPLETE: more transitions came than could be taken\n");
}

void summary_print_drills(const json_t *root, FILE *out)
{
	const json_t *baseline = json_object_get(root, "baseline");
	json_t *drill;
	size_t i;
	json_array_foreach (json_object_get(root, "drills"), i, drill)
		print_drill(drill, out);
	if (!json_is_object(baseline))
		return;
	fprintf(out, "the same against the built-in registrars, on %s\n", text(baseline, "link"));
	json_array_foreach (json_object_get(baseline, "drills"), i, drill)
		print_drill(drill, out);
}

static enum gate_unit unit_of(const json_t *gate)
{
	const char *unit = text(gate, "unit");
	return strcmp(unit, "ms") == 0      ? GATE_MS
	       : strcmp(unit, "ratio") == 0 ? GATE_RATIO
	       : strcmp(unit, "per_s") == 0 ? GATE_PER_S
					    : GATE_COUNT;
}

void summary_print_gates(const json_t *root, FILE *out)
{
	json_t *gate;
	size_t i;
	json_array_foreach (json_object_get(root, "gates"), i, gate) {
		const double value = number(gate, "value");
		const char *wave = text(gate, "wave");
		char is[48] = "not measured";
		if (!isnan(value))
			gate_value_text(unit_of(gate), value, is);
		else if (wave[0] != '\0') /* too few phones came back */
			snprintf(is, sizeof(is), "never");
		fprintf(out, "goal    %-32s %-6s  %s%s%s\n", text(gate, "goal"),
			json_is_true(json_object_get(gate, "met")) ? "met" : "MISSED", is,
			wave[0] != '\0' ? ", " : "", wave);
	}
}
